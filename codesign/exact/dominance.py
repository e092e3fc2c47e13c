"""Kernels of the exact enumeration: dominance against a tree of points, bounds over a tree of designs, tiles of pairs.

A pair's objectives stand in one order everywhere: P pair columns (sum or max over layers), R network columns, A design
columns; O = P + R + A, all minimised. Pair columns P and above serve constraints alone.

Soundness of the bounds rests on monotone rounding: with costs and counts >= 0, reducing the least costs of a tile of
designs with the same operations in the same order gives at most what any design of the tile gives, to the last bit, so
no tolerance is needed. Tiles in float32 carry an explicit margin, and whatever they cannot decide is reduced again in
float64, term by term as `hwmodels.compose` does.

Not here: which networks, designs or metrics these are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "BEATEN",
    "FAN",
    "OVER",
    "SKIPPED_BEATEN",
    "SKIPPED_OVER",
    "Block",
    "DesignTree",
    "Found",
    "Killers",
    "PointTree",
    "Single",
    "beaten",
    "descend",
    "filter_listed",
    "filter_tile",
    "filter_values",
    "grow",
    "max_tile",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FAN = 8
"""Children of a node of the design tree: their costs fill one cache line, and vector instructions work on them."""
OVER, BEATEN, SKIPPED_OVER, SKIPPED_BEATEN = 0, 1, 2, 3
"""Counters of pairs: evaluated and over a limit, evaluated and dominated, the same of whole tiles by their bound."""
_TINY = 1e-30  # beside scaled values of about one: more than float32 loses by underflow
_LEAF = 8  # points in a leaf of a PointTree
_STACK = 512  # more than FAN times the depth of any tree
_PATIENCE = 64  # a tile that its remembered points do not beat is held against the whole front this seldom


class PointTree(NamedTuple):
    """Points for dominance queries: boxes halved along their widest side.

    points : (F, O), those of a node adjacent. start, stop, child : (V,) points of each node and its first child, -1 at
    a leaf; the second child follows the first. low, high : (V, O) box of each node.
    """

    points: F64
    start: I64
    stop: I64
    child: I64
    low: F64
    high: F64


class DesignTree(NamedTuple):
    """Designs in tiles of FAN, tiles in tiles, up to one group of at most FAN nodes, which is the last one.

    costs : (G, L, M, FAN) least layer costs of each node; columns : (G, A, FAN) least design columns. designs :
    (G, FAN) designs below each node, 0 where there is no node. first : (G,) group of the children of a group's first
    node; at level 0 the position of its first design. level : (G,).
    """

    costs: F64
    columns: F64
    designs: I64
    first: I64
    level: I64


class Block(NamedTuple):
    """Designs side by side: their position, layer costs (H, L, M) and design columns (H, A)."""

    first: int
    costs: F64
    columns: F64


class Single(NamedTuple):
    """How float32 stands for float64: a value times `scale` (M,), a power of two, is right within a relative margin.

    perhaps, certain : (M,) scaled limits; a value above is perhaps, or certainly, over its limit. widen : a scaled
    value above `widen` times another is the larger one.
    """

    scale: F64
    perhaps: F32
    certain: F32
    widen: float


class Killers(NamedTuple):
    """K points a design that beat a pair of it before.

    points : (1, H, K, O), infinite where there is none. pair : (K, P, H) their scaled and widened pair columns; rows :
    (K, R, H) their network columns. Their design columns are no worse than the design's.
    """

    points: F64
    pair: F32
    rows: F64


class Found(NamedTuple):
    """Room for what a kernel cannot rule out: network and design positions (S,), objectives (S, O)."""

    network: I64
    design: I64
    values: F64


@njit(cache=True, nogil=True)
def grow(points: F64) -> PointTree:
    """The tree of `points` (F, O), finite."""
    n, n_objectives = points.shape
    room = 2 * max(n, 1)
    start, stop, child = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    low, high = np.empty((room, n_objectives)), np.empty((room, n_objectives))
    order = np.arange(n)
    size, node = min(n, 1), 0
    if n:
        start[0], stop[0] = 0, n
    while node < size:
        a, b = start[node], stop[node]
        widest, share = 0, -1.0
        for o in range(n_objectives):
            low[node, o], high[node, o] = np.inf, -np.inf
            for i in range(a, b):
                value = points[order[i], o]
                low[node, o] = min(low[node, o], value)
                high[node, o] = max(high[node, o], value)
            whole = high[0, o] - low[0, o]
            here = (high[node, o] - low[node, o]) / whole if whole > 0 else 0.0
            if here > share:
                widest, share = o, here
        child[node] = -1
        if b - a > _LEAF:
            part = order[a:b].copy()
            order[a:b] = part[np.argsort(points[part, widest])]
            child[node] = size
            start[size], stop[size] = a, a + (b - a) // 2
            start[size + 1], stop[size + 1] = stop[size], b
            size += 2
        node += 1
    return PointTree(points[order], start[:size], stop[:size], child[:size], low[:size], high[:size])


@njit(cache=True, nogil=True)
def _dominator(point: F64, tree: PointTree, stack: I64) -> int:
    """Position of a point of the tree that dominates `point` (O,), or -1."""
    n_objectives = point.size
    stack[0] = 0
    top = min(tree.start.size, 1)
    while top > 0:
        top -= 1
        node = stack[top]
        possible, certain, better = True, True, False
        for o in range(n_objectives):
            if tree.low[node, o] > point[o]:
                possible = False
                break
            certain = certain and tree.high[node, o] <= point[o]
            better = better or tree.high[node, o] < point[o]
        if not possible:
            continue
        if certain and better:
            return int(tree.start[node])
        if tree.child[node] >= 0:
            stack[top], stack[top + 1] = tree.child[node] + 1, tree.child[node]
            top += 2
            continue
        for i in range(tree.start[node], tree.stop[node]):
            if _dominates(tree.points[i], point):
                return i
    return -1


@njit(cache=True, nogil=True)
def _dominates(left: F64, right: F64) -> bool:
    """No worse in every objective and better in one."""
    better = False
    for o in range(right.size):
        if left[o] > right[o]:
            return False
        better = better or left[o] < right[o]
    return better


@njit(cache=True, nogil=True)
def beaten(points: F64, tree: PointTree) -> Mask:
    """Which `points` (P, O) some point of the tree dominates, (P,); an equal point does not."""
    stack = np.empty(_STACK, np.int64)
    mask = np.empty(len(points), np.bool_)
    for i in range(len(points)):
        mask[i] = _dominator(points[i], tree, stack) >= 0
    return mask


@njit(cache=True, nogil=True)
def _remember(killers: F64, point: F64) -> None:
    """Put a dominating point in front of the remembered ones, (K, O)."""
    for q in range(len(killers) - 1, 0, -1):
        killers[q] = killers[q - 1]
    killers[0] = point


@njit(cache=True, nogil=True, error_model="numpy")
def descend(
    counts: F64,
    rows: F64,
    tree: DesignTree,
    is_max: Mask,
    limits: F64,
    front: PointTree,
    killers: F64,
    tries: I64,
    found: Found,
    enough: int,
    tally: I64,
) -> tuple[int, int]:
    """All pairs of some networks with the designs of a tree, whole tiles ruled out by their bound.

    Parameters
    ----------
    counts : (N, L). rows : (N, R) network columns. is_max, limits : (M,) how each pair column is reduced, and its
        largest allowed value. front : proven pairs. killers : (G, FAN, K, O) points that beat each node before, and
        tries : (G, FAN) how often they failed, both updated. enough : no further network once so many pairs are found.
        tally : (4,) counters, added to.

    Returns networks done and pairs found.
    """
    n_metrics, n_rows, n_columns = limits.size, rows.shape[1], tree.columns.shape[1]
    n_pair = killers.shape[3] - n_rows - n_columns
    leaves = tree.designs[-1].sum()
    group_costs = np.empty((n_metrics, FAN))
    point = np.empty(killers.shape[3])
    stack, query = np.empty(_STACK, np.int64), np.empty(_STACK, np.int64)
    size = 0
    for n in range(len(counts)):
        if size >= enough or size + leaves > found.network.size:
            return n, size
        point[n_pair : n_pair + n_rows] = rows[n]
        stack[0], top = tree.level.size - 1, 1
        while top > 0:
            top -= 1
            g = stack[top]
            leaf = tree.level[g] == 0
            _reduce_group(counts[n], tree.costs[g], is_max, group_costs)
            for j in range(FAN):
                below = tree.designs[g, j]
                if below == 0:
                    break
                over = False
                for m in range(n_metrics):
                    over = over or group_costs[m, j] > limits[m]
                if over:
                    tally[OVER if leaf else SKIPPED_OVER] += below
                    continue
                for m in range(n_pair):
                    point[m] = group_costs[m, j]
                for a in range(n_columns):
                    point[n_pair + n_rows + a] = tree.columns[g, a, j]
                dead = _remembered(point, killers, g, j)
                if not dead:
                    tries[g, j] += 1
                    if leaf or tries[g, j] % _PATIENCE == 1:
                        at = _dominator(point, front, query)
                        dead = at >= 0
                        if dead:
                            tries[g, j] -= 1
                            _remember(killers[g, j], front.points[at])
                if dead:
                    tally[BEATEN if leaf else SKIPPED_BEATEN] += below
                elif leaf:
                    found.network[size], found.design[size] = n, tree.first[g] + j
                    found.values[size] = point
                    size += 1
                else:
                    stack[top] = tree.first[g] + j
                    top += 1
    return len(counts), size


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce_group(counts: F64, costs: F64, is_max: Mask, out: F64) -> None:
    """out[m, j] = sum (or max) over layers of counts * costs[l, m, j], layers in order, as `hwmodels.compose` adds."""
    out[:] = 0.0
    for layer in range(counts.size):
        count = counts[layer]
        if count == 0.0:
            continue
        for m in range(len(out)):
            if is_max[m]:
                for j in range(FAN):
                    out[m, j] = max(out[m, j], costs[layer, m, j])
            else:
                for j in range(FAN):
                    out[m, j] += count * costs[layer, m, j]


@njit(cache=True, nogil=True)
def _remembered(point: F64, killers: F64, g: int, j: int) -> bool:
    """Whether a point remembered at [g, j] dominates `point`; indices, for a view would cost more than the loop."""
    for q in range(killers.shape[2]):
        no_worse, better = True, False
        for o in range(point.size):
            if killers[g, j, q, o] > point[o]:
                no_worse = False
                break
            better = better or killers[g, j, q, o] < point[o]
        if no_worse and better:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def filter_tile(
    tile: F32,
    counts: F64,
    rows: F64,
    block: Block,
    is_max: Mask,
    limits: F64,
    single: Single,
    front: PointTree,
    killers: Killers,
    found: Found,
    size: int,
    tally: I64,
) -> int:
    """Pairs of a float32 tile that no remembered point and then, in float64, no point of the front dominates.

    Parameters
    ----------
    tile : (M, N, H) pair columns times `single.scale`, each within a relative margin. counts, rows : (N, L), (N, R) of
        its networks. found, size : written from `size` on; room for the tile is the caller's affair.

    Returns the new size.
    """
    n_designs = tile.shape[2]
    n_pair, n_rows = killers.pair.shape[1], rows.shape[1]
    state = np.empty(n_designs, np.int32)
    point, exact = np.empty(killers.points.shape[3]), np.empty(limits.size)
    query = np.empty(_STACK, np.int64)
    for n in range(tile.shape[1]):
        _decide(tile, n, rows[n], block.first, single, killers, state)
        for j in range(n_designs):
            if state[j] & _CERTAIN:
                tally[OVER] += 1
                continue
            if state[j] == _KILLED:
                tally[BEATEN] += 1
                continue
            _reduce_pair(counts[n], block.costs[j], is_max, exact)
            if (exact > limits).any():
                tally[OVER] += 1
                continue
            point[:n_pair] = exact[:n_pair]
            point[n_pair : n_pair + n_rows] = rows[n]
            point[n_pair + n_rows :] = block.columns[j]
            design = block.first + j
            if _remembered(point, killers.points, 0, design):
                tally[BEATEN] += 1
                continue
            at = _dominator(point, front, query)
            if at >= 0:
                tally[BEATEN] += 1
                _remember(killers.points[0, design], front.points[at])
                _cast(killers, design, single)
                continue
            found.network[size], found.design[size] = n, design
            found.values[size] = point
            size += 1
    return size


_CERTAIN, _PERHAPS, _KILLED = 1, 2, 4


@njit(cache=True, nogil=True, error_model="numpy")
def _decide(
    tile: F32, n: int, row: F64, first: int, single: Single, killers: Killers, state: npt.NDArray[np.int32]
) -> None:
    """What float32 proves of one network's pairs: certainly or perhaps over a limit, certainly dominated."""
    n_slots, n_pair, _ = killers.pair.shape
    n_designs = state.size
    here = np.empty(n_designs, np.int32)
    state[:] = 0
    for m in range(single.perhaps.size):
        if np.isfinite(single.perhaps[m]):
            for j in range(n_designs):
                state[j] |= np.int32(tile[m, n, j] > single.perhaps[m]) * _PERHAPS
                state[j] |= np.int32(tile[m, n, j] > single.certain[m]) * _CERTAIN
    if n_pair == 0:
        return  # only a pair column proves that one point is strictly better
    for q in range(n_slots):
        here[:] = _KILLED
        for p in range(n_pair):
            reach = killers.pair[q, p, first : first + n_designs]
            values = tile[p, n]
            for j in range(n_designs):
                here[j] = here[j] if values[j] > reach[j] else 0
        for r in range(row.size):
            least, value = killers.rows[q, r, first : first + n_designs], row[r]
            for j in range(n_designs):
                here[j] = here[j] if least[j] <= value else 0
        for j in range(n_designs):
            state[j] |= here[j]


@njit(cache=True, nogil=True)
def _cast(killers: Killers, design: int, single: Single) -> None:
    """Thresholds in float32 of the points remembered for one design."""
    n_slots, n_pair, _ = killers.pair.shape
    n_rows = killers.rows.shape[1]
    for q in range(n_slots):
        for p in range(n_pair):
            reach = killers.points[0, design, q, p] * single.scale[p] * single.widen + _TINY
            killers.pair[q, p, design] = np.float32(reach)
        for r in range(n_rows):
            killers.rows[q, r, design] = killers.points[0, design, q, n_pair + r]


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce_pair(counts: F64, costs: F64, is_max: Mask, out: F64) -> None:
    """out[m] = sum (or max) over layers of counts * costs[l, m], layers in order, as `hwmodels.compose` adds."""
    out[:] = 0.0
    for layer in range(counts.size):
        count = counts[layer]
        if count != 0.0:
            for m in range(out.size):
                cost = costs[layer, m]
                out[m] = max(out[m], cost) if is_max[m] else out[m] + count * cost


@njit(cache=True, nogil=True)
def max_tile(counts: F64, costs: F32, out: F32) -> None:
    """out[n, h] = max over the layers that network n has of costs[l, h]: counts (N, L), costs (L, H)."""
    out[:] = 0.0
    for n in range(len(counts)):
        for layer in range(counts.shape[1]):
            if counts[n, layer] != 0.0:
                for j in range(out.shape[1]):
                    out[n, j] = max(out[n, j], costs[layer, j])


@njit(cache=True, nogil=True)
def filter_values(
    values: F64, allowed: Mask, first: int, front: PointTree, killers: F64, found: Found, size: int, tally: I64
) -> int:
    """Pairs of a tile of exact objectives that nothing known dominates.

    values : (O, N, H). allowed : (N, H), others are counted as over a limit. killers : (1, H', K, O) points remembered
    for each design, of which the tile's are those from `first` on. Returns the new size of `found`.
    """
    query = np.empty(_STACK, np.int64)
    point = np.empty(len(values))
    for n in range(values.shape[1]):
        for j in range(values.shape[2]):
            if not allowed[n, j]:
                tally[OVER] += 1
                continue
            for o in range(point.size):
                point[o] = values[o, n, j]
            if _remembered(point, killers, 0, first + j):
                tally[BEATEN] += 1
                continue
            at = _dominator(point, front, query)
            if at >= 0:
                tally[BEATEN] += 1
                _remember(killers[0, first + j], front.points[at])
                continue
            found.network[size], found.design[size] = n, first + j
            found.values[size] = point
            size += 1
    return size


@njit(cache=True, nogil=True)
def filter_listed(
    values: F64, allowed: Mask, network: I64, design: I64, front: PointTree, found: Found, size: int, tally: I64,
    ruled_out: int,
) -> int:  # fmt: skip
    """Listed pairs that no point of the front dominates; `ruled_out` more of their tile were by a bound.

    values : (S, O). allowed, network, design : (S,). Returns the new size of `found`.
    """
    query = np.empty(_STACK, np.int64)
    tally[SKIPPED_BEATEN] += ruled_out
    for i in range(len(values)):
        if not allowed[i]:
            tally[OVER] += 1
        elif _dominator(values[i], front, query) >= 0:
            tally[BEATEN] += 1
        else:
            found.network[size], found.design[size] = network[i], design[i]
            found.values[size] = values[i]
            size += 1
    return size
