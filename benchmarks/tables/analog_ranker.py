"""Our simulator on short trainings as a ranker of cells on phase-change memory, beside a predictor fitted to some.

    python benchmarks/tables/analog_ranker.py work.jsonl [--reference FOLDER] [--cells 150] [--splits 20]

Writes `benchmarks/results/analog_ranker.md`. Cells of NAS-Bench-201 that reach 20 % of the published accuracy with
noise-aware training are drawn once; each is trained for 12 short epochs with noise on its weights in a small skeleton
(4 channels, one cell in each of three stages) on noisy digits, and read in our simulator of phase-change memory,
three programmings: no published number takes part. A finished cell is one line of the work file. Then, split by split,
50 cells are fitted and all others are ranked, by the order of the published accuracy on phase-change memory:

  simulator      the error of the short training, nothing fitted
  float          the published float accuracy alone
  predictor      a Gaussian process on shape and published float accuracy, fitted to the 50
  with simulator the same with the simulator's error beside them; and with it in place of the float accuracy
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from codesign.data import load
from codesign.estimate.analog_cells import published_numerics
from codesign.estimate.base import MemoryWeights, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.network_features import Columns, Features, features_of
from codesign.estimate.predictor import with_error_beside
from codesign.estimate.published_cells import read_published_cells
from codesign.estimate.recipe import NoiseRecipe, Recipe
from codesign.estimate.regressors import fit
from codesign.space.cell import CellSpace
from hwmodels.numerics import DRIFT_START_S, FLOAT
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "analog_ranker.md"
FITTED, LEAST, DRAWS = 50, 0.2, 3
RECIPE = Recipe(epochs=12, batch_size=50, learning_rate=0.02, noise=NoiseRecipe(weight_sigma=0.06))
SMALL = CellSpace(channels=4, cells=1, stages=3, input_shape=(1, 8, 8), precision=Precision(32, 32))


def simulated(cell: int) -> float:
    """The error of a short noise-aware training on phase-change memory as programmed, validation split."""
    estimator = TrainingEstimator(load("noisy-digits"), RECIPE, MemoryWeights(), draws=DRAWS)
    network = prune_dead_branches(SMALL.workload(SMALL.genotype_of(cell)))
    numerics = published_numerics(DRIFT_START_S)._replace(active_rows=64)
    return estimator(network, numerics, 1.0, 0).error


def described(cell: int, error: float, short: float) -> dict[str, Features]:
    """Features by what stands beside the shape of a cell."""
    space = CellSpace()
    genotype = space.genotype_of(cell)
    network = prune_dead_branches(space.workload(genotype))
    shape = features_of(Request(tuple(genotype.tolist()), network, FLOAT, 1.0, 0))
    by_simulator = with_error_beside({}, short)["beside"]
    return {
        "predictor": with_error_beside(shape, error),
        "with simulator": {**with_error_beside(shape, error), "simulator": by_simulator},
        "simulator for float": {**shape, "simulator": by_simulator},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--cells", type=int, default=150)
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    known, truth = (
        read_published_cells(options.reference, "nasbench201-analog", column).scores
        for column in ("baseline", "analog")
    )
    there = CellSpace().representatives
    there = there[np.isfinite(known[there]) & (np.nan_to_num(truth[there]) >= LEAST)]
    cells = np.random.default_rng(0).permutation(there)[: options.cells]
    lines = options.work.read_text().splitlines() if options.work.exists() else []
    short = {line["cell"]: line["error"] for line in map(json.loads, lines)}
    with options.work.open("a") as stream:
        for cell in cells.tolist():
            if cell not in short:
                short[cell] = simulated(cell)
                stream.write(json.dumps({"cell": cell, "error": short[cell]}) + "\n")
                stream.flush()
    errors = np.array([short[cell] for cell in cells.tolist()])
    features = [described(c, 1.0 - known[c], e) for c, e in zip(cells.tolist(), errors.tolist(), strict=True)]
    found: dict[str, list[tuple[float, float]]] = {}
    for split in range(options.splits):
        order = np.random.default_rng(split).permutation(len(cells))
        seen, left = order[:FITTED], order[FITTED:]
        predicted = {"simulator": errors[left], "float": 1.0 - known[cells[left]]}
        for name in features[0]:
            columns = Columns.of([features[i][name] for i in seen])
            x, asked = (columns.matrix([features[i][name] for i in rows]) for rows in (seen, left))
            predicted[name] = fit("gaussian_process", x, 1.0 - truth[cells[seen]], seed=split)(asked).error
        best = known[cells[left]] >= np.quantile(known[cells[left]], 2 / 3)
        for name, values in predicted.items():
            ranks = [spearmanr(-values[w], truth[cells[left]][w]).statistic for w in (np.ones(len(left), bool), best)]
            found.setdefault(name, []).append((ranks[0], ranks[1]))
    told = [
        "# A simulator on short trainings as a ranker\n",
        "Written by `python benchmarks/tables/analog_ranker.py`, whose opening says how: "
        f"{len(cells)} cells, {len(cells) - FITTED} of them ranked in each of {options.splits} splits; mean rank "
        "correlation with the published accuracy on phase-change memory, standard deviation over splits in brackets.\n",
        "| ranker | fitted | all | the best third by float accuracy |",
        "| --- | --- | --- | --- |",
    ]
    for name, values in found.items():
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
        fitted = 0 if name in ("simulator", "float") else FITTED
        told.append(f"| {name} | {fitted} | {mean[0]:.3f} ({spread[0]:.3f}) | {mean[1]:.3f} ({spread[1]:.3f}) |")
    RESULT.write_text("\n".join(told) + "\n", encoding="utf-8")
    print("\n".join(told))


if __name__ == "__main__":
    main()
