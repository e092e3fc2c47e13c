"""Limits that close over the generations, and a run that ends when there is enough."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.objectives import Limit
from codesign.report.summary import summarise
from codesign.two_level.loop import Event
from codesign.two_level.tighten import limits_at, starts_of
from hwmodels.errors import SpecError

BOUND = 1e-4  # seconds; some of the pairs below are slower


def run_file(**changes: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "generations": 3,
        "data": {"name": "digits"},
        "architecture": {"space": "chain", "stages": 2, "width": [4, 8, 16], "depth": [1, 2], "bits": [8]},
        "hardware": {"device": "rpi4"},
        "objectives": ["latency_s", "energy_j"],
        "constraints": {"latency_s": BOUND},
        "strategy": {"name": "random"},
        "fast": {"pairs": 120},
        "slow": {"trainings": 3, "classes": 1},
        "estimator": {"name": "training", "draws": 1, "recipe": {"epochs": 1}},
        "executor": "serial",
        **changes,
    }


@given(st.floats(1e-6, 1.0), st.floats(1.0, 100.0), st.integers(2, 20), st.booleans())
def test_limits_close_from_the_start_to_the_limit(bound: float, ratio: float, generations: int, least: bool) -> None:
    limit = Limit("latency_s", bound, least)
    start = bound / ratio if least else bound * ratio
    bounds = [limits_at([limit], {"latency_s": start}, g, generations)[0].bound for g in range(generations)]
    assert bounds[0] == pytest.approx(start)
    assert bounds[-1] == bound
    assert all((a <= b * (1 + 1e-12)) if least else (a >= b * (1 - 1e-12)) for a, b in pairwise(bounds))
    assert limits_at([limit], {}, 0, generations) == (limit,)
    assert limits_at([limit], {"latency_s": start}, 0, 1) == (limit,)


def searched(folder: Path, **changes: Any) -> Any:
    run = begin(parse_config(run_file(**changes)), folder)
    run.go()
    run.store.close()
    return summarise(folder)


def test_early_generations_let_more_through_and_the_front_keeps_the_limit(tmp_path: Path) -> None:
    strict = searched(tmp_path / "strict")
    loose = searched(tmp_path / "loose", tightening={"latency_s": 100 * BOUND})
    refused = [
        [sum(n for name, n in ledger.pruned.items() if name.endswith("latency_s")) for ledger in found.generations]
        for found in (strict, loose)
    ]
    assert refused[1][0] == 0 < refused[0][0]
    assert refused[1][-1] > 0
    slow = [pair for pair in loose.evaluated if pair.costs["latency_s"] > BOUND]
    assert slow
    assert not any(pair.on_front for pair in slow)
    assert loose.front
    assert all(pair.costs["latency_s"] <= BOUND for pair in loose.front)


def test_a_run_that_was_stopped_goes_on_with_the_limit_of_its_generation(tmp_path: Path) -> None:
    settings = {"tightening": {"latency_s": f"{100 * BOUND} s"}}
    whole = searched(tmp_path / "whole", **settings)

    class Stop(Exception):
        pass

    def stop(event: Event) -> None:
        if event.level == "fast" and event.generation == 1:
            raise Stop

    run = begin(parse_config(run_file(**settings)), tmp_path / "parts")
    with pytest.raises(Stop):
        run.go(stop)
    run.store.close()
    again = reopen(tmp_path / "parts")
    again.go()
    again.store.close()
    resumed = summarise(tmp_path / "parts")
    assert [pair.genotype for pair in resumed.evaluated] == [pair.genotype for pair in whole.evaluated]
    assert [ledger.pruned for ledger in resumed.generations] == [ledger.pruned for ledger in whole.generations]


def test_a_run_ends_when_its_front_is_large_enough(tmp_path: Path) -> None:
    whole = searched(tmp_path / "whole", generations=4)
    ended = searched(tmp_path / "ended", generations=4, enough=1)
    assert len(whole.generations) == 4
    assert 1 <= len(ended.generations) < 4
    assert ended.front
    again = reopen(tmp_path / "ended")
    again.go()
    again.store.close()
    assert len(summarise(tmp_path / "ended").generations) == len(ended.generations)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tightening": {"energy_j": 1.0}}, "tightening: energy_j is not one of latency_s"),
        ({"tightening": {"latency_s": BOUND / 2}}, "as loose as its constraint"),
        ({"tightening": {"latenc_s": 1.0}}, "latenc_s"),
        ({"tightening": {"latency_s": "soon"}}, "soon"),
        ({"enough": -1}, "enough"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=told):
        begin(parse_config(run_file(**changes)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_least_value_begins_lower() -> None:
    limits = (Limit("throughput_items_per_s", 30.0, least=True),)
    assert starts_of({"throughput_items_per_s": 3.0}, limits) == {"throughput_items_per_s": 3.0}
    with pytest.raises(SpecError, match="as loose as"):
        starts_of({"throughput_items_per_s": 60.0}, limits)
