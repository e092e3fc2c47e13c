"""Co-exploration with two controllers, as Jiang et al. ["Hardware/Software Co-Exploration of Neural Architectures",
TCAD 2020]: a fast one tunes the hardware of drawn networks by cost alone, a slow one learns from trainings.

FAST   networks are drawn by the slow controller; for some steps the fast controller draws a design for each and learns
       from its efficiency U, without a training; of all designs seen each network keeps the best
SLOW   what is trained teaches the slow controller, which draws networks, by  R = beta A + (1 - beta) U

A is the accuracy. U is 1 less the mean of the cost objectives, each scaled by logarithm to what has been seen, and -1
where a pair does not run; a pair that breaks a limit of the run has its excess taken off. OptSW, as the authors call
it, is beta near 1, OptHW beta near 0. The form of R is recalled of the paper, not read in it; the paper's controller is
one network whose segments are tuned, where here are two.

Where no knob of the hardware is searched there is no fast level.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.reinforce import Reinforce
from codesign.strategy.reward import Reward
from codesign.strategy.scalarise import kept_limits

__all__ = ["PLUGIN", "CoExploration", "CoExplorationSettings"]

F64 = npt.NDArray[np.float64]
_PLAIN = Reward("accuracy", np.empty(0), 1.0)  # rewards are told as errors of 1 - reward
_DOES_NOT_RUN = -1.0


class CoExploration:
    """Two controllers, and the least and largest logarithms of the costs seen, by which U is scaled."""

    def __init__(self, problem: Problem, *, beta: float = 0.5, steps: int = 4, entropy: float = 0.2) -> None:
        self.space, self.beta, self.steps, self._costs_of = problem.space, beta, steps, problem.costs
        joint = problem.joint
        is_pairs = problem.space is joint and hasattr(joint, "architecture")
        networks: Space = joint.architecture if is_pairs else problem.space
        self._cut = networks.n_genes
        self._slow = Reinforce(networks, _PLAIN, entropy=entropy, seed=problem.seed)
        self._fast = (
            Reinforce(joint.hardware, _PLAIN, entropy=entropy, seed=problem.seed + 1)
            if is_pairs and joint.hardware.size > 1
            else None
        )
        self._low: F64 = np.full(len(problem.objectives), np.inf)
        self._high: F64 = np.full(len(problem.objectives), -np.inf)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        networks = self._slow.ask(n, rng).genotypes
        if self._fast is None or not n:
            fixed = self.space.sample(n, rng)
            return Proposal.full(np.concatenate([networks, fixed[:, self._cut :]], axis=1))
        best: Genotypes = np.empty((0, self.space.n_genes), np.int64)
        worth = np.full(n, -np.inf)
        for _ in range(self.steps):
            designs = self._fast.ask(n, rng)
            pairs = np.concatenate([networks, designs.genotypes], axis=1)
            found = self._efficiency(self._costs_of(pairs))
            best = pairs if not len(best) else np.where((found > worth)[:, None], pairs, best)
            worth = np.maximum(worth, found)
            self._fast.tell(designs, Results.exact(1.0 - found[:, None]))
        return Proposal.full(best)

    def _efficiency(self, costs: F64) -> F64:
        """U of pairs with minimised costs (P, K), (P,)."""
        with np.errstate(all="ignore"):
            logs = np.where(costs > 0, np.log(costs), -np.log(-costs))
        runs = np.isfinite(logs).all(axis=1)
        if runs.any():
            self._low = np.minimum(self._low, logs[runs].min(axis=0))
            self._high = np.maximum(self._high, logs[runs].max(axis=0))
        span = np.where(self._high > self._low, self._high - self._low, 1.0)
        found: F64 = np.full(len(costs), _DOES_NOT_RUN)
        found[runs] = 1.0 - ((logs[runs] - self._low) / span).mean(axis=1) if costs.shape[1] else 1.0
        return found

    def tell(self, proposal: Proposal, results: Results) -> None:
        told = kept_limits(results)
        excess = results.violation.sum(axis=1)
        missed = (excess > 0) & (results.status != 0)
        rewards = np.full(len(excess), np.nan)
        if told.any():
            found = results.objectives()[told]
            rewards[told] = self.beta * (1.0 - found[:, 0]) + (1 - self.beta) * self._efficiency(found[:, 1:])
        rewards[missed] = _DOES_NOT_RUN - np.minimum(excess[missed], 1.0)
        learned = ~np.isnan(rewards)
        if told.any() and learned.any():  # limits alone teach the fast level
            networks = Proposal.full(proposal.genotypes[learned, : self._cut])
            self._slow.tell(networks, Results.exact(1.0 - rewards[learned, None]))

    def state(self) -> State:
        kept = {f"slow_{name}": value for name, value in self._slow.state().items()}
        if self._fast is not None:
            kept |= {f"fast_{name}": value for name, value in self._fast.state().items()}
        return {**kept, "least": self._low, "most": self._high}

    def restore(self, state: State) -> None:
        for prefix, controller in (("slow_", self._slow), ("fast_", self._fast)):
            if controller is not None:
                own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
                controller.restore(own)
        self._low, self._high = state["least"], state["most"]


class CoExplorationSettings(Settings):
    """A fast controller of hardware and a slow one of networks."""

    beta: float = Field(0.5, ge=0, le=1, description="weight of accuracy in the reward: OptSW near 1, OptHW near 0")
    steps: int = Field(4, ge=1, le=1_000, description="of the fast controller, each a design for every network")
    entropy: float = Field(0.2, ge=0, le=10, description="bonus for the controllers' entropy, in deviations of reward")


def _make(settings: CoExplorationSettings, problem: Problem) -> CoExploration:
    return CoExploration(problem, **settings.model_dump())


PLUGIN = Plugin(CoExplorationSettings, _make, "a fast controller of hardware by cost, a slow one of networks by reward")
