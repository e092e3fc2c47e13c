"""ProxylessNAS networks [Cai et al., ICLR 2019] for phone, GPU and CPU.

One chain of inverted residuals with ReLU6, without squeeze-and-excitation: a stem, a depthwise separable first block,
six stages, a 1x1 convolution to the features, a classifier. Stages differ in width, blocks in kernel and expansion.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.zoo.mobilenet import classify, inverted_residual
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "Block", "Widths", "blocks_of", "proxyless"]


class Block(NamedTuple):
    """Kernel and expansion of one searched block."""

    kernel: int
    expansion: int


class Widths(NamedTuple):
    """Channels of the stem, the first block, the six stages and the features."""

    stem: int
    first: int
    stages: tuple[int, ...]
    features: int


_STRIDES = (2, 2, 2, 1, 2, 1)


def blocks_of(text: str) -> tuple[tuple[Block, ...], ...]:
    """The blocks of every stage from their short form: two digits a block, kernel and expansion; a word a stage.

    >>> blocks_of("53 7336")
    ((Block(kernel=5, expansion=3),), (Block(kernel=7, expansion=3), Block(kernel=3, expansion=6)))
    """
    stages = []
    for word in text.split():
        if not word.isdigit() or len(word) % 2:
            raise SpecError("blocks", word, "two digits a block, kernel and expansion, as 5336")
        stages.append(tuple(Block(int(word[i]), int(word[i + 1])) for i in range(0, len(word), 2)))
    return tuple(stages)


def proxyless(net: Builder, stages: Sequence[Sequence[Block]], widths: Widths) -> str:
    """Write the network of these stages; only the first block of a stage has its stride."""
    if len(stages) != len(_STRIDES) or len(widths.stages) != len(_STRIDES):
        raise SpecError(f"{net.name}: stages", len(stages), f"{len(_STRIDES)} stages and their widths")
    x = net.conv_norm_act(net.input, widths.stem, 3, stride=2, activation="relu6")
    x = inverted_residual(net, x, widths.first, hidden=widths.stem, skip=False)
    for blocks, channels, stride in zip(stages, widths.stages, _STRIDES, strict=True):
        for index, block in enumerate(blocks):
            x = inverted_residual(
                net, x, channels, hidden=block.expansion * net.shape(x)[1], kernel=block.kernel,
                stride=stride if index == 0 else 1,
            )  # fmt: skip
    return classify(net, net.conv_norm_act(x, widths.features, 1, activation="relu6"))


def _entry(name: str, text: str, widths: Widths) -> Entry:
    write = partial(proxyless, stages=blocks_of(text), widths=widths)
    return Entry(name, write, (3, 224, 224), "Cai et al. 2018; mit-han-lab/proxylessnas configurations")


_MOBILE = "5333 73335353 76535353 56535353 76767373 76"

ENTRIES = (
    _entry("proxyless_mobile", _MOBILE, Widths(32, 16, (32, 40, 80, 96, 192, 320), 1280)),
    _entry(
        "proxyless_cpu",
        "36333333 36333353 3633 56333333 56535333 56",
        Widths(40, 24, (32, 48, 88, 104, 216, 360), 1432),
    ),
    _entry("proxyless_gpu", "53 7333 7653 563353 76767656 76", Widths(40, 24, (32, 56, 112, 128, 256, 432), 1728)),
    _entry("proxyless_mobile_14", _MOBILE, Widths(48, 24, (40, 56, 112, 136, 256, 448), 1792)),
)
