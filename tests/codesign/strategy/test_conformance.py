"""What every strategy must do, whatever it does: valid proposals, determinism, a state that restores, odd batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codesign.space.base import Gene, Genotypes, Space
from codesign.strategy.base import Proposal, Strategy
from codesign.strategy.evolution import RegularisedEvolution
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.random import RandomSearch


class Sloped(Space):
    """An eighth of the cube is invalid: points whose genes add up to little."""

    def valid(self, genotypes: Genotypes) -> np.ndarray:
        return super().valid(genotypes) & (genotypes.sum(axis=1) > 6)


SPACE = Sloped([Gene(str(i), tuple(range(5))) for i in range(6)])
Make = Callable[[], Strategy]
STRATEGIES: dict[str, Make] = {
    "random": lambda: RandomSearch(SPACE),
    "evolution": lambda: RegularisedEvolution(SPACE, population=20, sample=4),
    "nsga2": lambda: NSGA2(SPACE, population=16),
}
every_strategy = pytest.mark.parametrize("make", STRATEGIES.values(), ids=STRATEGIES.keys())


def objectives_of(genotypes: Genotypes) -> np.ndarray:
    """Two conflicting objectives: distance to the corner of ones and to the corner of threes."""
    return np.stack([((genotypes - corner) ** 2).sum(axis=1) for corner in (1, 3)], axis=1).astype(float)


def told(strategy: Strategy, proposal: Proposal, rng: np.random.Generator, *, pruned: np.ndarray | None = None) -> None:
    n = len(proposal.genotypes)
    gone = np.zeros(n, bool) if pruned is None else pruned
    objectives = np.where(gone[:, None], np.nan, objectives_of(proposal.genotypes))
    violation = np.where(gone[:, None], proposal.genotypes[:, :1] * 0.5, 0.0)
    strategy.tell(proposal, objectives, violation, gone.astype(np.int8))


def rounds(strategy: Strategy, rng: np.random.Generator, *, n: int = 12, count: int = 4) -> list[np.ndarray]:
    asked = []
    for _ in range(count):
        proposal = strategy.ask(n, rng)
        asked.append(proposal.genotypes)
        told(strategy, proposal, rng, pruned=rng.random(n) < 0.4)
    return asked


@every_strategy
@pytest.mark.parametrize("n", [0, 1, 2, 7, 50])
def test_proposals_are_valid_points(make: Make, n: int) -> None:
    strategy, rng = make(), np.random.default_rng(0)
    for _ in range(3):
        proposal = strategy.ask(n, rng)
        assert proposal.genotypes.shape == (n, SPACE.n_genes)
        assert proposal.genotypes.dtype == np.int64
        assert SPACE.valid(proposal.genotypes).all()
        assert proposal.fidelity.shape == (n,)
        assert ((proposal.fidelity > 0) & (proposal.fidelity <= 1)).all()
        told(strategy, proposal, rng)


@every_strategy
def test_equal_generators_give_equal_searches(make: Make) -> None:
    first, second = (rounds(make(), np.random.default_rng(11)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    other = rounds(make(), np.random.default_rng(12))
    assert not np.array_equal(first[0], other[0])


@every_strategy
@pytest.mark.parametrize("warm", [0, 1, 3])
def test_a_restored_strategy_goes_on_as_if_never_stopped(make: Make, warm: int) -> None:
    strategy, rng = make(), np.random.default_rng(7)
    rounds(strategy, rng, count=warm)
    state = {name: np.array(values) for name, values in strategy.state().items()}
    assert all(values.dtype != object for values in state.values())  # arrays, not pickles
    again = make()
    again.restore(state)
    later = np.random.default_rng(8)
    whole, resumed = rounds(strategy, later), rounds(again, np.random.default_rng(8))
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


@every_strategy
def test_a_state_is_not_changed_by_going_on(make: Make) -> None:
    strategy, rng = make(), np.random.default_rng(7)
    rounds(strategy, rng)
    state = strategy.state()
    before = {name: np.array(values) for name, values in state.items()}
    rounds(strategy, rng)
    assert all(np.array_equal(before[name], state[name], equal_nan=True) for name in before)


@every_strategy
def test_batches_without_a_single_accuracy(make: Make) -> None:
    strategy, rng = make(), np.random.default_rng(3)
    for pattern in (True, True, False, True, False):
        proposal = strategy.ask(10, rng)
        told(strategy, proposal, rng, pruned=np.full(10, pattern))
        assert SPACE.valid(strategy.ask(10, rng).genotypes).all()


@every_strategy
def test_one_survivor_and_ties_and_empty_batches(make: Make) -> None:
    strategy, rng = make(), np.random.default_rng(4)
    proposal = strategy.ask(10, rng)
    told(strategy, proposal, rng, pruned=np.arange(10) != 3)
    strategy.tell(Proposal.full(proposal.genotypes), np.ones((10, 2)), np.zeros((10, 1)), np.zeros(10, np.int8))
    strategy.tell(Proposal.full(np.empty((0, 6), np.int64)), np.empty((0, 2)), np.empty((0, 1)), np.empty(0, np.int8))
    strategy.tell(Proposal.full(proposal.genotypes), np.ones((10, 2)), np.zeros((10, 0)), np.zeros(10, np.int8))
    assert SPACE.valid(strategy.ask(10, rng).genotypes).all()


@every_strategy
def test_one_half_nan_row_is_no_accuracy(make: Make) -> None:
    strategy, rng = make(), np.random.default_rng(5)
    proposal = strategy.ask(4, rng)
    objectives = objectives_of(proposal.genotypes)
    objectives[0, 1] = np.nan
    strategy.tell(proposal, objectives, np.zeros((4, 1)), np.zeros(4, np.int8))
    kept = strategy.state().get("objectives")
    assert kept is None or not np.isnan(kept).any()
