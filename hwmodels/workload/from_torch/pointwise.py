"""Rules for operators without products that compute: reduction, normalisation, pointwise functions.

A normalisation of channels that stand second in a sequence, or last in an image, is written where the zoo writes it:
over (batch, tokens, channels) or over the image, between views.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.movement import without_broadcast
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Elementwise,
    ElementwiseName,
    Norm,
    Permute,
    Pool2d,
    Reduce,
    Softmax,
    Split,
)
from hwmodels.workload.ops.row import channels_of

__all__ = ["RULES", "batch_first", "elementwise", "tokens"]

NormMode = Literal["batch", "layer", "group", "instance", "rms"]
ReduceMode = Literal["mean", "sum", "max", "min", "norm"]


def _activation(function: ActivationName) -> Rule:
    def rule(call: Call) -> Value:
        return call.add(Activation(function), call.tensor(next(iter(call.args))))

    return rule


def _clamp(call: Call) -> Value:
    """ReLU6 and hardtanh by their bounds; one bound alone is a maximum or a minimum."""
    source = call.tensor("self")
    low, high = (call.args.get(a, call.args.get(b)) for a, b in (("min_val", "min"), ("max_val", "max")))
    if low is None or high is None:
        return call.add(Elementwise("max" if high is None else "min"), source)
    return call.add(Activation("relu6" if (low, high) == (0, 6) else "hardtanh"), source)


def _prelu(call: Call) -> Value:
    """A slope a channel, or one for all."""
    source, slopes = call.tensor("self"), call.shape_of("weight")
    if prod(slopes) != channels_of(call.shape):
        return call.place(Activation("leaky_relu"), source, parameters=call.claim("weight"))
    return call.place(Activation("prelu"), source, parameters=call.claim("weight"))


def _glu(call: Call) -> Value:
    source, axis = call.tensor("self"), call.args["dim"]
    half = call.shape[axis]
    left, right = (call.add(Split(axis, start, half), source, part="half") for start in (0, half))
    return call.add(Elementwise("mul"), left, call.add(Activation("sigmoid"), right, part="gate"))


def elementwise(call: Call, function: ElementwiseName, *operands: str) -> str:
    """Arithmetic of operands that broadcast; a broadcast view is read as what it looks at."""
    bare = [without_broadcast(call, name) for name in operands]
    operator = Elementwise(function)
    if operator.infer(*(call.node_shape(name) for name in bare)) == call.shape:
        operands = tuple(bare)
    return call.add(operator, *operands)


def _elementwise(function: ElementwiseName) -> Rule:
    """Operands are the tensors among all arguments, whatever their names."""

    def rule(call: Call) -> Value | None:
        operands = call.operands(*call.args)
        return elementwise(call, function, *operands) if operands else None

    return rule


def _fused_multiply_add(call: Call) -> Value:
    """addcmul, addcdiv: a product or quotient, and a sum."""
    factors = call.operands("tensor1", "tensor2")
    product = call.add(Elementwise("mul" if call.kind.endswith("mul") else "div"), *factors, part="product")
    return elementwise(call, "add", *call.operands("self"), product)


def _outer(call: Call) -> Value:
    """Every pair of two vectors' elements."""
    rows, columns = call.shape
    left, right = call.reshape(call.tensor("self"), (rows, 1)), call.reshape(call.tensor("vec2"), (1, columns))
    return call.add(Elementwise("mul"), left, right)


def _outer_sum(call: Call) -> Value:
    """addr: every pair of two vectors' elements, and a matrix."""
    rows, columns = call.reshape(call.tensor("vec1"), (call.shape[0], 1)), call.tensor("vec2")
    product = call.add(Elementwise("mul"), rows, columns, part="product")
    return elementwise(call, "add", *call.operands("self"), product)


_MOVES = frozenset(f"aten.{name}" for name in ("permute", "movedim", "moveaxis"))


def tokens(call: Call, source: str) -> str:
    """(batch, tokens, features) for what treats every token alike; (batch, features) stays."""
    shape = call.node_shape(source)
    if len(shape) < 2:
        return call.reshape(source, (1, *shape))
    rows = prod(shape[:-1])
    if len(shape) < 4 and (shape[0] == call.batch or rows % call.batch):
        return source
    batch = shape[0] if rows % call.batch else call.batch
    return call.reshape(source, (batch, rows // batch, shape[-1]))


def batch_first(call: Call, source: str) -> str:
    """(batch x more, T, D) as (batch, more, T, D) where the heads are merged with the batch."""
    shape = call.node_shape(source)
    if len(shape) != 3 or shape[0] == call.batch or shape[0] % call.batch:
        return source
    return call.reshape(source, (call.batch, shape[0] // call.batch, *shape[1:]))


def _softmax(call: Call) -> Value:
    source = call.tensor("self")
    axis = call.args["dim"] % max(len(call.shape), 1)
    if axis != len(call.shape) - 1:
        return call.add(Softmax(axis), source)
    return call.reshape(call.add(Softmax(), batch_first(call, source)), call.shape)


def _axes(call: Call, rank: int) -> tuple[int, ...]:
    given = call.args.get("dim")
    given = list(range(rank)) if given is None or given == [] else given
    return tuple(sorted(axis % rank for axis in (given if isinstance(given, list) else [given]))) if rank else ()


def _reduce(mode: ReduceMode) -> Rule:
    def rule(call: Call) -> Value | None:
        """A reduction; the mean over the last two axes of an image is global average pooling."""
        if call.has("other"):
            return _elementwise("max" if mode == "max" else "min")(call)
        source = call.tensor("self" if "self" in call.args else "x")
        shape = call.node_shape(source)
        axes, keep = _axes(call, len(shape)), bool(call.args.get("keepdim"))
        if mode == "mean" and len(shape) == 4 and axes == (2, 3):
            return call.reshape(call.add(Pool2d("avg"), source), call.shape)
        first = call.add(Reduce(axes, keep, mode), source)
        others = (call.view(first, other) for other in call.shapes[1:] if other is not None)
        return (first, *others) if len(call.shapes) > 1 else first

    return rule


def _place_norm(call: Call, mode: NormMode, source: str, features: int) -> str:
    """The normalisation of a node with the affine tensors that the call has."""
    weight, bias = (call.claim(name) if call.is_weight(name) else 0 for name in ("weight", "bias"))
    shape = call.node_shape(source)
    named = None if channels_of(shape) == features else features
    operator = Norm(mode, affine=weight > 0, bias=bias > 0 or mode == "rms", features=named)
    return call.place(operator, source, parameters=weight + bias)


def _channel_norm(mode: NormMode) -> Rule:
    """Batch, group and instance norm: the channels stand second."""

    def rule(call: Call) -> Value | None:
        source = call.tensor("self" if "self" in call.args else "input")
        shape = call.node_shape(source)
        if call.args.get("training") or len(shape) < 2:
            return None
        if len(shape) == 3:
            normed = _place_norm(call, mode, call.permute(source, (0, 2, 1)), shape[1])
            result = call.permute(normed, (0, 2, 1))
        else:
            wide = shape if len(shape) < 6 else (*shape[:2], prod(shape[2:-1]), shape[-1])
            result = call.reshape(_place_norm(call, mode, call.reshape(source, wide), shape[1]), shape)
        return (result, *(None for _ in call.shapes[1:])) if len(call.shapes) > 1 else result

    return rule


def _last_norm(mode: NormMode) -> Rule:
    """Layer and RMS norm: over the last axes. Of one axis, it is over tokens, or over the pixels of an image."""

    def rule(call: Call) -> Value | None:
        source = call.tensor("input")
        shape, normalised = call.node_shape(source), call.args["normalized_shape"]
        features = prod(normalised)
        operator = call.operator_of(source)
        if len(normalised) > 1:
            result = _place_norm(call, mode, source, features)
        elif isinstance(operator, Permute) and operator.axes == (0, 2, 3, 1) and call.readers <= _MOVES:
            result = call.permute(_place_norm(call, mode, call.inputs_of(source)[0], features), (0, 2, 3, 1))
        else:
            result = call.reshape(_place_norm(call, mode, tokens(call, source), features), shape)
        return (result, *(None for _ in call.shapes[1:])) if len(call.shapes) > 1 else result

    return rule


def _named(rule: Rule, *names: str) -> dict[str, Rule]:
    return {f"aten.{name}": rule for name in names}


_ACTIVATIONS: dict[ActivationName, tuple[str, ...]] = {
    "relu": ("relu", "threshold"),
    "leaky_relu": ("leaky_relu", "rrelu"),
    "elu": ("elu", "selu", "celu"),
    "hardsigmoid": ("hardsigmoid",),
    "hardswish": ("hardswish",),
    "sigmoid": ("sigmoid", "special_expit"),
    "tanh": ("tanh",),
    "silu": ("silu",),
    "gelu": ("gelu",),
    "mish": ("mish",),
    "softplus": ("softplus", "log_sigmoid", "log_sigmoid_forward"),
    "abs": ("abs", "absolute", "sign", "sgn", "floor", "ceil", "round", "trunc", "frac"),
    "neg": ("neg", "negative", "logical_not", "bitwise_not"),
    "sqrt": ("sqrt",),
    "rsqrt": ("rsqrt",),
    "reciprocal": ("reciprocal",),
    "exp": ("exp", "exp2", "expm1", "sinh", "cosh"),
    "log": ("log", "log2", "log10", "log1p"),
    "erf": ("erf", "special_erf", "erfc"),
    "sin": ("sin", "sinc", "tan", "asin", "atan"),
    "cos": ("cos", "acos"),
    "hardtanh": ("hardshrink", "softshrink"),
}
"""Torch's functions by the one of the vocabulary that costs as much."""

_ELEMENTWISE: dict[ElementwiseName, tuple[str, ...]] = {
    "add": ("add", "cumsum", "logaddexp", "logcumsumexp", "lerp"),
    "sub": ("sub", "rsub", "subtract"),
    "mul": ("mul", "multiply", "square", "cumprod", "cross", "linalg_cross"),
    "div": ("div", "divide", "true_divide", "floor_divide", "remainder", "fmod", "atan2"),
    "max": ("maximum", "fmax", "clamp_min", "cummax"),
    "min": ("minimum", "fmin", "clamp_max", "cummin"),
    "pow": ("pow", "float_power"),
    "compare": (
        "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
        "bitwise_xor", "__and__", "__or__", "__xor__", "isnan", "isinf", "isfinite", "isin",
    ),
    "where": ("where", "masked_fill", "nan_to_num"),
}  # fmt: skip
"""Torch's arithmetic by the one of the vocabulary that costs as much."""

_REDUCTIONS: dict[ReduceMode, tuple[str, ...]] = {
    "mean": ("mean", "nanmean"),
    "sum": ("sum", "nansum", "prod", "logsumexp", "count_nonzero"),
    "max": ("max", "amax", "argmax", "any"),
    "min": ("min", "amin", "argmin", "all"),
    "norm": ("norm", "linalg_vector_norm", "var", "std", "var_mean", "std_mean"),
}

RULES: dict[str, Rule] = {
    **{f"aten.{name}": _activation(function) for function, names in _ACTIVATIONS.items() for name in names},
    **{f"aten.{name}": _elementwise(function) for function, names in _ELEMENTWISE.items() for name in names},
    **{f"aten.{name}": _reduce(mode) for mode, names in _REDUCTIONS.items() for name in names},
    **_named(_clamp, "hardtanh", "clamp", "clip"),
    **_named(_activation("relu6"), "relu6"),
    **_named(_prelu, "prelu", "_prelu_kernel"),
    **_named(_glu, "glu"),
    **_named(_fused_multiply_add, "addcmul", "addcdiv"),
    **_named(_outer, "outer", "ger"),
    **_named(_outer_sum, "addr"),
    **_named(_softmax, "softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax", "special_softmax"),
    **_named(_channel_norm("batch"), "batch_norm", "_native_batch_norm_legit_no_training"),
    **_named(_channel_norm("group"), "group_norm", "native_group_norm"),
    **_named(_channel_norm("instance"), "instance_norm"),
    **_named(_last_norm("layer"), "layer_norm", "native_layer_norm"),
    **_named(_last_norm("rms"), "rms_norm", "_fused_rms_norm"),
}
"""By operator, without overload."""
