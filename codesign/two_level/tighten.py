"""Limits that close while a search runs: FAST begins with loose ones, so that early networks are not all refused.

    bound(g) = start^(1 - s) x bound^s,   s = g / (G - 1),   g = 0 ... G - 1

The last generation, or the only one, has the limit itself. Pairs that only an earlier, looser limit let through teach
the strategy and the models of errors; they are kept, but never on the front, and prove nothing against others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from codesign.objectives import Limit
from hwmodels.errors import SpecError

__all__ = ["limits_at", "starts_of"]


def limits_at(
    limits: Sequence[Limit], starts: Mapping[str, float], generation: int, generations: int
) -> tuple[Limit, ...]:
    """The limits of one generation.

    >>> [round(limits_at([Limit("latency_s", 0.01)], {"latency_s": 0.04}, g, 3)[0].bound, 9) for g in range(3)]
    [0.04, 0.02, 0.01]
    """
    share = generation / (generations - 1) if generations > 1 else 1.0
    if share == 1.0:
        return tuple(limits)
    return tuple(
        limit._replace(bound=starts[limit.metric] ** (1 - share) * limit.bound**share)
        if limit.metric in starts
        else limit
        for limit in limits
    )


def starts_of(tightening: Mapping[str, float], limits: Sequence[Limit]) -> dict[str, float]:
    """Where limits begin, checked.

    Raises
    ------
    SpecError : a metric without a constraint on its cost, or a start that is no looser than its limit.
    """
    by_metric = {limit.metric: limit for limit in limits}
    for metric, start in tightening.items():
        if metric not in by_metric:
            raise SpecError.unknown("tightening", metric, by_metric)
        limit = by_metric[metric]
        if start < limit.bound if not limit.least else start > limit.bound:
            raise SpecError(f"tightening: {metric}", f"{start:g}", f"as loose as its constraint, {limit}, or looser")
    return dict(tightening)
