"""The tiled kernel against a plain twin that walks every tile, whole numbers bit for bit; published cycle counts."""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.fpga import kernel
from hwmodels.families.fpga.engine import engine_table
from hwmodels.families.fpga.spec import LOOP_ORDERS, FpgaSpec
from hwmodels.families.kernel_parts import CONV
from hwmodels.workload.ops import Conv2d, Kind, Linear, MatMul, Operator, Recurrent, Row, Shape
from hwmodels.workload.table import Layers
from hwmodels.workload.zoo import network

MODEL = family("fpga")
M = {name: index for index, name in enumerate(MODEL.layer_metrics)}


def row(operator: Operator, *inputs: Shape) -> Row:
    return operator.row(inputs, operator.infer(*inputs))


def costs(layer: Row, spec: FpgaSpec) -> dict[str, float]:
    out, choice = np.zeros((1, 1, len(M))), np.zeros((1, 1), np.int16)
    kernel.all_pairs(Layers.of([layer]), engine_table(FpgaSpec.to_table([spec])), out, choice)
    return {name: float(out[0, 0, place]) for name, place in M.items()}


class Trip(NamedTuple):
    """One step of the loop nest: words and cycles by hand."""

    tile: tuple[int, int]
    m: int
    n: tuple[int, int]
    products: int
    words_in: int
    words_w: int
    words_out: int
    burst: float


def cut(total: int, tile: int) -> list[int]:
    return [min(tile, total - at) for at in range(0, total, tile)]


def trips(layer: Row, spec: FpgaSpec) -> tuple[int, bool, list[Trip]]:
    """(how often the nest runs, whether on the depthwise engine, its steps), written from the README's equations."""
    conv = layer.kind == Kind.CONV
    kh, kw = (layer.kernel_h, layer.kernel_w) if conv else (1, 1)
    sh, sw = (layer.stride_h, layer.stride_w) if conv else (1, 1)
    dh, dw = (layer.dilation_h, layer.dilation_w) if conv else (1, 1)
    in_h, in_w = (layer.in_h, layer.in_w) if conv else (layer.m, 1)
    rows, cols = (layer.m // layer.batch // layer.out_w, layer.out_w) if conv else (layer.m, 1)
    repeats = layer.groups * (layer.batch if conv else layer.sequential_steps)
    m, n = layer.n, layer.k // (kh * kw)
    depthwise = spec.depthwise_lanes > 0 and conv and n == 1 and layer.groups > 1
    tm, tn, tr, tc = spec.tile_m, spec.tile_n, spec.tile_rows, spec.tile_cols
    if depthwise:
        repeats, m = repeats // layer.groups, m * layer.groups
        tm, tn, tr, tc = spec.depthwise_lanes, 1, spec.depthwise_rows, spec.depthwise_cols
    tall, wide = (max(spec.largest_stride * (t - 1) + spec.largest_kernel, 1) for t in (tr, tc))
    if not conv:
        tr, tc, tall, wide = tr * tc, 1, tr * tc, 1

    def split(side: int, dilation: int, room: int) -> tuple[int, int]:
        pieces = ceil(side / spec.largest_kernel)
        words = ceil(side / pieces)
        return (pieces, words) if (words - 1) * dilation < room else (side, 1)

    (ph, wh), (pw, ww) = split(kh, dh, tall), split(kw, dw, wide)
    reach_h, reach_w = (wh - 1) * dh + 1, (ww - 1) * dw + 1
    tr = max(min(tr, rows, (tall - reach_h) // sh + 1), 1)
    tc = max(min(tc, cols, (wide - reach_w) // sw + 1), 1)
    found = []
    for y, r in enumerate(cut(rows, tr)):
        for x, c in enumerate(cut(cols, tc)):
            high, broad = min((r - 1) * sh + reach_h, in_h), min((c - 1) * sw + reach_w, in_w)
            for i, channels in enumerate(cut(m, tm)):
                for j, inputs in enumerate(cut(n, tn)):
                    for piece in range(ph * pw):
                        read = channels if depthwise else inputs
                        run = (high * broad if broad == in_w else broad) * (read if spec.channels_together else 1)
                        found.append(
                            Trip((y, x), i, (j, piece), r * c * wh * ww + spec.pipeline_depth, read * high * broad,
                                 channels * inputs * wh * ww, channels * r * c, run * spec.activation_bits / 8)
                        )  # fmt: skip
    return repeats, depthwise, found


def stays(elements: int, offchip: int, spec: FpgaSpec) -> bool:
    return not offchip and elements * spec.activation_bits / 8 * 2 <= spec.feature_buffer_bytes


def twin(layer: Row, spec: FpgaSpec) -> dict[str, float]:
    """Cycles and bytes of a fixed loop order by walking the whole nest."""
    repeats, depthwise, steps = trips(layer, spec)
    engine = engine_table(FpgaSpec.to_table([spec]))
    clock = float(engine.engine_clock_hz[0])
    byte = spec.activation_bits / 8
    in_byte = 0 if stays(layer.input_elements, layer.input_offchip, spec) else byte
    out_byte = 0 if stays(layer.output_elements, layer.output_offchip, spec) else byte
    w_byte = byte if layer.dynamic_operand else spec.weight_bits / 8
    prefix = "depthwise_" if depthwise else ""
    ports = [getattr(spec, f"{prefix}{name}_port") for name in ("input", "weight", "output")]
    order = "outputs" if depthwise else spec.loop_order
    n_trips = len({step.n for step in steps})
    spill = byte
    if order != "outputs":
        spill = ((n_trips - 1) * 2 * spec.accumulator_bits / 8 + byte) / n_trips
    leaves = order != "outputs" and spill > byte
    sum_byte = spill if leaves else spill * (out_byte > 0)

    def dram(moved: float, burst: float) -> float:
        return moved * (1 + spec.dram_gap_bytes / burst) * clock / spec.dram_bytes_per_s

    def loads(step: Trip) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        port = (ceil(step.words_in / ports[0]), ceil(step.words_w / ports[1]),
                ceil(step.words_out / ports[2]) * spill / byte)  # fmt: skip
        memory = (dram(step.words_in * in_byte, step.burst),
                  dram(step.words_w * w_byte, step.words_w * max(w_byte, byte)),
                  dram(step.words_out * sum_byte, step.words_out * byte))  # fmt: skip
        return port, memory

    key = {"outputs": lambda s: (s.tile, s.m), "inputs": lambda s: (s.tile, s.n), "weights": lambda s: (s.m, s.n)}[
        order
    ]
    kept = {"outputs": 2, "inputs": 0, "weights": 1}[order]
    inner = [place for place in range(3) if place != kept]
    cycles, moved = 0.0, [0.0, 0.0, 0.0]
    for outer in dict.fromkeys(map(key, steps)):
        mine = [step for step in steps if key(step) == outer]
        pairs = [loads(step) for step in mine]
        work = sum(
            max(step.products, *(port[i] for i in inner), sum(memory[i] for i in inner))
            for step, (port, memory) in zip(mine, pairs, strict=True)
        )
        memory = sum(sum(memory[i] for i in inner) for _, memory in pairs) + pairs[0][1][kept]
        cycles += max(work, pairs[0][0][kept], memory)
        for place, (words, of) in enumerate((("words_in", in_byte), ("words_w", w_byte), ("words_out", sum_byte))):
            for step in mine if place != kept else mine[:1]:
                moved[place] += getattr(step, words) * of
    first = steps[0]
    port, memory = loads(first)
    ends = max(port[0], port[1], memory[0] + memory[1])
    ends += max(ceil(first.words_out / ports[2]), dram(first.words_out * out_byte, first.words_out * byte))
    vector = layer.vector_ops / spec.vector_lanes
    total = repeats * cycles + ends
    total = total + vector if layer.sequential_steps > 1 else max(total, vector)
    return {
        "compute_cycles": repeats * sum(step.products for step in steps),
        "dram_bytes": repeats * sum(moved),
        "latency_s": total / clock,
    }


SIZES = st.integers(1, 20)
SPECS = st.builds(
    FpgaSpec, tile_m=SIZES, tile_n=SIZES, tile_rows=st.integers(1, 9), tile_cols=st.integers(1, 9),
    loop_order=st.sampled_from(LOOP_ORDERS), largest_kernel=st.integers(1, 7), largest_stride=st.integers(1, 3),
    pipeline_depth=st.integers(0, 30), depthwise_lanes=st.sampled_from([0, 1, 7]), depthwise_rows=st.integers(1, 9),
    depthwise_cols=st.integers(1, 9), input_port=st.integers(1, 9), weight_port=st.integers(1, 9),
    output_port=st.integers(1, 9), depthwise_input_port=st.integers(1, 9), depthwise_weight_port=st.integers(1, 9),
    channels_together=st.booleans(), feature_buffer_bytes=st.sampled_from([0, 4096, 10**6]),
    weight_bits=st.sampled_from([2, 4, 8, 16]), activation_bits=st.sampled_from([4, 8, 16]),
    dram_bytes_per_s=st.sampled_from([1e8, 2e9, 1e11]), dram_gap_bytes=st.sampled_from([0.0, 500.0]),
)  # fmt: skip
LAYERS = st.one_of(
    st.builds(
        lambda batch, n, m, size, kernel, stride, dilation, first: row(
            Conv2d(m, (kernel, kernel), (stride, stride), (dilation * (kernel // 2),) * 2, (dilation, dilation)),
            (batch, n, size + dilation * kernel, size),
        )._replace(input_offchip=first),
        st.integers(1, 2), st.integers(1, 24), st.integers(1, 24), st.integers(3, 12), st.integers(1, 5),
        st.integers(1, 3), st.integers(1, 2), st.integers(0, 1),
    ),
    st.builds(lambda c, size: row(Conv2d.square(c, 3, groups=c), (1, c, size, size)), st.integers(2, 24), SIZES),
    st.builds(lambda n, k, tokens: row(Linear(n), (1, tokens, k)), SIZES, st.integers(1, 50), st.integers(1, 50)),
    st.builds(lambda t: row(MatMul(), (1, 3, t, 8), (1, 3, 8, t)), SIZES),
    st.just(row(Recurrent("gru", 6), (1, 4, 5))),
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(LAYERS, SPECS)
def test_the_kernel_equals_a_walk_over_every_tile(layer: Row, spec: FpgaSpec) -> None:
    found, expected = costs(layer, spec), twin(layer, spec)
    assert found["compute_cycles"] == expected["compute_cycles"]
    assert found["dram_bytes"] == pytest.approx(expected["dram_bytes"], rel=1e-12)
    assert found["latency_s"] == pytest.approx(expected["latency_s"], rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(LAYERS, SPECS)
def test_laws(layer: Row, spec: FpgaSpec) -> None:
    """The best order is the fastest, more is never slower, nothing beats the multipliers or compulsory bytes."""
    found = costs(layer, spec)
    best = costs(layer, spec.changed({"loop_order": "best"}))
    assert best["latency_s"] <= found["latency_s"] * (1 + 1e-12)
    for knob in ("dram_bytes_per_s", "clock_hz", "fabric_clock_hz", "input_port", "weight_port", "output_port"):
        richer = costs(layer, spec.changed({knob: 2 * getattr(spec, knob)}))
        assert richer["latency_s"] <= found["latency_s"] * (1 + 1e-12), knob
    engine = engine_table(FpgaSpec.to_table([spec]))
    lanes = spec.tile_m * spec.tile_n + spec.depthwise_lanes
    assert found["latency_s"] * lanes * engine.engine_clock_hz[0] >= layer.macs
    weights = layer.weight_elements * (spec.activation_bits if layer.dynamic_operand else spec.weight_bits) / 8
    assert found["dram_bytes"] >= weights
    assert found["latency_s"] >= weights / spec.dram_bytes_per_s


def test_codes_are_those_of_the_spec() -> None:
    assert [LOOP_ORDERS[i] for i in (kernel._OUTPUTS, kernel._INPUTS, kernel._WEIGHTS)] == list(LOOP_ORDERS)
    assert FpgaSpec.knobs()["loop_order"].choices == (*LOOP_ORDERS, "best")
    assert FpgaSpec.knobs()["loop_order"].choices.index("best") == kernel._BEST
    assert FpgaSpec.knobs()["rules"].choices.index("compat") == kernel._COMPAT_RULES
    assert [kernel.CHOICES[i] for i in (kernel.DEPTHWISE, kernel._COMPAT, kernel.VECTOR)] == [
        "depthwise", "compat", "vector",
    ]  # fmt: skip
    assert CONV == Kind.CONV


def zhang(m: int, n: int, size: int, kernel_size: int, stride: int = 1) -> Row:
    """Half of an AlexNet layer; the paper runs both groups in turn."""
    return row(Conv2d.square(m, kernel_size, stride=stride), (1, n, size * stride, size * stride))


# [Zhang'15] layer: M, N, R, K, stride; the tile that gives the published cycles; the fill P; the cycles.
ZHANG: list[tuple[Any, ...]] = [
    ((48, 3, 55, 11, 4), (48, 3), 0, 366025),
    ((128, 48, 27, 5, 1), (10, 48), 20, 237185),
    ((192, 256, 13, 3, 1), (96, 5), 20, 160264),
    ((192, 192, 13, 3, 1), (96, 5), 20, 120198),
    ((128, 192, 13, 3, 1), (32, 15), 20, 80132),
]


@pytest.mark.parametrize(("layer", "tile", "fill", "published"), ZHANG)
def test_published_cycles_are_exact_and_the_optimum_of_their_space(
    layer: tuple[int, ...], tile: tuple[int, int], fill: int, published: int
) -> None:
    base = FpgaSpec(tile_rows=64, tile_cols=64, largest_kernel=11, largest_stride=4, pipeline_depth=fill)
    one = zhang(*layer)
    assert costs(one, base.changed({"tile_m": tile[0], "tile_n": tile[1]}))["compute_cycles"] == published
    grid = [(tm, tn) for tm in range(1, layer[0] + 1) for tn in range(1, min(480 // tm, layer[1]) + 1)]
    columns = {
        name: np.array(values) for name, values in zip(("tile_m", "tile_n"), zip(*grid, strict=True), strict=True)
    }
    engines = engine_table(FpgaSpec.table_from(base, columns))
    out, choice = np.zeros((len(grid), 1, len(M))), np.zeros((len(grid), 1), np.int16)
    kernel.all_pairs(Layers.of([one]), engines, out, choice)
    assert out[:, 0, M["compute_cycles"]].min() == published


def test_no_network_beats_the_roofline_of_its_own_traffic() -> None:
    """[Zhang'15] attainable = min(peak, MACs a byte x bandwidth): an upper bound of what a network reaches."""
    for name in ("alexnet", "mobilenet_v2"):
        for bandwidth in (1e9, 1e11):
            report = evaluate(network(name), MODEL, FpgaSpec(dram_bytes_per_s=bandwidth))
            fed = report.total("executed_macs") / report.total("dram_bytes") * bandwidth
            attainable = min(report.total("peak_macs_per_s"), fed)
            assert report.total("attainable_macs_per_s") == pytest.approx(attainable)
            assert report.total("executed_macs") / report.total("latency_s") <= attainable


# [HotNAS] designs that its search chose: (Tm, Tn, Tr, Tc, weight, input and output port), of the depthwise engine
# (Tm, ports), and the latency of the convolutions in ms at 100 MHz as printed
CHOSEN = (
    ("alexnet", (70, 36, 64, 32, 18, 6, 2), (0, 1, 1, 1), 4.0483, 5e-5),
    ("alexnet", (100, 25, 32, 32, 8, 2, 2), (0, 1, 1, 1), 6.132, 5e-4),
    ("vgg11", (130, 19, 64, 64, 10, 6, 14), (0, 1, 1, 1), 42.96028571428571, 1e-12),
    ("mobilenet_v2", (100, 23, 32, 32, 4, 6, 6), (192, 4, 6, 6), 32.865, 5e-4),
)


@pytest.mark.parametrize(("name", "dense", "depthwise", "published", "half_a_unit"), CHOSEN)
def test_the_rules_of_hotnas_give_its_published_latencies(
    name: str, dense: tuple[int, ...], depthwise: tuple[int, ...], published: float, half_a_unit: float
) -> None:
    knobs = dict(zip(("tile_m", "tile_n", "tile_rows", "tile_cols", "weight_port", "input_port", "output_port"), dense,
                     strict=True))  # fmt: skip
    names = ("depthwise_lanes", *(f"depthwise_{port}_port" for port in ("weight", "input", "output")))
    knobs |= dict(zip(names, depthwise, strict=True)) | {"depthwise_rows": 32, "depthwise_cols": 32}
    spec = FpgaSpec(rules="compat", clock_hz=1e8, **knobs)
    convolutions = [layer for _, layer in network(name).rows() if layer.kind == Kind.CONV]
    found = sum(costs(layer, spec)["latency_s"] for layer in convolutions) * 1e3
    assert found == pytest.approx(published, abs=half_a_unit)
    assert FpgaSpec().rules == "correct"
