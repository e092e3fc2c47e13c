"""Accuracy on phase-change memory at search speed: from a cell, its way of training and a chip's numerics, untrained.

A regressor is fitted to a few cells of a table for each way of training and each arithmetic of the table; it reads the
network's features (`codesign.estimate.network_features`) and the error of its plain training in float, which is known
of every cell. A time since programming between two of the table is met on the straight line over ln t: conductances
drift as a power of time [Joshi et al., Nature Communications 11, 2020], so that steps of a decade lose about the same.

    digits-analog        ours, ships: `codesign.estimate.digits_analog`
    nasbench201-analog   published, read from the reference folder: `codesign.estimate.analog_cells`

Not modelled: times outside of the table's, ADCs and cells that the table was not made with; they are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.estimate.base import Effort, Estimate, Request
from codesign.estimate.network_features import Columns, Features, features_of
from codesign.estimate.predictor import with_error_beside
from codesign.estimate.regressors import Predicted, RegressorName, fit
from codesign.estimate.table import AccuracyTable
from codesign.registry import Plugin, Settings
from codesign.space.trained_cells import TrainedCells
from codesign.task import Better
from hwmodels.errors import SpecError
from hwmodels.families.spec import numerics_of
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.rewrite import prune_dead_branches

if TYPE_CHECKING:
    from codesign.space.hardware import HardwareSpace
    from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "AnalogPredictor", "AnalogSettings", "AnalogTable", "TableName", "analog_table"]

F64 = npt.NDArray[np.float64]

TableName = Literal["digits-analog", "nasbench201-analog"]
_DATA = "noisy-digits"
_CHECKED = 50_000  # designs that are looked at before a run
_FEWEST = 8  # cells below which nothing is fitted, as of the predictor


class AnalogTable(NamedTuple):
    """A table with what is known of every cell beforehand.

    space : of the table. known : (cells,) error of the plain training in float, by number of the cell.
    """

    table: AccuracyTable
    space: TrainedCells
    known: F64


def analog_table(name: TableName, path: Path | None = None) -> AnalogTable:
    """A table by name; the published one from the reference folder, of the variable CODESIGN_REFERENCE by default.

    Raises
    ------
    SpecError : a path for the table that ships, or files that are missing.
    """
    if name == "nasbench201-analog":
        from codesign.estimate.analog_cells import read_analog_cells
        from codesign.estimate.published_cells import read_published_cells

        table = read_analog_cells(path)
        known = 1.0 - read_published_cells(path, name, "baseline").scores
    else:
        from codesign.estimate.digits_analog import digits_analog
        from codesign.estimate.table import digits_cells

        if path is not None:
            raise SpecError("path", path, f"needed: {name} ships with the package")
        table, trained = digits_analog(), digits_cells()
        known = np.full(trained.space.size, np.nan)
        known[trained.cells] = 1.0 - trained.accuracy(FLOAT)
    space = table.space
    if not isinstance(space, TrainedCells):
        raise SpecError(table.name, type(space).__name__, "a table of cells by way of training")
    return AnalogTable(table, space, known)


class _Between(NamedTuple):
    """A time between two of the table: positions of their arithmetics, and the share of the later one."""

    before: int
    after: int
    share: float


class AnalogPredictor:
    """A `codesign.estimate.base.Estimator` fitted to some cells of a table.

    Parameters
    ----------
    source : the table. first : how many cells it is fitted to, each in every way of training. model : which regressor.
    seed : draws these cells, and what is random about a fit.
    """

    effort: Effort = "nothing"

    def __init__(self, source: AnalogTable, first: int, model: RegressorName, *, seed: int) -> None:
        if not _FEWEST <= first <= len(source.space.known):
            told = f"{_FEWEST} to {len(source.space.known)} cells of {source.table.name}"
            raise SpecError("estimator.first", first, told)
        self.source, self.first, self.model, self.seed = source, first, model, seed
        rng = np.random.default_rng(np.random.SeedSequence([seed, first]))
        self.fitted_on = np.sort(rng.permutation(source.space.known)[:first])
        self._models: dict[tuple[int, int], Any] = {}
        self._features: dict[int, F64] = {}  # of cells that were asked for: one serves every way and arithmetic

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {"predicted_accuracy": "more", "predicted_deviation": "neither", "measured": "neither"}

    @property
    def trained_first(self) -> int:
        """Trainings behind the fit, for the ledger."""
        return self.first * self.source.space.ways

    def key(self, request: Request) -> str:
        """Table, fit, network and what of the arithmetic is read."""
        asked = [float(getattr(request.numerics, name)) for name in self.source.table.read]
        fitted = f"{self.source.table.name}/{self.first}/{self.model}/{self.seed}"
        return f"analog/{fitted}/{self._number(request)}/{asked}/{request.fidelity}"

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """Predictions in the order asked; only full fidelity is predicted."""
        for position, request in enumerate(requests):
            if request.fidelity != 1:
                raise SpecError(f"{self.source.table.name}: fidelity", request.fidelity, "1, all that was measured")
            yield position, self._estimate(request)

    def _estimate(self, request: Request) -> Estimate:
        space, place = self.source.space, _between(self.source.table, request.numerics)
        cell, way = divmod(self._number(request), space.ways)
        measured = bool(np.isin(cell, self.fitted_on)) and place.before == place.after
        if measured:
            row = int(np.searchsorted(self.source.table.cells, self._number(request)))
            error, deviation = 1.0 - float(self.source.table.validation[row, :, 0, place.before].mean()), 0.0
        else:
            shares = {place.before: 1.0 - place.share} | ({place.after: place.share} if place.share else {})
            ends = [(share, self._predicted(request, cell, way, column)) for column, share in shares.items()]
            error, deviation = (sum(share * float(end[part][0]) for share, end in ends) for part in (0, 1))
        told = dict(zip(self.metrics, (1.0 - error, deviation, float(measured)), strict=True))
        return Estimate(error, deviation, told, 1.0, self.key(request), draws=(1.0 - error,))

    def _predicted(self, request: Request, cell: int, way: int, column: int) -> Predicted:
        if cell not in self._features:
            columns, _ = self._described_cells
            self._features[cell] = columns.matrix([self._described(request, cell)])
        found: Predicted = self._fitted(way, column)(self._features[cell])
        return found

    def _fitted(self, way: int, column: int) -> Any:
        """The model of one way of training under one arithmetic, fitted when it is first asked for."""
        space, table = self.source.space, self.source.table
        if (way, column) not in self._models:
            rows = np.searchsorted(table.cells, self.fitted_on * space.ways + way)
            errors = 1.0 - table.validation[rows, :, 0, column].mean(axis=1)
            _, features = self._described_cells
            self._models[way, column] = fit(self.model, features, errors, seed=self.seed % 2**31)
        return self._models[way, column]

    @cached_property
    def _described_cells(self) -> tuple[Columns, F64]:
        """The columns that are read, and what stands in them of the cells that are fitted."""
        described = [self._described(self._request(cell), cell) for cell in self.fitted_on.tolist()]
        columns = Columns.of(described)
        return columns, columns.matrix(described)

    def _request(self, cell: int) -> Request:
        """A cell as a request, however it is trained."""
        genotype = self.source.space.cells.genotype_of(cell)
        network = prune_dead_branches(self.source.space.cells.workload(genotype))
        return Request(tuple(genotype.tolist()), network, FLOAT, 1.0, 0)

    def _described(self, request: Request, cell: int) -> Features:
        """The features of a canonical cell with its error in float; the arithmetic chooses the model instead."""
        canonical = tuple(self.source.space.cells.genotype_of(cell).tolist())
        described = features_of(request._replace(genotype=canonical, numerics=FLOAT))
        return with_error_beside(described, float(self.source.known[cell]))

    def _number(self, request: Request) -> int:
        """The canonical point of a request.

        Raises
        ------
        SpecError : one that the table does not know.
        """
        space = self.source.space
        point = np.array([request.genotype], np.int64)
        if point.shape[1] != space.n_genes or not space.valid(point)[0]:
            raise SpecError(f"{self.source.table.name}: network", request.genotype, "a cell of the table and its way")
        return int(space.number_of(space.canonical(point))[0])

    def __getstate__(self) -> dict[str, Any]:
        """Settings alone: a worker fits for itself."""
        return {"source": self.source, "first": self.first, "model": self.model, "seed": self.seed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["source"], state["first"], state["model"], seed=state["seed"])  # type: ignore[misc]


def _between(table: AccuracyTable, numerics: Numerics) -> _Between:
    """Where an arithmetic stands among those of a table that differ from it in the time since programming alone.

    Raises
    ------
    SpecError : another device than the table's, or a time outside of it.
    """
    read = [name for name in table.read if name != "drift_s"]
    alike = [
        k for k, known in enumerate(table.numerics) if all(getattr(known, n) == getattr(numerics, n) for n in read)
    ]
    if not alike:
        nearest = min(
            table.numerics, key=lambda known: sum(getattr(known, name) != getattr(numerics, name) for name in read)
        )
        wrong = {n: getattr(nearest, n) for n in read if getattr(nearest, n) != getattr(numerics, n)}
        told = ", ".join(f"{name} {getattr(numerics, name)}" for name in wrong)
        wanted = ", ".join(f"{name} {value}" for name, value in wrong.items())
        raise SpecError(f"{table.name}: numerics", told, f"what it was made with: {wanted}")
    alike.sort(key=lambda k: table.numerics[k].drift_s)
    times = np.array([table.numerics[k].drift_s for k in alike])
    if not times[0] <= numerics.drift_s <= times[-1]:
        raise SpecError(f"{table.name}: drift_s", numerics.drift_s, f"{times[0]:g} to {times[-1]:g} s")
    after = int(np.searchsorted(times, numerics.drift_s))
    if times[after] == numerics.drift_s:
        return _Between(alike[after], alike[after], 0.0)
    share = log(numerics.drift_s / times[after - 1]) / log(times[after] / times[after - 1])
    return _Between(alike[after - 1], alike[after], share)


class AnalogSettings(Settings):
    """Networks of the space `trained_cells` are judged on phase-change memory without a training."""

    table: TableName = Field("digits-analog", description="ours, which ships, or the published one")
    path: Path | None = Field(None, description="reference folder of nasbench201-analog")
    first: int = Field(
        50, ge=0, le=10_000, description="cells of the table that it is fitted to; 0 looks all of them up"
    )
    model: RegressorName = Field("mlp", description="what predicts the error")


def _make(settings: AnalogSettings, problem: Problem) -> AnalogPredictor | AccuracyTable:
    """The estimator, if the run is over the networks of its table.

    Raises
    ------
    SpecError : other networks, images or hardware than the table's, or too few cells to fit.
    """
    source, space = analog_table(settings.table, settings.path), problem.joint.architecture
    if settings.table == "digits-analog" and problem.data is not None and problem.data.name != _DATA:
        raise SpecError("data.name", problem.data.name, f"{_DATA}, which digits-analog was made from")
    own = source.space
    if not isinstance(space, TrainedCells) or space.at(own.precision).fingerprint != own.fingerprint:
        told = f"the networks of {settings.table}: architecture: {{space: trained_cells, table: {settings.table}}}"
        raise SpecError("architecture", type(space).__name__, told)
    _check_hardware(source.table, problem.joint.hardware, between=settings.first > 0)
    if settings.first == 0:
        return source.table
    return AnalogPredictor(source, settings.first, settings.model, seed=problem.seed)


def _check_hardware(table: AccuracyTable, hardware: HardwareSpace, *, between: bool) -> None:
    """Whether the table answers for every design of a grid, before anything is written; of large ones for a sample.

    Raises
    ------
    SpecError : it does not.
    """
    few = hardware.size <= _CHECKED
    designs = hardware.enumerate() if few else hardware.sample(_CHECKED, np.random.default_rng(0))
    for row in np.unique(hardware.numerics(designs), axis=0):
        numerics = numerics_of(row)
        if between:
            _between(table, numerics)
        else:
            table.column(numerics)


PLUGIN = Plugin(AnalogSettings, _make, "accuracy on phase-change memory, predicted from some cells of a table")
