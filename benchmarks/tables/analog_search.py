"""AnalogNAS's search in shape against ours: who finds the best cell on phase-change memory in so many evaluations?

    python benchmarks/tables/analog_search.py [--reference FOLDER] [--seeds 20] [--budgets 30 60 120]

Writes `benchmarks/results/analog_search.md`. Every search looks for the published accuracy after a day, trained with
noise, of cells with at most the median number of parameters. An evaluation is one cell looked up, twice the same cell
once; what has too many parameters is known without one, so that it never counts, in any search.

AnalogNAS [Benmeziane et al., arXiv:2305.10459] in shape: boosted trees are fitted once to cells drawn at random, a
population of 50 evolves for 40 generations on what they predict, within the limit of parameters and a predicted loss
over a day of at most 10 points, and the ten best are evaluated. Its own space is one of residual networks, its
predictor XGBoost, and its limit one on a month. Ours learn from every evaluation: strategies of the registry by ask and
tell, sixteen proposals at a time, of which the first four that are new and small enough are evaluated. Scored is by how
much the accuracy of the best cell evaluated is below that of the best there is.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.estimate.analog import analog_table
from codesign.estimate.regressors import fit
from codesign.registry import STRATEGIES
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.space.trained_cells import NOISE_AWARE, TrainedCells
from codesign.store import RunBlobs
from codesign.strategy.base import Problem, Results
from codesign.strategy.model_based import one_hot
from hwmodels.families.none import NO_HARDWARE, NoHardware
from hwmodels.workload.rewrite import prune_dead_branches

F64 = npt.NDArray[np.float64]
RESULT = Path(__file__).parents[1] / "results" / "analog_search.md"
POPULATION, GENERATIONS, VERIFIED, MOST_LOST = 50, 40, 10, 0.10
OURS = {
    "surrogate": {"name": "surrogate", "initial": 12},
    "evolution": {"name": "evolution", "population": 20, "sample": 5},
}


class Task(NamedTuple):
    """Cells trained with noise: accuracy after a minute and after a day, and parameters, by number of the cell."""

    space: TrainedCells
    early: F64
    late: F64
    parameters: F64
    most: float

    def row(self, genotypes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return self.space.number_of(self.space.canonical(genotypes))


def task(reference: Path) -> Task:
    """The published cells."""
    source = analog_table("nasbench201-analog", reference)
    known, ways = source.space.known, source.space.ways
    space = TrainedCells(source.space.cells, epochs={NOISE_AWARE: 400}, images=source.space.images, known=known)
    rows = np.searchsorted(source.table.cells, known * ways + 1)
    early, late, parameters = (np.full(source.space.cells.size, np.nan) for _ in range(3))
    early[known], late[known] = (source.table.validation[rows, 0, 0, column] for column in (0, -1))
    for cell in known.tolist():
        network = prune_dead_branches(space.cells.workload(space.cells.genotype_of(cell)))
        parameters[cell] = network.parameters
    return Task(space, early, late, parameters, float(np.median(parameters[known])))


def analognas(found: Task, budget: int, seed: int) -> F64:
    """Accuracies of what was evaluated and allowed, in order."""
    rng, space = np.random.default_rng(seed), found.space
    seen = _drawn(found, budget - VERIFIED, rng)
    x = one_hot(space.genotypes_of(seen), space.cardinalities)
    late = fit("boosting", x, 1.0 - found.late[seen], seed=seed)
    lost = fit("boosting", x, found.early[seen] - found.late[seen], seed=seed)

    def worth(genotypes: npt.NDArray[np.int64]) -> F64:
        features = one_hot(space.canonical(genotypes), space.cardinalities)
        barred = (lost(features).error > MOST_LOST) | (found.parameters[found.row(genotypes)] > found.most)
        return np.where(barred, np.inf, late(features).error)

    population = space.sample(POPULATION, rng)
    for _ in range(GENERATIONS):
        children = space.mutate(population, rng)
        pool = np.concatenate([population, children])
        _, first = np.unique(found.row(pool), return_index=True)
        pool = pool[np.sort(first)]
        population = pool[np.argsort(worth(pool), kind="stable")[:POPULATION]]
    fresh = [number for number in found.row(population).tolist() if number not in set(seen.tolist())]
    return found.late[np.concatenate([seen, fresh[:VERIFIED]]).astype(np.int64)]


def ours(found: Task, section: Mapping[str, object], budget: int, seed: int) -> F64:
    """The same of a registered strategy."""
    space = found.space
    joint = JointSpace(space, HardwareSpace(NO_HARDWARE, NoHardware(), {}))
    problem = Problem(space, joint, (), lambda points: np.empty((len(points), 0)), None, RunBlobs(), seed)
    strategy = STRATEGIES.parse(dict(section), "strategy").make(problem)
    seen: list[int] = []
    for batch in range(20 * budget):
        if len(seen) >= budget:
            break
        proposal = strategy.ask(16, np.random.default_rng(np.random.SeedSequence([seed, batch])))
        numbers = found.row(proposal.genotypes)
        over = np.maximum(found.parameters[numbers] / found.most - 1.0, 0.0)
        fresh = [n for n in dict.fromkeys(numbers[over == 0].tolist()) if n not in set(seen)]
        seen += fresh[: min(4, budget - len(seen))]
        errors = np.where(np.isin(numbers, seen), 1.0 - found.late[numbers], np.nan)
        strategy.tell(proposal, Results.exact(errors[:, None], over[:, None]))
    return found.late[np.array(seen)]


def at_random(found: Task, budget: int, seed: int) -> F64:
    """Cells drawn one after the other."""
    return found.late[_drawn(found, budget, np.random.default_rng(seed))]


def _drawn(found: Task, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Different cells that are small enough, drawn at random."""
    small = found.space.known[found.parameters[found.space.known] <= found.most]
    return rng.permutation(small)[:count]


def interval(values: F64) -> str:
    half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
    return f"{values.mean():.2f} ± {half:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budgets", type=int, nargs="+", default=[30, 60, 120])
    options = parser.parse_args()
    found = task(Path(options.reference))
    known = found.space.known
    best = float(found.late[known][found.parameters[known] <= found.most].max())
    searches: dict[str, Callable[[int, int], F64]] = {
        "AnalogNAS in shape": lambda budget, seed: analognas(found, budget, seed),
        **{
            name: (lambda budget, seed, section=section: ours(found, section, budget, seed))
            for name, section in OURS.items()
        },
        "random": lambda budget, seed: at_random(found, budget, seed),
    }
    missed = {
        name: np.array([[100 * (best - search(n, s).max()) for s in range(options.seeds)] for n in options.budgets])
        for name, search in searches.items()
    }
    base = missed["AnalogNAS in shape"]
    lines = [
        "# AnalogNAS's search against ours at equal evaluations\n",
        f"Written by `python benchmarks/tables/analog_search.py --seeds {options.seeds} --budgets "
        f"{' '.join(map(str, options.budgets))}`, whose opening says how: {len(known):,} cells, the "
        f"best of at most {found.most:,.0f} parameters reaches {100 * best:.2f} % after a day. Points missed, mean and "
        f"95 % interval over {options.seeds} seeds; in brackets how much less than AnalogNAS in shape, seed by seed.\n",
        "| search | " + " | ".join(f"{n} evaluations" for n in options.budgets) + " |",
        "| --- |" + " --- |" * len(options.budgets),
    ]
    for name, values in missed.items():
        told = [
            interval(row) + ("" if name.startswith("AnalogNAS") else f" ({interval(against - row)})")
            for row, against in zip(values, base, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(told)} |")
    RESULT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
