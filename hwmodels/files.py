"""Files and folders that commands write: checked before the work, whole or not at all, nothing lost.

A file is written beside its place under a hidden name and put there at once, so that a reader, a full disk or a kill
never meets half of one. What a user named is not written over unless that was asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from hwmodels.errors import SpecError

__all__ = [
    "check_new_file",
    "check_new_folder",
    "finite_or_null",
    "is_partial",
    "make_folder",
    "strict_json",
    "unwritable",
    "write_bytes",
    "write_text",
    "write_whole",
]

_PARTIAL = ".part"


def unwritable(path: Path | str, error: OSError) -> SpecError:
    """An error of the operating system as one line with the path.

    >>> print(unwritable("out.csv", OSError(28, "No space left on device")))
    out.csv: the file is not writable (No space left on device)
    """
    return SpecError(str(path), "the file", "writable", error.strerror or type(error).__name__)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, of the same ending, then put it there at once.

    Raises
    ------
    SpecError : the operating system refuses; what was at `path` stays as it is.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}{_PARTIAL}{path.suffix}")
    try:
        write(part)
        with part.open("rb+") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is what a killed `write_whole` left behind."""
    return path.name.startswith(".") and _PARTIAL in path.name


def write_text(path: Path, text: str) -> None:
    """A UTF-8 file with the line ends that `text` has; see `write_whole`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """See `write_whole`."""

    def write(part: Path) -> None:
        part.write_bytes(content)

    write_whole(path, write)


def check_new_file(path: Path, *, force: bool = False, endings: Sequence[str] = (), where: str = "--output") -> None:
    """Refuse a file that cannot be made, or that is there already, before any work is done for it.

    Parameters
    ----------
    force : an existing file may be written over. endings : those allowed, as ``(".csv", ".md")``.

    Raises
    ------
    SpecError : another ending, a folder that is missing or read-only, an existing file without `force`.
    """
    if endings and path.suffix.lower() not in endings:
        raise SpecError(where, path, f"a file that ends in {', '.join(endings)}")
    try:
        if path.is_dir():
            raise SpecError(where, path, "a file", "it is a folder")
        if not path.parent.is_dir():
            raise SpecError(where, path, "a file in an existing folder")
        if path.exists() and not force:
            raise SpecError(where, path, "a new file", "--force writes over it")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise SpecError(where, path, "a file that can be made", error.strerror) from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SpecError(where, path, "a file that can be made", f"{path.parent} is read-only")


def check_new_folder(path: Path, *, where: str = "--output") -> None:
    """Refuse a folder that cannot be made, before any work is done for it; nothing is made here.

    Raises
    ------
    SpecError : names what is in the way: a file above it, a folder that is read-only.
    """
    try:
        above = next(one for one in (path, *path.absolute().parents) if one.exists() or one.is_symlink())
        if not above.is_dir():
            raise SpecError(where, path, "a folder that can be made", f"{above} is a file")
        if not os.access(above, os.W_OK | os.X_OK) or above == Path("/proc"):
            raise SpecError(where, path, "a folder that can be made", f"{above} is read-only")
    except OSError as error:
        raise SpecError(where, path, "a folder that can be made", error.strerror) from None


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises
    ------
    SpecError : the operating system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(str(path), "the folder", "one that can be made", error.strerror) from None


def strict_json(value: Any, *, indent: int | None = 2) -> str:
    """JSON by RFC 8259: what is no finite number becomes null; keys, paths and the like become text.

    >>> strict_json({"a": float("nan"), "b": (1, 2)}, indent=None)
    '{"a": null, "b": [1, 2]}'
    """
    return json.dumps(finite_or_null(value), indent=indent, default=str, allow_nan=False)


def finite_or_null(value: Any) -> Any:
    """Dictionaries and lists with None in place of every number that is not finite."""
    if isinstance(value, dict):
        return {key: finite_or_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
