"""A loop nest as an operator: which loops index the weights, the data and the result says what it computes.

A loop that all three have is a group, one of data and weights is summed over, one of weights and result makes output
channels, one of data and result makes rows, items or positions. Where the data are indexed by a sum of two loops
(stride x position + dilation x tap) the nest slides a window: a convolution, or a pool where the weights have nothing
but taps. A nest without windows is a matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from hwmodels.errors import SpecError
from hwmodels.workload.from_layer_list.layer import Layer
from hwmodels.workload.ops import Conv2d, Linear, MatMul, Pool2d, Precision, Shape

__all__ = ["Nest", "Window", "layer_of"]

_BATCH = frozenset("BN")


@dataclass(frozen=True, slots=True)
class Window:
    """An axis of the data: index = stride x position + dilation x tap - padding."""

    position: str
    tap: str
    stride: int = 1
    dilation: int = 1
    padding: int = 0


@dataclass(frozen=True, slots=True)
class Nest:
    """A loop nest.

    sizes : iterations by loop.
    weights, data, result : the loops that index each of them; those of windows count for the data.
    windows : along the height and along the width.
    is_stored : whether the weights are parameters rather than computed by another layer.
    sources : as of `Layer`.
    """

    name: str
    sizes: Mapping[str, int]
    weights: frozenset[str]
    data: frozenset[str]
    result: frozenset[str]
    windows: tuple[Window, ...]
    precision: Precision
    where: str
    is_stored: bool = True
    sources: tuple[str | None, ...] = (None,)
    pool: str = "max"


def layer_of(nest: Nest) -> Layer:
    """The layer that a nest computes.

    Raises
    ------
    SpecError : a loop of one tensor alone, more than two windows.
    """
    for loop in nest.sizes:
        tensors = sum(loop in indices for indices in (nest.weights, nest.data, nest.result))
        is_tap = any(loop == window.tap for window in nest.windows)
        if tensors < 2 and not is_tap and nest.sizes[loop] > 1:
            raise SpecError(nest.where, f"loop {loop}", "one that two of weights, data and result have")
    if len(nest.windows) > 2:
        raise SpecError(nest.where, f"{len(nest.windows)} windows", "at most two, along height and width")
    return _windowed(nest) if nest.windows else _product(nest)


def _size(nest: Nest, loops: frozenset[str]) -> int:
    return prod(nest.sizes[loop] for loop in loops)


def _windowed(nest: Nest) -> Layer:
    """A convolution, or a pool."""
    taps = frozenset(window.tap for window in nest.windows)
    rows = (nest.data & nest.result) - nest.weights - {window.position for window in nest.windows}
    batch = _size(nest, rows & _BATCH)
    windows = (*(Window("", ""),) * (2 - len(nest.windows)), *nest.windows)
    sizes = {"": 1, **nest.sizes}
    kernel, stride, dilation, padding = (
        (pair[0], pair[1])
        for pair in zip(*((sizes[w.tap], w.stride, w.dilation, w.padding) for w in windows), strict=True)
    )
    image = tuple(
        (sizes[w.position] - 1) * w.stride + (sizes[w.tap] - 1) * w.dilation + 1 - 2 * w.padding for w in windows
    )
    if not nest.weights - taps:  # of weights that have nothing but taps, if there are any
        shape: Shape = (batch, _size(nest, rows - _BATCH), *image)
        pool = Pool2d("avg" if nest.pool == "avg" else "max", kernel, stride, padding)
        return Layer(nest.name, pool, (shape,), nest.precision, nest.where, nest.sources[:1])
    groups = _size(nest, nest.data & nest.result & nest.weights)
    depth = _size(nest, (nest.data & nest.weights) - nest.result - taps)
    filters = _size(nest, (nest.weights & nest.result) - nest.data)
    batch *= _size(nest, rows - _BATCH)
    operator = Conv2d(groups * filters, kernel, stride, padding, dilation, groups, bias=False)
    shape = (batch, groups * depth, *image)
    return Layer(nest.name, operator, (shape,), nest.precision, nest.where, nest.sources[:1])


def _product(nest: Nest) -> Layer:
    """A linear layer, one for each group, or a product of two computed operands."""
    rows = (nest.data & nest.result) - nest.weights
    groups = _size(nest, nest.data & nest.result & nest.weights)
    k = _size(nest, (nest.data & nest.weights) - nest.result)
    n = _size(nest, (nest.weights & nest.result) - nest.data)
    batch, m = _size(nest, rows & _BATCH), _size(nest, rows - _BATCH)
    if not nest.is_stored:
        shapes = ((groups, batch * m, k), (groups, k, n))
        return Layer(nest.name, MatMul(), shapes, nest.precision, nest.where, nest.sources)
    if groups > 1:
        operator = Conv2d(groups * n, (1, 1), (1, 1), (0, 0), (1, 1), groups, bias=False)
        shape: Shape = (batch, groups * k, m, 1)
        return Layer(nest.name, operator, (shape,), nest.precision, nest.where, nest.sources[:1])
    shape = (batch, k) if m == 1 else (batch, m, k)
    return Layer(nest.name, Linear(n, bias=False), (shape,), nest.precision, nest.where, nest.sources[:1])
