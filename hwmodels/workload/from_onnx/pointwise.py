"""Rules for operators without products that compute: pointwise functions, reductions, normalisation, softmax."""

from __future__ import annotations

from math import prod

import numpy as np

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.call import Call, Made, Rule, Tensor
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.from_torch.movement import without_broadcast
from hwmodels.workload.ops import Activation, ActivationName, Elementwise, ElementwiseName, Embedding, Shape, View

__all__ = ["RULES", "activated", "elementwise", "rotated"]

_MICROSOFT = "com.microsoft."


def _activation(function: ActivationName) -> Rule:
    def rule(call: Call) -> Value:
        return call.add(Activation(function), call.tensor(call.need(0)))

    return rule


def _clip(call: Call) -> Value:
    """By its bounds: operands, or attributes before operator set 11."""
    low, high = (_bound(call, index, name) for index, name in ((1, "min"), (2, "max")))
    result = call.like("aten.clamp", self=call.need(0), min=low, max=high)
    return () if result is None else result


def _bound(call: Call, index: int, name: str) -> float | None:
    if call.input(index) is None:
        found = call.attribute(name)
        return None if found is None or abs(found) > 3e38 else float(found)
    value = call.value(index)
    return float("nan") if value is None else float(value.reshape(-1)[0])


def _prelu(call: Call) -> Value | None:
    return call.like("aten.prelu", call.shape_of(call.need(0)), self=call.need(0), weight=call.need(1))


def elementwise(call: Call, function: ElementwiseName, *, part: str = "") -> Value:
    """Arithmetic of operands that broadcast; a number of the file is no operand, a broadcast is read as its source."""
    operands = call.operands(*call.inputs)
    shape = np.broadcast_shapes(*(call.shape_of(operand) for operand in call.inputs if operand is not None))
    bare = [without_broadcast(call, name) for name in operands]
    operator = Elementwise(function)
    fits = operator.infer(*(call.node_shape(name) for name in bare)) == shape
    return call.view(call.add(operator, *(bare if fits else operands), part=part), shape)


def _elementwise(function: ElementwiseName) -> Rule:
    def rule(call: Call) -> Value:
        return elementwise(call, function)

    return rule


def _scale(call: Call) -> Value:
    """Half of the scale of attention, where it is a number: part of the product behind it."""
    for index, other in ((0, 1), (1, 0)):
        factor = call.need(index)
        if call.walk.is_folded(factor.name) and not call.is_operand(factor):
            return call.tensor(call.need(other))
    return elementwise(call, "mul")


def _softmax(call: Call) -> Value | None:
    """Over one axis; before operator set 13 over all from `axis` on, as one."""
    source = call.tensor(call.need(0))
    shape = call.node_shape(source)
    axis = call.attribute("axis", -1 if call.opset >= 13 else 1)
    axis %= max(len(shape), 1)
    if call.opset >= 13 or axis == len(shape) - 1:
        return call.like("aten.softmax", shape, self=call.need(0), dim=axis)
    flat = (prod(shape[:axis]), prod(shape[axis:]))
    result = call.like("aten.softmax", flat, self=Made(call.reshape(source, flat)), dim=1)
    return call.reshape(result, shape) if isinstance(result, str) else None


def _reduced(shape: Shape, axes: list[int], *, keep: bool) -> Shape:
    gone = {axis % len(shape) for axis in axes}
    return tuple(1 if axis in gone else extent for axis, extent in enumerate(shape) if keep or axis not in gone)


def _reduce(kind: str) -> Rule:
    """A reduction over axes that are an attribute or an operand; without them over all, or none where it says so."""

    def rule(call: Call) -> Value | None:
        shape = call.shape_of(call.need(0))
        axes = call.integers(1, "axes")
        if not axes and call.attribute("noop_with_empty_axes", 0):
            return call.tensor(call.need(0))
        axes = axes or list(range(len(shape)))
        keep = bool(call.attribute("keepdims", 1))
        target = _reduced(shape, axes, keep=keep)
        return call.like(kind, target, self=call.need(0), dim=axes, keepdim=keep)

    return rule


def _arg(kind: str) -> Rule:
    def rule(call: Call) -> Value | None:
        shape, keep = call.shape_of(call.need(0)), bool(call.attribute("keepdims", 1))
        axes = [call.attribute("axis", 0)]
        return call.like(kind, _reduced(shape, axes, keep=keep), self=call.need(0), dim=axes, keepdim=keep)

    return rule


def _channel_norm(kind: str) -> Rule:
    """Batch, group and instance norm: (data, scale, shift, ...); statistics are no parameters."""

    def rule(call: Call) -> Value | None:
        shape = call.shape_of(call.need(0))
        return call.like(kind, shape, input=call.need(0), weight=call.input(1), bias=call.input(2))

    return rule


def _last_norm(kind: str) -> Rule:
    def rule(call: Call) -> Value | None:
        """Layer and RMS norm over the axes from `axis` on; a written-out one over the axis `over`."""
        return _normalise(call, kind, call.tensor(call.need(0)), call.input(1), call.input(2))

    return rule


def _normalise(call: Call, kind: str, source: str, weight: object, bias: object) -> Value | None:
    shape = call.node_shape(source)
    over = call.attribute("over")
    affine = {"weight": weight, "bias": bias}
    if over is None or over % len(shape) == len(shape) - 1:
        axis = (call.attribute("axis", -1) if over is None else over) % len(shape)
        return call.like(kind, shape, input=Made(source), normalized_shape=shape[axis:], **affine)
    rank = len(shape)
    order = [axis for axis in range(rank) if axis != over % rank] + [over % rank]
    moved = call.permute(source, order)
    extents = call.node_shape(moved)
    call.is_moved_back = True
    normed = call.like(kind, extents, input=Made(moved), normalized_shape=extents[-1:], **affine)
    return call.permute(normed, np.argsort(order).tolist()) if isinstance(normed, str) else None


def _skip_norm(kind: str, *, has_shift: bool) -> Rule:
    """A sum, the bias of the layer before it, and a norm; the sum is the last of the results."""

    def rule(call: Call) -> Value | None:
        weight = call.input(2)
        bias, shift = (call.input(4), call.input(3)) if has_shift else (call.input(3), None)
        total = call.add(Elementwise("add"), call.tensor(call.need(0)), call.tensor(call.need(1)), part="skip")
        if bias is not None:
            total = call.add(Elementwise("add"), total, call.tensor(bias), part="bias")
        normed = _normalise(call, kind, total, weight, shift)
        return (normed, None, None, total) if isinstance(normed, str) else None

    return rule


def _bias_gelu(call: Call) -> Value:
    total = call.tensor(call.need(0))
    if call.input(1) is not None:
        total = call.add(Elementwise("add"), total, call.tensor(call.need(1)), part="bias")
    return call.add(Activation("gelu"), total)


def rotated(call: Call, source: str) -> str:
    """x cos + turned x sin: rotary positions, whose tables cost nothing."""
    kept, turned = (call.add(Elementwise("mul"), source, part="rotary") for _ in range(2))
    return call.add(Elementwise("add"), kept, turned, part="rotary")


def _rotary(call: Call) -> Value:
    return rotated(call, call.tensor(call.need(0)))


def _biased_softmax(call: Call) -> Value | None:
    """Softmax of scores and a mask that is added to them."""
    total = call.add(Elementwise("add"), call.tensor(call.need(0)), call.tensor(call.need(1)), part="bias")
    shape = call.node_shape(total)
    return call.like("aten.softmax", shape, self=Made(total), dim=call.attribute("axis", 1) % len(shape))


def _bias_sum(call: Call) -> Value:
    """The sum of data, bias and a residual, where there is one; its mask of dropout is a view."""
    total = call.tensor(call.need(0))
    for index in (1, 2):
        if (operand := call.input(index)) is not None:
            total = call.add(Elementwise("add"), total, call.tensor(operand), part="bias")
    return (total, *(call.view(total, call.node_shape(total)) for _ in call.step.outputs[1:]))


def _embedded_norm(call: Call) -> Value | None:
    """(indices, segments, words, positions, segment table, scale, shift): three look-ups, their sum, a norm."""
    tokens, segments = call.need(0), call.input(1)
    total = ""
    for table, indices in ((2, tokens), (3, None), (4, segments)):
        if call.input(table) is None or (table == 4 and indices is None):
            continue
        found = _looked_up(call, call.need(table), indices, call.shape_of(tokens))
        total = call.add(Elementwise("add"), total, found, part="embed") if total else found
    normed = _normalise(call, "aten.layer_norm", total, call.input(5), call.input(6))
    mask = call.view(total, (call.shape_of(tokens)[0],)) if len(call.step.outputs) > 1 else None
    return (normed, mask, total) if isinstance(normed, str) else None


def _looked_up(call: Call, table: Tensor, indices: Tensor | None, shape: Shape) -> str:
    """Rows of a stored table; of positions, which count from zero, the first ones."""
    entries, features = call.shape_of(table)
    source = call.add(View(shape), part="positions") if indices is None else call.tensor(indices)
    return call.place(Embedding(entries, features), source, parameters=call.claim(table), part="embed")


def _runtime_group_norm(call: Call) -> Value | None:
    """Group norm of ONNX Runtime, channels last unless said: (data, scale, shift, skip, bias), activation behind."""
    total = call.tensor(call.need(0))
    for index in (3, 4):
        if (operand := call.input(index)) is not None:
            total = call.add(Elementwise("add"), total, call.tensor(operand), part="skip")
    shape, is_last = call.node_shape(total), bool(call.attribute("channels_last", 1))
    rank = len(shape)
    source = call.permute(total, (0, rank - 1, *range(1, rank - 1))) if is_last else total
    extents = call.node_shape(source)
    normed = call.like("aten.group_norm", extents, input=Made(source), weight=call.input(1), bias=call.input(2))
    if not isinstance(normed, str):
        return None
    normed = call.add(Activation("silu"), normed, part="activation") if call.attribute("activation", 0) else normed
    return (call.permute(normed, (0, *range(2, rank), 1)) if is_last else normed, total)


_ACTIVATIONS: dict[ActivationName, tuple[str, ...]] = {
    "relu": ("Relu", "ThresholdedRelu"),
    "leaky_relu": ("LeakyRelu",),
    "elu": ("Elu", "Selu", "Celu"),
    "hardsigmoid": ("HardSigmoid",),
    "hardswish": ("HardSwish",),
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "silu": ("Swish", f"{_MICROSOFT}QuickGelu"),
    "gelu": ("Gelu", f"{_MICROSOFT}Gelu"),
    "mish": ("Mish",),
    "softplus": ("Softplus", "Softsign"),
    "abs": ("Abs", "Sign", "Floor", "Ceil", "Round"),
    "neg": ("Neg", "Not", "BitwiseNot"),
    "sqrt": ("Sqrt",),
    "reciprocal": ("Reciprocal",),
    "exp": ("Exp", "Sinh", "Cosh"),
    "log": ("Log",),
    "erf": ("Erf",),
    "sin": ("Sin", "Tan", "Asin", "Atan", "Asinh", "Atanh"),
    "cos": ("Cos", "Acos", "Acosh"),
    "hardtanh": ("Shrink",),
}
"""Functions of ONNX by the one of the vocabulary that costs as much."""

_ELEMENTWISE: dict[ElementwiseName, tuple[str, ...]] = {
    "add": ("Add", "Sum", "Mean", "CumSum"),
    "sub": ("Sub",),
    "mul": ("Mul", "BitShift"),
    "div": ("Div", "Mod"),
    "max": ("Max",),
    "min": ("Min",),
    "pow": ("Pow",),
    "compare": (
        "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr",
        "BitwiseXor", "IsNaN", "IsInf",
    ),
}  # fmt: skip
"""Arithmetic of ONNX by the one of the vocabulary that costs as much."""

_FUNCTIONS = {name: function for function, names in _ACTIVATIONS.items() for name in names}


def activated(rule: Rule, function: str = "") -> Rule:
    """A rule with an activation behind it, where the step names one: a fused operator of ONNX Runtime."""

    def fused(call: Call) -> Value | None:
        result = rule(call)
        name = function or call.attribute("activation", "")
        if not name or not isinstance(result, str):
            return result
        if name not in _FUNCTIONS and name != "Clip":
            raise SpecError.unknown(f"{call.walk.place(call.step)}: activation", name, (*_FUNCTIONS, "Clip"))
        bounds = list(call.attribute("activation_params", ()))
        clip: ActivationName = "relu6" if bounds == [0.0, 6.0] else "hardtanh"
        return call.add(Activation(_FUNCTIONS.get(name, clip)), result, part="activation")

    return fused


_REDUCTIONS = {
    "aten.mean": ("ReduceMean",),
    "aten.sum": ("ReduceSum", "ReduceProd", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"),
    "aten.amax": ("ReduceMax",),
    "aten.amin": ("ReduceMin",),
    "aten.norm": ("ReduceL1", "ReduceL2"),
}

RULES: dict[str, Rule] = {
    **{name: _activation(function) for name, function in _FUNCTIONS.items()},
    **{name: _elementwise(function) for function, names in _ELEMENTWISE.items() for name in names},
    **{name: _reduce(kind) for kind, names in _REDUCTIONS.items() for name in names},
    "ArgMax": _arg("aten.argmax"),
    "ArgMin": _arg("aten.argmin"),
    "Clip": _clip,
    "PRelu": _prelu,
    "Scale": _scale,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Hardmax": _softmax,
    "BatchNormalization": _channel_norm("aten.batch_norm"),
    "InstanceNormalization": _channel_norm("aten.instance_norm"),
    "GroupNormalization": _channel_norm("aten.group_norm"),
    "LayerNormalization": _last_norm("aten.layer_norm"),
    "RMSNormalization": _last_norm("aten.rms_norm"),
    "SimplifiedLayerNormalization": _last_norm("aten.rms_norm"),
    f"{_MICROSOFT}SkipLayerNormalization": _skip_norm("aten.layer_norm", has_shift=True),
    f"{_MICROSOFT}SkipSimplifiedLayerNormalization": _skip_norm("aten.rms_norm", has_shift=False),
    "RotaryEmbedding": _rotary,
    f"{_MICROSOFT}RotaryEmbedding": _rotary,
    f"{_MICROSOFT}BiasSoftmax": _biased_softmax,
    f"{_MICROSOFT}BiasAdd": _bias_sum,
    f"{_MICROSOFT}BiasDropout": _bias_sum,
    f"{_MICROSOFT}EmbedLayerNormalization": _embedded_norm,
    f"{_MICROSOFT}GroupNorm": _runtime_group_norm,
    f"{_MICROSOFT}SkipGroupNorm": _runtime_group_norm,
    f"{_MICROSOFT}BiasGelu": _bias_gelu,
    f"{_MICROSOFT}FastGelu": _bias_gelu,
}
"""By operator."""
