"""Cheap trainings against full ones: rank correlation of each axis of a fidelity at about equal cost.

    python benchmarks/tables/fidelity.py [--networks 60]

Writes `benchmarks/results/fidelity.md`. Networks are drawn of the shipped digits table, whose float32 validation
accuracies after full training (mean of three seeds) are the truth. Each is trained once more, by the recipe of the
table, seed 3, at a third of the cost along each axis; the cost that this is in fact stands beside it, as the product of
epochs, images and MACs. Intervals are 95 % percentiles of a bootstrap over networks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from codesign.data import Dataset, load
from codesign.estimate.base import CarriedWeights, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.fidelity import ScaledFidelity
from codesign.estimate.recipe import Axis
from codesign.estimate.table import DIGITS_CELLS, digits_cells
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]

RESULT = Path(__file__).parents[1] / "results" / "fidelity.md"
FIDELITY, SEED, DRAWS = 1 / 3, 3, 1000
AXES: tuple[tuple[Axis, ...], ...] = (
    ("epochs",), ("data",), ("resolution",), ("width",), ("epochs", "data"), ("data", "width"),
)  # fmt: skip


class Column(NamedTuple):
    """What one way to train says of the networks, (N,), the share of the full cost, and CPU-seconds a network."""

    name: str
    accuracy: F64
    cost: float
    seconds: float


def trained(axes: Sequence[Axis], requests: Sequence[Request]) -> Column:
    """Accuracies of trainings along some axes; of full ones where there are none."""
    data, recipe = load(DIGITS_CELLS.dataset), DIGITS_CELLS.recipe
    if axes:
        scaled = ScaledFidelity(data, recipe, CarriedWeights(), axes=axes, draws=1)
        estimator: ScaledFidelity | TrainingEstimator = scaled
        cost = float(np.mean([cost_of(scaled, one._replace(fidelity=FIDELITY), data) for one in requests]))
    else:
        estimator, cost = TrainingEstimator(data, recipe, CarriedWeights(), draws=1), 1.0
    start, found = time.process_time(), []
    for request in requests:
        estimator.weights.bring("", None)  # type: ignore[attr-defined]
        asked = request._replace(fidelity=FIDELITY if axes else 1.0)
        found += [estimate.accuracy for _, estimate in estimator.estimate([asked])]
    seconds = (time.process_time() - start) / len(requests)
    print(axes, f"{seconds:.2f} s a network", flush=True)
    return Column(" and ".join(axes) or "a full training", np.array(found), cost, seconds)


def cost_of(scaled: ScaledFidelity, request: Request, data: Dataset) -> float:
    """Epochs x images x MACs of a reduced training over those of the full one."""
    level, asked = scaled.scaled(request)
    epochs = scaled.epochs_at(FIDELITY) / DIGITS_CELLS.recipe.epochs
    images = len(level.dataset.train.labels) / len(data.train.labels)
    return epochs * images * asked.workload.macs / request.workload.macs


def spearman(a: F64, b: F64) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def line_of(column: Column, truth: F64) -> str:
    rng = np.random.default_rng(0)
    draws = [rng.integers(len(truth), size=len(truth)) for _ in range(DRAWS)]
    low, high = np.percentile([spearman(column.accuracy[rows], truth[rows]) for rows in draws], [2.5, 97.5])
    value = spearman(column.accuracy, truth)
    cost = "0" if column.cost == 0 else f"{column.cost:.2f}"
    return f"| {column.name} | {value:.2f} [{low:.2f}, {high:.2f}] | {cost} | {column.seconds:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=60)
    options = parser.parse_args()
    table, space = digits_cells(), DIGITS_CELLS.space(Precision(32, 32))
    rows = np.random.default_rng(0).permutation(len(table.cells))[: options.networks]
    genotypes = [space.genotype_of(int(table.cells[row])) for row in rows]
    requests = [
        Request(tuple(genotype.tolist()), prune_dead_branches(space.workload(genotype)), FLOAT, 1.0, SEED)
        for genotype in genotypes
    ]
    truth = table.accuracy(FLOAT)[rows]
    columns = [trained(axes, requests) for axes in AXES]
    full = trained((), requests)
    macs = Column("*MACs* (baseline)", np.array([float(one.workload.macs) for one in requests]), 0.0, 0.0)
    lines = [line_of(column, truth) for column in sorted(columns, key=lambda one: -spearman(one.accuracy, truth))]
    text = "\n".join(
        [
            "# Lower fidelities against full training\n",
            f"Written by `python benchmarks/tables/fidelity.py`: {len(rows)} networks of `{table.name}`, trained once "
            f"at a third of the cost along each axis and ranked against the table's float32 validation accuracy (full "
            f"training, mean of {DIGITS_CELLS.seeds} seeds; {100 * truth.min():.1f} to {100 * truth.max():.1f} %). "
            "Cost is epochs x images x MACs over those of full training, the mean over networks. The resolution is the "
            "nearest that a network takes: 4 of 8 pixels. CPU-seconds are of a shared host: networks this small spend "
            "most of a step on overheads, which width and resolution do not reduce.\n",
            "| what is scaled | Spearman [95 %] | cost | CPU-seconds a network |",
            "| --- | --- | --- | --- |",
            *lines,
            line_of(full, truth),
            line_of(macs, truth),
        ]
    )
    RESULT.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
