"""What each decision of a run did: operations and knobs, by the pairs that the run knows.

    marginal effect   mean of an objective over the evaluated pairs that make a choice, against the mean over all: for
                      costs the ratio of geometric means, for what judges the networks the difference
    importance        by how much a model explains less of an objective when a decision is shuffled among the pairs that
                      it was not fitted to [permutation importance, Breiman, Machine Learning 45 (2001)], a random
                      forest, mean of ten shuffles; `explained` is its share of the variance on these pairs
    frequency         share of a choice on the front against its share among all pairs considered
    pruned            share of the considered pairs of a choice that FAST dropped, and the reason that dropped most

A search looks where it expects much, so that its pairs are no sample of the space: an effect is of these pairs.
Duplicates are no decision against a pair and are left out of what was pruned. Importances of fewer than 40 pairs
are not told.

Not modelled: effects of two decisions together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.report.summary import Summary
from codesign.report.tables import Column, Table
from codesign.space.joint import JointSpace
from codesign.store import RunStore

__all__ = ["ChoiceEffect", "Effects", "choices_table", "effects_of", "importance_table"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_LEAST, _REPEATS, _TREES = 40, 10, 100
_DUPLICATE = "duplicate"


class ChoiceEffect(NamedTuple):
    """One choice of one decision.

    pairs, front, considered : how many evaluated ones, ones on the front, and ones considered make it. effects :
    objective -> difference, or ratio less one for costs; NaN where no evaluated pair makes it. pruned : share of the
    considered ones; reason : that of most of these, "" where none was.
    """

    decision: str
    choice: str
    pairs: int
    front: int
    considered: int
    effects: Mapping[str, float]
    pruned: float
    reason: str


class Effects(NamedTuple):
    """Of a run. front, considered : pairs in all. importance : objective -> decision -> loss of explained variance.

    explained : objective -> share of the variance that the forest explains on pairs that it was not fitted to; both
    empty where too few pairs are known. differences : objectives whose effects are differences, not ratios.
    """

    choices: tuple[ChoiceEffect, ...]
    front: int
    considered: int
    importance: Mapping[str, Mapping[str, float]]
    explained: Mapping[str, float]
    differences: frozenset[str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "choices": [{**one._asdict(), "effects": dict(one.effects)} for one in self.choices],
            "front": self.front,
            "considered": self.considered,
            "importance": {name: dict(values) for name, values in self.importance.items()},
            "explained": dict(self.explained),
        }


def effects_of(store: RunStore, summary: Summary, space: JointSpace) -> Effects:
    """Effects of all decisions of a run that have a choice."""
    genotypes = np.array([pair.genotype for pair in summary.evaluated], np.int64).reshape(-1, space.n_genes)
    values = _objectives(summary)
    on_front = np.array([pair.on_front for pair in summary.evaluated], np.bool_)
    considered, reasons, names = _considered(store, space)
    differences = frozenset(name for name in values if name == summary.judged_by)
    rows = []
    for gene, (name, choices) in enumerate(zip(_names(space), (g.choices for g in space.genes), strict=True)):
        if len(choices) < 2:
            continue
        for choice, shown in enumerate(choices):
            evaluated, met = genotypes[:, gene] == choice, considered[:, gene] == choice
            pruned, reason = _pruned(reasons[met], names)
            found = {key: _effect(column, evaluated, key in differences) for key, column in values.items()}
            rows.append(
                ChoiceEffect(
                    name, str(shown), int(evaluated.sum()), int((evaluated & on_front).sum()), int(met.sum()), found,
                    pruned, reason,
                )
            )  # fmt: skip
    decisions = [gene for gene, one in enumerate(space.genes) if len(one.choices) > 1]
    importance: dict[str, dict[str, float]] = {}
    explained: dict[str, float] = {}
    for key, column in values.items():
        told = np.isfinite(column)
        if told.sum() >= _LEAST and len(decisions) > 0 and np.ptp(column[told]) > 0:
            lost, explained[key] = _importance(genotypes[told][:, decisions], column[told], key not in differences)
            importance[key] = {_names(space)[gene]: float(one) for gene, one in zip(decisions, lost, strict=True)}
    return Effects(tuple(rows), int(on_front.sum()), len(considered), importance, explained, differences)


def _names(space: JointSpace) -> list[str]:
    """Decisions by name; those of the hardware stand behind those of the network, whatever they are called."""
    cut = space.architecture.n_genes
    names = [gene.name for gene in space.genes]
    doubled = set(names[:cut]) & set(names[cut:])
    return [f"hardware {name}" if place >= cut and name in doubled else name for place, name in enumerate(names)]


def _objectives(summary: Summary) -> dict[str, F64]:
    """What judges the networks and the cost objectives of the evaluated pairs, (P,) each."""
    names = [*([summary.judged_by] if summary.judged_by else []), *summary.objectives]
    return {name: np.array([pair.value(name) for pair in summary.evaluated], np.float64) for name in names}


def _considered(store: RunStore, space: JointSpace) -> tuple[I64, npt.NDArray[np.int64], list[str]]:
    """Genotypes (P, G) of what FAST looked at, duplicates apart, the codes of their reasons (P,), and their names."""
    names = [f"gene_{i}" for i in range(space.n_genes)]
    sizes = dict(zip(names, map(int, space.cardinalities), strict=True))
    columns = store.read_fast([*names, "reason"], choices=sizes)
    genotypes = np.stack([columns[name] for name in names], axis=1).astype(np.int64)
    reasons = columns["reason"].astype(np.int64)
    told = _reasons_of(store, space)
    kept = reasons != told.index(_DUPLICATE)
    return genotypes[kept], reasons[kept], told


def _reasons_of(store: RunStore, space: JointSpace) -> list[str]:
    """The names of the reason codes of a run."""
    from codesign.app.assemble import cost_constraints
    from codesign.objectives import limits_of
    from codesign.report.summary import config_of
    from codesign.two_level.prune import Reasons

    model = space.hardware.model
    limits = limits_of(model, cost_constraints(config_of(store), model))
    return list(Reasons(constraints=[one.metric for one in limits], infeasible=model.infeasible_reasons).names)


def _pruned(reasons: npt.NDArray[np.int64], names: list[str]) -> tuple[float, str]:
    """Share of pairs that were dropped, and why most of them were."""
    counted = np.bincount(reasons, minlength=len(names))
    dropped = int(counted[1:].sum())
    if not len(reasons):
        return float("nan"), ""
    return dropped / len(reasons), names[1 + int(counted[1:].argmax())] if dropped else ""


def _effect(values: F64, chosen: npt.NDArray[np.bool_], is_difference: bool) -> float:
    """Of those chosen against all, as far as they have a value."""
    told = np.isfinite(values)
    own = values[told & chosen]
    if not len(own):
        return float("nan")
    if is_difference or (values[told] <= 0).any():
        return float(own.mean() - values[told].mean())
    return float(np.exp(np.log(own).mean() - np.log(values[told]).mean()) - 1.0)


def _importance(genotypes: I64, values: F64, is_cost: bool) -> tuple[F64, float]:
    """Loss of explained variance by decision, (D,), and the share that is explained, on a third of the pairs."""
    from sklearn.ensemble import RandomForestRegressor
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    wanted = np.log(values) if is_cost and (values > 0).all() else values
    rng = np.random.default_rng(0)
    order = rng.permutation(len(wanted))
    held, fitted = order[: len(order) // 3], order[len(order) // 3 :]
    with threadpool_limits(1):
        model = RandomForestRegressor(_TREES, random_state=0, n_jobs=1).fit(genotypes[fitted], wanted[fitted])

        def explained(rows: I64) -> float:
            missed = wanted[held] - model.predict(rows)
            variance = float(wanted[held].var())
            return 1.0 - float(np.mean(missed**2)) / variance if variance else 0.0

        whole = explained(genotypes[held])
        lost = np.zeros(genotypes.shape[1])
        for decision in range(genotypes.shape[1]):
            for _ in range(_REPEATS):
                rows = genotypes[held].copy()
                rows[:, decision] = rng.permutation(rows[:, decision])
                lost[decision] += (whole - explained(rows)) / _REPEATS
    return lost, whole


# As tables.


def importance_table(effects: Effects) -> Table:
    """Decisions by the loss of explained variance, the most important for any objective first."""
    names = list(effects.importance)
    decisions = list(next(iter(effects.importance.values()))) if names else []
    decisions.sort(key=lambda one: -max(effects.importance[name][one] for name in names))
    columns = [Column("decision", tuple(decisions), None)]
    for name in names:
        values = tuple(effects.importance[name][one] for one in decisions)
        header = f"{name} ({100 * effects.explained[name]:.0f} % explained)"
        columns.append(Column(header, tuple(f"{value:.2f}" for value in values), values))
    return Table(tuple(columns), "By how much less of the variance is explained when a decision is shuffled.")


def choices_table(effects: Effects) -> Table:
    """Every choice: how often, what with, and what became of its pairs."""
    rows = effects.choices
    names = list(rows[0].effects) if rows else []
    columns = [
        Column("decision", tuple(row.decision for row in rows), None),
        Column("choice", tuple(row.choice for row in rows), None),
        _numbers("evaluated", [float(row.pairs) for row in rows], "{:.0f}"),
    ]
    for name in names:
        sign = f"{name}, difference" if name in effects.differences else f"{name} (%)"
        scale = 1.0 if name in effects.differences else 100.0
        columns.append(_numbers(sign, [scale * row.effects[name] for row in rows], "{:+.3g}"))
    share = [100 * row.considered / max(effects.considered, 1) for row in rows]
    front = [100 * row.front / max(effects.front, 1) for row in rows]
    columns += [
        _numbers("of all (%)", share, "{:.0f}"),
        _numbers("of the front (%)", front, "{:.0f}"),
        _numbers("pruned (%)", [100 * row.pruned for row in rows], "{:.0f}"),
        Column("mostly for", tuple(row.reason or "–" for row in rows), None),
    ]
    caption = (
        f"Choices of {len({row.decision for row in rows})} decisions: effects on evaluated pairs against the mean."
    )
    return Table(tuple(columns), caption)


def _numbers(header: str, values: list[float], form: str) -> Column:
    cells = tuple("–" if value != value else form.format(value) for value in values)
    return Column(header, cells, tuple(values))
