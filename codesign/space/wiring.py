"""Directed acyclic graphs of few nodes: an order that isomorphic ones share, and moves that add and remove nodes.

Nodes are numbered from 1 so that each reads smaller numbers alone; 0 is what enters. A node has an operator and a
stage, and stages do not fall along an edge. Nodes that nothing reads are loose ends, which feed the output.

The order follows from colour refinement [Weisfeiler and Leman, 1968] and, where colours tie, from a search that gives
each candidate in turn a colour of its own, refines again, keeps the order of least code, and leaves out candidates that
a known automorphism maps to one already tried [McKay, 1981]. Wirings that are equal after a renumbering become one, and
others do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Concat, Elementwise

__all__ = ["Wiring", "inserted", "loose_ends", "met", "numbering", "ordered", "removed", "rewired"]

_Code = tuple[int, int, tuple[int, ...], int]
"""A node as it is compared: stage, operator, the numbers that it reads, sorted, and its colour."""


class Wiring(NamedTuple):
    """Nodes 1 to n: the operator and stage of each, and which numbers below its own it reads (at least one)."""

    operators: tuple[int, ...]
    stages: tuple[int, ...]
    sources: tuple[frozenset[int], ...]


def loose_ends(wiring: Wiring) -> list[int]:
    """Nodes that no other reads; what enters, where there is no node.

    >>> loose_ends(Wiring((0, 0), (0, 0), (frozenset({0}), frozenset({0}))))
    [1, 2]
    """
    read = frozenset().union(*wiring.sources)
    return [node for node in range(1, _size(wiring) + 1) if node not in read] or [0]


def ordered(wiring: Wiring) -> Wiring:
    """The wiring under the numbers that all isomorphic ones share, stage by stage."""
    return _renumbered(wiring, numbering(wiring))


def numbering(wiring: Wiring) -> list[int]:
    """The nodes in that order, by the numbers that they have now."""
    return _Orders(wiring).best


def inserted(wiring: Wiring, operator: int, stage: int, *, source: int, reader: int | None = None) -> Wiring:
    """One node more, which reads `source` and stands between it and `reader`; a branch of its own where None.

    The stage is not below that of the source nor above that of the reader.
    """
    place = max(source, sum(other < stage for other in wiring.stages)) + 1
    sources = [frozenset(_moved_up(given, place)) for given in wiring.sources]
    sources.insert(place - 1, frozenset({source}))
    if reader is not None:  # which stands behind the new node
        sources[reader] = sources[reader] - {source} | {place}
    return Wiring(_with(wiring.operators, place, operator), _with(wiring.stages, place, stage), tuple(sources))


def removed(wiring: Wiring, node: int) -> Wiring:
    """Without a node: what reads it reads what it has read."""
    bypassed = [given - {node} | wiring.sources[node - 1] if node in given else given for given in wiring.sources]
    kept = [i for i in range(_size(wiring)) if i != node - 1]
    return Wiring(
        tuple(wiring.operators[i] for i in kept),
        tuple(wiring.stages[i] for i in kept),
        tuple(frozenset(number - (number > node) for number in bypassed[i]) for i in kept),
    )


def rewired(wiring: Wiring, node: int, source: int) -> Wiring | None:
    """With an edge more, or without it where it is there; None where that was all the node reads."""
    given = wiring.sources[node - 1] ^ {source}
    if not given:
        return None
    return wiring._replace(sources=(*wiring.sources[: node - 1], given, *wiring.sources[node:]))


def met(net: Builder, tensors: Sequence[str], join: str) -> str:
    """What several tensors give that enter one node: their sum, or their channels side by side (`join` "concat")."""
    if len(tensors) == 1:
        return tensors[0]
    return net.add(Concat(axis=1) if join == "concat" else Elementwise("add"), *tensors)


def _size(wiring: Wiring) -> int:
    return len(wiring.operators)


def _moved_up(numbers: Iterable[int], place: int) -> list[int]:
    return [number + (number >= place) for number in numbers]


def _with(values: tuple[int, ...], place: int, value: int) -> tuple[int, ...]:
    return (*values[: place - 1], value, *values[place - 1 :])


def _renumbered(wiring: Wiring, order: Sequence[int]) -> Wiring:
    """Nodes in another order, which is one that edges follow."""
    number = {0: 0} | {node: i for i, node in enumerate(order, start=1)}
    return Wiring(
        tuple(wiring.operators[node - 1] for node in order),
        tuple(wiring.stages[node - 1] for node in order),
        tuple(frozenset(number[source] for source in wiring.sources[node - 1]) for node in order),
    )


def _refined(wiring: Wiring, colours: list[int]) -> list[int]:
    """Colours by number, refined by those of what a node reads and of what reads it until no class is split further."""
    numbers = range(_size(wiring) + 1)
    sources = [frozenset(), *wiring.sources]
    readers = [[node for node in numbers if number in sources[node]] for number in numbers]
    while True:
        finer = _ranks(
            [
                (
                    colours[number],
                    tuple(sorted(colours[source] for source in sources[number])),
                    tuple(sorted(colours[reader] for reader in readers[number])),
                )
                for number in numbers
            ]
        )
        if len(set(finer)) == len(set(colours)):
            return finer
        colours = finer


def _ranks(keys: Sequence[tuple[object, ...]]) -> list[int]:
    place = {key: i for i, key in enumerate(sorted(set(keys)))}
    return [place[key] for key in keys]


class _Orders:
    """The search for the order of least code; `best` is it."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._automorphisms: list[dict[int, int]] = []
        self.best: list[int] = []
        self._least: list[_Code] = []
        kinds = [(-1, -1), *zip(wiring.stages, wiring.operators, strict=True)]
        self._extend([], [], _refined(wiring, _ranks(kinds)))

    def _extend(self, order: list[int], code: list[_Code], colours: list[int]) -> None:
        """Go on from the first nodes of an order, their code and the colours that these choices left."""
        if self._least and code > self._least[: len(code)]:
            return
        if len(order) == _size(self._wiring):
            if code == self._least:
                self._automorphisms.append(dict(zip(self.best, order, strict=True)))
            else:
                self.best, self._least = order, code
            return
        step, candidates = self._next(order, colours)
        tried: set[int] = set()
        for node in candidates:
            if not tried & self._orbit(node, order):
                apart = colours if len(candidates) == 1 else self._apart(colours, node)
                self._extend([*order, node], [*code, step], apart)
                tried.add(node)

    def _apart(self, colours: list[int], node: int) -> list[int]:
        """Colours in which a node has one of its own, refined."""
        return _refined(self._wiring, [2 * colour - (number == node) for number, colour in enumerate(colours)])

    def _next(self, order: list[int], colours: list[int]) -> tuple[_Code, list[int]]:
        """The least code among nodes whose sources all have numbers, and the nodes that have it."""
        number = {0: 0} | {node: i for i, node in enumerate(order, start=1)}
        found: dict[_Code, list[int]] = {}
        for node, (operator, stage, given) in enumerate(zip(*self._wiring, strict=True), start=1):
            if node not in number and all(source in number for source in given):
                code = (stage, operator, tuple(sorted(number[source] for source in given)), colours[node])
                found.setdefault(code, []).append(node)
        least = min(found)
        return least, found[least]

    def _orbit(self, node: int, fixed: list[int]) -> set[int]:
        """The nodes that known automorphisms map to this one and that leave the first ones where they are."""
        kept = [known for known in self._automorphisms if all(known[first] == first for first in fixed)]
        orbit, waiting = {node}, [node]
        while waiting:
            reached = waiting.pop()
            for known in kept:
                for new in (known[reached], next(a for a, b in known.items() if b == reached)):
                    if new not in orbit:
                        orbit.add(new)
                        waiting.append(new)
        return orbit
