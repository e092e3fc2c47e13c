"""Pairs whose objectives are rules over reduced columns: every one of them exactly, or only those that bounds leave.

`BlockObjectives` answers whole blocks term by term. `Screened` serves monotone rules: the rule of lower bounds is a
lower bound of the rule. So tiles of designs are ruled out by their least costs, what is left by float32 products that
are lowered by their margin, and only pairs that neither proves dominated or over a limit are reduced in float64.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.exact.dominance import SKIPPED_BEATEN, SKIPPED_OVER, PointTree, beaten, filter_listed, max_tile
from codesign.exact.pairs import PairTables, dense_columns, is_infeasible, listed_columns
from codesign.exact.passes import Problem, ThreadState, similar_designs
from codesign.exact.roles import Roles
from hwmodels.compose import Gathered, PairColumns, leaves

__all__ = ["BlockObjectives", "Screened"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_TILE = 64
"""Designs of a tile that a bound rules out at once."""
_HEIGHT = 512
"""Networks met at once."""


class BlockObjectives:
    """Objectives of all pairs of some networks and neighbouring designs, and which of these pairs are allowed."""

    def __init__(self, tables: PairTables, roles: Roles, designs: I64, costs: F64) -> None:
        self.tables, self.roles, self.designs = tables, roles, designs
        self._by_metric = np.ascontiguousarray(costs.transpose(2, 1, 0))

    def __call__(self, networks: I64, first: int, after: int) -> tuple[F64, Mask]:
        """Networks (n,), first design, design after the last -> objectives (O, n, h), allowed (n, h)."""
        part = self.designs[first:after]
        costs = np.ascontiguousarray(self._by_metric[:, :, first:after])
        columns = dense_columns(self.tables, networks, part, costs)
        shape = (networks.size, part.size)
        values = _objectives(self.tables, self.roles, columns, np.repeat(networks, part.size))
        allowed = _within_limits(self.roles, columns, values.shape[1])
        allowed &= ~is_infeasible(self.tables, columns, values.shape[1])
        return values.reshape(-1, *shape), allowed.reshape(shape)


class Screened:
    """Pairs of monotone rules: bounds of tiles, then of float32 products, then the rest exactly; costs are >= 0.

    sample : networks whose costs decide which designs are alike; None meets every pair in float32.
    """

    def __init__(self, tables: PairTables, roles: Roles, designs: I64, costs: F64, *, sample: I64 | None) -> None:
        self.tables, self.roles = tables, roles
        self.order = np.arange(designs.size)
        self.metrics = _needed_metrics(tables, roles)
        at = [tables.metrics.index(name) for name in self.metrics]
        self.tiles: BlockObjectives | None = None
        if sample is not None and designs.size:
            alike = Problem(
                tables.counts, np.zeros((0, 0)), np.ascontiguousarray(costs[:, :, at]), np.zeros((designs.size, 0)),
                tables.is_largest(self.metrics), np.zeros(len(at)), len(at),
            )  # fmt: skip
            self.order = similar_designs(alike, alike.dense_counts(sample))
        self.designs, self.costs = designs[self.order], costs[self.order]
        if sample is not None and designs.size:
            self.tiles = self._tile_objectives()
        self._prepare_single(at)

    def _tile_objectives(self) -> BlockObjectives:
        """The least costs, columns and knobs of each tile stand for its designs: objectives are then lower bounds."""
        starts = np.arange(0, self.designs.size, _TILE)

        def least(columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
            found: npt.NDArray[Any] = np.minimum.reduceat(columns, starts, axis=0)
            return found

        tables, costs = self.tables, least(self.costs)
        bound = replace(
            tables,
            layer_costs=costs,
            config_columns={name: least(values[self.designs]) for name, values in tables.config_columns.items()},
            knobs={name: least(values[self.designs]) for name, values in tables.knobs.items()},
            infeasible=tables.infeasible if tables.infeasible and tables.infeasible.monotone else None,
        )
        return BlockObjectives(bound, self.roles, np.arange(starts.size), costs)

    def _prepare_single(self, at: list[int]) -> None:
        """Layer costs in float32, scaled by powers of two, and the share that a product may be too large by."""
        costs = self.costs[:, :, at]
        self._scale = 2.0 ** -np.frexp(costs.max(axis=(0, 1), initial=0.0))[1].astype(np.float64)
        self._single = np.ascontiguousarray((costs * self._scale).astype(np.float32).transpose(2, 1, 0))
        # Rounded count, cost and product, and one rounding an addition, whatever the order.
        self._lowered = 1.0 - 2 * (costs.shape[1] + 8) * 2.0**-24

    def run(self, thread: ThreadState, networks: I64, front: PointTree) -> tuple[int, int]:
        """As `codesign.exact.passes.PairFilter` says."""
        size, n_designs = 0, self.designs.size
        height = max(min(_HEIGHT, thread.candidates.network.size // max(n_designs, 1)), 1)
        for at in range(0, networks.size, height):
            part = networks[at : at + height]
            if at and (size >= thread.enough or size + part.size * n_designs > thread.candidates.network.size):
                return at, size
            before = size
            for first, after, alive in self._tiles_left(thread, part, front):
                size = self._tile(thread, part, alive, slice(first, after), front, size)
            thread.candidates.network[before:size] += at
            thread.candidates.design[before:size] = self.order[thread.candidates.design[before:size]]
        return networks.size, size

    def _tiles_left(self, thread: ThreadState, networks: I64, front: PointTree) -> list[tuple[int, int, I64]]:
        """(first design, the one after, positions of networks) of what the bounds of tiles leave."""
        n = self.designs.size
        starts = range(0, n, _TILE)
        if self.tiles is None:
            return [(first, min(first + _TILE, n), np.arange(networks.size)) for first in starts]
        values, allowed = self.tiles(networks, 0, len(starts))
        dominated = beaten(np.ascontiguousarray(values.reshape(len(values), -1).T), front).reshape(allowed.shape)
        sizes = np.minimum(np.arange(len(starts)) * _TILE + _TILE, n) - np.arange(len(starts)) * _TILE
        thread.by_reason[SKIPPED_OVER] += int((~allowed * sizes).sum())
        thread.by_reason[SKIPPED_BEATEN] += int(((allowed & dominated) * sizes).sum())
        alive = allowed & ~dominated
        return [
            (first, min(first + _TILE, n), np.flatnonzero(alive[:, t]))
            for t, first in enumerate(starts)
            if alive[:, t].any()
        ]

    def _tile(self, thread: ThreadState, networks: I64, alive: I64, designs: slice, front: PointTree, size: int) -> int:
        """Pairs of some networks with one tile of designs into `thread.candidates`, from `size` on."""
        which, at = self._undecided(networks[alive], designs, front)
        network, place = networks[alive[which]], designs.start + at
        columns = listed_columns(self.tables, network, self.designs[place], self.costs, place)
        values = _objectives(self.tables, self.roles, columns, network)
        allowed = _within_limits(self.roles, columns, network.size)
        allowed &= ~is_infeasible(self.tables, columns, network.size)
        ruled_out = alive.size * (designs.stop - designs.start) - network.size
        return int(
            filter_listed(
                np.ascontiguousarray(values.T), allowed, alive[which], place, front,
                thread.candidates, size, thread.by_reason, ruled_out,
            )
        )  # fmt: skip

    def _undecided(self, networks: I64, designs: slice, front: PointTree) -> tuple[I64, I64]:
        """Positions of networks and designs of a tile that float32 proves neither dominated nor over a limit."""
        tables, part = self.tables, self.designs[designs]
        counts = np.ascontiguousarray(tables.counts[networks], np.float64)
        single = counts.astype(np.float32)

        def lower(name: str) -> dict[str, F64]:
            m = self.metrics.index(name)
            costs = np.ascontiguousarray(self._single[m][:, designs])
            out = np.empty((networks.size, part.size), np.float32)
            if name in tables.largest:
                max_tile(counts, costs, out)
            else:
                np.matmul(single, costs, out=out)
            least = out.astype(np.float64) * (self._lowered / self._scale[m]) - _TINY / self._scale[m]
            return {name: np.maximum(least, 0.0).reshape(-1)}

        rows, columns_ = np.repeat(networks, part.size), np.tile(part, networks.size)
        columns = PairColumns(
            self.metrics, lower, config=Gathered(tables.config_columns, columns_),
            network=Gathered(tables.network_columns, rows), rules=tables.rules, knobs=Gathered(tables.knobs, columns_),
        )  # fmt: skip
        possible = _within_limits(self.roles, columns, rows.size)
        values = _objectives(tables, self.roles, columns, rows)
        left = np.flatnonzero(possible)
        left = left[~beaten(np.ascontiguousarray(values[:, left].T), front)]
        return np.divmod(left, part.size)


_TINY = 1e-30  # beside scaled values of about one: more than float32 loses by underflow


def _needed_metrics(tables: PairTables, roles: Roles) -> tuple[str, ...]:
    """Layer metrics behind the objectives and the limits."""
    asked = frozenset((*roles.names, *roles.limits)) - {tables.score_name}
    needs = leaves(asked, tables.rules)
    return tuple(name for name in tables.metrics if name in needs)


def _objectives(tables: PairTables, roles: Roles, columns: PairColumns, network: I64) -> F64:
    """Objectives (O, P) in the order of the kernels; network : (P,)."""
    values = np.empty((len(roles.names), network.size))
    for o, name in enumerate(roles.names):
        scored = tables.score is not None and name == tables.score_name
        values[o] = tables.score[network] if scored and tables.score is not None else columns[name]
    return values


def _within_limits(roles: Roles, columns: PairColumns, size: int) -> Mask:
    allowed = np.ones(size, np.bool_)
    for name, limit in roles.limits.items():
        allowed &= columns[name] <= limit
    return allowed
