"""Runtimes of GPUs: presets that every chip takes, and what a runtime decides of a latency."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from hwmodels.catalog import device, devices_of
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.gpu.model import MODEL
from hwmodels.families.gpu.runtimes import GPU_RUNTIMES, with_runtime
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Concat, Conv2d, Linear, Precision
from hwmodels.workload.rewrite import RUNTIMES, rewrite
from hwmodels.workload.zoo import network

HALF = Precision(16, 16)


def gpu(name: str) -> GpuSpec:
    spec = device(name).spec
    assert isinstance(spec, GpuSpec)
    return spec


@cache
def gpus() -> tuple[GpuSpec, ...]:
    return tuple(gpu(found.name) for found in devices_of("gpu"))


def host_s(workload: Workload, spec: GpuSpec) -> float:
    return float(evaluate(workload, MODEL, spec).layers["host_s"].sum())


@pytest.mark.parametrize("name", GPU_RUNTIMES)
def test_a_runtime_sets_its_knobs_on_every_gpu_and_leaves_the_rest(name: str) -> None:
    runtime = GPU_RUNTIMES[name]
    assert runtime.semantics in RUNTIMES
    assert min(len(runtime.source), len(runtime.fitted_on)) > 10
    for spec in gpus():
        before, after = spec.values(), with_runtime(spec, name).values()
        assert {knob: after[knob] for knob in runtime.knobs} == dict(runtime.knobs)
        kept = before.keys() - runtime.knobs.keys()
        assert {knob: after[knob] for knob in kept} == {knob: before[knob] for knob in kept}


def test_a_runtime_decides_nothing_that_a_data_sheet_says() -> None:
    data_sheet = {
        knob for knob in GpuSpec().values() if knob.endswith(("macs_per_cycle", "_hz", "_w", "sms", "_bytes"))
    }
    data_sheet |= {"dram_bytes_per_s", "l2_bytes_per_cycle", "l2_partitions"}
    assert all(not data_sheet & runtime.knobs.keys() for runtime in GPU_RUNTIMES.values())


def test_an_unknown_runtime_is_named() -> None:
    with pytest.raises(SpecError, match="tensorflow"):
        with_runtime(GpuSpec(), "tensorflow")


def test_phones_ship_with_the_numbers_of_their_runtime() -> None:
    for name, runtime in (
        ("adreno_640", "tflite_gpu"),
        ("mali_g76_mp12", "tflite_gpu"),
        ("apple_a10_gpu", "tflite_metal"),
    ):
        assert with_runtime(gpu(name), runtime) == gpu(name)


def test_the_host_of_an_eager_runtime_pays_for_kernels_products_copies_and_once() -> None:
    net = Builder("branches", (1, 8, 4, 4), precision=HALF)
    left, right = (net.add(Conv2d.square(8, 3), net.input) for _ in range(2))
    joined = net.add(Activation("relu"), net.add(Concat(), left, right))
    net = net.finish(net.add(Linear(10), joined))
    spec = with_runtime(gpu("gtx_1080_ti"), "torch_2020").changed(
        {"enqueue_s": 1e-6, "product_enqueue_s": 1e-4, "copy_enqueue_s": 1e-2, "invoke_s": 1.0}
    )
    kernels = evaluate(net, MODEL, spec).totals["kernels"]
    assert host_s(net, spec) == pytest.approx(1.0 + 1e-2 + 3e-4 + kernels * 1e-6)


def test_a_small_network_waits_for_the_host_and_a_large_batch_for_the_kernels() -> None:
    spec = with_runtime(gpu("rtx_2080_ti"), "torch_2020")
    for batch, is_host in ((1, True), (64, False)):
        workload = rewrite(network("mobilenet_v2", batch=batch, precision=Precision(32, 32)), RUNTIMES["eager"])
        found = evaluate(workload, MODEL, spec)
        assert bool(found.layers["host_s"].sum() > found.layers["kernels_s"].sum()) is is_host


def test_a_recorded_graph_is_faster_than_eager_calls_and_never_below_its_kernels() -> None:
    workload = network("resnet18", precision=HALF)
    eager, recorded = (with_runtime(gpu("a100_80_sxm"), name) for name in ("torch", "cuda_graph"))
    slow = evaluate(rewrite(workload, RUNTIMES["eager"]), MODEL, eager)
    fast = evaluate(rewrite(workload, RUNTIMES["compiled"]), MODEL, recorded)
    assert fast.totals["latency_s"] < 0.5 * slow.totals["latency_s"]
    assert fast.totals["latency_s"] >= fast.layers["kernels_s"].max()


def test_an_empty_queue_costs_a_share_of_both_by_turns() -> None:
    """Long kernels first and short ones after: between the longer sum and the sum of the longer."""
    workload = rewrite(network("mobilenet_v2", batch=8, precision=Precision(32, 32)), RUNTIMES["eager"])
    spec = with_runtime(gpu("rtx_2080_ti"), "torch_2020")
    latency = {}
    for share in (0.0, 0.9, 1.0):
        found = evaluate(workload, MODEL, spec.changed({"empty_queue": share}))
        kernels, host = (found.layers[name] for name in ("kernels_s", "host_s"))
        by_turns = float(np.maximum(kernels, host).sum())
        latency[share] = found.totals["latency_s"]
        assert latency[share] == pytest.approx(max(kernels.sum(), host.sum(), share * by_turns))
    assert latency[0.0] < latency[0.9] < latency[1.0]
