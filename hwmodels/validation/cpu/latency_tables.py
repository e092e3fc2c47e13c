"""Published latencies of whole search spaces: NAS-Bench-201, FBNet, once-for-all, on CPUs and phones.

Every column that a device of the catalogue stands for is scored, frozen and few-shot-10; columns of other devices
(graphics processors, accelerators) are left out. Cells of which nothing is left to execute are left out where the
runtime drops them. nb201_edge360 measured one cell of each class of equal networks, the first, and has its time in
all others' rows; what is predicted there is the cell that ran.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.families.cpu.model import MODEL
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.block_spaces import fbnet_space, ofa_space
from hwmodels.validation.cpu.machines import Machine, knobs_for, machine
from hwmodels.validation.few_shot import few_shot, predicted
from hwmodels.validation.spaces import Counted, first_of_class, nasbench201_space
from hwmodels.validation.tables import Table, few_shot_scores, frozen_scores

__all__ = ["edge_scores", "space_scores"]

F64 = npt.NDArray[np.float64]

_SHOTS, _DRAWS = 10, 10
_LEAST_ROWS = 30

# Column of the published tables -> (device of the catalogue, runtime). HELP [Lee et al., 2021] measured with PyTorch,
# every operator as written; Pixel 3 and Raspberry Pi 4 are HW-NAS-Bench's [Li et al., 2021], with TensorFlow Lite.
_COLUMNS = {
    "silver_4114": ("xeon_silver_4114", "torch_2020"),
    "silver_4210r": ("xeon_silver_4210r", "torch_2020"),
    "gold_6226": ("xeon_gold_6226", "torch_2020"),
    "gold_6240": ("xeon_gold_6240", "torch_2020"),
    "samsung_s7": ("galaxy_s7_edge", "torch_mobile"),
    "essential_ph_1": ("essential_ph_1", "torch_mobile"),
    "pixel2": ("pixel2", "torch_mobile"),
    "pixel3": ("pixel3", "tflite"),
    "raspi4": ("rpi4", "tflite"),
    "note10": ("galaxy_note10", "tflite"),
}
_EDGE_RUNTIMES = {"litert": "litert", "onnx": "onnx", "torchmobile": "torch_mobile"}
_EDGE_BOARDS = {"pi3": "rpi3", "pi4": "rpi4", "pi5": "rpi5"}
_EDGE_INPUTS = {"cifar100": (3, 32, 32), "cifar10": (3, 32, 32), "darcy": (1, 88, 88), "imagenet16": (3, 16, 16)}

Lower = Callable[[Machine], Counted]


class _Column(NamedTuple):
    """One machine's measurements of a space: what it ran, what was measured, metric by metric (N,)."""

    group: str
    machine: Machine
    counted: Counted
    measured: Mapping[str, F64]


def space_scores(tables: ReferenceTables) -> list[Score]:
    """nb201_latency_ms, fbnet5000_latency_ms and ofa5000_latency_ms."""
    found: list[Score] = []
    cells = _arrays(tables, "nas/nb201_arch.npz")
    for name in ("nb201", "fbnet5000", "ofa5000"):
        arrays = _arrays(tables, f"nas/{name}_latency_ms.npz")
        if arrays and (cells or name != "nb201"):
            found += _table(f"{name}_latency_ms", arrays, partial(_lowered, name, arrays | cells))
    return found


def _lowered(name: str, arrays: Mapping[str, npt.NDArray[Any]], chosen: Machine) -> Counted:
    """The networks of one space as a runtime executes them."""
    semantics = chosen.semantics
    if name == "nb201":
        return nasbench201_space(arrays["ops"], semantics, dead_branches=chosen.dead_branches)
    if name == "fbnet5000":
        return fbnet_space(arrays["arch"], semantics)
    return ofa_space(arrays["ks"], arrays["e"], arrays["d"], arrays["r"], semantics)


def _table(name: str, arrays: Mapping[str, npt.NDArray[Any]], lower: Lower) -> list[Score]:
    """All columns of one file that a device of the catalogue stands for."""
    counted: dict[tuple[str, str], Counted] = {}
    found: list[Score] = []
    columns = [key for key, values in arrays.items() if values.dtype.kind == "f"]
    known = {key: machine(*_COLUMNS[key]) for key in columns if key in _COLUMNS}
    for key, chosen in known.items():
        if chosen is not None:
            executes = (chosen.semantics, chosen.dead_branches)
            if executes not in counted:
                counted[executes] = lower(chosen)
            space = counted[executes]
            column = _Column(key, chosen, space, {"latency_s": arrays[key] * 1e-3})
            found += _column(name, column, f"{len(columns) - len(known)} columns of other devices")
    return found


def edge_scores(tables: ReferenceTables) -> list[Score]:
    """nb201_edge360: latency and energy of a board under several runtimes."""
    cells, arrays = _arrays(tables, "nas/nb201_arch.npz"), _arrays(tables, "nas/nb201_edge360.npz")
    if not cells or not arrays:
        return []
    measured_cells = cells["ops"][first_of_class(cells["ops"])]
    found: list[Score] = []
    for board, runtime, data in _edge_columns(arrays):
        chosen = machine(_EDGE_BOARDS[board], _EDGE_RUNTIMES[runtime])
        if chosen is None:
            continue
        shape = _EDGE_INPUTS[data]
        space = nasbench201_space(
            measured_cells, chosen.semantics, dead_branches=chosen.dead_branches, input_shape=shape, classes=100
        )
        stem = f"{board}_{runtime}_{data}"
        measured = {"latency_s": arrays[f"{stem}__lat_ms"] * 1e-3}
        if f"{stem}__energy_mj" in arrays:
            measured["energy_j"] = arrays[f"{stem}__energy_mj"] * 1e-3
        found += _column("nb201_edge360", _Column(stem, chosen, space, measured), "")
    return found


def _edge_columns(arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[str, str, str]]:
    for key in arrays:
        match = re.fullmatch(r"([a-z]+\d)_([a-z]+)_([a-z0-9]+)__lat_ms", key)
        if match and match[1] in _EDGE_BOARDS and match[2] in _EDGE_RUNTIMES and match[3] in _EDGE_INPUTS:
            yield match[1], match[2], match[3]


def _column(name: str, column: _Column, other: str) -> list[Score]:
    """Frozen and few-shot scores of one machine."""
    runs = column.counted.counts.any(axis=1)
    whole = {metric: ~np.isnan(values) for metric, values in column.measured.items()}
    kept = np.logical_and.reduce([runs, *whole.values()])
    skipped = {
        "not measured": int((~np.logical_and.reduce(list(whole.values()))).sum()),
        "nothing left to execute": int((~runs).sum()),
    }
    table = Table("cpu", name, kept.size, {**skipped, **({other: 0} if other else {})})
    counted = Counted(column.counted.layers, column.counted.counts[kept])
    measured = {metric: values[kept].astype(np.float64) for metric, values in column.measured.items()}
    if kept.sum() < _LEAST_ROWS:
        return []
    macs = counted.counts @ counted.layers.macs
    fitted_on = column.machine.fitted_on
    found = frozen_scores(
        table, column.group, predicted(MODEL, column.machine.spec, counted), measured["latency_s"], macs=macs,
        fitted_on=fitted_on,
    )  # fmt: skip
    drawn = few_shot(
        MODEL, column.machine.spec, counted, measured, knobs=knobs_for(measured), shots=_SHOTS, draws=_DRAWS
    )
    for metric, pooled in drawn.items():
        group = column.group if metric == "latency_s" else f"{column.group} energy"
        correlation = score("spearman", macs, measured[metric])
        found += few_shot_scores(table, group, pooled, shots=_SHOTS, macs=correlation, fitted_on=fitted_on)
    return found


def _arrays(tables: ReferenceTables, relative: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a file, empty where it is absent."""
    path = tables.path(relative)
    if path is None:
        return {}
    with np.load(path) as content:
        return {key: content[key] for key in content.files}
