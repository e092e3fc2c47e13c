"""A layer as a cost model sees it: the kinds, the bits and the integer row that every operator writes.

Counting conventions: 1 MAC = 1 (= 2 FLOP). Convolution, linear, recurrent and attention matrix products are
counted as MACs; every other operator is a row of its own with `vector_ops` elementary operations. Parameters
include biases and the affine pair of a normalisation (2C), not running statistics. Shapes carry the batch first:
(B, C, H, W) for images, (B, T, D) for sequences.
"""

from __future__ import annotations

from enum import IntEnum
from math import prod
from typing import NamedTuple, Protocol

__all__ = ["JOINED", "Kind", "Operator", "Precision", "Row", "Shape", "channels_of", "image", "plain_row", "volume"]

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
    CONV_TRANSPOSE = 12
    ATTENTION = 13
    CACHE = 14
    UNKNOWN = 15


JOINED = {"joined": True}
"""Metadata of an operator's field that came after weights had been trained: at its default it is no part of what they
are known by, so that they are found again."""


class Precision(NamedTuple):
    """Bits and formats of one operator's weights and activations, bits of its accumulators; they are the network's.

    A format is a code of `hwmodels.workload.formats`; 0 says that the width decides.
    """

    weight_bits: int = 8
    activation_bits: int = 8
    accumulator_bits: int = 32
    weight_format: int = 0
    activation_format: int = 0


class Row(NamedTuple):
    """One layer as a cost model sees it: integers only; equal rows are one row of the table.

    `m, n, k` is the GEMM view of ONE group and ONE sequential step: (m x k) times (k x n), with m output positions
    (batch included), n outputs a group, k the reduction length. For rows with arithmetic on an array,
    ``macs == groups * m * n * k * sequential_steps``; for all others macs, m, n and k are 0.
    `weight_elements` is the second operand of the product (no bias), stored weights unless `dynamic_operand`;
    `parameters` counts what is stored, biases and affine pairs included. `vector_ops` counts elementary
    non-MAC operations. `input_offchip` and `output_offchip` mark the first and the last layer. The formats are codes
    of `hwmodels.workload.formats`, 0 where the width decides.

    Of attention in one kernel alone: `query_heads` heads of queries share the keys of a group and stand one below the
    other in m; where it is `causal`, a query sees no key behind its own place, the last query standing at the last key;
    `window` is how many keys a query sees at most, 0 for all. MACs count the whole m x n scores all the same.
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
    weight_format: int = 0
    activation_format: int = 0
    query_heads: int = 1
    causal: int = 0
    window: int = 0


class Operator(Protocol):
    """What every operator answers; `is_view` operators move no data and make no row."""

    @property
    def is_view(self) -> bool: ...

    def infer(self, *inputs: Shape) -> Shape:
        """Output shape; raises ValueError with one clear line when the inputs do not fit."""

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row: ...


def image(shape: Shape, name: str) -> tuple[int, int, int, int]:
    """The four extents of an image; ValueError where `shape` is none."""
    if len(shape) != 4:
        raise ValueError(f"{name} takes (batch, channels, height, width), got {shape}")
    return shape


def volume(shape: Shape, name: str) -> tuple[int, int, int, int, int]:
    """The five extents of a volume; ValueError where `shape` is none."""
    if len(shape) != 5:
        raise ValueError(f"{name} takes (batch, channels, depth, height, width), got {shape}")
    return shape


def channels_of(shape: Shape) -> int:
    """Channels of an image or a volume, features of a sequence."""
    if not shape:
        return 1
    return shape[1] if len(shape) in (4, 5) else shape[-1]


def _height_and_width(shape: Shape) -> tuple[int, int]:
    """Of an image; a volume has its depth folded into the height, a sequence its tokens as height."""
    return (prod(shape[2:-1]), shape[-1]) if len(shape) in (4, 5) else (prod(shape[1:-1]), 1)


def plain_row(kind: Kind, inputs: tuple[Shape, ...], output: Shape, *, vector_ops: int, parameters: int = 0) -> Row:
    """A row without MACs: everything that reads its inputs once and writes its output once."""
    first = inputs[0] if inputs else output
    in_h, in_w = _height_and_width(first)
    out_h, out_w = _height_and_width(output)
    return Row(
        kind=kind,
        batch=output[0] if len(output) > 1 else 1,
        in_channels=channels_of(first),
        out_channels=channels_of(output),
        in_h=in_h,
        in_w=in_w,
        out_h=out_h,
        out_w=out_w,
        vector_ops=vector_ops,
        input_elements=sum(prod(shape) for shape in inputs),
        output_elements=prod(output),
        parameters=parameters,
    )
