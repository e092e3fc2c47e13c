"""Which layers of a child stand for which of its parent, where their names do not say.

Networks of one space number their layers as they come, so a layer more renames all behind it. Layers with weights are
aligned in the order in which they run, as many and as like as possible [Needleman and Wunsch, J. Mol. Biol. 1970]; the
others follow them: one stands for the parent's of its kind that reads the same, looking through what is put in.

Not modelled: layers whose order changes.
"""

from __future__ import annotations

import numpy as np

from codesign.network.morphism.channels import groups_of, is_depthwise
from hwmodels.workload import ops
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops.row import channels_of

__all__ = ["paired"]

_ANCHORS = (ops.Conv2d, ops.ConvTranspose2d, ops.Linear, ops.Recurrent, ops.Embedding, ops.Constant)
"""Operators with weights of their own that mix channels: what is worth most to carry over."""


def paired(parent: Workload, child: Workload) -> dict[str, str]:
    """Layers of the child -> layers of the parent that they stand for; each of those stands once.

    >>> from hwmodels.workload.graph import Builder
    >>> def chain(depth):
    ...     net = Builder("chain", (1, 1, 8, 8))
    ...     x = net.input
    ...     for _ in range(depth):
    ...         x = net.conv_norm_act(x, 4, 3)
    ...     return net.finish(net.linear(net.flatten(x), 10))
    >>> pairs = paired(chain(1), chain(2))
    >>> pairs["conv2d1"], pairs["linear1"], "conv2d2" in pairs
    ('conv2d1', 'linear1', False)
    """
    sources = [[node.name for node in network if isinstance(node.operator, Input)] for network in (child, parent)]
    pairs = dict(zip(*sources, strict=False))
    pairs |= _anchors(parent, child)
    readers: dict[str, list[Node]] = {}
    for node in parent:
        for source in node.inputs[:1]:
            readers.setdefault(source, []).append(node)
    taken = set(pairs.values())
    seen_as: dict[str, str | None] = dict(pairs)
    for node in child:
        if node.name in pairs:
            continue
        reads = [seen_as.get(source) for source in node.inputs]
        for was in readers.get(reads[0] or "", []) if reads else ():
            if was.name not in taken and _is_like(node, was) and list(was.inputs) == reads:
                pairs[node.name] = was.name
                taken.add(was.name)
                break
        # What is put in is seen as what it reads; a sum or the like as the first of its terms that is not new.
        known = [seen for source, seen in zip(node.inputs, reads, strict=True) if source in pairs]
        seen_as[node.name] = pairs.get(node.name, next(iter([*known, *reads]), None))
    return pairs


def _is_like(node: Node, was: Node) -> bool:
    """Whether two layers without weights of their own do the same kind of work."""
    operator, known = node.operator, was.operator
    if type(operator) is not type(known) or isinstance(operator, _ANCHORS):
        return False
    names = ("mode", "function", "what", "axis")
    return all(getattr(operator, name, None) == getattr(known, name, None) for name in names)


def _anchors(parent: Workload, child: Workload) -> dict[str, str]:
    """The alignment of layers with weights that has the largest sum of likenesses; of equals the earliest."""
    own = [node for node in child if isinstance(node.operator, _ANCHORS)]
    known = [node for node in parent if isinstance(node.operator, _ANCHORS)]
    like = np.array([[_likeness(child, node, parent, was) for was in known] for node in own])
    like = like.reshape(len(own), len(known))
    # best[i, j]: of the layers of the child from i on and of the parent's from j on.
    best = np.zeros((len(own) + 1, len(known) + 1))
    for i in range(len(own) - 1, -1, -1):
        for j in range(len(known) - 1, -1, -1):
            best[i, j] = max(best[i + 1, j + 1] + like[i, j], best[i + 1, j], best[i, j + 1])
    pairs, i, j = {}, 0, 0
    while i < len(own) and j < len(known):
        if like[i, j] > 0 and best[i, j] == best[i + 1, j + 1] + like[i, j]:
            pairs[own[i].name] = known[j].name
            i, j = i + 1, j + 1
        elif best[i, j] == best[i, j + 1]:
            j += 1
        else:
            i += 1
    return pairs


def _likeness(child: Workload, node: Node, parent: Workload, was: Node) -> int:
    """How much of a layer's weights another one can use; 0 where nothing."""
    if type(node.operator) is not type(was.operator):
        return 0
    if groups_of(child, node) != groups_of(parent, was) or is_depthwise(child, node) != is_depthwise(parent, was):
        return 0
    before = child[node.inputs[0]].shape if node.inputs else ()
    entered = parent[was.inputs[0]].shape if was.inputs else ()
    same = (
        node.shape[2:] == was.shape[2:],
        before[2:] == entered[2:],
        channels_of(node.shape) == channels_of(was.shape),
        channels_of(before) == channels_of(entered),
        getattr(node.operator, "kernel", 0) == getattr(was.operator, "kernel", 0),
    )
    # A layer that is there counts more than how like it is: rather one more of four than three of five alike.
    return 4 + sum(map(bool, same))
