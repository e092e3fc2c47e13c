"""Searches over given networks: costs alone, published accuracies, own weights; resumed and reported like others."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.enumerate_run import enumerate_run
from codesign.app.run import begin, reopen
from codesign.report.html import read_report, write_report
from codesign.report.summary import summarise
from hwmodels.errors import SpecError
from tests.codesign import own_module

SYSTOLIC = {"device": "systolic_edge", "knobs": {"array_rows": [8, 16, 32], "array_cols": [8, 16, 32]}}


def config_of(architecture: dict[str, Any], **settings: Any):
    given = {
        "generations": 2, "architecture": {"space": "fixed", **architecture}, "hardware": SYSTOLIC,
        "objectives": ["latency_s", "energy_j"], "fast": {"pairs": 200}, "strategy": "random",
        "executor": {"name": "serial"},
    }  # fmt: skip
    return parse_config({**given, **settings})


def points(rows: list[dict[str, Any]], names: tuple[str, ...]) -> set[tuple[float, ...]]:
    return {tuple(float(row[name]) for name in names) for row in rows}


@pytest.mark.parametrize("search", ["joint", "inner", "front"])
def test_a_search_by_costs_finds_the_front_that_enumeration_finds(tmp_path: Path, search: str) -> None:
    config = config_of({"network": "ds_cnn"}, hardware={**SYSTOLIC, "search": search})
    begin(config, tmp_path / "run").go()
    found = summarise(tmp_path / "run")
    assert (found.judged_by, found.ledger.trained, found.ledger.estimates) == (None, 0, 0)
    assert "error" not in found.reference
    enumerate_run(config, tmp_path / "whole")
    exact = list(csv.DictReader((tmp_path / "whole" / "front.csv").read_text().splitlines()))
    names = ("latency_s", "energy_j")
    mine = points([pair.objectives for pair in found.front], names)
    assert mine <= points(exact, names) if search == "inner" else mine == points(exact, names)
    assert mine


def test_a_report_of_costs_speaks_of_no_accuracy(tmp_path: Path) -> None:
    run = begin(config_of({"network": "ds_cnn"}), tmp_path / "run")
    run.go()
    write_report(read_report(run.store), tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    body = page[page.index('<section id="result">') : page.index('<section id="configuration">')]
    assert "costs alone" in page
    assert "networks trained" not in body
    assert "best accuracy" not in body
    header = (tmp_path / "run" / "pareto.csv").read_text().splitlines()[0]
    assert "accuracy" not in header
    assert not {"accuracy", "error"} & set(json.loads((tmp_path / "run" / "front.json").read_text())[0]["objectives"])


def test_a_resumed_search_by_costs_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    config = config_of({"network": ["ds_cnn", "resnet8"]}, generations=3)
    begin(config, tmp_path / "whole").go()
    begun = begin(config, tmp_path / "part")

    class Stop(Exception):
        pass

    def stop(event: Any) -> None:
        if event.generation == 1:
            raise Stop

    with pytest.raises(Stop):
        begun.go(stop)
    reopen(tmp_path / "part").go()
    whole, part = summarise(tmp_path / "whole"), summarise(tmp_path / "part")
    assert [pair.genotype for pair in whole.evaluated] == [pair.genotype for pair in part.evaluated]
    assert np.array_equal(whole.progress.hypervolume, part.progress.hypervolume)


def test_published_accuracies_judge_built_in_networks(tmp_path: Path) -> None:
    from hwmodels.workload.zoo import published_accuracy

    names = ["resnet18", "resnet50", "mobilenet_v2"]
    begin(config_of({"network": names}, estimator="published"), tmp_path / "run").go()
    found = summarise(tmp_path / "run")
    assert found.judged_by == "published_top1"
    assert found.ledger.trained == 0
    for pair in found.evaluated:
        known = published_accuracy(pair.architecture)
        assert known is not None
        assert pair.objectives["published_top1"] == known.top1_percent / 100
        assert "accuracy" not in pair.objectives
    assert max(found.front, key=lambda pair: pair.value("published_top1")).architecture == "resnet50"
    assert found.progress.accuracy[-1] == max(pair.value("published_top1") for pair in found.evaluated)
    files = write_report(read_report(tmp_path / "run"), tmp_path / "run")
    assert "published top-1 (%)" in next(path for path in files if path.name == "pareto.csv").read_text()


def test_own_weights_are_judged_under_each_numerics(tmp_path: Path) -> None:
    crossbar = {"device": "rram_edge", "knobs": {"adc_bits": [3, 8]}}
    config = config_of(
        {"torch": f"{own_module.__file__}:trained"},
        hardware=crossbar, estimator={"name": "own_weights", "draws": 1}, generations=1,
    )  # fmt: skip
    begin(config, tmp_path / "run").go()
    found = summarise(tmp_path / "run")
    accuracy = {pair.hardware["adc_bits"]: pair.objectives["accuracy"] for pair in found.evaluated}
    assert accuracy[8] > accuracy[3] + 0.1
    assert found.ledger.trained == 0
    assert found.ledger.estimates == 2


@pytest.mark.parametrize(
    ("architecture", "settings", "told"),
    [
        ({"network": "ds_cnn"}, {"estimator": "training"}, r"ds_cnn on digits.*codesign enumerate"),
        ({"network": "ds_cnn"}, {"estimator": "own_weights"}, "for a module of one's own"),
        ({"network": ["resnet18", "r3d_18"]}, {"estimator": "published"}, "a network with a published accuracy"),
        ({"network": ["resnet18", "lenet5"]}, {"estimator": "published"}, "a network with|on one data set"),
        ({"torch": f"{own_module.__file__}:trained"}, {"estimator": "published"}, "for built-in networks"),
        ({"torch": f"{own_module.__file__}:regrouped"}, {"estimator": "own_weights"}, "outputs that differ by"),
        ({"network": "ds_cnn"}, {"least_accuracy": 0.5}, "accuracy"),
    ],
)
def test_what_cannot_be_judged_is_refused_before_anything_is_written(
    tmp_path: Path, architecture: dict[str, Any], settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(SpecError, match=told):
        begin(config_of(architecture, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()
