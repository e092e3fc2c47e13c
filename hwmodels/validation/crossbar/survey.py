"""Macros of 49 papers, each row through `macro_from` and the family's cost model, one paper left out at a time.

[SURVEY] Shanbhag and Roy, CICC 2022, in its repository's later state: 1-bit operations, two to a MAC. Nothing belongs
to a chip: twelve constants of energy are fitted to the other papers, kinds of macro and supplies alike.

What was decided with all rows in view: the forms of the laws (their source is a study of the same rows), which rows
are corrected (`CORRECTIONS`, each for what it or its title says; that the C-2C ladder has three capacitors a bit was
looked up when its row was the only one of charge redistribution beyond a factor of two), which are left out
(`EXCLUDED`), and that floating-gate cells draw less than resistive ones (two rows, of which one states no read time:
without it the median error of all 62 efficiencies is 49 % instead of 40 %, and 82 % are within 3x instead of 84 %). So
the left-out errors cover the constants, not the forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.crossbar.gates import NODE_NM, capacitance_nm
from hwmodels.families.crossbar.macro import Macro, macro, macro_spec, read_time_s
from hwmodels.families.crossbar.macro_constants import (
    CONSTANTS,
    AreaConstants,
    Constants,
    EnergyConstants,
    ReadTimeConstants,
)
from hwmodels.families.crossbar.macro_cost import macro_areas_mm2, operation_j
from hwmodels.validation.crossbar.survey_fit import Law

__all__ = [
    "CORRECTIONS",
    "EXCLUDED",
    "PRIOR",
    "SUPPLIES_AS_PRINTED",
    "Chip",
    "Correction",
    "Rows",
    "area_law",
    "chips",
    "corrected",
    "energy_law",
    "processor_law",
    "processors",
    "read_time_law",
]

F64 = npt.NDArray[np.float64]
Rows = Sequence[Mapping[str, str]]

_ENERGY_PRIOR = EnergyConstants(
    # Textbook orders of magnitude at 28 nm, of ones among random bits 1/4: 1 fF of a metal capacitor and of a cell's
    # read path, 5 fF where a current is held for a slow read, 0.2 fF a cell of bit line, 1 µA of a resistive cell
    # that is on half the time, 10 µA of a column's clamp, 2 fF of a driver, 6 fJ a step [WALDEN], 50 fF of a
    # comparator, half again of wires and clock, half of the bits of a serial operand, gates that shrink as all do.
    capacitor_f=4e-15, charge_f=4e-15, current_sum_f=20e-15, bitline_f=0.2e-15, cell_current_a=2e-6,
    converter_current_a=10e-6, driver_f_per_bit=2e-15, adc_step_f=6e-15, adc_fixed_f=50e-15, gate_overhead=1.5,
    serial_activity=0.5, digital_node_exponent=1.0,
)  # fmt: skip
_READ_TIME_PRIOR = ReadTimeConstants(
    # A clock and a sense amplifier 2 ns; lines of 100 rows 1 ns, settling of 100 capacitors or cells 10 ns; a step of a
    # ramp 15 ps; a level of an input 1 ns.
    base_s=2e-9, row_s=10e-12, redistribution_row_s=100e-12, resistive_row_s=100e-12, step_s=15e-12, level_s=1e-9,
)  # fmt: skip
_AREA_PRIOR = AreaConstants(
    # 6T cells of 150 F² [NEUROSIM: 120 to 600 by node] with their share of decoders: 100 F² a transistor; a resistive
    # cell with write drivers 1000 F²; 0.5 µm of pitch by 100 µm a line; 1e5 F² a bit of a SAR [ZIGZAG: 28 nm, 6 bits];
    # a fifth of standard cells; 0.1 mm by 0.2 mm of control.
    transistor_f2=100.0, resistive_cell_f2=1000.0, line_mm2=50e-6, converter_f2=1e5, gate_area=0.2, control_mm2=0.02,
)  # fmt: skip
PRIOR = Constants(_ENERGY_PRIOR, _READ_TIME_PRIOR, _AREA_PRIOR)
"""Textbook orders of magnitude, about which the fits may go by a factor of seven (one standard deviation)."""


class Correction(NamedTuple):
    """Columns of the rows of a paper (its `Index`) that differ from the file, and why; `where` picks among its rows."""

    paper: str
    where: Mapping[str, str]
    values: Mapping[str, str]
    reason: str


_SUPPLY = Correction(
    "89", {"Supply V(V)": "1.1"}, {"Supply V(V)": "0.7", "T_core(ns)": "6.95", "TOPS/mm2": "152.1"},
    "its TOPS/W is that of 0.7 V, its rate that of 1.1 V, by the macro's published sweep",
)  # fmt: skip
CORRECTIONS = (
    Correction("3", {"B_ADC": "5"}, {"reads": "31"},
               "time and energy are 31 = 2^5 - 1 times those of the 1-bit row of the same macro: a counting converter"),
    Correction("10", {}, {"Compute Model": "QS"}, "states no model; widths of pulses sum as charge"),
    Correction("30", {}, {"Supply V(V)": ""}, "4.2 V is a write supply"),
    Correction("73", {}, {"N_ADC": "64"}, "missing; N_1b = 2 N N_ADC B_x B_w"),
    Correction("89", {}, {"capacitors": "3"}, "a C-2C ladder, by its title: a C and a 2C a bit"),
    _SUPPLY,
    Correction("108", {}, {"TOPS/mm2": "1.6"}, "operations of one of 160 cores over the area of all, 0.01"),
    Correction("202", {}, {"Tech (nm)": "28", "Core Size(Kb)": "16"}, "its title says 28 nm; 16384 is in bits"),
)  # fmt: skip

SUPPLIES_AS_PRINTED = tuple(correction for correction in CORRECTIONS if correction is not _SUPPLY)
"""All corrections but that of a supply, which another table told: the survey by itself."""

EXCLUDED = {
    "84": "N = 1 and 19 x 27 cells summed contradict each other",
}
"""Papers whose rows state no macro, by the reason."""


class Chip(NamedTuple):
    """A row that states a macro and its efficiency; `row` is corrected."""

    paper: str
    row: Mapping[str, str]
    macro: Macro
    tops_per_w: float

    @property
    def operations(self) -> float:
        """1-bit operations of one read of all converters, two to a MAC."""
        of = self.macro
        return 2.0 * of.summed * of.converters * of.input_bits * of.weight_bits

    @property
    def tops_per_mm2(self) -> float | None:
        """As printed; None where no read time is."""
        printed = (self.row.get("TOPS/mm2") or "").strip()
        return float(printed) if printed and self.macro.read_s else None


def corrected(row: Mapping[str, str], corrections: Sequence[Correction] = CORRECTIONS) -> dict[str, str]:
    """The row with what `corrections` say of it."""
    found = dict(row)
    for correction in corrections:
        if row.get("Index") == correction.paper and all(row.get(k) == v for k, v in correction.where.items()):
            found |= correction.values
    return found


def chips(rows: Rows, corrections: Sequence[Correction] = CORRECTIONS) -> tuple[list[Chip], dict[str, int]]:
    """Macros of the survey with an efficiency, and the other rows by the reason that they are none."""
    found: list[Chip] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        paper, efficiency = row.get("Index") or "", (row.get("TOPS/W") or "").strip()
        if row.get("Architecture") == "Digital":
            skipped["a digital processor, scored apart"] += 1
        elif paper in EXCLUDED:
            skipped[EXCLUDED[paper]] += 1
        elif not efficiency:
            skipped["no efficiency"] += 1
        else:
            try:
                right = corrected(row, corrections)
                found.append(Chip(paper, right, macro(right), float(efficiency)))
            except SpecError as error:
                skipped[f"no {error.where}"] += 1
    return found, dict(skipped)


def processors(rows: Rows) -> tuple[list[Chip], dict[str, int]]:
    """Digital processors of the survey, each row once, and those that state too little."""
    found: list[Chip] = []
    skipped: Counter[str] = Counter()
    seen = set()
    for row in rows:
        key = tuple(row.get(name) or "" for name in ("Index", "TOPS/W", "Supply V(V)"))
        if row.get("Architecture") != "Digital":
            skipped["a macro, scored apart"] += 1
        elif key in seen:
            skipped["the same row again"] += 1
        else:
            seen.add(key)
            try:
                found.append(Chip(key[0], row, macro(row), float(key[1])))
            except SpecError as error:
                skipped[f"no {error.where}"] += 1
    return found, dict(skipped)


def processor_law(found: Sequence[Chip]) -> Law:
    """Energy of a 1-bit operation of processors, in proportion to their overhead."""
    macros = [chip.macro for chip in found]
    whole = operation_j(macros, [macro_spec(of, CONSTANTS) for of in macros])
    return Law(
        parts=whole[:, None],
        rest=np.zeros(whole.size),
        measured=np.array([1e-12 / chip.tops_per_w for chip in found]),
        papers=np.array([chip.paper for chip in found]),
        prior=np.ones(1),
    )


def energy_law(found: Sequence[Chip]) -> Law:
    """Energy of a 1-bit operation through the cost model; reads of serial inputs are scaled by their activity, digital
    macros by a power of their node's capacitance."""
    macros = [chip.macro for chip in found]

    def joules(energy: EnergyConstants) -> F64:
        constants = Constants(energy=energy)
        return operation_j(macros, [macro_spec(of, constants) for of in macros])

    serial = np.array([of.is_serial for of in macros], np.float64)
    nodes = np.array([float(capacitance_nm(of.node_nm, 1)) if of.kind == "digital" else NODE_NM for of in macros])
    # The exponent is a logarithm already: that of a constant of 1 at the reference.
    reference = CONSTANTS.energy._replace(serial_activity=1.0, digital_node_exponent=1.0)
    law = _linear(found, joules, reference, PRIOR.energy, names=EnergyConstants._fields[:-2])
    return law._replace(scaled=np.column_stack([serial, np.log(nodes / NODE_NM)]))


def read_time_law(found: Sequence[Chip]) -> Law:
    """Read time of macros that state it, s."""
    timed = [chip for chip in found if chip.macro.read_s]

    def seconds(constants: ReadTimeConstants) -> F64:
        return np.array([read_time_s(chip.macro, constants) for chip in timed])

    law = _linear(timed, seconds, CONSTANTS.read_time, PRIOR.read_time)
    return law._replace(measured=np.array([chip.macro.read_s or 0.0 for chip in timed]))


def area_law(found: Sequence[Chip]) -> Law:
    """Area of a macro, mm², where time and density are stated: operations a read over time and density."""
    dense = [chip for chip in found if chip.tops_per_mm2]
    macros = [chip.macro for chip in dense]

    def areas(area: AreaConstants) -> F64:
        constants = Constants(area=area)
        return macro_areas_mm2([macro_spec(of, constants) for of in macros])

    law = _linear(dense, areas, CONSTANTS.area, PRIOR.area)
    rates = np.array([chip.operations / (chip.macro.read_s or 1.0) for chip in dense])
    return law._replace(measured=rates / (1e12 * np.array([chip.tops_per_mm2 or 1.0 for chip in dense])))


def _linear(
    found: Sequence[Chip], of: Callable[[Any], F64], reference: Any, prior: Any, *, names: Sequence[str] | None = None
) -> Law:
    """A law that is linear in its constants, from its value at a reference and at each of them doubled."""
    whole = of(reference)
    doubled = [{name: 2 * getattr(reference, name)} for name in names or reference._fields]
    parts = np.stack([of(reference._replace(**one)) - whole for one in doubled], axis=1)
    return Law(
        parts=parts,
        rest=whole - parts.sum(axis=1),
        measured=np.array([1e-12 / chip.tops_per_w for chip in found]),
        papers=np.array([chip.paper for chip in found]),
        prior=np.array(prior) / np.array(reference),
    )
