"""ResNet [He et al., CVPR 2016], as in torchvision: the stride of a bottleneck sits in its 3x3 ("v1.5")."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_WIDTHS = (64, 128, 256, 512)


def _shortcut(net: Builder, x: str, out_channels: int, stride: int) -> str:
    """Identity, or a 1x1 projection where the shape changes."""
    if stride == 1 and net.shape(x)[1] == out_channels:
        return x
    return net.conv_norm_act(x, out_channels, 1, stride=stride, activation=None)


def _basic_block(net: Builder, x: str, width: int, stride: int) -> str:
    y = net.conv_norm_act(x, width, 3, stride=stride)
    y = net.conv_norm_act(y, width, 3, activation=None)
    return net.add(Activation("relu"), net.residual(y, _shortcut(net, x, width, stride)))


def _bottleneck(net: Builder, x: str, width: int, stride: int) -> str:
    y = net.conv_norm_act(x, width, 1)
    y = net.conv_norm_act(y, width, 3, stride=stride)
    y = net.conv_norm_act(y, 4 * width, 1, activation=None)
    return net.add(Activation("relu"), net.residual(y, _shortcut(net, x, 4 * width, stride)))


def _resnet(net: Builder, *, depths: Sequence[int], bottleneck: bool) -> str:
    x = net.conv_norm_act(net.input, 64, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    block = _bottleneck if bottleneck else _basic_block
    for stage, (width, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
        for index in range(depth):
            x = block(net, x, width, 2 if stage > 0 and index == 0 else 1)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


_SOURCE = "He et al. 2015; torchvision model metadata"

ENTRIES = (
    Entry("resnet18", partial(_resnet, depths=(2, 2, 2, 2), bottleneck=False), (3, 224, 224), _SOURCE),
    Entry("resnet34", partial(_resnet, depths=(3, 4, 6, 3), bottleneck=False), (3, 224, 224), _SOURCE),
    Entry("resnet50", partial(_resnet, depths=(3, 4, 6, 3), bottleneck=True), (3, 224, 224), _SOURCE),
)
