"""The block loop of an enumeration: rounds of networks over all designs, threads side by side, the front after each.

Threads work against the front of the round before; what they find is merged between rounds, so the front after any
round depends on the input alone and not on which thread was faster. Best networks come first, and rounds grow while
they find little: the front is strong before most pairs are met.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from codesign.exact.dominance import beaten, grow
from codesign.exact.passes import PairFilter, ThreadState
from hwmodels.errors import SpecError

__all__ = ["BlockLoop", "Checkpoint", "Front", "Progress", "Sink", "write_whole"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_ROOM = 1 << 20
"""Pairs that a thread may find in a round."""
_LONGEST = 1 << 28
"""Pairs a thread meets in a round at most: a fraction of a second, so that progress and interruption are felt."""
_ENOUGH = 1000
"""Pairs found by a thread that end its round, or an eighth of the front if that is more: what is merged soon prunes."""


class Front(NamedTuple):
    """Pairs that nothing met so far dominates: positions (F,), objectives (F, O)."""

    network: I64
    design: I64
    values: F64

    @classmethod
    def empty(cls, n_objectives: int) -> Front:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, n_objectives)))

    def where(self, mask: Mask) -> Front:
        return Front(self.network[mask], self.design[mask], self.values[mask])

    def join(self, other: Front) -> Front:
        """Both, less what `other` dominates; nothing here dominates any of `other`."""
        kept = self.where(~beaten(self.values, grow(other.values)))
        return Front(*(np.concatenate(columns) for columns in zip(kept, other, strict=True)))

    def ordered(self) -> Front:
        """By rising objectives, first to last, then by position."""
        order = np.lexsort((self.design, self.network, *self.values.T[::-1]))
        return Front(self.network[order], self.design[order], self.values[order])


class Progress(NamedTuple):
    """How far an enumeration is; `seconds_left` at the pace so far, infinite before the first round."""

    pairs: int
    total: int
    seconds_left: float


class Sink(Protocol):
    """Takes pairs as they are found, a part a round; a part written again replaces the one before."""

    def __call__(self, part: int, pairs: Front) -> None: ...


@dataclass
class Checkpoint:
    """Where an interrupted enumeration stands; written whole or not at all.

    fingerprint : of everything that decides the result. Nothing is read or written without a path.
    """

    path: Path | None
    fingerprint: str
    every: int = 64
    """Rounds between two writings; an interruption always writes."""

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """The stored state.

        Raises
        ------
        SpecError : a file that is no checkpoint, or one of another enumeration.
        """
        if self.path is None or not self.path.is_file():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                state = {name: archive[name] for name in archive.files}
            began = str(state.pop("fingerprint"))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise SpecError(str(self.path), error, "a checkpoint of an enumeration") from None
        if began != self.fingerprint:
            raise SpecError(
                str(self.path), "a checkpoint of another enumeration", "of this one", "remove it to restart"
            )
        return state

    def save(self, state: dict[str, npt.NDArray[Any]]) -> None:
        if self.path is not None:
            write_whole(self.path, lambda part: _save(part, {**state, "fingerprint": np.array(self.fingerprint)}))

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, then put it there at once."""
    part = path.with_name(path.name + ".part")
    write(part)
    with part.open("rb+") as handle:
        os.fsync(handle.fileno())
    part.replace(path)


def _save(path: Path, state: dict[str, npt.NDArray[Any]]) -> None:
    with path.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **state)


@dataclass
class BlockLoop:
    """One enumeration under way.

    order : (N,) networks, best first. designs_of : first design of each slab, and at the end their number. filter_of :
    the pass over one slab. confirm : (networks, designs) -> which of these pairs count; None where all do. longest :
    networks a thread meets in a round at most.
    """

    order: I64
    designs_of: Sequence[int]
    filter_of: Callable[[int], PairFilter]
    n_objectives: int
    threads: int
    checkpoint: Checkpoint
    confirm: Callable[[I64, I64], Mask] | None = None
    progress: Callable[[Progress], None] | None = None
    sink: Sink | None = None
    room: int = _ROOM
    longest: int = 1 << 20
    front: Front = field(init=False)
    by_reason: I64 = field(init=False)

    def __post_init__(self) -> None:
        self.front = Front.empty(self.n_objectives)
        self.by_reason = np.zeros(5, np.int64)
        self._slab, self._round, self._step = 0, 0, 1
        self._at: I64 = np.zeros(self.threads, np.int64)

    @property
    def total(self) -> int:
        return int(self.order.size) * self.designs_of[-1]

    def run(self) -> None:
        """To the end, or to a KeyboardInterrupt, which leaves a checkpoint.

        `by_reason` counts pairs as `codesign.exact.dominance` does, and then those that `confirm` refused.
        """
        state = self.checkpoint.load()
        if state is not None:
            self._resume(state)
        try:
            with ThreadPoolExecutor(self.threads) as pool, _one_blas_thread():
                self._slabs(pool)
        except KeyboardInterrupt:
            self.checkpoint.save(self._state())
            raise
        self.checkpoint.remove()

    def _slabs(self, pool: ThreadPoolExecutor) -> None:
        began, met = perf_counter(), self._met()
        while self._slab < len(self.designs_of) - 1:
            pair_filter = self.filter_of(self._slab)
            n_designs = self.designs_of[self._slab + 1] - self.designs_of[self._slab]
            threads = [ThreadState.of(max(self.room, n_designs), self.n_objectives) for _ in range(self.threads)]
            while (self._at < self._shares()).any():
                self._one_round(pool, pair_filter, threads, n_designs)
                seconds, now = perf_counter() - began, self._met()
                if self.progress is not None:
                    self.progress(Progress(now, self.total, seconds * (self.total - now) / max(now - met, 1)))
                if self.checkpoint.every and self._round % self.checkpoint.every == 0:
                    self.checkpoint.save(self._state())
            self._slab, self._at, self._step = self._slab + 1, np.zeros(self.threads, np.int64), 1

    def _one_round(
        self, pool: ThreadPoolExecutor, pair_filter: PairFilter, threads: list[ThreadState], n_designs: int
    ) -> None:
        tree, offset = grow(self.front.values), self.designs_of[self._slab]
        parts = [self.order[k :: self.threads][at : at + self._step] for k, at in enumerate(self._at.tolist())]
        for thread in threads:
            thread.by_reason[:] = 0
            thread.enough = max(_ENOUGH, len(self.front.values) // 8)
        tasks = [pool.submit(pair_filter.run, thread, part, tree) for thread, part in zip(threads, parts, strict=True)]
        counted = [task.result() for task in tasks]
        by_reason = self.by_reason.copy()
        found = []
        for thread, part, (_, size) in zip(threads, parts, counted, strict=True):
            pairs = Front(
                part[thread.candidates.network[:size]],
                thread.candidates.design[:size] + offset,
                thread.candidates.values[:size],
            )
            found.append(pairs)
            by_reason[:4] += thread.by_reason
        front, refused = self._merge(found)
        by_reason[4] += refused
        whole = all(done == part.size for (done, _), part in zip(counted, parts, strict=True))
        step = min(self._step * 2, self.longest, max(_LONGEST // n_designs, 1)) if whole else max(self._step // 2, 1)
        at: I64 = self._at + np.array([done for done, _ in counted], np.int64)
        # One assignment: an interruption finds the state before the round or after it.
        self.front, self.by_reason, self._at, self._step, self._round = front, by_reason, at, step, self._round + 1

    def _merge(self, found: Iterable[Front]) -> tuple[Front, int]:
        new = Front(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
        refused = 0
        if self.confirm is not None and new.network.size:
            allowed = self.confirm(new.network, new.design)
            refused, new = int((~allowed).sum()), new.where(allowed)
        if not new.network.size:
            return self.front, refused
        new = new.where(~beaten(new.values, grow(new.values)))
        if self.sink is not None:
            self.sink(self._round, new)
        return self.front.join(new), refused

    def _shares(self) -> I64:
        """Networks of each thread."""
        return np.array([self.order[k :: self.threads].size for k in range(self.threads)])

    def _met(self) -> int:
        if self._slab >= len(self.designs_of) - 1:
            return self.total
        first, after = self.designs_of[self._slab : self._slab + 2]
        return int(self.order.size * first + self._at.sum() * (after - first))

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        scalars = np.array([self._slab, self._round, self._step])
        return {**self.front._asdict(), "tally": self.by_reason, "at": self._at, "scalars": scalars}

    def _resume(self, state: dict[str, npt.NDArray[Any]]) -> None:
        self.front = Front(state["network"], state["design"], state["values"])
        self.by_reason, self._at = state["tally"], state["at"]
        self.threads = self._at.size
        self._slab, self._round, self._step = (int(value) for value in state["scalars"])


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Every core has its thread already: BLAS must not start its own."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits
