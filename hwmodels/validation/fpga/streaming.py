"""Streaming pipelines against published designs and other tools' estimates.

`finn_cnv_cycles`: cycles of nine matrix stages under the published folding, exact; and the one network that was
measured with it, item by item on two boards (`finn_hls4ml_measured`): an example, not a statistic. Its BRAMs are those
of the stages alone. `fpgaconvnet_reference`: intervals that another tool gives for three foldings of one network.
`hls4ml_rf_table` and `rule4ml_reference`: estimates of a compiler for a pruned network, and of a surrogate; neither is
silicon. What rule4ml itself states as its error, 10 to 30 %, is the baseline to have in mind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.fpga.kernel_streaming import Stage
from hwmodels.families.fpga.memory import bram18s_of
from hwmodels.families.fpga.streaming import MODEL, stages_of, walked
from hwmodels.families.fpga.streaming_spec import StreamingSpec
from hwmodels.units import MHZ
from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.fpga.scores import Source
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, Pool2d, Precision
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table

__all__ = ["cnv", "streaming_scores"]

F64 = npt.NDArray[np.float64]
_FINN = 100 * MHZ


def streaming_scores(tables: ReferenceTables) -> list[Score]:
    """Scores of the streaming pipeline."""
    return [*_cycles(tables), *_measured(tables), *_fpgaconvnet(tables), *_hls4ml(tables), *_rule4ml(tables)]


def _folded(tables: ReferenceTables) -> list[Mapping[str, str]]:
    return [line for line in tables.rows("fpga/finn_cnv_cycles.csv") or () if line["layer"].startswith("mv")]


def _stage_cycles(line: Mapping[str, str]) -> int:
    """(MH / PE) (MW / SIMD) pixels."""
    mh, mw, pixels, pe, simd = (int(line[name]) for name in ("MH", "MW", "out_pixels", "PE", "SIMD"))
    return mh // pe * (mw // simd) * pixels


def _cycles(tables: ReferenceTables) -> list[Score]:
    lines = _folded(tables)
    if not lines:
        return []
    source = Source("fpga_streaming", "finn_cnv_cycles", len(lines), "nothing")
    own = [_stage_cycles(line) for line in lines]
    smooth = [int(line["MH"]) * int(line["MW"]) for line in lines]
    published = [float(line["cycles"]) for line in lines]
    found = [source.score("stages", "exact_fraction", own, published, baselines={"one product a cycle": smooth})]
    if len(lines) < len(_CNV_CHANNELS) + len(_CNV_FEATURES):
        return found
    brams = 0.0
    for line in lines:
        lanes = int(line["PE"]) * int(line["SIMD"])
        brams += float(bram18s_of(lanes, int(line["MH"]) * int(line["MW"]) // lanes))
    # 146: FINN's own report of this network, which takes 18 bits a block wherever a memory is deeper than 512
    bits = sum(int(line["MH"]) * int(line["MW"]) for line in lines) / 18432
    found.append(source.score("BRAM18 of weights", "max_error", [brams], [146.0], baselines={"bits": [bits]}))
    return found


_CNV_CHANNELS, _CNV_FEATURES = (64, 64, 128, 128, 256, 256), (512, 512, 10)


def cnv() -> Workload:
    """FINN's CNV: six unpadded 3x3 in pairs with pooling, three dense layers, for 32 x 32 images."""
    net = Builder("cnv", (1, 3, 32, 32), precision=Precision(1, 1, 32))
    x = net.input
    for index, channels in enumerate(_CNV_CHANNELS):
        x = net.add(Activation("relu"), net.add(Conv2d(channels, (3, 3)), x))
        if index in (1, 3):
            x = net.add(Pool2d("max", 2), x)
    x = net.flatten(x)
    for features in _CNV_FEATURES:
        x = net.linear(x, features, bias=False)
    return net.finish(x)


def _measured(tables: ReferenceTables) -> list[Score]:
    """The whole network under the published folding: what its stages and its fill give an item alone."""
    lines, measured = _folded(tables), tables.rows("fpga/finn_hls4ml_measured.csv")
    if len(lines) < len(_CNV_CHANNELS) + len(_CNV_FEATURES) or not measured:
        return []
    published = [float(line["latency_ms"]) for line in measured if line["model"] == "CNV-W1A1"]
    table = layer_table([rewrite(cnv(), COMPILED)])
    spec = StreamingSpec(weight_bits=1, activation_bits=1, clock_hz=_FINN)
    configs = StreamingSpec.to_table([spec])
    costs = stages_of(table.layers, configs)
    matrices = [row for row in table.rows_of(0).tolist() if table.layers.macs[row] > 0]
    place = Stage._fields.index("cycles")
    for row, line in zip(matrices, lines, strict=True):
        costs[0, row, place] = _stage_cycles(line)
    zero = np.zeros(1, np.int64)
    fill = walked(table, costs, configs, zero, zero)["cycles"][0]
    cycles = [_stage_cycles(line) for line in lines]
    own = np.full(len(published), fill / _FINN * 1e3)
    source = Source(
        "fpga_streaming", "finn_hls4ml_measured", len(measured), "nothing; one network on two boards is an example",
        {"another network": len(measured) - len(published)},
    )  # fmt: skip
    others = {"slowest stage alone": own * max(cycles) / fill, "sum of the stages": own * sum(cycles) / fill}
    return [source.score("CNV, an item alone", "max_error", own, published, baselines=others)]


def _fpgaconvnet(tables: ReferenceTables) -> list[Score]:
    """Intervals of one network of four 3x3 under three foldings: rows cols (N/ci) (M/co) ceil(9/fine)."""
    path = tables.path("fpga/fpgaconvnet_reference.json")
    if path is None:
        return []
    try:
        points = [
            tuple(int(point[name]) for name in ("coarse_in", "coarse_out", "fine", "interval"))
            for point in json.loads(path.read_text(encoding="utf-8"))["points"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(str(path), f"{type(error).__name__}: {error}", "points with foldings and intervals") from None
    extents, channels = (32, 16, 8, 4), (3, 16, 32, 64, 64)
    own = []
    for inside, outside, fine, _ in points:
        own.append(
            max(
                size**2 * (n // _divisor(n, inside)) * (m // _divisor(m, outside)) * -(-9 // fine)
                for size, (n, m) in zip(extents, pairwise(channels), strict=True)
            )
        )
    source = Source("fpga_streaming", "fpgaconvnet_reference", len(points), "nothing")
    return [source.score("intervals", "exact_fraction", own, [point[-1] for point in points])]


def _divisor(number: int, most: int) -> int:
    return max(one for one in range(1, most + 1) if number % one == 0)


def _jet(features: Sequence[int], bits: int) -> Workload:
    """Dense layers with activations behind 16 inputs: the jet taggers of hls4ml."""
    net = Builder("jet", (1, 16), precision=Precision(bits, bits, 32))
    x = net.input
    for size in features[:-1]:
        x = net.add(Activation("relu"), net.linear(x, size))
    return net.finish(net.linear(x, features[-1]))


def _totals(features: Sequence[int], bits: int, reuse: int) -> dict[str, float]:
    """What a dense network with this reuse takes, and its cycles; ten bits and more in blocks [hls4ml's compiler]."""
    spec = StreamingSpec(
        weight_bits=bits, activation_bits=bits, reuse_factor=reuse, dsp_from_bits=10, shell_luts=1, shell_bram18s=1,
        clock_hz=_FINN,
    )  # fmt: skip
    report = evaluate(rewrite(_jet(features, bits), COMPILED), MODEL, spec)
    names = {"DSP": "dsps_used", "LUT": "luts_used", "FF": "ffs_used", "BRAM": "bram18s_used"}
    found = {group: report.total(name) for group, name in names.items()}
    return {**found, "CYCLES": report.total("fill_cycles"), "INTERVAL": report.total("slowest_cycles")}


def _compared(source: Source, pairs: Mapping[str, list[tuple[float, float]]]) -> list[Score]:
    found = []
    for group, values in pairs.items():
        own, other = (np.array(column, np.float64) for column in zip(*values, strict=True))
        # symmetric: 100 |a - b| / ((a + b) / 2), as rule4ml scores itself
        mean = (own + other) / 2
        found.append(source.score(group, "mape", mean + own - other, mean))
    return found


def _hls4ml(tables: ReferenceTables) -> list[Score]:
    """A pruned network whose 55 remaining products at reuse 1 are known from its blocks: blocks fall with the reuse."""
    lines = tables.rows("fpga/hls4ml_rf_table.csv")
    if not lines:
        return []
    source = Source("fpga_streaming", "hls4ml_rf_table", len(lines), "the products left at reuse 1 are its first row")
    products = float(lines[0]["dsp"])
    own = [np.ceil(products / float(line["reuse_factor"])) for line in lines]
    published = [float(line["dsp"]) for line in lines]
    others = {"no reuse": [products] * len(lines)}
    return [source.score("DSP", metric, own, published, baselines=others) for metric in ("median_error", "max_error")]


def _rule4ml(tables: ReferenceTables) -> list[Score]:
    lines = tables.rows("fpga/rule4ml_reference.csv")
    if not lines:
        return []
    source = Source("fpga_streaming", "rule4ml_reference", len(lines), "nothing; a surrogate's estimates, symmetric")
    pairs: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        bits = int(line["precision"].removeprefix("ap_fixed<").partition(",")[0])
        features = [int(size) for size in line["net"].removeprefix("jet 16-").split("-")]
        for group, value in _totals(features, bits, int(line["reuse_factor"])).items():
            pairs.setdefault(group, []).append((value, float(line[group])))
    return _compared(source, pairs)
