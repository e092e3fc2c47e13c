"""MoGA [Chu et al., ICASSP 2020] and FairNAS [Chu et al., ICCV 2021]: chains of searched inverted residuals.

MoGA has the layout of MobileNetV3-Large: hard swish in its deep stages, squeeze-and-excitation of a quarter of the
hidden channels where searched. FairNAS has that of ProxylessNAS: ReLU6 throughout.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, ActivationName, Conv2d, Pool2d
from hwmodels.workload.zoo.mobilenet import inverted_residual
from hwmodels.workload.zoo.proxyless import Widths, blocks_of, proxyless
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (output channels, stride, activation) of the 14 blocks [xiaomi-automl/MoGA]
_LAYERS: tuple[tuple[int, int, ActivationName], ...] = (
    (24, 2, "relu"),
    (24, 1, "relu"),
    (40, 2, "relu"),
    (40, 1, "relu"),
    (40, 1, "relu"),
    (80, 2, "hardswish"),
    (80, 1, "hardswish"),
    (80, 1, "hardswish"),
    (80, 1, "hardswish"),
    (112, 1, "hardswish"),
    (112, 1, "hardswish"),
    (160, 2, "hardswish"),
    (160, 1, "hardswish"),
    (160, 1, "hardswish"),
)

# Kernel and expansion of each block, s for squeeze-and-excitation [xiaomi-automl/MoGA]
_MOGA = {
    "a": "56 76 36 36s 33s 36s 36 76 73s 76 36 36 56s 56s",
    "b": "33 33 76 33 56 36s 56s 33 76s 76 53 76s 76s 36s",
    "c": "53 33 53 33 53 53 56s 53 53 36 36s 36s 36s 36s",
}


def _moga(net: Builder, *, blocks: str) -> str:
    x = net.conv_norm_act(net.input, 16, 3, stride=2, activation="hardswish")
    x = inverted_residual(net, x, 16, hidden=16, activation="relu", skip=False)
    for code, (channels, stride, activation) in zip(blocks.split(), _LAYERS, strict=True):
        hidden = int(code[1]) * net.shape(x)[1]
        x = inverted_residual(
            net, x, channels, hidden=hidden, kernel=int(code[0]), stride=stride, activation=activation,
            squeeze=hidden // 4 if code.endswith("s") else 0, inner=activation, gate="hardsigmoid",
        )  # fmt: skip
    x = net.conv_norm_act(x, 960, 1, activation="hardswish")
    x = net.add(Conv2d.square(1280, 1), net.add(Pool2d("avg"), x))
    return net.linear(net.flatten(net.add(Activation("hardswish"), x)), 1000)


# Blocks as in `blocks_of` [xiaomi-automl/FairNAS]
_FAIRNAS = {
    "a": "7333 73367633 33767653 36535336 36763676 56",
    "b": "5333 53333653 73333653 33367333 76567636 56",
    "c": "5333 73333333 33333336 33333333 76763636 56",
}
_FAIRNAS_WIDTHS = Widths(32, 16, (32, 40, 80, 96, 192, 320), 1280)

ENTRIES = (
    *(
        Entry(f"moga_{which}", partial(_moga, blocks=blocks), (3, 224, 224), "Chu et al. 2019, MoGA")
        for which, blocks in _MOGA.items()
    ),
    *(
        Entry(
            f"fairnas_{which}",
            partial(proxyless, stages=blocks_of(text), widths=_FAIRNAS_WIDTHS),
            (3, 224, 224),
            "Chu et al. 2019, FairNAS",
        )
        for which, text in _FAIRNAS.items()
    ),
)
