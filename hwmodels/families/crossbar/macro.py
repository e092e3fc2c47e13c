"""Any published macro as a `CrossbarSpec`: `macro_from(row)` with the columns that surveys of such chips print.

A row says how a column sums (compute model), how many rows it sums, node, supply, bits of an input in one read and in
all, bits of a weight and of a converter. Everything else is shared by all macros: eleven constants of energy, fitted to
the rows of a survey [SURVEY] with textbook priors, so that no chip has a number of its own. What scatters between near
copies of one macro is mostly not in such rows (share of ones, sparsity, cell current, what an area covers): each is a
knob of the Spec, with the default stated here, and `ENERGY_SPREAD` says how far published figures lie from the
prediction.

NOT modelled: what stands around a macro (a processor's figure is taken as its macros'), tricks that a paper's title
names (speculation, skipping, approximation), write and refresh.

[SURVEY] Shanbhag and Roy, Benchmarking In-memory Computing (IMC) Architectures, CICC 2022, and its data
(UIUC-IMC-Benchmarking, MIT licence); the fits and their errors: `hwmodels.validation.crossbar.survey`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.crossbar.devices import CELL_DEVICES
from hwmodels.families.crossbar.model import MODEL, cost_at
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = [
    "COLUMNS",
    "ENERGY",
    "ENERGY_SPREAD",
    "KINDS",
    "EnergyConstants",
    "Macro",
    "energy_interval_j",
    "macro",
    "macro_energies_j",
    "macro_from",
    "macro_spec",
    "operation_j",
]

F64 = npt.NDArray[np.float64]

Sum = Literal["redistribution", "charge", "both", "current", "cell_current", "digital"]
KINDS: tuple[Sum, ...] = ("redistribution", "charge", "both", "current", "cell_current", "digital")
"""How a column sums: charge shared between capacitors (QR), charge drawn from a line (QS), both (QS-QR), current held
by its circuit (IS in SRAM), current of resistive or floating-gate cells over the read (IS), adders (DIMC)."""

_KIND_OF_MODEL: dict[str, Sum] = {
    "QR": "redistribution", "QS": "charge", "QS-QR": "both", "IS": "current", "DIMC": "digital",
}  # fmt: skip

COLUMNS = {
    "Tech (nm)": "node",
    "Architecture": "SRAM, eDRAM, eNVM or eFlash; what is not named is SRAM",
    "Cell Type": "transistors of a cell (6T, 8T1C), or its memory (ReRAM, PCM)",
    "Core Size(Kb)": "cells in units of 1024",
    "Supply V(V)": "supply; nominal of the node where empty",
    "Compute Model": "QR, QS, QS-QR, IS or DIMC",
    "N": "rows summed: length of the dot product",
    "N_ADC": "converters or adder trees: dot products at once",
    "R": "rows on a column, R_C of which are summed",
    "R_C": "rows summed on a column",
    "B_x": "input bits in one read",
    "B_w": "weight bits; 1.5 of a ternary one",
    "B_ADC": "bits of a converter",
    "alpha": "reads of an input: its bits over B_x",
    "T_core(ns)": "one read of all converters",
    "reads": "beyond the survey: reads of one conversion, as 2^n - 1 of a counting converter",
    "capacitors": "beyond the survey: capacitors a cell, as 3 of a C-2C ladder",
}
"""The columns that `macro` reads, and what each means; others are left alone."""

# ASSUMED (within 0.2 V): nominal core supplies of logic processes, for rows that state none.
_NOMINAL_V = {180.0: 1.8, 130.0: 1.2, 90.0: 1.2, 65.0: 1.2, 45.0: 1.0, 40.0: 1.1, 28.0: 0.9, 22.0: 0.8, 4.0: 0.7}
_HIGHEST_READ_V = 2.0  # ASSUMED (1.8 to 3): above it a supply is that of writes
_WIDEST_INPUT = 16  # bits: that of the knob activation_bits
_UNSTATED_READ_S = 12e-9  # [SURVEY] median of the resistive rows that state one; ASSUMED (2 to 150 ns) elsewhere


class EnergyConstants(NamedTuple):
    """What all macros share, at 28 nm and 1 V.

    capacitor_f : unit capacitor of a cell that redistributes charge. charge_f : charge of a cell and 1-bit pulse over
    the supply. current_sum_f : the same of a cell whose current the circuit holds. bitline_f : a column, for every
    cell on it. cell_current_a, converter_current_a : of a resistive or floating-gate cell that is on, and of its
    column's bias. driver_f_per_bit : a row driven, for each bit of an input of 2 bits or more. adc_step_f,
    adc_fixed_f : a conversion, a step and at all. gate_overhead : of digital macros, over their gates.
    serial_activity : energy of a read over that of random operands, where the bits of an input come one read after the
    other; unit capacitors, which are reset at every read, are exempt. The high bits of published averages are mostly
    zero, and how they were averaged is seldom said: state `read_activity` where you know it.
    """

    capacitor_f: float
    charge_f: float
    current_sum_f: float
    bitline_f: float
    cell_current_a: float
    converter_current_a: float
    driver_f_per_bit: float
    adc_step_f: float
    adc_fixed_f: float
    gate_overhead: float
    serial_activity: float


ENERGY = EnergyConstants(
    # [SURVEY] fit to its 62 rows of macros; the factor beside each is one standard deviation, by jackknife over papers.
    capacitor_f=6.7e-15,  # 1.3
    charge_f=3.0e-15,  # 1.6
    current_sum_f=29.1e-15,  # 1.4
    bitline_f=0.183e-15,  # 1.9
    cell_current_a=1.05e-6,  # 1.4
    converter_current_a=15.4e-6,  # 1.6
    driver_f_per_bit=2.25e-15,  # 1.3
    adc_step_f=3.9e-15,  # 2.0: the survey cannot tell it from the next
    adc_fixed_f=113e-15,  # 1.7
    gate_overhead=1.63,  # 1.2
    serial_activity=0.158,  # 1.9
)
"""The constants that `macro_from` takes."""

ENERGY_SPREAD: dict[Sum, tuple[float, float]] = {
    "redistribution": (0.663, 1.55), "charge": (0.180, 4.29), "both": (0.400, 2.36), "current": (0.400, 2.36),
    "cell_current": (0.260, 2.13), "digital": (0.292, 4.77),
}  # fmt: skip
"""Measured over predicted energy of published macros, 10th and 90th percentile of the left-out predictions; of kinds
with fewer than ten rows, those of all."""


class Macro(NamedTuple):
    """A macro as its row states it; the missing columns by their defaults.

    rows : on a column, for `summed` of which one read is made. cells : of the macro. input_reads : of one input.
    """

    kind: Sum
    node_nm: float
    supply_v: float
    summed: int
    rows: int
    converters: int
    cells: int
    input_bits: int
    input_reads: int
    weight_bits: float
    adc_bits: int
    read_s: float
    reads: int
    capacitors: float
    resistive: bool
    transistors: int

    @property
    def is_serial(self) -> bool:
        """Whether the activity of serial inputs applies."""
        return self.input_reads > 1 and self.kind != "redistribution"

    @property
    def operand_bits(self) -> float:
        """1-bit products of a MAC: input bits times weight bits."""
        return self.input_bits * self.input_reads * self.weight_bits


def macro(row: Mapping[str, Any]) -> Macro:
    """A row of the columns `COLUMNS`, text or numbers.

    Raises
    ------
    SpecError : a column that is missing, no number, or out of bounds.
    """
    architecture, cell = str(row.get("Architecture") or "SRAM").strip(), str(row.get("Cell Type") or "")
    resistive = architecture in ("eNVM", "eFlash")
    model = str(row.get("Compute Model") or "").strip()
    if model not in _KIND_OF_MODEL:
        raise SpecError.unknown("Compute Model", model, _KIND_OF_MODEL)
    kind = _KIND_OF_MODEL[model]
    node, summed = _number(row, "Tech (nm)"), int(_number(row, "N", least=2))
    input_bits, weight_bits = round(_number(row, "B_x")), _number(row, "B_w")
    converters = int(_number(row, "N_ADC", least=1))
    supply = _number(row, "Supply V(V)", default=0.0)
    on_column, summed_on_column = (_number(row, name, default=summed) for name in ("R", "R_C"))
    rows = min(max(round(summed * on_column / summed_on_column), summed, 32), 4096)
    input_reads = round(_number(row, "alpha", default=1))
    if input_bits * input_reads > _WIDEST_INPUT:
        raise SpecError("alpha", input_reads, f"reads of an input of at most {_WIDEST_INPUT} bits")
    transistors = re.search(r"(\d+)T", cell)
    return Macro(
        kind="cell_current" if kind == "current" and resistive else kind,
        node_nm=node,
        supply_v=supply if 0 < supply <= _HIGHEST_READ_V else _nominal_v(node),
        summed=summed,
        rows=rows,
        converters=converters,
        cells=round(1024 * _number(row, "Core Size(Kb)", default=rows * converters * ceil(weight_bits) / 1024)),
        input_bits=input_bits,
        input_reads=input_reads,
        weight_bits=weight_bits,
        adc_bits=0 if kind == "digital" else ceil(_number(row, "B_ADC")),
        read_s=1e-9 * _number(row, "T_core(ns)", default=1e9 * _UNSTATED_READ_S),
        reads=int(_number(row, "reads", default=1)),
        capacitors=_number(row, "capacitors", default=1),
        resistive=resistive,
        transistors=int(transistors[1]) if transistors else 6,
    )


def macro_from(row: Mapping[str, Any], *, energy: EnergyConstants | None = None) -> CrossbarSpec:
    """The macro of a row as a chip of the family, at its own supply and with random operands.

    >>> spec = macro_from({"Tech (nm)": 22, "Compute Model": "QR", "Cell Type": "9T", "N": 64, "N_ADC": 16, "B_x": 8,
    ...                    "B_w": 8, "B_ADC": 8, "capacitors": 3})
    >>> spec.supply_v, spec.unit_capacitors, spec.active_rows
    (0.8, 3.0, 64)
    """
    return macro_spec(macro(row), energy or ENERGY)


def macro_spec(of: Macro, energy: EnergyConstants) -> CrossbarSpec:
    """Knobs of a macro.

    Its columns are those of one conversion each: a weight's bits side by side, merged by charge or by adders, and
    converters take the groups of columns in turn, each in a read of its own.
    """
    weight_columns = ceil(of.weight_bits)
    shared = max(1, round(of.cells / of.rows / (of.converters * weight_columns)))
    columns = of.converters * shared * weight_columns
    knobs: dict[str, Any] = {
        "circuit": "gates",
        "node_nm": of.node_nm,
        "supply_v": of.supply_v,
        "component_supply_v": of.supply_v,
        "node_law": "saturating",
        "array_rows": of.rows,
        "active_rows": of.summed,
        "array_cols": min(max(columns, 32), 32768),
        "cell_bits": 1,
        "weight_bits": weight_columns,
        "dac_bits": of.input_bits,
        "activation_bits": of.input_bits * of.input_reads,
        "merge_slices": True,
        "columns_per_adc": min(shared, 32768),
        "column_reads": "repeated",
        "reads_per_conversion": of.reads,
        "read_time_s": of.read_s / of.reads,
        "adc_samples_per_s": min(max(1 / of.read_s, 1e6), 1e10),
        "adc_model": "capacitive",
        "adc_bits": of.adc_bits or 8,
        "adc_step_f": energy.adc_step_f,
        "adc_fixed_f": energy.adc_fixed_f,
        "dac_f_per_bit": energy.driver_f_per_bit,
        "gate_overhead": energy.gate_overhead,
        "read_activity": energy.serial_activity if of.is_serial else 1.0,
    }
    return CrossbarSpec.parse({**_CHIP, **knobs, **_sum_knobs(of, energy), **_cell_knobs(of)}, where="macro")


def _sum_knobs(of: Macro, energy: EnergyConstants) -> dict[str, Any]:
    """What the way of summing sets: a capacitance a cell at 28 nm, a current, or adders."""
    if of.kind == "digital":
        return {"compute": "adder_tree", "multiplier": "adders"}
    if of.kind == "cell_current":
        currents = {"cell_current_a": energy.cell_current_a, "converter_current_a": energy.converter_current_a}
        return {"cell_f_per_nm": 0.0, **currents}
    farad = {
        "redistribution": energy.capacitor_f,
        "charge": energy.charge_f,
        "both": energy.capacitor_f + energy.charge_f,
        "current": energy.current_sum_f,
    }[of.kind]
    by_charge = of.kind in ("charge", "both")
    return {
        "cell_f_per_nm": farad / 28.0,
        "unit_capacitors": of.capacitors,
        "input_form": "pulse" if by_charge else "level",
        "bitline_f_per_cell": energy.bitline_f if by_charge else 0.0,
    }


def _cell_knobs(of: Macro) -> dict[str, Any]:
    """Writing and size of a cell; SRAM in proportion to its transistors."""
    if of.resistive:
        return {"cell_device": "rram", "dynamic_operands": "digital"}
    six = CELL_DEVICES["sram_6t"]
    return {
        "cell_device": "custom",
        "cell_area_f2": six.area_f2 * of.transistors / 6,
        "cell_write_j": six.write_j,
        "row_write_s": six.row_write_s,
        "endurance_writes": six.endurance_writes,
        "dynamic_operands": "arrays",
    }


_CHIP: dict[str, Any] = {
    # ASSUMED, as of the catalogue's macros: a small chip of 64 of them that takes weights from DRAM layer by layer.
    "arrays_per_ima": 1, "imas_per_tile": 16, "tiles": 4, "shift_adds_per_ima": 256, "scratch_tiles": 1,
    "weights": "reloaded", "buffer_bytes": 65536, "io_bytes_per_s": 12.8e9, "io_j_per_bit": 4e-12,
    "dram_j_per_bit": 3.7e-12, "io_mm2": 1.0,
}  # fmt: skip


def energy_interval_j(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Energy of an operation of 1-bit operands, J: what is expected of a row's macro, between the ends of its interval.

    The interval holds 80 % of published macros about their predictions, papers left out. 1e-12 over it is TOPS/W.
    """
    of = macro(row)
    expected = float(operation_j([of], [macro_spec(of, ENERGY)])[0])
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


def _nominal_v(node_nm: float) -> float:
    """Nominal supply of the nearest node."""
    return _NOMINAL_V[min(_NOMINAL_V, key=lambda known: abs(np.log(known / node_nm)))]


def _number(row: Mapping[str, Any], name: str, *, default: float | None = None, least: float = 0.0) -> float:
    """A column as a number above zero, at least `least`."""
    given = row.get(name)
    if given is None or str(given).strip() == "":
        if default is None:
            raise SpecError(name, "", COLUMNS[name])
        return default
    try:
        value = float(given)
    except (TypeError, ValueError):
        raise SpecError(name, given, "a number") from None
    if not np.isfinite(value) or value <= 0 or value < least:
        raise SpecError(name, given, f"at least {least:g}" if least else "> 0")
    return value
