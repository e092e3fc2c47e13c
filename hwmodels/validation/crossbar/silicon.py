"""Published macros against the family's circuit of gates: one operating point a chip, leave one chip out.

Seven chips of disclosed sparsity, each a preset of the catalogue with what its paper states: node, supply, rows, bits,
kind of cell and converter. Two physical constants are common to the five analogue ones, the energy of an ADC step at
1 V and the capacitance a cell switches a nm of the node; a chip is predicted with both fitted to the other four. The
two digital ones have published gate capacitances and nothing fitted. No chip has a knob of its own: toggle rates and
calibration factors of the peers are not read. The metric is energy a MAC of the macro: cells, DACs, converters or
adders, running sums.

The peer's three chips of undisclosed sparsity are left out of the score: two are digital and given apart, of AIMC2
there is no row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device
from hwmodels.families.crossbar.macro import gate_overhead
from hwmodels.families.crossbar.macro_constants import ENERGY, Sum
from hwmodels.families.crossbar.model import MODEL, cost
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = [
    "CHIPS",
    "SURVEYED",
    "Chip",
    "by_shared_constants",
    "leave_one_out",
    "macro_energy_j",
    "other_chips",
    "reported_tops_per_w",
    "trends",
]

F64 = npt.NDArray[np.float64]
Rows = list[dict[str, str]]

_MACRO_TERMS = ("array_j", "dac_j", "sample_hold_j", "adc_j", "shift_add_j")
_CONSTANTS = ("adc_step_j", "cell_f_per_nm")
_VECTORS = 1000


class Chip(NamedTuple):
    """A preset with its headline: where the reported figure stands, and the bits that it was measured at."""

    preset: str
    table: str
    label: str
    condition: str
    supply_v: float
    weight_bits: int
    activation_bits: int


CHIPS = (
    Chip("aimc_cicc_2021", "silicon_zigzag_imc", "AIMC1", "", 0.8, 2, 7),
    Chip("aimc_isscc_2023_7_8", "silicon_zigzag_imc", "AIMC3", "", 0.8, 8, 8),
    Chip("dimc_isscc_2022_15_5", "silicon_zigzag_imc", "DIMC1", "", 0.9, 8, 8),
    Chip("jia_jssc_2020", "silicon_cimloop_macros", "jia_jssc_2020", "1b", 0.85, 1, 1),
    Chip("sinangil_jssc_2021", "silicon_cimloop_macros", "sinangil_jssc_2021", "avg_output_code=6", 0.8, 4, 4),
    Chip("wang_vlsi_2022", "silicon_cimloop_macros", "wang_vlsi_2022", "voltage sweep", 0.7, 8, 8),
    Chip("colonnade_jssc_2021", "silicon_cimloop_macros", "colonnade_jssc_2021", "100MHz, input bits=weight bits",
         0.6, 1, 1),
)  # fmt: skip
"""Headline of each: the best figure that its paper is quoted with, at the supply it was measured at."""


SURVEYED = ("aimc_cicc_2021", "jia_jssc_2020", "wang_vlsi_2022")
"""Chips that the survey has, too: its constants were fitted to them among others."""

_WAYS: dict[str, Sum] = {
    # [SURVEY] where the chip is in it; ASSUMED of AIMC3 (capacitors, by its title) and Sinangil (pulses on a bit line).
    "aimc_cicc_2021": "charge", "aimc_isscc_2023_7_8": "redistribution", "jia_jssc_2020": "redistribution",
    "sinangil_jssc_2021": "charge", "wang_vlsi_2022": "redistribution",
}  # fmt: skip


def by_shared_constants(chip: Chip) -> float:
    """TOPS/W of a chip with the constants that 49 papers share; nothing of the chip but its preset."""
    spec = _spec(chip)
    knobs: dict[str, Any] = {"node_law": "saturating", "gate_overhead": gate_overhead(ENERGY, spec.node_nm)}
    if spec.compute == "analogue":
        knobs["gate_overhead"] = ENERGY.gate_overhead
        by_charge = _WAYS[chip.preset] == "charge"
        knobs |= {
            "adc_model": "capacitive",
            "adc_step_f": ENERGY.adc_step_f,
            "adc_fixed_f": ENERGY.adc_fixed_f,
            "cell_f_per_nm": (ENERGY.charge_f if by_charge else ENERGY.capacitor_f) / 28.0,
            "input_form": "pulse" if by_charge else "level",
            "bitline_f_per_cell": ENERGY.bitline_f if by_charge else 0.0,
            "dac_f_per_bit": ENERGY.driver_f_per_bit if spec.dac_f_per_bit else 0.0,
        }
    bits = {"weight_bits": chip.weight_bits, "activation_bits": chip.activation_bits}
    return 2e-12 / macro_energy_j(spec.model_copy(update=knobs), **bits)


def reported_tops_per_w(chip: Chip, tables: Mapping[str, Rows]) -> float | None:
    """The headline in TOPS/W, 1 MAC = 2 operations; None where its table or row is absent."""
    for row in tables.get(chip.table, []):
        if row.get("label") == chip.label and row.get("reported_TOPS_per_W"):
            return float(row["reported_TOPS_per_W"])
        if row.get("macro") != chip.label or row["condition"] != chip.condition:
            continue
        same = float(row["vdd_V"]) == chip.supply_v and int(row["weight_bits"]) >= chip.weight_bits
        if same and row["metric"] == "TOPS_per_W":
            return float(row["value"])
        if same and row["metric"] == "energy_per_MAC" and int(row["weight_bits"]) == chip.weight_bits:
            return 2000.0 / float(row["value"])  # fJ a MAC
    return None


def other_chips(rows: Rows) -> dict[str, tuple[float, float, bool]]:
    """(Predicted, reported) TOPS/W of chips of silicon_zigzag_imc.csv without a preset, and whether it is disclosed.

    What the row states, random data, the presets' constants: a tree macro, or one ADC a merged weight. What a chip of
    undisclosed sparsity gains by zeros or by approximate adders is the difference.
    """
    found = {}
    for row in rows:
        if row.get("label") in {chip.label for chip in CHIPS} or not row.get("reported_TOPS_per_W"):
            continue
        bits = {"weight_bits": int(row["weight_bits"]), "activation_bits": int(row["act_bits"])}
        kind: dict[str, Any] = {"compute": "adder_tree"}
        if row["imc_type"] != "digital":
            kind = {"adc_model": "walden", "merge_slices": True, "adc_bits": int(row["adc_bits"] or 0)}
        summed, outputs = int(row["rows_accumulated"]), int(row["output_channels"])
        spec = CrossbarSpec(
            circuit="gates",
            cell_bits=1,
            array_rows=max(summed, 32),
            active_rows=summed,
            array_cols=max(outputs * bits["weight_bits"], 32),
            dac_bits=int(row["input_bits_per_cycle"]),
            node_nm=float(row["tech_nm"]),
            supply_v=float(row["vdd_V"]),
            **bits,
            **kind,
        )
        disclosed = not row.get("peer_uses_chip_for_energy_validation", "").startswith("no")
        found[row["label"]] = (2e-12 / macro_energy_j(spec, **bits), float(row["reported_TOPS_per_W"]), disclosed)
    return found


def macro_energy_j(spec: CrossbarSpec, *, weight_bits: int, activation_bits: int) -> float:
    """Energy of one MAC of a full array without its tile, J; nothing of it leaks."""
    k = min(spec.active_rows or spec.array_rows, spec.array_rows)
    n = spec.array_cols // -(-min(weight_bits, spec.weight_bits) // spec.cell_bits)
    macs = _VECTORS * n * k
    row = Row(
        Kind.LINEAR, m=_VECTORS, n=n, k=k, macs=macs, weight_elements=n * k, weight_bits=weight_bits,
        activation_bits=activation_bits,
    )  # fmt: skip
    table = CrossbarSpec.to_table([spec.model_copy(update={"leakage_fraction": 0.0, "weights": "resident"})])
    out = np.zeros((1, 1, len(MODEL.layer_metrics)))
    cost(Layers.of([row]), table, np.zeros(0), out, np.zeros((1, 1), np.int16))
    terms = dict(zip(MODEL.layer_metrics, out[0, 0].tolist(), strict=True))
    return float(sum(terms[name] for name in _MACRO_TERMS)) / macs


def leave_one_out(chips: Sequence[Chip], reported: Sequence[float]) -> F64:
    """TOPS/W of each chip, (K,), with the common constants fitted to the other analogue ones.

    The energy of an analogue macro is base + a step + b capacitance: three evaluations give the coefficients; the fit
    minimises the squared logarithm of predicted over reported.
    """
    parts = np.array([_linear_parts(chip) for chip in chips])
    target_j = 2e-12 / np.asarray(reported)
    analogue = parts[:, 1:].sum(axis=1) > 0
    predicted = np.empty(len(chips))
    for i in range(len(chips)):
        others = analogue & (np.arange(len(chips)) != i)
        scale = _fit(parts[others], target_j[others]) if analogue[i] else np.ones(2)
        predicted[i] = 2e-12 / (parts[i, 0] + parts[i, 1:] @ scale)
    return predicted


def _linear_parts(chip: Chip) -> tuple[float, float, float]:
    """Energy a MAC without the fitted constants, and what each of them adds at its preset value."""
    spec = _spec(chip)
    bits = {"weight_bits": chip.weight_bits, "activation_bits": chip.activation_bits}
    whole = macro_energy_j(spec, **bits)
    added = []
    for name in _CONSTANTS:
        double = spec.model_copy(update={name: 2 * getattr(spec, name)})
        added.append(macro_energy_j(double, **bits) - whole)
    return whole - sum(added), added[0], added[1]


def _fit(parts: F64, target_j: F64) -> F64:
    """Factors of the two constants, (2,), by least squares of the logarithm."""
    from scipy.optimize import least_squares

    def residual(log_scale: F64) -> F64:
        energy = parts[:, 0] + parts[:, 1:] @ np.exp(log_scale)
        ratio: F64 = np.log(energy / target_j)
        return ratio

    factors: F64 = np.exp(least_squares(residual, np.zeros(2)).x)
    return factors


def _spec(chip: Chip) -> CrossbarSpec:
    spec = device(chip.preset).spec
    assert isinstance(spec, CrossbarSpec)
    return spec


def trends(rows: Rows) -> dict[str, tuple[list[float], list[float]]]:
    """Sweeps of silicon_cimloop_macros.csv: (predicted, published) of each, for a rank correlation.

    Supply and output code of sinangil, supply of wang (energy and rate), supply and bits of colonnade.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for name, applies, predict in _SWEEPS:
            if applies(row):
                predicted, published = found.setdefault(name, ([], []))
                predicted.append(predict(row))
                published.append(float(row["value"]))
    return {name: pair for name, pair in found.items() if len(pair[0]) > 2}


def _at(row: dict[str, str]) -> CrossbarSpec:
    return _spec(next(chip for chip in CHIPS if chip.label == row["macro"])).model_copy(
        update={"supply_v": float(row["vdd_V"])}
    )


def _array_op_j(row: dict[str, str]) -> float:
    """Sinangil's array operation: the average output code of 15 is the share of ones."""
    code = float(row["condition"].removeprefix("avg_output_code="))
    spec = _at(row).model_copy(update={"input_bit_density": max(code, 1e-6) / 15.0})
    return macro_energy_j(spec, weight_bits=4, activation_bits=4) * spec.array_rows * spec.array_cols / 4


def _mac_j(row: dict[str, str]) -> float:
    return macro_energy_j(_at(row), weight_bits=int(row["weight_bits"]), activation_bits=int(row["input_bits"]))


def _tops(row: dict[str, str]) -> float:
    table = CrossbarSpec.to_table([_at(row)])
    return float(MODEL.config_metrics(table)["peak_macs_per_s"][0])


def _is(macro: str, metric: str, condition: str) -> Callable[[dict[str, str]], bool]:
    return lambda row: row["macro"] == macro and row["metric"] == metric and row["condition"].startswith(condition)


_SWEEPS: tuple[tuple[str, Callable[[dict[str, str]], bool], Callable[[dict[str, str]], float]], ...] = (
    ("sinangil energy by code and supply", _is("sinangil_jssc_2021", "energy_per_array_op", "avg"), _array_op_j),
    ("wang efficiency by supply", _is("wang_vlsi_2022", "TOPS_per_W", ""), lambda row: 1.0 / _mac_j(row)),
    ("wang rate by supply", _is("wang_vlsi_2022", "TOPS", ""), _tops),
    ("colonnade energy by supply and bits", _is("colonnade_jssc_2021", "energy_per_MAC", ""), _mac_j),
)
