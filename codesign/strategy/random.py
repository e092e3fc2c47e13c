"""Random search: every pair drawn uniformly; the baseline of every comparison."""

from __future__ import annotations

import numpy as np

from codesign.registry import Plugin, Settings
from codesign.space.base import Space
from codesign.strategy.base import Problem, Proposal, Results, State

__all__ = ["PLUGIN", "RandomSearch", "RandomSettings"]


class RandomSearch:
    """Draws from the space and learns nothing."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal.full(self.space.sample(n, rng))

    def tell(self, proposal: Proposal, results: Results) -> None:
        return None

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        return None


class RandomSettings(Settings):
    """Every pair drawn from the whole space."""


def _make(settings: RandomSettings, problem: Problem) -> RandomSearch:
    return RandomSearch(problem.space)


PLUGIN = Plugin(RandomSettings, _make, "every pair drawn from the whole space")
