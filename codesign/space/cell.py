"""The NAS-Bench-201 cell space [Dong and Yang, ICLR 2020]: four nodes, six edges, five operations.

The networks are those of `hwmodels.workload.zoo.nasbench201`, at any width, depth and input: with 16 channels, five
cells in each of three stages and 32 x 32 inputs the published ones to the parameter; smaller settings make them
trainable in seconds.

Gene order and choices are those of the published table, so that genotype (digits base 5) and its row agree with the
files that list `ops` per edge 0>1, 0>2, 1>2, 0>3, 1>3, 2>3.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Gene, Genotypes
from codesign.space.lowering import BatchGraph, Tensor
from codesign.space.sharing import Mixture, PlacedSpace, Term
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Concat, Elementwise, Pool2d, Precision, Split, Zeros
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable
from hwmodels.workload.zoo.nasbench201 import (
    CELL_POOL,
    EDGES,
    HALVING_POOL,
    OPERATIONS,
    cell_operation,
    nasbench201,
    skeleton,
)

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["EDGES", "OPERATIONS", "PLUGIN", "CellSettings", "CellSpace"]


class CellSpace(PlacedSpace):
    """15,625 cells in a fixed skeleton.

    Parameters
    ----------
    channels : C of the first stage. cells : cells a stage. stages : stages, each twice as wide as the last.
    input_shape : (channels, height, width) of one image. operations : which of `OPERATIONS` an edge may take.
    """

    def __init__(
        self,
        *,
        channels: int = 16,
        cells: int = 5,
        stages: int = 3,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        operations: tuple[str, ...] = OPERATIONS,
        precision: Precision | None = None,
    ) -> None:
        for operation in operations:
            if operation not in OPERATIONS:
                raise SpecError.unknown("operations", operation, OPERATIONS)
        genes = [Gene(f"{source}>{target}", operations) for source, target in EDGES]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)
        self.classes = classes
        self.channels, self.cells, self.stages = channels, cells, stages

    @property
    def image(self) -> tuple[int, int, int]:
        """Shape of one image."""
        channels, height, width = self.inputs[0]
        return channels, height, width

    def at(self, precision: Precision) -> CellSpace:
        """The same networks with other bits."""
        return CellSpace(
            channels=self.channels,
            cells=self.cells,
            stages=self.stages,
            input_shape=self.image,
            classes=self.classes,
            batch=self.batch,
            operations=self.genes[0].choices,
            precision=precision,
        )

    def _identity(self) -> dict[str, object]:
        sizes = {"channels": self.channels, "cells": self.cells, "stages": self.stages}
        return {**super()._identity(), "classes": self.classes, **sizes}

    # Which cells are the same, and which are connected.

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range, and the output of the cell depends on its input."""
        inside = super().valid(genotypes)
        safe = np.where(inside[:, None], genotypes, 0)
        connected: npt.NDArray[np.bool_] = self._classes[safe @ self._weights] >= 0
        return inside & connected

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """The first cell that is the same network without its dead branches; disconnected cells stay."""
        points: Genotypes = self._canonical_points[genotypes @ self._weights]
        return points

    @property
    def representatives(self) -> npt.NDArray[np.int64]:
        """Numbers of the cells that stand for all connected ones, each a network of its own."""
        return np.unique(self._classes[self._classes >= 0])

    def number_of(self, genotypes: Genotypes) -> npt.NDArray[np.int64]:
        """Cells (P, 6) as numbers: their positions, the last edge varying fastest."""
        numbers: npt.NDArray[np.int64] = genotypes @ self._weights
        return numbers

    def genotype_of(self, number: int) -> npt.NDArray[np.int64]:
        """The inverse of `number_of` for one cell."""
        return number // self._weights % self.cardinalities

    @cached_property
    def _weights(self) -> npt.NDArray[np.int64]:
        base = int(self.cardinalities[0])
        return base ** np.arange(len(EDGES) - 1, -1, -1, dtype=np.int64)

    @cached_property
    def _canonical_points(self) -> Genotypes:
        """The canonical cell of every cell, by number."""
        representative = np.where(self._classes >= 0, self._classes, np.arange(self.size))
        points: Genotypes = representative[:, None] // self._weights % self.cardinalities
        return points

    @cached_property
    def _classes(self) -> npt.NDArray[np.int64]:
        """For every cell the code of the first cell of its class, -1 where disconnected."""
        operations = self.genes[0].choices
        first: dict[str, int] = {}
        classes = np.empty(self.size, np.int64)
        for code, genotype in enumerate(np.ndindex(*(int(count) for count in self.cardinalities))):
            text = _function_of([operations[i] for i in genotype])
            classes[code] = first.setdefault(text, code) if text else -1
        return classes

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The published notation, as |nor_conv_3x3~0|+|none~0|skip_connect~1|+..."""
        chosen = [self.genes[0].choices[int(i)] for i in genotype]
        nodes: dict[int, str] = {}
        for operation, (source, target) in zip(chosen, EDGES, strict=True):
            nodes[target] = nodes.get(target, "|") + f"{operation}~{source}|"
        return "+".join(nodes.values())

    # One network as a graph.

    def written(self, genotype: npt.NDArray[np.integer]) -> tuple[Builder, str]:
        """An edge has weights of its own for each operation, as in one-shot search [Bender et al., ICML 2018]."""
        chosen = [self.genes[0].choices[int(i)] for i in genotype]
        net = self.builder("cell-" + "".join(map(str, genotype)))
        return net, nasbench201(
            net, chosen, channels=self.channels, cells=self.cells, stages=self.stages, classes=self.classes
        )

    def mixture(self, *, partial: int = 1) -> Mixture:
        """Every edge with all its operations, `none` among them as zeros.

        Raises
        ------
        SpecError : one operation alone, of which there is no mixture.
        """
        if len(self.genes[0].choices) < 2:
            raise SpecError("operations", list(self.genes[0].choices), "two or more, for a mixture of them")
        net = self.builder("cell-mixture")
        sums: dict[str, tuple[Term, ...]] = {}
        edges: dict[str, tuple[int, ...]] = {}

        def cell(net: Builder, x: str) -> str:
            nodes = [x]
            for target in (1, 2, 3):
                into = [gene for gene, (_, node) in enumerate(EDGES) if node == target]
                ends = [self._mixed_edge(net, nodes[EDGES[gene][0]], gene, partial, sums) for gene in into]
                if len(ends) > 1:
                    nodes.append(net.add(Elementwise("add"), *ends))
                    edges[nodes[-1]] = tuple(into)
                else:
                    nodes.append(ends[0])
            return nodes[3]

        output = skeleton(net, cell, channels=self.channels, cells=self.cells, stages=self.stages, classes=self.classes)
        return Mixture(net.finish(output), sums, edges)

    def _mixed_edge(self, net: Builder, x: str, gene: int, partial: int, sums: dict[str, tuple[Term, ...]]) -> str:
        """All operations of one edge behind `x`, added up; the channels that they do not read are put behind."""
        channels, entering = net.shape(x)[1], x
        count = max(channels // partial, 1)
        if count < channels:
            x = net.add(Split(1, 0, count), entering)
        operands, terms = [], []
        for choice, operation in enumerate(self.genes[gene].choices):
            if operation == "none":
                operands.append(net.add(Zeros(net.shape(x))))
                terms.append(Term(gene, choice))
                continue
            with net.within(self.genes[gene].name, operation):
                operands.append(cell_operation(net, x, operation))
            terms.append(Term(gene, choice))
        total = net.add(Elementwise("add"), *operands)
        sums[total] = tuple(terms)
        if count == channels:
            return total
        return net.add(Concat(axis=1), net.add(Split(1, count, channels - count), entering), total)

    # Many networks as a table.

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        net = self.batch_graph(len(genotypes), semantics)
        named = np.array([OPERATIONS.index(operation) for operation in self.genes[0].choices])[genotypes]
        x = net.norm(net.conv(net.input, self.channels, 3))
        for stage in range(self.stages):
            if stage > 0:
                x = _lower_reduction(net, x)
            for _ in range(self.cells):
                x = _lower_cell(net, x, named)
        x = net.activation(net.norm(x))
        return net.finish(net.linear(net.flatten(net.pool(x, Pool2d("avg"))), self.classes))


def _function_of(operations: list[str]) -> str:
    """A cell as a nested sum with zeros dropped, skips dissolved and terms sorted; "" where it is disconnected.

    An operation whose result is used twice is one operation, two equal operations are two: the text ends with the
    operations that the output depends on, each once, so equal texts are equal networks to the parameter.
    """
    nodes: list[list[_Term]] = [[_Term("x", frozenset())], [], [], []]
    for target in (1, 2, 3):
        for edge, (source, node) in enumerate(EDGES):
            operation = operations[edge]
            if node != target or operation == "none" or not nodes[source]:
                continue
            if operation == "skip_connect":
                nodes[target] += nodes[source]
                continue
            text = f"{operation}({'+'.join(sorted(term.text for term in nodes[source]))})"
            used = frozenset().union(*(term.used for term in nodes[source]))
            nodes[target].append(_Term(text, used | {(edge, text)}))
    if not nodes[3]:
        return ""
    used = frozenset().union(*(term.used for term in nodes[3]))
    sums = "+".join(sorted(term.text for term in nodes[3]))
    return f"{sums} with {' '.join(sorted(text for _, text in used))}"


class _Term(NamedTuple):
    """One summand of a node: its expression, and the (edge, expression) of every operation behind it."""

    text: str
    used: frozenset[tuple[int, str]]


def _lower_cell(net: BatchGraph, x: Tensor, named: npt.NDArray[np.int64]) -> Tensor:
    """One cell of `nasbench201`, with `named` (N, 6) the position of each edge's operation in OPERATIONS."""
    nodes = [x]
    for target in (1, 2, 3):
        terms = []
        for edge, (source, node) in enumerate(EDGES):
            if node != target:
                continue
            operation, y = named[:, edge], nodes[source]
            convolved = (operation == 2) | (operation == 3)
            z = net.activation(y, present=convolved)
            z = net.conv(z, net.channels(y), np.where(operation == 3, 3, 1), present=convolved)
            z = net.norm(z, present=convolved)
            z = net.pool(z, CELL_POOL, present=operation == 4)
            terms.append(net.only(z, operation != 0))
        nodes.append(net.sum(terms))
    return nodes[3]


def _lower_reduction(net: BatchGraph, x: Tensor) -> Tensor:
    channels = 2 * net.channels(x)
    y = net.norm(net.conv(net.activation(x), channels, 3, stride=2))
    y = net.norm(net.conv(net.activation(y), channels, 3))
    return net.sum([net.conv(net.pool(x, HALVING_POOL), channels, 1), y])


class CellSettings(Settings):
    """NAS-Bench-201 cells in a skeleton of chosen size."""

    channels: int = Field(16, ge=1, le=256, description="width of the first stage")
    cells: int = Field(5, ge=1, le=10, description="cells a stage")
    stages: int = Field(3, ge=1, le=4, description="stages, each twice as wide")
    operations: list[str] | None = Field(None, description="operations of an edge; all five by default")
    image: list[Annotated[int, Field(ge=1, le=4096)]] | None = Field(
        None, min_length=3, max_length=3, description="channels, height and width where a table judges; of the data"
    )
    classes: int | None = Field(None, ge=1, le=10_000, description="where a table judges; of the data by default")


def _make(settings: CellSettings, data: Dataset) -> CellSpace:
    channels, height, width = settings.image or data.shape
    return CellSpace(
        channels=settings.channels,
        cells=settings.cells,
        stages=settings.stages,
        input_shape=(channels, height, width),
        classes=settings.classes or data.classes,
        operations=tuple(settings.operations or OPERATIONS),
    )


PLUGIN = Plugin(CellSettings, _make, "NAS-Bench-201 cells: four nodes, six edges, five operations")
