"""Gradient refinement: points of a space are relaxed to probabilities of choices, climbed, and rounded to points.

What is climbed is a scalarised worth: of the expected error (`codesign.strategy.relaxed`) and the expected costs
(`codesign.strategy.expected_cost`), each scaled to the front of what is known, with weights,

    f(p) = 1/b log sum over objectives of exp(b w_k z_k(p)) + a sum of w_k z_k(p),    minimised,

a smooth form of the augmented Chebyshev norm [Steuer and Choo, Math. Programming 26 (1983)]. Logits of the
probabilities take steps of Adam, from most of the probability on a known point. After every step the likeliest choices
are a point, and choices drawn by the probabilities another, since most climbs end at a point that is known; of all
these the best by f that are new are kept, with exact costs where pairs are searched.

Not modelled: limits of the run, except that only points within them are known here; how sure the model is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.pareto import non_dominated
from codesign.space.base import Genotypes
from codesign.strategy.expected_cost import ObjectiveCosts
from codesign.strategy.model_based import one_hot
from codesign.strategy.relaxed import Choices, ExpectedError

__all__ = ["Scale", "Worth", "climbed", "scalarised", "scale_of"]

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SHARPNESS = 20.0  # b; ASSUMED, 5 to 100
_AUGMENTED = 0.05  # a; ASSUMED, 0 to .2
_FLOOR = 0.1  # of the front's least cost: sums over choices may fall below 0
_STEPS = 30  # ASSUMED, 10 to 100
_RATE = 0.3  # of Adam, on logits; ASSUMED, .1 to 1
_HELD = 0.7  # ASSUMED, .5 to .9: probability of the choices of the start


class Scale(NamedTuple):
    """Objectives as they are compared: `low` and `span` (O,), of logarithms where `logarithmic` (O,)."""

    low: F64
    span: F64
    logarithmic: Mask

    def scaled(self, values: F64) -> F64:
        """Objectives (M, O), each 0 at the least of the front and 1 at its largest."""
        found: F64 = (self.in_scale(values) - self.low) / self.span
        return found

    def in_scale(self, values: F64) -> F64:
        """Objectives, by logarithm where they are all positive."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.logarithmic, np.log(np.where(self.logarithmic, values, 1.0)), values)


def scale_of(objectives: F64) -> Scale:
    """The scale of the front of known objectives (P, O), the error first; of all that is known where it is flat."""
    logarithmic = (objectives > 0).all(axis=0) & (np.arange(objectives.shape[1]) > 0)
    bare = Scale(np.zeros(objectives.shape[1]), np.ones(objectives.shape[1]), logarithmic)
    known = bare.in_scale(objectives)
    front = known[non_dominated(known)]
    wide = np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), np.ptp(known, axis=0))
    return Scale(front.min(axis=0), np.where(wide > 0, wide, 1.0), logarithmic)


class Worth(NamedTuple):
    """f and its gradient; `costs` has no column where the error alone counts."""

    error: ExpectedError
    costs: ObjectiveCosts
    scale: Scale

    def expected_costs(self, shares: F64) -> F64:
        """Costs (M, K) under probabilities (M, D); one that counts by logarithm stays above a tenth of the front's."""
        return np.maximum(self.costs.constant + shares @ self.costs.table, self._floor)

    @property
    def _floor(self) -> F64:
        low, logarithmic = self.scale.low[1:], self.scale.logarithmic[1:]
        return np.where(logarithmic, _FLOOR * np.exp(np.where(logarithmic, low, 0.0)), -np.inf)

    def of(self, objectives: F64, weights: F64) -> F64:
        """f of known objectives (M, 1 + K) with weights (M, 1 + K), (M,)."""
        return scalarised(self.scale.scaled(objectives), weights)

    def __call__(self, shares: F64, weights: F64) -> tuple[F64, F64]:
        """f (M,) and its gradient (M, D) under probabilities (M, D), with weights (M, 1 + K)."""
        error, slope = self.error(shares)
        costs = self.expected_costs(shares)
        values = np.column_stack([error, costs])
        scaled = self.scale.scaled(values)
        # df/dz_k = w_k (softmax_k(b w z) + a), and dz_k/dvalue = 1 / span, over the value where by logarithm
        sharp = _SHARPNESS * weights * scaled
        powers = np.exp(sharp - sharp.max(axis=1, keepdims=True))
        per_value = weights * (powers / powers.sum(axis=1, keepdims=True) + _AUGMENTED) / self.scale.span
        per_value = per_value / np.where(self.scale.logarithmic, values, 1.0)
        per_cost = np.where(costs > self._floor, per_value[:, 1:], 0.0)
        gradient = per_value[:, :1] * slope + per_cost @ self.costs.table.T
        return scalarised(scaled, weights), gradient


def scalarised(scaled: F64, weights: F64) -> F64:
    """The smooth augmented Chebyshev norm of scaled objectives (M, O) with weights (M, O), (M,)."""
    sharp = _SHARPNESS * weights * scaled
    highest = sharp.max(axis=1)
    smooth = (highest + np.log(np.exp(sharp - highest[:, None]).sum(axis=1))) / _SHARPNESS
    found: F64 = smooth + _AUGMENTED * (weights * scaled).sum(axis=1)
    return found


def climbed(
    worth: Worth,
    choices: Choices,
    starts: Genotypes,
    weights: F64,
    is_open: Mask,
    rng: np.random.Generator,
) -> Genotypes:
    """Points that climbs from `starts` (M, G) round to, (T, M, G), T for each start.

    weights : (M, O) of each climb. is_open : (D,) choices that may be taken.
    """
    logits = _held(choices, starts, is_open)
    first, second = np.zeros_like(logits), np.zeros_like(logits)
    met = []
    for step in range(1, _STEPS + 1):
        shares = choices.softmax(logits)
        _, gradient = worth(shares, weights)
        # through the softmax of each gene: p (g - sum of p g)
        gradient = shares * (gradient - choices.sums(shares * gradient)[:, choices.gene])
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        change = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-12)
        logits = logits - _RATE * change
        met += [_drawn(choices, choices.softmax(logits), rng), choices.best(logits)]
    return np.stack(met)


def _held(choices: Choices, starts: Genotypes, is_open: Mask) -> F64:
    """Logits (M, D) with _HELD of the probability on the starts, the rest on the other open choices."""
    chosen = one_hot(starts, choices.sizes)
    others = choices.sums(np.where(is_open, 1.0 - chosen, 0.0))[:, choices.gene]
    shares = np.where(chosen > 0, _HELD, (1.0 - _HELD) / np.maximum(others, 1.0))
    with np.errstate(divide="ignore"):
        return np.log(np.where(is_open, shares, 0.0))


def _drawn(choices: Choices, shares: F64, rng: np.random.Generator) -> Genotypes:
    """A point of each row of probabilities, (M, G): the largest logit with Gumbel noise."""
    with np.errstate(divide="ignore"):
        return choices.best(np.log(shares) + rng.gumbel(size=shares.shape))
