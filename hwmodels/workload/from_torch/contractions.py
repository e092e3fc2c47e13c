"""Rules for products that are more than one matrix by another: contractions, bilinear forms, chains, experts.

Experts run as grouped products: S rows, each by the matrix of its expert, are S k n MACs whatever the routing, and the
matrices of min(E, S) experts move. Which expert gets how many rows the data decide; they are dealt out evenly.
"""

from __future__ import annotations

from functools import cache
from math import prod
from string import ascii_letters

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.einsum import contracted
from hwmodels.workload.from_torch.products import multiply, project
from hwmodels.workload.ops import (
    Conv2d,
    Elementwise,
    GroupedLinear,
    MatMul,
    Operator,
    Reduce,
    Shape,
    Split,
    View,
)

__all__ = ["RULES"]


def _tensordot(call: Call) -> Value:
    left, right = (ascii_letters[: len(call.shape_of("self"))], [*ascii_letters[-len(call.shape_of("other")) :]])
    gone = [axis % len(left) for axis in call.args["dims_self"]]
    for axis, other in zip(gone, call.args["dims_other"], strict=True):
        right[other] = left[axis]
    kept = "".join(label for label in (*left, *right) if (label in left) != (label in right))
    return contracted(call, [call.args["self"], call.args["other"]], [left, "".join(right)], kept)


def _inner(call: Call) -> Value:
    """Over the last axes of both."""
    ranks = (len(call.shape_of("self")), len(call.shape_of("other")))
    left, right = ascii_letters[: ranks[0] - 1] + "z", ascii_letters[26 : 26 + ranks[1] - 1] + "z"
    return contracted(call, [call.args["self"], call.args["other"]], [left, right], left[:-1] + right[:-1])


def _addbmm(call: Call) -> Value:
    """The products of a batch, summed, and a matrix."""
    factors = [call.args["batch1"], call.args["batch2"]]
    result = contracted(call, factors, ["bnm", "bmp"], "np")
    addends = call.operands("self") if call.args["beta"] else []
    return call.add(Elementwise("add"), result, *addends, part="add") if addends else result


def _bilinear(call: Call) -> Value | None:
    """x1 W_n x2 for every output n: a projection by all W_n at once, then a product with x2 an item."""
    if not call.is_weight("weight"):
        return None
    outputs, first, second = call.shape_of("weight")
    rows = prod(call.shape[:-1])
    left = call.reshape(call.tensor("input1"), (rows, first))
    projected = call.reshape(project(call, left, "weight", outputs * second), (rows, outputs, second))
    right = call.reshape(call.tensor("input2"), (rows, second, 1))
    result = call.reshape(call.add(MatMul(), projected, right, part="product"), call.shape)
    return call.add(Elementwise("add"), result, call.tensor("bias"), part="bias") if call.has("bias") else result


def _chain(call: Call) -> Value:
    """Matrices one after another, in the order of the fewest MACs."""
    matrices = call.args["tensors" if "tensors" in call.args else "matrices"]
    shapes = [call.shape_of(matrix) for matrix in matrices]
    shapes[0] = shapes[0] if len(shapes[0]) == 2 else (1, *shapes[0])
    shapes[-1] = shapes[-1] if len(shapes[-1]) == 2 else (*shapes[-1], 1)
    sizes = [shape[0] for shape in shapes] + [shapes[-1][1]]

    @cache
    def least(first: int, last: int) -> tuple[int, int]:
        """(MACs, where the last product splits) of the matrices from first to last."""
        if first == last:
            return 0, first
        return min(
            (least(first, at)[0] + least(at + 1, last)[0] + sizes[first] * sizes[at + 1] * sizes[last + 1], at)
            for at in range(first, last)
        )

    def product(first: int, last: int) -> str:
        if first == last:
            return call.reshape(call.tensor(matrices[first]), shapes[first])
        at = least(first, last)[1]
        return multiply(call, product(first, at), product(at + 1, last))

    return call.reshape(product(0, len(matrices) - 1), call.shape)


def _matrix_power(call: Call) -> Value | None:
    """By squares: n = 13 = 0b1101 takes three squares and two products."""
    power = call.args["n"]
    if power < 2:
        return None
    result = base = call.tensor("self")
    for bit in f"{power:b}"[1:]:
        result = multiply(call, result, result)
        result = multiply(call, result, base) if bit == "1" else result
    return result


def _kron(call: Call) -> Value:
    left, right = call.shape_of("self"), call.shape_of("other")
    rank = len(call.shape)
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    wide = tuple(extent for size in left for extent in (size, 1))
    tall = tuple(extent for size in right for extent in (1, size))
    x, y = call.reshape(call.tensor("self"), wide), call.reshape(call.tensor("other"), tall)
    return call.reshape(call.add(Elementwise("mul"), x, y), call.shape)


def _similarity(call: Call) -> Value:
    """The cosine between vectors: a sum of products, two norms, a quotient."""
    left, right = call.tensor("x1"), call.tensor("x2")
    axis = call.args["dim"]
    product = call.add(
        Reduce((axis,), mode="sum"), call.add(Elementwise("mul"), left, right, part="product"), part="sum"
    )
    norms = [call.add(Reduce((axis,), mode="norm"), operand, part="norm") for operand in (left, right)]
    return call.add(Elementwise("div"), product, *norms)


def _vector_dot(call: Call) -> Value:
    product = call.add(Elementwise("mul"), call.tensor("x"), call.tensor("y"), part="product")
    return call.add(Reduce((call.args["dim"],), mode="sum"), product)


def _time_first_convolution(call: Call) -> Value | None:
    """conv_tbc: (time, batch, channels) by a kernel (width, inputs, outputs)."""
    if not (call.is_weight("weight") and call.is_weight("bias")):
        return None
    width, _, outputs = call.shape_of("weight")
    time, batch, channels = call.shape_of("self")
    image = call.reshape(call.permute(call.tensor("self"), (1, 2, 0)), (batch, channels, 1, time))
    stored = call.claim("weight") + call.claim("bias")
    made = call.place(Conv2d(outputs, (1, width), padding=(0, call.args["pad"])), image, parameters=stored)
    return call.permute(call.reshape(made, (batch, outputs, call.shape[0])), (2, 0, 1))


def _grouped(call: Call) -> Value | None:
    """(S, k) rows by the (E, k, n) matrices of their experts, or (E, m, k) by (E, k, n)."""
    rows, matrices = call.shape_of("self"), call.shape_of("mat2")
    if len(matrices) != 3 or call.has("bias"):
        return None
    stored = call.claim("mat2") if call.is_weight("mat2") else 0
    used = min(matrices[0], rows[0])
    weights = "" if call.is_weight("mat2") else call.tensor("mat2")
    source = call.tensor("self")
    if len(rows) == 3:
        return _grouped_part(call, source, weights, matrices, stored)
    each, more = divmod(rows[0], used)
    parts, start = [], 0
    for groups, height in ((more, each + 1), (used - more, each)):
        if not groups:
            continue
        part = call.add(Split(0, start, groups * height), source, part="rows") if more else source
        shape = (groups, *matrices[1:])
        own = call.add(View(shape), weights, part="experts") if weights else ""
        block = call.reshape(part, (groups, height, rows[1]))
        parts.append(_grouped_part(call, block, own, shape, stored))
        stored, start = 0, start + groups * height
    return call.reshape(parts[0], call.shape) if len(parts) == 1 else call.add(View(call.shape), *parts, part="joined")


def _grouped_part(call: Call, source: str, weights: str, matrices: Shape, stored: int) -> str:
    """As many rows a group: by stored matrices, or by those of a node."""
    if weights:
        return call.add(MatMul(), source, weights)
    operator: Operator = GroupedLinear(matrices[2])
    return call.place(operator, source, parameters=stored)


RULES: dict[str, Rule] = {
    "aten.tensordot": _tensordot,
    "aten.inner": _inner,
    "aten.addbmm": _addbmm,
    "aten.bilinear": _bilinear,
    "aten.linalg_multi_dot": _chain,
    "aten.chain_matmul": _chain,
    "aten.matrix_power": _matrix_power,
    "aten.linalg_matrix_power": _matrix_power,
    "aten.kron": _kron,
    "aten.cosine_similarity": _similarity,
    "aten.linalg_vecdot": _vector_dot,
    "aten.conv_tbc": _time_first_convolution,
    "aten._grouped_mm": _grouped,
    "aten._scaled_grouped_mm": _grouped,
}
"""By operator, without overload."""
