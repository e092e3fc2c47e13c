"""Networks cut at their joints: layers that every way through the network passes.

A joint is a layer that comes behind all layers before it and in front of all after it. Nothing before a joint can run
beside anything after it, and behind it one device alone holds all there is: between two joints lies a problem of its
own. Networks are chains of few kinds of segments, so each kind is solved once.

    time of a network = sum over its segments  count x makespan        exactly, for equal devices
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from hwmodels.compose import LayerCounts
from hwmodels.families.kernel_parts import entry, source_stamp
from hwmodels.workload.table import I64, LayerTable, Networks

__all__ = ["Segments", "segments_of"]

F64 = npt.NDArray[np.float64]

_ENTERS = -1
"""In place of a producer: the joint in front of the segment."""


class Segments(NamedTuple):
    """S kinds of segments of the networks of a table.

    rows : layers of the segments, one after the other; segment s owns rows[start[s]:start[s + 1]].
    source, elements : (E,) producers of each layer, places in the own segment or -1 for the joint that enters, and the
        elements read of them; the j-th layer of `rows` owns source[edge_start[j]:edge_start[j + 1]].
    counts : which kinds a network has, and how often. which : per network the kind of each of its segments, in order.
    """

    rows: I64
    start: I64
    source: I64
    elements: F64
    edge_start: I64
    counts: LayerCounts
    which: tuple[tuple[int, ...], ...]

    @property
    def n(self) -> int:
        return int(self.start.size - 1)


def _compiled(stamp: int) -> Any:
    @entry
    def joints(source: I64, destination: I64, edge_start: I64, sequence_start: I64, is_joint: npt.NDArray[Any]) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for n in range(sequence_start.size - 1):
            first, size = sequence_start[n], sequence_start[n + 1] - sequence_start[n]
            has_source, has_reader = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
            furthest = np.zeros(size + 1, np.int64)  # the last reader of what stands before a place
            for e in range(edge_start[n], edge_start[n + 1]):
                if source[e] >= 0 and destination[e] >= 0:
                    has_source[destination[e]] = has_reader[source[e]] = True
                    furthest[source[e] + 1] = max(furthest[source[e] + 1], destination[e])
            last_source = 0
            first_sink = size - 1
            for i in range(size):
                if not has_source[i]:
                    last_source = i
                if not has_reader[size - 1 - i]:
                    first_sink = size - 1 - i
            reached = 0
            for i in range(size):
                reached = max(reached, furthest[i])
                is_joint[first + i] = reached <= i and last_source <= i <= first_sink

    return joints


_joints = _compiled(source_stamp(__file__))


def _is_joint(networks: Networks) -> npt.NDArray[np.bool_]:
    """By the place in all sequences."""
    found = np.zeros(networks.sequence.size, np.bool_)
    _joints(networks.edge_source, networks.edge_destination, networks.edge_start, networks.sequence_start, found)
    return found


_FOUND: WeakKeyDictionary[LayerTable, Segments] = WeakKeyDictionary()


def segments_of(table: LayerTable) -> Segments:
    """Those of a table's networks; found once a table."""
    if table not in _FOUND:
        _FOUND[table] = _segments(table)
    return _FOUND[table]


def _segments(table: LayerTable) -> Segments:
    networks = table.networks
    ends = _is_joint(networks)
    kinds: dict[tuple[Any, ...], int] = {}
    which: list[tuple[int, ...]] = []
    for n in range(table.n_networks):
        begin, stop = networks.sequence_start[n : n + 2].tolist()
        inside = slice(*networks.edge_start[n : n + 2].tolist())
        edges = _edges(networks, inside, stop - begin)
        bounds = [0, *(np.flatnonzero(ends[begin:stop]) + 1).tolist()]
        if bounds[-1] != stop - begin:
            bounds.append(stop - begin)
        rows = networks.sequence[begin:stop].tolist()
        found = []
        for low, high in pairwise(bounds):
            own = tuple(
                tuple((source - low if source >= low else _ENTERS, elements) for source, elements in edges[i])
                for i in range(low, high)
            )
            found.append(kinds.setdefault((tuple(rows[low:high]), own), len(kinds)))
        which.append(tuple(found))
    return _joined(kinds, which)


def _edges(networks: Networks, inside: slice, size: int) -> list[list[tuple[int, int]]]:
    """(producer, elements) of every layer of one network; inputs of the network are on every device."""
    made: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    columns = (networks.edge_source, networks.edge_destination, networks.edge_elements)
    for source, destination, elements in zip(*(column[inside].tolist() for column in columns), strict=True):
        if source >= 0 and destination >= 0:
            made[destination].append((source, elements))
    return made


def _joined(kinds: dict[tuple[Any, ...], int], which: list[tuple[int, ...]]) -> Segments:
    rows: list[int] = []
    source: list[int] = []
    elements: list[int] = []
    sizes: list[int] = []
    degrees: list[int] = []
    for own_rows, own in kinds:
        rows.extend(own_rows)
        sizes.append(len(own_rows))
        for edges in own:
            degrees.append(len(edges))
            source.extend(producer for producer, _ in edges)
            elements.extend(read for _, read in edges)
    counted = [np.unique(np.array(found, np.int64), return_counts=True) for found in which]
    counts = LayerCounts(
        np.concatenate([np.zeros(0, np.int64), *(kind for kind, _ in counted)]),
        np.concatenate([np.zeros(0), *(times.astype(np.float64) for _, times in counted)]),
        _starts([kind.size for kind, _ in counted]),
    )
    return Segments(
        np.array(rows, np.int64), _starts(sizes), np.array(source, np.int64), np.array(elements, np.float64),
        _starts(degrees), counts, tuple(which),
    )  # fmt: skip


def _starts(sizes: list[int]) -> I64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(sizes, np.int64))])
