"""Operators without MACs that compute: pooling, reduction, normalisation, nonlinearities, elementwise arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Literal

from hwmodels.workload.ops.row import JOINED, Kind, Row, Shape, channels_of, image, plain_row

__all__ = [
    "ACTIVATION_OPS",
    "Activation",
    "ActivationName",
    "AdaptivePool",
    "Elementwise",
    "ElementwiseName",
    "Norm",
    "Pool2d",
    "Reduce",
    "Softmax",
    "pooled_extents",
]

_Pair = int | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pool2d:
    """Max or average pooling; `kernel=None` pools globally to 1 x 1. A pair is (height, width)."""

    mode: Literal["max", "avg"]
    kernel: _Pair | None = None
    stride: _Pair | None = None
    padding: _Pair = 0
    ceil_mode: bool = False
    dilation: _Pair = field(default=1, metadata=JOINED)
    is_view: ClassVar[bool] = False

    def geometry(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        """Kernel, stride and padding, (height, width) each."""
        _, _, height, width = image(shape, "Pool2d")
        if self.kernel is None:
            return (height, width), (1, 1), (0, 0)
        return _pair(self.kernel), _pair(self.stride or self.kernel), _pair(self.padding)

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, *extents = image(inputs[0], "Pool2d")
        geometry = self.geometry(inputs[0])
        size = pooled_extents(extents, *geometry, _pair(self.dilation), ceil_mode=self.ceil_mode)
        if min(size) < 1:
            raise ValueError(f"Pool2d: kernel {self.kernel} is larger than the padded input {tuple(extents)}")
        return (batch, channels, *size)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        (kernel_h, kernel_w), (stride_h, stride_w), (pad_h, pad_w) = self.geometry(inputs[0])
        dilation_h, dilation_w = _pair(self.dilation)
        return plain_row(Kind.POOL, inputs, output, vector_ops=prod(output) * kernel_h * kernel_w)._replace(
            kernel_h=kernel_h, kernel_w=kernel_w, stride_h=stride_h, stride_w=stride_w, pad_h=pad_h, pad_w=pad_w,
            dilation_h=dilation_h, dilation_w=dilation_w,
        )  # fmt: skip


def pooled_extents(
    extents: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    *,
    ceil_mode: bool = False,
) -> Shape:
    """Windows along every axis; in ceil mode a last window that is not whole counts, too.

    It must still start inside the input or its left padding.
    """
    size = []
    for extent, taps, step, pad, reach in zip(extents, kernel, stride, padding, dilation, strict=True):
        span = reach * (taps - 1) + 1
        out = (extent + 2 * pad - span + (step - 1 if ceil_mode else 0)) // step + 1
        size.append(out - int(ceil_mode and (out - 1) * step >= extent + pad))
    return tuple(size)


@dataclass(frozen=True, slots=True)
class AdaptivePool:
    """Pooling to `size` outputs an axis, whatever the map's: output i covers [floor(i e / o), ceil((i + 1) e / o)).

    It stands where no kernel and stride do, as for a map that grows; (batch, channels, ...) of two axes or three.
    """

    mode: Literal["max", "avg"]
    size: Shape
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != 2 + len(self.size):
            raise ValueError(f"AdaptivePool to {self.size} takes as many axes behind the channels, got {inputs[0]}")
        return (*inputs[0][:2], *self.size)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        taps = prod(
            sum(-(-(i + 1) * extent // out) - i * extent // out for i in range(out))
            for extent, out in zip(inputs[0][2:], self.size, strict=True)
        )
        return plain_row(Kind.POOL, inputs, output, vector_ops=prod(output[:2]) * taps)


def _pair(value: _Pair) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True, slots=True)
class Reduce:
    """Mean, sum, maximum ... over `axes`; global average pooling of an image is `Pool2d("avg")`."""

    axes: tuple[int, ...]
    keep_axes: bool = False
    mode: Literal["mean", "sum", "max", "min", "norm"] = "mean"
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        reduced = {range(len(shape))[axis] for axis in self.axes}
        kept = ((1 if axis in reduced else extent, axis in reduced) for axis, extent in enumerate(shape))
        return tuple(extent for extent, gone in kept if self.keep_axes or not gone)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.POOL, inputs, output, vector_ops=prod(inputs[0]))


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch, layer, group, instance or root-mean-square normalisation.

    Affine parameters: a scale and, with `bias`, a shift for each of `features`, by default the channels: axis 1 of
    an image, the last axis of everything else. RMS normalisation has no shift.
    """

    mode: Literal["batch", "layer", "group", "instance", "rms"] = "batch"
    affine: bool = True
    bias: bool = True
    features: int | None = None
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        # Batch norm at inference is one scale and one shift; the others also need their statistics.
        per_element = {"batch": 2, "rms": 4}.get(self.mode, 5)
        tensors = 0 if not self.affine else 2 if self.bias and self.mode != "rms" else 1
        return plain_row(
            Kind.NORM,
            inputs,
            output,
            vector_ops=per_element * prod(output),
            parameters=tensors * (self.features or channels_of(output)),
        )


ActivationName = Literal[
    "relu", "relu6", "leaky_relu", "prelu", "elu", "hardtanh", "hardsigmoid", "hardswish", "sigmoid", "tanh", "silu",
    "gelu", "mish", "softplus", "abs", "neg", "sqrt", "rsqrt", "reciprocal", "exp", "log", "erf", "sin", "cos",
]  # fmt: skip

ACTIVATION_OPS: dict[ActivationName, int] = {
    "relu": 1, "relu6": 2, "leaky_relu": 2, "prelu": 2, "elu": 5, "hardtanh": 2, "hardsigmoid": 3, "hardswish": 4,
    "sigmoid": 4, "tanh": 4, "silu": 5, "gelu": 8, "mish": 9, "softplus": 5, "abs": 1, "neg": 1, "sqrt": 4,
    "rsqrt": 4, "reciprocal": 4, "exp": 4, "log": 4, "erf": 6, "sin": 4, "cos": 4,
}  # fmt: skip
"""Elementary operations an element, of a polynomial evaluation where the function has no closed form (ASSUMED)."""


@dataclass(frozen=True, slots=True)
class Activation:
    """Pointwise function of one tensor; `prelu` learns a slope a channel."""

    function: ActivationName = "relu"
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        ops = ACTIVATION_OPS[self.function] * prod(output)
        slopes = channels_of(output) if self.function == "prelu" else 0
        return plain_row(Kind.ACTIVATION, inputs, output, vector_ops=ops, parameters=slopes)


ElementwiseName = Literal["add", "sub", "mul", "div", "max", "min", "pow", "compare", "where"]


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Arithmetic of operands that broadcast against each other; a scalar operand is not an input."""

    function: ElementwiseName = "add"
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        rank = max(len(shape) for shape in inputs)
        padded = [(1,) * (rank - len(shape)) + shape for shape in inputs]
        out = tuple(max(extents) for extents in zip(*padded, strict=True))
        if any(extent not in (1, full) for shape in padded for extent, full in zip(shape, out, strict=True)):
            raise ValueError(f"Elementwise: shapes {inputs} do not broadcast")
        return out

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        ops = prod(output) * max(len(inputs) - 1, 1)
        # Operands commute: the geometry is that of the result, whichever of them is broadcast.
        row = plain_row(Kind.ELEMENTWISE, (output,), output, vector_ops=ops)
        return row._replace(input_elements=sum(prod(shape) for shape in inputs))


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax over one axis: maximum, subtract, exponential, sum, divide.

    `causal` leaves out what comes later: of scores (..., tokens, tokens) those above the diagonal, which count as work.
    """

    axis: int = -1
    causal: bool = field(default=False, metadata=JOINED)
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.SOFTMAX, inputs, output, vector_ops=5 * prod(output))
