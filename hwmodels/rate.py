"""Energy at a rate: what a device draws on average when inferences arrive so many times a second.

The energy of an inference tells nothing of the time between two of them, in which a chip leaks and a board idles::

    busy              = min(1, r L)                   share of the time, r batches a second of L seconds each
    average_power_w   = r (E - S) + idle_w + busy (S / L - idle_w) + refresh_w

E is the energy of a batch and S what of it runs with time alone, whatever is executed (`CostModel.static_energy`);
``idle_power_w`` is what the family draws between batches; ``refresh_w``, of a family that has it, what keeps its cells
as they were programmed. One batch after the other (r L <= 1) this is r E, and idle
power for the rest of the time; a pipeline may be busy with several at once.

Not modelled: waking up and going to sleep, clocks that fall while idle, batches that wait to be filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel, Metric, PairRule
from hwmodels.families.spec import Column

__all__ = ["NOT_REACHED", "at_rate"]

F64 = npt.NDArray[np.float64]

NOT_REACHED = "the rate is not reached"
"""The reason of a pair that takes longer than the time between two batches."""

_POWER = Metric("average_power_w", "rule", "power at the rate asked for, with what is drawn between inferences")


def at_rate(model: CostModel, rate_hz: float | None, *, where: str = "rate_hz") -> CostModel:
    """The family with ``average_power_w`` at `rate_hz` items a second; pairs that do not reach it are infeasible.

    None leaves the family as it is.

    Raises
    ------
    SpecError : a rate that is no number above 0, or a family that does not say what it draws when idle.

    >>> from hwmodels.families.base import family
    >>> at_rate(family("cpu"), 10.0).infeasible_reasons[-1]
    'the rate is not reached'
    """
    if rate_hz is None:
        return model
    if not (0 < rate_hz < inf):
        raise SpecError(where, rate_hz, "a number of inferences a second above 0")
    if model.static_energy is None:
        raise SpecError(where, f"family {model.name}", "one that says what it draws when idle")
    static = model.static_energy
    refresh = frozenset({"refresh_w"} & set(model.names))

    def power(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> F64:
        batches_per_s = rate_hz / metrics["batch"]
        latency_s, static_j, idle_w = metrics["latency_s"], metrics[static], metrics["idle_power_w"]
        busy = np.minimum(1.0, batches_per_s * latency_s)
        static_w = np.divide(static_j, latency_s, out=np.zeros_like(static_j), where=latency_s > 0)
        total: F64 = batches_per_s * (metrics["energy_j"] - static_j) + idle_w + busy * (static_w - idle_w)
        return total + metrics["refresh_w"] if refresh else total

    def infeasible(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> npt.NDArray[np.int8]:
        codes = model.infeasible.function(metrics, knobs)
        late = metrics["throughput_items_per_s"] < rate_hz
        return np.where((codes == 0) & late, np.int8(len(model.infeasible_reasons) + 1), codes).astype(np.int8)

    return replace(
        model,
        metrics=(*model.metrics, _POWER),
        derived={
            **model.derived,
            _POWER.name: PairRule(
                frozenset({"batch", "latency_s", "energy_j", static, "idle_power_w"}) | refresh, power
            ),
        },
        infeasible=PairRule(model.infeasible.reads | {"throughput_items_per_s"}, infeasible),
        infeasible_reasons=(*model.infeasible_reasons, NOT_REACHED),
    )
