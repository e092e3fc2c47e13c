"""MLP-Mixer [Tolstikhin et al., NeurIPS 2021]: dense layers over tokens and over features in turn."""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Permute, Reduce, Reshape
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

# Blocks and features [Tolstikhin'21, table 1]; hidden features are half as many over tokens, four times over features
_SIZES = {"s": (8, 512), "b": (12, 768), "l": (24, 1024), "h": (32, 1280)}
_NETWORKS = (("s", 32), ("s", 16), ("b", 32), ("b", 16), ("l", 32), ("l", 16), ("h", 14))


def _mlp(net: Builder, x: str, hidden: int) -> str:
    features = net.shape(x)[2]
    return net.linear(net.add(Activation("gelu"), net.linear(x, hidden)), features)


def _mixer(net: Builder, *, patch: int, depth: int, features: int) -> str:
    x = net.add(Conv2d.square(features, patch, stride=patch, padding=0, bias=True), net.input)
    batch, _, height, width = net.shape(x)
    x = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, features, height * width)), x))
    for _ in range(depth):
        y = net.add(Permute((0, 2, 1)), net.add(Norm("layer"), x))
        x = net.residual(x, net.add(Permute((0, 2, 1)), _mlp(net, y, features // 2)))
        x = net.residual(x, _mlp(net, net.add(Norm("layer"), x), 4 * features))
    return net.linear(net.add(Reduce((1,)), net.add(Norm("layer"), x)), 1000)


ENTRIES = tuple(
    Entry(
        f"mixer_{size}{patch}",
        partial(_mixer, patch=patch, depth=_SIZES[size][0], features=_SIZES[size][1]),
        (3, 224, 224),
        "Tolstikhin et al. 2021; timm results tables",
        (f"mixer_{size}{patch}_224",),
    )
    for size, patch in _NETWORKS
)
