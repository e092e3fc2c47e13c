"""How far off a space is where no pair meets its limits: the nearest value of each limit, and which knobs move it.

Pairs are costed again, all of them or an even sample, because pruning stops at the first broken limit: what a dropped
pair costs otherwise is not on record. A knob that is not searched is named where half or twice its value brings the
nearest pair nearer. Whole numbers alone are tried: they are what a designer sizes, while real numbers are properties of
a technology, and choices may be those of a model.

Not modelled: knobs that help only together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.objectives import Limit
from codesign.space.architecture import unique_rows
from codesign.space.base import Genotypes
from codesign.space.joint import JointSpace
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.spec import Knob, Spec
from hwmodels.units import format_quantity, split_unit
from hwmodels.workload.rewrite import Semantics

__all__ = ["MOST_PAIRS", "cost_shortfall", "even_sample", "idle_limits", "quantity", "task_shortfall"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

MOST_PAIRS = 200_000
"""Pairs that are costed again at most."""
_BLOCK = 1 << 16
_HELPS = 0.02
"""Share of the nearest value by which another value of a knob must better it to be named."""
_NAMED = 3
_SAMPLED = 256
"""Pairs that are looked at before a run, for limits that bind nothing."""
_FAR = 100.0
"""How many times farther than any of them a limit must be to be doubted."""


class _Costed(NamedTuple):
    """Valid pairs (P, G) with the metrics of the limits (K, P) and the codes of infeasibility (P,)."""

    pairs: Genotypes
    values: F64
    infeasible: npt.NDArray[np.int64]


def quantity(name: str, value: float) -> str:
    """A value of a metric in its unit.

    >>> quantity("latency_s", 2e-3), quantity("accuracy", 0.5)
    ('2 ms', '0.5')
    """
    unit = split_unit(name)[1]
    return format_quantity(value, unit) if unit or abs(value) >= 1000 else f"{value:.4g}"


def even_sample(size: int, most: int) -> I64:
    """At most `most` of `size` positions, evenly spread, both ends among them."""
    return (
        np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(np.int64)) if size else np.zeros(0, np.int64)
    )


def cost_shortfall(
    pairs: Genotypes, space: JointSpace, semantics: Semantics, limits: Sequence[Limit], *, considered: int | None = None
) -> tuple[str, ...]:
    """Sentences that say why no pair runs within the limits on costs; none where one does.

    Parameters
    ----------
    pairs : (P, G) joint genotypes. considered : how many pairs they are a sample of, where they are one.
    """
    costed = _costed(pairs, space, semantics, limits)
    if not len(costed.pairs):
        return ("no pair is a valid network on a valid design",) if len(pairs) else ()
    runs = costed.infeasible == 0
    if not runs.any():
        return (_all_infeasible(costed, space),)
    kept = costed.pairs[runs]
    excess = np.array([limit.excess(row[runs]) for limit, row in zip(limits, costed.values, strict=True)])
    if not len(limits) or (excess <= 0).all(axis=0).any():
        return ()
    sampled = considered is not None and considered > len(pairs)
    seen = f"of {len(kept):,} pairs looked at" if sampled else "seen"
    misses = [k for k in range(len(limits)) if excess[k].min() > 0]
    if not misses:
        at = int(excess.max(axis=0).argmin())
        values = ", ".join(
            f"{limit.metric} {quantity(limit.metric, row[runs][at])}"
            for limit, row in zip(limits, costed.values, strict=True)
        )
        wanted = " and ".join(_limit(limit) for limit in limits)
        return (f"no pair meets {wanted} at once: the nearest {seen} has {values} ({_place(kept[at], space)})",)
    return tuple(
        _miss(limits[k], float(costed.values[k][runs][at]), kept[at], space, semantics, seen)
        for k in misses
        for at in [int(excess[k].argmin())]
    )


def task_shortfall(
    limits: Sequence[Limit], metrics: Sequence[Mapping[str, float]], places: Sequence[str]
) -> tuple[str, ...]:
    """Sentences that say which limits on the task no evaluated pair meets; `metrics` and `places` are one a pair."""
    found = []
    for limit in limits:
        values = np.array([one[limit.metric] for one in metrics], np.float64)
        excess = limit.excess(values)
        if len(values) and not (excess <= 0).any():
            at, best = int(excess.argmin()), "largest" if limit.least else "smallest"
            found.append(
                f"no evaluated pair meets {_limit(limit)}: the {best} of {len(values):,} is "
                f"{quantity(limit.metric, values[at])} ({places[at]})"
            )
    if limits and metrics and not found:
        wanted = " and ".join(_limit(limit) for limit in limits)
        found.append(f"no evaluated pair meets {wanted} at once")
    return tuple(found)


def idle_limits(space: JointSpace, semantics: Semantics, limits: Sequence[Limit]) -> tuple[str, ...]:
    """Sentences on limits so far from every pair of a sample that they bind nothing: a unit may be mistaken."""
    if not limits:
        return ()
    try:
        pairs = space.sample(_SAMPLED, np.random.default_rng(0))
    except SpecError:  # hardly a point of the space is valid, which is told elsewhere
        return ()
    costed = _costed(pairs, space, semantics, limits)
    runs = costed.infeasible == 0
    found = []
    for limit, row in zip(limits, costed.values, strict=True):
        if not runs.any():
            break
        nearest = float(row[runs].min() if limit.least else row[runs].max())
        if nearest > _FAR * limit.bound if limit.least else nearest * _FAR < limit.bound:
            word = "smallest" if limit.least else "largest"
            found.append(
                f"{_limit(limit)} cannot bind: the {word} of {int(runs.sum())} pairs is "
                f"{quantity(limit.metric, nearest)}; is the unit right?"
            )
    return tuple(found)


def _limit(limit: Limit) -> str:
    return f"{limit.metric} {limit.symbol} {quantity(limit.metric, limit.bound)}"


def _all_infeasible(costed: _Costed, space: JointSpace) -> str:
    reasons = space.hardware.model.infeasible_reasons
    counted = np.bincount(costed.infeasible, minlength=len(reasons) + 1)[1:]
    told = ", ".join(f"{reasons[i]} ({counted[i]:,})" for i in np.argsort(-counted, kind="stable") if counted[i])
    return f"no pair runs: all {len(costed.pairs):,} looked at are infeasible: {told}"


def _miss(limit: Limit, value: float, pair: Genotypes, space: JointSpace, semantics: Semantics, seen: str) -> str:
    best = "largest" if limit.least else "smallest"
    if space.hardware.model.metric(limit.metric).reduction == "network":
        network = space.architecture.describe(pair[: space.architecture.n_genes])
        return (
            f"no pair meets {_limit(limit)}: the {best} {seen} is {quantity(limit.metric, value)} (network {network})"
        )
    helping = _helping(limit, value, pair, space, semantics)
    place = ", ".join(
        [_place(pair, space), *(f"{name} = {now}" for name, now, _ in helping if name not in _searched(space))]
    )
    advice = "; search " + ", ".join(f"{name} {where}" for name, _, where in helping) if helping else ""
    return f"no pair meets {_limit(limit)}: the {best} {seen} is {quantity(limit.metric, value)} ({place}{advice})"


def _place(pair: Genotypes, space: JointSpace) -> str:
    """The searched knobs of a pair; its network where no knob is searched."""
    cut = space.architecture.n_genes
    knobs = space.hardware.decode(pair[cut:])
    return ", ".join(f"{name} = {value}" for name, value in knobs.items()) or space.architecture.describe(pair[:cut])


def _searched(space: JointSpace) -> dict[str, tuple[Any, ...]]:
    return {gene.name: gene.choices for gene in space.hardware.genes}


def _costed(pairs: Genotypes, space: JointSpace, semantics: Semantics, limits: Sequence[Limit]) -> _Costed:
    pairs = np.asarray(pairs, np.int64)
    pairs = space.canonical(pairs) if semantics.drop_dead_branches else pairs
    pairs = pairs[space.valid(pairs)]
    if len(pairs):
        pairs = unique_rows(pairs, space.cardinalities)[0]
    parts = [_costs(pairs[first : first + _BLOCK], space, semantics, limits) for first in range(0, len(pairs), _BLOCK)]
    values = np.concatenate([part[0] for part in parts], axis=1) if parts else np.zeros((len(limits), 0))
    codes = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, np.int64)
    return _Costed(pairs, values, codes)


def _costs(pairs: Genotypes, space: JointSpace, semantics: Semantics, limits: Sequence[Limit]) -> tuple[F64, I64]:
    networks, designs = space.split(pairs)
    networks, of_pair = unique_rows(networks, space.architecture.cardinalities)
    devices, config = unique_rows(designs, space.hardware.cardinalities)
    table, place = space.architecture.lower(networks, semantics)
    found = evaluate_pairs(
        space.hardware.model, table, space.hardware.table(devices), network=place[of_pair], config=config
    )
    values = [np.broadcast_to(found.columns[limit.metric], len(pairs)) for limit in limits]
    return np.array(values, np.float64).reshape(len(limits), len(pairs)), np.asarray(found.infeasible, np.int64)


def _helping(
    limit: Limit, value: float, pair: Genotypes, space: JointSpace, semantics: Semantics
) -> list[tuple[str, Any, str]]:
    """Knobs of which another value brings a pair nearer to a limit, with their value and where to look."""
    cut = space.architecture.n_genes
    spec = space.hardware.spec(pair[cut:])
    tried = [
        (knob, other, made)
        for knob, other in _alternatives(spec, _searched(space))
        if (made := _with(spec, knob, other))
    ]
    if not tried:
        return []
    table, place = space.architecture.lower(pair[None, :cut], semantics)
    configs, size = type(spec).to_table([made for *_, made in tried]), len(tried)
    found = evaluate_pairs(space.hardware.model, table, configs, network=np.repeat(place, size), config=np.arange(size))
    values = np.broadcast_to(found.columns[limit.metric], size)
    gains = np.where(np.asarray(found.infeasible) == 0, limit.excess(np.array([value])) - limit.excess(values), 0.0)
    gains = gains * limit.bound / abs(value) if value else gains
    best: dict[str, tuple[Any, str]] = {}
    now = spec.values()
    for at in np.argsort(-gains, kind="stable"):
        knob, other, _ = tried[at]
        if gains[at] >= _HELPS and knob.name not in best and len(best) < _NAMED:
            best[knob.name] = (now[knob.name], f"{'below' if other < now[knob.name] else 'above'} {now[knob.name]}")
    return [(name, *told) for name, told in best.items()]


def _alternatives(spec: Spec, searched: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[Knob, int]]:
    """Half and twice the value of each knob of whole numbers, as far as a search does not meet them."""
    values = spec.values()
    for name, knob in type(spec).knobs().items():
        now, met = values[name], searched.get(name, (values[name],))
        if knob.plausible is not None or knob.choices or any(type(one) is not int for one in (now, *met)):
            continue
        others = [now // 2] * (now == min(met)) + [now * 2] * (now == max(met))
        yield from ((knob, other) for other in others if knob.low <= other <= knob.high and other not in met)


def _with(spec: Spec, knob: Knob, value: Any) -> Spec | None:
    try:
        return spec.revised({knob.name: value}, where=knob.name)
    except SpecError:
        return None
