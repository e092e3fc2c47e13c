"""What a search meets again and again, made once: layer costs of the hardware grid, and both sides of a small space.

Generations propose many of the networks and designs of the ones before. Each layer shape is costed on each design once;
a side of the joint space that is small is made whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.base import Genotypes, Space
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.compose import tensor_of
from hwmodels.evaluate import design_metrics, network_metrics
from hwmodels.families.base import Layerwise
from hwmodels.workload.ops import Row
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import I64, Layers, LayerTable

__all__ = ["Designs", "GridCosts", "Networks", "SmallSides", "positions"]

F64 = npt.NDArray[np.float64]

_VALUES = 1 << 23
"""Layer costs that are kept at most, float64: 64 MB."""
_DESIGNS, _NETWORKS = 1 << 16, 1 << 14
"""Points up to which a side is made whole."""
_CHUNK = 200_000


class GridCosts:
    """Layer costs of all designs of a grid, for some metrics.

    Parameters
    ----------
    metrics : layer metrics that are kept. evaluations : layers times designs up to which a batch is costed here.
    """

    def __init__(self, space: HardwareSpace, layerwise: Layerwise, metrics: Sequence[str], *, evaluations: int) -> None:
        self.space, self.layerwise, self.metrics = space, layerwise, tuple(metrics)
        self.evaluations = evaluations
        self._position: dict[Row, int] = {}
        self.keeps = space.size <= evaluations
        """Whether `costs` holds every layer met so far; else only `least` does."""
        self.costs = np.zeros((space.size if self.keeps else 0, 0, len(self.metrics)))
        """(H, L, M), designs as `Space.enumerate` lists them."""
        self.least = np.zeros((0, len(self.metrics)))
        """The least of all designs, (L, M)."""

    def affords(self, table: LayerTable) -> bool:
        """Whether the layers of a table may be costed on every design."""
        return bool(self.metrics) and self.space.size * table.n_layers <= self.evaluations

    def place(self, table: LayerTable) -> I64:
        """Where each layer of a table stands in `costs` and `least`, (L,); new layers are costed."""
        rows = [table.layers.row(i) for i in range(table.n_layers)]
        new = [row for row in dict.fromkeys(rows) if row not in self._position]
        if new:
            self._add(new)
        return np.array([self._position[row] for row in rows], np.int64)

    def _add(self, new: list[Row]) -> None:
        size = (len(self._position) + len(new)) * self.space.size * len(self.metrics)
        if self.keeps and size > _VALUES:
            self.keeps, self.costs = False, self.costs[:0]
        designs, layers = self.space.enumerate(), Layers.of(new)
        at = [self.layerwise.metrics.index(name) for name in self.metrics]
        least = np.full((len(new), len(at)), np.inf)
        parts = []
        for part in np.array_split(designs, max(len(designs) * len(new) // _CHUNK, 1)):
            costed, _ = tensor_of(self.layerwise, layers, self.space.table(part))
            least = np.minimum(least, costed[:, :, at].min(axis=0))
            if self.keeps:
                parts.append(costed[:, :, at])
        if self.keeps:
            self.costs = np.concatenate([self.costs, np.concatenate(parts)], axis=1)
        self._position |= {row: len(self._position) + i for i, row in enumerate(new)}
        self.least = np.concatenate([self.least, least])


class Designs(NamedTuple):
    """Designs with what they alone decide: the family's table, metrics (D,), and numerics.

    numerics : (C, F) distinct. label : (D,) which of them a design has.
    """

    configs: Any
    columns: Mapping[str, F64]
    numerics: F64
    label: I64

    @classmethod
    def of(cls, space: HardwareSpace, genotypes: Genotypes) -> Designs:
        configs = space.table(genotypes)
        numerics, label = np.unique(space.model.spec.numerics_table(configs), axis=0, return_inverse=True)
        return cls(configs, design_metrics(space.model, configs), numerics, label.reshape(-1))


class Networks(NamedTuple):
    """Lowered networks: their table, where each of some genotypes stands in it (N,), and metrics of their own."""

    table: LayerTable
    row: I64
    columns: Mapping[str, F64]


class SmallSides:
    """Both sides of a joint space that is small on that side, made whole when first asked for.

    Whether a side is small follows from the space alone, so that a resumed run meets the same networks in the same
    order.
    """

    def __init__(self, space: JointSpace, semantics: Semantics) -> None:
        self.space, self.semantics = space, semantics
        self.has_designs = space.hardware.size <= _DESIGNS
        self.has_networks = space.architecture.size <= _NETWORKS

    @cached_property
    def designs(self) -> Designs:
        """Every design, as `Space.enumerate` lists them."""
        return Designs.of(self.space.hardware, self.space.hardware.enumerate())

    @cached_property
    def networks(self) -> Networks:
        """Every valid network; `row` is by position in the space, -1 where a point is none."""
        points = self.space.architecture.enumerate()
        valid = self.space.architecture.valid(points)
        costed = (
            self.space.architecture.canonical(points[valid]) if self.semantics.drop_dead_branches else points[valid]
        )
        lowered = self.space.architecture.lower(costed, self.semantics)
        row = np.full(len(points), -1, np.int64)
        row[valid] = lowered.network
        return Networks(lowered.table, row, network_metrics(lowered.table))


def positions(space: Space, genotypes: Genotypes) -> I64:
    """Where points stand in `Space.enumerate`, (P,); those outside are moved to the edge."""
    found = np.zeros(len(genotypes), np.int64)
    for gene, count in enumerate(space.cardinalities.tolist()):
        found = found * count + np.clip(genotypes[:, gene], 0, count - 1)
    return found
