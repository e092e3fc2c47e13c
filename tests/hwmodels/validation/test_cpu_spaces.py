"""Whole spaces as counts of rows equal the zoo's networks, rewritten one by one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.errors import SpecError
from hwmodels.validation.block_spaces import fbnet_space, ofa_space
from hwmodels.validation.cpu.block_tables import count_blocks, mobile_rows, tfnas_rows
from hwmodels.validation.layer_lists import count_networks, rows_of
from hwmodels.validation.spaces import FP32, Counted, DeadBranches, first_of_class, nasbench201_space
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Kind, Norm, Row
from hwmodels.workload.rewrite import COMPILED, EAGER, RUNTIMES, fuse, prune_dead_branches, rewrite
from hwmodels.workload.zoo import network
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.nasbench201 import CELL_POOL, EDGES, HALVING_POOL, OPERATIONS, nasbench201
from hwmodels.workload.zoo.ofa import ofa_network

CELLS = np.array(np.meshgrid(*[range(5)] * 6, indexing="ij")).reshape(6, -1).T


def rows_in(workload: Workload) -> Counter[Row]:
    return Counter(row for _, row in workload.rows())


def counted_rows(counted: Counted, index: int) -> Counter[Row]:
    return Counter({counted.layers.row(i): int(n) for i, n in enumerate(counted.counts[index]) if n})


def cell(operations: np.ndarray, size: int = 32) -> Workload:
    net = Builder("cell", (1, 3, size, size), precision=FP32)
    return net.finish(nasbench201(net, [OPERATIONS[i] for i in operations]))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(CELLS) - 1))
def test_a_compiled_cell_is_the_rewritten_network(index: int) -> None:
    operations = CELLS[index : index + 1]
    found = counted_rows(nasbench201_space(operations, "compiled"), 0)
    assert found == rows_in(rewrite(cell(operations[0]), COMPILED))


def test_folding_at_the_ends_of_a_cell() -> None:
    # One convolution alone, through an identity, at the input, at the output, and none at all.
    for cell_code in ("000300", "301001", "302014", "320001", "000004", "330000", "111111"):
        row = np.array([[int(digit) for digit in cell_code]])
        found = counted_rows(nasbench201_space(row, "compiled"), 0)
        assert found == rows_in(rewrite(cell(row[0]), COMPILED)), cell_code


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(CELLS) - 1))
def test_an_eager_cell_is_the_network_as_the_published_code_runs_it(index: int) -> None:
    """Beside the network as written: `none` multiplies by zero, every node starts its sum from 0."""
    operations = CELLS[index]
    found = counted_rows(nasbench201_space(operations[None], "eager"), 0)
    written = rows_in(rewrite(cell(operations), EAGER))
    for part in (found, written):  # sums are counted apart
        for row in [row for row in part if row.kind == Kind.ELEMENTWISE and row.in_channels in (16, 32, 64)]:
            del part[row]
    assert found == written
    sums = nasbench201_space(operations[None], "eager")
    per_stage = {}
    for i, times in enumerate(sums.counts[0]):
        row = sums.layers.row(i)
        if row.kind == Kind.ELEMENTWISE:
            key = (row.in_channels, row.input_elements // row.output_elements)
            per_stage[key] = int(times)
    nones = int((operations == 0).sum())
    operands_joined = len(EDGES) - 3  # of edges into a node, all but the first are added to the ones before
    for channels in (16, 32, 64):
        between_stages = channels > 16
        assert per_stage[channels, 1] == 5 * (nones + 3)
        assert per_stage[channels, 2] == 5 * operands_joined + between_stages


def with_zeros(net: Builder, operations: np.ndarray, dead_branches: DeadBranches) -> str:
    """The network written out with its dead branches: `none` as a product, or constants that stay out of arithmetic."""
    constants: set[str] = set()

    def join(terms: list[str]) -> str:
        total, *rest = [term for term in terms if term not in constants] or terms[:1]
        for term in rest:
            total = net.add(Elementwise("add"), total, term)
        return total

    def edge(x: str, code: int) -> str:
        if code == 0 and dead_branches == "run":
            return net.add(Elementwise("mul"), x)
        if code == 0:
            zeros = net.source(net.shape(x), name=f"zeros{len(constants)}")
            constants.add(zeros)
            return zeros
        if code == 4:
            return net.add(CELL_POOL, x)
        if code == 1:
            return x
        y = x if x in constants else net.add(Activation("relu"), x)
        return net.conv_norm_act(y, net.shape(x)[1], 3 if code == 3 else 1, activation=None)

    x = net.conv_norm_act(net.input, 16, 3, activation=None)
    for stage in range(3):
        if stage > 0:
            y = net.conv_norm_act(net.add(Activation("relu"), x), 16 << stage, 3, stride=2, activation=None)
            y = net.conv_norm_act(net.add(Activation("relu"), y), 16 << stage, 3, activation=None)
            x = net.add(Elementwise("add"), net.add(Conv2d.square(16 << stage, 1), net.add(HALVING_POOL, x)), y)
        for _ in range(5):
            nodes = [x]
            for target in (1, 2, 3):
                into = [
                    edge(nodes[s], c) for c, (s, node) in zip(operations.tolist(), EDGES, strict=True) if node == target
                ]
                nodes.append(join(into))
            x = nodes[3]
    return classify(net, net.add(Activation("relu"), net.add(Norm("batch"), x)), 10)


@pytest.mark.parametrize("dead_branches", ["run", "run_if_read"])
@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(CELLS) - 1))
def test_dead_branches_that_run_are_those_of_the_network_written_out(dead_branches: DeadBranches, index: int) -> None:
    operations = CELLS[index : index + 1]
    space = nasbench201_space(operations, "compiled", dead_branches=dead_branches)
    if dead_branches == "run_if_read" and not nasbench201_space(operations, "compiled").counts.any():
        assert not space.counts.any()  # a network of constants
        return
    net = Builder("cell", (1, 3, 32, 32), precision=FP32)
    written = net.finish(with_zeros(net, operations[0], dead_branches))
    found, expected = Counter[Row](), Counter[Row]()
    for row, times in counted_rows(space, 0).items():
        found[row._replace(input_offchip=0)] += times
    for _, row in fuse(prune_dead_branches(written)).rows():
        expected[row._replace(input_offchip=0)] += 1  # a constant stands as a second input of the graph
    assert found == expected


def test_dead_branches_only_add_work() -> None:
    dropped, read, run = (
        nasbench201_space(CELLS, "compiled", dead_branches=name) for name in ("dropped", "run_if_read", "run")
    )
    macs = [space.counts @ space.layers.macs for space in (dropped, read, run)]
    for fewer, more in pairwise(macs):
        assert (fewer <= more).all()
        assert (fewer < more).sum() > 1000
    assert (run.counts.sum(axis=1) > 0).all()
    eager = nasbench201_space(CELLS, "eager")
    assert np.array_equal(eager.counts @ eager.layers.macs, macs[2])
    with pytest.raises(SpecError, match="dead branches"):
        nasbench201_space(CELLS[:1], "compiled", dead_branches="some")  # type: ignore[arg-type]


def test_classes_of_equal_cells_are_the_published_ones() -> None:
    first = first_of_class(CELLS)
    assert np.unique(first).size == 6466  # [Dong and Yang, ICLR 2020, section 3]
    assert (first <= np.arange(len(CELLS))).all()
    assert np.array_equal(first[first], first)

    def same(one: str, other: str) -> bool:
        pair = np.array([[int(digit) for digit in text] for text in (one, other)])
        return bool(first_of_class(pair)[1] == 0)

    assert not same("030001", "030000")  # a branch that is read, and one that is not
    assert same("000300", "333300")  # branches that nothing reads
    assert same("340000", "000000")
    assert not same("000000", "000003")  # a convolution on a sum of zeros is not zero
    assert same("000040", "000000")  # pooling of node 1 without data is


def test_fbnet_counts_are_those_of_a_network_written_out() -> None:
    code = {"33": 2, "36": 3, "31": 0, "53": 6, "56": 7, "51": 4, "31g": 1, "51g": 5}
    text = "31 36 51 31 31 56 53 36 56 56 56 - 53 56 31 51 53 56 51 56 56 36"  # FBNet-B
    slots = np.array([[code.get(word, 8) for word in text.split(" ")]])
    zoo = network("fbnet_b", precision=FP32)
    same = fbnet_space(slots, "eager", size=224, classes=1000)
    assert int((same.counts @ same.layers.macs)[0]) == zoo.macs
    assert counted_rows(same, 0) == rows_in(zoo)
    slots[0, 11] = code["31g"]
    grouped = fbnet_space(slots, "eager", size=224, classes=1000)
    assert sum(n for row, n in counted_rows(grouped, 0).items() if row.groups == 2) == 2
    assert sum(n for row, n in counted_rows(grouped, 0).items() if row.kind == Kind.COPY) == 1


def test_a_skip_that_changes_the_shape_is_a_convolution() -> None:
    skips = fbnet_space(np.full((1, 22), 8), "compiled", size=32)
    kept = counted_rows(skips, 0)
    convolutions = [row for row in kept if row.kind == Kind.CONV]
    # Six changes of shape (the first stage keeps 16 channels), the stem and the last layer.
    assert sum(kept[row] for row in convolutions) == 8


@pytest.mark.parametrize("runtime", ["eager", "compiled"])
def test_once_for_all_subnets_are_the_zoo_s(runtime: str) -> None:
    rng = np.random.default_rng(3)
    kernels, expansions = rng.choice([3, 5, 7], (4, 20)), rng.choice([3, 4, 6], (4, 20))
    depths, sizes = rng.choice([2, 3, 4], (4, 5)), np.array([128, 160, 160, 224])
    found = ofa_space(kernels, expansions, depths, sizes, runtime)
    for i in range(4):
        net = Builder("subnet", (1, 3, int(sizes[i]), int(sizes[i])), precision=FP32)
        written = net.finish(
            ofa_network(net, kernels=kernels[i].tolist(), expansions=expansions[i].tolist(), depths=depths[i].tolist())
        )
        expected = rows_in(rewrite(written, RUNTIMES[runtime]))
        assert sum((row.macs * n for row, n in counted_rows(found, i).items())) == written.macs
        assert counted_rows(found, i) == expected


def test_a_list_of_layers_is_the_network() -> None:
    layers = [
        {"op": "conv", "cin": 3, "h": 8, "w": 8, "cout": 16, "oh": 4, "ow": 4, "k": [3, 3], "s": 2, "g": 1},
        {"op": "dwconv", "cin": 16, "h": 4, "w": 4, "cout": 16, "oh": 4, "ow": 4, "k": [3, 3], "s": 1, "g": 16},
        {"op": "add", "shape": [16, 4, 4]},
        {"op": "swish", "shape": [16, 4, 4]},
        {"op": "gpool", "cin": 16, "h": 4, "w": 4},
        {"op": "linear", "m": 1, "cin": 16, "cout": 10},
        {"op": "softmax", "shape": [10]},
    ]
    rows = rows_of(layers)
    assert [row.macs for row in rows] == [16 * 27 * 16, 16 * 9 * 16, 0, 0, 0, 160, 0]
    assert rows[2].input_elements == 2 * rows[2].output_elements == 512
    assert (rows[4].output_elements, rows[4].vector_ops) == (16, 256)
    assert [row.output_offchip for row in rows] == [0] * 6 + [1]
    counted = count_networks([rows, rows + rows[:1]])
    assert counted.counts[:, 0].tolist() == [1.0, 2.0]
    with pytest.raises(KeyError):
        rows_of([{"op": "fold", "shape": [1]}])


def test_blocks_of_look_up_tables() -> None:
    line = {
        "device": "note10", "op": "expanded_conv", "h_in": "28", "c_in": "40", "h_out": "28", "c_out": "40",
        "expand": "120.0", "kernel": "5.0", "stride": "1.0", "id_skip": "1.0", "se": "1.0", "hs": "1.0",
    }  # fmt: skip
    rows = mobile_rows(line, "compiled")
    assert rows is not None
    squeeze = 2 * 120 * 32  # a quarter of 120 channels, to a multiple of 8
    assert sum(row.macs for row in rows) == 28 * 28 * (2 * 40 * 120 + 25 * 120) + squeeze
    assert any(row.kind == Kind.ELEMENTWISE and row.input_elements == 2 * row.output_elements for row in rows)
    ratio = mobile_rows({**line, "device": "pixel1", "expand": "3.0"}, "compiled")
    assert sum(row.macs for row in ratio or ()) == sum(row.macs for row in rows)
    assert mobile_rows({**line, "op": "Resize"}, "compiled") is None
    block = tfnas_rows({"h_in": "14", "c_in": "80", "se_ch": "0", "c_out": "112", "kernel": "3", "stride": "2",
                        "act": "swish", "mid": "200"}, "eager")  # fmt: skip
    assert sum(row.macs for row in block) == 14 * 14 * 80 * 200 + 7 * 7 * (9 * 200 + 200 * 112)
    assert count_blocks([rows, block]).counts.shape[0] == 2
