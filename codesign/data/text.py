"""Text as bytes: which one comes next, at every place of a window that is read.

A file, the files of a folder in the order of their paths, or without a root the plain text that ships with CPython:
the language reference of `pydoc_data.topics`, topics in the order of their names, some 700 kB of English and code.
Windows of `length` bytes stand one behind the other and do not overlap; the first 60 % of them are training, the next
20 % validation and the last test, so that no part reads on in a text of another. Of a window a network sees its own
bytes alone.

The text of Python differs from version to version, and with it the fingerprint of the data. Not modelled: words,
encodings, the borders of files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from codesign.data.base import Dataset, Options, Part, check_shape
from codesign.data.files import content_of
from codesign.task import Language
from hwmodels.errors import SpecError

__all__ = ["read_text"]

_LENGTH = 64
_FEWEST = 5  # windows, that each part has one
_BYTES = 256
_MOST_FILES = 100_000


def read_text(name: str, options: Options) -> Dataset:
    """The windows of a text.

    Raises
    ------
    SpecError : no file there, one that cannot be read, or too little text.
    """
    length = _LENGTH if options.length is None else options.length
    where = f"data: {name}" if options.root is None else str(options.root)
    content = _python_text() if options.root is None else b"\n".join(map(content_of, _files(options.root)))
    windows = (len(content) - 1) // length
    if windows < _FEWEST:
        raise SpecError(
            where, f"{len(content)} bytes", f"at least {_FEWEST * length + 1}: {_FEWEST} windows of {length}"
        )
    check_shape(where, (windows, length, 1, 1))
    tokens = np.frombuffer(content, np.uint8, windows * length + 1).astype(np.int64)
    read, follows = (part.reshape(windows, length) for part in (tokens[:-1], tokens[1:]))
    edges = np.round(np.array([0.6, 0.8]) * windows).astype(int)
    parts = zip(np.split(read, edges), np.split(follows, edges), strict=True)
    train, validation, test = (Part(images, labels) for images, labels in parts)
    return Dataset(name, train, validation, test, _BYTES, Language(_BYTES))


def _python_text() -> bytes:
    from pydoc_data.topics import topics

    return "\n".join(text for _, text in sorted(topics.items())).encode()


def _files(root: Path) -> list[Path]:
    """The file itself, or those below a folder without what begins with a dot.

    Raises
    ------
    SpecError : nothing there, or something that is no file.
    """
    if root.is_file():
        return [root]
    try:
        below = sorted(path for path in root.rglob("*") if not path.is_dir())
    except OSError as error:
        raise SpecError(str(root), error.strerror or error, "a folder that can be read") from None
    found = [path for path in below if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    if not 0 < len(found) <= _MOST_FILES:
        raise SpecError(str(root), f"{len(found)} files", f"a file of text, or a folder with 1 to {_MOST_FILES}")
    for path in found:
        if not path.is_file():
            raise SpecError(str(path), "something else", "a file of text")
    return found
