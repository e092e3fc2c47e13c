"""EfficientNet [Tan and Le, ICML 2019], its Lite variants, and EfficientNetV2 [Tan and Le, ICML 2021].

The family B0..B7 is one network scaled in width, depth and resolution: `efficientnet` writes it at any scale and
`compound_scale` gives the scales that the paper's rule proposes; the published B1..B7 round them by hand. V2 is
searched anew with fused blocks, whose first convolution is a full 3x3 in place of a 1x1 and a depthwise one. Strided
layers pad symmetrically, where the original framework pads "same": the sizes are equal.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from typing import Literal, NamedTuple

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import ActivationName
from hwmodels.workload.zoo.mobilenet import classify, divisible, inverted_residual
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "Base", "Scale", "compound_scale", "efficientnet", "scaled_network"]


class Scale(NamedTuple):
    """Factors on channels and repeats of B0, and the side of the square input."""

    width: float
    depth: float
    resolution: int


def compound_scale(phi: float) -> Scale:
    """The compound scaling rule: depth 1.2^phi, width 1.1^phi, resolution 224 x 1.15^phi [Tan and Le'19, eq. 3].

    With 1.2 x 1.1^2 x 1.15^2 = 1.92, the MACs about double with each step of `phi`.

    >>> compound_scale(0)
    Scale(width=1.0, depth=1.0, resolution=224)
    >>> compound_scale(2).resolution
    296
    """
    return Scale(width=1.1**phi, depth=1.2**phi, resolution=round(224 * 1.15**phi))


class _Stage(NamedTuple):
    kernel: int
    expansion: int
    channels: int
    repeats: int
    stride: int
    fused: bool = False
    squeeze: bool = True


_B0 = (  # [Tan and Le'19, table 1]
    _Stage(3, 1, 16, 1, 1),
    _Stage(3, 6, 24, 2, 2),
    _Stage(5, 6, 40, 2, 2),
    _Stage(3, 6, 80, 3, 2),
    _Stage(5, 6, 112, 3, 1),
    _Stage(5, 6, 192, 4, 2),
    _Stage(3, 6, 320, 1, 1),
)
_V2_S = (  # [Tan and Le'21, table 4]
    _Stage(3, 1, 24, 2, 1, fused=True),
    _Stage(3, 4, 48, 4, 2, fused=True),
    _Stage(3, 4, 64, 4, 2, fused=True),
    _Stage(3, 4, 128, 6, 2),
    _Stage(3, 6, 160, 9, 1),
    _Stage(3, 6, 256, 15, 2),
)
_V2_M = (  # torchvision's efficientnet_v2_m
    _Stage(3, 1, 24, 3, 1, fused=True),
    _Stage(3, 4, 48, 5, 2, fused=True),
    _Stage(3, 4, 80, 5, 2, fused=True),
    _Stage(3, 4, 160, 7, 2),
    _Stage(3, 6, 176, 14, 1),
    _Stage(3, 6, 304, 18, 2),
    _Stage(3, 6, 512, 5, 1),
)
_V2_L = (  # torchvision's efficientnet_v2_l
    _Stage(3, 1, 32, 4, 1, fused=True),
    _Stage(3, 4, 64, 7, 2, fused=True),
    _Stage(3, 4, 96, 7, 2, fused=True),
    _Stage(3, 4, 192, 10, 2),
    _Stage(3, 6, 224, 19, 1),
    _Stage(3, 6, 384, 25, 2),
    _Stage(3, 6, 640, 7, 1),
)


_EDGE = (  # [EfficientNet-EdgeTPU of tensorflow/tpu]; stage 3 and beyond are depthwise
    _Stage(3, 4, 24, 1, 1, fused=True, squeeze=False),
    _Stage(3, 8, 32, 2, 2, fused=True, squeeze=False),
    _Stage(3, 8, 48, 4, 2, fused=True, squeeze=False),
    _Stage(5, 8, 96, 5, 2, squeeze=False),
    _Stage(5, 8, 144, 4, 1, squeeze=False),
    _Stage(5, 8, 192, 2, 2, squeeze=False),
)


def _block(net: Builder, x: str, stage: _Stage, stride: int, activation: ActivationName) -> str:
    """Squeeze-and-excitation has a quarter of the channels that enter the block."""
    channels = net.shape(x)[1]
    hidden = stage.expansion * channels
    if not stage.fused:
        return inverted_residual(
            net, x, stage.channels, hidden=hidden, kernel=stage.kernel, stride=stride, activation=activation,
            squeeze=channels // 4 * stage.squeeze, inner="silu",
        )  # fmt: skip
    if stage.expansion == 1:
        y = net.conv_norm_act(x, stage.channels, stage.kernel, stride=stride, activation=activation)
    else:
        y = net.conv_norm_act(x, hidden, stage.kernel, stride=stride, activation=activation)
        y = net.conv_norm_act(y, stage.channels, 1, activation=None)
    return net.residual(x, y) if stride == 1 and channels == stage.channels else y


def _network(
    net: Builder,
    x: str,
    *,
    stem: int,
    stages: tuple[_Stage, ...],
    features: int,
    activation: ActivationName = "silu",
    classes: int = 1000,
) -> str:
    x = net.conv_norm_act(x, stem, 3, stride=2, activation=activation)
    for stage in stages:
        for index in range(stage.repeats):
            x = _block(net, x, stage, stage.stride if index == 0 else 1, activation)
    return classify(net, net.conv_norm_act(x, features, 1, activation=activation), classes)


Base = Literal["b0", "lite0", "v2_s"]


def scaled_network(
    net: Builder, x: str, base: Base, *, width: float, depth: float, classes: int = 1000, fused: int = 0
) -> str:
    """A base with its channels scaled by `width`, its repeats by `depth`, behind images `x`.

    Channels are rounded to a multiple of 8, repeats up. The last layer of B0 has four times the channels before it;
    Lite is without squeeze-and-excitation, with ReLU6, and its stem, features and outer repeats stay; the features of
    V2 stay. The first `fused` stages have fused blocks, as [Tan and Le'21, table 3] tries.
    """
    outer = (_B0[0], _B0[-1]) if base == "lite0" else ()
    stages = tuple(
        stage._replace(
            channels=divisible(stage.channels * width),
            repeats=stage.repeats if stage in outer else ceil(stage.repeats * depth),
            squeeze=stage.squeeze and base != "lite0",
            fused=stage.fused or index < fused,
        )
        for index, stage in enumerate(_V2_S if base == "v2_s" else _B0)
    )
    if base == "lite0":
        return _network(net, x, stem=32, stages=stages, features=1280, activation="relu6", classes=classes)
    if base == "v2_s":
        return _network(net, x, stem=divisible(24 * width), stages=stages, features=1280, classes=classes)
    features = 4 * stages[-1].channels
    return _network(net, x, stem=divisible(32 * width), stages=stages, features=features, classes=classes)


def efficientnet(net: Builder, *, width: float, depth: float, base: Base = "b0", fused: int = 0) -> str:
    """A base at a scale; the resolution is that of the builder's input."""
    return scaled_network(net, net.input, base, width=width, depth=depth, fused=fused)


def _edge(net: Builder, *, width: float, depth: float) -> str:
    """For edge TPUs: plain 3x3 in the early stages, no squeeze-and-excitation, ReLU.

    The first stage widens the channels that it gives, not those of the stem, and has no identity.
    """
    stages = [
        stage._replace(channels=divisible(stage.channels * width), repeats=ceil(stage.repeats * depth))
        for stage in _EDGE
    ]
    x, outer = net.conv_norm_act(net.input, divisible(32 * width), 3, stride=2), stages[0]
    for _ in range(outer.repeats):
        x = net.conv_norm_act(x, outer.expansion * outer.channels, 3)
        x = net.conv_norm_act(x, outer.channels, 1, activation=None)
    for stage in stages[1:]:
        for index in range(stage.repeats):
            x = _block(net, x, stage, stage.stride if index == 0 else 1, "relu")
    return classify(net, net.conv_norm_act(x, divisible(1280 * width), 1))


# [Tan and Le'19, the released EfficientNets]; the resolution of B2 is that of torchvision, 288 where the paper has 260
_PUBLISHED = (
    Scale(1.0, 1.0, 224),
    Scale(1.0, 1.1, 240),
    Scale(1.1, 1.2, 288),
    Scale(1.2, 1.4, 300),
    Scale(1.4, 1.8, 380),
    Scale(1.6, 2.2, 456),
    Scale(1.8, 2.6, 528),
    Scale(2.0, 3.1, 600),
)
# The published variants of tensorflow/tpu's EfficientNet-lite
_LITE = (
    Scale(1.0, 1.0, 224),
    Scale(1.0, 1.1, 240),
    Scale(1.1, 1.2, 260),
    Scale(1.2, 1.4, 280),
    Scale(1.4, 1.8, 300),
)


def _scaled(index: int, scale: Scale) -> Entry:
    write = partial(efficientnet, width=scale.width, depth=scale.depth)
    source = "Tan and Le 2019; torchvision model metadata"
    shape = (3, scale.resolution, scale.resolution)
    return Entry(f"efficientnet_b{index}", write, shape, source, (f"tf_efficientnet_b{index}",))


def _lite_entry(index: int, scale: Scale) -> Entry:
    write = partial(efficientnet, width=scale.width, depth=scale.depth, base="lite0")
    shape = (3, scale.resolution, scale.resolution)
    return Entry(
        f"efficientnet_lite{index}",
        write,
        shape,
        "EfficientNet-lite of tensorflow/tpu",
        (f"tf_efficientnet_lite{index}",),
    )


def _v2(size: str, stem: int, stages: tuple[_Stage, ...], resolution: int) -> Entry:
    def write(net: Builder) -> str:
        return _network(net, net.input, stem=stem, stages=stages, features=1280)

    source = "Tan and Le 2021; torchvision model metadata"
    return Entry(f"efficientnet_v2_{size}", write, (3, resolution, resolution), source, (f"tf_efficientnetv2_{size}",))


def _edge_entry(size: str, scale: Scale) -> Entry:
    write = partial(_edge, width=scale.width, depth=scale.depth)
    source = "EfficientNet-EdgeTPU of tensorflow/tpu; timm results tables"
    shape = (3, scale.resolution, scale.resolution)
    return Entry(f"efficientnet_edgetpu_{size}", write, shape, source, (f"efficientnet_e{size}",))


ENTRIES = (
    *(_scaled(index, scale) for index, scale in enumerate(_PUBLISHED)),
    *(_lite_entry(index, scale) for index, scale in enumerate(_LITE)),
    _edge_entry("s", Scale(1.0, 1.0, 224)),
    _edge_entry("m", Scale(1.0, 1.1, 240)),
    _edge_entry("l", Scale(1.2, 1.4, 300)),
    _v2("s", 24, _V2_S, 384),
    _v2("m", 24, _V2_M, 480),
    _v2("l", 32, _V2_L, 480),
)
