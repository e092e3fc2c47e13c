"""Several boards with a tiled engine each: a pipeline of consecutive layers, tiles that flow, or layers cut in shares.

pipeline : consecutive layers on a board, cut where the slowest step is fastest (`kernel_boards`) [Jiang et al., TCAD
    2020, co-exploration].
tiles : an engine for every layer, lanes by its share of the MACs, tiles handed on as they are done (`kernel_schedule`)
    [Jiang et al., DAC 2019, FNAS]. Weights stay on chip.
sharded : every layer on all boards at once: Pr boards take rows, Pm take output channels; each reads its share of the
    weights (1/Pr) and inputs (1/Pm) from its own memory, the rest over its links [Jiang et al., TECS 2019, Super-LIP]::

        time of a step = max(compute, DRAM share, link (1 - share))     more than linear where loads bind

    energy = energy of the work + boards x idle power x interval

Not modelled: halos between shares of rows, energy of links, boards of different kinds, groups in `tiles` (one group's
inputs are waited for).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hwmodels.compose import LayerCounts, reduce_pairs
from hwmodels.families.base import Assumption, Composition, CostModel, Metric, PairRule, Reference
from hwmodels.families.fpga import kernel
from hwmodels.families.fpga.engine import EngineTable, Shares, engine_table, resources
from hwmodels.families.fpga.kernel import Cost
from hwmodels.families.fpga.kernel_boards import cut_bytes, cuts
from hwmodels.families.fpga.kernel_schedule import TiledLayers, schedule
from hwmodels.families.fpga.resources import INFEASIBLE, REASONS, RESOURCE_METRICS, resource_columns
from hwmodels.families.fpga.spec import FpgaSpec, settled
from hwmodels.families.fpga.streaming import incoming_of
from hwmodels.families.spec import Spec, knob, take
from hwmodels.units import GB
from hwmodels.workload.ops import Kind
from hwmodels.workload.table import I64, Layers, LayerTable

__all__ = ["MODEL", "FpgaBoardsSpec", "tiled_layers"]

F64 = npt.NDArray[np.float64]

_PIPELINE, _TILES, _SHARDED = range(3)
_EVERYTHING = 10**9  # rows of input that a layer behind a flattened image waits for
_DESIGN = "a free design choice"


class FpgaBoardsSpec(Spec):
    """Equal boards in a row, or all linked.

    >>> FpgaBoardsSpec(boards=4).numerics().weight_bits
    16
    """

    computed_by: ClassVar[str] = "engine"

    engine: FpgaSpec = FpgaSpec()
    boards: int = knob(2, "boards", source=_DESIGN, ge=1, le=64)
    schedule: Literal["pipeline", "tiles", "sharded"] = knob(
        "pipeline", "layers in a row of boards, tiles through an engine a layer, or every layer on all boards",
        source="[Co-exploration], [FNAS], [Super-LIP]",
    )  # fmt: skip
    row_boards: int = knob(
        1, "sharded: boards that share out the rows and hold each other's weights; the others share out channels",
        source=_DESIGN, ge=1, le=64,
    )  # fmt: skip
    link_bytes_per_s: float = knob(
        2.5 * GB, "a link between two boards, each way", source="two 10 Gb/s serial lanes", unit="B/s", gt=0
    )


if TYPE_CHECKING:
    FpgaBoardsTable = Any
else:
    FpgaBoardsTable = namedtuple("FpgaBoardsTable", FpgaBoardsSpec.model_fields, module=__name__)
    FpgaBoardsSpec.table_type = FpgaBoardsTable

_COST = {name: place for place, name in enumerate(Cost._fields)}


def _layer_costs(layers: Layers, engines: EngineTable) -> F64:
    """(C, L, len(Cost))."""
    out = np.zeros((engines.engine_clock_hz.size, layers.kind.size, len(Cost._fields)))
    kernel.all_pairs(layers, engines, out, np.zeros(out.shape[:2], np.int16))
    return out


def _totals(table: LayerTable, costs: F64, network: I64, config: I64) -> F64:
    """Sums over layers, (P, len(Cost))."""
    return reduce_pairs(costs, config, network, LayerCounts.of(table), np.zeros(len(Cost._fields), np.bool_))


def _compose(table: LayerTable, configs: FpgaBoardsTable, network: I64, config: I64) -> dict[str, F64]:
    """Pairs by schedule."""
    configs = configs._replace(engine=settled(configs.engine))
    found = {name: np.zeros(network.size) for name in _COMPOSED_NAMES}
    for code, run in ((_PIPELINE, _pipelined), (_TILES, _flowing), (_SHARDED, _sharded)):
        which = np.flatnonzero(configs.schedule[config] == code)
        if which.size:
            used, position = np.unique(config[which], return_inverse=True)
            for name, values in run(table, take(configs, used), network[which], position.reshape(-1)).items():
                found[name][which] = values
    return found


def _energies(work_j: F64, configs: FpgaBoardsTable, config: I64, interval_s: F64) -> dict[str, F64]:
    static_j = configs.boards[config] * configs.engine.idle_w[config] * interval_s
    return {"work_j": work_j, "static_j": static_j, "energy_j": work_j + static_j}


def _work_j(totals: F64) -> F64:
    found: F64 = totals[:, _COST["mac_j"]] + totals[:, _COST["logic_j"]] + totals[:, _COST["dram_j"]]
    return found


def _pipelined(table: LayerTable, configs: FpgaBoardsTable, network: I64, config: I64) -> dict[str, F64]:
    costs = _layer_costs(table.layers, engine_table(configs.engine))
    totals = _totals(table, costs, network, config)
    networks = table.networks
    crossing = cut_bytes(networks, 1.0)
    steps = cuts(
        np.ascontiguousarray(costs[:, :, _COST["latency_s"]]), networks.sequence, networks.sequence_start, crossing,
        boards=configs.boards, link_bytes_per_s=configs.link_bytes_per_s * 8.0 / configs.engine.activation_bits,
        network=network, config=config,
    )  # fmt: skip
    latency = totals[:, _COST["latency_s"]]
    # One board is that board: the sums agree to the last bit.
    interval = np.where(steps[:, 2] > 1, np.minimum(steps[:, 0], latency), latency)
    return {
        "latency_s": latency + steps[:, 1], "interval_s": interval, "link_s": steps[:, 1],
        "boards_used": np.where(latency > 0, steps[:, 2], 0.0), "dram_bytes": totals[:, _COST["dram_bytes"]],
        "executed_macs": totals[:, _COST["executed_macs"]], **_energies(_work_j(totals), configs, config, interval),
    }  # fmt: skip


def _sharded_layers(layers: Layers, rows: int, channels: int) -> Layers:
    """The largest share of every layer: ceil of its output rows over `rows`, of its outputs over `channels`."""
    conv = layers.kind == Kind.CONV
    multiplied = layers.macs > 0
    depthwise = conv & (layers.groups > 1)
    out_h = np.where(conv, -(-layers.out_h // rows), layers.out_h)
    m = np.where(conv, layers.m // np.maximum(layers.out_h, 1) * out_h, -(-layers.m // rows))
    groups = np.where(depthwise, -(-layers.groups // channels), layers.groups)
    n = np.where(depthwise, layers.n, -(-layers.n // channels))
    part = 1.0 / (rows * channels)

    def share(values: I64) -> I64:
        found: I64 = np.ceil(values * part).astype(np.int64)
        return found

    return layers._replace(
        out_h=out_h, m=np.where(multiplied, m, 0), n=np.where(multiplied, n, 0), groups=groups,
        macs=groups * m * n * layers.k * layers.sequential_steps, vector_ops=share(layers.vector_ops),
        output_elements=share(layers.output_elements),
        input_elements=np.where(multiplied, layers.input_elements, share(layers.input_elements)),
    )  # fmt: skip


def _sharded(table: LayerTable, configs: FpgaBoardsTable, network: I64, config: I64) -> dict[str, F64]:
    """One board's share of every layer, with what it reads of the others."""
    rows = np.minimum(configs.row_boards, configs.boards)
    channels = np.maximum(configs.boards // rows, 1)
    shares = Shares(1.0 / rows, 1.0 / channels, np.where(configs.boards > 1, configs.link_bytes_per_s, np.inf))
    engines = engine_table(configs.engine, shares)
    latency, work = np.zeros(network.size), np.zeros(network.size)
    dram, macs = np.zeros(network.size), _totals(table, _macs_only(table.layers), network, np.zeros_like(config))
    for split in set(zip(rows.tolist(), channels.tolist(), strict=True)):
        mine = np.flatnonzero((rows == split[0]) & (channels == split[1]))
        which = np.flatnonzero(np.isin(config, mine))
        layers = table.layers if split == (1, 1) else _sharded_layers(table.layers, *split)
        totals = _totals(table, _layer_costs(layers, take(engines, mine)), network[which],
                         np.searchsorted(mine, config[which]))  # fmt: skip
        boards = configs.boards[config[which]]
        latency[which] = totals[:, _COST["latency_s"]]
        work[which], dram[which] = boards * _work_j(totals), boards * totals[:, _COST["dram_bytes"]]
    return {
        "latency_s": latency, "interval_s": latency, "link_s": np.zeros(network.size),
        "boards_used": np.where(latency > 0, (rows * channels)[config], 0.0), "dram_bytes": dram,
        "executed_macs": macs[:, _COST["executed_macs"]], **_energies(work, configs, config, latency),
    }  # fmt: skip


def _macs_only(layers: Layers) -> F64:
    out = np.zeros((1, layers.kind.size, len(Cost._fields)))
    out[0, :, _COST["executed_macs"]] = layers.macs
    return out


def tiled_layers(layers: Layers, spec: Mapping[str, Any], *, lanes: int, lanes_per_board: int) -> TiledLayers:
    """One network's layers, in order, on engines of their own.

    lanes_i = max(1, floor(lanes MAC_i / sum MAC)), Tn the power of two at most its root, reuse alternates from layer to
    layer so that what is produced first is needed first [FNAS]. spec : tile_m, tile_rows, tile_cols,
    activation_bits and cycles_per_byte of the link. Tasks follow each other without a drain; tiles for a layer on
    another board wait for the link.
    """
    conv = layers.kind == Kind.CONV
    matrix = (layers.macs > 0) & ~(conv & (layers.groups > 1) & (layers.k == layers.kernel_h * layers.kernel_w))
    kernel_words = np.where(conv, layers.kernel_h * layers.kernel_w, 1)
    inputs = np.where(layers.macs > 0, np.maximum(layers.k // kernel_words, 1), layers.in_channels)
    outputs = np.where(layers.macs > 0, layers.n * layers.groups, layers.out_channels)
    share = np.maximum((lanes * layers.macs / max(int(layers.macs.sum()), 1)).astype(np.int64), 1)
    tn = np.minimum(inputs, 2 ** np.floor(np.log2(np.sqrt(share))).astype(np.int64))
    tm = np.where(layers.macs > 0, np.where(matrix, np.maximum(share // tn, 1), share), spec["tile_m"])
    tm = np.minimum(tm, np.maximum(outputs, 1))
    rows = np.where(conv | (layers.macs == 0), layers.out_h, np.maximum(layers.m // layers.batch, 1))
    cols = np.where(conv | (layers.macs == 0), layers.out_w, 1)
    tr, tc = np.minimum(spec["tile_rows"], rows), np.minimum(spec["tile_cols"], cols)
    windowed = conv | (layers.kind == Kind.POOL)
    taps = np.where(windowed, layers.kernel_h * layers.kernel_w, 1)
    flat = ~conv & (layers.macs > 0) & (rows == 1)
    board = np.minimum(np.cumsum(share * (layers.macs > 0)), lanes) // max(lanes_per_board, 1)
    leaves = np.append(np.diff(board) > 0, False)
    tile_bytes = tm * tr * tc * spec["activation_bits"] / 8.0
    return TiledLayers(
        outputs, inputs, rows, cols, tm, tn, tr, tc, np.where(windowed, layers.stride_h, 1),
        np.where(windowed, layers.stride_w, 1),
        np.where(flat, _EVERYTHING, np.where(windowed, layers.kernel_h - layers.pad_h, 1)),
        np.where(flat, _EVERYTHING, np.where(windowed, layers.kernel_w - layers.pad_w, 1)),
        (taps * tr * tc).astype(np.float64),
        (~matrix).astype(np.int64), np.arange(rows.size) % 2,
        np.where(leaves, tile_bytes * spec["cycles_per_byte"], 0.0),
    )  # fmt: skip


def _flowing(table: LayerTable, configs: FpgaBoardsTable, network: I64, config: I64) -> dict[str, F64]:
    """Every pair by its own schedule of tiles."""
    engines, networks = engine_table(configs.engine), table.networks
    incoming = incoming_of(networks)
    size = network.size
    cycles, slowest, used = np.zeros(size), np.zeros(size), np.zeros(size)
    batch = np.ones(size)
    for p, (n, c) in enumerate(zip(network.tolist(), config.tolist(), strict=True)):
        first, stop = networks.sequence_start[n : n + 2].tolist()
        if first == stop:
            continue
        one = configs.engine
        lanes_per_board = int(one.tile_m[c] * one.tile_n[c])
        layers = Layers(*(column[networks.sequence[first:stop]] for column in table.layers))
        clock_hz = float(engines.engine_clock_hz[c])
        spec = {name: int(getattr(one, name)[c])
                for name in ("tile_m", "tile_rows", "tile_cols", "activation_bits")}  # fmt: skip
        spec["cycles_per_byte"] = clock_hz / configs.link_bytes_per_s[c]
        tiled = tiled_layers(layers, spec, lanes=lanes_per_board * int(configs.boards[c]),
                             lanes_per_board=lanes_per_board)  # fmt: skip
        start = incoming.start[first : stop + 1]
        inside = incoming.source[start[0] : start[-1]]
        kept = inside >= 0
        begins = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[start - start[0]]
        times = schedule(tiled, inside[kept], begins)
        batch[p] = layers.batch[0]
        slowest[p] = float(_task_cycles(tiled).max())
        cycles[p] = max(times.end.max(), slowest[p]) + (batch[p] - 1.0) * slowest[p]
        used[p] = configs.boards[c]
    clock = engines.engine_clock_hz[config]
    macs = _totals(table, _macs_only(table.layers), network, np.zeros_like(config))[:, _COST["executed_macs"]]
    interval = batch * slowest / clock
    work = engines.mac_j[config] * macs + configs.boards[config] * engines.cycle_j[config] * batch * slowest
    return {
        "latency_s": cycles / clock, "interval_s": interval, "link_s": np.zeros(size), "boards_used": used,
        "dram_bytes": np.zeros(size), "executed_macs": macs, **_energies(work, configs, config, interval),
    }  # fmt: skip


def _task_cycles(tiled: TiledLayers) -> F64:
    """Work of every layer: tasks times their cycles."""
    inputs = np.where(tiled.channelwise == 1, 1, -(-tiled.inputs // tiled.tn))
    tiles = -(-tiled.outputs // tiled.tm) * -(-tiled.rows // tiled.tr) * -(-tiled.cols // tiled.tc)
    work: F64 = inputs * tiles * tiled.task
    return work


Columns = Mapping[str, npt.NDArray[Any]]


def _efficiency(metrics: Columns, knobs: Columns) -> F64:
    """Mean share of the interval in which a board works: MACs / (interval x peak); 0 where nothing runs."""
    slots = metrics["interval_s"] * metrics["peak_macs_per_s"]
    share: F64 = np.divide(metrics["executed_macs"], slots, out=np.zeros_like(slots), where=slots > 0)
    return share


def _config_metrics(table: FpgaBoardsTable) -> dict[str, F64]:
    found = resource_columns(resources(table.engine), table.engine)
    lanes = table.engine.tile_m * table.engine.tile_n + table.engine.depthwise_lanes
    found["peak_macs_per_s"] = table.boards * lanes * found["closing_clock_hz"]
    found["idle_power_w"] = table.boards * table.engine.idle_w
    return found


def _infeasible(metrics: Columns, knobs: Columns) -> npt.NDArray[np.int8]:
    """Shares that do not divide the boards, else the resource of one board that is furthest beyond closure."""
    uneven = (knobs["schedule"] == _SHARDED) & (knobs["boards"] % np.minimum(knobs["row_boards"], knobs["boards"]) > 0)
    codes: npt.NDArray[np.int8] = np.where(uneven, len(REASONS) + 1, INFEASIBLE.function(metrics, knobs)).astype(
        np.int8
    )
    return codes


_COMPOSED = (
    Metric("latency_s", "composed", "a batch through all boards, links included"),
    Metric("interval_s", "composed", "from one batch to the next: the slowest board, link or engine"),
    Metric("energy_j", "composed", "work, and idle power of all boards over the interval"),
    Metric("work_j", "composed", "multipliers, logic and DRAM of all boards"),
    Metric("static_j", "composed", "idle power of all boards over the interval"),
    Metric("link_s", "composed", "time of a batch on links between the steps of a pipeline"),
    Metric("boards_used", "composed", "boards that have work"),
    Metric("dram_bytes", "composed", "DRAM traffic of all boards"),
    Metric("executed_macs", "composed", "multiply-adds of the network"),
)
_COMPOSED_NAMES = tuple(metric.name for metric in _COMPOSED)

MODEL = CostModel(
    name="fpga_boards",
    meaning="several FPGAs with a tiled engine each: a pipeline of layers, tiles that flow, or layers in shares",
    spec=FpgaBoardsSpec,
    metrics=(
        *_COMPOSED,
        Metric("utilisation", "rule", "share of all multipliers' slots in an interval that do work", "more"),
        Metric("peak_macs_per_s", "config", "all boards", "more"),
        Metric("idle_power_w", "config", "all boards, nothing running"),
        *RESOURCE_METRICS,
    ),
    compose=Composition(_compose),
    layerwise=None,
    objectives=("energy_j", "interval_s"),
    searched=("boards", "row_boards", "engine.tile_m", "engine.tile_n"),
    config_metrics=_config_metrics,
    derived={"utilisation": PairRule(frozenset({"interval_s", "peak_macs_per_s", "executed_macs"}), _efficiency)},
    infeasible=PairRule(INFEASIBLE.reads | {"schedule", "boards", "row_boards"}, _infeasible),
    infeasible_reasons=(*REASONS, "boards that do not divide into shares of rows and of channels"),
    assumptions=(
        Assumption("weights of tiles", "on chip", "-", "an engine for one layer keeps its weights [FNAS]"),
        Assumption("boards", "equal", "-", "every board has the same engine"),
    ),
    references=(
        Reference("FNAS", "Jiang et al., Accuracy vs. Efficiency: Achieving Both through FPGA-Implementation Aware "
                  "Neural Architecture Search, DAC 2019"),
        Reference("Co-exploration", "Jiang et al., Hardware/Software Co-Exploration of Neural Architectures, IEEE TCAD "
                  "2020"),
        Reference("Super-LIP", "Jiang et al., Achieving Super-Linear Speedup across Multi-FPGA for Real-Time DNN "
                  "Inference, ACM TECS 2019"),
    ),
)  # fmt: skip
