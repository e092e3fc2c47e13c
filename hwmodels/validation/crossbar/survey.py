"""Macros of sixty papers, each row through `macro_from` and the family's cost model, one paper left out at a time.

[SURVEY] Shanbhag and Roy, CICC 2022, in its repository's later state: 1-bit operations, two to a MAC. Nothing belongs
to a chip: eleven constants of energy are fitted to the other papers, kinds of macro and supplies alike.

What was decided with all rows in view: the forms of the laws (their source is a study of the same rows), which rows
are corrected (`CORRECTIONS`, each for what it or its title says; that the C-2C ladder has three capacitors a bit was
looked up when its row was the only one of charge redistribution beyond a factor of two), and which are left out
(`EXCLUDED`). So the left-out errors cover the constants, not the forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.crossbar.macro import ENERGY, EnergyConstants, Macro, macro, macro_spec, operation_j
from hwmodels.validate import MetricName, Score, score
from hwmodels.validation.crossbar.survey_fit import (
    Law,
    leave_one_paper_out,
    medians_left_out,
    spread_left_out,
)

__all__ = [
    "CORRECTIONS",
    "EXCLUDED",
    "PRIOR",
    "Chip",
    "Correction",
    "chips",
    "corrected",
    "energy_law",
    "energy_scores",
]

F64 = npt.NDArray[np.float64]
Rows = Sequence[Mapping[str, str]]

PRIOR = EnergyConstants(
    # Textbook orders of magnitude at 28 nm, of ones among random bits 1/4: 1 fF of a metal capacitor and of a cell's
    # read path, 5 fF where a current is held for a slow read, 0.2 fF a cell of bit line, 1 µA of a resistive cell
    # that is on half the time, 10 µA of a column's clamp, 2 fF of a driver, 6 fJ a step [WALDEN], 50 fF of a
    # comparator, half again of wires and clock, half of the bits of a serial operand.
    capacitor_f=4e-15, charge_f=4e-15, current_sum_f=20e-15, bitline_f=0.2e-15, cell_current_a=2e-6,
    converter_current_a=10e-6, driver_f_per_bit=2e-15, adc_step_f=6e-15, adc_fixed_f=50e-15, gate_overhead=1.5,
    serial_activity=0.5,
)  # fmt: skip


class Correction(NamedTuple):
    """Columns of the rows of a paper (its `Index`) that differ from the file, and why; `where` picks among its rows."""

    paper: str
    where: Mapping[str, str]
    values: Mapping[str, str]
    reason: str


CORRECTIONS = (
    Correction("3", {"B_ADC": "5"}, {"reads": "31"},
               "time and energy are 31 = 2^5 - 1 times those of the 1-bit row of the same macro: a counting converter"),
    Correction("10", {}, {"Compute Model": "QS"}, "states no model; widths of pulses sum as charge"),
    Correction("30", {}, {"Supply V(V)": ""}, "4.2 V is a write supply"),
    Correction("73", {}, {"N_ADC": "64"}, "missing; N_1b = 2 N N_ADC B_x B_w"),
    Correction("89", {}, {"capacitors": "3"}, "a C-2C ladder, by its title: a C and a 2C a bit"),
    Correction("202", {}, {"Tech (nm)": "28", "Core Size(Kb)": "16"}, "its title says 28 nm; 16384 is in bits"),
)  # fmt: skip

EXCLUDED = {
    "84": "N = 1 and 19 x 27 cells summed contradict each other",
}
"""Papers whose rows state no macro, by the reason."""


class Chip(NamedTuple):
    """A row that states a macro and its efficiency."""

    paper: str
    row: Mapping[str, str]
    macro: Macro
    tops_per_w: float


def corrected(row: Mapping[str, str]) -> dict[str, str]:
    """The row with what `CORRECTIONS` says of it."""
    found = dict(row)
    for correction in CORRECTIONS:
        if row.get("Index") == correction.paper and all(row.get(k) == v for k, v in correction.where.items()):
            found |= correction.values
    return found


def chips(rows: Rows) -> tuple[list[Chip], dict[str, int]]:
    """Macros of the survey with an efficiency, and the other rows by the reason that they are none."""
    found: list[Chip] = []
    skipped: Counter[str] = Counter()
    for row in rows:
        paper, efficiency = row.get("Index") or "", (row.get("TOPS/W") or "").strip()
        if row.get("Architecture") == "Digital":
            skipped["a digital processor, no macro"] += 1
        elif paper in EXCLUDED:
            skipped[EXCLUDED[paper]] += 1
        elif not efficiency:
            skipped["no efficiency"] += 1
        else:
            try:
                found.append(Chip(paper, row, macro(corrected(row)), float(efficiency)))
            except SpecError as error:
                skipped[f"no {error.where}"] += 1
    return found, dict(skipped)


def energy_law(found: Sequence[Chip]) -> Law:
    """Energy of a 1-bit operation, linear in the constants: the cost model at each of them doubled."""
    macros = [chip.macro for chip in found]

    def joules(constants: EnergyConstants) -> F64:
        return operation_j(macros, [macro_spec(of, constants) for of in macros])

    names = EnergyConstants._fields[:-1]
    whole = joules(ENERGY)
    added = [joules(ENERGY._replace(**{name: 2 * getattr(ENERGY, name)})) - whole for name in names]
    serial = np.array([of.is_serial for of in macros])
    activity = np.where(serial, ENERGY.serial_activity, 1.0)
    parts = np.stack(added, axis=1) / activity[:, None]
    reference = np.array([*ENERGY[:-1], 1.0])
    return Law(
        parts=parts,
        rest=whole / activity - parts.sum(axis=1),
        measured=np.array([1e-12 / chip.tops_per_w for chip in found]),
        papers=np.array([chip.paper for chip in found]),
        prior=np.array(PRIOR) / reference,
        scaled=serial,
    )


def energy_scores(rows: Rows) -> list[Score]:
    """Efficiency of macros with one paper left out: all, by kind, analogue and digital apart, and how often it is
    inside its interval."""
    found, skipped = chips(rows)
    if len({chip.paper for chip in found}) < 3:
        return []
    law = energy_law(found)
    kinds = np.array([chip.macro.kind for chip in found])
    ours = 1e-12 / leave_one_paper_out(law)
    printed = np.array([chip.tops_per_w for chip in found])
    constant = medians_left_out(printed, law.papers, np.full(kinds.size, "all"))
    by_kind = medians_left_out(printed, law.papers, kinds)
    whole: tuple[MetricName, ...] = ("median_error", "within_2x", "within_3x", "spearman")
    groups = {"all": np.full(kinds.size, True), "analogue": kinds != "digital"}
    groups |= {f"{kind}": kinds == kind for kind in np.unique(kinds).tolist()}
    scores = [
        Score(
            "crossbar", "silicon_macros_survey", f"TOPS/W, {name}", "leave-one-paper-out", int(of.sum()), len(rows),
            metric, score(metric, ours[of], printed[of]), skipped,
            fitted_on="the other papers: eleven constants shared by all macros",
            baseline={
                "one constant": score(metric, constant[of], printed[of]),
                "a constant a compute model": score(metric, by_kind[of], printed[of]),
            },
        )
        for name, of in groups.items()
        for metric in (whole if of.sum() > 5 else whole[:3])
    ]  # fmt: skip
    bands = spread_left_out(ours / printed, law.papers, kinds)
    inside = (bands[:, 0] <= ours / printed) & (ours / printed <= bands[:, 1])
    scores.append(
        Score(
            "crossbar", "silicon_macros_survey", "TOPS/W, inside the 80 % interval", "leave-one-paper-out", inside.size,
            len(rows), "interval_coverage", float(inside.mean()), skipped,
            fitted_on="left-out ratios of the other papers, by kind from ten rows on",
        )
    )  # fmt: skip
    return scores
