"""Macros of 49 papers: what the survey's columns mean, its corrected rows, the fit, and the bars."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hwmodels.families.crossbar.macro import macro_spec
from hwmodels.families.crossbar.macro_constants import (
    AREA,
    AREA_SPREAD,
    CONSTANTS,
    ENERGY,
    ENERGY_SPREAD,
    PROCESSOR_OVERHEAD,
    READ_TIME,
    READ_TIME_SPREAD,
)
from hwmodels.families.crossbar.macro_cost import operation_j
from hwmodels.validate import REFERENCE_VARIABLE, ReferenceTables, Score
from hwmodels.validation.crossbar.survey import (
    CORRECTIONS,
    EXCLUDED,
    Chip,
    area_law,
    chips,
    corrected,
    energy_law,
    processor_law,
    processors,
    read_time_law,
)
from hwmodels.validation.crossbar.survey_fit import (
    Law,
    fitted,
    leave_one_paper_out,
    medians_left_out,
    predicted,
    spread,
    spread_left_out,
)
from hwmodels.validation.crossbar.survey_scores import survey_scores

needs_reference = pytest.mark.skipif(
    not os.environ.get(REFERENCE_VARIABLE), reason=f"{REFERENCE_VARIABLE} is not set"
)  # fmt: skip

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return ReferenceTables(Path(os.environ[REFERENCE_VARIABLE])).rows("imc/silicon_macros_survey.csv") or []


@pytest.fixture(scope="module")
def found(rows: Rows) -> list[Chip]:
    return chips(rows)[0]


@pytest.fixture(scope="module")
def scores(rows: Rows) -> dict[tuple[str, str], Score]:
    return {(s.group, s.metric): s for s in survey_scores(rows)}


def numbers(row: dict[str, str], *names: str) -> list[float] | None:
    try:
        return [float(row[name]) for name in names]
    except ValueError:
        return None


@needs_reference
def test_columns_mean_what_their_identities_say(rows: Rows) -> None:
    """Share of the rows with the values in which each identity holds to 3 %."""
    identities = (
        (1.0, 92, ("TOPS/W", "E_OP1 (fJ)"), lambda e, j: (1000 / e, j)),
        (1.0, 64, ("N_1b", "N", "N_ADC", "B_x", "B_w"), lambda n, *v: (n, 2 * np.prod(v))),
        (1.0, 66, ("B_core", "N_1b"), lambda b, n: (b, n / 2)),
        (0.9, 67, ("TOPS", "N_1b", "T_core(ns)"), lambda t, n, s: (t, n / s / 1000)),
        (0.95, 90, ("TOPS_a", "TOPS", "N_core"), lambda a, t, c: (a, t * c)),
        (1.0, 63, ("E_col (fJ)", "E_OP1 (fJ)", "N_1b", "N_ADC"), lambda e, j, n, a: (e, j * n / a)),
        (0.95, 65, ("E_mvm (pJ)", "E_core (pJ)", "N_core", "alpha"), lambda m, e, c, a: (m, e * c * a)),
    )  # fmt: skip
    for share, count, names, both in identities:
        known = [values for row in rows if (values := numbers(row, *names)) is not None]
        assert abs(len(known) - count) <= 1, names
        near = [np.isclose(*both(*values), rtol=0.03) for values in known]
        assert np.mean(near) >= share - 0.03, names


@needs_reference
def test_every_correction_and_exclusion_meets_its_rows(rows: Rows) -> None:
    for correction in CORRECTIONS:
        changed = [row for row in rows if row["Index"] == correction.paper and corrected(row) != row]
        assert changed, correction.reason
        assert all(corrected(row)[name] == value for row in changed for name, value in correction.values.items())
    assert set(EXCLUDED) <= {row["Index"] for row in rows}


@needs_reference
def test_nearly_every_macro_is_expressed(rows: Rows, found: list[Chip]) -> None:
    macros = [row for row in rows if row["Architecture"] != "Digital"]
    _, skipped = chips(rows)
    assert len(found) == 62
    assert len(found) >= 0.95 * len(macros)
    assert sum(skipped.values()) + len(found) == len(rows)
    digital, _ = processors(rows)
    assert len(digital) == 23
    assert len(found) + len(digital) >= 0.85 * len(rows)


@needs_reference
def test_processors_with_one_paper_left_out(scores: dict[tuple[str, str], Score]) -> None:
    for metric in ("median_error", "within_3x", "spearman"):
        result = scores["TOPS/W, digital processors", metric]
        other = (result.baseline or {})["one constant"]
        assert (result.value < other) == (metric == "median_error")


@needs_reference
def test_efficiency_with_one_paper_left_out(scores: dict[tuple[str, str], Score]) -> None:
    group = "TOPS/W, all"
    errors = {name: scores[group, name] for name in ("median_error", "within_3x", "spearman")}
    assert errors["median_error"].value <= 52
    assert errors["within_3x"].value >= 0.76
    assert errors["spearman"].value >= 0.8
    for name, result in errors.items():
        for other in (result.baseline or {}).values():
            assert (result.value < other) == (name == "median_error")
    # Ten of eleven; the other, at the supply that its efficiency belongs to, is 2.8 times too efficient.
    assert scores["TOPS/W, redistribution", "within_2x"].value >= 0.9
    assert scores["TOPS/W, redistribution", "within_3x"].value == 1.0
    assert scores["TOPS/W, redistribution, supplies as printed", "within_2x"].value >= 0.95


@needs_reference
def test_digital_macros_are_nearer_than_one_constant(scores: dict[tuple[str, str], Score]) -> None:
    for metric in ("median_error", "within_2x", "spearman"):
        result = scores["TOPS/W, digital", metric]
        other = (result.baseline or {})["a constant a way of summing"]
        assert (result.value < other) == (metric == "median_error")


@needs_reference
def test_a_macro_at_two_supplies(scores: dict[tuple[str, str], Score]) -> None:
    """Six macros; what they gain at the lower supply within a factor of 1.35."""
    worst = scores["TOPS/W, ratio between two supplies of a macro", "max_error"]
    assert worst.rows == 6
    assert worst.value <= 35


@needs_reference
def test_time_and_density_with_one_paper_left_out(scores: dict[tuple[str, str], Score]) -> None:
    for group, bar in (("read time, all", 0.62), ("TOPS/mm2 at the stated time, all", 0.7)):
        result = scores[group, "within_3x"]
        assert result.value >= bar
        assert result.value > max((result.baseline or {}).values())
        ranked = scores[group, "spearman"]
        assert ranked.value > max((ranked.baseline or {}).values())


@needs_reference
def test_intervals_hold_what_they_say(scores: dict[tuple[str, str], Score]) -> None:
    """56 to 62 draws of probability 0.8 lie between 0.66 and 0.94 by 2.6 sigma."""
    for name in ("TOPS/W", "read time", "area"):
        assert 0.66 <= scores[f"{name}, inside the 80 % interval", "interval_coverage"].value <= 0.94


@needs_reference
def test_shipped_constants_and_bands_are_those_of_the_fit(found: list[Chip], rows: Rows) -> None:
    law = energy_law(found)
    for of, reference, shipped in (
        (law, (*ENERGY[:-2], 1.0, 1.0), (*ENERGY[:-1], np.exp(ENERGY.digital_node_exponent - 1.0))),
        (read_time_law(found), READ_TIME, READ_TIME),
        (area_law(found), AREA, AREA),
    ):
        fit = np.exp(fitted(of, np.full(of.papers.size, True))) * np.array(reference)
        np.testing.assert_allclose(fit, shipped, rtol=0.02)
    ratios = law.measured / leave_one_paper_out(law)
    kinds = np.array([chip.macro.kind for chip in found])
    of_processors = processor_law(processors(rows)[0])
    left_out = of_processors.measured / leave_one_paper_out(of_processors)
    assert ENERGY_SPREAD["processor"] == pytest.approx(spread(left_out), rel=0.02)
    overhead = np.exp(fitted(of_processors, np.full(left_out.size, True))) * PROCESSOR_OVERHEAD
    assert overhead == pytest.approx(PROCESSOR_OVERHEAD, rel=0.02)
    for kind, band in ENERGY_SPREAD.items():
        if kind == "processor":
            continue
        alike = ratios[kinds == kind]
        assert band == pytest.approx(spread(alike if alike.size >= 10 else ratios), rel=0.02)
    for of, band in ((read_time_law(found), READ_TIME_SPREAD), (area_law(found), AREA_SPREAD)):
        assert band == pytest.approx(spread(of.measured / leave_one_paper_out(of)), rel=0.02)


@needs_reference
def test_the_law_is_linear_in_its_constants(found: list[Chip]) -> None:
    """The cost model at other constants is what the law says; nothing is left beside them."""
    law = energy_law(found)
    other = type(ENERGY)(*(value * factor for value, factor in zip(ENERGY, np.linspace(0.5, 1.5, 12), strict=True)))
    logs = np.append(np.log(np.array(other[:-1]) / np.array([*ENERGY[:-2], 1.0])), other.digital_node_exponent - 1.0)
    constants = CONSTANTS._replace(energy=other)
    direct = operation_j([chip.macro for chip in found], [macro_spec(chip.macro, constants) for chip in found])
    np.testing.assert_allclose(predicted(law, logs), direct, rtol=1e-9)
    assert (np.abs(law.rest) < 1e-12 * law.measured).all()


def toy_law(noise: float) -> Law:
    """Twelve papers of two rows; the truth has constants 2 and 0.5, and half the energy where `scaled`."""
    rng = np.random.default_rng(0)
    parts, scaled = rng.uniform(0.5, 2.0, (24, 2)), np.arange(24) % 3 == 0
    parts[np.arange(24) // 2 % 2 == 0, 0] *= 0.05  # every other paper tells one constant, the others the other
    parts[np.arange(24) // 2 % 2 == 1, 1] *= 0.05
    truth = parts @ [2.0, 0.5] * np.where(scaled, 0.5, 1.0)
    papers = np.repeat([f"p{i:02}" for i in range(12)], 2)
    return Law(
        parts, np.zeros(24), truth * np.exp(noise * rng.standard_normal(24)), papers, np.ones(3), scaled[:, None] * 1.0
    )


def test_a_fit_finds_constants_that_hold_for_all() -> None:
    """Priors are weak: of 12 papers without noise the constants come back to a few percent."""
    law = toy_law(0.0)
    np.testing.assert_allclose(np.exp(fitted(law, np.full(24, True))), [2.0, 0.5, 0.5], rtol=0.1)
    np.testing.assert_allclose(leave_one_paper_out(law), law.measured, rtol=0.1)


def test_one_wild_row_hardly_moves_a_fit() -> None:
    law = toy_law(0.05)
    wild = law._replace(measured=np.where(np.arange(24) == 4, 1000 * law.measured, law.measured))
    near = fitted(law, np.full(24, True)) - fitted(wild, np.full(24, True))
    assert np.abs(near).max() < 0.7


def test_what_is_left_out_is_not_seen() -> None:
    """A paper's own figures do not move its prediction, its baseline or its band."""
    law, kinds = toy_law(0.3), np.array(["a", "b"] * 12)
    moved = law._replace(measured=np.where(law.papers == "p03", 50 * law.measured, law.measured))
    own = law.papers == "p03"
    np.testing.assert_array_equal(leave_one_paper_out(law)[own], leave_one_paper_out(moved)[own])
    for of in (
        lambda case: medians_left_out(case.measured, case.papers, kinds),
        lambda case: spread_left_out(case.measured, case.papers, kinds),
    ):
        np.testing.assert_array_equal(of(law)[own], of(moved)[own])


def test_bands_hold_four_of_five() -> None:
    rng = np.random.default_rng(1)
    ratios = np.exp(rng.standard_normal(2000))
    papers, kinds = np.arange(2000).astype(str), np.full(2000, "a")
    bands = spread_left_out(ratios[:400], papers[:400], kinds[:400])
    inside = (bands[:, 0] <= ratios[:400]) & (ratios[:400] <= bands[:, 1])
    assert inside.mean() == pytest.approx(0.8, abs=0.06)
    assert spread(ratios) == pytest.approx((np.exp(-1.2816), np.exp(1.2816)), rel=0.12)
