"""From the costs of layers to the costs of pairs: the one reducer, and the columns of pairs made when asked for.

`summed` and `pipelined` are compositions for families whose layers are costed one by one; a family whose pairs are
anything else brings its own `Composition`. `PairColumns` is the one way to a pair's metrics: what `compose` answers,
what the design or the network alone decides, and the rules on top of them.

A network's layers are reduced in the order of their rows, one term a distinct row: ``total += count * cost``. Whoever
reduces, in whatever block, gets the same bits.

Not modelled: what a layer costs, see the family's kernel; which pairs are worth a look, see `codesign`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from hwmodels.families.base import Composition, Layerwise, PairRule
from hwmodels.families.spec import Column, n_configs, take
from hwmodels.kernel_cache import cached_njit
from hwmodels.workload.table import I64, Layers, LayerTable

__all__ = [
    "Gathered",
    "LayerCounts",
    "PairColumns",
    "leaves",
    "listed_costs",
    "pipelined",
    "reduce_block",
    "reduce_pairs",
    "summed",
    "tensor_of",
]

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_CHUNK_VALUES = 4_000_000
"""Float64 values of a kernel's output held at once: 32 MB."""


class LayerCounts(NamedTuple):
    """How often each of N networks runs each layer, ragged.

    rows, counts : (U,) the distinct rows of a network in rising order, and how often it runs each. start : (N + 1,).
    """

    rows: I64
    counts: F64
    start: I64

    @classmethod
    def of(cls, table: LayerTable) -> LayerCounts:
        """Those of a table's networks; made once a table."""
        if table not in _COUNTED:
            networks = table.networks
            _COUNTED[table] = cls(*_count_rows(networks.sequence, networks.sequence_start, table.n_layers))
        return _COUNTED[table]

    @classmethod
    def of_matrix(cls, counts: npt.NDArray[Any]) -> LayerCounts:
        """Those of a matrix of counts (N, L)."""
        owner, rows = np.nonzero(counts)
        start = np.searchsorted(owner, np.arange(len(counts) + 1))
        return cls(rows.astype(np.int64), counts[owner, rows].astype(np.float64), start.astype(np.int64))


_COUNTED: WeakKeyDictionary[LayerTable, LayerCounts] = WeakKeyDictionary()


@cached_njit()
def _count_rows(sequence: I64, start: I64, n_layers: int) -> tuple[I64, F64, I64]:
    """The fields of `LayerCounts` from ragged sequences of rows."""
    times, met = np.zeros(n_layers, np.int64), np.empty(n_layers, np.int64)
    rows, counts = np.empty(sequence.size, np.int64), np.empty(sequence.size)
    ends = np.zeros(start.size, np.int64)
    size = 0
    for i in range(start.size - 1):
        distinct = 0
        for at in range(start[i], start[i + 1]):
            row = sequence[at]
            if times[row] == 0:
                met[distinct] = row
                distinct += 1
            times[row] += 1
        for row in np.sort(met[:distinct]):
            rows[size], counts[size] = row, times[row]
            times[row] = 0
            size += 1
        ends[i + 1] = size
    return rows[:size].copy(), counts[:size].copy(), ends


def tensor_of(layerwise: Layerwise, layers: Layers, configs: Any) -> tuple[F64, npt.NDArray[np.int16]]:
    """Cost of every layer on every configuration, (C, L, M), and what was chosen for it, (C, L)."""
    shape = (n_configs(configs), layers.kind.size)
    values, choice = np.zeros((*shape, len(layerwise.reductions))), np.zeros(shape, np.int16)
    layerwise.cost(layers, configs, np.zeros(layerwise.scratch_size), values, choice)
    return values, choice


def listed_costs(layerwise: Layerwise, layers: Layers, configs: Any, layer: I64, config: I64) -> F64:
    """Cost of listed layers on listed configurations, (Q, M)."""
    values, choice = np.zeros((layer.size, len(layerwise.reductions))), np.zeros(layer.size, np.int16)
    layerwise.cost_at(layers, configs, layer, config, np.zeros(layerwise.scratch_size), values, choice)
    return values


def summed(layerwise: Layerwise) -> Composition:
    """Layers one after the other: every layer metric reduced as declared.

    Pairs are evaluated in order of configuration. A block of configurations is costed either on all layers, or,
    where pairs are few and layers many, on the layers that its pairs have: whichever is fewer kernel evaluations.
    """

    def compose(table: LayerTable, configs: Any, network: I64, config: I64) -> dict[str, F64]:
        metrics = layerwise.metrics
        columns = {name: np.empty(network.size) for name in metrics}
        counts = LayerCounts.of(table)
        order = np.argsort(config, kind="stable")
        mean_rows = max(counts.rows.size / max(table.n_networks, 1), 1.0)
        pairs_a_block = max(int(_CHUNK_VALUES / (len(metrics) * mean_rows)), 1)
        for first in range(0, network.size, pairs_a_block):
            block = order[first : first + pairs_a_block]
            reduced = _block_costs(layerwise, table, configs, counts, network[block], config[block])
            for j, name in enumerate(metrics):
                columns[name][block] = reduced[:, j]
        return columns

    return Composition(compose)


def pipelined(layerwise: Layerwise, *, stage: str, in_turn: str = "") -> Composition:
    """Layers as stages of a pipeline that batches follow each other through.

    interval_s = the largest `stage` of the layers; latency_s where the knob `in_turn` is set: then layers take turns on
    the same hardware, and a batch has it to itself.

    Parameters
    ----------
    stage : a layer metric reduced by max: how long a layer keeps the next batch waiting, at most its latency.
    in_turn : a knob of two values, 0 for a pipeline and 1 for turns; none is always a pipeline.
    """
    if layerwise.reductions[stage] != "max":
        raise ValueError(f"{stage}: the slowest stage is a maximum over layers")

    def interval_s(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> F64:
        slowest = metrics[stage]
        if not in_turn:
            return slowest
        return np.where(knobs[in_turn] >= 1, np.maximum(metrics["latency_s"], slowest), slowest)

    reads = frozenset({stage, "latency_s", in_turn}) if in_turn else frozenset({stage})
    return Composition(summed(layerwise).function, {"interval_s": PairRule(reads, interval_s, monotone=True)})


def _block_costs(
    layerwise: Layerwise, table: LayerTable, configs: Any, counts: LayerCounts, network: I64, config: I64
) -> F64:
    """Reduced layer metrics of one block of pairs, (P, M)."""
    n_metrics = len(layerwise.reductions)
    is_max = layerwise.is_max(layerwise.metrics)
    used, position = np.unique(config, return_inverse=True)
    sizes = counts.start[network + 1] - counts.start[network]
    n_listed, n_dense = int(sizes.sum()), used.size * table.n_layers
    if n_dense <= min(n_listed, _CHUNK_VALUES // n_metrics):
        dense, _ = tensor_of(layerwise, table.layers, take(configs, used))
        return reduce_pairs(dense, position.reshape(-1), network, counts, is_max)
    owner_start = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    flat = np.arange(n_listed) - np.repeat(owner_start[:-1], sizes) + np.repeat(counts.start[network], sizes)
    values = listed_costs(layerwise, table.layers, configs, counts.rows[flat], np.repeat(config, sizes))
    # Each pair is a network of its own over the layers that were costed for it.
    own = LayerCounts(np.arange(n_listed), counts.counts[flat], owner_start)
    return reduce_pairs(values[None], np.zeros(network.size, np.int64), np.arange(network.size), own, is_max)


@cached_njit(error_model="numpy")
def reduce_pairs(costs: F64, config: I64, network: I64, counts: LayerCounts, is_max: Mask) -> F64:
    """out[p, m] = sum (or max) over the rows r of network p of counts * costs[config p, r, m]; costs (C, L, M)."""
    n_metrics = costs.shape[2]
    out = np.zeros((network.size, n_metrics))
    for p in range(network.size):
        for u in range(counts.start[network[p]], counts.start[network[p] + 1]):
            for j in range(n_metrics):
                value = costs[config[p], counts.rows[u], j]
                out[p, j] = max(out[p, j], value) if is_max[j] else out[p, j] + counts.counts[u] * value
    return out


@cached_njit(error_model="numpy")
def reduce_block(counts: LayerCounts, costs: F64, is_max: Mask, out: F64) -> None:
    """All pairs of N networks and H designs: costs (M, L, H) -> out (M, N, H), each as `reduce_pairs` has it."""
    out[:] = 0.0
    for m in range(len(out)):
        for n in range(out.shape[1]):
            line = out[m, n]
            for u in range(counts.start[n], counts.start[n + 1]):
                count, cost = counts.counts[u], costs[m, counts.rows[u]]
                if is_max[m]:
                    for j in range(line.size):
                        line[j] = max(line[j], cost[j])
                else:
                    for j in range(line.size):
                        line[j] += count * cost[j]


class Gathered(Mapping[str, Column]):
    """Columns at some positions, gathered when asked for."""

    def __init__(self, columns: Mapping[str, Column], at: I64) -> None:
        self._columns, self._at = columns, at

    def __getitem__(self, name: str) -> Column:
        values: Column = self._columns[name][self._at]
        return values

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class PairColumns(Mapping[str, F64]):
    """Metrics of P pairs by name, (P,) each, made when asked for and kept.

    Parameters
    ----------
    composed : names that `compose` answers. compose : a name among them -> columns, that one included.
    config, network : metrics of the design and of the network alone, at the pairs. rules : metrics that follow.
    knobs : the columns of the designs, at the pairs.
    """

    def __init__(
        self,
        composed: Sequence[str],
        compose: Callable[[str], Mapping[str, F64]],
        *,
        config: Mapping[str, F64],
        network: Mapping[str, F64],
        rules: Mapping[str, PairRule],
        knobs: Mapping[str, Column],
    ) -> None:
        self._composed, self._compose = composed, compose
        self._config, self._network, self._rules, self.knobs = config, network, rules, knobs
        self._made: dict[str, F64] = {}

    def __getitem__(self, name: str) -> F64:
        if name not in self._made:
            self._made |= self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Mapping[str, F64]:
        if name in self._config:
            return {name: self._config[name]}
        if name in self._network:
            return {name: self._network[name]}
        if name in self._rules:
            return {name: np.asarray(self.ask(self._rules[name]), np.float64)}
        if name in self._composed:
            return self._compose(name)
        raise KeyError(name)

    def ask(self, rule: PairRule) -> Any:
        """What a rule answers; it is given what it declares to read, and nothing else."""
        metrics = {name: self[name] for name in rule.reads if name in self}
        knobs = {name: self.knobs[name] for name in rule.reads if name in self.knobs}
        return rule.function(metrics, knobs)

    def __contains__(self, name: object) -> bool:
        return any(name in side for side in (self._composed, self._config, self._network, self._rules))

    def __iter__(self) -> Iterator[str]:
        """Every name once: composed, of the design, of the network, rules."""
        return iter(dict.fromkeys((*self._composed, *self._config, *self._network, *self._rules)))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def leaves(reads: frozenset[str], rules: Mapping[str, PairRule]) -> frozenset[str]:
    """What a rule needs in the end: the columns that it reads, rules among them replaced by what those need."""
    found: set[str] = set()
    for name in reads:
        found |= leaves(rules[name].reads, rules) if name in rules else {name}
    return frozenset(found)
