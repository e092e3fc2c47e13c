"""What co-design is worth: software alone, networks for given hardware, and both together, at equal trainings.

    python benchmarks/tables/modes.py [pairs-digits] [crossbar] [--seeds 20]

Writes `benchmarks/results/modes.csv`: the share of the true joint hypervolume by mode, mean with 95 % interval
(Student), and the gains from mode to mode, seed by seed. Every mode trains the same number of networks, with the same
strategy:

  software only    networks by accuracy and MACs; they run on the starting design
  hardware-aware   networks by accuracy and the costs of the starting design, under its limits; they run on it
  separate, phased the networks of these two, each on every design of the grid afterwards
  joint            pairs: networks on every design of the grid, costed before anything is trained
  joint, exact     the networks of joint with every design and all its numerics afterwards, as separate and phased have
                   them: joint itself knows the accuracy under the numerics alone that it had evaluated

The starting design is what a team would settle on before it knows a network: of the designs with the arithmetic of the
benchmark's starting design, the one with the least product of costs, within the limits, for the network of median MACs.
No accuracy enters. The share of a mode is 0 where all its pairs lie outside the box of the true front, as all pairs of
the benchmark's own starting design do.

FAST looks at NETWORKS networks a generation in joint, and at EFFORT.pairs in searches on one design. Twenty trainings:
with 40 all modes that search hardware know 99 % of the front, and nothing tells them apart.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.benchmark.compare import Effort, in_turn, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import COMPILED, Fronts
from codesign.hardware_search.whole_grid import FrontHardware
from hwmodels.evaluate import network_metrics

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "modes.csv"
STRATEGY: Mapping[str, Any] = {"name": "evolution", "population": 100}
EFFORT = Effort(generations=5, pairs=10_000, trainings=4)
NETWORKS = 400
STEPS = (
    ("hardware-aware", "software only"), ("joint", "hardware-aware"), ("joint", "software only"),
    ("phased", "separate"), ("joint", "phased"), ("joint, exact", "phased"), ("joint, exact", "separate"),
)  # fmt: skip
"""Gains that are told: of the first over the second."""


def settled(fronts: Fronts) -> dict[str, Any]:
    """Knobs of the starting design, see above."""
    definition, space = fronts.definition, fronts.space
    alone = definition.software_space(fronts.table).hardware
    networks = space.architecture.enumerate()
    networks = np.unique(space.architecture.canonical(networks[space.architecture.valid(networks)]), axis=0)
    table, place = space.architecture.lower(networks, COMPILED)
    macs = network_metrics(table)["macs"][place]
    median = networks[np.argsort(macs, kind="stable")[len(networks) // 2]]
    stage = FrontHardware(space, COMPILED, objectives=definition.objectives, constraints=definition.constraints)
    listed = stage.expand(median[None], np.random.default_rng(0))
    assert listed.values is not None
    designs = space.split(listed.genotypes)[1]
    arithmetic = alone.numerics(np.zeros((1, 0), np.int64))
    same = (space.hardware.numerics(designs) == arithmetic).all(axis=1)
    cost = np.log(np.column_stack([listed.values.columns[name] for name in definition.objectives])).sum(axis=1)
    return space.hardware.decode(designs[np.where(same, cost, np.inf).argmin()])


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
    effort = EFFORT._replace(pairs=NETWORKS * fronts.definition.designs)
    trace = two_level(fronts, STRATEGY, seed, effort, whole_grid=True)
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
    table = definition.table()
    fronts = Fronts(replace(definition, starting=settled(Fronts(definition, table))), table)
    print("starting design:", dict(fronts.definition.starting), flush=True)
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
