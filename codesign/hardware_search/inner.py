"""Networks from one strategy, hardware by search: the alternative to sampling both sides jointly.

For each proposed network the designs are found that minimise one cost, with another one held below a level drawn at
random (the epsilon-constraint method [Haimes et al., IEEE SMC 1971]), so that repeated draws cover the front of that
network and not its ends alone. On grids that can be enumerated each answer is exact. The networks' strategy is told of
every pair under its network.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from codesign.exact.listing import list_designs
from codesign.hardware_search.best import best_design
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal, Results, State, Strategy
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["InnerHardware"]

F64 = npt.NDArray[np.float64]


class InnerHardware:
    """A strategy of pairs from a strategy of networks.

    Parameters
    ----------
    networks : proposes genotypes of `space.architecture`. objectives, constraints : costs and limits of the search.
    designs : pairs a network.
    """

    def __init__(
        self,
        space: JointSpace,
        networks: Strategy,
        semantics: Semantics,
        *,
        objectives: tuple[str, ...],
        constraints: Mapping[str, float],
        designs: int = 4,
    ) -> None:
        self.space, self.networks, self.semantics = space, networks, semantics
        self.objectives, self.constraints, self.designs = objectives, dict(constraints), designs
        listed = list_designs(space.hardware).columns
        self._levels = {name: np.unique(listed[name]) for name in objectives if name in listed}

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        """`n` pairs; a network that is invalid, or that no design can run within the limits, gets random designs."""
        found = self.networks.ask(-(-n // self.designs), rng).genotypes
        architectures = np.repeat(found, self.designs, axis=0)[:n]
        hardware = self.space.hardware.sample(n, rng)
        valid = np.flatnonzero(self.space.architecture.valid(architectures))
        if valid.size:
            table, place = self.space.architecture.lower(architectures[valid], self.semantics)
            for row, network in zip(valid, place, strict=True):
                best = self._best(table, int(network), rng)
                if len(best):
                    hardware[row] = best[rng.integers(len(best))]
        return Proposal.full(np.hstack([architectures, hardware]))

    def _best(self, table: LayerTable, network: int, rng: np.random.Generator) -> Genotypes:
        """The designs that answer a question drawn at random; without its level where none meets that."""
        objective, limits = self._question(rng)
        for constraints in (limits, self.constraints):
            found = best_design(
                self.space.hardware, table, objective=objective, constraints=constraints, network=network, rng=rng
            )
            if len(found.genotypes):
                break
        return found.genotypes

    def _question(self, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
        """One objective, and a level for each other one that the design alone decides."""
        objective = self.objectives[rng.integers(len(self.objectives))]
        limits = dict(self.constraints)
        for name, levels in self._levels.items():
            if name != objective:
                level = float(levels[rng.integers(len(levels))])
                limits[name] = min(level, limits.get(name, np.inf))
        return objective, limits

    def tell(self, proposal: Proposal, results: Results) -> None:
        architectures: Genotypes = self.space.split(proposal.genotypes)[0]
        self.networks.tell(Proposal(architectures, proposal.fidelity), results)

    def state(self) -> State:
        return self.networks.state()

    def restore(self, state: State) -> None:
        self.networks.restore(state)
