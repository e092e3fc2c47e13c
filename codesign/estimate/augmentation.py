"""What becomes of the images of a training batch: each is moved, mirrored or covered anew in every epoch.

shift  : by up to an eighth of height and width either way, zeros come in, as 4 of 32 pixels in [He et al., CVPR 2016,
         section 4.2]
flip   : left and right change places, in half of the images [ibid.]
cutout : a square of half the side is set to zero; its centre is any pixel [DeVries and Taylor, arXiv:1708.04552]

Draws come from torch's global generator, which a training seeds. Zero is the mean: images are standardised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from codesign.estimate.recipe import Augmentation

__all__ = ["AUGMENTATIONS"]

_SHIFT = 8  # a side over the farthest shift
_CUT = 2  # a side over that of the square


def _shift(images: Tensor) -> Tensor:
    count, _, height, width = images.shape
    far = [max(1, side // _SHIFT) for side in (height, width)]
    padded = F.pad(images, (far[1], far[1], far[0], far[0]))
    rows, columns = (
        torch.randint(0, 2 * most + 1, (count, 1)) + torch.arange(side)
        for most, side in zip(far, (height, width), strict=True)
    )
    image = torch.arange(count)[:, None, None]
    return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _flip(images: Tensor) -> Tensor:
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    return torch.where(mirrored, images.flip(-1), images)


def _cutout(images: Tensor) -> Tensor:
    count, _, height, width = images.shape
    kept = []
    for side in (height, width):
        size = max(1, side // _CUT)
        first = torch.randint(0, side, (count, 1)) - size // 2
        place = torch.arange(side)
        kept.append((place < first) | (place >= first + size))
    outside = kept[0][:, None, :, None] | kept[1][:, None, None, :]
    return images * outside


def _shift_flip(images: Tensor) -> Tensor:
    return _flip(_shift(images))


AUGMENTATIONS: Mapping[Augmentation, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "shift": _shift,
    "flip": _flip,
    "shift_flip": _shift_flip,
    "cutout": _cutout,
}
"""By the name that a recipe gives: images (B, C, H, W) -> as many of that shape."""
