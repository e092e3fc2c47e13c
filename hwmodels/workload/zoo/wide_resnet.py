"""Residual networks for CIFAR after [He et al., 2016]: wide ones, and ResNeXt-29.

Wide ResNet [Zagoruyko and Komodakis, BMVC 2016]: three groups of blocks of two 3x3, normalised and activated before
each convolution; the projection of a shortcut reads what the first convolution reads. ResNeXt-29 [Xie et al., CVPR
2017, section 5.3]: three stages of three bottlenecks with grouped 3x3.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _activated(net: Builder, x: str) -> str:
    return net.add(Activation("relu"), net.add(Norm("batch"), x))


def _wide_block(net: Builder, x: str, width: int, stride: int) -> str:
    ready = _activated(net, x)
    y = net.add(Conv2d.square(width, 3, stride=stride), ready)
    y = net.add(Conv2d.square(width, 3), _activated(net, y))
    shortcut = x if net.shape(x) == net.shape(y) else net.add(Conv2d.square(width, 1, stride=stride), ready)
    return net.residual(y, shortcut)


def _wide_resnet(net: Builder, *, depth: int, widening: int) -> str:
    """6 n + 4 layers; the widths 16, 32, 64 times `widening`."""
    x = net.add(Conv2d.square(16, 3), net.input)
    for stage, width in enumerate((16, 32, 64)):
        for index in range((depth - 4) // 6):
            x = _wide_block(net, x, width * widening, 2 if stage > 0 and index == 0 else 1)
    return classify(net, _activated(net, x), 10)


def _grouped_block(net: Builder, x: str, width: int, stride: int, *, groups: int, group_width: int) -> str:
    inner = width * groups * group_width // 64
    y = net.conv_norm_act(x, inner, 1)
    y = net.conv_norm_act(y, inner, 3, stride=stride, groups=groups)
    y = net.conv_norm_act(y, 4 * width, 1, activation=None)
    if net.shape(x) != net.shape(y):
        x = net.conv_norm_act(x, 4 * width, 1, stride=stride, activation=None)
    return net.add(Activation("relu"), net.residual(y, x))


def _resnext29(net: Builder, *, groups: int, group_width: int) -> str:
    x = net.conv_norm_act(net.input, 64, 3)
    for stage, width in enumerate((64, 128, 256)):
        for index in range(3):
            stride = 2 if stage > 0 and index == 0 else 1
            x = _grouped_block(net, x, width, stride, groups=groups, group_width=group_width)
    return classify(net, x, 10)


def _wide(depth: int, widening: int) -> Entry:
    write = partial(_wide_resnet, depth=depth, widening=widening)
    aliases = (f"WRN-{depth}-{widening}", f"WideResNet-{depth}-{widening}")
    return Entry(f"wrn_{depth}_{widening}", write, (3, 32, 32), "Zagoruyko and Komodakis 2016, tables 4 and 5", aliases)


def _grouped(groups: int) -> Entry:
    write = partial(_resnext29, groups=groups, group_width=64)
    aliases = (f"ResNeXt-29 {groups}x64d",)
    return Entry(f"resnext29_{groups}x64d", write, (3, 32, 32), "Xie et al. 2017, table 7", aliases)


ENTRIES = (
    *(_wide(depth, widening) for depth, widening in ((28, 10), (16, 8), (22, 8), (40, 2), (40, 4))),
    *(_grouped(groups) for groups in (8, 16)),
)
