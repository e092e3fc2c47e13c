"""Constants that several GPUs share, fitted to kernels measured on them: the most probable ones.

Knobs move in logarithms within their plausible ranges, through the family's own kernel::

    minimise  sum over devices, rows of rho((log predicted - log measured) / 0.1) 800 / rows of the device
              + sum over knobs of ((log knob - log centre) / width)^2 weight
    rho(r) = 2 (sqrt(1 + r^2) - 1)

A fit starts in the geometric middle of the plausible ranges, not at the constants that ship, which were chosen with all
devices in view; there the ranges' middle is the centre, too, with a weight that decides only what the rows leave open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.compose import tensor_of
from hwmodels.families.gpu.model import MODEL
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.workload.ops import Row
from hwmodels.workload.table import Layers

__all__ = ["Case", "Constants", "Part", "case_of", "fit_shared", "part_of", "seconds", "with_constants"]

F64 = npt.NDArray[np.float64]
Constants = Mapping[str, float]

_SPREAD = 0.1  # ASSUMED: of a kernel's time around the model, relative; plausible 0.05 to 0.2
_ROWS = 800  # rows that a device counts for, and that are drawn of it
_STEP = 0.01  # of a knob's logarithm, in differences: the fastest tile changes by leaps
_FAINT = 0.01  # weight of the middle of the ranges


class Part(NamedTuple):
    """Rows that run on one spec, and how often each measurement runs them.

    which : (N, K) rows of `layers`, one of each of K kinds; a measurement is their sum.
    """

    spec: GpuSpec
    layers: Layers
    which: npt.NDArray[np.int64]


class Case(NamedTuple):
    """Measurements of one device: each is the sum of what it runs in every part. measured : (N,) s."""

    name: str
    parts: tuple[Part, ...]
    measured: F64

    def take(self, rows: npt.NDArray[np.int64]) -> Case:
        """Some of the measurements; layers that they do not run are left out."""
        return Case(self.name, tuple(_take(part, rows) for part in self.parts), self.measured[rows])

    def drawn(self, seed: int, count: int = _ROWS) -> Case:
        """`count` measurements at random, all where there are fewer."""
        return self.take(np.random.default_rng(seed).permutation(self.measured.size)[:count])


def part_of(spec: GpuSpec, rows: Sequence[Sequence[Row]]) -> Part:
    """Rows of each measurement, equally many, as a part."""
    bank: dict[Row, int] = {}
    which = np.array([[bank.setdefault(row, len(bank)) for row in some] for some in rows], np.int64)
    return Part(spec, Layers.of(list(bank)), which)


def case_of(name: str, spec: GpuSpec, rows: Sequence[Sequence[Row]], measured: Sequence[float]) -> Case:
    """A case of one part."""
    return Case(name, (part_of(spec, rows),), np.array(measured))


def _take(part: Part, rows: npt.NDArray[np.int64]) -> Part:
    used, place = np.unique(part.which[rows], return_inverse=True)
    layers = Layers(*(np.ascontiguousarray(column[used]) for column in part.layers))
    return part._replace(layers=layers, which=place.reshape(part.which[rows].shape))


def with_constants(case: Case, constants: Constants) -> Case:
    """The case with other constants."""
    return case._replace(parts=tuple(part._replace(spec=part.spec.changed(constants)) for part in case.parts))


def seconds(case: Case, columns: Mapping[str, F64]) -> F64:
    """Time of all kernels of every measurement under each of C sets of constants, (C, N)."""
    assert MODEL.layerwise is not None
    total = np.zeros(())
    for part in case.parts:
        costs, _ = tensor_of(MODEL.layerwise, part.layers, GpuSpec.table_from(part.spec, columns))
        kernels_s = costs[:, :, MODEL.layerwise.metrics.index("kernels_s")]
        total = total + kernels_s[:, part.which].sum(axis=2)
    return np.asarray(total, np.float64)


def fit_shared(
    cases: Sequence[Case], names: Sequence[str], *, centre: Constants | None = None, weight: float = _FAINT
) -> dict[str, float]:
    """The constants that suit all cases best.

    centre : where the fit starts and what it is drawn to with `weight`; the middle of the plausible ranges by default.
    """
    from scipy.optimize import least_squares

    known = GpuSpec.knobs()
    ranges = np.log([known[name].plausible or (known[name].low, known[name].high) for name in names])
    low, high = ranges.T
    start = ranges.mean(axis=1) if centre is None else np.log([centre[name] for name in names])
    start, width = np.clip(start, low + 1e-6, high - 1e-6), (high - low) / 4

    def residuals(points: F64) -> F64:
        """(C, K) logarithms -> (C, R + K)."""
        values = np.exp(np.clip(points, low, high))
        columns = {name: values[:, index] for index, name in enumerate(names)}
        found = []
        for case in cases:
            error = (np.log(seconds(case, columns)) - np.log(case.measured)) / _SPREAD
            robust = np.sign(error) * np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
            found.append(robust * np.sqrt(_ROWS / case.measured.size))
        return np.concatenate([*found, (points - start) / width * np.sqrt(weight)], axis=1)

    def slopes(point: F64) -> F64:
        """(R + K, K) by differences towards the inside of the ranges, all unknowns in one call."""
        step = np.where(point + _STEP < high, _STEP, -_STEP)
        found = residuals(np.concatenate([point[None], point + np.diag(step)]))
        jacobian: F64 = ((found[1:] - found[0]) / step[:, None]).T
        return jacobian

    found = least_squares(
        lambda point: residuals(point[None])[0], start, jac=slopes, bounds=(low, high), max_nfev=60, xtol=1e-4,
        ftol=1e-4,
    )  # fmt: skip
    return {name: float(value) for name, value in zip(names, np.exp(found.x), strict=True)}
