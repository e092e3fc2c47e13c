"""The crossbar family against published chips and peers: ISAAC, the ADC survey, zigzag-imc, NeuroSim, macros.

ISAAC: the energies and areas of single components are the model's inputs, so component rows are skipped; scored are
the sums (12 IMAs, tile, 168 tiles, chip) and closed forms (peak rate, efficiency, density, ADC share), each to half a
unit of its last printed digit. Nothing is fitted there, nor for the ADC survey's grid and zigzag-imc's own accounts.
NeuroSim: constants of the preset `neurosim_default` fitted to the runs of network S1; scored apart are S1 and the other
networks. Macros: leave one chip out, two constants common to all (`silicon.py`); 62 rows of 49 papers, leave one paper
out, constants common to all (`survey.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device
from hwmodels.families.crossbar.converter import adc_area_mm2, adc_energy_j
from hwmodels.families.crossbar.model import (
    area_mm2,
    arrays_on_chip,
    chip_sum,
    ima_sum,
    peak_macs_per_s,
    peak_power_w,
    periphery_sum,
    tile_sum,
)
from hwmodels.families.crossbar.spec import CrossbarSpec, CrossbarTable
from hwmodels.units import MIB, MW
from hwmodels.validate import MetricName, ReferenceTables, Score, score
from hwmodels.validation.crossbar.peer_neurosim import VGG8, LayerShape, RunCost, network_rows, run_cost, run_static_w
from hwmodels.validation.crossbar.peer_zigzag import PEER_CHIPS, PeerCost, peer_cost
from hwmodels.validation.crossbar.silicon import (
    CHIPS,
    SURVEYED,
    by_shared_constants,
    leave_one_out,
    other_chips,
    reported_tops_per_w,
    trends,
)
from hwmodels.validation.crossbar.survey_scores import survey_scores

__all__ = [
    "chip_figures",
    "half_unit",
    "table1_sums",
    "validate",
]

Rows = list[dict[str, str]]


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of the sets that are there."""
    sets: tuple[tuple[str, Callable[[Rows], list[Score]]], ...] = (
        ("isaac_table1", _isaac_table1),
        ("isaac_chip", _isaac_chip),
        ("adc_plugin_grid", _adc_grid),
        ("silicon_zigzag_imc_peer_breakdown", _zigzag),
        ("silicon_zigzag_imc", _zigzag_clocks),
        ("neurosim13_runs", partial(_neurosim, tables)),
        ("neurosim13_runs", _neurosim_static),
        ("silicon_macros_survey", survey_scores),
    )
    found = ((tables.rows(f"imc/{name}.csv"), score_set) for name, score_set in sets)
    scores = [result for rows, score_set in found if rows is not None for result in score_set(rows)]
    return scores + _silicon(tables)


def table1_sums(isaac: CrossbarTable) -> dict[str, tuple[float, float]]:
    """The sums of Table I by the printed names of their rows: power in mW and area in mm²."""
    return {
        name: (power, area)
        for (name, power), area in zip(
            _sums(isaac, peak_power_w(isaac) / MW).items(), _sums(isaac, area_mm2(isaac)).values(), strict=True
        )
    }


def _sums(isaac: CrossbarTable, parts: npt.NDArray[np.float64]) -> dict[str, float]:
    sums = {
        "12 IMA total": isaac.imas_per_tile * ima_sum(parts),
        "tile periphery total": periphery_sum(parts),
        "1 tile total": tile_sum(isaac, parts),
        "168 tile total": isaac.tiles * tile_sum(isaac, parts),
        "chip total": chip_sum(isaac, parts),
    }
    return {name: float(values[0]) for name, values in sums.items()}


def chip_figures(isaac: CrossbarTable) -> dict[str, float]:
    """Closed forms by the names of isaac_chip.csv; 1 MAC = 2 operations, MB = 2^20 bytes, shares in percent."""
    power_w, area = peak_power_w(isaac), area_mm2(isaac)
    tops = 2.0 * peak_macs_per_s(isaac) / 1e12
    tile_adc_w, tile_adc_mm2 = (isaac.imas_per_tile * parts[:, 0] for parts in (power_w, area))
    stored_bytes = arrays_on_chip(isaac) * isaac.array_rows * isaac.array_cols * isaac.cell_bits / 8
    figures = {
        "cells_per_weight": -(-isaac.weight_bits // isaac.cell_bits),
        "peak_TOPS_16b": tops,
        "TOPS_per_mm2": tops / chip_sum(isaac, area),
        "TOPS_per_W": tops / chip_sum(isaac, power_w),
        "storage_density": stored_bytes / MIB / chip_sum(isaac, area),
        "ADC_share_of_tile_power": 100 * tile_adc_w / tile_sum(isaac, power_w),
        "ADC_share_of_tile_area": 100 * tile_adc_mm2 / tile_sum(isaac, area),
        "ADC_share_of_chip_power": 100 * isaac.tiles * tile_adc_w / chip_sum(isaac, power_w),
    }
    return {name: float(values[0]) for name, values in figures.items()}


def half_unit(printed: str) -> float:
    """Half a unit of the last digit of a printed number; of a whole number with trailing zeros, of 3 digits.

    >>> half_unit("0.372"), half_unit("289"), half_unit("55400")
    (0.0005, 0.5, 50.0)
    """
    whole, _, decimals = printed.partition(".")
    if decimals:
        return float(0.5 * 10.0 ** -len(decimals))
    digits = whole.lstrip("-")
    zeros = len(digits) - len(digits.rstrip("0"))
    return 0.5 * 10.0 ** min(zeros, max(len(digits) - 3, 0))


def _isaac() -> CrossbarTable:
    spec = device("isaac").spec
    table: CrossbarTable = type(spec).to_table([spec])
    return table


def _isaac_table1(rows: Rows) -> list[Score]:
    sums = table1_sums(_isaac())
    scores = []
    for group, column, position in (("power", "power_mW", 0), ("area", "area_mm2", 1)):
        known = {name: both[position] for name, both in sums.items()}
        printed, skipped = _printed(rows, "component", column, known, "component row, an input of the model")
        scores += _scores("isaac_table1", group, known, printed, len(rows), skipped)
    return scores


def _isaac_chip(rows: Rows) -> list[Score]:
    known = chip_figures(_isaac())
    printed, skipped = _printed(rows, "metric", "value", known, "an input of the model or another chip")
    return _scores("isaac_chip", "all", known, printed, len(rows), skipped)


def _printed(
    rows: Rows, key: str, column: str, known: Mapping[str, float], reason: str
) -> tuple[dict[str, str], Counter[str]]:
    """The printed numbers of rows that the model has a figure for, and why the others are left out."""
    printed: dict[str, str] = {}
    skipped: Counter[str] = Counter()
    for row in rows:
        name, value = row.get(key) or "", (row.get(column) or "").strip()
        if name not in known:
            skipped[reason] += 1
        elif _number(value) is None:
            skipped["no number"] += 1
        else:
            printed[name] = value
    return printed, skipped


def _scores(
    name: str, group: str, known: Mapping[str, float], printed: Mapping[str, str], in_file: int, skipped: Counter[str]
) -> list[Score]:
    if not printed:
        return []
    predicted = [known[row] for row in printed]
    published = [float(value) for value in printed.values()]
    # 1e-9: a sum that ends in the digit 5 may be printed either way.
    within = [
        score("exact_fraction", [p], [q], relative_tolerance=half_unit(text) / abs(q) * (1 + 1e-9))
        for p, q, text in zip(predicted, published, printed.values(), strict=True)
    ]
    measured: tuple[tuple[MetricName, float], ...] = (
        ("exact_fraction", float(np.mean(within))),
        ("max_error", score("max_error", predicted, published)),
    )
    return [
        Score("crossbar", name, group, "frozen", len(printed), in_file, metric, value, dict(skipped))
        for metric, value in measured
    ]


def _adc_grid(rows: Rows) -> list[Score]:
    columns = ("tech_nm", "bits", "samples_per_s", "energy_pJ_per_convert", "area_um2")
    points = [[_number(row.get(column) or "") for column in columns] for row in rows]
    whole = [[float(value) for value in point if value is not None] for point in points if None not in point]
    fitted = [point for point in whole if point[1] >= 4]
    skipped = {"no number": len(rows) - len(whole), "below 4 bits": len(whole) - len(fitted)}
    if not fitted:
        return []
    grid = np.array(fitted)
    arguments = [(0, int(bits), rate, node) for node, bits, rate in grid[:, :3]]
    energy_pj = [1e12 * float(adc_energy_j(*point)) for point in arguments]
    area_um2 = [1e6 * float(adc_area_mm2(*point)) for point in arguments]
    return [
        Score(
            "crossbar", "adc_plugin_grid", group, "frozen", len(fitted), len(rows), "max_error",
            score("max_error", predicted, published), {reason: count for reason, count in skipped.items() if count},
        )
        for group, predicted, published in (("energy", energy_pj, grid[:, 3]), ("area", area_um2, grid[:, 4]))
    ]  # fmt: skip


def _zigzag(rows: Rows) -> list[Score]:
    """Energies a MAC of the peer's five chips by component: formula values, zeros and areas left out."""
    predicted, published = [], []
    skipped: Counter[str] = Counter()
    for row in rows:
        name, value = (row.get("component") or "").removeprefix("energy_").removesuffix("_mac"), row.get("peer_value")
        known = row.get("label") in PEER_CHIPS and (name in PeerCost._fields or name == "estimation_per")
        if not (row.get("component") or "").startswith("energy_") or not known:
            skipped["an area, or a reported value"] += 1
        elif _number(value or "") is None:
            skipped["zero"] += 1
        else:
            cost = peer_cost(row["label"])
            predicted.append(cost.total if name == "estimation_per" else getattr(cost, name))
            published.append(float(value or ""))
    if not predicted:
        return []
    return [
        Score(
            "crossbar", "silicon_zigzag_imc_peer_breakdown", "energy", "frozen", len(predicted), len(rows), metric,
            score(metric, predicted, published, relative_tolerance=0.01), dict(skipped),
        )
        for metric in ("exact_fraction", "max_error")
    ]  # fmt: skip


_UNCALIBRATED = "circuits without the peer's calibration"


def _zigzag_clocks(rows: Rows) -> list[Score]:
    """Clock periods of the same chips in that peer's account."""
    known = [row for row in rows if row.get("label") in PEER_CHIPS and _number(row.get("peer_tclk_ns") or "")]
    if not known:
        return []
    predicted = [peer_cost(row["label"]).clock_ns for row in known]
    published = [float(row["peer_tclk_ns"]) for row in known]
    return [
        Score(
            "crossbar", "silicon_zigzag_imc", "peer's clock", "frozen", len(known), len(rows), metric,
            score(metric, predicted, published, relative_tolerance=0.01),
        )
        for metric in ("exact_fraction", "max_error")
    ]  # fmt: skip


def _neurosim(tables: ReferenceTables, rows: Rows) -> list[Score]:
    """NeuroSim's runs, those of S1 (fitted) apart from those of other networks."""
    preset = device("neurosim_default").spec
    assert isinstance(preset, CrossbarSpec)
    shapes: dict[str, Sequence[LayerShape]] = {"VGG8": VGG8}
    for name in {row.get("network") or "" for row in rows} - set(shapes):
        listed = tables.rows(f"imc/neurosim13_network_{name}.csv") or []
        shapes[name] = [(int(row["H"]), int(row["C"]), int(row["kh"]), int(row["K"])) for row in listed]
    groups: dict[str, list[tuple[dict[str, str], RunCost]]] = {"S1": [], "held-out networks": []}
    skipped: Counter[str] = Counter()
    for row in rows:
        layers = shapes.get(row.get("network") or "")
        cost = run_cost(network_rows(layers), preset, row["config"]) if layers else None
        if cost is None:
            skipped["circuits without the peer's calibration, or a network without shapes"] += 1
        else:
            groups["S1" if row["network"] == "S1" else "held-out networks"].append((row, cost))
    return [
        replace(result, group=f"{result.group}, {name}", rows_in_file=len(rows), skipped=dict(skipped))
        for name, found in groups.items()
        if len(found) > 2
        for result in _neurosim_group(found)
    ]


def _neurosim_static(rows: Rows) -> list[Score]:
    """Static power of the networks that no density was fitted to, from their printed areas."""
    pairs = [
        (watt, 1e-6 * float(row["leak_power_uW"]))
        for row in rows
        if row["network"] != "S1" and row.get("leak_power_uW") and (watt := run_static_w(row)) is not None
    ]
    if len(pairs) < 3:
        return []
    metrics: tuple[MetricName, ...] = ("median_error", "max_error", "spearman")
    return [
        Score("crossbar", "neurosim13_runs", "static power, held-out networks", "frozen", len(pairs), len(rows), metric,
              score(metric, *zip(*pairs, strict=True)), {"S1, or no switch": len(rows) - len(pairs)},
              fitted_on="the runs of S1")
        for metric in metrics
    ]  # fmt: skip


def _neurosim_group(found: list[tuple[dict[str, str], RunCost]]) -> list[Score]:
    """Errors of area and efficiency, rank of those, of energy and of latency."""
    scores = []
    for label, column, field, unit in (
        ("area", "chip_area_um2", "area_mm2", 1e-6),
        ("TOPS/W", "TOPS_per_W", "ops_per_j", 1e12),
        ("energy", "dyn_energy_pJ", "energy_j", 1e-12),
        ("latency", "latency_ns", "latency_s", 1e-9),
    ):
        predicted = [getattr(cost, field) / unit for _, cost in found]
        published = [float(row[column]) for row, _ in found]
        metrics: tuple[MetricName, ...] = ("median_error", "max_error", "spearman")
        for metric in metrics if label in ("area", "TOPS/W") else metrics[2:]:
            value = score(metric, predicted, published)
            scores.append(
                Score("crossbar", "neurosim13_runs", label, "frozen", len(found), 0, metric, value,
                      fitted_on="the runs of S1")
            )  # fmt: skip
    return scores


def _silicon(tables: ReferenceTables) -> list[Score]:
    """Headlines of seven macros, one chip left out at a time, and the rank of their published sweeps."""
    names = ("silicon_zigzag_imc", "silicon_cimloop_macros")
    opened = {name: tables.rows(f"imc/{name}.csv") or [] for name in names}
    reported = [reported_tops_per_w(chip, opened) for chip in CHIPS]
    scores: list[Score] = []
    if None not in reported:
        figures = [float(value or 0) for value in reported]
        predicted = leave_one_out(CHIPS, figures)
        in_file = sum(len(rows) for rows in opened.values())
        scores += [
            Score(
                "crossbar", "silicon_macros", "TOPS/W", "leave-one-out", len(figures), in_file, metric,
                score(metric, predicted, figures), {"no headline": in_file - len(figures)},
                fitted_on="the other analogue chips: energy of an ADC step, capacitance of a cell",
            )
            for metric in ("median_error", "max_error", "spearman")
        ]  # fmt: skip
        scores += _by_survey(figures, in_file)
    others = other_chips(opened["silicon_zigzag_imc"])
    for group, disclosed in (("other chips", True), ("undisclosed sparsity", False)):
        pairs = [(predicted, printed) for predicted, printed, known in others.values() if known == disclosed]
        if pairs:
            value = score("median_error", *zip(*pairs, strict=True))
            in_file = len(opened["silicon_zigzag_imc"])
            scores.append(
                Score("crossbar", "silicon_macros", group, "frozen", len(pairs), in_file, "median_error", value)
            )
    rows = opened["silicon_cimloop_macros"]
    for group, (predicted_trend, published) in trends(rows).items():
        value = score("spearman", predicted_trend, published)
        scores.append(
            Score("crossbar", "silicon_sweeps", group, "frozen", len(published), len(rows), "spearman", value)
        )
    return scores


def _by_survey(figures: Sequence[float], in_file: int) -> list[Score]:
    """The same chips with the constants of the survey, those that it does not have apart."""
    scores: list[Score] = []
    for group, of in (
        ("TOPS/W by the survey's constants", list(CHIPS)),
        ("TOPS/W by the survey's constants, chips outside it", [c for c in CHIPS if c.preset not in SURVEYED]),
    ):
        printed = [figures[CHIPS.index(chip)] for chip in of]
        ours = [by_shared_constants(chip) for chip in of]
        metrics: tuple[MetricName, ...] = ("median_error", "max_error")
        scores += [
            Score(
                "crossbar", "silicon_macros", group, "frozen", len(of), in_file, metric, score(metric, ours, printed),
                {"no headline": in_file - len(figures)}, fitted_on="silicon_macros_survey",
            )
            for metric in metrics
        ]  # fmt: skip
    return scores


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and value != 0 else None
