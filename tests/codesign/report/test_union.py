"""Fronts of several runs as one: nobody dominated stays, whose each pair is, and what cannot be joined."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.report.summary import summarise
from codesign.report.union import union
from hwmodels.errors import SpecError

SMALL = {
    "seed": 0,
    "generations": 1,
    "data": {"name": "digits"},
    "architecture": {"space": "chain", "stages": 2, "width": [4, 8], "depth": [1], "bits": [8]},
    "objectives": ["latency_s", "energy_j"],
    "strategy": {"name": "random"},
    "fast": {"pairs": 60},
    "slow": {"trainings": 3, "classes": 1},
    "estimator": {"name": "training", "draws": 1, "recipe": {"epochs": 1}},
    "executor": "serial",
}


def searched(folder: Path, device: str, **changes: object) -> Path:
    run = begin(parse_config({**SMALL, "hardware": {"device": device}, **changes}), folder)
    run.go()
    run.store.close()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    return [searched(folder / device, device) for device in ("rram_edge", "rpi4", "systolic_edge")]


def test_nobody_in_the_union_is_dominated_and_whoever_is_not_stays(runs: list[Path]) -> None:
    found = union(runs)
    every = [(str(run), pair) for run in runs for pair in summarise(run).front]

    def point(pair) -> np.ndarray:
        return np.array([-pair.objectives["accuracy"], *(pair.objectives[name] for name in found.objectives)])

    expected = {
        (run, pair.genotype)
        for run, pair in every
        if not any((point(o) <= point(pair)).all() and (point(o) < point(pair)).any() for _, o in every)
    }
    assert {(member.run, member.pair.genotype) for member in found.members} == expected
    assert {member.family for member in found.members} <= {"crossbar", "cpu", "spatial"}
    assert sum(kept for _, kept in found.fronts.values()) == len(found.members)
    accuracies = [member.pair.objectives["accuracy"] for member in found.members]
    assert accuracies == sorted(accuracies, reverse=True)


def test_a_union_does_not_depend_on_the_order_of_its_runs(runs: list[Path]) -> None:
    ways = [union(order) for order in (runs, runs[::-1])]
    assert {m.pair.genotype for m in ways[0].members} == {m.pair.genotype for m in ways[1].members}


def test_a_union_on_the_command_line(run, runs: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "union.csv"
    folders = [str(folder) for folder in runs]
    code, out, _ = run("union", *folders, "-o", str(table))
    assert code == 0
    assert "pairs of its front stay" in out
    assert table.read_text(encoding="utf-8").startswith("family,device,accuracy,latency_s,energy_j,network,design,run")
    assert len(json.loads(run("union", *folders, "--json")[1])["front"]) == len(union(runs).members)


def test_runs_that_cannot_be_joined_are_one_line(run, runs: list[Path], tmp_path: Path) -> None:
    for folders in (runs[:1], [runs[0], runs[0]]):
        with pytest.raises(SpecError, match="at least two runs"):
            union(folders)
    other = searched(tmp_path / "other", "rram_edge", data={"name": "noisy-digits"})
    with pytest.raises(SpecError, match="union: data of"):
        union([runs[0], other])
    apart = searched(tmp_path / "area", "rram_edge", objectives=["area_mm2"])
    code, _, error = run("union", str(runs[1]), str(apart))
    assert code == 2
    assert "a cost in common" in error
    assert error.count("\n") == 1
