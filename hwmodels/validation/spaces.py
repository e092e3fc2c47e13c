"""Whole search spaces as rows and counts: what the published latency tables measured, thousands of networks at once.

A network is a sum of parts (an edge's operation, a block in a slot), so its layers are counts of a few rows. What
runs is what the published implementations run:

eager : every operator as written; in NAS-Bench-201 `none` multiplies its input by zero, and a node starts its sum
    from the number 0, as python's `sum` does.
compiled : batch norm and activation are folded. What becomes of dead branches differs (`DeadBranches`): an exporter
    that cannot fold a product by zero keeps all of them; a converter that can still runs convolutions and pooling on
    the constant zeros behind it.

Not modelled: how long an operator takes on zeros or on denormal numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Norm, Precision, Row, Shape
from hwmodels.workload.rewrite import RUNTIMES, DeadBranches, rewrite
from hwmodels.workload.table import Layers
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.nasbench201 import CELL_POOL, EDGES, HALVING_POOL, OPERATIONS

__all__ = ["FP32", "Counted", "RowCounts", "first_of_class", "joined", "nasbench201_space"]

F64 = npt.NDArray[np.float64]
FP32 = Precision(32, 32, 32)
"""Bits of the published networks."""

_CELLS, _WIDTHS = 5, (16, 32, 64)


class Counted(NamedTuple):
    """N networks over L rows. layers : (L,) columns. counts : (N, L), how often each network runs each row."""

    layers: Layers
    counts: F64


class RowCounts:
    """Collects counts of rows for N networks; equal rows are one."""

    def __init__(self, networks: int) -> None:
        self._networks = networks
        self._columns: dict[Row, F64] = {}

    def add(self, rows: Iterable[Row], times: npt.ArrayLike) -> None:
        """`times` : (N,) or one number, how often each network runs these rows."""
        for row in rows:
            column = self._columns.setdefault(row, np.zeros(self._networks))
            column += np.asarray(times, np.float64)

    def counted(self) -> Counted:
        return Counted(Layers.of(list(self._columns)), np.stack(list(self._columns.values()), axis=1))


def joined(workload: Workload) -> list[Row]:
    """Rows of a part in the middle of a network: neither input nor output is the network's."""
    return [row._replace(input_offchip=0, output_offchip=0) for _, row in workload.rows()]


def _part(shapes: Sequence[Shape], write: Callable[..., str], runtime: str) -> list[Row]:
    """Rows of what `write(net, *inputs)` puts behind inputs of these shapes."""
    net = Builder("part", shapes[0], precision=FP32)
    others = [net.source(shape, name=f"input{index}") for index, shape in enumerate(shapes[1:], 2)]
    return joined(rewrite(net.finish(write(net, net.input, *others)), RUNTIMES[runtime]))


def first_of_class(operations: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Position of the first cell that is the same network, (N,): tables that measure one cell a class copy its time.

    The classes are NAS-Bench-201's [Dong and Yang, section 3: 6,466 of 15,625 cells]: a cell is written as the sorted
    sum of its terms; a skip is its source, `none` and anything on node 1 without data a bare zero. A sum of two zeros
    is not taken for zero there, so a convolution on it makes another class.
    """
    first: dict[str, int] = {}
    found = [first.setdefault(_written(cell), index) for index, cell in enumerate(operations.tolist())]
    return np.array(found, np.int64)


def _written(cell: Sequence[int]) -> str:
    """One cell as the published code writes it."""
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for code, (source, node) in zip(cell, EDGES, strict=True):
            if node != target:
                continue
            if code == 0 or nodes[source] == "#":
                terms.append("#")
            else:
                terms.append(nodes[source] if code == 1 else f"({nodes[source]})@{OPERATIONS[code]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def nasbench201_space(
    operations: npt.NDArray[np.integer], runtime: str, *, dead_branches: DeadBranches = "dropped",
    input_shape: Shape = (3, 32, 32), classes: int = 10,
) -> Counted:  # fmt: skip
    """All given cells as executed by `runtime` ("eager" or "compiled").

    operations : (N, 6), the position in `OPERATIONS` of each edge.
    dead_branches : of a compiled runtime; an eager one runs them. Cells without a path from input to output, which are
        constants, have no rows unless all branches run.
    """
    if dead_branches not in get_args(DeadBranches):
        raise SpecError.unknown("dead branches", dead_branches, get_args(DeadBranches))
    if runtime == "eager":
        dead_branches = "run"
    found = RowCounts(len(operations))
    executed = _executed(operations, dead_branches)
    runs = executed.any(axis=1).astype(np.float64)
    channels, height, width = input_shape
    stem = (1, channels, height, width)
    first = Builder("stem", stem, precision=FP32)
    rows = rewrite(first.finish(first.conv_norm_act(first.input, _WIDTHS[0], 3, activation=None)), RUNTIMES[runtime])
    found.add((row._replace(output_offchip=0) for _, row in rows.rows()), runs)
    for stage, features in enumerate(_WIDTHS):
        shape = (1, features, height >> stage, width >> stage)
        if stage > 0:
            before = (1, features // 2, height >> (stage - 1), width >> (stage - 1))
            found.add(_part([before], _reduction, runtime), runs)
        _add_cells(
            found, operations, executed, shape, runtime, runs_all=dead_branches == "run", after_reduction=stage > 0
        )
    # Where a convolution alone is the last cell's output it absorbs the norm and the activation behind.
    last = (1, _WIDTHS[-1], height >> 2, width >> 2)
    absorbed = 0 if dead_branches == "run" else _folded(operations, executed)[2]
    found.add(_part([last], lambda net, x: net.add(Norm("batch"), x), runtime), runs - absorbed)
    found.add(_part([last], lambda net, x: net.add(Activation("relu"), x), runtime), runs - absorbed)
    head = Builder("head", last, precision=FP32)
    head_rows = [row._replace(input_offchip=0) for _, row in head.finish(classify(head, head.input, classes)).rows()]
    found.add(head_rows, runs)
    return found.counted()


def _reduction(net: Builder, x: str) -> str:
    """The residual block between stages, as in the zoo's network."""
    channels = 2 * net.shape(x)[1]
    y = net.conv_norm_act(net.add(Activation("relu"), x), channels, 3, stride=2, activation=None)
    y = net.conv_norm_act(net.add(Activation("relu"), y), channels, 3, activation=None)
    return net.residual(net.add(Conv2d.square(channels, 1), net.add(HALVING_POOL, x)), y)


def _executed(operations: npt.NDArray[np.integer], dead_branches: DeadBranches) -> npt.NDArray[np.bool_]:
    """Edges that run, (N, 6); of those that carry no data from the cell's input to its output what the runtime keeps.

    A skip runs where it joins a sum; one of a constant is a constant and does not.
    """
    if dead_branches == "run":
        return np.ones(operations.shape, bool)
    present = operations != 0
    fed = _fed(present)
    varies = fed if dead_branches == "dropped" else _fed(present, operations >= 2)
    reaches = np.zeros_like(fed)
    reaches[:, 3] = True
    for edge, (source, target) in reversed(list(enumerate(EDGES))):
        reaches[:, source] |= present[:, edge] & reaches[:, target]
    sources, targets = (np.array(ends) for ends in zip(*EDGES, strict=True))
    runs = varies[:, sources] | ((operations >= 2) if dead_branches == "run_if_read" else False)
    executed: npt.NDArray[np.bool_] = present & runs & reaches[:, targets] & fed[:, 3:]
    return executed


def _fed(present: npt.NDArray[np.bool_], starts: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.bool_]:
    """Nodes with a term, (N, 4): the input, and every target of an edge from such a node or of one that `starts`."""
    fed = np.zeros((len(present), 4), bool)
    fed[:, 0] = True
    for edge, (source, target) in enumerate(EDGES):
        starting = False if starts is None else starts[:, edge]
        fed[:, target] |= present[:, edge] & (fed[:, source] | starting)
    return fed


def _add_cells(
    found: RowCounts, operations: npt.NDArray[np.integer], live: npt.NDArray[np.bool_], shape: Shape, runtime: str,
    *, runs_all: bool, after_reduction: bool,
) -> None:  # fmt: skip
    """Rows of the five cells of one stage; `live` : the edges that run."""
    channels = shape[1]
    times = [_CELLS * (live & (operations == code)).sum(axis=1) for code in range(5)]
    relu = _part([shape], lambda net, x: net.add(Activation("relu"), x), runtime)
    for code, kernel in ((2, 1), (3, 3)):
        conv = _part([shape], lambda net, x, k=kernel: net.conv_norm_act(x, channels, k, activation=None), runtime)
        found.add(conv, times[code])
    found.add(_part([shape], lambda net, x: net.add(CELL_POOL, x), runtime), times[4])
    scaled = _part([shape], lambda net, x: net.add(Elementwise("mul"), x), runtime)
    add = _part([shape, shape], lambda net, x, y: net.add(Elementwise("add"), x, y), runtime)
    if runs_all:
        found.add(relu, times[2] + times[3])
        # `none`; eager, also the 0 that each of three sums starts from, which a compiler folds away
        found.add(scaled, times[0] + (3 * _CELLS if runtime == "eager" else 0))
        found.add(add, 3 * _CELLS)
        return
    inner, alone, single = _folded(operations, live)
    first = 0 if after_reduction else alone  # the stem is a convolution, the block between stages ends in a sum
    sources, targets = (np.array(ends) for ends in zip(*EDGES, strict=True))
    terms = np.stack([(live & (targets == node)).sum(axis=1) for node in range(1, 4)], axis=1)
    has_term = np.concatenate([np.ones_like(terms[:, :1], bool), terms > 0], axis=1)
    is_conv = live & (operations >= 2) & (operations <= 3)
    activated = _CELLS * (is_conv & has_term[:, sources]).sum(axis=1)  # that of a constant is folded
    found.add(relu, activated - _CELLS * inner - first - (_CELLS - 1) * alone * single)
    found.add(add, _CELLS * np.maximum(terms - 1, 0).sum(axis=1))


def _folded(
    operations: npt.NDArray[np.integer], live: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Activations before a convolution that fold into the convolution that alone feeds them, (N,) a cell.

    Within the cell: from a node that is one convolution and has one reader, a convolution. Whether the cell's input
    has one reader, a convolution. Whether the cell's output is one convolution that the cell does not read otherwise.
    An identity passes the tensor on.
    """
    is_conv = live & (operations >= 2) & (operations <= 3)
    inner = np.zeros(len(operations), np.int64)
    targets = np.array([target for _, target in EDGES])
    terms = np.stack([(live & (targets == node)).sum(axis=1) for node in range(4)], axis=1)
    # The node whose tensor each node holds: itself, or its only term's source where that is an identity.
    holds = np.tile(np.arange(4), (len(operations), 1))
    for edge, (source, target) in enumerate(EDGES):
        passed = live[:, edge] & (operations[:, edge] == 1) & (terms[:, target] == 1)
        holds[passed, target] = holds[passed, source]
    readers = np.zeros((len(operations), 4), np.int64)
    conv_readers = np.zeros_like(readers)
    rows = np.arange(len(operations))
    for edge, (source, target) in enumerate(EDGES):
        read = live[:, edge] & ~((operations[:, edge] == 1) & (terms[:, target] == 1))
        np.add.at(readers, (rows[read], holds[read, source]), 1)
        np.add.at(conv_readers, (rows[read & is_conv[:, edge]], holds[read & is_conv[:, edge], source]), 1)
    made_by_conv = np.stack(
        [(terms[:, node] == 1) & (is_conv & (targets == node)).any(axis=1) for node in range(4)], axis=1
    )
    for node in (1, 2):
        inner += (made_by_conv[:, node] & (readers[:, node] == 1) & (conv_readers[:, node] == 1)).astype(np.int64)
    last = holds[:, 3]
    alone = (readers[:, 0] == 1) & (conv_readers[:, 0] == 1)
    single = made_by_conv[rows, last] & (readers[rows, last] == 0)
    return inner, alone.astype(np.int64), single.astype(np.int64)
