"""Collectives against plain twins and laws: chunks, levels, algorithms, wires that are shared."""

from __future__ import annotations

from math import ceil, log2, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.errors import SpecError
from hwmodels.families.multigpu.collectives import (
    COLLECTIVES,
    ENGINE,
    RECURSIVE,
    Link,
    Protocol,
    candidates,
    collective_s,
    timed,
    two_level_s,
)
from hwmodels.families.multigpu.fabric import fabric_of, group_s, group_shape
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.families.multigpu.topology import (
    island_bytes_per_s,
    network_share,
)
from hwmodels.units import GB, GHZ, US

ISLAND = Link(300 * GB, 300 * GB, 1.41 * GHZ)
SWITCHED = ISLAND._replace(in_switch=True)
NETWORK = Link(25 * GB, 25 * GB, 1.41 * GHZ, step_s=5 * US)
sizes = st.floats(1.0, 1e11)
ranks = st.integers(2, 64)


def slow(what: str, size: float, n: int, link: Link) -> float:
    """The fastest of NCCL's algorithms and both protocols, one number at a time."""
    p = link.protocol
    pair = p.pair_efficiency if n == 2 else 1.0
    twice = 2 if what == "all_reduce" else 1
    if what == "send":
        wait = (p.low_start_cycles + p.low_step_cycles) / link.clock_hz + link.step_s
        return wait + size / (p.send_efficiency * link.ring_bytes_per_s)
    if what == "all_to_all":
        ways = [(1, (n - 1) / n * size, pair)]
    else:
        ways = [(twice * (n - 1), twice * (n - 1) / n * size, pair)]
        if link.in_switch and n > 2:
            ways.append((twice, size * (1 + 1 / n) if twice == 2 else size, p.switch_efficiency))
        if link.step_s > 0 and what == "all_reduce":
            ways.append((2 * ceil(log2(n)), 2 * size, pair))
    best = float("inf")
    for steps, wire, efficiency in ways:
        latency = (p.ramp_cycles + steps * p.step_cycles) / link.clock_hz + steps * link.step_s
        wire_s = wire / (p.efficiency * efficiency * link.ring_bytes_per_s)
        piped = p.start_cycles / link.clock_hz + (sqrt(latency) + sqrt(wire_s)) ** 2
        low = (p.low_start_cycles + steps * p.low_step_cycles) / link.clock_hz + steps * link.step_s
        best = min(best, piped, low + wire / (p.low_efficiency * link.ring_bytes_per_s))
    return best


@settings(deadline=None)
@given(st.sampled_from(COLLECTIVES), sizes, ranks, st.sampled_from([ISLAND, SWITCHED, NETWORK]))
def test_a_collective_equals_its_twin(what: str, size: float, n: int, link: Link) -> None:
    assert float(collective_s(what, size, n, link)) == pytest.approx(slow(what, size, n, link), rel=1e-12)


def test_the_square_of_roots_is_the_best_number_of_chunks() -> None:
    """(s + c)(a + W / c) over any number of chunks c is least at (sqrt(s a) + sqrt(W))^2."""
    steps, step_s, wire_s = 6.0, 3e-6, 2e-4
    chunks = np.geomspace(1e-2, 1e5, 400_001)
    slowest = ((steps + chunks) * (step_s + wire_s / chunks)).min()
    link = Link(1.0, 1.0, 1.0, protocol=Protocol(0.0, 0.0, step_s, 1.0, 1.0, 1e9, 0.0, 1.0))
    found = float(collective_s("all_gather", wire_s * 7 / 6, 7, link))
    assert found == pytest.approx(slowest, rel=1e-8)


@settings(deadline=None)
@given(st.sampled_from(COLLECTIVES), sizes, st.floats(1.0, 100.0), ranks, st.sampled_from([ISLAND, SWITCHED, NETWORK]))
def test_more_bytes_are_never_faster_and_more_bandwidth_never_slower(
    what: str, size: float, factor: float, n: int, link: Link
) -> None:
    base = float(collective_s(what, size, n, link))
    assert float(collective_s(what, size * factor, n, link)) >= base * (1 - 1e-12)
    wider = link._replace(
        ring_bytes_per_s=link.ring_bytes_per_s * factor, exchange_bytes_per_s=link.exchange_bytes_per_s * factor
    )
    assert float(collective_s(what, size, n, wider)) <= base * (1 + 1e-12)


def test_nothing_is_sent_for_nobody() -> None:
    for what in COLLECTIVES:
        found = two_level_s(what, np.array([0.0, 1e6]), 1, 1, ISLAND, NETWORK)
        assert found[0] == 0.0
        assert (found[1] == 0.0) or what == "send"


@settings(deadline=None)
@given(sizes, st.sampled_from([2, 4, 8]))
def test_one_node_is_its_island_and_one_gpu_a_node_the_network(size: float, n: int) -> None:
    for what in COLLECTIVES[:4]:
        assert two_level_s(what, size, n, 1, ISLAND, NETWORK) == collective_s(what, size, n, ISLAND)
        assert two_level_s(what, size, 1, n, ISLAND, NETWORK) == collective_s(what, size, n, NETWORK)


def test_levels_beat_one_ring_where_messages_are_large_and_nodes_many() -> None:
    many = float(two_level_s("all_reduce", 1e9, 8, 64, ISLAND, NETWORK))
    flat = float(collective_s("all_reduce", 1e9, 512, NETWORK))
    assert many < 0.3 * flat


@settings(deadline=None)
@given(st.sampled_from(["all_reduce", "all_gather", "reduce_scatter"]), sizes, st.sampled_from([2, 8]),
       st.sampled_from([2, 16]))  # fmt: skip
def test_levels_equal_their_twin(what: str, size: float, g: int, m: int) -> None:
    """Inside, across a share, inside again; or one ring whose slowest hop is a link or all cards of a node."""
    if what == "all_reduce":
        levels = slow("reduce_scatter", size, g, ISLAND) + slow("all_gather", size, g, ISLAND)
    else:
        levels = slow(what, size, g, ISLAND)
    levels += slow(what, size / g, m, NETWORK._replace(protocol=Protocol()))
    rate = min(ISLAND.ring_bytes_per_s, g * NETWORK.ring_bytes_per_s)
    p, n, twice = Protocol(), g * m, 2 if what == "all_reduce" else 1
    steps, wire = twice * (n - 1), twice * (n - 1) / n * size
    waits = steps * NETWORK.step_s * m / n
    latency = (p.ramp_cycles + steps * p.step_cycles) / ISLAND.clock_hz + waits
    piped = p.start_cycles / ISLAND.clock_hz + (sqrt(latency) + sqrt(wire / (p.efficiency * rate))) ** 2
    low = (p.low_start_cycles + steps * p.low_step_cycles) / ISLAND.clock_hz + waits + wire / (p.low_efficiency * rate)
    found = float(two_level_s(what, size, g, m, ISLAND, NETWORK))  # type: ignore[arg-type]
    assert found == pytest.approx(min(levels, piped, low), rel=1e-12)


def test_an_exchange_over_nodes_is_what_leaves_or_what_stays() -> None:
    leaves = timed(1.0, 24 / 32 * 1e9, NETWORK.exchange_bytes_per_s, NETWORK)
    stays = timed(1.0, 7 / 32 * 1e9, ISLAND.exchange_bytes_per_s, ISLAND)
    assert two_level_s("all_to_all", 1e9, 8, 4, ISLAND, NETWORK) == max(leaves, stays) == leaves


@settings(deadline=None)
@given(sizes, ranks)
def test_reading_the_others_memory_by_hand(size: float, n: int) -> None:
    p, rate = Protocol(), 0.94 * ISLAND.exchange_bytes_per_s
    times = candidates("all_reduce", size, n, ISLAND, algorithms=ENGINE)
    wait = (p.low_start_cycles + p.low_step_cycles) / ISLAND.clock_hz
    assert float(times["one_shot"]) == pytest.approx(wait + (n - 1) * size / rate, rel=1e-12)
    both = wait + p.low_step_cycles / ISLAND.clock_hz + 2 * (n - 1) / n * size / rate
    assert float(times["two_shot"]) == pytest.approx(both, rel=1e-12)


def test_halving_takes_powers_of_two() -> None:
    times = candidates("all_reduce", 1e3, np.array([4, 6, 8]), NETWORK, algorithms=RECURSIVE)
    assert np.isinf(times["halving"]).tolist() == [False, True, False]
    assert times["halving"][2] < times["ring"][2]


def test_an_unknown_collective_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean all_reduce"):
        collective_s("all_reduces", 1.0, 2, ISLAND)  # type: ignore[arg-type]


def test_constants_of_the_knobs_are_those_of_the_protocol() -> None:
    assert fabric_of(MultiGpuSpec()).protocol == Protocol()


@pytest.mark.parametrize("wiring", ["switch", "pairs", "tree", "torus"])
def test_wires_are_shared_as_counted_by_hand(wiring: str) -> None:
    expected = {
        "switch": 100.0,  # a wire in and a wire out each
        "pairs": 20.0,  # the way over the host
        "tree": 20.0,  # the link between the sockets, once each way
        # Two by four, to and fro: every hop is one link; two rows are neighbours on one side alone.
        "torus": 100.0 / 3,
    }[wiring]
    assert island_bytes_per_s(wiring, 8, 8, 1, 100.0, 20.0)[0] == pytest.approx(expected)  # type: ignore[arg-type]


def test_an_exchange_is_bound_by_the_link_between_sockets() -> None:
    # 16 messages cross each way: 20 / 16 each, seven of them a GPU.
    assert island_bytes_per_s("tree", 8, 8, 1, 100.0, 20.0)[1] == pytest.approx(20.0 / 16 * 7)


def test_groups_side_by_side_share_the_host() -> None:
    alone = island_bytes_per_s("tree", 8, 8, 1, 100.0, 20.0)[0]
    strided = island_bytes_per_s("tree", 8, 2, 4, 100.0, 20.0)[0]
    assert (alone, strided) == (20.0, 5.0)  # four pairs across the sockets
    assert island_bytes_per_s("tree", 8, 2, 1, 100.0, 20.0)[0] == 100.0


@settings(deadline=None)
@given(st.integers(1, 512), st.sampled_from([1, 2, 4, 8, 16]))
def test_a_group_is_spread_over_as_few_nodes_as_its_stride_allows(n: int, stride: int) -> None:
    inside, across = group_shape(fabric_of(MultiGpuSpec(nodes=4096)), n, stride)
    assert inside * across >= n
    assert 1 <= inside <= max(8 // stride, 1)
    assert (across - 1) * inside < n


def test_a_chain_that_leaves_its_node_sends_over_the_network() -> None:
    fabric = fabric_of(MultiGpuSpec(nodes=4))
    near, far = (float(group_s(fabric, "send", 1e8, ranks, stride=4)) for ranks in (2, 4))
    assert near < far
    assert far == pytest.approx(1e8 / (0.85 * 25e9), rel=0.01)
    worse = fabric_of(MultiGpuSpec(nodes=4, network_efficiency=0.4))
    assert float(group_s(worse, "send", 1e8, 4, stride=4)) == pytest.approx(1e8 / (0.4 * 25e9), rel=0.01)


@settings(deadline=None)
@given(
    st.sampled_from(["switch", "pairs", "tree", "torus"]), st.integers(1, 12), st.integers(1, 12), st.integers(1, 12)
)
def test_every_shape_of_group_has_a_rate(wiring: str, gpus: int, ranks: int, stride: int) -> None:
    """Strides that do not divide a node among them."""
    fabric = fabric_of(MultiGpuSpec(nodes=64, gpus_per_node=gpus, wiring=wiring))  # type: ignore[arg-type]
    for what in COLLECTIVES:
        found = float(group_s(fabric, what, 1e6, ranks, stride=stride))
        assert np.isfinite(found)
        assert (found > 0.0) == (ranks > 1 or what == "send")


def test_the_network_is_shared_by_all_gpus_of_a_node() -> None:
    spec = MultiGpuSpec(nodes=16)
    one_card = 1e9 / (spec.network_efficiency * spec.network_bytes_per_s / 8)
    assert float(group_s(fabric_of(spec), "all_gather", 1e9, 16, stride=8)) == pytest.approx(one_card, rel=0.1)


def test_oversubscription_counts_beyond_a_leaf() -> None:
    assert network_share(np.array([4, 5]), leaf_nodes=4, oversubscription=2.0).tolist() == [1.0, 0.5]
