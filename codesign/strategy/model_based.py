"""The part that searches with a model of the error share: what is known, candidates, and what a candidate is worth.

A model predicts a mean and a deviation of the transformed error [power transform of Yeo and Johnson, Biometrika 87
(2000)]. With the error alone a candidate is worth its expected improvement [Jones, Schonlau and Welch, J. Global Optim.
13 (1998)]. With costs it is worth the volume that it is expected to add to the front. Costs are known before a
training, so that only the error is uncertain: the volume is the mean, over random points of the objective box that no
pair of the front covers and the candidate is cheap enough for, of the probability that its error is low enough. This is
the expected hypervolume improvement [Emmerich, 2005] within the box of what is known, by random points.

Not modelled: the correlation between candidates of one batch, whose best are proposed together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from codesign.pareto import non_dominated
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.scalarise import kept_limits

__all__ = ["Fitted", "Model", "ModelBased", "expected_improvement", "expected_volume", "one_hot", "without_skew"]

F64 = npt.NDArray[np.float64]

_POINTS = 512  # random points that measure a volume
_PARENTS = 8  # evaluated pairs whose mutants are candidates
_REFIT = 1.2  # a model is chosen anew when so many times the pairs are known

Fitted = Callable[[F64], tuple[F64, F64]]
"""Features (M, D) -> mean (M,) and deviation (M,) of transformed errors."""


class Model(Protocol):
    """How a strategy learns."""

    def __call__(self, basis: tuple[F64, F64], known: tuple[F64, F64]) -> Fitted:
        """A model of what is known, (features, transformed errors), with what `basis` chose, an earlier part of it."""
        ...


class _Known(NamedTuple):
    """Evaluated pairs: genotypes (P, G) and objectives (P, 1 + K)."""

    genotypes: Genotypes
    objectives: F64


class ModelBased:
    """Proposes the candidates that a model expects most of.

    initial : evaluated pairs before the first model, drawn at random. candidates : looked at for a proposal, half of
    them random, half mutants of the best; no more than half are proposed, random points fill a larger batch.
    most : evaluated pairs that are remembered: the front, and the youngest of the others.
    """

    def __init__(self, problem: Problem, model: Model, *, initial: int, candidates: int, most: int) -> None:
        self.space: Space = problem.space
        self._costs_of = problem.costs if problem.space is problem.joint else None
        self._model, self.initial, self.candidates, self.most = model, initial, candidates, most
        nothing = np.empty((0, self.space.n_genes), np.int64)
        self._known = self._basis = _Known(nothing, np.empty((0, 1 + len(problem.objectives))))
        self._transform: Callable[[F64], F64] | None = None  # follows from the basis

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        count = min(n, self.candidates // 2) if len(self._known.genotypes) >= self.initial else 0
        if count == 0:
            return Proposal.full(self.space.sample(n, rng))
        pool = self._pool(rng)
        worth = self._worth(pool, rng)
        best = pool[np.argsort(-worth, kind="stable")[:count]]
        return Proposal.full(np.concatenate([best, self.space.sample(n - len(best), rng)]))

    def _pool(self, rng: np.random.Generator) -> Genotypes:
        """Candidates that are not known yet, each network once; all of them where every one is known."""
        genotypes, objectives = self._known
        front = np.flatnonzero(non_dominated(objectives))
        best = np.concatenate([front, np.setdiff1d(np.argsort(objectives[:, 0], kind="stable")[:_PARENTS], front)])
        parents = genotypes[rng.choice(best, self.candidates - self.candidates // 2)]
        mutants = self.space.mutate(parents, rng, rate=0.0)  # of one gene
        pool = np.concatenate([self.space.sample(self.candidates // 2, rng), mutants])
        everything = self.space.canonical(np.concatenate([genotypes, pool]))
        _, first = np.unique(everything, axis=0, return_index=True)
        fresh = np.sort(first[first >= len(genotypes)]) - len(genotypes)
        return pool[fresh] if len(fresh) else pool

    def _worth(self, pool: Genotypes, rng: np.random.Generator) -> F64:
        if self._model_is_old():
            self._basis, self._transform = self._known, None
        transform = self._transform = self._transform or without_skew(self._basis.objectives[:, 0])
        basis, known = (
            (self._features(pairs.genotypes), transform(pairs.objectives[:, 0])) for pairs in (self._basis, self._known)
        )
        fitted = self._model(basis, known)
        mean, deviation = fitted(self._features(pool))
        if self._known.objectives.shape[1] == 1:
            return expected_improvement(mean, deviation, float(known[1].min()))
        return expected_volume(mean, deviation, self._costs(pool), self._known.objectives, transform, rng)

    def _model_is_old(self) -> bool:
        """Whether there is so much more to know that a model is chosen anew."""
        basis, known = self._basis.genotypes, self._known.genotypes
        follows = len(basis) <= len(known) and np.array_equal(known[: len(basis)], basis)
        return not follows or len(basis) == 0 or len(known) >= _REFIT * len(basis)

    def _features(self, genotypes: Genotypes) -> F64:
        return one_hot(self.space.canonical(genotypes), self.space.cardinalities)

    def _costs(self, pool: Genotypes) -> F64:
        """Costs of candidates (M, K); where networks alone are proposed, those of the nearest known one."""
        if self._costs_of is not None:
            return self._costs_of(pool)
        differing = (pool[:, None, :] != self._known.genotypes[None, :, :]).sum(axis=2)
        nearest: F64 = self._known.objectives[differing.argmin(axis=1), 1:]
        return nearest

    def tell(self, proposal: Proposal, results: Results) -> None:
        told = kept_limits(results) & (results.fidelity == 1.0)
        genotypes = np.concatenate([self._known.genotypes, proposal.genotypes[told]])
        objectives = np.concatenate([self._known.objectives, results.objectives()[told]])
        if len(genotypes) > self.most:
            rank = np.where(non_dominated(objectives), 0, 1)
            kept = np.sort(np.lexsort((-np.arange(len(rank)), rank))[: self.most])
            genotypes, objectives = genotypes[kept], objectives[kept]
        self._known = _Known(genotypes, objectives)

    def state(self) -> State:
        return {
            "genotypes": self._known.genotypes,
            "objectives": self._known.objectives,
            "basis_genotypes": self._basis.genotypes,
            "basis_objectives": self._basis.objectives,
        }

    def restore(self, state: State) -> None:
        self._known = _Known(state["genotypes"], state["objectives"])
        self._basis, self._transform = _Known(state["basis_genotypes"], state["basis_objectives"]), None


def one_hot(genotypes: Genotypes, cardinalities: npt.NDArray[np.int64]) -> F64:
    """Each gene's choice as a column of its own, (P, sum of cardinalities).

    >>> one_hot(np.array([[1, 0]]), np.array([2, 3]))
    array([[0., 1., 1., 0., 0.]])
    """
    rows = np.zeros((len(genotypes), int(cardinalities.sum())))
    starts = np.concatenate([[0], np.cumsum(cardinalities)[:-1]])
    np.put_along_axis(rows, genotypes + starts, 1.0, axis=1)
    return rows


def without_skew(errors: F64) -> Callable[[F64], F64]:
    """The transform that gives these errors (P,) mean 0, deviation 1 and least skew."""
    from sklearn.preprocessing import PowerTransformer

    if np.ptp(errors) == 0:
        return lambda values: values - errors[0]
    power = PowerTransformer().fit(errors[:, None])

    def transform(values: F64) -> F64:
        with np.errstate(all="ignore"):
            found: F64 = power.transform(values[:, None])[:, 0]
        return found

    return transform


def expected_improvement(mean: F64, deviation: F64, best: float) -> F64:
    """Mean of max(best - value, 0) for values of a normal distribution, (M,).

    >>> expected_improvement(np.array([0.0]), np.array([1.0]), 0.0).round(4).tolist()
    [0.3989]
    """
    from scipy.special import ndtr

    spread = np.maximum(deviation, 1e-12)
    z = (best - mean) / spread
    worth: F64 = spread * (z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
    return worth


def expected_volume(
    mean: F64, deviation: F64, costs: F64, known: F64, transform: Callable[[F64], F64], rng: np.random.Generator
) -> F64:
    """Share of the objective box that each candidate is expected to add to the front, (M,).

    Parameters
    ----------
    mean, deviation : (M,) of transformed errors. costs : (M, K); NaN is worth nothing. known : (P, 1 + K) objectives,
    error first. The box spans what is known and a tenth of it below, costs that are all positive by logarithm.
    """
    from scipy.special import ndtr

    positive = (known > 0).all(axis=0) & (np.arange(known.shape[1]) > 0)
    known = _logarithmic(known, positive)
    costs = _logarithmic(costs, positive[1:])
    front = known[non_dominated(known)]
    low, high = known.min(axis=0), known.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    box = rng.uniform(low - 0.1 * span, high, size=(_POINTS, known.shape[1]))
    box = box[~(front[:, None, :] <= box).all(axis=2).any(axis=0)]
    limits = transform(box[:, 0])
    # Errors that the transform cannot reach are below every error.
    limits = np.where(np.isnan(limits), -np.inf, limits)
    reached = ndtr((limits - mean[:, None]) / np.maximum(deviation, 1e-12)[:, None])
    with np.errstate(invalid="ignore"):
        affordable = (costs[:, None, :] <= box[:, 1:]).all(axis=2)
    worth: F64 = (reached * affordable).sum(axis=1) / _POINTS
    return worth


def _logarithmic(values: F64, columns: npt.NDArray[np.bool_]) -> F64:
    """Values (P, O) with some columns by logarithm; what is not positive there is NaN."""
    with np.errstate(all="ignore"):
        found: F64 = np.where(columns, np.log(np.where(values > 0, values, np.nan)), values)
    return found
