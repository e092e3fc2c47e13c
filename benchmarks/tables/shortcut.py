"""The statistical shortcut against the exact bit-sliced simulation: rank correlation over designs, time a design.

    python benchmarks/tables/shortcut.py [--designs 24] [--csv FILE]

Three networks trained on noisy digits; crossbar designs drawn from a grid of ADC, array, cell, DAC and encoding knobs
and of imperfections. Each design is read both ways with the same trained weights, ten draws where it varies; the
first read of each network warms up and is not timed. Accuracies are those of the validation split.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Pool2d, Precision

GRID: dict[str, tuple[float, ...]] = {
    "adc_bits": (3, 4, 5, 6, 7, 8),
    "active_rows": (32, 64, 128, 256),
    "cell_bits": (1, 2, 4),
    "dac_bits": (1, 2, 4),
    "differential": (0, 1),
    "adc_calibrated": (0, 1, 1),
    "conductance_sigma": (0.0, 0.0, 0.05, 0.1, 0.2),
    "variation": (0, 1, 2),
    "stuck_off": (0.0, 0.0, 0.0, 0.02),
    "read_sigma": (0.0, 0.0, 0.05),
    "wire_resistance": (0.0, 0.0, 3e-5, 1e-4),
    "off_conductance": (0.0, 0.0, 0.02),
    "adc_noise_lsb": (0.0, 0.0, 0.5),
}


def designs(count: int, seed: int = 0) -> list[Numerics]:
    """Draws from the grid, uniform in every knob."""
    rng = np.random.default_rng(seed)
    drawn = [{name: values[rng.integers(len(values))] for name, values in GRID.items()} for _ in range(count)]
    return [Numerics(weight_bits=8, activation_bits=8, array_cols=128, **values) for values in drawn]  # type: ignore[arg-type]


def networks() -> list[Workload]:
    """A plain chain, one with a residual and a depthwise layer, and two wide fully connected layers."""
    precision = Precision(8, 8, 32)
    chain = Builder("chain", (1, 1, 8, 8), precision=precision)
    x = chain.input
    for width, stride in ((8, 1), (16, 2), (32, 2)):
        x = chain.conv_norm_act(x, width, 3, stride=stride)
    first = chain.finish(chain.linear(chain.flatten(chain.add(Pool2d("avg"), x)), 10))
    branch = Builder("residual", (1, 1, 8, 8), precision=precision)
    x = branch.conv_norm_act(branch.conv_norm_act(branch.input, 16, 3), 24, 3, stride=2)
    x = branch.residual(x, branch.conv_norm_act(x, 24, 3, groups=24))
    second = branch.finish(branch.linear(branch.flatten(branch.conv_norm_act(x, 24, 1)), 10))
    dense = Builder("dense", (1, 1, 8, 8), precision=precision)
    x = dense.flatten(dense.input)
    for _ in range(2):
        x = dense.add(Activation("relu"), dense.linear(x, 128))
    third = dense.finish(dense.linear(x, 10))
    return [first, second, third]


def compare(workload: Workload, sample: list[Numerics]) -> list[dict[str, Any]]:
    """Accuracy and seconds of both readings of one trained network, a row a design."""
    weights, dataset, recipe = MemoryWeights(), load("noisy-digits"), Recipe(epochs=12)
    exact = TrainingEstimator(dataset, recipe, weights)
    statistical = TrainingEstimator(dataset, recipe, weights, reading="statistical")
    for estimator in (exact, statistical):
        estimator(workload, sample[0])
    rows = []
    for numerics in sample:
        row: dict[str, Any] = {"network": workload.name, **numerics._asdict()}
        for name, estimator in (("exact", exact), ("statistical", statistical)):
            start = time.perf_counter()
            estimate = estimator(workload, numerics)
            row |= {name: estimate.accuracy, f"{name}_s": time.perf_counter() - start, "draws": len(estimate.draws)}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--designs", type=int, default=24)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print("network   designs  rank correlation  mean |difference| (%)  exact (ms)  statistical (ms)  ratio")
    for workload in networks():
        found = compare(workload, designs(options.designs))
        exact, fast, exact_s, fast_s = (
            np.array([row[name] for row in found]) for name in ("exact", "statistical", "exact_s", "statistical_s")
        )
        correlation = spearmanr(exact, fast).statistic
        print(
            f"{workload.name:9} {len(found):7} {correlation:17.3f} {100 * np.abs(exact - fast).mean():22.1f} "
            f"{1e3 * np.median(exact_s):11.1f} {1e3 * np.median(fast_s):17.1f} {np.median(exact_s / fast_s):6.1f}"
        )
        rows += found
    if options.csv is not None:
        with options.csv.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
