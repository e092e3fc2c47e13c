"""What every strategy must do, whatever it does: valid proposals, determinism, a state that restores, odd batches.

A strategy of another package is held against it by three lines::

    class TestMine(StrategySuite):
        def strategy(self, problem):
            return Mine(problem.space)

One that trains for itself overrides the fixture `problem` with `trained_problem`: cells of operations, a device, and
a few images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from codesign.space.base import Gene, Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State, Strategy

__all__ = ["MemoryBlobs", "StrategySuite", "neuron_problem", "toy_problem", "trained_problem"]

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class MemoryBlobs:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self.payloads: dict[str, bytes] = {}

    def keep(self, payload: bytes) -> str:
        key = str(hash(payload))
        self.payloads[key] = payload
        return key

    def blob(self, key: str) -> bytes:
        return self.payloads[key]

    def drop(self, key: str) -> None:
        """Nothing is dropped: an earlier state may be restored."""


class _Sloped(Space):
    """An eighth of the cube is invalid: points whose genes add up to little."""

    def valid(self, genotypes: Genotypes) -> Mask:
        inside: Mask = super().valid(genotypes) & (genotypes.sum(axis=1) > 6)
        return inside


def _distances(genotypes: Genotypes) -> F64:
    """Two conflicting objectives (P, 2): squared distances to the corner of ones and to the corner of threes."""
    return np.stack([((genotypes - corner) ** 2).sum(axis=1) for corner in (1, 3)], axis=1).astype(np.float64)


def toy_problem() -> Problem:
    """Six genes of five choices, an error and one cost, no images; costs are answered for every genotype."""
    space = _Sloped([Gene(str(i), tuple(range(5))) for i in range(6)])
    joint: Any = space
    return Problem(space, joint, ("cost",), lambda genotypes: _distances(genotypes)[:, 1:], None, MemoryBlobs(), 0)


def trained_problem() -> Problem:
    """Small cells on two designs of an array, latencies by its model, and 96 images of two classes."""
    from codesign.data.base import Dataset, Part
    from codesign.space.cell import CellSpace
    from codesign.space.hardware import HardwareSpace
    from codesign.space.joint import JointSpace
    from codesign.two_level.cost_access import PairCostAccess
    from hwmodels.catalog import device
    from hwmodels.workload.rewrite import COMPILED

    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
    networks = CellSpace(channels=4, cells=1, stages=1, input_shape=(1, 6, 6), classes=2, operations=operations)
    chip = device("systolic_edge")
    joint = JointSpace(networks, HardwareSpace(chip.model, chip.spec, {"array_rows": [16, 32]}))
    rng = np.random.default_rng(0)
    labels = np.arange(96) % 2
    images = (rng.standard_normal((96, 1, 6, 6)) + labels[:, None, None, None]).astype(np.float32)
    part = Part(images, labels)
    costs = PairCostAccess(joint, COMPILED, ("latency_s",))
    return Problem(joint, joint, ("latency_s",), costs, Dataset("toy", part, part, part, 2), MemoryBlobs(), 0)


def neuron_problem() -> Problem:
    """Small networks of neurons with their weights, on two designs of an array, and latencies by its model."""
    from codesign.space.hardware import HardwareSpace
    from codesign.space.joint import JointSpace
    from codesign.space.neurons import NeuronSpace
    from codesign.two_level.cost_access import PairCostAccess
    from hwmodels.catalog import device
    from hwmodels.workload.rewrite import COMPILED

    chip = device("systolic_edge")
    hardware = HardwareSpace(chip.model, chip.spec, {"array_rows": [16, 32]})
    joint = JointSpace(NeuronSpace(connections=10, hidden=3), hardware)
    costs = PairCostAccess(joint, COMPILED, ("latency_s",))
    return Problem(joint, joint, ("latency_s",), costs, None, MemoryBlobs(), 0)


class StrategySuite:
    """Subclass it and say how a strategy is made; pytest finds the tests."""

    def strategy(self, problem: Problem) -> Strategy:
        """A fresh strategy for a problem; equal ones at every call."""
        raise NotImplementedError

    @pytest.fixture
    def problem(self) -> Problem:
        return toy_problem()

    def _tell(self, strategy: Strategy, proposal: Proposal, *, pruned: Mask | None = None) -> None:
        """Objectives of the pairs that are left, a violation and a reason of the others."""
        gone = np.zeros(len(proposal.genotypes), np.bool_) if pruned is None else pruned
        objectives = np.where(gone[:, None], np.nan, _distances(proposal.genotypes))
        violation = np.where(gone[:, None], proposal.genotypes[:, :1] * 0.5, 0.0)
        strategy.tell(proposal, Results.exact(objectives, violation, gone.astype(np.int8)))

    def _rounds(self, strategy: Strategy, rng: np.random.Generator, *, n: int = 12, count: int = 4) -> list[Genotypes]:
        asked = []
        for _ in range(count):
            proposal = strategy.ask(n, rng)
            asked.append(proposal.genotypes)
            self._tell(strategy, proposal, pruned=rng.random(n) < 0.4)
        return asked

    @pytest.mark.parametrize("n", [0, 1, 2, 7, 50])
    def test_proposals_are_valid_points(self, problem: Problem, n: int) -> None:
        strategy, rng, space = self.strategy(problem), np.random.default_rng(0), problem.space
        for _ in range(3):
            proposal = strategy.ask(n, rng)
            assert proposal.genotypes.shape == (n, space.n_genes)
            assert proposal.genotypes.dtype == np.int64
            assert space.valid(proposal.genotypes).all()
            assert proposal.fidelity.shape == (n,)
            assert ((proposal.fidelity > 0) & (proposal.fidelity <= 1)).all()
            parents = proposal.genotypes if proposal.parents is None else proposal.parents
            assert parents.shape == proposal.genotypes.shape
            assert (space.valid(parents) | (parents == -1).all(axis=1)).all()
            self._tell(strategy, proposal)

    def test_equal_generators_give_equal_searches(self, problem: Problem) -> None:
        first, second = (self._rounds(self.strategy(problem), np.random.default_rng(11)) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))

    @pytest.mark.parametrize("warm", [0, 1, 3])
    def test_a_restored_strategy_goes_on_as_if_never_stopped(self, problem: Problem, warm: int) -> None:
        strategy, rng = self.strategy(problem), np.random.default_rng(7)
        self._rounds(strategy, rng, count=warm)
        again = self.strategy(problem)
        again.restore(_stored(strategy.state()))
        whole = self._rounds(strategy, np.random.default_rng(8))
        resumed = self._rounds(again, np.random.default_rng(8))
        assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))

    def test_a_state_is_not_changed_by_going_on(self, problem: Problem) -> None:
        strategy, rng = self.strategy(problem), np.random.default_rng(7)
        self._rounds(strategy, rng)
        state = strategy.state()
        before = _stored(state)
        self._rounds(strategy, rng)
        assert repr(_listed(before)) == repr(_listed(state))

    def test_batches_without_a_single_estimate(self, problem: Problem) -> None:
        strategy, rng = self.strategy(problem), np.random.default_rng(3)
        for pattern in (True, True, False, True, False):
            proposal = strategy.ask(10, rng)
            self._tell(strategy, proposal, pruned=np.full(10, pattern))
            assert problem.space.valid(strategy.ask(10, rng).genotypes).all()

    def test_one_survivor_and_ties_and_empty_batches(self, problem: Problem) -> None:
        strategy, rng = self.strategy(problem), np.random.default_rng(4)
        proposal = strategy.ask(10, rng)
        self._tell(strategy, proposal, pruned=np.arange(10) != 3)
        again = Proposal.full(proposal.genotypes)
        strategy.tell(again, Results.exact(np.ones((10, 2)), np.zeros((10, 1))))
        nothing = Proposal.full(np.empty((0, problem.space.n_genes), np.int64))
        strategy.tell(nothing, Results.exact(np.empty((0, 2)), np.empty((0, 1))))
        strategy.tell(again, Results.exact(np.ones((10, 2))))
        assert problem.space.valid(strategy.ask(10, rng).genotypes).all()

    def test_costs_without_an_error_are_no_estimate(self, problem: Problem) -> None:
        """FAST tells costs of pairs that nobody trained, and nothing of those that it pruned before."""
        strategy, rng = self.strategy(problem), np.random.default_rng(5)
        proposal = strategy.ask(4, rng)
        objectives = _distances(proposal.genotypes)
        objectives[0, 0] = np.nan
        objectives[1] = np.nan
        strategy.tell(proposal, Results.exact(objectives, np.zeros((4, 1))))
        kept = strategy.state().get("objectives")
        assert kept is None or not np.isnan(kept).any()
        assert problem.space.valid(strategy.ask(4, rng).genotypes).all()


def _stored(state: State) -> dict[str, Any]:
    """A state as a store gives it back: arrays that are no objects, and JSON."""
    stored: dict[str, Any] = {}
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            assert value.dtype != object, f"{name}: arrays of objects are pickles"
            stored[name] = value.copy()
        else:
            stored[name] = json.loads(json.dumps(value))
    return stored


def _listed(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in state.items()}
