"""Search strategies on one protocol: accuracy alone on NAS-Bench-201, one network at a time.

    python benchmarks/tables/strategies.py [--reference FOLDER] [--seeds 200] [--strategies random ...]

Writes `benchmarks/results/strategies.csv`: strategy, data, budget, seeds, mean, deviation and standard error of the
best accuracy found, and the recorded figure. All accuracies are the published mean of CIFAR-10 test accuracy after 200
epochs, read from the reference folder: strategies are compared by them, nothing is claimed of generalisation. A
strategy proposes one network, learns its accuracy and proposes the next; a network that is proposed again is paid
again. The best of a run is known without noise: the signal is what is scored.

RECORDED are means and deviations over 200 seeds of searches on the same table by code that is not this one. Whether
they pay for a network that is proposed again is not recorded: ours pay, and beside the figures of local search stand
both a climb that does not propose a point again (`points`) and one that does (`none`). They draw from all 15,625 cells,
ours from the 15,284 that are connected, and here a cell that equals another one is looked up as that one, which the
default climb of local search knows.

`strategies_fronts.csv` compares NSGA-II and NSGA-III with those of pymoo on ZDT and DTLZ at equal evaluations, each
variable on a grid of LEVELS values: the hypervolume of the last population, ours less pymoo's over the same seeds with
the 95 % interval (Welch). Both stand there twice: with the operators of our spaces (uniform crossover, a uniform new
value), which are those for kinds, and with `operators: ordered` against pymoo as it comes (simulated binary crossover,
polynomial mutation, rounded). `--fronts-only` writes this table alone.

`strategies_paired.csv` has the gain over random search at 100 networks, seed by seed, with its 95 % interval (Student).
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import comb
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.estimate.published_cells import CELLS_FILE
from codesign.estimate.table import AccuracyTable, read_nasbench201
from codesign.pareto import hypervolume
from codesign.registry import STRATEGIES
from codesign.space.base import Gene, Genotypes, Space
from codesign.strategy.base import Problem, Results
from codesign.strategy.nsga2 import NSGA2, Operators
from codesign.strategy.nsga3 import NSGA3, divisions_for
from codesign.testing.strategy import MemoryBlobs
from hwmodels.numerics import FLOAT

F64 = npt.NDArray[np.float64]

RESULTS = Path(__file__).parents[1] / "results"
BUDGETS = (50, 100, 150, 300)
PAIRED = 100
BASELINE = "random"

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "random": {"name": "random"},
    "grid": {"name": "grid"},
    "latin_hypercube": {"name": "latin_hypercube"},
    "local_search": {"name": "local_search"},
    "local_search, points": {"name": "local_search", "memory": "points"},
    "local_search, none": {"name": "local_search", "memory": "none"},
    "regularised_evolution": {
        "name": "regularised_evolution", "population": 10, "sample": 5, "immigrants": 0.0, "mutation": "one",
        "fill_first": True,
    },
    "evolution, defaults": {"name": "evolution"},
    "bayesian": {"name": "bayesian"},
    "bayesian, botorch": {"name": "bayesian", "process": "botorch"},
    "reinforce": {"name": "reinforce"},
    "surrogate, forest": {"name": "surrogate", "model": "forest"},
}  # fmt: skip
"""Rows of the table: a strategy as the section of a run file."""

LONGEST: Mapping[str, int] = {"bayesian": 100, "bayesian, botorch": 100, "surrogate, forest": 100}
"""Networks of a search that takes long, where these are fewer than --budget."""
FEWER_SEEDS: Mapping[str, int] = {"bayesian, botorch": 20, "surrogate, forest": 20}
"""Seeds of a search that takes long, where these are fewer than --seeds."""

RECORDED: Mapping[str, tuple[tuple[float, float], ...]] = {
    "random": ((93.69, 0.27), (93.84, 0.23), (93.94, 0.20), (94.05, 0.18)),
    "regularised_evolution": ((93.96, 0.32), (94.24, 0.17), (94.31, 0.13), (94.37, 0.03)),
    "local_search, points": ((93.71, 0.49), (94.19, 0.30), (94.30, 0.15), (94.37, 0.02)),
    "local_search, none": ((93.71, 0.49), (94.19, 0.30), (94.30, 0.15), (94.37, 0.02)),
}
"""Percent, mean and deviation over 200 seeds at each of BUDGETS."""


def searched(table: AccuracyTable, section: Mapping[str, Any], seed: int, budget: int) -> F64:
    """Best accuracy after each of `budget` networks, in percent, (budget,)."""
    space: Any = table.space
    problem = Problem(space, space, (), lambda points: np.empty((len(points), 0)), None, MemoryBlobs(), seed)
    strategy, rng = STRATEGIES.parse(section, "strategy").make(problem), np.random.default_rng([seed])
    errors = 1.0 - table.accuracy(FLOAT)
    found = np.empty(budget)
    for i in range(budget):
        proposal = strategy.ask(1, rng)
        error = errors[table.rows(proposal.genotypes)]
        strategy.tell(proposal, Results.exact(error[:, None]))
        found[i] = 100 * (1 - error[0])
    best: F64 = np.maximum.accumulate(found)
    return best


def rows_of(name: str, data: str, best: F64) -> list[dict[str, Any]]:
    """Lines of one strategy from its runs (seeds, budget)."""
    rows = []
    for budget, recorded in zip(BUDGETS, RECORDED.get(name, ((np.nan, np.nan),) * len(BUDGETS)), strict=True):
        if budget > best.shape[1]:
            continue
        values = best[:, budget - 1]
        there = not np.isnan(recorded[0]) and data == "cifar10"
        rows.append(
            {
                "strategy": name,
                "data": f"nasbench201 {data}",
                "budget": budget,
                "seeds": len(values),
                "mean_percent": f"{values.mean():.3f}",
                "deviation_points": f"{values.std(ddof=1):.3f}",
                "standard_error_points": f"{stats.sem(values):.3f}",
                "recorded_percent": f"{recorded[0]:.2f}" if there else "",
                "recorded_deviation_points": f"{recorded[1]:.2f}" if there else "",
                "difference_points": f"{values.mean() - recorded[0]:+.3f}" if there else "",
            }
        )
    return rows


def paired(name: str, data: str, best: F64, baseline: F64) -> dict[str, Any]:
    """The gain over the baseline at PAIRED networks, on the seeds that both have."""
    count = min(len(best), len(baseline))
    gain = best[:count, PAIRED - 1] - baseline[:count, PAIRED - 1]
    half = float(stats.sem(gain) * stats.t.ppf(0.975, count - 1))
    return {
        "strategy": name,
        "data": f"nasbench201 {data}",
        "budget": PAIRED,
        "seeds": count,
        "gain_over_random_points": f"{gain.mean():.3f}",
        "low_95": f"{gain.mean() - half:.3f}",
        "high_95": f"{gain.mean() + half:.3f}",
    }


# Fronts: survival and selection against pymoo's.

LEVELS, POPULATION, GENERATIONS = 101, 100, 100
FRONTS: Mapping[str, tuple[int, int]] = {
    "zdt1": (30, 2), "zdt2": (30, 2), "zdt3": (30, 2), "dtlz2": (12, 3), "dtlz7": (22, 3),
}  # fmt: skip
"""pymoo's problems with the numbers of variables and objectives."""


def grid_problem(name: str) -> tuple[Space, Callable[[Genotypes], F64], F64]:
    """A problem on a grid: its space, objectives of points (P, O), and the reference point of its hypervolume."""
    from pymoo.problems import get_problem

    variables, count = FRONTS[name]
    sizes = {"n_var": variables, **({"n_obj": count} if name.startswith("dtlz") else {})}
    problem = get_problem(name, **sizes)
    space = Space([Gene(str(i), tuple(range(LEVELS))) for i in range(variables)])
    worst = problem.pareto_front() if count == 2 else np.array([[1.0, 1.0, 1.0 if name == "dtlz2" else 6.0]])
    return space, lambda points: problem.evaluate(points / (LEVELS - 1)), np.asarray(worst).max(axis=0) + 0.1


def ours_on(kind: type[NSGA2], name: str, seed: int, operators: Operators) -> float:
    """Hypervolume of the last population of ours."""
    space, objectives, reference = grid_problem(name)
    size = pymoo_population(kind, name)
    strategy, rng = kind(space, population=size, immigrants=0.0, operators=operators), np.random.default_rng(seed)
    for _ in range(GENERATIONS):
        proposal = strategy.ask(size, rng)
        strategy.tell(proposal, Results.exact(objectives(proposal.genotypes)))
    return hypervolume(strategy.state()["objectives"], reference)


def pymoo_population(kind: type[NSGA2], name: str) -> int:
    """POPULATION, or as many as there are directions where these are fewer."""
    count = FRONTS[name][1]
    return comb(count - 1 + divisions_for(count, POPULATION), count - 1) if kind is NSGA3 else POPULATION


def pymoo_on(kind: type[NSGA2], name: str, seed: int, *, ordered: bool) -> float:
    """Hypervolume of the last population of pymoo's; `ordered` with its own operators."""
    from pymoo.algorithms.moo.nsga2 import NSGA2 as Theirs2
    from pymoo.algorithms.moo.nsga3 import NSGA3 as Theirs3
    from pymoo.core.mutation import Mutation
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.crossover.ux import UniformCrossover
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling
    from pymoo.optimize import minimize
    from pymoo.util.ref_dirs import get_reference_directions

    space, objectives, reference = grid_problem(name)
    count, size = FRONTS[name][1], pymoo_population(kind, name)

    class OnGrid(PymooProblem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(n_var=space.n_genes, n_obj=count, xl=0, xu=LEVELS - 1, vtype=int)

        def _evaluate(self, x: Any, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            out["F"] = objectives(x)

    class NewValues(Mutation):  # type: ignore[misc]
        """The mutation of a space."""

        def _do(self, problem: Any, x: Any, *args: Any, random_state: Any = None, **kwargs: Any) -> Any:
            return space.mutate(x.astype(np.int64), random_state)

    parts: dict[str, Any] = {"pop_size": size, "sampling": IntegerRandomSampling()}
    if ordered:
        parts["crossover"] = SBX(prob=0.9, eta=15, vtype=float, repair=RoundingRepair())
        parts["mutation"] = PM(eta=20, vtype=float, repair=RoundingRepair())
    else:
        parts |= {"crossover": UniformCrossover(prob=0.9), "mutation": NewValues(prob=1.0)}
    if kind is NSGA3:
        parts["ref_dirs"] = get_reference_directions("das-dennis", count, n_partitions=divisions_for(count, POPULATION))
    found = minimize(OnGrid(), (Theirs3 if kind is NSGA3 else Theirs2)(**parts), ("n_gen", GENERATIONS), seed=seed)
    return hypervolume(np.atleast_2d(found.pop.get("F")), reference)


def fronts(seeds: int) -> Iterator[dict[str, Any]]:
    """Lines of the comparison with pymoo."""
    for strategy, kind in (("nsga2", NSGA2), ("nsga3", NSGA3)):
        for name in FRONTS:
            for ordered, operators in ((False, "space"), (True, "ordered")):
                mine: Operators = "ordered" if ordered else "space"
                ours = np.array([ours_on(kind, name, seed, mine) for seed in range(seeds)])
                theirs = np.array([pymoo_on(kind, name, seed, ordered=ordered) for seed in range(seeds)])
                gap = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
                yield {
                    "strategy": strategy,
                    "problem": name,
                    "evaluations": GENERATIONS * pymoo_population(kind, name),
                    "seeds": seeds,
                    "hypervolume": f"{ours.mean():.4f}",
                    "operators": operators,
                    "pymoo_hypervolume": f"{theirs.mean():.4f}",
                    "difference": f"{ours.mean() - theirs.mean():+.4f}",
                    "low_95": f"{gap.low:+.4f}",
                    "high_95": f"{gap.high:+.4f}",
                }


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--strategies", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--data", default="cifar10", choices=["cifar10", "cifar100"])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--budget", type=int, default=max(BUDGETS))
    parser.add_argument("--front-seeds", type=int, default=20, help="0: without the comparison with pymoo")
    parser.add_argument("--fronts-only", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.fronts_only:
        compared = list(fronts(options.front_seeds))
        write(options.output / "strategies_fronts.csv", compared)
        for row in compared:
            print("  ".join(str(value) for value in row.values()))
        return
    if options.reference is None:
        parser.error("--reference or $CODESIGN_REFERENCE: the folder with the published accuracies")
    table = read_nasbench201(Path(options.reference) / CELLS_FILE, options.data)
    runs: dict[str, F64] = {}
    for name in dict.fromkeys([BASELINE, *options.strategies]):
        start, budget = perf_counter(), min(options.budget, LONGEST.get(name, options.budget))
        seeds = range(min(options.seeds, FEWER_SEEDS.get(name, options.seeds)))
        runs[name] = np.array([searched(table, SETTINGS[name], seed, budget) for seed in seeds])
        print(f"{name}: {perf_counter() - start:.0f} s")
    options.output.mkdir(parents=True, exist_ok=True)
    table_rows = [row for name, best in runs.items() for row in rows_of(name, options.data, best)]
    write(options.output / "strategies.csv", table_rows)
    gains = [paired(name, options.data, best, runs[BASELINE]) for name, best in runs.items() if name != BASELINE]
    if gains:
        write(options.output / "strategies_paired.csv", gains)
    compared = list(fronts(options.front_seeds)) if options.front_seeds > 1 else []
    if compared:
        write(options.output / "strategies_fronts.csv", compared)
    for row in (*table_rows, *gains, *compared):
        print("  ".join(str(value) for value in row.values()))


if __name__ == "__main__":
    main()
