"""Workload: a network as a validated directed acyclic graph of operators with shapes and bit widths.

A `Workload` wraps a networkx graph whose nodes carry a `Node`; the order of a node's inputs is in the node, since
an edge set does not know it. `Builder` writes one down in program order; importers go through `Workload.of`, which
checks what a builder cannot get wrong (cycles, missing inputs, shapes that do not fit).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import networkx as nx

from hwmodels.errors import SpecError
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Constant,
    Conv2d,
    Elementwise,
    Linear,
    MatMul,
    Norm,
    Operator,
    Permute,
    Pool2d,
    Precision,
    Reshape,
    Row,
    Shape,
    Softmax,
)

__all__ = ["Builder", "Input", "Node", "Workload"]


@dataclass(frozen=True, slots=True)
class Input:
    """The operator of a graph input: no row, no cost."""

    shape: Shape
    is_view: bool = True

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        raise TypeError("a graph input has no row")


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a graph: its name, its inputs in order, its output shape and its bits."""

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    shape: Shape
    precision: Precision


@dataclass(frozen=True)
class Workload:
    """A validated network: `graph` holds one `Node` under the key "node" of every vertex.

    Make one with `Builder` or `Workload.of`; iterate to get the nodes in topological order.
    """

    name: str
    graph: nx.DiGraph
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, name: str, nodes: Iterable[Node], outputs: Iterable[str]) -> Workload:
        """Check and wrap nodes given in any order.

        Raises
        ------
        SpecError : a duplicate name, a missing input, a cycle, or shapes that do not fit.
        """
        graph = nx.DiGraph()
        by_name: dict[str, Node] = {}
        for node in nodes:
            if node.name in by_name:
                raise SpecError(name, node.name, "a unique layer name")
            by_name[node.name] = node
            graph.add_node(node.name, node=node)
        outputs = tuple(outputs)
        for node in by_name.values():
            for source in node.inputs:
                if source not in by_name:
                    raise SpecError(f"{name}: {node.name}", source, "a layer of this network")
                graph.add_edge(source, node.name)
        for output in outputs:
            if output not in by_name:
                raise SpecError(f"{name}: outputs", output, "a layer of this network")
        if not nx.is_directed_acyclic_graph(graph):
            raise SpecError(name, "the graph", "acyclic")
        workload = cls(name, graph, outputs)
        workload._check_shapes()
        return workload

    def _check_shapes(self) -> None:
        for node in self:
            try:
                shape = _positive(node.operator.infer(*(self[source].shape for source in node.inputs)))
            except (ValueError, IndexError, ArithmeticError) as error:
                raise SpecError(f"{self.name}: {node.name}", error, "a valid layer") from None
            if shape != node.shape:
                raise SpecError(f"{self.name}: {node.name}", node.shape, f"of the inferred shape {shape}")

    def __getitem__(self, name: str) -> Node:
        node: Node = self.graph.nodes[name]["node"]
        return node

    def __iter__(self) -> Iterator[Node]:
        """Nodes in topological order; insertion order among equals, so a rebuilt graph is the same graph."""
        position = {name: i for i, name in enumerate(self.graph)}
        for name in nx.lexicographical_topological_sort(self.graph, key=position.__getitem__):
            yield self[name]

    def __len__(self) -> int:
        return len(self.graph)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return tuple(node.shape for node in self if isinstance(node.operator, Input))

    @property
    def parameters(self) -> int:
        """Stored parameters: weights, biases, affine pairs, embeddings."""
        return sum(row.parameters for _, row in self.rows())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass of the whole batch."""
        return sum(row.macs for _, row in self.rows())

    def rows(self) -> Iterator[tuple[Node, Row]]:
        """(node, row) of every operator that is not a view, in topological order.

        The flags `input_offchip` and `output_offchip` look through views.
        """
        at_output = set(self.outputs)
        order = list(self)
        for node in reversed(order):
            if node.operator.is_view and node.name in at_output:
                at_output.update(node.inputs)
        at_input: set[str] = set()
        for node in order:
            is_view = node.operator.is_view
            if isinstance(node.operator, Input) or (is_view and any(source in at_input for source in node.inputs)):
                at_input.add(node.name)
            if is_view:
                continue
            row = node.operator.row(tuple(self[source].shape for source in node.inputs), node.shape)
            yield (
                node,
                row._replace(
                    weight_bits=node.precision.weight_bits,
                    activation_bits=node.precision.activation_bits,
                    accumulator_bits=node.precision.accumulator_bits,
                    input_offchip=int(any(source in at_input for source in node.inputs)),
                    output_offchip=int(node.name in at_output),
                ),
            )


def _positive(shape: Shape) -> Shape:
    if min(shape, default=1) < 1:
        raise ValueError(f"an output of shape {shape}")
    return shape


class Builder:
    """Writes a Workload down in program order; shapes are inferred as it goes.

    >>> net = Builder("tiny", (1, 3, 8, 8))
    >>> x = net.conv_norm_act(net.input, 16, 3)
    >>> x = net.add(Pool2d("avg"), x)
    >>> net.finish(net.linear(net.flatten(x), 10)).parameters
    634
    """

    def __init__(self, name: str, input_shape: Shape, *, precision: Precision | None = None) -> None:
        self.name = name
        self.precision = precision or Precision()
        self._nodes: dict[str, Node] = {}
        self._counter: dict[str, int] = {}
        self.input = self.source(input_shape, name="input")

    def source(self, shape: Shape, *, name: str) -> str:
        """A graph input."""
        self._nodes[name] = Node(name, Input(shape), (), shape, self.precision)
        return name

    def add(self, operator: Operator, *inputs: str, name: str | None = None) -> str:
        """Append an operator and return its name, numbered by kind where none is given."""
        if name is None:
            kind = type(operator).__name__.lower()
            self._counter[kind] = self._counter.get(kind, 0) + 1
            name = f"{kind}{self._counter[kind]}"
        if name in self._nodes:
            raise SpecError(self.name, name, "a unique layer name")
        try:
            shape = _positive(operator.infer(*(self._nodes[source].shape for source in inputs)))
        except (ValueError, IndexError, ArithmeticError) as error:
            raise SpecError(f"{self.name}: {name}", error, "a valid layer") from None
        self._nodes[name] = Node(name, operator, inputs, shape, self.precision)
        return name

    def shape(self, name: str) -> Shape:
        return self._nodes[name].shape

    def finish(self, *outputs: str) -> Workload:
        return Workload.of(self.name, self._nodes.values(), outputs)

    # Compositions that every family of networks shares.

    def conv_norm_act(
        self,
        source: str,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: ActivationName | None = "relu",
    ) -> str:
        """Convolution without bias, batch norm, activation (None for linear)."""
        x = self.add(Conv2d.square(out_channels, kernel, stride=stride, groups=groups), source)
        x = self.add(Norm("batch"), x)
        return x if activation is None else self.add(Activation(activation), x)

    def linear(self, source: str, features: int, *, bias: bool = True) -> str:
        return self.add(Linear(features, bias), source)

    def flatten(self, source: str) -> str:
        batch, *rest = self.shape(source)
        size = 1
        for extent in rest:
            size *= extent
        return self.add(Reshape((batch, size)), source)

    def residual(self, left: str, right: str) -> str:
        return self.add(Elementwise("add"), left, right)

    def constant(self, shape: Shape) -> str:
        return self.add(Constant(shape))

    def squeeze_excite(
        self, source: str, squeeze_channels: int, *, inner: ActivationName = "relu", gate: ActivationName = "sigmoid"
    ) -> str:
        """Squeeze-and-excitation as its parts: pool, two 1x1 convolutions with bias, gate, product."""
        channels = self.shape(source)[1]
        x = self.add(Pool2d("avg"), source)
        x = self.add(Conv2d.square(squeeze_channels, 1, bias=True), x)
        x = self.add(Activation(inner), x)
        x = self.add(Conv2d.square(channels, 1, bias=True), x)
        x = self.add(Activation(gate), x)
        return self.add(Elementwise("mul"), source, x)

    def attention(self, source: str, heads: int, *, bias: bool = True) -> str:
        """Multi-head self-attention over (batch, tokens, features), projections included."""
        batch, tokens, features = self.shape(source)
        if features % heads:
            raise SpecError(f"{self.name}: attention", heads, f"a divisor of {features}")
        split = (batch, tokens, heads, features // heads)
        query, key, value = (
            self.add(Permute((0, 2, 1, 3)), self.add(Reshape(split), self.linear(source, features, bias=bias)))
            for _ in range(3)
        )
        scores = self.add(MatMul(), query, self.add(Permute((0, 1, 3, 2)), key))
        mixed = self.add(MatMul(), self.add(Softmax(), scores), value)
        merged = self.add(Reshape((batch, tokens, features)), self.add(Permute((0, 2, 1, 3)), mixed))
        return self.linear(merged, features, bias=bias)
