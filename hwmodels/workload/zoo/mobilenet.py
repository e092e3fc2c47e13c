"""MobileNetV2 [Sandler et al., CVPR 2018]: inverted residuals with linear bottlenecks."""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (expansion, output channels, repeats, stride of the first) [Sandler'18, table 2]
_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _inverted_residual(net: Builder, x: str, out_channels: int, expansion: int, stride: int) -> str:
    channels = net.shape(x)[1]
    hidden = channels * expansion
    y = x if expansion == 1 else net.conv_norm_act(x, hidden, 1, activation="relu6")
    y = net.conv_norm_act(y, hidden, 3, stride=stride, groups=hidden, activation="relu6")
    y = net.conv_norm_act(y, out_channels, 1, activation=None)
    return net.residual(x, y) if stride == 1 and channels == out_channels else y


def _mobilenet_v2(net: Builder) -> str:
    x = net.conv_norm_act(net.input, 32, 3, stride=2, activation="relu6")
    for expansion, channels, repeats, stride in _V2_STAGES:
        for index in range(repeats):
            x = _inverted_residual(net, x, channels, expansion, stride if index == 0 else 1)
    x = net.conv_norm_act(x, 1280, 1, activation="relu6")
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


ENTRIES = (Entry("mobilenet_v2", _mobilenet_v2, (3, 224, 224), "Sandler et al. 2018; torchvision model metadata"),)
