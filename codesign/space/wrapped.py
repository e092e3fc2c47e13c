"""Another space with further decisions behind its own: what bits by group and choices of a recipe have in common."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from hwmodels.families.spec import Spec
from hwmodels.workload.table import LayerTable, Networks

__all__ = ["WrappedSpace", "carried", "repeated"]

I64 = npt.NDArray[np.int64]


class WrappedSpace(ArchitectureSpace):
    """Points of `inner`, each with the further decisions; a subclass says what these do.

    Parameters
    ----------
    inner : the space of the networks. further : decisions behind its own; every choice goes with any other.
    """

    def __init__(self, inner: ArchitectureSpace, further: Sequence[Gene]) -> None:
        self.inner = inner
        super().__init__([*inner.genes, *further], inputs=inner.inputs, batch=inner.batch, precision=inner.precision)

    def at_batch(self, batch: int) -> Self:
        return self._around(self.inner.at_batch(batch))

    def computed_on(self, specs: Sequence[Spec]) -> Self:
        return self._around(self.inner.computed_on(specs))

    def _around(self, inner: ArchitectureSpace) -> Self:
        other = copy(self)
        other.inner, other.batch, other.precision = inner, inner.batch, inner.precision
        return other

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "inner": self.inner.fingerprint}

    @property
    def choice_stages(self) -> npt.NDArray[np.int64]:
        """Those of the inner space; the further choices are open from stage 1 on."""
        inner, own = self.inner.choice_stages, super().choice_stages
        return np.concatenate([inner, own[len(inner) :]])

    def networks(self, genotypes: Genotypes) -> Genotypes:
        """The part of points (P, G) that the inner space reads."""
        return genotypes[:, : self.inner.n_genes]

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        inside = super().valid(genotypes)
        return inside & self.inner.valid(np.where(inside[:, None], self.networks(genotypes), 0))

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points = genotypes.copy()
        points[:, : self.inner.n_genes] = self.inner.canonical(self.networks(genotypes))
        return points

    def sample(self, n: int, rng: np.random.Generator) -> Genotypes:
        cardinalities = self.cardinalities[self.inner.n_genes :]
        further = rng.integers(0, cardinalities, size=(n, len(cardinalities)))
        return np.hstack([self.inner.sample(n, rng), further])


def repeated(table: LayerTable, network: I64) -> tuple[I64, Networks]:
    """The row ids of listed networks one after the other, and these networks, a repeated one every time anew."""
    networks = table.networks
    layers, starts = _gathered(networks.sequence_start, network)
    edges, edge_starts = _gathered(networks.edge_start, network)
    listed = Networks(
        sequence=networks.sequence[layers],
        sequence_start=starts,
        edge_source=networks.edge_source[edges],
        edge_destination=networks.edge_destination[edges],
        edge_elements=networks.edge_elements[edges],
        edge_start=edge_starts,
    )
    return listed.sequence, listed


def carried(table: LayerTable, network: I64) -> dict[str, npt.NDArray[np.float64]]:
    """What a table says of listed networks beside their layers."""
    return {name: values[network] for name, values in table.columns.items()}


def _gathered(starts: I64, which: I64) -> tuple[I64, I64]:
    """Positions of the items of listed parts of a ragged array, and where each part begins among them."""
    sizes = np.diff(starts)[which]
    found = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    return np.arange(found[-1]) + np.repeat(starts[which] - found[:-1], sizes), found
