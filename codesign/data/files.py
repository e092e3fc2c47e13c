"""Files of data sets: where they lie, and their content, packed by gzip or not; every failure is one line."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from hwmodels.errors import SpecError

__all__ = ["content_of", "files_by_class", "folder_of", "given_root", "packed"]

_MOST_BYTES = 2**31  # of one file, unpacked


def given_root(name: str, root: Path | None, expected: str) -> Path:
    """The root of a data set that needs one.

    Raises
    ------
    SpecError : none is given.
    """
    if root is None:
        raise SpecError(f"data: {name}", "root=None", expected)
    return root


def folder_of(root: Path | None, name: str, customary: str, layouts: dict[str, tuple[str, ...]]) -> tuple[Path, str]:
    """The first folder that holds every file of one layout, and the layout's name.

    Looks into `root` and `root/customary` for each customary folder; a file counts with ".gz" appended too.

    Raises
    ------
    SpecError : no folder holds them; names the folder, one layout and its files.
    """
    where = f"data: {name}"
    root = given_root(name, root, "a folder with " + ", ".join(next(iter(layouts.values()))))
    for layout, files in layouts.items():
        for folder in (root, root / layout, root / customary):
            if all((folder / file).exists() or (folder / f"{file}.gz").exists() for file in files):
                return folder, layout
    described = " or ".join(f"{layout}/ with {', '.join(files)}" for layout, files in layouts.items())
    raise SpecError(where, root, f"a folder with {described}")


def files_by_class(root: Path, suffixes: tuple[str, ...], what: str) -> dict[str, list[Path]]:
    """Class -> its files, of a folder with a folder for each class; both by name, without what begins with a dot.

    what : a file of these suffixes, in words.

    Raises
    ------
    SpecError : the folder cannot be listed, or something else lies where a class or such a file is expected.
    """
    try:
        folders = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
        found = {}
        for folder in folders:
            if not folder.is_dir():
                raise SpecError(str(folder), "a file", "the folder of a class")
            found[folder.name] = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    except OSError as error:
        raise SpecError(str(root), error.strerror or error, "a folder that can be read") from None
    for path in (path for paths in found.values() for path in paths):
        if path.suffix.lower() not in suffixes or not path.is_file():
            raise SpecError(str(path), path.suffix or "its name", f"{what}, {', '.join(suffixes)}")
    return found


def content_of(path: Path) -> bytes:
    """A file, unpacked where it ends in .gz.

    Raises
    ------
    SpecError : it cannot be read or unpacked, or is too large.
    """
    try:
        with path.open("rb") as stream:
            unpacked = gzip.GzipFile(fileobj=stream) if path.suffix == ".gz" else stream
            content = unpacked.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        kind = "a gzip file" if path.suffix == ".gz" else "a readable file"
        raise SpecError(str(path), getattr(error, "strerror", None) or error, kind) from None
    if len(content) > _MOST_BYTES:
        raise SpecError(str(path), "its size", f"at most {_MOST_BYTES} bytes")
    return content


def packed(path: Path) -> Path:
    """The file itself, or packed by gzip."""
    return path if path.exists() else path.with_name(f"{path.name}.gz")
