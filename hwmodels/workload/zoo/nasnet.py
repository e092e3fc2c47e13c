"""NASNet-A [Zoph et al., CVPR 2018], AmoebaNet-A [Real et al., AAAI 2019], PNASNet-5 [Liu et al., ECCV 2018].

Searched cells stacked in three groups of N at F, 2F and 4F channels. State 0 of a cell is the last output behind a
1x1 convolution, state 1 the one before, projected or reduced where its shape differs. Between the groups stands a
reduction cell; PNASNet has one cell only, which takes the stride as the first of a group. The ImageNet networks begin
with two reduction cells at F/4 and F/2. The papers name a network by N @ features.

Strided layers pad symmetrically, where the original framework pads "same": the sizes are equal. Auxiliary heads
serve training only and are not here.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm
from hwmodels.workload.zoo.cells import Cell, Genotype, cell, factorised_reduction, relu_conv_norm, write_cell
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "nasnet_network"]

_NASNET_A = Genotype(  # [Zoph'18, figure 4]
    cell("sep5:0 sep3:1, sep5:1 sep3:1, avg3:0 keep:1, avg3:1 avg3:1, sep3:0 keep:0", 1, 2, 3, 4, 5, 6),
    cell("sep5:0 sep7:1, max3:0 sep7:1, avg3:0 sep5:1, keep:3 avg3:2, sep3:2 max3:0", 3, 4, 5, 6),
)
_AMOEBANET_A = Genotype(  # [Real'19, figure 5; amoeba_net_a of tensorflow/tpu]
    cell("avg3:0 max3:0, sep3:1 keep:1, keep:0 avg3:1, sep3:0 sep5:2, avg3:5 sep3:0", 1, 3, 4, 6),
    cell("sep3:1 avg3:0, max3:0 sep7:2, max3:1 max3:0, sep3:4 conv7:0, avg3:1 sep7:0", 2, 3, 4, 5, 6),
)
_PNASNET_5 = cell("sep5:1 max3:1, sep7:0 max3:0, sep5:0 sep3:0, sep3:4 max3:0, sep3:1 keep:0", 2, 3, 4, 5, 6)


def _cell(net: Builder, previous: str | None, x: str, cell: Cell, channels: int, stride: int = 1) -> str:
    if previous is None:
        previous = x
    elif net.shape(previous)[2:] != net.shape(x)[2:]:
        previous = factorised_reduction(net, previous, channels)
    elif net.shape(previous)[1] != channels:
        previous = relu_conv_norm(net, previous, channels)
    return write_cell(net, relu_conv_norm(net, x, channels), previous, cell, channels=channels, stride=stride)


def _stem(net: Builder, channels: int, reduction: Cell, width: int, imagenet: bool) -> tuple[str | None, str]:
    """The last two outputs before the first group; ImageNet starts with a strided convolution and two reductions."""
    if not imagenet:
        return None, net.conv_norm_act(net.input, channels, 3, activation=None)
    x = net.add(Norm("batch"), net.add(Conv2d.square(channels, 3, stride=2, padding=0), net.input))
    y = _cell(net, None, x, reduction, width // 4, 2)
    return y, _cell(net, x, y, reduction, width // 2, 2)


def _classify(net: Builder, x: str, classes: int) -> str:
    return classify(net, net.add(Activation("relu"), x), classes)


def nasnet_network(
    net: Builder,
    *,
    genotype: Genotype,
    repeats: int,
    channels: int,
    stem: int,
    imagenet: bool = False,
    skip: bool = False,
    classes: int | None = None,
) -> str:
    """Write a pair of cells in the NASNet skeleton: three groups of `repeats` normal cells.

    `skip`: the cell behind a reduction takes the input of the cell before it, as in the large network."""
    before, x = _stem(net, stem, genotype.reduction, channels, imagenet)
    for group in range(3):
        width = channels << group
        if group > 0:
            reduced = _cell(net, before, x, genotype.reduction, width, 2)
            before, x = (before if skip else x), reduced
        for _ in range(repeats):
            y = _cell(net, before, x, genotype.normal, width)
            before, x = x, y
    return _classify(net, x, classes or (1000 if imagenet else 10))


def _pnasnet(net: Builder, *, repeats: int, channels: int, stem: int, imagenet: bool) -> str:
    before, x = _stem(net, stem, _PNASNET_5, channels, imagenet)
    for group in range(3):
        for index in range(repeats):
            y = _cell(net, before, x, _PNASNET_5, channels << group, 2 if group > 0 and index == 0 else 1)
            before, x = x, y
    return _classify(net, x, 1000 if imagenet else 10)


_LARGE = partial(nasnet_network, repeats=6, imagenet=True)

ENTRIES = (
    Entry(
        "nasnet_a_mobile",
        partial(nasnet_network, genotype=_NASNET_A, repeats=4, channels=44, stem=32, imagenet=True),
        (3, 224, 224),
        "Zoph et al. 2017, table 3",
        ("NASNet-A (4@1056)",),
    ),
    Entry(
        "nasnet_a_large",
        partial(_LARGE, genotype=_NASNET_A, channels=168, stem=96, skip=True),
        (3, 331, 331),
        "Zoph et al. 2017, table 2; timm",
        ("NASNet-A-large-331", "NASNet-A (6@4032)"),
    ),
    Entry(
        "nasnet_a_cifar",
        partial(nasnet_network, genotype=_NASNET_A, repeats=6, channels=32, stem=96, imagenet=False),
        (3, 32, 32),
        "Zoph et al. 2017, table 1",
        ("NASNet-A (6@768)",),
    ),
    Entry(
        "amoebanet_a_large",
        partial(_LARGE, genotype=_AMOEBANET_A, channels=190, stem=32),
        (3, 331, 331),
        "Real et al. 2018, table 2; tensorflow/tpu",
        ("AmoebaNet-A-large-331",),
    ),
    Entry(
        "pnasnet5_mobile",
        partial(_pnasnet, repeats=3, channels=54, stem=32, imagenet=True),
        (3, 224, 224),
        "Liu et al. 2017, table 4",
    ),
    Entry(
        "pnasnet5_large",
        partial(_pnasnet, repeats=4, channels=216, stem=96, imagenet=True),
        (3, 331, 331),
        "Liu et al. 2017, table 5; timm",
        ("PNASNet-5-large-331",),
    ),
    Entry(
        "pnasnet5_cifar",
        partial(_pnasnet, repeats=3, channels=48, stem=144, imagenet=False),
        (3, 32, 32),
        "Liu et al. 2017, table 3",
        ("PNAS",),
    ),
)
