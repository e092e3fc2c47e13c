"""Which point a proposal was made of, as strategies tell it."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.strategy.base import Proposal, Results
from codesign.strategy.evolution import RegularisedEvolution
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.random import RandomSearch
from codesign.testing.strategy import toy_problem


def second_proposal(strategy, *, n=20) -> tuple[Proposal, Proposal]:
    rng = np.random.default_rng(3)
    first = strategy.ask(n, rng)
    assert first.parents is None
    objectives = np.stack([first.genotypes.sum(axis=1), -first.genotypes.sum(axis=1)], axis=1).astype(float)
    strategy.tell(first, Results.exact(objectives))
    return first, strategy.ask(n, rng)


@pytest.mark.parametrize("kind", [RegularisedEvolution, NSGA2])
def test_a_child_is_told_with_its_parent(kind) -> None:
    first, second = second_proposal(kind(toy_problem().space, immigrants=0.25))
    assert second.parents is not None
    has = (second.parents >= 0).all(axis=1)
    assert has.tolist() == [True] * 15 + [False] * 5
    known = {tuple(row) for row in first.genotypes.tolist()}
    assert all(tuple(row) in known for row in second.parents[has].tolist())
    # One mutation in six genes at least, and of two parents the nearer one: so at most half of them differ.
    changed = (second.parents[has] != second.genotypes[has]).sum(axis=1)
    assert changed.max() <= 5
    assert np.median(changed) <= 3


def test_of_two_parents_the_nearer_one_is_told() -> None:
    children, left, right = np.array([[0, 0, 1], [1, 1, 0], [0, 1, 2]]), np.zeros((3, 3), int), np.ones((3, 3), int)
    assert NSGA2._nearer(children, left, right).tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_what_nobody_made_has_no_parent() -> None:
    assert RandomSearch(toy_problem().space).ask(3, np.random.default_rng(0)).parents is None


@pytest.mark.parametrize("operators", ["space", "ordered"])
def test_the_parent_that_is_told_is_the_one_that_the_child_is_made_of(operators: str) -> None:
    """Without crossover a child is its parent but for a mutation: nearly all genes are the parent's."""
    problem, rng = toy_problem(), np.random.default_rng(0)
    strategy = NSGA2(problem.space, crossover=0.0, immigrants=0.0, operators=operators)  # type: ignore[arg-type]
    first = strategy.ask(30, rng)
    objectives = [((first.genotypes - choice).astype(float) ** 2).sum(axis=1) for choice in (1, 3)]
    strategy.tell(first, Results.exact(np.stack(objectives, axis=1)))
    proposal = strategy.ask(31, rng)
    assert proposal.parents is not None
    assert (proposal.genotypes == proposal.parents).mean() > 0.75
