"""MnasNet [Tan et al., CVPR 2019] and Single-Path NAS [Stamoulis et al., ECML PKDD 2019].

MnasNet-B1 is the network searched without squeeze-and-excitation, at several widths as in torchvision; A1 is that of
the paper's figure 7 with it. The structures of A2 and A3 are not published. Strided layers pad symmetrically, where
the original framework pads "same": the sizes are equal.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from hwmodels.workload.graph import Builder
from hwmodels.workload.zoo.mobilenet import classify, divisible, inverted_residual
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


class _Stage(NamedTuple):
    kernel: int
    expansion: int
    channels: int
    repeats: int
    stride: int
    squeeze: bool = False


_B1 = (  # [torchvision's mnasnet1_0]
    _Stage(3, 3, 24, 3, 2),
    _Stage(5, 3, 40, 3, 2),
    _Stage(5, 6, 80, 3, 2),
    _Stage(3, 6, 96, 2, 1),
    _Stage(5, 6, 192, 4, 2),
    _Stage(3, 6, 320, 1, 1),
)
_A1 = (  # [Tan'19, figure 7]
    _Stage(3, 6, 24, 2, 2),
    _Stage(5, 3, 40, 3, 2, squeeze=True),
    _Stage(3, 6, 80, 4, 2),
    _Stage(3, 6, 112, 2, 1, squeeze=True),
    _Stage(5, 6, 160, 3, 2, squeeze=True),
    _Stage(3, 6, 320, 1, 1),
)
_SINGLE_PATH = (  # [timm's spnasnet_100]; the first block of a stage differs from the others
    _Stage(3, 3, 24, 3, 2),
    _Stage(5, 6, 40, 1, 2),
    _Stage(3, 3, 40, 3, 1),
    _Stage(5, 6, 80, 1, 2),
    _Stage(3, 3, 80, 3, 1),
    _Stage(5, 6, 96, 1, 1),
    _Stage(5, 3, 96, 3, 1),
    _Stage(5, 6, 192, 4, 2),
    _Stage(3, 6, 320, 1, 1),
)


def _mnasnet(net: Builder, *, stages: tuple[_Stage, ...], width: float = 1.0) -> str:
    """ReLU throughout; squeeze-and-excitation has a quarter of the channels that enter the block."""
    stem = divisible(32 * width)
    x = net.conv_norm_act(net.input, stem, 3, stride=2)
    x = inverted_residual(net, x, divisible(16 * width), hidden=stem, activation="relu", skip=False)
    for stage in stages:
        for index in range(stage.repeats):
            channels = net.shape(x)[1]
            x = inverted_residual(
                net, x, divisible(stage.channels * width), hidden=stage.expansion * channels, kernel=stage.kernel,
                stride=stage.stride if index == 0 else 1, activation="relu", squeeze=channels // 4 * stage.squeeze,
            )  # fmt: skip
    return classify(net, net.conv_norm_act(x, 1280, 1))


def _b1(width: float, *aliases: str) -> Entry:
    name = f"mnasnet{width}".replace(".", "_")
    source = "Tan et al. 2018; torchvision model metadata"
    return Entry(name, partial(_mnasnet, stages=_B1, width=width), (3, 224, 224), source, aliases)


ENTRIES = (
    _b1(0.5, "mnasnet_050"),
    _b1(0.75, "mnasnet_075"),
    _b1(1.0, "mnasnet_100", "MnasNet-B1"),
    _b1(1.3),
    Entry("mnasnet_a1", partial(_mnasnet, stages=_A1), (3, 224, 224), "Tan et al. 2018, figure 7", ("semnasnet_100",)),
    Entry(
        "single_path_nas",
        partial(_mnasnet, stages=_SINGLE_PATH),
        (3, 224, 224),
        "Stamoulis et al. 2019; timm",
        ("spnasnet_100",),
    ),
)
