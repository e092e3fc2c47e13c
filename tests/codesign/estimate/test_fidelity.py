"""Axes of a fidelity: networks and data that shrink as stated, the contract of estimators, refusals, a run."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.data import load
from codesign.estimate.base import CarriedWeights, Estimator, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.fidelity import ScaledFidelity, fitting, narrowed, reduced_data
from codesign.estimate.recipe import Axis, Recipe
from codesign.report.summary import summarise
from codesign.space.architecture import ArchitectureSpace
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.testing.estimator import EstimatorSuite, chain_requests
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Conv2d, Norm, Permute, Pool2d, Reshape
from hwmodels.workload.rewrite import prune_dead_branches

FAST = Recipe(epochs=4, batch_size=128)


def scaled(*axes: Axis, recipe: Recipe = FAST) -> ScaledFidelity:
    return ScaledFidelity(load("digits"), recipe, CarriedWeights(), axes=axes, draws=1)


class TestAllAxes(EstimatorSuite):
    def estimator(self) -> Estimator:
        return scaled("epochs", "data", "resolution", "width")

    def requests(self) -> Sequence[Request]:
        return [*chain_requests()[:2], chain_requests()[6]]


class TestData(EstimatorSuite):
    def estimator(self) -> Estimator:
        return scaled("data")

    def requests(self) -> Sequence[Request]:
        return chain_requests()[:2]


SPACES: dict[str, ArchitectureSpace] = {
    "chain": ChainSpace(input_shape=(1, 8, 8), bits=(8,)),
    "cell": CellSpace(channels=4, cells=1, input_shape=(1, 8, 8)),
}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(SPACES)), st.integers(0, 2**32 - 1), st.sampled_from([4, 6, 8]), st.floats(0.2, 1.0))
def test_a_narrowed_network_keeps_its_output_and_costs_no_more(name: str, seed: int, size: int, scale: float) -> None:
    space = SPACES[name]
    network = prune_dead_branches(space.workload(space.sample(1, np.random.default_rng(seed))[0]))
    small = narrowed(network, fitting(network, (1, 8, 8), size / 8), scale)
    assert [node.name for node in small] == [node.name for node in network]
    assert small[small.outputs[0]].shape == network[network.outputs[0]].shape
    assert small.macs <= network.macs
    assert small.parameters <= network.parameters
    assert narrowed(network, (1, 8, 8), 1.0) == network
    for node in network:
        if isinstance(node.operator, Conv2d):
            assert small[node.name].shape[1] == max(1, round(node.operator.out_channels * scale))


def separable() -> Workload:
    net = Builder("separable", (1, 1, 8, 8))
    x = net.add(Norm("batch"), net.add(Conv2d.square(8, 3), net.input))
    x = net.add(Conv2d.square(16, 3, groups=8), x)  # two filters a channel
    x = net.squeeze_excite(x, 4)
    x = net.add(Conv2d.square(12, 3, groups=4), x)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


def test_depthwise_and_grouped_convolutions_stay_what_they_are() -> None:
    convolutions = [
        node.operator for node in narrowed(separable(), (1, 8, 8), 0.5) if isinstance(node.operator, Conv2d)
    ]
    first, depthwise, *_, grouped = convolutions
    assert (first.out_channels, depthwise.groups, depthwise.out_channels) == (4, 4, 8)
    assert (grouped.groups, grouped.out_channels) == (4, 8)  # two of three filters a group


def test_a_network_that_states_its_sizes_is_refused() -> None:
    net = Builder("sequence", (1, 1, 8, 8))
    x = net.add(Permute((0, 2, 1)), net.add(Reshape((1, 8, 8)), net.input))
    network = net.finish(net.linear(net.flatten(x), 10))
    with pytest.raises(SpecError, match="a layer that a fidelity of resolution or width can reduce") as caught:
        narrowed(network, (1, 4, 4), 1.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("scale", "rows"), [(0.1, 1), (0.5, 4), (0.7, 6), (0.9, 7), (0.95, 8)])
def test_a_chain_takes_the_size_asked_for(scale: float, rows: int) -> None:
    network = chain_requests()[-1].workload
    assert fitting(network, (1, 8, 8), scale) == (1, rows, rows)


@pytest.mark.parametrize(("scale", "rows"), [(0.3, 4), (0.6, 4), (0.75, 4), (0.8, 4), (0.9, 8), (0.95, 8)])
def test_branches_that_halve_an_image_in_two_ways_meet_again(scale: float, rows: int) -> None:
    """Halved twice by stride, which rounds up, and by pooling, which rounds down: of 8 rows or fewer 8 and 4 fit.

    At 3 and 6 rows the branches would broadcast against each other.
    """
    space = CellSpace(channels=4, cells=1, stages=3, input_shape=(1, 8, 8))
    network = space.workload(np.full(space.n_genes, 3))
    assert fitting(network, (1, 8, 8), scale) == (1, rows, rows)
    narrowed(network, (1, rows, rows), 1.0)


def test_data_shrink_as_stated() -> None:
    data = load("digits")
    fewer = reduced_data(data, 0.25, (8, 8))
    assert len(fewer.train.labels) == round(0.25 * len(data.train.labels))
    assert fewer.validation is data.validation
    known = {image.tobytes() for image in data.train.images}
    assert all(image.tobytes() in known for image in fewer.train.images)
    coarse = reduced_data(data, 1.0, (4, 4))
    assert coarse.shape == (1, 4, 4)
    first = data.train.images[0, 0].reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert coarse.train.images[0, 0] == pytest.approx(first, abs=1e-6)
    assert len({one.fingerprint for one in (data, fewer, coarse)}) == 3
    assert reduced_data(data, 1.0, (8, 8)) is data


@pytest.mark.parametrize("axes", [("epochs",), ("data",), ("resolution",), ("width",), ("data", "epochs")])
def test_each_axis_takes_its_root_of_the_cost(axes: tuple[Axis, ...]) -> None:
    estimator, request = scaled(*axes, recipe=Recipe(epochs=100)), chain_requests()[-1]._replace(fidelity=0.25)
    share = 0.25 ** (1 / len(axes))
    assert estimator.epochs_at(0.25) == (round(100 * share) if "epochs" in axes else 100)
    level, inside = estimator.scaled(request)
    images = len(level.dataset.train.labels) / len(load("digits").train.labels)
    assert images == pytest.approx(share if "data" in axes else 1.0, abs=0.01)
    assert level.dataset.shape[1] == (round(8 * sqrt(share)) if "resolution" in axes else 8)
    # A single convolution, of one channel: narrower on one side alone.
    macs = convolution_macs(inside.workload) / convolution_macs(request.workload)
    assert macs == pytest.approx(share if "resolution" in axes else sqrt(share) if "width" in axes else 1.0)


def convolution_macs(workload: Workload) -> int:
    return sum(row.macs for node, row in workload.rows() if isinstance(node.operator, Conv2d))


def test_full_fidelity_has_the_key_of_a_plain_training() -> None:
    request = chain_requests()[-1]
    plain = TrainingEstimator(load("digits"), FAST, CarriedWeights(), draws=1)
    mixed = scaled("data", "width")
    assert mixed.key(request) == plain.key(request)
    assert mixed.training_key(request) == plain.training_key(request)
    low = request._replace(fidelity=0.5)
    others = [scaled(axis) for axis in ("data", "resolution", "width")]
    assert len({one.training_key(low) for one in [plain, *others]}) == 4
    alone = scaled("epochs")
    assert alone.training_key(low) == plain.training_key(low)


RUN = """
seed: 1
generations: 1
architecture: {space: chain, stages: 2, kernel: [3], width: [4, 8], depth: [1], stride: [2], bits: [8]}
hardware: {device: rram_edge, knobs: {tiles: [1, 2]}}
objectives: [energy_j]
strategy: random
estimator: {name: training, draws: 1, fidelity: [resolution, width], recipe: {epochs: 1, batch_size: 128}}
executor: {name: serial}
fast: {pairs: 10}
slow: {trainings: 2, classes: 1, fidelity: 0.25}
"""


def test_a_run_at_a_low_fidelity_of_two_axes(tmp_path: Path) -> None:
    begin(parse_config(yaml.safe_load(RUN)), tmp_path / "run").go()
    found = summarise(tmp_path / "run")
    assert found.ledger.trained == 2
    assert all(0 < pair.objectives["accuracy"] < 1 for pair in found.evaluated)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fidelity": ["width", "width"]}, "each once"),
        ({"fidelity": ["widht"]}, "width"),
        ({"fidelity": []}, "estimator.fidelity"),
    ],
)
def test_wrong_axes_are_refused_before_the_run(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    content = yaml.safe_load(RUN)
    content["estimator"] |= changed
    with pytest.raises(SpecError, match=told):
        begin(parse_config(content), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_equal_fidelity_of_one_is_exact() -> None:
    request = Request((), separable(), FLOAT, 1.0, 0)
    assert scaled("width").scaled(request)[1] is request
