"""Graphs of neurons as lists of connections: their order, what of them computes, and one name for equal networks.

Neurons have numbers: inputs from 0, then the bias, which always gives 1, then the outputs, then hidden neurons, whose
numbers may have gaps. A connection leads from a source to a target with a weight level; a disabled one is kept and not
computed. A graph has no cycle, disabled connections included, and at most one connection from one neuron to another.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Layout", "Synapses", "canonical_order", "depths", "expressed", "open_pairs", "split_at", "topological"]

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Layout(NamedTuple):
    """How many inputs and outputs there are; the numbers of the neurons follow."""

    inputs: int
    outputs: int

    @property
    def bias(self) -> int:
        return self.inputs

    @property
    def first_output(self) -> int:
        return self.inputs + 1

    @property
    def first_hidden(self) -> int:
        return self.inputs + 1 + self.outputs


class Synapses(NamedTuple):
    """C connections: the neurons that they join, (C,) each, their weight levels and whether they are enabled."""

    sources: I64
    targets: I64
    levels: I64
    enabled: Mask

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, int, bool]]) -> Synapses:
        """From (source, target, level, enabled) of each connection."""
        found = np.array([tuple(map(int, row)) for row in rows], np.int64).reshape(-1, 4)
        return cls(found[:, 0], found[:, 1], found[:, 2], found[:, 3] == 1)

    def taken(self, index: npt.NDArray[np.generic]) -> Synapses:
        """Those at some positions, or of a mask."""
        return Synapses(*(column[index] for column in self))

    def hidden(self, layout: Layout) -> list[int]:
        """Hidden neurons that a connection touches, by number."""
        ends = np.concatenate([self.sources, self.targets])
        return sorted(set(ends[ends >= layout.first_hidden].tolist()))

    def pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.sources.tolist(), self.targets.tolist(), strict=True))


def topological(synapses: Synapses, layout: Layout) -> list[int]:
    """Hidden neurons so that each stands behind those that it reads, by number among equals.

    Raises
    ------
    ValueError : the connections have a cycle.

    >>> layout = Layout(2, 1)  # inputs 0 and 1, bias 2, output 3
    >>> topological(Synapses.of([(0, 9, 0, True), (9, 4, 0, True), (4, 3, 0, True)]), layout)
    [9, 4]
    """
    hidden = synapses.hidden(layout)
    waiting = dict.fromkeys(hidden, 0)
    readers: dict[int, list[int]] = {neuron: [] for neuron in hidden}
    for source, target in synapses.pairs():
        if source in waiting and target in waiting:
            waiting[target] += 1
            readers[source].append(target)
    ready, order = [neuron for neuron in hidden if not waiting[neuron]], []
    while ready:
        neuron = heapq.heappop(ready)
        order.append(neuron)
        for reader in readers[neuron]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(hidden):
        raise ValueError("connections with a cycle")
    return order


def open_pairs(synapses: Synapses, layout: Layout) -> list[tuple[int, int]]:
    """Which neurons a further connection may join, (source, target): no cycle, nothing twice.

    >>> open_pairs(Synapses.of([(0, 3, 0, True), (1, 3, 0, True), (0, 4, 0, True), (4, 3, 0, True)]), Layout(2, 1))
    [(1, 4), (2, 3), (2, 4)]
    """
    order, there = topological(synapses, layout), set(synapses.pairs())
    below: dict[int, set[int]] = {}  # what each hidden neuron reads, directly or through others
    for neuron in order:
        read = [source for source, target in there if target == neuron and source >= layout.first_hidden]
        below[neuron] = set(read).union(*(below[source] for source in read))
    sources = [*range(layout.inputs + 1), *sorted(order)]
    targets = [*range(layout.first_output, layout.first_hidden), *sorted(order)]
    return [
        (source, target)
        for source in sources
        for target in targets
        if (source, target) not in there and source != target and target not in below.get(source, ())
    ]


def split_at(synapses: Synapses, place: int, neuron: int, unit: int) -> Synapses:
    """A connection disabled and a new neuron in its stead: a weight of one into it, the old weight out of it.

    unit : level of the weight one.
    """
    source, target, level, _ = (int(column[place]) for column in synapses)
    enabled = synapses.enabled.copy()
    enabled[place] = False
    new = Synapses.of([(source, neuron, unit, True), (neuron, target, level, True)])
    joined = (np.concatenate(columns) for columns in zip(synapses._replace(enabled=enabled), new, strict=True))
    return Synapses(*joined)


def expressed(synapses: Synapses, layout: Layout) -> Mask:
    """Which connections compute, (C,): enabled ones on a way from an input or the bias to an output."""
    order = topological(synapses, layout)
    reached, reaching = set(range(layout.inputs + 1)), set(range(layout.first_output, layout.first_hidden))
    live = [pair for pair, on in zip(synapses.pairs(), synapses.enabled.tolist(), strict=True) if on]
    for neuron in order:
        if any(target == neuron and source in reached for source, target in live):
            reached.add(neuron)
    for neuron in reversed(order):
        if any(source == neuron and target in reaching for source, target in live):
            reaching.add(neuron)
    on_way = [source in reached and target in reaching for source, target in synapses.pairs()]
    return synapses.enabled & np.array(on_way, np.bool_)


def depths(synapses: Synapses, layout: Layout) -> dict[int, int]:
    """Connections on the longest way to each hidden neuron from an input, the bias, or one that reads nothing."""
    found: dict[int, int] = {}
    pairs = synapses.pairs()
    for neuron in topological(synapses, layout):
        found[neuron] = 1 + max((found.get(source, 0) for source, target in pairs if target == neuron), default=0)
    return found


def canonical_order(synapses: Synapses, layout: Layout) -> list[int]:
    """Hidden neurons in an order that networks share that are equal after a renumbering, the shallowest first.

    Colours start from the depth and are refined by weights and colours of what a neuron reads and of what reads it
    [Weisfeiler and Leman, 1968]; of neurons that stay alike one is told apart and refinement goes on. Networks whose
    like neurons are no images of one another by a symmetry may keep two orders.
    """
    colours = depths(synapses, layout)
    edges = list(zip(*(column.tolist() for column in synapses[:3]), strict=True))
    while True:
        colours = _refined(edges, colours)
        alike: dict[int, list[int]] = {}
        for neuron, colour in colours.items():
            alike.setdefault(colour, []).append(neuron)
        tied = [colour for colour, neurons in sorted(alike.items()) if len(neurons) > 1]
        if not tied:
            return sorted(colours, key=colours.__getitem__)
        first = alike[tied[0]][0]
        colours = {neuron: 2 * colour - (neuron == first) for neuron, colour in colours.items()}


def _refined(edges: list[tuple[int, int, int]], colours: dict[int, int]) -> dict[int, int]:
    """Colours of hidden neurons, split until no class is split further; inputs and outputs have their numbers."""
    while True:
        read: dict[int, list[tuple[int, int, int]]] = {neuron: [] for neuron in colours}
        reading: dict[int, list[tuple[int, int, int]]] = {neuron: [] for neuron in colours}
        for source, target, level in edges:
            if target in read:
                read[target].append((*_seen(source, colours), level))
            if source in reading:
                reading[source].append((*_seen(target, colours), level))
        keys = {n: (colours[n], tuple(sorted(read[n])), tuple(sorted(reading[n]))) for n in colours}
        place = {key: i for i, key in enumerate(sorted(set(keys.values())))}
        finer = {neuron: place[key] for neuron, key in keys.items()}
        if len(place) == len(set(colours.values())):
            return finer
        colours = finer


def _seen(neuron: int, colours: dict[int, int]) -> tuple[int, int]:
    return (1, colours[neuron]) if neuron in colours else (0, neuron)
