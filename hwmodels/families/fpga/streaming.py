"""The streaming pipeline as the rest of the framework sees it: its own composition, metrics, limits, references.

No sum over layers is a cost of it: a network's time is that of its slowest stage and of its fill, its resources decide
its clock, and where stages do not fit the board is configured anew::

    latency  = (fill + (batch - 1) slowest) / clock                      at least streamed weights / bandwidth
    interval = batch slowest / clock                                     parts > 1: the latency
    latency of parts = sum over parts (fill + (batch - 1) slowest) / clock + parts bitstream / port
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hwmodels.families.base import Assumption, Composition, CostModel, Metric, PairRule, Reference
from hwmodels.families.fpga import kernel_streaming
from hwmodels.families.fpga.arithmetic import lanes_per_dsp
from hwmodels.families.fpga.kernel_streaming import Incoming, Stage, Walked
from hwmodels.families.fpga.resources import (
    FFS_PER_LUT,
    INFEASIBLE,
    REASONS,
    RESOURCE_METRICS,
    closing_clock_hz,
    logic_j_per_cycle,
    node_scale,
    resource_columns,
    with_flip_flops,
)
from hwmodels.families.fpga.streaming_spec import StreamingSpec, StreamingTable
from hwmodels.families.spec import Spec, take
from hwmodels.workload.ops import Row
from hwmodels.workload.table import I64, Layers, LayerTable, Networks

__all__ = ["MODEL", "incoming_of", "stages_of", "walked"]

F64 = npt.NDArray[np.float64]

_BLOCK_VALUES = 4_000_000
"""Float64 values of stages held at once: 32 MB."""

_DERIVED = ("lanes_per_dsp", "tree_in_luts")
if TYPE_CHECKING:
    _PipelineTable = Any
else:
    _PipelineTable = namedtuple("_PipelineTable", (*StreamingSpec.model_fields, *_DERIVED), module=__name__)


def _pipelines(table: StreamingTable) -> _PipelineTable:
    """The knobs of C designs and how many products share a block; sums of shared ones are made in LUTs."""
    lanes = lanes_per_dsp(table.dsp_type, table.weight_bits, table.activation_bits, np.zeros_like(table.weight_bits))
    return _PipelineTable(*table, lanes, (lanes > 1).astype(np.int64))


def incoming_of(networks: Networks) -> Incoming:
    """The inputs of every layer, by the place of the layer in all sequences."""
    owner = np.repeat(np.arange(networks.edge_start.size - 1), np.diff(networks.edge_start))
    inside = networks.edge_destination >= 0
    place = networks.sequence_start[owner[inside]] + networks.edge_destination[inside]
    order = np.argsort(place, kind="stable")
    start = np.searchsorted(place[order], np.arange(networks.sequence.size + 1)).astype(np.int64)
    source = np.where(networks.edge_source[inside][order] < 0, -1, networks.edge_source[inside][order])
    return Incoming(np.ascontiguousarray(source), start)


def stages_of(layers: Layers, configs: StreamingTable) -> F64:
    """The stage of every layer on every design, (C, L, len(Stage))."""
    return kernel_streaming.stages(layers, _pipelines(configs))


def walked(table: LayerTable, costs: F64, configs: StreamingTable, network: I64, config: I64) -> dict[str, F64]:
    """The fields of `Walked` for pairs; costs (C, L, len(Stage)) of the designs of `configs`."""
    starts = table.networks.sequence_start
    batch = np.ones(table.n_networks)
    held = np.flatnonzero(np.diff(starts) > 0)
    batch[held] = table.layers.batch[table.networks.sequence[starts[held]]]
    limits = np.stack(
        [
            np.minimum(configs.lut_closure * configs.luts, configs.ff_closure * configs.ffs / FFS_PER_LUT)
            - configs.shell_luts,
            configs.block_closure * configs.dsps,
            configs.block_closure * configs.bram18s - configs.shell_bram18s,
        ],
        axis=1,
    )
    found = kernel_streaming.walk(
        costs, table.networks.sequence, starts, incoming_of(table.networks), batch=batch, limits=limits,
        pipelines=_pipelines(configs), network=network, config=config,
    )  # fmt: skip
    return dict(zip(Walked._fields, found.T, strict=True))


def _compose(table: LayerTable, configs: StreamingTable, network: I64, config: I64) -> dict[str, F64]:
    """Blocks of designs at a time: stages of all layers, then every pair through its own."""
    found: dict[str, F64] = {}
    used, position = np.unique(config, return_inverse=True)
    height = max(_BLOCK_VALUES // max(table.n_layers * len(Stage._fields), 1), 1)
    for first in range(0, used.size, height):
        part = take(configs, used[first : first + height])
        which = np.flatnonzero((position >= first) & (position < first + height))
        costs = stages_of(table.layers, part)
        mine = _columns(table, costs, part, network[which], position[which] - first)
        for name, values in mine.items():
            found.setdefault(name, np.empty(network.size))[which] = values
    return found or {name: np.empty(0) for name in MODEL.composed_metrics}


def _columns(table: LayerTable, costs: F64, configs: StreamingTable, network: I64, config: I64) -> dict[str, F64]:
    walk = walked(table, costs, configs, network, config)
    pairs = take(configs, config)
    runs = walk["cycles"] > 0
    use = with_flip_flops(
        dsps=walk["dsps"], luts=walk["luts"] + pairs.shell_luts, bram18s=walk["bram18s"] + pairs.shell_bram18s,
        urams=np.zeros(network.size),
    )  # fmt: skip
    clock_hz = closing_clock_hz(use, pairs)
    weights_s = walk["weight_bytes"] / pairs.dram_bytes_per_s
    configured_s = np.where(
        walk["parts"] > 1, walk["parts"] * pairs.bitstream_bytes / pairs.configuration_bytes_per_s, 0.0
    )
    latency = np.maximum(walk["cycles"] / clock_hz, weights_s) + configured_s
    interval = np.where(walk["parts"] > 1, latency, np.maximum(walk["interval_cycles"] / clock_hz, weights_s))
    dsp_mac = np.minimum(pairs.weight_bits, pairs.activation_bits) >= pairs.dsp_from_bits
    bits = pairs.weight_bits + pairs.activation_bits
    mac_j = node_scale(pairs.node_nm) * np.where(dsp_mac, pairs.dsp_j, 2.0 * bits * pairs.lut_j) * walk["macs"]
    logic_j = logic_j_per_cycle(use, pairs) * walk["cycles"]
    dram_j, static_j = pairs.dram_j_per_byte * walk["weight_bytes"], pairs.idle_w * latency
    found = {
        "latency_s": latency, "interval_s": interval, "fill_cycles": walk["cycles"],
        "slowest_cycles": walk["interval_cycles"], "parts": np.where(runs, walk["parts"], 0.0),
        "configured_s": configured_s, "energy_j": mac_j + logic_j + dram_j + static_j, "mac_j": mac_j,
        "logic_j": logic_j, "dram_j": dram_j, "static_j": static_j, "dram_bytes": walk["weight_bytes"],
        "executed_macs": walk["macs"], "fifo_bram18s": walk["fifo_bram18s"], "unsupported": walk["unsupported"],
    }  # fmt: skip
    return found | resource_columns(use, pairs)


def _infeasible(metrics: Mapping[str, npt.NDArray[Any]], knobs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.int8]:
    """An operator that no stream has, else the resource that is furthest beyond what closes timing."""
    short = INFEASIBLE.function(metrics, knobs)
    codes: npt.NDArray[np.int8] = np.where(metrics["unsupported"] > 0, len(REASONS) + 1, short).astype(np.int8)
    return codes


def _explain(row: Row, spec: Spec) -> Mapping[str, Any]:
    """The stage of one layer: its folding, cycles and resources."""
    costs = stages_of(Layers.of([row]), type(spec).to_table([spec]))[0, 0]
    found = dict(zip(Stage._fields, costs.tolist(), strict=True))
    whole = ("cycles", "dsps", "bram18s", "outputs", "inputs", "multipliers")
    return {"stage": "unsupported" if found.pop("unsupported") else "stream"} | {
        name: int(value) if name in whole else value for name, value in found.items()
    }


_COMPOSED = (
    Metric("latency_s", "composed", "a batch through all stages, the fill and every configuration included"),
    Metric("interval_s", "composed", "the slowest stage a batch; all of it where the board is configured anew"),
    Metric("fill_cycles", "composed", "cycles from the first input to the last output of a batch"),
    Metric("slowest_cycles", "composed", "cycles from one batch to the next"),
    Metric("parts", "composed", "configurations that the network takes; 1 is the whole pipeline at once"),
    Metric("configured_s", "composed", "time in which the board is configured, a batch"),
    Metric("energy_j", "composed", "sum of the energy terms"),
    Metric("mac_j", "composed", "multiply-adds"),
    Metric("logic_j", "composed", "logic and memories while a batch is in the pipeline"),
    Metric("dram_j", "composed", "streamed weights"),
    Metric("static_j", "composed", "idle power of the board times latency"),
    Metric("dram_bytes", "composed", "streamed weights, a batch"),
    Metric("executed_macs", "composed", "multiply-adds of the network"),
    Metric("fifo_bram18s", "composed", "BRAM18 of FIFOs where branches meet"),
    Metric("unsupported", "composed", "layers of operators that no stream has"),
    *(metric._replace(reduction="composed") for metric in RESOURCE_METRICS),
)

MODEL = CostModel(
    name="fpga_streaming",
    meaning="FPGA with a stage of its own for every layer, folded to a target, in one pipeline or in parts",
    spec=StreamingSpec,
    metrics=(*_COMPOSED, Metric("idle_power_w", "config", "the board, nothing running")),
    compose=Composition(_compose),
    layerwise=None,
    explain=_explain,
    objectives=("energy_j", "latency_s"),
    searched=("target_cycles", "weight_bits", "activation_bits", "clock_hz"),
    static_energy="static_j",
    config_metrics=lambda table: {"idle_power_w": np.asarray(table.idle_w, np.float64)},
    infeasible=PairRule(INFEASIBLE.reads | {"unsupported"}, _infeasible),
    infeasible_reasons=(*REASONS, "an operator that no stream has"),
    assumptions=(
        Assumption("LUTs of a window", "200", "100 to 600", "counters; its lines lie in BRAM"),
        Assumption("LUTs of a FIFO", "30", "20 to 100", "behind every stage"),
        Assumption("fill", "row by row", "-", "a stage produces its rows at an even pace between start and end"),
        Assumption("flip-flops a LUT", "1.5", "1.1 to 2.3", "pipelined arithmetic"),
        Assumption("energy exponent", "1.25", "1 to 2", "energies scale with (node / 28 nm) to this power"),
    ),
    references=(
        Reference("FINN", "Umuroglu et al., FINN: A Framework for Fast, Scalable Binarized Neural Network Inference, "
                  "FPGA 2017"),
        Reference("FINN-R", "Blott et al., FINN-R: An End-to-End Deep-Learning Framework for Fast Exploration of "
                  "Quantized Neural Networks, ACM TRETS 2018"),
        Reference("hls4ml", "Duarte et al., Fast inference of deep neural networks in FPGAs for particle physics, "
                  "JINST 2018"),
    ),
)  # fmt: skip
