"""Nodes of GPUs as the rest of the framework sees them: a network in shares, run by the GPU family, and exchanges.

A batch is cut into `data` shares, every layer into `tensor` shares (`hwmodels.workload.shard`), and the layers into
`pipeline` stages that batches follow each other through::

    latency  = the GPU's latency on its shares + collectives of the layers + transfers between stages
    interval = latency where there is one stage, else the slowest stage or transfer
    energy   = shares x dynamic energy + bytes on links and network + idle power of all GPUs and nodes over the interval

Compute of a share is the `gpu` family's, to the last bit: one device is that GPU. Training and serving of transformers,
with all that only they have, are `training` and `serving`; a training step of any network on copies is `data_parallel`.

Not modelled: computing while collectives run, batches of unequal size, GPUs of different kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from hwmodels.compose import tensor_of
from hwmodels.errors import SpecError
from hwmodels.families.base import Assumption, Composition, CostModel, Metric, PairRule, Reference
from hwmodels.families.gpu.model import MODEL as GPU
from hwmodels.families.multigpu.fabric import fabric_at, group_s
from hwmodels.families.multigpu.kernel_stages import crossing_bytes, stages
from hwmodels.families.multigpu.spec import MultiGpuSpec, MultiGpuTable
from hwmodels.families.spec import Column, take
from hwmodels.workload.memory import kv_cache_bytes, peak_activation_bytes, weight_bytes
from hwmodels.workload.ops import Kind
from hwmodels.workload.shard import Sharded, shard
from hwmodels.workload.table import I64, LayerTable

__all__ = ["MODEL"]

F64 = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]

_SHARDED: WeakKeyDictionary[LayerTable, dict[tuple[int, int], Sharded]] = WeakKeyDictionary()


def _shares(table: LayerTable, data: int, tensor: int) -> Sharded:
    """The shares of a table; made once."""
    known = _SHARDED.setdefault(table, {})
    if (data, tensor) not in known:
        known[data, tensor] = shard(table, batch=data, layers=tensor)
    return known[data, tensor]


_TRAINING = " training"
"""How the name of a training step ends (`hwmodels.workload.training`)."""


def _refuse_training(table: LayerTable, configs: MultiGpuTable, network: I64, config: I64) -> None:
    """Rows do not say which of them make gradients; a step that is shared out would come without their exchange."""
    trains = np.array([name.endswith(_TRAINING) for name in table.names], np.bool_)
    shared = np.maximum(np.maximum(configs.data, configs.tensor), configs.pipeline) > 1
    if (trains[network] & shared[config]).any():
        name = table.names[int(network[np.argmax(trains[network] & shared[config])])]
        raise SpecError(
            "multigpu", name, "a network without its training: shares of a step are `multigpu.data_parallel` (any "
            "network) and `multigpu.training` (decoders); data=1, tensor=1, pipeline=1 is one GPU",
        )  # fmt: skip


def _compose(table: LayerTable, configs: MultiGpuTable, network: I64, config: I64) -> dict[str, F64]:
    """Pairs by how they are shared out."""
    _refuse_training(table, configs, network, config)
    found = {name: np.zeros(network.size) for name in _COMPOSED_NAMES}
    plans = np.stack([configs.data[config], configs.tensor[config]])
    for data, tensor in np.unique(plans, axis=1).T.tolist():
        which = np.flatnonzero((plans[0] == data) & (plans[1] == tensor))
        used, position = np.unique(config[which], return_inverse=True)
        mine = _shares(table, data, tensor)
        columns = _of_shares(mine, take(configs, used), network[which], position.reshape(-1), table)
        for name, values in columns.items():
            found[name][which] = values
    return found


def _of_shares(mine: Sharded, configs: MultiGpuTable, network: I64, config: I64, table: LayerTable) -> dict[str, F64]:
    """Pairs of one way to share out."""
    of_gpu = GPU.compose.function(mine.table, configs.gpu, network, config)
    knobs = {"empty_queue": configs.gpu.empty_queue[config]}
    alone_s = np.asarray(GPU.rules["latency_s"].function(of_gpu, knobs), np.float64)
    event_s, event_bytes = _events(mine, configs)
    owner = np.searchsorted(mine.table.networks.sequence_start, mine.position, side="right") - 1
    per_network = np.array([np.bincount(owner, line, table.n_networks) for line in event_s])
    exchanged_s = per_network[config, network]
    latency_s = alone_s + exchanged_s
    staged = _stages(mine, configs, network, config, event_s)
    latency_s = latency_s + staged[:, 2]
    interval_s = np.where(staged[:, 0] > 1, np.minimum(staged[:, 1], latency_s), latency_s)
    runs = (latency_s > 0).astype(np.float64)
    batch = _batches(table)[network]
    shares = np.ceil(batch / np.maximum(np.ceil(batch / configs.data[config]), 1.0))
    busy = configs.tensor[config] * shares
    moved = np.array([np.bincount(owner, line, table.n_networks) for line in event_bytes])[config, network] * busy
    reach = configs.tensor * configs.data * configs.pipeline  # of a chain of stages
    link_j = moved * _byte_j(configs, configs.tensor)[config] + staged[:, 4] * busy * _byte_j(configs, reach)[config]
    dynamic_j = of_gpu["dynamic_j"] * busy
    gpus = configs.nodes * configs.gpus_per_node
    static_j = (gpus * configs.gpu.idle_w + configs.nodes * configs.node_idle_w)[config] * interval_s
    return {
        "latency_s": latency_s, "interval_s": interval_s, "energy_j": dynamic_j + link_j + static_j,
        "dynamic_j": dynamic_j, "link_j": link_j, "static_j": static_j, "compute_s": alone_s,
        "exchange_s": exchanged_s, "transfer_s": staged[:, 2], "exchanged_bytes": moved,
        "gpus_used": busy * staged[:, 0] * runs, "executed_macs": of_gpu["executed_macs"] * busy,
        "memory_bytes_used": staged[:, 3] + peak_activation_bytes(_kept(mine))[network] + of_gpu["workspace_bytes"],
    }  # fmt: skip


def _kept(mine: Sharded) -> LayerTable:
    return LayerTable(mine.kept, mine.table.networks, mine.table.names)


def _batches(table: LayerTable) -> F64:
    """Items a batch of each network; 1 where it has no layer."""
    start = table.networks.sequence_start
    first = np.minimum(start[:-1], max(table.networks.sequence.size - 1, 0))
    if not table.networks.sequence.size:
        return np.ones(table.n_networks)
    batch: F64 = np.where(np.diff(start) > 0, table.layers.batch[table.networks.sequence[first]], 1).astype(np.float64)
    return batch


def _events(mine: Sharded, configs: MultiGpuTable) -> tuple[F64, F64]:
    """Seconds of every collective and the bytes that a device sends for it, (C, E) each."""
    keys = np.stack([mine.size_bytes, mine.gathers.astype(np.float64)])
    distinct, place = np.unique(keys, axis=1, return_inverse=True)
    size, gathers = distinct[0], distinct[1] > 0
    seconds, moved = np.zeros((configs.nodes.size, size.size)), np.zeros((configs.nodes.size, size.size))
    for c, tensor in enumerate(configs.tensor.tolist()):
        fabric = fabric_at(configs, c)
        added = group_s(fabric, "all_reduce", size, tensor)
        seconds[c] = np.where(gathers, group_s(fabric, "all_gather", size, tensor), added)
        moved[c] = np.where(gathers, 1.0, 2.0) * (tensor - 1) / tensor * size
    return seconds[:, place.reshape(-1)], moved[:, place.reshape(-1)]


def _byte_j(configs: MultiGpuTable, reach: npt.NDArray[Any]) -> F64:
    """Energy of a byte between GPUs of which `reach` lie side by side: of the network beyond a node, (C,)."""
    found: F64 = np.where(reach > configs.gpus_per_node, configs.network_j_per_byte, configs.link_j_per_byte)
    return found


def _stages(mine: Sharded, configs: MultiGpuTable, network: I64, config: I64, event_s: F64) -> F64:
    """(stages, slowest in s, transfers in s, most bytes of weights, keys and values on a GPU, bytes sent) of pairs."""
    networks = mine.table.networks
    whole = np.stack([np.ones(network.size), np.zeros(network.size), np.zeros(network.size),
                      (weight_bytes(mine.table) + kv_cache_bytes(mine.table))[network],
                      np.zeros(network.size)], axis=1)  # fmt: skip
    cut = np.flatnonzero(configs.pipeline[config] > 1)
    if not cut.size:
        return whole
    assert GPU.layerwise is not None
    costs, _ = tensor_of(GPU.layerwise, mine.table.layers, configs.gpu)
    times = costs[:, networks.sequence, GPU.layerwise.metrics.index("kernels_s")]
    times[:, mine.position] += event_s
    held = _held_bytes(mine)
    made = mine.kept.output_elements * mine.kept.activation_bits / 8.0
    crossing = crossing_bytes(networks, made[networks.sequence])
    cut = cut[np.diff(networks.sequence_start)[network[cut]] > 0]
    for c in np.unique(config[cut]).tolist():
        which = cut[config[cut] == c]
        # All shares of the batch and of the layers send at once: neighbours lie that far apart.
        stride = int(configs.tensor[c] * configs.data[c])
        links = group_s(fabric_at(configs, c), "send", crossing, int(configs.pipeline[c]), stride=stride)
        whole[which] = stages(times[c], held, links, crossing, start=networks.sequence_start, network=network[which],
                              most=int(configs.pipeline[c]))  # fmt: skip
    return whole


def _held_bytes(mine: Sharded) -> F64:
    """Weights, keys and values of every place of all networks, (S,) bytes."""
    layers = mine.table.layers
    bits = layers.parameters * layers.weight_bits.astype(np.float64)
    tokens = layers.out_h * (layers.kind == Kind.CACHE)
    bits += tokens * layers.batch.astype(np.float64) * layers.out_channels * layers.activation_bits
    return (bits / 8.0)[mine.table.networks.sequence]


def _utilisation(metrics: Columns, knobs: Columns) -> F64:
    """The share of all GPUs' peak that the executed MACs reach; 0 where nothing runs."""
    slots = metrics["interval_s"] * metrics["peak_macs_per_s"]
    share: F64 = np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)
    return share


def _config_metrics(table: MultiGpuTable) -> dict[str, F64]:
    gpus = table.nodes * table.gpus_per_node
    of_gpu = GPU.config_metrics(table.gpu)
    idle = gpus * of_gpu["idle_power_w"] + table.nodes * table.node_idle_w
    return {"peak_macs_per_s": gpus * of_gpu["peak_macs_per_s"], "idle_power_w": np.asarray(idle, np.float64)}


def _infeasible(metrics: Columns, knobs: Mapping[str, Column]) -> npt.NDArray[np.int8]:
    """2 where the plan needs more GPUs than there are, 1 where one GPU's memory does not hold its share."""
    needed = knobs["data"] * knobs["tensor"] * knobs["pipeline"]
    too_many = needed > knobs["nodes"] * knobs["gpus_per_node"]
    too_large = metrics["memory_bytes_used"] > knobs["gpu.memory_bytes"]
    codes: npt.NDArray[np.int8] = np.where(too_many, 2, too_large).astype(np.int8)
    return codes


_COMPOSED = (
    Metric("latency_s", "composed", "a batch through all stages, collectives and transfers included"),
    Metric("interval_s", "composed", "from one batch to the next: the slowest stage or transfer, or the latency"),
    Metric("energy_j", "composed", "work of all GPUs, bytes between them, idle power over the interval"),
    Metric("dynamic_j", "composed", "work of all GPUs"),
    Metric("link_j", "composed", "bytes on links and network"),
    Metric("static_j", "composed", "idle power of all GPUs and nodes over the interval"),
    Metric("compute_s", "composed", "one GPU's latency on its shares"),
    Metric("exchange_s", "composed", "collectives behind the layers"),
    Metric("transfer_s", "composed", "from stage to stage"),
    Metric("exchanged_bytes", "composed", "what all GPUs send in collectives"),
    Metric("gpus_used", "composed", "GPUs that have work"),
    Metric("executed_macs", "composed", "MACs of all GPUs, what every share runs for itself included"),
    Metric("memory_bytes_used", "composed", "of one GPU: its weights, keys and values, live activations, workspace"),
)
_COMPOSED_NAMES = tuple(metric.name for metric in _COMPOSED)

MODEL = CostModel(
    name="multigpu",
    meaning="nodes of GPUs joined by links and a network: shares of the batch, of each layer, and stages of layers",
    spec=MultiGpuSpec,
    metrics=(
        *_COMPOSED,
        Metric("utilisation", "rule", "share of all GPUs' peak that the executed MACs reach", "more"),
        Metric("peak_macs_per_s", "config", "all GPUs, boost clock, the fastest format", "more"),
        Metric("idle_power_w", "config", "all GPUs and nodes, nothing running"),
    ),
    compose=Composition(_compose),
    layerwise=None,
    objectives=("latency_s", "energy_j"),
    searched=("nodes", "data", "tensor"),
    energy_terms=("dynamic_j", "link_j", "static_j"),
    static_energy="static_j",
    config_metrics=_config_metrics,
    derived={"utilisation": PairRule(frozenset({"interval_s", "peak_macs_per_s", "executed_macs"}), _utilisation)},
    infeasible=PairRule(
        frozenset({"memory_bytes_used", "gpu.memory_bytes", "data", "tensor", "pipeline", "nodes", "gpus_per_node"}),
        _infeasible,
    ),
    infeasible_reasons=("memory of one GPU does not hold its share", "shares and stages need more GPUs than there are"),
    assumptions=(
        Assumption("stolen share", "0.1", "0.02 to 0.2", "`data_parallel`: multiprocessors that collectives take"),
        Assumption("gradient bucket", "1e8 B", "25e6 to 1e9 B", "`training`: what the last backward pass leaves"),
        Assumption("keys of shared sequences", "0.5", "0 to 1", "`training`: part of their gather that shows"),
        Assumption("step of an engine", "300 us", "0.1 to 3 ms", "`serving`: scheduling and sampling by the host"),
        *GPU.assumptions,
        Assumption("collectives", "behind their layer", "-", "nothing is computed while devices exchange"),
        Assumption("GPUs of a PCIe switch", "2", "1 to 4", "half of a node's GPUs below each socket"),
    ),
    references=(
        *GPU.references,
        Reference("NCCL", "NVIDIA, NCCL, src/graph/tuning.cc: algorithms, protocols and their latencies"),
        Reference("Sanders et al.", "Sanders, Speck & Traff, Two-tree algorithms for full bandwidth broadcast, "
                  "reduction and scan, Parallel Computing 35, 2009"),
        Reference("Thakur et al.", "Thakur, Rabenseifner & Gropp, Optimization of Collective Communication Operations "
                  "in MPICH, IJHPCA 19, 2005"),
        Reference("Shoeybi et al.", "Shoeybi et al., Megatron-LM, arXiv:1909.08053"),
        Reference("Korthikanti et al.", "Korthikanti et al., Reducing Activation Recomputation in Large Transformer "
                  "Models, MLSys 2023"),
        Reference("Narayanan et al.", "Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters "
                  "Using Megatron-LM, SC 2021"),
        Reference("Rajbhandari et al.", "Rajbhandari et al., ZeRO, SC 2020"),
    ),
)  # fmt: skip
