"""An architecture space: a space whose points are networks, built one by one or lowered in batches.

`workload` writes one network down as a graph (from which both the torch module and the cost come); `lower` makes the
LayerTable of a whole batch by array operations. The two agree: ``lower([g]) == layer_table([rewrite(workload(g))])``.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.base import Gene, Genotypes, Space
from codesign.space.lowering import BatchGraph
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["ArchitectureSpace", "Lowered", "find_rows", "unique_rows"]


class Lowered(NamedTuple):
    """A batch of genotypes as distinct networks: genotype p is network `network[p]` of `table`."""

    table: LayerTable
    network: npt.NDArray[np.int64]


class ArchitectureSpace(Space):
    """Genotypes that are networks for square images.

    Parameters
    ----------
    genes : the decisions. input_shape : (channels, size, size) of one image. classes : scores of the classifier.
    batch : images a batch. precision : bits of the layers that no gene decides.
    """

    def __init__(
        self,
        genes: Sequence[Gene],
        *,
        input_shape: tuple[int, int, int],
        classes: int,
        batch: int,
        precision: Precision | None,
    ) -> None:
        super().__init__(genes)
        if input_shape[1] != input_shape[2]:
            raise SpecError("input_shape", input_shape, "square")
        self.input_shape, self.classes, self.batch = input_shape, classes, batch
        self.precision = precision or Precision()

    @abstractmethod
    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        """The network as written, dead branches included."""

    @abstractmethod
    def _lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        """LayerTable of networks that all differ."""

    def lower(self, genotypes: Genotypes, semantics: Semantics) -> Lowered:
        """LayerTable of a batch under the given runtime semantics, duplicates made once."""
        distinct, index = unique_rows(genotypes, self.cardinalities)
        return Lowered(self._lower_distinct(distinct, semantics), index)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """A short text that names the architecture in tables."""
        return " ".join(f"{name}={value}" for name, value in self.decode(genotype).items())

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides what a genotype means."""
        content = json.dumps([type(self).__name__, self._identity(), [list(gene) for gene in self.genes]], default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _identity(self) -> dict[str, object]:
        """Settings outside the genes that change the network."""
        return {"input_shape": self.input_shape, "classes": self.classes, "precision": self.precision}

    def _builder(self, name: str) -> Builder:
        """An empty graph that reads this space's images."""
        return Builder(name, (self.batch, *self.input_shape), precision=self.precision)

    def _batch_graph(self, n: int, semantics: Semantics) -> BatchGraph:
        """The same for `n` networks at once."""
        channels, size, _ = self.input_shape
        return BatchGraph(
            n, batch=self.batch, channels=channels, size=size, precision=self.precision, semantics=semantics
        )


def unique_rows(genotypes: Genotypes, cardinalities: npt.NDArray[np.int64]) -> tuple[Genotypes, npt.NDArray[np.int64]]:
    """Distinct rows in lexicographic order and, for each row, which of them it is.

    Genes are packed into int64 words by mixed radix; each further word refines the classes of those before.
    """
    index = np.zeros(len(genotypes), np.int64)
    radix = 1
    for gene, count in enumerate(cardinalities.tolist()):
        if radix > 2**40:
            index = np.unique(index, return_inverse=True)[1].reshape(-1)
            radix = int(index.max(initial=0)) + 1
        index = index * count + genotypes[:, gene]
        radix *= count
    _, first, index = np.unique(index, return_index=True, return_inverse=True)
    return genotypes[first], index.reshape(-1)


def find_rows(needles: Genotypes, haystack: Genotypes, cardinalities: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Position of each needle among distinct haystack rows, -1 where it is not there."""
    distinct, index = unique_rows(np.concatenate([haystack, needles]), cardinalities)
    position = np.full(len(distinct), -1, np.int64)
    position[index[: len(haystack)]] = np.arange(len(haystack))
    return position[index[len(haystack) :]]
