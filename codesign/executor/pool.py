"""A pool of workers: which worker has which item, which were lost, which parts were handed on already.

One item a worker, the next one when it is done. An item whose worker is lost goes to another worker, a stated number
of times; parts that were handed on already are not handed on again, since equal items give equal parts.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from codesign.executor.base import WorkerLost
from codesign.executor.task_runner import Reply

__all__ = ["WorkerPool"]

_Item = TypeVar("_Item")
_Part = TypeVar("_Part")
_Worker = TypeVar("_Worker")


@dataclass
class _Assignment:
    """An item on its way: how often its worker was lost, parts handed on, parts seen of the present attempt."""

    position: int
    item: Any
    lost: int = 0
    delivered: int = 0
    seen: int = 0


class WorkerPool(Generic[_Worker]):
    """Executors with workers of their own, each known by a handle; they supply the methods below.

    Parameters
    ----------
    workers : how many work at once.
    retries : how often an item is given to a new worker after its own was lost.
    """

    def __init__(self, workers: int, *, retries: int) -> None:
        self.workers, self.retries = workers, retries
        self._idle: list[_Worker] = []
        self._task: Callable[[Any], Iterator[Any]] | None = None
        self._payload = b""

    def _open(self) -> None:
        """Connect to the machines of the workers; `_payload` is known."""

    def _start_worker(self, task: bytes) -> _Worker:
        """Start a worker and let it load the task, without waiting for it."""
        raise NotImplementedError

    def _give(self, worker: _Worker, item: bytes) -> None:
        """Send an item, without waiting for the result; a loss shows among the replies."""
        raise NotImplementedError

    def _replies(self, workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, Reply]]:
        """Wait until some of the workers have answered; one reply of each of these."""
        raise NotImplementedError

    def _stop_worker(self, worker: _Worker) -> None:
        """End a worker at once, busy or idle, alive or lost."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_idle()
        self._task, self._payload = None, b""

    def _stop_idle(self) -> None:
        while self._idle:
            self._stop_worker(self._idle.pop())

    def prepare(self, task: Callable[[_Item], Iterator[_Part]]) -> None:
        """Start the workers; each loads the task once."""
        if task is not self._task:
            self._stop_idle()
            self._task, self._payload = task, pickle.dumps(task)
            self._open()
        while len(self._idle) < self.workers:
            self._idle.append(self._start_worker(self._payload))

    def stream(self, task: Callable[[_Item], Iterator[_Part]], items: Iterable[_Item]) -> Iterator[tuple[int, _Part]]:
        """(position, part) as they come, see `Executor`."""
        self.prepare(task)
        fresh = (_Assignment(position, item) for position, item in enumerate(items))
        again: deque[_Assignment] = deque()
        busy: dict[_Worker, _Assignment] = {}
        try:
            while self._assign(fresh, again, busy):
                for worker, reply in self._replies(list(busy)):
                    assignment = busy[worker]
                    if reply.kind == "part":
                        assignment.seen += 1
                        if assignment.seen > assignment.delivered:
                            assignment.delivered = assignment.seen
                            yield assignment.position, pickle.loads(reply.value)
                        continue
                    del busy[worker]
                    if reply.kind == "lost":
                        self._stop_worker(worker)
                        again.append(self._retried(assignment, reply.value))
                        continue
                    self._idle.append(worker)
                    if reply.kind == "failed":
                        raise reply.value.restore()
        finally:
            # Left early, by an exception or by the caller: what is under way will not be read any more.
            for worker in busy:
                self._stop_worker(worker)

    def _assign(
        self, fresh: Iterator[_Assignment], again: deque[_Assignment], busy: dict[_Worker, _Assignment]
    ) -> bool:
        """Give every free worker an item; whether any worker has one."""
        while len(busy) < self.workers:
            assignment = again.popleft() if again else next(fresh, None)
            if assignment is None:
                break
            item = pickle.dumps(assignment.item)
            worker = self._idle.pop() if self._idle else self._start_worker(self._payload)
            busy[worker] = assignment
            self._give(worker, item)
        return bool(busy)

    def _retried(self, assignment: _Assignment, reason: str) -> _Assignment:
        assignment.lost, assignment.seen = assignment.lost + 1, 0
        if assignment.lost > self.retries:
            times = "once" if assignment.lost == 1 else f"{assignment.lost} times"
            raise WorkerLost(f"{assignment.item}: its worker was lost {times}, last {reason}")
        return assignment
