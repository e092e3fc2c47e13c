"""A SLOW level without trainings: accuracies from a table that holds them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np

from codesign.estimate.base import Estimate
from codesign.estimate.table import AccuracyTable
from codesign.two_level.slow import AccuracyClass
from hwmodels.families.base import numerics_of

__all__ = ["TabulatedLevel"]


class TabulatedLevel:
    """Answers `codesign.two_level.slow.AccuracyLevel` from a table, at full fidelity."""

    def __init__(self, table: AccuracyTable) -> None:
        self.table = table

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def evaluate(self, wanted: Sequence[AccuracyClass]) -> Iterator[tuple[AccuracyClass, tuple[str, Estimate]]]:
        for known in wanted:
            genotype, row = np.array(known.architecture, np.int64), np.array(known.numerics, np.float64)
            estimate = self.table.estimate(genotype, numerics_of(row))
            yield known, (estimate.key, estimate)
