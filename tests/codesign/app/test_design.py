"""One call for everybody: its rules, what it refuses, and a run that its run file repeats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codesign
from codesign.app import design as designing
from codesign.app.design_rules import FEWEST_TRAININGS, data_section, duration, plan, recipe_of, space_of
from codesign.app.export import score_export
from codesign.data import load
from codesign.data.base import Dataset, Part
from codesign.registry import SPACES
from codesign.task import Regression
from hwmodels.errors import SpecError


def dataset(*shape: int, task: Any = None) -> Dataset:
    part = Part(np.zeros((40, *shape), np.float32), np.arange(40) % 2)
    return Dataset("toy", part, part, part, 2, task)


@pytest.mark.parametrize(
    ("data", "space"),
    [
        (dataset(1, 8, 8), "chain"), (dataset(3, 16, 16), "chain"), (dataset(3, 32, 32), "mobile"),
        (dataset(3, 224, 224), "mobile"), (dataset(5, 1, 1), "chain"), (dataset(12, 6), "recurrent"),
        (load("text"), "recurrent"), (load("digits"), "chain"), (load("digit-sequences"), "recurrent"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)  # fmt: skip
def test_each_kind_of_data_has_a_space_that_reads_it(data: Dataset, space: str) -> None:
    rule = space_of(data)
    assert rule.section["space"] == space
    made = SPACES.parse(rule.section, "space").make(data)
    network = made.workload(made.sample(1, np.random.default_rng(0))[0])
    assert network.input_shapes[0][1:] == data.input_shape
    assert recipe_of(data)["epochs"] >= 4


def test_a_number_from_a_table_is_trained_as_one() -> None:
    assert recipe_of(dataset(5, 1, 1, task=Regression(1.0)))["weight_decay"] == 1.0


@given(budget_s=st.floats(1, 1e5), epoch_s=st.floats(1e-3, 100), epochs=st.integers(1, 30), workers=st.integers(1, 8))
def test_a_plan_fits_its_budget_or_says_what_would(budget_s: float, epoch_s: float, epochs: int, workers: int) -> None:
    half = -(-epochs // 2)
    if FEWEST_TRAININGS * half * epoch_s > 0.7 * budget_s * workers * (1 + 1e-9):
        with pytest.raises(SpecError, match="at least"):
            plan(budget_s, epoch_s, epochs, workers)
        return
    if FEWEST_TRAININGS * half * epoch_s > 0.7 * budget_s * workers * (1 - 1e-9):
        return  # on the edge rounding decides
    planned = plan(budget_s, epoch_s, epochs, workers)
    assert 1 <= planned.epochs <= epochs
    assert planned.total >= FEWEST_TRAININGS
    assert planned.total * planned.epochs * epoch_s <= 0.7 * budget_s * workers * (1 + 1e-9)


def test_an_ample_budget_trains_to_the_end_and_a_short_one_half_as_long() -> None:
    assert plan(600, 0.1, 20, 1).epochs == 20
    assert plan(60, 0.1, 20, 1).epochs == 20
    assert plan(27, 0.1, 20, 1).epochs == 10
    with pytest.raises(SpecError, match="at least 18 s"):
        plan(10, 0.2, 20, 1)


def test_times_and_data() -> None:
    assert [duration(text) for text in ("2 h", "1.5 min", "500 ms", 3)] == [7200, 90, 0.5, 3]
    for wrong in ("min", "-3 s", "0 min", "3 MB"):
        with pytest.raises(SpecError, match="as 90 s"):
            duration(wrong)
    assert data_section("a/b.csv") == {"name": "table", "root": "a/b.csv"}
    assert data_section(Path(__file__).parent) == {"name": "folder", "root": str(Path(__file__).parent)}


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of one epoch, six of them: the clock decides nothing."""
    monkeypatch.setattr(designing, "recipe_of", lambda data: {"epochs": 1, "batch_size": 128})
    monkeypatch.setattr(designing, "_epoch_seconds", lambda *_: 70.0)


@pytest.mark.usefixtures("hasty")
def test_a_design_is_what_its_run_file_finds(tmp_path: Path) -> None:
    found = codesign.design("digits", "rpi4", "10 min", {"latency_s": "100 us"}, output=tmp_path / "found")
    assert 1 <= len(found.best) <= 3
    assert len(found.explanation) == 7 + len(found.best)
    assert str(found) == (tmp_path / "found" / "explanation.txt").read_text(encoding="utf-8").strip()
    assert all(pair.costs["latency_s"] <= 100e-6 for pair in found.best)
    again = codesign.search(tmp_path / "found" / "run.yaml", tmp_path / "again")
    assert [pair.objectives for pair in again.front[:3]] == [pair.objectives for pair in found.best]
    scores = [score_export(tmp_path / "found" / f"best-{k + 1}") for k in range(len(found.best))]
    assert [score.metrics for score in scores] == [score.archived for score in scores]
    accuracies = [pair.objectives["accuracy"] for pair in found.best]
    assert accuracies == sorted(accuracies, reverse=True)
    assert "accuracy" in found.to_frame().columns
    assert "chain" in repr(found)


@pytest.mark.usefixtures("hasty")
def test_the_command_and_searched_hardware(run, tmp_path: Path) -> None:
    words = ("design", "digits", "--device", "systolic_edge", "--limit", "latency=10us", "--search-hardware", "--json")
    code, out, err = run(*words, "-o", tmp_path / "found")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["config"]["hardware"]["knobs"]
    assert told["best"][0]["hardware"].keys() == told["config"]["hardware"]["knobs"].keys()
    assert (tmp_path / "found" / "best-1" / "score.py").is_file()


@pytest.mark.usefixtures("hasty")
def test_no_generation_begins_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Six trainings in two generations; the second one is not begun where the budget is over after the first."""
    monkeypatch.setattr(designing, "plan", lambda *_: designing.Plan(1, 3, 2))
    found = codesign.design("digits", "rpi4", 0.01, output=tmp_path / "found")
    assert len(codesign.load(tmp_path / "found" / "run").generations) == 1
    assert "6 trainings planned, 3 done" in str(found)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("digit",), "did you mean digits"),
        (("digits", "--device", "rpi44"), "did you mean rpi4"),
        (("digits", "--limit", "latncy=1s"), "did you mean latency"),
        (("digits", "--limit", "accuracy=90%"), "accuracy is not a cost"),
        (("digits", "--budget", "soon"), "as 90 s, 10 min or 2 h"),
        (("digits", "--budget", "1ms"), "budget: 0.001 s is not at least"),
        (("digits", "--limit", "latency=1us"), "the smallest seen is 58"),
        (("digits", "--limit", "latency=70us", "--limit", "weights=10B"), "no pair meets weight_bytes"),
        (("cifar10",), "data_batch_1"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    device = () if "--device" in words else ("--device", "rpi4")
    code, out, err = run("design", *words, *device, "-o", tmp_path / "found")
    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "found").exists()


def test_limits_that_few_pairs_keep_are_found_by_descents() -> None:
    """2,000 pairs of the sample hold none as fast as the fastest; single decisions lead there."""
    content = {"architecture": space_of(load("digits")).section, "hardware": {"device": "rpi4"}}
    space = designing._space(content, load("digits"))
    limits = designing.parse_limits(space.hardware.model, ["latency=58.2us"])
    sample = space.sample(designing._SAMPLED, np.random.default_rng(0))
    assert (designing._excess(space.canonical(sample), space, limits) > 0).all()
    assert designing._fitting(space, limits).share == 1 / designing._SAMPLED
