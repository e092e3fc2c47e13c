"""DARTS [Liu et al., ICLR 2019] and cells evaluated in its skeleton: P-DARTS, PC-DARTS, ENAS, NSGA-Net.

Of the cells, those at a third and at two thirds of the depth are reductions, which double the channels. States 0
and 1 of a cell are the last output but one and the last, each behind a 1x1 convolution; state 0 behind a factorised
reduction where the sizes differ. On ImageNet a stem of three strided convolutions stands before the first cell.
Auxiliary heads serve training only and are not here; published counts differ in whether they include them.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Pool2d
from hwmodels.workload.zoo.cells import Genotype, cell, factorised_reduction, relu_conv_norm, write_cell
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "darts_network"]

_ALL = (2, 3, 4, 5)  # the four nodes of a DARTS cell

_DARTS_V1 = Genotype(  # first order [quark0/darts]
    cell("sep3:1 sep3:0, skip:0 sep3:1, skip:0 sep3:1, sep3:0 skip:2", *_ALL),
    cell("max3:0 max3:1, skip:2 max3:0, max3:0 skip:2, skip:2 avg3:0", *_ALL),
)
_DARTS_V2 = Genotype(  # second order [Liu'19, figures 4 and 5]
    cell("sep3:0 sep3:1, sep3:0 sep3:1, sep3:1 skip:0, skip:0 dil3:2", *_ALL),
    cell("max3:0 max3:1, skip:2 max3:1, max3:0 skip:2, skip:2 max3:1", *_ALL),
)
_P_DARTS = Genotype(  # searched on CIFAR-10 [chenxin061/pdarts]
    cell("skip:0 dil3:1, skip:0 sep3:1, sep3:1 sep3:3, sep3:0 dil5:4", *_ALL),
    cell("avg3:0 sep5:1, sep3:0 dil5:2, max3:0 dil3:1, dil3:1 dil5:3", *_ALL),
)
_PC_DARTS_CIFAR = Genotype(  # [yuhuixu1993/PC-DARTS]
    cell("sep3:1 skip:0, sep3:0 dil3:1, sep5:0 sep3:1, avg3:0 dil3:1", *_ALL),
    cell("sep5:1 max3:0, sep5:1 sep5:2, sep3:0 sep3:3, sep3:1 sep3:2", *_ALL),
)
_PC_DARTS_IMAGENET = Genotype(  # [yuhuixu1993/PC-DARTS]
    cell("skip:1 sep3:0, sep3:0 skip:1, sep3:1 sep3:3, sep3:1 dil5:4", *_ALL),
    cell("sep3:0 skip:1, dil5:2 max3:1, sep3:2 sep3:1, sep5:0 sep3:3", *_ALL),
)
_ENAS = Genotype(  # the released micro cells [melodyguan/enas]
    cell("avg3:0 sep3:0, skip:0 sep5:0, skip:0 sep5:1, sep3:1 sep5:0, avg3:0 sep5:1", 2, 3, 4, 5, 6),
    cell("sep3:1 sep3:1, max3:0 avg3:0, sep5:1 sep5:3, sep3:1 skip:0, max3:0 sep5:1", 2, 4, 5, 6),
)
_NSGA_NET = Genotype(  # [ianwhale/nsga-net]
    cell("skip:0 max3:0, dil5:0 max3:0, dil5:1 sep3:3, max3:1 sep5:3, sep3:1 sep3:0", 2, 4, 5, 6),
    cell("avg3:0 sep3:1, dil3:1 max3:0, skip:2 dil5:1, skip:2 avg3:1, dil5:1 dil3:1", 3, 4, 5, 6),
)


def darts_network(
    net: Builder,
    *,
    genotype: Genotype,
    channels: int,
    cells: int,
    imagenet: bool = False,
    increment: int | None = None,
    squeeze: bool = False,
    classes: int | None = None,
) -> str:
    """Write a pair of cells in the DARTS skeleton: `cells` of them, from `channels` on.

    NSGA-Net widens by an `increment` after every cell in place of doubling at the reductions, and `squeeze`s a
    sixteenth of the channels behind each. `classes` are those of ImageNet or CIFAR-10 where nothing is said.
    """
    before, x = _stem(net, channels, imagenet)
    width = channels
    for index in range(cells):
        reduction = index in (cells // 3, 2 * cells // 3)
        if reduction and increment is None:
            width *= 2
        if net.shape(before)[2:] != net.shape(x)[2:]:
            first = factorised_reduction(net, before, width)
        else:
            first = relu_conv_norm(net, before, width)
        second = relu_conv_norm(net, x, width)
        chosen, stride = (genotype.reduction, 2) if reduction else (genotype.normal, 1)
        y = write_cell(net, first, second, chosen, channels=width, stride=stride)
        before, x = x, _squeeze_excite(net, y) if squeeze else y
        width += increment or 0
    return classify(net, x, classes or (1000 if imagenet else 10))


def _stem(net: Builder, channels: int, imagenet: bool) -> tuple[str, str]:
    """The two outputs before the first cell."""
    if not imagenet:
        x = net.conv_norm_act(net.input, 3 * channels, 3, activation=None)
        return x, x
    x = net.conv_norm_act(net.input, channels // 2, 3, stride=2)
    before = net.conv_norm_act(x, channels, 3, stride=2, activation=None)
    return before, net.conv_norm_act(net.add(Activation("relu"), before), channels, 3, stride=2, activation=None)


def _squeeze_excite(net: Builder, x: str) -> str:
    """As `Builder.squeeze_excite`, without biases."""
    channels = net.shape(x)[1]
    y = net.add(Conv2d.square(channels // 16, 1), net.add(Pool2d("avg"), x))
    y = net.add(Conv2d.square(channels, 1), net.add(Activation("relu"), y))
    return net.add(Elementwise("mul"), x, net.add(Activation("sigmoid"), y))


def _cifar(name: str, genotype: Genotype, source: str, *aliases: str, cells: int = 20) -> Entry:
    write = partial(darts_network, genotype=genotype, channels=36, cells=cells)
    return Entry(name, write, (3, 32, 32), source, aliases)


def _imagenet(name: str, genotype: Genotype, source: str, *aliases: str) -> Entry:
    write = partial(darts_network, genotype=genotype, channels=48, cells=14, imagenet=True)
    return Entry(name, write, (3, 224, 224), source, aliases)


_LIU, _CHEN, _XU = "Liu et al. 2018", "Chen et al. 2019", "Xu et al. 2019"

ENTRIES = (
    _cifar("darts_v1_cifar", _DARTS_V1, _LIU, "DARTS 1st order"),
    _cifar("darts_v2_cifar", _DARTS_V2, _LIU, "DARTS 2nd order"),
    _imagenet("darts_v1_imagenet", _DARTS_V1, _LIU),
    _imagenet("darts_v2_imagenet", _DARTS_V2, _LIU, "DARTS-2nd (ImageNet)"),
    _cifar("p_darts_cifar", _P_DARTS, _CHEN, "P-DARTS"),
    _imagenet("p_darts_imagenet", _P_DARTS, _CHEN),
    _cifar("pc_darts_cifar", _PC_DARTS_CIFAR, _XU, "PC-DARTS"),
    _imagenet("pc_darts_imagenet", _PC_DARTS_IMAGENET, _XU),
    _cifar("enas_micro", _ENAS, "Pham et al. 2018", "ENAS micro+cutout", cells=17),
    Entry(
        "nsga_net_micro",
        partial(darts_network, genotype=_NSGA_NET, channels=34, cells=20, increment=4, squeeze=True),
        (3, 32, 32),
        "Lu et al. 2019; ianwhale/nsga-net's 6 @ 424",
    ),
)
