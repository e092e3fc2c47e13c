"""Three ways through all pairs of some networks and designs; each returns the pairs that it cannot rule out.

`Bounded` descends a tree of designs for each network and leaves out whole tiles by their bound. `Tiled` multiplies
counts and costs in float32 tiles (BLAS) and looks at every pair. `Exact` asks for the objectives of every pair: for
metrics that are functions of reduced columns, and for families whose layers do not add up.

A pass knows positions of networks and designs, never what they are; what it remembers from one call to the next belongs
to a ThreadState, which one thread at a time has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codesign.exact.dominance import (
    FAN,
    Block,
    CandidatePairs,
    Descent,
    DesignMemory,
    DesignTree,
    Filtering,
    Float32Bounds,
    Networks,
    NodeMemory,
    PairMetrics,
    PointTree,
    descend,
    filter_tile,
    filter_values,
    max_tile,
)

__all__ = [
    "Bounded",
    "Evaluator",
    "Exact",
    "PairFilter",
    "Problem",
    "ThreadState",
    "Tiled",
    "design_tree",
    "similar_designs",
]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_REMEMBERED_NODES, _REMEMBERED_DESIGNS = 4, 2
"""Points remembered a tile of designs and a design: measured, more cost more than they save."""
_TILE = (128, 1080)
"""Networks and designs of a float32 tile: two metrics stay in a core's caches."""
_EXACT_PAIRS = 1 << 16


@dataclass(frozen=True, eq=False)
class Problem:
    """Networks against designs, objectives in the order of `codesign.exact.dominance`.

    counts : (N, L) how often each network runs each layer. rows : (N, R) network columns. costs : (H, L, M) layer
    costs; the first `n_pair` metrics are objectives. columns : (H, A) design columns. is_max, limits : (M,).
    """

    counts: npt.NDArray[np.number]
    rows: F64
    costs: F64
    columns: F64
    is_max: Mask
    limits: F64
    n_pair: int

    @property
    def n_objectives(self) -> int:
        return int(self.n_pair + self.rows.shape[1] + self.columns.shape[1])

    def dense_counts(self, networks: I64) -> F64:
        return np.ascontiguousarray(self.counts[networks], np.float64)


@dataclass
class ThreadState:
    """What one thread at a time works with: room for pairs, how many are enough, and what a pass remembers."""

    candidates: CandidatePairs
    by_reason: I64
    enough: int = 0
    memory: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, room: int, n_objectives: int) -> ThreadState:
        pairs = CandidatePairs(np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, n_objectives)))
        return cls(pairs, np.zeros(4, np.int64))


class PairFilter(Protocol):
    """One way through the pairs."""

    def run(self, thread: ThreadState, networks: I64, front: PointTree) -> tuple[int, int]:
        """Pairs of `networks` with all designs into `thread.candidates`: networks done from the first on, pairs found.

        Positions written are those within `networks`, and of designs in the problem's order.
        """
        ...


class Bounded:
    """Whole tiles of designs ruled out by their bound; costs and counts must be >= 0."""

    def __init__(self, problem: Problem, sample: I64) -> None:
        self.problem = problem
        self.order = similar_designs(problem, problem.dense_counts(sample))
        self.tree = design_tree(problem.costs[self.order], problem.columns[self.order])

    def run(self, thread: ThreadState, networks: I64, front: PointTree) -> tuple[int, int]:
        problem, nodes = self.problem, self.tree.designs.shape
        if not thread.memory:
            points = np.full((*nodes, _REMEMBERED_NODES, problem.n_objectives), np.inf)
            thread.memory["nodes"] = NodeMemory(points, np.zeros(nodes, np.int64))
        some = Networks(problem.dense_counts(networks), problem.rows[networks])
        metrics = PairMetrics(problem.is_max, problem.limits)
        done, size = descend(
            Descent(some, metrics, self.tree, front, thread.memory["nodes"], thread.candidates, thread.by_reason),
            thread.enough,
        )
        thread.candidates.design[:size] = self.order[thread.candidates.design[:size]]
        return done, size


class Tiled:
    """Every pair in float32 with a margin, the undecided ones in float64; costs and counts must be >= 0."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        n_layers, highest = problem.costs.shape[1], problem.costs.max(axis=(0, 1), initial=0.0)
        scale = 2.0 ** -np.frexp(highest)[1].astype(np.float64)
        # Rounded count, cost and product, and one rounding an addition, whatever the order; as much again for limits.
        margin = 2 * (n_layers + 8) * 2.0**-24
        with np.errstate(over="ignore"):
            limits = problem.limits * scale
            self.bounds = Float32Bounds(
                scale,
                (limits * (1 - margin) - 1e-30).astype(np.float32),
                (limits * (1 + margin) + 1e-30).astype(np.float32),
                1 + margin,
            )
        scaled = (problem.costs * scale).astype(np.float32)
        width = _TILE[1]
        self.blocks = [
            Block(first, problem.costs[first : first + width], problem.columns[first : first + width])
            for first in range(0, len(problem.costs), width)
        ]
        self.costs = [
            np.ascontiguousarray(scaled[block.first : block.first + width].transpose(2, 1, 0)) for block in self.blocks
        ]

    def run(self, thread: ThreadState, networks: I64, front: PointTree) -> tuple[int, int]:
        problem, memory = self.problem, thread.memory
        n_designs, height = (
            len(problem.costs),
            min(_TILE[0], max(thread.candidates.network.size // len(problem.costs), 1)),
        )
        if not memory:
            shape = (_REMEMBERED_DESIGNS, problem.n_pair, n_designs)
            memory["designs"] = DesignMemory(
                np.full((1, n_designs, _REMEMBERED_DESIGNS, problem.n_objectives), np.inf),
                np.full(shape, np.inf, np.float32),
                np.full((_REMEMBERED_DESIGNS, problem.rows.shape[1], n_designs), np.inf),
            )
            memory["tiles"] = [np.empty((problem.limits.size, height, c.shape[2]), np.float32) for c in self.costs]
        size = 0
        for at in range(0, networks.size, height):
            part = networks[at : at + height]
            if at and (size >= thread.enough or size + part.size * n_designs > thread.candidates.network.size):
                return at, size
            counts, rows = problem.dense_counts(part), problem.rows[part]
            before = size
            size = self._block_row(thread, counts, rows, front, size)
            thread.candidates.network[before:size] += at
        return networks.size, size

    def _block_row(self, thread: ThreadState, counts: F64, rows: F64, front: PointTree, size: int) -> int:
        """Some networks with all designs, tile by tile."""
        problem, single_counts = self.problem, counts.astype(np.float32)
        some, metrics = Networks(counts, rows), PairMetrics(problem.is_max, problem.limits)
        for block, costs, room in zip(self.blocks, self.costs, thread.memory["tiles"], strict=True):
            tile = room[:, : len(counts)]
            for m, is_max in enumerate(problem.is_max):
                if is_max:
                    max_tile(counts, costs[m], tile[m])
                else:
                    np.matmul(single_counts, costs[m], out=tile[m])
            filtering = Filtering(
                some, metrics, block, front, thread.memory["designs"], self.bounds, thread.candidates, thread.by_reason
            )
            size = filter_tile(filtering, tile, size)
        return size


Evaluator = Callable[[I64, int, int], tuple[F64, Mask]]
"""(networks (n,), first design, design after the last) -> objectives (O, n, h), which pairs are allowed (n, h)."""


class Exact:
    """Every pair through an evaluator."""

    def __init__(self, evaluate: Evaluator, n_designs: int, n_objectives: int) -> None:
        self.evaluate, self.n_designs, self.n_objectives = evaluate, n_designs, n_objectives
        self.width = min(n_designs, _EXACT_PAIRS)
        self.height = max(_EXACT_PAIRS // max(n_designs, 1), 1)

    def run(self, thread: ThreadState, networks: I64, front: PointTree) -> tuple[int, int]:
        dominating = thread.memory.setdefault(
            "dominating", np.full((1, self.n_designs, _REMEMBERED_DESIGNS, self.n_objectives), np.inf)
        )
        size, height = 0, min(self.height, max(thread.candidates.network.size // max(self.n_designs, 1), 1))
        for at in range(0, networks.size, height):
            part = networks[at : at + height]
            if at and (size >= thread.enough or size + part.size * self.n_designs > thread.candidates.network.size):
                return at, size
            before = size
            for first in range(0, self.n_designs, self.width):
                values, allowed = self.evaluate(part, first, min(first + self.width, self.n_designs))
                size = filter_values(
                    values, allowed, first, front, dominating, thread.candidates, size, thread.by_reason
                )
            thread.candidates.network[before:size] += at
        return networks.size, size


def design_tree(costs: F64, columns: F64) -> DesignTree:
    """Tiles of FAN neighbouring designs, and so on up; costs (H, L, M), columns (H, A), H >= 1."""
    parts: list[tuple[F64, F64, I64]] = []
    below = np.ones(len(costs), np.int64)
    while True:
        n = len(costs)
        groups = -(-n // FAN)
        # Nodes that are not there repeat the last one; `designs` 0 keeps them out.
        slot = np.minimum(np.arange(groups * FAN), n - 1)
        designs = np.where(np.arange(groups * FAN) < n, below[slot], 0).reshape(groups, FAN)
        grouped = costs[slot].reshape(groups, FAN, *costs.shape[1:])
        beside = columns[slot].reshape(groups, FAN, columns.shape[1])
        parts.append((grouped.transpose(0, 2, 3, 1), beside.transpose(0, 2, 1), designs))
        if groups == 1:
            break
        costs, columns, below = grouped.min(axis=1), beside.min(axis=1), designs.sum(axis=1)
    sizes = [len(designs) for _, _, designs in parts]
    start = [0, *np.cumsum(sizes)[:-1].tolist()]
    first = [np.arange(sizes[0]) * FAN, *(start[k] + np.arange(sizes[k + 1]) * FAN for k in range(len(sizes) - 1))]
    least, beside, designs = (np.ascontiguousarray(np.concatenate(arrays)) for arrays in zip(*parts, strict=True))
    return DesignTree(least, beside, designs, np.concatenate(first), np.repeat(np.arange(len(sizes)), sizes))


def similar_designs(problem: Problem, sample: F64) -> I64:
    """An order in which designs of like cost are neighbours: halves along the widest of some logarithmic costs."""
    costed = np.einsum("nl,hlm->hnm", sample, problem.costs).reshape(len(problem.costs), -1)
    values = np.concatenate([costed, problem.columns], axis=1)
    features = np.log(np.maximum(values, np.finfo(np.float64).tiny))
    if features.shape[1] == 0:
        return np.arange(len(features))
    order: list[I64] = []
    waiting = [np.arange(len(features))]
    while waiting:
        part = waiting.pop()
        if part.size <= FAN:
            order.append(part)
            continue
        values = features[part]
        widest = int(np.argmax(np.ptp(values, axis=0)))
        part = part[np.argsort(values[:, widest], kind="stable")]
        # Cut at whole tiles, so that a tile never straddles two halves.
        unit = FAN ** int(np.floor(np.log(part.size - 0.5) / np.log(FAN)))
        half = min(max(round(part.size / 2 / unit), 1) * unit, (part.size - 1) // unit * unit)
        waiting += [part[half:], part[:half]]
    return np.concatenate(order)
