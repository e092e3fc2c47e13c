"""`hardcore`: does it ever propose what breaks a limit, and what does it find beside random search within the limit?

    python benchmarks/tables/hardcore.py [--runs 1000]

Writes `benchmarks/results/hardcore.md`. A run draws a limit on the latency between the 2nd and the 90th percentile of
all cells of the shipped table on one device, proposes BATCHES batches of BATCH pairs and is told their accuracies from
the table. Latencies of all pairs are costed beforehand and looked up, by the strategy as well. Random search draws as
many pairs of those within the limit, so that it pays for no violation either; of reinforce, which learns limits from
what it is told, the violations are counted, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.estimate.table import AccuracyTable, digits_cells
from codesign.registry import STRATEGIES
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.strategy.base import Problem, Results
from codesign.testing.strategy import MemoryBlobs
from codesign.two_level.cost_access import PairCostAccess
from hwmodels.catalog import device
from hwmodels.numerics import FLOAT
from hwmodels.workload.rewrite import COMPILED

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "hardcore.md"
DEVICES = ("rpi4", "stm32h743", "t4", "systolic_edge")
BATCHES, BATCH = 4, 10


class Run(NamedTuple):
    """Pairs proposed, those over the limit, and the best accuracy within it (NaN where there is none)."""

    proposed: int
    over: int
    best: float


def run(section: dict[str, Any], limit: float, seed: int, table: AccuracyTable, space: JointSpace, latency: F64) -> Run:

    def looked_up(pairs: npt.NDArray[np.int64]) -> F64:
        rows = table.rows(pairs)
        return np.where(rows >= 0, latency[rows], np.nan)[:, None]

    problem = Problem(space, space, ("latency_s",), looked_up, None, MemoryBlobs(), seed)
    strategy, rng = STRATEGIES.parse(section, "strategy").make(problem), np.random.default_rng(seed)
    accuracy, proposed, over, best = table.accuracy(FLOAT), 0, 0, np.nan
    for _ in range(BATCHES):
        proposal = strategy.ask(BATCH, rng)
        rows = table.rows(proposal.genotypes)
        costs, found = latency[rows], accuracy[rows]
        within = costs <= limit
        proposed, over = proposed + len(rows), over + int((~within).sum())
        best = float(np.nanmax([best, *found[within]])) if within.any() else best
        violation = np.maximum(costs / limit - 1, 0)
        strategy.tell(proposal, Results.exact(np.column_stack([1 - found, costs]), violation[:, None]))
    return Run(proposed, over, best)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    table = digits_cells()
    networks = np.stack([table.space.genotype_of(int(cell)) for cell in table.cells])
    accuracy = table.accuracy(FLOAT)
    lines = [
        "# Hard limits\n",
        f"Written by `python benchmarks/tables/hardcore.py`: {options.runs} runs over {len(DEVICES)} devices, each of "
        f"{BATCHES} batches of {BATCH} cells of `{table.name}` under a drawn limit on the latency. Gains over random "
        "search within the limit are paired, with 95 % intervals (Student).\n",
        "| device | runs | proposed | over the limit | reinforce: over (%) | best within (%) | random within (%) | "
        "gain (points) |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    total = np.zeros(2, np.int64)
    for place, name in enumerate(DEVICES):
        chip = device(name)
        space = JointSpace(table.space, HardwareSpace(chip.model, chip.spec, {}))
        latency = PairCostAccess(space, COMPILED, ("latency_s",))(networks)[:, 0]
        runs, gains, randoms, learned = [], [], [], []
        for seed in range(place, options.runs, len(DEVICES)):
            rng = np.random.default_rng([seed, 9])
            limit = float(np.quantile(latency, rng.uniform(0.02, 0.9)))
            section = {"name": "hardcore", "limits": {"latency_s": limit}}
            runs.append(run(section, limit, seed, table, space, latency))
            within = np.flatnonzero(latency <= limit)
            randoms.append(float(accuracy[rng.choice(within, BATCHES * BATCH)].max()))
            gains.append(runs[-1].best - randoms[-1])
            if seed < 10 * len(DEVICES):
                learned.append(run({"name": "reinforce"}, limit, seed, table, space, latency))
        proposed, over = sum(one.proposed for one in runs), sum(one.over for one in runs)
        total += (proposed, over)
        half = float(stats.sem(gains) * stats.t.ppf(0.975, len(gains) - 1)) if len(gains) > 1 else float("nan")
        share = 100 * sum(one.over for one in learned) / sum(one.proposed for one in learned)
        lines.append(
            f"| {name} | {len(runs)} | {proposed} | {over} | {share:.0f} | "
            f"{100 * np.mean([one.best for one in runs]):.2f} | {100 * np.mean(randoms):.2f} | "
            f"{100 * np.mean(gains):+.2f} ± {100 * half:.2f} |"
        )
        print(lines[-1], flush=True)
    lines.append(f"| all | {options.runs} | {total[0]} | {total[1]} | | | | |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
