"""From measurements to a fitted device: a handful of knobs and a free factor, with their error.

`hwmodels.fit` has the equations. A knob that no measurement shows keeps its value, ten measurements suffice, and
nothing leaves physics. The error comes from networks that the fit has not seen, not from layers of one that it has. Two
baselines stand beside it, fitted and held out in the same way: the uncalibrated prediction times one constant, and the
MACs times one constant. Where the first predicts better than the fit, it is the calibration.

Refused: measurements in formats that the device does not compute, and times so far from it that the unit or the device
is mistaken. Not modelled: drift, systematic differences between measured and real use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import Device
from hwmodels.coverage import Coverage, coverage_of, write_coverage
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.executed_formats import executed_formats
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Knob, Spec, stack
from hwmodels.files import write_text
from hwmodels.fit import Fitted, fit_knobs, log_range, slower
from hwmodels.measurements import Measurement, workload_of
from hwmodels.validate import score
from hwmodels.workload.table import I64, LayerTable, layer_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Baseline", "Calibration", "FitError", "calibrate", "error_on", "nearest_device", "write_device"]

F64 = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]
Fit = Callable[["_Problem", Spec, Sequence[str], Rows], Fitted[Spec]]

_SIGMA = 0.1  # ASSUMED: the model's own error on a layer, relative; plausible 0.05 to 0.3
_FOLDS = 5
_LEAST_EFFECT = 1e-3
"""The fit leaves knobs alone that move no prediction by this share over their plausible range."""
_SCATTER = 5.0
"""Mean error in percent, on unseen networks, up to which knobs alone explain a machine."""
_WORTH_A_FACTOR = 0.8
"""A free factor joins where that error falls below this share of what knobs alone leave."""
_CLEARLY = 0.5
"""Percentage points by which the factor alone must predict better: it explains nothing."""
_FARTHEST = 30.0
"""A machine is at most this many times slower or faster than the device that its fit starts from."""


@dataclass(frozen=True)
class Baseline:
    """Errors in percent of a prediction that is no fit of knobs, on the rows that the fit's error is of."""

    name: str
    mape: float
    median: float


@dataclass(frozen=True)
class FitError:
    """Errors of predictions in percent; `before` are those of the device that the fit started from, same rows.

    baselines : of one constant times the uncalibrated prediction, and times the MACs, held out as the fit is.
    """

    protocol: str
    rows: int
    mape: float
    median: float
    p90: float
    spearman: float
    before_mape: float
    before_median: float
    baselines: tuple[Baseline, ...] = ()

    @property
    def better_baseline(self) -> Baseline | None:
        """The baseline that clearly predicts better than the calibration, if one does."""
        best = min(self.baselines, key=lambda baseline: baseline.mape, default=None)
        return best if best is not None and best.mape < self.mape - _CLEARLY else None


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """A fitted device.

    knobs : name -> (start, fitted), the factor included. factor : how many times longer everything takes than the
    knobs alone say. scaled : the factor alone predicts better than a fit of knobs, and is the calibration. error : on
    networks that the fit did not see. predicted : (R,) seconds of all rows by the final fit. fitted_on : how many
    measurements of what.
    """

    device: Device
    spec: Spec
    knobs: Mapping[str, tuple[float, float]]
    error: FitError
    predicted: F64
    fitted_on: str
    coverage: Coverage
    factor: float = 1.0
    scaled: bool = False

    def to_frame(self) -> pd.DataFrame:
        """One row a fitted knob: where the fit started and where it ended."""
        import pandas as pd

        rows = [(name, start, fitted, fitted / start) for name, (start, fitted) in self.knobs.items()]
        return pd.DataFrame(rows, columns=["knob", "start", "fitted", "ratio"])

    def __repr__(self) -> str:
        error = self.error
        fitted = f"scaled by {self.factor:.3g}" if self.scaled else f"{len(self.knobs)} knobs"
        return (
            f"Calibration({self.device.name}, {fitted}, {self.fitted_on}; "
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
    SpecError : no measurement, an unknown knob or one without a range, formats that the device does not compute, or
        times so far from it that the unit or the device is mistaken.
    """
    if not measurements:
        raise SpecError("measurements", "none", "at least one row")
    problem = _problem(device.model, device.spec, measurements)
    names = _chosen(device.spec, problem) if knobs is None else _checked(device.spec, knobs)
    _check_machine(device, measurements, problem)
    found, error = _best(problem, device.spec, names, _folds(measurements))
    spec, factor = found(problem, device.spec, names, np.ones(len(measurements), bool))
    start, fitted = device.spec.values(), spec.values()
    shown = () if found is _scale else names
    return Calibration(
        device=device,
        spec=spec,
        knobs={name: (float(start[name]), float(fitted[name])) for name in start if _moved(name, shown, start, fitted)},
        error=error,
        predicted=np.exp(problem.at(spec)[: len(measurements)]),
        fitted_on=_fitted_on(measurements),
        coverage=coverage_of(measurements),
        factor=factor,
        scaled=found is _scale,
    )


def nearest_device(devices: Sequence[Device], measurements: Sequence[Measurement]) -> Device:
    """The device whose predictions, times one constant, come closest to the measurements.

    Devices that cannot be what was measured (`calibrate` refuses them) are passed over.

    Raises
    ------
    SpecError : no device is left.
    """
    found: list[tuple[float, Device]] = []
    for device in devices:
        try:
            problem = _problem(device.model, device.spec, measurements)
            _check_machine(device, measurements, problem)
        except SpecError:
            continue
        apart = (problem.log_measured - problem.at(device.spec))[: len(measurements)]
        found.append((float(np.mean(np.abs(apart - np.median(apart)))), device))
    if not found:
        names = ", ".join(device.name for device in devices[:8])
        raise SpecError("measurements", f"{len(measurements)} rows", f"times of a machine like one of {names}")
    return min(found, key=lambda item: item[0])[1]


def error_on(calibration: Calibration, measurements: Sequence[Measurement]) -> tuple[FitError, F64]:
    """Errors on measurements that the fit did not see, and the seconds that it predicts for them, (R,)."""
    device = calibration.device
    problem = _problem(device.model, device.spec, measurements)
    rows = len(measurements)
    before, predicted = (np.exp(problem.at(spec)[:rows]) for spec in (device.spec, calibration.spec))
    networks = {measurement.network for measurement in measurements}
    protocol = f"on {len(networks)} networks apart"
    return _fit_error(protocol, predicted, np.exp(problem.log_measured[:rows]), before), predicted


def _best(problem: _Problem, start: Spec, names: Sequence[str], folds: _Folds) -> tuple[Fit, FitError]:
    """The simplest kind of fit that predicts what it has not seen, with its error.

    A free factor joins the knobs where they leave more than measurements scatter, and it takes much of that away.
    The factor alone is the fit where it predicts better than either.
    """

    def error_of(fit: Fit) -> FitError:
        return _error(problem, start, folds, lambda seen: fit(problem, start, names, seen).spec)

    found, error = _fit, error_of(_fit)
    if len(set(folds.of.tolist()) - {-1}) < 2:  # nothing is unseen
        return found, error
    if error.mape > _SCATTER:
        freely = error_of(_fit_freely)
        if freely.mape < _WORTH_A_FACTOR * error.mape:
            found, error = _fit_freely, freely
    scaled = error_of(_scale)
    if scaled.mape < error.mape - _CLEARLY:
        found, error = _scale, scaled
    return found, error


def _fit(problem: _Problem, start: Spec, names: Sequence[str], seen: Rows) -> Fitted[Spec]:
    """Knobs alone."""
    return fit_knobs(
        problem.predict, start, names, measured=problem.log_measured, sigma=problem.sigma, chosen=problem.only(seen)
    )


def _fit_freely(problem: _Problem, start: Spec, names: Sequence[str], seen: Rows) -> Fitted[Spec]:
    """Knobs and the free factor."""
    return fit_knobs(
        problem.predict, start, names, measured=problem.log_measured, sigma=problem.sigma, chosen=problem.only(seen),
        free_factor=True,
    )  # fmt: skip


def _scale(problem: _Problem, start: Spec, names: Sequence[str], seen: Rows) -> Fitted[Spec]:
    """The factor alone; knobs of energy and power besides, where energies were measured."""
    apart = (problem.log_measured - problem.at(start))[: seen.size]
    factor = float(np.exp(np.median(apart[seen])))
    spec = slower(start, factor)
    powered = [name for name in names if type(start).knobs()[name].unit[:1] in ("J", "W")]
    if problem.energy_rows.size and powered:
        spec = fit_knobs(
            problem.predict, spec, powered, measured=problem.log_measured, sigma=problem.sigma,
            chosen=problem.only(seen),
        ).spec  # fmt: skip
    return Fitted(spec, factor)


def _moved(name: str, names: Sequence[str], start: Mapping[str, Any], fitted: Mapping[str, Any]) -> bool:
    return isinstance(start[name], float) and (name in names or start[name] != fitted[name])


def _check_machine(device: Device, measurements: Sequence[Measurement], problem: _Problem) -> None:
    """Refuse what cannot be times of a machine like `device`.

    Raises
    ------
    SpecError : with the likely reason.
    """
    for row in measurements:
        rounded = [item for item in executed_formats(workload_of(row), device.spec) if item.how == "rounded"]
        if rounded:
            asked, computed = rounded[0].asked, rounded[0].computed
            expected = f"times of a machine like {device.name}, which computes {asked} as {computed}"
            raise SpecError(f"measurements: {row.name}", asked, expected, "another device, or the rows' precision?")
    apart = (problem.log_measured - problem.at(device.spec))[: len(measurements)]
    factor = float(np.exp(np.median(apart)))
    if not 1 / _FARTHEST <= factor <= _FARTHEST:
        likely = min(("milliseconds", 1e3), ("microseconds", 1e6), key=lambda unit: abs(np.log(factor / unit[1])))
        unit = abs(np.log(factor / likely[1])) < np.log(_FARTHEST)
        reason = f"are they in {likely[0]}?" if unit else "another kind of machine? --like names one nearer to it"
        times = f"{factor:.3g} times those of {device.name}" if factor > 1 else f"1/{1 / factor:.3g} of {device.name}'s"
        raise SpecError("measurements", f"seconds that are {times}", f"within a factor of {_FARTHEST:g}", reason)


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
        ends = [spec.changed({name: float(np.exp(end))}) for end in log_range(spec, name)]
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


class _Folds(NamedTuple):
    """Which rows are held out together, and which are never: (R,) numbers of folds, -1 for those in every fit."""

    of: npt.NDArray[np.int64]
    protocol: str


def _folds(measurements: Sequence[Measurement]) -> _Folds:
    """Folds of networks; layers of their own stay in every fit.

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
    fold = [fold_of.get(name, -1) if out else -1 for name, out in zip(groups, held_out, strict=True)]
    return _Folds(np.array(fold), protocol)


def _error(problem: _Problem, start: Spec, folds: _Folds, fit: Callable[[Rows], Spec]) -> FitError:
    """Each fold predicted by a fit without it; one row in all is in its own fit."""
    rows = folds.of.size
    before, measured = (np.exp(column[:rows]) for column in (problem.at(start), problem.log_measured))
    predicted = np.full(rows, np.nan)
    constants = {"one constant": before, "MACs times a constant": _macs(problem)}
    simple = {name: np.full(rows, np.nan) for name in constants}
    for index in sorted(set(folds.of.tolist()) - {-1}):
        out = folds.of == index
        seen = ~out if (~out).any() else out
        predicted[out] = np.exp(problem.at(fit(seen))[:rows][out])
        for name, column in constants.items():
            simple[name][out] = column[out] * np.exp(np.median(np.log(measured[seen] / column[seen])))
    held = folds.of >= 0
    found = _fit_error(folds.protocol, *(column[held] for column in (predicted, measured, before)))
    baselines = [
        Baseline(name, score("mape", column[held], measured[held]), score("median_error", column[held], measured[held]))
        for name, column in simple.items()
        if np.isfinite(column[held]).all()
    ]
    return replace(found, baselines=tuple(baselines))


def _macs(problem: _Problem) -> F64:
    """MACs a row, (R,); NaN where there are none."""
    macs = problem.table.totals("macs").astype(np.float64)[problem.network]
    return np.where(macs > 0, macs, np.nan)


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
    how = f"scaled by {calibration.factor:.3g}, " if calibration.scaled else ""
    summary = (
        f"like {device.name}, {how}{origin}; error {error.mape:.3g} % (median {error.median:.3g} %) {error.protocol}"
    )
    content: dict[str, Any] = {"name": path.stem, "family": device.model.name, "summary": summary}
    content |= {"runtime": device.runtime} if device.runtime else {}
    content["knobs"] = knobs
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000))
    write_coverage(calibration.coverage, path)
