"""How many trainings it takes to know the front: ours, the same strategies without FAST, and Optuna, side by side.

    python benchmarks/tables/trainings.py pairs-digits crossbar [--seeds 20] [--methods ...]
    python benchmarks/tables/trainings.py pairs-201 spatial --table nb201_arch.npz

A search is over when the pairs that it knows have SHARE of the true hypervolume (`codesign.benchmark.score`: costs by
logarithm, reference point 1.1 of the front's box); counted are the networks that were asked for, each once, whatever
hardware it was asked on. Ways to search (`METHODS`):

  whole grid, STRATEGY   FAST looks at every design of the grid for each of NETWORKS proposed networks a generation,
                         SLOW trains the chosen ones
  two-level, STRATEGY    FAST looks at PAIRS pairs a generation
  one-level, STRATEGY    the same strategy without FAST: what it proposes is trained
  optuna, SAMPLER        samplers of Optuna (extra `optuna`) on the same space, one trial at a time, every gene a
                         categorical parameter, costs by logarithm, limits as Optuna's constraints

Ours train TRAININGS networks a generation, so that their counts are multiples of it. A search that is not over after
its largest number of trainings or trials counts with that number: its mean, and every ratio to it, is a least value,
and `reached` says how many seeds were over.

The model and the worth of a network (`codesign.two_level.select`) were chosen and tuned on pairs-digits with a
crossbar, CPUs, FPGAs and GPUs, and on pairs-201 with a crossbar. Both spatial arrays were seen before the Gaussian
process and its settings were chosen, not after; no other family of pairs-201 was.

Writes `benchmarks/results/trainings.json`, every count by seed with the versions that made it, and from it
`trainings.csv`: mean and its 95 % interval (Student), median, and the ratio of means to the first method with the
interval of 10,000 bootstrap draws over seeds. A benchmark that is run again takes the place of its old entries.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.benchmark.compare import Effort, one_level, two_level
from codesign.benchmark.definition import PairsBenchmark, benchmark
from codesign.benchmark.score import Fronts
from codesign.estimate.published_cells import CELLS_FILE
from codesign.strategy.base import Problem, Proposal, Results, State

RESULTS = Path(__file__).parents[1] / "results"
SHARE = 0.95
GENERATIONS, TRAININGS, PAIRS, NETWORKS = 30, 4, 10_000, 400
TRIALS = 2_400
"""Pairs that a search without FAST may propose, unless --trials says another number."""
DRAWS = 10_000  # of the bootstrap

F64 = npt.NDArray[np.float64]


class OptunaSampler:
    """A sampler of Optuna behind ask and tell; a trial is a pair."""

    def __init__(self, problem: Problem, sampler: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self._optuna = problem.space, optuna
        chosen = optuna.samplers.NSGAIISampler if sampler == "nsga2" else optuna.samplers.TPESampler
        settings = {} if sampler == "nsga2" else {"multivariate": True}
        self._study = optuna.create_study(
            directions=["minimize"] * (1 + len(problem.objectives)), sampler=chosen(seed=problem.seed, **settings)
        )
        self._choices = {
            str(i): optuna.distributions.CategoricalDistribution(list(range(len(gene.choices))))
            for i, gene in enumerate(self.space.genes)
        }
        self._trials: list[Any] = []

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        """The study's next trials; its sampler has a generator of its own."""
        self._trials = [self._study.ask(self._choices) for _ in range(n)]
        return Proposal.full(np.array([list(trial.params.values()) for trial in self._trials], np.int64))

    def tell(self, proposal: Proposal, results: Results) -> None:
        rows = np.column_stack([results.error, np.log(np.where(results.costs > 0, results.costs, np.nan))])
        for trial, values, violation in zip(self._trials, rows, results.violation, strict=True):
            if np.isfinite(values).all():
                for k, excess in enumerate(violation.tolist()):
                    trial.set_constraint(str(k), excess)
                self._study.tell(trial, values.tolist())
            else:
                self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def state(self) -> State:
        return {}

    def restore(self, state: State) -> None:
        return None


class Count(NamedTuple):
    """Trainings until the share was reached, or spent without."""

    trainings: int
    reached: bool


Method = Callable[[Fronts, int, int], Count]
"""(benchmark, seed, pairs that may be proposed without FAST) -> what it took."""


def ours(strategy: Mapping[str, Any], *, whole_grid: bool) -> Method:
    def counted(fronts: Fronts, seed: int, trials: int) -> Count:
        pairs = NETWORKS * fronts.definition.designs if whole_grid else PAIRS
        effort = Effort(GENERATIONS, pairs, TRAININGS)
        trace = two_level(fronts, strategy, seed, effort, whole_grid=whole_grid, exact_inner=False, until=SHARE)
        found = trace.reaches(SHARE)
        return Count(trace.trainings[-1] if found is None else found, found is not None)

    return counted


def without_fast(strategy: Any, *, batch: int = TRAININGS) -> Method:
    def counted(fronts: Fronts, seed: int, trials: int) -> Count:
        trace = one_level(fronts, strategy, seed, trainings=trials, batch=batch, proposals=trials, until=SHARE)
        found = trace.reaches(SHARE)
        return Count(trace.trainings[-1] if found is None else found, found is not None)

    return counted


_EVOLUTION = {"name": "evolution", "population": 100}
_NSGA2 = {"name": "nsga2"}
METHODS: Mapping[str, Method] = {
    "whole grid, evolution": ours(_EVOLUTION, whole_grid=True),
    "whole grid, nsga2": ours(_NSGA2, whole_grid=True),
    "two-level, evolution": ours(_EVOLUTION, whole_grid=False),
    "two-level, nsga2": ours(_NSGA2, whole_grid=False),
    "one-level, evolution": without_fast(_EVOLUTION),
    "one-level, nsga2": without_fast(_NSGA2),
    "optuna, nsga2": without_fast(partial(OptunaSampler, sampler="nsga2"), batch=1),
    "optuna, multivariate tpe": without_fast(partial(OptunaSampler, sampler="tpe"), batch=1),
}


def rows_of(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines of the table from the stored counts; the first method of a benchmark is what ratios are to."""
    firsts: dict[str, F64] = {}
    for name, entry in entries.items():
        place, _, method = name.partition(": ")
        counts: F64 = np.array(entry["trainings"], np.float64)
        first = firsts.setdefault(place, counts)
        half = float(stats.sem(counts) * stats.t.ppf(0.975, len(counts) - 1)) if len(counts) > 1 else float("nan")
        low, high = ratio_interval(counts, first)
        yield {
            "benchmark": place,
            "method": method,
            "seeds": len(counts),
            "trials": "" if method.startswith(("whole", "two")) else entry["effort"]["trials"],
            "reached": sum(entry["reached"]),
            "trainings_to_95": f"{counts.mean():.1f}",
            "interval_95": f"{half:.1f}",
            "median": f"{np.median(counts):.0f}",
            "ratio_to_first": f"{counts.mean() / first.mean():.1f}",
            "ratio_low_95": f"{low:.1f}",
            "ratio_high_95": f"{high:.1f}",
        }


def ratio_interval(counts: F64, first: F64) -> tuple[float, float]:
    """What holds 95 % of the ratios of means over bootstrap draws of the seeds of both."""
    rng = np.random.default_rng(0)
    means = [rng.choice(values, (DRAWS, len(values))).mean(axis=1) for values in (counts, first)]
    low, high = np.percentile(means[0] / means[1], [2.5, 97.5])
    return float(low), float(high)


def in_order(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Entries by benchmark, then in the order of the methods."""
    methods = list(METHODS)

    def place(name: str) -> tuple[str, int]:
        where, _, method = name.partition(": ")
        return where, methods.index(method)

    return {name: entries[name] for name in sorted(entries, key=place)}


def table_of(definition: PairsBenchmark, path: Path | None) -> Fronts:
    reference = os.environ.get("CODESIGN_REFERENCE")
    if path is None and definition.published and reference:
        path = Path(reference) / CELLS_FILE
    return Fronts(definition, definition.table(path))


def versions() -> dict[str, str]:
    found = {}
    for name in ("codesign", "numpy", "scikit-learn", "pymoo", "optuna"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def entry_of(counts: Sequence[Count], trials: int) -> dict[str, Any]:
    """What is stored of one method on one benchmark."""
    return {
        "trainings": [count.trainings for count in counts],
        "reached": [count.reached for count in counts],
        "share": SHARE,
        "effort": {
            "generations": GENERATIONS,
            "trainings": TRAININGS,
            "pairs": PAIRS,
            "networks": NETWORKS,
            "trials": trials,
        },
        "versions": versions(),
    }


def write(stored: Path, entries: Mapping[str, Any]) -> None:
    stored.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    rows = list(rows_of(entries))
    with stored.with_suffix(".csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark")
    parser.add_argument("family")
    parser.add_argument("--table", type=Path, help="npz file of published accuracies, for pairs-201")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=TRIALS, help="pairs that a search without FAST may propose")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    definition = benchmark(options.benchmark, options.family)
    fronts = table_of(definition, options.table)
    place = f"{definition.name} {definition.family} v{definition.version}"
    options.output.mkdir(parents=True, exist_ok=True)
    stored = options.output / "trainings.json"
    for method in options.methods:
        start = perf_counter()
        counts = []
        for seed in range(options.seeds):  # each is kept at once: a table that is stopped has what it has
            counts.append(METHODS[method](fronts, seed, options.trials))
            entries = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
            entries[f"{place}: {method}"] = entry_of(counts, options.trials)
            write(stored, in_order(entries))
        print(f"{place}: {method}: {perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    for row in rows_of(json.loads(stored.read_text(encoding="utf-8"))):
        if row["benchmark"] == place:
            print("  ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
