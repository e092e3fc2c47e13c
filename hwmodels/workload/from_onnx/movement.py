"""Rules for operators that move, store or only view data; what is a view in torch is a view here."""

from __future__ import annotations

from math import prod
from typing import Literal

import numpy as np

from hwmodels.workload.from_onnx.call import Call, Rule
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.from_torch.movement import without_broadcast
from hwmodels.workload.ops import (
    Concat,
    Elementwise,
    Embedding,
    Permute,
    PixelShuffle,
    Rearrange,
    Resample,
    Select,
    Shape,
    Sort,
    Split,
    Upsample,
    View,
)

__all__ = ["RULES"]


def _same(call: Call) -> Value:
    """The value itself; a mask of dropout is a view that nothing should read."""
    source = call.tensor(call.need(0))
    others = [call.add(View(call.node_shape(source)), source, part="mask") for _ in call.step.outputs[1:]]
    return (source, *others)


def _resolved(wanted: list[int], shape: Shape, *, zero_copies: bool) -> Shape:
    """A target with 0 for "as before" and -1 for "what is left"."""
    extents = [shape[axis] if not extent and zero_copies else extent for axis, extent in enumerate(wanted)]
    if -1 in extents:
        rest = prod(extent for extent in extents if extent != -1)
        extents[extents.index(-1)] = prod(shape) // rest
    return tuple(extents)


def _reshape(call: Call) -> Value:
    source = call.tensor(call.need(0))
    wanted = call.integers(1, "shape") or []
    zero_copies = not call.attribute("allowzero", 0)
    target = _resolved(wanted, call.node_shape(source), zero_copies=zero_copies)
    return _turned_heads(call, source, target) or call.reshape(source, target, part="")


def _turned_heads(call: Call, source: str, target: Shape) -> str | None:
    """Turned (b h, d, s) as (b, h, d, s): the heads part before the axes turn, as where keys are made."""
    if call.operator_of(source) != Permute((0, 2, 1)) or len(target) != 4 or call.node_shape(source)[1:] != target[2:]:
        return None
    apart = call.reshape(call.inputs_of(source)[0], (*target[:2], target[3], target[2]))
    return call.permute(apart, (0, 1, 3, 2))


def _flatten(call: Call) -> Value:
    source, axis = call.tensor(call.need(0)), call.attribute("axis", 1)
    shape = call.node_shape(source)
    return call.reshape(source, (prod(shape[:axis]), prod(shape[axis:])), part="")


def _squeeze(call: Call) -> Value:
    source = call.tensor(call.need(0))
    shape = call.node_shape(source)
    axes = call.integers(1, "axes")
    gone = {a for a, extent in enumerate(shape) if extent == 1} if axes is None else {a % len(shape) for a in axes}
    return call.reshape(source, (extent for axis, extent in enumerate(shape) if axis not in gone), part="")


def _unsqueeze(call: Call) -> Value:
    source = call.tensor(call.need(0))
    axes = call.integers(1, "axes") or []
    rank = len(call.node_shape(source)) + len(axes)
    extents = list(call.node_shape(source))
    for axis in sorted(axis % rank for axis in axes):
        extents.insert(axis, 1)
    return call.reshape(source, extents, part="")


def _transpose(call: Call) -> Value:
    source = call.tensor(call.need(0))
    rank = len(call.node_shape(source))
    return call.permute(source, call.attribute("perm") or range(rank)[::-1], part="")


def _expand(call: Call) -> Value:
    """A broadcast, in both directions."""
    source = call.tensor(call.need(0))
    shape = np.broadcast_shapes(call.node_shape(source), tuple(call.integers(1) or ()))
    return call.view(source, shape, part="")


def _slice(call: Call) -> Value:
    """Contiguous parts are views; steps other than one are a copy."""
    source = call.tensor(call.need(0))
    shape = call.node_shape(source)
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        extent = shape[axis]
        stop = None if step < 0 and end < -extent else end  # as far as it goes, backwards
        found = range(extent)[slice(start, stop, step)]
        shape = (*shape[: axis % len(shape)], len(found), *shape[axis % len(shape) + 1 :])
        if 0 in shape:
            continue
        if shape == call.node_shape(source) and step == 1:
            continue
        operator = Split(axis % len(shape), found.start, len(found)) if step == 1 else Rearrange("slice", shape)
        source = call.add(operator, source)
    return call.nothing(shape) if 0 in shape else source


def _gather(call: Call) -> Value | None:
    """Rows of a stored table by computed indices, or by a matrix of them: an embedding. Others move what they pick."""
    data, indices = call.need(0), call.need(1)
    shape, picked = call.shape_of(data), call.shape_of(indices)
    axis = call.attribute("axis", 0) % len(shape)
    is_fixed = call.walk.is_folded(indices.name)
    if call.is_weight(data) and len(shape) == 2 and not axis and picked and (not is_fixed or len(picked) > 1):
        return call.place(Embedding(*shape), call.tensor(indices), parameters=call.claim(data))
    value = call.value(1)
    result = (*shape[:axis], *picked, *shape[axis + 1 :])
    if value is not None and not picked:
        return call.add(Select(axis, int(value)), call.tensor(data))
    if value is not None and value.ndim == 1:
        first = int(value[0]) % shape[axis]
        if all((int(index) - first) % shape[axis] == offset for offset, index in enumerate(value)):
            part = Split(axis, first, len(value))
            return call.tensor(data) if result == shape else call.add(part, call.tensor(data))
    operands = (data,) if is_fixed else (data, indices)
    return call.add(Rearrange("gather", result), *(call.tensor(operand) for operand in operands))


def _gather_quantised(call: Call) -> Value | None:
    """Rows of a table in blocks of a few bits: several elements to a byte where the table is stored in bytes."""
    data, axis = call.need(0), call.attribute("gather_axis", 0)
    stored = call.walk.model.stored.get(data.name)
    if stored is None or len(stored.shape) != 2 or axis != 0:
        return None
    packed = stored.bits // call.attribute("bits", 4) if stored.bits == 8 else 1
    entries, features = stored.shape[0], stored.shape[1] * max(packed, 1)
    stands_for = call.claim_packed(data, entries * features)
    return call.place(Embedding(entries, features), call.tensor(call.need(1)), parameters=stands_for)


def _pick(what: str, *, like: int) -> Rule:
    """A copy of the shape of one of the operands."""

    def rule(call: Call) -> Value:
        return call.add(Rearrange(what, call.shape_of(call.need(like))), *call.operands(*call.inputs))

    return rule


def _gather_blocks(call: Call) -> Value:
    shape, indices = call.shape_of(call.need(0)), call.shape_of(call.need(1))
    rest = shape[call.attribute("batch_dims", 0) + indices[-1] :]
    return call.add(Rearrange("gather", (*indices[:-1], *rest)), *call.operands(*call.inputs))


def _concat(call: Call) -> Value:
    """Join; a constant that is broadcast over the batch is read once."""
    parts = [part for part in call.inputs if part is not None and 0 not in call.shape_of(part)]
    sources = [call.tensor(part) for part in parts]
    if len(sources) == 1:
        return sources[0]
    axis = call.attribute("axis", 1) % len(call.node_shape(sources[0]))
    operator = Concat(axis)
    bare = [without_broadcast(call, source) for source in sources]
    wide = operator.infer(*(call.node_shape(source) for source in sources))
    same = [call.node_shape(a)[1:] == call.node_shape(b)[1:] for a, b in zip(bare, sources, strict=True)]
    bare = [a if is_same else b for a, b, is_same in zip(bare, sources, same, strict=True)]
    fits = axis > 0 and operator.infer(*(call.node_shape(source) for source in bare)) == wide
    return call.add(operator, *(bare if fits else sources))


def _split(call: Call) -> Value:
    source = call.tensor(call.need(0))
    shape, parts = call.node_shape(source), len(call.step.outputs)
    axis = call.attribute("axis", 0) % len(shape)
    chunk = -(-shape[axis] // parts)
    sizes = call.integers(1, "split") or [min(chunk, shape[axis] - chunk * index) for index in range(parts)]
    starts = [sum(sizes[:index]) for index in range(parts)] if parts < 1000 else list(np.cumsum([0, *sizes[:-1]]))
    if parts == 1:
        return (source,)
    for output, size in zip(call.step.outputs, sizes, strict=True):
        if not size and output:
            call.walk.leave_empty(output, (*shape[:axis], 0, *shape[axis + 1 :]))
    return tuple(call.add(Split(axis, int(s), n), source) if n else None for s, n in zip(starts, sizes, strict=True))


def _pad(call: Call) -> Value:
    source = call.tensor(call.need(0))
    shape = call.node_shape(source)
    pads = call.integers(1, "pads") or []
    axes = call.integers(3) or list(range(len(shape)))
    begin = dict(zip((axis % len(shape) for axis in axes), pads[: len(axes)], strict=True))
    end = dict(zip((axis % len(shape) for axis in axes), pads[len(axes) :], strict=True))
    padded = tuple(extent + begin.get(axis, 0) + end.get(axis, 0) for axis, extent in enumerate(shape))
    return call.add(Rearrange("pad", padded), source) if any(pads) else source


def _tile(call: Call) -> Value:
    source = call.tensor(call.need(0))
    repeats = call.integers(1) or []
    if all(count == 1 for count in repeats):
        return source
    shape = tuple(extent * count for extent, count in zip(call.node_shape(source), repeats, strict=True))
    return call.add(Rearrange("repeat", shape), source)


def _depth_to_space(call: Call) -> Value:
    return call.add(PixelShuffle(call.attribute("blocksize")), call.tensor(call.need(0)))


def _space_to_depth(call: Call) -> Value:
    source, size = call.tensor(call.need(0)), call.attribute("blocksize")
    batch, channels, height, width = call.node_shape(source)
    shape = (batch, channels * size**2, height // size, width // size)
    return call.add(Rearrange("pixel_unshuffle", shape), source)


def _resize(call: Call) -> Value | None:
    """Resampling of an image or a sequence to sizes, or by scales; a map of the same size is left alone."""
    source = call.tensor(call.need(0))
    shape = call.node_shape(source)
    size = _resized(call, shape)
    if size == shape:
        return source
    if len(shape) not in (3, 4, 5) or size[:2] != shape[:2]:
        return None
    how = call.attribute("mode", "nearest")
    if how == "cubic" or len(shape) == 5:
        taps = {"nearest": 1, "cubic": 4}.get(how, 2)
        return call.add(Resample(how, size, taps ** (len(shape) - 2)), source)
    mode: Literal["nearest", "bilinear"] = "nearest" if how == "nearest" else "bilinear"
    wide, target = ((*s[:2], 1, s[2]) if len(s) == 3 else s for s in (shape, size))
    operator = Upsample(mode=mode, size=(target[2], target[3]))
    return call.reshape(call.add(operator, call.reshape(source, wide)), size)


def _resized(call: Call, shape: Shape) -> Shape:
    """Upsample and the first Resize have (data, scales); later ones (data, region, scales, sizes)."""
    sizes = call.integers(3) if call.input(3) is not None else None
    axes = [axis % len(shape) for axis in call.attribute("axes") or range(len(shape))]
    if sizes is None:
        place = 2 if len(call.inputs) > 2 else 1
        scales = call.attribute("scales") if call.input(place) is None else call.value(place)
        if scales is None:
            call.integers(place)  # which says what is missing
        sizes = [int(np.floor(shape[axis] * scale)) for axis, scale in zip(axes, scales, strict=True)]  # type: ignore[arg-type]
    target = dict(zip(axes, sizes, strict=True))
    return tuple(target.get(axis, extent) for axis, extent in enumerate(shape))


def _grid_sample(call: Call) -> Value:
    """At computed points: 2 taps an axis, the nearest one, or 4."""
    source, grid = call.tensor(call.need(0)), call.tensor(call.need(1))
    batch, channels, *extents = call.node_shape(source)
    shape = (batch, channels, *call.node_shape(grid)[1:-1])
    taps = {"nearest": 1, "cubic": 4, "bicubic": 4}.get(call.attribute("mode", "linear"), 2)
    return call.add(Resample("grid_sample", shape, taps ** len(extents)), source, grid)


def _top(call: Call) -> Value:
    """The first few of an order along an axis, and their places."""
    source = call.tensor(call.need(0))
    shape = call.node_shape(source)
    axis = call.attribute("axis", -1) % len(shape)
    count = (call.integers(1, "k") if call.input(1) is not None else [call.attribute("k", 1)]) or [1]
    ordered = call.add(Sort(shape[axis], (*shape[:axis], count[0], *shape[axis + 1 :])), source)
    return (ordered, call.view(ordered, call.node_shape(ordered)))


def _one_hot(call: Call) -> Value:
    """Indices (...) as rows of the depth that an operand says, on a new axis."""
    source, depth = call.need(0), (call.integers(1) or [1])[0]
    shape = list(call.shape_of(source))
    axis = call.attribute("axis", -1)
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, depth)
    return call.add(Rearrange("one_hot", tuple(shape)), call.tensor(source))


def _where(call: Call) -> Value:
    """A choice; numbers are no operands."""
    operands = call.operands(*call.inputs)
    shapes = [call.shape_of(operand) for operand in call.inputs if operand is not None]
    bare = [without_broadcast(call, name) for name in operands]
    operator = Elementwise("where")
    shape: Shape = np.broadcast_shapes(*shapes)
    fits = operator.infer(*(call.node_shape(name) for name in bare)) == shape
    result = call.add(operator, *(bare if fits else operands))
    return call.view(result, shape)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("Identity", "Cast", "CastLike", "Dropout", "Optional", "OptionalGetElement"), _same),
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Slice": _slice,
    "Gather": _gather,
    "com.microsoft.GatherBlockQuantized": _gather_quantised,
    "GatherND": _gather_blocks,
    "GatherElements": _pick("gather", like=1),
    "ScatterElements": _pick("scatter", like=0),
    "Scatter": _pick("scatter", like=0),
    "ScatterND": _pick("scatter", like=0),
    "TensorScatter": _pick("scatter", like=0),
    "Trilu": _pick("triangle", like=0),
    "ReverseSequence": _pick("reverse", like=0),
    "Concat": _concat,
    "Split": _split,
    "Pad": _pad,
    "Tile": _tile,
    "TopK": _top,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "GridSample": _grid_sample,
    "OneHot": _one_hot,
    "Resize": _resize,
    "Upsample": _resize,
    "Where": _where,
}
"""By operator."""
