"""Zero-cost scores: values by hand, laws of scale, the contract of estimators, a run with them, refusals."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.data import load
from codesign.estimate.base import Estimator, Request, effort_of
from codesign.estimate.scores import SCORES
from codesign.estimate.zero_cost import ScoreName, ZeroCost, error_of
from codesign.network.module import Network, to_module
from codesign.report.summary import summarise
from codesign.testing.estimator import EstimatorSuite, chain_requests
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Norm, Permute, Pool2d, Recurrent, Reduce, Reshape

F64 = npt.NDArray[np.float64]

FIRST = np.array([[0.5, -1.0], [2.0, 0.25]])  # (outputs, inputs) of a layer, and the layer that follows
SECOND = np.array([[1.0, -0.5], [0.75, 1.5], [-2.0, 0.25]])
IMAGES = np.array([[1.0, 1.0], [1.0, -0.5], [-1.0, 2.0], [0.25, -3.0]])
LABELS = np.array([0, 1, 1, 0])
SCALES = st.floats(0.01, 100.0)


class TestSynflow(EstimatorSuite):
    def estimator(self) -> Estimator:
        return ZeroCost(load("digits"), "synflow", images=16)


class TestNaswot(EstimatorSuite):
    def estimator(self) -> Estimator:
        return ZeroCost(load("digits"), "naswot", images=16)


class TestGrasp(EstimatorSuite):
    def estimator(self) -> Estimator:
        return ZeroCost(load("digits"), "grasp", images=16)

    def requests(self) -> Sequence[Request]:
        return chain_requests()[:4]


class TestZen(EstimatorSuite):
    def estimator(self) -> Estimator:
        return ZeroCost(load("digits"), "zen", images=16)

    def requests(self) -> Sequence[Request]:
        return chain_requests()[:4]


# Networks of one or two layers, and what they score by hand.


def layers(*weights: F64, rectify: bool = False) -> Network:
    """Linear layers without biases over a row of pixels, with the given weights in double precision."""
    net = Builder("layers", (1, 1, 1, weights[0].shape[1]))
    x = net.flatten(net.input)
    for i, weight in enumerate(weights):
        x = net.linear(x, len(weight), bias=False)
        if rectify and i < len(weights) - 1:
            x = net.add(Activation("relu"), x)
    network = to_module(net.finish(x)).double()
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return network


def score(name: str, network: Network, images: F64 = IMAGES) -> float:
    labels = torch.from_numpy(LABELS[: len(images)])
    return SCORES[name](network.train(), torch.from_numpy(images)[:, None, None], labels)


def softmax(scores: F64) -> F64:
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


def slopes(weight: F64) -> F64:
    """dL/da of one layer's outputs a, (B, K): (p - y) / B."""
    return (softmax(IMAGES @ weight.T) - np.eye(len(weight))[LABELS]) / len(LABELS)


def test_scores_of_one_layers_gradient_by_hand() -> None:
    outputs, slope = IMAGES @ FIRST.T, slopes(FIRST)
    gradient = slope.T @ IMAGES
    network = layers(FIRST)
    assert score("grad_norm", network) == pytest.approx(math.sqrt((gradient**2).sum()))
    assert score("snip", network) == pytest.approx(np.abs(FIRST * gradient).sum())
    assert score("fisher", network) == pytest.approx(((outputs * slope) ** 2).mean(axis=0).sum() / 2)


def test_grasp_of_one_layer_by_hand() -> None:
    gradient, shares = slopes(FIRST).T @ IMAGES, softmax(IMAGES @ FIRST.T)
    # H g = mean_b (diag p - p p^T) (g x) x^T, of softmax regression
    moved = IMAGES @ gradient.T
    product = (shares * moved - shares * (shares * moved).sum(axis=1, keepdims=True)).T @ IMAGES / len(LABELS)
    assert score("grasp", layers(FIRST)) == pytest.approx(-(FIRST * product).sum())


def test_gradients_of_two_layers_add_up() -> None:
    hidden = np.maximum(IMAGES @ FIRST.T, 0)
    slope = (softmax(hidden @ SECOND.T) - np.eye(3)[LABELS]) / len(LABELS)
    first = (slope @ SECOND * (hidden > 0)).T @ IMAGES
    second = slope.T @ hidden
    network = layers(FIRST, SECOND, rectify=True)
    norms = [np.linalg.norm(first), np.linalg.norm(second)]
    assert score("grad_norm", network) == pytest.approx(sum(norms))
    assert score("snip", network) == pytest.approx(np.abs(FIRST * first).sum() + np.abs(SECOND * second).sum())


def test_fisher_sums_a_channel_before_it_squares() -> None:
    channels, rest = np.array([0.5, -1.5]), np.array([[1.0, -0.5], [0.75, 1.5], [-2.0, 0.25]])
    net = Builder("pooled", (1, 1, 1, 2))
    x = net.flatten(net.add(Pool2d("avg"), net.add(Conv2d.square(2, 1), net.input)))
    network = to_module(net.finish(net.linear(x, 3, bias=False))).double()
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), (channels, rest), strict=True):
            parameter.copy_(torch.from_numpy(weight).reshape(parameter.shape))
    pooled = IMAGES.mean(axis=1)[:, None] * channels  # both pixels have half of the slope: sums are means
    outputs = pooled @ rest.T
    slope = (softmax(outputs) - np.eye(3)[LABELS]) / len(LABELS)
    flows = [outputs * slope, pooled * (slope @ rest)]
    assert score("fisher", network) == pytest.approx(sum((flow**2).mean(axis=0).sum() / 2 for flow in flows))


def test_baselines_are_counts_of_the_network() -> None:
    net = Builder("counted", (4, 1, 1, 3))
    network = to_module(net.finish(net.linear(net.flatten(net.input), 5)))
    assert score("parameters", network) == 3 * 5 + 5
    assert score("macs", network) == 3 * 5


def test_synflow_is_every_path_once_a_layer() -> None:
    paths = (np.abs(SECOND) @ np.abs(FIRST) @ np.ones(2)).sum()
    assert score("synflow", layers(FIRST, SECOND, rectify=True)) == pytest.approx(2 * paths)
    assert score("synflow", layers(-FIRST, SECOND)) == pytest.approx(2 * paths)


@given(SCALES, SCALES)
def test_synflow_grows_by_the_product_of_scales(first: float, second: float) -> None:
    whole = score("synflow", layers(FIRST, SECOND, rectify=True))
    scaled = score("synflow", layers(first * FIRST, second * SECOND, rectify=True))
    assert scaled == pytest.approx(first * second * whole)


def test_naswot_by_hand() -> None:
    images = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])  # patterns 11, 10, 01 of two rectifiers
    kernel = [[2, 1, 1], [1, 2, 0], [1, 0, 2]]  # rectifiers less Hamming distances; its determinant is 4
    assert np.linalg.det(kernel) == pytest.approx(4)
    assert score("naswot", layers(np.eye(2), SECOND, rectify=True), images) == pytest.approx(math.log(4))


def test_images_of_one_pattern_are_the_worst_for_naswot() -> None:
    network = layers(np.eye(2), SECOND, rectify=True)
    assert score("naswot", network, np.array([[1.0, 1.0], [2.0, 0.5]])) == -math.inf


def test_rounding_does_not_hide_a_singular_kernel() -> None:
    images = np.array(list(product([-1.0, 1.0], repeat=5)))  # 32 patterns of five rectifiers: a kernel of rank six
    network = layers(np.eye(5), np.ones((2, 5)), rectify=True)
    labels = torch.zeros(len(images), dtype=torch.int64)
    assert SCORES["naswot"](network, torch.from_numpy(images)[:, None, None], labels) == -math.inf


@given(SCALES, SCALES)
def test_naswot_does_not_change_with_the_scale_of_a_rectified_layer(first: float, second: float) -> None:
    images = IMAGES[[0, 1, 2]]
    whole = score("naswot", layers(np.eye(2), SECOND, rectify=True), images)
    rows = np.diag([first, second])
    assert score("naswot", layers(rows, SECOND, rectify=True), images) == whole


def test_equal_slopes_at_every_image_are_the_worst_for_jacov() -> None:
    k, b = 1e-5, len(IMAGES)  # a linear network: all correlations are 1, their eigenvalues b and zeros
    worst = -(math.log(b + k) + 1 / (b + k) + (b - 1) * (math.log(k) + 1 / k))
    assert score("jacov", layers(FIRST, SECOND)) == pytest.approx(worst, rel=1e-6)


def test_jacov_of_slopes_that_do_not_vary_is_no_number() -> None:
    assert math.isnan(score("jacov", layers(np.ones((2, 2)))))


def test_jacov_from_its_equation() -> None:
    generator = np.random.default_rng(0)
    images = generator.normal(size=(5, 6))
    first, second = generator.normal(size=(12, 6)), generator.normal(size=(3, 12))
    active = images @ first.T > 0
    slope = np.array([second.sum(axis=0) * on @ first for on in active])
    values = np.linalg.eigvalsh(np.corrcoef(slope)) + 1e-5
    network = layers(first, second, rectify=True)
    jacov = SCORES["jacov"](network, torch.from_numpy(images)[:, None, None], torch.zeros(5, dtype=torch.int64))
    assert jacov == pytest.approx(-(np.log(values) + 1 / values).sum(), rel=1e-4)


@pytest.mark.parametrize("normalised", [False, True])
def test_zen_from_its_equation(normalised: bool) -> None:
    net = Builder("features", (1, 2, 3, 3))
    x = net.add(Conv2d.square(4, 1, bias=True), net.input)
    x = net.add(Activation("relu"), net.add(Norm("batch"), x) if normalised else x)
    workload = net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 2))
    torch.manual_seed(7)
    drawn = torch.randn(4, 2, 1, 1)
    torch.randn(2, 4)  # of the classifier, which features do not see
    first, step = (torch.randn(5, 2, 3, 3) for _ in range(2))

    def features(images: torch.Tensor) -> F64:
        values = np.einsum("oi,bixy->boxy", drawn[:, :, 0, 0].double(), images.double())
        if normalised:
            values -= values.mean((0, 2, 3), keepdims=True)
            values /= np.sqrt(values.var((0, 2, 3), keepdims=True) + 1e-5)
        return np.maximum(values, 0)

    apart = np.linalg.norm((features(first + 0.01 * step) - features(first)).reshape(5, -1), axis=1).mean()
    raw = np.einsum("oi,bixy->boxy", drawn[:, :, 0, 0].double(), first.double())
    undone = math.log(math.sqrt(raw.var((0, 2, 3)).mean())) if normalised else 0.0
    torch.manual_seed(0)
    network = to_module(workload).train()
    torch.manual_seed(7)
    found = SCORES["zen"](network, torch.zeros(5, 2, 3, 3), torch.zeros(5, dtype=torch.int64))
    assert found == pytest.approx(math.log(apart) + undone, rel=1e-4)


# Batch norm, gates, activations and operators of other kinds.


def images_and_labels(count: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    train = load("digits").train
    return torch.from_numpy(train.images[:count]), torch.from_numpy(train.labels[:count])


def chain(*, norm: bool = True, activation: str = "relu", gated: bool = False) -> Workload:
    net = Builder("chain", (1, 1, 8, 8))
    x = net.input
    for width in (4, 6):
        x = net.add(Conv2d.square(width, 3), x)
        x = net.add(Norm("batch"), x) if norm else x
        x = net.add(Activation(activation), x)  # type: ignore[arg-type]
        x = net.squeeze_excite(x, 2, inner=activation) if gated else x  # type: ignore[arg-type]
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


def test_batch_statistics_undo_the_scale_of_a_convolution() -> None:
    torch.manual_seed(1)
    network = to_module(chain()).train()
    before = SCORES["snip"](network, *images_and_labels())
    with torch.no_grad():
        next(network.parameters()).mul_(4.0)
    assert SCORES["snip"](network, *images_and_labels()) == pytest.approx(before, rel=5e-3)  # its 1e-5 of variance


def test_synflow_leaves_batch_norm_out() -> None:
    found = []
    for norm in (False, True):
        torch.manual_seed(1)
        network = to_module(chain(norm=norm)).train()
        weights = [p for p in network.parameters() if p.dim() > 1]
        with torch.no_grad():
            for i, weight in enumerate(weights):
                weight.copy_(torch.linspace(-1, 2 + i, weight.numel()).reshape(weight.shape))
            next(p for p in reversed(list(network.parameters())) if p.dim() == 1).zero_()
        found.append(SCORES["synflow"](network, *images_and_labels()))
    assert found[0] == pytest.approx(found[1])


def transformer() -> Workload:
    net = Builder("transformer", (1, 1, 8, 8))
    x = net.linear(net.add(Reshape((1, 8, 8)), net.input), 8)
    x = net.residual(x, net.attention(net.add(Norm("layer"), x), 2))
    x = net.add(Activation("gelu"), net.linear(x, 8))
    return net.finish(net.linear(net.add(Reduce((1,)), x), 10))


def recurrent() -> Workload:
    net = Builder("recurrent", (1, 1, 8, 8))
    x = net.add(Recurrent("lstm", 6), net.add(Reshape((1, 8, 8)), net.input))
    return net.finish(net.linear(net.flatten(net.add(Permute((0, 2, 1)), x)), 10))


@pytest.mark.parametrize("name", get_args(ScoreName))
@pytest.mark.parametrize(
    "workload",
    [chain(gated=True), chain(activation="hardswish", gated=True), transformer(), recurrent()],
    ids=["gated", "hardswish", "transformer", "recurrent"],
)
def test_networks_of_other_kinds_are_scored_or_refused(name: ScoreName, workload: Workload) -> None:
    estimator = ZeroCost(load("digits"), name, images=12)
    if name == "naswot" and not any(getattr(node.operator, "function", "") == "relu" for node in workload):
        with pytest.raises(SpecError, match="naswot: no rectifier") as caught:
            estimator.value(workload)
        assert "\n" not in str(caught.value)
        return
    value = estimator.value(workload)
    assert math.isfinite(value)
    assert value == estimator.value(workload)


def test_a_network_without_weights_is_refused() -> None:
    net = Builder("pooled", (1, 1, 8, 8))
    pooled = net.finish(net.add(Reduce((1, 2)), net.input))
    labels = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(SpecError, match="weights"):
        SCORES["snip"](to_module(pooled), torch.zeros(3, 1, 8, 8), labels)


# As an estimator.


def request(workload: Workload, numerics: Numerics = FLOAT, *, seed: int = 0) -> Request:
    return Request((), workload, numerics, 1.0, seed)


def test_every_score_has_a_name_and_every_name_a_score() -> None:
    assert set(SCORES) == set(get_args(ScoreName))
    assert len(SCORES) == 10


MAGNITUDES = st.floats(1e-25, 1e300)


@given(MAGNITUDES, st.floats(1 + 1e-11, 1e8), st.booleans())
def test_the_error_falls_strictly_with_the_score(low: float, ratio: float, negative: bool) -> None:
    high = low * ratio
    worse, better = (-high, -low) if negative else (low, high)
    assert 1 >= error_of(worse) > error_of(better) >= 0
    assert error_of(-low) > error_of(0.0) > error_of(low)


def test_the_metric_is_the_score_and_numerics_change_nothing() -> None:
    estimator = ZeroCost(load("digits"), "snip", images=12)
    asked = [request(chain(), numerics) for numerics in (FLOAT, Numerics(2, 2))]
    found = [estimate for _, estimate in estimator.estimate(asked)]
    assert found[0] == found[1]
    assert estimator.metrics == {"snip": "more"}
    assert found[0].metrics["snip"] == estimator.value(chain())
    assert found[0].error == error_of(found[0].metrics["snip"])
    assert (effort_of(estimator), found[0].trained) == ("evaluation", False)


def test_weights_and_images_follow_the_seed_and_not_the_name() -> None:
    estimator = ZeroCost(load("digits"), "snip", images=12)
    renamed = Workload.of("another", list(chain()), chain().outputs)
    assert estimator.key(request(renamed)) == estimator.key(request(chain()))
    assert estimator.value(renamed) == estimator.value(chain())
    assert estimator.value(chain(), 1) != estimator.value(chain(), 0)
    assert estimator.key(request(chain(), seed=1)) != estimator.key(request(chain()))
    other = ZeroCost(load("digits"), "snip", images=13)
    assert other.key(request(chain())) != estimator.key(request(chain()))


def test_the_generator_of_the_caller_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    ZeroCost(load("digits"), "zen", images=4).value(chain())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_counts_as_diverged(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "snip", lambda network, images, labels: value)  # type: ignore[arg-type]
    ((_, found),) = ZeroCost(load("digits"), "snip", images=4).estimate([request(chain())])
    assert found.diverged
    assert (found.error, found.metrics["snip"]) == (1.0, -math.inf)


@pytest.mark.parametrize(
    ("score_name", "images", "told"), [("synflo", 64, "synflow"), ("snip", 1, "in"), ("snip", 10**6, "in")]
)
def test_wrong_settings_are_refused(score_name: str, images: int, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        ZeroCost(load("digits"), score_name, images=images)  # type: ignore[arg-type]


# In a run.

RUN = """
seed: 1
generations: 2
architecture: {space: chain, stages: 1, kernel: [3], width: [4, 8], depth: [1, 2], stride: [2], bits: [8]}
hardware: {device: rram_edge, knobs: {tiles: [1, 2]}}
objectives: [energy_j]
strategy: random
estimator: {name: zero_cost, score: synflow, images: 16}
executor: {name: serial}
fast: {pairs: 40}
slow: {trainings: 4, classes: 1}
"""


def test_a_run_file_is_judged_by_a_score(tmp_path: Path, run) -> None:
    (tmp_path / "run.yaml").write_text(RUN)
    code, out, err = run("search", tmp_path / "run.yaml", "-o", tmp_path / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["front"]
    found = summarise(tmp_path / "run")
    assert found.judged_by == "synflow"
    assert (found.ledger.trained, found.ledger.diverged) == (0, 0)
    assert found.ledger.estimates > 1
    front = [(error_of(pair.objectives["synflow"]), pair.objectives["energy_j"]) for pair in found.front]
    assert len(front) > 1
    assert all(error < worse and energy > less for (error, energy), (worse, less) in pairwise(front))
    assert "synflow" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"estimator": {"name": "zero_cost", "score": "synflo"}}, "synflow"),
        ({"estimator": {"name": "zero_cost", "images": 60_000}}, "estimator.images"),
        ({"architecture": {"space": "fixed", "network": "ds_cnn"}, "estimator": "zero_cost"}, "ds_cnn on digits"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_the_run(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    with pytest.raises(SpecError, match=told) as caught:
        begin(parse_config({**yaml.safe_load(RUN), **changed}), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
