"""What every hardware family must do, whatever it models: declarations, physical laws, one cost whatever the block.

A family of another package is held against it by three lines::

    class TestMine(FamilySuite):
        model = MODEL
        specs = (MySpec(), MySpec(rate=2e9))

A law that a family breaks for a reason is named with it: ``exempt = {"batch_latency": "the reason"}``. A slow, plain
`twin` of the kernel, a knob of which more is never slower (`resources`) and own `workloads` are optional.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from hwmodels.compose import leaves
from hwmodels.evaluate import NETWORK_METRICS, PairCosts, evaluate_pairs, layer_costs
from hwmodels.families.base import CostModel
from hwmodels.families.spec import Spec
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, MatMul, Pool2d, Recurrent, Row
from hwmodels.workload.table import LayerTable, layer_table

__all__ = ["FamilySuite", "example_networks"]

F64 = npt.NDArray[np.float64]


def example_networks() -> list[Workload]:
    """Small networks of every kind of layer that families treat apart, two items a batch."""
    wide = Builder("wide", (2, 8, 12, 12))
    x = wide.input
    for stride in (1, 2, 1):
        x = wide.conv_norm_act(x, 16, 3, stride=stride)
    deep = Builder("deep", (2, 8, 12, 12))
    y = deep.input
    for _ in range(4):
        y = deep.residual(y, deep.conv_norm_act(y, 8, 3, groups=8))
    sequence = Builder("sequence", (2, 6, 16))
    z = sequence.attention(sequence.add(Recurrent("gru", 16), sequence.input), heads=4)
    return [
        wide.finish(wide.linear(wide.flatten(wide.add(Pool2d("avg"), x)), 10)),
        deep.finish(y),
        sequence.finish(sequence.linear(z, 5)),
    ]


class FamilySuite:
    """The laws of `hwmodels` for one family, as pytest runs them.

    model : the family. specs : configurations that it is held against, its defaults where none are given.
    exempt : law -> the reason why the family breaks it. resources : knobs of which more is never slower.
    """

    model: ClassVar[CostModel]
    specs: ClassVar[Sequence[Spec]] = ()
    exempt: ClassVar[Mapping[str, str]] = {}
    resources: ClassVar[Sequence[str]] = ()

    def twin(self, row: Row, spec: Any) -> Mapping[str, float] | None:
        """Layer metrics of one row, written from the equations and not from the kernel; None where there is no twin."""
        return None

    def workloads(self) -> Sequence[Workload]:
        """The networks that the family is held against."""
        return example_networks()

    # What the tests share.

    @property
    def _specs(self) -> list[Spec]:
        return list(self.specs) or [self.model.spec()]

    @cached_property
    def _table(self) -> LayerTable:
        return layer_table(self.workloads())

    def _costs(
        self, table: LayerTable, specs: Sequence[Spec], network: npt.ArrayLike, config: npt.ArrayLike
    ) -> PairCosts:
        which, design = np.asarray(network, np.int64), np.asarray(config, np.int64)
        return evaluate_pairs(self.model, table, self.model.spec.to_table(specs), network=which, config=design)

    def _all_pairs(self, specs: Sequence[Spec]) -> PairCosts:
        """Every network on every spec, the spec varying fastest."""
        n, c = self._table.n_networks, len(specs)
        return self._costs(self._table, specs, np.repeat(np.arange(n), c), np.tile(np.arange(c), n))

    def _unless_exempt(self, law: str) -> None:
        if law in self.exempt:
            pytest.skip(f"{self.model.name} is exempt from {law}: {self.exempt[law]}")

    # Declarations.

    def test_declarations_hang_together(self) -> None:
        model = self.model
        names = [metric.name for metric in model.metrics]
        assert len(set(names)) == len(names)
        assert not set(names) & set(NETWORK_METRICS)
        assert {"latency_s", "energy_j", "interval_s", "throughput_items_per_s"} <= set(names)
        assert all(metric.meaning for metric in model.metrics)
        assert tuple(model.spec.table_type._fields) == tuple(model.spec.model_fields)
        table = model.spec.to_table(self._specs)
        config = {metric.name for metric in model.metrics if metric.reduction == "config"}
        assert set(model.config_metrics(table)) == config
        assert all(one.plausible and one.meaning for one in model.assumptions)
        assert all(one.citation for one in model.references)
        if model.layerwise:
            assert {*model.time_terms, model.layer_time, model.layer_energy} <= set(model.layer_metrics)
        assert set(model.energy_terms) <= set(names)

    def test_every_metric_is_answered_with_what_its_rule_declares(self) -> None:
        """A rule that reads more than it declares finds nothing there."""
        costs = self._all_pairs(self._specs)
        size = self._table.n_networks * len(self._specs)
        for name in self.model.names:
            assert costs.columns[name].shape == (size,), name
        assert costs.infeasible.shape == (size,)
        assert set(costs.infeasible.tolist()) <= set(range(len(self.model.infeasible_reasons) + 1))

    def test_monotone_rules_never_fall(self) -> None:
        rng = np.random.default_rng(0)
        knobs = set(self.model.spec.knobs())
        for name, rule in self.model.rules.items():
            if not rule.monotone:
                continue
            low = {read: rng.random(500) for read in rule.reads}
            high = {read: values + rng.integers(0, 2, 500) * rng.random(500) for read, values in low.items()}
            for side in (low, high):
                for read in rule.reads & knobs:
                    side[read] = np.round(side[read])
            least, most = (
                rule.function(side, {read: side[read] for read in rule.reads & knobs}) for side in (low, high)
            )
            assert (least <= most).all(), name

    # Laws.

    def test_every_figure_is_finite_and_not_negative(self) -> None:
        self._unless_exempt("finite")
        costs = self._all_pairs(self._specs)
        for name in self.model.names:
            assert np.isfinite(costs.columns[name]).all(), name
            assert (costs.columns[name] >= 0).all(), name

    def test_a_pair_costs_the_same_in_any_company(self) -> None:
        """One by one, in blocks, in any order: the same bits."""
        specs, n = self._specs, self._table.n_networks
        rng = np.random.default_rng(1)
        network, config = rng.integers(0, n, 40), rng.integers(0, len(specs), 40)
        whole = self._costs(self._table, specs, network, config)
        alone = [np.array([i]) for i in range(8)]
        for part in (*np.array_split(rng.permutation(40), 3), *alone):
            some = self._costs(self._table, specs, network[part], config[part])
            for name in self.model.names:
                assert np.array_equal(some.columns[name], whole.columns[name][part]), name
            assert np.array_equal(some.infeasible, whole.infeasible[part])

    def test_no_layers_cost_nothing(self) -> None:
        self._unless_exempt("zero_work")
        net = Builder("nothing", (1, 4, 4, 4))
        costs = self._costs(layer_table([net.finish(net.input)]), self._specs[:1], [0], [0])
        for name in self.model.composed_metrics:
            assert costs.columns[name][0] == 0.0, name

    def test_an_interval_is_at_most_the_latency(self) -> None:
        self._unless_exempt("interval")
        columns = self._all_pairs(self._specs).columns
        assert (columns["interval_s"] <= columns["latency_s"] * (1 + 1e-12)).all()
        rate = columns["batch"] / columns["interval_s"]
        np.testing.assert_allclose(columns["throughput_items_per_s"], rate, rtol=1e-12)

    def test_no_network_beats_the_peak(self) -> None:
        self._unless_exempt("peak")
        if "peak_macs_per_s" not in self.model.names:
            pytest.skip(f"{self.model.name} states no peak")
        columns = self._all_pairs(self._specs).columns
        executed = columns["executed_macs" if "executed_macs" in self.model.names else "macs"]
        assert (columns["latency_s"] * columns["peak_macs_per_s"] >= executed * (1 - 1e-9)).all()

    def test_more_of_a_resource_is_never_slower(self) -> None:
        self._unless_exempt("resources")
        knobs = self.model.spec.knobs()
        for name in self.resources:
            richer = []
            for spec in self._specs:
                value = spec.values()[name]
                richer.append(spec.changed({name: type(value)(min(2 * value, knobs[name].high))}))
            before, after = (self._all_pairs(specs).columns["latency_s"] for specs in (self._specs, richer))
            assert (after <= before * (1 + 1e-12)).all(), name

    # Families whose layers add up.

    def test_pairs_are_counts_times_layer_costs(self) -> None:
        if self.model.layerwise is None:
            pytest.skip(f"{self.model.name} is no sum over layers")
        tensor = layer_costs(self.model, self._table, self.model.spec.to_table(self._specs))
        costs, counts = self._all_pairs(self._specs), self._table.counts()
        for m, (name, reduction) in enumerate(self.model.layerwise.reductions.items()):
            layers = tensor.values[:, :, m]
            if reduction == "max":
                plain = np.where(counts[:, None, :] > 0, layers[None], 0.0).max(axis=2)
            else:
                plain = counts @ layers.T
            np.testing.assert_allclose(costs.columns[name], plain.ravel(), rtol=1e-12, atol=0, err_msg=name)

    def test_sums_are_additive_over_independent_layers(self) -> None:
        """One network of all layers costs what its layers cost one by one, in whatever order they stand."""
        self._unless_exempt("additive")
        if self.model.layerwise is None:
            pytest.skip(f"{self.model.name} is no sum over layers")
        table = layer_table([_parts((0, 1, 2, 3)), _parts((3, 1, 0, 2)), *(_parts((i,)) for i in range(4))])
        columns = self._costs(table, self._specs[:1], np.arange(6), np.zeros(6, np.int64)).columns
        for name, reduction in self.model.layerwise.reductions.items():
            parts = columns[name][2:]
            expected = parts.max() if reduction == "max" else parts.sum()
            assert columns[name][:2] == pytest.approx([expected, expected], rel=1e-12, abs=0), name

    def test_terms_add_up_to_the_energy(self) -> None:
        if not self.model.energy_terms:
            pytest.skip(f"{self.model.name} names no terms of its energy")
        columns = self._all_pairs(self._specs).columns
        total = np.sum([columns[name] for name in self.model.energy_terms], axis=0)
        np.testing.assert_allclose(columns["energy_j"], total, rtol=1e-9)

    def test_the_kernel_equals_its_twin(self) -> None:
        rows = [self._table.layers.row(layer) for layer in range(self._table.n_layers)]
        if self.model.layerwise is None or self.twin(rows[0], self._specs[0]) is None:
            pytest.skip(f"{self.model.name} brings no twin")
        tensor = layer_costs(self.model, self._table, self.model.spec.to_table(self._specs))
        for c, spec in enumerate(self._specs):
            for layer, row in enumerate(rows):
                for name, value in (self.twin(row, spec) or {}).items():
                    assert tensor[name][c, layer] == pytest.approx(value, rel=1e-9, abs=1e-300), name

    def test_rules_end_in_columns_that_are_there(self) -> None:
        rules = self.model.rules
        known = {*self.model.names, *self.model.spec.knobs()} - set(rules)
        for name, rule in (*rules.items(), ("infeasible", self.model.infeasible)):
            assert leaves(rule.reads, rules) <= known, name


def _parts(order: tuple[int, ...]) -> Workload:
    """Independent layers side by side, in some order."""
    net = Builder("parts", (1, 8, 10, 10))
    makers = [
        lambda: net.add(Conv2d.square(8, 3), net.input),
        lambda: net.add(Conv2d.square(12, 5, stride=2, bias=True), net.input),
        lambda: net.add(Activation("relu"), net.input),
        lambda: net.add(MatMul(), net.input, net.input),
    ]
    return net.finish(*[makers[i]() for i in order])
