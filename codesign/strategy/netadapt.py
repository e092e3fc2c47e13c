"""NetAdapt: a network made cheaper step by step, each time by the change that costs the least accuracy.

[Yang et al., ECCV 2018]; in MobileNetV3 the change of the best ratio of accuracy to latency [Howard et al., ICCV 2019,
section 4.2]. From a centre, every decision has one candidate: of its choices that save at least `step` of the first
cost, the one that saves least. All candidates are proposed; of those that were estimated the best becomes the centre,
and the next step begins. A step that has no candidate, because nothing saves so much, ends the way down: the next one
begins at the dearest of some random pairs.

Hardware knobs that are searched are decisions like others. Here candidates are trained as the run trains, in place of
the short fine-tuning of the paper, which `estimator: inheriting` does.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.scalarise import kept_limits
from hwmodels.errors import SpecError

__all__ = ["PLUGIN", "NetAdapt", "NetAdaptSettings"]

F64 = npt.NDArray[np.float64]
Best = Literal["accuracy", "ratio"]

_STARTS = 64


class NetAdapt:
    """One way down at a time.

    Its state is the centre (1, G), or none between ways; the candidates (K, G), the error of the centre, and what of
    the candidates was told: errors (K,), NaN where nothing.
    """

    def __init__(self, problem: Problem, *, step: float = 0.05, best: Best = "accuracy") -> None:
        if problem.space is not problem.joint:
            raise SpecError("strategy: netadapt", "networks alone", "for pairs: hardware.search: joint")
        self.space, self.step, self.best, self._costs_of = problem.space, step, best, problem.costs
        nothing = np.empty((0, self.space.n_genes), np.int64)
        self._centre: Genotypes = nothing
        self._candidates: Genotypes = nothing
        self._errors: F64 = np.empty(0)
        self._centre_error = 1.0

    def _cost(self, pairs: Genotypes) -> F64:
        """The first cost (P,); infinite where a pair does not run."""
        costs = self._costs_of(pairs)[:, 0] if len(pairs) else np.empty(0)
        return np.where(np.isfinite(costs), costs, np.inf)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        if not len(self._centre):
            self._begin(rng)
        fresh = self.space.sample(max(n - len(self._candidates), 0), rng)
        pairs = np.concatenate([rng.permutation(self._candidates)[:n], fresh])
        centre = self._centre[0] if len(self._centre) else np.full(self.space.n_genes, -1)
        parents = np.repeat(centre[None], len(pairs), axis=0)
        parents[len(pairs) - len(fresh) :] = -1
        return Proposal(pairs, np.ones(len(pairs)), parents)

    def _begin(self, rng: np.random.Generator) -> None:
        """A new way down, from the dearest of some random pairs."""
        drawn = self.space.sample(_STARTS, rng)
        costs = self._cost(drawn)
        runs = np.flatnonzero(np.isfinite(costs))
        if runs.size:
            self._go_to(drawn[runs[costs[runs].argmax()]][None], 1.0)

    def _go_to(self, centre: Genotypes, error: float) -> None:
        """Candidates of a centre; none ends the way."""
        around = self.space.neighbours(centre[0])
        saved = 1.0 - self._cost(around) / self._cost(centre)[0]
        moved = (around != centre).argmax(axis=1)
        chosen = []
        for gene in np.unique(moved):
            enough = np.flatnonzero((moved == gene) & (saved >= self.step))
            if enough.size:
                chosen.append(int(enough[saved[enough].argmin()]))
        self._candidates = around[chosen]
        self._errors = np.full(len(chosen), np.nan)
        self._centre, self._centre_error = (centre, error) if chosen else (centre[:0], 1.0)

    def tell(self, proposal: Proposal, results: Results) -> None:
        told = np.flatnonzero(kept_limits(results) & (results.fidelity == 1.0))
        self._errors = self._errors.copy()  # an earlier state may hold them
        candidates = {tuple(row): place for place, row in enumerate(self._candidates.tolist())}
        for place in told:
            candidate = candidates.get(tuple(proposal.genotypes[place].tolist()))
            if candidate is not None:
                self._errors[candidate] = results.error[place]
        known = np.flatnonzero(~np.isnan(self._errors))
        if not known.size:
            return
        worth = self._errors[known]
        if self.best == "ratio":
            saved = 1.0 - self._cost(self._candidates[known]) / self._cost(self._centre)[0]
            worth = (self._errors[known] - self._centre_error) / saved
        best = known[int(worth.argmin())]
        self._go_to(self._candidates[best][None], float(self._errors[best]))

    def state(self) -> State:
        return {
            "centre": self._centre,
            "candidates": self._candidates,
            "errors": self._errors,
            "centre_error": self._centre_error,
        }

    def restore(self, state: State) -> None:
        self._centre, self._candidates = state["centre"], state["candidates"]
        self._errors, self._centre_error = state["errors"], float(state["centre_error"])


class NetAdaptSettings(Settings):
    """Cheaper step by step, by the change that costs the least accuracy."""

    step: float = Field(0.05, gt=0, lt=1, description="share of the first cost that a change saves at least")
    best: Best = Field("accuracy", description="the change that is taken: of least error, or least error a saving")


def _make(settings: NetAdaptSettings, problem: Problem) -> NetAdapt:
    return NetAdapt(problem, step=settings.step, best=settings.best)


PLUGIN = Plugin(NetAdaptSettings, _make, "cheaper step by step, by the change that costs the least accuracy")
