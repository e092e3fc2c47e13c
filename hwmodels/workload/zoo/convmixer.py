"""ConvMixer [Trockman and Kolter, TMLR 2023]: patches, then depthwise and pointwise convolutions of one width.

The activation comes before the batch norm. "Same" padding of the even patches needs none; all kernels are odd.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, ActivationName, Conv2d, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _mixed(net: Builder, x: str, convolution: Conv2d, activation: ActivationName) -> str:
    return net.add(Norm("batch"), net.add(Activation(activation), net.add(convolution, x)))


def _convmixer(
    net: Builder, *, width: int, depth: int, kernel: int, patch: int, activation: ActivationName = "gelu"
) -> str:
    x = _mixed(net, net.input, Conv2d.square(width, patch, stride=patch, padding=0, bias=True), activation)
    for _ in range(depth):
        depthwise = Conv2d.square(width, kernel, groups=width, bias=True)
        x = net.residual(_mixed(net, x, depthwise, activation), x)
        x = _mixed(net, x, Conv2d.square(width, 1, bias=True), activation)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


_SHAPE = (3, 224, 224)
_SOURCE = "Trockman and Kolter 2022, table 1; timm results tables"

ENTRIES = (
    Entry("convmixer_1536_20", partial(_convmixer, width=1536, depth=20, kernel=9, patch=7), _SHAPE, _SOURCE),
    Entry(
        "convmixer_768_32",
        partial(_convmixer, width=768, depth=32, kernel=7, patch=7, activation="relu"),
        _SHAPE,
        _SOURCE,
    ),
    Entry(
        "convmixer_1024_20_ks9_p14",
        partial(_convmixer, width=1024, depth=20, kernel=9, patch=14),
        _SHAPE,
        _SOURCE,
    ),
)
