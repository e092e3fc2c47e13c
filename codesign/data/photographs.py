"""Super-resolution by two: patches of the photographs that scikit-image ships, grey, at half and at full resolution.

Luma of ITU-R BT.601, as super-resolution is judged on the luma channel [Dong et al., ECCV 2014; Shi et al., CVPR 2016];
halved by Pillow's bicubic resampling, which filters over the larger window, as those papers' bicubic does. Patches of
`size` pixels stand side by side; what is left at the borders is not used. A photograph is in one part alone, so that
no part shows a place of another: five train, two choose, two test.

What is read and what is asked are standardised alike, by mean and deviation of the training photographs at full
resolution: an enlarged input is an answer. Not modelled: noise, compression, other factors and kernels, colours.
"""

from __future__ import annotations

import numpy as np

from codesign.data.base import F32, U8, Dataset, Options, Part
from codesign.data.skimage_files import opened_image
from codesign.task import SuperResolution
from hwmodels.errors import SpecError

__all__ = ["read_photographs"]

_TRAIN = ("astronaut.png", "brick.png", "coffee.png", "gravel.png", "rocket.jpg")
_VALIDATION = ("camera.png", "motorcycle_left.png")
_TEST = ("chelsea.png", "coins.png")
_FACTOR = 2
_SIZE = 48
_MOST = 256  # the smallest photograph is 300 pixels high


def read_photographs(name: str, options: Options) -> Dataset:
    """Patches (B, 1, size / 2, size / 2) and what they are at full resolution, (B, 1, size, size).

    Raises
    ------
    SpecError : scikit-image is not installed, or an odd size, or one that a photograph does not hold.
    """
    size = _SIZE if options.size is None else options.size
    if size % _FACTOR or not 4 <= size <= _MOST:
        raise SpecError("data: size", size, f"even, from 4 to {_MOST}")
    train, validation, test = (
        Part(*map(np.concatenate, zip(*(_patches(name, file, size) for file in files), strict=True)))
        for files in (_TRAIN, _VALIDATION, _TEST)
    )
    mean, deviation = float(train.labels.mean(dtype=np.float64)), float(train.labels.std(dtype=np.float64))
    train, validation, test = (
        Part(*(((pixels - mean) / deviation).astype(np.float32) for pixels in part))
        for part in (train, validation, test)
    )
    return Dataset(name, train, validation, test, 1, SuperResolution(_FACTOR, mean, deviation))


def _patches(name: str, file: str, size: int) -> tuple[F32, F32]:
    """Patches of one photograph in [0, 1], halved and whole."""
    from PIL import Image

    photograph = opened_image(name, file, "L")
    columns, rows = (extent // size for extent in photograph.size)
    whole = photograph.crop((0, 0, columns * size, rows * size))
    half = whole.resize((whole.width // _FACTOR, whole.height // _FACTOR), Image.Resampling.BICUBIC)
    small, large = (_cut(np.asarray(image), rows, columns) for image in (half, whole))
    return small, large


def _cut(pixels: U8, rows: int, columns: int) -> F32:
    """An image (H, W) of bytes as patches (rows x columns, 1, ...) in [0, 1], line by line."""
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    patches = pixels.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(-1, 1, height, width)
    return (patches / np.float32(255)).astype(np.float32)
