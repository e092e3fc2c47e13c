"""Super-resolution: SRCNN [Dong et al., ECCV 2014], FSRCNN [Dong et al., ECCV 2016], ESPCN [Shi et al., CVPR 2016] on
the luma channel, EDSR [Lim et al., CVPR workshops 2017] on colours.

The published counts of SRCNN (8,032; 57,184 with a 5x5 in the middle) and FSRCNN (12,464) are those of their weights
alone [Dong'16, table 1]: their biases and learned slopes (97 and 345 numbers) are left out here, too. EDSR's fixed
shifts of the mean colour count nothing. EDSR reads the image that becomes 1280 x 720, SRCNN the enlarged one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, ConvTranspose2d, Elementwise, PixelShuffle
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


def _srcnn(net: Builder, *, middle: int) -> str:
    """Patches of 9x9, a mapping, reconstruction by 5x5, on an image that bicubic interpolation has enlarged."""
    x = net.input
    for channels, kernel in ((64, 9), (32, middle)):
        x = net.add(Activation("relu"), net.add(Conv2d.square(channels, kernel), x))
    return net.add(Conv2d.square(1, 5), x)


def _fsrcnn(net: Builder, *, features: int, shrunk: int, mapping: int, scale: int) -> str:
    """Extract, shrink, map, expand at low resolution; a 9x9 transposed convolution enlarges."""
    x = net.input
    for channels, kernel in ((features, 5), (shrunk, 1), *((shrunk, 3),) * mapping, (features, 1)):
        x = net.add(Activation("leaky_relu"), net.add(Conv2d.square(channels, kernel), x))
    up = ConvTranspose2d(1, (9, 9), (scale, scale), (4, 4), (scale - 1, scale - 1), bias=False)
    return net.add(up, x)


def _espcn(net: Builder, *, scale: int) -> str:
    """Three convolutions at low resolution; the last makes scale^2 channels that become pixels."""
    x = net.add(Activation("tanh"), net.add(Conv2d.square(64, 5, bias=True), net.input))
    x = net.add(Activation("tanh"), net.add(Conv2d.square(32, 3, bias=True), x))
    return net.add(PixelShuffle(scale), net.add(Conv2d.square(scale**2, 3, bias=True), x))


def _edsr(net: Builder, *, blocks: int, features: int, scale: int, is_scaled: bool) -> str:
    """Residual blocks without norms; `is_scaled` multiplies each by 0.1. A scale of 4 enlarges twice by 2."""

    def convolve(x: str, channels: int) -> str:
        return net.add(Conv2d.square(channels, 3, bias=True), x)

    x = head = convolve(net.input, features)
    for _ in range(blocks):
        y = convolve(net.add(Activation("relu"), convolve(x, features)), features)
        x = net.residual(x, net.add(Elementwise("mul"), y) if is_scaled else y)
    x = net.residual(head, convolve(x, features))
    for step in (2, 2) if scale == 4 else (scale,):
        x = net.add(PixelShuffle(step), convolve(x, features * step**2))
    return convolve(x, 3)


def _entries() -> Iterator[Entry]:
    for middle, name, alias in ((1, "srcnn", "SRCNN 9-1-5"), (5, "srcnn_955", "SRCNN-Ex")):
        source = "Dong et al. 2014, section 4; Dong et al. 2016, table 1"
        yield Entry(name, partial(_srcnn, middle=middle), (1, 540, 960), source, (alias,))
    for scale in (2, 3, 4):
        fsrcnn = partial(_fsrcnn, features=56, shrunk=12, mapping=4, scale=scale)
        aliases = (f"FSRCNN(56,12,4) x{scale}",)
        yield Entry(f"fsrcnn_x{scale}", fsrcnn, (1, 180, 320), "Dong et al. 2016, section 3.3", aliases)
        espcn = partial(_espcn, scale=scale)
        yield Entry(f"espcn_x{scale}", espcn, (1, 180, 320), "Shi et al. 2016, section 3.2")
    for name, blocks, features in (("edsr_baseline", 16, 64), ("edsr", 32, 256)):
        for scale in (2, 3, 4):
            write = partial(_edsr, blocks=blocks, features=features, scale=scale, is_scaled=features == 256)
            size = (3, 720 // scale, 1280 // scale)
            aliases = (f"EDSR{'-baseline' if blocks == 16 else ''} x{scale}",)
            yield Entry(f"{name}_x{scale}", write, size, "Lim et al. 2017, tables 1 and 4", aliases)


ENTRIES = tuple(_entries())
