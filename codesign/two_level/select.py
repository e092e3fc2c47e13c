"""Which survivors are worth a training: the promising ones, spread over the cost axis.

FAST leaves far more pairs than can be trained. Those that are not chosen are neither good nor bad: they are deferred.
The bytes of its weights serve as the capacity of a network, the plainest zero-cost proxy: at equal bits they rank
NAS-Bench-201 cells as MACs do (rank correlation with accuracy about 0.75), and they fall where bits are saved.

Once there are accuracies, `promising` learns from them by `codesign.two_level.error_model`. A network is worth the
volume that its pairs are expected to add to the front [expected hypervolume improvement: Emmerich, 2005], costs by
logarithm and known, the error uncertain: the mean, over random points of the objective box that the front does not
cover and the network is cheap enough for, of the probability that its error is low enough. What one choice is expected
to add is no gain of the next, so that a batch spreads. The box ends in error where the front does: the cheapest network
should be among the first trainings, since it is on the front whatever its error.
Where the model is wrong a training is wasted, and nothing is lost: no pair is dropped for it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.two_level.error_model import fitted_errors

__all__ = ["Evidence", "promising", "spread", "stratified"]

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

_POINTS = 256  # random points of the objective box that measure a volume
# Of the range of known errors, below the least one and above the front's largest. Tuned on pairs-digits with a
# crossbar, CPUs and FPGAs, and on pairs-201 with a crossbar.
_BELOW, _ABOVE = 0.1, 0.05
_BLOCK = 1 << 14  # pairs that are held against all points at once


class Evidence(NamedTuple):
    """What is known of accuracies: `features` (B, F) of classes, their `error` (B,), and the `front` (F, 1 + K)."""

    features: F64
    error: F64
    front: F64


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


def promising(
    evidence: Evidence, rows: F64, class_of: I64, costs: F64, candidate: I64, n: int, rng: np.random.Generator
) -> I64:
    """`n` distinct candidates that are expected to widen the front most, together.

    Parameters
    ----------
    rows : (C, F) features of the classes of the pairs; class_of : (P,) which class a pair has.
    costs : (P, K) of each pair, positive. candidate : (P,) which architecture it belongs to, one for all of a class.
    """
    names = np.unique(candidate)
    if len(names) <= n:
        return names
    order = np.lexsort((class_of, candidate))
    classes, firsts = class_of[order], _firsts(class_of[order])
    mean, deviation = fitted_errors(evidence.features, evidence.error)(rows[classes[firsts]])
    reached = _reached(np.log(costs[order]), firsts, mean, deviation, _open_points(np.log(costs), evidence, rng))
    by_network = np.maximum.reduceat(reached, _firsts(candidate[order][firsts]), axis=0)
    return names[_cover(by_network, n, rng)]


def _firsts(labels: I64) -> I64:
    """Where each run of equal labels begins."""
    return np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]]))


def _open_points(logs: F64, evidence: Evidence, rng: np.random.Generator) -> F64:
    """Random points (B, 1 + K) of the objective box that the front does not cover; error first, logarithms of costs."""
    error, front = evidence.error, evidence.front
    span = float(np.ptp(error))
    dearest = float(front[:, 0].max()) if len(front) else float(error.max())
    low = np.concatenate([[error.min() - _BELOW * span], logs.min(axis=0)])
    high = np.concatenate([[dearest + _ABOVE * span], logs.max(axis=0)])
    box = rng.uniform(low, high, size=(_POINTS, len(low)))
    known = np.column_stack([front[:, :1], np.log(front[:, 1:])])
    covered = (known[:, None, :] <= box).all(axis=2).any(axis=0)
    found: F64 = box[~covered]
    return found


def _reached(logs: F64, firsts: I64, mean: F64, deviation: F64, points: F64) -> F32:
    """Probability that each class has a pair at or below each point, (C, B).

    logs : (P, K) of pairs, class by class. firsts : (C,) where a class begins. mean, deviation : (C,) of its error.
    """
    from scipy.special import ndtr

    found = np.zeros((len(firsts), len(points)), np.float32)
    ends = np.append(firsts[1:], len(logs))
    start = 0
    while start < len(firsts):
        stop = max(int(np.searchsorted(ends, firsts[start] + _BLOCK, side="right")), start + 1)
        mine = logs[firsts[start] : ends[stop - 1]]
        cheap = np.ones((len(mine), len(points)), np.bool_)
        for k in range(logs.shape[1]):
            cheap &= mine[:, k, None] <= points[:, 1 + k]
        which, at = np.nonzero(np.logical_or.reduceat(cheap, firsts[start:stop] - firsts[start], axis=0))
        which += start
        found[which, at] = ndtr((points[at, 0] - mean[which]) / deviation[which])
        start = stop
    return found


def _cover(reached: F32, n: int, rng: np.random.Generator) -> I64:
    """Which `n` candidates together are expected to reach most points, one by one; a random one of equals.

    reached : (N, B) probabilities, taken as independent from candidate to candidate.
    """
    still, taken = np.ones(reached.shape[1], np.float32), np.zeros(n, np.int64)
    for i in range(n):
        gain = (reached @ still).astype(np.float64) + 1e-6 * rng.random(len(reached))
        gain[taken[:i]] = -1.0
        taken[i] = gain.argmax()
        still *= 1.0 - reached[taken[i]]
    return taken
