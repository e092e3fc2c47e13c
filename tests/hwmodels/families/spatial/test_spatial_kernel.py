"""The systolic kernel against a plain twin written from the equations of the family's README."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.families.base import family
from hwmodels.families.spatial import kernel
from hwmodels.families.spatial.spec import DATAFLOWS, SpatialSpec
from hwmodels.workload.ops import (
    Activation,
    Conv2d,
    Elementwise,
    Embedding,
    Kind,
    Linear,
    MatMul,
    Norm,
    Pool2d,
    Recurrent,
    Row,
    Softmax,
    Upsample,
)
from hwmodels.workload.table import Layers

MODEL = family("spatial")
NAMES = MODEL.layer_metrics


def evaluate(rows: list[Row], specs: list[SpatialSpec]) -> tuple[np.ndarray, np.ndarray]:
    """out (C, L, M) and choice (C, L)."""
    out = np.full((len(specs), len(rows), len(NAMES)), np.nan)
    choice = np.full((len(specs), len(rows)), -1, np.int16)
    MODEL.layerwise.cost(
        Layers.of(rows), SpatialSpec.to_table(specs), np.zeros(MODEL.layerwise.scratch_size), out, choice
    )
    return out, choice


def width(bits: int, spec: SpatialSpec) -> float:
    """Bytes of an element after rounding up to a supported width."""
    supported = [min(spec.min_bits * 2**i, spec.max_bits) for i in range(6)]
    return next((w for w in supported if w >= bits), spec.max_bits) / 8


def input_bytes(row: Row, byte: float) -> float:
    """Lines and columns under some window, by marking them."""

    def share(extent: int, outputs: int, kernel_: int, stride: int, dilation: int) -> float:
        span = dilation * (kernel_ - 1) + 1
        step = min(stride, span)
        return min(extent, len({o * step + t for o in range(outputs) for t in range(span)})) / extent

    high = share(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    wide = share(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    return row.input_elements * high * wide * byte


def stays(tensor_bytes: float, offchip: int, spec: SpatialSpec) -> bool:
    smaller = min(spec.ifmap_sram_bytes, spec.ofmap_sram_bytes)
    return spec.keep_activations and not offchip and 2 * tensor_bytes <= smaller


def product(row: Row, spec: SpatialSpec) -> tuple[int, int, int, int]:
    """G, m, n, k."""
    if spec.rules == "correct" or row.kind != Kind.CONV:
        return row.groups, row.m, row.n, row.k
    out_h = max(ceil((row.in_h - row.kernel_h + row.stride_h) / row.stride_h), 1)
    out_w = max(ceil((row.in_w - row.kernel_w + row.stride_w) / row.stride_w), 1)
    window = row.kernel_h * row.kernel_w * row.in_channels
    return 1, row.batch * out_h * out_w, row.out_channels // row.groups, window


def blocks(dataflow: str, spec: SpatialSpec, row: Row, m: int, n: int, k: int) -> int:
    """Blocks of the streamed dimension whose partial sums fit half the ofmap buffer."""
    if dataflow == "os" or k <= spec.array_rows or spec.rules == "compat":
        return 1
    streamed, width_ = {"ws": (m, n), "is": (n, m)}[dataflow]
    line = min(spec.array_cols, width_) * row.accumulator_bits / 8
    lines = max(int(spec.ofmap_sram_bytes / 2 // line), 1)
    return len(range(0, streamed, lines))


def cycles(dataflow: str, spec: SpatialSpec, g: int, s: int, b: int, m: int, n: int, k: int) -> tuple[int, int]:
    """(array cycles, folds) of the whole layer."""
    r, c = spec.array_rows, spec.array_cols
    f, t, load = {
        "os": (ceil(m / r) * ceil(n / c), k, 0),
        "ws": (ceil(k / r) * ceil(n / c), m, r),
        "is": (ceil(k / r) * ceil(m / c), n, r),
    }[dataflow]
    f *= g
    step = {
        "none": f * (b * (load + r + c - 2) + t),
        "load": load + f * (b * (r + c - 2) + t),
        "full": load + max(f * t, (f * b - 1) * r) + r + c - 2,
    }[spec.fold_overlap]
    return s * step - (spec.rules == "compat"), f * s


def refills(dataflow, spec, b, m, n, k, byte, whole_in) -> tuple[int, int]:
    """Passes of (inputs, weights) under the better of the two loop orders."""
    r, c = spec.array_rows, spec.array_cols
    a, w, p = byte
    whole_w = k * n * w

    def inputs(size: float, otherwise: int) -> int:
        return 1 if min(size * a, whole_in) <= spec.ifmap_sram_bytes / 2 else otherwise

    def weights(size: float, otherwise: int) -> int:
        return 1 if min(size * w, whole_w) <= spec.filter_sram_bytes / 2 else otherwise

    everything = float("inf")
    over_n, over_m = ceil(n / c), {"os": ceil(m / r), "ws": b, "is": ceil(m / c)}[dataflow]
    orders = {
        "os": [
            (inputs(min(r, m) * k, over_n), weights(everything, over_m)),
            (inputs(everything, over_n), weights(k * min(c, n), over_m)),
        ],
        "ws": [
            (inputs(everything, over_n), weights(k * min(c, n), over_m)),
            (inputs(m * min(r, k), over_n), 1),
        ],
        "is": [
            (inputs(min(c, m) * k, b), weights(everything, over_m)),
            (1, weights(min(r, k) * n, over_m)),
        ],
    }[dataflow]
    if dataflow != "os" and k > r and m * n * p > spec.ofmap_sram_bytes / 2:
        orders.pop()
    return min(orders, key=lambda order: order[0] * whole_in + order[1] * whole_w)


def traffic(dataflow, spec, row, g, s, b, m, n, k, byte) -> tuple[list[float], list[float]]:
    """Bytes of (inputs, weights, outputs) between buffers and array, and to DRAM."""
    r, c = spec.array_rows, spec.array_cols
    a, w, p = byte
    whole_in, whole_w = input_bytes(row, a) / (g * s), k * n * w
    sums = m * n * (a + 2 * (ceil(k / r) - 1) * p)
    inner = {
        "os": [m * k * ceil(n / c) * a, k * n * ceil(m / r) * w, m * n * a],
        "ws": [m * k * ceil(n / c) * a, k * n * b * w, sums],
        "is": [m * k * b * a, k * n * ceil(m / c) * w, sums],
    }[dataflow]
    passes = refills(dataflow, spec, b, m, n, k, byte, whole_in)
    out_bytes = row.output_elements * a
    dram = [
        0 if stays(row.input_elements * a, row.input_offchip, spec) else passes[0] * g * s * whole_in,
        passes[1] * g * whole_w * (1 if g * whole_w <= spec.filter_sram_bytes / 2 else s),
        0 if stays(out_bytes, row.output_offchip, spec) else out_bytes,
    ]
    if row.dynamic_operand and stays(row.weight_elements * w, 0, spec):
        dram[1] = 0
    return [g * s * x for x in inner], dram


def area(spec: SpatialSpec) -> float:
    element = (
        spec.multiplier_mm2 * spec.max_bits**2 / 64
        + spec.adder_mm2
        + spec.register_mm2_per_bit * (2 * spec.max_bits + 32)
    )
    buffers = spec.ifmap_sram_bytes + spec.filter_sram_bytes + spec.ofmap_sram_bytes
    total = element * spec.array_rows * spec.array_cols + spec.sram_mm2_per_byte * buffers
    return (total + spec.vector_lanes * spec.vector_lane_mm2) * (spec.node_nm / 45) ** 2


def finish(spec, row, *, cycles_=0, folds=None, macs=0.0, mac_j=0.0, bits=0.0, inner, dram) -> dict[str, float]:
    """The latency and energy equations over given traffic."""
    scale = (spec.node_nm / 45) ** spec.energy_exponent
    sizes = (spec.ifmap_sram_bytes, spec.filter_sram_bytes, spec.ofmap_sram_bytes)
    access = [spec.sram_j_per_byte * scale * sqrt(size / 32768) for size in sizes]
    t = {
        "compute_s": cycles_ / spec.clock_hz,
        "vector_s": row.vector_ops / spec.vector_lanes / spec.clock_hz,
        "sram_s": max(inner) / (spec.sram_bytes_per_cycle * spec.clock_hz),
        "dram_s": sum(dram) / spec.dram_bytes_per_s,
    }
    on_chip = max(t["compute_s"] + t["vector_s"], t["sram_s"])
    hidden = 0.0 if folds is None else min(on_chip, t["dram_s"]) / folds
    t["latency_s"] = max(on_chip, t["dram_s"]) + hidden
    e = {
        "mac_j": mac_j * scale,
        "array_j": bits * spec.register_j_per_bit * scale,
        "sram_j": sum(j * (x + y) for j, x, y in zip(access, inner, dram, strict=True)),
        "dram_j": sum(dram) * spec.dram_j_per_byte,
        "vector_j": row.vector_ops * spec.vector_op_j * scale,
        "leakage_j": spec.leakage_w_per_mm2 * area(spec) * t["latency_s"],
    }
    counts = {
        "dram_bytes": sum(dram),
        "sram_bytes": sum(inner) + sum(dram),
        "array_cycles": cycles_,
        "executed_macs": macs,
    }
    return {**t, **e, "energy_j": sum(e.values()), **counts}


def twin(row: Row, spec: SpatialSpec) -> dict[str, float]:
    """All metrics of one layer, and the choice, the slow way."""
    a = width(row.activation_bits, spec)
    w = a if row.dynamic_operand else width(row.weight_bits, spec)
    if row.macs == 0:
        table = row.kind == Kind.EMBEDDING
        inner = [
            input_bytes(row, w if table else a),
            row.parameters * w if row.kind == Kind.NORM else 0.0,
            row.output_elements * a,
        ]
        kept = stays(row.input_elements * a, row.input_offchip, spec) and not table
        dram = [
            0 if kept else inner[0],
            inner[1],
            0 if stays(inner[2], row.output_offchip, spec) else inner[2],
        ]
        return {**finish(spec, row, inner=inner, dram=dram), "choice": kernel.VECTOR}
    g, m, n, k = product(row, spec)
    s, p = row.sequential_steps, row.accumulator_bits / 8
    macs = g * s * m * n * k
    candidates = []
    for code, dataflow in enumerate(DATAFLOWS):
        if spec.dataflow not in (dataflow, "best"):
            continue
        b = blocks(dataflow, spec, row, m, n, k)
        inner, dram = traffic(dataflow, spec, row, g, s, b, m, n, k, (a, w, p))
        spent, folds = cycles(dataflow, spec, g, s, b, m, n, k)
        moving, still = {"os": (a + w + p, m * n * p), "ws": (a + p, b * k * n * w), "is": (w + p, b * m * k * a)}[
            dataflow
        ]
        bits = 8 * (macs * moving + g * s * still * (spec.array_rows + 1) / 2)
        mac_j = macs * (spec.multiply_j * (8 * a) * (8 * w) / 64 + spec.add_j * row.accumulator_bits / 32)
        result = finish(
            spec, row, cycles_=spent, folds=folds, macs=macs, mac_j=mac_j, bits=bits, inner=inner, dram=dram
        )
        candidates.append({**result, "choice": code})
    return min(candidates, key=lambda found: (found["latency_s"], found["energy_j"], found["choice"]))


def convolution(draw: st.DrawFn) -> Row:
    groups = draw(st.sampled_from([1, 1, 2, 8]))
    per_group, filters = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    kernel_ = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = draw(st.integers(1, 2))
    conv = Conv2d(
        filters * groups, kernel_, stride, (draw(st.integers(0, 2)),) * 2, (dilation, dilation), groups, bias=False
    )
    shape = (draw(st.integers(1, 4)), per_group * groups, draw(st.integers(10, 60)), draw(st.integers(10, 60)))
    return conv.row((shape,), conv.infer(shape))


def other(draw: st.DrawFn) -> Row:
    image = (draw(st.integers(1, 3)), draw(st.integers(1, 64)), draw(st.integers(4, 40)), draw(st.integers(4, 40)))
    tokens = (draw(st.integers(1, 4)), draw(st.integers(1, 80)), draw(st.integers(1, 300)))
    heads = draw(st.integers(1, 6))
    left = (tokens[0], heads, tokens[1], draw(st.integers(1, 64)))
    right = (tokens[0], heads, left[3], draw(st.integers(1, 80)))
    operator, inputs = draw(
        st.sampled_from(
            [
                (Linear(draw(st.integers(1, 1000))), (tokens,)),
                (MatMul(), (left, right)),
                (Recurrent("lstm", draw(st.integers(1, 80))), (tokens,)),
                (Pool2d("max", 2), (image,)),
                (Pool2d("avg"), (image,)),
                (Norm(), (image,)),
                (Activation("gelu"), (image,)),
                (Elementwise(), (image, image)),
                (Softmax(), (tokens,)),
                (Embedding(1000, 32), (tokens[:2],)),
                (Upsample(2), (image,)),
            ]
        )
    )
    return operator.row(inputs, operator.infer(*inputs))


@st.composite
def rows(draw: st.DrawFn) -> Row:
    row = convolution(draw) if draw(st.booleans()) else other(draw)
    return row._replace(
        weight_bits=draw(st.sampled_from([2, 4, 8, 12, 16])),
        activation_bits=draw(st.sampled_from([4, 8, 9, 16, 32])),
        accumulator_bits=draw(st.sampled_from([16, 24, 32])),
        input_offchip=draw(st.integers(0, 1)),
        output_offchip=draw(st.integers(0, 1)),
    )


@st.composite
def specs(draw: st.DrawFn) -> SpatialSpec:
    buffer = st.sampled_from([256, 1000, 4096, 16384, 65536, 10**6, 2**24])
    return SpatialSpec(
        dataflow=draw(st.sampled_from(["os", "ws", "is", "best"])),
        rules=draw(st.sampled_from(["correct", "correct", "compat"])),
        fold_overlap=draw(st.sampled_from(["none", "load", "full"])),
        array_rows=draw(st.integers(1, 130)),
        array_cols=draw(st.integers(1, 130)),
        clock_hz=draw(st.sampled_from([1e8, 7e8, 1.3e9])),
        vector_lanes=draw(st.integers(1, 100)),
        min_bits=draw(st.sampled_from([4, 5, 8])),
        max_bits=draw(st.sampled_from([8, 16])),
        ifmap_sram_bytes=draw(buffer),
        filter_sram_bytes=draw(buffer),
        ofmap_sram_bytes=draw(buffer),
        sram_bytes_per_cycle=draw(st.sampled_from([4.0, 64.0, 1000.0])),
        dram_bytes_per_s=draw(st.sampled_from([1e9, 3.4e10, 1e12])),
        keep_activations=draw(st.booleans()),
        node_nm=draw(st.sampled_from([7.0, 28.0, 45.0, 65.0])),
        energy_exponent=draw(st.sampled_from([1.0, 1.25, 2.0])),
        leakage_w_per_mm2=draw(st.sampled_from([0.0, 0.01])),
    )


@settings(max_examples=400, deadline=None)
@given(row=rows(), spec=specs())
def test_kernel_agrees_with_its_twin(row: Row, spec: SpatialSpec) -> None:
    expected = twin(row, spec)
    out, choice = evaluate([row], [spec])
    found = dict(zip(NAMES, out[0, 0], strict=True))
    for name in NAMES:
        assert found[name] == pytest.approx(expected[name], rel=1e-12, abs=0), name
    assert choice[0, 0] == expected["choice"]


@settings(max_examples=50, deadline=None)
@given(spec=specs())
def test_area_agrees_with_its_twin(spec: SpatialSpec) -> None:
    table = SpatialSpec.to_table([spec])
    assert MODEL.config_metrics(table)["area_mm2"][0] == pytest.approx(area(spec), rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(drawn=st.lists(rows(), min_size=1, max_size=4), devices=st.lists(specs(), min_size=1, max_size=3))
def test_listed_pairs_equal_all_pairs(drawn: list[Row], devices: list[SpatialSpec]) -> None:
    out, choice = evaluate(drawn, devices)
    config, layer = np.divmod(np.arange(choice.size)[::-1].copy(), len(drawn))
    listed, listed_choice = np.empty((choice.size, len(NAMES))), np.empty(choice.size, np.int16)
    MODEL.layerwise.cost_at(
        Layers.of(drawn), SpatialSpec.to_table(devices), layer, config, np.zeros(1), listed, listed_choice
    )
    np.testing.assert_array_equal(listed, out[config, layer])
    np.testing.assert_array_equal(listed_choice, choice[config, layer])


def test_codes_of_the_kernel_are_those_of_their_definitions() -> None:
    knobs = SpatialSpec.knobs()
    assert knobs["dataflow"].choices == ("os", "ws", "is", "best")
    assert (kernel._OS, kernel._WS, kernel._IS, kernel._BEST) == (0, 1, 2, 3)
    assert knobs["rules"].choices[kernel._COMPAT] == "compat"
    assert knobs["fold_overlap"].choices[kernel._OVERLAP_NONE] == "none"
    assert knobs["fold_overlap"].choices[kernel._OVERLAP_LOAD] == "load"
    assert MODEL.layerwise.choices[kernel.VECTOR] == "vector"
    assert SpatialSpec.table_type._fields == tuple(SpatialSpec.model_fields)


def test_narrower_bits_are_rounded_up_and_wider_ones_run_at_the_maximum() -> None:
    linear = Linear(64, bias=False)
    row = linear.row(((32, 64),), (32, 64))
    spec = SpatialSpec(min_bits=8, max_bits=16, keep_activations=False)
    out, _ = evaluate([row._replace(weight_bits=b, activation_bits=b) for b in (4, 8, 9, 16, 32)], [spec])
    mac_j = out[0, :, NAMES.index("mac_j")]
    assert mac_j[0] == mac_j[1] < mac_j[2] == mac_j[3] == mac_j[4]
    assert (spec.numerics().weight_bits, spec.numerics().activation_bits, spec.numerics().cell_bits) == (16, 16, 0)


def test_buffers_that_cannot_feed_an_edge_are_infeasible() -> None:
    table = SpatialSpec.to_table([SpatialSpec(), SpatialSpec(array_cols=256, ofmap_sram_bytes=1024)])
    codes = MODEL.infeasible.function({}, table._asdict())
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes, [0, 1])


@settings(max_examples=200, deadline=None)
@given(row=rows(), spec=specs())
def test_an_explained_layer_is_the_one_of_the_twin(row: Row, spec: SpatialSpec) -> None:
    found = MODEL.explain(row, spec)
    _, choice = evaluate([row], [spec])
    if row.macs == 0:
        assert found == {"dataflow": "vector", "array_cycles": 0}
        return
    dataflow = DATAFLOWS[choice[0, 0]]
    g, m, n, k = product(row, spec)
    s, r, c = row.sequential_steps, spec.array_rows, spec.array_cols
    b = blocks(dataflow, spec, row, m, n, k)
    spent, folds = cycles(dataflow, spec, g, s, b, m, n, k)
    streamed, load = {"os": (k, 0), "ws": (m, r), "is": (n, r)}[dataflow]
    counts = {"groups": g, "steps": s, "m": m, "n": n, "k": k, "folds": folds // s, "streamed": streamed}
    expected = {"dataflow": dataflow, "array_cycles": spent, **counts, "load_cycles": load, "blocks": b}
    assert {name: found[name] for name in expected} == expected
    a = width(row.activation_bits, spec)
    byte = (a, a if row.dynamic_operand else width(row.weight_bits, spec), row.accumulator_bits / 8)
    _, dram = traffic(dataflow, spec, row, g, s, b, m, n, k, byte)
    operands = ("input", "weight", "output")
    assert [found[f"{name}_dram_bytes"] for name in operands] == pytest.approx(dram, rel=1e-12)
    passes = refills(dataflow, spec, b, m, n, k, byte, input_bytes(row, a) / (g * s))
    moved = input_bytes(row, a) / (g * s), k * n * byte[1]
    weighed = found["input_passes"] * moved[0] + found["weight_passes"] * moved[1]
    assert weighed == pytest.approx(passes[0] * moved[0] + passes[1] * moved[1], rel=1e-12)
    if spec.fold_overlap == "none" and spec.rules == "correct":
        assert spent == s * found["folds"] * (b * (load + r + c - 2) + streamed)


def test_an_explained_layer_by_hand() -> None:
    """96 x 40 times 40 x 70 on 32 x 32, weights still: 2 x 3 folds of 96 lines, 32 cycles to load, 62 of skew."""
    row = Linear(70).row(((96, 40),), (96, 70))._replace(weight_bits=8, activation_bits=8)
    found = MODEL.explain(row, SpatialSpec(array_rows=32, array_cols=32, dataflow="ws", fold_overlap="none"))
    assert (found["folds"], found["streamed"], found["load_cycles"], found["blocks"]) == (6, 96, 32, 1)
    assert found["array_cycles"] == 6 * (32 + 62 + 96)
    assert (found["m"], found["n"], found["k"]) == (96, 70, 40)
