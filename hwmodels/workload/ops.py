"""The operator vocabulary: shape inference, MACs, parameters and the cost-model row of each operator.

Counting conventions: 1 MAC = 1 (= 2 FLOP). Convolution, linear, recurrent and attention matrix products are
counted as MACs; every other operator is a row of its own with `vector_ops` elementary operations. Parameters
include biases and the affine pair of a normalisation (2C), not running statistics. Shapes carry the batch first:
(B, C, H, W) for images, (B, T, D) for sequences.

Not modelled: data-dependent shapes, sparsity, complex numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from math import prod
from typing import ClassVar, Literal, NamedTuple, Protocol

__all__ = [
    "Activation",
    "ActivationName",
    "Concat",
    "Constant",
    "Conv2d",
    "Elementwise",
    "Embedding",
    "Kind",
    "Linear",
    "MatMul",
    "Norm",
    "Operator",
    "Permute",
    "PixelShuffle",
    "Pool2d",
    "Precision",
    "Recurrent",
    "Reshape",
    "Row",
    "Select",
    "Shape",
    "Softmax",
    "Split",
    "Upsample",
    "Zeros",
]

Shape = tuple[int, ...]


class Kind(IntEnum):
    """Operator kinds as they stand in the `kind` column of a LayerTable."""

    CONV = 0
    LINEAR = 1
    MATMUL = 2
    RECURRENT = 3
    POOL = 4
    NORM = 5
    ACTIVATION = 6
    ELEMENTWISE = 7
    SOFTMAX = 8
    EMBEDDING = 9
    RESAMPLE = 10
    COPY = 11


class Precision(NamedTuple):
    """Bits of one operator's weights, activations and accumulators; they belong to the network."""

    weight_bits: int = 8
    activation_bits: int = 8
    accumulator_bits: int = 32


class Row(NamedTuple):
    """One layer as a cost model sees it: integers only; equal rows are one row of the table.

    `m, n, k` is the GEMM view of ONE group and ONE sequential step: (m x k) times (k x n), with m output positions
    (batch included), n outputs a group, k the reduction length. For rows with arithmetic on an array,
    ``macs == groups * m * n * k * sequential_steps``; for all others macs, m, n and k are 0.
    `weight_elements` is the second operand of the product (no bias), stored weights unless `dynamic_operand`;
    `parameters` counts what is stored, biases and affine pairs included. `vector_ops` counts elementary
    non-MAC operations. `input_offchip` and `output_offchip` mark the first and the last layer.
    """

    kind: int
    batch: int = 1
    groups: int = 1
    in_channels: int = 1
    out_channels: int = 1
    in_h: int = 1
    in_w: int = 1
    out_h: int = 1
    out_w: int = 1
    kernel_h: int = 1
    kernel_w: int = 1
    stride_h: int = 1
    stride_w: int = 1
    pad_h: int = 0
    pad_w: int = 0
    dilation_h: int = 1
    dilation_w: int = 1
    m: int = 0
    n: int = 0
    k: int = 0
    macs: int = 0
    vector_ops: int = 0
    weight_elements: int = 0
    input_elements: int = 0
    output_elements: int = 0
    parameters: int = 0
    weight_bits: int = 8
    activation_bits: int = 8
    accumulator_bits: int = 32
    dynamic_operand: int = 0
    sequential_steps: int = 1
    input_offchip: int = 0
    output_offchip: int = 0


class Operator(Protocol):
    """What every operator answers; `is_view` operators move no data and make no row."""

    @property
    def is_view(self) -> bool: ...

    def infer(self, *inputs: Shape) -> Shape:
        """Output shape; raises ValueError with one clear line when the inputs do not fit."""

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row: ...


def _image(shape: Shape, name: str) -> tuple[int, int, int, int]:
    if len(shape) != 4:
        raise ValueError(f"{name} takes (batch, channels, height, width), got {shape}")
    return shape


def _channels_of(shape: Shape) -> int:
    """Channels of an image, features of a sequence."""
    return shape[1] if len(shape) == 4 else shape[-1]


def _plain(kind: Kind, inputs: tuple[Shape, ...], output: Shape, *, vector_ops: int, parameters: int = 0) -> Row:
    """A row without MACs: everything that reads its inputs once and writes its output once."""
    first = inputs[0] if inputs else output
    in_h, in_w = first[2:] if len(first) == 4 else (prod(first[1:-1]), 1)
    out_h, out_w = output[2:] if len(output) == 4 else (prod(output[1:-1]), 1)
    return Row(
        kind=kind,
        batch=output[0],
        in_channels=_channels_of(first),
        out_channels=_channels_of(output),
        in_h=in_h,
        in_w=in_w,
        out_h=out_h,
        out_w=out_w,
        vector_ops=vector_ops,
        input_elements=sum(prod(shape) for shape in inputs),
        output_elements=prod(output),
        parameters=parameters,
    )


@dataclass(frozen=True, slots=True)
class Conv2d:
    """2-D convolution with groups and dilation; depthwise when groups == in_channels."""

    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    is_view: ClassVar[bool] = False

    @classmethod
    def square(
        cls,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> Conv2d:
        """Square kernel; `padding=None` keeps the size at stride 1 ('same' for odd kernels)."""
        pad = dilation * (kernel - 1) // 2 if padding is None else padding
        return cls(out_channels, (kernel, kernel), (stride, stride), (pad, pad), (dilation, dilation), groups, bias)

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = _image(inputs[0], "Conv2d")
        if channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"Conv2d: {self.groups} groups do not divide {channels} inputs and {self.out_channels} outputs"
            )
        # out = floor((in + 2 pad - dilation (kernel - 1) - 1) / stride) + 1
        size = [
            (extent + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for extent, pad, dilation, kernel, stride in zip(
                (height, width), self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        ]
        if min(size) < 1:
            raise ValueError(f"Conv2d: kernel {self.kernel} is larger than the padded input {(height, width)}")
        return (batch, self.out_channels, size[0], size[1])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        batch, channels, height, width = _image(inputs[0], "Conv2d")
        _, _, out_h, out_w = output
        k = channels // self.groups * self.kernel[0] * self.kernel[1]
        n = self.out_channels // self.groups
        m = batch * out_h * out_w
        weights = self.groups * n * k
        return Row(
            kind=Kind.CONV,
            batch=batch,
            groups=self.groups,
            in_channels=channels,
            out_channels=self.out_channels,
            in_h=height,
            in_w=width,
            out_h=out_h,
            out_w=out_w,
            kernel_h=self.kernel[0],
            kernel_w=self.kernel[1],
            stride_h=self.stride[0],
            stride_w=self.stride[1],
            pad_h=self.padding[0],
            pad_w=self.padding[1],
            dilation_h=self.dilation[0],
            dilation_w=self.dilation[1],
            m=m,
            n=n,
            k=k,
            macs=m * weights,
            weight_elements=weights,
            input_elements=prod(inputs[0]),
            output_elements=prod(output),
            parameters=weights + (self.out_channels if self.bias else 0),
        )


@dataclass(frozen=True, slots=True)
class Linear:
    """y = x W^T + b over the last axis."""

    out_features: int
    bias: bool = True
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return (*inputs[0][:-1], self.out_features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        m, k, n = prod(inputs[0][:-1]), inputs[0][-1], self.out_features
        tokens = prod(inputs[0][1:-1])
        return Row(
            kind=Kind.LINEAR,
            batch=inputs[0][0],
            in_channels=k,
            out_channels=n,
            in_h=tokens,
            out_h=tokens,
            m=m,
            n=n,
            k=k,
            macs=m * n * k,
            weight_elements=n * k,
            input_elements=m * k,
            output_elements=m * n,
            parameters=n * k + (n if self.bias else 0),
        )


@dataclass(frozen=True, slots=True)
class MatMul:
    """Batched product of two computed operands, (..., m, k) x (..., k, n): attention's Q.K^T and P.V."""

    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        left, right = inputs
        if left[:-2] != right[:-2] or left[-1] != right[-2]:
            raise ValueError(f"MatMul: {left} and {right} do not fit")
        return (*left[:-1], right[-1])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        left, right = inputs
        groups, m, k, n = prod(left[:-2]), left[-2], left[-1], right[-1]
        return Row(
            kind=Kind.MATMUL,
            batch=left[0],
            groups=groups,
            in_channels=k * groups,
            out_channels=n * groups,
            in_h=m,
            out_h=m,
            m=m,
            n=n,
            k=k,
            macs=groups * m * n * k,
            weight_elements=groups * k * n,
            input_elements=groups * m * k,
            output_elements=groups * m * n,
            dynamic_operand=1,
        )


@dataclass(frozen=True, slots=True)
class Recurrent:
    """One LSTM or GRU layer over (batch, time, features); two bias vectors, as in torch and cuDNN."""

    cell: Literal["lstm", "gru"]
    hidden: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, time, _ = inputs[0]
        return (batch, time, self.hidden)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        batch, time, features = inputs[0]
        gates = 4 if self.cell == "lstm" else 3
        n, k = gates * self.hidden, features + self.hidden
        return Row(
            kind=Kind.RECURRENT,
            batch=batch,
            in_channels=features,
            out_channels=self.hidden,
            in_h=time,
            out_h=time,
            m=batch,
            n=n,
            k=k,
            macs=time * batch * n * k,
            # One nonlinearity a gate, one more on the cell state, three products and sums a hidden unit.
            vector_ops=time * batch * self.hidden * (gates + 4),
            weight_elements=n * k,
            input_elements=prod(inputs[0]),
            output_elements=prod(output),
            parameters=n * k + 2 * n,
            sequential_steps=time,
        )


@dataclass(frozen=True, slots=True)
class Pool2d:
    """Max or average pooling; `kernel=None` pools globally to 1 x 1."""

    mode: Literal["max", "avg"]
    kernel: int | None = None
    stride: int | None = None
    padding: int = 0
    ceil_mode: bool = False
    is_view: ClassVar[bool] = False

    def _geometry(self, shape: Shape) -> tuple[int, int, int, int]:
        """Kernel height and width, stride, padding."""
        _, _, height, width = _image(shape, "Pool2d")
        if self.kernel is None:
            return height, width, 1, 0
        return self.kernel, self.kernel, self.stride or self.kernel, self.padding

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = _image(inputs[0], "Pool2d")
        kernel_h, kernel_w, stride, pad = self._geometry(inputs[0])
        round_up = stride - 1 if self.ceil_mode else 0
        out_h = (height + 2 * pad - kernel_h + round_up) // stride + 1
        out_w = (width + 2 * pad - kernel_w + round_up) // stride + 1
        if self.ceil_mode:  # a window must start inside the input or its left padding
            out_h -= int((out_h - 1) * stride >= height + pad)
            out_w -= int((out_w - 1) * stride >= width + pad)
        if min(out_h, out_w) < 1:
            raise ValueError(f"Pool2d: kernel {kernel_h} is larger than the padded input {(height, width)}")
        return (batch, channels, out_h, out_w)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        kernel_h, kernel_w, stride, pad = self._geometry(inputs[0])
        return _plain(Kind.POOL, inputs, output, vector_ops=prod(output) * kernel_h * kernel_w)._replace(
            kernel_h=kernel_h, kernel_w=kernel_w, stride_h=stride, stride_w=stride, pad_h=pad, pad_w=pad
        )


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch, layer, group or instance normalisation: 2C parameters when affine."""

    mode: Literal["batch", "layer", "group", "instance"] = "batch"
    affine: bool = True
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        # Batch norm at inference is one scale and one shift; the others also need mean and variance.
        per_element = 2 if self.mode == "batch" else 5
        return _plain(
            Kind.NORM,
            inputs,
            output,
            vector_ops=per_element * prod(output),
            parameters=2 * _channels_of(output) if self.affine else 0,
        )


ActivationName = Literal["relu", "relu6", "hardsigmoid", "hardswish", "sigmoid", "tanh", "silu", "gelu"]

_ACTIVATION_OPS: dict[ActivationName, int] = {
    "relu": 1,
    "relu6": 2,
    "hardsigmoid": 3,
    "hardswish": 4,
    "sigmoid": 4,
    "tanh": 4,
    "silu": 5,
    "gelu": 8,
}


@dataclass(frozen=True, slots=True)
class Activation:
    """Pointwise nonlinearity; `vector_ops` counts elementary operations of a polynomial evaluation (ASSUMED)."""

    function: ActivationName = "relu"
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        ops = _ACTIVATION_OPS[self.function] * prod(output)
        return _plain(Kind.ACTIVATION, inputs, output, vector_ops=ops)


@dataclass(frozen=True, slots=True)
class Elementwise:
    """Sum or product of operands that broadcast against each other."""

    function: Literal["add", "mul"] = "add"
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
        return _plain(Kind.ELEMENTWISE, inputs, output, vector_ops=ops)


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax over the last axis: maximum, subtract, exponential, sum, divide."""

    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.SOFTMAX, inputs, output, vector_ops=5 * prod(output))


@dataclass(frozen=True, slots=True)
class Embedding:
    """Table look-up: (batch, tokens) -> (batch, tokens, features). Traffic is the rows read, not the table."""

    entries: int
    features: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return (*inputs[0], self.features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        row = _plain(Kind.EMBEDDING, inputs, output, vector_ops=0, parameters=self.entries * self.features)
        return row._replace(in_channels=self.entries, in_h=prod(inputs[0][1:]), input_elements=prod(output))


@dataclass(frozen=True, slots=True)
class Constant:
    """A learned tensor without input: class token, position embedding. Moves data only where it is used."""

    shape: Shape
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, (), output, vector_ops=0, parameters=prod(self.shape))._replace(
            input_elements=0, output_elements=0
        )


@dataclass(frozen=True, slots=True)
class Zeros:
    """A tensor of zeros without input: what a cell's node holds when every edge into it is `none`."""

    shape: Shape
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Upsample:
    """Nearest or bilinear enlargement by an integer factor."""

    factor: int
    mode: Literal["nearest", "bilinear"] = "nearest"
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = _image(inputs[0], "Upsample")
        return (batch, channels, height * self.factor, width * self.factor)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        ops = prod(output) * (0 if self.mode == "nearest" else 7)  # 4 products, 3 sums
        return _plain(Kind.RESAMPLE, inputs, output, vector_ops=ops)


@dataclass(frozen=True, slots=True)
class PixelShuffle:
    """(B, C r², H, W) -> (B, C, rH, rW): pure data movement."""

    factor: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = _image(inputs[0], "PixelShuffle")
        if channels % self.factor**2:
            raise ValueError(f"PixelShuffle: {channels} channels are not a multiple of {self.factor**2}")
        return (batch, channels // self.factor**2, height * self.factor, width * self.factor)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.RESAMPLE, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Concat:
    """Join along `axis`: a copy."""

    axis: int = 1
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        first = inputs[0]
        for shape in inputs[1:]:
            if len(shape) != len(first) or any(
                a != b and not (i == 0 and 1 in (a, b))  # a constant of batch 1 joins any batch
                for i, (a, b) in enumerate(zip(first, shape, strict=True))
                if i != self.axis
            ):
                raise ValueError(f"Concat: shapes {inputs} differ outside axis {self.axis}")
        joined = list(map(max, zip(*inputs, strict=True)))
        joined[self.axis] = sum(shape[self.axis] for shape in inputs)
        return tuple(joined)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Split:
    """One contiguous part [start, start + length) along `axis`: a view."""

    axis: int
    start: int
    length: int
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        if self.start + self.length > shape[self.axis]:
            raise ValueError(
                f"Split: [{self.start}, {self.start + self.length}) is outside {shape[self.axis]} elements"
            )
        return (*shape[: self.axis], self.length, *shape[self.axis + 1 :])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Reshape:
    """Same elements in the same order under another shape: a view."""

    shape: Shape
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        if prod(inputs[0]) != prod(self.shape):
            raise ValueError(f"Reshape: {inputs[0]} has not as many elements as {self.shape}")
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Permute:
    """Axes in another order: a view, since the consumer's kernel chooses its strides."""

    axes: tuple[int, ...]
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        if sorted(self.axes) != list(range(len(inputs[0]))):
            raise ValueError(f"Permute: {self.axes} does not order the {len(inputs[0])} axes of {inputs[0]}")
        return tuple(inputs[0][axis] for axis in self.axes)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Select:
    """One index along `axis`, as the class token or the last time step: a view that drops the axis."""

    axis: int
    index: int = 0
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        if not -shape[self.axis] <= self.index < shape[self.axis]:
            raise ValueError(f"Select: {self.index} is outside {shape[self.axis]} elements")
        return (*shape[: self.axis], *shape[self.axis + 1 :])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return _plain(Kind.COPY, inputs, output, vector_ops=0)
