"""Control flow that the file decides, written out: the branch that is taken, the iterations that run.

A condition or a trip count is decided where it is stored, or computed from what is stored and from shapes; so is a
loop that leaves when a counter says so. Whatever the body of a loop stores is stored once. Not modelled: what the
data decide, `Scan`, sequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.folding import evaluate
from hwmodels.workload.from_onnx.inference import inferred_shapes
from hwmodels.workload.from_onnx.model import Array, constant_of, step_of, stored_of
from hwmodels.workload.from_onnx.reading import import_onnx, opset_of
from hwmodels.workload.ops import Shape

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

__all__ = ["without_control_flow"]

_MOST_STEPS = 200_000
_MOST_ITERATIONS = 5_000  # of a loop that no trip count ends
_MOST_INFERENCES = 50  # passes over the file for shapes that a condition depends on
_BODIES = {"If": ("then_branch", "else_branch"), "Loop": ("body",)}
_AXES_ARE_OPERANDS = 13  # operator set from which Unsqueeze has its axes as an operand

_Names = dict[str, str]


def without_control_flow(proto: ModelProto, shapes: Mapping[str, Shape], where: str) -> ModelProto:
    """The same file without `If` and `Loop`; the message itself is changed.

    Parameters
    ----------
    shapes : of the inputs, on which conditions may depend.

    Raises
    ------
    SpecError : control flow that the data decide, or that would be of more than 200,000 steps.
    """
    if not any(_is_control_flow(node) for node in proto.graph.node):
        return proto
    unrolling = _Unrolling(proto, shapes, where)
    unrolling.run(proto.graph.node, {}, "")
    del proto.graph.node[:]
    proto.graph.node.extend(unrolling.nodes)
    return proto


def _is_control_flow(node: NodeProto) -> bool:
    return node.op_type in _BODIES and node.domain in ("", "ai.onnx")


class _Unrolling:
    """One pass over a file in its own order: the steps written so far, and the values known so far."""

    def __init__(self, proto: ModelProto, shapes: Mapping[str, Shape], where: str) -> None:
        self.nodes: list[NodeProto] = []
        self._proto, self._where = proto, where
        self._shapes: dict[str, Shape] = dict(shapes)
        self._known: dict[str, Array] = {}
        self._written: dict[tuple[str, str], str] = {}  # what a body stores, by its place and name
        self._copies: dict[str, int] = {}
        self._inferences, self._inferred_at = 0, -1
        self._taken = {*shapes, *(name for node in proto.graph.node for name in node.output)}
        for tensor in proto.graph.initializer:
            self._keep(tensor)

    def run(self, nodes: Iterable[NodeProto], names: _Names, place: str) -> None:
        """Write the steps of a graph down; `names` says how what it reads is called here, `place` where it stands."""
        for index, node in enumerate(nodes):
            here = f"{place}{node.name or node.op_type}"
            if len(self.nodes) > _MOST_STEPS:
                raise SpecError(f"{self._where}: {here}", "control flow", f"at most {_MOST_STEPS} steps written out")
            if not _is_control_flow(node):
                self._write(node, names, place)
                continue
            bodies = {attribute.name: attribute.g for attribute in node.attribute if attribute.HasField("g")}
            missing = [body for body in _BODIES[node.op_type] if body not in bodies]
            if missing or (node.op_type == "If" and not node.input):
                raise SpecError.missing(f"{self._where}: {here}", (*missing, "operand 0")[0])
            inside = f"{here}.{index}."
            made = (self._branch if node.op_type == "If" else self._loop)(node, bodies, names, inside)
            self._hand_over(node, made, names if place else None, inside)

    def _branch(self, node: NodeProto, bodies: Mapping[str, GraphProto], names: _Names, place: str) -> list[str]:
        """The branch that a known condition takes."""
        is_taken = self._truth(node, node.input[0], names)
        body = bodies["then_branch" if is_taken else "else_branch"]
        inner = self._enter(body, names, place)
        self.run(body.node, inner, place)
        return [inner.get(value.name, value.name) for value in body.output]

    def _loop(self, node: NodeProto, bodies: Mapping[str, GraphProto], names: _Names, place: str) -> list[str]:
        """Iterations while a known condition holds, up to a known count: carried values, then one value of each."""
        body = bodies["body"]
        operands = (*node.input, "", "")[: max(len(node.input), 2)]
        trips, condition, *carried = (names.get(name, name) for name in operands)
        if len(body.input) != 2 + len(carried) or len(body.output) < 1 + len(carried):
            raise SpecError(f"{self._where}: {place[:-1]}", f"a body of {len(body.input)} operands", "one that fits")
        most = self._count(node, trips) if trips else _MOST_ITERATIONS + 1
        if trips and most * max(len(body.node), 1) > _MOST_STEPS:
            raise SpecError(f"{self._where}: {place[:-1]}", f"{most} iterations", f"at most {_MOST_STEPS} steps")
        goes_on = self._truth(node, condition, {}) if condition else True
        collected: list[list[str]] = [[] for _ in body.output[1 + len(carried) :]]
        iteration = 0
        while goes_on and iteration < most:
            inner = self._enter(body, names, place)
            numbers = (self._number(iteration, place), self._number(True, place))
            inner.update(zip((value.name for value in body.input), (*numbers, *carried), strict=True))
            self.run(body.node, inner, place)
            results = [inner.get(value.name, value.name) for value in body.output]
            goes_on = self._truth(node, results[0], {})
            carried = results[1 : 1 + len(carried)]
            for values, result in zip(collected, results[1 + len(carried) :], strict=True):
                values.append(result)
            iteration += 1
        if not trips and iteration > _MOST_ITERATIONS:
            raise SpecError(
                f"{self._where}: {place[:-1]}", "a loop", f"one that ends after {_MOST_ITERATIONS} iterations"
            )
        return [*carried, *(self._stacked(values, place) for values in collected)]

    def _enter(self, body: GraphProto, names: _Names, place: str) -> _Names:
        """The names inside a body, with what it stores."""
        inner = dict(names)
        for tensor in body.initializer:
            key = (place, tensor.name)
            if key not in self._written:
                self._written[key] = self._free(f"{place}{tensor.name}")
                stored = self._proto.graph.initializer.add()
                stored.CopyFrom(tensor)
                stored.name = self._written[key]
                self._keep(stored)
            inner[tensor.name] = self._written[key]
        return inner

    def _write(self, node: NodeProto, names: _Names, place: str) -> None:
        """Copy a step under the names that hold here; a stored value of a body once."""
        is_stored = node.op_type == "Constant" and bool(place) and len(node.output) == 1
        if is_stored and (place, node.output[0]) in self._written:
            names[node.output[0]] = self._written[place, node.output[0]]
            return
        copied = import_onnx().NodeProto()
        copied.CopyFrom(node)
        if place:
            copied.name = f"{place}{node.name or node.op_type}"
            fresh = {output: self._free(f"{place}{output}") for output in node.output if output}
            del copied.input[:], copied.output[:]
            copied.input.extend(names.get(name, name) for name in node.input)
            copied.output.extend(fresh.get(output, "") for output in node.output)
            names.update(fresh)
            if is_stored:
                self._written[place, node.output[0]] = fresh.get(node.output[0], "")
        self._append(copied)

    def _append(self, node: NodeProto) -> None:
        """A step as it stands, and its value where that is known."""
        self.nodes.append(node)
        step = step_of(node, self._where)
        if node.op_type == "Constant" and len(node.output) == 1:
            values = [constant_of(step).value]
        elif node.op_type in ("Shape", "Size") and node.input:
            values = [self._measured(node.op_type, node.input[0], step.attributes)]
        else:
            operands = [self._known.get(name) for name in node.input]
            is_known = all(value is not None or not name for name, value in zip(node.input, operands, strict=True))
            values = list(evaluate(step.kind, operands, step.attributes) or []) if operands and is_known else []
        for output, value in zip(node.output, values, strict=False):
            if output and value is not None:
                self._known[output] = value

    def _hand_over(self, node: NodeProto, made: Sequence[str], names: _Names | None, place: str) -> None:
        """What a body makes, under the names of the results of its operator; `names` are those of a body around it."""
        if len(made) < len(node.output):
            got = f"{node.op_type} of {len(node.output)} results"
            raise SpecError(f"{self._where}: {place[:-1]}", got, f"one of {len(made)}, as its body has")
        for output, source in zip(node.output, made, strict=False):
            if output and source:
                target = output
                if names is not None:
                    target = names[output] = self._free(f"{place}{output}")
                self._append(import_onnx().helper.make_node("Identity", [source], [target], name=f"{place}{output}"))

    def _stacked(self, values: Sequence[str], place: str) -> str:
        """The values of all iterations on a new first axis; "" where there are none."""
        helper = import_onnx().helper
        attributes: dict[str, Any] = {"axes": [0]}
        operands: tuple[str, ...] = ()
        if opset_of(self._proto) >= _AXES_ARE_OPERANDS:
            attributes, operands = {}, (self._number([0], place),)
        parts = [self._free(f"{place}part") for _ in values]
        for value, part in zip(values, parts, strict=True):
            self._append(helper.make_node("Unsqueeze", [value, *operands], [part], name=part, **attributes))
        if not parts:
            return ""
        joined = self._free(f"{place}all")
        self._append(helper.make_node("Concat", parts, [joined], name=joined, axis=0))
        return joined

    def _number(self, value: Any, place: str) -> str:
        """A stored value of our own: the number of an iteration, a condition that holds, an axis."""
        array = np.asarray(value)
        name = self._free(f"{place}number")
        self._proto.graph.initializer.append(import_onnx().numpy_helper.from_array(array, name))
        self._known[name] = array
        return name

    def _keep(self, tensor: Any) -> None:
        stored = stored_of(tensor, self._where)
        self._taken.add(tensor.name)
        self._shapes[tensor.name] = stored.shape
        if stored.value is not None:
            self._known[tensor.name] = stored.value

    def _measured(self, kind: str, name: str, attributes: Mapping[str, Any]) -> Array | None:
        """Shape or size of a tensor that the file decides; the package `onnx` infers shapes as far as it goes."""
        if name not in self._shapes and self._inferred_at < len(self.nodes) and self._inferences < _MOST_INFERENCES:
            self._inferences, self._inferred_at = self._inferences + 1, len(self.nodes)
            self._shapes.update(inferred_shapes(self._proto, self.nodes, self._shapes))
        shape = self._shapes.get(name)
        if shape is None:
            return None
        if kind == "Size":
            return np.asarray(int(np.prod(shape, dtype=object)) if shape else 1)
        start, end = attributes.get("start", 0), attributes.get("end", len(shape))
        return np.asarray(shape[start:end], dtype=np.int64)

    def _truth(self, node: NodeProto, name: str, names: Mapping[str, str]) -> bool:
        return bool(self._value(node, names.get(name, name), "condition").reshape(-1)[0])

    def _count(self, node: NodeProto, name: str) -> int:
        return int(self._value(node, name, "trip count").reshape(-1)[0])

    def _value(self, node: NodeProto, name: str, what: str) -> Array:
        value = self._known.get(name)
        if value is None or value.size != 1:
            where = f"{self._where}: {node.name or node.op_type}"
            got = f"{node.op_type} whose {what} {name or 'operand'} the data decide"
            raise SpecError(where, got, "an operator that stored values and shapes decide")
        return value

    def _free(self, wanted: str) -> str:
        """A name that nothing has yet."""
        name = wanted
        while name in self._taken:
            self._copies[wanted] = self._copies.get(wanted, 0) + 1
            name = f"{wanted}:{self._copies[wanted]}"
        self._taken.add(name)
        return name
