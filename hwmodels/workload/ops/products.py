"""Operators whose work is multiply-accumulates: convolutions, matrix products, attention, recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Literal

from hwmodels.workload.ops.row import JOINED, Kind, Row, Shape, image

__all__ = [
    "Attention",
    "Conv2d",
    "ConvTranspose2d",
    "GroupedLinear",
    "Linear",
    "MatMul",
    "Recurrent",
    "convolution_row",
    "convolved_extents",
    "spread_extents",
]


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
        batch, channels, height, width = image(inputs[0], "Conv2d")
        if channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"Conv2d: {self.groups} groups do not divide {channels} inputs and {self.out_channels} outputs"
            )
        extents = convolved_extents((height, width), self.kernel, self.stride, self.padding, self.dilation)
        if min(extents) < 1:
            raise ValueError(f"Conv2d: kernel {self.kernel} is larger than the padded input {(height, width)}")
        return (batch, self.out_channels, *extents)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        batch, channels, _, _ = image(inputs[0], "Conv2d")
        _, _, out_h, out_w = output
        k = channels // self.groups * self.kernel[0] * self.kernel[1]
        n = self.out_channels // self.groups
        return convolution_row(self, Kind.CONV, inputs[0], output, m=batch * out_h * out_w, n=n, k=k)


@dataclass(frozen=True, slots=True)
class ConvTranspose2d:
    """Transposed convolution: every input pixel spreads a kernel of products over the output.

    The GEMM view is that of the executed product before its overlapping parts are added:
    m = batch in_h in_w positions, n = out_channels kernel_h kernel_w / groups, k = in_channels / groups.
    """

    out_channels: int
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int] = (0, 0)
    output_padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    bias: bool = True
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = image(inputs[0], "ConvTranspose2d")
        if channels % self.groups or self.out_channels % self.groups:
            raise ValueError(
                f"ConvTranspose2d: {self.groups} groups do not divide {channels} inputs and {self.out_channels} outputs"
            )
        extents = spread_extents((height, width), self.kernel, self.stride, self.padding, self.dilation)
        return (batch, self.out_channels, *map(sum, zip(extents, self.output_padding, strict=True)))

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        batch, channels, height, width = image(inputs[0], "ConvTranspose2d")
        m, k = batch * height * width, channels // self.groups
        n = self.out_channels // self.groups * self.kernel[0] * self.kernel[1]
        return convolution_row(self, Kind.CONV_TRANSPOSE, inputs[0], output, m=m, n=n, k=k)


def convolved_extents(
    extents: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Shape:
    """out = floor((in + 2 pad - dilation (kernel - 1) - 1) / stride) + 1 along every axis; < 1 where none fits."""
    axes = zip(extents, kernel, stride, padding, dilation, strict=True)
    return tuple((size + 2 * pad - reach * (taps - 1) - 1) // step + 1 for size, taps, step, pad, reach in axes)


def spread_extents(
    extents: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Shape:
    """out = (in - 1) stride - 2 pad + dilation (kernel - 1) + 1 along every axis, without output padding."""
    axes = zip(extents, kernel, stride, padding, dilation, strict=True)
    return tuple((size - 1) * step - 2 * pad + reach * (taps - 1) + 1 for size, taps, step, pad, reach in axes)


def convolution_row(
    operator: Conv2d | ConvTranspose2d, kind: Kind, source: Shape, output: Shape, *, m: int, n: int, k: int
) -> Row:
    """The window's geometry, and what follows from the GEMM view m, n, k of one group."""
    batch, channels, height, width = source
    weights = operator.groups * n * k
    return Row(
        kind=kind,
        batch=batch,
        groups=operator.groups,
        in_channels=channels,
        out_channels=operator.out_channels,
        in_h=height,
        in_w=width,
        out_h=output[2],
        out_w=output[3],
        kernel_h=operator.kernel[0],
        kernel_w=operator.kernel[1],
        stride_h=operator.stride[0],
        stride_w=operator.stride[1],
        pad_h=operator.padding[0],
        pad_w=operator.padding[1],
        dilation_h=operator.dilation[0],
        dilation_w=operator.dilation[1],
        m=m,
        n=n,
        k=k,
        macs=m * weights,
        weight_elements=weights,
        input_elements=prod(source),
        output_elements=prod(output),
        parameters=weights + (operator.out_channels if operator.bias else 0),
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
class GroupedLinear:
    """A stored matrix of its own for each group, without bias: (groups, m, k) -> (groups, m, n), as experts have."""

    out_features: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        groups, rows, _ = inputs[0]
        return (groups, rows, self.out_features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        groups, m, k = inputs[0]
        made = _product_row(Kind.LINEAR, groups, m=m, n=self.out_features, k=k)
        return made._replace(parameters=made.weight_elements)


def _product_row(kind: Kind, groups: int, *, m: int, n: int, k: int) -> Row:
    """(groups, m, k) times (groups, k, n)."""
    return Row(
        kind=kind,
        groups=groups,
        in_channels=k * groups,
        out_channels=n * groups,
        in_h=m,
        out_h=m,
        m=m,
        n=n,
        k=k,
        macs=groups * m * n * k,
        weight_elements=groups * n * k,
        input_elements=groups * m * k,
        output_elements=groups * m * n,
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
        made = _product_row(Kind.MATMUL, prod(left[:-2]), m=left[-2], n=right[-1], k=left[-1])
        return made._replace(batch=left[0], dynamic_operand=1)


@dataclass(frozen=True, slots=True)
class Attention:
    """softmax(Q K^T) V in one kernel that never writes the scores [Dao et al., NeurIPS 2022].

    Operands: query (..., m, d), transposed key (..., d, s) and value (..., s, v). Both products together are one
    GEMM view of k = d + v: m s d + m s v MACs. `score_passes` counts the elementwise passes over the scores, such
    as scale and mask, that the kernel absorbs beside the softmax. `query_heads` heads of queries stand one below the
    other in m and share a head of keys; `causal` and `window` say which scores a kernel may leave out (see `Row`).
    """

    score_passes: int = 0
    query_heads: int = field(default=1, metadata=JOINED)
    causal: bool = field(default=False, metadata=JOINED)
    window: int = field(default=0, metadata=JOINED)
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        query, key, value = inputs[:3]
        if not (query[:-2] == key[:-2] == value[:-2] and query[-1] == key[-2] and key[-1] == value[-2]):
            raise ValueError(f"Attention: {query}, {key} and {value} do not fit")
        if query[-2] % self.query_heads:
            raise ValueError(f"Attention: {self.query_heads} heads do not divide {query[-2]} rows of queries")
        return (*query[:-1], value[-1])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        query, key, value = inputs[:3]
        groups, m, n, k = prod(query[:-2]), query[-2], key[-1], query[-1] + value[-1]
        return Row(
            kind=Kind.ATTENTION,
            batch=query[0],
            groups=groups,
            in_channels=query[-1] * groups,
            out_channels=value[-1] * groups,
            in_h=m,
            out_h=m,
            m=m,
            n=n,
            k=k,
            macs=groups * m * n * k,
            vector_ops=groups * m * n * (5 + self.score_passes),
            weight_elements=groups * n * k,
            input_elements=groups * m * query[-1],
            output_elements=prod(output),
            dynamic_operand=1,
            query_heads=self.query_heads,
            causal=int(self.causal),
            window=self.window,
        )


@dataclass(frozen=True, slots=True)
class Recurrent:
    """One direction of an LSTM, GRU or Elman layer over (batch, time, features).

    Two bias vectors, as in torch and cuDNN, or none. `fed_back` features of the state come back to the next step, all
    `hidden` ones where it is None; fewer come back where a projection (a `Linear` of its own) follows. `backwards`
    reads the last step first; the states stand at their steps.
    """

    cell: Literal["lstm", "gru", "rnn"]
    hidden: int
    bias: bool = True
    fed_back: int | None = field(default=None, metadata=JOINED)
    backwards: bool = field(default=False, metadata=JOINED)
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, time, _ = inputs[0]
        return (batch, time, self.hidden)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        batch, time, features = inputs[0]
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[self.cell]
        n, k = gates * self.hidden, features + (self.fed_back or self.hidden)
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
            parameters=n * k + (2 * n if self.bias else 0),
            sequential_steps=time,
        )
