"""Networks from one strategy, the whole grid of designs for each: what is left are the cost fronts of its networks.

Designs of equal numerics give one network one accuracy. Among them only those can be on the front of all pairs that
no other one beats in cost: dominance within one accuracy class, met here for every design of the grid before a pair
is made a row of anything. What is dropped is counted by reason; what is listed goes through the FAST level like any
other pair.

Not modelled: families whose layers do not simply add up. They are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.exact.listing import ListedNetworks, list_designs, pair_tables
from codesign.exact.pairs import PairTables, dense_columns
from codesign.executor.base import cores
from codesign.pareto import row_fronts
from codesign.space.architecture import unique_rows
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal, Results, State, Strategy
from codesign.two_level.prune import KEPT, Reasons
from hwmodels.errors import SpecError
from hwmodels.evaluate import network_metrics
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["FrontHardware"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

_COST_VALUES = 1 << 25
"""Layer costs held at once, float64: 256 MB."""
_BLOCK_PAIRS = 1 << 17
"""Pairs whose costs a thread holds at once."""


class FrontHardware:
    """A strategy of pairs from a strategy of networks.

    Parameters
    ----------
    networks : proposes genotypes of `space.architecture`. objectives, constraints : costs and limits of the search.

    Raises
    ------
    SpecError : a family whose layers do not add up, or a grid that is too large to list.
    """

    def __init__(
        self,
        space: JointSpace,
        networks: Strategy,
        semantics: Semantics,
        *,
        objectives: tuple[str, ...],
        constraints: Mapping[str, float],
    ) -> None:
        self.model = space.hardware.model
        if self.model.composition != "sum":
            raise SpecError("hardware.search", "front", "joint for a family whose layers do not add up")
        self.space, self.networks, self.semantics = space, networks, semantics
        self.objectives, self.constraints = objectives, dict(constraints)
        self.reasons = Reasons(constraints=constraints, infeasible=self.model.infeasible_reasons)
        self._designs = list_designs(space.hardware)
        numerics = space.hardware.numerics(self._designs.genotypes)
        label = np.unique(numerics, axis=0, return_inverse=True)[1].reshape(-1)
        # A class is met from its first design to its last.
        self._order = np.argsort(label, kind="stable")
        self._label = np.ascontiguousarray(label[self._order], np.int64)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        """The fronts of as many networks as make about `n` pairs with all designs; of one at least.

        A network that no design can run within the limits is listed once, on the design that is least over them.
        """
        n_designs = len(self._order)
        found = self.networks.ask(max(1, round(n / n_designs)), rng).genotypes
        valid = found[self.space.architecture.valid(found)]
        costed = self.space.architecture.canonical(valid) if self.semantics.drop_dead_branches else valid
        distinct, _ = unique_rows(costed, self.space.architecture.cardinalities)
        counted = np.zeros(len(self.reasons.names), np.int64)
        counted[self.reasons["invalid architecture or hardware"]] = (len(found) - len(valid)) * n_designs
        counted[self.reasons["duplicate"]] = (len(valid) - len(distinct)) * n_designs
        listed = [np.empty((0, self.space.n_genes), np.int64)]
        for which, tables in self._groups(distinct):
            for network, design, codes in self._fronts(tables):
                listed.append(self.space.join(distinct[which[network]], self._designs.genotypes[design]))
                counted += codes
        return Proposal.full(np.concatenate(listed), self.reasons.named(counted))

    def _groups(self, networks: Genotypes) -> Iterator[tuple[I64, PairTables]]:
        """Networks whose layers' costs on all designs are held at once: positions, and their tables."""
        table, place = self.space.architecture.lower(networks, self.semantics)
        most = _COST_VALUES // (len(self._order) * len(self.model.layer_metrics))
        counts = table.counts()[place]
        columns = {name: values[place] for name, values in network_metrics(table).items()}
        waiting = [np.arange(len(networks))]
        while waiting:
            which = waiting.pop()
            rows = np.flatnonzero(counts[which].any(axis=0))
            if rows.size > most and which.size > 1:
                waiting += [which[which.size // 2 :], which[: which.size // 2]]
            elif which.size:
                yield which, self._tables(table, networks[which], counts[np.ix_(which, rows)], rows, {
                    name: values[which] for name, values in columns.items()
                })  # fmt: skip

    def _tables(
        self,
        table: LayerTable,
        networks: Genotypes,
        counts: npt.NDArray[Any],
        rows: I64,
        columns: dict[str, F64],
    ) -> PairTables:
        layers = type(table.layers)(*(np.ascontiguousarray(column[rows]) for column in table.layers))
        space = self.space.architecture
        return pair_tables(ListedNetworks(space, self.semantics, networks, layers, counts, columns), self._designs)

    def _fronts(self, tables: PairTables) -> Iterator[tuple[I64, I64, I64]]:
        """Listed pairs of one group after the other: network, design, and how many pairs each code got."""
        costs = np.ascontiguousarray(tables.costs_of(self._order).transpose(2, 1, 0))
        height = max(_BLOCK_PAIRS // len(self._order), 1)
        blocks = np.split(np.arange(tables.n_networks), range(height, tables.n_networks, height))
        with ThreadPoolExecutor(cores()) as pool:
            for block, codes in zip(
                blocks, pool.map(lambda part: self._block(tables, part, costs), blocks), strict=True
            ):
                network, place = np.nonzero(codes == KEPT)
                counted = np.bincount(codes.reshape(-1), minlength=len(self.reasons.names))
                counted[KEPT] = 0
                yield block[network], self._order[place], counted

    def _block(self, tables: PairTables, networks: I64, costs: F64) -> Codes:
        """Reason codes of some networks on all designs, (n, H); `costs` (M, L, H)."""
        columns = dense_columns(tables, networks, self._order, costs)
        shape = (networks.size, self._order.size)
        misfit = np.asarray(self.model.infeasible(columns, columns.knobs)).reshape(shape)
        codes = np.where(misfit > 0, self.reasons.first_infeasible - 1 + misfit, KEPT).astype(np.int8)
        worst = np.where(misfit > 0, np.inf, 0.0)
        for name, limit in self.constraints.items():
            excess = columns[name].reshape(shape) / limit - 1.0
            codes[(excess > 0) & (codes == KEPT)] = self.reasons[f"constraint {name}"]
            worst = np.maximum(worst, excess)
        values = np.stack([columns[name].reshape(shape) for name in self.objectives])
        allowed = codes == KEPT
        codes[allowed & ~row_fronts(values, allowed, self._label)] = self.reasons["dominated in its accuracy class"]
        none = np.flatnonzero(~allowed.any(axis=1))
        codes[none, worst[none].argmin(axis=1)] = KEPT
        return codes

    def tell(self, proposal: Proposal, results: Results) -> None:
        architectures: Genotypes = self.space.split(proposal.genotypes)[0]
        self.networks.tell(Proposal(architectures, proposal.fidelity), results)

    def state(self) -> State:
        return self.networks.state()

    def restore(self, state: State) -> None:
        self.networks.restore(state)
