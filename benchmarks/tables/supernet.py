"""Shared weights against trainings of their own: rank correlations on 200 cells of the shipped table.

    python benchmarks/tables/supernet.py [--networks 200] [--seeds 3]

Writes `benchmarks/results/supernet.md`. A supernet of all cells is trained on the table's images with the defaults of
the estimator `supernet`; each of the cells is evaluated with its weights, and held against the table's float32
validation accuracy, the mean of three trainings of its own. The learning rate and the epochs were chosen on 200 other
cells (`LOOKED_AT`), which are left out here. `fair` trains four networks a step, so it has a quarter of the epochs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, spearmanr

from codesign.data import load
from codesign.estimate.base import CarriedWeights, Request
from codesign.estimate.supernet import SupernetEstimator, SupernetSettings
from codesign.estimate.table import DIGITS_CELLS, digits_cells
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "supernet.md"
DRAWS = 1000  # of the bootstrap
LOOKED_AT = 200
SETTINGS = {"uniform": 1.0, "fair": 0.25}
"""Sampling, and its share of the default epochs."""


def accuracies(cells: list[int], sampling: str, share: float, seed: int) -> tuple[F64, float]:
    """Accuracy of each cell with shared weights, (N,), and the seconds that training them took."""
    space, data = DIGITS_CELLS.space(Precision(32, 32)), load(DIGITS_CELLS.dataset)
    settings = SupernetSettings(sampling=sampling, draws=1)  # type: ignore[arg-type]
    weights = CarriedWeights()
    estimator = SupernetEstimator(space, data, settings, weights)
    requests = []
    for cell in cells:
        genotype = space.genotype_of(cell)
        network = prune_dead_branches(space.workload(genotype))
        requests.append(Request(tuple(genotype.tolist()), network, FLOAT, share, seed))
    start, first = time.perf_counter(), 0.0
    found = np.empty(len(cells))
    for position, estimate in estimator.estimate(requests):
        first = first or time.perf_counter() - start
        found[position] = estimate.accuracy
    return found, first


def told(values: F64, accuracy: F64) -> str:
    """Spearman with the interval that holds 95 % of a bootstrap over networks, and Kendall's tau."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(len(values), size=len(values)) for _ in range(DRAWS)]
    low, high = np.percentile([spearmanr(values[r], accuracy[r]).statistic for r in rows], [2.5, 97.5])
    rho, tau = spearmanr(values, accuracy).statistic, kendalltau(values, accuracy).statistic
    return f"{rho:.2f} [{low:.2f}, {high:.2f}] | {tau:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    table = digits_cells()
    looked_at = np.random.default_rng(99).choice(table.cells, LOOKED_AT, replace=False)
    others = np.setdiff1d(table.cells, looked_at)
    cells = np.sort(np.random.default_rng(0).choice(others, options.networks, replace=False))
    rows = np.searchsorted(table.cells, cells)
    accuracy = table.accuracy(FLOAT)[rows]
    single = table.validation[rows, :, table.fidelities.index(1.0), table.column(FLOAT)]
    lines = [
        "# Networks ranked by shared weights\n",
        f"Written by `python benchmarks/tables/supernet.py`: {len(cells)} cells of `{table.name}` (noisy-digits), none "
        "of which chose a setting, against their float32 validation accuracy after trainings of their own (mean of "
        f"three, {100 * accuracy.min():.1f} to {100 * accuracy.max():.1f} %). Intervals: {DRAWS} bootstrap draws over "
        "networks. Seconds are of a shared host.\n",
        "| estimate | Spearman [95 %] | Kendall | mean accuracy (%) | training (s) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for sampling, share in SETTINGS.items():
        found = []
        for seed in range(options.seeds):
            values, seconds = accuracies(cells.tolist(), sampling, share, seed)
            found.append(values)
            shown = f"{told(values, accuracy)} | {100 * values.mean():.1f} | {seconds:.0f}"
            lines.append(f"| supernet, {sampling}, seed {seed} | {shown} |")
            print(lines[-1], flush=True)
        lines.append(f"| supernet, {sampling}, mean of {len(found)} | {told(np.mean(found, axis=0), accuracy)} | | |")
    lines.append(f"| *one training of its own, against two others* | {told(single[:, 0], single[:, 1:].mean(1))} | | |")
    lines.append(f"| *parameters* | {told(table.parameters[rows].astype(float), accuracy)} | | |")
    lines.append("\nThe best zero-cost score on all cells of this table is in `zero_cost.md`.")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
