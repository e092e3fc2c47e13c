"""The crossbar family: what its kernel's columns mean, how they compose, when a network does not fit.

Closed forms of the chip as a whole (peak rate, peak power, area, ISAAC's roll-up from component to chip) are here,
too: all from the components of `chip.py`.
"""

from __future__ import annotations

from collections.abc import Mapping as Named
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import pipelined
from hwmodels.families.base import Assumption, CostModel, Layerwise, Metric, PairRule, Reference
from hwmodels.families.crossbar import kernel
from hwmodels.families.crossbar.chip import Parts, area_parts, chip_table, chip_total, power_parts, static_power_w
from hwmodels.families.crossbar.converter import converters
from hwmodels.families.crossbar.devices import CellColumns, cell_columns
from hwmodels.families.crossbar.spec import CrossbarSpec, CrossbarTable
from hwmodels.families.kernel_parts import listed, records
from hwmodels.workload.table import Layers

__all__ = [
    "ASSUMPTIONS",
    "MODEL",
    "REFERENCES",
    "area_mm2",
    "arrays_on_chip",
    "chip_sum",
    "cost",
    "cost_at",
    "ima_sum",
    "peak_macs_per_s",
    "peak_power_w",
    "periphery_sum",
    "tile_sum",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_CELL_KNOBS = ("cell_area_f2", "cell_write_j", "row_write_s", "endurance_writes")
_IMA_PARTS = 7  # of `Parts`; five of the tile and the I/O follow


def cost(layers: Layers, table: CrossbarTable, scratch: F64, out: F64, choice: npt.NDArray[np.int16]) -> None:
    """All pairs: the chips of the table, then the kernel; `out` (C, L, M), `choice` (C, L): 0 digital, 1 crossbar."""
    kernel.all_pairs(records(layers), records(chip_table(table)), out, choice)


def cost_at(
    layers: Layers,
    table: CrossbarTable,
    layer_index: I64,
    config_index: I64,
    scratch: F64,
    out: F64,
    choice: npt.NDArray[np.int16],
) -> None:
    """Listed pairs, `out` (Q, M), `choice` (Q,): a chip is made once for each configuration among them."""
    pairs = listed(layers, table, layer_index, config_index)
    rows, chips = records(pairs.layers), records(chip_table(pairs.configs))
    kernel.listed_pairs(rows, chips, pairs.layer, pairs.run_config, pairs.run_start, out, choice)


def peak_power_w(table: CrossbarTable) -> F64:
    """Peak power by component, (C, len(Parts)); per IMA, per tile and per chip."""
    return _stacked(power_parts(table))


def area_mm2(table: CrossbarTable) -> F64:
    """Area by component, (C, len(Parts)); per IMA, per tile and per chip."""
    return _stacked(area_parts(table))


def _stacked(parts: Parts) -> F64:
    return np.stack(np.broadcast_arrays(*parts), axis=1).astype(np.float64)


def ima_sum(parts: F64) -> F64:
    """One IMA, (C,): W or mm² of `parts` (C, len(Parts))."""
    total: F64 = parts[:, :_IMA_PARTS].sum(axis=1)
    return total


def periphery_sum(parts: F64) -> F64:
    """What a tile has beside its IMAs, with its share of the router, (C,)."""
    total: F64 = parts[:, _IMA_PARTS:-1].sum(axis=1)
    return total


def tile_sum(table: CrossbarTable, parts: F64) -> F64:
    """One tile, (C,)."""
    total: F64 = table.imas_per_tile * ima_sum(parts) + periphery_sum(parts)
    return total


def chip_sum(table: CrossbarTable, parts: F64) -> F64:
    """The chip: its tiles and its off-chip links, (C,)."""
    total: F64 = table.tiles * tile_sum(table, parts) + parts[:, -1]
    return total


def arrays_on_chip(table: CrossbarTable) -> npt.NDArray[np.int64]:
    """Arrays of the chip, (C,)."""
    arrays: I64 = table.tiles * table.imas_per_tile * table.arrays_per_ima
    return arrays


def peak_macs_per_s(table: CrossbarTable, *, weight_bits: int | None = None, activation_bits: int | None = None) -> F64:
    """MAC a second with every array full, (C,), at the widest operands or at the given ones.

    arrays Rp q / (ceil(ba / bd) max(t_read, min(columns_per_adc, q c) t_conversion)), q = floor(Q / w) weights a row,
    w = ceil(bw / bc) s columns a weight, c = w conversions a weight, or 1 where its slices are merged

    >>> isaac = CrossbarSpec.to_table([CrossbarSpec()])
    >>> [round(float(2 * rate / 1e12), 1) for rate in peak_macs_per_s(isaac)]
    [41.3]
    """
    bw = table.weight_bits if weight_bits is None else np.minimum(weight_bits, table.weight_bits)
    ba = table.activation_bits if activation_bits is None else np.minimum(activation_bits, table.activation_bits)
    columns_a_weight = -(-bw // table.cell_bits) * (1 + table.sign_scheme)
    weights_a_row = table.array_cols // columns_a_weight
    input_slices = -(-ba // table.dac_bits)
    active = np.where(table.active_rows > 0, np.minimum(table.active_rows, table.array_rows), table.array_rows)
    chip = chip_table(table)
    read = np.where(chip.merges == 1, weights_a_row, weights_a_row * columns_a_weight)
    shared = np.minimum(chip.columns_per_adc, read)
    cycle_s = np.maximum(chip.read_s * np.where(chip.repeats == 1, shared, 1), shared * chip.conversion_s)
    rate: F64 = arrays_on_chip(table) * active * weights_a_row / (input_slices * cycle_s)
    return rate


def _config_metrics(table: CrossbarTable) -> dict[str, F64]:
    power = power_parts(table)
    leakage_w = static_power_w(table)
    return {
        "area_mm2": chip_total(table, area_parts(table)),
        "peak_power_w": chip_total(table, power),
        "leakage_w": leakage_w,
        "idle_power_w": leakage_w * table.idle_leakage_share,
        "peak_macs_per_s": peak_macs_per_s(table),
        "conversion_j": converters(table).energy_j,
    }


def _infeasible(metrics: Named[str, F64], knobs: Named[str, npt.NDArray[Any]]) -> npt.NDArray[np.int8]:
    """1 where resident weights exceed the arrays that scratch tiles leave, 2 where writes wear the cells out."""
    scratch = np.where(knobs["dynamic_operands"] == 1, knobs["scratch_tiles"], 0)
    held = (knobs["tiles"] - scratch) * knobs["imas_per_tile"] * knobs["arrays_per_ima"]
    worn = metrics["cell_writes"] * knobs["required_batches"] > _cell_of(knobs).endurance_writes
    codes: npt.NDArray[np.int8] = np.where(metrics["arrays"] > held, 1, np.where(worn, 2, 0)).astype(np.int8)
    return codes


def _pipeline_energy_j(metrics: Named[str, F64], knobs: Named[str, npt.NDArray[Any]]) -> F64:
    """A pipeline of layers in steady state leaks for an interval, not for the latency of all layers.

    All tiles that hold weights are at work; of the others, their share.
    """
    arrays = knobs["tiles"] * knobs["imas_per_tile"] * knobs["arrays_per_ima"]
    at_work = np.minimum(metrics["arrays"] / arrays, 1.0)
    share = knobs["idle_leakage_share"] + at_work * (1.0 - knobs["idle_leakage_share"])
    leaking = np.where(_in_turn(knobs), metrics["leakage_j"], metrics["leakage_w"] * metrics["interval_s"] * share)
    total: F64 = metrics["energy_j"] - metrics["leakage_j"] + leaking
    return total


def _dynamic_j(metrics: Named[str, F64], knobs: Named[str, npt.NDArray[Any]]) -> F64:
    """What is not static."""
    rest: F64 = metrics["energy_j"] - metrics["leakage_j"]
    return rest


def _refresh_w(metrics: Named[str, F64], knobs: Named[str, npt.NDArray[Any]]) -> F64:
    """Every cell in use written again each `drift_s`; nothing where no time since programming is stated."""
    period_s = knobs["drift_s"]
    written_j = metrics["cells"] * _cell_of(knobs).write_j
    kept = (period_s > 0) & ~_in_turn(knobs)
    watts: F64 = np.divide(written_j, period_s, out=np.zeros_like(written_j), where=kept)
    return watts


def _cell_of(knobs: Named[str, npt.NDArray[Any]]) -> CellColumns:
    """What a cell takes to be written, of the knobs or of a kind of cell."""
    return cell_columns(knobs["cell_device"], CellColumns(*(knobs[name] for name in _CELL_KNOBS)))


def _in_turn(knobs: Named[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Where weights are written into the same arrays in turn: that is no pipeline, a batch has the chip to itself."""
    in_turn: npt.NDArray[np.bool_] = knobs["weights"] == CrossbarSpec.knobs()["weights"].choices.index("reloaded")
    return in_turn


_TERMS = {
    "arrays": "arrays that hold the layer's weights, all copies",
    "cells": "cells of them in use; utilisation is cells / (arrays x rows x columns)",
    "conversions": "ADC conversions",
    "cell_writes": "writes that the most written cell sees, where operands are not resident",
    "array_s": "array reads, one after the other in each copy",
    "adc_s": "conversions of the busiest ADC",
    "shift_add_s": "shift-and-add units of the layer's IMAs",
    "buffer_s": "buffers of the layer's tiles",
    "interconnect_s": "outputs into the network",
    "digital_s": "vector units of all tiles",
    "write_s": "rows written, where operands are not resident",
    "fill_s": "a vector's way through the pipeline, once a sequential step",
    "array_j": "cells read",
    "dac_j": "rows driven",
    "sample_hold_j": "samples held",
    "adc_j": "conversions",
    "shift_add_j": "shift and add, merge of row tiles",
    "register_j": "input and output registers",
    "buffer_j": "tile buffers",
    "interconnect_j": "bus and routers",
    "digital_j": "vector operations and digital MACs",
    "write_j": "cells written, where operands are not resident",
}
_TOTALS = {
    "latency_s": "slowest of the overlapping terms and the fill",
    "energy_j": "sum of all energy terms",
    "stage_s": "the slowest layer, which a pipeline of resident layers waits for",
    "io_s": "input and output of the network over the off-chip links",
    "io_j": "off-chip links",
    "leakage_j": "static energy: what leaks over the latency, idle tiles gated",
}
_MEANING = {**_TOTALS, **_TERMS}
# A layer's interval is a stage of the pipeline; `interval_s` is what the pipeline as a whole makes of it.
_COLUMNS = tuple(
    "stage_s" if name == "interval_s" else name for name in (*kernel.Totals._fields, *kernel.Terms._fields)
)
_LAYERWISE = Layerwise(
    cost, cost_at, {name: "max" if name == "stage_s" else "sum" for name in _COLUMNS}, scratch_size=0,
    choices=("digital", "crossbar"),
)  # fmt: skip

ASSUMPTIONS = (
    Assumption("layer overlap", "max", "max to sum", "array, ADC, shift-add, buffer, network and I/O overlap"),
    Assumption("unit column", "energy 1, time 0", "time 0 to 1/128", "its conversion costs energy, never a slot"),
    Assumption("digital rows", "all tiles", "1 to all tiles", "the vector units of all tiles share such a row"),
    Assumption("partial sums", "activation width", "1x to 2x", "words between IMAs are as wide as activations"),
    Assumption("digital scaling", "energy ~ node, area ~ node²", "exponents 1 to 2", "no change of supply voltage"),
    Assumption("analogue scaling", "energy and area ~ node", "exponents 0.5 to 1.9", "DAC and sample-and-hold"),
    Assumption("DAC law", "2^bits - 1", "bits to 2^bits", "energy and area of a DAC with its bits"),
    Assumption("activity of adders", "share of ones", "0.5 to 2 times it", "of gates and columns of circuit gates"),
    Assumption("running sums", "half of the bits switch", "0.3 to 1", "of circuit gates"),
    Assumption("macro ADC", "energy ~ 2^bits, no node", "node^0 to node^1", "adc_model walden"),
    Assumption("fused attention", "one product", "depth d_query + d_value", "where operands are written into arrays"),
    Assumption("cells by device", "order of magnitude", "beside each in devices.py", "writes, endurance, area"),
    Assumption("static power", "by area at 300 K", "0.3 to 30 times", "of every part at its density"),
    Assumption("leakage of hp", "1000 times that of lstp", "100 to 10,000", "static_power parts with roadmap hp"),
    Assumption("floating gates", "0.1 of a resistive cell's current", "0.01 to 0.3", "macros of flash, by their row"),
    Assumption("unstated supply", "nominal of the node", "within 0.2 V", "macros whose row states none"),
    Assumption("gated tiles", "0.05 of their leakage", "0.01 to 1", "while another layer runs, and between inferences"),
    Assumption("inputs of a pass", "read once", "once to passes times", "layers that need several passes"),
    Assumption("ADC below 4 bits", "energy ~ bits", "bits to 2^bits", "the survey regression starts at 4 bits"),
)
REFERENCES = (
    Reference("ISAAC", "Shafiee et al., ISAAC: A CNN Accelerator with In-Situ Analog Arithmetic, ISCA 2016"),
    Reference("ADC", "Andrulis et al., Modeling Analog-Digital-Converter Energy and Area for CIM, 2024 (plug-in)"),
    Reference("SABERI", "Saberi et al., Power and Linearity of Capacitive DACs in SAR ADCs, TCAS-I 2011"),
    Reference("HOROWITZ", "Horowitz, Computing's Energy Problem, ISSCC 2014, fig. 1.1.9"),
    Reference("NEUROSIM", "Peng et al., DNN+NeuroSim V1.3, TCAD 2021; facts of its default configuration only"),
    Reference("CROSSSIM", "Xiao et al., CrossSim: accuracy simulation of analog in-memory computing, Sandia, V3"),
    Reference("NANDAKUMAR", "Nandakumar et al., Phase-Change Memory Models for Deep Learning, ICECS 2019"),
    Reference("JOSHI", "Joshi et al., Accurate Inference Using Phase-Change Memory, Nature Communications 11, 2020"),
    Reference("ZIGZAG", "Sun et al., zigzag-imc: analytical cost of SRAM in-memory computing, 28 nm gates and SAR"),
    Reference(
        "MNSIM", "Zhu et al., MNSIM 2.0: A Behavior-Level Modeling Tool for PIM, GLSVLSI 2020; its configuration"
    ),
    Reference("PUMA", "Ankit et al., PUMA: A Programmable Ultra-efficient Memristor-based Accelerator, ASPLOS 2019"),
    Reference(
        "SURVEY", "Shanbhag and Roy, Benchmarking In-memory Computing (IMC) Architectures, CICC 2022, and its data"
    ),
    Reference("FLASH", "Merrikh Bayat et al., Redesigning Floating-Gate Memory for Analog Computing, arXiv:1410.4781"),
    Reference("WALDEN", "Walden, Analog-to-Digital Converter Survey and Analysis, JSAC 1999"),
    Reference(
        "JIA", "Jia et al., Programmable Heterogeneous Microprocessor Based on Bit-Scalable IMC, JSSC 55(9), 2020"
    ),
    Reference(
        "COLONNADE", "Kim et al., Colonnade: A Reconfigurable SRAM-Based Digital Bit-Serial CIM Macro, JSSC 2021"
    ),
    Reference("CIMLOOP", "Andrulis et al., CiMLoop: A Flexible, Accurate, and Fast CIM Modeling Tool, ISPASS 2024"),
)

_SEARCHED = (
    "array_rows", "array_cols", "cell_bits", "dac_bits", "adc_bits", "columns_per_adc", "duplication", "tiles",
)  # fmt: skip

MODEL = CostModel(
    name="crossbar",
    meaning="in-memory computing with bit-sliced weights in analogue or digital arrays",
    spec=CrossbarSpec,
    metrics=(
        *(Metric(name, reduction, _MEANING[name]) for name, reduction in _LAYERWISE.reductions.items()),
        Metric("area_mm2", "config", "chip"),
        Metric("peak_power_w", "config", "every component at its full rate"),
        Metric("leakage_w", "config", "what the whole chip always draws"),
        Metric("idle_power_w", "config", "what the chip draws between inferences: leakage of idle tiles"),
        Metric("peak_macs_per_s", "config", "every array full, at the widest operands", "more"),
        Metric("conversion_j", "config", "one ADC conversion, or one sum of a digital macro's adders"),
        Metric("interval_s", "rule", "from one batch to the next: the slowest layer, or all where reloaded"),
        Metric("dynamic_j", "rule", "energy of what is executed: all but the static energy leakage_j"),
        Metric("pipeline_energy_j", "rule", "energy a batch where layers run as a pipeline in steady state"),
        Metric("refresh_w", "rule", "every cell in use written again each drift_s; 0 where drift_s is"),
    ),
    compose=pipelined(_LAYERWISE, stage="stage_s", in_turn="weights"),
    layerwise=_LAYERWISE,
    objectives=("energy_j", "latency_s", "area_mm2"),
    searched=_SEARCHED,
    static_energy="leakage_j",
    time_terms=("array_s", "adc_s", "shift_add_s", "buffer_s", "interconnect_s", "digital_s", "io_s", "write_s"),
    energy_terms=tuple(name for name in _COLUMNS if name.endswith("_j") and name != "energy_j"),
    config_metrics=_config_metrics,
    derived={
        "dynamic_j": PairRule(frozenset({"energy_j", "leakage_j"}), _dynamic_j),
        "refresh_w": PairRule(frozenset({"cells", "cell_device", "drift_s", "weights", *_CELL_KNOBS}), _refresh_w),
        "pipeline_energy_j": PairRule(
            frozenset(
                {
                    "energy_j",
                    "leakage_j",
                    "leakage_w",
                    "interval_s",
                    "weights",
                    "arrays",
                    "tiles",
                    "imas_per_tile",
                    "arrays_per_ima",
                    "idle_leakage_share",
                }
            ),
            _pipeline_energy_j,
        ),
    },
    infeasible=PairRule(
        frozenset(
            {
                "arrays",
                "cell_writes",
                "dynamic_operands",
                "scratch_tiles",
                "tiles",
                "imas_per_tile",
                "arrays_per_ima",
                "required_batches",
                "cell_device",
                *_CELL_KNOBS,
            }
        ),
        _infeasible,
    ),
    infeasible_reasons=("weights do not fit on the chip", "writes wear the cells out"),
    assumptions=ASSUMPTIONS,
    references=REFERENCES,
    model_version=3,
)
