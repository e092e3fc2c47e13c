"""Families that are no sum over layers, for the tests: a pipeline of two stages, a placement, a pair of devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.compose import LayerCounts
from hwmodels.families.base import Composition, CostModel, Metric, PairRule
from hwmodels.families.spatial.model import MODEL as SPATIAL
from hwmodels.families.spatial.spec import SpatialSpec
from hwmodels.families.spec import Spec, knob
from hwmodels.numerics import Numerics
from hwmodels.workload.table import I64, LayerTable

F64 = npt.NDArray[np.float64]


class StageTable(NamedTuple):
    """Columns of `StageSpec`."""

    rate: F64
    power_w: F64
    cut: I64


class StageSpec(Spec):
    """Two engines, one behind the other: the first runs the layers before the cut, the second those after."""

    table_type: ClassVar[type[Any]] = StageTable
    rate: float = knob(1e9, "operations a second and engine", source="a toy", unit="ops/s", gt=0)
    power_w: float = knob(0.1, "power of an engine that works", source="a toy", unit="W", ge=0)
    cut: int = knob(2, "layers on the first engine", source="a toy", ge=0, le=1000)

    @classmethod
    def numerics_table(cls, table: StageTable) -> F64:
        out = np.zeros((table.rate.size, len(Numerics._fields)))
        out[:, Numerics._fields.index("weight_bits")] = 8
        out[:, Numerics._fields.index("activation_bits")] = 8
        return out


def _work(table: LayerTable) -> F64:
    return (table.layers.macs + table.layers.vector_ops).astype(np.float64)


def two_stages(table: LayerTable, configs: StageTable, network: I64, config: I64) -> dict[str, F64]:
    """Which engine a layer runs on depends on its place in the network: no layer has a cost of its own."""
    work, start = _work(table)[table.networks.sequence], table.networks.sequence_start
    running = np.concatenate([np.zeros(1), np.cumsum(work)])
    first, after = start[network], start[network + 1]
    cut = np.minimum(first + configs.cut[config], after)
    before, behind = running[cut] - running[first], running[after] - running[cut]
    rate = configs.rate[config]
    return {
        "latency_s": (before + behind) / rate,
        "interval_s": np.maximum(before, behind) / rate,
        "energy_j": configs.power_w[config] * (before + behind) / rate,
    }


def _too_deep(metrics: Mapping[str, F64], knobs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int8]:
    return (metrics["weight_bytes"] > 4e4 * (1 + knobs["cut"])).astype(np.int8)


PIPELINE = CostModel(
    name="toy_pipeline",
    meaning="two engines in a row",
    spec=StageSpec,
    metrics=(
        Metric("latency_s", "composed", "through both engines"),
        Metric("interval_s", "composed", "the slower engine"),
        Metric("energy_j", "composed", "both engines while they work"),
        Metric("cut", "config", "layers on the first engine", "neither"),
    ),
    compose=Composition(two_stages),
    layerwise=None,
    config_metrics=lambda table: {"cut": table.cut.astype(np.float64)},
    objectives=("energy_j", "interval_s"),
    infeasible=PairRule(frozenset({"weight_bytes", "cut"}), _too_deep),
    infeasible_reasons=("the first engine is too small",),
)


def placement(table: LayerTable, configs: StageTable, network: I64, config: I64) -> dict[str, F64]:
    """The latency of a pair is no function of layer sums: layers go to `cut` engines in the order of their work."""
    counts, work = LayerCounts.of(table), _work(table)
    latency = np.empty(network.size)
    for p, (n, c) in enumerate(zip(network.tolist(), config.tolist(), strict=True)):
        part = slice(counts.start[n], counts.start[n + 1])
        sizes = np.sort(np.repeat(work[counts.rows[part]], counts.counts[part].astype(np.int64)))[::-1]
        places = max(int(configs.cut[c]), 1)
        latency[p] = max((float(sizes[k::places].sum()) for k in range(places)), default=0.0) / configs.rate[c]
    return {"latency_s": latency, "energy_j": configs.power_w[config] * latency}


PLACEMENT = CostModel(
    name="toy_placement",
    meaning="layers dealt out to engines by their work",
    spec=StageSpec,
    metrics=(
        Metric("latency_s", "composed", "the fullest engine"),
        Metric("energy_j", "composed", "while it works"),
    ),
    compose=Composition(placement),
    layerwise=None,
    config_metrics=lambda table: {},
    objectives=("energy_j", "latency_s"),
)


class PairTable(NamedTuple):
    """Columns of `PairSpec`; `array` is a table of the spatial family."""

    array: Any
    link_bytes_per_s: F64


class PairSpec(Spec):
    """Two equal systolic arrays that a network's layers are shared between, over a link."""

    table_type: ClassVar[type[Any]] = PairTable
    array: SpatialSpec = SpatialSpec()
    link_bytes_per_s: float = knob(1e9, "link between the two", source="a toy", unit="B/s", gt=0)

    @classmethod
    def numerics_table(cls, table: PairTable) -> F64:
        return SpatialSpec.numerics_table(table.array)


def two_arrays(table: LayerTable, configs: PairTable, network: I64, config: I64) -> dict[str, F64]:
    """Half of one array's time, and the peak activations over the link; the composition of another family is called."""
    from hwmodels.workload.memory import peak_activation_bytes

    alone = SPATIAL.compose.function(table, configs.array, network, config)
    moved_s = peak_activation_bytes(table)[network] / configs.link_bytes_per_s[config]
    return {"latency_s": alone["latency_s"] / 2 + moved_s, "energy_j": alone["energy_j"]}


TWO_ARRAYS = CostModel(
    name="toy_two_arrays",
    meaning="two systolic arrays and a link",
    spec=PairSpec,
    metrics=(
        Metric("latency_s", "composed", "half of the work, and the link"),
        Metric("energy_j", "composed", "both arrays"),
        Metric("area_mm2", "config", "both arrays"),
    ),
    compose=Composition(two_arrays),
    layerwise=None,
    config_metrics=lambda table: {"area_mm2": 2 * SPATIAL.config_metrics(table.array)["area_mm2"]},
    objectives=("energy_j", "latency_s", "area_mm2"),
)

__all__ = ["PIPELINE", "PLACEMENT", "TWO_ARRAYS", "PairSpec", "StageSpec", "placement", "two_stages"]
