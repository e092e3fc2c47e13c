"""Every strategy against the exact front of a benchmark: quality by trainings, prune recall, joint or in turn.

    python benchmarks/tables/pairs.py pairs-digits crossbar [--seeds 5] [--methods ...] [--output results/pairs]
    python benchmarks/tables/pairs.py pairs-201 spatial --table nb201_arch.npz

Writes `<benchmark>-<family>-v<version>.csv`, one row a method with mean and 95 % interval over seeds (Student's t), the
traces as `.json`, and the picture as `.png`. Definitions: `codesign.benchmark.definition`. Methods:

  two-level      FAST and SLOW over all pairs; `+ inner` is the front after exact hardware search for what was trained
  whole grid     the same, with every design of the grid for each network that the strategy proposes
  aggressive     two-level, with pairs guessed away by capacity, and audited
  one-level      the same strategy, everything it proposes is trained; at most ten times what two-level may train
  phased         networks on one design by its costs, then every design for the networks of that front
  separate       networks by accuracy and MACs, then every design for the networks of that front

Trainings are looked up in the table: a training counts when a network is asked for the first time.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from scipy import stats

from codesign.benchmark.compare import Effort, Trace, in_turn, one_level, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.score import Fronts
from codesign.registry import STRATEGIES

SHARE = 0.95

SETTINGS: Mapping[str, Mapping[str, Any]] = {"evolution": {"name": "evolution", "population": 100}}
"""Of strategies that are not compared with their defaults."""

METHODS: Mapping[str, Callable[[Fronts, str | Mapping[str, Any], int, Effort], Trace]] = {
    "two-level": two_level,
    "whole grid": partial(two_level, whole_grid=True),
    "aggressive": partial(two_level, aggressive=True),
    "one-level": lambda fronts, strategy, seed, effort: one_level(
        fronts, strategy, seed, trainings=10 * effort.generations * effort.trainings
    ),
    "phased": lambda fronts, strategy, seed, effort: in_turn(fronts, "phased", strategy, seed, effort),
    "separate": lambda fronts, strategy, seed, effort: in_turn(fronts, "separate", strategy, seed, effort),
}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval."""
    sample = np.array(values, np.float64)
    if len(sample) < 2:
        return float(sample.mean()), float("nan")
    return float(sample.mean()), float(stats.sem(sample) * stats.t.ppf(0.975, len(sample) - 1))


def row(method: str, strategy: str, traces: Sequence[Trace]) -> dict[str, Any]:
    """One line of the table."""
    quality, inner, regret = ([getattr(trace, name)[-1] for trace in traces] for name in ("quality", "inner", "regret"))
    reached = [trace.reaches(SHARE) for trace in traces]
    reached_inner = [trace.reaches(SHARE, inner=True) for trace in traces]
    audited = sum(trace.ledger.audited for trace in traces if trace.ledger)
    misjudged = sum(trace.ledger.misjudged for trace in traces if trace.ledger)
    return {
        "method": method,
        "strategy": strategy,
        "seeds": len(traces),
        "trainings": round(interval([trace.trainings[-1] for trace in traces])[0]),
        "hypervolume": "{:.4f} ± {:.4f}".format(*interval(quality)),
        "hypervolume_inner": "{:.4f} ± {:.4f}".format(*interval(inner)),
        "regret_points": "{:.2f} ± {:.2f}".format(*interval([100 * value for value in regret])),
        "trainings_to_95": _told(reached),
        "trainings_to_95_inner": _told(reached_inner),
        "front_pairs_met": sum(trace.recall.met for trace in traces),
        "front_pairs_lost": sum(trace.recall.lost for trace in traces),
        "audited": audited,
        "false_prune_percent": round(100 * misjudged / audited, 2) if audited else "",
    }


def _told(reached: Sequence[int | None]) -> str:
    met = [n for n in reached if n is not None]
    if not met:
        return "never"
    mean, half = interval(met)
    return f"{mean:.0f} ± {half:.0f}" + (f" ({len(met)} of {len(reached)} seeds)" if len(met) < len(reached) else "")


DEFAULT = ("bayesian", "evolution", "latin_hypercube", "local_search", "nsga2", "nsga3", "random", "reinforce")
"""Strategies that need neither data nor a space of their own."""


def plot(results: dict[tuple[str, str], list[Trace]], title: str, path: Path) -> None:
    """Hypervolume by trainings, a line a method and strategy, with the band over seeds."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
    strategies = dict.fromkeys(strategy for _, strategy in results)
    colours = {name: f"C{i}" for i, name in enumerate(strategies)}
    styles = {"two-level": "-", "whole grid": "-.", "aggressive": ":", "one-level": "--"}
    markers = {"phased": "s", "separate": "D"}
    for (method, strategy), traces in results.items():
        if method in markers:
            ax.plot(
                np.mean([trace.trainings[-1] for trace in traces]), np.mean([trace.quality[-1] for trace in traces]),
                markers[method], color=colours[strategy], label=f"{method}, {strategy}",
            )  # fmt: skip
            continue
        grid = np.unique(np.concatenate([trace.trainings for trace in traces]))
        lines = np.array([_at(trace, grid) for trace in traces])
        ax.plot(grid, lines.mean(axis=0), styles[method], color=colours[strategy], label=f"{method}, {strategy}")
        ax.fill_between(grid, lines.min(axis=0), lines.max(axis=0), color=colours[strategy], alpha=0.12, lw=0)
    ax.axhline(SHARE, color="0.6", lw=0.8)
    ax.set(xscale="log", xlabel="networks trained", ylabel="share of the true hypervolume", ylim=(0, 1.02), title=title)
    ax.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=150)


def _at(trace: Trace, grid: np.ndarray) -> np.ndarray:
    """Quality after that many trainings: of the last batch that had no more."""
    place = np.searchsorted(trace.trainings, grid, side="right") - 1
    return np.where(place >= 0, np.array(trace.quality)[np.maximum(place, 0)], 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("family")
    parser.add_argument("--table", type=Path, help="npz file of published accuracies; of pairs-201-analog the folder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strategies", nargs="+", default=DEFAULT, choices=STRATEGIES.names())
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--generations", type=int, default=24)
    parser.add_argument("--trainings", type=int, default=4)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=Path("results/pairs"))
    options = parser.parse_args()
    definition = benchmark(options.benchmark, options.family)
    fronts = Fronts(definition, definition.table(options.table))
    start = perf_counter()
    true = fronts.true
    print(f"{true.pairs} pairs, {len(true.points)} on the front, {perf_counter() - start:.1f} s", file=sys.stderr)
    effort = Effort(options.generations, options.pairs, options.trainings)
    results: dict[tuple[str, str], list[Trace]] = {}
    for strategy in options.strategies:
        for seed in range(options.seeds):
            for method in options.methods:
                trace = METHODS[method](fronts, SETTINGS.get(strategy, strategy), seed, effort)
                results.setdefault((method, strategy), []).append(trace)
            print(f"{strategy}, seed {seed}: {perf_counter() - start:.0f} s", file=sys.stderr)
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / f"{definition.name}-{definition.family}-v{definition.version}"
    rows = [row(method, strategy, traces) for (method, strategy), traces in results.items()]
    with Path(f"{stem}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    traces_of = {
        f"{method}, {strategy}": [
            {"trainings": trace.trainings, "quality": trace.quality, "inner": trace.inner} for trace in traces
        ]
        for (method, strategy), traces in results.items()
    }
    content = {"pairs": true.pairs, "front": true.points.tolist(), "traces": traces_of}
    Path(f"{stem}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    plot(results, f"{definition.name} v{definition.version}, {definition.family}", Path(f"{stem}.png"))
    for line in rows:
        print("  ".join(str(value) for value in line.values()))


if __name__ == "__main__":
    main()
