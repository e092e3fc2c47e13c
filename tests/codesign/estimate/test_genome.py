"""Weights from the genotype: the conformance suite, the torch twin, errors by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.data import Dataset, load
from codesign.estimate.base import Estimator, Request
from codesign.estimate.genome import GenomeEstimator
from codesign.estimate.train import restore
from codesign.registry import ESTIMATORS
from codesign.space.neurons import NeuronSpace
from codesign.space.synapses import Synapses
from codesign.strategy.base import Problem
from codesign.testing.estimator import EstimatorSuite
from codesign.testing.strategy import neuron_problem
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.ops import Precision

FLOAT32 = Precision(32, 32)
DIGITS = NeuronSpace(connections=40, hidden=6, input_shape=(1, 8, 8), outputs=10, precision=FLOAT32)


def request(space: NeuronSpace, genotype: np.ndarray, numerics: Numerics = FLOAT, fidelity: float = 1.0) -> Request:
    point = space.canonical(genotype[None])[0]
    return Request(tuple(point.tolist()), space.workload(point), numerics, fidelity, 0)


class TestGenome(EstimatorSuite):
    def estimator(self) -> Estimator:
        return GenomeEstimator(load("digits"), DIGITS, error="distance", draws=2)

    def requests(self) -> Sequence[Request]:
        points = DIGITS.sample(3, np.random.default_rng(0))
        crossbar = device("rram_edge").spec.numerics()
        return [request(DIGITS, point, numerics) for point in points for numerics in (FLOAT, Numerics(8, 8), crossbar)]


@pytest.fixture
def table(tmp_path: Path) -> Dataset:
    path = tmp_path / "or.csv"
    path.write_text("a,b,y\n0,0,0\n0,1,1\n1,0,1\n1,1,1\n")
    return load("table", path, label="y", task="regression", split="whole")


@pytest.mark.parametrize("output", ["linear", "sigmoid", "tanh"])
def test_the_twin_computes_what_the_neurons_do(output: str) -> None:
    space = NeuronSpace(
        connections=20, hidden=5, output=output, input_shape=(3, 1, 1), outputs=2, precision=FLOAT32  # type: ignore[arg-type]
    )  # fmt: skip
    rng = np.random.default_rng(1)
    items = rng.standard_normal((6, 3))
    estimator = GenomeEstimator(load("digits"), space)
    for point in space.sample(12, rng):
        asked = request(space, point)
        twin = restore(asked.workload, estimator.state_of(asked))
        with torch.no_grad():
            found = twin(torch.from_numpy(items.astype(np.float32))[..., None, None]).numpy()
        expected = space.answers(point, items)
        assert found == pytest.approx(expected, abs=1e-4 * max(1.0, np.abs(expected).max()))


def test_errors_by_hand(table: Dataset) -> None:
    """Answers of half of a; inputs are standardised to -1 and 1, targets by mean .75 and deviation sqrt(3) / 4."""
    space = NeuronSpace(connections=3, hidden=0, precision=FLOAT32)
    half = int(np.abs(space.weights - 0.5).argmin())
    asked = request(space, space.point_of(Synapses.of([(0, 3, half, True)])))
    answers = np.array([-0.5, -0.5, 0.5, 0.5])
    targets = (np.array([0, 1, 1, 1]) - 0.75) / (np.sqrt(3) / 4)
    ((_, by_task),) = GenomeEstimator(table, space).estimate([asked])
    ((_, by_distance),) = GenomeEstimator(table, space, error="distance").estimate([asked])
    assert by_task.error == pytest.approx(np.square(answers - targets).mean(), abs=1e-6)
    assert by_distance.error == pytest.approx(np.abs(answers - targets).mean() / np.ptp(targets), abs=1e-6)
    assert by_task.metrics == by_distance.metrics
    assert by_task.metrics["r2"] == by_task.metrics["r2_test"] == pytest.approx(1 - by_task.error)
    assert by_task.key != by_distance.key
    assert not by_task.trained


def test_distances_of_classes_are_from_ones_at_the_class() -> None:
    digits = load("digits")
    ((_, found),) = GenomeEstimator(digits, DIGITS, error="distance").estimate(
        [request(DIGITS, np.zeros(DIGITS.n_genes, np.int64))]
    )
    assert found.error == pytest.approx(0.1)  # all scores 0: a tenth of the ones is missed
    assert found.accuracy == pytest.approx((digits.validation.labels == 0).mean())


def test_fewer_bits_are_another_answer(table: Dataset) -> None:
    space = NeuronSpace(connections=8, hidden=2, output="tanh", precision=FLOAT32)
    point = space.sample(20, np.random.default_rng(4))[-1]
    estimator = GenomeEstimator(table, space, error="distance")
    answers = dict(estimator.estimate([request(space, point, Numerics(bits, bits)) for bits in (32, 16, 2)]))
    assert answers[0].error == pytest.approx(answers[1].error, abs=1e-3)
    assert answers[0].error != answers[2].error


def test_what_it_does_not_judge_is_one_line(table: Dataset) -> None:
    section = ESTIMATORS.parse({"name": "genome"}, "estimator")
    problem: Problem = neuron_problem()
    with pytest.raises(SpecError, match="without data"):
        section.make(problem)
    other: object = type("Joint", (), {"architecture": object()})
    with pytest.raises(SpecError, match="space: neurons"):
        section.make(replace(problem, joint=other, data=table))
    faces = load("retina", size=32)
    with pytest.raises(SpecError, match="distances are those of classes"):
        GenomeEstimator(faces, DIGITS, error="distance")
