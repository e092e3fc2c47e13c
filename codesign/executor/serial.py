"""Everything in this process, one item after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

__all__ = ["SerialExecutor"]

_Item = TypeVar("_Item")
_Part = TypeVar("_Part")


class SerialExecutor:
    """The caller is the worker.

    >>> with SerialExecutor() as executor:
    ...     list(executor.stream(lambda n: iter([n, n * n]), [2, 3]))
    [(0, 2), (0, 4), (1, 3), (1, 9)]
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def prepare(self, task: Callable[[_Item], Iterator[_Part]]) -> None:
        """Nothing to do."""

    def stream(self, task: Callable[[_Item], Iterator[_Part]], items: Iterable[_Item]) -> Iterator[tuple[int, _Part]]:
        """(position, part), in order."""
        for position, item in enumerate(items):
            for part in task(item):
                yield position, part
