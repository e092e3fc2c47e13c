"""Arrays of weights by indices of their channels: replicated with division, grouped, padded, the identity.

An index says which of the parent's channels each of the child's stands for, see `codesign.network.morphism.channels`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.network.morphism.channels import Index
from hwmodels.workload import ops
from hwmodels.workload.graph import Node

__all__ = ["Array", "fitted", "grouped", "identity", "reads_its_place", "same_settings", "shared"]

Array = npt.NDArray[Any]


def shared(
    weights: Array, leaving: Index, entering: Index, rng: np.random.Generator, noise: float
) -> tuple[Array, bool]:
    """Weights (O, I, ...) by indices of both axes, and whether every channel that the parent reads is read.

    w'[o, i] = w[leaving o, entering i] u[o, i] / (sum of u[o, j] over all j that stand for the same channel)

    with u = 1, or drawn from [1 - noise, 1 + noise]. So the parts of a channel sum to its weight whatever the noise.

    >>> taken, whole = shared(np.array([[6.0, 1.0]]), np.array([0]), np.array([0, 1, 0]), np.random.default_rng(0), 0.0)
    >>> taken.tolist(), whole
    ([[3.0, 1.0, 3.0]], True)
    """
    known = entering >= 0
    parts = np.ones((len(leaving), len(entering)))
    if noise:
        parts += noise * rng.uniform(-1.0, 1.0, parts.shape)
    total = np.zeros((len(leaving), weights.shape[1]))
    np.add.at(total.T, entering[known], parts.T[known])
    share = np.zeros_like(parts)
    share[:, known] = parts[:, known] / total[:, entering[known]]
    taken = weights[leaving][:, np.where(known, entering, 0)]
    taken = taken * share.reshape(*share.shape, *([1] * (weights.ndim - 2)))
    return taken.astype(weights.dtype), len(np.unique(entering[known])) == weights.shape[1]


def grouped(
    weights: Array, leaving: Index, entering: Index, groups: int, rng: np.random.Generator, noise: float
) -> tuple[Array, bool]:
    """The same of a convolution in groups, (O, I / groups, ...); not whole where channels leave their group."""
    blocks, whole, reach = [], True, weights.shape[1]
    parents, made, read = np.split(weights, groups), np.split(leaving, groups), np.split(entering, groups)
    for group, (block, rows, columns) in enumerate(zip(parents, made, read, strict=True)):
        own = columns // reach == group
        stays = bool((own | (columns < 0)).all()) and bool((rows // len(block) == group).all())
        taken, covered = shared(block, rows % len(block), np.where(own, columns % reach, -1), rng, noise)
        blocks.append(taken)
        whole &= stays and covered
    return np.concatenate(blocks), whole


def identity(like: Array, leaving: Index, entering: Index, groups: int) -> Array | None:
    """Weights of ones with which each output repeats an input that stands for the same; None where one has none.

    like : weights (O, I / groups, ...) of that shape.
    """
    rows, columns = len(leaving) // groups, len(entering) // groups
    made, middle = np.zeros_like(like), tuple(extent // 2 for extent in like.shape[2:])
    for place, channel in enumerate(leaving):
        low = place // rows * columns
        found = np.flatnonzero(entering[low : low + columns] == channel)
        if not len(found):
            return None
        made[(place, place - low if place - low in found else found[0], *middle)] = 1
    return made


def fitted(weights: Array, kernel: tuple[int, ...]) -> Array:
    """Kernels (O, I, H, W) in the middle of larger ones of zeros, or the middle of them."""
    for axis, size in enumerate(kernel, start=2):
        grown = size - weights.shape[axis]
        before = abs(grown) // 2
        if grown >= 0:
            widths = [(0, 0)] * weights.ndim
            widths[axis] = (before, grown - before)
            weights = np.pad(weights, widths)
        else:
            weights = weights.take(np.arange(before, before + size), axis=axis)
    return weights


def same_settings(node: Node, was: Node) -> bool:
    """Whether two operators do the same with fitting weights, apart from how many channels they take and make."""
    operator, known = node.operator, was.operator
    if isinstance(operator, ops.Conv2d) and isinstance(known, ops.Conv2d):
        geometry = zip(operator.kernel, known.kernel, operator.padding, known.padding, operator.dilation, strict=True)
        # Tap t of the parent's kernel is tap t + (k - o) / 2 of the child's, and must read the same pixel.
        fits = all(k >= o and p - q == (k - o) // 2 * d for k, o, p, q, d in geometry)
        return fits and (operator.stride, operator.dilation) == (known.stride, known.dilation)
    if isinstance(operator, ops.ConvTranspose2d) and isinstance(known, ops.ConvTranspose2d):
        names = ("kernel", "stride", "padding", "output_padding", "dilation", "groups")
        return all(getattr(operator, name) == getattr(known, name) for name in names)
    if isinstance(operator, ops.Rearrange) and isinstance(known, ops.Rearrange):
        return operator.what == known.what
    if isinstance(operator, ops.Linear | ops.Reshape | ops.Split):
        return True  # what they make of channels is `codesign.network.morphism.channels.decided`
    return operator == known


def reads_its_place(operator: ops.Operator) -> bool:
    """Whether the middle tap of a kernel reads the pixel that the output stands at."""
    if not isinstance(operator, ops.Conv2d):
        return True
    axes = zip(operator.kernel, operator.padding, operator.dilation, strict=True)
    return operator.stride == (1, 1) and all(k % 2 == 1 and p == d * (k // 2) for k, p, d in axes)
