"""Micro cells: the conformance suite of both skeletons, published cells exactly, and what makes two cells one."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.data import load
from codesign.estimate.train import check_fit
from codesign.network import to_module
from codesign.registry import SPACES
from codesign.space.micro import NASNET_OPERATIONS, MicroSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.zoo import darts, network


class TestDarts(SpaceSuite):
    points = 3

    def make(self) -> MicroSpace:
        return MicroSpace(nodes=3, channels=4, cells=3, input_shape=(1, 16, 16))


class TestNasnet(SpaceSuite):
    points = 3

    def make(self) -> MicroSpace:
        return MicroSpace(skeleton="nasnet", nodes=3, joined="loose", distinct=False, channels=8, cells=1)


DARTS = {"darts_v1_cifar": darts._DARTS_V1, "darts_v2_cifar": darts._DARTS_V2, "p_darts_cifar": darts._P_DARTS,
         "pc_darts_cifar": darts._PC_DARTS_CIFAR}  # fmt: skip


@pytest.mark.parametrize("name", DARTS)
def test_cells_of_darts_are_points_of_the_space(name: str) -> None:
    space = MicroSpace(channels=36, cells=20)
    point = space.point_of(DARTS[name])
    assert space.valid(point[None]).all()
    assert space.cells_of(point) == DARTS[name]
    found, published = space.workload(point), network(name)
    assert (found.parameters, found.macs) == (published.parameters, published.macs)


def test_cells_of_enas_join_what_nothing_reads() -> None:
    enas = MicroSpace(nodes=5, joined="loose", distinct=False, channels=36, cells=17)
    found, published = enas.workload(enas.point_of(darts._ENAS)), network("enas_micro")
    assert (found.parameters, found.macs) == (published.parameters, published.macs)
    assert enas.cells_of(enas.point_of(darts._ENAS)) == darts._ENAS


def test_the_size_is_that_of_the_publication() -> None:
    # 7 operations and 2, 3, 4, 5 states for two terms of a node; unordered pairs of different states are 1, 3, 6, 10.
    space = MicroSpace()
    assert space.size == np.prod([(7 * states) ** 2 for states in (2, 3, 4, 5)], dtype=object) ** 2
    drawn = space.canonical(space.sample(50, np.random.default_rng(0)))
    states = drawn.reshape(50, 2, 4, 2, 2)[..., 1]
    assert (states[..., 0] < states[..., 1]).all()


def test_two_terms_in_the_other_order_are_one_node() -> None:
    space = MicroSpace(nodes=2, channels=4, cells=3)
    point = space.sample(1, np.random.default_rng(1))[0]
    turned = point.reshape(2, 2, 2, 2)[:, :, ::-1].reshape(-1)
    assert not np.array_equal(point, turned)
    assert np.array_equal(*space.canonical(np.stack([point, turned])))
    assert space.workload(point).parameters == space.workload(turned).parameters


def test_settings_reach_the_space_and_its_networks_are_trained() -> None:
    digits = load("digits")
    settings = {"space": "micro", "nodes": 2, "channels": 4, "cells": 3, "operations": ["skip", "sep3", "max3"]}
    space = SPACES.parse(settings, "run").make(digits)
    for point in space.sample(4, np.random.default_rng(3)):
        check_fit(space.workload(point), digits)
        assert sum(p.numel() for p in to_module(space.workload(point)).parameters()) == space.workload(point).parameters
    with pytest.raises(SpecError, match="did you mean sep"):
        MicroSpace(operations=["sep4"])
    with pytest.raises(SpecError, match="operations: skip"):
        MicroSpace(operations=NASNET_OPERATIONS).point_of(darts._P_DARTS)
