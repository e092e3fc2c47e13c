"""Every registered strategy in the two-level loop on a small joint space: a search, and one that is cut and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.registry import STRATEGIES
from codesign.store import RunStore
from codesign.two_level.loop import Event, Search, run_search
from tests.codesign.strategy.trained import NEURAL, TRAINED
from tests.codesign.toys import FormulaEstimator, toy_search


@pytest.mark.parametrize("name", sorted(set(STRATEGIES.names()) - TRAINED - NEURAL))
def test_a_run_finds_a_front_and_a_resumed_one_the_same(name: str, tmp_path: Path) -> None:
    def search(estimator: FormulaEstimator) -> Search:
        return toy_search(
            strategy=lambda problem: STRATEGIES.parse(name, "strategy").make(problem),
            estimator=estimator, pairs=100, generations=3,
        )  # fmt: skip

    healthy = FormulaEstimator()
    whole = run_search(search(healthy), RunStore.create(tmp_path / "whole", {}))
    assert len(whole.archive.front()) > 0 or name in LOW_FIDELITY
    assert whole.ledger.evaluated > 0
    store = RunStore.create(tmp_path / "cut", {})
    with pytest.raises(KeyboardInterrupt):
        run_search(search(FormulaEstimator(fail_after=healthy.calls * 2 // 3)), store)
    store.close()
    again = run_search(search(FormulaEstimator()), RunStore.open(tmp_path / "cut"))
    assert [m.genotype for m in again.archive.members] == [m.genotype for m in whole.archive.members]
    assert [m.costs for m in again.archive.front()] == [m.costs for m in whole.archive.front()]


def run_file(name: str) -> dict[str, Any]:
    """Cells of the shipped table on a Pi: the strategy trains its mixture, nothing else is trained."""
    operations = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"]
    return {
        "generations": 3, "data": {"name": "noisy-digits"},
        "architecture": {"space": "cell", "channels": 4, "cells": 1, "stages": 3, "operations": operations},
        "hardware": {"device": "rpi4"}, "objectives": ["latency_s"],
        "strategy": {"name": name, "epochs": 2, "epochs_a_batch": 1, "batch_size": 256},
        "estimator": {"name": "table"}, "fast": {"pairs": 30}, "slow": {"trainings": 4, "classes": 1},
        "executor": {"name": "serial", "portable": False},
    }  # fmt: skip


def stopped_and_resumed(content: dict[str, Any], folder: Path) -> list[tuple[int, ...]]:
    """Genotypes of the archive of a run that is stopped in its third generation and gone on with."""
    cut = begin(parse_config(content), folder)

    def stop(event: Event) -> None:
        if event.generation == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.go(stop)
    cut.store.close()
    again = reopen(folder)
    again.go()
    return [member.genotype for member in again.parts.archive.members]


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_a_run_with_an_inner_trainer_finds_a_front_and_a_resumed_one_the_same(name: str, tmp_path: Path) -> None:
    content = run_file(name)
    if name == "enas":
        content["strategy"]["steps"] = 2
    else:
        content["slow"]["selection"] = "strategy"
    whole = begin(parse_config(content), tmp_path / "whole")
    whole.go()
    assert whole.parts.archive.front()
    assert stopped_and_resumed(content, tmp_path / "cut") == [m.genotype for m in whole.parts.archive.members]
    assert "blob" in whole.parts.strategy.state()


def test_networks_of_neurons_are_evolved_and_a_resumed_run_ends_the_same(tmp_path: Path) -> None:
    """Exclusive or from a table, on two designs; cut after the second generation."""
    table = tmp_path / "xor.csv"
    table.write_text("a,b,xor\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n")
    content = {
        "generations": 4, "data": {"name": "table", "root": str(table), "label": "xor", "split": "whole"},
        "architecture": {"space": "neurons", "connections": 12, "hidden": 3},
        "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [16, 32]}}, "objectives": ["latency_s"],
        "strategy": {"name": "neat", "population": 12, "add_neuron": 0.3}, "estimator": {"name": "genome"},
        "fast": {"pairs": 12}, "slow": {"trainings": 12, "classes": 1},
        "executor": {"name": "serial", "portable": False},
    }  # fmt: skip
    whole = begin(parse_config(content), tmp_path / "whole")
    whole.go()
    assert min(member.estimate.error for member in whole.parts.archive.front()) <= 0.25  # three of four
    assert stopped_and_resumed(content, tmp_path / "cut") == [m.genotype for m in whole.parts.archive.members]


LOW_FIDELITY = frozenset({"bohb", "hyperband", "successive_halving"})
"""Strategies whose first pairs are of low fidelity, which a front does not hold."""
