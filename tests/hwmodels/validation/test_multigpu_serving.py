"""Serving held to the errors that the README states."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

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


def test_rows_of_unknown_models_and_systems_are_left_out_by_name(tmp_path: Path) -> None:
    names = ("backend", "model_path", "system", "gemm_quant_mode", "isl", "osl", "batch_size", "tp_size", "pp_size",
             "moe_ep_size", "silicon_ttft_ms", "silicon_tpot_ms")  # fmt: skip
    llama = "meta-llama/Llama-3.1-8B-Instruct"
    rows = [
        ("vllm", llama, "h100_sxm", "", 128, 16, 2, 1, 1, 1, 30.0, 8.0),
        ("vllm", llama, "h100_sxm", "int3", 128, 16, 2, 1, 1, 1, 30.0, 8.0),
        ("vllm", llama, "tpu_v9", "", 128, 16, 2, 1, 1, 1, 30.0, 8.0),
        ("vllm", "nobody/model", "h100_sxm", "", 128, 16, 2, 1, 1, 1, 30.0, 8.0),
    ]
    (tmp_path / "gpu").mkdir()
    lines = "\n".join(",".join(map(str, row)) for row in (names, *rows))
    (tmp_path / "gpu" / "llm_serving.csv.gz").write_bytes(gzip.compress(lines.encode()))
    found = serving_scores(open_tables(tmp_path))
    assert {score.rows for score in found} == {1}
    assert all(score.skipped == {"format": 1, "system": 1, "model": 1} for score in found)


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
