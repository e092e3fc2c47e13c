"""Genotypes lowered a second, both spaces and both semantics; every cell of NAS-Bench-201; and the zoo.

    python benchmarks/speed/lowering.py [--json] [--repeats 3] [--genotypes 100000]

One thread. Medians after one warm-up call. The cell space has 15,284 valid points, so most of a large batch are
duplicates there; `distinct` says how many networks are lowered. Beside each space stands the same work graph by graph,
on a sample. The cells of NAS-Bench-201 are all 15,625, each lowered for itself; the zoo's networks are built one by
one, graph and LayerTable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median
from time import perf_counter

import numpy as np

from codesign.space.architecture import ArchitectureSpace
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from hwmodels.workload.rewrite import COMPILED, EAGER, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import ZOO, network
from hwmodels.workload.zoo.nasbench201 import EDGES, OPERATIONS

SPACES: dict[str, ArchitectureSpace] = {"cell": CellSpace(), "chain": ChainSpace()}
SEMANTICS = {"eager": EAGER, "compiled": COMPILED}
_BY_GRAPH = 50  # networks of the graph-by-graph comparison


def measure(genotypes: int, repeats: int) -> dict[str, float]:
    """Seconds and rates by space and semantics, then seconds of all published cells and of the zoo."""
    result: dict[str, float] = {"genotypes": genotypes}
    for name, space in SPACES.items():
        points = space.sample(genotypes, np.random.default_rng(0))
        for runtime, semantics in SEMANTICS.items():

            def lower(space: ArchitectureSpace = space, points: np.ndarray = points, semantics=semantics) -> int:
                return space.lower(points, semantics).table.n_networks

            def graphs(space: ArchitectureSpace = space, points: np.ndarray = points, semantics=semantics) -> int:
                return layer_table([rewrite(space.workload(p), semantics) for p in points[:_BY_GRAPH]]).n_networks

            key = f"{name}_{runtime}"
            result[f"{key}_distinct"] = lower()  # the warm-up
            result[f"{key}_s"] = _median_seconds(lower, repeats)
            result[f"{key}_genotypes_per_s"] = genotypes / result[f"{key}_s"]
            result[f"{key}_distinct_per_s"] = result[f"{key}_distinct"] / result[f"{key}_s"]
            result[f"{key}_graphs_per_s"] = _BY_GRAPH / _median_seconds(graphs, repeats)
    published = CellSpace()
    cells = np.array(list(product(range(len(OPERATIONS)), repeat=len(EDGES))), np.int64)
    for runtime, semantics in SEMANTICS.items():
        everything = partial(published.lower, cells, semantics)
        everything()
        result[f"nasbench201_{runtime}_cells"] = len(cells)
        result[f"nasbench201_{runtime}_s"] = _median_seconds(everything, repeats)
    result["resnet50_s"] = _median_seconds(lambda: layer_table([network("resnet50")]), max(repeats, 20))
    result["zoo_networks"] = len(ZOO)
    result["zoo_s"] = _seconds(lambda: [layer_table([known.build()]) for known in ZOO])
    return result


def _median_seconds(call: Callable[[], object], repeats: int) -> float:
    return median(_seconds(call) for _ in range(repeats))


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--genotypes", type=int, default=100_000)
    options = parser.parse_args()
    figures = measure(options.genotypes, options.repeats)
    print(
        json.dumps(figures) if options.json else "\n".join(f"{name:34}{value:14.4g}" for name, value in figures.items())
    )
