"""From layers and configurations to the cost of (network, hardware) pairs, in bounded memory.

`layer_costs` runs a family's kernel over all pairs of layers and configurations; `evaluate_pairs` answers listed
(network, configuration) pairs, which is what the FAST level asks for; `evaluate` and `sweep` are for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwmodels.compose import Gathered, PairColumns, tensor_of
from hwmodels.cost import CostReport, CostTensor
from hwmodels.errors import SpecError
from hwmodels.families import base
from hwmodels.families.base import CostModel, Layerwise, PairRule
from hwmodels.families.spec import Spec, columns_of, n_configs
from hwmodels.grid import Grid
from hwmodels.workload.graph import Workload
from hwmodels.workload.memory import kv_cache_bytes, peak_activation_bytes, weight_bytes
from hwmodels.workload.table import I64, LayerTable, layer_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "NETWORK_METRICS",
    "PairCosts",
    "design_metrics",
    "evaluate",
    "evaluate_pairs",
    "layer_costs",
    "layerwise_of",
    "network_metrics",
    "sweep",
    "sweep_parts",
]

F64 = npt.NDArray[np.float64]

NETWORK_METRICS = tuple(metric.name for metric in base.NETWORK_METRICS)


class PairCosts:
    """Costs of P (network, configuration) pairs.

    columns : metric -> (P,) float64 per batch, made when asked for. infeasible : (P,) int8, 0 or 1 + an index into
    `reasons`.
    """

    def __init__(self, columns: PairColumns, rule: PairRule, reasons: tuple[str, ...], size: int) -> None:
        self.columns, self.reasons = columns, reasons
        self._rule, self._size = rule, size

    @cached_property
    def infeasible(self) -> npt.NDArray[np.int8]:
        codes: npt.NDArray[np.int8] = np.broadcast_to(np.asarray(self.columns.ask(self._rule), np.int8), (self._size,))
        return codes


class _Columns(Mapping[str, Any]):
    """Columns made by a function each, when asked for, and kept."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers, self._made = makers, dict[str, Any]()

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


class _ConfigMetrics(Mapping[str, F64]):
    """Metrics of the designs alone, (C,) each, made together when the first is asked for."""

    def __init__(self, model: CostModel, configs: Any) -> None:
        self._model, self._configs = model, configs
        self._names = tuple(metric.name for metric in model.metrics if metric.reduction == "config")

    @cached_property
    def _made(self) -> dict[str, F64]:
        return self._model.config_metrics(self._configs)

    def __getitem__(self, name: str) -> F64:
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def layerwise_of(model: CostModel, purpose: str) -> Layerwise:
    """The layer costs of a family where they add up.

    Raises
    ------
    SpecError : the family's layers do not add up, so that `purpose` is not to be had.
    """
    if model.layerwise is None:
        raise SpecError(purpose, f"family {model.name}", "of layers that add up", "its pairs are costed whole")
    return model.layerwise


def layer_costs(model: CostModel, table: LayerTable, configs: Any) -> CostTensor:
    """Cost of every layer on every configuration, (C, L, M).

    Raises
    ------
    SpecError : a family whose layers do not add up.
    """
    layerwise = layerwise_of(model, "layer costs")
    values, choice = tensor_of(layerwise, table.layers, configs)
    return CostTensor(values, choice, layerwise.metrics, layerwise.choices)


def evaluate_pairs(model: CostModel, table: LayerTable, configs: Any, *, network: I64, config: I64) -> PairCosts:
    """Costs of the pairs (network[i], config[i]).

    Parameters
    ----------
    table : N networks. configs : the family's table of C configurations. network, config : (P,) indices.
    """
    columns = PairColumns(
        model.composed_metrics,
        lambda name: model.compose.function(table, configs, network, config),
        config=Gathered(design_metrics(model, configs), config),
        network=Gathered(network_metrics(table), network),
        rules=model.rules,
        knobs=Gathered(columns_of(configs), config),
    )
    return PairCosts(columns, model.infeasible, model.infeasible_reasons, network.size)


def design_metrics(model: CostModel, configs: Any) -> Mapping[str, F64]:
    """Metrics of the hardware alone, (C,) each, made together when the first is asked for."""
    return _ConfigMetrics(model, configs)


def network_metrics(table: LayerTable) -> Mapping[str, F64]:
    """Metrics of the network alone, (N,) each, made when asked for."""
    return _Columns(
        {
            "parameters": lambda: table.totals("parameters").astype(np.float64),
            "macs": lambda: table.totals("macs").astype(np.float64),
            "weight_bytes": lambda: weight_bytes(table),
            "kv_cache_bytes": lambda: kv_cache_bytes(table),
            "peak_activation_bytes": lambda: peak_activation_bytes(table),
            "batch": lambda: _batch(table),
            **{name: partial(_as_it_is, values) for name, values in table.columns.items()},
        }
    )


def _as_it_is(values: F64) -> F64:
    return values


def _batch(table: LayerTable) -> F64:
    """Items a batch, (N,): those of the first layer; one where a network has no layer."""
    start = table.networks.sequence_start
    found = np.ones(table.n_networks)
    has_layers = start[1:] > start[:-1]
    found[has_layers] = table.layers.batch[table.networks.sequence[start[:-1][has_layers]]]
    return found


def evaluate(workload: Workload, model: CostModel, spec: Spec) -> CostReport:
    """One network on one configuration, layer by layer.

    >>> from hwmodels.catalog import device
    >>> from hwmodels.workload.zoo import network
    >>> isaac = device("isaac")
    >>> report = evaluate(network("resnet18"), isaac.model, isaac.spec)
    >>> report.total("energy_j") > 0
    True
    """
    table = layer_table([workload])
    configs = type(spec).to_table([spec])
    zero = np.zeros(1, np.int64)
    costs = evaluate_pairs(model, table, configs, network=zero, config=zero)
    layers, choice, binding = _layers(model, table, configs) if model.layerwise else ({}, (), ())
    code = int(costs.infeasible[0])
    return CostReport(
        network=workload.name,
        batch=workload.batch,
        family=model.name,
        table=table,
        totals={name: float(values[0]) for name, values in costs.columns.items()},
        layers=layers,
        choice=choice,
        binding=binding,
        layer_time=model.layer_time,
        layer_energy=model.layer_energy,
        energy_terms=model.energy_terms,
        infeasible=costs.reasons[code - 1] if code else None,
    )


def _layers(
    model: CostModel, table: LayerTable, configs: Any
) -> tuple[dict[str, F64], tuple[str, ...], tuple[str, ...]]:
    """Of each executed layer of one network on one design: its metrics, what was chosen, and what limits it."""
    tensor, sequence = layer_costs(model, table, configs), table.networks.sequence
    layers = {name: tensor[name][0, sequence] for name in tensor.metrics}
    choice = tuple(tensor.choices[i] for i in tensor.choice[0, sequence]) if tensor.choices else ()
    terms = model.time_terms or (model.layer_time,)
    largest = np.stack([layers[name] for name in terms]).argmax(axis=0)
    return layers, choice, tuple(terms[i] for i in largest)


def sweep(workloads: Sequence[Workload], model: CostModel, designs: Grid | Sequence[Spec]) -> pd.DataFrame:
    """Every network on every configuration: one row a pair, knobs that vary and all metrics as columns.

    The whole table is held in memory; `sweep_parts` yields it in parts.
    """
    import pandas as pd

    parts = list(sweep_parts(workloads, model, designs))
    return parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)


_PAIRS = 8192  # a part of a sweep: some tens of MB of layer costs


def sweep_parts(
    workloads: Sequence[Workload], model: CostModel, designs: Grid | Sequence[Spec], *, pairs: int = _PAIRS
) -> Iterator[pd.DataFrame]:
    """The rows of `sweep` in parts of about `pairs`, network by network, in bounded memory."""
    slices, table, size = _slices(designs), layer_table(workloads), len(designs)
    together = max(1, pairs // size)
    for first in range(0, len(workloads), together):
        networks = range(first, min(first + together, len(workloads)))
        for start in range(0, size, pairs):
            configs, knobs = slices(start, min(start + pairs, size))
            yield _pairs_frame(model, table, configs, knobs, networks)


Slices = Callable[[int, int], tuple[Any, Mapping[str, Any]]]


def _slices(designs: Grid | Sequence[Spec]) -> Slices:
    """(start, stop) -> the table of those designs, and the knobs that vary over all of them, by name."""
    if isinstance(designs, Grid):
        return lambda start, stop: (designs.table(start, stop), designs.columns(start, stop))
    spec, dumps = type(designs[0]), [design.values() for design in designs]
    varying = [name for name in spec.knobs() if len({dump[name] for dump in dumps}) > 1]
    return lambda start, stop: (
        spec.to_table(designs[start:stop]),
        {name: np.array([dump[name] for dump in dumps[start:stop]]) for name in varying},
    )


def _pairs_frame(
    model: CostModel, table: LayerTable, configs: Any, knobs: Mapping[str, Any], networks: range
) -> pd.DataFrame:
    """All pairs of some networks and configurations as rows."""
    import pandas as pd

    size = n_configs(configs)
    network, config = np.repeat(np.array(networks), size), np.tile(np.arange(size), len(networks))
    costs = evaluate_pairs(model, table, configs, network=network, config=config)
    columns: dict[str, Any] = {"network": np.array(table.names)[network]}
    columns |= {name: values[config] for name, values in knobs.items()}
    columns |= dict(costs.columns)
    columns["infeasible"] = np.array(["", *costs.reasons])[costs.infeasible]
    return pd.DataFrame(columns)
