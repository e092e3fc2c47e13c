"""What co-design is worth: software alone, networks for given hardware, and both together, at equal trainings.

    python benchmarks/tables/modes.py [pairs-digits] [crossbar] [--seeds 20]

Writes `benchmarks/results/modes.csv`: the share of the true joint hypervolume by mode, mean with 95 % interval
(Student), and the gains from mode to mode, seed by seed. Every mode trains the same number of networks, with the same
strategy:

  software only    networks by accuracy and MACs; they run on the starting design of the benchmark
  hardware-aware   networks by accuracy and the costs of the starting design, under its limits; they run on it
  separate, phased the networks of these two, each on every design of the grid afterwards
  joint            pairs: networks on every design of the grid, costed before anything is trained
  joint, exact     the networks of joint with every design and all its numerics afterwards, as separate and phased have
                   them: joint itself knows the accuracy under the numerics alone that it had evaluated

The share of a mode is 0 where all its pairs lie outside the box of the true front, as pairs of one design may.

Twenty trainings: with 40 all modes that search hardware know 99 % of the front, and nothing tells them apart.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.benchmark.compare import Effort, in_turn, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "modes.csv"
STRATEGY: Mapping[str, Any] = {"name": "evolution", "population": 100}
EFFORT = Effort(generations=5, pairs=10_000, trainings=4)
STEPS = (
    ("hardware-aware", "software only"), ("joint", "hardware-aware"), ("phased", "separate"), ("joint", "phased"),
    ("joint, exact", "phased"), ("joint, exact", "separate"),
)  # fmt: skip
"""Gains that are told: of the first over the second."""


def shares(fronts: Fronts, seed: int) -> dict[str, float]:
    """Share of the joint hypervolume by mode."""
    found = {}
    kinds: tuple[tuple[Literal["separate", "phased"], str], ...] = (
        ("separate", "software only"),
        ("phased", "hardware-aware"),
    )
    for kind, alone in kinds:
        trace = in_turn(fronts, kind, STRATEGY, seed, EFFORT)
        found[alone], found[kind] = trace.starting, trace.inner[0]
    trace = two_level(fronts, STRATEGY, seed, EFFORT, whole_grid=True)
    found["joint"], found["joint, exact"] = trace.quality[-1], trace.inner[-1]
    return found


def interval(values: F64) -> tuple[str, str, str]:
    """Mean and 95 % interval as text."""
    half = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)) if len(values) > 1 else float("nan")
    return f"{values.mean():.4f}", f"{values.mean() - half:.4f}", f"{values.mean() + half:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", nargs="?", default="pairs-digits")
    parser.add_argument("family", nargs="?", default="crossbar")
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    definition = benchmark(options.benchmark, options.family)
    fronts = Fronts(definition, definition.table())
    runs = [shares(fronts, seed) for seed in range(options.seeds)]
    columns = {mode: np.array([run[mode] for run in runs]) for mode in runs[0]}
    trainings = EFFORT.generations * EFFORT.trainings
    rows = [
        dict(zip(("benchmark", "row", "seeds", "trainings", "mean", "low_95", "high_95"),
                 (f"{definition.name} {definition.family} v{definition.version}", name, options.seeds, trainings,
                  *interval(values)), strict=True))
        for name, values in (
            *columns.items(),
            *((f"{better} over {worse}", columns[better] - columns[worse]) for better, worse in STEPS),
        )
    ]  # fmt: skip
    with RESULT.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("  ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
