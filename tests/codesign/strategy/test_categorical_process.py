"""BoTorch's process over choices: its covariance, what it learns, and a search with it; refused where it is missing."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import codesign.strategy.categorical_process as module
from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Space
from codesign.strategy.base import Problem, Strategy
from codesign.strategy.categorical_process import CategoricalProcess
from codesign.strategy.model_based import one_hot
from codesign.testing.strategy import StrategySuite
from hwmodels.errors import SpecError

SPACE = Space([Gene("a", (0, 1, 2)), Gene("b", (0, 1)), Gene("c", (0, 1, 2, 3))])
needs_botorch = pytest.mark.skipif(importlib.util.find_spec("botorch") is None, reason="BoTorch is not installed")


def fitted(first: int = 0) -> tuple[CategoricalProcess, np.ndarray, np.ndarray]:
    """The process, all points as one-hot genes, and errors that gene a alone decides."""
    points = SPACE.enumerate()
    x = one_hot(points, SPACE.cardinalities)
    errors = (points[:, 0] - 1.0) * np.sqrt(1.5)
    return CategoricalProcess(SPACE.cardinalities), x[first:], errors[first:]


def test_it_says_that_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"pip install 'codesign\[bayesian\]'"):
        CategoricalProcess(SPACE.cardinalities)


@needs_botorch
def test_genes_are_read_back_from_their_columns() -> None:
    process, x, _ = fitted()
    assert np.array_equal(process._choices(x).numpy(), SPACE.enumerate())


@needs_botorch
def test_the_covariance_is_that_of_the_docstring() -> None:
    process, x, errors = fitted()
    model = process._process(x, errors)
    lengths = np.array([0.3, 1.0, 2.0])
    import torch

    model.covar_module.base_kernel.lengthscale = torch.from_numpy(lengths)
    model.covar_module.outputscale = 1.7
    points = SPACE.enumerate()
    differs = points[:, None] != points[None]
    expected = 1.7 * np.exp(-(differs / lengths).mean(axis=2))
    found = model.covar_module(process._choices(x)).to_dense().detach().numpy()
    assert found == pytest.approx(expected)


@needs_botorch
def test_the_gene_that_decides_has_the_least_length_and_the_rest_is_predicted() -> None:
    process, x, errors = fitted()
    known = np.random.default_rng(0).permutation(len(x))[:14]
    predict = process((x[known], errors[known]), (x[known], errors[known]))
    assert process._chosen is not None
    lengths = process._chosen[1]["covar_module.base_kernel.raw_lengthscale"].numpy().reshape(-1)
    assert lengths.argmin() == 0
    mean, deviation = predict(x)
    assert np.abs(mean - errors).max() < 0.5
    assert (deviation > 0).all()


@needs_botorch
def test_what_is_known_later_conditions_and_does_not_choose() -> None:
    process, x, errors = fitted()
    basis = (x[::3], errors[::3])
    process(basis, basis)
    assert process._chosen is not None
    chosen = process._chosen[1]
    before = process(basis, basis)(x)[1]
    after = process(basis, (x, errors))(x)[1]
    assert process._chosen[1] is chosen
    assert (after < before).mean() > 0.9


@needs_botorch
class TestBotorch(StrategySuite):
    def strategy(self, problem: Problem) -> Strategy:
        section = {"name": "bayesian", "process": "botorch", "initial": 4, "candidates": 20, "most": 12}
        return STRATEGIES.parse(section, "strategy").make(problem)
