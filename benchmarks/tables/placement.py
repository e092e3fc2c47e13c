"""Branches on two GPUs: how good placements are, and from which batch and link on splitting pays.

    python benchmarks/tables/placement.py

Writes `benchmarks/results/placement.md`. Random graphs of up to ten layers say how often the exact search ends, how
far list scheduling with moves is from it, and how far one device is. Then published networks and all cells of
NAS-Bench-201 on two A100 (fp16, kernels in a recorded graph), over batch and link: the time of one GPU over that of
two, both predicted. Nothing here was measured on two GPUs.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt

from codesign.space.cell import CellSpace
from hwmodels.catalog import device
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.multigpu.branches import MODEL, GpuBranchesSpec
from hwmodels.families.multigpu.kernel_placement import place_one
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import LayerTable, layer_table
from hwmodels.workload.zoo import network

F64 = npt.NDArray[np.float64]

RESULT = Path(__file__).parents[1] / "results" / "placement.md"
GRAPHS = 200
BATCHES = (1, 8, 64)
LINKS = {"NVLink 3, 300 GB/s, 2 + 5 µs": (300e9, 2e-6), "PCIe 4.0, 25 GB/s, 10 + 5 µs": (25e9, 10e-6)}
NETWORKS = ("resnet50", "googlenet", "tf_inception_v3", "nasnet_a_mobile", "darts_v2_imagenet")
FP16 = Precision(16, 16)


def random_graph(rng: np.random.Generator, n: int, density: float, ratio: float) -> tuple[npt.NDArray, ...]:
    """Times, producers, seconds on a link, and where each layer's producers begin."""
    source: list[int] = []
    at = [0]
    for v in range(n):
        source += [u for u in range(v) if rng.random() < density] or [-1]
        at.append(len(source))
    sent = ratio * rng.random(n + 1)
    producers = np.array(source, np.int64)
    return rng.random(n), producers, sent[producers], np.array(at, np.int64)


def solver_rows() -> list[str]:
    rows = []
    place_one(*random_graph(np.random.default_rng(0), 4, 0.3, 0.5), 2)  # compiled
    for n in (4, 6, 8, 10, 14):
        for devices in (2, 4):
            rng = np.random.default_rng([n, devices])
            gaps, alone, took, proven = [], [], [], 0
            for i in range(GRAPHS):
                graph = random_graph(rng, n, (0.15, 0.3, 0.5)[i % 3], (0.1, 0.5, 2.0)[i // 3 % 3])
                began = perf_counter()
                best, is_proven, *_ = place_one(*graph, devices)
                took.append(perf_counter() - began)
                found = place_one(*graph, devices, exact_up_to=0)[0]
                gaps.append(found / best - 1)
                alone.append(graph[0].sum() / best)
                proven += is_proven
            rows.append(
                f"| {n} | {devices} | {proven} of {GRAPHS} | {100 * np.mean(gaps):.2f} / {100 * np.max(gaps):.1f} "
                f"| {100 * np.mean(np.array(gaps) > 1e-9):.0f} % | {np.mean(alone):.2f}x "
                f"| {1e3 * np.median(took):.2f} / {1e3 * np.max(took):.1f} |"
            )
    return rows


def costs(table: LayerTable, link: tuple[float, float], gpus: int = 2) -> tuple[F64, F64, F64]:
    """(latency on one GPU, on `gpus`, layers without a proof) of every network."""
    spec = GpuBranchesSpec(gpu=device("a100_40_sxm").spec, gpus=gpus, link_bytes_per_s=link[0], link_latency_s=link[1])
    every = np.arange(table.n_networks)
    found = evaluate_pairs(
        MODEL, table, GpuBranchesSpec.to_table([spec]), network=every, config=np.zeros_like(every)
    ).columns
    return found["one_gpu_s"], found["latency_s"], found["unproven_layers"]


def network_rows() -> list[str]:
    rows = []
    for batch in BATCHES:
        for name in NETWORKS:
            built = network(name, batch=batch, precision=FP16)
            table = layer_table([rewrite(built, COMPILED)])
            cells = []
            for link in LINKS.values():
                one, two, unproven = costs(table, link)
                cells.append(f"{one[0] / two[0]:.2f}x" + ("" if unproven[0] == 0 else " *"))
            rows.append(f"| {name} | {batch} | {1e3 * one[0]:.2f} | {' | '.join(cells)} |")
    return rows


def cell_rows() -> list[str]:
    space = CellSpace(input_shape=(3, 32, 32), classes=10, precision=FP16)
    points = np.array(list(space.enumerate()))
    rows = []
    for batch in BATCHES:
        table, _ = space.at_batch(batch).lower(points, COMPILED)
        for name, link in LINKS.items():
            began = perf_counter()
            one, two, unproven = costs(table, link)
            took = perf_counter() - began
            runs = one > 0
            gain = one[runs] / two[runs]
            rows.append(
                f"| {batch} | {name} | {100 * np.mean(gain > 1.001):.0f} % | {np.median(gain):.2f}x "
                f"| {np.quantile(gain, 0.9):.2f}x | {gain.max():.2f}x | {int(unproven.sum())} | {took:.1f} |"
            )
    return rows


def main() -> None:
    lines = [
        "# Branches on several GPUs",
        "",
        "`python benchmarks/tables/placement.py`; predictions of the family `gpu_branches`, nothing measured.",
        "",
        f"## The solver: {GRAPHS} random graphs of each size",
        "",
        "Gap: list scheduling with moves over the least makespan; one device: its time over the least makespan.",
        "",
        "| layers | devices | proven | gap, mean / worst (%) | not the best | one device | ms, median / worst |",
        "|---|---|---|---|---|---|---|",
        *solver_rows(),
        "",
        "## Where a second A100 pays: published networks, fp16",
        "",
        "Time of one GPU over that of two; `*`: segments too large to prove that no placement is faster.",
        "",
        f"| network | batch | one GPU (ms) | {' | '.join(LINKS)} |",
        "|---|---|---|---|---|",
        *network_rows(),
        "",
        "## All 15,625 cells of NAS-Bench-201, fp16, every placement proven",
        "",
        "| batch | link | cells that gain | median | best tenth | best | unproven layers | s for all cells |",
        "|---|---|---|---|---|---|---|---|",
        *cell_rows(),
        "",
    ]
    RESULT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
