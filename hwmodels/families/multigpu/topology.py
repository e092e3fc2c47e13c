"""Which wires join the GPUs of a node, and what a ring or an exchange over some of them gets of each wire.

A topology is a directed graph: GPUs and switches are nodes, each edge is a wire of one direction with its rate. A
message takes the fastest path; a wire that several messages of one step share is divided among them::

    rate of a pattern = min over wires of  rate of the wire / messages on it

switch   every GPU on one switch (NVSwitch)              pairs   a bridge joins two neighbours, a PCIe tree the rest
tree     PCIe: switches below sockets below one link     torus   neighbours in two dimensions, wrapped around

Rates are wire rates; what protocols leave of them is in `collectives`. Nodes are joined by a network of which each node
has a share, and of which groups of nodes beyond `leaf_nodes` get less (`network_share`).

Not modelled: adaptive routing, several rings side by side, messages that miss each other in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

__all__ = [
    "WIRINGS",
    "Wiring",
    "island_bytes_per_s",
    "network_share",
    "node_graph",
    "pattern_bytes_per_s",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

Wiring = Literal["switch", "pairs", "tree", "torus"]
WIRINGS: tuple[Wiring, ...] = ("switch", "pairs", "tree", "torus")

_PER_SWITCH = 2
"""GPUs below one PCIe switch; a socket has half of the node. Source: block diagrams of 8-GPU PCIe servers, where two
GPUs (and a network card) hang on a switch; ASSUMED for others, plausible 1 to 4."""


def _join(graph: nx.DiGraph, one: object, other: object, bytes_per_s: float) -> None:
    """A wire each way."""
    for edge in ((one, other), (other, one)):
        graph.add_edge(*edge, bytes_per_s=bytes_per_s, seconds_per_byte=1.0 / bytes_per_s)


def node_graph(wiring: Wiring, gpus: int, *, link_bytes_per_s: float, host_bytes_per_s: float) -> nx.DiGraph:
    """The wires of one node; GPUs are named 0, 1, ...

    link_bytes_per_s : all links of a GPU together, one direction; of a tree, its PCIe slot. host_bytes_per_s : what
    joins GPUs without a link, one direction: a PCIe slot, and the link between the sockets.

    >>> node_graph("switch", 8, link_bytes_per_s=300e9, host_bytes_per_s=25e9).number_of_edges()
    16
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(range(gpus))
    if wiring == "switch":
        for gpu in range(gpus):
            _join(graph, gpu, "switch", link_bytes_per_s)
    elif wiring == "torus":
        _torus(graph, gpus, link_bytes_per_s)
    else:
        slot = link_bytes_per_s if wiring == "tree" else host_bytes_per_s
        _tree(graph, gpus, slot_bytes_per_s=slot, host_bytes_per_s=host_bytes_per_s)
        if wiring == "pairs":
            for gpu in range(0, gpus - 1, 2):
                _join(graph, gpu, gpu + 1, link_bytes_per_s)
    return graph


def _tree(graph: nx.DiGraph, gpus: int, *, slot_bytes_per_s: float, host_bytes_per_s: float) -> None:
    sockets = 2 if gpus > _PER_SWITCH else 1
    for gpu in range(gpus):
        _join(graph, gpu, f"switch{gpu // _PER_SWITCH}", slot_bytes_per_s)
    for switch in range(-(-gpus // _PER_SWITCH)):
        socket = switch * _PER_SWITCH * sockets // gpus
        _join(graph, f"switch{switch}", f"socket{socket}", slot_bytes_per_s)
    if sockets == 2:
        _join(graph, "socket0", "socket1", host_bytes_per_s)


def _torus(graph: nx.DiGraph, gpus: int, link_bytes_per_s: float) -> None:
    """As square as the number of GPUs allows, numbered to and fro; a GPU's links are shared out to its neighbours."""
    rows = max(side for side in range(1, int(gpus**0.5) + 1) if gpus % side == 0)
    columns = gpus // rows
    places = {
        (row, column): row * columns + (column if row % 2 == 0 else columns - 1 - column)
        for row in range(rows)
        for column in range(columns)
    }
    neighbours = {
        frozenset({gpu, places[(row + down) % rows, (column + right) % columns]})
        for (row, column), gpu in places.items()
        for down, right in ((0, 1), (1, 0))
    }
    edges = [sorted(pair) for pair in neighbours if len(pair) == 2]
    degree = Counter(gpu for edge in edges for gpu in edge)
    for one, other in edges:
        _join(graph, one, other, link_bytes_per_s / degree[one])


def pattern_bytes_per_s(graph: nx.DiGraph, messages: Sequence[tuple[int, int]]) -> float:
    """What the slowest of messages that are under way together gets; infinite for none."""
    flows: Counter[tuple[object, object]] = Counter()
    destinations: dict[int, list[int]] = {}
    for source, destination in messages:
        destinations.setdefault(source, []).append(destination)
    for source, some in destinations.items():
        paths = nx.single_source_dijkstra_path(graph, source, weight="seconds_per_byte")
        for destination in some:
            flows.update(pairwise(paths[destination]))
    return min((float(graph.edges[edge]["bytes_per_s"]) / count for edge, count in flows.items()), default=np.inf)


@lru_cache(maxsize=4096)
def island_bytes_per_s(
    wiring: Wiring, gpus: int, ranks: int, stride: int, link_bytes_per_s: float, host_bytes_per_s: float
) -> tuple[float, float]:
    """(rate of a ring, rate of an exchange) of one of the groups of `ranks` GPUs, each `stride` from the next.

    All groups that the node holds whole are under way together.

    >>> [island_bytes_per_s("pairs", 4, ranks, 1, 300e9, 25e9)[0] for ranks in (2, 4)]
    [300000000000.0, 25000000000.0]
    """
    if ranks < 2:
        return np.inf, np.inf
    graph = node_graph(wiring, gpus, link_bytes_per_s=link_bytes_per_s, host_bytes_per_s=host_bytes_per_s)
    firsts = [base + offset for base in range(0, gpus, ranks * stride) for offset in range(stride)]
    groups = [[first + stride * i for i in range(ranks)] for first in firsts if first + stride * (ranks - 1) < gpus]
    rings = [hop for ring in groups for hop in zip(ring, [*ring[1:], ring[0]], strict=True)]
    pairs = [(one, other) for group in groups for one in group for other in group if one != other]
    return pattern_bytes_per_s(graph, rings), pattern_bytes_per_s(graph, pairs) * (ranks - 1)


def network_share(across: I64, *, leaf_nodes: int, oversubscription: float) -> F64:
    """Share of a node's network rate that a group over so many nodes gets.

    Below one leaf switch all of it, beyond that one over the oversubscription of the tree.
    """
    return np.where(across > leaf_nodes, 1.0 / oversubscription, 1.0)
