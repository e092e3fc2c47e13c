"""Evaluations that FAST saves on an analogue benchmark: of a strategy with and without it, to the same quality.

    python benchmarks/tables/analog_pairs.py pairs-digits-analog [--table FOLDER] [--seeds 5] [--strategies ...]

Writes `benchmarks/results/<benchmark>.md`. An evaluation is a network trained in one way, looked up for the first time.
The strategy alone trains whatever it proposes, up to `--alone` evaluations; the two-level search, FAST and SLOW over
all pairs, up to a tenth of it. Quality is the share of the exact front's hypervolume, in accuracy after drift, energy
of a served inference, area and latency. Of a search with FAST there are two: of the pairs that it met, and after exact
hardware search for the networks that it trained, which costs no evaluation. A search that never arrives counts with all
its evaluations, which is marked as a lower bound; the last column compares with the better of the two.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from codesign.benchmark.compare import Effort, Trace, one_level, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts

RESULTS = Path(__file__).parents[1] / "results"
SETTINGS = {"evolution": {"name": "evolution", "population": 100}}  # as benchmarks/tables/pairs.py


GOALS = (0.9, 0.95)


def needed(traces: Sequence[Trace], goal: float, *, inner: bool = False) -> tuple[float, bool]:
    """Mean evaluations until the quality is at least `goal`, and whether some never arrived."""
    found = [trace.reaches(goal, inner=inner) for trace in traces]
    counted = [trace.trainings[-1] if n is None else max(n, 1) for n, trace in zip(found, traces, strict=True)]
    return float(np.mean(counted)), None in found


def told(count: tuple[float, bool]) -> str:
    return (">= " if count[1] else "") + f"{count[0]:.0f}"


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
        f"Written by `python benchmarks/tables/analog_pairs.py {definition.name} --seeds {options.seeds} --alone "
        f"{options.alone} --strategies {' '.join(options.strategies)}`, whose opening says how: "
        f"{true.pairs:,} pairs of {len(fronts.table.cells):,} trained cells; the exact front has {len(true.points):,} "
        f"points ({chosen[0].tolist()} plain and noise-aware, {chosen[1].tolist()} by rising time since programming) "
        f"and took {took:.1f} s on a loaded host, compilation included. Means over {options.seeds} seeds.\n",
        "| strategy | goal | alone | with FAST, pairs met | with FAST, after exact hardware | fewer |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in options.strategies:
        section = SETTINGS.get(name, name)
        alone = [one_level(fronts, section, seed, trainings=options.alone) for seed in range(options.seeds)]
        fast = [two_level(fronts, section, seed, effort) for seed in range(options.seeds)]
        for goal in GOALS:
            base, met, exact = needed(alone, goal), needed(fast, goal), needed(fast, goal, inner=True)
            best = min((met, exact), key=lambda count: (count[1], count[0]))
            ratio = "" if best[1] else (">= " if base[1] else "") + f"{base[0] / best[0]:.0f}x"
            lines.append(f"| {name} | {goal} | {told(base)} | {told(met)} | {told(exact)} | {ratio} |")
        last = [np.mean([getattr(t, kind)[-1] for t in traces]) for traces, kind in
                ((alone, "quality"), (fast, "quality"), (fast, "inner"))]  # fmt: skip
        spent = [np.mean([t.trainings[-1] for t in traces]) for traces in (alone, fast)]
        lines.append(
            f"| {name} | at the end | {spent[0]:.0f}: {last[0]:.3f} | {spent[1]:.0f}: {last[1]:.3f} | {last[2]:.3f} | |"
        )
        print("\n".join(lines[-3:]), f"front pairs lost: {sum(t.recall.lost for t in fast)}", flush=True)
    (RESULTS / f"{definition.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
