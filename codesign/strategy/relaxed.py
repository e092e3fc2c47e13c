"""What an error is expected to be under probabilities of choices: a Gaussian process, exact and differentiable.

The covariance of two points falls by one factor for each gene that differs, as in `bayesian`,

    k(x, z) = s^2 prod over genes g of c_g^[x_g != z_g],     c_g = exp(-1 / l_g^2).

Where the genes of x are drawn independently with probabilities p, its mean is a product of sums,

    E k(x, z) = s^2 prod over g of (c_g + (1 - c_g) p_g[z_g]),

so that the mean of the process, sum over known z of alpha_z E k(x, z), is exact for every p, linear in the
probabilities of each gene, and has a gradient in closed form. This is the relaxation that a search climbs [gradients on
the inputs of a surrogate: GOBI, Tuli et al., TECS 2023; relaxed architectures: NAO, Luo et al., NeurIPS 2018]. Length,
amplitude and noise are those of a grid with the largest marginal likelihood [Rasmussen and Williams, MIT Press 2006,
ch. 5]; genes behind the network's, those of hardware, have a length of their own, which may be infinite.

Not modelled: how sure the process is; the order of choices, as of widths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.base import Genotypes

__all__ = ["Choices", "Covariance", "ExpectedError", "expected_error", "most_likely"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_LENGTHS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)  # in genes that differ: factors of .13 to .97 a gene
_OTHER_LENGTHS = (np.inf, 1.0, 2.0, 4.0)
_NOISES = (1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # variance over s^2


class Covariance(NamedTuple):
    """length : of the network's genes. other : of those behind them. noise : its variance over s^2."""

    length: float
    other: float
    noise: float

    def factors(self, genes: int, cut: int) -> F64:
        """c_g of each gene, (G,); the first `cut` are the network's."""
        lengths = np.where(np.arange(genes) < cut, self.length, self.other)
        factors: F64 = np.exp(-1.0 / lengths**2)
        return factors


class Choices:
    """Where the choices of each gene stand in a row of probabilities (D,), gene after gene as in `one_hot`."""

    def __init__(self, cardinalities: I64) -> None:
        self.sizes = cardinalities
        self.starts: I64 = np.concatenate([[0], np.cumsum(cardinalities)[:-1]]).astype(np.int64)
        self.gene: I64 = np.repeat(np.arange(len(cardinalities)), cardinalities)

    def columns(self, points: Genotypes) -> I64:
        """The place of every choice of points (N, G)."""
        return points + self.starts

    def sums(self, values: F64) -> F64:
        """Sums over the choices of each gene, (M, G) of (M, D)."""
        found: F64 = np.add.reduceat(values, self.starts, axis=1)
        return found

    def softmax(self, logits: F64) -> F64:
        """Probabilities of choices, gene by gene, (M, D); of a choice at minus infinity 0."""
        highest = np.maximum.reduceat(logits, self.starts, axis=1)[:, self.gene]
        powers = np.exp(logits - highest)
        shares: F64 = powers / self.sums(powers)[:, self.gene]
        return shares

    def best(self, values: F64) -> Genotypes:
        """The choice of the largest value of each gene, (M, G)."""
        spans = zip(self.starts.tolist(), (self.starts + self.sizes).tolist(), strict=True)
        return np.stack([values[:, first:last].argmax(axis=1) for first, last in spans], axis=1)


class ExpectedError(NamedTuple):
    """A fitted process: known points as `columns` (N, G) of choices, weights `alpha` (N,), `factors` c_g (G,)."""

    choices: Choices
    columns: I64
    alpha: F64
    factors: F64

    def __call__(self, shares: F64) -> tuple[F64, F64]:
        """Expected errors (M,) under probabilities of choices (M, D), and their gradient (M, D)."""
        c = self.factors
        terms = c + (1.0 - c) * shares[:, self.columns]  # (M, N, G), all above 0
        weighted = self.alpha * terms.prod(axis=2)
        slopes = weighted[:, :, None] * (1.0 - c) / terms
        gradient = np.zeros_like(shares)
        for gene, first in enumerate(self.choices.starts.tolist()):
            chosen = self.columns[:, gene] - first
            hot = np.eye(int(self.choices.sizes[gene]))[chosen]
            gradient[:, first : first + hot.shape[1]] = slopes[:, :, gene] @ hot
        return weighted.sum(axis=1), gradient


def _correlations(points: Genotypes, factors: F64) -> F64:
    """prod over genes of c_g where two points differ, (N, N)."""
    logs = np.log(factors)
    total = np.zeros((len(points), len(points)))
    for gene, column in enumerate(points.T):
        total += logs[gene] * (column[:, None] != column[None, :])
    return np.exp(total)


def most_likely(points: Genotypes, errors: F64, *, cut: int) -> Covariance:
    """The covariance under which errors (N,) of points (N, G) are most likely, their amplitude at its best.

    cut : genes of the network, the first ones.

    With K = s^2 (R + noise I) and R = V e V', the best s^2 is y'(R + noise I)^-1 y / N, and the logarithm of the
    likelihood -(N log s^2 + sum of log(e + noise)) / 2 beside a constant.
    """
    genes, best, chosen = points.shape[1], -np.inf, Covariance(_LENGTHS[2], np.inf, _NOISES[-1])
    varied = bool((points[:, cut:] != points[:1, cut:]).any())
    others: Sequence[float] = _OTHER_LENGTHS if varied else (np.inf,)
    for length in _LENGTHS:
        for other in others:
            factors = Covariance(length, other, 0.0).factors(genes, cut)
            values, vectors = np.linalg.eigh(_correlations(points, factors))
            projected = (vectors.T @ errors) ** 2
            for noise in _NOISES:
                spread = np.maximum(values, 0.0) + noise
                amplitude = max(float((projected / spread).mean()), 1e-300)
                likelihood = -0.5 * (len(errors) * np.log(amplitude) + np.log(spread).sum())
                if likelihood > best:
                    best, chosen = float(likelihood), Covariance(length, other, noise)
    return chosen


def expected_error(
    choices: Choices, points: Genotypes, errors: F64, covariance: Covariance, *, cut: int
) -> ExpectedError:
    """The process given errors (N,) of mean 0 of points (N, G)."""
    factors = covariance.factors(points.shape[1], cut)
    matrix = _correlations(points, factors) + covariance.noise * np.eye(len(points))
    alpha = np.asarray(np.linalg.solve(matrix, errors), np.float64)
    return ExpectedError(choices, choices.columns(points), alpha, factors)
