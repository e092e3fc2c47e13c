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
from hwmodels.workload.rewrite import DeadBranches

__all__ = ["CPU_RUNTIMES", "CpuRuntime", "with_runtime"]


class CpuRuntime(NamedTuple):
    """semantics : a key of `RUNTIMES`. source : of the structure. fitted_on : of the numbers.

    dead_branches : what is done with branches on zeros, in spaces that have them; an eager runtime runs them.
    """

    semantics: str
    knobs: Mapping[str, Any]
    source: str
    fitted_on: str
    dead_branches: DeadBranches = "dropped"


CPU_RUNTIMES: dict[str, CpuRuntime] = {
    "tflite": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 0.126 * US, "product_dispatch_s": 13.5 * US,
            "invoke_s": 3.36 * US, "gemm_efficiency": 0.688, "depthwise_efficiency": 0.228,
            "vector_efficiency": 0.753, "pool_efficiency": 0.163, "tile_overhead_steps": 4.0,
        },
        "TensorFlow Lite of 2018 and 2019, before XNNPACK: channels last, weights packed once",
        "note10 of mobile_op_lut; what becomes of dead branches: pixel3 of nb201_latency_ms",
        dead_branches="run_if_read",
    ),
    "litert": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 0.112 * US, "product_dispatch_s": 0.251 * US,
            "invoke_s": 42.5 * US, "gemm_efficiency": 0.871, "depthwise_efficiency": 0.17,
            "vector_efficiency": 0.725, "pool_efficiency": 0.443, "tile_overhead_steps": 4.5,
        },
        "LiteRT, TensorFlow Lite with XNNPACK: channels last, indirect GEMM, weights packed once",
        "pi5_litert_cifar100 of nb201_edge360, and what becomes of dead branches",
        dead_branches="run_if_read",
    ),
    "onnx": CpuRuntime(
        "compiled",
        {
            "layout": "blocked", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 0.1 * US, "product_dispatch_s": 0.239 * US,
            "invoke_s": 516 * US, "gemm_efficiency": 0.616, "depthwise_efficiency": 0.15,
            "vector_efficiency": 0.726, "pool_efficiency": 0.752, "tile_overhead_steps": 4.0,
        },
        "ONNX Runtime: MLAS with blocked layouts, weights packed once",
        "pi5_onnx_cifar100 of nb201_edge360, and what becomes of dead branches",
        dead_branches="run",
    ),
    "ncnn": CpuRuntime(
        "compiled",
        {
            "layout": "blocked", "has_direct": True, "has_winograd": True, "repacks_weights": False,
            "barrier_s": 5.75 * US, "direct_least_elements": 0, "dispatch_s": 0.382 * US,
            "product_dispatch_s": 1.06 * US, "invoke_s": 10.6 * US, "gemm_efficiency": 0.634,
            "depthwise_efficiency": 0.296, "vector_efficiency": 0.734, "pool_efficiency": 0.0589,
            "serial_fraction": 0.174, "tile_overhead_steps": 36.2,
        },
        "ncnn: packed channels, Winograd, im2col and direct kernels",
        "every second device of ncnn_latency_fp",
    ),
    "torch": CpuRuntime(
        "eager",
        {
            "overlap_norm": 1.65, "layout": "nchw", "has_direct": True, "has_winograd": False,
            "repacks_weights": True, "direct_least_elements": 0, "repack_bytes_per_s": 11 * GB,
            "dispatch_s": 18.3 * US, "product_dispatch_s": 8.96 * US, "invoke_s": 999 * US,
            "gemm_efficiency": 0.526, "depthwise_efficiency": 0.6, "vector_efficiency": 0.325,
            "pool_efficiency": 0.0143, "tile_overhead_steps": 9.9, "page_fault_s": 0.5 * US,
        },
        "PyTorch on x86: oneDNN in its own layout around every convolution, weights packed at every call",
        "every second family of networks of the i9-10940X rows of timm_infer",
    ),
    "torch_2020": CpuRuntime(
        "eager",
        {
            "overlap_norm": 1.15, "threads": 1, "layout": "nchw", "has_direct": True, "has_winograd": False,
            "repacks_weights": True, "direct_least_elements": 20480, "repack_bytes_per_s": 11 * GB,
            "dispatch_s": 21.1 * US, "product_dispatch_s": 78.5 * US, "invoke_s": 281 * US,
            "gemm_efficiency": 0.176, "depthwise_efficiency": 0.3, "vector_efficiency": 0.173,
            "pool_efficiency": 0.0412, "tile_overhead_steps": 30.5, "page_fault_s": 0.5 * US,
        },
        "PyTorch of 2020 on x86, one thread: oneDNN around large convolutions, own kernels for small ones",
        "silver_4114 of nb201_latency_ms",
    ),
    "torch_mobile": CpuRuntime(
        "eager",
        {
            "layout": "nhwc", "has_direct": True, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 21 * US, "product_dispatch_s": 200 * US,
            "invoke_s": 79.6 * US, "gemm_efficiency": 0.95, "depthwise_efficiency": 0.25,
            "vector_efficiency": 0.289, "pool_efficiency": 0.0984, "tile_overhead_steps": 59.2,
        },
        "PyTorch Mobile: XNNPACK behind an interpreter that runs every operator as written",
        "samsung_s7 of nb201_latency_ms",
    ),
    "torch_compiled": CpuRuntime(
        "compiled",
        {
            "overlap_norm": 1.23, "layout": "nchw", "has_direct": True, "has_winograd": False,
            "repacks_weights": False, "direct_least_elements": 0, "dispatch_s": 30.1 * US,
            "product_dispatch_s": 7.49 * US, "invoke_s": 989 * US, "gemm_efficiency": 0.454,
            "depthwise_efficiency": 0.1, "vector_efficiency": 0.326, "pool_efficiency": 0.102,
            "tile_overhead_steps": 12.4,
        },
        "PyTorch with inductor: oneDNN, weights packed once, pointwise operators fused",
        "every second family of networks of the i7-12700H rows of timm_throughput",
    ),
    "cmsis_nn": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": False, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 12.4 * US, "product_dispatch_s": 110 * US,
            "invoke_s": 54.2 * US, "gemm_efficiency": 0.537, "depthwise_efficiency": 0.089,
            "vector_efficiency": 0.23, "pool_efficiency": 0.283, "tile_overhead_steps": 17.6, "tile_rows": 2,
            "tile_vectors": 2,
        },
        "CMSIS-NN [Lai et al., 2018]: int8 products by 16-bit pairs, patches of two positions at a time",
        "STMicroelectronics on NUCLEO_L4R5ZI of mlperf_tiny_v1.0",
    ),
    "plumerai": CpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_direct": False, "has_winograd": False, "repacks_weights": False,
            "direct_least_elements": 0, "dispatch_s": 4.92 * US, "product_dispatch_s": 4.59 * US,
            "invoke_s": 29.2 * US, "gemm_efficiency": 0.691, "depthwise_efficiency": 0.0649,
            "vector_efficiency": 0.192, "pool_efficiency": 0.251, "tile_overhead_steps": 11.4, "tile_rows": 2,
            "tile_vectors": 2,
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
    return spec.revised(CPU_RUNTIMES[name].knobs, where=name)
