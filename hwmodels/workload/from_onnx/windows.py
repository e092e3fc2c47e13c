"""Rules for operators that slide a window over a sequence, an image or a volume: convolutions and pooling.

Padding that differs before and behind is its symmetric part in the operator and a copy of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.call import Call, Made, Rule
from hwmodels.workload.from_onnx.pointwise import activated
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.from_torch.pooling import PoolMode, pool_of
from hwmodels.workload.ops import Conv2d, Elementwise, Pool2d, Pool3d, Rearrange, Shape
from hwmodels.workload.ops.products import convolved_extents, spread_extents

__all__ = ["RULES"]

_MICROSOFT = "com.microsoft."
_RANKS = (1, 2, 3)  # axes of sequences, images and volumes
Pair = tuple[int, int]


def _pads(call: Call, extents: Sequence[int], reach: Sequence[int], strides: Sequence[int]) -> list[Pair]:
    """(before, behind) of every axis; `reach` is the extent that a dilated kernel covers."""
    mode = call.attribute("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for extent, covered, stride in zip(extents, reach, strides, strict=True):
            # out = ceil(in / stride); the padding that this needs, an odd one on either side
            total = max((-(-extent // stride) - 1) * stride + covered - extent, 0)
            pads.append((total // 2, total - total // 2))
        return pads
    rank = len(extents)
    given = call.attribute("pads") or [0] * (2 * rank)
    if mode == "VALID":
        given = [0] * (2 * rank)
    return list(zip(given[:rank], given[rank:], strict=True))


def _symmetric(call: Call, image: str, pads: Sequence[Pair]) -> tuple[str, list[int]]:
    """The image with what one side has more, by a copy, and the padding of both sides."""
    common = [min(pad) for pad in pads]
    more = [sum(pad) - 2 * least for pad, least in zip(pads, common, strict=True)]
    if any(more):
        shape = call.node_shape(image)
        spatial = (extent + extra for extent, extra in zip(shape[2:], more, strict=True))
        image = call.add(Rearrange("pad", (*shape[:2], *spatial)), image, part="pad")
    return image, common


def _ints(call: Call, name: str, rank: int, default: int = 1) -> list[int]:
    """An attribute of one number an axis, all of them in bounds that an operator can have."""
    values = [int(value) for value in call.attribute(name) or [default] * rank]
    if len(values) != rank or any(not default * (default > 0) <= value < 2**20 for value in values):
        raise SpecError(call.walk.place(call.step), values, f"{rank} numbers for {name}")
    return values


class _Window(NamedTuple):
    """A convolution: its padded data, its geometry along every axis and the shape of its result."""

    image: str
    strides: list[int]
    padding: list[int]
    dilations: list[int]
    groups: int
    shape: Shape


def _convolve(call: Call) -> Value | None:
    """A convolution of sequences, images or volumes."""
    if call.attribute("channels_last", 0):
        return _convolve_channels_last(call)
    found = _window(call, call.tensor(call.need(0)), call.shape_of(call.need(1)))
    if found is None:
        return None
    return _told(
        call, found.image, found.shape, found.strides, found.padding, found.dilations, found.groups, transposed=False,
        extra=[0] * len(found.strides),
    )  # fmt: skip


def _window(call: Call, image: str, kernel: Shape) -> _Window | None:
    """The geometry for channels that stand before the extents of image and kernel."""
    shape = call.node_shape(image)
    rank = len(shape) - 2
    if rank not in _RANKS or len(kernel) != len(shape):
        return None
    strides, dilations = _ints(call, "strides", rank), _ints(call, "dilations", rank)
    image, padding = _symmetric(call, image, _pads(call, shape[2:], _reach(kernel[2:], dilations), strides))
    groups = call.attribute("group", 1)
    if groups < 1 or kernel[1] * groups != shape[1]:
        raise SpecError(call.walk.place(call.step), f"{kernel} in {groups} groups", f"a kernel for {shape[1]} channels")
    extents = convolved_extents(call.node_shape(image)[2:], kernel[2:], strides, padding, dilations)
    return _Window(image, strides, padding, dilations, groups, (shape[0], kernel[0], *extents))


def _reach(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """The extent that a dilated kernel covers."""
    return [dilation * (size - 1) + 1 for size, dilation in zip(kernel, dilations, strict=True)]


def _convolve_channels_last(call: Call) -> Value | None:
    """An image with its channels last; those of the kernel stand last, or second as in files of the CPU's runtime."""
    image, kernel = call.tensor(call.need(0)), call.shape_of(call.need(1))
    if len(call.node_shape(image)) != 4 or len(kernel) != 4 or not call.is_weight(call.need(1)):
        return None
    image = call.permute(image, (0, 3, 1, 2))
    if kernel[1] * call.attribute("group", 1) != call.node_shape(image)[1]:
        kernel = (kernel[0], kernel[3], kernel[1], kernel[2])
    found = _window(call, image, kernel)
    if found is None:
        return None
    stored, bias = call.claim(call.need(1)), call.input(2)
    shift = call.claim(bias) if bias is not None else 0
    size, strides, padding, dilations = map(_pair, (kernel[2:], found.strides, found.padding, found.dilations))
    operator = Conv2d(kernel[0], size, strides, padding, dilations, found.groups, bias=shift > 0)
    result = call.place(operator, found.image, parameters=stored + shift)
    return call.permute(result, (0, 2, 3, 1))


def _with_sum(rule: Rule) -> Rule:
    """A convolution of (data, kernel, bias, sum): a tensor is added to its result where there is one."""

    def summed(call: Call) -> Value | None:
        result, skip = rule(call), call.input(3)
        if skip is None or not isinstance(result, str):
            return result
        return call.add(Elementwise("add"), result, call.tensor(skip), part="sum")

    return summed


def _spread(call: Call) -> Value | None:
    """A transposed convolution; of two sides padded unlike, the one that is padded less is longer by the rest."""
    source = call.tensor(call.need(0))
    shape, kernel = call.node_shape(source), call.shape_of(call.need(1))
    rank = len(shape) - 2
    if rank not in _RANKS or len(kernel) != len(shape):
        return None
    strides, dilations = _ints(call, "strides", rank), _ints(call, "dilations", rank)
    extra, groups = _ints(call, "output_padding", rank, 0), call.attribute("group", 1)
    reach = _reach(kernel[2:], dilations)
    full = [(e - 1) * s + r + x for e, s, r, x in zip(shape[2:], strides, reach, extra, strict=True)]
    wanted = call.attribute("output_shape")
    if wanted is None and call.attribute("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [extent * stride for extent, stride in zip(shape[2:], strides, strict=True)]
    totals = [sum(pad) for pad in _pads(call, shape[2:], reach, [1] * rank)]
    if wanted is not None:
        totals = [size - target for size, target in zip(full, wanted[-rank:], strict=True)]
    padding = [max(-(-total // 2), 0) for total in totals]
    extra = [x + 2 * pad - total for x, pad, total in zip(extra, padding, totals, strict=True)]
    extents = spread_extents(shape[2:], kernel[2:], strides, padding, dilations)
    result = (shape[0], kernel[1] * groups, *(size + x for size, x in zip(extents, extra, strict=True)))
    return _told(call, source, result, strides, padding, dilations, groups, transposed=True, extra=extra)


def _pair(values: Sequence[int]) -> Pair:
    """(height, width) of an image."""
    return (values[0], values[1])


def _told(
    call: Call, source: str, shape: Shape, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, *, transposed: bool, extra: Sequence[int],
) -> Value | None:  # fmt: skip
    return call.like(
        "aten.convolution", shape, input=Made(source), weight=call.need(1), bias=call.input(2), stride=list(stride),
        padding=list(padding), dilation=list(dilation), transposed=transposed, output_padding=list(extra),
        groups=groups,
    )  # fmt: skip


def _pool(mode: PoolMode, *, channels_last: bool = False) -> Rule:
    def rule(call: Call) -> Value | None:
        """Pooling of sequences, images or volumes; windows of one element are nothing."""
        source = call.tensor(call.need(0))
        rank = len(call.node_shape(source)) - 2
        if call.attribute("kernel_shape") is None:
            raise SpecError(call.walk.place(call.step), call.step.kind, "a pool with a kernel")
        if rank not in _RANKS:
            return None
        is_last = (channels_last or call.attribute("channels_last", 0)) and rank == 2
        pooled = _pooled(call, call.permute(source, (0, 3, 1, 2)) if is_last else source, mode)
        pooled = call.permute(pooled, (0, 2, 3, 1)) if is_last else pooled
        others = (call.view(pooled, call.node_shape(pooled)) for _ in call.step.outputs[1:])
        return (pooled, *others)

    return rule


def _pooled(call: Call, source: str, mode: PoolMode) -> str:
    """The pool of a node whose channels stand before its extents."""
    shape = call.node_shape(source)
    rank = len(shape) - 2
    kernel, strides, dilations = (_ints(call, name, rank) for name in ("kernel_shape", "strides", "dilations"))
    padded, padding = _symmetric(call, source, _pads(call, shape[2:], _reach(kernel, dilations), strides))
    if padded == source and not any(padding) and all(size == 1 for size in (*kernel, *strides)):
        return source
    along = [1] * (rank == 1)  # a sequence is an image of height 1
    still = [0] * len(along)
    operator = pool_of(
        mode, (*along, *kernel), (*along, *strides), (*still, *padding), (*along, *dilations),
        ceil_mode=bool(call.attribute("ceil_mode", 0)),
    )  # fmt: skip
    extents = call.node_shape(padded)
    pooled = call.add(operator, call.reshape(padded, (*extents[:2], *along, *extents[2:])))
    return call.reshape(pooled, (*shape[:2], *call.node_shape(pooled)[2 + len(along) :]))


def _global_pool(mode: PoolMode) -> Rule:
    def rule(call: Call) -> Value | None:
        source = call.tensor(call.need(0))
        shape = call.node_shape(source)
        if len(shape) - 2 not in _RANKS:
            return None
        image = call.reshape(source, (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape)
        operator = Pool3d(mode) if len(shape) == 5 else Pool2d(mode)
        return call.reshape(call.add(operator, image), (*shape[:2], *(1 for _ in shape[2:])))

    return rule


RULES: dict[str, Rule] = {
    "Conv": _convolve,
    f"{_MICROSOFT}FusedConv": activated(_with_sum(_convolve)),
    f"{_MICROSOFT}NhwcConv": activated(_convolve_channels_last),
    f"{_MICROSOFT}NhwcFusedConv": activated(_with_sum(_convolve_channels_last)),
    f"{_MICROSOFT}NhwcMaxPool": _pool("max", channels_last=True),
    "ConvTranspose": _spread,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("avg"),
    "GlobalMaxPool": _global_pool("max"),
    "GlobalAveragePool": _global_pool("avg"),
}
"""By operator."""
