"""Cells of searched networks: two inputs, a few combinations of two operations, a concatenation.

A cell is written in short form: `sep5:0 max3:1` is one combination, the sum of a separable 5x5 convolution of state 0
and a max pooling of state 1; commas part the combinations, each of which is the next state, 2 and up. In a cell of
stride two the operations on the inputs, states 0 and 1, take the stride.
"""

from __future__ import annotations

from typing import NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, Norm, Pool2d, Rearrange, Split

__all__ = ["Cell", "Genotype", "Term", "cell", "factorised_reduction", "relu_conv_norm", "write_cell"]


class Term(NamedTuple):
    """An operation on one of the states before."""

    operation: str
    state: int


class Cell(NamedTuple):
    """Combinations of two terms each, and the states that the output concatenates."""

    combinations: tuple[tuple[Term, Term], ...]
    joined: tuple[int, ...]


class Genotype(NamedTuple):
    """A searched pair of cells."""

    normal: Cell
    reduction: Cell


def cell(text: str, *joined: int) -> Cell:
    """A cell from its short form and the states that its output concatenates.

    >>> cell("sep3:0 skip:1, max3:2 skip:0", 2, 3).combinations[1]
    (Term(operation='max3', state=2), Term(operation='skip', state=0))
    """
    combinations = []
    for part in text.split(","):
        left, right = (Term(name, int(state)) for name, _, state in (word.partition(":") for word in part.split()))
        combinations.append((left, right))
    return Cell(tuple(combinations), joined)


def write_cell(net: Builder, first: str, second: str, cell: Cell, *, channels: int, stride: int = 1) -> str:
    """Write a cell behind its inputs, states 0 and 1; every operation gives `channels`."""
    states = [first, second]
    for combination in cell.combinations:
        left, right = (
            _operation(net, states[term.state], term.operation, channels, stride if term.state < 2 else 1)
            for term in combination
        )
        states.append(net.residual(left, right))
    return net.add(Concat(axis=1), *(states[index] for index in cell.joined))


def _operation(net: Builder, x: str, name: str, channels: int, stride: int) -> str:
    kernel = int(name[-1]) if name[-1].isdigit() else 0
    match name.rstrip("0123456789"):
        case "skip":  # DARTS: the identity, or a factorised reduction
            return x if stride == 1 else factorised_reduction(net, x, channels)
        case "keep":  # NASNet: the identity, or a projection
            same = stride == 1 and net.shape(x)[1] == channels
            return x if same else relu_conv_norm(net, x, channels, stride=stride)
        case "avg":
            return _pooled(net, x, Pool2d("avg", kernel, stride, kernel // 2), channels)
        case "max":
            return _pooled(net, x, Pool2d("max", kernel, stride, kernel // 2), channels)
        case "sep":
            x = _depthwise_separable(net, x, kernel, channels, stride=stride)
            return _depthwise_separable(net, x, kernel, channels)
        case "dil":
            return _depthwise_separable(net, x, kernel, channels, stride=stride, dilation=2)
        case "conv":
            return _factorised_convolution(net, x, kernel, channels, stride)
        case other:
            raise SpecError.unknown("operation", other, ("skip", "keep", "avg", "max", "sep", "dil", "conv"))


def relu_conv_norm(net: Builder, x: str, channels: int, *, stride: int = 1) -> str:
    """ReLU, 1x1 convolution, batch norm."""
    return net.conv_norm_act(net.add(Activation("relu"), x), channels, 1, stride=stride, activation=None)


def _depthwise_separable(
    net: Builder, x: str, kernel: int, channels: int, *, stride: int = 1, dilation: int = 1
) -> str:
    entering = net.shape(x)[1]
    depthwise = Conv2d.square(entering, kernel, stride=stride, dilation=dilation, groups=entering)
    x = net.add(depthwise, net.add(Activation("relu"), x))
    return net.conv_norm_act(x, channels, 1, activation=None)


def _pooled(net: Builder, x: str, pool: Pool2d, channels: int) -> str:
    """A 1x1 convolution behind the pooling where the channels differ."""
    x = net.add(pool, x)
    return x if net.shape(x)[1] == channels else net.conv_norm_act(x, channels, 1, activation=None)


def _factorised_convolution(net: Builder, x: str, kernel: int, channels: int, stride: int) -> str:
    """1 x k then k x 1 within a bottleneck of a quarter of the channels."""
    x = relu_conv_norm(net, x, channels // 4)
    half = kernel // 2
    across = Conv2d(channels // 4, (1, kernel), (1, stride), (0, half), bias=False)
    down = Conv2d(channels // 4, (kernel, 1), (stride, 1), (half, 0), bias=False)
    for convolution in (across, down):
        x = net.add(Norm("batch"), net.add(convolution, net.add(Activation("relu"), x)))
    return relu_conv_norm(net, x, channels)


def factorised_reduction(net: Builder, x: str, channels: int) -> str:
    """Halve the size without leaving pixels out: two strided 1x1 convolutions, one of them shifted by a pixel."""
    x = net.add(Activation("relu"), x)
    _, _, height, width = net.shape(x)
    if height % 2 or width % 2:  # the shifted half needs a border that the input does not have
        shifted = net.add(Rearrange("shift by one pixel", net.shape(x)), x)
    else:
        shifted = net.add(Split(3, 1, width - 1), net.add(Split(2, 1, height - 1), x))
    halves = [
        net.add(Conv2d.square(part, 1, stride=2), source)
        for part, source in ((channels // 2, x), (channels - channels // 2, shifted))
    ]
    return net.add(Norm("batch"), net.add(Concat(axis=1), *halves))
