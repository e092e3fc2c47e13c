"""Hierarchical cells: operations in motifs, motifs in larger motifs, the largest one as a cell in a chain with strides.

A motif is a graph whose every edge carries one motif of the level below, or nothing; level 1 are the primitive
operations. Where edges meet, tensors are concatenated (or summed), and every motif below the cell is followed by a 1x1
convolution to as many channels as entered it. The published search has six motifs of four nodes and a cell of five; one
level alone is the flat representation that it is compared with [Liu et al., ICLR 2018].

All levels are searched together: a mutation draws a level, then a motif and an edge of it, and gives the edge another
operation or none. Two genotypes are one network where they differ in edges on no path from input to output, in motifs
that are not used or equal to others, in the order of the motifs, or in a renumbering of a motif's inner nodes; motifs
of more than seven nodes are compared as they are numbered.

Each convolution, both of a separable one included, is followed by batch norm and ReLU. Between stages, a separable
convolution of stride 2 doubles the channels. Not modelled: what surrounds the cells in the publication's larger
networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.wiring import met
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision
from hwmodels.workload.zoo.mobilenet import classify

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["OPERATIONS", "PLUGIN", "HierarchicalSettings", "HierarchicalSpace"]

OPERATIONS = ("conv1", "dw3", "sep3", "max3", "avg3", "skip")
"""1x1 convolution, 3x3 depthwise and separable convolution, 3x3 poolings, identity."""

_NONE = "none"
_MOST_RENUMBERED = 7

Edges = dict[tuple[int, int], int]
"""What stands on each edge (from, to) of a motif that has something: 1 + the number of a motif of the level below."""
Hierarchy = list[list[Edges]]
"""The motifs of every level, the cell last."""


class HierarchicalSpace(ArchitectureSpace):
    """Cells of motifs of motifs.

    Parameters
    ----------
    nodes : of a motif of each level, from level 2 to the cell; each at least 2, input and output. motifs : of each of
        these levels but the last, which is the cell. operations : the primitive ones. join : how edges meet.
    channels : of the first stage, twice as many in each further one. cells : of a stage.

    Raises
    ------
    SpecError : an unknown operation, or not one number of motifs for each level below the cell.
    """

    def __init__(
        self,
        *,
        nodes: Sequence[int] = (4, 5),
        motifs: Sequence[int] = (6,),
        operations: Sequence[str] = OPERATIONS,
        join: Literal["add", "concat"] = "concat",
        channels: int = 16,
        cells: int = 1,
        stages: int = 3,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        for operation in operations:
            if operation not in OPERATIONS:
                raise SpecError.unknown("operations", operation, OPERATIONS)
        if len(set(operations)) < len(operations):
            raise SpecError("operations", list(operations), "a list without repeats")
        if len(motifs) != len(nodes) - 1:
            raise SpecError(
                "motifs", list(motifs), f"a list of {len(nodes) - 1}: one number for each level below the cell"
            )
        self.nodes, self.motifs, self.operations = tuple(nodes), (*motifs, 1), tuple(operations)
        self.join, self.channels, self.cells, self.stages, self.classes = join, channels, cells, stages, classes
        self._pairs = [[(i, j) for j in range(1, count) for i in range(j)] for count in self.nodes]
        genes: list[Gene] = []
        self._starts = []  # the first gene of each level
        for level, pairs in enumerate(self._pairs):
            self._starts.append(len(genes))
            below = self.operations if level == 0 else tuple(f"m{level + 1}.{k}" for k in range(self.motifs[level - 1]))
            names = [f"m{level + 2}.{k}" for k in range(self.motifs[level])] if level < len(nodes) - 1 else ["cell"]
            genes += [Gene(f"{name}:{i}>{j}", (_NONE, *below)) for name in names for i, j in pairs]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        names = ("nodes", "motifs", "join", "channels", "cells", "stages", "classes")
        return {**super()._identity(), **{name: getattr(self, name) for name in names}}

    # Genotypes and hierarchies.

    def _written(self, genotype: npt.NDArray[np.integer]) -> Hierarchy:
        """The motifs of a point as its genes have them."""
        values, found = iter(genotype.tolist()), []
        for count, pairs in zip(self.motifs, self._pairs, strict=True):
            motifs = [dict(zip(pairs, (next(values) for _ in pairs), strict=True)) for _ in range(count)]
            found.append([{edge: there for edge, there in motif.items() if there} for motif in motifs])
        return found

    def hierarchy_of(self, genotype: npt.NDArray[np.integer]) -> Hierarchy | None:
        """The motifs in use, none twice, under canonical numbers; None where the cell's output has no input."""
        distinct: Hierarchy = []
        rank = list(range(len(self.operations)))  # of what stands below: its number among the distinct, -1 for nothing
        for motifs, nodes in zip(self._written(genotype), self.nodes, strict=True):
            reduced = [_reduced(motif, rank, nodes) for motif in motifs]
            codes = sorted({tuple(sorted(motif.items())) for motif in reduced if motif})
            place = {code: i for i, code in enumerate(codes)}
            rank = [place[tuple(sorted(motif.items()))] if motif else -1 for motif in reduced]
            distinct.append([dict(code) for code in codes])
        return _used(distinct) if distinct[-1] else None

    def point_of(self, hierarchy: Hierarchy) -> npt.NDArray[np.int64]:
        """The genotype of motifs, those that it has more being empty."""
        values: list[int] = []
        for motifs, count, pairs in zip(hierarchy, self.motifs, self._pairs, strict=True):
            if len(motifs) > count:
                raise SpecError("motifs of a level", len(motifs), f"at most {count}")
            for motif in (*motifs, *({} for _ in range(count - len(motifs)))):
                values += [motif.get(edge, 0) for edge in pairs]
        return np.array(values, np.int64)

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range, and the output of the cell depends on its input."""
        inside = super().valid(genotypes)
        inside[inside] = [self.hierarchy_of(genotype) is not None for genotype in genotypes[inside]]
        return inside

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points = genotypes.copy()
        for i, genotype in enumerate(genotypes):
            hierarchy = self.hierarchy_of(genotype)
            if hierarchy is not None:
                points[i] = self.point_of(hierarchy)
        return points

    def mutate(self, genotypes: Genotypes, rng: np.random.Generator, *, rate: float | None = None) -> Genotypes:
        """One edge of one motif of one level, each drawn uniformly; gene by gene where a rate is given."""
        if rate is not None:
            return super().mutate(genotypes, rng, rate=rate)
        mutants, rows = genotypes.copy(), np.arange(len(genotypes))
        starts = np.array([*self._starts, self.n_genes])
        level = rng.integers(0, len(self.nodes), size=len(genotypes))
        gene = rng.integers(starts[level], starts[level + 1])
        shift = rng.integers(1, self.cardinalities[gene])
        mutants[rows, gene] = (mutants[rows, gene] + shift) % self.cardinalities[gene]
        return np.where(self.valid(mutants)[:, None], mutants, genotypes)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The motifs in use and the cell, as m2.0 0>1:conv1 1>3:max3 | cell 0>4:m2.0."""
        hierarchy, words = self.hierarchy_of(genotype) or [], []
        for level, motifs in enumerate(hierarchy):
            for k, motif in enumerate(motifs):
                name = f"m{level + 2}.{k}" if level < len(self.nodes) - 1 else "cell"
                edges = (
                    f"{i}>{j}:{self.operations[there - 1] if level == 0 else f'm{level + 1}.{there - 1}'}"
                    for (i, j), there in sorted(motif.items())
                )
                words.append(" ".join([name, *edges]))
        return " | ".join(words) or "no path"

    # One network.

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        hierarchy, net = self.hierarchy_of(genotype), self.builder("hierarchical-" + "".join(map(str, genotype)))
        if hierarchy is None:
            raise SpecError("cell", self.describe(genotype), "a graph with a path from input to output")
        channels = self.channels
        x = net.conv_norm_act(net.input, channels, 3)
        for stage in range(self.stages):
            if stage > 0:
                channels *= 2
                x = _separable(net, x, channels, stride=2)
            for _ in range(self.cells):
                x = self._motif(net, x, hierarchy, len(hierarchy) - 1, 0, channels)
        return net.finish(classify(net, x, self.classes))

    def _motif(self, net: Builder, x: str, hierarchy: Hierarchy, level: int, k: int, channels: int) -> str:
        """A motif behind `x`; of the lowest level, -1, the primitive operation."""
        if level < 0:
            return _PRIMITIVES[self.operations[k]](net, x, channels)
        terms: dict[int, list[str]] = {}
        made = {0: x}
        for node in range(1, self.nodes[level]):
            for source in range(node):
                if there := hierarchy[level][k].get((source, node)):
                    y = self._motif(net, made[source], hierarchy, level - 1, there - 1, channels)
                    terms.setdefault(node, []).append(y)
            if node in terms:
                made[node] = met(net, terms[node], self.join)
        output = made[self.nodes[level] - 1]
        return output if level == len(hierarchy) - 1 else net.conv_norm_act(output, net.shape(x)[1], 1)


def _reduced(motif: Edges, rank: Sequence[int], nodes: int) -> Edges:
    """The edges on a path from input to output, by rank of what they carry, under the numbers of the least code."""
    edges = {edge: rank[there - 1] + 1 for edge, there in motif.items() if rank[there - 1] >= 0}
    reached, reaching = {0}, {nodes - 1}
    for i, j in sorted(edges):
        reached |= {j} if i in reached else set()
    for i, j in sorted(edges, key=lambda edge: -edge[1]):
        reaching |= {i} if j in reaching else set()
    edges = {(i, j): there for (i, j), there in edges.items() if i in reached and j in reaching}
    if nodes > _MOST_RENUMBERED or not edges:
        return edges
    orders = ((0, *inner, nodes - 1) for inner in permutations(range(1, nodes - 1)))
    return min(
        (
            {(order[i], order[j]): there for (i, j), there in edges.items()}
            for order in orders
            if all(order[i] < order[j] for i, j in edges)
        ),
        key=lambda renumbered: sorted(renumbered.items()),
    )


def _used(hierarchy: Hierarchy) -> Hierarchy:
    """Without the motifs that the cell does not use; the others keep their order."""
    kept = [hierarchy[-1]]
    for below in reversed(hierarchy[:-1]):
        read = sorted({there for motif in kept[0] for there in motif.values()})
        number = {there: i for i, there in enumerate(read, start=1)}
        kept[0] = [{edge: number[there] for edge, there in motif.items()} for motif in kept[0]]
        kept.insert(0, [below[there - 1] for there in read])
    return kept


def _separable(net: Builder, x: str, channels: int, *, stride: int = 1) -> str:
    entering = net.shape(x)[1]
    return net.conv_norm_act(net.conv_norm_act(x, entering, 3, stride=stride, groups=entering), channels, 1)


def _depthwise(net: Builder, x: str, channels: int) -> str:
    return net.conv_norm_act(x, net.shape(x)[1], 3, groups=net.shape(x)[1])


_PRIMITIVES: dict[str, Callable[[Builder, str, int], str]] = {
    "conv1": lambda net, x, channels: net.conv_norm_act(x, channels, 1),
    "dw3": _depthwise,
    "sep3": _separable,
    "max3": lambda net, x, channels: net.add(Pool2d("max", 3, 1, 1), x),
    "avg3": lambda net, x, channels: net.add(Pool2d("avg", 3, 1, 1), x),
    "skip": lambda net, x, channels: x,
}


class HierarchicalSettings(Settings):
    """Cells of motifs of motifs, stacked in stages."""

    nodes: Annotated[list[Annotated[int, Field(ge=2, le=16)]], Field(min_length=1, max_length=6)] = Field(
        [4, 5], description="of a motif of each level, input and output included; the last is the cell"
    )
    motifs: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        [6], max_length=5, description="of each level below the cell"
    )
    operations: list[str] = Field(list(OPERATIONS), min_length=1, max_length=6, description="primitive ones")
    join: Literal["add", "concat"] = Field("concat", description="how edges meet")
    channels: int = Field(8, ge=1, le=4096, description="of the first stage, doubled with each further one")
    cells: int = Field(1, ge=1, le=64, description="of a stage")
    stages: int = Field(2, ge=1, le=6, description="each at half the height and width of the one before")


def _make(settings: HierarchicalSettings, data: Dataset) -> HierarchicalSpace:
    return HierarchicalSpace(**settings.model_dump(), input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(HierarchicalSettings, _make, "hierarchical cells: operations in motifs, motifs in a cell of motifs")
