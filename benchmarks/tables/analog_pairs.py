"""Evaluations that two-level search saves on an analogue benchmark: to what the strategy alone reaches with ten times.

    python benchmarks/tables/analog_pairs.py pairs-digits-analog [--table FOLDER] [--seeds 5] [--strategies ...]

Writes `benchmarks/results/<benchmark>.md`. An evaluation is a network trained in one way, looked up for the first time.
The strategy alone trains whatever it proposes, up to `--alone` evaluations; the two-level search, FAST and SLOW over
all pairs, up to a tenth of it. Quality is the share of the exact front's hypervolume, in accuracy after drift, energy
of a served inference, area and latency. Of a search with FAST two figures: of the pairs that it met, and after exact
hardware search for the networks that it trained, which costs no evaluation. The ratio is the evaluations of the
strategy alone over those after which the two-level search is as good as it ever gets; a lower bound where the strategy
alone is not at its end but at its limit.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from codesign.benchmark.compare import Effort, Trace, one_level, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts

RESULTS = Path(__file__).parents[1] / "results"
SETTINGS = {"evolution": {"name": "evolution", "population": 100}}  # as benchmarks/tables/pairs.py


def saved(fast: Trace, alone: Trace, *, inner: bool) -> float:
    """Evaluations of the strategy alone until its best quality, over those of the search until the same; 0 if never."""
    goal = max(alone.quality)
    needed = fast.reaches(goal, inner=inner)
    used = alone.reaches(goal)
    return 0.0 if needed is None or used is None else used / max(needed, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("--table", type=Path, help="reference folder, for pairs-201-analog")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strategies", nargs="+", default=["nsga2", "evolution", "random"])
    parser.add_argument("--alone", type=int, default=960)
    options = parser.parse_args()
    definition = benchmark(options.benchmark, "crossbar")
    fronts = Fronts(definition, definition.table(options.table))
    start = perf_counter()
    true = fronts.true
    took = perf_counter() - start
    effort = Effort(generations=options.alone // 40, pairs=10_000, trainings=4)
    ways, times = fronts.table.space.n_genes - 1, fronts.table.space.n_genes
    chosen = [np.unique(true.genotypes[:, gene], return_counts=True)[1] for gene in (ways, times)]
    lines = [
        f"# {definition.name}, version {definition.version}: what FAST saves\n",
        f"Written by `python benchmarks/tables/analog_pairs.py {definition.name}`, whose opening says how: "
        f"{true.pairs:,} pairs of {len(fronts.table.cells):,} trained cells; the exact front has {len(true.points):,} "
        f"points ({chosen[0].tolist()} plain and noise-aware, {chosen[1].tolist()} by rising time since programming) "
        f"and took {took:.1f} s on a loaded host, compilation included. {options.seeds} seeds, means; worst ratio in "
        "brackets.\n",
        "| strategy | alone: evaluations, quality | two-level: evaluations, quality met, after exact hardware | "
        "fewer evaluations, met | after exact hardware |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in options.strategies:
        section = SETTINGS.get(name, name)
        alone = [one_level(fronts, section, seed, trainings=options.alone) for seed in range(options.seeds)]
        fast = [two_level(fronts, section, seed, effort) for seed in range(options.seeds)]
        ratios = np.array(
            [[saved(f, a, inner=inner) for inner in (False, True)] for f, a in zip(fast, alone, strict=True)]
        )
        met, inner = (f"{np.mean(r):.1f}x ({np.min(r):.1f}x)" for r in ratios.T)
        a, f = np.mean([t.quality[-1] for t in alone]), np.mean([t.quality[-1] for t in fast])
        exact, used = np.mean([t.inner[-1] for t in fast]), np.mean([t.trainings[-1] for t in fast])
        spent = np.mean([t.trainings[-1] for t in alone])
        lost = sum(t.recall.lost for t in fast)
        lines.append(f"| {name} | {spent:.0f}, {a:.3f} | {used:.0f}, {f:.3f}, {exact:.3f} | {met} | {inner} |")
        print(lines[-1], f"front pairs lost: {lost}", flush=True)
    (RESULTS / f"{definition.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
