"""A recipe as decisions over any space: the conformance suite, one training a recipe, a run, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.data import load
from codesign.estimate.base import MemoryWeights, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.report.summary import summarise
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.space.mixed_bits import MixedBitsSpace
from codesign.space.recipe_choices import RecipeChoicesSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT

CHAIN = ChainSpace(stages=1, kernel=(3,), width=(4, 8), depth=(1,), stride=(2,), bits=(8,), input_shape=(1, 8, 8))
CHOICES = {"learning_rate": (1e-3, 1e-2), "epochs": (1, 2), "augmentation": ("none", "shift")}


class TestChain(SpaceSuite):
    def make(self) -> RecipeChoicesSpace:
        return RecipeChoicesSpace(CHAIN, CHOICES)


class TestCellsWithBits(SpaceSuite):
    def make(self) -> RecipeChoicesSpace:
        cells = CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8))
        return RecipeChoicesSpace(MixedBitsSpace(cells, choices=(4, 8), groups=2), {"epochs": (1, 2, 4)})


def test_each_recipe_is_a_training_of_its_own_and_the_one_that_it_says() -> None:
    space, base, data = RecipeChoicesSpace(CHAIN, CHOICES), Recipe(batch_size=128), load("digits")
    weights = MemoryWeights()
    estimator = TrainingEstimator(data, base, weights, draws=1, genes=space.recipe)
    for point in space.enumerate()[:8]:
        network = space.workload(point)
        request = Request(tuple(point.tolist()), network, FLOAT, 1.0, 3)
        values = {name: space.decode(point)[name] for name in CHOICES}
        alone = TrainingEstimator(data, base.model_copy(update=values), MemoryWeights(), draws=1)
        ((_, found),) = estimator.estimate([request])
        assert estimator.training_key(request) == alone.training_key(request)
        assert (found.metrics, found.key) == (alone(network, FLOAT, seed=3).metrics, found.key)
    assert len(weights) == 8


def run_file(**changes: Any) -> dict[str, Any]:
    return {
        "seed": 0,
        "generations": 1,
        "data": {"name": "digits"},
        "architecture": {"space": "chain", "stages": 1, "width": [4, 8], "depth": [1], "bits": [8]},
        "recipe_choices": {"learning_rate": [0.003, 0.01], "epochs": [1, 2]},
        "hardware": {"device": "rram_edge"},
        "objectives": ["latency_s", "energy_j"],
        "strategy": {"name": "random"},
        "fast": {"pairs": 60},
        "slow": {"trainings": 3},
        "estimator": {"name": "training", "draws": 1, "recipe": {"batch_size": 128}},
        "executor": "serial",
        **changes,
    }


def test_a_search_finds_networks_with_their_recipes(tmp_path: Path) -> None:
    begin(parse_config(run_file()), tmp_path / "run").go()
    summary = summarise(tmp_path / "run")
    assert summary.ledger.trained == 3
    assert all("learning_rate" in pair.architecture and "epochs" in pair.architecture for pair in summary.evaluated)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe_choices": {}}, "choices of learning_rate"),
        ({"recipe_choices": {"epochs": [2, 2]}}, "without repeats"),
        ({"recipe_choices": {"epoch": [1, 2]}}, "epoch"),
        ({"recipe_choices": {"augmentation": ["turn"]}}, "augmentation"),
        ({"estimator": "zero_cost"}, "trains each network"),
        ({"estimator": "none"}, "trains each network"),
        ({"estimator": {"name": "predictor", "inner": "zero_cost"}}, "inner estimator that trains"),
        ({"estimator": {"name": "training", "fidelity": ["data"]}}, "with neither"),
        ({"estimator": {"name": "training", "recipe": {"stopping": {"error": 0.5}}}}, "with neither"),
        ({"data": {"name": "digit-sequences"}, "architecture": {"space": "recurrent"},
          "recipe_choices": {"augmentation": ["none", "shift"]}}, "images of a class"),
        ({"data": {"name": "digit-sequences"}, "architecture": {"space": "recurrent"}, "recipe_choices": None,
          "estimator": {"name": "training", "recipe": {"augmentation": "flip"}}}, "images of a class"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_before_anything_is_written(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        begin(parse_config(run_file(**changes)), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_name_of_the_space_is_taken() -> None:
    with pytest.raises(SpecError, match="no decision of the space"):
        RecipeChoicesSpace(RecipeChoicesSpace(CHAIN, {"epochs": (1, 2)}), {"epochs": (1, 2)})
    assert np.array_equal(
        RecipeChoicesSpace(CHAIN, CHOICES).networks(np.arange(8)[None]), np.arange(CHAIN.n_genes)[None]
    )
