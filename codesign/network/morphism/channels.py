"""Which channels of a parent the channels of its child repeat.

A child's tensor stands for a tensor of its parent by an index: channel c is the parent's channel index[c], or none
where that is -1. A convolution or linear layer may take any index for what it makes [Net2WiderNet: Chen et al., ICLR
2016]; normalisations, activations, poolings, depthwise convolutions and sums hand on the index of what they read, so
that all tensors which they tie together share one; concatenations, channel shuffles, splits and flattenings decide
theirs by those of their operands. Channels behind those of the parent repeat random ones of it, within each group of a
grouped convolution. A narrower tensor keeps the first ones.

Not modelled: heads of attention, gates of recurrent layers, tensors of five axes. They keep their sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm, prod

import numpy as np
import numpy.typing as npt

from hwmodels.workload import ops
from hwmodels.workload.graph import Node, Workload
from hwmodels.workload.ops.row import channels_of

__all__ = [
    "SHUFFLE",
    "Channels",
    "Index",
    "decided",
    "groups_of",
    "is_depthwise",
    "is_flattening",
    "is_identity",
    "overlap",
    "tied",
    "ties",
]

Index = npt.NDArray[np.int64]

SHUFFLE = "channel shuffle"
"""What a `Rearrange` of two groups is called, see `codesign.network.module`."""


def is_depthwise(workload: Workload, node: Node) -> bool:
    """Whether a convolution has one filter a channel; with one channel it is a plain one."""
    operator = node.operator
    return (
        isinstance(operator, ops.Conv2d)
        and operator.groups == operator.out_channels == workload[node.inputs[0]].shape[1] > 1
    )


def groups_of(workload: Workload, node: Node) -> int:
    """Groups of a convolution that is no depthwise one; 1 of everything else."""
    operator = node.operator
    if isinstance(operator, ops.Conv2d | ops.ConvTranspose2d) and not is_depthwise(workload, node):
        return operator.groups
    return 1


def is_flattening(workload: Workload, node: Node) -> bool:
    """Whether a reshape makes features of an image, channel by channel."""
    if not isinstance(node.operator, ops.Reshape):
        return False
    shape = workload[node.inputs[0]].shape
    return len(shape) == 4 and node.shape == (shape[0], prod(shape[1:]))


def is_identity(index: Index, channels: int) -> bool:
    """Whether an index names the parent's channels, each at its place."""
    return np.array_equal(index, np.arange(channels))


def overlap(parent: int, child: int) -> Index:
    """The index of `child` channels that stand for `parent` ones as far as there are any."""
    places = np.arange(child)
    return np.where(places < parent, places, -1)


def tied(workload: Workload, node: Node) -> list[str]:
    """Those inputs of a node whose channels are the channels of its output, one by one."""
    operator, inputs = node.operator, node.inputs
    if isinstance(operator, ops.Norm | ops.Activation | ops.Pool2d | ops.Upsample) or is_depthwise(workload, node):
        return [inputs[0]]
    if isinstance(operator, ops.Elementwise):
        rank, channels = len(node.shape), channels_of(node.shape)
        shapes = {name: workload[name].shape for name in inputs}
        return [name for name, shape in shapes.items() if (len(shape), channels_of(shape)) == (rank, channels)]
    if isinstance(operator, ops.Reduce):
        shape = workload[inputs[0]].shape
        reduced = {range(len(shape))[axis] for axis in operator.axes}
        channel = 1 if len(shape) == 4 else len(shape) - 1
        stays = operator.keep_axes or reduced == {2, 3} or len(shape) < 4
        return [inputs[0]] if channel not in reduced and stays else []
    if is_flattening(workload, node) and prod(workload[inputs[0]].shape[2:]) == 1:
        return [inputs[0]]
    return []


def ties(workload: Workload) -> dict[str, str]:
    """For each tensor the first one of those that have its channels."""
    first: dict[str, str] = {}
    place = {node.name: i for i, node in enumerate(workload)}

    def root(name: str) -> str:
        while first[name] != name:
            name = first[name]
        return name

    for node in workload:
        first[node.name] = node.name
        for source in tied(workload, node):
            one, other = sorted((root(source), root(node.name)), key=place.__getitem__)
            first[other] = one
    return {name: root(name) for name in first}


def decided(child: Workload, node: Node, parent: Workload, was: Node, given: Sequence[Index | None]) -> Index | None:
    """The index of what a node makes, where those of its operands decide it; None where they do not.

    given : index of each operand of `node`; `was` is the parent's node that it stands for.
    """
    if any(index is None for index in given) or len(given) != len(was.inputs) or not given:
        return None
    indices = [index for index in given if index is not None]
    first, before, after = indices[0], parent[was.inputs[0]].shape, child[node.inputs[0]].shape
    operator, known = node.operator, was.operator
    if isinstance(operator, ops.Concat) and isinstance(known, ops.Concat) and operator.axis == known.axis:
        if operator.axis not in ((1, -3) if len(node.shape) == 4 else (-1, len(node.shape) - 1)):
            return None
        sizes = [channels_of(parent[name].shape) for name in was.inputs]
        starts = np.cumsum([0, *sizes[:-1]])
        return np.concatenate([np.where(i >= 0, i + s, -1) for i, s in zip(indices, starts, strict=True)])
    if isinstance(operator, ops.Rearrange) and operator.what == SHUFFLE:
        # Place q of two shuffled groups of n / 2 holds channel (q % 2) n / 2 + q // 2.
        places, half = np.arange(after[1]), after[1] // 2
        taken = first[(places % 2) * half + places // 2]
        half = before[1] // 2
        return np.where(taken >= 0, 2 * (taken % half) + taken // half, -1)
    if isinstance(operator, ops.Split) and isinstance(known, ops.Split) and len(node.shape) == 4 and operator.axis == 1:
        part = first[operator.start : operator.start + operator.length] - known.start
        return np.where((part >= 0) & (part < known.length), part, -1)
    if is_flattening(child, node) and is_flattening(parent, was) and before[2:] == after[2:]:
        pixels = prod(after[2:])
        spread = first[:, None] * pixels + np.arange(pixels)
        return np.where(first[:, None] >= 0, spread, -1).reshape(-1)
    return None


class Channels:
    """The index of every tensor that a child's layers make, chosen once for all tensors that are tied together.

    Parameters
    ----------
    pairs : layers of the child -> the layers of the parent that they stand for. rng : which channels are repeated.
    """

    def __init__(self, parent: Workload, child: Workload, pairs: Mapping[str, str], rng: np.random.Generator) -> None:
        self.parent, self.child, self.pairs, self.rng = parent, child, pairs, rng
        self._roots = ties(child)
        self._blocks = _blocks(child, self._roots)
        self._chosen: dict[tuple[str, int], Index] = {}
        self._deciding: dict[str, list[Node]] = {}
        for node in child:
            if node.name in pairs and node.inputs and not tied(child, node):
                self._deciding.setdefault(self._roots[node.name], []).append(node)

    def of(self, name: str, source: str) -> Index:
        """The index of the child's tensor `name` that stands for the parent's tensor `source`."""
        key = (self._roots[name], channels_of(self.parent[source].shape))
        if key not in self._chosen:
            self._chosen[key] = self._choose(*key)
        return self._chosen[key]

    def _choose(self, root: str, channels: int) -> Index:
        size = channels_of(self.child[root].shape)
        for node in self._deciding.get(root, []):
            was = self.parent[self.pairs[node.name]]
            is_decided = isinstance(node.operator, ops.Concat | ops.Rearrange | ops.Split | ops.Reshape)
            if is_decided and len(was.inputs) == len(node.inputs) and channels_of(was.shape) == channels:
                given = [self.of(one, other) for one, other in zip(node.inputs, was.inputs, strict=True)]
                found = decided(self.child, node, self.parent, was, given)
                if found is not None and len(found) == size:
                    return found
        blocks = self._blocks.get(root, 1)
        if channels % blocks or size % blocks:
            blocks = 1
        old, new = channels // blocks, size // blocks
        drawn = self.rng.integers(old, size=(blocks, new))
        within = np.where(np.arange(new) < old, np.arange(new), drawn)
        return (within + old * np.arange(blocks)[:, None]).reshape(-1)


def _blocks(workload: Workload, roots: Mapping[str, str]) -> dict[str, int]:
    """Into how many equal blocks the channels of tied tensors fall, by the grouped convolutions at either end."""
    blocks: dict[str, int] = {}
    for node in reversed(workload.nodes):
        groups = groups_of(workload, node)
        leaving = roots[node.name]
        if groups > 1:
            entering = roots[node.inputs[0]]
            blocks[leaving] = lcm(blocks.get(leaving, 1), groups)
            blocks[entering] = lcm(blocks.get(entering, 1), groups)
        if isinstance(node.operator, ops.Rearrange) and node.operator.what == SHUFFLE:
            entering = roots[node.inputs[0]]
            blocks[entering] = lcm(blocks.get(entering, 1), 2 * blocks.get(leaving, 1))
    return blocks
