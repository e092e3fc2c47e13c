"""Rewards of reinforcement learning: accuracy and costs as one number that is to be large.

    balanced  minus the largest of all objectives, each scaled to what has been told so far
    accuracy  1 - error [Zoph and Le, ICLR 2017]
    soft      accuracy x product of (cost / target)^-0.07 [Tan et al., MnasNet, CVPR 2019, eq. 2 and 3]
    hard      accuracy x product of (cost / target)^-1 where the target is missed, else accuracy [likewise]
    mixed     alpha x accuracy - (1 - alpha) x mean of cost / target [Hsu et al., MONAS, 2018; power or energy]
    limited   accuracy where every target is met, else 0 [likewise]
    frugal    1 - mean of cost / target, at least 0, where the accuracy is enough, else 0 [likewise]

A cost of which more is better is told negative; its ratio is target over value. Targets have the unit of the metric.
The rewards of MONAS are recalled of the paper, not read in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.units import parse_quantity, split_unit

__all__ = ["Reward", "RewardName", "reward_of"]

F64 = npt.NDArray[np.float64]

RewardName = Literal["balanced", "accuracy", "soft", "hard", "mixed", "limited", "frugal"]

_SOFT, _HARD = -0.07, -1.0  # [Tan et al., CVPR 2019, section 3.1]


class Reward(NamedTuple):
    """A reward by name; `targets` (K,), NaN where an objective has none; `alpha` of mixed; the accuracy of frugal."""

    name: RewardName
    targets: F64
    alpha: float
    least_accuracy: float = 0.0

    def __call__(self, objectives: F64, low: F64, high: F64) -> F64:
        """Of pairs with objectives (P, 1 + K), error first; `low` and `high` (1 + K,) scale the balanced one."""
        accuracy: F64 = 1.0 - objectives[:, 0]
        rewards: F64
        if self.name == "accuracy":
            return accuracy
        if self.name == "balanced":
            scaled = (objectives - low) / np.where(high > low, high - low, 1.0)
            rewards = -scaled.max(axis=1)
            return rewards
        ratio = self.ratios(objectives[:, 1:])
        if self.name == "mixed":
            rewards = self.alpha * accuracy - (1 - self.alpha) * ratio.mean(axis=1)
        elif self.name == "limited":
            rewards = np.where((ratio <= 1).all(axis=1), accuracy, 0.0)
        elif self.name == "frugal":
            rewards = np.where(accuracy >= self.least_accuracy, np.maximum(1 - ratio.mean(axis=1), 0.0), 0.0)
        else:
            power = np.full(ratio.shape, _SOFT) if self.name == "soft" else np.where(ratio > 1, _HARD, 0.0)
            rewards = accuracy * (ratio**power).prod(axis=1)
        return rewards

    def ratios(self, costs: F64) -> F64:
        """Cost over target of those that have one, above 1 where it is missed, (P, T)."""
        there = ~np.isnan(self.targets)
        costs, targets = costs[:, there], self.targets[there]
        tiny = np.finfo(np.float64).tiny
        ratios: F64 = np.where(costs >= 0, costs, targets) / np.where(costs >= 0, targets, -costs)
        return np.maximum(ratios, tiny)


def reward_of(
    name: RewardName,
    targets: Mapping[str, float | str],
    alpha: float,
    objectives: tuple[str, ...],
    *,
    least_accuracy: float = 0.0,
) -> Reward:
    """A reward for the cost objectives of a run; a target is a number in the metric's unit or a text as "2 ms".

    Raises
    ------
    SpecError : a target of something that is no objective, one that is not above 0, or none where the reward needs one.
    """
    parsed: dict[str, float] = {}
    for given, value in targets.items():
        if given not in objectives:
            raise SpecError.unknown("strategy.targets", given, objectives)
        parsed[given] = parse_quantity(value, split_unit(given)[1], where=f"strategy.targets: {given}")
        if not parsed[given] > 0:
            raise SpecError(f"strategy.targets: {given}", value, "> 0")
    if name in ("soft", "hard", "mixed", "limited", "frugal") and not targets:
        raise SpecError("strategy.targets", "empty", f"one target at least for the reward {name}")
    return Reward(name, np.array([parsed.get(one, np.nan) for one in objectives], np.float64), alpha, least_accuracy)
