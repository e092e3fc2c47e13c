"""Vision transformers: ViT [Dosovitskiy et al., ICLR 2021], DeiT [Touvron et al., ICML 2021], DeiT III, CLIP's towers.

The query, key and value projections are three products; a fused one is the same work. The classifier is one dense layer
("fine-tuned" head), the hidden layer of the paper's pretraining head is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, Elementwise, Norm, Permute, Reduce, Reshape, Select
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


@dataclass(frozen=True)
class _Variant:
    """What makes a network of this family.

    `class_tokens` is 1 for ViT, 2 for a distilled DeiT (two classifiers, averaged), 0 for the mean over all patches.
    CLIP's towers (`pre_norm`) normalise what enters the encoder and drop the bias of the patches. DeiT III scales every
    branch (`layer_scale`) and gives no position to the class token (`place_class` false).
    """

    features: int
    depth: int
    heads: int
    hidden: int
    patch: int = 16
    class_tokens: int = 1
    pre_norm: bool = False
    layer_scale: bool = False
    place_class: bool = True


def _embedded(net: Builder, variant: _Variant) -> str:
    """Patches, class tokens and learned positions."""
    batch, features, patch = net.shape(net.input)[0], variant.features, variant.patch
    x = net.add(Conv2d.square(features, patch, stride=patch, padding=0, bias=not variant.pre_norm), net.input)
    tokens = net.shape(x)[2] * net.shape(x)[3]
    x = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, features, tokens)), x))
    if not variant.place_class:
        x = net.residual(x, net.constant((1, tokens, features)))
    if variant.class_tokens:
        x = net.add(Concat(axis=1), net.constant((1, variant.class_tokens, features)), x)
    if variant.place_class:
        x = net.residual(x, net.constant((1, tokens + variant.class_tokens, features)))
    return net.add(Norm("layer"), x) if variant.pre_norm else x


def _scaled(net: Builder, x: str, variant: _Variant) -> str:
    return net.add(Elementwise("mul"), x, net.constant((variant.features,))) if variant.layer_scale else x


def _vit(net: Builder, variant: _Variant) -> str:
    """Pre-norm encoder over patches."""
    x = _embedded(net, variant)
    for _ in range(variant.depth):
        y = net.attention(net.add(Norm("layer"), x), heads=variant.heads)
        x = net.residual(x, _scaled(net, y, variant))
        y = net.add(Activation("gelu"), net.linear(net.add(Norm("layer"), x), variant.hidden))
        x = net.residual(x, _scaled(net, net.linear(y, variant.features), variant))
    x = net.add(Norm("layer"), x)
    if not variant.class_tokens:
        return net.linear(net.add(Reduce((1,)), x), 1000)
    votes = [net.linear(net.add(Select(axis=1, index=index), x), 1000) for index in range(variant.class_tokens)]
    if len(votes) == 1:
        return votes[0]
    return net.add(Elementwise("mul"), net.residual(*votes))  # by one half, a scalar


# Features, depth, heads, hidden features [Dosovitskiy'21, table 1; Touvron'21, table 1; Zhai et al. 2022, table 2]
_SIZES = {
    "tiny": _Variant(192, 12, 3, 768),
    "small": _Variant(384, 12, 6, 1536),
    "medium": _Variant(512, 12, 8, 2048),
    "base": _Variant(768, 12, 12, 3072),
    "large": _Variant(1024, 24, 16, 4096),
    "huge": _Variant(1280, 32, 16, 5120),
    "giant": _Variant(1408, 40, 16, 6144),
    "gigantic": _Variant(1664, 48, 16, 8192),
}

# torchvision's name for (size, patch) at 224 pixels
_TORCHVISION = {
    ("base", 16): "vit_b_16",
    ("base", 32): "vit_b_32",
    ("large", 16): "vit_l_16",
    ("large", 32): "vit_l_32",
    ("huge", 14): "vit_h_14",
}

# timm's rows of these names are of weights without a classifier: not the same network
_OTHER_CLASSES = ("vit_large_patch32_224", "vit_huge_patch14_224")

# (size, patch, pixels)
_PLAIN = (
    ("tiny", 16, 224), ("tiny", 16, 384), ("small", 16, 224), ("small", 16, 384),
    ("small", 32, 224), ("small", 32, 384), ("base", 8, 224), ("base", 16, 224), ("base", 16, 384),
    ("base", 32, 224), ("base", 32, 384), ("large", 14, 224), ("large", 16, 224), ("large", 16, 384),
    ("large", 32, 224), ("large", 32, 384), ("huge", 14, 224), ("giant", 14, 224), ("gigantic", 14, 224),
)  # fmt: skip
_CLIP = (
    ("base", 16, 224), ("base", 16, 384), ("base", 32, 224),
    ("base", 32, 384), ("base", 32, 448), ("large", 14, 224), ("large", 14, 336), ("huge", 14, 224), ("huge", 14, 336),
)  # fmt: skip
_DEIT_III = (
    ("small", 16, 224), ("small", 16, 384), ("medium", 16, 224), ("base", 16, 224), ("base", 16, 384),
    ("large", 16, 224), ("large", 16, 384), ("huge", 14, 224),
)  # fmt: skip


def _entry(name: str, variant: _Variant, pixels: int, source: str, *aliases: str) -> Entry:
    return Entry(name, partial(_vit, variant=variant), (3, pixels, pixels), source, aliases)


def _plain_entries() -> Iterator[Entry]:
    for size, patch, pixels in _PLAIN:
        timm = f"vit_{size}_patch{patch}_{pixels}"
        aliases = (f"deit_{size}_patch16_{pixels}",) if size in ("tiny", "small", "base") and patch == 16 else ()
        if size in ("tiny", "small") and pixels != 224:
            aliases = ()  # DeiT was published at 384 pixels for the base alone
        name = _TORCHVISION.get((size, patch)) if pixels == 224 else None
        variant = replace(_SIZES[size], patch=patch)
        if name:
            aliases = (timm, *aliases) if timm not in _OTHER_CLASSES else aliases
            yield _entry(name, variant, pixels, "Dosovitskiy et al. 2020; torchvision model metadata", *aliases)
        else:
            yield _entry(timm, variant, pixels, "Dosovitskiy et al. 2020; timm results tables", *aliases)
    variant = replace(_SIZES["base"], class_tokens=0)
    yield _entry("vit_base_patch16_gap_224", variant, 224, "Beyer et al. 2022; timm results tables")


def _derived_entries() -> Iterator[Entry]:
    for size, pixels in (("tiny", 224), ("small", 224), ("base", 224), ("base", 384)):
        variant, source = replace(_SIZES[size], class_tokens=2), "Touvron et al. 2021, with the distillation token"
        yield _entry(f"deit_{size}_distilled_patch16_{pixels}", variant, pixels, source)
    for size, patch, pixels in _DEIT_III:
        variant = replace(_SIZES[size], patch=patch, layer_scale=True, place_class=False)
        yield _entry(f"deit3_{size}_patch{patch}_{pixels}", variant, pixels, "Touvron et al. 2022 (DeiT III)")
    for size, patch, pixels in _CLIP:
        variant, source = replace(_SIZES[size], patch=patch, pre_norm=True), "Radford et al. 2021; timm results tables"
        yield _entry(f"vit_{size}_patch{patch}_clip_{pixels}", variant, pixels, f"{source}, classifier for projection")


ENTRIES = (*_plain_entries(), *_derived_entries())
