"""Shared constants of a law that is linear in them, fitted to rows of many papers and scored one paper left out.

prediction = (rest + parts · exp(x)) exp(scaled · y), x and y the logarithms of constants over their reference: of
what adds up, and of what multiplies a row to a power of its own, as the activity of serial rows or a node's exponent.
The fit minimises soft-L1 of the logarithm of predicted over measured, the rows of a paper weighing one together, with
a log-normal prior about textbook values: what a few dozen scattered rows cannot tell stays where a textbook has it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Law", "fitted", "leave_one_paper_out", "medians_left_out", "predicted", "spread", "spread_left_out"]

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SOFT = 0.7  # residual, in ln, from which the loss turns linear: a factor of two, the scatter between like chips
_PRIOR_SD = 2.0  # of ln: a factor of 7, weak
_BAND = 0.8  # share of figures that an interval should hold
_FEWEST = 10  # rows of a kind from which it has an interval of its own


class Law(NamedTuple):
    """R rows, K constants. parts : (R, K) at the reference. scaled : (R, S) powers of S constants that multiply a row.
    prior : (K + S,) over the reference."""

    parts: F64
    rest: F64
    measured: F64
    papers: npt.NDArray[np.str_]
    prior: F64
    scaled: F64 | None = None


def predicted(law: Law, logs: F64) -> F64:
    """All rows at constants of `logs`, (R,)."""
    size = law.parts.shape[1]
    linear: F64 = law.rest + law.parts @ np.exp(logs[:size])
    return linear if law.scaled is None else linear * np.exp(law.scaled @ logs[size:])


def fitted(law: Law, kept: Flags) -> F64:
    """Logarithms of the constants over their reference, from the rows that are kept."""
    from scipy.optimize import least_squares

    prior = np.log(law.prior)
    own = Law(law.parts[kept], law.rest[kept], law.measured[kept], law.papers[kept], law.prior,
              None if law.scaled is None else law.scaled[kept])  # fmt: skip
    names, counts = np.unique(own.papers, return_counts=True)
    weight = 1.0 / np.sqrt(counts[np.searchsorted(names, own.papers)])

    def residuals(logs: F64) -> F64:
        ratio = np.log(predicted(own, logs) / own.measured)
        soft = ratio * np.sqrt(2.0 / (1.0 + np.sqrt(1.0 + (ratio / _SOFT) ** 2)))
        return np.concatenate([weight * soft, (logs - prior) / _PRIOR_SD])

    found: F64 = least_squares(residuals, prior).x
    return found


def leave_one_paper_out(law: Law) -> F64:
    """Each row predicted with constants fitted to all papers but its own, (R,)."""
    out = np.empty(law.measured.size)
    for paper in np.unique(law.papers):
        left = law.papers == paper
        out[left] = predicted(law, fitted(law, ~left))[left]
    return out


def medians_left_out(measured: F64, papers: npt.NDArray[np.str_], kinds: npt.NDArray[np.str_]) -> F64:
    """The baseline: each row by the median (of logarithms) of its kind in all papers but its own, (R,).

    A kind that no other paper has takes the median of all.
    """
    out = np.empty(measured.size)
    for i in range(measured.size):
        others = papers != papers[i]
        alike = others & (kinds == kinds[i])
        out[i] = np.exp(np.median(np.log(measured[alike if alike.any() else others])))
    return out


def spread(ratios: F64) -> tuple[float, float]:
    """The band of measured over predicted that holds a new row with probability 0.8, at best: quantiles of n + 1."""
    low, high = np.quantile(ratios, [(1 - _BAND) / 2, (1 + _BAND) / 2], method="weibull")
    return float(low), float(high)


def spread_left_out(ratios: F64, papers: npt.NDArray[np.str_], kinds: npt.NDArray[np.str_]) -> F64:
    """Bands of each row from the ratios of other papers, (R, 2): of its kind, of all where those are fewer than ten."""
    out = np.empty((ratios.size, 2))
    for i in range(ratios.size):
        others = papers != papers[i]
        alike = others & (kinds == kinds[i])
        out[i] = spread(ratios[alike if alike.sum() >= _FEWEST else others])
    return out
