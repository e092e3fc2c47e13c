"""Mixtures of experts: every token goes through the few feed-forward networks that a router chooses for it.

    s = softmax(x W_r),  C = the `chosen` largest of s,  y = sum_{e in C} g_e f_e(x)
    g_e = s_e where one is chosen [Fedus et al., JMLR 2022], s_e / sum_{C} s where several [Jiang et al., 2024]

Tokens are copied into rows that stand expert by expert (`Dispatch`), each row meets the matrix of its expert
(`ExpertLinear`), and the rows of a token are summed (`Combine`). No token is dropped, so A = tokens x chosen rows run
whatever the router says. Which expert gets how many the data decide; costs deal them out evenly, over min(E, A) ones.

Not modelled: uneven loads, limits on the tokens of an expert, losses that balance the router.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from hwmodels.workload.ops.row import Kind, Row, Shape, plain_row

__all__ = ["Combine", "Dispatch", "ExpertLinear"]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Tokens (batch, tokens, features) and shares (batch, tokens, experts) -> rows (batch tokens chosen, features).

    Rows stand expert by expert. One comparison a share and choice finds the largest (ASSUMED: by selection).
    """

    chosen: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        (*tokens, features), shares = inputs
        if list(shares[:-1]) != tokens:
            raise ValueError(f"Dispatch: shares {shares} are not those of tokens {inputs[0]}")
        if not 1 <= self.chosen <= shares[-1]:
            raise ValueError(f"Dispatch: {self.chosen} chosen of {shares[-1]} experts")
        return (prod(tokens) * self.chosen, features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.ELEMENTWISE, inputs, output, vector_ops=prod(inputs[1]) * self.chosen)


@dataclass(frozen=True, slots=True)
class ExpertLinear:
    """Rows (A, k), expert by expert, each by the matrix of its expert -> (A, n); shares say whose they are. No bias.

    Stored are all matrices; those of min(experts, A) move, for ceil(A / that) rows each.
    """

    out_features: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        rows, shares = inputs[0][0], inputs[1]
        if rows % prod(shares[:-1]):
            raise ValueError(f"ExpertLinear: {rows} rows are no multiple of {prod(shares[:-1])} tokens")
        return (rows, self.out_features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        (rows, k), n, experts = inputs[0], self.out_features, inputs[1][-1]
        used = min(experts, rows)
        m = -(-rows // used)
        return Row(
            kind=Kind.LINEAR,
            groups=used,
            in_channels=k * used,
            out_channels=n * used,
            in_h=m,
            out_h=m,
            m=m,
            n=n,
            k=k,
            macs=used * m * n * k,
            weight_elements=used * n * k,
            input_elements=rows * k,
            output_elements=rows * n,
            parameters=experts * n * k,
        )


@dataclass(frozen=True, slots=True)
class Combine:
    """Rows (batch tokens chosen, features) and shares (batch, tokens, experts) -> (batch, tokens, features)."""

    chosen: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        (rows, features), (*tokens, _) = inputs
        if rows != prod(tokens) * self.chosen:
            raise ValueError(f"Combine: {rows} rows for {prod(tokens)} tokens of {self.chosen} experts")
        return (*tokens, features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        products_and_sums = prod(output) * (2 * self.chosen - 1)
        return plain_row(Kind.ELEMENTWISE, inputs, output, vector_ops=products_and_sums)
