"""Overlays against AMD's performance tables of the Vitis AI model zoo, versions 1.3 and 3.0, and PG338's resources.

Latency is 1 / fps of one thread. Three knobs are fitted to both boards of a version together; what is scored was not
in view: whole families of networks are left out. That first layers fill their lanes (channel augmentation, an option)
and the host's rate and hand-over were chosen with the rows of version 3.0 in view. The Kria is never fitted. Rows of
the older runtime (ZCU102 revision 04, Ultra96) are predicted with the constants of 3.0 and shown. Apart: networks
with squeeze-and-excitation, whose gates run on the host; and pruned ones, each width the root of the share of
operations that is left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.families.fpga.overlay import MODEL, core_dsps, overlay_resources
from hwmodels.families.fpga.overlay_spec import OverlaySpec
from hwmodels.fit import fit_knobs
from hwmodels.units import MHZ
from hwmodels.validate import MetricName, ReferenceTables, Score
from hwmodels.validation.fpga.scores import Source
from hwmodels.validation.layer_lists import count_networks
from hwmodels.workload.ops import Kind, Precision, Row
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import Layers
from hwmodels.workload.zoo import network

__all__ = ["FITTED_KNOBS", "fitted_constants", "overlay_scores"]

F64 = npt.NDArray[np.float64]

FITTED_KNOBS = ("core_bytes_per_s", "feature_share", "layer_s")
_SIGMA = 0.05  # ASSUMED: spread of a published rate around the model, relative; plausible 0.02 to 0.1


class _Known(NamedTuple):
    """A network of the zoo behind a published name; networks of one family are left out together."""

    zoo: str
    family: str
    size: int = 0


# First words of a published name -> network; the family is what is left out at once.
_NETWORKS = {
    "cf_resnet50_imagenet": _Known("resnet50_first", "resnet"),
    "cf_resnet18_imagenet": _Known("resnet18", "resnet"),
    "tf2_resnet50_imagenet": _Known("resnet50_first", "resnet"),
    "pt_resnet50_imagenet": _Known("resnet50", "resnet"),
    "tf_resnetv1_50_imagenet": _Known("resnet_v1_50", "resnet"),
    "tf_resnetv1_101_imagenet": _Known("resnet_v1_101", "resnet"),
    "tf_resnetv1_152_imagenet": _Known("resnet_v1_152", "resnet"),
    "tf_resnetv2_50_imagenet": _Known("resnet_v2_50", "resnet_v2"),
    "tf_resnetv2_101_imagenet": _Known("resnet_v2_101", "resnet_v2"),
    "tf_resnetv2_152_imagenet": _Known("resnet_v2_152", "resnet_v2"),
    "tf_inceptionv1_imagenet": _Known("googlenet", "inception"),
    "cf_inceptionv2_imagenet": _Known("bn_inception", "inception"),
    "tf_inceptionv2_imagenet": _Known("inception_v2", "inception"),
    "cf_inceptionv3_imagenet": _Known("tf_inception_v3", "inception"),
    "tf_inceptionv3_imagenet": _Known("tf_inception_v3", "inception"),
    "tf2_inceptionv3_imagenet": _Known("tf_inception_v3", "inception"),
    "pt_inceptionv3_imagenet": _Known("tf_inception_v3", "inception"),
    "tf_inceptionresnetv2_imagenet": _Known("inception_resnet_v2", "inception"),
    "cf_squeeze_imagenet": _Known("squeezenet1_1", "squeezenet", 227),
    "pt_squeezenet_imagenet": _Known("squeezenet1_1", "squeezenet"),
    "tf_vgg16_imagenet": _Known("vgg16", "vgg"),
    "tf_vgg19_imagenet": _Known("vgg19", "vgg"),
    "tf_ssdmobilenetv1_coco": _Known("ssd_mobilenet_v1", "mobile"),
    "tf2_Efficientnet-lite_imagenet": _Known("efficientnet_lite0", "mobile"),
    "tf_efficientnet-edgetpu-L_imagenet": _Known("efficientnet_edgetpu_l", "mobile"),
    "tf_yolov3_voc": _Known("yolov3_voc", "yolo"),
    "dk_yolov3_voc": _Known("yolov3_voc", "yolo"),
    "tf2_yolov3_coco": _Known("yolov3", "yolo"),
    "tf2_efficientnet-b0_imagenet": _Known("efficientnet_b0", "gated"),
}
_BOARDS = {"ZCU102 (0432055-05)": "zcu102_dpu", "ZCU104": "zcu104_dpu", "KV260": "kv260_dpu",
           "ZCU102 (0432055-04)": "zcu102_dpu", "Ultra96": "ultra96_dpu"}  # fmt: skip
_PRUNED = re.compile(r"_(0\.\d+)_[\d.]+G")


class _Measured(NamedTuple):
    """One published row: network, share of operations pruned away, board, seconds, rate of all cores, clock."""

    known: _Known
    pruned: float
    board: str
    latency_s: float
    items_per_s: float
    clock_hz: float
    version: str


def overlay_scores(tables: ReferenceTables) -> list[Score]:
    """Scores of the overlay."""
    return [*_resources(tables), *_shipped(tables), *_latencies(tables)]


def _resources(tables: ReferenceTables) -> list[Score]:
    """PG338's five sizes with and without accumulating blocks: DSP exact, the rest lines through these very rows."""
    lines = tables.rows("fpga/dpu_resources.csv")
    if not lines:
        return []
    source = Source("fpga_overlay", "dpu_resources", len(lines), "base and slope of LUT, FF and BRAM come from these")
    law = source._replace(fitted_on="nothing: the law was derived from these counts and holds for all")
    sizes = [tuple(int(line[name]) for name in ("pixel_par", "ic_par", "oc_par")) for line in lines]
    dsps = [
        (float(core_dsps(*size, accumulate=high)), float(line[f"dsp_{use}dsp"]))
        for size, line in zip(sizes, lines, strict=True)
        for high, use in ((True, "high"), (False, "low"))
    ]
    quarter = [float(np.prod(size)) / 4 for size in sizes for _ in range(2)]
    own, published = zip(*dsps, strict=True)
    found = [law.score("DSP", "exact_fraction", own, published, baselines={"four MACs a block": quarter})]
    empty = {"cores": 1, "shell_luts": 1, "shell_bram18s": 1, "depthwise_pixels": 0}
    specs = [
        OverlaySpec.parse(
            {**empty, "pixel_parallel": p, "input_parallel": i, "output_parallel": o, "dsp_use": use}, where="PG338"
        )
        for p, i, o in sizes
        for use in ("high", "low")
    ]
    use = overlay_resources(OverlaySpec.to_table(specs))
    for group, values, columns in (
        ("LUT", use.luts, ("lut_highdsp", "lut_lowdsp")),
        ("FF", use.ffs, ("ff_highdsp", "ff_lowdsp")),
        ("BRAM36", use.bram18s / 2, ("bram36", "bram36")),
    ):
        stated = [float(line[column]) for line in lines for column in columns]
        found.append(
            source.score(group, "max_error", values, stated, baselines={"mean": [np.mean(stated)] * len(stated)})
        )
    return found


def _shipped(tables: ReferenceTables) -> list[Score]:
    """One core on a Kria as an application of AMD's has it: a B3136 with its memories in URAMs."""
    path = tables.path("fpga/misc_reference.json")
    if path is None:
        return []
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))["kv260_dpu_b3136"]
        published = {name: float(stated[name]) for name in ("lut", "dsp", "bram36", "uram")}
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(str(path), f"{type(error).__name__}: {error}", "the resources of kv260_dpu_b3136") from None
    size = {"pixel_parallel": 8, "input_parallel": 14, "output_parallel": 14, "cores": 1}
    spec = OverlaySpec.parse({**size, "feature_memory": "uram", "shell_luts": 1, "shell_bram18s": 1}, where="B3136")
    use = overlay_resources(OverlaySpec.to_table([spec]))
    own = {"lut": use.luts[0], "dsp": use.dsps[0], "bram36": use.bram18s[0] / 2, "uram": use.urams[0]}
    unseen = Source("fpga_overlay", "kv260_dpu_b3136", 1, "nothing")
    seen = unseen._replace(fitted_on="how many URAMs there are and how many BRAMs they leave come from this design")
    return [
        (seen if name in ("bram36", "uram") else unseen).score(name.upper(), "max_error", [own[name]], [value])
        for name, value in published.items()
    ]


def _read(lines: Sequence[Mapping[str, str]]) -> list[_Measured]:
    """The rows whose network is known; pruned ones with their share."""
    found = []
    for line in lines:
        name = line["zoo_name"]
        known = next((one for prefix, one in _NETWORKS.items() if name.startswith(f"{prefix}_")), None)
        if known is None or line["board"] not in _BOARDS:
            continue
        pruned = _PRUNED.search(name.removesuffix("_1.3"))
        found.append(
            _Measured(known, float(pruned[1]) if pruned else 0.0, line["board"], 1.0 / float(line["fps_1thread"]),
                      float(line["fps_multithread"]), float(line["dpu_mhz"]) * MHZ, line["vitis_ai"])
        )  # fmt: skip
    return found


@cache
def _rows_of(known: _Known, pruned: float) -> tuple[Row, ...]:
    """Layers of a compiled network in 8 bits, narrower where it is pruned."""
    shape = (3, known.size, known.size) if known.size else None
    workload = rewrite(network(known.zoo, precision=Precision(8, 8, 32), input_shape=shape), COMPILED)
    rows = tuple(row for _, row in workload.rows())
    return tuple(_narrowed(row, sqrt(1.0 - pruned)) for row in rows) if pruned else rows


def _narrowed(row: Row, width: float) -> Row:
    """A layer with every channel count but that of image and classes scaled; operations fall by width squared."""
    inside = row.in_channels if row.in_channels <= 4 else max(round(row.in_channels * width), 1)
    last = row.kind == Kind.LINEAR and row.output_offchip == 1
    outside = row.out_channels if last else max(round(row.out_channels * width), 1)
    share_in, share_out = inside / row.in_channels, outside / row.out_channels
    depthwise = row.kind == Kind.CONV and row.groups > 1
    return row._replace(
        in_channels=inside, out_channels=outside, k=row.k if depthwise else round(row.k * share_in),
        n=row.n if depthwise else round(row.n * share_out), groups=inside if depthwise else row.groups,
        macs=round(row.macs * share_out * (1.0 if depthwise else share_in)),
        weight_elements=round(row.weight_elements * share_out * (1.0 if depthwise else share_in)),
        input_elements=round(row.input_elements * share_in), output_elements=round(row.output_elements * share_out),
    )  # fmt: skip


@cache
def _overlay(board: str, clock_hz: float) -> OverlaySpec:
    spec = device(_BOARDS[board]).spec
    assert isinstance(spec, OverlaySpec)
    return spec.changed({"clock_hz": clock_hz})


def _spec(row: _Measured) -> OverlaySpec:
    return _overlay(row.board, row.clock_hz)


class _Rows:
    """Published rows with the layers behind them: predictions of all at once."""

    def __init__(self, rows: Sequence[_Measured]) -> None:
        self.rows = list(rows)
        self.measured = np.array([row.latency_s for row in rows])
        counted = count_networks([_rows_of(row.known, row.pruned) for row in rows])
        self._layers, self._counts = counted.layers, counted.counts
        self._boards: dict[tuple[str, float], list[int]] = {}
        for i, row in enumerate(rows):
            self._boards.setdefault((row.board, row.clock_hz), []).append(i)
        self.operations = 2.0 * self._counts @ self._layers.macs
        self.peak = np.array([2.0 * s.pixel_parallel * s.input_parallel * s.output_parallel * s.clock_hz
                              for s in map(_spec, rows)])  # fmt: skip

    def latency_s(self, columns: Mapping[str, F64]) -> F64:
        """(C, R) under C values of some knobs."""
        size = len(next(iter(columns.values())))
        found = np.empty((size, len(self.rows)))
        for board, mine in self._boards.items():
            found[:, mine] = _sums(_overlay(*board), self._layers, columns, "latency_s") @ self._counts[mine].T
        return found

    def items_per_s(self, knobs: Mapping[str, float]) -> F64:
        """(R,) with every core at work."""
        columns = {name: np.array([value]) for name, value in knobs.items()}
        found = np.empty(len(self.rows))
        for board, mine in self._boards.items():
            shared = _sums(_overlay(*board), self._layers, columns, "shared_s")[0] @ self._counts[mine].T
            found[mine] = _overlay(*board).cores / shared
        return found


def _sums(spec: OverlaySpec, layers: Layers, columns: Mapping[str, F64], metric: str) -> F64:
    """One metric of all layers, (C, L)."""
    assert MODEL.layerwise is not None
    configs = OverlaySpec.table_from(spec, columns)
    out = np.zeros((len(next(iter(columns.values()))), layers.kind.size, len(MODEL.layer_metrics)))
    MODEL.layerwise.cost(layers, configs, np.zeros(1), out, np.zeros(out.shape[:2], np.int16))
    found: F64 = out[:, :, MODEL.layer_metrics.index(metric)]
    return found


def _fit(rows: Sequence[_Measured]) -> dict[str, float]:
    """The three knobs on some rows."""
    held = _Rows(rows)

    def predict(start: OverlaySpec, columns: Mapping[str, F64]) -> F64:
        logarithms: F64 = np.log(held.latency_s(columns))
        return logarithms

    target = np.log(held.measured)
    fitted = fit_knobs(predict, OverlaySpec(), FITTED_KNOBS, measured=target, sigma=np.full(target.size, _SIGMA)).spec
    return {name: fitted.values()[name] for name in FITTED_KNOBS}


def _by_operations(rows: _Rows) -> F64:
    """(start, inverse efficiency) of start + operations / peak x inverse: least mean error in logarithms, on a grid."""
    starts, inverses = np.geomspace(1e-4, 1e-2, 80), np.linspace(1.0, 4.0, 121)
    busy = rows.operations / rows.peak
    times = starts[:, None, None] + inverses[None, :, None] * busy
    error = np.abs(np.log(times / rows.measured)).mean(axis=2)
    i, j = np.unravel_index(int(error.argmin()), error.shape)
    return np.array([starts[i], inverses[j]])


def _applied(law: F64, rows: _Rows) -> F64:
    found: F64 = law[0] + law[1] * rows.operations / rows.peak
    return found


def _latencies(tables: ReferenceTables) -> list[Score]:
    lines = tables.rows("fpga/dpu_fps.csv")
    if not lines:
        return []
    rows = _read(lines)
    source = Source("fpga_overlay", "dpu_fps", len(lines), "", {"another network": len(lines) - len(rows)})
    found = []
    for version in ("3.0", "1.3"):
        plain = _chosen(rows, version, ("ZCU102 (0432055-05)", "ZCU104"), pruned=False)
        if len({row.known.family for row in plain}) < 2:
            continue  # nobody to learn from
        found += _left_out(source, version, plain)
        if version == "3.0":
            found += _unseen(source, rows, plain)
    return found


def fitted_constants(tables: ReferenceTables) -> dict[str, float]:
    """The three knobs on every plain network of both boards, version 3.0: what the catalogue has, rounded."""
    lines = tables.rows("fpga/dpu_fps.csv") or []
    return _fit(_chosen(_read(lines), "3.0", ("ZCU102 (0432055-05)", "ZCU104"), pruned=False))


def _chosen(rows: Iterable[_Measured], version: str, boards: Sequence[str], *, pruned: bool) -> list[_Measured]:
    return [
        row for row in rows
        if row.version == version and row.board in boards and (row.pruned > 0) == pruned and row.known.family != "gated"
    ]  # fmt: skip


_METRICS: tuple[MetricName, ...] = ("median_error", "p90_error", "kendall")


def _left_out(source: Source, version: str, plain: Sequence[_Measured]) -> list[Score]:
    """Each family predicted by what the others say."""
    own, smooth = np.empty(len(plain)), np.empty(len(plain))
    for family in dict.fromkeys(row.known.family for row in plain):
        inside = [i for i, row in enumerate(plain) if row.known.family == family]
        others = [row for row in plain if row.known.family != family]
        these = _Rows([plain[i] for i in inside])
        knobs = {name: np.array([value]) for name, value in _fit(others).items()}
        own[inside] = these.latency_s(knobs)[0]
        smooth[inside] = _applied(_by_operations(_Rows(others)), these)
    measured = np.array([row.latency_s for row in plain])
    known = source._replace(
        fitted_on="three knobs on the other families of both boards; which terms there are was chosen on version 3.0"
    )
    found = []
    for group in ("both boards", *dict.fromkeys(row.board for row in plain)):
        which = [i for i, row in enumerate(plain) if group in ("both boards", row.board)]
        found += [
            known.score(f"Vitis AI {version}, {group}", metric, own[which], measured[which],
                        protocol="leave-one-family-out", baselines={"operations alone": smooth[which]})
            for metric in _METRICS
        ]  # fmt: skip
    return found


def _unseen(source: Source, rows: Sequence[_Measured], plain: Sequence[_Measured]) -> list[Score]:
    """What the catalogue's constants, fitted to the plain networks of two boards, say of everything else."""
    knobs = {name: float(OverlaySpec().values()[name]) for name in FITTED_KNOBS}
    law = _by_operations(_Rows(plain))
    boards = ("ZCU102 (0432055-05)", "ZCU104")
    groups = {
        "KV260": _chosen(rows, "3.0", ("KV260",), pruned=False),
        "pruned": _chosen(rows, "3.0", (*boards, "KV260"), pruned=True),
        "gated": [row for row in rows if row.version == "3.0" and row.known.family == "gated"],
        "older runtime, ZCU102": _chosen(rows, "1.3", ("ZCU102 (0432055-04)",), pruned=False),
        "older runtime, Ultra96": _chosen(rows, "1.3", ("Ultra96",), pruned=False),
    }
    known = source._replace(
        fitted_on="three knobs of the catalogue, on the plain networks of ZCU102 and ZCU104, Vitis AI 3.0"
    )
    found = []
    for group, mine in groups.items():
        if not mine:
            continue
        held = _Rows(mine)
        own = held.latency_s({name: np.array([value]) for name, value in knobs.items()})[0]
        metrics = _METRICS if len(mine) > 3 else _METRICS[:1]
        baselines = {"operations alone": _applied(law, held)}
        if group == "KV260":
            baselines["operations, fitted to these rows"] = _applied(_by_operations(held), held)
        found += [known.score(group, metric, own, held.measured, baselines=baselines) for metric in metrics]
    every = _Rows(plain)
    rate = np.array([row.items_per_s for row in plain])
    linear = np.array([_spec(row).cores / row.latency_s for row in plain])
    crowded = every.items_per_s(knobs)
    found.append(
        known.score("all cores", "median_error", crowded, rate, baselines={"cores x one, as measured": linear})
    )
    return found
