"""Strategies that learn choices by gradient, and ENAS: what they derive on the shipped table, and whether it collapses.

    python benchmarks/tables/gradients.py [--seeds 5] [--epochs 30]

Writes `benchmarks/results/gradients.md`. Each strategy trains a mixture of all cells of `digits-cells` on the table's
images (noisy-digits); the network that it derives is looked up in the table: float32 validation accuracy after
trainings of its own, the mean of three. `share below` is the share of all cells that are less accurate. Latencies are
those of a Raspberry Pi 4 by its model; with the weight 0 costs have no say. The diagnosis is the share of edges whose
most probable operation has no parameters, at the end: 1 is a collapse. The table's own: its mean is what a random cell
has, its best what a search of all would find.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from codesign.data import load
from codesign.estimate.table import DIGITS_CELLS, AccuracyTable, digits_cells
from codesign.registry import STRATEGIES
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.strategy.base import Problem
from codesign.testing.strategy import MemoryBlobs
from codesign.two_level.cost_access import PairCostAccess
from hwmodels.catalog import device
from hwmodels.numerics import FLOAT
from hwmodels.workload.rewrite import COMPILED

RESULT = Path(__file__).parents[1] / "results" / "gradients.md"
NAMES = ("darts", "pc_darts", "fbnet", "proxyless", "la_dnas", "edgenas", "enas")
WEIGHTS = (0.0, 0.1)
COSTS = ("latency_s",)


class Found(NamedTuple):
    """Of one search: accuracy and latency of what it derives, the share without parameters, the entropy, its time."""

    accuracy: float
    latency_s: float
    free: float
    entropy: float
    seconds: float


def found(name: str, weight: float, seed: int, epochs: int, table: AccuracyTable, space: JointSpace) -> Found:
    costs = PairCostAccess(space, COMPILED, COSTS)
    problem = Problem(space, space, COSTS, costs, load(DIGITS_CELLS.dataset), MemoryBlobs(), seed)
    section = {"name": name, "epochs": epochs, "epochs_a_batch": epochs, "cost_weight": weight}
    strategy: Any = STRATEGIES.parse(section, "strategy").make(problem)
    start = perf_counter()
    proposal = strategy.ask(8, np.random.default_rng(seed))
    first = proposal.genotypes[:1]
    accuracy = float(table.accuracy(FLOAT)[table.rows(first)[0]])
    diagnosis = getattr(strategy, "diagnosis", None)
    entropy, free = (np.nan, np.nan) if diagnosis is None else diagnosis[-1, 2:]
    return Found(accuracy, float(costs(first)[0, 0]), float(free), float(entropy), perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    table, chip = digits_cells(), device("rpi4")
    space = JointSpace(DIGITS_CELLS.space(), HardwareSpace(chip.model, chip.spec, {}))
    accuracy = table.accuracy(FLOAT)
    networks = np.stack([table.space.genotype_of(int(cell)) for cell in table.cells])
    latency = PairCostAccess(space, COMPILED, COSTS)(networks)[:, 0]
    lines = [
        "# Choices by gradient\n",
        f"Written by `python benchmarks/tables/gradients.py`: {options.epochs} epochs of the mixture, mean of "
        f"{options.seeds} seeds ± deviation, cells of `{table.name}`. Seconds are of a shared host.\n",
        "| strategy | weight of the latency | accuracy (%) | share below (%) | latency (µs) | edges without "
        "parameters | entropy | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in NAMES:
        for weight in WEIGHTS:
            runs = [found(name, weight, seed, options.epochs, table, space) for seed in range(options.seeds)]
            values = np.array(runs)
            mean = values.mean(axis=0)
            below = np.mean([(accuracy < run.accuracy).mean() for run in runs])
            free = "" if np.isnan(mean[2]) else f"{mean[2]:.2f}"
            entropy = "" if np.isnan(mean[3]) else f"{mean[3]:.2f}"
            lines.append(
                f"| {name} | {weight:g} | {100 * mean[0]:.1f} ± {100 * values[:, 0].std(ddof=1):.1f} | "
                f"{100 * below:.0f} | {1e6 * mean[1]:.1f} | {free} | {entropy} | {mean[4]:.1f} |"
            )
            print(lines[-1], flush=True)
    lines.append(f"| *a random cell* | | {100 * accuracy.mean():.1f} | 50 | {1e6 * latency.mean():.1f} | | | |")
    best = int(accuracy.argmax())
    lines.append(f"| *the best cell* | | {100 * accuracy[best]:.1f} | 100 | {1e6 * latency[best]:.1f} | | | |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
