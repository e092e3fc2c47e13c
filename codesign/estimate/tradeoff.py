"""Accuracy against energy of one trained network over ADC resolution and array size: what a crossbar designer asks.

Fewer ADC bits save energy and lose accuracy; larger arrays share their periphery among more rows and need more bits
for the same accuracy. Both are read off here for the same network: cost from the family's model, accuracy from an
estimator under the numerics of each design, the mean and spread over its draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimator, Request
from codesign.estimate.interval import wilson
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision
from hwmodels.workload.table import layer_table

__all__ = ["Tradeoff", "accuracy_against_energy", "image_network"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tradeoff:
    """Designs of one device under one network, (D,) each.

    array_rows : of a square array. accuracy, accuracy_test : mean over draws. accuracy_low, accuracy_high : the 95 %
    interval by the number of images. spread : deviation of `accuracy` over draws, NaN of one draw. energy_j and
    latency_s : per image. infeasible : why a design cannot run the network, or "".
    """

    network: str
    array_rows: I64
    adc_bits: I64
    accuracy: F64
    accuracy_low: F64
    accuracy_high: F64
    accuracy_test: F64
    spread: F64
    draws: I64
    energy_j: F64
    latency_s: F64
    area_mm2: F64
    infeasible: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a design, for a table or a CSV file."""
        columns = {name: values for name, values in vars(self).items() if name != "network"}
        lists = [values.tolist() if isinstance(values, np.ndarray) else values for values in columns.values()]
        return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def accuracy_against_energy(
    workload: Workload,
    estimator: Estimator,
    *,
    model: CostModel,
    spec: Spec,
    array_rows: Sequence[int] = (32, 64, 128, 256),
    adc_bits: Sequence[int] = (3, 4, 5, 6, 7, 8),
    fidelity: float = 1.0,
    seed: int = 0,
) -> Tradeoff:
    """Every array size with every ADC resolution on chips of equal cells, the other knobs as in `spec`.

    Parameters
    ----------
    workload : one image a batch or more; costs are per image. model, spec : a family with the knobs `array_rows`,
        `array_cols`, `active_rows`, `tiles` and `adc_bits`. array_rows : sizes of square arrays, read as a whole.

    Raises
    ------
    SpecError : a size or resolution that the family does not take, or another family.
    """
    specs = [
        spec.revised({**_of_equal_cells(spec, rows), "adc_bits": bits}, where="trade-off")
        for rows in array_rows
        for bits in adc_bits
    ]
    table, count = layer_table([workload]), len(specs)
    costs = evaluate_pairs(
        model, table, type(spec).to_table(specs), network=np.zeros(count, np.int64), config=np.arange(count)
    )
    requests = [Request((), workload, design.numerics(), fidelity, seed) for design in specs]
    answers = dict(estimator.estimate(requests))
    found = [answers[position] for position in range(count)]
    low, high = np.array([wilson(estimate.accuracy, estimate.images) for estimate in found]).reshape(-1, 2).T
    return Tradeoff(
        network=workload.name,
        array_rows=np.repeat(np.array(array_rows, np.int64), len(adc_bits)),
        adc_bits=np.tile(np.array(adc_bits, np.int64), len(array_rows)),
        accuracy=np.array([estimate.accuracy for estimate in found]),
        accuracy_low=low,
        accuracy_high=high,
        accuracy_test=np.array([estimate.accuracy_test for estimate in found]),
        spread=np.array([estimate.spread if len(estimate.draws) != 1 else np.nan for estimate in found]),
        draws=np.array([len(estimate.draws) for estimate in found], np.int64),
        energy_j=costs.columns["energy_j"] / workload.batch,
        latency_s=costs.columns["latency_s"] / workload.batch,
        area_mm2=costs.columns["area_mm2"],
        infeasible=tuple(costs.reasons[code - 1] if code else "" for code in costs.infeasible),
    )


def _of_equal_cells(spec: Spec, rows: int) -> dict[str, int]:
    """Square arrays of so many rows, in as many tiles as keep the cells of the chip, at least one."""
    knobs = spec.model_dump()
    tiles = round(knobs["tiles"] * knobs["array_rows"] * knobs["array_cols"] / rows**2)
    return {"array_rows": rows, "array_cols": rows, "active_rows": 0, "tiles": max(1, tiles)}


def image_network(
    image: tuple[int, int, int], classes: int, *, widths: Sequence[int] = (16, 32, 64), bits: int = 8
) -> Workload:
    """A small convolutional classifier of images (C, H, W): a 3x3 layer a width, halving from the second on."""
    net = Builder("image-network", (1, *image), precision=Precision(bits, bits, 32))
    x = net.input
    for index, width in enumerate(widths):
        x = net.conv_norm_act(x, width, 3, stride=1 if index == 0 else 2)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), classes))
