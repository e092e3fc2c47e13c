"""Tiled engines against two publications.

`zhang15_layers`: cycles of five layers, each with the tile that gives them (`Tm_Tn_reproducing`). Three of the tiles
that stand beside the cycles do not give them; that is arithmetic, not silicon. The fill of 20 cycles explains four of
the five layers and none the first. `zhang15_resources`: time, power and resources of the one design that was built.

`hotnas_fpga_dse`: latencies that HotNAS's own closed form printed for 9,508 designs. The mode `compat` follows it,
slips included: extents of outputs are divided by the stride; a store takes all Tm channels; the depthwise engine has
Tn = Tm and counts its channels as inputs and as outputs, and stores its padding; MnasNet has the unscaled stem of
torchvision's first version; and ShuffleNet's modules are walked one behind the other, so that a block's shortcut halves
the map once more. Then 9,504 rows are exact. The other four are the last row of each network, which names its best
design beside a figure that is not its latency: AlexNet's [100,25,32,32,11,8,2,2] stands there with 9.3698 ms, and in
its authors' list of best designs with 6.132, which the closed form gives, as it gives the other three of that list.

`tile_model_reference`: five results of its search for single networks, ResNet-18 walked as a chain of its modules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device
from hwmodels.families.fpga import kernel
from hwmodels.families.fpga.engine import engine_table, resources
from hwmodels.families.fpga.spec import FpgaSpec
from hwmodels.units import MHZ
from hwmodels.validate import MetricName, ReferenceTables, Score
from hwmodels.validation.fpga.scores import Source
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Conv2d, Kind, Pool2d, Rearrange, Row, Shape
from hwmodels.workload.table import Layers
from hwmodels.workload.zoo import network
from hwmodels.workload.zoo.mobilenet import classify, divisible, inverted_residual

__all__ = ["searched_latencies", "tiled_scores"]

F64 = npt.NDArray[np.float64]

_LAYERS, _BUILT, _SEARCHED = "fpga/zhang15_layers.csv", "fpga/zhang15_resources.csv", "nas/hotnas_fpga_dse.csv.gz"
_UNIFIED = {
    "number_format": "float", "weight_bits": 32, "activation_bits": 32, "tile_m": 64, "tile_n": 7, "tile_rows": 13,
    "tile_cols": 13, "largest_kernel": 11, "largest_stride": 4, "clock_hz": 100 * MHZ,
}  # fmt: skip
_SEEN = "the LUTs of a float MAC and their flip-flops, the board's idle power and the fill come from this design"


def tiled_scores(tables: ReferenceTables) -> list[Score]:
    """Scores of the tiled engine."""
    return [*_published_cycles(tables), *_built(tables), *_hotnas(tables), *_chosen(tables)]


def _costs(rows: Sequence[Row], configs: Any) -> F64:
    """(C, L, len(Cost)) of some layers on some designs."""
    out = np.zeros((configs.tile_m.size, len(rows), len(kernel.Cost._fields)))
    choice = np.zeros(out.shape[:2], np.int16)
    kernel.all_pairs(Layers.of(rows), engine_table(configs), out, choice)
    return out


def _half_layer(line: Mapping[str, str]) -> Row:
    """One of the two equal halves of a layer, as the paper counts; only the first has a stride."""
    m, n, size, side = (int(line[name]) for name in ("M_half", "N_half", "R", "K"))
    stride = 4 if side == 11 else 1
    operator, shape = Conv2d.square(m, side, stride=stride), (1, n, size * stride, size * stride)
    return operator.row((shape,), operator.infer(shape))


def _published_cycles(tables: ReferenceTables) -> list[Score]:
    """Cycles of each layer under the tile that gives them, and the least of all tiles of 480 multipliers."""
    lines = tables.rows(_LAYERS)
    if not lines:
        return []
    published = [float(line["cycles_published"]) for line in lines]
    own, least, smooth, stated = [], [], [], []
    for line in lines:
        row = _half_layer(line)
        fill = 0 if line["layer"] == "1" else 20
        base = FpgaSpec(tile_rows=64, tile_cols=64, largest_kernel=11, largest_stride=4, pipeline_depth=fill)
        tm, tn = (int(part) for part in line["Tm_Tn_reproducing"].split(" ")[0].split("x"))
        own.append(_cycles(row, base, [(tm, tn)])[0])
        stated.append(_cycles(row, base, [(int(line["Tm_published"]), int(line["Tn_published"]))])[0])
        every = [(m, n) for m in range(1, row.n + 1) for n in range(1, min(480 // m, row.in_channels) + 1)]
        least.append(_cycles(row, base, every).min())
        smooth.append(row.macs / (tm * tn))
    fitted = "the fill of 20 cycles, 0 on the first layer, and the tiles come from these rows"
    source = Source("fpga", "zhang15_layers", len(lines), fitted)
    baselines = {"MACs over multipliers": smooth}
    return [
        source.score("cycles", "exact_fraction", own, published, baselines=baselines),
        source.score("best of 480 multipliers", "exact_fraction", least, published, baselines=baselines),
        source.score("tiles as printed", "exact_fraction", stated, published),
    ]


def _cycles(row: Row, base: FpgaSpec, tiles: Sequence[tuple[int, int]]) -> F64:
    columns = dict(zip(("tile_m", "tile_n"), np.array(tiles).T, strict=True))
    cycles: F64 = _costs([row], FpgaSpec.table_from(base, columns))[:, 0, kernel.Cost._fields.index("compute_cycles")]
    return cycles


def _built(tables: ReferenceTables) -> list[Score]:
    """The design <64, 7> on the VC707: time of all layers, both halves, and what it takes of the board."""
    lines, layers = tables.rows(_BUILT), tables.rows(_LAYERS)
    spec = device("vc707").spec.revised(_UNIFIED, where="vc707")
    if not lines or not layers:
        return []
    published = {line["resource"]: float(line["used"]) for line in lines}
    configs = type(spec).to_table([spec])
    costs = 2.0 * _costs([_half_layer(line) for line in layers], configs)[0].sum(axis=0)
    found = dict(zip(kernel.Cost._fields, costs.tolist(), strict=True))
    use = resources(configs)
    source = Source("fpga", "zhang15_resources", len(lines), _SEEN)
    pairs: dict[str, tuple[float, str, dict[str, list[float]]]] = {
        "latency": (found["latency_s"] * 1e3, "latency_ms_all_conv", {"compute alone": [found["compute_s"] * 1e3]}),
        "power": (found["energy_j"] / found["latency_s"], "power_W_board", {"idle alone": [configs.idle_w[0]]}),
        "DSP": (use.dsps[0], "DSP48E1", {"one a MAC": [448.0]}),
        "BRAM18": (use.bram18s[0], "BRAM18", {}),
        "LUT": (use.luts[0], "LUT", {}),
        "FF": (use.ffs[0], "FF", {}),
    }
    return [
        source.score(group, "max_error", [value], [published[key]], baselines=others)
        for group, (value, key, others) in pairs.items()
    ]


_CHOSEN, _DESIGN = "fpga/tile_model_reference.csv", "design[Tm,Tn,Tr,Tc,Tk,Wp,Ip,Op]"
_DESIGN_KNOBS = ("tile_m", "tile_n", "tile_rows", "tile_cols", "largest_kernel", "weight_port", "input_port",
                 "output_port")  # fmt: skip
_COLUMNS = {
    "c_Tm": "tile_m", "c_Tn": "tile_n", "c_Tr": "tile_rows", "c_Tc": "tile_cols", "c_Wp": "weight_port",
    "c_Ip": "input_port", "c_Op": "output_port", "d_Tm": "depthwise_lanes", "d_Tr": "depthwise_rows",
    "d_Tc": "depthwise_cols", "d_Wp": "depthwise_weight_port", "d_Ip": "depthwise_input_port",
    "d_Op": "depthwise_output_port",
}  # fmt: skip
_READ_FROM = "nothing fitted; how its source walks and counts was worked out on these rows"


# [Tan'19] as torchvision's first version has it at width 0.5: kernel, expansion, channels, repeats, stride
_MNASNET = (
    (3, 3, 24, 3, 2),
    (5, 3, 40, 3, 2),
    (5, 6, 80, 3, 2),
    (3, 6, 96, 2, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)


def _first_mnasnet() -> Workload:
    """MnasNet at half width with the stem of full width: 32 and 16 channels."""
    net = Builder("mnasnet0_5", (1, 3, 224, 224))
    x = net.conv_norm_act(net.input, 32, 3, stride=2)
    x = inverted_residual(net, x, 16, hidden=32, activation="relu", skip=False)
    for side, expansion, channels, repeats, stride in _MNASNET:
        for index in range(repeats):
            x = inverted_residual(
                net, x, divisible(channels / 2), hidden=expansion * net.shape(x)[1], kernel=side,
                stride=stride if index == 0 else 1, activation="relu",
            )  # fmt: skip
    return net.finish(classify(net, net.conv_norm_act(x, 1280, 1)))


# [Ma et al., ECCV 2018] at width 1: output channels and units of the three stages
_SHUFFLENET = ((116, 4), (232, 8), (464, 4))


def _walked_shufflenet() -> Workload:
    """ShuffleNet-v2 as a chain of its modules: the shortcut of a stage's first unit stands before its main branch."""
    net = Builder("shufflenet_v2_x1_0", (1, 3, 224, 224))
    x = net.add(Pool2d("max", 3, 2, 1), net.add(Conv2d.square(24, 3, stride=2), net.input))
    inside = 24
    for outside, units in _SHUFFLENET:
        half = outside // 2
        x = net.add(Conv2d(half), net.add(Conv2d.square(inside, 3, stride=2, groups=inside), x))
        for unit in range(units):
            # The chain hands on `half` channels; the first unit's main branch reads all that enter the stage.
            wide = net.add(Rearrange("as many channels as enter", _replaced(net.shape(x), inside)), x)
            x = net.add(Conv2d(half), wide if unit == 0 else x)
            x = net.add(Conv2d.square(half, 3, stride=2 if unit == 0 else 1, groups=half), x)
            x = net.add(Conv2d(half), x)
        x = net.add(Rearrange("both halves", _replaced(net.shape(x), outside)), x)
        inside = outside
    return net.finish(net.add(Conv2d(1024), x))


def _walked_resnet() -> Workload:
    """ResNet-18 as a chain of its modules: a shortcut stands behind its main branch and halves the map again."""
    net = Builder("resnet18", (1, 3, 224, 224))
    x = net.add(Pool2d("max", 3, 2, 1), net.add(Conv2d.square(64, 7, stride=2), net.input))
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            inside, stride = net.shape(x)[1], 2 if stage and not block else 1
            x = net.add(Conv2d.square(width, 3), net.add(Conv2d.square(width, 3, stride=stride), x))
            if stride > 1:
                entering = net.add(Rearrange("the channels that enter the block", _replaced(net.shape(x), inside)), x)
                x = net.add(Conv2d.square(width, 1, stride=2), entering)
    return net.finish(x)


def _replaced(shape: Shape, channels: int) -> Shape:
    return (shape[0], channels, *shape[2:])


_WALKS = {"mnasnet0_5": _first_mnasnet, "resnet18": _walked_resnet, "shufflenet_v2_x1_0": _walked_shufflenet}


def _hotnas(tables: ReferenceTables) -> list[Score]:
    lines = tables.rows(_SEARCHED)
    found: list[Score] = []
    metrics: tuple[MetricName, ...] = ("median_error", "p90_error", "spearman")
    for name in dict.fromkeys(line["net"] for line in lines or ()):
        mine = [line for line in lines or () if line["net"] == name]
        own, published = searched_latencies(name, mine)
        lanes = np.array([float(line["c_Tm"]) * float(line["c_Tn"]) + float(line["d_Tm"] or 0) for line in mine])
        ideal = _convolutions(name)[1] / lanes / (100 * MHZ) * 1e3
        source = Source("fpga", "hotnas_fpga_dse", len(lines or ()), _READ_FROM)
        found.append(source.score(name, "exact_fraction", own, published, tolerance=1e-4))
        found += [
            source.score(name, metric, own, published, baselines={"MACs over multipliers": ideal}) for metric in metrics
        ]
    return found


def _convolutions(name: str) -> tuple[dict[Row, int], int]:
    """The convolutions of a network as its source walks them, how often each runs, and their MACs."""
    workload = _WALKS[name]() if name in _WALKS else network(name)
    counts = Counter(row for _, row in workload.rows() if row.kind == Kind.CONV)
    return dict(counts), sum(row.macs * count for row, count in counts.items())


def searched_latencies(name: str, lines: Sequence[Mapping[str, str]]) -> tuple[F64, F64]:
    """(predicted, published) latencies of one network on its designs, ms: the convolutions alone, at 100 MHz."""
    counts, _ = _convolutions(name)
    columns = {
        knob: np.array([int(float(line[key])) for line in lines]) for key, knob in _COLUMNS.items() if lines[0][key]
    }
    configs = FpgaSpec.table_from(FpgaSpec(rules="compat", clock_hz=100 * MHZ), columns)
    latency: F64 = _costs(list(counts), configs)[:, :, 0] @ np.array(list(counts.values()), np.float64) * 1e3
    return latency, np.array([float(line["latency_ms"]) for line in lines])


def _chosen(tables: ReferenceTables) -> list[Score]:
    """Designs that a search chose for a network each: its latency, or the difference of two networks on one design."""
    lines = tables.rows(_CHOSEN)
    if not lines:
        return []
    own, ideal = [], []
    for line in lines:
        design = [int(part) for part in line[_DESIGN].split(",")]
        values = dict(zip(_DESIGN_KNOBS, design, strict=True))
        configs = FpgaSpec.to_table(
            [FpgaSpec.parse({"rules": "compat", "clock_hz": 100 * MHZ, **values}, where=_CHOSEN)]
        )
        first, _, second = line["net"].partition(" minus ")
        signed = [(first.partition(" ")[0], 1.0), *([(second, -1.0)] if second else [])]
        totals = [(sign, *_convolutions(name)) for name, sign in signed]
        times = [
            sign * (_costs(list(counts), configs)[0, :, 0] @ np.array(list(counts.values()), np.float64))
            for sign, counts, _ in totals
        ]
        own.append(float(sum(times)) * 1e3)
        ideal.append(sum(sign * macs for sign, _, macs in totals) / (design[0] * design[1]) / (100 * MHZ) * 1e3)
    published = [float(line["published_ms_at_100MHz"]) for line in lines]
    source = Source("fpga", "tile_model_reference", len(lines), _READ_FROM)
    return [
        source.score("chosen designs", "exact_fraction", own, published, tolerance=1e-6),
        source.score("chosen designs", "max_error", own, published, baselines={"MACs over multipliers": ideal}),
    ]
