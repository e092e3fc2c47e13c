"""Cells of NAS-Bench-101: the conformance suite, published parameters, and vertices that are no part of the cell."""

from __future__ import annotations

import numpy as np

from codesign.data import load
from codesign.estimate.train import check_fit
from codesign.registry import SPACES
from codesign.space.nasbench101 import NasBench101Space, vertex_channels
from codesign.testing.space import SpaceSuite


class TestConformance(SpaceSuite):
    points = 4

    def make(self) -> NasBench101Space:
        return NasBench101Space(vertices=6, edges=8, channels=8, cells=1, stacks=2)


INCEPTION = [
    [0, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0],
]  # fmt: skip


def test_the_published_inception_like_cell_has_its_parameters() -> None:
    # 2,694,282 [google-research/nasbench, README, the query of this cell]
    space = NasBench101Space()
    point = space.point_of(INCEPTION, ["conv1x1", "conv3x3", "conv3x3", "conv3x3", "maxpool3x3"])
    assert space.valid(point[None]).all()
    assert space.workload(point).parameters == 2_694_282


def test_channels_are_shared_by_what_feeds_the_output() -> None:
    # Three vertices feed an output of 8: 3, 3 and 2; the fourth feeds the first and the last, so it has the wider's 3.
    matrix = np.zeros((6, 6), np.bool_)
    for i, j in ((0, 1), (1, 2), (1, 4), (0, 3), (2, 5), (3, 5), (4, 5)):
        matrix[i, j] = True
    assert vertex_channels(matrix, 4, 8) == [4, 3, 3, 3, 2, 8]


def test_a_vertex_without_a_path_is_no_part_of_the_cell() -> None:
    space = NasBench101Space(vertices=5, channels=8, cells=1, stacks=2, input_shape=(1, 8, 8))
    lone = space.point_of(
        [[0, 1, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0], [0] * 5, [0] * 5], ["conv3x3"] * 2 + ["conv1x1"]
    )
    bare = space.point_of([[0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0] * 5, [0] * 5, [0] * 5], ["conv3x3"] * 3)
    assert np.array_equal(space.canonical(lone[None])[0], bare)
    assert space.workload(lone).parameters == space.workload(bare).parameters
    assert space.describe(lone) == "1:conv3x3<0 4<1"
    cut = space.point_of([[0, 1, 0, 0, 0], [0] * 5, [0] * 5, [0] * 5, [0] * 5], ["conv3x3"] * 3)
    assert not space.valid(cut[None]).any()


def test_edges_have_a_bound() -> None:
    full = [[int(j > i) for j in range(5)] for i in range(5)]
    point = NasBench101Space(vertices=5).point_of(full, ["conv3x3"] * 3)
    assert NasBench101Space(vertices=5, edges=10).valid(point[None]).all()
    assert not NasBench101Space(vertices=5, edges=9).valid(point[None]).any()


def test_settings_reach_the_space() -> None:
    digits = load("digits")
    space = SPACES.parse({"space": "nasbench101", "vertices": 4, "channels": 8}, "run").make(digits)
    for point in space.sample(3, np.random.default_rng(0)):
        check_fit(space.workload(point), digits)
