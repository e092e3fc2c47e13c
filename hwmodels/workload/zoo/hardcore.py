"""HardCoRe-NAS networks A to F [Nayman et al., ICML 2021]: one search, six limits on the latency.

The layout of MobileNetV3 with a wider stem; the two shallow stages use ReLU, the deeper ones hard swish, and
squeeze-and-excitation of a quarter of the hidden channels stands where searched.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, ActivationName, Pool2d
from hwmodels.workload.zoo.mobilenet import divisible, inverted_residual
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (output channels, stride of the first block, activation)
_STAGES: tuple[tuple[int, int, ActivationName], ...] = (
    (24, 2, "relu"),
    (40, 2, "relu"),
    (80, 2, "hardswish"),
    (112, 1, "hardswish"),
    (192, 2, "hardswish"),
)

# Kernel and expansion of each block, s for squeeze-and-excitation; a comma ends a stage [timm's hardcorenas]
_BLOCKS = {
    "a": "53 53s, 53 56s, 56s 56s, 56s 56s, 56s 56s",
    "b": "53 53s 33, 53 53 53, 53 53 33 33, 53 33 33 33, 56s 56s 33s",
    "c": "53 53s, 53 53 53 53, 54 56s 33 33, 56s 33 33 33, 56s 56s 33s",
    "d": "53s 53s, 53s 54s 33s, 54s 33s 33s 33s, 34s 54s 33s 53s, 56s 56s 56s 36s",
    "e": "53s 53s, 56s 54s 54s 33s, 54s 36s, 56s 56s 56s 53s, 56s 56s 56s 36s",
    "f": "53s 53s, 56s 56s, 56s 56s 33s 33s, 36s 56s 56s 33s, 56s 56s 36s 36s",
}


def _hardcore(net: Builder, *, blocks: str) -> str:
    x = net.conv_norm_act(net.input, 32, 3, stride=2, activation="hardswish")
    x = inverted_residual(net, x, 16, hidden=32, activation="relu")
    for stage, (channels, first, activation) in zip(blocks.split(","), _STAGES, strict=True):
        for index, code in enumerate(stage.split()):
            hidden = int(code[1]) * net.shape(x)[1]
            x = inverted_residual(
                net, x, channels, hidden=hidden, kernel=int(code[0]), stride=first if index == 0 else 1,
                activation=activation, squeeze=divisible(hidden / 4) if code.endswith("s") else 0, gate="hardsigmoid",
            )  # fmt: skip
    x = net.conv_norm_act(x, 960, 1, activation="hardswish")
    x = net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1280)
    return net.linear(net.add(Activation("hardswish"), x), 1000)


ENTRIES = tuple(
    Entry(f"hardcorenas_{which}", partial(_hardcore, blocks=blocks), (3, 224, 224), "Nayman et al. 2021; timm")
    for which, blocks in _BLOCKS.items()
)
