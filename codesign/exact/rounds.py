"""The block loop of an enumeration: rounds of networks over all designs, threads side by side, the front after each.

Threads work against the front of the round before; what they find is merged between rounds, so the front after any
round depends on the input alone and not on which thread was faster. Best networks come first, and rounds grow while
they find little: the front is strong before most pairs are met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from codesign.exact.dominance import beaten, grow
from codesign.exact.passes import PairFilter, ThreadState
from hwmodels.array_file import read_arrays
from hwmodels.errors import SpecError
from hwmodels.files import write_whole

__all__ = ["BlockLoop", "Blocks", "Checkpoint", "Front", "Progress", "Sink"]

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
            state = read_arrays(self.path)
        except SpecError as error:
            raise SpecError(
                str(self.path), error.got, "a checkpoint of an enumeration", "remove it to restart"
            ) from None
        if "fingerprint" not in state:
            raise SpecError(str(self.path), "the file", "a checkpoint of an enumeration", "remove it to restart")
        began = str(state.pop("fingerprint"))
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


def _save(path: Path, state: dict[str, npt.NDArray[Any]]) -> None:
    with path.open("wb") as handle:
        np.savez(handle, allow_pickle=False, **state)


@dataclass(frozen=True)
class Blocks:
    """What an enumeration goes through.

    order : (N,) networks, best first. designs_of : first design of each slab, and at the end their number. filter_of :
    the pair filter of one slab. confirm : (networks, designs) -> which of these pairs count; None where all do.
    room : pairs that a thread may find in a round. longest : networks that it meets in a round at most.
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

    @property
    def pairs(self) -> int:
        return int(self.order.size) * self.designs_of[-1]


class _State(NamedTuple):
    """Where an enumeration stands between two rounds.

    front : of all pairs met. by_reason : (5,) pairs counted as `codesign.exact.dominance` does, then those that
    `confirm` refused. at : networks that each thread has met of its share. step : networks of the next round.
    """

    front: Front
    by_reason: I64
    at: I64
    slab: int = 0
    round: int = 0
    step: int = 1

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """As a checkpoint holds it."""
        scalars = np.array([self.slab, self.round, self.step])
        return {**self.front._asdict(), "tally": self.by_reason, "at": self.at, "scalars": scalars}

    @classmethod
    def of_arrays(cls, stored: dict[str, npt.NDArray[Any]]) -> _State:
        front = Front(stored["network"], stored["design"], stored["values"])
        return cls(front, stored["tally"], stored["at"], *(int(value) for value in stored["scalars"]))


class BlockLoop:
    """One enumeration under way: what it goes through, and where it stands."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        nothing = np.zeros(blocks.threads, np.int64)
        self._state = _State(Front.empty(blocks.n_objectives), np.zeros(5, np.int64), nothing)

    @property
    def front(self) -> Front:
        return self._state.front

    @property
    def by_reason(self) -> I64:
        return self._state.by_reason

    @property
    def _threads(self) -> int:
        """Threads that share the networks; a checkpoint keeps the number that it began with."""
        return int(self._state.at.size)

    def run(self) -> None:
        """To the end, or to a KeyboardInterrupt, which leaves a checkpoint."""
        checkpoint = self.blocks.checkpoint
        stored = checkpoint.load()
        if stored is not None:
            self._state = _State.of_arrays(stored)
        try:
            with ThreadPoolExecutor(self._threads) as pool, _one_blas_thread():
                self._slabs(pool)
        except KeyboardInterrupt:
            checkpoint.save(self._state.arrays())
            raise
        checkpoint.remove()

    def _slabs(self, pool: ThreadPoolExecutor) -> None:
        blocks, began, met = self.blocks, perf_counter(), self._met()
        while self._state.slab < len(blocks.designs_of) - 1:
            slab = self._state.slab
            pair_filter = blocks.filter_of(slab)
            n_designs = blocks.designs_of[slab + 1] - blocks.designs_of[slab]
            room = max(blocks.room, n_designs)
            threads = [ThreadState.of(room, blocks.n_objectives) for _ in range(self._threads)]
            while (self._state.at < self._shares()).any():
                self._state = self._after_round(pool, pair_filter, threads, n_designs)
                self._report(perf_counter() - began, met)
            self._state = self._state._replace(slab=slab + 1, at=np.zeros(self._threads, np.int64), step=1)

    def _report(self, seconds: float, met: int) -> None:
        """Progress, and now and then a checkpoint; `met` pairs were met before the `seconds` began."""
        blocks, now = self.blocks, self._met()
        if blocks.progress is not None:
            blocks.progress(Progress(now, blocks.pairs, seconds * (blocks.pairs - now) / max(now - met, 1)))
        if blocks.checkpoint.every and self._state.round % blocks.checkpoint.every == 0:
            blocks.checkpoint.save(self._state.arrays())

    def _after_round(
        self, pool: ThreadPoolExecutor, pair_filter: PairFilter, threads: list[ThreadState], n_designs: int
    ) -> _State:
        """The state after one more round; an interruption finds the one before or this one."""
        blocks, state, n_threads = self.blocks, self._state, self._threads
        tree, offset = grow(state.front.values), blocks.designs_of[state.slab]
        parts = [blocks.order[k::n_threads][at : at + state.step] for k, at in enumerate(state.at.tolist())]
        for thread in threads:
            thread.by_reason[:] = 0
            thread.enough = max(_ENOUGH, len(state.front.values) // 8)
        tasks = [pool.submit(pair_filter.run, thread, part, tree) for thread, part in zip(threads, parts, strict=True)]
        counted = [task.result() for task in tasks]
        by_reason = state.by_reason.copy()
        found = []
        for thread, part, (_, size) in zip(threads, parts, counted, strict=True):
            pairs = thread.candidates
            found.append(Front(part[pairs.network[:size]], pairs.design[:size] + offset, pairs.values[:size]))
            by_reason[:4] += thread.by_reason
        front, refused = self._merge(found)
        by_reason[4] += refused
        is_done = all(done == part.size for (done, _), part in zip(counted, parts, strict=True))
        longest = min(blocks.longest, max(_LONGEST // n_designs, 1))
        step = min(state.step * 2, longest) if is_done else max(state.step // 2, 1)
        at: I64 = state.at + np.array([done for done, _ in counted], np.int64)
        return state._replace(front=front, by_reason=by_reason, at=at, step=step, round=state.round + 1)

    def _merge(self, found: Iterable[Front]) -> tuple[Front, int]:
        """The front with what the threads found, and how many pairs `confirm` refused."""
        blocks, front = self.blocks, self._state.front
        new = Front(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
        refused = 0
        if blocks.confirm is not None and new.network.size:
            allowed = blocks.confirm(new.network, new.design)
            refused, new = int((~allowed).sum()), new.where(allowed)
        if not new.network.size:
            return front, refused
        new = new.where(~beaten(new.values, grow(new.values)))
        if blocks.sink is not None:
            blocks.sink(self._state.round, new)
        return front.join(new), refused

    def _shares(self) -> I64:
        """Networks of each thread."""
        return np.array([self.blocks.order[k :: self._threads].size for k in range(self._threads)])

    def _met(self) -> int:
        """Pairs met so far."""
        blocks, state = self.blocks, self._state
        if state.slab >= len(blocks.designs_of) - 1:
            return blocks.pairs
        first, after = blocks.designs_of[state.slab : state.slab + 2]
        return int(blocks.order.size * first + state.at.sum() * (after - first))


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Every core has its thread already: BLAS must not start its own."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits
