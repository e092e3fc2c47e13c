"""zigzag-imc's own accounts of its five chips, from this family's gates: the compat side of its comparison.

Sun et al. (zigzag-imc) price five published macros with one set of gates and a structure typed in chip by chip. The
structures below are facts of that peer's encoding; with them the gates of `gates.py` and the 28 nm SAR must give its
printed values, which shows that the formulas are the same. These numbers are no predictions of ours: they rest on
toggle rates and sparsities that the peer assumed chip by chip (the README's section Silicon uses none of them).

Not reproduced: areas of SRAM banks, which the peer takes from CACTI.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hwmodels.families.crossbar.gates import (
    ADDER_NAND2,
    NAND2_S,
    REGISTER_NAND2,
    adder_s,
    nand2_j,
    tree_adders,
    tree_s,
)
from hwmodels.units import FJ, NS

__all__ = ["PEER_CHIPS", "PeerCost", "peer_cost"]

_SAR_F_PER_BIT = 100e-15  # [ZIGZAG] 28 nm fit of SARs within macros; the peer scales it to no other node
_SAR_F_PER_STEP2 = 0.001e-15
_DAC_F_PER_BIT = 50e-15


class PeerCost(NamedTuple):
    """Energies of one MAC in fJ, clock period in ns, as the peer prints them."""

    mults: float
    adder_tree: float
    accumulator: float
    banks: float
    regs_accumulator: float
    regs_pipeline: float
    adc: float
    dac: float
    clock_ns: float

    @property
    def total(self) -> float:
        return sum(self[:-1])


def peer_cost(label: str) -> PeerCost:
    """The peer's account of one of its chips.

    >>> round(peer_cost("AIMC1").total, 4)
    1.6951
    """
    return PEER_CHIPS[label]()


def _aimc1() -> PeerCost:
    """22 nm, 0.8 V, 1024 rows x 512 outputs, 7-bit inputs at once, 2-bit weights, 6-bit SAR a column.

    A MAC: two products of half a NAND2; bitlines of two cells and an enable line, half a NAND2 each.
    """
    unit = _fj(22.0, 0.8)
    return PeerCost(
        mults=2 * 0.5 * unit,
        adder_tree=0.0,
        accumulator=0.0,
        banks=3 * 0.5 * unit,
        regs_accumulator=0.0,
        regs_pipeline=0.0,
        adc=_sar_fj(6, 0.8) / 1024,
        dac=_DAC_F_PER_BIT * 7 * 0.8**2 / FJ / 512,
        clock_ns=(NAND2_S + _sar_s(6, 1024)) / NS,
    )


def _aimc3() -> PeerCost:
    """22 nm, 0.8 V, 8 of 64 rows, 8-bit inputs bit by bit, 8-bit weights, 3-bit SAR; half of the weights zero.

    Eight reads of 8 MACs: one read a MAC. 16 mapped products, of which 0.375 toggle; a 6-bit adder; a bitline a weight
    bit and row.
    """
    unit, dense = _fj(22.0, 0.8), 0.5
    return PeerCost(
        mults=0.375 * dense * 16 * 0.5 * unit,
        adder_tree=dense * 6 * ADDER_NAND2 * unit,
        accumulator=0.0,
        banks=dense * 8 * 8 * 0.5 * unit,
        regs_accumulator=0.0,
        regs_pipeline=0.0,
        adc=dense * _sar_fj(3, 0.8),
        dac=0.0,
        clock_ns=(NAND2_S + adder_s(6, to_top=True) + _sar_s(3, 8)) / NS,
    )


def _dimc1() -> PeerCost:
    """28 nm, 0.9 V, 32 rows, two input bits at once by Booth: a tree of 9-bit products into 32 bits, no pipeline."""
    return _tree_macro(
        rows=32, reads=4, products=32 * 8, product_bits=9, running_bits=32, pipeline_bits=0, activity=0.25,
        clock_s=NAND2_S + tree_s(32, 9) + adder_s(32, to_top=False) + (32 - 14) * 2 * NAND2_S,
    )  # fmt: skip


def _dimc2() -> PeerCost:
    """28 nm, 0.9 V, 32 rows, input bits one by one: a tree of 16-bit products, pipelined before its accumulator."""
    return _tree_macro(
        rows=32, reads=8, products=32 * 8, product_bits=16, running_bits=16, pipeline_bits=8, activity=0.45,
        clock_s=tree_s(32, 16) + adder_s(16, to_top=False),
    )  # fmt: skip


def _dimc4() -> PeerCost:
    """28 nm, 0.9 V, 128 rows, input bits one by one: trees of 16, of 8 and of 8 inputs behind one another.

    The products toggle with the inputs alone; the trees with inputs and weights.
    """
    unit, reads_a_mac = _fj(28.0, 0.9), 8 / 128
    adders = float(64 * tree_adders(16, 1) + 8 * tree_adders(8, 4) + tree_adders(8, 6))
    return PeerCost(
        mults=0.5 * 128 * 0.5 * unit * reads_a_mac,
        adder_tree=0.25 * adders * ADDER_NAND2 * unit * reads_a_mac,
        accumulator=17 * ADDER_NAND2 * unit * reads_a_mac,
        banks=0.0,
        regs_accumulator=17 * REGISTER_NAND2 * unit * reads_a_mac,
        regs_pipeline=8 * 6 * REGISTER_NAND2 * unit * reads_a_mac,
        adc=0.0,
        dac=0.0,
        clock_ns=(NAND2_S + tree_s(16, 1) + tree_s(8, 4)) / NS,
    )


def _tree_macro(
    *,
    rows: int,
    reads: int,
    products: int,
    product_bits: int,
    running_bits: int,
    pipeline_bits: int,
    activity: float,
    clock_s: float,
) -> PeerCost:
    """One tree an output at 28 nm and 0.9 V: products and tree at the assumed activity, sums and registers in full."""
    unit, reads_a_mac = _fj(28.0, 0.9), reads / rows
    return PeerCost(
        mults=activity * products * 0.5 * unit * reads_a_mac,
        adder_tree=activity * float(tree_adders(rows, product_bits)) * ADDER_NAND2 * unit * reads_a_mac,
        accumulator=running_bits * ADDER_NAND2 * unit * reads_a_mac,
        banks=0.0,
        regs_accumulator=running_bits * REGISTER_NAND2 * unit * reads_a_mac,
        regs_pipeline=pipeline_bits * REGISTER_NAND2 * unit * reads_a_mac,
        adc=0.0,
        dac=0.0,
        clock_ns=clock_s / NS,
    )


PEER_CHIPS: dict[str, Callable[[], PeerCost]] = {
    "AIMC1": _aimc1,
    "AIMC3": _aimc3,
    "DIMC1": _dimc1,
    "DIMC2": _dimc2,
    "DIMC4": _dimc4,
}
"""Labels of silicon_zigzag_imc.csv."""


def _fj(node_nm: float, supply_v: float) -> float:
    return float(nand2_j(node_nm, supply_v)) / FJ


def _sar_fj(bits: int, supply_v: float) -> float:
    return (_SAR_F_PER_BIT * bits + _SAR_F_PER_STEP2 * 4.0**bits) * supply_v**2 / FJ


def _sar_s(bits: int, rows: int) -> float:
    return bits * (0.00653 * rows + 0.640) * NS
