"""What a search optimises and what it must keep: metrics with their direction.

Everything inside minimises. A metric of which more is better is negated where it becomes an objective, and its limit
is a least value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel

__all__ = ["Constraints", "Limit", "Objective", "limits_of", "objectives_of", "positive"]

F64 = npt.NDArray[np.float64]


class Objective(NamedTuple):
    """A metric to be optimised; `more` where larger values are better."""

    metric: str
    more: bool = False

    def minimised(self, values: F64) -> F64:
        """Values (P,) as they are minimised."""
        return -values if self.more else values


def positive(goals: Sequence[Objective], costs: F64) -> F64:
    """Minimised costs (P, K) as numbers above zero in the same order: what is maximised by its reciprocal.

    >>> positive([Objective("latency_s"), Objective("throughput_items_per_s", more=True)], np.array([[2.0, -4.0]]))
    array([[2.  , 0.25]])
    """
    columns = [-1.0 / column if goal.more else column for goal, column in zip(goals, costs.T, strict=True)]
    return np.stack(columns, axis=1) if columns else costs


class Limit(NamedTuple):
    """A bound that a metric must keep: a largest value, or with `least` a smallest one; `bound` > 0.

    >>> Limit("latency_s", 0.02).excess(np.array([0.01, 0.03])).round(3).tolist()
    [-0.5, 0.5]
    >>> Limit("throughput_items_per_s", 30.0, least=True).excess(np.array([60.0, 15.0])).tolist()
    [-1.0, 0.5]
    """

    metric: str
    bound: float
    least: bool = False

    @property
    def symbol(self) -> str:
        return ">=" if self.least else "<="

    def __str__(self) -> str:
        return f"{self.metric} {self.symbol} {self.bound:g}"

    def excess(self, values: F64) -> F64:
        """By how much values (P,) break the bound, relative to it; <= 0 where it is kept.

        largest: value / bound - 1; least: 1 - value / bound
        """
        with np.errstate(over="ignore"):  # beyond every number is beyond the bound
            over: F64 = values / self.bound - 1.0
        return -over if self.least else over

    def tighter(self, other: Limit) -> Limit:
        """The one of two limits of the same metric and direction that allows less."""
        bound = max(self.bound, other.bound) if self.least else min(self.bound, other.bound)
        return self._replace(bound=bound)

    def keeps(self, values: F64) -> npt.NDArray[np.bool_]:
        """Which values (P,) keep the bound, to the last bit."""
        kept: npt.NDArray[np.bool_] = values >= self.bound if self.least else values <= self.bound
        return kept


Constraints = Mapping[str, float | str] | Sequence[Limit]


def objectives_of(model: CostModel, names: Sequence[str]) -> tuple[Objective, ...]:
    """Metrics as objectives, each in the direction that is better; the same one named twice counts once.

    Raises
    ------
    SpecError : an unknown metric, or one of which neither less nor more is better.
    """
    found = []
    for name in dict.fromkeys(names):
        better = model.metric(name, where="objectives").better
        if better == "neither":
            raise SpecError("objectives", name, "a metric of which less or more is better", "take it as a constraint")
        found.append(Objective(name, more=better == "more"))
    return tuple(found)


def limits_of(model: CostModel, constraints: Constraints) -> tuple[Limit, ...]:
    """Constraints as limits: a number is a largest value, or a smallest one of a metric of which more is better.

    ``">= 30"`` and ``"<= 0.002"`` say the direction themselves. Limits that are made already stay as they are.

    Raises
    ------
    SpecError : an unknown metric, or a bound that is no number above 0.
    """
    if not isinstance(constraints, Mapping):
        for limit in constraints:
            model.metric(limit.metric, where="constraints")
        return tuple(constraints)
    found = []
    for name, bound in constraints.items():
        better = model.metric(name, where="constraints").better
        text = str(bound).strip()
        least = better == "more" if text[:2] not in ("<=", ">=") else text[:2] == ">="
        try:
            value = float(text.removeprefix("<=").removeprefix(">="))
        except ValueError:
            value = float("nan")
        if not value > 0:
            raise SpecError(f"constraints: {name}", bound, "a number > 0, with >= or <= before it or alone")
        found.append(Limit(name, value, least))
    return tuple(found)
