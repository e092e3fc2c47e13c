"""`hybrid`: the relaxation against sums and differences, climbs that lead to the best point, stages, and refusals."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.registry import SPACES, STRATEGIES
from codesign.space.base import Gene, Space
from codesign.space.opened import OpenedSpace
from codesign.space.progressive import ProgressiveSpace
from codesign.strategy.base import Problem, Proposal, Results
from codesign.strategy.expected_cost import ObjectiveCosts, objective_costs
from codesign.strategy.hybrid import Hybrid, HybridSettings
from codesign.strategy.model_based import one_hot
from codesign.strategy.refinement import Scale, Worth, climbed, scalarised, scale_of
from codesign.strategy.relaxed import Choices, Covariance, expected_error, most_likely
from codesign.testing.strategy import MemoryBlobs, toy_problem
from hwmodels.errors import SpecError

SIZES = np.array([2, 3, 4])
POINTS = np.array(list(itertools.product(*map(range, SIZES))))
EVERYTHING = POINTS


def random_shares(rng: np.random.Generator, count: int) -> np.ndarray:
    return Choices(SIZES).softmax(rng.normal(size=(count, SIZES.sum())))


def fitted(rng: np.random.Generator) -> Any:
    known = POINTS[rng.permutation(len(POINTS))[:9]]
    covariance = Covariance(1.3, 2.0, 0.05)
    return known, expected_error(Choices(SIZES), known, rng.normal(size=9), covariance, cut=2)


def test_the_expected_error_is_the_mean_over_all_points() -> None:
    """Over every point, its mean by the textbook's kernel weighed by its probability."""
    rng = np.random.default_rng(0)
    known = POINTS[rng.permutation(len(POINTS))[:9]]
    errors, lengths = rng.normal(size=9), np.array([1.3, 1.3, 2.0])

    def kernel(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.exp(-((x[:, None] != z[None]) / lengths**2).sum(axis=2))

    mean = kernel(POINTS, known) @ np.linalg.inv(kernel(known, known) + 0.05 * np.eye(9)) @ errors
    model = expected_error(Choices(SIZES), known, errors, Covariance(1.3, 2.0, 0.05), cut=2)
    assert model(one_hot(POINTS, SIZES))[0] == pytest.approx(mean)
    for shares in random_shares(rng, 3):
        chance = np.prod(shares[POINTS + np.array([0, 2, 5])], axis=1)
        assert model(shares[None])[0][0] == pytest.approx(chance @ mean)


def differences(of: Any, at: np.ndarray, step: float = 1e-6) -> np.ndarray:
    moved = at + step * np.concatenate([np.eye(len(at)), -np.eye(len(at))])
    values = of(moved)
    return (values[: len(at)] - values[len(at) :]) / (2 * step)


@pytest.mark.parametrize("logarithmic", [True, False])
def test_gradients_are_differences(logarithmic: bool) -> None:
    rng = np.random.default_rng(1)
    _, model = fitted(rng)
    table = rng.uniform(0.1, 1.0, size=(SIZES.sum(), 2))
    costs = ObjectiveCosts(table, np.array([1.0, 2.0]))
    scale = Scale(np.array([-1.0, 0.1, 1.0]), np.array([2.0, 0.7, 3.0]), np.array([False, logarithmic, False]))
    worth, shares = Worth(model, costs, scale), random_shares(rng, 1)
    weights = np.array([[0.5, 0.3, 0.2]])
    assert model(shares)[1][0] == pytest.approx(differences(lambda p: model(p)[0], shares[0]), abs=1e-6)
    expected = differences(lambda p: worth(p, np.repeat(weights, len(p), axis=0))[0], shares[0])
    assert worth(shares, weights)[1][0] == pytest.approx(expected, abs=1e-6)


def test_expected_costs_that_count_by_logarithm_stay_positive() -> None:
    """A sum over choices below 0 is held at a tenth of the front's least, where nothing pulls it further."""
    rng = np.random.default_rng(1)
    _, model = fitted(rng)
    costs = ObjectiveCosts(np.full((SIZES.sum(), 1), -1.0), np.array([1.0]))  # 1 - 3 for every point
    worth = Worth(model, costs, Scale(np.zeros(2), np.ones(2), np.array([False, True])))
    shares = random_shares(rng, 2)
    assert worth.expected_costs(shares) == pytest.approx(0.1)
    value, gradient = worth(shares, np.array([[0.0, 1.0]] * 2))
    assert np.isfinite(value).all()
    assert (gradient == 0).all()


def test_the_scalarised_worth_is_nearly_the_largest_weighted_objective() -> None:
    scaled, weights = np.array([[0.2, 3.0], [5.0, 0.1]]), np.array([[0.5, 0.5], [0.9, 0.1]])
    largest = (weights * scaled).max(axis=1) + 0.05 * (weights * scaled).sum(axis=1)
    assert scalarised(scaled, weights) == pytest.approx(largest, abs=0.01)


def test_objectives_are_scaled_to_the_front() -> None:
    """The dominated point does not count; costs that are positive are compared by logarithm."""
    scale = scale_of(np.array([[0.1, 100.0], [0.3, 1.0], [0.9, 1000.0]]))
    assert scale.scaled(np.array([[0.2, 10.0]])) == pytest.approx(np.array([[0.5, 0.5]]))


def test_likelihood_finds_which_genes_matter() -> None:
    """Errors of the network's gene alone: hardware has no length; pure noise: the largest noise."""
    rng = np.random.default_rng(2)
    points = rng.integers(0, 4, size=(60, 3))
    smooth = most_likely(points, points[:, 0] - points[:, 0].mean(), cut=1)
    assert smooth.other == np.inf
    assert smooth.noise <= 0.01
    assert most_likely(points, rng.normal(size=60), cut=3).noise >= 0.3


@pytest.mark.parametrize("closed", [None, 2])
def test_a_climb_leads_to_the_best_point_among_open_choices(closed: int | None) -> None:
    """The error is a sum over choices that the model knows nearly exactly; the least is found by hand."""
    rng, values = np.random.default_rng(3), np.array([0.5, 0.0, 0.3, 0.9, 0.1, 0.7, 0.2, 0.8, 0.4])
    errors = one_hot(POINTS, SIZES) @ values
    model = expected_error(Choices(SIZES), POINTS, errors - errors.mean(), Covariance(2.8, np.inf, 1e-3), cut=3)
    nothing = ObjectiveCosts(np.empty((9, 0)), np.empty(0))
    worth = Worth(model, nothing, Scale(np.zeros(1), np.ones(1), np.zeros(1, np.bool_)))
    is_open = np.ones(9, np.bool_)
    if closed is not None:
        is_open[6] = False  # the best of the last gene
    starts = np.array([[0, 1, 0], [1, 2, 3]])
    met = climbed(worth, Choices(SIZES), starts, np.ones((2, 1)), is_open, rng)
    best = [1, 2, 1] if closed is None else [1, 2, 3]
    assert met[-1].tolist() == [best, best]
    assert is_open[met + np.array([0, 2, 5])].all()


def test_expected_costs_by_objective_are_exact_where_layers_add_up() -> None:
    """Two additive costs in units of their own; a gene of hardware averages out."""
    space = Space([Gene("a", (0, 1)), Gene("b", (0, 1, 2)), Gene("clock", (0, 1))])
    values = np.array([[0.0, 0.0], [3.0, 1e-6], [1.0, 2e-6], [2.0, 1e-6], [5.0, 0.0]])

    def costs(points: np.ndarray) -> np.ndarray:
        return one_hot(points[:, :2], np.array([2, 3])) @ values + points[:, 2:] * np.array([1.0, 4e-6])

    joint: Any = space
    own = Space(space.genes[:2])
    found = objective_costs(Problem(own, joint, ("x", "y"), costs, None, MemoryBlobs(), 0))
    points = np.array(list(itertools.product(range(2), range(3))))
    told = found.constant + one_hot(points, np.array([2, 3])) @ found.table
    exact = one_hot(points, np.array([2, 3])) @ values + np.array([0.5, 2e-6])
    assert told == pytest.approx(exact, rel=0.1)  # the clock's share of the sample is half but for chance
    assert np.diff(told, axis=0) == pytest.approx(np.diff(exact, axis=0), rel=1e-4, abs=1e-9)


# Stages.


def staged_problem() -> Problem:
    space: Any = ProgressiveSpace(3, channels=(4, 6), blocks=2, input_shape=(1, 8, 8))
    return Problem(space, space, ("cost",), lambda points: points.sum(axis=1, keepdims=True) + 1.0, None,
                   MemoryBlobs(), 0)  # fmt: skip


def told(strategy: Hybrid, proposal: Proposal) -> None:
    points = proposal.genotypes
    strategy.tell(proposal, Results.exact(np.stack([1 / (1 + points.sum(axis=1)), points.sum(axis=1) + 1.0], axis=1)))


def test_operations_open_on_schedule() -> None:
    """5, 8 and 11 operations after 0, 30 and 60 estimates; what is refined, bred and drawn keeps to them."""
    problem = staged_problem()
    settings = HybridSettings(progressive=True, stage_estimates=30, initial=10, population=20)
    strategy, rng = Hybrid(problem, settings), np.random.default_rng(0)
    largest: dict[int, int] = {}
    for batch in range(12):
        stage = strategy.stage
        assert stage == min(3, 1 + 10 * batch // 30)
        proposal = strategy.ask(10, rng)
        assert OpenedSpace(problem.space, stage).valid(proposal.genotypes).all()
        largest[stage] = max(largest.get(stage, 0), int(proposal.genotypes[:, ::2].max()))
        told(strategy, proposal)
    assert largest == {1: 4, 2: 7, 3: 10}  # a larger error is better here, so that the newest operations win


def test_what_an_earlier_run_knows_of_closed_choices_is_not_bred_from() -> None:
    problem = staged_problem()
    strategy, rng = Hybrid(problem, HybridSettings(progressive=True, initial=4)), np.random.default_rng(0)
    warm = problem.space.sample(20, rng)
    told(strategy, Proposal.full(np.where(np.arange(8) % 2 == 0, 10, warm)))
    assert strategy.stage == 1
    assert OpenedSpace(problem.space, 1).valid(strategy.ask(30, rng).genotypes).all()


def test_stages_reach_through_joint_and_wrapped_spaces() -> None:
    from codesign.space.hardware import HardwareSpace
    from codesign.space.joint import JointSpace
    from hwmodels.catalog import device

    chip, networks = device("systolic_edge"), ProgressiveSpace(2, channels=(4,), blocks=1)
    joint = JointSpace(networks, HardwareSpace(chip.model, chip.spec, {"array_rows": [16, 32]}))
    assert joint.choice_stages.tolist() == [1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1]
    opened = OpenedSpace(joint, 1)
    drawn = opened.sample(200, np.random.default_rng(0))
    assert [len(np.unique(column)) for column in drawn.T] == [5, 2, 2]
    mutants = opened.mutate(drawn, np.random.default_rng(1))
    assert opened.valid(mutants).all()
    assert (mutants != drawn).any(axis=1).all()


@pytest.mark.parametrize("space", [None, ProgressiveSpace(1, channels=(4,), blocks=1)])
def test_a_space_without_stages_is_not_progressive(space: Any) -> None:
    problem = toy_problem() if space is None else replace(toy_problem(), space=space, joint=space)
    with pytest.raises(
        SpecError, match=r"strategy\.progressive: true is not for a space that opens everything at once"
    ):
        STRATEGIES.parse({"name": "hybrid", "progressive": True}, "strategy").make(problem)
    assert "progressive" in SPACES.names()


# Evolution.


def test_the_best_and_the_youngest_stay() -> None:
    strategy = Hybrid(toy_problem(), HybridSettings(population=4, elites=0.5))
    points = EVERYTHING[:8] @ np.eye(3, 6, dtype=np.int64) + 2
    errors = np.array([0.1, 0.9, 0.2, 0.8, 0.7, 0.6, 0.95, 0.99])
    for point, error in zip(points, errors, strict=True):
        proposal = Proposal.full(point[None])
        strategy.tell(proposal, Results.exact(np.array([[error, error]])))
    assert sorted(strategy.state()["objectives"][:, 0].tolist()) == [0.1, 0.2, 0.95, 0.99]


@pytest.mark.parametrize("multi_objective", [True, False])
def test_costs_count_where_they_shall(multi_objective: bool) -> None:
    """Costs against the error: without them the best by error stay, with them the cheapest as well."""
    settings = HybridSettings(population=10, elites=1.0, multi_objective=multi_objective, refined=0.0)
    strategy, rng = Hybrid(toy_problem(), settings), np.random.default_rng(0)
    for _ in range(12):
        proposal = strategy.ask(20, rng)
        distances = [((proposal.genotypes - corner) ** 2).sum(axis=1) for corner in (1, 3)]
        strategy.tell(proposal, Results.exact(np.stack(distances, axis=1).astype(np.float64)))
    kept = strategy.state()["objectives"]
    assert kept[:, 0].min() <= 2
    assert (kept[:, 1].min() <= 4) == multi_objective


def test_nothing_known_is_proposed_by_gradients() -> None:
    problem = toy_problem()
    strategy, rng = Hybrid(problem, HybridSettings(initial=10, refined=1.0, immigrants=0.0)), np.random.default_rng(0)
    seen: set[tuple[int, ...]] = set()
    for batch in range(6):
        proposal = strategy.ask(10, rng)
        rows = set(map(tuple, proposal.genotypes.tolist()))
        assert batch == 0 or (len(rows) == 10 and not rows & seen)
        seen |= rows
        distances = [((proposal.genotypes - corner) ** 2).sum(axis=1) for corner in (1, 3)]
        strategy.tell(proposal, Results.exact(np.stack(distances, axis=1).astype(np.float64)))
