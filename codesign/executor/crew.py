"""Handing out work to a crew of workers: who has what, what was lost, what is handed on.

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
from codesign.executor.servant import Reply

__all__ = ["Crew"]

_Item = TypeVar("_Item")
_Part = TypeVar("_Part")
_Worker = TypeVar("_Worker")


@dataclass
class _Piece:
    """An item on its way: how often its worker was lost, parts handed on, parts seen of the present attempt."""

    position: int
    item: Any
    lost: int = 0
    delivered: int = 0
    seen: int = 0


class Crew(Generic[_Worker]):
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
        """Reach where the workers shall be; `_payload` is known."""

    def _hire(self, task: bytes) -> _Worker:
        """Start a worker and let it load the task, without waiting for it."""
        raise NotImplementedError

    def _give(self, worker: _Worker, item: bytes) -> None:
        """Send an item, without waiting for the result; a loss shows among the replies."""
        raise NotImplementedError

    def _replies(self, workers: Sequence[_Worker]) -> Iterator[tuple[_Worker, Reply]]:
        """Wait until some of the workers have answered; one reply of each of these."""
        raise NotImplementedError

    def _dismiss(self, worker: _Worker) -> None:
        """Let a worker go at once, busy or idle, alive or lost."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._dismiss_idle()
        self._task, self._payload = None, b""

    def _dismiss_idle(self) -> None:
        while self._idle:
            self._dismiss(self._idle.pop())

    def prepare(self, task: Callable[[_Item], Iterator[_Part]]) -> None:
        """Start the workers; each loads the task once."""
        if task is not self._task:
            self._dismiss_idle()
            self._task, self._payload = task, pickle.dumps(task)
            self._open()
        while len(self._idle) < self.workers:
            self._idle.append(self._hire(self._payload))

    def stream(self, task: Callable[[_Item], Iterator[_Part]], items: Iterable[_Item]) -> Iterator[tuple[int, _Part]]:
        """(position, part) as they come, see `Executor`."""
        self.prepare(task)
        fresh = (_Piece(position, item) for position, item in enumerate(items))
        again: deque[_Piece] = deque()
        busy: dict[_Worker, _Piece] = {}
        try:
            while self._hand_out(fresh, again, busy):
                for worker, reply in self._replies(list(busy)):
                    piece = busy[worker]
                    if reply.kind == "part":
                        piece.seen += 1
                        if piece.seen > piece.delivered:
                            piece.delivered = piece.seen
                            yield piece.position, pickle.loads(reply.value)
                        continue
                    del busy[worker]
                    if reply.kind == "lost":
                        self._dismiss(worker)
                        again.append(self._tried_again(piece, reply.value))
                        continue
                    self._idle.append(worker)
                    if reply.kind == "failed":
                        raise reply.value.restore()
        finally:
            # Left early, by an exception or by the caller: what is under way will not be read any more.
            for worker in busy:
                self._dismiss(worker)

    def _hand_out(self, fresh: Iterator[_Piece], again: deque[_Piece], busy: dict[_Worker, _Piece]) -> bool:
        """Give every free worker an item; whether any worker has one."""
        while len(busy) < self.workers:
            piece = again.popleft() if again else next(fresh, None)
            if piece is None:
                break
            item = pickle.dumps(piece.item)
            worker = self._idle.pop() if self._idle else self._hire(self._payload)
            busy[worker] = piece
            self._give(worker, item)
        return bool(busy)

    def _tried_again(self, piece: _Piece, reason: str) -> _Piece:
        piece.lost, piece.seen = piece.lost + 1, 0
        if piece.lost > self.retries:
            times = "once" if piece.lost == 1 else f"{piece.lost} times"
            raise WorkerLost(f"{piece.item}: its worker was lost {times}, last {reason}")
        return piece
