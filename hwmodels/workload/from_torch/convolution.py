"""Rules for convolutions: of images, of volumes, and of sequences as images of height 1.

A convolution whose kernel is computed (one from a routing of experts) is its executed product: the windows of the
input, side by side, times the kernel.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from hwmodels.workload.from_torch.call import Call, Rule, Value
from hwmodels.workload.from_torch.pooling import as_map, extents_of
from hwmodels.workload.ops import (
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    ConvTranspose3d,
    Elementwise,
    MatMul,
    Rearrange,
    Shape,
)

__all__ = ["RULES"]

_Stored = Conv2d | Conv3d | ConvTranspose2d | ConvTranspose3d


def _convolve(call: Call, *, transposed: bool) -> Value | None:
    kernel_shape = call.shape_of("weight")
    rank = len(kernel_shape) - 2
    image = as_map(call, call.tensor("input"), rank)
    if image is None or (transposed and not call.is_weight("weight")):
        return None
    kernel: Shape = (1, *kernel_shape[2:]) if rank == 1 else kernel_shape[2:]
    dilation = extents_of(call.args["dilation"], rank, along=1)
    image, padding = _padded(call, image, kernel, dilation, rank)
    if not call.is_weight("weight"):
        result = _computed_kernel(call, image)
    else:
        stride = extents_of(call.args["stride"], rank, along=1)
        result = _placed(call, _operator(call, kernel, stride, padding, dilation, transposed=transposed), image)
    if call.has("bias") and not (call.is_weight("bias") and call.is_weight("weight")):
        spatial = len(call.node_shape(result)) - 2
        channels = call.reshape(call.tensor("bias"), (1, call.shape[-1 - rank], *(1 for _ in range(spatial))))
        result = call.add(Elementwise("add"), result, channels, part="bias")
    return call.reshape(result, call.shape)


def _operator(
    call: Call, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, *, transposed: bool
) -> _Stored:
    """The convolution of two or three axes that these extents belong to, without bias."""
    groups, weight = call.args["groups"], call.shape_of("weight")
    out_channels = weight[1] * groups if transposed else weight[0]
    extra = extents_of(call.args["output_padding"], len(weight) - 2, along=0) if transposed else ()
    match kernel, stride, padding, dilation, extra:
        case (kh, kw), (sh, sw), (ph, pw), (dh, dw), ():
            return Conv2d(out_channels, (kh, kw), (sh, sw), (ph, pw), (dh, dw), groups, bias=False)
        case (kh, kw), (sh, sw), (ph, pw), (dh, dw), (eh, ew):
            return ConvTranspose2d(out_channels, (kh, kw), (sh, sw), (ph, pw), (eh, ew), (dh, dw), groups, bias=False)
        case (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), ():
            return Conv3d(out_channels, (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), groups, bias=False)
        case (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (dd, dh, dw), (ed, eh, ew):
            return ConvTranspose3d(
                out_channels, (kd, kh, kw), (sd, sh, sw), (pd, ph, pw), (ed, eh, ew), (dd, dh, dw), groups, bias=False
            )
    raise ValueError(f"a convolution over {len(kernel)} axes")


def _placed(call: Call, operator: _Stored, image: str) -> str:
    stored = call.claim("weight")
    shift = call.claim("bias") if call.is_weight("bias") else 0
    return call.place(replace(operator, bias=shift > 0), image, parameters=stored + shift)


def _padded(call: Call, image: str, kernel: Shape, dilation: Shape, rank: int) -> tuple[str, Shape]:
    """The map and its symmetric padding; "same" of an even kernel pads one more behind, by a copy."""
    given: Any = call.args["padding"]
    if given == "valid":
        return image, tuple(0 for _ in kernel)
    if given != "same":
        return image, extents_of(given, rank, along=0)
    total = [reach * (size - 1) for size, reach in zip(kernel, dilation, strict=True)]
    if any(pad % 2 for pad in total):
        batch, channels, *extents = call.node_shape(image)
        shape = (batch, channels, *(extent + pad % 2 for extent, pad in zip(extents, total, strict=True)))
        image = call.add(Rearrange("pad", shape), image, part="pad")
    return image, tuple(pad // 2 for pad in total)


def _computed_kernel(call: Call, image: str) -> str:
    """(groups, outputs, k) x (groups, k, positions) of each of the batch."""
    batch, groups = call.node_shape(image)[0], call.args["groups"]
    out_channels, depth, *window = call.shape_of("weight")
    extents = call.shape[-len(window) :]
    reach = depth * prod(window)
    windows = call.add(Rearrange("unfold", (groups, reach, batch * prod(extents))), image, part="unfold")
    kernel = call.reshape(call.tensor("weight"), (groups, out_channels // groups, reach))
    product = call.add(MatMul(), kernel, windows)
    apart = call.reshape(product, (out_channels, batch, *extents))
    return call.permute(apart, (1, 0, *range(2, 2 + len(extents))))


def _direct(call: Call) -> Value | None:
    return _convolve(call, transposed=False)


def _transposed(call: Call) -> Value | None:
    return _convolve(call, transposed=True)


def _either(call: Call) -> Value | None:
    return _convolve(call, transposed=bool(call.args["transposed"]))


RULES: dict[str, Rule] = {
    "aten.conv1d": _direct,
    "aten.conv2d": _direct,
    "aten.conv3d": _direct,
    "aten.conv_transpose1d": _transposed,
    "aten.conv_transpose2d": _transposed,
    "aten.conv_transpose3d": _transposed,
    "aten.convolution": _either,
}
"""By operator, without overload."""
