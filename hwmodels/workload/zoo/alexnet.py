"""The first convolutional classifiers: LeNet-5 [LeCun et al., Proc. IEEE 1998] and AlexNet [Krizhevsky 2014].

AlexNet is the one-tower version of "One weird trick", without local response normalisation, as in torchvision. LeNet-5
is the one in common use: every map of the second convolution reads all six maps before it (the paper connects a chosen
subset), averages pool without trained coefficients, and ten dense outputs replace the radial basis functions.
"""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# (output channels, kernel, stride, padding, whether max pooling 3/2 follows) [Krizhevsky'14, fig. 1; torchvision]
_ALEXNET = (
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)


def _alexnet(net: Builder) -> str:
    x = net.input
    for channels, kernel, stride, padding, pooled in _ALEXNET:
        x = net.add(Conv2d.square(channels, kernel, stride=stride, padding=padding, bias=True), x)
        x = net.add(Activation("relu"), x)
        x = net.add(Pool2d("max", 3, 2), x) if pooled else x
    x = net.flatten(x)
    for features in (4096, 4096):
        x = net.add(Activation("relu"), net.linear(x, features))
    return net.linear(x, 1000)


def _lenet5(net: Builder) -> str:
    x = net.input
    for channels, padding in ((6, 2), (16, 0)):  # the 28 x 28 digit stands in a field of 32 x 32
        x = net.add(Activation("tanh"), net.add(Conv2d.square(channels, 5, padding=padding, bias=True), x))
        x = net.add(Pool2d("avg", 2), x)
    x = net.flatten(x)
    for features in (120, 84):
        x = net.add(Activation("tanh"), net.linear(x, features))
    return net.linear(x, 10)


ENTRIES = (
    Entry("alexnet", _alexnet, (3, 224, 224), "Krizhevsky 2014 (one tower); torchvision model metadata"),
    Entry("lenet5", _lenet5, (1, 28, 28), "LeCun et al. 1998, dense variant", ("LeNet-5 (28x28 padded to 32)",)),
)
