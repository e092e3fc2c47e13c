"""Physical laws of the GPU kernel, over a bank of layers and drawn configurations.

Exempt: a faster clock where the power limit binds, and more of a memory where it makes another tile faster that draws
more power; both may cost up to the accuracy of the clock's fixed point. Tests of resources set no power limit.
Images in NCHW, whose fastest product is chosen before its operands are reordered: another choice may cost a per mille.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.gpu.explain import explain
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.validation.gpu.attention import attention_row
from hwmodels.validation.gpu.products import product_row
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Attention, Constant, Kind, Precision, Row
from hwmodels.workload.rewrite import COMPILED, EAGER, Semantics, rewrite
from hwmodels.workload.table import Layers, layer_table
from hwmodels.workload.zoo import network

MODEL = family("gpu")
M = {name: i for i, name in enumerate(MODEL.layer_metrics)}
HALF = Precision(16, 16)
UNLIMITED = 1e6


@cache
def bank() -> tuple[Row, ...]:
    """Rows of some networks, compiled and eager, in 32 and 16 bits, with attention in one kernel beside."""
    fused = Semantics(drop_dead_branches=True, fuse_norm_activation=True, fuse_attention=True)
    tables = [
        layer_table([rewrite(network(name, precision=precision), how)]).layers
        for name in ("resnet18", "mobilenet_v2", "gpt2", "gpt2_decode")
        for precision, how in ((Precision(32, 32), EAGER), (HALF, fused))
    ]
    return tuple(dict.fromkeys(layers.row(i) for layers in tables for i in range(layers.kind.size)))


def cost_of(rows: tuple[Row, ...], specs: list[GpuSpec]) -> np.ndarray:
    """(C, L, M)."""
    out = np.full((len(specs), len(rows), len(M)), np.nan)
    choice = np.zeros((len(specs), len(rows)), np.int16)
    MODEL.layerwise.cost(Layers.of(rows), GpuSpec.to_table(specs), np.zeros(1), out, choice)
    return out


@st.composite
def specs(draw: st.DrawFn) -> GpuSpec:
    return GpuSpec(
        sms=draw(st.integers(1, 200)),
        clock_hz=draw(st.floats(3e8, 3e9)),
        sustained_clock_hz=draw(st.sampled_from([0.0, 1e9])),
        tensor_fp16_macs_per_cycle=draw(st.sampled_from([0.0, 512.0, 2048.0])),
        fp16_macs_per_cycle=draw(st.sampled_from([0.0, 128.0])),
        persistent_kernels=draw(st.booleans()),
        channel_pack=draw(st.sampled_from([1, 4])),
        l2_bytes=draw(st.sampled_from([2**18, 2**22, 2**26])),
        l2_partitions=draw(st.integers(1, 2)),
        l2_bytes_per_cycle=draw(st.floats(64, 8192)),
        dram_bytes_per_s=draw(st.floats(1e10, 4e12)),
        attention_kernels=draw(st.sampled_from(["flash2", "flash3"])),
        overlap_norm=draw(st.floats(1, 8)),
        context=draw(st.sampled_from(["cold", "hot"])),
        layout=draw(st.sampled_from(["nchw", "nhwc"])),
        has_winograd=draw(st.booleans()),
        tdp_w=draw(st.sampled_from([90.0, 400.0, UNLIMITED])),
        voltage_exponent=draw(st.sampled_from([0.0, 1.0, 2.0])),
    )


MORE_IS_FASTER = (
    "mac_efficiency", "feed_bytes_per_mac", "epilogue_elements_per_cycle", "vector_mac_efficiency",
    "vector_feed_bytes_per_mac", "l2_bytes_per_cycle", "l2_multicast", "l2_efficiency", "dram_bytes_per_s",
    "dram_efficiency", "stream_efficiency", "reduction_efficiency", "vector_efficiency", "pool_efficiency",
    "depthwise_efficiency", "gather_efficiency", "attention_mac_efficiency", "attention_dram_efficiency",
    "attention_l2_efficiency", "special_ops_per_cycle", "overlap_norm", "clock_hz", "residency",
)  # fmt: skip
MORE_IS_SLOWER = (
    "latency_cycles_per_k", "tile_overhead_cycles", "vector_latency_cycles_per_k", "vector_tile_overhead_cycles",
    "split_s", "launch_s", "launch_cycles", "invoke_s", "reuse_distance_bytes", "attention_softmax_cost",
    "attention_overhead_cycles", "attention_launch_ratio", "decode_block_cycles", "decode_overhead_cycles",
    "decode_part_cycles", "decode_combine_s", "decode_copy_ratio", "expert_launch_ratio", "stream_launch_ratio",
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(specs(), st.sampled_from(MORE_IS_FASTER), st.integers(2, 8))
def test_more_of_a_resource_is_never_slower(spec: GpuSpec, name: str, factor: int) -> None:
    spec = spec.model_copy(update={"tdp_w": UNLIMITED, "layout": "nhwc"})
    more = min(getattr(spec, name) * factor, GpuSpec.knobs()[name].high)
    before, after = cost_of(bank(), [spec, spec.model_copy(update={name: float(more)})])[:, :, M["kernels_s"]]
    assert (after <= before * (1 + 1e-9)).all()


@settings(max_examples=40, deadline=None)
@given(specs(), st.sampled_from(MORE_IS_SLOWER), st.integers(2, 8))
def test_more_of_a_burden_is_never_faster(spec: GpuSpec, name: str, factor: int) -> None:
    spec = spec.model_copy(update={"tdp_w": UNLIMITED, "layout": "nhwc"})
    more = min(getattr(spec, name) * factor, GpuSpec.knobs()[name].high)
    before, after = cost_of(bank(), [spec, spec.model_copy(update={name: more})])[:, :, M["kernels_s"]]
    assert (after >= before * (1 - 1e-9)).all()


@settings(max_examples=30, deadline=None)
@given(specs(), st.floats(1.1, 4))
def test_more_power_is_never_slower_and_less_never_breaks_the_limit(spec: GpuSpec, factor: float) -> None:
    richer = spec.model_copy(update={"tdp_w": spec.tdp_w * factor})
    before, after = cost_of(bank(), [spec, richer])
    assert (after[:, M["kernels_s"]] <= before[:, M["kernels_s"]] * (1 + 1e-9)).all()
    seconds = before[:, M["kernels_s"]]
    power = np.divide(before[:, M["dynamic_j"]], seconds, out=np.zeros_like(seconds), where=seconds > 0)
    share = np.array([explain(row, spec).get("clock_share", 1.0) for row in bank()])
    met = power <= (spec.tdp_w - spec.idle_w) * (1 + 1e-6)
    assert (met | (share <= 1e-3)).all()  # the clock never falls below a thousandth


@settings(max_examples=60, deadline=None)
@given(specs())
def test_no_layer_beats_the_peak_or_the_memory_and_terms_add_up(spec: GpuSpec) -> None:
    out = cost_of(bank(), [spec])[0]
    assert np.isfinite(out).all()
    assert (out >= 0).all()
    peak = MODEL.config_metrics(GpuSpec.to_table([spec]))["peak_macs_per_s"][0]
    seconds = out[:, M["kernels_s"]]
    assert (seconds * peak >= out[:, M["executed_macs"]] * (1 - 1e-9)).all()
    assert (seconds * spec.dram_bytes_per_s >= out[:, M["dram_bytes"]] * (1 - 1e-9)).all()
    parts = sum(out[:, M[name]] for name in ("mac_j", "vector_j", "cache_j", "dram_j"))
    np.testing.assert_allclose(out[:, M["dynamic_j"]], parts, rtol=1e-12)
    largest = np.maximum.reduce([out[:, M[name]] for name in ("compute_s", "cache_s", "dram_s")])
    assert (seconds >= (largest + out[:, M["overhead_s"]]) * (1 - 1e-12)).all()


@settings(max_examples=20, deadline=None)
@given(specs())
def test_weights_that_no_cache_holds_come_from_memory(spec: GpuSpec) -> None:
    spec = spec.model_copy(update={"context": "cold", "reuse_distance_bytes": 1e15})
    rows = tuple(row for row in bank() if row.macs and not row.dynamic_operand)
    out = cost_of(rows, [spec])[0]
    weights = np.array([row.weight_elements * row.weight_bits / 8 for row in rows])
    assert (out[:, M["dram_bytes"]] >= weights * (1 - 1e-9)).all()


def test_nothing_to_do_costs_nothing_and_little_costs_a_launch() -> None:
    constant = Constant((1, 3)).row((), (1, 3))
    assert (cost_of((constant,), [GpuSpec()]) == 0).all()
    spec = GpuSpec(launch_s=1e-3)
    tiny = Row(kind=7, vector_ops=1, input_elements=1, output_elements=1)
    assert cost_of((tiny,), [spec])[0, 0, M["kernels_s"]] == pytest.approx(1e-3 * spec.stream_launch_ratio, rel=0.01)


def test_a_product_climbs_a_staircase_of_waves() -> None:
    """One row of tiles more than fills the chip costs far more than the last one that fits."""
    spec = GpuSpec(tail_share=1.0, tdp_w=UNLIMITED)
    rows = tuple(product_row(m, 128 * 108, 4096, "bf16") for m in (100, 128, 129, 256))
    seconds = cost_of(rows, [spec])[0, :, M["kernels_s"]]
    assert seconds[1] < 1.05 * seconds[0]
    assert seconds[2] > 1.2 * seconds[1]
    assert seconds[3] < 1.25 * seconds[2]


def test_an_eager_network_takes_the_longer_of_kernels_and_enqueues() -> None:
    workload = rewrite(network("resnet18", precision=HALF), EAGER)
    spec = GpuSpec()
    fast, slow = (evaluate(workload, MODEL, spec.model_copy(update={"enqueue_s": s})) for s in (0.0, 50e-6))
    assert fast.total("latency_s") == fast.total("kernels_s") > fast.total("host_s")
    assert slow.total("latency_s") == slow.total("host_s") > slow.total("kernels_s")
    assert slow.total("host_s") == pytest.approx(50e-6 * slow.total("kernels") + spec.invoke_s)
    assert slow.total("static_j") == pytest.approx(spec.idle_w * slow.total("latency_s"))
    assert slow.total("energy_j") > fast.total("energy_j")


def test_what_does_not_fit_is_infeasible_and_says_how_much_it_takes() -> None:
    workload = rewrite(network("resnet18", precision=HALF), COMPILED)
    fits = evaluate(workload, MODEL, GpuSpec())
    used = sum(fits.total(n) for n in ("weight_bytes", "peak_activation_bytes", "kv_cache_bytes", "workspace_bytes"))
    assert fits.infeasible is None
    assert fits.total("memory_bytes_used") == used
    full = evaluate(workload, MODEL, GpuSpec(memory_bytes=used * 0.99))
    assert full.infeasible == "memory does not hold the network"
    assert full.total("memory_bytes_used") == used


def test_winograd_executes_fewer_macs_on_vector_units_alone() -> None:
    net = Builder("conv", (32, 256, 28, 28), precision=Precision(32, 32))
    workload = rewrite(net.finish(net.conv_norm_act(net.input, 256, 3)), COMPILED)
    vector, tensor = (evaluate(workload, MODEL, GpuSpec(allow_tf32=tf32)) for tf32 in (False, True))
    assert vector.total("executed_macs") < 0.5 * vector.total("macs")
    assert tensor.total("executed_macs") == tensor.total("macs")
    assert tensor.total("latency_s") < vector.total("latency_s")


def test_rows_that_are_no_multiple_of_16_bytes_are_slower_on_tensor_units_alone() -> None:
    spec = GpuSpec(tdp_w=UNLIMITED)
    for number_format, slower in (("bf16", True), ("fp32", False)):
        rows = tuple(product_row(4096, 4096, k, number_format) for k in (4096, 4095))
        aligned, odd = cost_of(rows, [spec])[0, :, M["compute_s"]]
        assert (odd > 1.5 * aligned) == slower


def test_attention_leaves_out_what_the_mask_hides_and_shares_keys() -> None:
    spec = GpuSpec()
    whole = attention_row(1, 32, 32, 128, tokens=4096, keys=4096)
    rows = (whole._replace(causal=0), whole, whole._replace(window=256))
    full, causal, window = cost_of(rows, [spec])[0]
    assert causal[M["executed_macs"]] == pytest.approx(full[M["executed_macs"]] / 2, rel=0.05)
    assert window[M["kernels_s"]] < causal[M["kernels_s"]] < full[M["kernels_s"]]
    own, shared = (attention_row(64, 32, heads, 128, tokens=1, keys=4096) for heads in (32, 4))
    each, together = cost_of((own, shared), [spec])[0]
    assert together[M["dram_bytes"]] < each[M["dram_bytes"]] / 7
    assert together[M["kernels_s"]] < each[M["kernels_s"]] / 3


def test_a_cache_makes_attention_causal_and_counts_the_heads_that_share_it() -> None:
    fused = Semantics(drop_dead_branches=True, fuse_norm_activation=True, fuse_attention=True)
    for name, heads, causal in (("gpt2", 1, True), ("bert_base", 1, False)):
        workload = rewrite(network(name), fused)
        found = {node.operator for node in workload if isinstance(node.operator, Attention)}
        assert {(one.query_heads, one.causal) for one in found} == {(heads, causal)}


def test_query_heads_that_share_keys_stand_in_one_product() -> None:
    fused = Semantics(drop_dead_branches=True, fuse_norm_activation=True, fuse_attention=True)
    workload = rewrite(network("llama3_8b", input_shape=(16,)), fused)
    found = [row for _, row in workload.rows() if row.kind == Kind.ATTENTION]
    assert len(found) == 32
    assert {(row.query_heads, row.causal, row.m, row.groups) for row in found} == {(4, 1, 64, 8)}


def test_scales_a_block_cost_fp8_products_alone() -> None:
    rows = tuple(product_row(8192, 8192, 8192, name) for name in ("fp8", "bf16"))
    device = GpuSpec(tensor_fp8_macs_per_cycle=4096, tdp_w=UNLIMITED)
    plain, scaled = cost_of(rows, [device, device.model_copy(update={"scaled_block_k": 128})])[:, :, M["kernels_s"]]
    assert scaled[0] > 1.2 * plain[0]
    assert scaled[1] == plain[1]
