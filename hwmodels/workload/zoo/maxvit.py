"""MaxViT [Tu et al., ECCV 2022]: inverted residuals, attention within windows, attention over a dilated grid.

As in torchvision: window and grid have the side of the last feature map (7 at 224 pixels), the shortcut of a stride
averages 3x3, the stem's first convolution has no bias, the head is a dense layer, tanh and a classifier without bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, Norm, Permute, Pool2d, Reshape
from hwmodels.workload.zoo.record import Entry
from hwmodels.workload.zoo.windows import position_bias, window_attention

__all__ = ["ENTRIES"]

_HEAD_FEATURES = 32


def _inverted_residual(net: Builder, x: str, out_channels: int, stride: int) -> str:
    """Pre-norm MBConv of expansion 4 with a squeeze to a quarter of the output channels."""
    shortcut, hidden = x, 4 * out_channels
    if stride > 1:
        shortcut = net.add(Pool2d("avg", 3, stride, 1), shortcut)
    if stride > 1 or net.shape(x)[1] != out_channels:
        shortcut = net.add(Conv2d.square(out_channels, 1, bias=True), shortcut)
    y = net.conv_norm_act(net.add(Norm("batch"), x), hidden, 1, activation="gelu")
    y = net.conv_norm_act(y, hidden, 3, stride=stride, groups=hidden, activation="gelu")
    y = net.squeeze_excite(y, out_channels // 4, inner="silu")
    return net.residual(shortcut, net.add(Conv2d.square(out_channels, 1, bias=True), y))


def _encoder_block(net: Builder, x: str, side: int) -> str:
    features = net.shape(x)[2]
    heads = features // _HEAD_FEATURES
    y = window_attention(net, net.add(Norm("layer"), x), heads, position_bias(net, heads, side))
    x = net.residual(x, y)
    y = net.add(Activation("gelu"), net.linear(net.add(Norm("layer"), x), 4 * features))
    return net.residual(x, net.linear(y, features))


def _partitioned_attention(net: Builder, x: str, side: int, *, grid: bool) -> str:
    """Tokens of a window are neighbours, those of a grid lie ``height / side`` apart."""
    batch, channels, height, width = net.shape(x)
    rows, columns = height // side, width // side
    split = (batch, channels, side, rows, side, columns) if grid else (batch, channels, rows, side, columns, side)
    axes = (0, 3, 5, 2, 4, 1) if grid else (0, 2, 4, 3, 5, 1)
    x = net.add(Permute(axes), net.add(Reshape(split), x))
    parted = net.shape(x)
    x = net.add(Reshape((batch * rows * columns, side * side, channels)), x)
    x = net.add(Reshape(parted), _encoder_block(net, x, side))
    back = tuple(axes.index(axis) for axis in range(len(axes)))
    return net.add(Reshape((batch, channels, height, width)), net.add(Permute(back), x))


def _maxvit(net: Builder, *, stem: int, depths: Sequence[int], widths: Sequence[int]) -> str:
    x = net.conv_norm_act(net.input, stem, 3, stride=2, activation="gelu")
    x = net.add(Conv2d.square(stem, 3, bias=True), x)
    side = net.shape(net.input)[2] // 32
    for depth, width in zip(depths, widths, strict=True):
        for index in range(depth):
            x = _inverted_residual(net, x, width, 2 if index == 0 else 1)
            x = _partitioned_attention(net, x, side, grid=False)
            x = _partitioned_attention(net, x, side, grid=True)
    x = net.add(Norm("layer"), net.flatten(net.add(Pool2d("avg"), x)))
    x = net.add(Activation("tanh"), net.linear(x, widths[-1]))
    return net.linear(x, 1000, bias=False)


ENTRIES = (
    Entry(
        "maxvit_t",
        partial(_maxvit, stem=64, depths=(2, 2, 5, 2), widths=(64, 128, 256, 512)),  # [Tu'22, table 1]
        (3, 224, 224),
        "Tu et al. 2022; torchvision model metadata",
    ),
)
