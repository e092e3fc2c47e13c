"""Does a front found for one device, or on one data set, serve another? Fronts of error and cost, carried over.

A context is a column of errors and a column of costs over the same N networks. The front F_a of context a is judged in
context b by what it covers there::

    kept(a, b) = hypervolume of the points of F_a in b / hypervolume of b's own front

with the reference at 1.1 times the worst error and cost of b. It is 1 where a's front is all that b needs, and 1 on
the diagonal. Rank correlation says the same of all networks, not of the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.pareto import hypervolume, non_dominated
from codesign.report.summary import REFERENCE_MARGIN
from hwmodels.errors import SpecError

__all__ = ["Transfer", "transfer"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Transfer:
    """Fronts of D contexts. kept : (D, D), row a judged in column b. front : sizes. networks : compared."""

    contexts: tuple[str, ...]
    kept: F64
    front: tuple[int, ...]
    networks: int


def transfer(contexts: Sequence[str], errors: F64, costs: F64) -> Transfer:
    """Carry the front of each context to each other one.

    Parameters
    ----------
    errors, costs : (N, D), minimised; infinite where a network does not run there.

    >>> transfer(["a", "b"], np.array([[0.1, 0.1], [0.2, 0.2]]), np.array([[1.0, 2.0], [2.0, 1.0]])).kept.round(2)
    array([[1.  , 0.55],
           [1.  , 1.  ]])

    Raises
    ------
    SpecError : a context in which no network runs.
    """
    points = [np.stack([errors[:, d], costs[:, d]], axis=1) for d in range(len(contexts))]
    runs: list[npt.NDArray[np.bool_]] = [np.asarray(np.isfinite(own).all(axis=1)) for own in points]
    for context, mine in zip(contexts, runs, strict=True):
        if not mine.any():
            raise SpecError("transfer", context, "a device that runs one of the networks")
    fronts = [np.flatnonzero(mine)[non_dominated(own[mine])] for own, mine in zip(points, runs, strict=True)]
    kept = np.empty((len(contexts),) * 2)
    for b, (own, mine) in enumerate(zip(points, runs, strict=True)):
        worst = own[mine].max(axis=0)
        reference = REFERENCE_MARGIN * np.where(worst > 0, worst, 1.0)
        whole = hypervolume(own[fronts[b]], reference)
        for a, front in enumerate(fronts):
            carried = own[front[mine[front]]]
            kept[a, b] = hypervolume(carried, reference) / whole if len(carried) else 0.0
    return Transfer(tuple(contexts), kept, tuple(map(len, fronts)), len(errors))
