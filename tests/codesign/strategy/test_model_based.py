"""Search with a model: what a candidate is worth, what is proposed, and that nothing but the told errors is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.pareto import hypervolume
from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.space.cell import CellSpace
from codesign.strategy.base import Problem, Results
from codesign.strategy.bayesian import GaussianProcess
from codesign.strategy.model_based import ModelBased, expected_improvement, expected_volume, one_hot, without_skew
from codesign.testing.strategy import toy_problem

SPACE = Space([Gene(str(i), tuple(range(4))) for i in range(6)])


def problem_of(space: Space, costs: Callable[[np.ndarray], np.ndarray], names: tuple[str, ...]) -> Problem:
    return replace(toy_problem(), space=space, joint=space, objectives=names, costs=costs)


@given(mean=st.floats(-3, 3), deviation=st.floats(0.05, 3), best=st.floats(-3, 3))
@settings(max_examples=40, deadline=None)
def test_expected_improvement_is_the_integral(mean: float, deviation: float, best: float) -> None:
    z = np.linspace(-8, 8, 40_001)
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    plain = float((np.maximum(best - mean - deviation * z, 0) * density).sum() * (z[1] - z[0]))
    found = expected_improvement(np.array([mean]), np.array([deviation]), best)[0]
    assert found == pytest.approx(plain, abs=1e-6)


def test_expected_volume_of_a_certain_error_is_the_hypervolume_gained() -> None:
    """Without deviation and with costs that are not positive, the share of the box by random points is exact volume."""
    known = np.array([[0.2, 0.0], [0.6, -1.0], [0.9, -0.5]])
    costs = np.array([[-0.6], [-0.2], [-1.0], [np.nan]])
    mean = np.array([0.3, 0.1, 0.7, 0.1])
    low, high = known.min(axis=0), known.max(axis=0)
    box = np.prod(1.1 * (high - low))
    gained = [
        hypervolume(np.vstack([known, [[m, c]]]), high) - hypervolume(known, high)
        for m, c in zip(mean[:3], costs[:3, 0], strict=True)
    ]
    drawn = [
        expected_volume(mean, np.zeros(4), costs, known, lambda values: values, np.random.default_rng(seed))
        for seed in range(40)
    ]
    found, error = np.mean(drawn, axis=0), np.std(drawn, axis=0) / np.sqrt(40)
    assert (np.abs(found[:3] - np.array(gained) / box) <= 4 * error[:3] + 1e-12).all()
    assert found[3] == 0.0
    assert gained[2] == 0.0 == found[2]  # dominated


def test_a_covariance_falls_by_one_factor_for_each_gene_that_differs() -> None:
    rng = np.random.default_rng(0)
    points = SPACE.sample(40, rng)
    x, y = one_hot(points, SPACE.cardinalities), rng.standard_normal(40)
    process = GaussianProcess()
    process((x, y), (x, y))
    kernel = process._chosen[1].k1
    differing = (points[:, None] != points[None]).sum(axis=2)
    assert kernel(x) == pytest.approx(kernel.k1.constant_value * np.exp(-differing / kernel.k2.length_scale**2))


@pytest.mark.parametrize("section", [{"name": "bayesian"}, {"name": "surrogate", "model": "gaussian_process"}])
def test_a_sum_of_gene_effects_is_learned(section: dict[str, object]) -> None:
    """4,096 points, one of them best: 60 evaluations find one of the best 16, which chance does for 1 in 5 seeds."""
    effects = np.random.default_rng(5).permutation(24).reshape(6, 4)
    rank = np.sort(effects[np.arange(6), SPACE.enumerate()].sum(axis=1))
    for seed in range(3):
        strategy = STRATEGIES.parse(section, "strategy").make(
            problem_of(SPACE, lambda points: np.empty((len(points), 0)), ())
        )
        rng, best = np.random.default_rng(seed), np.inf
        for _ in range(60):
            proposal = strategy.ask(1, rng)
            error = effects[np.arange(6), proposal.genotypes].sum(axis=1).astype(np.float64)
            best = min(best, error[0])
            strategy.tell(proposal, Results.exact(error[:, None]))
        assert best <= rank[15]


def test_what_is_known_is_not_proposed_again() -> None:
    space = CellSpace()
    strategy = STRATEGIES.parse("bayesian", "strategy").make(
        problem_of(space, lambda points: np.empty((len(points), 0)), ())
    )
    rng, asked = np.random.default_rng(0), []
    for i in range(25):
        proposal = strategy.ask(1, rng)
        asked.append(tuple(space.canonical(proposal.genotypes)[0].tolist()))
        strategy.tell(proposal, Results.exact(np.array([[float(i % 7)]])))
    assert len(set(asked[10:])) == 15
    assert not set(asked[10:]) & set(asked[:10])


def test_costs_choose_among_equal_errors() -> None:
    """Where nothing tells errors apart the cheaper points are proposed: those of the lower half of the costs."""
    problem = problem_of(SPACE, lambda points: 1.0 + points.sum(axis=1)[:, None], ("cost",))
    strategy = STRATEGIES.parse({"name": "bayesian", "initial": 30}, "strategy").make(problem)
    rng = np.random.default_rng(0)
    first = strategy.ask(30, rng)
    strategy.tell(first, Results.exact(np.column_stack([np.full(30, 0.5), problem.costs(first.genotypes)])))
    asked = problem.costs(strategy.ask(10, rng).genotypes)[:, 0]
    assert asked.max() < np.median(problem.costs(first.genotypes))


def test_a_large_batch_is_filled_and_old_pairs_are_forgotten() -> None:
    problem = problem_of(SPACE, lambda points: points[:, :1].astype(np.float64), ("cost",))
    strategy = ModelBased(problem, GaussianProcess(), initial=5, candidates=20, most=30)
    rng, least = np.random.default_rng(0), np.inf
    for _ in range(3):
        proposal = strategy.ask(100, rng)
        assert SPACE.valid(proposal.genotypes).all()
        objectives = np.column_stack([proposal.genotypes.sum(axis=1), proposal.genotypes[:, 0]]).astype(np.float64)
        strategy.tell(proposal, Results.exact(objectives))
        least = min(least, float(objectives[:, 0].min()))
        assert len(strategy.state()["genotypes"]) == 30
        assert strategy.state()["objectives"][:, 0].min() == least  # the front is not forgotten


def test_pairs_of_low_fidelity_are_not_learned_from() -> None:
    strategy = STRATEGIES.parse("bayesian", "strategy").make(toy_problem())
    proposal = strategy.ask(4, np.random.default_rng(0))
    results = replace(Results.exact(np.ones((4, 2))), fidelity=np.array([1.0, 0.5, 1.0, 0.1]))
    strategy.tell(proposal, results)
    assert np.array_equal(strategy.state()["genotypes"], proposal.genotypes[[0, 2]])


def test_a_transform_takes_the_skew_and_keeps_the_order() -> None:
    errors = np.sort(np.random.default_rng(0).lognormal(sigma=1.0, size=200))
    found = without_skew(errors)(errors)
    assert (np.diff(found) > 0).all()
    assert abs(((found - found.mean()) ** 3).mean()) < 0.2
    assert without_skew(np.full(3, 0.5))(np.array([0.5, 0.7])).tolist() == pytest.approx([0.0, 0.2])
