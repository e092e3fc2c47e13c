"""NVIDIA's Deep Learning Examples: image networks in PyTorch of 2020 to 2022 on A100, V100 and T4, batches 1 to 256.

Scored are rows whose heading names the precision, of networks that the zoo builds; the time of a batch is batch over
throughput. Under automatic mixed precision each forward pass casts the weights of every convolution and linear layer
anew [PyTorch, torch.amp, autocast's cache], a kernel each; mixed precision runs in channels last, float32 and TF32
in nchw, as the examples' own commands say. The host's times are those of the `torch_2020` runtime, of other machines.

Not scored: training, which reads images from disks; detection, segmentation, translation, speech and recommendation,
whose networks the zoo does not have; TensorFlow.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.gpu.networks import Group, frozen, machine, numbers_of
from hwmodels.validation.layer_lists import count_networks
from hwmodels.workload.ops import Kind, Precision, Row
from hwmodels.workload.zoo import network

__all__ = ["example_scores"]

_PATH = "gpu/nvidia_dle_performance.jsonl"
_RUNTIME = "torch_2020"
_FOLDER = "PyTorch/Classification/ConvNets/"
_NETWORKS = {
    "efficientnet-b0": ("efficientnet_b0", 224), "efficientnet-b4": ("efficientnet_b4", 380),
    "resnet50v1.5": ("resnet50", 224), "resnext101-32x4d": ("resnext101_32x4d", 224),
    "se-resnext101-32x4d": ("seresnext101_32x4d", 224),
}  # fmt: skip
_GPUS = {"A100": "a100_80_sxm", "V100": "v100_sxm2", "T4": "t4"}


class _Run(NamedTuple):
    gpu: str
    precision: str


def example_scores(tables: ReferenceTables) -> list[Score]:
    """One group a GPU and precision."""
    path = tables.path(_PATH)
    if path is None:
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    told: dict[_Run, list[tuple[str, int, float]]] = defaultdict(list)
    for line in lines:
        found = _read(line)
        if found is not None:
            told[found[0]].append(found[1:])
    return [one for run, rows in sorted(told.items()) for one in _scored(run, rows, len(lines))]


def _read(line: Mapping[str, Any]) -> tuple[_Run, str, int, float] | None:
    """Run, network, batch and images a second of a row; None where it is no inference of a network that is known."""
    file, heading, row = line["file"], line["context"], line["row"]
    gpu = re.search(r"Inference performance: NVIDIA .*?(A100|V100|T4)", heading)
    precision = re.search(r"(TF32|FP32|Mixed Precision) Inference Latency", heading)
    if not file.startswith(_FOLDER) or gpu is None or precision is None or "Batch Size" not in row:
        return None
    name = row.get("Model", file.removeprefix(_FOLDER))
    if name not in _NETWORKS:
        return None
    run = _Run(gpu[1], precision[1].lower())
    return run, name, int(row["Batch Size"]), float(row["Throughput Avg"].split()[0])


def _scored(run: _Run, rows: Iterable[tuple[str, int, float]], rows_in_file: int) -> list[Score]:
    spec = machine(_GPUS[run.gpu], _RUNTIME)
    assert spec is not None
    is_mixed = run.precision == "mixed precision"
    spec = spec.changed({"layout": "nhwc" if is_mixed else "nchw", "allow_tf32": run.precision == "tf32"})
    kept = list(rows)
    lists = [_rows(name, batch, is_mixed=is_mixed) for name, batch, _ in kept]
    measured = np.array([batch / rate for _, batch, rate in kept])
    skipped = Counter({"another run, framework or network": rows_in_file - len(kept)})
    group = f"{run.gpu}, {run.precision}"
    return frozen(
        Group("nvidia_dle", group, spec, count_networks(lists), measured, rows_in_file, skipped, numbers_of(_RUNTIME))
    )


def _rows(name: str, batch: int, *, is_mixed: bool) -> tuple[Row, ...]:
    known, pixels = _NETWORKS[name]
    bits = 16 if is_mixed else 32
    workload = network(known, batch=batch, precision=Precision(bits, bits), input_shape=(3, pixels, pixels))
    found: list[Row] = []
    for _, row in workload.rows():
        if is_mixed and row.macs and not row.dynamic_operand:
            found.append(_cast(row))
        found.append(row)
    return tuple(found)


def _cast(row: Row) -> Row:
    """The kernel that casts a layer's weights: float32 in, half of it out; told as 24 bits both ways."""
    count = row.weight_elements
    return Row(
        kind=Kind.ELEMENTWISE, input_elements=count, output_elements=count, vector_ops=count, weight_bits=24,
        activation_bits=24,
    )  # fmt: skip
