"""ENAS: a controller draws networks that share weights, and learns from what these weights make of them.

[Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018]. In turn: the shared weights
descend the loss of one drawn network a step, for an epoch on one half of the training images; then the controller takes
`steps` steps of REINFORCE on rewards that cost an evaluation: accuracy with the shared weights on images of the other
half, less the expected cost. After `epochs_a_batch` such rounds the best of some drawn networks are proposed, each with
hardware drawn at random where hardware is searched. What is told teaches nothing: nothing need be trained alone.

Here the weights are those of a mixture (`codesign.estimate.mixture`) that runs one path; the paper's entropy, baseline
and learning rates are those of `reinforce`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.differentiable import mixed_networks
from codesign.strategy.expected_cost import choice_costs
from codesign.strategy.reinforce import Reinforce
from codesign.strategy.reward import Reward

if TYPE_CHECKING:
    from codesign.estimate.mixture import MixtureTraining

__all__ = ["ENAS", "PLUGIN", "ENASSettings"]

F64 = npt.NDArray[np.float64]


class ENASSettings(Settings):
    """A controller and shared weights."""

    epochs: int = Field(30, ge=1, le=10_000, description="of the shared weights, all in all")
    epochs_a_batch: int = Field(10, ge=1, le=10_000, description="before each proposal, while there are any left")
    steps: int = Field(10, ge=1, le=10_000, description="of the controller behind each epoch")
    drawn: int = Field(8, ge=1, le=1_000, description="networks that a step of the controller learns from")
    batch_size: int = Field(64, ge=2, le=1_000_000, description="images a step, of either half of the training images")
    learning_rate: float = Field(0.025, gt=0, le=10, description="of the weights, SGD with Nesterov momentum .9")
    cost_weight: float = Field(0.1, ge=0, le=1e6, description="of the expected cost, in mean costs, in the reward")


class ENAS:
    """The controller over networks, and the key of the shared weights."""

    def __init__(self, problem: Problem, settings: ENASSettings) -> None:
        networks = mixed_networks(problem, "enas")
        self.space, self.networks, self.settings = problem.space, networks, settings
        self._problem, self._blob, self._done = problem, "", 0
        self._controller = Reinforce(networks, Reward("accuracy", np.empty(0), 1.0), seed=problem.seed)
        self._training: MixtureTraining | None = None
        self._costs = choice_costs(problem, networks.n_genes) if problem.objectives and settings.cost_weight else None

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        from codesign.estimate.train import pack

        left = min(self.settings.epochs_a_batch, self.settings.epochs - self._done)
        if left > 0:
            training = self._ready()
            for _ in range(left):
                training.run_paths(lambda: self._controller.ask(1, rng).genotypes[0], 1, int(rng.integers(2**62)))
                self._learn(training, rng)
            self._done += left
            older, self._blob = self._blob, self._problem.blobs.keep(pack(training.state()))
            if older and older != self._blob:
                self._problem.blobs.drop(older)
        points = self.space.sample(n, rng)
        points[:, : self.networks.n_genes] = self._best(n, rng)
        return Proposal.full(np.where(self.space.valid(points)[:, None], points, self.space.sample(n, rng)))

    def _learn(self, training: MixtureTraining, rng: np.random.Generator) -> None:
        """Some steps of the controller."""
        for _ in range(self.settings.steps):
            proposal = self._controller.ask(self.settings.drawn, rng)
            rewards = self._rewards(training, proposal.genotypes, rng)
            self._controller.tell(proposal, Results.exact(1.0 - rewards[:, None]))

    def _rewards(self, training: MixtureTraining, networks: Genotypes, rng: np.random.Generator) -> F64:
        rewards = np.array([training.accuracy_of(network, rng) for network in networks])
        if self._costs is not None:
            genes = np.arange(networks.shape[1])
            rewards -= self.settings.cost_weight * self._costs.table[genes, networks].sum(axis=1)
        return rewards

    def _best(self, n: int, rng: np.random.Generator) -> Genotypes:
        """Drawn networks, the first of them in order of their reward."""
        drawn = self._controller.ask(n, rng).genotypes
        ranked = min(n, self.settings.drawn)
        if not ranked or (self._training is None and not self._blob):
            return drawn
        rewards = self._rewards(self._ready(), drawn[:ranked], rng)
        return np.concatenate([drawn[:ranked][np.argsort(-rewards, kind="stable")], drawn[ranked:]])

    def _ready(self) -> MixtureTraining:
        """The shared weights as they were left; torch is loaded with the first."""
        from codesign.estimate.mixture import MixtureSettings, MixtureTraining
        from codesign.estimate.recipe import Recipe
        from codesign.estimate.train import unpack

        if self._training is None:
            data, settings = self._problem.data, self.settings
            assert data is not None
            recipe = Recipe(
                optimiser="sgd", batch_size=settings.batch_size, learning_rate=settings.learning_rate, weight_decay=1e-4
            )  # decay: [Pham et al., section 3.2]
            self._training = MixtureTraining(
                self.networks.mixture(), self.networks.cardinalities, data, recipe, MixtureSettings(),
                lambda loss, p: loss, epochs=settings.epochs, seed=self._problem.seed,
            )  # fmt: skip
            if self._blob:
                self._training.restore(unpack(self._problem.blobs.blob(self._blob)))
        return self._training

    def tell(self, proposal: Proposal, results: Results) -> None:
        return None

    def state(self) -> State:
        return {"blob": self._blob, "done": self._done, **self._controller.state()}

    def restore(self, state: State) -> None:
        self._blob, self._done, self._training = str(state["blob"]), int(state["done"]), None
        self._controller.restore(state)


def _make(settings: ENASSettings, problem: Problem) -> ENAS:
    return ENAS(problem, settings)


PLUGIN = Plugin(ENASSettings, _make, "a controller that learns from networks with shared weights")
