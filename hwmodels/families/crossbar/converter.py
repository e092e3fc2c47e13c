"""ADCs of a crossbar: energy, area and time of one conversion, by the model that the configuration names.

Seven models, all closed forms over columns (C,): two general ones (regression over published converters, energy per
step), three of one circuit each (ISAAC's, a 28 nm SAR within a macro, the SAR of a process roadmap), flash, and the
adder of a digital macro, which takes a converter's place (`gates`). What is NOT modelled: mismatch calibration,
reference buffers, the energy of a conversion as a function of its result.

Sources: [ADC] survey regression of the CiMLoop plug-in; [ISAAC], [SABERI]; [ZIGZAG] Sun et al., the 28 nm fit of
zigzag-imc; [NEUROSIM] facts of DNN+NeuroSim V1.3, and the README's fit to its runs; [WALDEN] Walden, JSAC 1999.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar.gates import capacitance_nm
from hwmodels.families.crossbar.spec import CrossbarTable, active_rows, resolved_adc_bits

__all__ = ["ADC_MODELS", "Converters", "adc_area_mm2", "adc_energy_j", "converters"]

F64 = npt.NDArray[np.float64]
_Number = npt.ArrayLike

ADC_MODELS = ("survey", "isaac", "sar_28nm", "sar_roadmap", "flash", "walden", "capacitive")
"""Names by the code that `CrossbarTable.adc_model` holds."""

_ROADMAP_NODES_NM = np.array([7.0, 10.0, 14.0, 22.0, 32.0, 45.0, 65.0, 90.0, 130.0])
# [NEUROSIM] SAR column power (a bits + c) µW + k exp(s log10 R) W by node, low to high; rows a, c, k, s.
_ROADMAP_HP = np.array(
    [
        [0.2008, 0.3076, 0.471, 0.7213, 1.0157, 2.1843, 2.9503, 4.3474, 6.4806],
        [0.6823, 1.1543, 1.9529, 3.3041, 7.6286, 11.931, 22.047, 31.782, 49.047],
        [0.04031, 0.049418, 0.060584, 0.084273, 0.083709, 0.097754, 0.128483, 0.1649, 0.207452],
        [-2.311, -2.311, -2.311, -2.311, -2.313, -2.296, -2.321, -2.345, -2.367],
    ]
)
_ROADMAP_LSTP = np.array(
    [
        [0.1061, 0.1823, 0.3132, 0.538, 1.1294, 2.1691, 3.7506, 5.9869, 8.4483],
        [0.8847, 1.5073, 2.5681, 4.3753, 8.8998, 16.693, 25.844, 37.462, 65.243],
        [0.043555, 0.05158, 0.061085, 0.072341, 0.079449, 0.100225, 0.121272, 0.144323, 0.16938],
        [-2.303, -2.303, -2.303, -2.303, -2.297, -2.303, -2.303, -2.303, -2.303],
    ]
)
_INVERTER_F2 = 213.0  # ASSUMED (150 to 300): half an inverter, from the area of one 5-bit SAR of NeuroSim at 22 nm
_FLASH_CROWDED = 390.0  # [NEUROSIM] runs: sense amplifiers of a flash ADC at which one takes twice the area
_FLASH_SLOWED = 227.0  # [NEUROSIM] runs, clock: and twice the time
_ROADMAP_BIT_S = 1e-9  # [NEUROSIM] a bit of the SAR takes 1 ns, and so does a latched sense amplifier


class Converters(NamedTuple):
    """One conversion, (C,) each."""

    energy_j: F64
    area_mm2: F64
    time_s: F64


def adc_energy_j(model: _Number, bits: _Number, samples_per_s: _Number, node_nm: _Number) -> F64:
    """Energy of one conversion of the models that need nothing else (survey 0, isaac 1), J.

    survey, n = max(bits, 4) as the regression was fitted from 4 bits on, E proportional to the bits below:
        SNDR = 6.0206 n + 1.7609                                                                          dB
        FoM  = min(213.78067 - 2.87190 ln f, 128.30684 + 3.220512 n)                                      dB
        E    = 0.5 10^((SNDR - FoM) / 10) exp(26.0496216 + 1.8800369 ln node - 2.8291256 ln n - 1.4702022)  pJ
    isaac, 2 mW at 1.28 GS/s, 8 bits and 32 nm [ISAAC Table I]; with the bits, a linear part (reference, logic, clock)
    and a capacitive DAC that doubles, 1/16 of the energy at 8 bits [SABERI]; node exponent of the survey:
        E    = 2 mW / 1.28 GS/s (15/16 bits/8 + 1/16 2^(bits - 8)) (node / 32)^1.8800369
    """
    b, f, node = np.asarray(bits, np.float64), np.asarray(samples_per_s, np.float64), np.asarray(node_nm, np.float64)
    n = np.maximum(b, 4.0)
    sndr_db = 6.0206 * n + 1.7609
    fom_db = np.minimum(213.78067 - 2.87190 * np.log(f), 128.30684 + 3.220512 * n)
    exponent = 26.0496216 + 1.8800369 * np.log(node) - 2.8291256 * np.log(n) - 1.4702022
    survey = 1e-12 * 0.5 * 10.0 ** ((sndr_db - fom_db) / 10.0) * np.exp(exponent) * b / n
    law = 15.0 / 16.0 * b / 8.0 + 2.0 ** (b - 8.0) / 16.0
    isaac = 2e-3 / 1.28e9 * law * (node / 32.0) ** 1.8800369
    return np.asarray(np.where(np.asarray(model) == 1, isaac, survey))


def adc_area_mm2(model: _Number, bits: _Number, samples_per_s: _Number, node_nm: _Number) -> F64:
    """Area of one ADC of the same models, mm².

    survey : A = exp(1.3461916 + 0.9932795 ln node + 0.1807154 ln f + 0.2991243 ln E_pJ)  µm²
    isaac : 1200 µm² at 8 bits and 32 nm [ISAAC Table I], 0.4552 of it the capacitive DAC [SABERI]:
        A = 1200 (0.5448 bits/8 + 0.4552 2^(bits - 8)) (node / 32)^0.9932795                  µm²
    """
    b, f, node = np.asarray(bits, np.float64), np.asarray(samples_per_s, np.float64), np.asarray(node_nm, np.float64)
    energy_pj = 1e12 * adc_energy_j(0, b, f, node)
    exponent = 1.3461916 + 0.9932795 * np.log(node) + 0.1807154 * np.log(f) + 0.2991243 * np.log(energy_pj)
    law = 0.5448 * b / 8.0 + 0.4552 * 2.0 ** (b - 8.0)
    isaac = 1200.0 * law * (node / 32.0) ** 0.9932795
    return np.asarray(1e-6 * np.where(np.asarray(model) == 1, isaac, np.exp(exponent)))


def converters(table: CrossbarTable) -> Converters:
    """Energy, area and time of one conversion of every configuration of a `CrossbarTable`."""
    code = table.adc_model
    bits, node, rate = resolved_adc_bits(table).astype(np.float64), table.node_nm, table.adc_samples_per_s
    rate = rate * (table.supply_v / table.component_supply_v) ** table.voltage_delay_exponent
    general_j = (
        adc_energy_j(code, bits, table.adc_samples_per_s, node) * (table.supply_v / table.component_supply_v) ** 2
    )
    general = Converters(general_j, adc_area_mm2(code, bits, table.adc_samples_per_s, node), 1.0 / rate)
    chosen = [np.broadcast_to(field, code.shape) for field in general]
    for position, other in enumerate((_sar_28nm, _sar_roadmap, _flash, _walden, _capacitive), start=2):
        asked = code == position
        if asked.any():
            chosen = [np.where(asked, new, old) for new, old in zip(other(table, bits, rate), chosen, strict=True)]
    return Converters(*chosen)


def _sar_28nm(table: CrossbarTable, bits: F64, rate: F64) -> Converters:
    """[ZIGZAG] SAR within a macro, fitted at 28 nm; energy and area in proportion to the node, V the supply.

    E = (100 n + 0.001 4^n) V² fJ     A = 10^(1.206 - 0.0369 n) 2^n µm²     t = n (0.00653 rows + 0.640) ns
    """
    shrink = table.node_nm / 28.0
    energy = 1e-15 * (100.0 * bits + 0.001 * 4.0**bits) * table.supply_v**2 * shrink
    return Converters(energy, _sar_28nm_mm2(bits) * shrink, 1e-9 * bits * (0.00653 * active_rows(table) + 0.640))


def _sar_28nm_mm2(bits: F64) -> F64:
    area: F64 = 1e-6 * 10.0 ** (1.206 - 0.0369 * bits) * 2.0**bits
    return area


def _sar_roadmap(table: CrossbarTable, bits: F64, rate: F64) -> Converters:
    """[NEUROSIM] SAR by node and roadmap, log-linear between nodes; the column's resistance R sets the current.

    P = (a n + c) µW + k exp(s log10 R) W     E = P (n + 1) ns     t = (n + 1) ns
    A = inverter halves (269 + 109 (n - 1) + 209 + 73 (n - 1))     R = on-resistance / (active rows p(1) mean level)
    """
    a, c, k, s = np.where(
        table.roadmap == 0, _at_node(_ROADMAP_HP, table.node_nm), _at_node(_ROADMAP_LSTP, table.node_nm)
    )
    column_ohm = table.cell_on_ohm / (active_rows(table) * table.input_bit_density * table.mean_level)
    power_w = 1e-6 * (a * bits + c) + k * np.exp(s * np.log10(column_ohm))
    time_s = _ROADMAP_BIT_S * (bits + 1.0)
    halves = 269.0 + 109.0 * (bits - 1.0) + 209.0 + 73.0 * (bits - 1.0)
    return Converters(power_w * time_s, halves * _INVERTER_F2 * (1e-6 * table.node_nm) ** 2, time_s)


def _at_node(rows: F64, node_nm: F64) -> F64:
    """Rows (4, nodes) at every node of (C,): (4, C); the last row, s, is negative."""
    log_node = np.log(node_nm)
    sign = np.array([1.0, 1.0, 1.0, -1.0])
    known = np.log(_ROADMAP_NODES_NM)
    return np.stack(
        [sg * np.exp(np.interp(log_node, known, np.log(sg * row))) for sg, row in zip(sign, rows, strict=True)]
    )


def _flash(table: CrossbarTable, bits: F64, rate: F64) -> Converters:
    """A sense amplifier a reference, s = 2^n - 1: E = s e, A = s a (1 + s / 390), t = 1 ns (1 + s / 227).

    Growth of area beyond s and of time: NeuroSim's runs at 4 to 8 bits (ASSUMED elsewhere, 200 to no end). Digital
    scaling from the component node: energy with node and V², area with node².
    """
    shrink = table.node_nm / table.component_node_nm
    steps = 2.0**bits - 1.0
    energy = steps * table.sense_amp_j * shrink * (table.supply_v / table.component_supply_v) ** 2
    area = steps * table.sense_amp_mm2 * (1.0 + steps / _FLASH_CROWDED) * shrink**2
    return Converters(energy, area, _ROADMAP_BIT_S * (1.0 + steps / _FLASH_SLOWED))


def _walden(table: CrossbarTable, bits: F64, rate: F64) -> Converters:
    """[WALDEN] a fixed energy a step at 1 V, the supply squared: E = e 2^n V²; area of the 28 nm SAR; t = 1 / f.

    No node: measured converters of macros at 22 and 65 nm take the same energy a step (README, "Silicon").
    """
    energy = table.adc_step_j * 2.0**bits * table.supply_v**2
    return Converters(energy, _sar_28nm_mm2(bits) * table.node_nm / 28.0, 1.0 / rate)


def _capacitive(table: CrossbarTable, bits: F64, rate: F64) -> Converters:
    """A macro's converter: E = (c_step 2^n + c_fixed r) node/28 V², A = a (n - log2 r + 1) node², r reads; t = 1 / f.

    The fixed part is what a sense amplifier, its latches and clock take a decision: all that one bit costs. A counting
    converter of 2^n - 1 reads is one sense amplifier.
    """
    node_nm = capacitance_nm(table.node_nm, table.node_law)
    farad = table.adc_step_f * 2.0**bits + table.adc_fixed_f * table.reads_per_conversion
    energy = farad * node_nm / 28.0 * table.supply_v**2
    decided = np.maximum(bits - np.log2(table.reads_per_conversion), 0.0) + 1.0
    return Converters(energy, decided * table.adc_area_f2 * (1e-6 * table.node_nm) ** 2, 1.0 / rate)
