"""An architecture space: a space whose points are networks, built one by one or lowered in batches.

`workload` writes one network down as a graph (from which both the torch module and the cost come); `lower` makes the
LayerTable of a whole batch: ``lower([g]) == layer_table([rewrite(workload(g))])``. By default it builds every graph; a
large space overrides `lower_distinct` with array operations (`codesign.space.lowering`).
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from codesign.space.base import Gene, Genotypes, Space
from codesign.space.lowering import BatchGraph
from hwmodels.families.spec import Spec
from hwmodels.kernel_cache import cached_njit
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Precision, Shape
from hwmodels.workload.rewrite import Semantics, rewrite
from hwmodels.workload.table import LayerTable, layer_table

__all__ = ["ArchitectureSpace", "Lowered", "find_rows", "first_of_each", "unique_rows"]


class Lowered(NamedTuple):
    """A batch of genotypes as distinct networks: genotype p is network `network[p]` of `table`."""

    table: LayerTable
    network: npt.NDArray[np.int64]


class ArchitectureSpace(Space):
    """Genotypes that are networks; a subclass defines `workload`.

    Parameters
    ----------
    genes : the decisions. inputs : shapes of one item without the batch, of any rank: one image (channels, height,
        width), one sequence (tokens, features), or several inputs. batch : items a batch.
    precision : bits of the layers that no gene decides.

    Attributes
    ----------
    draws_itself : whether hardly any uniform point is valid, so that `sample` here serves joint spaces, too.
    """

    draws_itself: ClassVar[bool] = False

    def __init__(
        self,
        genes: Sequence[Gene],
        *,
        inputs: Sequence[Shape],
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        super().__init__(genes)
        self.inputs, self.batch = tuple(map(tuple, inputs)), batch
        self.precision = precision or Precision()

    def at_batch(self, batch: int) -> Self:
        """The same networks with another number of items a batch."""
        other = copy(self)
        other.batch = batch
        return other

    def computed_on(self, specs: Sequence[Spec]) -> Self:
        """The same networks for these devices, which decide the bits that nothing states; a space that states all of
        them is the same one."""
        return self

    @abstractmethod
    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        """The network as written, dead branches included."""

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        """LayerTable of networks that all differ, (N, G); an override equals this for each of them."""
        return layer_table([rewrite(self.workload(genotype), semantics) for genotype in genotypes])

    def lower(self, genotypes: Genotypes, semantics: Semantics) -> Lowered:
        """LayerTable of a batch under the given runtime semantics, duplicates made once."""
        distinct, index = unique_rows(genotypes, self.cardinalities)
        # Attention in one kernel is a rewrite of graphs: batched lowering does not know it.
        by_graph = semantics.fuse_attention
        lower = ArchitectureSpace.lower_distinct if by_graph else type(self).lower_distinct
        return Lowered(lower(self, distinct, semantics), index)

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
        return {"inputs": self.inputs, "precision": self.precision}

    @property
    def batched_inputs(self) -> tuple[Shape, ...]:
        """Shapes of the network inputs, batch first."""
        return tuple((self.batch, *shape) for shape in self.inputs)

    def builder(self, name: str) -> Builder:
        """An empty graph that reads the first input of this space; `Builder.source` adds the others."""
        return Builder(name, self.batched_inputs[0], precision=self.precision)

    def batch_graph(self, n: int, semantics: Semantics) -> BatchGraph:
        """The same for `n` networks at once, with all inputs."""
        return BatchGraph(n, self.batched_inputs, precision=self.precision, semantics=semantics)


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
    if radix <= 4 * len(genotypes):
        first, index = _distinct_codes(index, radix)
    else:
        _, first, index = np.unique(index, return_index=True, return_inverse=True)
    return genotypes[first], index.reshape(-1)


def _distinct_codes(code: npt.NDArray[np.int64], size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """As `np.unique` of codes below `size`, without sorting: where each first stands, and which a code is."""
    first = np.full(size, -1, np.int64)
    first[code[::-1]] = np.arange(len(code) - 1, -1, -1)  # of equal codes the first is written last
    present = np.flatnonzero(first >= 0)
    place = np.empty(size, np.int64)
    place[present] = np.arange(present.size)
    return first[present], place[code]


@cached_njit()
def first_of_each(code: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which codes (P,), none negative, are the first of their value: a hash table with open addressing."""
    size = 16
    while size < 2 * code.size:
        size *= 2
    slots = np.full(size, -1, np.int64)
    first = np.zeros(code.size, np.bool_)
    for i in range(code.size):
        # Fibonacci hashing [Knuth, TAOCP 3, 6.4]: 2^64 over the golden ratio.
        at = np.int64((np.uint64(code[i]) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)) & (size - 1)
        while slots[at] >= 0 and slots[at] != code[i]:
            at = (at + 1) & (size - 1)
        first[i] = slots[at] < 0
        slots[at] = code[i]
    return first


def find_rows(needles: Genotypes, haystack: Genotypes, cardinalities: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Position of each needle among distinct haystack rows, -1 where it is not there."""
    distinct, index = unique_rows(np.concatenate([haystack, needles]), cardinalities)
    position = np.full(len(distinct), -1, np.int64)
    position[index[: len(haystack)]] = np.arange(len(haystack))
    return position[index[len(haystack) :]]
