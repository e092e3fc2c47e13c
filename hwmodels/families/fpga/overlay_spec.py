"""The knobs of an overlay, a fixed processor of convolutions on an FPGA: its parallelism, cores, memory path and CPU.

[PG338] AMD, DPUCZDX8G for Zynq UltraScale+ MPSoCs, product guide; tables read, text recalled. [fit] fitted to 23
networks on ZCU102 and ZCU104 under Vitis AI 3.0, one thread (`hwmodels.validation.fpga.overlay`).
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.fpga.board import BoardSpec
from hwmodels.families.spec import knob
from hwmodels.numerics import Numerics
from hwmodels.units import GB, MHZ, US
from hwmodels.workload.formats import Format, integer

__all__ = ["OverlaySpec", "OverlayTable"]

_DESIGN = "a choice of the overlay's configuration [PG338]"
_FIT = "[fit]"


class OverlaySpec(BoardSpec):
    """One overlay on a board; the defaults are three B4096 cores of a DPU on a ZCU102.

    >>> OverlaySpec().numerics().weight_bits
    8
    """

    cores: int = knob(3, "processors that run networks side by side", source=_DESIGN, ge=1, le=16)
    pixel_parallel: int = knob(8, "output pixels of a row at once (PP)", source="[PG338] B4096", ge=1, le=64)
    input_parallel: int = knob(16, "input channels at once (ICP)", source="[PG338] B4096", ge=1, le=256)
    output_parallel: int = knob(16, "output channels at once (OCP)", source="[PG338] B4096", ge=1, le=256)
    dsp_use: Literal["high", "low"] = knob("high", "whether blocks accumulate, too, or LUTs do", source=_DESIGN)
    channel_augmentation: bool = knob(
        True, "taps of a kernel's row fill input lanes that few channels leave idle", source=_DESIGN
    )
    depthwise_pixels: int = knob(
        4,
        "output pixels at once of a depthwise layer (DP); 0 leaves them to the host",
        source="[PG338]: half of PP is recommended",
        ge=0,
        le=64,
    )
    feature_memory: Literal["bram", "uram"] = knob("bram", "what holds weights and features", source=_DESIGN)
    clock_hz: float = knob(
        281 * MHZ, "clock of the processors; the multipliers run at twice that", source="Vitis AI model zoo, ZCU102",
        unit="Hz", gt=0,
    )  # fmt: skip
    core_bytes_per_s: float = knob(
        7.04 * GB, "what one core reaches of the DRAM through its ports", source=_FIT, unit="B/s", gt=0,
        plausible=(3 * GB, 15 * GB),
    )  # fmt: skip
    dram_share: float = knob(
        0.7, "share of the board's DRAM bandwidth that all cores reach together",
        source="ASSUMED: DDR4 with several masters", gt=0, le=1, plausible=(0.4, 0.9),
    )  # fmt: skip
    feature_share: float = knob(
        0.685, "share of a layer's features that go through the DRAM; the rest stays on chip between layers",
        source=_FIT, ge=0, le=2, plausible=(0.2, 1.5),
    )  # fmt: skip
    layer_s: float = knob(
        21.8 * US, "start of a layer: instructions, first loads, last store, its share of the call", source=_FIT,
        unit="s", ge=0, plausible=(2 * US, 60 * US),
    )  # fmt: skip
    cpu_macs_per_s: float = knob(
        4e9, "multiply-adds of the host in layers that leave the overlay",
        source="ASSUMED: four Cortex-A53 in 8 bits; chosen with [fit]'s slim Inception-V2 in view",
        gt=0, plausible=(1e9, 2e10),
    )  # fmt: skip
    cpu_bytes_per_s: float = knob(
        1.0 * GB, "features that the host reads and writes in such layers",
        source="ASSUMED: Cortex-A53 on uncached buffers, widening to float", unit="B/s", gt=0,
        plausible=(0.2 * GB, 4 * GB),
    )  # fmt: skip
    cpu_call_s: float = knob(
        200 * US, "hand-over of a layer to the host and back",
        source="ASSUMED: two subgraphs of a runtime; chosen with EfficientNet-B0 in view", unit="s", ge=0,
        plausible=(20 * US, 1000 * US),
    )  # fmt: skip

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """8-bit integers, whatever is asked."""
        return integer(8), integer(8)

    def stored(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """As computed."""
        return self.computed(weight, activation)

    @classmethod
    def numerics_table(cls, table: OverlayTable) -> npt.NDArray[np.float64]:
        """8-bit integers, (C, len(Numerics))."""
        out = np.zeros((table.cores.size, len(Numerics._fields)))
        for name in ("weight_bits", "activation_bits"):
            out[:, Numerics._fields.index(name)] = 8
        return out


if TYPE_CHECKING:
    OverlayTable = Any
else:
    OverlayTable = namedtuple("OverlayTable", OverlaySpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    OverlaySpec.table_type = OverlayTable
