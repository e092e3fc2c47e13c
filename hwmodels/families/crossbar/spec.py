"""The knobs of a crossbar chip and the numerics that follow from them.

Defaults describe ISAAC (Shafiee et al., ISCA 2016) at 32 nm with the ADC of the survey regression. Energies per
event are the published power of a component divided by the events of its full rate. `adc_calibrated` and the
non-idealities of cells, wires and ADCs (`conductance_sigma` to `adc_noise_lsb`) concern the accuracy only: no cost
depends on them, but for `drift_s`, the time after which all cells are written again (`refresh_w`).
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar.macro_constants import AREA, ENERGY
from hwmodels.families.spec import Spec, knob
from hwmodels.numerics import DRIFT_START_S, Numerics, lossless_adc_bits
from hwmodels.units import FJ, GB, GHZ, MW, NS, PJ

__all__ = ["CrossbarSpec", "CrossbarTable", "active_rows", "resolved_adc_bits"]

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

_TABLE = "[ISAAC] Table I"
_FF = 1e-15  # farad


class CrossbarSpec(Spec):
    """A chip of tiles of in-situ multiply-accumulate units (IMA) of crossbar arrays.

    >>> CrossbarSpec().numerics().active_rows
    128
    """

    array_rows: int = knob(128, "rows of an array", source=_TABLE, ge=32, le=4096)
    array_cols: int = knob(128, "columns of an array, without the unit column", source=_TABLE, ge=32, le=32768)
    cell_bits: int = knob(2, "bits of a cell", source=_TABLE, unit="bit", ge=1, le=8)
    dac_bits: int = knob(1, "input bits applied in one read", source=_TABLE, unit="bit", ge=1, le=8)
    sign_scheme: Literal["offset", "differential"] = knob(
        "offset", "signed weights: biased with a unit column, or a column each for plus and minus", source="[ISAAC] V"
    )
    active_rows: int = knob(0, "rows read at once; 0 is all of them", source="[ISAAC] III", ge=0, le=4096)
    columns_per_adc: int = knob(128, "columns that share an ADC", source=_TABLE, ge=1, le=32768)
    column_reads: Literal["held", "repeated"] = knob(
        "held", "columns that share an ADC: sampled in one read and held, or read anew one after the other",
        source="[ISAAC] holds them; macros without sample-and-hold repeat",
    )  # fmt: skip
    reads_per_conversion: int = knob(
        1, "reads of the array and decisions of its converter for one result; 2^n - 1 of a counting one of n bits",
        source="[ISAAC]: one", ge=1, le=65536,
    )  # fmt: skip
    adc_model: Literal["survey", "isaac", "sar_28nm", "sar_roadmap", "flash", "walden", "capacitive"] = knob(
        "survey", "the ADC: regression over published ones, ISAAC's, the SAR of 28 nm macros, the SAR of a roadmap, "
        "flash, an energy a step, or capacitances", source="[ADC]; the others: hwmodels.families.crossbar.converter",
    )  # fmt: skip
    adc_bits: int = knob(
        8, "resolution of an ADC; 0 is as many bits as lose nothing", source=_TABLE, unit="bit", ge=0, le=14
    )
    adc_samples_per_s: float = knob(
        1.28 * GHZ, "rate of an ADC", source="[ISAAC] V: 128 columns in 100 ns", unit="1/s", ge=1e6, le=1e10
    )
    adc_calibrated: bool = knob(
        True, "ADC range fitted to each layer on training data, else full scale; accuracy only",
        source="[NEUROSIM] V1.3 takes the range from data, too; ours never from the images it is scored on",
    )  # fmt: skip
    weight_bits: int = knob(16, "widest weight", source="[ISAAC] V", unit="bit", ge=1, le=16)
    activation_bits: int = knob(16, "widest activation", source="[ISAAC] V", unit="bit", ge=1, le=16)
    duplication: int = knob(1, "most copies of a layer", source="[ISAAC] VI: none is the baseline", ge=1, le=65536)
    vectors_per_copy: int = knob(
        1, "output positions an item that one copy should serve, at least", source="[ISAAC] VI", ge=1, le=2**31
    )
    arrays_per_ima: int = knob(8, "arrays of an IMA", source=_TABLE, ge=1, le=1024)
    imas_per_tile: int = knob(12, "IMAs of a tile", source=_TABLE, ge=1, le=1024)
    tiles: int = knob(168, "tiles of the chip", source=_TABLE, ge=1, le=65536)
    node_nm: float = knob(32.0, "technology node", source=_TABLE, unit="nm", ge=3, le=180)
    component_node_nm: float = knob(
        32.0, "node at which the energies and areas below are stated", source=_TABLE, unit="nm", ge=5, le=180
    )
    clock_hz: float = knob(1.2 * GHZ, "clock of the digital parts", source=_TABLE, unit="Hz", ge=1e6, le=1e10)
    read_time_s: float = knob(100 * NS, "one read of an array", source="[ISAAC] V", unit="s", ge=1e-10, le=1e-3)
    pipeline_cycles: int = knob(
        6, "read cycles a vector travels beside its reads", source="[ISAAC] fig. 4: 22 for 16 reads", ge=0, le=1024
    )
    conductance_sigma: float = knob(
        0.0, "deviation of a programmed conductance; accuracy only, as all up to adc_noise_lsb",
        source="ASSUMED: ideal cells", ge=0, le=1, plausible=(0.0, 0.2),
    )  # fmt: skip
    variation: Literal["proportional", "lognormal", "independent", "pcm"] = knob(
        "proportional", "what conductance_sigma is relative to: the cell's conductance, its logarithm, the largest "
        "conductance, or the polynomial measured on phase-change memory", source="[CROSSSIM], [NANDAKUMAR] for pcm",
    )  # fmt: skip
    stuck_off: float = knob(
        0.0, "share of cells stuck at the least conductance", source="ASSUMED: none", ge=0, le=0.5, plausible=(0.0, 0.1)
    )
    stuck_on: float = knob(
        0.0, "share of cells stuck at the largest conductance", source="ASSUMED: none", ge=0, le=0.5,
        plausible=(0.0, 0.1),
    )  # fmt: skip
    drift_s: float = knob(
        0.0, "time since programming, after which cells are written again; 0 is no drift", unit="s", ge=0, le=1e9,
        source="ASSUMED: read at once", plausible=(0.0, 1e7),
    )  # fmt: skip
    drift_law: Literal["constant", "pcm"] = knob(
        "constant", "exponent of drift: of drift_nu alike for all states, or as measured on phase-change memory",
        source="[JOSHI]: (t / 20 s)^-nu",
    )  # fmt: skip
    drift_nu: float = knob(0.05, "mean exponent of drift", source="[JOSHI]: 0.049 to 0.1 by state", ge=0, le=0.5)
    drift_nu_sigma: float = knob(
        0.008, "deviation of the exponent over cells", source="[JOSHI]: 0.008 to 0.045 by state", ge=0, le=0.5
    )
    drift_compensated: bool = knob(
        True, "readings of an array scaled by one reference read of it", source="[JOSHI]: global drift compensation"
    )
    read_sigma: float = knob(
        0.0, "relative deviation of a cell's current at every read", source="ASSUMED: none", ge=0, le=1,
        plausible=(0.0, 0.1),
    )  # fmt: skip
    wire_resistance: float = knob(
        0.0, "of a wire between two cells, relative to a cell in its on state", source="ASSUMED: ideal wires", ge=0,
        le=0.1, plausible=(0.0, 1e-3),
    )  # fmt: skip
    off_conductance: float = knob(
        0.0, "of a cell at level 0, relative to its on state: 1 / (on/off ratio)", source="ASSUMED: a cell turns off",
        ge=0, le=0.5, plausible=(0.0, 0.1),
    )  # fmt: skip
    adc_noise_lsb: float = knob(
        0.0, "deviation of what an ADC adds to its input, in steps", source="ASSUMED: none", unit="LSB", ge=0, le=64,
        plausible=(0.0, 1.0),
    )  # fmt: skip
    static_power: Literal["fraction", "parts"] = knob(
        "parts", "what is always drawn: leakage_fraction of peak power, or what the area of every part leaks beside it",
        source="[NEUROSIM] runs: hwmodels.families.crossbar.static",
    )  # fmt: skip
    leakage_scale: float = knob(
        1.0, "static_power parts: leakage over that of a typical process at 300 K", ge=0, le=1e4, plausible=(0.3, 30),
        source="ASSUMED: room temperature; it doubles about every 12 K, so 30 is 360 K",
    )  # fmt: skip
    leakage_fraction: float = knob(
        0.02, "static_power fraction: part of every peak power that is always drawn", ge=0, le=0.99,
        source="ASSUMED", plausible=(0.002, 0.2),
    )  # fmt: skip
    cell_read_w: float = knob(
        2.4 * MW / (8 * 128 * 128), "mean power of a cell under read", source=_TABLE, unit="W", gt=0
    )
    cell_area_f2: float = knob(
        0.0002 / (8 * 128 * 128) / 32e-6**2, "area of a cell in squared feature sizes", source=_TABLE, unit="F²", gt=0
    )
    dac_j: float = knob(
        4 * MW * 100 * NS / 1024, "one row driven by a 1-bit DAC; times 2^dac_bits - 1", source=_TABLE, unit="J", gt=0
    )
    dac_mm2: float = knob(0.00017 / 1024, "a 1-bit DAC; times 2^dac_bits - 1", source=_TABLE, unit="mm²", gt=0)
    sample_hold_j: float = knob(0.01 * MW * 100 * NS / 1024, "one sample held", source=_TABLE, unit="J", gt=0)
    sample_hold_mm2: float = knob(0.00004 / 1024, "one sample-and-hold", source=_TABLE, unit="mm²", gt=0)
    shift_adds_per_ima: int = knob(4, "shift-and-add units of an IMA", source=_TABLE, ge=1, le=4096)
    shift_add_inputs: int = knob(
        4, "results a shift-and-add unit takes a clock", source="ASSUMED: the pipeline keeps pace with 8 ADCs",
        ge=1, le=256, plausible=(3, 8),
    )  # fmt: skip
    shift_add_j: float = knob(0.2 * MW * 100 * NS / 1024, "one shift and add", source=_TABLE, unit="J", gt=0)
    shift_add_mm2: float = knob(0.00024 / 4, "a shift-and-add unit", source=_TABLE, unit="mm²", gt=0)
    input_register_j_per_bit: float = knob(
        1.24 * MW * 1600 * NS / 16384, "a bit through the input register", source=_TABLE, unit="J", gt=0
    )
    input_register_mm2_per_bit: float = knob(0.0021 / 16384, "a bit of it", source=_TABLE, unit="mm²", gt=0)
    output_register_j_per_bit: float = knob(
        0.23 * MW * 1600 * NS / 2048, "a bit through an IMA's output register", source=_TABLE, unit="J", gt=0
    )
    output_register_mm2_per_bit: float = knob(0.00077 / 2048, "a bit of it", source=_TABLE, unit="mm²", gt=0)
    tile_register_j_per_bit: float = knob(
        1.68 * MW * 1600 * NS / 24576, "a bit through a tile's output register", source=_TABLE, unit="J", gt=0
    )
    tile_register_mm2_per_bit: float = knob(0.0032 / 24576, "a bit of it", source=_TABLE, unit="mm²", gt=0)
    buffer_bus_bits: int = knob(256, "bits a clock of a tile's eDRAM buffer", source=_TABLE, unit="bit", ge=1, le=65536)
    buffer_j_per_bit: float = knob(
        20.7 * MW / (256 * 1.2 * GHZ), "a bit read or written in the buffer", source=_TABLE, unit="J", gt=0
    )
    buffer_mm2: float = knob(0.083, "the buffer of a tile, 64 KB", source=_TABLE, unit="mm²", gt=0)
    bus_wires: int = knob(384, "wires of the bus from buffer to IMAs", source=_TABLE, ge=1, le=65536)
    bus_j_per_bit: float = knob(7 * MW / (384 * 1.2 * GHZ), "a bit over the bus", source=_TABLE, unit="J", gt=0)
    bus_mm2_per_wire: float = knob(0.09 / 384, "a wire of the bus", source=_TABLE, unit="mm²", gt=0)
    flit_bits: int = knob(32, "bits a clock and port of a router", source=_TABLE, unit="bit", ge=1, le=65536)
    router_ports: int = knob(8, "ports of a router", source=_TABLE, ge=1, le=64)
    tiles_per_router: int = knob(4, "tiles that share a router", source=_TABLE, ge=1, le=64)
    mean_hops: float = knob(
        2.0, "routers that an output passes to its next layer", source="ASSUMED: neighbouring tiles", ge=0,
        plausible=(1, 10),
    )  # fmt: skip
    router_j_per_bit: float = knob(
        42 * MW / (32 * 8 * 1.2 * GHZ), "a bit through a router", source=_TABLE, unit="J", gt=0
    )
    router_mm2: float = knob(0.151, "a router", source=_TABLE, unit="mm²", gt=0)
    digital_lanes: int = knob(
        4, "vector operations a clock of a tile", source=f"{_TABLE}: 2 sigmoid, 1 shift-add, 1 max-pool", ge=1, le=65536
    )
    digital_op_j: float = knob(
        0.97 * MW / (4 * 1.2 * GHZ), "a vector operation", source=f"{_TABLE}: 0.52 + 0.05 + 0.4 mW", unit="J", gt=0
    )
    digital_mac_j: float = knob(
        0.3 * PJ * 32 / 45, "a digital 8-bit MAC, for attention", unit="J", gt=0,
        source="[HOROWITZ] fig. 1.1.9: 0.2 + 0.1 pJ at 45 nm, scaled to 32 nm",
    )  # fmt: skip
    digital_lane_mm2: float = knob(
        0.0009 / 4, "a vector lane", source=f"{_TABLE}: 0.0006 + 0.00006 + 0.00024 mm²", unit="mm²", gt=0
    )
    io_bytes_per_s: float = knob(25.6 * GB, "off-chip bandwidth", source=f"{_TABLE}: 4 x 6.4 GB/s", unit="B/s", gt=0)
    io_j_per_bit: float = knob(10.4 / (25.6 * GB * 8), "a bit on or off the chip", source=_TABLE, unit="J", gt=0)
    io_mm2: float = knob(22.88, "the off-chip links", source=_TABLE, unit="mm²", ge=0)
    circuit: Literal["table", "gates"] = knob(
        "table", "energies of arrays and drivers: from the event knobs, or from gates and capacitances at the node and "
        "supply (macros)", source="[ISAAC] Table I for table, [ZIGZAG] for gates",
    )  # fmt: skip
    compute: Literal["analogue", "adder_tree", "adder_chain"] = knob(
        "analogue", "columns summed by charge and converted, or by digital adders: a tree a weight, or row after row",
        source="[ISAAC]; [ZIGZAG] for trees; [COLONNADE] for chains",
    )  # fmt: skip
    product: Literal["and", "xnor"] = knob(
        "and", "what a cell does with input bit and weight bit; sets the share of ones", source="[ISAAC]; xnor: [JIA]"
    )
    merge_slices: bool = knob(
        False, "the slices of a weight are merged by charge, one conversion a weight", source="[ISAAC]: digitally"
    )
    supply_v: float = knob(0.9, "supply", source="[ZIGZAG] nominal at 28 nm", unit="V", ge=0.4, le=2)
    component_supply_v: float = knob(
        0.9, "supply at which the energies and times above are stated", source="[ZIGZAG] nominal at 28 nm", unit="V",
        ge=0.4, le=2,
    )  # fmt: skip
    voltage_delay_exponent: float = knob(
        1.1, "times go with (component supply / supply) to this power", ge=0, le=4,
        source="[CIMLOOP]: 1.1 of a 22 nm macro, 2.66 of a 65 nm macro, 0.7 to 1 V",
    )  # fmt: skip
    input_bit_density: float = knob(
        0.5, "share of ones among the applied input bits", source="ASSUMED: random codes", gt=0, le=1,
        plausible=(0.1, 0.6),
    )  # fmt: skip
    mean_level: float = knob(
        0.5, "mean level of a cell over its largest", source="ASSUMED: random slices", gt=0, le=1, plausible=(0.1, 0.6)
    )
    cell_f_per_nm: float = knob(
        0.13 * _FF, "circuit gates: capacitance that one product switches, a nm of the node", unit="F/nm", ge=0,
        source="fitted to the five analogue macros of the README's section Silicon, leave-one-out there",
    )  # fmt: skip
    input_form: Literal["level", "pulse"] = knob(
        "level", "circuit gates: an input of several bits as one level, or as pulses that charge a cell by the root of "
        "their number of bits", source="[ZIGZAG]: level; pulse: the form that [SURVEY] prefers to 1 and to the bits",
    )  # fmt: skip
    bitline_f_per_cell: float = knob(
        0.0, "circuit gates: capacitance of a column for every cell on it, at 28 nm, switched at each read",
        source="[ZIGZAG] counts it with the cell; [SURVEY] fit: hwmodels.families.crossbar.macro_constants",
        unit="F", ge=0,
    )  # fmt: skip
    cell_current_a: float = knob(
        0.0, "circuit gates: current of a cell that is on, over the read time", unit="A", ge=0, le=1e-3,
        source="0: read by charge; of resistive cells: hwmodels.families.crossbar.macro_constants",
    )  # fmt: skip
    converter_current_a: float = knob(
        0.0, "circuit gates: bias of a column and its sense amplifier over the read time, a conversion", unit="A", ge=0,
        le=1e-2, source="0: none; of resistive cells: hwmodels.families.crossbar.macro_constants",
    )  # fmt: skip
    read_activity: float = knob(
        1.0, "circuit gates: energy of a read over that of one with the stated densities; below 1 where zero operands "
        "skip reads or a figure averages over sparse ones", source="random operands: nothing is skipped", gt=0, le=1,
    )  # fmt: skip
    node_law: Literal["linear", "saturating"] = knob(
        "linear", "circuit gates: capacitances below 22 nm go on shrinking with the node, or by its power 0.34 only",
        source="[ZIGZAG]: linear; saturating: [SURVEY], as FinFETs have it",
    )  # fmt: skip
    unit_capacitors: float = knob(
        1.0, "circuit gates: capacitors a cell, 3 in a C-2C ladder", source="[ZIGZAG]: one", ge=1, le=16
    )
    dac_f_per_bit: float = knob(
        50 * _FF, "circuit gates: capacitance a bit of a DAC of 2 bits or more, at 28 nm", source="[ZIGZAG]", unit="F",
        ge=0,
    )  # fmt: skip
    adc_step_j: float = knob(
        21 * FJ, "adc_model walden: energy a step at 1 V", unit="J", gt=0,
        source="fitted to the five analogue macros of the README's section Silicon, leave-one-out there",
    )  # fmt: skip
    adc_step_f: float = knob(
        ENERGY.adc_step_f, "adc_model capacitive: capacitance a step at 28 nm", unit="F", gt=0,
        source="[SURVEY] fit: hwmodels.families.crossbar.macro_constants",
    )  # fmt: skip
    adc_fixed_f: float = knob(
        ENERGY.adc_fixed_f, "adc_model capacitive: capacitance of a decision whatever the bits, at 28 nm", unit="F",
        ge=0,
        source="[SURVEY] fit: hwmodels.families.crossbar.macro_constants",
    )  # fmt: skip
    multiplier: Literal["selected", "adders"] = knob(
        "selected", "digital sums, inputs of 2 bits or more: multiples of the weight are selected (Booth), or added up",
        source="[ZIGZAG]: selected; adders: an array multiplier",
    )  # fmt: skip
    gate_overhead: float = knob(
        1.0, "circuit gates: switched capacitance of digital parts over that of their gates: wires, clock, registers",
        source="[ZIGZAG]: gates alone; [SURVEY] fit: hwmodels.families.crossbar.macro_constants", ge=0.1, le=100,
    )  # fmt: skip
    sense_amp_j: float = knob(
        2.27 * FJ, "adc_model flash: one sense amplifier's decision", unit="J", gt=0,
        source="[NEUROSIM] runs at 22 nm: 1.56 fJ a level between 4 and 8 bits, scaled to 32 nm",
    )  # fmt: skip
    sense_amp_mm2: float = knob(
        25.8e-6, "adc_model flash: one sense amplifier", unit="mm²", gt=0,
        source="[NEUROSIM] runs at 22 nm: 12.2 µm² a level at 4 and 5 bits, scaled to 32 nm",
    )  # fmt: skip
    adc_area_f2: float = knob(
        AREA.converter_f2, "adc_model capacitive: area of a converter in squared feature sizes, a bit and one more",
        unit="F²",
        source="[SURVEY] fit: hwmodels.families.crossbar.macro_constants", gt=0,
    )  # fmt: skip
    gate_area: float = knob(
        1.0, "circuit gates: area of adders and products over that of standard cells", source="[ZIGZAG]: standard "
        "cells; compacted ones: [SURVEY] fit, hwmodels.families.crossbar.macro_constants", ge=0.01, le=100,
    )  # fmt: skip
    line_mm2: float = knob(
        0.0, "circuit gates: drivers of a row or column, at 28 nm", source="[ZIGZAG] counts none; [SURVEY] fit: "
        "hwmodels.families.crossbar.macro_constants", unit="mm²", ge=0,
    )  # fmt: skip
    control_mm2: float = knob(
        0.0, "circuit gates: control of an array, at 28 nm", source="[ZIGZAG] counts none; [SURVEY] fit: "
        "hwmodels.families.crossbar.macro_constants", unit="mm²", ge=0,
    )  # fmt: skip
    roadmap: Literal["hp", "lstp"] = knob(
        "lstp", "transistors for performance or for low standby power: of adc_model sar_roadmap, of static_power parts",
        source="[NEUROSIM] V1.3 default",
    )  # fmt: skip
    cell_on_ohm: float = knob(
        6e3, "adc_model sar_roadmap: a cell in its on state", source="[NEUROSIM] V1.3 default", unit="ohm", gt=0
    )
    cell_device: Literal["custom", "sram_6t", "sram_8t", "rram", "pcm", "fefet"] = knob(
        "custom", "area, writing and endurance of a cell: of the knobs, or of a kind of cell",
        source="hwmodels.families.crossbar.devices",
    )  # fmt: skip
    cell_write_j: float = knob(
        10 * PJ, "one cell written", source="ASSUMED: 2 V, 100 µA, 50 ns of resistive memory", unit="J", ge=0,
        plausible=(1e-12, 1e-10),
    )  # fmt: skip
    row_write_s: float = knob(
        50 * NS, "one row of an array written", source="ASSUMED: a pulse of resistive memory", unit="s", ge=0,
        plausible=(1e-8, 1e-6),
    )  # fmt: skip
    endurance_writes: float = knob(
        1e8, "writes that a cell survives", source="ASSUMED: resistive memory", gt=0, plausible=(1e6, 1e9)
    )
    required_batches: float = knob(
        0.0, "batches that the cells must survive; 0 asks nothing", source="the user's to state", ge=0
    )
    weights: Literal["resident", "reloaded"] = knob(
        "resident", "weights stay, and a network that does not fit is infeasible; or every layer is written before it "
        "runs, in as many passes as it needs", source="[ISAAC]: resident",
    )  # fmt: skip
    dynamic_operands: Literal["digital", "arrays"] = knob(
        "digital", "attention's products: on the vector lanes, or with one operand written into arrays",
        source="[ISAAC] has no attention; lanes are the safe choice",
    )  # fmt: skip
    scratch_tiles: int = knob(
        1, "tiles kept free for dynamic operands in arrays", source="ASSUMED", ge=1, le=65536, plausible=(1, 64)
    )
    packing: Literal["none", "block_diagonal"] = knob(
        "none", "groups (depthwise) in one array: none, or as many as fit on its diagonal", source="[ISAAC]: none"
    )
    kernel_mapping: Literal["unrolled", "split"] = knob(
        "unrolled", "a convolution as one matrix, or as one for each position of its kernel",
        source="[ISAAC]; split: [NEUROSIM]",
    )  # fmt: skip
    interconnect: Literal["mesh", "htree"] = knob(
        "mesh", "outputs pass mean_hops routers, or the wires of an H-tree over the tiles", source="[ISAAC] V: mesh"
    )
    wire_j_per_bit_mm: float = knob(
        0.08 * PJ, "interconnect htree: a bit over a mm", source="ASSUMED: repeated wires at 32 nm", unit="J/mm", ge=0,
        plausible=(0.06e-12, 0.1e-12),
    )  # fmt: skip
    idle_leakage_share: float = knob(
        0.05, "share of its leakage that a tile draws while another layer runs: 1 where nothing is gated", ge=0, le=1,
        source="ASSUMED: power switches that leave a twentieth", plausible=(0.01, 1.0),
    )  # fmt: skip
    dram_j_per_bit: float = knob(
        0.0, "a bit of DRAM, beside the off-chip links", source="[ISAAC]: links only; 3.7 pJ of LPDDR in [ZIGZAG]",
        unit="J", ge=0,
    )  # fmt: skip
    buffer_bytes: int = knob(
        0, "capacity of a tile's buffer: what exceeds all of them goes to DRAM and back; 0 is not limited",
        source="[ISAAC] Table I: 65536, whose pipeline never fills them", unit="B", ge=0,
    )  # fmt: skip
    compat: Literal["none", "neurosim_padding"] = knob(
        "none", "count as a peer does: NeuroSim V1.3 computes a padded convolution's windows without the padding",
        source="[NEUROSIM] as run: 616 M against 445 M MACs of its VGG8",
    )  # fmt: skip

    @classmethod
    def numerics_table(cls, table: CrossbarTable) -> F64:
        """The `Numerics` of each configuration, (C, len(Numerics)), with 0 where a knob changes no reading."""
        active = active_rows(table)
        varies, drifts, wired = table.conductance_sigma > 0, table.drift_s > DRIFT_START_S, table.wire_resistance > 0
        is_pcm = drifts & (table.drift_law == 1)
        drifting = drifts & (is_pcm | (table.drift_nu + table.drift_nu_sigma > 0))
        restarts = (table.array_rows % active > 0) | (drifting & (table.drift_compensated == 1))
        columns: dict[str, npt.ArrayLike] = {
            "weight_bits": table.weight_bits,
            "activation_bits": table.activation_bits,
            "cell_bits": _cell_bits_of_a_reading(table),
            "dac_bits": table.dac_bits,
            "active_rows": active,
            "adc_bits": resolved_adc_bits(table),
            "adc_calibrated": table.adc_calibrated,
            "differential": table.sign_scheme,
            "conductance_sigma": table.conductance_sigma,
            "array_rows": np.where(restarts | wired, table.array_rows, 0),
            "array_cols": np.where(wired, table.array_cols, 0),
            "variation": np.where(varies, table.variation, 0),
            "stuck_off": table.stuck_off,
            "stuck_on": table.stuck_on,
            "drift_s": np.where(drifting, table.drift_s, 0),
            "drift_nu": np.where(drifting & ~is_pcm, table.drift_nu, 0),
            "drift_nu_sigma": np.where(drifting & ~is_pcm, table.drift_nu_sigma, 0),
            "drift_of_state": is_pcm,
            "drift_compensated": np.where(drifting, table.drift_compensated, 0),
            "read_sigma": table.read_sigma,
            "wire_resistance": table.wire_resistance,
            "off_conductance": table.off_conductance,
            "adc_noise_lsb": table.adc_noise_lsb,
            "weight_exponent_bits": np.zeros_like(table.weight_bits),
            "activation_exponent_bits": np.zeros_like(table.weight_bits),
        }
        numerics = np.stack([np.asarray(columns[name], np.float64) for name in Numerics._fields], axis=1)
        # Digital adders lose nothing: widths of operands are all that an accuracy needs to know.
        numerics[table.compute != 0, Numerics._fields.index("cell_bits") :] = 0.0
        return numerics


if TYPE_CHECKING:
    CrossbarTable = Any
else:
    CrossbarTable = namedtuple("CrossbarTable", CrossbarSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    CrossbarSpec.table_type = CrossbarTable


def active_rows(table: CrossbarTable) -> I64:
    """Rows read at once, (C,): `active_rows`, or all of them."""
    wanted = np.where(table.active_rows > 0, table.active_rows, table.array_rows)
    rows: I64 = np.minimum(wanted, table.array_rows)
    return rows


def resolved_adc_bits(table: CrossbarTable) -> I64:
    """Bits of an ADC, (C,): `adc_bits`, or as many as lose nothing where that is 0."""
    lossless = lossless_adc_bits(active_rows(table), table.dac_bits, _cell_bits_of_a_reading(table))
    return np.where(table.adc_bits == 0, lossless, table.adc_bits)


def _cell_bits_of_a_reading(table: CrossbarTable) -> I64:
    """Slices merged by charge read like one cell of the whole weight."""
    bits: I64 = np.where(table.merge_slices == 1, table.weight_bits, table.cell_bits)
    return bits
