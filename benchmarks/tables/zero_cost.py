"""Zero-cost scores against trained accuracy: rank correlations over the shipped table of digit cells.

    python benchmarks/tables/zero_cost.py [--networks 1010] [--keep FILE.npz]

Writes `benchmarks/results/zero_cost.md`. Accuracy is float32 validation accuracy after full training, the mean over the
table's three seeds. Networks are scored untrained at the images and seeds of `ROUNDS`; nothing is fitted. Intervals
are 95 % percentiles of a bootstrap over networks. A score that is not finite ranks last and is counted. With `--keep`
the scores are written to a file, or read from it where it is there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, rankdata

from codesign.data import load
from codesign.estimate.table import DIGITS_CELLS, AccuracyTable, digits_cells
from codesign.estimate.zero_cost import ScoreName, ZeroCost, error_of
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

RESULT = Path(__file__).parents[1] / "results" / "zero_cost.md"
ROUNDS = ((64, 2), (32, 1))  # images, seeds
DRAWS = 1000  # of the bootstrap
BASELINES = ("parameters", "macs")
_NOT_FINITE = -1.0  # a place below every `1 - error_of(score)`


class Interval(NamedTuple):
    """A statistic with the interval that holds 95 % of its bootstrap draws."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def measure(table: AccuracyTable, rows: I64, images: int, seed: int) -> dict[str, F64]:
    """Every score of some networks of the table, (N,) each, and its milliseconds a network under `<score>_ms`."""
    space, data = DIGITS_CELLS.space(Precision(32, 32)), load(DIGITS_CELLS.dataset)
    estimators = [ZeroCost(data, name, images=images) for name in get_args(ScoreName)]
    found = {estimator.score: np.full(len(rows), np.nan) for estimator in estimators}
    seconds = dict.fromkeys(found, 0.0)
    for i, cell in enumerate(table.cells[rows].tolist()):
        network = prune_dead_branches(space.workload(space.genotype_of(cell)))
        for estimator in estimators:
            start = time.perf_counter()
            found[estimator.score][i] = estimator.value(network, seed)
            seconds[estimator.score] += time.perf_counter() - start
        if i % 100 == 0:
            print(f"{images} images, seed {seed}: {i} networks", flush=True)
    return found | {f"{name}_ms": np.array([1e3 * spent / len(rows)]) for name, spent in seconds.items()}


def all_scores(table: AccuracyTable, rows: I64, kept: Path | None) -> dict[str, F64]:
    """Scores of all rounds under ``<images>/<seed>/<score>``, measured or read."""
    found: dict[str, F64] = {}
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    for seed, images in sorted((seed, images) for images, seeds in ROUNDS for seed in range(seeds)):
        if f"{images}/{seed}/zen" in found:
            continue
        found |= {f"{images}/{seed}/{name}": values for name, values in measure(table, rows, images, seed).items()}
        if kept is not None:
            np.savez_compressed(kept, **found)  # type: ignore[arg-type]
    return found


def ranking(scores: F64) -> F64:
    """Scores as numbers that rank networks as the estimator does, those that are not finite last."""
    return np.array([1.0 - error_of(score) if np.isfinite(score) else _NOT_FINITE for score in scores])


def spearman(a: F64, b: F64) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def kendall(a: F64, b: F64) -> float:
    return float(kendalltau(a, b).statistic)


def draws_of(count: int) -> list[I64]:
    """Rows of all networks, then of each bootstrap draw; equal at every call."""
    rng = np.random.default_rng(0)
    return [np.arange(count), *(rng.integers(count, size=count) for _ in range(DRAWS))]


def interval(values: F64) -> Interval:
    """The statistic of all networks, with the percentiles of its draws."""
    return Interval(float(values[0]), *np.percentile(values[1:], [2.5, 97.5]).tolist())


def over_draws(statistic: Callable[[F64, F64], float], a: F64, b: F64) -> F64:
    """A statistic of two columns, of all networks and of each draw, (1 + DRAWS,)."""
    return np.array([statistic(a[rows], b[rows]) for rows in draws_of(len(a))])


def lines_of(found: dict[str, F64], images: int, seeds: int, accuracy: F64) -> list[str]:
    """One line of the table a score, by falling Spearman correlation of the first seed."""
    baseline = over_draws(spearman, ranking(found[f"{images}/0/parameters"]), accuracy)
    lines = []
    for name in get_args(ScoreName):
        ranks = [ranking(found[f"{images}/{seed}/{name}"]) for seed in range(seeds)]
        spearmans = over_draws(spearman, ranks[0], accuracy)
        own, more = interval(spearmans), interval(spearmans - baseline)
        tau = interval(over_draws(kendall, ranks[0], accuracy))
        mean = np.mean([rankdata(values) for values in ranks], axis=0)
        several = f"{spearman(mean, accuracy):.2f} | {spearman(ranks[0], ranks[1]):.2f} | " if seeds > 1 else ""
        label = f"*{name}* (baseline)" if name in BASELINES else name
        lost = sum(int((~np.isfinite(found[f"{images}/{seed}/{name}"])).sum()) for seed in range(seeds))
        line = f"| {label} | {own} | {tau} | {more} | {several}{lost} | {found[f'{images}/0/{name}_ms'][0]:.0f} |"
        lines.append((own.value, line))
    return [line for _, line in sorted(lines, reverse=True)]


def trained_lines(table: AccuracyTable, rows: I64) -> list[str]:
    """What trainings tell about the same accuracies, as a scale to read the scores by."""
    level, column = table.fidelities.index(1.0), table.column(FLOAT)
    single = table.validation[rows][:, :, level, column]
    others = single[:, 1:].mean(axis=1)
    accuracy = table.accuracy(FLOAT)[rows]
    third = table.accuracy(Numerics(8, 8), fidelity=min(table.fidelities))[rows]
    one = interval(over_draws(spearman, single[:, 0], others))
    low = interval(over_draws(spearman, third, accuracy))
    return [
        f"- one full training against the mean of the two others: Spearman {one}",
        f"- a third of the epochs, 8 bits, mean of three seeds, against full float32 training: Spearman {low}",
    ]


def report(table: AccuracyTable, rows: I64, found: dict[str, F64]) -> str:
    """The result as Markdown."""
    accuracy = table.accuracy(FLOAT)[rows]
    head = "| score | Spearman [95 %] | Kendall [95 %] | Spearman over that of parameters [95 %] |"
    parts = [
        "# Zero-cost scores against trained accuracy\n",
        f"Written by `python benchmarks/tables/zero_cost.py`: {len(rows)} of the {len(table.cells)} networks of "
        f"`{table.name}` ({DIGITS_CELLS.dataset}), float32 validation accuracy after full training, mean of "
        f"{DIGITS_CELLS.seeds} seeds ({100 * accuracy.min():.1f} to {100 * accuracy.max():.1f} %). Scores of untrained "
        "networks; nothing is fitted, no sign is turned. Larger is better throughout; equations and papers stand in "
        f"`codesign/estimate/scores.py`. Intervals: {DRAWS} bootstrap draws over networks. Milliseconds a network are "
        "of a shared host, an order of magnitude and no more. An image has 64 values, so that `jacov` of 64 images is "
        "that of a singular matrix (see its docstring); 32 images stand below for that reason.\n",
        "What trainings tell about the same accuracies:\n",
        *trained_lines(table, rows),
    ]
    for images, seeds in ROUNDS:
        several = " mean rank of all seeds, Spearman | first against second seed |" if seeds > 1 else ""
        columns = f"{head}{several} not finite | time (ms) |"
        parts += [f"\n## {images} images, {seeds} seed{'s' if seeds > 1 else ''} of weights and images\n", columns]
        parts += ["|" + " --- |" * (columns.count("|") - 1), *lines_of(found, images, seeds, accuracy)]
    return "\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, help="a random sample of the table's; all by default")
    parser.add_argument("--keep", type=Path, help="file of the scores")
    options = parser.parse_args()
    table = digits_cells()
    count = min(options.networks or len(table.cells), len(table.cells))
    rows = np.sort(np.random.default_rng(0).permutation(len(table.cells))[:count])
    text = report(table, rows, all_scores(table, rows, options.keep))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
