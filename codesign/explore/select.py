"""Which survivors are worth a training: the promising ones, spread over the cost axis.

FAST leaves far more pairs than can be trained. Those that are not chosen are neither good nor bad: they are deferred.
The bytes of its weights serve as the capacity of a network, the plainest zero-cost proxy: at equal bits they rank
NAS-Bench-201 cells as MACs do (rank correlation with accuracy about 0.75), and they fall where bits are saved.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["spread", "stratified"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


def stratified(cost: F64, capacity: F64, candidate: I64, n: int, rng: np.random.Generator) -> I64:
    """`n` distinct candidates: quantiles of the cost, in each the candidate with most capacity.

    Parameters
    ----------
    cost, capacity : (P,) of each surviving pair. candidate : (P,) which architecture it belongs to.

    Returns the chosen architectures, cheapest stratum first; a random one of equals.
    """
    names, index = np.unique(candidate, return_inverse=True)
    if len(names) <= n:
        return names
    cheapest = np.full(len(names), np.inf)
    np.minimum.at(cheapest, index, cost)
    size = np.zeros(len(names))
    np.maximum.at(size, index, capacity)
    order = np.lexsort((rng.random(len(names)), cheapest))
    chosen = []
    for stratum in np.array_split(order, n):
        best = stratum[size[stratum] == size[stratum].max()]
        chosen.append(int(best[rng.integers(len(best))]))
    picked: I64 = names[chosen]
    return picked


def spread(cost: F64, label: I64, n: int) -> I64:
    """Up to `n` distinct labels, evenly spaced in order of their least cost, the cheapest and the dearest included."""
    names, index = np.unique(label, return_inverse=True)
    cheapest = np.full(len(names), np.inf)
    np.minimum.at(cheapest, index, cost)
    ordered = names[np.argsort(cheapest, kind="stable")]
    if len(ordered) <= n:
        return ordered
    return ordered[np.unique(np.linspace(0, len(ordered) - 1, n).round().astype(np.int64))]
