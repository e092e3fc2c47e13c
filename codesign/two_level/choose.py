"""Which accuracy classes the SLOW level estimates in a generation: networks new to it, and new numerics on the front.

How a network is picked is a function of arrays in `codesign.two_level.select`, or the strategy's own choice; here
stands what each of these is given, and which classes of a picked network are worth an estimate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.objectives import positive
from codesign.space.architecture import find_rows
from codesign.strategy.base import Selecting, Strategy, Survivors
from codesign.two_level.archive import Archive, class_arrays
from codesign.two_level.budget import Budget
from codesign.two_level.error_model import features
from codesign.two_level.fast import FastLevel, Verdicts
from codesign.two_level.select import Evidence, promising, spread, stratified
from codesign.two_level.slow import AccuracyClass
from hwmodels.errors import SpecError
from hwmodels.evaluate import network_metrics

__all__ = ["chosen_classes", "unknown_classes"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_LEARNABLE = 4  # networks from which a model of the error can learn


def chosen_classes(
    archive: Archive, fast: FastLevel, strategy: Strategy, budget: Budget, verdicts: Verdicts, rng: np.random.Generator
) -> list[AccuracyClass]:
    """Classes of survivors that are worth their estimates, none of which has one."""
    fresh = verdicts.survivors[_is_untrained(archive, verdicts)[verdicts.survivors]]
    if budget.selection == "strategy":
        return _by_strategy(archive, fast, strategy, budget, verdicts)
    if budget.selection == "all":
        return list(dict.fromkeys(unknown_classes(archive, verdicts, verdicts.survivors)))
    if budget.selection == "random":
        names = np.unique(verdicts.architecture_id[fresh])
        new = np.sort(rng.permutation(names)[: budget.trainings])
    elif budget.selection == "surrogate" and len(fresh) and _learnable(archive):
        new = _promising(archive, fast, budget, verdicts, fresh, rng)
    elif budget.selection == "surrogate" and not archive.classes and budget.trainings > 1:
        # The cheapest one is on the front whatever its error, and says how far the front goes.
        new = spread(_costs(fast, verdicts, fresh)[:, 0], verdicts.architecture_id[fresh], budget.trainings)
    else:
        capacity = verdicts.costs["weight_bytes"][fresh]
        new = stratified(
            _costs(fast, verdicts, fresh)[:, 0], capacity, verdicts.architecture_id[fresh], budget.trainings, rng
        )
    space = archive.space.architecture
    front, *_ = class_arrays([archive.class_of(member) for member in archive.front()], space.n_genes)
    on_front = find_rows(front, verdicts.architectures, space.cardinalities)
    again = np.unique(on_front[on_front >= 0])[: budget.trainings]
    return [known for a in (*new, *again) for known in _new_classes(archive, fast, budget, verdicts, int(a))]


def unknown_classes(archive: Archive, verdicts: Verdicts, positions: I64) -> list[AccuracyClass]:
    """Classes of pairs, as far as they have no estimate yet."""
    return [known for known in _classes(verdicts, positions) if known not in archive.classes]


def _costs(fast: FastLevel, verdicts: Verdicts, pairs: I64) -> F64:
    """Cost objectives of some pairs, minimised, (P, K)."""
    return np.column_stack([goal.minimised(verdicts.costs[goal.metric][pairs]) for goal in fast.goals])


def _classes(verdicts: Verdicts, positions: I64) -> list[AccuracyClass]:
    networks = verdicts.architectures[verdicts.architecture_id[positions]].tolist()
    numerics = verdicts.numerics[verdicts.numerics_id[positions]].tolist()
    fidelity = verdicts.fidelity_levels[verdicts.fidelity_id[positions]].tolist()
    return [AccuracyClass(tuple(g), tuple(n), f) for g, n, f in zip(networks, numerics, fidelity, strict=True)]


def _full(archive: Archive) -> Mask:
    """Which classes of the archive are of full fidelity."""
    return np.array([known.fidelity == 1.0 for known in archive.classes], np.bool_)


def _learnable(archive: Archive) -> bool:
    """Whether a model of the error has enough networks to learn from."""
    return len({known.architecture for known in archive.classes if known.fidelity == 1.0}) >= _LEARNABLE


def _is_untrained(archive: Archive, verdicts: Verdicts) -> Mask:
    """Pairs whose network has no training at their fidelity, (P,)."""
    space = archive.space.architecture
    trained, _, fidelity = class_arrays(list(archive.classes), space.n_genes)
    untrained = np.empty(len(verdicts.reason), np.bool_)
    for level, value in enumerate(verdicts.fidelity_levels.tolist()):
        mine = verdicts.fidelity_id == level
        there = find_rows(verdicts.architectures, trained[fidelity == value], space.cardinalities) >= 0
        untrained[mine] = ~there[verdicts.architecture_id[mine]]
    return untrained


def _by_strategy(
    archive: Archive, fast: FastLevel, strategy: Strategy, budget: Budget, verdicts: Verdicts
) -> list[AccuracyClass]:
    """The classes of the pairs that the strategy selects.

    Raises
    ------
    SpecError : it selects more networks that are new than the budget has trainings.
    """
    alive, where = verdicts.survivors, "slow.selection: strategy"
    if not isinstance(strategy, Selecting):
        raise SpecError(where, type(strategy).__name__, "a strategy with a method `select`")
    survivors = Survivors(verdicts.source[alive], verdicts.genotypes[alive], _costs(fast, verdicts, alive))
    selected = strategy.select(survivors, budget.trainings)
    positions = alive[np.asarray(selected, np.int64)]
    untrained = positions[_is_untrained(archive, verdicts)[positions]]
    count = len(np.unique(verdicts.architecture_id[untrained]))
    if count > budget.trainings:
        raise SpecError(where, f"{count} new networks", f"at most slow.trainings, {budget.trainings}")
    return list(dict.fromkeys(unknown_classes(archive, verdicts, positions)))


def _promising(
    archive: Archive, fast: FastLevel, budget: Budget, verdicts: Verdicts, fresh: I64, rng: np.random.Generator
) -> I64:
    """The networks, by number in the batch, that a model of the errors so far finds worth a training."""
    space, known, full = archive.space.architecture, archive.known(), _full(archive)
    arithmetics = np.unique(np.concatenate([known.class_numerics[full], verdicts.numerics]), axis=0)
    place = {tuple(row): i for i, row in enumerate(arithmetics.tolist())}

    def described(genotypes: I64, numerics: F64) -> F64:
        table, network = space.lower(genotypes, fast.semantics)
        metrics = network_metrics(table)
        sizes = np.column_stack([metrics["macs"], metrics["weight_bytes"]])[network]
        labels = np.array([place[tuple(row)] for row in numerics.tolist()], np.int64)
        return features(genotypes, space.cardinalities, sizes, labels, len(place))

    front = archive.points(archive.front())
    readings = verdicts.architecture_id[fresh] * len(verdicts.numerics) + verdicts.numerics_id[fresh]
    distinct, reading_of = np.unique(readings, return_inverse=True)
    architecture, numerics = np.divmod(distinct, len(verdicts.numerics))
    evidence = Evidence(
        described(known.class_architecture[full], known.class_numerics[full]),
        known.class_error[full],
        np.column_stack([front[:, :1], positive(fast.goals, front[:, 1:])]),
    )
    return promising(
        evidence,
        described(verdicts.architectures[architecture], verdicts.numerics[numerics]),
        reading_of.reshape(-1),
        positive(fast.goals, _costs(fast, verdicts, fresh)),
        verdicts.architecture_id[fresh],
        budget.trainings,
        rng,
    )


def _new_classes(
    archive: Archive, fast: FastLevel, budget: Budget, verdicts: Verdicts, architecture: int
) -> list[AccuracyClass]:
    """Some of the classes that survive with one network and have no estimate yet, spread over the cost."""
    mine = verdicts.survivors[verdicts.architecture_id[verdicts.survivors] == architecture]
    _, first, label_of = np.unique(verdicts.class_id[mine], return_index=True, return_inverse=True)
    classes = _classes(verdicts, mine[first])
    unknown = np.array([known not in archive.classes for known in classes], np.bool_)[label_of.reshape(-1)]
    cost = _costs(fast, verdicts, mine)[:, 0]
    chosen = spread(cost[unknown], label_of.reshape(-1)[unknown], budget.classes)
    return [classes[label] for label in chosen]
