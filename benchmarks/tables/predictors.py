"""Predictors against trained accuracy: rank correlations on networks that no model was fitted to.

    python benchmarks/tables/predictors.py [--reference FOLDER] [--seeds 20]

Writes `benchmarks/results/predictors.md`. For each seed 50 networks are drawn, every model of
`codesign.estimate.regressors` is fitted to their errors, and predicted errors are ranked against the trained ones of
the networks that are left: 1,000 drawn of NAS-Bench-201 (CIFAR-10, read from the reference folder), all others of the
shipped digits table. Baselines see no training. Features and models were chosen while 2,200 cells of NAS-Bench-201
were looked at; those are drawn by `LOOKED_AT` and take no part here, neither in fits nor in scores.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from scipy.stats import t as student

from codesign.data import load
from codesign.estimate.base import Request
from codesign.estimate.network_features import Columns, Features, features_of
from codesign.estimate.regressors import REGRESSORS, fit
from codesign.estimate.table import DIGITS_CELLS, AccuracyTable, digits_cells, read_nasbench201
from codesign.estimate.zero_cost import ZeroCost
from codesign.space.cell import CellSpace
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

RESULT = Path(__file__).parents[1] / "results" / "predictors.md"
TRAININGS, HELD_OUT = 50, 1000
LOOKED_AT = (123, 2200)  # seed and number of the cells that the choice of features saw
SCORES = ("fisher", "zen")  # largest correlation of the shipped table by size, and with its own sign


class Pool(NamedTuple):
    """Networks of a table: features, the errors that a training gives and those that count, and baselines, (N,)."""

    described: Sequence[Features]
    fitted: F64
    scored: F64
    baselines: Mapping[str, F64]


class Found(NamedTuple):
    """Of one model and seed: rank correlation, and the share of errors within 1.645 deviations of the prediction."""

    spearman: float
    covered: float


def cells_of(table: AccuracyTable, rows: I64, space: CellSpace) -> list[Request]:
    """Networks of a table as requests, without dead branches."""
    genotypes = [space.genotype_of(int(table.cells[row])) for row in rows]
    return [
        Request(tuple(genotype.tolist()), prune_dead_branches(space.workload(genotype)), FLOAT, 1.0, 0)
        for genotype in genotypes
    ]


def nasbench(path: Path) -> Pool:
    """Cells of NAS-Bench-201 that the choice of features did not look at; CIFAR-10 after 200 epochs."""
    table = read_nasbench201(path)
    seed, count = LOOKED_AT
    rows = np.random.default_rng(seed).permutation(len(table.cells))[count:]
    requests = cells_of(table, rows, table.space)
    errors = 1.0 - table.accuracy(FLOAT)[rows]
    return Pool([features_of(one) for one in requests], errors, errors, sizes_of(requests))


def digits() -> Pool:
    """All networks of the shipped table: fitted to the trainings of the first seed, scored by the mean of all."""
    table = digits_cells()
    requests = cells_of(table, np.arange(len(table.cells)), DIGITS_CELLS.space(Precision(32, 32)))
    single = table.validation[:, 0, table.fidelities.index(1.0), table.column(FLOAT)]
    data = load(DIGITS_CELLS.dataset)
    scores: dict[str, F64] = {}
    for name in SCORES:
        estimator = ZeroCost(data, name, images=64)  # type: ignore[arg-type]
        scores[name] = np.array([estimator.value(request.workload) for request in requests])
    baselines = {**sizes_of(requests), "zen": scores["zen"], "fisher, its sign turned": -scores["fisher"]}
    return Pool([features_of(one) for one in requests], 1.0 - single, 1.0 - table.accuracy(FLOAT), baselines)


def sizes_of(requests: Sequence[Request]) -> dict[str, F64]:
    counts = np.array([[one.workload.macs, one.workload.parameters] for one in requests], np.float64)
    return {"MACs": counts[:, 0], "parameters": counts[:, 1]}


def spearman(a: F64, b: F64) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def of_seed(pool: Pool, seed: int) -> dict[str, Found]:
    """Every model and baseline on the networks that one seed leaves."""
    order = np.random.default_rng(seed).permutation(len(pool.scored))
    fitted, left = order[:TRAININGS], order[TRAININGS : TRAININGS + HELD_OUT]
    columns = Columns.of([pool.described[i] for i in fitted])
    x, asked = (columns.matrix([pool.described[i] for i in rows]) for rows in (fitted, left))
    truth, found = pool.scored[left], {}
    for name in REGRESSORS:
        predicted = fit(name, x, pool.fitted[fitted], seed=seed)(asked)
        within = np.abs(predicted.error - truth) <= 1.645 * predicted.deviation
        found[name] = Found(spearman(predicted.error, truth), float(within.mean()))
    return found | {
        f"*{name}* (baseline)": Found(spearman(-values[left], truth), np.nan) for name, values in pool.baselines.items()
    }


def lines_of(pool: Pool, seeds: int) -> list[str]:
    """The table of one pool, by falling correlation."""
    found = [of_seed(pool, seed) for seed in range(seeds)]
    lines = []
    for name in found[0]:
        values = np.array([one[name].spearman for one in found])
        half = student.ppf(0.975, seeds - 1) * values.std(ddof=1) / np.sqrt(seeds)
        covered = np.mean([one[name].covered for one in found])
        told = "–" if np.isnan(covered) else f"{100 * covered:.0f} %"
        low, high = values.mean() - half, values.mean() + half
        text = f"| {name} | {values.mean():.3f} [{low:.3f}, {high:.3f}] | {values.min():.3f} | {told} |"
        lines.append((values.mean(), text))
    return [text for _, text in sorted(lines, reverse=True)]


def report(pools: Mapping[str, Pool], seeds: int) -> str:
    """The result as Markdown."""
    parts = [
        "# Predictors against trained accuracy\n",
        f"Written by `python benchmarks/tables/predictors.py`: models fitted to {TRAININGS} networks drawn by each of "
        f"{seeds} seeds, Spearman correlation of predicted with trained error on networks that no fit has seen, mean "
        "over seeds with its 95 % interval (Student) and the least of the seeds. The last column is the share of "
        "trained errors within 1.645 deviations of the prediction: 90 % for a deviation that holds. Baselines are "
        "fitted to nothing.",
    ]
    head = ["| model | Spearman [95 %] | least | within 90 % interval |", "| --- | --- | --- | --- |"]
    for title, pool in pools.items():
        parts += [f"\n## {title}\n", *head, *lines_of(pool, seeds)]
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    pools: dict[str, Pool] = {}
    if options.reference is None:
        parser.error("NAS-Bench-201 is read from --reference or from the folder that CODESIGN_REFERENCE names")
    found = nasbench(Path(options.reference) / "nas/nb201_arch.npz")
    pools[f"NAS-Bench-201, CIFAR-10: {HELD_OUT:,} held-out cells of {len(found.scored):,}"] = found
    found = digits()
    left = len(found.scored) - TRAININGS
    pools[f"{digits_cells().name}: the other {left} networks, mean of {DIGITS_CELLS.seeds} seeds each"] = found
    text = report(pools, options.seeds)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
