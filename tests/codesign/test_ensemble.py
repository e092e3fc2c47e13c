"""An ensemble of a run: members from its archive, costs that add up, one line for what has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from codesign.app.ensemble import ensemble_of
from codesign.report.summary import summarise

RUN = """
generations: 2
data: {name: noisy-digits}
architecture: {space: chain, stages: 2, kernel: [3], width: [4, 8, 16], depth: [1], stride: [1, 2], bits: [4, 8]}
hardware: {device: systolic_edge, knobs: {array_rows: [8, 16], dataflow: [os, ws]}}
objectives: [latency_s, energy_j, throughput_items_per_s]
fast: {pairs: 100}
slow: {trainings: 3, classes: 2}
estimator: {name: training, recipe: {epochs: 3}}
executor: {name: serial}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import codesign

    folder = tmp_path_factory.mktemp("ensemble")
    (folder / "run.yaml").write_text(RUN)
    codesign.search(folder / "run.yaml", folder / "run")
    return folder / "run"


def test_members_are_networks_of_the_archive_and_the_first_is_the_best(searched: Path) -> None:
    found, evaluated = ensemble_of(searched, most=4), summarise(searched).evaluated
    known = {pair.genotype: pair for pair in evaluated}
    assert len(found.parts) == 4
    assert found.parts[0].accuracy == max(pair.objectives["accuracy"] for pair in evaluated)
    assert found.library == len({(pair.architecture, pair.objectives["accuracy"]) for pair in evaluated})
    for part in found.parts:
        pair = known[part.genotype]
        assert (part.accuracy, part.accuracy_test) == (pair.objectives["accuracy"], pair.objectives["accuracy_test"])
        same = [
            one for one in evaluated if (one.architecture, one.objectives["accuracy"]) == (part.network, part.accuracy)
        ]
        assert part.costs["latency_s"] == min(one.objectives["latency_s"] for one in same)
    first = found.steps[0]
    assert (first.accuracy, first.accuracy_test) == (found.parts[0].accuracy, found.parts[0].accuracy_test)


def test_costs_are_the_sum_of_the_members(searched: Path) -> None:
    found = ensemble_of(searched, most=3)
    for count, costs in enumerate(found.costs, start=1):
        members = found.parts[:count]
        for name in ("latency_s", "energy_j"):
            assert costs[name] == pytest.approx(sum(part.costs[name] for part in members))
        rate = 1 / sum(1 / part.costs["throughput_items_per_s"] for part in members)
        assert costs["throughput_items_per_s"] == pytest.approx(rate)


def test_the_command_shows_the_ensemble_beside_its_members(run, searched: Path) -> None:
    before = sorted(path.name for path in searched.iterdir())
    code, out, err = run("ensemble", searched, "--members", "3")
    assert (code, err) == (0, "")
    found = ensemble_of(searched, most=3)
    best = found.steps[found.size - 1]
    assert f"{found.size} of {found.library} networks" in out
    assert f"{100 * best.accuracy_test:.3g}" in out
    record = json.loads(run("ensemble", searched, "--json")[1])
    assert record["size"] == found.size
    assert [step["accuracy_test"] for step in record["steps"]] == [step.accuracy_test for step in found.steps]
    assert record["size"] == 1 + int(np.argmax([step["accuracy"] for step in record["steps"]]))
    assert sorted(path.name for path in searched.iterdir()) == before  # nothing is written


def test_more_members_than_networks_are_all_of_them(searched: Path) -> None:
    found = ensemble_of(searched, most=500)
    assert len(found.parts) == found.library


def test_what_has_no_ensemble_is_one_line(run, searched: Path, tmp_path: Path) -> None:
    config = tmp_path / "scored.yaml"
    config.write_text(RUN.replace("estimator: {name: training, recipe: {epochs: 3}}", "estimator: {name: zero_cost}"))
    assert run("search", config, "-o", tmp_path / "scored", "--json")[0] == 0
    costs = tmp_path / "costs.yaml"
    costs.write_text(
        "generations: 1\narchitecture: {space: fixed, network: [mobilenet_v2]}\n"
        "hardware: {device: systolic_edge, knobs: {array_rows: [8, 16]}}\nexecutor: {name: serial}\n"
    )
    assert run("search", costs, "-o", tmp_path / "costs", "--json")[0] == 0
    for folder, told in (
        (tmp_path / "nothing", "manifest.json"),
        (tmp_path / "scored", "one that trains"),
        (tmp_path / "costs", "one that trains"),
    ):
        code, out, err = run("ensemble", folder)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert told in err
    code, _, err = run("ensemble", searched, "--members", "0")
    assert code == 2
