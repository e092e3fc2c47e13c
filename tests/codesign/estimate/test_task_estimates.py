"""Trainings of every task: what they learn, under integers and crossbars too, and what a diverged one counts as."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from codesign.data import Dataset, Part, load
from codesign.estimate.base import MemoryWeights, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import check_fit, pack, unpack
from codesign.estimate.zero_cost import ZeroCost
from codesign.task import Language, Regression, Segmentation, SuperResolution, on_test
from codesign.testing.estimator import EstimatorSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, ConvTranspose2d, Embedding, Precision, Recurrent

WIDE = Precision(32, 32)
CROSSBAR = Numerics(8, 8, adc_bits=8, cell_bits=2, dac_bits=1, active_rows=32, array_rows=64, read_sigma=0.1)


def _parts(images: np.ndarray, labels: np.ndarray) -> tuple[Part, Part, Part]:
    cut, third = 2 * len(images) // 3, len(images) // 6
    slices = (slice(0, cut), slice(cut, cut + third), slice(cut + third, None))
    train, validation, test = (Part(images[part], labels[part]) for part in slices)
    return train, validation, test


def numbers() -> tuple[Dataset, Workload]:
    """The product of two features, which no linear network tells."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(480, 2, 1, 1)).astype(np.float32)
    labels = images[:, 0, 0, 0] * images[:, 1, 0, 0]
    net = Builder("dense", (1, 2, 1, 1), precision=WIDE)
    x = net.conv_norm_act(net.conv_norm_act(net.input, 16, 1), 16, 1)
    return Dataset("products", *_parts(images, labels), 1, Regression(2.5)), net.finish(net.linear(net.flatten(x), 1))


def text() -> tuple[Dataset, Workload]:
    """Cycles of five tokens, of which every window begins anywhere."""
    starts = np.random.default_rng(1).integers(0, 5, 240)
    tokens = (starts[:, None] + np.arange(9)) % 5
    net = Builder("reader", (1, 8), precision=WIDE)
    x = net.add(Recurrent("gru", 12), net.add(Embedding(7, 6), net.input))
    data = Dataset("cycles", *_parts(tokens[:, :-1], tokens[:, 1:]), 7, Language(7))
    return data, net.finish(net.linear(x, 7))


def pixels() -> tuple[Dataset, Workload]:
    """Which of two classes a pixel is follows from the mean around it."""
    rng = np.random.default_rng(2)
    images = rng.normal(size=(96, 1, 8, 8)).astype(np.float32)
    around = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)))
    total = sum(around[:, dy : dy + 8, dx : dx + 8] for dy in range(3) for dx in range(3))
    labels = (np.asarray(total) > 1.0).astype(np.int64)
    net = Builder("pixelwise", (1, 1, 8, 8), precision=WIDE)
    scores = net.add(Conv2d(2), net.conv_norm_act(net.input, 6, 3))
    return Dataset("means", *_parts(images, labels), 2, Segmentation(2, 0)), net.finish(scores)


def photographs() -> tuple[Dataset, Workload]:
    """Smooth images, shown at every second pixel."""
    rng = np.random.default_rng(3)
    waves = rng.uniform(0.1, 0.5, size=(96, 2, 1, 1))
    rows, columns = np.mgrid[:8, :8]
    large = np.sin(waves[:, :1] * rows + 3 * waves[:, 1:]) * np.cos(waves[:, 1:] * columns)
    large = large.astype(np.float32)
    net = Builder("larger", (1, 1, 4, 4), precision=WIDE)
    x = net.add(Activation("tanh"), net.add(Conv2d.square(8, 3, bias=True), net.input))
    up = ConvTranspose2d(1, (4, 4), (2, 2), (1, 1))
    data = Dataset("waves", *_parts(large[:, :, ::2, ::2], large), 1, SuperResolution(2, 0.5, 0.2))
    return data, net.finish(net.add(up, x))


CASES: dict[str, Callable[[], tuple[Dataset, Workload]]] = {
    "regression": numbers, "language": text, "segmentation": pixels, "super-resolution": photographs,
}  # fmt: skip
RECIPE = Recipe(epochs=12, batch_size=16)


def estimator_of(data: Dataset) -> TrainingEstimator:
    return TrainingEstimator(data, RECIPE, MemoryWeights(), draws=2)


@pytest.mark.parametrize("name", CASES)
def test_a_training_is_far_better_than_a_guess_and_so_are_its_integers(name: str) -> None:
    data, network = CASES[name]()
    estimator = estimator_of(data)
    guess = task_error(data, np.full((len(data.validation.labels), *data.output_shape), np.nan, np.float32))
    errors = [estimator(network, numerics).error for numerics in (FLOAT, Numerics(8, 8), CROSSBAR)]
    assert errors[0] < 0.8 * guess
    assert abs(errors[1] - errors[0]) < 0.1 * guess
    assert errors[2] < guess
    assert len(set(errors)) == 3  # each arithmetic was computed with


def task_error(data: Dataset, outputs: np.ndarray) -> float:
    task = data.task
    first = next(iter(task.metrics))
    return 1.0 - task.goodness(task.values(task.tally(outputs, data.validation.labels))[first])


@pytest.mark.parametrize("name", CASES)
def test_an_estimate_has_the_metrics_of_its_task_and_error_follows_the_first(name: str) -> None:
    data, network = CASES[name]()
    estimator = estimator_of(data)
    found = estimator(network, CROSSBAR)
    first, *_ = data.task.metrics
    assert list(found.metrics) == list(estimator.metrics) == [*data.task.metrics, on_test(first)]
    assert found.error == 1.0 - data.task.goodness(found.metrics[first])
    assert len(found.draws) == 2
    assert found.metrics[first] == pytest.approx(np.mean(found.draws))
    assert found.spread == pytest.approx(np.std([data.task.goodness(value) for value in found.draws], ddof=1))
    assert found.spread > 0


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("numerics", [FLOAT, Numerics(8, 8), CROSSBAR], ids=["float", "integer", "crossbar"])
def test_a_diverged_training_is_a_constant_guess(name: str, numerics: Numerics) -> None:
    data, network = CASES[name]()
    estimator = estimator_of(data)
    key = estimator.training_key(Request((), network, numerics, 1 / 12, 0))
    estimator(network, numerics, 1 / 12)
    state = {part: np.array(value) for part, value in unpack(estimator.weights.get(key) or b"").items()}
    broken = {p: np.full_like(v, np.nan) if v.dtype.kind == "f" else v for p, v in state.items()}
    estimator.weights.put(key, pack(broken), 0.0)
    found = estimator(network, numerics, 1 / 12)
    assert found.diverged
    nothing = np.full((len(data.validation.labels), *data.output_shape), np.nan, np.float32)
    assert found.error == pytest.approx(task_error(data, nothing))


def test_the_task_is_part_of_the_keys() -> None:
    data, network = numbers()
    other = Dataset(data.name, data.train, data.validation, data.test, 1, Regression(2.0))
    request = Request((), network, FLOAT, 1.0, 0)
    assert estimator_of(data).training_key(request) != estimator_of(other).training_key(request)
    digits = load("digits")
    assert digits.task.name == "classification"
    assert estimator_of(digits).metrics == {"accuracy": "more", "accuracy_top5": "more", "accuracy_test": "neither"}


class TestRegression(EstimatorSuite):
    """The shipped suite, of an estimator that knows no accuracy."""

    def estimator(self) -> TrainingEstimator:
        return TrainingEstimator(numbers()[0], Recipe(epochs=2), MemoryWeights())

    def requests(self) -> list[Request]:
        network = numbers()[1]
        return [Request((0,), network, Numerics(b, b), f, 3) for b in (4, 8) for f in (1 / 2, 1.0)]


def test_a_network_that_does_not_answer_the_task_is_one_line() -> None:
    data, network = numbers()
    reading, reader = text()
    with pytest.raises(SpecError, match=r"reader on products: inputs: .* is not one input of shape \(batch, 2, 1, 1\)"):
        check_fit(reader, data)
    with pytest.raises(SpecError, match=r"output: \(1, 1\) is not \(batch, 3\)"):
        check_fit(network, Dataset("own", *_parts(data.train.images, np.zeros(320, np.int64)), 3))
    net = Builder("wordy", (1, 8), precision=WIDE)
    told = net.finish(net.linear(net.add(Embedding(7, 6), net.input), 9))
    with pytest.raises(SpecError, match=r"output: \(1, 8, 9\) is not \(batch, 8, 7\)"):
        check_fit(told, reading)


def test_zero_cost_scores_are_of_classifiers() -> None:
    with pytest.raises(SpecError, match="zero_cost: a task of language is not classification"):
        ZeroCost(text()[0], "snip", images=8)
