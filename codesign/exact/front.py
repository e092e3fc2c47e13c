"""The exact front of all pairs of N networks and H designs, objectives minimised, under constraints.

The cost of a pair is counts[network, layer] @ cost[layer, design] for a `sum` metric and the largest layer's for a
`max` one; `config` and `network` metrics and a score (the error, as a rule) stand beside. Networks that cost the same
on every design are one group, of which only the best score counts. `codesign.exact.passes` says how pairs are met,
`codesign.exact.dominance` why what is skipped cannot be on the front.

The front is that of a float64 evaluation of every pair, term by term as `hwmodels.evaluate.evaluate_pairs` adds: all
pairs that no allowed pair dominates, equal ones included.

Not modelled: a score that depends on the design. One number a network holds on all designs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.exact.dominance import BEATEN, OVER, SKIPPED_BEATEN, SKIPPED_OVER
from codesign.exact.pairs import PairTables, design_columns, is_infeasible, listed_columns
from codesign.exact.passes import Bounded, Evaluator, Exact, PairFilter, Problem, Tiled
from codesign.exact.roles import Roles, original_name
from codesign.exact.rounds import BlockLoop, Blocks, Checkpoint, Front, Progress, Sink
from codesign.exact.screened import BlockObjectives, Screened
from codesign.executor.base import cores
from codesign.objectives import Limit, Objective

__all__ = ["Enumeration", "Groups", "Settings", "enumerate_blocks", "enumerate_pairs", "group_networks"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SLAB_VALUES = 1 << 25
"""Layer costs held at once, float64: 256 MB."""
_COUNTS = 1 << 23
"""Counts that a thread holds in float64 at once: 64 MB."""
_SAMPLE = 8  # networks whose costs decide which designs are alike


class Settings(NamedTuple):
    """How an enumeration runs; its front does not depend on them.

    threads : their number, all cores by default. room : pairs a thread may find in a round. slab : layer costs held
    at once. progress : called after each round. checkpoint : where an interruption leaves its state, and
    where the next call finds it. sink : takes the pairs that each round adds, positions of group representatives.
    """

    threads: int | None = None
    room: int = 1 << 20
    slab: int = _SLAB_VALUES
    progress: Callable[[Progress], None] | None = None
    checkpoint: Path | None = None
    sink: Sink | None = None


@dataclass(frozen=True, eq=False)
class Enumeration:
    """The front of N x H pairs.

    objectives : (O) names, the score first where there is one. network, design : (F,) positions of its pairs; values :
    (F, O); by rising values, then positions. pairs : N x H. groups : distinct networks, each of which met every design.
    counts : what became of the groups x H pairs, by reason. feasible : pairs of groups within all limits; None where
    pairs were skipped, or asked only at the end whether the design can run the network.
    """

    objectives: tuple[str, ...]
    network: I64
    design: I64
    values: F64
    pairs: int
    groups: int
    counts: Mapping[str, int]
    feasible: int | None

    @property
    def skipped(self) -> int:
        """Pairs of groups that a bound ruled out unseen."""
        return sum(count for reason, count in self.counts.items() if reason.startswith("bound"))


class Groups(NamedTuple):
    """Networks that cost the same: `first` (G,) one of each with the best score, `of` (N,) the group of a network."""

    first: I64
    of: I64


def group_networks(counts: npt.NDArray[Any], columns: Sequence[F64] = (), score: F64 | None = None) -> Groups:
    """Groups of networks with equal counts (N, L) and equal `columns` (N,), in order of first appearance.

    >>> group_networks(np.array([[1, 2], [3, 4], [1, 2]]), score=np.array([0.3, 0.1, 0.2])).first.tolist()
    [2, 1]
    """
    # Each row becomes one word by random multipliers; that rows of one word are equal is then checked, not hoped.
    odd = np.random.default_rng(0).integers(0, 2**63, counts.shape[1] + len(columns), dtype=np.uint64) * 2 + 1
    code = np.empty(len(counts), np.uint64)
    for part in _parts(counts):
        words = (
            np.column_stack([counts[part], *(column[part] for column in columns)]).astype(np.float64).view(np.uint64)
        )
        code[part] = ((words ^ (words >> np.uint64(31))) * odd).sum(axis=1, dtype=np.uint64)
    _, first, of = np.unique(code, return_index=True, return_inverse=True)
    alike = all(np.array_equal(column, column[first][of]) for column in columns)
    if not alike or any((counts[part] != counts[first[of[part]]]).any() for part in _parts(counts)):
        table = np.column_stack([counts, *columns])
        _, first, of = np.unique(table, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    of = rank[of.reshape(-1)]
    best = np.argsort(of, kind="stable") if score is None else np.lexsort((score, of))
    return Groups(best[np.searchsorted(of[best], np.arange(first.size))], of)


def enumerate_pairs(
    tables: PairTables,
    *,
    objectives: Sequence[str | Objective],
    constraints: Mapping[str, float] | Sequence[Limit] = (),
    grouped: bool = True,
    bounds: bool = True,
    settings: Settings | None = None,
) -> Enumeration:
    """The exact front over the score, where there is one, and `objectives`.

    Parameters
    ----------
    objectives : metrics, minimised where they are names alone. constraints : limits, or metric -> largest value.
    grouped : meet networks of equal cost once. bounds : rule out tiles of designs by their least costs. With negative
        costs or counts, for metrics of which more is better, and for rules that are not monotone, every pair is met
        whatever this says.

    Raises
    ------
    SpecError : a metric that is not there, costs that are not finite, the checkpoint of another enumeration.

    >>> tables = PairTables(np.array([[1], [2]]), np.array([[[3.0]], [[4.0]]]), ("latency_s",),
    ...     score=np.array([0.3, 0.2]), config_columns={"area_mm2": np.array([9.0, 5.0])})
    >>> enumerate_pairs(tables, objectives=["latency_s", "area_mm2"]).values.tolist()
    [[0.2, 6.0, 9.0], [0.2, 8.0, 5.0], [0.3, 3.0, 9.0], [0.3, 4.0, 5.0]]
    """
    wanted = tuple(one if isinstance(one, Objective) else Objective(one) for one in objectives)
    limits = [Limit(*one) for one in constraints.items()] if isinstance(constraints, Mapping) else list(constraints)
    tables, roles = Roles.of(tables, wanted, limits)
    return _Enumerator(tables, roles, settings or Settings(), grouped=grouped, bounds=bounds).run()


def enumerate_blocks(
    evaluate: Evaluator,
    n_networks: int,
    n_designs: int,
    *,
    objectives: Sequence[str],
    fingerprint: str = "",
    order: I64 | None = None,
    settings: Settings | None = None,
) -> Enumeration:
    """The exact front of pairs whose objectives come in blocks, however they are composed.

    Parameters
    ----------
    evaluate : (networks (n,), first design, design after the last) -> objectives (O, n, h), allowed (n, h); called from
        several threads. fingerprint : of what it depends on, for the checkpoint. order : (N,) networks, best first.
    """
    settings = settings or Settings()
    pair_filter = Exact(evaluate, n_designs, len(objectives))
    blocks = Blocks(
        order=np.arange(n_networks) if order is None else order,
        designs_of=(0, n_designs),
        filter_of=lambda slab: pair_filter,
        n_objectives=len(objectives),
        threads=settings.threads or cores(),
        checkpoint=Checkpoint(settings.checkpoint, fingerprint),
        progress=settings.progress,
        sink=settings.sink,
        room=settings.room,
    )
    loop = BlockLoop(blocks)
    loop.run()
    front = loop.front.ordered()
    pairs, over = n_networks * n_designs, int(loop.by_reason[OVER])
    counts = {"over a limit": over, "dominated": pairs - over - front.network.size, "front": front.network.size}
    return Enumeration(tuple(objectives), *front, pairs, n_networks, counts, pairs - over)


class _Enumerator:
    """One call of `enumerate_pairs`: what each side alone decides, then the rounds over the pairs that are left."""

    def __init__(self, tables: PairTables, roles: Roles, settings: Settings, *, grouped: bool, bounds: bool) -> None:
        self.tables, self.roles, self.settings, self.bounds = tables, roles, settings, bounds
        self.groups = self._groups() if grouped else Groups(*(np.arange(tables.n_networks),) * 2)
        self.networks = _within(self.groups.first, tables.network_columns, roles.limits)
        designs = _within(np.arange(tables.n_designs), tables.config_columns, roles.limits)
        n_pairs = self.groups.first.size * tables.n_designs
        rule = tables.infeasible
        asks_pairs = rule is not None and not tables.is_of_design(rule)
        self.designs = (
            designs if asks_pairs else designs[~is_infeasible(tables, design_columns(tables, designs), designs.size)]
        )
        self.counts = {
            "limit of one side": n_pairs - self.networks.size * designs.size,
            "infeasible": self.networks.size * (designs.size - self.designs.size),
        }
        self.exact = not roles.is_monotone(tables) or bool(tables.counts.size and tables.counts.min() < 0)
        self.late = asks_pairs and not self.exact and not roles.ruled
        self.metrics = tuple(dict.fromkeys((*roles.pair, *roles.limited(tables.metrics))))
        network = {**tables.network_columns, **({} if tables.score is None else {tables.score_name: tables.score})}
        self.rows = _stacked(network, roles.network, tables.n_networks)
        self.columns = _stacked(tables.config_columns, roles.config, tables.n_designs)
        self.costs = np.zeros((0, 0, 0))
        self.first = 0

    def run(self) -> Enumeration:
        per_design = max(self.tables.counts.shape[1] * len(self.tables.metrics), 1)
        starts = [*range(0, self.designs.size, max(self.settings.slab // per_design, 1)), self.designs.size]
        settings = self.settings
        blocks = Blocks(
            order=self._order(),
            designs_of=starts,
            filter_of=lambda slab: self._pass(starts[slab], starts[slab + 1]),
            n_objectives=len(self.roles.names),
            threads=settings.threads or cores(),
            checkpoint=Checkpoint(settings.checkpoint, "" if settings.checkpoint is None else self._fingerprint()),
            confirm=self._runs if self.late else None,
            progress=settings.progress,
            sink=None if settings.sink is None else lambda part, pairs: self._sink(part, pairs),
            room=settings.room,
            longest=max(_COUNTS // max(self.tables.counts.shape[1], 1), 1),
        )
        loop = BlockLoop(blocks)
        if self.networks.size:
            loop.run()
        return self._result(loop)

    def _groups(self) -> Groups:
        tables, limits = self.tables, self.roles.limits
        named = {*self.roles.network, *limits}
        free = bool(tables.rules) or tables.infeasible is not None
        columns = [values for name, values in tables.network_columns.items() if free or name in named]
        return group_networks(tables.counts, columns, tables.score)

    def _order(self) -> I64:
        """Networks left, the best score first and the cheapest of equal ones: so the front is strong early."""
        cheap = np.zeros(self.networks.size)
        if self.designs.size:
            sample = self.tables.costs_of(self.designs[:: max(self.designs.size // 64, 1)])
            for name in self.roles.pair:
                layers = sample[:, :, self.tables.metrics.index(name)].mean(axis=0)
                for part in _parts(self.tables.counts, self.networks.size):
                    cheap[part] += self.tables.counts[self.networks[part]] @ layers / (layers.sum() or 1.0)
        first = self.rows[self.networks, 0] if self.rows.shape[1] else cheap
        return self.networks[np.lexsort((cheap, first))]

    def _pass(self, first: int, after: int) -> PairFilter:
        """The way through one slab of designs, whose layer costs stay until the next."""
        tables, designs = self.tables, self.designs[first:after]
        self.costs, self.first = tables.costs_of(designs), first
        if self.exact or self.costs.min(initial=0.0) < 0:
            return Exact(BlockObjectives(tables, self.roles, designs, self.costs), designs.size, len(self.roles.names))
        sample = self.networks[:: max(self.networks.size // _SAMPLE, 1)][:_SAMPLE]
        if self.roles.ruled:
            return Screened(tables, self.roles, designs, self.costs, sample=sample if self.bounds else None)
        problem = Problem(
            tables.counts,
            self.rows,
            np.ascontiguousarray(self.costs[:, :, [tables.metrics.index(name) for name in self.metrics]]),
            self.columns[designs],
            tables.is_largest(self.metrics),
            np.array([self.roles.limits.get(name, np.inf) for name in self.metrics]),
            len(self.roles.pair),
        )
        return Bounded(problem, sample) if self.bounds else Tiled(problem)

    def _runs(self, network: I64, design: I64) -> Mask:
        """Which pairs the design can run; `design` in the order of the loop, all of the slab at hand."""
        place = design - self.first
        columns = listed_columns(self.tables, network, self.designs[design], self.costs, place)
        return ~is_infeasible(self.tables, columns, network.size)

    def _sink(self, part: int, pairs: Front) -> None:
        assert self.settings.sink is not None
        self.settings.sink(part, self._shown(pairs))

    def _shown(self, pairs: Front) -> Front:
        """With positions among all designs, objectives in the order asked for, each with its own sign."""
        order = [self.roles.names.index(name) for name in self.roles.shown]
        return Front(pairs.network, self.designs[pairs.design], pairs.values[:, order] * self.roles.signs)

    def _result(self, loop: BlockLoop) -> Enumeration:
        front, tables = self._shown(loop.front), self.tables
        by_reason, met = loop.by_reason, self.networks.size * self.designs.size
        counts = {
            **self.counts,
            "over a limit": int(by_reason[OVER]),
            "bound over a limit": int(by_reason[SKIPPED_OVER]),
        }
        counts["infeasible"] += int(by_reason[4])
        counts["bound dominated"] = int(by_reason[SKIPPED_BEATEN])
        counts["dominated"] = met - int(by_reason.sum()) + int(by_reason[BEATEN]) - front.network.size
        counts["front"] = front.network.size
        pairs = self.groups.first.size * tables.n_designs
        seen_all = not self.late and not (by_reason[SKIPPED_OVER] or by_reason[SKIPPED_BEATEN])
        feasible = counts["dominated"] + counts["front"] if seen_all else None
        whole = _with_members(front, self.groups, tables.score).ordered()
        names = tuple(original_name(name) for name in self.roles.shown)
        n_pairs, n_groups = tables.n_networks * tables.n_designs, pairs // max(tables.n_designs, 1)
        return Enumeration(names, *whole, n_pairs, n_groups, counts, feasible)

    def _fingerprint(self) -> str:
        """Of everything that decides the front: one design's layer costs stand for a function that computes them."""
        tables = self.tables
        digest = hashlib.sha256(repr((self.roles, tables.metrics, sorted(tables.largest), self.bounds)).encode())
        costs = tables.costs_of(self.designs[:1]) if callable(tables.layer_costs) else tables.layer_costs
        for values in (tables.counts, self.rows, self.columns, self.networks, self.designs, costs):
            digest.update(str(values.shape).encode())
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def _parts(counts: npt.NDArray[Any], size: int | None = None) -> Iterator[slice]:
    """Slices of `size` networks (all by default) whose counts fit into memory as float64."""
    height = max(_COUNTS // max(counts.shape[1], 1), 1)
    return (slice(at, at + height) for at in range(0, len(counts) if size is None else size, height))


def _within(candidates: I64, columns: Mapping[str, F64], limits: Mapping[str, float]) -> I64:
    """Those of one side that its own columns allow."""
    for name, limit in limits.items():
        if name in columns:
            candidates = candidates[columns[name][candidates] <= limit]
    return candidates


def _stacked(columns: Mapping[str, F64], names: Sequence[str], size: int) -> F64:
    if not names:
        return np.zeros((size, 0))
    return np.stack([np.asarray(columns[name], np.float64) for name in names], axis=1)


def _with_members(front: Front, groups: Groups, score: F64 | None) -> Front:
    """Each pair of a group's representative once for every member with the group's best score."""
    best = np.ones(groups.of.size, np.bool_) if score is None else score == score[groups.first[groups.of]]
    members = np.flatnonzero(best)
    members = members[np.argsort(groups.of[members], kind="stable")]
    start = np.searchsorted(groups.of[members], np.arange(groups.first.size + 1))
    group = groups.of[front.network]
    sizes = start[group + 1] - start[group]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    repeated = np.repeat(np.arange(front.network.size), sizes)
    return Front(members[start[group[repeated]] + within], front.design[repeated], front.values[repeated])
