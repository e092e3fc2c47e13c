"""The ledger: how many pairs each level saw, pruned and trained, for which reason, and the time it took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Ledger"]

_COUNTS = ("considered", "evaluated", "deferred", "trained", "estimates", "violating", "audited", "misjudged",
           "diverged")  # fmt: skip


@dataclass
class Ledger:
    """Counts of one generation, or of a whole run as the sum over its generations.

    considered == sum of pruned + evaluated + deferred. `evaluated` pairs have an accuracy; `deferred` ones survived
    FAST but were not chosen for SLOW. `trained` counts networks, `estimates` accuracies measured (one a network and
    Numerics); `violating` evaluated pairs miss an accuracy constraint. Of the pairs that aggressive pruning had guessed
    away, `audited` were evaluated all the same, and `misjudged` of these were on the front of their generation.
    `diverged` counts the estimates that are chance, because numbers in training or evaluation were not finite.
    """

    considered: int = 0
    pruned: dict[str, int] = field(default_factory=dict)
    evaluated: int = 0
    deferred: int = 0
    trained: int = 0
    estimates: int = 0
    violating: int = 0
    audited: int = 0
    misjudged: int = 0
    diverged: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def total(cls, parts: Iterable[Ledger]) -> Ledger:
        whole = cls()
        for part in parts:
            for name in _COUNTS:
                setattr(whole, name, getattr(whole, name) + getattr(part, name))
            for reason, count in part.pruned.items():
                whole.pruned[reason] = whole.pruned.get(reason, 0) + count
            for level, seconds in part.seconds.items():
                whole.seconds[level] = whole.seconds.get(level, 0.0) + seconds
        return whole

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
