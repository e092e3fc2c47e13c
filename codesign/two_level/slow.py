"""SLOW level: what an accuracy costs is a training, so each is bought once and kept.

An accuracy class is one canonical architecture under one `Numerics` at one fidelity. Classes of one architecture and
fidelity share its training; every pair of a class shares its estimate. The unit of work is one training with all
estimates that rest on it, so that no two workers ever train the same. Workers see no store: they are given what they
need and answer with what they made; the store has one writer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import (
    Ancestor,
    CarriedWeights,
    Estimate,
    Estimator,
    Inheriting,
    Request,
    Trained,
    Trainer,
    Weights,
    effort_of,
)
from codesign.executor.base import Executor
from codesign.executor.serial import SerialExecutor
from codesign.run_rows import TrainedNetwork
from codesign.space.architecture import ArchitectureSpace
from hwmodels.families.spec import numerics_of
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

__all__ = [
    "AccuracyClass",
    "EstimateStore",
    "EstimateTask",
    "KeyedEstimate",
    "SlowLevel",
    "TrainingUnit",
]


class EstimateStore(Weights, Protocol):
    """Where trainings and estimates are kept by content key."""

    def estimate(self, key: str) -> Estimate | None: ...

    def keep_estimate(self, key: str, estimate: Estimate) -> None: ...


class AccuracyClass(NamedTuple):
    """Canonical architecture genotype, numerics and fidelity relative to the run's: all that an error depends on."""

    architecture: tuple[int, ...]
    numerics: tuple[float, ...]
    fidelity: float = 1.0


class KeyedEstimate(NamedTuple):
    """An estimate under the content key of its request."""

    key: str
    estimate: Estimate


@dataclass(frozen=True)
class TrainingUnit:
    """One training, by its key and with its weights where they are known, and the requests that it serves, by key.

    parent : the training that it starts from, where it has one and its weights are to be made: key and weights.
    """

    training: str
    payload: bytes | None
    keys: tuple[str, ...]
    requests: tuple[Request, ...]
    parent: tuple[str, bytes] | None = None

    def __str__(self) -> str:
        name = self.requests[0].workload.name
        return f"training {self.training[:12]} of {name} with {len(self.requests)} estimates"


@dataclass(frozen=True)
class EstimateTask:
    """The task of the workers: an estimator, and the weights that it uses where it trains."""

    estimator: Estimator
    weights: CarriedWeights | None

    def __call__(self, unit: TrainingUnit) -> Iterator[Trained | KeyedEstimate]:
        """Weights once, where they were made here, and each estimate as soon as it is there."""
        if self.weights is not None:
            self.weights.bring(unit.training, unit.payload, parent=unit.parent)
        for position, estimate in self.estimator.estimate(unit.requests):
            made = None if self.weights is None else self.weights.take()
            if made is not None:
                yield made
            yield KeyedEstimate(unit.keys[position], _comparable(estimate))


def _comparable(estimate: Estimate) -> Estimate:
    """An estimate as it is; where its error is no number, one that counts as diverged, with an error of 1."""
    if isfinite(estimate.error) and isfinite(estimate.spread):
        return estimate
    return replace(estimate, error=estimate.error if isfinite(estimate.error) else 1.0, spread=0.0, diverged=True)


class SlowLevel:
    """Estimates accuracy classes through a store, on the workers of an executor; a context manager that holds them.

    Parameters
    ----------
    estimator : one that is no `Trainer` has a network and fidelity as its unit of work, and keeps no weights.
    fidelity : of the run; a class of fidelity f is estimated at this times f.
    executor : where estimates are made; in this process by default.

    Attributes
    ----------
    trains, judges : whether the estimates of a new network count as a training; whether there are any metrics.
    trained_first : networks that the estimator trains for itself before it answers at a fidelity.
    inherits : whether trainings start from the weights of a parent. parents : of each training that has one, decided
        once for all estimates that rest on it; whoever decides keeps them (`codesign.two_level.lineage`).
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        estimator: Estimator,
        *,
        fidelity: float,
        seed: int,
        executor: Executor | None = None,
    ) -> None:
        self.space, self.estimator = space, estimator
        self.fidelity, self.seed = fidelity, seed
        self.executor = executor or SerialExecutor()
        self.trains, self.judges = effort_of(estimator) == "training", bool(estimator.metrics)
        self.trained_first: int = getattr(estimator, "trained_first", 0)
        self._trainer = estimator if isinstance(estimator, Trainer) else None
        self.inherits = isinstance(estimator, Inheriting)
        self.parents: dict[TrainedNetwork, TrainedNetwork] = {}
        self._task = EstimateTask(estimator, self._trainer.weights if self._trainer else None)

    def __enter__(self) -> Self:
        self.executor.__enter__()
        self.executor.prepare(self._task)
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.__exit__()

    def evaluate(
        self, store: EstimateStore, wanted: Sequence[AccuracyClass]
    ) -> Iterator[tuple[AccuracyClass, KeyedEstimate]]:
        """Every class with its estimate, as they come; each is durable before it is handed on."""
        classes: dict[str, list[AccuracyClass]] = {}
        asked: dict[str, dict[str, Request]] = {}
        networks: dict[tuple[int, ...], Workload] = {}
        for known in wanted:
            request = self.request(known, networks)
            key = self.estimator.key(request)
            estimate = store.estimate(key)
            if estimate is not None:
                yield known, KeyedEstimate(key, estimate)
            elif key in classes:
                classes[key].append(known)
            else:
                classes[key] = [known]
                asked.setdefault(self._training(request), {})[key] = request
        units = (self._unit(store, training, requests) for training, requests in asked.items())
        for _, part in self.executor.stream(self._task, units):
            if isinstance(part, Trained):
                store.put(*part)
                continue
            store.keep_estimate(*part)
            for known in classes[part.key]:
                yield known, part

    def request(self, known: AccuracyClass, networks: dict[tuple[int, ...], Workload] | None = None) -> Request:
        """What a class asks the estimator; what is trained and run is the network without its dead branches.

        networks : those that are made already, by genotype; one that is not joins them.
        """
        networks = {} if networks is None else networks
        own, *older = (
            Ancestor(self._network(trained.architecture, networks), self.fidelity * trained.fidelity)
            for trained in self._lineage(TrainedNetwork(known.architecture, known.fidelity))
        )
        row: npt.NDArray[np.float64] = np.array(known.numerics, np.float64)
        numerics, ancestors = numerics_of(row), tuple(older)
        return Request(known.architecture, own.workload, numerics, own.fidelity, self.seed, ancestors)

    def _lineage(self, trained: TrainedNetwork) -> Iterator[TrainedNetwork]:
        """A training, the one that it starts from, and so on up to one that starts from new weights."""
        following: TrainedNetwork | None = trained
        while following is not None:
            yield following
            following = self.parents.get(following)

    def _network(self, genotype: tuple[int, ...], networks: dict[tuple[int, ...], Workload]) -> Workload:
        if genotype not in networks:
            networks[genotype] = prune_dead_branches(self.space.workload(np.array(genotype, np.int64)))
        return networks[genotype]

    def _training(self, request: Request) -> str:
        if self._trainer is None:
            return f"{request.genotype} {request.fidelity}"
        return self._trainer.training_key(request)

    def _unit(self, store: EstimateStore, training: str, requests: dict[str, Request]) -> TrainingUnit:
        payload = None if self._trainer is None else store.get(training)
        unit = TrainingUnit(training, payload, tuple(requests), tuple(requests.values()))
        if payload is not None or not isinstance(self.estimator, Inheriting):
            return unit
        key = self.estimator.parent_key(unit.requests[0])
        inherited = None if key is None else store.get(key)
        return unit if key is None or inherited is None else replace(unit, parent=(key, inherited))
