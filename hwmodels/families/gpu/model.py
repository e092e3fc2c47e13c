"""The GPU family as the rest of the framework sees it: metrics, composition, limits, assumptions, references.

Kernels run one after the other. A network takes the longer of all its kernels and of all the host's enqueues, and at
least a share of the longer of both layer by layer: a monotone rule of three sums, so that bounds of the sums are bounds
of the latency. Layers are shown by their kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import summed
from hwmodels.families.base import Assumption, CostModel, Layerwise, Metric, PairRule, Reference
from hwmodels.families.gpu.backends import BACKENDS, TILES
from hwmodels.families.gpu.explain import explain
from hwmodels.families.gpu.kernel import OTHER_CHOICES, Cost, cost, cost_at
from hwmodels.families.gpu.spec import GpuSpec, GpuTable

__all__ = ["MODEL"]

F64 = npt.NDArray[np.float64]

_TIME_TERMS = ("compute_s", "cache_s", "dram_s", "overhead_s")
_ENERGY_TERMS = ("mac_j", "vector_j", "cache_j", "dram_j", "static_j")

_MEANING = {
    "kernels_s": "time of the layer's kernels on the GPU, launches included",
    "host_s": "time of the host to start them",
    "longer_s": "the longer of the two, layer by layer",
    "compute_s": "MACs and elementary operations, partial waves and starts of tiles included",
    "cache_s": "second cache",
    "dram_s": "memory",
    "overhead_s": "launches, further kernels, the call itself",
    "dynamic_j": "sum of the energy terms but the static one",
    "mac_j": "multiply-adds",
    "vector_j": "elementary operations",
    "cache_j": "second cache",
    "dram_j": "memory",
    "cache_bytes": "traffic of the second cache",
    "dram_bytes": "traffic of the memory",
    "kernels": "kernels that are launched",
    "executed_macs": "MACs by the chosen kernels; Winograd executes fewer than the network has",
    "workspace_bytes": "largest buffer that a layer needs beside its operands",
}


def _cost(layers: Any, configs: Any, scratch: Any, out: Any, choice: Any) -> None:
    """Every layer on every configuration, with the tiles that ship."""
    cost(layers, configs, BACKENDS, out, choice)


def _cost_at(
    layers: Any, configs: Any, layer_index: Any, config_index: Any, scratch: Any, out: Any, choice: Any
) -> None:
    """Listed pairs, with the tiles that ship."""
    cost_at(layers, configs, layer_index, config_index, BACKENDS, out, choice)


_RATES = (
    "fp64_macs_per_cycle", "fp32_macs_per_cycle", "fp16_macs_per_cycle", "int8_macs_per_cycle",
    "tensor_tf32_macs_per_cycle", "tensor_fp16_macs_per_cycle", "tensor_bf16_macs_per_cycle",
    "tensor_fp8_macs_per_cycle", "tensor_int8_macs_per_cycle", "tensor_fp4_macs_per_cycle",
)  # fmt: skip


def _config_metrics(table: GpuTable) -> dict[str, F64]:
    """Peak: every multiprocessor at the boost clock, at the fastest format's rate."""
    rate = np.maximum.reduce([getattr(table, name) for name in _RATES])
    peak = table.sms * table.clock_hz * rate
    return {"peak_macs_per_s": np.asarray(peak, np.float64), "idle_power_w": np.asarray(table.idle_w, np.float64)}


def _latency(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """The longer of the GPU's and the host's time, or a share of what no queue between them would take."""
    longer: F64 = np.maximum(metrics["kernels_s"], metrics["host_s"])
    queued: F64 = np.maximum(longer, metrics["longer_s"] * knobs["empty_queue"])
    return queued


def _static(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    static: F64 = metrics["latency_s"] * knobs["idle_w"]
    return static


def _energy(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    total: F64 = metrics["dynamic_j"] + metrics["static_j"]
    return total


def _utilisation(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """The share of the peak that the executed MACs reach."""
    slots = metrics["latency_s"] * metrics["peak_macs_per_s"]
    return np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)


def _memory_bytes_used(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> F64:
    """Weights, live activations, kept keys and values, and the largest workspace."""
    kept = metrics["weight_bytes"] + metrics["kv_cache_bytes"]
    total: F64 = kept + metrics["peak_activation_bytes"] + metrics["workspace_bytes"]
    return total


def _infeasible(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int8]:
    """1 where memory does not hold what lives during the run."""
    codes: npt.NDArray[np.int8] = (metrics["memory_bytes_used"] > knobs["memory_bytes"]).astype(np.int8)
    return codes


_REDUCTIONS = {name: "max" if name == "workspace_bytes" else "sum" for name in Cost._fields}
_CHOICES = (*(f"{rows}x{columns}" for rows, columns in TILES), *OTHER_CHOICES)
_LAYERWISE = Layerwise(_cost, _cost_at, _REDUCTIONS, scratch_size=1, choices=_CHOICES)  # type: ignore[arg-type]

MODEL = CostModel(
    name="gpu",
    meaning="multiprocessors with tensor units behind a second cache, under the runtime that executes the network",
    spec=GpuSpec,
    metrics=(
        Metric("latency_s", "rule", "the longer of all kernels and all enqueues of the host, or a share of both by "
               "turns"),
        Metric("energy_j", "rule", "sum of the energy terms"),
        Metric("static_j", "rule", "idle power times latency"),
        *(Metric(name, _REDUCTIONS[name], _MEANING[name]) for name in Cost._fields),  # type: ignore[arg-type]
        Metric("utilisation", "rule", "executed MACs over the peak's in the same time", "more"),
        Metric("memory_bytes_used", "rule", "weights, live activations, keys and values kept, the largest workspace"),
        Metric("peak_macs_per_s", "config", "all multiprocessors, boost clock, the fastest format", "more"),
        Metric("idle_power_w", "config", "between inferences"),
    ),
    compose=summed(_LAYERWISE),
    layerwise=_LAYERWISE,
    explain=explain,
    objectives=("energy_j", "latency_s"),
    searched=("sms", "clock_hz", "tensor_fp16_macs_per_cycle", "l2_bytes", "l2_bytes_per_cycle", "dram_bytes_per_s",
              "tdp_w"),
    layer_time="kernels_s",
    layer_energy="dynamic_j",
    time_terms=_TIME_TERMS,
    energy_terms=_ENERGY_TERMS,
    static_energy="static_j",
    config_metrics=_config_metrics,
    derived={
        "latency_s": PairRule(
            frozenset({"kernels_s", "host_s", "longer_s", "empty_queue"}), _latency, monotone=True
        ),
        "static_j": PairRule(frozenset({"latency_s", "idle_w"}), _static, monotone=True),
        "energy_j": PairRule(frozenset({"dynamic_j", "static_j"}), _energy, monotone=True),
        "utilisation": PairRule(frozenset({"latency_s", "peak_macs_per_s", "executed_macs"}), _utilisation),
        "memory_bytes_used": PairRule(
            frozenset({"weight_bytes", "peak_activation_bytes", "kv_cache_bytes", "workspace_bytes"}),
            _memory_bytes_used,
            monotone=True,
        ),
    },
    infeasible=PairRule(frozenset({"memory_bytes_used", "memory_bytes"}), _infeasible),
    infeasible_reasons=("memory does not hold the network",),
    assumptions=(
        Assumption("kernels", "one after the other", "-", "no two kernels run side by side"),
        Assumption("tile and split", "the fastest", "-", "libraries pick by tables and heuristics; 6 to 8 % of error"),
        Assumption(
            "residency", "x^6 / (1 + x^6) misses", "exponent 2 to 12",
            "bytes whose reuse distance is x times what a partition holds come from memory with this share",
        ),
        Assumption("least part of a split reduction", "128", "64 to 512", "steps of k"),
        Assumption("persistent kernels", "0.4, 0.5, 0.5", "0.2 to 1", "share of latency a step, of a partial wave and "
                   "of further tiles' starts that is not hidden"),
        Assumption("implicit GEMM", "every operand once a tile", "1 to 1 / window", "windows that overlap are read "
                   "through the second cache again"),
        Assumption("Winograd", "F(2,3) fused, F(4,3) in three kernels", "-", "as cuDNN's two algorithms"),
    ),
    references=(
        Reference("A100", "NVIDIA A100 Tensor Core GPU Architecture, white paper, 2020"),
        Reference("H100", "NVIDIA H100 Tensor Core GPU Architecture, white paper, 2022"),
        Reference("CUDA", "NVIDIA, CUDA C++ Programming Guide, throughput of native arithmetic instructions"),
        Reference("Lavin & Gray", "Lavin & Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016"),
        Reference("Horowitz", "M. Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014"),
    ),
)  # fmt: skip
