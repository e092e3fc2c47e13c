"""Cells of a table with the way that each was trained as one more decision: plainly, or as the hardware is noisy.

A cell trained in two ways is two networks of equal layers and different weights. What tells them apart on the cost side
is the work of their training, a metric of the network (`training_macs`): the pass forward and twice as much backward
[Kaplan et al., arXiv:2001.08361, section 2.1] of every image in every epoch.

Not modelled: validation passes, data that are augmented, what a search of the recipe took.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Gene, Genotypes
from codesign.space.cell import CellSpace
from codesign.space.wrapped import WrappedSpace, repeated
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["NOISE_AWARE", "PLAIN", "PLUGIN", "TRAINING_MACS", "TrainedCells", "TrainedCellsSettings"]

I64 = npt.NDArray[np.int64]

PLAIN, NOISE_AWARE = "plain", "noise_aware"
TRAINING_MACS = "training_macs"
_PASSES = 3  # a training step in passes forward: one, and one each for gradients of inputs and of weights


class TrainedCells(WrappedSpace):
    """The cells of a space, each trained in several ways.

    Parameters
    ----------
    inner : the cells. epochs : way of training -> epochs that it takes. images : of the training split.
    known : numbers of the canonical cells that count, rising; all connected ones by default.

    Raises
    ------
    SpecError : no way of training, or known cells that do not stand for themselves.

    >>> space = TrainedCells(CellSpace(), epochs={PLAIN: 200, NOISE_AWARE: 400}, images=50_000)
    >>> space.describe(space.genotype_of(2 * 15624 + 1))[-28:]
    'avg_pool_3x3~2|, noise_aware'
    """

    def __init__(self, inner: CellSpace, *, epochs: Mapping[str, int], images: int, known: I64 | None = None) -> None:
        if not epochs:
            raise SpecError("epochs", "nothing", "at least one way of training")
        every = inner.representatives
        self.known = every if known is None else np.asarray(known, np.int64)
        if not np.isin(self.known, every).all() or (np.diff(self.known) <= 0).any():
            raise SpecError("known", len(self.known), "rising numbers of canonical cells")
        self.epochs, self.images = dict(epochs), images
        super().__init__(inner, [Gene("training", tuple(epochs))])

    @property
    def cells(self) -> CellSpace:
        """The cells themselves."""
        return cast(CellSpace, self.inner)

    @property
    def ways(self) -> int:
        """In how many ways a cell is trained."""
        return len(self.epochs)

    def at(self, precision: Precision) -> TrainedCells:
        """The same networks with other bits."""
        return self._around(self.cells.at(precision))

    def _identity(self) -> dict[str, object]:
        known = hashlib.sha256(np.ascontiguousarray(self.known, np.int64).tobytes()).hexdigest()
        return {**super()._identity(), "epochs": self.epochs, "images": self.images, "known": known}

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """Connected, and the cell is known."""
        good: npt.NDArray[np.bool_] = super().valid(genotypes)
        safe = np.where(good[:, None], self.networks(genotypes), 0)
        numbers: I64 = self.cells.number_of(self.cells.canonical(safe))
        return good & np.isin(numbers, self.known)

    def sample(self, n: int, rng: np.random.Generator) -> Genotypes:
        """Valid points, uniform over known cells (as canonical ones) and ways of training."""
        numbers = self.known[rng.integers(len(self.known), size=n)] * self.ways + rng.integers(self.ways, size=n)
        return self.genotypes_of(numbers)

    def number_of(self, genotypes: Genotypes) -> I64:
        """Points (P, 7) as numbers, the way of training varying fastest."""
        numbers: I64 = self.cells.number_of(self.networks(genotypes)) * self.ways + genotypes[:, -1]
        return numbers

    def genotype_of(self, number: int) -> npt.NDArray[np.int64]:
        """The inverse of `number_of` for one point."""
        point: npt.NDArray[np.int64] = self.genotypes_of(np.array([number]))[0]
        return point

    def genotypes_of(self, numbers: I64) -> Genotypes:
        """The inverse of `number_of`."""
        cell, way = np.divmod(numbers, self.ways)
        return np.stack([*np.unravel_index(cell, self.cells.cardinalities.tolist()), way], axis=1).astype(np.int64)

    @property
    def representatives(self) -> I64:
        """Numbers of the points that stand for all valid ones."""
        return (self.known[:, None] * self.ways + np.arange(self.ways)).reshape(-1)

    def way_of(self, genotype: npt.NDArray[np.integer]) -> str:
        """How a point is trained."""
        return str(self.genes[-1].choices[int(genotype[-1])])

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        return f"{self.cells.describe(genotype[:-1])}, {self.way_of(genotype)}"

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        return self.cells.workload(genotype[:-1])

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        table, network = self.cells.lower(self.networks(genotypes), semantics)
        lowered = LayerTable(table.layers, repeated(table, network)[1], tuple(map(str, range(len(genotypes)))))
        epochs = np.array(list(self.epochs.values()), np.float64)[genotypes[:, -1]]
        macs = lowered.totals("macs") / self.batch
        return replace(lowered, columns={TRAINING_MACS: _PASSES * self.images * epochs * macs})


class TrainedCellsSettings(Settings):
    """The cells of a table on phase-change memory, each trained plainly or with noise."""

    table: Literal["digits-analog", "nasbench201-analog"] = Field(
        "digits-analog", description="ours, which ships, or the published one"
    )
    path: Path | None = Field(None, description="reference folder of nasbench201-analog")


def _make(settings: TrainedCellsSettings, data: Dataset) -> TrainedCells:
    from codesign.estimate.analog import analog_table

    return analog_table(settings.table, settings.path).space


PLUGIN = Plugin(
    TrainedCellsSettings, _make, "cells of a table with their way of training, plain or noise-aware", estimator="analog"
)
