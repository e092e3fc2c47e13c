"""Cost of one layer on one crossbar chip: mapping, peak power and area of the chip, times and energies.

Equations after ISAAC (Shafiee et al., ISCA 2016), the bit-slicing literature and the ADC survey regression; the
sources and what is NOT modelled stand in the README beside this file. Arithmetic only: numpy and numba.

Letters: R x Q array (rows x columns), Rp rows active at once, bc cell bits, bd DAC bits, s columns a slice (2 when
differential), u unit columns an array (1 for offset encoding); a layer is G groups of (m x k) times (k x n), repeated
`steps` times in sequence, with bw and ba weight and activation bits. Energies in J, times in s, areas in mm².
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = [
    "Chip",
    "Mapping",
    "Parts",
    "Terms",
    "Totals",
    "Work",
    "adc_area_mm2",
    "adc_energy_j",
    "components",
    "cost",
    "cost_at",
    "mapping",
]

F64 = npt.NDArray[np.float64]


class Parts(NamedTuple):
    """One number a component: W or mm²; the first seven per IMA, the next five per tile, the last per chip."""

    adc: float
    dac: float
    sample_hold: float
    array: float
    shift_add: float
    input_register: float
    output_register: float
    buffer: float
    bus: float
    router: float
    digital: float
    tile_register: float
    io: float


class Chip(NamedTuple):
    """One configuration with everything that does not depend on the layer: sizes, rates, energy per event."""

    rows: int
    columns: int
    active_rows: int
    cell_bits: int
    dac_bits: int
    columns_a_slice: int
    unit_columns: int
    columns_per_adc: int
    weight_bits: int
    activation_bits: int
    duplication: int
    vectors_per_copy: int
    arrays_per_ima: int
    imas_per_tile: int
    tiles: int
    pipeline_cycles: int
    read_s: float
    conversion_s: float
    shift_adds_per_s: float
    buffer_bits_per_s: float
    flit_bits_per_s: float
    digital_ops_per_s: float
    io_bits_per_s: float
    cell_j: float
    dac_j: float
    sample_hold_j: float
    adc_j: float
    shift_add_j: float
    input_register_j: float
    output_register_j: float
    tile_register_j: float
    buffer_j: float
    bus_j: float
    router_j: float
    mean_hops: float
    digital_op_j: float
    digital_mac_j: float
    io_j: float
    leakage_w: float


class Work(NamedTuple):
    """What the model reads of one layer; the columns of the same names in `Layers`."""

    batch: int
    groups: int
    m: int
    n: int
    k: int
    macs: int
    vector_ops: int
    weight_elements: int
    input_elements: int
    output_elements: int
    weight_bits: int
    activation_bits: int
    dynamic_operand: int
    sequential_steps: int
    input_offchip: int
    output_offchip: int


class Mapping(NamedTuple):
    """A static layer on arrays. Counts are of all copies; `widest` and `phases` are of the fullest array.

    columns_a_weight : ceil(bw / bc) s. input_slices : ceil(ba / bd). row_tiles : ceil(k / R).
    column_tiles : ceil(n / floor(Q / columns_a_weight)): the slices of a weight stay in one array.
    copies : min(duplication, ceil(positions / vectors_per_copy)), at least 1. arrays, cells : occupied.
    phases : reads of one input slice, ceil(min(k, R) / Rp). total_phases : their sum over the row tiles.
    """

    columns_a_weight: int
    input_slices: int
    row_tiles: int
    column_tiles: int
    copies: int
    arrays: int
    cells: int
    widest: int
    phases: int
    total_phases: int


class Terms(NamedTuple):
    """Counts, times (s) and energies (J) of one layer, per batch; what `_layer` makes into `Totals`."""

    arrays: float
    cells: float
    conversions: float
    array_s: float
    adc_s: float
    shift_add_s: float
    buffer_s: float
    interconnect_s: float
    digital_s: float
    fill_s: float
    array_j: float
    dac_j: float
    sample_hold_j: float
    adc_j: float
    shift_add_j: float
    register_j: float
    buffer_j: float
    interconnect_j: float
    digital_j: float


class Totals(NamedTuple):
    """One layer as a whole: s and J per batch. The last axis of the output is Totals, then Terms."""

    latency_s: float
    energy_j: float
    interval_s: float
    io_s: float
    io_j: float
    leakage_j: float


@njit(cache=True, nogil=True, error_model="numpy")
def _ceil(a: int, b: int) -> int:
    """ceil(a / b) of non-negative integers."""
    return (a + b - 1) // b


@njit(cache=True, nogil=True, error_model="numpy")
def adc_energy_j(model: int, bits: int, samples_per_s: float, node_nm: float) -> float:
    """Energy of one conversion, J.

    survey (0), n = max(bits, 4) as the regression was fitted from 4 bits on, E proportional to the bits below:
        SNDR = 6.0206 n + 1.7609                                                                          dB
        FoM  = min(213.78067 - 2.87190 ln f, 128.30684 + 3.220512 n)                                      dB
        E    = 0.5 10^((SNDR - FoM) / 10) exp(26.0496216 + 1.8800369 ln node - 2.8291256 ln n - 1.4702022)  pJ
    isaac (1), 2 mW at 1.28 GS/s, 8 bits and 32 nm [ISAAC Table I]; with the bits, a linear part (reference, logic,
    clock) and a capacitive DAC that doubles, 1/16 of the energy at 8 bits [SABERI]; node exponent of the survey:
        E    = 2 mW / 1.28 GS/s (15/16 bits/8 + 1/16 2^(bits - 8)) (node / 32)^1.8800369
    """
    if model == 1:
        law = 15.0 / 16.0 * bits / 8.0 + 2.0 ** (bits - 8) / 16.0
        return float(2e-3 / 1.28e9 * law * (node_nm / 32.0) ** 1.8800369)
    n = max(bits, 4)
    sndr_db = 6.0206 * n + 1.7609
    fom_db = min(213.78067 - 2.87190 * np.log(samples_per_s), 128.30684 + 3.220512 * n)
    exponent = 26.0496216 + 1.8800369 * np.log(node_nm) - 2.8291256 * np.log(n) - 1.4702022
    return float(1e-12 * 0.5 * 10.0 ** ((sndr_db - fom_db) / 10.0) * np.exp(exponent) * bits / n)


@njit(cache=True, nogil=True, error_model="numpy")
def adc_area_mm2(model: int, bits: int, samples_per_s: float, node_nm: float) -> float:
    """Area of one ADC, mm².

    survey (0): A = exp(1.3461916 + 0.9932795 ln node + 0.1807154 ln f + 0.2991243 ln E_pJ)  µm²
    isaac (1): 1200 µm² at 8 bits and 32 nm [ISAAC Table I], 0.4552 of it the capacitive DAC [SABERI]:
        A = 1200 (0.5448 bits/8 + 0.4552 2^(bits - 8)) (node / 32)^0.9932795                  µm²
    """
    if model == 1:
        law = 0.5448 * bits / 8.0 + 0.4552 * 2.0 ** (bits - 8)
        return float(1e-6 * 1200.0 * law * (node_nm / 32.0) ** 0.9932795)
    energy_pj = 1e12 * adc_energy_j(model, bits, samples_per_s, node_nm)
    exponent = 1.3461916 + 0.9932795 * np.log(node_nm) + 0.1807154 * np.log(samples_per_s)
    return float(1e-6 * np.exp(exponent + 0.2991243 * np.log(energy_pj)))


@njit(cache=True, nogil=True, error_model="numpy")
def _chip(configs: Any, c: int, active_share: float, leakage_w: float) -> Chip:
    """Configuration c; component energies scale with node / component_node, all but the I/O and the cells.

    active_share : the part of every energy that goes with its events; the rest is in `leakage_w`.
    """
    scale = active_share * configs.node_nm[c] / configs.component_node_nm[c]
    rows, clock_hz = configs.array_rows[c], configs.clock_hz[c]
    differential = configs.sign_scheme[c]
    wanted = configs.active_rows[c] if configs.active_rows[c] > 0 else rows
    samples_per_s = configs.adc_samples_per_s[c]
    adc_j = adc_energy_j(configs.adc_model[c], configs.adc_bits[c], samples_per_s, configs.node_nm[c])
    return Chip(
        rows=rows,
        columns=configs.array_cols[c],
        active_rows=min(wanted, rows),
        cell_bits=configs.cell_bits[c],
        dac_bits=configs.dac_bits[c],
        columns_a_slice=1 + differential,
        unit_columns=1 - differential,
        columns_per_adc=min(configs.columns_per_adc[c], configs.array_cols[c]),
        weight_bits=configs.weight_bits[c],
        activation_bits=configs.activation_bits[c],
        duplication=configs.duplication[c],
        vectors_per_copy=configs.vectors_per_copy[c],
        arrays_per_ima=configs.arrays_per_ima[c],
        imas_per_tile=configs.imas_per_tile[c],
        tiles=configs.tiles[c],
        pipeline_cycles=configs.pipeline_cycles[c],
        read_s=configs.read_time_s[c],
        conversion_s=1.0 / samples_per_s,
        shift_adds_per_s=configs.shift_adds_per_ima[c] * configs.shift_add_inputs[c] * clock_hz,
        buffer_bits_per_s=configs.buffer_bus_bits[c] * clock_hz,
        flit_bits_per_s=configs.flit_bits[c] * clock_hz,
        digital_ops_per_s=configs.digital_lanes[c] * clock_hz,
        io_bits_per_s=8.0 * configs.io_bytes_per_s[c],
        cell_j=configs.cell_read_w[c] * configs.read_time_s[c] * active_share,
        dac_j=configs.dac_j[c] * (2 ** configs.dac_bits[c] - 1) * scale,
        sample_hold_j=configs.sample_hold_j[c] * scale,
        adc_j=adc_j * active_share,
        shift_add_j=configs.shift_add_j[c] * scale,
        input_register_j=configs.input_register_j_per_bit[c] * scale,
        output_register_j=configs.output_register_j_per_bit[c] * scale,
        tile_register_j=configs.tile_register_j_per_bit[c] * scale,
        buffer_j=configs.buffer_j_per_bit[c] * scale,
        bus_j=configs.bus_j_per_bit[c] * scale,
        router_j=configs.router_j_per_bit[c] * scale,
        mean_hops=configs.mean_hops[c],
        digital_op_j=configs.digital_op_j[c] * scale,
        digital_mac_j=configs.digital_mac_j[c] * scale,
        io_j=configs.io_j_per_bit[c] * active_share,
        leakage_w=leakage_w,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _peak_power(configs: Any, c: int, chip: Chip) -> Parts:
    """Power of each component at its full rate, W: energy of an event times events a second.

    A read cycle is the longer of array read and conversions; a full array gives its outputs every
    ceil(ba / bd) ceil(R / Rp) cycles.
    """
    cycle_s = max(chip.read_s, chip.columns_per_adc * chip.conversion_s)
    columns_a_weight = _ceil(chip.weight_bits, chip.cell_bits) * chip.columns_a_slice
    conversions = chip.arrays_per_ima * chip.columns / cycle_s
    driven_rows = chip.arrays_per_ima * chip.active_rows / cycle_s
    words = chip.arrays_per_ima * (chip.columns // columns_a_weight) / cycle_s
    slots = _ceil(chip.activation_bits, chip.dac_bits) * _ceil(chip.rows, chip.active_rows)
    output_bits = words * chip.activation_bits / slots
    router_bits = chip.flit_bits_per_s * configs.router_ports[c] / configs.tiles_per_router[c]
    return Parts(
        adc=conversions * chip.adc_j,
        dac=driven_rows * chip.dac_j,
        sample_hold=conversions * chip.sample_hold_j,
        array=driven_rows * chip.columns * chip.cell_j,
        shift_add=conversions * chip.shift_add_j,
        input_register=driven_rows * chip.dac_bits * chip.input_register_j,
        output_register=output_bits * chip.output_register_j,
        buffer=chip.buffer_bits_per_s * chip.buffer_j,
        bus=configs.bus_wires[c] * configs.clock_hz[c] * chip.bus_j,
        router=router_bits * chip.router_j,
        digital=chip.digital_ops_per_s * chip.digital_op_j,
        tile_register=chip.imas_per_tile * output_bits * chip.tile_register_j,
        io=chip.io_bits_per_s * chip.io_j,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _area(configs: Any, c: int, chip: Chip) -> Parts:
    """Area of each component, mm²: digital with the square of the node, analogue in proportion; I/O is fixed."""
    shrink = configs.node_nm[c] / configs.component_node_nm[c]
    digital, arrays = shrink * shrink, chip.arrays_per_ima
    outputs = chip.columns // (_ceil(chip.weight_bits, chip.cell_bits) * chip.columns_a_slice)
    input_bits = arrays * chip.rows * chip.activation_bits
    output_bits = arrays * outputs * chip.activation_bits
    adc = adc_area_mm2(configs.adc_model[c], configs.adc_bits[c], configs.adc_samples_per_s[c], configs.node_nm[c])
    feature_mm2 = (1e-6 * configs.node_nm[c]) ** 2
    return Parts(
        adc=arrays * _ceil(chip.columns, chip.columns_per_adc) * adc,
        dac=arrays * chip.rows * configs.dac_mm2[c] * (2**chip.dac_bits - 1) * shrink,
        sample_hold=arrays * chip.columns * configs.sample_hold_mm2[c] * shrink,
        array=arrays * chip.rows * chip.columns * configs.cell_area_f2[c] * feature_mm2,
        shift_add=configs.shift_adds_per_ima[c] * configs.shift_add_mm2[c] * digital,
        input_register=input_bits * configs.input_register_mm2_per_bit[c] * digital,
        output_register=output_bits * configs.output_register_mm2_per_bit[c] * digital,
        buffer=configs.buffer_mm2[c] * digital,
        bus=configs.bus_wires[c] * configs.bus_mm2_per_wire[c] * digital,
        router=configs.router_mm2[c] / configs.tiles_per_router[c] * digital,
        digital=configs.digital_lanes[c] * configs.digital_lane_mm2[c] * digital,
        tile_register=chip.imas_per_tile * output_bits * configs.tile_register_mm2_per_bit[c] * digital,
        io=configs.io_mm2[c],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _chip_total(chip: Chip, parts: Parts) -> float:
    """tiles (imas_per_tile IMA + tile periphery) + I/O."""
    ima = parts.adc + parts.dac + parts.sample_hold + parts.array + parts.shift_add
    ima += parts.input_register + parts.output_register
    periphery = parts.buffer + parts.bus + parts.router + parts.digital + parts.tile_register
    return chip.tiles * (chip.imas_per_tile * ima + periphery) + parts.io


@njit(cache=True, nogil=True, error_model="numpy")
def _prepare(configs: Any, c: int) -> Chip:
    """Configuration c: the share f of the chip's peak power is always drawn, the rest goes with the events."""
    f = configs.leakage_fraction[c]
    whole = _chip(configs, c, 1.0, 0.0)
    return _chip(configs, c, 1.0 - f, f * _chip_total(whole, _peak_power(configs, c, whole)))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _work(layers: Any, i: int) -> Work:
    """Row i as scalars: passing the 33 arrays on would count references in the inner loop."""
    return Work(
        batch=layers.batch[i],
        groups=layers.groups[i],
        m=layers.m[i],
        n=layers.n[i],
        k=layers.k[i],
        macs=layers.macs[i],
        vector_ops=layers.vector_ops[i],
        weight_elements=layers.weight_elements[i],
        input_elements=layers.input_elements[i],
        output_elements=layers.output_elements[i],
        weight_bits=layers.weight_bits[i],
        activation_bits=layers.activation_bits[i],
        dynamic_operand=layers.dynamic_operand[i],
        sequential_steps=layers.sequential_steps[i],
        input_offchip=layers.input_offchip[i],
        output_offchip=layers.output_offchip[i],
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _mapping(layer: Work, chip: Chip) -> Mapping:
    """A layer as weight slices on arrays; the equations stand in `Mapping`. No two groups share an array."""
    m, n, k, groups = layer.m, layer.n, layer.k, layer.groups
    weight_bits = min(layer.weight_bits, chip.weight_bits)
    columns_a_weight = _ceil(weight_bits, chip.cell_bits) * chip.columns_a_slice
    weights_a_row = chip.columns // columns_a_weight
    row_tiles, column_tiles = _ceil(k, chip.rows), _ceil(n, weights_a_row)
    positions = _ceil(m, layer.batch)
    copies = max(min(chip.duplication, _ceil(positions, chip.vectors_per_copy)), 1)
    full_tiles = row_tiles - 1
    return Mapping(
        columns_a_weight=columns_a_weight,
        input_slices=_ceil(min(layer.activation_bits, chip.activation_bits), chip.dac_bits),
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        copies=copies,
        arrays=copies * groups * row_tiles * column_tiles,
        cells=copies * groups * k * n * columns_a_weight,
        widest=min(n, weights_a_row) * columns_a_weight,
        phases=_ceil(min(k, chip.rows), chip.active_rows),
        total_phases=full_tiles * _ceil(chip.rows, chip.active_rows)
        + _ceil(k - full_tiles * chip.rows, chip.active_rows),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _static(layer: Work, chip: Chip) -> Terms:
    """A layer with stored weights, in the arrays. v = m steps vectors, S = input slices, Tr x Tc row x column tiles.

    slots        ceil(m / copies) steps S phases, the reads that follow one another in an array
    array        cells read: v S G k (n w + u Tc), mean power x t_read each; array_s = slots t_read
    DAC          rows driven: v S G k Tc
    ADC, S+H     conversions: v S G total_phases (n w + u Tc); adc_s = slots min(columns_per_adc, widest) / f_adc
    shift-add    one a conversion and one a merge of row tiles, v G n (Tr - 1); all IMAs of the layer at once
    registers    v S bd G k Tc bits in, v G n Tr ba out of an IMA, v G n ba out of a tile
    buffer       v G (k + n) ba bits; bus: v G (k + n Tr) ba; router: v G n ba over `mean_hops` routers
    """
    fit = _mapping(layer, chip)
    m, steps, groups = layer.m, layer.sequential_steps, layer.groups
    n, k = 1.0 * layer.n, 1.0 * layer.k
    vectors = 1.0 * m * steps * groups
    word_bits = min(layer.activation_bits, chip.activation_bits)
    columns = n * fit.columns_a_weight + chip.unit_columns * fit.column_tiles
    sliced = vectors * fit.input_slices
    conversions = sliced * fit.total_phases * columns
    shift_adds = conversions + vectors * n * (fit.row_tiles - 1)
    imas = min(_ceil(fit.arrays, chip.arrays_per_ima), chip.imas_per_tile * chip.tiles)
    tiles = min(_ceil(fit.arrays, chip.arrays_per_ima * chip.imas_per_tile), chip.tiles)
    buffer_bits = vectors * (k + n) * word_bits
    bus_bits = vectors * (k + n * fit.row_tiles) * word_bits
    output_bits = vectors * n * word_bits

    slots = 1.0 * _ceil(m, fit.copies) * steps * fit.input_slices * fit.phases
    conversions_s = min(chip.columns_per_adc, fit.widest) * chip.conversion_s
    input_register_j = sliced * chip.dac_bits * k * fit.column_tiles * chip.input_register_j
    output_register_j = output_bits * (fit.row_tiles * chip.output_register_j + chip.tile_register_j)
    return Terms(
        arrays=1.0 * fit.arrays,
        cells=1.0 * fit.cells,
        conversions=conversions,
        array_s=slots * chip.read_s,
        adc_s=slots * conversions_s,
        shift_add_s=shift_adds / (imas * chip.shift_adds_per_s),
        buffer_s=buffer_bits / (tiles * chip.buffer_bits_per_s),
        interconnect_s=output_bits / (tiles * chip.flit_bits_per_s),
        digital_s=layer.vector_ops / (chip.tiles * chip.digital_ops_per_s),
        fill_s=1.0 * steps * chip.pipeline_cycles * max(chip.read_s, conversions_s),
        array_j=sliced * k * columns * chip.cell_j,
        dac_j=sliced * k * fit.column_tiles * chip.dac_j,
        sample_hold_j=conversions * chip.sample_hold_j,
        adc_j=conversions * chip.adc_j,
        shift_add_j=shift_adds * chip.shift_add_j,
        register_j=input_register_j + output_register_j,
        buffer_j=buffer_bits * chip.buffer_j,
        interconnect_j=bus_bits * chip.bus_j + output_bits * chip.mean_hops * chip.router_j,
        digital_j=layer.vector_ops * chip.digital_op_j,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _digital(layer: Work, chip: Chip) -> Terms:
    """Everything without stored weights, on the vector units of all tiles, through their buffers and routers.

    ops = vector_ops + macs; a MAC costs e_mac bw ba / 64 (multipliers grow with the product of the widths)
    """
    word_bits = 1.0 * min(layer.activation_bits, chip.activation_bits)
    product = 1.0 * min(layer.weight_bits, chip.weight_bits) * word_bits / 64.0
    macs, ops = 1.0 * layer.macs, 1.0 * layer.vector_ops
    output_bits = layer.output_elements * word_bits
    moved_bits = (layer.input_elements + layer.weight_elements) * word_bits + output_bits
    return Terms(
        arrays=0.0,
        cells=0.0,
        conversions=0.0,
        array_s=0.0,
        adc_s=0.0,
        shift_add_s=0.0,
        buffer_s=moved_bits / (chip.tiles * chip.buffer_bits_per_s),
        interconnect_s=output_bits / (chip.tiles * chip.flit_bits_per_s),
        digital_s=(ops + macs) / (chip.tiles * chip.digital_ops_per_s),
        fill_s=0.0,
        array_j=0.0,
        dac_j=0.0,
        sample_hold_j=0.0,
        adc_j=0.0,
        shift_add_j=0.0,
        register_j=0.0,
        buffer_j=moved_bits * chip.buffer_j,
        interconnect_j=output_bits * chip.mean_hops * chip.router_j,
        digital_j=ops * chip.digital_op_j + macs * product * chip.digital_mac_j,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _on_arrays(layer: Work) -> bool:
    """Products with a stored operand run in the arrays; attention's and everything else do not."""
    return layer.macs > 0 and layer.dynamic_operand == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _layer(layer: Work, chip: Chip) -> tuple[Totals, Terms]:
    """One layer: its terms, and how they compose.

    matrix_s   = max(array, ADC, shift-add, buffer, interconnect, I/O): a pipeline in steady state
    interval_s = max(matrix_s, digital_s);  latency_s = interval_s + fill_s
    recurrent  : interval_s = latency_s = matrix_s + digital_s + fill_s: the next step waits for the gates
    energy_j   = sum of the terms + I/O + leakage of the whole chip over the latency
    """
    terms = _static(layer, chip) if _on_arrays(layer) else _digital(layer, chip)
    offchip = layer.input_offchip * layer.input_elements + layer.output_offchip * layer.output_elements
    offchip_bits = 1.0 * offchip * min(layer.activation_bits, chip.activation_bits)
    io_s, io_j = offchip_bits / chip.io_bits_per_s, offchip_bits * chip.io_j
    converted_s = max(terms.array_s, terms.adc_s, terms.shift_add_s)
    matrix_s = max(converted_s, terms.buffer_s, terms.interconnect_s, io_s)
    if layer.sequential_steps > 1:
        interval_s = matrix_s + terms.digital_s + terms.fill_s
        latency_s = interval_s
    else:
        interval_s = max(matrix_s, terms.digital_s)
        latency_s = interval_s + terms.fill_s
    leakage_j = chip.leakage_w * latency_s
    analogue_j = terms.array_j + terms.dac_j + terms.sample_hold_j + terms.adc_j
    moved_j = terms.register_j + terms.buffer_j + terms.interconnect_j + io_j
    energy_j = analogue_j + terms.shift_add_j + moved_j + terms.digital_j + leakage_j
    return Totals(latency_s, energy_j, interval_s, io_s, io_j, leakage_j), terms


@njit(cache=True, nogil=True, error_model="numpy")
def cost(layers: Any, configs: Any, scratch: F64, out: F64, choice: npt.NDArray[np.int16]) -> None:
    """All pairs. `out` (C, L, M) float64, M the fields of Totals and Terms; `choice` (C, L): 0 digital, 1 crossbar."""
    for c in range(configs.tiles.size):
        chip = _prepare(configs, c)
        for i in range(layers.m.size):
            layer = _work(layers, i)
            totals, terms = _layer(layer, chip)
            for j in range(len(totals)):
                out[c, i, j] = totals[j]
            for j in range(len(terms)):
                out[c, i, len(totals) + j] = terms[j]
            choice[c, i] = 1 if _on_arrays(layer) else 0


@njit(cache=True, nogil=True, error_model="numpy")
def cost_at(
    layers: Any,
    configs: Any,
    layer_index: npt.NDArray[np.int64],
    config_index: npt.NDArray[np.int64],
    scratch: F64,
    out: F64,
    choice: npt.NDArray[np.int16],
) -> None:
    """Listed pairs. `out` (Q, M), `choice` (Q,); runs of one configuration prepare it once."""
    if layer_index.size == 0:
        return
    last = config_index[0]
    chip = _prepare(configs, last)
    for q in range(layer_index.size):
        if config_index[q] != last:
            last = config_index[q]
            chip = _prepare(configs, last)
        layer = _work(layers, layer_index[q])
        totals, terms = _layer(layer, chip)
        for j in range(len(totals)):
            out[q, j] = totals[j]
        for j in range(len(terms)):
            out[q, len(totals) + j] = terms[j]
        choice[q] = 1 if _on_arrays(layer) else 0


@njit(cache=True, nogil=True, error_model="numpy")
def mapping(layers: Any, configs: Any, out: npt.NDArray[np.int64]) -> None:
    """The `Mapping` of layer i on configuration i, static layers only; `out` (L, len(Mapping)) int64."""
    for i in range(layers.m.size):
        fit = _mapping(_work(layers, i), _prepare(configs, i))
        for j in range(len(fit)):
            out[i, j] = fit[j]


@njit(cache=True, nogil=True, error_model="numpy")
def components(configs: Any, power_w: F64, area_mm2: F64) -> None:
    """Peak power and area of every component; both (C, len(Parts))."""
    for c in range(configs.tiles.size):
        chip = _chip(configs, c, 1.0, 0.0)
        power, area = _peak_power(configs, c, chip), _area(configs, c, chip)
        for j in range(len(power)):
            power_w[c, j] = power[j]
            area_mm2[c, j] = area[j]
