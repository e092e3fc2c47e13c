"""A space written in a run file: the conformance suite, networks counted by hand, mistakes in one line."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.data import load
from codesign.registry import SPACES
from codesign.report.summary import summarise
from codesign.space.custom import CustomSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError

LAYERS = [
    {"op": "conv", "channels": [8, 16], "kernel": 3},
    {"op": ["conv", "mbconv", "maxpool"], "channels": [16, 24], "kernel": [3, 5], "stride": 2, "repeat": [1, 2]},
    {"name": "wide", "op": "mbconv", "expansion": [2, 4], "squeeze": [True, False]},
    {"op": ["depthwise", "skip"], "from": ["wide", "input"], "join": "concat"},
]


class Data:
    shape, classes = (3, 16, 16), 10


def space_of(layers: list[dict]) -> CustomSpace:
    return SPACES.parse({"space": "custom", "layers": layers}, "run").make(Data)


class TestConformance(SpaceSuite):
    points = 8

    def make(self) -> CustomSpace:
        return space_of(LAYERS)


def test_lists_are_decisions_and_nothing_else() -> None:
    space = space_of(LAYERS)
    assert [gene.name for gene in space.genes] == [
        "layer0.channels", "layer1.op", "layer1.channels", "layer1.kernel", "layer1.repeat", "wide.expansion",
        "wide.squeeze", "layer3.op",
    ]  # fmt: skip
    assert space.size == 2 * 3 * 2 * 2 * 2 * 2 * 2 * 2


def test_a_network_is_counted_by_hand() -> None:
    space = space_of([{"op": "conv", "channels": 8}, {"op": "maxpool", "stride": 2, "channels": 12}])
    found = space.workload(np.zeros(0, np.int64))
    # 3x3 of 3 to 8 with a norm, 1x1 of 8 to 12 with a norm, classifier.
    assert found.parameters == 27 * 8 + 16 + 8 * 12 + 24 + 130
    assert found.macs == 256 * 27 * 8 + 64 * 8 * 12 + 120


def test_what_is_read_is_joined_by_sum_or_concatenation() -> None:
    branches = [
        {"name": "a", "op": "conv", "channels": 8, "stride": 2},
        {"op": "conv", "channels": 16, "from": ["input"]},
    ]
    added, joined = (
        space_of([*branches, {"op": "skip", "from": ["layer1", "a", "input"], "join": join}]).workload(
            np.zeros(0, np.int64)
        )
        for join in ("add", "concat")
    )
    shapes = [{node.shape for node in workload} for workload in (added, joined)]
    assert (1, 16, 8, 8) in shapes[0]
    assert (1, 16 + 8 + 3, 8, 8) in shapes[1]


def test_decisions_that_an_operator_does_not_read_make_no_other_network() -> None:
    space = space_of([{"op": ["conv", "mbconv"], "channels": 8, "expansion": [2, 6]}])
    one, other, wide = (
        space.encode({"layer0.op": op, "layer0.expansion": e}) for op, e in (("conv", 2), ("conv", 6), ("mbconv", 6))
    )
    assert np.array_equal(*space.canonical(np.stack([one, other])))
    assert np.array_equal(space.canonical(wide[None])[0], wide)
    assert space.describe(other) == "layer0: op=conv"
    assert space.describe(wide) == "layer0: op=mbconv expansion=6"


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ({"op": "con"}, "layers"),
        ({"kernel": 4}, r"layers\[0\]: kernel: 4 is not odd"),
        ({"from": ["inptu"]}, r"layers\[0\]: from: inptu .*did you mean input"),
        ({"name": "input"}, "a name that no other layer has"),
        ({"channels": [8, 8]}, "without repeats"),
        ({"channels": 0}, "channels"),
        ({"kernl": 3}, "did you mean kernel"),
        ({"repeat": [1, 65]}, "repeat"),
    ],
)
def test_mistakes_are_one_line(layer: dict, told: str) -> None:
    with pytest.raises(SpecError, match=told) as caught:
        space_of([layer])
    assert "\n" not in str(caught.value)


def test_a_run_of_ones_own_space_trains_ends_and_is_reported(tmp_path) -> None:
    config = parse_config(
        {
            "generations": 1, "architecture": {"space": "custom", "layers": LAYERS[:2]}, "fast": {"pairs": 60},
            "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [8, 16]}},
            "slow": {"trainings": 1, "classes": 1},
            "estimator": {"name": "training", "recipe": {"epochs": 1}}, "executor": {"name": "serial"},
        }
    )  # fmt: skip
    begin(config, tmp_path / "run").go()
    assert summarise(tmp_path / "run").front
    assert (
        reopen(tmp_path / "run").space.architecture.fingerprint == config.architecture.make(load("digits")).fingerprint
    )
