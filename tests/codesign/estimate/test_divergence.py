"""Numbers that are not finite: an accuracy of chance, wherever they come from, and a search that ends all the same."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import codesign
from codesign.data import load
from codesign.estimate.base import Estimate, MemoryWeights, Request
from codesign.estimate.divergence import Diverged, require_finite
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.estimate.tradeoff import image_network
from codesign.estimate.train import pack, unpack
from codesign.two_level.loop import run_search
from hwmodels.numerics import FLOAT, Numerics
from tests.codesign.toys import FormulaEstimator, toy_search

DIGITS = load("digits")
NETWORK = image_network(DIGITS.shape, DIGITS.classes, widths=(4,), bits=32)
CROSSBAR = Numerics(8, 8, adc_bits=5, cell_bits=2, dac_bits=1, active_rows=64, array_rows=64)


def estimator_with(change) -> TrainingEstimator:
    """An estimator whose store holds a training with changed weights."""
    weights = MemoryWeights()
    estimator = TrainingEstimator(DIGITS, Recipe(epochs=1, batch_size=256), weights, draws=2)
    estimator(NETWORK, FLOAT)
    key = estimator.training_key(Request((), NETWORK, FLOAT, 1.0, 0))
    state = {name: np.array(value) for name, value in unpack(weights.get(key) or b"").items()}
    change(state)
    weights.put(key, pack(state), 0.0)
    return estimator


def nan_everywhere(state) -> None:
    for name, value in state.items():
        if value.dtype.kind == "f":
            state[name] = np.full_like(value, np.nan)


def one_infinity(state) -> None:
    name = next(name for name, value in state.items() if value.ndim > 1)
    state[name].flat[0] = np.inf


def overflowing(state) -> None:
    for name, value in state.items():
        if value.ndim > 1:
            state[name] = np.full_like(value, 3e38)


@pytest.mark.parametrize("change", [nan_everywhere, one_infinity, overflowing])
@pytest.mark.parametrize("numerics", [FLOAT, Numerics(8, 8), CROSSBAR], ids=["float", "integer", "crossbar"])
def test_weights_that_are_not_finite_or_overflow_give_chance(change, numerics) -> None:
    found = estimator_with(change)(NETWORK, numerics)
    assert found.diverged
    assert found.accuracy == pytest.approx(0.1)
    assert found.accuracy_test == pytest.approx(0.1)
    assert found.error == pytest.approx(0.9)
    assert found.spread == 0.0


def test_healthy_weights_are_not_called_diverged() -> None:
    found = estimator_with(lambda state: None)(NETWORK, Numerics(8, 8))
    assert not found.diverged


def test_a_training_at_an_absurd_rate_ends_with_chance() -> None:
    recipe = Recipe(epochs=2, batch_size=64, optimiser="sgd", learning_rate=1e30)
    found = TrainingEstimator(DIGITS, recipe, MemoryWeights(), draws=1)(NETWORK, CROSSBAR)
    assert (found.diverged, found.accuracy) == (True, pytest.approx(0.1))


def test_whole_numbers_are_finite() -> None:
    require_finite([torch.zeros(2, dtype=torch.int64), torch.ones(2)])
    with pytest.raises(Diverged):
        require_finite([torch.ones(2), torch.tensor([math.inf])])


class Unsure(FormulaEstimator):
    """A plug-in whose error is no number for the smaller networks."""

    def one(self, request):
        found = super().one(request)
        if request.workload.macs < 60_000:
            return Estimate(math.nan, math.nan, {"accuracy": math.nan}, found.fidelity, found.key)
        return found


def test_the_search_goes_on_where_an_estimator_answers_no_number(new_store) -> None:
    outcome = run_search(toy_search(estimator=Unsure(), trainings=6), new_store("run"))
    assert outcome.ledger.diverged > 0
    assert all(math.isfinite(member.estimate.error) for member in outcome.archive.members)


def test_a_search_of_diverging_trainings_is_reported_and_told(run, tmp_path) -> None:
    config = {
        "generations": 2,
        "architecture": {"space": "chain", "stages": 2, "width": [4, 8], "kernel": [1, 3], "bits": [8]},
        "hardware": {"device": "rram_edge", "knobs": {"adc_bits": [5, 7]}},
        "objectives": ["energy_j"],
        "fast": {"pairs": 40},
        "slow": {"trainings": 1, "classes": 2},
        "estimator": {"draws": 1, "recipe": {"epochs": 1, "optimiser": "sgd", "learning_rate": 1e30}},
        "executor": {"name": "serial", "portable": False},
    }
    summary = codesign.search(config, tmp_path / "run")
    ledger = summary.ledger
    assert ledger.diverged == ledger.estimates > 0
    assert summary.front
    assert {pair.objectives["accuracy"] for pair in summary.front} == {0.1}
    code, out, err = run("resume", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(out)["diverged"] == ledger.diverged
    assert "accuracies count as chance: diverged" in err
    assert "accuracies that are chance" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
