"""MobileNets: V1 [Howard et al., 2017], V2 [Sandler et al., CVPR 2018], V3 [Howard et al., ICCV 2019].

Widths scale every layer and are rounded to a multiple of 8. The 1280 features before the classifier of V2 grow with
widths above one and never shrink; those of V3 stay as they are at widths below one. V3 is the published network with
the shortened tail, its two last layers after the pooling. Strided layers pad symmetrically, where the original
frameworks pad "same": the sizes are equal.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, ActivationName, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "classify", "divisible", "inverted_residual"]


def divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to a scaled number of channels, the next one where that loses over 10 %.

    >>> divisible(16 * 0.75), divisible(24 * 0.35)
    (16, 8)
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def inverted_residual(
    net: Builder,
    x: str,
    out_channels: int,
    *,
    hidden: int,
    kernel: int = 3,
    stride: int = 1,
    activation: ActivationName = "relu6",
    squeeze: int = 0,
    inner: ActivationName = "relu",
    gate: ActivationName = "sigmoid",
    expand: bool | None = None,
    skip: bool = True,
) -> str:
    """The MBConv block: 1x1 to `hidden` channels, depthwise, `squeeze` channels of squeeze-and-excitation, linear 1x1.

    `expand=None` leaves the first convolution out where it would not widen. The identity is added where the shape
    stays and `skip` allows it.
    """
    channels = net.shape(x)[1]
    y = x
    if expand or (expand is None and hidden != channels):
        y = net.conv_norm_act(y, hidden, 1, activation=activation)
    y = net.conv_norm_act(y, hidden, kernel, stride=stride, groups=hidden, activation=activation)
    if squeeze:
        y = net.squeeze_excite(y, squeeze, inner=inner, gate=gate)
    y = net.conv_norm_act(y, out_channels, 1, activation=None)
    return net.residual(x, y) if skip and stride == 1 and channels == out_channels else y


def classify(net: Builder, x: str, classes: int = 1000) -> str:
    """Global average pooling and a linear classifier."""
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), classes)


# Output channels and stride of each depthwise separable layer [Howard'17, table 1]
_V1_LAYERS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip

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


def _mobilenet_v1(net: Builder, *, width: float, classes: int = 1000) -> str:
    x = net.conv_norm_act(net.input, divisible(32 * width), 3, stride=2)
    for channels, stride in _V1_LAYERS:
        x = net.conv_norm_act(x, net.shape(x)[1], 3, stride=stride, groups=net.shape(x)[1])
        x = net.conv_norm_act(x, divisible(channels * width), 1)
    return classify(net, x, classes)


def _mobilenet_v2(net: Builder, *, width: float) -> str:
    x = net.conv_norm_act(net.input, divisible(32 * width), 3, stride=2, activation="relu6")
    for expansion, channels, repeats, stride in _V2_STAGES:
        for index in range(repeats):
            hidden = net.shape(x)[1] * expansion
            first = stride if index == 0 else 1
            x = inverted_residual(net, x, divisible(channels * width), hidden=hidden, stride=first)
    return classify(net, net.conv_norm_act(x, divisible(1280 * max(width, 1.0)), 1, activation="relu6"))


class _Bottleneck(NamedTuple):
    """One line of Howard'19, tables 1 and 2; `hidden` is that of width one."""

    kernel: int
    hidden: int
    channels: int
    squeeze: bool
    activation: ActivationName
    stride: int


_V3_LARGE = (  # [Howard'19, table 1]
    _Bottleneck(3, 16, 16, False, "relu", 1),
    _Bottleneck(3, 64, 24, False, "relu", 2),
    _Bottleneck(3, 72, 24, False, "relu", 1),
    _Bottleneck(5, 72, 40, True, "relu", 2),
    _Bottleneck(5, 120, 40, True, "relu", 1),
    _Bottleneck(5, 120, 40, True, "relu", 1),
    _Bottleneck(3, 240, 80, False, "hardswish", 2),
    _Bottleneck(3, 200, 80, False, "hardswish", 1),
    _Bottleneck(3, 184, 80, False, "hardswish", 1),
    _Bottleneck(3, 184, 80, False, "hardswish", 1),
    _Bottleneck(3, 480, 112, True, "hardswish", 1),
    _Bottleneck(3, 672, 112, True, "hardswish", 1),
    _Bottleneck(5, 672, 160, True, "hardswish", 2),
    _Bottleneck(5, 960, 160, True, "hardswish", 1),
    _Bottleneck(5, 960, 160, True, "hardswish", 1),
)
_V3_SMALL = (  # [Howard'19, table 2]
    _Bottleneck(3, 16, 16, True, "relu", 2),
    _Bottleneck(3, 72, 24, False, "relu", 2),
    _Bottleneck(3, 88, 24, False, "relu", 1),
    _Bottleneck(5, 96, 40, True, "hardswish", 2),
    _Bottleneck(5, 240, 40, True, "hardswish", 1),
    _Bottleneck(5, 240, 40, True, "hardswish", 1),
    _Bottleneck(5, 120, 48, True, "hardswish", 1),
    _Bottleneck(5, 144, 48, True, "hardswish", 1),
    _Bottleneck(5, 288, 96, True, "hardswish", 2),
    _Bottleneck(5, 576, 96, True, "hardswish", 1),
    _Bottleneck(5, 576, 96, True, "hardswish", 1),
)


def _mobilenet_v3(net: Builder, *, blocks: tuple[_Bottleneck, ...], features: int, width: float) -> str:
    """A block widens by the ratio that it has at width one and squeezes to a quarter of its hidden channels."""
    x = net.conv_norm_act(net.input, divisible(16 * width), 3, stride=2, activation="hardswish")
    nominal = 16
    for block in blocks:
        hidden = divisible(net.shape(x)[1] * block.hidden / nominal)
        x = inverted_residual(
            net, x, divisible(block.channels * width), hidden=hidden, kernel=block.kernel, stride=block.stride,
            activation=block.activation, squeeze=divisible(hidden / 4) if block.squeeze else 0, gate="hardsigmoid",
        )  # fmt: skip
        nominal = block.channels
    x = net.conv_norm_act(x, divisible(6 * nominal * width), 1, activation="hardswish")
    x = net.linear(net.flatten(net.add(Pool2d("avg"), x)), features)
    return net.linear(net.add(Activation("hardswish"), x), 1000)


def _named(network: str, width: float) -> str:
    """The plain name at width one, else the width behind it in hundredths."""
    return network if width == 1 else f"{network}_{round(100 * width):03d}"


def _v1(width: float) -> Entry:
    aliases = (f"MobileNetV1-{width}-224", *(("mobilenetv1_100",) if width == 1 else ()))
    name = _named("mobilenet_v1", width)
    return Entry(name, partial(_mobilenet_v1, width=width), (3, 224, 224), "Howard et al. 2017, table 6", aliases)


def _v2(width: float) -> Entry:
    aliases = (f"MobileNetV2-{width}-224", *(("mobilenetv2_100",) if width == 1 else ()))
    source = "Sandler et al. 2018; torchvision model metadata"
    return Entry(_named("mobilenet_v2", width), partial(_mobilenet_v2, width=width), (3, 224, 224), source, aliases)


def _v3(size: str, width: float) -> Entry:
    blocks, features = (_V3_LARGE, 1280) if size == "large" else (_V3_SMALL, 1024)
    aliases = (f"MobileNetV3-{size.title()}-{width}", *((f"mobilenetv3_{size}_100",) if width == 1 else ()))
    write = partial(_mobilenet_v3, blocks=blocks, features=features, width=width)
    source = "Howard et al. 2019; torchvision model metadata"
    return Entry(_named(f"mobilenet_v3_{size}", width), write, (3, 224, 224), source, aliases)


_VISUAL_WAKE_WORDS = Entry(
    "mobilenet_v1_025_wake_words",
    partial(_mobilenet_v1, width=0.25, classes=2),
    (3, 96, 96),
    "Howard et al. 2017; Banbury et al. 2021, MLPerf Tiny 1.0, visual wake words",
    ("MLPerf-Tiny MobileNetV1", "mlperf_tiny_vww"),
)

ENTRIES = (
    *(_v1(width) for width in (1.0, 0.75, 0.5, 0.25)),
    _VISUAL_WAKE_WORDS,
    *(_v2(width) for width in (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)),
    *(_v3(size, width) for size in ("large", "small") for width in (1.0, 0.75)),
)
