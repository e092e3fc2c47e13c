"""DNN+NeuroSim V1.3's runs through this family's kernel: its floorplan, its switches, its counting.

The peer sizes a chip for one network: processing elements of p x p cells for layers that it splits by kernel position,
tiles of T x T for the others, copies of small layers until a tile is full. `floorplan` does the same (its counts of
arrays equal those of all 29 runs); the preset `neurosim_default` has the energies and areas, and a run is that preset
with the switches in its name. The floorplan is a fact of the peer's method, the energies are a fit to part of its runs.

Not modelled: its clock (the preset's read time stands for it), its trace-dependent currents beyond two means, its
asynchronous mode, and its uncalibrated circuits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import ceil, log2, sqrt
from typing import Any, NamedTuple

import numpy as np

from hwmodels.families.crossbar.converter import converters
from hwmodels.families.crossbar.model import MODEL, cost_at
from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.families.crossbar.static import DENSITIES_W_PER_MM2, SRAM_CELL_W, node_factor
from hwmodels.workload.ops import Kind, Row
from hwmodels.workload.table import Layers

__all__ = ["VGG8", "LayerShape", "RunCost", "floorplan", "network_rows", "run_cost", "run_knobs", "run_static_w"]

LayerShape = tuple[int, int, int, int]
"""Input extent, channels, kernel extent, outputs."""

VGG8: tuple[LayerShape, ...] = (
    (32, 3, 3, 128), (32, 128, 3, 128), (16, 128, 3, 256), (16, 256, 3, 256), (8, 256, 3, 512), (8, 512, 3, 512),
    (1, 8192, 1, 1024), (1, 1024, 1, 10),
)  # fmt: skip
"""[NEUROSIM] the shipped network."""

_POST_LAYOUT = 1.22  # [NEUROSIM] zeta: the peer's TOPS/W counts its energies times this
# Fitted to the runs of S1 alone, what a switch changes beside its knobs:
_SRAM_READ = 0.55  # a cell's read energy over that of resistive memory
_SRAM_ROW = 0.54  # drivers of a row without the level shifters of resistive memory
_SRAM_COLUMN_S = 3.9e-9  # settling of a column of 128 SRAM cells
_COLUMN_S = 0.9e-9  # settling of a column of 128 resistive cells; in proportion to rows and node
_READ_CLOCKS = 60.0  # clocks of a read of an array with the network and buffers that wait for it
_PLANAR_ENERGY, _FINFET_ENERGY = 1.3, 0.66  # energies with node to these powers, above and below 22 nm
_FINFET_AREA = 1.6  # areas below 22 nm with node to this power, where planar ones go with node²


class RunCost(NamedTuple):
    """What the peer prints of a run: mm², s, J, and operations a joule with its count of operations."""

    area_mm2: float
    latency_s: float
    energy_j: float
    ops_per_j: float


class _Place(NamedTuple):
    arrays: int
    copies: int


def network_rows(shapes: Sequence[LayerShape]) -> list[Row]:
    """Layers (extent, channels, kernel, outputs) of 8 bits with padding, as the peer counts their operations."""
    return [
        Row(
            Kind.CONV, in_channels=c, out_channels=n, in_h=h, in_w=h, out_h=h, out_w=h, kernel_h=kernel,
            kernel_w=kernel, pad_h=kernel // 2, pad_w=kernel // 2, m=h * h, n=n, k=c * kernel**2,
            macs=h * h * n * c * kernel**2, weight_elements=n * c * kernel**2, input_elements=h * h * c,
            output_elements=h * h * n, weight_bits=8, activation_bits=8,
        )
        for h, c, kernel, n in shapes
    ]  # fmt: skip


def run_knobs(config: str) -> dict[str, Any] | None:
    """Knobs that a run's name changes in the preset; None where the family has no such switch.

    >>> run_knobs("adc4"), run_knobs("mux4")
    ({'adc_bits': 4}, {'columns_per_adc': 4})
    """
    named: dict[str, dict[str, Any]] = {
        "base": {}, "async": {}, "pipe": {}, "convmap": {"kernel_mapping": "unrolled"},
        "sram": {"cell_bits": 1, "cell_device": "sram_6t"}, "fefet": {"cell_device": "fefet", "cell_on_ohm": 240e3},
    }  # fmt: skip
    if config in named:
        return named[config]
    found = re.fullmatch(r"([a-z]+)(\d+)k?", config)
    if found is None:
        return None
    name, number = found[1], int(found[2])
    numbered: dict[str, Callable[[], dict[str, Any]]] = {
        "adc": lambda: {"adc_bits": number},
        "sar": lambda: {"adc_bits": number, "adc_model": "sar_roadmap"},
        "sub": lambda: {"array_rows": number, "array_cols": number},
        "cell": lambda: {"cell_bits": number},
        "ron": lambda: {"cell_on_ohm": 1e3 * number},
        "mux": lambda: {"columns_per_adc": number},
        "t": lambda: {"node_nm": float(number)},
    }
    return numbered[name]() if name in numbered else None


def floorplan(rows: Sequence[Row], spec: CrossbarSpec) -> list[_Place]:
    """Arrays that the peer gives each layer, and how many copies of it they hold.

    Split layers (kernel > 1 and k > R): kernel² elements of p x p cells a tile; the others: tiles of T x T. p and T
    are the powers of two from the widest layer down, above 2 R and 4 R, that fill the arrays best.
    """
    slices = -(-spec.weight_bits // spec.cell_bits)
    splits = [
        spec.kernel_mapping == "split" and row.kernel_h > 1 and row.k > spec.array_rows for row in rows
    ]  # fmt: skip
    matrices = [
        (row.k // (row.kernel_h * row.kernel_w if split else 1), row.n * slices)
        for row, split in zip(rows, splits, strict=True)
    ]
    places = []
    sides = {
        kind: _side([m for m, split in zip(matrices, splits, strict=True) if split == kind], spec, least)
        for kind, least in ((True, 2), (False, 4))
    }
    for row, matrix, split in zip(rows, matrices, splits, strict=True):
        side = sides[split]
        tiles, across = _tiles(matrix, side), side // spec.array_rows
        needed = [ceil(min(extent, side) / spec.array_rows) for extent in matrix]
        elements = row.kernel_h * row.kernel_w if split else 1
        copies = (across // needed[0]) * (across // needed[1])
        places.append(_Place(tiles * across**2 * elements, copies))
    return places


def _side(matrices: list[tuple[int, int]], spec: CrossbarSpec, least: int) -> int:
    """The extent that fills its arrays best; of two equal ones the smaller."""
    if not matrices:
        return least * spec.array_rows
    smallest = least * spec.array_rows
    widest = 1 << ceil(log2(max(columns for _, columns in matrices)))
    candidates: list[int] = [max(widest, smallest)]
    while candidates[-1] // 2 > smallest:
        candidates.append(candidates[-1] // 2)

    def filled(side: int) -> tuple[float, int]:
        tiles = [_tiles(matrix, side) for matrix in matrices]
        used = [min(k / spec.array_rows, 1) * min(n / spec.array_cols, 1) for k, n in matrices]
        return sum(t * u for t, u in zip(tiles, used, strict=True)) / sum(tiles), -side

    return max(candidates, key=filled)


def _tiles(matrix: tuple[int, int], side: int) -> int:
    return ceil(matrix[0] / side) * ceil(matrix[1] / side)


def run_cost(rows: Sequence[Row], preset: CrossbarSpec, config: str) -> RunCost | None:
    """A run of the peer as this family sees it; None where it has no such switch."""
    knobs = run_knobs(config)
    if knobs is None:
        return None
    spec = _switched(preset.model_copy(update={**knobs, "compat": "neurosim_padding"}), preset)
    places = floorplan(rows, spec)
    arrays = sum(place.arrays for place in places)
    wires = {"shift_adds_per_ima": -(-spec.array_cols // spec.columns_per_adc), "bus_wires": arrays * spec.array_rows}
    spec = spec.model_copy(
        update={"tiles": 1, "imas_per_tile": arrays, "arrays_per_ima": 1, "vectors_per_copy": 1, **wires}
    )
    columns = _layer_columns(rows, spec, places)
    table = CrossbarSpec.table_from(spec, columns)
    out, choice = np.zeros((len(rows), len(MODEL.layer_metrics))), np.zeros(len(rows), np.int16)
    index = np.arange(len(rows))
    cost_at(Layers.of(rows), table, index, index, np.zeros(0), out, choice)
    found = dict(zip(MODEL.layer_metrics, out.T, strict=True))
    area = _area_mm2(CrossbarSpec.to_table([spec]), preset)
    energy = float(found["energy_j"].sum())
    latency = float(found["stage_s"].max() if config == "pipe" else found["latency_s"].sum())
    operations = 2.0 * sum(row.macs for row in rows)
    return RunCost(area, latency, energy, operations / (_POST_LAYOUT * energy))


def run_static_w(run: Mapping[str, str]) -> float | None:
    """Static power of a run's printed areas by the densities of parts, W; None without a switch for it, or areas."""
    knobs = run_knobs(run["config"])
    if knobs is None or not run.get("accum_area_um2"):
        return None
    node_nm = float(knobs.get("node_nm", 22.0))
    areas = {"sums": "accum", "wires": "ic", "converters": "adc", "other": "other"}
    leaking = sum(DENSITIES_W_PER_MM2[kind] * 1e-6 * float(run[f"{name}_area_um2"]) for kind, name in areas.items())
    if knobs.get("cell_device") == "sram_6t":
        leaking += float(run["array_area_um2"]) / (280.0 * (1e-3 * node_nm) ** 2) * SRAM_CELL_W
    return leaking * float(node_factor(node_nm))


def _switched(spec: CrossbarSpec, preset: CrossbarSpec) -> CrossbarSpec:
    """What follows from a run's knobs: cells and rows of SRAM, the clock that a column needs, energies by node."""
    is_sram = spec.cell_device == "sram_6t"
    conversion_s = float(converters(CrossbarSpec.to_table([spec])).time_s[0])
    column_s = (_SRAM_COLUMN_S if is_sram else _COLUMN_S) * spec.array_rows / preset.array_rows
    shrink = spec.node_nm / preset.node_nm
    clock_s = conversion_s + column_s * shrink
    excess = shrink ** ((_FINFET_ENERGY if shrink < 1 else _PLANAR_ENERGY) - 1.0)
    read_j = preset.cell_read_w * preset.read_time_s * shrink * preset.cell_on_ohm / spec.cell_on_ohm
    read_w = read_j * (_SRAM_READ if is_sram else 1.0) / (_READ_CLOCKS * clock_s)
    return spec.model_copy(
        update={
            "cell_read_w": read_w,
            "dac_mm2": preset.dac_mm2 * (_SRAM_ROW if is_sram else 1.0),
            "clock_hz": 1.0 / clock_s,
            "read_time_s": _READ_CLOCKS * clock_s,
            "buffer_bus_bits": preset.buffer_bus_bits * spec.array_rows // preset.array_rows,
            "supply_v": preset.supply_v * sqrt(excess),
            "voltage_delay_exponent": 0.0,
        }
    )


def _layer_columns(rows: Sequence[Row], spec: CrossbarSpec, places: Sequence[_Place]) -> Mapping[str, Any]:
    """Copies of a layer, and the rows that carry its current: those it fills of an array."""
    depth = [
        row.k // (row.kernel_h * row.kernel_w) if spec.kernel_mapping == "split" and row.k > spec.array_rows else row.k
        for row in rows
    ]
    return {
        "duplication": np.array([place.copies for place in places]),
        "active_rows": np.minimum(depth, spec.array_rows),
    }


def _area_mm2(table: Any, preset: CrossbarSpec) -> float:
    """The chip's area; below the preset's node with the exponent of FinFETs."""
    area = float(MODEL.config_metrics(table)["area_mm2"][0])
    shrink = float(table.node_nm[0]) / preset.node_nm
    return area * shrink ** (_FINFET_AREA - 2.0) if shrink < 1 else area
