"""The knobs of a cluster: a GPU, the wires of a node, the network between nodes, and how work is shared out.

Rates are of one direction. The GPU is a part: its knobs are ``gpu.knob``. [NCCL] what the library's kernels take
(`collectives`): shipped constants suit nccl_node_collectives of A100 and H100 with both in view; what such constants
are worth on a system that gave no row is in the README. [DGX] NVIDIA's data sheets of the DGX systems.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.spec import Spec, knob
from hwmodels.units import GB, PJ, TB, US

__all__ = ["MultiGpuSpec", "MultiGpuTable"]

_DGX = "[DGX]: DGX A100, 8 A100 SXM, NVLink 3 (12 links of 25 GB/s), 8 HDR InfiniBand cards"
_SHIPPED = "ASSUMED: [NCCL]"
_DESIGN = "a free design choice"


class MultiGpuSpec(Spec):
    """Nodes of equal GPUs; the defaults are one DGX A100 whose eight GPUs share each layer.

    >>> MultiGpuSpec().tensor
    8
    """

    computed_by: ClassVar[str] = "gpu"

    gpu: GpuSpec = GpuSpec()
    nodes: int = knob(1, "nodes", source=_DESIGN, ge=1, le=4096)
    gpus_per_node: int = knob(8, "GPUs of a node", source=_DGX, ge=1, le=256)

    # The wires of a node and the network between nodes.
    wiring: Literal["switch", "pairs", "tree", "torus"] = knob(
        "switch", "what joins the GPUs of a node: a switch, bridges of two beside a PCIe tree, a PCIe tree, a torus",
        source=_DGX,
    )  # fmt: skip
    link_bytes_per_s: float = knob(300 * GB, "all links of a GPU, one direction; of a tree, its PCIe slot", source=_DGX,
                                   unit="B/s", gt=0)  # fmt: skip
    host_bytes_per_s: float = knob(
        31.5 * GB, "between GPUs that no link joins, through PCIe and sockets, and between a GPU and its host",
        source="PCIe 4.0 x16: 16 lanes of 16 GT/s, 128 of 130 bits", unit="B/s", gt=0,
    )  # fmt: skip
    in_switch: bool = knob(False, "switches of the node reduce and copy (NVLink SHARP)", source=_DGX)
    network_bytes_per_s: float = knob(200 * GB, "all network cards of a node, one direction", source=_DGX, unit="B/s",
                                      gt=0)  # fmt: skip
    network_step_s: float = knob(
        5 * US, "latency of a message between nodes, beside the protocol's",
        source="ASSUMED: [NCCL] tuning.cc has 5 to 14 us by protocol", unit="s", gt=0, plausible=(1 * US, 30 * US),
    )  # fmt: skip
    leaf_nodes: int = knob(4096, "nodes below one leaf switch", source="a fat tree without oversubscription", ge=1,
                           le=4096)  # fmt: skip
    oversubscription: float = knob(1.0, "rate below a leaf switch over that above it", source="a full fat tree", ge=1,
                                   le=64)  # fmt: skip
    host_memory_bytes: float = knob(1 * TB, "memory of a node's host, for what is offloaded", source=_DGX, unit="B",
                                    gt=0)  # fmt: skip

    # What the library's kernels take.
    start_cycles: float = knob(19_600.0, "start of a pipelined collective", source=_SHIPPED, unit="cycle", ge=0,
                               plausible=(5_000.0, 80_000.0))  # fmt: skip
    ramp_cycles: float = knob(3_920.0, "filling the pipeline, whatever the number of ranks", source=_SHIPPED,
                              unit="cycle", ge=0, plausible=(500.0, 30_000.0))  # fmt: skip
    step_cycles: float = knob(137.0, "a step of a pipelined collective", source=_SHIPPED, unit="cycle", ge=0,
                              plausible=(10.0, 3_000.0))  # fmt: skip
    link_efficiency: float = knob(0.76, "sustained over wire rate of links", source=_SHIPPED, gt=0, le=1,
                                  plausible=(0.4, 0.95))  # fmt: skip
    pair_efficiency: float = knob(0.852, "of two ranks, beside `link_efficiency`", source=_SHIPPED, gt=0, le=1,
                                  plausible=(0.5, 1.0))  # fmt: skip
    switch_efficiency: float = knob(
        0.85, "of collectives in the switch, beside `link_efficiency`", source="[NCCL] tuning.cc, nvlsEfficiency: "
        "0.85 on Hopper, 0.74 on Blackwell", gt=0, le=1,
    )  # fmt: skip
    low_start_cycles: float = knob(15_600.0, "as `start_cycles`, low-latency protocol", source=_SHIPPED, unit="cycle",
                                   ge=0, plausible=(4_000.0, 60_000.0))  # fmt: skip
    low_step_cycles: float = knob(868.0, "as `step_cycles`, low-latency protocol", source=_SHIPPED, unit="cycle",
                                  ge=0, plausible=(200.0, 6_000.0))  # fmt: skip
    low_efficiency: float = knob(0.266, "as `link_efficiency`, low-latency protocol", source=_SHIPPED, gt=0, le=1,
                                 plausible=(0.05, 0.6))  # fmt: skip
    network_efficiency: float = knob(
        0.85, "sustained over wire rate of the network", source="ASSUMED: 20 to 23 of 25 GB/s a card in public runs of "
        "nccl-tests on HDR InfiniBand", gt=0, le=1, plausible=(0.4, 0.97),
    )  # fmt: skip

    # How a network is shared out.
    data: int = knob(1, "shares of the batch", source=_DESIGN, ge=1, le=4096)
    tensor: int = knob(8, "shares of each layer", source=_DESIGN, ge=1, le=64)
    pipeline: int = knob(1, "steps of consecutive layers, one behind the other", source=_DESIGN, ge=1, le=256)

    # Energy.
    link_j_per_byte: float = knob(
        10 * PJ, "a byte on a link of the node", source="ASSUMED: NVLink, about 1.3 pJ a bit, recalled", unit="J/B",
        ge=0, plausible=(4 * PJ, 60 * PJ),
    )  # fmt: skip
    network_j_per_byte: float = knob(
        150 * PJ, "a byte from card to card", source="ASSUMED: cards, optics and switches of InfiniBand, 100 pJ and "
        "more, recalled", unit="J/B", ge=0, plausible=(50 * PJ, 500 * PJ),
    )  # fmt: skip
    node_idle_w: float = knob(
        1000.0, "a node beside its GPUs: processors, memory, switches, fans", source="ASSUMED: of the 6.5 kW of a DGX "
        "A100, 3.3 kW are not its GPUs at full load", unit="W", ge=0, plausible=(100.0, 4000.0),
    )  # fmt: skip


if TYPE_CHECKING:
    MultiGpuTable = Any
else:
    MultiGpuTable = namedtuple("MultiGpuTable", MultiGpuSpec.model_fields, module=__name__)
    """The knobs of C configurations as columns, (C,) each, in the order of the Spec."""
    MultiGpuSpec.table_type = MultiGpuTable
