"""Bits as decisions over any space: the conformance suite, groups in order, one training for all bits, a run."""

from __future__ import annotations

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
from codesign.space.mobile import MobileSpace
from codesign.space.skeleton import SKELETONS
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics

CHAIN = ChainSpace(stages=2, kernel=(3,), width=(4, 8), depth=(1, 2), stride=(1, 2), bits=(8,), input_shape=(1, 8, 8))


class TestChain(SpaceSuite):
    def make(self) -> MixedBitsSpace:
        return MixedBitsSpace(CHAIN, choices=(4, 8), groups=3)


class TestCells(SpaceSuite):
    """Cells have branches that are dropped: their layers are in no group."""

    def make(self) -> MixedBitsSpace:
        return MixedBitsSpace(
            CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8)), choices=(2, 4, 8), groups=4
        )


class TestMobile(SpaceSuite):
    points = 4

    def make(self) -> MixedBitsSpace:
        return MixedBitsSpace(
            MobileSpace(SKELETONS["small"], input_shape=(1, 8, 8), classes=10), choices=(4, 8), groups=6
        )


def test_layers_fall_into_groups_in_order() -> None:
    space = MixedBitsSpace(CHAIN, choices=(4, 8), groups=2)
    point = space.encode({gene.name: gene.choices[-1] for gene in space.genes} | {"mixed_bits0": 4, "mixed_bits1": 8})
    rows = [row for _, row in space.workload(point).rows() if row.macs]
    assert [row.weight_bits for row in rows] == [4, 4, 4, 8, 8]  # four convolutions and the classifier: i * 2 // 5
    assert all(row.activation_bits == row.weight_bits for row in rows)
    assert space.describe(point).endswith("at 4 8 bits")


def test_one_training_serves_all_bits_of_a_network() -> None:
    digits = load("digits")
    space = MixedBitsSpace(CHAIN, choices=(2, 8), groups=2)
    estimator = TrainingEstimator(digits, Recipe(epochs=2), MemoryWeights(), draws=1)
    points = [np.concatenate([np.zeros(CHAIN.n_genes, np.int64), bits]) for bits in ([0, 0], [0, 1], [1, 1])]
    requests = [Request(tuple(point), space.workload(point), Numerics(8, 8), 1.0, 0) for point in points]
    assert len({estimator.training_key(request) for request in requests}) == 1
    assert len({estimator.key(request) for request in requests}) == 3
    found = [estimate for _, estimate in estimator.estimate(requests)]
    assert [estimate.trained for estimate in found] == [True, False, False]


def test_a_run_decides_on_bits(tmp_path) -> None:
    config = parse_config(
        {
            "generations": 1, "architecture": {"space": "chain", "stages": 1, "bits": [8]}, "fast": {"pairs": 200},
            "mixed_bits": {"choices": [4, 8], "groups": 2}, "slow": {"trainings": 1, "classes": 2},
            "hardware": {"device": "rram_edge", "knobs": {"adc_bits": [6, 8]}}, "executor": {"name": "serial"},
            "estimator": {"name": "training", "draws": 1, "recipe": {"epochs": 1}},
        }
    )  # fmt: skip
    begin(config, tmp_path / "run").go()
    assert all(" bits" in pair.architecture for pair in summarise(tmp_path / "run").evaluated)


@pytest.mark.parametrize(("choices", "told"), [((8, 8), "without repeats"), ((0, 8), "1 to 32"), ((8, 64), "1 to 32")])
def test_mistakes_are_one_line(choices: tuple[int, ...], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        MixedBitsSpace(CHAIN, choices=choices, groups=2)
    with pytest.raises(SpecError, match="did you mean choices"):
        parse_config({"architecture": {"space": "chain"}, "mixed_bits": {"choice": [4, 8]}})
