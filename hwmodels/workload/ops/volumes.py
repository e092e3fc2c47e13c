"""Operators on volumes (batch, channels, depth, height, width): convolutions and pooling over three axes.

A row has a height and a width and no depth, so the depth is folded into the height: in_h = D H, kernel_h = Kd Kh,
out_h = Do Ho, and the widths stay. The GEMM view m, n, k, the MACs, all elements and the number of windows and of
their taps are exact that way, and so is the share of the input that a 1 x 1 x 1 kernel with a stride reads. stride_h
and dilation_h are the products of both axes, pad_h is half of the lines that padding adds: (in_h + 2 pad_h) lines are
the padded volume. A family that reads geometry line by line (strips of a direct convolution, windows off the padding)
sees D H lines one below another, which neglects where one image ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from hwmodels.workload.ops.pointwise import Pool2d, pooled_extents
from hwmodels.workload.ops.products import (
    Conv2d,
    ConvTranspose2d,
    convolution_row,
    convolved_extents,
    spread_extents,
)
from hwmodels.workload.ops.row import Kind, Row, Shape, volume

__all__ = ["Conv3d", "ConvTranspose3d", "Pool3d", "Triple"]

Triple = tuple[int, int, int]
"""Of (depth, height, width)."""


@dataclass(frozen=True, slots=True)
class Conv3d:
    """3-D convolution with groups and dilation; the GEMM view is m = batch Do Ho Wo, k = channels Kd Kh Kw / groups."""

    out_channels: int
    kernel: Triple = (1, 1, 1)
    stride: Triple = (1, 1, 1)
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)
    groups: int = 1
    bias: bool = True
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, *extents = volume(inputs[0], "Conv3d")
        _check_groups(self, channels)
        size = convolved_extents(extents, self.kernel, self.stride, self.padding, self.dilation)
        if min(size) < 1:
            raise ValueError(f"Conv3d: kernel {self.kernel} is larger than the padded input {tuple(extents)}")
        return (batch, self.out_channels, *size)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        m = output[0] * prod(output[2:])
        n, k = self.out_channels // self.groups, inputs[0][1] // self.groups * prod(self.kernel)
        flat = Conv2d(self.out_channels, *_flat_geometry(self, inputs[0]), self.groups, self.bias)
        return convolution_row(flat, Kind.CONV, _flat(inputs[0]), _flat(output), m=m, n=n, k=k)


@dataclass(frozen=True, slots=True)
class ConvTranspose3d:
    """Transposed 3-D convolution; the GEMM view is that of the executed product, as in `ConvTranspose2d`."""

    out_channels: int
    kernel: Triple = (2, 2, 2)
    stride: Triple = (2, 2, 2)
    padding: Triple = (0, 0, 0)
    output_padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)
    groups: int = 1
    bias: bool = True
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, *extents = volume(inputs[0], "ConvTranspose3d")
        _check_groups(self, channels)
        size = spread_extents(extents, self.kernel, self.stride, self.padding, self.dilation)
        return (batch, self.out_channels, *map(sum, zip(size, self.output_padding, strict=True)))

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        m, k = inputs[0][0] * prod(inputs[0][2:]), inputs[0][1] // self.groups
        n = self.out_channels // self.groups * prod(self.kernel)
        kernel, stride, padding, dilation = _flat_geometry(self, inputs[0])
        flat = ConvTranspose2d(self.out_channels, kernel, stride, padding, (0, 0), dilation, self.groups, self.bias)
        return convolution_row(flat, Kind.CONV_TRANSPOSE, _flat(inputs[0]), _flat(output), m=m, n=n, k=k)


@dataclass(frozen=True, slots=True)
class Pool3d:
    """Max or average pooling of a volume; `kernel=None` pools globally to 1 x 1 x 1."""

    mode: Literal["max", "avg"]
    kernel: Triple | None = None
    stride: Triple | None = None
    padding: Triple = (0, 0, 0)
    dilation: Triple = (1, 1, 1)
    ceil_mode: bool = False
    is_view: ClassVar[bool] = False

    def _windows(self, extents: Triple) -> Pool3d:
        """The same with its kernel and stride written out."""
        kernel = extents if self.kernel is None else self.kernel
        return Pool3d(self.mode, kernel, self.stride or kernel, self.padding, self.dilation, self.ceil_mode)

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, depth, height, width = volume(inputs[0], "Pool3d")
        extents = (depth, height, width)
        kernel, stride = self.kernel or extents, self.stride or self.kernel or extents
        size = pooled_extents(extents, kernel, stride, self.padding, self.dilation, ceil_mode=self.ceil_mode)
        if min(size) < 1:
            raise ValueError(f"Pool3d: kernel {self.kernel} is larger than the padded input {extents}")
        return (batch, channels, *size)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        _, _, depth, height, width = inputs[0]
        kernel, stride, padding, dilation = _flat_geometry(self._windows((depth, height, width)), inputs[0])
        flat = Pool2d(self.mode, kernel, stride, padding, dilation=dilation)
        return flat.row((_flat(inputs[0]),), _flat(output))


def _check_groups(operator: Conv3d | ConvTranspose3d, channels: int) -> None:
    if channels % operator.groups or operator.out_channels % operator.groups:
        raise ValueError(
            f"{type(operator).__name__}: {operator.groups} groups do not divide {channels} inputs and "
            f"{operator.out_channels} outputs"
        )


def _flat(shape: Shape) -> Shape:
    """(batch, channels, depth x height, width)."""
    batch, channels, depth, height, width = shape
    return (batch, channels, depth * height, width)


_Pair = tuple[int, int]


def _flat_geometry(operator: Conv3d | ConvTranspose3d | Pool3d, shape: Shape) -> tuple[_Pair, _Pair, _Pair, _Pair]:
    """Kernel, stride, padding and dilation of a window over a volume of this shape as (height, width)."""
    kernel, stride = operator.kernel or (1, 1, 1), operator.stride or (1, 1, 1)
    depth, height = shape[2:4]
    (pad_d, pad_h, pad_w), (reach_d, reach_h, reach_w) = operator.padding, operator.dilation
    added_lines = (depth + 2 * pad_d) * (height + 2 * pad_h) - depth * height
    return (
        (kernel[0] * kernel[1], kernel[2]),
        (stride[0] * stride[1], stride[2]),
        (added_lines // 2, pad_w),
        (reach_d * reach_h, reach_w),
    )
