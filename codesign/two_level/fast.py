"""FAST level: costs only, in batches of 1e5 and more pairs, a reason for every pruned pair.

Order of work, cheapest proof first: duplicates and invalid points; constraints on what one side alone decides (area
of the hardware, weights of the network); lower bounds over the whole hardware grid; the full cost of what is left and
its constraints; dominance. Nothing here knows an accuracy that was not measured; aggressive pruning guesses one, last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import find_rows, unique_rows
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal
from codesign.two_level.prune import (
    GUESS,
    KEPT,
    Reasons,
    dominated_at_capacity,
    dominated_by_known,
    dominated_in_class,
)
from hwmodels.evaluate import evaluate_pairs, layer_costs, network_metrics
from hwmodels.workload.ops import Row
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import Layers, LayerTable, Networks

__all__ = ["FastLevel", "Known", "Verdicts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What FAST says of P pairs.

    reason : (P,) int8, `KEPT` or a code of `Reasons`. costs : metric -> (P,), NaN where a pair was pruned before its
    full evaluation. violation : (P, K) relative excess over each constraint, 0 where met or unknown.
    genotypes : (P, G) as costed: canonical where the runtime drops dead branches, as proposed where it runs them.
    architectures : (A, Ga) distinct canonical networks; architecture_id : (P,) which of them a pair has.
    numerics : (C, F) distinct numerics; numerics_id : (P,) likewise. fidelity_levels : (V,) distinct fidelities of the
    proposal; fidelity_id : (P,) likewise. source : (P,) row of the proposal that a pair came from.
    dropped : pairs that were considered and are not listed, by reason.
    """

    genotypes: Genotypes
    reason: npt.NDArray[np.int8]
    costs: Mapping[str, F64]
    violation: F64
    architectures: Genotypes
    architecture_id: I64
    numerics: F64
    numerics_id: I64
    fidelity_levels: F64
    fidelity_id: I64
    source: I64
    dropped: Mapping[str, int]

    @property
    def class_id(self) -> I64:
        """(P,) one number an accuracy class: same network, same numerics, same fidelity."""
        reading = self.architecture_id * len(self.numerics) + self.numerics_id
        return reading * len(self.fidelity_levels) + self.fidelity_id

    @property
    def survivors(self) -> I64:
        """Positions of the pairs that were not pruned."""
        return np.flatnonzero(self.reason == KEPT)

    def find_classes(self, architectures: Genotypes, numerics: F64, fidelity: F64, cardinalities: I64) -> I64:
        """The class ids of given classes, (B, Ga), (B, F) and (B,), -1 where the batch has no such class."""
        architecture = find_rows(architectures, self.architectures, cardinalities)
        by_numerics = {tuple(row): i for i, row in enumerate(self.numerics.tolist())}
        arithmetic = np.array([by_numerics.get(tuple(row), -1) for row in numerics.tolist()], np.int64)
        by_fidelity = {level: i for i, level in enumerate(self.fidelity_levels.tolist())}
        level = np.array([by_fidelity.get(value, -1) for value in fidelity.tolist()], np.int64)
        met = (architecture >= 0) & (arithmetic >= 0) & (level >= 0)
        return np.where(met, (architecture * len(self.numerics) + arithmetic) * len(self.fidelity_levels) + level, -1)


@dataclass(frozen=True, eq=False)
class Known:
    """What SLOW has established so far: evaluated pairs and the exact error of each accuracy class.

    costs : (A, K) cost objectives of evaluated pairs of fidelity 1. error : (A,) their errors.
    class_architecture : (B, Ga) canonical genotypes; class_numerics : (B, F); class_fidelity, class_error : (B,).
    """

    costs: F64
    error: F64
    class_architecture: Genotypes
    class_numerics: F64
    class_fidelity: F64
    class_error: F64


class FastLevel:
    """Evaluates and prunes batches of joint genotypes.

    Parameters
    ----------
    objectives : names of the minimised cost metrics. constraints : metric -> largest allowed value.
    aggressive : drop pairs by a guess at their accuracy, too, see `codesign.two_level.prune`.
    grid_evaluations : the lower bound is used while (grid size x layer shapes) stays below this.
    """

    def __init__(
        self,
        space: JointSpace,
        semantics: Semantics,
        *,
        objectives: tuple[str, ...],
        constraints: Mapping[str, float],
        aggressive: bool = False,
        grid_evaluations: int = 2_000_000,
    ) -> None:
        self.space, self.semantics = space, semantics
        self.model = space.hardware.model
        self.objectives, self.constraints = objectives, dict(constraints)
        self.reasons = Reasons(constraints=constraints, infeasible=self.model.infeasible_reasons)
        self.aggressive = aggressive
        self._grid_evaluations = grid_evaluations
        self._least: dict[Row, F64] = {}

    def evaluate(self, proposal: Proposal, known: Known) -> Verdicts:
        """Verdicts on a batch of P pairs."""
        genotypes, n = proposal.genotypes, len(proposal.genotypes)
        levels, fidelity_id = np.unique(proposal.fidelity, return_inverse=True)
        reason = np.zeros(n, np.int8)
        costed = self.space.canonical(genotypes) if self.semantics.drop_dead_branches else genotypes
        network_part, device_part = self.space.split(costed)
        reason[~self.space.valid(costed)] = self.reasons["invalid architecture or hardware"]
        distinct, pair_id = unique_rows(costed, self.space.cardinalities)
        pair_id = pair_id * len(levels) + fidelity_id
        first = np.full(len(distinct) * len(levels), n, np.int64)
        np.minimum.at(first, pair_id, np.arange(n))
        reason[(first[pair_id] != np.arange(n)) & (reason == KEPT)] = self.reasons["duplicate"]

        canonical = self.space.architecture.canonical(network_part)
        architectures, architecture_id = unique_rows(canonical, self.space.architecture.cardinalities)
        devices, device_id = unique_rows(device_part, self.space.hardware.cardinalities)
        numerics, of_device = np.unique(self.space.hardware.numerics(devices), axis=0, return_inverse=True)
        numerics_id = of_device.reshape(-1)[device_id]
        table, network = self.space.architecture.lower(network_part, self.semantics)
        configs = self.space.hardware.table(devices)

        costs = {name: np.full(n, np.nan) for name in self._metric_names()}
        violation = np.zeros((n, len(self.constraints)))
        self._one_sided(reason, violation, table, configs, network, device_id)
        self._bounds(reason, violation, table, network)
        alive = np.flatnonzero(reason == KEPT)
        found = evaluate_pairs(self.model, table, configs, network=network[alive], config=device_id[alive])
        for name in costs:
            costs[name][alive] = found.columns[name]
        self._constrain(reason, violation, alive, found.columns, "constraint")
        # What the hardware cannot run is told so, whatever it would cost.
        misfit = found.infeasible > 0
        reason[alive[misfit]] = self.reasons.first_infeasible - 1 + found.infeasible[misfit]
        verdicts = Verdicts(
            costed, reason, costs, violation, architectures, architecture_id, numerics, numerics_id,
            levels, fidelity_id, np.arange(n), proposal.dropped,
        )  # fmt: skip
        self._dominance(verdicts, known)
        return verdicts

    def _metric_names(self) -> tuple[str, ...]:
        wanted = dict.fromkeys(
            (*self.objectives, *self.constraints, "latency_s", "energy_j", "area_mm2", "macs", "weight_bytes")
        )
        return tuple(wanted)

    def _constrain(
        self,
        reason: npt.NDArray[np.int8],
        violation: F64,
        pairs: I64,
        columns: Mapping[str, F64],
        kind: str,
    ) -> None:
        """Mark pairs over a limit; `columns` hold the values of `pairs`, exact or lower bounds."""
        for k, (name, limit) in enumerate(self.constraints.items()):
            if name not in columns:
                continue
            excess = columns[name] / limit - 1.0
            over = excess > 0
            violation[pairs[over], k] = np.maximum(violation[pairs[over], k], excess[over])
            fresh = over & (reason[pairs] == KEPT)
            reason[pairs[fresh]] = self.reasons[f"{kind} {name}"]

    def _one_sided(
        self,
        reason: npt.NDArray[np.int8],
        violation: F64,
        table: LayerTable,
        configs: object,
        network: I64,
        device: I64,
    ) -> None:
        """Constraints on metrics of the hardware alone or of the network alone: exact, no kernel call."""
        if not self.constraints:
            return
        alive = np.flatnonzero(reason == KEPT)
        of_device = {name: values[device[alive]] for name, values in self.model.config_metrics(configs).items()}
        of_network = {name: values[network[alive]] for name, values in network_metrics(table).items()}
        self._constrain(reason, violation, alive, of_device | of_network, "constraint")

    def _bounds(self, reason: npt.NDArray[np.int8], violation: F64, table: LayerTable, network: I64) -> None:
        """Drop networks that violate a constraint on every design of the grid.

        sum over layers of min over designs <= min over designs of the sum over layers, for sum-reduced metrics.
        """
        bounded = [n for n in self.constraints if n in self.model.layer_metrics and self.model.reduction(n) == "sum"]
        if not bounded or self.space.hardware.size * table.n_layers > self._grid_evaluations:
            return
        least = self._least_costs(table)
        columns = {}
        alive = np.flatnonzero(reason == KEPT)
        start = table.networks.sequence_start
        for name in bounded:
            per_layer = least[table.networks.sequence, self.model.layer_metrics.index(name)]
            running = np.concatenate([np.zeros(1), np.cumsum(per_layer)])
            # The running sum rounds; 1e-9 of it keeps the bound below the true value.
            bound = np.diff(running[start]) * (1 - 1e-9) - 1e-12 * running[-1]
            columns[name] = bound[network[alive]]
        self._constrain(reason, violation, alive, columns, "bound")

    def _least_costs(self, table: LayerTable) -> F64:
        """Least cost of each layer over all designs of the grid, (L, M); remembered by layer shape."""
        rows = [table.layers.row(i) for i in range(table.n_layers)]
        new = [row for row in dict.fromkeys(rows) if row not in self._least]
        if new:
            designs = self.space.hardware.enumerate()
            alone = LayerTable(Layers.of(new), _no_networks(), ())
            least = np.full((len(new), len(self.model.layer_metrics)), np.inf)
            for part in np.array_split(designs, max(len(designs) * len(new) // 200_000, 1)):
                costed = layer_costs(self.model, alone, self.space.hardware.table(part)).values
                least = np.minimum(least, costed.min(axis=0))
            self._least.update(zip(new, least, strict=True))
        return np.array([self._least[row] for row in rows]).reshape(len(rows), -1)

    def _dominance(self, verdicts: Verdicts, known: Known) -> None:
        """Mark dominated survivors; writes into `verdicts.reason`."""
        alive = verdicts.survivors
        points = np.column_stack([verdicts.costs[name][alive] for name in self.objectives])
        classes = verdicts.class_id[alive]
        beaten = dominated_in_class(points, classes)
        verdicts.reason[alive[beaten]] = self.reasons["dominated in its accuracy class"]
        alive, points, classes = alive[~beaten], points[~beaten], classes[~beaten]
        least_error = self._least_error(classes, verdicts, known)
        beaten = dominated_by_known(points, least_error, known.costs, known.error)
        verdicts.reason[alive[beaten]] = self.reasons["dominated by a proven accuracy"]
        if self.aggressive:
            alive, points = alive[~beaten], points[~beaten]
            capacity = verdicts.costs["weight_bytes"][alive]
            beaten = dominated_at_capacity(points, capacity, verdicts.numerics_id[alive])
            verdicts.reason[alive[beaten]] = self.reasons[GUESS]

    def _least_error(self, classes: I64, verdicts: Verdicts, known: Known) -> F64:
        """Exact error of classes evaluated before at fidelity 1, 0 for the others, (P,)."""
        codes = verdicts.find_classes(
            known.class_architecture,
            known.class_numerics,
            known.class_fidelity,
            self.space.architecture.cardinalities,
        )
        met = (codes >= 0) & (known.class_fidelity == 1.0)
        if not met.any():
            return np.zeros(len(classes))
        order = np.argsort(codes[met])
        codes, exact = codes[met][order], known.class_error[met][order]
        at = np.minimum(np.searchsorted(codes, classes), len(codes) - 1)
        return np.where(codes[at] == classes, exact[at], 0.0)


def _no_networks() -> Networks:
    nothing, start = np.zeros(0, np.int64), np.zeros(1, np.int64)
    return Networks(nothing, start, nothing, nothing, nothing, start)
