"""Physical laws of the CPU kernel, over a bank of layers and drawn configurations.

Exempt: more threads may be slower (a fork and join an operator, shares that wait for a slow core), and with them more
slow cores; a larger tile may be slower (edges). More memory traffic or energy may come with a faster algorithm.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.evaluate import evaluate, evaluate_pairs, layer_costs
from hwmodels.families.base import family
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.workload.ops import Constant, Precision, Row
from hwmodels.workload.rewrite import COMPILED, EAGER, rewrite
from hwmodels.workload.table import Layers, layer_table
from hwmodels.workload.zoo import network

MODEL = family("cpu")
M = {name: i for i, name in enumerate(MODEL.layer_metrics)}
FP32 = Precision(32, 32, 32)
NETWORKS = ("resnet18", "mobilenet_v2", "fbnet_s8", "shufflenet_v2_x1_0", "bert_base")


@cache
def bank() -> tuple[Row, ...]:
    """Every row of some networks, compiled and eager, in 32 and in 8 bits."""
    tables = [
        layer_table([rewrite(network(name, precision=bits), semantics)]).layers
        for name in NETWORKS
        for bits, semantics in ((FP32, EAGER), (Precision(), COMPILED))
    ]
    rows = [layers.row(i) for layers in tables for i in range(layers.kind.size)]
    return tuple(dict.fromkeys(rows))


def cost_of(rows: tuple[Row, ...], specs: list[CpuSpec]) -> np.ndarray:
    """(C, L, M)."""
    out = np.full((len(specs), len(rows), len(M)), np.nan)
    choice = np.zeros((len(specs), len(rows)), np.int16)
    MODEL.layerwise.cost(Layers.of(rows), CpuSpec.to_table(specs), np.zeros(1), out, choice)
    return out


@st.composite
def specs(draw: st.DrawFn) -> CpuSpec:
    return CpuSpec(
        big_cores=draw(st.integers(1, 16)),
        clock_hz=draw(st.floats(1e8, 4e9)),
        all_core_clock_hz=draw(st.floats(1e8, 4e9)),
        threads=draw(st.integers(0, 16)),
        simd_bits=draw(st.sampled_from([32, 128, 256, 512])),
        fma_units=draw(st.sampled_from([0.33, 1.0, 2.0])),
        half_rate=draw(st.sampled_from([1.0, 2.0])),
        int8_rate=draw(st.floats(1, 8)),
        gemm_efficiency=draw(st.floats(0.15, 1)),
        depthwise_wide_rate=draw(st.floats(0.05, 1)),
        l1_bytes=draw(st.integers(1024, 2**17)),
        l2_bytes=draw(st.sampled_from([0, 2**17, 2**20])),
        l2_shared=draw(st.booleans()),
        l3_bytes=draw(st.sampled_from([0, 2**21, 2**25])),
        core_dram_bytes_per_s=draw(st.floats(1e8, 1e11)),
        dram_bytes_per_s=draw(st.floats(1e8, 1e11)),
        overlap_norm=draw(st.floats(1, 8)),
        context=draw(st.sampled_from(["cold", "hot"])),
        layout=draw(st.sampled_from(["nchw", "nhwc", "blocked"])),
        has_direct=draw(st.booleans()),
        has_winograd=draw(st.booleans()),
        repacks_weights=draw(st.booleans()),
        flash_bytes=draw(st.sampled_from([0, 2**21])),
    )


MORE_IS_FASTER = (
    "fma_units", "l1_bytes", "l2_bytes", "l3_bytes", "l1_bytes_per_cycle", "l2_bytes_per_cycle", "l3_bytes_per_cycle",
    "core_dram_bytes_per_s", "dram_bytes_per_s", "flash_bytes_per_s", "gemm_efficiency", "depthwise_efficiency",
    "depthwise_wide_rate", "vector_efficiency", "pool_efficiency", "repack_bytes_per_s", "int8_rate", "overlap_norm",
)  # fmt: skip
MORE_IS_SLOWER = (
    "fma_latency_cycles", "tile_overhead_steps", "dispatch_s", "product_dispatch_s", "invoke_s", "barrier_s",
    "serial_fraction", "reuse_distance_bytes",
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(specs(), st.sampled_from(MORE_IS_FASTER), st.integers(2, 16))
def test_more_of_a_resource_is_never_slower(spec: CpuSpec, name: str, factor: int) -> None:
    more = min(getattr(spec, name) * factor, CpuSpec.knobs()[name].high)
    richer = spec.model_copy(update={name: type(getattr(spec, name))(more)})
    before, after = cost_of(bank(), [spec, richer])[:, :, M["latency_s"]]
    assert (after <= before * (1 + 1e-12)).all()


def test_only_windows_without_a_kernel_by_hand_pay() -> None:
    rows = tuple(row for row in bank() if row.macs > 0)
    slow = CpuSpec(depthwise_wide_rate=0.125)
    plain, wide = cost_of(rows, [CpuSpec(), slow])[:, :, M["compute_s"]]
    is_wide = np.array([row.groups == row.in_channels > 1 and row.kernel_h != 3 for row in rows])
    assert is_wide.sum() > 5
    np.testing.assert_allclose(wide[is_wide], 8 * plain[is_wide], rtol=1e-12)
    np.testing.assert_array_equal(wide[~is_wide], plain[~is_wide])


@settings(max_examples=40, deadline=None)
@given(specs(), st.sampled_from(MORE_IS_SLOWER), st.integers(2, 16))
def test_more_of_a_burden_is_never_faster(spec: CpuSpec, name: str, factor: int) -> None:
    more = min(getattr(spec, name) * factor, CpuSpec.knobs()[name].high)
    before, after = cost_of(bank(), [spec, spec.model_copy(update={name: more})])[:, :, M["latency_s"]]
    assert (after >= before * (1 - 1e-12)).all()


@settings(max_examples=30, deadline=None)
@given(specs(), st.floats(1.01, 8))
def test_a_faster_clock_is_never_slower(spec: CpuSpec, factor: float) -> None:
    update = {name: getattr(spec, name) * factor for name in ("clock_hz", "all_core_clock_hz")}
    before, after = cost_of(bank(), [spec, spec.model_copy(update=update)])[:, :, M["latency_s"]]
    assert (after <= before * (1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(specs())
def test_no_layer_beats_the_peak_or_the_memory(spec: CpuSpec) -> None:
    rows = bank()
    out = cost_of(rows, [spec])[0]
    peak = MODEL.config_metrics(CpuSpec.to_table([spec]))["peak_macs_per_s"][0]
    assert (out[:, M["latency_s"]] * peak >= out[:, M["executed_macs"]] * (1 - 1e-12)).all()
    # Whatever a layer brings from behind the caches comes at the speed of memory or flash at best.
    fastest = max(
        min(spec.core_dram_bytes_per_s * 16, spec.dram_bytes_per_s * spec.dram_efficiency), spec.flash_bytes_per_s
    )
    assert (out[:, M["latency_s"]] * fastest >= out[:, M["dram_bytes"]] * (1 - 1e-12)).all()


@settings(max_examples=30, deadline=None)
@given(specs())
def test_a_network_that_no_cache_holds_comes_from_memory(spec: CpuSpec) -> None:
    spec = spec.model_copy(update={"context": "cold", "reuse_distance_bytes": 1e15, "flash_bytes": 0})
    rows = bank()
    out = cost_of(rows, [spec])[0]
    byte = np.array([1 if row.weight_bits <= 8 else 4 for row in rows])
    weights = byte * [0 if row.dynamic_operand else row.weight_elements for row in rows]
    assert (out[:, M["dram_bytes"]] >= weights * (1 - 1e-6)).all()


@settings(max_examples=40, deadline=None)
@given(specs())
def test_every_figure_is_finite_and_the_terms_add_up(spec: CpuSpec) -> None:
    out = cost_of(bank(), [spec])[0]
    assert np.isfinite(out).all()
    assert (out >= 0).all()
    terms = sum(out[:, M[name]] for name in MODEL.energy_terms)
    np.testing.assert_allclose(out[:, M["energy_j"]], terms, rtol=1e-12)
    largest = np.maximum(out[:, M["compute_s"]], out[:, M["memory_s"]])
    beside = sum(out[:, M[name]] for name in ("vector_s", "layout_s", "overhead_s"))
    assert (out[:, M["latency_s"]] >= (largest + beside) * (1 - 1e-12)).all()
    together = out[:, M["compute_s"]] + out[:, M["memory_s"]] + beside
    assert (out[:, M["latency_s"]] <= together * (1 + 1e-12)).all()


def test_nothing_to_do_costs_nothing_and_little_costs_the_dispatch() -> None:
    constant = Constant((1, 3)).row((), (1, 3))
    assert (cost_of((constant,), [CpuSpec()]) == 0).all()
    spec = CpuSpec(threads=1, dispatch_s=1e-3)
    tiny = bank()[0]._replace(
        macs=0,
        m=0,
        n=0,
        k=0,
        weight_elements=0,
        parameters=0,
        vector_ops=1,
        input_elements=1,
        output_elements=1,
        kind=6,
    )
    assert cost_of((tiny,), [spec])[0, 0, M["latency_s"]] == pytest.approx(1e-3, rel=1e-3)


def test_costs_add_up_over_layers() -> None:
    workload = network("resnet18", precision=FP32)
    table, configs = layer_table([workload]), CpuSpec.to_table([CpuSpec()])
    zero = np.zeros(1, np.int64)
    whole = evaluate_pairs(MODEL, table, configs, network=zero, config=zero)
    layers = layer_costs(MODEL, table, configs)
    for name in ("latency_s", "energy_j", "dram_bytes"):
        assert whole.columns[name][0] == pytest.approx((table.counts()[0] * layers[name][0]).sum(), rel=1e-12)


def test_threads_and_eager_execution_do_what_they_are_told() -> None:
    compiled, eager = (rewrite(network("mobilenet_v2", precision=FP32), how) for how in (COMPILED, EAGER))
    one, four = (evaluate(compiled, MODEL, CpuSpec(threads=n)).total("latency_s") for n in (1, 4))
    assert one / 4 < four < one
    assert evaluate(eager, MODEL, CpuSpec()).total("latency_s") > evaluate(compiled, MODEL, CpuSpec()).total(
        "latency_s"
    )
    # Half of the threads on slow cores: equal shares wait for them, unequal ones do not.
    spec = CpuSpec(big_cores=2, little_cores=2, little_speed=0.25, threads=4)
    static, dynamic = (
        evaluate(compiled, MODEL, spec.model_copy(update={"scheduling": how})).total("compute_s")
        for how in ("static", "dynamic")
    )
    assert dynamic < static


def test_what_does_not_fit_is_infeasible() -> None:
    workload = rewrite(network("resnet18", precision=Precision(8, 8, 32)), COMPILED)
    fits = evaluate(workload, MODEL, CpuSpec(memory_bytes=2**24 + 2**22))
    assert fits.infeasible is None
    assert evaluate(workload, MODEL, CpuSpec(memory_bytes=2**23)).infeasible == "memory does not hold the network"
    board = CpuSpec(memory_bytes=2**22, flash_bytes=2**20)
    assert evaluate(workload, MODEL, board).infeasible == "flash does not hold the weights"
    assert evaluate(workload, MODEL, board.model_copy(update={"flash_bytes": 2**24})).infeasible is None
    assert fits.total("memory_bytes_used") == fits.total("weight_bytes") + fits.total("peak_activation_bytes")
    assert 0 < fits.total("utilisation") < 1
