"""Arithmetic of a CPU: what one layer takes under the fastest algorithm that its runtime has.

A layer with MACs is G groups of a product (m x k) times (k x n); vectors run along n (V = ceil(n / lanes) of them)::

    compute = cycles / (clock S) / efficiency      S: speed of the threads, in fast cores
    memory  = sum over levels of bytes / bandwidth
    latency = (compute^q + memory^q)^(1/q) + vector + layout + overhead

Where a byte comes from depends on its reuse distance d, the data touched since it was last used: the share
min(1, C / d) hits a level of capacity C. Eager or compiled, fused or not, dead branches kept or dropped is decided
before, by rewriting the network.

Not modelled: associativity and replacement, TLBs, hyper-threads, memory on several sockets, sub-byte storage,
sparsity. Spec constants enter through `configs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hwmodels.families.kernel_parts import (
    BFLOAT16,
    BY_WIDTH,
    CONV,
    INTEGER,
    POOL,
    ceil_div,
    entry,
    inner,
    listed,
    records,
    rounded_width,
    source_stamp,
    touched_share,
)

__all__ = ["CHOICES", "Cost", "Detail", "cost", "cost_at", "detail"]

CHOICES = ("gemm", "gemv", "im2col", "direct", "winograd2", "winograd4", "winograd6", "depthwise", "stream")
"""Algorithms by the id that the kernel writes into `choice`."""
_GEMM, _GEMV, _IM2COL, _DIRECT, _WINOGRAD, _DEPTHWISE, _STREAM = 0, 1, 2, 3, 4, 7, 8

# Codes of the Spec's choices; a test holds them to their definitions.
_NCHW, _COLD, _DYNAMIC = 0, 0, 1
_PAGE_BYTES = 4096.0

# Additions of the input and the output transform of a tile and channel. F(2,3) and F(4,3): [Lavin & Gray, CVPR 2016];
# F(6,3): ASSUMED 352 and 252, two one-dimensional passes of 22 and 18 operations a line (plausible 250 to 450).
_WINOGRAD_OPS = ((32.0, 24.0), (156.0, 90.0), (352.0, 252.0))


class Cost(NamedTuple):
    """One layer's metrics, in the order of the kernel's last axis; s, J, bytes and MACs per batch."""

    latency_s: float
    compute_s: float
    memory_s: float
    vector_s: float
    layout_s: float
    overhead_s: float
    energy_j: float
    mac_j: float
    vector_j: float
    cache_j: float
    dram_j: float
    static_j: float
    cache_bytes: float
    dram_bytes: float
    executed_macs: float


class Detail(NamedTuple):
    """What lies behind the cost of one layer under one algorithm.

    work_shares : pieces of work that threads can take. one_thread_cycles : at full efficiency, 0 without MACs.
    The bytes are those of `memory_s`, by the level that they come from or go to.
    """

    threads: float
    lanes: float
    work_shares: float
    one_thread_cycles: float
    l1_bytes: float
    l2_bytes: float
    l3_bytes: float
    dram_bytes: float
    flash_bytes: float


# What a configuration is at its number of threads, beside its knobs; `_derive` writes it. Bandwidths are those of all
# threads together, and so are the capacities `l1_total_bytes` and `l2_total_bytes`.
_DERIVED = {
    "used_threads": int,
    "speed": float,  # of the used threads, in fast cores
    "used_clock_hz": float,
    "join_s": float,
    "lanes": int,
    "vector_ops_per_s": float,
    "pool_ops_per_s": float,
    "l1_total_bytes": float,
    "l2_total_bytes": float,
    "l1_bytes_per_s": float,
    "l2_bytes_per_s": float,
    "l3_bytes_per_s": float,
    "far_bytes_per_s": float,
    "stored_bytes_per_s": float,  # of weights in flash, 0 where there is none
    "block_bytes": float,
    "reuse_bytes": float,
    "packed_bytes_per_s": float,  # of weights packed at every call, infinite where they are packed once
    "power_w": float,
}


class _Traffic(NamedTuple):
    """Bytes by the level that they come from or go to."""

    l1: float
    l2: float
    l3: float
    far: float
    flash: float


class _Product(NamedTuple):
    """What all algorithms of one layer share: bytes of an element, vectors, MACs a cycle, compulsory traffic."""

    input_byte: float
    weight_byte: float
    lanes: int
    rate: float
    input_bytes: float
    weight_bytes: float
    output_bytes: float
    weight_distance: float
    flash: bool


class _Run(NamedTuple):
    """One algorithm on one layer, on one thread: cycles at full efficiency, shares of work, traffic."""

    cycles: float
    shares: float
    executed_macs: float
    transform_ops: float
    layout_s: float
    traffic: _Traffic


@inner
def _threads(device: Any) -> tuple[int, float, float]:
    """(threads, their speed in fast cores, clock).

    static : p times the slowest core in use; dynamic : the sum of the cores in use.
    clock : linear in the busy fast cores from `clock_hz` (one) to `all_core_clock_hz` (all).
    """
    big, wanted = device.big_cores, device.threads
    threads = min(wanted if wanted > 0 else big, big + device.little_cores)
    on_big = min(threads, big)
    slow = threads - on_big
    if device.scheduling == _DYNAMIC:
        speed = on_big + slow * device.little_speed
    else:
        speed = threads * (device.little_speed if slow > 0 else 1.0)
    fall = (on_big - 1) / max(big - 1, 1)
    clock = device.clock_hz + (device.all_core_clock_hz - device.clock_hz) * fall
    return threads, speed, clock


@inner
def _derive(device: Any) -> None:
    """Write the fields of `_DERIVED`; a level is never slower than the one behind it."""
    threads, speed, clock = _threads(device)
    device.used_threads, device.speed, device.used_clock_hz = threads, speed, clock
    device.join_s = device.barrier_s * np.log2(float(threads))
    device.lanes = device.simd_bits // 32
    vector_ops_per_s = device.lanes * device.fma_units * clock * speed
    device.vector_ops_per_s = vector_ops_per_s * device.vector_efficiency
    device.pool_ops_per_s = vector_ops_per_s * device.pool_efficiency

    far = min(device.core_dram_bytes_per_s * speed, device.dram_bytes_per_s * device.dram_efficiency)
    l3 = max(device.l3_bytes_per_cycle * clock * speed, far)
    l2 = max(device.l2_bytes_per_cycle * clock * speed, l3)
    l1 = max(device.l1_bytes_per_cycle * clock * speed, l2)
    device.far_bytes_per_s, device.l3_bytes_per_s, device.l2_bytes_per_s, device.l1_bytes_per_s = far, l3, l2, l1
    l2_copies = 1 if device.l2_shared else threads
    device.l1_total_bytes = float(device.l1_bytes * threads)
    device.l2_total_bytes = float(device.l2_bytes * l2_copies)
    device.block_bytes = max(device.l2_total_bytes / threads, float(device.l1_bytes)) / 2.0

    device.stored_bytes_per_s = device.flash_bytes_per_s if device.flash_bytes > 0 else 0.0
    device.reuse_bytes = device.reuse_distance_bytes if device.context == _COLD else 0.0
    device.packed_bytes_per_s = device.repack_bytes_per_s * speed if device.repacks_weights else np.inf
    device.power_w = device.idle_w + device.core_w * threads


@inner
def _stream(traffic: _Traffic, amount: float, distance: float, device: Any) -> _Traffic:
    """`traffic` and `amount` bytes more whose reuse distance is `distance` bytes.

    The share min(1, C / distance) is found in a level of capacity C or before it.
    """
    if distance <= device.l1_total_bytes:
        return _Traffic(traffic.l1 + amount, traffic.l2, traffic.l3, traffic.far, traffic.flash)
    first = device.l1_total_bytes / distance
    second = max(min(device.l2_total_bytes / distance, 1.0), first)
    third = max(min(device.l3_bytes / distance, 1.0), second)
    return _Traffic(
        traffic.l1 + amount * first,
        traffic.l2 + amount * (second - first),
        traffic.l3 + amount * (third - second),
        traffic.far + amount * (1.0 - third),
        traffic.flash,
    )


@inner
def _memory_s(traffic: _Traffic, device: Any) -> float:
    """Sum over levels of bytes / bandwidth."""
    near = traffic.l1 / device.l1_bytes_per_s + traffic.l2 / device.l2_bytes_per_s
    far = traffic.l3 / device.l3_bytes_per_s + traffic.far / device.far_bytes_per_s
    return near + far + (traffic.flash / device.stored_bytes_per_s if traffic.flash > 0.0 else 0.0)


@inner
def _byte(bits: int) -> float:
    """Bytes of a stored element: 1, 2, 4 or 8."""
    return rounded_width(bits, 8, 64) / 8.0


@inner
def _is_int8(bits: int, code: int) -> bool:
    """Integers of at most 8 bits."""
    return bits <= 8 and code in (BY_WIDTH, INTEGER)


@inner
def _is_half(bits: int, code: int) -> bool:
    """What float16 arithmetic takes: floats and integers of at most 16 bits but bfloat16 and int16."""
    return bits <= 16 and code != BFLOAT16 and code != INTEGER


@inner
def _product(row: Any, device: Any) -> _Product:
    """Widths and compulsory traffic; both operands decide in which format the products are computed."""
    weight_bits, weight_format = row.weight_bits, row.weight_format
    if row.dynamic_operand == 1:
        weight_bits, weight_format = row.activation_bits, row.activation_format
    bits = max(weight_bits, row.activation_bits)
    lanes, rate = device.lanes, device.fma_units
    if _is_int8(weight_bits, weight_format) and _is_int8(row.activation_bits, row.activation_format):
        rate *= device.int8_rate
    elif (
        device.half_rate > 1.0
        and _is_half(weight_bits, weight_format)
        and _is_half(row.activation_bits, row.activation_format)
    ):
        lanes *= 2
        rate *= device.half_rate / 2.0
    elif bits > 32:  # float64: half the lanes, or half the rate of a single one
        rate *= 0.5 if lanes == 1 else 1.0
        lanes = max(lanes // 2, 1)
    input_byte = _byte(row.activation_bits)
    weight_byte = input_byte if row.dynamic_operand == 1 else _byte(row.weight_bits)
    touched = touched_share(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    touched *= touched_share(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    weight_bytes = row.weight_elements * weight_byte
    distance = weight_bytes + (0.0 if row.dynamic_operand == 1 else device.reuse_bytes)
    flash = row.dynamic_operand == 0 and device.stored_bytes_per_s > 0.0
    return _Product(
        input_byte, weight_byte, lanes, rate, row.input_elements * input_byte * touched, weight_bytes,
        row.output_elements * input_byte, distance, flash,
    )  # fmt: skip


@inner
def _weights(traffic: _Traffic, amount: float, p: _Product, device: Any) -> _Traffic:
    """Weights come from flash where there is one, else from wherever they are found."""
    if p.flash:
        return _Traffic(traffic.l1, traffic.l2, traffic.l3, traffic.far, traffic.flash + amount)
    return _stream(traffic, amount, p.weight_distance + amount - p.weight_bytes, device)


@inner
def _compulsory(p: _Product, device: Any) -> _Traffic:
    """Input read once, output written and, before that, allocated in the cache; no weights."""
    traffic = _stream(_Traffic(0.0, 0.0, 0.0, 0.0, 0.0), p.input_bytes, p.input_bytes, device)
    return _stream(traffic, 2.0 * p.output_bytes, p.output_bytes, device)


@inner
def _tile(rows: int, vectors: int, p: _Product, device: Any) -> float:
    """Cycles of one reduction step of a tile: start all products, and wait for each accumulator's last one."""
    return max(rows * vectors / p.rate, device.fma_latency_cycles) if rows > 0 and vectors > 0 else 0.0


@inner
def _tiles(m: int, vectors: int, p: _Product, device: Any) -> float:
    """Cycles of one reduction step over an (m x V) output in tiles of mr x nv, edges included."""
    rows, width = device.tile_rows, device.tile_vectors
    full_m, rest_m = m // rows, m % rows
    full_v, rest_v = vectors // width, vectors % width
    return (
        full_m * full_v * _tile(rows, width, p, device)
        + full_m * _tile(rows, rest_v, p, device)
        + full_v * _tile(rest_m, width, p, device)
        + _tile(rest_m, rest_v, p, device)
    )


@inner
def _shares(m: int, vectors: int, device: Any) -> float:
    """Tiles of an output: the shares of work that threads can take."""
    return float(ceil_div(m, device.tile_rows) * ceil_div(vectors, device.tile_vectors))


@inner
def _blocked(traffic: _Traffic, amount: float, size: float, device: Any) -> _Traffic:
    """`amount` bytes more of an operand of `size` bytes that is worked on block by block.

    A block fits the second cache: what the first one does not hold, the share 1 - min(1, C1 / size), comes from there.
    """
    near = min(1.0, device.l1_total_bytes / size)
    return _Traffic(
        traffic.l1 + amount * near, traffic.l2 + amount * (1.0 - near), traffic.l3, traffic.far, traffic.flash
    )


@inner
def _panels(traffic: _Traffic, m: int, vectors: int, k: int, repeats: float, p: _Product, device: Any) -> _Traffic:
    """Operands read again by a blocked product [Goto], `repeats` products of m x k and k x n.

    left  (ceil(V/nv) - 1) times, from the second cache where it does not stay in the first
    either the right operand once a block of rows (block = half the second cache over the bytes of a row), or the
    left one once a block of columns: the faster, found where an operand of its size stays
    """
    left, right = float(m) * k * p.input_byte, float(k) * vectors * p.lanes * p.weight_byte
    again = repeats * left * (ceil_div(vectors, device.tile_vectors) - 1)
    traffic = _blocked(traffic, again, left, device)
    row_blocks = np.ceil(left / max(device.block_bytes, k * p.input_byte))
    column_blocks = np.ceil(right / max(device.block_bytes, k * p.weight_byte))
    by_rows = _stream(traffic, repeats * right * (row_blocks - 1.0), right, device)
    by_columns = _stream(traffic, repeats * left * (column_blocks - 1.0), left, device)
    return by_rows if _memory_s(by_rows, device) <= _memory_s(by_columns, device) else by_columns


@inner
def _gemm(row: Any, p: _Product, patches: bool, device: Any) -> _Run:
    """G S blocked products; `patches` first writes the (m x k) matrix and reads it, a block at a time.

    cycles = G S tiles(m, V) (k + k0); a convolution's weights are packed where the runtime does so at every call
    """
    vectors, steps = ceil_div(row.n, p.lanes), float(row.sequential_steps)
    repeats = row.groups * steps
    cycles = repeats * _tiles(row.m, vectors, p, device) * (row.k + device.tile_overhead_steps)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    if steps > 1.0:
        traffic = _stream(traffic, (steps - 1.0) * p.weight_bytes, p.weight_bytes, device)
    traffic = _panels(traffic, row.m, vectors, row.k, repeats, p, device)
    if patches:
        written = repeats * row.m * row.k * p.input_byte
        traffic = _blocked(traffic, 2.0 * written, written, device)
    shares = row.groups * _shares(row.m, vectors, device)
    packed = p.weight_bytes if row.kind == CONV else 0.0
    return _Run(cycles, shares, float(row.macs), 0.0, packed / device.packed_bytes_per_s, traffic)


@inner
def _gemv(row: Any, p: _Product, device: Any) -> _Run:
    """Few rows: each row passes once over all weights, with as many accumulators as hide the latency.

    cycles = G S m (k + k0) V / rate
    """
    vectors, steps = ceil_div(row.n, p.lanes), float(row.sequential_steps)
    cycles = row.groups * steps * row.m * (row.k + device.tile_overhead_steps) * vectors / p.rate
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    again = (row.m * steps - 1.0) * p.weight_bytes
    traffic = _stream(traffic, again, p.weight_bytes / row.groups if steps == 1.0 else p.weight_bytes, device)
    return _Run(cycles, float(row.groups * vectors), float(row.macs), 0.0, 0.0, traffic)


@inner
def _layout(row: Any, p: _Product, weights: float, device: Any) -> float:
    """Reorders around a convolution, seconds: weights at every call, input and output where the layout is nchw."""
    seconds = weights / device.packed_bytes_per_s
    if device.layout == _NCHW:
        moved = _stream(_Traffic(0.0, 0.0, 0.0, 0.0, 0.0), 2.0 * p.input_bytes, p.input_bytes, device)
        moved = _stream(moved, 2.0 * p.output_bytes, p.output_bytes, device)
        seconds += _memory_s(moved, device)
    return seconds


@inner
def _direct(row: Any, p: _Product, device: Any) -> _Run:
    """Tiles along one output line, reduction over window and channels in place.

    cycles = G B OH tiles(OW, V) (k + k0); the strip of kernel_h input lines is read ceil(V/nv) times
    """
    vectors, lines = ceil_div(row.n, p.lanes), row.batch * row.out_h
    cycles = float(row.groups * lines) * _tiles(row.out_w, vectors, p, device) * (row.k + device.tile_overhead_steps)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    window = row.kernel_h * row.in_w * (row.in_channels // row.groups) * p.input_byte
    passes = float(lines * row.groups) * ceil_div(vectors, device.tile_vectors)
    traffic = _stream(traffic, max(passes * window - p.input_bytes, 0.0), window * device.used_threads, device)
    again = p.weight_bytes * (lines - 1.0)
    traffic = _stream(traffic, again, p.weight_bytes / row.groups, device)
    shares = float(row.groups * lines * ceil_div(vectors, device.tile_vectors))
    return _Run(cycles, shares, float(row.macs), 0.0, _layout(row, p, p.weight_bytes, device), traffic)


@inner
def _winograd(row: Any, p: _Product, which: int, device: Any) -> _Run:
    """F(t, 3) with tiles of a = t + 2 [Lavin & Gray]: a^2 products of (tiles x C) and (C x N), transforms around.

    MACs executed = a^2 tiles C N, instead of 9 t^2 a tile.
    """
    t = 2 * (which + 1)
    a2 = float((t + 2) * (t + 2))
    tiles = row.batch * ceil_div(row.out_h, t) * ceil_div(row.out_w, t)
    vectors = ceil_div(row.n, p.lanes)
    cycles = a2 * _tiles(tiles, vectors, p, device) * (row.in_channels + device.tile_overhead_steps)
    into, out = _WINOGRAD_OPS[which]
    ops = float(tiles) * (row.in_channels * into + row.out_channels * out)
    weights = p.weight_bytes * a2 / 9.0
    traffic = _weights(_compulsory(p, device), weights, p, device)
    moved = a2 * tiles * (row.in_channels + row.out_channels) * p.input_byte
    traffic = _blocked(traffic, 2.0 * moved, moved, device)
    traffic = _panels(traffic, tiles, vectors, row.in_channels, a2, p, device)
    executed = a2 * tiles * row.in_channels * row.n
    layout_s = _layout(row, p, weights, device)
    return _Run(cycles, a2 * _shares(tiles, vectors, device), executed, ops, layout_s, traffic)


@inner
def _depthwise(row: Any, p: _Product, device: Any) -> _Run:
    """One window a channel, vectors along channels: cycles = m k ceil(N G / lanes) / (rate r).

    r = depthwise_wide_rate for windows other than 3x3, which few libraries write by hand; else 1.
    """
    vectors = ceil_div(row.out_channels, p.lanes)
    wide = 1.0 if row.kernel_h == 3 and row.kernel_w == 3 else device.depthwise_wide_rate
    cycles = float(row.m) * row.k * vectors / (p.rate * wide)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    shares = float(row.batch * row.out_h * vectors)
    return _Run(cycles, shares, float(row.macs), 0.0, _layout(row, p, p.weight_bytes, device), traffic)


@inner
def _parallel(one_thread: float, shares: float, device: Any) -> float:
    """Time on all threads, by the speed S of them and whole shares of work.

    T (serial + (1 - serial) / (S shares / (ceil(shares / p) p)))
    """
    if device.used_threads == 1:
        return one_thread
    even = shares / (np.ceil(shares / device.used_threads) * device.used_threads)
    together: float = one_thread * (device.serial_fraction + (1.0 - device.serial_fraction) / (device.speed * even))
    return together


@inner
def _norm(a: float, b: float, p: float) -> float:
    """(a^p + b^p)^(1/p)."""
    high, low = max(a, b), min(a, b)
    if low == 0.0:
        return high
    norm: float = high * (1.0 + (low / high) ** p) ** (1.0 / p)
    return norm


@inner
def _cost(
    row: Any, compute_s: float, vector_s: float, layout_s: float, ops: float, executed: float, traffic: _Traffic,
    device: Any,
) -> Cost:  # fmt: skip
    """Latency and energy from their terms; overhead is what `_overhead` says."""
    memory_s = _memory_s(traffic, device)
    overhead_s = _overhead(row, device)
    latency_s = _norm(compute_s, memory_s, device.overlap_norm) + vector_s + layout_s + overhead_s
    bits = row.activation_bits if row.dynamic_operand == 1 else max(row.weight_bits, row.activation_bits)
    mac_j = executed * device.mac_j * min(bits, 64) / 32.0
    vector_j = ops * device.vector_op_j
    cache_bytes, dram_bytes = traffic.l2 + traffic.l3, traffic.far + traffic.flash
    cache_j = cache_bytes * device.cache_j_per_byte
    dram_j = dram_bytes * device.dram_j_per_byte
    static_j = device.power_w * latency_s
    energy_j = mac_j + vector_j + cache_j + dram_j + static_j
    return Cost(
        latency_s, compute_s, memory_s, vector_s, layout_s, overhead_s, energy_j, mac_j, vector_j, cache_j, dram_j,
        static_j, cache_bytes, dram_bytes, executed,
    )  # fmt: skip


@inner
def _overhead(row: Any, device: Any) -> float:
    """Dispatch and join of every operator (and step), fresh pages of its output, the call with the last layer."""
    once = device.dispatch_s + device.join_s
    seconds = once * row.sequential_steps
    if row.macs > 0:
        seconds += device.product_dispatch_s
    fresh = row.output_elements * _byte(row.activation_bits) - device.fault_threshold_bytes
    if fresh > 0.0:
        seconds += fresh / _PAGE_BYTES * device.page_fault_s
    return seconds + (device.invoke_s if row.output_offchip == 1 else 0.0)


@inner
def _run(row: Any, p: _Product, algorithm: int, device: Any) -> _Run:
    """One algorithm on a layer with MACs."""
    if algorithm in (_GEMM, _IM2COL):
        return _gemm(row, p, algorithm == _IM2COL, device)
    if algorithm == _GEMV:
        return _gemv(row, p, device)
    if algorithm == _DIRECT:
        return _direct(row, p, device)
    if algorithm == _DEPTHWISE:
        return _depthwise(row, p, device)
    return _winograd(row, p, algorithm - _WINOGRAD, device)


@inner
def _product_cost(row: Any, p: _Product, algorithm: int, device: Any) -> Cost:
    """One algorithm's cost on a layer with MACs."""
    run = _run(row, p, algorithm, device)
    efficiency = device.depthwise_efficiency if algorithm == _DEPTHWISE else device.gemm_efficiency
    compute_s = _parallel(run.cycles / device.used_clock_hz / efficiency, run.shares, device)
    ops = run.transform_ops + row.vector_ops
    vector_s = ops / device.vector_ops_per_s
    return _cost(row, compute_s, vector_s, run.layout_s, ops, run.executed_macs, run.traffic, device)


@inner
def _grains(row: Any, device: Any) -> float:
    """Shares of work of a layer without MACs: as many as it has grains of elements."""
    grains: float = max(1.0, np.ceil(max(row.input_elements, row.output_elements) / device.grain_elements))
    return grains


@inner
def _stream_cost(row: Any, device: Any) -> Cost:
    """A layer without MACs: read, compute, write; few elements use few threads."""
    p = _product(row, device)
    if row.vector_ops == 0 and row.input_elements == 0 and row.output_elements == 0:  # nothing runs
        return Cost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    per_s = device.pool_ops_per_s if row.kind == POOL else device.vector_ops_per_s
    compute_s = row.vector_ops / per_s * device.speed
    compute_s = _parallel(compute_s, _grains(row, device), device)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    return _cost(row, compute_s, 0.0, 0.0, float(row.vector_ops), 0.0, traffic, device)


@inner
def _best(row: Any, device: Any) -> tuple[int, Cost]:
    """(choice, cost) of one layer: the fastest algorithm that fits it, the first among equals.

    gemm, gemv : products, and convolutions of 1x1 windows at stride one.  im2col : all other convolutions.
    direct, winograd : where the runtime has them and uses them for such inputs.  depthwise : one channel a group.
    """
    if row.macs == 0:
        return _STREAM, _stream_cost(row, device)
    p = _product(row, device)
    is_conv = row.kind == CONV
    window = row.kernel_h * row.kernel_w
    if is_conv and row.groups == row.in_channels and row.groups > 1:
        return _DEPTHWISE, _product_cost(row, p, _DEPTHWISE, device)
    plain = not is_conv or (window == 1 and row.stride_h == 1 and row.stride_w == 1)
    chosen = _GEMM if plain else _IM2COL
    least = _product_cost(row, p, chosen, device)
    if plain and row.m < device.tile_rows:
        found = _product_cost(row, p, _GEMV, device)
        if found.latency_s < least.latency_s:
            chosen, least = _GEMV, found
    is_small = row.batch == 1 and row.groups == 1 and max(row.kernel_h, row.kernel_w) <= 3
    blocked = is_conv and not (is_small and row.input_elements <= device.direct_least_elements)
    if blocked and device.has_direct == 1:
        found = _product_cost(row, p, _DIRECT, device)
        if found.latency_s < least.latency_s:
            chosen, least = _DIRECT, found
    in_int8 = _is_int8(row.weight_bits, row.weight_format) and _is_int8(row.activation_bits, row.activation_format)
    unit = row.stride_h == 1 and row.stride_w == 1 and row.dilation_h == 1 and row.dilation_w == 1
    square = row.kernel_h == 3 and row.kernel_w == 3 and row.groups == 1
    if blocked and device.has_winograd == 1 and unit and square and not in_int8:
        for which in range(3):
            found = _product_cost(row, p, _WINOGRAD + which, device)
            if found.latency_s < least.latency_s:
                chosen, least = _WINOGRAD + which, found
    return chosen, least


@inner
def _detail(row: Any, algorithm: int, device: Any) -> Detail:
    """What lies behind the cost of a layer under an algorithm that fits it."""
    p = _product(row, device)
    shares, cycles, traffic = _grains(row, device), 0.0, _compulsory(p, device)
    if algorithm != _STREAM:
        run = _run(row, p, algorithm, device)
        shares, cycles, traffic = run.shares, run.cycles, run.traffic
    return Detail(
        float(device.used_threads), float(p.lanes), shares, cycles, traffic.l1, traffic.l2, traffic.l3, traffic.far,
        traffic.flash,
    )  # fmt: skip


def _compiled(stamp: int) -> tuple[Any, Any, Any]:
    """The loops over all and over listed pairs, and the detail of one layer.

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
                chosen, metrics = _best(rows[i], device)
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
                chosen, metrics = _best(rows[layer[q]], device)
                choice[q] = chosen
                for metric, value in enumerate(metrics):
                    out[q, metric] = value

    @entry
    def one_detail(rows: Any, configs: Any, algorithm: Any, out: Any) -> None:
        if stamp == 0:
            return
        _derive(configs[0])
        for field, value in enumerate(_detail(rows[0], algorithm, configs[0])):
            out[field] = value

    return all_pairs, listed_pairs, one_detail


_all_pairs, _listed_pairs, _one_detail = _compiled(source_stamp(__file__))


def cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration.

    layers : Layers, (L,) columns. configs : CpuTable, (C,) columns. scratch : unused.
    out : (C, L, len(Cost)) float64, written. choice : (C, L) int16, written: the position in `CHOICES`.
    """
    _all_pairs(records(layers), records(configs, _DERIVED), out, choice)


def cost_at(
    layers: Any, configs: Any, layer_index: Any, config_index: Any, scratch: Any, out: Any, choice: Any
) -> None:
    """Listed pairs: layer_index, config_index : (Q,) int64; out : (Q, len(Cost)); choice : (Q,) int16."""
    pairs = listed(layers, configs, layer_index, config_index)
    rows, devices = records(pairs.layers), records(pairs.configs, _DERIVED)
    _listed_pairs(rows, devices, pairs.layer, pairs.run_config, pairs.run_start, out, choice)


def detail(layers: Any, configs: Any, algorithm: int) -> Detail:
    """What lies behind the cost of the first layer on the first configuration under the algorithm that it takes."""
    out = np.empty(len(Detail._fields))
    _one_detail(records(layers), records(configs, _DERIVED), algorithm, out)
    return Detail(*out.tolist())
