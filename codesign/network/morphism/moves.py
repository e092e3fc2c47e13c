"""Morphisms: from a trained network to a larger one that computes the same function, to train further from there.

`wider` gives a layer more channels [Net2WiderNet: Chen et al., ICLR 2016], and with it every tensor that it is tied to
by sums, normalisations, depthwise convolutions and concatenations; `deeper` puts a layer in that is the identity
[Net2DeeperNet]; `with_skip` adds a branch that starts at zero; `larger_kernel` pads with zeros [both Wei et al.,
ICML 2016]. Outputs are equal in evaluation mode, up to rounding. What cannot be done exactly is refused.

Not modelled: more heads of attention, more features of a recurrent layer, layers of which several nodes share weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

import numpy as np
import torch

from codesign.network.module import to_module
from codesign.network.morphism.channels import SHUFFLE, is_depthwise, is_flattening, tied, ties
from codesign.network.morphism.follow import State, Statistics, follow
from codesign.network.morphism.ranges import keeps, value_ranges
from hwmodels.errors import SpecError
from hwmodels.workload import ops
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops.row import Operator, channels_of

__all__ = ["Morph", "deeper", "fresh_state", "larger_kernel", "wider", "with_skip"]


class Morph(NamedTuple):
    """A larger network and its weights."""

    workload: Workload
    state: State


def fresh_state(workload: Workload, rng: np.random.Generator) -> State:
    """Weights that a new network starts from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        network = to_module(workload)
    return {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}


def wider(
    workload: Workload, state: State, layer: str, channels: int, *, rng: np.random.Generator, noise: float = 0.0
) -> Morph:
    """Give a layer and all that is tied to it `channels` channels or features.

    Parameters
    ----------
    layer : any tensor of those that grow. rng : which channels are repeated. noise : by which share the weights that
        read a repeated channel differ at most, in [0, 1): copies are then trained apart, from the same function.

    Raises
    ------
    SpecError : an unknown layer, not more channels, or a tensor that keeps its channels: an input, an output, one that
        is normalised over several channels at once, one whose channels are those of several layers, as a concatenation.

    >>> from hwmodels.workload.graph import Builder
    >>> net = Builder("tiny", (1, 1, 8, 8))
    >>> tiny = net.finish(net.linear(net.flatten(net.conv_norm_act(net.input, 4, 3)), 10))
    >>> rng = np.random.default_rng(0)
    >>> wider(tiny, fresh_state(tiny, rng), "conv2d1", 6, rng=rng).workload["linear1"].shape
    (1, 10)
    """
    where, node = f"{workload.name}: wider: {layer}", _layer(workload, layer)
    known = channels_of(node.shape)
    if channels <= known:
        raise SpecError(where, f"{channels} channels", f"more than its {known}")
    roots = ties(workload)
    for name in (*workload.outputs, *(other.name for other in workload if isinstance(other.operator, Input))):
        if roots[name] == roots[layer]:
            raise SpecError(where, "an input or an output of the network", "a layer between them")
    child = _resized(workload, roots, {roots[layer]: channels}, where)
    if channels_of(child[layer].shape) != channels:
        raise SpecError(where, "channels that other layers bring together", "one of those layers")
    return _followed(workload, state, child, rng, where, noise=noise)


def larger_kernel(workload: Workload, state: State, layer: str, kernel: int, *, rng: np.random.Generator) -> Morph:
    """Give a convolution a square kernel of this size, zeros around the one that it has.

    Raises
    ------
    SpecError : no convolution, or a kernel that is not larger by an even number.
    """
    where, node = f"{workload.name}: larger_kernel: {layer}", _layer(workload, layer)
    operator = node.operator
    if not isinstance(operator, ops.Conv2d):
        raise SpecError(where, type(operator).__name__, "a convolution")
    grown = [kernel - extent for extent in operator.kernel]
    if min(grown) < 0 or max(grown) == 0 or any(extent % 2 for extent in grown):
        raise SpecError(where, kernel, f"larger by an even number than {operator.kernel}")
    pads = zip(operator.padding, grown, operator.dilation, strict=True)
    (pad_h, pad_w) = (pad + more // 2 * reach for pad, more, reach in pads)
    changed = replace(operator, kernel=(kernel, kernel), padding=(pad_h, pad_w))
    child = _rebuilt(workload, lambda old, _: changed if old.name == layer else old.operator, where)
    return _followed(workload, state, child, rng, where)


def deeper(
    workload: Workload,
    state: State,
    layer: str,
    *,
    rng: np.random.Generator,
    kernel: int = 3,
    statistics: Statistics | None = None,
) -> Morph:
    """Put a layer behind another one that is the identity: of an image convolution and batch norm, of features linear.

    Behind an activation comes one of its kind, which must change nothing there: that of a ReLU, ReLU6 or hard tanh.
    Behind anything else none comes: where it is read by an activation of another kind, the new layer is before that.

    Parameters
    ----------
    statistics : mean and variance of the channels of tensors, see `codesign.network.morphism.follow`.

    Raises
    ------
    SpecError : an unknown layer, an activation that is not idempotent, an even kernel.
    """
    where, node = f"{workload.name}: deeper: {layer}", _layer(workload, layer)
    if kernel % 2 == 0:
        raise SpecError(where, f"kernel {kernel}", "odd")
    is_activation, operator = isinstance(node.operator, ops.Activation), node.operator
    if isinstance(operator, ops.Activation) and not keeps(operator, value_ranges(workload)[layer]):
        raise SpecError(
            where, f"{operator.function}, which is not idempotent", "a ReLU or the like, or the layer before it"
        )
    channels, image = channels_of(node.shape), len(node.shape) == 4
    added: list[Operator] = [ops.Linear(channels)]
    if image:
        added = [ops.Conv2d.square(channels, kernel), ops.Norm("batch")]
    if is_activation:
        added.append(operator)
    child = _with_behind(workload, layer, lambda nodes: _chained(nodes, nodes[-1], added, f"{layer}_deeper"))
    return _followed(workload, state, child, rng, where, statistics=statistics)


def with_skip(
    workload: Workload, state: State, source: str, layer: str, *, rng: np.random.Generator, kernel: int = 1
) -> Morph:
    """Add to what a layer makes a convolution and batch norm of an earlier tensor, which starts at zero.

    Raises
    ------
    SpecError : tensors that are no images, a source behind the layer, or one whose size no stride fits.
    """
    where = f"{workload.name}: with_skip: {source} to {layer}"
    begin, end = _layer(workload, source).shape, _layer(workload, layer).shape
    if len(begin) != 4 or len(end) != 4 or kernel % 2 == 0:
        raise SpecError(where, f"shapes {begin} and {end}, kernel {kernel}", "images and an odd kernel")
    place = {node.name: i for i, node in enumerate(workload)}
    if place[source] >= place[layer]:
        raise SpecError(where, "a source behind the layer", "one before it")
    strides = (-(-begin[2] // end[2]), -(-begin[3] // end[3]))
    pad = kernel // 2
    branch = ops.Conv2d(end[1], (kernel, kernel), strides, (pad, pad), bias=False)
    if branch.infer(begin) != end:
        raise SpecError(where, f"{begin[2:]} pixels to {end[2:]}", "a size that a stride makes of the other")

    def behind(nodes: list[Node]) -> Node:
        end = nodes[-1]
        made = _chained(nodes, workload[source], [branch, ops.Norm("batch")], f"{layer}_skip")
        nodes.append(Node(f"{layer}_skip_sum", ops.Elementwise("add"), (end.name, made.name), end.shape, end.precision))
        return nodes[-1]

    return _followed(workload, state, _with_behind(workload, layer, behind), rng, where)


def _layer(workload: Workload, name: str) -> Node:
    names = [node.name for node in workload]
    if name not in names:
        raise SpecError.unknown(f"{workload.name}: layer", name, names)
    return workload[name]


def _followed(
    workload: Workload,
    state: State,
    child: Workload,
    rng: np.random.Generator,
    where: str,
    *,
    noise: float = 0.0,
    statistics: Statistics | None = None,
) -> Morph:
    """The child with the weights that make it equal.

    Raises
    ------
    SpecError : there are none.
    """
    pairs = {node.name: node.name for node in workload}
    fresh = fresh_state(child, rng)
    found = follow(workload, state, child, fresh, pairs, rng=rng, noise=noise, statistics=statistics)
    if found.parts:
        raise SpecError(where, f"a change of the function at {found.parts}", "a morphism")
    return Morph(child, found.state)


def _chained(nodes: list[Node], x: Node, operators: Sequence[Operator], name: str) -> Node:
    """Operators one behind the other, added to the nodes; the last one."""
    for i, operator in enumerate(operators, start=1):
        x = Node(f"{name}{i}", operator, (x.name,), operator.infer(x.shape), x.precision)
        nodes.append(x)
    return x


def _with_behind(workload: Workload, layer: str, behind: Callable[[list[Node]], Node]) -> Workload:
    """The network with something behind a layer, which all read that have read the layer.

    behind : adds its nodes to those up to the layer, and returns the last one.
    """
    nodes: list[Node] = []
    stands_for: dict[str, str] = {}
    for node in workload:
        nodes.append(replace(node, inputs=tuple(stands_for.get(source, source) for source in node.inputs)))
        if node.name == layer:
            stands_for[layer] = behind(nodes).name
    outputs = (stands_for.get(name, name) for name in workload.outputs)
    return Workload.of(workload.name, nodes, outputs)


def _rebuilt(workload: Workload, operator_of: Callable[[Node, Mapping[str, Node]], Operator], where: str) -> Workload:
    """The network with other operators, whose shapes follow.

    Raises
    ------
    SpecError : operators that no longer fit each other.
    """
    made: dict[str, Node] = {}
    for node in workload:
        operator = operator_of(node, made)
        try:
            shape = operator.infer(*(made[source].shape for source in node.inputs))
        except ValueError as error:
            raise SpecError(where, f"{node.name}: {error}", "layers that fit each other") from None
        made[node.name] = replace(node, operator=operator, shape=shape)
    return Workload.of(workload.name, made.values(), workload.outputs)


def _resized(workload: Workload, roots: Mapping[str, str], sizes: dict[str, int], where: str) -> Workload:
    """The network with other numbers of channels, by the first of the tensors that are tied; it adds to `sizes`.

    A concatenation that grows makes what it is summed with grow, a shuffle what it reads: so the sizes are told on
    until nothing grows any more.
    """

    def operator_of(node: Node, made: Mapping[str, Node]) -> Operator:
        operator, size = node.operator, sizes.get(roots[node.name])
        shape = made[node.inputs[0]].shape if node.inputs else ()
        if is_flattening(workload, node):
            return replace(operator, shape=(shape[0], prod(shape[1:])))  # type: ignore[type-var]
        if isinstance(operator, ops.Rearrange) and shape[2:] == node.shape[2:]:
            return replace(operator, shape=shape)
        if size is None:
            return operator
        if is_depthwise(workload, node):
            return replace(operator, out_channels=size, groups=size)  # type: ignore[type-var]
        if isinstance(operator, ops.Conv2d | ops.ConvTranspose2d):
            return replace(operator, out_channels=size)
        if isinstance(operator, ops.Linear):
            return replace(operator, out_features=size)
        if not tied(workload, node) and not isinstance(operator, ops.Concat | ops.Rearrange):
            raise SpecError(where, f"{node.name}: {type(operator).__name__}", "a layer that can grow")
        return operator

    for _ in workload:
        before = dict(sizes)
        for node in workload:
            sizes |= _grown(workload, node, roots, sizes)
        if sizes == before:
            break
    if any(roots[name] in sizes for name in workload.outputs):
        raise SpecError(where, "an output of the network grows, too", "a layer between input and output")
    return _rebuilt(workload, operator_of, where)


def _grown(workload: Workload, node: Node, roots: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, int]:
    """The size of what a node makes of tensors that grow, where it is not tied to them; of a shuffle both ways."""
    operator = node.operator
    if isinstance(operator, ops.Rearrange) and operator.what == SHUFFLE and roots[node.name] in sizes:
        return {roots[node.inputs[0]]: sizes[roots[node.name]]}
    if all(roots[source] not in sizes for source in node.inputs) or tied(workload, node):
        return {}
    channels = [sizes.get(roots[source], channels_of(workload[source].shape)) for source in node.inputs]
    if isinstance(operator, ops.Concat):
        return {roots[node.name]: sum(channels)}
    if isinstance(operator, ops.Rearrange) and operator.what == SHUFFLE:
        return {roots[node.name]: channels[0]}
    if is_flattening(workload, node):
        return {roots[node.name]: channels[0] * prod(workload[node.inputs[0]].shape[2:])}
    return {}
