"""Successive halving, Hyperband and BOHB: who goes on, at which fidelity, in which brackets."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.strategy.base import Proposal, Results, Selecting, Survivors
from codesign.strategy.bohb import BOHB, density
from codesign.strategy.halving import Halving, best_first
from codesign.testing.strategy import toy_problem
from hwmodels.errors import SpecError

SPACE = Space([Gene(str(i), tuple(range(6))) for i in range(6)])


def told(strategy: Halving, proposal: Proposal, error: np.ndarray) -> None:
    results = Results.exact(error[:, None])
    strategy.tell(proposal, results)


def error_of(genotypes: np.ndarray) -> np.ndarray:
    """A number of its own for each point."""
    return (genotypes @ 6 ** np.arange(6)).astype(np.float64)


def searched(strategy: Halving, count: int, batch: int = 1) -> list[tuple[float, float]]:
    """(fidelity, error) of `count` points asked in batches."""
    rng, seen = np.random.default_rng(0), []
    while len(seen) < count:
        proposal = strategy.ask(batch, rng)
        error = error_of(proposal.genotypes)
        seen += list(zip(proposal.fidelity.tolist(), error.tolist(), strict=True))
        told(strategy, proposal, error)
    return seen


@given(levels=st.integers(1, 4), eta=st.integers(2, 4), extra=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_the_best_share_goes_on(levels: int, eta: int, extra: int) -> None:
    """One bracket point by point: each fidelity has the best 1/eta of the one before, best first."""
    fidelities = [(i + 1) / levels for i in range(levels)]
    width = max(eta ** (levels - 1) + extra, 2)
    counts = [width]
    while len(counts) < levels and counts[-1] // eta:
        counts.append(counts[-1] // eta)
    strategy = Halving(SPACE, fidelities=fidelities, eta=eta, width=width)
    seen = searched(strategy, sum(counts))
    place, before = 0, seen[:0]
    for level, count in enumerate(counts):
        rung, place = seen[place : place + count], place + count
        assert {fidelity for fidelity, _ in rung} == {fidelities[level]}
        if before:
            assert [error for _, error in rung] == sorted(error for _, error in before)[:count]
        before = rung
    assert strategy.state()["bracket"] == 1


def test_brackets_of_hyperband_are_those_of_its_algorithm() -> None:
    """eta 3, R = 81: ceil(5 x 3^s / (s + 1)) points at 1, 3, 9, 27 and 81 [Li et al., JMLR 2018, algorithm 1]."""
    fidelities = [1 / 81, 1 / 27, 1 / 9, 1 / 3, 1.0]
    strategy = Halving(SPACE, fidelities=fidelities, kind="hyperband")
    assert [strategy.draws_of(bracket) for bracket in range(6)] == [81, 34, 15, 8, 5, 81]
    rungs = [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]]
    total = sum(map(sum, rungs))
    expected = Counter({fidelities[level + 5 - len(rung)]: 0 for rung in rungs for level in range(len(rung))})
    for rung in rungs:
        for level, count in enumerate(rung):
            expected[fidelities[level + 5 - len(rung)]] += count
    assert Counter(fidelity for fidelity, _ in searched(strategy, total)) == expected
    assert strategy.state()["bracket"] == 5


def test_a_large_batch_is_filled_for_the_next_bracket() -> None:
    strategy = Halving(SPACE, fidelities=[0.25, 1.0], eta=3, width=9)
    rng = np.random.default_rng(0)
    first = strategy.ask(9, rng)
    told(strategy, first, error_of(first.genotypes))
    second = strategy.ask(12, rng)
    assert second.fidelity.tolist() == [1.0] * 3 + [0.25] * 9
    told(strategy, second, error_of(second.genotypes))
    third = strategy.ask(3, rng)
    assert third.fidelity.tolist() == [1.0] * 3
    best = np.argsort(error_of(second.genotypes[3:]))[:3]
    assert np.array_equal(third.genotypes, second.genotypes[3:][best])


def test_points_without_an_estimate_leave_the_bracket() -> None:
    strategy = Halving(SPACE, fidelities=[0.25, 1.0], eta=3, width=9)
    rng = np.random.default_rng(0)
    while not len(strategy.state()["waiting"]):
        proposal = strategy.ask(4, rng)
        told(strategy, proposal, np.where(np.arange(4) % 2, np.nan, error_of(proposal.genotypes)))
    assert len(strategy.state()["waiting"]) == 3  # of ten estimates in five batches
    lost = strategy.ask(3, rng)
    assert lost.fidelity.tolist() == [1.0] * 3
    told(strategy, lost, np.full(3, np.nan))
    assert strategy.ask(2, rng).fidelity.tolist() == [0.25] * 2
    assert strategy.state()["bracket"] == 1


def test_those_that_go_on_are_trained_first() -> None:
    strategy = Halving(SPACE, fidelities=[0.25, 1.0])
    assert isinstance(strategy, Selecting)
    survivors = Survivors(np.array([7, 2, 0, 5]), SPACE.sample(4, np.random.default_rng(0)), np.empty((4, 0)))
    assert strategy.select(survivors, 2).tolist() == [2, 1]


def test_best_first_is_by_fronts() -> None:
    points = np.random.default_rng(0).random((60, 3))
    order = best_first(points)
    depth = np.zeros(60, int)
    for i in order:  # a plain twin: one more than the deepest of those that dominate
        above = (points <= points[i]).all(axis=1) & (points < points[i]).any(axis=1)
        depth[i] = 1 + max(depth[above], default=0)
    assert (np.diff(depth[order]) >= 0).all()


@pytest.mark.parametrize("fidelities", [[1.0, 0.5], [0.1, 0.5], [0.5, 0.5, 1.0]])
@pytest.mark.parametrize("name", ["successive_halving", "hyperband", "bohb"])
def test_bad_fidelities_are_one_line(name: str, fidelities: list[float]) -> None:
    with pytest.raises(SpecError, match="rising list that ends with 1") as found:
        STRATEGIES.parse({"name": name, "fidelities": fidelities}, "strategy").make(toy_problem())
    assert "\n" not in str(found.value)


def test_a_density_adds_up_to_one_and_falls_with_distance() -> None:
    cardinalities = np.array([3, 1, 4])
    everything = np.array(list(product(range(3), range(1), range(4))))
    found = density(everything, np.array([[0, 0, 1], [2, 0, 1]]), cardinalities)
    assert found.sum() == pytest.approx(1.0)
    # Kernel by hand, h = .2: the same .8, another .1 of three choices and .0667 of four.
    assert found[1] == pytest.approx((0.8 * 0.8 + 0.1 * 0.8) / 2)


def test_the_model_draws_what_is_good() -> None:
    """Low sums are good: after 300 estimates at one fidelity the draws of the model are far below chance, 15."""
    strategy = BOHB(SPACE, fidelities=[1.0], random_share=0.0)
    rng = np.random.default_rng(0)
    for _ in range(10):
        proposal = strategy.ask(30, rng)
        told(strategy, proposal, proposal.genotypes.sum(axis=1).astype(np.float64))
    sums = strategy.ask(60, rng).genotypes.sum(axis=1)
    chance = SPACE.sample(60, rng).sum(axis=1)
    assert sums.mean() < chance.mean() - 3 * chance.std() / np.sqrt(60)


def test_the_model_is_of_the_highest_fidelity_that_is_known_well() -> None:
    strategy = BOHB(SPACE, fidelities=[0.5, 1.0])
    strategy._seen_fidelity = np.array([0.5] * 20 + [1.0] * 13)
    assert strategy._modelled().tolist() == list(range(20))
    strategy._seen_fidelity = np.array([0.5] * 20 + [1.0] * 14)
    assert strategy._modelled().tolist() == list(range(20, 34))
    strategy._seen_fidelity = np.array([0.5] * 13)
    assert not len(strategy._modelled())
