"""Hard limits that nothing proposed breaks, and ways down that save at each step."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from codesign.registry import STRATEGIES
from codesign.strategy.base import Problem, Proposal, Results
from codesign.strategy.hardcore import HardConstrained
from codesign.strategy.netadapt import NetAdapt
from codesign.testing.strategy import toy_problem, trained_problem
from hwmodels.errors import SpecError


def objectives(points: np.ndarray) -> np.ndarray:
    return np.stack([((points - corner) ** 2).sum(axis=1) for corner in (1, 3)], axis=1).astype(float)


@pytest.mark.parametrize("limit", [0.5, 3.0, 10.0, 40.0])
def test_no_proposed_pair_breaks_a_limit(limit: float) -> None:
    problem = toy_problem()
    strategy, rng = HardConstrained(problem, np.array([limit])), np.random.default_rng(0)
    for _ in range(5):
        proposal = strategy.ask(20, rng)
        assert problem.space.valid(proposal.genotypes).all()
        assert (problem.costs(proposal.genotypes)[:, 0] <= limit).all()
        strategy.tell(proposal, Results.exact(objectives(proposal.genotypes)))


def test_where_descents_end_over_the_limit_nothing_of_them_is_proposed() -> None:
    """Costs without any order: single decisions lead nowhere, and what is left over the limit is dropped."""
    rough = np.random.default_rng(0).random(5**6) + 0.01
    weights = 5 ** np.arange(6)
    problem = replace(toy_problem(), costs=lambda points: rough[points @ weights][:, None])
    strategy, rng = HardConstrained(problem, np.array([0.03])), np.random.default_rng(1)
    for _ in range(6):
        proposal = strategy.ask(30, rng)
        assert (problem.costs(proposal.genotypes)[:, 0] <= 0.03).all()
        strategy.tell(proposal, Results.exact(objectives(proposal.genotypes)))


def test_what_is_told_leads_to_the_best_within_the_limit() -> None:
    """Errors are distances to one corner, costs to another: the optimum by brute force."""
    problem = toy_problem()
    strategy, rng = HardConstrained(problem, np.array([12.0])), np.random.default_rng(0)
    best = []
    for _ in range(12):
        proposal = strategy.ask(20, rng)
        found = objectives(proposal.genotypes)
        strategy.tell(proposal, Results.exact(found))
        best.append(found[:, 0].min())
    everything = np.array(list(itertools.product(range(5), repeat=6)))
    everything = everything[problem.space.valid(everything)]
    known = objectives(everything)
    optimum = known[known[:, 1] <= 12][:, 0].min()
    assert min(best) == optimum


def test_frank_wolfe_climbs_within_the_expected_costs() -> None:
    """The expected accuracy rises, and no expected cost is over its limit."""
    problem = toy_problem()
    strategy, rng = HardConstrained(problem, np.array([12.0])), np.random.default_rng(0)
    for _ in range(3):
        proposal = strategy.ask(40, rng)
        strategy.tell(proposal, Results.exact(objectives(proposal.genotypes)))
    p = strategy._climbed()
    assert p.reshape(6, 5).sum(axis=1) == pytest.approx(np.ones(6))
    assert float(strategy._constant[0] + p @ strategy._table[:, 0]) <= np.log(12.0) + 1e-9
    start = np.repeat(0.2, 30)
    assert p @ strategy._gains() > start @ strategy._gains()


def test_limits_are_of_objectives_and_within_reach() -> None:
    problem = trained_problem()
    for limits, told in (
        ({"latncy_s": "1 ms"}, "did you mean latency_s"),
        ({"latency_s": "0 ms"}, "> 0"),
        ({"latency_s": "1 ns"}, "nearest found has latency_s"),
    ):
        with pytest.raises(SpecError, match=told):
            STRATEGIES.parse({"name": "hardcore", "limits": limits}, "strategy").make(problem)
    networks = replace(problem, space=problem.joint.architecture)
    for name in ("hardcore", "netadapt"):
        with pytest.raises(SpecError, match="joint"):
            STRATEGIES.parse(name, "strategy").make(networks)


def test_every_step_down_saves_and_its_candidates_are_the_least_savings() -> None:
    problem = toy_problem()
    strategy, rng = NetAdapt(problem, step=0.2), np.random.default_rng(0)
    costs = []
    for _ in range(6):
        proposal = strategy.ask(30, rng)
        if not len(strategy._centre):
            break
        centre = strategy._centre[0]
        cost = float(problem.costs(centre[None])[0, 0])
        costs.append(cost)
        for gene in range(6):
            near = problem.space.neighbours(centre)
            near = near[(near != centre)[:, gene]]
            saving = 1 - problem.costs(near)[:, 0] / cost
            enough = saving[saving >= 0.2]
            own = [c for c in strategy._candidates if c[gene] != centre[gene]]
            assert len(own) == (len(enough) > 0)
            if own:
                assert 1 - problem.costs(own[0][None])[0, 0] / cost == pytest.approx(enough.min())
        told = objectives(proposal.genotypes)
        wanted = objectives(strategy._candidates)[:, 0].min()
        strategy.tell(proposal, Results.exact(told))
        if len(strategy._centre):
            assert float(objectives(strategy._centre)[0, 0]) == wanted
    assert len(costs) > 1
    ways = np.array(costs)
    assert all(later <= 0.8 * earlier + 1e-9 for earlier, later in itertools.pairwise(ways) if later < earlier)


@pytest.mark.parametrize(("best", "takes"), [("ratio", "large"), ("accuracy", "small")])
def test_the_best_change_is_of_least_error_or_of_least_error_a_saving(best: str, takes: str) -> None:
    """Of two changes one saves far more for somewhat more error: the ratio takes it, the accuracy does not."""
    problem: Problem = toy_problem()
    strategy = NetAdapt(problem, step=0.01, best=best)  # type: ignore[arg-type]
    strategy.ask(40, np.random.default_rng(1))
    candidates = strategy._candidates
    saved = 1 - problem.costs(candidates)[:, 0] / problem.costs(strategy._centre)[0, 0]
    small, large = candidates[saved.argmin()], candidates[saved.argmax()]
    assert saved.max() > 1.5 * saved.min()
    errors = strategy._centre_error + np.array([0.05, 0.05 * 1.4])
    told = np.column_stack([errors, problem.costs(np.stack([small, large]))])
    strategy.tell(Proposal.full(np.stack([small, large])), Results.exact(told))
    assert np.array_equal(strategy._centre[0], large if takes == "large" else small)
