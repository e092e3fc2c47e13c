"""Successive halving [Jamieson and Talwalkar, AISTATS 2016] and Hyperband [Li et al., JMLR 18 (2018)].

A bracket draws points at a low fidelity; the best 1/eta of those that were estimated go on to the next fidelity, until
a few are estimated at 1. Successive halving has equal brackets. Those of Hyperband begin at each fidelity in turn, the
lowest first, with ceil(R / (s + 1) eta^s) points where s fidelities of R follow. What is better is decided by fronts,
within one by the largest of the scaled objectives.

Where a batch has more room than a bracket has points to go on, it is filled by draws for the next one. A point that
goes on and gets no estimate, since FAST pruned it or its training was deferred, leaves the bracket; with
``slow.selection: strategy`` those that go on are trained first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.pareto import non_dominated
from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State, Survivors
from codesign.strategy.scalarise import chebyshev, kept_limits, unit_scaled
from hwmodels.errors import SpecError

__all__ = ["HYPERBAND", "PLUGIN", "Halving", "HalvingSettings", "HyperbandSettings", "best_first", "checked"]

F64 = npt.NDArray[np.float64]
Kind = Literal["equal", "hyperband"]

Levels = Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1, max_length=16)]


class Halving:
    """One bracket at a time.

    Its state is the number of the bracket and of the fidelity that it is at; what was told there; the points that are
    still to go through it, of which the last ask handed out the first `asked`; and what was told for the next bracket.
    """

    def __init__(
        self, space: Space, *, fidelities: Sequence[float], eta: int = 3, width: int = 9, kind: Kind = "equal"
    ) -> None:
        self.space, self.fidelities = space, tuple(fidelities)
        self.eta, self.width, self.kind = eta, width, kind
        nothing = np.empty((0, space.n_genes), np.int64)
        self._bracket = self._level = self._asked = 0
        self._told: Genotypes = nothing
        self._waiting: Genotypes = nothing
        self._ahead: Genotypes = nothing
        self._told_objectives: F64 = np.empty((0, 0))
        self._ahead_objectives: F64 = np.empty((0, 0))

    def _first_level(self, bracket: int) -> int:
        """The fidelity that a bracket begins at."""
        return 0 if self.kind == "equal" else bracket % len(self.fidelities)

    def draws_of(self, bracket: int) -> int:
        """Points that a bracket begins with."""
        if self.kind == "equal":
            return self.width
        levels = len(self.fidelities)
        after = levels - 1 - self._first_level(bracket)
        wide: int = levels * self.eta**after
        return -(-wide // (after + 1))

    @property
    def _is_drawing(self) -> bool:
        """Whether the bracket still takes in points, rather than letting some go on."""
        return self._level == self._first_level(self._bracket)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        bracket = self._bracket if self._is_drawing else self._bracket + 1
        self._asked = 0 if self._is_drawing else min(n, len(self._waiting))
        fresh = self._draw(n - self._asked, rng)
        fidelity = np.full(n, self.fidelities[self._first_level(bracket)])
        fidelity[: self._asked] = self.fidelities[self._level]
        return Proposal(np.concatenate([self._waiting[: self._asked], fresh]), fidelity)

    def _draw(self, n: int, rng: np.random.Generator) -> Genotypes:
        """Points that a bracket begins with."""
        return self.space.sample(n, rng)

    def select(self, survivors: Survivors, trainings: int) -> npt.NDArray[np.int64]:
        """Those that go on first, then those drawn, in the order proposed."""
        chosen: npt.NDArray[np.int64] = np.argsort(survivors.source, kind="stable")[:trainings]
        return chosen

    def tell(self, proposal: Proposal, results: Results) -> None:
        handed, self._waiting = self._waiting[: self._asked], self._waiting[self._asked :]
        going_on = {tuple(row) for row in self.space.canonical(handed).tolist()} if self._asked else set()
        self._asked = 0
        canonical = self.space.canonical(proposal.genotypes).tolist()
        goes_on = np.array([tuple(row) in going_on for row in canonical], np.bool_)
        goes_on &= proposal.fidelity == self.fidelities[self._level]
        objectives, known = results.objectives(), kept_limits(results)
        drawing = self._bracket if self._is_drawing else self._bracket + 1
        drawn = known & ~goes_on & (proposal.fidelity == self.fidelities[self._first_level(drawing)])
        here = known & (drawn if self._is_drawing else goes_on)
        self._told, self._told_objectives = _joined(self._told, self._told_objectives, proposal, objectives, here)
        if not self._is_drawing:
            self._ahead, self._ahead_objectives = _joined(
                self._ahead, self._ahead_objectives, proposal, objectives, drawn
            )
        while self._is_complete():
            self._go_on()

    def _is_complete(self) -> bool:
        if self._is_drawing:
            return len(self._told) >= self.draws_of(self._bracket)
        return not len(self._waiting)

    def _go_on(self) -> None:
        """Let the best go on to the next fidelity, or begin the next bracket with what was drawn for it."""
        best = best_first(self._told_objectives)[: len(self._told) // self.eta]
        if self._level < len(self.fidelities) - 1 and len(best):
            self._level += 1
            self._waiting = self._told[best]
            self._told, self._told_objectives = self._told[:0], self._told_objectives[:0]
            return
        self._bracket += 1
        self._level = self._first_level(self._bracket)
        self._told, self._told_objectives = self._ahead, self._ahead_objectives
        self._ahead, self._ahead_objectives = self._ahead[:0], self._ahead_objectives[:0]

    def state(self) -> State:
        return {name.removeprefix("_"): getattr(self, name) for name in _STATE}

    def restore(self, state: State) -> None:
        for name in _STATE:
            setattr(self, name, state[name.removeprefix("_")])


_STATE = ("_bracket", "_level", "_asked", "_told", "_waiting", "_ahead", "_told_objectives", "_ahead_objectives")


def _joined(
    genotypes: Genotypes, objectives: F64, proposal: Proposal, found: F64, chosen: npt.NDArray[np.bool_]
) -> tuple[Genotypes, F64]:
    """What was told before with the chosen rows behind it."""
    if not chosen.any():
        return genotypes, objectives
    older = objectives if len(objectives) else found[:0]
    return np.concatenate([genotypes, proposal.genotypes[chosen]]), np.concatenate([older, found[chosen]])


def best_first(objectives: F64) -> npt.NDArray[np.int64]:
    """Positions front by front, within one by the largest scaled objective; the first of equals first.

    >>> best_first(np.array([[3.0, 3.0], [1.0, 2.0], [2.0, 0.0]])).tolist()
    [2, 1, 0]
    """
    fronts = np.full(len(objectives), -1)
    while (left := np.flatnonzero(fronts < 0)).size:
        fronts[left[non_dominated(objectives[left])]] = fronts.max() + 1
    worst = chebyshev(unit_scaled(objectives), np.ones(objectives.shape[1])) if len(objectives) else fronts
    order: npt.NDArray[np.int64] = np.lexsort((worst, fronts))
    return order


def checked(fidelities: Sequence[float]) -> tuple[float, ...]:
    """Fidelities in rising order up to 1.

    Raises
    ------
    SpecError : another order or end.
    """
    if list(fidelities) != sorted(set(fidelities)) or fidelities[-1] != 1:
        raise SpecError("strategy.fidelities", list(fidelities), "a rising list that ends with 1")
    return tuple(fidelities)


class HyperbandSettings(Settings):
    """Hyperband."""

    fidelities: Levels = Field([1 / 3, 1.0], description="of the run's, rising to 1; those of a table where one judges")
    eta: int = Field(3, ge=2, le=100, description="one of so many goes on")


class HalvingSettings(HyperbandSettings):
    """Successive halving."""

    width: int = Field(9, ge=2, le=100_000, description="points that a bracket begins with")


def _make(settings: HalvingSettings, problem: Problem) -> Halving:
    return Halving(problem.space, fidelities=checked(settings.fidelities), eta=settings.eta, width=settings.width)


def _make_hyperband(settings: HyperbandSettings, problem: Problem) -> Halving:
    return Halving(problem.space, fidelities=checked(settings.fidelities), eta=settings.eta, kind="hyperband")


PLUGIN = Plugin(HalvingSettings, _make, "many points at a low fidelity, the best of them at the next, and so on")
HYPERBAND = Plugin(HyperbandSettings, _make_hyperband, "successive halving from each fidelity in turn")
