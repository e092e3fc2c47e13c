"""Time of a collective by algorithm and protocol, the fastest of them; array arithmetic over messages.

An algorithm is a number of steps and the bytes that one rank sends on its wire. Two protocols carry it::

    pipelined    start + (sqrt(L) + sqrt(W))^2       L = ramp + steps x step,  W = wire bytes / (efficiency x rate)
    low latency  start' + steps x step' + W'         flags beside the data: fewer waits, less of the rate

The first is what a message takes that is cut into the best number of chunks: c chunks over s steps take
(s + c - 1)(step + W / c), least at c = sqrt(s W / step), and that is why bandwidth still rises at 100 MB. The kernels
that carry a message run on the GPUs: starts, ramps and steps are cycles of the GPU's clock; a network adds its own
latency to every step.

| algorithm | steps | wire bytes of S |
|---|---|---|
| ring | all-reduce 2(n-1), gather and scatter n-1 | 2(n-1)/n S, (n-1)/n S |
| double tree | 2 ceil(log2 n) | 2 S |
| halving and doubling (n a power of two) | 2 log2 n; gather and scatter log2 n | as the ring |
| in the switch | 2; gather and scatter 1 | (1 + 1/n) S; gather S, scatter S |
| direct (all-to-all) | n - 1 messages at once: 1 | (n-1)/n S of the exchange's rate |
| one shot, two shots | a barrier each | (n-1) S, 2(n-1)/n S, read at `send_efficiency` |
| send | start' + step' | S, at `send_efficiency`: a copy that fills no pipeline |
| hierarchical | inside, across, inside | each level its share |

S is the whole tensor: what every rank has after a gather, what it has before a scatter. [NCCL] the library's tuning
tables. [Sanders et al., Parallel Computing 2009] two trees at full bandwidth. [Thakur et al., IJHPCA 2005] halving and
doubling.

Not modelled: other traffic on the wires, stragglers, what a collective takes of the multiprocessors (see `training`).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError

__all__ = [
    "COLLECTIVES",
    "ENGINE",
    "NCCL",
    "RECURSIVE",
    "Collective",
    "Link",
    "Protocol",
    "candidates",
    "collective_s",
    "timed",
    "two_level_s",
]

F64 = npt.NDArray[np.float64]

Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send"]
COLLECTIVES: tuple[Collective, ...] = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send")

NCCL = ("ring", "tree", "in_switch", "direct")
"""What NVIDIA's library has; its trees join nodes, inside a node they are chains."""
RECURSIVE = ("ring", "halving", "direct")
"""What message-passing libraries have."""
ENGINE = ("ring", "in_switch", "direct", "one_shot", "two_shot")
"""What engines of inference have beside NVIDIA's library: kernels in which every rank reads the others' memory, all of
it, or its share and then the shares of the others. Source: vLLM, csrc/custom_all_reduce.cuh, one and two stages."""


class Protocol(NamedTuple):
    """What a library's kernels take beside the wire; cycles of the GPU's clock.

    The defaults are the fit of `hwmodels.validation.multigpu.protocol_fit` to sizes from 0.5 KB to 512 MB of four
    collectives on 2, 4 and 8 GPUs (nccl_node_collectives, A100 and H100); what such constants are worth on a system
    that gave no row is in the README.
    """

    start_cycles: float = 19_600.0
    ramp_cycles: float = 3_920.0
    step_cycles: float = 137.0
    efficiency: float = 0.76
    pair_efficiency: float = 0.852
    """Of two ranks alone, beside `efficiency`: a ring of two uses each link both ways."""
    low_start_cycles: float = 15_600.0
    low_step_cycles: float = 868.0
    low_efficiency: float = 0.266
    switch_efficiency: float = 0.85
    """Of collectives in the switch, beside `efficiency`. Source: [NCCL] tuning.cc, nvlsEfficiency, Hopper."""
    send_efficiency: float = 0.94
    """Of a message from one rank to another, in place of `efficiency`: a copy that waits for nobody. Source: packets of
    up to 256 bytes with a header of 16, NVLink; recalled."""


class Link(NamedTuple):
    """A level that joins ranks; fields are numbers or arrays that broadcast with the messages.

    ring_bytes_per_s, exchange_bytes_per_s : a rank's wire, one direction, what others take of it counted (`topology`).
    step_s : latency of a step beside the protocol's, as of a network. in_switch : whether switches reduce.
    """

    ring_bytes_per_s: Any
    exchange_bytes_per_s: Any
    clock_hz: Any
    step_s: Any = 0.0
    in_switch: Any = False
    protocol: Protocol = Protocol()


def timed(steps: Any, wire_bytes: Any, rate: Any, link: Link, *, efficiency: Any = 1.0) -> F64:
    """The faster protocol of one algorithm; `efficiency` beside the protocol's own."""
    p, clock = link.protocol, link.clock_hz
    wire_s = wire_bytes / (p.efficiency * efficiency * rate)
    latency_s = (p.ramp_cycles + steps * p.step_cycles) / clock + steps * link.step_s
    piped = p.start_cycles / clock + (np.sqrt(latency_s) + np.sqrt(wire_s)) ** 2
    waits_s = (p.low_start_cycles + steps * p.low_step_cycles) / clock + steps * link.step_s
    low = waits_s + wire_bytes / (p.low_efficiency * rate)
    found: F64 = np.minimum(piped, low)
    return found


def collective_s(
    what: Collective, size_bytes: Any, ranks: Any, link: Link, *, algorithms: tuple[str, ...] = NCCL
) -> F64:
    """Seconds of one collective over the ranks of one level by its fastest algorithm; 0 for one rank or no bytes.

    size_bytes : the whole tensor; of `send`, the message.

    >>> nvlink = Link(300e9, 300e9, 1.41e9)
    >>> round(float(collective_s("all_reduce", 64e6, 8, nvlink)) * 1e6)
    599
    """
    times = candidates(what, size_bytes, ranks, link, algorithms=algorithms)
    found: F64 = np.minimum.reduce([*times.values()])
    return found


def candidates(
    what: Collective, size_bytes: Any, ranks: Any, link: Link, *, algorithms: tuple[str, ...] = NCCL
) -> dict[str, F64]:
    """Seconds by algorithm; infinite where an algorithm cannot."""
    if what not in COLLECTIVES:
        raise SpecError.unknown("collective", what, COLLECTIVES)
    size, n = np.asarray(size_bytes, np.float64), np.asarray(ranks, np.float64)
    pair = np.where(n == 2, link.protocol.pair_efficiency, 1.0)
    share = (n - 1.0) / n
    twice = 2.0 if what == "all_reduce" else 1.0
    depth = np.ceil(np.log2(np.maximum(n, 1.0)))
    found: dict[str, F64] = {}
    if what == "send":
        p = link.protocol
        latency_s = (p.low_start_cycles + p.low_step_cycles) / link.clock_hz + link.step_s
        found["direct"] = latency_s + size / (np.maximum(p.send_efficiency, p.efficiency) * link.ring_bytes_per_s)
    elif what == "all_to_all":
        found["direct"] = timed(1.0, share * size, link.exchange_bytes_per_s, link, efficiency=pair)
    else:
        ring = twice * (n - 1.0), twice * share * size, link.ring_bytes_per_s
        if "ring" in algorithms:
            found["ring"] = timed(*ring, link, efficiency=pair)
        if "halving" in algorithms:
            by_halves = timed(twice * depth, ring[1], link.exchange_bytes_per_s, link, efficiency=pair)
            found["halving"] = np.where(2.0**depth == n, by_halves, np.inf)
        if "in_switch" in algorithms:
            moved = (1.0 + 1.0 / n) * size if what == "all_reduce" else size
            inside = timed(twice, moved, link.ring_bytes_per_s, link, efficiency=link.protocol.switch_efficiency)
            found["in_switch"] = np.where(np.asarray(link.in_switch, np.bool_) & (n > 2), inside, np.inf)
        if "one_shot" in algorithms and what == "all_reduce":
            found |= _by_reading(size, n, link)
        if "tree" in algorithms and what == "all_reduce":
            tree = timed(2.0 * depth, 2.0 * size, link.ring_bytes_per_s, link, efficiency=pair)
            # A tree that joins ranks of a node is a chain there: as many steps as a ring, and more bytes.
            found["tree"] = np.where(np.asarray(link.step_s) > 0.0, tree, np.inf)
    nothing = (n <= 1.0) | (size <= 0.0)
    return {name: np.where(nothing, 0.0, seconds) for name, seconds in found.items()}


def _by_reading(size: F64, n: F64, link: Link) -> dict[str, F64]:
    """Each rank reads the others' tensors, or reads its share of them and then their sums; a barrier each time."""
    p = link.protocol
    wait_s = (p.low_start_cycles + p.low_step_cycles) / link.clock_hz + link.step_s
    rate = np.maximum(p.send_efficiency, p.efficiency) * np.asarray(link.exchange_bytes_per_s)
    again_s = p.low_step_cycles / link.clock_hz + link.step_s
    return {
        "one_shot": wait_s + (n - 1.0) * size / rate,
        "two_shot": wait_s + again_s + 2.0 * (n - 1.0) / n * size / rate,
    }


def two_level_s(
    what: Collective, size_bytes: Any, inside: Any, across: Any, island: Link, network: Link, *,
    algorithms: tuple[str, ...] = NCCL,
) -> F64:  # fmt: skip
    """Seconds of a collective over `across` nodes with `inside` ranks of the group each.

    Of hierarchical all-reduce (scatter inside, reduce across in as many shares as ranks, gather inside) and one ring
    through all ranks, whose node boundary is carried by all of the group's network cards, the faster. network's rates
    are those of one rank's share of its node's cards.
    """
    size, g, m = (np.asarray(value, np.float64) for value in (size_bytes, inside, across))
    if what == "send":
        near = collective_s(what, size, 2.0, island)
        return np.where(m > 1.0, collective_s(what, size, 2.0, network), near)
    alone = collective_s(what, size, g, island, algorithms=algorithms)
    apart = collective_s(what, size, m, network, algorithms=algorithms)
    if what == "all_to_all":
        both = _exchange(size, g, m, island, network)
    elif what == "all_reduce":
        by_levels = (
            collective_s("reduce_scatter", size, g, island, algorithms=algorithms)
            + collective_s("all_reduce", size / g, m, network, algorithms=algorithms)
            + collective_s("all_gather", size, g, island, algorithms=algorithms)
        )
        both = np.minimum(by_levels, _flat_ring(what, size, g, m, island, network))
    else:
        by_levels = alone + collective_s(what, size / g, m, network, algorithms=algorithms)
        both = np.minimum(by_levels, _flat_ring(what, size, g, m, island, network))
    found: F64 = np.where(m <= 1.0, alone, np.where(g <= 1.0, apart, both))
    return found


def _flat_ring(what: Collective, size: F64, g: F64, m: F64, island: Link, network: Link) -> F64:
    """One ring through all ranks: the slower of a link inside and all cards of a node at each step."""
    n, twice = g * m, 2.0 if what == "all_reduce" else 1.0
    rate = np.minimum(island.ring_bytes_per_s, g * np.asarray(network.ring_bytes_per_s))
    # Latency of the network counts at the steps that cross a node boundary: m of the n hops at a time.
    flat = network._replace(ring_bytes_per_s=rate, step_s=np.asarray(network.step_s) * m / n)
    return timed(twice * (n - 1.0), twice * (n - 1.0) / n * size, rate, flat)


def _exchange(size: F64, g: F64, m: F64, island: Link, network: Link) -> F64:
    """All-to-all: what stays in the node and what leaves it, side by side."""
    n = g * m
    leaves = timed(1.0, (n - g) / n * size, network.exchange_bytes_per_s, network)
    stays = timed(1.0, (g - 1.0) / n * size, island.exchange_bytes_per_s, island)
    found: F64 = np.maximum(leaves, np.where(g > 1.0, stays, 0.0))
    return found
