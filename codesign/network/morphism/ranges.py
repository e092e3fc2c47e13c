"""Between which values the tensors of a network lie, as far as its operators say; where an activation is the identity.

A ReLU behind a ReLU changes nothing, and so an activation can be put in behind one of its kind where it is idempotent
[Chen et al., ICLR 2016].
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from hwmodels.workload import ops
from hwmodels.workload.graph import Node, Workload

__all__ = ["Range", "keeps", "maps_zero_to_zero", "value_ranges"]

Range = tuple[float, float]

_ANY: Range = (-inf, inf)

_VALUES: Mapping[str, Range] = {
    "relu": (0, inf), "relu6": (0, 6), "sigmoid": (0, 1), "hardsigmoid": (0, 1), "hardtanh": (-1, 1), "tanh": (-1, 1),
    "softplus": (0, inf), "abs": (0, inf), "exp": (0, inf), "sqrt": (0, inf),
}  # fmt: skip
"""What an activation gives, whatever it reads."""

_KEPT: Mapping[str, Range] = {
    "relu": (0, inf), "relu6": (0, 6), "hardtanh": (-1, 1), "leaky_relu": (0, inf), "prelu": (0, inf),
    "elu": (0, inf), "abs": (0, inf),
}  # fmt: skip
"""Where an activation is the identity."""

_ZERO_AT_ZERO = frozenset({
    "relu", "relu6", "leaky_relu", "prelu", "elu", "hardtanh", "hardswish", "tanh", "silu", "gelu", "mish", "abs",
    "neg", "erf", "sin",
})  # fmt: skip


def keeps(operator: ops.Activation, values: Range) -> bool:
    """Whether an activation changes nothing of values in a range."""
    low, high = _KEPT.get(operator.function, (inf, -inf))
    return low <= values[0] and values[1] <= high


def maps_zero_to_zero(operator: ops.Activation) -> bool:
    return operator.function in _ZERO_AT_ZERO


def value_ranges(workload: Workload) -> dict[str, Range]:
    """The range of each tensor."""
    ranges: dict[str, Range] = {}
    for node in workload:
        ranges[node.name] = _range(node, [ranges[source] for source in node.inputs])
    return ranges


def _range(node: Node, given: list[Range]) -> Range:
    operator = node.operator
    if isinstance(operator, ops.Activation):
        low, high = _VALUES.get(operator.function, _ANY)
        if operator.function in _KEPT and keeps(operator, given[0]):
            return given[0]
        return low, high
    if isinstance(operator, ops.Softmax):
        return 0.0, 1.0
    if isinstance(operator, ops.Elementwise) and operator.function == "add":
        return sum(low for low, _ in given), sum(high for _, high in given)
    within = (ops.Pool2d, ops.Upsample, ops.Concat, ops.Split, ops.Reshape, ops.Permute, ops.Select, ops.PixelShuffle)
    if isinstance(operator, within) and given:
        return min(low for low, _ in given), max(high for _, high in given)
    return _ANY
