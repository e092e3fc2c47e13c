"""The inner hardware optimiser: for one network, the designs of a grid that minimise one cost under constraints.

`EnumeratedDesigns` is exact: designs whose own columns break a limit go first; then layers are costed from the heaviest
on, and a design is dropped as soon as the layers so far cost more than the best complete design known, or than a limit.
Sums of non-negative terms only grow, so no best design is lost. `EvolvedDesigns` is for grids beyond that: a genetic
algorithm over the knobs' positions, no proof. Both answer `DesignSearch`, which is all that a loop needs to know.

Not modelled: an accuracy. The network is given, and so is what it is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codesign.exact.listing import LISTABLE, list_designs
from codesign.objectives import Constraints, Limit, Objective, limits_of, objectives_of
from codesign.space.base import Genotypes
from codesign.space.hardware import HardwareSpace
from hwmodels.compose import LayerCounts, listed_costs, reduce_pairs
from hwmodels.evaluate import PairCosts, evaluate_pairs
from hwmodels.workload.table import LayerTable

__all__ = ["BestDesigns", "DesignSearch", "EnumeratedDesigns", "EvolvedDesigns", "best_design"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_EXACT = 4_000_000
"""Designs up to which a grid is enumerated."""
_SAMPLE = 256
"""Designs costed whole at first, for a first bound."""
_PARTS = 4
"""Steps in which a network's layers are costed; each may drop designs."""
_CHUNK = 1 << 18


@dataclass(frozen=True, eq=False)
class BestDesigns:
    """The best designs of one network.

    genotypes : (B, G) all designs of the best value, none where nothing is feasible. value : it, infinite then.
    columns : metric -> (B,). met : designs costed whole; designs : those of the grid. exact : whether it is proven.
    """

    genotypes: Genotypes
    value: float
    columns: Mapping[str, F64]
    met: int
    designs: int
    exact: bool


class DesignSearch(Protocol):
    """Finds hardware for a network."""

    def __call__(self, table: LayerTable, network: int, rng: np.random.Generator) -> BestDesigns:
        """The best designs for network `network` of `table`."""
        ...


@dataclass(frozen=True)
class _Search:
    space: HardwareSpace
    objective: str
    constraints: Constraints

    def __post_init__(self) -> None:
        _ = self._goal, self._limits

    @cached_property
    def _goal(self) -> Objective:
        return objectives_of(self.space.model, [self.objective])[0]

    @cached_property
    def _limits(self) -> tuple[Limit, ...]:
        return limits_of(self.space.model, self.constraints)

    def _costs(self, table: LayerTable, network: int, designs: Genotypes) -> PairCosts:
        place = np.arange(len(designs))
        configs = self.space.table(designs)
        return evaluate_pairs(self.space.model, table, configs, network=np.full(len(designs), network), config=place)

    def _allowed(self, costs: PairCosts) -> npt.NDArray[np.bool_]:
        allowed: npt.NDArray[np.bool_] = costs.infeasible == 0
        for limit in self._limits:
            allowed = allowed & limit.keeps(costs.columns[limit.metric])
        return allowed

    def _best(self, table: LayerTable, network: int, designs: Genotypes, met: int, *, exact: bool) -> BestDesigns:
        """The least of some designs, all of equal cost, costed once more."""
        columns: dict[str, F64] = {}
        value = np.inf
        kept = np.zeros(0, np.int64)
        if len(designs):
            costs = self._costs(table, network, designs)
            allowed = np.flatnonzero(self._allowed(costs))
            if allowed.size:
                goal = self._goal.minimised(costs.columns[self.objective][allowed])
                value, kept = float(goal.min()), allowed[goal == goal.min()]
            columns = {name: values[kept] for name, values in costs.columns.items()}
        value = value if not self._goal.more or not kept.size else -value
        return BestDesigns(designs[kept], value, columns, met, self.space.size, exact)


@dataclass(frozen=True)
class EnumeratedDesigns(_Search):
    """Exact search over a whole grid.

    Parameters
    ----------
    space : the grid. objective : a metric, optimised in the direction that is better. constraints : metric -> its
        largest value, or smallest where more is better or the value says ">= 30".
    """

    def __call__(self, table: LayerTable, network: int, rng: np.random.Generator) -> BestDesigns:
        listed = list_designs(self.space)
        left = np.arange(len(listed.genotypes))
        for limit in self._limits:
            if limit.metric in listed.columns:
                left = left[limit.keeps(listed.columns[limit.metric][left])]
        first = rng.permutation(left)[:_SAMPLE]
        best = self._best(table, network, listed.genotypes[first], 0, exact=False)
        if self.objective in listed.columns and len(best.genotypes):
            values, known = (self._goal.minimised(v) for v in (listed.columns[self.objective], np.array(best.value)))
            left = left[values[left] <= known]
        left = self._bounded(table, network, listed.configs, left, best.value)
        candidates = []
        for at in range(0, left.size, _CHUNK):
            part = listed.genotypes[left[at : at + _CHUNK]]
            candidates.append(self._best(table, network, part, 0, exact=True).genotypes)
        joined = np.concatenate([best.genotypes, *candidates])
        distinct = np.unique(joined, axis=0).reshape(-1, self.space.n_genes) if len(joined) else joined
        return self._best(table, network, distinct, int(first.size + left.size), exact=True)

    def _bounded(self, table: LayerTable, network: int, configs: Any, left: I64, best: float) -> I64:
        """Designs whose heaviest layers alone do not prove them worse than `best` or over a limit.

        Nothing is dropped where the layers of the family do not add up.
        """
        layerwise = self.space.model.layerwise
        if layerwise is None:
            return left
        limits = {one.metric: one.bound for one in self._limits if one.metric in layerwise.metrics and not one.least}
        if self.objective in layerwise.metrics and not self._goal.more:
            limits[self.objective] = min(limits.get(self.objective, np.inf), best)
        rows, counts = np.unique(table.rows_of(network), return_counts=True)
        if not limits or not rows.size:
            return left
        bounded = [layerwise.metrics.index(name) for name in limits]
        is_max = layerwise.is_max(tuple(limits))
        heavy = np.argsort(-(counts * (table.layers.macs[rows] + table.layers.vector_ops[rows])), kind="stable")
        so_far = np.zeros((left.size, len(limits)))
        for part in np.array_split(heavy, min(_PARTS, rows.size))[:-1]:
            for at in range(0, left.size, _CHUNK // _PARTS):
                which = slice(at, at + _CHUNK // _PARTS)
                size = left[which].size
                layer, config = np.tile(rows[part], size), np.repeat(left[which], part.size)
                costs = listed_costs(layerwise, table.layers, configs, layer, config)
                costs = np.ascontiguousarray(costs.reshape(size, part.size, -1)[:, :, bounded])
                these = LayerCounts(np.arange(part.size), counts[part].astype(np.float64), np.array([0, part.size]))
                here = reduce_pairs(costs, np.arange(size), np.zeros(size, np.int64), these, is_max)
                so_far[which] = np.where(is_max, np.maximum(so_far[which], here), so_far[which] + here)
            # Partial sums round: what exceeds a limit by less than this may still be equal to it.
            kept = (so_far * (1 - 1e-9) <= np.array(list(limits.values()))).all(axis=1)
            left, so_far = left[kept], so_far[kept]
        return left


@dataclass(frozen=True)
class EvolvedDesigns(_Search):
    """A genetic algorithm (pymoo's) over the positions of the knobs; the best found, without a proof.

    Parameters
    ----------
    space, objective, constraints : as `EnumeratedDesigns`. population, generations : of the algorithm.
    """

    population: int = 64
    generations: int = 40

    def __call__(self, table: LayerTable, network: int, rng: np.random.Generator) -> BestDesigns:
        from pymoo.algorithms.soo.nonconvex.ga import GA
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.optimize import minimize

        search = self

        class _Designs(Problem):  # type: ignore[misc]
            def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
                costs = search._costs(table, network, np.asarray(x, np.int64))
                out["F"] = search._goal.minimised(costs.columns[search.objective])[:, None]
                excess = [limit.excess(costs.columns[limit.metric]) for limit in search._limits]
                out["G"] = np.column_stack([costs.infeasible.astype(np.float64), *excess])

        problem = _Designs(
            n_var=self.space.n_genes,
            n_obj=1,
            n_ieq_constr=1 + len(self.constraints),
            xl=np.zeros(self.space.n_genes),
            xu=self.space.cardinalities - 1,
            vtype=int,
        )
        algorithm = GA(
            pop_size=self.population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(vtype=float, repair=RoundingRepair()),
            mutation=PM(vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        seed = int(rng.integers(2**31))
        result = minimize(problem, algorithm, ("n_gen", self.generations), seed=seed)
        last = np.unique(result.pop.get("X").astype(np.int64), axis=0)
        return self._best(table, network, last, int(result.algorithm.evaluator.n_eval), exact=False)


def best_design(
    space: HardwareSpace,
    table: LayerTable,
    *,
    objective: str,
    constraints: Constraints = (),
    network: int = 0,
    rng: np.random.Generator | None = None,
    largest_grid: int = _EXACT,
) -> BestDesigns:
    """The designs with the best `objective` for one network: exact up to `largest_grid` of a grid, evolved beyond.

    >>> from hwmodels.catalog import device
    >>> from hwmodels.workload.table import layer_table
    >>> from hwmodels.workload.zoo import network
    >>> chip = device("systolic_edge")
    >>> grid = HardwareSpace(chip.model, chip.spec, {"array_rows": [16, 32, 64], "array_cols": [16, 32, 64]})
    >>> found = best_design(grid, layer_table([network("resnet18")]), objective="latency_s",
    ...     constraints={"area_mm2": 2.0})
    >>> grid.decode(found.genotypes[0]), found.exact
    ({'array_rows': 32, 'array_cols': 32}, True)
    """
    exact = space.size <= min(largest_grid, LISTABLE)
    kind = EnumeratedDesigns if exact else EvolvedDesigns
    search: DesignSearch = kind(space, objective, constraints)
    return search(table, network, rng or np.random.default_rng(0))
