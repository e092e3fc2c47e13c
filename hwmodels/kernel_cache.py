"""Compiled kernels on disk: numba's cache, where it can be written, and rebuilt where it is damaged.

numba keeps compiled code beside the source, or else in the user's cache folder. A read-only installation without a
home has neither: kernels are then kept in the temporary folder, in one that this user alone may enter, since what is
read from there is run. Each data file starts with the hash of its content: a file cut short by a full disk or a kill is
compiled again instead of run, with one line on the log.

Not modelled: a cache that two versions of numba share; numba itself tells them apart.
"""

from __future__ import annotations

import logging
import os
import pickle
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import numba
from numba import njit
from numba.core.caching import IndexDataCacheFile

__all__ = ["cached_njit"]

_LOG = logging.getLogger(__name__)
_HASH_BYTES = 32
_Function = TypeVar("_Function", bound=Callable[..., Any])


def cached_njit(*, error_model: Literal["python", "numpy"] = "python") -> Callable[[_Function], _Function]:
    """`numba.njit` without the interpreter's lock, with a cache for read-only installations and damaged files.

    error_model : "python" raises on a division by zero, "numpy" gives an infinity.
    """

    def compiled(function: _Function) -> _Function:
        dispatcher: Any
        for _ in range(2):
            try:
                dispatcher = njit(cache=True, nogil=True, error_model=error_model)(function)
            except RuntimeError as error:  # numba found no folder that it can write
                if "no locator available" not in str(error):
                    raise
                _use_temporary_folder()
                continue
            _check_files(dispatcher)
            return cast(_Function, dispatcher)
        return cast(_Function, njit(nogil=True, error_model=error_model)(function))

    return compiled


@cache
def _use_temporary_folder() -> None:
    """Let numba keep kernels in a temporary folder from now on, this user's where there is one."""
    with suppress(OSError):
        folder = str(_private_folder(Path(tempfile.gettempdir())))
        os.environ["NUMBA_CACHE_DIR"] = folder  # for processes that this one starts
        settings: Any = numba.config
        settings.CACHE_DIR = folder


def _private_folder(parent: Path) -> Path:
    """A folder for compiled kernels that nobody else can have put code into."""
    owner = os.getuid() if hasattr(os, "getuid") else 0
    folder = parent / f"codesign-kernels-{owner}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not stat.S_IMODE(found.st_mode) & 0o077:
        return folder
    return Path(tempfile.mkdtemp(prefix="codesign-kernels-", dir=parent))


class _CheckedFiles(IndexDataCacheFile):
    """The files of one kernel; names of their own keep them apart from those that numba writes without a hash."""

    def __init__(self, cache_path: str, filename_base: str, source_stamp: object) -> None:
        super().__init__(cache_path, f"{filename_base}.checked", source_stamp)

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except OSError:
            return {}
        except Exception:  # what a damaged pickle raises is anything
            _report_damage(self._cache_path)
            return {}

    def _load_data(self, name: str) -> Any:
        content = Path(self._data_path(name)).read_bytes()
        if sha256(content[_HASH_BYTES:]).digest() != content[:_HASH_BYTES]:
            _report_damage(self._cache_path)
            return None
        return pickle.loads(content[_HASH_BYTES:])

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as handle:
            handle.write(sha256(content).digest() + content)

    def save(self, key: Any, data: Any) -> None:
        """Keep a compiled kernel; a full or vanished disk only costs the next process its compilation."""
        with suppress(OSError):
            super().save(key, data)


@cache
def _report_damage(folder: str) -> None:
    _LOG.warning("the cache of compiled kernels in %s is damaged and is rebuilt", folder)


def _check_files(dispatcher: Any) -> None:
    """Let a kernel read and write checked files."""
    kept: Any = getattr(dispatcher, "_cache", None)
    files = getattr(kept, "_cache_file", None)
    if isinstance(files, IndexDataCacheFile):
        base = files._index_name.removesuffix(".nbi")
        kept._cache_file = _CheckedFiles(files._cache_path, base, files._source_stamp)
