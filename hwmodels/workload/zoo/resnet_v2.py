"""ResNets with strides elsewhere: TensorFlow slim's v2 with activations before convolutions and v1, and the first ones.

v2 is [He et al., ECCV 2016]; the first ones, in Caffe and in Keras, have their stride in the first 1x1 of a stage.

In slim the stride of a stage sits in its last unit, not in its first, and in the 3x3 of it; its identity is
subsampled by a pooling of one pixel. In v2 the first layer and the last convolution of a unit have a bias and no
norm.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # [He et al., CVPR 2016, table 1]


def _unit_v2(net: Builder, x: str, width: int, stride: int) -> str:
    before = net.add(Activation("relu"), net.add(Norm("batch"), x))
    if net.shape(x)[1] == 4 * width:
        shortcut = x if stride == 1 else net.add(Pool2d("max", 1, stride), x)
    else:
        shortcut = net.add(Conv2d.square(4 * width, 1, stride=stride, bias=True), before)
    y = net.conv_norm_act(before, width, 1)
    y = net.conv_norm_act(y, width, 3, stride=stride)
    return net.residual(shortcut, net.add(Conv2d(4 * width, bias=True), y))


def _unit_v1(net: Builder, x: str, width: int, stride: int) -> str:
    if net.shape(x)[1] == 4 * width:
        shortcut = x if stride == 1 else net.add(Pool2d("max", 1, stride), x)
    else:
        shortcut = net.conv_norm_act(x, 4 * width, 1, stride=stride, activation=None)
    y = net.conv_norm_act(x, width, 1)
    y = net.conv_norm_act(y, width, 3, stride=stride)
    y = net.conv_norm_act(y, 4 * width, 1, activation=None)
    return net.add(Activation("relu"), net.residual(shortcut, y))


def _unit_first(net: Builder, x: str, width: int, stride: int) -> str:
    shortcut = x
    if stride > 1 or net.shape(x)[1] != 4 * width:
        shortcut = net.conv_norm_act(x, 4 * width, 1, stride=stride, activation=None)
    y = net.conv_norm_act(x, width, 1, stride=stride)
    y = net.conv_norm_act(net.conv_norm_act(y, width, 3), 4 * width, 1, activation=None)
    return net.add(Activation("relu"), net.residual(shortcut, y))


def _first_resnet(net: Builder, *, depth: int) -> str:
    x = net.add(Pool2d("max", 3, 2, 1), net.conv_norm_act(net.input, 64, 7, stride=2))
    for stage, units in enumerate(_UNITS[depth]):
        for index in range(units):
            x = _unit_first(net, x, 64 << stage, 2 if stage and not index else 1)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


def _resnet(net: Builder, *, depth: int, version: int) -> str:
    if version == 2:
        x = net.add(Conv2d.square(64, 7, stride=2, bias=True), net.input)
    else:
        x = net.conv_norm_act(net.input, 64, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    for stage, units in enumerate(_UNITS[depth]):
        for index in range(units):
            stride = 2 if stage < 3 and index == units - 1 else 1
            x = (_unit_v2 if version == 2 else _unit_v1)(net, x, 64 << stage, stride)
    if version == 2:
        x = net.add(Activation("relu"), net.add(Norm("batch"), x))
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


_SLIM = "as in TensorFlow's slim; Keras model summaries"

ENTRIES = (
    *(
        Entry(f"resnet_v2_{depth}", partial(_resnet, depth=depth, version=2), (3, 299, 299), f"He et al. 2016, {_SLIM}")
        for depth in _UNITS
    ),
    *(
        Entry(f"resnet_v1_{depth}", partial(_resnet, depth=depth, version=1), (3, 224, 224), f"He et al. 2015, {_SLIM}")
        for depth in _UNITS
    ),
    Entry(
        "resnet50_first", partial(_first_resnet, depth=50), (3, 224, 224),
        "He et al. 2015, stride in the first 1x1 as in Caffe; Keras model summaries", ("resnet50_caffe",),
    ),
)  # fmt: skip
