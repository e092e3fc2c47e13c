"""Everything in this process, one item after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from pydantic import Field

from codesign.executor.portable import pin_instruction_set
from codesign.registry import Plugin, Settings

__all__ = ["PLUGIN", "SerialExecutor", "SerialSettings", "in_this_process"]

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


class SerialSettings(Settings):
    """Trainings in the process of the search."""

    portable: bool = Field(True, description="train with AVX2 everywhere, so that other processors give the same run")


def in_this_process(*, portable: bool) -> SerialExecutor:
    """The serial executor, with this process pinned to one instruction set where `portable`; warns where it is late."""
    if portable and not pin_instruction_set():
        warnings.warn(
            "torch was loaded before the run and keeps its instruction set: another processor may give another "
            "run; take `executor: {workers: 2}`, or start Python afresh",
            stacklevel=2,
        )
    return SerialExecutor()


def _make(settings: SerialSettings, problem: None) -> SerialExecutor:
    return in_this_process(portable=settings.portable)


PLUGIN = Plugin(SerialSettings, _make, "trainings in the process of the search, one after the other")
