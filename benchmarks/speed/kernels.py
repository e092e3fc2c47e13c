"""Layer evaluations a second of every family's kernel on one core: median of repeats, compilation apart.

    python benchmarks/speed/kernels.py [--family crossbar] [--json] [--repeats 5]

Both entry points run the same layers (five published networks) on the same 2,000 random configurations. Under the
dataflow `best` one evaluation of the spatial family computes all three dataflows of its layer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from hwmodels.families.base import CostModel, family
from hwmodels.workload.table import Layers, layer_table
from hwmodels.workload.zoo import network

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2", "vgg16", "bert_base")
CONFIGURATIONS = 2000


def crossbars(model: CostModel, rng: np.random.Generator) -> dict[str, Any]:
    """The knobs a search varies, drawn uniformly."""
    sizes = 2 ** rng.integers(5, 11, (2, CONFIGURATIONS))
    columns = {
        "array_rows": sizes[0],
        "array_cols": sizes[1],
        "adc_bits": rng.integers(1, 15, CONFIGURATIONS),
        "cell_bits": rng.integers(1, 5, CONFIGURATIONS),
        "dac_bits": rng.integers(1, 5, CONFIGURATIONS),
        "columns_per_adc": 2 ** rng.integers(0, 8, CONFIGURATIONS),
        "duplication": 2 ** rng.integers(0, 6, CONFIGURATIONS),
        "sign_scheme": rng.integers(0, 2, CONFIGURATIONS),
        "adc_model": rng.integers(0, 6, CONFIGURATIONS),
        "compute": rng.integers(0, 3, CONFIGURATIONS),
        "circuit": rng.integers(0, 2, CONFIGURATIONS),
        "kernel_mapping": rng.integers(0, 2, CONFIGURATIONS),
        "packing": rng.integers(0, 2, CONFIGURATIONS),
        "weights": rng.integers(0, 2, CONFIGURATIONS),
        "dynamic_operands": rng.integers(0, 2, CONFIGURATIONS),
    }
    return {"crossbar": model.spec.table_from(model.spec(), columns)}


def systolic_arrays(model: CostModel, rng: np.random.Generator) -> dict[str, Any]:
    """The knobs a search varies, drawn uniformly, under one dataflow and under the best of three."""
    extents = 2 ** rng.integers(3, 9, (2, CONFIGURATIONS))
    buffers = 2 ** rng.integers(13, 23, (3, CONFIGURATIONS))
    columns = {
        "array_rows": extents[0],
        "array_cols": extents[1],
        "ifmap_sram_bytes": buffers[0],
        "filter_sram_bytes": buffers[1],
        "ofmap_sram_bytes": buffers[2],
        "dram_bytes_per_s": rng.uniform(4e9, 4e11, CONFIGURATIONS),
        "fold_overlap": rng.integers(0, 3, CONFIGURATIONS),
    }
    bases = {f"spatial_{dataflow}": model.spec.model_validate({"dataflow": dataflow}) for dataflow in ("ws", "best")}
    return {name: model.spec.table_from(base, columns) for name, base in bases.items()}


def cpus(model: CostModel, rng: np.random.Generator) -> dict[str, Any]:
    """The knobs a search varies, drawn uniformly, with one algorithm a convolution and with all of them."""
    columns = {
        "big_cores": rng.integers(1, 17, CONFIGURATIONS),
        "clock_hz": rng.uniform(1e9, 4e9, CONFIGURATIONS),
        "simd_bits": 2 ** rng.integers(7, 10, CONFIGURATIONS),
        "l1_bytes": 2 ** rng.integers(15, 18, CONFIGURATIONS),
        "l2_bytes": 2 ** rng.integers(17, 22, CONFIGURATIONS),
        "l3_bytes": 2 ** rng.integers(20, 26, CONFIGURATIONS),
        "dram_bytes_per_s": rng.uniform(4e9, 2e11, CONFIGURATIONS),
    }
    few = model.spec.model_validate({"has_direct": False})
    all_of_them = model.spec.model_validate({"has_winograd": True})
    return {
        "cpu_im2col": model.spec.table_from(few, columns),
        "cpu_all": model.spec.table_from(all_of_them, columns),
    }


def gpus(model: CostModel, rng: np.random.Generator) -> dict[str, Any]:
    """The knobs a search varies, drawn uniformly; on tensor units, and on vector units alone."""
    columns = {
        "sms": rng.integers(4, 145, CONFIGURATIONS),
        "clock_hz": rng.uniform(5e8, 2.5e9, CONFIGURATIONS),
        "l2_bytes": 2 ** rng.integers(19, 27, CONFIGURATIONS),
        "l2_bytes_per_cycle": rng.uniform(256, 8192, CONFIGURATIONS),
        "dram_bytes_per_s": rng.uniform(2e10, 4e12, CONFIGURATIONS),
        "tdp_w": rng.uniform(100, 700, CONFIGURATIONS),
    }
    rates = [name for name in model.spec.knobs() if name.startswith("tensor_")]
    vector = model.spec.model_validate({**dict.fromkeys(rates, 0.0), "int8_macs_per_cycle": 0.0})
    return {
        "gpu_tensor": model.spec.table_from(model.spec(), columns),
        "gpu_vector": model.spec.table_from(vector, columns),
    }


DRAWS = {"cpu": cpus, "crossbar": crossbars, "gpu": gpus, "spatial": systolic_arrays}


def measure(model: CostModel, layers: Layers, configs: Any, repeats: int) -> dict[str, float]:
    """Seconds of the first call (loads or compiles), and evaluations a second, of both entry points."""
    shape, n_metrics = (CONFIGURATIONS, layers.m.size), len(model.layer_metrics)
    scratch = np.zeros(model.layerwise.scratch_size)
    out, choice = np.zeros((*shape, n_metrics)), np.zeros(shape, np.int16)
    config_index, layer_index = (index.ravel() for index in np.indices(shape))
    listed = (layers, configs, layer_index, config_index, scratch, out.reshape(-1, n_metrics), choice.reshape(-1))
    result: dict[str, float] = {}
    for name, kernel, arguments in (
        ("all_pairs", model.layerwise.cost, (layers, configs, scratch, out, choice)),
        ("listed_pairs", model.layerwise.cost_at, listed),
    ):
        seconds = [_seconds(kernel, arguments) for _ in range(repeats + 1)]
        result[f"{name}_first_call_s"] = seconds[0]
        result[f"{name}_evaluations_per_s"] = choice.size / median(seconds[1:])
    return result


def _seconds(kernel: Callable[..., None], arguments: tuple[object, ...]) -> float:
    start = perf_counter()
    kernel(*arguments)
    return perf_counter() - start


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=DRAWS, help="all by default")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows = layer_table([network(name) for name in NETWORKS]).layers
    figures: dict[str, float] = {"layers": rows.m.size, "configurations": CONFIGURATIONS}
    for chosen in [options.family] if options.family else DRAWS:
        for label, table in DRAWS[chosen](family(chosen), np.random.default_rng(0)).items():
            found = measure(family(chosen), rows, table, options.repeats)
            figures |= {f"{label}_{name}": value for name, value in found.items()}
    print(
        json.dumps(figures) if options.json else "\n".join(f"{name:42}{value:14.4g}" for name, value in figures.items())
    )
