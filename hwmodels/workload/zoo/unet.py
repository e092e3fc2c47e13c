"""U-Net [Ronneberger et al., MICCAI 2015] for medical images.

`unet` is the paper's: convolutions without padding, transposed up-convolutions, cropped skips, two output maps.
`unet_padded` is the widespread variant with padded convolutions, nearest upsampling before a 2x2 convolution, and a
3x3 convolution to two maps before the last one; its published count is 31,031,685.
"""

from __future__ import annotations

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Concat, Conv2d, ConvTranspose2d, Pool2d, Rearrange, Split, Upsample
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]

_WIDTHS = (64, 128, 256, 512)  # [Ronneberger'15, fig. 1]; 1024 at the bottom


def _convolutions(net: Builder, x: str, channels: int, *, padding: int) -> str:
    for _ in range(2):
        conv = Conv2d.square(channels, 3, padding=padding, bias=True)
        x = net.add(Activation("relu"), net.add(conv, x))
    return x


def _crop(net: Builder, x: str, size: tuple[int, int]) -> str:
    """The middle of an image: a view."""
    for axis, extent in zip((2, 3), size, strict=True):
        x = net.add(Split(axis, (net.shape(x)[axis] - extent) // 2, extent), x)
    return x


def _up_padded(net: Builder, x: str, channels: int) -> str:
    """Twice the size by nearest neighbours, then a 2x2 convolution that keeps it: one row and column of padding."""
    x = net.add(Upsample(2), x)
    batch, inputs, height, width = net.shape(x)
    x = net.add(Rearrange("pad", (batch, inputs, height + 1, width + 1)), x)
    return net.add(Activation("relu"), net.add(Conv2d(channels, (2, 2)), x))


def _encode(net: Builder, *, padding: int) -> tuple[list[str], str]:
    """The skips of the four levels, and the bottom."""
    x, skips = net.input, []
    for channels in _WIDTHS:
        skips.append(_convolutions(net, x, channels, padding=padding))
        x = net.add(Pool2d("max", 2), skips[-1])
    return skips, _convolutions(net, x, 1024, padding=padding)


def _unet(net: Builder) -> str:
    skips, x = _encode(net, padding=0)
    for channels, skip in zip(_WIDTHS[::-1], skips[::-1], strict=True):
        x = net.add(ConvTranspose2d(channels), x)
        height, width = net.shape(x)[2:]
        x = net.add(Concat(), _crop(net, skip, (height, width)), x)
        x = _convolutions(net, x, channels, padding=0)
    return net.add(Conv2d(2), x)


def _unet_padded(net: Builder) -> str:
    skips, x = _encode(net, padding=1)
    for channels, skip in zip(_WIDTHS[::-1], skips[::-1], strict=True):
        x = net.add(Concat(), skip, _up_padded(net, x, channels))
        x = _convolutions(net, x, channels, padding=1)
    x = net.add(Activation("relu"), net.add(Conv2d.square(2, 3, bias=True), x))
    return net.add(Activation("sigmoid"), net.add(Conv2d(1), x))


ENTRIES = (
    Entry("unet", _unet, (1, 572, 572), "Ronneberger et al. 2015, figure 1"),
    Entry(
        "unet_padded",
        _unet_padded,
        (1, 256, 256),
        "Ronneberger et al. 2015, padded, with upsampling before 2x2 convolutions",
        ("U-Net 64..1024 (1 in, 2 out)",),
    ),
)
