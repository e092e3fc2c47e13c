"""The knobs of a tiled engine: tiles, loop order, ports, buffers, arithmetic; those of its board are `BoardSpec`'s.

[Zhang'15] Zhang et al., Optimizing FPGA-based Accelerator Design for Deep Convolutional Neural Networks, FPGA 2015.
[HotNAS] Jiang et al., Standing on the Shoulders of Giants, CODES+ISSS 2020, and its published tables.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.fpga.board import BoardSpec
from hwmodels.families.spec import knob
from hwmodels.numerics import Numerics
from hwmodels.units import MHZ
from hwmodels.workload.formats import FLOATS, Format, integer

__all__ = ["LOOP_ORDERS", "FpgaSpec", "FpgaTable", "settled"]

LOOP_ORDERS = ("outputs", "inputs", "weights")
"""What stays on chip over the innermost loop, by the id that the kernel writes into `choice`."""

_DESIGN = "a free design choice"


class FpgaSpec(BoardSpec):
    """One tiled engine on a board.

    >>> FpgaSpec(weight_bits=4).numerics().weight_bits
    4
    """

    rules: Literal["correct", "compat"] = knob(
        "correct",
        "time of a convolution: this model's, or that of [HotNAS]'s published tables with its slips",
        source="[HotNAS] for compat",
    )
    tile_m: int = knob(64, "output channels at once (Tm)", source=_DESIGN, ge=1, le=4096)
    tile_n: int = knob(16, "input channels at once (Tn)", source=_DESIGN, ge=1, le=4096)
    tile_rows: int = knob(14, "output rows of a tile (Tr)", source=_DESIGN, ge=1, le=1024)
    tile_cols: int = knob(14, "output columns of a tile (Tc)", source=_DESIGN, ge=1, le=1024)
    loop_order: Literal["outputs", "inputs", "weights", "best"] = knob(
        "outputs",
        "what stays over the innermost loop: the output tile, the input tile, the weights, or per layer the fastest",
        source="[Zhang'15] outputs",
    )
    largest_kernel: int = knob(
        7, "side of the kernels that the weight buffer holds; a larger one runs in pieces", source=_DESIGN, ge=1, le=64
    )
    largest_stride: int = knob(
        2, "stride that the input buffer has room for; a larger one shrinks the tile", source=_DESIGN, ge=1, le=16
    )
    pipeline_depth: int = knob(
        20,
        "cycles that a tile takes to fill and drain the multipliers",
        source="[Zhang'15] layers 2 to 5",
        ge=0,
        le=256,
    )
    depthwise_lanes: int = knob(
        0, "channels at once of an engine for depthwise layers; 0 runs them on the dense one", source=_DESIGN, ge=0,
        le=4096,
    )  # fmt: skip
    depthwise_rows: int = knob(14, "output rows of a depthwise tile", source=_DESIGN, ge=1, le=1024)
    depthwise_cols: int = knob(14, "output columns of a depthwise tile", source=_DESIGN, ge=1, le=1024)
    input_port: int = knob(8, "activations read a cycle from memory", source=_DESIGN, ge=1, le=1024)
    weight_port: int = knob(16, "weights read a cycle from memory", source=_DESIGN, ge=1, le=1024)
    output_port: int = knob(8, "activations written a cycle to memory", source=_DESIGN, ge=1, le=1024)
    depthwise_input_port: int = knob(
        8, "activations read a cycle by the depthwise engine", source=_DESIGN, ge=1, le=1024
    )
    depthwise_weight_port: int = knob(4, "weights read a cycle by the depthwise engine", source=_DESIGN, ge=1, le=1024)
    depthwise_output_port: int = knob(
        8, "activations written a cycle by the depthwise engine", source=_DESIGN, ge=1, le=1024
    )
    channels_together: bool = knob(
        True, "the channels of a tile lie side by side in memory, so that bursts are as much longer", source=_DESIGN
    )
    feature_buffer_bytes: int = knob(
        0, "memory on chip for tensors between layers; one that fits half of it never leaves", source=_DESIGN, unit="B",
        ge=0, le=2**31,
    )  # fmt: skip
    vector_lanes: int = knob(
        16, "elementary operations a cycle beside the multipliers", source="ASSUMED: one an input channel of a tile",
        ge=1, le=4096, plausible=(4, 256),
    )  # fmt: skip
    clock_hz: float = knob(200 * MHZ, "clock asked for; the board may close at less", source=_DESIGN, unit="Hz", gt=0)
    number_format: Literal["fixed", "float"] = knob("fixed", "arithmetic of the multipliers", source=_DESIGN)
    weight_bits: int = knob(16, "width of a weight; 16 or 32 as float", source=_DESIGN, unit="bit", ge=1, le=32)
    activation_bits: int = knob(
        0, "width of an activation; 0 is that of a weight", source=_DESIGN, unit="bit", ge=0, le=32
    )
    accumulator_bits: int = knob(32, "width of a partial sum", source=_DESIGN, unit="bit", ge=8, le=64)
    multipliers: Literal["dsp", "lut"] = knob("dsp", "what makes the products", source=_DESIGN)

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """The engine's own widths, whatever is asked."""
        if self.number_format == "float":
            made = FLOATS["fp16" if max(self.weight_bits, self.activation_bits) <= 16 else "fp32"]
            return made, made
        return integer(self.weight_bits), integer(self.activation_bits or self.weight_bits)

    def stored(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """As computed: buffers and DRAM hold words of the engine's widths."""
        return self.computed(weight, activation)

    @classmethod
    def numerics_table(cls, table: FpgaTable) -> npt.NDArray[np.float64]:
        """Fixed point of the engine's widths, or float, (C, len(Numerics))."""
        table = settled(table)
        out = np.zeros((table.weight_bits.size, len(Numerics._fields)))
        is_float = table.number_format == 1
        wide = np.where(np.maximum(table.weight_bits, table.activation_bits) <= 16, 16, 32)
        for name in ("weight", "activation"):
            bits = table._asdict()[f"{name}_bits"]
            out[:, Numerics._fields.index(f"{name}_bits")] = np.where(is_float, wide, bits)
            # IEEE half precision has five bits of exponent; 32 bits say float32 by themselves.
            out[:, Numerics._fields.index(f"{name}_exponent_bits")] = np.where(is_float & (wide == 16), 5, 0)
        return out


def settled(table: FpgaTable) -> FpgaTable:
    """The table with every width written out."""
    widths = np.where(table.activation_bits == 0, table.weight_bits, table.activation_bits)
    return table._replace(activation_bits=widths)


if TYPE_CHECKING:
    FpgaTable = Any
else:
    FpgaTable = namedtuple("FpgaTable", FpgaSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    FpgaSpec.table_type = FpgaTable
