"""FNAS: violations are rewarded by their size, and steer the controller without an estimate."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.strategy.base import Results
from codesign.strategy.fnas import FNAS
from codesign.strategy.reward import Reward
from codesign.testing.strategy import toy_problem
from hwmodels.errors import SpecError


def test_rewards_by_hand() -> None:
    """Over the limits by .5 and .2 + .3; within them with accuracy .9 at half the target; neither: not learned from."""
    strategy = FNAS(toy_problem().space, Reward("accuracy", np.array([4.0]), 1.0))
    objectives = np.array([[np.nan, 6.0], [np.nan, np.nan], [0.1, 2.0], [np.nan, 3.0]])
    violation = np.array([[0.5, 0.0], [0.2, 0.3], [0.0, 0.0], [0.0, 0.0]])
    learned, rewards = strategy._rewarded(Results.exact(objectives, violation))
    assert learned.tolist() == [True, True, True, False]
    assert rewards == pytest.approx([-1.5, -1.5, 0.9 + 0.5])


def test_violations_alone_steer_the_controller() -> None:
    """Each gene that is 0 breaks the limit by 1: chance has 5/3 of them, no seed of three keeps half a gene."""
    space = Space([Gene(str(i), tuple(range(3))) for i in range(5)])
    for seed in range(3):
        strategy, rng = FNAS(space, Reward("accuracy", np.empty(0), 1.0), seed=seed), np.random.default_rng(seed)
        for _ in range(60):
            proposal = strategy.ask(10, rng)
            broken = (proposal.genotypes == 0).sum(axis=1).astype(np.float64)
            strategy.tell(proposal, Results.exact(np.where(broken > 0, np.nan, 0.5)[:, None], broken[:, None]))
        assert (strategy.ask(200, rng).genotypes == 0).sum(axis=1).mean() < 0.5


def test_a_target_of_no_objective_is_one_line() -> None:
    with pytest.raises(SpecError, match="did you mean cost"):
        STRATEGIES.parse({"name": "fnas", "targets": {"cots": 1.0}}, "strategy").make(toy_problem())
