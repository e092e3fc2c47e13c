"""No hardware: metrics of the network alone, for searches of software only.

A search without hardware minimises what the network itself decides (parameters, multiply-accumulates, bytes of weights
and live activations), and its accuracy under a stated arithmetic. It is no device and is in no list of families.
Not modelled: time, energy and area, which need hardware.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.base import Composition, CostModel
from hwmodels.families.spec import Spec, knob, n_configs
from hwmodels.numerics import Numerics
from hwmodels.workload.table import I64, LayerTable

__all__ = ["NO_HARDWARE", "NoHardware"]

F64 = npt.NDArray[np.float64]


class NoHardware(Spec):
    """The arithmetic that networks are judged under; the default is 32-bit float."""

    weight_bits: int = knob(32, "widest weights", source="32-bit float", unit="bit", ge=2, le=32)
    activation_bits: int = knob(32, "widest activations", source="32-bit float", unit="bit", ge=2, le=32)

    @classmethod
    def numerics_table(cls, table: Any) -> F64:
        out = np.zeros((n_configs(table), len(Numerics._fields)))
        out[:, Numerics._fields.index("weight_bits")] = table.weight_bits
        out[:, Numerics._fields.index("activation_bits")] = table.activation_bits
        return out


if TYPE_CHECKING:
    NoHardwareTable = Any
else:
    NoHardwareTable = namedtuple("NoHardwareTable", NoHardware.model_fields, module=__name__)
    NoHardware.table_type = NoHardwareTable


def _compose(table: LayerTable, configs: Any, network: I64, config: I64) -> dict[str, F64]:
    return {}


NO_HARDWARE = CostModel(
    name="none",
    meaning="no hardware: what the network alone decides",
    spec=NoHardware,
    metrics=(),
    compose=Composition(_compose),
    layerwise=None,
    config_metrics=lambda table: {},
    objectives=("macs", "weight_bytes"),
)
