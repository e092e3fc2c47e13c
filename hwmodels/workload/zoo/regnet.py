"""RegNet [Radosavovic et al., CVPR 2020]: widths that grow linearly with depth, quantised into stages.

X has grouped bottlenecks of ratio 1, Y adds squeeze-and-excitation of a quarter of the block's input channels.
A stage's width must be a multiple of its group's. Two published ways to make it so give two networks for some sizes:
the nearest multiple (the paper's code, timm) or the nearest that keeps 90 % (torchvision).
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from math import log
from typing import NamedTuple

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Pool2d
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


class _Rule(NamedTuple):
    """Block j is about ``initial + slope j`` wide, rounded to ``initial multiplier^s`` for an integer s."""

    depth: int
    initial: int
    slope: float
    multiplier: float
    group_width: int


# [Radosavovic'20, appendix D and tables 2 and 3], by millions of MACs; Y of 128 G: Goyal et al. 2021 (SEER)
_X = {
    200: _Rule(13, 24, 36.44, 2.49, 8),
    400: _Rule(22, 24, 24.48, 2.54, 16),
    600: _Rule(16, 48, 36.97, 2.24, 24),
    800: _Rule(16, 56, 35.73, 2.28, 16),
    1600: _Rule(18, 80, 34.01, 2.25, 24),
    3200: _Rule(25, 88, 26.31, 2.25, 48),
    4000: _Rule(23, 96, 38.65, 2.43, 40),
    6400: _Rule(17, 184, 60.83, 2.07, 56),
    8000: _Rule(23, 80, 49.56, 2.88, 120),
    12000: _Rule(19, 168, 73.36, 2.37, 112),
    16000: _Rule(22, 216, 55.59, 2.1, 128),
    32000: _Rule(23, 320, 69.86, 2.0, 168),
}
_Y = {
    200: _Rule(13, 24, 36.44, 2.49, 8),
    400: _Rule(16, 48, 27.89, 2.09, 8),
    600: _Rule(15, 48, 32.54, 2.32, 16),
    800: _Rule(14, 56, 38.84, 2.4, 16),
    1600: _Rule(27, 48, 20.71, 2.65, 24),
    3200: _Rule(21, 80, 42.63, 2.66, 24),
    4000: _Rule(22, 96, 31.41, 2.24, 64),
    6400: _Rule(25, 112, 33.22, 2.27, 72),
    8000: _Rule(17, 192, 76.82, 2.19, 56),
    12000: _Rule(19, 168, 73.36, 2.37, 112),
    16000: _Rule(18, 200, 106.23, 2.48, 112),
    32000: _Rule(20, 232, 115.89, 2.53, 232),
    64000: _Rule(20, 352, 147.48, 2.4, 328),
    128000: _Rule(27, 456, 160.83, 2.52, 264),
}


def _multiple(width: int, group: int, *, keep: float) -> int:
    """The nearest multiple of the group's width, or the next where less than `keep` of the width would remain."""
    nearest = max(group, int(width / group + 0.5) * group) if keep else round(width / group) * group
    return nearest + group if nearest < keep * width else nearest


def _stages(rule: _Rule, keep: float) -> list[tuple[int, int, int]]:
    """(blocks, width, group width) of each stage [Radosavovic'20, eqs. 2 to 4]."""
    widths = []
    for index in range(rule.depth):
        power = round(log((rule.initial + rule.slope * index) / rule.initial) / log(rule.multiplier))
        widths.append(round(rule.initial * rule.multiplier**power / 8) * 8)
    stages = []
    for width, blocks in groupby(widths):
        group = min(rule.group_width, width)
        stages.append((len(list(blocks)), _multiple(width, group, keep=keep), group))
    return stages


def _block(net: Builder, x: str, width: int, group: int, *, stride: int, squeezed: bool) -> str:
    channels = net.shape(x)[1]
    y = net.conv_norm_act(x, width, 1)
    y = net.conv_norm_act(y, width, 3, stride=stride, groups=width // group)
    if squeezed:
        y = net.squeeze_excite(y, round(0.25 * channels))
    y = net.conv_norm_act(y, width, 1, activation=None)
    if stride > 1 or channels != width:
        x = net.conv_norm_act(x, width, 1, stride=stride, activation=None)
    return net.add(Activation("relu"), net.residual(y, x))


def _regnet(net: Builder, *, rule: _Rule, squeezed: bool, keep: float) -> str:
    x = net.conv_norm_act(net.input, 32, 3, stride=2)
    for blocks, width, group in _stages(rule, keep):
        for index in range(blocks):
            x = _block(net, x, width, group, stride=2 if index == 0 else 1, squeezed=squeezed)
    return net.linear(net.flatten(net.add(Pool2d("avg"), x)), 1000)


def _size(mega: int) -> str:
    """The size in a name: 400mf, 1_6gf, 16gf."""
    return f"{mega}mf" if mega < 1000 else f"{mega / 1000:g}gf".replace(".", "_")


# The sizes that torchvision has
_TORCHVISION = {
    "x": (400, 800, 1600, 3200, 8000, 16000, 32000),
    "y": (400, 800, 1600, 3200, 8000, 16000, 32000, 128000),
}


def _entries(letter: str, mega: int, rule: _Rule) -> tuple[Entry, ...]:
    """One entry, or two where torchvision's rule of widths gives another network than the paper's."""
    squeezed, timm = letter == "y", f"regnet{letter}_{mega // 100:03d}"
    write = partial(_regnet, rule=rule, squeezed=squeezed)
    paper, torchvision = _stages(rule, 0.0), _stages(rule, 0.9)
    name, shape = f"regnet_{letter}_{_size(mega)}", (3, 224, 224)
    source = "Radosavovic et al. 2020; torchvision model metadata"
    if mega not in _TORCHVISION[letter]:
        source = "Radosavovic et al. 2020; timm results tables"
        return (Entry(name, partial(write, keep=0.0), shape, source, (timm,)),)
    if paper == torchvision:
        return (Entry(name, partial(write, keep=0.0), shape, source, (timm,)),)
    return (
        Entry(name, partial(write, keep=0.9), shape, f"{source} (widths keep 90 %)", (f"{timm}_tv",)),
        Entry(timm, partial(write, keep=0.0), shape, "Radosavovic et al. 2020; timm results tables"),
    )


ENTRIES = tuple(
    entry
    for letter, sizes in (("x", _X), ("y", _Y))
    for mega, rule in sizes.items()
    for entry in _entries(letter, mega, rule)
)
