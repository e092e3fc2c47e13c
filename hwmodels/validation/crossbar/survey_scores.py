"""Scores of published macros, one paper left out: efficiency, read time and density, beside two constants.

Analogue and digital macros stand apart, and each way of summing; the baselines are one constant, and a constant for
each way of summing, from the same papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.validate import MetricName, Score, score
from hwmodels.validation.crossbar.survey import (
    SUPPLIES_AS_PRINTED,
    Chip,
    Rows,
    area_law,
    chips,
    energy_law,
    processor_law,
    processors,
    read_time_law,
)
from hwmodels.validation.crossbar.survey_fit import leave_one_paper_out, medians_left_out, spread_left_out

__all__ = ["survey_scores"]

F64 = npt.NDArray[np.float64]

_SET, _PROTOCOL = "silicon_macros_survey", "leave-one-paper-out"
_FEWEST_PAPERS, _FEWEST_RANKED = 3, 6
_METRICS: tuple[MetricName, ...] = ("median_error", "within_2x", "within_3x", "spearman")


class _File(NamedTuple):
    rows: int
    skipped: dict[str, int]


def survey_scores(rows: Rows) -> list[Score]:
    """Efficiency with its intervals, read time, and density at the stated time."""
    found, skipped = chips(rows)
    file = _File(len(rows), skipped)
    if len({chip.paper for chip in found}) < _FEWEST_PAPERS:
        return []
    energy = energy_law(found)
    ours, printed = 1e-12 / leave_one_paper_out(energy), np.array([chip.tops_per_w for chip in found])
    scores = _compared(file, "TOPS/W", found, ours, printed, "twelve constants shared by all macros")
    scores += _processors(rows) + _as_printed(file, rows) + _supplies(file, found, ours, printed)
    kinds = np.array([chip.macro.kind for chip in found])
    scores.append(_coverage(file, "TOPS/W", ours / printed, energy.papers, kinds))
    timed = [chip for chip in found if chip.macro.read_s]
    dense = [chip for chip in found if chip.tops_per_mm2]
    if min(len({chip.paper for chip in kept}) for kept in (timed, dense)) < _FEWEST_PAPERS:
        return scores
    times, areas = read_time_law(timed), area_law(dense)
    read_s, area_mm2 = leave_one_paper_out(times), leave_one_paper_out(areas)
    scores += _compared(file, "read time", timed, read_s, times.measured, "six constants shared by all macros")
    together = np.full(max(len(timed), len(dense)), "all")
    scores.append(_coverage(file, "read time", read_s / times.measured, times.papers, together[: len(timed)]))
    scores.append(_coverage(file, "area", area_mm2 / areas.measured, areas.papers, together[: len(dense)]))
    density = np.array([chip.tops_per_mm2 or 0.0 for chip in dense])
    fitted_on = "six constants of area shared by all macros"
    scores += _compared(
        file, "TOPS/mm2 at the stated time", dense, density * areas.measured / area_mm2, density, fitted_on
    )
    own_s = np.array([dict(zip(map(id, timed), read_s, strict=True))[id(chip)] for chip in dense])
    stated_s = np.array([chip.macro.read_s or 0.0 for chip in dense])
    without = density * areas.measured / area_mm2 * stated_s / own_s
    fitted_on = "six constants each of area and of read time"
    return scores + _compared(file, "TOPS/mm2, time predicted", dense, without, density, fitted_on)


def _compared(file: _File, name: str, found: Sequence[Chip], ours: F64, printed: F64, fitted_on: str) -> list[Score]:
    """All rows, analogue ones, and each way of summing; ranks from six rows on."""
    kinds, papers = np.array([chip.macro.kind for chip in found]), np.array([chip.paper for chip in found])
    constant = medians_left_out(printed, papers, np.full(kinds.size, "all"))
    by_kind = medians_left_out(printed, papers, kinds)
    groups = {"all": np.full(kinds.size, True), "analogue": kinds != "digital"}
    groups |= {kind: kinds == kind for kind in np.unique(kinds).tolist()}
    return [
        Score(
            "crossbar", _SET, f"{name}, {group}", _PROTOCOL, int(of.sum()), file.rows, metric,
            score(metric, ours[of], printed[of]), file.skipped, fitted_on=f"the other papers: {fitted_on}",
            baseline={
                "one constant": score(metric, constant[of], printed[of]),
                "a constant a way of summing": score(metric, by_kind[of], printed[of]),
            },
        )
        for group, of in groups.items()
        for metric in (_METRICS if of.sum() >= _FEWEST_RANKED else _METRICS[:3])
    ]  # fmt: skip


def _processors(rows: Rows) -> list[Score]:
    """Digital processors: one overhead for all, beside one efficiency for all."""
    found, skipped = processors(rows)
    if len({chip.paper for chip in found}) < _FEWEST_PAPERS:
        return []
    law = processor_law(found)
    ours, printed = 1e-12 / leave_one_paper_out(law), np.array([chip.tops_per_w for chip in found])
    constant = medians_left_out(printed, law.papers, np.full(printed.size, "all"))
    return [
        Score(
            "crossbar", _SET, "TOPS/W, digital processors", _PROTOCOL, printed.size, len(rows), metric,
            score(metric, ours, printed), skipped, fitted_on="the other papers: one overhead",
            baseline={"one constant": score(metric, constant, printed)},
        )
        for metric in _METRICS
    ]  # fmt: skip


def _supplies(file: _File, found: Sequence[Chip], ours: F64, printed: F64) -> list[Score]:
    """One macro at two supplies: the ratio of its efficiencies, beside the supply squared."""

    def alike(chip: Chip) -> tuple[object, ...]:
        return (chip.paper, *chip.macro._replace(supply_v=0.0, read_s=0.0))

    pairs = [
        (i, j)
        for i, one in enumerate(found)
        for j, other in enumerate(found)
        if alike(one) == alike(other) and one.macro.supply_v < other.macro.supply_v
    ]
    if not pairs:
        return []
    low, high = np.array(pairs).T
    squared = np.array([(found[j].macro.supply_v / found[i].macro.supply_v) ** 2 for i, j in pairs])
    metrics: tuple[MetricName, ...] = ("median_error", "max_error")
    return [
        Score(
            "crossbar", _SET, "TOPS/W, ratio between two supplies of a macro", _PROTOCOL, len(pairs), file.rows, metric,
            score(metric, ours[low] / ours[high], printed[low] / printed[high]), file.skipped,
            fitted_on="the other papers: twelve constants shared by all macros",
            baseline={"supply squared": score(metric, squared, printed[low] / printed[high])},
        )
        for metric in metrics
    ]  # fmt: skip


def _as_printed(file: _File, rows: Rows) -> list[Score]:
    """Capacitors at the supplies that the survey prints, one of which belongs to another figure of its macro."""
    found = chips(rows, SUPPLIES_AS_PRINTED)[0]
    ours, printed = 1e-12 / leave_one_paper_out(energy_law(found)), np.array([chip.tops_per_w for chip in found])
    of = np.array([chip.macro.kind == "redistribution" for chip in found])
    return [
        Score(
            "crossbar", _SET, "TOPS/W, redistribution, supplies as printed", _PROTOCOL, int(of.sum()), file.rows,
            metric, score(metric, ours[of], printed[of]), file.skipped,
            fitted_on="the other papers: twelve constants shared by all macros",
        )
        for metric in _METRICS[:3]
        if of.any()
    ]  # fmt: skip


def _coverage(file: _File, name: str, ratios: F64, papers: npt.NDArray[np.str_], kinds: npt.NDArray[np.str_]) -> Score:
    """How often a figure is inside the 80 % interval that the other papers give it."""
    bands = spread_left_out(ratios, papers, kinds)
    inside = (bands[:, 0] <= ratios) & (ratios <= bands[:, 1])
    return Score(
        "crossbar", _SET, f"{name}, inside the 80 % interval", _PROTOCOL, ratios.size, file.rows,
        "interval_coverage", float(inside.mean()), file.skipped,
        fitted_on="left-out ratios of the other papers, by way of summing from ten rows on",
    )  # fmt: skip
