"""One's own images as files: a folder with a folder of PNG or JPEG files for each class.

    flowers/
      daisy/  a.png  b.jpg ...
      rose/   c.png ...

Classes are numbered in the order of their names. Each image is resampled to one size (bilinear, the aspect is not
kept) and is grey or has three colours; 60, 20 and 20 % of each class are training, validation and test by the frozen
seed. Names that begin with a dot are passed over. Not modelled: cropping, transparency, which is dropped.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codesign.data.base import FEWEST_SPLIT, U8, Dataset, Options, check_labels, check_shape, split
from codesign.data.files import files_by_class, given_root
from hwmodels.errors import SpecError, shown

__all__ = ["read_folder"]

_SUFFIXES = (".png", ".jpg", ".jpeg")
_SIZE = 32
_MOST_PIXELS = 2**26  # of one file, before it is resampled
_SHOWN = 3


def read_folder(name: str, options: Options) -> Dataset:
    """The images of a folder of folders.

    Raises
    ------
    SpecError : no such folder, a class with too few images, or files that are no images; those are named.
    """
    root = given_root(name, options.root, "a folder with a folder of PNG or JPEG files for each class")
    size = _SIZE if options.size is None else options.size
    mode = "L" if options.colour is False else "RGB"
    files = files_by_class(root, _SUFFIXES, "an image file")
    for one, paths in files.items():
        if len(paths) < FEWEST_SPLIT:
            raise SpecError(str(root / one), f"{len(paths)} images", f"at least {FEWEST_SPLIT}, to be split in three")
    labels = np.repeat(np.arange(len(files)), [len(paths) for paths in files.values()])
    check_labels(root, labels, len(files))
    check_shape(str(root), (len(labels), len(mode), size, size))
    images = _read(root, [path for paths in files.values() for path in paths], mode, size)
    return split(name, (images / np.float32(255)).astype(np.float32), labels.astype(np.int64), len(files))


def _read(root: Path, paths: Sequence[Path], mode: str, size: int) -> U8:
    """All images (B, C, size, size).

    Raises
    ------
    SpecError : the files that cannot be read, the first few by name, and what is wrong with the first.
    """
    images = np.empty((len(paths), len(mode), size, size), np.uint8)
    broken: dict[Path, Exception] = {}
    for i, path in enumerate(paths):
        try:
            images[i] = _image(path, mode, size)
        except Exception as error:  # a damaged file raises anything
            broken[path.relative_to(root)] = error
    if broken:
        first = next(iter(broken.values()))
        more = f" and {len(broken) - _SHOWN} more" if len(broken) > _SHOWN else ""
        names = ", ".join(map(str, list(broken)[:_SHOWN]))
        raise SpecError(str(root), names + more, "readable as PNG or JPEG", shown(first))
    return images


def _image(path: Path, mode: str, size: int) -> U8:
    """One image (C, size, size).

    Raises
    ------
    Exception : whatever the file leads Pillow to.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file that is damaged is refused, one that is merely odd is read
        with Image.open(path, formats=("PNG", "JPEG")) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                raise ValueError(f"{opened.width} x {opened.height} pixels, more than {_MOST_PIXELS}")
            pixels = np.asarray(opened.convert(mode).resize((size, size), Image.Resampling.BILINEAR))
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)
