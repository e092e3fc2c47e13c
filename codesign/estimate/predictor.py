"""Errors predicted instead of trained, with a standard deviation, by a model fitted to some trainings.

The model is fitted once, to a set of trainings that the run file states: `first: 50`, networks with their arithmetic
drawn by the seed of the run and judged by an inner estimator, or `fitted_on: FOLDER`, what a finished run over the same
networks and data has measured. Fitted anew as trainings arrive, a predictor would answer equal requests differently;
so the content of its trainings is part of the key of a prediction, and better ones make another run::

    estimator: {name: predictor, model: gaussian_process, first: 50, inner: {name: training, draws: 1}}
    estimator: {name: predictor, fitted_on: runs/trained}

What another estimator says of every network may be read beside its shape: float accuracies, say, where the model
predicts those on analogue hardware. It is asked about each network, so it is one that answers at no cost::

    estimator: {name: predictor, inner: {name: table, table: nasbench201-analog},
                beside: {name: table, table: nasbench201}}

A request that was measured is answered by its measurement. The spread of a prediction is the deviation of the model;
metrics are one minus the error as `predicted_accuracy` (`predicted_score` where the inner estimator has no accuracy),
its deviation, and whether it was measured. A front of predictions is no front of trainings: train it before it counts.

How well models rank networks: `benchmarks/results/predictors.md`. Features: `codesign.estimate.network_features`.
Models: `codesign.estimate.regressors`.

Not modelled: what a training at one fidelity says of another; a model is fitted at the fidelity that it is asked about.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.estimate.base import CarriedWeights, Effort, Estimate, Estimator, Request, Trainer, effort_of
from codesign.estimate.network_features import Columns, Features, features_of
from codesign.estimate.regressors import Predicted, RegressorName, fit
from codesign.registry import ESTIMATORS, Plugin, Settings
from codesign.space.recipe_choices import RecipeChoicesSpace
from codesign.task import Better
from hwmodels.errors import SpecError
from hwmodels.families.spec import numerics_of
from hwmodels.numerics import FLOAT
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

if TYPE_CHECKING:
    from codesign.strategy.base import Problem

__all__ = [
    "PLUGIN",
    "Drawn",
    "Measured",
    "Predictor",
    "PredictorSettings",
    "Trainings",
    "drawn_requests",
    "measured_by",
    "with_error_beside",
]

F64 = npt.NDArray[np.float64]

_VERSION = 2  # of the features
_FEWEST = 8  # trainings below which nothing is fitted; ASSUMED, plausible 5 to 20
_LEAST_ERROR = 1e-4  # of which the logarithm is taken; ASSUMED, plausible 1e-5 to 1e-3
_DRAWS = 100  # rounds in which networks that differ are looked for


class Trainings(Protocol):
    """What a model is fitted to.

    requests : (N,) of them; fidelity and seed are those that the predictor is asked about.
    metrics : of whoever measured. trained_first : how many networks are trained for it in this run.
    """

    @property
    def requests(self) -> tuple[Request, ...]: ...

    @property
    def metrics(self) -> Mapping[str, Better]: ...

    @property
    def trained_first(self) -> int: ...

    def key(self, fidelity: float, seed: int) -> str:
        """Content key of requests and errors."""
        ...

    def errors(self, fidelity: float, seed: int) -> F64:
        """The error of each request, (N,)."""
        ...


class Drawn(NamedTuple):
    """Requests that an inner estimator answers."""

    inner: Estimator
    requests: tuple[Request, ...]

    @property
    def metrics(self) -> Mapping[str, Better]:
        return self.inner.metrics

    @property
    def trained_first(self) -> int:
        return len(self.requests) if effort_of(self.inner) == "training" else 0

    def key(self, fidelity: float, seed: int) -> str:
        keys = [[_content(one), self.inner.key(one)] for one in self._asked(fidelity, seed)]
        return hashlib.sha256(json.dumps(["drawn", keys]).encode()).hexdigest()

    def errors(self, fidelity: float, seed: int) -> F64:
        """By the inner estimator, one after the other; weights are not kept."""
        found = []
        for request in self._asked(fidelity, seed):
            if isinstance(self.inner, Trainer):
                self.inner.weights.bring(self.inner.training_key(request), None)
            ((_, estimate),) = self.inner.estimate([request])
            found.append(estimate.error if np.isfinite(estimate.error) else 1.0)
        return np.array(found)

    def _asked(self, fidelity: float, seed: int) -> Iterator[Request]:
        return (request._replace(fidelity=fidelity, seed=seed) for request in self.requests)


class Measured(NamedTuple):
    """Requests whose errors, (N,), are known; they stand for every fidelity and seed."""

    requests: tuple[Request, ...]
    known: F64
    metrics: Mapping[str, Better]
    trained_first: int = 0

    def key(self, fidelity: float, seed: int) -> str:
        content = [[_content(one), error] for one, error in zip(self.requests, self.known.tolist(), strict=True)]
        return hashlib.sha256(json.dumps(["measured", content]).encode()).hexdigest()

    def errors(self, fidelity: float, seed: int) -> F64:
        return self.known


class Predictor:
    """An estimator that answers by a model of the error.

    It is a `codesign.estimate.base.Trainer` whose training are the errors that the model is fitted to: one worker makes
    them and the store keeps them. The model is fitted where it is asked, which takes a second.

    Parameters
    ----------
    model : which regressor. trainings : what it is fitted to. beside : an estimator whose error is a feature, in float.
    """

    effort: Effort = "nothing"

    def __init__(self, model: RegressorName, trainings: Trainings, *, beside: Estimator | None = None) -> None:
        if len(trainings.requests) < _FEWEST:
            raise SpecError("estimator: predictor", f"{len(trainings.requests)} trainings", f"at least {_FEWEST}")
        self.model, self.trainings, self.weights, self.beside = model, trainings, CarriedWeights(), beside
        self._score = "predicted_accuracy" if "accuracy" in trainings.metrics else "predicted_score"
        self._keys: dict[tuple[float, int], str] = {}

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {self._score: "more", "predicted_deviation": "neither", "measured": "neither"}

    @property
    def trained_first(self) -> int:
        """Networks that are trained before the first answer at a fidelity, for the ledger."""
        return self.trainings.trained_first

    def training_key(self, request: Request) -> str:
        """Content key of what the model is fitted to."""
        asked = (request.fidelity, request.seed)
        if asked not in self._keys:
            self._keys[asked] = self.trainings.key(*asked)
        return self._keys[asked]

    def key(self, request: Request) -> str:
        known = None if self.beside is None else self.beside.key(_in_float(request))
        content = [_VERSION, self.training_key(request), self.model, _content(request), request.fidelity, request.seed]
        content.append(known)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """Predictions in the order asked; models are fitted once a call."""
        models: dict[str, _Fitted] = {}
        for position, request in enumerate(requests):
            key = self.training_key(request)
            if key not in models:
                models[key] = self._fitted(request, key)
            yield position, self._estimate(models[key], request)

    def _fitted(self, request: Request, key: str) -> _Fitted:
        """The model at the fidelity and seed of a request, fitted to errors from the store or made here."""
        start, payload = time.perf_counter(), self.weights.get(key)
        if payload is None:
            stream = io.BytesIO()
            np.savez(stream, errors=self.trainings.errors(request.fidelity, request.seed))
            payload = stream.getvalue()
            self.weights.put(key, payload, time.perf_counter() - start)
        with np.load(io.BytesIO(payload), allow_pickle=False) as kept:
            errors: F64 = kept["errors"]
        described = [self._features(one) for one in self.trainings.requests]
        columns = Columns.of(described)
        seed = int(key[:7], 16)  # a random state of scikit-learn is below 2^32
        model = fit(self.model, columns.matrix(described), errors, seed=seed)
        measured = {_content(one): error for one, error in zip(self.trainings.requests, errors.tolist(), strict=True)}
        return _Fitted(columns, model, measured)

    def _features(self, request: Request) -> Features:
        """Its shape and, where there is one, what stands beside it: ln of the error."""
        if self.beside is None:
            return features_of(request)
        ((_, known),) = self.beside.estimate([_in_float(request)])
        return with_error_beside(features_of(request), known.error)

    def _estimate(self, fitted: _Fitted, request: Request) -> Estimate:
        """One prediction at a time: a product of many rows may round a row by what stands beside it."""
        start, error, deviation = time.perf_counter(), fitted.measured.get(_content(request)), 0.0
        is_measured = error is not None
        if error is None:
            predicted: Predicted = fitted.model(fitted.columns.matrix([self._features(request)]))
            error, deviation = float(predicted.error[0]), float(predicted.deviation[0])
        return Estimate(
            error,
            deviation,
            dict(zip(self.metrics, (1.0 - error, deviation, float(is_measured)), strict=True)),
            request.fidelity,
            self.training_key(request),
            draws=(error,),
            seconds=time.perf_counter() - start,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Settings and trainings alone."""
        return {"model": self.model, "trainings": self.trainings, "beside": self.beside}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class _Fitted(NamedTuple):
    """A model with the columns that it reads, and errors that are known, by content of the request."""

    columns: Columns
    model: Any
    measured: Mapping[str, float]


def with_error_beside(features: Features, error: float) -> Features:
    """Features of a network with what is known of its error, as a logarithm."""
    return {**features, "beside": {"error": log(max(error, _LEAST_ERROR))}}


def _in_float(request: Request) -> Request:
    """What is asked of an estimator beside: the network in float, trained to the end."""
    return request._replace(numerics=FLOAT, fidelity=1.0)


def _content(request: Request) -> str:
    """What an error depends on besides fidelity and seed: the network and the arithmetic."""
    genotype, numerics = [int(gene) for gene in request.genotype], [float(value) for value in request.numerics]
    return json.dumps([genotype, _digest(request.workload), numerics])


@lru_cache(maxsize=256)
def _digest(workload: Workload) -> str:
    """Of the layers with their bits and wiring, whatever the network is called."""
    return hashlib.sha256(repr((workload.nodes, workload.outputs)).encode()).hexdigest()


def drawn_requests(problem: Problem, count: int) -> tuple[Request, ...]:
    """`count` networks that differ, each under the arithmetic of a random design, drawn by the seed of the run.

    Raises
    ------
    SpecError : a space with fewer networks.
    """
    rng, space = np.random.default_rng(np.random.SeedSequence([problem.seed, count])), problem.joint
    found: dict[tuple[int, ...], Request] = {}
    for _ in range(_DRAWS):
        points = space.canonical(space.sample(count, rng))
        networks, designs = space.split(points)
        for network, row in zip(networks, space.hardware.numerics(designs), strict=True):
            genotype = tuple(network.tolist())
            if genotype not in found and len(found) < count:
                workload = prune_dead_branches(space.architecture.workload(network))
                found[genotype] = Request(genotype, workload, numerics_of(row), 1.0, problem.seed)
        if len(found) == count:
            return tuple(found.values())
    raise SpecError("estimator.first", count, f"at most the networks of the space: {len(found)} differ in its draws")


def measured_by(folder: Path, problem: Problem) -> Measured:
    """What a run has measured at full fidelity, without what diverged.

    Raises
    ------
    SpecError : no run there, or one over other networks or data.
    """
    from codesign.store import RunStore, checked_manifest

    store, space, where = RunStore.open(folder), problem.joint.architecture, f"estimator.fitted_on: {folder}"
    manifest = checked_manifest(store)
    fingerprints = {"space": space.fingerprint, "data": None if problem.data is None else problem.data.fingerprint}
    for name, own in fingerprints.items():
        if manifest.get(name) != own:
            raise SpecError(where, f"a run over other {'networks' if name == 'space' else name}", "one over the same")
    requests, errors, metrics = [], [], set[str]()
    seen: set[tuple[Any, ...]] = set()
    for _, pair, estimate in store.pairs():
        network = space.canonical(np.array([pair.genotype[: space.n_genes]], np.int64))[0]
        known = (tuple(network.tolist()), pair.numerics)
        if estimate.fidelity < 1 or estimate.diverged or not estimate.metrics.get("measured", 1.0) or known in seen:
            continue
        seen.add(known)
        workload = prune_dead_branches(space.workload(network))
        requests.append(Request(known[0], workload, numerics_of(np.array(pair.numerics)), 1.0, problem.seed))
        errors.append(estimate.error)
        metrics.update(estimate.metrics)
    store.close()
    if not metrics:
        raise SpecError(where, "a run in which nothing is judged at full fidelity", "one with trainings")
    return Measured(tuple(requests), np.array(errors), dict.fromkeys(sorted(metrics), "neither"))


class PredictorSettings(Settings):
    """Networks are judged by a model that is fitted to some trainings."""

    model: RegressorName = Field("gaussian_process", description="what predicts the error")
    first: int = Field(50, ge=_FEWEST, le=10_000, description="networks that are drawn and judged by `inner` to fit it")
    inner: dict[str, Any] | str = Field("training", description="estimator of these, by name or as a section")
    beside: dict[str, Any] | str | None = Field(
        None, description="estimator whose error of a network in float is read beside its shape, as a table's"
    )
    fitted_on: Path | None = Field(None, description="folder of a finished run whose pairs take the place of both")


def _make(settings: PredictorSettings, problem: Problem) -> Predictor:
    """The predictor of a run; nothing is trained yet.

    Raises
    ------
    SpecError : an inner estimator that judges nothing or predicts, too few networks, or a run that does not fit.
    """
    beside = None
    if settings.beside is not None:
        section = ESTIMATORS.parse(settings.beside, "estimator.beside", default="table")
        beside = section.make(problem)
        if isinstance(beside, Trainer) or not beside.metrics:
            raise SpecError("estimator.beside", section.name, "an estimator that judges without a training")
    if settings.fitted_on is not None:
        return Predictor(settings.model, measured_by(settings.fitted_on, problem), beside=beside)
    inner = ESTIMATORS.parse(settings.inner, "estimator.inner", default="training")
    if inner.name in ("none", "predictor"):
        raise SpecError("estimator.inner", inner.name, "an estimator that measures")
    if inner.name != "training" and isinstance(problem.joint.architecture, RecipeChoicesSpace):
        raise SpecError("recipe_choices", inner.name, "for an inner estimator that trains each network: training")
    drawn = Drawn(inner.make(problem), drawn_requests(problem, settings.first))
    return Predictor(settings.model, drawn, beside=beside)


PLUGIN = Plugin(PredictorSettings, _make, "a model fitted to some trainings predicts the rest, with its uncertainty")
