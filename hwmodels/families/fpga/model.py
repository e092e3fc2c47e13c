"""The tiled engine as the rest of the framework sees it: metrics, composition, limits, assumptions, references.

Layers run one after the other on one engine; the metrics are those of `kernel.Cost`, plus what the design takes of its
board.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import summed
from hwmodels.families.base import Assumption, CostModel, Layerwise, Metric, PairRule, Reference
from hwmodels.families.fpga.engine import cost, cost_at, resources
from hwmodels.families.fpga.explain import explain
from hwmodels.families.fpga.kernel import CHOICES, Cost
from hwmodels.families.fpga.resources import INFEASIBLE, REASONS, RESOURCE_METRICS, resource_columns
from hwmodels.families.fpga.spec import FpgaSpec, FpgaTable

__all__ = ["BOARD_ASSUMPTIONS", "MODEL"]

F64 = npt.NDArray[np.float64]

_TIME_TERMS = ("compute_s", "port_s", "dram_s", "vector_s")
_ENERGY_TERMS = ("mac_j", "logic_j", "dram_j", "static_j")

_MEANING = {
    "latency_s": "time of the layer: the first loads, every tile's slowest step, the last store",
    "compute_s": "multipliers, padded lanes included",
    "port_s": "busiest port between memory and buffers",
    "dram_s": "DRAM bytes over the bandwidth that their bursts reach",
    "vector_s": "elementary operations beside the multipliers",
    "energy_j": "sum of the energy terms",
    "mac_j": "multiply-adds, padded lanes excluded",
    "logic_j": "logic and buffers while the engine runs",
    "dram_j": "DRAM",
    "static_j": "idle power of the board times latency",
    "dram_bytes": "DRAM traffic, both directions",
    "compute_cycles": "cycles of the multipliers; a whole number",
    "executed_macs": "multiply-adds of the layer",
}


def _config_metrics(table: FpgaTable) -> dict[str, F64]:
    found = resource_columns(resources(table), table)
    lanes = table.tile_m * table.tile_n + table.depthwise_lanes
    found["peak_macs_per_s"] = lanes * found["closing_clock_hz"]
    found["idle_power_w"] = np.asarray(table.idle_w, np.float64)
    return found


def _utilisation(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """utilisation = executed MACs / (latency x peak); 0 where nothing runs."""
    slots = metrics["latency_s"] * metrics["peak_macs_per_s"]
    share: F64 = np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)
    return share


def _attainable(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """The roofline of [Zhang'15]: min(peak, MACs a DRAM byte x bandwidth); the peak where nothing is moved."""
    moved_s = metrics["dram_bytes"] / knobs["dram_bytes_per_s"]
    fed: F64 = np.divide(metrics["executed_macs"], moved_s, out=np.full(moved_s.shape, np.inf), where=moved_s > 0)
    return np.minimum(metrics["peak_macs_per_s"], fed)


_LAYERWISE = Layerwise(cost, cost_at, dict.fromkeys(Cost._fields, "sum"), scratch_size=1, choices=CHOICES)

_SEARCHED = (
    "tile_m", "tile_n", "tile_rows", "tile_cols", "loop_order", "depthwise_lanes", "input_port", "weight_port",
    "output_port", "weight_bits", "activation_bits", "clock_hz",
)  # fmt: skip

BOARD_ASSUMPTIONS = (
    Assumption("flip-flops a LUT", "1.5", "1.1 to 2.3", "pipelined arithmetic"),
    Assumption(
        "LUTs beside a block", "0.7 a bit", "0.3 to 2", "adders and routing of a MAC, a bit of its two operands"
    ),
    Assumption("LUTs of a product", "1.1 w a", "0.5 to 1.2", "a fixed-point multiplier without an arithmetic block"),
    Assumption("LUTs of a half MAC", "150", "100 to 200", "16-bit float beside its blocks"),
    Assumption("memory in LUTs", "64 words", "32 to 128", "up to this depth"),
    Assumption("crowded from", "60 %", "50 to 70 %", "use of LUTs beyond which the clock falls"),
    Assumption("energy exponent", "1.25", "1 to 2", "energies scale with (node / 28 nm) to this power"),
    Assumption("energy of a URAM", "16 BRAM18", "8 to 16", "by capacity"),
)

MODEL = CostModel(
    name="fpga",
    meaning="FPGA with a tiled engine of multipliers, buffers and a DRAM, layer after layer",
    spec=FpgaSpec,
    metrics=(
        *(Metric(name, "sum", _MEANING[name]) for name in Cost._fields),
        Metric("utilisation", "rule", "share of the multipliers' slots that do work", "more"),
        Metric(
            "attainable_macs_per_s", "rule", "the lesser of the peak and of what the DRAM feeds at this traffic",
            "more",
        ),
        Metric("peak_macs_per_s", "config", "one MAC a lane and cycle, both engines, at the closing clock", "more"),
        Metric("idle_power_w", "config", "the board, nothing running"),
        *RESOURCE_METRICS,
    ),
    compose=summed(_LAYERWISE),
    layerwise=_LAYERWISE,
    explain=explain,
    objectives=("energy_j", "latency_s"),
    searched=_SEARCHED,
    time_terms=_TIME_TERMS,
    energy_terms=_ENERGY_TERMS,
    static_energy="static_j",
    config_metrics=_config_metrics,
    derived={
        "utilisation": PairRule(frozenset({"latency_s", "peak_macs_per_s", "executed_macs"}), _utilisation),
        "attainable_macs_per_s": PairRule(
            frozenset({"executed_macs", "dram_bytes", "peak_macs_per_s", "dram_bytes_per_s"}), _attainable
        ),
    },
    infeasible=INFEASIBLE,
    infeasible_reasons=REASONS,
    assumptions=(
        *BOARD_ASSUMPTIONS,
        Assumption("LUTs of an engine", "3000", "1000 to 10000", "loop counters, addresses, sequencer"),
        Assumption("LUTs of a vector lane", "100", "40 to 400", "pooling, sums, activation functions"),
        Assumption("LUTs of a port", "4 a bit", "2 to 10", "multiplexers and buffers"),
        Assumption("pieces of a kernel", "equal", "-", "a kernel larger than the weight buffer is padded to them"),
    ),
    references=(
        Reference("Zhang'15", "Zhang et al., Optimizing FPGA-based Accelerator Design for Deep Convolutional Neural "
                  "Networks, FPGA 2015"),
        Reference("HotNAS", "Jiang et al., Standing on the Shoulders of Giants: Hardware and Neural Architecture "
                  "Co-Search With Hot Start, IEEE TCAD 2020"),
        Reference("FINN-R", "Blott et al., FINN-R: An End-to-End Deep-Learning Framework for Fast Exploration of "
                  "Quantized Neural Networks, ACM TRETS 2018"),
    ),
)  # fmt: skip
