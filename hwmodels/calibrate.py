"""From measurements to a fitted device: the most probable values of a handful of knobs, with their error.

Knobs move in logarithms, within their plausible ranges, through the family's own kernel (maximum a posteriori)::

    minimise  sum_i rho((log predicted_i - log measured_i) / sigma_i) + sum_j ((log knob_j - log start_j) / width_j)^2
    rho(r) = 2 (sqrt(1 + r^2) - 1)     width = log(high / low) / 4     sigma_i^2 = 0.1^2 + spread_i^2

A knob that no measurement shows keeps its value, ten measurements suffice, and nothing leaves physics. The error comes
from networks that the fit has not seen, never from layers of a network that it has. `Coverage` records what was
measured; `outside` says what a later prediction extrapolates.

The search is local: a knob whose slope is zero where the fit starts stays there, even if it would show farther away.
Not modelled: drift, other load on the machine, systematic differences between measured and real use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import Device
from hwmodels.cost import kind_of
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Knob, Spec, stack
from hwmodels.measurements import Measurement, workload_of
from hwmodels.validate import score
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import I64, LayerTable, layer_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Calibration", "Coverage", "FitError", "calibrate", "coverage_of", "error_on", "fit_knobs",
           "read_coverage",
           "write_device"]  # fmt: skip

F64 = npt.NDArray[np.float64]
Predict = Callable[[Any, Mapping[str, F64]], F64]

_SIGMA = 0.1  # ASSUMED: the model's own error on a layer, relative; plausible 0.05 to 0.3
_FOLDS = 5
_LEAST_EFFECT = 1e-3
"""The fit leaves knobs alone that move no prediction by this share over their plausible range."""
_ROUNDS = 40
_STEP = 1e-3  # of a knob's logarithm, in differences


@dataclass(frozen=True)
class FitError:
    """Errors of predictions in percent; `before` are those of the device that the fit started from, same rows."""

    protocol: str
    rows: int
    mape: float
    median: float
    p90: float
    spearman: float
    before_mape: float
    before_median: float


@dataclass(frozen=True)
class Coverage:
    """What was measured: (smallest, largest) MACs or elements by kind of operator, and the conditions."""

    kinds: Mapping[str, tuple[float, float]]
    conditions: Mapping[str, tuple[str, ...]]

    def outside(self, workload: Workload, *, conditions: Mapping[str, Any] | None = None) -> list[str]:
        """What of `workload` lies outside, in words; empty where nothing is extrapolated.

        A size counts as seen within a factor of two of the measured range. `conditions` are those of the prediction
        (batch, threads, runtime, precision, context), as far as they are known.
        """
        found = [
            f"{name} {value} was not measured, {', '.join(self.conditions[name])} was"
            for name, value in (conditions or {}).items()
            if name in self.conditions and str(value) not in self.conditions[name]
        ]
        for kind, (low, high) in _sizes(workload).items():
            if kind not in self.kinds:
                found.append(f"no {kind} was measured")
                continue
            seen_low, seen_high = self.kinds[kind]
            if low < seen_low / 2 or high > seen_high * 2:
                found.append(f"{kind}: {low:.3g} to {high:.3g} operations, measured {seen_low:.3g} to {seen_high:.3g}")
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """A fitted device.

    knobs : name -> (start, fitted). error : on networks that the fit did not see. predicted : (R,) seconds of all
    rows by the final fit. fitted_on : how many measurements of what.
    """

    device: Device
    spec: Spec
    knobs: Mapping[str, tuple[float, float]]
    error: FitError
    predicted: F64
    fitted_on: str
    coverage: Coverage

    def to_frame(self) -> pd.DataFrame:
        """One row a fitted knob: where the fit started and where it ended."""
        import pandas as pd

        rows = [(name, start, fitted, fitted / start) for name, (start, fitted) in self.knobs.items()]
        return pd.DataFrame(rows, columns=["knob", "start", "fitted", "ratio"])

    def __repr__(self) -> str:
        error = self.error
        return (
            f"Calibration({self.device.name}, {len(self.knobs)} knobs, {self.fitted_on}; "
            f"error {error.mape:.3g} %, median {error.median:.3g} %, {error.protocol}; before {error.before_mape:.3g})"
        )

    def _repr_html_(self) -> str:
        """The error and the knobs, for notebooks."""
        knobs: str = self.to_frame().to_html(index=False)
        return f"<p>{escape(repr(self))}</p>{knobs}"


@dataclass(frozen=True, eq=False)
class _Problem:
    """Rows as arrays: networks, the conditions that they ran under, what was measured, and how certain it is."""

    model: CostModel
    table: LayerTable
    network: I64
    config: I64
    conditions: tuple[Mapping[str, Any], ...]
    log_measured: F64
    sigma: F64
    energy_rows: I64

    def predict(self, spec: Spec, columns: Mapping[str, F64]) -> F64:
        """Logarithms of the seconds of every row, then of the joules of those with energy, (C, R + E).

        columns : knob -> (C,) values that replace those of `spec`.
        """
        size = next(iter(columns.values())).size if columns else 1
        variants = [type(spec).table_from(spec.changed(condition), columns) for condition in self.conditions]
        configs = stack(variants)
        network = np.tile(self.network, size)
        config = (self.config * size + np.arange(size)[:, None]).ravel()
        costs = evaluate_pairs(self.model, self.table, configs, network=network, config=config)
        seconds, joules = (costs.columns[name].reshape(size, -1) for name in ("latency_s", "energy_j"))
        predicted: F64 = np.log(np.concatenate([seconds, joules[:, self.energy_rows]], axis=1))
        return predicted

    def at(self, spec: Spec) -> F64:
        """Logarithms of the seconds and joules of one device, (R + E,)."""
        found: F64 = self.predict(spec, {})[0]
        return found

    def only(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Mark the entries of `predict` that belong to the chosen rows, (R + E,)."""
        chosen: npt.NDArray[np.bool_] = np.concatenate([rows, rows[self.energy_rows]])
        return chosen


def calibrate(
    device: Device, measurements: Sequence[Measurement], *, knobs: Sequence[str] | None = None
) -> Calibration:
    """Fit `device` to measurements of one machine.

    Parameters
    ----------
    device : where the fit starts; its family and the knobs that are not fitted stay.
    knobs : names to fit; by default all real knobs with a plausible range that move some prediction.

    Raises
    ------
    SpecError : no measurement, an unknown knob, or one without a range.
    """
    if not measurements:
        raise SpecError("measurements", "none", "at least one row")
    problem = _problem(device.model, device.spec, measurements)
    names = _chosen(device.spec, problem) if knobs is None else _checked(device.spec, knobs)
    spec = fit_knobs(problem.predict, device.spec, names, measured=problem.log_measured, sigma=problem.sigma)
    return Calibration(
        device=device,
        spec=spec,
        knobs={name: (float(device.spec.values()[name]), float(spec.values()[name])) for name in names},
        error=_cross_validated(problem, device.spec, names, measurements),
        predicted=np.exp(problem.at(spec)[: len(measurements)]),
        fitted_on=_fitted_on(measurements),
        coverage=coverage_of(measurements),
    )


def error_on(calibration: Calibration, measurements: Sequence[Measurement]) -> tuple[FitError, F64]:
    """Errors on measurements that the fit did not see, and the seconds that it predicts for them, (R,)."""
    device = calibration.device
    problem = _problem(device.model, device.spec, measurements)
    rows = len(measurements)
    before, predicted = (np.exp(problem.at(spec)[:rows]) for spec in (device.spec, calibration.spec))
    networks = {measurement.network for measurement in measurements}
    protocol = f"on {len(networks)} networks apart"
    return _fit_error(protocol, predicted, np.exp(problem.log_measured[:rows]), before), predicted


def fit_knobs(
    predict: Predict, start: Spec, names: Sequence[str], *, measured: F64, sigma: F64, chosen: Any = slice(None)
) -> Spec:
    """The most probable values of the named knobs.

    predict : (spec, knob -> (C,) values) -> (C, R) logarithms. measured, sigma : (R,) logarithms and their standard
    deviations. chosen : the entries of all three that count.
    """
    from scipy.optimize import least_squares

    if not names:
        return start
    ranges = np.array([_range(start, name) for name in names])
    centre = np.log([float(start.values()[name]) for name in names])
    width = (ranges[:, 1] - ranges[:, 0]) / 4
    highest = [type(start).knobs()[name].high for name in names]
    low, high = ranges[:, 0] - 1e-9, ranges[:, 1] + 1e-9  # bounds are open, and the start may lie on one

    def residuals(values: F64) -> F64:
        """(C, K) logarithms of the knobs -> (C, R + K)."""
        inside = np.clip(values, ranges[:, 0], ranges[:, 1])  # an efficiency of one is allowed, 1 + 1e-9 is not
        columns = {name: np.minimum(np.exp(inside[:, index]), highest[index]) for index, name in enumerate(names)}
        error = ((predict(start, columns) - measured) / sigma)[:, chosen]
        robust = np.sign(error) * np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
        return np.concatenate([robust, (values - centre) / width], axis=1)

    def slopes(values: F64) -> F64:
        """(R + K, K) by differences towards the inside of the ranges, all knobs in one call."""
        step = np.where(values + _STEP < ranges[:, 1], _STEP, -_STEP)
        found = residuals(np.concatenate([values[None], values + np.diag(step)]))
        jacobian: F64 = ((found[1:] - found[0]) / step[:, None]).T
        return jacobian

    found = least_squares(
        lambda values: residuals(values[None])[0], centre, jac=slopes, bounds=(low, high), max_nfev=_ROUNDS,
        x_scale=width, xtol=1e-4, ftol=1e-4,
    )  # fmt: skip
    return _with(start, names, np.clip(found.x, ranges[:, 0], ranges[:, 1]))


def _with(spec: Spec, names: Sequence[str], logarithms: F64) -> Spec:
    values = dict(zip(names, map(float, np.exp(logarithms)), strict=True))
    return spec.changed(values)


def _range(spec: Spec, name: str) -> tuple[float, float]:
    """Logarithms of the plausible range, widened to hold the value that the fit starts from."""
    knob = type(spec).knobs()[name]
    assert knob.plausible is not None
    low, high = knob.plausible
    value = float(spec.values()[name])
    return float(np.log(min(low, value))), float(np.log(max(high, value)))


def _can_move(spec: Spec, knob: Knob) -> bool:
    value = spec.values()[knob.name]
    return isinstance(value, float) and knob.plausible is not None and min(knob.plausible[0], value) > 0


def _checked(spec: Spec, names: Sequence[str]) -> tuple[str, ...]:
    known = type(spec).knobs()
    movable = [name for name, knob in known.items() if _can_move(spec, knob)]
    for name in names:
        if name not in movable:
            raise SpecError.unknown("knob to fit", name, movable)
    return tuple(names)


def _chosen(spec: Spec, problem: _Problem) -> tuple[str, ...]:
    """Knobs that move some prediction by more than `_LEAST_EFFECT` over their plausible range."""
    base = problem.at(spec)
    found = []
    for name, knob in type(spec).knobs().items():
        if not _can_move(spec, knob):
            continue
        ends = [_with(spec, [name], np.array([end])) for end in _range(spec, name)]
        if max(float(np.abs(problem.at(end) - base).max()) for end in ends) > _LEAST_EFFECT:
            found.append(name)
    return tuple(found)


def _problem(model: CostModel, spec: Spec, measurements: Sequence[Measurement]) -> _Problem:
    workloads = [workload_of(measurement) for measurement in measurements]
    unique = {id(workload): workload for workload in workloads}
    position = {key: index for index, key in enumerate(unique)}
    conditions: dict[tuple[tuple[str, Any], ...], int] = {}
    config = [
        conditions.setdefault(tuple(_condition(spec, measurement).items()), len(conditions))
        for measurement in measurements
    ]
    seconds, spread, energy = (
        np.array([getattr(measurement, name) for measurement in measurements], np.float64)
        for name in ("seconds", "spread", "energy_j")
    )
    with_energy = np.flatnonzero(energy > 0)
    sigma = np.hypot(_SIGMA, spread)
    return _Problem(
        model=model,
        table=layer_table(list(unique.values())),
        network=np.array([position[id(workload)] for workload in workloads], np.int64),
        config=np.array(config, np.int64),
        conditions=tuple(dict(condition) for condition in conditions),
        log_measured=np.log(np.concatenate([seconds, energy[with_energy]])),
        sigma=np.concatenate([sigma, sigma[with_energy]]),
        energy_rows=with_energy.astype(np.int64),
    )


def _condition(spec: Spec, measurement: Measurement) -> dict[str, Any]:
    """Knobs that a row states itself, where the family has them."""
    stated: dict[str, Any] = {"context": measurement.context}
    if measurement.threads > 0:
        stated["threads"] = measurement.threads
    return {name: value for name, value in stated.items() if name in type(spec).knobs()}


def _cross_validated(
    problem: _Problem, start: Spec, names: Sequence[str], measurements: Sequence[Measurement]
) -> FitError:
    """Each fold of networks predicted by a fit without them; layers of their own stay in every fit.

    Where fewer than two networks were measured the folds are of layers, and the protocol says so.
    """
    is_layer = np.array([measurement.is_layer for measurement in measurements])
    groups = np.array([measurement.network.split("@")[0] for measurement in measurements])
    over = sorted(set(groups[~is_layer]))
    held_out = ~is_layer
    if len(over) < 2:
        over, held_out = sorted(set(groups)), np.ones(groups.size, bool)
        protocol = "over layers; the error on networks is not known"
    else:
        protocol = f"over {len(over)} networks"
    fold_of = {name: index % min(_FOLDS, len(over)) for index, name in enumerate(over)}
    fold = np.array([fold_of.get(name, -1) if out else -1 for name, out in zip(groups, held_out, strict=True)])
    predicted = np.full(groups.size, np.nan)
    for index in sorted(set(fold_of.values())):
        seen = problem.only(fold != index)
        fitted = (
            fit_knobs(problem.predict, start, names, measured=problem.log_measured, sigma=problem.sigma, chosen=seen)
            if seen.any()
            else start
        )
        predicted[fold == index] = np.exp(problem.at(fitted)[: groups.size][fold == index])
    before = np.exp(problem.at(start)[: groups.size])
    measured = np.exp(problem.log_measured[: groups.size])
    return _fit_error(protocol, *(column[held_out] for column in (predicted, measured, before)))


def _fit_error(protocol: str, predicted: F64, measured: F64, before: F64) -> FitError:
    return FitError(
        protocol=protocol,
        rows=predicted.size,
        mape=score("mape", predicted, measured),
        median=score("median_error", predicted, measured),
        p90=score("p90_error", predicted, measured),
        spearman=score("spearman", predicted, measured) if predicted.size > 2 else float("nan"),
        before_mape=score("mape", before, measured),
        before_median=score("median_error", before, measured),
    )


def _fitted_on(measurements: Sequence[Measurement]) -> str:
    networks = {measurement.network for measurement in measurements if not measurement.is_layer}
    layers = sum(measurement.is_layer for measurement in measurements)
    return f"{len(measurements)} measurements: {layers} of layers, the others of {len(networks)} networks"


def _sizes(workload: Workload) -> dict[str, tuple[float, float]]:
    """(smallest, largest) MACs, or elements of layers without, by kind of operator."""
    sizes: dict[str, tuple[float, float]] = {}
    for _, row in workload.rows():
        kind, size = kind_of(row), float(row.macs or max(row.input_elements, row.output_elements))
        low, high = sizes.get(kind, (size, size))
        sizes[kind] = (min(low, size), max(high, size))
    return sizes


def coverage_of(measurements: Sequence[Measurement]) -> Coverage:
    """The operators, sizes and conditions of measurements."""
    kinds: dict[str, tuple[float, float]] = {}
    for workload in {id(w): w for w in map(workload_of, measurements)}.values():
        for kind, (low, high) in _sizes(workload).items():
            seen_low, seen_high = kinds.get(kind, (low, high))
            kinds[kind] = (min(low, seen_low), max(high, seen_high))
    conditions = {
        name: tuple(sorted({str(getattr(measurement, name)) for measurement in measurements}))
        for name in ("batch", "threads", "runtime", "precision", "context")
    }
    return Coverage(kinds, conditions)


def write_device(calibration: Calibration, path: Path, *, source: str) -> None:
    """The fitted device as a catalogue file, and beside it what was measured, as ``<stem>.coverage.json``.

    Fitted knobs have the source "calibrated on N measurements of <source>"; the others keep theirs.
    """
    import yaml

    device, spec = calibration.device, calibration.spec
    origin = f"calibrated on {calibration.fitted_on}; {source}"
    knobs = {
        name: {"value": spec.values()[name], "source": device.sources[name], "verified": device.verified[name]}
        for name in device.sources
        if name not in calibration.knobs
    }
    knobs |= {name: {"value": fitted, "source": origin} for name, (_, fitted) in calibration.knobs.items()}
    error = calibration.error
    summary = f"like {device.name}, {origin}; error {error.mape:.3g} % (median {error.median:.3g} %) {error.protocol}"
    content = {"name": path.stem, "family": device.model.name, "summary": summary, "knobs": knobs}
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000), encoding="utf-8")
    covered = {
        "kinds": {kind: list(sizes) for kind, sizes in calibration.coverage.kinds.items()},
        "conditions": {name: list(values) for name, values in calibration.coverage.conditions.items()},
    }
    _coverage_path(path).write_text(json.dumps(covered, indent=1), encoding="utf-8")


def read_coverage(path: Path) -> Coverage | None:
    """What the device file at `path` was calibrated on, or None where nothing is recorded."""
    recorded = _coverage_path(path)
    if not recorded.is_file():
        return None
    content = json.loads(recorded.read_text(encoding="utf-8"))
    return Coverage(
        {kind: (float(low), float(high)) for kind, (low, high) in content["kinds"].items()},
        {name: tuple(values) for name, values in content["conditions"].items()},
    )


def _coverage_path(path: Path) -> Path:
    return path.with_suffix(".coverage.json")
