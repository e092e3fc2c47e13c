"""Weighted NSGA-II as in MoGA [Chu, Zhang and Xu, ICASSP 2020]: objectives that count differently or are wanted large.

Weights act on the crowding distance, the sum of weight times normalised gap over objectives, so that the front is kept
dense where it is told apart by what counts most; equal weights give NSGA-II. A preference turns an objective round, as
MoGA wants many parameters at a latency, though a cost is minimised elsewhere. It changes what this strategy breeds
from, not the front of the run, whose objectives keep their own direction. That the weights act there is recalled of the
paper, not read in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Space
from codesign.strategy.base import Problem
from codesign.strategy.nsga2 import NSGA2
from hwmodels.errors import SpecError

__all__ = ["MOGA", "PLUGIN", "MOGASettings"]

F64 = npt.NDArray[np.float64]

Preference = Literal["less", "more"]


class MOGA(NSGA2):
    """NSGA-II with `weights` (O,) in its crowding distance and `signs` (O,), -1 where an objective is wanted large."""

    def __init__(
        self,
        space: Space,
        *,
        weights: Sequence[float],
        signs: Sequence[float],
        population: int = 64,
        crossover: float = 0.9,
        immigrants: float = 0.2,
    ) -> None:
        super().__init__(space, population=population, crossover=crossover, immigrants=immigrants)
        self._weights: F64 = np.array(weights, np.float64) / np.sum(weights)
        self._signs: F64 = np.array(signs, np.float64)

    def _compared(self, objectives: F64) -> F64:
        return objectives * self._signs

    def _distances(self, front: F64, **_: Any) -> F64:
        span = np.ptp(front, axis=0)
        distances = np.zeros(len(front))
        for column, width, weight in zip(front.T, span, self._weights, strict=True):
            order = np.argsort(column, kind="stable")
            ordered = column[order]
            distances[order[[0, -1]]] += np.inf if width > 0 and weight > 0 else 0.0
            if width > 0:
                distances[order[1:-1]] += weight * (ordered[2:] - ordered[:-2]) / width
        return distances


class MOGASettings(Settings):
    """Weighted NSGA-II."""

    population: int = Field(64, ge=2, le=100_000, description="evaluated pairs that are kept, by rank and crowding")
    crossover: float = Field(0.9, ge=0, le=1, description="share of children with two parents")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")
    weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        {}, description="by objective, error among them; 1 where none is given"
    )
    preferences: dict[str, Preference] = Field(
        {}, description="objectives that are wanted large: more; less where none is given"
    )


def _make(settings: MOGASettings, problem: Problem) -> MOGA:
    """The strategy for the objectives of the run.

    Raises
    ------
    SpecError : a weight or preference of something that is no objective, or no weight above 0.
    """
    names = ("error", *problem.objectives)
    given: Mapping[str, Mapping[str, Any]] = {"weights": settings.weights, "preferences": settings.preferences}
    for key, values in given.items():
        for name in values:
            if name not in names:
                raise SpecError.unknown(f"strategy.{key}", name, names)
    weights = [settings.weights.get(name, 1.0) for name in names]
    if not any(weights):
        raise SpecError("strategy.weights", settings.weights, "a weight above 0 for at least one objective")
    signs = [-1.0 if settings.preferences.get(name) == "more" else 1.0 for name in names]
    return MOGA(
        problem.space, weights=weights, signs=signs, population=settings.population, crossover=settings.crossover,
        immigrants=settings.immigrants,
    )  # fmt: skip


PLUGIN = Plugin(MOGASettings, _make, "NSGA-II with weights and preferences for objectives, as MoGA")
