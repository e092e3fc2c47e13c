"""The suite that ships, on every family here: built in, toys that are no sum, and families that break a law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from hwmodels.catalog import device, device_names
from hwmodels.families.base import Composition, Layerwise, PairRule, families, family
from hwmodels.families.spec import Spec
from hwmodels.testing.family import FamilySuite
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Concat, Row
from tests.hwmodels.toy_families import PIPELINE, PLACEMENT, TWO_ARRAYS, PairSpec, StageSpec


def devices_of(name: str) -> tuple[Spec, ...]:
    return tuple(found.spec for found in map(device, device_names()) if found.model.name == name)


class TestCpu(FamilySuite):
    model = family("cpu")
    specs = devices_of("cpu")
    resources = ("dram_bytes_per_s", "core_dram_bytes_per_s", "memory_bytes")


class TestCrossbar(FamilySuite):
    model = family("crossbar")
    specs = devices_of("crossbar")
    resources = ("clock_hz", "io_bytes_per_s", "tiles")


class TestGpu(FamilySuite):
    model = family("gpu")
    specs = devices_of("gpu")
    resources = ("dram_bytes_per_s", "l2_bytes_per_cycle", "memory_bytes", "tdp_w")


class TestMultiGpu(FamilySuite):
    model = family("multigpu")
    specs = (
        *devices_of("multigpu"),
        model.spec(),
        model.spec(tensor=1, data=2),
        model.spec(tensor=2, pipeline=4),
        model.spec(nodes=2, tensor=2, data=2, pipeline=2, wiring="tree"),
        model.spec(nodes=1, gpus_per_node=1, tensor=1, node_idle_w=0.0),
    )
    resources = ("link_bytes_per_s", "network_bytes_per_s", "host_bytes_per_s", "gpu.dram_bytes_per_s")


class TestGpuBranches(FamilySuite):
    model = family("gpu_branches")
    specs = (
        *devices_of("gpu_branches"),
        model.spec(gpus=1),
        model.spec(gpus=4, link_bytes_per_s=1e9, wait_s=0.0, link_latency_s=0.0),
    )
    resources = ("gpus", "link_bytes_per_s", "gpu.dram_bytes_per_s")

    def workloads(self) -> list[Workload]:
        """Branches of all lengths too."""
        net = Builder("branched", (2, 16, 16, 16))
        x = net.conv_norm_act(net.input, 16, 3)
        ends = []
        for depth in (1, 2, 3):
            y = x
            for _ in range(depth):
                y = net.conv_norm_act(y, 16, 5)
            ends.append(y)
        return [*super().workloads(), net.finish(net.conv_norm_act(net.add(Concat(), *ends), 16, 1))]


class TestSpatial(FamilySuite):
    model = family("spatial")
    specs = devices_of("spatial")
    resources = ("clock_hz", "dram_bytes_per_s")


class TestFpga(FamilySuite):
    model = family("fpga")
    specs = devices_of("fpga")
    resources = ("clock_hz", "dram_bytes_per_s", "input_port", "weight_port", "output_port")


class TestFpgaBoards(FamilySuite):
    model = family("fpga_boards")
    specs = (
        *devices_of("fpga_boards"),
        model.spec(boards=4, schedule="tiles"),
        model.spec(boards=4, schedule="sharded", row_boards=2),
    )
    resources = ("engine.clock_hz", "engine.dram_bytes_per_s", "link_bytes_per_s")


class TestFpgaOverlay(FamilySuite):
    model = family("fpga_overlay")
    specs = devices_of("fpga_overlay")
    resources = ("clock_hz", "dram_bytes_per_s", "core_bytes_per_s", "cpu_bytes_per_s")


class TestFpgaStreaming(FamilySuite):
    model = family("fpga_streaming")
    specs = devices_of("fpga_streaming")
    resources = ("clock_hz", "dram_bytes_per_s", "configuration_bytes_per_s")
    exempt: ClassVar[Mapping[str, str]] = {"zero_work": "the shell is on the board, whatever streams through it"}


class TestPipeline(FamilySuite):
    model = PIPELINE
    specs = (
        StageSpec(),
        StageSpec(cut=1, rate=2e9),
        StageSpec(cut=100),
    )
    resources = ("rate",)


class TestPlacement(FamilySuite):
    model = PLACEMENT
    specs = (
        StageSpec(),
        StageSpec(cut=1),
    )
    resources = ("rate",)


class TestTwoArrays(FamilySuite):
    model = TWO_ARRAYS
    specs = (
        PairSpec(),
        PairSpec(link_bytes_per_s=1e7),
    )
    resources = ("link_bytes_per_s", "array.dram_bytes_per_s")


def test_every_registered_family_is_held_against_the_suite() -> None:
    assert {
        suite.model.name
        for suite in (
            TestCpu,
            TestCrossbar,
            TestFpga,
            TestFpgaBoards,
            TestFpgaOverlay,
            TestFpgaStreaming,
            TestGpu,
            TestMultiGpu,
            TestGpuBranches,
            TestSpatial,
        )
    } == set(families())


def rated(row: Row, spec: StageSpec) -> Mapping[str, float]:
    return {"latency_s": (row.macs + row.vector_ops) / spec.rate, "energy_j": (row.macs + row.vector_ops) * 1e-12}


def kernel(layers: Any, configs: Any, scratch: Any, out: np.ndarray, choice: Any) -> None:
    work = (layers.macs + layers.vector_ops).astype(np.float64)
    out[:, :, 0], out[:, :, 1] = work / configs.rate[:, None], work * 1e-12


def kernel_at(layers: Any, configs: Any, layer: Any, config: Any, scratch: Any, out: np.ndarray, choice: Any) -> None:
    work = (layers.macs + layers.vector_ops)[layer].astype(np.float64)
    out[:, 0], out[:, 1] = work / configs.rate[config], work * 1e-12


def rated_model(**changes: Any):
    from hwmodels.compose import summed

    layerwise = Layerwise(kernel, kernel_at, {"latency_s": "sum", "energy_j": "sum"})
    metrics = tuple(
        metric._replace(reduction="sum") for metric in PLACEMENT.metrics if metric.name in ("latency_s", "energy_j")
    )
    made = replace(PLACEMENT, name="rated", metrics=metrics, compose=summed(layerwise), layerwise=layerwise)
    return replace(made, **changes)


class TestRated(FamilySuite):
    model = rated_model()
    specs = (
        StageSpec(),
        StageSpec(rate=3e9),
    )
    resources = ("rate",)

    def twin(self, row: Row, spec: StageSpec) -> Mapping[str, float]:
        return rated(row, spec)


def failing(suite: type[FamilySuite]) -> set[str]:
    """Laws that a suite finds broken."""
    found = set()
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite(), name)()
            except AssertionError:
                found.add(name)
            except pytest.skip.Exception:
                continue
    return found


def broken(change: Any, **attributes: Any) -> set[str]:
    """Laws broken by a pipeline whose columns are changed."""

    def compose(table: Any, configs: Any, network: Any, config: Any) -> dict[str, np.ndarray]:
        return change(dict(PIPELINE.compose.function(table, configs, network, config)), network)

    model = replace(PIPELINE, compose=Composition(compose))
    return failing(type("Suite", (FamilySuite,), {"model": model, "specs": [StageSpec()], **attributes}))


def test_the_suite_sees_what_it_is_for() -> None:
    assert broken(lambda columns, network: columns) == set()
    assert "test_every_figure_is_finite_and_not_negative" in broken(
        lambda columns, network: {**columns, "energy_j": -columns["energy_j"]}
    )
    assert broken(lambda columns, network: {**columns, "energy_j": columns["energy_j"] + network.size}) >= {
        "test_a_pair_costs_the_same_in_any_company", "test_no_layers_cost_nothing"
    }  # fmt: skip
    assert "test_an_interval_is_at_most_the_latency" in broken(
        lambda columns, network: {**columns, "interval_s": 2 * columns["latency_s"]}
    )
    slower = {"resources": ("power_w",)}
    assert "test_more_of_a_resource_is_never_slower" in broken(
        lambda columns, network: {**columns, "latency_s": columns["energy_j"] * 1e3, "interval_s": columns["energy_j"]},
        **slower,
    )


def test_the_suite_sees_a_wrong_twin_a_false_monotone_rule_and_a_composition_that_is_no_sum() -> None:
    def twin(self: Any, row: Row, spec: StageSpec) -> Mapping[str, float]:
        return {"latency_s": (row.macs + 1) / spec.rate}

    assert failing(type("Suite", (FamilySuite,), {"model": rated_model(), "twin": twin})) == {
        "test_the_kernel_equals_its_twin"
    }
    falling = PairRule(frozenset({"latency_s"}), lambda metrics, knobs: 1 / metrics["latency_s"], monotone=True)
    model = rated_model(derived={"interval_s": falling})
    assert "test_monotone_rules_never_fall" in failing(type("Suite", (FamilySuite,), {"model": model}))
    own = rated_model()
    tripled = Composition(lambda *a: {name: 3 * values for name, values in own.compose.function(*a).items()})
    suite = type("Suite", (FamilySuite,), {"model": replace(own, compose=tripled)})
    assert failing(suite) == {"test_pairs_are_counts_times_layer_costs"}
