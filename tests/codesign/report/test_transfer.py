"""Fronts carried over from one data set to another, over the networks that two runs have judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.cli import main
from codesign.report.summary import summarise
from codesign.report.transfer import transfer_of_runs
from hwmodels.catalog import device
from hwmodels.errors import SpecError

CHAIN = {"space": "chain", "stages": 1, "width": [4, 8, 16], "depth": [1, 2], "bits": [8]}


def searched(folder: Path, **changes: Any) -> Path:
    content = {
        "generations": 1, "data": {"name": "digits"}, "architecture": CHAIN, "hardware": {"device": "rpi4"},
        "objectives": ["latency_s"], "strategy": "random", "fast": {"pairs": 40},
        "slow": {"trainings": 6, "selection": "random"},
        "estimator": {"name": "training", "draws": 1, "recipe": {"epochs": 1}}, "executor": "serial", **changes,
    }  # fmt: skip
    run = begin(parse_config(content), folder)
    run.go()
    run.store.close()
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    first = searched(folder / "first")
    other = searched(folder / "other", data={"name": "noisy-digits"}, warm_start={"run": str(first)})
    return [first, other]


def test_networks_that_both_runs_judged_are_compared_on_each_data_set(runs: list[Path]) -> None:
    devices = [device("rpi4"), device("systolic_edge")]
    found = transfer_of_runs(runs, devices, "latency_s")
    assert found.runs == ("digits", "noisy-digits")
    assert found.carried.contexts == (
        "digits, rpi4", "digits, systolic_edge", "noisy-digits, rpi4", "noisy-digits, systolic_edge",
    )  # fmt: skip
    of_front = {pair.genotype for pair in summarise(runs[0]).front}
    both = {pair.genotype for pair in summarise(runs[0]).evaluated} & {
        pair.genotype for pair in summarise(runs[1]).evaluated
    }
    assert found.carried.networks == len(both) >= len(of_front)
    assert np.diag(found.carried.kept) == pytest.approx(1.0)
    # Both data sets have images of one size: a device takes the same time for a network of either.
    assert found.costs[0, 2] == pytest.approx(1.0)
    assert found.errors.shape == (2, 2)


def test_on_the_command_line(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = list(map(str, runs))
    for words, told in ((names, "rank correlation of the errors"), (names[:1], "rpi5")):
        monkeypatch.setattr(sys, "argv", ["codesign", "transfer", *words, "--device", "rpi4", "--device", "rpi5"])
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code
        assert told in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["codesign", "transfer", *names, "--device", "rpi4", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert len(json.loads(capsys.readouterr().out)["contexts"]) == 2


def test_other_networks_or_none_in_common_are_refused(runs: list[Path], tmp_path: Path) -> None:
    wider = searched(tmp_path / "wider", architecture={**CHAIN, "width": [4, 8]}, slow={"trainings": 2})
    with pytest.raises(SpecError, match="with other decisions"):
        transfer_of_runs([runs[0], wider], [device("rpi4")], "latency_s")
    alone = searched(tmp_path / "alone", slow={"trainings": 1, "selection": "random"}, fast={"pairs": 1}, seed=5)
    with pytest.raises(SpecError, match="at least two"):
        transfer_of_runs([runs[0], alone], [device("rpi4")], "latency_s")
