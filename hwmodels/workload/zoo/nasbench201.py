"""The networks of NAS-Bench-201 [Dong and Yang, ICLR 2020]: one cell of four nodes and six edges in a fixed skeleton.

Skeleton: a 3x3 stem, three stages of five equal cells at 16, 32 and 64 channels, a residual block with stride 2
between stages, batch norm, global pooling, a linear classifier. Every edge of the cell is one of five operations, and
a node is the sum of the edges into it; `none` adds nothing, and a node without a term holds zeros.

The published MACs add the bias of the classifier: 10 more than here on CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Pool2d, Zeros
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.record import Entry

__all__ = [
    "CELL_POOL", "EDGES", "ENTRIES", "HALVING_POOL", "OPERATIONS", "cell_operation", "nasbench201", "skeleton",
]  # fmt: skip

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) node of each edge, in the order of the published tables."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""What an edge may be, in the order of the published tables."""

CELL_POOL = Pool2d("avg", 3, 1, 1)
"""The pooling that an edge may be."""

HALVING_POOL = Pool2d("avg", 2, 2, 0)
"""The pooling on the shortcut between stages."""


def nasbench201(
    net: Builder,
    operations: Sequence[str],
    *,
    channels: int = 16,
    cells: int = 5,
    stages: int = 3,
    classes: int = 10,
) -> str:
    """Write the network of a cell: `operations` names one of `OPERATIONS` for each of `EDGES`.

    The published skeleton has 16 `channels` in its first stage and 5 `cells` in each of 3 `stages`.
    """
    if len(operations) != len(EDGES):
        raise SpecError(f"{net.name}: operations", f"{len(operations)} of them", f"one for each of {len(EDGES)} edges")
    for operation in operations:
        if operation not in OPERATIONS:
            raise SpecError.unknown(f"{net.name}: operation", operation, OPERATIONS)
    written = partial(_cell, operations=operations)
    return skeleton(net, written, channels=channels, cells=cells, stages=stages, classes=classes)


def skeleton(
    net: Builder, cell: Callable[[Builder, str], str], *, channels: int, cells: int, stages: int, classes: int
) -> str:
    """Write what stands around the cells; `cell` writes one of them behind a tensor."""
    x = net.conv_norm_act(net.input, channels, 3, activation=None)
    for stage in range(stages):
        if stage > 0:
            with net.within(f"stage {stage}"):
                x = _reduction(net, x)
        for number in range(cells):
            with net.within(f"stage {stage}", f"cell {number}"):
                x = cell(net, x)
    return classify(net, net.add(Activation("relu"), net.add(Norm("batch"), x)), classes)


def _relu_conv_norm(net: Builder, x: str, out_channels: int, kernel: int, stride: int = 1) -> str:
    x = net.add(Activation("relu"), x)
    return net.conv_norm_act(x, out_channels, kernel, stride=stride, activation=None)


def cell_operation(net: Builder, x: str, operation: str) -> str:
    """Write one operation of an edge behind a tensor, which a skip connection is itself."""
    if operation == "skip_connect":
        return x
    if operation == "avg_pool_3x3":
        return net.add(CELL_POOL, x)
    return _relu_conv_norm(net, x, net.shape(x)[1], 1 if "1x1" in operation else 3)


def _cell(net: Builder, x: str, operations: Sequence[str]) -> str:
    nodes = [x]
    for target in (1, 2, 3):
        terms = []
        for operation, (source, node) in zip(operations, EDGES, strict=True):
            if node == target and operation != "none":
                with net.within(f"{source}>{node}", operation):
                    terms.append(cell_operation(net, nodes[source], operation))
        total = terms[0] if terms else net.add(Zeros(net.shape(x)))
        for term in terms[1:]:
            total = net.residual(total, term)
        nodes.append(total)
    return nodes[3]


def _reduction(net: Builder, x: str) -> str:
    """Residual block of stride 2 that doubles the channels; its shortcut is a pooled 1x1 convolution."""
    channels = 2 * net.shape(x)[1]
    y = _relu_conv_norm(net, x, channels, 3, stride=2)
    y = _relu_conv_norm(net, y, channels, 3)
    return net.residual(net.add(Conv2d.square(channels, 1), net.add(HALVING_POOL, x)), y)


def _published(name: str, cell: str, *aliases: str) -> Entry:
    """`cell`: the position in `OPERATIONS` of each edge, as the published tables list it."""
    write = partial(nasbench201, operations=[OPERATIONS[int(digit)] for digit in cell])
    return Entry(name, write, (3, 32, 32), "Dong and Yang 2020; the table of all cells", aliases)


ENTRIES = (
    _published("nb201_arch_0", "421211"),
    _published("nb201_arch_6111", "333132"),  # the most accurate on CIFAR-10 of all cells, after 200 epochs
    _published("nb201_arch_9930", "333133"),  # the most accurate on CIFAR-100
    _published("nb201_all_conv3x3_cell", "333333", "nb201_arch_1462"),
    _published("nb201_all_conv1x1_cell", "222222", "nb201_arch_4317"),
)
