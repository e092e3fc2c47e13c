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

from hwmodels.kernel_cache import cached_njit

__all__ = [
    "BEATEN",
    "FAN",
    "OVER",
    "SKIPPED_BEATEN",
    "SKIPPED_OVER",
    "UNDECIDED",
    "Block",
    "CandidatePairs",
    "Descent",
    "DesignMemory",
    "DesignTree",
    "Filtering",
    "Float32Bounds",
    "Networks",
    "NodeMemory",
    "PairMetrics",
    "PointTree",
    "beaten",
    "descend",
    "filter_listed",
    "filter_pairs",
    "filter_tile",
    "filter_values",
    "grow",
    "max_tile",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FAN = 8
"""Children of a node of the design tree: their costs fill one cache line, and vector instructions work on them."""
OVER, BEATEN, SKIPPED_OVER, SKIPPED_BEATEN = 0, 1, 2, 3
"""Reasons why a pair is left out: a pair is evaluated and over a limit or dominated; a bound of its tile is."""
UNDECIDED = -1
"""No reason is known to leave the pair or tile out."""
_TINY = 1e-30  # beside scaled values of about one: more than float32 loses by underflow
_LEAF = 8  # points in a leaf of a PointTree
_STACK = 512  # more than FAN times the depth of any tree
_PATIENCE = 64  # attempts between two searches of the front for a point that dominates a tile


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


class Float32Bounds(NamedTuple):
    """How float32 stands for float64: a value times `scale` (M,), a power of two, is right within a relative margin.

    possibly_over, certainly_over : (M,) scaled limits; a value above is possibly, or certainly, over its limit.
    widen : a scaled value above `widen` times another is the larger one.
    """

    scale: F64
    possibly_over: F32
    certainly_over: F32
    widen: float


class DesignMemory(NamedTuple):
    """K points a design that dominated a pair of it before, infinite where there is none.

    points : (1, H, K, O). pair : (K, P, H) their scaled and widened pair columns; rows : (K, R, H) their network
    columns. Their design columns are no worse than the design's.
    """

    points: F64
    pair: F32
    rows: F64


class CandidatePairs(NamedTuple):
    """Room for S pairs that a kernel cannot rule out: network and design positions (S,), objectives (S, O)."""

    network: I64
    design: I64
    values: F64


class Networks(NamedTuple):
    """N networks: counts (N, L), how often each runs each layer, and their network columns, rows (N, R)."""

    counts: F64
    rows: F64


class PairMetrics(NamedTuple):
    """Pair columns: is_max (M,), whether each is a max or a sum over layers; limits (M,), its largest allowed value."""

    is_max: Mask
    limits: F64


class NodeMemory(NamedTuple):
    """What past searches of the front say of each node of a design tree.

    points : (G, FAN, K, O) points that dominated the node before, infinite where there is none. attempts : (G, FAN)
    how often no remembered point dominated it, less the searches of the front that found one.
    """

    points: F64
    attempts: I64


class Descent(NamedTuple):
    """Some networks against the designs of a tree and a front of proven pairs.

    by_reason : (4,) counts of pairs by reason, added to.
    """

    networks: Networks
    metrics: PairMetrics
    tree: DesignTree
    front: PointTree
    memory: NodeMemory
    candidates: CandidatePairs
    by_reason: I64


class Filtering(NamedTuple):
    """Some networks against a block of neighbouring designs and a front of proven pairs.

    bounds : by which the memory keeps points in float32. by_reason : (4,) counts of pairs by reason, added to.
    """

    networks: Networks
    metrics: PairMetrics
    block: Block
    front: PointTree
    memory: DesignMemory
    bounds: Float32Bounds
    candidates: CandidatePairs
    by_reason: I64


@cached_njit()
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


@cached_njit()
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


@cached_njit()
def _dominates(left: F64, right: F64) -> bool:
    """No worse in every objective and better in one."""
    better = False
    for o in range(right.size):
        if left[o] > right[o]:
            return False
        better = better or left[o] < right[o]
    return better


@cached_njit()
def beaten(points: F64, tree: PointTree) -> Mask:
    """Which `points` (P, O) some point of the tree dominates, (P,); an equal point does not."""
    stack = np.empty(_STACK, np.int64)
    mask = np.empty(len(points), np.bool_)
    for i in range(len(points)):
        mask[i] = _dominator(points[i], tree, stack) >= 0
    return mask


@cached_njit()
def _remember(dominating: F64, point: F64) -> None:
    """Put a dominating point in front of the remembered ones, (K, O)."""
    for q in range(len(dominating) - 1, 0, -1):
        dominating[q] = dominating[q - 1]
    dominating[0] = point


@cached_njit(error_model="numpy")
def descend(descent: Descent, enough: int) -> tuple[int, int]:
    """All pairs of some networks with the designs of a tree; a bound rules out whole tiles.

    Parameters
    ----------
    descent : the memory, the candidates and the counts in it are updated. enough : no further network begins once so
        many pairs are found.

    Returns networks done and pairs found.
    """
    n_networks, n_designs, size = len(descent.networks.counts), descent.tree.designs[-1].sum(), 0
    for n in range(n_networks):
        if size >= enough or size + n_designs > descent.candidates.network.size:
            return n, size
        size = _descend_network(descent, n, size)
    return n_networks, size


@cached_njit(error_model="numpy")
def _descend_network(descent: Descent, n: int, size: int) -> int:
    """The candidates among the pairs of network n, written from `size` on; returns the new size."""
    # Records are taken apart once a network: to do so at each node, or to hand them on, costs more than the node.
    tree, memory, front, candidates = descent.tree, descent.memory, descent.front, descent.candidates
    is_max, limits, by_reason = descent.metrics.is_max, descent.metrics.limits, descent.by_reason
    points, attempts = memory.points, memory.attempts
    costs, point = np.empty((limits.size, FAN)), np.empty(points.shape[3])
    stack, query = np.empty(_STACK, np.int64), np.empty(_STACK, np.int64)
    counts, row, n_columns = descent.networks.counts[n], descent.networks.rows[n], tree.columns.shape[1]
    n_pair = point.size - row.size - n_columns
    point[n_pair : n_pair + row.size] = row
    stack[0], top = tree.level.size - 1, 1
    while top > 0:
        top -= 1
        g = stack[top]
        is_leaf = tree.level[g] == 0
        _reduce_group(counts, tree.costs[g], is_max, costs)
        for j in range(FAN):
            n_below = tree.designs[g, j]
            if n_below == 0:
                break
            if _is_over(costs, limits, j):
                by_reason[OVER if is_leaf else SKIPPED_OVER] += n_below
                continue
            for m in range(n_pair):
                point[m] = costs[m, j]
            for a in range(n_columns):
                point[n_pair + row.size + a] = tree.columns[g, a, j]
            is_beaten = _remembered(point, points, g, j)
            if not is_beaten:
                attempts[g, j] += 1
                if is_leaf or attempts[g, j] % _PATIENCE == 1:
                    is_beaten = _search_front(point, memory, front, query, g, j)
            if is_beaten:
                by_reason[BEATEN if is_leaf else SKIPPED_BEATEN] += n_below
            elif is_leaf:
                candidates.network[size], candidates.design[size] = n, tree.first[g] + j
                candidates.values[size] = point
                size += 1
            else:
                stack[top] = tree.first[g] + j
                top += 1
    return size


@cached_njit(error_model="numpy")
def _is_over(costs: F64, limits: F64, j: int) -> bool:
    """Whether a pair column of node j, costs (M, FAN), is over its limit."""
    over = False
    for m in range(limits.size):
        over = over or costs[m, j] > limits[m]
    return over


@cached_njit(error_model="numpy")
def _search_front(point: F64, memory: NodeMemory, front: PointTree, query: I64, g: int, j: int) -> bool:
    """Whether a point of the front dominates the least objectives of node j; it is remembered then."""
    at = _dominator(point, front, query)
    if at < 0:
        return False
    memory.attempts[g, j] -= 1
    _remember(memory.points[g, j], front.points[at])
    return True


@cached_njit(error_model="numpy")
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


@cached_njit()
def _remembered(point: F64, dominating: F64, g: int, j: int) -> bool:
    """Whether a point remembered at [g, j] dominates `point`; indices, for a view would cost more than the loop."""
    for q in range(dominating.shape[2]):
        no_worse, better = True, False
        for o in range(point.size):
            if dominating[g, j, q, o] > point[o]:
                no_worse = False
                break
            better = better or dominating[g, j, q, o] < point[o]
        if no_worse and better:
            return True
    return False


@cached_njit(error_model="numpy")
def filter_pairs(filtering: Filtering, n: int, reasons: I32, size: int) -> int:
    """The candidates among the pairs of network n, reduced in float64 and written from `size` on.

    Parameters
    ----------
    reasons : (H,) OVER or BEATEN where that is proven already, UNDECIDED elsewhere.

    Returns the new size; room for all pairs is up to the caller.
    """
    block, memory, front, bounds = filtering.block, filtering.memory, filtering.front, filtering.bounds
    is_max, limits, by_reason = filtering.metrics.is_max, filtering.metrics.limits, filtering.by_reason
    counts, row, candidates = filtering.networks.counts[n], filtering.networks.rows[n], filtering.candidates
    n_pair, points = memory.pair.shape[1], memory.points
    point, reduced = np.empty(points.shape[3]), np.empty(limits.size)
    query = np.empty(_STACK, np.int64)
    for j in range(reasons.size):
        if reasons[j] != UNDECIDED:
            by_reason[reasons[j]] += 1
            continue
        _reduce_pair(counts, block.costs[j], is_max, reduced)
        if (reduced > limits).any():
            by_reason[OVER] += 1
            continue
        point[:n_pair] = reduced[:n_pair]
        point[n_pair : n_pair + row.size] = row
        point[n_pair + row.size :] = block.columns[j]
        if _remembered(point, points, 0, block.first + j) or _search_front_of_pair(
            point, memory, front, bounds, query, block.first + j
        ):
            by_reason[BEATEN] += 1
            continue
        candidates.network[size], candidates.design[size] = n, block.first + j
        candidates.values[size] = point
        size += 1
    return size


@cached_njit(error_model="numpy")
def _search_front_of_pair(
    point: F64, memory: DesignMemory, front: PointTree, bounds: Float32Bounds, query: I64, design: int
) -> bool:
    """Whether a point of the front dominates a pair; it is remembered for the pair's design then."""
    at = _dominator(point, front, query)
    if at < 0:
        return False
    _remember(memory.points[0, design], front.points[at])
    _set_thresholds(memory, design, bounds)
    return True


@cached_njit(error_model="numpy")
def filter_tile(filtering: Filtering, tile: F32, size: int) -> int:
    """As `filter_pairs` for every network; float32 decides what it can prove, float64 the rest.

    tile : (M, N, H) pair columns times `scale` of the bounds, each within a relative margin.
    """
    reasons = np.empty(tile.shape[2], np.int32)
    for n in range(tile.shape[1]):
        _prove(filtering, tile, n, reasons)
        size = filter_pairs(filtering, n, reasons, size)
    return size


_CERTAINLY_OVER, _POSSIBLY_OVER, _DOMINATED = 1, 2, 4


@cached_njit(error_model="numpy")
def _prove(filtering: Filtering, tile: F32, n: int, reasons: I32) -> None:
    """What float32 proves of the pairs of network n: OVER or BEATEN; a pair that may be over a limit is UNDECIDED."""
    bounds, flags = filtering.bounds, reasons
    flags[:] = 0
    for m in range(bounds.possibly_over.size):
        if np.isfinite(bounds.possibly_over[m]):
            for j in range(flags.size):
                flags[j] |= np.int32(tile[m, n, j] > bounds.possibly_over[m]) * _POSSIBLY_OVER
                flags[j] |= np.int32(tile[m, n, j] > bounds.certainly_over[m]) * _CERTAINLY_OVER
    if filtering.memory.pair.shape[1]:  # only a pair column proves that one point is strictly better
        _flag_dominated(filtering, tile, n, flags)
    for j in range(flags.size):
        dominated = BEATEN if flags[j] == _DOMINATED else UNDECIDED
        reasons[j] = OVER if flags[j] & _CERTAINLY_OVER else dominated


@cached_njit(error_model="numpy")
def _flag_dominated(filtering: Filtering, tile: F32, n: int, flags: I32) -> None:
    """Flag the pairs of network n that a point remembered for their design certainly dominates."""
    memory, row, first = filtering.memory, filtering.networks.rows[n], filtering.block.first
    n_slots, n_pair, _ = memory.pair.shape
    dominated = np.empty(flags.size, np.int32)
    for q in range(n_slots):
        dominated[:] = _DOMINATED
        for p in range(n_pair):
            threshold = memory.pair[q, p, first : first + flags.size]
            values = tile[p, n]
            for j in range(flags.size):
                dominated[j] = dominated[j] if values[j] > threshold[j] else 0
        for r in range(row.size):
            least, value = memory.rows[q, r, first : first + flags.size], row[r]
            for j in range(flags.size):
                dominated[j] = dominated[j] if least[j] <= value else 0
        for j in range(flags.size):
            flags[j] |= dominated[j]


@cached_njit()
def _set_thresholds(memory: DesignMemory, design: int, bounds: Float32Bounds) -> None:
    """Set the float32 thresholds of the points remembered for one design."""
    n_slots, n_pair, _ = memory.pair.shape
    n_rows = memory.rows.shape[1]
    for q in range(n_slots):
        for p in range(n_pair):
            threshold = memory.points[0, design, q, p] * bounds.scale[p] * bounds.widen + _TINY
            memory.pair[q, p, design] = np.float32(threshold)
        for r in range(n_rows):
            memory.rows[q, r, design] = memory.points[0, design, q, n_pair + r]


@cached_njit(error_model="numpy")
def _reduce_pair(counts: F64, costs: F64, is_max: Mask, out: F64) -> None:
    """out[m] = sum (or max) over layers of counts * costs[l, m], layers in order, as `hwmodels.compose` adds."""
    out[:] = 0.0
    for layer in range(counts.size):
        count = counts[layer]
        if count != 0.0:
            for m in range(out.size):
                cost = costs[layer, m]
                out[m] = max(out[m], cost) if is_max[m] else out[m] + count * cost


@cached_njit()
def max_tile(counts: F64, costs: F32, out: F32) -> None:
    """out[n, h] = max over the layers that network n has of costs[l, h]: counts (N, L), costs (L, H)."""
    out[:] = 0.0
    for n in range(len(counts)):
        for layer in range(counts.shape[1]):
            if counts[n, layer] != 0.0:
                for j in range(out.shape[1]):
                    out[n, j] = max(out[n, j], costs[layer, j])


@cached_njit()
def filter_values(
    values: F64,
    allowed: Mask,
    first: int,
    front: PointTree,
    dominating: F64,
    found: CandidatePairs,
    size: int,
    by_reason: I64,
) -> int:
    """Pairs of a tile of exact objectives that nothing known dominates.

    values : (O, N, H). allowed : (N, H), others are counted as over a limit. dominating : (1, H', K, O) points
    remembered for each design, of which the tile's are those from `first` on. Returns the new size of `found`.
    """
    query = np.empty(_STACK, np.int64)
    point = np.empty(len(values))
    for n in range(values.shape[1]):
        for j in range(values.shape[2]):
            if not allowed[n, j]:
                by_reason[OVER] += 1
                continue
            for o in range(point.size):
                point[o] = values[o, n, j]
            if _remembered(point, dominating, 0, first + j):
                by_reason[BEATEN] += 1
                continue
            at = _dominator(point, front, query)
            if at >= 0:
                by_reason[BEATEN] += 1
                _remember(dominating[0, first + j], front.points[at])
                continue
            found.network[size], found.design[size] = n, first + j
            found.values[size] = point
            size += 1
    return size


@cached_njit()
def filter_listed(
    values: F64,
    allowed: Mask,
    network: I64,
    design: I64,
    front: PointTree,
    found: CandidatePairs,
    size: int,
    by_reason: I64,
    ruled_out: int,
) -> int:
    """Listed pairs that no point of the front dominates; `ruled_out` more of their tile were by a bound.

    values : (S, O). allowed, network, design : (S,). Returns the new size of `found`.
    """
    query = np.empty(_STACK, np.int64)
    by_reason[SKIPPED_BEATEN] += ruled_out
    for i in range(len(values)):
        if not allowed[i]:
            by_reason[OVER] += 1
        elif _dominator(values[i], front, query) >= 0:
            by_reason[BEATEN] += 1
        else:
            found.network[size], found.design[size] = network[i], design[i]
            found.values[size] = values[i]
            size += 1
    return size
