"""Ways to search a benchmark, each giving a trace of its quality against the number of networks trained.

`two_level` is the loop of `codesign.two_level.loop` with accuracies from the table. `one_level` is the same strategy
without the FAST level: whatever it proposes is trained. `in_turn` finds networks first, on one design or on none, and
their hardware afterwards. Where hardware is optimised for the networks at hand, that is exact.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.benchmark.score import COMPILED, Fronts
from codesign.pareto import non_dominated
from codesign.registry import STRATEGIES
from codesign.space.base import Genotypes, Space
from codesign.space.joint import JointSpace
from codesign.store import RunBlobs, RunStore
from codesign.strategy.base import Problem, Results, Strategy
from codesign.two_level.archive import Archive
from codesign.two_level.budget import Budget
from codesign.two_level.cost_access import PairCostAccess
from codesign.two_level.fast import FastLevel
from codesign.two_level.ledger import Ledger
from codesign.two_level.loop import Search, run_search
from codesign.two_level.slow import SlowLevel
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.spec import numerics_of

__all__ = ["NOTHING_MET", "Effort", "Recall", "StrategySection", "Trace", "in_turn", "one_level", "two_level"]

F64 = npt.NDArray[np.float64]

StrategySection = str | Mapping[str, Any] | Callable[[Problem], Strategy]
"""A registered strategy by name, or with settings, as the section of a run file; or what makes one."""


class Effort(NamedTuple):
    """What a two-level search may spend: batches, pairs and networks a batch, numerics a network and batch."""

    generations: int = 12
    pairs: int = 20_000
    trainings: int = 4
    classes: int = 5
    selection: str = "surrogate"


class Recall(NamedTuple):
    """Pairs of the true front that FAST met, and those of them that it pruned."""

    met: int
    lost: int


NOTHING_MET = Recall(0, 0)


@dataclass(frozen=True)
class Trace:
    """Quality of the best known pairs after each batch: share of the true hypervolume, and regret in accuracy.

    trainings : networks trained so far. inner : the quality after exact hardware search for the networks trained; NaN
    where it was not asked for. starting : of networks first, hardware afterwards: the quality of these networks on the
    design that they were found on; NaN elsewhere. front : pairs on the front of a two-level search at its end (F, G).
    """

    trainings: tuple[int, ...]
    quality: tuple[float, ...]
    inner: tuple[float, ...]
    regret: tuple[float, ...]
    recall: Recall = NOTHING_MET
    ledger: Ledger | None = None
    starting: float = float("nan")
    front: Genotypes | None = None

    def reaches(self, share: float, *, inner: bool = False) -> int | None:
        """Trainings after which the quality was at least `share`; None where it never was."""
        values = self.inner if inner else self.quality
        return next((n for n, value in zip(self.trainings, values, strict=True) if value >= share), None)


def two_level(
    fronts: Fronts,
    strategy: StrategySection,
    seed: int,
    effort: Effort | None = None,
    *,
    aggressive: bool = False,
    whole_grid: bool = False,
    exact_inner: bool = True,
    until: float = np.inf,
    first: Genotypes | None = None,
) -> Trace:
    """FAST and SLOW with one strategy over all pairs, or over networks with every design of the grid for each.

    With the whole grid a batch has as many networks as make `effort.pairs` pairs, and ten networks a training at least.

    Parameters
    ----------
    exact_inner : find the quality after exact hardware search, which takes as long as the search.
    until : quality after which no further batch begins. first : pairs that the first batch proposes in place of the
        strategy, see `codesign.two_level.warm_start`.
    """
    effort = effort or Effort()
    definition = fronts.definition
    search, blobs = _search(
        fronts, fronts.space, strategy, seed, effort, definition.objectives, definition.constraints, aggressive
    )
    if whole_grid:
        fast = FastLevel(
            fronts.space,
            COMPILED,
            objectives=definition.objectives,
            constraints=definition.constraints,
            hardware="front",
            aggressive=aggressive,
        )
        pairs = max(effort.pairs, 10 * effort.trainings * fronts.space.hardware.size)
        networks_only = _strategy(
            strategy, fronts, fast.proposal_space, fronts.space, definition.objectives, seed, blobs
        )
        search = replace(search, fast=fast, strategy=networks_only, budget=replace(search.budget, pairs=pairs))
    search = replace(search, first=first)
    with tempfile.TemporaryDirectory() as folder:
        blobs.store = store = RunStore.create(Path(folder) / "run", {})
        _search_until(fronts, search, store, until)
        ledgers = [generation.ledger for generation in store.generations()]
        recall = _recall(fronts, search, store)
        store.close()
    trainings, quality, inner, regret = [], [], [], []
    known: list[tuple[int, ...]] = []
    networks: set[tuple[int, ...]] = set()
    trained = 0
    for generation, ledger in enumerate(ledgers):
        fresh = [member for member in search.archive.members if member.generation == generation]
        known += [member.genotype for member in fresh]
        networks |= {search.archive.class_of(member).architecture for member in fresh}
        points = search.archive.points([m for m in search.archive.members if m.generation <= generation])
        trained += ledger.trained
        trainings.append(trained)
        quality.append(fronts.true.quality(points))
        regret.append(fronts.true.regret(points))
        after = fronts.of(networks).points if networks and exact_inner else points[:0]
        inner.append(fronts.true.quality(after) if exact_inner else np.nan)
    front = np.array([member.genotype for member in search.archive.front()], np.int64)
    return Trace(
        tuple(trainings), tuple(quality), tuple(inner), tuple(regret), recall, Ledger.total(ledgers),
        front=front.reshape(-1, fronts.space.n_genes),
    )  # fmt: skip


def _search_until(fronts: Fronts, search: Search, store: RunStore, until: float) -> None:
    """Run a search, one generation at a time where a quality is enough: a resumed run equals one that was not."""
    if until == np.inf:
        run_search(search, store)
        return
    for generations in range(1, search.budget.generations + 1):
        run_search(replace(search, budget=replace(search.budget, generations=generations)), store)
        if fronts.true.quality(search.archive.points(search.archive.front())) >= until:
            break


def one_level(
    fronts: Fronts,
    strategy: StrategySection,
    seed: int,
    *,
    trainings: int,
    batch: int = 4,
    proposals: int | None = None,
    until: float = np.inf,
) -> Trace:
    """The strategy alone: every connected network that it proposes is trained, whatever it costs.

    Parameters
    ----------
    proposals : pairs that are proposed at most, twenty a training by default. until : quality that is enough.
    """
    space, definition, table = fronts.space, fronts.definition, fronts.table
    sampler = _strategy(strategy, fronts, space, space, definition.objectives, seed, RunBlobs())
    seen: set[int] = set()
    points = np.empty((0, 1 + len(definition.objectives)))
    done: list[int] = []
    quality: list[float] = []
    regret: list[float] = []
    n_batches = 0
    most = 20 * trainings if proposals is None else proposals
    while len(seen) < trainings and n_batches < most // batch and max(quality, default=0.0) < until:
        proposal = sampler.ask(batch, np.random.default_rng(np.random.SeedSequence([seed, n_batches])))
        found, violation = _evaluated(space, fronts, proposal.genotypes)
        sampler.tell(proposal, Results.exact(found, violation))
        rows = table.rows(space.split(proposal.genotypes)[0])
        seen |= set(rows[rows >= 0].tolist())
        points = np.concatenate([points, found[(violation.sum(axis=1) == 0) & ~np.isnan(found[:, 0])]])
        points = points[non_dominated(points)] if len(points) else points
        n_batches += 1
        done.append(len(seen))
        quality.append(fronts.true.quality(points))
        regret.append(fronts.true.regret(points))
    return Trace(tuple(done), tuple(quality), (float("nan"),) * len(done), tuple(regret))


def in_turn(
    fronts: Fronts,
    kind: Literal["phased", "separate"],
    strategy: StrategySection,
    seed: int,
    effort: Effort | None = None,
) -> Trace:
    """Networks first, hardware afterwards, for the networks of the first front.

    phased : networks are found on the starting design, by its costs and limits. separate : without hardware, by their
    MACs. Then each is given every design of the grid.
    """
    effort, definition = effort or Effort(), fronts.definition
    space = definition.software_space(fronts.table)
    objectives = definition.objectives[:1] if kind == "phased" else ("macs",)
    limits = definition.constraints if kind == "phased" else {}
    search, blobs = _search(fronts, space, strategy, seed, effort, objectives, limits, False)
    with tempfile.TemporaryDirectory() as folder:
        blobs.store = store = RunStore.create(Path(folder) / "run", {})
        ledger = run_search(search, store).ledger
        store.close()
    networks = {search.archive.class_of(member).architecture for member in search.archive.front()}
    found = fronts.of(networks).points if networks else np.empty((0, 1 + len(definition.objectives)))
    share, regret = fronts.true.quality(found), fronts.true.regret(found)
    starting = fronts.true.quality(_on_one_design(fronts, space, networks))
    return Trace((ledger.trained,), (share,), (share,), (regret,), ledger=ledger, starting=starting)


def _on_one_design(fronts: Fronts, space: JointSpace, networks: set[tuple[int, ...]]) -> F64:
    """Objectives (P, 1 + K) of networks on the only design of a space, as far as they keep the limits there."""
    if not networks:
        return np.empty((0, 1 + len(fronts.definition.objectives)))
    pairs = np.array(sorted(networks), np.int64)
    found, violation = _evaluated(space, fronts, pairs)
    kept: F64 = found[(violation.sum(axis=1) == 0) & ~np.isnan(found[:, 0])]
    return kept


def _search(
    fronts: Fronts,
    space: JointSpace,
    strategy: StrategySection,
    seed: int,
    effort: Effort,
    objectives: tuple[str, ...],
    constraints: Mapping[str, float],
    aggressive: bool,
) -> tuple[Search, RunBlobs]:
    """A search whose accuracies come from the table, and its blobs, which wait for a store."""
    blobs = RunBlobs()
    search = Search(
        space=space,
        strategy=_strategy(strategy, fronts, space, space, objectives, seed, blobs),
        fast=FastLevel(space, COMPILED, objectives=objectives, constraints=constraints, aggressive=aggressive),
        slow=SlowLevel(space.architecture, fronts.table, fidelity=1.0, seed=seed),
        archive=Archive(space, objectives),
        budget=Budget(
            generations=effort.generations,
            pairs=effort.pairs,
            trainings=effort.trainings,
            classes=effort.classes,
            audits=2 if aggressive else 0,
            selection=effort.selection,
        ),
        seed=seed,
    )
    return search, blobs


def _strategy(
    section: StrategySection,
    fronts: Fronts,
    space: Space,
    joint: JointSpace,
    objectives: tuple[str, ...],
    seed: int,
    blobs: RunBlobs,
) -> Strategy:
    """A registered strategy over pairs, or over networks alone."""
    costs = PairCostAccess(joint, COMPILED, objectives)
    problem = Problem(space, joint, objectives, costs, None, blobs, seed)
    if isinstance(section, str | Mapping):
        strategy: Strategy = STRATEGIES.parse(section, "strategy").make(problem)
        return strategy
    return section(problem)


def _recall(fronts: Fronts, search: Search, store: RunStore) -> Recall:
    """What became of the pairs of the true front that FAST saw; a duplicate has a copy that stays."""
    genes = [f"gene_{i}" for i in range(fronts.space.n_genes)]
    columns = store.read_fast([*genes, "reason"])
    genotypes = np.stack([columns[name] for name in genes], axis=1).astype(np.int64)
    counted = columns["reason"] != search.fast.reasons["duplicate"]
    on_front = fronts.true.holds(genotypes[counted])
    return Recall(int(on_front.sum()), int((on_front & (columns["reason"][counted] != 0)).sum()))


def _evaluated(space: JointSpace, fronts: Fronts, genotypes: Genotypes) -> tuple[F64, F64]:
    """Objectives (P, 1 + K) and violations of all proposals; NaN for a cell that is not connected."""
    definition, table = fronts.definition, fronts.table
    costed = space.canonical(genotypes)
    networks, devices = space.split(costed)
    rows = table.rows(networks)
    objectives = np.full((len(genotypes), 1 + len(definition.objectives)), np.nan)
    violation = np.zeros((len(genotypes), len(definition.constraints) + 1))
    valid = np.flatnonzero((rows >= 0) & space.valid(costed))
    if not valid.size:
        return objectives, violation
    lowered, place = space.architecture.lower(networks[valid], COMPILED)
    configs = space.hardware.table(devices[valid])
    costs = evaluate_pairs(space.hardware.model, lowered, configs, network=place, config=np.arange(valid.size))
    for k, (name, limit) in enumerate(definition.constraints.items()):
        violation[valid, k] = np.maximum(costs.columns[name] / limit - 1.0, 0.0)
    violation[valid, -1] = costs.infeasible > 0
    kinds, kind = np.unique(space.hardware.numerics(devices[valid]), axis=0, return_inverse=True)
    columns = np.array([table.column(numerics_of(numerics)) for numerics in kinds])[kind.reshape(-1)]
    objectives[valid, 0] = 1.0 - table.validation[rows[valid], :, 0, columns].mean(axis=1)
    for k, name in enumerate(definition.objectives):
        objectives[valid, 1 + k] = costs.columns[name]
    return objectives, violation
