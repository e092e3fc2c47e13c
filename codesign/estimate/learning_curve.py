"""The error after the last epoch, from the errors after the first ones: a posterior with a prior learned from curves.

A learning curve is the vector z of ln(error), a mean for each tenth of the training, the last epoch alone in place of
the last tenth. Curves of networks that were trained to the end are draws of one normal distribution, whose mean and
covariance are unknown and have the conjugate (normal-inverse-Wishart) prior; so a new curve has Student's distribution
[Murphy, Machine Learning, MIT Press 2012, section 4.6.3], with N curves of K tenths and S their scatter matrix:

    z ~ t(nu, m, (S + nu0 p I) (N + 1) / (N nu)),    nu0 = K + 2,  nu = nu0 + N - K + 1

and what is left of it, given the tenths o that were seen, has it again:

    z_K | z_o ~ t(nu + |o|, m_K + C_Ko C_oo^-1 (z_o - m_o), (nu + d) / (nu + |o|) (C_KK - C_Ko C_oo^-1 C_oK))

with d = (z_o - m_o)' C_oo^-1 (z_o - m_o): a curve unlike those before widens it. Curves are not normal, so the scale is
multiplied, for each number of tenths, by what 90 % of the learned curves need, each predicted by all others.

A posterior holds for curves like those that taught it. The shipped ones are of 150 cells and chains on noisy digits,
40 epochs under a rate that falls to zero (`benchmarks/tables/digits_curves.py`); the coverage on others of the kind
and on other data stands in `benchmarks/results/learning_curves.md`. Parametric families of curves with independent
noise [Domhan et al., IJCAI'15] were tried first: their 90 % intervals held 75 to 80 %.

Not modelled: the schedule of the rate, which is in the curves; errors that are not positive.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from math import exp, log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["TENTHS", "CurvePrior", "Posterior", "learned", "recorded_curves", "shipped_prior"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

TENTHS = 10
_COVERED = 0.9
_LEAST = 1e-3  # smallest error that is told from none; ASSUMED, plausible 1e-4 to 1e-2: half an image of 500
_RIDGE = 1e-4  # p, prior variance of ln(error); ASSUMED, plausible 1e-5 to 1e-2: keeps the covariance regular


class Posterior(NamedTuple):
    """Student's distribution of ln(error) after the last epoch."""

    location: float
    scale: float
    freedom: float

    def quantile(self, share: float) -> float:
        """The error that it is below with a probability of `share`."""
        from scipy.stats import t

        return exp(self.location + self.scale * float(t.ppf(share, self.freedom)))

    def chance_below(self, error: float) -> float:
        """The probability of an error below this one."""
        from scipy.stats import t

        return float(t.cdf((log(max(error, _LEAST)) - self.location) / self.scale, self.freedom)) if error > 0 else 0.0


class CurvePrior(NamedTuple):
    """What curves have taught: Student's distribution of the ln(error) of all tenths, and factors of its scale.

    mean : (K,). scale : (K, K). freedom : degrees of freedom. stretch : (K,) by tenths seen.
    """

    mean: F64
    scale: F64
    freedom: float
    stretch: F64

    def posterior(self, errors: Sequence[float] | F64, epochs: int) -> Posterior:
        """The error after `epochs`, from the errors after the first ones, (n,) with n <= epochs.

        Before the first tenth is over it is the prior.
        """
        seen, values = _tenths(np.asarray(errors, np.float64), epochs)
        found = _conditional(self.mean, self.scale, self.freedom, seen, values)
        return found._replace(scale=found.scale * float(self.stretch[len(errors) * TENTHS // epochs]))


def learned(curves: F64) -> CurvePrior:
    """The prior that whole curves teach, (N, T) errors with T of at least as many epochs as there are tenths."""
    logs = np.stack([_tenths(curve, curves.shape[1])[1] for curve in curves])
    stretch = np.ones(TENTHS + 1)
    for count in range(TENTHS):
        seen = np.arange(count)
        misses = []
        for i in range(len(logs)):
            found = _conditional(*_student(np.delete(logs, i, axis=0)), seen, logs[i, :count])
            misses.append(abs(logs[i, -1] - found.location) / found.scale)
        stretch[count] = float(np.quantile(misses, _COVERED)) / _half_width(found.freedom)
    return CurvePrior(*_student(logs), stretch)


def _half_width(freedom: float) -> float:
    """Of the central interval, in scales."""
    from scipy.stats import t

    return float(t.ppf((1 + _COVERED) / 2, freedom))


def _tenths(errors: F64, epochs: int) -> tuple[I64, F64]:
    """Numbers of the tenths that are over, and their mean ln(error); short trainings skip some."""
    logs = np.log(np.maximum(errors, _LEAST))
    of = (np.arange(1, len(errors) + 1) * TENTHS - 1) // epochs
    over = [k for k in np.unique(of).tolist() if (k + 1) * epochs <= len(errors) * TENTHS]
    values = np.array([logs[of == k].mean() for k in over])
    if TENTHS - 1 in over:
        values[-1] = logs[-1]
    return np.array(over, np.int64), values


def _student(logs: F64) -> tuple[F64, F64, float]:
    """Mean, scale and freedom of the next curve, of curves (N, K)."""
    count, width = logs.shape
    mean, least = logs.mean(axis=0), width + 2.0
    freedom = least + count - width + 1
    scatter = (logs - mean).T @ (logs - mean) + least * _RIDGE * np.eye(width)
    return mean, scatter * (count + 1) / (count * freedom), freedom


def _conditional(mean: F64, scale: F64, freedom: float, seen: I64, values: F64) -> Posterior:
    """The last tenth, given some of the others; a curve that is whole is known up to the ridge."""
    seen, values = seen[seen < TENTHS - 1], values[seen < TENTHS - 1]
    across = scale[seen, -1]
    away = values - mean[seen]
    solved = np.linalg.solve(scale[np.ix_(seen, seen)], np.column_stack([across, away]))
    left = scale[-1, -1] - across @ solved[:, 0]
    spread = left * (freedom + away @ solved[:, 1]) / (freedom + len(seen))
    return Posterior(float(mean[-1] + across @ solved[:, 1]), float(np.sqrt(spread)), freedom + len(seen))


class RecordedCurve(NamedTuple):
    """A shipped curve: the kind of network, its genotype, whether it is kept from the prior, (T,) errors."""

    kind: str
    network: str
    held_out: bool
    errors: F64


_IMAGES = 599  # of the validation split of noisy digits


def recorded_curves() -> Iterator[RecordedCurve]:
    """The shipped curves; of each four that follow each other, a cell and a chain teach and the others are held out."""
    text = (files("codesign") / "estimate" / "tables" / "digits-curves.csv").read_text(encoding="utf-8")
    rows = csv.reader(text.splitlines())
    next(rows)
    for number, (kind, network, *wrong) in enumerate(rows):
        yield RecordedCurve(kind, network, number % 4 >= 2, np.array(wrong, np.float64) / _IMAGES)


@lru_cache(maxsize=1)
def shipped_prior() -> CurvePrior:
    """The prior of the curves that ship.

    >>> prior = shipped_prior()
    >>> whole = prior.posterior([0.9], 40)  # a first epoch says nothing yet
    >>> seen = prior.posterior([0.9, 0.7, 0.5, 0.4, 0.35, 0.33, 0.3, 0.3, 0.28, 0.27, 0.27, 0.26], 40)
    >>> seen.quantile(0.95) - seen.quantile(0.05) < (whole.quantile(0.95) - whole.quantile(0.05)) / 2
    True
    """
    return learned(np.stack([curve.errors for curve in recorded_curves() if not curve.held_out]))
