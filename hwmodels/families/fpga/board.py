"""The knobs of an FPGA board: logic, arithmetic blocks, memories, DRAM, shell, closing clock, power.

Every FPGA family holds these, whatever runs on the board. Counts are of the whole device; what a shell takes of them is
a knob of its own. Block memories are counted in halves of 18 Kib (BRAM18), as vendors' reports count them.
[FINN] AMD's public dataflow compiler, its platform tables and closure guide. Energies are stated at 28 nm and scaled.
"""

from __future__ import annotations

from typing import Literal

from hwmodels.families.spec import Spec, knob
from hwmodels.units import GB, MHZ, PJ

__all__ = ["DSP_TYPES", "BoardSpec"]

DSP_TYPES = ("dsp48e1", "dsp48e2", "dsp58", "intel_float", "intel_integer")
"""Arithmetic blocks by their code: AMD 7-series, UltraScale, Versal; Intel with a float unit (10), without (V)."""

_BOARD = "AMD ZCU102 and XCZU9EG, cross-checked with peers' platform tables"


class BoardSpec(Spec):
    """One board; the defaults are a ZCU102."""

    luts: int = knob(274080, "look-up tables of six inputs (Intel: ALMs)", source=_BOARD, ge=1, le=10**8)
    ffs: int = knob(548160, "flip-flops", source=_BOARD, ge=1, le=10**9)
    dsps: int = knob(2520, "arithmetic blocks", source=_BOARD, ge=1, le=10**6)
    dsp_type: Literal["dsp48e1", "dsp48e2", "dsp58", "intel_float", "intel_integer"] = knob(
        "dsp48e2", "kind of arithmetic block, which decides how many products of a width it makes", source=_BOARD
    )
    bram18s: int = knob(1824, "block memories of 18 Kib (Intel: M20K)", source=_BOARD, ge=1, le=10**6)
    urams: int = knob(0, "memories of 288 Kib", source=_BOARD, ge=0, le=10**5)
    dram_bytes_per_s: float = knob(
        19.2 * GB, "peak bandwidth of the external memory", source="64-bit DDR4-2400", unit="B/s", gt=0
    )
    dram_gap_bytes: float = knob(
        480.0,
        "bytes that the bus could have moved while a burst starts: L of bandwidth = peak L/(L + gap)",
        source="ASSUMED: 30 cycles of a 128-bit bus between bursts of one master with several outstanding",
        unit="B",
        ge=0,
        plausible=(64, 2048),
    )
    fabric_clock_hz: float = knob(
        333 * MHZ,
        "clock that an engine closes timing at on an empty device",
        source="ASSUMED: published accelerators of the device's generation",
        unit="Hz",
        gt=0,
        plausible=(150 * MHZ, 650 * MHZ),
    )
    clock_derating: float = knob(
        0.8,
        "closing clock falls by this share times the use of LUTs beyond 60 %",
        source="ASSUMED: routing congestion; half the clock at full use is the worst that reports show",
        ge=0,
        le=2,
        plausible=(0.3, 1.25),
    )
    lut_closure: float = knob(0.70, "share of the LUTs that closes timing", source="[FINN] closure guide", gt=0, le=1)
    ff_closure: float = knob(
        0.60, "share of the flip-flops", source="[FINN] advises 0.50; AMD ships three B4096 on 0.57 of a ZCU102", gt=0,
        le=1,
    )  # fmt: skip
    block_closure: float = knob(
        0.88, "share of the arithmetic blocks, of the BRAMs and of the URAMs",
        source="[FINN] advises 0.80; AMD ships three B4096 on 0.85 of a ZCU102's BRAM", gt=0, le=1,
    )  # fmt: skip
    shell_luts: int = knob(
        12000,
        "LUTs of memory port, DMA and control",
        source="ASSUMED: hard memory controller; [FINN] counts 33,300 for a soft one",
        ge=1,
        le=10**6,
        plausible=(4000, 60000),
    )
    shell_bram18s: int = knob(
        16,
        "BRAM18 of memory port and DMA",
        source="ASSUMED: hard memory controller; [FINN] counts 199 for a soft one",
        ge=1,
        le=10**4,
        plausible=(4, 250),
    )
    idle_w: float = knob(
        12.0,
        "board power while nothing runs: static power, processors, memory refresh, converters",
        source="ASSUMED: half of the power that such a board draws under load",
        unit="W",
        gt=0,
        plausible=(1.0, 60.0),
    )
    node_nm: float = knob(16.0, "technology node", source=_BOARD, unit="nm", ge=5, le=65)
    dsp_j: float = knob(
        12 * PJ,
        "one cycle of a busy arithmetic block at 28 nm",
        source="ASSUMED: vendors' power estimators at a quarter toggling",
        unit="J",
        ge=0,
        plausible=(4 * PJ, 25 * PJ),
    )
    lut_j: float = knob(
        0.1 * PJ,
        "one cycle of a LUT with its flip-flops and clock at 28 nm",
        source="ASSUMED: vendors' power estimators at an eighth toggling",
        unit="J",
        ge=0,
        plausible=(0.03 * PJ, 0.3 * PJ),
    )
    bram_j: float = knob(
        10 * PJ,
        "one cycle of a busy BRAM18 at 28 nm",
        source="ASSUMED: vendors' power estimators, both ports at half rate",
        unit="J",
        ge=0,
        plausible=(3 * PJ, 20 * PJ),
    )
    dram_j_per_byte: float = knob(
        320 * PJ,
        "external memory with its interface",
        source="ASSUMED: 40 pJ a bit of DDR4, recalled",
        unit="J/B",
        ge=0,
        plausible=(32 * PJ, 640 * PJ),
    )
