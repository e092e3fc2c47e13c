"""Unknown operators: their weights move on every family, and the share counts them."""

from __future__ import annotations

import pytest

import hwmodels
from hwmodels.workload.coverage import UnknownOperator, unknown_operators
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Unknown


def network(weights: int) -> Workload:
    """64 elements through an unknown operator into a layer of 64 x 10 weights."""
    net = Builder("strange", (1, 64))
    return net.finish(net.linear(net.add(Unknown("mystery", (1, 64), weights), net.input), 10))


def test_the_share_counts_the_weights() -> None:
    known = 64 + 640 + 10
    assert unknown_operators(network(0)) == [UnknownOperator("mystery", 1, 128 / (128 + known))]
    assert unknown_operators(network(1000)) == [UnknownOperator("mystery", 1, 1128 / (1128 + known))]


def test_the_weights_are_a_second_operand() -> None:
    _, row = next(network(1000).rows())
    assert (row.weight_elements, row.parameters, row.macs) == (1000, 1000, 0)


@pytest.mark.parametrize("device", ["tpu_v1", "systolic_edge", "rpi4", "stm32h743", "rram_edge"])
def test_the_weights_are_moved_on_every_family(device: str) -> None:
    """Fifty million weights cost time and energy; where no cache may hold some of them, a byte of DRAM each."""
    without, with_weights = (hwmodels.estimate(network(count), device, bits=8).totals for count in (0, 50_000_000))
    assert with_weights["latency_s"] > without["latency_s"]
    assert with_weights["energy_j"] > without["energy_j"]
    if device in ("tpu_v1", "systolic_edge"):
        assert with_weights["dram_bytes"] - without["dram_bytes"] == 5e7
