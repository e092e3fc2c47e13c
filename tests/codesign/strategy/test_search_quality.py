"""Strategies that learn beat random search on a toy of two objectives; ranks and crowding are pymoo's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codesign.pareto import hypervolume, non_dominated
from codesign.space.base import Gene, Genotypes, Space
from codesign.strategy.base import Proposal, Results, Strategy
from codesign.strategy.evolution import RegularisedEvolution
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.random import RandomSearch

SPACE = Space([Gene(str(i), tuple(range(8))) for i in range(10)])
REFERENCE = np.array([1.1, 1.1])
SEEDS = range(12)


def toy(genotypes: Genotypes) -> np.ndarray:
    """x = share of the first five genes; y = distance of the others from their match, plus what x does not give."""
    scaled = genotypes / 7
    cost = scaled[:, :5].mean(axis=1)
    error = np.abs(scaled[:, 5:] - 0.7).mean(axis=1) + (1 - np.sqrt(cost)) / 2
    return np.stack([cost, error], axis=1)


def covered(strategy: Strategy, seed: int, *, budget: int = 400, batch: int = 40) -> float:
    rng, seen = np.random.default_rng(seed), []
    for _ in range(budget // batch):
        proposal = strategy.ask(batch, rng)
        objectives = toy(proposal.genotypes)
        seen.append(objectives)
        strategy.tell(proposal, Results.exact(objectives, np.zeros((batch, 0))))
    return hypervolume(np.concatenate(seen), REFERENCE)


@pytest.fixture(scope="module")
def baseline() -> np.ndarray:
    return np.array([covered(RandomSearch(SPACE), seed) for seed in SEEDS])


@pytest.mark.parametrize(
    "make", [lambda: NSGA2(SPACE, population=40), lambda: RegularisedEvolution(SPACE)], ids=["nsga2", "evolution"]
)
def test_learning_beats_chance_on_every_seed_but_one(make: Callable[[], Strategy], baseline: np.ndarray) -> None:
    """Paired over 12 seeds; 11 of 12 by chance alone has probability 13 / 4096."""
    gain = np.array([covered(make(), seed) for seed in SEEDS]) - baseline
    assert (gain > 0).sum() >= 11
    assert gain.mean() > 0


@pytest.fixture
def survivors() -> NSGA2:
    strategy, rng = NSGA2(SPACE, population=24), np.random.default_rng(0)
    for _ in range(3):
        proposal = strategy.ask(30, rng)
        objectives = toy(proposal.genotypes)
        strategy.tell(proposal, Results.exact(objectives, np.zeros((30, 1))))
    return strategy


def test_ranks_peel_fronts_and_crowding_is_pymoos(survivors: NSGA2) -> None:
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

    state = survivors.state()
    objectives, rank, crowding = state["objectives"], state["rank"], state["crowding"]
    assert np.array_equal(objectives, toy(state["genotypes"]))
    left = np.ones(len(objectives), bool)
    for level in range(int(rank.max()) + 1):
        front = np.flatnonzero(left)[non_dominated(objectives[left])]
        assert sorted(front) == sorted(np.flatnonzero(rank == level))
        assert np.array_equal(crowding[rank == level], calc_crowding_distance(objectives[rank == level]))
        left[front] = False


def test_crowding_by_hand() -> None:
    """Deb et al., 2002: the ends are infinite, a point between has the sum of its neighbours' normalised gaps."""
    strategy, rng = NSGA2(SPACE, population=4), np.random.default_rng(0)
    proposal = strategy.ask(4, rng)
    objectives = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    strategy.tell(proposal, Results.exact(objectives, np.zeros((4, 0))))
    state = strategy.state()
    order = np.argsort(state["objectives"][:, 0])
    measured = state["crowding"][order]
    # pymoo divides by the number of objectives: (3/4 + 3/4) / 2 and (3/4 + 2/4) / 2
    assert np.isinf(measured[[0, 3]]).all()
    assert measured[1:3].tolist() == pytest.approx([0.75, 0.625])


def test_the_population_is_full_and_ranked(survivors: NSGA2) -> None:
    """Full, without doubles, and its rank 0 is its front."""
    state = survivors.state()
    fronts = non_dominated(state["objectives"])
    assert np.array_equal(fronts, state["rank"] == 0)
    assert len(state["genotypes"]) == 24
    assert len(np.unique(state["genotypes"], axis=0)) == 24


def test_feasible_pairs_come_before_violating_ones() -> None:
    strategy, rng = NSGA2(SPACE, population=5), np.random.default_rng(0)
    proposal = strategy.ask(10, rng)
    objectives = np.linspace(0, 1, 10)[:, None] * np.ones((1, 2))
    violation = np.where(np.arange(10) < 5, 1.0, 0.0)[:, None]  # the five best in objectives are infeasible
    strategy.tell(proposal, Results.exact(objectives, violation))
    assert set(strategy.state()["objectives"][:, 0]) == set(objectives[5:, 0])


def test_without_accuracies_the_least_violating_are_the_parents() -> None:
    strategy, rng = NSGA2(SPACE, population=3, immigrants=0.0), np.random.default_rng(0)
    proposal = strategy.ask(10, rng)
    violation = np.arange(10, 0, -1.0)[:, None]
    strategy.tell(proposal, Results.exact(np.full((10, 2), np.nan), violation, np.ones(10, np.int8)))
    assert np.array_equal(strategy.state()["genotypes"], proposal.genotypes[[9, 8, 7]])


def test_the_oldest_leave_first_however_good() -> None:
    strategy, rng = RegularisedEvolution(SPACE, population=10), np.random.default_rng(0)
    batches = [strategy.space.sample(6, rng) for _ in range(3)]
    for age, genotypes in enumerate(batches):
        strategy.tell(Proposal.full(genotypes), Results.exact(np.full((6, 1), float(age)), np.zeros((6, 0))))
    assert np.array_equal(strategy.state()["genotypes"], np.concatenate(batches)[-10:])


@pytest.mark.parametrize("immigrants", [0.0, 0.25, 1.0])
def test_immigrants_are_their_share(immigrants: float) -> None:
    """Children of one parent differ from it in few genes; immigrants in most."""
    parent = np.zeros((1, 10), np.int64)
    for strategy in (
        RegularisedEvolution(SPACE, immigrants=immigrants),
        NSGA2(SPACE, immigrants=immigrants),
    ):
        rng = np.random.default_rng(0)
        strategy.tell(Proposal.full(parent), Results.exact(np.zeros((1, 2)), np.zeros((1, 0))))
        changed = (strategy.ask(400, rng).genotypes != 0).sum(axis=1)
        assert (changed > 5).mean() == pytest.approx(immigrants, abs=0.02)
