"""Data-parallel training of image networks: how much of n GPUs' throughput is left of n times one GPU's.

NVIDIA's DeepLearningExamples, ResNet-50 v1.5 in float32 and TF32 on 8 A100, 8 V100 and 16 V100 (DGX-2, one switch), and
TensorFlow's benchmarks on a DGX-1 with P100. In mixed precision the readers of images are the limit, which is not
modelled: reported apart. Errors in points of the share; beside it, that nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from hwmodels.catalog import device
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.multigpu.data_parallel import data_parallel_step
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.units import GB
from hwmodels.validate import ReferenceTables, Score, score
from hwmodels.validation.multigpu.collectives import node_spec
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import EAGER, rewrite
from hwmodels.workload.training import TrainingStep, training_step
from hwmodels.workload.zoo import network

__all__ = ["image_scores", "scaling"]

_FILE = "gpu/nvidia_dle_performance.jsonl"
_BATCH = {"A100": 256, "V100": 128, "P100": 64}
"""Items a GPU in float32: tables of TensorFlow's rows; PyTorch's examples use the same."""


def _machines() -> dict[str, MultiGpuSpec]:
    p100 = device("p100_pcie").spec
    assert isinstance(p100, GpuSpec)
    dgx1 = node_spec("dgx1_v100")
    return {
        "A100": node_spec("dgx_a100"),
        "V100": dgx1,
        # NVIDIA DGX-2: 16 V100 on NVSwitch, 150 GB/s a GPU each way.
        "DGX-2": dgx1.changed({"gpus_per_node": 16}),
        # NVIDIA Tesla P100 white paper: four NVLinks of 20 GB/s each way.
        "P100": dgx1.changed({"gpu": p100}).changed({"link_bytes_per_s": 80 * GB}),
    }  # fmt: skip


@cache
def _step(name: str, batch: int, bits: int) -> TrainingStep:
    net = rewrite(network(name, batch=batch, precision=Precision(bits, bits)), EAGER)
    return training_step(net, "momentum")


def scaling(machine: str, gpus: int, *, name: str = "resnet50", bits: int = 32) -> float:
    """The predicted share of n times one GPU's throughput, in percent."""
    spec = _machines()[machine]
    key = "V100" if machine == "DGX-2" else machine
    if machine == "A100":
        spec = spec.changed({"gpu": spec.gpu.changed({"allow_tf32": True})})
    found = data_parallel_step(_step(name, _BATCH[key], bits), spec, gpus, gradient_bytes=bits / 8)
    return 100.0 * found.efficiency


def image_scores(tables: ReferenceTables) -> list[Score]:
    """Float32 and TF32 rows, mixed precision apart, and the DGX-1 of 2017."""
    found = []
    path = tables.path(_FILE)
    if path is not None:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for mixed, group in ((False, "ResNet-50, TF32 and FP32"), (True, "ResNet-50, mixed precision, input-limited")):
            pairs = [(scaling(machine, gpus, bits=16 if mixed else 32), measured)
                     for machine, gpus, measured in _published(lines, mixed=mixed)]  # fmt: skip
            found += _scores("nvidia_dle_performance", group, pairs, len(lines))
    rows = tables.rows("gpu/tf_benchmarks_dgx1_scaling.csv")
    if rows is not None:
        one = {row["model"]: float(row["images_per_s"]) for row in rows if row["gpus"] == "1"}
        some = [row for row in rows if row["model"] == "resnet50" and row["gpus"] != "1"]
        pairs = [
            (scaling("P100", int(row["gpus"])), 100 * float(row["images_per_s"]) / int(row["gpus"]) / one["resnet50"])
            for row in some
        ]
        found += _scores("tf_benchmarks_dgx1_scaling", "ResNet-50, P100", pairs, len(rows))
    return found


def _published(lines: list[Mapping[str, Mapping[str, str] | str]], *, mixed: bool) -> Iterator[tuple[str, int, float]]:
    """(machine, GPUs, percent of n times one GPU) of the training tables of ResNet-50."""
    alone: dict[str, float] = {}
    for line in lines:
        context, row = str(line["context"]), line["row"]
        if "resnet50v1.5" not in str(line["file"]) or "Training performance:" not in context:
            continue
        assert isinstance(row, Mapping)
        columns = [name for name in row if name.startswith("Throughput - ") and ("mixed" in name) == mixed]
        if "GPUs" not in row or len(columns) != 1:
            continue
        machine = next((name for name in ("A100", "DGX-2", "V100") if name in context), None)
        if machine is None:
            continue
        rate, gpus = float(row[columns[0]].split()[0]), int(row["GPUs"])
        if gpus == 1:
            alone[context] = rate
        elif context in alone:
            yield machine, gpus, 100.0 * rate / gpus / alone[context]


def _scores(name: str, group: str, pairs: list[tuple[float, float]], rows_in_file: int) -> list[Score]:
    if not pairs:
        return []
    predicted, measured = np.array(pairs).T
    return [
        Score(
            family="multigpu", set=name, group=group, protocol="frozen", rows=len(pairs), rows_in_file=rows_in_file,
            metric="mean_absolute_error", value=score("mean_absolute_error", predicted, measured),
            baseline={"nothing lost": score("mean_absolute_error", np.full(measured.size, 100.0), measured)},
        )
    ]  # fmt: skip
