"""Rules for matrix products, Einstein sums, attention and recurrent layers."""

from __future__ import annotations

from typing import Literal

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.call import Call, Made, Operand, Rule
from hwmodels.workload.from_onnx.pointwise import activated, rotated
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.ops import (
    Cache,
    Concat,
    Elementwise,
    Linear,
    MatMul,
    Permute,
    Recurrent,
    Reshape,
    Shape,
    Softmax,
    Split,
    View,
)

__all__ = ["RULES"]

_MICROSOFT = "com.microsoft."


def _product_shape(left: Shape, right: Shape) -> Shape:
    """Of a product as numpy has it."""
    rows, columns = left[-2:-1] if len(left) > 1 else (), right[-1:] if len(right) > 1 else ()
    leading = Elementwise().infer(left[:-2] or (1,), right[:-2] or (1,)) if len(left) > 2 or len(right) > 2 else ()
    return (*leading, *rows, *columns)


def _matmul(call: Call) -> Value | None:
    """(data, matrix), with a bias where one was behind it."""
    return _multiply(call, call.need(0), call.need(1), call.input(2))


def _multiply(call: Call, left: Operand, right: Operand, bias: Operand | None) -> Value | None:
    if call.shape_of(left)[-1:] != call.shape_of(right)[-2:][:1]:
        shapes = f"{call.shape_of(left)} times {call.shape_of(right)}"
        raise SpecError(call.walk.place(call.step), shapes, "a product that fits")
    shape = _product_shape(call.shape_of(left), call.shape_of(right))
    if bias is None:
        return call.like("aten.matmul", shape, self=left, other=right)
    return call.like("aten.addmm", shape, self=bias, mat1=left, mat2=right, beta=1)


def _swapped(call: Call, operand: Operand) -> Operand:
    """The last two axes in the other order."""
    rank = len(call.shape_of(operand))
    return Made(call.permute(call.tensor(operand), (*range(rank - 2), rank - 1, rank - 2)))


def _gemm(call: Call) -> Value | None:
    """A B + C of matrices, either of them transposed; a stored transposed B is the weight of a linear layer."""
    left: Operand = call.need(0)
    right: Operand = call.need(1)
    bias = call.input(2) if call.attribute("beta", 1.0) else None
    left = _swapped(call, left) if call.attribute("transA", 0) else left
    if bias is not None and not call.is_operand(bias):
        bias = None
    if call.attribute("transB", 0) and call.is_weight(right):
        return _gemm_of_stored(call, left, right, bias)
    return _multiply(call, left, _swapped(call, right) if call.attribute("transB", 0) else right, bias)


def _gemm_of_stored(call: Call, left: Operand, right: Operand, bias: Operand | None) -> Value | None:
    """A product with a stored matrix of one row for each result, as linear layers keep theirs."""
    if call.shape_of(left)[-1:] != call.shape_of(right)[-1:]:
        raise SpecError(call.walk.place(call.step), call.shape_of(right), f"a matrix for {call.shape_of(left)}")
    shape = (*call.shape_of(left)[:-1], call.shape_of(right)[0])
    return call.like("aten.linear", shape, input=left, weight=right, bias=bias)


def _fused_matmul(call: Call) -> Value | None:
    """A product of ONNX Runtime whose operands turn before it."""
    left, right = _turned(call, call.need(0), "A"), call.need(1)
    is_matrix = call.is_weight(right) and len(call.shape_of(right)) == 2
    if call.attribute("transB", 0) and is_matrix:
        return _gemm_of_stored(call, left, right, None)
    return _multiply(call, left, _turned(call, right, "B"), None)


def _turned(call: Call, operand: Operand, which: str) -> Operand:
    """An operand in the order of the product: the leading axis moves to the rows, then rows and columns swap."""
    rank = len(call.shape_of(operand))
    order = list(range(rank))
    if call.attribute(f"transBatch{which}", 0) and rank > 2:
        order = [*order[1:-1], 0, rank - 1]
    if call.attribute(f"trans{which}", 0) and rank > 1:
        order[-2:] = order[:-3:-1]
    return operand if order == list(range(rank)) else Made(call.permute(call.tensor(operand), order))


def _blocks(call: Call) -> Value:
    """A linear layer whose weights stand in blocks of a few bits; what they are packed in does not matter."""
    source, features, depth = call.tensor(call.need(0)), call.attribute("N"), call.attribute("K")
    if call.node_shape(source)[-1] != depth:
        raise SpecError(call.walk.place(call.step), depth, f"the {call.node_shape(source)[-1]} features that it reads")
    shift = call.claim(call.input(5)) if call.input(5) is not None else 0
    stands_for = call.claim_packed(call.need(1), features * depth)
    return call.place(Linear(features, bias=shift > 0), source, parameters=stands_for + shift)


def _einsum(call: Call) -> Value | None:
    """As in torch."""
    operands = [operand for operand in call.inputs if operand is not None]
    return call.like("aten.einsum", equation=call.attribute("equation", ""), tensors=operands)


def _heads(call: Call, source: str, count: int) -> str:
    """(batch, tokens, features) as (batch, heads, tokens, features of a head)."""
    shape = call.node_shape(source)
    if len(shape) == 4:
        return source
    if count < 1 or len(shape) != 3 or shape[2] % count:
        raise SpecError(call.walk.place(call.step), f"{count} heads", f"a divisor of the features of {shape}")
    apart = call.add(Reshape((*shape[:2], count, shape[2] // count)), source, part="heads")
    return call.add(Permute((0, 2, 1, 3)), apart, part="heads")


def _attend(call: Call, query: str, key: str, value: str, *masks: str) -> str:
    """(B, H, T, D) for queries, keys and values; the queries of a group stand in one product."""
    batch, heads, tokens, width = call.node_shape(query)
    groups = call.node_shape(key)[1]
    query = call.reshape(query, (batch, groups, heads // groups * tokens, width))
    scores = call.add(MatMul(), query, call.permute(key, (0, 1, 3, 2)), part="scores")
    for mask in masks:
        wide = call.reshape(scores, (batch, heads, tokens, call.node_shape(key)[2]))
        scores = call.add(Elementwise("add"), wide, mask, part="mask")
        scores = call.reshape(scores, (batch, groups, heads // groups * tokens, call.node_shape(key)[2]))
    mixed = call.add(MatMul(), call.add(Softmax(), scores, part="softmax"), value, part="mix")
    return call.reshape(mixed, (batch, heads, tokens, call.node_shape(mixed)[3]))


def _merged(call: Call, mixed: str) -> str:
    batch, heads, tokens, width = call.node_shape(mixed)
    return call.reshape(call.permute(mixed, (0, 2, 1, 3)), (batch, tokens, heads * width))


def _kept(call: Call, new: str, past: Operand | None) -> str:
    """Keys or values behind those of earlier tokens."""
    if past is None or call.shape_of(past)[2] < 1:
        return new
    return call.add(Cache(call.shape_of(past)[2]), new, part="cache")


def _attention(call: Call) -> Value:
    """The operator of the standard: (query, key, value, mask, past key, past value)."""
    query, key, value = (call.tensor(call.need(index)) for index in range(3))
    is_flat = len(call.node_shape(query)) == 3
    count, shared = call.attribute("q_num_heads", 0), call.attribute("kv_num_heads", 0)
    query, key, value = _heads(call, query, count), _heads(call, key, shared), _heads(call, value, shared)
    key, value = _kept(call, key, call.input(4)), _kept(call, value, call.input(5))
    mask = call.input(3)
    mixed = _attend(call, query, key, value, *([call.tensor(mask)] if mask is not None else []))
    return (_merged(call, mixed) if is_flat else mixed, key, value)


def _fused_attention(call: Call) -> Value | None:
    """Attention of ONNX Runtime with its projection: (data, weights, bias, mask, ...)."""
    source, heads = call.need(0), call.attribute("num_heads", 0)
    features = call.shape_of(call.need(1))[1]
    sizes = call.attribute("qkv_hidden_sizes") or [features // 3] * 3
    joined = _multiply(call, source, call.need(1), call.input(2))
    if not isinstance(joined, str):
        return None
    starts = (0, sizes[0], sizes[0] + sizes[1])
    parts = [call.add(Split(2, start, size), joined) for start, size in zip(starts, sizes, strict=True)]
    query, key, value = (_heads(call, part, heads) for part in parts)
    return (_merged(call, _attend(call, query, key, value)),)


def _multi_head(call: Call) -> Value | None:
    """Attention of ONNX Runtime behind its projections: (query, key, value, bias, mask, added scores, past ...)."""
    heads = call.attribute("num_heads", 0)
    if call.input(1) is None or call.input(2) is None:
        return None
    parts = [call.tensor(call.need(index)) for index in range(3)]
    if call.input(3) is not None:
        parts = _shifted(call, parts)
    query, key, value = (_heads(call, part, heads) for part in parts)
    key, value = _kept(call, key, call.input(6)), _kept(call, value, call.input(7))
    added = call.input(5)
    mixed = _attend(call, query, key, value, *([call.tensor(added)] if added is not None else []))
    return (_merged(call, mixed), key, value)


def _shifted(call: Call, parts: list[str]) -> list[str]:
    """Each of query, key and value and its part of one bias."""
    bias, start, sums = call.tensor(call.need(3)), 0, []
    for part in parts:
        width = call.node_shape(part)[-1]
        shift = call.add(Split(0, start, width), bias, part="bias")
        sums.append(call.add(Elementwise("add"), part, shift, part="bias"))
        start += width
    return sums


def _grouped(call: Call) -> Value | None:
    """Causal attention of ONNX Runtime over a cache: (query, key, value, past key, past value, lengths ...).

    Queries, keys and values may stand side by side in the first operand; rotary positions are part of the operator.
    """
    heads, groups = call.attribute("num_heads", 0), call.attribute("kv_num_heads", 0)
    parts = [call.tensor(call.need(0))]
    if call.input(1) is not None and call.input(2) is not None:
        parts += [call.tensor(call.need(1)), call.tensor(call.need(2))]
    else:
        parts = _side_by_side(call, parts[0], heads, groups)
    query, key, value = (_heads(call, x, count) for x, count in zip(parts, (heads, groups, groups), strict=True))
    if call.attribute("do_rotary", 0):
        query, key = rotated(call, query), rotated(call, key)
    key, value = _kept(call, key, call.input(3)), _kept(call, value, call.input(4))
    return (_merged(call, _attend(call, query, key, value)), key, value)


def _side_by_side(call: Call, joined: str, heads: int, groups: int) -> list[str]:
    """Queries, keys and values of one tensor, by their heads."""
    width = call.node_shape(joined)[-1]
    if heads < 1 or groups < 1 or width % (heads + 2 * groups):
        found = f"{heads} heads and {groups} of keys"
        raise SpecError(call.walk.place(call.step), found, f"those of {width} features side by side")
    size = width // (heads + 2 * groups)
    starts = (0, heads * size, (heads + groups) * size)
    return [
        call.add(Split(2, start, count * size), joined)
        for start, count in zip(starts, (heads, groups, groups), strict=True)
    ]


def _recurrent(cell: Literal["lstm", "gru", "rnn"]) -> Rule:
    def rule(call: Call) -> Value | None:
        """One layer: (data, W, R, B, lengths, first states, peepholes), time first unless `layout` says batch first."""
        directions, _, last = call.shape_of(call.need(2))
        hidden = call.attribute("hidden_size", last)
        if not call.is_weight(call.need(1)) or not call.is_weight(call.need(2)) or directions not in (1, 2):
            return None
        is_batch_first = bool(call.attribute("layout", 0))
        x = call.tensor(call.need(0))
        x = x if is_batch_first else call.permute(x, (1, 0, 2))
        stored = [call.claim(call.input(index)) for index in (1, 2, 3, 7) if call.input(index) is not None]
        has_bias = call.input(3) is not None
        states = [s for i in (5, 6) if (s := call.input(i)) is not None and not call.walk.is_folded(s.name)]
        operands = (x, *(call.tensor(state) for state in states))
        operator = Recurrent(cell, hidden, bias=has_bias)
        share = sum(stored) // directions
        passes = [
            call.place(operator, *operands, parameters=share, part="reverse" if direction else "")
            for direction in range(directions)
        ]
        return _sequences(call, passes, is_batch_first=is_batch_first)

    return rule


def _sequences(call: Call, passes: list[str], *, is_batch_first: bool) -> Value:
    """All states, with an axis for the directions, and views of the last ones."""
    batch, time, hidden = call.node_shape(passes[0])
    count = len(passes)
    joined = call.add(Concat(2), *passes, part="concat") if count > 1 else passes[0]
    apart = call.reshape(joined, (batch, time, count, hidden))
    sequence = apart if is_batch_first else call.permute(apart, (1, 2, 0, 3))
    last = (batch, count, hidden) if is_batch_first else (count, batch, hidden)
    return (sequence, *(call.add(View(last), *passes, part="state") for _ in call.step.outputs[1:]))


RULES: dict[str, Rule] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    f"{_MICROSOFT}FusedMatMul": _fused_matmul,
    f"{_MICROSOFT}TransposeMatMul": _fused_matmul,
    f"{_MICROSOFT}FusedMatMulActivation": activated(_fused_matmul),
    f"{_MICROSOFT}FusedGemm": activated(_gemm),
    f"{_MICROSOFT}GemmFastGelu": activated(_matmul, "Gelu"),
    f"{_MICROSOFT}MatMulNBits": _blocks,
    f"{_MICROSOFT}MatMulBnb4": _blocks,
    "Einsum": _einsum,
    "Attention": _attention,
    f"{_MICROSOFT}Attention": _fused_attention,
    f"{_MICROSOFT}MultiHeadAttention": _multi_head,
    f"{_MICROSOFT}GroupQueryAttention": _grouped,
    "LSTM": _recurrent("lstm"),
    "GRU": _recurrent("gru"),
    "RNN": _recurrent("rnn"),
}
"""By operator."""
