"""The knobs of a GPU and of the kernels and the runtime on it: units, caches, memory, power, launches, efficiencies.

A device is a chip together with the runtime that its latencies hold for; `runtimes` has the runtimes alone. Rates are
MACs a cycle and multiprocessor by number format: what a data sheet calls FLOP/s is twice that, times `sms` and a clock,
without sparsity. Efficiencies and overheads carry no unit that changes with the chip (MACs, cycles, bytes a MAC), so
that one value serves chips that nobody has measured.

[A100], [H100] NVIDIA's white papers of the two generations. [Horowitz] ISSCC 2014, fig. 1.1.9. [CUDA] CUDA C++
programming guide, arithmetic throughput by compute capability. [shipped] the one set of constants that suits 800 rows
of every device of the open kernel tables best, with all of them in view: products, attention and experts of A100, H100,
L40S in bf16, vector kernels of A100, V100, T4 and P4 in fp32. What such constants are worth on a GPU that gave them no
row is in the README.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.spec import Spec, knob
from hwmodels.numerics import Numerics
from hwmodels.units import GB, GHZ, KIB, MIB, PJ, US
from hwmodels.workload.formats import FLOATS, Format, integer

__all__ = ["GpuSpec", "GpuTable"]

_SHEET = "[A100]: A100 SXM 80 GB"
_DESIGN = "a choice of the runtime"
_SHIPPED = "ASSUMED: [shipped]"
_PER_SM = "MAC/cycle"


class GpuSpec(Spec):
    """One GPU with its runtime; the defaults are an A100 SXM 80 GB that runs a compiled network.

    >>> GpuSpec().numerics().weight_bits
    32
    """

    # The chip.
    sms: int = knob(108, "multiprocessors", source=_SHEET, ge=1, le=4096)
    clock_hz: float = knob(1.41 * GHZ, "boost clock", source=_SHEET, unit="Hz", gt=0)
    sustained_clock_hz: float = knob(
        0.0, "clock that the chip holds under load, where it is known; 0 is the boost clock", source=_SHEET, unit="Hz",
        ge=0, le=1e11,
    )  # fmt: skip
    fp64_macs_per_cycle: float = knob(32.0, "float64 MACs a cycle and multiprocessor, vector units; 0 is none",
                                      source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    fp32_macs_per_cycle: float = knob(64.0, "float32 MACs a cycle and multiprocessor, vector units: its lanes",
                                      source=_SHEET, unit=_PER_SM, gt=0, le=1e6)  # fmt: skip
    fp16_macs_per_cycle: float = knob(256.0, "float16 MACs a cycle and multiprocessor, vector units; 0 is none",
                                      source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    int8_macs_per_cycle: float = knob(
        256.0, "int8 MACs a cycle and multiprocessor, vector units (dp4a); 0 is none",
        source="[CUDA]: 64 dp4a a cycle and multiprocessor", unit=_PER_SM, ge=0, le=1e6,
    )  # fmt: skip
    tensor_tf32_macs_per_cycle: float = knob(512.0, "TF32 MACs a cycle and multiprocessor, tensor units; 0 is none",
                                             source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    tensor_fp16_macs_per_cycle: float = knob(
        1024.0, "float16 MACs a cycle and multiprocessor, tensor units, sums in float32; 0 is none", source=_SHEET,
        unit=_PER_SM, ge=0, le=1e6,
    )  # fmt: skip
    tensor_bf16_macs_per_cycle: float = knob(1024.0, "bfloat16 MACs a cycle and multiprocessor, tensor units; 0 is "
                                             "none", source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    tensor_fp8_macs_per_cycle: float = knob(0.0, "fp8 MACs a cycle and multiprocessor, tensor units; 0 is none",
                                            source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    tensor_int8_macs_per_cycle: float = knob(2048.0, "int8 MACs a cycle and multiprocessor, tensor units; 0 is none",
                                             source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    tensor_fp4_macs_per_cycle: float = knob(0.0, "fp4 MACs a cycle and multiprocessor, tensor units; 0 is none",
                                            source=_SHEET, unit=_PER_SM, ge=0, le=1e6)  # fmt: skip
    special_ops_per_cycle: float = knob(16.0, "exponentials and their like a cycle and multiprocessor",
                                        source="[CUDA]: 16 for every capability from 5.0 on", gt=0, le=1e6)  # fmt: skip
    index_ops_per_cycle: float = knob(
        64.0, "integer multiply-adds a cycle and multiprocessor: addresses of windows, which bound pooling and "
        "depthwise convolutions",
        source="[CUDA]: 64 from capability 7.0 on; several instructions of 128 lanes before", gt=0, le=1e6,
    )  # fmt: skip
    persistent_kernels: bool = knob(
        False, "products run as persistent kernels with warps that only load (Hopper and later): less latency is "
        "exposed, and tails and epilogues overlap the next tile", source=_SHEET,
    )  # fmt: skip
    channel_pack: int = knob(
        1, "channels that lie together and are computed together, padded: 4 in the textures of mobile GPUs",
        source=_SHEET, ge=1, le=64,
    )  # fmt: skip
    shared_memory_bytes: int = knob(
        164 * KIB, "memory of a multiprocessor that its resident blocks of threads share",
        source="[CUDA]: technical specifications by compute capability, 8.0", unit="B", ge=1024,
    )  # fmt: skip
    l2_bytes: int = knob(40 * MIB, "second (last) cache, all partitions", source=_SHEET, unit="B", ge=1024)
    l2_partitions: int = knob(
        2, "partitions that each keep a copy of what is read through them (2 on A100 and H100)", source=_SHEET, ge=1,
        le=16,
    )  # fmt: skip
    l2_bytes_per_cycle: float = knob(5120.0, "reads of the second cache by all multiprocessors together", source=_SHEET,
                                     unit="B/cycle", gt=0, le=1e8)  # fmt: skip
    l2_multicast: float = knob(
        1.0, "multiprocessors that one read of the second cache serves in products (TMA multicast within a cluster)",
        source=_SHEET, ge=1, le=16,
    )  # fmt: skip
    dram_bytes_per_s: float = knob(2039 * GB, "memory bandwidth, peak", source=_SHEET, unit="B/s", gt=0)
    memory_bytes: float = knob(80 * GB, "memory that network and runtime may take", source=_SHEET, unit="B", gt=0)
    tdp_w: float = knob(400.0, "power limit of the board; the clock falls where more is needed", source=_SHEET,
                        unit="W", gt=0)  # fmt: skip
    idle_w: float = knob(
        80.0, "power that does not depend on the work: memory, fans, leakage, clocks that run",
        source="ASSUMED: 55 W idle and some 25 W of clocks and leakage under load of an A100", unit="W", ge=0,
        plausible=(0.2, 200.0),
    )  # fmt: skip

    # Matrix products on tensor units.
    mac_efficiency: float = knob(1.0, "MACs a cycle over the tensor units' own rate", source=_SHIPPED, gt=0, le=1,
                                 plausible=(0.4, 1.0))  # fmt: skip
    feed_bytes_per_mac: float = knob(
        0.185, "operand bytes that reach the units of a multiprocessor in the time of one MAC", source=_SHIPPED,
        unit="B", gt=0, ge=1e-4, plausible=(0.01, 0.5),
    )  # fmt: skip
    latency_cycles_per_k: float = knob(
        7.07, "least cycles a step of the reduction: latency over the steps that are in flight", source=_SHIPPED,
        unit="cycle", ge=0, plausible=(1.0, 30.0),
    )  # fmt: skip
    tile_overhead_cycles: float = knob(453.0, "start and end of a tile", source=_SHIPPED, unit="cycle", ge=0,
                                       plausible=(20.0, 10_000.0))  # fmt: skip
    epilogue_elements_per_cycle: float = knob(4.58, "elements of a tile that a multiprocessor scales and writes",
                                              source=_SHIPPED, gt=0, plausible=(0.3, 64.0))  # fmt: skip
    tail_share: float = knob(1.0, "share of a whole wave of tiles that a last, partial one takes", source=_SHIPPED,
                             ge=0, le=2, plausible=(0.1, 1.0))  # fmt: skip
    split_cycles_per_element: float = knob(
        0.03, "cycles an element of a tile and doubling of the parts that a reduction is split into", source=_SHIPPED,
        unit="cycle", ge=0, plausible=(0.003, 0.3),
    )  # fmt: skip
    split_s: float = knob(0.3 * US, "a further kernel that adds the parts of a split reduction", source=_SHIPPED,
                          unit="s", ge=0, plausible=(0.3 * US, 10 * US))  # fmt: skip
    misaligned_rate: float = knob(
        0.5, "tensor MACs a cycle where a row of an operand is no multiple of 16 bytes, over those of aligned rows",
        source="ASSUMED: NVIDIA's guide asks for 16 bytes; cuBLAS from 11 on falls to narrower loads, 0.5 to 0.8",
        gt=0, le=1, plausible=(0.2, 1.0),
    )  # fmt: skip

    # Matrix products on vector units.
    vector_mac_efficiency: float = knob(0.893, "MACs a cycle over the vector units' own rate", source=_SHIPPED, gt=0,
                                        le=1, plausible=(0.1, 1.0))  # fmt: skip
    vector_feed_bytes_per_mac: float = knob(
        1.59, "as `feed_bytes_per_mac`, of products on vector units", source=_SHIPPED, unit="B", gt=0, ge=1e-4,
        plausible=(0.03, 3.0),
    )  # fmt: skip
    vector_latency_cycles_per_k: float = knob(
        5.09, "as `latency_cycles_per_k`, of products on vector units", source=_SHIPPED, unit="cycle", ge=0,
        plausible=(1.0, 200.0),
    )  # fmt: skip
    vector_tile_overhead_cycles: float = knob(
        2220.0, "as `tile_overhead_cycles`, of products on vector units", source=_SHIPPED, unit="cycle", ge=0,
        plausible=(100.0, 20_000.0),
    )  # fmt: skip

    # Memory.
    l2_efficiency: float = knob(0.7, "sustained over peak reads of the second cache in products", source=_SHIPPED, gt=0,
                                le=1, plausible=(0.3, 1.0))  # fmt: skip
    residency: float = knob(
        0.836, "share of the second cache (of one partition) that data stay in between two uses", source=_SHIPPED, gt=0,
        le=2, plausible=(0.3, 1.2),
    )  # fmt: skip
    dram_efficiency: float = knob(0.803, "sustained over peak memory bandwidth", source=_SHIPPED, gt=0, le=1,
                                  plausible=(0.3, 0.97))  # fmt: skip
    overlap_norm: float = knob(2.9, "p of (compute^p + memory^p)^(1/p): 1 adds them, large hides the shorter",
                               source=_SHIPPED, ge=1, le=16, plausible=(1.0, 12.0))  # fmt: skip
    raster_tiles: int = knob(8, "least side, in tiles, of the block of tiles that run at a time",
                             source="ASSUMED: the swizzle of common kernels; any of 4 to 16 fits alike", ge=1, le=256,
                             plausible=(2.0, 16.0))  # fmt: skip

    # Kernels without products.
    stream_efficiency: float = knob(
        0.833, "sustained over peak memory bandwidth of kernels that read and write every element once",
        source=_SHIPPED, gt=0, le=1, plausible=(0.2, 1.0),
    )  # fmt: skip
    vector_efficiency: float = knob(
        0.951, "elementary operations a cycle over the vector lanes' rate", source=_SHIPPED, gt=0, le=1,
        plausible=(0.05, 1.0),
    )  # fmt: skip
    reduction_efficiency: float = knob(
        0.746, "memory bandwidth of normalisation and softmax over that of kernels that pass once over the data",
        source=_SHIPPED, gt=0, le=1, plausible=(0.1, 1.0),
    )  # fmt: skip
    pool_efficiency: float = knob(0.15, "elementary operations of pooling a cycle over `index_ops_per_cycle`",
                                  source="ASSUMED: addresses and edges of overlapping windows", gt=0, le=1,
                                  plausible=(0.02, 1.0))  # fmt: skip
    depthwise_efficiency: float = knob(
        0.2, "MACs a cycle of depthwise convolutions over `index_ops_per_cycle`",
        source="ASSUMED: two loads a MAC, little reuse in registers", gt=0, le=4, plausible=(0.02, 2.0),
    )  # fmt: skip
    depthwise_stream_efficiency: float = knob(
        1.0, "memory bandwidth of depthwise convolutions over that of kernels that pass once over the data",
        source="ASSUMED: one pass; small planes in nchw reach less", gt=0, le=1, plausible=(0.1, 1.0),
    )  # fmt: skip
    gather_efficiency: float = knob(
        0.9, "MACs a cycle of convolutions with windows (implicit GEMM) over those of a product of the same size",
        source="ASSUMED: addresses of the window and its edges", gt=0, le=1, plausible=(0.3, 1.0),
    )  # fmt: skip

    # Attention in one kernel, prompts and single tokens; mixtures of experts.
    attention_kernels: Literal["flash2", "flash3"] = knob(
        "flash2", "rules of tiles, packing and splits", source=_DESIGN
    )
    attention_mac_efficiency: float = knob(
        1.0, "MACs a cycle over the tensor units' rate, of attention", source=_SHIPPED, gt=0, le=1,
        plausible=(0.3, 1.0),
    )  # fmt: skip
    attention_softmax_cost: float = knob(1.37, "cycles of the softmax over one exponential and four lane operations",
                                         source=_SHIPPED, gt=0, plausible=(0.2, 4.0))  # fmt: skip
    attention_overhead_cycles: float = knob(3070.0, "start and end of a tile of queries", source=_SHIPPED,
                                            unit="cycle", ge=0, plausible=(300.0, 20_000.0))  # fmt: skip
    attention_tail: float = knob(2.37, "half tiles of queries that the last wave of a prompt waits", source=_SHIPPED,
                                 ge=0, plausible=(0.1, 4.0))  # fmt: skip
    attention_dram_efficiency: float = knob(0.88, "sustained over peak memory bandwidth of attention", source=_SHIPPED,
                                            gt=0, le=1, plausible=(0.3, 1.0))  # fmt: skip
    attention_l2_efficiency: float = knob(1.0, "sustained over peak reads of the second cache in attention",
                                          source=_SHIPPED, gt=0, le=1, plausible=(0.2, 1.0))  # fmt: skip
    attention_overlap_norm: float = knob(1.33, "as `overlap_norm`, of prompts", source=_SHIPPED, ge=1, le=16,
                                         plausible=(1.0, 8.0))  # fmt: skip
    attention_launch_ratio: float = knob(1.55, "launch of a kernel of attention over that of a product",
                                         source=_SHIPPED, ge=0.1, plausible=(0.5, 4.0))  # fmt: skip
    decode_block_cycles: float = knob(1020.0, "64 KiB of keys and values through one multiprocessor", source=_SHIPPED,
                                      unit="cycle", ge=0, plausible=(200.0, 10_000.0))  # fmt: skip
    decode_overhead_cycles: float = knob(1810.0, "start and end of the longest of the parts of a token's attention",
                                         source=_SHIPPED, unit="cycle", ge=0, plausible=(200.0, 20_000.0))  # fmt: skip
    decode_part_cycles: float = knob(6640.0, "a multiprocessor's time for each of the parts, beside their blocks",
                                     source=_SHIPPED, unit="cycle", ge=0, plausible=(300.0, 20_000.0))  # fmt: skip
    decode_combine_s: float = knob(3.19 * US, "a further kernel that joins the parts", source=_SHIPPED, unit="s", ge=0,
                                   plausible=(0.5 * US, 20 * US))  # fmt: skip
    decode_copy_ratio: float = knob(0.987, "a copy kernel before or after a token's attention over a launch",
                                    source=_SHIPPED, ge=0, plausible=(0.2, 4.0))  # fmt: skip
    decode_overlap_norm: float = knob(1.67, "as `overlap_norm`, of single tokens", source=_SHIPPED, ge=1, le=16,
                                      plausible=(1.0, 8.0))  # fmt: skip
    expert_mac_efficiency: float = knob(0.593, "MACs a cycle over the tensor units' rate, of experts", source=_SHIPPED,
                                        gt=0, le=1, plausible=(0.2, 1.0))  # fmt: skip
    expert_latency_cycles_per_k: float = knob(1.0, "as `latency_cycles_per_k`, of experts", source=_SHIPPED,
                                              unit="cycle", ge=0, plausible=(1.0, 30.0))  # fmt: skip
    expert_overhead_cycles: float = knob(5630.0, "as `tile_overhead_cycles`, of experts", source=_SHIPPED,
                                         unit="cycle", ge=0, plausible=(100.0, 20_000.0))  # fmt: skip
    expert_dram_efficiency: float = knob(0.818, "as `dram_efficiency`, of experts", source=_SHIPPED, gt=0, le=1,
                                         plausible=(0.2, 1.0))  # fmt: skip
    expert_l2_efficiency: float = knob(1.0, "as `l2_efficiency`, of experts", source=_SHIPPED, gt=0, le=1,
                                       plausible=(0.2, 1.0))  # fmt: skip
    expert_launch_ratio: float = knob(4.0, "launch of a kernel around experts over that of a product",
                                      source=_SHIPPED, ge=0.1, plausible=(0.5, 4.0))  # fmt: skip

    # The runtime.
    launch_s: float = knob(
        1.11 * US, "from the end of a kernel to the start of the next, the part that no clock of the chip changes",
        source=_SHIPPED, unit="s", ge=0, plausible=(0.05 * US, 20 * US),
    )  # fmt: skip
    launch_cycles: float = knob(2190.0, "as `launch_s`, the part in cycles, filling and draining the chip included",
                                source=_SHIPPED, unit="cycle", ge=0, plausible=(200.0, 50_000.0))  # fmt: skip
    stream_launch_ratio: float = knob(
        1.7, "launch of a kernel without products over that of a product", source=_SHIPPED, ge=0.1,
        plausible=(0.5, 4.0),
    )  # fmt: skip
    enqueue_s: float = knob(
        0.0, "host's time for each kernel; a network takes the longer of all kernels and all enqueues",
        source="0: a recorded graph is replayed, or kernels are long; eager frameworks take 5 to 30 us", unit="s",
        ge=0, plausible=(0.5 * US, 100 * US),
    )  # fmt: skip
    product_enqueue_s: float = knob(
        0.0, "host's further time for a layer with MACs", source="0: a recorded graph is replayed; eager frameworks "
        "look for an algorithm and a workspace, 10 to 100 us", unit="s", ge=0,
        plausible=(0.5 * US, 200 * US),
    )  # fmt: skip
    copy_enqueue_s: float = knob(
        0.0, "host's further time for a layer that copies: the views before and behind it", source="0: views are "
        "resolved before the run; in eager frameworks a channel shuffle is view, transpose, copy, view", unit="s",
        ge=0, plausible=(0.5 * US, 200 * US),
    )  # fmt: skip
    empty_queue: float = knob(
        0.0, "least share of the sum over layers of the longer of kernels and host: the queue between them is empty at "
        "times", source="0: layers are alike or the queue is long, and the sums alone count", ge=0, le=1,
        plausible=(0.5, 1.0),
    )  # fmt: skip
    invoke_s: float = knob(
        10 * US, "once a network, beside its kernels: the call, the last synchronisation",
        source="ASSUMED: a graph launch and a synchronisation", unit="s", ge=0, plausible=(1 * US, 20_000 * US),
    )  # fmt: skip
    context: Literal["cold", "hot"] = knob(
        "cold", "weights as a whole network leaves them, or as a repeated layer finds them", source=_DESIGN
    )
    reuse_distance_bytes: float = knob(
        50e6, "data that pass between two uses of a weight in a cold context",
        source="ASSUMED: weights and activations of a network of some ten million parameters", unit="B", ge=0,
        plausible=(1e6, 1e10),
    )  # fmt: skip
    weight_copies: float = knob(
        1.0, "what passes between two uses of a layer's weights, over these weights; more than 1 where a loop takes "
        "turns with copies of them, as benchmarks with a cold cache do", source=_DESIGN, ge=1, le=1024,
    )  # fmt: skip
    product_kernels: Literal["fastest", "vllm_fp8_sm89", "vllm_fp8_sm90"] = knob(
        "fastest", "tile and split of an fp8 product: the fastest, or by a rule of `backends`", source=_DESIGN
    )  # fmt: skip
    quantise_row_cycles: float = knob(
        0.0, "activations of an fp8 product are quantised by a kernel before it: cycles a row and multiprocessor; 0 "
        "is no such kernel", source=_DESIGN, unit="cycle", ge=0, le=1e6,
    )  # fmt: skip
    scaled_block_k: int = knob(
        0, "steps of k after which the sums of an fp8 product are scaled and added on vector units (128 where operands "
        "have a scale a block); 0 is never", source=_DESIGN, ge=0, le=4096,
    )  # fmt: skip
    allow_tf32: bool = knob(False, "products of float32 operands run in TF32 on tensor units", source=_DESIGN)
    layout: Literal["nchw", "nhwc"] = knob(
        "nhwc", "layout between layers: tensor units want nhwc, and nchw reorders input and output of a convolution on "
        "them", source=_DESIGN,
    )  # fmt: skip
    has_winograd: bool = knob(True, "3x3 convolutions at stride one may run by Winograd's F(2,3) or F(4,3) on vector "
                              "units", source="cuDNN developer guide: CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD")  # fmt: skip
    winograd_least_channels: int = knob(
        0, "a rule in place of the fastest: F(4,3) where inputs and outputs have so many channels and there are enough "
        "tiles; 0 is no rule", source=_DESIGN, ge=0, le=4096,
    )  # fmt: skip
    winograd_least_tiles: int = knob(0, "tiles of 4 x 4 outputs from which on the rule takes F(4,3)", source=_DESIGN,
                                     ge=0, le=1_000_000)  # fmt: skip

    # Energy.
    mac_j: float = knob(
        0.6 * PJ, "a 16-bit tensor MAC with its share of loads and instructions at `energy_clock_hz`; by its bits",
        source="ASSUMED: what power limit and sustained rate of A100 and H100 leave, 0.3 to 0.7 pJ a FLOP; [Horowitz] "
        "1.5 pJ for the arithmetic alone at 45 nm", unit="J", ge=0, plausible=(0.1 * PJ, 8 * PJ),
    )  # fmt: skip
    vector_mac_j: float = knob(
        12 * PJ, "a float32 MAC of vector units with its instruction at `energy_clock_hz`; by its bits",
        source="ASSUMED: power limit over the float32 peak is 28 (V100) and 35 pJ (A100), [Horowitz] 4.6 pJ at 45 nm",
        unit="J", ge=0, plausible=(1 * PJ, 60 * PJ),
    )  # fmt: skip
    vector_op_j: float = knob(8 * PJ, "an elementary operation of layers without MACs", source="ASSUMED: as "
                              "`vector_mac_j`, an addition", unit="J", ge=0, plausible=(0.5 * PJ, 60 * PJ))  # fmt: skip
    l2_j_per_byte: float = knob(
        5 * PJ, "a byte from the second cache to a multiprocessor", source="ASSUMED: [Horowitz] 100 pJ a 64-bit access "
        "of 1 MB at 45 nm, and a third of it at 7 nm with wires across the chip", unit="J/B", ge=0,
        plausible=(1 * PJ, 30 * PJ),
    )  # fmt: skip
    dram_j_per_byte: float = knob(
        40 * PJ, "a byte of memory traffic", source="ASSUMED: 31 to 56 pJ/B of HBM2, 44 to 60 of GDDR6, recalled from "
        "Jouppi et al., ISCA 2021", unit="J/B", ge=0, plausible=(15 * PJ, 150 * PJ),
    )  # fmt: skip
    energy_clock_hz: float = knob(1.41 * GHZ, "clock at which the energies of a MAC hold", source=_SHEET, unit="Hz",
                                  gt=0)  # fmt: skip
    voltage_exponent: float = knob(
        1.0, "energy of a MAC grows with the clock to this power", source="ASSUMED: 2 where voltage follows the clock, "
        "0 where it is at its least", ge=0, le=3, plausible=(0.0, 2.0),
    )  # fmt: skip

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """One format for both operands, of those that this chip has units for.

        Integers of at most 8 bits run in int8, where there is a rate; integer weights beside floats in the format of
        the floats. A float runs in the narrowest format on tensor units that holds it, float16 also on vector units
        that are faster at it than at float32; everything else in float32, or TF32 where that is allowed.
        """
        are_narrow = not weight.is_float and not activation.is_float and max(weight.bits, activation.bits) <= 8
        if are_narrow and max(self.tensor_int8_macs_per_cycle, self.int8_macs_per_cycle) > 0:
            return integer(8), integer(8)
        operands = [one for one in (weight, activation) if one.is_float] or [weight, activation]
        if any(one.bits > 32 for one in operands):
            return FLOATS["fp64"], FLOATS["fp64"]
        for name, rate in self._float_rates().items():
            holds_both = all(FLOATS[name].holds(one) or one.name == name for one in operands)
            if rate > 0 and holds_both:
                return FLOATS[name], FLOATS[name]
        wide = any(one.name in ("fp32",) or not one.is_float for one in operands)
        name = "tf32" if self.tensor_tf32_macs_per_cycle > 0 and (self.allow_tf32 or not wide) else "fp32"
        return FLOATS[name], FLOATS[name]

    def _float_rates(self) -> dict[str, float]:
        """Formats below float32, the narrowest first, with the rate of the units that a product of them runs on."""
        half = self.fp16_macs_per_cycle if self.fp16_macs_per_cycle > self.fp32_macs_per_cycle else 0.0
        return {
            "fp4": self.tensor_fp4_macs_per_cycle,
            "fp8": self.tensor_fp8_macs_per_cycle,
            "fp8_e5m2": self.tensor_fp8_macs_per_cycle,
            "fp16": max(self.tensor_fp16_macs_per_cycle, half),
            "bf16": self.tensor_bf16_macs_per_cycle,
        }

    @classmethod
    def numerics_table(cls, table: GpuTable) -> npt.NDArray[np.float64]:
        """Floating point: nothing limits the network's widths, (C, len(Numerics))."""
        out = np.zeros((table.sms.size, len(Numerics._fields)))
        out[:, Numerics._fields.index("weight_bits")] = 32
        out[:, Numerics._fields.index("activation_bits")] = 32
        return out


if TYPE_CHECKING:
    GpuTable = Any
else:
    GpuTable = namedtuple("GpuTable", GpuSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    GpuSpec.table_type = GpuTable
