"""The shipped suite of strategies, on every registered one, and on ones that must fail it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from codesign.registry import STRATEGIES
from codesign.strategy.base import Problem, Proposal, Results, Strategy
from codesign.strategy.evolution import RegularisedEvolution
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.random import RandomSearch
from codesign.testing.strategy import StrategySuite, neuron_problem, toy_problem, trained_problem
from tests.codesign.strategy.trained import NEURAL, TRAINED


class TestRandom(StrategySuite):
    def strategy(self, problem: Problem) -> Strategy:
        return RandomSearch(problem.space)


class TestEvolution(StrategySuite):
    def strategy(self, problem: Problem) -> Strategy:
        return RegularisedEvolution(problem.space, population=20, sample=4)


class TestNSGA2(StrategySuite):
    def strategy(self, problem: Problem) -> Strategy:
        return NSGA2(problem.space, population=16)


@pytest.mark.parametrize("name", sorted(set(STRATEGIES.names()) - TRAINED - NEURAL))
class TestRegistered(StrategySuite):
    """With the defaults of a run file."""

    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def strategy(self, problem: Problem) -> Strategy:
        return STRATEGIES.parse(self.name, "strategy").make(problem)


@pytest.mark.parametrize("name", sorted(TRAINED))
class TestTrained(StrategySuite):
    """With the defaults of a run file, but for the epochs; on cells with images."""

    @pytest.fixture
    def problem(self) -> Problem:
        return trained_problem()

    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.section = {"name": name, "epochs": 4, "epochs_a_batch": 1, **({"steps": 2} if name == "enas" else {})}

    def strategy(self, problem: Problem) -> Strategy:
        return STRATEGIES.parse(self.section, "strategy").make(problem)


@pytest.mark.parametrize(
    "settings",
    [{}, {"population": 9, "fitness": "error", "add_neuron": 0.5, "start": "one", "threshold": 1.0, "stagnation": 1}],
    ids=["defaults", "growing"],
)
class TestNeurons(StrategySuite):
    """On networks that bring their weights."""

    @pytest.fixture
    def problem(self) -> Problem:
        return neuron_problem()

    @pytest.fixture(autouse=True)
    def _set(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def strategy(self, problem: Problem) -> Strategy:
        return STRATEGIES.parse({"name": "neat", **self.settings}, "strategy").make(problem)


VARIANTS: tuple[dict[str, Any], ...] = (
    {"name": "evolution", "population": 6, "removal": "both", "mutation": "one", "fill_first": True},
    {"name": "local_search", "memory": "none", "starts": 3},
    {"name": "nsga2", "operators": "ordered"},
    {"name": "nsga3", "operators": "ordered"},
    {"name": "moga", "population": 9, "weights": {"cost": 3}, "preferences": {"cost": "more"}},
    {"name": "nsga3", "population": 7, "immigrants": 0.0},
    {"name": "hyperband", "fidelities": [0.1, 0.3, 1.0], "eta": 2},
    {"name": "bohb", "fidelities": [1.0]},
    {"name": "reinforce", "reward": "hard", "targets": {"cost": 5}, "hidden": 4},
    {"name": "reinforce", "hidden": 4, "agents": 3},
    {"name": "reinforce", "hidden": 4, "agents": 3, "learning": "asynchronous"},
    {"name": "fnas", "targets": {"cost": 5}, "hidden": 4},
    {"name": "surrogate", "model": "gaussian_process", "initial": 5, "candidates": 30},
    {"name": "bayesian", "initial": 4, "candidates": 20, "most": 12},
    {"name": "co_exploration", "beta": 1.0, "steps": 1},
    {"name": "netadapt", "step": 0.3, "best": "ratio"},
    {"name": "hardcore", "most": 10},
    {"name": "hybrid", "population": 6, "elites": 0.0, "initial": 4, "most": 10, "refined": 1.0},
    {"name": "hybrid", "multi_objective": False, "initial": 4, "tournament": 1, "crossover": 1.0},
)


@pytest.mark.parametrize("section", VARIANTS, ids=lambda section: str(section["name"]))
class TestVariants(StrategySuite):
    """With settings that lead elsewhere than the defaults."""

    @pytest.fixture(autouse=True)
    def _set(self, section: dict[str, Any]) -> None:
        self.section = section

    def strategy(self, problem: Problem) -> Strategy:
        return STRATEGIES.parse(self.section, "strategy").make(problem)


class Forgetful(RandomSearch):
    """Counts its batches and does not keep the count in its state."""

    batches = 0

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        self.batches += 1
        return Proposal.full(self.space.sample(n + self.batches, rng)[self.batches :])


class Careless(RandomSearch):
    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal.full(np.zeros((n, self.space.n_genes), np.int64))


class Believing(RandomSearch):
    """Takes every pair that was told for an estimate."""

    objectives = np.empty((0, 2))

    def tell(self, proposal: Proposal, results: Results) -> None:
        self.objectives = np.column_stack([results.error, results.costs])

    def state(self) -> dict[str, np.ndarray]:
        return {"objectives": self.objectives}


@pytest.mark.parametrize(
    ("kind", "test", "arguments"),
    [
        (Forgetful, "a_restored_strategy_goes_on_as_if_never_stopped", (3,)),
        (Careless, "proposals_are_valid_points", (7,)),
        (Believing, "costs_without_an_error_are_no_estimate", ()),
    ],
)
def test_the_suite_sees_what_is_wrong(kind: type[RandomSearch], test: str, arguments: tuple[int, ...]) -> None:
    class Suite(StrategySuite):
        def strategy(self, problem: Problem) -> Strategy:
            return kind(problem.space)

    with pytest.raises(AssertionError):
        getattr(Suite(), f"test_{test}")(toy_problem(), *arguments)
