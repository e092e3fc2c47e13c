"""BOHB [Falkner, Klein and Hutter, ICML 2018]: Hyperband that draws the points of a bracket from a model.

The model belongs to the highest fidelity at which enough is known: a kernel density of the best `top` share and one of
the others. Points are drawn from the former, and the one with the largest ratio of both is proposed; a share is drawn
at random. The kernel of a gene is that of Aitchison and Aitken for choices, 1 - h for the same one and h / (c - 1) for
another.

Not modelled: a bandwidth h fitted to each gene, here it is one number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.halving import Halving, HyperbandSettings, best_first, checked
from codesign.strategy.scalarise import kept_limits

__all__ = ["BOHB", "PLUGIN", "BOHBSettings", "density"]

F64 = npt.NDArray[np.float64]

_BANDWIDTH = 0.2  # ASSUMED, plausible .05 to .5; fitted by a rule of thumb in the paper
_MOST = 1000  # pairs that are remembered, the youngest


class BOHB(Halving):
    """Hyperband with `_seen` pairs, their objectives and fidelities as what the model is made of."""

    def __init__(
        self,
        space: Space,
        *,
        fidelities: Sequence[float],
        eta: int = 3,
        top: float = 0.15,
        candidates: int = 64,
        random_share: float = 1 / 3,
    ) -> None:
        super().__init__(space, fidelities=fidelities, eta=eta, kind="hyperband")
        self.top, self.candidates, self.random_share = top, candidates, random_share
        self._seen: Genotypes = np.empty((0, space.n_genes), np.int64)
        self._seen_objectives: F64 = np.empty((0, 0))
        self._seen_fidelity: F64 = np.empty(0)

    def _draw(self, n: int, rng: np.random.Generator) -> Genotypes:
        points = self.space.sample(n, rng)
        by_model = np.flatnonzero(rng.random(n) >= self.random_share)[: self.candidates]
        known = self._modelled()
        if len(known) and len(by_model):
            ordered = self._seen[known][best_first(self._seen_objectives[known])]
            split = max(self.space.n_genes + 1, int(self.top * len(ordered)))
            points[by_model] = self._likely(ordered[:split], ordered[split:], len(by_model), rng)
        return points

    def _modelled(self) -> npt.NDArray[np.int64]:
        """The pairs of the highest fidelity at which as many are known as make two densities; none where none has."""
        least = 2 * (self.space.n_genes + 1)
        for fidelity in reversed(self.fidelities):
            known = np.flatnonzero(self._seen_fidelity == fidelity)
            if len(known) >= least:
                return known
        return np.empty(0, np.int64)

    def _likely(self, good: Genotypes, bad: Genotypes, n: int, rng: np.random.Generator) -> Genotypes:
        """`n` points, each the one of `candidates` draws that is most likelier good than bad."""
        size = (n * self.candidates, self.space.n_genes)
        drawn = good[rng.integers(len(good), size=size[0])]
        shift = rng.integers(1, np.maximum(self.space.cardinalities, 2), size=size)
        moved = (rng.random(size) < _BANDWIDTH) & (self.space.cardinalities > 1)
        drawn = np.where(moved, (drawn + shift) % self.space.cardinalities, drawn)
        ratio = density(drawn, good, self.space.cardinalities) / density(drawn, bad, self.space.cardinalities)
        ratio = np.where(self.space.valid(drawn), ratio, -1.0).reshape(n, self.candidates)
        best = ratio.argmax(axis=1)
        points = drawn.reshape(n, self.candidates, -1)[np.arange(n), best]
        return np.where(ratio[np.arange(n), best][:, None] < 0, self.space.sample(n, rng), points)

    def tell(self, proposal: Proposal, results: Results) -> None:
        known = kept_limits(results)
        if known.any():
            found = results.objectives()[known]
            older = self._seen_objectives if len(self._seen_objectives) else found[:0]
            self._seen = np.concatenate([self._seen, proposal.genotypes[known]])[-_MOST:]
            self._seen_objectives = np.concatenate([older, found])[-_MOST:]
            self._seen_fidelity = np.concatenate([self._seen_fidelity, proposal.fidelity[known]])[-_MOST:]
        super().tell(proposal, results)

    def state(self) -> State:
        seen = {"seen": self._seen, "seen_objectives": self._seen_objectives, "seen_fidelity": self._seen_fidelity}
        return {**super().state(), **seen}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._seen, self._seen_objectives = state["seen"], state["seen_objectives"]
        self._seen_fidelity = state["seen_fidelity"]


def density(points: Genotypes, centres: Genotypes, cardinalities: npt.NDArray[np.int64]) -> F64:
    """Mean over centres of the product over genes of the kernel, (P,); it adds up to 1 over all points."""
    same, other = np.log1p(-_BANDWIDTH), np.log(_BANDWIDTH / np.maximum(cardinalities - 1, 1))
    found = np.empty(len(points))
    for rows in np.array_split(np.arange(len(points)), -(-len(points) * len(centres) // 200_000) or 1):
        differs = points[rows][:, None, :] != centres[None, :, :]
        logs = np.where(differs, other, np.where(cardinalities > 1, same, 0.0)).sum(axis=2)
        found[rows] = np.exp(logs).mean(axis=1)
    return found


class BOHBSettings(HyperbandSettings):
    """Hyperband with a model of what is good."""

    top: float = Field(0.15, gt=0, lt=1, description="share of the known pairs that are good")
    candidates: int = Field(64, ge=1, le=10_000, description="drawn for a point, and most points drawn from the model")
    random_share: float = Field(1 / 3, ge=0, le=1, description="of points that are drawn without the model")


def _make(settings: BOHBSettings, problem: Problem) -> BOHB:
    return BOHB(
        problem.space, fidelities=checked(settings.fidelities), eta=settings.eta, top=settings.top,
        candidates=settings.candidates, random_share=settings.random_share,
    )  # fmt: skip


PLUGIN = Plugin(BOHBSettings, _make, "Hyperband that draws from densities of good and bad points")
