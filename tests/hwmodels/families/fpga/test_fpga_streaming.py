"""The streaming pipeline: foldings by brute force, the fill against a plain twin, FIFOs, parts, published stages."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.catalog import devices_of
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.fpga import kernel_streaming as kernel
from hwmodels.families.fpga.kernel_streaming import Stage
from hwmodels.families.fpga.memory import LUTRAM_DEPTH, bram18s_of, lutram_luts
from hwmodels.families.fpga.streaming import incoming_of, stages_of, walked
from hwmodels.families.fpga.streaming_spec import StreamingSpec
from hwmodels.validation.fpga.streaming import cnv
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Conv2d, Elementwise, Kind, Linear, Operator, Row, Shape, Softmax
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import Layers, layer_table
from hwmodels.workload.zoo import network

MODEL = family("fpga_streaming")
ZERO = np.zeros(1, np.int64)


def row(operator: Operator, *inputs: Shape) -> Row:
    return operator.row(inputs, operator.infer(*inputs))


def stage(layer: Row, spec: StreamingSpec) -> dict[str, float]:
    costs = stages_of(Layers.of([layer]), StreamingSpec.to_table([spec]))[0, 0]
    return dict(zip(Stage._fields, costs.tolist(), strict=True))


def divisors(number: int) -> list[int]:
    return [one for one in range(1, number + 1) if number % one == 0]


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(1, 5000))
def test_the_folding_has_the_fewest_lanes_that_reach_the_target(m: int, n: int, pixels: int, target: int) -> None:
    found = stage(row(Conv2d(m), (1, n, pixels, 1)), StreamingSpec(target_cycles=target))
    pe, simd = int(found["outputs"]), int(found["inputs"])
    assert m % pe == 0 == n % simd
    assert found["cycles"] == pixels * (m // pe) * (n // simd)
    reaching = [p * s for p in divisors(m) for s in divisors(n) if pixels * (m // p) * (n // s) <= target]
    assert pe * simd == min(reaching, default=m * n)


def test_published_stages_have_their_cycles() -> None:
    """FINN's CNV: MH, MW, pixels, PE, SIMD and the cycles of three stages."""
    for mh, mw, pixels, pe, simd, cycles in ((64, 27, 900, 16, 3, 32400), (128, 1152, 100, 16, 32, 28800),
                                             (512, 512, 1, 1, 8, 32768)):  # fmt: skip
        assert pixels * (mh // pe) * (mw // simd) == cycles
    dense = stage(row(Linear(512), (1, 512)), StreamingSpec(weight_bits=1, activation_bits=1, target_cycles=32768))
    assert (dense["cycles"], dense["multipliers"]) == (32768, 8)


def test_windows_bound_stages_whose_inputs_are_folded() -> None:
    layer = row(Conv2d.square(64, 3), (1, 64, 16, 16))
    found = stage(layer, StreamingSpec(target_cycles=10**6))
    simd = int(found["inputs"])
    wide = 16 + 2
    window = wide * 3 * (64 // simd) + 16 * max(16 * 9 * 64 // simd, wide * 64 // simd)
    assert found["cycles"] == max(window, 256 * 9 * (64 // int(found["outputs"])) * (64 // simd))
    assert found["cycles"] <= 10**6


def test_reuse_divides_the_products_of_a_layer() -> None:
    layer = row(Linear(32), (1, 64))
    for reuse, lanes in ((1, 2048), (4, 512), (5, 512), (4096, 1)):
        found = stage(layer, StreamingSpec(reuse_factor=reuse, weight_bits=16, activation_bits=16))
        assert (found["multipliers"], found["cycles"]) == (lanes, 2048 // lanes)
        assert found["dsps"] >= lanes


def fill(workload: Workload, spec: StreamingSpec) -> float:
    """Start and end of every stage by the equations of the README, one network, one part."""
    table = layer_table([workload])
    costs = stages_of(table.layers, StreamingSpec.to_table([spec]))[0]
    start: list[float] = []
    end: list[float] = []
    for place, layer in enumerate(table.rows_of(0)):
        cycles, rows, need, depth = costs[layer][:4]
        sources = [int(s) for s, d, _ in table.edges(0) if d == place and s >= 0]
        begun = max((start[s] + need * (end[s] - start[s]) for s in sources), default=0.0)
        start.append(max(begun, 0.0))
        end.append(max(start[-1] + cycles, max((end[s] for s in sources), default=0.0) + cycles / rows) + depth)
    return max(end)


@pytest.mark.parametrize("name", ["cifar_resnet20", "squeezenet1_1", "mobilenet_v1_025_wake_words"])
def test_the_fill_equals_its_twin(name: str) -> None:
    workload = rewrite(network(name), COMPILED)
    report = evaluate(workload, MODEL, StreamingSpec(luts=10**7, ffs=10**8))
    assert report.total("fill_cycles") == pytest.approx(fill(workload, StreamingSpec()), rel=1e-12)
    assert report.total("slowest_cycles") < report.total("fill_cycles")


def test_a_batch_adds_intervals_and_streamed_weights_bound_them() -> None:
    one, four = (
        evaluate(rewrite(network("cifar_resnet20", batch=size), COMPILED), MODEL, StreamingSpec()) for size in (1, 4)
    )
    assert four.total("fill_cycles") == pytest.approx(one.total("fill_cycles") + 3 * one.total("slowest_cycles"))
    assert four.total("interval_s") == pytest.approx(4 * one.total("interval_s"))
    slow = StreamingSpec(weights="streamed", dram_bytes_per_s=1e6)
    streamed = evaluate(rewrite(network("cifar_resnet20"), COMPILED), MODEL, slow)
    assert streamed.total("interval_s") == pytest.approx(streamed.total("dram_bytes") / 1e6)
    assert streamed.total("bram18s_used") < one.total("bram18s_used")


def forked(delay: int) -> Workload:
    """A short and a long way to one sum."""
    net = Builder("forked", (1, 16, 32, 32))
    x = y = net.add(Conv2d.square(16, 3), net.input)
    for _ in range(delay):
        y = net.add(Conv2d.square(16, 3), y)
    return net.finish(net.add(Elementwise("add"), x, y))


def test_fifos_grow_with_the_lag_of_the_long_way() -> None:
    found = [evaluate(forked(delay), MODEL, StreamingSpec(activation_bits=8)) for delay in (0, 1, 3, 6)]
    sizes = [report.total("fifo_bram18s") for report in found]
    assert sizes[0] == 0 < sizes[1] <= sizes[2] <= sizes[3]
    assert sizes[3] * 18432 >= 6 * 32 * 16 * 8  # at least six rows of 32 pixels and 16 channels


def test_parts_are_configured_once_a_batch_and_fit_alone() -> None:
    workload = rewrite(network("resnet18"), COMPILED)
    spec = StreamingSpec(target_cycles=10**6, partitioning="when_full", luts=120_000, ffs=240_000, bram18s=900)
    whole, parts = (evaluate(workload, MODEL, spec.changed({"partitioning": one})) for one in ("none", "when_full"))
    assert whole.infeasible is not None
    assert parts.infeasible is None
    assert parts.total("parts") > 1
    port_s = parts.total("parts") * spec.bitstream_bytes / spec.configuration_bytes_per_s
    assert parts.total("configured_s") == pytest.approx(port_s)
    assert parts.total("interval_s") == parts.total("latency_s") > port_s
    eight = evaluate(rewrite(network("resnet18", batch=8), COMPILED), MODEL, spec)
    assert eight.total("configured_s") == parts.total("configured_s")  # shared by the items of a batch


def test_what_no_stream_has_is_infeasible() -> None:
    net = Builder("softmax", (1, 8, 16))
    report = evaluate(net.finish(net.add(Softmax(), net.add(Linear(16), net.input))), MODEL, StreamingSpec())
    assert report.infeasible == "an operator that no stream has"


def test_an_item_alone_takes_the_fill_not_the_slowest_stage() -> None:
    """FINN's CNV under its published folding: 151,180 cycles measured at 100 MHz; the slowest stage takes 32,768."""
    folds = (32400, 28224, 20736, 28800, 20736, 18432, 32768, 32768, 1024)
    table = layer_table([rewrite(cnv(), COMPILED)])
    configs = StreamingSpec.to_table([StreamingSpec(weight_bits=1, activation_bits=1)])
    costs = stages_of(table.layers, configs)
    matrices = [layer for layer in table.rows_of(0).tolist() if table.layers.macs[layer] > 0]
    for layer, cycles in zip(matrices, folds, strict=True):
        costs[0, layer, 0] = cycles
    walk = walked(table, costs, configs, ZERO, ZERO)
    assert walk["interval_cycles"][0] == 32768
    assert walk["cycles"][0] == pytest.approx(151_180, rel=0.10)


@settings(deadline=None)  # the first call compiles
@given(st.integers(1, 300), st.integers(1, 40000))
def test_memories_are_those_of_the_tiled_engine(width: int, depth: int) -> None:
    assert kernel._bram18s(width, depth) == bram18s_of(width, depth)
    assert kernel._LUTRAM_DEPTH == LUTRAM_DEPTH
    if depth <= LUTRAM_DEPTH:
        assert kernel._lutram(width, depth) == lutram_luts(width, depth)


def test_incoming_edges_are_those_of_the_table() -> None:
    table = layer_table([rewrite(network("cifar_resnet20"), COMPILED), forked(2)])
    incoming, starts = incoming_of(table.networks), table.networks.sequence_start
    for n in range(2):
        for place in range(int(starts[n + 1] - starts[n])):
            at = int(starts[n]) + place
            mine = incoming.source[incoming.start[at] : incoming.start[at + 1]].tolist()
            assert sorted(mine) == sorted(max(int(s), -1) for s, d, _ in table.edges(n) if d == place)


def test_codes_are_those_of_kinds() -> None:
    names = ("LINEAR", "ACTIVATION", "ELEMENTWISE", "RESAMPLE", "COPY", "CONV_TRANSPOSE")
    assert {name: getattr(kernel, f"_{name}") for name in names} == {name: Kind[name] for name in names}


def test_more_bits_take_more_and_blocks_only_where_they_are_used() -> None:
    narrow, wide = (
        stage(row(Conv2d.square(64, 3), (1, 64, 8, 8)), StreamingSpec(weight_bits=b, activation_bits=b)) for b in (4, 8)
    )
    assert narrow["dsps"] == 0 < wide["dsps"]
    binary = stage(row(Conv2d.square(64, 3), (1, 64, 8, 8)), StreamingSpec(weight_bits=1, activation_bits=1))
    assert 0 < binary["luts"] < narrow["luts"]
    assert ceil(wide["dsps"]) >= wide["multipliers"] / 2


def test_pipelines_that_ship_run_the_network_that_they_are_named_after() -> None:
    for found in devices_of("fpga_streaming"):
        report = evaluate(rewrite(cnv(), COMPILED), MODEL, found.spec)
        assert report.infeasible is None, found.name
        assert not found.spec.implausible(), found.name
