"""Two controllers: the fast one finds efficient hardware without a training, beta says what the slow one learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.strategy.base import Problem, Results
from codesign.strategy.co_exploration import CoExploration
from codesign.testing.strategy import MemoryBlobs, trained_problem
from codesign.two_level.cost_access import PairCostAccess
from hwmodels.workload.rewrite import COMPILED
from tests.codesign.toys import OBJECTIVES, toy_space


def problem(seed: int = 0) -> Problem:
    space = toy_space()
    return Problem(space, space, OBJECTIVES, PairCostAccess(space, COMPILED, OBJECTIVES), None, MemoryBlobs(), seed)


def test_the_fast_level_finds_cheap_hardware_before_anything_is_told() -> None:
    """The same networks on designs of its choice and on random ones: cheaper by more than 3 deviations over 5 seeds."""
    gaps = []
    for seed in range(5):
        own, rng = problem(seed), np.random.default_rng(seed)
        pairs = CoExploration(own, steps=6).ask(40, rng).genotypes
        asked, cut = own.costs(pairs), own.joint.architecture.n_genes
        assert np.isfinite(asked).all()  # what does not run is worth the least
        drawn = own.costs(np.hstack([pairs[:, :cut], own.space.sample(40, rng)[:, cut:]]))
        runs = np.isfinite(drawn).all(axis=1)
        gaps.append((np.log(drawn[runs]) - np.log(asked[runs])).mean())
    assert np.mean(gaps) > 3 * np.std(gaps, ddof=1) / np.sqrt(5)


def learned(beta: float, seed: int) -> tuple[float, float]:
    """Mean accuracy and mean logarithm of the costs of the last of 20 batches; accuracy is a share of the width."""
    own, rng = problem(seed), np.random.default_rng(seed)
    strategy = CoExploration(own, beta=beta, steps=2, entropy=0.05)
    cut = own.joint.architecture.n_genes
    widest = (own.joint.architecture.cardinalities - 1).sum()
    for _ in range(20):
        proposal = strategy.ask(20, rng)
        accuracy = proposal.genotypes[:, :cut].sum(axis=1) / widest
        costs = own.costs(proposal.genotypes)
        strategy.tell(proposal, Results.exact(np.column_stack([1 - accuracy, costs])))
    runs = np.isfinite(costs).all(axis=1)
    return float(accuracy[runs].mean()), float(np.log(costs[runs]).mean())


def test_software_first_is_more_accurate_and_hardware_first_cheaper() -> None:
    software, hardware = (np.array([learned(beta, seed) for seed in range(4)]) for beta in (1.0, 0.0))
    gap = software - hardware
    assert (gap.mean(axis=0) > 3 * gap.std(axis=0, ddof=1) / 2).all()


def test_efficiency_is_scaled_by_what_was_seen() -> None:
    own = problem()
    strategy = CoExploration(replace(own, objectives=("a", "b")))
    costs = np.array([[1.0, 1.0], [100.0, 10.0], [10.0, np.nan], [10.0, 1.0]])
    assert strategy._efficiency(costs) == pytest.approx([1.0, 0.0, -1.0, 0.75])


def test_without_knobs_networks_alone_are_drawn() -> None:
    own = trained_problem()
    networks = replace(own, space=own.joint.architecture)
    assert CoExploration(networks).ask(5, np.random.default_rng(0)).genotypes.shape == (5, 6)
