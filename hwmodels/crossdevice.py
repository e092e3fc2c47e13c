"""Networks across devices: which is fastest where, and how far the devices agree on the order.

A network that was searched for one device should win there and may lose elsewhere [Wu et al., FBNet, CVPR 2019,
table 4]; a table of every network on every device shows it, and the rank correlation of two devices says in one number
whether one could stand for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import Device
from hwmodels.evaluate import evaluate_pairs
from hwmodels.executed_formats import as_stored
from hwmodels.rate import at_rate
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import layer_table

__all__ = ["Conditions", "CrossTable", "conditions_of", "cross_devices", "rank_agreement"]

F64 = npt.NDArray[np.float64]


class Conditions(NamedTuple):
    """Under what a device runs networks; empty where it does not say. `threads` 0 is one a fast core."""

    threads: str = ""
    runtime: str = ""


def conditions_of(device: Device) -> Conditions:
    """Threads and runtime of a device.

    >>> from hwmodels.catalog import device
    >>> conditions_of(device("rpi3"))
    Conditions(threads='all fast cores', runtime='ncnn')
    """
    threads = device.spec.values().get("threads")
    shown = "" if threads is None else "all fast cores" if threads == 0 else str(threads)
    return Conditions(shown, device.runtime)


@dataclass(frozen=True, eq=False)
class CrossTable:
    """One metric of N networks on D devices, per batch.

    values : (N, D), in the SI unit of the metric's name; infinite where a device cannot run a network. reasons : why,
    by device and network, "" where it can. conditions : of each device.
    """

    metric: str
    networks: tuple[str, ...]
    devices: tuple[str, ...]
    values: F64
    reasons: tuple[tuple[str, ...], ...]
    conditions: tuple[Conditions, ...]
    more: bool = False

    @property
    def best(self) -> tuple[str | None, ...]:
        """Name of the best network of each device; None where none of them runs."""
        first, values = self._minimised.argmin(axis=0), self._minimised.min(axis=0)
        return tuple(self.networks[i] if np.isfinite(value) else None for i, value in zip(first, values, strict=True))

    @property
    def order(self) -> list[int]:
        """Devices by the metric of their best network, the best first; those that run none last."""
        found: list[int] = np.argsort(self._minimised.min(axis=0), kind="stable").tolist()
        return found

    @property
    def differing(self) -> dict[str, tuple[str, ...]]:
        """Conditions that devices state and that are not the same on all: the hardware alone does not decide."""
        found = {}
        for name in Conditions._fields:
            stated = [getattr(condition, name) for condition in self.conditions]
            values = tuple(dict.fromkeys(filter(None, stated)))
            if len(values) > 1:
                found[name] = values
        return found

    def agreement(self) -> F64:
        """Spearman's rank correlation of each pair of devices, see `rank_agreement`, (D, D)."""
        return rank_agreement(self.values)

    @property
    def _minimised(self) -> F64:
        """Values of which less is better, infinite where nothing runs, (N, D)."""
        return np.where(np.isfinite(self.values), -self.values if self.more else self.values, np.inf)


def cross_devices(
    workloads: Sequence[Workload], devices: Sequence[Device], *, metric: str = "latency_s", rate_hz: float | None = None
) -> CrossTable:
    """Every network on every device, of whatever families.

    rate_hz : items a second that arrive, see `hwmodels.rate`.

    >>> from hwmodels.catalog import device
    >>> from hwmodels.workload.zoo import network
    >>> nets = [network("resnet18"), network("mobilenet_v2")]
    >>> cross_devices(nets, [device("systolic_edge"), device("tpu_v1")]).values.shape
    (2, 2)

    Raises
    ------
    SpecError : a metric that one of the families does not answer.
    """
    models = [at_rate(device.model, rate_hz) for device in devices]
    better = {
        model.metric(metric, where=f"metric of {device.name}").better
        for model, device in zip(models, devices, strict=True)
    }
    names = tuple(workload.name for workload in workloads)
    network = np.arange(len(names))
    values = np.empty((len(names), len(devices)))
    reasons = []
    for d, (device, model) in enumerate(zip(devices, models, strict=True)):
        table = layer_table([as_stored(workload, device.spec) for workload in workloads])
        configs = type(device.spec).to_table([device.spec])
        costs = evaluate_pairs(model, table, configs, network=network, config=np.zeros_like(network))
        values[:, d] = np.where(costs.infeasible > 0, np.inf, costs.columns[metric])
        reasons.append(tuple(costs.reasons[code - 1] if code else "" for code in costs.infeasible))
    return CrossTable(
        metric,
        names,
        tuple(device.name for device in devices),
        values,
        tuple(reasons),
        tuple(conditions_of(device) for device in devices),
        more="more" in better,
    )


def rank_agreement(values: F64) -> F64:
    """Spearman's rank correlation of each two columns over the rows (N, D) that are finite in both, (D, D).

    NaN below three such rows, and where one of the columns is constant over them.
    """
    from scipy.stats import spearmanr

    n = values.shape[1]
    found = np.full((n, n), np.nan)
    there = np.isfinite(values)
    for i in range(n):
        for j in range(n):
            both = there[:, i] & there[:, j]
            ours, theirs = values[both, i], values[both, j]
            if both.sum() > 2 and np.ptp(ours) > 0 and np.ptp(theirs) > 0:
                found[i, j] = 1.0 if i == j else float(spearmanr(ours, theirs).statistic)
    return found
