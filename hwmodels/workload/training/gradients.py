"""What the backward pass of one operator executes, as rows derived from the operator's own.

A product Y = X W has two gradients, dX = dY W^T and dW = X^T dY, of as many multiply-accumulates as Y each. A
convolution's dX is a convolution of dY with the flipped kernel where it keeps the size at stride 1, else a transposed
one; dW is the product of the patches of X with dY, but of a depthwise one a pass over both. Attention in one kernel
computes five products for the two of its forward pass, since it makes the scores anew [Dao et al., NeurIPS 2022,
algorithm 4]. What an operator reads again is what PyTorch keeps [pytorch: tools/autograd/derivatives.yaml]: the output
of relu, sigmoid, tanh, exp, sqrt and softmax, the input of the other functions, of normalisation and of a maximum.

Elementary operations of pointwise gradients are ASSUMED: those of the function and one product an element.

Not modelled: indices that max pooling writes down, sparse gradients of embeddings, second derivatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Node
from hwmodels.workload.ops import (
    Activation,
    Attention,
    Cache,
    Combine,
    Complex,
    Concat,
    Constant,
    Dispatch,
    Elementwise,
    Embedding,
    EmbeddingBag,
    Kind,
    MatMul,
    Norm,
    Operator,
    Pool2d,
    Row,
    Shape,
    Shared,
    Split,
    View,
)
from hwmodels.workload.ops.row import plain_row

__all__ = ["GRADIENT", "OUTPUT", "PARAMETERS", "Derived", "Part", "backward_parts", "differentiable"]

GRADIENT, OUTPUT, PARAMETERS = -1, -2, -3
"""What a part may read or make beside the inputs 0, 1, ...: the gradient of the output, the output, and weights."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A part of a training step: its row is `made`, whatever it reads."""

    what: str
    shape: Shape
    made: Row
    is_view: ClassVar[bool] = False

    def infer(self, *inputs: Shape) -> Shape:
        return self.shape

    def row(self, inputs: tuple[Shape, ...], output: Shape) -> Row:
        return self.made


class Part(NamedTuple):
    """One operator of a backward pass.

    what : a word for its name. makes : the inputs whose gradients it writes, or `PARAMETERS`. reads : inputs,
    `GRADIENT` or `OUTPUT`.
    """

    what: str
    makes: tuple[int, ...]
    reads: tuple[int, ...]
    operator: Operator


_PRODUCTS = (Kind.CONV, Kind.CONV_TRANSPOSE, Kind.LINEAR, Kind.RECURRENT)
_FROM_OUTPUT = ("relu", "sigmoid", "tanh", "exp", "sqrt", "rsqrt", "reciprocal")
_RECURRENT_PASSES = 2  # ASSUMED (1 to 3): gate derivatives and their sums for each pointwise operation forward


def differentiable(operator: Operator) -> bool:
    """Whether gradients pass through: comparisons have none."""
    return not (isinstance(operator, Elementwise) and operator.function == "compare")


def backward_parts(node: Node, row: Row | None, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]) -> list[Part]:
    """The backward pass of one operator, in the order in which it runs.

    Parameters
    ----------
    row : that of the node; None for a view. inputs : their shapes. wanted : whether the gradient of each is read.

    Raises
    ------
    SpecError : keys and values kept from earlier tokens, which no training step has.
    """
    operator = node.operator.operator if isinstance(node.operator, Shared | Complex) else node.operator
    if isinstance(operator, Cache):
        raise SpecError(f"training: {node.name}", "keys and values kept", "a network that reads whole sequences")
    if row is None:
        return _view_parts(node.shape, inputs, wanted)
    if row.kind in _PRODUCTS:
        return _product_parts(node, row, inputs, wanted)
    if isinstance(operator, Constant):
        return [Part("weights", (PARAMETERS,), (GRADIENT,), View(node.shape))]
    if isinstance(operator, Embedding | EmbeddingBag):
        return [_embedding_part(node, row)]
    if isinstance(operator, Norm):
        return _norm_parts(node, row, wanted)
    if isinstance(operator, MatMul):
        return _matmul_parts(row, inputs, wanted)
    if isinstance(operator, Attention):
        return _attention_parts(row, inputs, wanted)
    if isinstance(operator, Elementwise):
        return _elementwise_parts(operator, node.shape, inputs, wanted)
    if isinstance(operator, Dispatch):
        summed = _derived("sum over experts", Kind.ELEMENTWISE, (node.shape,), inputs[0], prod(node.shape))
        return [Part("input", (0,), (GRADIENT,), summed)] if wanted[0] else []
    if isinstance(operator, Combine):
        return _combine_parts(node.shape, inputs, wanted)
    if isinstance(operator, Concat):
        return _concat_parts(operator, inputs, node.shape, wanted)
    return _pointwise_parts(operator, node.shape, row, inputs, wanted)


def _derived(what: str, kind: int, reads: tuple[Shape, ...], shape: Shape, ops: int) -> Derived:
    return Derived(what, shape, plain_row(Kind(kind), reads, shape, vector_ops=ops))


def _reshaped(gradient: Shape, target: Shape) -> Operator:
    """The gradient of what was seen as `gradient`: the same elements, their sums where many, zeros where few."""
    if prod(gradient) == prod(target):
        return View(target)
    if prod(gradient) > prod(target):
        return _derived("sum", Kind.POOL, (gradient,), target, prod(gradient))
    return _derived("zeros around", Kind.COPY, (gradient,), target, 0)


def _view_parts(shape: Shape, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]) -> list[Part]:
    return [Part("input", (i,), (GRADIENT,), _reshaped(shape, source)) for i, source in enumerate(inputs) if wanted[i]]


def _product_parts(node: Node, row: Row, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]) -> list[Part]:
    """dX where it is wanted, dW = dY^T X, and the sum of dY over positions where there is a bias."""
    parts = []
    if wanted[0]:
        made = _input_gradient(row)
        parts.append(Part("input", (0,), (GRADIENT,), Derived("input gradient", inputs[0], made)))
    weights = (row.groups * row.n, row.k)
    made = _weight_gradient(row)
    # Gates of a recurrent layer are differentiated where its input gradient is, or here where that is not wanted.
    if row.kind == Kind.RECURRENT and not wanted[0]:
        made = made._replace(vector_ops=_RECURRENT_PASSES * row.vector_ops)
    parts.append(Part("weights", (PARAMETERS,), (GRADIENT, 0), Derived("weight gradient", weights, made)))
    biases = row.parameters - row.weight_elements
    if biases > 0:
        summed = _derived("bias gradient", Kind.POOL, (node.shape,), (biases,), prod(node.shape))
        parts.append(Part("bias", (PARAMETERS,), (GRADIENT,), summed))
    return parts


def _weight_gradient(row: Row) -> Row:
    """dW = dY^T X; of a depthwise convolution, whose windows no product holds, as a pass of its kind over both maps."""
    operands = {"input_elements": row.output_elements, "weight_elements": row.input_elements}
    if row.kind == Kind.CONV and 1 < row.groups == row.in_channels:
        both = row.input_elements + row.output_elements
        made = row._replace(input_elements=both, parameters=0, input_offchip=0, output_offchip=0)
    else:
        made = _matmul(row, m=row.n, n=row.k, k=row.m * row.sequential_steps)._replace(**operands)
    return made._replace(output_elements=row.weight_elements)


def _input_gradient(row: Row) -> Row:
    """dX = dY W^T of a product: outputs and inputs change places."""
    turned = row._replace(
        in_channels=row.out_channels,
        out_channels=row.in_channels,
        in_h=row.out_h,
        in_w=row.out_w,
        out_h=row.in_h,
        out_w=row.in_w,
        n=row.k,
        k=row.n,
        vector_ops=_RECURRENT_PASSES * row.vector_ops,
        input_elements=row.output_elements,
        output_elements=row.input_elements,
        parameters=0,
        input_offchip=0,
        output_offchip=0,
    )
    if row.kind == Kind.CONV_TRANSPOSE:
        return turned._replace(kind=Kind.CONV)
    if row.kind != Kind.CONV:
        return turned
    keeps_size = (row.in_h, row.in_w) == (row.out_h, row.out_w) and row.stride_h == row.stride_w == 1
    if not keeps_size:
        return turned._replace(kind=Kind.CONV_TRANSPOSE)
    taps = row.kernel_h * row.kernel_w
    return turned._replace(n=row.in_channels // row.groups, k=row.out_channels // row.groups * taps)


def _matmul(row: Row, *, m: int, n: int, k: int) -> Row:
    """A product of two computed operands, of as many groups and formats as `row`."""
    return Row(
        kind=Kind.MATMUL,
        batch=row.batch,
        groups=row.groups,
        in_channels=k * row.groups,
        out_channels=n * row.groups,
        in_h=m,
        out_h=m,
        m=m,
        n=n,
        k=k,
        macs=row.groups * m * n * k,
        weight_elements=row.groups * n * k,
        input_elements=row.groups * m * k,
        output_elements=row.groups * m * n,
        dynamic_operand=1,
    )


def _matmul_parts(row: Row, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]) -> list[Part]:
    """C = A B: dA = dC B^T and dB = A^T dC."""
    left = Derived("left gradient", inputs[0], _matmul(row, m=row.m, n=row.k, k=row.n))
    right = Derived("right gradient", inputs[1], _matmul(row, m=row.k, n=row.n, k=row.m))
    parts = (Part("left", (0,), (GRADIENT, 1), left), Part("right", (1,), (GRADIENT, 0), right))
    return [part for part in parts if wanted[part.makes[0]]]


def _attention_parts(row: Row, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]) -> list[Part]:
    """Of S = Q K^T, P = softmax(S), O = P V: S anew, dV, dP, dQ, dK; m s (3 d + 2 v) MACs a group."""
    width = inputs[0][-1]
    value_width = row.k - width
    k = 3 * width + 2 * value_width
    gradients = sum(prod(shape) for shape in inputs[:3])
    made = row._replace(
        k=k,
        macs=row.groups * row.m * row.n * k,
        vector_ops=2 * row.vector_ops,
        input_elements=row.input_elements + 2 * row.output_elements,
        output_elements=gradients,
        input_offchip=0,
        output_offchip=0,
    )
    makes = tuple(i for i in range(3) if wanted[i])
    reads = (GRADIENT, OUTPUT, 0, 1, 2)
    return [Part("operands", makes, reads, Derived("attention gradient", (gradients,), made))] if makes else []


def _embedding_part(node: Node, row: Row) -> Part:
    """A table of zeros, and the rows that were read summed into it."""
    table = (row.parameters,)
    made = _derived("table gradient", Kind.EMBEDDING, (node.shape,), table, prod(node.shape))
    made_row = made.made._replace(in_channels=row.in_channels, in_h=row.in_h)
    return Part("weights", (PARAMETERS,), (GRADIENT, 0), Derived(made.what, table, made_row))


def _norm_parts(node: Node, row: Row, wanted: tuple[bool, ...]) -> list[Part]:
    """Two passes over X and dY: their sums, which are the gradients of scale and shift, then dX."""
    shape, size = node.shape, prod(node.shape)
    sums = (max(row.parameters, 1),)
    parts = [Part("weights", (PARAMETERS,), (GRADIENT, 0), _derived("sums", Kind.POOL, (shape, shape), sums, 4 * size))]
    if wanted[0]:
        made = _derived("input gradient", Kind.NORM, (shape, shape), shape, 5 * size)
        parts.append(Part("input", (0,), (GRADIENT, 0), made))
    return parts


def _elementwise_parts(
    operator: Elementwise, shape: Shape, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]
) -> list[Part]:
    """Sums pass their gradient on; a product's is times its other operands. An operand that was broadcast is summed."""
    parts = []
    for i, source in enumerate(inputs):
        if not wanted[i] or (operator.function == "where" and i == 0):
            continue
        if operator.function in ("add", "sub"):
            parts.append(Part(f"input{i}", (i,), (GRADIENT,), _reshaped(shape, source)))
            continue
        reads = _read_again(operator.function, i, len(inputs))
        ops = prod(shape) * (max(len(reads), 1) + (prod(source) < prod(shape)))
        made = _derived("gradient", Kind.ELEMENTWISE, (shape, *(inputs[j] for j in reads)), source, ops)
        parts.append(Part(f"input{i}", (i,), (GRADIENT, *reads), made))
    return parts


def _read_again(function: str, i: int, operands: int) -> tuple[int, ...]:
    """The operands that the gradient of operand i reads; none where the other one is a scalar."""
    if function == "mul":
        return tuple(j for j in range(operands) if j != i)
    if function == "where":
        return (0,)
    if function == "div" and i == 0:
        return (1,) if operands > 1 else ()
    return tuple(range(operands))


def _combine_parts(shape: Shape, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]) -> list[Part]:
    """Of y = sum g_e r_e: dr_e = g_e dy, and dg_e = r_e dy, a dot product a row; the shares' by way of g."""
    rows, shares = inputs
    of_rows = _derived("gradient of rows", Kind.ELEMENTWISE, (shape, shares), rows, prod(rows))
    of_shares = _derived("gradient of shares", Kind.ELEMENTWISE, (shape, rows), shares, 2 * prod(rows))
    parts = (Part("rows", (0,), (GRADIENT, 1), of_rows), Part("shares", (1,), (GRADIENT, 0), of_shares))
    return [part for part in parts if wanted[part.makes[0]]]


def _concat_parts(operator: Concat, inputs: tuple[Shape, ...], shape: Shape, wanted: tuple[bool, ...]) -> list[Part]:
    """Parts of the gradient, without a copy; a constant that joined a whole batch is summed over it."""
    axis = range(len(shape))[operator.axis]
    parts, start = [], 0
    for i, source in enumerate(inputs):
        length = source[axis]
        if wanted[i]:
            seen = (*shape[:axis], length, *shape[axis + 1 :])
            made = Split(axis, start, length) if prod(seen) == prod(source) else _reshaped(seen, source)
            parts.append(Part(f"input{i}", (i,), (GRADIENT,), made))
        start += length
    return parts


def _pointwise_parts(
    operator: Operator, shape: Shape, row: Row, inputs: tuple[Shape, ...], wanted: tuple[bool, ...]
) -> list[Part]:
    """Everything that reads the gradient once, and what it kept of the forward pass, and writes once."""
    if not inputs or not wanted[0]:
        return []
    kept = _kept(operator)
    shapes = tuple(shape if read in (GRADIENT, OUTPUT) else inputs[read] for read in (GRADIENT, *kept))
    if isinstance(operator, Pool2d):  # a maximum's place is read beside its gradient, not the map that it was found in
        shapes = (shape,) * len(shapes)
    ops = row.vector_ops + (prod(shape) if kept else 0)
    parts = [Part("input", (0,), (GRADIENT, *kept), _derived("gradient", row.kind, shapes, inputs[0], ops))]
    if row.parameters:  # slopes of a rectifier, weights of what is not known
        summed = _derived("weight gradient", Kind.POOL, (shape, inputs[0]), (row.parameters,), prod(shape))
        parts.append(Part("weights", (PARAMETERS,), (GRADIENT, 0), summed))
    return parts


def _kept(operator: Operator) -> tuple[int, ...]:
    """What of the forward pass the gradient of a pointwise operator, a pooling or a softmax reads."""
    name = type(operator).__name__
    if isinstance(operator, Activation):
        return () if operator.function == "neg" else (OUTPUT,) if operator.function in _FROM_OUTPUT else (0,)
    if name == "Softmax":
        return (OUTPUT,)
    keeps_input = getattr(operator, "mode", "") in ("max", "min", "norm") or name == "Unknown"
    return (0,) if keeps_input else ()
