"""Residual networks [He et al., CVPR 2016] and what grew from them.

For ImageNet: ResNet, ResNeXt [Xie et al., CVPR 2017], Wide ResNet [Zagoruyko and Komodakis, BMVC 2016], ResNet-C and -D
[He et al., CVPR 2019], timm's -S and -T, and squeeze-and-excitation [Hu et al., CVPR 2018]. The stride of a bottleneck
sits in its 3x3 ("v1.5") as in torchvision, not in its first 1x1 as in the paper. For CIFAR: section 4.2 of the paper,
with identity shortcuts (option A) that drop every second pixel and pad the missing channels with zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Pool2d, Rearrange
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES", "residual_stages"]

_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class _Variant:
    """What makes a network of this family.

    A bottleneck's 3x3 is ``width * group_width / 64`` wide a group. `stem` lists the channels of 3x3 convolutions in
    place of the 7x7; `pooled_shortcut` averages 2x2 before the projection; `squeeze` gates every block.
    """

    depths: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    stem: tuple[int, ...] = ()
    pooled_shortcut: bool = False
    squeeze: bool = False


def _shortcut(net: Builder, x: str, out_channels: int, stride: int, variant: _Variant) -> str:
    """Identity, or a 1x1 projection where the shape changes."""
    if stride == 1 and net.shape(x)[1] == out_channels:
        return x
    if stride > 1 and variant.pooled_shortcut:
        x, stride = net.add(Pool2d("avg", stride, ceil_mode=True), x), 1
    return net.conv_norm_act(x, out_channels, 1, stride=stride, activation=None)


def _block(net: Builder, x: str, width: int, stride: int, variant: _Variant) -> str:
    """Two 3x3, or 1x1, 3x3 and 1x1; gate; sum; activation."""
    if variant.bottleneck:
        inner = width * variant.group_width // 64 * variant.groups
        y = net.conv_norm_act(x, inner, 1)
        y = net.conv_norm_act(y, inner, 3, stride=stride, groups=variant.groups)
        y = net.conv_norm_act(y, 4 * width, 1, activation=None)
    else:
        y = net.conv_norm_act(x, width, 3, stride=stride)
        y = net.conv_norm_act(y, width, 3, activation=None)
    out_channels = net.shape(y)[1]
    if variant.squeeze:  # a sixteenth of the channels, at least 8, as in timm
        y = net.squeeze_excite(y, max(8, out_channels // 16))
    return net.add(Activation("relu"), net.residual(y, _shortcut(net, x, out_channels, stride, variant)))


def residual_stages(net: Builder, depth: int) -> tuple[str, ...]:
    """Stem and body of a plain ResNet: the outputs of its four stages, a quarter to a thirty-second of the input."""
    return _stages(net, _PLAIN[depth])


def _stages(net: Builder, variant: _Variant) -> tuple[str, ...]:
    if variant.stem:
        x = net.input
        for index, channels in enumerate(variant.stem):
            x = net.conv_norm_act(x, channels, 3, stride=2 if index == 0 else 1)
    else:
        x = net.conv_norm_act(net.input, 64, 7, stride=2)
    x = net.add(Pool2d("max", 3, 2, 1), x)
    stages = []
    for stage, (width, depth) in enumerate(zip(_WIDTHS, variant.depths, strict=True)):
        for index in range(depth):
            x = _block(net, x, width, 2 if stage > 0 and index == 0 else 1, variant)
        stages.append(x)
    return tuple(stages)


def _resnet(net: Builder, variant: _Variant) -> str:
    return net.linear(net.flatten(net.add(Pool2d("avg"), _stages(net, variant)[-1])), 1000)


def _cifar_block(net: Builder, x: str, width: int, stride: int) -> str:
    y = net.conv_norm_act(x, width, 3, stride=stride)
    y = net.conv_norm_act(y, width, 3, activation=None)
    if stride > 1:
        x = net.add(Rearrange("every second pixel, zeros for new channels", net.shape(y)), x)
    return net.add(Activation("relu"), net.residual(y, x))


def _cifar_resnet(net: Builder, *, blocks: int) -> str:
    x = net.conv_norm_act(net.input, 16, 3)
    for stage, width in enumerate((16, 32, 64)):
        for index in range(blocks):
            x = _cifar_block(net, x, width, 2 if stage > 0 and index == 0 else 1)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10)


# Blocks of each stage [He'16, table 1]; 26 and 200 of timm follow the same rule, 269 is of [He'19]'s code
_BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_BOTTLENECK = {
    26: (2, 2, 2, 2),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    269: (3, 30, 48, 8),
}
_PLAIN = {depth: _Variant(depths, bottleneck=False) for depth, depths in _BASIC.items()}
_PLAIN |= {depth: _Variant(depths) for depth, depths in _BOTTLENECK.items()}

# Channels of the three 3x3 of a stem [He'19, sec. 4]; the wide and the tiered one are timm's "s" and "t"
_DEEP, _WIDE, _TIERED = (32, 32, 64), (64, 64, 128), (24, 32, 64)

_SOURCE = "He et al. 2015, v1.5 (stride in the 3x3)"
_TIMM = "timm results tables"


def _entry(name: str, variant: _Variant, source: str, *aliases: str, size: int = 224) -> Entry:
    return Entry(name, partial(_resnet, variant=variant), (3, size, size), source, aliases)


def _plain_entries() -> Iterator[Entry]:
    for depth in (18, 34, 50, 101, 152):
        yield _entry(f"resnet{depth}", _PLAIN[depth], f"{_SOURCE}; torchvision model metadata")
    for depth in (26, 200):
        yield _entry(f"resnet{depth}", _PLAIN[depth], f"{_SOURCE}, depth of {_TIMM}")


def _tailored_entries() -> Iterator[Entry]:
    """ResNet-C, -S, -D and -T: other stems and shortcuts, at timm's inputs."""
    source = f"He et al. 2019 (bag of tricks); {_TIMM}"
    for depth in (50, 101, 152):
        yield _entry(f"resnet{depth}c", replace(_PLAIN[depth], stem=_DEEP), source)
        yield _entry(f"resnet{depth}s", replace(_PLAIN[depth], stem=_WIDE), source)
    for depth, plain in _PLAIN.items():
        if depth != 269:
            variant = replace(plain, stem=_DEEP, pooled_shortcut=True)
            yield _entry(f"resnet{depth}d", variant, source, size=256 if depth > 50 else 224)
    tiered = partial(_Variant, stem=_TIERED, pooled_shortcut=True)
    yield _entry("resnet10t", tiered((1, 1, 1, 1), bottleneck=False), source)
    yield _entry("resnet14t", tiered((1, 1, 1, 1)), source)
    yield _entry("resnet26t", tiered(_BOTTLENECK[26]), source, size=256)
    yield _entry("resnet50t", tiered(_BOTTLENECK[50]), source)


def _squeezed_entries() -> Iterator[Entry]:
    source = f"Hu et al. 2018 on ResNet v1.5; {_TIMM}"
    for depth in (18, 34, 50, 101, 152):
        yield _entry(f"seresnet{depth}", replace(_PLAIN[depth], squeeze=True), source)
    for depth in (152, 200, 269):
        variant = replace(_PLAIN[depth], squeeze=True, stem=_DEEP, pooled_shortcut=True)
        yield _entry(f"seresnet{depth}d", variant, source, size=256)
    variant = replace(_PLAIN[50], squeeze=True, stem=_TIERED, pooled_shortcut=True)
    yield _entry("seresnet50t", variant, source)
    for depth, groups, width in ((50, 32, 4), (101, 32, 4), (101, 32, 8), (101, 64, 4)):
        variant = replace(_PLAIN[depth], groups=groups, group_width=width, squeeze=True)
        yield _entry(f"seresnext{depth}_{groups}x{width}d", variant, source)


def _grouped_entries() -> Iterator[Entry]:
    """ResNeXt by groups and their width, Wide ResNet by a wider 3x3."""
    # the wider ones: Mahajan et al. 2018 (weakly supervised pretraining)
    for depth, groups, width in ((50, 32, 4), (101, 32, 4), (101, 32, 8), (101, 32, 16), (101, 32, 32), (101, 64, 4)):
        source = "Xie et al. 2017; torchvision model metadata"
        source = source if (groups, width) in ((32, 8), (64, 4)) or depth == 50 else f"Xie et al. 2017; {_TIMM}"
        variant = replace(_PLAIN[depth], groups=groups, group_width=width)
        yield _entry(f"resnext{depth}_{groups}x{width}d", variant, source)
    variant = replace(_PLAIN[50], groups=32, group_width=4, stem=_DEEP, pooled_shortcut=True)
    yield _entry("resnext50d_32x4d", variant, f"Xie et al. 2017, He et al. 2019; {_TIMM}")
    for depth in (50, 101):
        source = "Zagoruyko and Komodakis 2016; torchvision model metadata"
        yield _entry(f"wide_resnet{depth}_2", replace(_PLAIN[depth], group_width=128), source)


def _cifar_entries(depths: Sequence[int]) -> Iterator[Entry]:
    for depth in depths:  # 6n + 2 layers
        write = partial(_cifar_resnet, blocks=(depth - 2) // 6)
        source = "He et al. 2015, section 4.2, option A shortcuts"
        yield Entry(f"cifar_resnet{depth}", write, (3, 32, 32), source, (f"ResNet-{depth} CIFAR (option A)",))


ENTRIES = (
    *_plain_entries(),
    *_tailored_entries(),
    *_squeezed_entries(),
    *_grouped_entries(),
    *_cifar_entries((20, 32, 44, 56, 110)),
)
