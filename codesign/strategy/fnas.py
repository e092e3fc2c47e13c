"""FNAS [Jiang et al., DAC 2019]: REINFORCE that learns from violated limits, which cost no training.

A pair over a limit is rewarded by -1 - excess, the excess relative to the limit and added up over limits; one within
all limits by its accuracy and the mean of cost over target of the objectives that have a target, since hardware that is
left idle is wasted. The reward of pairs within the limits is as recalled of the paper, without its text at hand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.strategy.base import Problem, Results
from codesign.strategy.reinforce import Reinforce
from codesign.strategy.reward import reward_of
from codesign.strategy.scalarise import kept_limits

__all__ = ["FNAS", "PLUGIN", "FNASSettings"]

F64 = npt.NDArray[np.float64]


class FNAS(Reinforce):
    """REINFORCE with a reward for every pair that is estimated or violates a limit."""

    def _rewarded(self, results: Results) -> tuple[npt.NDArray[np.bool_], F64]:
        excess = results.violation.sum(axis=1)
        known = kept_limits(results)
        rewards = np.where(excess > 0, -1.0 - excess, np.nan)
        found = results.objectives()[known]
        rewards[known] = 1.0 - found[:, 0]
        if not np.isnan(self.reward.targets).all():
            rewards[known] += self.reward.ratios(found[:, 1:]).mean(axis=1)
        learned = ~np.isnan(rewards)
        return learned, rewards[learned]


class FNASSettings(Settings):
    """REINFORCE with an untrained reward on violation."""

    targets: dict[str, float | str] = Field({}, description="of costs that are to be used up, by objective, as 2 ms")
    hidden: int = Field(32, ge=1, le=1024, description="units of the controller")
    learning_rate: float = Field(0.03, gt=0, le=10, description="of Adam")
    entropy: float = Field(0.2, ge=0, le=10, description="bonus for the controller's entropy, in deviations of reward")
    decay: float = Field(0.9, ge=0, lt=1, description="of the moving average of rewards, the baseline")


def _make(settings: FNASSettings, problem: Problem) -> FNAS:
    reward = reward_of("accuracy", settings.targets, 1.0, problem.objectives)
    return FNAS(problem.space, reward, seed=problem.seed, **settings.model_dump(exclude={"targets"}))


PLUGIN = Plugin(FNASSettings, _make, "REINFORCE that learns from violated limits without a training")
