"""Runtimes as knobs: how a framework runs operators on a GPU, whichever GPU it is.

`with_runtime(spec, name)` puts one on a chip. Structure (layout, formats, recorded or started one by one) is what the
runtime's source or documentation says; times of the host and efficiencies are the most probable values on the
measurements named with each, which therefore are no test of it, or ASSUMED with a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.units import US
from hwmodels.workload.rewrite import DeadBranches

__all__ = ["GPU_RUNTIMES", "GpuRuntime", "with_runtime"]


class GpuRuntime(NamedTuple):
    """semantics : a key of `RUNTIMES`. source : of the structure. fitted_on : of the numbers.

    dead_branches : what is done with branches on zeros, in spaces that have them; an eager runtime runs them.
    fuses_attention : whether attention is one kernel.
    """

    semantics: str
    knobs: Mapping[str, Any]
    source: str
    fitted_on: str
    dead_branches: DeadBranches = "dropped"
    fuses_attention: bool = False


_NOTHING = "nothing: ASSUMED, ranges beside the knobs"

_SHIPPED = {
    "epilogue_elements_per_cycle": 5.18, "tail_share": 0.735, "split_s": 0.61 * US, "residency": 0.782,
    "overlap_norm": 3.49, "launch_s": 0.812 * US, "stream_launch_ratio": 1.7,
}  # fmt: skip
"""What shipped of kernels when the rest of a runtime was fitted beside it: they stay together."""

_VECTOR_KERNELS = {
    "vector_mac_efficiency": 0.898, "vector_feed_bytes_per_mac": 0.676, "vector_latency_cycles_per_k": 1.04,
    "vector_tile_overhead_cycles": 3490.0, "dram_efficiency": 0.786, **_SHIPPED,
}  # fmt: skip
"""As `_SHIPPED`, with products in float32."""

_REST_OF_PHONES = {
    "residency": 0.782,
    "vector_efficiency": 0.819,
    "reduction_efficiency": 0.745,
    "stream_launch_ratio": 1.7,
}
"""What ships of the rest, as the phones' layers were fitted."""

_EMPTY_QUEUE = 0.9
"""Of steps of 0.05, the one that ranks titanx of fbnet5000_latency_ms best at batches of 32 and 64."""

_AMP_ROWS = "every second family of networks of infer-amp-nhwc-pt240-cu124-rtx3090 of timm_throughput"
_AMP_KERNELS = {
    "launch_cycles": 1530.0, "mac_efficiency": 1.0, "gather_efficiency": 1.0, "dram_efficiency": 0.97,
    "stream_efficiency": 1.0, "reduction_efficiency": 1.0, "vector_efficiency": 0.05, "pool_efficiency": 0.0242,
    "depthwise_efficiency": 0.378, "depthwise_stream_efficiency": 1.0, "feed_bytes_per_mac": 0.0557,
    "latency_cycles_per_k": 8.87, "tile_overhead_cycles": 1360.0, **_SHIPPED,
}  # fmt: skip
"""Several stand at the end of their range: a GeForce under load runs above the boost clock of its data sheet."""

GPU_RUNTIMES: dict[str, GpuRuntime] = {
    "torch_2020": GpuRuntime(
        "eager",
        {
            "layout": "nchw", "allow_tf32": False, "has_winograd": True, "context": "cold",
            "empty_queue": _EMPTY_QUEUE,
            "enqueue_s": 20.69 * US, "product_enqueue_s": 71.02 * US, "invoke_s": 512 * US,
            "copy_enqueue_s": 62.1 * US,  # three more calls, as `enqueue_s`: view, transpose, copy, view
            "launch_cycles": 3170.0, "stream_efficiency": 0.856, "vector_efficiency": 0.816,
            "pool_efficiency": 0.0599, "reduction_efficiency": 0.789, "depthwise_efficiency": 0.064,
            "depthwise_stream_efficiency": 0.102, **_VECTOR_KERNELS,
        },
        "PyTorch of 2020: every operator a call from Python, float32 in nchw, cuDNN's algorithms",
        "titanx of nb201_latency_ms (the host at batch 1 and 32, kernels at 32 and 256) and titan_xp of "
        "ofa5000_latency_ms (kernels at 32 and 64); titanx of fbnet5000_latency_ms (`empty_queue`)",
    ),
    "torch": GpuRuntime(
        "eager",
        {
            # ASSUMED: 4 to 12 us a kernel from Python, 2 to 20 us more where cuDNN or cuBLAS are called
            "layout": "nhwc", "allow_tf32": True, "has_winograd": True, "context": "cold",
            "enqueue_s": 7 * US, "product_enqueue_s": 8 * US, "invoke_s": 100 * US, "empty_queue": _EMPTY_QUEUE,
        },
        "PyTorch 2, eager, channels last under automatic mixed precision, TF32 where float32 is left",
        _NOTHING,
        fuses_attention=True,
    ),
    "torch_jetson": GpuRuntime(
        "eager",
        {
            # ASSUMED: the host of a Jetson takes 30 to 100 us an operator, of which calls from Python are most
            "layout": "nchw", "allow_tf32": False, "has_winograd": True, "context": "cold",
            "enqueue_s": 40 * US, "product_enqueue_s": 20 * US, "invoke_s": 300 * US, "empty_queue": _EMPTY_QUEUE,
        },
        "PyTorch 1 on a Jetson's own processor, float32",
        _NOTHING,
    ),
    "torch_amp": GpuRuntime(
        "eager",
        {
            # ASSUMED: as `torch`, of the host
            "layout": "nhwc", "allow_tf32": True, "has_winograd": True, "context": "cold",
            "enqueue_s": 7 * US, "product_enqueue_s": 8 * US, "invoke_s": 100 * US,
            "empty_queue": _EMPTY_QUEUE, **_AMP_KERNELS,
        },
        "PyTorch 2, eager, channels last under automatic mixed precision, large batches",
        _AMP_ROWS,
        fuses_attention=True,
    ),
    "torch_compiled": GpuRuntime(
        "compiled",
        {
            # ASSUMED: 2 to 6 us a kernel from a compiled wrapper, without a recorded graph
            "layout": "nhwc", "allow_tf32": True, "has_winograd": False, "context": "cold",
            "enqueue_s": 4 * US, "product_enqueue_s": 3 * US, "invoke_s": 50 * US, **_AMP_KERNELS,
        },
        "PyTorch 2 with inductor: convolutions in channels last, pointwise operators fused with each other",
        _AMP_ROWS,
        fuses_attention=True,
    ),
    "cuda_graph": GpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "allow_tf32": True, "has_winograd": False, "context": "cold",
            "enqueue_s": 0.0, "product_enqueue_s": 0.0, "invoke_s": 10 * US,  # ASSUMED: 5 to 20 us a graph launch
        },
        "a recorded graph of compiled kernels: CUDA programming guide, CUDA graphs",
        _NOTHING,
        fuses_attention=True,
    ),
    "tensorrt": GpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "allow_tf32": True, "has_winograd": False, "context": "cold",
            "enqueue_s": 2 * US, "product_enqueue_s": 0.0, "invoke_s": 20 * US,  # ASSUMED: 1 to 4 us, 10 to 50 us
        },
        "TensorRT: layers fused, tactics by measurement, kernels enqueued by C++ or a recorded graph",
        _NOTHING,
        dead_branches="run_if_read",
        fuses_attention=True,
    ),
    "tflite_gpu": GpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_winograd": True, "context": "cold", "channel_pack": 4, "enqueue_s": 0.0,
            "product_enqueue_s": 0.0, "launch_s": 6.13 * US, "launch_cycles": 0.0, "invoke_s": 1000 * US,
            "vector_mac_efficiency": 0.19, "vector_feed_bytes_per_mac": 0.458, "vector_latency_cycles_per_k": 33.8,
            "vector_tile_overhead_cycles": 100.0, "epilogue_elements_per_cycle": 64.0, "tail_share": 1.0,
            "gather_efficiency": 0.837, "depthwise_efficiency": 0.246, "depthwise_stream_efficiency": 1.0,
            "pool_efficiency": 1.0, "dram_efficiency": 0.81, "stream_efficiency": 0.498, "l2_efficiency": 0.892,
            "overlap_norm": 7.58, **_REST_OF_PHONES,
        },
        "TensorFlow Lite's GPU delegate: OpenCL or Metal kernels on slices of four channels, one queue, float16",
        "pixel4 of phone_gpu_layers",
        dead_branches="run_if_read",
    ),
    "tflite_metal": GpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_winograd": True, "context": "cold", "channel_pack": 4, "enqueue_s": 0.0,
            "product_enqueue_s": 0.0, "launch_s": 9.56 * US, "launch_cycles": 0.0, "invoke_s": 1000 * US,
            "vector_mac_efficiency": 0.375, "vector_feed_bytes_per_mac": 0.75, "vector_latency_cycles_per_k": 16.6,
            "vector_tile_overhead_cycles": 100.0, "epilogue_elements_per_cycle": 64.0, "tail_share": 1.0,
            "gather_efficiency": 0.944, "depthwise_efficiency": 0.443, "depthwise_stream_efficiency": 1.0,
            "pool_efficiency": 1.0, "dram_efficiency": 0.967, "stream_efficiency": 0.964, "l2_efficiency": 0.409,
            "overlap_norm": 10.6, **_REST_OF_PHONES,
        },
        "TensorFlow Lite's GPU delegate on Metal: slices of four channels, one queue, float16",
        "iphone7 of phone_gpu_layers",
        dead_branches="run_if_read",
    ),
    "ncnn_vulkan": GpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "has_winograd": True, "context": "cold", "channel_pack": 4, "enqueue_s": 0.0,
            "product_enqueue_s": 0.0, "launch_s": 15 * US, "launch_cycles": 0.0, "invoke_s": 1500 * US,
        },
        "ncnn on Vulkan: packed channels, Winograd, one command buffer a network",
        _NOTHING,
    ),
    "llm_engine": GpuRuntime(
        "compiled",
        {
            "layout": "nhwc", "allow_tf32": True, "context": "cold", "enqueue_s": 0.0, "product_enqueue_s": 0.0,
            "invoke_s": 300 * US,  # ASSUMED: scheduling and sampling of a step on the host, 0.1 to 3 ms
        },
        "vLLM and its like: decode steps in recorded graphs, fused attention on paged keys and values",
        _NOTHING,
        fuses_attention=True,
    ),
}  # fmt: skip
"""The runtimes by name."""


def with_runtime(spec: GpuSpec, name: str) -> GpuSpec:
    """The chip of `spec` under the named runtime.

    >>> with_runtime(GpuSpec(), "torch_2020").layout
    'nchw'

    Raises
    ------
    SpecError : an unknown runtime.
    """
    if name not in GPU_RUNTIMES:
        raise SpecError.unknown("runtime", name, GPU_RUNTIMES)
    return spec.revised(GPU_RUNTIMES[name].knobs, where=name)
