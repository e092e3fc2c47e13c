"""What the FAST level is told and what it answers: known accuracies in, a verdict on every pair out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import find_rows
from codesign.space.base import Genotypes
from codesign.two_level.prune import KEPT

__all__ = ["CostColumns", "Known", "Verdicts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


class CostColumns(Mapping[str, F64]):
    """Costs of P pairs by metric, (P,) each, NaN where a pair was pruned before it was costed; one array (K, P)."""

    def __init__(self, metrics: Sequence[str], size: int) -> None:
        self.metrics, self.array = tuple(metrics), np.full((len(metrics), size), np.nan)

    def __getitem__(self, name: str) -> F64:
        if name not in self.metrics:
            raise KeyError(name)
        column: F64 = self.array[self.metrics.index(name)]
        return column

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What FAST says of P listed pairs.

    genotypes : (P, G) as costed: canonical where the runtime drops dead branches, as proposed where it runs them.
    source : (P,) row of the proposal that a pair came from. dropped : pairs that were considered and not listed, by
    reason. reason : (P,) int8, `KEPT` or a code of `Reasons`. costs : metric -> (P,), NaN where a pair was pruned
    before its full evaluation. violation : (P, K) relative excess over each constraint, 0 where met or unknown.
    architectures : (A, Ga) distinct canonical networks; architecture_id : (P,) which of them a pair has.
    numerics : (C, F) distinct numerics, numerics_id : (P,); fidelity_levels : (V,), fidelity_id : (P,) likewise.
    """

    genotypes: Genotypes
    source: I64
    dropped: Mapping[str, int]
    reason: npt.NDArray[np.int8]
    costs: Mapping[str, F64]
    violation: F64
    architectures: Genotypes
    architecture_id: I64
    numerics: F64
    numerics_id: I64
    fidelity_levels: F64
    fidelity_id: I64

    @cached_property
    def class_id(self) -> I64:
        """(P,) one number an accuracy class: same network, same numerics, same fidelity."""
        return self._class(self.architecture_id, self.numerics_id, self.fidelity_id)

    def _class(self, architecture: I64, numerics: I64, fidelity: I64) -> I64:
        return (architecture * len(self.numerics) + numerics) * len(self.fidelity_levels) + fidelity

    @property
    def survivors(self) -> I64:
        """Positions of the pairs that were not pruned."""
        return np.flatnonzero(self.reason == KEPT)

    def find_classes(self, architectures: Genotypes, numerics: F64, fidelity: F64, cardinalities: I64) -> I64:
        """The class ids of given classes, (B, Ga), (B, F) and (B,), -1 where the batch has no such class."""
        architecture = find_rows(architectures, self.architectures, cardinalities)
        by_numerics = {tuple(row): i for i, row in enumerate(self.numerics.tolist())}
        arithmetic = np.array([by_numerics.get(tuple(row), -1) for row in numerics.tolist()], np.int64)
        by_level = {level: i for i, level in enumerate(self.fidelity_levels.tolist())}
        level = np.array([by_level.get(value, -1) for value in fidelity.tolist()], np.int64)
        met = (architecture >= 0) & (arithmetic >= 0) & (level >= 0)
        return np.where(met, self._class(architecture, arithmetic, level), -1)


@dataclass(frozen=True, eq=False)
class Known:
    """What SLOW has established so far: evaluated pairs and the exact error of each accuracy class.

    costs : (A, K) cost objectives, minimised, of pairs evaluated at fidelity 1. error : (A,) their errors.
    class_architecture : (B, Ga) canonical genotypes; class_numerics : (B, F); class_fidelity, class_error : (B,).
    """

    costs: F64
    error: F64
    class_architecture: Genotypes
    class_numerics: F64
    class_fidelity: F64
    class_error: F64
