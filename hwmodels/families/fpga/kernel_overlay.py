"""Arithmetic of an overlay: cycles, DRAM traffic, time and energy of one layer on one core, or on its host.

An overlay multiplies PP pixels of a row by ICP inputs and OCP outputs a cycle [PG338]::

    dense      cycles = G B R ceil(C/PP) ceil(N/ICP) ceil(M/OCP) Kh Kw'      Kw' = ceil(Kw / min(ICP // N, Kw)), N < ICP
    depthwise  cycles = B R ceil(C/DP) ceil(M/OCP) Kh Kw
    others     cycles = outputs x taps / (PP OCP)                            pooling, sums, resampling
    layer      = max(cycles / clock, (weights + share (inputs + outputs)) / bandwidth) + start

Activations and copies are done by whoever writes the tensor. The host takes what the overlay does not have: depthwise
layers with several outputs a channel, gates (a product with one factor a channel), products of two computed matrices,
recurrences, softmax, norms over features, tables and unknown operators.

Not modelled: which features stay on chip (one share for all layers), pipelining between layers, instruction fetches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hwmodels.families.kernel_parts import CONV, NORM, POOL, ceil_div, entry, inner, records, source_stamp

__all__ = [
    "CHOICES",
    "DENSE",
    "DEPTHWISE",
    "FREE",
    "HOST",
    "OTHER",
    "OverlayCost",
    "all_pairs",
    "listed_pairs",
]

_LINEAR, _ACTIVATION, _ELEMENTWISE, _RESAMPLE, _COPY, _CONV_TRANSPOSE = 1, 6, 7, 10, 11, 12
"""Codes of Kind; a test holds them to their definition."""

DENSE, DEPTHWISE, OTHER, FREE, HOST = 0, 1, 2, 3, 4
CHOICES = ("dense", "depthwise", "other", "free", "host")
"""What an id in `choice` stands for: where a layer runs."""


class OverlayCost(NamedTuple):
    """One layer's metrics, in the order of the kernel's last axis; s, J, bytes, cycles and MACs per batch."""

    latency_s: float
    compute_s: float
    dram_s: float
    start_s: float
    host_s: float
    shared_s: float
    energy_j: float
    mac_j: float
    logic_j: float
    dram_j: float
    static_j: float
    dram_bytes: float
    compute_cycles: float
    executed_macs: float


@inner
def _place(row: Any, knobs: Any) -> int:
    """Where a layer runs."""
    if row.kind == CONV:
        if row.groups > 1 and row.k == row.kernel_h * row.kernel_w:
            return DEPTHWISE if row.n == 1 and knobs.depthwise_pixels > 0 else HOST
        return DENSE
    if row.kind in (_LINEAR, _CONV_TRANSPOSE):
        return DENSE
    if row.kind in (_ACTIVATION, _COPY):
        return FREE
    gated = row.kind == _ELEMENTWISE and row.output_elements < row.input_elements < 2 * row.output_elements
    if gated or (row.kind == NORM and row.in_w == 1) or row.macs > 0:
        return HOST
    return OTHER if row.kind in (POOL, _ELEMENTWISE, NORM, _RESAMPLE) else HOST


@inner
def _cycles(row: Any, place: int, knobs: Any) -> int:
    """Cycles of a batch on the multipliers, or on the unit for other operations; a whole number."""
    lanes: int = knobs.pixel_parallel * knobs.output_parallel
    if place == OTHER:
        taps = row.kernel_h * row.kernel_w if row.kind == POOL else 1
        return ceil_div(row.output_elements * taps, lanes)
    if row.kind != CONV:
        images: int = row.groups * row.batch
        outputs = ceil_div(row.m, row.batch)
        steps = ceil_div(row.k, knobs.input_parallel) * ceil_div(row.n, knobs.output_parallel)
        return images * ceil_div(outputs, knobs.pixel_parallel) * steps
    lines: int = row.m // row.out_w
    if place == DEPTHWISE:
        pixels = ceil_div(row.out_w, knobs.depthwise_pixels)
        lines *= row.kernel_h * row.kernel_w
        return lines * pixels * ceil_div(row.out_channels, knobs.output_parallel)
    inputs = row.k // (row.kernel_h * row.kernel_w)
    columns = row.kernel_w
    if knobs.channel_augmentation == 1 and inputs < knobs.input_parallel:
        columns = ceil_div(row.kernel_w, min(knobs.input_parallel // inputs, row.kernel_w))
    steps = ceil_div(inputs, knobs.input_parallel) * ceil_div(row.n, knobs.output_parallel)
    lines *= row.groups * row.kernel_h * columns
    return lines * ceil_div(row.out_w, knobs.pixel_parallel) * steps


@inner
def _layer(row: Any, knobs: Any) -> tuple[int, OverlayCost]:
    """(place, cost) of one layer; 8 bits everywhere.

    shared_s : with all cores at work, each with its share of the DRAM.
    energy_j = macs mac + cycles logic + bytes dram + idle time
    """
    place = _place(row, knobs)
    if place == FREE:
        return place, OverlayCost(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    features = float(row.input_elements + row.output_elements)
    macs = float(row.macs)
    if place == HOST:
        host_s = knobs.cpu_call_s + max(macs / knobs.cpu_macs_per_s, features / knobs.cpu_bytes_per_s)
        dram_j, static_j = knobs.dram_j_per_byte * features, knobs.idle_w * host_s
        return place, OverlayCost(
            host_s, 0.0, 0.0, 0.0, host_s, host_s, dram_j + static_j, 0.0, 0.0, dram_j, static_j, features, 0.0, macs
        )  # fmt: skip
    cycles = float(_cycles(row, place, knobs))
    stored = row.parameters if row.kind == NORM else row.weight_elements
    moved = float(stored) * (row.batch if macs > 0 else 1) + knobs.feature_share * features
    compute_s, dram_s = cycles / knobs.core_clock_hz, moved / knobs.alone_bytes_per_s
    latency_s = max(compute_s, dram_s) + knobs.layer_s
    crowded_s = max(compute_s, moved / knobs.shared_bytes_per_s) + knobs.layer_s
    mac_j, logic_j = knobs.mac_j * macs, knobs.cycle_j * cycles
    dram_j, static_j = knobs.dram_j_per_byte * moved, knobs.idle_w * latency_s
    return place, OverlayCost(
        latency_s, compute_s, dram_s, knobs.layer_s, 0.0, crowded_s, mac_j + logic_j + dram_j + static_j, mac_j,
        logic_j, dram_j, static_j, moved, cycles, macs,
    )  # fmt: skip


def _compiled(stamp: int) -> tuple[Any, Any]:
    """The loops over all pairs and listed pairs; `stamp` of their sources enters the key of numba's cache."""

    @entry
    def every_pair(rows: Any, configs: Any, out: Any, choice: Any) -> None:
        if stamp == 0:  # never, but it makes the stamp a free variable
            return
        for c in range(configs.size):
            for i in range(rows.size):
                place, metrics = _layer(rows[i], configs[c])
                choice[c, i] = place
                for metric, value in enumerate(metrics):
                    out[c, i, metric] = value

    @entry
    def some_pairs(rows: Any, configs: Any, layer: Any, run_config: Any, run_start: Any, out: Any, choice: Any) -> None:
        if stamp == 0:
            return
        for r in range(run_config.size):
            for q in range(run_start[r], run_start[r + 1]):
                place, metrics = _layer(rows[layer[q]], configs[run_config[r]])
                choice[q] = place
                for metric, value in enumerate(metrics):
                    out[q, metric] = value

    return every_pair, some_pairs


_every_pair, _some_pairs = _compiled(source_stamp(__file__))


def all_pairs(layers: Any, overlays: Any, out: Any, choice: Any) -> None:
    """Every layer on every overlay; out : (C, L, len(OverlayCost)), choice : (C, L), written."""
    _every_pair(records(layers), records(overlays), out, choice)


def listed_pairs(pairs: Any, overlays: Any, out: Any, choice: Any) -> None:
    """Pairs of a `Listed`, whose designs are `overlays`; out : (Q, len(OverlayCost)); choice : (Q,) int16."""
    _some_pairs(records(pairs.layers), records(overlays), pairs.layer, pairs.run_config, pairs.run_start, out, choice)
