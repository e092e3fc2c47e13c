"""ShuffleNet V2 [Ma et al., ECCV 2018]: half of the channels pass by, then both halves are shuffled.

The shuffle is a copy: no strides express the new order of channels as a tensor that the next split could view.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Concat, Pool2d, Rearrange, Split
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_REPEATS = (4, 8, 4)

# Output channels of the three stages and of the last 1x1 convolution, by width [Ma'18, table 5]
_WIDTHS = {
    "0_5": (48, 96, 192, 1024),
    "1_0": (116, 232, 464, 1024),
    "1_5": (176, 352, 704, 1024),
    "2_0": (244, 488, 976, 2048),
}


def _branch(net: Builder, x: str, channels: int, stride: int) -> str:
    """1x1, depthwise 3x3, 1x1; no activation behind the depthwise convolution."""
    x = net.conv_norm_act(x, channels, 1)
    x = net.conv_norm_act(x, channels, 3, stride=stride, groups=channels, activation=None)
    return net.conv_norm_act(x, channels, 1)


def _unit(net: Builder, x: str, out_channels: int, stride: int) -> str:
    channels, half = net.shape(x)[1], out_channels // 2
    if stride == 1:
        passing = net.add(Split(axis=1, start=0, length=half), x)
        worked = _branch(net, net.add(Split(axis=1, start=half, length=half), x), half, 1)
    else:
        passing = net.conv_norm_act(x, channels, 3, stride=stride, groups=channels, activation=None)
        passing = net.conv_norm_act(passing, half, 1)
        worked = _branch(net, x, half, stride)
    x = net.add(Concat(), passing, worked)
    return net.add(Rearrange("channel shuffle", net.shape(x)), x)


def _shufflenet_v2(net: Builder, *, widths: Sequence[int]) -> str:
    *stages, last = widths
    x = net.conv_norm_act(net.input, 24, 3, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    for channels, repeats in zip(stages, _REPEATS, strict=True):
        for index in range(repeats):
            x = _unit(net, x, channels, 2 if index == 0 else 1)
    x = net.conv_norm_act(x, last, 1)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


ENTRIES = tuple(
    Entry(
        f"shufflenet_v2_x{width}",
        partial(_shufflenet_v2, widths=widths),
        (3, 224, 224),
        "Ma et al. 2018; torchvision model metadata (paper's table 5 with 244 for 224 channels at width 2)",
    )
    for width, widths in _WIDTHS.items()
)
