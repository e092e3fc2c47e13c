"""Rules for operators that move, store or only view data.

What torch copies for the sake of a layout (contiguous, clone, a reshape of permuted data) is a view here, as in the
zoo: a kernel that reads strides needs no copy. A cast is no row either: widths belong to the network's precision.
"""

from __future__ import annotations

from math import prod
from typing import Literal

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.ops import (
    Cache,
    Concat,
    Embedding,
    PixelShuffle,
    Rearrange,
    Select,
    Shape,
    Split,
    Upsample,
    View,
)

__all__ = ["RULES", "without_broadcast"]


def _same(call: Call) -> str:
    """The value itself: identity at inference, a cast, a copy for a layout."""
    return call.tensor(next(iter(call.args)))


def _dropout(call: Call) -> Value | None:
    return None if call.args.get("train") else _same(call)


def _reshape(call: Call) -> Value:
    return call.reshape(_same(call), call.shape, part="")


def _permute(call: Call) -> Value:
    rank = len(call.shape)
    return call.permute(call.tensor("self"), (axis % rank for axis in call.args["dims"]), part="")


def _transpose(call: Call) -> Value:
    """Two axes change places; without named axes, the last two."""
    rank = len(call.shape)
    axes = list(range(rank))
    first, second = (call.args.get(name, default) for name, default in (("dim0", -2), ("dim1", -1)))
    if rank > 1:
        axes[first], axes[second] = axes[second], axes[first]
    return call.permute(call.tensor("self"), axes, part="")


def _swap(call: Call) -> Value:
    rank = len(call.shape)
    axes = list(range(rank))
    first, second = (call.args[name] for name in call.args if name.startswith(("axis", "dim")))
    axes[first], axes[second] = axes[second], axes[first]
    return call.permute(call.tensor("self"), axes, part="")


def _move_axes(call: Call) -> Value:
    rank = len(call.shape)
    source, destination = (
        [axis % rank for axis in (value if isinstance(value, list) else [value])]
        for value in (call.args["source"], call.args["destination"])
    )
    axes = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        axes.insert(place, axis)
    return call.permute(call.tensor("self"), axes, part="")


def _view(call: Call) -> Value:
    """Other strides over the same storage: a broadcast, overlapping windows, pairs as complex numbers."""
    return call.view(call.tensor("self"), call.shape, part="")


def _slice(call: Call) -> Value:
    source = call.tensor("self")
    extent = call.node_shape(source)[call.args["dim"]]
    start, _, step = slice(call.args["start"], call.args["end"], call.args["step"]).indices(extent)
    if call.node_shape(source) == call.shape:
        return source
    if step != 1:
        return call.add(Rearrange("slice", call.shape), source)
    return call.add(Split(call.args["dim"], start, call.shape[call.args["dim"]]), source)


def _narrow(call: Call) -> Value | None:
    if not isinstance(call.args["start"], int):
        return None
    source, start = call.tensor("self"), call.args["start"]
    start += call.node_shape(source)[call.args["dim"]] if start < 0 else 0
    return call.add(Split(call.args["dim"], start, call.args["length"]), source)


def _select(call: Call) -> Value:
    return call.add(Select(call.args["dim"], call.args["index"]), call.tensor("self"))


def _split(call: Call) -> Value:
    """Contiguous parts along an axis, whatever names their sizes: chunk, split, tensor_split."""
    source = call.tensor("self")
    shapes = [shape for shape in call.shapes if shape is not None]
    if len(shapes) == 1:
        return (source,)
    axis = call.args.get("dim") or 0
    parts: list[str | None] = []
    start = 0
    for shape in shapes:
        parts.append(call.add(Split(axis, start, shape[axis]), source) if prod(shape) else None)
        start += shape[axis]
    return tuple(parts)


def _unbind(call: Call) -> Value:
    source = call.tensor("self")
    return tuple(call.add(Select(call.args["dim"], index), source) for index in range(len(call.shapes)))


def without_broadcast(call: Call, name: str) -> str:
    """What a broadcast view looks at: an operator that broadcasts by itself reads only that."""
    sources = call.inputs_of(name)
    if not isinstance(call.operator_of(name), View) or len(sources) != 1:
        return name
    narrow, wide = call.node_shape(sources[0]), call.node_shape(name)
    fits = len(narrow) == len(wide) and all(a in (1, b) for a, b in zip(narrow, wide, strict=True))
    return sources[0] if fits else name


def _concat(call: Call) -> Value:
    """Join; a constant that is broadcast over the batch is read once."""
    axis = (call.args.get("dim") or 0) % len(call.shape)
    sources = [call.tensor(part) for part in call.args["tensors"] if prod(call.shape_of(part))]
    if len(sources) == 1:
        return sources[0]
    bare = [_of_any_batch(call, source) for source in sources]
    operator = Concat(axis)
    fits = axis > 0 and operator.infer(*(call.node_shape(source) for source in bare)) == call.shape
    return call.add(operator, *(bare if fits else sources))


def _of_any_batch(call: Call, name: str) -> str:
    """What a view broadcasts over the batch alone."""
    bare = without_broadcast(call, name)
    return bare if call.node_shape(bare)[1:] == call.node_shape(name)[1:] else name


def _stack(call: Call) -> Value:
    axis = call.args["dim"] % len(call.shape)
    sources = [call.tensor(part) for part in call.args["tensors"]]
    extended = [
        call.reshape(source, (*call.node_shape(source)[:axis], 1, *call.node_shape(source)[axis:]))
        for source in sources
    ]
    return extended[0] if len(extended) == 1 else call.add(Concat(axis), *extended)


def _copy(what: str) -> Rule:
    """A copy into another place: it reads its tensor operands and writes the result."""

    def rule(call: Call) -> Value:
        operands = call.operands("self", "input", "index", "indices", "src", "values", "source")
        if len(operands) == 1 and _moves_nothing(call):
            return operands[0]
        return call.add(Rearrange(what, call.shape), *operands)

    return rule


def _moves_nothing(call: Call) -> bool:
    """Padding by zero, or one repeat."""
    if call.kind == "aten.repeat":
        return all(count == 1 for count in call.args["repeats"])
    return "pad" in call.kind and not any(call.args["pad" if "pad" in call.args else "padding"])


def _overwrite(call: Call) -> Value:
    """copy_: the source in the place of the first operand."""
    sources = call.operands("src")
    if not sources:
        return call.add(Rearrange("fill", call.shape))
    return call.add(Rearrange("copy", call.shape), *sources)


def _embedding(call: Call) -> Value | None:
    if not call.is_weight("weight"):
        return None
    entries, features = call.shape_of("weight")
    return call.place(Embedding(entries, features), call.tensor("indices"), parameters=call.claim("weight"))


def _upsample(mode: Literal["nearest", "bilinear"]) -> Rule:
    def rule(call: Call) -> Value | None:
        """Resampling of an image; of a sequence as an image of height 1. A map of the same size is left alone."""
        source = call.tensor("input" if "input" in call.args else "self")
        shape = call.node_shape(source)
        if shape == call.shape:
            return source
        wide = _as_image(shape)
        size = _as_image(call.shape)[2:]
        if len(wide) != 4 or len(size) != 2:
            return None
        operator = Upsample(mode=mode, size=(size[0], size[1]))
        return call.reshape(call.add(operator, call.reshape(source, wide)), call.shape)

    return rule


def _as_image(shape: Shape) -> Shape:
    return (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape


def _pixel_shuffle(call: Call) -> Value | None:
    source = call.tensor("self")
    if len(call.node_shape(source)) != 4:
        return None
    return call.add(PixelShuffle(call.args["upscale_factor"]), source)


def _keep(call: Call) -> Value | None:
    """New keys or values beside those that a cache holds: the operator of `hwmodels.workload.from_transformers`."""
    new = call.tensor("new")
    return call.add(Cache(call.args["past"]), new) if len(call.node_shape(new)) == 4 else None


def _named(rule: Rule, *names: str) -> dict[str, Rule]:
    return {f"aten.{name}": rule for name in names}


def _copies(*names: str) -> dict[str, Rule]:
    return {f"aten.{name}": _copy(name) for name in names}


RULES: dict[str, Rule] = {
    **_named(
        _same, "contiguous", "clone", "detach", "alias", "lift_fresh_copy", "lift_fresh", "to", "_to_copy", "type_as",
        "positive", "_conj", "resolve_conj", "resolve_neg",
    ),
    **_named(_dropout, "dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
    **_named(
        _reshape, "view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as",
        "reshape_as", "ravel", "_reshape_alias",
    ),
    **_named(_permute, "permute", "permute_copy"),
    **_named(_transpose, "transpose", "t", "numpy_T", "mT", "adjoint"),
    **_named(_swap, "swapaxes", "swapdims"),
    **_named(_move_axes, "movedim", "moveaxis"),
    **_named(
        _view, "expand", "expand_as", "broadcast_to", "view_as_complex", "view_as_real", "real", "imag", "diagonal",
        "unfold", "as_strided",
    ),
    **_named(_slice, "slice"),
    **_named(_narrow, "narrow"),
    **_named(_select, "select"),
    **_named(_split, "split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk"),
    **_named(_unbind, "unbind"),
    **_named(_concat, "cat", "concat", "concatenate"),
    **_named(_stack, "stack"),
    **_named(_embedding, "embedding"),
    **_named(_overwrite, "copy"),
    "hwmodels.keep": _keep,
    **_named(_upsample("nearest"), "upsample_nearest1d", "upsample_nearest2d", "_upsample_nearest_exact1d",
             "_upsample_nearest_exact2d"),
    **_named(_upsample("bilinear"), "upsample_linear1d", "upsample_bilinear2d"),
    **_named(_pixel_shuffle, "pixel_shuffle"),
    **_copies(
        "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
        "roll", "flip", "fliplr", "flipud", "rot90", "repeat", "tile", "repeat_interleave", "index", "gather",
        "index_select", "take_along_dim", "scatter", "index_put", "index_copy", "index_add", "scatter_add",
        "masked_scatter", "slice_scatter", "select_scatter", "pixel_unshuffle", "channel_shuffle", "im2col",
        "unfold_copy", "triu", "tril", "diag_embed",
    ),
}  # fmt: skip
"""By operator, without overload."""
