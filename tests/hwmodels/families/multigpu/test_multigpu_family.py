"""The family on whole networks: one device is that GPU, shares, stages, limits."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.catalog import device, devices_of
from hwmodels.cost import CostReport
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.gpu.spec import GpuSpec
from hwmodels.families.multigpu.kernel_stages import crossing_bytes, stages
from hwmodels.families.multigpu.spec import MultiGpuSpec
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

MODEL, ONE = family("multigpu"), family("gpu")
HALF = Precision(16, 16)
ALONE = {"nodes": 1, "gpus_per_node": 1, "tensor": 1, "node_idle_w": 0.0}


def report(name: str, batch: int = 8, **knobs: object) -> CostReport:
    workload = rewrite(network(name, batch=batch, precision=HALF), COMPILED)
    return evaluate(workload, MODEL, MultiGpuSpec.parse({"node_idle_w": 0.0, **knobs}, where="test"))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "gpt2", "gpt2_decode"])
@pytest.mark.parametrize("chip", ["a100_80_sxm", "h100_sxm", "v100_sxm2"])
def test_one_device_is_that_gpu_to_the_last_bit(name: str, chip: str) -> None:
    workload = rewrite(network(name, batch=4, precision=HALF), COMPILED)
    spec = device(chip).spec
    assert isinstance(spec, GpuSpec)
    alone = evaluate(workload, ONE, spec)
    found = evaluate(workload, MODEL, MultiGpuSpec.parse({"gpu": spec, **ALONE}, where="test"))
    for metric in (
        "latency_s", "interval_s", "energy_j", "static_j", "dynamic_j", "executed_macs", "memory_bytes_used",
        "peak_macs_per_s", "idle_power_w", "utilisation",
    ):  # fmt: skip
        assert found.total(metric) == alone.total(metric), metric


def test_shares_of_the_batch_cost_what_the_smaller_batch_costs() -> None:
    quarter = report("resnet18", batch=2, tensor=1)
    shared = report("resnet18", batch=8, tensor=1, data=4)
    assert shared.total("latency_s") == quarter.total("latency_s")
    assert shared.total("dynamic_j") == pytest.approx(4 * quarter.total("dynamic_j"), rel=1e-12)
    assert shared.total("gpus_used") == 4


def test_shares_of_layers_pay_where_layers_are_large() -> None:
    large = [report("gpt2", batch=32, tensor=tensor).total("latency_s") for tensor in (1, 2, 4)]
    assert large == sorted(large, reverse=True)
    small = [report("mobilenet_v2", batch=1, tensor=tensor).total("latency_s") for tensor in (1, 2)]
    assert small[1] > small[0]


def test_stages_shorten_the_interval_and_not_the_latency() -> None:
    found = [report("resnet50", batch=32, tensor=1, pipeline=stages_) for stages_ in (1, 2, 4)]
    intervals = [one.total("interval_s") for one in found]
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[2] < 0.4 * intervals[0]
    assert found[2].total("latency_s") > found[0].total("latency_s")
    assert found[2].total("memory_bytes_used") < found[0].total("memory_bytes_used")
    sent = [one.total("link_j") for one in found]  # bytes between stages take energy
    assert sent[0] == 0.0 < sent[1] < sent[2]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=8), st.lists(st.integers(0, 9), min_size=8, max_size=8),
    st.integers(1, 4),
)  # fmt: skip
def test_the_slowest_stage_is_as_fast_as_any_cut_allows(times: list[int], bytes_: list[int], most: int) -> None:
    n = len(times)
    found = stages(
        np.array(times, np.float64), np.array(bytes_[:n], np.float64), np.zeros(n), np.zeros(n), start=np.array([0, n]),
        network=np.zeros(1, np.int64), most=most,
    )[0]  # fmt: skip
    best = min(
        max(sum(times[a:b]) for a, b in pairwise((0, *at, n)))
        for k in range(1, min(most, n) + 1)
        for at in combinations(range(1, n), k - 1)
    )
    assert found[1] == pytest.approx(best, rel=1e-12)
    assert found[0] <= most
    assert max(bytes_[:n]) <= found[3] <= sum(bytes_[:n])


def test_a_tensor_crosses_a_cut_once_however_many_read_it() -> None:
    net = Builder("skip", (1, 4, 8, 8))
    x = net.conv_norm_act(net.input, 8, 3)
    y = net.conv_norm_act(net.conv_norm_act(x, 8, 3), 8, 3, activation=None)
    networks = layer_table([rewrite(net.finish(net.residual(x, y)), COMPILED)]).networks
    # Three convolutions and a sum: the first output lives until the sum, with one more tensor beside it.
    assert crossing_bytes(networks, np.full(4, 1024.0)).tolist() == [0.0, 1024.0, 2048.0, 2048.0]


def test_plans_and_memory_that_do_not_fit_are_refused_with_their_reason() -> None:
    assert report("resnet18", tensor=8, data=2).infeasible == MODEL.infeasible_reasons[1]
    tight = report("resnet18", tensor=1, **{"gpu.memory_bytes": 1e7})
    assert tight.infeasible == MODEL.infeasible_reasons[0]
    assert tight.total("memory_bytes_used") > 1e7


def test_nodes_of_the_catalogue_hold_gpus_of_the_catalogue() -> None:
    chips = [found.spec for found in devices_of("gpu")]
    nodes = devices_of("multigpu")
    assert {"dgx_a100", "dgx_h100", "dgx_b200", "l40s_node", "selene_a100"} <= {node.name for node in nodes}
    for node in nodes:
        assert isinstance(node.spec, MultiGpuSpec)
        assert node.spec.gpu in chips, node.name
        plan = node.spec.data * node.spec.tensor * node.spec.pipeline
        assert plan <= node.spec.nodes * node.spec.gpus_per_node
