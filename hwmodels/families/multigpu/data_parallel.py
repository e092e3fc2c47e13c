"""A training step of any network on several GPUs that each hold all of it: gradients are added while others are made.

Gradients fill buckets in the order in which the backward pass makes them; a full bucket is added over all GPUs behind
the one before it, beside the kernels [Li et al., VLDB 2020]::

    ready_i   end of the kernel that makes the last gradient of bucket i
    done_i    max(ready_i, done_(i-1)) + all-reduce(bucket i)
    step      max(forward and backward + stolen share x all-reduces, done of the last) + update

Kernels of the collectives take some multiprocessors from the others: `STOLEN` of what runs beside them.

Not modelled: input, stragglers, buckets that are hooked in another order in the first step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwmodels.families.multigpu.decoder import kernels_s
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.workload.graph import Input
from hwmodels.workload.training import TrainingStep

__all__ = ["BUCKET_BYTES", "STOLEN", "DataParallelStep", "data_parallel_step"]

BUCKET_BYTES = 25 * 2**20
"""Source: torch.nn.parallel.DistributedDataParallel, bucket_cap_mb = 25."""
STOLEN = 0.1
"""ASSUMED: NCCL runs up to 16 to 24 of some 80 to 132 multiprocessors' worth of blocks; plausible 0.02 to 0.2."""


class DataParallelStep(NamedTuple):
    """Seconds of a step. alone_s : on one GPU. exposed_s : what the exchange adds. sent_bytes : of gradients."""

    step_s: float
    alone_s: float
    exposed_s: float
    sent_bytes: float

    @property
    def efficiency(self) -> float:
        """Time on one GPU over that on each of many."""
        return self.alone_s / self.step_s


def data_parallel_step(
    step: TrainingStep, spec: MultiGpuSpec, ranks: int, *, gradient_bytes: float = 4.0,
    bucket_bytes: float = BUCKET_BYTES,
) -> DataParallelStep:  # fmt: skip
    """The step of `ranks` GPUs that each run `step` on their own items.

    gradient_bytes : of a stored number's gradient as it is sent.
    """
    rows = [(node.name, row) for node, row in step.workload.rows()]
    seconds = dict(zip((name for name, _ in rows), kernels_s(spec.gpu, [[row] for _, row in rows]), strict=True))
    is_update = {name: step.phases[name] == "update" for name, _ in rows}
    ends: dict[str, float] = {}
    now = 0.0
    for name, _ in rows:
        if not is_update[name]:
            now += seconds[name]
            ends[name] = now
    update_s = float(sum(seconds[name] for name, _ in rows if is_update[name]))
    made = sorted(_gradients(step, ends, gradient_bytes))
    total_s, last = _added(made, spec, ranks, bucket_bytes)
    done = max(now + STOLEN * total_s, last)
    alone = now + update_s
    return DataParallelStep(done + update_s, alone, done - now, float(sum(size for _, size in made)))


def _gradients(step: TrainingStep, ends: dict[str, float], gradient_bytes: float) -> list[tuple[float, float]]:
    """(when it is made, bytes) of every stored tensor's gradient."""
    found = []
    for node in step.workload:
        if step.phases.get(node.name) != "update" or isinstance(node.operator, Input):  # its states are inputs
            continue
        ready = [ends[name] for name in _behind(step, node.inputs) if name in ends]
        found.append((max(ready, default=0.0), float(np.prod(node.shape)) * gradient_bytes))
    return found


def _behind(step: TrainingStep, names: tuple[str, ...]) -> list[str]:
    """Producers of some tensors, through views."""
    found, waiting = [], list(names)
    while waiting:
        node = step.workload[waiting.pop()]
        if node.operator.is_view:
            waiting.extend(node.inputs)
        else:
            found.append(node.name)
    return found


def _added(made: list[tuple[float, float]], spec: MultiGpuSpec, ranks: int, bucket_bytes: float) -> tuple[float, float]:
    """(seconds of all all-reduces, when the last is done)."""
    fabric = fabric_of(spec)
    total, done, size = 0.0, 0.0, 0.0
    for place, (ready, each) in enumerate(made):
        size += each
        if size >= bucket_bytes or place == len(made) - 1:
            one = float(group_s(fabric, "all_reduce", size, ranks))
            total, done, size = total + one, max(ready, done) + one, 0.0
    return total, done
