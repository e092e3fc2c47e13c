"""The knobs of a streaming pipeline: every layer a stage of its own, folded to a target; those of its board beside it.

[FINN] Umuroglu et al., FPGA 2017, and its compiler; [hls4ml] Duarte et al., JINST 13, 2018, and its reuse factor.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.families.fpga.board import BoardSpec
from hwmodels.families.spec import knob
from hwmodels.numerics import Numerics
from hwmodels.units import MB, MHZ
from hwmodels.workload.formats import Format, integer

__all__ = ["StreamingSpec", "StreamingTable"]

_DESIGN = "a free design choice"


class StreamingSpec(BoardSpec):
    """One pipeline on a board.

    >>> StreamingSpec(weight_bits=2).numerics().weight_bits
    2
    """

    target_cycles: int = knob(
        32768, "cycles an item that every stage is folded to: the fewest lanes that reach it", source="[FINN] CNV",
        ge=1, le=2**40,
    )  # fmt: skip
    reuse_factor: int = knob(
        0, "products that each multiplier of a stage makes an output position [hls4ml]; 0 folds to the target",
        source=_DESIGN, ge=0, le=2**40,
    )  # fmt: skip
    weights: Literal["on_chip", "streamed"] = knob(
        "on_chip", "whether weights stay in the stages' memories or come from the DRAM for every item", source=_DESIGN
    )
    partitioning: Literal["none", "when_full"] = knob(
        "none", "whether the board is configured anew where the next stage does not fit, once a batch and part",
        source=_DESIGN,
    )  # fmt: skip
    weight_bits: int = knob(4, "width of a weight", source=_DESIGN, unit="bit", ge=1, le=24)
    activation_bits: int = knob(4, "width of an activation", source=_DESIGN, unit="bit", ge=1, le=24)
    dsp_from_bits: int = knob(
        5, "products of two operands at least this wide are made in arithmetic blocks, others in LUTs",
        source="[FINN] 5; [hls4ml]'s compiler 10", unit="bit", ge=1, le=33,
    )  # fmt: skip
    clock_hz: float = knob(100 * MHZ, "clock asked for; the board may close at less", source="[FINN]", unit="Hz", gt=0)
    bitstream_bytes: float = knob(
        26.5 * MB, "configuration of the whole device", source="XCZU9EG: 26.5 MB, recalled", unit="B", gt=0
    )
    configuration_bytes_per_s: float = knob(
        145 * MB, "configuration port", source="ASSUMED: the processor's port of a Zynq; 400 MB/s inside", unit="B/s",
        gt=0, plausible=(50 * MB, 800 * MB),
    )  # fmt: skip

    def computed(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """Integers of the pipeline's widths, whatever is asked."""
        return integer(self.weight_bits), integer(self.activation_bits)

    def stored(self, weight: Format, activation: Format) -> tuple[Format, Format]:
        """As computed."""
        return self.computed(weight, activation)

    @classmethod
    def numerics_table(cls, table: StreamingTable) -> npt.NDArray[np.float64]:
        """Integers of the pipeline's widths, (C, len(Numerics))."""
        out = np.zeros((table.weight_bits.size, len(Numerics._fields)))
        for name in ("weight_bits", "activation_bits"):
            out[:, Numerics._fields.index(name)] = table._asdict()[name]
        return out


if TYPE_CHECKING:
    StreamingTable = Any
else:
    StreamingTable = namedtuple("StreamingTable", StreamingSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    StreamingSpec.table_type = StreamingTable
