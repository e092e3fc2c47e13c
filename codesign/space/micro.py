"""Micro cells: a normal and a reduction cell of a few nodes, stacked in the skeleton of DARTS or of NASNet.

Each node sums two terms, and a term is an operation on one of the states before it: the outputs of the two cells
before, or an earlier node. The cell joins all its nodes (DARTS), or those that no other node reads (NASNet, ENAS). A
state that is read twice is read twice.

Two genotypes are one cell where the two terms of a node stand in the other order; the canonical one has them sorted.

Sources: NASNet [Zoph et al., CVPR 2018], AmoebaNet [Real et al., AAAI 2019], ENAS [Pham et al., ICML 2018], DARTS [Liu
et al., ICLR 2019]. Not modelled: the joints of NASNet-A and AmoebaNet-A, which follow neither rule; auxiliary heads
and scheduled path drop, which serve training only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.zoo.cells import Cell, Genotype, Term
from hwmodels.workload.zoo.darts import darts_network
from hwmodels.workload.zoo.nasnet import nasnet_network

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["DARTS_OPERATIONS", "NASNET_OPERATIONS", "PLUGIN", "MicroSettings", "MicroSpace"]

DARTS_OPERATIONS = ("max3", "avg3", "skip", "sep3", "sep5", "dil3", "dil5")
NASNET_OPERATIONS = ("keep", "avg3", "max3", "sep3", "sep5", "sep7", "conv7")
_KNOWN = ("skip", "keep", "avg3", "max3", "sep3", "sep5", "sep7", "dil3", "dil5", "conv7")
_PLACES = ("normal", "reduction")


class MicroSpace(ArchitectureSpace):
    """Pairs of cells.

    Parameters
    ----------
    skeleton : `darts` stacks `cells` of them, with reductions at a third and two thirds; `nasnet` three groups of
        `cells` normal ones, with a reduction between. nodes : of a cell. operations : of a term, all of the skeleton's
        by default. joined : which nodes the cell joins, all or those that nothing reads. distinct : whether the terms
        of a node read two different states. channels : of the first cells. stem : of the first convolution in the
        skeleton of NASNet, 3 x channels by default.
    """

    def __init__(
        self,
        *,
        skeleton: Literal["darts", "nasnet"] = "darts",
        nodes: int = 4,
        operations: Sequence[str] | None = None,
        joined: Literal["all", "loose"] = "all",
        distinct: bool = True,
        channels: int = 16,
        cells: int = 8,
        stem: int | None = None,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        chosen = tuple(operations or (DARTS_OPERATIONS if skeleton == "darts" else NASNET_OPERATIONS))
        for operation in chosen:
            if operation not in _KNOWN:
                raise SpecError.unknown("operations", operation, _KNOWN)
        self.skeleton, self.nodes, self.joined, self.distinct = skeleton, nodes, joined, distinct
        self.channels, self.cells, self.classes, self.stem = channels, cells, classes, stem or 3 * channels
        genes = [
            Gene(f"{place}{node}.{side}{part}", chosen if part == "op" else tuple(range(node + 2)))
            for place in _PLACES
            for node in range(nodes)
            for side in ("left_", "right_")
            for part in ("op", "from")
        ]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        names = ("skeleton", "nodes", "joined", "distinct", "channels", "cells", "classes", "stem")
        return {**super()._identity(), **{name: getattr(self, name) for name in names}}

    def _terms(self, genotypes: Genotypes) -> Genotypes:
        """Operation and state of each term, (P, 2 cells, nodes, 2 terms, 2)."""
        return genotypes.reshape(len(genotypes), len(_PLACES), self.nodes, 2, 2)

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range and, where that is asked, nodes of two different states."""
        inside = super().valid(genotypes)
        if not self.distinct:
            return inside
        states = self._terms(genotypes)[..., 1]
        apart: npt.NDArray[np.bool_] = (states[..., 0] != states[..., 1]).all(axis=(1, 2))
        return inside & apart

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        terms = self._terms(genotypes)
        code = terms[..., 1] * len(_KNOWN) + terms[..., 0]
        order = np.argsort(code, axis=-1, kind="stable")
        return np.take_along_axis(terms, order[..., None], axis=-2).reshape(genotypes.shape)

    def cells_of(self, genotype: npt.NDArray[np.integer]) -> Genotype:
        """The pair of cells of a point."""
        operations = self.genes[0].choices
        found = []
        for cell in self._terms(np.asarray(genotype, np.int64)[None])[0]:
            pairs = [tuple(Term(operations[int(op)], int(state)) for op, state in node) for node in cell]
            read = {term.state for pair in pairs for term in pair}
            states = range(2, self.nodes + 2)
            joined = tuple(state for state in states if self.joined == "all" or state not in read)
            found.append(Cell(tuple((left, right) for left, right in pairs), joined))
        return Genotype(*found)

    def point_of(self, genotype: Genotype) -> npt.NDArray[np.int64]:
        """The inverse of `cells_of`.

        Raises
        ------
        SpecError : an operation that is none of the space's.
        """
        operations = self.genes[0].choices
        values = []
        for cell in genotype:
            for term in (term for pair in cell.combinations for term in pair):
                if term.operation not in operations:
                    raise SpecError.unknown("operations", term.operation, operations)
                values += [operations.index(term.operation), term.state]
        return np.array(values, np.int64)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """Both cells in short form, as sep3:0 skip:1, max3:2 sep3:0; a semicolon between them."""
        cells = self.cells_of(genotype)
        return "; ".join(
            ", ".join(" ".join(f"{term.operation}:{term.state}" for term in pair) for pair in cell.combinations)
            for cell in cells
        )

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        net, cells = self.builder("micro-" + "".join(map(str, genotype))), self.cells_of(genotype)
        if self.skeleton == "darts":
            output = darts_network(net, genotype=cells, channels=self.channels, cells=self.cells, classes=self.classes)
        else:
            output = nasnet_network(
                net, genotype=cells, repeats=self.cells, channels=self.channels, stem=self.stem, classes=self.classes
            )
        return net.finish(output)


class MicroSettings(Settings):
    """A normal and a reduction cell in a published skeleton."""

    skeleton: Literal["darts", "nasnet"] = Field("darts", description="how cells are stacked")
    nodes: int = Field(4, ge=1, le=16, description="nodes of a cell, each a sum of two terms")
    operations: list[str] | None = Field(None, max_length=16, description="of a term; those of the skeleton by default")
    joined: Literal["all", "loose"] = Field("all", description="nodes that a cell joins: all, or those nothing reads")
    distinct: bool = Field(True, description="the terms of a node read two different states")
    channels: int = Field(8, ge=4, le=4096, description="channels of the first cells")
    cells: int = Field(4, ge=1, le=64, description="cells in all (darts), or normal cells of each of three groups")


def _make(settings: MicroSettings, data: Dataset) -> MicroSpace:
    return MicroSpace(**settings.model_dump(), input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(
    MicroSettings, _make, "micro cells: a normal and a reduction cell, as DARTS, NASNet, AmoebaNet and ENAS"
)
