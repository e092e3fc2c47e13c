"""A crossbar chip without its workload: what an event costs, peak power, area and leakage, of every configuration.

Columns (C,) in, columns out; the kernel beside it multiplies them with what a layer does. After ISAAC (Shafiee et al.,
ISCA 2016) for the chip and its components, [ZIGZAG] (Sun et al.) for macros of gates, [CIMLOOP] for the rules of
scaling. What is NOT modelled stands in the README beside this file.

Scaling, from the components' node and supply: energies of digital parts with node and V², analogue ones likewise (the
cells of circuit `table` with V² alone), times with V^-x, digital areas with node², analogue ones with node; within 3 to
180 nm and 0.4 to 2 V. Circuit `gates` states everything at the node and supply themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar import gates
from hwmodels.families.crossbar.converter import Converters
from hwmodels.families.crossbar.devices import CellColumns, cell_columns
from hwmodels.families.crossbar.events import (
    XNOR_NAND2,
    Events,
    accumulator_bits,
    ceil_of,
    converter_of,
    digital_scale,
    drive_factor,
    event_costs,
    merges,
    read_s,
    tree_adders,
    weight_bit_j,
    words_a_row,
)
from hwmodels.families.crossbar.spec import CrossbarTable, active_rows
from hwmodels.families.crossbar.static import leaking_share, static_power_parts

__all__ = [
    "ChipTable",
    "Parts",
    "area_parts",
    "chip_table",
    "chip_total",
    "power_parts",
    "static_power_w",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """One column (C,) a component: W or mm²; the first seven per IMA, the next five per tile, the last per chip."""

    adc: F64
    dac: F64
    sample_hold: F64
    array: F64
    shift_add: F64
    input_register: F64
    output_register: F64
    buffer: F64
    bus: F64
    router: F64
    digital: F64
    tile_register: F64
    io: F64


class ChipTable(NamedTuple):
    """What the kernel reads, (C,) each: sizes, switches, rates, energies per event with the leaking share taken off."""

    rows: I64
    columns: I64
    active_rows: I64
    cell_bits: I64
    dac_bits: I64
    columns_a_slice: I64
    unit_columns: I64
    columns_per_adc: I64
    weight_bits: I64
    activation_bits: I64
    duplication: I64
    vectors_per_copy: I64
    arrays_per_ima: I64
    imas_per_tile: I64
    tiles: I64
    pipeline_cycles: I64
    merges: I64
    splits: I64
    packs: I64
    reloads: I64
    writes_dynamic: I64
    scratch_tiles: I64
    skips_padding: I64
    sums_once: I64
    repeats: I64
    read_s: F64
    conversion_s: F64
    row_write_s: F64
    shift_adds_per_s: F64
    buffer_bits_per_s: F64
    flit_bits_per_s: F64
    digital_ops_per_s: F64
    io_bits_per_s: F64
    buffer_bits: F64
    cell_j: F64
    column_j: F64
    dac_j: F64
    sample_hold_j: F64
    adc_j: F64
    weight_bit_j: F64
    shift_add_j: F64
    input_register_j: F64
    output_register_j: F64
    tile_register_j: F64
    buffer_j: F64
    bus_j: F64
    route_j: F64
    digital_op_j: F64
    digital_mac_j: F64
    io_j: F64
    write_j: F64
    leakage_w: F64
    idle_share: F64


def chip_table(table: CrossbarTable) -> ChipTable:
    """Everything of a configuration that does not depend on the layer; f is the static share of published powers."""
    events, device = event_costs(table), _device(table)
    power, area = _power(table, events), _area(table, events.conversion)
    f = leaking_share(table)
    scale = (1 - f) * digital_scale(table)
    clock_hz = table.clock_hz / drive_factor(table)
    differential = table.sign_scheme
    integer = table.tiles.dtype
    return ChipTable(
        rows=table.array_rows,
        columns=table.array_cols,
        active_rows=active_rows(table),
        cell_bits=table.cell_bits,
        dac_bits=table.dac_bits,
        columns_a_slice=1 + differential,
        unit_columns=_unit_columns(table),
        columns_per_adc=_columns_per_adc(table),
        weight_bits=table.weight_bits,
        activation_bits=table.activation_bits,
        duplication=table.duplication,
        vectors_per_copy=table.vectors_per_copy,
        arrays_per_ima=table.arrays_per_ima,
        imas_per_tile=table.imas_per_tile,
        tiles=table.tiles,
        pipeline_cycles=table.pipeline_cycles,
        merges=merges(table).astype(integer),
        splits=table.kernel_mapping,
        packs=table.packing,
        reloads=table.weights,
        writes_dynamic=table.dynamic_operands,
        scratch_tiles=np.minimum(table.scratch_tiles, table.tiles),
        skips_padding=table.compat,
        sums_once=table.circuit,
        repeats=table.column_reads,
        read_s=read_s(table),
        conversion_s=events.conversion.time_s,
        row_write_s=device.row_write_s,
        shift_adds_per_s=table.shift_adds_per_ima * table.shift_add_inputs * clock_hz,
        buffer_bits_per_s=table.buffer_bus_bits * clock_hz,
        flit_bits_per_s=table.flit_bits * clock_hz,
        digital_ops_per_s=table.digital_lanes * clock_hz,
        io_bits_per_s=8.0 * table.io_bytes_per_s,
        buffer_bits=8.0 * (table.buffer_bytes * table.tiles).astype(np.float64),
        cell_j=events.cell * (1 - f),
        column_j=events.column * (1 - f),
        dac_j=events.dac * (1 - f),
        sample_hold_j=events.sample_hold * (1 - f),
        adc_j=(events.conversion.energy_j - table.weight_bits * weight_bit_j(table)) * (1 - f),
        weight_bit_j=weight_bit_j(table) * (1 - f),
        shift_add_j=events.shift_add * (1 - f),
        input_register_j=table.input_register_j_per_bit * scale,
        output_register_j=table.output_register_j_per_bit * scale,
        tile_register_j=table.tile_register_j_per_bit * scale,
        buffer_j=table.buffer_j_per_bit * scale,
        bus_j=table.bus_j_per_bit * scale,
        route_j=_route_j(table, area) * (1 - f),
        digital_op_j=table.digital_op_j * scale,
        digital_mac_j=table.digital_mac_j * scale,
        io_j=(table.io_j_per_bit + table.dram_j_per_bit) * (1 - f),
        write_j=device.write_j * np.ones(table.tiles.shape),
        leakage_w=_static_w(table, power, area),
        idle_share=table.idle_leakage_share,
    )


def chip_total(table: CrossbarTable, parts: Parts) -> F64:
    """tiles (imas_per_tile IMA + tile periphery) + I/O, (C,)."""
    tile: F64 = table.imas_per_tile * sum(parts[:7]) + sum(parts[7:12])
    total: F64 = table.tiles * tile + parts.io
    return total


def static_power_w(table: CrossbarTable) -> F64:
    """What the whole chip always draws, (C,), W."""
    events = event_costs(table)
    return _static_w(table, _power(table, events), _area(table, events.conversion))


def _static_w(table: CrossbarTable, power: Parts, area: Parts) -> F64:
    of_parts = table.static_power == 1
    of_peak: F64 = leaking_share(table) * chip_total(table, power)
    if not of_parts.any():
        return of_peak
    return np.where(of_parts, chip_total(table, static_power_parts(table, area)), of_peak)


def power_parts(table: CrossbarTable) -> Parts:
    """Peak power of each component, W: its events at full rate, each at its energy."""
    return _power(table, event_costs(table))


def _power(table: CrossbarTable, events: Events) -> Parts:
    scale, clock_hz = digital_scale(table), table.clock_hz / drive_factor(table)
    active, words = active_rows(table), words_a_row(table)
    cycle_s = _read_cycle_s(table, events.conversion.time_s)
    conversions = table.arrays_per_ima * _converted_columns(table) / cycle_s
    driven_rows = table.arrays_per_ima * active / cycle_s
    slots = ceil_of(table.activation_bits, table.dac_bits) * ceil_of(table.array_rows, active)
    output_bits = table.arrays_per_ima * words / cycle_s * table.activation_bits / slots
    router_bits = table.flit_bits * clock_hz * table.router_ports / table.tiles_per_router
    return Parts(
        adc=conversions * events.conversion.energy_j,
        dac=driven_rows * _column_reads(table) * events.dac,
        sample_hold=conversions * events.sample_hold,
        array=driven_rows * table.array_cols * events.cell
        + table.arrays_per_ima * table.array_cols / cycle_s * events.column,
        shift_add=conversions * events.shift_add,
        input_register=driven_rows * table.dac_bits * table.input_register_j_per_bit * scale,
        output_register=output_bits * table.output_register_j_per_bit * scale,
        buffer=table.buffer_bus_bits * clock_hz * table.buffer_j_per_bit * scale,
        bus=table.bus_wires * clock_hz * table.bus_j_per_bit * scale,
        router=router_bits * table.router_j_per_bit * scale,
        digital=table.digital_lanes * clock_hz * table.digital_op_j * scale,
        tile_register=table.imas_per_tile * output_bits * table.tile_register_j_per_bit * scale,
        io=8.0 * table.io_bytes_per_s * (table.io_j_per_bit + table.dram_j_per_bit),
    )


def area_parts(table: CrossbarTable) -> Parts:
    """Area of each component, mm²: digital with the square of the node, analogue in proportion; I/O is fixed."""
    return _area(table, converter_of(table))


def _area(table: CrossbarTable, conversion: Converters) -> Parts:
    shrink = table.node_nm / table.component_node_nm
    digital, arrays = shrink**2, table.arrays_per_ima
    outputs, own = words_a_row(table), _gate_areas(table)
    input_bits = arrays * table.array_rows * table.activation_bits
    output_bits = arrays * outputs * table.activation_bits
    of_gates, adds = table.circuit == 1, table.compute != 0
    cells = table.array_rows * table.array_cols
    cell_mm2 = _device(table).area_f2 * (1e-6 * table.node_nm) ** 2 + of_gates * own.product
    converted = _converted_columns(table)
    converter = ceil_of(converted, np.minimum(table.columns_per_adc, converted)) * conversion.area_mm2
    dacs_mm2 = arrays * table.array_rows * table.dac_mm2 * (2**table.dac_bits - 1) * shrink
    holds_mm2 = arrays * table.array_cols * table.sample_hold_mm2 * shrink
    return Parts(
        adc=(arrays * np.where(adds, own.adders, converter)).astype(np.float64) * own.wide,
        dac=np.where(of_gates, arrays * table.array_rows * own.line, dacs_mm2),
        sample_hold=np.where(of_gates, arrays * table.array_cols * own.line, holds_mm2),
        array=arrays * cells * cell_mm2 * own.wide + arrays * own.control,
        shift_add=np.where(
            of_gates, arrays * own.accumulators, table.shift_adds_per_ima * table.shift_add_mm2 * digital
        ),
        input_register=input_bits * table.input_register_mm2_per_bit * digital,
        output_register=output_bits * table.output_register_mm2_per_bit * digital,
        buffer=table.buffer_mm2 * digital,
        bus=table.bus_wires * table.bus_mm2_per_wire * digital,
        router=table.router_mm2 / table.tiles_per_router * digital,
        digital=table.digital_lanes * table.digital_lane_mm2 * digital,
        tile_register=table.imas_per_tile * output_bits * table.tile_register_mm2_per_bit * digital,
        io=table.io_mm2,
    )


class _GateAreas(NamedTuple):
    """Circuit gates, (C,) each, mm²: a product, the adders and the running sums of an array, a line, its control.

    wide : area over that of feature sizes.
    """

    product: F64
    adders: F64
    accumulators: F64
    line: F64
    control: F64
    wide: F64


def _gate_areas(table: CrossbarTable) -> _GateAreas:
    """Sums that columns take in turn are made once, the others for every weight of a row."""
    small, of_gates = table.node_nm / gates.NODE_NM, table.circuit == 1
    if not (of_gates | (table.compute != 0)).any():
        nothing = np.zeros(small.shape)
        return _GateAreas(nothing, nothing, nothing, nothing, nothing, np.ones(small.shape))
    outputs = words_a_row(table)
    sums = np.where(table.column_reads == 1, ceil_of(outputs, _column_reads(table)), outputs)
    compact = np.where(of_gates, table.gate_area, 1.0)
    wide = np.where(of_gates, gates.unshrunk_area(table.node_nm, table.node_law), 1.0)
    word_mm2 = gates.adder_mm2(1.0, table.node_nm) + gates.register_mm2(1.0, table.node_nm)
    return _GateAreas(
        product=np.where(table.product == 1, XNOR_NAND2, 1.0) * gates.NAND2_MM2 * small**2 * compact,
        adders=gates.adder_mm2(tree_adders(table) * sums, table.node_nm) * compact,
        accumulators=sums * accumulator_bits(table) * word_mm2 * compact * wide,
        line=table.line_mm2 * small * wide,
        control=np.where(of_gates, table.control_mm2 * small * wide, 0.0),
        wide=wide,
    )


def _route_j(table: CrossbarTable, area: Parts) -> F64:
    """A bit of output to the next layer: mean_hops routers, or half the depth of an H-tree over the tiles.

    H-tree of N leaves at pitch sqrt(A_tile), L = ceil(log2 sqrt N) levels: path = pitch sqrt(N) (1 - 2^-L)
    """
    scale = digital_scale(table)
    mesh = table.mean_hops * table.router_j_per_bit * scale
    side = np.sqrt(table.tiles)
    levels = np.ceil(np.log2(np.maximum(side, 1.0)))
    tile_mm2 = table.imas_per_tile * sum(area[:7]) + sum(area[7:12])
    path_mm = np.sqrt(tile_mm2) * side * (1 - 2.0**-levels)
    joules: F64 = np.where(table.interconnect == 1, path_mm * table.wire_j_per_bit_mm * scale, mesh)
    return joules


def _device(table: CrossbarTable) -> CellColumns:
    own = CellColumns(table.cell_area_f2, table.cell_write_j, table.row_write_s, table.endurance_writes)
    return cell_columns(table.cell_device, own)


def _unit_columns(table: CrossbarTable) -> I64:
    """Offset weights need one; macros of gates have a negative top place value, or XNOR products, instead."""
    return np.where((table.circuit == 1) | (table.compute != 0), 0, 1 - table.sign_scheme)


def _converted_columns(table: CrossbarTable) -> I64:
    """Conversions that read a full array once: its columns, or its weights where slices are merged."""
    return np.where(merges(table), np.maximum(words_a_row(table), 1), table.array_cols)


def _read_cycle_s(table: CrossbarTable, conversion_s: F64) -> F64:
    """A full array read and converted once, (C,), s: reads and conversions overlap."""
    time_s: F64 = np.maximum(read_s(table) * _column_reads(table), _columns_per_adc(table) * conversion_s)
    return time_s


def _column_reads(table: CrossbarTable) -> I64:
    """Reads of a full array for all its columns: one where they are held, else one a column of an ADC."""
    shared = np.minimum(table.columns_per_adc, _converted_columns(table))
    return np.where(table.column_reads == 1, shared, 1)


def _columns_per_adc(table: CrossbarTable) -> I64:
    columns: I64 = np.minimum(table.columns_per_adc, table.array_cols)
    return columns
