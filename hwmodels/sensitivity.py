"""What the assumptions decide: every knob without a source moved to both ends of its plausible range.

One number that nobody measured may move an energy by an order of magnitude, or not at all; a prediction that does not
say which is not worth much. One knob moves at a time, the others stay, so ranges that belong together (a supply voltage
and its energy) are seen apart.

For pairs of networks and designs the span of a metric is the least and the greatest cost over that of the device as it
is. With several pairs it also shows what a choice between them rests on: in how many comparisons the order turns, and
which pairs join or leave the front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import layer_table

__all__ = ["STILL", "Ends", "Sensitivity", "assumed_knobs", "factors", "sensitivity"]

F64 = npt.NDArray[np.float64]
STILL = 0.005
"""Relative effects that three digits do not show."""


class Ends(NamedTuple):
    """A knob without a source: its value, and the ends of its plausible range widened to hold it."""

    name: str
    value: Any
    low: Any
    high: Any
    meaning: str


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Costs of P pairs with each of K knobs at both ends.

    base : (P, M). moved : (K, 2, P, M), at the low and the high end; NaN where the pair is infeasible then.
    knobs, metrics : in the order of the axes. more : (M,) whether more of a metric is better.
    """

    knobs: tuple[Ends, ...]
    metrics: tuple[str, ...]
    base: F64
    moved: F64
    more: npt.NDArray[np.bool_]

    def spans(self) -> F64:
        """Least and greatest cost over that of the device as it is, over all pairs, (K, M, 2).

        Costs of zero, which no factor moves, do not count; NaN where nothing is left.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(self.base > 0, self.moved / self.base, np.nan)
        kept = np.isfinite(ratios)
        low = np.where(kept, ratios, np.inf).min(axis=(1, 2), initial=np.inf)
        high = np.where(kept, ratios, -np.inf).max(axis=(1, 2), initial=-np.inf)
        spans = np.stack([np.fmin(low, 1.0), np.fmax(high, 1.0)], axis=-1)
        spans[~kept.any(axis=(1, 2))] = np.nan
        return spans

    def turned(self) -> npt.NDArray[np.int64]:
        """Comparisons of two pairs whose order turns at one end or the other, by knob and metric, (K, M)."""
        found = np.zeros((len(self.knobs), len(self.metrics)), np.int64)
        for first, second in combinations(range(len(self.base)), 2):
            before = np.sign(self.base[first] - self.base[second])
            after = np.sign(self.moved[:, :, first] - self.moved[:, :, second])  # (K, 2, M)
            found += (np.nan_to_num(after * before) < 0).any(axis=1)
        return found

    def front_changes(self) -> npt.NDArray[np.int64]:
        """Pairs that join or leave the front over all metrics at one end or the other, by knob, (K,)."""
        before = self._front(self.base)
        changed = [np.logical_or.reduce([self._front(costs) != before for costs in ends]).sum() for ends in self.moved]
        return np.array(changed, np.int64)

    def order(self) -> list[int]:
        """Knobs by how far they move any metric, the farthest first."""
        spans = np.nan_to_num(np.log(self.spans()), nan=0.0)
        reach = (spans[..., 1] - spans[..., 0]).max(axis=1, initial=0.0)
        found: list[int] = np.argsort(-reach, kind="stable").tolist()
        return found

    def moving(self) -> list[int]:
        """Knobs that move some metric by what three digits show, the farthest first."""
        effect = np.abs(np.nan_to_num(self.spans(), nan=1.0) - 1.0)
        return [k for k in self.order() if (effect[k] >= STILL).any()]

    def still(self) -> list[str]:
        """Names of the other knobs."""
        moving = self.moving()
        return [self.knobs[k].name for k in self.order() if k not in moving]

    def _front(self, costs: F64) -> npt.NDArray[np.bool_]:
        """Which pairs no other pair dominates, (P,); those that are infeasible are not on it."""
        less = np.where(self.more, -costs, costs)
        runs = np.all(np.isfinite(less), axis=-1)
        never_more = np.all(less[:, None] <= less[None], axis=-1)
        ever_less = np.any(less[:, None] < less[None], axis=-1)
        dominated = np.any(never_more & ever_less & np.asarray(runs)[:, None], axis=0)
        return np.asarray(runs & ~dominated)


def factors(low: float, high: float) -> str:
    """A span in words.

    >>> factors(0.125, 3.1), factors(1.0, 1.001), factors(float("nan"), 1.0)
    ('x0.125 to x3.1', 'x1', '-')
    """
    if low != low:
        return "-"
    return "x1" if high - low < STILL else f"x{low:.3g} to x{high:.3g}"


def assumed_knobs(spec: Spec, sources: dict[str, str] | None = None) -> tuple[Ends, ...]:
    """The numbers of a design that rest on no source: defaults left as they are, and those its device file says so of.

    sources : knob -> source of a device file.

    >>> from hwmodels.families.spatial.spec import SpatialSpec
    >>> [ends.name for ends in assumed_knobs(SpatialSpec())][:2]
    ['vector_lanes', 'sram_bytes_per_cycle']
    """
    found, values, given = [], spec.values(), sources or {}
    for name, knob in type(spec).knobs().items():
        stated = given.get(name, "").startswith("ASSUMED") if name in given else values[name] == knob.default
        if knob.plausible is None or not stated:
            continue
        value, kind = values[name], type(values[name])
        low, high = min(knob.plausible[0], value), max(knob.plausible[1], value)
        found.append(Ends(name, value, kind(max(low, knob.low)), kind(min(high, knob.high)), knob.meaning))
    return tuple(found)


def sensitivity(
    workloads: Sequence[Workload],
    model: CostModel,
    specs: Sequence[Spec],
    *,
    metrics: Sequence[str],
    knobs: Sequence[Ends],
) -> Sensitivity:
    """Costs of pairs with each knob at both ends of its range.

    Parameters
    ----------
    workloads, specs : P pairs, one network and one design each.

    Raises
    ------
    SpecError : an unknown metric, or no knob.
    """
    if not knobs:
        raise SpecError("sensitivity", "no knob", "at least one knob without a source")
    better = [model.metric(name, where="metrics").better for name in metrics]
    table = layer_table(list(workloads))
    designs = [list(specs)] + [
        [spec.changed({ends.name: end}) for spec in specs] for ends in knobs for end in (ends.low, ends.high)
    ]
    size, variants = len(specs), len(designs)
    configs = type(specs[0]).to_table([spec for row in designs for spec in row])
    costs = evaluate_pairs(
        model, table, configs, network=np.tile(np.arange(size), variants), config=np.arange(size * variants)
    )
    values = np.stack([np.asarray(costs.columns[name], np.float64) for name in metrics], axis=-1)
    values[costs.infeasible > 0] = np.nan
    values = values.reshape(variants, size, len(metrics))
    return Sensitivity(
        tuple(knobs),
        tuple(metrics),
        values[0],
        values[1:].reshape(len(knobs), 2, size, len(metrics)),
        np.array([word == "more" for word in better]),
    )
