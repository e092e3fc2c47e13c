"""VGG [Simonyan and Zisserman, ICLR 2015]: stages of 3x3 convolutions with bias, and three dense layers."""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def _vgg16(net: Builder) -> str:
    x = net.input
    for channels, repeats in _VGG16:
        for _ in range(repeats):
            x = net.add(Activation("relu"), net.add(Conv2d.square(channels, 3, bias=True), x))
        x = net.add(Pool2d("max", 2), x)
    x = net.flatten(x)
    for features in (4096, 4096):
        x = net.add(Activation("relu"), net.linear(x, features))
    return net.linear(x, 1000)


ENTRIES = (Entry("vgg16", _vgg16, (3, 224, 224), "Simonyan and Zisserman 2014; torchvision model metadata"),)
