"""An architecture space: a space whose points are networks, built one by one or lowered in batches.

`workload` writes one network down as a graph (from which both the torch module and the cost come); `lower` makes the
LayerTable of a whole batch by array operations. The two agree: ``lower([g]) == layer_table([rewrite(workload(g))])``.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.base import Genotypes, Space
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["ArchitectureSpace", "Lowered"]


class Lowered(NamedTuple):
    """A batch of genotypes as distinct networks: genotype p is network `index[p]` of `table`."""

    table: LayerTable
    index: npt.NDArray[np.int64]


class ArchitectureSpace(Space):
    """Genotypes that are networks."""

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
        content = json.dumps(
            [type(self).__name__, self._identity(), [list(gene) for gene in self.genes]], default=str
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _identity(self) -> dict[str, object]:
        """Settings outside the genes that change the network."""
        return {}


def unique_rows(
    genotypes: Genotypes, cardinalities: npt.NDArray[np.int64]
) -> tuple[Genotypes, npt.NDArray[np.int64]]:
    """Distinct rows and, for each row, which of them it is: np.unique by a mixed-radix code where it fits."""
    if np.sum(np.log2(np.maximum(cardinalities, 1))) < 62:
        weights = np.concatenate([np.cumprod(cardinalities[::-1])[::-1][1:], np.ones(1, np.int64)])
        _, first, index = np.unique(genotypes @ weights, return_index=True, return_inverse=True)
        return genotypes[first], index
    distinct, index = np.unique(genotypes, axis=0, return_inverse=True)
    return distinct, index.reshape(-1)
