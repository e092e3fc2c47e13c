"""Data sets with frozen splits: scikit-learn's digits, plain and noisy, Fashion-MNIST and CIFAR-10 from local files.

Splits are stratified by a fixed seed that belongs to the data set and not to the run, so accuracies of different
runs compare. Training chooses on validation; test is only reported. Images are float32 NCHW, standardised per
channel with the statistics of the training split. Nothing is downloaded.

Formats: idx [LeCun, "The MNIST database", file format section]; CIFAR-10 python and binary versions
[Krizhevsky, "The CIFAR-10 dataset"]. Not modelled: augmentation (a recipe's business), other resolutions.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError

__all__ = ["Dataset", "Part", "load"]

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

_SPLIT_SEED = 20240229  # frozen: changing it changes every accuracy
_NOISE = 0.3  # of noisy-digits; frozen likewise
_VALIDATION_FRACTION = 0.1  # of the official training files; digits has no official split and takes 20 %

_FEWEST = 2  # images of a class that both parts of a split need


class Part(NamedTuple):
    """One split: images (B, C, H, W) float32 and labels (B,) int64."""

    images: F32
    labels: I64


@dataclass(frozen=True)
class Dataset:
    """A data set with its three frozen splits."""

    name: str
    train: Part
    validation: Part
    test: Part
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of name, classes and the contents of all three splits, in hexadecimal."""
        digest = hashlib.sha256(f"{self.name}:{self.classes}".encode())
        for part in (self.train, self.validation, self.test):
            for array in part:
                digest.update(f"{array.shape}{array.dtype.str}".encode())
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load(name: str, root: Path | str | None = None) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : "digits", "noisy-digits", "fashion-mnist" or "cifar10".
    root : folder that holds the files of Fashion-MNIST or CIFAR-10, or a parent of the customary folder; the digits
        come with scikit-learn and need none.

    Raises
    ------
    SpecError : an unknown name, missing files (naming the folder and the files expected), or a malformed file.

    >>> digits = load("digits")
    >>> digits.shape, digits.classes, len(digits.train.labels)
    ((1, 8, 8), 10, 1078)
    """
    if name not in _READERS:
        raise SpecError.unknown("data: name", name, _READERS)
    if _READERS[name] in (_digits, _noisy_digits) and root is not None:
        raise SpecError("data: root", root, f"needed: {name} comes with scikit-learn")
    return _READERS[name](name, None if root is None else Path(root))


def _folder(root: Path | None, name: str, customary: str, layouts: dict[str, tuple[str, ...]]) -> tuple[Path, str]:
    """The first folder that holds every file of one layout, and the layout's name.

    Looks into `root` and `root/customary` for each customary folder; a file counts with ".gz" appended too.

    Raises
    ------
    SpecError : no folder holds them; names the folder, one layout and its files.
    """
    where = f"data: {name}"
    if root is None:
        raise SpecError(where, "root=None", "a folder with " + ", ".join(next(iter(layouts.values()))))
    for layout, files in layouts.items():
        for folder in (root, root / layout, root / customary):
            if all((folder / file).exists() or (folder / f"{file}.gz").exists() for file in files):
                return folder, layout
    described = " or ".join(f"{layout}/ with {', '.join(files)}" for layout, files in layouts.items())
    raise SpecError(where, root, f"a folder with {described}")


def _content(path: Path) -> bytes:
    """A file, unpacked where it ends in .gz.

    Raises
    ------
    SpecError : it cannot be read or unpacked.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        kind = "a gzip file" if path.suffix == ".gz" else "a readable file"
        raise SpecError(str(path), getattr(error, "strerror", None) or error, kind) from None


def _check_labels(where: Path, labels: npt.NDArray[Any], classes: int, *, fewest: int = 0) -> None:
    """No other class may be there; where images are split by class, enough of each.

    Raises
    ------
    SpecError : a label outside, or too few images of a class.
    """
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise SpecError(f"{where}: labels", outside[0], f"in [0, {classes - 1}]")
    found = int(np.bincount(labels.astype(np.int64), minlength=classes).min())
    if found < fewest or not labels.size:
        raise SpecError(f"{where}: labels", f"{found} images of a class", f"at least {max(fewest, 1)}")


def _stratified(labels: I64, fractions: tuple[float, ...]) -> list[npt.NDArray[np.intp]]:
    """Sorted indices of len(fractions) + 1 parts; the last takes the rest of every class."""
    generator = np.random.Generator(np.random.PCG64(_SPLIT_SEED))
    parts: list[list[npt.NDArray[np.intp]]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        edges = np.round(np.cumsum(fractions) * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, edges), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def _standardised(name: str, train: Part, validation: Part, test: Part, classes: int) -> Dataset:
    mean = train.images.mean(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
    deviation = train.images.std(axis=(0, 2, 3), dtype=np.float64, keepdims=True)
    scale = np.where(deviation > 0, deviation, 1.0)
    parts = [Part(((p.images - mean) / scale).astype(np.float32), p.labels) for p in (train, validation, test)]
    return Dataset(name, parts[0], parts[1], parts[2], classes)


def _with_official_test(name: str, train: tuple[U8, I64], test: tuple[U8, I64]) -> Dataset:
    images, labels = train
    rest, held_out = _stratified(labels, (1 - _VALIDATION_FRACTION,))
    scaled = (images / np.float32(255)).astype(np.float32)
    test_part = Part((test[0] / np.float32(255)).astype(np.float32), test[1])
    return _standardised(
        name, Part(scaled[rest], labels[rest]), Part(scaled[held_out], labels[held_out]), test_part, classes=10
    )


def _digits(name: str, root: Path | None) -> Dataset:
    images, labels = _digit_images()
    parts = [Part(images[index], labels[index]) for index in _stratified(labels, (0.6, 0.2))]
    return _standardised(name, parts[0], parts[1], parts[2], classes=10)


def _noisy_digits(name: str, root: Path | None) -> Dataset:
    """Digits under white noise, in thirds: hard enough that small networks differ by tens of percent.

    Noise of standard deviation 0.3 of the ink's full range, drawn once, on all three splits.
    """
    images, labels = _digit_images()
    noise = np.random.Generator(np.random.PCG64(_SPLIT_SEED)).standard_normal(images.shape)
    images = (images + _NOISE * noise).astype(np.float32)
    parts = [Part(images[index], labels[index]) for index in _stratified(labels, (1 / 3, 1 / 3))]
    return _standardised(name, parts[0], parts[1], parts[2], classes=10)


def _digit_images() -> tuple[F32, I64]:
    """1,797 images (B, 1, 8, 8) in [0, 1] and their labels."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    return (bundle.images / 16).astype(np.float32)[:, None], bundle.target.astype(np.int64)


_FASHION_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _fashion_mnist(name: str, root: Path | None) -> Dataset:
    folder, _ = _folder(root, name, "FashionMNIST/raw", {"fashion-mnist": _FASHION_FILES})
    train_images, train_labels, test_images, test_labels = (_idx(folder, stem) for stem in _FASHION_FILES)
    for images, labels in ((train_images, train_labels), (test_images, test_labels)):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise SpecError(f"{folder}", (images.shape, labels.shape), "images (B, H, W) with labels (B,)")
        _check_labels(folder, labels, 10)
    _check_labels(folder, train_labels, 10, fewest=_FEWEST)
    if train_images.shape[1:] != test_images.shape[1:] or 0 in train_images.shape:
        raise SpecError(f"{folder}", (train_images.shape, test_images.shape), "images of one size")
    return _with_official_test(
        name,
        (train_images[:, None], train_labels.astype(np.int64)),
        (test_images[:, None], test_labels.astype(np.int64)),
    )


def _idx(folder: Path, stem: str) -> U8:
    """One idx file of unsigned bytes, gzipped or not.

    Header, big endian: two zero bytes, type 0x08 (unsigned byte), number of axes, one 32-bit extent an axis.
    """
    path = folder / stem
    path = path if path.exists() else folder / f"{stem}.gz"
    content = _content(path)
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise SpecError(f"{path}", content[:4].hex(), "the header of an idx file of unsigned bytes (000008..)")
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    values = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes)
    if values.size != prod(shape):
        raise SpecError(f"{path}", values.size, f"the {prod(shape)} bytes its header states for {shape}")
    return values.reshape(shape)


_CIFAR_PYTHON, _CIFAR_BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
_CIFAR_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
_CIFAR_BINARIES = tuple(f"{stem}.bin" for stem in _CIFAR_FILES)
_CIFAR_SHAPE = (3, 32, 32)


def _cifar10(name: str, root: Path | None) -> Dataset:
    folder, layout = _folder(root, name, "cifar10", {_CIFAR_PYTHON: _CIFAR_FILES, _CIFAR_BINARY: _CIFAR_BINARIES})
    if layout == _CIFAR_PYTHON:
        batches = [_cifar_python(folder / stem) for stem in _CIFAR_FILES]
    else:
        batches = [_cifar_binary(folder / stem) for stem in _CIFAR_BINARIES]
    images, labels = (np.concatenate(column) for column in zip(*batches[:-1], strict=True))
    _check_labels(folder, labels, 10, fewest=_FEWEST)
    _check_labels(folder, batches[-1][1], 10)
    return _with_official_test(name, (images, labels), batches[-1])


def _packed(path: Path) -> Path:
    """The file itself, or packed by gzip."""
    return path if path.exists() else path.with_name(f"{path.name}.gz")


def _cifar_binary(path: Path) -> tuple[U8, I64]:
    """Records of one label byte and 3072 pixels, red plane first."""
    content = np.frombuffer(_content(_packed(path)), dtype=np.uint8)
    record = 1 + int(np.prod(_CIFAR_SHAPE))
    if not content.size or content.size % record:
        raise SpecError(f"{path}", content.size, f"a positive multiple of {record} bytes")
    records = content.reshape(-1, record)
    return records[:, 1:].reshape(-1, *_CIFAR_SHAPE), records[:, 0].astype(np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles dictionaries of lists and numpy arrays; refuses every other class, and so any code."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a CIFAR-10 batch")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _cifar_python(path: Path) -> tuple[U8, I64]:
    """A pickled dictionary with b"data" (B, 3072) uint8 and b"labels", a list."""
    content = _content(_packed(path))
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], dtype=np.int64)
        images = pixels.reshape(-1, *_CIFAR_SHAPE)
    except MemoryError:
        raise SpecError(f"{path}", "its size", "one that fits into memory") from None
    except Exception as error:  # a damaged pickle raises anything; no code of it runs
        raise SpecError(f"{path}", error, 'a CIFAR-10 batch with b"data" and b"labels"') from None
    if labels.ndim != 1 or images.dtype != np.uint8 or len(images) != len(labels):
        raise SpecError(f"{path}", (images.dtype, len(images), len(labels)), "uint8 images, one label each")
    return images, labels


_READERS: dict[str, Callable[[str, Path | None], Dataset]] = {
    "cifar10": _cifar10,
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
    "noisy-digits": _noisy_digits,
}
