"""Cost of one layer on one crossbar chip: mapping, times, energies and writes.

Equations after ISAAC (Shafiee et al., ISCA 2016) and the bit-slicing literature; what an event costs comes from
`chip.py`, and the sources and what is NOT modelled stand in the README beside this file. Arithmetic only: numpy and
numba.

Letters: R x Q array (rows x columns), Rp rows active at once, bc cell bits, bd DAC bits, s columns a slice (2 when
differential), u unit columns an array (1 for offset encoding); a layer is G groups of (m x k) times (k x n), repeated
`steps` times in sequence, with bw and ba weight and activation bits. Energies in J, times in s.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import ceil_div, entry, inner, records, source_stamp

__all__ = ["Mapping", "Terms", "Totals", "all_pairs", "listed_pairs", "mapping"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Mapping(NamedTuple):
    """A layer on arrays. Counts are of all copies; `widest` and `phases` are of the fullest array.

    columns_a_weight : ceil(bw / bc) s. input_slices : ceil(ba / bd). positions : output positions, m.
    sub_matrices : kernel positions that have arrays of their own, where split and k > R; else 1.
    row_tiles : sub_matrices ceil(k / sub_matrices / R). column_tiles : ceil(n / floor(Q / columns_a_weight)): the
    slices of a weight stay in one array. packed : groups in one array, 1 unless packed on its diagonal.
    copies : min(duplication, ceil(positions an item / vectors_per_copy)), at least 1. arrays, cells : occupied.
    widest : conversions that read the fullest array once. phases : reads of one input slice of it.
    total_phases : reads of one input slice summed over the row tiles of one group.
    passes : times that the arrays must be filled anew to run the layer, 1 for resident weights.
    """

    columns_a_weight: int
    input_slices: int
    positions: int
    sub_matrices: int
    row_tiles: int
    column_tiles: int
    packed: int
    copies: int
    arrays: int
    cells: int
    widest: int
    phases: int
    total_phases: int
    passes: int


class Terms(NamedTuple):
    """Counts, times (s) and energies (J) of one layer, per batch; what `_layer` makes into `Totals`."""

    arrays: float
    cells: float
    conversions: float
    cell_writes: float
    array_s: float
    adc_s: float
    shift_add_s: float
    buffer_s: float
    interconnect_s: float
    digital_s: float
    write_s: float
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
    write_j: float


class Totals(NamedTuple):
    """One layer as a whole: s and J per batch. The last axis of the output is Totals, then Terms."""

    latency_s: float
    energy_j: float
    interval_s: float
    io_s: float
    io_j: float
    leakage_j: float


@inner
def _windows(layer: Any) -> int:
    """Output positions of a batch without the padding, as NeuroSim counts: floor((H - extent) / stride) + 1."""
    extent_h = layer.dilation_h * (layer.kernel_h - 1) + 1
    extent_w = layer.dilation_w * (layer.kernel_w - 1) + 1
    high = (layer.in_h - extent_h) // layer.stride_h + 1
    wide = (layer.in_w - extent_w) // layer.stride_w + 1
    return max(layer.m // (layer.out_h * layer.out_w), 1) * max(high, 1) * max(wide, 1)


@inner
def _stores(layer: Any, chip: Any) -> bool:
    """Products with a stored operand run in the arrays, and those with a computed one if the chip writes it there."""
    return layer.macs > 0 and (layer.dynamic_operand == 0 or chip.writes_dynamic == 1)


@inner
def _mapping(layer: Any, chip: Any) -> Mapping:
    """A layer as weight slices on arrays; the equations stand in `Mapping`.

    Block-diagonal: floor(Rp / k) groups a read, as many reads as the array has rows for, all their columns beside one
    another. A computed operand has one copy, on the scratch tiles.
    """
    n, k, groups = layer.n, layer.k, layer.groups
    weight_bits = min(layer.weight_bits, chip.weight_bits)
    columns_a_weight = ceil_div(weight_bits, chip.cell_bits) * chip.columns_a_slice
    weights_a_row = chip.columns // columns_a_weight
    windows = chip.skips_padding == 1 and layer.pad_h + layer.pad_w > 0 and layer.out_h * layer.out_w > 0
    m = _windows(layer) if windows else layer.m
    kernel = max(layer.kernel_h, 1) * max(layer.kernel_w, 1)
    subs = kernel if chip.splits == 1 and k % kernel == 0 and k > chip.rows else 1
    depth = k // subs
    row_tiles, column_tiles = ceil_div(depth, chip.rows), ceil_div(n, weights_a_row)
    full_tiles = row_tiles - 1
    phases = ceil_div(min(depth, chip.rows), chip.active_rows)
    total_phases = full_tiles * ceil_div(chip.rows, chip.active_rows)
    total_phases = subs * (total_phases + ceil_div(depth - full_tiles * chip.rows, chip.active_rows))
    row_tiles *= subs
    packed, a_read = 1, 1
    if chip.packs == 1 and groups > 1 and subs == 1 and k <= chip.active_rows and column_tiles == 1:
        a_read = chip.active_rows // k
        packed = max(min(min(groups, weights_a_row // n), a_read * (chip.rows // chip.active_rows)), 1)
        a_read = min(a_read, packed)
        phases = ceil_div(packed, a_read)
    dynamic = layer.dynamic_operand == 1
    copies = max(min(chip.duplication, ceil_div(ceil_div(m, layer.batch), chip.vectors_per_copy)), 1)
    copies = 1 if dynamic else copies
    arrays = copies * ceil_div(groups, packed) * row_tiles * column_tiles
    held = chip.arrays_per_ima * chip.imas_per_tile
    held *= chip.scratch_tiles if dynamic else chip.tiles
    converted = 1 if chip.merges == 1 else columns_a_weight
    passes = ceil_div(arrays, held) if dynamic or chip.reloads == 1 else 1
    return Mapping(
        columns_a_weight=columns_a_weight,
        input_slices=ceil_div(min(layer.activation_bits, chip.activation_bits), chip.dac_bits),
        positions=m,
        sub_matrices=subs,
        row_tiles=row_tiles,
        column_tiles=column_tiles,
        packed=packed,
        copies=copies,
        arrays=arrays,
        cells=copies * groups * k * n * columns_a_weight,
        widest=a_read * min(n, weights_a_row) * converted,
        phases=phases,
        total_phases=total_phases,
        passes=passes,
    )


@inner
def _static(layer: Any, chip: Any) -> Terms:
    """A layer with an operand in the arrays. v = m steps vectors, S = input slices, Tr x Tc row x column tiles.

    slots        ceil(m / copies) steps S phases passes, the reads that follow one another in an array
    repeats      reads for all columns of an array: min(columns_per_adc, widest) where they are read anew, else 1
    array        cells read: v S G k (n w + u Tc), and columns: v S G total_phases (n w + u Tc);
                 array_s = slots repeats t_read
    DAC          rows driven: v S G k Tc repeats
    ADC, S+H     conversions: v S G total_phases (n c + u Tc), c = w, or 1 where slices are merged;
                 adc_s = slots min(columns_per_adc, widest) t_conversion; adders cost by the bits of the weight
    shift-add    one a conversion (none where circuits of gates end a sum with one read) and one a merge of row tiles,
                 v G n (Tr - 1); all IMAs of the layer at once
    registers    v S bd G k Tc bits in, v G n Tr ba out of an IMA, v G n ba out of a tile
    buffer       v G (k + n) ba bits, k over the kernel's width where split ones pass inputs on;
                 bus: v G (k + n Tr) ba; router: v G n ba to the next layer
    write        where the operand is not resident: its cells, and the rows of the fullest array, passes times
    """
    fit = _mapping(layer, chip)
    m, steps, groups = fit.positions, layer.sequential_steps, layer.groups
    n, k = 1.0 * layer.n, 1.0 * layer.k
    vectors = 1.0 * m * steps * groups
    word_bits = min(layer.activation_bits, chip.activation_bits)
    units = chip.unit_columns * fit.column_tiles
    columns = n * fit.columns_a_weight + units
    reads_a_weight = 1 if chip.merges == 1 else fit.columns_a_weight
    converted = n * reads_a_weight + units
    sliced = vectors * fit.input_slices
    conversions = sliced * fit.total_phases * converted
    ended = chip.sums_once == 1 and fit.input_slices == 1 and reads_a_weight == 1
    shift_adds = (0.0 if ended else conversions) + vectors * n * (fit.row_tiles - 1)
    converter_j = chip.adc_j + chip.weight_bit_j * min(layer.weight_bits, chip.weight_bits)
    imas = min(ceil_div(fit.arrays, chip.arrays_per_ima), chip.imas_per_tile * chip.tiles)
    tiles = min(ceil_div(fit.arrays, chip.arrays_per_ima * chip.imas_per_tile), chip.tiles)
    kept = max(layer.kernel_w, 1) if fit.sub_matrices > 1 else 1
    buffer_bits = vectors * (k / kept + n) * word_bits
    bus_bits = vectors * (k + n * fit.row_tiles) * word_bits
    output_bits = vectors * n * word_bits
    dynamic = layer.dynamic_operand == 1
    writes = dynamic or chip.reloads == 1
    resident_arrays, cell_writes, written, write_s = 1.0 * fit.arrays, 0.0, 0.0, 0.0
    rows_written = min(ceil_div(layer.k, fit.sub_matrices) * fit.packed, chip.rows) * fit.passes
    if writes:
        resident_arrays, cell_writes, written = 0.0, 1.0 * fit.passes, 1.0 * fit.cells
        write_s = rows_written * chip.row_write_s

    slots = 1.0 * ceil_div(m, fit.copies) * steps * fit.input_slices * fit.phases * fit.passes
    shared = min(chip.columns_per_adc, fit.widest)
    repeats = shared if chip.repeats == 1 else 1
    reads_s, conversions_s = repeats * chip.read_s, shared * chip.conversion_s
    input_register_j = sliced * chip.dac_bits * k * fit.column_tiles * chip.input_register_j
    output_register_j = output_bits * (fit.row_tiles * chip.output_register_j + chip.tile_register_j)
    return Terms(
        arrays=resident_arrays,
        cells=1.0 * fit.cells,
        conversions=conversions,
        cell_writes=cell_writes,
        array_s=slots * reads_s,
        adc_s=slots * conversions_s,
        shift_add_s=shift_adds / (imas * chip.shift_adds_per_s),
        buffer_s=buffer_bits / (tiles * chip.buffer_bits_per_s),
        interconnect_s=output_bits / (tiles * chip.flit_bits_per_s),
        digital_s=layer.vector_ops / (chip.tiles * chip.digital_ops_per_s),
        write_s=write_s,
        fill_s=1.0 * steps * chip.pipeline_cycles * max(reads_s, conversions_s),
        array_j=sliced * k * columns * chip.cell_j + sliced * fit.total_phases * columns * chip.column_j,
        dac_j=sliced * k * fit.column_tiles * repeats * chip.dac_j,
        sample_hold_j=conversions * chip.sample_hold_j,
        adc_j=conversions * converter_j,
        shift_add_j=shift_adds * chip.shift_add_j,
        register_j=input_register_j + output_register_j,
        buffer_j=buffer_bits * chip.buffer_j,
        interconnect_j=bus_bits * chip.bus_j + output_bits * chip.route_j,
        digital_j=layer.vector_ops * chip.digital_op_j,
        write_j=written * chip.write_j,
    )


@inner
def _digital(layer: Any, chip: Any) -> Terms:
    """Everything without an operand in arrays, on the vector units of all tiles, through their buffers and routers.

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
        cell_writes=0.0,
        array_s=0.0,
        adc_s=0.0,
        shift_add_s=0.0,
        buffer_s=moved_bits / (chip.tiles * chip.buffer_bits_per_s),
        interconnect_s=output_bits / (chip.tiles * chip.flit_bits_per_s),
        digital_s=(ops + macs) / (chip.tiles * chip.digital_ops_per_s),
        write_s=0.0,
        fill_s=0.0,
        array_j=0.0,
        dac_j=0.0,
        sample_hold_j=0.0,
        adc_j=0.0,
        shift_add_j=0.0,
        register_j=0.0,
        buffer_j=moved_bits * chip.buffer_j,
        interconnect_j=output_bits * chip.route_j,
        digital_j=ops * chip.digital_op_j + macs * product * chip.digital_mac_j,
        write_j=0.0,
    )


@inner
def _offchip_bits(layer: Any, chip: Any) -> float:
    """First inputs and last outputs; what the buffers cannot hold, there and back; weights where they are reloaded."""
    word_bits = 1.0 * min(layer.activation_bits, chip.activation_bits)
    elements = layer.input_offchip * layer.input_elements + layer.output_offchip * layer.output_elements
    bits = elements * word_bits
    if chip.buffer_bits > 0:
        bits += 2.0 * max((layer.input_elements + layer.output_elements) * word_bits - chip.buffer_bits, 0.0)
    if chip.reloads == 1 and layer.dynamic_operand == 0 and layer.macs > 0:
        bits += 1.0 * layer.weight_elements * min(layer.weight_bits, chip.weight_bits)
    return bits


@inner
def _layer(layer: Any, chip: Any) -> tuple[Totals, Terms]:
    """One layer: its terms, and how they compose.

    matrix_s   = max(array, ADC, shift-add, buffer, interconnect, I/O): a pipeline in steady state
    interval_s = max(matrix_s, digital_s) + write_s;  latency_s = interval_s + fill_s
    recurrent  : interval_s = latency_s = matrix_s + digital_s + write_s + fill_s: the next step waits for the gates
    energy_j   = sum of the terms + I/O + leakage over the latency: of the tiles at work, and of idle ones their share
    """
    terms = _static(layer, chip) if _stores(layer, chip) else _digital(layer, chip)
    offchip_bits = _offchip_bits(layer, chip)
    io_s, io_j = offchip_bits / chip.io_bits_per_s, offchip_bits * chip.io_j
    converted_s = max(terms.array_s, terms.adc_s, terms.shift_add_s)
    matrix_s = max(converted_s, terms.buffer_s, terms.interconnect_s, io_s)
    if layer.sequential_steps > 1:
        interval_s = matrix_s + terms.digital_s + terms.write_s + terms.fill_s
        latency_s = interval_s
    else:
        interval_s = max(matrix_s, terms.digital_s) + terms.write_s
        latency_s = interval_s + terms.fill_s
    busy = 1.0
    if terms.arrays > 0:
        busy = min(terms.arrays / (chip.arrays_per_ima * chip.imas_per_tile * chip.tiles), 1.0)
    leakage_j = chip.leakage_w * latency_s * (busy + (1.0 - busy) * chip.idle_share)
    analogue_j = terms.array_j + terms.dac_j + terms.sample_hold_j + terms.adc_j
    moved_j = terms.register_j + terms.buffer_j + terms.interconnect_j + io_j
    energy_j = analogue_j + terms.shift_add_j + moved_j + terms.digital_j + terms.write_j + leakage_j
    return Totals(latency_s, energy_j, interval_s, io_s, io_j, leakage_j), terms


def _compiled(stamp: int) -> tuple[Any, Any, Any]:
    """The loops over all pairs, listed pairs and mappings; `stamp` of their sources enters the key of numba's cache."""

    @entry
    def all_pairs(rows: Any, chips: Any, out: F64, choice: npt.NDArray[np.int16]) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for c in range(chips.size):
            for i in range(rows.size):
                totals, terms = _layer(rows[i], chips[c])
                for j in range(len(totals)):
                    out[c, i, j] = totals[j]
                for j in range(len(terms)):
                    out[c, i, len(totals) + j] = terms[j]
                choice[c, i] = 1 if _stores(rows[i], chips[c]) else 0

    @entry
    def listed_pairs(rows: Any, chips: Any, layer: I64, run_chip: I64, run_start: I64, out: F64, choice: Any) -> None:
        if stamp == 0:
            return
        for r in range(run_chip.size):
            chip = chips[run_chip[r]]
            for q in range(run_start[r], run_start[r + 1]):
                totals, terms = _layer(rows[layer[q]], chip)
                for j in range(len(totals)):
                    out[q, j] = totals[j]
                for j in range(len(terms)):
                    out[q, len(totals) + j] = terms[j]
                choice[q] = 1 if _stores(rows[layer[q]], chip) else 0

    @entry
    def mappings(rows: Any, chips: Any, out: I64) -> None:
        if stamp == 0:
            return
        for i in range(rows.size):
            fit = _mapping(rows[i], chips[i])
            for j in range(len(fit)):
                out[i, j] = fit[j]

    return all_pairs, listed_pairs, mappings


all_pairs, listed_pairs, _mappings = _compiled(source_stamp(__file__))


def mapping(layers: Any, chips: Any, out: I64) -> None:
    """The `Mapping` of layer i on configuration i, layers with an operand in arrays; `out` (L, len(Mapping)) int64."""
    _mappings(records(layers), records(chips), out)
