"""What each column of an enumeration is for: objectives and limits by the side that decides them, all minimised.

A metric of which more is better is minimised as its negative, a column of its own. A rule that one side alone decides
becomes a column of that side before any pair is met.

Not here: how pairs are met.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.exact.pairs import PairTables, design_columns
from codesign.objectives import Limit, Objective
from hwmodels.errors import SpecError
from hwmodels.families.base import PairRule

__all__ = ["Roles", "original_name"]

F64 = npt.NDArray[np.float64]

_NEGATIVE = "minus "


class Roles(NamedTuple):
    """Objectives by what decides them, limits, and what is shown.

    pair : layer metrics; network, config : columns of one side; ruled_objectives : rules over a pair's columns; in this
    order they stand in the kernels. shown : the objectives in the order asked for. limits : column -> largest value.
    ruled : every rule among objectives and limits.
    """

    pair: tuple[str, ...]
    network: tuple[str, ...]
    config: tuple[str, ...]
    ruled_objectives: tuple[str, ...]
    shown: tuple[str, ...]
    limits: Mapping[str, float]
    ruled: tuple[str, ...]

    @classmethod
    def of(
        cls, tables: PairTables, objectives: Sequence[Objective], limits: Sequence[Limit]
    ) -> tuple[PairTables, Roles]:
        """The tables with every column that is asked for, and its role.

        Raises
        ------
        SpecError : a metric that is not there, or nothing to optimise.
        """
        for where, names in (
            ("objectives", [o.metric for o in objectives]),
            ("constraints", [c.metric for c in limits]),
        ):
            for name in names:
                if name not in tables.names:
                    raise SpecError.unknown(where, name, tables.names)
        negated = {o.metric for o in objectives if o.more} | {c.metric for c in limits if c.least}
        tables = _one_sided(_with_negatives(tables, sorted(negated)))
        distinct = tuple(dict.fromkeys(_NEGATIVE + o.metric if o.more else o.metric for o in objectives))
        bounds: dict[str, float] = {}
        for limit in limits:
            name, bound = (_NEGATIVE + limit.metric, -limit.bound) if limit.least else (limit.metric, limit.bound)
            bounds[name] = min(bound, bounds.get(name, np.inf))
        score = () if tables.score is None else (tables.score_name,)
        if not (*score, *distinct):
            raise SpecError("objectives", "none", "at least one metric, or a score")

        def among(columns: Collection[str]) -> tuple[str, ...]:
            return tuple(name for name in distinct if name in columns)

        ruled = among(tables.rules)
        limited = tuple(name for name in bounds if name in tables.rules)
        roles = cls(
            pair=among(tables.metrics),
            network=(*score, *among(tables.network_columns)),
            config=among(tables.config_columns),
            ruled_objectives=ruled,
            shown=(*score, *distinct),
            limits=bounds,
            ruled=tuple(dict.fromkeys((*ruled, *limited))),
        )
        return tables, roles

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.pair, *self.network, *self.config, *self.ruled_objectives)

    @property
    def signs(self) -> F64:
        """-1 for each shown objective that is minimised as its negative."""
        return np.array([-1.0 if name.startswith(_NEGATIVE) else 1.0 for name in self.shown])

    def limited(self, columns: Any) -> tuple[str, ...]:
        return tuple(name for name in self.limits if name in columns)

    def is_monotone(self, tables: PairTables) -> bool:
        """Whether every rule that is asked for, and every one behind it, is monotone."""
        waiting, met = list(self.ruled), set[str]()
        while waiting:
            name = waiting.pop()
            if name in met:
                continue
            met.add(name)
            if not tables.rules[name].monotone:
                return False
            waiting += [read for read in tables.rules[name].reads if read in tables.rules]
        return True


def original_name(name: str) -> str:
    """The metric behind a column."""
    return name.removeprefix(_NEGATIVE)


def _with_negatives(tables: PairTables, names: Sequence[str]) -> PairTables:
    """Each of these metrics once more, as its negative."""
    if not names:
        return tables
    rules = {**tables.rules, **{_NEGATIVE + name: PairRule(frozenset({name}), _negative_of(name)) for name in names}}
    return replace(tables, rules=rules)


def _negative_of(name: str) -> Any:
    return lambda metrics, knobs: -metrics[name]


def _one_sided(tables: PairTables) -> PairTables:
    """Rules that one side alone decides as columns of that side."""
    config, network = dict(tables.config_columns), dict(tables.network_columns)
    designs = design_columns(tables, np.arange(tables.n_designs))
    for name, rule in tables.rules.items():
        needs = tables.needs(rule)
        if tables.is_of_design(rule):
            config[name] = np.broadcast_to(designs[name], (tables.n_designs,)).astype(np.float64)
        elif needs <= set(tables.network_columns):
            made = {read: network[read] for read in rule.reads if read in network}
            if set(made) == set(rule.reads):
                network[name] = np.asarray(rule.function(made, {}), np.float64)
    rules = {name: rule for name, rule in tables.rules.items() if name not in config and name not in network}
    return replace(tables, config_columns=config, network_columns=network, rules=rules)
