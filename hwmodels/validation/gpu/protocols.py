"""Two protocols for tables of measured kernels, with their scores: a device left out, or thirty of its kernels seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.validate import MetricName, Score, score
from hwmodels.validation.gpu.baselines import four_constants, macs_at_best_rate, roofline
from hwmodels.validation.gpu.shared_fit import Case, Constants, fit_shared, seconds, with_constants

__all__ = ["METRICS", "SHOTS", "VIEW", "Held", "few_shot", "held_scores", "leave_out", "mean_scores", "predict"]

F64 = npt.NDArray[np.float64]

METRICS: tuple[MetricName, ...] = ("mape", "median_error", "p90_error")
SHOTS = 30
_DRAWS = 5
_CLOSE = 1.0
"""Weight of the other devices' constants where thirty kernels of a device are seen; of their width in the ranges."""

VIEW = "structure, plausible ranges and device facts were chosen with these tables in view"


class Held(NamedTuple):
    """Predictions of one device's rows beside what was measured, and where their constants come from.

    law : of the four-constant law, or None.
    """

    case: Case
    predicted: F64
    fitted_on: str
    law: F64 | None = None


def predict(case: Case, constants: Mapping[str, float]) -> F64:
    """Time of every measurement, (N,)."""
    found: F64 = seconds(with_constants(case, constants), {})[0]
    return found


def leave_out(
    cases: Sequence[Case], names: Sequence[str], *, groups: Sequence[Sequence[str]] = (), law: bool = False,
    base: Mapping[str, Constants] | None = None,
) -> dict[str, tuple[Held, dict[str, float]]]:  # fmt: skip
    """Each device (or group of them) predicted by constants fitted on 800 rows of each of the others.

    groups : names of cases that are left out together; each alone where none are given. law : the four-constant law of
    the same devices beside it. base : constants that are not fitted here, by the device that is left out; none of its
    own rows may be in them.
    """
    found = {}
    for group in groups or [(case.name,) for case in cases]:
        before = (base or {}).get(group[0], {})
        seen = [with_constants(case.drawn(0), before) for case in cases if case.name not in group]
        constants = {**before, **fit_shared(seen, names)}
        rows = ", ".join(f"{case.measured.size} rows of {case.name}" for case in seen)
        rule = four_constants(seen) if law else None
        for case in cases:
            if case.name in group:
                held = Held(case, predict(case, constants), f"{rows}; {VIEW}", rule(case) if rule else None)
                found[case.name] = held, constants
    return found


def few_shot(case: Case, constants: Mapping[str, float], names: Sequence[str]) -> list[Held]:
    """Some constants fitted to 30 random rows of the device and drawn to those of the others; the rest, in 5 draws."""
    found = []
    centre = {name: constants.get(name, getattr(case.parts[0].spec, name)) for name in names}
    for draw in range(_DRAWS):
        order = np.random.default_rng([30, draw]).permutation(case.measured.size)
        seen, unseen = with_constants(case.take(order[:SHOTS]), constants), case.take(order[SHOTS:])
        own = fit_shared([seen], names, centre=centre, weight=_CLOSE * 800)
        told = f"{SHOTS} rows of the group, mean of {_DRAWS} draws; before, other devices; {VIEW}"
        found.append(Held(unseen, predict(unseen, {**constants, **own}), told))
    return found


def held_scores(
    name: str, group: str, protocol: str, held: Sequence[Held], rows_in_file: int, skipped: Mapping[str, int]
) -> list[Score]:
    """Means over draws (one where nothing is drawn), beside those of the baselines."""
    found = []
    for metric in METRICS:
        values = {"model": [score(metric, one.predicted, one.case.measured) for one in held]}
        values["MACs at the best rate"] = [
            score(metric, macs_at_best_rate(one.case), one.case.measured) for one in held
        ]
        values["roofline and launch"] = [score(metric, roofline(one.case), one.case.measured) for one in held]
        if held[0].law is not None:
            values["law of 4 constants"] = [
                score(metric, one.law, one.case.measured) for one in held if one.law is not None
            ]
        means = {which: float(np.mean(some)) for which, some in values.items()}
        value = means.pop("model")
        found.append(
            Score(
                family="gpu", set=name, group=group, protocol=protocol, rows=held[0].case.measured.size,
                rows_in_file=rows_in_file, metric=metric, value=value, skipped=skipped, fitted_on=held[0].fitted_on,
                baseline=means,
            )
        )  # fmt: skip
    return found


def mean_scores(scores: Sequence[Score], group: str) -> list[Score]:
    """Means over the groups of a protocol, metric by metric."""
    found = []
    for metric in METRICS:
        some = [one for one in scores if one.metric == metric]
        if len(some) < 2:
            continue
        names = list(some[0].baseline or {})
        baseline = {name: float(np.mean([(one.baseline or {})[name] for one in some])) for name in names}
        found.append(
            Score(
                family="gpu", set=some[0].set, group=group, protocol=some[0].protocol,
                rows=sum(one.rows for one in some), rows_in_file=some[0].rows_in_file, metric=metric,
                value=float(np.mean([one.value for one in some])), skipped=some[0].skipped,
                fitted_on="for each device the others", baseline=baseline,
            )
        )  # fmt: skip
    return found
