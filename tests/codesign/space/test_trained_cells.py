"""Cells by way of training: the suite of spaces, numbers, what is known, and the work of a training."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.space.cell import CellSpace
from codesign.space.mixed_bits import MixedBitsSpace
from codesign.space.trained_cells import NOISE_AWARE, PLAIN, TRAINING_MACS, TrainedCells
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.evaluate import network_metrics
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import RUNTIMES

EPOCHS = {PLAIN: 5, NOISE_AWARE: 12}
SMALL = CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8), classes=3)


def some(known: np.ndarray | None = None) -> TrainedCells:
    return TrainedCells(SMALL, epochs=EPOCHS, images=100, known=known)


class TestTrainedCells(SpaceSuite):
    def make(self) -> TrainedCells:
        return some(SMALL.representatives[::3])


@given(st.integers(0, 2 * SMALL.size - 1))
def test_a_number_and_a_point_are_one(number: int) -> None:
    space = some()
    point = space.genotype_of(number)
    assert space.number_of(point[None]).tolist() == [number]
    assert np.array_equal(point[:-1], SMALL.genotype_of(number // 2))
    assert space.way_of(point) == (PLAIN, NOISE_AWARE)[number % 2]


def test_only_known_cells_are_valid_whichever_way_they_are_written() -> None:
    known = SMALL.representatives[::3]
    space = some(known)
    points = space.enumerate()
    cells = SMALL.number_of(SMALL.canonical(points[:, :-1]))
    expected = SMALL.valid(points[:, :-1]) & np.isin(cells, known)
    assert 0 < expected.sum() < SMALL.valid(points[:, :-1]).sum()
    assert np.array_equal(space.valid(points), expected)
    assert set(space.number_of(space.canonical(points[expected])).tolist()) == set(space.representatives.tolist())
    assert len(space.representatives) == 2 * len(known)


def test_both_ways_are_one_network_whose_training_takes_three_passes_an_image_and_epoch() -> None:
    space = some()
    cell = SMALL.genotype_of(int(SMALL.representatives[-1]))
    points = np.array([[*cell, 0], [*cell, 1], [*SMALL.genotype_of(int(SMALL.representatives[5])), 1]])
    for batch in (1, 4):
        table, network = space.at_batch(batch).lower(points, RUNTIMES["compiled"])
        metrics = network_metrics(table)
        macs = metrics["macs"][network] / batch
        assert macs[0] == macs[1] != macs[2]
        assert metrics[TRAINING_MACS][network].tolist() == (3 * 100 * np.array([5, 12, 12]) * macs).tolist()


def test_bits_by_group_keep_the_work_of_the_training() -> None:
    space = MixedBitsSpace(some(), choices=(4, 8), groups=2)
    points = space.sample(20, np.random.default_rng(2))
    table, network = space.lower(points, RUNTIMES["compiled"])
    inner, of = some().lower(points[:, :7], RUNTIMES["compiled"])
    assert table.columns[TRAINING_MACS][network].tolist() == inner.columns[TRAINING_MACS][of].tolist()


def test_what_decides_a_point_is_in_its_fingerprint() -> None:
    prints = {
        some().fingerprint,
        some(SMALL.representatives[:9]).fingerprint,
        some().at(Precision(4, 4)).fingerprint,
        TrainedCells(SMALL, epochs={PLAIN: 5, NOISE_AWARE: 13}, images=100).fingerprint,
        TrainedCells(SMALL, epochs=EPOCHS, images=99).fingerprint,
    }
    assert len(prints) == 5
    assert some().fingerprint == some().fingerprint


@pytest.mark.parametrize("known", [[1, 0], [0, 0]])
def test_known_cells_stand_for_themselves(known: list[int]) -> None:
    with pytest.raises(SpecError, match="canonical"):
        some(SMALL.representatives[known])
    disconnected = np.setdiff1d(np.arange(SMALL.size), SMALL.representatives)[:1]
    with pytest.raises(SpecError, match="canonical"):
        some(disconnected)
    with pytest.raises(SpecError, match="epochs"):
        TrainedCells(SMALL, epochs={}, images=1)
