"""A lock file with the process that holds it: two searches never write to one run, and a dead owner holds nothing.

A process is told from a later one of the same number by when it started, where the system says so (Linux). A lock of
another machine is trusted: whether its owner lives cannot be seen from here.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hwmodels.errors import SpecError
from hwmodels.files import unwritable

__all__ = ["held"]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock `path` for this process; one that it holds already stays held.

    Raises
    ------
    SpecError : a living process holds it; names that process.
    """
    own = {"pid": os.getpid(), "host": platform.node(), "started": _started(os.getpid())}
    taken = _take(path, own)
    try:
        yield
    finally:
        if taken and _owner(path) == own:
            with suppress(OSError):
                path.unlink()


def _take(path: Path, own: dict[str, Any]) -> bool:
    """Whether the lock is new to this process."""
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            owner = _owner(path)
            if owner == own:
                return False
            if owner is not None and _lives(owner):
                where = "" if owner["host"] == own["host"] else f" on {owner['host']}"
                told = f"process {owner['pid']}{where} is running it; where it is not, remove {path.name}"
                raise SpecError(str(path.parent), "the run", "free", told) from None
            with suppress(OSError):
                path.unlink()
        except OSError as error:
            raise unwritable(path, error) from None
        else:
            with os.fdopen(descriptor, "w") as handle:
                json.dump(own, handle)
            return True
    raise SpecError(str(path.parent), "the run", "free", "another process has just begun to run it")


def _owner(path: Path) -> dict[str, Any] | None:
    """Who holds a lock; None where the file is damaged: it was being written when its owner died."""
    try:
        owner = json.loads(path.read_text())
        return {"pid": int(owner["pid"]), "host": str(owner["host"]), "started": owner["started"]}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _lives(owner: dict[str, Any]) -> bool:
    if owner["host"] != platform.node():
        return True
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return owner["started"] is None or _started(owner["pid"]) == owner["started"]


def _started(pid: int) -> int | None:
    """When a process started, in ticks since the machine did; None where the system does not say, -1 for a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if fields[0] == "Z" else int(fields[19])
