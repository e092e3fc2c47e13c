"""Several boards: one is the device, cuts by brute force, shares that speed up more than linearly, tiles that flow."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.cost import CostReport
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.fpga.boards import FpgaBoardsSpec, tiled_layers
from hwmodels.families.fpga.kernel_boards import cut_bytes, cuts
from hwmodels.families.fpga.spec import FpgaSpec
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

MODEL, ONE = family("fpga_boards"), family("fpga")


def compiled(name: str) -> Workload:
    return rewrite(network(name), COMPILED)


def report(name: str, **knobs: object) -> CostReport:
    return evaluate(compiled(name), MODEL, FpgaBoardsSpec.parse(knobs, where="test"))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
@pytest.mark.parametrize("schedule", ["pipeline", "sharded"])
def test_one_board_is_the_device(name: str, schedule: str) -> None:
    alone = evaluate(compiled(name), ONE, FpgaSpec())
    found = report(name, boards=1, schedule=schedule)
    for metric in ("latency_s", "interval_s", "dram_bytes", "executed_macs", "peak_macs_per_s"):
        assert found.total(metric) == alone.total(metric), metric
    assert found.total("energy_j") == pytest.approx(alone.total("energy_j"), rel=1e-12)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=8), st.lists(st.integers(0, 60), min_size=9, max_size=9),
    st.integers(1, 4),
)  # fmt: skip
def test_cuts_are_the_best_of_all(times: list[int], links: list[int], boards: int) -> None:
    n = len(times)
    own, crossing = np.array(times, np.float64)[None], np.array(links[:n], np.float64)
    zero = np.zeros(1, np.int64)
    interval, on_links, used = cuts(
        own, np.arange(n), np.array([0, n]), crossing, boards=np.array([boards]), link_bytes_per_s=np.ones(1),
        network=zero, config=zero,
    )[0]  # fmt: skip
    best = np.inf
    for k in range(1, min(boards, n) + 1):
        for at in combinations(range(1, n), k - 1):
            edges = (0, *at, n)
            steps = [sum(times[a:b]) for a, b in pairwise(edges)]
            best = min(best, max([*steps, *(links[i] for i in at)]))
    assert interval == best
    assert 1 <= used <= boards
    assert (on_links > 0) <= (used > 1)


def test_a_tensor_crosses_a_cut_once_however_many_read_it() -> None:
    net = Builder("skip", (1, 4, 8, 8))
    x = net.conv_norm_act(net.input, 8, 3)
    y = net.conv_norm_act(net.conv_norm_act(x, 8, 3), 8, 3, activation=None)
    table = layer_table([rewrite(net.finish(net.residual(x, y)), COMPILED)])
    # Three convolutions and a sum: the first output lives until the sum, with one more tensor beside it.
    assert cut_bytes(table.networks, 2.0).tolist() == [0.0, 1024.0, 2048.0, 2048.0]


def test_more_boards_are_never_slower_to_the_next_item_but_to_an_item_alone() -> None:
    found = [report("resnet18", boards=boards) for boards in (1, 2, 4)]
    intervals = [one.total("interval_s") for one in found]
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[2] < intervals[0] / 3
    latencies = [one.total("latency_s") for one in found]
    assert latencies == sorted(latencies)
    slow = report("resnet18", boards=4, link_bytes_per_s=1e4)
    assert slow.total("boards_used") == 1


def test_shared_weights_speed_up_more_than_linearly_where_loads_bind() -> None:
    """[Super-LIP] two boards that hold half of the weights each, on a network whose weights bind."""
    starved = {"engine.dram_bytes_per_s": 0.4e9, "engine.tile_rows": 7, "engine.tile_cols": 7, "link_bytes_per_s": 1e11}
    one, two = (report("vgg16", schedule="sharded", boards=boards, row_boards=boards, **starved) for boards in (1, 2))
    assert one.total("latency_s") / two.total("latency_s") > 2.0
    slow = report("vgg16", schedule="sharded", boards=2, row_boards=2, **{**starved, "link_bytes_per_s": 1e8})
    assert slow.total("latency_s") > two.total("latency_s")


def test_shares_of_a_network_add_up_to_its_work() -> None:
    whole = report("vgg16", boards=1, schedule="sharded")
    for rows in (1, 2, 4):
        parts = report("vgg16", boards=4, schedule="sharded", row_boards=rows)
        assert parts.total("executed_macs") == whole.total("executed_macs")
        assert whole.total("latency_s") / 4.5 < parts.total("latency_s") < whole.total("latency_s")
    uneven = report("vgg16", boards=4, schedule="sharded", row_boards=3)
    assert uneven.infeasible == "boards that do not divide into shares of rows and of channels"


def test_lanes_follow_the_work_of_layers() -> None:
    """[FNAS] max(1, floor(lanes MAC_i / sum MAC)) for each layer."""
    table = layer_table([compiled("alexnet")])
    layers = type(table.layers)(*(column[table.rows_of(0)] for column in table.layers))
    spec = {"tile_m": 8, "tile_rows": 7, "tile_cols": 7, "activation_bits": 16, "cycles_per_byte": 1.0}
    tiled = tiled_layers(layers, spec, lanes=1000, lanes_per_board=500)
    for at in np.flatnonzero(layers.macs > 0):
        lanes = max(1, int(1000 * layers.macs[at] / layers.macs.sum()))
        assert tiled.tm[at] * tiled.tn[at] <= lanes
    assert set(tiled.keeps_inputs.tolist()) == {0, 1}


def test_tiles_flow_faster_than_layers_in_turn() -> None:
    """Every layer at work at once: an item takes less than the sum of all engines' work, more than the slowest."""
    tiles = report("vgg16", schedule="tiles", boards=2)
    assert tiles.total("interval_s") < tiles.total("latency_s") < 14 * tiles.total("interval_s")
    more = report("vgg16", schedule="tiles", boards=4)
    assert more.total("interval_s") < tiles.total("interval_s")
    linked = report("vgg16", schedule="tiles", boards=2, link_bytes_per_s=1e6)
    assert linked.total("latency_s") > tiles.total("latency_s")
