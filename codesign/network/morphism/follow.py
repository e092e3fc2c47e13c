"""The weights of a child from those of its parent: exact where the child is a morphism of it, near it elsewhere.

The child is walked from its input on. Each tensor either stands for one of the parent's, channel by channel
(`codesign.network.morphism.channels`), or is new:

- A layer that stands for a parent's takes its weights by the indices of what it reads and what it makes. A channel that
  stands there n times is read with weights that sum to the parent's, 1 / n each or with noise about that, which breaks
  the symmetry of the copies and keeps the function [Net2WiderNet: Chen et al., ICLR 2016]. Channels without a
  counterpart are read with weight zero. A larger kernel has zeros around the parent's; of a smaller one the middle is
  kept.
- A layer put in between is the identity [Net2DeeperNet]: a kernel of one in the middle; a batch norm that undoes its
  own normalisation, with the mean and the variance of what it reads as statistics, shift and squared gain, so that it
  is the identity in evaluation and, on average, in training; an activation where its input is in the range in which it
  changes nothing, as a ReLU behind a ReLU.
- Of a sum put in, all new terms start at zero [Wei et al., ICML 2016]: the layer before the sum has weight and shift
  zero. A concatenation put in is read with weight zero for what is new.

Whatever fits none of this is approximate [Elsken et al., ICLR 2019]: weights are carried over as far as shapes overlap,
the rest is as a new network starts. The walk says whether the outputs are equal, in evaluation mode, and if not where
they first part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from codesign.network.morphism.channels import (
    Channels,
    Index,
    decided,
    groups_of,
    is_depthwise,
    is_identity,
    overlap,
    tied,
)
from codesign.network.morphism.put_in import Insertion, Stands, Statistics
from codesign.network.morphism.weights import Array, fitted, grouped, same_settings, shared
from hwmodels.workload import ops
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops.row import channels_of

__all__ = ["Followed", "State", "Statistics", "follow"]

State = Mapping[str, Array]
"""Parameters and running statistics by the names of `codesign.network.module.Network.state_dict`."""


class Followed(NamedTuple):
    """The weights of a child. parts : the layer where its function parts from the parent's, and why; "" where not."""

    state: State
    parts: str


def follow(
    parent: Workload,
    state: State,
    child: Workload,
    fresh: State,
    pairs: Mapping[str, str],
    *,
    rng: np.random.Generator,
    noise: float = 0.0,
    statistics: Statistics | None = None,
) -> Followed:
    """The weights of `child` from `state`, those of `parent`.

    Parameters
    ----------
    fresh : weights that a new network would start from. pairs : layers of the child -> those of the parent that they
        stand for, as `codesign.network.morphism.align.paired` finds them.
    noise : by which share the weights of a repeated channel differ at most, in [0, 1); their sum is the parent's.
    statistics : of the parent's tensors, for batch norms that are put in; mean 0 and variance 1 where not given.
    """
    walk = _Walk(
        parent, child, state=state, fresh=fresh, pairs=pairs, rng=rng, noise=noise, statistics=statistics or {}
    )
    for node in child:
        walk.visit(node)
    return Followed(walk.state(), walk.verdict())


class _Walk:
    """One walk over a child."""

    def __init__(
        self,
        parent: Workload,
        child: Workload,
        *,
        state: State,
        fresh: State,
        pairs: Mapping[str, str],
        rng: np.random.Generator,
        noise: float,
        statistics: Statistics,
    ) -> None:
        self.parent, self.child, self.pairs = parent, child, pairs
        self.rng, self.noise = rng, noise
        self.old, self.new = _by_layer(parent, state), _by_layer(child, _as_precise(fresh, state))
        self.channels = Channels(parent, child, pairs, rng)
        self.insertion = Insertion(
            parent, child, pairs=pairs, new=self.new, channels=self.channels, statistics=statistics, judge=self._judge
        )
        self.stands: dict[str, Stands | None] = {}
        self.first = ""

    def state(self) -> State:
        position = {node.name: i for i, node in enumerate(self.child)}
        return {
            f"layers.{position[name]}.{key}": value for name, layer in self.new.items() for key, value in layer.items()
        }

    def verdict(self) -> str:
        """Where the outputs part, "" where they do not."""
        for name, wanted in zip(self.child.outputs, self.parent.outputs, strict=True):
            stands = self.stands[name]
            is_same = stands is not None and stands.exact and stands.source == wanted
            if not is_same or not is_identity(stands.channels, channels_of(self.parent[wanted].shape)):  # type: ignore[union-attr]
                return self.first or f"{name}: another output"
        return ""

    def visit(self, node: Node) -> None:
        given = [self.stands[source] for source in node.inputs]
        was = self.parent[self.pairs[node.name]] if node.name in self.pairs else None
        if isinstance(node.operator, Input):
            is_same = was is not None and was.shape[1:] == node.shape[1:]
            self._judge(node, is_same, "another input")
            index = np.arange(channels_of(node.shape))
            self.stands[node.name] = None if was is None else Stands(was.name, index, is_same)
        elif was is None:
            self.stands[node.name] = self.insertion.put_in(node, given)
        else:
            reads = [None if one is None else one.source for one in given] == list(was.inputs)
            self._judge(node, reads or any(one is None or not one.exact for one in given), "reads another tensor")
            exact = reads and all(one is not None and one.exact for one in given)
            self.stands[node.name] = self._kept(node, was, given, exact)

    def _judge(self, node: Node, is_equal: bool, why: str) -> bool:
        """Remember where the functions first part."""
        if not is_equal:
            self.first = self.first or f"{node.name}: {why}"
        return is_equal

    # Layers that stand for one of the parent.

    def _kept(self, node: Node, was: Node, given: Sequence[Stands | None], exact: bool) -> Stands | None:
        make = _KEPT.get(type(node.operator))
        if make is not None:
            index, equal = make(self, node, was, given)
            return Stands(was.name, index, self._judge(node, equal or not exact, "weights of another shape") and exact)
        index, equal = self._handed_on(node, was, given)
        return Stands(was.name, index, self._judge(node, equal or not exact, "other operands or settings") and exact)

    def _entering(self, node: Node, was: Node, given: Sequence[Stands | None], place: int = 0) -> Index:
        """The index of an operand; by overlap where what it stands for has other channels than the parent's layer."""
        channels = channels_of(self.parent[was.inputs[place]].shape)
        own, stands = channels_of(self.child[node.inputs[place]].shape), given[place]
        if stands is None or channels_of(self.parent[stands.source].shape) != channels or len(stands.channels) != own:
            return overlap(channels, own)
        return stands.channels

    def _handed_on(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """The index of what an operator without weights makes, and whether it does what the parent's does."""
        operands = [None if one is None else one.channels for one in given]
        if isinstance(node.operator, ops.Concat) and len(node.inputs) != len(was.inputs):
            return self._joined(node, was, given)
        through, same = tied(self.child, node), same_settings(node, was)
        found = decided(self.child, node, self.parent, was, operands) if not through else None
        if found is not None:
            return found, same
        size, channels = channels_of(node.shape), channels_of(was.shape)
        if through:
            known = [one for name, one in zip(node.inputs, operands, strict=True) if name in through]
            first = next((one for one in known if one is not None and one.max(initial=-1) < channels), None)
            if first is not None and len(first) == size:
                return first, same and all(one is not None and np.array_equal(one, first) for one in known)
            return overlap(channels, size), False
        whole = zip(operands, was.inputs, strict=False)
        is_whole = len(operands) == len(was.inputs) and all(
            index is not None and is_identity(index, channels_of(self.parent[name].shape)) for index, name in whole
        )
        return overlap(channels, size), same and is_whole and node.shape[1:] == was.shape[1:]

    def _joined(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """A concatenation of more or fewer tensors than the parent's: those that are there stand at their places."""
        starts = np.cumsum([0, *(channels_of(self.parent[name].shape) for name in was.inputs)])
        parts, at = [], 0
        for name, one in zip(node.inputs, given, strict=True):
            size = channels_of(self.child[name].shape)
            wanted = list(was.inputs[at:])
            if one is None or one.source not in wanted or len(one.channels) != size:
                parts.append(np.full(size, -1))
                continue
            at += wanted.index(one.source)
            parts.append(np.where(one.channels >= 0, one.channels + starts[at], -1))
            at += 1
        return np.concatenate(parts), at == len(was.inputs) and len(node.inputs) >= len(was.inputs)

    def _product(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """A convolution or a linear layer."""
        operator, known, is_alike = node.operator, was.operator, is_depthwise(self.child, node)
        if is_alike and is_depthwise(self.parent, was):
            return self._depthwise(node, was, given)
        entering, leaving = self._entering(node, was, given), self.channels.of(node.name, was.name)
        layer, weights, groups = self.new[node.name], self.old[was.name]["weight"], groups_of(self.child, node)
        if is_alike != is_depthwise(self.parent, was) or groups != groups_of(self.parent, was):
            return leaving, False
        if isinstance(operator, ops.ConvTranspose2d) and isinstance(known, ops.ConvTranspose2d):
            if operator.kernel != known.kernel or groups > 1:
                return leaving, False
            taken, covered = shared(weights.swapaxes(0, 1), leaving, entering, self.rng, self.noise)
            layer["weight"] = np.ascontiguousarray(taken.swapaxes(0, 1))
        else:
            weights = fitted(weights, layer["weight"].shape[2:])
            layer["weight"], covered = grouped(weights, leaving, entering, groups, self.rng, self.noise)
        bias = self.old[was.name].get("bias")
        if "bias" in layer:
            layer["bias"] = np.zeros(len(leaving), weights.dtype) if bias is None else bias[leaving]
        return leaving, same_settings(node, was) and covered and ("bias" in layer or bias is None)

    def _depthwise(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """A convolution with a filter a channel makes the channels that it reads; filters of new ones stay."""
        index, layer, old = self._entering(node, was, given), self.new[node.name], self.old[was.name]
        weights = fitted(old["weight"], layer["weight"].shape[2:])
        layer["weight"] = np.where((index >= 0)[:, None, None, None], weights[index], layer["weight"])
        if "bias" in layer:
            bias = old.get("bias", np.zeros(len(weights), weights.dtype))
            layer["bias"] = np.where(index >= 0, bias[index], layer["bias"])
        return index, same_settings(node, was) and ("bias" in layer or "bias" not in old)

    def _norm(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """A normalisation; those over several channels at once are equal where the channels are."""
        index = self._entering(node, was, given)
        self._by_channel(node, was, index)
        a_channel = isinstance(node.operator, ops.Norm) and node.operator.mode in ("batch", "instance")
        return index, node.operator == was.operator and (a_channel or is_identity(index, channels_of(was.shape)))

    def _activation(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """An activation; one that learns has a slope a channel."""
        index = self._entering(node, was, given)
        self._by_channel(node, was, index)
        return index, node.operator == was.operator

    def _by_channel(self, node: Node, was: Node, index: Index) -> None:
        """Parameters and statistics of one number a channel; those of new channels stay."""
        layer = self.new.get(node.name, {})
        for key, value in self.old.get(was.name, {}).items():
            if key in layer:
                layer[key] = np.where(index >= 0, value[index], layer[key]) if value.ndim else value.copy()

    def _embedding(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """An embedding has a column a feature; one of other entries starts anew."""
        leaving, weights = self.channels.of(node.name, was.name), self.old[was.name]["weight"]
        if len(weights) != len(self.new[node.name]["weight"]):
            return leaving, False
        self.new[node.name]["weight"] = weights[:, leaving]
        return leaving, True

    def _recurrent(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        """A recurrent layer keeps its hidden features; one of others starts anew."""
        size, channels = channels_of(node.shape), channels_of(was.shape)
        if size != channels or node.operator != was.operator:
            return overlap(channels, size), False
        layer, covered = self.new[node.name], True
        for key, value in self.old[was.name].items():
            layer[key] = value.copy()
            if key.startswith("cell.weight_ih"):
                entering = self._entering(node, was, given)
                layer[key], covered = shared(value, np.arange(len(value)), entering, self.rng, self.noise)
        return np.arange(size), covered

    def _constant(self, node: Node, was: Node, given: Sequence[Stands | None]) -> tuple[Index, bool]:
        if node.shape != was.shape:
            return overlap(channels_of(was.shape), channels_of(node.shape)), False
        self.new[node.name]["value"] = self.old[was.name]["value"].copy()
        return np.arange(channels_of(node.shape)), True


_Make = Callable[[_Walk, Node, Node, Sequence[Stands | None]], tuple[Index, bool]]

_KEPT: Mapping[type, _Make] = {
    ops.Conv2d: _Walk._product,
    ops.ConvTranspose2d: _Walk._product,
    ops.Linear: _Walk._product,
    ops.Norm: _Walk._norm,
    ops.Activation: _Walk._activation,
    ops.Embedding: _Walk._embedding,
    ops.Recurrent: _Walk._recurrent,
    ops.Constant: _Walk._constant,
}


def _by_layer(workload: Workload, state: State) -> dict[str, dict[str, Array]]:
    """Arrays by layer and by their name within it."""
    nodes = workload.nodes
    found: dict[str, dict[str, Array]] = {}
    for key, value in state.items():
        if not key.startswith("layers."):  # what a training keeps beside its weights
            continue
        _, position, name = key.split(".", 2)
        found.setdefault(nodes[int(position)].name, {})[name] = value
    return found


def _as_precise(fresh: State, state: State) -> State:
    """New weights in the precision of the parent's."""
    precise = next((value.dtype for value in state.values() if value.dtype.kind == "f"), np.dtype(np.float32))
    return {key: value.astype(precise) if value.dtype.kind == "f" else value for key, value in fresh.items()}
