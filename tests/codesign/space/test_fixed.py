"""Given networks as a space: the conformance suite, costs equal to those of the network alone, refusals in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import hwmodels
from codesign.app.config import parse_config
from codesign.app.enumerate_run import enumerate_run
from codesign.app.run import begin
from codesign.registry import SPACES
from codesign.space.fixed import FixedSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.ops import Precision
from hwmodels.workload.zoo import network


def space_of(**settings: object) -> FixedSpace:
    return SPACES.parse({"space": "fixed", **settings}, "run").make(None)


def config_of(**settings: object):
    return parse_config(
        {
            "architecture": {"space": "fixed", **settings},
            "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [8, 16], "array_cols": [8, 16]}},
            "objectives": ["latency_s", "energy_j"],
        }
    )


class TestConformance(SpaceSuite):
    def make(self) -> FixedSpace:
        return space_of(network=["lenet5"])


def test_a_design_costs_what_the_network_alone_costs_on_it(tmp_path: Path) -> None:
    summary = enumerate_run(config_of(network="ds_cnn"), tmp_path / "run")
    assert (summary["networks"], summary["designs"], summary["pairs"]) == (1, 4, 4)
    rows = list(csv.DictReader((tmp_path / "run" / "front.csv").read_text().splitlines()))
    knobs = {"array_rows": [8, 16], "array_cols": [8, 16]}
    alone = hwmodels.sweep("ds_cnn", "systolic_edge", knobs, bits=8).to_frame()
    for row in rows:
        assert row["network"] == "ds_cnn"
        same = (alone["array_rows"] == int(row["array_rows"])) & (alone["array_cols"] == int(row["array_cols"]))
        assert float(row["latency_s"]) == pytest.approx(float(alone["latency_s"][same].iloc[0]), rel=1e-12)
    assert min(float(row["latency_s"]) for row in rows) == pytest.approx(alone["latency_s"].min(), rel=1e-12)


def test_a_list_makes_the_network_a_choice() -> None:
    space = space_of(network=["ds_cnn", "resnet8"])
    assert space.size == 2
    assert [space.describe(genotype) for genotype in space.enumerate()] == ["ds_cnn", "resnet8"]
    assert space.workload(np.array([0])).macs != space.workload(np.array([1])).macs


def test_a_network_of_other_content_is_another_space() -> None:
    one, other = (
        FixedSpace({"mine": lambda batch, bits=bits: network("ds_cnn", batch=batch, precision=Precision(bits, bits))})
        for bits in (4, 8)
    )
    assert one.fingerprint != other.fingerprint
    assert space_of(network="ds_cnn").fingerprint != space_of(network="ds_cnn", bits=4).fingerprint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "one of network, torch, onnx"),
        ({"network": "ds_cnn", "onnx": "a.onnx"}, "network and onnx"),
        ({"network": ["ds_cnn", "ds_cnn"]}, "without repeats"),
        ({"network": "ds_cn"}, "did you mean"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        space_of(**settings)


def test_a_search_refuses_a_network_that_does_not_take_the_images(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"ds_cnn on digits.*codesign enumerate"):
        begin(config_of(network="ds_cnn"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
