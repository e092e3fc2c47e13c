"""Kills at every write to a run store: each statement of SQL that changes it, and each file before it has its name.

A fresh interpreter imports everything once and forks a child for every kill, so that a kill costs a search and no more.
The child counts its writes and sends itself SIGKILL before the n-th; n = None counts all of them.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import codesign.store

WRITES = ("INSERT", "DELETE", "UPDATE", "COMMIT")


class Writes:
    """Counts the writes of this process and kills it before the one asked for."""

    def __init__(self, last: int | None) -> None:
        self.count, self.last, self._previous = 0, last, ""

    def before(self, what: str) -> None:
        # Pairs of a generation are one statement for many rows, in one transaction: its first row stands for all.
        is_row = what.startswith("INSERT INTO pairs") and self._previous.startswith("INSERT INTO pairs")
        self._previous = what
        if is_row or not what.startswith((*WRITES, "file")):
            return
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


def watch_writes(last: int | None) -> Writes:
    """Count from here on in this process, and kill it before write number `last`, from 0 on."""
    writes = Writes(last)

    class Connection(sqlite3.Connection):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)
            self.set_trace_callback(writes.before)

    connect, fsync = sqlite3.connect, os.fsync

    def counted(descriptor: int) -> None:
        fsync(descriptor)
        writes.before("file")

    codesign.store.sqlite3.connect = lambda path, **named: connect(path, factory=Connection, **named)
    os.fsync = counted
    return writes


def kill_everywhere(target: str, root: Path) -> dict[str, object]:
    """Kill ``module:function`` (folder) -> None before each of its writes, go on, and tell what became of it.

    Returns the number of writes, whether each child was killed, and which runs differ from the whole one.
    """
    code = f"from tests.codesign.kills import _all; _all({target!r}, {str(root)!r})"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def _all(target: str, root: str) -> None:
    module, name = target.split(":")
    work: Callable[[Path], None] = getattr(import_module(module), name)
    content: Callable[[Path], str] = import_module(module).content_of
    whole = Path(root) / "whole"
    count = _forked(work, whole, None)[1]
    expected = content(whole)
    killed, different, unable = [], [], []
    for n in range(count):
        folder = Path(root) / f"killed-{n}"
        killed.append(_forked(work, folder, n)[0] == signal.SIGKILL)
        if not (folder / "manifest.json").is_file():
            unable.append(n)  # nothing has begun yet
            continue
        status, _ = _forked(work, folder, None)
        if status != 0 or content(folder) != expected:
            different.append(n)
    print(json.dumps({"writes": count, "killed": all(killed), "different": different, "not_begun": unable}))


def _forked(work: Callable[[Path], None], folder: Path, last: int | None) -> tuple[int, int]:
    """Signal or exit code of a child that works, and how many writes it made."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            writes = watch_writes(last)
            work(folder)
            os.write(writer, str(writes.count).encode())
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as stream:
        counted = int(stream.read() or 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return abs(code), counted
