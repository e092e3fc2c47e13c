"""A grid visits every valid point once, whatever the batches are; hypercubes are balanced."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.space.base import Gene, Space
from codesign.space.cell import CellSpace
from codesign.strategy.grid import GridSearch
from codesign.strategy.latin_hypercube import LatinHypercube, hypercube
from hwmodels.errors import SpecError


def space_of(counts: list[int]) -> Space:
    return Space([Gene(str(i), tuple(range(count))) for i, count in enumerate(counts)])


class Nowhere(Space):
    def valid(self, genotypes):
        return np.zeros(len(genotypes), np.bool_)


COUNTS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@given(counts=COUNTS, batch=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_every_point_once_and_then_again(counts: list[int], batch: int) -> None:
    space, rng = space_of(counts), np.random.default_rng(0)
    strategy, asked = GridSearch(space), np.empty((0, space.n_genes), np.int64)
    while len(asked) < 2 * space.size:
        asked = np.concatenate([asked, strategy.ask(batch, rng).genotypes])
    for lap in (asked[: space.size], asked[space.size : 2 * space.size]):
        assert np.array_equal(np.unique(lap, axis=0), space.enumerate())


def test_invalid_points_are_left_out() -> None:
    space = CellSpace()
    asked = GridSearch(space).ask(15_284, np.random.default_rng(0)).genotypes
    assert len(np.unique(asked, axis=0)) == 15_284  # connected cells: 15,625 less 341 [Dong and Yang, ICLR 2020]
    assert space.valid(asked).all()


def test_the_start_of_a_walk_is_spread() -> None:
    """Of 5 choices each comes up between 8 and 12 times in the first 50 points of a space of 9 million."""
    asked = GridSearch(space_of([5] * 10)).ask(50, np.random.default_rng(0)).genotypes
    assert np.bincount(asked[:, 0], minlength=5).min() >= 8


def test_a_space_beyond_64_bits() -> None:
    space = space_of([7] * 40)
    asked = GridSearch(space).ask(1000, np.random.default_rng(0)).genotypes
    assert space.valid(asked).all()
    assert len(np.unique(asked, axis=0)) == 1000


@pytest.mark.parametrize("kind", [GridSearch, LatinHypercube])
def test_a_space_without_valid_points_is_one_line(kind: type[GridSearch | LatinHypercube]) -> None:
    with pytest.raises(SpecError, match="searchable"):
        kind(Nowhere([Gene("a", (0, 1))])).ask(5, np.random.default_rng(0))


@given(counts=COUNTS, points=st.integers(1, 200), seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_hypercube_is_balanced(counts: list[int], points: int, seed: int) -> None:
    drawn = hypercube(space_of(counts), points, np.random.default_rng(seed))
    assert drawn.shape == (points, len(counts))
    for column, count in zip(drawn.T, counts, strict=True):
        frequency = np.bincount(column, minlength=count)
        assert (np.abs(frequency - points / count) < 2).all()
        if points % count == 0:
            assert (frequency == points // count).all()


def test_small_batches_share_a_hypercube() -> None:
    strategy, rng = LatinHypercube(space_of([8, 4]), points=16), np.random.default_rng(0)
    asked = np.concatenate([strategy.ask(4, rng).genotypes for _ in range(4)])
    assert np.bincount(asked[:, 0]).tolist() == [2] * 8
    assert np.bincount(asked[:, 1]).tolist() == [4] * 4
