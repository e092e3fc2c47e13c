"""Published latencies of named networks: the ncnn benchmark, MLPerf Tiny, timm.

ncnn computes in 16-bit floats where the core has them. MLPerf Tiny's systems with an accelerator are left out. timm's
networks are those that the zoo builds; the fit is on every second family of networks, the score on the others.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.families.cpu.microarchitectures import clusters_of, spec_of
from hwmodels.families.cpu.model import MODEL
from hwmodels.families.cpu.runtimes import CPU_RUNTIMES, with_runtime
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.cpu.machines import KNOBS, Machine, knobs_for, machine
from hwmodels.validation.few_shot import Draws, few_shot, fit_rows, predicted
from hwmodels.validation.layer_lists import count_networks, rows_of
from hwmodels.validation.spaces import FP32, Counted
from hwmodels.validation.tables import Table, few_shot_scores, frozen_scores
from hwmodels.workload.ops import Row
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from hwmodels.workload.zoo import entry, network

__all__ = ["ncnn_scores", "timm_scores", "tiny_scores"]

F64 = npt.NDArray[np.float64]

_SHOTS, _DRAWS = 6, 3
_LEAST_NETWORKS = 9
_LITTLE_ONLY = "1"

_TINY_NETWORKS = {
    "ad": "fc_autoencoder", "anomaly_detection": "fc_autoencoder", "ic": "resnet8", "image_classification": "resnet8",
    "kws": "ds_cnn", "keyword_spotting": "ds_cnn", "vww": "mlperf_tiny_vww", "visual_wake_words": "mlperf_tiny_vww",
}  # fmt: skip
# What a system's name holds -> device of the catalogue.
_TINY_BOARDS = {
    "l4r5zi": "nucleo_l4r5zi", "h7a3zi": "nucleo_h7a3zi", "f746ng": "disco_f746ng", "u585i": "b_u585i_iot02a",
    "cy8cproto": "cy8cproto_062_4343w",
}  # fmt: skip
_TINY_FITTED = (("STMicroelectronics", "l4r5zi"), ("plumerai", "l4r5zi"))
"""Submissions that the two runtimes' numbers were fitted on; they are not scored."""


def ncnn_scores(tables: ReferenceTables) -> list[Score]:
    """ncnn_latency_fp: few-shot-6 on every device with enough networks, by device and all together."""
    rows, path = tables.rows("gpu/ncnn_latency_fp.csv"), tables.path("gpu/ncnn_networks.json")
    if rows is None or path is None:
        return []
    known = json.loads(path.read_text(encoding="utf-8"))["networks"]
    names = list(known)
    counted = count_networks([rows_of(known[name]["ops"]) for name in names])
    skipped: Counter[str] = Counter()
    machines: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        reason = _ncnn_reason(row, names)
        if reason:
            skipped[reason] += 1
        else:
            key = (row["device"], row["threads"], row["powersave(0=all,1=little,2=big)"])
            machines[key][names.index(row["network"])] = float(row["avg_ms"]) * 1e-3
    by_device: dict[str, list[Draws]] = defaultdict(list)
    for (name, threads, powersave), latency in machines.items():
        if len(latency) < _LEAST_NETWORKS:
            skipped["too few networks"] += len(latency)
            continue
        spec = _ncnn_spec(name, int(threads), powersave == _LITTLE_ONLY)
        chosen = np.array(list(latency))
        space = Counted(_half(counted).layers if spec.half_rate > 1 else counted.layers, counted.counts[chosen])
        measured = {"latency_s": np.array(list(latency.values()))}
        by_device[name].append(
            few_shot(MODEL, spec, space, measured, knobs=knobs_for(measured), shots=_SHOTS, draws=_DRAWS)["latency_s"]
        )
    return _ncnn_by_device(Table("cpu", "ncnn_latency_fp", len(rows), dict(skipped)), by_device)


def _ncnn_by_device(table: Table, by_device: Mapping[str, list[Draws]]) -> list[Score]:
    fitted_on = f"ncnn runtime: {CPU_RUNTIMES['ncnn'].fitted_on}"
    unseen = [draws for index, name in enumerate(sorted(by_device)) if index % 2 for draws in by_device[name]]
    groups = {
        "all": [draws for found in by_device.values() for draws in found],
        "all, devices that no number was fitted on": unseen,
        **by_device,
    }
    return [
        result
        for group, draws in groups.items() if draws
        for result in few_shot_scores(
            table, group, Draws(*(np.concatenate(part) for part in zip(*draws, strict=True))), shots=_SHOTS, macs=None,
            fitted_on=fitted_on, metrics=("median_error", "spearman"),
        )
    ]  # fmt: skip


def _ncnn_reason(row: Mapping[str, str], names: Sequence[str]) -> str:
    """Why a row is left out, or nothing."""
    if row["gpu(-1=cpu)"] != "-1":
        return "on a graphics processor"
    if row["network"] not in names:
        return "no list of layers"
    if not clusters_of(row["device"]):
        return "no known core"
    return "" if float(row["avg_ms"] or 0) > 0 else "not measured"


@cache
def _ncnn_spec(name: str, threads: int, little_only: bool) -> CpuSpec:
    return with_runtime(spec_of(clusters_of(name), threads=threads, little_only=little_only), "ncnn")


def _half(counted: Counted) -> Counted:
    """The same networks in 16-bit floats."""
    bits = np.full_like(counted.layers.weight_bits, 16)
    return counted._replace(layers=counted.layers._replace(weight_bits=bits, activation_bits=bits))


def tiny_scores(tables: ReferenceTables) -> list[Score]:
    """mlperf_tiny_v1.0: int8 on microcontrollers, frozen; latency by system and all together."""
    rows = tables.rows("gpu/mlperf_tiny_v1.0.csv")
    if rows is None:
        return []
    skipped: Counter[str] = Counter()
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for row in rows:
        case = _tiny_case(row)
        if isinstance(case, str):
            skipped[case] += 1
            continue
        device, task, seconds = case
        latency, macs = _tiny_prediction(device, _TINY_NETWORKS[task])
        found[f"{row['submitter']} on {row['system']}"].append((latency, seconds, macs))
    table = Table("cpu", "mlperf_tiny_v1.0", len(rows), dict(skipped))
    groups = {"all": [case for cases in found.values() for case in cases], **found}
    return [
        result
        for group, cases in groups.items() if cases
        for result in frozen_scores(
            table, group, *np.array(cases).T[:2], macs=np.array(cases).T[2],
            fitted_on=f"cmsis_nn runtime: {CPU_RUNTIMES['cmsis_nn'].fitted_on}; "
            f"plumerai: {CPU_RUNTIMES['plumerai'].fitted_on}", metrics=("mape", "median_error"),
        )
    ]  # fmt: skip


def _tiny_case(row: Mapping[str, str]) -> tuple[Machine, str, float] | str:
    """(machine, task, seconds an inference), or the reason why a row is left out."""
    if row["mode"] != "performance":
        return "energy rows"
    system, task = row["system"].lower().replace("-", "_").replace("_", ""), row["benchmark"]
    board = next((name for part, name in _TINY_BOARDS.items() if part in system), None)
    if board is None:
        return "an accelerator, or not in the catalogue"
    if any(row["submitter"] == who and part in system for who, part in _TINY_FITTED):
        return "fitted"
    if task not in _TINY_NETWORKS or not row["median_inferences_per_s"]:
        return "not measured"
    chosen = machine(board, "plumerai" if row["submitter"] == "plumerai" else "cmsis_nn")
    return (chosen, task, 1.0 / float(row["median_inferences_per_s"])) if chosen else "not in the catalogue"


def _tiny_prediction(device: Machine, name: str) -> tuple[float, float]:
    """(seconds, MACs) of one network in 8 bits."""
    counted = count_networks([[row for _, row in rewrite(network(name), RUNTIMES[device.semantics]).rows()]])
    return float(predicted(MODEL, device.spec, counted)[0]), float(counted.layers.macs @ counted.counts[0])


def timm_scores(tables: ReferenceTables) -> list[Score]:
    """timm_throughput and timm_infer: 32-bit floats on CPUs, batch as stated."""
    found: list[Score] = []
    rows = tables.rows("gpu/timm_throughput.csv") or []
    runs: dict[str, list[tuple[str, int, int, float]]] = defaultdict(list)
    for row in rows:
        run = row[next(iter(row))]
        if "-cpu-" in run and float(row["samples_per_s"] or 0) > 0:
            runs[run].append((row["model"], int(row["img"]), int(float(row["batch"])), float(row["samples_per_s"])))
    for run, lines in runs.items():
        name = run.partition("-cpu-")[2].split("-")[0]
        runtime = "torch_compiled" if "dynamo" in run else "torch"
        found += _timm_run("timm_throughput", run, name, runtime, lines, len(rows))
    return found + _timm_infer(tables)


def _timm_infer(tables: ReferenceTables) -> list[Score]:
    rows = tables.rows("nas/timm_infer.csv.gz") or []
    found: list[Score] = []
    for column in rows[0] if rows else ():
        match = re.fullmatch(r"(.+)_fp32_b1_img_s", column)
        if match:
            told = [row for row in rows if float(row[column] or 0) > 0]
            lines = [(row["model"], int(row["img"]), 1, float(row[column])) for row in told]
            found += _timm_run("timm_infer", column, match[1], "torch", lines, len(rows))
    return found


def _timm_run(
    name: str, group: str, device: str, runtime: str, lines: Sequence[tuple[str, int, int, float]], rows_in_file: int
) -> list[Score]:
    """Every second family of networks, frozen and after a fit on the other families."""
    chosen = machine(device, runtime)
    if chosen is None:
        return []
    kept, lists, skipped = [], [], Counter({"another device": rows_in_file - len(lines)})
    for line in lines:
        rows = _timm_rows(line[0], line[1], line[2], chosen.semantics)
        if rows is None:
            skipped["not in the zoo"] += 1
        else:
            kept.append(line)
            lists.append(rows)
    if len(kept) < 3:
        return []
    counted = count_networks(lists)
    measured = np.array([batch / rate for _, _, batch, rate in kept])
    macs = counted.counts @ counted.layers.macs
    table = Table("cpu", name, rows_in_file, dict(skipped))
    families = [re.sub(r"^(tf_|legacy_)", "", model).split("_")[0].rstrip("0123456789") for model, *_ in kept]
    order = {family: index for index, family in enumerate(sorted(set(families)))}
    unseen = np.array([order[family] % 2 == 1 for family in families])
    if unseen.sum() < 3:
        return []
    space = Counted(counted.layers, counted.counts[unseen])
    found = frozen_scores(
        table,
        group,
        predicted(MODEL, chosen.spec, space),
        measured[unseen],
        macs=macs[unseen],
        fitted_on=chosen.fitted_on,
    )
    if (~unseen).sum() < _LEAST_NETWORKS:
        return found
    fitted = fit_rows(MODEL, chosen.spec, counted, {"latency_s": measured}, seen=np.flatnonzero(~unseen), knobs=KNOBS)
    return found + frozen_scores(
        table, group, predicted(MODEL, fitted, space), measured[unseen], macs=macs[unseen],
        fitted_on=f"{int((~unseen).sum())} networks of every second family", protocol="few-shot-families",
    )  # fmt: skip


@cache
def _timm_rows(name: str, pixels: int, batch: int, runtime: str) -> tuple[Row, ...] | None:
    """Rows of the zoo's network of that name at that size, or None where it has none."""
    try:
        known = entry(name)
        shape = known.input_shape if known.input_shape[-1] == pixels else (3, pixels, pixels)
        workload = known.build(batch=batch, precision=FP32, input_shape=shape)
    except SpecError:
        return None
    return tuple(row for _, row in rewrite(workload, RUNTIMES[runtime]).rows())
