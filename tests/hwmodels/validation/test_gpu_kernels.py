"""Kernel tables of whole GPUs: fits that a GPU gave no row to, held to the errors that the README states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hwmodels.validate import ReferenceTables, open_tables, score
from hwmodels.validation.gpu import attention, experts, language_layers, products
from hwmodels.validation.gpu.baselines import four_constants, macs_at_best_rate, roofline
from hwmodels.validation.gpu.protocols import few_shot, held_scores, leave_out, mean_scores, predict
from hwmodels.validation.gpu.shared_fit import Case, case_of, fit_shared, seconds, with_constants
from hwmodels.workload.ops import Kind

MADE = {"mac_efficiency": 0.6, "launch_cycles": 9000.0, "dram_efficiency": 0.5}
SHAPES = [(m, n, k) for m in (1, 64, 512, 4096) for n in (256, 1024, 8192) for k in (512, 4096)]


def made_case(name: str = "a100_80_sxm") -> Case:
    """Products that take what the model says with constants of its own."""
    rows = [[products.product_row(*shape, "bf16")] for shape in SHAPES]
    case = case_of(name, products.gpu_spec(name), rows, np.ones(len(SHAPES)))
    return case._replace(measured=seconds(with_constants(case, MADE), {})[0])


def test_a_fit_finds_the_constants_that_made_the_rows() -> None:
    found = fit_shared([made_case()], tuple(MADE))
    assert found == {name: pytest.approx(value, rel=0.05) for name, value in MADE.items()}


def test_a_device_that_is_left_out_gives_no_row() -> None:
    """Its measurements may be anything: the constants stay."""
    cases = [made_case(), made_case("l40s"), made_case("h100_sxm")]
    spoiled = [cases[0]._replace(measured=cases[0].measured * np.arange(1, len(SHAPES) + 1)), *cases[1:]]
    first, second = (leave_out(some, tuple(MADE))[cases[0].name] for some in (cases, spoiled))
    assert first[1] == second[1]
    assert np.array_equal(first[0].predicted, second[0].predicted)
    np.testing.assert_allclose(first[0].predicted, cases[0].measured, rtol=0.02)
    assert "a100" not in first[0].fitted_on


def test_thirty_rows_are_not_scored() -> None:
    rows = [[products.product_row(m, 64, 64, "bf16")] for m in range(1, 61)]
    case = case_of("a100", products.gpu_spec("a100_80_sxm"), rows, np.linspace(1, 2, 60) * 1e-6)
    for held in few_shot(case, {}, ("launch_s", "launch_cycles")):
        assert held.case.measured.size == held.predicted.size == 30


def test_scores_are_means_over_draws_and_devices() -> None:
    held = leave_out([made_case(), made_case("l40s")], tuple(MADE), law=True)
    found = [s for one, _ in held.values() for s in held_scores("set", one.case.name, "leave-one-out", [one], 99, {})]
    assert {one.metric for one in found} == {"mape", "median_error", "p90_error"}
    mean = next(one for one in mean_scores(found, "mean") if one.metric == "mape")
    assert mean.value == pytest.approx(np.mean([one.value for one in found if one.metric == "mape"]))
    assert set(mean.baseline or {}) == {"MACs at the best rate", "roofline and launch", "law of 4 constants"}


def test_baselines_say_what_they_are() -> None:
    case = made_case()
    macs = np.array([m * n * k for m, n, k in SHAPES])
    np.testing.assert_allclose(macs_at_best_rate(case) / macs, (macs_at_best_rate(case) / macs)[0])
    m, n, k = SHAPES[-1]
    spec = products.gpu_spec("a100_80_sxm")
    expected = max(2 * m * n * k / 312e12, 2 * (m * k + n * k + m * n) / spec.dram_bytes_per_s) + 3e-6
    assert roofline(case)[-1] == pytest.approx(expected, rel=0.01)
    doubled = case._replace(measured=2 * roofline(case))
    assert score("mape", four_constants([doubled])(doubled), doubled.measured) < 15


def test_attention_rows_count_heads_tokens_and_keys() -> None:
    row = attention.attention_row(4, 32, 8, 128, tokens=10, keys=100, window=64)
    assert (row.groups, row.m, row.n, row.k) == (32, 40, 100, 256)
    assert row.macs == 4 * 32 * 10 * 100 * 256
    assert (row.query_heads, row.causal, row.window, row.kind) == (4, 1, 64, Kind.ATTENTION)


# Held against the published tables.


@pytest.fixture(scope="module")
def tables() -> ReferenceTables:
    found = open_tables()
    if found.path("gpu/gemm_tensor_kernels.csv.gz") is None:
        pytest.skip("CODESIGN_REFERENCE does not hold the kernel tables")
    return found


@pytest.fixture(scope="module")
def products_left_out(tables: ReferenceTables) -> dict[str, tuple[float, float, dict[str, float]]]:
    """By GPU: mean and median error of bf16 products, and the constants behind them."""
    found = products.bf16_left_out(tables)
    return {
        name: (
            score("mape", held.predicted, held.case.measured),
            score("median_error", held.predicted, held.case.measured),
            constants,
        )
        for name, (held, constants) in found.items()
    }


def mean_error(cases: Sequence[Case], names: Sequence[str], **how: object) -> list[float]:
    left = leave_out(cases, names, **how)  # type: ignore[arg-type]
    return [score("mape", left[case.name][0].predicted, case.measured) for case in cases]


def test_bf16_products_of_a_gpu_that_was_left_out(products_left_out: dict[str, tuple[float, float, dict]]) -> None:
    errors, medians = zip(*(found[:2] for found in products_left_out.values()), strict=True)
    assert np.mean(errors) <= 12
    assert np.mean(medians) <= 9
    assert max(errors) <= 14.5


def test_fp8_products_by_the_rules_of_their_library(
    tables: ReferenceTables, products_left_out: dict[str, tuple[float, float, dict]]
) -> None:
    for case in products.fp8_cases(tables.rows("gpu/gemm_tensor_kernels.csv.gz") or []):
        constants = products_left_out[case.name][2]
        ruled = score("mape", predict(case, constants), case.measured)
        free = with_constants(case, {"product_kernels": "fastest"})  # type: ignore[dict-item]
        assert ruled <= {"h100_sxm": 22, "l40s": 28}[case.name]
        assert ruled < score("mape", predict(free, constants), case.measured)


@pytest.mark.parametrize(("phase", "bar"), [("prefill", 22), ("decode", 16)])
def test_attention_of_a_gpu_that_was_left_out(
    tables: ReferenceTables, products_left_out: dict[str, tuple[float, float, dict]], phase: attention.Phase, bar: float
) -> None:
    cases = attention.attention_cases(tables.rows(f"gpu/attention_{phase}_kernels.csv.gz") or [], phase)
    base = {name: found[2] for name, found in products_left_out.items()}
    assert np.mean(mean_error(cases, attention.CONSTANTS[phase], base=base)) <= bar


def test_experts_of_a_gpu_that_was_left_out(
    tables: ReferenceTables, products_left_out: dict[str, tuple[float, float, dict]]
) -> None:
    cases = experts.expert_cases(tables.rows("gpu/moe_kernels.csv.gz") or [], "bfloat16")
    base = {name: found[2] for name, found in products_left_out.items()}
    h100, l40s = mean_error(cases, experts.CONSTANTS, base=base)
    assert h100 <= 17
    assert l40s <= 21


def test_float32_kernels_of_a_generation_that_was_left_out(tables: ReferenceTables) -> None:
    rows = tables.rows("gpu/vector_fp32_kernels.csv") or []
    errors = mean_error(products.vector_cases(rows), products.VECTOR_CONSTANTS, groups=products.FP32_GROUPS)
    assert max(errors) <= 25


def test_language_models_are_read_layer_by_layer(tables: ReferenceTables) -> None:
    line = {
        "num_tokens": "16", "num_tensor_parallel_workers": "2", "n_head": "32", "n_kv_head": "8", "n_embd": "4096",
        "n_expanded_embd": "14336", "use_gated_mlp": "True",
    }  # fmt: skip
    assert language_layers._shapes(line) == {
        "attn_pre_proj_ms": (16, (16 + 2 * 4) * 128, 4096), "attn_post_proj_ms": (16, 4096, 2048),
        "mlp_up_proj_ms": (16, 14336, 4096), "mlp_down_proj_ms": (16, 4096, 7168),
    }  # fmt: skip
