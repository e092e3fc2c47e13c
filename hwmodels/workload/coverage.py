"""What of a network is outside the operator vocabulary, and how much of its data movement that is.

Importers write an operator that they do not know as `Unknown`: it moves its operands, its weights and its result, and
computes nothing. MACs, latency and energy of such a network are lower bounds, and how far below the truth they may be
the share does not say: a product with few operands can hold most of the work.
"""

from __future__ import annotations

from typing import NamedTuple

from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Complex, Row, Unknown

__all__ = ["LOWER_BOUNDS", "UnknownOperator", "unknown_operators"]

LOWER_BOUNDS = "MACs, latency and energy are lower bounds: what an unknown operator computes is not counted"
"""What a report of a network with unknown operators says beside their list."""


class UnknownOperator(NamedTuple):
    """One kind of unknown operator in a network.

    operator : its name in the framework it came from.
    count : how often it is called.
    share : of the elements that the network reads (weights included) and writes, between 0 and 1.
    """

    operator: str
    count: int  # type: ignore[assignment]  # a tuple has a method of this name, which nobody misses
    share: float


def unknown_operators(workload: Workload) -> list[UnknownOperator]:
    """Every kind of unknown operator, the largest share first; empty where all operators are known.

    >>> from hwmodels.workload.zoo import network
    >>> unknown_operators(network("resnet18"))
    []
    """
    moved = 0
    found: dict[str, tuple[int, int]] = {}
    for node, row in workload.rows():
        elements = _moved(row)
        moved += elements
        operator = node.operator.operator if isinstance(node.operator, Complex) else node.operator
        if isinstance(operator, Unknown):
            count, total = found.get(operator.what, (0, 0))
            found[operator.what] = (count + 1, total + elements)
    listed = [UnknownOperator(what, count, total / max(moved, 1)) for what, (count, total) in found.items()]
    return sorted(listed, key=lambda unknown: (-unknown.share, unknown.operator))


def _moved(row: Row) -> int:
    """Elements read (weights included) and written."""
    return row.input_elements + row.weight_elements + row.output_elements
