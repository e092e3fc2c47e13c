"""The fit behind a calibration: the most probable values of a handful of knobs and of one free factor of time.

Knobs move in logarithms, within their plausible ranges, through the family's own kernel (maximum a posteriori)::

    minimise  sum_i rho((log predicted_i - log measured_i) / sigma_i)
              + sum_j ((log knob_j - log start_j) / width_j)^2 + (log factor / log 4)^2
    rho(r) = 2 (sqrt(1 + r^2) - 1)     width = log(high / low) / 4

The factor stands for what no knob says: an unknown number of threads, other load on the machine, a clock that is held
down. It makes the whole device slower or faster by the dimension of each knob (`slower`): latencies scale by it
exactly, and the result is a device like any other.

The search is local: a knob whose slope is zero where the fit starts stays there, even if it would show farther away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hwmodels.families.spec import Spec

__all__ = ["Fitted", "fit_knobs", "log_range", "slower", "time_powers"]

F64 = npt.NDArray[np.float64]
Predict = Callable[[Any, Mapping[str, F64]], F64]
_S = TypeVar("_S", bound=Spec)

_ROUNDS = 40
_STEP = 1e-3  # of a knob's logarithm, in differences
_FACTOR_WIDTH = float(np.log(4.0))  # ASSUMED: of a free factor's logarithm; plausible log 2 to log 16

_TIME_POWERS = {"s": 1.0, "Hz": -1.0, "B/s": -1.0, "1/s": -1.0}
"""Unit of a knob -> the power of seconds in it. Power is left alone: a slower machine draws its watts for longer."""


class Fitted(NamedTuple, Generic[_S]):
    """A fitted device, and the free factor of time in it; 1 where none was free."""

    spec: _S
    factor: float = 1.0


def time_powers(spec: Spec) -> dict[str, float]:
    """The real knobs whose unit holds a time, with its power.

    >>> from hwmodels.catalog import device
    >>> time_powers(device("systolic_edge").spec)
    {'clock_hz': -1.0, 'dram_bytes_per_s': -1.0}
    """
    return {
        name: _TIME_POWERS[knob.unit]
        for name, knob in type(spec).knobs().items()
        if knob.unit in _TIME_POWERS and isinstance(spec.values()[name], float)
    }


def slower(spec: _S, factor: float) -> _S:
    """The device on which everything takes `factor` times as long.

    Where all rates and times of a family are knobs, every latency is `factor` times that of `spec`, to rounding.

    >>> from hwmodels.catalog import device
    >>> slower(device("systolic_edge").spec, 2.0).clock_hz / device("systolic_edge").spec.clock_hz
    0.5
    """
    known, values = type(spec).knobs(), spec.values()
    return spec.changed(
        {
            name: min(max(values[name] * factor**power, known[name].low), known[name].high)
            for name, power in time_powers(spec).items()
            if values[name] > 0
        }
    )


def fit_knobs(
    predict: Predict,
    start: _S,
    names: Sequence[str],
    *,
    measured: F64,
    sigma: F64,
    chosen: Any = slice(None),
    free_factor: bool = False,
) -> Fitted[_S]:
    """The most probable values of the named knobs, and of the free factor where there is one.

    predict : (spec, knob -> (C,) values) -> (C, R) logarithms. measured, sigma : (R,) logarithms and their standard
    deviations. chosen : the entries of all three that count.
    """
    from scipy.optimize import least_squares

    if not names and not free_factor:
        return Fitted(start)
    given, known = start.values(), type(start).knobs()
    powers = {name: power for name, power in time_powers(start).items() if given[name] > 0} if free_factor else {}
    ranges = np.array([log_range(start, name) for name in names]).reshape(-1, 2)
    centre = np.log([float(given[name]) for name in names])
    width = (ranges[:, 1] - ranges[:, 0]) / 4
    if free_factor:
        # The last unknown is the factor's logarithm: anywhere, at a price.
        ranges = np.vstack([ranges, [-np.inf, np.inf]])
        centre, width = np.append(centre, 0.0), np.append(width, _FACTOR_WIDTH)

    def knobs_at(values: F64) -> dict[str, F64]:
        """(C, K) logarithms -> knob -> (C,) values."""
        inside = np.clip(values, ranges[:, 0], ranges[:, 1])
        moved = {name: inside[:, index] for index, name in enumerate(names)}
        for name, power in powers.items():
            moved[name] = moved.get(name, np.full(len(values), np.log(given[name]))) + power * inside[:, -1]
        # An efficiency of one is allowed, exp(log 1 + 1e-9) is not.
        return {name: np.clip(np.exp(column), known[name].low, known[name].high) for name, column in moved.items()}

    def residuals(values: F64) -> F64:
        """(C, K) logarithms -> (C, R + K)."""
        error = ((predict(start, knobs_at(values)) - measured) / sigma)[:, chosen]
        robust = np.sign(error) * np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
        return np.concatenate([robust, (values - centre) / width], axis=1)

    def slopes(values: F64) -> F64:
        """(R + K, K) by differences towards the inside of the ranges, all unknowns in one call."""
        step = np.where(values + _STEP < ranges[:, 1], _STEP, -_STEP)
        found = residuals(np.concatenate([values[None], values + np.diag(step)]))
        jacobian: F64 = ((found[1:] - found[0]) / step[:, None]).T
        return jacobian

    low, high = ranges[:, 0] - 1e-9, ranges[:, 1] + 1e-9  # bounds are open, and the start may lie on one
    found = least_squares(
        lambda values: residuals(values[None])[0], centre, jac=slopes, bounds=(low, high), max_nfev=_ROUNDS,
        x_scale=width, xtol=1e-4, ftol=1e-4,
    )  # fmt: skip
    spec = start.changed({name: float(column[0]) for name, column in knobs_at(found.x[None]).items()})
    return Fitted(spec, float(np.exp(found.x[-1])) if free_factor else 1.0)


def log_range(spec: Spec, name: str) -> tuple[float, float]:
    """Logarithms of a knob's plausible range, widened to hold the value that the fit starts from."""
    knob = type(spec).knobs()[name]
    assert knob.plausible is not None
    low, high = knob.plausible
    value = float(spec.values()[name])
    return float(np.log(min(low, value))), float(np.log(max(high, value)))
