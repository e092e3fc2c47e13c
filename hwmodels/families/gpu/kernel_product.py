"""Arithmetic of a matrix product on a GPU: which tile and split, and what it takes.

G products (m x k) times (k x n) are cut into tiles of a x b outputs, and each reduction into s parts; one block of
threads has one tile of one part, and each multiprocessor works on one at a time::

    t       = G ceil(m/a) ceil(n/b) s                                 blocks of threads
    w       = t / multiprocessors;  W = max(1, w + tail (ceil(w) - w))          waves
    cycles  = ((a b / (R e))^4 + (B (a + b) / (feed R))^4 + latency^4)^(1/4)    a step of the reduction
              + 2 a b / (block lanes)     where fp8 operands have a scale for each block of k
    compute = (W k_s cycles + W' (start + a b / epilogue + split a b log2 s)) / clock
    cache   = t (a B_a + b B_b) k_s / (efficiency bytes a cycle clock)
    memory  = (misses of weights, inputs, outputs + what is read again) / (efficiency bandwidth)
    time    = (compute^p + cache^p + memory^p)^(1/p) + (s > 1) a further kernel

R: MACs a cycle of the units that the format runs on; e: their efficiency; k_s: k / s in whole steps of 64 bytes;
W' = 1 + (W - 1) / 2 of persistent kernels, else W. The fastest pair of tile and split is taken. Of the splits under
which all blocks run at a time, those next to where a further doubling costs what it saves, s = k cycles ln 2 / (split
a b), are tried, and those up to two waves.

Not modelled: occupancy by registers and shared memory (its effect is in `latency`), stream-K, clusters, banks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hwmodels.families.kernel_parts import inner

__all__ = [
    "CLASSES",
    "SOURCE",
    "TENSOR_BF16",
    "TENSOR_FP4",
    "TENSOR_FP8",
    "TENSOR_FP16",
    "TENSOR_INT8",
    "TENSOR_TF32",
    "VECTOR_FP16",
    "VECTOR_FP32",
    "VECTOR_FP64",
    "VECTOR_INT8",
    "Found",
    "Operands",
    "dimmed",
    "fill_plan",
    "miss",
    "norm3",
    "plan_of_class",
    "product",
    "ruled",
]

SOURCE = __file__
"""For the stamp of the kernel that these functions are compiled into."""

# Units that a product runs on, by position in the plan: tensor 16-bit, 8-bit, TF32 and fp4, then vector units.
CLASSES = 10
TENSOR_FP16, TENSOR_BF16, TENSOR_FP8, TENSOR_INT8, TENSOR_TF32, TENSOR_FP4 = 0, 1, 2, 3, 4, 5
VECTOR_FP32, VECTOR_FP16, VECTOR_INT8, VECTOR_FP64 = 6, 7, 8, 9

_STEP_BYTES = 64.0  # a step of the reduction: 32 16-bit elements, two tensor instructions [PTX: mma.m16n8k16]
_LEAST_PART = 128.0  # elements of k below which no reduction is cut: ASSUMED, plausible 64 to 512
_LN2 = 0.6931471805599453
_SHARP = 6.0  # how sharply a cache stops holding: x^6 / (1 + x^6); ASSUMED, plausible 2 to 12
# Persistent kernels: share of a step's latency, of the tail and of further tiles' overhead that is not hidden.
# ASSUMED: 0.4, 0.5, 0.5; plausible 0.2 to 1. Fixed, since one generation cannot tell them apart.
_HIDDEN_LATENCY, _HIDDEN_TAIL, _HIDDEN_START = 0.4, 0.5, 0.5


class Operands(NamedTuple):
    """A product and its bytes: per element (of input, weight, output), per product as stored, and how far reused.

    groups, m, n, k : as of a row. input_bytes, weight_bytes, output_bytes : in all. weight_distance : bytes that pass
    between two uses of a weight. slowdown : cycles of a step over those of aligned operands that lie as they are read.
    """

    groups: float
    m: float
    n: float
    k: float
    input_byte: float
    weight_byte: float
    input_bytes: float
    weight_bytes: float
    output_bytes: float
    weight_distance: float
    slowdown: float


class Found(NamedTuple):
    """The fastest tile and split: what it takes and moves. seconds : without the first launch, at full clock."""

    tile: int
    split: int
    seconds: float
    compute_s: float
    cache_s: float
    memory_s: float
    extra_s: float
    cache_bytes: float
    dram_bytes: float
    waves: float


@inner
def miss(distance: float, capacity: float) -> float:
    """Share of bytes that a cache of `capacity` does not hold from one use to the next: x^6/(1 + x^6), x = d/C."""
    x = distance / capacity
    if x < 0.1:
        return 0.0
    x2 = x * x
    x6 = x2 * x2 * x2
    return x6 / (1.0 + x6)


@inner
def norm3(a: float, b: float, c: float, p: float) -> float:
    """(a^p + b^p + c^p)^(1/p)."""
    high, low = max(a, b), min(a, b)
    high, other = max(high, c), min(high, c)
    if high == 0.0:
        return 0.0
    norm: float = high * (1.0 + (low / high) ** p + (other / high) ** p) ** (1.0 / p)
    return norm


@inner
def plan_of_class(device: Any, which: int) -> tuple[float, float]:
    """(MACs a cycle and multiprocessor, bytes of an operand) of units; 0 where the chip has none."""
    if which == TENSOR_FP16:
        return device.tensor_fp16_macs_per_cycle, 2.0
    if which == TENSOR_BF16:
        return device.tensor_bf16_macs_per_cycle, 2.0
    if which == TENSOR_FP8:
        return device.tensor_fp8_macs_per_cycle, 1.0
    if which == TENSOR_INT8:
        return device.tensor_int8_macs_per_cycle, 1.0
    if which == TENSOR_TF32:
        return device.tensor_tf32_macs_per_cycle, 4.0
    if which == TENSOR_FP4:
        return device.tensor_fp4_macs_per_cycle, 0.5
    if which == VECTOR_FP32:
        return device.fp32_macs_per_cycle, 4.0
    if which == VECTOR_FP16:
        return device.fp16_macs_per_cycle, 2.0
    if which == VECTOR_INT8:
        return device.int8_macs_per_cycle, 1.0
    return device.fp64_macs_per_cycle, 8.0


@inner
def fill_plan(device: Any, tiles: Any, expert: bool, plan: Any) -> None:
    """Cycles of a step of the reduction and of start and end of each tile, by units; infinite where there is none.

    tiles : (T, 7) of `backends`. plan : (CLASSES, T, 2), written.
    """
    hidden = _HIDDEN_LATENCY if device.persistent_kernels == 1 else 1.0
    on_vectors = 6 if device.channel_pack > 1 else 3
    for which in range(CLASSES):
        rate, byte = plan_of_class(device, which)
        tensor = which < VECTOR_FP32
        if tensor:
            efficiency = device.expert_mac_efficiency if expert else device.mac_efficiency
            latency = device.expert_latency_cycles_per_k if expert else device.latency_cycles_per_k
            # As many bytes are in flight whatever the format, so that narrow operands bring more steps.
            latency *= hidden * byte / 2.0
            start = device.expert_overhead_cycles if expert else device.tile_overhead_cycles
            feed = device.feed_bytes_per_mac
        else:
            efficiency, latency = device.vector_mac_efficiency, device.vector_latency_cycles_per_k
            start, feed = device.vector_tile_overhead_cycles, device.vector_feed_bytes_per_mac
        # A product of scales and a multiply-add an output and block of k, which no product hides: the sum waits for it.
        scaled = 0.0
        if which == TENSOR_FP8 and device.scaled_block_k > 0:
            scaled = 2.0 / (device.scaled_block_k * device.fp32_macs_per_cycle)
        for i in range(len(tiles)):
            a, b = tiles[i, 0], tiles[i, 1]
            plan[which, i, 0] = plan[which, i, 1] = np.inf
            if rate > 0.0 and tiles[i, 2 if tensor else on_vectors] > 0.0:
                mac, fed = a * b / (rate * efficiency), byte * (a + b) / (feed * rate)
                plan[which, i, 0] = np.sqrt(np.sqrt(mac**4 + fed**4 + latency**4)) + scaled * a * b
                plan[which, i, 1] = start + a * b / device.epilogue_elements_per_cycle


@inner
def _read_again(o: Operands, rows: float, columns: float, resident: float, device: Any) -> float:
    """Bytes that tiles beyond a resident block of gx x gy read again, where the cache does not hold the operand.

    rows, columns : tiles along m and n. The block has the least side of `raster_tiles`, along either axis.
    """
    weight, inputs = o.weight_bytes / o.groups, o.input_bytes / o.groups
    held = device.held_bytes
    if weight <= held and inputs <= held:
        return 0.0
    lost_weight, lost_input = 1.0 - min(1.0, held / weight), 1.0 - min(1.0, held / inputs)
    least = np.inf
    for along in range(2):
        side = min(float(device.raster_tiles), rows if along == 0 else columns)
        other = max(1.0, np.floor(resident / side))
        gy, gx = (side, other) if along == 0 else (other, side)
        again = inputs * (np.ceil(columns / gx) - 1.0) * lost_input + weight * (np.ceil(rows / gy) - 1.0) * lost_weight
        least = min(least, max(again, 0.0))
    return o.groups * least


@inner
def ruled(o: Operands, which: int, tables: Any, device: Any) -> int:
    """The tile that a library's rule takes for a product on the units `which`; -1 where none speaks of it."""
    if which != TENSOR_FP8 or device.product_kernels == 0:
        return -1
    for i in range(len(tables.rules)):
        if tables.rules[i, 0] == device.product_kernels and o.m <= tables.rules[i, 1] and o.n <= tables.rules[i, 2]:
            return int(tables.rules[i, 3])
    return -1


@inner
def product(o: Operands, which: int, tables: Any, plan: Any, device: Any, expert: bool, most_split: float) -> Found:
    """The fastest tile and split (up to `most_split`) of a product on the units `which`; see the equations above.

    Where a library's rule speaks of it, that tile without a split.
    """
    tiles, only = tables.tiles, ruled(o, which, tables, device)
    if only >= 0:
        most_split = 1.0
    c = _circumstances(o, which, device, expert)
    least = 0.5 if expert or only >= 0 else 1.0
    first = only if only >= 0 else _first_guess(o, which, tiles, plan, least, device)
    over_sms, over_clock = 1.0 / device.sms, 1.0 / device.used_clock_hz
    shortest = min(o.k, _LEAST_PART)
    best = Found(first, 1, np.inf, np.inf, np.inf, 0.0, 0.0, 0.0, 0.0, 0.0)
    for visit in range(-1, len(tiles)):
        i = first if visit < 0 else visit
        if plan[which, i, 0] == np.inf or (visit >= 0 and i == first) or (only >= 0 and i != only):
            continue
        if which < VECTOR_FP32 and tiles[i, 2] < least:
            continue
        # Whatever the split: all steps shared by all multiprocessors, one start, and every operand of every tile.
        blocks = o.groups * np.ceil(o.m * tiles[i, 4]) * np.ceil(o.n * tiles[i, 5])
        steps = max(blocks * over_sms * o.k, shortest) * o.slowdown
        moved = blocks * (tiles[i, 0] * o.input_byte + tiles[i, 1] * o.weight_byte) * o.k
        if (steps * plan[which, i, 0] + plan[which, i, 1]) * over_clock >= best.seconds:
            continue
        if moved * c.cache_s_per_byte >= best.seconds:
            continue
        best = _best_split(o, i, tables, plan[which, i, 0], plan[which, i, 1], most_split, c, best, device)
    return best


class _Circumstances(NamedTuple):
    """What holds for all tiles of a product. The bounds are those of `norm3`: a norm is at least `pair` times the sum
    of two terms and `triple` times that of all three."""

    step: float
    tail: float
    late_s: float  # a further kernel that adds the parts, its launch included
    cache_s_per_byte: float
    dram_s_per_byte: float
    base_s: float
    pair: float
    triple: float


@inner
def _circumstances(o: Operands, which: int, device: Any, expert: bool) -> _Circumstances:
    byte = plan_of_class(device, which)[1]
    tail = device.tail_share * (_HIDDEN_TAIL if device.persistent_kernels == 1 else 1.0)
    per_cache = 1.0 / (device.expert_cache_bytes_per_s if expert else device.product_cache_bytes_per_s)
    per_dram = 1.0 / (device.expert_dram_bytes_per_s if expert else device.product_dram_bytes_per_s)
    late_s = device.split_s + device.gap_s * (device.expert_launch_ratio if expert else 1.0)
    near = o.input_bytes + o.output_bytes + o.weight_bytes / o.groups
    base = o.weight_bytes * miss(o.weight_distance, device.held_bytes)
    base += (o.input_bytes + o.output_bytes) * miss(near, device.held_bytes)
    return _Circumstances(
        _STEP_BYTES / byte, tail, late_s, per_cache, per_dram, base * per_dram, device.pair_bound, device.triple_bound
    )


@inner
def _waves(blocks: float, tail: float) -> float:
    """Waves of `blocks` over the multiprocessors, given in multiprocessors."""
    return blocks + tail * (np.ceil(blocks) - blocks) if blocks > 1.0 else 1.0


@inner
def _first_guess(o: Operands, which: int, tiles: Any, plan: Any, rank: float, device: Any) -> int:
    """The tile that is tried first, so that others are ruled out soon: the one that is fastest by whole work alone."""
    guess, least, shared = 0, np.inf, o.groups / device.sms
    late = (device.split_s + device.gap_s) * device.used_clock_hz
    for i in range(len(tiles)):
        cycles = plan[which, i, 0]
        if cycles < np.inf and (which >= VECTOR_FP32 or tiles[i, 2] >= rank):
            w = shared * np.ceil(o.m * tiles[i, 4]) * np.ceil(o.n * tiles[i, 5])
            whole = max(w, 1.0) * o.k * cycles
            parted = max(w * o.k, _LEAST_PART) * cycles + late
            work = min(whole, parted) + plan[which, i, 1] * max(w, 1.0)
            if work < least:
                guess, least = i, work
    return guess


@inner
def _best_split(
    o: Operands, i: int, tables: Any, aligned: float, start: float, most_split: float, c: _Circumstances, best: Found,
    device: Any,
) -> Found:  # fmt: skip
    """The better of `best` and tile i with its best split. aligned, start : cycles of a step, and of start and end."""
    tiles, splits = tables.tiles, tables.splits
    a, b = tiles[i, 0], tiles[i, 1]
    clock, sms = device.used_clock_hz, float(device.sms)
    rows, columns = np.ceil(o.m * tiles[i, 4]), np.ceil(o.n * tiles[i, 5])
    blocks = o.groups * rows * columns
    cycles = aligned * o.slowdown
    moved = blocks * (a * o.input_byte + b * o.weight_byte)
    memory_s = c.base_s + _read_again(o, rows, columns, min(sms, rows * columns), device) * c.dram_s_per_byte
    alone, turn = sms / blocks, cycles * o.k * _LN2 / (device.split_cycles_per_element * a * b + 1e-9)
    for j in range(splits.size):
        s = splits[j]
        if j > 0:
            if o.k < s * _LEAST_PART or blocks * (s - 1.0) > 2.0 * sms or s > most_split:
                break
            if j + 1 < splits.size and splits[j + 1] <= min(alone, turn, o.k / _LEAST_PART, most_split):
                continue
            if splits[j - 1] > turn:
                break
        part = np.ceil(o.k / s / c.step) * c.step
        w = blocks * s / sms
        waves = _waves(w, c.tail)
        starts = 1.0 + _HIDDEN_START * (waves - 1.0) if device.persistent_kernels == 1 else waves
        begin, late_s = start, 0.0
        if j > 0:
            begin += device.split_cycles_per_element * a * b * np.log2(s)
            late_s = c.late_s
        compute_s = (waves * part * cycles + starts * begin) / clock
        cache_s = moved * s * part * c.cache_s_per_byte
        left = best.seconds - late_s
        longest = max(compute_s, memory_s, cache_s)
        total = compute_s + memory_s + cache_s
        rest = total - min(compute_s, memory_s, cache_s)
        if max(longest, c.pair * rest, c.triple * total) >= left:
            continue
        seconds = norm3(compute_s, cache_s, memory_s, device.overlap_norm) + late_s
        if seconds < best.seconds:
            best = Found(
                i, int(s), seconds, compute_s, cache_s, memory_s, device.split_s if j > 0 else 0.0, moved * s * part,
                memory_s / c.dram_s_per_byte, w,
            )  # fmt: skip
    return best


@inner
def dimmed(clocked_s: float, cache_s: float, memory_s: float, rest_s: float, p: float, work_j: float, spent_j: float,
           device: Any) -> float:  # fmt: skip
    """Share x <= 1 of the clock at which power stays within its limit.

    The largest x with  x^v work + spent <= (limit - idle) time(x),
    time(x) = (clocked^p / x^p + cache^p / x^p + memory^p)^(1/p) + rest, v the voltage exponent.
    """
    watts = device.tdp_w - device.idle_w
    whole = max(clocked_s, cache_s, memory_s) + rest_s
    if work_j + spent_j <= watts * whole or watts <= 0.0:
        return 1.0
    whole = norm3(clocked_s, cache_s, memory_s, p) + rest_s
    if work_j + spent_j <= watts * whole:
        return 1.0
    v = device.voltage_exponent
    low, high = 0.0, 1.0
    for _ in range(60):
        x = 0.5 * (low + high)
        seconds = norm3(clocked_s / x, cache_s / x, memory_s, p) + rest_s
        if x**v * work_j + spent_j <= watts * seconds:
            low = x
        else:
            high = x
        if high - low < 1e-14:
            break
    return max(low, 1e-3)
