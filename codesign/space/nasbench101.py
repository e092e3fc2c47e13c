"""Cells of NAS-Bench-101: a graph of up to seven vertices and nine edges, stacked three times three [Ying et al., ICML
2019].

Interior vertices are a 3x3 or 1x1 convolution with batch norm and ReLU, or a 3x3 max pooling. What enters the cell
passes a 1x1 convolution to each vertex that reads it, vertices are summed where they meet, and the vertices that feed
the output are concatenated: each has its share of the channels, and an earlier one as many as the widest that it feeds.

A vertex that lies on no path from input to output is no part of the cell: such a genotype is the cell without it, and
the canonical one has its edges cleared and its operation at the first choice. Cells that are equal after a renumbering
of vertices are not told apart here; the publication joins them to 423,624.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Concat, Pool2d, Precision, Split
from hwmodels.workload.zoo.mobilenet import classify

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["OPERATIONS", "PLUGIN", "NasBench101Settings", "NasBench101Space", "vertex_channels"]

OPERATIONS = ("conv3x3", "conv1x1", "maxpool3x3")
Mask = npt.NDArray[np.bool_]


class NasBench101Space(ArchitectureSpace):
    """Graph cells in the published skeleton.

    Parameters
    ----------
    vertices : input and output included. edges : at most. channels : of the stem, doubled behind each stack.
    cells, stacks : of the skeleton.
    """

    def __init__(
        self,
        *,
        vertices: int = 7,
        edges: int = 9,
        channels: int = 128,
        cells: int = 3,
        stacks: int = 3,
        operations: Sequence[str] = OPERATIONS,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        for operation in operations:
            if operation not in OPERATIONS:
                raise SpecError.unknown("operations", operation, OPERATIONS)
        self.vertices, self.most_edges, self.channels = vertices, edges, channels
        self.cells, self.stacks, self.classes = cells, stacks, classes
        self._pairs = [(i, j) for j in range(1, vertices) for i in range(j)]
        genes = [Gene(f"{i}>{j}", (0, 1)) for i, j in self._pairs]
        genes += [Gene(f"op{vertex}", tuple(operations)) for vertex in range(1, vertices - 1)]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        names = ("vertices", "most_edges", "channels", "cells", "stacks", "classes")
        return {**super()._identity(), **{name: getattr(self, name) for name in names}}

    # Which points there are.

    def matrices(self, genotypes: Genotypes) -> Mask:
        """Whether vertex i feeds vertex j, (P, V, V)."""
        matrix = np.zeros((len(genotypes), self.vertices, self.vertices), np.bool_)
        for gene, (i, j) in enumerate(self._pairs):
            matrix[:, i, j] = genotypes[:, gene] == 1
        return matrix

    def _used(self, matrix: Mask) -> Mask:
        """Vertices on a path from the input to the output, (P, V)."""
        reached, reaching = np.zeros((2, *matrix.shape[:2]), np.bool_)
        reached[:, 0], reaching[:, -1] = True, True
        for vertex in range(1, self.vertices):
            reached[:, vertex] = (matrix[:, :, vertex] & reached).any(axis=1)
        for vertex in range(self.vertices - 2, -1, -1):
            reaching[:, vertex] = (matrix[:, vertex] & reaching).any(axis=1)
        used: Mask = reached & reaching
        return used

    def valid(self, genotypes: Genotypes) -> Mask:
        """In range, connected, and of no more edges than allowed among the vertices in use."""
        inside = super().valid(genotypes)
        matrix = self.matrices(np.where(inside[:, None], genotypes, 0))
        used = self._used(matrix)
        edges = (matrix & used[:, :, None] & used[:, None, :]).sum(axis=(1, 2))
        fits: Mask = inside & used[:, -1] & used[:, 0] & (edges <= self.most_edges)
        return fits

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points, used = genotypes.copy(), self._used(self.matrices(genotypes))
        for gene, (i, j) in enumerate(self._pairs):
            points[:, gene] *= used[:, i] & used[:, j]
        for vertex in range(1, self.vertices - 1):
            points[:, len(self._pairs) + vertex - 1] *= used[:, vertex]
        return points

    def point_of(self, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> npt.NDArray[np.int64]:
        """The genotype of an adjacency matrix with its operations, input and output left out."""
        choices = self.genes[-1].choices
        edges = [int(matrix[i][j]) for i, j in self._pairs]
        return np.array([*edges, *(choices.index(operation) for operation in operations)], np.int64)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The vertices in use with what they read, as 1:conv3x3<0 6<1,2."""
        point = self.canonical(np.asarray(genotype, np.int64)[None])
        matrix, choices, words = self.matrices(point)[0], self.genes[-1].choices, []
        for vertex in range(1, self.vertices):
            if sources := np.flatnonzero(matrix[:, vertex]).tolist():
                inner = vertex < self.vertices - 1
                name = f":{choices[int(point[0, len(self._pairs) + vertex - 1])]}" if inner else ""
                words.append(f"{vertex}{name}<{','.join(map(str, sources))}")
        return " ".join(words)

    # One network as a graph.

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        point = self.canonical(np.asarray(genotype, np.int64)[None])
        kept = np.flatnonzero(self._used(self.matrices(point))[0])
        matrix = self.matrices(point)[0][np.ix_(kept, kept)]
        operations = [self.genes[-1].choices[int(point[0, len(self._pairs) + v - 1])] for v in kept[1:-1]]
        net = self.builder("nasbench101-" + "".join(map(str, genotype)))
        channels = self.channels
        x = net.conv_norm_act(net.input, channels, 3)
        for stack in range(self.stacks):
            if stack > 0:
                x, channels = net.add(Pool2d("max", 2, 2), x), 2 * channels
            for _ in range(self.cells):
                x = _cell(net, x, matrix, operations, channels)
        return net.finish(classify(net, x, self.classes))


def vertex_channels(matrix: Mask, entering: int, leaving: int) -> list[int]:
    """Channels of each vertex of a pruned cell.

    The vertices that feed the output share its channels, the first ones one more where they do not divide; an earlier
    vertex has as many as the widest that it feeds.

    >>> vertex_channels(np.array([[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], np.bool_), 8, 9)
    [8, 5, 4, 9]
    """
    last = len(matrix) - 1
    channels = [entering] + [0] * (last - 1) + [leaving]
    feeding = [vertex for vertex in range(1, last) if matrix[vertex, last]]
    for place, vertex in enumerate(feeding):
        share, rest = divmod(leaving, len(feeding))
        channels[vertex] = share + (place < rest)
    for vertex in range(last - 1, 0, -1):
        if not matrix[vertex, last]:
            channels[vertex] = max(channels[other] for other in range(vertex + 1, last) if matrix[vertex, other])
    return channels


def _cell(net: Builder, x: str, matrix: Mask, operations: Sequence[str], leaving: int) -> str:
    """One cell behind `x`; `matrix` has no vertex without use."""
    last, channels = len(matrix) - 1, vertex_channels(matrix, net.shape(x)[1], leaving)
    made: dict[int, str] = {}
    for vertex in range(1, last):
        terms = [
            _narrowed(net, made[source], channels[vertex]) for source in range(1, vertex) if matrix[source, vertex]
        ]
        if matrix[0, vertex]:
            terms.append(net.conv_norm_act(x, channels[vertex], 1))
        y = terms[0]
        for term in terms[1:]:
            y = net.residual(y, term)
        operation = operations[vertex - 1]
        if operation == "maxpool3x3":
            made[vertex] = net.add(Pool2d("max", 3, 1, 1), y)
        else:
            made[vertex] = net.conv_norm_act(y, channels[vertex], 3 if operation == "conv3x3" else 1)
    joined = [made[vertex] for vertex in range(1, last) if matrix[vertex, last]]
    output = joined[0] if len(joined) == 1 else net.add(Concat(axis=1), *joined) if joined else None
    if not matrix[0, last]:
        assert output is not None
        return output
    projected = net.conv_norm_act(x, leaving, 1)
    return projected if output is None else net.residual(output, projected)


def _narrowed(net: Builder, x: str, channels: int) -> str:
    """The first channels: a vertex may be one wider than the one that it feeds."""
    return x if net.shape(x)[1] == channels else net.add(Split(1, 0, channels), x)


class NasBench101Settings(Settings):
    """Graph cells of NAS-Bench-101 in a skeleton of chosen size."""

    vertices: int = Field(7, ge=3, le=12, description="of a cell, input and output included")
    edges: int = Field(9, ge=1, le=66, description="of a cell at most")
    channels: int = Field(16, ge=8, le=4096, description="of the stem, doubled behind each stack")
    cells: int = Field(1, ge=1, le=16, description="cells of a stack")
    stacks: int = Field(3, ge=1, le=5, description="stacks, with a pooling between")
    operations: list[str] = Field(list(OPERATIONS), min_length=1, max_length=3, description="of a vertex")


def _make(settings: NasBench101Settings, data: Dataset) -> NasBench101Space:
    return NasBench101Space(**settings.model_dump(), input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(NasBench101Settings, _make, "NAS-Bench-101: cells that are graphs of up to seven vertices")
