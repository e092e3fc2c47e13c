"""Ranges of ADCs fitted to the column sums that a layer makes on training data.

The range [0, (2^b - 1) step] ends where the squared error over the column sums is least, each sum weighted by its
place value: 4^(i dac_bits + s cell_bits) for input slice i and weight slice s. The array is the one that was meant to
be programmed, seen through its wires; variation, faults and drift are not known when ranges are set. What is
evaluated later never takes part. The minimum balances rounding, step^2 / 12, against clipping.

Not modelled: a range a column or a slice, ranges that are set again after drift.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from codesign.estimate.crossbar import Crossbar, column_sums, largest_sum, through_wires
from codesign.estimate.integer import sampled

__all__ = ["calibrated", "place_values", "range_error"]

_BINS = 1 << 12  # column sums are binned to at most so many values when a range is calibrated
_VECTORS = 1024  # input vectors of a layer that its ADC range is calibrated on
_STEPS = 64  # candidate steps, geometric from one level to the largest sum; the same for every number of ADC bits


def calibrated(crossbar: Crossbar, codes: Tensor) -> Crossbar:
    """The same array with the ADC ranges of least squared error over `codes`, (G, M, K) training inputs."""
    numerics = crossbar.numerics
    seen = through_wires(crossbar)
    if 2**numerics.adc_bits - 1 >= largest_sum(seen):
        return replace(crossbar, step=1.0, unit_step=1.0)
    sums = torch.stack(list(column_sums(seen, codes[:, sampled(codes.shape[1], _VECTORS)])))
    width = crossbar.weight_columns
    values = place_values(crossbar)
    step = _fitted_step(sums[..., :width], values, numerics.adc_bits)
    unit = sums[..., width:]
    unit_step = _fitted_step(unit, values[..., :1], numerics.adc_bits) if unit.numel() else 1.0
    return replace(crossbar, step=step, unit_step=unit_step)


def place_values(crossbar: Crossbar) -> Tensor:
    """Squared place value of each weight column's reading, (S_a, 1, columns) float32."""
    numerics = crossbar.numerics
    by_input = 4.0 ** (numerics.dac_bits * torch.arange(crossbar.input_slices))
    places = torch.arange(crossbar.weight_columns) // crossbar.outputs % crossbar.slices
    return by_input[:, None, None] * 4.0 ** (numerics.cell_bits * places)


def range_error(centres: Tensor, mass: Tensor, step: float, adc_bits: int) -> float:
    """Squared error of reading sums of these values and weights (V,) in the range [0, (2^b - 1) step]."""
    read = torch.round(centres / step).clamp_(0, 2**adc_bits - 1) * step
    return float((mass * (read - centres).square()).sum())


def _fitted_step(sums: Tensor, weights: Tensor, adc_bits: int) -> float:
    """The step of least weighted squared error of `sums`."""
    largest = float(sums.max())
    if largest <= 2**adc_bits - 1:
        return 1.0
    width = max(1.0, largest / (_BINS - 1))
    bins = torch.round(sums / width).long().flatten()
    mass = torch.bincount(bins, weights=weights.expand(sums.shape).flatten().double())
    centres = torch.arange(len(mass), dtype=torch.float64) * width
    steps = np.geomspace(1.0, largest, _STEPS).tolist()
    return float(min(steps, key=lambda step: range_error(centres, mass, step, adc_bits)))
