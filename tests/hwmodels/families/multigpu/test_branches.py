"""Branches on several GPUs: joints, one GPU to the last bit, timelines that can run."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.evaluate import evaluate, evaluate_pairs
from hwmodels.families.gpu.model import MODEL as GPU
from hwmodels.families.multigpu.branches import MODEL, GpuBranchesSpec, timeline
from hwmodels.families.multigpu.segments import segments_of
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Concat
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

A100 = device("a100_40_sxm").spec
PAIR = GpuBranchesSpec(gpu=A100)


def branched(width: int = 64, branches: int = 2) -> Workload:
    net = Builder("branched", (1, width, 32, 32))
    x = net.conv_norm_act(net.input, width, 3)
    ends = []
    for _ in range(branches):
        y = x
        for _ in range(3):
            y = net.conv_norm_act(y, width, 5)
        ends.append(y)
    return net.finish(net.conv_norm_act(net.add(Concat(), *ends), width, 1))


def test_one_gpu_is_the_gpu_family_to_the_last_bit() -> None:
    for name in ("googlenet", "mobilenet_v2", "bert_base"):
        workload = rewrite(network(name), COMPILED)
        alone, one = evaluate(workload, GPU, A100), evaluate(workload, MODEL, PAIR.changed({"gpus": 1}))
        shared = {*alone.totals} & {*one.totals}
        assert {"latency_s", "energy_j", "static_j", "dynamic_j", "memory_bytes_used", "utilisation"} <= shared
        for metric in shared:
            assert one.total(metric) == alone.total(metric), metric


def test_branches_run_side_by_side_where_links_are_fast() -> None:
    """Three 5x5 convolutions a branch of 64 channels on 32 x 32 pixels."""
    workload = rewrite(branched(), COMPILED)
    fast, slow = (evaluate(workload, MODEL, PAIR.changed({"link_bytes_per_s": rate})) for rate in (300e9, 1e8))
    assert fast.total("latency_s") < 0.8 * fast.total("one_gpu_s")
    assert slow.total("latency_s") == slow.total("one_gpu_s")
    assert (fast.total("gpus_used"), slow.total("gpus_used")) == (2, 1)
    # What enters the branch and what leaves it: 64 x 32 x 32 bytes each, at 8 bits.
    assert fast.total("link_bytes") == 2 * 64 * 32 * 32
    assert slow.total("link_bytes") == slow.total("link_j") == 0.0


def test_a_tensor_is_sent_once_to_a_gpu_however_many_layers_read_it_there() -> None:
    """Four branches, two on each GPU: what enters goes over once, two results come back."""
    found = evaluate(rewrite(branched(branches=4), COMPILED), MODEL, PAIR)
    assert found.total("gpus_used") == 2
    assert found.total("link_bytes") == 3 * 64 * 32 * 32


def test_energy_is_the_sum_of_its_terms() -> None:
    found = evaluate(rewrite(branched(), COMPILED), MODEL, PAIR)
    assert found.total("static_j") == pytest.approx(2 * A100.idle_w * found.total("latency_s"))
    assert found.total("link_j") == pytest.approx(10e-12 * found.total("link_bytes"))
    assert found.total("energy_j") == pytest.approx(
        found.total("dynamic_j") + found.total("static_j") + found.total("link_j")
    )


def test_joints_cut_a_network_where_all_ways_meet() -> None:
    """A convolution, two branches of three that a copy joins, a convolution; the joints end their segments."""
    segments = segments_of(layer_table([rewrite(branched(), COMPILED)]))
    sizes = np.diff(segments.start)[list(segments.which[0])]
    assert sizes.tolist() == [1, 7, 1]
    middle = segments.which[0][1]
    first, stop = segments.edge_start[[segments.start[middle], segments.start[middle + 1]]]
    assert segments.source[first:stop].tolist() == [-1, 0, 1, -1, 3, 4, 2, 5]


def test_segments_are_shared_by_networks_and_counted() -> None:
    """A chain of equal cells is one kind of segment, as often as there are cells."""
    net = Builder("cells", (1, 16, 8, 8))
    x = net.conv_norm_act(net.input, 16, 3)
    for _ in range(5):
        x = net.residual(net.conv_norm_act(x, 16, 3), net.conv_norm_act(x, 16, 1))
    table = layer_table([rewrite(net.finish(x), COMPILED)] * 2)
    segments = segments_of(table)
    assert segments.counts.start.tolist() == [0, segments.n, 2 * segments.n]
    assert max(segments.counts.counts) == 4  # the last one alone ends at the network's output


def test_an_output_in_the_middle_is_no_joint() -> None:
    """What nothing reads could run beside what follows."""
    net = Builder("aside", (1, 16, 8, 8))
    x = net.conv_norm_act(net.input, 16, 3)
    aside = net.conv_norm_act(x, 16, 3)
    x = net.conv_norm_act(net.conv_norm_act(x, 16, 3), 16, 3)
    segments = segments_of(layer_table([rewrite(net.finish(aside, x), COMPILED)]))
    assert np.diff(segments.start)[list(segments.which[0])].tolist() == [1, 3]


@pytest.mark.parametrize("gpus", [1, 2, 4])
def test_a_timeline_is_what_is_costed_and_can_run(gpus: int) -> None:
    workload = rewrite(network("googlenet"), COMPILED)
    spec = PAIR.changed({"gpus": gpus})
    found = timeline(workload, spec)
    assert found.told["latency_s"] == pytest.approx(evaluate(workload, MODEL, spec).total("latency_s"), rel=1e-12)
    assert found.end_s.max() == pytest.approx(found.told["latency_s"])
    assert set(found.lane.tolist()) <= set(range(gpus))
    assert found.told["proven"]
    place = {name: i for i, name in enumerate(found.layers)}
    for node in workload:
        for source in node.inputs:
            if node.name in place and source in place:
                u, v = place[source], place[node.name]
                sent = found.lane[u] != found.lane[v]
                assert found.start_s[v] >= found.end_s[u] + sent * (spec.link_latency_s + spec.wait_s) - 1e-12
    for one in range(gpus):
        mine = np.flatnonzero(found.lane == one)
        order = mine[np.argsort(found.start_s[mine], kind="stable")]
        assert (found.start_s[order][1:] >= found.end_s[order][:-1] - 1e-12).all()


def test_designs_and_networks_are_costed_in_one_call() -> None:
    table = layer_table(
        [rewrite(branched(), COMPILED), rewrite(branched(16, 3), COMPILED), rewrite(network("resnet18"), COMPILED)]
    )
    specs = [PAIR.changed({"gpus": gpus, "wait_s": wait}) for gpus in (1, 2, 3) for wait in (0.0, 5e-6)]
    network_, config = (axis.reshape(-1) for axis in np.meshgrid(np.arange(3), np.arange(6), indexing="ij"))
    found = evaluate_pairs(MODEL, table, GpuBranchesSpec.to_table(specs), network=network_, config=config)
    latency = found.columns["latency_s"].reshape(3, 3, 2)
    assert (np.diff(latency, axis=1) <= 0).all()
    assert (latency[:, :, 0] <= latency[:, :, 1]).all()
    assert latency[0, 1, 0] < latency[0, 0, 0]
