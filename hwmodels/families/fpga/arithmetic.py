"""What a multiply-accumulate takes of an FPGA: arithmetic blocks and LUTs by width, format and kind of block.

Products of two fixed-point operands a block [1]: 18 x 25 (DSP48E1), 18 x 27 (DSP48E2, DSP58), two 18 x 19 (Intel with
a float unit), two 18 x 18 (without). Wider operands take ceil(w/27) ceil(a/18) blocks. Narrow products share a block
where they have one operand in common, so that lanes pack along the output channels alone:

    8 bits  DSP48E2 2 [2], DSP58 3 along the inputs [3], Intel 2; DSP48E1 1: 25 bits do not hold two products, and
            FINN's core that corrects them in LUTs is not modelled
    4 bits  4 on all of AMD's [3], on DSP48E1 without the most negative weight

Float MACs: 5 blocks in 32 bits and 3 in 16 on AMD [4]; DSP58 and Intel's have a float unit: 1.
[1] AMD UG479, UG579, AM004; Intel handbooks; recalled. [2] AMD WP486, deep learning with INT8. [3] FINN: 4 lanes of
4 x 4 bits, ceil(lanes/4) x inputs; Versal lanes x ceil(inputs/3). [4] Zhang et al., FPGA 2015: 448 MACs, 2,240 blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.fpga.board import DSP_TYPES

__all__ = ["dsps_of_array", "lanes_per_dsp", "luts_per_mac"]

F64 = npt.NDArray[np.float64]
Column = npt.NDArray[Any]

_E1, _E2, _58, _FLOAT, _INTEGER = range(len(DSP_TYPES))
_FLOAT_MAC_LUTS = {32: 341.0, 16: 150.0}
"""32: [4] 186,251 LUTs less a soft memory controller's 33,300, over 448 MACs. 16: ASSUMED, 100 to 200."""
_TREE_LUTS_PER_BIT = 0.7
"""ASSUMED, 0.3 to 2: LUTs of adders and routing a bit of both operands. AMD PG338 has 11.5 LUTs an 8-bit MAC."""
_LUT_PRODUCT = 1.1
"""ASSUMED, 0.5 to 1.2: LUTs a bit of width times width of a multiplier without a block [FINN-R's law, recalled]."""


def lanes_per_dsp(dsp_type: Column, weight_bits: Column, activation_bits: Column, is_float: Column) -> Column:
    """MACs a cycle that one block makes for output channels which share their input; at least 1.

    >>> lanes_per_dsp(*(np.array([x]) for x in (1, 8, 8, 0)))
    array([2])
    """
    wide = np.maximum(weight_bits, activation_bits)
    lanes = np.ones(np.broadcast(dsp_type, wide).shape, np.int64)
    lanes = np.where((dsp_type >= _FLOAT) & (wide <= 18), 2, lanes)
    lanes = np.where(np.isin(dsp_type, (_E2, _58)) & (wide <= 8), 2, lanes)
    lanes = np.where((dsp_type == _58) & (wide <= 8), 3, lanes)
    lanes = np.where(np.isin(dsp_type, (_E1, _E2, _58)) & (wide <= 4), 4, lanes)
    return np.where(is_float > 0, 1, lanes)


def _dsps_per_lane(dsp_type: Column, weight_bits: Column, activation_bits: Column, is_float: Column) -> Column:
    """Blocks of one product where none is shared."""
    narrow, wide = np.minimum(weight_bits, activation_bits), np.maximum(weight_bits, activation_bits)
    port = np.where(dsp_type == _E1, 25, 27)
    fixed = -(-wide // port) * -(-narrow // 18)
    amd_float = np.where(wide <= 16, 3, 5)
    floats = np.where(np.isin(dsp_type, (_58, _FLOAT)), 1, amd_float)
    return np.where(is_float > 0, floats, fixed)


def dsps_of_array(
    outputs: Column, inputs: Column, *, dsp_type: Column, weight_bits: Column, activation_bits: Column, is_float: Column
) -> Column:
    """Blocks of an array that multiplies `inputs` operands by weights of `outputs` channels each cycle.

    blocks = ceil(outputs / lanes) inputs blocks_per_lane; three lanes of a DSP58 lie along the inputs.
    """
    widths = dsp_type, weight_bits, activation_bits, is_float
    lanes = lanes_per_dsp(*widths)
    along_inputs = lanes == 3
    shared = np.where(along_inputs, outputs * -(-inputs // 3), -(-outputs // lanes) * inputs)
    return shared * _dsps_per_lane(*widths)


def luts_per_mac(weight_bits: Column, activation_bits: Column, is_float: Column, in_luts: Column) -> F64:
    """LUTs of one MAC lane: adders and routing beside a block, or the whole product where `in_luts`.

    fixed, block  0.7 (w + a)               fixed, LUTs  1.1 w a + w + a        float  341 (32 bits), 150 (16)
    """
    bits = weight_bits + activation_bits
    fixed = np.where(in_luts > 0, _LUT_PRODUCT * weight_bits * activation_bits + bits, _TREE_LUTS_PER_BIT * bits)
    floats = np.where(np.maximum(weight_bits, activation_bits) <= 16, _FLOAT_MAC_LUTS[16], _FLOAT_MAC_LUTS[32])
    found: F64 = np.where(is_float > 0, floats, fixed)
    return found
