"""Vision transformers: ViT [Dosovitskiy et al., ICLR 2021]."""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, Norm, Permute, Reshape, Select
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _vit(net: Builder, *, patch: int, depth: int, features: int, heads: int) -> str:
    """Pre-norm encoder over patches; class token and learned positions."""
    batch = net.shape(net.input)[0]
    x = net.add(Conv2d.square(features, patch, stride=patch, padding=0, bias=True), net.input)
    tokens = net.shape(x)[2] * net.shape(x)[3]
    x = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, features, tokens)), x))
    x = net.add(Concat(axis=1), net.constant((1, 1, features)), x)
    x = net.residual(x, net.constant((1, tokens + 1, features)))
    for _ in range(depth):
        x = net.residual(x, net.attention(net.add(Norm("layer"), x), heads=heads))
        y = net.add(Activation("gelu"), net.linear(net.add(Norm("layer"), x), 4 * features))
        x = net.residual(x, net.linear(y, features))
    x = net.add(Norm("layer"), x)
    return net.linear(net.add(Select(axis=1), x), 1000)


ENTRIES = (
    Entry(
        "vit_b_16",
        partial(_vit, patch=16, depth=12, features=768, heads=12),
        (3, 224, 224),
        "Dosovitskiy et al. 2020; torchvision model metadata",
    ),
)
