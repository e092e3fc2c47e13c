"""Regression: one number an item.

Metrics: R2, the share of the targets' variance that the answers explain, and the root mean square error in the unit
of the target. goodness = max(R2, 0): a network that is worse than the mean of what it is judged on counts as that
mean, so that error = min(1, squared error / variance).

Targets are standardised by mean and deviation of the training split; answers are, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.task.base import F32, F64, Better, finite_items

__all__ = ["Regression"]


@dataclass(frozen=True)
class Regression:
    """Items with one number each; targets are (B,) standardised numbers.

    deviation : of the training targets, in their unit. A constant guess is their mean, a standardised 0.
    """

    deviation: float
    name: ClassVar[str] = "regression"

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {"r2": "more", "rmse": "less"}

    def output_shape(self, target: tuple[int, ...]) -> tuple[int, ...]:
        return (1,)

    def tally(self, outputs: F32, targets: npt.NDArray[Any]) -> F64:
        """(items, sum of targets, of their squares, of squared errors)."""
        answers = np.where(finite_items(outputs), outputs[:, 0], 0.0).astype(np.float64)
        exact = targets.astype(np.float64)
        return np.array([len(exact), exact.sum(), np.square(exact).sum(), np.square(answers - exact).sum()])

    def values(self, sums: F64) -> dict[str, float]:
        """R2 = 1 - sum (y - answer)^2 / sum (y - mean y)^2.

        >>> Regression(10.0).values(np.array([4.0, 0.0, 4.0, 1.0]))
        {'r2': 0.75, 'rmse': 5.0}
        """
        items, total, squares, errors = sums.tolist()
        variation = squares - total * total / items
        r2 = 1.0 - errors / variation if variation > 0 else 0.0
        return {"r2": r2, "rmse": self.deviation * (errors / items) ** 0.5}

    def goodness(self, value: float) -> float:
        return max(value, 0.0)
