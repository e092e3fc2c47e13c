"""What one macro costs by itself, without the chip around it: energy, time, area, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar.chip import area_parts
from hwmodels.families.crossbar.macro import Macro, macro, macro_spec
from hwmodels.families.crossbar.macro_constants import AREA_SPREAD, CONSTANTS, ENERGY_SPREAD, READ_TIME_SPREAD
from hwmodels.families.crossbar.model import MODEL, cost_at
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = ["Interval", "MacroCost", "macro_areas_mm2", "macro_cost", "macro_energies_j", "operation_j"]

F64 = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """What is expected, between ends that hold 80 % of published macros about their predictions, papers left out."""

    low: float
    expected: float
    high: float


class MacroCost(NamedTuple):
    """A macro by itself.

    operation_j : an operation of 1-bit operands, two to a MAC, random operands. read_s : one read of all converters,
    without a width where the row states it. area_mm2 : with drivers, converters and control. operations : of a read.
    """

    operation_j: Interval
    read_s: Interval
    area_mm2: Interval
    operations: float

    @property
    def tops_per_w(self) -> Interval:
        """Efficiency of 1-bit operands."""
        low, expected, high = (1e-12 / joules for joules in reversed(self.operation_j))
        return Interval(low, expected, high)

    @property
    def tops_per_mm2(self) -> Interval:
        """Density of 1-bit operands; the ends are those of time and area at once, so more than 80 %."""
        ends = zip(reversed(self.read_s), reversed(self.area_mm2), strict=True)
        low, expected, high = (1e-12 * self.operations / (seconds * area) for seconds, area in ends)
        return Interval(low, expected, high)


def macro_cost(row: Mapping[str, Any]) -> MacroCost:
    """What a row's macro costs, with how far published ones lie from such predictions.

    Raises
    ------
    SpecError : as of `macro`.

    >>> row = {"Tech (nm)": 28, "Compute Model": "QR", "N": 256, "N_ADC": 64, "B_x": 1, "B_w": 1, "B_ADC": 5}
    >>> [f"{value:.0f}" for value in macro_cost(row).tops_per_w]
    ['349', '884', '1396']
    """
    of = macro(row)
    spec = macro_spec(of, CONSTANTS)
    read_s = spec.read_time_s * of.reads
    return MacroCost(
        operation_j=_about(float(operation_j([of], [spec])[0]), ENERGY_SPREAD[of.kind]),
        read_s=_about(read_s, (1.0, 1.0) if of.read_s else READ_TIME_SPREAD),
        area_mm2=_about(float(macro_areas_mm2([spec])[0]), AREA_SPREAD),
        operations=2.0 * of.summed * of.converters * of.input_bits * of.weight_bits,
    )


def _about(expected: float, spread: tuple[float, float]) -> Interval:
    return Interval(spread[0] * expected, expected, spread[1] * expected)


def operation_j(macros: Sequence[Macro], specs: Sequence[CrossbarSpec]) -> F64:
    """Energy of an operation of 1-bit operands, (K,), J: two to a MAC, as surveys normalise."""
    energies = macro_energies_j(
        specs,
        weight_bits=[spec.weight_bits for spec in specs],
        activation_bits=[spec.activation_bits for spec in specs],
    )
    operations: F64 = energies / (2.0 * np.array([of.operand_bits for of in macros]))
    return operations


_MACRO_TERMS = ("array_j", "dac_j", "sample_hold_j", "adc_j", "shift_add_j")
_VECTORS = 1000


def macro_energies_j(
    specs: Sequence[CrossbarSpec], *, weight_bits: Sequence[int], activation_bits: Sequence[int]
) -> F64:
    """Energy of one MAC of a full array without its tile, (K,), J; nothing of it leaks, nothing is written."""
    rows, still = [], []
    for spec, wide, deep in zip(specs, weight_bits, activation_bits, strict=True):
        k = min(spec.active_rows or spec.array_rows, spec.array_rows)
        n = max(spec.array_cols // -(-min(wide, spec.weight_bits) // spec.cell_bits), 1)
        macs = _VECTORS * n * k
        rows.append(
            Row(Kind.LINEAR, m=_VECTORS, n=n, k=k, macs=macs, weight_elements=n * k, weight_bits=wide,
                activation_bits=deep)
        )  # fmt: skip
        still.append(spec.model_copy(update={"leakage_fraction": 0.0, "weights": "resident"}))
    index = np.arange(len(rows))
    out = np.zeros((len(rows), len(MODEL.layer_metrics)))
    table = CrossbarSpec.to_table(still)
    cost_at(Layers.of(rows), table, index, index, np.zeros(0), out, np.zeros(len(rows), np.int16))
    terms = [MODEL.layer_metrics.index(name) for name in _MACRO_TERMS]
    energies: F64 = out[:, terms].sum(axis=1) / np.array([row.macs for row in rows])
    return energies


def macro_areas_mm2(specs: Sequence[CrossbarSpec]) -> F64:
    """Area of one array with its drivers, converters or adders, and sums, (K,), mm²."""
    table = CrossbarSpec.to_table(list(specs))
    parts = area_parts(table)
    whole: F64 = (parts.adc + parts.dac + parts.sample_hold + parts.array + parts.shift_add) / table.arrays_per_ima
    return whole
