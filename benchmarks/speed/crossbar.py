"""Layer evaluations a second of the crossbar kernel on one core: median of repeats, compilation apart.

python benchmarks/speed/crossbar.py [--json] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
from statistics import median
from time import perf_counter

import numpy as np

from hwmodels.families.crossbar.model import MODEL
from hwmodels.families.crossbar.spec import CrossbarSpec, CrossbarTable
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "vgg16", "bert_base")


def draw(count: int, rng: np.random.Generator) -> CrossbarTable:
    """`count` configurations: the knobs a search varies, drawn uniformly."""
    sizes = 2 ** rng.integers(5, 11, (2, count))
    return CrossbarSpec.table_from(
        CrossbarSpec(),
        {
            "array_rows": sizes[0],
            "array_cols": sizes[1],
            "adc_bits": rng.integers(1, 15, count),
            "cell_bits": rng.integers(1, 5, count),
            "dac_bits": rng.integers(1, 5, count),
            "columns_per_adc": 2 ** rng.integers(0, 8, count),
            "duplication": 2 ** rng.integers(0, 6, count),
            "sign_scheme": rng.integers(0, 2, count),
        },
    )


def measure(repeats: int) -> dict[str, float]:
    """Seconds of the first call (loads or compiles), and evaluations a second of both entry points."""
    layers = layer_table([network(name) for name in NETWORKS]).layers
    n_configs, n_layers, n_metrics = 2000, layers.m.size, len(MODEL.layer_metrics)
    table = draw(n_configs, np.random.default_rng(0))
    scratch = np.zeros(MODEL.scratch_size)
    out, choice = np.zeros((n_configs, n_layers, n_metrics)), np.zeros((n_configs, n_layers), np.int16)
    config_index, layer_index = (index.ravel() for index in np.indices((n_configs, n_layers)))
    calls = {
        "all_pairs": lambda: MODEL.cost(layers, table, scratch, out, choice),
        "listed_pairs": lambda: MODEL.cost_at(
            layers, table, layer_index, config_index, scratch, out.reshape(-1, n_metrics), choice.reshape(-1)
        ),
    }
    result: dict[str, float] = {"layers": n_layers, "configurations": n_configs}
    for name, call in calls.items():
        seconds = [_seconds(call) for _ in range(repeats + 1)]
        result[f"{name}_first_call_s"] = seconds[0]
        result[f"{name}_evaluations_per_s"] = n_configs * n_layers / median(seconds[1:])
    return result


def _seconds(call) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    figures = measure(arguments.repeats)
    print(
        json.dumps(figures)
        if arguments.json
        else "\n".join(f"{name:34}{value:14.4g}" for name, value in figures.items())
    )
