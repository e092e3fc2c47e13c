"""SqueezeNet [Iandola et al., 2016]: fire modules, a squeeze of 1x1 before 1x1 and 3x3 side by side; no dense layer.

The paper's 1.0 and the authors' later 1.1, which has about 2.4 times less work.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (squeeze, expand) channels of the fire modules; expand of 1x1 and of 3x3 each. Max pooling stands before the module
# of these indices. [Iandola'16, table 1; 1.1 from the authors' published model]
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def _convolution(net: Builder, x: str, channels: int, kernel: int, *, stride: int = 1, padding: int = 0) -> str:
    x = net.add(Conv2d.square(channels, kernel, stride=stride, padding=padding, bias=True), x)
    return net.add(Activation("relu"), x)


def _squeezenet(net: Builder, *, stem: tuple[int, int], pooled: Sequence[int]) -> str:
    channels, kernel = stem
    x = _convolution(net, net.input, channels, kernel, stride=2)
    for index, (squeeze, expand) in enumerate(_FIRES):
        if index in pooled:
            x = net.add(Pool2d("max", 3, 2, ceil_mode=True), x)
        x = _convolution(net, x, squeeze, 1)
        x = net.add(Concat(), _convolution(net, x, expand, 1), _convolution(net, x, expand, 3, padding=1))
    x = _convolution(net, x, 1000, 1)
    return net.flatten(net.add(Pool2d("avg"), x))


_SOURCE = "Iandola et al. 2016; torchvision model metadata"

ENTRIES = (
    Entry("squeezenet1_0", partial(_squeezenet, stem=(96, 7), pooled=(0, 3, 7)), (3, 224, 224), _SOURCE),
    Entry("squeezenet1_1", partial(_squeezenet, stem=(64, 3), pooled=(0, 2, 4)), (3, 224, 224), _SOURCE),
)
