"""Collectives: nccl_node_collectives (a system left out, four sizes seen), collective_* inside and between nodes.

Inside a node. Constants of A100 predict H100 and the other way round, both predict the L40S, on which PCIe joins what
NVSwitch joins there.
Four sizes of a curve give that curve its start, ramp and rate. The curve of llmcompass (all-reduce on
four A100s) gives the constants of collective_a100_dgx and its pairwise sisters. h100_pairwise send_recv repeats the
A100's values and is left out.

Between nodes. Four named sizes of a layout give its network's rate, latency and start. A layout whose time falls while
the size rises by a tenth switches its algorithm there; it is scored apart.

Beside each score: a ring at one bandwidth, and one constant time, both fitted on the same rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device
from hwmodels.families.multigpu.collectives import Collective
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.units import GB
from hwmodels.validate import MetricName, ReferenceTables, Score, score
from hwmodels.validation.multigpu.protocol_fit import (
    LEAST_BYTES,
    PROTOCOL,
    Curve,
    fitted,
    predicted,
    ring_at_one_bandwidth,
)

__all__ = ["collective_scores", "node_cases", "node_spec"]

F64 = npt.NDArray[np.float64]
Rows = Sequence[Mapping[str, str]]
Cases = Mapping[str, list[tuple[MultiGpuSpec, Curve]]]

_SYSTEMS = {
    "a100_sxm": "dgx_a100", "h100_sxm": "dgx_h100", "h200_sxm": "dgx_h200", "b200_sxm": "dgx_b200", "l40s": "l40s_node",
}  # fmt: skip
"""System of the table -> node of the catalogue."""
_SWITCHED = ("a100_sxm", "h100_sxm")
_NAMES: dict[str, Collective] = {
    "all_gather": "all_gather", "all_reduce": "all_reduce", "alltoall": "all_to_all",
    "reduce_scatter": "reduce_scatter", "send_recv": "send",
}  # fmt: skip
_SHOTS = 4
_SHOT_CONSTANTS = ("start_cycles", "ramp_cycles", "link_bytes_per_s")
_NAMED_BYTES = (2048, 1_009_664, 16_515_072, 66_846_720)
"""2 KB, 1, 16 and 67 MB of the tables between nodes; the nearest size is taken."""
_NETWORK = ("start_cycles", "ramp_cycles", "network_step_s", "low_start_cycles", "low_efficiency")
_FALL = 0.9
_VIEW = "structure and plausible ranges were chosen with these tables in view"


def node_spec(name: str) -> MultiGpuSpec:
    """The Spec of a node of the catalogue."""
    spec = device(name).spec
    assert isinstance(spec, MultiGpuSpec)
    return spec


def collective_scores(tables: ReferenceTables) -> list[Score]:
    """All sets; each is left out where its file is absent."""
    found = []
    rows = tables.rows("gpu/nccl_node_collectives.csv.gz")
    if rows is not None:
        cases = {name: some for name, some in node_cases(rows).items() if some}
        others = {system: [name for name in _SWITCHED if name != system and name in cases] for system in cases}
        constants = {system: fitted([case for name in names for case in cases[name]], PROTOCOL)
                     for system, names in others.items() if names}  # fmt: skip
        cases = {system: some for system, some in cases.items() if system in constants}
        found += [*_left_out(cases, constants, len(rows)), *_four_sizes(cases, constants, len(rows))]
    shared = tables.rows("gpu/llmcompass_measured.csv")
    if shared is not None:
        of_four = _of_llmcompass(shared)
        for name in ("a100_dgx", "a100_pairwise_nvlink", "h100_pairwise_nvlink"):
            for kind in ("all_reduce", "send_recv"):
                if (name, kind) != ("h100_pairwise_nvlink", "send_recv"):
                    found += _layouts(tables, f"collective_{name}_{kind}", of_four)
    return found


def node_cases(rows: Rows) -> dict[str, list[tuple[MultiGpuSpec, Curve]]]:
    """Curves of each system of nccl_node_collectives, one a version, number format, collective and number of GPUs.

    Systems that the catalogue has no node for are left out.
    """
    grouped: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        key = tuple(row[name] for name in ("system", "lib_version", "nccl_dtype", "op_name", "num_gpus"))
        grouped[key].append(row)
    found: dict[str, list[tuple[MultiGpuSpec, Curve]]] = {name: [] for name in _SYSTEMS}
    for (system, _, _, operation, gpus), some in grouped.items():
        if system not in _SYSTEMS:
            continue
        sizes, seconds = np.array([(float(row["message_bytes"]), float(row["ms"]) * 1e-3) for row in some]).T
        order = np.argsort(sizes, kind="stable")
        curve = Curve(_NAMES[operation], int(gpus), sizes[order], seconds[order])
        found[system].append((node_spec(_SYSTEMS[system]), curve))
    return found


def _large(curve: Curve) -> Curve:
    return curve.take(curve.size_bytes >= LEAST_BYTES)


def _scores(
    name: str, group: str, protocol: str, own: Sequence[F64], curves: Sequence[Curve], *, rows_in_file: int,
    fitted_on: str, bandwidth: float, constant_s: float, metrics: tuple[MetricName, ...] = ("mape", "median_error"),
    skipped: Mapping[str, int] | None = None,
) -> list[Score]:  # fmt: skip
    """Scores of some curves together, beside a ring at one bandwidth and one constant."""
    measured = np.concatenate([curve.seconds for curve in curves])
    ring = np.concatenate([ring_at_one_bandwidth(curve, bandwidth) for curve in curves])
    constant = np.full(measured.size, constant_s)
    return [
        Score(
            family="multigpu", set=name, group=group, protocol=protocol, rows=measured.size, rows_in_file=rows_in_file,
            metric=metric, value=score(metric, np.concatenate(own), measured), skipped=skipped or {},
            fitted_on=f"{fitted_on}; {_VIEW}",
            baseline={"ring at one bandwidth": score(metric, ring, measured),
                      "one constant": score(metric, constant, measured)},
        )
        for metric in metrics
    ]  # fmt: skip


def _plain(curves: Sequence[Curve]) -> tuple[float, float]:
    """(the bandwidth, the constant) that suit some curves best, by the median of logarithms."""
    rates = np.concatenate([ring_at_one_bandwidth(curve) / curve.seconds for curve in curves])
    times = np.concatenate([curve.seconds for curve in curves])
    return float(np.exp(np.median(np.log(rates)))), float(np.exp(np.median(np.log(times))))


def _left_out(cases: Cases, constants_of: Mapping[str, Mapping[str, float]], rows_in_file: int) -> list[Score]:
    """Each system by constants of the switched others; its own data sheet gives rates and clock."""
    found = []
    for system, held in cases.items():
        others = [name for name in _SWITCHED if name != system and name in cases]
        seen, constants = [case for name in others for case in cases[name]], constants_of[system]
        sheets = {name: node_spec(_SYSTEMS[name]).link_bytes_per_s for name in (*others, system)}
        bandwidth, constant = _plain([_large(curve) for _, curve in seen])
        bandwidth *= sheets[system] / float(np.mean([sheets[name] for name in others]))
        told = f"{sum(curve.seconds.size for _, curve in seen)} rows of {', '.join(others)}"
        groups: dict[str, list[tuple[MultiGpuSpec, Curve]]] = {system: held}
        for ranks in (2, 4, 8):
            groups[f"{system}, {ranks} GPUs"] = [case for case in held if case[1].ranks == ranks]
        for group, some in groups.items():
            for name, part in ((group, _large), (f"{group}, below 1 MB", _small)):
                if ranks_alone := [(spec, part(curve)) for spec, curve in some]:
                    if name != group and group != system:
                        continue
                    found += _scores(
                        "nccl_node_collectives", name, "leave-one-out",
                        [predicted(curve, spec, constants) for spec, curve in ranks_alone],
                        [curve for _, curve in ranks_alone], rows_in_file=rows_in_file, fitted_on=told,
                        bandwidth=bandwidth, constant_s=constant,
                    )  # fmt: skip
    return found


def _small(curve: Curve) -> Curve:
    return curve.take(curve.size_bytes < LEAST_BYTES)


def _four_sizes(cases: Cases, constants_of: Mapping[str, Mapping[str, float]], rows_in_file: int) -> list[Score]:
    """Start, ramp and rate of each curve by four of its sizes from 1 MB on, spread over them."""
    found = []
    for system, held in cases.items():
        before = constants_of[system]
        unseen, own, plain = [], [], []
        for spec, curve in held:
            large = _large(curve)
            shown = np.unique(np.linspace(0, large.seconds.size - 1, _SHOTS).round().astype(np.int64))
            hidden = np.setdiff1d(np.arange(large.seconds.size), shown)
            # A curve that shows its own rate needs no wiring.
            base, sheet = spec.changed({**before, "wiring": "switch"}), spec.link_bytes_per_s
            centre = {**before, "link_bytes_per_s": sheet}
            mine = fitted([(base, large.take(shown))], _SHOT_CONSTANTS, weight=0.01,
                          centre={name: centre[name] for name in _SHOT_CONSTANTS},
                          ranges={"link_bytes_per_s": (sheet / 100.0, sheet * 1.5)})  # fmt: skip
            unseen.append(large.take(hidden))
            own.append(predicted(unseen[-1], base, mine))
            plain.append(_plain([large.take(shown)]))
        measured = np.concatenate([curve.seconds for curve in unseen])
        rings = np.concatenate([ring_at_one_bandwidth(c, rate) for c, (rate, _) in zip(unseen, plain, strict=True)])
        constants = np.concatenate([np.full(c.seconds.size, s) for c, (_, s) in zip(unseen, plain, strict=True)])
        found += [
            Score(
                family="multigpu", set="nccl_node_collectives", group=system, protocol=f"few-shot-{_SHOTS}",
                rows=measured.size, rows_in_file=rows_in_file, metric=metric,
                value=score(metric, np.concatenate(own), measured),
                fitted_on=f"four sizes of each curve, from 1 MB on, first and last among them; before, other systems; "
                f"{_VIEW}",
                baseline={"ring at one bandwidth": score(metric, rings, measured),
                          "one constant": score(metric, constants, measured)},
            )
            for metric in ("mape", "median_error")
        ]  # fmt: skip
    return found


def _of_llmcompass(rows: Rows) -> dict[str, float]:
    """Constants of the all-reduce on four A100s; what two ranks have beside them stays as it ships."""
    some = [row for row in rows if row["op"].startswith("allreduce_nccl_4gpu")]
    sizes, seconds = np.array([(float(row["M"]), float(row["value"]) * 1e-6) for row in some]).T
    names = [name for name in PROTOCOL if name != "pair_efficiency"]
    return fitted([(node_spec("dgx_a100"), Curve("all_reduce", 4, sizes, seconds))], names)


def _layouts(tables: ReferenceTables, name: str, constants: Mapping[str, float]) -> list[Score]:
    """Every layout of a file: those inside a node as they are, those between nodes after four sizes."""
    rows = tables.rows(f"gpu/{name}.csv")
    if rows is None:
        return []
    grouped: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        key = int(row["num_workers"]), int(row["devices_per_node"])
        grouped[key].append((float(row["size_bytes"]), float(row["median_ms"]) * 1e-3))
    what = _NAMES["send_recv" if name.endswith("send_recv") else "all_reduce"]
    found = []
    for (workers, inside), points in grouped.items():
        sizes, seconds = np.array(sorted(points)).T
        curve = Curve(what, workers, sizes, seconds)
        if inside == workers:
            found += _inside(name, curve, constants, len(rows))
        else:
            found += _between(name, curve, inside, constants, len(rows))
    return found


def _layout_spec(name: str, gpus: int) -> MultiGpuSpec:
    """The node that a file was measured on, with so many of its GPUs."""
    spec = node_spec("dgx_h100" if "h100" in name else "dgx_a100")
    if "pairwise" in name:
        # NVLink bridges between two PCIe cards or boards of two: the same 300 GB/s each way; PCIe 4.0 beside them.
        spec = spec.changed({"wiring": "pairs", "in_switch": False, "link_bytes_per_s": 300 * GB})  # both generations
    return spec.changed({"gpus_per_node": gpus})


def _inside(name: str, curve: Curve, constants: Mapping[str, float], rows_in_file: int) -> list[Score]:
    """A layout of one node by the curve of llmcompass, from 1 MB on and below, and by the constants that ship."""
    spec = _layout_spec(name, max(curve.ranks, 2))
    bandwidth = 235.0 * GB  # of a ring on four A100s at 17 GB, llmcompass
    found = []
    for part, label, used, told in (
        (_large(curve), "", constants, "all-reduce of llmcompass_measured"),
        (_small(curve), ", below 1 MB", constants, "all-reduce of llmcompass_measured"),
        (_large(curve), ", shipped constants", {}, "nccl_node_collectives, A100 and H100"),
    ):
        if part.seconds.size:
            found += _scores(
                name, f"{curve.ranks} GPUs of a node{label}", "frozen", [predicted(part, spec, used)], [part],
                rows_in_file=rows_in_file, fitted_on=told, bandwidth=bandwidth,
                constant_s=float(np.median(part.seconds)), metrics=("median_error",),
            )  # fmt: skip
    return found


def _between(
    name: str, curve: Curve, inside: int, constants: Mapping[str, float], rows_in_file: int
) -> list[Score]:  # fmt: skip
    """A layout over nodes by four of its sizes: the network's rate, latency and start."""
    places = [int(np.argmin(np.abs(curve.size_bytes - size))) for size in _NAMED_BYTES]
    shown = curve.take(np.array(places))
    spec = _layout_spec(name, inside).changed({**constants, "nodes": curve.ranks // inside})
    mine = _network_of(spec, shown)
    rest = np.setdiff1d(np.arange(curve.seconds.size), places)
    unseen = _large(curve.take(rest))
    falls = bool(
        (curve.seconds[1:] < _FALL * np.maximum.accumulate(curve.seconds)[:-1])[curve.size_bytes[1:] > 2e6].any()
    )
    bandwidth, constant = _plain([shown])
    told = "four sizes: 2 KB, 1, 16 and 67 MB; kernels: all-reduce of llmcompass_measured"
    label = f"{curve.ranks} GPUs, {inside} a node{', switches its algorithm' if falls else ''}"
    return _scores(
        name, label, f"few-shot-{_SHOTS}", [predicted(unseen, spec, mine)], [unseen], rows_in_file=rows_in_file,
        fitted_on=told, bandwidth=bandwidth, constant_s=constant, metrics=("median_error",),
    )  # fmt: skip


def _network_of(spec: MultiGpuSpec, shown: Curve) -> dict[str, float]:
    """The network's rate, first by the largest size, then with latency and start by all four."""
    wire = ring_at_one_bandwidth(shown)[-1] / shown.seconds[-1] * spec.gpus_per_node
    start = {name: float(spec.values()[name]) for name in _NETWORK} | {"network_bytes_per_s": float(wire)}
    return fitted(
        [(spec, shown)], tuple(start), centre=start, ranges={"network_bytes_per_s": (wire / 20.0, wire * 20.0)}
    )
