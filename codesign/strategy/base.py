"""The ask/tell protocol of every strategy, and the problem that one is made for.

A strategy proposes genotypes and learns what became of them. Its randomness is a generator passed in; its state is
arrays and JSON, so that a run can stop anywhere and go on. What is too large for a state, as the weights of an inner
trainer, is kept as a blob, and the state holds its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from codesign.space.base import Genotypes, Space

if TYPE_CHECKING:
    from codesign.data import Dataset
    from codesign.space.joint import JointSpace

__all__ = ["Blobs", "CostAccess", "Problem", "Proposal", "Results", "Selecting", "State", "Strategy", "Survivors"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

State = Mapping[str, Any]
"""Arrays, and values that JSON can hold, by name."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """P points of the space searched (P, G) and the fidelity at which each is worth a training, (P,) in (0, 1].

    fidelity : relative to that of the run; only pairs of fidelity 1 can be on the front.
    parents : the point that each was made of, (P, G), -1 where of none; trainings that inherit start from its weights.
    """

    genotypes: Genotypes
    fidelity: F64
    parents: Genotypes | None = None

    @classmethod
    def full(cls, genotypes: Genotypes) -> Proposal:
        return cls(genotypes, np.ones(len(genotypes)))


@dataclass(frozen=True, eq=False)
class Results:
    """What became of the P pairs of a proposal, in ask order.

    costs : (P, K) cost objectives, minimised, of every pair that FAST costed; NaN where it was pruned before.
    error : (P,) minimised, NaN where the pair has no estimate. spread : (P,) deviation of the error over draws, NaN
    likewise. fidelity : (P,) at which the pair was proposed. violation : (P, V) relative excess over each constraint,
    >= 0, those on the task's metrics last. status : (P,) reason code of a pruned pair, 0 of a survivor.
    """

    costs: F64
    error: F64
    spread: F64
    fidelity: F64
    violation: F64
    status: npt.NDArray[np.int8]

    @classmethod
    def exact(
        cls, objectives: F64, violation: F64 | None = None, status: npt.NDArray[np.int8] | None = None
    ) -> Results:
        """Results without spread at full fidelity, from objectives (P, 1 + K), the error first."""
        count = len(objectives)
        return cls(
            costs=objectives[:, 1:],
            error=objectives[:, 0],
            spread=np.where(np.isnan(objectives[:, 0]), np.nan, 0.0),
            fidelity=np.ones(count),
            violation=np.zeros((count, 0)) if violation is None else violation,
            status=np.zeros(count, np.int8) if status is None else status,
        )

    def objectives(self) -> F64:
        """Error and costs, minimised, (P, 1 + K); NaN in every column of a pair without an error or a cost."""
        rows = np.column_stack([self.error, self.costs])
        rows[np.isnan(rows).any(axis=1)] = np.nan
        return rows


class Strategy(Protocol):
    """What the loop asks of an algorithm."""

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        """Propose `n` pairs."""
        ...

    def tell(self, proposal: Proposal, results: Results) -> None:
        """Learn the results of a proposal, in ask order."""
        ...

    def state(self) -> State:
        """Everything that `restore` needs: arrays and JSON."""
        ...

    def restore(self, state: State) -> None: ...


class Survivors(NamedTuple):
    """The S pairs that FAST left of a proposal: `source` (S,) their positions in it, genotypes (S, G), costs (S, K)."""

    source: I64
    genotypes: Genotypes
    costs: F64


@runtime_checkable
class Selecting(Protocol):
    """A strategy that says itself which pairs are trained, for ``slow.selection: strategy``."""

    def select(self, survivors: Survivors, trainings: int) -> I64:
        """Positions among the survivors, of at most `trainings` networks that are new; their classes are estimated."""
        ...


class Blobs(Protocol):
    """Bytes by content key, durable at once, for what is too large for a state."""

    def keep(self, payload: bytes) -> str:
        """Keep a payload and return its key; equal payloads have one key."""
        ...

    def blob(self, key: str) -> bytes:
        """The payload under a key that `keep` returned."""
        ...

    def drop(self, key: str) -> None:
        """Let a payload go when the next generation is committed, which no longer needs it."""
        ...


class CostAccess(Protocol):
    """The cost side, for strategies that ask on their own."""

    def __call__(self, genotypes: Genotypes) -> F64:
        """Cost objectives, minimised, of joint genotypes (P, G): (P, K), NaN where a pair is invalid or infeasible."""
        ...


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a strategy or an estimator is made for.

    space : what the strategy proposes: pairs, or networks where hardware is searched for each network.
    joint : networks and hardware. objectives : names of the minimised costs; the error comes before them.
    costs : cost access. data : the images of the run, None where accuracies come from a table alone.
    blobs : store of large payloads. seed : of the run.
    """

    space: Space
    joint: JointSpace
    objectives: tuple[str, ...]
    costs: CostAccess
    data: Dataset | None
    blobs: Blobs
    seed: int
