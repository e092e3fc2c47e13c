"""Greedy ensembles: a plain twin of the choice, laws, and accuracies that are those of the estimates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.data import load
from codesign.estimate.base import CarriedWeights, MemoryWeights, Request
from codesign.estimate.ensemble import Ensemble, Outputs, Scores, best_of, nested
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.fidelity import ScaledFidelity
from codesign.estimate.recipe import Recipe
from codesign.testing.estimator import chain_requests
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics

I64 = npt.NDArray[np.int64]

LABELS = np.random.default_rng(7).integers(3, size=40)
LABELS_TEST = np.random.default_rng(8).integers(3, size=25)


def library(seed: int, count: int) -> list[Outputs]:
    """Networks that know something of the labels, some under hardware that varies."""
    rng = np.random.default_rng(seed)

    def scores(labels: I64, draws: int) -> npt.NDArray[np.float64]:
        return rng.normal(0, 2, (draws, len(labels), 3)) + np.eye(3)[labels]

    return [Outputs(scores(LABELS, draws), scores(LABELS_TEST, draws)) for draws in rng.integers(1, 3, size=count)]


def accuracy(parts: list[npt.NDArray[np.float64]], labels: I64) -> float:
    """Of networks together, image by image and draw by draw."""
    draws, right = max(map(len, parts)), 0
    for draw in range(draws):
        for image, label in enumerate(labels):
            told = np.zeros(3)
            for scores in parts:
                powers = [np.exp(score) for score in scores[draw % len(scores)][image]]
                told += np.array(powers) / sum(powers) / len(parts)
            right += int(np.argmax(told) == label)
    return right / draws / len(labels)


@pytest.mark.parametrize("seed", range(3))
def test_each_step_adds_the_network_with_which_the_ensemble_tells_most(seed: int) -> None:
    networks = library(seed, 6)
    members: list[int] = []
    for step in nested(networks, LABELS, LABELS_TEST, most=4):
        with_each = {
            i: accuracy([networks[j].validation for j in [*members, i]], LABELS) for i in range(6) if i not in members
        }
        members.append(max(with_each, key=with_each.__getitem__))  # the first of equal ones
        assert step.members == tuple(members)
        assert step.accuracy == pytest.approx(with_each[members[-1]])
        assert step.accuracy_test == pytest.approx(accuracy([networks[j].test for j in members], LABELS_TEST))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 7))
def test_ensembles_are_nested_and_the_best_is_never_worse_than_one_network(seed: int, count: int, most: int) -> None:
    networks = library(seed, count)
    found = nested(networks, LABELS, LABELS_TEST, most=most)
    assert len(found) == min(count, most)
    assert all(later.members[: len(one.members)] == one.members for one, later in pairwise(found))
    assert len(set(found[-1].members)) == len(found)
    singles = [nested([one], LABELS, LABELS_TEST, most=1)[0].accuracy for one in networks]
    assert found[0].accuracy == pytest.approx(max(singles))
    assert best_of(found).accuracy >= max(singles) - 1e-12
    assert [one.members for one in nested(networks, LABELS, 2 - LABELS_TEST, most=most)] == [
        one.members for one in found
    ]  # test labels choose nothing


def test_of_equal_ensembles_the_smallest_is_best() -> None:
    twice = [Ensemble((0,), 0.5, 0.1), Ensemble((0, 1), 0.7, 0.2), Ensemble((0, 1, 2), 0.7, 0.9)]
    assert best_of(twice) is twice[1]


def test_confident_networks_weigh_by_their_probabilities_and_not_by_their_scores() -> None:
    """Scores of 30 and 60 are equally sure: two networks outvote one, whatever its scale."""
    sure = np.array([[[30.0, 0.0, 0.0]]])
    surer = np.array([[[0.0, 200.0, 0.0]]])
    networks = [Outputs(one, one) for one in (sure, sure, surer)]
    assert nested(networks, np.array([0]), np.array([0]), most=3)[-1].accuracy == 1.0


def test_scores_that_are_no_numbers_are_guesses() -> None:
    nothing = np.full((1, 4, 3), np.nan)
    ((_, accuracy_, accuracy_test),) = nested([Outputs(nothing, nothing)], np.zeros(4, int), np.zeros(4, int), most=1)
    assert accuracy_ == accuracy_test == pytest.approx(1 / 3)


def estimator(kind: str) -> TrainingEstimator | ScaledFidelity:
    recipe = Recipe(epochs=1, batch_size=128)
    if kind == "training":
        return TrainingEstimator(load("digits"), recipe, CarriedWeights(), draws=2)  # type: ignore[arg-type]
    return ScaledFidelity(load("digits"), recipe, CarriedWeights(), axes=["data", "resolution"], draws=2)


@pytest.mark.parametrize(("kind", "fidelity"), [("training", 1.0), ("scaled", 0.5)])
def test_outputs_are_those_behind_the_estimate(kind: str, fidelity: float) -> None:
    """Under float, integer and varying arithmetic."""
    made, data = estimator(kind), load("digits")
    asked = [one._replace(fidelity=fidelity) for one in _one_of_each_arithmetic()]
    outputs = []
    for request in asked:
        made.weights.bring("", None)  # type: ignore[union-attr]
        ((_, estimate),) = made.estimate([request])
        outputs.append(made.outputs(request))
        assert isinstance(made, Scores)
        (alone,) = nested(outputs[-1:], data.validation.labels, data.test.labels, most=1)
        assert (alone.accuracy, alone.accuracy_test) == (estimate.accuracy, estimate.accuracy_test)
        assert len(outputs[-1].test) == len(estimate.draws)


CROSSBAR = Numerics(
    8, 8, cell_bits=2, dac_bits=1, active_rows=32, adc_bits=6, conductance_sigma=0.1, array_rows=64, array_cols=64
)


def _one_of_each_arithmetic() -> list[Request]:
    """One draw in float and in integers, two of a crossbar that varies."""
    request = chain_requests()[0]
    assert CROSSBAR.is_random
    return [request._replace(numerics=numerics) for numerics in (FLOAT, Numerics(8, 8), CROSSBAR)]


def test_without_weights_there_are_no_outputs() -> None:
    made = TrainingEstimator(load("digits"), Recipe(epochs=1), MemoryWeights(), draws=1)
    with pytest.raises(SpecError, match="in the store"):
        made.outputs(chain_requests()[0])
