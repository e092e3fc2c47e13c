"""Several objectives as one number: scaled to what has been seen, weighted, the largest counts (Chebyshev).

With one objective the order is that of the objective itself. Results that a strategy may learn from are those with an
estimate and without a violation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.strategy.base import Results

__all__ = ["chebyshev", "kept_limits", "unit_scaled"]

F64 = npt.NDArray[np.float64]


def unit_scaled(objectives: F64) -> F64:
    """Objectives (P, O), each from 0 at its least to 1 at its largest; 0 where all are equal.

    >>> unit_scaled(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """
    if not len(objectives):
        return objectives
    low, high = objectives.min(axis=0), objectives.max(axis=0)
    scaled: F64 = (objectives - low) / np.where(high > low, high - low, 1.0)
    return scaled


def chebyshev(scaled: F64, weights: F64) -> F64:
    """Largest weighted objective of each point, minimised: `scaled` (..., O), `weights` (O,) or as `scaled`."""
    worst: F64 = (weights * scaled).max(axis=-1)
    return worst


def kept_limits(results: Results) -> npt.NDArray[np.bool_]:
    """Which pairs have an estimate and every cost and violate nothing, (P,)."""
    known: npt.NDArray[np.bool_] = ~np.isnan(results.objectives()).any(axis=1) & (results.violation.sum(axis=1) == 0)
    return known
