"""What a library's collectives take, fitted to curves of time over size: the most probable constants.

Constants move in logarithms within their plausible ranges::

    minimise  sum over curves, sizes of 10 rho((log predicted - log measured) / 0.1) w / sizes of the curve
              + weight x sum over constants of ((log constant - log centre) / width)^2
    rho(r) = 2 (sqrt(1 + r^2) - 1)        w: 1 from 1 MB on, a quarter below

A fit starts at the geometric middle of the ranges, not at the constants that ship.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.collectives import Collective
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.families.multigpu.spec import MultiGpuSpec

__all__ = ["LEAST_BYTES", "PROTOCOL", "Curve", "fitted", "predicted", "ring_at_one_bandwidth"]

F64 = npt.NDArray[np.float64]

PROTOCOL = (
    "start_cycles", "ramp_cycles", "step_cycles", "link_efficiency", "pair_efficiency", "low_start_cycles",
    "low_step_cycles", "low_efficiency",
)  # fmt: skip
LEAST_BYTES = 1e6
_SPREAD = 0.1  # ASSUMED: relative, of a measurement around the model; plausible 0.05 to 0.2
_SMALL = 0.25  # ASSUMED: weight of a message below 1 MB, of which no score is held to a bar


class Curve(NamedTuple):
    """Times of one collective over one group, by size. size_bytes, seconds : (N,)."""

    what: Collective
    ranks: int
    size_bytes: F64
    seconds: F64

    def take(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Curve:
        """Some of the sizes."""
        return self._replace(size_bytes=self.size_bytes[which], seconds=self.seconds[which])


def predicted(curve: Curve, spec: MultiGpuSpec, constants: Mapping[str, float] | None = None) -> F64:
    """Seconds at every size of a curve, (N,)."""
    return group_s(fabric_of(spec.changed(constants or {})), curve.what, curve.size_bytes, curve.ranks)


def fitted(
    cases: Sequence[tuple[MultiGpuSpec, Curve]], names: Sequence[str], *, centre: Mapping[str, float] | None = None,
    weight: float = 0.01, ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, float]:  # fmt: skip
    """The constants that suit all curves best.

    centre : what they are drawn to with `weight`, and where the fit starts. ranges : other than the plausible ones.
    """
    from scipy.optimize import least_squares

    known = MultiGpuSpec.knobs()
    of_knobs = {name: known[name].plausible or (known[name].low, known[name].high) for name in names}
    limits = np.log([{**of_knobs, **(ranges or {})}[name] for name in names])
    low, high = limits.T
    start = limits.mean(axis=1) if centre is None else np.log([centre[name] for name in names])
    start, width = np.clip(start, low + 1e-6, high - 1e-6), (high - low) / 4

    def residuals(point: F64) -> F64:
        constants = dict(zip(names, np.exp(point).tolist(), strict=True))
        found = []
        for spec, curve in cases:
            error = np.log(predicted(curve, spec, constants) / curve.seconds) / _SPREAD
            robust = np.sign(error) * np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
            weights = np.where(curve.size_bytes >= LEAST_BYTES, 1.0, _SMALL) / curve.seconds.size
            found.append(robust * np.sqrt(weights * 10.0))
        return np.concatenate([*found, (point - start) / width * np.sqrt(weight)])

    found = least_squares(residuals, start, bounds=(low, high), max_nfev=60, xtol=1e-4, ftol=1e-4, diff_step=1e-3)
    return {name: float(value) for name, value in zip(names, np.exp(found.x), strict=True)}


def ring_at_one_bandwidth(curve: Curve, bytes_per_s: float = 1.0) -> F64:
    """What a rank sends over one bandwidth, (N,); of `send`, the message."""
    n = curve.ranks
    share = {"send": 1.0, "all_reduce": 2.0 * (n - 1) / n}.get(curve.what, (n - 1) / n)
    found: F64 = share * curve.size_bytes / bytes_per_s
    return found
