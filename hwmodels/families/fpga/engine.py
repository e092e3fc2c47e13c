"""A tiled engine as its kernel sees it: the knobs, and what follows from them for each design.

blocks  array(Tm, Tn) + array(lanes, 1)                                       see `arithmetic`
BRAM    2 Tn m(input tile, a) + 2 Tm m(output tile, acc) + Tm Tn m(2 Tk², w)  see `memory`; the depthwise alike
input tile (S (Tr - 1) + Tk) (S (Tc - 1) + Tk) words, S the largest stride and Tk the largest kernel
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.fpga import kernel
from hwmodels.families.fpga.arithmetic import dsps_of_array, luts_per_mac
from hwmodels.families.fpga.memory import LUTRAM_DEPTH, bram18s_of, lutram_luts, urams_of
from hwmodels.families.fpga.resources import (
    Use,
    closing_clock_hz,
    logic_j_per_cycle,
    node_scale,
    with_flip_flops,
)
from hwmodels.families.fpga.spec import FpgaSpec, FpgaTable, settled
from hwmodels.families.kernel_parts import listed

__all__ = ["Shares", "cost", "cost_at", "engine_table", "resources"]

F64 = npt.NDArray[np.float64]

_CONTROL_LUTS = 3000.0
"""ASSUMED, 1000 to 10000: loop counters, address generators and sequencer of an engine."""
_LANE_LUTS = 100.0
"""ASSUMED, 40 to 400: LUTs of a lane for pooling, sums and activation functions."""
_PORT_LUTS_PER_BIT = 4.0
"""ASSUMED, 2 to 10: LUTs of a port's multiplexers and buffers, for each bit of its width."""

_DERIVED = (
    "engine_clock_hz", "mac_j", "cycle_j", "dense_rows", "dense_cols", "channel_rows", "channel_cols", "weight_share",
    "input_share", "board_link_bytes_per_s",
)  # fmt: skip
if TYPE_CHECKING:
    EngineTable = Any
else:
    EngineTable = namedtuple("EngineTable", (*FpgaSpec.model_fields, *_DERIVED), module=__name__)


def _in_luts(table: FpgaTable) -> npt.NDArray[np.bool_]:
    fixed_in_luts: npt.NDArray[np.bool_] = (table.multipliers == 1) & (table.number_format == 0)
    return fixed_in_luts


def _buffers(table: FpgaTable) -> tuple[F64, F64]:
    """(BRAM18, LUTs) of tile buffers: both halves of inputs and outputs, and the weights of each multiplier."""
    reach = table.largest_kernel - table.largest_stride
    words = table.largest_kernel**2
    bram, luts = np.zeros(words.size), np.zeros(words.size)
    for inputs, outputs, pairs, rows, cols in (
        (table.tile_n, table.tile_m, table.tile_m * table.tile_n, table.tile_rows, table.tile_cols),
        (table.depthwise_lanes,) * 3 + (table.depthwise_rows, table.depthwise_cols),
    ):
        tall, wide = (table.largest_stride * extent + reach for extent in (rows, cols))
        for banks, width, depth in (
            (2 * inputs, table.activation_bits, np.maximum(tall, 1) * np.maximum(wide, 1)),
            (2 * outputs, table.accumulator_bits, rows * cols),
            (pairs, table.weight_bits, 2 * words),
        ):
            shallow = depth <= LUTRAM_DEPTH
            bram += np.where(shallow, 0, banks * bram18s_of(width, depth))
            luts += np.where(shallow, banks * lutram_luts(width, depth), 0)
    return bram, luts


def resources(table: FpgaTable) -> Use:
    """What each engine takes of its board, shell included."""
    table = settled(table)
    widths = {"dsp_type": table.dsp_type, "weight_bits": table.weight_bits,
              "activation_bits": table.activation_bits, "is_float": table.number_format}  # fmt: skip
    blocks = dsps_of_array(table.tile_m, table.tile_n, **widths)
    blocks = blocks + dsps_of_array(table.depthwise_lanes, np.ones_like(table.tile_n), **widths)
    in_luts = _in_luts(table)
    macs = table.tile_m * table.tile_n + table.depthwise_lanes
    bram, luts = _buffers(table)
    ports = table.input_port + table.output_port + table.depthwise_input_port + table.depthwise_output_port
    port_bits = ports * table.activation_bits + (table.weight_port + table.depthwise_weight_port) * table.weight_bits
    luts = luts + macs * luts_per_mac(table.weight_bits, table.activation_bits, table.number_format, in_luts)
    luts = luts + table.shell_luts + _CONTROL_LUTS + _LANE_LUTS * table.vector_lanes + _PORT_LUTS_PER_BIT * port_bits
    feature_words = -(-table.feature_buffer_bytes // 9)  # 72 bits
    in_uram = (table.urams > 0) & (table.feature_buffer_bytes > 0)
    urams = np.where(in_uram, urams_of(72, feature_words), 0)
    feature_bram = np.where(in_uram, 0, bram18s_of(36, 2 * feature_words))
    return with_flip_flops(
        dsps=np.where(in_luts, 0, blocks), luts=luts, bram18s=bram + table.shell_bram18s + feature_bram, urams=urams,
        is_float=table.number_format,
    )  # fmt: skip


class Shares(NamedTuple):
    """What each of C boards reads of its own memory, (C,) each; the rest comes over its link from other boards."""

    weights: F64
    inputs: F64
    link_bytes_per_s: F64


def engine_table(table: FpgaTable, shares: Shares | None = None) -> EngineTable:
    """The knobs of C designs and what the kernel needs beside them, (C,) each.

    mac_j : energy of one MAC: its share of a block, or its LUTs. cycle_j : of a cycle of all other logic.
    dense_rows and so on : extents of the input tiles of the two engines.
    """
    table = settled(table)
    use = resources(table)
    macs = np.maximum(table.tile_m * table.tile_n + table.depthwise_lanes, 1)
    block_j = use.dsps / macs * table.dsp_j
    mac_luts = luts_per_mac(table.weight_bits, table.activation_bits, table.number_format, _in_luts(table))
    reach = table.largest_kernel - table.largest_stride
    extents = (
        np.maximum(table.largest_stride * extent + reach, 1)
        for extent in (table.tile_rows, table.tile_cols, table.depthwise_rows, table.depthwise_cols)
    )
    return EngineTable(
        *table, closing_clock_hz(use, table), node_scale(table.node_nm) * (block_j + mac_luts * table.lut_j),
        logic_j_per_cycle(use._replace(luts=np.maximum(use.luts - macs * mac_luts, 0.0)), table), *extents,
        *(shares or (np.ones(macs.size), np.ones(macs.size), np.full(macs.size, np.inf))),
    )  # fmt: skip


def cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration: `hwmodels.families.base.Layerwise.cost`."""
    kernel.all_pairs(layers, engine_table(configs), out, choice)


def cost_at(
    layers: Any, configs: Any, layer_index: Any, config_index: Any, scratch: Any, out: Any, choice: Any
) -> None:
    """Listed pairs: `hwmodels.families.base.Layerwise.cost_at`."""
    pairs = listed(layers, configs, layer_index, config_index)
    kernel.listed_pairs(pairs, engine_table(pairs.configs), out, choice)
