"""Local search against a plain twin on random landscapes, one point at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.space.base import Gene, Space
from codesign.space.cell import CellSpace
from codesign.strategy.base import Results
from codesign.strategy.local_search import LocalSearch, Memory

Point = tuple[int, ...]


def landscape(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape).astype(np.float64)


def asked_by(space: Space, error: Callable[[Point], float], count: int, memory: Memory = "networks") -> list[Point]:
    strategy, rng, asked = LocalSearch(space, memory=memory), np.random.default_rng(1), []
    for _ in range(count):
        proposal = strategy.ask(1, rng)
        asked.append(tuple(proposal.genotypes[0].tolist()))
        strategy.tell(proposal, Results.exact(np.array([[error(asked[-1])]])))
    return asked


def neighbours(point: Point, shape: tuple[int, ...]) -> set[Point]:
    return {
        (*point[:i], value, *point[i + 1 :]) for i, n in enumerate(shape) for value in range(n) if value != point[i]
    }


def climbs(asked: list[Point], error: np.ndarray, *, remembers: bool) -> int:
    """How many climbs `asked` is made of; fails where a climb does not go as the paper has it."""
    rest, count = list(asked), 0
    while rest:
        centre, count = rest.pop(0), count + 1
        seen = {centre}
        while rest:
            around = neighbours(centre, error.shape) - (seen if remembers else set())
            block, rest = rest[: len(around)], rest[len(around) :]
            assert set(block) <= around
            assert len(set(block)) == len(block)
            if len(block) < len(around):
                return count
            seen |= set(block)
            better = min(block, key=lambda point: error[point], default=centre)
            if error[better] >= error[centre]:
                break
            centre = better
    return count


@given(seed=st.integers(0, 1000), shape=st.lists(st.integers(2, 4), min_size=2, max_size=4), remembers=st.booleans())
@settings(max_examples=60, deadline=None)
def test_climbs_go_to_the_best_neighbour_and_start_again(seed: int, shape: list[int], remembers: bool) -> None:
    error = landscape(seed, tuple(shape))
    space = Space([Gene(str(i), tuple(range(n))) for i, n in enumerate(shape)])
    asked = asked_by(space, lambda point: error[point], 80, "points" if remembers else "none")
    assert climbs(asked, error, remembers=remembers) >= 1


def test_a_bowl_is_climbed_to_its_bottom_then_left() -> None:
    """Distance to one point: whatever the start, it is reached in one climb of at most 4 steps of 12 neighbours."""
    space, goal = Space([Gene(str(i), tuple(range(4))) for i in range(4)]), np.array([3, 0, 2, 1])
    asked = asked_by(space, lambda point: float((np.array(point) != goal).sum()), 1 + 5 * 12)
    assert tuple(goal.tolist()) in asked


@pytest.mark.parametrize(("memory", "distinct"), [("networks", True), ("points", False)])
def test_equal_networks_are_one(memory: Memory, *, distinct: bool) -> None:
    """On a slope that never ends within the budget, a climb meets the cells of a network once, or each of its own."""
    space = CellSpace()
    # Every cell is better than those before it: one climb, without restart, as long as anything is left around.
    count = iter(range(10**6, 0, -1))
    asked = np.array(asked_by(space, lambda point: float(next(count)), 90, memory))
    assert len(np.unique(asked, axis=0)) == 90
    assert (len(np.unique(space.canonical(asked), axis=0)) == 90) is distinct


def test_room_that_neighbours_leave_is_filled_with_random_points() -> None:
    space = Space([Gene(str(i), tuple(range(3))) for i in range(3)])
    strategy, rng = LocalSearch(space), np.random.default_rng(0)
    first = strategy.ask(5, rng)
    strategy.tell(first, Results.exact(first.genotypes.sum(axis=1)[:, None].astype(np.float64)))
    centre = tuple(first.genotypes[-1].tolist())
    batch = strategy.ask(20, rng).genotypes
    assert {tuple(row) for row in batch[:6].tolist()} == neighbours(centre, (3, 3, 3))


def test_a_climb_begins_at_the_best_of_its_starts() -> None:
    space = Space([Gene(str(i), tuple(range(5))) for i in range(3)])
    strategy, rng = LocalSearch(space, starts=4), np.random.default_rng(0)
    first = strategy.ask(4, rng)
    error = np.array([3.0, 1.0, 2.0, 4.0])
    strategy.tell(first, Results.exact(error[:, None]))
    around = strategy.ask(12, rng).genotypes
    assert ((around != first.genotypes[1]).sum(axis=1) == 1).all()
