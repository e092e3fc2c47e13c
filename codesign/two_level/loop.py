"""The two-level co-design loop [Jiang et al., TCAD 2020], readable top to bottom.

FAST: the strategy proposes pairs of network and hardware; their cost decides which are dropped, without training.
SLOW: the promising survivors are trained, their accuracy under that hardware's numerics is measured, and all of it is
told to the strategy, which proposes the next pairs.

Everything a generation does follows from (configuration, seed, state after the last generation), so a run that is
killed and resumed ends with the same archive as one that was not.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import find_rows
from codesign.space.joint import JointSpace
from codesign.store import RunStore
from codesign.strategy.base import Strategy
from codesign.two_level.archive import Archive, Member, class_arrays
from codesign.two_level.fast import FastLevel, Verdicts
from codesign.two_level.ledger import Ledger
from codesign.two_level.prune import GUESS, KEPT
from codesign.two_level.select import Evidence, features, promising, spread, stratified
from codesign.two_level.slow import AccuracyClass, AccuracyLevel
from hwmodels.evaluate import network_metrics

__all__ = ["Budget", "Event", "Outcome", "Search", "explore"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


_LEARNABLE = 8  # accuracies from which a model of them is worth a draw


@dataclass(frozen=True)
class Budget:
    """How much each level may do.

    generations : batches. pairs : pairs a batch. trainings : networks trained a batch.
    classes : numerics evaluated a network and batch. audits : pairs a batch that are evaluated though aggressive
    pruning guessed them away. selection : `surrogate`, `stratified` or `random` choice.
    """

    generations: int
    pairs: int
    trainings: int
    classes: int
    audits: int = 0
    selection: str = "stratified"


@dataclass(frozen=True)
class Search:
    """The parts of one run, put together by `codesign.app.assemble`."""

    space: JointSpace
    strategy: Strategy
    fast: FastLevel
    slow: AccuracyLevel
    archive: Archive
    budget: Budget
    seed: int


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


def explore(search: Search, store: RunStore, *, report: Callable[[Event], None] = lambda event: None) -> Outcome:
    """Run all generations that the store does not hold yet."""
    ledgers = _restore(search, store)
    for generation in range(len(ledgers), search.budget.generations):
        clock = time.perf_counter()
        report(Event(generation, "fast", 0, search.budget.pairs))
        proposal = search.strategy.ask(search.budget.pairs, _generator(search.seed, generation, 0))
        verdicts = search.fast.evaluate(proposal.genotypes, search.archive.known())
        audited = _audit(search, verdicts, _generator(search.seed, generation, 2))
        store.write_fast(generation, verdicts.genotypes, verdicts.reason, verdicts.costs)
        fast_seconds = time.perf_counter() - clock

        clock = time.perf_counter()
        networks_before = {known.architecture for known in search.archive.classes}
        chosen = _choose(search, verdicts, _generator(search.seed, generation, 1))
        wanted = list(dict.fromkeys([*chosen, *_unknown_classes(search, verdicts, audited)]))
        report(Event(generation, "slow", 0, len(wanted)))
        found = {}
        for accuracy_class, answer in search.slow.evaluate(wanted):
            found[accuracy_class] = answer
            report(Event(generation, "slow", len(found), len(wanted)))
        # In the order asked, whoever was ready first.
        search.archive.classes.update((accuracy_class, found[accuracy_class]) for accuracy_class in wanted)
        slow_seconds = time.perf_counter() - clock

        positions, members = _evaluated(search, verdicts, generation)
        objectives, violation = _objectives(search, verdicts, positions, members)
        for member in members:
            search.archive.add(member)
        front = {member.genotype for member in search.archive.front()} if len(audited) else set()
        search.strategy.tell(proposal, objectives, violation, verdicts.reason)
        ledger = Ledger(
            considered=len(verdicts.reason) + sum(proposal.dropped.values()),
            pruned=dict(Counter(search.fast.reasons.counts(verdicts.reason)) + Counter(proposal.dropped)),
            evaluated=len(members),
            deferred=len(verdicts.survivors) - len(members),
            trained=len({known.architecture for known in wanted} - networks_before),
            estimates=len(wanted),
            violating=int((violation[positions, -1] > 0).sum()),
            audited=len(audited),
            misjudged=sum(tuple(genotype) in front for genotype in verdicts.genotypes[audited].tolist()),
            seconds={"fast": fast_seconds, "slow": slow_seconds},
        )
        store.commit(generation, [member.stored for member in members], search.strategy.state(), ledger)
        ledgers.append(ledger)
    report(Event(search.budget.generations, "done", 0, 0))
    return Outcome(search.archive, Ledger.total(ledgers))


def _restore(search: Search, store: RunStore) -> list[Ledger]:
    """Put archive and strategy where the last finished generation left them."""
    finished = store.generations()
    if finished:
        search.strategy.restore(finished[-1].strategy)
    for generation, pair, estimate in store.pairs():
        search.archive.add(Member(pair.genotype, pair.numerics, pair.costs, pair.estimate, estimate, generation))
    return [generation.ledger for generation in finished]


def _generator(seed: int, generation: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, generation, purpose]))


def _choose(search: Search, verdicts: Verdicts, rng: np.random.Generator) -> list[AccuracyClass]:
    """Classes that SLOW shall evaluate: networks new to it, and new numerics of networks on the front."""
    alive, budget = verdicts.survivors, search.budget
    cardinalities = search.space.architecture.cardinalities
    trained, _ = class_arrays(list(search.archive.classes), search.space.architecture.n_genes)
    is_new = find_rows(verdicts.architectures, trained, cardinalities)[verdicts.architecture_id[alive]] < 0
    fresh = alive[is_new]
    if budget.selection == "random":
        names = np.unique(verdicts.architecture_id[fresh])
        new = np.sort(rng.permutation(names)[: budget.trainings])
    elif budget.selection == "surrogate" and len(search.archive.classes) >= _LEARNABLE and len(fresh):
        new = _promising(search, verdicts, fresh, rng)
    else:
        first_cost, capacity = verdicts.costs[search.fast.objectives[0]][fresh], verdicts.costs["weight_bytes"][fresh]
        new = stratified(first_cost, capacity, verdicts.architecture_id[fresh], budget.trainings, rng)
    front, _ = class_arrays([search.archive.class_of(member) for member in search.archive.front()], trained.shape[1])
    on_front = find_rows(front, verdicts.architectures, cardinalities)
    again = np.unique(on_front[on_front >= 0])[: budget.trainings]
    return [known for a in (*new, *again) for known in _new_classes(search, verdicts, int(a))]


def _promising(search: Search, verdicts: Verdicts, fresh: I64, rng: np.random.Generator) -> I64:
    """The networks, by number in the batch, that a model of the accuracies so far finds worth a training."""
    space, known = search.space.architecture, search.archive.known()
    arithmetics = np.unique(np.concatenate([known.class_numerics, verdicts.numerics]), axis=0)
    place = {tuple(row): i for i, row in enumerate(arithmetics.tolist())}

    def described(genotypes: I64, numerics: F64) -> F64:
        table, network = space.lower(genotypes, search.fast.semantics)
        size = network_metrics(table)["weight_bytes"][network]
        labels = np.array([place[tuple(row)] for row in numerics.tolist()], np.int64)
        return features(genotypes, space.cardinalities, size, labels, len(place))

    classes, class_of = np.unique(verdicts.class_id[fresh], return_inverse=True)
    architecture, numerics = np.divmod(classes, len(verdicts.numerics))
    members = search.archive.front()
    return promising(
        Evidence(described(known.class_architecture, known.class_numerics), known.class_error,
                 search.archive.points(members)),
        described(verdicts.architectures[architecture], verdicts.numerics[numerics]),
        class_of.reshape(-1),
        np.column_stack([verdicts.costs[name][fresh] for name in search.fast.objectives]),
        verdicts.architecture_id[fresh],
        search.budget.trainings,
        rng,
    )  # fmt: skip


def _audit(search: Search, verdicts: Verdicts, rng: np.random.Generator) -> I64:
    """Some pairs that were guessed away, drawn at random, made survivors; returns their positions."""
    guessed = np.flatnonzero(verdicts.reason == search.fast.reasons[GUESS])
    drawn = np.sort(rng.permutation(guessed)[: search.budget.audits])
    verdicts.reason[drawn] = KEPT
    return drawn


def _unknown_classes(search: Search, verdicts: Verdicts, positions: I64) -> list[AccuracyClass]:
    """Classes of pairs, as far as they are not evaluated yet."""
    networks = verdicts.architectures[verdicts.architecture_id[positions]].tolist()
    numerics = verdicts.numerics[verdicts.numerics_id[positions]].tolist()
    classes = [AccuracyClass(tuple(g), tuple(n)) for g, n in zip(networks, numerics, strict=True)]
    return [known for known in classes if known not in search.archive.classes]


def _new_classes(search: Search, verdicts: Verdicts, architecture: int) -> list[AccuracyClass]:
    """Some of the numerics that survive with one network and are not evaluated yet, spread over the cost."""
    genotype = tuple(verdicts.architectures[architecture].tolist())
    mine = verdicts.survivors[verdicts.architecture_id[verdicts.survivors] == architecture]
    labels = verdicts.numerics_id[mine]
    known = [AccuracyClass(genotype, tuple(row)) in search.archive.classes for row in verdicts.numerics.tolist()]
    unknown = ~np.array(known)[labels]
    cost = verdicts.costs[search.fast.objectives[0]][mine]
    chosen = spread(cost[unknown], labels[unknown], search.budget.classes)
    return [AccuracyClass(genotype, tuple(verdicts.numerics[label].tolist())) for label in chosen]


def _evaluated(search: Search, verdicts: Verdicts, generation: int) -> tuple[I64, list[Member]]:
    """Survivors whose class has an accuracy: their positions in the batch and what the archive keeps of them."""
    classes = list(search.archive.classes)
    codes = verdicts.find_classes(
        *class_arrays(classes, search.space.architecture.n_genes), search.space.architecture.cardinalities
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
        members.append(Member(genotype, known.numerics, costs, key, estimate, generation))
    return positions, members


def _objectives(search: Search, verdicts: Verdicts, positions: I64, members: list[Member]) -> tuple[F64, F64]:
    """What the strategy is told: objectives (P, 1 + K), NaN without accuracy; violation with the accuracy's last."""
    objectives = np.full((len(verdicts.reason), 1 + len(search.archive.objectives)), np.nan)
    objectives[positions] = search.archive.points(members)
    shortfall = np.zeros(len(verdicts.reason))
    shortfall[positions] = np.maximum(search.archive.least_accuracy - (1.0 - objectives[positions, 0]), 0.0)
    return objectives, np.column_stack([verdicts.violation, shortfall])
