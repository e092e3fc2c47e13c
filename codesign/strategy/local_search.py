"""Local search with restarts [White, Nolen and Savani, UAI 2021]: all neighbours of a point, then on to the best one.

A climb begins at the best of `starts` random points. It ends where no neighbour is better, and the next one begins.
What a climb has been told it does not propose again: by default no network that equals one, whatever point it is
written as; by setting no such point, as published, or it forgets and pays again. With several
objectives each climb has a direction of its own: a Chebyshev scalarisation with random weights. Where a batch has more
room than a neighbourhood has points, random points fill it, and the next climb begins at the last of them.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.scalarise import chebyshev, kept_limits, unit_scaled

__all__ = ["PLUGIN", "LocalSearch", "LocalSearchSettings"]

F64 = npt.NDArray[np.float64]
Memory = Literal["networks", "points", "none"]


class LocalSearch:
    """One climb at a time.

    Its state is the centre (1, G), or none between climbs; `pending` neighbours (K, G), of which the last ask handed
    out the first `asked`; `seen` (S, G), what this climb has been told; evaluated neighbours, and evaluated random
    points for the next start, with their objectives.
    """

    def __init__(self, space: Space, *, starts: int = 1, memory: Memory = "networks") -> None:
        self.space, self.starts, self.memory = space, starts, memory
        nothing = np.empty((0, space.n_genes), np.int64)
        self._centre: Genotypes = nothing
        self._pending: Genotypes = nothing
        self._seen: Genotypes = nothing
        self._near: Genotypes = nothing
        self._drawn: Genotypes = nothing
        self._centre_objectives: F64 = np.empty((0, 0))
        self._near_objectives: F64 = np.empty((0, 0))
        self._drawn_objectives: F64 = np.empty((0, 0))
        self._weights: F64 = np.empty(0)
        self._asked = 0

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        if len(self._centre) and not len(self._pending):
            self._step(rng)
        if not len(self._centre) and len(self._drawn) >= self.starts:
            self._begin(rng)
        self._asked = min(n, len(self._pending))
        fresh = self.space.sample(n - self._asked, rng)
        return Proposal.full(np.concatenate([self._pending[: self._asked], fresh]))

    def _begin(self, rng: np.random.Generator) -> None:
        """Start a climb at the best of the random points."""
        self._weights = rng.dirichlet(np.ones(self._drawn_objectives.shape[1]))
        best = int(chebyshev(unit_scaled(self._drawn_objectives), self._weights).argmin())
        self._seen = self._seen[:0]
        self._move(self._drawn[best : best + 1], self._drawn_objectives[best : best + 1], rng)
        self._drawn, self._drawn_objectives = self._drawn[:0], self._drawn_objectives[:0]

    def _step(self, rng: np.random.Generator) -> None:
        """Go to the best neighbour, or end the climb where none is better."""
        fitness = chebyshev(
            unit_scaled(np.concatenate([self._centre_objectives, self._near_objectives])), self._weights
        )
        best = int(fitness.argmin())
        if best == 0:  # of equals the first is the least
            self._centre, self._near = self._centre[:0], self._near[:0]
            self._centre_objectives, self._near_objectives = self._centre_objectives[:0], self._near_objectives[:0]
            return
        self._move(self._near[best - 1 : best], self._near_objectives[best - 1 : best], rng)
        if not len(self._pending):  # everything around it has been seen
            self._step(rng)

    def _move(self, centre: Genotypes, objectives: F64, rng: np.random.Generator) -> None:
        self._centre, self._centre_objectives = centre, objectives
        self._near, self._near_objectives = self._near[:0], objectives[:0]
        around = rng.permutation(self.space.neighbours(centre[0]))
        if self.memory != "none":
            self._seen = np.concatenate([self._seen, self._remembered(centre)])
            seen = np.concatenate([self._seen, self._remembered(around)])
            _, first = np.unique(seen, axis=0, return_index=True)
            around = around[np.sort(first[first >= len(self._seen)]) - len(self._seen)]
        self._pending = around

    def _remembered(self, genotypes: Genotypes) -> Genotypes:
        """What of a point is remembered: itself, or the network that it means."""
        return self.space.canonical(genotypes) if self.memory == "networks" else genotypes

    def tell(self, proposal: Proposal, results: Results) -> None:
        handed, self._pending = self._pending[: self._asked], self._pending[self._asked :]
        self._asked = 0
        self._seen = np.concatenate([self._seen, self._remembered(handed)])
        around = {tuple(row) for row in self.space.canonical(handed).tolist()}
        canonical = self.space.canonical(proposal.genotypes)
        near = np.array([tuple(row) in around for row in canonical.tolist()], np.bool_)
        objectives, told = results.objectives(), kept_limits(results)
        if (told & near).any():
            self._near = np.concatenate([self._near, proposal.genotypes[told & near]])
            self._near_objectives = _joined(self._near_objectives, objectives[told & near])
        if (told & ~near).any():
            self._drawn = np.concatenate([self._drawn, proposal.genotypes[told & ~near]])[-self.starts :]
            self._drawn_objectives = _joined(self._drawn_objectives, objectives[told & ~near])[-self.starts :]

    def state(self) -> State:
        return {name.removeprefix("_"): getattr(self, name) for name in _STATE}

    def restore(self, state: State) -> None:
        for name in _STATE:
            setattr(self, name, state[name.removeprefix("_")])


_STATE = (
    "_centre", "_pending", "_seen", "_near", "_drawn", "_centre_objectives", "_near_objectives", "_drawn_objectives",
    "_weights", "_asked",
)  # fmt: skip


def _joined(older: F64, newer: F64) -> F64:
    return np.concatenate([older, newer]) if len(older) else newer


class LocalSearchSettings(Settings):
    """All neighbours of a point, then on to the best one; a new climb where none is better."""

    starts: int = Field(1, ge=1, le=100_000, description="random points of which the best begins a climb")
    memory: Memory = Field("networks", description="what a climb does not propose again: equal networks, points, none")


def _make(settings: LocalSearchSettings, problem: Problem) -> LocalSearch:
    return LocalSearch(problem.space, starts=settings.starts, memory=settings.memory)


PLUGIN = Plugin(LocalSearchSettings, _make, "climbs to the best neighbour, with restarts where none is better")
