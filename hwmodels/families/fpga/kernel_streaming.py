"""Arithmetic of a streaming pipeline: the stage that a layer becomes, and how stages fill and follow each other.

A stage multiplies PE outputs by SIMD inputs a cycle [FINN-R]; both divide their extents::

    matrix     cycles = G (MH/PE) (MW/SIMD) pixels              MW = Kh Kw N, MH = M
    window     cycles = W K N/SIMD + R max(C K² N/SIMD, S W N/SIMD)      in front of kernels larger than one pixel
    lanes      cycles = ceil(elements / L)                      pooling by its inputs, sums and copies by their outputs
    reuse      cycles = RF pixels, ceil(MW MH / RF) multipliers [hls4ml], RF the largest divisor of MW MH up to the knob

Of all foldings that reach the target the one with the fewest multipliers is taken, then that with the most inputs.
An item fills the pipeline row by row; a stage starts when its window has the rows that it needs::

    start = max over inputs (start_p + need (end_p - start_p))       need = (K - pad) / rows, all of them if dense
    end   = max(start + cycles, max over inputs end_p + cycles / rows) + depth      depth = ceil(log2 SIMD) + 4

Where branches meet, what comes early waits in a FIFO as long as the late one lags.

Not modelled: stalls by FIFOs that are too short, converters of stream widths, bursts within a row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.kernel_parts import CONV, NORM, POOL, ceil_div, entry, inner, records, source_stamp

__all__ = ["Incoming", "Stage", "Walked", "stages", "walk"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_LINEAR, _ACTIVATION, _ELEMENTWISE, _RESAMPLE, _COPY, _CONV_TRANSPOSE = 1, 6, 7, 10, 11, 12
"""Codes of Kind; a test holds them to their definition."""

_LUTRAM_DEPTH = 64  # as `memory.LUTRAM_DEPTH`; a test holds them together
_STAGE_LUTS = 300.0  # [FINN-R] control of a stage, recalled
_LUT_FACTOR = 1.1  # [FINN-R] placed over counted LUTs, recalled
_STAGE_DEPTH = 4.0  # ASSUMED, 3 to 6 [hls4ml]: registers of a stage beside its tree of sums
_WINDOW_LUTS = 200.0  # ASSUMED, 100 to 600: counters of a window
_THRESHOLD_BITS = 4  # [FINN] wider activations are scaled by a multiplier instead of compared with thresholds
_FIFO_LUTS = 30.0  # ASSUMED, 20 to 100: a short FIFO behind every stage


class Stage(NamedTuple):
    """What one layer becomes on one design; cycles an item, resources, bytes and counts a batch where said so."""

    cycles: float
    rows: float  # of its output
    need: float  # share of each input that it waits for
    depth: float  # cycles from an input to the output that it decides
    row_bits: float  # of one output row, all channels
    luts: float
    dsps: float
    bram18s: float
    weight_bytes: float  # read for every item where weights are streamed
    macs: float  # an item
    multipliers: float  # lanes that work side by side
    outputs: float  # PE
    inputs: float  # SIMD
    unsupported: float


class Walked(NamedTuple):
    """What one network is on one design; cycles an item but for `cycles`, resources of its largest part."""

    cycles: float  # of a batch, all parts, without configurations
    interval_cycles: float  # of the slowest stage, or of all parts
    parts: float
    luts: float
    dsps: float
    bram18s: float
    fifo_bram18s: float
    weight_bytes: float  # streamed, a batch
    macs: float  # a batch
    unsupported: float  # stages of operators that no stream has


class Incoming(NamedTuple):
    """The inputs of each layer of N networks: CSR over the places of all sequences. source : places, -1 outside."""

    source: I64
    start: I64


@inner
def _bram18s(width: int, depth: int) -> int:
    """As `memory.bram18s_of`; a test holds them together."""
    least = ceil_div(width, 1) * ceil_div(depth, 16384)
    for w, d in ((2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512)):
        least = min(least, ceil_div(width, w) * ceil_div(depth, d))
    return least


@inner
def _lutram(width: int, depth: int) -> int:
    """As `memory.lutram_luts`."""
    return 4 * ceil_div(width, 6) if depth <= 32 else 4 * ceil_div(width, 3) * ceil_div(depth, _LUTRAM_DEPTH)


@inner
def _divisor_from(number: int, least: int) -> int:
    """The smallest divisor that is at least `least`; the number itself where none is."""
    found = max(least, 1)
    while found < number and number % found != 0:
        found += 1
    return min(found, number)


@inner
def _divisor_to(number: int, most: int) -> int:
    """The largest divisor that is at most `most`."""
    found = max(min(most, number), 1)
    while number % found != 0:
        found -= 1
    return found


@inner
def _folding(outputs: int, inputs: int, steps: int, least: int, target: int) -> tuple[int, int]:
    """(PE, SIMD), divisors of `outputs` and `inputs`, SIMD at least `least`.

    The fewest lanes with steps outputs inputs / lanes <= target; all of them where none reach it.
    """
    chosen_pe, chosen_simd, fewest = outputs, inputs, outputs * inputs
    for simd in range(least, inputs + 1):
        if inputs % simd != 0:
            continue
        pe = _divisor_from(outputs, ceil_div(steps * outputs * (inputs // simd), target))
        reaches = steps * (outputs // pe) * (inputs // simd) <= target
        if reaches and pe * simd <= fewest:
            chosen_pe, chosen_simd, fewest = pe, simd, pe * simd
    return chosen_pe, chosen_simd


@inner
def _products(lanes: int, pe: int, simd: int, knobs: Any) -> tuple[float, float]:
    """(LUTs, blocks) of the products of PE x SIMD lanes and their sums [FINN-R]."""
    wide, narrow = max(knobs.weight_bits, knobs.activation_bits), min(knobs.weight_bits, knobs.activation_bits)
    bits = knobs.weight_bits + knobs.activation_bits
    tree = lanes * 2 * bits - pe * bits
    if narrow < knobs.dsp_from_bits:
        return float(lanes * (2 * ceil_div(bits, 6) - 1) * bits + tree), 0.0
    shared = pe * ceil_div(simd, 3) if knobs.lanes_per_dsp == 3 else ceil_div(pe, knobs.lanes_per_dsp) * simd
    port = 25 if knobs.dsp_type == 0 else 27
    return float(tree) * knobs.tree_in_luts, float(shared * ceil_div(wide, port) * ceil_div(narrow, 18))


@inner
def _window(row: Any, lanes: int, knobs: Any) -> tuple[float, float, float]:
    """(cycles, BRAM18, LUTs) of the generator of windows: Kh rows of the input, `lanes` channels at once."""
    words = ceil_div(row.in_channels, lanes)
    wide = row.in_w + 2 * row.pad_w
    kernel = row.kernel_h * row.kernel_w
    first = float(wide * row.kernel_h * words)
    cycles = first + row.out_h * max(float(row.out_w * kernel * words), float(row.stride_h * wide * words))
    depth, width = row.kernel_h * wide * words, lanes * knobs.activation_bits
    if depth <= _LUTRAM_DEPTH:
        return cycles, 0.0, _WINDOW_LUTS + _lutram(width, depth)
    return cycles, float(_bram18s(width, depth)), _WINDOW_LUTS


@inner
def _least_inputs(row: Any, channels: int, knobs: Any) -> int:
    """The fewest inputs at once with which the window reaches the target; all of them where none do."""
    least = 1
    while least < channels and (channels % least != 0 or _window(row, least, knobs)[0] > knobs.target_cycles):
        least += 1
    return least


@inner
def _matrix(row: Any, knobs: Any) -> Stage:
    """A layer with stored weights."""
    conv = row.kind == CONV
    kernel = row.kernel_h * row.kernel_w if conv else 1
    pixels = max(row.m // row.batch, 1)
    channels, depthwise = row.k // kernel, conv and row.groups > 1 and row.k == kernel and row.n == 1
    outputs, inputs, steps = row.n, channels, row.groups * pixels * kernel
    if depthwise:  # channels side by side, the kernel folded
        outputs, inputs, steps = row.groups, kernel, pixels
    if knobs.reuse_factor > 0:
        size = outputs * inputs * (steps // pixels)
        reuse = _divisor_to(size, knobs.reuse_factor)
        lanes, cycles = size // reuse, float(reuse * pixels)
        pe = min(lanes, outputs)
        simd = ceil_div(lanes, pe)
    else:
        least = _least_inputs(row, inputs, knobs) if conv and kernel > 1 and not depthwise else 1
        pe, simd = _folding(outputs, inputs, steps, least, knobs.target_cycles)
        lanes, cycles = pe * simd, float(steps * (outputs // pe) * (inputs // simd))
    sum_bits = knobs.weight_bits + knobs.activation_bits + int(np.ceil(np.log2(max(row.k, 2))))
    luts, dsps = _products(lanes, pe, simd, knobs)
    luts += pe * sum_bits
    if knobs.reuse_factor > 0:  # fixed point is cut to its width
        luts += pe * knobs.activation_bits
    elif knobs.activation_bits <= _THRESHOLD_BITS:  # compared with thresholds, which lie in LUTs
        luts += pe * (2.0**knobs.activation_bits - 1.0) * sum_bits
    else:
        dsps += pe
        luts += pe * sum_bits
    stored = int(row.weight_elements)
    # The weights of all lanes lie side by side in one memory [FINN].
    depth, width = ceil_div(stored, lanes), knobs.weight_bits * lanes
    bram, weight_bytes = 0.0, stored * knobs.weight_bits / 8.0
    if knobs.weights == 1:
        luts += 2.0 * width
    elif depth <= _LUTRAM_DEPTH:
        luts += _lutram(width, depth)
        weight_bytes = 0.0
    else:
        bram += _bram18s(width, depth)
        weight_bytes = 0.0
    if conv and kernel > 1:
        window = _window(row, max(simd if not depthwise else pe, 1), knobs)
        cycles, bram, luts = max(cycles, window[0]), bram + window[1], luts + window[2]
    rows = float(row.out_h if conv else 1)
    need = min((row.dilation_h * (row.kernel_h - 1) + 1 - row.pad_h) / row.in_h, 1.0) if conv else 1.0
    if row.kind == _LINEAR and row.in_h > 1:  # one token after the other
        rows, need = float(row.in_h), 1.0 / row.in_h
    return Stage(
        cycles, rows, max(need, 0.0), np.ceil(np.log2(max(simd, 2))) + _STAGE_DEPTH,
        row.output_elements / (row.batch * rows) * knobs.activation_bits,
        _STAGE_LUTS + _LUT_FACTOR * luts + _FIFO_LUTS, dsps, bram, weight_bytes, row.macs / row.batch, float(lanes),
        float(pe), float(simd), 0.0,
    )  # fmt: skip


@inner
def _lanes(row: Any, knobs: Any) -> Stage:
    """A layer without stored weights: enough lanes for the target."""
    pooled = row.kind == POOL
    elements = max((row.input_elements if pooled else row.output_elements) // row.batch, 1)
    lanes = min(ceil_div(elements, knobs.target_cycles), elements)
    rows = max(row.out_h, 1)
    need = min((row.kernel_h - row.pad_h) / row.in_h, 1.0) if pooled else 1.0 / rows
    has_stream = row.kind in (POOL, _ACTIVATION, _ELEMENTWISE, _RESAMPLE, _COPY) or (row.kind == NORM and row.in_w > 1)
    has_stream = has_stream and row.macs == 0
    luts = 0.0 if row.kind == _COPY else 2.0 * lanes * knobs.activation_bits
    bram = 0.0
    if pooled and row.kernel_h > 1 and row.kernel_h < row.in_h:
        bits = (row.kernel_h - 1) * row.in_w * row.in_channels * knobs.activation_bits
        width = lanes * knobs.activation_bits
        depth = ceil_div(bits, width)
        bram += 0.0 if depth <= _LUTRAM_DEPTH else _bram18s(width, depth)
        luts += _lutram(width, depth) if depth <= _LUTRAM_DEPTH else 0.0
    return Stage(
        float(ceil_div(elements, lanes)), float(rows), max(need, 0.0), 1.0,
        row.output_elements / (row.batch * rows) * knobs.activation_bits, _FIFO_LUTS + _LUT_FACTOR * luts, 0.0, bram,
        0.0, row.macs / row.batch, float(lanes), float(lanes), 1.0, 0.0 if has_stream else 1.0,
    )  # fmt: skip


@inner
def _stage(row: Any, knobs: Any) -> Stage:
    """The stage of one layer."""
    stored = row.kind in (CONV, _LINEAR, _CONV_TRANSPOSE) and row.dynamic_operand == 0 and row.sequential_steps == 1
    return _matrix(row, knobs) if stored and row.macs > 0 else _lanes(row, knobs)


@inner
def _fits(luts: float, dsps: float, bram: float, limits: Any) -> bool:
    """Whether a part of the pipeline leaves timing to close; LUTs stand for their flip-flops."""
    fits: bool = luts <= limits[0] and dsps <= limits[1] and bram <= limits[2]
    return fits


@inner
def _walk(
    sequence: I64, first: int, costs: F64, incoming: Incoming, batch: float, limits: F64, knobs: Any, scratch: F64
) -> Walked:
    """One network through its stages; costs (L, len(Stage)), scratch (places, 3): start, end and part of each."""
    parts, base, slowest, last = 1, 0.0, 0.0, 0.0
    luts, dsps, bram, fifos = 0.0, 0.0, 0.0, 0.0
    most_luts, most_dsps, most_bram, all_fifos = 0.0, 0.0, 0.0, 0.0
    weight_bytes, macs, unsupported, serial = 0.0, 0.0, 0.0, 0.0
    for place in range(sequence.size):
        stage = costs[sequence[place]]
        cycles, rows, need, depth = stage[0], stage[1], stage[2], stage[3]
        grown = _fits(luts + stage[5], dsps + stage[6], bram + fifos + stage[7], limits)
        if knobs.partitioning == 1 and place > 0 and not grown:
            serial += last - base + (batch - 1.0) * slowest
            most_luts, most_dsps, most_bram = max(most_luts, luts), max(most_dsps, dsps), max(most_bram, bram + fifos)
            all_fifos += fifos
            parts, base, slowest = parts + 1, last, 0.0
            luts, dsps, bram, fifos = 0.0, 0.0, 0.0, 0.0
        start, ready = base, base
        for edge in range(incoming.start[first + place], incoming.start[first + place + 1]):
            source = incoming.source[edge]
            if source < 0 or scratch[source, 2] < parts:
                continue
            begun, ended = scratch[source, 0], scratch[source, 1]
            start = max(start, begun + need * (ended - begun))
            ready = max(ready, ended)
        for edge in range(incoming.start[first + place], incoming.start[first + place + 1]):
            source = incoming.source[edge]
            if source < 0 or scratch[source, 2] < parts:
                continue
            begun, ended = scratch[source, 0], scratch[source, 1]
            due = begun + need * (ended - begun)
            if start > due and ended > begun:
                producer = costs[sequence[source]]
                waiting = min((start - due) / (ended - begun), 1.0) * producer[1] * producer[4]
                width = max(int(producer[4] * producer[1] / max(producer[0], 1.0)), 1)
                words = int(np.ceil(waiting / width))
                if words > _LUTRAM_DEPTH:
                    fifos += _bram18s(width, words)
                elif words > 0:
                    luts += _lutram(width, words)
        end = max(start + cycles, ready + cycles / rows) + depth
        scratch[place, 0], scratch[place, 1], scratch[place, 2] = start, end, parts
        last, slowest = max(last, end), max(slowest, cycles)
        luts, dsps, bram = luts + stage[5], dsps + stage[6], bram + stage[7]
        weight_bytes, macs, unsupported = weight_bytes + stage[8], macs + stage[9], unsupported + stage[13]
    serial += last - base + (batch - 1.0) * slowest if sequence.size > 0 else 0.0
    return Walked(
        serial, slowest * batch if parts == 1 else serial, float(parts), max(most_luts, luts), max(most_dsps, dsps),
        max(most_bram, bram + fifos), all_fifos + fifos, weight_bytes * batch, macs * batch, unsupported,
    )  # fmt: skip


def _compiled(stamp: int) -> tuple[Any, Any]:
    """The loops over layers and over pairs; `stamp` of their sources enters the key of numba's cache."""

    @entry
    def every_stage(rows: Any, configs: Any, out: F64) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for c in range(configs.size):
            for i in range(rows.size):
                for field, value in enumerate(_stage(rows[i], configs[c])):
                    out[c, i, field] = value

    @entry
    def every_walk(
        costs: F64, sequence: I64, starts: I64, incoming: Incoming, batch: F64, limits: F64, configs: Any, network: I64,
        config: I64, scratch: F64, out: F64,
    ) -> None:  # fmt: skip
        if stamp == 0:
            return
        for p in range(network.size):
            first, stop = starts[network[p]], starts[network[p] + 1]
            found = _walk(
                sequence[first:stop], first, costs[config[p]], incoming, batch[network[p]], limits[config[p]],
                configs[config[p]], scratch,
            )  # fmt: skip
            for field, value in enumerate(found):
                out[p, field] = value

    return every_stage, every_walk


_every_stage, _every_walk = _compiled(source_stamp(__file__))


def stages(layers: Any, pipelines: Any) -> F64:
    """The stage of every layer on every design, (C, L, len(Stage))."""
    out = np.zeros((pipelines[0].size, layers[0].size, len(Stage._fields)))
    _every_stage(records(layers), records(pipelines), out)
    return out


def walk(
    costs: F64, sequence: I64, starts: I64, incoming: Incoming, *, batch: F64, limits: F64, pipelines: Any,
    network: I64, config: I64,
) -> F64:  # fmt: skip
    """Pairs through their stages, (P, len(Walked)).

    costs : (C, L, len(Stage)). sequence, starts : of N networks. batch : (N,). limits : (C, 3), the LUTs, blocks and
    BRAM18 that a part may take. network, config : (P,).
    """
    longest = int(np.diff(starts).max()) if starts.size > 1 else 0
    out = np.zeros((network.size, len(Walked._fields)))
    _every_walk(
        costs, sequence, starts, incoming, batch, limits, records(pipelines), network, config,
        np.zeros((max(longest, 1), 3)), out,
    )  # fmt: skip
    return out
