"""Workloads: what is refused, in one line, and how a graph is read."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Input, Node, Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Conv2d,
    Elementwise,
    Linear,
    MatMul,
    PixelShuffle,
    Pool2d,
    Precision,
    Recurrent,
    Reshape,
    Select,
)
from hwmodels.workload.zoo import network

BITS = Precision()
IMAGE = (1, 3, 8, 8)


def node(name: str, operator: object, inputs: tuple[str, ...], shape: tuple[int, ...]) -> Node:
    return Node(name, operator, inputs, shape, BITS)  # type: ignore[arg-type]


def refused(build: Callable[[], object], *words: str) -> None:
    with pytest.raises(SpecError) as caught:
        build()
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


SOURCE = node("input", Input(IMAGE), (), IMAGE)
RELU = Activation("relu")


@pytest.mark.parametrize(
    ("nodes", "outputs", "words"),
    [
        ([SOURCE, node("a", RELU, ("b",), IMAGE), node("b", RELU, ("a",), IMAGE)], ["a"], ("net", "acyclic")),
        ([SOURCE, node("a", RELU, ("a",), IMAGE)], ["a"], ("acyclic",)),
        ([SOURCE, node("a", RELU, ("gone",), IMAGE)], ["a"], ("net: a", "gone", "a layer of this network")),
        ([SOURCE, node("a", RELU, ("input",), IMAGE)], ["gone"], ("net: outputs", "gone")),
        ([SOURCE, node("a", RELU, ("input",), (1, 4, 8, 8))], ["a"], ("net: a", "(1, 4, 8, 8)", "(1, 3, 8, 8)")),
        ([SOURCE, node("a", Conv2d(4, groups=2), ("input",), IMAGE)], ["a"], ("net: a", "groups")),
        ([SOURCE, SOURCE], ["input"], ("input", "a unique layer name")),
    ],
    ids=["cycle", "self-loop", "missing input", "missing output", "wrong shape", "misfit", "duplicate"],
)
def test_bad_graphs_are_one_line(nodes: list[Node], outputs: list[str], words: tuple[str, ...]) -> None:
    refused(lambda: Workload.of("net", nodes, outputs), *words)


def test_a_builder_names_the_layer_at_fault() -> None:
    net = Builder("net", IMAGE)
    net.add(RELU, net.input, name="a")
    refused(lambda: net.add(RELU, net.input, name="a"), "net", "unique")
    refused(lambda: net.add(Pool2d("max", 20), "a"), "net: pool2d1", "larger than the padded input")
    refused(lambda: net.add(Elementwise("add"), "a", net.add(Linear(5), "a")), "do not broadcast")
    refused(lambda: net.add(MatMul(), "a"), "net: matmul1")
    refused(lambda: net.add(Recurrent("lstm", 4), "a"), "net: recurrent1")
    refused(lambda: net.add(Concat(), "a", net.add(Reshape((1, 192)), "a")), "differ outside axis 1")
    refused(lambda: net.finish("gone"), "net: outputs", "gone")


@pytest.mark.parametrize(
    "operator",
    [
        Conv2d.square(8, 3, stride=0),
        Conv2d.square(8, 3, groups=0),
        Conv2d(-4),
        Linear(0),
        PixelShuffle(0),
        Pool2d("max", 0),
        Select(axis=1, index=7),
    ],
    ids=["stride 0", "groups 0", "channels -4", "features 0", "factor 0", "kernel 0", "index outside"],
)
def test_impossible_layers_are_refused(operator: object) -> None:
    net = Builder("net", IMAGE)
    refused(lambda: net.add(operator, net.input), "net")  # type: ignore[arg-type]


def test_of_takes_nodes_in_any_order_and_iterates_topologically() -> None:
    first, second = node("a", RELU, ("input",), IMAGE), node("b", RELU, ("a",), IMAGE)
    workload = Workload.of("net", [second, SOURCE, first], ["b"])
    assert [found.name for found in workload] == ["input", "a", "b"]
    assert workload["b"] is second
    assert workload.input_shapes == (IMAGE,)


def test_a_rebuilt_graph_is_the_same_graph() -> None:
    net = Builder("net", IMAGE)
    left, right = net.add(RELU, net.input), net.add(Activation("tanh"), net.input)
    workload = net.finish(net.residual(right, left))
    again = Workload.of("net", list(workload), workload.outputs)
    assert list(again) == list(workload)


def test_first_and_last_layers_cross_the_chip_boundary_through_views() -> None:
    net = Builder("net", IMAGE)
    flat = net.add(Reshape((1, 192)), net.input)
    x = net.linear(net.linear(net.linear(flat, 7), 8), 9)
    workload = net.finish(net.add(Reshape((9,)), x))
    flags = [(row.input_offchip, row.output_offchip) for _, row in workload.rows()]
    assert flags == [(1, 0), (0, 0), (0, 1)]


def test_an_inner_output_crosses_the_chip_boundary_too() -> None:
    net = Builder("net", IMAGE)
    early = net.add(RELU, net.input)
    workload = net.finish(early, net.add(Activation("tanh"), early))
    assert [row.output_offchip for _, row in workload.rows()] == [1, 1]


def test_a_network_travels_without_its_hash() -> None:
    """Hashes of texts differ from process to process: one that travelled would find nothing there."""
    workload = network("lenet5")
    assert {workload: 1}[network("lenet5")] == 1
    travelled = pickle.loads(pickle.dumps(workload))
    assert "_hash" not in travelled.__dict__
    assert (travelled, hash(travelled), travelled.macs) == (workload, hash(workload), workload.macs)
