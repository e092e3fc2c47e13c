"""SLOW level: what an accuracy costs is a training, so each is bought once and kept.

An accuracy class is one canonical architecture under one `Numerics`. Classes of one architecture share its training;
every pair of a class shares its accuracy.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate, Estimator
from codesign.space.architecture import ArchitectureSpace
from hwmodels.families.base import numerics_of
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

__all__ = ["AccuracyClass", "EstimateStore", "SlowLevel"]


class EstimateStore(Protocol):
    """Where estimates are kept by content key."""

    def estimate(self, key: str) -> Estimate | None: ...

    def keep_estimate(self, key: str, estimate: Estimate) -> None: ...


class AccuracyClass(NamedTuple):
    """Canonical architecture genotype and numerics: all that an accuracy depends on."""

    architecture: tuple[int, ...]
    numerics: tuple[float, ...]


class SlowLevel:
    """Estimates accuracy classes, through the store."""

    def __init__(
        self, space: ArchitectureSpace, estimator: Estimator, store: EstimateStore, *, fidelity: float, seed: int
    ) -> None:
        self.space, self.estimator, self.store = space, estimator, store
        self.fidelity, self.seed = fidelity, seed

    def evaluate(self, wanted: AccuracyClass) -> tuple[str, Estimate]:
        """(key, estimate) of one class; durable before it is returned."""
        workload = self._workload(wanted.architecture)
        numerics = self._numerics(wanted.numerics)
        key = self.estimator.key(workload, numerics, self.fidelity, self.seed)
        estimate = self.store.estimate(key)
        if estimate is None:
            estimate = self.estimator(workload, numerics, self.fidelity, self.seed)
            self.store.keep_estimate(key, estimate)
        return key, estimate

    def _workload(self, genotype: tuple[int, ...]) -> Workload:
        """What is trained: the network without its dead branches."""
        return prune_dead_branches(self.space.workload(np.array(genotype, np.int64)))

    def _numerics(self, row: tuple[float, ...]) -> Numerics:
        values: npt.NDArray[np.float64] = np.array(row, np.float64)
        return numerics_of(values)
