"""Arithmetic of a pipeline over boards: which consecutive layers share a board, so that the slowest step is fastest.

    step(i, j) = time of the layers i to j - 1 on one board          link(j) = bytes alive between j - 1 and j / link
    interval   = min over cuts  max(steps, links)                    latency = sum of layers + links of the cuts

Found exactly by dynamic programming over the number of boards; of equal intervals the one with fewer cuts.

Not modelled: boards of different kinds, contention of a link by two directions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import entry, inner, source_stamp

__all__ = ["cut_bytes", "cuts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@inner
def _cuts(times: F64, links: F64, boards: int, best: F64, cut: I64) -> tuple[float, float, int]:
    """(interval, time on links, boards used); best, cut : (boards + 1, n + 1), written."""
    n = times.size
    running = np.zeros(n + 1)
    for i in range(n):
        running[i + 1] = running[i] + times[i]
    for i in range(n + 1):
        best[1, i] = running[i]
    used = 1
    for k in range(2, boards + 1):
        for i in range(n + 1):
            best[k, i], cut[k, i] = best[k - 1, i], -1  # a board more is not needed
            for j in range(1, i):
                value = max(best[k - 1, j], links[j], running[i] - running[j])
                if value < best[k, i]:
                    best[k, i], cut[k, i] = value, j
    i, on_links = n, 0.0
    for k in range(boards, 1, -1):
        if cut[k, i] > 0:
            i = cut[k, i]
            on_links += links[i]
            used += 1
    return best[boards, n], on_links, used


def _compiled(stamp: int) -> tuple[Any, Any]:
    """The loops over pairs and networks; `stamp` of their sources enters the key of numba's cache."""

    @entry
    def every_pair(
        times: F64, sequence: I64, starts: I64, crossing: F64, boards: I64, link: F64, network: I64, config: I64,
        out: F64,
    ) -> None:  # fmt: skip
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for p in range(network.size):
            first, stop = starts[network[p]], starts[network[p] + 1]
            n, k = stop - first, boards[config[p]]
            own, links = np.empty(n), np.zeros(n + 1)
            for i in range(n):
                own[i] = times[config[p], sequence[first + i]]
                links[i] = crossing[first + i] / link[config[p]]
            found = _cuts(own, links, k, np.zeros((k + 1, n + 1)), np.full((k + 1, n + 1), -1))
            out[p, 0], out[p, 1], out[p, 2] = found

    @entry
    def every_cut(sources: I64, destinations: I64, elements: F64, edges: I64, starts: I64, out: F64) -> None:
        if stamp == 0:
            return
        for n in range(starts.size - 1):
            size = starts[n + 1] - starts[n]
            last, moved = np.full(size, -1), np.zeros(size)
            for e in range(edges[n], edges[n + 1]):
                source = sources[e]
                if source >= 0 and destinations[e] >= 0:
                    last[source] = max(last[source], destinations[e])
                    moved[source] = elements[e]
            for source in range(size):
                for at in range(source + 1, last[source] + 1):
                    out[starts[n] + at] += moved[source]

    return every_pair, every_cut


_every_pair, _every_cut = _compiled(source_stamp(__file__))


def cut_bytes(networks: Any, element_bytes: float) -> F64:
    """Bytes alive in front of every place of all sequences; a tensor with several readers crosses once."""
    out = np.zeros(networks.sequence.size)
    _every_cut(
        networks.edge_source, networks.edge_destination, networks.edge_elements * element_bytes, networks.edge_start,
        networks.sequence_start, out,
    )  # fmt: skip
    return out


def cuts(
    times: F64, sequence: I64, starts: I64, crossing: F64, *, boards: I64, link_bytes_per_s: F64, network: I64,
    config: I64,
) -> F64:  # fmt: skip
    """(interval, time on links, boards used) of each pair, (P, 3); times (C, L), crossing (S,) bytes."""
    out = np.zeros((network.size, 3))
    _every_pair(times, sequence, starts, crossing, boards, link_bytes_per_s, network, config, out)
    return out
