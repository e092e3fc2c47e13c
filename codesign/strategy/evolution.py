"""Regularised evolution [Real et al., AAAI 2019]: tournaments over an ageing population, mutation only.

With several objectives the fitness of a tournament is a Chebyshev scalarisation with weights drawn for that
tournament, so that different tournaments pull towards different parts of the front; with one objective this is the
published algorithm. The oldest leave first, however good.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State

__all__ = ["PLUGIN", "EvolutionSettings", "RegularisedEvolution"]


class RegularisedEvolution:
    """Ageing population of `population` evaluated pairs, tournaments of `sample`.

    immigrants : share of each proposal drawn from the whole space, so that FAST always sees fresh pairs.
    """

    def __init__(self, space: Space, *, population: int = 100, sample: int = 10, immigrants: float = 0.2) -> None:
        self.space, self.population, self.sample, self.immigrants = space, population, sample, immigrants
        self._genotypes: Genotypes = np.empty((0, space.n_genes), np.int64)
        self._objectives: npt.NDArray[np.float64] = np.empty((0, 0))

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        alive = len(self._genotypes)
        n_random = n if alive == 0 else round(self.immigrants * n)
        fresh = self.space.sample(n_random, rng)
        if n_random == n:
            return Proposal.full(fresh)
        children = n - n_random
        low, high = self._objectives.min(axis=0), self._objectives.max(axis=0)
        scaled = (self._objectives - low) / np.where(high > low, high - low, 1.0)
        entrants = rng.integers(alive, size=(children, min(self.sample, alive)))
        weights = rng.dirichlet(np.ones(scaled.shape[1]), size=children)
        # fitness = max over objectives of weight * scaled objective, smaller is better
        fitness = (weights[:, None, :] * scaled[entrants]).max(axis=2)
        winners = entrants[np.arange(children), fitness.argmin(axis=1)]
        parents = self._genotypes[winners]
        mutants = self.space.mutate(parents, rng)
        return Proposal(
            np.concatenate([mutants, fresh]), np.ones(n), np.concatenate([parents, np.full_like(fresh, -1)])
        )

    def tell(self, proposal: Proposal, results: Results) -> None:
        objectives = results.objectives()
        told = ~np.isnan(objectives).any(axis=1) & (results.violation.sum(axis=1) == 0)
        if not told.any():
            return
        older = self._objectives if len(self._objectives) else np.empty((0, objectives.shape[1]))
        genotypes = np.concatenate([self._genotypes, proposal.genotypes[told]])
        self._genotypes = genotypes[-self.population :]
        self._objectives = np.concatenate([older, objectives[told]])[-self.population :]

    def state(self) -> State:
        return {"genotypes": self._genotypes, "objectives": self._objectives}

    def restore(self, state: State) -> None:
        self._genotypes, self._objectives = state["genotypes"], state["objectives"]


class EvolutionSettings(Settings):
    """Regularised evolution."""

    population: int = Field(64, ge=2, le=100_000, description="evaluated pairs that are kept, the youngest")
    sample: int = Field(10, ge=1, le=100_000, description="size of a tournament")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")


def _make(settings: EvolutionSettings, problem: Problem) -> RegularisedEvolution:
    return RegularisedEvolution(
        problem.space, population=settings.population, sample=settings.sample, immigrants=settings.immigrants
    )


PLUGIN = Plugin(EvolutionSettings, _make, "regularised evolution: tournaments over an ageing population, mutation only")
