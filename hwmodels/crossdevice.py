"""Networks across devices: which is fastest where, and how far the devices agree on the order.

A network that was searched for one device should win there and may lose elsewhere [Wu et al., FBNet, CVPR 2019,
table 4]; a table of every network on every device shows it, and the rank correlation of two devices says in one number
whether one could stand for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import Device
from hwmodels.evaluate import evaluate_pairs
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import layer_table

__all__ = ["CrossTable", "cross_devices"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CrossTable:
    """One metric of N networks on D devices, per batch.

    values : (N, D), in the SI unit of the metric's name; infinite where a device cannot run a network.
    """

    metric: str
    networks: tuple[str, ...]
    devices: tuple[str, ...]
    values: F64

    @property
    def best(self) -> tuple[str, ...]:
        """Name of the best network of each device."""
        return tuple(self.networks[i] for i in self.values.argmin(axis=0))

    def agreement(self) -> F64:
        """Spearman's rank correlation of each pair of devices over the networks, (D, D); NaN below three networks."""
        from scipy.stats import spearmanr

        n = len(self.devices)
        found = np.full((n, n), np.nan)
        if len(self.networks) > 2:
            for i in range(n):
                for j in range(n):
                    found[i, j] = 1.0 if i == j else float(spearmanr(self.values[:, i], self.values[:, j]).statistic)
        return found


def cross_devices(workloads: Sequence[Workload], devices: Sequence[Device], *, metric: str = "latency_s") -> CrossTable:
    """Every network on every device, of whatever families.

    >>> from hwmodels.catalog import device
    >>> from hwmodels.workload.zoo import network
    >>> nets = [network("resnet18"), network("mobilenet_v2")]
    >>> cross_devices(nets, [device("systolic_edge"), device("tpu_v1")]).values.shape
    (2, 2)

    Raises
    ------
    SpecError : a metric that one of the families does not answer.
    """
    for device in devices:
        device.model.metric(metric, where=f"metric of {device.name}")
    table = layer_table(list(workloads))
    network = np.arange(table.n_networks)
    values = np.empty((table.n_networks, len(devices)))
    for d, device in enumerate(devices):
        configs = type(device.spec).to_table([device.spec])
        costs = evaluate_pairs(device.model, table, configs, network=network, config=np.zeros_like(network))
        values[:, d] = np.where(costs.infeasible > 0, np.inf, costs.columns[metric])
    return CrossTable(metric, table.names, tuple(device.name for device in devices), values)
