"""Exact fronts of whole joint spaces, beside the matrix product of the same size: seconds, pairs a second, memory.

    python benchmarks/speed/enumerate.py [--json] [--size full] [--repeats 3] [--lanes 2]

`full` meets 423,624 networks (as many as NAS-Bench-101 has cells [Ying et al., ICML 2019]) of 24 layer shapes with
8,640 systolic arrays: latency, energy and area against a synthetic accuracy, ungrouped. Counts and accuracies are drawn
(seeded), layer costs are the spatial family's. `gemm_seconds` is the floor: counts @ costs in float32 for both metrics,
in the same tiles on as many threads, and nothing else. `seconds` is with bounds, `seconds_without_bounds` every pair.

`pairs201` are all 15,625 NAS-Bench-201 cells, lowered as an eager runtime executes them, on 8,640 designs of each
family with an accuracy that is a formula; grouped and ungrouped. A front of 1e6 pairs is held against brute force.

Medians over alternating repeats; compilation (or the load of its cache) apart. Other work on the machine slows the
product and the enumeration alike: read the ratio.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from codesign.exact.front import Enumeration, Settings, enumerate_pairs
from codesign.exact.listing import ListedNetworks, kernel_costs, list_designs, pair_tables
from codesign.exact.pairs import PairTables
from codesign.pareto import non_dominated
from codesign.space.cell import CellSpace
from codesign.space.hardware import HardwareSpace
from hwmodels.catalog import device
from hwmodels.evaluate import network_metrics
from hwmodels.workload.ops import Conv2d, Elementwise, Linear, Pool2d, Precision
from hwmodels.workload.ops import Row as LayerRow
from hwmodels.workload.rewrite import EAGER
from hwmodels.workload.table import Layers

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

OBJECTIVES = ("latency_s", "energy_j", "area_mm2")
NETWORKS = {"full": 423_624, "small": 2_000}
TILE = (128, 1080)
GRIDS = {
    "systolic_edge": {
        "array_rows": [8, 16, 32, 64, 128, 256],
        "array_cols": [8, 16, 32, 64, 128, 256],
        "ifmap_sram_bytes": [2**15, 2**17, 2**19, 2**21],
        "filter_sram_bytes": [2**14, 2**16, 2**18, 2**20],
        "ofmap_sram_bytes": [2**15, 2**17, 2**19],
        "dram_bytes_per_s": [3.2e9, 6.4e9, 12.8e9, 25.6e9, 51.2e9],
    },
    # ADC bits stay those of the device, lossless at 8 bits: an accuracy without numerics holds for no others.
    "isaac_8bit": {
        "array_rows": [64, 128, 256],
        "array_cols": [64, 128, 256],
        "columns_per_adc": [8, 16, 32, 64],
        "cell_bits": [1, 2, 4],
        "dac_bits": [1, 2],
        "duplication": [1, 2, 4, 8, 16],
        "tiles": [16, 32, 64, 128, 168, 256, 512, 1024],
    },
    "rpi5": {
        "threads": [1, 2, 3, 4],
        "simd_bits": [128, 256, 512],
        "l2_bytes": [2**17, 2**18, 2**19, 2**20],
        "l3_bytes": [2**20, 2**21, 2**23],
        "dram_bytes_per_s": [6.4e9, 12.8e9, 17.1e9, 25.6e9, 51.2e9, 102.4e9],
        "clock_hz": [1.0e9, 1.2e9, 1.4e9, 1.6e9, 1.8e9, 2.0e9, 2.2e9, 2.4e9, 2.6e9, 2.8e9],
    },
}


def layer_rows() -> Layers:
    """Stem, seven layer shapes in each of three stages, pooling, classifier: the shapes of NAS-Bench-101 networks."""
    rows: list[LayerRow] = []

    def add(operator: Any, *shapes: tuple[int, ...]) -> None:
        rows.append(operator.row(shapes, operator.infer(*shapes))._replace(**Precision(8, 8, 32)._asdict()))

    add(Conv2d.square(128, 3), (1, 3, 32, 32))
    for stage in range(3):
        wide, size = 128 * 2**stage, 32 // 2**stage
        narrow = wide // 2
        add(Conv2d.square(wide, 3), (1, wide, size, size))
        add(Conv2d.square(narrow, 3), (1, narrow, size, size))
        add(Conv2d.square(wide, 1), (1, wide, size, size))
        add(Conv2d.square(narrow, 1), (1, wide, size, size))
        add(Conv2d.square(wide, 1), (1, narrow, size, size))
        add(Pool2d("max", 3, 1, 1), (1, wide, size, size))
        add(Elementwise("add"), (1, wide, size, size), (1, wide, size, size))
    add(Pool2d("avg"), (1, 512, 8, 8))
    add(Linear(10), (1, 512))
    return Layers.of(rows)


def drawn_networks(n: int, layers: Layers, rng: np.random.Generator) -> tuple[npt.NDArray[np.int16], F64]:
    """Counts (N, 24) and errors (N,): sizes vary from network to network, accuracy saturates with MACs and is noisy."""
    counts = np.ones((n, layers.m.size), np.int16)
    size = rng.beta(2, 2, n)
    for stage in range(3):
        at = 1 + 7 * stage
        counts[:, at] = 3 * rng.binomial(3, 0.6 * size)
        counts[:, at + 1] = 3 * rng.binomial(3, 0.5 * size)
        counts[:, at + 2] = rng.binomial(6, 0.5 * size)
        for offset, most, share in ((3, 9, 0.4), (4, 9, 0.4), (5, 6, 0.3), (6, 9, 0.5)):
            counts[:, at + offset] = rng.binomial(most, share, n)
    imbalance = np.abs(counts[:, 1:8].sum(axis=1) - counts[:, 8:15].sum(axis=1)) / 3
    accuracy = 0.95 - 0.25 / (1 + counts @ layers.macs / 2e8) - 0.002 * imbalance + 0.01 * rng.standard_normal(n)
    return counts, np.round(1 - accuracy, 5)


def synthetic(size: str) -> PairTables:
    """Drawn networks on the systolic grid."""
    layers = layer_rows()
    counts, error = drawn_networks(NETWORKS[size], layers, np.random.default_rng(0))
    chip = device("systolic_edge")
    designs = list_designs(HardwareSpace(chip.model, chip.spec, GRIDS["systolic_edge"]))
    chosen = [chip.model.layer_metrics.index(name) for name in OBJECTIVES[:2]]
    costs = np.ascontiguousarray(kernel_costs(chip.model.layerwise, layers, designs.configs)[:, :, chosen])
    return PairTables(counts, costs, OBJECTIVES[:2], score=error, config_columns=designs.columns)


def cells(name: str) -> tuple[PairTables, dict[str, float]]:
    """All 15,625 cells on the grid of one device, and seconds of their lowering and of the kernel."""
    began = perf_counter()
    space = CellSpace()
    lowered = space.lower(space.enumerate(), EAGER)
    counts = lowered.table.counts()[lowered.network].astype(np.uint8)
    columns = {name: values[lowered.network] for name, values in network_metrics(lowered.table).items()}
    lowering = perf_counter() - began
    chip = device(name)
    designs = list_designs(HardwareSpace(chip.model, chip.spec, GRIDS[name]))
    kernel_costs(chip.model.layerwise, lowered.table.layers, chip.model.spec.to_table([chip.spec]))  # loads or compiles
    began = perf_counter()
    costs = kernel_costs(chip.model.layerwise, lowered.table.layers, designs.configs)
    kernel = perf_counter() - began
    noise = np.random.default_rng(1).normal(0, 0.02, len(counts))
    error = np.round(np.clip(0.05 + 0.4 / (1 + columns["macs"] / 3e7) + noise, 0, 0.9), 4)
    networks = ListedNetworks(space, EAGER, space.enumerate(), lowered.table.layers, counts, columns)
    tables = replace(pair_tables(networks, designs, score=error), layer_costs=costs)
    return tables, {"lowering_seconds": lowering, "kernel_seconds": kernel}


def gemm_seconds(tables: PairTables, lanes: int) -> float:
    """counts @ costs in float32 for every metric, tile by tile, `lanes` threads of one BLAS thread each."""
    assert not callable(tables.layer_costs)
    counts = tables.counts.astype(np.float32)
    parts = [
        np.ascontiguousarray(tables.layer_costs[first : first + TILE[1]].transpose(2, 1, 0), np.float32)
        for first in range(0, tables.n_designs, TILE[1])
    ]

    def multiply(lane: int) -> None:
        out = np.empty(TILE, np.float32)
        for first in range(lane * TILE[0], len(counts), lanes * TILE[0]):
            block = counts[first : first + TILE[0]]
            for part in parts:
                for costs in part:
                    np.matmul(block, costs, out=out[: len(block), : costs.shape[1]])

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(lanes) as pool:
        return _seconds(lambda: list(pool.map(multiply, range(lanes))))[0]


def brute_force_agrees(tables: PairTables) -> bool:
    """The front of 1,000 networks on 1,000 designs, both ways, against every pair in float64."""
    rng = np.random.default_rng(2)
    network = rng.permutation(tables.n_networks)[:1000]
    design = rng.permutation(tables.n_designs)[:1000]
    assert not callable(tables.layer_costs)
    assert tables.score is not None
    part = PairTables(
        tables.counts[network],
        tables.layer_costs[design],
        tables.metrics,
        score=tables.score[network],
        config_columns={"area_mm2": tables.config_columns["area_mm2"][design]},
    )
    values = np.zeros((network.size, design.size, 4))
    values[:, :, 0], values[:, :, 3] = part.score[:, None], part.config_columns["area_mm2"]  # type: ignore[index]
    for layer in range(part.counts.shape[1]):
        values[:, :, 1:3] += part.counts[:, layer, None, None] * tables.layer_costs[design][None, :, layer]
    kept = np.flatnonzero(non_dominated(values.reshape(-1, 4)))
    for bounds in (True, False):
        found = enumerate_pairs(part, objectives=OBJECTIVES, bounds=bounds)
        order = np.lexsort((found.design, found.network))
        same = np.array_equal(found.network[order] * design.size + found.design[order], kept)
        if not same or not np.array_equal(found.values[order], values.reshape(-1, 4)[kept]):
            return False
    return True


def measure(size: str, repeats: int, lanes: int) -> dict[str, Any]:
    """The synthetic space: product and enumeration side by side."""
    tables = synthetic(size)
    result: dict[str, Any] = {"compile_seconds": _compile(tables, lanes)}
    seconds: dict[str, list[float]] = {"seconds": [], "seconds_without_bounds": [], "gemm_seconds": []}
    for _ in range(repeats):
        seconds["gemm_seconds"].append(gemm_seconds(tables, lanes))
        for name, bounds in (("seconds", True), ("seconds_without_bounds", False)):
            taken, found = _enumerate(tables, lanes, bounds=bounds, grouped=False)
            seconds[name].append(taken)
            result["pairs"], result["front"] = found.pairs, len(found.network)
            if bounds:
                result["pairs_skipped"] = found.skipped
    result |= {name: median(values) for name, values in seconds.items()}
    result["ratio"] = median(a / b for a, b in zip(seconds["seconds"], seconds["gemm_seconds"], strict=True))
    result["ratio_without_bounds"] = median(
        a / b for a, b in zip(seconds["seconds_without_bounds"], seconds["gemm_seconds"], strict=True)
    )
    result["pairs_per_s"] = result["pairs"] / result["seconds"]
    if tables.n_networks >= 1000:
        result["equals_brute_force_on_1e6_pairs"] = brute_force_agrees(tables)
    return result


def measure_cells(repeats: int, lanes: int) -> dict[str, Any]:
    """pairs-201 on every family."""
    result: dict[str, Any] = {}
    for name in GRIDS:
        tables, apart = cells(name)
        _compile(tables, lanes)
        key = f"pairs201_{name}"
        result |= {f"{key}_{part}": value for part, value in apart.items()}
        for label, grouped, bounds in (
            ("grouped", True, True),
            ("ungrouped", False, True),
            ("ungrouped_without_bounds", False, False),
        ):
            runs = [_enumerate(tables, lanes, bounds=bounds, grouped=grouped) for _ in range(repeats)]
            result[f"{key}_{label}_seconds"] = median(taken for taken, _ in runs)
            result[f"{key}_pairs"], result[f"{key}_front"] = runs[0][1].pairs, len(runs[0][1].network)
            if grouped:
                result[f"{key}_groups"] = runs[0][1].groups
    return result


def _enumerate(tables: PairTables, lanes: int, *, bounds: bool, grouped: bool) -> tuple[float, Enumeration]:
    settings = Settings(threads=lanes)
    objectives = [name for name in OBJECTIVES if name in tables.names]  # CPUs have no area
    return _seconds(
        lambda: enumerate_pairs(tables, objectives=objectives, bounds=bounds, grouped=grouped, settings=settings)
    )


def _compile(tables: PairTables, lanes: int) -> float:
    """Seconds of a first call on a hundred networks."""
    assert tables.score is not None
    columns = {name: values[:100] for name, values in tables.network_columns.items()}
    few = replace(tables, counts=tables.counts[:100], score=tables.score[:100], network_columns=columns)
    return sum(_enumerate(few, lanes, bounds=bounds, grouped=False)[0] for bounds in (True, False))


def _seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    began = perf_counter()
    answer = call()
    return perf_counter() - began, answer


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--size", choices=NETWORKS, default="full")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lanes", type=int, default=2, help="threads")
    options = parser.parse_args()
    figures = measure(options.size, options.repeats, options.lanes)
    figures["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if options.size == "full":
        figures |= measure_cells(options.repeats, options.lanes)
    print(
        json.dumps(figures) if options.json else "\n".join(f"{name:56}{value!s:>24}" for name, value in figures.items())
    )
