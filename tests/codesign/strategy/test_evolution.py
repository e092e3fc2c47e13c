"""Regularised evolution: its defaults against a plain twin, and what each setting changes."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.space.branches import BranchesSpace
from codesign.strategy.base import Proposal, Results
from codesign.strategy.evolution import RegularisedEvolution, Removal
from codesign.testing.strategy import toy_problem

SPACE = Space([Gene(str(i), tuple(range(6))) for i in range(8)])


def told(strategy: RegularisedEvolution, genotypes: np.ndarray, error: np.ndarray) -> None:
    strategy.tell(Proposal.full(genotypes), Results.exact(error))


def test_the_defaults_are_the_plain_algorithm_bit_for_bit() -> None:
    strategy, rng, twin_rng = RegularisedEvolution(SPACE), np.random.default_rng(5), np.random.default_rng(5)
    genotypes, objectives = np.empty((0, 8), np.int64), np.empty((0, 2))
    for _ in range(6):
        asked = strategy.ask(40, rng).genotypes
        n_random = 40 if not len(genotypes) else 8
        expected = SPACE.sample(n_random, twin_rng)
        if n_random < 40:
            spans = objectives.max(axis=0) - objectives.min(axis=0)
            scaled = (objectives - objectives.min(axis=0)) / np.where(spans > 0, spans, 1.0)
            entrants = twin_rng.integers(len(genotypes), size=(32, 10))
            weights = twin_rng.dirichlet(np.ones(2), size=32)
            winners = [
                row[np.argmin([max(w * scaled[i]) for i in row])] for row, w in zip(entrants, weights, strict=True)
            ]
            expected = np.concatenate([SPACE.mutate(genotypes[winners], twin_rng), expected])
        assert np.array_equal(asked, expected)
        values = np.stack([asked.sum(axis=1), (asked**2 - 3 * asked).sum(axis=1)], axis=1).astype(np.float64)
        told(strategy, asked, values)
        genotypes = np.concatenate([genotypes, asked])[-100:]
        objectives = np.concatenate([objectives, values])[-100:]
    assert set(strategy.state()) == {"genotypes", "objectives"}


@pytest.mark.parametrize(
    ("removal", "left"), [("age", [1.0, 4.0, 3.0]), ("worst", [2.0, 1.0, 3.0]), ("both", [2.0, 1.0, 3.0])]
)
def test_who_leaves(removal: Removal, left: list[float]) -> None:
    """Told 5, 2, 1, 4, 3 in this order, a population of three keeps the last, the best, or loses 5 and then 4."""
    strategy = RegularisedEvolution(SPACE, population=3, removal=removal)
    points = SPACE.sample(5, np.random.default_rng(0))
    for point, error in zip(points, (5.0, 2.0, 1.0, 4.0, 3.0), strict=True):
        told(strategy, point[None], np.array([[error]]))
    assert strategy.state()["objectives"][:, 0].tolist() == left


def test_both_leave_in_turn_across_a_restart() -> None:
    """1, 2, 3 then 4, 5: the oldest (1) leaves, then the worst (5); a restored strategy goes on with the oldest."""
    strategy = RegularisedEvolution(SPACE, population=3, removal="both")
    points = SPACE.sample(6, np.random.default_rng(0))
    told(strategy, points[:5], np.arange(1.0, 6.0)[:, None])
    assert strategy.state()["objectives"][:, 0].tolist() == [2.0, 3.0, 4.0]
    again = RegularisedEvolution(SPACE, population=3, removal="both")
    again.restore(strategy.state())
    told(again, points[5:], np.array([[9.0]]))
    assert again.state()["objectives"][:, 0].tolist() == [3.0, 4.0, 9.0]
    told(again, points[5:], np.array([[1.0]]))
    assert again.state()["objectives"][:, 0].tolist() == [3.0, 4.0, 1.0]


def test_one_gene_changes() -> None:
    strategy = RegularisedEvolution(SPACE, immigrants=0.0, mutation="one")
    parent = SPACE.sample(1, np.random.default_rng(0))
    told(strategy, parent, np.ones((1, 1)))
    children = strategy.ask(300, np.random.default_rng(1)).genotypes
    assert ((children != parent).sum(axis=1) == 1).all()
    assert len(np.unique(children, axis=0)) == 8 * 5  # every one of the neighbours: missed with probability 40 e^-7.5


def test_the_population_is_filled_at_random_first() -> None:
    strategy = RegularisedEvolution(SPACE, population=10, immigrants=0.0, mutation="one", fill_first=True)
    rng, asked = np.random.default_rng(0), []
    for _ in range(11):
        proposal = strategy.ask(1, rng)
        asked.append(proposal.genotypes[0])
        told(strategy, proposal.genotypes, np.ones((1, 1)))
    distance = [min(int((a != b).sum()) for b in asked[:i]) for i, a in enumerate(asked) if i]
    assert distance[-1] == 1
    assert min(distance[:-1]) > 1


def test_a_space_of_graphs_adds_and_removes_layers() -> None:
    space = BranchesSpace()
    parent = space.sample(1, np.random.default_rng(3))
    strategy = RegularisedEvolution(space, immigrants=0.0)
    told(strategy, parent, np.ones((1, 1)))
    children = strategy.ask(60, np.random.default_rng(0)).genotypes
    layers = [len(space.wiring_of(child).operators) for child in children]
    count = len(space.wiring_of(parent[0]).operators)
    assert {count - 1, count, count + 1} <= set(layers)


def test_the_alias_is_the_same_plug_in() -> None:
    assert STRATEGIES["regularised_evolution"] is STRATEGIES["evolution"]
    section = {"name": "regularised_evolution", "population": 7, "removal": "both"}
    made = STRATEGIES.parse(section, "strategy").make(toy_problem())
    assert (made.population, made.removal, made.sample) == (7, "both", 10)
