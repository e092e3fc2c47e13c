"""Arithmetic of a systolic array: cycles, buffer and DRAM traffic, latency, energy and area of one layer.

A layer is G groups, each repeated over S sequential steps, of a matrix product (m x k) times (k x n) on an array of
R rows and C columns. Folds and streamed length T of the three dataflows [SCALE-Sim v2, own closed form]::

    os   F = ceil(m/R) ceil(n/C)   T = k     outputs stay, no load phase
    ws   F = ceil(k/R) ceil(n/C)   T = m     weights stay, R cycles to load them
    is   F = ceil(k/R) ceil(m/C)   T = n     inputs stay, R cycles to load them

Not modelled: halo overlap between the tiles of one input, bank conflicts, DRAM pages, sparsity, packing of several
groups into one fold. No kernel imports another; Spec constants enter through `configs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["VECTOR", "Cost", "accesses", "area_mm2", "cost", "cost_at"]

# Codes of Kind and of the Spec's choices; a test holds them to their definitions.
_CONV, _NORM, _EMBEDDING = 0, 5, 9
_OS, _WS, _IS, _BEST = 0, 1, 2, 3
_COMPAT = 1
_OVERLAP_NONE, _OVERLAP_LOAD = 0, 1
VECTOR = 3
"""The id in `choice` of a layer that runs on the vector unit."""

_REFERENCE_NODE_NM = 45.0
_REFERENCE_SRAM_BYTES = 32768.0
_ACCUMULATOR_BITS = 32.0  # of a processing element's register and adder


class Cost(NamedTuple):
    """One layer's metrics, in the order of the kernel's last axis; s, J, bytes, cycles and MACs per batch."""

    latency_s: float
    compute_s: float
    sram_s: float
    dram_s: float
    vector_s: float
    energy_j: float
    mac_j: float
    array_j: float
    sram_j: float
    dram_j: float
    vector_j: float
    leakage_j: float
    dram_bytes: float
    sram_bytes: float
    array_cycles: float
    executed_macs: float


class _Row(NamedTuple):
    """The columns of one layer that the model reads; see `Row`."""

    kind: int
    batch: int
    groups: int
    in_channels: int
    out_channels: int
    in_h: int
    in_w: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    m: int
    n: int
    k: int
    macs: int
    vector_ops: int
    weight_elements: int
    input_elements: int
    output_elements: int
    parameters: int
    weight_bits: int
    activation_bits: int
    accumulator_bits: int
    dynamic_operand: int
    sequential_steps: int
    input_offchip: int
    output_offchip: int


class _Device(NamedTuple):
    """One configuration with its energies at its own node."""

    dataflow: int
    rules: int
    overlap: int
    rows: int
    cols: int
    min_bits: int
    max_bits: int
    keep: int
    clock_hz: float
    lanes: float
    ifmap_half: float
    filter_half: float
    ofmap_half: float
    port_bytes_per_s: float
    dram_bytes_per_s: float
    multiply_j: float
    add_j: float
    register_j_per_bit: float
    vector_op_j: float
    ifmap_j_per_byte: float
    filter_j_per_byte: float
    ofmap_j_per_byte: float
    dram_j_per_byte: float
    leakage_w: float


class _Product(NamedTuple):
    """The matrix product that the array executes, its folds, and the bytes of an element of each kind."""

    groups: int
    steps: int
    m: int
    n: int
    k: int
    m_rows: int  # ceil(m/R), and so on
    m_cols: int
    n_cols: int
    k_rows: int
    input_bytes: float  # of one group and step, touched once
    weight_byte: float
    input_byte: float
    sum_byte: float
    output_bytes: float
    input_stays: bool
    weight_stays: bool  # a computed second operand only
    output_stays: bool
    vector_ops: float


@njit(cache=True, nogil=True, error_model="numpy")
def _ceil(a: int, b: int) -> int:
    return (a + b - 1) // b


@njit(cache=True, nogil=True, error_model="numpy")
def _area(configs: Any, c: int) -> float:
    """area = (node/45)^2 (R C (multiplier (bits/8)^2 + adder + registers) + lanes + buffers), mm²."""
    bits = configs.max_bits[c]
    buffers = configs.ifmap_sram_bytes[c] + configs.filter_sram_bytes[c] + configs.ofmap_sram_bytes[c]
    element = (
        configs.multiplier_mm2[c] * (bits / 8.0) ** 2
        + configs.adder_mm2[c]
        + configs.register_mm2_per_bit[c] * (2.0 * bits + _ACCUMULATOR_BITS)
    )
    at_reference = (
        element * configs.array_rows[c] * configs.array_cols[c]
        + configs.vector_lane_mm2[c] * configs.vector_lanes[c]
        + configs.sram_mm2_per_byte[c] * buffers
    )
    area: float = at_reference * (configs.node_nm[c] / _REFERENCE_NODE_NM) ** 2
    return area


@njit(cache=True, nogil=True, error_model="numpy")
def _row(layers: Any, i: int) -> _Row:
    """Layer i as scalars: indexing the columns in the inner loop would count references to each of them."""
    return _Row(
        layers.kind[i], layers.batch[i], layers.groups[i], layers.in_channels[i], layers.out_channels[i],
        layers.in_h[i], layers.in_w[i], layers.out_h[i], layers.out_w[i], layers.kernel_h[i], layers.kernel_w[i],
        layers.stride_h[i], layers.stride_w[i], layers.dilation_h[i], layers.dilation_w[i], layers.m[i], layers.n[i],
        layers.k[i], layers.macs[i], layers.vector_ops[i], layers.weight_elements[i], layers.input_elements[i],
        layers.output_elements[i], layers.parameters[i], layers.weight_bits[i], layers.activation_bits[i],
        layers.accumulator_bits[i], layers.dynamic_operand[i], layers.sequential_steps[i], layers.input_offchip[i],
        layers.output_offchip[i],
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _device(configs: Any, c: int) -> _Device:
    """Scale on-chip energies by (node/45)^exponent and buffer energies by sqrt(capacity/32 KiB)."""
    scale = (configs.node_nm[c] / _REFERENCE_NODE_NM) ** configs.energy_exponent[c]
    per_byte = configs.sram_j_per_byte[c] * scale
    return _Device(
        configs.dataflow[c],
        configs.rules[c],
        configs.fold_overlap[c],
        configs.array_rows[c],
        configs.array_cols[c],
        configs.min_bits[c],
        configs.max_bits[c],
        configs.keep_activations[c],
        configs.clock_hz[c],
        float(configs.vector_lanes[c]),
        configs.ifmap_sram_bytes[c] / 2.0,
        configs.filter_sram_bytes[c] / 2.0,
        configs.ofmap_sram_bytes[c] / 2.0,
        configs.sram_bytes_per_cycle[c] * configs.clock_hz[c],
        configs.dram_bytes_per_s[c],
        configs.multiply_j[c] * scale,
        configs.add_j[c] * scale,
        configs.register_j_per_bit[c] * scale,
        configs.vector_op_j[c] * scale,
        per_byte * np.sqrt(configs.ifmap_sram_bytes[c] / _REFERENCE_SRAM_BYTES),
        per_byte * np.sqrt(configs.filter_sram_bytes[c] / _REFERENCE_SRAM_BYTES),
        per_byte * np.sqrt(configs.ofmap_sram_bytes[c] / _REFERENCE_SRAM_BYTES),
        configs.dram_j_per_byte[c],
        configs.leakage_w_per_mm2[c] * _area(configs, c),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _width(bits: int, device: _Device) -> int:
    """The narrowest supported width that holds `bits`; the widest where none does."""
    width = device.min_bits
    while width < bits and width < device.max_bits:
        width *= 2
    return min(width, device.max_bits)


@njit(cache=True, nogil=True, error_model="numpy")
def _touched(extent: int, outputs: int, kernel: int, stride: int, dilation: int) -> int:
    """Rows (columns) of the input that some window covers: a stride beyond the kernel leaves holes."""
    span = dilation * (kernel - 1) + 1
    return min(extent, (outputs - 1) * min(stride, span) + span)


@njit(cache=True, nogil=True, error_model="numpy")
def _input_elements(row: _Row) -> float:
    """Input elements that are read at all."""
    high = _touched(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    wide = _touched(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    return row.input_elements * (high / row.in_h) * (wide / row.in_w)


@njit(cache=True, nogil=True, error_model="numpy")
def _stays(tensor_bytes: float, offchip: int, device: _Device) -> bool:
    """Residency: a tensor between two layers stays when half of the ifmap and half of the ofmap buffer hold it.

    Producer and consumer judge by the same rule, so they agree.
    """
    return device.keep == 1 and offchip == 0 and tensor_bytes <= min(device.ifmap_half, device.ofmap_half)


@njit(cache=True, nogil=True, error_model="numpy")
def _product(row: _Row, device: _Device) -> _Product:
    """The product of layer i; `compat` lowers a convolution as SCALE-Sim does.

    compat: Eh = ceil((H - fh + s)/s), Ew alike, m = batch Eh Ew, k = fh fw channels, n = filters a group, one group.
    """
    groups, m, n, k = row.groups, row.m, row.n, row.k
    if device.rules == _COMPAT and row.kind == _CONV:
        out_h = _ceil(row.in_h - row.kernel_h + row.stride_h, row.stride_h)
        out_w = _ceil(row.in_w - row.kernel_w + row.stride_w, row.stride_w)
        m = row.batch * max(out_h, 1) * max(out_w, 1)
        n = row.out_channels // groups
        k = row.kernel_h * row.kernel_w * row.in_channels
        groups = 1
    steps = row.sequential_steps
    input_byte = _width(row.activation_bits, device) / 8.0
    # A computed second operand is an activation and has its width.
    dynamic = row.dynamic_operand == 1
    weight_byte = _width(row.activation_bits if dynamic else row.weight_bits, device) / 8.0
    output_bytes = row.output_elements * input_byte
    return _Product(
        groups,
        steps,
        m,
        n,
        k,
        _ceil(m, device.rows),
        _ceil(m, device.cols),
        _ceil(n, device.cols),
        _ceil(k, device.rows),
        _input_elements(row) * input_byte / (groups * steps),
        weight_byte,
        input_byte,
        row.accumulator_bits / 8.0,
        output_bytes,
        _stays(row.input_elements * input_byte, row.input_offchip, device),
        dynamic and _stays(row.weight_elements * weight_byte, 0, device),
        _stays(output_bytes, row.output_offchip, device),
        float(row.vector_ops),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _blocks(dataflow: int, p: _Product, device: _Device) -> int:
    """Blocks B of the streamed dimension: the partial sums of one block fit half the ofmap buffer.

    B = ceil(T / floor(half / (min(C, width) sum bytes))); 1 where k needs one fold only, in `os` and in `compat`.
    """
    if dataflow == _OS or p.k_rows == 1 or device.rules == _COMPAT:
        return 1
    streamed, width = (p.m, min(device.cols, p.n)) if dataflow == _WS else (p.n, min(device.cols, p.m))
    return _ceil(streamed, max(int(device.ofmap_half / (width * p.sum_byte)), 1))


@njit(cache=True, nogil=True, error_model="numpy")
def _cycles(folds: int, blocks: int, streamed: int, load: int, device: _Device) -> int:
    """Cycles of one sequential step of F folds, each with T streamed elements in B blocks.

    none : F (B (load + R + C - 2) + T)
    load : load + F (B (R + C - 2) + T)                 the next load hides behind the running block
    full : load + max(F T, (F B - 1) R) + R + C - 2     skew and drain hide as well
    """
    skew = device.rows + device.cols - 2
    if device.overlap == _OVERLAP_NONE:
        return folds * (blocks * (load + skew) + streamed)
    if device.overlap == _OVERLAP_LOAD:
        return load + folds * (blocks * skew + streamed)
    return load + max(folds * streamed, (folds * blocks - 1) * device.rows) + skew


@njit(cache=True, nogil=True, error_model="numpy")
def _passes(tile_bytes: float, whole_bytes: float, half_bytes: float, folds: int) -> float:
    """How often an operand comes from DRAM: once when its tile (or all of it) fits half the buffer, else every fold."""
    return 1.0 if min(tile_bytes, whole_bytes) <= half_bytes else float(folds)


@njit(cache=True, nogil=True, error_model="numpy")
def _refills(dataflow: int, p: _Product, blocks: int, device: _Device) -> tuple[float, float]:
    """(input passes, weight passes) under the loop order with the fewer DRAM bytes.

    The outer loop keeps a slice of its operand in the buffer; the other operand comes again in every outer fold
    unless all of it fits. Partial sums never leave the chip.

    Dataflow  outer  inputs once when half holds  else        weights once when half holds  else
    os        m      R x k                        ceil(n/C)   all                           ceil(m/R)
    os        n      all                          ceil(n/C)   k x C                         ceil(m/R)
    ws        n      all                          ceil(n/C)   k x C                         B
    ws        k      m x R                        ceil(n/C)   always; needs room for all m n sums
    is        m      C x k                        B           all                           ceil(m/C)
    is        k      always                                   R x n                         ceil(m/C)
    """
    m, n, k = float(p.m), float(p.n), float(p.k)
    rows, cols = float(device.rows), float(device.cols)
    inputs, weights = p.input_bytes, k * n * p.weight_byte
    if dataflow == _OS:
        first = (
            _passes(inputs, inputs, device.ifmap_half, p.n_cols),
            _passes(k * min(cols, n) * p.weight_byte, weights, device.filter_half, p.m_rows),
        )
        second = (
            _passes(min(rows, m) * k * p.input_byte, inputs, device.ifmap_half, p.n_cols),
            _passes(weights, weights, device.filter_half, p.m_rows),
        )
    elif dataflow == _WS:
        first = (
            _passes(inputs, inputs, device.ifmap_half, p.n_cols),
            _passes(k * min(cols, n) * p.weight_byte, weights, device.filter_half, blocks),
        )
        second = (_passes(m * min(rows, k) * p.input_byte, inputs, device.ifmap_half, p.n_cols), 1.0)
    else:
        first = (
            _passes(min(cols, m) * k * p.input_byte, inputs, device.ifmap_half, blocks),
            _passes(weights, weights, device.filter_half, p.m_cols),
        )
        second = (1.0, _passes(min(rows, k) * n * p.weight_byte, weights, device.filter_half, p.m_cols))
    all_sums_fit = dataflow == _OS or p.k_rows == 1 or m * n * p.sum_byte <= device.ofmap_half
    fewer = second[0] * inputs + second[1] * weights < first[0] * inputs + first[1] * weights
    return second if all_sums_fit and fewer else first


@njit(cache=True, nogil=True, error_model="numpy")
def _dram(dataflow: int, p: _Product, blocks: int, device: _Device) -> tuple[float, float, float]:
    """DRAM bytes of inputs, weights and outputs.

    in  = passes G S input          (0 when the input stays)
    w   = passes G S k n            (S -> 1 when all weights fit; 0 when computed and resident)
    out = output                    (0 when it stays)
    """
    input_passes, weight_passes = _refills(dataflow, p, blocks, device)
    weights = float(p.groups) * p.k * p.n * p.weight_byte
    loads = 1 if weights <= device.filter_half else p.steps
    input_bytes = 0.0 if p.input_stays else input_passes * p.groups * p.steps * p.input_bytes
    weight_bytes = 0.0 if p.weight_stays else weight_passes * loads * weights
    output_bytes = 0.0 if p.output_stays else p.output_bytes
    return input_bytes, weight_bytes, output_bytes


@njit(cache=True, nogil=True, error_model="numpy")
def accesses(
    dataflow: int, m: int, n: int, k: int, m_rows: int, m_cols: int, n_cols: int, k_rows: int, blocks: int
) -> tuple[float, float, float]:
    """Elements of one product between the buffers and the array: input reads, weight reads, sum writes.

    m_rows = ceil(m/R), m_cols = ceil(m/C), n_cols = ceil(n/C), k_rows = ceil(k/R), blocks = B.

    os  m k ceil(n/C)   k n ceil(m/R)   m n                outputs leave once, complete
    ws  m k ceil(n/C)   k n B           m n ceil(k/R)      every fold of k but the last leaves partial sums
    is  m k B           k n ceil(m/C)   m n ceil(k/R)
    """
    inputs, weights, sums = float(m) * k, float(k) * n, float(m) * n
    if dataflow == _OS:
        return inputs * n_cols, weights * m_rows, sums
    if dataflow == _WS:
        return inputs * n_cols, weights * blocks, sums * k_rows
    return inputs * blocks, weights * m_cols, sums * k_rows


@njit(cache=True, nogil=True, error_model="numpy")
def _sram(dataflow: int, p: _Product, blocks: int) -> tuple[float, float, float]:
    """Bytes between each buffer and the array: ifmap, filter, ofmap.

    A partial sum is written and read again at the accumulator's width, a complete output written at its own.
    """
    repeats = float(p.groups * p.steps)
    inputs, weights, sums = accesses(dataflow, p.m, p.n, p.k, p.m_rows, p.m_cols, p.n_cols, p.k_rows, blocks)
    outputs = float(p.m) * p.n
    return (
        repeats * inputs * p.input_byte,
        repeats * weights * p.weight_byte,
        repeats * (outputs * p.input_byte + 2.0 * (sums - outputs) * p.sum_byte),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _register_bits(dataflow: int, p: _Product, blocks: int, macs: float, device: _Device) -> float:
    """Bits written into the array's registers.

    Every MAC moves the two operands that do not stay; the one that stays crosses (R + 1)/2 registers at each load.
    """
    moved = p.input_byte + p.weight_byte + p.sum_byte
    repeats = float(p.groups * p.steps)
    if dataflow == _OS:
        still = repeats * p.m * p.n * p.sum_byte
    elif dataflow == _WS:
        moved -= p.weight_byte
        still = repeats * blocks * p.k * p.n * p.weight_byte
    else:
        moved -= p.input_byte
        still = repeats * blocks * p.m * p.k * p.input_byte
    return 8.0 * (macs * moved + still * (device.rows + 1) / 2.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _array_layer(dataflow: int, p: _Product, device: _Device) -> Cost:
    """A matrix product on the array under one dataflow.

    on_chip = max(compute + vector, sram)
    latency = max(on_chip, dram) + min(on_chip, dram) / folds
    The second term is the first fill and the last drain of a two-stage pipeline over the folds: with one fold
    nothing overlaps, with many it vanishes.
    energy = macs (multiply w a/64 + add acc/32) + registers + buffers + dram + vector + leakage latency
    """
    if dataflow == _OS:
        folds, streamed, load = p.m_rows * p.n_cols, p.k, 0
    elif dataflow == _WS:
        folds, streamed, load = p.k_rows * p.n_cols, p.m, device.rows
    else:
        folds, streamed, load = p.k_rows * p.m_cols, p.n, device.rows
    folds *= p.groups
    blocks = _blocks(dataflow, p, device)
    cycles = float(p.steps * _cycles(folds, blocks, streamed, load, device))
    if device.rules == _COMPAT:
        cycles -= 1.0  # SCALE-Sim reports the number of its last cycle, counted from zero
    macs = float(p.groups * p.steps) * p.m * p.n * p.k

    dram_in, dram_w, dram_out = _dram(dataflow, p, blocks, device)
    sram_in, sram_w, sram_out = _sram(dataflow, p, blocks)
    dram_bytes = dram_in + dram_w + dram_out
    compute_s = cycles / device.clock_hz
    vector_s = p.vector_ops / (device.lanes * device.clock_hz)
    sram_s = max(sram_in, sram_w, sram_out) / device.port_bytes_per_s
    dram_s = dram_bytes / device.dram_bytes_per_s
    on_chip_s = max(compute_s + vector_s, sram_s)
    latency_s = max(on_chip_s, dram_s) + min(on_chip_s, dram_s) / (folds * p.steps)

    mac_j = macs * (device.multiply_j * p.weight_byte * p.input_byte + device.add_j * p.sum_byte / 4.0)
    array_j = device.register_j_per_bit * _register_bits(dataflow, p, blocks, macs, device)
    sram_j = (
        device.ifmap_j_per_byte * (sram_in + dram_in)
        + device.filter_j_per_byte * (sram_w + dram_w)
        + device.ofmap_j_per_byte * (sram_out + dram_out)
    )
    dram_j = device.dram_j_per_byte * dram_bytes
    vector_j = device.vector_op_j * p.vector_ops
    leakage_j = device.leakage_w * latency_s
    energy_j = mac_j + array_j + sram_j + dram_j + vector_j + leakage_j
    sram_bytes = sram_in + sram_w + sram_out + dram_bytes
    return Cost(
        latency_s, compute_s, sram_s, dram_s, vector_s, energy_j, mac_j, array_j, sram_j, dram_j, vector_j, leakage_j,
        dram_bytes, sram_bytes, cycles, macs,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _vector_layer(row: _Row, device: _Device) -> Cost:
    """A layer without MACs: the vector unit reads the ifmap buffer and writes the ofmap buffer, element by element.

    latency = max(vector, sram, dram); the table rows of an embedding and the pairs of a normalisation come from DRAM.
    """
    input_byte = _width(row.activation_bits, device) / 8.0
    weight_byte = _width(row.weight_bits, device) / 8.0
    embedding = row.kind == _EMBEDDING
    sram_in = _input_elements(row) * (weight_byte if embedding else input_byte)
    sram_out = row.output_elements * input_byte
    sram_w = row.parameters * weight_byte if row.kind == _NORM else 0.0
    whole_in = row.input_elements * input_byte
    dram_in = 0.0 if not embedding and _stays(whole_in, row.input_offchip, device) else sram_in
    dram_out = 0.0 if _stays(sram_out, row.output_offchip, device) else sram_out
    dram_bytes = dram_in + sram_w + dram_out

    vector_s = row.vector_ops / (device.lanes * device.clock_hz)
    sram_s = max(sram_in, sram_w, sram_out) / device.port_bytes_per_s
    dram_s = dram_bytes / device.dram_bytes_per_s
    latency_s = max(vector_s, sram_s, dram_s)

    sram_j = (
        device.ifmap_j_per_byte * (sram_in + dram_in)
        + device.filter_j_per_byte * 2.0 * sram_w
        + device.ofmap_j_per_byte * (sram_out + dram_out)
    )
    dram_j = device.dram_j_per_byte * dram_bytes
    vector_j = device.vector_op_j * row.vector_ops
    leakage_j = device.leakage_w * latency_s
    energy_j = sram_j + dram_j + vector_j + leakage_j
    sram_bytes = sram_in + sram_w + sram_out + dram_bytes
    return Cost(
        latency_s, 0.0, sram_s, dram_s, vector_s, energy_j, 0.0, 0.0, sram_j, dram_j, vector_j, leakage_j,
        dram_bytes, sram_bytes, 0.0, 0.0,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _layer(row: _Row, device: _Device) -> tuple[int, Cost]:
    """(choice, cost) of one layer; `best` takes the lowest latency, then the lowest energy, then the first."""
    if row.macs == 0:
        return VECTOR, _vector_layer(row, device)
    p = _product(row, device)
    if device.dataflow != _BEST:
        return device.dataflow, _array_layer(device.dataflow, p, device)
    chosen, least = _OS, _array_layer(_OS, p, device)
    for dataflow in (_WS, _IS):
        found = _array_layer(dataflow, p, device)
        faster = found.latency_s < least.latency_s
        if faster or (found.latency_s == least.latency_s and found.energy_j < least.energy_j):
            chosen, least = dataflow, found
    return chosen, least


@njit(cache=True, nogil=True, error_model="numpy")
def cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration.

    layers : Layers, (L,) columns. configs : SpatialTable, (C,) columns. scratch : unused.
    out : (C, L, len(Cost)) float64, written. choice : (C, L) int16, written: 0 os, 1 ws, 2 is, 3 vector unit.
    """
    rows = [_row(layers, i) for i in range(layers.kind.size)]
    for c in range(configs.array_rows.size):
        device = _device(configs, c)
        for i, row in enumerate(rows):
            chosen, metrics = _layer(row, device)
            choice[c, i] = chosen
            for metric, value in enumerate(metrics):
                out[c, i, metric] = value


@njit(cache=True, nogil=True, error_model="numpy")
def cost_at(
    layers: Any, configs: Any, layer_index: Any, config_index: Any, scratch: Any, out: Any, choice: Any
) -> None:
    """Listed pairs: layer_index, config_index : (Q,) int64; out : (Q, len(Cost)); choice : (Q,) int16."""
    for q in range(layer_index.size):
        chosen, metrics = _layer(_row(layers, layer_index[q]), _device(configs, config_index[q]))
        choice[q] = chosen
        for metric, value in enumerate(metrics):
            out[q, metric] = value


@njit(cache=True, nogil=True, error_model="numpy")
def area_mm2(configs: Any) -> npt.NDArray[np.float64]:
    """Area of each configuration, (C,) mm²."""
    out = np.empty(configs.array_rows.size)
    for c in range(out.size):
        out[c] = _area(configs, c)
    return out
