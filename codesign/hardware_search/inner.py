"""Hardware by search for each proposed network: the alternative to sampling both sides jointly.

For each network the designs are found that are best in one cost, with another one held at a level drawn at random (the
epsilon-constraint method [Haimes et al., IEEE SMC 1971]), so that repeated draws cover the front of that network and
not its ends alone. On grids that can be enumerated each answer is exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.exact.listing import list_designs
from codesign.hardware_search.best import best_design
from codesign.hardware_search.stage import ListedPairs
from codesign.objectives import Constraints, Limit, limits_of, objectives_of
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["InnerHardware"]

F64 = npt.NDArray[np.float64]


class InnerHardware:
    """A `codesign.hardware_search.stage.HardwareStage`.

    Parameters
    ----------
    objectives, constraints : costs and limits of the search. designs : pairs a network.
    """

    def __init__(
        self,
        space: JointSpace,
        semantics: Semantics,
        *,
        objectives: tuple[str, ...],
        constraints: Constraints,
        designs: int = 4,
    ) -> None:
        self.space, self.semantics, self.designs = space, semantics, designs
        model = space.hardware.model
        self.goals, self.limits = objectives_of(model, objectives), limits_of(model, constraints)
        listed = list_designs(space.hardware).columns
        self._levels = {one: np.unique(listed[one.metric]) for one in self.goals if one.metric in listed}

    def networks(self, n: int) -> int:
        return -(-n // self.designs)

    def expand(self, networks: Genotypes, rng: np.random.Generator) -> ListedPairs:
        """`designs` pairs a network; random designs where it is invalid or none can run it within the limits."""
        source = np.repeat(np.arange(len(networks)), self.designs)
        architectures = networks[source]
        hardware = self.space.hardware.sample(len(source), rng)
        valid = np.flatnonzero(self.space.architecture.valid(architectures))
        if valid.size:
            table, place = self.space.architecture.lower(architectures[valid], self.semantics)
            for row, network in zip(valid, place, strict=True):
                best = self._best(table, int(network), rng)
                if len(best):
                    hardware[row] = best[rng.integers(len(best))]
        return ListedPairs(np.hstack([architectures, hardware]), source)

    def _best(self, table: LayerTable, network: int, rng: np.random.Generator) -> Genotypes:
        """The designs that answer a question drawn at random; without its level where none meets that."""
        objective, limits = self._question(rng)
        for constraints in (limits, self.limits):
            found = best_design(
                self.space.hardware, table, objective=objective, constraints=constraints, network=network, rng=rng
            )
            if len(found.genotypes):
                break
        return found.genotypes

    def _question(self, rng: np.random.Generator) -> tuple[str, tuple[Limit, ...]]:
        """One objective, and a level for each other one that the design alone decides."""
        objective = self.goals[rng.integers(len(self.goals))].metric
        limits = {(limit.metric, limit.least): limit for limit in self.limits}
        for one, levels in self._levels.items():
            if one.metric != objective:
                level = Limit(one.metric, float(levels[rng.integers(len(levels))]), least=one.more)
                key = (level.metric, level.least)
                limits[key] = level.tighter(limits.get(key, level))
        return objective, tuple(limits.values())
