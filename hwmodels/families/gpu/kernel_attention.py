"""Arithmetic of attention in one kernel on a GPU: blocks of queries against blocks of keys, never writing the scores.

A prompt: one block of threads has B_r rows of queries and walks over blocks of B_c keys, those that the mask leaves.
A multiply costs MACs on the tensor units and a softmax on the vector units, overlapped by a norm::

    score   = ((k / (R min(1, e h)))^q + (soft (1 / special + 4 / lanes))^q)^(1/q)      cycles; k = d + v
    t       = blocks B_r B_c score + start                                     of one tile of queries
    compute = ((n t_mean / multiprocessors)^4 + t_max^4)^(1/4) + tail t_mean / 2 (if more than one wave)

A single token: keys are cut into parts, so that there is work for all multiprocessors; each part is a chain of blocks
that wait for the memory, and a further kernel joins the parts::

    compute = ((n (blocks mma + parts part) / multiprocessors)^4 + (chain max(block, mma) + start)^4)^(1/4)
    memory  = misses of keys and values / bandwidth;  cache = keys and values, once for every reader / its rate

Rules of the two generations of FlashAttention (tiles, packing of the heads of queries that share keys, parts, kernels)
are those of their sources: [FA2] Dao-AILab/flash-attention csrc/flash_attn/flash_api.cpp (num_splits_heuristic,
seqlenq_ngroups_swapped), [FA3] hopper/ (heuristics.h, tile_size.h), as far as they could be read.

Not modelled: dropout, biases, paged caches' tables, several prompts of different length, keys in 8 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hwmodels.families.gpu.kernel_product import miss
from hwmodels.families.kernel_parts import ceil_div, inner

__all__ = ["SOURCE", "Attended", "attention"]

SOURCE = __file__
"""For the stamp of the kernel that these functions are compiled into."""

_FLASH3 = 1
# [FA3] warp-specialised products over those of [FA2]; how well softmax and products overlap (a norm). ASSUMED, of the
# two papers' figures: 1.2 (1.0 to 1.5); 1.6 and 4 (1 to 8).
_FASTER, _OVERLAP2, _OVERLAP3 = 1.2, 1.6, 4.0
_DECODE_ROWS = 64.0  # rows of queries of a tile, padded, of single tokens [FA2, FA3]
_BLOCK_BYTES = 65536.0
_MOST_PARTS = 128.0  # [FA2, FA3]
_COMBINED_PARTS = 32.0  # parts whose joining takes as long again as the kernel itself: ASSUMED, plausible 16 to 64
_LANE_OPS = 4.0  # operations a score beside the exponential: scale, maximum, sum, conversion; ASSUMED, plausible 3 to 8


class Attended(NamedTuple):
    """What attention takes without launches. kernels : launches, in units of a product's."""

    splits: float
    waves: float
    compute_s: float
    cache_s: float
    memory_s: float
    extra_s: float
    cache_bytes: float
    dram_bytes: float
    macs: float
    kernels: float
    overlap_norm: float


@inner
def _score_cycles(row: Any, rate: float, device: Any) -> float:
    """Cycles of one score and its softmax on a multiprocessor."""
    faster, q = (_FASTER, _OVERLAP3) if device.attention_kernels == _FLASH3 else (1.0, _OVERLAP2)
    mac = row.k / (rate * min(1.0, device.attention_mac_efficiency * faster))
    one = 1.0 / device.special_ops_per_cycle + _LANE_OPS / device.fp32_macs_per_cycle
    cycles: float = (mac**q + (device.attention_softmax_cost * one) ** q) ** (1.0 / q)
    return cycles


@inner
def _tile(row: Any, device: Any) -> tuple[int, int]:
    """Rows of queries and of keys of a tile, by the width d of a head.

    [FA2] with a cache in pages runs its split kernel, 64 x (256, 128 or 64 keys up to d = 64, 128, more). [FA3] has 192
    rows up to d = 64, else 128, by 128 keys, 96 up to d = 192, 64 beyond.
    """
    width = row.k // 2
    if device.attention_kernels == _FLASH3:
        return 192 if width <= 64 else 128, 128 if width <= 128 else (96 if width <= 192 else 64)
    return 64, 256 if width <= 64 else (128 if width <= 128 else 64)


@inner
def _resident(tile_rows: float, tile_keys: float, row: Any, byte: float, device: Any) -> float:
    """Blocks of threads that a multiprocessor holds at a time, by shared memory; each hides the others' start.

    [FA2] A block holds its queries, and a block of keys and of values. [FA3] Its blocks of three groups of warps take
    the registers of a whole multiprocessor.
    """
    if device.attention_kernels == _FLASH3:
        return 1.0
    taken = (tile_rows * row.k / 2.0 + tile_keys * row.k) * byte
    count: float = max(1.0, np.floor(device.shared_memory_bytes / taken))
    return count


@inner
def _prompt(row: Any, rate: float, byte: float, device: Any) -> Attended:
    """Many queries a head."""
    flash3 = device.attention_kernels == _FLASH3
    heads, tokens = row.query_heads, row.m // row.query_heads
    tile_rows, tile_keys = _tile(row, device)
    # Packed heads stand one below the other in a tile, where that saves tiles.
    packed = flash3 and ceil_div(tokens * heads, tile_rows) < heads * ceil_div(tokens, tile_rows)
    groups = row.groups if packed else row.groups * heads
    rows = row.m if packed else tokens
    shared = heads if packed else 1
    past = row.n - tokens
    tiles = ceil_div(rows, tile_rows)
    blocks, most = 0.0, 0.0
    if row.causal == 0 and row.window == 0:
        most = float(ceil_div(row.n, tile_keys))
        blocks = most * tiles
    else:
        for i in range(tiles):
            last = row.n
            if row.causal == 1:
                last = min(row.n, past + ceil_div((i + 1) * tile_rows, shared))
            first = max(0, past + i * tile_rows // shared - row.window) // tile_keys if row.window > 0 else 0
            here = float(ceil_div(last - first * tile_keys, tile_keys))
            blocks += here
            most = max(most, here)
    clock, sms = device.used_clock_hz, float(device.sms)
    one = tile_rows * tile_keys * _score_cycles(row, rate, device)
    count = float(groups * tiles)
    mean = blocks / tiles * one + device.attention_overhead_cycles
    longest = most * one + device.attention_overhead_cycles
    hidden = device.attention_overhead_cycles * (1.0 - 1.0 / _resident(tile_rows, tile_keys, row, byte, device))
    work = count * (mean - hidden) / sms
    cycles = (work**4 + longest**4) ** 0.25
    if count > sms:
        cycles += device.attention_tail * mean / 2.0
    keys, queries = row.weight_elements * byte, (row.input_elements + row.output_elements) * byte
    cache_bytes = groups * blocks * tile_keys * row.k * byte + queries
    dram_bytes = (keys + queries) * miss(keys + queries, device.held_bytes)
    macs = groups * blocks * tile_rows * tile_keys * row.k
    kernels = 2.0 if flash3 else 1.0
    extra_s = kernels * (device.attention_launch_ratio - 1.0) * device.gap_s
    return Attended(
        1.0, count / sms, cycles / clock, cache_bytes / device.attention_cache_bytes_per_s,
        dram_bytes / device.attention_dram_bytes_per_s, extra_s, cache_bytes, dram_bytes, macs, kernels,
        device.attention_overlap_norm,
    )  # fmt: skip


@inner
def _parts(count: float, blocks: float, slots: float) -> float:
    """[FA2, num_splits_heuristic] The fewest parts whose waves over `slots` are filled to 85 % of the best filling.

    1 where `count` blocks of threads fill 80 % of the slots; numbers that leave the longest part as long are passed by.
    """
    if count >= 0.8 * slots:
        return 1.0
    most = min(_MOST_PARTS, slots, blocks)
    fullest = 0.0
    for visit in range(2):
        s = 1.0
        while s <= most:
            if s == 1.0 or np.ceil(blocks / s) != np.ceil(blocks / (s - 1.0)):
                waves = count * s / slots
                filled = waves / np.ceil(waves)
                if visit == 1 and filled >= 0.85 * fullest:
                    return s
                fullest = max(fullest, filled)
            s += 1.0
    return 1.0


@inner
def _token(row: Any, rate: float, byte: float, device: Any) -> Attended:
    """One query a head; the keys are those of a cache."""
    flash3 = device.attention_kernels == _FLASH3
    heads, batch = float(row.query_heads), float(row.batch)
    block_keys = 128.0 if flash3 else float(_tile(row, device)[1])
    # [FA2] packs the heads that share keys only without a window, and copies queries and outputs around it.
    packed = flash3 or (heads > 1.0 and row.window == 0)
    # [FA3] reads the whole blocks that a window touches; without packing [FA2] does not split.
    keys = float(row.n) if row.window == 0 else float(min(row.n, row.window))
    blocks = np.ceil(keys / block_keys)
    if row.window > 0 and row.n > row.window:
        first = float(row.n - row.window)
        blocks = np.ceil(row.n / block_keys) - np.floor(first / block_keys)
        if flash3:
            keys = blocks * block_keys
    groups = float(row.groups)
    count = groups * np.ceil(heads / _DECODE_ROWS) if packed else groups * heads
    sms = float(device.sms)
    splits = 1.0
    if packed:
        if flash3:
            splits = max(1.0, min(np.floor(sms / count), _MOST_PARTS, blocks))
        else:
            splits = _parts(count, blocks, 2.0 * sms)
    mma = _DECODE_ROWS * block_keys * row.k / (rate * device.attention_mac_efficiency)
    block = device.decode_block_cycles * block_keys * row.k * byte / _BLOCK_BYTES
    chain = np.ceil(blocks / splits) * max(block, mma) + device.decode_overhead_cycles
    resident = _resident(_DECODE_ROWS, block_keys, row, byte, device)
    work = count * (blocks * mma + splits * device.decode_part_cycles / resident) / sms
    compute_s = (work**4 + chain**4) ** 0.25 / device.used_clock_hz
    kept = groups * keys * row.k * byte
    queries = (row.input_elements + row.output_elements) * byte
    cache_bytes = kept * (1.0 if packed else heads) + queries
    dram_bytes = kept * miss(kept + queries, device.held_bytes)
    kernels = 2.0 if flash3 else 1.0
    extra_s = kernels * (device.attention_launch_ratio - 1.0) * device.gap_s
    if splits > 1.0:
        extra_s += device.decode_combine_s * (1.0 + (0.0 if flash3 else splits / _COMBINED_PARTS))
    if not flash3 and packed and batch > 1.0:
        kernels += 2.0
        extra_s += 2.0 * (device.decode_copy_ratio - 1.0) * device.gap_s
    macs = count * _DECODE_ROWS * blocks * block_keys * row.k if packed else count * keys * row.k
    return Attended(
        splits, count * splits / sms, compute_s, cache_bytes / device.attention_cache_bytes_per_s,
        dram_bytes / device.attention_dram_bytes_per_s, extra_s, cache_bytes, dram_bytes, macs, kernels,
        device.decode_overlap_norm,
    )  # fmt: skip


@inner
def attention(row: Any, rate: float, byte: float, device: Any) -> Attended:
    """Attention of a row on units of `rate` MACs a cycle.

    byte : of an element of queries, keys and values.
    """
    if row.m == row.query_heads:
        return _token(row, rate, byte, device)
    return _prompt(row, rate, byte, device)
