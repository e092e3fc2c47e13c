"""What runs inside a worker: it holds the task, works on one item at a time and answers with replies.

Nothing here knows how replies travel; it loads nothing before the task does, so that a worker starts at once.
"""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

__all__ = ["Failure", "Reply", "TaskRunner"]


class Reply(NamedTuple):
    """A worker's answer: a part of the item's result, its end, the failure of the task, or the loss of the worker.

    value : the pickled part, nothing, a `Failure`, or a word on how it was lost.
    """

    kind: Literal["part", "end", "failed", "lost"]
    value: Any = None


class TaskRunner:
    """The task of a worker and the item in hand.

    Parameters
    ----------
    environment : variables to set before the task is loaded, for workers whose start is not the caller's.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        os.environ.update(environment or {})
        self._task: Callable[[Any], Iterator[Any]] | None = None
        self._refusal: BaseException | None = None
        self._parts: Iterator[Any] = iter(())

    def load(self, task: bytes) -> None:
        """Take the task; one that cannot be loaded is told with the first item."""
        try:
            self._task = pickle.loads(task)
        except Exception as error:
            self._refusal = error

    def begin(self, item: bytes) -> None:
        """Take an item up."""
        self._parts = self._work(item)

    def advance(self) -> Reply:
        """The next part of the item, its end, or its failure."""
        try:
            return Reply("part", pickle.dumps(next(self._parts)))
        except StopIteration:
            return Reply("end")
        except Exception as error:
            return Reply("failed", _portable(error))

    def _work(self, item: bytes) -> Iterator[Any]:
        if self._refusal is not None:
            raise self._refusal
        assert self._task is not None, "a worker gets its task before its first item"
        yield from self._task(pickle.loads(item))


class Failure(NamedTuple):
    """An exception as it travels: its class, arguments and attributes, and where it was raised."""

    kind: type[BaseException]
    arguments: tuple[Any, ...]
    attributes: dict[str, Any]
    trace: str

    def restore(self) -> BaseException:
        """The exception again; its constructor, which may take other arguments, is not called."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.attributes)
        error.add_note(f"raised in a worker:\n{self.trace}")
        return error


def _portable(error: BaseException) -> Failure:
    trace = "".join(traceback.format_exception(error))
    failure = Failure(type(error), error.args, dict(error.__dict__), trace)
    try:
        pickle.loads(pickle.dumps(failure)).restore()
    except Exception:
        # A class of the task's own making, or arguments that cannot travel: the message can.
        return Failure(RuntimeError, (f"{type(error).__name__}: {error}",), {}, trace)
    return failure
