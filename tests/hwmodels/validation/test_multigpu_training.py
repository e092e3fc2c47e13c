"""Training of transformers held to the errors that the README states; a fit finds the factors of its rows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hwmodels.validate import Score, open_tables
from hwmodels.validation.multigpu.fsdp import Runs, fit_factors, fsdp_scores, steps_s
from hwmodels.validation.multigpu.training import training_scores


def test_a_fit_finds_the_factors_that_made_the_rows() -> None:
    rng = np.random.default_rng(0)
    made, parts = np.array([1.2, 2.0, 1.5, 1.7, 0.4]), rng.random((40, 5))
    runs = Runs(parts, parts @ made, np.full(40, 50.0))
    assert fit_factors(runs) == pytest.approx(made, rel=1e-3)
    assert steps_s(runs, made) == pytest.approx(runs.measured_s)


@cache
def scores() -> tuple[Score, ...]:
    tables = open_tables()
    return (*training_scores(tables), *fsdp_scores(tables))


def value(name: str, group: str, metric: str, protocol: str = "frozen") -> float:
    if open_tables().path(f"gpu/{name}.csv") is None:
        pytest.skip("CODESIGN_REFERENCE is not set")
    found = [
        one.value for one in scores()
        if (one.set, one.group, one.metric, one.protocol) == (name, group, metric, protocol)
    ]  # fmt: skip
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("name", "group", "mean", "worst"),
    [
        ("korthikanti22_table5", "all", 5.0, 10.0),
        ("megatron_sc21_table1", "fastest plan that fits", 8.0, 15.0),
        ("megatron_sc21_table2", "tensor, stages and data", 8.0, 15.0),
    ],
)
@pytest.mark.parametrize("kernels", ["", ", kernels by llm_layer_a100"])
def test_iterations_of_megatron(name: str, group: str, mean: float, worst: float, kernels: str) -> None:
    assert value(name, group + kernels, "mape") <= mean
    assert value(name, group + kernels, "max_error") <= worst


def test_tuned_runs_that_gave_no_row() -> None:
    assert value("megatron_bridge_training", "all", "mape") <= 12.0


def test_memory_is_the_formula_and_the_published_sum() -> None:
    assert value("korthikanti22_memory_GiB", "activations", "max_error") < 1e-9
    assert value("korthikanti22_memory_GiB", "parameters and optimiser", "max_error") <= 2.0


def test_fully_sharded_runs_of_another_gpu() -> None:
    """The bar is 2.5 points: A100 80 GB meets it by a hundredth, so that another optimiser of the fit may miss it by as
    much; H100 misses it frozen, as the README says, and six runs suffice."""
    assert value("llmfoundry_fsdp_training", "a100_80gb", "mean_absolute_error") <= 2.6
    assert value("llmfoundry_fsdp_training", "h100_80gb fp8", "mean_absolute_error") <= 5.5
    assert value("llmfoundry_fsdp_training", "h100_80gb", "mean_absolute_error", "few-shot-6") <= 2.5
