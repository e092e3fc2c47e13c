"""What a front of other data or another device is worth to begin with: trainings to the front, cold and warm.

    python benchmarks/tables/warm_start.py [--reference FOLDER] [--seeds 20]

Writes `benchmarks/results/warm_start.md`. A run on the first benchmark of a line trains TRAININGS networks a generation
for GENERATIONS of them; a run on the second one begins with the networks of its front, as `warm_start:` does, on drawn
designs. It is held against a run with the same seed that begins as the strategy does. Counted are the networks trained
on the second benchmark until the pairs known have SHARE of its true hypervolume; a run that is not over counts with all
its trainings, so that a gain is a least value. Gains are paired by seed, with their 95 % interval (Student).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.benchmark.compare import Effort, Trace, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts
from codesign.estimate.published_cells import CELLS_FILE
from codesign.estimate.table import read_nasbench201
from codesign.space.base import Genotypes

RESULT = Path(__file__).parents[1] / "results" / "warm_start.md"
SHARE, GENERATIONS, TRAININGS, PAIRS = 0.95, 16, 4, 10_000
EFFORT = Effort(GENERATIONS, PAIRS, TRAININGS)
STRATEGY = {"name": "evolution", "population": 100}

F64 = npt.NDArray[np.float64]


class Place(NamedTuple):
    """A benchmark, and the data of its accuracies where these are published ones."""

    name: str
    family: str
    data: str = ""

    def fronts(self, reference: Path | None) -> Fronts:
        definition = benchmark(self.name, self.family)
        if not self.data:
            return Fronts(definition, definition.table())
        assert reference is not None
        return Fronts(definition, read_nasbench201(reference / CELLS_FILE, self.data))

    def __str__(self) -> str:
        return " ".join(filter(None, self))


CELLS, DIGITS = "pairs-201", "pairs-digits"
LINES = (
    (Place(CELLS, "spatial", "cifar10"), Place(CELLS, "spatial", "cifar100")),
    (Place(CELLS, "spatial", "cifar100"), Place(CELLS, "spatial", "cifar10")),
    (Place(DIGITS, "crossbar"), Place(DIGITS, "spatial")),
    (Place(DIGITS, "spatial"), Place(DIGITS, "crossbar")),
    (Place(DIGITS, "gpu"), Place(DIGITS, "fpga")),
)
"""From where, to where."""


def carried(front: Genotypes, source: Fronts, target: Fronts) -> Genotypes:
    """The networks of a front as points of another benchmark whose cells are the same, knobs to be drawn."""
    networks = np.unique(source.space.split(front)[0], axis=0)
    unknown = np.full((len(networks), target.space.hardware.n_genes), -1, np.int64)
    return target.space.join(networks, unknown)


def trainings(trace: Trace) -> tuple[int, bool]:
    found = trace.reaches(SHARE)
    return (trace.trainings[-1], False) if found is None else (found, True)


def line(source: Fronts, target: Fronts, seeds: int) -> tuple[list[tuple[int, bool]], list[tuple[int, bool]]]:
    """Trainings on the second benchmark by seed, cold and warm, and whether the share was reached."""
    cold, warm = [], []
    for seed in range(seeds):
        earlier = two_level(source, STRATEGY, seed, EFFORT, exact_inner=False)
        assert earlier.front is not None
        cold.append(trainings(two_level(target, STRATEGY, seed, EFFORT, exact_inner=False, until=SHARE)))
        first = carried(earlier.front, source, target)
        warm.append(trainings(two_level(target, STRATEGY, seed, EFFORT, exact_inner=False, until=SHARE, first=first)))
    return cold, warm


def row(names: tuple[Place, Place], cold: list[tuple[int, bool]], warm: list[tuple[int, bool]]) -> str:
    before, after = (np.array([count for count, _ in runs], np.float64) for runs in (cold, warm))
    reached = [sum(over for _, over in runs) for runs in (cold, warm)]
    gain = before - after
    half = float(stats.sem(gain) * stats.t.ppf(0.975, len(gain) - 1))
    return (
        f"| {names[0]} | {names[1]} | {len(gain)} | {before.mean():.1f} ({reached[0]}) | {after.mean():.1f} "
        f"({reached[1]}) | {gain.mean():+.1f} | {gain.mean() - half:+.1f} to {gain.mean() + half:+.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    if options.reference is None:
        parser.error("--reference or $CODESIGN_REFERENCE: the folder with the published accuracies")
    known: dict[Place, Fronts] = {}
    rows = []
    for names in LINES:
        for place in names:
            known[place] = known.get(place) or place.fronts(Path(options.reference))
        rows.append(row(names, *line(known[names[0]], known[names[1]], options.seeds)))
        print(rows[-1], flush=True)
    text = f"""# Trainings to {SHARE:.0%} of the front, cold and warm

`python benchmarks/tables/warm_start.py`; see its docstring. In brackets: seeds of which that many were over within
{GENERATIONS * TRAININGS} trainings; the others count with all of them.

| from | to | seeds | cold | warm | fewer | 95 % interval |
|---|---|---|---|---|---|---|
"""
    RESULT.write_text(text + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
