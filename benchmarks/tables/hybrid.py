"""`hybrid` part by part: base, progressive, multi-objective, hardware-aware, each with and without gradients.

    python benchmarks/tables/hybrid.py [--reference FOLDER] [--seeds 30] [--stage-seeds 8] [--keep FILE.jsonl]

Writes `benchmarks/results/hybrid.md`. Two grounds:

Cells: the published CIFAR-10 accuracies of NAS-Bench-201, read from the reference folder, with costs of a Raspberry Pi
4 and of a T4 at float32. All is looked up. These cells have no stages: everything is open.

Stages: chains of the `progressive` space, trained on noisy digits, with costs of a Raspberry Pi 4. A network is trained
once for all arms and seeds, and kept in the file of `--keep`, with which the script goes on where it was stopped.

On both a strategy proposes a batch, is told errors and costs of all of it, and proposes the next; a network that is
proposed again is paid again. `base` ranks by the error alone; `multi-objective` adds the costs macs and parameters,
which no hardware enters; `hardware-aware` has latency and energy of the device in their place. All are scored alike:
best accuracy, share of the hypervolume of (error, latency, energy) in the box of the front (the true one of cells; of
chains that of all that any arm trained), and the best accuracy within a latency limit, the median latency of that
front; where nothing is within the limit, that of guessing one of ten classes.

`no gradients` has mutants in place of refined points; `model alone` keeps the model and its scalarised worth, but looks
at as many mutants of each start as a climb meets points, so that what is left of the gain is the gradient's.

How good a proposed child is: whether no pair that was known before dominates or equals it, by the run's objectives.
Settings of `hybrid` are its defaults; of those, the share of refined points and the random beginning were chosen on the
shipped table of digits with a Raspberry Pi 4, seeds 100 to 119, nothing on what is reported here. Chains are searched
with few trainings, so that populations and stages are smaller (SMALL), set beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats
from work_file import finished

from codesign.benchmark.score import COMPILED, TrueFront
from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.published_cells import CELLS_FILE
from codesign.estimate.recipe import Recipe
from codesign.estimate.table import read_nasbench201
from codesign.pareto import non_dominated
from codesign.registry import STRATEGIES
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Genotypes
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.space.progressive import ProgressiveSpace
from codesign.strategy.base import Problem, Results, Strategy
from codesign.strategy.hybrid import Hybrid
from codesign.strategy.refinement import Worth
from codesign.testing.strategy import MemoryBlobs
from codesign.two_level.cost_access import PairCostAccess
from hwmodels.catalog import device
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

RESULT = Path(__file__).parents[1] / "results" / "hybrid.md"
FLOAT32 = Precision(32, 32)
DEVICES = ("rpi4", "t4")
SCORED = ("latency_s", "energy_j")
SOFTWARE = ("macs", "parameters")
BUDGETS, BATCH = (50, 100, 200), 10
STAGE_BUDGET, STAGE_BATCH, STAGE_DEVICE = 48, 4, "rpi4"
RECIPE = Recipe(epochs=6, batch_size=50, learning_rate=0.02)  # that of the shipped table of cells of digits
SMALL: Mapping[str, Any] = {"population": 16, "initial": 12, "stage_estimates": 16}
GUESS = 10.0  # percent


class ModelAlone(Hybrid):
    """The model without its gradient: of each start as many mutants are looked at as a climb meets points."""

    def _met(self, starts: Genotypes, weights: F64, worth: Worth, rng: np.random.Generator) -> Genotypes:
        met = super()._met(starts, weights, worth, rng)
        return self._open.mutate(np.tile(starts, (len(met), 1)), rng).reshape(met.shape)


class Arm(NamedTuple):
    """A strategy as the section of a run file, and the costs that its run minimises.

    ascends : false for a `ModelAlone` of these settings.
    """

    section: Mapping[str, Any]
    costs: tuple[str, ...]
    ascends: bool = True

    def make(self, problem: Problem) -> Strategy:
        chosen = STRATEGIES.parse(self.section, "strategy")
        strategy: Strategy = chosen.make(problem) if self.ascends else ModelAlone(problem, chosen.settings)
        return strategy


def hybrid(costs: tuple[str, ...] | None, **settings: Any) -> Arm:
    """An arm of ours; without costs the error alone ranks."""
    return Arm({"name": "hybrid", "multi_objective": costs is not None, **settings}, costs or SCORED)


PLAIN: Mapping[str, Any] = {"refined": 0}
CELL_ARMS: Mapping[str, Arm] = {
    "random": Arm({"name": "random"}, SCORED),
    "evolution": Arm({"name": "evolution"}, SCORED),
    "nsga2": Arm({"name": "nsga2"}, SCORED),
    "base, no gradients": hybrid(None, **PLAIN),
    "base, model alone": hybrid(None)._replace(ascends=False),
    "base": hybrid(None),
    "+ multi-objective, no gradients": hybrid(SOFTWARE, **PLAIN),
    "+ multi-objective": hybrid(SOFTWARE),
    "+ hardware-aware, no gradients": hybrid(SCORED, **PLAIN),
    "+ hardware-aware, model alone": hybrid(SCORED)._replace(ascends=False),
    "+ hardware-aware": hybrid(SCORED),
}
STAGE_ARMS: Mapping[str, Arm] = {
    "random": Arm({"name": "random"}, SCORED),
    "evolution": Arm({"name": "evolution", "population": SMALL["population"]}, SCORED),
    "nsga2": Arm({"name": "nsga2", "population": SMALL["population"]}, SCORED),
    "base": hybrid(None, **SMALL),
    "+ progressive": hybrid(None, **SMALL, progressive=True),
    "+ multi-objective": hybrid(SOFTWARE, **SMALL, progressive=True),
    "+ hardware-aware": hybrid(SCORED, **SMALL, progressive=True),
    "all, but not progressive": hybrid(SCORED, **SMALL),
}
PAIRED = (
    ("base", "base, no gradients"),
    ("base", "base, model alone"),
    ("+ progressive", "base"),
    ("+ multi-objective", "+ progressive"),
    ("+ multi-objective", "base"),
    ("+ multi-objective", "+ multi-objective, no gradients"),
    ("+ hardware-aware", "+ multi-objective"),
    ("+ hardware-aware", "+ hardware-aware, no gradients"),
    ("+ hardware-aware", "+ hardware-aware, model alone"),
    ("+ hardware-aware", "all, but not progressive"),
    ("+ hardware-aware", "random"),
    ("+ hardware-aware", "evolution"),
    ("+ hardware-aware", "nsga2"),
)
"""Gains that are told: of the first over the second, where a ground has both."""


class Ground:
    """Networks on one device. errors : (P,) of canonical genotypes (P, G), all the same however often asked."""

    def __init__(self, networks: ArchitectureSpace, name: str, errors: Callable[[Genotypes], F64]) -> None:
        chip = device(name)
        self.space = JointSpace(networks, HardwareSpace(chip.model, chip.spec, {}))
        self.errors = errors
        self._access = {costs: PairCostAccess(self.space, COMPILED, costs) for costs in (SCORED, SOFTWARE)}
        self._known: dict[tuple[str, ...], dict[bytes, F64]] = {SCORED: {}, SOFTWARE: {}}

    def costs(self, names: tuple[str, ...], points: Genotypes) -> F64:
        """Costs (P, K), each network costed once; NaN of one that is not valid."""
        known, asked = self._known[names], self.space.canonical(points)
        keys = [row.tobytes() for row in asked]
        new = [place for key, place in {key: place for place, key in enumerate(keys)}.items() if key not in known]
        if new:
            known |= {keys[place]: row for place, row in zip(new, self._access[names](asked[new]), strict=True)}
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, len(names)))

    def points(self, genotypes: Genotypes) -> F64:
        """What is scored of networks (P, G): error, latency and energy, (P, 3)."""
        return np.column_stack([self.errors(genotypes), self.costs(SCORED, genotypes)])


class Found(NamedTuple):
    """What a search proposed: genotypes (P, G), scored points (P, 3), kinds (P,) and whether new on its front (P,)."""

    genotypes: Genotypes
    points: F64
    kind: I64
    leads: npt.NDArray[np.bool_]


REFINED, BRED, OTHER = 0, 1, 2


def searched(ground: Ground, arm: Arm, seed: int, budget: int, batch: int) -> Found:
    problem = Problem(
        ground.space, ground.space, arm.costs, lambda points: ground.costs(arm.costs, points), None, MemoryBlobs(), seed
    )
    strategy, rng = arm.make(problem), np.random.default_rng([seed])
    climbs = _watched(strategy)
    alone = arm.section.get("multi_objective") is False
    genotypes, objectives, kinds, leads = [], np.empty((0, 1 if alone else 1 + len(arm.costs))), [], []
    for _ in range(budget // batch):
        proposal = strategy.ask(batch, rng)
        found = np.column_stack([ground.errors(proposal.genotypes), ground.costs(arm.costs, proposal.genotypes)])
        strategy.tell(proposal, Results.exact(found))
        compared = found[:, : objectives.shape[1]]
        leads.append([not (objectives <= row).all(axis=1).any() for row in compared])
        objectives = np.concatenate([objectives, compared])
        parents = np.full(batch, -1) if proposal.parents is None else proposal.parents[:, 0]
        kind = np.where(parents >= 0, BRED, OTHER)
        kind[: climbs.pop() if climbs else 0] = REFINED
        kinds.append(kind)
        genotypes.append(proposal.genotypes)
    points = np.concatenate(genotypes)
    return Found(points, ground.points(points), np.concatenate(kinds), np.concatenate(leads).astype(np.bool_))


def _watched(strategy: Strategy) -> list[int]:
    """A list to which a hybrid adds the number of refined points of each batch, which come first in it."""
    counts: list[int] = []
    if isinstance(strategy, Hybrid):
        refine = strategy._refined

        def watched(count: int, rng: np.random.Generator) -> tuple[Genotypes, Genotypes]:
            points, starts = refine(count, rng)
            counts.append(len(points))
            return points, starts

        strategy._refined = watched  # type: ignore[method-assign]
    return counts


# Scores and their table.


class Judged(NamedTuple):
    """Best accuracy (%), share of the front's hypervolume, and best accuracy within the limit (%)."""

    best: float
    share: float
    within: float


def judged(found: F64, front: TrueFront, limit: float) -> Judged:
    kept = found[:, 1] <= limit
    within = 100 * (1 - found[kept, 0].min()) if kept.any() else GUESS
    return Judged(100 * (1 - found[:, 0].min()), front.quality(found[non_dominated(found)]), within)


def front_of(points: F64) -> tuple[TrueFront, float]:
    """The front of points (P, 3), and the limit: the median of its latencies."""
    kept = points[non_dominated(points)]
    return TrueFront(np.empty((0, 0), np.int64), kept, len(points)), float(np.median(kept[:, 1]))


def interval(values: F64, digits: int) -> str:
    """Mean and half of the 95 % interval (Student)."""
    half = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)) if len(values) > 1 else float("nan")
    return f"{values.mean():.{digits}f} ± {half:.{digits}f}"


DIGITS = (2, 3, 2)
COLUMNS = "best accuracy (%) | share of the hypervolume | best within the limit (%) |"


def score_lines(scores: Mapping[str, Mapping[int, F64]]) -> Iterator[str]:
    """Scores by arm and budget, each (S, 3), and the paired gains at the largest budget."""
    yield f"| arm | networks | {COLUMNS}"
    yield "| --- | --- | --- | --- | --- |"
    for arm, by_budget in scores.items():
        for budget, values in by_budget.items():
            told = " | ".join(interval(values[:, k], DIGITS[k]) for k in range(3))
            yield f"| {arm} | {budget} | {told} |"
    yield ""
    yield f"| gain of | over | networks | {COLUMNS.replace('(%)', '(points)')}"
    yield "| --- | --- | --- | --- | --- | --- |"
    for better, worse in PAIRED:
        if better in scores and worse in scores:
            for budget in scores[better]:
                gain = scores[better][budget] - scores[worse][budget]
                told = " | ".join(interval(gain[:, k], DIGITS[k]) for k in range(3))
                yield f"| {better} | {worse} | {budget} | {told} |"
    yield ""


def child_lines(runs: Mapping[str, Sequence[Found]]) -> Iterator[str]:
    """Shares of children that lead, by kind, over the batches with refined ones, and what gradients gain."""
    yield "| arm | refined (%) | mutants (%) | refined less mutants (points) | seeds |"
    yield "| --- | --- | --- | --- | --- |"
    for arm, found in runs.items():
        shares = []
        for one in found:
            first = np.flatnonzero(one.kind == REFINED)
            behind = np.arange(len(one.kind)) >= (first[0] if first.size else len(one.kind))
            kinds = [behind & (one.kind == kind) for kind in (REFINED, BRED)]
            if all(mask.any() for mask in kinds):
                shares.append([100 * one.leads[mask].mean() for mask in kinds])
        if shares:
            table = np.array(shares)
            gain = interval(table[:, 0] - table[:, 1], 1)
            yield f"| {arm} | {interval(table[:, 0], 1)} | {interval(table[:, 1], 1)} | {gain} | {len(table)} |"
    yield ""


# Cells: all is looked up.


def cells(reference: Path, seeds: int) -> Iterator[str]:
    table = read_nasbench201(reference / CELLS_FILE)
    space = table.space
    networks = space.at(FLOAT32)  # type: ignore[union-attr]
    table = replace(table, space=networks)
    everything = np.stack([networks.genotype_of(int(cell)) for cell in table.cells])
    accuracy = table.accuracy(FLOAT)
    yield f"## Cells of NAS-Bench-201: {len(everything)} networks, {seeds} seeds, batches of {BATCH}\n"
    anywhere: dict[str, list[Found]] = {}
    for name in DEVICES:
        ground = Ground(networks, name, lambda points: 1.0 - accuracy[table.rows(points)])
        front, limit = front_of(ground.points(everything))
        yield f"### {name}: {len(front.points)} networks on the true front, limit {1e3 * limit:.3g} ms\n"
        runs: dict[str, list[Found]] = {}
        for arm, spec in CELL_ARMS.items():
            if arm not in anywhere:
                runs[arm] = [searched(ground, spec, seed, max(BUDGETS), BATCH) for seed in range(seeds)]
                print(f"{name}: {arm}", flush=True)
            else:
                runs[arm] = [one._replace(points=ground.points(one.genotypes)) for one in anywhere[arm]]
            if _is_deviceless(spec):
                anywhere[arm] = runs[arm]
        yield from score_lines(_scores(runs, BUDGETS, front, limit))
        yield from child_lines(runs)


def _is_deviceless(arm: Arm) -> bool:
    """Whether no cost of a device enters: such a search is the same on every device, and only scored anew."""
    return arm.costs == SOFTWARE or arm.section.get("multi_objective") is False or arm.section["name"] == "random"


def _scores(
    runs: Mapping[str, Sequence[Found]], budgets: Sequence[int], front: TrueFront, limit: float
) -> dict[str, dict[int, F64]]:
    return {
        arm: {budget: np.array([judged(one.points[:budget], front, limit) for one in found]) for budget in budgets}
        for arm, found in runs.items()
    }


# Stages: trained once, kept.


class Trained:
    """Errors of chains on noisy digits, each trained once; kept line by line in a file where one is given."""

    def __init__(self, keep: Path | None) -> None:
        from codesign.estimate.estimator import TrainingEstimator

        self.data = load("noisy-digits")
        self.space = ProgressiveSpace(
            3, channels=(4, 8), blocks=2, input_shape=self.data.shape, classes=self.data.classes, precision=FLOAT32
        )
        self.keep, self.estimator = keep, TrainingEstimator(self.data, RECIPE, MemoryWeights())
        self.known: dict[tuple[int, ...], tuple[float, float]] = {}
        if keep is not None:
            lines = finished(keep)
            keep.write_text("".join(json.dumps(line) + "\n" for line in lines))
            self.known = {tuple(line["genotype"]): (line["error"], line["test"]) for line in lines}

    def __call__(self, points: Genotypes) -> F64:
        """Validation errors (P,)."""
        keys = [tuple(row) for row in self.space.canonical(points).tolist()]
        return np.array([self._trained(key)[0] for key in keys])

    def test(self, point: npt.NDArray[np.int64]) -> float:
        """Test accuracy of one network, in percent."""
        return 100 * self._trained(tuple(self.space.canonical(point[None])[0].tolist()))[1]

    def _trained(self, key: tuple[int, ...]) -> tuple[float, float]:
        if key not in self.known:
            estimate = self.estimator(self.space.workload(np.array(key)), FLOAT)
            self.estimator.weights = MemoryWeights()
            self.known[key] = estimate.error, estimate.accuracy_test
            if self.keep is not None:
                line = {"genotype": key, "error": estimate.error, "test": estimate.accuracy_test}
                with self.keep.open("a") as stream:
                    stream.write(json.dumps(line) + "\n")
        return self.known[key]


def stages(keep: Path | None, seeds: int) -> Iterator[str]:
    trained = Trained(keep)
    ground = Ground(trained.space, STAGE_DEVICE, trained)
    runs: dict[str, list[Found]] = {arm: [] for arm in STAGE_ARMS}
    for seed in range(seeds):
        for arm, spec in STAGE_ARMS.items():
            runs[arm].append(searched(ground, spec, seed, STAGE_BUDGET, STAGE_BATCH))
            print(f"stages: seed {seed}: {arm}: {len(trained.known)} networks trained", flush=True)
    everything = np.concatenate([one.points for found in runs.values() for one in found])
    front, limit = front_of(everything)
    yield f"## Chains that open in stages: {seeds} seeds, batches of {STAGE_BATCH}\n"
    yield (
        f"{len(trained.known)} networks trained on {trained.data.name}, {RECIPE.epochs} epochs, one training each; "
        f"{trained.space.size} points in the space. Accuracies are those on validation, which the searches see. "
        f"{STAGE_DEVICE}: limit {1e6 * limit:.3g} µs.\n"
    )
    budgets = (STAGE_BUDGET // 2, STAGE_BUDGET)
    yield from score_lines(_scores(runs, budgets, front, limit))
    yield "| arm | test accuracy of the best on validation (%) |"
    yield "| --- | --- |"
    for arm, found in runs.items():
        best = np.array([trained.test(one.genotypes[one.points[:, 0].argmin()]) for one in found])
        yield f"| {arm} | {interval(best, 2)} |"
    yield ""
    yield from child_lines(runs)


HEAD = """# `hybrid`, part by part

Written by `python benchmarks/tables/hybrid.py`, which says what is compared. Means with half of their 95 % interval
(Student); gains are paired, seed by seed. `refined` and `mutants`: share of the proposed children that nothing known
before dominates or equals, by the objectives of the run, from the first batch with gradients on.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, default=os.environ.get("CODESIGN_REFERENCE"))
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--stage-seeds", type=int, default=8)
    parser.add_argument("--keep", type=Path, help="trainings of chains, a line each")
    parser.add_argument("--part", choices=["cells", "stages", "both"], default="both", help="one part is printed alone")
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.reference is None and options.part != "stages":
        parser.error("--reference or $CODESIGN_REFERENCE: the folder with the published accuracies")
    lines = [HEAD]
    if options.part != "stages":
        lines += cells(Path(options.reference), options.seeds)
    if options.part != "cells":
        lines += stages(options.keep, options.stage_seeds)
    if options.part == "both":
        options.output.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main()
