"""Tables of small boards and of many devices: once-for-all's blocks on a Jetson, the ncnn benchmark on Vulkan.

mobile_op_lut's Jetson Xavier NX ran blocks with PyTorch, every operator as written; each image size is fitted to ten
blocks and scored on the others, 160 apart. ncnn_latency_fp's GPUs are taken for that of the catalogue that is nearest,
made slower or faster as a whole by the four networks that a draw fits, which also move a few knobs; devices that the
source's readers call outliers are left out by name.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hwmodels.families.gpu.model import MODEL
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.fit import slower
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.cpu.block_tables import count_blocks, mobile_rows
from hwmodels.validation.few_shot import fit_rows, predicted
from hwmodels.validation.gpu.networks import Group, few_shot_of, frozen, machine, numbers_of, written_out
from hwmodels.validation.layer_lists import count_networks, rows_of
from hwmodels.validation.spaces import Counted

__all__ = ["jetson_scores", "ncnn_scores"]

F64 = npt.NDArray[np.float64]

_JETSON = {"jetson_xaviernx_gpu": "jetson_xavier_nx"}

# What a device's name holds -> the GPU of the catalogue that it is taken for; the first that fits.
_NCNN = {
    "T40XP": "", "RK3588S": "", "iPhone 5S": "", "Hyper-V": "",
    "TX2": "jetson_tx2", "Jetson Nano": "jetson_nano", "Jetson AGX Orin": "jetson_agx_orin_64",
    "Adreno 740": "adreno_660", "Adreno 640": "adreno_640", "Adreno 620": "adreno_616", "Adreno 540": "adreno_630",
    "Snapdragon 810": "adreno_616", "RK3399": "mali_g52_mp2", "RK3288": "mali_g52_mp2", "Immortals": "mali_g78_mp14",
    "VideoCore": "powervr_ge8320", "PowerVR": "powervr_ge8320", "x5-Z8350": "mali_g52_mp2", "M3,": "apple_a14_gpu",
    "UHD Graphics 770": "mali_g78_mp14", "Radeon Pro 555X": "gtx_1080", "RX 6900": "rtx_3080", "RTX 8000": "titan_rtx",
    "RTX A3000": "rtx_3080", "RTX2060": "rtx_2080_ti", "RTX2080": "rtx_2080_ti",
}  # fmt: skip
_SHOTS, _DRAWS, _LEAST_NETWORKS = 4, 3, 9
_NCNN_KNOBS = ("launch_s", "invoke_s", "vector_mac_efficiency", "depthwise_efficiency", "dram_efficiency",
               "stream_efficiency", "gather_efficiency")  # fmt: skip


def jetson_scores(tables: ReferenceTables) -> list[Score]:
    """mobile_op_lut: the Jetson's blocks by image size, frozen and few-shot-10."""
    rows = tables.rows("nas/mobile_op_lut.csv") or []
    found: list[Score] = []
    for device, name in _JETSON.items():
        spec = machine(name, "torch_jetson")
        lines = [row for row in rows if row["device"] == device and float(row["mean_ms"] or 0) > 0]
        for size in sorted({row["image_size"] for row in lines}) if spec is not None else ():
            told = [(row, mobile_rows(row, "eager")) for row in lines if row["image_size"] == size]
            known = [(row, block) for row, block in told if block is not None]
            measured = np.array([float(row["mean_ms"]) * 1e-3 for row, _ in known])
            skipped = {"another device or size": len(rows) - len(told), "another operator": len(told) - len(known)}
            counted = written_out(count_blocks([block for _, block in known]))
            fitted_on = numbers_of("torch_jetson")
            assert spec is not None
            group = Group("mobile_op_lut", f"{device} {size}", spec, counted, measured, len(rows), skipped, fitted_on)
            found += frozen(group) + few_shot_of(group)[0]
    return found


def ncnn_scores(tables: ReferenceTables) -> list[Score]:
    """ncnn_latency_fp on GPUs: few-shot-4 by device, and the median over devices."""
    rows, path = tables.rows("gpu/ncnn_latency_fp.csv"), tables.path("gpu/ncnn_networks.json")
    if rows is None or path is None:
        return []
    known = json.loads(path.read_text(encoding="utf-8"))["networks"]
    names = list(known)
    counted = _half(count_networks([rows_of(known[name]["ops"]) for name in names]))
    skipped: Counter[str] = Counter()
    devices: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        reason = _reason(row, names)
        if reason:
            skipped[reason] += 1
        else:
            devices[row["device"]][names.index(row["network"])].append(float(row["avg_ms"]) * 1e-3)
    errors = {
        name: error
        for name, latency in devices.items()
        if len(latency) >= _LEAST_NETWORKS and (error := _few_shot(name, latency, counted)) is not None
    }
    return _by_device(errors, len(rows), skipped)


def _reason(row: Mapping[str, str], names: Sequence[str]) -> str:
    """Why a row is left out, or nothing."""
    if row["gpu(-1=cpu)"] == "-1":
        return "on a processor"
    if row["network"] not in names:
        return "no list of layers"
    name = _taken_for(row["device"])
    if name is None:
        return "no GPU of the catalogue is near"
    if not name:
        return "an outlier of the source"
    return "" if float(row["avg_ms"] or 0) > 0 else "not measured"


def _taken_for(device: str) -> str | None:
    return next((name for part, name in _NCNN.items() if part in device), None)


def _half(counted: Counted) -> Counted:
    """The same networks in 16-bit floats, as ncnn's Vulkan kernels compute."""
    bits = np.full_like(counted.layers.weight_bits, 16)
    return counted._replace(layers=counted.layers._replace(weight_bits=bits, activation_bits=bits))


def _few_shot(device: str, latency: Mapping[int, Sequence[float]], counted: Counted) -> tuple[float, float, int] | None:
    """(median error, that of MACs at the rate of the fitted networks, networks scored), in percent, means of draws."""
    spec = machine(_taken_for(device) or "", "ncnn_vulkan")
    if spec is None:
        return None
    chosen = np.array(list(latency))
    measured = np.array([float(np.median(values)) for values in latency.values()])
    space = Counted(counted.layers, counted.counts[chosen])
    macs = space.counts @ space.layers.macs
    own, simple = [], []
    for draw in range(_DRAWS):
        order = np.random.default_rng([0, draw]).permutation(measured.size)
        seen, unseen = order[:_SHOTS], order[_SHOTS:]
        fitted = _fitted(spec, space, measured, seen)
        rest = Counted(space.layers, space.counts[unseen])
        own.append(score("median_error", predicted(MODEL, fitted, rest), measured[unseen]))
        rate = np.exp(np.median(np.log(measured[seen] / macs[seen])))
        simple.append(score("median_error", macs[unseen] * rate, measured[unseen]))
    return float(np.mean(own)), float(np.mean(simple)), measured.size - _SHOTS


def _fitted(spec: GpuSpec, space: Counted, measured: F64, seen: npt.NDArray[np.int64]) -> GpuSpec:
    """The device slowed as a whole by the median of the seen networks, then its knobs fitted to them."""
    before = predicted(MODEL, spec, Counted(space.layers, space.counts[seen]))
    factor = float(np.exp(np.median(np.log(measured[seen] / before))))
    return fit_rows(MODEL, slower(spec, factor), space, {"latency_s": measured}, seen=seen, knobs=_NCNN_KNOBS)


def _by_device(
    errors: Mapping[str, tuple[float, float, int]], rows_in_file: int, skipped: Mapping[str, int]
) -> list[Score]:
    """Each device, and the median over them."""
    if not errors:
        return []
    all_own, all_simple, all_rows = (np.array(column) for column in zip(*errors.values(), strict=True))
    groups = {"median over devices": (float(np.median(all_own)), float(np.median(all_simple)), int(all_rows.sum()))}
    return [
        Score(
            family="gpu", set="ncnn_latency_fp", group=group, protocol=f"few-shot-{_SHOTS}", rows=rows,
            rows_in_file=rows_in_file, metric="median_error", value=own, skipped=dict(skipped),
            fitted_on=f"{_SHOTS} networks of the device, mean of {_DRAWS} draws; "
            f"{numbers_of('ncnn_vulkan')}",
            baseline={"MACs at the rate of the same networks": simple},
        )
        for group, (own, simple, rows) in {**groups, **errors}.items()
    ]  # fmt: skip
