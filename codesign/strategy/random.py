"""Random search: every pair drawn uniformly; the baseline of every comparison."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.space.base import Space
from codesign.strategy.base import Proposal, State

__all__ = ["RandomSearch"]


class RandomSearch:
    """Draws from the space and learns nothing."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        return Proposal.full(self.space.sample(n, rng))

    def tell(
        self,
        proposal: Proposal,
        objectives: npt.NDArray[np.float64],
        violation: npt.NDArray[np.float64],
        status: npt.NDArray[np.int8],
    ) -> None:
        return None

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        return None
