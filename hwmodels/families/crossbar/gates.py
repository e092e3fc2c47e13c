"""Gates of in-memory macros: capacitance, area and delay of adders, trees and registers by counting NAND2s.

[ZIGZAG] Sun et al., zigzag-imc: 28 nm standard cells; XOR2, flip-flop and full adder in units of a NAND2. Energies
are capacitance times supply squared at full activity; the caller multiplies by the share of ones. NOT modelled: wires,
clock trees, glitches, leakage.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "ADDER_NAND2",
    "NAND2_F",
    "NAND2_MM2",
    "NAND2_S",
    "NODE_NM",
    "REGISTER_NAND2",
    "adder_mm2",
    "adder_s",
    "capacitance_nm",
    "chain_adders",
    "nand2_j",
    "register_mm2",
    "tree_adders",
    "tree_s",
    "unshrunk_area",
]

F64 = npt.NDArray[np.float64]
_Number = npt.ArrayLike

NODE_NM = 28.0  # [ZIGZAG] node of the three constants below
NAND2_F = 0.7e-15  # [ZIGZAG] switched capacitance, F
NAND2_MM2 = 0.614e-6  # [ZIGZAG] area, mm²
NAND2_S = 47.8e-12  # [ZIGZAG] delay at 0.9 V, s
ADDER_NAND2 = 6.0  # [ZIGZAG] full adder: 3 NAND2 and 2 XOR2 of 1.5 NAND2 capacitances each
REGISTER_NAND2 = 3.0  # [ZIGZAG] flip-flop
_ADDER_AREA_NAND2 = 3.0 + 2 * 2.4  # [ZIGZAG] an XOR2 is as large and as slow as 2.4 NAND2
_REGISTER_AREA_NAND2 = 6.0
_SUM_NAND2 = 2 * 2.4  # input to sum: two XOR2
_CARRY_OUT_NAND2 = 2.4 + 2.0  # input to carry: XOR2 and two NAND2
_CARRY_NAND2 = 2.0  # carry to carry: two NAND2
_PLANAR_NM = 22.0  # last node before FinFETs
_UNSHRUNK = 0.38  # [SURVEY] a study of the same macros: their areas below go with the node to the power 1.62
_SATURATED = 0.34  # [SURVEY] fit over macros of 4 to 22 nm: capacitance goes with the node to this power below


def capacitance_nm(node_nm: _Number, saturates: _Number) -> F64:
    """The node that capacitances are in proportion to: below 22 nm, where they saturate, they shrink less.

    >>> round(float(capacitance_nm(7, 1)), 2), float(capacitance_nm(7, 0)), float(capacitance_nm(65, 1))
    (14.91, 7.0, 65.0)
    """
    node = np.asarray(node_nm, np.float64)
    if not np.any(saturates):
        return node
    planar = np.minimum(node, _PLANAR_NM)
    return np.where(np.asarray(saturates) == 1, node * (_PLANAR_NM / planar) ** (1.0 - _SATURATED), node)


def unshrunk_area(node_nm: _Number, saturates: _Number) -> F64:
    """Area of a macro over that of its feature sizes: below 22 nm contacts and wires do not follow, where it saturates.

    >>> round(float(unshrunk_area(7, 1)), 2), float(unshrunk_area(7, 0)), float(unshrunk_area(65, 1))
    (1.55, 1.0, 1.0)
    """
    planar = np.minimum(np.asarray(node_nm, np.float64), _PLANAR_NM)
    return np.where(np.asarray(saturates) == 1, (_PLANAR_NM / planar) ** _UNSHRUNK, 1.0)


def nand2_j(node_nm: _Number, supply_v: _Number) -> F64:
    """C V² of one NAND2, capacitance in proportion to the node, J.

    >>> round(float(nand2_j(28, 0.9)) * 1e15, 3)
    0.567
    """
    node, supply = np.asarray(node_nm, np.float64), np.asarray(supply_v, np.float64)
    energy: F64 = NAND2_F * node / NODE_NM * supply**2
    return energy


def tree_adders(inputs: _Number, bits: _Number) -> F64:
    """Full adders of a tree of R inputs of p bits: R (p + 1) - (p + log2 R + 1).

    >>> float(tree_adders(32, 9))
    305.0
    """
    r, p = np.asarray(inputs, np.float64), np.asarray(bits, np.float64)
    adders: F64 = r * (p + 1.0) - (p + np.log2(r) + 1.0)
    return adders


def chain_adders(inputs: _Number, bits: _Number) -> F64:
    """Full adders where every row adds its product to the sum from above: R (p + log2 R) of p-bit products."""
    r, p = np.asarray(inputs, np.float64), np.asarray(bits, np.float64)
    adders: F64 = r * (p + np.ceil(np.log2(r)))
    return adders


def tree_s(inputs: int, bits: int) -> float:
    """Delay of a tree at 28 nm: (log2 R - 1) t_sum + t_carry_out + (p + log2 R - 2) t_carry, s."""
    depth = float(np.log2(inputs))
    return NAND2_S * ((depth - 1) * _SUM_NAND2 + _CARRY_OUT_NAND2 + (bits + depth - 2) * _CARRY_NAND2)


def adder_s(bits: int, *, to_top: bool) -> float:
    """Delay of a ripple adder at 28 nm: its lowest sum, or its top carry t_carry_out + (p - 1) t_carry, s."""
    if not to_top:
        return NAND2_S * _SUM_NAND2
    return NAND2_S * (_CARRY_OUT_NAND2 + (bits - 1) * _CARRY_NAND2)


def adder_mm2(adders: _Number, node_nm: _Number) -> F64:
    """Area of full adders, digital scaling with the node squared, mm²."""
    area: F64 = np.asarray(adders, np.float64) * _ADDER_AREA_NAND2 * NAND2_MM2 * _shrink(node_nm) ** 2
    return area


def register_mm2(bits: _Number, node_nm: _Number) -> F64:
    """Area of flip-flops, mm²."""
    area: F64 = np.asarray(bits, np.float64) * _REGISTER_AREA_NAND2 * NAND2_MM2 * _shrink(node_nm) ** 2
    return area


def _shrink(node_nm: _Number) -> F64:
    ratio: F64 = np.asarray(node_nm, np.float64) / NODE_NM
    return ratio
