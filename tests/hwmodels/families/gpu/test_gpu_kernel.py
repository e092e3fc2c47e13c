"""The GPU kernel against a slow twin, written from the equations of its README; codes against their definitions."""

from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from math import ceil, floor, inf, log, log2
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest

from hwmodels.evaluate import layer_costs
from hwmodels.families.base import family
from hwmodels.families.gpu import kernel, kernel_product
from hwmodels.families.gpu.backends import (
    BACKENDS,
    NARROW_TILES,
    PACKED_TILES,
    PRODUCT_RULES,
    SPLITS,
    TENSOR_TILES,
    TILES,
    VECTOR_TILES,
)
from hwmodels.families.gpu.explain import explain
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.workload import formats
from hwmodels.workload.formats import FLOATS, coded, format_of, integer
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Conv2d, Kind, Norm, Pool2d, Precision, Recurrent, Row, Softmax
from hwmodels.workload.rewrite import COMPILED, EAGER, rewrite
from hwmodels.workload.table import Layers, layer_table
from hwmodels.workload.zoo import network

MODEL = family("gpu")
M = {name: i for i, name in enumerate(MODEL.layer_metrics)}

HOPPER = GpuSpec(
    sms=132, clock_hz=1.98e9, fp32_macs_per_cycle=128, tensor_fp16_macs_per_cycle=2048, tensor_bf16_macs_per_cycle=2048,
    tensor_fp8_macs_per_cycle=4096, tensor_int8_macs_per_cycle=4096, persistent_kernels=True, l2_bytes=50 * 2**20,
    l2_multicast=2, dram_bytes_per_s=3.35e12, tdp_w=700, attention_kernels="flash3", shared_memory_bytes=228 * 1024,
)  # fmt: skip
SMALL = GpuSpec(
    sms=20, clock_hz=1.06e9, sustained_clock_hz=0.9e9, fp32_macs_per_cycle=128, fp16_macs_per_cycle=1,
    tensor_tf32_macs_per_cycle=0, tensor_fp16_macs_per_cycle=0, tensor_bf16_macs_per_cycle=0,
    tensor_int8_macs_per_cycle=0, l2_bytes=2**21, l2_partitions=1, l2_bytes_per_cycle=640, dram_bytes_per_s=1.92e11,
    tdp_w=24, idle_w=12, enqueue_s=9e-6, layout="nchw", shared_memory_bytes=96 * 1024,
)  # fmt: skip
RULED = HOPPER.changed({"product_kernels": "vllm_fp8_sm90", "quantise_row_cycles": 1300.0, "context": "hot"})
BLOCKS = HOPPER.changed({"scaled_block_k": 128})
PHONE = SMALL.changed({
    "channel_pack": 4, "fp16_macs_per_cycle": 256.0, "winograd_least_channels": 128, "winograd_least_tiles": 32,
    "index_ops_per_cycle": 128.0, "depthwise_efficiency": 0.3, "depthwise_stream_efficiency": 0.5,
    "product_enqueue_s": 3e-6, "copy_enqueue_s": 5e-6,
})  # fmt: skip
PACKED = GpuSpec(allow_tf32=True, layout="nchw", channel_pack=4, weight_copies=6)
SPECS = (GpuSpec(), HOPPER, SMALL, RULED, BLOCKS, PACKED, PHONE)


@cache
def bank() -> tuple[Row, ...]:
    """Rows of every kind and format that the kernel treats apart."""
    precisions = [Precision(32, 32), Precision(), *(Precision(b, b, 32, c, c) for b, c in map(coded, floats()))]
    found: dict[Row, None] = {}
    for name, how in (("resnet18", EAGER), ("mobilenet_v2", COMPILED), ("resnext50_32x4d", COMPILED)):
        for precision in precisions[:4] if name == "resnet18" else precisions[:1]:
            table = layer_table([rewrite(network(name, precision=precision), how)])
            found |= dict.fromkeys(table.layers.row(i) for i in range(table.n_layers))
    net = Builder("others", (2, 6, 16))
    x = net.attention(net.add(Recurrent("gru", 16), net.input), heads=4)
    found |= dict.fromkeys(row for _, row in net.finish(net.add(Softmax(), net.add(Norm("layer"), x))).rows())
    for m, n, k in (
        (1, 4096, 4096),
        (77, 100, 333),
        (4096, 4096, 4096),
        (20000, 64, 8192),
        (33, 8192, 48),
        (8, 64, 9000),
    ):
        for number_format in floats():
            found[product_row(m, n, k, *coded(number_format))] = None
    found[product_row(96, 1024, 2048, *coded(FLOATS["bf16"]))._replace(groups=8, weight_elements=8 * 1024 * 2048)] = (
        None
    )
    return tuple(found)


def floats() -> tuple[formats.Format, ...]:
    return tuple(FLOATS[name] for name in ("bf16", "fp16", "fp8", "tf32", "fp32"))


def product_row(m: int, n: int, k: int, bits: int, code: int) -> Row:
    return Row(
        kind=Kind.LINEAR, in_channels=k, out_channels=n, in_h=m, out_h=m, m=m, n=n, k=k, macs=m * n * k,
        weight_elements=n * k, input_elements=m * k, output_elements=m * n, weight_bits=bits, activation_bits=bits,
        weight_format=code, activation_format=code,
    )  # fmt: skip


@cache
def attention_rows() -> tuple[Row, ...]:
    """Prompts and single tokens: heads that share keys or not, windows, wide and narrow heads, a cache before them."""
    found = []
    for batch, groups, heads, tokens, past, width, window, causal in (
        (1, 1, 8, 512, 0, 128, 0, 1), (4, 2, 1, 300, 0, 64, 128, 1), (2, 4, 3, 64, 1000, 192, 0, 1),
        (8, 8, 1, 200, 0, 256, 0, 0), (1, 1, 8, 1, 4095, 128, 0, 1), (64, 8, 4, 1, 100, 64, 0, 1),
        (512, 8, 1, 1, 2047, 128, 0, 1), (16, 2, 6, 1, 9000, 256, 1024, 1), (2, 4, 1, 1, 50, 192, 128, 1),
    ):  # fmt: skip
        g, m, n, k = batch * groups, heads * tokens, past + tokens, 2 * width
        bits, code = coded(FLOATS["bf16"])
        row = Row(
            kind=Kind.ATTENTION, batch=batch, groups=g, m=m, n=n, k=k, macs=g * m * n * k, vector_ops=5 * g * m * n,
            weight_elements=g * n * k, input_elements=g * m * width, output_elements=g * m * width, weight_bits=bits,
            activation_bits=bits, weight_format=code, activation_format=code, dynamic_operand=1, query_heads=heads,
            causal=causal, window=window,
        )  # fmt: skip
        found.append(row)
    return tuple(found)


def cost_of(rows: tuple[Row, ...], specs: tuple[GpuSpec, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(C, L, M) and the choices (C, L)."""
    out, choice = np.full((len(specs), len(rows), len(M)), np.nan), np.zeros((len(specs), len(rows)), np.int16)
    MODEL.layerwise.cost(Layers.of(rows), GpuSpec.to_table(list(specs)), np.zeros(1), out, choice)
    return out, choice


# The twin.


class Twin(NamedTuple):
    compute_s: float
    cache_s: float
    memory_s: float
    extra_s: float
    cache_bytes: float
    dram_bytes: float
    macs: float
    ops: float
    kernels: int
    p: float
    unit_j: float = 0.0


def norm(p: float, *terms: float) -> float:
    return sum(term**p for term in terms) ** (1 / p) if any(terms) else 0.0


def miss(distance: float, capacity: float) -> float:
    x = distance / capacity
    return 0.0 if x < 0.1 else x**6 / (1 + x**6)


def stored(bits: int) -> float:
    return next(width for width in (4, 8, 16, 32, 64) if bits <= width or width == 64) / 8


def clock(spec: GpuSpec) -> float:
    return min(spec.clock_hz, spec.sustained_clock_hz or inf)


def held(spec: GpuSpec) -> float:
    return spec.residency * spec.l2_bytes / spec.l2_partitions


def rates(spec: GpuSpec, share: str) -> tuple[float, float]:
    """(cache, memory) bytes a second of products, experts, streams or attention."""
    memory, cached, spread = {
        "product": (spec.dram_efficiency, spec.l2_efficiency, spec.l2_multicast),
        "expert": (spec.expert_dram_efficiency, spec.expert_l2_efficiency, spec.l2_multicast),
        "stream": (spec.stream_efficiency, spec.l2_efficiency, 1.0),
        "attention": (spec.attention_dram_efficiency, spec.attention_l2_efficiency, 1.0),
    }[share]
    dram = spec.dram_bytes_per_s * memory
    return max(spec.l2_bytes_per_cycle * clock(spec) * cached * spread, dram), dram


def units(row: Row, spec: GpuSpec) -> tuple[str, float, float, bool]:
    """(format, MACs a cycle, bytes of an operand, on tensor units)."""
    given = [format_of(b, c, in_float=True) for b, c in (
        (row.weight_bits, row.weight_format), (row.activation_bits, row.activation_format)
    )]  # fmt: skip
    name = spec.computed(given[1] if row.dynamic_operand else given[0], given[1])[0].name
    tensor = getattr(spec, f"tensor_{name.removesuffix('_e5m2')}_macs_per_cycle", 0.0)
    byte = {"fp4": 0.5, "fp8": 1.0, "fp8_e5m2": 1.0, "int8": 1.0, "fp16": 2.0, "bf16": 2.0, "fp64": 8.0}.get(name, 4.0)
    return name, tensor or getattr(spec, f"{name}_macs_per_cycle"), byte, tensor > 0


def twin_product(
    spec: GpuSpec, row: Row, *, g: float, m: float, n: float, k: float, inputs: float, weights: float, outputs: float,
    distance: float, slow: float, most_split: float = inf, tile: tuple[int, int] | None = None,
) -> Twin:  # fmt: skip
    """The fastest of all tiles and splits."""
    name, rate, byte, tensor = units(row, spec)
    expert = row.kind == Kind.LINEAR and row.groups > 1
    a_byte = stored(row.activation_bits)
    b_byte = a_byte if row.dynamic_operand else stored(row.weight_bits)
    persistent, f = spec.persistent_kernels, clock(spec)
    per_cache, per_dram = rates(spec, "expert" if expert else "product")
    base = weights * miss(distance, held(spec)) + (inputs + outputs) * miss(inputs + outputs + weights / g, held(spec))
    on_vectors = PACKED_TILES if spec.channel_pack > 1 else VECTOR_TILES
    allowed = TENSOR_TILES + (NARROW_TILES if expert or tile else ()) if tensor else on_vectors
    best: tuple[float, Twin] = inf, Twin(0, 0, 0, 0, 0, 0, 0, 0, 1, 1)
    for a, b in TILES:
        if (a, b) not in allowed or (tile and (a, b) != tile):
            continue
        if tensor:
            efficiency = spec.expert_mac_efficiency if expert else spec.mac_efficiency
            latency = (spec.expert_latency_cycles_per_k if expert else spec.latency_cycles_per_k) * byte / 2
            latency *= 0.4 if persistent else 1.0
            start = spec.expert_overhead_cycles if expert else spec.tile_overhead_cycles
            feed = spec.feed_bytes_per_mac
        else:
            efficiency, latency = spec.vector_mac_efficiency, spec.vector_latency_cycles_per_k
            start, feed = spec.vector_tile_overhead_cycles, spec.vector_feed_bytes_per_mac
        cycles = norm(4, a * b / (rate * efficiency), byte * (a + b) / (feed * rate), latency)
        if name.startswith("fp8") and spec.scaled_block_k:
            cycles += 2 * a * b / (spec.scaled_block_k * spec.fp32_macs_per_cycle)
        cycles *= slow
        start += a * b / spec.epilogue_elements_per_cycle
        rows, columns = ceil(m / a), ceil(n / b)
        blocks = g * rows * columns
        again = read_again(spec, inputs / g, weights / g, rows, columns) * g
        for s in tried_splits(spec, k, cycles, blocks, a * b, min(most_split, 1 if tile else inf)):
            part = ceil(k / s / (64 / byte)) * 64 / byte
            w = blocks * s / spec.sms
            tail = spec.tail_share * (0.5 if persistent else 1.0)
            waves = max(1.0, w + tail * (ceil(w) - w))
            starts = 1 + 0.5 * (waves - 1) if persistent else waves
            begin = start + spec.split_cycles_per_element * a * b * log2(s)
            compute = (waves * part * cycles + starts * begin) / f
            cached = blocks * s * (a * a_byte + b * b_byte) * part
            extra = spec.split_s if s > 1 else 0.0
            terms = compute, cached / per_cache, (base + again) / per_dram
            launch = gap(spec) * (spec.expert_launch_ratio if expert else 1.0)
            seconds = norm(spec.overlap_norm, *terms) + (extra + launch if s > 1 else 0.0)
            if seconds < best[0]:
                best = seconds, Twin(*terms, extra, cached, base + again, 0, 0, 2 if s > 1 else 1, spec.overlap_norm)
    return best[1]


def tried_splits(spec: GpuSpec, k: float, cycles: float, blocks: float, area: float, most: float) -> list[int]:
    """Those next to the turning point where all blocks run at a time, and those up to two waves."""
    turn = cycles * k * log(2) / (spec.split_cycles_per_element * area + 1e-9)
    found = [1]
    for before, s, after in zip(SPLITS, SPLITS[1:], (*SPLITS[2:], inf), strict=False):
        if k < 128 * s or blocks * (s - 1) > 2 * spec.sms or s > most:
            break
        if after <= min(spec.sms / blocks, turn, k / 128, most):
            continue
        if before > turn:
            break
        found.append(s)
    return found


def read_again(spec: GpuSpec, inputs: float, weights: float, rows: int, columns: int) -> float:
    lost_in, lost_weights = (max(0.0, 1 - held(spec) / size) for size in (inputs, weights))
    found = []
    for long_side, along_rows in ((rows, True), (columns, False)):
        side = min(spec.raster_tiles, long_side)
        other = max(1, floor(min(spec.sms, rows * columns) / side))
        gy, gx = (side, other) if along_rows else (other, side)
        found.append(inputs * (ceil(columns / gx) - 1) * lost_in + weights * (ceil(rows / gy) - 1) * lost_weights)
    return max(0.0, min(found))


def touched(extent: int, outputs: int, window: int, stride: int, dilation: int) -> float:
    span = dilation * (window - 1) + 1
    return min(extent, (outputs - 1) * min(stride, span) + span) / extent


def sizes(row: Row, spec: GpuSpec) -> dict[str, float]:
    """A row as a product."""
    _, _, byte, tensor = units(row, spec)
    a_byte = stored(row.activation_bits)
    b_byte = a_byte if row.dynamic_operand else stored(row.weight_bits)
    pack, k, slow = spec.channel_pack, float(row.k), 1.0
    n = ceil(row.n / pack) * pack
    if row.kind == Kind.CONV:
        window = row.kernel_h * row.kernel_w
        channels = row.k // window
        if tensor:
            pack = 4 if channels <= 4 else max(16 / byte, pack)
        k = ceil(channels / pack) * pack * window
        slow = 1 / spec.gather_efficiency if window > 1 or max(row.stride_h, row.stride_w) > 1 else 1.0
    elif tensor and (k * byte % 16 or n * byte % 16):
        slow = 1 / spec.misaligned_rate
    share = touched(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    share *= touched(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    steps = row.sequential_steps
    inputs, outputs = row.input_elements * a_byte * share / steps, row.output_elements * a_byte / steps
    weights = row.weight_elements * b_byte
    cold = spec.reuse_distance_bytes if spec.context == "cold" else 0.0
    distance = weights + inputs + outputs
    if not row.dynamic_operand:
        distance += weights * (spec.weight_copies - 1) + cold
    return {"g": row.groups, "m": row.m, "n": n, "k": k, "inputs": inputs, "weights": weights, "outputs": outputs,
            "distance": distance, "slow": slow}  # fmt: skip


def twin_stream(spec: GpuSpec, inputs: float, outputs: float, weights: float, distance: float, efficiency: float,
                **beside: float) -> Twin:  # fmt: skip
    per_cache, per_dram = (rate * efficiency for rate in rates(spec, "stream"))
    moved = inputs + outputs + weights
    lost = (inputs + outputs) * miss(inputs + outputs, held(spec)) + weights * miss(distance, held(spec))
    return Twin(
        beside.get("macs_s", 0.0), moved / per_cache, lost / per_dram, beside.get("late_s", 0.0), moved, lost,
        beside.get("macs", 0.0), beside.get("ops", 0.0), 1, spec.overlap_norm,
    )  # fmt: skip


def gap(spec: GpuSpec) -> float:
    return spec.launch_s + spec.launch_cycles / clock(spec)


def twin_work(row: Row, spec: GpuSpec) -> Twin:
    """What the fastest kernels of a layer take."""
    if row.macs == 0:
        byte = stored(row.activation_bits)
        share = touched(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
        share *= touched(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
        slow = spec.reduction_efficiency if row.kind in (Kind.NORM, Kind.SOFTMAX) else 1.0
        late = gap(spec) * (spec.stream_launch_ratio - 1)
        return twin_stream(spec, row.input_elements * byte * share, row.output_elements * byte, 0, 0, slow,
                           ops=row.vector_ops, late_s=late)  # fmt: skip
    name, _, _, tensor = units(row, spec)
    if row.kind == Kind.CONV and 1 < row.groups == row.in_channels:
        return twin_direct(row, spec)
    size = sizes(row, spec)
    found = twin_gemm(row, spec, name, size)
    if row.kind != Kind.CONV:
        return found
    if tensor and spec.layout == "nchw":
        found = twin_reordered(row, spec, found)
    others = [found]
    if row.groups > 1:
        others.append(twin_direct(row, spec))
    unit, wide = (
        {row.stride_h, row.stride_w, row.dilation_h, row.dilation_w} == {1},
        not tensor and name in ("fp32", "fp16"),
    )
    if row.groups == 1 and (row.kernel_h, row.kernel_w) == (3, 3) and unit and spec.has_winograd and wide:
        least, tiles = spec.winograd_least_channels, ceil(row.out_h / 4) * ceil(row.out_w / 4)
        if least:
            fits = row.in_channels >= least and row.out_channels >= least and tiles >= spec.winograd_least_tiles
            return twin_winograd(row, spec, size, 4) if fits else found
        others += [twin_winograd(row, spec, size, t) for t in (2, 4)]
    return min(others, key=lambda one: at_full_clock(row, spec, one))


def twin_gemm(row: Row, spec: GpuSpec, name: str, size: dict[str, float]) -> Twin:
    quantised = name == "fp8" and spec.quantise_row_cycles > 0
    tile = None
    if name == "fp8" and spec.product_kernels != "fastest":
        rule = PRODUCT_RULES[spec.product_kernels]
        tile = next(tile for rows, columns, tile in rule if row.m <= rows and size["n"] <= columns)
    if quantised:
        size = {**size, "outputs": 2 * size["outputs"]}
    found = twin_product(spec, row, **size, tile=tile, most_split=1 if spec.channel_pack > 1 else inf)
    if row.kind == Kind.LINEAR and row.groups > 1:
        late = gap(spec) * found.kernels * (spec.expert_launch_ratio - 1)
        found = found._replace(extra_s=found.extra_s + late)
    if quantised:
        moved = 3.0 * row.input_elements
        per_cache, per_dram = rates(spec, "stream")
        lost = moved * miss(moved, held(spec))
        seconds = row.input_elements / row.k / spec.sms * spec.quantise_row_cycles / clock(spec)
        found = found._replace(
            extra_s=found.extra_s + seconds + max(moved / per_cache, lost / per_dram), kernels=found.kernels + 1,
            cache_bytes=found.cache_bytes + moved, dram_bytes=found.dram_bytes + lost,
        )  # fmt: skip
    steps = row.sequential_steps
    if steps > 1:
        again = twin_product(spec, row, **{**size, "distance": size["weights"]})
        found = Twin(*(x + (steps - 1) * y for x, y in zip(found[:6], again[:6], strict=True)), 0, 0,
                     found.kernels * steps, found.p)  # fmt: skip
    return found._replace(macs=float(row.macs), ops=float(row.vector_ops))


def twin_direct(row: Row, spec: GpuSpec) -> Twin:
    half = row.activation_bits <= 16 and spec.fp16_macs_per_cycle > spec.fp32_macs_per_cycle
    size = sizes(row, spec)
    seconds = row.macs / (spec.sms * spec.index_ops_per_cycle * clock(spec) * spec.depthwise_efficiency)
    share = spec.depthwise_stream_efficiency
    found = twin_stream(spec, size["inputs"], size["outputs"], size["weights"], size["distance"], share,
                        macs=row.macs, ops=row.vector_ops, macs_s=seconds)  # fmt: skip
    return found._replace(unit_j=spec.vector_mac_j * (0.5 if half else 1.0))


def twin_winograd(row: Row, spec: GpuSpec, size: dict[str, float], t: int) -> Twin:
    a2, count = (t + 2) ** 2, row.batch * ceil(row.out_h / t) * ceil(row.out_w / t)
    channels = ceil(row.in_channels / spec.channel_pack) * spec.channel_pack
    batched = {**size, "g": a2, "m": count, "k": channels, "weights": size["weights"] * a2 / 9, "slow": 1.0}
    found = twin_product(spec, row, **batched, most_split=1)
    into, out = {2: (32, 24), 4: (156, 90)}[t]
    ops = count * (row.in_channels * into + row.out_channels * out) + row.vector_ops
    found = found._replace(macs=a2 * count * row.in_channels * row.n, ops=ops)
    if t == 2:
        return found
    workspace = a2 * count * (row.in_channels + row.out_channels) * stored(row.activation_bits)
    per_cache, per_dram = rates(spec, "stream")
    lost = 2 * workspace * miss(workspace, held(spec))
    return found._replace(
        cache_s=found.cache_s + 2 * workspace / per_cache, memory_s=found.memory_s + lost / per_dram, kernels=3,
        cache_bytes=found.cache_bytes + 2 * workspace, dram_bytes=found.dram_bytes + lost,
    )  # fmt: skip


def twin_reordered(row: Row, spec: GpuSpec, found: Twin) -> Twin:
    byte, (per_cache, per_dram) = stored(row.activation_bits), rates(spec, "stream")
    moved = lost = 0.0
    for size in (row.input_elements * byte, row.output_elements * byte):
        moved += 2 * size
        lost += 2 * size * miss(2 * size, held(spec))
    return found._replace(
        cache_s=found.cache_s + moved / per_cache, memory_s=found.memory_s + lost / per_dram,
        kernels=found.kernels + 2, cache_bytes=found.cache_bytes + moved, dram_bytes=found.dram_bytes + lost,
    )  # fmt: skip


def ops_s(row: Row, spec: GpuSpec, work: Twin) -> float:
    if row.kind != Kind.POOL:
        return work.ops / (spec.sms * spec.fp32_macs_per_cycle * clock(spec) * spec.vector_efficiency)
    pack, lanes = spec.channel_pack, spec.sms * spec.fp32_macs_per_cycle
    idle = max(1.0, lanes * pack / row.output_elements) if pack > 1 else 1.0
    return idle * work.ops / (spec.sms * spec.index_ops_per_cycle * clock(spec) * spec.pool_efficiency)


def at_full_clock(row: Row, spec: GpuSpec, work: Twin, share: float = 1.0) -> float:
    compute = work.compute_s + ops_s(row, spec, work)
    rest = work.extra_s + gap(spec) * work.kernels
    return norm(work.p, compute / share, work.cache_s / share, work.memory_s) + rest


def twin(row: Row, spec: GpuSpec) -> dict[str, float]:
    """Layer metrics of one row."""
    if not (row.macs or row.vector_ops or row.input_elements or row.output_elements):
        return dict.fromkeys(M, 0.0)
    work = twin_attention(row, spec) if row.kind == Kind.ATTENTION else twin_work(row, spec)
    _, _, byte, tensor = units(row, spec) if row.macs else ("", 0, 4, False)
    one = work.unit_j or (spec.mac_j * byte / 2 if tensor else spec.vector_mac_j * byte / 4)
    scale = (clock(spec) / spec.energy_clock_hz) ** spec.voltage_exponent
    mac_j, vector_j = work.macs * one * scale, work.ops * spec.vector_op_j * scale
    cache_j, dram_j = work.cache_bytes * spec.l2_j_per_byte, work.dram_bytes * spec.dram_j_per_byte
    share = power_share(row, spec, work, mac_j + vector_j, cache_j + dram_j)
    once = spec.invoke_s if row.output_offchip else 0.0
    dim = share**spec.voltage_exponent
    host = spec.enqueue_s * work.kernels + (spec.product_enqueue_s if row.macs else 0.0)
    host += spec.copy_enqueue_s if row.kind == Kind.COPY else 0.0
    kernels_s = at_full_clock(row, spec, work, share) + once
    return {
        "kernels_s": kernels_s, "host_s": host + once, "longer_s": max(kernels_s, host + once),
        "dynamic_j": (mac_j + vector_j) * dim + cache_j + dram_j, "mac_j": mac_j * dim, "vector_j": vector_j * dim,
        "cache_j": cache_j, "dram_j": dram_j, "cache_bytes": work.cache_bytes, "dram_bytes": work.dram_bytes,
        "kernels": work.kernels, "executed_macs": work.macs, "dram_s": work.memory_s,
    }  # fmt: skip


def power_share(row: Row, spec: GpuSpec, work: Twin, clocked_j: float, other_j: float) -> float:
    """By halving: the largest share of the clock under which the energy fits the power limit."""

    def fits(share: float) -> bool:
        energy = clocked_j * share**spec.voltage_exponent + other_j
        return energy <= (spec.tdp_w - spec.idle_w) * at_full_clock(row, spec, work, share)

    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return max(low, 1e-3)


# Attention.


def twin_attention(row: Row, spec: GpuSpec) -> Twin:
    _, rate, _, _ = units(row, spec)
    byte, flash3, width = stored(row.activation_bits), spec.attention_kernels == "flash3", row.k // 2
    if flash3:
        tile_rows, tile_keys = 192 if width <= 64 else 128, 128 if width <= 128 else 96 if width <= 192 else 64
    else:
        tile_rows, tile_keys = 64, 256 if width <= 64 else 128 if width <= 128 else 64
    launches = 2 if flash3 else 1
    late = launches * (spec.attention_launch_ratio - 1) * gap(spec)
    if row.m > row.query_heads:
        compute, cached, lost, macs = twin_prompt(row, spec, rate, byte, flash3, tile_rows, tile_keys)
        p = spec.attention_overlap_norm
    else:
        compute, cached, lost, macs, splits, packed = twin_token(row, spec, rate, byte, flash3, tile_keys)
        p = spec.decode_overlap_norm
        if splits > 1:
            late += spec.decode_combine_s * (1 + (0 if flash3 else splits / 32))
        if packed and not flash3 and row.batch > 1:
            launches += 2
            late += 2 * (spec.decode_copy_ratio - 1) * gap(spec)
    per_cache, per_dram = rates(spec, "attention")
    return Twin(compute, cached / per_cache, lost / per_dram, late, cached, lost, macs, 0, launches, p)


def resident(spec: GpuSpec, row: Row, rows: int, keys: int, byte: float, flash3: bool) -> int:
    if flash3:
        return 1
    return max(1, floor(spec.shared_memory_bytes / ((rows * row.k / 2 + keys * row.k) * byte)))


def twin_prompt(
    row: Row, spec: GpuSpec, rate: float, byte: float, flash3: bool, tile_rows: int, tile_keys: int
) -> tuple[float, float, float, float]:
    tokens, heads = row.m // row.query_heads, row.query_heads
    packed = flash3 and ceil(row.m / tile_rows) < heads * ceil(tokens / tile_rows)
    groups, rows, shared = (row.groups, row.m, heads) if packed else (row.groups * heads, tokens, 1)
    past = row.n - tokens
    blocks = []
    for i in range(ceil(rows / tile_rows)):
        last = min(row.n, past + ceil((i + 1) * tile_rows / shared)) if row.causal else row.n
        first = max(0, past + i * tile_rows // shared - row.window) // tile_keys if row.window else 0
        blocks.append(ceil((last - first * tile_keys) / tile_keys))
    q, faster = (4, 1.2) if flash3 else (1.6, 1.0)
    soft = spec.attention_softmax_cost * (1 / spec.special_ops_per_cycle + 4 / spec.fp32_macs_per_cycle)
    score = norm(q, row.k / (rate * min(1.0, spec.attention_mac_efficiency * faster)), soft)
    one, start = tile_rows * tile_keys * score, spec.attention_overhead_cycles
    mean, count = np.mean(blocks) * one + start, groups * len(blocks)
    hidden = start * (1 - 1 / resident(spec, row, tile_rows, tile_keys, byte, flash3))
    cycles = norm(4, count * (mean - hidden) / spec.sms, max(blocks) * one + start)
    cycles += spec.attention_tail * mean / 2 if count > spec.sms else 0
    kept, queries = row.weight_elements * byte, (row.input_elements + row.output_elements) * byte
    cached = groups * sum(blocks) * tile_keys * row.k * byte + queries
    lost = (kept + queries) * miss(kept + queries, held(spec))
    return cycles / clock(spec), cached, lost, groups * sum(blocks) * tile_rows * tile_keys * row.k


def twin_token(
    row: Row, spec: GpuSpec, rate: float, byte: float, flash3: bool, tile_keys: int
) -> tuple[float, float, float, float, int, bool]:
    block_keys, heads = 128 if flash3 else tile_keys, row.query_heads
    packed = flash3 or (heads > 1 and not row.window)
    keys = min(row.n, row.window) if row.window else row.n
    blocks = ceil(keys / block_keys)
    if row.window and row.n > row.window:
        blocks = ceil(row.n / block_keys) - (row.n - row.window) // block_keys
        keys = blocks * block_keys if flash3 else keys
    count = row.groups * (ceil(heads / 64) if packed else heads)
    splits = 1
    if packed and flash3:
        splits = max(1, min(spec.sms // count, 128, blocks))
    elif packed:
        splits = flash2_parts(count, blocks, 2 * spec.sms)
    mma = 64 * block_keys * row.k / (rate * spec.attention_mac_efficiency)
    block = spec.decode_block_cycles * block_keys * row.k * byte / 65536
    chain = ceil(blocks / splits) * max(block, mma) + spec.decode_overhead_cycles
    each = spec.decode_part_cycles / resident(spec, row, 64, block_keys, byte, flash3)
    compute = norm(4, count * (blocks * mma + splits * each) / spec.sms, chain) / clock(spec)
    kept, queries = row.groups * keys * row.k * byte, (row.input_elements + row.output_elements) * byte
    macs = count * 64 * blocks * block_keys * row.k if packed else count * keys * row.k
    cached = kept * (1 if packed else heads) + queries
    return compute, cached, kept * miss(kept + queries, held(spec)), macs, splits, packed


def flash2_parts(count: int, blocks: int, slots: int) -> int:
    if count >= 0.8 * slots:
        return 1
    filled = {}
    for s in range(1, min(128, slots, blocks) + 1):
        if s == 1 or ceil(blocks / s) != ceil(blocks / (s - 1)):
            waves = count * s / slots
            filled[s] = waves / ceil(waves)
    return next(s for s, share in filled.items() if share >= 0.85 * max(filled.values()))


# Tests.


@pytest.mark.parametrize("which", range(len(SPECS)))
def test_the_kernel_equals_its_twin(which: int) -> None:
    rows, spec = (*bank(), *attention_rows()), SPECS[which]
    out, _ = cost_of(rows, (spec,))
    for i, row in enumerate(rows):
        for name, value in twin(row, spec).items():
            assert out[0, i, M[name]] == pytest.approx(value, rel=1e-9, abs=1e-300), (name, row)


def test_some_layers_of_the_bank_are_limited_by_power_split_and_read_again() -> None:
    """The twin is worth what its bank reaches."""
    explained = [explain(row, spec) for row in bank() for spec in (SMALL, GpuSpec()) if row.macs]
    assert min(one["clock_share"] for one in explained) < 0.95
    assert max(one.get("split", 1) for one in explained) > 4
    choices = {MODEL.layerwise.choices[c] for c in np.unique(cost_of((*bank(), *attention_rows()), SPECS)[1])}
    assert {"winograd2", "winograd4", "depthwise", "stream", "attention"} <= choices
    assert len(choices) > 12


def test_codes_stand_for_what_they_say() -> None:
    kinds = {"_LINEAR": Kind.LINEAR, "_SOFTMAX": Kind.SOFTMAX, "_TRANSPOSE": Kind.CONV_TRANSPOSE,
             "_ATTENTION": Kind.ATTENTION}  # fmt: skip
    assert {name: getattr(kernel, name) for name in kinds} == kinds
    for name in FLOATS:
        if name not in ("fp32", "fp64"):
            assert coded(FLOATS[name])[1] == getattr(kernel, f"_{name.upper()}")
    choices = {"context": ("_COLD", "cold"), "layout": ("_NCHW", "nchw")}
    for knob, (code, value) in choices.items():
        assert GpuSpec.knobs()[knob].choices.index(value) == getattr(kernel, code)
    assert get_args(GpuSpec.model_fields["product_kernels"].annotation) == ("fastest", *PRODUCT_RULES)
    assert GpuSpec.knobs()["attention_kernels"].choices.index("flash3") == 1
    for position, name in ((0, "winograd2"), (2, "depthwise"), (3, "stream"), (4, "attention")):
        assert kernel.OTHER_CHOICES[position] == name


def test_tiles_are_powers_of_two_and_splits_rise() -> None:
    assert all(side & (side - 1) == 0 for tile in TILES for side in tile)
    assert SPLITS[0] == 1
    assert all(low < high for low, high in pairwise(SPLITS))
    ruled = {line[2] for rule in PRODUCT_RULES.values() for line in rule}
    assert {TILES[int(tile)] for tile in BACKENDS.rules[:, 3]} == ruled


FORMATS = (*FLOATS.values(), integer(4), integer(8), integer(16), integer(32))


@pytest.mark.parametrize("spec", [*SPECS, GpuSpec(tensor_fp8_macs_per_cycle=9, tensor_fp4_macs_per_cycle=9)])
def test_the_kernel_runs_the_format_that_the_spec_declares(spec: GpuSpec) -> None:
    classes = {
        kernel_product.TENSOR_FP16: ("fp16", True), kernel_product.TENSOR_BF16: ("bf16", True),
        kernel_product.TENSOR_FP8: ("fp8", True), kernel_product.TENSOR_INT8: ("int8", True),
        kernel_product.TENSOR_TF32: ("tf32", True), kernel_product.TENSOR_FP4: ("fp4", True),
        kernel_product.VECTOR_FP32: ("fp32", False), kernel_product.VECTOR_FP16: ("fp16", False),
        kernel_product.VECTOR_INT8: ("int8", False), kernel_product.VECTOR_FP64: ("fp64", False),
    }  # fmt: skip
    device: Any = spec
    for weight, activation in product(FORMATS, FORMATS):
        (wb, wc), (ab, ac) = coded(weight), coded(activation)
        row = Row(kind=Kind.LINEAR, weight_bits=wb, weight_format=wc, activation_bits=ab, activation_format=ac)
        named, _ = classes[kernel._units.py_func(row, device)]
        declared = spec.computed(format_of(wb, wc, in_float=True), format_of(ab, ac, in_float=True))[0].name
        assert named == declared.removesuffix("_e5m2"), (weight.name, activation.name)


def test_layer_costs_and_explanations_agree() -> None:
    workload = network("resnet18", precision=Precision(16, 16))
    table = layer_table([workload])
    tensor = layer_costs(MODEL, table, GpuSpec.to_table([GpuSpec()]))
    for i in range(table.n_layers):
        found = explain(table.layers.row(i), GpuSpec())
        choice = MODEL.layerwise.choices[tensor.choice[0, i]]
        assert found.get("tile", choice) == choice


def test_pooling_runs_at_its_own_rate() -> None:
    net = Builder("pool", (64, 256, 56, 56))
    ((_, row),) = net.finish(net.add(Pool2d("max", 3, 2, 1), net.input)).rows()
    slow, fast = (cost_of((row,), (GpuSpec(pool_efficiency=rate),))[0][0, 0, M["compute_s"]] for rate in (0.1, 0.2))
    assert slow == pytest.approx(2 * fast)


def test_a_grouped_convolution_takes_the_faster_of_product_and_direct_kernel() -> None:
    net = Builder("grouped", (32, 256, 28, 28), precision=Precision(32, 32))
    ((_, row),) = net.finish(net.add(Conv2d.square(256, 3, groups=16), net.input)).rows()
    for efficiency, choice in ((0.8, "depthwise"), (0.02, None)):
        _, found = cost_of((row,), (GpuSpec(depthwise_efficiency=efficiency),))
        assert (MODEL.layerwise.choices[found[0, 0]] == "depthwise") == (choice == "depthwise")
