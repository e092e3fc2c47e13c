"""Any published macro as a `CrossbarSpec`: `macro_from(row)` with the columns that surveys of such chips print.

A row says how a column sums (compute model), how many rows it sums, node, supply, bits of an input in one read and in
all, bits of a weight and of a converter. Everything else is shared by all macros (`macro_constants`), so that no chip
has a number of its own. What scatters between near copies of one macro is mostly not in such rows (share of ones,
sparsity, cell current, what an area covers): each is a knob of the Spec, with the default stated here, and
`macro_cost.macro_cost` says how far published figures lie from the prediction.

NOT modelled: what stands around a macro (a processor's figure is taken as its macros'), tricks that a paper's title
names (speculation, skipping, approximation), write and refresh.

[SURVEY] Shanbhag and Roy, Benchmarking In-memory Computing (IMC) Architectures, CICC 2022, and its data
(UIUC-IMC-Benchmarking, MIT licence); the fits and their errors: `hwmodels.validation.crossbar.survey`. [FLASH] Merrikh
Bayat et al., arXiv:1410.4781; Guo et al., arXiv:1611.03379.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.families.crossbar.devices import CELL_DEVICES
from hwmodels.families.crossbar.gates import NODE_NM, capacitance_nm
from hwmodels.families.crossbar.macro_constants import CONSTANTS, Constants, EnergyConstants, ReadTimeConstants, Sum
from hwmodels.families.crossbar.spec import CrossbarSpec

__all__ = ["COLUMNS", "Macro", "gate_overhead", "macro", "macro_from", "macro_sources", "macro_spec", "read_time_s"]

_KIND_OF_MODEL: dict[str, Sum] = {
    "QR": "redistribution", "QS": "charge", "QS-QR": "both", "IS": "current", "DIMC": "digital",
}  # fmt: skip

COLUMNS = {
    "Tech (nm)": "node",
    "Architecture": "SRAM, eDRAM, eNVM, eFlash, or Digital of a processor without arrays; what is not named is SRAM",
    "Cell Type": "transistors of a cell (6T, 8T1C), or its memory (ReRAM, PCM, NOR-F)",
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
_READ_V, _READ_V_EXPONENT = 0.9, 0.75  # [SURVEY] a study of its rows: between chips, times go with V^-0.75


# [FLASH] floating-gate cells that compute are tuned to subthreshold currents; ASSUMED (0.01 to 0.3): a tenth of what a
# resistive cell draws.
_SUBTHRESHOLD = 0.1


_PROCESSOR_SUMMED = 16  # ASSUMED (4 to 64): products that a processor's adders sum; an overhead stands for the rest


class Macro(NamedTuple):
    """A macro as its row states it; the missing columns by their defaults.

    rows : on a column, for `summed` of which one read is made. cells : of the macro. input_reads : of one input.
    read_s : one conversion with all its `reads`, None where the row states no time.
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
    read_s: float | None
    reads: int
    capacitors: float
    resistive: bool
    floating_gate: bool
    transistors: int

    @property
    def is_serial(self) -> bool:
        """Whether the activity of serial inputs applies."""
        return self.input_reads > 1 and self.kind not in ("redistribution", "processor")

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
    if architecture == "Digital":
        return _processor(row)
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
        read_s=1e-9 * time_ns if (time_ns := _number(row, "T_core(ns)", default=0.0)) else None,
        reads=int(_number(row, "reads", default=1)),
        capacitors=_number(row, "capacitors", default=1),
        resistive=resistive,
        floating_gate=resistive and (architecture == "eFlash" or re.search("NOR|FG|flash", cell) is not None),
        transistors=int(transistors[1]) if transistors else 6,
    )


def _processor(row: Mapping[str, Any]) -> Macro:
    """A digital chip without arrays as multipliers and adders: node, supply and bits are all that its row says."""
    node, supply = _number(row, "Tech (nm)"), _number(row, "Supply V(V)", default=0.0)
    bits, weight_bits = ceil(_number(row, "B_x")), _number(row, "B_w")
    input_reads = -(-bits // 8)
    if bits > _WIDEST_INPUT:
        raise SpecError("B_x", bits, f"at most {_WIDEST_INPUT} bits")
    return Macro(
        kind="processor", node_nm=node, supply_v=supply if 0 < supply <= _HIGHEST_READ_V else _nominal_v(node),
        summed=_PROCESSOR_SUMMED, rows=32, converters=1, cells=32 * ceil(weight_bits),
        input_bits=-(-bits // input_reads), input_reads=input_reads, weight_bits=weight_bits, adc_bits=0, read_s=None,
        reads=1, capacitors=1.0, resistive=False, floating_gate=False, transistors=6,
    )  # fmt: skip


def macro_from(row: Mapping[str, Any], *, constants: Constants = CONSTANTS) -> CrossbarSpec:
    """The macro of a row as a chip of the family, at its own supply and with random operands.

    >>> spec = macro_from({"Tech (nm)": 22, "Compute Model": "QR", "Cell Type": "9T", "N": 64, "N_ADC": 16, "B_x": 8,
    ...                    "B_w": 8, "B_ADC": 8, "capacitors": 3})
    >>> spec.supply_v, spec.unit_capacitors, spec.active_rows
    (0.8, 3.0, 64)
    """
    return macro_spec(macro(row), constants)


def read_time_s(of: Macro, constants: ReadTimeConstants) -> float:
    """One read of N rows with its conversion, s; of a counting converter all its reads r.

    T = r (0.9 V / V)^0.75 (base + N row + N s settling of unit capacitors + N resistive
        + of analogue macros 2^B step + B_x level where B_x > 1),  s the capacitance of the node over that at 28 nm
    """
    analogue, slower = of.kind not in ("digital", "processor"), (_READ_V / of.supply_v) ** _READ_V_EXPONENT
    time_s = constants.base_s + of.summed * constants.row_s
    if of.kind == "redistribution":
        settled = float(capacitance_nm(of.node_nm, 1)) / NODE_NM
        time_s += of.summed * settled * constants.redistribution_row_s
    if of.resistive:
        time_s += of.summed * constants.resistive_row_s
    if analogue:
        levels = of.input_bits if of.input_bits > 1 else 0
        time_s += 2.0**of.adc_bits * constants.step_s + levels * constants.level_s
    return float(of.reads * slower * time_s)


def macro_spec(of: Macro, constants: Constants) -> CrossbarSpec:
    """Knobs of a macro.

    Its columns are those of one conversion each: a weight's bits side by side, merged by charge or by adders, and
    converters take the groups of columns in turn, each in a read of its own.
    """
    energy, area = constants.energy, constants.area
    weight_columns = ceil(of.weight_bits)
    read_s = of.read_s or read_time_s(of, constants.read_time)
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
        "read_time_s": read_s / of.reads,
        "adc_samples_per_s": min(max(1 / read_s, 1e6), 1e10),
        "adc_model": "capacitive",
        "adc_bits": of.adc_bits or 8,
        "adc_step_f": energy.adc_step_f,
        "adc_fixed_f": energy.adc_fixed_f,
        "dac_f_per_bit": energy.driver_f_per_bit,
        "gate_overhead": _overhead(of, constants),
        "gate_area": area.gate_area,
        "adc_area_f2": area.converter_f2,
        "line_mm2": area.line_mm2,
        "control_mm2": area.control_mm2,
        "read_activity": energy.serial_activity if of.is_serial else 1.0,
    }
    return CrossbarSpec.parse({**_CHIP, **knobs, **_sum_knobs(of, energy), **_cell_knobs(of, constants)}, where="macro")


def gate_overhead(energy: EnergyConstants, node_nm: float) -> float:
    """Switched capacitance of a digital macro over that of its gates, which follow the node's capacitance s.

    overhead s^(exponent - 1)
    """
    capacitance = float(capacitance_nm(node_nm, 1)) / NODE_NM
    return float(energy.gate_overhead * capacitance ** (energy.digital_node_exponent - 1.0))


def _overhead(of: Macro, constants: Constants) -> float:
    if of.kind == "processor":
        return constants.processor_overhead
    return gate_overhead(constants.energy, of.node_nm) if of.kind == "digital" else constants.energy.gate_overhead


def macro_sources(of: Macro, spec: CrossbarSpec) -> dict[str, str]:
    """Where the knobs of a macro come from that differ from the family's defaults."""
    found, fitted = {}, _FITTED if of.read_s else _FITTED | {"read_time_s", "adc_samples_per_s"}
    for name, knob in CrossbarSpec.knobs().items():
        if getattr(spec, name) == knob.default:
            continue
        found[name] = "the row of the macro"
        if name in fitted:
            found[name] = "[SURVEY] fit, shared by all macros: hwmodels.families.crossbar.macro_constants"
        elif name in ("cell_write_j", "row_write_s", "endurance_writes"):
            found[name] = "ASSUMED: order of magnitude, hwmodels.families.crossbar.devices"
        elif name in _CHIP:
            found[name] = "ASSUMED: a small chip of 64 macros that takes weights from DRAM"
    return found


_FITTED = frozenset(
    ("cell_f_per_nm", "bitline_f_per_cell", "cell_current_a", "converter_current_a", "dac_f_per_bit", "adc_step_f",
     "adc_fixed_f", "gate_overhead", "read_activity", "gate_area", "adc_area_f2", "line_mm2", "control_mm2",
     "cell_area_f2", "node_law")
)  # fmt: skip


def _sum_knobs(of: Macro, energy: EnergyConstants) -> dict[str, Any]:
    """What the way of summing sets: a capacitance a cell at 28 nm, a current, or adders."""
    if of.kind in ("digital", "processor"):
        return {"compute": "adder_tree", "multiplier": "adders"}
    if of.kind == "cell_current":
        share = _SUBTHRESHOLD if of.floating_gate else 1.0
        currents = {"cell_current_a": share * energy.cell_current_a, "converter_current_a": energy.converter_current_a}
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


def _cell_knobs(of: Macro, constants: Constants) -> dict[str, Any]:
    """Size and writing of a cell; of SRAM and gain cells in proportion to their transistors."""
    written = CELL_DEVICES["rram" if of.resistive else "sram_6t"]
    of_transistors = constants.area.transistor_f2 * of.transistors
    return {
        "cell_device": "custom",
        "cell_area_f2": constants.area.resistive_cell_f2 if of.resistive else of_transistors,
        "cell_write_j": written.write_j,
        "row_write_s": written.row_write_s,
        "endurance_writes": written.endurance_writes,
        "dynamic_operands": "digital" if of.resistive else "arrays",
    }


_CHIP: dict[str, Any] = {
    # ASSUMED, as of the catalogue's macros: a small chip of 64 of them that takes weights from DRAM layer by layer.
    "arrays_per_ima": 1, "imas_per_tile": 16, "tiles": 4, "shift_adds_per_ima": 256, "scratch_tiles": 1,
    "weights": "reloaded", "buffer_bytes": 65536, "io_bytes_per_s": 12.8e9, "io_j_per_bit": 4e-12,
    "dram_j_per_bit": 3.7e-12, "io_mm2": 1.0,
}  # fmt: skip


def _nominal_v(node_nm: float) -> float:
    """Nominal supply of the nearest node."""
    return _NOMINAL_V[min(_NOMINAL_V, key=lambda known: abs(np.log(known / node_nm)))]


def _number(row: Mapping[str, Any], name: str, *, default: float | None = None, least: float = 0.0) -> float:
    """A column as a number above zero, at least `least`."""
    given = row.get(name)
    if given is None or str(given).strip() == "":
        if default is None:
            raise SpecError(name, "left out", f"a value: {COLUMNS[name]}")
        return default
    try:
        value = float(given)
    except (TypeError, ValueError):
        raise SpecError(name, given, "a number") from None
    if not np.isfinite(value) or value <= 0 or value < least:
        raise SpecError(name, given, f"at least {least:g}" if least else "> 0")
    return value
