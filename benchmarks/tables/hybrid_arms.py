"""How `hybrid.py` searches and scores: arms on networks with errors and costs, their scores, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from codesign.benchmark.score import COMPILED, TrueFront
from codesign.pareto import non_dominated
from codesign.registry import STRATEGIES
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Genotypes
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.strategy.base import Problem, Results, Strategy
from codesign.strategy.hybrid import Hybrid
from codesign.strategy.refinement import Worth
from codesign.testing.strategy import MemoryBlobs
from codesign.two_level.cost_access import PairCostAccess
from hwmodels.catalog import device

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

SCORED = ("latency_s", "energy_j")
SOFTWARE = ("macs", "parameters")
GUESS = 10.0  # percent
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
    ("+ hardware-aware", "random"),
    ("+ hardware-aware", "evolution"),
    ("+ hardware-aware", "nsga2"),
)
"""Gains that are told: of the first over the second, where a ground has both."""


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


def scores_of(
    runs: Mapping[str, Sequence[Found]], budgets: Sequence[int], front: TrueFront, limit: float
) -> dict[str, dict[int, F64]]:
    return {
        arm: {budget: np.array([judged(one.points[:budget], front, limit) for one in found]) for budget in budgets}
        for arm, found in runs.items()
    }
