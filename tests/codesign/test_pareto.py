"""Pareto sets against brute force, volumes and knees against hand values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.pareto import dominated_by, hypervolume, knee, non_dominated

settled = settings(max_examples=200, deadline=None)


@st.composite
def clouds(draw: st.DrawFn) -> np.ndarray:
    """Points with many ties: coordinates of few values, some infinite."""
    n, width = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    values = st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf])
    return np.array(draw(st.lists(st.lists(values, min_size=width, max_size=width), min_size=n, max_size=n)))


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@settled
@given(clouds())
def test_non_dominated_is_its_definition(points: np.ndarray) -> None:
    assert non_dominated(points).tolist() == [not any(dominates(a, b) for a in points) for b in points]


@settled
@given(clouds(), st.data())
def test_groups_do_not_see_each_other(points: np.ndarray, data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(-2, 2), min_size=len(points), max_size=len(points))))
    expected = [
        not any(dominates(a, b) for a, there in zip(points, labels, strict=True) if there == here)
        for b, here in zip(points, labels, strict=True)
    ]
    assert non_dominated(points, labels).tolist() == expected


@settled
@given(clouds(), st.data())
def test_dominated_by_is_its_definition(front: np.ndarray, data: st.DataObject) -> None:
    shifted = front[::-1] + data.draw(st.sampled_from([-1.0, 0.0, 1.0]))
    assert dominated_by(shifted, front).tolist() == [any(dominates(a, b) for a in front) for b in shifted]


def test_empty_fronts_dominate_nothing() -> None:
    assert dominated_by(np.ones((3, 2)), np.empty((0, 2))).tolist() == [False] * 3
    assert non_dominated(np.empty((0, 2))).tolist() == []


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    points = rng.integers(0, 12, (300, 3)).astype(np.float64)
    order = rng.permutation(300)
    assert np.array_equal(non_dominated(points)[order], non_dominated(points[order]))


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([[1, 2], [2, 1]], [3, 3], 3.0),  # 2 x 1 + 1 x 2 - 1 x 1
        ([[0, 0]], [2, 3], 6.0),
        ([[1, 1, 1]], [2, 3, 4], 6.0),
        ([[0, 2, 2], [2, 0, 2], [2, 2, 0]], [3, 3, 3], 3 * 3.0 - 3 * 1.0 + 1.0),
        ([[5, 5], [1, 9]], [3, 3], 0.0),  # nothing inside the reference
        ([[1, 2], [2, 1], [2, 2], [1, 2]], [3, 3], 3.0),  # dominated and equal points add nothing
    ],
)
def test_hypervolume_by_hand(points: list[list[float]], reference: list[float], volume: float) -> None:
    assert hypervolume(np.array(points, float), np.array(reference, float)) == pytest.approx(volume, rel=1e-12)


def test_the_knee_is_nearest_to_the_ideal_corner() -> None:
    assert knee(np.array([[0.0, 10.0], [3.0, 3.0], [9.0, 0.0]])) == 1
    assert knee(np.array([[0.0, 1.0], [1.0, 0.0], [0.9, 0.9]])) in (0, 1)
    assert knee(np.array([[5.0, 5.0]])) == 0


def test_the_knee_scales_wide_costs_by_their_logarithm() -> None:
    """Linear scaling would put the second point at the cheap end of the first axis and win; three decades do not."""
    front = np.array([[1.0, 1.0], [1000.0, 0.6], [1e6, 0.0]])
    # log: (0, 1), (0.5, 0.6), (1, 0) -> norms 1, 0.78, 1
    assert knee(front) == 1
    narrow = np.array([[1.0, 1.0], [5.0, 0.6], [9.0, 0.0]])
    assert knee(narrow) == 1


def test_a_constant_objective_does_not_decide() -> None:
    assert knee(np.array([[1.0, 7.0], [0.0, 7.0]])) == 1
