"""NSGA-III [Deb and Jain, IEEE TEVC 18 (2014)]: reference directions in place of crowding, for many objectives.

Survival is pymoo's: fronts in order, and of the last one those that lie along directions which few survivors have.
Directions are those of Das and Dennis, as finely divided as the population is large. Parents are drawn at random among
equally violating pairs. With one objective there is nothing to spread, and this is NSGA-II.

The hyperplane that normalises objectives is carried from generation to generation, and is part of the state.
"""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Space
from codesign.strategy.base import Problem, State
from codesign.strategy.nsga2 import NSGA2, OPERATORS, Operators

__all__ = ["NSGA3", "PLUGIN", "NSGA3Settings", "divisions_for"]

F64 = npt.NDArray[np.float64]

_PARTS = ("ideal_point", "worst_point", "nadir_point", "extreme_points")
"""What pymoo's normalisation remembers."""


class NSGA3(NSGA2):
    """NSGA-II with another survival; `population` is also the most reference directions that there can be."""

    def __init__(
        self, space: Space, *, population: int = 64, crossover: float = 0.9, immigrants: float = 0.2,
        operators: Operators = "space",
    ) -> None:  # fmt: skip
        super().__init__(space, population=population, crossover=crossover, immigrants=immigrants, operators=operators)
        self._plane: dict[str, F64] = {}
        self._survivals = 0

    def _survival(self, problem: Any, population: Any, count: int) -> Any:
        from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
        from pymoo.util.ref_dirs import get_reference_directions

        if problem.n_obj == 1:
            return super()._survival(problem, population, count)
        divisions = divisions_for(problem.n_obj, self.population)
        survival = ReferenceDirectionSurvival(
            get_reference_directions("das-dennis", problem.n_obj, n_partitions=divisions)
        )
        for name, value in self._plane.items():
            setattr(survival.norm, name, value.copy())
        self._survivals += 1
        rng = np.random.default_rng(self._survivals)  # niching draws: a generator of its own each time
        survivors = survival.do(problem, population, n_survive=count, random_state=rng)
        found = {name: getattr(survival.norm, name) for name in _PARTS}
        self._plane = {name: np.asarray(value, np.float64) for name, value in found.items() if value is not None}
        return survivors

    def _tournaments(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The less violating of two pairs drawn at random, the first of equals."""
        pairs = rng.integers(len(self._violation), size=(n, 2))
        winners: npt.NDArray[np.int64] = pairs[np.arange(n), self._violation[pairs].argmin(axis=1)]
        return winners

    def state(self) -> State:
        return {**super().state(), **self._plane, "survivals": self._survivals}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._plane = {name: state[name] for name in _PARTS if name in state}
        self._survivals = int(state["survivals"])


def divisions_for(objectives: int, population: int) -> int:
    """Into how many parts each axis is divided for at most `population` directions [Das and Dennis, 1998].

    >>> divisions_for(3, 92)  # Deb and Jain: 91 directions of 12 parts
    12
    """
    divisions = 1
    while comb(objectives + divisions, divisions + 1) <= population:
        divisions += 1
    return divisions


class NSGA3Settings(Settings):
    """NSGA-III."""

    population: int = Field(64, ge=2, le=100_000, description="evaluated pairs that are kept, and most directions")
    crossover: float = Field(0.9, ge=0, le=1, description="share of children with two parents")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")
    operators: Operators = Field("space", description=OPERATORS)


def _make(settings: NSGA3Settings, problem: Problem) -> NSGA3:
    return NSGA3(problem.space, **settings.model_dump())


PLUGIN = Plugin(NSGA3Settings, _make, "NSGA-III: reference directions in place of crowding, for many objectives")
