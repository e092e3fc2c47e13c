"""What a strategy is told, at which fidelity, and what it may decide itself."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.store import RunStore
from codesign.strategy.base import Problem, Proposal, Results
from codesign.strategy.random import RandomSearch
from codesign.testing.strategy import StrategySuite
from codesign.two_level.loop import run_search
from codesign.two_level.prune import KEPT
from hwmodels.errors import SpecError
from tests.codesign.toy_strategies import Halving, InnerTrainer
from tests.codesign.toys import OBJECTIVES, FormulaEstimator, toy_search


class Listening(RandomSearch):
    """Keeps what it is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.space)
        self.costs, self.told = problem.costs, []

    def tell(self, proposal: Proposal, results: Results) -> None:
        self.told.append((proposal, results))


class Asked(FormulaEstimator):
    """Notes the fidelities that it is asked for, and is worse at lower ones."""

    def __init__(self) -> None:
        super().__init__()
        self.fidelities = []

    def one(self, request):
        self.fidelities.append(request.fidelity)
        known = super().one(request)
        lost = 0.2 * (1 - request.fidelity)
        return type(known).of_accuracy(
            known.accuracy - lost,
            known.accuracy_test,
            spread=0.125,
            draws=known.draws,
            fidelity=request.fidelity,
            key=known.key,
        )


def test_costs_of_every_pair_that_was_costed_are_told(new_store) -> None:
    search = toy_search(strategy=Listening, least_accuracy=0.7, estimator=Asked(), constraints={"area_mm2": 2.0})
    run_search(search, new_store("run"))
    for proposal, results in search.strategy.told:
        count = len(proposal.genotypes)
        assert results.costs.shape == (count, 3)
        costed = ~np.isnan(results.costs).any(axis=1)
        # Deferred and dominated pairs have costs and no error; duplicates have neither.
        assert costed[~np.isnan(results.error)].all()
        assert (costed & np.isnan(results.error) & (results.status == KEPT)).any()
        assert (costed & (results.status > KEPT)).any()
        assert not costed[results.status == search.fast.reasons["duplicate"]].any()
        feasible = costed & (results.status == KEPT)
        assert np.allclose(results.costs[feasible], search.strategy.costs(proposal.genotypes[feasible]), rtol=1e-12)
        assert (results.spread[~np.isnan(results.error)] == 0.125).all()
        assert np.isnan(results.spread[np.isnan(results.error)]).all()
        assert (results.fidelity == 1).all()
        assert results.violation.shape == (count, 2)
        short = results.error > 0.3
        assert np.allclose(results.violation[short, 1], 1 - (1 - results.error[short]) / 0.7)
        assert (results.violation[~short, 1] == 0).all()
    last = search.strategy.told[-1][1]
    assert (last.violation[:, 0] > 0).any()
    assert (last.violation[:, 1] > 0).any()


def test_objectives_are_error_and_costs_or_nothing() -> None:
    results = Results.exact(np.array([[0.1, 2.0], [np.nan, 3.0], [0.3, np.nan]]))
    assert results.costs.ravel().tolist()[:2] == [2.0, 3.0]
    assert results.objectives()[0].tolist() == [0.1, 2.0]
    assert np.isnan(results.objectives()[1:]).all()


def test_fidelity_is_honoured_and_only_full_fidelity_is_on_the_front(new_store) -> None:
    store, estimator = new_store("run"), Asked()
    search = toy_search(strategy=Halving, estimator=estimator, selection="strategy", generations=5)
    outcome = run_search(search, store)
    assert set(estimator.fidelities) == {Halving.LOW, 1.0}
    members = outcome.archive.members
    by_fidelity = {member.fidelity for member in members}
    assert by_fidelity == {Halving.LOW, 1.0}
    for member in members:
        assert member.estimate.fidelity == member.fidelity
    front = outcome.archive.front()
    assert front
    assert {member.fidelity for member in front} == {1.0}
    # The same pair twice, at either fidelity, with either error.
    twice = {m.genotype for m in members if m.fidelity == 1.0} & {m.genotype for m in members if m.fidelity < 1.0}
    assert twice
    known = outcome.archive.known()
    assert len(known.costs) == sum(member.fidelity == 1.0 for member in members) < len(members)
    assert sorted(set(known.class_fidelity)) == [Halving.LOW, 1.0]
    told = search.strategy.told
    assert {value for part in told for value in part.fidelity[~np.isnan(part.error)]} == {Halving.LOW, 1.0}
    ledger = outcome.ledger
    assert ledger.considered == sum(ledger.pruned.values()) + ledger.evaluated + ledger.deferred
    trained = {(known.architecture, known.fidelity) for known in outcome.archive.classes}
    assert ledger.trained == len(trained) <= 5 * search.budget.trainings
    # And the store gives it back.
    store.close()
    again = toy_search(strategy=Halving, estimator=Asked(), selection="strategy", generations=5)
    resumed = run_search(again, RunStore.open(store.folder))
    assert [(m.genotype, m.fidelity, m.estimate) for m in resumed.archive.members] == [
        (m.genotype, m.fidelity, m.estimate) for m in members
    ]


def test_the_fidelity_of_a_proposal_is_relative_to_the_runs(new_store) -> None:
    estimator = Asked()
    search = toy_search(strategy=Halving, estimator=estimator, selection="strategy", generations=2)
    search.slow.fidelity = 0.5
    front = run_search(search, new_store("run")).archive.front()
    assert set(estimator.fidelities) == {0.5, 0.5 * Halving.LOW}
    assert {member.fidelity for member in front} == {1.0}


class Greedy(Halving):
    def select(self, survivors, trainings):
        return np.arange(len(survivors.source))


def test_a_strategy_that_selects_too_much_is_told(new_store) -> None:
    search = toy_search(strategy=Greedy, selection="strategy")
    with pytest.raises(SpecError, match=r"slow.selection: strategy: \d+ new networks is not at most slow.trainings, 3"):
        run_search(search, new_store("run"))


def test_the_selection_is_trained_and_nothing_else(new_store) -> None:
    chosen = []

    class Noting(Halving):
        def select(self, survivors, trainings):
            positions = super().select(survivors, trainings)
            chosen.append({tuple(row) for row in survivors.genotypes[positions, : self.networks].tolist()})
            return positions

        @property
        def networks(self):
            return self.problem.joint.architecture.n_genes

    search = toy_search(strategy=Noting, selection="strategy", generations=3)
    outcome = run_search(search, new_store("run"))
    canonical = search.space.architecture.canonical
    wanted = {tuple(canonical(np.array([row]))[0].tolist()) for part in chosen for row in part}
    assert {known.architecture for known in outcome.archive.classes} == wanted
    assert max(map(len, chosen)) == 3


def test_a_strategy_without_a_choice_of_its_own_is_refused_before_anything_is_written(tmp_path) -> None:
    from codesign.app.config import parse_config
    from codesign.app.run import begin

    config = {
        "architecture": {"space": "cell", "channels": 4, "cells": 1, "stages": 1},
        "hardware": {"device": "rram_edge"},
        "slow": {"selection": "strategy"},
        "executor": {"name": "serial", "portable": False},
    }
    with pytest.raises(SpecError, match="nsga2 is not a strategy with a method `select`"):
        begin(parse_config(config), tmp_path / "run")
    assert not (tmp_path / "run").exists()


class TestInnerTrainer(StrategySuite):
    def strategy(self, problem: Problem) -> InnerTrainer:
        return InnerTrainer(problem)


def test_a_blob_is_kept_once_and_not_for_every_generation(new_store) -> None:
    store = new_store("run")
    search = toy_search(strategy=InnerTrainer, blobs=store, generations=4)
    run_search(search, store)
    states = [generation.strategy for generation in store.generations()]
    assert [state["rounds"] for state in states] == [1, 2, 3, 4]
    assert len({state["weights"] for state in states}) == 4
    assert np.array_equal(np.frombuffer(store.blob(states[-1]["weights"])), search.strategy.weights)
    assert store._db.execute("SELECT count(*) FROM blobs").fetchone() == (1,)
    with pytest.raises(SpecError, match="the key of a blob that is kept"):
        store.blob(states[0]["weights"])


def test_cost_access_is_what_a_single_evaluation_says() -> None:
    from hwmodels.evaluate import evaluate
    from hwmodels.workload.rewrite import COMPILED, rewrite

    search = toy_search(strategy=Listening)
    genotypes = search.space.sample(40, np.random.default_rng(1))
    costs = search.strategy.costs(genotypes)
    assert np.isnan(costs).any(axis=1).any()  # chips that are too small for their network
    for genotype, row in zip(genotypes, costs, strict=True):
        network, design = search.space.split(genotype[None])
        workload = rewrite(search.space.architecture.workload(network[0]), COMPILED)
        report = evaluate(workload, search.space.hardware.model, search.space.hardware.spec(design[0]))
        if not np.isnan(row).any():
            assert row == pytest.approx([report.total(name) for name in OBJECTIVES], rel=1e-12)
    outside = np.full((1, search.space.n_genes), 99)
    assert np.isnan(search.strategy.costs(np.vstack([genotypes[:1], outside]))[1]).all()
