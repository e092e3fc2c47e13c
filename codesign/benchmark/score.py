"""Exact fronts of a benchmark, and how far a set of pairs is from them.

Objectives are scaled to the box of the true front, costs by their logarithm: 0 is its ideal corner, 1 its nadir. The
hypervolume has its reference at 1.1 in every objective and is given as a share of the true front's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from codesign.benchmark.definition import PairsBenchmark
from codesign.estimate.table import AccuracyTable
from codesign.exact.listing import (
    ListedDesigns,
    ListedNetworks,
    enumerate_space,
    list_designs,
    list_networks,
)
from codesign.pareto import hypervolume, non_dominated
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from hwmodels.families.spec import numerics_of, take
from hwmodels.workload.rewrite import RUNTIMES, Semantics

__all__ = ["COMPILED", "Fronts", "TrueFront"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

COMPILED: Semantics = RUNTIMES["compiled"]
_REFERENCE = 1.1


@dataclass(frozen=True, eq=False)
class TrueFront:
    """A front: joint genotypes (F, G) and points (F, 1 + K), error first. pairs : how many it was chosen from."""

    genotypes: Genotypes
    points: F64
    pairs: int

    def quality(self, points: F64) -> float:
        """Hypervolume of `points` (P, 1 + K) as a share of this front's."""
        corner = np.full(self.points.shape[1], _REFERENCE)
        return hypervolume(self._scaled(points), corner) / self._volume if len(points) else 0.0

    def regret(self, points: F64) -> float:
        """By how much the best accuracy of `points` is below the front's; 1 where there are none."""
        return float(points[:, 0].min() - self.points[:, 0].min()) if len(points) else 1.0

    def holds(self, genotypes: Genotypes) -> Mask:
        """Which genotypes (P, G) are on the front."""
        return np.array([tuple(row) in self._members for row in genotypes.tolist()], np.bool_)

    @cached_property
    def _members(self) -> frozenset[tuple[int, ...]]:
        return frozenset(map(tuple, self.genotypes.tolist()))

    @cached_property
    def _volume(self) -> float:
        return hypervolume(self._scaled(self.points), np.full(self.points.shape[1], _REFERENCE))

    def _scaled(self, points: F64) -> F64:
        low, high = _logarithmic(self.points).min(axis=0), _logarithmic(self.points).max(axis=0)
        scaled: F64 = (_logarithmic(points) - low) / np.where(high > low, high - low, 1.0)
        return scaled


def _logarithmic(points: F64) -> F64:
    return np.column_stack([points[:, 0], np.log(points[:, 1:])])


class Fronts:
    """Exact fronts of one benchmark: of all its networks, or of some of them on all designs."""

    def __init__(self, definition: PairsBenchmark, table: AccuracyTable) -> None:
        self.definition, self.table = definition, table
        self.space: JointSpace = definition.space(table)
        self._networks = list_networks(self.space.architecture, COMPILED)
        self._designs = list_designs(self.space.hardware)
        numerics, label = np.unique(self.space.hardware.numerics(self._designs.genotypes), axis=0, return_inverse=True)
        column = np.array([table.column(numerics_of(row)) for row in numerics])
        self._classes = [
            (1.0 - table.accuracy(table.numerics[k]), np.flatnonzero(column[label.reshape(-1)] == k))
            for k in np.unique(column).tolist()
        ]

    @cached_property
    def true(self) -> TrueFront:
        """The front of all pairs."""
        return self._front(np.arange(len(self._networks.genotypes)))

    def of(self, architectures: Iterable[tuple[int, ...]]) -> TrueFront:
        """The front of some networks, canonical genotypes, on all designs: the inner optimisation of each."""
        numbers = self.table.space.number_of(np.array(sorted(architectures), np.int64))
        listed = self.table.space.number_of(self._networks.genotypes)
        return self._front(np.searchsorted(listed, numbers))

    def _front(self, which: I64) -> TrueFront:
        """One enumeration a class of equal accuracies, then the front of their fronts."""
        networks = _some_networks(self._networks, which)
        rows = self.table.rows(networks.genotypes)
        genotypes, points = [], []
        for error, designs in self._classes:
            found = enumerate_space(
                self.space,
                networks,
                _some_designs(self._designs, designs),
                objectives=self.definition.objectives,
                constraints=self.definition.constraints,
                score=error[rows],
            )
            genotypes.append(np.hstack([found.architecture, found.hardware]))
            points.append(found.enumeration.values)
        joined, values = np.concatenate(genotypes), np.concatenate(points)
        kept = non_dominated(values)
        return TrueFront(joined[kept], values[kept], len(which) * len(self._designs.genotypes))


def _some_networks(networks: ListedNetworks, which: I64) -> ListedNetworks:
    columns = {name: values[which] for name, values in networks.columns.items()}
    return ListedNetworks(
        networks.space, networks.semantics, networks.genotypes[which], networks.layers, networks.counts[which], columns
    )


def _some_designs(designs: ListedDesigns, which: I64) -> ListedDesigns:
    configs = take(designs.configs, which)
    columns = {name: values[which] for name, values in designs.columns.items()}
    return ListedDesigns(designs.space, designs.genotypes[which], configs, columns)
