"""From layers to pairs: a plain loop, both code paths, additivity, permutations, and the reports for people."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hwmodels.compose as module
from hwmodels.catalog import device, device_names
from hwmodels.evaluate import NETWORK_METRICS, PairCosts, evaluate, evaluate_pairs, layer_costs, network_metrics, sweep
from hwmodels.families.base import CostModel, families, family
from hwmodels.families.spec import Spec
from hwmodels.testing.family import example_networks
from hwmodels.workload.graph import Workload
from hwmodels.workload.table import LayerTable, layer_table
from hwmodels.workload.zoo import network

every_family = pytest.mark.parametrize("name", families())
every_layerwise_family = pytest.mark.parametrize("name", [name for name in families() if family(name).layerwise])


@cache
def case(name: str) -> tuple[CostModel, list[Workload], LayerTable, list[Spec], Any]:
    """A family's networks and configurations: its catalogue devices, or its defaults."""
    model = family(name)
    specs = [found.spec for found in map(device, device_names()) if found.model.name == name] or [model.spec()]
    workloads = example_networks()
    return model, workloads, layer_table(workloads), specs, model.spec.to_table(specs)


def pairs(networks: int, configs: int, *, seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, networks, n), rng.integers(0, configs, n)


def assert_equal(left: PairCosts, right: PairCosts) -> None:
    assert list(left.columns) == list(right.columns)
    for name in left.columns:
        assert np.array_equal(left.columns[name], right.columns[name]), name
    assert np.array_equal(left.infeasible, right.infeasible)


@every_family
def test_pairs_are_a_plain_loop(name: str) -> None:
    model, workloads, table, specs, configs = case(name)
    network_, config = pairs(len(workloads), len(specs), seed=0, n=25)
    costs = evaluate_pairs(model, table, configs, network=network_, config=config)
    for p, (i, j) in enumerate(zip(network_.tolist(), config.tolist(), strict=True)):
        report = evaluate(workloads[i], model, specs[j])
        for metric, value in report.totals.items():
            assert costs.columns[metric][p] == pytest.approx(value, rel=1e-12, abs=0), metric
        code = int(costs.infeasible[p])
        assert report.infeasible == (costs.reasons[code - 1] if code else None)


@every_layerwise_family
def test_totals_are_sums_and_maxima_of_the_executed_layers(name: str) -> None:
    model, workloads, _, specs, _ = case(name)
    for workload in workloads:
        report = evaluate(workload, model, specs[0])
        assert len(report.choice) in (0, len(report.binding))
        assert len(report.binding) == len(list(workload.rows()))
        for metric in model.layer_metrics:
            reduce = np.max if model.metric(metric).reduction == "max" else np.sum
            assert report.totals[metric] == pytest.approx(reduce(report.layers[metric]), rel=1e-12, abs=1e-300), metric
        assert sum(report.breakdown().values()) == pytest.approx(report.total("energy_j"), rel=1e-9)
        assert sum(report.bottleneck().values()) == pytest.approx(1.0)
        assert list(report.bottleneck().values()) == sorted(report.bottleneck().values(), reverse=True)
        assert report.batch == 2
        assert report.items_per_s == pytest.approx(2 / report.totals["interval_s"])
        assert report.totals["throughput_items_per_s"] == report.items_per_s


@every_family
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), chunk=st.sampled_from([1, 300, 2000, 4_000_000]), n=st.integers(1, 60))
def test_dense_and_listed_paths_are_bitwise_equal(name: str, seed: int, chunk: int, n: int) -> None:
    """A chunk of one value forces listed pairs one by one; a large chunk with many pairs the dense tensor."""
    model, workloads, table, specs, configs = case(name)
    network_, config = pairs(len(workloads), len(specs), seed=seed, n=n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_VALUES", chunk)
        ours = evaluate_pairs(model, table, configs, network=network_, config=config)
        patch.setattr(module, "_CHUNK_VALUES", 1)
        listed = evaluate_pairs(model, table, configs, network=network_, config=config)
    assert_equal(ours, listed)


@every_layerwise_family
def test_both_paths_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, workloads, table, specs, configs = case(name)
    taken = []
    for path in ("tensor_of", "listed_costs"):
        original = getattr(module, path)
        monkeypatch.setattr(
            module, path, lambda *arguments, original=original, path=path: (taken.append(path), original(*arguments))[1]
        )
    every = np.repeat(np.arange(len(workloads)), len(specs)), np.tile(np.arange(len(specs)), len(workloads))
    many = evaluate_pairs(model, table, configs, network=np.tile(every[0], 5), config=np.tile(every[1], 5))
    few = [
        evaluate_pairs(model, table, configs, network=every[0][p : p + 1], config=every[1][p : p + 1])
        for p in range(len(every[0]))
    ]
    for costs in (many, *few):
        assert costs.columns["latency_s"].size  # made when asked for
    assert taken == ["tensor_of"] + ["listed_costs"] * len(every[0])
    for p, one in enumerate(few):
        for metric, values in one.columns.items():
            assert values[0] == many.columns[metric][p], metric


@every_layerwise_family
def test_layer_tensors_have_their_axes(name: str) -> None:
    model, _, table, specs, configs = case(name)
    tensor = layer_costs(model, table, configs)
    assert tensor.values.shape == (len(specs), table.n_layers, len(model.layer_metrics))
    assert tensor.choice.shape == tensor.values.shape[:2]
    assert np.isfinite(tensor.values).all()
    assert (tensor.values >= 0).all()
    assert np.array_equal(tensor[model.layer_time], tensor.values[:, :, model.layer_metrics.index(model.layer_time)])
    if tensor.choices:
        assert 0 <= tensor.choice.min() <= tensor.choice.max() < len(tensor.choices)


@every_family
def test_no_pairs_are_no_rows(name: str) -> None:
    model, _, table, _, configs = case(name)
    none = np.empty(0, np.int64)
    costs = evaluate_pairs(model, table, configs, network=none, config=none)
    assert all(values.size == 0 for values in costs.columns.values())
    assert costs.infeasible.size == 0


@every_family
def test_sweep_is_every_pair_in_order(name: str) -> None:
    model, workloads, _, specs, _ = case(name)
    frame = sweep(workloads, model, specs)
    assert len(frame) == len(workloads) * len(specs)
    assert frame["network"].tolist() == [workload.name for workload in workloads for _ in specs]
    report = evaluate(workloads[1], model, specs[-1])
    row = frame.iloc[2 * len(specs) - 1]
    for metric, value in report.totals.items():
        assert row[metric] == pytest.approx(value, rel=1e-12), metric


def test_network_metrics_are_the_networks_own() -> None:
    workloads = [network("resnet18"), network("mobilenet_v2")]
    metrics = network_metrics(layer_table(workloads))
    assert tuple(metrics) == NETWORK_METRICS
    assert metrics["parameters"].tolist() == [workload.parameters for workload in workloads]
    assert metrics["macs"].tolist() == [workload.macs for workload in workloads]
    assert metrics["weight_bytes"].tolist() == [workload.parameters for workload in workloads]  # 8 bits
