"""What an executor is: it streams the parts of many pieces of work, wherever these run.

A task is a generator function of one item. Every part that it yields is handed on at once, so that what is finished
can be kept before the rest is. Tasks, items and parts cross process boundaries: they are pickled, and their classes
live in modules that a worker can import. Equal items must give equal parts, whoever works on them and in whichever
order: a lost worker's item is given to another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, Self, TypeVar

__all__ = ["Executor", "WorkerLost", "cores"]

_Item = TypeVar("_Item")
_Part = TypeVar("_Part")


class WorkerLost(RuntimeError):
    """A piece of work lost its worker (killed, out of memory) more often than it may be tried again."""


class Executor(Protocol):
    """Runs a task over items; a context manager that lets its workers go on leaving."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def prepare(self, task: Callable[[_Item], Iterator[_Part]]) -> None:
        """Let the workers load a task while the caller does something else; `stream` does it where nobody did."""
        ...

    def stream(self, task: Callable[[_Item], Iterator[_Part]], items: Iterable[_Item]) -> Iterator[tuple[int, _Part]]:
        """(position of the item, part) as they come; the parts of one item in the order yielded.

        Items are drawn only when a worker is free for them.

        Raises
        ------
        WorkerLost : one item lost its worker too often.
        Exception : whatever the task raised, with its message; it is not tried again.
        """
        ...


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
