"""Accuracy against energy over ADC bits and array size, for a network trained on scikit-learn's digits.

    python benchmarks/tables/accuracy_energy.py OUT.png [--csv FILE] [--device NAME] [--tiles 4] [--data noisy-digits]

One training, every design read exactly in ten draws; some minutes on two cores. `--statistical` takes the shortcut.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

from matplotlib.figure import Figure

from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.estimate.tradeoff import accuracy_against_energy, image_network
from codesign.report.tradeoff import plot_tradeoff
from hwmodels.catalog import device


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--device", default="rram_edge")
    parser.add_argument("--tiles", type=int, default=4, help="of the device, at its own array size")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--statistical", action="store_true")
    options = parser.parse_args()
    start, dataset, chip = time.perf_counter(), load(options.data), device(options.device)
    reading = "statistical" if options.statistical else "exact"
    estimator = TrainingEstimator(dataset, Recipe(epochs=12), MemoryWeights(), reading=reading)
    workload = image_network(dataset.shape, dataset.classes)
    spec = next(chip.spec.grid({"tiles": [options.tiles]}))
    tradeoff = accuracy_against_energy(workload, estimator, model=chip.model, spec=spec)
    rows = tradeoff.rows()
    print("array_rows  adc_bits  accuracy (%)  spread (%)  energy (nJ an image)")
    for row in rows:
        print(
            f"{row['array_rows']:10}  {row['adc_bits']:8}  {100 * row['accuracy']:12.1f}  {100 * row['spread']:10.1f}"
            f"  {1e9 * row['energy_j']:20.1f}  {row['infeasible']}"
        )
    print(f"{time.perf_counter() - start:.0f} s")
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    plot_tradeoff(tradeoff, figure.add_subplot())
    figure.savefig(options.picture, dpi=150)
    if options.csv is not None:
        with options.csv.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
