"""Swin Transformer [Liu et al., ICCV 2021] and V2 [Liu et al., CVPR 2022]: attention in windows that shift every block.

A window is no larger than the feature map, and a map that is not a multiple of it is refused: no padding is modelled.
V2's position bias comes from a small network over the offsets; it runs once a forward pass whatever the batch, as in
the published code, though its result could be stored. torchvision stores a key bias in V2 that stays zero, timm none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import (
    Activation,
    Conv2d,
    Elementwise,
    Norm,
    Permute,
    Rearrange,
    Reduce,
    Reshape,
    View,
)
from hwmodels.workload.zoo.record import Entry
from hwmodels.workload.zoo.windows import cosine_attention, merge, partition, position_bias, window_attention

__all__ = ["ENTRIES"]


@dataclass(frozen=True)
class _Variant:
    """Blocks of each stage, features of the first (doubled at each), features of a head, side of a window."""

    depths: tuple[int, int, int, int]
    features: int
    window: int
    second: bool = False
    key_bias: bool = True


_HEAD_FEATURES = 32


def _continuous_bias(net: Builder, heads: int, window: int) -> str:
    """16 sigmoid of a two-layer network over the log-spaced offsets, hidden 512 [Liu'22, sec. 3.3]."""
    offsets = net.add(View((1, (2 * window - 1) ** 2, 2)))  # data of the code, nothing learned
    hidden = net.add(Activation("relu"), net.linear(offsets, 512))
    table = net.linear(hidden, heads, bias=False)
    bias = net.add(Rearrange("gather", (heads, window**2, window**2)), table)
    return net.add(Elementwise("mul"), net.add(Activation("sigmoid"), bias))


def _attention(net: Builder, x: str, size: tuple[int, int], variant: _Variant, *, shifted: bool) -> str:
    shape, window = net.shape(x), min(variant.window, *size)
    heads = shape[2] // _HEAD_FEATURES
    shifted = shifted and window < max(size)
    bias = _continuous_bias(net, heads, window) if variant.second else position_bias(net, heads, window)
    mask = None
    if shifted:
        x = net.add(Rearrange("roll", shape), x)
        windows = (size[0] // window) * (size[1] // window)
        mask = net.add(View((windows, 1, window**2, window**2)))  # which tokens were neighbours before the roll
    x = partition(net, x, size, window)
    if variant.second:
        x = cosine_attention(net, x, heads, bias, mask=mask, key_bias=variant.key_bias)
    else:
        x = window_attention(net, x, heads, bias, mask=mask)
    x = merge(net, x, size, window)
    return net.add(Rearrange("roll", shape), x) if shifted else x


def _block(net: Builder, x: str, size: tuple[int, int], variant: _Variant, *, shifted: bool) -> str:
    """V1 normalises what enters attention and MLP, V2 what leaves them."""
    features = net.shape(x)[2]

    def normalised(y: str, *, here: bool) -> str:
        return net.add(Norm("layer"), y) if here else y

    y = _attention(net, normalised(x, here=not variant.second), size, variant, shifted=shifted)
    x = net.residual(x, normalised(y, here=variant.second))
    y = net.linear(normalised(x, here=not variant.second), 4 * features)
    y = net.linear(net.add(Activation("gelu"), y), features)
    return net.residual(x, normalised(y, here=variant.second))


def _patch_merging(net: Builder, x: str, *, second: bool) -> str:
    """Four neighbours become one token of twice the features."""
    batch, tokens, features = net.shape(x)
    x = net.add(Rearrange("patch merging", (batch, tokens // 4, 4 * features)), x)
    if second:
        return net.add(Norm("layer"), net.linear(x, 2 * features, bias=False))
    return net.linear(net.add(Norm("layer"), x), 2 * features, bias=False)


def _swin(net: Builder, variant: _Variant) -> str:
    x = net.add(Conv2d.square(variant.features, 4, stride=4, padding=0, bias=True), net.input)
    batch, features, height, width = net.shape(x)
    x = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, features, height * width)), x))
    x = net.add(Norm("layer"), x)
    for stage, depth in enumerate(variant.depths):
        if stage > 0:
            x = _patch_merging(net, x, second=variant.second)
            height, width = height // 2, width // 2
        for index in range(depth):
            x = _block(net, x, (height, width), variant, shifted=index % 2 == 1)
    return net.linear(net.add(Reduce((1,)), net.add(Norm("layer"), x)), 1000)


# [Liu'21, sec. 3.3]; windows of 7 at 224 pixels and 12 at 384, in V2 of 8 and 16 at 256
_SIZES = {
    "tiny": _Variant((2, 2, 6, 2), 96, 7),
    "small": _Variant((2, 2, 18, 2), 96, 7),
    "base": _Variant((2, 2, 18, 2), 128, 7),
    "large": _Variant((2, 2, 18, 2), 192, 7),
}


def _entry(name: str, variant: _Variant, pixels: int, source: str, *aliases: str) -> Entry:
    return Entry(name, partial(_swin, variant=variant), (3, pixels, pixels), source, aliases)


def _entries() -> Iterator[Entry]:
    first, timm = "Liu et al. 2021", "timm results tables"
    for size in ("tiny", "small", "base"):
        alias = f"swin_{size}_patch4_window7_224"
        yield _entry(f"swin_{size[0]}", _SIZES[size], 224, f"{first}; torchvision model metadata", alias)
    yield _entry("swin_large_patch4_window7_224", _SIZES["large"], 224, f"{first}; {timm}")
    for size in ("base", "large"):
        variant = replace(_SIZES[size], window=12)
        yield _entry(f"swin_{size}_patch4_window12_384", variant, 384, f"{first}; {timm}")
    second = "Liu et al. 2022 (V2)"
    for size in ("tiny", "small", "base"):
        variant = replace(_SIZES[size], window=8, second=True)
        yield _entry(f"swin_v2_{size[0]}", variant, 256, f"{second}; torchvision model metadata")
        for window in (8, 16):
            variant = replace(_SIZES[size], window=window, second=True, key_bias=False)
            yield _entry(f"swinv2_{size}_window{window}_256", variant, 256, f"{second}, without a key bias; timm")


ENTRIES = tuple(_entries())
