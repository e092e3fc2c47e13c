"""Why one layer of a network costs what it costs: its place, its costs, and what the family knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwmodels.cost import CostReport, kind_of
from hwmodels.errors import SpecError
from hwmodels.families.base import CostModel, families, family
from hwmodels.families.spec import Spec

__all__ = ["explain_layer"]


def explain_layer(
    report: CostReport, model: CostModel, spec: Spec, layer: str, *, where: str = "layer"
) -> dict[str, Any]:
    """One executed layer: number and group, time, energy and limit, then what the family explains.

    Parameters
    ----------
    report : the network on `spec`. layer : a number in the order of execution, from 1, or a group as "conv 3x3",
        which names its first layer. where : what errors call the layer.

    Raises
    ------
    SpecError : a family that explains nothing, or a layer that the network does not have.
    """
    if model.explain is None:
        able = ", ".join(name for name in families() if family(name).explain is not None)
        raise SpecError(where, f"family {model.name}", f"one of those that explain a layer: {able}")
    rows = [report.table.layers.row(int(row)) for row in report.table.networks.sequence]
    groups = [kind_of(row) for row in rows]
    position = _position(layer, groups, where)
    found: dict[str, Any] = {"layer": position + 1, "group": groups[position]}
    if report.layers:
        named = {"latency_s": report.layer_time, "energy_j": report.layer_energy}
        found |= {name: float(report.layers[metric][position]) for name, metric in named.items()}
        found["limit"] = report.binding[position]
    return found | dict(model.explain(rows[position], spec))


def _position(layer: str, groups: Sequence[str], where: str) -> int:
    """The place of a layer that is named by number or by group."""
    if layer.isdecimal():
        if not 1 <= int(layer) <= len(groups):
            raise SpecError(where, layer, f"a layer from 1 to {len(groups)}, or a group as {groups[0]}")
        return int(layer) - 1
    if layer not in groups:
        raise SpecError.unknown(where, layer, set(groups))
    return groups.index(layer)
