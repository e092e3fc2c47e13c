"""The CPU family as the rest of the framework sees it: metrics, composition, limits, assumptions, references.

Operators run one after the other; the metrics are those of `kernel.Cost`, plus what memory holds. A die area is not
among them: other parts than the cores decide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import summed
from hwmodels.families.base import Assumption, CostModel, Layerwise, Metric, PairRule, Reference
from hwmodels.families.cpu.explain import explain
from hwmodels.families.cpu.kernel import CHOICES, Cost, cost, cost_at
from hwmodels.families.cpu.spec import CpuSpec, CpuTable

__all__ = ["MODEL"]

F64 = npt.NDArray[np.float64]

_TIME_TERMS = ("compute_s", "memory_s", "vector_s", "layout_s", "overhead_s")
_ENERGY_TERMS = ("mac_j", "vector_j", "cache_j", "dram_j", "static_j")

_MEANING = {
    "latency_s": "time of the operator, dispatch included",
    "compute_s": "multiply-adds, or elementary operations of layers without MACs",
    "memory_s": "bytes of every level over its bandwidth",
    "vector_s": "elementary operations beside the MACs: gates, scores, Winograd transforms",
    "layout_s": "reorders of activations and weights around a convolution",
    "overhead_s": "dispatch, fork and join, page faults, the call itself",
    "energy_j": "sum of the energy terms",
    "mac_j": "multiply-adds",
    "vector_j": "elementary operations",
    "cache_j": "second and last cache",
    "dram_j": "memory, and flash of a microcontroller",
    "static_j": "idle power and that of the busy cores, times latency",
    "cache_bytes": "traffic of the second and last cache",
    "dram_bytes": "traffic of memory and flash",
    "executed_macs": "MACs by the chosen algorithm; Winograd executes fewer than the network has",
}


def _config_metrics(table: CpuTable) -> dict[str, F64]:
    """Peak: every fast core at the one-core clock, 32-bit lanes, at the fastest width's rate."""
    rate = np.maximum(np.maximum(table.int8_rate, table.half_rate), 1.0)
    cores = table.big_cores + table.little_cores * table.little_speed
    clock_hz = np.maximum(table.clock_hz, table.all_core_clock_hz)
    peak = cores * clock_hz * (table.simd_bits // 32) * table.fma_units * rate
    return {"peak_macs_per_s": np.asarray(peak, np.float64), "idle_power_w": np.asarray(table.idle_w, np.float64)}


def _utilisation(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """The share of the peak that the executed MACs reach."""
    slots = metrics["latency_s"] * metrics["peak_macs_per_s"]
    return np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)


def _memory_bytes_used(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """Working memory; stored weights too, unless there is flash for them."""
    in_memory = np.where(knobs["flash_bytes"] > 0, 0.0, metrics["weight_bytes"])
    working = metrics["peak_activation_bytes"] + metrics["kv_cache_bytes"]
    total: F64 = in_memory + working
    return total


def _infeasible(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int8]:
    """1 where memory does not hold what lives during the run, 2 where flash does not hold the weights."""
    has_flash = knobs["flash_bytes"] > 0
    codes: npt.NDArray[np.int8] = np.where(has_flash & (metrics["weight_bytes"] > knobs["flash_bytes"]), 2, 0)
    codes = np.where(metrics["memory_bytes_used"] > knobs["memory_bytes"], 1, codes).astype(np.int8)
    return codes


_LAYERWISE = Layerwise(cost, cost_at, dict.fromkeys(Cost._fields, "sum"), scratch_size=1, choices=CHOICES)

MODEL = CostModel(
    name="cpu",
    meaning="cores with a vector unit, caches and memory, under the runtime that executes the network",
    spec=CpuSpec,
    metrics=(
        *(Metric(name, "sum", _MEANING[name]) for name in Cost._fields),
        Metric("utilisation", "rule", "executed MACs over the peak's in the same time", "more"),
        Metric("memory_bytes_used", "rule", "weights (unless in flash), live activations, keys and values kept"),
        Metric("peak_macs_per_s", "config", "all cores, widest vectors, fastest width", "more"),
        Metric("idle_power_w", "config", "between inferences: cores parked, memory refreshed"),
    ),
    compose=summed(_LAYERWISE),
    layerwise=_LAYERWISE,
    explain=explain,
    objectives=("energy_j", "latency_s"),
    searched=("big_cores", "clock_hz", "simd_bits", "l2_bytes", "l3_bytes", "dram_bytes_per_s"),
    time_terms=_TIME_TERMS,
    energy_terms=_ENERGY_TERMS,
    static_energy="static_j",
    config_metrics=_config_metrics,
    derived={
        "utilisation": PairRule(frozenset({"latency_s", "peak_macs_per_s", "executed_macs"}), _utilisation),
        "memory_bytes_used": PairRule(
            frozenset({"flash_bytes", "weight_bytes", "peak_activation_bytes", "kv_cache_bytes"}), _memory_bytes_used
        ),
    },
    infeasible=PairRule(frozenset({"flash_bytes", "weight_bytes", "memory_bytes_used", "memory_bytes"}), _infeasible),
    infeasible_reasons=("memory does not hold the network", "flash does not hold the weights"),
    assumptions=(
        Assumption(
            "residency", "share C / d hits", "cliff or share",
            "a byte whose reuse distance is d hits a cache of capacity C with the share min(1, C/d)",
        ),
        Assumption("activations", "just written", "-", "an input's reuse distance is its own size"),
        Assumption("write allocation", "2 bytes a byte", "1 to 2", "an output is read into the cache before it is "
                   "written"),
        Assumption("algorithm", "fastest", "-", "the runtime picks the fastest algorithm that it has"),
        Assumption("F(6,3) transforms", "352 and 252 operations", "250 to 450", "additions a tile and channel"),
        Assumption("integer requantisation", "0", "0 to 10 cycles an output", "part of the tile's overhead steps"),
    ),
    references=(
        Reference("Goto", "Goto & van de Geijn, Anatomy of High-Performance Matrix Multiplication, ACM TOMS 2008"),
        Reference("ECM", "Hofmann et al., An ECM-based Energy-Efficiency Optimization Approach, ISC 2017"),
        Reference("Lavin & Gray", "Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016"),
        Reference("Horowitz", "M. Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014"),
    ),
)  # fmt: skip
