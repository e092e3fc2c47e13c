"""What one event costs: a cell, a column or a row read, a conversion, a sum, of every configuration.

Columns (C,) in, columns out. Circuit `table` scales published energies of components, circuit `gates` counts
capacitances and currents at the node and supply themselves ([ZIGZAG], and [SURVEY] for what published macros add to
it). What is NOT modelled stands in the README beside this file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar import gates
from hwmodels.families.crossbar.converter import ADC_MODELS, Converters, converters
from hwmodels.families.crossbar.spec import CrossbarTable, active_rows, resolved_adc_bits

__all__ = [
    "XNOR_NAND2",
    "Events",
    "accumulator_bits",
    "ceil_of",
    "converter_of",
    "digital_scale",
    "drive_factor",
    "event_costs",
    "merges",
    "read_s",
    "tree_adders",
    "weight_bit_j",
    "words_a_row",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_RANDOM = 0.25  # [ZIGZAG] share of ones of a product of random bits: that of the published component energies
_WORD_ACTIVITY = 0.5  # ASSUMED (0.3 to 1): share of the bits of a running sum that change
XNOR_NAND2 = 1.5  # [ZIGZAG] an XOR2 against the NAND2 of a product of bits


class Events(NamedTuple):
    """Energy of one event of the arrays and their periphery, (C,) each, J; of a conversion its time and area, too."""

    cell: F64
    column: F64
    dac: F64
    sample_hold: F64
    conversion: Converters
    shift_add: F64


def event_costs(table: CrossbarTable) -> Events:
    """`table`: the knobs, scaled, with the data's share of ones against random ones. `gates`: capacitances, V² each.

    The roadmap's SAR holds the column's current, so that cells cost nothing beside it.
    """
    scale, reads = digital_scale(table), table.reads_per_conversion
    supply = (table.supply_v / table.component_supply_v) ** 2
    of_gates, adds = table.circuit == 1, table.compute != 0
    mean_cell = table.cell_read_w * table.read_time_s * supply * _share_of_ones(table) / _RANDOM
    mean_cell = np.where(table.adc_model == ADC_MODELS.index("sar_roadmap"), 0.0, mean_cell)
    mean_dac = table.dac_j * (2**table.dac_bits - 1) * scale * table.input_bit_density / 0.5
    conversion = converter_of(table)
    plain = Events(
        cell=mean_cell * reads,
        column=np.zeros(reads.shape),
        dac=mean_dac * reads,
        sample_hold=np.where(adds, 0.0, table.sample_hold_j * scale),
        conversion=conversion,
        shift_add=table.shift_add_j * scale,
    )
    if not of_gates.any():
        return plain
    gated = _gate_events(table, conversion)
    return Events(
        cell=np.where(of_gates, gated.cell, plain.cell),
        column=np.where(of_gates, gated.column, plain.column),
        dac=np.where(of_gates, gated.dac, plain.dac),
        sample_hold=np.where(of_gates, gated.sample_hold, plain.sample_hold),
        conversion=conversion,
        shift_add=np.where(of_gates, gated.shift_add, plain.shift_add),
    )


def _gate_events(table: CrossbarTable, conversion: Converters) -> Events:
    """Circuit gates, s = node / 28 nm, U = C s V² of a NAND2 with its overhead, q the share of ones among products.

    cell       analogue: (c node k V² a + I V t) q, k capacitors a cell, a = 1, of pulses sqrt(bd); adders: q U, 1.5 U
               of an XNOR
    column     bit line: c_b R s V²
    DAC        50 fF bits s V² from 2 bits on, else in the cells
    conversion of the converter and the bias I V t of its column, or the adders of a weight's rows: 6 U each, a share q
               of them switching
    shift-add  an adder and a flip-flop a bit of the running sum, half of them switching
    Cells, columns and rows as often as a conversion reads; all times `read_activity`.
    """
    ones, reads, squared = _share_of_ones(table), table.reads_per_conversion, table.supply_v**2
    node_nm, adds, active = gates.capacitance_nm(table.node_nm, table.node_law), table.compute != 0, table.read_activity
    nand2 = _nand2_j(table)
    product_nand2 = np.where(table.product == 1, XNOR_NAND2, 1.0)
    charge = table.cell_f_per_nm * node_nm * table.unit_capacitors * squared * ones
    charge = charge * np.where(table.input_form == 1, np.sqrt(table.dac_bits), 1.0)
    once_s = read_s(table) / reads
    current = table.cell_current_a * table.supply_v * once_s * ones
    bitline = table.bitline_f_per_cell * table.array_rows * squared * node_nm / gates.NODE_NM
    many_bits = np.where(table.dac_bits > 1, table.dac_bits, 0)
    dac = table.dac_f_per_bit * many_bits * squared * node_nm / gates.NODE_NM
    word = (gates.ADDER_NAND2 + gates.REGISTER_NAND2) * nand2 * _WORD_ACTIVITY * accumulator_bits(table)
    return Events(
        cell=np.where(adds, ones * product_nand2 * nand2, charge + current) * reads * active,
        column=np.where(adds, 0.0, bitline) * reads * active,
        dac=np.where(adds, 0.0, dac) * reads * active,
        sample_hold=np.zeros(ones.shape),
        conversion=conversion,
        shift_add=word * active,
    )


def converter_of(table: CrossbarTable) -> Converters:
    """One conversion; of a digital macro, one sum over the rows of a weight, timed by `read_time_s`."""
    found = converters(table)
    adds, of_gates = table.compute != 0, table.circuit == 1
    if not (adds | of_gates).any():
        return found
    energy = tree_adders(table) * gates.ADDER_NAND2 * _nand2_j(table) * _share_of_ones(table)
    biased = found.energy_j + of_gates * table.converter_current_a * table.supply_v * read_s(table)
    activity = np.where(of_gates, table.read_activity, 1.0)
    joules = np.where(adds, energy, biased) * activity
    return Converters(joules, found.area_mm2, np.where(adds, 0.0, found.time_s))


def read_s(table: CrossbarTable) -> F64:
    """Reads of one conversion at the supply: stated time, as often as the array is read, s."""
    time_s: F64 = table.read_time_s * drive_factor(table) * table.reads_per_conversion
    return time_s


def _nand2_j(table: CrossbarTable) -> F64:
    """A NAND2 at node and supply, with the wires and clock that come with it."""
    node_nm = gates.capacitance_nm(table.node_nm, table.node_law)
    return gates.nand2_j(node_nm, table.supply_v) * np.where(table.circuit == 1, table.gate_overhead, 1.0)


def _share_of_ones(table: CrossbarTable) -> F64:
    """Of products of input bit (share p) and level (mean g): p g of AND, p g + (1 - p)(1 - g) of XNOR."""
    p, g = table.input_bit_density, table.mean_level
    ones: F64 = np.where(table.product == 1, p * g + (1 - p) * (1 - g), p * g)
    return ones


def tree_adders(table: CrossbarTable) -> F64:
    """Full adders behind one weight: products are weight_bits + dac_bits - 1 wide.

    A multiplier of adders has R (bd - 1) bw more.
    """
    width, rows = table.weight_bits + table.dac_bits - 1, active_rows(table)
    sums = np.where(table.compute == 2, gates.chain_adders(rows, width), gates.tree_adders(rows, width))
    products: F64 = sums + np.where(table.multiplier == 1, rows * (table.dac_bits - 1) * table.weight_bits, 0)
    return products


def weight_bit_j(table: CrossbarTable) -> F64:
    """What a digital sum costs more for each bit of the weight: the adders of one more column of every row."""
    if not (table.compute != 0).any():
        return np.zeros(table.compute.shape)
    width = table.weight_bits + table.dac_bits - 1
    rows = active_rows(table)
    tree = gates.tree_adders(rows, width + 1) - gates.tree_adders(rows, width)
    adders = np.where(table.compute == 2, rows, tree) + np.where(table.multiplier == 1, rows * (table.dac_bits - 1), 0)
    joules = adders * gates.ADDER_NAND2 * _nand2_j(table) * _share_of_ones(table)
    joules = joules * np.where(table.circuit == 1, table.read_activity, 1.0)
    return np.where(table.compute == 0, 0.0, joules)


def accumulator_bits(table: CrossbarTable) -> F64:
    """Width of the running sum over input slices.

    Analogue: ADC bits + activation bits, and the weight's where slices are merged digitally.
    Adders: product + log2(rows) + activation bits.
    """
    merged = np.where(merges(table), 0, table.weight_bits)
    analogue = resolved_adc_bits(table) + merged + table.activation_bits
    depth = np.ceil(np.log2(active_rows(table)))
    adders = table.weight_bits + table.dac_bits - 1 + depth + table.activation_bits
    bits: F64 = np.where(table.compute == 0, analogue, adders).astype(np.float64)
    return bits


def digital_scale(table: CrossbarTable) -> F64:
    """Energy of a digital part against its stated one: node V²."""
    scale: F64 = table.node_nm / table.component_node_nm * (table.supply_v / table.component_supply_v) ** 2
    return scale


def drive_factor(table: CrossbarTable) -> F64:
    """Times against their stated ones: (component supply / supply)^x [CIMLOOP]."""
    factor: F64 = (table.component_supply_v / table.supply_v) ** table.voltage_delay_exponent
    return factor


def merges(table: CrossbarTable) -> npt.NDArray[np.bool_]:
    """One conversion a weight: merged by charge, or by the adders of a digital macro."""
    merged: npt.NDArray[np.bool_] = (table.merge_slices == 1) | (table.compute != 0)
    return merged


def _slices(table: CrossbarTable) -> I64:
    """Columns a weight of the widest width."""
    slices: I64 = ceil_of(table.weight_bits, table.cell_bits) * (1 + table.sign_scheme)
    return slices


def words_a_row(table: CrossbarTable) -> I64:
    """Weights of the widest width in a row."""
    words: I64 = table.array_cols // _slices(table)
    return words


def ceil_of(a: I64, b: I64) -> I64:
    """a / b, rounded up."""
    return -(-a // b)
