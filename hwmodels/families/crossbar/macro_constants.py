"""What all in-memory macros share: constants of energy, area and read time, fitted to published ones.

[SURVEY] Shanbhag and Roy, Benchmarking In-memory Computing (IMC) Architectures, CICC 2022, and its data
(UIUC-IMC-Benchmarking, MIT licence). Beside each constant stands a factor: one standard deviation of its logarithm, by
jackknife over papers. They hold published macros together; none is a measurement of a device. How they were fitted, and
what they predict of papers left out: `hwmodels.validation.crossbar.survey`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "AREA",
    "AREA_SPREAD",
    "CONSTANTS",
    "ENERGY",
    "ENERGY_SPREAD",
    "KINDS",
    "PROCESSOR_OVERHEAD",
    "READ_TIME",
    "READ_TIME_SPREAD",
    "AreaConstants",
    "Constants",
    "EnergyConstants",
    "ReadTimeConstants",
    "Sum",
]

Sum = Literal["redistribution", "charge", "both", "current", "cell_current", "digital", "processor"]
KINDS: tuple[Sum, ...] = ("redistribution", "charge", "both", "current", "cell_current", "digital", "processor")
"""How a column sums: charge shared between capacitors (QR), charge drawn from a line (QS), both (QS-QR), current held
by its circuit (IS in SRAM), current of resistive or floating-gate cells over the read (IS), adders (DIMC); and the
adders of a digital processor, with all that stands around them."""


class EnergyConstants(NamedTuple):
    """What all macros share, at 28 nm and 1 V.

    capacitor_f : unit capacitor of a cell that redistributes charge. charge_f : charge of a cell and 1-bit pulse over
    the supply. current_sum_f : the same of a cell whose current the circuit holds. bitline_f : a column, for every
    cell on it. cell_current_a, converter_current_a : of a resistive or floating-gate cell that is on, and of its
    column's bias. driver_f_per_bit : a row driven, for each bit of an input of 2 bits or more. adc_step_f,
    adc_fixed_f : a conversion, a step and at all. gate_overhead : of digital macros, over their gates.
    serial_activity : energy of a read over that of random operands, where the bits of an input come one read after the
    other; unit capacitors, which are reset at every read, are exempt. The high bits of published averages are mostly
    zero, and how they were averaged is seldom said: state `read_activity` where you know it.
    digital_node_exponent : the capacitance of digital macros goes with that of the node to this power: published trees
    gained less from a finer node than gates do. That it is the node was seen on all 13 of their rows (11 papers); the
    exponent is fitted with the others, one paper left out.
    """

    capacitor_f: float
    charge_f: float
    current_sum_f: float
    bitline_f: float
    cell_current_a: float
    converter_current_a: float
    driver_f_per_bit: float
    adc_step_f: float
    adc_fixed_f: float
    gate_overhead: float
    serial_activity: float
    digital_node_exponent: float


class ReadTimeConstants(NamedTuple):
    """One read and its conversions at 0.9 V, s; times go with the supply to the power -0.75.

    base_s : at all. row_s : for every row summed. redistribution_row_s : the same of unit capacitors that settle, at
    28 nm. resistive_row_s : the same of resistive or floating-gate cells. step_s : a step of a converter. level_s : a
    bit of an input of 2 bits or more, of analogue macros.
    """

    base_s: float
    row_s: float
    redistribution_row_s: float
    resistive_row_s: float
    step_s: float
    level_s: float


class AreaConstants(NamedTuple):
    """Of a macro with its drivers, converters and control; F the node.

    transistor_f2 : of an SRAM or gain cell. resistive_cell_f2 : with its selector and its share of the write circuits.
    line_mm2 : drivers and precharge of a row or column, at 28 nm. converter_f2 : a bit, and one more, of a converter.
    gate_area : of compacted adders, over standard cells. control_mm2 : at 28 nm.
    """

    transistor_f2: float
    resistive_cell_f2: float
    line_mm2: float
    converter_f2: float
    gate_area: float
    control_mm2: float


ENERGY = EnergyConstants(
    # [SURVEY] fit to its 62 rows of macros that state an efficiency.
    capacitor_f=7.70e-15,  # 1.3
    charge_f=3.09e-15,  # 1.6
    current_sum_f=29.5e-15,  # 1.4
    bitline_f=0.165e-15,  # 1.9
    cell_current_a=1.11e-6,  # 1.4
    converter_current_a=15.8e-6,  # 1.6
    driver_f_per_bit=2.26e-15,  # 1.3
    adc_step_f=3.73e-15,  # 2.1: the survey hardly tells it from the next
    adc_fixed_f=103e-15,  # 1.8
    gate_overhead=1.54,  # 1.2
    serial_activity=0.202,  # 1.8
    digital_node_exponent=0.417,  # 0.4 beside it, no factor
)
"""The constants that `macro_from` takes."""

ENERGY_SPREAD: dict[Sum, tuple[float, float]] = {
    "redistribution": (0.633, 2.53), "charge": (0.160, 4.46), "both": (0.433, 2.69), "current": (0.433, 2.69),
    "cell_current": (0.232, 2.10), "digital": (0.312, 4.02), "processor": (0.072, 2.91),
}  # fmt: skip
"""Measured over predicted energy of published macros, 10th and 90th percentile of the left-out predictions; of kinds
with fewer than ten rows, those of all."""

PROCESSOR_OVERHEAD = 8.81
"""[SURVEY] gate_overhead of digital processors, fitted to 23 of them: registers, memories and control about the gates
of multipliers and adders. One standard deviation is a factor of 1.3."""

READ_TIME = ReadTimeConstants(
    # [SURVEY] fit to its 60 rows of macros that state a time.
    base_s=3.16e-9,  # 1.3
    row_s=5.96e-12,  # 1.8
    redistribution_row_s=110e-12,  # 2.0
    resistive_row_s=121e-12,  # 1.4
    step_s=13.1e-12,  # 1.4
    level_s=1.59e-9,  # 1.8
)

AREA = AreaConstants(
    # [SURVEY] fit to its 56 rows of macros that state time and density.
    transistor_f2=96.6,  # 1.4
    resistive_cell_f2=1760.0,  # 1.9
    line_mm2=22.2e-6,  # 1.6
    converter_f2=1.25e5,  # 1.7
    gate_area=0.19,  # 2.1
    control_mm2=0.0158,  # 1.8
)

READ_TIME_SPREAD = (0.304, 4.10)
"""Measured over predicted read time, as `ENERGY_SPREAD`, of all macros together."""
AREA_SPREAD = (0.200, 2.82)
"""Measured over predicted area, as `ENERGY_SPREAD`, of all macros together."""


class Constants(NamedTuple):
    """All that `macro_from` needs beside a row."""

    energy: EnergyConstants = ENERGY
    read_time: ReadTimeConstants = READ_TIME
    area: AreaConstants = AREA
    processor_overhead: float = PROCESSOR_OVERHEAD


CONSTANTS = Constants()
