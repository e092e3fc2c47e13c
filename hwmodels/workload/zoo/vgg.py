"""VGG [Simonyan and Zisserman, ICLR 2015]: stages of 3x3 convolutions with bias, and three dense layers.

The names in `_bn` put a batch norm behind every convolution, as torchvision and timm do; the paper has none. The first
dense layer takes the features as they come, 7x7 at the published input.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_WIDTHS = (64, 128, 256, 512, 512)

# Convolutions of each stage, by weighted layers: configurations A, B, D, E [Simonyan'15, table 1]
_REPEATS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def _vgg(net: Builder, *, repeats: Sequence[int], normalised: bool) -> str:
    x = net.input
    for channels, convolutions in zip(_WIDTHS, repeats, strict=True):
        for _ in range(convolutions):
            x = net.add(Conv2d.square(channels, 3, bias=True), x)
            x = net.add(Norm("batch"), x) if normalised else x
            x = net.add(Activation("relu"), x)
        x = net.add(Pool2d("max", 2), x)
    x = net.flatten(x)
    for features in (4096, 4096):
        x = net.add(Activation("relu"), net.linear(x, features))
    return net.linear(x, 1000)


ENTRIES = tuple(
    Entry(
        f"vgg{depth}{suffix}",
        partial(_vgg, repeats=repeats, normalised=bool(suffix)),
        (3, 224, 224),
        "Simonyan and Zisserman 2014; torchvision model metadata",
    )
    for depth, repeats in _REPEATS.items()
    for suffix in ("", "_bn")
)
