"""The knobs of a systolic array: array, buffers, memory, technology; unit, bounds and source of each.

Energies and areas are stated at 45 nm and scaled to `node_nm`. [Horowitz] is M. Horowitz, "Computing's energy
problem", ISSCC 2014, fig. 1.1.9; its figures are recalled, not re-read.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.spec import Spec, knob
from hwmodels.numerics import Numerics
from hwmodels.units import GB, KIB, MHZ, MW, PJ, UM2
from hwmodels.workload.formats import Format, integer

__all__ = ["DATAFLOWS", "SpatialSpec", "SpatialTable"]

DATAFLOWS = ("os", "ws", "is")
"""The dataflows by the id that the kernel writes into `choice`."""

_DESIGN = "a free design choice"
_SCALESIM = "[SCALE-Sim v2] shipped scale.cfg"
_HOROWITZ = "[Horowitz] 45 nm, recalled"


class SpatialSpec(Spec):
    """One systolic accelerator.

    >>> SpatialSpec(array_rows=128, array_cols=128).numerics().weight_bits
    16
    """

    dataflow: Literal["os", "ws", "is", "best"] = knob(
        "best",
        "what stays in the array: outputs, weights, inputs, or per layer the fastest (then most frugal) of the three",
        source=_DESIGN,
    )
    rules: Literal["correct", "compat"] = knob(
        "correct",
        "geometry of a convolution: the network's own, or SCALE-Sim's (no padding, ceil output size, no groups)",
        source="[SCALE-Sim v2] for compat",
    )
    fold_overlap: Literal["none", "load", "full"] = knob(
        "none",
        "what consecutive folds hide: nothing, the load of the stationary operand, or load, skew and drain",
        source="[SCALE-Sim v2] none; [TPUv1] double-buffers the weights (load)",
    )
    array_rows: int = knob(32, "rows of processing elements (R)", source=_SCALESIM, ge=1, le=4096)
    array_cols: int = knob(32, "columns of processing elements (C)", source=_SCALESIM, ge=1, le=4096)
    clock_hz: float = knob(
        700 * MHZ, "clock of array, buffers and vector unit", source="[TPUv1] table 2", unit="Hz", gt=0
    )
    vector_lanes: int = knob(
        32,
        "elementary operations a cycle outside the array",
        source="ASSUMED: one lane a column of the default array",
        ge=1,
        plausible=(8, 1024),
    )
    min_bits: int = knob(
        8,
        "narrowest operand width; its doublings up to max_bits are supported",
        source=_DESIGN,
        unit="bit",
        ge=1,
        le=16,
    )
    max_bits: int = knob(
        16, "widest operand width; wider layers run at this width", source=_DESIGN, unit="bit", ge=1, le=16
    )
    ifmap_sram_bytes: int = knob(64 * KIB, "input buffer, both halves", source=_SCALESIM, unit="B", ge=1)
    filter_sram_bytes: int = knob(64 * KIB, "weight buffer, both halves", source=_SCALESIM, unit="B", ge=1)
    ofmap_sram_bytes: int = knob(
        64 * KIB, "output and partial-sum buffer, both halves", source=_SCALESIM, unit="B", ge=1
    )
    sram_bytes_per_cycle: float = knob(
        512.0,
        "width of each buffer's port to the array",
        source="ASSUMED: 128 columns of 32-bit partial sums",
        unit="B/cycle",
        gt=0,
        plausible=(16, 4096),
    )
    dram_bytes_per_s: float = knob(34 * GB, "DRAM bandwidth, all operands", source="[TPUv1] 34 GB/s", unit="B/s", gt=0)
    keep_activations: bool = knob(
        True,
        "tensors between layers stay on chip when they fit half of the ifmap and half of the ofmap buffer",
        source=_DESIGN,
    )
    node_nm: float = knob(45.0, "technology node", source=_HOROWITZ, unit="nm", ge=2, le=250)
    energy_exponent: float = knob(
        1.25,
        "on-chip energies scale with (node / 45 nm) to this power",
        source="ASSUMED: between wire-bound (1) and constant-voltage-drop scaling (2)",
        ge=0,
        le=3,
        plausible=(1.0, 2.0),
    )
    multiply_j: float = knob(0.2 * PJ, "8 x 8 bit multiplication at 45 nm", source=_HOROWITZ, unit="J", ge=0)
    add_j: float = knob(0.1 * PJ, "32-bit addition at 45 nm", source=_HOROWITZ, unit="J", ge=0)
    register_j_per_bit: float = knob(
        0.005 * PJ,
        "one bit into a pipeline register of a processing element at 45 nm",
        source="ASSUMED: a flip-flop with its share of the clock tree",
        unit="J/bit",
        ge=0,
        plausible=(0.001 * PJ, 0.02 * PJ),
    )
    vector_op_j: float = knob(
        0.4 * PJ,
        "elementary operation of the vector unit at 45 nm",
        source=f"{_HOROWITZ} (16-bit floating-point addition)",
        unit="J",
        ge=0,
    )
    sram_j_per_byte: float = knob(
        2.5 * PJ,
        "access of a 32 KiB buffer at 45 nm; scales with the square root of the capacity",
        source=f"{_HOROWITZ} (20 pJ a 64-bit access of 32 KB; 10 pJ at 8 KB and 100 pJ at 1 MB confirm the root)",
        unit="J/B",
        ge=0,
    )
    dram_j_per_byte: float = knob(
        162.5 * PJ,
        "DRAM access, independent of the node",
        source="[Horowitz] 1.3 to 2.6 nJ a 64-bit access, recalled",
        unit="J/B",
        ge=0,
    )
    leakage_w_per_mm2: float = knob(
        10 * MW,
        "static power a mm²",
        source="ASSUMED: general-purpose process, no power gating",
        unit="W/mm²",
        ge=0,
        plausible=(1 * MW, 100 * MW),
    )
    multiplier_mm2: float = knob(
        282 * UM2, "8 x 8 bit multiplier at 45 nm", source="[Dally] 282 µm², recalled", unit="mm²", gt=0
    )
    adder_mm2: float = knob(137 * UM2, "32-bit adder at 45 nm", source="[Dally] 137 µm², recalled", unit="mm²", gt=0)
    register_mm2_per_bit: float = knob(
        6 * UM2,
        "register bit of a processing element at 45 nm",
        source="ASSUMED: a flip-flop of the standard-cell library, placed",
        unit="mm²/bit",
        gt=0,
        plausible=(3 * UM2, 12 * UM2),
    )
    vector_lane_mm2: float = knob(
        3000 * UM2,
        "one vector lane at 45 nm",
        source="ASSUMED: a 32-bit unit of ten adder areas and its registers",
        unit="mm²",
        gt=0,
        plausible=(1000 * UM2, 10000 * UM2),
    )
    sram_mm2_per_byte: float = knob(
        5.5 * UM2,
        "buffer area a byte at 45 nm",
        source="ASSUMED: a bit cell of 0.346 µm² (Intel 45 nm, recalled) at half array efficiency",
        unit="mm²/B",
        gt=0,
        plausible=(4 * UM2, 10 * UM2),
    )

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """Integers of the narrowest supported width that holds the bits, the widest where none does."""
        widths = [self.min_bits]
        while widths[-1] < self.max_bits:
            widths.append(min(2 * widths[-1], self.max_bits))
        weight_bits, activation_bits = (
            next((width for width in widths if width >= asked.bits), self.max_bits) for asked in (weight, activation)
        )
        return integer(weight_bits), integer(activation_bits)

    def stored(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """As computed: buffers and DRAM hold words of the array's widths."""
        return self.computed(weight, activation)

    @classmethod
    def numerics_table(cls, table: SpatialTable) -> npt.NDArray[np.float64]:
        """Digital integers: only the widest supported width limits the network, (C, len(Numerics))."""
        out = np.zeros((table.max_bits.size, len(Numerics._fields)))
        out[:, Numerics._fields.index("weight_bits")] = table.max_bits
        out[:, Numerics._fields.index("activation_bits")] = table.max_bits
        return out


if TYPE_CHECKING:
    SpatialTable = Any
else:
    SpatialTable = namedtuple("SpatialTable", SpatialSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    SpatialSpec.table_type = SpatialTable
