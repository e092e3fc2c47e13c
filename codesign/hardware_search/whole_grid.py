"""The whole grid of designs for each proposed network: what is left are the cost fronts of its networks.

Designs of equal numerics give one network one accuracy. Among them only those can be on the front of all pairs that
no other one beats in cost: dominance within one accuracy class, met here for every design of the grid before a pair
is made a row of anything. What is dropped is counted by reason; what is listed goes through the FAST level like any
other pair.

Not modelled: families whose layers do not simply add up. They are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.exact.listing import ListedNetworks, list_designs, pair_tables
from codesign.exact.pairs import PairTables, dense_columns
from codesign.executor.base import cores
from codesign.hardware_search.stage import ListedPairs, PairValues
from codesign.objectives import Constraints, limits_of, objectives_of
from codesign.pareto import row_fronts
from codesign.space.architecture import unique_rows
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.two_level.prune import KEPT, Reasons
from hwmodels.compose import PairColumns
from hwmodels.evaluate import layerwise_of, network_metrics
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
    """A `codesign.hardware_search.stage.HardwareStage`.

    Parameters
    ----------
    objectives, constraints : costs and limits of the search. metrics : those reported for each listed pair.

    Raises
    ------
    SpecError : a family whose layers do not add up, or a grid that is too large to list.
    """

    def __init__(
        self,
        space: JointSpace,
        semantics: Semantics,
        *,
        objectives: tuple[str, ...],
        constraints: Constraints,
        metrics: tuple[str, ...] = (),
    ) -> None:
        self.model = space.hardware.model
        layerwise_of(self.model, "hardware.search: front")
        self.space, self.semantics, self.metrics = space, semantics, metrics or objectives
        self.objectives, self.limits = objectives_of(self.model, objectives), limits_of(self.model, constraints)
        self.reasons = Reasons(
            constraints=[one.metric for one in self.limits], infeasible=self.model.infeasible_reasons
        )
        self._designs = list_designs(space.hardware)
        numerics = space.hardware.numerics(self._designs.genotypes)
        label = np.unique(numerics, axis=0, return_inverse=True)[1].reshape(-1)
        # A class is met from its first design to its last.
        self._order = np.argsort(label, kind="stable")
        self._label = np.ascontiguousarray(label[self._order], np.int64)

    def networks(self, n: int) -> int:
        return max(1, round(n / len(self._order)))

    def expand(self, networks: Genotypes, rng: np.random.Generator) -> ListedPairs:
        """The cost fronts of all networks.

        A network that no design can run within the limits is listed once, on the design that is least over them.
        """
        n_designs, architecture = len(self._order), self.space.architecture
        valid = np.flatnonzero(architecture.valid(networks))
        costed = architecture.canonical(networks[valid]) if self.semantics.drop_dead_branches else networks[valid]
        distinct, index = unique_rows(costed, architecture.cardinalities)
        first = np.zeros(len(distinct), np.int64)
        first[index[::-1]] = valid[::-1]
        counted = np.zeros(len(self.reasons.names), np.int64)
        counted[self.reasons["invalid architecture or hardware"]] = (len(networks) - len(valid)) * n_designs
        counted[self.reasons["duplicate"]] = (len(valid) - len(distinct)) * n_designs
        found = [_Block.empty(self.metrics)]
        for which, tables in self._groups(distinct):
            for block in self._fronts(tables):
                counted += block.counted
                found.append(block._replace(network=which[block.network]))
        whole = _Block.joined(found)
        return ListedPairs(
            self.space.join(distinct[whole.network], self._designs.genotypes[whole.design]),
            first[whole.network],
            self.reasons.named(counted),
            PairValues(dict(zip(self.metrics, whole.values, strict=True)), whole.infeasible),
        )

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

    def _fronts(self, tables: PairTables) -> Iterator[_Block]:
        """Listed pairs of one block of networks after the other."""
        costs = np.ascontiguousarray(tables.costs_of(self._order).transpose(2, 1, 0))
        height = max(_BLOCK_PAIRS // len(self._order), 1)
        blocks = np.split(np.arange(tables.n_networks), range(height, tables.n_networks, height))
        with ThreadPoolExecutor(cores()) as pool:
            yield from pool.map(lambda part: self._block(tables, part, costs), blocks)

    def _block(self, tables: PairTables, networks: I64, costs: F64) -> _Block:
        """What is listed of some networks on all designs; `costs` (M, L, H)."""
        columns = dense_columns(tables, networks, self._order, costs)
        misfit, codes = self._codes(columns, (networks.size, self._order.size))
        network, place = np.nonzero(codes == KEPT)
        counted = np.bincount(codes.reshape(-1), minlength=len(self.reasons.names))
        counted[KEPT] = 0
        at = network * self._order.size + place
        values = np.stack([columns[name][at] for name in self.metrics])
        return _Block(networks[network], self._order[place], values, misfit[network, place], counted)

    def _codes(self, columns: PairColumns, shape: tuple[int, int]) -> tuple[Codes, Codes]:
        """Codes of infeasibility and reason codes of some networks on all designs, (n, H)."""
        misfit = np.broadcast_to(np.asarray(columns.ask(self.model.infeasible)), shape[0] * shape[1]).reshape(shape)
        codes = np.where(misfit > 0, self.reasons.first_infeasible - 1 + misfit, KEPT).astype(np.int8)
        worst = np.where(misfit > 0, np.inf, 0.0)
        for limit in self.limits:
            excess = limit.excess(columns[limit.metric]).reshape(shape)
            codes[(excess > 0) & (codes == KEPT)] = self.reasons[f"constraint {limit.metric}"]
            worst = np.maximum(worst, excess)
        values = np.stack([one.minimised(columns[one.metric]).reshape(shape) for one in self.objectives])
        allowed = codes == KEPT
        codes[allowed & ~row_fronts(values, allowed, self._label)] = self.reasons["dominated in its accuracy class"]
        none = np.flatnonzero(~allowed.any(axis=1))
        codes[none, worst[none].argmin(axis=1)] = KEPT
        return misfit.astype(np.int8), codes


class _Block(NamedTuple):
    """Listed pairs: network and design (P,), metrics (K, P), codes of infeasibility (P,); and pairs by reason code."""

    network: I64
    design: I64
    values: F64
    infeasible: Codes
    counted: I64

    @classmethod
    def empty(cls, metrics: tuple[str, ...]) -> _Block:
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, np.zeros((len(metrics), 0)), np.zeros(0, np.int8), nothing)

    @classmethod
    def joined(cls, parts: Sequence[_Block]) -> _Block:
        return cls(
            np.concatenate([part.network for part in parts]),
            np.concatenate([part.design for part in parts]),
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.infeasible for part in parts]),
            np.zeros(0, np.int64),
        )
