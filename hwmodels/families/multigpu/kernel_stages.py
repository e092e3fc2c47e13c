"""Arithmetic of a pipeline over groups of GPUs: which consecutive layers share a stage, so that the slowest is fastest.

    interval = min over cuts into at most p stages  max(sum of a stage's times, transfers at its cuts)

The least limit that p stages can keep is found by bisection, and stages are filled up to it from the front. Of a stage
are also known its bytes, of which the largest decide whether memory holds them.

Not modelled: stages that a limit would leave emptier at the same interval.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import entry, inner, source_stamp

__all__ = ["crossing_bytes", "stages"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_HALVINGS = 60


@inner
def _filled(times: F64, held: F64, links: F64, sent: F64, limit: float) -> tuple[int, float, float, float, float]:
    """(stages, slowest, time on links, most bytes held, bytes sent); each stage takes layers until the limit is met."""
    count, slowest, on_links, most, moved, now, bytes_now = 1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(times.size):
        if now > 0.0 and now + times[i] > limit:
            slowest, most = max(slowest, now, links[i]), max(most, bytes_now)
            on_links += links[i]
            moved += sent[i]
            count += 1
            now, bytes_now = 0.0, 0.0
        now += times[i]
        bytes_now += held[i]
    return count, max(slowest, now), on_links, max(most, bytes_now), moved


@inner
def _best(times: F64, held: F64, links: F64, sent: F64, stages: int) -> tuple[int, float, float, float, float]:
    low, high = 0.0, 0.0
    for i in range(times.size):
        low = max(low, times[i])
        high += times[i]
    if stages == 1:
        return _filled(times, held, links, sent, np.inf)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if _filled(times, held, links, sent, middle)[0] <= stages:
            high = middle
        else:
            low = middle
    if _filled(times, held, links, sent, low)[0] <= stages:  # the longest layer alone may be the limit
        high = low
    return _filled(times, held, links, sent, high)


def _compiled(stamp: int) -> tuple[Any, Any]:
    """The loops over networks; `stamp` of their sources enters the key of numba's cache."""

    @entry
    def every_network(
        times: F64, held: F64, links: F64, sent: F64, start: I64, network: I64, most: int, out: F64
    ) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for p in range(network.size):
            part = slice(start[network[p]], start[network[p] + 1])
            found = _best(times[part], held[part], links[part], sent[part], most)
            out[p, 0], out[p, 1], out[p, 2], out[p, 3], out[p, 4] = found

    @entry
    def every_cut(sources: I64, destinations: I64, edges: I64, starts: I64, made: F64, out: F64) -> None:
        if stamp == 0:
            return
        for n in range(starts.size - 1):
            first = starts[n]
            last = np.full(starts[n + 1] - first, -1)
            for e in range(edges[n], edges[n + 1]):
                if sources[e] >= 0 and destinations[e] >= 0:
                    last[sources[e]] = max(last[sources[e]], destinations[e])
            for source in range(last.size):
                for at in range(source + 1, last[source] + 1):
                    out[first + at] += made[first + source]

    return every_network, every_cut


_every_network, _every_cut = _compiled(source_stamp(__file__))


def crossing_bytes(networks: Any, made: F64) -> F64:
    """Bytes alive in front of every place of all networks, (S,); a tensor with several readers crosses once.

    networks : Networks. made : (S,) bytes that each place makes.
    """
    out = np.zeros(networks.sequence.size)
    _every_cut(networks.edge_source, networks.edge_destination, networks.edge_start, networks.sequence_start, made, out)
    return out


def stages(times: F64, held: F64, links: F64, sent: F64, *, start: I64, network: I64, most: int) -> F64:
    """(stages, slowest stage in s, time on links in s, most bytes held, bytes sent) of P networks, (P, 5).

    times, links : (S,) seconds of each place of all networks, and of a transfer in front of it. held, sent : (S,)
    bytes of each place, and of that transfer. most : stages at most.
    """
    out = np.zeros((network.size, 5))
    _every_network(times, held, links, sent, start, network, most, out)
    return out
