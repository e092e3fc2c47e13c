"""benchmarks/tables/trainings.py: counts with intervals, searches that end early, and Optuna's samplers behind ours."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from codesign.benchmark.compare import Effort, one_level, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts
from codesign.estimate.table import digits_cells
from codesign.strategy.base import Results
from codesign.strategy.random import RandomSearch
from codesign.testing.strategy import toy_problem


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[3] / "benchmarks" / "tables" / "trainings.py"
    spec = importlib.util.spec_from_file_location("trainings_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fronts() -> Fronts:
    knobs = {"array_rows": [64, 256], "array_cols": [32, 128], "adc_bits": [5, 10], "tiles": [1, 8]}
    small = replace(benchmark("pairs-digits", "crossbar"), knobs=knobs, constraints={"latency_s": 200e-6})
    return Fronts(small, digits_cells())


def test_a_search_ends_where_it_is_good_enough_or_has_proposed_enough(fronts: Fronts) -> None:
    whole = one_level(fronts, "random", 0, trainings=60)
    early = one_level(fronts, "random", 0, trainings=60, until=whole.quality[2] - 1e-9)
    assert early.quality == whole.quality[: len(early.quality)]
    assert early.quality[-1] >= whole.quality[2] - 1e-9 > max(early.quality[:-1], default=0.0)
    assert len(one_level(fronts, "random", 0, trainings=60, proposals=12).trainings) == 3
    made = one_level(fronts, lambda problem: RandomSearch(problem.space), 0, trainings=60)
    assert made.quality == whole.quality


def test_rows_are_means_with_intervals_and_ratios_to_the_first(script: ModuleType) -> None:
    entry = {"reached": [True, True, False], "effort": {"trials": 9}}
    rows = list(
        script.rows_of(
            {
                "b v1: whole grid, evolution": {**entry, "trainings": [10, 20, 30]},
                "b v1: optuna, nsga2": {**entry, "trainings": [100, 200, 300]},
            }
        )
    )
    assert [row["trainings_to_95"] for row in rows] == ["20.0", "200.0"]
    assert rows[0]["interval_95"] == f"{10 / np.sqrt(3) * 4.302653:.1f}"  # Student's t of two degrees
    assert [row["ratio_to_first"] for row in rows] == ["1.0", "10.0"]
    assert float(rows[1]["ratio_low_95"]) < 10 < float(rows[1]["ratio_high_95"])
    assert [row["trials"] for row in rows] == ["", 9]
    assert [row["reached"] for row in rows] == [2, 2]
    assert script.ratio_interval(np.array([8.0, 8.0]), np.array([2.0, 2.0])) == (4.0, 4.0)


def test_what_is_recorded_is_what_the_table_says(script: ModuleType) -> None:
    stored = json.loads((script.RESULTS / "trainings.json").read_text(encoding="utf-8"))
    text = (script.RESULTS / "trainings.csv").read_text(encoding="utf-8").splitlines()
    rows = list(script.rows_of(script.in_order(stored)))
    assert text[0] == ",".join(rows[0])
    assert [line.split(",")[0] for line in text[1:]] == [row["benchmark"] for row in rows]
    assert all(entry["share"] == script.SHARE for entry in stored.values())
    assert len(rows) == len(text) - 1 == len(stored)


def test_an_unknown_method_has_no_place(script: ModuleType) -> None:
    with pytest.raises(ValueError, match="not in"):
        script.in_order({"b v1: nothing": {}})


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_samplers_of_optuna_are_asked_and_told(script: ModuleType, sampler: str) -> None:
    pytest.importorskip("optuna", reason="the extra optuna is not installed")
    strategy, rng = script.OptunaSampler(toy_problem(), sampler), np.random.default_rng(0)
    for turn in range(30):
        proposal = strategy.ask(2, rng)
        assert proposal.genotypes.shape == (2, 6)
        objectives = np.column_stack([((proposal.genotypes - corner) ** 2).sum(axis=1) for corner in (1, 3)]) + 1.0
        objectives[0, 0] = np.nan if turn == 3 else objectives[0, 0]
        strategy.tell(proposal, Results.exact(objectives, np.maximum(objectives[:, 1:] - 20.0, 0)))
    states = [trial.state.name for trial in strategy._study.trials]
    assert states.count("COMPLETE") == 59
    assert states[6] == "FAIL"  # a pair without an error
    told = strategy._study.trials[-1]
    assert told.values[1] == pytest.approx(np.log(objectives[-1, 1]))
    assert told.constraints == {"0": max(objectives[-1, 1] - 20.0, 0)}


def test_a_search_ends_where_its_quality_is_enough_and_is_the_same_until_then(fronts: Fronts) -> None:
    effort = Effort(generations=4, pairs=300, trainings=3)
    whole = two_level(fronts, "evolution", 0, effort, exact_inner=False)
    enough = whole.quality[1]
    assert whole.quality[0] < enough
    ended = two_level(fronts, "evolution", 0, effort, exact_inner=False, until=enough)
    assert ended.quality == whole.quality[:2]
    assert ended.trainings == whole.trainings[:2]
