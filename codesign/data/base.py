"""What a data set is, and how it is split: frozen records and the arithmetic that every source shares.

Splits are stratified by a fixed seed that belongs to the data set and not to the run, so accuracies of different
runs compare. Training chooses on validation; test is only reported. Images are float32 NCHW, standardised per
channel with the statistics of the training split. What is asked of a network is the data set's `codesign.task`.

Not modelled: augmentation (a recipe's business).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.task import Classification, Task
from hwmodels.errors import SpecError

__all__ = [
    "F32",
    "FEWEST_SPLIT",
    "FEWEST_WITH_TEST",
    "I64",
    "SPLIT_SEED",
    "U8",
    "Dataset",
    "Options",
    "Part",
    "check_labels",
    "check_shape",
    "split",
    "standardised",
    "stratified",
    "with_official_test",
]

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

SPLIT_SEED = 20240229  # frozen: changing it changes every accuracy
_VALIDATION_FRACTION = 0.1  # of the official training files

FEWEST_WITH_TEST = 2
"""Images of a class that both parts of a split need."""
FEWEST_SPLIT = 4
"""Images of a class that all three parts of a split in 60, 20 and 20 % need."""

_MOST_VALUES = 2**29  # 2 GiB as float32, of which standardising takes a few copies
_MOST_CLASSES = 10_000
_LARGEST_AXIS = 65_536


class Part(NamedTuple):
    """One split: what is read, (B, ...), and what is to be answered to each item, (B, ...).

    images : (B, C, H, W) or (B, T, F) float32, or tokens (B, T) int64. labels : as the task says; classes (B,) int64.
    """

    images: npt.NDArray[Any]
    labels: npt.NDArray[Any]


class Options(NamedTuple):
    """What a run file says of its data beside the name; None where it says nothing.

    root : folder or file. size : height and width in pixels. colour : three channels, or one. label : a column.
    task : what is asked of it. length : tokens of a window. split : parts, or the whole as each of them.
    """

    root: Path | None = None
    size: int | None = None
    colour: bool | None = None
    label: str | None = None
    task: str | None = None
    length: int | None = None
    split: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set with its three frozen splits.

    classes : scores that a network makes: one a class, one a token of a vocabulary, one a channel of an image.
    task : what is asked; classification where nothing is said.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    classes: int
    task: Task = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.task is None:
            object.__setattr__(self, "task", Classification(self.classes))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one item as it is read: (channels, height, width), (steps, features), or (tokens,)."""
        shape: tuple[int, ...] = self.train.images.shape[1:]
        return shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the answer to one item."""
        return self.task.output_shape(self.train.labels.shape[1:])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image.

        Raises
        ------
        SpecError : the items are no images.
        """
        if len(self.input_shape) != 3:
            words = "x".join(map(str, self.input_shape))
            raise SpecError(f"data: {self.name}", f"items of shape {words}", "images: this network reads no others")
        channels, height, width = self.input_shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of name, classes, the contents of all three splits, and a task that is no classification."""
        digest = hashlib.sha256(f"{self.name}:{self.classes}".encode())
        if not isinstance(self.task, Classification):
            digest.update(repr(self.task).encode())
        for part in (self.train, self.validation, self.test):
            for array in part:
                digest.update(f"{array.shape}{array.dtype.str}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def check_shape(where: str, shape: tuple[int, ...]) -> None:
    """Whether images of this shape (B, C, H, W) are there and fit into memory.

    Raises
    ------
    SpecError : an empty axis, or too many values.
    """
    if 0 in shape:
        raise SpecError(f"{where}: images", shape, "a shape without empty axes")
    if max(shape[1:]) > _LARGEST_AXIS or prod(shape) > _MOST_VALUES:
        most = f"at most {_MOST_VALUES} values, {_LARGEST_AXIS} along channels, height or width"
        raise SpecError(f"{where}: images", shape, most)


def check_labels(where: Path | str, labels: npt.NDArray[Any], classes: int, *, fewest: int = 0) -> None:
    """No other class may be there; where images are split by class, enough of each.

    Raises
    ------
    SpecError : a label outside, or too few images of a class.
    """
    if not 2 <= classes <= _MOST_CLASSES:
        raise SpecError(f"{where}: labels", f"{classes} classes", f"2 to {_MOST_CLASSES}")
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise SpecError(f"{where}: labels", outside[0], f"in [0, {classes - 1}]")
    found = int(np.bincount(labels.astype(np.int64), minlength=classes).min())
    if found < fewest or not labels.size:
        raise SpecError(f"{where}: labels", f"{found} images of a class", f"at least {max(fewest, 1)}")


def stratified(labels: I64, fractions: tuple[float, ...]) -> list[npt.NDArray[np.intp]]:
    """Sorted indices of len(fractions) + 1 parts; the last takes the rest of every class."""
    generator = np.random.Generator(np.random.PCG64(SPLIT_SEED))
    parts: list[list[npt.NDArray[np.intp]]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        edges = np.round(np.cumsum(fractions) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, edges), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def split(name: str, images: F32, labels: I64, classes: int, *, fractions: tuple[float, float] = (0.6, 0.2)) -> Dataset:
    """Images without an official split, as training, validation and, of what is left, test."""
    parts = [Part(images[index], labels[index]) for index in stratified(labels, fractions)]
    return standardised(name, parts[0], parts[1], parts[2], classes)


def standardised(name: str, train: Part, validation: Part, test: Part, classes: int) -> Dataset:
    """All parts by mean and deviation of the training part, each channel by its own."""
    mean = train.images.mean(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
    deviation = train.images.std(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
    scale = np.where(deviation > 0, deviation, 1.0)
    parts = [Part(((p.images - mean) / scale).astype(np.float32), p.labels) for p in (train, validation, test)]
    return Dataset(name, parts[0], parts[1], parts[2], classes)


def with_official_test(name: str, train: tuple[U8, I64], test: tuple[U8, I64], classes: int) -> Dataset:
    """Bytes with an official test split; validation is a tenth of the training images."""
    images, labels = train
    rest, held_out = stratified(labels, (1 - _VALIDATION_FRACTION,))
    scaled = (images / np.float32(255)).astype(np.float32)
    test_part = Part((test[0] / np.float32(255)).astype(np.float32), test[1])
    return standardised(
        name, Part(scaled[rest], labels[rest]), Part(scaled[held_out], labels[held_out]), test_part, classes
    )
