"""What one macro costs by itself, without the chip around it: energy of an operation, area, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar.chip import area_parts
from hwmodels.families.crossbar.macro import Macro, macro, macro_spec
from hwmodels.families.crossbar.macro_constants import CONSTANTS, ENERGY_SPREAD
from hwmodels.families.crossbar.model import MODEL, cost_at
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = ["energy_interval_j", "macro_areas_mm2", "macro_energies_j", "operation_j"]

F64 = npt.NDArray[np.float64]


def energy_interval_j(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Energy of an operation of 1-bit operands, J: what is expected of a row's macro, between the ends of its interval.

    The interval holds 80 % of published macros about their predictions, papers left out. 1e-12 over it is TOPS/W.
    """
    of = macro(row)
    expected = float(operation_j([of], [macro_spec(of, CONSTANTS)])[0])
    low, high = ENERGY_SPREAD[of.kind]
    return low * expected, expected, high * expected


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
