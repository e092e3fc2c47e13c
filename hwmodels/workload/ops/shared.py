"""Operators around another one: on weights which are not all their own, and on complex numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwmodels.workload.ops.row import Kind, Operator, Row, Shape

__all__ = ["Complex", "Shared"]


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


_REAL_OPS_A_COMPLEX_ONE = {"mul": 6, "div": 11, "where": 2}
"""4 products and 2 sums; a product by the conjugate, its square and two quotients; two selections."""


@dataclass(frozen=True, slots=True)
class Complex:
    """An operator on complex numbers as the real one that runs.

    A product of complex matrices is the real product ``[Re -Im; Im Re] [Re; Im]``: twice the rows m and twice the
    depth k, hence 4 real MACs for a complex one, on weights and results of twice as many real numbers. Every count of
    elements and parameters is one of real numbers; the widths stay those of a part.
    """

    operator: Operator
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.operator.infer(*inputs)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        row = self.operator.row(inputs, output)
        function = getattr(self.operator, "function", "") if row.kind == Kind.ELEMENTWISE else ""
        return row._replace(
            in_channels=2 * row.in_channels,
            m=2 * row.m,
            k=2 * row.k,
            macs=4 * row.macs,
            vector_ops=_REAL_OPS_A_COMPLEX_ONE.get(function, 2) * row.vector_ops,
            weight_elements=2 * row.weight_elements,
            input_elements=2 * row.input_elements,
            output_elements=2 * row.output_elements,
            parameters=2 * row.parameters,
        )
