"""Branches of a network on several GPUs: every layer on one of G equal ones, tensors that cross sent over a link.

    t_i     = time of layer i on one GPU: its share of whichever of the `gpu` family's three sums decides there
    latency = sum over segments of the least makespan of their layers (`kernel_placement`), at most that of one GPU
    energy  = dynamic energy + bytes on links x energy of a byte + GPUs x idle power x latency

What a tensor takes from one GPU to another is the start of a transfer, the event that the reader waits for, and its
bytes over the bandwidth. One GPU is the `gpu` family to the last bit. [Placement of branches in the search: ColocNAS,
Traversing the design space of placement and architecture, IEEE Micro 40(5), 2020]

Not modelled: contention of links, the input's way to several GPUs, weights that are split (the fullest GPU is taken to
hold the whole network), several batches at once.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwmodels.compose import reduce_pairs, tensor_of
from hwmodels.families.base import Assumption, Composition, CostModel, Metric, PairRule, Reference, Timeline
from hwmodels.families.gpu.model import MODEL as GPU
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.multigpu.kernel_placement import MOST_EXACT, place_all, place_one
from hwmodels.families.multigpu.segments import Segments, segments_of
from hwmodels.families.spec import Spec, knob, take
from hwmodels.units import GB
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import I64, Layers, LayerTable, layer_table

__all__ = ["MODEL", "GpuBranchesSpec", "timeline"]

F64 = npt.NDArray[np.float64]

_TERM = tuple(GPU.layer_metrics.index(name) for name in ("kernels_s", "host_s", "longer_s"))
_ALONE = ("dynamic_j", "executed_macs", "dram_bytes", "workspace_bytes")
"""Sums and maxima of layers that do not depend on where they run."""


class GpuBranchesSpec(Spec):
    """Equal GPUs, each linked with each.

    >>> GpuBranchesSpec(gpus=4).numerics().weight_bits
    32
    """

    computed_by: ClassVar[str] = "gpu"

    gpu: GpuSpec = GpuSpec()
    gpus: int = knob(2, "GPUs", source="a free design choice", ge=1, le=16)
    link_bytes_per_s: float = knob(
        300 * GB, "bandwidth from one GPU to another, each way", source="NVIDIA A100: 12 NVLinks of 25 GB/s each way",
        unit="B/s", gt=0,
    )  # fmt: skip
    link_latency_s: float = knob(
        2e-6, "start of a transfer between two GPUs", source="ASSUMED: a copy of few bytes between peers over NVLink",
        unit="s", ge=0, plausible=(1e-6, 20e-6),
    )  # fmt: skip
    wait_s: float = knob(
        5e-6, "a kernel waits for an event of another GPU", source="ASSUMED: record, wait and launch behind it",
        unit="s", ge=0, plausible=(2e-6, 20e-6),
    )  # fmt: skip
    link_j_per_byte: float = knob(
        10e-12, "energy of a byte on a link", source="ASSUMED: 1.3 pJ a bit of NVLink; PCIe takes four times as much",
        unit="J/B", ge=0, plausible=(5e-12, 60e-12),
    )  # fmt: skip


if TYPE_CHECKING:
    GpuBranchesTable = Any
else:
    GpuBranchesTable = namedtuple("GpuBranchesTable", GpuBranchesSpec.model_fields, module=__name__)
    GpuBranchesSpec.table_type = GpuBranchesTable

Columns = Mapping[str, npt.NDArray[Any]]


def _edge_bytes(segments: Segments, layers: Layers) -> F64:
    """Bytes of what each edge of the segments reads, at the reader's width."""
    reader = np.repeat(segments.rows, np.diff(segments.edge_start))
    read: F64 = segments.elements * layers.activation_bits[reader] / 8.0
    return read


def _decides(alone: Columns, empty_queue: npt.NDArray[Any]) -> tuple[I64, F64]:
    """Which of kernels, host and both by turns decides the latency on one GPU, and what each second of it counts."""
    turns = alone["longer_s"] * empty_queue
    which = np.argmax(np.stack([alone["kernels_s"], alone["host_s"], turns]), axis=0)
    return which, np.where(which == 2, empty_queue, 1.0)


def _layer_costs(layers: Layers, design: GpuBranchesTable) -> F64:
    """Of one design, (L, M)."""
    if GPU.layerwise is None:
        raise TypeError("layers of the gpu family add up")
    costs: F64 = tensor_of(GPU.layerwise, layers, design.gpu)[0][0]
    return costs


def _compose(table: LayerTable, configs: GpuBranchesTable, network: I64, config: I64) -> dict[str, F64]:
    """Layers where they end first; a design with one GPU, and a network of none, is the `gpu` family's."""
    alone = GPU.compose.function(table, configs.gpu, network, config)
    knobs = {"empty_queue": configs.gpu.empty_queue[config]}
    one_gpu = GPU.rules["latency_s"].function(alone, knobs)
    found = {
        "latency_s": one_gpu.copy(), "one_gpu_s": one_gpu, "link_bytes": np.zeros(network.size),
        "unproven_layers": np.zeros(network.size), "gpus_used": np.where(one_gpu > 0, 1.0, 0.0),
        **{name: alone[name] for name in _ALONE},
    }  # fmt: skip
    which, weight = _decides(alone, knobs["empty_queue"])
    several = configs.gpus[config] > 1
    for c in np.unique(config[several]).tolist():
        design = take(configs, np.array([c]))
        values = _layer_costs(table.layers, design)
        for term in np.unique(which[several & (config == c)]).tolist():
            at = np.flatnonzero((config == c) & (which == term))
            times = values[:, _TERM[term]] * weight[at[0]]
            placed = _placed(table, design, network[at], times)
            better = placed["latency_s"] < one_gpu[at]
            for name, values_ in placed.items():
                kept = better | (name == "unproven_layers")
                found[name][at] = np.where(kept, values_, found[name][at])
    return found


def _placed(table: LayerTable, design: GpuBranchesTable, network: I64, times: F64) -> dict[str, F64]:
    """Networks on one design of several GPUs; times (L,)."""
    segments = segments_of(table)
    counts = segments.counts
    used = np.unique(np.concatenate([counts.rows[counts.start[n] : counts.start[n + 1]] for n in network.tolist()]))
    solved = np.zeros((1, segments.n, 4))
    solved[0, used] = place_all(
        np.ascontiguousarray(times), segments, _edge_bytes(segments, table.layers), used, devices=int(design.gpus[0]),
        latency_s=float(design.link_latency_s[0] + design.wait_s[0]), bytes_per_s=float(design.link_bytes_per_s[0]),
    )  # fmt: skip
    is_max = np.array([False, False, False, True])
    reduced = reduce_pairs(solved, np.zeros(network.size, np.int64), network, counts, is_max)
    return dict(zip(("latency_s", "link_bytes", "unproven_layers", "gpus_used"), reduced.T, strict=True))


def _static(metrics: Columns, knobs: Columns) -> F64:
    static: F64 = metrics["latency_s"] * (knobs["gpus"] * knobs["gpu.idle_w"])
    return static


def _link(metrics: Columns, knobs: Columns) -> F64:
    moved: F64 = metrics["link_bytes"] * knobs["link_j_per_byte"]
    return moved


def _energy(metrics: Columns, knobs: Columns) -> F64:
    total: F64 = metrics["dynamic_j"] + metrics["static_j"] + metrics["link_j"]
    return total


def _config_metrics(table: GpuBranchesTable) -> dict[str, F64]:
    one = GPU.config_metrics(table.gpu)
    return {name: table.gpus * one[name] for name in ("peak_macs_per_s", "idle_power_w")}


def _infeasible(metrics: Columns, knobs: Columns) -> npt.NDArray[np.int8]:
    codes: npt.NDArray[np.int8] = (metrics["memory_bytes_used"] > knobs["gpu.memory_bytes"]).astype(np.int8)
    return codes


def timeline(workload: Workload, spec: GpuBranchesSpec) -> Timeline:
    """Where and when each layer of an executed network runs; on one GPU where several gain nothing.

    >>> from hwmodels.workload.zoo import network
    >>> found = timeline(network("googlenet"), GpuBranchesSpec())
    >>> bool(found.end_s.max() <= found.told["one_gpu_s"]), found.lanes
    (True, ('GPU 0', 'GPU 1'))
    """
    table = layer_table([workload])
    design = GpuBranchesSpec.to_table([spec])
    zero = np.zeros(1, np.int64)
    alone = GPU.compose.function(table, design.gpu, zero, zero)
    one_gpu = float(GPU.rules["latency_s"].function(alone, {"empty_queue": design.gpu.empty_queue})[0])
    which, weight = _decides(alone, design.gpu.empty_queue)
    times = np.ascontiguousarray(_layer_costs(table.layers, design)[:, _TERM[int(which[0])]] * weight[0])
    gpu, start, proven = _placed_in_time(table, times, spec)
    time = times[table.networks.sequence]
    latency = float((start + time).max(initial=0.0))
    if latency >= one_gpu:
        gpu, start, latency = np.zeros_like(gpu), np.cumsum(time) - time, one_gpu
    names = tuple(node.name for node, _ in workload.rows())
    told = {"latency_s": latency, "one_gpu_s": one_gpu, "proven": proven}
    return Timeline(names, gpu, tuple(f"GPU {i}" for i in range(spec.gpus)), start, start + time, told)


def _placed_in_time(table: LayerTable, times: F64, spec: GpuBranchesSpec) -> tuple[I64, F64, bool]:
    """(GPU, start) of every layer of a table of one network, and whether that is proven best: segment by segment."""
    segments = segments_of(table)
    sizes = _edge_bytes(segments, table.layers)
    gpu, start = np.zeros(times.size and table.networks.sequence.size, np.int64), np.zeros(table.networks.sequence.size)
    at, now, home, all_proven = 0, 0.0, 0, True
    for kind in segments.which[0]:
        first, stop = segments.start[kind : kind + 2].tolist()
        low, high = segments.edge_start[[first, stop]].tolist()
        link = spec.link_latency_s + spec.wait_s + sizes[low:high] / spec.link_bytes_per_s
        time = times[segments.rows[first:stop]]
        makespan, proven, device, begins = place_one(
            time, segments.source[low:high], link, segments.edge_start[first : stop + 1] - low, spec.gpus
        )
        # The joint in front lies on device 0 of the segment, which is the GPU that it ran on.
        own = np.where(device == 0, home, np.where(device == home, 0, device))
        gpu[at : at + own.size], start[at : at + own.size] = own, now + begins
        at, now, home, all_proven = at + own.size, now + makespan, int(own[-1]), all_proven and proven
    return gpu, start, all_proven


_COMPOSED = (
    Metric("latency_s", "composed", "a batch through all branches, transfers included"),
    Metric("one_gpu_s", "composed", "the same on one of the GPUs"),
    Metric("link_bytes", "composed", "bytes sent from one GPU to another"),
    Metric("gpus_used", "composed", "the most GPUs that work between two joints", "neither"),
    Metric("unproven_layers", "composed", "layers of segments too large to prove that no placement is faster",
           "neither"),
    Metric("dynamic_j", "composed", "sum of the energy terms of the GPUs but the static one"),
    Metric("executed_macs", "composed", "MACs by the chosen kernels"),
    Metric("dram_bytes", "composed", "traffic of the memories"),
    Metric("workspace_bytes", "composed", "largest buffer that a layer needs beside its operands"),
)  # fmt: skip

MODEL = CostModel(
    name="gpu_branches",
    meaning="branches of a network on several GPUs, each layer on one of them",
    spec=GpuBranchesSpec,
    metrics=(
        *_COMPOSED,
        Metric("energy_j", "rule", "sum of the energy terms"),
        Metric("link_j", "rule", "bytes on links times the energy of a byte"),
        Metric("static_j", "rule", "idle power of all GPUs times latency"),
        Metric("utilisation", "rule", "executed MACs over the peak's of all GPUs in the same time", "more"),
        Metric("memory_bytes_used", "rule", "of a GPU that holds the whole network: an upper bound"),
        Metric("peak_macs_per_s", "config", "all GPUs, boost clock, the fastest format", "more"),
        Metric("idle_power_w", "config", "all GPUs, between inferences"),
    ),
    compose=Composition(_compose),
    layerwise=None,
    objectives=("energy_j", "latency_s"),
    searched=("gpus", "link_bytes_per_s"),
    energy_terms=("dynamic_j", "link_j", "static_j"),
    static_energy="static_j",
    config_metrics=_config_metrics,
    timeline=timeline,
    derived={
        "static_j": PairRule(frozenset({"latency_s", "gpus", "gpu.idle_w"}), _static, monotone=True),
        "link_j": PairRule(frozenset({"link_bytes", "link_j_per_byte"}), _link, monotone=True),
        "energy_j": PairRule(frozenset({"dynamic_j", "static_j", "link_j"}), _energy, monotone=True),
        **{name: GPU.rules[name] for name in ("utilisation", "memory_bytes_used")},
    },
    infeasible=PairRule(frozenset({"memory_bytes_used", "gpu.memory_bytes"}), _infeasible),
    infeasible_reasons=GPU.infeasible_reasons,
    assumptions=(
        *GPU.assumptions,
        Assumption("links", "every GPU with each, no contention", "-", "as behind a switch"),
        Assumption("input", "on every GPU from the start", "-", "the host sends it to all"),
        Assumption("placement", f"exact search begun up to {MOST_EXACT} layers between two joints, cut short after "
                   "2 million branches", "-", "beyond: list scheduling "
                   "and moves of single layers, `unproven_layers` counts them"),
    ),
    references=(
        *GPU.references,
        Reference("ColocNAS", "Placement and architecture together, IEEE Micro 40(5), 2020"),
        Reference("HEFT", "Topcuoglu, Hariri & Wu, Performance-effective and low-complexity task scheduling for "
                  "heterogeneous computing, IEEE TPDS 2002"),
        Reference("A100", "NVIDIA A100 Tensor Core GPU Architecture, white paper, 2020"),
    ),
)  # fmt: skip
