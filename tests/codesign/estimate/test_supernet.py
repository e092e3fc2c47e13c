"""Shared weights: what networks take of them, which networks a step trains, the contract, a run, refusals."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.app.config import parse_config
from codesign.app.export import export_pair
from codesign.app.run import begin
from codesign.data import load
from codesign.estimate.base import CarriedWeights, Estimator, Request
from codesign.estimate.recipe import Recipe
from codesign.estimate.shared_weights import _initial, _Training, part_of, state_of, taken, train_shared
from codesign.estimate.supernet import SupernetEstimator, SupernetSettings
from codesign.report.summary import summarise
from codesign.space.architecture import ArchitectureSpace
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.space.mobile import MobileSpace
from codesign.space.sharing import SharesLayers, Shrinks
from codesign.space.skeleton import SKELETONS, Skeleton, Stage, words
from codesign.testing.estimator import EstimatorSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.rewrite import prune_dead_branches

SHORT = Recipe(epochs=2, batch_size=64, learning_rate=5e-3)
CHAIN = ChainSpace(stages=2, kernel=(3, 1), width=(4, 6), depth=(1, 2), stride=(1,), bits=(8,), input_shape=(1, 8, 8))
SPACES: dict[str, ArchitectureSpace] = {
    "cell": CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8)),
    "chain": CHAIN,
    "mobile": MobileSpace(
        Skeleton((Stage((8,), 1, 2, 1, words((3, 5), (1, 2), "", "se")), Stage((16,), 2, 2, 1, words((3, 5), (1, 3)))),
                 8, "a test", stem_stride=1, first=8, features=24),
        width=(0.5, 1.0), input_shape=(1, 8, 8), classes=10,
    ),
}  # fmt: skip


class TestConforms(EstimatorSuite):
    def estimator(self) -> Estimator:
        space = ChainSpace(
            stages=1, kernel=(3,), width=(4, 8), depth=(1,), stride=(2,), bits=(8,), input_shape=(1, 8, 8)
        )
        return SupernetEstimator(space, load("digits"), SupernetSettings(draws=1, recipe=SHORT), CarriedWeights())


@given(
    whole=st.tuples(*[st.integers(1, 9)] * 2, *[st.sampled_from([1, 3, 5, 7])] * 2),
    data=st.data(),
    centred=st.booleans(),
)
def test_a_part_is_the_first_channels_and_the_middle_of_the_kernel(
    whole: tuple[int, ...], data: st.DataObject, centred: bool
) -> None:
    part = tuple(
        data.draw(st.integers(1, n) if axis < 2 else st.sampled_from(range(1, n + 1, 2)))
        for axis, n in enumerate(whole)
    )
    where = part_of(whole, part, centred=centred)
    assert np.empty(whole)[where].shape == part
    assert where[0].start == where[1].start == 0
    for have, found in zip(whole[2:], where[2:], strict=True):
        assert found.start == (have - found.stop if centred else 0)


@pytest.mark.parametrize("name", SPACES)
def test_every_layer_has_a_place_of_its_own_and_weights_that_hold_it(name: str) -> None:
    space: Any = SPACES[name]
    assert isinstance(space, SharesLayers)
    shared = {key: value.detach().numpy() for key, value in _initial(space, load("digits")).items()}
    images = torch.from_numpy(load("digits").train.images[:64])
    for genotype in space.sample(20, np.random.default_rng(5)):
        network, places = prune_dead_branches(space.workload(genotype)), space.places(genotype)
        assert len(set(places.values())) == len(places)
        state = state_of(network, places, shared, images, 32)
        kept = sum(value.size for key, value in state.items() if "running" not in key and "num_batches" not in key)
        assert kept == network.parameters
        for position, node in enumerate(network):
            for key, own in state.items():
                if key.startswith(f"layers.{position}.") and key.endswith("weight") and own.ndim == 4:
                    whole = shared[f"{places[node.name]}.weight"]
                    middle = whole.shape[2] // 2, own.shape[2] // 2
                    first = whole[: own.shape[0], : own.shape[1], middle[0], middle[0]]
                    np.testing.assert_array_equal(own[:, :, middle[1], middle[1]], first)


def test_statistics_of_a_norm_are_those_of_the_training_images() -> None:
    data = load("digits")
    shared = {key: value.detach().numpy() for key, value in _initial(CHAIN, data).items()}
    genotype = np.zeros(CHAIN.n_genes, np.int64)
    network = CHAIN.workload(genotype)
    state = state_of(network, CHAIN.places(genotype), shared, torch.from_numpy(data.train.images[:128]), 64)
    weight = torch.from_numpy(state["layers.1.weight"])
    batches = torch.from_numpy(data.train.images[:128]).split(64)
    means = [torch.nn.functional.conv2d(batch, weight, padding=1).mean(dim=(0, 2, 3)) for batch in batches]
    np.testing.assert_allclose(state["layers.2.running_mean"], torch.stack(means).mean(0), rtol=1e-4, atol=1e-6)


def test_fair_sampling_trains_every_choice_equally_often() -> None:
    space = ChainSpace(stages=2, kernel=(1, 3), width=(4, 6), depth=(1, 2), stride=(1, 2), bits=(4, 8),
                       input_shape=(1, 8, 8))  # fmt: skip
    training = _Training(space, load("digits"), SHORT, {}, 0)
    for _ in range(5):
        drawn = np.array(training._fair())
        assert drawn.shape == (2, space.n_genes)
        assert all(Counter(column.tolist()) == {0: 1, 1: 1} for column in drawn.T)


@pytest.mark.parametrize("name", ["chain", "mobile", "once-for-all"])
def test_phases_open_choices_from_the_largest_network_on(name: str) -> None:
    space: Any = MobileSpace(SKELETONS["ofa"]) if name == "once-for-all" else SPACES[name]
    assert isinstance(space, Shrinks)
    phases = space.phases()
    for before, after in pairwise(phases):
        assert all(set(a) <= set(b) for a, b in zip(before, after, strict=True))
    assert [len(opened) for opened in phases[-1]] == space.cardinalities.tolist()
    largest = np.array([opened[0] for opened in phases[0]], np.int64)
    assert space.valid(largest[None]).all()
    most = space.workload(largest).parameters
    assert all(space.workload(point).parameters <= most for point in space.sample(30, np.random.default_rng(1)))


def test_a_step_changes_the_weights_of_the_networks_that_it_trains_and_no_others() -> None:
    space, data = CHAIN, load("digits")
    torch.manual_seed(0)
    shared = _initial(space, data)
    before = {key: value.detach().clone() for key, value in shared.items()}
    recipe = SHORT.model_copy(update={"weight_decay": 0.0, "batch_size": len(data.train.labels)})
    training = _Training(space, data, recipe, shared, 3)
    training.run("uniform", 1)
    drawn = space.sample(1, np.random.default_rng([3, 1]))[0]
    executed = prune_dead_branches(space.workload(drawn))
    there = {space.places(drawn)[node.name] for node in executed if node.inputs}  # type: ignore[attr-defined]
    changed = {key.rsplit(".", 1)[0] for key, value in shared.items() if not torch.equal(value, before[key])}
    assert changed
    assert changed <= there


@pytest.mark.parametrize("sampling", ["uniform", "fair", "shrinking"])
def test_networks_of_shared_weights_know_far_more_than_chance(sampling: Any) -> None:
    space = ChainSpace(stages=2, kernel=(3, 5), width=(12, 16), depth=(1, 2), stride=(1, 2), bits=(8,),
                       input_shape=(1, 8, 8))  # fmt: skip
    recipe = SHORT.model_copy(update={"epochs": 8, "batch_size": 32, "learning_rate": 1e-2})
    made = SupernetSettings(sampling=sampling, draws=1, recipe=recipe)
    estimator = SupernetEstimator(space, load("digits"), made, CarriedWeights())
    found = [estimate for _, estimate in estimator.estimate(requests(space, 6))]
    assert [estimate.trained for estimate in found] == [True, *[False] * 5]
    assert np.mean([estimate.accuracy for estimate in found]) > 0.3


def test_smaller_kernels_are_learned_transformations_of_larger_ones() -> None:
    """7 x 7 to 5 x 5 to 3 x 3; matrices start as the identity, and each layer has its own."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 2, 7, 7, generator=generator)
    to_5, to_3 = torch.randn(25, 25, generator=generator), torch.randn(9, 9, generator=generator)
    shared = {"a": whole, "a>5": to_5, "a>3": to_3}
    five = (whole[:3, :, 1:6, 1:6].reshape(3, 2, 25) @ to_5.T).reshape(3, 2, 5, 5)
    three = (five[:, :, 1:4, 1:4].reshape(3, 2, 9) @ to_3.T).reshape(3, 2, 3, 3)
    for expected in (whole[:3], five, three):
        assert torch.allclose(taken(shared, "a", expected.shape, centred=True), expected, atol=1e-5)
    plain = {"a": whole, "a>5": torch.eye(25), "a>3": torch.eye(9)}
    assert torch.equal(taken(plain, "a", (4, 2, 3, 3), centred=True), whole[:, :, 2:5, 2:5])


def test_shrinking_learns_the_transformations() -> None:
    space = ChainSpace(stages=1, kernel=(3, 5), width=(8,), depth=(1,), stride=(2,), bits=(8,), input_shape=(1, 8, 8))
    recipe = SHORT.model_copy(update={"epochs": 4, "batch_size": 256, "learning_rate": 1e-2})
    shared = train_shared(space, load("digits"), recipe, sampling="shrinking", seed=0, fidelity=1.0)
    (name,) = [name for name in shared if name.endswith(">3")]
    assert shared[name].shape == (9, 9)
    assert not np.allclose(shared[name], np.eye(9))
    uniform = train_shared(space, load("digits"), recipe, sampling="uniform", seed=0, fidelity=0.25)
    assert set(shared) - set(uniform) == {name}


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_equal_arguments_give_equal_bits(seed: int) -> None:
    data, recipe = load("digits"), SHORT.model_copy(update={"epochs": 1, "batch_size": 512})
    torch.manual_seed(seed)  # the surroundings have no say
    once = train_shared(CHAIN, data, recipe, sampling="shrinking", seed=3, fidelity=1.0)
    again = train_shared(CHAIN, data, recipe, sampling="shrinking", seed=3, fidelity=1.0)
    other = train_shared(CHAIN, data, recipe, sampling="shrinking", seed=4, fidelity=1.0)
    assert all(np.array_equal(once[key], again[key]) for key in once)
    assert any(not np.array_equal(once[key], other[key]) for key in once)


def requests(space: ArchitectureSpace, count: int) -> Sequence[Request]:
    points = space.canonical(space.sample(count, np.random.default_rng(2)))
    return [
        Request(tuple(point.tolist()), prune_dead_branches(space.workload(point)), FLOAT, 1.0, 0) for point in points
    ]


def run_file(**changes: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "generations": 2,
        "data": {"name": "digits"},
        "architecture": {"space": "chain", "stages": 2, "width": [4, 8], "depth": [1], "bits": [8]},
        "hardware": {"device": "rram_edge"},
        "objectives": ["latency_s", "energy_j"],
        "strategy": {"name": "random"},
        "fast": {"pairs": 100},
        "slow": {"trainings": 3},
        "estimator": {"name": "supernet", "draws": 1, "recipe": {"epochs": 2, "learning_rate": 0.002}},
        "executor": "serial",
        **changes,
    }


def test_a_run_trains_once_and_workers_answer_the_same(tmp_path: Path) -> None:
    found = {}
    for executor in ("serial", {"name": "process", "workers": 2}):
        folder = tmp_path / str(len(found))
        run = begin(parse_config(run_file(executor=executor)), folder)
        run.go()
        run.store.close()
        with sqlite3.connect(folder / "run.sqlite") as database:
            assert database.execute("SELECT count(*) FROM weights").fetchone() == (1,)
        summary = summarise(folder)
        assert summary.ledger.trained == 1
        found[str(executor)] = [(pair.genotype, pair.value("accuracy")) for pair in summary.evaluated]
    one, two = found.values()
    assert sorted(one) == sorted(two)
    with pytest.raises(SpecError, match="one that trains each network"):
        export_pair(tmp_path / "0", None, tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": {"space": "recurrent"}, "data": {"name": "digit-sequences"}}, "networks that share layers"),
        ({"architecture": {"space": "cell", "stages": 1, "cells": 1},
          "estimator": {"name": "supernet", "sampling": "shrinking"}}, "a largest network"),
        ({"estimator": {"name": "supernet", "recipe": {"noise": {}}}}, "noise or stopping"),
        ({"estimator": {"name": "supernet", "sampling": "fairly"}}, "sampling"),
        ({"estimator": {"name": "supernet", "sampling": "shrinking", "recipe": {"epochs": 3}}}, ">= 4, the phases"),
    ],
)  # fmt: skip
def test_what_cannot_share_weights_is_refused_before_anything_is_written(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=words):
        begin(parse_config(run_file(**changes)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
