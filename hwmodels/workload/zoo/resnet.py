"""ResNet [He et al., CVPR 2016], as in torchvision: the stride of a bottleneck sits in its 3x3 ("v1.5")."""

from __future__ import annotations

from collections.abc import Sequence

from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Pool2d, Precision

__all__ = ["resnet18", "resnet34", "resnet50"]

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


def _resnet(name: str, depths: Sequence[int], *, bottleneck: bool, batch: int, precision: Precision) -> Workload:
    net = Builder(name, (batch, 3, 224, 224), precision=precision)
    x = net.conv_norm_act(net.input, 64, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    block = _bottleneck if bottleneck else _basic_block
    for stage, (width, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
        for index in range(depth):
            x = block(net, x, width, 2 if stage > 0 and index == 0 else 1)
    x = net.flatten(net.add(Pool2d("avg"), x))
    return net.finish(net.linear(x, 1000))


def resnet18(batch: int, precision: Precision) -> Workload:
    return _resnet("resnet18", (2, 2, 2, 2), bottleneck=False, batch=batch, precision=precision)


def resnet34(batch: int, precision: Precision) -> Workload:
    return _resnet("resnet34", (3, 4, 6, 3), bottleneck=False, batch=batch, precision=precision)


def resnet50(batch: int, precision: Precision) -> Workload:
    return _resnet("resnet50", (3, 4, 6, 3), bottleneck=True, batch=batch, precision=precision)
