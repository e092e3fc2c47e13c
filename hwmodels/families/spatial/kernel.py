"""Arithmetic of a systolic array: cycles, buffer and DRAM traffic, latency, energy and area of one layer.

A layer is G groups, each repeated over S sequential steps, of a matrix product (m x k) times (k x n) on an array of
R rows and C columns. Folds and streamed length T of the three dataflows [SCALE-Sim v2, own closed form]::

    os   F = ceil(m/R) ceil(n/C)   T = k     outputs stay, no load phase
    ws   F = ceil(k/R) ceil(n/C)   T = m     weights stay, R cycles to load them
    is   F = ceil(k/R) ceil(m/C)   T = n     inputs stay, R cycles to load them

Not modelled: halo overlap between the tiles of one input, bank conflicts, DRAM pages, sparsity, packing of several
groups into one fold. Spec constants enter through `configs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import (
    CONV,
    EMBEDDING,
    NORM,
    ceil_div,
    entry,
    inner,
    listed,
    records,
    rounded_width,
    scaled_to_node,
    source_stamp,
    touched_share,
)

__all__ = ["VECTOR", "Cost", "Detail", "accesses", "area_mm2", "cost", "cost_at", "detail"]

# Codes of the Spec's choices; a test holds them to their definitions.
_OS, _WS, _IS, _BEST = 0, 1, 2, 3
_COMPAT = 1
_OVERLAP_NONE, _OVERLAP_LOAD = 0, 1
VECTOR = 3
"""The id in `choice` of a layer that runs on the vector unit."""

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


class Detail(NamedTuple):
    """What lies behind the cost of one layer on the array under one dataflow.

    m, n, k : the product of one group and step. folds : of all groups in one step, each of `streamed` elements in
    `blocks` blocks, after `load_cycles`. input_passes, weight_passes : how often an operand comes from DRAM where it
    does not stay on the chip.
    """

    groups: float
    steps: float
    m: float
    n: float
    k: float
    folds: float
    streamed: float
    load_cycles: float
    blocks: float
    input_passes: float
    weight_passes: float
    input_dram_bytes: float
    weight_dram_bytes: float
    output_dram_bytes: float


# What follows from the knobs of a configuration; `_derive` writes it. Energies are those of its own node.
_DERIVED = {
    "ifmap_half": float,  # bytes of half a buffer
    "filter_half": float,
    "ofmap_half": float,
    "port_bytes_per_s": float,
    "node_multiply_j": float,
    "node_add_j": float,
    "node_register_j_per_bit": float,
    "node_vector_op_j": float,
    "ifmap_j_per_byte": float,
    "filter_j_per_byte": float,
    "ofmap_j_per_byte": float,
    "leakage_w": float,
}


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


@inner
def _area(knobs: Any) -> float:
    """area = (node/45)^2 (R C (multiplier (bits/8)^2 + adder + registers) + lanes + buffers), mm²."""
    bits = knobs.max_bits
    buffers = knobs.ifmap_sram_bytes + knobs.filter_sram_bytes + knobs.ofmap_sram_bytes
    element = (
        knobs.multiplier_mm2 * (bits / 8.0) ** 2
        + knobs.adder_mm2
        + knobs.register_mm2_per_bit * (2.0 * bits + _ACCUMULATOR_BITS)
    )
    at_reference = (
        element * knobs.array_rows * knobs.array_cols
        + knobs.vector_lane_mm2 * knobs.vector_lanes
        + knobs.sram_mm2_per_byte * buffers
    )
    area: float = scaled_to_node(at_reference, knobs.node_nm, 2)
    return area


@inner
def _derive(device: Any) -> None:
    """Write the fields of `_DERIVED`: energies at the node, those of a buffer by sqrt(capacity / 32 KiB)."""
    device.ifmap_half = device.ifmap_sram_bytes / 2.0
    device.filter_half = device.filter_sram_bytes / 2.0
    device.ofmap_half = device.ofmap_sram_bytes / 2.0
    device.port_bytes_per_s = device.sram_bytes_per_cycle * device.clock_hz
    node, exponent = device.node_nm, device.energy_exponent
    device.node_multiply_j = scaled_to_node(device.multiply_j, node, exponent)
    device.node_add_j = scaled_to_node(device.add_j, node, exponent)
    device.node_register_j_per_bit = scaled_to_node(device.register_j_per_bit, node, exponent)
    device.node_vector_op_j = scaled_to_node(device.vector_op_j, node, exponent)
    per_byte = scaled_to_node(device.sram_j_per_byte, node, exponent)
    device.ifmap_j_per_byte = per_byte * np.sqrt(device.ifmap_sram_bytes / _REFERENCE_SRAM_BYTES)
    device.filter_j_per_byte = per_byte * np.sqrt(device.filter_sram_bytes / _REFERENCE_SRAM_BYTES)
    device.ofmap_j_per_byte = per_byte * np.sqrt(device.ofmap_sram_bytes / _REFERENCE_SRAM_BYTES)
    device.leakage_w = device.leakage_w_per_mm2 * _area(device)


@inner
def _byte(bits: int, device: Any) -> float:
    """Bytes of an element at the narrowest supported width that holds `bits`, or at the widest."""
    return rounded_width(bits, device.min_bits, device.max_bits) / 8.0


@inner
def _input_elements(row: Any) -> float:
    """Input elements that are read at all."""
    high = touched_share(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    wide = touched_share(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    return row.input_elements * high * wide


@inner
def _stays(tensor_bytes: float, offchip: int, device: Any) -> bool:
    """Residency: a tensor between two layers stays when half of the ifmap and half of the ofmap buffer hold it.

    Producer and consumer judge by the same rule, so they agree.
    """
    return device.keep_activations == 1 and offchip == 0 and tensor_bytes <= min(device.ifmap_half, device.ofmap_half)


@inner
def _product(row: Any, device: Any) -> _Product:
    """The product of layer i; `compat` lowers a convolution as SCALE-Sim does.

    compat: Eh = ceil((H - fh + s)/s), Ew alike, m = batch Eh Ew, k = fh fw channels, n = filters a group, one group.
    """
    groups, m, n, k = row.groups, row.m, row.n, row.k
    if device.rules == _COMPAT and row.kind == CONV:
        out_h = ceil_div(row.in_h - row.kernel_h + row.stride_h, row.stride_h)
        out_w = ceil_div(row.in_w - row.kernel_w + row.stride_w, row.stride_w)
        m = row.batch * max(out_h, 1) * max(out_w, 1)
        n = row.out_channels // groups
        k = row.kernel_h * row.kernel_w * row.in_channels
        groups = 1
    steps = row.sequential_steps
    input_byte = _byte(row.activation_bits, device)
    # A computed second operand is an activation and has its width.
    dynamic = row.dynamic_operand == 1
    weight_byte = _byte(row.activation_bits if dynamic else row.weight_bits, device)
    output_bytes = row.output_elements * input_byte
    return _Product(
        groups,
        steps,
        m,
        n,
        k,
        ceil_div(m, device.array_rows),
        ceil_div(m, device.array_cols),
        ceil_div(n, device.array_cols),
        ceil_div(k, device.array_rows),
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


@inner
def _blocks(dataflow: int, p: _Product, device: Any) -> int:
    """Blocks B of the streamed dimension: the partial sums of one block fit half the ofmap buffer.

    B = ceil(T / floor(half / (min(C, width) sum bytes))); 1 where k needs one fold only, in `os` and in `compat`.
    """
    if dataflow == _OS or p.k_rows == 1 or device.rules == _COMPAT:
        return 1
    streamed, width = (p.m, min(device.array_cols, p.n)) if dataflow == _WS else (p.n, min(device.array_cols, p.m))
    return ceil_div(streamed, max(int(device.ofmap_half / (width * p.sum_byte)), 1))


@inner
def _cycles(folds: int, blocks: int, streamed: int, load: int, device: Any) -> int:
    """Cycles of one sequential step of F folds, each with T streamed elements in B blocks.

    none : F (B (load + R + C - 2) + T)
    load : load + F (B (R + C - 2) + T)                 the next load hides behind the running block
    full : load + max(F T, (F B - 1) R) + R + C - 2     skew and drain hide as well
    """
    skew = device.array_rows + device.array_cols - 2
    if device.fold_overlap == _OVERLAP_NONE:
        return folds * (blocks * (load + skew) + streamed)
    if device.fold_overlap == _OVERLAP_LOAD:
        return load + folds * (blocks * skew + streamed)
    return load + max(folds * streamed, (folds * blocks - 1) * device.array_rows) + skew


@inner
def _passes(tile_bytes: float, whole_bytes: float, half_bytes: float, folds: int) -> float:
    """How often an operand comes from DRAM: once when its tile (or all of it) fits half the buffer, else every fold."""
    return 1.0 if min(tile_bytes, whole_bytes) <= half_bytes else float(folds)


@inner
def _refills(dataflow: int, p: _Product, blocks: int, device: Any) -> tuple[float, float]:
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
    rows, cols = float(device.array_rows), float(device.array_cols)
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


@inner
def _dram(dataflow: int, p: _Product, blocks: int, device: Any) -> tuple[float, float, float]:
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


@inner
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


@inner
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


@inner
def _register_bits(dataflow: int, p: _Product, blocks: int, macs: float, device: Any) -> float:
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
    return 8.0 * (macs * moved + still * (device.array_rows + 1) / 2.0)


@inner
def _folds(dataflow: int, p: _Product, device: Any) -> tuple[int, int, int]:
    """(folds of all groups, streamed length, load cycles) of one sequential step."""
    if dataflow == _OS:
        return p.groups * p.m_rows * p.n_cols, p.k, 0
    if dataflow == _WS:
        return p.groups * p.k_rows * p.n_cols, p.m, device.array_rows
    return p.groups * p.k_rows * p.m_cols, p.n, device.array_rows


@inner
def _array_layer(dataflow: int, p: _Product, device: Any) -> Cost:
    """A matrix product on the array under one dataflow.

    on_chip = max(compute + vector, sram)
    latency = max(on_chip, dram) + min(on_chip, dram) / folds
    The second term is the first fill and the last drain of a two-stage pipeline over the folds: with one fold
    nothing overlaps, with many it vanishes.
    energy = macs (multiply w a/64 + add acc/32) + registers + buffers + dram + vector + leakage latency
    """
    folds, streamed, load = _folds(dataflow, p, device)
    blocks = _blocks(dataflow, p, device)
    cycles = float(p.steps * _cycles(folds, blocks, streamed, load, device))
    if device.rules == _COMPAT:
        cycles -= 1.0  # SCALE-Sim reports the number of its last cycle, counted from zero
    macs = float(p.groups * p.steps) * p.m * p.n * p.k

    dram_in, dram_w, dram_out = _dram(dataflow, p, blocks, device)
    sram_in, sram_w, sram_out = _sram(dataflow, p, blocks)
    dram_bytes = dram_in + dram_w + dram_out
    compute_s = cycles / device.clock_hz
    vector_s = p.vector_ops / (device.vector_lanes * device.clock_hz)
    sram_s = max(sram_in, sram_w, sram_out) / device.port_bytes_per_s
    dram_s = dram_bytes / device.dram_bytes_per_s
    on_chip_s = max(compute_s + vector_s, sram_s)
    latency_s = max(on_chip_s, dram_s) + min(on_chip_s, dram_s) / (folds * p.steps)

    mac_j = macs * (device.node_multiply_j * p.weight_byte * p.input_byte + device.node_add_j * p.sum_byte / 4.0)
    array_j = device.node_register_j_per_bit * _register_bits(dataflow, p, blocks, macs, device)
    sram_j = (
        device.ifmap_j_per_byte * (sram_in + dram_in)
        + device.filter_j_per_byte * (sram_w + dram_w)
        + device.ofmap_j_per_byte * (sram_out + dram_out)
    )
    dram_j = device.dram_j_per_byte * dram_bytes
    vector_j = device.node_vector_op_j * p.vector_ops
    leakage_j = device.leakage_w * latency_s
    energy_j = mac_j + array_j + sram_j + dram_j + vector_j + leakage_j
    sram_bytes = sram_in + sram_w + sram_out + dram_bytes
    return Cost(
        latency_s, compute_s, sram_s, dram_s, vector_s, energy_j, mac_j, array_j, sram_j, dram_j, vector_j, leakage_j,
        dram_bytes, sram_bytes, cycles, macs,
    )  # fmt: skip


@inner
def _vector_layer(row: Any, device: Any) -> Cost:
    """A layer without MACs: the vector unit reads the ifmap buffer and writes the ofmap buffer, element by element.

    latency = max(vector, sram, dram); the table rows of an embedding, the pairs of a normalisation and the weights of
    an unknown operator come from DRAM.
    """
    input_byte = _byte(row.activation_bits, device)
    weight_byte = _byte(row.weight_bits, device)
    embedding = row.kind == EMBEDDING
    sram_in = _input_elements(row) * (weight_byte if embedding else input_byte)
    sram_out = row.output_elements * input_byte
    sram_w = (row.parameters if row.kind == NORM else row.weight_elements) * weight_byte
    whole_in = row.input_elements * input_byte
    dram_in = 0.0 if not embedding and _stays(whole_in, row.input_offchip, device) else sram_in
    dram_out = 0.0 if _stays(sram_out, row.output_offchip, device) else sram_out
    dram_bytes = dram_in + sram_w + dram_out

    vector_s = row.vector_ops / (device.vector_lanes * device.clock_hz)
    sram_s = max(sram_in, sram_w, sram_out) / device.port_bytes_per_s
    dram_s = dram_bytes / device.dram_bytes_per_s
    latency_s = max(vector_s, sram_s, dram_s)

    sram_j = (
        device.ifmap_j_per_byte * (sram_in + dram_in)
        + device.filter_j_per_byte * 2.0 * sram_w
        + device.ofmap_j_per_byte * (sram_out + dram_out)
    )
    dram_j = device.dram_j_per_byte * dram_bytes
    vector_j = device.node_vector_op_j * row.vector_ops
    leakage_j = device.leakage_w * latency_s
    energy_j = sram_j + dram_j + vector_j + leakage_j
    sram_bytes = sram_in + sram_w + sram_out + dram_bytes
    return Cost(
        latency_s, 0.0, sram_s, dram_s, vector_s, energy_j, 0.0, 0.0, sram_j, dram_j, vector_j, leakage_j,
        dram_bytes, sram_bytes, 0.0, 0.0,
    )  # fmt: skip


@inner
def _layer(row: Any, device: Any) -> tuple[int, Cost]:
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


@inner
def _detail(row: Any, dataflow: int, device: Any) -> Detail:
    """What lies behind the cost of a layer with MACs under a dataflow."""
    p = _product(row, device)
    folds, streamed, load = _folds(dataflow, p, device)
    blocks = _blocks(dataflow, p, device)
    input_passes, weight_passes = _refills(dataflow, p, blocks, device)
    dram_in, dram_w, dram_out = _dram(dataflow, p, blocks, device)
    return Detail(
        float(p.groups), float(p.steps), float(p.m), float(p.n), float(p.k), float(folds), float(streamed),
        float(load), float(blocks), float(input_passes), float(weight_passes), dram_in, dram_w, dram_out,
    )  # fmt: skip


def _compiled(stamp: int) -> tuple[Any, Any, Any, Any]:
    """The loops over all pairs, listed pairs and areas, and the detail of one layer.

    `stamp` of their sources enters the key of numba's cache.
    """

    @entry
    def all_pairs(rows: Any, configs: Any, out: Any, choice: Any) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for c in range(configs.size):
            device = configs[c]
            _derive(device)
            for i in range(rows.size):
                chosen, metrics = _layer(rows[i], device)
                choice[c, i] = chosen
                for metric, value in enumerate(metrics):
                    out[c, i, metric] = value

    @entry
    def listed_pairs(
        rows: Any, configs: Any, layer: Any, run_config: Any, run_start: Any, out: Any, choice: Any
    ) -> None:
        if stamp == 0:
            return
        for c in range(configs.size):
            _derive(configs[c])
        for r in range(run_config.size):
            device = configs[run_config[r]]
            for q in range(run_start[r], run_start[r + 1]):
                chosen, metrics = _layer(rows[layer[q]], device)
                choice[q] = chosen
                for metric, value in enumerate(metrics):
                    out[q, metric] = value

    @entry
    def areas(configs: Any, out: Any) -> None:
        if stamp == 0:
            return
        for c in range(configs.size):
            out[c] = _area(configs[c])

    @entry
    def one_detail(rows: Any, configs: Any, dataflow: Any, out: Any) -> None:
        if stamp == 0:
            return
        _derive(configs[0])
        for field, value in enumerate(_detail(rows[0], dataflow, configs[0])):
            out[field] = value

    return all_pairs, listed_pairs, areas, one_detail


_all_pairs, _listed_pairs, _areas, _one_detail = _compiled(source_stamp(__file__))


def cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration.

    layers : Layers, (L,) columns. configs : SpatialTable, (C,) columns. scratch : unused.
    out : (C, L, len(Cost)) float64, written. choice : (C, L) int16, written: 0 os, 1 ws, 2 is, 3 vector unit.
    """
    _all_pairs(records(layers), records(configs, _DERIVED), out, choice)


def cost_at(
    layers: Any, configs: Any, layer_index: Any, config_index: Any, scratch: Any, out: Any, choice: Any
) -> None:
    """Listed pairs: layer_index, config_index : (Q,) int64; out : (Q, len(Cost)); choice : (Q,) int16."""
    pairs = listed(layers, configs, layer_index, config_index)
    rows, devices = records(pairs.layers), records(pairs.configs, _DERIVED)
    _listed_pairs(rows, devices, pairs.layer, pairs.run_config, pairs.run_start, out, choice)


def area_mm2(configs: Any) -> npt.NDArray[np.float64]:
    """Area of each configuration, (C,) mm²."""
    out = np.empty(configs.array_rows.size)
    _areas(records(configs), out)
    return out


def detail(layers: Any, configs: Any, dataflow: int) -> Detail:
    """What lies behind the cost of the first layer, one with MACs, on the first configuration under a dataflow."""
    out = np.empty(len(Detail._fields))
    _one_detail(records(layers), records(configs, _DERIVED), dataflow, out)
    return Detail(*out.tolist())
