"""Operators that move data, store it, or only look at it in another way; views make no row."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from hwmodels.workload.ops.row import Kind, Row, Shape, image, plain_row

__all__ = [
    "Cache",
    "Concat",
    "Constant",
    "Embedding",
    "EmbeddingBag",
    "Permute",
    "PixelShuffle",
    "Rearrange",
    "Resample",
    "Reshape",
    "Scatter",
    "Select",
    "Sort",
    "Split",
    "Unknown",
    "Upsample",
    "View",
    "Zeros",
]


@dataclass(frozen=True, slots=True)
class Embedding:
    """Table look-up: (batch, tokens) -> (batch, tokens, features). Traffic is the rows read, not the table."""

    entries: int
    features: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return (*inputs[0], self.features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        row = plain_row(Kind.EMBEDDING, inputs, output, vector_ops=0, parameters=self.entries * self.features)
        return row._replace(in_channels=self.entries, in_h=prod(inputs[0][1:]), input_elements=prod(output))


@dataclass(frozen=True, slots=True)
class EmbeddingBag:
    """Table look-up and a sum, mean or maximum of what each of `bags` looks up: (...) indices -> (bags, features).

    Traffic is the rows read, not the table.
    """

    entries: int
    features: int
    bags: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return (self.bags, self.features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        read = prod(inputs[0]) * self.features
        row = plain_row(Kind.EMBEDDING, inputs, output, vector_ops=read, parameters=self.entries * self.features)
        return row._replace(in_channels=self.entries, in_h=prod(inputs[0]), in_w=1, input_elements=read)


@dataclass(frozen=True, slots=True)
class Constant:
    """A learned tensor without input: class token, position embedding. Moves data only where it is used."""

    shape: Shape
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.COPY, (), output, vector_ops=0, parameters=prod(self.shape))._replace(
            input_elements=0, output_elements=0
        )


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys or values of attention kept from earlier tokens: (batch, heads, new, d) -> (batch, heads, past + new, d).

    Moves the new tokens only; what is kept is `out_h` tokens of `out_channels` features a sequence.
    """

    past: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, heads, new, features = image(inputs[0], "Cache")
        return (batch, heads, self.past + new, features)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        batch, heads, new, features = inputs[0]
        row = plain_row(Kind.CACHE, inputs, inputs[0], vector_ops=0)
        width = heads * features
        return row._replace(
            batch=batch, in_channels=width, out_channels=width, in_h=new, in_w=1, out_h=output[2], out_w=1
        )


@dataclass(frozen=True, slots=True)
class Zeros:
    """A tensor of zeros without input: what a cell's node holds when every edge into it is `none`."""

    shape: Shape
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Upsample:
    """Nearest or bilinear resampling by an integer factor, or to `size` (height, width)."""

    factor: int = 2
    mode: Literal["nearest", "bilinear"] = "nearest"
    size: tuple[int, int] | None = None
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = image(inputs[0], "Upsample")
        return (batch, channels, *(self.size or (height * self.factor, width * self.factor)))

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        ops = prod(output) * (0 if self.mode == "nearest" else 7)  # 4 products, 3 sums
        return plain_row(Kind.RESAMPLE, inputs, output, vector_ops=ops)


@dataclass(frozen=True, slots=True)
class Resample:
    """Every output is a weighted sum of `taps` inputs: bicubic and trilinear resampling, sampling at computed points.

    The first operand is the map, further ones say where to sample it. Taps multiply, and all but one are summed.
    """

    what: str
    shape: Shape
    taps: int = 1
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        ops = prod(output) * (2 * self.taps - 1 if self.taps > 1 else 0)
        return plain_row(Kind.RESAMPLE, inputs, output, vector_ops=ops)


@dataclass(frozen=True, slots=True)
class PixelShuffle:
    """(B, C r², H, W) -> (B, C, rH, rW): pure data movement."""

    factor: int
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        batch, channels, height, width = image(inputs[0], "PixelShuffle")
        if channels % self.factor**2:
            raise ValueError(f"PixelShuffle: {channels} channels are not a multiple of {self.factor**2}")
        return (batch, channels // self.factor**2, height * self.factor, width * self.factor)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.RESAMPLE, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Concat:
    """Join along `axis`: a copy."""

    axis: int = 1
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        first = inputs[0]
        axis = range(len(first))[self.axis]
        for shape in inputs[1:]:
            if len(shape) != len(first) or any(
                a != b and not (i == 0 and 1 in (a, b))  # a constant of batch 1 joins any batch
                for i, (a, b) in enumerate(zip(first, shape, strict=True))
                if i != axis
            ):
                raise ValueError(f"Concat: shapes {inputs} differ outside axis {axis}")
        joined = list(map(max, zip(*inputs, strict=True)))
        joined[axis] = sum(shape[axis] for shape in inputs)
        return tuple(joined)

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Rearrange:
    """A copy into another place or shape that no view can express: pad, roll, gather, strided slice, repeat.

    It reads what it needs: never more elements than it writes, nor than it is given.
    """

    what: str
    shape: Shape
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        row = plain_row(Kind.COPY, inputs, output, vector_ops=0)
        return row._replace(input_elements=min(row.input_elements, row.output_elements))


@dataclass(frozen=True, slots=True)
class Scatter:
    """Elements of the last operand summed (or compared) into places of the result: overlapping windows, indexed sums.

    One elementary operation for each element that is brought in; the operands are read once, the result written once.
    """

    what: str
    shape: Shape
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.ELEMENTWISE, inputs, output, vector_ops=prod(inputs[-1]))


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of the elements along an axis, all of it or its first few: N log2(N) comparisons (ASSUMED).

    `extent` is the length of what is ordered, `shape` that of the result.
    """

    extent: int
    shape: Shape
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        comparisons = prod(inputs[0]) * max((self.extent - 1).bit_length(), 1)
        return plain_row(Kind.ELEMENTWISE, inputs, output, vector_ops=comparisons)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An operator outside this vocabulary, counted as data movement: inputs and weights read, output written."""

    what: str
    shape: Shape
    parameters: int = 0
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        row = plain_row(Kind.UNKNOWN, inputs, output, vector_ops=0, parameters=self.parameters)
        return row._replace(weight_elements=self.parameters)


@dataclass(frozen=True, slots=True)
class View:
    """The same storage read in another way: broadcast, cast in place, a further output of an operator."""

    shape: Shape
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Split:
    """One contiguous part [start, start + length) along `axis`: a view."""

    axis: int
    start: int
    length: int
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        axis, stop = range(len(shape))[self.axis], self.start + self.length
        if stop > shape[axis]:
            raise ValueError(f"Split: [{self.start}, {stop}) is outside {shape[axis]} elements")
        return (*shape[:axis], self.length, *shape[axis + 1 :])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)


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
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)


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
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)


@dataclass(frozen=True, slots=True)
class Select:
    """One index along `axis`, as the class token or the last time step: a view that drops the axis."""

    axis: int
    index: int = 0
    is_view: ClassVar[bool] = True

    def infer(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        axis = range(len(shape))[self.axis]
        if not -shape[axis] <= self.index < shape[axis]:
            raise ValueError(f"Select: {self.index} is outside {shape[axis]} elements")
        return (*shape[:axis], *shape[axis + 1 :])

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return plain_row(Kind.COPY, inputs, output, vector_ops=0)
