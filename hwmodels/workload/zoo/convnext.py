"""ConvNeXt [Liu et al., CVPR 2022] and ConvNeXt V2 [Woo et al., CVPR 2023]: depthwise 7x7 before a pointwise MLP.

The MLP runs over the last axis of (batch, pixels, channels), as in the paper's and torchvision's code; timm's smallest
sizes write the same products as 1x1 convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Norm, Permute, Pool2d, Reduce, Reshape
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


@dataclass(frozen=True)
class _Variant:
    """What makes a network of this family.

    `overlap` is the channels of the first of two overlapping 3x3 in place of the 4x4 patches; `response_norm` is V2's
    global response normalisation in place of layer scale; `norm_first` normalises before the pooling of the head;
    `hidden_head` puts a dense layer before the classifier.
    """

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    overlap: int = 0
    response_norm: bool = False
    norm_first: bool = False
    hidden_head: bool = False


def _response_norm(net: Builder, x: str) -> str:
    """y = x + gamma (x n) + beta, where n is each channel's L2 norm over pixels by its mean [Woo'23, eqs. 1 to 3]."""
    features = net.shape(x)[-1]
    energy = net.add(Reduce((1,), keep_axes=True, mode="norm"), x)
    share = net.add(Elementwise("div"), energy, net.add(Reduce((2,), keep_axes=True), energy))
    y = net.add(Elementwise("mul"), x, share)
    y = net.add(Elementwise("mul"), y, net.constant((features,)))
    return net.residual(x, net.residual(y, net.constant((features,))))


def _block(net: Builder, x: str, *, response_norm: bool) -> str:
    batch, channels, height, width = net.shape(x)
    y = net.add(Conv2d.square(channels, 7, groups=channels, bias=True), x)
    y = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, channels, height * width)), y))
    y = net.linear(net.add(Norm("layer"), y), 4 * channels)
    y = net.add(Activation("gelu"), y)
    y = _response_norm(net, y) if response_norm else y
    y = net.linear(y, channels)
    if not response_norm:
        y = net.add(Elementwise("mul"), y, net.constant((channels,)))
    y = net.add(Reshape((batch, channels, height, width)), net.add(Permute((0, 2, 1)), y))
    return net.residual(y, x)


def _convnext(net: Builder, variant: _Variant) -> str:
    x, first = net.input, variant.widths[0]
    if variant.overlap:
        x = net.add(Conv2d.square(variant.overlap, 3, stride=2, bias=True), x)
        x = net.add(Conv2d.square(first, 3, stride=2, bias=True), x)
    else:
        x = net.add(Conv2d.square(first, 4, stride=4, padding=0, bias=True), x)
    x = net.add(Norm("layer"), x)
    for stage, (depth, width) in enumerate(zip(variant.depths, variant.widths, strict=True)):
        if stage > 0:
            x = net.add(Conv2d.square(width, 2, stride=2, padding=0, bias=True), net.add(Norm("layer"), x))
        for _ in range(depth):
            x = _block(net, x, response_norm=variant.response_norm)
    if variant.norm_first:
        x = net.add(Pool2d("avg"), net.add(Norm("layer"), x))
    else:
        x = net.add(Norm("layer"), net.add(Pool2d("avg"), x))
    x = net.flatten(x)
    if variant.hidden_head:
        x = net.add(Activation("gelu"), net.linear(x, variant.widths[-1]))
    return net.linear(x, 1000)


def _sized(depths: tuple[int, int, int, int], first: int) -> _Variant:
    return _Variant(depths, (first, 2 * first, 4 * first, 8 * first))


# Blocks of each stage and channels of the first [Liu'22, sec. 3; small ones and huge: Woo'23, app. A; timm]
_SIZES = {
    "atto": _sized((2, 2, 6, 2), 40),
    "femto": _sized((2, 2, 6, 2), 48),
    "pico": _sized((2, 2, 6, 2), 64),
    "nano": _sized((2, 2, 8, 2), 80),
    "tiny": _sized((3, 3, 9, 3), 96),
    "small": _sized((3, 3, 27, 3), 96),
    "base": _sized((3, 3, 27, 3), 128),
    "large": _sized((3, 3, 27, 3), 192),
    "xlarge": _sized((3, 3, 27, 3), 256),
    "xxlarge": _sized((3, 4, 30, 3), 384),
    "huge": _sized((3, 3, 27, 3), 352),
}
_FIRST = tuple(size for size in _SIZES if size != "huge")
_SECOND = tuple(size for size in _SIZES if not size.startswith("x"))
_TORCHVISION = ("tiny", "small", "base", "large")

# Channels of the first convolution of an overlapping stem [timm]
_OVERLAPS = {"atto": 24, "femto": 24, "pico": 32, "nano": 80}


def _entry(name: str, variant: _Variant, source: str) -> Entry:
    return Entry(name, partial(_convnext, variant=variant), (3, 224, 224), source)


def _entries() -> Iterator[Entry]:
    paper, timm = "Liu et al. 2022", "timm results tables"
    for size in _FIRST:
        source = "torchvision model metadata" if size in _TORCHVISION else timm
        yield _entry(f"convnext_{size}", _SIZES[size], f"{paper}; {source}")
    for size, channels in _OVERLAPS.items():
        variant = replace(_SIZES[size], overlap=channels)
        yield _entry(f"convnext_{size}_ols", variant, f"{paper}, overlapping stem; {timm}")
    variant = replace(_SIZES["tiny"], norm_first=True)
    yield _entry("convnext_tiny_hnf", variant, f"{paper}, norm before the pooling; {timm}")
    variant = replace(_SIZES["large"], hidden_head=True)
    yield _entry("convnext_large_mlp", variant, f"{paper}, hidden layer in the head; {timm}")
    for size in _SECOND:
        variant = replace(_SIZES[size], response_norm=True)
        yield _entry(f"convnextv2_{size}", variant, "Woo et al. 2023; timm's model of this name")


ENTRIES = tuple(_entries())
