"""Entry points of installed packages by group, read once for each state of the path.

`importlib.metadata.entry_points` reads the metadata of every installed package at every call, some five milliseconds;
a run asks dozens of times. What is kept is dropped as soon as the path or a folder on it changes.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

__all__ = ["installed"]


def installed(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, of all packages that can be imported now.

    >>> [point.name for point in installed("console_scripts") if point.name == "pytest"]
    ['pytest']
    """
    return _read(group, tuple((entry, _changed(entry)) for entry in sys.path))


@lru_cache(maxsize=32)
def _read(group: str, path: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _changed(entry: str) -> int:
    """When a folder of the path last gained or lost a package, in ns; 0 where there is none."""
    try:
        return os.stat(entry or ".").st_mtime_ns
    except OSError:
        return 0
