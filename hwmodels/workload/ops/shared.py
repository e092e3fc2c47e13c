"""Operators that run on weights which are not all their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwmodels.workload.ops.row import Operator, Row, Shape

__all__ = ["Shared"]


@dataclass(frozen=True, slots=True)
class Shared:
    """An operator whose stored weights are another node's, or fixed rather than learned.

    `parameters` are those that count here: 0 for the head of a language model that is tied to its embedding, and for
    every scale but the first of a head that runs on several. Shape and work are the operator's.
    """

    operator: Operator
    parameters: int = 0
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.operator.infer(*inputs)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return self.operator.row(inputs, output)._replace(parameters=self.parameters)
