"""REINFORCE: the controller's gradient against differences, rewards against their equations, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.strategy.base import Proposal, Results
from codesign.strategy.controller import Adam, Controller
from codesign.strategy.reinforce import Reinforce
from codesign.strategy.reward import Reward
from codesign.testing.strategy import toy_problem
from hwmodels.errors import SpecError

ACCURACY = Reward("accuracy", np.empty(0), 0.5)


def objective(controller: Controller, weights: np.ndarray, points: np.ndarray, advantages: np.ndarray, bonus: float):
    """mean(advantage x log probability) + bonus x mean entropy of the conditional choices."""
    steps = list(controller._steps(weights, points))
    entropy = sum(-(step.probabilities * np.log(step.probabilities)).sum(axis=1).mean() for step in steps)
    return (advantages * controller.log_probabilities(weights, points)).mean() + bonus * entropy


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), hidden=st.integers(1, 4), seed=st.integers(0, 1000),
    bonus=st.sampled_from([0.0, 0.7]),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_the_gradient_is_that_of_differences(counts: list[int], hidden: int, seed: int, bonus: float) -> None:
    controller, rng = Controller(np.array(counts), hidden), np.random.default_rng(seed)
    weights = rng.normal(0, 0.7, controller.size)
    points = rng.integers(0, counts, size=(5, len(counts)))
    advantages = rng.standard_normal(5)
    found = controller.gradient(weights, points, advantages, bonus)
    for place in rng.choice(controller.size, min(12, controller.size), replace=False):
        nudge = 1e-5 * np.eye(1, controller.size, place)[0]
        above, below = (objective(controller, weights + s * nudge, points, advantages, bonus) for s in (1, -1))
        assert found[place] == pytest.approx((above - below) / 2e-5, abs=2e-8, rel=1e-5)


def test_probabilities_of_all_points_add_up_and_are_those_that_are_drawn() -> None:
    controller, rng = Controller(np.array([2, 3, 2]), 5), np.random.default_rng(0)
    weights = rng.normal(0, 1.0, controller.size)
    points = np.array(list(product(range(2), range(3), range(2))))
    expected = np.exp(controller.log_probabilities(weights, points))
    assert expected.sum() == pytest.approx(1.0)
    drawn = controller.sample(weights, 40_000, rng) @ [6, 2, 1]
    frequency = np.bincount(drawn, minlength=12) / 40_000
    assert (np.abs(frequency - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / 40_000)).all()


def test_the_first_step_of_adam_is_the_rate_in_each_direction() -> None:
    weights, adam = Adam(np.zeros(3), np.zeros(3)).climbed(np.zeros(3), np.array([2.0, -0.1, 0.0]), 0.05)
    assert weights == pytest.approx([0.05, -0.05, 0.0], rel=1e-6)
    assert adam.steps == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", [0.8, 0.8, 0.6]),
        ("soft", [0.8 * 2**-0.07, 0.8 * 0.5**-0.07, 0.6]),
        ("hard", [0.8 / 2, 0.8, 0.6]),
        ("mixed", [0.3 * 0.8 - 0.7 * 2, 0.3 * 0.8 - 0.7 * 0.5, 0.3 * 0.6 - 0.7]),
        ("limited", [0.0, 0.8, 0.6]),
        ("frugal", [0.0, 0.5, 0.0]),
        ("balanced", [-1.0, -0.5, -1.0]),
    ],
)
def test_rewards_by_hand(name: str, expected: list[float]) -> None:
    """Latencies of twice, half and once the target; doubling it costs 5 % under the soft reward [Tan et al., 2019]."""
    objectives = np.array([[0.2, 8.0, 3.0], [0.2, 2.0, 4.0], [0.4, 4.0, 5.0]])
    reward = Reward(name, np.array([4.0, np.nan]), 0.3, 0.7)  # type: ignore[arg-type]
    found = reward(objectives, objectives.min(axis=0), objectives.max(axis=0))
    assert found == pytest.approx(expected)
    assert abs(2**-0.07 - 0.95) < 0.003


def test_a_target_may_be_written_with_its_unit() -> None:
    problem = replace(toy_problem(), objectives=("energy_j", "latency_s"))
    made = STRATEGIES.parse({"name": "reinforce", "reward": "soft", "targets": {"latency_s": "2 ms"}}, "strategy")
    assert made.make(problem).reward.targets.tolist() == pytest.approx([np.nan, 2e-3], nan_ok=True)


def test_more_of_a_metric_that_is_better_large_is_no_less_reward() -> None:
    objectives = np.array([[0.2, -10.0], [0.2, -30.0], [0.2, -60.0]])  # 10, 30 and 60 items per second
    for name in ("soft", "hard", "mixed", "limited", "frugal"):
        found = Reward(name, np.array([30.0]), 0.5)(objectives, objectives[0], objectives[1])  # type: ignore[arg-type]
        assert (np.diff(found) >= 0).all()
        assert found[0] < found[2 if name == "frugal" else 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reward": "soft"}, ["strategy.targets", "reward soft"]),
        ({"reward": "hard", "targets": {"cst": 1.0}}, ["strategy.targets", "did you mean cost?"]),
        ({"targets": {"cost": 0}}, ["strategy.targets: cost", "> 0"]),
        ({"targets": {"cost": "quick"}}, ["strategy.targets: cost", "quick"]),
        ({"reward": "harsh"}, ["strategy.reward", "did you mean hard?"]),
        ({"decay": 1}, ["strategy.decay", "< 1"]),
    ],
)
def test_bad_settings_are_one_line(change: dict[str, object], words: list[str]) -> None:
    with pytest.raises(SpecError) as found:
        STRATEGIES.parse({"name": "reinforce", **change}, "strategy").make(toy_problem())
    assert "\n" not in str(found.value)
    assert all(word in str(found.value) for word in words)


def test_it_learns_what_is_rewarded() -> None:
    """Error is the share of genes that are not 2: chance has 1.67 of 5; 4.98 with deviation .03 over 12 seeds."""
    space = Space([Gene(str(i), tuple(range(3))) for i in range(5)])
    for seed in range(3):
        strategy, rng = Reinforce(space, ACCURACY, seed=seed), np.random.default_rng(seed)
        for _ in range(60):
            proposal = strategy.ask(10, rng)
            strategy.tell(proposal, Results.exact((proposal.genotypes != 2).mean(axis=1)[:, None]))
        assert (strategy.ask(200, rng).genotypes == 2).sum(axis=1).mean() > 4.7


def test_equal_rewards_teach_nothing_but_entropy() -> None:
    strategy = Reinforce(toy_problem().space, ACCURACY, entropy=0.0)
    before = strategy.state()["weights"].copy()
    points = strategy.ask(8, np.random.default_rng(0)).genotypes
    strategy.tell(Proposal.full(points), Results.exact(np.full((8, 2), 0.3)))
    assert np.array_equal(strategy.state()["weights"], before)


def test_moments_are_those_of_the_rewards() -> None:
    strategy = Reinforce(toy_problem().space, ACCURACY, decay=0.5)
    rng, rewards = np.random.default_rng(0), []
    for _ in range(3):
        proposal = strategy.ask(4, rng)
        errors = rng.random(4)
        rewards.append(1 - errors)
        strategy.tell(proposal, Results.exact(np.column_stack([errors, np.ones(4)])))
    count, mean, square, baseline = strategy.state()["moments"]
    flat = np.concatenate(rewards)
    assert (count, mean) == (12, pytest.approx(flat.mean()))
    assert square == pytest.approx(((flat - flat.mean()) ** 2).sum())
    first, second, third = (values.mean() for values in rewards)
    assert baseline == pytest.approx(0.5 * third + 0.25 * second + 0.25 * first)


def test_the_seed_of_a_run_decides_the_controller() -> None:
    made = [
        STRATEGIES.parse("reinforce", "strategy").make(replace(toy_problem(), seed=seed)).state()["weights"]
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


# Several agents.


def rounds(strategy: Reinforce, *, count: int = 4, n: int = 9) -> np.ndarray:
    """The weights after some batches of made-up errors, of which some are not told."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        proposal = strategy.ask(n, rng)
        errors = rng.random(n)
        errors[rng.random(n) < 0.3] = np.nan
        strategy.tell(proposal, Results.exact(np.column_stack([errors, np.ones(n)])))
    weights: np.ndarray = strategy.state()["weights"]
    return weights


def test_one_agent_is_the_plain_algorithm_either_way() -> None:
    space = toy_problem().space
    plain = Reinforce(space, ACCURACY, hidden=8)
    expected = rounds(plain)
    for learning in ("synchronous", "asynchronous"):
        assert np.array_equal(rounds(Reinforce(space, ACCURACY, hidden=8, agents=1, learning=learning)), expected)  # type: ignore[arg-type]
    assert "fetched" not in plain.state()


def test_synchronous_agents_of_equal_blocks_take_the_step_of_all_points() -> None:
    """The mean of means over blocks of one size is the mean."""
    space = toy_problem().space
    steps = []
    for agents in (1, 3):
        strategy, rng = Reinforce(space, ACCURACY, hidden=8, agents=agents), np.random.default_rng(0)
        points, errors = space.sample(9, rng), rng.random(9)
        strategy.tell(Proposal.full(points), Results.exact(np.column_stack([errors, np.ones(9)])))
        steps.append(strategy.state()["first"])
    assert steps[1] == pytest.approx(steps[0], rel=1e-9, abs=1e-15)


def test_synchronous_blocks_count_alike_whatever_their_size() -> None:
    """Of two agents one has three points told, the other one: the step is the mean of two gradients."""
    space = toy_problem().space
    strategy, rng = Reinforce(space, ACCURACY, hidden=8, agents=2), np.random.default_rng(0)
    before, points = strategy.state()["weights"], space.sample(6, rng)
    errors = np.array([0.1, 0.5, 0.9, np.nan, 0.3, np.nan])
    strategy.tell(Proposal.full(points), Results.exact(np.column_stack([errors, np.ones(6)])))
    told = np.array([0.1, 0.5, 0.9, 0.3])
    advantages = (told.mean() - told) / told.std()
    controller = strategy._controller
    gradients = [
        controller.gradient(before, points[mine], advantages[places], strategy.entropy)
        for mine, places in (([0, 1, 2], [0, 1, 2]), ([4], [3]))
    ]
    assert strategy.state()["first"] == pytest.approx(0.1 * (gradients[0] + gradients[1]) / 2, rel=1e-9, abs=1e-15)


def test_asynchronous_agents_push_in_turn_and_fetch() -> None:
    """Two agents by hand: gradients at the weights that each fetched, one Adam, one baseline."""
    space = toy_problem().space
    strategy, rng = (
        Reinforce(space, ACCURACY, hidden=8, agents=2, learning="asynchronous", decay=0.5),
        np.random.default_rng(0),
    )
    controller, weights = strategy._controller, strategy.state()["weights"]
    fetched, adam, rewards, baseline = [weights, weights], Adam(np.zeros_like(weights), np.zeros_like(weights)), [], 0.0
    for _ in range(3):
        points, errors = space.sample(4, rng), rng.random(4)
        strategy.tell(Proposal.full(points), Results.exact(np.column_stack([errors, np.ones(4)])))
        for agent, mine in enumerate(([0, 1], [2, 3])):
            own = 1 - errors[mine]
            baseline = float(own.mean()) if not rewards else baseline
            rewards += own.tolist()
            advantages = (own - baseline) / np.std(rewards)
            gradient = controller.gradient(fetched[agent], points[mine], advantages, strategy.entropy)
            weights, adam = adam.climbed(weights, gradient, strategy.learning_rate)
            fetched[agent] = weights
            baseline = 0.5 * baseline + 0.5 * float(own.mean())
    state = strategy.state()
    assert state["weights"] == pytest.approx(weights, rel=1e-9, abs=1e-12)
    assert state["fetched"] == pytest.approx(np.array(fetched), rel=1e-9, abs=1e-12)
    assert not np.array_equal(state["fetched"][0], state["fetched"][1])
    assert state["steps"] == 6


def test_each_agent_draws_with_the_weights_that_it_fetched() -> None:
    """Weights of agent 1 that choose 2 in every gene, of agent 0 that choose 0."""
    space = Space([Gene(str(i), tuple(range(3))) for i in range(4)])
    strategy = Reinforce(space, ACCURACY, hidden=4, agents=2, learning="asynchronous")
    state = dict(strategy.state())
    place, shape = strategy._controller._parts[4]
    for agent, chosen in enumerate((0, 2)):
        offsets = np.zeros((4, 3))
        offsets[:, chosen] = 50.0
        state["fetched"][agent][place] = offsets.reshape(shape)
    strategy.restore(state)
    assert strategy.ask(7, np.random.default_rng(0)).genotypes.mean(axis=1).tolist() == [0.0] * 4 + [2.0] * 3
