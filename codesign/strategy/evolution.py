"""Regularised evolution [Real et al., AAAI 2019]: tournaments over an ageing population, mutation only.

With several objectives the fitness of a tournament is a Chebyshev scalarisation with weights drawn for that
tournament, so that different tournaments pull towards different parts of the front; with one objective this is the
published algorithm. The oldest leave first, however good; by setting the worst do, or either in turn.

As published: ``population: 100, sample: 25, immigrants: 0, mutation: one, fill_first: true``. The mutation of a space
is its own: graphs with moves add and remove layers and edges, others change genes.
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

__all__ = ["PLUGIN", "EvolutionSettings", "RegularisedEvolution"]

Removal = Literal["age", "worst", "both"]
Mutation = Literal["space", "one"]


class RegularisedEvolution:
    """Ageing population of `population` evaluated pairs, tournaments of `sample`.

    immigrants : share of each proposal drawn from the whole space, so that FAST always sees fresh pairs.
    removal : who leaves: the oldest, the worst by equal weights, or the oldest and the worst in turn.
    mutation : the space's own moves, or one gene. fill_first : draw at random until the population is full.
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int = 100,
        sample: int = 10,
        immigrants: float = 0.2,
        removal: Removal = "age",
        mutation: Mutation = "space",
        fill_first: bool = False,
    ) -> None:
        self.space, self.population, self.sample, self.immigrants = space, population, sample, immigrants
        self.removal, self.fill_first = removal, fill_first
        self._rate = 0.0 if mutation == "one" else None  # no gene by chance: then the forced one alone
        self._removed = 0
        self._genotypes: Genotypes = np.empty((0, space.n_genes), np.int64)
        self._objectives: npt.NDArray[np.float64] = np.empty((0, 0))

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        alive = len(self._genotypes)
        filling = alive == 0 or (self.fill_first and alive < self.population)
        n_random = n if filling else round(self.immigrants * n)
        fresh = self.space.sample(n_random, rng)
        if n_random == n:
            return Proposal.full(fresh)
        children = n - n_random
        scaled = unit_scaled(self._objectives)
        entrants = rng.integers(alive, size=(children, min(self.sample, alive)))
        weights = rng.dirichlet(np.ones(scaled.shape[1]), size=children)
        # fitness = max over objectives of weight * scaled objective, smaller is better
        fitness = chebyshev(scaled[entrants], weights[:, None, :])
        winners = entrants[np.arange(children), fitness.argmin(axis=1)]
        parents = self._genotypes[winners]
        mutants = self.space.mutate(parents, rng, rate=self._rate)
        return Proposal(
            np.concatenate([mutants, fresh]), np.ones(n), np.concatenate([parents, np.full_like(fresh, -1)])
        )

    def tell(self, proposal: Proposal, results: Results) -> None:
        objectives, told = results.objectives(), kept_limits(results)
        if not told.any():
            return
        older = self._objectives if len(self._objectives) else np.empty((0, objectives.shape[1]))
        genotypes = np.concatenate([self._genotypes, proposal.genotypes[told]])
        kept = self._staying(np.concatenate([older, objectives[told]]))
        self._genotypes = genotypes[kept]
        self._objectives = np.concatenate([older, objectives[told]])[kept]

    def _staying(self, objectives: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
        """Positions of those who stay, the oldest first, of all in order of age."""
        staying = np.arange(len(objectives))
        if self.removal == "age":
            return staying[-self.population :]
        while len(staying) > self.population:
            self._removed += 1
            if self.removal == "both" and self._removed % 2:
                staying = staying[1:]
                continue
            scaled = unit_scaled(objectives[staying])
            staying = np.delete(staying, chebyshev(scaled, np.ones(scaled.shape[1])).argmax())
        return staying

    def state(self) -> State:
        kept = {"genotypes": self._genotypes, "objectives": self._objectives}
        return {**kept, "removed": self._removed} if self.removal == "both" else kept

    def restore(self, state: State) -> None:
        self._genotypes, self._objectives = state["genotypes"], state["objectives"]
        self._removed = int(state.get("removed", 0))


class EvolutionSettings(Settings):
    """Regularised evolution."""

    population: int = Field(64, ge=2, le=100_000, description="evaluated pairs that are kept, the youngest")
    sample: int = Field(10, ge=1, le=100_000, description="size of a tournament")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")
    removal: Removal = Field("age", description="who leaves: the oldest, the worst, or both in turn")
    mutation: Mutation = Field("space", description="the moves of the space, or one gene")
    fill_first: bool = Field(False, description="draw at random until the population is full, as published")


def _make(settings: EvolutionSettings, problem: Problem) -> RegularisedEvolution:
    return RegularisedEvolution(problem.space, **settings.model_dump())


PLUGIN = Plugin(EvolutionSettings, _make, "regularised evolution: tournaments over an ageing population, mutation only")
