"""One operator of a traced program as a rule sees it, and what a rule may do: read, claim parameters, write nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any

from hwmodels.errors import SpecError
from hwmodels.workload.from_torch.nodes import FxNode, is_node, is_tensor, kind_of, shape_of, shapes_of
from hwmodels.workload.ops import Operator, Permute, Reshape, Shape, Shared, View

if TYPE_CHECKING:
    from hwmodels.workload.from_torch.translation import Translation

__all__ = ["Call", "Rule", "Value"]

Value = str | tuple[str | None, ...]
"""The node of a result, or the nodes of several; None stands for one that no tensor is."""


class Call:
    """One operator of the program, as a rule sees it: arguments by name, operands as nodes, parameters to claim."""

    def __init__(self, translation: Translation, node: FxNode, kind: str, arguments: Mapping[str, Any]) -> None:
        self.kind, self.args = kind, arguments
        self._translation, self._node = translation, node

    @property
    def shapes(self) -> tuple[Shape | None, ...]:
        """Shapes of the results; None for one that is no tensor."""
        return shapes_of(self._node)

    @property
    def shape(self) -> Shape:
        """Shape of the first result."""
        first = self.shapes[0]
        if first is None:
            raise SpecError(self._translation.name, self._node.name, "an operator that returns a tensor")
        return first

    @property
    def batch(self) -> int:
        """Leading extent of the network's first input."""
        return self._translation.program.batch

    @property
    def readers(self) -> frozenset[str]:
        """The kinds of operators that read the result."""
        return frozenset(kind_of(user) for user in self._node.users)

    def has(self, argument: str) -> bool:
        """Whether the argument is there and is a tensor (or a list, or a number other than None)."""
        return self.args.get(argument) is not None

    def shape_of(self, argument: Any) -> Shape:
        return shape_of(self._operand(argument))

    def is_mask(self, argument: str) -> bool:
        """Whether the operand holds truth values."""
        return str(self.args[argument].meta["val"].dtype) == "torch.bool"

    def node_shape(self, name: str) -> Shape:
        return self._translation.nodes[name].shape

    def operator_of(self, name: str) -> Operator:
        return self._translation.nodes[name].operator

    def inputs_of(self, name: str) -> tuple[str, ...]:
        return self._translation.nodes[name].inputs

    def tensor(self, argument: Any) -> str:
        """The node of an operand, written down now where it was not yet."""
        return self._translation.tensor(self._operand(argument))

    def operands(self, *arguments: str) -> list[str]:
        """The tensors among the arguments and in their lists; a fixed number is none."""
        values = [self.args.get(argument) for argument in arguments]
        nodes = [node for value in values for node in (value if isinstance(value, list) else [value])]
        return [self._translation.tensor(node) for node in nodes if self._is_operand(node)]

    def _operand(self, argument: Any) -> Any:
        """An argument by its name, or an operand out of a list as it is."""
        return self.args.get(argument) if isinstance(argument, str) else argument

    def _is_operand(self, node: Any) -> bool:
        if not is_node(node) or not is_tensor(node) or not prod(shape_of(node)):
            return False
        return bool(shape_of(node)) or not self._translation.is_fixed(node)

    def is_weight(self, argument: Any) -> bool:
        """Whether the operand is made of parameters and buffers alone, by no matrix product."""
        node = self._operand(argument)
        return node is not None and self._translation.is_weight(node)

    def claim(self, argument: Any) -> int:
        """How many elements of an operand are parameters that count here; 0 where there is no operand."""
        node = self._operand(argument)
        return self._translation.claim(node) if node is not None else 0

    def add(self, operator: Operator, *inputs: str, part: str = "") -> str:
        """Write a node down under the name of this call, or of a `part` of it."""
        return self._translation.add(operator, inputs, self._translation.label(self._node, part))

    def place(self, operator: Operator, *inputs: str, parameters: int, part: str = "") -> str:
        """As `add`, for an operator that stores: `parameters` are those that count here."""
        shapes = tuple(self.node_shape(name) for name in inputs)
        if operator.row(shapes, operator.infer(*shapes)).parameters != parameters:
            operator = Shared(operator, parameters)
        return self.add(operator, *inputs, part=part)

    def reshape(self, source: str, shape: Iterable[int], *, part: str = "reshape") -> str:
        """A reshape, of what an earlier one looks at; nothing where that has the shape already."""
        wanted = tuple(shape)
        while isinstance(self.operator_of(source), Reshape) and self.node_shape(source) != wanted:
            source = self.inputs_of(source)[0]
        return source if self.node_shape(source) == wanted else self.add(Reshape(wanted), source, part=part)

    def permute(self, source: str, axes: Iterable[int], *, part: str = "permute") -> str:
        """A permutation, joined with an earlier one; nothing where the order is the old one."""
        wanted = tuple(axes)
        earlier = self.operator_of(source)
        if isinstance(earlier, Permute):
            wanted, source = tuple(earlier.axes[axis] for axis in wanted), self.inputs_of(source)[0]
        if wanted == tuple(range(len(wanted))):
            return source
        return self.add(Permute(wanted), source, part=part)

    def view(self, source: str, shape: Shape, *, part: str = "view") -> str:
        """The same storage under any shape, as a broadcast; nothing where the shape is the old one."""
        return source if self.node_shape(source) == shape else self.add(View(shape), source, part=part)


Rule = Callable[[Call], Value | None]
"""Writes a call down and returns its result; None where the call is outside the vocabulary."""
