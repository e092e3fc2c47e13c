"""Layer costs of a whole hardware grid, kept from batch to batch: each layer shape is costed on each design once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from codesign.space.hardware import HardwareSpace
from hwmodels.compose import tensor_of
from hwmodels.families.base import Layerwise
from hwmodels.workload.ops import Row
from hwmodels.workload.table import I64, Layers, LayerTable

__all__ = ["GridCosts"]

F64 = npt.NDArray[np.float64]

_VALUES = 1 << 23
"""Layer costs that are kept at most, float64: 64 MB."""
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
        """Whether the layers of a batch may be costed on every design."""
        return bool(self.metrics) and self.space.size * table.n_layers <= self.evaluations

    def place(self, table: LayerTable) -> I64:
        """Where each layer of a table stands in `costs` and `least`, (L,); new layers are costed."""
        rows = [table.layers.row(i) for i in range(table.n_layers)]
        new = [row for row in dict.fromkeys(rows) if row not in self._position]
        if new:
            self._add(new)
        return np.array([self._position[row] for row in rows], np.int64)

    def position_of(self, designs: npt.NDArray[np.int64]) -> I64:
        """Which designs of the grid these genotypes are, (P, Gh) -> (P,)."""
        if not self.space.genes:
            return np.zeros(len(designs), np.int64)
        shape = tuple(self.space.cardinalities.tolist())
        found: I64 = np.ravel_multi_index(tuple(designs.T), shape, mode="clip").astype(np.int64)
        return found

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
