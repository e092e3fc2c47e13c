"""One step of a file as a rule sees it: operands by place, attributes by name, and what a call of torch answers too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.model import Array, Step
from hwmodels.workload.from_torch import convolution, einsum, pointwise, products
from hwmodels.workload.from_torch.call import Call as TorchCall
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.ops import Operator, Shape

if TYPE_CHECKING:
    from hwmodels.workload.from_onnx.translation import Walk

__all__ = ["Call", "Made", "Operand", "Rule", "Tensor"]

_OF_TORCH = {**pointwise.RULES, **products.RULES, **convolution.RULES, **einsum.RULES}
_PERMUTE = "aten.permute"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An operand by its name in the file."""

    name: str


@dataclass(frozen=True, slots=True)
class Made:
    """An operand that is a node of the workload already."""

    node: str


Operand = Tensor | Made


class Call(TorchCall):
    """One step as a rule sees it.

    It answers what a call of torch answers, so that the rules of `from_torch` can write down what both formats have;
    `like` tells a step as the torch operator of the same meaning.
    """

    def __init__(
        self,
        walk: Walk,
        step: Step,
        *,
        kind: str = "",
        arguments: Mapping[str, Any] | None = None,
        shapes: tuple[Shape | None, ...] = (),
    ) -> None:
        super().__init__(cast(Any, walk), cast(Any, step), kind or step.kind, arguments or {})
        self.walk, self.step = walk, step
        self._shapes = shapes
        self.is_moved_back = False
        self.inputs = [Tensor(name) if name else None for name in step.inputs]

    def like(self, kind: str, /, *shapes: Shape | None, **arguments: Any) -> Value | None:
        """What the rule of an operator of torch makes of this step."""
        told = Call(self.walk, self.step, kind=kind, arguments=arguments, shapes=shapes)
        told.is_moved_back = self.is_moved_back
        return _OF_TORCH[kind](told)

    @property
    def shapes(self) -> tuple[Shape | None, ...]:
        """Shapes of the results, where `like` named them."""
        return self._shapes

    @property
    def shape(self) -> Shape:
        """Shape of the first result."""
        first = self._shapes[0]
        if first is None:
            raise SpecError(self.walk.place(self.step), self.kind, "an operator that returns a tensor")
        return first

    @property
    def batch(self) -> int:
        """Leading extent of the network's first input."""
        return self.walk.batch

    @property
    def readers(self) -> frozenset[str]:
        """The kinds of operators that read the result, a permutation by its name in torch."""
        if self.is_moved_back:
            return frozenset((_PERMUTE,))
        kinds = self.walk.readers.get(self.step.outputs[0], set())
        return frozenset(_PERMUTE if kind == "Transpose" else kind for kind in kinds)

    @property
    def opset(self) -> int:
        return self.walk.model.opset

    def input(self, index: int) -> Tensor | None:
        """An operand, None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def need(self, index: int) -> Tensor:
        """An operand that the operator cannot do without."""
        found = self.input(index)
        if found is None:
            raise SpecError.missing(self.walk.place(self.step), f"operand {index}")
        return found

    def attribute(self, name: str, default: Any = None) -> Any:
        return self.step.attributes.get(name, default)

    def value(self, index: int) -> Array | None:
        """The value of an operand that is known."""
        found = self.input(index)
        return None if found is None else self.walk.known.get(found.name)

    def integers(self, index: int, attribute: str = "") -> list[int] | None:
        """A list that is an operand, or an attribute in earlier operator sets; None where it is neither.

        Raises
        ------
        SpecError : it is an operand whose value the data or a file beside this one decide.
        """
        if self.input(index) is None:
            given = self.attribute(attribute)
            return None if given is None else [int(item) for item in given]
        found = self.value(index)
        if found is None:
            name = self.need(index).name
            raise SpecError(
                self.walk.place(self.step), f"{self.kind} by {name}", "decided by shapes and small constants"
            )
        return [int(item) for item in np.atleast_1d(found).reshape(-1)]

    def nothing(self, shape: Shape) -> Value:
        """A result without elements."""
        self.walk.leave_empty(self.step.outputs[0], shape)
        return ()

    def shape_of(self, argument: Any) -> Shape:
        return self.walk.shape_of(self._operand(argument))

    def is_mask(self, argument: str) -> bool:
        return False

    def tensor(self, argument: Any) -> str:
        return self.walk.node_of(self._operand(argument))

    def operands(self, *arguments: Any) -> list[str]:
        """The nodes of those arguments that are tensors; a single fixed number is none."""
        values = [self._operand(argument) for argument in arguments]
        listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return [self.tensor(item) for item in listed if item is not None and self.is_operand(item)]

    def is_operand(self, operand: Operand) -> bool:
        """Whether an operand is more than one number of the file."""
        if isinstance(operand, Made) or not self.walk.is_folded(operand.name):
            return True
        return prod(self.walk.shape_of(operand)) != 1

    def is_weight(self, argument: Any) -> bool:
        operand = self._operand(argument)
        return isinstance(operand, Tensor) and self.walk.is_weight(operand.name)

    def claim(self, argument: Any) -> int:
        operand = self._operand(argument)
        return self.walk.claim(operand.name) if isinstance(operand, Tensor) else 0

    def claim_packed(self, operand: Tensor, elements: int) -> int:
        """The parameters of a weight whose elements share bytes: all of them where it is first read."""
        stored = self.walk.model.stored.get(operand.name)
        return elements if stored is None or stored.role == "fixed" or self.claim(operand) else 0

    def add(self, operator: Operator, *inputs: str, part: str = "") -> str:
        label = self.walk.label(self.step)
        return self.walk.add(operator, inputs, f"{label}.{part}" if part else label)


Rule = Callable[[Call], Value | None]
"""Writes a step down and returns its results; None where the step is outside the vocabulary."""
