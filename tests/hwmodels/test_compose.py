"""Compositions and rules: no family is silently summed, a rule is given what it declares, parts appear as part.knob."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.compose import LayerCounts, leaves, pipelined
from hwmodels.crossdevice import cross_devices
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate, evaluate_pairs, layer_costs, sweep
from hwmodels.families.base import Composition, Layerwise, Metric, PairRule, family
from hwmodels.grid import Grid
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network
from tests.hwmodels.toy_families import PIPELINE, PLACEMENT, TWO_ARRAYS, PairSpec, StageSpec


def chain(*widths: int) -> Workload:
    net = Builder("chain", (2, 4, 8, 8))
    x = net.input
    for width in widths:
        x = net.conv_norm_act(x, width, 3)
    return net.finish(net.linear(net.flatten(x), 10))


def plain_stages(workload: Workload, spec: StageSpec) -> dict[str, float]:
    work = [row.macs + row.vector_ops for _, row in workload.rows()]
    before, behind = sum(work[: spec.cut]), sum(work[spec.cut :])
    return {"latency_s": (before + behind) / spec.rate, "interval_s": max(before, behind) / spec.rate}


@pytest.mark.parametrize("cut", [0, 2, 3, 100])
def test_a_pipeline_of_two_stages_is_no_sum(cut: int) -> None:
    spec, workloads = StageSpec(cut=cut), [chain(8, 16), chain(4), chain(8, 8, 8)]
    costs = evaluate_pairs(
        PIPELINE, layer_table(workloads), StageSpec.to_table([spec]), network=np.arange(3), config=np.zeros(3, np.int64)
    )
    for i, workload in enumerate(workloads):
        expected = plain_stages(workload, spec)
        assert costs.columns["latency_s"][i] == pytest.approx(expected["latency_s"], rel=1e-12)
        assert costs.columns["interval_s"][i] == pytest.approx(expected["interval_s"], rel=1e-12)
        assert costs.columns["throughput_items_per_s"][i] == pytest.approx(2 / expected["interval_s"], rel=1e-12)
        report = evaluate(workload, PIPELINE, spec)
        assert report.layers == {}
        assert (report.groups(), report.bottleneck(), report.binding) == ([], {}, ())


def specs_of(grid: Grid) -> list[PairSpec]:
    return [grid.spec(i) for i in range(len(grid))]


def test_what_needs_layer_sums_refuses() -> None:
    table = layer_table([chain(8)])
    with pytest.raises(SpecError, match="family toy_placement is not of layers that add up"):
        layer_costs(PLACEMENT, table, StageSpec.to_table([StageSpec()]))


def test_sweeps_and_devices_of_families_that_are_no_sum() -> None:
    frame = sweep([chain(8), chain(4, 4)], PLACEMENT, Grid(StageSpec(), {"cut": [1, 2, 3], "rate": [1e9, 2e9]}))
    assert len(frame) == 12
    assert (frame["throughput_items_per_s"] == 2 / frame["latency_s"]).all()
    faster = frame[frame["rate"] == 2e9]["latency_s"].to_numpy()
    assert np.array_equal(faster * 2, frame[frame["rate"] == 1e9]["latency_s"].to_numpy())
    chip = device("systolic_edge")
    toy = replace(chip, name="toy", model=PIPELINE, spec=StageSpec())
    table = cross_devices([chain(8), chain(4)], [chip, toy], metric="interval_s")
    assert table.values[0, 1] == plain_stages(chain(8), StageSpec())["interval_s"]
    with pytest.raises(SpecError, match=r"metric of toy: area_mm2"):
        cross_devices([chain(8)], [chip, toy], metric="area_mm2")


def test_knobs_of_a_part_are_knobs() -> None:
    base = PairSpec()
    knobs = PairSpec.knobs()
    assert "array.array_rows" in knobs
    assert "array" not in knobs
    grid = specs_of(Grid(base, {"array.array_rows": [16, 64], "link_bytes_per_s": [1e8, 1e9]}))
    assert [(spec.array.array_rows, spec.link_bytes_per_s) for spec in grid] == [
        (16, 1e8), (16, 1e9), (64, 1e8), (64, 1e9)
    ]  # fmt: skip
    assert PairSpec.parse({"array": {"array_rows": 32}, "array.array_cols": 8}, where="t").array.array_cols == 8
    with pytest.raises(SpecError, match=r"t: array: array_row .*did you mean array_rows"):
        PairSpec.parse({"array.array_row": 3}, where="t")
    by_columns = PairSpec.table_from(base, {"array.array_rows": np.array([16, 64])})
    by_specs = PairSpec.to_table(specs_of(Grid(base, {"array.array_rows": [16, 64]})))
    for name, column in by_specs.array._asdict().items():
        assert np.array_equal(column, getattr(by_columns.array, name)), name
    assert base.changed({"array.array_rows": 64, "link_bytes_per_s": 5.0}).values()["array.array_rows"] == 64


def test_a_system_of_two_devices_costs_what_its_parts_say() -> None:
    frame = sweep([chain(8)], TWO_ARRAYS, Grid(PairSpec(), {"array.array_rows": [16, 64]}))
    assert list(frame["array.array_rows"]) == [16, 64]
    for row, spec in zip(frame.itertuples(), specs_of(Grid(PairSpec(), {"array.array_rows": [16, 64]})), strict=True):
        alone = evaluate(chain(8), family("spatial"), spec.array)
        assert row.latency_s == pytest.approx(
            alone.total("latency_s") / 2 + alone.total("peak_activation_bytes") / spec.link_bytes_per_s, rel=1e-12
        )
        assert row.area_mm2 == 2 * alone.total("area_mm2")


def test_a_rule_is_given_what_it_reads_and_nothing_else() -> None:
    met = []

    def held(metrics, knobs):
        met.append((sorted(metrics), sorted(knobs)))
        return metrics["latency_s"] * knobs["rate"]

    model = replace(
        PIPELINE,
        metrics=(*PIPELINE.metrics, Metric("held", "rule", "a product")),
        derived={"held": PairRule(frozenset({"latency_s", "rate"}), held)},
    )
    zero = np.zeros(1, np.int64)
    costs = evaluate_pairs(model, layer_table([chain(8)]), StageSpec.to_table([StageSpec()]), network=zero, config=zero)
    assert met == []  # made when asked for
    assert costs.columns["held"][0] == costs.columns["latency_s"][0] * 1e9
    assert met == [(["latency_s"], ["rate"])]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": (*PIPELINE.metrics, Metric("free", "rule", "nothing"))}, "free: a metric without a rule"),
        ({"infeasible": PairRule(frozenset({"latency"}), lambda m, k: 0)}, "infeasible reads: latency .*latency_s"),
        ({"objectives": ("cut",)}, "objectives: cut is not a metric of which less or more is better"),
        ({"metrics": (*PIPELINE.metrics, Metric("x_s", "sum", "none"))}, "x_s: sum is not the reduction"),
    ],
)
def test_declarations_that_contradict_each_other_are_refused(change, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        replace(PIPELINE, **change)


def test_leaves_look_through_rules() -> None:
    rules = {
        "a": PairRule(frozenset({"b", "x"}), lambda m, k: 0),
        "b": PairRule(frozenset({"y"}), lambda m, k: 0),
    }
    assert leaves(frozenset({"a", "z"}), rules) == {"x", "y", "z"}


def test_a_pipeline_needs_a_slowest_stage() -> None:
    layerwise = Layerwise(lambda *_: None, lambda *_: None, {"latency_s": "sum"})
    with pytest.raises(ValueError, match="the slowest stage is a maximum"):
        pipelined(layerwise, stage="latency_s")


def test_the_crossbar_pipeline_waits_for_its_slowest_layer_or_for_all() -> None:
    chip, net = device("isaac"), network("lenet5")
    resident = evaluate(net, chip.model, chip.spec)
    assert resident.total("interval_s") == resident.layers["stage_s"].max()
    assert resident.total("interval_s") < resident.total("latency_s")
    turns = evaluate(net, chip.model, chip.spec.model_copy(update={"weights": "reloaded"}))
    assert turns.total("interval_s") == turns.total("latency_s")


def test_counts_of_a_table_are_those_of_its_matrix() -> None:
    table = layer_table([chain(8, 8, 8), chain(4), chain(8)])
    ragged, dense = LayerCounts.of(table), LayerCounts.of_matrix(table.counts())
    for ours, plain in zip(ragged, dense, strict=True):
        assert np.array_equal(ours, plain)


@pytest.mark.parametrize("name", ["resnet18", "swin_t", "bert_base", "mobilenet_v2"])
def test_items_a_batch_are_those_of_the_network(name: str) -> None:
    chip = device("systolic_edge")
    for batch in (1, 3):
        net = network(name, batch=batch)
        assert evaluate(net, chip.model, chip.spec).total("batch") == net.batch == batch


def test_a_composition_of_its_own_is_a_function() -> None:
    doubled = Composition(lambda *a: {k: 2 * v for k, v in PIPELINE.compose.function(*a).items()})
    assert evaluate(chain(8), replace(PIPELINE, compose=doubled), StageSpec()).total("latency_s") == (
        2 * evaluate(chain(8), PIPELINE, StageSpec()).total("latency_s")
    )
