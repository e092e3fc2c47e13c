"""Arithmetic of a GPU: what the kernels of one layer take, one after the other, and what the host takes to start them.

A layer with MACs is a product (`kernel_product`) or a convolution that runs as one::

    implicit GEMM   m = batch OH OW, n = channels out, k = channels in x window, channels padded to 16 bytes
    winograd t      (t + 2)^2 products of (tiles x channels) and (channels x outputs), transforms around; vector units
    depthwise       MACs / (rate of addresses, efficiency), beside its memory

A layer without MACs reads and writes every element once: operations over the lanes' rate, bytes over the second
cache's and the memory's rate. Where a byte comes from depends on the data touched since its last use. Each kernel pays
its launch; where the power limit is met, the clock falls (`dimmed`)::

    kernels_s = sum of kernels (norm of compute, cache, memory + launch)
    host_s = kernels x enqueue + further time of products and of copies
    longer_s = the longer of the two

Eager or compiled, fused or not, dead branches kept or dropped is decided before, by rewriting the network.

Not modelled: kernels that run side by side, sparsity, banks, warps that diverge, clocks that follow temperature.
Spec constants enter through `configs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hwmodels.families.gpu.kernel_attention import SOURCE as ATTENTION_SOURCE
from hwmodels.families.gpu.kernel_attention import attention
from hwmodels.families.gpu.kernel_product import (
    CLASSES,
    SOURCE,
    TENSOR_BF16,
    TENSOR_FP4,
    TENSOR_FP8,
    TENSOR_FP16,
    TENSOR_INT8,
    TENSOR_TF32,
    VECTOR_FP16,
    VECTOR_FP32,
    VECTOR_FP64,
    VECTOR_INT8,
    Found,
    Operands,
    dimmed,
    fill_plan,
    miss,
    norm3,
    plan_of_class,
    product,
)
from hwmodels.families.kernel_parts import (
    BY_WIDTH,
    CONV,
    INTEGER,
    NORM,
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

__all__ = ["OTHER_CHOICES", "Cost", "Detail", "cost", "cost_at", "detail"]

# Codes of Kind, of number formats and of the Spec's choices; a test holds them to their definitions.
_LINEAR, _SOFTMAX, _COPY, _TRANSPOSE, _ATTENTION = 1, 8, 11, 12, 13
_FP4, _FP8, _FP8_E5M2, _FP16, _BF16, _TF32, _FP32, _FP64 = 2, 3, 4, 5, 6, 7, 8, 9
_COLD, _NCHW = 0, 0

# Positions in `choice` behind the tiles.
_WINOGRAD, _DEPTHWISE, _STREAM, _FUSED = 0, 2, 3, 4
OTHER_CHOICES = ("winograd2", "winograd4", "depthwise", "stream", "attention")

# Additions of the input and the output transform of a tile and channel, F(2,3) and F(4,3) [Lavin & Gray, CVPR 2016].
_WINOGRAD_OPS = ((32.0, 24.0), (156.0, 90.0))
_ALIGNED_BYTES = 16.0


class Cost(NamedTuple):
    """One layer's metrics, in the order of the kernel's last axis; s, J, bytes and MACs per batch."""

    kernels_s: float
    host_s: float
    longer_s: float
    compute_s: float
    cache_s: float
    dram_s: float
    overhead_s: float
    dynamic_j: float
    mac_j: float
    vector_j: float
    cache_j: float
    dram_j: float
    cache_bytes: float
    dram_bytes: float
    kernels: float
    executed_macs: float
    workspace_bytes: float


class Detail(NamedTuple):
    """What lies behind the cost of one layer. clock_share : of the clock that the power limit leaves."""

    tile_rows: float
    tile_columns: float
    split: float
    waves: float
    macs_per_cycle: float
    clock_share: float


# What a configuration is beside its knobs; `_derive` writes it.
_DERIVED = {
    "used_clock_hz": float,
    "gap_s": float,  # from one kernel to the next
    "held_bytes": float,  # what the second cache holds from one use to the next
    "cold_bytes": float,
    "product_cache_bytes_per_s": float,
    "expert_cache_bytes_per_s": float,
    "stream_cache_bytes_per_s": float,
    "product_dram_bytes_per_s": float,
    "expert_dram_bytes_per_s": float,
    "stream_dram_bytes_per_s": float,
    "attention_cache_bytes_per_s": float,
    "attention_dram_bytes_per_s": float,
    "lane_ops_per_s": float,
    "index_ops_per_s": float,
    "pair_bound": float,  # a norm of two terms over their sum, at least; of three
    "triple_bound": float,
    "clock_energy": float,  # of a MAC over that at `energy_clock_hz`
}


class _Work(NamedTuple):
    """All kernels of a layer but their launches: seconds at full clock, bytes, executed MACs and operations."""

    choice: int
    split: int
    waves: float
    units: int
    compute_s: float
    cache_s: float
    memory_s: float
    extra_s: float
    cache_bytes: float
    dram_bytes: float
    macs: float
    ops: float
    kernels: float
    workspace_bytes: float
    overlap_norm: float


@inner
def _derive(device: Any) -> None:
    """Write the fields of `_DERIVED`; the second cache is never slower than the memory."""
    clock = device.clock_hz
    if device.sustained_clock_hz > 0.0:
        clock = min(clock, device.sustained_clock_hz)
    device.used_clock_hz = clock
    device.gap_s = device.launch_s + device.launch_cycles / clock
    device.held_bytes = device.residency * device.l2_bytes / device.l2_partitions
    device.cold_bytes = device.reuse_distance_bytes if device.context == _COLD else 0.0
    dram, cache = device.dram_bytes_per_s, device.l2_bytes_per_cycle * clock
    device.product_dram_bytes_per_s = dram * device.dram_efficiency
    device.expert_dram_bytes_per_s = dram * device.expert_dram_efficiency
    device.stream_dram_bytes_per_s = dram * device.stream_efficiency
    device.attention_dram_bytes_per_s = dram * device.attention_dram_efficiency
    attended = cache * device.attention_l2_efficiency
    device.attention_cache_bytes_per_s = max(attended, device.attention_dram_bytes_per_s)
    shared = cache * device.l2_multicast
    device.product_cache_bytes_per_s = max(shared * device.l2_efficiency, device.product_dram_bytes_per_s)
    device.expert_cache_bytes_per_s = max(shared * device.expert_l2_efficiency, device.expert_dram_bytes_per_s)
    device.stream_cache_bytes_per_s = max(cache * device.l2_efficiency, device.stream_dram_bytes_per_s)
    device.lane_ops_per_s = device.sms * device.fp32_macs_per_cycle * clock
    device.index_ops_per_s = device.sms * device.index_ops_per_cycle * clock
    device.pair_bound = 2.0 ** (1.0 / device.overlap_norm - 1.0)
    device.triple_bound = 3.0 ** (1.0 / device.overlap_norm - 1.0)
    device.clock_energy = (clock / device.energy_clock_hz) ** device.voltage_exponent


@inner
def _byte(bits: int) -> float:
    """Bytes of a stored element: a half, 1, 2, 4 or 8."""
    return rounded_width(bits, 4, 64) / 8.0


@inner
def _fields(bits: int, code: int) -> tuple[int, int]:
    """(exponent bits, mantissa bits) of a format; an integer has no exponent, and bits - 1 below its sign."""
    if code == INTEGER:
        return 0, bits - 1
    if code == BY_WIDTH:
        if bits == 16:
            return 5, 10
        if bits == 32:
            return 8, 23
        return (11, 52) if bits == 64 else (0, bits - 1)
    if code == _FP4:
        return 2, 1
    if code == _FP8:
        return 4, 3
    if code == _FP8_E5M2:
        return 5, 2
    if code == _FP16:
        return 5, 10
    if code == _BF16:
        return 8, 7
    if code == _TF32:
        return 8, 10
    return (8, 23) if code == _FP32 else (11, 52)


@inner
def _holds(exponent: int, mantissa: int, other_exponent: int, other_mantissa: int) -> bool:
    """Whether a float format of these fields has every number of another one; integers have no exponent."""
    if other_exponent == 0:
        return other_mantissa <= mantissa + 1
    return exponent >= other_exponent and mantissa >= other_mantissa


@inner
def _units(row: Any, device: Any) -> int:
    """The units that a product runs on; as `GpuSpec.computed` says it."""
    weight = _fields(row.weight_bits, row.weight_format)
    other = _fields(row.activation_bits, row.activation_format)
    if row.dynamic_operand == 1:
        weight = other
    if weight[0] == 0 and other[0] == 0 and weight[1] <= 7 and other[1] <= 7:
        if device.tensor_int8_macs_per_cycle > 0.0:
            return TENSOR_INT8
        if device.int8_macs_per_cycle > 0.0:
            return VECTOR_INT8
    if weight[0] == 0 and other[0] > 0:
        weight = other
    elif other[0] == 0 and weight[0] > 0:
        other = weight
    if max(weight[1], other[1]) > 31:
        return VECTOR_FP64
    if device.tensor_fp4_macs_per_cycle > 0.0 and _holds(2, 1, *weight) and _holds(2, 1, *other):
        return TENSOR_FP4
    if device.tensor_fp8_macs_per_cycle > 0.0:
        if _holds(4, 3, *weight) and _holds(4, 3, *other):
            return TENSOR_FP8
        if _holds(5, 2, *weight) and _holds(5, 2, *other):
            return TENSOR_FP8
    if _holds(5, 10, *weight) and _holds(5, 10, *other):
        if device.tensor_fp16_macs_per_cycle > 0.0:
            return TENSOR_FP16
        if device.fp16_macs_per_cycle > device.fp32_macs_per_cycle:
            return VECTOR_FP16
    if device.tensor_bf16_macs_per_cycle > 0.0 and _holds(8, 7, *weight) and _holds(8, 7, *other):
        return TENSOR_BF16
    wide = max(weight[1], other[1]) > 10 or weight[0] == 0
    if device.tensor_tf32_macs_per_cycle > 0.0 and (device.allow_tf32 == 1 or not wide):
        return TENSOR_TF32
    return VECTOR_FP32


@inner
def _touched(row: Any) -> float:
    """Share of the input that some window covers."""
    share = touched_share(row.in_h, row.out_h, row.kernel_h, row.stride_h, row.dilation_h)
    share *= touched_share(row.in_w, row.out_w, row.kernel_w, row.stride_w, row.dilation_w)
    return share


@inner
def _padded(count: float, pack: float) -> float:
    """The next multiple of `pack`."""
    padded: float = np.ceil(count / pack) * pack
    return padded


@inner
def _operands(row: Any, units: int, device: Any) -> Operands:
    """A layer as a product: padded sizes, bytes, how far weights are reused, and how much slower a step is."""
    byte = plan_of_class(device, units)[1]
    activation = _byte(row.activation_bits)
    weight_byte = activation if row.dynamic_operand == 1 else _byte(row.weight_bits)
    pack = float(device.channel_pack)
    m, n, k, slowdown = float(row.m), _padded(float(row.n), pack), float(row.k), 1.0
    if row.kind == CONV:
        window = row.kernel_h * row.kernel_w
        channels = float(row.k // window)
        if units < VECTOR_FP32:  # libraries pad channels: to 4 where there are no more, else to 16 bytes
            pack = 4.0 if channels <= 4.0 else max(_ALIGNED_BYTES / byte, pack)
        k = _padded(channels, pack) * window
        if window > 1 or row.stride_h > 1 or row.stride_w > 1:
            slowdown = 1.0 / device.gather_efficiency
    elif row.kind == _TRANSPOSE:
        slowdown = 1.0 / device.gather_efficiency
        k = _padded(k, pack)
    elif units < VECTOR_FP32 and (k * byte % _ALIGNED_BYTES != 0.0 or n * byte % _ALIGNED_BYTES != 0.0):
        slowdown = 1.0 / device.misaligned_rate
    steps = float(row.sequential_steps)
    input_bytes = row.input_elements * activation * _touched(row) / steps
    output_bytes = row.output_elements * activation / steps
    weight_bytes = row.weight_elements * weight_byte
    distance = weight_bytes * device.weight_copies + input_bytes + output_bytes + device.cold_bytes
    if row.dynamic_operand == 1:
        distance = weight_bytes + input_bytes + output_bytes
    return Operands(
        float(row.groups), m, n, k, activation, weight_byte, input_bytes, weight_bytes, output_bytes, distance, slowdown
    )


@inner
def _from_found(found: Found, units: int, macs: float, ops: float, workspace: float, overlap_norm: float) -> _Work:
    kernels = 2.0 if found.split > 1 else 1.0
    return _Work(
        found.tile, found.split, found.waves, units, found.compute_s, found.cache_s, found.memory_s, found.extra_s,
        found.cache_bytes, found.dram_bytes, macs, ops, kernels, workspace, overlap_norm,
    )  # fmt: skip


@inner
def _widened(o: Operands) -> Operands:
    """A product that writes 16 bits an element where its operands have 8."""
    return Operands(
        o.groups, o.m, o.n, o.k, o.input_byte, o.weight_byte, o.input_bytes, o.weight_bytes, 2.0 * o.output_bytes,
        o.weight_distance, o.slowdown,
    )  # fmt: skip


@inner
def _with_quantising(row: Any, work: _Work, device: Any) -> _Work:
    """A kernel before the product that reads its 16-bit input and writes 8 bits: a row takes its cycles, too."""
    moved = 3.0 * row.input_elements
    lost = moved * miss(moved, device.held_bytes)
    rows = float(row.input_elements) / max(row.k, 1)
    seconds = rows / device.sms * device.quantise_row_cycles / device.used_clock_hz
    seconds += max(moved / device.stream_cache_bytes_per_s, lost / device.stream_dram_bytes_per_s)
    return _Work(
        work.choice, work.split, work.waves, work.units, work.compute_s, work.cache_s, work.memory_s,
        work.extra_s + seconds, work.cache_bytes + moved, work.dram_bytes + lost, work.macs, work.ops,
        work.kernels + 1.0, work.workspace_bytes + row.input_elements, work.overlap_norm,
    )  # fmt: skip


@inner
def _gemm(row: Any, units: int, tables: Any, plans: Any, device: Any) -> _Work:
    """A product, or a convolution as one; a recurrent layer repeats it, with weights that it finds again."""
    o = _operands(row, units, device)
    expert = row.kind == _LINEAR and row.groups > 1
    quantised = units == TENSOR_FP8 and device.quantise_row_cycles > 0.0
    if quantised:  # activations lie in 16 bits between layers
        o = _widened(o)
    # Kernels on packed channels cut no reduction.
    most_split = 1.0 if device.channel_pack > 1 else np.inf
    found = product(o, units, tables, plans[1 if expert else 0], device, expert, most_split)
    workspace = found.split * o.groups * o.m * o.n * 4.0 if found.split > 1 else 0.0
    work = _from_found(found, units, float(row.macs), float(row.vector_ops), workspace, device.overlap_norm)
    if expert:
        work = _delayed(work, device.gap_s * work.kernels * (device.expert_launch_ratio - 1.0))
    if quantised:
        work = _with_quantising(row, work, device)
    if row.sequential_steps > 1:
        steps = float(row.sequential_steps)
        kept = Operands(
            o.groups, o.m, o.n, o.k, o.input_byte, o.weight_byte, o.input_bytes, o.weight_bytes, o.output_bytes,
            o.weight_bytes, o.slowdown,
        )  # fmt: skip
        again = product(kept, units, tables, plans[0], device, False, np.inf)
        more = steps - 1.0
        return _Work(
            again.tile, again.split, again.waves, units, found.compute_s + more * again.compute_s,
            found.cache_s + more * again.cache_s, found.memory_s + more * again.memory_s,
            found.extra_s + more * again.extra_s, found.cache_bytes + more * again.cache_bytes,
            found.dram_bytes + more * again.dram_bytes, work.macs, work.ops, work.kernels * steps, workspace,
            work.overlap_norm,
        )  # fmt: skip
    return work


@inner
def _winograd(row: Any, units: int, which: int, tables: Any, plans: Any, device: Any) -> _Work:
    """F(t, 3), t = 2 and 4 [Lavin & Gray]: a^2 = (t + 2)^2 products of (tiles x C) and (C x N), transforms around.

    F(2, 3) is one kernel; F(4, 3) writes and reads its transformed operands, in two kernels more.
    """
    t = 2 * (which + 1)
    a2 = float((t + 2) * (t + 2))
    count = float(row.batch * ceil_div(row.out_h, t) * ceil_div(row.out_w, t))
    o = _operands(row, units, device)
    channels = _padded(float(row.in_channels), float(device.channel_pack))
    weights = o.weight_bytes * a2 / 9.0
    batched = Operands(
        a2, count, o.n, channels, o.input_byte, o.weight_byte, o.input_bytes, weights, o.output_bytes,
        o.weight_distance, 1.0,
    )  # fmt: skip
    found = product(batched, units, tables, plans[0], device, False, 1.0)
    into, out = _WINOGRAD_OPS[which]
    ops = count * (row.in_channels * into + row.out_channels * out)
    macs = a2 * count * row.in_channels * row.n
    work = _from_found(found, units, macs, ops + row.vector_ops, 0.0, device.overlap_norm)
    if which == 0:
        return work
    workspace = a2 * count * (row.in_channels + row.out_channels) * o.input_byte
    lost = 2.0 * workspace * miss(workspace, device.held_bytes)
    return _Work(
        work.choice, work.split, work.waves, units, work.compute_s,
        work.cache_s + 2.0 * workspace / device.stream_cache_bytes_per_s,
        work.memory_s + lost / device.stream_dram_bytes_per_s, work.extra_s, work.cache_bytes + 2.0 * workspace,
        work.dram_bytes + lost, macs, work.ops, 3.0, workspace, work.overlap_norm,
    )  # fmt: skip


@inner
def _streamed(
    choice: int, units: int, inputs: float, outputs: float, weights: float, weight_distance: float, macs: float,
    ops: float, macs_s: float, efficiency: float, device: Any,
) -> _Work:  # fmt: skip
    """One kernel that reads inputs and weights and writes outputs, bytes each, once; `efficiency` of its memory."""
    moved = inputs + outputs + weights
    lost = (inputs + outputs) * miss(inputs + outputs, device.held_bytes)
    lost += weights * miss(weight_distance, device.held_bytes)
    cache_s = moved / (device.stream_cache_bytes_per_s * efficiency)
    memory_s = lost / (device.stream_dram_bytes_per_s * efficiency)
    return _Work(
        choice, 1, 0.0, units, macs_s, cache_s, memory_s, 0.0, moved, lost, macs, ops, 1.0, 0.0,
        device.overlap_norm,
    )  # fmt: skip


@inner
def _depthwise(row: Any, device: Any) -> _Work:
    """One window a channel, or few channels a group: MACs / (rate of addresses, efficiency), beside the memory."""
    half = row.activation_bits <= 16 and device.fp16_macs_per_cycle > device.fp32_macs_per_cycle
    units = VECTOR_FP16 if half else VECTOR_FP32
    o = _operands(row, units, device)
    macs_s = row.macs / (device.index_ops_per_s * device.depthwise_efficiency)
    return _streamed(
        _DEPTHWISE, units, o.input_bytes, o.output_bytes, o.weight_bytes, o.weight_distance, float(row.macs),
        float(row.vector_ops), macs_s, device.depthwise_stream_efficiency, device,
    )  # fmt: skip


@inner
def _stream(row: Any, device: Any) -> _Work:
    """A layer without MACs."""
    byte = _byte(row.activation_bits)
    inputs, outputs = row.input_elements * byte * _touched(row), row.output_elements * byte
    efficiency = device.reduction_efficiency if row.kind == NORM or row.kind == _SOFTMAX else 1.0
    return _streamed(
        _STREAM, VECTOR_FP32, inputs, outputs, 0.0, 0.0, 0.0, float(row.vector_ops), 0.0, efficiency, device
    )


@inner
def _attended(row: Any, device: Any) -> _Work:
    """Attention in one kernel; its softmax is part of its compute time."""
    units = _units(row, device)
    rate = plan_of_class(device, units)[0]
    a = attention(row, rate, _byte(row.activation_bits), device)
    return _Work(
        _FUSED, int(a.splits), a.waves, units, a.compute_s, a.cache_s, a.memory_s, a.extra_s, a.cache_bytes,
        a.dram_bytes, a.macs, 0.0, a.kernels, 0.0, a.overlap_norm,
    )  # fmt: skip


@inner
def _ops_s(row: Any, work: _Work, device: Any) -> float:
    """Elementary operations over the lanes' rate; of pooling, over that of addresses, one lane a pack of outputs."""
    if row.kind == POOL:
        of_pool: float = work.ops / (device.index_ops_per_s * device.pool_efficiency)
        if device.channel_pack > 1:
            lanes = device.sms * device.fp32_macs_per_cycle
            of_pool *= max(1.0, lanes * device.channel_pack / max(row.output_elements, 1))
        return of_pool
    seconds: float = work.ops / (device.lane_ops_per_s * device.vector_efficiency)
    return seconds


@inner
def _seconds(row: Any, work: _Work, device: Any) -> float:
    """All kernels of a layer at full clock."""
    compute_s = work.compute_s + _ops_s(row, work, device)
    gaps = device.gap_s * work.kernels + work.extra_s
    return norm3(compute_s, work.cache_s, work.memory_s, work.overlap_norm) + gaps


@inner
def _reordered(row: Any, work: _Work, device: Any) -> _Work:
    """Two kernels more that bring input and output of a convolution on tensor units from nchw to nhwc and back."""
    byte = _byte(row.activation_bits)
    inputs, outputs = row.input_elements * byte, row.output_elements * byte
    moved = 2.0 * (inputs + outputs)
    lost = 2.0 * (inputs * miss(2.0 * inputs, device.held_bytes) + outputs * miss(2.0 * outputs, device.held_bytes))
    return _Work(
        work.choice, work.split, work.waves, work.units, work.compute_s,
        work.cache_s + moved / device.stream_cache_bytes_per_s, work.memory_s + lost / device.stream_dram_bytes_per_s,
        work.extra_s, work.cache_bytes + moved, work.dram_bytes + lost, work.macs, work.ops, work.kernels + 2.0,
        work.workspace_bytes + inputs + outputs, work.overlap_norm,
    )  # fmt: skip


@inner
def _best(row: Any, tables: Any, plans: Any, device: Any) -> _Work:
    """The fastest kernels that fit a layer, the first among equals.

    product : everything with MACs but depthwise convolutions. depthwise : convolutions of more than one group.
    winograd : 3x3 windows at stride one, on vector units.
    """
    others = len(tables.tiles)
    if row.macs == 0:
        late = device.gap_s * (device.stream_launch_ratio - 1.0)
        return _shifted(_delayed(_stream(row, device), late), others)
    if row.kind == _ATTENTION:
        return _shifted(_attended(row, device), others)
    is_conv = row.kind == CONV
    if is_conv and row.groups == row.in_channels and row.groups > 1:
        return _shifted(_depthwise(row, device), others)
    units = _units(row, device)
    work = _gemm(row, units, tables, plans, device)
    if not is_conv:
        return work
    if units < VECTOR_FP32 and device.layout == _NCHW:
        work = _reordered(row, work, device)
    if row.groups > 1:
        found = _depthwise(row, device)
        return _shifted(found, others) if _seconds(row, found, device) < _seconds(row, work, device) else work
    unit = row.stride_h == 1 and row.stride_w == 1 and row.dilation_h == 1 and row.dilation_w == 1
    square = row.kernel_h == 3 and row.kernel_w == 3
    if device.has_winograd == 1 and unit and square and units in (VECTOR_FP32, VECTOR_FP16):
        if device.winograd_least_channels > 0:
            if not _is_winograd_by_rule(row, device):
                return work
            return _named(_winograd(row, units, 1, tables, plans, device), others + _WINOGRAD + 1)
        for which in range(2):
            found = _winograd(row, units, which, tables, plans, device)
            if _seconds(row, found, device) < _seconds(row, work, device):
                work = _named(found, others + _WINOGRAD + which)
    return work


@inner
def _is_winograd_by_rule(row: Any, device: Any) -> bool:
    """Whether channels and tiles of 4 x 4 outputs are enough for F(4,3)."""
    tiles = ceil_div(row.out_h, 4) * ceil_div(row.out_w, 4)
    narrow = min(row.in_channels, row.out_channels)
    taken: bool = narrow >= device.winograd_least_channels and tiles >= device.winograd_least_tiles
    return taken


@inner
def _named(work: _Work, choice: int) -> _Work:
    """`work` under another choice."""
    return _Work(
        choice, work.split, work.waves, work.units, work.compute_s, work.cache_s, work.memory_s, work.extra_s,
        work.cache_bytes, work.dram_bytes, work.macs, work.ops, work.kernels, work.workspace_bytes, work.overlap_norm,
    )  # fmt: skip


@inner
def _delayed(work: _Work, seconds: float) -> _Work:
    """`work` that takes so much longer beside its kernels."""
    return _Work(
        work.choice, work.split, work.waves, work.units, work.compute_s, work.cache_s, work.memory_s,
        work.extra_s + seconds, work.cache_bytes, work.dram_bytes, work.macs, work.ops, work.kernels,
        work.workspace_bytes, work.overlap_norm,
    )  # fmt: skip


@inner
def _shifted(work: _Work, others: int) -> _Work:
    """A choice that is no tile, behind the `others`."""
    return _named(work, others + work.choice)


@inner
def _dynamic_j(work: _Work, device: Any) -> tuple[float, float, float, float]:
    """(MACs, operations, second cache, memory) in J at full clock; a MAC by its bits."""
    bits = 8.0 * plan_of_class(device, work.units)[1]
    one = device.mac_j * bits / 16.0 if work.units < VECTOR_FP32 else device.vector_mac_j * bits / 32.0
    scale = device.clock_energy
    return (
        work.macs * one * scale,
        work.ops * device.vector_op_j * scale,
        work.cache_bytes * device.l2_j_per_byte,
        work.dram_bytes * device.dram_j_per_byte,
    )


@inner
def _clock_share(row: Any, work: _Work, device: Any) -> float:
    """Of the clock, what the power limit leaves to this layer."""
    mac_j, vector_j, cache_j, dram_j = _dynamic_j(work, device)
    compute_s = work.compute_s + _ops_s(row, work, device)
    rest_s = device.gap_s * work.kernels + work.extra_s
    return dimmed(
        compute_s, work.cache_s, work.memory_s, rest_s, work.overlap_norm, mac_j + vector_j, cache_j + dram_j, device
    )


@inner
def _cost(row: Any, tables: Any, plans: Any, device: Any) -> tuple[int, Cost]:
    """(choice, cost) of one layer."""
    if row.macs == 0 and row.vector_ops == 0 and row.input_elements == 0 and row.output_elements == 0:  # nothing runs
        nothing = Cost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        return len(tables.tiles) + _STREAM, nothing
    work = _best(row, tables, plans, device)
    share = _clock_share(row, work, device)
    compute_s = (work.compute_s + _ops_s(row, work, device)) / share
    cache_s = work.cache_s / share
    once_s = device.invoke_s if row.output_offchip == 1 else 0.0
    overhead_s = device.gap_s * work.kernels + work.extra_s + once_s
    kernels_s = norm3(compute_s, cache_s, work.memory_s, work.overlap_norm) + overhead_s
    host_s = device.enqueue_s * work.kernels + once_s
    if row.macs > 0:
        host_s += device.product_enqueue_s
    if row.kind == _COPY:
        host_s += device.copy_enqueue_s
    mac_j, vector_j, cache_j, dram_j = _dynamic_j(work, device)
    dimmer = share**device.voltage_exponent if share < 1.0 else 1.0
    mac_j, vector_j = mac_j * dimmer, vector_j * dimmer
    return work.choice, Cost(
        kernels_s, host_s, max(kernels_s, host_s), compute_s, cache_s, work.memory_s, overhead_s,
        mac_j + vector_j + cache_j + dram_j, mac_j, vector_j, cache_j, dram_j, work.cache_bytes, work.dram_bytes,
        work.kernels, work.macs, work.workspace_bytes,
    )  # fmt: skip


@inner
def _prepare(device: Any, tables: Any, plans: Any) -> None:
    """What holds for all layers of a configuration. plans : (2, CLASSES, T, 2), written: products, experts."""
    _derive(device)
    fill_plan(device, tables.tiles, False, plans[0])
    fill_plan(device, tables.tiles, True, plans[1])


@inner
def _detail(row: Any, tables: Any, plans: Any, device: Any) -> Detail:
    """What lies behind the cost of a layer."""
    work = _best(row, tables, plans, device)
    share, rate = _clock_share(row, work, device), plan_of_class(device, work.units)[0]
    if work.choice < len(tables.tiles):
        a, b = tables.tiles[work.choice, 0], tables.tiles[work.choice, 1]
        return Detail(a, b, float(work.split), work.waves, rate, share)
    return Detail(0.0, 0.0, 1.0, work.waves, rate if row.macs > 0 else 0.0, share)


def _compiled(stamp: int) -> tuple[Any, Any, Any]:
    """The loops over all and over listed pairs, and the detail of one layer.

    `stamp` of their sources enters the key of numba's cache.
    """

    @entry
    def all_pairs(rows: Any, configs: Any, tables: Any, plans: Any, out: Any, choice: Any) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for c in range(configs.size):
            device = configs[c]
            _prepare(device, tables, plans)
            for i in range(rows.size):
                chosen, metrics = _cost(rows[i], tables, plans, device)
                choice[c, i] = chosen
                for metric, value in enumerate(metrics):
                    out[c, i, metric] = value

    @entry
    def listed_pairs(
        rows: Any, configs: Any, tables: Any, plans: Any, layer: Any, run_config: Any, run_start: Any,
        out: Any, choice: Any,
    ) -> None:  # fmt: skip
        if stamp == 0:
            return
        for r in range(run_config.size):
            device = configs[run_config[r]]
            _prepare(device, tables, plans)
            for q in range(run_start[r], run_start[r + 1]):
                chosen, metrics = _cost(rows[layer[q]], tables, plans, device)
                choice[q] = chosen
                for metric, value in enumerate(metrics):
                    out[q, metric] = value

    @entry
    def one_detail(rows: Any, configs: Any, tables: Any, plans: Any, out: Any) -> None:
        if stamp == 0:
            return
        _prepare(configs[0], tables, plans)
        for field, value in enumerate(_detail(rows[0], tables, plans, configs[0])):
            out[field] = value

    return all_pairs, listed_pairs, one_detail


_all_pairs, _listed_pairs, _one_detail = _compiled(source_stamp(__file__, SOURCE, ATTENTION_SOURCE))


def _room(tables: Any) -> Any:
    """Where the plans of products and of experts of one configuration stand."""
    return np.empty((2, CLASSES, len(tables.tiles), 2))


def cost(layers: Any, configs: Any, tables: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration.

    layers : Layers, (L,) columns. configs : GpuTable, (C,) columns. tables : of `backends`.
    out : (C, L, len(Cost)) float64, written. choice : (C, L) int16, written: a tile, or one of `OTHER_CHOICES` behind.
    """
    _all_pairs(records(layers), records(configs, _DERIVED), tables, _room(tables), out, choice)


def cost_at(layers: Any, configs: Any, layer_index: Any, config_index: Any, tables: Any, out: Any, choice: Any) -> None:
    """Listed pairs: layer_index, config_index : (Q,) int64; out : (Q, len(Cost)); choice : (Q,) int16."""
    pairs = listed(layers, configs, layer_index, config_index)
    rows, devices = records(pairs.layers), records(pairs.configs, _DERIVED)
    _listed_pairs(rows, devices, tables, _room(tables), pairs.layer, pairs.run_config, pairs.run_start, out, choice)


def detail(layers: Any, configs: Any, tables: Any) -> Detail:
    """What lies behind the cost of the first layer on the first configuration."""
    out = np.empty(len(Detail._fields))
    _one_detail(records(layers), records(configs, _DERIVED), tables, _room(tables), out)
    return Detail(*out.tolist())
