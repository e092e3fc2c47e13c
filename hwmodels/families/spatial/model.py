"""The spatial family as the rest of the framework sees it: metrics, composition, limits, assumptions, references.

Layers run one after the other on one array; the metrics are those of `kernel.Cost`, plus the area.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import summed
from hwmodels.families.base import Assumption, CostModel, Layerwise, Metric, PairRule, Reference
from hwmodels.families.spatial.explain import explain
from hwmodels.families.spatial.kernel import Cost, area_mm2, cost, cost_at
from hwmodels.families.spatial.spec import DATAFLOWS, SpatialSpec, SpatialTable

__all__ = ["MODEL"]

F64 = npt.NDArray[np.float64]

_TIME_TERMS = ("compute_s", "sram_s", "dram_s", "vector_s")
_ENERGY_TERMS = ("mac_j", "array_j", "sram_j", "dram_j", "vector_j", "leakage_j")

_MEANING = {
    "latency_s": "time of the layer, first fill and last drain included",
    "compute_s": "array cycles, fill, load and drain of every fold included",
    "sram_s": "time of the busiest buffer port",
    "dram_s": "DRAM bytes over DRAM bandwidth",
    "vector_s": "vector unit",
    "energy_j": "sum of the energy terms",
    "mac_j": "multiplications and additions, padded lanes excluded",
    "array_j": "registers of the processing elements",
    "sram_j": "buffers, array side and DRAM side",
    "dram_j": "DRAM",
    "vector_j": "vector unit",
    "leakage_j": "static power times latency",
    "dram_bytes": "DRAM traffic, both directions",
    "sram_bytes": "buffer traffic, array side and DRAM side",
    "array_cycles": "cycles of the array",
    "executed_macs": "MACs that the array executes; `compat` rules count other ones than the network",
}


def _config_metrics(table: SpatialTable) -> dict[str, F64]:
    area = area_mm2(table)
    return {
        "area_mm2": area,
        "peak_macs_per_s": table.array_rows * table.array_cols * table.clock_hz,
        "idle_power_w": table.leakage_w_per_mm2 * area,
    }


def _infeasible(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int8]:
    """1 where half a buffer does not hold one 32-bit word for each row or column of the array."""
    edge_bytes = 4 * np.maximum(knobs["array_rows"], knobs["array_cols"])
    half = np.minimum.reduce([knobs[f"{name}_sram_bytes"] for name in ("ifmap", "filter", "ofmap")]) / 2
    codes: npt.NDArray[np.int8] = (half < edge_bytes).astype(np.int8)
    return codes


def _utilisation(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """utilisation = executed MACs / (array cycles x rows x columns); 0 where the array never runs."""
    slots = metrics["array_cycles"] * knobs["array_rows"] * knobs["array_cols"]
    share: F64 = np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)
    return share


_LAYERWISE = Layerwise(
    cost, cost_at, dict.fromkeys(Cost._fields, "sum"), scratch_size=1, choices=(*DATAFLOWS, "vector")
)


_SEARCHED = (
    "dataflow", "array_rows", "array_cols", "clock_hz", "ifmap_sram_bytes", "filter_sram_bytes", "ofmap_sram_bytes",
    "dram_bytes_per_s",
)  # fmt: skip

MODEL = CostModel(
    name="spatial",
    meaning="systolic array with input, weight and output buffers and a DRAM",
    spec=SpatialSpec,
    metrics=(
        *(Metric(name, "sum", _MEANING[name]) for name in Cost._fields),
        Metric("utilisation", "rule", "share of the array's multiply-accumulate slots that do work", "more"),
        Metric("peak_macs_per_s", "config", "one MAC a processing element and cycle", "more"),
        Metric("area_mm2", "config", "processing elements, vector unit and buffers; no pads, no controller"),
        Metric("idle_power_w", "config", "leakage of the chip, nothing gated; without the memory's own"),
    ),
    compose=summed(_LAYERWISE),
    layerwise=_LAYERWISE,
    explain=explain,
    objectives=("energy_j", "latency_s", "area_mm2"),
    searched=_SEARCHED,
    time_terms=_TIME_TERMS,
    energy_terms=_ENERGY_TERMS,
    static_energy="leakage_j",
    config_metrics=_config_metrics,
    derived={
        "utilisation": PairRule(
            frozenset({"array_cycles", "executed_macs", "array_rows", "array_cols"}), _utilisation
        )
    },
    infeasible=PairRule(
        frozenset({"array_rows", "array_cols", "ifmap_sram_bytes", "filter_sram_bytes", "ofmap_sram_bytes"}),
        _infeasible,
    ),
    infeasible_reasons=("half a buffer is smaller than one edge of the array",),
    assumptions=(
        Assumption(
            "double buffering", "half", "half to all", "half of each buffer holds the tile in use, half the next one"
        ),
        Assumption(
            "residency", "per tensor", "per tensor or whole network",
            "a tensor between two layers stays when it fits half of the ifmap and of the ofmap buffer, whatever "
            "else is alive (skips, the second operand of an attention product)",
        ),
        Assumption(
            "partial sums",
            "never leave the chip",
            "-",
            "the stream is cut into blocks whose sums fit half of the ofmap buffer; compat streams in one block",
        ),
        Assumption("halo", "0 bytes", "0 to (kernel - 1) lines a tile", "overlap between tiles of one input"),
        Assumption("hidden state", "on chip", "-", "a recurrent layer's state and gates never go to DRAM"),
        Assumption("rate", "1 MAC", "1 to 4", "MACs a processing element and cycle, whatever the width"),
        Assumption("area exponent", "2", "1.5 to 2", "areas scale with (node / 45 nm) to this power"),
    ),
    references=(
        Reference("SCALE-Sim v2", "Samajdar et al., A Systematic Methodology for Characterizing Scalability of DNN "
                  "Accelerators using SCALE-Sim, ISPASS 2020"),
        Reference("TPUv1", "Jouppi et al., In-Datacenter Performance Analysis of a Tensor Processing Unit, ISCA 2017"),
        Reference("Horowitz", "M. Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014"),
        Reference("Dally", "W. Dally, High-Performance Hardware for Machine Learning, NIPS tutorial 2015 (areas at "
                  "45 nm)"),
    ),
)  # fmt: skip
