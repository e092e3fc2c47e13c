"""The costs of all pairs of N networks and H designs as tables, and the columns of chosen pairs on demand.

What a pair costs is never stored: layer costs, counts and the columns of each side are, and `PairColumns` reduces them
for listed pairs or whole blocks, metric by metric, when a function of pairs asks for it. So a feasibility rule that
reads one metric costs one reduction, and one that reads none is known of each design before any pair is met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.exact.dominance import reduce_pairs, reduce_tile
from hwmodels.errors import SpecError

__all__ = ["SCORE", "NeedsPairs", "PairColumns", "PairFunction", "PairTables", "dense_columns", "listed_columns"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
PairFunction = Callable[[Mapping[str, F64], Mapping[str, npt.NDArray[Any]]], Any]

SCORE = "error"
"""What the score is called among the objectives, unless told otherwise."""
_LISTED = 1 << 17  # listed pairs whose counts are held at once


@dataclass(frozen=True, eq=False)
class PairTables:
    """N networks, H designs and what decides the cost of each pair.

    counts : (N, L) how often a network runs each layer. layer_costs : (H, L, M), or designs (h,) -> (h, L, M) for grids
    beyond memory, then `n_designs` is H. metrics : names of the last axis; those in `largest` are reduced by max, the
    others by sum. score : (N,) minimised, an objective called `score_name`. config_columns, network_columns : metrics
    of one side, (H,) and (N,). knobs : (H,) columns that `epilogue` and `infeasible` read; both are as in
    `hwmodels.families.base.CostModel`, and `epilogue_metrics` names what the former answers.
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
    epilogue: PairFunction | None = None
    epilogue_metrics: tuple[str, ...] = ()
    infeasible: PairFunction | None = None
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
        return (*self.metrics, *self.config_columns, *self.network_columns, *self.epilogue_metrics)

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

    def is_largest(self, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        return np.array([name in self.largest for name in names], np.bool_)


class NeedsPairs(Exception):
    """A function of pairs asked for more than the design alone decides."""


class PairColumns(Mapping[str, F64]):
    """Metrics of some pairs by name, (P,) each, made when asked for and kept.

    reduce : metric -> (P,), or None where only columns of designs are to be had (else `NeedsPairs`).
    """

    def __init__(
        self, tables: PairTables, network: I64 | None, design: I64, reduce: Callable[[str], F64] | None
    ) -> None:
        self._tables, self._network, self._design, self._reduce = tables, network, design, reduce
        self._made: dict[str, F64] = {}
        self.knobs = _Gathered(tables.knobs, design)

    def __getitem__(self, name: str) -> F64:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> F64:
        tables = self._tables
        if name in tables.config_columns:
            return tables.config_columns[name][self._design]
        if name not in tables.names:
            raise KeyError(name)
        if self._network is None or self._reduce is None:
            raise NeedsPairs(name)
        if name in tables.network_columns:
            return tables.network_columns[name][self._network]
        if name in tables.metrics:
            return self._reduce(name)
        assert tables.epilogue is not None
        answered: dict[str, F64] = tables.epilogue(self, self.knobs)
        self._made |= answered
        return answered[name]

    def infeasible(self) -> npt.NDArray[np.bool_]:
        """Which pairs the designs cannot run, (P,)."""
        if self._tables.infeasible is None:
            return np.zeros(self._design.size, np.bool_)
        codes: npt.NDArray[np.int8] = np.asarray(self._tables.infeasible(self, self.knobs))
        mask: npt.NDArray[np.bool_] = codes != 0
        return mask

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables.names)

    def __len__(self) -> int:
        return len(self._tables.names)


class _Gathered(Mapping[str, npt.NDArray[Any]]):
    """Columns at some positions, gathered when asked for."""

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]], at: I64) -> None:
        self._columns, self._at = columns, at

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = self._columns[name][self._at]
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def listed_columns(tables: PairTables, network: I64, design: I64, costs: F64, place: I64) -> PairColumns:
    """Columns of the pairs (network[i], design[i]); `costs` (h, L, M) of some designs, of which pair i has place[i]."""

    def reduce(name: str) -> F64:
        one = np.ascontiguousarray(costs[:, :, [tables.metrics.index(name)]])
        out = np.empty(network.size)
        for first in range(0, network.size, _LISTED):
            part = slice(first, first + _LISTED)
            counts = np.ascontiguousarray(tables.counts[network[part]], np.float64)
            reduced = reduce_pairs(counts, one, tables.is_largest((name,)), np.arange(len(counts)), place[part])
            out[part] = reduced[:, 0]
        return out

    return PairColumns(tables, network, design, reduce)


def dense_columns(tables: PairTables, networks: I64, designs: I64, costs: F64) -> PairColumns:
    """Columns of all pairs of some networks (n,) and designs (h,), costs (M, L, h): n x h values, designs last."""
    counts = np.ascontiguousarray(tables.counts[networks], np.float64)

    def reduce(name: str) -> F64:
        m = tables.metrics.index(name)
        out = np.empty((1, networks.size, designs.size))
        reduce_tile(counts, costs[m : m + 1], tables.is_largest((name,)), out)
        return out.reshape(-1)

    return PairColumns(tables, np.repeat(networks, designs.size), np.tile(designs, networks.size), reduce)
