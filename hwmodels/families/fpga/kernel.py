"""Arithmetic of a tiled engine: cycles, port and DRAM traffic, latency and energy of one layer.

A layer is G groups on B images of M outputs and N inputs, R x C positions, kernels of K words [Zhang'15]; a product of
matrices is N inputs to M outputs at R positions. Tm x Tn multipliers work on one position a cycle::

    compute = G B ceil(M/Tm) ceil(N/Tn) pieces  sum over tiles (tr tc k + P)      tr, tc as they are at the borders

A kernel larger than the weight buffer runs in `pieces` of k words each. Loads of the next tile, the products of this
one and the store of the last one overlap (two halves of every buffer); all transfers share the DRAM.

Not modelled: Winograd and other fast algorithms, sparsity, bank conflicts, refresh. Spec constants enter through
`configs`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from hwmodels.families.kernel_parts import CONV, EMBEDDING, NORM, ceil_div, entry, inner, records, source_stamp

__all__ = ["CHOICES", "DEPTHWISE", "VECTOR", "Cost", "Detail", "all_pairs", "detail", "listed_pairs"]

# Codes of the Spec's choices; a test holds them to their definitions.
_OUTPUTS, _INPUTS, _WEIGHTS, _BEST = 0, 1, 2, 3
_COMPAT_RULES = 1
DEPTHWISE, _COMPAT, VECTOR = 3, 4, 5
CHOICES = ("outputs", "inputs", "weights", "depthwise", "compat", "vector")
"""What an id in `choice` stands for: what stays in the dense engine, the other engine, other rules, no multiplier."""


class Cost(NamedTuple):
    """One layer's metrics, in the order of the kernel's last axis; s, J, bytes, cycles and MACs per batch."""

    latency_s: float
    compute_s: float
    port_s: float
    dram_s: float
    vector_s: float
    energy_j: float
    mac_j: float
    logic_j: float
    dram_j: float
    static_j: float
    dram_bytes: float
    compute_cycles: float
    executed_macs: float


class Detail(NamedTuple):
    """What lies behind the cost of one layer on the multipliers.

    tile_* : as the layer uses them. *_trips : of one group and image; input_trips counts the pieces of a kernel.
    burst_bytes : contiguous bytes of an input tile. *_bytes : DRAM traffic.
    """

    tile_rows: float
    tile_cols: float
    output_trips: float
    input_trips: float
    tiles: float
    compute_cycles: float
    port_cycles: float
    burst_bytes: float
    input_dram_bytes: float
    weight_dram_bytes: float
    output_dram_bytes: float


class _Walk(NamedTuple):
    """A layer as an engine walks it: sizes, tile, and what a word of each kind costs."""

    repeats: int  # G B
    m: int
    n: int
    rows: int
    cols: int
    in_h: int
    in_w: int
    stride_h: int
    stride_w: int
    span_h: int  # of one piece of the kernel
    span_w: int
    piece: int  # kernel words of one piece
    pieces: int
    tm: int
    tn: int
    tr: int
    tc: int
    depthwise: bool
    input_port: int
    weight_port: int
    output_port: int
    input_byte: float  # DRAM bytes of a word; 0 where the tensor stays on chip
    weight_byte: float
    output_byte: float
    sum_byte: float
    word_byte: float  # of an activation wherever it lies
    vector_cycles: float


class _Run(NamedTuple):
    """What a walk takes: cycles with all overlaps, of the multipliers, of the busiest port; DRAM bytes and cycles."""

    cycles: float
    compute: int
    ports: float
    input_bytes: float
    weight_bytes: float
    output_bytes: float
    dram: float


@inner
def _class(total: int, tile: int, edge: int) -> tuple[int, int]:
    """(count, size) of the whole tiles, or of the one at the border; count 0 where there is none."""
    if edge == 0:
        return total // tile, tile
    rest = total % tile
    return (1 if rest > 0 else 0), rest


@inner
def _pieces(kernel: int, dilation: int, largest: int, extent: int) -> tuple[int, int, int]:
    """(pieces, words of a piece, lines that it spans) of one side of a kernel; single words where it spans too many."""
    pieces = ceil_div(kernel, largest)
    words = ceil_div(kernel, pieces)
    if (words - 1) * dilation + 1 > extent:
        pieces, words = kernel, 1
    return pieces, words, (words - 1) * dilation + 1


@inner
def _stays(elements: int, offchip: int, knobs: Any) -> bool:
    """Residency: a tensor between two layers that fits half of the feature buffer; both ends judge alike."""
    return offchip == 0 and elements * (knobs.activation_bits / 8.0) * 2.0 <= knobs.feature_buffer_bytes


@inner
def _walk(row: Any, knobs: Any) -> _Walk:
    """The layer on the engine that runs it."""
    repeats, m, n, rows, cols = row.groups * row.sequential_steps, row.n, row.k, row.m, 1
    kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w = 1, 1, 1, 1, 1, 1
    in_h, in_w = row.m, 1
    if row.kind == CONV:
        kernel_h, kernel_w, stride_h, stride_w = row.kernel_h, row.kernel_w, row.stride_h, row.stride_w
        dilation_h, dilation_w, in_h, in_w = row.dilation_h, row.dilation_w, row.in_h, row.in_w
        repeats, n, cols = row.groups * row.batch, row.k // (kernel_h * kernel_w), row.out_w
        rows = row.m // (row.batch * row.out_w)
    depthwise = knobs.depthwise_lanes > 0 and row.kind == CONV and n == 1 and row.groups > 1
    tm, tn, tr, tc = knobs.tile_m, knobs.tile_n, knobs.tile_rows, knobs.tile_cols
    tall, wide = knobs.dense_rows, knobs.dense_cols
    input_port, weight_port, output_port = knobs.input_port, knobs.weight_port, knobs.output_port
    if depthwise:
        repeats, m = repeats // row.groups, m * row.groups
        tm, tn, tr, tc = knobs.depthwise_lanes, 1, knobs.depthwise_rows, knobs.depthwise_cols
        tall, wide = knobs.channel_rows, knobs.channel_cols
        input_port, weight_port = knobs.depthwise_input_port, knobs.depthwise_weight_port
        output_port = knobs.depthwise_output_port
    if row.kind != CONV:  # positions of a product of matrices fill a tile in one line
        tr, tc, tall, wide = tr * tc, 1, tr * tc, 1
    pieces_h, words_h, span_h = _pieces(kernel_h, dilation_h, knobs.largest_kernel, tall)
    pieces_w, words_w, span_w = _pieces(kernel_w, dilation_w, knobs.largest_kernel, wide)
    word_byte = knobs.activation_bits / 8.0
    dynamic = row.dynamic_operand == 1
    return _Walk(
        repeats, m, n, rows, cols, in_h, in_w, stride_h, stride_w, span_h, span_w, words_h * words_w,
        pieces_h * pieces_w, tm, tn,
        max(min(tr, rows, (tall - span_h) // stride_h + 1), 1), max(min(tc, cols, (wide - span_w) // stride_w + 1), 1),
        depthwise, input_port, weight_port, output_port,
        0.0 if _stays(row.input_elements, row.input_offchip, knobs) else word_byte,
        word_byte if dynamic else knobs.weight_bits / 8.0,
        0.0 if _stays(row.output_elements, row.output_offchip, knobs) else word_byte,
        knobs.accumulator_bits / 8.0, word_byte, row.vector_ops / knobs.vector_lanes,
    )  # fmt: skip


@inner
def _input_words(w: _Walk, tm: int, tn: int, tr: int, tc: int) -> int:
    """Words of an input tile, the part outside the input left out; a depthwise output has an input of its own."""
    tall = min((tr - 1) * w.stride_h + w.span_h, w.in_h)
    wide = min((tc - 1) * w.stride_w + w.span_w, w.in_w)
    return (tm if w.depthwise else tn) * tall * wide


@inner
def _burst(w: _Walk, tn: int, tr: int, tc: int, knobs: Any) -> float:
    """Contiguous bytes of an input tile: a line, all lines where it is as wide as the input, all channels together."""
    tall = min((tr - 1) * w.stride_h + w.span_h, w.in_h)
    wide = min((tc - 1) * w.stride_w + w.span_w, w.in_w)
    run = wide * tall if wide == w.in_w else wide
    return run * (tn if knobs.channels_together == 1 else 1) * w.word_byte


@inner
def _dram(moved: float, burst: float, knobs: Any) -> float:
    """Cycles of DRAM bytes: bandwidth = peak L/(L + gap)."""
    return moved * (1.0 + knobs.dram_gap_bytes / burst) * knobs.engine_clock_hz / knobs.dram_bytes_per_s


@inner
def _spilled(w: _Walk) -> float:
    """Bytes of output words over one trip along the inputs, on average, where sums leave the chip between trips.

    A sum is written and read at its own width but for the last trip, which writes the output.
    """
    trips = ceil_div(w.n, w.tn) * w.pieces
    return ((trips - 1) * 2.0 * w.sum_byte + w.word_byte) / trips


class _Step(NamedTuple):
    """One tile of one layer: cycles of the multipliers, cycles on each port and of the DRAM, DRAM bytes."""

    products: int
    in_port: float
    w_port: float
    out_port: float
    in_dram: float
    w_dram: float
    out_dram: float
    in_bytes: float
    w_bytes: float
    out_bytes: float


@inner
def _step(order: int, w: _Walk, m: int, n: int, r: int, c: int, spill: float, knobs: Any) -> _Step:
    """A tile of m outputs, n inputs and r x c positions; `spill` : bytes that an output word moves on average.

    What other boards hold comes over the link, which loads of one step share.
    """
    words_in, words_w, words_out = _input_words(w, m, n, r, c), m * n * w.piece, m * r * c
    in_own, w_own = w.input_byte * knobs.input_share, w.weight_byte * knobs.weight_share
    # Sums that leave go through the DRAM whatever becomes of the output.
    out_byte = spill if w.output_byte > 0 or spill > w.word_byte else 0.0
    burst = _burst(w, m if w.depthwise else n, r, c, knobs)
    in_link = words_in * (w.input_byte - in_own) * knobs.engine_clock_hz / knobs.board_link_bytes_per_s
    w_link = words_w * (w.weight_byte - w_own) * knobs.engine_clock_hz / knobs.board_link_bytes_per_s
    return _Step(
        r * c * w.piece + knobs.pipeline_depth,
        max(float(ceil_div(words_in, w.input_port)), in_link),
        max(float(ceil_div(words_w, w.weight_port)), w_link + in_link if order == _OUTPUTS else w_link),
        ceil_div(words_out, w.output_port) * (spill / w.word_byte),
        _dram(words_in * in_own, burst, knobs),
        _dram(words_w * w_own, words_w * max(w.weight_byte, w.word_byte), knobs),
        _dram(words_out * out_byte, words_out * w.word_byte, knobs),
        words_in * in_own, words_w * w_own, words_out * out_byte,
    )  # fmt: skip


@inner
def _place(order: int, outer: int, within: int, w: _Walk) -> tuple[int, int, int, int, int, int]:
    """(how often the outer class comes, how often the inner one in it, m, n, r, c); 0 where there is no such class.

    Each of M, N, rows and columns has whole tiles and at most one at the border; `outer` and `within` are the bits of
    which is meant, outermost loops first.
    """
    first, second, third = outer & 1, (outer >> 1) & 1, outer >> 2
    if order == _WEIGHTS:
        m_count, m = _class(w.m, w.tm, first)
        n_count, n = _class(w.n, w.tn, second)
        r_count, r = _class(w.rows, w.tr, within & 1)
        c_count, c = _class(w.cols, w.tc, within >> 1)
        return m_count * n_count * w.pieces, r_count * c_count, m, n, r, c
    r_count, r = _class(w.rows, w.tr, first)
    c_count, c = _class(w.cols, w.tc, second)
    m_count, m = _class(w.m, w.tm, third if order == _OUTPUTS else within)
    n_count, n = _class(w.n, w.tn, within if order == _OUTPUTS else third)
    if order == _OUTPUTS:
        return r_count * c_count * m_count, n_count * w.pieces, m, n, r, c
    return r_count * c_count * n_count * w.pieces, m_count, m, n, r, c


@inner
def _run(order: int, w: _Walk, knobs: Any) -> _Run:
    """All trips of one layer under a loop order; outer classes of equal tiles times what the inner ones take.

    outputs : for tiles, M:  max(sum over N max(compute, loads), store, DRAM)          sums stay
    inputs  : for tiles, N:  max(sum over M max(compute, weights, sums), input, DRAM)  sums leave after each N
    weights : for M, N:      max(sum over tiles max(compute, input, sums), weights, DRAM)
    """
    spill = _spilled(w) if order != _OUTPUTS else w.word_byte
    cycles, ports, dram, compute = 0.0, 0.0, 0.0, 0
    in_bytes, w_bytes, out_bytes = 0.0, 0.0, 0.0
    for outer in range(4 if order == _WEIGHTS else 8):
        work, moved, times = 0.0, 0.0, 0
        kept_port, kept_dram, kept_bytes = 0.0, 0.0, 0.0
        for within in range(4 if order == _WEIGHTS else 2):
            often, count, m, n, r, c = _place(order, outer, within, w)
            if often == 0 or count == 0:
                continue
            times = often
            step = _step(order, w, m, n, r, c, spill, knobs)
            compute += often * count * step.products
            all_steps = float(often * count)
            if order == _OUTPUTS:
                port, memory = max(step.in_port, step.w_port), step.in_dram + step.w_dram
                kept_port, kept_dram, kept_bytes = step.out_port, step.out_dram, step.out_bytes
                in_bytes, w_bytes = in_bytes + all_steps * step.in_bytes, w_bytes + all_steps * step.w_bytes
            elif order == _INPUTS:
                port, memory = max(step.w_port, step.out_port), step.w_dram + step.out_dram
                kept_port, kept_dram, kept_bytes = step.in_port, step.in_dram, step.in_bytes
                w_bytes, out_bytes = w_bytes + all_steps * step.w_bytes, out_bytes + all_steps * step.out_bytes
            else:
                port, memory = max(step.in_port, step.out_port), step.in_dram + step.out_dram
                kept_port, kept_dram, kept_bytes = step.w_port, step.w_dram, step.w_bytes
                in_bytes, out_bytes = in_bytes + all_steps * step.in_bytes, out_bytes + all_steps * step.out_bytes
            work += count * max(float(step.products), port, memory)
            moved += count * memory
            ports += often * count * port
        cycles += times * max(work, kept_port, moved + kept_dram)
        dram += times * (moved + kept_dram)
        if order == _OUTPUTS:
            out_bytes += times * kept_bytes
        elif order == _INPUTS:
            in_bytes += times * kept_bytes
        else:
            w_bytes += times * kept_bytes
    repeats = float(w.repeats)
    return _Run(
        repeats * cycles + _ends(w, knobs), w.repeats * compute, repeats * ports, repeats * in_bytes,
        repeats * w_bytes, repeats * out_bytes, repeats * dram,
    )  # fmt: skip


@inner
def _ends(w: _Walk, knobs: Any) -> float:
    """Cycles before the first product and after the last: the loads of one tile, the store of one tile."""
    first = _step(_OUTPUTS, w, min(w.tm, w.m), min(w.tn, w.n), w.tr, w.tc, w.word_byte, knobs)
    return max(first.in_port, first.w_port, first.in_dram + first.w_dram) + max(first.out_port, first.out_dram)


@inner
def _compat_cycles(row: Any, knobs: Any) -> float:
    """Cycles of a convolution by the rules of [HotNAS]'s tables, its slips included: strides divide output extents.

    tI = Tn min(Tr, R + 2p) min(Tc, C + 2p) / Ip     tW = Tm Tn K² / Wp     tO = Tm ceil(Tr'/S) ceil(Tc'/S) / Op
    tC = K² ceil(min(Tr, R + 2p)/S) ceil(min(Tc, C + 2p)/S)
    cycles = B ceil(R/Tr) ceil(C/Tc) ceil(M/Tm) max(ceil(N/Tn) max(tI, tW, tC), tO)
    Of a depthwise layer Tn = Tm, so that channels count twice, tW = Tm K² / Wp, and the padding is stored, too.
    """
    stride, pad, kernel = row.stride_h, row.pad_h, row.kernel_h * row.kernel_w
    depthwise = row.groups > 1 and row.groups == row.in_channels and knobs.depthwise_lanes > 0
    tm, tn, tr, tc = knobs.tile_m, knobs.tile_n, knobs.tile_rows, knobs.tile_cols
    in_port, w_port, out_port = knobs.input_port, knobs.weight_port, knobs.output_port
    if depthwise:
        tm, tn, tr, tc = knobs.depthwise_lanes, knobs.depthwise_lanes, knobs.depthwise_rows, knobs.depthwise_cols
        in_port, w_port = knobs.depthwise_input_port, knobs.depthwise_weight_port
        out_port = knobs.depthwise_output_port
    tall, wide = min(tr, row.out_h + 2 * pad), min(tc, row.out_w + 2 * pad)
    load_in = tn * tall * wide / in_port
    load_w = tm * (1 if depthwise else tn) * kernel / w_port
    written_h, written_w = (tall, wide) if depthwise else (min(tr, row.out_h), min(tc, row.out_w))
    store = tm * ceil_div(written_h, stride) * ceil_div(written_w, stride) / out_port
    products = float(kernel * ceil_div(tall, stride) * ceil_div(wide, stride))
    one = max(ceil_div(row.in_channels, tn) * max(load_in, load_w, products), store)
    return row.batch * ceil_div(row.out_h, tr) * ceil_div(row.out_w, tc) * ceil_div(row.out_channels, tm) * one


@inner
def _costed(row: Any, knobs: Any, cycles: float, run: _Run, vector_cycles: float) -> Cost:
    """energy = macs mac + cycles logic + bytes dram + idle latency."""
    clock = knobs.engine_clock_hz
    latency_s = cycles / clock
    dram_bytes = run.input_bytes + run.weight_bytes + run.output_bytes
    mac_j, logic_j = knobs.mac_j * row.macs, knobs.cycle_j * cycles
    dram_j, static_j = knobs.dram_j_per_byte * dram_bytes, knobs.idle_w * latency_s
    return Cost(
        latency_s, run.compute / clock, run.ports / clock, run.dram / clock, vector_cycles / clock,
        mac_j + logic_j + dram_j + static_j, mac_j, logic_j, dram_j, static_j, dram_bytes, float(run.compute),
        float(row.macs),
    )  # fmt: skip


@inner
def _vector_layer(row: Any, knobs: Any) -> Cost:
    """A layer without MACs: lanes over DRAM; table rows of an embedding and the pairs of a normalisation are read."""
    word_byte = knobs.activation_bits / 8.0
    words_in = row.output_elements if row.kind == EMBEDDING else row.input_elements
    stored = (row.parameters if row.kind == NORM else row.weight_elements) if row.kind != EMBEDDING else 0
    offchip = 1 if row.kind == EMBEDDING else row.input_offchip
    input_bytes = 0.0 if _stays(words_in, offchip, knobs) else words_in * word_byte
    output_bytes = 0.0 if _stays(row.output_elements, row.output_offchip, knobs) else row.output_elements * word_byte
    weight_bytes = stored * knobs.weight_bits / 8.0
    vector_cycles = row.vector_ops / knobs.vector_lanes
    port_cycles = max(words_in / knobs.input_port, row.output_elements / knobs.output_port)
    dram = (input_bytes + output_bytes + weight_bytes) * knobs.engine_clock_hz / knobs.dram_bytes_per_s
    run = _Run(0.0, 0, port_cycles, input_bytes, weight_bytes, output_bytes, dram)
    return _costed(row, knobs, max(vector_cycles, port_cycles, dram), run, vector_cycles)


@inner
def _layer(row: Any, knobs: Any) -> tuple[int, Cost]:
    """(choice, cost) of one layer; `best` takes the order of the fewest cycles, then the first.

    Elementary operations of a layer with MACs run behind its outputs, overlapped; a recurrent step waits for its own.
    """
    if row.macs == 0:
        return VECTOR, _vector_layer(row, knobs)
    if knobs.rules == _COMPAT_RULES and row.kind == CONV:
        cycles = _compat_cycles(row, knobs)
        return _COMPAT, _costed(row, knobs, cycles, _Run(cycles, int(cycles), 0.0, 0.0, 0.0, 0.0, 0.0), 0.0)
    w = _walk(row, knobs)
    chosen = _OUTPUTS if w.depthwise or knobs.loop_order == _BEST else knobs.loop_order
    run = _run(chosen, w, knobs)
    if knobs.loop_order == _BEST and not w.depthwise:
        for order in (_INPUTS, _WEIGHTS):
            other = _run(order, w, knobs)
            if other.cycles < run.cycles:
                chosen, run = order, other
    cycles = run.cycles + w.vector_cycles if row.sequential_steps > 1 else max(run.cycles, w.vector_cycles)
    return (DEPTHWISE if w.depthwise else chosen), _costed(row, knobs, cycles, run, w.vector_cycles)


@inner
def _detail(row: Any, knobs: Any, order: int) -> Detail:
    """What lies behind the cost of a layer on the multipliers under a loop order."""
    w = _walk(row, knobs)
    run = _run(order, w, knobs)
    return Detail(
        float(w.tr), float(w.tc), float(ceil_div(w.m, w.tm)), float(ceil_div(w.n, w.tn) * w.pieces),
        float(ceil_div(w.rows, w.tr) * ceil_div(w.cols, w.tc)), float(run.compute), run.ports,
        _burst(w, min(w.tm, w.m) if w.depthwise else min(w.tn, w.n), w.tr, w.tc, knobs), run.input_bytes,
        run.weight_bytes, run.output_bytes,
    )  # fmt: skip


def _compiled(stamp: int) -> tuple[Any, Any, Any]:
    """The loops over all pairs and listed pairs, and the detail of one layer.

    `stamp` of their sources enters the key of numba's cache.
    """

    @entry
    def every_pair(rows: Any, configs: Any, out: Any, choice: Any) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for c in range(configs.size):
            for i in range(rows.size):
                chosen, metrics = _layer(rows[i], configs[c])
                choice[c, i] = chosen
                for metric, value in enumerate(metrics):
                    out[c, i, metric] = value

    @entry
    def some_pairs(rows: Any, configs: Any, layer: Any, run_config: Any, run_start: Any, out: Any, choice: Any) -> None:
        if stamp == 0:
            return
        for r in range(run_config.size):
            for q in range(run_start[r], run_start[r + 1]):
                chosen, metrics = _layer(rows[layer[q]], configs[run_config[r]])
                choice[q] = chosen
                for metric, value in enumerate(metrics):
                    out[q, metric] = value

    @entry
    def one_detail(rows: Any, configs: Any, order: Any, out: Any) -> None:
        if stamp == 0:
            return
        for field, value in enumerate(_detail(rows[0], configs[0], order)):
            out[field] = value

    return every_pair, some_pairs, one_detail


_every_pair, _some_pairs, _one_detail = _compiled(source_stamp(__file__))


def all_pairs(layers: Any, engines: Any, out: Any, choice: Any) -> None:
    """Every layer on every engine.

    layers : Layers, (L,) columns. engines : EngineTable, (C,) columns.
    out : (C, L, len(Cost)) float64, written. choice : (C, L) int16, written: places in `CHOICES`.
    """
    _every_pair(records(layers), records(engines), out, choice)


def listed_pairs(pairs: Any, engines: Any, out: Any, choice: Any) -> None:
    """Pairs of a `Listed`, whose designs are `engines`; out : (Q, len(Cost)); choice : (Q,) int16."""
    _some_pairs(records(pairs.layers), records(engines), pairs.layer, pairs.run_config, pairs.run_start, out, choice)


def detail(layers: Any, engines: Any, order: int) -> Detail:
    """What lies behind the cost of the first layer, one with MACs, on the first engine under a loop order."""
    out = np.empty(len(Detail._fields))
    _one_detail(records(layers), records(engines), order, out)
    return Detail(*out.tolist())
