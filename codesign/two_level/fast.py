"""FAST level: costs only, in batches of 1e5 and more pairs, a reason for every pruned pair.

A strategy proposes pairs, or networks for which a hardware search lists the pairs. Then, cheapest proof first:
duplicates and invalid points; constraints on what one side alone decides (area of the hardware, weights of the
network); lower bounds over the whole hardware grid; the full cost of what is left and its constraints; dominance.
Nothing here knows an accuracy that was not measured; aggressive pruning guesses one, last. Infeasible pairs keep their
reason even if a constraint also fails.

Only distinct networks are lowered, and only pairs that are still alive are costed, a block of them at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from codesign.hardware_search.inner import InnerHardware
from codesign.hardware_search.stage import HardwareStage, ListedPairs, PairValues
from codesign.hardware_search.whole_grid import FrontHardware
from codesign.objectives import Constraints, limits_of, objectives_of
from codesign.space.architecture import first_of_each, unique_rows
from codesign.space.base import Genotypes, Space
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal
from codesign.two_level.grid_costs import Designs, GridCosts, Networks, SmallSides, positions
from codesign.two_level.prune import (
    GUESS,
    KEPT,
    Reasons,
    dominated_at_capacity,
    dominated_by_known,
    dominated_in_class,
)
from codesign.two_level.tighten import limits_at, starts_of
from codesign.two_level.verdicts import CostColumns, Known, Verdicts
from hwmodels.compose import Gathered, LayerCounts, PairColumns, leaves, reduce_pairs
from hwmodels.evaluate import evaluate_pairs, network_metrics
from hwmodels.families.spec import columns_of, take
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["FastLevel", "Known", "Verdicts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

_REPORTED = ("latency_s", "energy_j", "area_mm2", "macs", "weight_bytes")
"""Costs of every pair that are kept beside objectives and constraints, where the family has them."""
_BLOCK = 1 << 17
"""Pairs that are costed at once."""


@dataclass(eq=False)
class _Batch:
    """One batch under way: pairs as costed, what each side of them is, and what is decided so far.

    networks, network : genotypes of networks as costed, distinct, (N, Ga), and which of them a pair has; designs,
    device likewise.
    """

    genotypes: Genotypes
    networks: Genotypes
    network: I64
    designs: Designs
    device: I64
    reason: Codes
    violation: F64

    @property
    def alive(self) -> I64:
        return np.flatnonzero(self.reason == KEPT)


class FastLevel:
    """Evaluates and prunes what a strategy proposes.

    Parameters
    ----------
    objectives : cost metrics, each optimised in the direction that is better. constraints : metric -> its largest
        value, or smallest where more is better or the value says ">= 30". tightening : metric -> where its constraint
        begins, see `codesign.two_level.tighten`.
    hardware : `joint` where pairs are proposed; `inner` and `front` list pairs of proposed networks, see
        `codesign.hardware_search`.
    cost_alone : nothing judges the networks, so that all pairs of a fidelity are one accuracy class.
    aggressive : drop pairs by a guess at their accuracy, too, see `codesign.two_level.prune`.
    grid_evaluations : layers are costed on the whole grid while (grid size x layer shapes) stays below this.
    """

    def __init__(
        self,
        space: JointSpace,
        semantics: Semantics,
        *,
        objectives: tuple[str, ...],
        constraints: Constraints,
        tightening: Mapping[str, float] = MappingProxyType({}),
        hardware: Literal["joint", "inner", "front"] = "joint",
        aggressive: bool = False,
        cost_alone: bool = False,
        grid_evaluations: int = 2_000_000,
    ) -> None:
        self.space, self.semantics, self.aggressive = space, semantics, aggressive
        self.cost_alone = cost_alone
        self.model = space.hardware.model
        self.goals, self.limits = objectives_of(self.model, objectives), limits_of(self.model, constraints)
        self._last_limits, self._starts = self.limits, starts_of(tightening, self.limits)
        self.objectives = tuple(one.metric for one in self.goals)
        self.reasons = Reasons(
            constraints=[limit.metric for limit in self.limits], infeasible=self.model.infeasible_reasons
        )
        reported = [name for name in _REPORTED if name in self.model.names]
        self.metrics = tuple(dict.fromkeys((*self.objectives, *(one.metric for one in self.limits), *reported)))
        self._sides = SmallSides(space, semantics)
        self._stage = self._hardware_stage(hardware)
        self._grid = self._grid_costs(grid_evaluations)

    def _hardware_stage(self, hardware: str) -> HardwareStage | None:
        if hardware == "joint":
            return None
        if hardware == "inner":
            return InnerHardware(self.space, self.semantics, objectives=self.objectives, constraints=self.limits)
        return FrontHardware(
            self.space, self.semantics, objectives=self.objectives, constraints=self.limits, metrics=self.metrics
        )

    def _grid_costs(self, evaluations: int) -> GridCosts | None:
        layerwise = self.model.layerwise
        if layerwise is None:
            return None
        needed = leaves(frozenset(self.metrics) | self.model.infeasible.reads, self.model.rules)
        metrics = [name for name in layerwise.metrics if name in needed]
        return GridCosts(self.space.hardware, layerwise, metrics, evaluations=evaluations)

    def begin(self, generation: int, *, of: int) -> None:
        """Take the limits of one of so many generations."""
        self.limits = limits_at(self._last_limits, self._starts, generation, of)

    @property
    def proposal_space(self) -> Space:
        """What a strategy proposes: pairs, or networks where hardware is searched for each."""
        return self.space if self._stage is None else self.space.architecture

    def proposals(self, n: int) -> int:
        """How many points the strategy shall propose for about `n` pairs."""
        return n if self._stage is None else self._stage.networks(n)

    def evaluate(self, proposal: Proposal, known: Known, rng: np.random.Generator) -> Verdicts:
        """Verdicts on what was proposed; `rng` is the generator that proposed it."""
        listed = self._listed(proposal, rng)
        levels, of_proposed = np.unique(proposal.fidelity, return_inverse=True)
        fidelity_id = of_proposed.reshape(-1)[listed.source]
        batch = self._identified(listed.genotypes, fidelity_id)
        costs = CostColumns(self.metrics, len(batch.reason))
        self._prune_and_cost(batch, costs, listed.values)
        canonical = self.space.architecture.canonical(batch.networks)
        architectures, of_network = unique_rows(canonical, self.space.architecture.cardinalities)
        numerics, numerics_id = _distinct_of(batch.designs, batch.device)
        verdicts = Verdicts(
            genotypes=batch.genotypes,
            source=listed.source,
            dropped=listed.dropped,
            reason=batch.reason,
            costs=costs,
            violation=batch.violation,
            architectures=architectures,
            architecture_id=of_network[batch.network],
            numerics=numerics,
            numerics_id=numerics_id,
            fidelity_levels=levels,
            fidelity_id=fidelity_id,
        )
        self._dominance(verdicts, known)
        return verdicts

    def told(self, proposal: Proposal, verdicts: Verdicts) -> Proposal:
        """What each listed pair means to the strategy: its proposed point, once for every pair made of it."""
        if isinstance(self._stage, FrontHardware):
            genotypes = self.space.split(verdicts.genotypes)[0]
        else:
            genotypes = proposal.genotypes[verdicts.source]
        return Proposal(genotypes, proposal.fidelity[verdicts.source])

    def _listed(self, proposal: Proposal, rng: np.random.Generator) -> ListedPairs:
        if self._stage is None:
            return ListedPairs(proposal.genotypes, np.arange(len(proposal.genotypes)))
        return self._stage.expand(proposal.genotypes, rng)

    def _identified(self, genotypes: Genotypes, fidelity_id: I64) -> _Batch:
        """Pairs as costed, with the distinct networks and devices among them; invalid ones and duplicates marked."""
        n, space = len(genotypes), self.space
        network_part, device_part = space.split(genotypes)
        if self.semantics.drop_dead_branches:
            network_part, device_part = (
                space.architecture.canonical(network_part),
                space.hardware.canonical(device_part),
            )
        networks, network = unique_rows(network_part, space.architecture.cardinalities)
        valid = space.architecture.valid(networks)[network] & space.hardware.valid(device_part)
        if self._sides.has_designs:
            designs, device, n_devices = (
                self._sides.designs,
                positions(space.hardware, device_part),
                space.hardware.size,
            )
        else:
            devices, device = unique_rows(device_part, space.hardware.cardinalities)
            designs, n_devices = Designs.of(space.hardware, devices), len(devices)
        reason = np.where(valid, KEPT, self.reasons["invalid architecture or hardware"]).astype(np.int8)
        n_levels = int(fidelity_id.max(initial=0)) + 1
        pair = (network * n_devices + device) * n_levels + fidelity_id
        reason[~first_of_each(pair) & valid] = self.reasons["duplicate"]
        costed = space.join(network_part, device_part)
        return _Batch(costed, networks, network, designs, device, reason, np.zeros((n, len(self.limits))))

    def _lowered(self, batch: _Batch) -> Networks:
        """The networks of a batch that are still alive; `row` is by position among `batch.networks`, -1 for others."""
        if self._sides.has_networks:
            whole = self._sides.networks
            return whole._replace(row=whole.row[positions(self.space.architecture, batch.networks)])
        used = np.unique(batch.network[batch.alive])
        table, place = self.space.architecture.lower(batch.networks[used], self.semantics)
        row = np.full(len(batch.networks), -1, np.int64)
        row[used] = place
        return Networks(table, row, network_metrics(table))

    def _prune_and_cost(self, batch: _Batch, costs: CostColumns, known: PairValues | None) -> None:
        """Constraints from the cheapest to the full cost of a pair."""
        asks_networks = any(self.model.metric(one.metric).reduction == "network" for one in self.limits)
        lowered = self._lowered(batch) if asks_networks or self._sides.has_networks else None
        alive = batch.alive
        one_sided = _Either(
            Gathered(batch.designs.columns, batch.device[alive]),
            Gathered(lowered.columns, lowered.row[batch.network[alive]]) if lowered else {},
        )
        self._constrain(batch, alive, one_sided, "constraint")
        lowered = lowered or self._lowered(batch)
        self._constrain(batch, batch.alive, self._bounds(batch, lowered), "bound")
        alive = batch.alive
        if known is not None:
            self._record(batch, costs, alive, Gathered(known.columns, alive), known.infeasible[alive])
            return
        for block in np.array_split(alive, max(-(-alive.size // _BLOCK), 1)):
            columns = self._columns(batch, lowered, block)
            infeasible = np.broadcast_to(np.asarray(columns.ask(self.model.infeasible), np.int8), block.shape)
            self._record(batch, costs, block, columns, infeasible)

    def _record(self, batch: _Batch, costs: CostColumns, pairs: I64, columns: Mapping[str, F64], misfit: Codes) -> None:
        """Costs of some pairs, and what they decide."""
        for name in self.metrics:
            costs[name][pairs] = columns[name]
        self._constrain(batch, pairs, columns, "constraint")
        batch.reason[pairs[misfit > 0]] = self.reasons.first_infeasible - 1 + misfit[misfit > 0]

    def _constrain(self, batch: _Batch, pairs: I64, columns: Mapping[str, F64], kind: str) -> None:
        """Mark pairs over a limit; `columns` hold the values of `pairs`, exact or lower bounds."""
        for k, limit in enumerate(self.limits):
            if limit.metric not in columns:
                continue
            excess = limit.excess(columns[limit.metric])
            over = excess > 0
            violation, reason = batch.violation[pairs, k], batch.reason[pairs]
            batch.violation[pairs, k] = np.where(over, np.maximum(violation, excess), violation)
            batch.reason[pairs[over & (reason == KEPT)]] = self.reasons[f"{kind} {limit.metric}"]

    def _bounds(self, batch: _Batch, lowered: Networks) -> Mapping[str, F64]:
        """Lower bounds of some costs of the pairs alive, over every design of the grid.

        sum over layers of min over designs <= min over designs of the sum over layers, rounded alike; the same holds
        for a monotone rule of such sums.
        """
        grid, rules = self._grid, self.model.rules
        bounded = [one.metric for one in self.limits if not one.least and self._is_bounded(one.metric)]
        if grid is None or not bounded or not grid.affords(lowered.table):
            return {}
        place = grid.place(lowered.table)
        least = self._reduced(grid.least[None], place, lowered.table)
        columns = PairColumns(grid.metrics, lambda name: least, config={}, network={}, rules=rules, knobs={})
        rows = lowered.row[batch.network[batch.alive]]
        return {name: columns[name][rows] for name in bounded}

    def _is_bounded(self, name: str) -> bool:
        """Whether a metric is a sum over layers, or a monotone rule of such sums alone."""
        rules, layerwise = self.model.rules, self.model.layerwise
        if layerwise is None:
            return False
        if name in rules:
            return rules[name].monotone and all(self._is_bounded(read) for read in rules[name].reads)
        return layerwise.reductions.get(name) == "sum"

    def _reduced(
        self, costs: F64, place: I64, table: LayerTable, network: I64 | None = None, design: I64 | None = None
    ) -> dict[str, F64]:
        """Layer metrics of some pairs, or of each network on the first design; `place` (L,) of layers in `costs`."""
        grid, counts = self._grid, LayerCounts.of(table)
        assert grid is not None
        network = np.arange(table.n_networks) if network is None else network
        design = np.zeros(network.size, np.int64) if design is None else design
        placed = counts._replace(rows=place[counts.rows])
        found = reduce_pairs(costs, design, network, placed, grid.layerwise.is_max(grid.metrics))
        return dict(zip(grid.metrics, np.ascontiguousarray(found.T), strict=True))

    def _columns(self, batch: _Batch, lowered: Networks, pairs: I64) -> PairColumns:
        """Columns of some pairs: layer costs from the grid where that is kept, else from the kernel."""
        network, device = lowered.row[batch.network[pairs]], batch.device[pairs]
        grid = self._grid
        if grid is None or not self._is_on_grid(lowered.table, len(batch.reason)):
            used, config = np.unique(device, return_inverse=True)
            configs = take(batch.designs.configs, used)
            return evaluate_pairs(
                self.model, lowered.table, configs, network=network, config=config.reshape(-1)
            ).columns
        place = grid.place(lowered.table)
        if not grid.keeps:
            return self._columns(batch, lowered, pairs)
        return PairColumns(
            grid.metrics,
            lambda name: self._reduced(grid.costs, place, lowered.table, network, device),
            config=Gathered(batch.designs.columns, device),
            network=Gathered(lowered.columns, network),
            rules=self.model.rules,
            knobs=Gathered(columns_of(batch.designs.configs), device),
        )

    def _is_on_grid(self, table: LayerTable, n_pairs: int) -> bool:
        """Whether costing layers on the whole grid pays: it is there for the bounds, or the batch is as large."""
        grid = self._grid
        if grid is None or not (grid.keeps and self._sides.has_designs and grid.affords(table)):
            return False
        return grid.costs.shape[1] > 0 or self.space.hardware.size <= 4 * n_pairs

    def _dominance(self, verdicts: Verdicts, known: Known) -> None:
        """Mark dominated survivors; writes into `verdicts.reason`."""
        alive = verdicts.survivors
        points = np.column_stack([one.minimised(verdicts.costs[one.metric][alive]) for one in self.goals])
        classes = (verdicts.fidelity_id if self.cost_alone else verdicts.class_id)[alive]
        beaten = dominated_in_class(points, classes)
        verdicts.reason[alive[beaten]] = self.reasons["dominated in its accuracy class"]
        alive, points = alive[~beaten], points[~beaten]
        beaten = dominated_by_known(points, self._least_error(alive, verdicts, known), known.costs, known.error)
        verdicts.reason[alive[beaten]] = self.reasons["dominated by a proven accuracy"]
        if self.aggressive:
            alive, points = alive[~beaten], points[~beaten]
            capacity = verdicts.costs["weight_bytes"][alive]
            beaten = dominated_at_capacity(points, capacity, verdicts.numerics_id[alive])
            verdicts.reason[alive[beaten]] = self.reasons[GUESS]

    def _least_error(self, pairs: I64, verdicts: Verdicts, known: Known) -> F64:
        """Exact error of classes evaluated before at fidelity 1, 0 for the others, (P,)."""
        proven = known.class_fidelity == 1.0
        # What a class reaches at fidelity 1 bounds its pairs at any fidelity: so they are compared without it.
        whole = replace(verdicts, fidelity_levels=np.ones(1), fidelity_id=np.zeros_like(verdicts.fidelity_id))
        codes = whole.find_classes(
            known.class_architecture[proven],
            known.class_numerics[proven],
            known.class_fidelity[proven],
            self.space.architecture.cardinalities,
        )
        met = codes >= 0
        if not met.any():
            return np.zeros(len(pairs))
        classes, order = whole.class_id[pairs], np.argsort(codes[met])
        codes, exact = codes[met][order], known.class_error[proven][met][order]
        at = np.minimum(np.searchsorted(codes, classes), len(codes) - 1)
        return np.where(codes[at] == classes, exact[at], 0.0)


def _distinct_of(designs: Designs, device: I64) -> tuple[F64, I64]:
    """Distinct numerics of the devices that are met, (C, F), and which of them each pair has."""
    label = designs.label[device]
    met = np.bincount(label, minlength=len(designs.numerics)) > 0
    return designs.numerics[met], (np.cumsum(met) - 1)[label]


class _Either(Mapping[str, F64]):
    """The columns of both sides, gathered when asked for."""

    def __init__(self, *sides: Mapping[str, F64]) -> None:
        self._sides = sides

    def __getitem__(self, name: str) -> F64:
        return next(side for side in self._sides if name in side)[name]

    def __contains__(self, name: object) -> bool:
        return any(name in side for side in self._sides)

    def __iter__(self) -> Iterator[str]:
        return (name for side in self._sides for name in side)

    def __len__(self) -> int:
        return sum(len(side) for side in self._sides)
