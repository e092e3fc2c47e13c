"""FBNets [Wu et al., CVPR 2019]: a stem, 22 searched blocks at fixed widths, one last 1x1 convolution.

Two versions exist. In the paper's block a pointwise convolution comes first at every expansion, one included; so it
is in timm. The released networks of mobile_cv leave it out at expansion one and give every convolution of a block a
bias besides its normalisation. The channel shuffle of blocks of two groups only moves data. ReLU throughout.

The paper counts weights without biases and normalisation, mobile_cv also adds the MACs of the global pooling.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Rearrange
from hwmodels.workload.zoo.mobilenet import classify
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (output channels, blocks, stride of the first) [Wu'19, table 1]
_STAGES = ((16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))

# A block is kernel and expansion, with g for two groups; a dash is the identity [Wu'19, figure of searched networks]
_FBNET_A = "- 33 31 - - 56 33 51 33 56 53 51g 56 36 51g 53 31g 56 56 53 56 56"
_FBNET_B = "31 36 51 31 31 56 53 36 56 56 56 - 53 56 31 51 53 56 51 56 56 36"
_FBNET_C = "31 36 - 31 31 56 53 56 36 56 53 56 56 56 56 56 53 56 56 56 56 36"
_FBNET_S8 = "31 33 31 - - 56 33 33 36 56 53 53 53 36 53 53 53 56 56 53 56 56"
_FBNET_IPHONE_X = "- 36 31 31 31 36 36 36 36 36 36 33 36 36 33 33 33 56 56 56 53 56"


def _conv(
    net: Builder, x: str, channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1, bias: bool, relu: bool
) -> str:
    x = net.add(Conv2d.square(channels, kernel, stride=stride, groups=groups, bias=bias), x)
    x = net.add(Norm("batch"), x)
    return net.add(Activation("relu"), x) if relu else x


def _block(net: Builder, x: str, code: str, channels: int, *, stride: int, released: bool) -> str:
    kernel, expansion, groups = int(code[0]), int(code[1]), 2 if code.endswith("g") else 1
    entering = net.shape(x)[1]
    hidden = expansion * entering
    y = x
    if expansion > 1 or not released:
        y = _conv(net, y, hidden, groups=groups, bias=released, relu=True)
    if groups > 1:
        y = net.add(Rearrange("channel shuffle", net.shape(y)), y)
    y = _conv(net, y, hidden, kernel, stride=stride, groups=hidden, bias=released, relu=True)
    y = _conv(net, y, channels, groups=groups, bias=released, relu=False)
    return net.residual(x, y) if stride == 1 and entering == channels else y


def _fbnet(net: Builder, *, blocks: str, features: int, released: bool) -> str:
    codes = iter(blocks.split())
    x = net.conv_norm_act(net.input, 16, 3, stride=2)
    for channels, repeats, first in _STAGES:
        for index in range(repeats):
            stride = first if index == 0 else 1
            code = next(codes)
            if code != "-":
                x = _block(net, x, code, channels, stride=stride, released=released)
    return classify(net, net.conv_norm_act(x, features, 1))


def _entry(name: str, blocks: str, features: int, *aliases: str) -> Entry:
    write = partial(_fbnet, blocks=blocks, features=features, released=False)
    return Entry(name, write, (3, 224, 224), "Wu et al. 2018, the figure of searched networks", aliases)


def _released(name: str, blocks: str, features: int) -> Entry:
    write = partial(_fbnet, blocks=blocks, features=features, released=True)
    return Entry(name, write, (3, 224, 224), "mobile_cv model information")


# The features of the last convolution are those that meet the published sizes.
ENTRIES = (
    _entry("fbnet_a", _FBNET_A, 1504),
    _entry("fbnet_b", _FBNET_B, 1984),
    _entry("fbnet_c", _FBNET_C, 1984, "fbnetc_100"),
    _entry("fbnet_iphonex", _FBNET_IPHONE_X, 1504),
    _entry("fbnet_s8", _FBNET_S8, 1504),
    _released("mobile_cv_fbnet_a", _FBNET_A, 1504),
    _released("mobile_cv_fbnet_b", _FBNET_B, 1984),
    _released("mobile_cv_fbnet_c", _FBNET_C, 1984),
)
