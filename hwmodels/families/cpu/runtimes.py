"""Runtimes as knobs: how a framework runs operators on a CPU, whichever CPU it is.

`with_runtime(spec, name)` puts one on a chip. Structure (layout, algorithms, packing) is what the runtime's source or
documentation says; efficiencies and overheads are the most probable values on the measurements named with each, which
therefore are no test of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.units import GB, US

__all__ = ["CPU_RUNTIMES", "CpuRuntime", "with_runtime"]


class CpuRuntime(NamedTuple):
    """semantics : a key of `RUNTIMES`. source : of the structure. fitted_on : of the numbers."""

    semantics: str
    knobs: Mapping[str, Any]
    source: str
    fitted_on: str


CPU_RUNTIMES: dict[str, CpuRuntime] = {
    "tflite": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 1 * US, "product_dispatch_s": 8 * US, "invoke_s": 20 * US,
            "gemm_efficiency": 0.7, "depthwise_efficiency": 0.23, "vector_efficiency": 0.42, "pool_efficiency": 0.25,
            "tile_overhead_steps": 16.0,
        },
        "TensorFlow Lite with XNNPACK: channels last, indirect GEMM, weights packed once",
        "note10 of mobile_op_lut, pi5_litert_cifar100 of nb201_edge360",
    ),
    "onnx": CpuRuntime(
        "compiled",
        {
            "layout": "blocked", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 1 * US, "product_dispatch_s": 2 * US, "invoke_s": 50 * US,
            "gemm_efficiency": 0.6, "depthwise_efficiency": 0.15, "vector_efficiency": 0.5, "pool_efficiency": 0.25,
            "tile_overhead_steps": 8.0,
        },
        "ONNX Runtime: MLAS with blocked layouts, weights packed once",
        "pi5_onnx_cifar100 of nb201_edge360",
    ),
    "ncnn": CpuRuntime(
        "compiled",
        {
            "layout": "blocked", "has_direct": True, "has_winograd": True, "repacks_weights": False,
            "barrier_s": 5 * US,
            "direct_least_elements": 0, "dispatch_s": 1 * US, "product_dispatch_s": 8 * US, "invoke_s": 20 * US,
            "gemm_efficiency": 0.6, "depthwise_efficiency": 0.25, "vector_efficiency": 0.3, "pool_efficiency": 0.2,
            "tile_overhead_steps": 16.0,
        },
        "ncnn: packed channels, Winograd, im2col and direct kernels",
        "every second device of ncnn_latency_fp",
    ),
    "torch": CpuRuntime(
        "eager",
        {
            "overlap_norm": 1.2, "layout": "nchw", "has_direct": True, "has_winograd": False, "repacks_weights": True,
            "direct_least_elements": 20480, "repack_bytes_per_s": 11 * GB, "dispatch_s": 15 * US,
            "product_dispatch_s": 50 * US, "invoke_s": 400 * US, "gemm_efficiency": 0.2, "depthwise_efficiency": 0.3,
            "vector_efficiency": 0.17, "pool_efficiency": 0.04, "tile_overhead_steps": 30.0, "page_fault_s": 0.5 * US,
        },
        "PyTorch on x86: oneDNN in its own layout around every convolution, own kernels for small ones",
        "silver_4114 of nb201_latency_ms",
    ),
    "torch_mobile": CpuRuntime(
        "eager",
        {
            "layout": "nhwc", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 15 * US, "product_dispatch_s": 150 * US, "invoke_s": 100 * US,
            "gemm_efficiency": 0.5, "depthwise_efficiency": 0.25, "vector_efficiency": 0.3, "pool_efficiency": 0.06,
            "tile_overhead_steps": 30.0,
        },
        "PyTorch Mobile: XNNPACK behind an interpreter that runs every operator as written",
        "samsung_s7 of nb201_latency_ms",
    ),
    "torch_compiled": CpuRuntime(
        "compiled",
        {
            "overlap_norm": 1.5, "layout": "nchw", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 20 * US, "product_dispatch_s": 10 * US, "invoke_s": 50 * US,
            "gemm_efficiency": 0.5, "depthwise_efficiency": 0.1, "vector_efficiency": 0.33, "pool_efficiency": 0.09,
            "tile_overhead_steps": 11.0,
        },
        "PyTorch with inductor: oneDNN, weights packed once, pointwise operators fused",
        "every second network of the i7-12700H rows of timm_throughput",
    ),
    "cmsis_nn": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": False, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 10 * US, "product_dispatch_s": 10 * US, "invoke_s": 50 * US,
            "gemm_efficiency": 0.5, "depthwise_efficiency": 0.085, "vector_efficiency": 0.22, "pool_efficiency": 0.2,
            "tile_overhead_steps": 12.0, "tile_rows": 2, "tile_vectors": 2,
        },
        "CMSIS-NN [Lai et al., 2018]: int8 products by 16-bit pairs, patches of two positions at a time",
        "STMicroelectronics on NUCLEO_L4R5ZI of mlperf_tiny_v1.0",
    ),
    "plumerai": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": False, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 10 * US, "product_dispatch_s": 10 * US, "invoke_s": 50 * US,
            "gemm_efficiency": 0.65, "depthwise_efficiency": 0.067, "vector_efficiency": 0.22, "pool_efficiency": 0.2,
            "tile_overhead_steps": 10.0, "tile_rows": 2, "tile_vectors": 2,
        },
        "Plumerai's inference engine, as CMSIS-NN where nothing is published",
        "Plumerai on NUCLEO_L4R5ZI of mlperf_tiny_v1.0",
    ),
}  # fmt: skip
"""The runtimes by name."""


def with_runtime(spec: CpuSpec, name: str) -> CpuSpec:
    """The chip of `spec` under the named runtime.

    >>> with_runtime(CpuSpec(), "ncnn").has_winograd
    True

    Raises
    ------
    SpecError : an unknown runtime.
    """
    if name not in CPU_RUNTIMES:
        raise SpecError.unknown("runtime", name, CPU_RUNTIMES)
    return CpuSpec.parse({**spec.model_dump(), **CPU_RUNTIMES[name].knobs}, where=name)
