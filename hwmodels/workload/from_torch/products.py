"""Rules for operators whose work is multiply-accumulates.

A product with a parameter is `Linear`, one of two computed operands is `MatMul`. Attention is written as the zoo
writes it: product, mask where there is one, softmax, product; its scale is folded into the projection and is no row.
Flexible attention is dense: the blocks that its mask leaves out are counted, what it does to the scores is not.
Layers that treat every token alike stand over (batch, tokens, features), in whatever order the module keeps them.
"""

from __future__ import annotations

from math import prod
from typing import Any

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.pointwise import batch_first, tokens
from hwmodels.workload.ops import Elementwise, ElementwiseName, Linear, MatMul, Permute, Reshape, Shape, Softmax, View

__all__ = ["RULES", "multiply", "project"]


def project(call: Call, source: str, weight: Any, features: int, *, bias: Any = None) -> str:
    """x W^T + b over the last axis of a node; a bias that is no vector of parameters is a sum of its own."""
    shape = call.node_shape(source)
    stored = call.claim(weight)
    is_vector = bias is not None and call.is_weight(bias) and prod(call.shape_of(bias)) == features
    shift = call.claim(bias) if is_vector else 0
    operator = Linear(features, bias=shift > 0)
    result = call.place(operator, tokens(call, source), parameters=stored + shift)
    return call.reshape(result, (*shape[:-1], features))


def _swapped(call: Call, source: str) -> str:
    """The last two axes in the other order."""
    rank = len(call.node_shape(source))
    return call.permute(source, (*range(rank - 2), rank - 1, rank - 2))


def multiply(call: Call, left: str, right: str, *, part: str = "") -> str:
    """(..., m, k) x (..., k, n) of two nodes; leading axes broadcast, one matrix for all is one product."""
    a, b = call.node_shape(left), call.node_shape(right)
    if len(b) == 2 and len(a) > 2:
        flat = call.add(MatMul(), call.reshape(left, (prod(a[:-1]), a[-1])), right, part=part)
        return call.reshape(flat, (*a[:-1], b[-1]))
    leading = Elementwise().infer(a[:-2] or (1,), b[:-2] or (1,)) if len(a) > 2 or len(b) > 2 else ()
    left, right = call.view(left, (*leading, *a[-2:])), call.view(right, (*leading, *b[-2:]))
    shared = _shared_heads(call, right)
    if shared is not None:
        batch, heads, *matrix = call.node_shape(shared)
        rows = call.reshape(left, (batch, heads, leading[1] // heads * a[-2], matrix[0]))
        product = call.add(MatMul(), rows, shared, part=part)
    else:
        product = call.add(MatMul(), batch_first(call, left), batch_first(call, right), part=part)
    return call.reshape(product, (*leading, a[-2], b[-1]))


def _shared_heads(call: Call, name: str) -> str | None:
    """Keys or values that are repeated for the queries of a group, without the repetition; None for all else.

    What is looked for is a broadcast of (batch, heads, 1, s, d) along its third axis that is merged with the second.
    The queries of a group then stand in one product, which reads their keys once, as in the zoo.
    """
    turned = call.operator_of(name) == Permute((0, 1, 3, 2))
    merged = call.inputs_of(name)[0] if turned else name
    if len(call.node_shape(merged)) != 4 or not isinstance(call.operator_of(merged), Reshape):
        return None
    repeated = call.inputs_of(merged)[0]
    if not isinstance(call.operator_of(repeated), View) or len(call.inputs_of(repeated)) != 1:
        return None
    source = call.inputs_of(repeated)[0]
    wide, narrow = call.node_shape(repeated), call.node_shape(source)
    if len(wide) != 5 or narrow != (*wide[:2], 1, *wide[3:]):
        return None
    if call.node_shape(merged) != (wide[0], wide[1] * wide[2], *wide[3:]):
        return None
    once = call.reshape(source, (*narrow[:2], *narrow[3:]))
    return _swapped(call, once) if turned else once


def _product(call: Call, left: str, right: str, shape: Shape, *, bias: str | None = None) -> str:
    """The product of two arguments of one or more axes; a stored matrix makes it a linear layer."""
    a, b = call.shape_of(left), call.shape_of(right)
    if call.is_weight(right) and len(b) == 2:
        return call.reshape(project(call, call.tensor(left), right, b[1], bias=bias), shape)
    if call.is_weight(left) and len(a) == 2 and bias is None:
        source = call.reshape(call.tensor(right), (*b, 1)) if len(b) == 1 else call.tensor(right)
        projected = project(call, _swapped(call, source), left, a[0])
        return call.reshape(_swapped(call, projected), shape)
    x = call.reshape(call.tensor(left), (1, *a)) if len(a) == 1 else call.tensor(left)
    y = call.reshape(call.tensor(right), (*b, 1)) if len(b) == 1 else call.tensor(right)
    return call.reshape(multiply(call, x, y), shape)


def _matmul(call: Call) -> Value:
    left, right = list(call.args)[:2]
    return _product(call, left, right, call.shape)


def _linear(call: Call) -> Value:
    source = call.tensor("input")
    bias = call.args["bias"]
    if call.is_weight("weight") and len(call.shape_of("weight")) == 2:
        result = project(call, source, "weight", call.shape_of("weight")[0], bias=bias)
        if bias is None or _is_vector(call, "bias", call.shape[-1]):
            return result
    else:
        matrix = call.tensor("weight")
        matrix = call.reshape(matrix, (1, *call.node_shape(matrix))) if len(call.shape_of("weight")) == 1 else matrix
        shape = call.node_shape(source)
        rows = call.reshape(source, (prod(shape[:-1]), shape[-1]))
        result = call.reshape(multiply(call, rows, _swapped(call, matrix)), call.shape)
        if bias is None:
            return result
    return call.add(Elementwise("add"), result, call.tensor("bias"), part="bias")


def _is_vector(call: Call, bias: str, features: int) -> bool:
    return call.is_weight(bias) and prod(call.shape_of(bias)) == features


def _sum_and_product(call: Call) -> Value:
    """addmm, baddbmm: a product and a sum; a stored vector is the bias of a linear layer."""
    left, right = list(call.args)[1:3]
    features = call.shape[-1]
    if call.is_weight(right) and len(call.shape_of(right)) == 2 and _is_vector(call, "self", features):
        return _product(call, left, right, call.shape, bias="self")
    result = _product(call, left, right, call.shape)
    addends = call.operands("self") if call.args["beta"] else []
    return call.add(Elementwise("add"), result, *addends, part="add") if addends else result


def _attention(call: Call) -> Value:
    """softmax(Q K^T + mask) V; the mask of a causal kernel is no tensor and no row."""
    leading, (rows, width) = call.shape[:-2], call.shape_of("query")[-2:]
    query, key, value = (call.tensor(name) for name in ("query", "key", "value"))
    heads = call.node_shape(key)[-3] if len(leading) > 1 else 1
    if call.args.get("enable_gqa", True) and heads != leading[-1]:
        leading = (*leading[:-1], heads)
        query = call.reshape(query, (*leading, call.shape[-3] // heads * rows, width))
    query, key, value = (
        call.view(operand, (*leading, *call.node_shape(operand)[-2:])) for operand in (query, key, value)
    )
    scores = multiply(call, query, _swapped(call, key), part="scores")
    if call.has("attn_mask"):
        mask = call.tensor("attn_mask")
        masked: ElementwiseName = "where" if call.is_mask("attn_mask") else "add"
        wide = call.reshape(scores, (*call.shape[:-1], call.node_shape(key)[-2]))
        scores = call.reshape(call.add(Elementwise(masked), wide, mask, part="mask"), call.node_shape(scores))
    elif len(leading) < 2:
        scores = batch_first(call, scores)
    shares = call.add(Softmax(), scores, part="softmax")
    mixed = multiply(call, call.reshape(shares, (*leading, *call.node_shape(shares)[-2:])), value, part="mix")
    return call.reshape(mixed, call.shape)


def _attention_beside(call: Call) -> Value:
    """As `_attention`, of a kernel that returns more than the result; all that is a view of it."""
    result = _attention(call)
    others = (call.add(View(shape), str(result), part="beside") for shape in call.shapes[1:] if shape is not None)
    return (str(result), *others)


RULES: dict[str, Rule] = {
    "aten.linear": _linear,
    **{f"aten.{name}": _matmul for name in ("matmul", "mm", "bmm", "mv", "dot", "vdot", "_int_mm", "_scaled_mm")},
    **{f"aten.{name}": _sum_and_product for name in ("addmm", "baddbmm", "addmv")},
    "aten.scaled_dot_product_attention": _attention,
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention_beside,
    "aten._scaled_dot_product_attention_math": _attention_beside,
    "flex_attention": _attention_beside,
}
"""By operator, without overload."""
