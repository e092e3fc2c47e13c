"""MobileNetV4 [Qin et al., ECCV 2024], convolutional and hybrid, as timm writes it down.

The universal inverted bottleneck has two optional depthwise convolutions, before its expansion and inside it; both,
one or none make the paper's ExtraDW, inverted bottleneck, ConvNeXt-like and feed-forward blocks. Hybrids mix in
multi-query attention: one key and one value for all heads, on a map halved by a depthwise convolution at stride 16.
Their blocks end in a learned scale a channel. Networks stand at the input of timm's first weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import (
    ActivationName,
    Conv2d,
    Elementwise,
    MatMul,
    Norm,
    Permute,
    Pool2d,
    Reshape,
    Softmax,
)
from hwmodels.workload.zoo.mobilenet import divisible
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


class _Conv(NamedTuple):
    """A convolution with norm and activation."""

    kernel: int
    channels: int
    stride: int = 1


class _Fused(NamedTuple):
    """A strided 3x3 that widens, and a linear 1x1."""

    expansion: int
    channels: int


class _Uib(NamedTuple):
    """Universal inverted bottleneck: kernels before the expansion and inside it, 0 for none."""

    start: int
    middle: int
    expansion: int
    channels: int
    stride: int = 1


class _Attention(NamedTuple):
    """Multi-query attention; keys and values stand on a map reduced by `stride`."""

    heads: int
    width: int
    channels: int
    stride: int = 1


_Block = _Conv | _Fused | _Uib | _Attention
_HEAD = (_Conv(1, 960),)


class _Variant(NamedTuple):
    stem: int
    blocks: tuple[_Block, ...]
    activation: ActivationName = "relu"
    is_scaled: bool = False


# Tables of the paper's appendix, in the order of timm's definitions (timm/models/mobilenetv3.py, _gen_mobilenet_v4)
_SMALL = _Variant(32, (
    _Conv(3, 32, 2), _Conv(1, 32), _Conv(3, 96, 2), _Conv(1, 64),
    _Uib(5, 5, 3, 96, 2), *(_Uib(0, 3, 2, 96),) * 4, _Uib(3, 0, 4, 96),
    _Uib(3, 3, 6, 128, 2), _Uib(5, 5, 4, 128), _Uib(0, 5, 4, 128), _Uib(0, 5, 3, 128), *(_Uib(0, 3, 4, 128),) * 2,
    *_HEAD,
))  # fmt: skip
_MEDIUM = _Variant(32, (
    _Fused(4, 48), _Uib(3, 5, 4, 80, 2), _Uib(3, 3, 2, 80),
    _Uib(3, 5, 6, 160, 2), *(_Uib(3, 3, 4, 160),) * 2, _Uib(3, 5, 4, 160), _Uib(3, 3, 4, 160), _Uib(3, 0, 4, 160),
    _Uib(0, 0, 2, 160), _Uib(3, 0, 4, 160),
    _Uib(5, 5, 6, 256, 2), _Uib(5, 5, 4, 256), *(_Uib(3, 5, 4, 256),) * 2, _Uib(0, 0, 4, 256), _Uib(3, 0, 4, 256),
    _Uib(3, 5, 2, 256), _Uib(5, 5, 4, 256), *(_Uib(0, 0, 4, 256),) * 2, _Uib(5, 0, 2, 256),
    *_HEAD,
))  # fmt: skip
_LARGE = _Variant(24, (
    _Fused(4, 48), _Uib(3, 5, 4, 96, 2), _Uib(3, 3, 4, 96),
    _Uib(3, 5, 4, 192, 2), *(_Uib(3, 3, 4, 192),) * 3, _Uib(3, 5, 4, 192), *(_Uib(5, 3, 4, 192),) * 5,
    _Uib(3, 0, 4, 192),
    _Uib(5, 5, 4, 512, 2), *(_Uib(5, 5, 4, 512),) * 3, _Uib(5, 0, 4, 512), _Uib(5, 3, 4, 512),
    *(_Uib(5, 0, 4, 512),) * 2, _Uib(5, 3, 4, 512), _Uib(5, 5, 4, 512), *(_Uib(5, 0, 4, 512),) * 3,
    *_HEAD,
))  # fmt: skip
_HALVED, _WHOLE = _Attention(4, 64, 160, 2), _Attention(4, 64, 256)
_HYBRID_MEDIUM = _Variant(32, (
    _Fused(4, 48), _Uib(3, 5, 4, 80, 2), _Uib(3, 3, 2, 80),
    _Uib(3, 5, 6, 160, 2), _Uib(0, 0, 2, 160), _Uib(3, 3, 4, 160), _Uib(3, 5, 4, 160), _HALVED, _Uib(3, 3, 4, 160),
    _HALVED, _Uib(3, 0, 4, 160), _HALVED, _Uib(3, 3, 4, 160), _HALVED, _Uib(3, 0, 4, 160),
    _Uib(5, 5, 6, 256, 2), _Uib(5, 5, 4, 256), *(_Uib(3, 5, 4, 256),) * 2, _Uib(0, 0, 2, 256), _Uib(3, 5, 2, 256),
    _Uib(0, 0, 2, 256), _Uib(0, 0, 4, 256), _WHOLE, _Uib(3, 0, 4, 256), _WHOLE, _Uib(5, 5, 4, 256), _WHOLE,
    _Uib(5, 0, 4, 256), _WHOLE, _Uib(5, 0, 4, 256),
    *_HEAD,
), is_scaled=True)  # fmt: skip
_WIDE_HALVED, _WIDE_WHOLE = _Attention(8, 48, 192, 2), _Attention(8, 64, 512)
_HYBRID_LARGE = _Variant(24, (
    _Fused(4, 48), _Uib(3, 5, 4, 96, 2), _Uib(3, 3, 4, 96),
    _Uib(3, 5, 4, 192, 2), *(_Uib(3, 3, 4, 192),) * 3, _Uib(3, 5, 4, 192), *(_Uib(5, 3, 4, 192),) * 2, _WIDE_HALVED,
    *(_Uib(5, 3, 4, 192), _WIDE_HALVED) * 3, _Uib(3, 0, 4, 192),
    _Uib(5, 5, 4, 512, 2), *(_Uib(5, 5, 4, 512),) * 3, _Uib(5, 0, 4, 512), _Uib(5, 3, 4, 512),
    *(_Uib(5, 0, 4, 512),) * 2, _Uib(5, 3, 4, 512), _Uib(5, 5, 4, 512), *(_WIDE_WHOLE, _Uib(5, 0, 4, 512)) * 4,
    *_HEAD,
), activation="gelu", is_scaled=True)  # fmt: skip


def _mobilenet_v4(net: Builder, *, variant: _Variant, width: float = 1.0) -> str:
    """Stem, blocks, pooling, a last 1x1 of 1280 features; widths below one leave stem and features as they are."""
    x = net.conv_norm_act(net.input, variant.stem, 3, stride=2, activation=variant.activation)
    for block in variant.blocks:
        x = _block(net, x, block._replace(channels=divisible(block.channels * width)), variant)
    x = net.conv_norm_act(net.add(Pool2d("avg"), x), 1280, 1, activation=variant.activation)
    return net.linear(net.flatten(x), 1000)


def _block(net: Builder, x: str, block: _Block, variant: _Variant) -> str:
    if isinstance(block, _Conv):
        return net.conv_norm_act(x, block.channels, block.kernel, stride=block.stride, activation=variant.activation)
    if isinstance(block, _Fused):
        y = net.conv_norm_act(x, net.shape(x)[1] * block.expansion, 3, stride=2, activation=variant.activation)
        return net.conv_norm_act(y, block.channels, 1, activation=None)
    y = _bottleneck(net, x, block, variant.activation) if isinstance(block, _Uib) else _attend(net, x, block)
    if variant.is_scaled:
        y = net.add(Elementwise("mul"), y, net.constant((block.channels, 1, 1)))
    return net.residual(x, y) if net.shape(x) == net.shape(y) else y


def _bottleneck(net: Builder, x: str, block: _Uib, activation: ActivationName) -> str:
    """The stride is that of the inner depthwise convolution, or of the first where there is no inner one."""
    channels = net.shape(x)[1]
    hidden = divisible(channels * block.expansion)
    if block.start:
        stride = 1 if block.middle else block.stride
        x = net.conv_norm_act(x, channels, block.start, stride=stride, groups=channels, activation=None)
    x = net.conv_norm_act(x, hidden, 1, activation=activation)
    if block.middle:
        x = net.conv_norm_act(x, hidden, block.middle, stride=block.stride, groups=hidden, activation=activation)
    return net.conv_norm_act(x, block.channels, 1, activation=None)


def _attend(net: Builder, x: str, block: _Attention) -> str:
    """Queries of all heads stand in one product, since they share their key and value."""
    x = net.add(Norm("batch"), x)
    batch, channels, height, width = net.shape(x)
    tokens = height * width
    query = net.add(Conv2d.square(block.heads * block.width, 1), x)
    query = net.add(Reshape((batch, block.heads, block.width, tokens)), query)
    query = net.add(Permute((0, 1, 3, 2)), query)
    query = net.add(Reshape((batch, block.heads * tokens, block.width)), query)
    key, value = (_reduced(net, x, block) for _ in range(2))
    scores = net.add(Softmax(), net.add(MatMul(), query, key))
    mixed = net.add(MatMul(), scores, net.add(Permute((0, 2, 1)), value))
    mixed = net.add(Reshape((batch, block.heads, tokens, block.width)), mixed)
    mixed = net.add(Permute((0, 1, 3, 2)), mixed)
    mixed = net.add(Reshape((batch, block.heads * block.width, height, width)), mixed)
    return net.add(Conv2d.square(channels, 1), mixed)


def _reduced(net: Builder, x: str, block: _Attention) -> str:
    """A key or value, (batch, width, tokens)."""
    channels = net.shape(x)[1]
    if block.stride > 1:
        x = net.conv_norm_act(x, channels, 3, stride=block.stride, groups=channels, activation=None)
    x = net.add(Conv2d.square(block.width, 1), x)
    batch, features, height, width = net.shape(x)
    return net.add(Reshape((batch, features, height * width)), x)


def _entries() -> Iterator[Entry]:
    source = "Qin et al. 2024, appendix; timm results tables"
    for name, variant, size in (
        ("conv_small", _SMALL, 224),
        ("conv_medium", _MEDIUM, 256),
        ("conv_large", _LARGE, 384),
        ("hybrid_medium", _HYBRID_MEDIUM, 256),
        ("hybrid_large", _HYBRID_LARGE, 384),
    ):
        plain = "".join(word.title() for word in name.split("_"))
        aliases = (f"mobilenetv4_{name}", f"MNv4-{plain}", f"MobileNetV4-{plain}")
        write = partial(_mobilenet_v4, variant=variant)
        yield Entry(f"mobilenet_v4_{name}", write, (3, size, size), source, aliases)
    for width, hundredths in ((0.35, "035"), (0.5, "050")):
        write = partial(_mobilenet_v4, variant=_SMALL, width=width)
        alias = f"mobilenetv4_conv_small_{hundredths}"
        yield Entry(f"mobilenet_v4_conv_small_{hundredths}", write, (3, 224, 224), source, (alias,))


ENTRIES = tuple(_entries())
