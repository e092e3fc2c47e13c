"""The trainings behind an accuracy table, as a task for an executor."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from codesign.data import Dataset, load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.quantise import FLOAT_BITS
from codesign.estimate.table import TableDefinition
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

__all__ = ["Tabulate", "Training", "trainings"]


class Training(NamedTuple):
    """One training: a cell of its space, by number; a seed; a fidelity."""

    cell: int
    seed: int
    fidelity: float


def trainings(definition: TableDefinition) -> list[Training]:
    """All trainings of a table; seed by seed, so that what is there early covers all cells."""
    cells = definition.space().representatives.tolist()
    return [
        Training(cell, seed, fidelity)
        for seed in range(definition.seeds)
        for fidelity in definition.fidelities
        for cell in cells
    ]


class Tabulate:
    """Trains one network and reads it under each arithmetic of the definition: images told right, by split."""

    def __init__(self, definition: TableDefinition) -> None:
        self.definition = definition

    @cached_property
    def _dataset(self) -> Dataset:
        return load(self.definition.dataset)

    def __call__(self, training: Training) -> Iterator[dict[str, Any]]:
        definition, weights = self.definition, MemoryWeights()
        # A network never has more bits than it asks for: these are to be read in float, too.
        space = definition.space(Precision(FLOAT_BITS, FLOAT_BITS))
        workload = prune_dead_branches(space.workload(space.genotype_of(training.cell)))
        estimator = TrainingEstimator(self._dataset, definition.recipe, weights, draws=1)
        asked = definition.numerics if training.fidelity == 1 else definition.numerics[:1]
        found = [estimator(workload, numerics, training.fidelity, training.seed) for numerics in asked]
        validation, test = self._dataset.validation, self._dataset.test
        yield {
            **training._asdict(),
            "parameters": workload.parameters,
            "seconds": round(weights.seconds, 4),
            "validation": [round(estimate.accuracy * len(validation.labels)) for estimate in found],
            "test": [round(estimate.accuracy_test * len(test.labels)) for estimate in found],
        }
