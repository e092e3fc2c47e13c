"""Activations that the forward pass drops and the backward pass makes again.

A graph is cut into segments; of each, only what enters it and what leaves it is kept, and the backward pass of a
segment first runs those of its forward operators that it reads [Chen et al., arXiv:1604.06174]. Full recompute cuts
where one tensor alone passes: where that tensor forks, as a residual block begins, else every square root of the
number of such places. Selective recompute makes the scores of attention again, from their product to what multiplies
the values, which are large and cheap [Korthikanti et al., MLSys 2023].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isqrt
from typing import Literal

from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Elementwise, MatMul, Operator, Shared, Softmax

__all__ = ["RECOMPUTE", "Recompute", "recomputed", "segments"]

Recompute = Literal["none", "selective", "full"]
RECOMPUTE: tuple[Recompute, ...] = ("none", "selective", "full")


def segments(forward: Workload, recompute: Recompute, *, blocks: int = 1) -> list[list[str]]:
    """The names of each segment's nodes, in order; the last node of a segment is kept.

    blocks : cuts that a full recompute passes over before it keeps one.
    """
    if recompute == "selective":
        return _score_chains(forward)
    if recompute == "none":
        return []
    found: list[list[str]] = [[]]
    cuts = set(_cuts(forward)[blocks - 1 :: blocks])
    for node in forward:
        if not isinstance(node.operator, Input):
            found[-1].append(node.name)
            if node.name in cuts:
                found.append([])
    return [segment for segment in found if segment]


def _cuts(forward: Workload) -> list[str]:
    """Nodes behind which no other tensor is read: those that fork, or a square root of all of them."""
    last_read = {source: i for i, node in enumerate(forward) for source in node.inputs}
    readers: dict[str, int] = {}
    for node in forward:
        for source in node.inputs:
            readers[source] = readers.get(source, 0) + 1
    found, furthest = [], -1
    for i, node in enumerate(forward):
        # A network's inputs stay anyway; every other tensor made before this node must have been read by now.
        if furthest <= i and not isinstance(node.operator, Input) and node.name in last_read:
            found.append(node.name)
        if not isinstance(node.operator, Input):
            furthest = max(furthest, last_read.get(node.name, i))
    forks = [name for name in found if readers[name] > 1]
    return forks or found[:: max(isqrt(len(found)), 1)]


def _score_chains(forward: Workload) -> list[list[str]]:
    """From each product of queries and keys to the product that reads their softmax, which is kept."""
    found = []
    for node in forward:
        if isinstance(node.operator, MatMul):
            chain = _chain_behind(forward, node)
            if chain:
                found.append([*chain, node.name])
    return found


def _chain_behind(forward: Workload, node: Node) -> list[str]:
    chain: list[str] = []
    link, normalised = forward[node.inputs[0]], False
    while True:
        chain.append(link.name)
        normalised = normalised or isinstance(link.operator, Softmax)
        if isinstance(link.operator, MatMul):
            return chain[::-1] if normalised else []
        if not (link.operator.is_view or isinstance(link.operator, Elementwise | Softmax)) or not link.inputs:
            return []
        link = forward[link.inputs[0]]


def recomputed(
    forward: Workload, backward: Sequence[Node], origin: Mapping[str, str], cut: Sequence[Sequence[str]]
) -> tuple[list[Node], set[str]]:
    """The backward pass with what it makes again, and the names of that.

    Of a segment, the operators run once more whose outputs its backward pass reads, and those that they need.
    """
    segment_of = {name: i for i, names in enumerate(cut) for name in names}
    renamed: dict[int, dict[str, str]] = {}
    out: list[Node] = []
    again: set[str] = set()
    for node in backward:
        i = segment_of.get(origin[node.name])
        if i is None:
            out.append(node)
            continue
        if i not in renamed:
            reading = [other for other in backward if segment_of.get(origin[other.name]) == i]
            copies = _copies(forward, reading, cut[i])
            renamed[i] = {copy.name.removesuffix(_AGAIN): copy.name for copy in copies}
            out.extend(copies)
            again.update(copy.name for copy in copies)
        out.append(replace(node, inputs=tuple(renamed[i].get(source, source) for source in node.inputs)))
    return out, again


_AGAIN = ".again"


def _copies(forward: Workload, reading: Sequence[Node], names: Sequence[str]) -> list[Node]:
    """The operators of a segment, its last one apart, whose outputs are read, and what they need of it."""
    dropped = set(names[:-1])
    wanted = {source for node in reading for source in node.inputs if source in dropped}
    for name in reversed(names[:-1]):
        if name in wanted:
            wanted.update(source for source in forward[name].inputs if source in dropped)
    return [
        replace(
            forward[name],
            name=name + _AGAIN,
            operator=_on_the_same_weights(forward[name].operator),
            inputs=tuple(source + _AGAIN if source in wanted else source for source in forward[name].inputs),
        )
        for name in names[:-1]
        if name in wanted
    ]


def _on_the_same_weights(operator: Operator) -> Operator:
    """The operator run a second time: its weights count once."""
    return operator if operator.is_view else Shared(operator)
