"""Inception: GoogLeNet [Szegedy et al., CVPR 2015] and Inception-V3 [Szegedy et al., CVPR 2016], as in torchvision.

Inception-V2 is that of batch normalisation [Ioffe and Szegedy, ICML 2015]: as TensorFlow's slim has it, with a
separable first layer, and with the plain one of the paper. All are the inference path. The published parameters count
differently: those of GoogLeNet leave its two auxiliary heads out, those of `inception_v3` include its one auxiliary
head (3,326,696), which training alone runs; it stands here as a constant that nothing reads, so that a compiled graph
drops it. `tf_inception_v3` is the network without it. torchvision's GoogLeNet has batch norm and, by a known slip
that its weights keep, 3x3 where the paper has 5x5.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# A convolution of a branch: (output channels, (kernel height, kernel width), stride, whether it keeps the size)
_Layer = tuple[int, tuple[int, int], int, bool]


def _layer(channels: int, kernel: int | tuple[int, int], stride: int = 1) -> _Layer:
    """Stride 1 keeps the size, stride 2 is without padding, except where a stem says otherwise."""
    return (channels, kernel if isinstance(kernel, tuple) else (kernel, kernel), stride, stride == 1)


def _convolution(net: Builder, x: str, layer: _Layer) -> str:
    channels, (height, width), stride, same = layer
    padding = (height // 2, width // 2) if same else (0, 0)
    x = net.add(Conv2d(channels, (height, width), (stride, stride), padding, bias=False), x)
    return net.add(Activation("relu"), net.add(Norm("batch"), x))


def _branch(net: Builder, x: str, layers: Sequence[_Layer]) -> str:
    for layer in layers:
        x = _convolution(net, x, layer)
    return x


# Channels: 1x1; reduction and 3x3; reduction and "5x5"; projection behind the pooling. None is max pooling with its
# kernel. [Szegedy'15, table 1]
_GOOGLENET: tuple[tuple[int, ...], ...] = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (3,),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (2,),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)


def _googlenet(net: Builder) -> str:
    x = net.conv_norm_act(net.input, 64, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, ceil_mode=True), x)
    x = _branch(net, x, (_layer(64, 1), _layer(192, 3)))
    x = net.add(Pool2d("max", 3, 2, ceil_mode=True), x)
    for row in _GOOGLENET:
        if len(row) == 1:
            x = net.add(Pool2d("max", row[0], 2, ceil_mode=True), x)
            continue
        point, reduced3, out3, reduced5, out5, projected = row
        branches = (
            _branch(net, x, (_layer(point, 1),)),
            _branch(net, x, (_layer(reduced3, 1), _layer(out3, 3))),
            _branch(net, x, (_layer(reduced5, 1), _layer(out5, 3))),
            _branch(net, net.add(Pool2d("max", 3, 1, 1), x), (_layer(projected, 1),)),
        )
        x = net.add(Concat(), *branches)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


def _pooled(net: Builder, x: str, channels: int) -> str:
    return _convolution(net, net.add(Pool2d("avg", 3, 1, 1), x), _layer(channels, 1))


def _narrow_module(net: Builder, x: str, pooled: int) -> str:
    """Module A [Szegedy'16, fig. 5]: 5x5 written as itself and as two 3x3."""
    return net.add(
        Concat(),
        _branch(net, x, (_layer(64, 1),)),
        _branch(net, x, (_layer(48, 1), _layer(64, 5))),
        _branch(net, x, (_layer(64, 1), _layer(96, 3), _layer(96, 3))),
        _pooled(net, x, pooled),
    )


def _factorised_module(net: Builder, x: str, width: int) -> str:
    """Module B [Szegedy'16, fig. 6]: 7x7 as 1x7 and 7x1."""
    row, column = (1, 7), (7, 1)
    once = (_layer(width, 1), _layer(width, row), _layer(192, column))
    twice = (*(_layer(width, kernel) for kernel in (1, column, row, column)), _layer(192, row))
    return net.add(
        Concat(),
        _branch(net, x, (_layer(192, 1),)),
        _branch(net, x, once),
        _branch(net, x, twice),
        _pooled(net, x, 192),
    )


def _spread(net: Builder, x: str) -> tuple[str, str]:
    """1x3 and 3x1 of the same tensor, side by side."""
    return _convolution(net, x, _layer(384, (1, 3))), _convolution(net, x, _layer(384, (3, 1)))


def _wide_module(net: Builder, x: str) -> str:
    """Module C [Szegedy'16, fig. 7]."""
    point = _branch(net, x, (_layer(320, 1),))
    once = _spread(net, _branch(net, x, (_layer(384, 1),)))
    twice = _spread(net, _branch(net, x, (_layer(448, 1), _layer(384, 3))))
    return net.add(Concat(), point, *once, *twice, _pooled(net, x, 192))


def _reduction(net: Builder, x: str, *branches: Sequence[_Layer]) -> str:
    """Half the size: convolutions of stride 2 beside max pooling."""
    made = [_branch(net, x, layers) for layers in branches]
    return net.add(Concat(), *made, net.add(Pool2d("max", 3, 2), x))


_UNPADDED: _Layer = (32, (3, 3), 1, False)
_UNPADDED_WIDE: _Layer = (192, (3, 3), 1, False)

# The head that training adds behind the 17x17 modules: 1x1 and 5x5 convolutions with batch norm, a dense layer.
_AUXILIARY_PARAMETERS = (768 * 128 + 2 * 128) + (128 * 768 * 5 * 5 + 2 * 768) + (768 * 1000 + 1000)


def _inception_v3(net: Builder, *, auxiliary: bool) -> str:
    x = _branch(net, net.input, (_layer(32, 3, 2), _UNPADDED, _layer(64, 3)))
    x = net.add(Pool2d("max", 3, 2), x)
    x = _branch(net, x, (_layer(80, 1), _UNPADDED_WIDE))
    x = net.add(Pool2d("max", 3, 2), x)
    for pooled in (32, 64, 64):
        x = _narrow_module(net, x, pooled)
    x = _reduction(net, x, (_layer(384, 3, 2),), (_layer(64, 1), _layer(96, 3), _layer(96, 3, 2)))
    for width in (128, 160, 160, 192):
        x = _factorised_module(net, x, width)
    if auxiliary:
        net.constant((_AUXILIARY_PARAMETERS,))
    square = (_layer(192, 1), _layer(320, 3, 2))
    factorised = (_layer(192, 1), _layer(192, (1, 7)), _layer(192, (7, 1)), _layer(192, 3, 2))
    x = _reduction(net, x, square, factorised)
    for _ in range(2):
        x = _wide_module(net, x)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


# Channels: 1x1; reduction and 3x3; reduction and two 3x3; projection behind the pooling. Three numbers and more make a
# module of stride 2: reduction and 3x3, reduction and two 3x3 [slim's inception_v2]
_V2_MODULES: tuple[tuple[int, ...], ...] = (
    (64, 64, 64, 64, 96, 32),
    (64, 64, 96, 64, 96, 64),
    (128, 160, 64, 96),
    (224, 64, 96, 96, 128, 128),
    (192, 96, 128, 96, 128, 128),
    (160, 128, 160, 128, 160, 96),
    (96, 128, 192, 160, 192, 96),
    (128, 192, 192, 256),
    (352, 192, 320, 160, 224, 128),
    (352, 192, 320, 192, 224, 128),
)


def _inception_v2(net: Builder, *, separable: bool) -> str:
    if separable:  # eight filters a channel, then a 1x1
        x = net.add(Conv2d(24, (7, 7), (2, 2), (3, 3), groups=3), net.input)
        x = _convolution(net, x, _layer(64, 1))
    else:
        x = net.conv_norm_act(net.input, 64, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    x = _branch(net, x, (_layer(64, 1), _layer(192, 3)))
    x = net.add(Pool2d("max", 3, 2, 1), x)
    for index, row in enumerate(_V2_MODULES):
        if len(row) == 4:
            x = _halving_module(net, x, row)
            continue
        point, reduced, out, twice_reduced, twice, projected = row
        last = index == len(_V2_MODULES) - 1  # the last module pools by its maximum
        pooled = net.add(Pool2d("max" if last else "avg", 3, 1, 1), x)
        x = net.add(
            Concat(),
            _branch(net, x, (_layer(point, 1),)),
            _branch(net, x, (_layer(reduced, 1), _layer(out, 3))),
            _branch(net, x, (_layer(twice_reduced, 1), _layer(twice, 3), _layer(twice, 3))),
            _convolution(net, pooled, _layer(projected, 1)),
        )
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


def _halving_module(net: Builder, x: str, row: tuple[int, ...]) -> str:
    """Half the size: a 3x3 and two 3x3 with stride 2, padded, beside max pooling."""
    reduced, out, twice_reduced, twice = row
    once = net.conv_norm_act(_convolution(net, x, _layer(reduced, 1)), out, 3, stride=2)
    both = _branch(net, x, (_layer(twice_reduced, 1), _layer(twice, 3)))
    return net.add(Concat(), once, net.conv_norm_act(both, twice, 3, stride=2), net.add(Pool2d("max", 3, 2, 1), x))


# Inception-ResNet-v2 [Szegedy et al., AAAI 2017] as in slim and timm: branches of the three residual modules.
_A_BRANCHES = ((_layer(32, 1),), (_layer(32, 1), _layer(32, 3)), (_layer(32, 1), _layer(48, 3), _layer(64, 3)))
_B_BRANCHES = ((_layer(192, 1),), (_layer(128, 1), _layer(160, (1, 7)), _layer(192, (7, 1))))
_C_BRANCHES = ((_layer(192, 1),), (_layer(192, 1), _layer(224, (1, 3)), _layer(256, (3, 1))))


def _residual_module(net: Builder, x: str, branches: Sequence[Sequence[_Layer]], *, activated: bool = True) -> str:
    """Branches, a 1x1 with bias back to the channels of the input, sum."""
    joined = net.add(Concat(), *(_branch(net, x, layers) for layers in branches))
    x = net.residual(x, net.add(Conv2d(net.shape(x)[1], bias=True), joined))
    return net.add(Activation("relu"), x) if activated else x


def _inception_resnet_v2(net: Builder) -> str:
    x = _branch(net, net.input, (_layer(32, 3, 2), _UNPADDED, _layer(64, 3)))
    x = net.add(Pool2d("max", 3, 2), x)
    x = _branch(net, x, (_layer(80, 1), _UNPADDED_WIDE))
    x = net.add(Pool2d("max", 3, 2), x)
    x = net.add(
        Concat(),
        _branch(net, x, (_layer(96, 1),)),
        _branch(net, x, (_layer(48, 1), _layer(64, 5))),
        _branch(net, x, (_layer(64, 1), _layer(96, 3), _layer(96, 3))),
        _pooled(net, x, 64),
    )
    for _ in range(10):
        x = _residual_module(net, x, _A_BRANCHES)
    x = _reduction(net, x, (_layer(384, 3, 2),), (_layer(256, 1), _layer(256, 3), _layer(384, 3, 2)))
    for _ in range(20):
        x = _residual_module(net, x, _B_BRANCHES)
    x = _reduction(
        net, x, (_layer(256, 1), _layer(384, 3, 2)), (_layer(256, 1), _layer(288, 3, 2)),
        (_layer(256, 1), _layer(288, 3), _layer(320, 3, 2)),
    )  # fmt: skip
    for index in range(10):
        x = _residual_module(net, x, _C_BRANCHES, activated=index < 9)
    x = _convolution(net, x, _layer(1536, 1))
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


ENTRIES = (
    Entry(
        "googlenet",
        _googlenet,
        (3, 224, 224),
        "Szegedy et al. 2015 with batch norm, 3x3 for 5x5, no auxiliary heads; torchvision model metadata",
        ("inception_v1",),
    ),
    Entry(
        "inception_v2",
        partial(_inception_v2, separable=True),
        (3, 224, 224),
        "Ioffe and Szegedy 2015 as in TensorFlow's slim; Vitis AI model zoo (3.88 G operations)",
    ),
    Entry(
        "bn_inception",
        partial(_inception_v2, separable=False),
        (3, 224, 224),
        "Ioffe and Szegedy 2015, plain first layer; Vitis AI model zoo (4 G operations)",
    ),
    Entry(
        "inception_resnet_v2",
        _inception_resnet_v2,
        (3, 299, 299),
        "Szegedy et al. 2017; timm results tables",
        ("inceptionresnetv2",),
    ),
    Entry(
        "inception_v3",
        partial(_inception_v3, auxiliary=True),
        (3, 299, 299),
        "Szegedy et al. 2016, auxiliary head among the parameters alone; torchvision model metadata",
    ),
    Entry(
        "tf_inception_v3",
        partial(_inception_v3, auxiliary=False),
        (3, 299, 299),
        "Szegedy et al. 2016, no auxiliary head; timm results tables",
        ("adv_inception_v3", "gluon_inception_v3"),
    ),
)
