"""Gradients in buckets beside the backward pass: a plain twin, laws, and what the family refuses."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.multigpu.data_parallel import STOLEN, data_parallel_step
from hwmodels.families.multigpu.decoder import kernels_s
from hwmodels.families.multigpu.fabric import fabric_of, group_s
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.workload.graph import Builder
from hwmodels.workload.training import TrainingStep, training_step
from hwmodels.workload.zoo import network

SPEC = MultiGpuSpec()


def chain(first: int = 512) -> TrainingStep:
    """Three linear layers, whose gradients are made in reverse."""
    net = Builder("chain", (64, first))
    x = net.linear(net.linear(net.linear(net.input, 1024), 2048), 256)
    return training_step(net.finish(x), "sgd")


def test_a_chain_equals_its_twin() -> None:
    step, fabric = chain(), fabric_of(SPEC)
    rows = [(node.name, row) for node, row in step.workload.rows()]
    seconds = kernels_s(SPEC.gpu, [[row] for _, row in rows])
    update = sum(s for (name, _), s in zip(rows, seconds, strict=True) if step.phases[name] == "update")
    alone = sum(seconds)
    sizes = [4 * (2048 * 256 + 256), 4 * (1024 * 2048 + 2048), 4 * (512 * 1024 + 1024)]
    each = [float(group_s(fabric, "all_reduce", size, 8)) for size in sizes]
    # One bucket: everything is added behind the last gradient.
    whole = float(group_s(fabric, "all_reduce", sum(sizes), 8))
    found = data_parallel_step(step, SPEC, 8)
    assert found.sent_bytes == sum(sizes)
    assert found.alone_s == pytest.approx(alone, rel=1e-12)
    assert found.step_s == pytest.approx(alone + whole, rel=1e-12)
    # A bucket a layer: each begins when its last gradient is made and the one before it is done.
    names, ends = [name for name, _ in rows], np.cumsum(seconds)
    done = 0.0
    for layer, one in zip((3, 2, 1), each, strict=True):
        done = max(ends[names.index(f"linear{layer}.bias")], done) + one
    small = data_parallel_step(step, SPEC, 8, bucket_bytes=1.0)
    assert small.step_s == pytest.approx(max(alone - update + STOLEN * sum(each), done) + update, rel=1e-12)


def test_what_runs_beside_the_kernels_takes_its_share_of_them() -> None:
    """With links so fast that the last bucket is done early, the stolen share of all all-reduces is left."""
    step = chain(8)
    fast = SPEC.changed({"start_cycles": 0.0, "low_start_cycles": 0.0, "ramp_cycles": 0.0, "step_cycles": 0.0,
                         "low_step_cycles": 0.0, "link_bytes_per_s": 1e15})  # fmt: skip
    found = data_parallel_step(step, fast, 8)
    whole = float(group_s(fabric_of(fast), "all_reduce", found.sent_bytes, 8))
    assert found.exposed_s == pytest.approx(whole, rel=1e-6)  # one bucket: nothing hides it
    buckets = data_parallel_step(step, fast, 8, bucket_bytes=1.0)
    assert buckets.exposed_s == pytest.approx(STOLEN * whole, rel=1e-6)  # the last, small bucket is done before that


def test_more_gpus_lose_more_and_faster_links_less() -> None:
    step = training_step(network("resnet18", batch=32), "momentum")
    efficiency = [data_parallel_step(step, SPEC, n).efficiency for n in (1, 2, 8)]
    assert efficiency[0] == 1.0
    assert 1.0 > efficiency[1] > efficiency[2] > 0.9
    slow = data_parallel_step(step, SPEC.changed({"link_bytes_per_s": 5e9}), 8)
    assert slow.efficiency < efficiency[2]
    halves = data_parallel_step(step, SPEC.changed({"link_bytes_per_s": 5e9}), 8, gradient_bytes=2.0)
    assert slow.efficiency < halves.efficiency


def test_all_parameters_are_sent_once() -> None:
    net = network("resnet18", batch=4)
    sent = data_parallel_step(training_step(net, "momentum"), SPEC, 8).sent_bytes
    assert sent == 4 * sum(row.parameters for _, row in net.rows())


def test_the_family_refuses_a_step_in_shares() -> None:
    step = training_step(network("resnet18", batch=8), "sgd").workload
    with pytest.raises(SpecError, match="data_parallel"):
        evaluate(step, family("multigpu"), MultiGpuSpec(tensor=1, data=8))
    alone = evaluate(step, family("multigpu"), MultiGpuSpec(tensor=1))
    assert alone.total("latency_s") == evaluate(step, family("gpu"), MultiGpuSpec().gpu).total("latency_s")
