"""From layers and configurations to the cost of (network, hardware) pairs, in bounded memory.

`layer_costs` runs a family's kernel over all pairs of layers and configurations; `evaluate_pairs` reduces to listed
(network, configuration) pairs, which is what the FAST level asks for; `evaluate` and `sweep` are for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba import njit

from hwmodels.cost import CostReport, CostTensor
from hwmodels.families.base import CostModel, Spec
from hwmodels.workload.graph import Workload
from hwmodels.workload.memory import kv_cache_bytes, peak_activation_bytes, weight_bytes
from hwmodels.workload.table import I64, LayerTable, layer_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NETWORK_METRICS", "PairCosts", "evaluate", "evaluate_pairs", "layer_costs", "network_metrics", "sweep"]

F64 = npt.NDArray[np.float64]

NETWORK_METRICS = ("parameters", "macs", "weight_bytes", "kv_cache_bytes", "peak_activation_bytes")
_CHUNK_VALUES = 4_000_000
"""Float64 values of a kernel's output held at once: 32 MB."""


@dataclass(frozen=True, eq=False)
class PairCosts:
    """Costs of P (network, configuration) pairs.

    columns : metric -> (P,) float64 per batch. infeasible : (P,) int8, 0 or 1 + an index into `reasons`.
    """

    columns: Mapping[str, F64]
    infeasible: npt.NDArray[np.int8]
    reasons: tuple[str, ...]


def layer_costs(model: CostModel, table: LayerTable, configs: Any) -> CostTensor:
    """Cost of every layer on every configuration, (C, L, M)."""
    n_configs = configs[0].size
    shape = (n_configs, table.n_layers)
    values = np.zeros((*shape, len(model.layer_metrics)))
    choice = np.zeros(shape, np.int16)
    model.cost(table.layers, configs, np.zeros(model.scratch_size), values, choice)
    return CostTensor(values, choice, model.layer_metrics, model.choices)


def evaluate_pairs(model: CostModel, table: LayerTable, configs: Any, *, network: I64, config: I64) -> PairCosts:
    """Costs of the pairs (network[i], config[i]).

    Parameters
    ----------
    table : N networks. configs : the family's table of C configurations. network, config : (P,) indices.

    Pairs are evaluated in order of configuration. A block of configurations is costed either on all layers, or,
    where pairs are few and layers many, on the layers that its pairs have: whichever is fewer kernel evaluations.
    """
    n_pairs = network.size
    metrics = model.layer_metrics
    columns = {name: np.empty(n_pairs) for name in metrics}
    is_max = np.array([model.reduction(name) == "max" for name in metrics])
    rows, counts, start = _unique_rows(table)
    order = np.argsort(config, kind="stable")
    mean_rows = max(rows.size / max(table.n_networks, 1), 1.0)
    pairs_a_block = max(int(_CHUNK_VALUES / (len(metrics) * mean_rows)), 1)
    scratch = np.zeros(model.scratch_size)
    for first in range(0, n_pairs, pairs_a_block):
        block = order[first : first + pairs_a_block]
        reduced = _block_costs(
            model, table, configs, network[block], config[block], rows, counts, start, is_max, scratch
        )
        for j, name in enumerate(metrics):
            columns[name][block] = reduced[:, j]
    for name, values in model.config_metrics(configs).items():
        columns[name] = values[config]
    for name, values in network_metrics(table).items():
        columns[name] = values[network]
    at_pairs = {name: getattr(configs, name)[config] for name in configs._fields}
    if model.epilogue is not None:
        columns |= model.epilogue(columns, at_pairs)
    return PairCosts(columns, model.infeasible(columns, at_pairs), model.infeasible_reasons)


def network_metrics(table: LayerTable) -> dict[str, F64]:
    """Metrics of the network alone, (N,) each."""
    return {
        "parameters": table.totals("parameters").astype(np.float64),
        "macs": table.totals("macs").astype(np.float64),
        "weight_bytes": weight_bytes(table),
        "kv_cache_bytes": kv_cache_bytes(table),
        "peak_activation_bytes": peak_activation_bytes(table),
    }


def _block_costs(
    model: CostModel,
    table: LayerTable,
    configs: Any,
    network: I64,
    config: I64,
    rows: I64,
    counts: F64,
    start: I64,
    is_max: npt.NDArray[np.bool_],
    scratch: F64,
) -> F64:
    """Reduced layer metrics of one block of pairs, (P, M)."""
    n_metrics = len(model.layer_metrics)
    used, position = np.unique(config, return_inverse=True)
    sizes = start[network + 1] - start[network]
    n_listed, n_dense = int(sizes.sum()), used.size * table.n_layers
    owner_start = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    flat = np.arange(n_listed) - np.repeat(owner_start[:-1], sizes) + np.repeat(start[network], sizes)
    if n_dense <= min(n_listed, _CHUNK_VALUES // n_metrics):
        chosen = type(configs)(*(np.ascontiguousarray(column[used]) for column in configs))
        dense = layer_costs(model, table, chosen).values
        return _reduce_dense(dense, position, network, rows, counts, start, is_max)
    values = np.zeros((n_listed, n_metrics))
    choice = np.zeros(n_listed, np.int16)
    model.cost_at(table.layers, configs, rows[flat], np.repeat(config, sizes), scratch, values, choice)
    return _reduce_listed(values, counts[flat], owner_start, is_max)


def _unique_rows(table: LayerTable) -> tuple[I64, F64, I64]:
    """Each network's distinct rows and how often it runs them: (U,), (U,), starts (N + 1,)."""
    owner = np.repeat(np.arange(table.n_networks), np.diff(table.networks.sequence_start))
    code, counts = np.unique(owner * table.n_layers + table.networks.sequence, return_counts=True)
    start = np.searchsorted(code, np.arange(table.n_networks + 1) * table.n_layers)
    return code % max(table.n_layers, 1), counts.astype(np.float64), start.astype(np.int64)


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce_dense(
    dense: F64, config: I64, network: I64, rows: I64, counts: F64, start: I64, is_max: npt.NDArray[np.bool_]
) -> F64:
    """out[p, m] = sum (or max) over the rows r of network p of counts * dense[config p, r, m]."""
    n_metrics = dense.shape[2]
    out = np.zeros((network.size, n_metrics))
    for p in range(network.size):
        for u in range(start[network[p]], start[network[p] + 1]):
            for j in range(n_metrics):
                value = dense[config[p], rows[u], j]
                out[p, j] = max(out[p, j], value) if is_max[j] else out[p, j] + counts[u] * value
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _reduce_listed(values: F64, counts: F64, start: I64, is_max: npt.NDArray[np.bool_]) -> F64:
    """out[p, m] = sum (or max) of counts * values over the listed rows of pair p."""
    n_metrics = values.shape[1]
    out = np.zeros((start.size - 1, n_metrics))
    for p in range(start.size - 1):
        for u in range(start[p], start[p + 1]):
            for j in range(n_metrics):
                value = values[u, j]
                out[p, j] = max(out[p, j], value) if is_max[j] else out[p, j] + counts[u] * value
    return out


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
    tensor = layer_costs(model, table, configs)
    sequence = table.networks.sequence
    layers = {name: tensor[name][0, sequence] for name in model.layer_metrics}
    zero = np.zeros(1, np.int64)
    costs = evaluate_pairs(model, table, configs, network=zero, config=zero)
    terms = np.stack([layers[name] for name in model.time_terms])
    code = int(costs.infeasible[0])
    return CostReport(
        network=workload.name,
        batch=workload.batch,
        family=model.name,
        table=table,
        totals={name: float(values[0]) for name, values in costs.columns.items()},
        layers=layers,
        choice=tuple(model.choices[i] for i in tensor.choice[0, sequence]) if model.choices else (),
        binding=tuple(model.time_terms[i] for i in terms.argmax(axis=0)),
        energy_terms=model.energy_terms,
        infeasible=costs.reasons[code - 1] if code else None,
    )


def sweep(workloads: Sequence[Workload], model: CostModel, specs: Sequence[Spec]) -> pd.DataFrame:
    """Every network on every configuration: one row a pair, knobs that vary and all metrics as columns."""
    import pandas as pd

    table = layer_table(workloads)
    configs = model.spec.to_table(specs)
    network, config = (
        index.ravel() for index in np.meshgrid(np.arange(len(workloads)), np.arange(len(specs)), indexing="ij")
    )
    costs = evaluate_pairs(model, table, configs, network=network, config=config)
    dumps = [spec.model_dump() for spec in specs]
    varying = [name for name in model.spec.model_fields if len({dump[name] for dump in dumps}) > 1]
    columns: dict[str, Any] = {"network": [table.names[i] for i in network]}
    columns |= {name: [dumps[i][name] for i in config] for name in varying}
    columns |= dict(costs.columns)
    columns["infeasible"] = [costs.reasons[code - 1] if code else "" for code in costs.infeasible]
    return pd.DataFrame(columns)
