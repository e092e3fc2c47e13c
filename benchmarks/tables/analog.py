"""Accuracy on phase-change memory from some of it, the float accuracy and the shape of a network.

    python benchmarks/tables/analog.py [--reference FOLDER] [--seeds 10] [--networks 3000]

Writes `benchmarks/results/analog.md`. Cells of NAS-Bench-201 under simulated noise after training for it (column
`analog` of nb201_analog, its authors' simulation), of those that reach 20 %. For each seed some cells are drawn, a
model of `codesign.estimate.predictor` is fitted to them with the float accuracy beside their shape, and all others are
ranked. The best tenth is that by float accuracy. Which features count was decided with cells of this table in view. A
network stands in the table under several cells, each with a training of its own; so the ranking is told twice: of all
cells that were not fitted, and of those alone whose network was not. The float accuracy alone is the baseline.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from codesign.estimate.base import Request
from codesign.estimate.network_features import Columns, Features, features_of
from codesign.estimate.predictor import with_error_beside
from codesign.estimate.published_cells import CELLS_FILE, SOURCES
from codesign.estimate.regressors import REGRESSORS, RegressorName, fit
from codesign.space.cell import CellSpace
from hwmodels.numerics import FLOAT
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "analog.md"
FITTED = (50, 200)
LEAST = 20.0  # per cent that a cell must reach to be ranked
LATE = "analog_drift_86400"


class Pool(NamedTuple):
    """Cells: what is read of each, and accuracies in per cent, (N,): float, analogue, and that after a day.

    network : (N,) equal for cells that are one network.
    """

    described: list[Features]
    network: npt.NDArray[np.int64]
    known: F64
    analog: F64
    late: F64


def pool(reference: Path, count: int) -> Pool:
    """Cells that reach the least accuracy, drawn once."""
    cells, file = np.load(reference / CELLS_FILE), np.load(reference / SOURCES["nasbench201-analog"].file)
    space, ops = CellSpace(), cells["ops"].astype(np.int64)
    there = space.valid(ops) & np.isfinite(file["baseline"]) & np.isfinite(file[LATE]) & (file["analog"] >= LEAST)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(there))[:count]
    described = []
    canonical = space.canonical(ops[rows])
    for row, genotype in zip(rows, canonical, strict=True):
        network = prune_dead_branches(space.workload(genotype))
        request = Request(tuple(genotype.tolist()), network, FLOAT, 1.0, 0)
        described.append(with_error_beside(features_of(request), 1.0 - float(file["baseline"][row]) / 100.0))
    network = np.unique(canonical, axis=0, return_inverse=True)[1].reshape(-1)
    return Pool(described, network, *(file[name][rows].astype(np.float64) for name in ("baseline", "analog", LATE)))


def of_seed(cells: Pool, model: RegressorName, fitted: int, seed: int) -> list[float]:
    """Rank correlations on the cells left and on their best tenth, the same of networks that were not fitted, and the
    median error of their loss over a day."""
    order = np.random.default_rng(seed).permutation(len(cells.known))
    seen, left = order[:fitted], order[fitted:]
    columns = Columns.of([cells.described[i] for i in seen])
    x, asked = (columns.matrix([cells.described[i] for i in rows]) for rows in (seen, left))
    predicted = fit(model, x, 1.0 - cells.analog[seen] / 100.0, seed=seed)(asked).error
    late = fit(model, x, 1.0 - cells.late[seen] / 100.0, seed=seed)(asked).error
    best = cells.known[left] >= np.quantile(cells.known, 0.9)
    unseen = ~np.isin(cells.network[left], cells.network[seen])
    lost = 100.0 * (late - predicted) - (cells.analog - cells.late)[left]
    ranked = [np.ones(len(left), np.bool_), best, unseen, unseen & best]
    return [
        *(spearmanr(-predicted[which], cells.analog[left][which]).statistic for which in ranked),
        float(np.median(np.abs(lost[unseen]))),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--networks", type=int, default=3000)
    options = parser.parse_args()
    cells = pool(Path(options.reference), options.networks)
    best = cells.known >= np.quantile(cells.known, 0.9)
    alone = [spearmanr(cells.known[w], cells.analog[w]).statistic for w in (np.ones(len(best), bool), best)]
    loss = cells.analog - cells.late
    lines = [
        "# Accuracy on phase-change memory, predicted\n",
        f"Written by `python benchmarks/tables/analog.py`, whose opening says how: {len(cells.known):,} cells of "
        f"NAS-Bench-201, mean over {options.seeds} seeds, the worst of them in brackets.\n",
        "| fitted | model | Spearman, cells not fitted | in their best tenth | networks not fitted "
        "| in their best tenth | loss over a day, median error (points) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for fitted in FITTED:
        for model in REGRESSORS:
            found = np.array([of_seed(cells, model, fitted, seed) for seed in range(options.seeds)])
            mean, low, high = found.mean(axis=0), found.min(axis=0), found.max(axis=0)
            told = " | ".join(f"{value:.3f} ({worst:.3f})" for value, worst in zip(mean[:4], low[:4], strict=True))
            told += f" | {mean[4]:.2f} ({high[4]:.2f})"
            lines.append(f"| {fitted} | {model.replace('_', ' ')} | {told} |")
            print(lines[-1], flush=True)
    constant = float(np.median(np.abs(loss - np.median(loss))))
    lines.append(
        f"| 0 | *float accuracy; for the loss its median* | {alone[0]:.3f} | {alone[1]:.3f} | | | {constant:.2f} |"
    )
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
