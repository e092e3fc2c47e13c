"""NSGA-III and weighted NSGA-II: what they keep, and what they are equal to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.strategy.base import Proposal, Results, Strategy
from codesign.strategy.moga import MOGA
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.nsga3 import NSGA3, divisions_for
from codesign.strategy.ordered import ordered_children
from codesign.testing.strategy import toy_problem
from hwmodels.errors import SpecError

SPACE = Space([Gene(str(i), tuple(range(8))) for i in range(8)])


def kept(strategy: Strategy, objectives: np.ndarray, seed: int = 0) -> np.ndarray:
    """Objectives of the survivors of one batch."""
    points = np.unique(SPACE.sample(4 * len(objectives), np.random.default_rng(seed)), axis=0)[: len(objectives)]
    strategy.tell(Proposal.full(points), Results.exact(objectives))
    return strategy.state()["objectives"]


def searched(strategy: Strategy, rounds: int = 5) -> list[np.ndarray]:
    rng, asked = np.random.default_rng(2), []
    for _ in range(rounds):
        proposal = strategy.ask(30, rng)
        asked.append(proposal.genotypes)
        objectives = np.stack([((proposal.genotypes - c) ** 2).sum(axis=1) for c in (1, 4, 6)], axis=1)
        strategy.tell(proposal, Results.exact(objectives.astype(np.float64)))
    return asked


def test_equal_weights_are_nsga2() -> None:
    plain = searched(NSGA2(SPACE, population=20))
    weighted = searched(MOGA(SPACE, weights=[2, 2, 2], signs=[1, 1, 1], population=20))
    assert all(np.array_equal(a, b) for a, b in zip(plain, weighted, strict=True))


def test_a_weight_decides_whose_gaps_count() -> None:
    """A front of five; of the three inner points the one with the widest gap in the weighted objective stays."""
    front = np.array([[0.0, 10.0], [1.0, 9.0], [4.0, 8.5], [5.0, 3.0], [10.0, 0.0]])
    # Gaps of the inner points: error .4, .4, .6; cost .15, .6, .85. Without the last: error .4, .9; cost .15, .9.
    by_error = kept(MOGA(SPACE, weights=[1, 0], signs=[1, 1], population=3), front)
    assert sorted(by_error[:, 0]) == [0.0, 5.0, 10.0]
    twisted = np.array([[0.0, 10.0], [1.0, 2.0], [9.0, 1.5], [9.5, 1.0], [10.0, 0.0]])
    # error gaps .9, .85, .1; cost gaps .85, .1, .15
    assert sorted(kept(MOGA(SPACE, weights=[0, 1], signs=[1, 1], population=3), twisted)[:, 0]) == [0.0, 1.0, 10.0]
    wide = np.array([[0.0, 10.0], [0.5, 9.5], [1.0, 2.0], [9.0, 1.9], [10.0, 0.0]])
    # error gaps .1, .85, .9; cost gaps .8, .76, .2: each weight keeps another one
    assert sorted(kept(MOGA(SPACE, weights=[1, 0], signs=[1, 1], population=3), wide)[:, 0]) == [0.0, 9.0, 10.0]
    assert sorted(kept(MOGA(SPACE, weights=[0, 1], signs=[1, 1], population=3), wide)[:, 0]) == [0.0, 0.5, 10.0]


def test_a_preference_turns_an_objective_round() -> None:
    points = np.array([[0.1, 1.0], [0.1, 5.0], [0.2, 2.0], [0.3, 9.0]])
    assert kept(NSGA2(SPACE, population=1), points).tolist() == [[0.1, 1.0]]
    turned = kept(MOGA(SPACE, weights=[1, 1], signs=[1, -1], population=2), points)
    assert sorted(turned.tolist()) == [[0.1, 5.0], [0.3, 9.0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": {"cots": 1}}, ["strategy.weights", "cots", "did you mean cost?"]),
        ({"weights": {"cost": -1}}, ["strategy.weights", "-1", ">= 0"]),
        ({"weights": {"cost": 0, "error": 0}}, ["strategy.weights", "above 0"]),
        ({"preferences": {"cost": "mor"}}, ["strategy.preferences", "did you mean more?"]),
    ],
)
def test_bad_settings_are_one_line(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SpecError) as found:
        STRATEGIES.parse({"name": "moga", **change}, "strategy").make(toy_problem())
    assert "\n" not in str(found.value)
    assert all(word in str(found.value) for word in words)


def test_settings_reach_the_objectives_by_name() -> None:
    section = {"name": "moga", "weights": {"energy_j": 3}, "preferences": {"weight_bytes": "more"}}
    problem = replace(toy_problem(), objectives=("energy_j", "weight_bytes"))
    made = STRATEGIES.parse(section, "strategy").make(problem)
    assert made._weights.tolist() == pytest.approx([0.2, 0.6, 0.2])
    assert made._signs.tolist() == [1.0, 1.0, -1.0]


@given(objectives=st.integers(2, 6), population=st.integers(2, 300))
@settings(max_examples=40, deadline=None)
def test_directions_are_as_many_as_fit(objectives: int, population: int) -> None:
    from pymoo.util.ref_dirs import get_reference_directions

    divisions = divisions_for(objectives, population)
    count = len(get_reference_directions("das-dennis", objectives, n_partitions=divisions))
    assert count <= population or divisions == 1
    finer = get_reference_directions("das-dennis", objectives, n_partitions=divisions + 1)
    assert len(finer) > population


def test_survivors_lie_along_the_directions() -> None:
    """Points on a plane at ten directions, nine at one of them: each direction keeps one."""
    share = np.linspace(0, 1, 10)
    crowd = np.clip(share[4] + np.linspace(-0.005, 0.005, 9), 0, 1)
    first = np.concatenate([share, crowd])
    survivors = kept(NSGA3(SPACE, population=10), np.stack([first, 1 - first], axis=1))
    assert len(survivors) == 10
    assert len(np.unique(np.round(9 * survivors[:, 0]))) == 10


def test_one_objective_is_truncation() -> None:
    error = np.random.default_rng(0).permutation(40).astype(np.float64)
    survivors = kept(NSGA3(SPACE, population=12), error[:, None])
    assert sorted(survivors[:, 0]) == list(range(12))


def test_the_plane_is_part_of_the_state() -> None:
    strategy = NSGA3(SPACE, population=12)
    searched(strategy)
    state = strategy.state()
    assert state["survivals"] == 5
    assert state["ideal_point"].shape == state["nadir_point"].shape == (3,)
    again = NSGA3(SPACE, population=12)
    again.restore(state)
    assert all(np.array_equal(a, b) for a, b in zip(searched(strategy), searched(again), strict=True))


def test_ordered_children_lie_near_their_parents() -> None:
    """Of 101 choices a child of 40 and 60 is rarely far from both; one of the space's operators may be anywhere."""
    space = Space([Gene(str(i), tuple(range(101))) for i in range(10)])
    left, right = np.full((400, 10), 40), np.full((400, 10), 60)
    near = ordered_children(space, left, right, np.random.default_rng(0), crossover=1.0)
    assert near.shape == (400, 10)
    assert near.dtype == np.int64
    assert space.valid(near).all()
    assert np.mean((near >= 30) & (near <= 70)) > 0.95
    assert len(np.unique(near)) > 10
    alone = ordered_children(space, left, right, np.random.default_rng(0), crossover=0.0)
    assert np.mean(np.abs(alone - 40) <= 15) + np.mean(np.abs(alone - 60) <= 15) > 0.95


def test_ordered_children_outside_of_a_space_are_mutated_parents() -> None:
    class Even(Space):
        """Points whose choices sum to an even number."""

        def valid(self, genotypes):
            return super().valid(genotypes) & (genotypes.sum(axis=1) % 2 == 0)

    space = Even([Gene(str(i), tuple(range(9))) for i in range(3)])
    rng = np.random.default_rng(1)
    left, right = space.sample(50, rng), space.sample(50, rng)
    assert space.valid(ordered_children(space, left, right, rng, crossover=0.9)).all()
    assert ordered_children(space, left[:0], right[:0], rng, crossover=0.9).shape == (0, 3)


@pytest.mark.parametrize("kind", [NSGA2, NSGA3])
def test_ordered_children_that_are_known_are_made_anew(kind: type[NSGA2]) -> None:
    """A population of two points that are nearly one: plain children are mostly these again."""
    space = Space([Gene(str(i), tuple(range(101))) for i in range(8)])
    strategy = kind(space, population=2, immigrants=0.0, operators="ordered")
    points = np.full((2, 8), 40)
    points[1, 0] = 41
    strategy.tell(Proposal.full(points), Results.exact(np.array([[1.0, 2.0], [2.0, 1.0]])))
    rng = np.random.default_rng(0)
    proposal = strategy.ask(60, rng)
    everything = np.concatenate([points, proposal.genotypes])
    assert len(np.unique(everything, axis=0)) == 62
    assert proposal.parents is not None
    assert {tuple(parent) for parent in proposal.parents} <= {tuple(point) for point in points}
    small = Space([Gene("a", (0, 1)), Gene("b", (0, 1))])
    strategy = kind(small, population=2, immigrants=0.0, operators="ordered")
    strategy.tell(Proposal.full(small.enumerate()[:2]), Results.exact(np.array([[1.0, 2.0], [2.0, 1.0]])))
    assert len(strategy.ask(30, rng).genotypes) == 30  # though there are four points
