"""Which of G equal devices runs each layer between two joints, and when, so that the last one ends first.

    start(v) = max(free(d(v)), max over producers u of v  end(u) + [d(u) != d(v)] (t_link + bytes(u) / B))
    end(v)   = start(v) + time(v)                                      makespan = max over v end(v)

The joint in front lies on device 0 and ends at 0. Small segments are solved exactly, depth-first over the devices of
the layers, and for each choice over schedules in the order of their starts. A branch ends where a bound reaches the
best makespan so far::

    start(v) + time(v) + the longest way behind v
    earliest start on a device + all its work + the shortest way behind any of it

Devices that nothing has run on are alike. Larger segments, and those whose search is cut short, have the better of: all
on one device, and list scheduling by the longest way to the end, transfers included (HEFT) [Topcuoglu et al., IEEE TPDS
2002], each improved by moving one layer at a time.

Not modelled: contention of links, layers that run twice, layers that share a device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import entry, inner, source_stamp

__all__ = ["MOST_EXACT", "place_all", "place_one"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

MOST_EXACT = 20
"""Layers of a segment that an exact search is begun for."""

_MOST_STEPS = 2_000_000
"""Branches after which an exact search is cut short: 0.15 to 0.45 s. Ten layers take fewer."""

_PASSES = 8
"""Rounds of moves of single layers: ASSUMED, gains end after two or three."""


@inner
def _arrival(v: int, d: int, source: I64, link: F64, at: I64, device: I64, end: F64) -> float:
    """When all that v reads is on device d."""
    latest = 0.0
    for e in range(at[v], at[v + 1]):
        u = source[e]
        if u < 0:
            latest = max(latest, 0.0 if d == 0 else link[e])
        else:
            latest = max(latest, end[u] if device[u] == d else end[u] + link[e])
    return latest


@inner
def _run(order: I64, time: F64, source: I64, link: F64, at: I64, device: I64, free: F64, start: F64) -> float:
    """The makespan of given devices in a given order; `start` is written."""
    free[:] = 0.0
    end = np.zeros(time.size)
    makespan = 0.0
    for v in order:
        d = device[v]
        start[v] = max(free[d], _arrival(v, d, source, link, at, device, end))
        end[v] = free[d] = start[v] + time[v]
        makespan = max(makespan, end[v])
    return makespan


@inner
def _ways(time: F64, source: I64, link: F64, at: I64, share: float) -> F64:
    """The longest way from the end of each layer to the end of all; transfers count by `share`."""
    behind = np.zeros(time.size)
    for v in range(time.size - 1, -1, -1):
        for e in range(at[v], at[v + 1]):
            if source[e] >= 0:
                behind[source[e]] = max(behind[source[e]], share * link[e] + time[v] + behind[v])
    return behind


@inner
def _listed(order: I64, time: F64, source: I64, link: F64, at: I64, device: I64, free: F64) -> None:
    """Every layer of the order on the device where it ends first; `device` is written."""
    free[:] = 0.0
    end = np.zeros(time.size)
    for v in order:
        best = 0
        found = np.inf
        for d in range(free.size):
            starts = max(free[d], _arrival(v, d, source, link, at, device, end))
            if starts < found:
                best, found = d, starts
        device[v] = best
        end[v] = free[best] = found + time[v]


@inner
def _moved(order: I64, time: F64, source: I64, link: F64, at: I64, device: I64, free: F64, start: F64) -> float:
    """Moves single layers to other devices while that ends earlier."""
    best = _run(order, time, source, link, at, device, free, start)
    for _ in range(_PASSES):
        before = best
        for v in range(time.size):
            own = device[v]
            for d in range(free.size):
                if d == own:
                    continue
                device[v] = d
                makespan = _run(order, time, source, link, at, device, free, start)
                if makespan < best:
                    best, own = makespan, d
            device[v] = own
        if best == before:
            break
    return best


@inner
def _by_rank(rank: F64, source: I64, at: I64) -> I64:
    """Layers by falling rank; a layer never before what it reads, as layers of no time could be."""
    n = rank.size
    order, waiting, ready = np.empty(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.bool_)
    for v in range(n):
        for e in range(at[v], at[v + 1]):
            waiting[v] += source[e] >= 0
        ready[v] = waiting[v] == 0
    for i in range(n):
        best = -1
        for v in range(n):
            if ready[v] and (best < 0 or rank[v] > rank[best]):
                best = v
        order[i], ready[best] = best, False
        for v in range(best + 1, n):
            for e in range(at[v], at[v + 1]):
                if source[e] == best:
                    waiting[v] -= 1
                    ready[v] = waiting[v] == 0
    return order


@inner
def _found(time: F64, source: I64, link: F64, at: I64, devices: int, device: I64, start: F64) -> float:
    """The best of what list scheduling and moves find; `device` and `start` are written."""
    free = np.zeros(devices)
    rank = _ways(time, source, link, at, (devices - 1.0) / devices) + time
    order = _by_rank(rank, source, at)
    device[:] = 0
    alone = _moved(order, time, source, link, at, device, free, start)
    listed = np.zeros_like(device)
    _listed(order, time, source, link, at, listed, free)
    if _moved(order, time, source, link, at, listed, free, start) < alone:
        device[:] = listed
    return _run(order, time, source, link, at, device, free, start)


@inner
def _ordered(
    time: F64, source: I64, link: F64, at: I64, device: I64, devices: int, head: F64, best: float, steps: I64,
    start: F64,
) -> float:  # fmt: skip
    """The least makespan of given devices where that is below `best`, else `best`; then `start` is that of it.

    Depth-first over schedules in the order of their starts: any schedule can be run again layer by layer in that order
    without a later start.
    """
    n = time.size
    behind = np.zeros(n)
    for v in range(n - 1, -1, -1):
        for e in range(at[v], at[v + 1]):
            u = source[e]
            if u >= 0:
                way = time[v] + behind[v] + (link[e] if device[u] != device[v] else 0.0)
                behind[u] = max(behind[u], way)
    left = np.zeros(devices)
    for d in range(devices):
        first, last, any_ = np.inf, np.inf, False
        for v in range(n):
            if device[v] == d:
                first, last, any_ = min(first, head[v]), min(last, behind[v]), True
                left[d] += time[v]
        if any_ and first + left[d] + last >= best:
            return best
    tried, chosen, was_free = np.zeros(n + 1, np.int64), np.full(n + 1, -1, np.int64), np.zeros(n + 1)
    now, end, done, free = np.zeros(n), np.zeros(n), np.zeros(n, np.bool_), np.zeros(devices)
    depth = 0
    while depth >= 0 and steps[0] < _MOST_STEPS:
        v = chosen[depth]
        if v >= 0:  # take back what was tried last at this depth
            done[v], free[device[v]], chosen[depth] = False, was_free[depth], -1
            left[device[v]] += time[v]
        last_layer = chosen[depth - 1] if depth else -1
        last = now[last_layer] if depth else 0.0
        descended = False
        while tried[depth] < n:
            v, d = tried[depth], device[tried[depth]]
            tried[depth] += 1
            if done[v]:
                continue
            ready = True
            for e in range(at[v], at[v + 1]):
                ready = ready and (source[e] < 0 or done[source[e]])
            if not ready:
                continue
            starts = max(free[d], _arrival(v, d, source, link, at, device, end))
            ends = starts + time[v]
            if starts < last or (starts == last and v < last_layer) or ends + behind[v] >= best:
                continue
            steps[0] += 1
            was_free[depth], chosen[depth] = free[d], v
            done[v], now[v], end[v], free[d] = True, starts, ends, ends
            left[d] -= time[v]
            hopeless = False
            for other in range(devices):
                least = np.inf
                for u in range(n):
                    if not done[u] and device[u] == other:
                        least = min(least, behind[u])
                hopeless = hopeless or (least < np.inf and max(free[other], starts) + left[other] + least >= best)
            if hopeless or depth + 1 == n:
                if not hopeless:
                    best = end.max()
                    start[:] = now
                done[v], free[d], chosen[depth] = False, was_free[depth], -1
                left[d] += time[v]
                continue
            depth, descended = depth + 1, True
            tried[depth] = 0
            break
        if not descended:
            depth -= 1
    return best


@inner
def _exact(
    time: F64, source: I64, link: F64, at: I64, devices: int, best: float, device: I64, start: F64
) -> tuple[float, bool]:
    """(the least makespan, whether that is proven); `device` and `start` are those of it where it beats `best`.

    Depth-first over devices of the layers in topological order; each complete choice is put in order by `_ordered`.
    """
    n = time.size
    behind = _ways(time, source, link, at, 0.0)
    where, head, begins = np.full(n, -1, np.int64), np.zeros(n), np.zeros(n)
    load, used = np.zeros(devices), np.zeros(n + 1, np.int64)
    steps = np.zeros(1, np.int64)
    for e in range(source.size):
        used[0] = 1 if source[e] < 0 else used[0]  # the joint in front is on the first
    v = 0
    while v >= 0 and steps[0] < _MOST_STEPS:
        if where[v] >= 0:
            load[where[v]] -= time[v]
        where[v] += 1
        d = where[v]
        if d >= devices or d > used[v]:
            where[v] = -1
            v -= 1
            continue
        steps[0] += 1
        load[d] += time[v]
        head[v] = 0.0
        for e in range(at[v], at[v + 1]):
            u = source[e]
            home, ends = (0, 0.0) if u < 0 else (where[u], head[u] + time[u])
            head[v] = max(head[v], ends if home == d else ends + link[e])
        first, last = head[v], behind[v]
        for u in range(v):
            if where[u] == d:
                first, last = min(first, head[u]), min(last, behind[u])
        if head[v] + time[v] + behind[v] >= best or first + load[d] + last >= best:
            continue
        if v + 1 < n:
            used[v + 1] = max(used[v], d + 1)
            v += 1
            continue
        makespan = _ordered(time, source, link, at, where, devices, head, best, steps, begins)
        if makespan < best:
            best = makespan
            device[:], start[:] = where, begins
    return best, steps[0] < _MOST_STEPS


@inner
def _solved(
    time: F64, source: I64, link: F64, at: I64, devices: int, exact_up_to: int, device: I64, start: F64
) -> tuple[float, bool]:
    """(makespan, whether no schedule ends earlier)."""
    n = time.size
    makespan = _found(time, source, link, at, devices, device, start)
    behind = _ways(time, source, link, at, 0.0)
    least = time.sum() / devices
    for v in range(n):
        least = max(least, time[v] + behind[v])
    if makespan <= least or devices == 1 or n == 1:
        return makespan, True
    if n > exact_up_to:
        return makespan, False
    return _exact(time, source, link, at, devices, makespan, device, start)


@inner
def _sent(source: I64, sizes: F64, at: I64, device: I64, devices: int) -> float:
    """Bytes on links: a tensor once to every device that reads it and does not have it."""
    n = device.size
    total = 0.0
    on = np.zeros((n + 1, devices), np.bool_)
    for v in range(n):
        for e in range(at[v], at[v + 1]):
            u = source[e]
            home = 0 if u < 0 else device[u]
            if home != device[v] and not on[u, device[v]]:  # u = -1 is the last line
                on[u, device[v]] = True
                total += sizes[e]
    return total


def _compiled(stamp: int) -> tuple[Any, Any]:
    """Loops over segments and designs; `stamp` of their sources enters the key of numba's cache."""

    @entry
    def every(
        times: F64, rows: I64, starts: I64, source: I64, sizes: F64, at: I64, kinds: I64, devices: int, latency: float,
        rate: float, exact_up_to: int, out: F64,
    ) -> None:  # fmt: skip
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for i in range(kinds.size):
            first, stop = starts[kinds[i]], starts[kinds[i] + 1]
            low, high = at[first], at[stop]
            n = stop - first
            time = times[rows[first:stop]]
            device, start = np.zeros(n, np.int64), np.zeros(n)
            edges = at[first : stop + 1] - low
            makespan, proven = _solved(
                time, source[low:high], latency + sizes[low:high] / rate, edges, devices, exact_up_to, device, start
            )
            out[i, 0], out[i, 2] = makespan, 0.0 if proven else n
            out[i, 1] = _sent(source[low:high], sizes[low:high], edges, device, devices)
            for d in range(devices):
                out[i, 3] += np.any(device == d)

    @entry
    def one(
        time: F64, source: I64, link: F64, at: I64, devices: int, exact_up_to: int, device: I64, start: F64
    ) -> tuple[float, bool]:
        if stamp == 0:
            return 0.0, False
        return _solved(time, source, link, at, devices, exact_up_to, device, start)

    return every, one


_every, _one = _compiled(source_stamp(__file__))


def place_one(
    time: F64, source: I64, link: F64, at: I64, devices: int, *, exact_up_to: int = MOST_EXACT
) -> tuple[float, bool, I64, F64]:
    """One segment: (makespan, whether it is the least, device (n,), start (n,)).

    time : (n,) s, layers in topological order. source, link, at : of layer v the producers source[at[v]:at[v + 1]], -1
    for the joint in front, and the seconds that what they made takes to another device.
    """
    device, start = np.zeros(time.size, np.int64), np.zeros(time.size)
    if not time.size:
        return 0.0, True, device, start
    makespan, proven = _one(time, source, link, at, devices, exact_up_to, device, start)
    return float(makespan), bool(proven), device, start


def place_all(
    times: F64, segments: Any, sizes: F64, kinds: I64, *, devices: int, latency_s: float, bytes_per_s: float,
    exact_up_to: int = MOST_EXACT,
) -> F64:  # fmt: skip
    """(makespan, bytes on links, layers whose place is not proven best, devices that work) of each kind of segment.

    times : (L,) s of every layer. sizes : (E,) bytes of every edge of the `segments`. kinds : (K,) -> (K, 4).
    """
    out = np.zeros((kinds.size, 4))
    _every(
        times, segments.rows, segments.start, segments.source, sizes, segments.edge_start, kinds, devices, latency_s,
        bytes_per_s, exact_up_to, out,
    )  # fmt: skip
    return out
