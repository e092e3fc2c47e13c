"""Rules for convolutions: of images, and of sequences as images of height 1.

A convolution whose kernel is computed (one from a routing of experts) is its executed product: the windows of the
input, side by side, times the kernel.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.pointwise import as_image, pair
from hwmodels.workload.ops import Conv2d, ConvTranspose2d, Elementwise, MatMul, Rearrange

__all__ = ["RULES"]

Pair = tuple[int, int]


def _convolve(call: Call, *, transposed: bool) -> Value | None:
    kernel_shape = call.shape_of("weight")
    flat = len(kernel_shape) == 3
    if len(kernel_shape) not in (3, 4):
        return None
    image = as_image(call, call.tensor("input"), flat=flat)
    if image is None or (transposed and not call.is_weight("weight")):
        return None
    stride, dilation = _extents(call, "stride", 1, flat=flat), _extents(call, "dilation", 1, flat=flat)
    kernel: Pair = (1, kernel_shape[2]) if flat else (kernel_shape[2], kernel_shape[3])
    image, padding = _padded(call, image, kernel, dilation, flat=flat)
    groups = call.args["groups"]
    if not call.is_weight("weight"):
        result = _computed_kernel(call, image, groups)
    elif transposed:
        out_channels, extra = kernel_shape[1] * groups, _extents(call, "output_padding", 0, flat=flat)
        transpose = ConvTranspose2d(out_channels, kernel, stride, padding, extra, dilation, groups, bias=False)
        result = _placed(call, transpose, image)
    else:
        direct = Conv2d(kernel_shape[0], kernel, stride, padding, dilation, groups, bias=False)
        result = _placed(call, direct, image)
    if call.has("bias") and not (call.is_weight("bias") and call.is_weight("weight")):
        channels = call.reshape(call.tensor("bias"), (1, call.shape[-2 if flat else -3], 1, 1))
        result = call.add(Elementwise("add"), result, channels, part="bias")
    return call.reshape(result, call.shape)


def _placed(call: Call, operator: Conv2d | ConvTranspose2d, image: str) -> str:
    stored = call.claim("weight")
    shift = call.claim("bias") if call.is_weight("bias") else 0
    return call.place(replace(operator, bias=shift > 0), image, parameters=stored + shift)


def _extents(call: Call, name: str, along: int, *, flat: bool) -> Pair:
    """(height, width) of an argument; `along` is the value of a height of 1."""
    values = pair(call.args[name])
    return (along, values[1]) if flat else values


def _padded(call: Call, image: str, kernel: Pair, dilation: Pair, *, flat: bool) -> tuple[str, Pair]:
    """The image and its symmetric padding; "same" of an even kernel pads one more behind, by a copy."""
    given: Any = call.args["padding"]
    if given == "valid":
        return image, (0, 0)
    if given != "same":
        return image, _extents(call, "padding", 0, flat=flat)
    total = [reach * (size - 1) for size, reach in zip(kernel, dilation, strict=True)]
    if any(pad % 2 for pad in total):
        *leading, height, width = call.node_shape(image)
        shape = (*leading, height + total[0] % 2, width + total[1] % 2)
        image = call.add(Rearrange("pad", shape), image, part="pad")
    return image, (total[0] // 2, total[1] // 2)


def _computed_kernel(call: Call, image: str, groups: int) -> str:
    """(groups, outputs, k) x (groups, k, positions) of each of the batch."""
    batch = call.node_shape(image)[0]
    out_channels, depth, *window = call.shape_of("weight")
    height, width = (1, call.shape[-1]) if len(window) == 1 else call.shape[-2:]
    reach = depth * prod(window)
    windows = call.add(Rearrange("unfold", (groups, reach, batch * height * width)), image, part="unfold")
    kernel = call.reshape(call.tensor("weight"), (groups, out_channels // groups, reach))
    product = call.add(MatMul(), kernel, windows)
    apart = call.reshape(product, (out_channels, batch, height, width))
    return call.permute(apart, (1, 0, 2, 3))


def _direct(call: Call) -> Value | None:
    return _convolve(call, transposed=False)


def _transposed(call: Call) -> Value | None:
    return _convolve(call, transposed=True)


def _either(call: Call) -> Value | None:
    return _convolve(call, transposed=bool(call.args["transposed"]))


RULES: dict[str, Rule] = {
    "aten.conv1d": _direct,
    "aten.conv2d": _direct,
    "aten.conv_transpose1d": _transposed,
    "aten.conv_transpose2d": _transposed,
    "aten.convolution": _either,
}
"""By operator, without overload."""
