"""Results of a cost model with their axes, names and units: CostTensor (all pairs) and CostReport (one pair)."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwmodels.units import format_quantity, split_unit
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import LayerTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CostReport", "CostTensor", "kind_of"]

F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CostTensor:
    """Cost of every (configuration, layer) pair.

    values : (C, L, M) float64, per batch, in the SI unit that the metric's name ends in (area in mm²).
    choice : (C, L) int16, the id of what the model chose for the pair (dataflow, algorithm), see `choices`.
    """

    values: F64
    choice: npt.NDArray[np.int16]
    metrics: tuple[str, ...]
    choices: tuple[str, ...]

    def __getitem__(self, metric: str) -> F64:
        """One metric, (C, L)."""
        column: F64 = self.values[:, :, self.metrics.index(metric)]
        return column


@dataclass(frozen=True, eq=False, repr=False)
class CostReport:
    """One network on one configuration.

    batch : items. totals : network-level metrics by name. layers : per executed layer, in order, by name of the layer
    metric; empty where the layers of the family do not add up. binding : per executed layer the largest of the model's
    time terms. layer_time, layer_energy : the layer metrics that are time and energy. infeasible : the reason, or None.
    """

    network: str
    batch: int
    family: str
    table: LayerTable
    totals: dict[str, float]
    layers: dict[str, F64]
    choice: tuple[str, ...]
    binding: tuple[str, ...]
    layer_time: str
    layer_energy: str
    energy_terms: tuple[str, ...]
    infeasible: str | None

    def __repr__(self) -> str:
        state = f"infeasible: {self.infeasible}" if self.infeasible else ", ".join(self._headline())
        return f"CostReport({self.network}, batch {self.batch}, {self.family}: {state})"

    def _repr_html_(self) -> str:
        """The headline and the groups of layers, for notebooks."""
        import pandas as pd

        groups: str = pd.DataFrame(self.groups()).to_html(index=False) if self.layers else ""
        return f"<p>{escape(repr(self))}</p>{groups}"

    def _headline(self) -> list[str]:
        """The metrics that every reader looks for first, where the family has them."""
        shown = ("latency_s", "energy_j", "area_mm2")
        named = [(split_unit(name), self.totals[name]) for name in shown if name in self.totals]
        return [f"{quantity} {format_quantity(value, unit)}" for (quantity, unit), value in named]

    def to_frame(self) -> pd.DataFrame:
        """One row an executed layer, in order: its kind, what limits it, what was chosen, and its metrics per batch.

        Columns of layer metrics have the unit in their name. A family whose layers do not add up gives no rows.
        """
        import pandas as pd

        if not self.layers:
            return pd.DataFrame(columns=["layer", "limit"])
        rows = [self.table.layers.row(int(row)) for row in self.table.networks.sequence]
        columns: dict[str, Any] = {"layer": [kind_of(row) for row in rows], "macs": [row.macs for row in rows]}
        columns["limit"] = list(self.binding)
        if self.choice:
            columns["choice"] = list(self.choice)
        return pd.DataFrame(columns | dict(self.layers))

    def total(self, metric: str) -> float:
        return self.totals[metric]

    def breakdown(self) -> dict[str, float]:
        """Energy by term, J per batch."""
        return {term: self.totals[term] for term in self.energy_terms}

    def bottleneck(self) -> dict[str, float]:
        """Share of the latency by binding limit, largest first."""
        shares: dict[str, float] = {}
        for limit, seconds in zip(self.binding, self.layers.get(self.layer_time, ()), strict=True):
            shares[limit] = shares.get(limit, 0.0) + float(seconds)
        whole = sum(shares.values()) or 1.0
        return {limit: shares[limit] / whole for limit in sorted(shares, key=lambda name: -shares[name])}

    def groups(self) -> list[dict[str, Any]]:
        """Layers of one kind and binding limit together, the slowest group first.

        Keys: group, limit, layers, macs, latency_s, energy_j (per batch).
        """
        groups: dict[tuple[str, str], dict[str, Any]] = {}
        if not self.layers:
            return []
        for position, row_id in enumerate(self.table.networks.sequence):
            row = self.table.layers.row(int(row_id))
            name, limit = kind_of(row), self.binding[position]
            empty = {"group": name, "limit": limit, "layers": 0, "macs": 0, "latency_s": 0.0, "energy_j": 0.0}
            group = groups.setdefault((name, limit), empty)
            group["layers"] += 1
            group["macs"] += row.macs
            group["latency_s"] += float(self.layers[self.layer_time][position])
            group["energy_j"] += float(self.layers[self.layer_energy][position])
        return sorted(groups.values(), key=lambda group: -group["latency_s"])

    @property
    def items_per_s(self) -> float:
        """Throughput: a batch every initiation interval."""
        seconds = self.totals["interval_s"]
        return self.batch / seconds if seconds > 0 else float("inf")


def kind_of(row: Row) -> str:
    """A layer's kind as people name it: "conv 3x3", "depthwise 3x3", "linear"."""
    if row.kind != Kind.CONV:
        return Kind(row.kind).name.lower()
    style = "depthwise" if row.groups == row.in_channels > 1 else "grouped conv" if row.groups > 1 else "conv"
    return f"{style} {row.kernel_h}x{row.kernel_w}"
