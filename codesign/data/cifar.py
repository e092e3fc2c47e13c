"""CIFAR-10 and CIFAR-100, python and binary versions.

Source: [Krizhevsky, "The CIFAR-10 dataset" and "The CIFAR-100 dataset"]; of CIFAR-100 the labels are the fine ones.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from codesign.data.base import FEWEST_WITH_TEST, I64, U8, Dataset, Options, check_labels, with_official_test
from codesign.data.files import content_of, folder_of, packed
from hwmodels.errors import SpecError

__all__ = ["read_cifar"]

_SHAPE = (3, 32, 32)


class _Version(NamedTuple):
    """One of the two sets.

    python, binary : folders as the archives unpack. stems : its files, test last. labels : key of the python version.
    label_bytes : before the pixels of a record of the binary version; the last one is the label.
    """

    python: str
    binary: str
    stems: tuple[str, ...]
    labels: bytes
    label_bytes: int
    classes: int


_VERSIONS = {
    "cifar10": _Version(
        "cifar-10-batches-py",
        "cifar-10-batches-bin",
        (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
        b"labels",
        1,
        10,
    ),
    "cifar100": _Version("cifar-100-python", "cifar-100-binary", ("train", "test"), b"fine_labels", 2, 100),
}


def read_cifar(name: str, options: Options) -> Dataset:
    """One of the two, by name, from whichever version is there."""
    version = _VERSIONS[name]
    binaries = tuple(f"{stem}.bin" for stem in version.stems)
    layouts = {version.python: version.stems, version.binary: binaries}
    folder, layout = folder_of(options.root, name, name, layouts)
    if layout == version.python:
        batches = [_python(folder / stem, version) for stem in version.stems]
    else:
        batches = [_binary(folder / stem, version) for stem in binaries]
    images, labels = (np.concatenate(column) for column in zip(*batches[:-1], strict=True))
    check_labels(folder, labels, version.classes, fewest=FEWEST_WITH_TEST)
    check_labels(folder, batches[-1][1], version.classes)
    return with_official_test(name, (images, labels), batches[-1], version.classes)


def _binary(path: Path, version: _Version) -> tuple[U8, I64]:
    """Records of the label bytes and 3072 pixels, red plane first."""
    content = np.frombuffer(content_of(packed(path)), dtype=np.uint8)
    record = version.label_bytes + int(np.prod(_SHAPE))
    if not content.size or content.size % record:
        raise SpecError(f"{path}", content.size, f"a positive multiple of {record} bytes")
    records = content.reshape(-1, record)
    pixels, labels = records[:, version.label_bytes :], records[:, version.label_bytes - 1]
    return pixels.reshape(-1, *_SHAPE), labels.astype(np.int64)


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
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into a CIFAR batch")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _python(path: Path, version: _Version) -> tuple[U8, I64]:
    """A pickled dictionary with b"data" (B, 3072) uint8 and the labels, a list."""
    content = content_of(packed(path))
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = np.asarray(batch[b"data"]), np.asarray(batch[version.labels], dtype=np.int64)
        images = pixels.reshape(-1, *_SHAPE)
    except MemoryError:
        raise SpecError(f"{path}", "its size", "one that fits into memory") from None
    except Exception as error:  # a damaged pickle raises anything; no code of it runs
        raise SpecError(f"{path}", error, f'a CIFAR batch with b"data" and {version.labels!r}') from None
    if labels.ndim != 1 or images.dtype != np.uint8 or len(images) != len(labels):
        raise SpecError(f"{path}", (images.dtype, len(images), len(labels)), "uint8 images, one label each")
    return images, labels
