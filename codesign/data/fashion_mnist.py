"""Fashion-MNIST from its idx files.

Source: [Xiao et al., "Fashion-MNIST", arXiv 1708.07747, 2017]; idx format: [LeCun, "The MNIST database", file format
section].
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path

import numpy as np

from codesign.data.base import FEWEST_WITH_TEST, U8, Dataset, Options, check_labels, check_shape, with_official_test
from codesign.data.files import content_of, folder_of, packed
from hwmodels.errors import SpecError

__all__ = ["read_fashion_mnist"]

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def read_fashion_mnist(name: str, options: Options) -> Dataset:
    """Its official training and test images."""
    folder, _ = folder_of(options.root, name, "FashionMNIST/raw", {"fashion-mnist": _FILES})
    train_images, train_labels, test_images, test_labels = (_idx(folder, stem) for stem in _FILES)
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise SpecError(f"{folder}", (images.shape, labels.shape), "images (B, H, W) with labels (B,)")
        check_labels(folder, labels, 10)
    check_labels(folder, train_labels, 10, fewest=FEWEST_WITH_TEST)
    if train_images.shape[1:] != test_images.shape[1:] or 0 in train_images.shape:
        raise SpecError(f"{folder}", (train_images.shape, test_images.shape), "images of one size")
    check_shape(str(folder), (len(train_images), 1, *train_images.shape[1:]))
    return with_official_test(
        name,
        (train_images[:, None], train_labels.astype(np.int64)),
        (test_images[:, None], test_labels.astype(np.int64)),
        10,
    )


def _idx(folder: Path, stem: str) -> U8:
    """One idx file of unsigned bytes, gzipped or not.

    Header, big endian: two zero bytes, type 0x08 (unsigned byte), number of axes, one 32-bit extent an axis.
    """
    path = packed(folder / stem)
    content = content_of(path)
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise SpecError(f"{path}", content[:4].hex(), "the header of an idx file of unsigned bytes (000008..)")
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes)
    if values.size != prod(shape):
        raise SpecError(f"{path}", values.size, f"the {prod(shape)} bytes its header states for {shape}")
    return values.reshape(shape)
