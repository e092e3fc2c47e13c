"""REINFORCE with a recurrent controller [Williams, Machine Learning 8 (1992); Zoph and Le, ICLR 2017].

After each batch the controller takes a step up the gradient of the expected reward over the pairs that were estimated,
with the moving average of rewards as baseline, advantages in deviations of the rewards so far, and a bonus for entropy.
A point that is not valid is drawn again, a batch that finds none is filled at random. Learning rate and entropy were
chosen on the CIFAR-100 accuracies of NAS-Bench-201, at 100 networks: .02 to .04 and .15 to .4 differ little there.

Not modelled: that a point was drawn by an earlier controller than the one that learns from it, in a large batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.controller import Adam, Controller
from codesign.strategy.reward import Reward, RewardName, reward_of
from codesign.strategy.scalarise import kept_limits

__all__ = ["PLUGIN", "Reinforce", "ReinforceSettings"]

F64 = npt.NDArray[np.float64]

_DRAWS = 20  # controllers that draw hardly a valid point are helped out after so many batches
_LEAST = 1e-9  # deviation of rewards below which they are equal


class Reinforce:
    """The controller, its weights, what Adam remembers, and the rewards so far: baseline, mean and square deviation."""

    def __init__(
        self,
        space: Space,
        reward: Reward,
        *,
        hidden: int = 32,
        learning_rate: float = 0.03,
        entropy: float = 0.2,
        decay: float = 0.9,
        seed: int = 0,
    ) -> None:
        self.space, self.reward = space, reward
        self.learning_rate, self.entropy, self.decay = learning_rate, entropy, decay
        self._controller = Controller(space.cardinalities, hidden)
        self._weights = self._controller.start(np.random.default_rng([seed, hidden]))
        self._adam = Adam(np.zeros_like(self._weights), np.zeros_like(self._weights))
        self._low: F64 = np.empty(0)
        self._high: F64 = np.empty(0)
        self._moments = np.zeros(4)  # rewards: how many, their mean, their summed square deviation, the baseline

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        found: Genotypes = np.empty((0, self.space.n_genes), np.int64)
        for _ in range(_DRAWS):
            if len(found) >= n:
                break
            drawn = self._controller.sample(self._weights, n - len(found), rng)
            found = np.concatenate([found, drawn[self.space.valid(drawn)]])
        return Proposal.full(np.concatenate([found, self.space.sample(n - len(found), rng)]))

    def tell(self, proposal: Proposal, results: Results) -> None:
        learned, rewards = self._rewarded(results)
        if len(rewards):
            self._learn(proposal.genotypes[learned], rewards)

    def _rewarded(self, results: Results) -> tuple[npt.NDArray[np.bool_], F64]:
        """Which pairs are learned from, (P,), and their rewards."""
        told = kept_limits(results)
        objectives = results.objectives()[told]
        if not len(objectives):
            return told, np.empty(0)
        older = np.vstack([self._low, self._high]) if len(self._low) else objectives[:0]
        seen = np.concatenate([older, objectives])
        self._low, self._high = seen.min(axis=0), seen.max(axis=0)
        return told, self.reward(objectives, self._low, self._high)

    def _learn(self, points: Genotypes, rewards: F64) -> None:
        """One step of the controller."""
        count, mean, square, baseline = self._moments
        for value in rewards:  # Welford's update
            count += 1
            square += (value - mean) * (value - mean + (mean - value) / count)
            mean += (value - mean) / count
        baseline = rewards.mean() if count == len(rewards) else baseline
        deviation = np.sqrt(square / count)
        advantages = (rewards - baseline) / deviation if deviation > _LEAST else np.zeros(len(rewards))
        gradient = self._controller.gradient(self._weights, points, advantages, self.entropy)
        self._weights, self._adam = self._adam.climbed(self._weights, gradient, self.learning_rate)
        baseline = self.decay * baseline + (1 - self.decay) * rewards.mean()
        self._moments = np.array([count, mean, square, baseline])

    def state(self) -> State:
        return {
            "weights": self._weights,
            "first": self._adam.first,
            "second": self._adam.second,
            "steps": self._adam.steps,
            "low": self._low,
            "high": self._high,
            "moments": self._moments,
        }

    def restore(self, state: State) -> None:
        self._weights = state["weights"]
        self._adam = Adam(state["first"], state["second"], int(state["steps"]))
        self._low, self._high, self._moments = state["low"], state["high"], state["moments"]


class ReinforceSettings(Settings):
    """REINFORCE with a recurrent controller."""

    reward: RewardName = Field("balanced", description="what is to be large: accuracy, and costs by targets")
    targets: dict[str, float | str] = Field({}, description="of costs, by objective, as 2 ms")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of accuracy in the mixed reward")
    hidden: int = Field(32, ge=1, le=1024, description="units of the controller")
    learning_rate: float = Field(0.03, gt=0, le=10, description="of Adam")
    entropy: float = Field(0.2, ge=0, le=10, description="bonus for the controller's entropy, in deviations of reward")
    decay: float = Field(0.9, ge=0, lt=1, description="of the moving average of rewards, the baseline")


def _make(settings: ReinforceSettings, problem: Problem) -> Reinforce:
    reward = reward_of(settings.reward, settings.targets, settings.alpha, problem.objectives)
    rest = settings.model_dump(exclude={"reward", "targets", "alpha"})
    return Reinforce(problem.space, reward, seed=problem.seed, **rest)


PLUGIN = Plugin(ReinforceSettings, _make, "a recurrent controller that learns from rewards, by REINFORCE")
