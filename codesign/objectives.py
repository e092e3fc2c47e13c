"""What a search optimises and what it must keep: metrics with their direction.

Everything inside minimises. A metric of which more is better is negated where it becomes an objective, and its limit
is a least value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Limit", "Objective"]

F64 = npt.NDArray[np.float64]


class Objective(NamedTuple):
    """A metric to be optimised; `more` where larger values are better."""

    metric: str
    more: bool = False

    def minimised(self, values: F64) -> F64:
        """Values (P,) as they are minimised."""
        return -values if self.more else values


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
        over: F64 = values / self.bound - 1.0
        return -over if self.least else over
