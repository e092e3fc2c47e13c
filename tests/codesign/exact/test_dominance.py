"""Kernels of the enumeration against plain twins: dominance by a tree, reductions to the bit, bounds that never lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.exact.dominance import (
    BEATEN,
    FAN,
    OVER,
    UNDECIDED,
    Block,
    CandidatePairs,
    DesignMemory,
    Filtering,
    Networks,
    PairMetrics,
    beaten,
    filter_pairs,
    filter_tile,
    grow,
    max_tile,
)
from codesign.exact.passes import Bounded, Exact, Problem, ThreadState, Tiled, design_tree
from codesign.exact.rounds import Front
from hwmodels.compose import LayerCounts, reduce_block, reduce_pairs

NOTHING = grow(np.zeros((0, 3)))


def dominated_plainly(points: np.ndarray, front: np.ndarray) -> np.ndarray:
    """Every point against every member, straight from the definition."""
    no_worse = (front[None] <= points[:, None]).all(axis=2)
    better = (front[None] < points[:, None]).any(axis=2)
    return (no_worse & better).any(axis=1)


def reduced_plainly(counts: np.ndarray, costs: np.ndarray, is_max: np.ndarray) -> np.ndarray:
    """(N, H, M), one layer after the other."""
    out = np.zeros((len(counts), len(costs), costs.shape[2]))
    for layer in range(counts.shape[1]):
        for n in np.flatnonzero(counts[:, layer]):
            term = counts[n, layer] * costs[:, layer]
            out[n] = np.where(is_max, np.maximum(out[n], costs[:, layer]), out[n] + term)
    return out


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 120), st.integers(0, 60), st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_tree_finds_what_the_definition_finds(n: int, f: int, o: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, front = rng.integers(0, levels, (n, o)) * 0.1, rng.integers(0, levels, (f, o)) * 0.1
    assert np.array_equal(beaten(points, grow(front)), dominated_plainly(points, front))


def test_a_large_tree_finds_what_the_definition_finds() -> None:
    rng = np.random.default_rng(0)
    points, front = rng.random((400, 4)), rng.random((5000, 4)) + 0.3
    assert np.array_equal(beaten(points, grow(front)), dominated_plainly(points, front))


def test_equal_points_do_not_beat_each_other() -> None:
    points = np.ones((40, 3))
    assert not beaten(points, grow(points)).any()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_reductions_are_equal_to_the_bit(n: int, h: int, n_layers: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts, costs = rng.integers(0, 4, (n, n_layers)).astype(float), rng.random((h, n_layers, 3)) * 1e-9
    is_max = np.array([False, True, False])
    plain = reduced_plainly(counts, costs, is_max)
    tile, ragged = np.empty((3, n, h)), LayerCounts.of_matrix(counts)
    reduce_block(ragged, np.ascontiguousarray(costs.transpose(2, 1, 0)), is_max, tile)
    network, design = (index.ravel() for index in np.indices((n, h)))
    assert np.array_equal(tile.transpose(1, 2, 0), plain)
    assert np.array_equal(reduce_pairs(costs, design, network, ragged, is_max).reshape(n, h, 3), plain)
    single = np.empty((n, h), np.float32)
    max_tile(counts, costs[:, :, 1].T.astype(np.float32).copy(), single)
    assert np.array_equal(single, plain[:, :, 1].astype(np.float32))


@pytest.mark.parametrize("n", [1, FAN - 1, FAN, FAN + 1, FAN**2 + 3, 700])
def test_a_design_tree_holds_each_design_once_and_bounds_what_is_below(n: int) -> None:
    rng = np.random.default_rng(n)
    costs, columns = rng.random((n, 3, 2)), rng.random((n, 1))
    tree = design_tree(costs, columns)
    met = np.zeros(n, int)

    def visit(g: int) -> np.ndarray:
        """Designs below a group, each node's least costs checked."""
        below = []
        for j in range(FAN):
            if tree.designs[g, j] == 0:
                continue
            at = tree.first[g] + j
            designs = np.array([at]) if tree.level[g] == 0 else visit(at)
            met[designs] += tree.level[g] == 0
            assert designs.size == tree.designs[g, j]
            assert np.array_equal(tree.costs[g, :, :, j], costs[designs].min(axis=0))
            assert np.array_equal(tree.columns[g, :, j], columns[designs].min(axis=0))
            below.append(designs)
        return np.concatenate(below)

    assert visit(tree.level.size - 1).size == n
    assert (met == 1).all()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 150), st.booleans(), st.integers(0, 2**32 - 1))
def test_the_three_ways_keep_the_same_undominated_pairs(n: int, h: int, tied: bool, seed: int) -> None:
    """Against a front that beats many pairs: whatever each way leaves out is beaten, whatever it keeps is right."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (n, 5))
    costs = rng.integers(0, 3, (h, 5, 2)) * 0.1 if tied else rng.random((h, 5, 2))
    problem = Problem(
        counts, rng.integers(0, 3, (n, 1)) * 1.0, costs, np.zeros((h, 0)), np.array([False, True]),
        np.array([1.5, np.inf]), 2,
    )  # fmt: skip
    values = np.concatenate(
        [reduced_plainly(counts * 1.0, costs, problem.is_max), np.broadcast_to(problem.rows[:, None], (n, h, 1))],
        axis=2,
    )
    allowed = values[:, :, 0] <= 1.5
    known = values[allowed][rng.integers(0, 2, allowed.sum()) == 0]
    front = grow(known)
    expected = allowed & ~beaten(values.reshape(-1, 3), front).reshape(n, h)
    dense = Exact(lambda which, a, b: (values[which, a:b].transpose(2, 0, 1).copy(), allowed[which, a:b]), h, 3)
    for pair_filter in (Bounded(problem, np.arange(min(n, 3))), Tiled(problem), dense):
        thread = ThreadState.of(n * h, 3)
        thread.enough = n * h
        for _ in range(2):  # the second time with what the first remembered
            done, size = pair_filter.run(thread, np.arange(n), front)
            found = np.zeros((n, h), bool)
            found[thread.candidates.network[:size], thread.candidates.design[:size]] = True
            assert done == n
            assert np.array_equal(found, expected)
            assert np.array_equal(
                thread.candidates.values[:size],
                values[thread.candidates.network[:size], thread.candidates.design[:size]],
            )
        assert pair_filter is not dense or thread.by_reason[OVER] == 2 * (~allowed).sum()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 150), st.booleans(), st.integers(0, 2**32 - 1))
def test_float32_leaves_the_pairs_and_counts_that_float64_leaves(n: int, h: int, tied: bool, seed: int) -> None:
    """`filter_tile` against `filter_pairs` with nothing decided before, which reduces every pair in float64."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (n, 5)) * 1.0
    costs = rng.integers(0, 3, (h, 5, 2)) * 0.1 if tied else rng.random((h, 5, 2))
    rows, columns = rng.integers(0, 3, (n, 1)) * 1.0, rng.integers(0, 3, (h, 1)) * 1.0
    is_max, limits = np.array([False, True]), np.array([np.quantile(costs, 0.7) * 10, np.inf])
    problem = Problem(counts, rows, costs, columns, is_max, limits, 2)
    bounds = Tiled(problem).bounds
    values = np.concatenate(
        [
            reduced_plainly(counts, costs, is_max).reshape(-1, 2),
            np.repeat(rows, h, axis=0),
            np.tile(columns, (n, 1)),
        ],
        axis=1,
    )
    front = grow(values[rng.random(n * h) < 0.2])
    tile = np.ascontiguousarray(reduced_plainly(counts, costs * bounds.scale, is_max).transpose(2, 0, 1), np.float32)

    def filtering() -> Filtering:
        memory = DesignMemory(
            np.full((1, h, 2, 4), np.inf), np.full((2, 2, h), np.inf, np.float32), np.full((2, 1, h), np.inf)
        )
        candidates = CandidatePairs(np.zeros(n * h, np.int64), np.zeros(n * h, np.int64), np.zeros((n * h, 4)))
        return Filtering(
            Networks(counts, rows), PairMetrics(is_max, limits), Block(0, costs, columns), front, memory, bounds,
            candidates, np.zeros(4, np.int64),
        )  # fmt: skip

    fast, plain = filtering(), filtering()
    for _ in range(2):  # the second time with the points that the first remembered
        found, expected = filter_tile(fast, tile, 0), 0
        for one in range(n):
            expected = filter_pairs(plain, one, np.full(h, UNDECIDED, np.int32), expected)
        assert found == expected
        for of_fast, of_plain in zip(fast.candidates, plain.candidates, strict=True):
            assert np.array_equal(of_fast, of_plain)
        assert np.array_equal(fast.by_reason, plain.by_reason)
    assert plain.by_reason[[OVER, BEATEN]].sum() == 2 * (n * h - expected)


def test_values_apart_by_less_than_a_float32_can_tell_are_told_apart() -> None:
    """The margin sends such pairs to float64: a pair better by one part in 1e12 is kept, one worse is not."""
    costs = np.array([1.0, 1.0 - 1e-12, 1.0 + 1e-12]).reshape(3, 1, 1)
    problem = Problem(
        np.ones((1, 1)), np.zeros((1, 0)), costs, np.zeros((3, 0)), np.array([False]), np.full(1, np.inf), 1
    )
    thread = ThreadState.of(3, 1)
    thread.enough = 3
    for _ in range(2):
        assert Tiled(problem).run(thread, np.zeros(1, np.int64), grow(np.array([[1.0]]))) == (1, 2)
        assert sorted(thread.candidates.design[:2].tolist()) == [0, 1]


def test_rounding_in_float32_never_drops_a_pair() -> None:
    """Points a billionth above a pair, remembered for its design: float32 would often take the pair for the larger."""
    rng = np.random.default_rng(0)
    counts = np.concatenate([np.full((1, 40), 99), rng.integers(0, 9, (300, 40))])
    costs = rng.random((1, 40, 1))
    problem = Problem(counts, np.zeros((301, 0)), costs, np.zeros((1, 0)), np.array([False]), np.full(1, np.inf), 1)
    pair_filter = Tiled(problem)
    single = counts.astype(np.float32) @ costs[0].astype(np.float32)
    values = reduced_plainly(counts * 1.0, costs, problem.is_max)[:, 0, 0]
    assert (single[1:, 0] > (values[1:] * (1 + 1e-9)).astype(np.float32)).sum() > 10
    for n in range(1, 301):
        thread = ThreadState.of(4, 1)
        thread.enough = 4
        front = grow(np.array([[values[n] * (1 + 1e-9)]]))
        assert pair_filter.run(thread, np.array([0]), front) == (1, 0)
        assert pair_filter.run(thread, np.array([n]), front) == (1, 1)


def test_a_limit_holds_to_the_bit() -> None:
    costs = np.array([1.0, np.nextafter(1.0, 2), np.nextafter(1.0, 0)]).reshape(3, 1, 1)
    problem = Problem(np.ones((1, 1)), np.zeros((1, 0)), costs, np.zeros((3, 0)), np.array([False]), np.ones(1), 1)
    for pair_filter in (Tiled(problem), Bounded(problem, np.zeros(1, np.int64))):
        thread = ThreadState.of(3, 1)
        thread.enough = 3
        assert pair_filter.run(thread, np.zeros(1, np.int64), grow(np.zeros((0, 1))))[1] == 2
        assert sorted(thread.candidates.design[:2].tolist()) == [0, 2]


def test_a_front_joins_what_beats_it() -> None:
    before = Front(np.array([0, 1]), np.array([0, 0]), np.array([[1.0, 3.0], [3.0, 1.0]]))
    after = before.join(Front(np.array([2]), np.array([5]), np.array([[1.0, 2.0]])))
    assert after.ordered().network.tolist() == [2, 1]
