"""The kernel against a plain twin written from the equations, a brute-force mapping, and the physical laws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.families.crossbar import kernel as kernel_module
from hwmodels.families.crossbar.chip import Parts, chip_table
from hwmodels.families.crossbar.converter import ADC_MODELS
from hwmodels.families.crossbar.devices import CELL_DEVICES
from hwmodels.families.crossbar.model import MODEL, arrays_on_chip, chip_sum, peak_macs_per_s, peak_power_w
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

METRICS = MODEL.layer_metrics


def run(row: Row, spec: CrossbarSpec) -> dict[str, float]:
    out, choice = np.full((1, 1, len(METRICS)), np.nan), np.zeros((1, 1), np.int16)
    MODEL.layerwise.cost(Layers.of([row]), CrossbarSpec.to_table([spec]), np.zeros(0), out, choice)
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
    if kind == "static" and draw(st.booleans()):
        kernel, pad, stride = draw(st.integers(1, 5)), draw(st.integers(0, 2)), draw(st.integers(1, 3))
        size = draw(st.integers(kernel, 40))
        out = (size + 2 * pad - kernel) // stride + 1
        window = {"kernel_h": kernel, "kernel_w": kernel, "pad_h": pad, "pad_w": pad, "stride_h": stride}
        flags |= {**window, "stride_w": stride, "in_h": size, "in_w": size, "out_h": out, "out_w": out}
        m, k = batch * out * out, draw(st.integers(1, 300)) * kernel**2
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
        adc_model=draw(st.sampled_from(ADC_MODELS)),
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
        static_power=draw(st.sampled_from(["fraction", "parts"])),
        leakage_fraction=draw(st.sampled_from([0.0, 0.02, 0.7])),
        leakage_scale=draw(st.sampled_from([1.0, 1e4])),
        endurance_writes=draw(st.sampled_from([1e8, 1e16])),
        mean_hops=draw(st.sampled_from([0.0, 1.0, 3.7])),
        circuit=draw(st.sampled_from(["table", "gates"])),
        compute=draw(st.sampled_from(["analogue", "adder_tree", "adder_chain"])),
        product=draw(st.sampled_from(["and", "xnor"])),
        merge_slices=draw(st.booleans()),
        supply_v=draw(st.sampled_from([0.6, 0.9, 1.1])),
        input_bit_density=draw(st.sampled_from([0.5, 0.2])),
        mean_level=draw(st.sampled_from([0.5, 0.7])),
        unit_capacitors=draw(st.sampled_from([1.0, 3.0])),
        column_reads=draw(st.sampled_from(["held", "repeated"])),
        reads_per_conversion=draw(st.sampled_from([1, 31])),
        input_form=draw(st.sampled_from(["level", "pulse"])),
        bitline_f_per_cell=draw(st.sampled_from([0.0, 2e-16])),
        cell_current_a=draw(st.sampled_from([0.0, 1e-6])),
        converter_current_a=draw(st.sampled_from([0.0, 2e-5])),
        read_activity=draw(st.sampled_from([1.0, 0.2])),
        node_law=draw(st.sampled_from(["linear", "saturating"])),
        multiplier=draw(st.sampled_from(["selected", "adders"])),
        gate_overhead=draw(st.sampled_from([1.0, 1.7])),
        gate_area=draw(st.sampled_from([1.0, 0.2])),
        line_mm2=draw(st.sampled_from([0.0, 3e-5])),
        control_mm2=draw(st.sampled_from([0.0, 0.02])),
        roadmap=draw(st.sampled_from(["hp", "lstp"])),
        cell_device=draw(st.sampled_from(["custom", *CELL_DEVICES])),
        weights=draw(st.sampled_from(["resident", "reloaded"])),
        dynamic_operands=draw(st.sampled_from(["digital", "arrays"])),
        scratch_tiles=draw(st.integers(1, 8)),
        packing=draw(st.sampled_from(["none", "block_diagonal"])),
        kernel_mapping=draw(st.sampled_from(["unrolled", "split"])),
        interconnect=draw(st.sampled_from(["mesh", "htree"])),
        idle_leakage_share=draw(st.sampled_from([1.0, 0.3])),
        dram_j_per_bit=draw(st.sampled_from([0.0, 4e-12])),
        buffer_bytes=draw(st.sampled_from([0, 64, 65536])),
        compat=draw(st.sampled_from(["none", "neurosim_padding"])),
    )


def ceil(a: float, b: float) -> int:
    return math.ceil(a / b)


def twin_active(spec: CrossbarSpec) -> int:
    return min(spec.active_rows or spec.array_rows, spec.array_rows)


def twin_scale(spec: CrossbarSpec) -> float:
    return spec.node_nm / spec.component_node_nm * (spec.supply_v / 0.9) ** 2


def twin_slower(spec: CrossbarSpec) -> float:
    return (0.9 / spec.supply_v) ** 1.1


def twin_ones(spec: CrossbarSpec) -> float:
    p, g = spec.input_bit_density, spec.mean_level
    return p * g if spec.product == "and" else p * g + (1 - p) * (1 - g)


def twin_adc(spec: CrossbarSpec) -> tuple[float, float, float]:
    """README, "ADC": energy, area and time of a conversion."""
    n, node, volt, rate = spec.adc_bits, spec.node_nm, spec.supply_v, spec.adc_samples_per_s
    supply, ratio = (volt / 0.9) ** 2, node / spec.component_node_nm
    sar_mm2 = 10 ** (1.206 - 0.0369 * n) * 2**n * 1e-6 * node / 28
    if spec.adc_model == "isaac":
        law = 0.9375 * n / 8 + 0.0625 * 2.0**n / 256
        area = 0.0012 * (0.5448 * n / 8 + 0.4552 * 2.0**n / 256) * (node / 32) ** 0.9932795
        return 1.5625e-12 * law * (node / 32) ** 1.8800369 * supply, area, twin_slower(spec) / rate
    if spec.adc_model == "sar_28nm":
        energy = (100 * n + 0.001 * 4**n) * volt**2 * 1e-15 * node / 28
        return energy, sar_mm2, n * (0.00653 * twin_active(spec) + 0.64) * 1e-9
    if spec.adc_model == "sar_roadmap":
        ohm = spec.cell_on_ohm / (twin_active(spec) * spec.input_bit_density * spec.mean_level)
        a, c, k, s = twin_roadmap(spec)
        power = (a * n + c) * 1e-6 + k * math.exp(s * math.log10(ohm))
        return power * (n + 1) * 1e-9, (478 + 182 * (n - 1)) * 213 * node**2 * 1e-12, (n + 1) * 1e-9
    if spec.adc_model == "flash":
        levels = 2**n - 1
        energy, area = levels * spec.sense_amp_j * ratio * supply, levels * spec.sense_amp_mm2 * ratio**2
        return energy, area * (1 + levels / 390), 1e-9 * (1 + levels / 227)
    if spec.adc_model == "walden":
        return spec.adc_step_j * 2**n * volt**2, sar_mm2, twin_slower(spec) / rate
    if spec.adc_model == "capacitive":
        farad = spec.adc_step_f * 2**n + spec.reads_per_conversion * spec.adc_fixed_f
        decided = 1 + max(n - math.log2(spec.reads_per_conversion), 0)
        area = decided * spec.adc_area_f2 * node**2 * 1e-12
        return farad * twin_capacitance(spec) * volt**2, area, twin_slower(spec) / rate
    bits = max(n, 4)
    fom = min(213.78067 - 2.8719 * math.log(rate), 128.30684 + 3.220512 * bits)
    picojoule = 0.5 * 10 ** ((6.0206 * bits + 1.7609 - fom) / 10)
    picojoule *= math.exp(26.0496216 - 1.4702022) * node**1.8800369 / bits**2.8291256 * min(n / 4, 1)
    area = 1e-6 * math.exp(1.3461916) * node**0.9932795 * rate**0.1807154 * picojoule**0.2991243
    return picojoule * 1e-12 * supply, area, twin_slower(spec) / rate


def twin_roadmap(spec: CrossbarSpec) -> list[float]:
    """Published coefficients at published nodes, geometric between them."""
    table = {
        "hp": {7: (0.2008, 0.6823, 0.04031, 2.311), 10: (0.3076, 1.1543, 0.049418, 2.311),
               14: (0.471, 1.9529, 0.060584, 2.311), 22: (0.7213, 3.3041, 0.084273, 2.311),
               32: (1.0157, 7.6286, 0.083709, 2.313), 45: (2.1843, 11.931, 0.097754, 2.296),
               65: (2.9503, 22.047, 0.128483, 2.321), 90: (4.3474, 31.782, 0.1649, 2.345),
               130: (6.4806, 49.047, 0.207452, 2.367)},
        "lstp": {7: (0.1061, 0.8847, 0.043555, 2.303), 10: (0.1823, 1.5073, 0.05158, 2.303),
                 14: (0.3132, 2.5681, 0.061085, 2.303), 22: (0.538, 4.3753, 0.072341, 2.303),
                 32: (1.1294, 8.8998, 0.079449, 2.297), 45: (2.1691, 16.693, 0.100225, 2.303),
                 65: (3.7506, 25.844, 0.121272, 2.303), 90: (5.9869, 37.462, 0.144323, 2.303),
                 130: (8.4483, 65.243, 0.16938, 2.303)},
    }[spec.roadmap]  # fmt: skip
    node = min(max(spec.node_nm, 7.0), 130.0)
    below = max(known for known in table if known <= node)
    above = min(known for known in table if known >= node)
    share = math.log(node / below) / math.log(above / below) if above > below else 0.0
    found = [low ** (1 - share) * high**share for low, high in zip(table[below], table[above], strict=True)]
    return [*found[:3], -found[3]]


def twin_capacitance(spec: CrossbarSpec) -> float:
    """Of a gate against 28 nm; FinFETs of 22 nm and below shrink by the power 0.34."""
    if spec.node_law == "linear" or spec.node_nm > 22:
        return spec.node_nm / 28
    return 22 / 28 * (spec.node_nm / 22) ** 0.34


def twin_nand2(spec: CrossbarSpec) -> float:
    overhead = spec.gate_overhead if spec.circuit == "gates" else 1.0
    return 0.7e-15 * twin_capacitance(spec) * spec.supply_v**2 * overhead


def twin_adders(spec: CrossbarSpec, weight_bits: int) -> float:
    """Full adders behind one weight of so many bits."""
    rows, width = twin_active(spec), weight_bits + spec.dac_bits - 1
    product = rows * weight_bits * (spec.dac_bits - 1) if spec.multiplier == "adders" else 0
    if spec.compute == "adder_chain":
        return product + rows * (width + math.ceil(math.log2(rows)))
    return product + rows * (width + 1) - (width + math.log2(rows) + 1)


def twin_bit_adders(spec: CrossbarSpec) -> float:
    """Full adders that one more bit of the weight takes."""
    rows = twin_active(spec)
    product = rows * (spec.dac_bits - 1) if spec.multiplier == "adders" else 0
    return product + rows - (0 if spec.compute == "adder_chain" else 1)


def twin_events(spec: CrossbarSpec) -> dict[str, float]:
    """README, "Energies": one cell, row, sample, sum and word; a sum at the widest weight."""
    scale, volt2, adds = twin_scale(spec), spec.supply_v**2, spec.compute != "analogue"
    nand2, reads = twin_nand2(spec), spec.reads_per_conversion
    gate = (1.5 if spec.product == "xnor" else 1.0) * nand2
    e = {"adc": twin_adc(spec)[0], "sample_hold": 0.0 if adds else spec.sample_hold_j * scale, "column": 0.0}
    if adds:
        e["adc"] = twin_adders(spec, spec.weight_bits) * 6 * nand2 * twin_ones(spec)
    if spec.circuit == "gates":
        once_s, active = spec.read_time_s * twin_slower(spec), spec.read_activity
        merged = 0 if spec.merge_slices else spec.weight_bits
        width = spec.adc_bits + merged + spec.activation_bits
        if adds:
            width = (
                spec.weight_bits + spec.dac_bits - 1 + math.ceil(math.log2(twin_active(spec))) + spec.activation_bits
            )
        pulses = math.sqrt(spec.dac_bits) if spec.input_form == "pulse" else 1
        charge = 28 * twin_capacitance(spec) * spec.cell_f_per_nm * spec.unit_capacitors * volt2 * pulses
        charge += spec.cell_current_a * spec.supply_v * once_s
        e["cell"] = reads * active * twin_ones(spec) * (gate if adds else charge)
        dac_bits = spec.dac_bits if spec.dac_bits > 1 else 0
        if adds:
            return e | {"adc": e["adc"] * active, "dac": 0.0, "shift_add": width * 9 * nand2 / 2 * active}
        e["adc"] = active * (e["adc"] + reads * spec.converter_current_a * spec.supply_v * once_s)
        e["column"] = reads * active * spec.array_rows * spec.bitline_f_per_cell * twin_capacitance(spec) * volt2
        e["dac"] = reads * active * spec.dac_f_per_bit * dac_bits * volt2 * twin_capacitance(spec)
        return e | {"sample_hold": 0.0, "shift_add": width * 9 * nand2 / 2 * active}
    e["cell"] = reads * spec.cell_read_w * spec.read_time_s * volt2 / 0.81 * twin_ones(spec) / 0.25
    if spec.adc_model == "sar_roadmap":
        e["cell"] = 0.0
    e["dac"] = reads * spec.dac_j * (2**spec.dac_bits - 1) * scale * spec.input_bit_density / 0.5
    return e | {"shift_add": spec.shift_add_j * scale}


def twin_conversion_s(spec: CrossbarSpec) -> float:
    return 0.0 if spec.compute != "analogue" else twin_adc(spec)[2]


def twin_merges(spec: CrossbarSpec) -> bool:
    return spec.merge_slices or spec.compute != "analogue"


def twin_words(spec: CrossbarSpec) -> int:
    """Weights of the widest width in a row."""
    polarity = 2 if spec.sign_scheme == "differential" else 1
    return spec.array_cols // (ceil(spec.weight_bits, spec.cell_bits) * polarity)


def twin_peak_power(spec: CrossbarSpec) -> float:
    """README, "Chip": events at full rate times their energy."""
    scale, e, clock = twin_scale(spec), twin_events(spec), spec.clock_hz / twin_slower(spec)
    active = twin_active(spec)
    outputs = twin_words(spec)
    sums = max(outputs, 1) if twin_merges(spec) else spec.array_cols
    turns = min(spec.columns_per_adc, sums) if spec.column_reads == "repeated" else 1
    cycle = max(
        spec.read_time_s * spec.reads_per_conversion * twin_slower(spec) * turns,
        min(spec.columns_per_adc, spec.array_cols) * twin_conversion_s(spec),
    )
    word_time = cycle * ceil(spec.activation_bits, spec.dac_bits) * ceil(spec.array_rows, active)
    of_row = turns * e["dac"] + spec.dac_bits * spec.input_register_j_per_bit * scale
    of_array = sums * (e["adc"] + e["sample_hold"] + e["shift_add"])
    of_array = (of_array + active * of_row + spec.array_cols * (active * e["cell"] + e["column"])) / cycle
    out_bits = outputs * spec.activation_bits / word_time
    of_array += out_bits * (spec.output_register_j_per_bit + spec.tile_register_j_per_bit) * scale
    per_clock = spec.buffer_bus_bits * spec.buffer_j_per_bit + spec.bus_wires * spec.bus_j_per_bit
    per_clock += spec.flit_bits * spec.router_ports * spec.router_j_per_bit / spec.tiles_per_router
    per_clock += spec.digital_lanes * spec.digital_op_j
    tile = spec.imas_per_tile * spec.arrays_per_ima * of_array + per_clock * clock * scale
    return spec.tiles * tile + 8 * spec.io_bytes_per_s * (spec.io_j_per_bit + spec.dram_j_per_bit)


def twin_tile_parts(spec: CrossbarSpec) -> dict[str, float]:
    """README, "Chip", in mm², by what leaks alike: converters, adders, cells, wires, and the rest."""
    shrink, small = spec.node_nm / spec.component_node_nm, (spec.node_nm / 28) ** 2
    outputs, of_gates = twin_words(spec), spec.circuit == "gates"
    converted = max(outputs, 1) if twin_merges(spec) else spec.array_cols
    shared = min(spec.columns_per_adc, converted)
    sums = ceil(outputs, shared) if spec.column_reads == "repeated" else outputs
    small *= spec.gate_area if of_gates else 1
    adder, register = 7.8 * 0.614e-6 * small, 6 * 0.614e-6 * small
    part = dict.fromkeys(("converters", "sums", "cells", "wires", "other"), 0.0)
    if spec.compute == "analogue":
        part["converters"] = ceil(converted, shared) * twin_adc(spec)[1]
        width = spec.adc_bits + (0 if spec.merge_slices else spec.weight_bits) + spec.activation_bits
    else:
        part["sums"] = twin_adders(spec, spec.weight_bits) * sums * adder
        width = spec.weight_bits + spec.dac_bits - 1 + math.ceil(math.log2(twin_active(spec))) + spec.activation_bits
    cell = CELL_DEVICES[spec.cell_device].area_f2 if spec.cell_device != "custom" else spec.cell_area_f2
    cell_mm2 = cell * spec.node_nm**2 * 1e-12
    if of_gates:
        cell_mm2 += (1.5 if spec.product == "xnor" else 1) * 0.614e-6 * small
        part["sums"] += sums * width * (adder + register)
        part["other"] = (spec.array_rows + spec.array_cols) * spec.line_mm2 * spec.node_nm / 28
        part["cells"] = spec.control_mm2 * spec.node_nm / 28
    else:
        part["other"] = spec.array_rows * spec.dac_mm2 * (2**spec.dac_bits - 1) * shrink
        part["other"] += spec.array_cols * spec.sample_hold_mm2 * shrink
    part["cells"] += spec.array_rows * spec.array_cols * cell_mm2
    if of_gates and spec.node_law == "saturating" and spec.node_nm < 22:
        part = {name: mm2 * (22 / spec.node_nm) ** 0.38 for name, mm2 in part.items()}
    part["other"] += spec.array_rows * spec.activation_bits * spec.input_register_mm2_per_bit * shrink**2
    words_mm2 = spec.output_register_mm2_per_bit + spec.tile_register_mm2_per_bit
    part["other"] += outputs * spec.activation_bits * words_mm2 * shrink**2
    part = {name: spec.arrays_per_ima * mm2 for name, mm2 in part.items()}
    part["sums"] += 0 if of_gates else spec.shift_adds_per_ima * spec.shift_add_mm2 * shrink**2
    part = {name: spec.imas_per_tile * mm2 for name, mm2 in part.items()}
    part["other"] += spec.buffer_mm2 * shrink**2
    part["wires"] = (spec.bus_wires * spec.bus_mm2_per_wire + spec.router_mm2 / spec.tiles_per_router) * shrink**2
    part["sums"] += spec.digital_lanes * spec.digital_lane_mm2 * shrink**2
    return part


def twin_tile_area(spec: CrossbarSpec) -> float:
    return sum(twin_tile_parts(spec).values())


def twin_static_power(spec: CrossbarSpec) -> float:
    """README, "Static power": µW a mm² of each kind of part at 22 nm, pW a cell of SRAM."""
    part, node = twin_tile_parts(spec), spec.node_nm
    exponent = math.log(2.07) / math.log(14 / 22) if node < 22 else math.log(0.751) / math.log(32 / 22)
    factor = (node / 22) ** exponent * spec.leakage_scale * spec.supply_v / 0.9 * (1000 if spec.roadmap == "hp" else 1)
    microwatt = 94.5 * part["sums"] + 2.8 * part["converters"] + 0.03 * part["wires"] + 10 * part["other"]
    sram = spec.endurance_writes > 1e10 if spec.cell_device == "custom" else spec.cell_device.startswith("sram")
    cells = spec.imas_per_tile * spec.arrays_per_ima * spec.array_rows * spec.array_cols * sram
    return spec.tiles * factor * (1e-6 * microwatt + 6.8e-12 * cells)


def twin_area(spec: CrossbarSpec) -> float:
    return spec.tiles * twin_tile_area(spec) + spec.io_mm2


def twin_route_j(spec: CrossbarSpec) -> float:
    """README, "Energies": a bit of output to the next layer."""
    if spec.interconnect == "mesh":
        return spec.mean_hops * spec.router_j_per_bit * twin_scale(spec)
    levels = math.ceil(math.log2(spec.tiles**0.5))
    path_mm = twin_tile_area(spec) ** 0.5 * spec.tiles**0.5 * (1 - 0.5**levels)
    return path_mm * spec.wire_j_per_bit_mm * twin_scale(spec)


def twin(row: Row, spec: CrossbarSpec) -> dict[str, float]:
    """README, "Mapping", "Times" and "Energies", in plain Python."""
    e = dict.fromkeys(METRICS, 0.0)
    of_peak = spec.leakage_fraction if spec.static_power == "fraction" else 0.0
    share, scale, clock = 1 - of_peak, twin_scale(spec), spec.clock_hz / twin_slower(spec)
    bw, ba = min(row.weight_bits, spec.weight_bits), min(row.activation_bits, spec.activation_bits)
    event, busy = twin_events(spec), 1.0
    read_s = spec.read_time_s * spec.reads_per_conversion * twin_slower(spec)
    conversion_s = twin_conversion_s(spec)
    dynamic, reloaded = bool(row.dynamic_operand), spec.weights == "reloaded"
    if row.macs and (not dynamic or spec.dynamic_operands == "arrays"):
        polarity = 2 if spec.sign_scheme == "differential" else 1
        unit = 0 if polarity == 2 or spec.circuit == "gates" or spec.compute != "analogue" else 1
        active = twin_active(spec)
        w, slices = ceil(bw, spec.cell_bits) * polarity, ceil(ba, spec.dac_bits)
        a_row, m = spec.array_cols // w, row.m
        if spec.compat == "neurosim_padding" and row.pad_h + row.pad_w > 0:
            items = max(row.m // (row.out_h * row.out_w), 1)
            m = items * max((row.in_h - row.kernel_h) // row.stride_h + 1, 1) ** 2
        subs = row.kernel_h * row.kernel_w
        if spec.kernel_mapping == "unrolled" or row.k % subs or row.k <= spec.array_rows:
            subs = 1
        depth = row.k // subs
        tr, tc = ceil(depth, spec.array_rows), ceil(row.n, a_row)
        heights = [min(spec.array_rows, depth - i * spec.array_rows) for i in range(tr)]
        reads = [ceil(height, active) for height in heights]
        in_array, at_once, longest = 1, 1, max(reads)
        if spec.packing == "block_diagonal" and row.groups > 1 and subs == 1 and row.k <= active and tc == 1:
            in_a_read = active // row.k
            in_array = max(1, min(row.groups, a_row // row.n, in_a_read * (spec.array_rows // active)))
            at_once = min(in_a_read, in_array)
            longest = ceil(in_array, at_once)
        tr *= subs
        copies = max(1, min(spec.duplication, ceil(ceil(m, row.batch), spec.vectors_per_copy)))
        copies = 1 if dynamic else copies
        arrays = copies * ceil(row.groups, in_array) * tr * tc
        tiles_for_it = min(spec.scratch_tiles, spec.tiles) if dynamic else spec.tiles
        written = dynamic or reloaded
        passes = ceil(arrays, spec.arrays_per_ima * spec.imas_per_tile * tiles_for_it) if written else 1
        v = m * row.sequential_steps * row.groups
        sums = 1 if twin_merges(spec) else w
        columns, converted = row.n * w + unit * tc, row.n * sums + unit * tc
        conversions = v * slices * subs * sum(reads) * converted
        once = spec.circuit == "gates" and slices == 1 and sums == 1
        adds = (0 if once else conversions) + v * row.n * (tr - 1)
        imas = min(ceil(arrays, spec.arrays_per_ima), spec.imas_per_tile * spec.tiles)
        tiles = min(ceil(arrays, spec.arrays_per_ima * spec.imas_per_tile), spec.tiles)
        slots = ceil(m, copies) * row.sequential_steps * slices * longest * passes
        shared = min(spec.columns_per_adc, spec.array_cols, at_once * min(row.n, a_row) * sums)
        turns, conversion = shared if spec.column_reads == "repeated" else 1, shared * conversion_s
        shift_rate = spec.shift_adds_per_ima * spec.shift_add_inputs * clock
        sent = v * row.n * ba
        moved = v * (row.k / (row.kernel_w if subs > 1 else 1) + row.n) * ba
        cells = copies * row.groups * row.k * row.n * w
        e |= {"arrays": 0 if written else arrays, "cells": cells, "conversions": conversions}
        if written:
            device = CELL_DEVICES.get(spec.cell_device)
            cell_j, row_s = (device.write_j, device.row_write_s) if device else (spec.cell_write_j, spec.row_write_s)
            e |= {"cell_writes": passes, "write_j": cells * cell_j}
            e["write_s"] = min(spec.array_rows, ceil(row.k, subs) * in_array) * passes * row_s
        else:
            busy = min(1.0, arrays / (spec.arrays_per_ima * spec.imas_per_tile * spec.tiles))
        sum_j = event["adc"]
        if spec.compute != "analogue":
            bit_j = twin_bit_adders(spec) * 6 * twin_nand2(spec) * twin_ones(spec)
            bit_j *= spec.read_activity if spec.circuit == "gates" else 1
            sum_j -= (spec.weight_bits - bw) * bit_j
        e |= {"array_s": slots * turns * read_s, "adc_s": slots * conversion, "shift_add_s": adds / imas / shift_rate}
        e["fill_s"] = row.sequential_steps * spec.pipeline_cycles * max(turns * read_s, conversion)
        e["array_j"] = v * slices * (row.k * event["cell"] + subs * sum(reads) * event["column"]) * columns * share
        e["dac_j"] = v * slices * row.k * tc * turns * event["dac"] * share
        e["sample_hold_j"] = conversions * event["sample_hold"] * share
        e["adc_j"] = conversions * sum_j * share
        e["shift_add_j"] = adds * event["shift_add"] * share
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
    e["buffer_s"] = moved / (tiles * spec.buffer_bus_bits * clock)
    e["interconnect_s"] = sent / (tiles * spec.flit_bits * clock)
    e["digital_s"] = (row.vector_ops + mac_ops) / (spec.tiles * spec.digital_lanes * clock)
    e["buffer_j"] = moved * spec.buffer_j_per_bit * scale * share
    e["interconnect_j"] = (bus * scale + sent * twin_route_j(spec)) * share
    e["digital_j"] = (row.vector_ops * spec.digital_op_j + mac_j) * scale * share
    off = (row.input_offchip * row.input_elements + row.output_offchip * row.output_elements) * ba
    if spec.buffer_bytes:
        excess = (row.input_elements + row.output_elements) * ba - 8 * spec.buffer_bytes * spec.tiles
        off += 2 * max(excess, 0)
    if reloaded and row.macs and not dynamic:
        off += row.weight_elements * bw
    e["io_s"] = off / 8 / spec.io_bytes_per_s
    e["io_j"] = off * (spec.io_j_per_bit + spec.dram_j_per_bit) * share
    matrix = max(e[f"{term}_s"] for term in ("array", "adc", "shift_add", "buffer", "interconnect", "io"))
    if row.sequential_steps > 1:
        e["stage_s"] = e["latency_s"] = matrix + e["digital_s"] + e["write_s"] + e["fill_s"]
    else:
        e["stage_s"] = max(matrix, e["digital_s"]) + e["write_s"]
        e["latency_s"] = e["stage_s"] + e["fill_s"]
    static_w = of_peak * twin_peak_power(spec) if spec.static_power == "fraction" else twin_static_power(spec)
    e["leakage_j"] = static_w * e["latency_s"]
    e["leakage_j"] *= busy + (1 - busy) * spec.idle_leakage_share
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

    An array takes rows of one group (and, where kernels are split, of one kernel position) from the top and weights of
    that row block from the left; a weight that does not fit whole opens the next array. On the diagonal of an array
    stand as many groups as one read has rows for and the columns hold.
    """
    slices = -(-min(row.weight_bits, spec.weight_bits) // spec.cell_bits)
    slices *= 2 if spec.sign_scheme == "differential" else 1
    kernel = row.kernel_h * row.kernel_w
    splits = spec.kernel_mapping == "split" and row.k > spec.array_rows
    placed: dict[tuple[int, ...], set[tuple[int, int]]] = {}
    corner, bank = (0, 0), 0
    for _ in range(row.groups):
        packs = spec.packing == "block_diagonal" and not splits and row.k <= spec.array_rows
        packs = packs and row.groups > 1 and row.n * slices <= spec.array_cols - spec.array_cols % slices
        if not packs or corner[0] + row.k > spec.array_rows or corner[1] + row.n * slices > spec.array_cols:
            corner, bank = (0, 0), bank + 1
        for i in range(row.k):
            position, line = divmod(i, row.k // kernel) if splits else (0, i)
            block, array_row = divmod(corner[0] + line, spec.array_rows)
            array, column = 0, corner[1]
            for _ in range(row.n):
                if column + slices > spec.array_cols:
                    array, column = array + 1, 0
                for _ in range(slices):
                    cell = (array_row, column)
                    assert cell not in placed.setdefault((bank, position, block, array), set())
                    placed[bank, position, block, array].add(cell)
                    column += 1
        if packs:
            corner = (corner[0] + row.k, corner[1] + row.n * slices)
    used = [len({column for _, column in cells}) for cells in placed.values()]
    unit = 0 if spec.sign_scheme == "differential" else (row.groups if corner != (0, 0) else len(placed))
    return len(placed), sum(map(len, placed.values())), sum(used) + unit, max(used)


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 12), st.sampled_from([1, 2, 3]), st.integers(1, 40), st.integers(1, 6), st.integers(1, 16),
    st.integers(1, 5), st.sampled_from(["offset", "differential"]), st.integers(32, 70), st.integers(32, 70),
    st.sampled_from(["unrolled", "split"]), st.sampled_from(["none", "block_diagonal"]),
)  # fmt: skip
def test_mapping_counts_equal_brute_force(
    channels: int, kernel: int, n: int, groups: int, weight_bits: int, cell_bits: int, scheme: Any, array_rows: int,
    array_cols: int, kernel_mapping: Any, packing: Any,
) -> None:  # fmt: skip
    window = {"kernel_h": kernel, "kernel_w": kernel}
    k = channels * kernel**2
    row = gemm(1, n, k, groups=groups, weight_bits=weight_bits, activation_bits=1, **window)
    spec = CrossbarSpec(
        array_rows=array_rows, array_cols=array_cols, cell_bits=cell_bits, sign_scheme=scheme,
        kernel_mapping=kernel_mapping, packing=packing,
    )  # fmt: skip
    arrays, cells, columns, widest = place_slices(row, spec)
    out = np.zeros((1, len(kernel_module.Mapping._fields)), np.int64)
    kernel_module.mapping(Layers.of([row]), chip_table(CrossbarSpec.to_table([spec])), out)
    fit = dict(zip(kernel_module.Mapping._fields, out[0].tolist(), strict=True))
    result = run(row, spec)
    assert (fit["arrays"], fit["cells"], fit["widest"]) == (arrays, cells, widest)
    assert (result["arrays"], result["cells"], result["conversions"]) == (arrays, cells, columns)


@settings(max_examples=200, deadline=None)
@given(rows(), specs())
def test_outputs_are_finite_and_terms_add_up(row: Row, spec: CrossbarSpec) -> None:
    result = run(row, spec)
    assert all(math.isfinite(value) and value >= 0 for value in result.values())
    assert sum(result[term] for term in MODEL.energy_terms) == pytest.approx(result["energy_j"], rel=1e-12)
    assert result["latency_s"] >= result["stage_s"] >= max(result[term] for term in MODEL.time_terms)


@given(specs())
@settings(max_examples=50, deadline=None)
def test_no_work_costs_nothing(spec: CrossbarSpec) -> None:
    assert set(run(Row(Kind.COPY), spec).values()) == {0.0}


@settings(max_examples=200, deadline=None)
@given(rows(kinds=("static",)), specs())
def test_latency_is_never_below_peak(row: Row, spec: CrossbarSpec) -> None:
    """NeuroSim's windows without padding compute less than the layer's MACs: exempt."""
    spec = spec.model_copy(update={"compat": "none"})
    table = CrossbarSpec.to_table([spec])
    result = run(row, spec)
    peak = peak_macs_per_s(table, weight_bits=row.weight_bits, activation_bits=row.activation_bits)[0]
    needed = max(result["arrays"] / arrays_on_chip(table)[0], 1.0)
    assert result["latency_s"] * needed >= row.macs / peak * (1 - 1e-12)


@settings(max_examples=200, deadline=None)
@given(rows(kinds=("static",)), specs(), st.integers(1, 13), st.sampled_from(ADC_MODELS))
def test_more_adc_bits_always_cost_more(row: Row, spec: CrossbarSpec, bits: int, model: Any) -> None:
    """Of all seven models; sums by digital adders have no ADC.

    Without leakage, a share of the peak power: a converter that takes longer for more bits lowers that.
    """
    spec = spec.model_copy(update={"adc_model": model, "compute": "analogue", "leakage_fraction": 0.0})
    less, more = (run(row, spec.model_copy(update={"adc_bits": b})) for b in (bits, bits + 1))
    assert more["energy_j"] > less["energy_j"]
    assert more["adc_j"] > less["adc_j"]
    assert more["latency_s"] >= less["latency_s"]


@settings(max_examples=200, deadline=None)
@given(
    rows(),
    specs(),
    st.sampled_from(["clock_hz", "adc_samples_per_s", "io_bytes_per_s", "duplication", "tiles", "read_time_s"]),
)
def test_faster_is_never_slower(row: Row, spec: CrossbarSpec, name: str) -> None:
    if name == "duplication":  # copies that must be written take their time
        spec = spec.model_copy(update={"weights": "resident"})
    value = getattr(spec, name)
    better = spec.model_copy(update={name: value / 2 if name == "read_time_s" else value * 2})
    assert run(row, better)["latency_s"] <= run(row, spec)["latency_s"] * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(rows(kinds=("static",)), specs(), st.integers(5, 9))
def test_twice_the_rows_never_convert_more(row: Row, spec: CrossbarSpec, exponent: int) -> None:
    unrolled = {"active_rows": 0, "kernel_mapping": "unrolled"}
    small, large = (
        run(row, spec.model_copy(update={"array_rows": 2**e, **unrolled})) for e in (exponent, exponent + 1)
    )
    assert large["conversions"] <= small["conversions"]
    if row.k > 2**exponent:
        assert large["conversions"] < small["conversions"]


@settings(max_examples=100, deadline=None)
@given(rows(), specs(), st.floats(0, 1))
def test_accuracy_knobs_cost_nothing(row: Row, spec: CrossbarSpec, sigma: float) -> None:
    changed = spec.model_copy(update={"conductance_sigma": sigma, "adc_calibrated": True})
    assert run(row, changed) == run(row, spec)


def test_packed_groups_that_no_single_read_holds_are_read_in_turn() -> None:
    """16 groups of 9 rows, 32 of 128 rows a read: 3 groups a read, 12 an array, 2 arrays, 4 reads one after another."""
    row = gemm(10, 2, 9, groups=16, weight_bits=2, activation_bits=1)
    spec = CrossbarSpec(active_rows=32, packing="block_diagonal", columns_per_adc=128)
    result = run(row, spec)
    assert result["arrays"] == 2
    assert result["array_s"] == pytest.approx(10 * 4 * spec.read_time_s, rel=1e-12)
    assert result["adc_s"] == pytest.approx(10 * 4 * 3 * 2 / spec.adc_samples_per_s, rel=1e-12)
    assert result["conversions"] == 10 * 16 * (2 + 1)


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
    MODEL.layerwise.cost(layers, table, np.zeros(0), out, choice)
    config, layer = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    listed, listed_choice = np.zeros((50, len(METRICS))), np.zeros(50, np.int16)
    MODEL.layerwise.cost_at(layers, table, layer, config, np.zeros(0), listed, listed_choice)
    np.testing.assert_array_equal(listed, out[config, layer])
    np.testing.assert_array_equal(listed_choice, choice[config, layer])
    np.testing.assert_array_equal(choice[0], [1, 1, 1, 0])
