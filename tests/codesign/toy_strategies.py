"""Strategies that use what the shipped ones do not: blobs, cost access, JSON in a state, fidelity, their own choice."""

from __future__ import annotations

import numpy as np

from codesign.strategy.base import Problem, Proposal, Results, Survivors


class InnerTrainer:
    """Trains a linear model of the error, which it keeps as a blob, and proposes cheap pairs that look good to it."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.rounds = problem, 0
        self.weights = np.zeros(problem.space.n_genes)
        self._kept: str | None = None

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        drawn = self.problem.space.sample(2 * n, rng)
        costs = self.problem.costs(drawn)[:, 0]
        score = drawn @ self.weights + np.where(np.isnan(costs), np.inf, costs / np.nanmin(costs, initial=1.0))
        return Proposal.full(drawn[np.argsort(score, kind="stable")[:n]])

    def tell(self, proposal: Proposal, results: Results) -> None:
        known = ~np.isnan(results.error)
        if known.any():
            centred = proposal.genotypes[known] - proposal.genotypes[known].mean(axis=0)
            self.weights = 0.5 * self.weights + centred.T @ results.error[known] / known.sum()
        self.rounds += 1

    def state(self) -> dict[str, object]:
        key = self.problem.blobs.keep(self.weights.tobytes())
        if self._kept not in (None, key):
            self.problem.blobs.drop(self._kept)
        self._kept = key
        return {"weights": key, "rounds": self.rounds, "last": np.array([self.rounds])}

    def restore(self, state) -> None:
        self._kept, self.rounds = state["weights"], state["rounds"]
        self.weights = np.frombuffer(self.problem.blobs.blob(self._kept)).copy()


class Halving:
    """Tries pairs at a third of a training and proposes the best of them again at a whole one; it selects itself."""

    LOW = 1 / 3

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.promising = np.empty((0, problem.space.n_genes), np.int64)
        self.told: list[Results] = []

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        again = self.promising[:n]
        fresh = self.problem.space.sample(n - len(again), rng)
        fidelity = np.concatenate([np.ones(len(again)), np.full(len(fresh), self.LOW)])
        return Proposal(np.concatenate([again, fresh]), fidelity)

    def select(self, survivors: Survivors, trainings: int) -> np.ndarray:
        """The first pairs of the proposal: promoted ones come first in it."""
        cut = self.problem.joint.architecture.n_genes
        order = np.argsort(survivors.source, kind="stable")
        networks = np.unique(survivors.genotypes[order, :cut], axis=0, return_index=True)[1]
        return order[np.sort(networks)[:trainings]]

    def tell(self, proposal: Proposal, results: Results) -> None:
        self.told.append(results)
        low = np.flatnonzero((results.fidelity < 1) & ~np.isnan(results.error))
        self.promising = proposal.genotypes[low[np.argsort(results.error[low], kind="stable")][:5]]

    def state(self) -> dict[str, np.ndarray]:
        return {"promising": self.promising}

    def restore(self, state) -> None:
        self.promising = state["promising"]
