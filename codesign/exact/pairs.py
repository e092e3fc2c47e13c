"""The costs of all pairs of N networks and H designs as tables, and the columns of chosen pairs on demand.

What a pair costs is never stored: layer costs, counts and the columns of each side are, and `PairColumns` reduces them
for listed pairs or whole blocks, metric by metric, when a rule asks for it. So a rule that reads one metric costs one
reduction, and one that reads the design alone is known before any pair is met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import Gathered, LayerCounts, PairColumns, leaves, reduce_block, reduce_pairs
from hwmodels.errors import SpecError
from hwmodels.families.base import PairRule

__all__ = ["SCORE", "PairTables", "dense_columns", "design_columns", "is_infeasible", "listed_columns"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SCORE = "error"
"""What the score is called among the objectives, unless told otherwise."""
_LISTED = 1 << 17  # listed pairs whose counts are held at once


@dataclass(frozen=True, eq=False)
class PairTables:
    """N networks, H designs and what decides the cost of each pair.

    counts : (N, L) how often a network runs each layer. layer_costs : (H, L, M), or designs (h,) -> (h, L, M) for grids
    beyond memory, then `n_designs` is H. metrics : names of the last axis; those in `largest` are reduced by max, the
    others by sum. score : (N,) minimised, an objective called `score_name`. config_columns, network_columns : metrics
    of one side, (H,) and (N,). knobs : (H,) columns that the rules read. rules : metrics that follow from others.
    infeasible : a rule that answers 0 where a design can run a network.
    """

    counts: npt.NDArray[Any]
    layer_costs: F64 | Callable[[I64], F64]
    metrics: tuple[str, ...]
    score: F64 | None = None
    score_name: str = SCORE
    config_columns: Mapping[str, F64] = field(default_factory=dict)
    network_columns: Mapping[str, F64] = field(default_factory=dict)
    largest: frozenset[str] = frozenset()
    knobs: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    rules: Mapping[str, PairRule] = field(default_factory=dict)
    infeasible: PairRule | None = None
    n_designs: int = -1

    def __post_init__(self) -> None:
        if not callable(self.layer_costs):
            object.__setattr__(self, "n_designs", len(self.layer_costs))
            expected = (self.n_designs, self.counts.shape[1], len(self.metrics))
            if self.layer_costs.shape != expected:
                raise SpecError("layer_costs", self.layer_costs.shape, f"{expected}: designs, layers, metrics")
        if self.n_designs < 0:
            raise SpecError("n_designs", self.n_designs, "given with computed layer_costs")
        sides = (
            ("config_columns", self.config_columns, self.n_designs),
            ("network_columns", self.network_columns, self.n_networks),
            ("score", {} if self.score is None else {self.score_name: self.score}, self.n_networks),
        )
        for where, columns, size in sides:
            for name, values in columns.items():
                if np.shape(values) != (size,) or not np.isfinite(values).all():
                    raise SpecError(f"{where}: {name}", np.shape(values), f"({size},) finite numbers")
        if self.counts.dtype.kind == "f" and not np.isfinite(self.counts).all():
            raise SpecError("counts", "not a number or infinite", "finite")

    @property
    def n_networks(self) -> int:
        return len(self.counts)

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that an objective or constraint may name, the score apart."""
        return (*self.metrics, *self.config_columns, *self.network_columns, *self.rules)

    def costs_of(self, designs: I64) -> F64:
        """Layer costs of some designs, (h, L, M).

        Raises
        ------
        SpecError : one that is not finite: no order holds for it.
        """
        costs = self.layer_costs(designs) if callable(self.layer_costs) else self.layer_costs[designs]
        if not np.isfinite(costs).all():
            raise SpecError("layer_costs", "not a number or infinite", "finite")
        return costs

    def is_largest(self, names: tuple[str, ...]) -> Mask:
        return np.array([name in self.largest for name in names], np.bool_)

    def needs(self, rule: PairRule) -> frozenset[str]:
        """What a rule reads in the end, rules among it replaced by what those read."""
        return leaves(rule.reads, self.rules)

    def is_of_design(self, rule: PairRule) -> bool:
        """Whether the design alone decides a rule."""
        return not any(name in self.metrics or name in self.network_columns for name in self.needs(rule))


def is_infeasible(tables: PairTables, columns: PairColumns, size: int) -> Mask:
    """Which pairs the designs cannot run, (size,)."""
    if tables.infeasible is None:
        return np.zeros(size, np.bool_)
    mask: Mask = np.broadcast_to(np.asarray(columns.ask(tables.infeasible)) != 0, (size,))
    return mask


def listed_columns(tables: PairTables, network: I64, design: I64, costs: F64, place: I64) -> PairColumns:
    """Columns of the pairs (network[i], design[i]); `costs` (h, L, M) of some designs, of which pair i has place[i]."""

    def reduce(name: str) -> dict[str, F64]:
        one = np.ascontiguousarray(costs[:, :, [tables.metrics.index(name)]])
        out = np.empty(network.size)
        for first in range(0, network.size, _LISTED):
            part = slice(first, first + _LISTED)
            used, which = np.unique(network[part], return_inverse=True)
            counts = LayerCounts.of_matrix(tables.counts[used])
            reduced = reduce_pairs(one, place[part], which.reshape(-1), counts, tables.is_largest((name,)))
            out[part] = reduced[:, 0]
        return {name: out}

    return _columns(tables, reduce, network, design)


def dense_columns(tables: PairTables, networks: I64, designs: I64, costs: F64) -> PairColumns:
    """Columns of all pairs of some networks (n,) and designs (h,), costs (M, L, h): n x h values, designs last."""
    counts = LayerCounts.of_matrix(tables.counts[networks])

    def reduce(name: str) -> dict[str, F64]:
        m = tables.metrics.index(name)
        out = np.empty((1, networks.size, designs.size))
        reduce_block(counts, costs[m : m + 1], tables.is_largest((name,)), out)
        return {name: out.reshape(-1)}

    return _columns(tables, reduce, np.repeat(networks, designs.size), np.tile(designs, networks.size))


def design_columns(tables: PairTables, designs: I64) -> PairColumns:
    """Columns of designs before any network is met: what the design alone decides."""

    def refuse(name: str) -> dict[str, F64]:
        raise KeyError(name)

    return PairColumns(
        (), refuse, config=Gathered(tables.config_columns, designs), network={}, rules=tables.rules,
        knobs=Gathered(tables.knobs, designs),
    )  # fmt: skip


def _columns(tables: PairTables, reduce: Callable[[str], dict[str, F64]], network: I64, design: I64) -> PairColumns:
    return PairColumns(
        tables.metrics,
        reduce,
        config=Gathered(tables.config_columns, design),
        network=Gathered(tables.network_columns, network),
        rules=tables.rules,
        knobs=Gathered(tables.knobs, design),
    )
