"""VGG [Simonyan and Zisserman, ICLR 2015], without batch norm."""

from __future__ import annotations

from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Pool2d, Precision

__all__ = ["vgg16"]

_VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(batch: int, precision: Precision) -> Workload:
    net = Builder("vgg16", (batch, 3, 224, 224), precision=precision)
    x = net.input
    for channels, repeats in _VGG16:
        for _ in range(repeats):
            x = net.add(Activation("relu"), net.add(Conv2d.square(channels, 3, bias=True), x))
        x = net.add(Pool2d("max", 2), x)
    x = net.flatten(x)
    for features in (4096, 4096):
        x = net.add(Activation("relu"), net.linear(x, features))
    return net.finish(net.linear(x, 1000))
