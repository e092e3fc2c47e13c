"""What decides a run: the effect of each operation and knob on each metric, and what sets the front apart.

    shift of a choice      mean over pairs that have it - mean over all pairs; of costs a ratio of geometric means
    share of a decision    (SS between its choices - df MS within them) / SS of all pairs: its main effect without what
                           chance gives to few pairs (epsilon squared) [Kelley, PNAS 1935]; 1 where it decides alone
    importance             what a forest's R2 on held-out pairs loses when the decision's column is shuffled; unlike
                           the share it sees what decisions do together [Breiman, Machine Learning 2001]
    lift of a pattern      how many times as frequent a choice, or two together, is on the front as among all pairs;
                           its p is Fisher's exact one, times the number of patterns looked at (Bonferroni)
    dropped                share of the pairs with a choice that FAST dropped, duplicates aside, and for what mostly

Costs are those of every pair that FAST costed in full and that meets the constraints, errors those of every pair that
has one. What a strategy looked at is no random sample of the space: effects are those among the pairs of this run.

Not here: causes. Decisions that a strategy always took together cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.app.assemble import cost_constraints
from codesign.app.config import RunConfig
from codesign.objectives import Limit, limits_of
from codesign.report.scale import title
from codesign.report.summary import Summary
from codesign.report.tables import build_table
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from codesign.store import RunStore
from codesign.two_level.prune import KEPT, Reasons
from hwmodels.units import split_unit

__all__ = [
    "Dropped", "Effect", "Effects", "Measured", "Pattern", "effects_html", "effects_of", "importance_of", "patterns_of",
    "shares_of",
]  # fmt: skip

F64 = npt.NDArray[np.float64]
_LEAST = 8
"""Pairs below which nothing is said of a metric."""
_MOST_PAIRS = 4_000
"""Pairs that a forest sees: ASSUMED enough for a dozen decisions; a random sample of more."""
_MOST_GENES = 40
"""Decisions beyond which patterns of two are not looked at: there are too many."""
_DUPLICATE = "duplicate"
_ON_PAGE = 8
_LEAST_SHARE = 0.01
_PURPOSE = 7_002  # keeps this stream apart from those of the search and of the pictures


class Effect(NamedTuple):
    """One choice of one decision. pairs : that have it. shift : of the mean over all, with its standard error.

    Of costs both are of the logarithm, so that exp(shift) is a ratio.
    """

    decision: str
    choice: str
    pairs: int
    shift: float
    error: float


@dataclass(frozen=True)
class Measured:
    """One metric. pairs : that have it. is_ratio : its shifts are of logarithms. shares, importance : by decision.

    explained : R2 of the forest on held-out pairs, None where none was fitted.
    """

    metric: str
    pairs: int
    is_ratio: bool
    effects: tuple[Effect, ...]
    shares: Mapping[str, float]
    importance: Mapping[str, float]
    explained: float | None


class Pattern(NamedTuple):
    """One choice, or two together. on_front, among : pairs of the front and of all that have it. p : see above."""

    choices: tuple[str, ...]
    on_front: int
    among: int
    lift: float
    p: float


class Dropped(NamedTuple):
    """One choice. considered : pairs with it, duplicates aside. share : of them that FAST dropped. reason : the
    commonest."""

    decision: str
    choice: str
    considered: int
    share: float
    reason: str


@dataclass(frozen=True)
class Effects:
    """measured : metric by metric. patterns : the likeliest first. front, population : pairs that they compare.

    pruned : reason -> pairs, the commonest first. dropped : choices, those of the largest share first.
    """

    measured: tuple[Measured, ...]
    patterns: tuple[Pattern, ...]
    front: int
    population: int
    pruned: Mapping[str, int]
    dropped: tuple[Dropped, ...]


def effects_of(store: RunStore, config: RunConfig, space: JointSpace, summary: Summary, *, forest: bool) -> Effects:
    """The effects of a run's decisions; `forest` says whether importances are fitted."""
    met = _met(store, config, space, summary)
    genotypes, costs = _costed(met)
    decisions = _decisions(space)
    measured = [
        _measured(name, genotypes, np.log(values), decisions, config, forest=forest, is_ratio=True)
        for name, values in costs.items()
        if len(values) >= _LEAST and (values > 0).all()
    ]
    judged = [pair for pair in summary.evaluated if np.isfinite(pair.objectives.get(summary.judged_by or "", np.nan))]
    if summary.judged_by and len(judged) >= _LEAST:
        told = np.array([pair.genotype for pair in judged], np.int64)
        values = np.array([pair.objectives[summary.judged_by] for pair in judged])
        # Designs that do not change what a network computes are one measurement of it.
        networks = np.column_stack([told[:, : space.architecture.n_genes], values])
        once = np.unique(networks, axis=0, return_index=True)[1]
        measured.insert(
            0,
            _measured(
                summary.judged_by, told[once], values[once], decisions, config, forest=forest, is_ratio=False,
                heard=_decides_accuracy(space),
            ),
        )  # fmt: skip
    front = np.array([pair.genotype for pair in summary.front], np.int64).reshape(-1, space.n_genes)
    return Effects(
        tuple(measured), tuple(patterns_of(front, genotypes, decisions)), len(front), len(genotypes),
        dict(sorted(summary.ledger.pruned.items(), key=lambda item: -item[1])), tuple(_dropped(met, decisions)),
    )  # fmt: skip


def _decides_accuracy(space: JointSpace) -> npt.NDArray[np.bool_]:
    """Decisions on the network, and knobs that change what the hardware computes, (G,)."""
    hardware = space.hardware
    heard = [True] * space.architecture.n_genes
    for g, count in enumerate(hardware.cardinalities):
        varied = np.zeros((int(count), hardware.n_genes), np.int64)
        varied[:, g] = np.arange(count)
        heard.append(len(np.unique(hardware.numerics(varied), axis=0)) > 1)
    return np.array(heard, np.bool_)


class _Decision(NamedTuple):
    name: str
    choices: tuple[str, ...]


def _decisions(space: JointSpace) -> list[_Decision]:
    """Every gene, network first, with its choices in words."""
    genes = (*space.architecture.genes, *space.hardware.genes)
    return [_Decision(gene.name, tuple(map(_word, gene.choices))) for gene in genes]


def _word(choice: Any) -> str:
    return f"{choice:g}" if isinstance(choice, float) else str(choice)


class _Met(NamedTuple):
    """Pairs that FAST met, (P,): their genotypes, the place of their reason in `names`, their objectives, and which of
    them keep the limits where earlier, looser ones let more through."""

    genotypes: Genotypes
    code: npt.NDArray[np.int64]
    names: tuple[str, ...]
    costs: Mapping[str, F64]
    keeps: npt.NDArray[np.bool_]


def _met(store: RunStore, config: RunConfig, space: JointSpace, summary: Summary) -> _Met:
    model = space.hardware.model
    constraints = cost_constraints(config, model)
    names = Reasons(constraints=constraints, infeasible=model.infeasible_reasons).names
    limits: tuple[Limit, ...] = limits_of(model, constraints) if config.tightening else ()
    read = dict.fromkeys(("reason", *summary.objectives, *(limit.metric for limit in limits)))
    genes = {f"gene_{i}": int(count) for i, count in enumerate(space.cardinalities)}
    columns = store.read_fast([*read, *genes], choices={"reason": len(names), **genes})
    genotypes = np.stack([columns[name] for name in genes], axis=1).astype(np.int64)
    costs = {name: columns[name].astype(np.float64) for name in summary.objectives}
    keeps = np.ones(len(genotypes), np.bool_)
    for limit in limits:
        keeps &= limit.keeps(columns[limit.metric].astype(np.float64))
    return _Met(genotypes, columns["reason"].astype(np.int64), names, costs, keeps)


def _costed(met: _Met) -> tuple[Genotypes, dict[str, F64]]:
    """Pairs that FAST costed in full and that meet the constraints, once each, with their objectives."""
    refused = [
        i for i, name in enumerate(met.names) if name.startswith(("invalid", "infeasible", "constraint", "bound"))
    ]
    kept = met.keeps & ~np.isin(met.code, refused)
    for values in met.costs.values():
        kept &= np.isfinite(values)
    rows = np.flatnonzero(kept)
    genotypes, once = np.unique(met.genotypes[rows], axis=0, return_index=True)
    return genotypes, {name: values[rows][once] for name, values in met.costs.items()}


def _dropped(met: _Met, decisions: Sequence[_Decision]) -> list[Dropped]:
    """Choices by the share of their pairs that was dropped; those of which nothing was are left out."""
    counted = met.code != met.names.index(_DUPLICATE)
    found = []
    for column, decision in zip(met.genotypes[counted].T, decisions, strict=True):
        codes = met.code[counted]
        for at, choice in enumerate(decision.choices):
            mine = codes[column == at]
            gone = mine[mine != KEPT]
            if gone.size and mine.size < codes.size:
                reason = met.names[int(np.bincount(gone).argmax())]
                found.append(Dropped(decision.name, choice, mine.size, gone.size / mine.size, reason))
    return sorted(found, key=lambda one: -one.share)


def _measured(
    metric: str, genotypes: Genotypes, values: F64, decisions: Sequence[_Decision], config: RunConfig, *, forest: bool,
    is_ratio: bool, heard: npt.NDArray[np.bool_] | None = None,
) -> Measured:  # fmt: skip
    """One metric; `heard` says which decisions can change it at all, None for all of them."""
    if heard is not None:
        genotypes, decisions = genotypes[:, heard], [d for d, can in zip(decisions, heard, strict=True) if can]
    mean = values.mean()
    effects = []
    for column, decision in zip(genotypes.T, decisions, strict=True):
        for at, choice in enumerate(decision.choices):
            mine = values[column == at]
            if mine.size and mine.size < values.size:
                error = float(mine.std(ddof=1) / np.sqrt(mine.size)) if mine.size > 1 else np.nan
                effects.append(Effect(decision.name, choice, mine.size, float(mine.mean() - mean), error))
    shares = dict(zip([d.name for d in decisions], shares_of(genotypes, values).tolist(), strict=True))
    importance, explained = ({}, None)
    if forest and len(values) >= 4 * _LEAST:
        found, explained = importance_of(genotypes, values, seed=config.seed)
        importance = dict(zip(shares, found.tolist(), strict=True))
    return Measured(metric, len(values), is_ratio, tuple(effects), shares, importance, explained)


def shares_of(genotypes: Genotypes, values: F64) -> F64:
    """Variance between the choices of each decision over all variance, less what chance gives, (G,); at least 0.

    >>> points = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> shares_of(points, np.array([1.0, 1.0, 3.0, 3.0])).tolist()
    [1.0, 0.0]
    """
    whole = ((values - values.mean()) ** 2).sum()
    shares = np.zeros(genotypes.shape[1])
    for g, column in enumerate(genotypes.T):
        groups = [values[column == choice] for choice in np.unique(column)]
        between = sum(mine.size * (mine.mean() - values.mean()) ** 2 for mine in groups)
        freedom = len(values) - len(groups)
        if whole > 0 and freedom > 0:
            by_chance = (len(groups) - 1) * (whole - between) / freedom
            shares[g] = np.clip((between - by_chance) / whole, 0.0, 1.0)
    return shares


def importance_of(genotypes: Genotypes, values: F64, *, seed: int) -> tuple[F64, float]:
    """(loss of R2 when each decision is shuffled (G,), R2) of a forest, both on a third that it has not seen."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    rng = np.random.default_rng(np.random.SeedSequence([seed, _PURPOSE]))
    order = rng.permutation(len(values))[:_MOST_PAIRS]
    held, seen = order[: len(order) // 3], order[len(order) // 3 :]
    forest = RandomForestRegressor(100, random_state=0, n_jobs=1).fit(genotypes[seen], values[seen])
    if np.ptp(values[held]) == 0:
        return np.zeros(genotypes.shape[1]), 0.0
    found = permutation_importance(forest, genotypes[held], values[held], n_repeats=5, random_state=0)
    return np.asarray(found.importances_mean, np.float64), float(forest.score(genotypes[held], values[held]))


def patterns_of(front: Genotypes, population: Genotypes, decisions: Sequence[_Decision]) -> list[Pattern]:
    """Choices, and pairs of them, by how unlikely their number on the front is; p of at most 0.05 alone."""
    from scipy.stats import hypergeom

    if not len(front) or len(population) <= len(front):
        return []
    genes = range(len(decisions))
    groups: list[tuple[int, ...]] = [(g,) for g in genes]
    if len(decisions) <= _MOST_GENES:
        groups += list(combinations(genes, 2))
    looked, found = 0, []
    for group in groups:
        sizes = [len(decisions[g].choices) for g in group]
        of_front, of_all = (
            np.ravel_multi_index(tuple(some[:, g] for g in group), sizes) for some in (front, population)
        )
        cells = int(np.prod(sizes))
        on_front, among = (np.bincount(codes, minlength=cells) for codes in (of_front, of_all))
        met = np.flatnonzero(among)
        looked += met.size
        # The front is drawn from all pairs without putting back: as many with the choice, or more, by chance.
        p = hypergeom.sf(on_front[met] - 1, len(population), among[met], len(front))
        for cell, chance in zip(met.tolist(), p.tolist(), strict=True):
            if on_front[cell]:
                places = np.unravel_index(cell, sizes)
                words = tuple(
                    f"{decisions[g].name} {decisions[g].choices[int(at)]}" for g, at in zip(group, places, strict=True)
                )
                lift = (on_front[cell] / len(front)) / (among[cell] / len(population))
                found.append(Pattern(words, int(on_front[cell]), int(among[cell]), float(lift), chance))
    likely = [one._replace(p=min(1.0, one.p * looked)) for one in found]
    return sorted((one for one in likely if one.p <= 0.05), key=lambda one: (one.p, -one.lift, one.choices))


def effects_html(effects: Effects) -> str:
    """The section of the page: what share of each metric every decision decides alone, and what the front has."""
    if not effects.measured:
        return "<p>Too few pairs with costs or accuracies to say what decides them.</p>"
    most: dict[str, float] = {}
    for one in effects.measured:
        for name, share in one.shares.items():
            most[name] = max(share, most.get(name, 0.0))
    names = sorted((name for name, share in most.items() if share >= _LEAST_SHARE), key=lambda name: -most[name])
    values: dict[str, Sequence[Any]] = {"decision": names}
    for one in effects.measured:
        label = f"{title(split_unit(one.metric)[0])} (% of variance)"
        values[label] = [f"{100 * one.shares[name]:.0f}" if name in one.shares else "–" for name in names]
    pairs = ", ".join(f"{one.pairs:,} for {title(split_unit(one.metric)[0])}" for one in effects.measured)
    table = build_table(values, caption=f"What each decision decides alone, over the pairs of this run: {pairs}.")
    text = f'<div class="scroll">{table.html()}</div>'
    if not effects.patterns:
        return text
    shown = effects.patterns[:_ON_PAGE]
    rows: dict[str, Sequence[Any]] = {
        "choices": [" and ".join(one.choices) for one in shown],
        "on the front": [one.on_front for one in shown],
        "among all": [one.among for one in shown],
        "times as frequent": [f"{one.lift:.1f}" for one in shown],
    }
    caption = (
        f"More often on the front ({effects.front:,} pairs) than among all {effects.population:,} by chance: p of at "
        "most 5 % after a correction for all patterns looked at."
    )
    more = '<p class="note">Importance by a forest, errors and all patterns: <code>codesign effects RUN</code>.</p>'
    return text + f'<div class="scroll">{build_table(rows, caption=caption).html()}</div>' + more
