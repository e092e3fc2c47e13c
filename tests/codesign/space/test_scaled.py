"""Compound scaling: the conformance suite, published sizes exactly, the rule of the paper."""

from __future__ import annotations

from itertools import pairwise

import pytest

from codesign.data import load
from codesign.registry import SPACES
from codesign.space.scaled import ScaledSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.zoo import network


class TestConformance(SpaceSuite):
    points = 3

    def make(self) -> ScaledSpace:
        return ScaledSpace(
            width=(0.25, 0.5), depth=(0.3, 0.6), resolution=(32, 48), input_shape=(3, 32, 32), classes=10
        )


@pytest.mark.parametrize(
    ("name", "base", "width", "depth"),
    [
        ("efficientnet_b0", "b0", 1.0, 1.0),
        ("efficientnet_b3", "b0", 1.2, 1.4),
        ("efficientnet_b7", "b0", 2.0, 3.1),
        ("efficientnet_lite0", "lite0", 1.0, 1.0),
        ("efficientnet_lite4", "lite0", 1.4, 1.8),
        ("efficientnet_v2_s", "v2_s", 1.0, 1.0),
    ],
)
def test_published_sizes_are_points_of_the_space(name: str, base: str, width: float, depth: float) -> None:
    published = network(name)
    shape = published.input_shapes[0][1:]
    space = ScaledSpace(base, width=(width,), depth=(depth,), input_shape=shape)
    found = space.workload(space.enumerate()[0])
    assert (found.parameters, found.macs) == (published.parameters, published.macs)


def test_a_step_of_the_coefficient_about_doubles_the_work() -> None:
    space = ScaledSpace(phi=(0.0, 1.0, 2.0))
    macs = [space.workload(point).macs for point in space.enumerate()]
    assert macs[0] == network("efficientnet_b0").macs
    assert all(1.6 < larger / smaller < 2.6 for smaller, larger in pairwise(macs))
    assert space.describe(space.enumerate()[1]) == "b0 width 1.1 depth 1.2 at 258"


def test_a_coefficient_stands_alone() -> None:
    with pytest.raises(SpecError, match="without width"):
        ScaledSpace(phi=(1.0,), width=(2.0,))
    space = SPACES.parse({"space": "scaled", "phi": [-2, 0]}, "run").make(load("digits"))
    assert space.size == 2
