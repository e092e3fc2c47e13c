"""SLOW level: what an accuracy costs is a training, so each is bought once and kept.

An accuracy class is one canonical architecture under one `Numerics`. Classes of one architecture share its training;
every pair of a class shares its accuracy. The unit of work is one training with everything that is measured on it, so
that no two workers ever train the same. Workers see no store: they are given what they need and answer with what they
made; the store has one writer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate, Estimator, Weights
from codesign.executor.base import Executor
from codesign.executor.serial import SerialExecutor
from codesign.space.architecture import ArchitectureSpace
from hwmodels.families.base import numerics_of
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

__all__ = [
    "AccuracyClass",
    "AccuracyLevel",
    "CarriedWeights",
    "EstimateStore",
    "Measure",
    "Measured",
    "Measurement",
    "SlowLevel",
    "Trained",
    "Trainings",
    "Work",
]


class EstimateStore(Weights, Protocol):
    """Where trainings and estimates are kept by content key."""

    def estimate(self, key: str) -> Estimate | None: ...

    def keep_estimate(self, key: str, estimate: Estimate) -> None: ...


class AccuracyClass(NamedTuple):
    """Canonical architecture genotype and numerics: all that an accuracy depends on."""

    architecture: tuple[int, ...]
    numerics: tuple[float, ...]


class AccuracyLevel(Protocol):
    """What the loop asks of its SLOW level: it trains, or looks up; a context manager that holds its workers."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def evaluate(self, wanted: Sequence[AccuracyClass]) -> Iterator[tuple[AccuracyClass, tuple[str, Estimate]]]:
        """(class, (key, estimate)) of every class, as they come."""
        ...


class CarriedWeights:
    """The `Weights` of a worker: the training in hand, brought along or made here, and nothing else."""

    def __init__(self) -> None:
        self._key = ""
        self._payload: bytes | None = None
        self._made: Trained | None = None

    def bring(self, key: str, payload: bytes | None) -> None:
        """Start on a training; with its weights where the store has them."""
        self._key, self._payload, self._made = key, payload, None

    def get(self, key: str) -> bytes | None:
        return self._payload if key == self._key else None

    def put(self, key: str, payload: bytes, seconds: float) -> None:
        self._key, self._payload = key, payload
        self._made = Trained(key, payload, seconds)

    def take(self) -> Trained | None:
        """What was trained since the last look."""
        made, self._made = self._made, None
        return made


class Trainings(NamedTuple):
    """What the SLOW level must know of an estimator that trains.

    key : (workload, fidelity, seed) to the content key of its training. weights : those that the estimator uses.
    """

    key: Callable[[Workload, float, int], str]
    weights: CarriedWeights


class Measurement(NamedTuple):
    """One estimate that is asked for, under its content key."""

    key: str
    workload: Workload
    numerics: Numerics


@dataclass(frozen=True)
class Work:
    """One training, by its key and with its weights where they are known, and what is measured on it."""

    training: str
    payload: bytes | None
    asked: tuple[Measurement, ...]
    fidelity: float
    seed: int

    def __str__(self) -> str:
        return f"training {self.training[:12]} of {self.asked[0].workload.name} with {len(self.asked)} estimates"


class Trained(NamedTuple):
    """Weights that were made, by the key of their training."""

    key: str
    payload: bytes
    seconds: float


class Measured(NamedTuple):
    """An estimate that was asked for."""

    key: str
    estimate: Estimate


@dataclass(frozen=True)
class Measure:
    """The task of the workers: an estimator, and the weights that it uses where it trains."""

    estimator: Estimator
    weights: CarriedWeights | None

    def __call__(self, work: Work) -> Iterator[Trained | Measured]:
        """Weights once, where they were made here, and each estimate as soon as it is there."""
        if self.weights is not None:
            self.weights.bring(work.training, work.payload)
        for key, workload, numerics in work.asked:
            estimate = self.estimator(workload, numerics, work.fidelity, work.seed)
            made = None if self.weights is None else self.weights.take()
            if made is not None:
                yield made
            yield Measured(key, estimate)


class SlowLevel:
    """Estimates accuracy classes through the store, on the workers of an executor.

    Parameters
    ----------
    trainings : of an estimator that trains; without it a network is a unit of work, and no weights are kept.
    executor : where estimates are made; in this process by default.
    """

    def __init__(
        self,
        space: ArchitectureSpace,
        estimator: Estimator,
        store: EstimateStore,
        *,
        fidelity: float,
        seed: int,
        trainings: Trainings | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.space, self.estimator, self.store = space, estimator, store
        self.fidelity, self.seed = fidelity, seed
        self.trainings, self.executor = trainings, executor or SerialExecutor()
        self._measure = Measure(estimator, trainings.weights if trainings else None)

    def __enter__(self) -> Self:
        self.executor.__enter__()
        self.executor.prepare(self._measure)
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.__exit__()

    def evaluate(self, wanted: Sequence[AccuracyClass]) -> Iterator[tuple[AccuracyClass, tuple[str, Estimate]]]:
        """(class, (key, estimate)) of every class, as they come; each is durable before it is handed on."""
        classes: dict[str, list[AccuracyClass]] = {}
        asked: dict[str, list[Measurement]] = {}
        networks: dict[tuple[int, ...], tuple[Workload, str]] = {}
        for known in wanted:
            if known.architecture not in networks:
                networks[known.architecture] = self._network(known.architecture)
            (workload, training), numerics = networks[known.architecture], _numerics(known.numerics)
            key = self.estimator.key(workload, numerics, self.fidelity, self.seed)
            estimate = self.store.estimate(key)
            if estimate is not None:
                yield known, (key, estimate)
            elif key in classes:
                classes[key].append(known)
            else:
                classes[key] = [known]
                asked.setdefault(training, []).append(Measurement(key, workload, numerics))
        for _, part in self.executor.stream(self._measure, map(self._work, asked.items())):
            if isinstance(part, Trained):
                self.store.put(*part)
                continue
            self.store.keep_estimate(*part)
            for known in classes[part.key]:
                yield known, (part.key, part.estimate)

    def _work(self, unit: tuple[str, list[Measurement]]) -> Work:
        training, asked = unit
        payload = None if self.trainings is None else self.store.get(training)
        return Work(training, payload, tuple(asked), self.fidelity, self.seed)

    def _network(self, genotype: tuple[int, ...]) -> tuple[Workload, str]:
        """What is trained, the network without its dead branches, and what tells its training from others."""
        workload = prune_dead_branches(self.space.workload(np.array(genotype, np.int64)))
        if self.trainings is None:
            return workload, str(genotype)
        return workload, self.trainings.key(workload, self.fidelity, self.seed)


def _numerics(row: tuple[float, ...]) -> Numerics:
    values: npt.NDArray[np.float64] = np.array(row, np.float64)
    return numerics_of(values)
