"""Pareto sets of minimised objectives: which points are not dominated, how much space they cover, where the knee is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwmodels.kernel_cache import cached_njit

__all__ = ["dominated_by", "hypervolume", "knee", "non_dominated", "row_fronts"]

F64 = npt.NDArray[np.float64]


def non_dominated(objectives: F64, groups: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.bool_]:
    """Points that no other point (of the same group) dominates; equal points stay together.

    Parameters
    ----------
    objectives : (P, O), minimised. groups : (P,) labels; None puts all points in one group.

    >>> non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist()
    [True, True, False]
    """
    n = len(objectives)
    labels = np.zeros(n, np.int64) if groups is None else groups
    # Within a group in lexicographic order only an earlier point can dominate a later one.
    order = np.lexsort((*objectives.T[::-1], labels))
    mask = np.empty(n, np.bool_)
    mask[order] = _first_in_group(np.ascontiguousarray(objectives[order]), labels[order])
    return mask


@cached_njit()
def _first_in_group(points: F64, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    n, n_objectives = points.shape
    kept = np.empty(n, np.int64)  # positions of the group's front so far
    size = 0
    mask = np.ones(n, np.bool_)
    for i in range(n):
        if i == 0 or labels[i] != labels[i - 1]:
            size = 0
        for j in range(size):
            no_worse, better = True, False
            for o in range(n_objectives):
                if points[kept[j], o] > points[i, o]:
                    no_worse = False
                    break
                better = better or points[kept[j], o] < points[i, o]
            if no_worse and better:
                mask[i] = False
                break
        if mask[i]:
            kept[size] = i
            size += 1
    return mask


@cached_njit()
def row_fronts(values: F64, allowed: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """The allowed points of each row that no allowed point of the same row and label dominates, (N, H).

    Parameters
    ----------
    values : (O, N, H), minimised. allowed : (N, H). labels : (H,), equal ones side by side.
    """
    n_objectives, n_rows, n_points = values.shape
    kept = np.empty(n_points, np.int64)  # the front of this row and label so far
    mask = np.zeros((n_rows, n_points), np.bool_)
    for row in range(n_rows):
        size = 0
        for i in range(n_points):
            if i == 0 or labels[i] != labels[i - 1]:
                size = 0
            if not allowed[row, i]:
                continue
            beaten, left = False, 0
            for at in range(size):
                other, worse, better = kept[at], False, False
                for o in range(n_objectives):
                    worse = worse or values[o, row, other] > values[o, row, i]
                    better = better or values[o, row, other] < values[o, row, i]
                if better and not worse:
                    # What beats a point leaves the front before it untouched: nothing here is beaten by the point.
                    beaten = True
                    break
                if worse and not better:
                    mask[row, other] = False
                else:
                    kept[left] = other
                    left += 1
            if not beaten:
                kept[left] = i
                size = left + 1
                mask[row, i] = True
    return mask


@cached_njit()
def dominated_by(points: F64, front: F64) -> npt.NDArray[np.bool_]:
    """Which `points` (P, O) some member of `front` (F, O) dominates, (P,): no worse in all, better in one."""
    mask = np.zeros(len(points), np.bool_)
    for i in range(len(points)):
        for j in range(len(front)):
            no_worse, better = True, False
            for o in range(points.shape[1]):
                if front[j, o] > points[i, o]:
                    no_worse = False
                    break
                better = better or front[j, o] < points[i, o]
            if no_worse and better:
                mask[i] = True
                break
    return mask


def hypervolume(objectives: F64, reference: F64) -> float:
    """Volume between the points (P, O) and the reference point (O,), exact."""
    from pymoo.indicators.hv import HV

    inside = objectives[(objectives < reference).all(axis=1)]
    return float(HV(ref_point=reference)(inside)) if len(inside) else 0.0


def knee(objectives: F64) -> int:
    """Index of the point of a front nearest to its ideal corner, each objective scaled to [0, 1].

    Costs that span more than a decade are scaled by their logarithm, so that one extreme does not decide alone.
    """
    scaled = np.empty_like(objectives)
    for o, column in enumerate(objectives.T):
        wide = column.min() > 0 and column.max() > 10 * column.min()
        values = np.log(column) if wide else column
        span = values.max() - values.min()
        scaled[:, o] = (values - values.min()) / span if span > 0 else 0.0
    return int(np.argmin(np.linalg.norm(scaled, axis=1)))
