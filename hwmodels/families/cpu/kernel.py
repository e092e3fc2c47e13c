"""Arithmetic of a CPU: what one layer takes under the fastest algorithm that its runtime has.

A layer with MACs is G groups of a product (m x k) times (k x n); vectors run along n (V = ceil(n / lanes) of them)::

    compute = cycles / (clock S) / efficiency      S: speed of the threads, in fast cores
    memory  = sum over levels of bytes / bandwidth
    latency = (compute^q + memory^q)^(1/q) + vector + layout + overhead

Where a byte comes from depends on its reuse distance d, the data touched since it was last used: the share
min(1, C / d) hits a level of capacity C. Eager or compiled, fused or not, dead branches kept or dropped is decided
before, by rewriting the network.

Not modelled: associativity and replacement, TLBs, hyper-threads, memory on several sockets, sub-byte storage,
sparsity. No kernel imports another; Spec constants enter through `configs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

__all__ = ["CHOICES", "Cost", "cost", "cost_at"]

CHOICES = ("gemm", "gemv", "im2col", "direct", "winograd2", "winograd4", "winograd6", "depthwise", "stream")
"""Algorithms by the id that the kernel writes into `choice`."""
_GEMM, _GEMV, _IM2COL, _DIRECT, _WINOGRAD, _DEPTHWISE, _STREAM = 0, 1, 2, 3, 4, 7, 8

# Codes of Kind and of the Spec's choices; a test holds them to their definitions.
_CONV, _POOL = 0, 4
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
    weight_bits: int
    activation_bits: int
    dynamic_operand: int
    sequential_steps: int
    output_offchip: int


class _Device(NamedTuple):
    """One configuration at its number of threads: capacities and bandwidths are those of all threads together."""

    threads: int
    speed: float
    clock_hz: float
    serial: float
    join_s: float
    grain: float
    lanes: int
    units: float
    latency: float
    half_rate: float
    int8_rate: float
    tile_rows: int
    tile_vectors: int
    overhead_steps: float
    gemm_efficiency: float
    depthwise_efficiency: float
    depthwise_wide_rate: float
    vector_ops_per_s: float
    pool_ops_per_s: float
    l1_bytes: float
    l2_bytes: float
    l3_bytes: float
    l1_bytes_per_s: float
    l2_bytes_per_s: float
    l3_bytes_per_s: float
    far_bytes_per_s: float
    flash_bytes_per_s: float
    block_bytes: float
    overlap_norm: float
    reuse_bytes: float
    reorders: bool
    has_direct: bool
    direct_least: float
    has_winograd: bool
    repack_bytes_per_s: float
    dispatch_s: float
    product_dispatch_s: float
    invoke_s: float
    page_fault_s: float
    fault_threshold_bytes: float
    mac_j: float
    vector_op_j: float
    cache_j_per_byte: float
    dram_j_per_byte: float
    power_w: float


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


@njit(cache=True, nogil=True, error_model="numpy")
def _ceil(a: int, b: int) -> int:
    return (a + b - 1) // b


@njit(cache=True, nogil=True, error_model="numpy")
def _row(layers: Any, i: int) -> _Row:
    """Layer i as scalars: indexing the columns in the inner loop would count references to each of them."""
    return _Row(
        layers.kind[i], layers.batch[i], layers.groups[i], layers.in_channels[i], layers.out_channels[i],
        layers.in_h[i], layers.in_w[i], layers.out_h[i], layers.out_w[i], layers.kernel_h[i], layers.kernel_w[i],
        layers.stride_h[i], layers.stride_w[i], layers.dilation_h[i], layers.dilation_w[i], layers.m[i], layers.n[i],
        layers.k[i], layers.macs[i], layers.vector_ops[i], layers.weight_elements[i], layers.input_elements[i],
        layers.output_elements[i], layers.weight_bits[i], layers.activation_bits[i], layers.dynamic_operand[i],
        layers.sequential_steps[i], layers.output_offchip[i],
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _threads(configs: Any, c: int) -> tuple[int, float, float]:
    """(threads, their speed in fast cores, clock).

    static : p times the slowest core in use; dynamic : the sum of the cores in use.
    clock : linear in the busy fast cores from `clock_hz` (one) to `all_core_clock_hz` (all).
    """
    big, wanted = configs.big_cores[c], configs.threads[c]
    threads = min(wanted if wanted > 0 else big, big + configs.little_cores[c])
    on_big = min(threads, big)
    slow = threads - on_big
    if configs.scheduling[c] == _DYNAMIC:
        speed = on_big + slow * configs.little_speed[c]
    else:
        speed = threads * (configs.little_speed[c] if slow > 0 else 1.0)
    fall = (on_big - 1) / max(big - 1, 1)
    clock = configs.clock_hz[c] + (configs.all_core_clock_hz[c] - configs.clock_hz[c]) * fall
    return threads, speed, clock


@njit(cache=True, nogil=True, error_model="numpy")
def _device(configs: Any, c: int) -> _Device:
    """Columns of configuration c at its number of threads; a level is never slower than the one behind it."""
    threads, speed, clock = _threads(configs, c)
    far = min(configs.core_dram_bytes_per_s[c] * speed, configs.dram_bytes_per_s[c] * configs.dram_efficiency[c])
    l3 = max(configs.l3_bytes_per_cycle[c] * clock * speed, far)
    l2 = max(configs.l2_bytes_per_cycle[c] * clock * speed, l3)
    l1 = max(configs.l1_bytes_per_cycle[c] * clock * speed, l2)
    l2_copies = 1 if configs.l2_shared[c] else threads
    lanes = configs.simd_bits[c] // 32
    vector_ops_per_s = lanes * configs.fma_units[c] * clock * speed
    l2_share = float(configs.l2_bytes[c] * l2_copies) / threads
    flash = configs.flash_bytes_per_s[c] if configs.flash_bytes[c] > 0 else 0.0
    reuse = configs.reuse_distance_bytes[c] if configs.context[c] == _COLD else 0.0
    repack = configs.repack_bytes_per_s[c] * speed if configs.repacks_weights[c] else np.inf
    return _Device(
        threads, speed, clock, configs.serial_fraction[c], configs.barrier_s[c] * np.log2(float(threads)),
        float(configs.grain_elements[c]), lanes, configs.fma_units[c], configs.fma_latency_cycles[c],
        configs.half_rate[c], configs.int8_rate[c], configs.tile_rows[c], configs.tile_vectors[c],
        configs.tile_overhead_steps[c], configs.gemm_efficiency[c], configs.depthwise_efficiency[c],
        configs.depthwise_wide_rate[c],
        vector_ops_per_s * configs.vector_efficiency[c], vector_ops_per_s * configs.pool_efficiency[c],
        float(configs.l1_bytes[c] * threads), float(configs.l2_bytes[c] * l2_copies), float(configs.l3_bytes[c]),
        l1, l2, l3, far, flash,
        max(l2_share, float(configs.l1_bytes[c])) / 2.0, configs.overlap_norm[c],
        reuse, configs.layout[c] == _NCHW, configs.has_direct[c] == 1,
        float(configs.direct_least_elements[c]), configs.has_winograd[c] == 1,
        repack, configs.dispatch_s[c], configs.product_dispatch_s[c], configs.invoke_s[c], configs.page_fault_s[c],
        float(configs.fault_threshold_bytes[c]), configs.mac_j[c], configs.vector_op_j[c],
        configs.cache_j_per_byte[c], configs.dram_j_per_byte[c], configs.idle_w[c] + configs.core_w[c] * threads,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _stream(traffic: _Traffic, amount: float, distance: float, device: _Device) -> _Traffic:
    """`traffic` and `amount` bytes more whose reuse distance is `distance` bytes.

    The share min(1, C / distance) is found in a level of capacity C or before it.
    """
    if distance <= device.l1_bytes:
        return _Traffic(traffic.l1 + amount, traffic.l2, traffic.l3, traffic.far, traffic.flash)
    first = device.l1_bytes / distance
    second = max(min(device.l2_bytes / distance, 1.0), first)
    third = max(min(device.l3_bytes / distance, 1.0), second)
    return _Traffic(
        traffic.l1 + amount * first,
        traffic.l2 + amount * (second - first),
        traffic.l3 + amount * (third - second),
        traffic.far + amount * (1.0 - third),
        traffic.flash,
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _memory_s(traffic: _Traffic, device: _Device) -> float:
    """Sum over levels of bytes / bandwidth."""
    near = traffic.l1 / device.l1_bytes_per_s + traffic.l2 / device.l2_bytes_per_s
    far = traffic.l3 / device.l3_bytes_per_s + traffic.far / device.far_bytes_per_s
    return near + far + (traffic.flash / device.flash_bytes_per_s if traffic.flash > 0.0 else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _byte(bits: int) -> float:
    """Bytes of a stored element: 1, 2 or 4."""
    return 1.0 if bits <= 8 else 2.0 if bits <= 16 else 4.0


@njit(cache=True, nogil=True, error_model="numpy")
def _touched(extent: int, outputs: int, kernel: int, stride: int, dilation: int) -> float:
    """Share of the input's rows (columns) that some window covers: a stride beyond the kernel leaves holes."""
    span = dilation * (kernel - 1) + 1
    return min(extent, (outputs - 1) * min(stride, span) + span) / extent


@njit(cache=True, nogil=True, error_model="numpy")
def _product(row: _Row, device: _Device) -> _Product:
    """Widths and compulsory traffic; the wider operand decides in which width the products are computed."""
    bits = max(row.weight_bits, row.activation_bits)
    if row.dynamic_operand == 1:
        bits = row.activation_bits
    lanes, rate = device.lanes, device.units
    if bits <= 8:
        rate *= device.int8_rate
    elif bits <= 16 and device.half_rate > 1.0:
        lanes *= 2
        rate *= device.half_rate / 2.0
    input_byte = _byte(row.activation_bits)
    weight_byte = input_byte if row.dynamic_operand == 1 else _byte(row.weight_bits)
    touched = _touched(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    touched *= _touched(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    weight_bytes = row.weight_elements * weight_byte
    distance = weight_bytes + (0.0 if row.dynamic_operand == 1 else device.reuse_bytes)
    flash = row.dynamic_operand == 0 and device.flash_bytes_per_s > 0.0
    return _Product(
        input_byte, weight_byte, lanes, rate, row.input_elements * input_byte * touched, weight_bytes,
        row.output_elements * input_byte, distance, flash,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _weights(traffic: _Traffic, amount: float, p: _Product, device: _Device) -> _Traffic:
    """Weights come from flash where there is one, else from wherever they are found."""
    if p.flash:
        return _Traffic(traffic.l1, traffic.l2, traffic.l3, traffic.far, traffic.flash + amount)
    return _stream(traffic, amount, p.weight_distance + amount - p.weight_bytes, device)


@njit(cache=True, nogil=True, error_model="numpy")
def _compulsory(p: _Product, device: _Device) -> _Traffic:
    """Input read once, output written and, before that, allocated in the cache; no weights."""
    traffic = _stream(_Traffic(0.0, 0.0, 0.0, 0.0, 0.0), p.input_bytes, p.input_bytes, device)
    return _stream(traffic, 2.0 * p.output_bytes, p.output_bytes, device)


@njit(cache=True, nogil=True, error_model="numpy")
def _tile(rows: int, vectors: int, p: _Product, device: _Device) -> float:
    """Cycles of one reduction step of a tile: start all products, and wait for each accumulator's last one."""
    return max(rows * vectors / p.rate, device.latency) if rows > 0 and vectors > 0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _tiles(m: int, vectors: int, p: _Product, device: _Device) -> float:
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


@njit(cache=True, nogil=True, error_model="numpy")
def _shares(m: int, vectors: int, device: _Device) -> float:
    """Tiles of an output: the shares of work that threads can take."""
    return float(_ceil(m, device.tile_rows) * _ceil(vectors, device.tile_vectors))


@njit(cache=True, nogil=True, error_model="numpy")
def _blocked(traffic: _Traffic, amount: float, size: float, device: _Device) -> _Traffic:
    """`amount` bytes more of an operand of `size` bytes that is worked on block by block.

    A block fits the second cache: what the first one does not hold, the share 1 - min(1, C1 / size), comes from there.
    """
    near = min(1.0, device.l1_bytes / size)
    return _Traffic(
        traffic.l1 + amount * near, traffic.l2 + amount * (1.0 - near), traffic.l3, traffic.far, traffic.flash
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _panels(traffic: _Traffic, m: int, vectors: int, k: int, repeats: float, p: _Product, device: _Device) -> _Traffic:
    """Operands read again by a blocked product [Goto], `repeats` products of m x k and k x n.

    left  (ceil(V/nv) - 1) times, from the second cache where it does not stay in the first
    either the right operand once a block of rows (block = half the second cache over the bytes of a row), or the
    left one once a block of columns: the faster, found where an operand of its size stays
    """
    left, right = float(m) * k * p.input_byte, float(k) * vectors * p.lanes * p.weight_byte
    again = repeats * left * (_ceil(vectors, device.tile_vectors) - 1)
    traffic = _blocked(traffic, again, left, device)
    row_blocks = np.ceil(left / max(device.block_bytes, k * p.input_byte))
    column_blocks = np.ceil(right / max(device.block_bytes, k * p.weight_byte))
    by_rows = _stream(traffic, repeats * right * (row_blocks - 1.0), right, device)
    by_columns = _stream(traffic, repeats * left * (column_blocks - 1.0), left, device)
    return by_rows if _memory_s(by_rows, device) <= _memory_s(by_columns, device) else by_columns


@njit(cache=True, nogil=True, error_model="numpy")
def _gemm(row: _Row, p: _Product, patches: bool, device: _Device) -> _Run:
    """G S blocked products; `patches` first writes the (m x k) matrix and reads it, a block at a time.

    cycles = G S tiles(m, V) (k + k0); a convolution's weights are packed where the runtime does so at every call
    """
    vectors, steps = _ceil(row.n, p.lanes), float(row.sequential_steps)
    repeats = row.groups * steps
    cycles = repeats * _tiles(row.m, vectors, p, device) * (row.k + device.overhead_steps)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    if steps > 1.0:
        traffic = _stream(traffic, (steps - 1.0) * p.weight_bytes, p.weight_bytes, device)
    traffic = _panels(traffic, row.m, vectors, row.k, repeats, p, device)
    if patches:
        written = repeats * row.m * row.k * p.input_byte
        traffic = _blocked(traffic, 2.0 * written, written, device)
    shares = row.groups * _shares(row.m, vectors, device)
    packed = p.weight_bytes if row.kind == _CONV else 0.0
    return _Run(cycles, shares, float(row.macs), 0.0, packed / device.repack_bytes_per_s, traffic)


@njit(cache=True, nogil=True, error_model="numpy")
def _gemv(row: _Row, p: _Product, device: _Device) -> _Run:
    """Few rows: each row passes once over all weights, with as many accumulators as hide the latency.

    cycles = G S m (k + k0) V / rate
    """
    vectors, steps = _ceil(row.n, p.lanes), float(row.sequential_steps)
    cycles = row.groups * steps * row.m * (row.k + device.overhead_steps) * vectors / p.rate
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    again = (row.m * steps - 1.0) * p.weight_bytes
    traffic = _stream(traffic, again, p.weight_bytes / row.groups if steps == 1.0 else p.weight_bytes, device)
    return _Run(cycles, float(row.groups * vectors), float(row.macs), 0.0, 0.0, traffic)


@njit(cache=True, nogil=True, error_model="numpy")
def _layout(row: _Row, p: _Product, weights: float, device: _Device) -> float:
    """Reorders around a convolution, seconds: weights at every call, input and output where the layout is nchw."""
    seconds = weights / device.repack_bytes_per_s
    if device.reorders:
        moved = _stream(_Traffic(0.0, 0.0, 0.0, 0.0, 0.0), 2.0 * p.input_bytes, p.input_bytes, device)
        moved = _stream(moved, 2.0 * p.output_bytes, p.output_bytes, device)
        seconds += _memory_s(moved, device)
    return seconds


@njit(cache=True, nogil=True, error_model="numpy")
def _direct(row: _Row, p: _Product, device: _Device) -> _Run:
    """Tiles along one output line, reduction over window and channels in place.

    cycles = G B OH tiles(OW, V) (k + k0); the strip of kernel_h input lines is read ceil(V/nv) times
    """
    vectors, lines = _ceil(row.n, p.lanes), row.batch * row.out_h
    cycles = float(row.groups * lines) * _tiles(row.out_w, vectors, p, device) * (row.k + device.overhead_steps)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    window = row.kernel_h * row.in_w * (row.in_channels // row.groups) * p.input_byte
    passes = float(lines * row.groups) * _ceil(vectors, device.tile_vectors)
    traffic = _stream(traffic, max(passes * window - p.input_bytes, 0.0), window * device.threads, device)
    again = p.weight_bytes * (lines - 1.0)
    traffic = _stream(traffic, again, p.weight_bytes / row.groups, device)
    shares = float(row.groups * lines * _ceil(vectors, device.tile_vectors))
    return _Run(cycles, shares, float(row.macs), 0.0, _layout(row, p, p.weight_bytes, device), traffic)


@njit(cache=True, nogil=True, error_model="numpy")
def _winograd(row: _Row, p: _Product, which: int, device: _Device) -> _Run:
    """F(t, 3) with tiles of a = t + 2 [Lavin & Gray]: a^2 products of (tiles x C) and (C x N), transforms around.

    MACs executed = a^2 tiles C N, instead of 9 t^2 a tile.
    """
    t = 2 * (which + 1)
    a2 = float((t + 2) * (t + 2))
    tiles = row.batch * _ceil(row.out_h, t) * _ceil(row.out_w, t)
    vectors = _ceil(row.n, p.lanes)
    cycles = a2 * _tiles(tiles, vectors, p, device) * (row.in_channels + device.overhead_steps)
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


@njit(cache=True, nogil=True, error_model="numpy")
def _depthwise(row: _Row, p: _Product, device: _Device) -> _Run:
    """One window a channel, vectors along channels: cycles = m k ceil(N G / lanes) / (rate r).

    r = depthwise_wide_rate for windows other than 3x3, which few libraries write by hand; else 1.
    """
    vectors = _ceil(row.out_channels, p.lanes)
    wide = 1.0 if row.kernel_h == 3 and row.kernel_w == 3 else device.depthwise_wide_rate
    cycles = float(row.m) * row.k * vectors / (p.rate * wide)
    traffic = _weights(_compulsory(p, device), p.weight_bytes, p, device)
    shares = float(row.batch * row.out_h * vectors)
    return _Run(cycles, shares, float(row.macs), 0.0, _layout(row, p, p.weight_bytes, device), traffic)


@njit(cache=True, nogil=True, error_model="numpy")
def _parallel(one_thread: float, shares: float, device: _Device) -> float:
    """Time on all threads, by the speed S of them and whole shares of work.

    T (serial + (1 - serial) / (S shares / (ceil(shares / p) p)))
    """
    if device.threads == 1:
        return one_thread
    even = shares / (np.ceil(shares / device.threads) * device.threads)
    together: float = one_thread * (device.serial + (1.0 - device.serial) / (device.speed * even))
    return together


@njit(cache=True, nogil=True, error_model="numpy")
def _norm(a: float, b: float, p: float) -> float:
    """(a^p + b^p)^(1/p)."""
    high, low = max(a, b), min(a, b)
    if low == 0.0:
        return high
    norm: float = high * (1.0 + (low / high) ** p) ** (1.0 / p)
    return norm


@njit(cache=True, nogil=True, error_model="numpy")
def _cost(
    row: _Row, compute_s: float, vector_s: float, layout_s: float, ops: float, executed: float, traffic: _Traffic,
    device: _Device,
) -> Cost:  # fmt: skip
    """Latency and energy from their terms; overhead is what `_overhead` says."""
    memory_s = _memory_s(traffic, device)
    overhead_s = _overhead(row, device)
    latency_s = _norm(compute_s, memory_s, device.overlap_norm) + vector_s + layout_s + overhead_s
    bits = row.activation_bits if row.dynamic_operand == 1 else max(row.weight_bits, row.activation_bits)
    mac_j = executed * device.mac_j * min(bits, 32) / 32.0
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


@njit(cache=True, nogil=True, error_model="numpy")
def _overhead(row: _Row, device: _Device) -> float:
    """Dispatch and join of every operator (and step), fresh pages of its output, the call with the last layer."""
    once = device.dispatch_s + device.join_s
    seconds = once * row.sequential_steps
    if row.macs > 0:
        seconds += device.product_dispatch_s
    fresh = row.output_elements * _byte(row.activation_bits) - device.fault_threshold_bytes
    if fresh > 0.0:
        seconds += fresh / _PAGE_BYTES * device.page_fault_s
    return seconds + (device.invoke_s if row.output_offchip == 1 else 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _product_cost(row: _Row, p: _Product, algorithm: int, device: _Device) -> Cost:
    """One algorithm's cost on a layer with MACs."""
    efficiency = device.gemm_efficiency
    if algorithm in (_GEMM, _IM2COL):
        run = _gemm(row, p, algorithm == _IM2COL, device)
    elif algorithm == _GEMV:
        run = _gemv(row, p, device)
    elif algorithm == _DIRECT:
        run = _direct(row, p, device)
    elif algorithm == _DEPTHWISE:
        run = _depthwise(row, p, device)
        efficiency = device.depthwise_efficiency
    else:
        run = _winograd(row, p, algorithm - _WINOGRAD, device)
    compute_s = _parallel(run.cycles / device.clock_hz / efficiency, run.shares, device)
    ops = run.transform_ops + row.vector_ops
    vector_s = ops / device.vector_ops_per_s
    return _cost(row, compute_s, vector_s, run.layout_s, ops, run.executed_macs, run.traffic, device)


@njit(cache=True, nogil=True, error_model="numpy")
def _stream_cost(row: _Row, device: _Device) -> Cost:
    """A layer without MACs: read, compute, write; few elements use few threads."""
    p = _product(row, device)
    if row.vector_ops == 0 and row.input_elements == 0 and row.output_elements == 0:
        return Cost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    traffic = _stream(_Traffic(0.0, 0.0, 0.0, 0.0, 0.0), p.input_bytes, p.input_bytes, device)
    traffic = _stream(traffic, 2.0 * p.output_bytes, p.output_bytes, device)
    per_s = device.pool_ops_per_s if row.kind == _POOL else device.vector_ops_per_s
    compute_s = row.vector_ops / per_s * device.speed
    shares = max(1.0, np.ceil(max(row.input_elements, row.output_elements) / device.grain))
    compute_s = _parallel(compute_s, shares, device)
    return _cost(row, compute_s, 0.0, 0.0, float(row.vector_ops), 0.0, traffic, device)


@njit(cache=True, nogil=True, error_model="numpy")
def _best(row: _Row, device: _Device) -> tuple[int, Cost]:
    """(choice, cost) of one layer: the fastest algorithm that fits it, the first among equals.

    gemm, gemv : products, and convolutions of 1x1 windows at stride one.  im2col : all other convolutions.
    direct, winograd : where the runtime has them and uses them for such inputs.  depthwise : one channel a group.
    """
    if row.macs == 0:
        return _STREAM, _stream_cost(row, device)
    p = _product(row, device)
    is_conv = row.kind == _CONV
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
    blocked = is_conv and not (is_small and row.input_elements <= device.direct_least)
    if blocked and device.has_direct:
        found = _product_cost(row, p, _DIRECT, device)
        if found.latency_s < least.latency_s:
            chosen, least = _DIRECT, found
    unit = row.stride_h == 1 and row.stride_w == 1 and row.dilation_h == 1 and row.dilation_w == 1
    square = row.kernel_h == 3 and row.kernel_w == 3 and row.groups == 1
    if blocked and device.has_winograd and unit and square and max(row.weight_bits, row.activation_bits) > 8:
        for which in range(3):
            found = _product_cost(row, p, _WINOGRAD + which, device)
            if found.latency_s < least.latency_s:
                chosen, least = _WINOGRAD + which, found
    return chosen, least


@njit(cache=True, nogil=True, error_model="numpy")
def cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration.

    layers : Layers, (L,) columns. configs : CpuTable, (C,) columns. scratch : unused.
    out : (C, L, len(Cost)) float64, written. choice : (C, L) int16, written: the position in `CHOICES`.
    """
    rows = [_row(layers, i) for i in range(layers.kind.size)]
    for c in range(configs.threads.size):
        device = _device(configs, c)
        for i, row in enumerate(rows):
            chosen, metrics = _best(row, device)
            choice[c, i] = chosen
            for metric, value in enumerate(metrics):
                out[c, i, metric] = value


@njit(cache=True, nogil=True, error_model="numpy")
def cost_at(
    layers: Any, configs: Any, layer_index: Any, config_index: Any, scratch: Any, out: Any, choice: Any
) -> None:
    """Listed pairs: layer_index, config_index : (Q,) int64; out : (Q, len(Cost)); choice : (Q,) int16."""
    for q in range(layer_index.size):
        chosen, metrics = _best(_row(layers, layer_index[q]), _device(configs, config_index[q]))
        choice[q] = chosen
        for metric, value in enumerate(metrics):
            out[q, metric] = value
