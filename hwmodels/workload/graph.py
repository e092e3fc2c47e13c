"""Workload: a network as a validated directed acyclic graph of operators with shapes and number formats.

A `Workload` holds its `Node`s in topological order; the order of a node's inputs is in the node, since an edge set
does not know it. `Workload.graph` is the same as a networkx graph. `Builder` writes one down in program order;
importers go through `Workload.of`, which checks what a builder cannot get wrong (cycles, missing inputs, shapes that
do not fit).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import networkx as nx

from hwmodels.errors import SpecError
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Combine,
    Constant,
    Conv2d,
    Dispatch,
    Elementwise,
    ExpertLinear,
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
    """A validated network: its nodes in topological order, and the names of its outputs.

    Make one with `Builder` or `Workload.of`; iterate to get the nodes.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, name: str, nodes: Iterable[Node], outputs: Iterable[str]) -> Workload:
        """Check and wrap nodes given in any order; among equals the given order stands.

        Raises
        ------
        SpecError : a duplicate name, a missing input, a cycle, or shapes that do not fit.
        """
        by_name: dict[str, Node] = {}
        for node in nodes:
            if node.name in by_name:
                raise SpecError(name, node.name, "a unique layer name")
            by_name[node.name] = node
        for node in by_name.values():
            for source in node.inputs:
                if source not in by_name:
                    raise SpecError(f"{name}: {node.name}", source, "a layer of this network")
        outputs = tuple(outputs)
        for output in outputs:
            if output not in by_name:
                raise SpecError(f"{name}: outputs", output, "a layer of this network")
        workload = cls(name, _sorted(name, by_name), outputs)
        workload._check_shapes()
        return workload

    def _check_shapes(self) -> None:
        for node in self.nodes:
            try:
                shape = _positive(node.operator.infer(*(self[source].shape for source in node.inputs)))
            except (ValueError, IndexError, ArithmeticError) as error:
                raise SpecError(f"{self.name}: {node.name}", error, "a valid layer") from None
            if shape != node.shape:
                raise SpecError(f"{self.name}: {node.name}", node.shape, f"of the inferred shape {shape}")

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The network as a networkx graph; every vertex holds its `Node` under the key "node"."""
        graph = nx.DiGraph(name=self.name)
        for node in self.nodes:
            graph.add_node(node.name, node=node)
            graph.add_edges_from((source, node.name) for source in node.inputs)
        return graph

    @cached_property
    def _hash(self) -> int:
        return hash((self.name, self.nodes, self.outputs))

    def __hash__(self) -> int:
        """Of its content, computed once: networks are keys of caches."""
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        """Without what was computed: a hash holds in its own process alone."""
        return {"name": self.name, "nodes": self.nodes, "outputs": self.outputs}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        return tuple(node.shape for node in self if isinstance(node.operator, Input))

    @property
    def batch(self) -> int:
        """Items a batch: the first axis of the first input."""
        return next((shape[0] for shape in self.input_shapes if shape), 1)

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
        return iter(self._rows)

    @cached_property
    def _rows(self) -> tuple[tuple[Node, Row], ...]:
        at_output = set(self.outputs)
        for node in reversed(self.nodes):
            if node.operator.is_view and node.name in at_output:
                at_output.update(node.inputs)
        at_input: set[str] = set()
        found: list[tuple[Node, Row]] = []
        for node in self.nodes:
            reads_input = any(source in at_input for source in node.inputs)
            if node.operator.is_view:
                if reads_input or isinstance(node.operator, Input):
                    at_input.add(node.name)
                continue
            row = node.operator.row(tuple(self[source].shape for source in node.inputs), node.shape)
            found.append(
                (
                    node,
                    row._replace(
                        **node.precision._asdict(),
                        input_offchip=int(reads_input),
                        output_offchip=int(node.name in at_output),
                    ),
                )
            )
        return tuple(found)


def _sorted(name: str, by_name: dict[str, Node]) -> tuple[Node, ...]:
    """Topological order; the given one where it already is."""
    seen: set[str] = set()
    for node in by_name.values():
        if any(source not in seen for source in node.inputs):
            break
        seen.add(node.name)
    else:
        return tuple(by_name.values())
    graph = nx.DiGraph()
    graph.add_nodes_from(by_name)
    graph.add_edges_from((source, node.name) for node in by_name.values() for source in node.inputs)
    position = {vertex: i for i, vertex in enumerate(by_name)}
    try:
        order = list(nx.lexicographical_topological_sort(graph, key=position.__getitem__))
    except nx.NetworkXUnfeasible:
        raise SpecError(name, "the graph", "acyclic") from None
    return tuple(by_name[vertex] for vertex in order)


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

    Attributes
    ----------
    places : where each operator stands, by name: the path of `within`, its kind, and its number among those there.
    """

    def __init__(self, name: str, input_shape: Shape, *, precision: Precision | None = None) -> None:
        self.name = name
        self.precision = precision or Precision()
        self.places: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        self._counter: dict[str, int] = {}
        self._path: tuple[str, ...] = ()
        self._placed: dict[str, int] = {}
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
        self._place(name, operator)
        return name

    @contextmanager
    def within(self, *path: str) -> Iterator[None]:
        """What is added inside stands below this path, counted anew for each path.

        Networks of one space that differ elsewhere so have the same places here, and may share weights by them.

        >>> net = Builder("tiny", (1, 3, 8, 8))
        >>> with net.within("stage 0", "3x3"):
        ...     name = net.conv_norm_act(net.input, 4, 3)
        >>> list(net.places.values())
        ['stage 0/3x3/conv2d1', 'stage 0/3x3/norm1', 'stage 0/3x3/activation1']
        """
        outer, self._path = self._path, (*self._path, *path)
        try:
            yield
        finally:
            self._path = outer

    def _place(self, name: str, operator: Operator) -> None:
        place = "/".join((*self._path, type(operator).__name__.lower()))
        self._placed[place] = self._placed.get(place, 0) + 1
        self.places[name] = f"{place}{self._placed[place]}"

    def shape(self, name: str) -> Shape:
        return self._nodes[name].shape

    def finish(self, *outputs: str) -> Workload:
        """The network; what was added is checked and in order already."""
        for output in outputs:
            if output not in self._nodes:
                raise SpecError(f"{self.name}: outputs", output, "a layer of this network")
        return Workload(self.name, tuple(self._nodes.values()), outputs)

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

    def attention(self, source: str, heads: int, *, bias: bool = True, causal: bool = False) -> str:
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
        mixed = self.add(MatMul(), self.add(Softmax(causal=causal), scores), value)
        merged = self.add(Reshape((batch, tokens, features)), self.add(Permute((0, 2, 1, 3)), mixed))
        return self.linear(merged, features, bias=bias)

    def experts(
        self, source: str, experts: int, hidden: int, *, chosen: int, function: ActivationName, gated: bool = False
    ) -> str:
        """Feed-forward networks of `hidden` features over (batch, tokens, features), `chosen` of them a token."""
        features = self.shape(source)[-1]
        shares = self.add(Softmax(), self.linear(source, experts, bias=False))
        rows = self.add(Dispatch(chosen), source, shares)
        x = self.add(Activation(function), self.add(ExpertLinear(hidden), rows, shares))
        if gated:
            x = self.add(Elementwise("mul"), x, self.add(ExpertLinear(hidden), rows, shares))
        return self.add(Combine(chosen), self.add(ExpertLinear(features), x, shares), shares)
