"""PoolFormer [Yu et al., CVPR 2022]: a transformer block with average pooling for attention.

As in timm: the last normalisation follows the global pooling. Group normalisation is over one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Norm, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_NARROW, _WIDE = (64, 128, 320, 512), (96, 192, 384, 768)

# Blocks of each stage and their channels [Yu'22, table 1]
_SIZES = {
    "s12": ((2, 2, 6, 2), _NARROW),
    "s24": ((4, 4, 12, 4), _NARROW),
    "s36": ((6, 6, 18, 6), _NARROW),
    "m36": ((6, 6, 18, 6), _WIDE),
    "m48": ((8, 8, 24, 8), _WIDE),
}


def _scaled(net: Builder, x: str) -> str:
    return net.add(Elementwise("mul"), x, net.constant((net.shape(x)[1], 1, 1)))


def _block(net: Builder, x: str) -> str:
    channels = net.shape(x)[1]
    y = net.add(Norm("group"), x)
    y = net.add(Elementwise("sub"), net.add(Pool2d("avg", 3, 1, 1), y), y)
    x = net.residual(x, _scaled(net, y))
    y = net.add(Conv2d.square(4 * channels, 1, bias=True), net.add(Norm("group"), x))
    y = net.add(Conv2d.square(channels, 1, bias=True), net.add(Activation("gelu"), y))
    return net.residual(x, _scaled(net, y))


def _poolformer(net: Builder, *, depths: Sequence[int], widths: Sequence[int]) -> str:
    x = net.input
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        patches = (
            Conv2d.square(width, 3, stride=2, bias=True)
            if stage
            else Conv2d.square(width, 7, stride=4, padding=2, bias=True)
        )
        x = net.add(patches, x)
        for _ in range(depth):
            x = _block(net, x)
    x = net.add(Norm("layer"), net.add(Pool2d("avg"), x))
    return net.linear(net.flatten(x), 1000)


ENTRIES = tuple(
    Entry(
        f"poolformer_{size}",
        partial(_poolformer, depths=depths, widths=widths),
        (3, 224, 224),
        "Yu et al. 2022; timm results tables",
    )
    for size, (depths, widths) in _SIZES.items()
)
