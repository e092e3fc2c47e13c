"""A small table of our own on phase-change memory, which ships: cells by way of training and time since programming.

A quarter of the cells of `digits-cells` (every fourth connected network), each trained plainly for 6 epochs, and for
12 with noise on its weights; each training is read on our simulator of phase-change memory 60 s, one hour and one day
after programming, by ADCs of 4 and 6 bits, three programmings each. ``benchmarks/tables/analog_digits.py`` made it.

A weight is a pair of cells, an input of 8 bits two levels of 4 bits, and 64 rows are read at once. An array has 64 rows
where the reference read of the drift compensation is concerned: a taller one has the accuracy of these, since what it
would change, an average over 64 cells a column or over 144, is far below the spread between programmings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from codesign.estimate.recipe import NoiseRecipe, Recipe
from codesign.estimate.table import DIGITS_CELLS, AccuracyTable
from codesign.space.cell import CellSpace
from codesign.space.trained_cells import NOISE_AWARE, PLAIN, TrainedCells
from hwmodels.errors import SpecError
from hwmodels.numerics import VARIATIONS, Numerics
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

__all__ = [
    "DIGITS_ANALOG",
    "AnalogDefinition",
    "CellTraining",
    "Tabulate",
    "digits_analog",
    "trainings",
    "write_analog",
]

_FLOAT_BITS = 32
_IMAGES = 599  # of the training split of noisy-digits, which a space has to know without loading it


def _phase_change(drift_s: float, adc_bits: int) -> Numerics:
    """The published polynomials of programming noise and drift, with global drift compensation."""
    return Numerics(
        8, 8, cell_bits=7, dac_bits=4, active_rows=64, adc_bits=adc_bits, adc_calibrated=1, differential=1,
        conductance_sigma=1.0, array_rows=64, variation=VARIATIONS.index("pcm"), drift_s=drift_s, drift_of_state=1,
        drift_compensated=1,
    )  # fmt: skip


@dataclass(frozen=True)
class AnalogDefinition:
    """What the table holds. every : one of so many connected cells. recipes : by way of training. draws :
    programmings of a network. numerics : what each training is read under."""

    name: str
    version: int
    dataset: str
    every: int
    recipes: Mapping[str, Recipe]
    seed: int
    draws: int
    numerics: tuple[Numerics, ...]

    def space(self, precision: Precision | None = None) -> TrainedCells:
        cells: CellSpace = DIGITS_CELLS.space(precision)
        epochs = {way: recipe.epochs for way, recipe in self.recipes.items()}
        return TrainedCells(cells, epochs=epochs, images=_IMAGES, known=cells.representatives[:: self.every])

    def as_dict(self) -> dict[str, Any]:
        """For a manifest."""
        plain = {name: value for name, value in vars(self).items() if name not in ("recipes", "numerics")}
        recipes = {way: recipe.content() for way, recipe in self.recipes.items()}
        return {**plain, "recipes": recipes, "numerics": [one._asdict() for one in self.numerics]}


DIGITS_ANALOG = AnalogDefinition(
    name="digits-analog",
    version=1,
    dataset=DIGITS_CELLS.dataset,
    every=4,
    recipes={
        PLAIN: DIGITS_CELLS.recipe,
        # Twice the epochs, as the published table has it; noise of the weights as there (0.06 of the largest weight).
        NOISE_AWARE: DIGITS_CELLS.recipe.model_copy(update={"epochs": 12, "noise": NoiseRecipe(weight_sigma=0.06)}),
    },
    seed=0,
    draws=3,
    numerics=tuple(_phase_change(time, bits) for time in (60.0, 3600.0, 86400.0) for bits in (4, 6)),
)


class CellTraining(NamedTuple):
    """One training: a point of the definition's space, by number."""

    number: int


def trainings(definition: AnalogDefinition) -> list[CellTraining]:
    """All trainings of a table."""
    return [CellTraining(number) for number in definition.space().representatives.tolist()]


class Tabulate:
    """Trains one network in one way and reads it under each arithmetic: images told right, by draw."""

    def __init__(self, definition: AnalogDefinition) -> None:
        self.definition = definition

    @cached_property
    def _dataset(self) -> Any:
        from codesign.data import load

        return load(self.definition.dataset)

    def __call__(self, training: CellTraining) -> Iterator[dict[str, Any]]:
        from codesign.estimate.base import MemoryWeights
        from codesign.estimate.estimator import TrainingEstimator

        definition, weights = self.definition, MemoryWeights()
        space = definition.space(Precision(_FLOAT_BITS, _FLOAT_BITS))
        point = space.genotype_of(training.number)
        workload, recipe = prune_dead_branches(space.workload(point)), definition.recipes[space.way_of(point)]
        estimator = TrainingEstimator(self._dataset, recipe, weights, draws=definition.draws)
        found = [estimator(workload, numerics, 1.0, definition.seed) for numerics in definition.numerics]
        validation, test = len(self._dataset.validation.labels), len(self._dataset.test.labels)
        yield {
            "number": training.number,
            "parameters": workload.parameters,
            "seconds": round(weights.seconds, 4),
            "validation": [[round(share * validation) for share in estimate.draws] for estimate in found],
            "test": [round(estimate.accuracy_test * test * definition.draws) for estimate in found],
        }


def write_analog(definition: AnalogDefinition, lines: Sequence[Mapping[str, Any]], folder: Path) -> Path:
    """All trainings as `<name>.npz` beside its manifest; returns the former."""
    from importlib.metadata import version

    from codesign.data import load

    dataset, found = load(definition.dataset), {line["number"]: line for line in lines}
    ordered = [found[training.number] for training in trainings(definition)]
    path = folder / f"{definition.name}.npz"
    np.savez_compressed(
        path,
        numbers=np.array([line["number"] for line in ordered], np.int32),
        validation=np.array([line["validation"] for line in ordered], np.int16),
        test=np.array([line["test"] for line in ordered], np.int32),
        seconds=np.array([line["seconds"] for line in ordered], np.float32),
        parameters=np.array([line["parameters"] for line in ordered], np.int32),
    )
    manifest = {
        **definition.as_dict(),
        "images": {split: len(getattr(dataset, split).labels) for split in ("train", "validation", "test")},
        "data": dataset.fingerprint,
        "space": definition.space().fingerprint,
        "trainings": len(ordered),
        "training_seconds": round(sum(line["seconds"] for line in ordered), 1),
        "versions": {name: version(name) for name in ("codesign", "numpy", "torch", "scikit-learn")},
    }
    path.with_suffix(".json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return path


@lru_cache(maxsize=1)
def digits_analog() -> AccuracyTable:
    """The table that ships: noisy digits on phase-change memory, cells in two ways of training, six arithmetics."""
    definition, folder = DIGITS_ANALOG, files("codesign") / "estimate" / "tables"
    manifest = json.loads((folder / f"{definition.name}.json").read_text(encoding="utf-8"))
    if manifest["version"] != definition.version:
        raise SpecError(definition.name, manifest["version"], f"version {definition.version}")
    with (folder / f"{definition.name}.npz").open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        columns = {name: archive[name] for name in archive.files}
    images = manifest["images"]
    # (N, A, draws) images told right, to (N, draws, 1 fidelity, A); of the test split there is the mean alone.
    shares = columns["validation"].transpose(0, 2, 1)[:, :, None, :] / images["validation"]
    tests = columns["test"][:, None, None, :] / (images["test"] * definition.draws)
    return AccuracyTable(
        f"{definition.name}-{definition.version}",
        definition.space(),
        columns["numbers"].astype(np.int64),
        (1.0,),
        definition.numerics,
        shares,
        np.broadcast_to(tests, shares.shape),
        np.broadcast_to(columns["seconds"].astype(np.float64)[:, None, None], shares.shape[:3]),
        columns["parameters"].astype(np.int64),
        images=int(images["validation"]),
        read=tuple(name for name in Numerics._fields if name != "array_rows"),
    )
