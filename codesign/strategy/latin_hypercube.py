"""Latin hypercube sampling [McKay, Beckman and Conover, Technometrics 21 (1979)]: scipy's, over the choices of genes.

In each hypercube every choice of a gene comes up equally often where their number divides that of the points, and
within two of its share in any case. Points that are not valid
leave it, so that the balance is that of the points before.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from hwmodels.errors import SpecError

__all__ = ["PLUGIN", "LatinHypercube", "LatinHypercubeSettings", "hypercube"]

_CUBES = 100  # hypercubes in a row, from which a space counts as having hardly any valid point


class LatinHypercube:
    """Hypercubes of `points` points, or of as many as a batch asks for where it asks for more; learns nothing."""

    def __init__(self, space: Space, *, points: int = 64) -> None:
        self.space, self.points = space, points
        self._left: Genotypes = np.empty((0, space.n_genes), np.int64)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        for _ in range(_CUBES):
            if len(self._left) >= n:
                break
            drawn = hypercube(self.space, max(self.points, n - len(self._left)), rng)
            self._left = np.concatenate([self._left, drawn[self.space.valid(drawn)]])
        else:
            raise SpecError("space", f"{len(self._left)} valid points in {_CUBES} hypercubes", "searchable")
        asked, self._left = self._left[:n], self._left[n:]
        return Proposal.full(asked)

    def tell(self, proposal: Proposal, results: Results) -> None:
        return None

    def state(self) -> State:
        return {"left": self._left}

    def restore(self, state: State) -> None:
        self._left = state["left"]


def hypercube(space: Space, points: int, rng: np.random.Generator) -> Genotypes:
    """`points` points, every choice of a gene within two of its share of them, valid or not, (points, G)."""
    from scipy.stats.qmc import LatinHypercube as Sampler

    unit = Sampler(space.n_genes, rng=rng).random(points)
    drawn: Genotypes = np.minimum((unit * space.cardinalities).astype(np.int64), space.cardinalities - 1)
    return drawn


class LatinHypercubeSettings(Settings):
    """Hypercubes of points, each choice of a gene equally often."""

    points: int = Field(64, ge=1, le=1_000_000, description="of a hypercube; a larger batch is one by itself")


def _make(settings: LatinHypercubeSettings, problem: Problem) -> LatinHypercube:
    return LatinHypercube(problem.space, points=settings.points)


PLUGIN = Plugin(LatinHypercubeSettings, _make, "hypercubes in which every choice of a gene comes up equally often")
