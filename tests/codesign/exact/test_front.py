"""The exact front of whole spaces equals brute force: random problems, real families, interruptions, any setting."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codesign.app.accuracy_table import read_accuracies
from codesign.app.config import parse_config
from codesign.app.enumerate_run import enumerate_run
from codesign.exact.front import Settings, enumerate_blocks, enumerate_pairs, group_networks
from codesign.exact.listing import enumerate_space, list_designs, list_networks
from codesign.exact.pairs import PairTables
from codesign.objectives import Limit, Objective, limits_of, objectives_of
from codesign.pareto import non_dominated
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.base import PairRule
from hwmodels.workload.rewrite import COMPILED, EAGER
from tests.codesign.toys import toy_space

from .test_dominance import reduced_plainly

METRICS = ("latency_s", "energy_j", "interval_s")


def random_tables(n: int, h: int, n_layers: int, rng: np.random.Generator, *, tied: bool, scored: bool) -> PairTables:
    counts = rng.integers(0, 3, (n, n_layers))
    if n > 3:
        counts[rng.integers(n, size=n // 3)] = counts[0]
    costs = rng.integers(0, 4, (h, n_layers, 3)) * 0.1 if tied else rng.random((h, n_layers, 3))
    return PairTables(
        counts,
        costs,
        METRICS,
        score=rng.integers(0, 5, n) / 7 if scored else None,
        config_columns={"area_mm2": rng.integers(1, 5, h) * 1.0, "peak_power_w": rng.random(h)},
        network_columns={"parameters": counts.sum(axis=1) * 1.0},
        largest=frozenset({"interval_s"}),
    )


def all_columns(tables: PairTables) -> dict[str, np.ndarray]:
    """Every metric of every pair, (N, H) each, plainly."""
    shape = (tables.n_networks, tables.n_designs)
    is_max = np.array([name in tables.largest for name in tables.metrics])
    reduced = reduced_plainly(tables.counts.astype(float), tables.layer_costs, is_max)
    columns = {name: reduced[:, :, m] for m, name in enumerate(tables.metrics)}
    columns |= {name: np.broadcast_to(values, shape) for name, values in tables.config_columns.items()}
    columns |= {name: np.broadcast_to(values[:, None], shape) for name, values in tables.network_columns.items()}
    if tables.score is not None:
        columns["error"] = np.broadcast_to(tables.score[:, None], shape)
    knobs = {name: np.broadcast_to(values, shape) for name, values in tables.knobs.items()}
    for name, rule in tables.rules.items():
        columns[name] = rule.function(columns, knobs)
    return columns


def brute_force(tables: PairTables, objectives, constraints):
    """Pairs of the front with their objectives, and how many pairs are allowed."""
    columns = all_columns(tables)
    shape = (tables.n_networks, tables.n_designs)
    allowed = np.ones(shape, bool)
    for name, limit in constraints.items():
        allowed &= columns[name] <= limit
    if tables.infeasible is not None:
        knobs = {name: np.broadcast_to(values, shape) for name, values in tables.knobs.items()}
        allowed &= np.asarray(tables.infeasible.function(columns, knobs)) == 0
    names = (*(("error",) if tables.score is not None else ()), *objectives)
    values = np.stack([columns[name] for name in names], axis=2)
    network, design = np.nonzero(allowed)
    kept = non_dominated(values[network, design])
    points = {(int(n), int(h)): tuple(values[n, h]) for n, h in zip(network[kept], design[kept], strict=True)}
    return points, int(allowed.sum())


def front_of(found) -> dict[tuple[int, int], tuple[float, ...]]:
    pairs = zip(found.network.tolist(), found.design.tolist(), map(tuple, found.values), strict=True)
    return {(n, h): values for n, h, values in pairs}


def assert_front(tables, objectives, constraints, found, *, every_pair: bool) -> None:
    expected, allowed = brute_force(tables, objectives, constraints)
    assert front_of(found) == expected
    assert sum(found.counts.values()) == found.groups * tables.n_designs
    assert found.pairs == tables.n_networks * tables.n_designs
    if every_pair and found.groups == tables.n_networks and found.feasible is not None:
        assert found.feasible == allowed


OBJECTIVES = st.lists(
    st.sampled_from([*METRICS, "area_mm2", "peak_power_w", "parameters"]), min_size=1, max_size=5, unique=True
)


@settings(deadline=None, max_examples=120)
@example(1, 9, 1, ["parameters"], {}, False, False, False, True, 0)
@given(
    st.integers(0, 40), st.integers(1, 90), st.integers(1, 6), OBJECTIVES,
    st.dictionaries(st.sampled_from([*METRICS, "area_mm2", "parameters"]), st.floats(0.1, 4), max_size=3),
    st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_random_problems(n, h, n_layers, objectives, constraints, tied, scored, grouped, bounds, seed) -> None:
    tables = random_tables(n, h, n_layers, np.random.default_rng(seed), tied=tied, scored=scored)
    found = enumerate_pairs(
        tables, objectives=objectives, constraints=constraints, grouped=grouped, bounds=bounds,
        settings=Settings(threads=1 + seed % 2),
    )  # fmt: skip
    assert_front(tables, objectives, constraints, found, every_pair=not bounds)


IDLE = {
    "a product of a metric and a knob": lambda metrics, knobs: metrics["latency_s"] * knobs["idle_w"],
    "the slower of two": lambda metrics, knobs: np.maximum(metrics["latency_s"], 2 * metrics["interval_s"]),
    "a rule of a rule": lambda metrics, knobs: metrics["idle_j"] + metrics["area_mm2"],
}


@settings(deadline=None, max_examples=120)
@given(st.integers(1, 20), st.integers(1, 200), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_rules_of_pairs(n: int, h: int, bounds: bool, ruled: bool, monotone: bool, seed: int) -> None:
    """Designs too small for a network, and metrics made of reduced columns, as objectives and as constraints."""
    rng = np.random.default_rng(seed)
    plain = random_tables(n, h, 4, rng, tied=bool(seed % 3), scored=bool(seed % 5))
    reads = (
        frozenset({"latency_s", "idle_w"}),
        frozenset({"latency_s", "interval_s"}),
        frozenset({"idle_j", "area_mm2"}),
    )
    rules = {
        name: PairRule(read, function, monotone)
        for name, read, function in zip(("idle_j", "pace_s", "sum"), reads, IDLE.values(), strict=True)
    }
    tables = replace(
        plain,
        knobs={"held": rng.random(h), "idle_w": rng.integers(0, 3, h) / 2},
        infeasible=PairRule(
            frozenset({"interval_s", "held"}),
            lambda metrics, knobs: (metrics["interval_s"] > knobs["held"]).astype(np.int8),
        ),
        rules=rules if ruled else {},
    )
    objectives = ["energy_j", "pace_s", "sum"] if ruled else ["energy_j", "area_mm2"]
    constraints = {"idle_j": 0.4, "latency_s": 0.9} if ruled and seed % 2 else {}
    settings_ = Settings(threads=1, room=64)
    found = enumerate_pairs(tables, objectives=objectives, constraints=constraints, bounds=bounds, settings=settings_)
    assert_front(tables, objectives, constraints, found, every_pair=ruled and not monotone)


def test_bounds_of_a_monotone_rule_skip_pairs() -> None:
    rng = np.random.default_rng(1)
    costs = rng.random((1, 4, 3)) * np.exp(rng.normal(0, 1.5, (2000, 1, 3)))
    tables = PairTables(
        rng.integers(1, 4, (40, 4)), costs, METRICS, score=rng.random(40), largest=frozenset({"interval_s"}),
        rules={"pace_s": PairRule(frozenset({"latency_s", "interval_s"}), IDLE["the slower of two"], monotone=True)},
    )  # fmt: skip
    objectives, limits = ["pace_s", "energy_j"], {"pace_s": 5.0}
    found = {
        bounds: enumerate_pairs(tables, objectives=objectives, constraints=limits, bounds=bounds)
        for bounds in (True, False)
    }
    expected, _ = brute_force(tables, objectives, limits)
    assert front_of(found[True]) == front_of(found[False]) == expected
    assert found[True].counts["bound over a limit"] > 10_000
    assert found[True].counts["bound dominated"] > 10_000


def test_more_is_better_for_some() -> None:
    """A metric of which more is better, whatever decides it, is maximised, and its limit is a least value."""
    rng = np.random.default_rng(2)
    plain = random_tables(30, 40, 4, rng, tied=True, scored=True)
    rate = PairRule(frozenset({"latency_s"}), lambda metrics, knobs: 1 / (metrics["latency_s"] + 0.1))
    tables = replace(plain, rules={"rate": rate})
    goals = [Objective("rate", more=True), Objective("area_mm2", more=True), Objective("energy_j")]
    limits = [Limit("rate", 0.5, least=True), Limit("parameters", 3.0, least=True), Limit("peak_power_w", 0.9)]
    found = enumerate_pairs(tables, objectives=goals, constraints=limits)
    columns = all_columns(tables)
    allowed = (columns["rate"] >= 0.5) & (columns["parameters"] >= 3.0) & (columns["peak_power_w"] <= 0.9)
    assert 0 < allowed.sum() < allowed.size
    values = np.stack([columns["error"], -columns["rate"], -columns["area_mm2"], columns["energy_j"]], axis=2)
    network, design = np.nonzero(allowed)
    kept = non_dominated(values[network, design])
    signs = np.array([1.0, -1.0, -1.0, 1.0])
    expected = {(int(n), int(h)): tuple(values[n, h] * signs) for n, h in zip(network[kept], design[kept], strict=True)}
    assert front_of(found) == expected
    assert found.objectives == ("error", "rate", "area_mm2", "energy_j")


def test_a_rule_on_the_design_alone_is_asked_before_any_pair() -> None:
    rng = np.random.default_rng(1)
    asked = []

    def infeasible(metrics, knobs):
        asked.append(knobs["held"].size)
        return (knobs["held"] + metrics["area_mm2"] > 3).astype(np.int8)

    rule = PairRule(frozenset({"held", "area_mm2"}), infeasible)
    tables = replace(
        random_tables(9, 50, 4, rng, tied=False, scored=True), knobs={"held": rng.random(50)}, infeasible=rule
    )
    found = enumerate_pairs(tables, objectives=["energy_j", "latency_s"])
    assert asked == [50]
    assert_front(tables, ["energy_j", "latency_s"], {}, found, every_pair=False)
    assert found.counts["infeasible"] > 0


def test_negative_costs_are_met_pair_by_pair() -> None:
    rng = np.random.default_rng(2)
    plain = random_tables(12, 70, 4, rng, tied=True, scored=True)
    tables = replace(plain, layer_costs=plain.layer_costs - 0.15)
    found = enumerate_pairs(tables, objectives=["latency_s", "energy_j"])
    assert found.skipped == 0
    assert_front(tables, ["latency_s", "energy_j"], {}, found, every_pair=True)


def test_constraints_that_nothing_meets_leave_no_front() -> None:
    tables = random_tables(10, 30, 4, np.random.default_rng(3), tied=False, scored=True)
    for limits in ({"latency_s": -1.0}, {"area_mm2": 0.0}, {"parameters": -1.0}):
        found = enumerate_pairs(tables, objectives=["energy_j"], constraints=limits)
        assert len(found.network) == 0
        assert found.values.shape == (0, 2)
        assert sum(found.counts.values()) == found.groups * 30


def test_equal_members_of_a_group_are_all_named() -> None:
    counts = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    tables = PairTables(counts, np.ones((1, 2, 1)), ("energy_j",), score=np.array([0.2, 0.1, 0.1, 0.3]))
    assert enumerate_pairs(tables, objectives=["energy_j"]).network.tolist() == [1, 2]
    without = replace(tables, score=None)
    assert enumerate_pairs(without, objectives=["energy_j"]).network.tolist() == [0, 1, 2, 3]


def test_groups_survive_words_that_collide() -> None:
    """Large counts of many columns: equal rows and only those share a group."""
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 2, (3000, 12))
    groups = group_networks(counts, [rng.integers(0, 2, 3000) * 0.5], rng.random(3000))
    assert groups.first.size == len(np.unique(np.column_stack([counts, groups.of]), axis=0))
    assert np.array_equal(counts[groups.first[groups.of]], counts)


def test_a_million_pairs_once() -> None:
    rng = np.random.default_rng(5)
    size = rng.random((1000, 1))
    counts = rng.binomial(6, np.broadcast_to(size, (1000, 12)))
    base = rng.random((1, 12, 2)) * np.exp(rng.normal(0, 0.8, (1000, 1, 2)))
    area = np.round(np.exp(-np.log(base[:, 0, 0]) + rng.normal(0, 0.3, 1000)), 2)
    error = np.round(0.3 * np.exp(-2 * size[:, 0]) + 0.02 * rng.random(1000), 3)
    tables = PairTables(
        counts, base * np.exp(rng.normal(0, 0.2, (1000, 12, 2))), ("latency_s", "energy_j"), score=error,
        config_columns={"area_mm2": area},
    )  # fmt: skip
    objectives, constraints = ["latency_s", "energy_j", "area_mm2"], {"energy_j": 60.0}
    fronts = [
        enumerate_pairs(tables, objectives=objectives, constraints=constraints, bounds=bounds, grouped=grouped)
        for bounds in (True, False)
        for grouped in (True, False)
    ]
    expected, allowed = brute_force(tables, objectives, constraints)
    assert len(expected) > 100
    assert 0 < allowed < 1e6
    assert all(front_of(found) == expected for found in fronts)
    assert fronts[0].skipped > 2e5
    assert fronts[3].feasible == allowed


@pytest.mark.parametrize("bounds", [True, False])
def test_interrupted_anywhere_it_ends_the_same(tmp_path, bounds: bool) -> None:
    tables = random_tables(300, 60, 5, np.random.default_rng(6), tied=False, scored=True)
    objectives = ["latency_s", "energy_j", "area_mm2"]
    # Four slabs of designs, and room for a few rounds each.
    settings_ = Settings(threads=2, room=400, slab=15 * 5 * 3)
    whole = enumerate_pairs(tables, objectives=objectives, bounds=bounds, settings=settings_)
    assert_front(tables, objectives, {}, whole, every_pair=not bounds)
    rounds = []
    enumerate_pairs(tables, objectives=objectives, bounds=bounds, settings=settings_._replace(progress=rounds.append))
    assert rounds[-1].pairs == rounds[-1].total
    assert all(a.pairs < b.pairs for a, b in pairwise(rounds))
    for stop in {1, len(rounds) // 3, len(rounds) - 1}:
        path = tmp_path / f"{stop}.npz"
        seen = []

        def interrupt(progress, stop=stop, seen=seen) -> None:
            seen.append(progress)
            if len(seen) == stop:
                raise KeyboardInterrupt

        halfway = settings_._replace(checkpoint=path, progress=interrupt)
        with pytest.raises(KeyboardInterrupt):
            enumerate_pairs(tables, objectives=objectives, bounds=bounds, settings=halfway)
        assert path.is_file()
        with pytest.raises(SpecError, match="another enumeration"):
            enumerate_pairs(tables, objectives=objectives[:2], bounds=bounds, settings=halfway)
        with pytest.raises(SpecError, match="another enumeration"):
            enumerate_pairs(
                tables, objectives=objectives, constraints={"energy_j": 1e9}, bounds=bounds, settings=halfway
            )
        later = []
        after = settings_._replace(checkpoint=path, progress=later.append)
        found = enumerate_pairs(tables, objectives=objectives, bounds=bounds, settings=after)
        assert len(later) < len(rounds)
        assert not path.exists()
        for name in ("network", "design", "values"):
            assert np.array_equal(getattr(found, name), getattr(whole, name))


def test_a_file_that_is_no_checkpoint_is_told(tmp_path) -> None:
    path = tmp_path / "state.npz"
    path.write_text("nothing")
    tables = random_tables(3, 3, 2, np.random.default_rng(7), tied=False, scored=True)
    with pytest.raises(SpecError, match=r"state.npz.* is not a checkpoint"):
        enumerate_pairs(tables, objectives=["energy_j"], settings=Settings(checkpoint=path))


def test_costs_made_slab_by_slab_give_the_same_front() -> None:
    """Little room and small slabs: the same front, and never more costs at once than a slab's."""
    tables = random_tables(200, 150, 5, np.random.default_rng(8), tied=True, scored=True)
    asked = []

    def some(designs: np.ndarray) -> np.ndarray:
        asked.append(designs.size)
        return tables.layer_costs[designs]

    computed = replace(tables, layer_costs=some, n_designs=150)
    objectives = ["latency_s", "energy_j", "interval_s"]
    small = Settings(threads=2, room=64, slab=20 * 5 * 3)
    found = enumerate_pairs(computed, objectives=objectives, settings=small)
    assert front_of(found) == front_of(enumerate_pairs(tables, objectives=objectives))
    assert max(asked[1:]) <= 20  # the first one is a sample for the order


def test_a_sink_hears_of_the_whole_front() -> None:
    tables = random_tables(60, 60, 4, np.random.default_rng(9), tied=False, scored=True)
    parts: dict[int, set[tuple[int, int]]] = {}

    def sink(part, pairs) -> None:
        parts[part] = set(zip(pairs.network.tolist(), pairs.design.tolist(), strict=True))

    found = enumerate_pairs(tables, objectives=["energy_j", "area_mm2"], settings=Settings(sink=sink), grouped=False)
    assert set(front_of(found)) <= set().union(*parts.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objectives": ["energy"]}, "did you mean energy_j"),
        ({"objectives": ["energy_j"], "constraints": {"latency": 1.0}}, "did you mean latency_s"),
        ({"objectives": []}, "at least one metric"),
    ],
)
def test_names_that_are_not_there_are_told(change, message) -> None:
    tables = random_tables(3, 3, 2, np.random.default_rng(10), tied=False, scored=False)
    with pytest.raises(SpecError, match=message):
        enumerate_pairs(tables, **change)


def test_what_has_no_order_or_no_size_is_refused() -> None:
    tables = random_tables(3, 3, 2, np.random.default_rng(11), tied=False, scored=False)
    with pytest.raises(SpecError, match="score: error"):
        replace(tables, score=np.array([0.1, np.nan, 0.2]))
    with pytest.raises(SpecError, match="layer_costs"):
        replace(tables, layer_costs=tables.layer_costs[:, :1])
    with pytest.raises(SpecError, match="layer_costs"):
        enumerate_pairs(replace(tables, layer_costs=tables.layer_costs * np.inf), objectives=["energy_j"])


# Whole spaces of real families.


def systolic_space() -> JointSpace:
    chip = device("systolic_edge")
    # A buffer of 64 bytes is smaller than an edge of the larger arrays: those designs are infeasible.
    knobs = {"array_rows": [8, 64], "array_cols": [8, 32], "ofmap_sram_bytes": [64, 65536], "dataflow": ["os", "ws"]}
    networks = ChainSpace(
        stages=2, kernel=(1, 3), width=(4, 8), depth=(1, 2), stride=(1,), bits=(4, 8), input_shape=(1, 8, 8)
    )
    return JointSpace(networks, HardwareSpace(chip.model, chip.spec, knobs))


def cell_space() -> JointSpace:
    chip = device("rram_edge")
    base = chip.spec.model_copy(update={"imas_per_tile": 1, "arrays_per_ima": 4})
    networks = CellSpace(
        channels=8, cells=1, stages=2, input_shape=(1, 8, 8), operations=("none", "skip_connect", "nor_conv_3x3")
    )
    return JointSpace(networks, HardwareSpace(chip.model, base, {"tiles": [1, 2, 8], "array_rows": [32, 128]}))


CASES = {
    "chain on crossbars": (toy_space, ("energy_j", "latency_s", "area_mm2"), {}),
    "pipelined chain on crossbars": (toy_space, ("interval_s", "energy_j"), {"latency_s": 2e-5}),
    "chain on a systolic array": (systolic_space, ("energy_j", "latency_s", "area_mm2"), {"weight_bytes": 1200.0}),
    "utilisation": (systolic_space, ("energy_j", "utilisation"), {}),
    "throughput": (toy_space, ("throughput_items_per_s", "area_mm2"), {"throughput_items_per_s": 4e4}),
    "cells on crossbars": (cell_space, ("energy_j", "latency_s", "peak_activation_bytes"), {}),
}


@pytest.mark.parametrize("semantics", [COMPILED, EAGER], ids=["compiled", "eager"])
@pytest.mark.parametrize("case", CASES)
def test_real_families_as_evaluate_pairs_has_them(case: str, semantics) -> None:
    make, objectives, constraints = CASES[case]
    space = make()
    networks, designs = list_networks(space.architecture, semantics), list_designs(space.hardware)
    error = np.random.default_rng(0).integers(0, 30, len(networks.genotypes)) / 100
    n, h = len(networks.genotypes), len(designs.genotypes)
    table, place = space.architecture.lower(networks.genotypes, semantics)
    costs = evaluate_pairs(
        space.hardware.model, table, designs.configs, network=np.repeat(place, h), config=np.tile(np.arange(h), n)
    )
    allowed = costs.infeasible == 0
    assert 0 < allowed.sum() < allowed.size
    for limit in limits_of(space.hardware.model, constraints):
        allowed &= limit.keeps(costs.columns[limit.metric])
        assert 0 < allowed.sum() < allowed.size
    goals = objectives_of(space.hardware.model, objectives)
    points = np.column_stack([np.repeat(error, h), *(one.minimised(costs.columns[one.metric]) for one in goals)])
    signs = np.array([1.0, *(-1.0 if one.more else 1.0 for one in goals)])
    kept = np.flatnonzero(allowed)[non_dominated(points[allowed])]
    for bounds in (True, False):
        found = enumerate_space(
            space, networks, designs, objectives=objectives, constraints=constraints, score=error, bounds=bounds
        )
        front = front_of(found.enumeration)
        assert set(front) == {(int(i) // h, int(i) % h) for i in kept}
        for i in kept:
            assert front[int(i) // h, int(i) % h] == tuple(points[i] * signs)
        assert np.array_equal(found.hardware, designs.genotypes[found.enumeration.design])


def test_blocks_of_anything() -> None:
    values = np.random.default_rng(1).random((2, 7, 11))
    found = enumerate_blocks(
        lambda which, a, b: (values[:, which, a:b].copy(), np.ones((which.size, b - a), bool)), 7, 11, objectives="ab"
    )
    kept = non_dominated(values.reshape(2, -1).T)
    assert set(front_of(found)) == {divmod(int(i), 11) for i in np.flatnonzero(kept)}


def test_a_space_too_large_to_list_is_refused() -> None:
    with pytest.raises(SpecError, match=r"a space of \d+ points is not listable"):
        list_networks(ChainSpace(stages=5), COMPILED)


# A run configuration into a folder.


def run_config(**changes):
    operations = ["none", "skip_connect", "nor_conv_3x3"]
    content = {
        "architecture": {"space": "cell", "channels": 4, "cells": 1, "stages": 1, "operations": operations},
        "hardware": {"device": "systolic_edge", "knobs": {"array_rows": [8, 16], "array_cols": [8, 16]}},
    }
    return parse_config({**content, **changes})


def test_a_run_writes_its_front(tmp_path) -> None:
    space = CellSpace(channels=4, cells=1, stages=1, operations=("none", "skip_connect", "nor_conv_3x3"))
    accuracy = np.random.default_rng(0).random(space.size)
    np.savez(tmp_path / "accuracy.npz", accuracy=accuracy)
    folder = tmp_path / "whole"
    summary = enumerate_run(run_config(), folder, accuracy=tmp_path / "accuracy.npz", survivors=True)
    assert sorted(path.name for path in folder.iterdir()) == ["front.csv", "front.json", "pairs", "summary.json"]
    records = json.loads((folder / "front.json").read_text())
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert len(records) == summary["front"] > 0
    assert summary["designs"] == 4
    assert summary["groups"] < summary["networks"] < space.size
    best = max(records, key=lambda record: record["accuracy"])
    index = int(best["genotype"].replace("-", ""), 3)
    assert best["accuracy"] == pytest.approx(accuracy[index], abs=1e-12)
    assert (folder / "front.csv").read_text().splitlines()[0] == ",".join(records[0])
    with pytest.raises(SpecError, match="new or empty"):
        enumerate_run(run_config(), folder)


def test_all_pairs_as_parquet_hold_the_front(tmp_path) -> None:
    import pyarrow.parquet as pq

    summary = enumerate_run(run_config(), tmp_path / "a", score="macs", all_pairs=True)
    table = pq.read_table(tmp_path / "a/pairs/all.parquet").to_pandas()
    assert len(table) == summary["pairs"] == summary["networks"] * summary["designs"]
    assert not table.duplicated(["network", "design"]).any()
    table = table[~table["infeasible"]]
    kept = non_dominated(table[summary["objectives"]].to_numpy())
    assert kept.sum() == summary["front"]
    enumerate_run(run_config(), tmp_path / "b", score="macs", survivors=True)
    parts = [pq.read_table(path).to_pandas() for path in sorted((tmp_path / "b/pairs").glob("*.parquet"))]
    survivors = {tuple(row) for part in parts for row in part[summary["objectives"]].to_numpy().tolist()}
    assert {tuple(row) for row in table[kept][summary["objectives"]].to_numpy().tolist()} <= survivors


def test_scores_in_place_of_accuracies(tmp_path) -> None:
    scored = enumerate_run(run_config(), tmp_path / "a", score="macs")
    records = json.loads((tmp_path / "a/front.json").read_text())
    assert max(record["macs"] for record in records) > min(record["macs"] for record in records) > 0
    costs = enumerate_run(run_config(), tmp_path / "b")
    assert costs["objectives"] == ["energy_j", "latency_s", "area_mm2"]
    assert costs["front"] < scored["front"]
    unused = enumerate_run(run_config(least_accuracy=0.5), tmp_path / "c")
    assert unused["front"] == costs["front"]
    assert "least_accuracy 0.5 is not applied" in unused["notes"][0]


def test_bad_input_writes_nothing(tmp_path) -> None:
    table = tmp_path / "table.csv"
    config, folder = run_config(), tmp_path / "out"
    cases = [
        ("index,accuracy\n0,94.4\n", "divide percentages"),
        ("index,accuracy\n99999,0.5\n", r"index: 99999 is not in \[0, 728\]"),
        ("index,accuracy\n0,0.5\n", "without .* of .* networks"),
        ("genotype,accuracy\n0-0,0.5\n", "0-0 is not 6 choices"),
        ("index,accuracy\nx,0.5\n", "line 2"),
        ("a,b\n1,2\n", "is not accuracy and one of index"),
    ]
    for content, message in cases:
        table.write_text(content)
        with pytest.raises(SpecError, match=message):
            enumerate_run(config, folder, accuracy=table)
    for arguments in (
        {"score": "mac"},
        {"score": "macs", "accuracy": table},
        {"accuracy": tmp_path / "none.csv"},
    ):
        with pytest.raises(SpecError):
            enumerate_run(config, folder, **arguments)
    table.write_text("index,accuracy\n" + "".join(f"{i},0.5\n" for i in range(729)))
    with pytest.raises(SpecError, match="least_accuracy"):
        enumerate_run(run_config(least_accuracy=0.6), folder, accuracy=table)
    with pytest.raises(SpecError, match="listable"):
        enumerate_run(run_config(architecture={"space": "chain", "stages": 5}), folder)
    assert not folder.exists()


def test_tables_by_genotype_and_by_index_agree(tmp_path) -> None:
    space = CellSpace()
    rng = np.random.default_rng(0)
    genotypes = space.sample(20, rng)
    by_genotype, by_index = tmp_path / "g.csv", tmp_path / "i.csv"
    index = genotypes @ 5 ** np.arange(5, -1, -1)
    by_genotype.write_text(
        "genotype,accuracy\n" + "".join(f"{'-'.join(map(str, g))},0.{i + 10}\n" for i, g in enumerate(genotypes))
    )
    by_index.write_text("index,accuracy\n" + "".join(f"{g},0.{i + 10}\n" for i, g in enumerate(index)))
    assert read_accuracies(by_genotype, space) == read_accuracies(by_index, space)


def test_the_least_accuracy_bounds_the_front(tmp_path) -> None:
    np.savez(tmp_path / "accuracy.npz", accuracy=np.random.default_rng(0).random(3**6))
    least = {}
    for name, limit in (("all", 0.0), ("some", 0.99)):
        enumerate_run(run_config(least_accuracy=limit), tmp_path / name, accuracy=tmp_path / "accuracy.npz")
        records = json.loads((tmp_path / name / "front.json").read_text())
        least[name] = min(record["accuracy"] for record in records)
    assert least["all"] < 0.99 <= least["some"] + 1e-12


def test_an_interrupted_run_goes_on(tmp_path) -> None:
    def interrupt(progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enumerate_run(run_config(), tmp_path / "out", score="macs", progress=interrupt)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["enumerate.npz"]
    enumerate_run(run_config(), tmp_path / "out", score="macs")
    enumerate_run(run_config(), tmp_path / "straight", score="macs")
    assert (tmp_path / "out/front.csv").read_bytes() == (tmp_path / "straight/front.csv").read_bytes()
