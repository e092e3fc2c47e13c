"""Recurrent networks: the conformance suite, counts by formula, both directions as torch has them, and training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.network import to_module
from codesign.registry import SPACES
from codesign.space.recurrent import RecurrentSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision


class TestSequences(SpaceSuite):
    def make(self) -> RecurrentSpace:
        return RecurrentSpace(input_shape=(5, 3))


class TestRows(SpaceSuite):
    def make(self) -> RecurrentSpace:
        return RecurrentSpace(input_shape=(2, 4, 3), cell=("rnn", "gru"))


def test_counts_are_those_of_the_cells() -> None:
    # LSTM: 4 (h (x + h) + 2 h); both directions of 8 see 3 features, then 16; classifier 16 x 10 + 10.
    space = RecurrentSpace(cell=("lstm",), depth=(2,), width=(16,), directions=(2,), input_shape=(5, 3))
    found = space.workload(np.zeros(space.n_genes, np.int64))
    assert found.parameters == 2 * 4 * (8 * (3 + 8) + 16) + 2 * 4 * (8 * (16 + 8) + 16) + 170
    assert space.describe(np.zeros(space.n_genes, np.int64)) == "bi-lstm 16 16"


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_both_directions_are_torchs_bidirectional_layer(cell: str) -> None:
    space = RecurrentSpace(cell=(cell,), depth=(1,), width=(8,), directions=(2,), input_shape=(5, 3))
    module = to_module(space.workload(np.zeros(space.n_genes, np.int64)))
    layers = [layer.cell for layer in module.layers.values() if hasattr(layer, "cell")]
    whole = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell](
        3, 4, batch_first=True, bidirectional=True
    )
    with torch.no_grad():
        for name, value in layers[0].named_parameters():
            getattr(whole, name).copy_(value)
        for name, value in layers[1].named_parameters():
            getattr(whole, f"{name}_reverse").copy_(value)
        x = torch.randn(2, 5, 3)
        states = whole(x)[0]
        expected = module.layers[list(module.layers)[-1]](torch.cat([states[:, -1, :4], states[:, 0, 4:]], 1))
        assert torch.allclose(module(x), expected, atol=1e-6)


def test_the_digits_are_learned_row_by_row() -> None:
    digits = load("digits")
    settings = {"space": "recurrent", "cell": ["gru"], "depth": [1], "width": [32], "directions": [1]}
    space = SPACES.parse(settings, "run").make(digits)
    space.precision = Precision(32, 32)
    workload = space.workload(np.zeros(space.n_genes, np.int64))
    assert [node.shape for node in workload][2] == (1, 8, 8)
    found = TrainingEstimator(digits, Recipe(epochs=10), MemoryWeights(), draws=1)(workload, FLOAT)
    assert found.accuracy > 0.6


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(SpecError, match="did you mean lstm"):
        RecurrentSpace(cell=("lst",))
    with pytest.raises(SpecError, match="even"):
        RecurrentSpace(width=(16, 9))
    assert RecurrentSpace(width=(9,), directions=(1,)).size == 4
