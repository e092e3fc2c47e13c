"""A run without hardware: networks alone, the batch as a key, objectives of the network, whatever reads the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import codesign
from codesign.app.assemble import dataset_of, joint_space
from codesign.app.config import parse_config
from hwmodels.errors import SpecError

RUN = {
    "generations": 2,
    "architecture": {"space": "chain", "stages": 2, "width": [4, 8], "kernel": [1, 3], "bits": [8]},
    "fast": {"pairs": 60},
    "slow": {"trainings": 2, "classes": 1},
    "estimator": {"draws": 1, "recipe": {"epochs": 1, "batch_size": 256}},
    "executor": {"name": "serial", "portable": False},
}


def test_networks_are_searched_and_reported(tmp_path: Path) -> None:
    summary = codesign.search(RUN, tmp_path / "run")
    assert summary.objectives == ("macs", "weight_bytes")
    assert summary.front
    assert {tuple(pair.hardware) for pair in summary.evaluated} == {()}
    assert {"macs", "weight_bytes", "accuracy"} <= set(
        json.loads((tmp_path / "run/front.json").read_text())[0]["objectives"]
    )
    page = (tmp_path / "run/report.html").read_text(encoding="utf-8")
    assert "no hardware" in page


def test_the_batch_is_that_of_the_costs() -> None:
    one, eight = (parse_config({**RUN, "batch": batch}) for batch in (1, 8))
    spaces = [joint_space(config, dataset_of(config.data)) for config in (one, eight)]
    genotype = spaces[0].sample(1, np.random.default_rng(0))[0]
    macs = [space.architecture.workload(genotype[: space.architecture.n_genes]).macs for space in spaces]
    assert macs[1] == 8 * macs[0]


def test_without_hardware_there_is_no_latency() -> None:
    config = parse_config({**RUN, "objectives": ["latency_s"]})
    with pytest.raises(SpecError, match="latency_s is not one of"):
        joint_space(config, dataset_of(config.data))


def test_objectives_are_those_of_the_family_where_none_are_named() -> None:
    found = {
        device: parse_config({**RUN, "hardware": {"device": device}}).objectives for device in ("rpi4", "rram_edge")
    }
    assert found == {"rpi4": ["energy_j", "latency_s"], "rram_edge": ["energy_j", "latency_s", "area_mm2"]}
