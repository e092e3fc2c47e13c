"""The kernel against a plain twin written from the equations, a brute-force mapping, and the physical laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.families.crossbar import kernel
from hwmodels.families.crossbar.chip import ChipTable, Parts, chip_table
from hwmodels.families.crossbar.model import MODEL, arrays_on_chip, chip_sum, peak_macs_per_s, peak_power_w
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

METRICS = MODEL.layer_metrics


def run(row: Row, spec: CrossbarSpec) -> dict[str, float]:
    out, choice = np.full((1, 1, len(METRICS)), np.nan), np.zeros((1, 1), np.int16)
    MODEL.cost(Layers.of([row]), CrossbarSpec.to_table([spec]), np.zeros(0), out, choice)
    return dict(zip(METRICS, out[0, 0].tolist(), strict=True))


def gemm(m: int, n: int, k: int, *, groups: int = 1, steps: int = 1, batch: int = 1, **more: Any) -> Row:
    macs = groups * m * n * k * steps
    sizes = {"input_elements": groups * m * k * steps, "output_elements": groups * m * n * steps}
    row = Row(Kind.CONV, batch=batch, groups=groups, m=m, n=n, k=k, macs=macs, sequential_steps=steps)
    return row._replace(weight_elements=groups * n * k, **{**sizes, **more})


@st.composite
def rows(draw: st.DrawFn, kinds: tuple[str, ...] = ("static", "dynamic", "plain")) -> Row:
    kind = draw(st.sampled_from(kinds))
    flags = {
        "activation_bits": draw(st.sampled_from([1, 4, 8, 16, 32])),
        "weight_bits": draw(st.sampled_from([1, 3, 8, 16, 32])),
        "input_offchip": draw(st.integers(0, 1)),
        "output_offchip": draw(st.integers(0, 1)),
    }
    if kind == "plain":
        elements = draw(st.integers(1, 10**6))
        ops = draw(st.integers(0, 10**7))
        return Row(Kind.ELEMENTWISE, vector_ops=ops, input_elements=2 * elements, output_elements=elements, **flags)
    m, n, k = (draw(st.integers(1, 3000)) for _ in range(3))
    steps, ops = draw(st.sampled_from([(1, 0), (7, 1000)])) if kind == "static" else (1, 0)
    groups, batch = draw(st.integers(1, 64)), draw(st.integers(1, 9))
    return gemm(
        m,
        n,
        k,
        groups=groups,
        steps=steps,
        batch=batch,
        vector_ops=ops,
        dynamic_operand=int(kind == "dynamic"),
        **flags,
    )


@st.composite
def specs(draw: st.DrawFn) -> CrossbarSpec:
    return CrossbarSpec(
        array_rows=draw(st.integers(32, 1024)),
        array_cols=draw(st.integers(32, 1024)),
        cell_bits=draw(st.integers(1, 8)),
        dac_bits=draw(st.integers(1, 8)),
        sign_scheme=draw(st.sampled_from(["offset", "differential"])),
        active_rows=draw(st.integers(0, 1024)),
        columns_per_adc=draw(st.integers(1, 1024)),
        adc_model=draw(st.sampled_from(["survey", "isaac"])),
        adc_bits=draw(st.integers(1, 14)),
        adc_samples_per_s=draw(st.floats(1e7, 1e10)),
        weight_bits=draw(st.integers(1, 16)),
        activation_bits=draw(st.integers(1, 16)),
        duplication=draw(st.integers(1, 300)),
        vectors_per_copy=draw(st.integers(1, 200)),
        arrays_per_ima=draw(st.integers(1, 32)),
        imas_per_tile=draw(st.integers(1, 32)),
        tiles=draw(st.integers(1, 1000)),
        node_nm=draw(st.floats(5, 180)),
        component_node_nm=draw(st.sampled_from([28.0, 32.0])),
        read_time_s=draw(st.floats(1e-9, 1e-6)),
        clock_hz=draw(st.floats(1e8, 3e9)),
        leakage_fraction=draw(st.sampled_from([0.0, 0.02, 0.7])),
        mean_hops=draw(st.sampled_from([0.0, 1.0, 3.7])),
    )


def ceil(a: float, b: float) -> int:
    return math.ceil(a / b)


def twin_adc_j(spec: CrossbarSpec) -> float:
    """README, "ADC"."""
    if spec.adc_model == "isaac":
        law = 0.9375 * spec.adc_bits / 8 + 0.0625 * 2.0**spec.adc_bits / 256
        return 1.5625e-12 * law * (spec.node_nm / 32) ** 1.8800369
    bits = max(spec.adc_bits, 4)
    fom = min(213.78067 - 2.8719 * math.log(spec.adc_samples_per_s), 128.30684 + 3.220512 * bits)
    picojoule = 0.5 * 10 ** ((6.0206 * bits + 1.7609 - fom) / 10)
    picojoule *= math.exp(26.0496216 - 1.4702022) * spec.node_nm**1.8800369 / bits**2.8291256
    return picojoule * 1e-12 * min(spec.adc_bits / 4, 1)


def twin_peak_power(spec: CrossbarSpec) -> float:
    """README, "Chip": events at full rate times their energy."""
    scale = spec.node_nm / spec.component_node_nm
    polarity = 2 if spec.sign_scheme == "differential" else 1
    active = min(spec.active_rows or spec.array_rows, spec.array_rows)
    cycle = max(spec.read_time_s, min(spec.columns_per_adc, spec.array_cols) / spec.adc_samples_per_s)
    outputs = spec.array_cols // (ceil(spec.weight_bits, spec.cell_bits) * polarity)
    word_time = cycle * ceil(spec.activation_bits, spec.dac_bits) * ceil(spec.array_rows, active)
    of_column = twin_adc_j(spec) + (spec.sample_hold_j + spec.shift_add_j) * scale
    of_row = (spec.dac_j * (2**spec.dac_bits - 1) + spec.dac_bits * spec.input_register_j_per_bit) * scale
    of_cell = spec.cell_read_w * spec.read_time_s
    of_array = (spec.array_cols * of_column + active * of_row + active * spec.array_cols * of_cell) / cycle
    out_bits = outputs * spec.activation_bits / word_time
    of_array += out_bits * (spec.output_register_j_per_bit + spec.tile_register_j_per_bit) * scale
    per_clock = spec.buffer_bus_bits * spec.buffer_j_per_bit + spec.bus_wires * spec.bus_j_per_bit
    per_clock += spec.flit_bits * spec.router_ports * spec.router_j_per_bit / spec.tiles_per_router
    per_clock += spec.digital_lanes * spec.digital_op_j
    tile = spec.imas_per_tile * spec.arrays_per_ima * of_array + per_clock * spec.clock_hz * scale
    return spec.tiles * tile + 8 * spec.io_bytes_per_s * spec.io_j_per_bit


def twin_area(spec: CrossbarSpec) -> float:
    """README, "ADC" and "Chip", in mm²."""
    shrink = spec.node_nm / spec.component_node_nm
    if spec.adc_model == "isaac":
        law = 0.5448 * spec.adc_bits / 8 + 0.4552 * 2.0**spec.adc_bits / 256
        adc = 0.0012 * law * (spec.node_nm / 32) ** 0.9932795
    else:
        picojoule = twin_adc_j(spec) * 1e12
        adc = 1e-6 * math.exp(1.3461916) * spec.node_nm**0.9932795
        adc *= spec.adc_samples_per_s**0.1807154 * picojoule**0.2991243
    polarity = 2 if spec.sign_scheme == "differential" else 1
    outputs = spec.array_cols // (ceil(spec.weight_bits, spec.cell_bits) * polarity)
    array = ceil(spec.array_cols, min(spec.columns_per_adc, spec.array_cols)) * adc
    array += spec.array_rows * spec.dac_mm2 * (2**spec.dac_bits - 1) * shrink
    array += spec.array_cols * spec.sample_hold_mm2 * shrink
    array += spec.array_rows * spec.array_cols * spec.cell_area_f2 * spec.node_nm**2 * 1e-12
    array += spec.array_rows * spec.activation_bits * spec.input_register_mm2_per_bit * shrink**2
    words_mm2 = spec.output_register_mm2_per_bit + spec.tile_register_mm2_per_bit
    array += outputs * spec.activation_bits * words_mm2 * shrink**2
    ima = spec.arrays_per_ima * array + spec.shift_adds_per_ima * spec.shift_add_mm2 * shrink**2
    periphery = spec.buffer_mm2 + spec.bus_wires * spec.bus_mm2_per_wire
    periphery += spec.router_mm2 / spec.tiles_per_router + spec.digital_lanes * spec.digital_lane_mm2
    return spec.tiles * (spec.imas_per_tile * ima + periphery * shrink**2) + spec.io_mm2


def twin(row: Row, spec: CrossbarSpec) -> dict[str, float]:
    """README, "Mapping", "Times" and "Energies", in plain Python."""
    e = dict.fromkeys(METRICS, 0.0)
    share, scale = 1 - spec.leakage_fraction, spec.node_nm / spec.component_node_nm
    bw, ba = min(row.weight_bits, spec.weight_bits), min(row.activation_bits, spec.activation_bits)
    if row.macs and not row.dynamic_operand:
        polarity, unit = (2, 0) if spec.sign_scheme == "differential" else (1, 1)
        active = min(spec.active_rows or spec.array_rows, spec.array_rows)
        w, slices = ceil(bw, spec.cell_bits) * polarity, ceil(ba, spec.dac_bits)
        a_row = spec.array_cols // w
        tr, tc = ceil(row.k, spec.array_rows), ceil(row.n, a_row)
        copies = max(1, min(spec.duplication, ceil(ceil(row.m, row.batch), spec.vectors_per_copy)))
        arrays = copies * row.groups * tr * tc
        heights = [min(spec.array_rows, row.k - i * spec.array_rows) for i in range(tr)]
        reads = [ceil(height, active) for height in heights]
        v = row.m * row.sequential_steps * row.groups
        columns = row.n * w + unit * tc
        conversions = v * slices * sum(reads) * columns
        adds = conversions + v * row.n * (tr - 1)
        imas = min(ceil(arrays, spec.arrays_per_ima), spec.imas_per_tile * spec.tiles)
        tiles = min(ceil(arrays, spec.arrays_per_ima * spec.imas_per_tile), spec.tiles)
        slots = ceil(row.m, copies) * row.sequential_steps * slices * max(reads)
        conversion = min(spec.columns_per_adc, min(row.n, a_row) * w) / spec.adc_samples_per_s
        shift_rate = spec.shift_adds_per_ima * spec.shift_add_inputs * spec.clock_hz
        moved, sent = v * (row.k + row.n) * ba, v * row.n * ba
        e |= {"arrays": arrays, "cells": copies * row.groups * row.k * row.n * w, "conversions": conversions}
        e |= {"array_s": slots * spec.read_time_s, "adc_s": slots * conversion, "shift_add_s": adds / imas / shift_rate}
        e["fill_s"] = row.sequential_steps * spec.pipeline_cycles * max(spec.read_time_s, conversion)
        e["array_j"] = v * slices * row.k * columns * spec.cell_read_w * spec.read_time_s * share
        e["dac_j"] = v * slices * row.k * tc * spec.dac_j * (2**spec.dac_bits - 1) * scale * share
        e["sample_hold_j"] = conversions * spec.sample_hold_j * scale * share
        e["adc_j"] = conversions * twin_adc_j(spec) * share
        e["shift_add_j"] = adds * spec.shift_add_j * scale * share
        register = v * slices * spec.dac_bits * row.k * tc * spec.input_register_j_per_bit
        register += sent * (tr * spec.output_register_j_per_bit + spec.tile_register_j_per_bit)
        e["register_j"] = register * scale * share
        bus = v * (row.k + row.n * tr) * ba * spec.bus_j_per_bit
        mac_ops, mac_j = 0, 0.0
    else:
        tiles, bus = spec.tiles, 0.0
        sent = row.output_elements * ba
        moved = (row.input_elements + row.weight_elements + row.output_elements) * ba
        mac_ops, mac_j = row.macs, row.macs * bw * ba / 64 * spec.digital_mac_j
    e["buffer_s"] = moved / (tiles * spec.buffer_bus_bits * spec.clock_hz)
    e["interconnect_s"] = sent / (tiles * spec.flit_bits * spec.clock_hz)
    e["digital_s"] = (row.vector_ops + mac_ops) / (spec.tiles * spec.digital_lanes * spec.clock_hz)
    e["buffer_j"] = moved * spec.buffer_j_per_bit * scale * share
    e["interconnect_j"] = (bus + sent * spec.mean_hops * spec.router_j_per_bit) * scale * share
    e["digital_j"] = (row.vector_ops * spec.digital_op_j + mac_j) * scale * share
    off = (row.input_offchip * row.input_elements + row.output_offchip * row.output_elements) * ba
    e["io_s"], e["io_j"] = off / 8 / spec.io_bytes_per_s, off * spec.io_j_per_bit * share
    matrix = max(e[f"{term}_s"] for term in ("array", "adc", "shift_add", "buffer", "interconnect", "io"))
    if row.sequential_steps > 1:
        e["interval_s"] = e["latency_s"] = matrix + e["digital_s"] + e["fill_s"]
    else:
        e["interval_s"] = max(matrix, e["digital_s"])
        e["latency_s"] = e["interval_s"] + e["fill_s"]
    e["leakage_j"] = spec.leakage_fraction * twin_peak_power(spec) * e["latency_s"]
    e["energy_j"] = sum(e[term] for term in MODEL.energy_terms)
    return e


@settings(max_examples=300, deadline=None)
@given(rows(), specs())
def test_kernel_equals_its_twin(row: Row, spec: CrossbarSpec) -> None:
    assert run(row, spec) == pytest.approx(twin(row, spec), rel=1e-12, abs=0)


@settings(max_examples=200, deadline=None)
@given(specs())
def test_area_and_peak_power_equal_their_twins(spec: CrossbarSpec) -> None:
    metrics = MODEL.config_metrics(CrossbarSpec.to_table([spec]))
    assert metrics["area_mm2"][0] == pytest.approx(twin_area(spec), rel=1e-12)
    assert metrics["peak_power_w"][0] == pytest.approx(twin_peak_power(spec), rel=1e-12)


def place_slices(row: Row, spec: CrossbarSpec) -> tuple[int, int, int, int]:
    """Arrays, cells, columns read a vector and slice, and columns of the fullest array, by placing every slice.

    An array takes rows of one group from the top and weights of that row block from the left; a weight that does not
    fit whole opens the next array.
    """
    slices = -(-min(row.weight_bits, spec.weight_bits) // spec.cell_bits)
    slices *= 2 if spec.sign_scheme == "differential" else 1
    placed: dict[tuple[int, int, int], set[tuple[int, int]]] = {}
    for group in range(row.groups):
        for i in range(row.k):
            block, array_row = divmod(i, spec.array_rows)
            array, column = 0, 0
            for _ in range(row.n):
                if column + slices > spec.array_cols:
                    array, column = array + 1, 0
                for _ in range(slices):
                    cell = (array_row, column)
                    assert cell not in placed.setdefault((group, block, array), set())
                    placed[group, block, array].add(cell)
                    column += 1
    used = [len({column for _, column in cells}) for cells in placed.values()]
    unit = 0 if spec.sign_scheme == "differential" else len(placed)
    return len(placed), sum(map(len, placed.values())), sum(used) + unit, max(used)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 40), st.integers(1, 3), st.integers(1, 16), st.integers(1, 5),
    st.sampled_from(["offset", "differential"]), st.integers(32, 70), st.integers(32, 70),
)  # fmt: skip
def test_mapping_counts_equal_brute_force(
    k: int, n: int, groups: int, weight_bits: int, cell_bits: int, scheme: Any, array_rows: int, array_cols: int
) -> None:
    row = gemm(1, n, k, groups=groups, weight_bits=weight_bits, activation_bits=1)
    spec = CrossbarSpec(array_rows=array_rows, array_cols=array_cols, cell_bits=cell_bits, sign_scheme=scheme)
    arrays, cells, columns, widest = place_slices(row, spec)
    out = np.zeros((1, len(kernel.Mapping._fields)), np.int64)
    kernel.mapping(Layers.of([row]), chip_table(CrossbarSpec.to_table([spec])), out)
    fit = dict(zip(kernel.Mapping._fields, out[0].tolist(), strict=True))
    result = run(row, spec)
    assert (fit["arrays"], fit["cells"], fit["widest"]) == (arrays, cells, widest)
    assert (result["arrays"], result["cells"], result["conversions"]) == (arrays, cells, columns)


@settings(max_examples=200, deadline=None)
@given(rows(), specs())
def test_outputs_are_finite_and_terms_add_up(row: Row, spec: CrossbarSpec) -> None:
    result = run(row, spec)
    assert all(math.isfinite(value) and value >= 0 for value in result.values())
    assert sum(result[term] for term in MODEL.energy_terms) == pytest.approx(result["energy_j"], rel=1e-12)
    assert result["latency_s"] >= result["interval_s"] >= max(result[term] for term in MODEL.time_terms)


@given(specs())
@settings(max_examples=50, deadline=None)
def test_no_work_costs_nothing(spec: CrossbarSpec) -> None:
    assert set(run(Row(Kind.COPY), spec).values()) == {0.0}


@settings(max_examples=200, deadline=None)
@given(rows(kinds=("static",)), specs())
def test_latency_is_never_below_peak(row: Row, spec: CrossbarSpec) -> None:
    table = CrossbarSpec.to_table([spec])
    result = run(row, spec)
    peak = peak_macs_per_s(table, weight_bits=row.weight_bits, activation_bits=row.activation_bits)[0]
    needed = max(result["arrays"] / arrays_on_chip(table)[0], 1.0)
    assert result["latency_s"] * needed >= row.macs / peak * (1 - 1e-12)


@settings(max_examples=200, deadline=None)
@given(rows(kinds=("static",)), specs(), st.integers(1, 13), st.sampled_from(["survey", "isaac"]))
def test_more_adc_bits_always_cost_more(row: Row, spec: CrossbarSpec, bits: int, model: Any) -> None:
    less, more = (run(row, spec.model_copy(update={"adc_model": model, "adc_bits": b})) for b in (bits, bits + 1))
    assert more["energy_j"] > less["energy_j"]
    assert more["adc_j"] > less["adc_j"]
    assert more["latency_s"] == less["latency_s"]


@settings(max_examples=200, deadline=None)
@given(
    rows(),
    specs(),
    st.sampled_from(["clock_hz", "adc_samples_per_s", "io_bytes_per_s", "duplication", "tiles", "read_time_s"]),
)
def test_faster_is_never_slower(row: Row, spec: CrossbarSpec, name: str) -> None:
    value = getattr(spec, name)
    better = spec.model_copy(update={name: value / 2 if name == "read_time_s" else value * 2})
    assert run(row, better)["latency_s"] <= run(row, spec)["latency_s"] * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(rows(kinds=("static",)), specs(), st.integers(5, 9))
def test_twice_the_rows_never_convert_more(row: Row, spec: CrossbarSpec, exponent: int) -> None:
    small, large = (
        run(row, spec.model_copy(update={"array_rows": 2**e, "active_rows": 0})) for e in (exponent, exponent + 1)
    )
    assert large["conversions"] <= small["conversions"]
    if row.k > 2**exponent:
        assert large["conversions"] < small["conversions"]


@settings(max_examples=100, deadline=None)
@given(rows(), specs(), st.floats(0, 1))
def test_accuracy_knobs_cost_nothing(row: Row, spec: CrossbarSpec, sigma: float) -> None:
    changed = spec.model_copy(update={"conductance_sigma": sigma, "adc_calibrated": True})
    assert run(row, changed) == run(row, spec)


def test_kernel_and_chip_name_the_same_columns() -> None:
    assert kernel.Chip._fields == ChipTable._fields


def test_a_full_chip_draws_its_peak_power() -> None:
    """One layer that fills every array of an offset-free chip: array, DAC and ADC power are those of the roll-up."""
    spec = CrossbarSpec(sign_scheme="differential", tiles=2, leakage_fraction=0.0, pipeline_cycles=0)
    table = CrossbarSpec.to_table([spec])
    row = gemm(1000, 8, 128, groups=int(arrays_on_chip(table)[0]), weight_bits=16, activation_bits=16)
    result = run(row, spec)
    assert result["cells"] == result["arrays"] * 128 * 128
    power = dict(zip(Parts._fields, peak_power_w(table)[0] * spec.tiles * spec.imas_per_tile, strict=True))
    for part in ("array", "dac", "adc", "sample_hold"):
        assert result[f"{part}_j"] / result["latency_s"] == pytest.approx(power[part], rel=1e-12)
    registers = sum(power[part] for part in ("input_register", "output_register"))
    registers += power["tile_register"] / spec.imas_per_tile
    assert result["register_j"] / result["latency_s"] == pytest.approx(registers, rel=1e-12)
    assert result["energy_j"] / result["latency_s"] <= chip_sum(table, peak_power_w(table))[0]


def test_listed_pairs_equal_all_pairs() -> None:
    rng = np.random.default_rng(0)
    layers = Layers.of([gemm(40, 70, 300), gemm(9, 1, 9, groups=32), gemm(4, 80, 40, steps=5), Row(Kind.POOL)])
    table = CrossbarSpec.table_from(CrossbarSpec(), {"array_rows": np.array([32, 100, 128])})
    out, choice = np.zeros((3, 4, len(METRICS))), np.zeros((3, 4), np.int16)
    MODEL.cost(layers, table, np.zeros(0), out, choice)
    config, layer = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    listed, listed_choice = np.zeros((50, len(METRICS))), np.zeros(50, np.int16)
    MODEL.cost_at(layers, table, layer, config, np.zeros(0), listed, listed_choice)
    np.testing.assert_array_equal(listed, out[config, layer])
    np.testing.assert_array_equal(listed_choice, choice[config, layer])
    np.testing.assert_array_equal(choice[0], [1, 1, 1, 0])
