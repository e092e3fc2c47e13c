"""One's own images as numpy arrays: an npz file with `images` and `labels`, and its own split where it has one.

images : (B, C, H, W) or (B, H, W); bytes are scaled to [0, 1], floating-point numbers are taken as they are.
labels : (B,) whole numbers, 0 to the number of classes less one.
train, validation, test : indices (n,) of the images of each part; all three of them, or none, which splits 60, 20 and
20 % of each class by the frozen seed.

Arrays of Python objects are refused unread: they are pickles, whose reading runs code.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.data.base import (
    F32,
    FEWEST_SPLIT,
    I64,
    Dataset,
    Options,
    Part,
    check_labels,
    check_shape,
    split,
    standardised,
)
from codesign.data.files import given_root
from hwmodels.errors import SpecError

__all__ = ["read_arrays"]

_PARTS = ("train", "validation", "test")
_NAMES = ("images", "labels", *_PARTS)
_MOST_BYTES = 2**31  # of one array


def read_arrays(name: str, options: Options) -> Dataset:
    """The images of an npz file.

    Raises
    ------
    SpecError : no npz file, an array that is missing or of another shape or type, or a split with an image twice.
    """
    path = given_root(name, options.root, "an npz file with images and labels")
    arrays = _read(path)
    if lacking := [key for key in ("images", "labels") if key not in arrays]:
        raise SpecError.missing(str(path), f"array {lacking[0]}", f"it has {', '.join(arrays) or 'none'}")
    images, labels = _images(path, arrays["images"]), _labels(path, arrays["labels"])
    if len(images) != len(labels):
        raise SpecError(f"{path}: labels", f"{len(labels)} labels", f"one each of {len(images)} images")
    classes = int(labels.max()) + 1
    given = [key for key in _PARTS if key in arrays]
    check_labels(path, labels, classes, fewest=0 if given else FEWEST_SPLIT)
    if not given:
        return split(name, images, labels, classes)
    parts = [Part(images[index], labels[index]) for index in _split(path, arrays, len(labels))]
    check_labels(f"{path}: train", parts[0].labels, classes, fewest=1)
    return standardised(name, parts[0], parts[1], parts[2], classes)


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays that are known by name; the others are not read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {member.removesuffix(".npy"): member for member in archive.namelist()}
            return {key: _array(archive, names[key], f"{path}: {key}") for key in _NAMES if key in names}
    except SpecError:
        raise
    except Exception as error:  # a damaged archive raises anything
        raise SpecError(str(path), getattr(error, "strerror", None) or error, "an npz file of numpy arrays") from None


def _array(archive: zipfile.ZipFile, member: str, where: str) -> npt.NDArray[Any]:
    """One array; its header is read first, so that neither a pickle nor what fits no memory is unpacked."""
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if dtype.hasobject or dtype.kind not in "iuf":
        raise SpecError(f"{where}: type", dtype, "whole or floating-point numbers")
    if prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise SpecError(f"{where}: shape", shape, f"at most {_MOST_BYTES} bytes")
    with archive.open(member) as stream:
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _images(path: Path, images: npt.NDArray[Any]) -> F32:
    """Images (B, C, H, W) as float32."""
    if images.ndim not in (3, 4):
        raise SpecError(f"{path}: images", images.shape, "a shape (B, C, H, W) or (B, H, W)")
    images = images[:, None] if images.ndim == 3 else images
    check_shape(str(path), images.shape)
    if images.dtype == np.uint8:
        return (images / np.float32(255)).astype(np.float32)
    if images.dtype.kind != "f":
        raise SpecError(f"{path}: images", images.dtype, "uint8 or floating point")
    with np.errstate(over="ignore"):
        numbers = images.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise SpecError(f"{path}: images", "a value", "finite in float32")
    return numbers


def _labels(path: Path, labels: npt.NDArray[Any]) -> I64:
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not labels.size:
        raise SpecError(f"{path}: labels", (labels.shape, str(labels.dtype)), "whole numbers of a shape (B,)")
    if labels.max() >= 2**31:
        raise SpecError(f"{path}: labels", labels.max(), "the number of a class")
    return labels.astype(np.int64)


def _split(path: Path, arrays: Mapping[str, npt.NDArray[Any]], images: int) -> list[I64]:
    """The file's own parts: indices in range, no image twice."""
    parts = []
    for key in _PARTS:
        if key not in arrays:
            raise SpecError.missing(str(path), f"array {key}", "a split has all three parts")
        index = arrays[key]
        if index.ndim != 1 or index.dtype.kind not in "iu" or not index.size:
            raise SpecError(f"{path}: {key}", (index.shape, str(index.dtype)), "indices of a shape (n,)")
        if index.min() < 0 or index.max() >= images:
            outside = index.min() if index.min() < 0 else index.max()
            raise SpecError(f"{path}: {key}", outside, f"an index in [0, {images - 1}]")
        parts.append(index.astype(np.int64))
    for one, other in pairwise(np.sort(np.concatenate(parts)).tolist()):
        if one == other:
            raise SpecError(f"{path}: split", f"image {one}", "in one part, once")
    return parts
