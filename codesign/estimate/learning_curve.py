"""The error after the last epoch, from the errors after the first ones: a posterior with a prior learned from curves.

A learning curve is a vector z of arcsin(sqrt(error)), whose noise is the same at every error that is counted on images
[Anscombe, Biometrika 35 (1948)]: the mean over each tenth of the training, the last epoch alone for the last tenth.
Curves of one group, as of one data set and number of epochs, are draws of one normal distribution, whose mean and
covariance are unknown and have the conjugate (normal-inverse-Wishart) prior; so a new curve of the group has Student's
distribution [Murphy, Machine Learning, MIT Press 2012, section 4.6.3], with N curves of K tenths and S their scatter
matrix:

    z ~ t(nu, m, (S + nu0 p I) (N + 1) / (N nu)),    nu0 = K + 2,  nu = nu0 + N - K + 1

and what is left of it, given the tenths o that were seen, has it again:

    z_K | z_o ~ t(nu + |o|, m_K + C_Ko C_oo^-1 (z_o - m_o), (nu + d) / (nu + |o|) (C_KK - C_Ko C_oo^-1 C_oK))

with d = (z_o - m_o)' C_oo^-1 (z_o - m_o): a curve unlike those before widens it. Curves are not normal, so the scale is
multiplied, for each number of tenths, by what 90 % of the group's curves need, each predicted by all others. Which
group a curve is of, nobody says but the curve: all are equally likely before, and after o in proportion to the density
of z_o in each. The posterior is their mixture.

A posterior holds for curves like those that taught it. The shipped ones are of 400 cells and chains, on noisy digits
with 40 epochs and on clean ones with 8, 16 and 32, under a rate that falls to zero (`benchmarks/tables/
digits_curves.py`); coverage on held-out ones stands in `benchmarks/results/learning_curves.md`.

Not modelled: the schedule of the rate, which is in the curves; errors that are no share in [0, 1].
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from math import asin, pi, sin, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "TENTHS",
    "CurvePrior",
    "Group",
    "Posterior",
    "RecordedCurve",
    "grouped",
    "learned",
    "recorded_curves",
    "shipped_prior",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

TENTHS = 10
_COVERED = 0.9
_APART = 1e-9  # around ends that rounding has moved
_RIDGE = 1e-4  # p, prior variance of z; ASSUMED, plausible 1e-5 to 1e-3: an error counted on 2,500 images


class Posterior(NamedTuple):
    """A mixture of Student's distributions of arcsin(sqrt(error)) after the last epoch, one a group, (G,) each."""

    location: F64
    scale: F64
    freedom: F64
    weight: F64

    def quantile(self, share: float) -> float:
        """The error that it is below with a probability of `share`."""
        from scipy.optimize import brentq
        from scipy.stats import t

        ends = self.location + self.scale * t.ppf(share, self.freedom)
        low, high = float(ends.min()), float(ends.max())  # the mixture's lies between those of its parts
        angle = low if low == high else float(brentq(lambda z: self._below(z) - share, low - _APART, high + _APART))
        return sin(min(max(angle, 0.0), pi / 2)) ** 2

    def chance_below(self, error: float) -> float:
        """The probability of an error below this one."""
        return self._below(asin(sqrt(min(error, 1.0))))

    def _below(self, angle: float) -> float:
        from scipy.stats import t

        return float(self.weight @ t.cdf((angle - self.location) / self.scale, self.freedom))


class Group(NamedTuple):
    """What curves of one kind have taught: Student's distribution of z in all tenths, and factors of its scale.

    mean : (K,). scale : (K, K). freedom : degrees of freedom. stretch : (K + 1,) by tenths seen.
    """

    mean: F64
    scale: F64
    freedom: float
    stretch: F64


class CurvePrior(NamedTuple):
    """Groups of curves, of which a new curve may be any."""

    groups: tuple[Group, ...]

    def posterior(self, errors: Sequence[float] | F64, epochs: int) -> Posterior:
        """The error after `epochs`, from the errors after the first ones, (n,) with n <= epochs.

        Before the first tenth is over it is the prior.
        """
        seen, values = _tenths(np.asarray(errors, np.float64), epochs)
        seen, values = seen[seen < TENTHS - 1], values[seen < TENTHS - 1]  # what is asked about tells nothing of itself
        found = [_conditional(group.mean, group.scale, group.freedom, seen, values) for group in self.groups]
        density = np.array([_log_density(group, seen, values) for group in self.groups])
        weight = np.exp(density - density.max())
        stretch = np.array([group.stretch[len(errors) * TENTHS // epochs] for group in self.groups])
        location, scale, freedom = np.array(found).T
        return Posterior(location, scale * stretch, freedom, weight / weight.sum())


def learned(groups: Sequence[Sequence[F64]]) -> CurvePrior:
    """The prior that whole curves teach, group by group; each has the errors after every epoch of a training."""
    return CurvePrior(tuple(_group(np.stack([_whole(curve) for curve in curves])) for curves in groups))


def _group(rows: F64) -> Group:
    """What curves (N, K) teach."""
    stretch = np.ones(TENTHS + 1)
    for count in range(TENTHS):
        seen, misses = np.arange(count), []
        for i, row in enumerate(rows):
            location, scale, freedom = _conditional(*_student(np.delete(rows, i, axis=0)), seen, row[:count])
            misses.append(abs(row[-1] - location) / scale)
        stretch[count] = float(np.quantile(misses, _COVERED)) / _half_width(freedom)
    return Group(*_student(rows), stretch)


def _whole(curve: F64) -> F64:
    """All tenths of a curve, (K,); those that a short training skips lie on a line between their neighbours."""
    over, values = _tenths(curve, len(curve))
    filled: F64 = np.interp(np.arange(TENTHS), over, values)
    return filled


def _half_width(freedom: float) -> float:
    """Of the central interval, in scales."""
    from scipy.stats import t

    return float(t.ppf((1 + _COVERED) / 2, freedom))


def _tenths(errors: F64, epochs: int) -> tuple[I64, F64]:
    """Numbers of the tenths that are over, and z of each; short trainings skip some."""
    angles = np.arcsin(np.sqrt(np.clip(errors, 0.0, 1.0)))
    of = (np.arange(1, len(errors) + 1) * TENTHS - 1) // epochs
    over = [k for k in np.unique(of).tolist() if (k + 1) * epochs <= len(errors) * TENTHS]
    values = np.array([angles[of == k].mean() for k in over])
    if TENTHS - 1 in over:
        values[-1] = angles[-1]
    return np.array(over, np.int64), values


def _student(rows: F64) -> tuple[F64, F64, float]:
    """Mean, scale and freedom of the next curve, of rows (N, K)."""
    count, width = rows.shape
    mean, least = rows.mean(axis=0), width + 2.0
    freedom = least + count - width + 1
    scatter = (rows - mean).T @ (rows - mean) + least * _RIDGE * np.eye(width)
    return mean, scatter * (count + 1) / (count * freedom), freedom


def _conditional(mean: F64, scale: F64, freedom: float, seen: I64, values: F64) -> tuple[float, float, float]:
    """Location, scale and freedom of the last tenth, given some before it."""
    across = scale[seen, -1]
    away = values - mean[seen]
    solved = np.linalg.solve(scale[np.ix_(seen, seen)], np.column_stack([across, away]))
    left = scale[-1, -1] - across @ solved[:, 0]
    spread = left * (freedom + away @ solved[:, 1]) / (freedom + len(seen))
    return float(mean[-1] + across @ solved[:, 1]), float(np.sqrt(spread)), freedom + len(seen)


def _log_density(group: Group, seen: I64, values: F64) -> float:
    """Of tenths that were seen, in a group."""
    from scipy.stats import multivariate_t

    if len(seen) == 0:
        return 0.0
    return float(multivariate_t.logpdf(values, group.mean[seen], group.scale[np.ix_(seen, seen)], group.freedom))


class RecordedCurve(NamedTuple):
    """A shipped curve: data, kind and genotype of the network, whether it is kept from the prior, (T,) errors."""

    data: str
    kind: str
    network: str
    held_out: bool
    errors: F64


_IMAGES = {"digits": 360, "noisy-digits": 599}  # of the validation splits


def recorded_curves() -> Iterator[RecordedCurve]:
    """The curves that ship, as `benchmarks/tables/digits_curves.py` wrote them."""
    text = (files("codesign") / "estimate" / "tables" / "digits-curves.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        errors = np.array(row["wrong"].split(), np.float64) / _IMAGES[row["data"]]
        yield RecordedCurve(row["data"], row["kind"], row["network"], row["part"] == "held out", errors)


@lru_cache(maxsize=1)
def shipped_prior() -> CurvePrior:
    """The prior of the curves that ship.

    >>> prior = shipped_prior()
    >>> first = prior.posterior([0.9], 40)  # a first epoch says nothing yet
    >>> later = prior.posterior([0.9, 0.7, 0.5, 0.4, 0.35, 0.33, 0.3, 0.3, 0.28, 0.27, 0.27, *([0.26] * 9)], 40)
    >>> later.quantile(0.95) - later.quantile(0.05) < (first.quantile(0.95) - first.quantile(0.05)) / 2
    True
    """
    return learned(grouped(curve for curve in recorded_curves() if not curve.held_out))


def grouped(curves: Iterable[RecordedCurve]) -> list[list[F64]]:
    """Errors of curves, those of one data set and number of epochs together."""
    found: dict[tuple[str, int], list[F64]] = {}
    for curve in curves:
        found.setdefault((curve.data, len(curve.errors)), []).append(curve.errors)
    return list(found.values())
