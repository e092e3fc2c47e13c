"""A cluster's levels for a group of ranks: how many of them lie in a node, and what they get of links and network.

Ranks are numbered so that tensor-parallel neighbours are next to each other; a group of n ranks, each `stride` from the
next, has g = min(n, gpus per node / stride) of them in a node and n / g nodes. All groups are under way together: a
GPU's share of its node's network cards is one over the GPUs of the node.

Not modelled: ranks placed otherwise, groups of unequal size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.multigpu.collectives import NCCL, Collective, Link, Protocol, two_level_s
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.topology import WIRINGS, Wiring, island_bytes_per_s, network_share

__all__ = ["Fabric", "fabric_at", "fabric_of", "group_s", "group_shape", "links"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class Fabric(NamedTuple):
    """The wires of one cluster; every field one value."""

    gpus_per_node: int
    nodes: int
    wiring: Wiring
    link_bytes_per_s: float
    host_bytes_per_s: float
    in_switch: bool
    network_bytes_per_s: float
    network_step_s: float
    leaf_nodes: int
    oversubscription: float
    clock_hz: float
    protocol: Protocol
    network_efficiency: float


def fabric_of(spec: MultiGpuSpec) -> Fabric:
    """The wires of a Spec; protocols run at the GPU's clock."""
    clocks = spec.gpu.clock_hz, spec.gpu.sustained_clock_hz
    return _fabric(lambda name: getattr(spec, name), spec.wiring, *clocks)


def fabric_at(configs: Any, config: int) -> Fabric:
    """The wires of one configuration of a table."""
    clocks = configs.gpu.clock_hz[config].item(), configs.gpu.sustained_clock_hz[config].item()
    wiring = WIRINGS[configs.wiring[config]]
    return _fabric(lambda name: getattr(configs, name)[config].item(), wiring, *clocks)


def _fabric(at: Callable[[str], Any], wiring: Wiring, clock_hz: float, sustained_hz: float) -> Fabric:
    """The wires by knob."""
    protocol = Protocol(
        start_cycles=at("start_cycles"), ramp_cycles=at("ramp_cycles"), step_cycles=at("step_cycles"),
        efficiency=at("link_efficiency"), pair_efficiency=at("pair_efficiency"),
        low_start_cycles=at("low_start_cycles"), low_step_cycles=at("low_step_cycles"),
        low_efficiency=at("low_efficiency"), switch_efficiency=at("switch_efficiency"),
    )  # fmt: skip
    return Fabric(
        at("gpus_per_node"), at("nodes"), wiring, at("link_bytes_per_s"), at("host_bytes_per_s"),
        bool(at("in_switch")), at("network_bytes_per_s"), at("network_step_s"), at("leaf_nodes"),
        at("oversubscription"), min(clock_hz, sustained_hz) if sustained_hz > 0 else clock_hz, protocol,
        at("network_efficiency"),
    )  # fmt: skip


def group_shape(fabric: Fabric, ranks: Any, stride: Any) -> tuple[I64, I64]:
    """(ranks of a group in one node, nodes of the group), (P,) each.

    >>> from hwmodels.families.multigpu.spec import MultiGpuSpec
    >>> inside, across = group_shape(fabric_of(MultiGpuSpec()), [4, 16, 16], [1, 1, 4])
    >>> inside.tolist(), across.tolist()
    ([4, 8, 2], [1, 2, 8])
    """
    n, s = np.asarray(ranks, np.int64), np.asarray(stride, np.int64)
    inside = np.clip(fabric.gpus_per_node // np.maximum(s, 1), 1, np.maximum(n, 1))
    return inside, -(-n // inside)


def links(fabric: Fabric, inside: I64, across: I64, stride: Any) -> tuple[Link, Link]:
    """The island and the network as groups of this shape see them."""
    inside, across, stride = np.broadcast_arrays(inside, across, np.asarray(stride, np.int64))
    rates = _island_rates(fabric, inside, stride)
    share = network_share(across, leaf_nodes=fabric.leaf_nodes, oversubscription=fabric.oversubscription)
    network = fabric.network_bytes_per_s * share / fabric.gpus_per_node
    of_network = fabric.protocol._replace(
        efficiency=fabric.network_efficiency, pair_efficiency=1.0, send_efficiency=fabric.network_efficiency
    )
    return (
        Link(rates[..., 0], rates[..., 1], fabric.clock_hz, 0.0, fabric.in_switch, fabric.protocol),
        Link(network, network, fabric.clock_hz, fabric.network_step_s, False, of_network),
    )


def _island_rates(fabric: Fabric, inside: I64, stride: I64) -> F64:
    """(..., 2) rates of rings and of exchanges; one look-up a distinct shape."""
    side = fabric.gpus_per_node + 1
    # Beyond the node a stride leaves one rank inside, whatever it is.
    code = np.minimum(inside, fabric.gpus_per_node) * side + np.clip(stride, 1, fabric.gpus_per_node)
    met = np.flatnonzero(np.bincount(code.ravel(), minlength=1))
    found = np.zeros((int(met[-1]) + 1 if met.size else 1, 2))
    for shape in met.tolist():
        found[shape] = island_bytes_per_s(
            fabric.wiring, fabric.gpus_per_node, *divmod(shape, side), fabric.link_bytes_per_s,
            fabric.host_bytes_per_s,
        )  # fmt: skip
    rates: F64 = found[code]
    return rates


def group_s(
    fabric: Fabric, what: Collective, size_bytes: Any, ranks: Any, *, stride: Any = 1,
    algorithms: tuple[str, ...] = NCCL,
) -> F64:  # fmt: skip
    """Seconds of a collective over groups of `ranks`, each `stride` from the next.

    send : from each of a chain of `ranks` to the next; where the chain leaves its node, the slowest hop does.
    """
    if what == "send":
        far = np.asarray(stride, np.int64) * np.asarray(ranks, np.int64) > fabric.gpus_per_node
        inside, across = np.where(far, 1, 2), np.where(far, 2, 1)
        island, network = links(fabric, inside, across, np.where(far, 1, stride))
        return two_level_s(what, size_bytes, inside, across, island, network)
    inside, across = group_shape(fabric, ranks, stride)
    island, network = links(fabric, inside, across, stride)
    return two_level_s(what, size_bytes, inside, across, island, network, algorithms=algorithms)
