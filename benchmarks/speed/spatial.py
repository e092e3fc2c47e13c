"""Layer evaluations a second of the systolic kernel on one core: median of repeats, compilation apart.

    python benchmarks/speed/spatial.py [--json] [--repeats 5]

One evaluation under `best` computes all three dataflows of its layer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

from hwmodels.families.spatial.model import MODEL
from hwmodels.families.spatial.spec import SpatialSpec, SpatialTable
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "vgg16", "bert_base")


def draw(count: int, dataflow: str, rng: np.random.Generator) -> SpatialTable:
    """`count` configurations: the knobs a search varies, drawn uniformly."""
    extents = 2 ** rng.integers(3, 9, (2, count))
    buffers = 2 ** rng.integers(13, 23, (3, count))
    return SpatialSpec.table_from(
        SpatialSpec(dataflow=dataflow),
        {
            "array_rows": extents[0],
            "array_cols": extents[1],
            "ifmap_sram_bytes": buffers[0],
            "filter_sram_bytes": buffers[1],
            "ofmap_sram_bytes": buffers[2],
            "dram_bytes_per_s": rng.uniform(4e9, 4e11, count),
            "fold_overlap": rng.integers(0, 3, count),
        },
    )


def measure(repeats: int) -> dict[str, float]:
    """Seconds of the first call (loads or compiles), and evaluations a second of both entry points."""
    layers = layer_table([network(name) for name in NETWORKS]).layers
    n_configs, n_layers, n_metrics = 2000, layers.m.size, len(MODEL.layer_metrics)
    scratch = np.zeros(MODEL.scratch_size)
    out, choice = np.zeros((n_configs, n_layers, n_metrics)), np.zeros((n_configs, n_layers), np.int16)
    config_index, layer_index = (index.ravel() for index in np.indices((n_configs, n_layers)))
    result: dict[str, float] = {"layers": n_layers, "configurations": n_configs}
    for dataflow in ("ws", "best"):
        table = draw(n_configs, dataflow, np.random.default_rng(0))
        calls = {
            f"all_pairs_{dataflow}": (MODEL.cost, (layers, table, scratch, out, choice)),
            f"listed_pairs_{dataflow}": (
                MODEL.cost_at,
                (layers, table, layer_index, config_index, scratch, out.reshape(-1, n_metrics), choice.reshape(-1)),
            ),
        }
        for name, (kernel, arguments) in calls.items():
            seconds = [_seconds(kernel, arguments) for _ in range(repeats + 1)]
            result[f"{name}_first_call_s"] = seconds[0]
            result[f"{name}_evaluations_per_s"] = n_configs * n_layers / median(seconds[1:])
    return result


def _seconds(kernel: Callable[..., None], arguments: tuple[object, ...]) -> float:
    start = perf_counter()
    kernel(*arguments)
    return perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    figures = measure(options.repeats)
    print(
        json.dumps(figures) if options.json else "\n".join(f"{name:34}{value:14.4g}" for name, value in figures.items())
    )
