"""Rules for operators that slide a window: convolutions, and pooling by kernel or over the whole map.

Padding that differs before and behind is its symmetric part in the operator and a copy of the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from hwmodels.errors import SpecError
from hwmodels.workload.from_onnx.call import Call, Made, Rule
from hwmodels.workload.from_onnx.pointwise import activated
from hwmodels.workload.from_torch.call import Value
from hwmodels.workload.ops import Conv2d, ConvTranspose2d, Elementwise, Pool2d, Rearrange, Shape

__all__ = ["RULES"]

_MICROSOFT = "com.microsoft."
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


def _convolve(call: Call) -> Value | None:
    """A convolution of images or sequences."""
    if call.attribute("channels_last", 0):
        return _convolve_channels_last(call)
    found = _direct(call, call.tensor(call.need(0)), call.shape_of(call.need(1)))
    if found is None:
        return None
    image, operator = found
    shape = call.node_shape(image)
    stride, padding, dilation = (
        list(pair)[4 - len(shape) :]  # a sequence has the second of each pair
        for pair in (operator.stride, operator.padding, operator.dilation)
    )
    return _told(
        call, image, _sized(operator, shape), stride, padding, dilation, operator.groups, transposed=False,
        extra=[0] * len(stride),
    )  # fmt: skip


def _direct(call: Call, image: str, kernel: Shape) -> tuple[str, Conv2d] | None:
    """(padded image, convolution without bias) for channels that stand before the extents of image and kernel."""
    shape = call.node_shape(image)
    rank = len(shape) - 2
    if rank not in (1, 2) or len(kernel) != len(shape):
        return None
    strides, dilations = _ints(call, "strides", rank), _ints(call, "dilations", rank)
    reach = [dilation * (size - 1) + 1 for size, dilation in zip(kernel[2:], dilations, strict=True)]
    image, padding = _symmetric(call, image, _pads(call, shape[2:], reach, strides))
    groups = call.attribute("group", 1)
    if groups < 1 or kernel[1] * groups != shape[1]:
        raise SpecError(call.walk.place(call.step), f"{kernel} in {groups} groups", f"a kernel for {shape[1]} channels")
    return image, Conv2d(
        kernel[0], _pair(kernel[2:]), _pair(strides), _pair(padding), _pair(dilations), groups, bias=False
    )


def _convolve_channels_last(call: Call) -> Value | None:
    """An image with its channels last; those of the kernel stand last, or second as in files of the CPU's runtime."""
    image, kernel = call.tensor(call.need(0)), call.shape_of(call.need(1))
    if len(call.node_shape(image)) != 4 or len(kernel) != 4 or not call.is_weight(call.need(1)):
        return None
    image = call.permute(image, (0, 3, 1, 2))
    if kernel[1] * call.attribute("group", 1) != call.node_shape(image)[1]:
        kernel = (kernel[0], kernel[3], kernel[1], kernel[2])
    found = _direct(call, image, kernel)
    if found is None:
        return None
    image, operator = found
    stored, bias = call.claim(call.need(1)), call.input(2)
    shift = call.claim(bias) if bias is not None else 0
    result = call.place(replace(operator, bias=shift > 0), image, parameters=stored + shift)
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
    if rank not in (1, 2) or len(kernel) != len(shape):
        return None
    strides, dilations = _ints(call, "strides", rank), _ints(call, "dilations", rank)
    extra, groups = _ints(call, "output_padding", rank, 0), call.attribute("group", 1)
    reach = [dilation * (size - 1) + 1 for size, dilation in zip(kernel[2:], dilations, strict=True)]
    full = [(e - 1) * s + r + x for e, s, r, x in zip(shape[2:], strides, reach, extra, strict=True)]
    wanted = call.attribute("output_shape")
    if wanted is None and call.attribute("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [extent * stride for extent, stride in zip(shape[2:], strides, strict=True)]
    totals = [sum(pad) for pad in _pads(call, shape[2:], reach, [1] * rank)]
    if wanted is not None:
        totals = [size - target for size, target in zip(full, wanted[-rank:], strict=True)]
    padding = [max(-(-total // 2), 0) for total in totals]
    extra = [x + 2 * pad - total for x, pad, total in zip(extra, padding, totals, strict=True)]
    operator = ConvTranspose2d(
        kernel[1] * groups, _pair(kernel[2:]), _pair(strides), _pair(padding), _pair(extra), _pair(dilations), groups
    )
    result = _sized(operator, shape)
    return _told(call, source, result, strides, padding, dilations, groups, transposed=True, extra=extra)


def _pair(values: Sequence[int]) -> Pair:
    """(height, width); a sequence is an image of height 1, padded nowhere above."""
    return (values[0], values[1]) if len(values) == 2 else (1, values[0])


def _sized(operator: Conv2d | ConvTranspose2d, shape: Shape) -> Shape:
    """The shape of a result, of a sequence too."""
    if len(shape) == 4:
        return operator.infer(shape)
    flat = replace(operator, padding=(0, operator.padding[1]))
    if isinstance(flat, ConvTranspose2d):
        flat = replace(flat, output_padding=(0, flat.output_padding[1]))
    batch, channels, _, width = flat.infer((*shape[:2], 1, shape[2]))
    return (batch, channels, width)


def _told(
    call: Call, source: str, shape: Shape, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    groups: int, *, transposed: bool, extra: Sequence[int],
) -> Value | None:  # fmt: skip
    return call.like(
        "aten.convolution", shape, input=Made(source), weight=call.need(1), bias=call.input(2), stride=list(stride),
        padding=list(padding), dilation=list(dilation), transposed=transposed, output_padding=list(extra),
        groups=groups,
    )  # fmt: skip


def _pool(mode: Literal["max", "avg"], *, channels_last: bool = False) -> Rule:
    def rule(call: Call) -> Value | None:
        """Pooling of images or sequences; windows of one element are nothing."""
        source = call.tensor(call.need(0))
        rank = len(call.node_shape(source)) - 2
        if call.attribute("kernel_shape") is None:
            raise SpecError(call.walk.place(call.step), call.step.kind, "a pool with a kernel")
        if rank not in (1, 2) or any(dilation != 1 for dilation in _ints(call, "dilations", rank)):
            return None
        is_last = (channels_last or call.attribute("channels_last", 0)) and rank == 2
        pooled = _pooled(call, call.permute(source, (0, 3, 1, 2)) if is_last else source, mode)
        pooled = call.permute(pooled, (0, 2, 3, 1)) if is_last else pooled
        others = (call.view(pooled, call.node_shape(pooled)) for _ in call.step.outputs[1:])
        return (pooled, *others)

    return rule


def _pooled(call: Call, source: str, mode: Literal["max", "avg"]) -> str:
    """The pool of a node whose channels stand before its extents."""
    shape = call.node_shape(source)
    rank = len(shape) - 2
    kernel, strides = _ints(call, "kernel_shape", rank), _ints(call, "strides", rank)
    padded, padding = _symmetric(call, source, _pads(call, shape[2:], kernel, strides))
    if padded == source and not any(padding) and all(size == 1 for size in (*kernel, *strides)):
        return source
    extents = call.node_shape(padded)
    image = call.reshape(padded, (*extents[:2], 1, extents[2]) if rank == 1 else extents)
    pads = _pair(padding) if rank == 2 else (0, padding[0])
    operator = Pool2d(mode, _pair(kernel), _pair(strides), pads, ceil_mode=bool(call.attribute("ceil_mode", 0)))
    pooled = call.add(operator, image)
    return call.reshape(pooled, (*shape[:2], *call.node_shape(pooled)[4 - rank :]))


def _global_pool(mode: Literal["max", "avg"]) -> Rule:
    def rule(call: Call) -> Value | None:
        source = call.tensor(call.need(0))
        shape = call.node_shape(source)
        if len(shape) not in (3, 4):
            return None
        image = call.reshape(source, (*shape[:2], 1, shape[2]) if len(shape) == 3 else shape)
        return call.reshape(call.add(Pool2d(mode), image), (*shape[:2], *(1 for _ in shape[2:])))

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
