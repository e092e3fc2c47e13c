"""REINFORCE with a recurrent controller [Williams, Machine Learning 8 (1992); Zoph and Le, ICLR 2017].

After each batch the controller takes a step up the gradient of the expected reward over the pairs that were estimated,
with the moving average of rewards as baseline, advantages in deviations of the rewards so far, and a bonus for entropy.
A point that is not valid is drawn again, a batch that finds none is filled at random. Learning rate and entropy were
chosen on the CIFAR-100 accuracies of NAS-Bench-201, at 100 networks: .02 to .04 and .15 to .4 differ little there.

With several `agents` a batch is shared out among them, in blocks [Balaprakash et al., SC 2019, compare both kinds].
Synchronous ones [A2C] draw with the same weights, and one step follows the mean of their gradients, each over its own
block. Asynchronous ones [A3C; Mnih et al., ICML 2016] keep the weights that they fetched last: each in turn pushes its
gradient at these weights to the shared ones, whose Adam takes a step, and fetches the result. So the first agent draws
with weights that are as many steps old as there are other agents. Baseline and moments of rewards are shared. The turn
is that of the agents' numbers, whatever computes their rewards and however fast.

Not modelled: that a point was drawn by an earlier controller than the one that learns from it, in a large batch; agents
that overtake one another, since nothing here may follow the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

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
Learning = Literal["synchronous", "asynchronous"]

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
        agents: int = 1,
        learning: Learning = "synchronous",
        seed: int = 0,
    ) -> None:
        self.space, self.reward = space, reward
        self.learning_rate, self.entropy, self.decay = learning_rate, entropy, decay
        self._controller = Controller(space.cardinalities, hidden)
        self._weights = self._controller.start(np.random.default_rng([seed, hidden]))
        self._adam = Adam(np.zeros_like(self._weights), np.zeros_like(self._weights))
        self._low: F64 = np.empty(0)
        self._high: F64 = np.empty(0)
        self._fetched = [self._weights] * agents if learning == "asynchronous" else []
        self.agents = agents
        self._moments = np.zeros(4)  # rewards: how many, their mean, their summed square deviation, the baseline

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        sizes = [len(block) for block in np.array_split(np.arange(n), self.agents)]
        return Proposal.full(np.concatenate([self._drawn(agent, size, rng) for agent, size in enumerate(sizes)]))

    def _drawn(self, agent: int, n: int, rng: np.random.Generator) -> Genotypes:
        """Points of one agent."""
        weights = self._fetched[agent] if self._fetched else self._weights
        found: Genotypes = np.empty((0, self.space.n_genes), np.int64)
        for _ in range(_DRAWS):
            if len(found) >= n:
                break
            drawn = self._controller.sample(weights, n - len(found), rng)
            found = np.concatenate([found, drawn[self.space.valid(drawn)]])
        return np.concatenate([found, self.space.sample(n - len(found), rng)])

    def tell(self, proposal: Proposal, results: Results) -> None:
        learned, rewards = self._rewarded(results)
        places = np.flatnonzero(learned)
        blocks = np.array_split(np.arange(len(proposal.genotypes)), self.agents)
        own = [np.flatnonzero(np.isin(places, block)) for block in blocks]
        points = proposal.genotypes[places]
        if not self._fetched and len(rewards):
            self._learn([points[mine] for mine in own], self._advantages(rewards), own)
        for agent, mine in enumerate(own):
            if self._fetched and len(mine):
                self._push(agent, points[mine], self._advantages(rewards[mine]))

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

    def _advantages(self, rewards: F64) -> F64:
        """Rewards above the baseline in deviations, (P,); baseline and moments follow them."""
        count, mean, square, baseline = self._moments
        for value in rewards:  # Welford's update
            count += 1
            square += (value - mean) * (value - mean + (mean - value) / count)
            mean += (value - mean) / count
        baseline = rewards.mean() if count == len(rewards) else baseline
        deviation = np.sqrt(square / count)
        advantages: F64 = (rewards - baseline) / deviation if deviation > _LEAST else np.zeros(len(rewards))
        baseline = self.decay * baseline + (1 - self.decay) * rewards.mean()
        self._moments = np.array([count, mean, square, baseline])
        return advantages

    def _learn(self, points: Sequence[Genotypes], advantages: F64, own: Sequence[npt.NDArray[np.intp]]) -> None:
        """One step along the mean of the gradients of the agents that have points; `own` are their advantages."""
        gradients = [
            self._controller.gradient(self._weights, mine, advantages[places], self.entropy)
            for mine, places in zip(points, own, strict=True)
            if len(mine)
        ]
        self._climb(gradients[0] if len(gradients) == 1 else np.mean(gradients, axis=0))

    def _push(self, agent: int, points: Genotypes, advantages: F64) -> None:
        """One step of the shared weights along the gradient at those of an agent, which fetches the result."""
        self._climb(self._controller.gradient(self._fetched[agent], points, advantages, self.entropy))
        self._fetched[agent] = self._weights

    def _climb(self, gradient: F64) -> None:
        self._weights, self._adam = self._adam.climbed(self._weights, gradient, self.learning_rate)

    def state(self) -> State:
        return {
            "weights": self._weights,
            "first": self._adam.first,
            "second": self._adam.second,
            "steps": self._adam.steps,
            "low": self._low,
            "high": self._high,
            "moments": self._moments,
            **({"fetched": np.array(self._fetched)} if self._fetched else {}),
        }

    def restore(self, state: State) -> None:
        self._weights = state["weights"]
        self._adam = Adam(state["first"], state["second"], int(state["steps"]))
        self._low, self._high, self._moments = state["low"], state["high"], state["moments"]
        if self._fetched:
            self._fetched = list(state["fetched"])


class ReinforceSettings(Settings):
    """REINFORCE with a recurrent controller."""

    reward: RewardName = Field("balanced", description="what is to be large: accuracy, and costs by targets")
    targets: dict[str, float | str] = Field({}, description="of costs, by objective, as 2 ms")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of accuracy in the mixed reward")
    least_accuracy: float = Field(0.0, ge=0, le=1, description="below which the frugal reward is 0")
    hidden: int = Field(32, ge=1, le=1024, description="units of the controller")
    learning_rate: float = Field(0.03, gt=0, le=10, description="of Adam")
    entropy: float = Field(0.2, ge=0, le=10, description="bonus for the controller's entropy, in deviations of reward")
    decay: float = Field(0.9, ge=0, lt=1, description="of the moving average of rewards, the baseline")
    agents: int = Field(1, ge=1, le=10_000, description="that share each batch and learn by their own gradients")
    learning: Learning = Field("synchronous", description="one step of the mean gradient, or one of each agent in turn")


def _make(settings: ReinforceSettings, problem: Problem) -> Reinforce:
    reward = reward_of(
        settings.reward, settings.targets, settings.alpha, problem.objectives, least_accuracy=settings.least_accuracy
    )
    rest = settings.model_dump(exclude={"reward", "targets", "alpha", "least_accuracy"})
    return Reinforce(problem.space, reward, seed=problem.seed, **rest)


PLUGIN = Plugin(ReinforceSettings, _make, "a recurrent controller that learns from rewards, by REINFORCE")
