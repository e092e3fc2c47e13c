"""Which survivors are worth a training: the promising ones, spread over the cost axis.

FAST leaves far more pairs than can be trained. Those that are not chosen are neither good nor bad: they are deferred.
The bytes of its weights serve as the capacity of a network, the plainest zero-cost proxy: at equal bits they rank
NAS-Bench-201 cells as MACs do (rank correlation with accuracy about 0.75), and they fall where bits are saved.

Once there are accuracies, `promising` learns from them: a Bayesian linear model of the error over the operations of a
network, their pairs, its size and its arithmetic, and one draw of its posterior for each choice (Thompson sampling), so
that what is uncertain is tried as well as what looks good. A network is worth the volume that its pairs would add to
the front. Where the model is wrong a training is wasted, and nothing is lost: no pair is dropped for it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Evidence", "features", "promising", "spread", "stratified"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_POINTS = 512  # random points of the objective box that measure a volume


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


def features(genotypes: I64, cardinalities: I64, size: F64, numerics: I64, n_numerics: int) -> F64:
    """Classes (B,) as rows for a linear model: each gene's choice, each pair of genes', the size, the arithmetic.

    genotypes : (B, G). size : (B,), positive. numerics : (B,) which of `n_numerics` a class has.
    """
    columns = [np.log(size)[:, None], np.eye(n_numerics)[numerics]]
    for i, choices in enumerate(cardinalities):
        one = np.eye(int(choices))[genotypes[:, i]]
        columns.append(one)
        for j in range(i):
            other = np.eye(int(cardinalities[j]))[genotypes[:, j]]
            columns.append((one[:, :, None] * other[:, None, :]).reshape(len(genotypes), -1))
    return np.hstack(columns)


def promising(
    evidence: Evidence, rows: F64, class_of: I64, costs: F64, candidate: I64, n: int, rng: np.random.Generator
) -> I64:
    """`n` distinct candidates that are expected to widen the front, each by a draw of its own.

    Parameters
    ----------
    rows : (C, F) features of the classes of the pairs; class_of : (P,) which class a pair has.
    costs : (P, K) of each pair. candidate : (P,) which architecture it belongs to.
    """
    names = np.unique(candidate)
    if len(names) <= n:
        return names
    order = np.argsort(candidate, kind="stable")
    starts = np.searchsorted(candidate[order], names)
    errors = _posterior(evidence, rows, rng)
    within, box_error = _reach(np.log(costs[order]), evidence, rng)
    draws = (error[class_of[order]] for error in errors)
    gains = (np.logical_or.reduceat(within & (error[:, None] <= box_error), starts, axis=0) for error in draws)
    return names[_cover(gains, len(names), n, rng)]


def _posterior(evidence: Evidence, rows: F64, rng: np.random.Generator) -> Iterator[F64]:
    """Fit a Bayesian linear model of the error; then, without end, the errors of `rows` by a draw of its posterior."""
    from sklearn.linear_model import BayesianRidge

    model = BayesianRidge().fit(evidence.features, evidence.error)
    root = np.linalg.cholesky(model.sigma_ + 1e-12 * np.eye(len(model.sigma_)))
    while True:
        weights = model.coef_ + root @ rng.standard_normal(len(model.coef_))
        yield rows @ weights + model.intercept_


def _reach(logs: F64, evidence: Evidence, rng: np.random.Generator) -> tuple[Mask, F64]:
    """Random points of the objective box that the front does not cover.

    logs : (P, K) logarithms of the costs of pairs. Returns which pairs are cheap enough for which points, (P, B), and
    the error that each point allows, (B,).
    """
    low, high = logs.min(axis=0), logs.max(axis=0)
    span = evidence.error.max() - evidence.error.min()
    box_costs = rng.uniform(low, high, size=(_POINTS, logs.shape[1]))
    box_error = rng.uniform(evidence.error.min() - 0.1 * span, evidence.error.max(), size=_POINTS)
    front = evidence.front
    covered = ((front[:, None, 0] <= box_error) & (np.log(front[:, None, 1:]) <= box_costs).all(axis=2)).any(axis=0)
    box_costs, box_error = box_costs[~covered], box_error[~covered]
    within = np.ones((len(logs), len(box_error)), np.bool_)
    for k in range(logs.shape[1]):
        within &= logs[:, k, None] <= box_costs[:, k]
    return within, box_error


def _cover(reached: Iterator[Mask], candidates: int, n: int, rng: np.random.Generator) -> Mask:
    """Which `n` candidates together reach most points, chosen one by one; a random one of equals.

    reached : for each choice anew, which candidates reach which points, (candidates, B).
    """
    taken, closed = np.zeros(candidates, np.bool_), None
    for points in itertools.islice(reached, n):
        closed = np.zeros(points.shape[1], np.bool_) if closed is None else closed
        gain = (points & ~closed).sum(axis=1) + rng.random(candidates)
        best = int(np.where(taken, -1.0, gain).argmax())
        taken[best] = True
        closed |= points[best]
    return taken
