"""The ask/tell protocol of every strategy.

A strategy proposes joint genotypes and is told what became of them. Its randomness is a generator passed in; its
state is arrays and plain numbers, so that a run can stop anywhere and go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from codesign.space.base import Genotypes

__all__ = ["Proposal", "State", "Strategy"]

State = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Proposal:
    """P joint genotypes (P, G) and the share of a full training that each is worth, (P,) in (0, 1].

    dropped : pairs that were considered and are not listed, by a reason of `codesign.two_level.prune.Reasons`.
    """

    genotypes: Genotypes
    fidelity: npt.NDArray[np.float64]
    dropped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def full(cls, genotypes: Genotypes, dropped: Mapping[str, int] | None = None) -> Proposal:
        return cls(genotypes, np.ones(len(genotypes)), dropped or {})


class Strategy(Protocol):
    """What the loop asks of an algorithm."""

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        """Propose `n` pairs."""
        ...

    def tell(
        self,
        proposal: Proposal,
        objectives: npt.NDArray[np.float64],
        violation: npt.NDArray[np.float64],
        status: npt.NDArray[np.int8],
    ) -> None:
        """Results in ask order.

        Parameters
        ----------
        objectives : (P, O) minimised; NaN in every column of a pair without an accuracy.
        violation : (P, K) relative excess over each constraint, >= 0.
        status : (P,) reason code of a pruned pair, 0 of a survivor.
        """
        ...

    def state(self) -> State:
        """Everything that `restore` needs, as arrays."""
        ...

    def restore(self, state: State) -> None: ...
