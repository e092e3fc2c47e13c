"""Super-resolution of the luma channel: FSRCNN [Dong et al., ECCV 2016] and ESPCN [Shi et al., CVPR 2016].

FSRCNN's published count of 12,464 is that of its weights alone: its biases and learned slopes (345 numbers) are left
out here, too.
"""

from __future__ import annotations

from functools import partial

from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Activation, Conv2d, ConvTranspose2d, PixelShuffle
from hwmodels.workload.zoo.record import Entry

__all__ = ["ENTRIES"]


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


def _entries() -> tuple[Entry, ...]:
    found = []
    for scale in (2, 3, 4):
        fsrcnn = partial(_fsrcnn, features=56, shrunk=12, mapping=4, scale=scale)
        aliases = (f"FSRCNN(56,12,4) x{scale}",)
        found.append(Entry(f"fsrcnn_x{scale}", fsrcnn, (1, 180, 320), "Dong et al. 2016, section 3.3", aliases))
        espcn = partial(_espcn, scale=scale)
        found.append(Entry(f"espcn_x{scale}", espcn, (1, 180, 320), "Shi et al. 2016, section 3.2"))
    return tuple(found)


ENTRIES = _entries()
