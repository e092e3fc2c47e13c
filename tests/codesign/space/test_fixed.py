"""Given networks as a space: the conformance suite, costs equal to those of the network alone, refusals in one line."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import hwmodels
from codesign.app.config import parse_config
from codesign.app.enumerate_run import enumerate_run
from codesign.registry import SPACES
from codesign.space.fixed import FixedSpace
from codesign.testing.space import SpaceSuite
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.source import Source


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
    one, other = (FixedSpace({"mine": Source(network="ds_cnn", inputs=(shape,))}) for shape in ("1x49x10", "1x25x10"))
    assert one.fingerprint != other.fingerprint
    assert space_of(network="ds_cnn").fingerprint != space_of(network="ds_cnn", bits=4).fingerprint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "one of network, torch, onnx, hf_config, layers"),
        ({"network": "ds_cnn", "onnx": "a.onnx"}, "network and onnx"),
        ({"network": ["ds_cnn", "ds_cnn"]}, "without repeats"),
        ({"network": "ds_cn"}, "did you mean"),
    ],
)
def test_bad_settings_are_one_line(settings: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        space_of(**settings)


def test_bits_are_those_of_the_hardware_unless_stated() -> None:
    def bits(space: FixedSpace) -> int:
        return space.lower(np.zeros((1, 1), np.int64), Semantics(True, True)).table.layers.weight_bits[0]

    space, spec = space_of(network="ds_cnn"), device("rpi4").spec
    assert bits(space) == 8
    assert bits(space.computed_on([spec])) == 32
    assert bits(space_of(network="ds_cnn", bits=4).computed_on([spec])) == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"layers": "examples/small_cnn.csv"},
        {"hf_config": "examples/config.json", "inputs": ["64"], "past": 32},
        {"onnx": "examples/small_cnn.onnx"},
        {"network": "ds_cnn", "format": "int4"},
    ],
)
def test_every_source_of_networks_is_one_of_the_space(settings: dict[str, object]) -> None:
    space = space_of(**settings)
    assert space.workload(np.zeros(1, np.int64)).macs > 0
    assert space.describe(np.zeros(1, np.int64))
