"""The two-level co-design loop [Jiang et al., TCAD 2020], readable top to bottom.

FAST: the strategy proposes pairs of network and hardware; their cost decides which are dropped, without training.
SLOW: the promising survivors are trained, their error under that hardware's numerics is estimated, and all of it is
told to the strategy, which proposes the next pairs.

Everything a generation does follows from (configuration, seed, state after the last generation), so a run that is
killed and resumed ends with the same archive as one that was not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.run_rows import TrainedNetwork
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.store import RunStore
from codesign.strategy.base import Proposal, Results, Strategy
from codesign.two_level.archive import Archive, Member, class_arrays
from codesign.two_level.budget import Budget
from codesign.two_level.choose import chosen_classes, unknown_classes
from codesign.two_level.fast import FastLevel, Verdicts
from codesign.two_level.ledger import Ledger
from codesign.two_level.lineage import parents_of
from codesign.two_level.prune import GUESS, KEPT
from codesign.two_level.slow import AccuracyClass, SlowLevel
from codesign.two_level.warm_start import first_proposal

__all__ = ["Event", "Outcome", "Search", "run_search"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Search:
    """The parts of one run, put together by `codesign.app.assemble`.

    first : pairs that the first generation proposes in place of the strategy, see `codesign.two_level.warm_start`.
    """

    space: JointSpace
    strategy: Strategy
    fast: FastLevel
    slow: SlowLevel
    archive: Archive
    budget: Budget
    seed: int
    first: Genotypes | None = None


class Event(NamedTuple):
    """Progress, for whoever shows it: what is being done and how far it is."""

    generation: int
    level: str
    done: int
    total: int


class Outcome(NamedTuple):
    """A finished run."""

    archive: Archive
    ledger: Ledger


Report = Callable[[Event], None]
_Network = tuple[tuple[int, ...], float]


def run_search(search: Search, store: RunStore, *, report: Report = lambda event: None) -> Outcome:
    """Run all generations that the store does not hold yet."""
    ledgers = _restore(search, store)
    for generation in range(len(ledgers), search.budget.generations):
        if search.budget.enough and len(search.archive.front()) >= search.budget.enough:
            break
        search.fast.begin(generation, of=search.budget.generations)
        clock = time.perf_counter()
        report(Event(generation, "fast", 0, search.budget.pairs))
        rng = _generator(search.seed, generation, 0)
        proposal = _proposal(search, generation, rng)
        verdicts = search.fast.evaluate(proposal, search.archive.known(), rng)
        audited = _audit(search, verdicts, _generator(search.seed, generation, 2))
        store.write_fast(generation, verdicts.genotypes, verdicts.reason, verdicts.costs)
        fast_seconds = time.perf_counter() - clock

        clock = time.perf_counter()
        networks_before = _networks(search.archive.classes)
        wanted = _wanted(search, verdicts, audited, generation)
        _inherit(search, store, parents_of(search.archive, proposal, verdicts, wanted))
        _estimate(search, store, wanted, generation, report)
        slow_seconds = time.perf_counter() - clock

        positions, members = _evaluated(search, verdicts, generation)
        results = _results(search, verdicts, positions, members)
        for member in members:
            search.archive.add(member)
        search.strategy.tell(search.fast.told(proposal, verdicts), results)
        ledger = Ledger(
            considered=len(verdicts.reason) + sum(verdicts.dropped.values()),
            pruned=dict(Counter(search.fast.reasons.counts(verdicts.reason)) + Counter(verdicts.dropped)),
            evaluated=len(members),
            deferred=len(verdicts.survivors) - len(members),
            trained=_trained(search.slow, _networks(wanted) - networks_before, networks_before),
            estimates=len(wanted) if search.slow.judges else 0,
            violating=int((search.archive.excess(members) > 0).any(axis=1).sum()),
            audited=len(audited),
            misjudged=_misjudged(search, verdicts, audited),
            diverged=sum(search.archive.classes[known].estimate.diverged for known in wanted),
            seconds={"fast": fast_seconds, "slow": slow_seconds},
        )
        store.commit(generation, [member.stored for member in members], search.strategy.state(), ledger)
        ledgers.append(ledger)
    report(Event(search.budget.generations, "done", 0, 0))
    return Outcome(search.archive, Ledger.total(ledgers))


def _restore(search: Search, store: RunStore) -> list[Ledger]:
    """Put archive and strategy where the last finished generation left them."""
    finished = store.generations()
    search.slow.parents.update(store.parents())
    if finished:
        search.strategy.restore(finished[-1].strategy)
    for generation, pair, estimate in store.pairs():
        if (wrong := search.archive.misfit(pair, estimate)) is not None:
            store.lose(f"a row of it: {wrong}")
        member = Member(pair.genotype, pair.numerics, pair.costs, pair.estimate, estimate, generation, pair.fidelity)
        search.archive.add(member)
    return [generation.ledger for generation in finished]


def _generator(seed: int, generation: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, generation, purpose]))


def _proposal(search: Search, generation: int, rng: np.random.Generator) -> Proposal:
    """The pairs of a generation: those of the strategy, or those that the first one was given."""
    count = search.fast.proposals(search.budget.pairs)
    if generation == 0 and search.first is not None:
        return first_proposal(search.fast.proposal_space, search.space, search.first, count, rng)
    return search.strategy.ask(count, rng)


def _audit(search: Search, verdicts: Verdicts, rng: np.random.Generator) -> I64:
    """Some pairs that were guessed away, drawn at random, made survivors; returns their positions."""
    guessed = np.flatnonzero(verdicts.reason == search.fast.reasons[GUESS])
    drawn = np.sort(rng.permutation(guessed)[: search.budget.audits])
    verdicts.reason[drawn] = KEPT
    return drawn


def _networks(classes: Iterable[AccuracyClass]) -> set[_Network]:
    """What is trained for classes: a network at a fidelity."""
    return {(known.architecture, known.fidelity) for known in classes}


def _trained(slow: SlowLevel, new: set[_Network], before: set[_Network]) -> int:
    """How many networks were trained for estimates of new ones, those included that a predictor is fitted to."""
    fidelities = {fidelity for _, fidelity in new} - {fidelity for _, fidelity in before}
    return (len(new) if slow.trains else 0) + slow.trained_first * len(fidelities)


def _wanted(search: Search, verdicts: Verdicts, audited: I64, generation: int) -> list[AccuracyClass]:
    """Classes that SLOW estimates: those chosen for the budget, and those of the audited pairs."""
    chosen = chosen_classes(
        search.archive, search.fast, search.strategy, search.budget, verdicts, _generator(search.seed, generation, 1)
    )
    return list(dict.fromkeys([*chosen, *unknown_classes(search.archive, verdicts, audited)]))


def _inherit(search: Search, store: RunStore, parents: Mapping[TrainedNetwork, TrainedNetwork]) -> None:
    """Decide what new trainings start from, durably and once: a resumed run finds what it would decide again."""
    if search.slow.inherits:
        for child, parent in parents.items():
            if child not in search.slow.parents:
                search.slow.parents[child] = parent
                store.keep_parent(child, parent)


def _estimate(search: Search, store: RunStore, wanted: list[AccuracyClass], generation: int, report: Report) -> None:
    """Estimates of classes into the archive, in the order asked whichever is ready first."""
    report(Event(generation, "slow", 0, len(wanted)))
    found = {}
    for accuracy_class, answer in search.slow.evaluate(store, wanted):
        found[accuracy_class] = answer
        report(Event(generation, "slow", len(found), len(wanted)))
    search.archive.classes.update((accuracy_class, found[accuracy_class]) for accuracy_class in wanted)


def _evaluated(search: Search, verdicts: Verdicts, generation: int) -> tuple[I64, list[Member]]:
    """Survivors whose class has an estimate: their positions in the batch and what the archive keeps of them."""
    classes = list(search.archive.classes)
    codes = verdicts.find_classes(
        *class_arrays(classes, search.space.architecture.n_genes),
        search.space.architecture.cardinalities,
    )
    by_code = {int(code): known for code, known in zip(codes, classes, strict=True) if code >= 0}
    alive = verdicts.survivors
    positions = alive[np.isin(verdicts.class_id[alive], codes[codes >= 0])]
    members = []
    for position in positions:
        known = by_code[int(verdicts.class_id[position])]
        key, estimate = search.archive.classes[known]
        costs = {name: float(values[position]) for name, values in verdicts.costs.items()}
        genotype = tuple(verdicts.genotypes[position].tolist())
        members.append(Member(genotype, known.numerics, costs, key, estimate, generation, known.fidelity))
    return positions, members


def _results(search: Search, verdicts: Verdicts, positions: I64, members: list[Member]) -> Results:
    """What the strategy is told."""
    error, spread = np.full((2, len(verdicts.reason)), np.nan)
    error[positions] = [member.estimate.error for member in members]
    spread[positions] = [member.estimate.spread for member in members]
    on_task = np.zeros((len(error), len(search.archive.limits)))
    on_task[positions] = np.maximum(search.archive.excess(members), 0.0)
    return Results(
        costs=np.column_stack([goal.minimised(verdicts.costs[goal.metric]) for goal in search.archive.goals]),
        error=error,
        spread=spread,
        fidelity=verdicts.fidelity_levels[verdicts.fidelity_id],
        violation=np.column_stack([verdicts.violation, on_task]),
        status=verdicts.reason,
    )


def _misjudged(search: Search, verdicts: Verdicts, audited: I64) -> int:
    """How many of the audited pairs are on the front after all."""
    front = {member.genotype for member in search.archive.front()} if len(audited) else set()
    return sum(tuple(genotype) in front for genotype in verdicts.genotypes[audited].tolist())
