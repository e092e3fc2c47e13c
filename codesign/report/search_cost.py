"""What a search itself cost: trainings, processor time, and its energy by the device model of the host.

    core-seconds = trainings + evaluations + FAST level
    energy = core_w core-seconds + idle_w wall seconds

A training and an evaluation have one thread each, so that their wall times are core-seconds; the FAST level counts as
one core. `core_w` and `idle_w` are knobs of the family `cpu`. Work that a kill lost is not counted, nor are reports.

Not modelled: the energy of the operations themselves, which is below a hundredth of a server's core power, and
accelerators, on which nothing here trains.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from codesign.store import RunStore
from codesign.two_level.ledger import Ledger
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.units import format_quantity

__all__ = ["SearchCost", "check_host", "search_cost"]

_HOUR = 3600.0


class SearchCost(NamedTuple):
    """Of a run so far.

    trainings : networks trained. training_core_s, evaluation_core_s, costs_core_s : processor time by what it was
    spent on. wall_s : by the clock. host : device that the energy is told by, as the run names it; None where it
    names none. energy_j : None where there is no host.
    """

    trainings: int
    training_core_s: float
    evaluation_core_s: float
    costs_core_s: float
    wall_s: float
    host: str | None = None
    energy_j: float | None = None

    @property
    def core_s(self) -> float:
        return self.training_core_s + self.evaluation_core_s + self.costs_core_s

    def as_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "core_hours": self.core_s / _HOUR}

    def __str__(self) -> str:
        parts = {
            "training": self.training_core_s,
            "evaluation": self.evaluation_core_s,
            "costs": self.costs_core_s,
        }
        spent = ", ".join(f"{name} {format_quantity(seconds, 's')}" for name, seconds in parts.items() if seconds)
        hours = f"{self.core_s / _HOUR:.3g} CPU-hours ({spent})" if spent else "no processor time"
        if self.energy_j is None:
            return f"{hours}; `host: DEVICE` in the run file gives the energy"
        return f"{hours}, {format_quantity(self.energy_j / _HOUR, 'Wh')} on {self.host} by its model"


def check_host(name: str) -> CpuSpec:
    """The device that a search runs on.

    Raises
    ------
    SpecError : an unknown device, or one that is no processor.
    """
    found = device(name)
    if not isinstance(found.spec, CpuSpec):
        raise SpecError("host", f"{name}, of the family {found.model.name}", "a device of the family cpu")
    return found.spec


def search_cost(store: RunStore, ledger: Ledger, host: str | None) -> SearchCost:
    """Read what a run has spent.

    Parameters
    ----------
    ledger : of the whole run. host : device of the family `cpu` that it runs on.
    """
    training, evaluation = store.seconds()
    costs, wall = ledger.seconds.get("fast", 0.0), sum(ledger.seconds.values())
    found = SearchCost(ledger.trained, training, evaluation, costs, wall)
    if host is None:
        return found
    spec = check_host(host)
    return found._replace(host=host, energy_j=spec.core_w * found.core_s + spec.idle_w * wall)
