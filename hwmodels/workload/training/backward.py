"""The backward pass of a graph: gradients sent from the outputs to every weight, in reverse order.

A gradient that several consumers send back is summed, two at a time. Parts that were split from one tensor and cover
it send theirs back in one concatenation. Views send views.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops import Concat, Elementwise, Kind, Operator, Row, Shape, Shared, Split, View
from hwmodels.workload.ops.row import plain_row
from hwmodels.workload.training.gradients import (
    GRADIENT,
    OUTPUT,
    PARAMETERS,
    Derived,
    Part,
    backward_parts,
    differentiable,
)

__all__ = ["Backward", "backward"]


@dataclass(frozen=True)
class Backward:
    """nodes : in the order of execution. origin : the forward node that each belongs to. weight_gradients : the nodes
    that make the gradients of a forward node's weights."""

    nodes: list[Node] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    weight_gradients: dict[str, list[str]] = field(default_factory=dict)


def backward(forward: Workload) -> Backward:
    """The backward pass of a graph whose outputs are losses.

    Raises
    ------
    SpecError : an operator that is not trained.
    """
    rows = {node.name: row for node, row in forward.rows()}
    pass_ = _Pass(forward, rows, _needed(forward, rows), Backward())
    for node in reversed(forward.nodes):
        if node.name in forward.outputs:
            pass_.start(node)
        elif node.name in pass_.needed:
            pass_.through(node)
    return pass_.made


def _needed(forward: Workload, rows: dict[str, Row]) -> set[str]:
    """Nodes whose gradient is wanted: they have weights, or something before them has."""
    found: set[str] = set()
    for node in forward:
        has_weights = isinstance(node.operator, Shared) or (node.name in rows and rows[node.name].parameters > 0)
        if has_weights or (differentiable(node.operator) and any(source in found for source in node.inputs)):
            found.add(node.name)
    return found


@dataclass
class _Pass:
    """What has been sent back to each tensor so far: gradients, and gradients of its parts."""

    forward: Workload
    rows: dict[str, Row]
    needed: set[str]
    made: Backward
    sent: dict[str, list[str]] = field(default_factory=dict)
    pieces: dict[str, list[tuple[Split, str]]] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def start(self, node: Node) -> None:
        """Of softmax with cross entropy: the probabilities less the target."""
        if node.inputs[0] not in self.needed:
            return
        row = plain_row(Kind.ELEMENTWISE, (node.shape,), node.shape, vector_ops=2 * prod(node.shape))
        self._send(node.inputs[0], self._add(node, "gradient", Derived("loss gradient", node.shape, row), node.name))

    def through(self, node: Node) -> None:
        """Send the gradient of one node to what it read, and to its weights."""
        gradient = self._gradient(node)
        if gradient is None:
            return
        if isinstance(node.operator, Split):
            self.pieces.setdefault(node.inputs[0], []).append((node.operator, gradient))
            return
        inputs = tuple(self.forward[source].shape for source in node.inputs)
        wanted = tuple(source in self.needed for source in node.inputs)
        for part in backward_parts(node, self.rows.get(node.name), inputs, wanted):
            self._run(node, part, gradient)

    def _run(self, node: Node, part: Part, gradient: str) -> None:
        special = {GRADIENT: gradient, OUTPUT: node.name}
        reads = [special.get(read) or node.inputs[read] for read in part.reads]
        name = self._add(node, part.what, part.operator, *reads)
        for target in part.makes:
            if target == PARAMETERS:
                self.made.weight_gradients.setdefault(node.name, []).append(name)
            elif len(part.makes) == 1:
                self._send(node.inputs[target], name)
            else:  # one kernel that writes several gradients
                source = node.inputs[target]
                self._send(source, self._add(node, f"{part.what}{target}", View(self.forward[source].shape), name))

    def _send(self, target: str, gradient: str) -> None:
        self.sent.setdefault(target, []).append(gradient)

    def _gradient(self, node: Node) -> str | None:
        """The sum of what its consumers sent back to a node; None where nothing came."""
        parts = list(self.sent.get(node.name, ()))
        pieces = sorted(self.pieces.get(node.name, ()), key=lambda piece: piece[0].start)
        if pieces and not parts and _covers(pieces, node.shape):
            return self._add(node, "joined", Concat(pieces[0][0].axis), *(name for _, name in pieces))
        for split, name in pieces:
            row = plain_row(Kind.COPY, (self.shapes[name],), node.shape, vector_ops=0)
            parts.append(self._add(node, f"zeros around {split.start}", Derived("zeros around", node.shape, row), name))
        total = parts[0] if parts else None
        for i, part in enumerate(parts[1:]):
            total = self._add(node, f"sum{i}", Elementwise("add"), str(total), part)
        return total

    def _add(self, node: Node, what: str, operator: Operator, *reads: str) -> str:
        shape = operator.infer(*(self.shapes.get(read) or self.forward[read].shape for read in reads))
        name = f"{node.name}.{what}"
        while name in self.made.origin:  # two parts of one word
            name += "'"
        self.made.nodes.append(Node(name, operator, tuple(reads), shape, node.precision))
        self.made.origin[name] = node.name
        self.shapes[name] = shape
        return name


def _covers(pieces: list[tuple[Split, str]], shape: Shape) -> bool:
    """Whether parts in order are the whole of a tensor, along one axis and each once."""
    axes = {range(len(shape))[split.axis] for split, _ in pieces}
    if len(axes) != 1:
        return False
    end = 0
    for split, _ in pieces:
        if split.start != end:
            return False
        end += split.length
    return end == shape[axes.pop()]
