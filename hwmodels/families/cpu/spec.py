"""The knobs of a CPU and of the runtime on it: cores, vector unit, caches, memory, algorithms, overheads, energies.

A device is a chip together with the runtime that its latencies hold for; `runtimes` has the runtimes alone.
[Goto] Goto & van de Geijn, Anatomy of high-performance matrix multiplication, ACM TOMS 2008. [ECM] Hofmann et al.,
execution-cache-memory model. [Horowitz] ISSCC 2014, fig. 1.1.9. [host] this project's measurements on a Zen 3 host.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.spec import Spec, knob
from hwmodels.numerics import Numerics
from hwmodels.units import GB, GHZ, GIB, KIB, MB, MIB, MW, PJ, US
from hwmodels.workload.formats import FLOATS, Format, integer

__all__ = ["LAYOUTS", "CpuSpec", "CpuTable"]

LAYOUTS = ("nchw", "nhwc", "blocked")
"""Layouts of activations by the code that the kernel sees."""

_DATASHEET = "the data sheet of a quad-core Cortex-A76 board"
_DESIGN = "a choice of the runtime"
Column = npt.NDArray[Any]


class CpuSpec(Spec):
    """One CPU with its runtime; the defaults are a Cortex-A76 board that runs a compiled network.

    >>> CpuSpec(threads=1).numerics().weight_bits
    32
    """

    big_cores: int = knob(4, "cores of the fast cluster", source=_DATASHEET, ge=1, le=1024)
    little_cores: int = knob(0, "cores of the slow cluster", source=_DATASHEET, ge=0, le=64)
    little_speed: float = knob(
        0.3,
        "throughput of a slow core over that of a fast one",
        source="ASSUMED: clock ratio 0.6 and half the vector width, as a Cortex-A55 beside an A76",
        gt=0,
        le=1,
        plausible=(0.15, 0.6),
    )
    clock_hz: float = knob(2.4 * GHZ, "clock with one busy core", source=_DATASHEET, unit="Hz", gt=0)
    all_core_clock_hz: float = knob(
        2.4 * GHZ,
        "clock of the fast cores when all of them compute; between, the clock falls linearly with the threads",
        source=_DATASHEET,
        unit="Hz",
        gt=0,
    )
    threads: int = knob(0, "threads in use; 0 is one a fast core", source=_DESIGN, ge=0, le=1024)
    scheduling: Literal["static", "dynamic"] = knob(
        "static", "equal shares that wait for the slowest core, or shares that follow the speed", source=_DESIGN
    )
    serial_fraction: float = knob(
        0.03,
        "share of a layer's one-thread time that is not divided among threads",
        source="ASSUMED: packing, loop set-up and load imbalance of small tensors",
        ge=0,
        le=1,
        plausible=(0.005, 0.3),
    )
    barrier_s: float = knob(
        1 * US,
        "fork and join of the threads, times log2 of their number",
        source="ASSUMED: an OpenMP parallel region with spinning threads",
        unit="s",
        ge=0,
        plausible=(0.2 * US, 10 * US),
    )
    grain_elements: int = knob(
        4096,
        "elements that make one share of work in layers without MACs",
        source="ASSUMED: a few pages; frameworks use 1024 to 32768",
        ge=1,
        plausible=(256, 65536),
    )
    simd_bits: int = knob(128, "width of a vector register", source=_DATASHEET, unit="bit", ge=32, le=4096)
    fma_units: float = knob(
        2.0,
        "vector multiply-adds started a cycle and core; below one where one takes several cycles",
        source="Cortex-A76 software optimisation guide: two 128-bit pipes",
        gt=0,
        le=16,
    )
    fma_latency_cycles: float = knob(
        4.0,
        "latency of a multiply-add that waits for its accumulator",
        source="Cortex-A76 software optimisation guide: 4 cycles; Skylake and Zen 3 alike, recalled",
        unit="cycle",
        ge=1,
        le=20,
    )
    half_rate: float = knob(
        1.0,
        "16-bit float MACs a cycle over 32-bit ones; 1 where they are computed in 32 bits",
        source=_DESIGN,
        ge=1,
        le=2,
    )
    int8_rate: float = knob(
        4.0, "8-bit MACs a cycle over 32-bit float ones", source="SDOT: four products a 32-bit lane", gt=0, le=64
    )
    tile_rows: int = knob(
        8, "output positions that a micro-kernel keeps in registers (mr)", source="[Goto]; 8 x 8 on NEON", ge=1, le=64
    )
    tile_vectors: int = knob(
        2,
        "vectors of output channels that a micro-kernel keeps in registers (nr / lanes)",
        source="[Goto]",
        ge=1,
        le=16,
    )
    tile_overhead_steps: float = knob(
        16.0,
        "start, end and stores of a micro-kernel, in steps of its reduction loop (k0)",
        source="ASSUMED: loads and stores of the tile and refilling the pipeline",
        ge=0,
        plausible=(4.0, 64.0),
    )
    gemm_efficiency: float = knob(
        0.75,
        "multiply-adds a cycle over the micro-kernel's own bound",
        source="ASSUMED: address arithmetic, TLB misses, edges; [host] reaches 0.57 to 0.83 of its peak",
        gt=0,
        le=1,
        plausible=(0.15, 0.95),
    )
    depthwise_efficiency: float = knob(
        0.3,
        "multiply-adds a cycle of depthwise convolutions over the vector peak",
        source="ASSUMED: two loads a product; 0.2 to 0.5 for 3x3 at stride one, 0.1 to 0.3 else",
        gt=0,
        le=1,
        plausible=(0.05, 0.6),
    )
    depthwise_wide_rate: float = knob(
        1.0,
        "multiply-adds a cycle of depthwise windows other than 3x3 over that of 3x3 ones",
        source="ASSUMED: 1 where one kernel serves all windows (note10 of mobile_op_lut: 5x5 and 7x7 cost by their "
        "MACs); down to scalar code where 3x3 alone is written by hand",
        gt=0,
        le=1,
        plausible=(0.06, 1.0),
    )
    vector_efficiency: float = knob(
        0.5,
        "elementary operations a cycle of layers without MACs over the vector peak",
        source="ASSUMED: one load or store an operation",
        gt=0,
        le=1,
        plausible=(0.05, 1.0),
    )
    pool_efficiency: float = knob(
        0.25,
        "elementary operations a cycle of pooling over the vector peak; 1/lanes and below where it is scalar code",
        source="ASSUMED: overlapping windows; [host] channels-first and channels-last pooling differ 10 to 20 times",
        gt=0,
        le=1,
        plausible=(0.005, 1.0),
    )
    l1_bytes: int = knob(64 * KIB, "first data cache of a core", source=_DATASHEET, unit="B", ge=256)
    l2_bytes: int = knob(
        512 * KIB, "second cache: of a core, or of all where shared", source=_DATASHEET, unit="B", ge=0
    )
    l2_shared: bool = knob(False, "whether the cores share the second cache", source=_DATASHEET)
    l3_bytes: int = knob(2 * MIB, "last cache that all cores share", source=_DATASHEET, unit="B", ge=0)
    l1_bytes_per_cycle: float = knob(
        32.0, "first cache to one core", source="two 128-bit loads a cycle", unit="B/cycle", gt=0
    )
    l2_bytes_per_cycle: float = knob(
        12.0,
        "second cache to one core, sustained",
        source="ASSUMED: a third of the port, as on [host] (55 to 75 GB/s of 112)",
        unit="B/cycle",
        gt=0,
        plausible=(4.0, 48.0),
    )
    l3_bytes_per_cycle: float = knob(
        6.0,
        "last cache to one core, sustained",
        source="ASSUMED: latency times outstanding misses of one core",
        unit="B/cycle",
        gt=0,
        plausible=(2.0, 24.0),
    )
    core_dram_bytes_per_s: float = knob(
        8 * GB,
        "memory bandwidth that one core reaches",
        source="ASSUMED: outstanding misses of one core over the memory's latency; [host] 13 to 17 GB/s",
        unit="B/s",
        gt=0,
        plausible=(1 * GB, 25 * GB),
    )
    dram_bytes_per_s: float = knob(17.1 * GB, "memory bandwidth, peak", source=_DATASHEET, unit="B/s", gt=0)
    dram_efficiency: float = knob(
        0.5,
        "sustained over peak memory bandwidth",
        source="ASSUMED: 0.3 to 0.6 for LPDDR on phones (Raspberry Pi 4: 4 to 6 of 12.8 GB/s), 0.7 to 0.85 on servers",
        gt=0,
        le=1,
        plausible=(0.25, 0.9),
    )
    flash_bytes: int = knob(
        0, "flash that holds the weights of a microcontroller; 0 where weights live in memory", source=_DATASHEET,
        unit="B", ge=0,
    )  # fmt: skip
    flash_bytes_per_s: float = knob(
        200 * MB,
        "reads of weights from flash, where there is one",
        source="ASSUMED: a 64- or 128-bit line each five wait states at 100 MHz, behind a small cache",
        unit="B/s",
        gt=0,
        plausible=(20 * MB, 2 * GB),
    )
    memory_bytes: float = knob(
        8 * GIB, "memory that the network may take; static RAM of a microcontroller", source=_DATASHEET, unit="B", gt=0
    )
    overlap_norm: float = knob(
        3.0,
        "p of (compute^p + memory^p)^(1/p): 1 adds the two, large hides the shorter",
        source="ASSUMED: between no overlap [ECM, Intel] and full overlap of out-of-order cores",
        ge=1,
        le=16,
        plausible=(1.0, 8.0),
    )
    context: Literal["cold", "hot"] = knob(
        "cold", "weights as a whole network leaves them, or as a repeated layer finds them", source=_DESIGN
    )
    reuse_distance_bytes: float = knob(
        4 * MB,
        "data that passes between two uses of a weight in a cold context",
        source="ASSUMED: weights and activations of a network of a few million parameters",
        unit="B",
        ge=0,
        plausible=(0.25 * MB, 64 * MB),
    )
    layout: Literal["nchw", "nhwc", "blocked"] = knob(
        "nhwc",
        "layout between layers: nchw reorders the input and the output of every convolution, the others do not",
        source=_DESIGN,
    )
    has_direct: bool = knob(
        True, "convolutions may run without writing patches (direct, implicit or indirect)", source=_DESIGN
    )
    direct_least_elements: int = knob(
        0,
        "smaller inputs of a single item go through patches where the window is at most 3 and there is one group",
        source="0: no such rule; PyTorch hands them to its own kernel up to 20480 elements (ConvParams::use_mkldnn)",
        ge=0,
    )
    has_winograd: bool = knob(
        False, "3x3 convolutions at stride one may run by Winograd's F(2,3), F(4,3) or F(6,3)", source=_DESIGN
    )
    repacks_weights: bool = knob(False, "convolutions bring their weights into the kernel's order at every call",
                                 source=_DESIGN)  # fmt: skip
    repack_bytes_per_s: float = knob(
        11 * GB,
        "weights that a core brings into the kernel's order",
        source="ASSUMED: [host] 10 to 12 GB/s; from memory into a cold core a tenth of that",
        unit="B/s",
        gt=0,
        plausible=(0.5 * GB, 20 * GB),
    )
    dispatch_s: float = knob(
        1 * US,
        "from one operator to the next",
        source="ASSUMED: 1 us compiled, 2 to 6 us eager ([host] 1.5 us, 4.4 us with the module call)",
        unit="s",
        ge=0,
        plausible=(0.1 * US, 100 * US),
    )
    product_dispatch_s: float = knob(
        1 * US,
        "further overhead of a convolution or matrix product: look-up of the kernel, scratch memory",
        source="ASSUMED: small where compiled; tens of us for a convolution of an eager framework",
        unit="s",
        ge=0,
        plausible=(0.1 * US, 200 * US),
    )
    invoke_s: float = knob(
        10 * US,
        "once a network, with its last layer: handing over input and output",
        source="ASSUMED: an interpreter's call",
        unit="s",
        ge=0,
        plausible=(0.5 * US, 1000 * US),
    )
    page_fault_s: float = knob(
        0.0,
        "first touch of a fresh page of 4096 bytes, of outputs beyond `fault_threshold_bytes`",
        source="ASSUMED: 0 where outputs are planned ahead; 0.25 to 1 us where each is allocated",
        unit="s",
        ge=0,
        plausible=(0.0, 2 * US),
    )
    fault_threshold_bytes: float = knob(
        32 * MB, "larger outputs come fresh from the system", source="glibc's largest dynamic M_MMAP_THRESHOLD, 32 MiB",
        unit="B", ge=0,
    )  # fmt: skip
    mac_j: float = knob(
        15 * PJ,
        "a 32-bit multiply-add with its share of the instruction; proportional to the bits",
        source="ASSUMED: [Horowitz] 4.6 pJ at 45 nm and 20 to 70 pJ an instruction over 2 to 16 lanes",
        unit="J",
        ge=0,
        plausible=(2 * PJ, 100 * PJ),
    )
    vector_op_j: float = knob(
        10 * PJ,
        "an elementary operation of layers without MACs",
        source="ASSUMED: as `mac_j`, an addition",
        unit="J",
        ge=0,
        plausible=(1 * PJ, 100 * PJ),
    )
    cache_j_per_byte: float = knob(
        5 * PJ,
        "a byte between a core and its second or last cache",
        source="ASSUMED: [Horowitz] 100 pJ a 64-bit access of 1 MB at 45 nm, a third at 16 nm",
        unit="J/B",
        ge=0,
        plausible=(1 * PJ, 30 * PJ),
    )
    dram_j_per_byte: float = knob(
        60 * PJ,
        "a byte of memory traffic",
        source="ASSUMED: 40 pJ/B LPDDR4 to 160 pJ/B DDR4, recalled",
        unit="J/B",
        ge=0,
        plausible=(20 * PJ, 330 * PJ),
    )
    core_w: float = knob(
        400 * MW,
        "a busy core beyond the counted operations: clock tree, front end, leakage",
        source="ASSUMED: a small out-of-order core",
        unit="W",
        ge=0,
        plausible=(1 * MW, 10.0),
    )
    idle_w: float = knob(
        1.0,
        "power that does not depend on the work, counted over the latency",
        source="ASSUMED: memory, regulators and the rest of the chip",
        unit="W",
        ge=0,
        plausible=(0.5 * MW, 100.0),
    )

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """One format for both operands, of those that vector units have: int8, float16, float32 and float64.

        int8 where both are integers of at most 8 bits; float16 where `half_rate` says that there is one and neither is
        wider, bfloat16 or int16; else float32, in which nothing of 24 bits and less is lost.
        """
        operands = (weight, activation)
        if all(not asked.is_float and asked.bits <= 8 for asked in operands):
            return integer(8), integer(8)
        narrow = all(asked.bits <= 16 and asked.name not in ("bf16", "int16") for asked in operands)
        if narrow and self.half_rate > 1:
            return FLOATS["fp16"], FLOATS["fp16"]
        name = "fp64" if max(asked.bits for asked in operands) > 32 else "fp32"
        return FLOATS[name], FLOATS[name]

    @classmethod
    def numerics_table(cls, table: CpuTable) -> npt.NDArray[np.float64]:
        """Floating point: nothing limits the network's widths, (C, len(Numerics))."""
        out = np.zeros((table.threads.size, len(Numerics._fields)))
        out[:, Numerics._fields.index("weight_bits")] = 32
        out[:, Numerics._fields.index("activation_bits")] = 32
        return out


if TYPE_CHECKING:
    CpuTable = Any
else:
    CpuTable = namedtuple("CpuTable", CpuSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    CpuSpec.table_type = CpuTable
