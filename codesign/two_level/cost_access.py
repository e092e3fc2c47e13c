"""The cost side of a search for strategies that ask on their own: cost objectives of joint genotypes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.objectives import objectives_of
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from hwmodels.evaluate import evaluate_pairs
from hwmodels.workload.rewrite import Semantics

__all__ = ["PairCostAccess"]

F64 = npt.NDArray[np.float64]


class PairCostAccess:
    """Costs of pairs as the FAST level sees them, without limits and without pruning.

    Parameters
    ----------
    objectives : names of the minimised cost metrics, the columns of the answer.
    """

    def __init__(self, space: JointSpace, semantics: Semantics, objectives: tuple[str, ...]) -> None:
        self.space, self.semantics = space, semantics
        self.goals = objectives_of(space.hardware.model, objectives)

    def __call__(self, genotypes: Genotypes) -> F64:
        """Cost objectives, minimised, (P, K) of joint genotypes (P, G); NaN where a pair is invalid or infeasible."""
        costs = np.full((len(genotypes), len(self.goals)), np.nan)
        costed = self.space.canonical(genotypes) if self.semantics.drop_dead_branches else genotypes
        valid = np.flatnonzero(self.space.valid(costed))
        if not valid.size:
            return costs
        networks, designs = self.space.split(costed[valid])
        table, network = self.space.architecture.lower(networks, self.semantics)
        configs = self.space.hardware.table(designs)
        found = evaluate_pairs(self.space.hardware.model, table, configs, network=network, config=np.arange(len(valid)))
        values = np.column_stack([goal.minimised(found.columns[goal.metric]) for goal in self.goals])
        costs[valid] = np.where((found.infeasible == 0)[:, None], values, np.nan)
        return costs
