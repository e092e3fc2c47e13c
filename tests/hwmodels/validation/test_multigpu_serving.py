"""Serving held to the errors that the README states."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hwmodels.validate import Score, open_tables
from hwmodels.validation.multigpu.serving import Answers, fit_factors, predicted_s, serving_scores


def test_a_fit_finds_the_factors_that_made_the_rows() -> None:
    rng = np.random.default_rng(0)
    decode, reading, rest = rng.uniform(2e-3, 2e-2, (3, 60))
    made = Answers(decode, reading, rest, rest, rest, rest)
    factors = np.array([1.2, 0.7, 6e-4])
    found = fit_factors(made._replace(measured_s=predicted_s(made, factors)))
    assert found[:2] == pytest.approx(factors[:2], rel=0.02)
    assert found[2] == pytest.approx(factors[2], rel=0.25)  # small beside a step, and drawn to what ships


@cache
def scores() -> tuple[Score, ...]:
    return tuple(serving_scores(open_tables()))


def value(group: str, protocol: str) -> float:
    if open_tables().path("gpu/llm_serving.csv.gz") is None:
        pytest.skip("CODESIGN_REFERENCE is not set")
    found = [
        one.value for one in scores()
        if (one.group, one.protocol, one.metric) == (f"{group}, token to token", protocol, "median_error")
    ]  # fmt: skip
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("group", ["all", "Llama-3.1-8B-Instruct, trtllm", "Llama-3.1-70B, vllm", "gpt-oss-120b, vllm"])
def test_token_to_token_with_nothing_fitted(group: str) -> None:
    assert value(group, "frozen") <= 25.0


@pytest.mark.parametrize("group", ["Llama-3.1-8B-Instruct, trtllm", "Llama-3.1-70B, vllm", "gpt-oss-120b, vllm"])
def test_token_to_token_after_six_runs(group: str) -> None:
    assert value(group, "few-shot-6") <= 12.0
