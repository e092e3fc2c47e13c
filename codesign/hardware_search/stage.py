"""What a hardware search answers the FAST level: the pairs that are worth a row of their own, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from codesign.space.base import Genotypes

__all__ = ["HardwareStage", "ListedPairs", "PairValues"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairValues:
    """Costs of P pairs that are known already: metric -> (P,), and 0 or a code of infeasibility (P,)."""

    columns: Mapping[str, F64]
    infeasible: npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class ListedPairs:
    """Joint genotypes (P, G), the proposed network that each came from (P,), and pairs left out, by reason.

    values : their costs, where the search had to find them.
    """

    genotypes: Genotypes
    source: I64
    dropped: Mapping[str, int] = field(default_factory=dict)
    values: PairValues | None = None


class HardwareStage(Protocol):
    """Finds hardware for proposed networks."""

    def networks(self, n: int) -> int:
        """How many networks make about `n` pairs."""
        ...

    def expand(self, networks: Genotypes, rng: np.random.Generator) -> ListedPairs:
        """The pairs of some networks (N, Ga)."""
        ...
