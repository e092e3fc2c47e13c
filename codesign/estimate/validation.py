"""The functional crossbar simulation against CrossSim's signal-to-noise ratios of one matrix-vector product.

The rows are 8-bit products of random matrices and vectors, clip(N(0, 0.3), -1, 1), by rows of an array, ADC bits and
proportional variation, each of a single draw [CrossSim V3.2, run; its settings in the README beside the file]. Its
conventions are taken over by the settings that the simulation has for them, and nothing is fitted:

- inputs are signed magnitudes, so that the range of an ADC is symmetric, [-F, F] with 2^b codes and none at zero;
- the bits of an input are summed in the analogue domain and converted once, which is one read of all bits;
- the offset of the weights is subtracted by the digital sum of the inputs, not by a unit column;
- F is rows x 1 for weights of one cell; for sliced ones 2^round(log2 rows) x 2^c / (2^c - 1) x (2^b - 2) / 2^b x
  128 / 127, c bits a cell, in units of the largest input times the largest conductance.

Under these all rows have the same settings. What cannot be the same is the draw. At 4 and 5 bits almost every sum is
rounded to the two codes beside zero: the error is a sign a vector and array, so that 32 vectors decide a row, and
single draws scatter by more than 0.5 dB about the mean that is scored here. Those rows are a group of their own.

What one draw decides is predicted as a distribution: 40 draws say where the 90 % interval of one more lies, and
interval_coverage is the share of rows inside it. Rows that differ in ADC bits, slices or arrays alone are of one draw,
so that few draws decide all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from codesign.estimate.crossbar import Crossbar, program, realised, sliced_product
from codesign.estimate.integer import IntegerMatrix
from codesign.estimate.train import deterministic
from hwmodels.numerics import Numerics
from hwmodels.validate import MetricName, ReferenceTables, Score, score

__all__ = ["ProductSetting", "interval_of_one", "signal_to_noise_db", "validate"]

_SET = "crosssim_mvm_snr"
_VECTORS = 32  # [CrossSim rows] columns of the right-hand matrix
_DEVIATION = 0.3  # [CrossSim rows] of weights and inputs, clipped at 1
_OFF_CONDUCTANCE = 1e-3  # [CrossSim rows] on/off ratio 1000
_INPUT_BITS = 7  # [CrossSim rows] magnitude of 8 bits
_DRAWS = 10
_DISTRIBUTION_DRAWS = 40  # of which the first ten are those of the mean
_INTERVAL = 0.9
_SCATTER_DB = 0.5  # deviation of single draws, above which the one draw of a row decides it
_EXACT_BITS = 30  # of an ADC that rounds to single levels: CrossSim's 0 bits are none


class ProductSetting(NamedTuple):
    """Rows that differ in ADC bits alone: reduction length, outputs, rows of an array, bits and slices, variation."""

    length: int
    outputs: int
    rows: int
    weight_bits: int
    slices: int
    sigma: float


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of crosssim_mvm_snr: mean absolute error in dB, the share of rows within 1 dB (exact_fraction), and of
    rows inside the interval of one draw (interval_coverage).

    Ten draws a row for the first two; the set takes some ten seconds.
    """
    rows = tables.rows(f"imc/{_SET}.csv")
    if not rows:
        return []
    skipped: Counter[str] = Counter()
    asked: dict[ProductSetting, dict[int, float]] = {}
    for row in rows:
        found = _setting(row)
        if isinstance(found, str):
            skipped[found] += 1
        else:
            setting, adc_bits, value = found
            asked.setdefault(setting, {})[adc_bits] = value
    published: dict[str, list[float]] = {}
    predicted: dict[str, list[float]] = {}
    inside: dict[str, list[bool]] = {}
    for setting, values in asked.items():
        with deterministic():
            draws = np.array([signal_to_noise_db(setting, list(values), seed) for seed in range(_DISTRIBUTION_DRAWS)])
        for value, every in zip(values.values(), draws.T, strict=True):
            decibels, (low, high) = every[:_DRAWS], interval_of_one(every)
            scatter = "draws within" if decibels.std(ddof=1) <= _SCATTER_DB else "draws beyond"
            for group in ("all", f"slices: {setting.slices}", f"{scatter} {_SCATTER_DB} dB"):
                published.setdefault(group, []).append(value)
                predicted.setdefault(group, []).append(float(decibels.mean()))
                inside.setdefault(group, []).append(low <= value <= high)
    scores = []
    for group, measured in published.items():
        error = score("mean_absolute_error", predicted[group], measured)
        close = float(np.mean(np.abs(np.subtract(predicted[group], measured)) <= 1.0))
        results: tuple[tuple[MetricName, float], ...] = (
            ("mean_absolute_error", error),
            ("exact_fraction", close),
            ("interval_coverage", float(np.mean(inside[group]))),
        )
        for metric, result in results:
            scores.append(
                Score("crossbar", _SET, group, "frozen", len(measured), len(rows), metric, result, dict(skipped))
            )
    return scores


def interval_of_one(draws: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Where one more draw lies with probability 0.9, from n of a normal distribution: mean ± t s sqrt(1 + 1 / n).

    >>> [round(end, 2) for end in interval_of_one(np.array([-1.0, 0.0, 1.0]))]
    [-3.37, 3.37]
    """
    from scipy.stats import t

    n = len(draws)
    half = float(t.ppf((1 + _INTERVAL) / 2, n - 1) * draws.std(ddof=1) * np.sqrt(1 + 1 / n))
    return float(draws.mean()) - half, float(draws.mean()) + half


def _setting(row: Mapping[str, str]) -> tuple[ProductSetting, int, float] | str:
    """Setting, ADC bits and decibels of a row of the file, or why it is left out."""
    columns = ("K", "N", "rows_max", "weight_bits", "weight_slices", "adc_bits_(0=none)")
    try:
        length, outputs, rows, bits, slices, adc_bits = (int(row[name]) for name in columns)
        sigma, value = float(row["prop_conductance_sigma"]), float(row["SNR_dB"])
    except (KeyError, TypeError, ValueError):
        return "no number"
    if min(length, outputs, rows, slices) < 1 or bits < 2 or bits % slices or length % rows:
        return "slices or arrays of unequal size"
    return ProductSetting(length, outputs, rows, bits, slices, sigma), adc_bits, value


def signal_to_noise_db(setting: ProductSetting, adc_bits: Sequence[int], seed: int) -> list[float]:
    """10 log10 of the power of W X over that of its error, for each ADC; one draw of matrix, vectors and variation.

    adc_bits : 0 is an ADC that loses nothing.

    >>> [round(value) for value in signal_to_noise_db(ProductSetting(64, 64, 64, 8, 1, 0.0), [0, 10, 8], 0)]
    [39, 20, 8]
    """
    rng = np.random.default_rng(seed)
    weights = np.clip(rng.normal(0, _DEVIATION, (setting.length, setting.outputs)), -1, 1)
    vectors = np.clip(rng.normal(0, _DEVIATION, (_VECTORS, setting.length)), -1, 1)
    largest, largest_input = 2 ** (setting.weight_bits - 1) - 1, 2**_INPUT_BITS - 1
    values = torch.from_numpy(np.rint(weights * largest).astype(np.int64))[None]
    codes = torch.from_numpy(np.rint(vectors * largest_input).astype(np.int32))[None]
    array = _programmed(IntegerMatrix("product", values, setting.weight_bits, _INPUT_BITS), setting, seed)
    exact, decibels = vectors @ weights, []
    for bits in adc_bits:
        read = sliced_product(_with_range(array, setting, bits or _EXACT_BITS))(codes)[0].numpy()
        error = exact - read / (largest * largest_input)
        decibels.append(float(10 * np.log10(np.sum(exact**2) / np.sum(error**2))))
    return decibels


def _programmed(matrix: IntegerMatrix, setting: ProductSetting, seed: int) -> Crossbar:
    """The matrix in cells of CrossSim's device, the offset left to the digital side."""
    numerics = Numerics(
        setting.weight_bits,
        _INPUT_BITS,
        cell_bits=setting.weight_bits // setting.slices,
        dac_bits=_INPUT_BITS,
        active_rows=setting.rows,
        adc_bits=1,
        conductance_sigma=setting.sigma,
        off_conductance=_OFF_CONDUCTANCE,
    )
    return realised(replace(program(matrix, numerics), unit_step=0.0), torch.Generator().manual_seed(seed))


def _with_range(array: Crossbar, setting: ProductSetting, adc_bits: int) -> Crossbar:
    """The array read by ADCs of CrossSim's MAX range."""
    codes, levels, inputs = 2**adc_bits, 2**array.numerics.cell_bits, 2**_INPUT_BITS
    if setting.slices == 1:
        end: float = setting.rows * (levels - 1) * (inputs - 1)
    else:
        end = 2 ** round(np.log2(setting.rows)) * levels * (codes - 2) / codes * inputs
    numerics = array.numerics._replace(adc_bits=adc_bits)
    return replace(array, numerics=numerics, step=2 * end / (codes - 1), bottom=-end)
