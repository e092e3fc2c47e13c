"""How far off a space is: against every pair costed alone, and knobs that help against designs that have them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from codesign.objectives import Limit
from codesign.two_level.shortfall import cost_shortfall, even_sample, idle_limits, task_shortfall
from hwmodels.evaluate import evaluate
from hwmodels.workload.rewrite import COMPILED, rewrite
from tests.codesign.toys import toy_space

SPACE = toy_space()
PAIRS = SPACE.sample(40, np.random.default_rng(0))


def costs_of(pair, changes=None):
    """One pair, the plain way; None where the design cannot run the network."""
    cut = SPACE.architecture.n_genes
    spec = SPACE.hardware.spec(pair[cut:])
    spec = type(spec).parse({**spec.values(), **(changes or {})}, where="test")
    workload = rewrite(SPACE.architecture.workload(pair[:cut]), COMPILED)
    report = evaluate(workload, SPACE.hardware.model, spec)
    return None if report.infeasible else report.totals


def running():
    return [(pair, costs) for pair in PAIRS if (costs := costs_of(pair)) is not None]


@pytest.mark.parametrize(("metric", "unit", "scale"), [("area_mm2", "mm²", 1.0), ("latency_s", "µs", 1e-6)])
def test_the_smallest_value_is_that_of_all_pairs_that_run(metric: str, unit: str, scale: float) -> None:
    least = min(costs[metric] for _, costs in running())
    (sentence,) = cost_shortfall(PAIRS, SPACE, COMPILED, [Limit(metric, least / 2)])
    found = re.search(rf"the smallest seen is ([0-9.]+) {unit}", sentence)
    assert found is not None, sentence
    assert float(found[1]) == pytest.approx(least / scale, rel=5e-3)
    assert cost_shortfall(PAIRS, SPACE, COMPILED, [Limit(metric, least * (1 + 1e-9))]) == ()


def test_the_largest_value_is_named_where_more_is_better() -> None:
    most = max(costs["throughput_items_per_s"] for _, costs in running())
    (sentence,) = cost_shortfall(PAIRS, SPACE, COMPILED, [Limit("throughput_items_per_s", 2 * most, least=True)])
    assert "the largest seen is" in sentence


def test_a_knob_that_is_named_brings_the_nearest_pair_nearer() -> None:
    least, nearest = min(((costs["area_mm2"], tuple(pair)) for pair, costs in running()), key=lambda one: one[0])
    (sentence,) = cost_shortfall(PAIRS, SPACE, COMPILED, [Limit("area_mm2", least / 10)])
    named = re.search(r"search ([a-z_]+) (below|above) (\d+)", sentence)
    assert named is not None, sentence
    now = int(named[3])
    other = now // 2 if named[2] == "below" else now * 2
    changed = costs_of(np.array(nearest), {named[1]: other})
    assert changed is not None
    assert changed["area_mm2"] < least


def test_limits_that_are_met_one_by_one_and_never_at_once_are_said_together() -> None:
    found = running()
    area, latency = (min(costs[name] for _, costs in found) for name in ("area_mm2", "latency_s"))
    limits = [Limit("area_mm2", area * 1.0001), Limit("latency_s", latency * 1.0001)]
    if any(all(limit.keeps(np.array(costs[limit.metric])) for limit in limits) for _, costs in found):
        pytest.skip("one pair is the best of both")
    (sentence,) = cost_shortfall(PAIRS, SPACE, COMPILED, limits)
    assert "at once: the nearest seen has area_mm2 " in sentence


def test_a_sample_says_that_it_is_one() -> None:
    (sentence,) = cost_shortfall(PAIRS, SPACE, COMPILED, [Limit("area_mm2", 1e-6)], considered=10**6)
    assert "pairs looked at is" in sentence


def test_an_even_sample_holds_both_ends() -> None:
    assert even_sample(10, 3).tolist() == [0, 4, 9]
    assert even_sample(2, 5).tolist() == [0, 1]
    assert even_sample(0, 5).tolist() == []


def test_limits_on_the_task_name_the_best_pair() -> None:
    metrics = [{"accuracy": 0.4}, {"accuracy": 0.7}]
    found = task_shortfall([Limit("accuracy", 0.9, least=True)], metrics, ["network a", "network b"])
    assert found == ("no evaluated pair meets accuracy >= 0.9: the largest of 2 is 0.7 (network b)",)


def test_a_limit_on_networks_names_the_network() -> None:
    (sentence,) = cost_shortfall(PAIRS, SPACE, COMPILED, [Limit("weight_bytes", 1.0)])
    assert "(network " in sentence
    assert "array_rows" not in sentence


def test_a_limit_that_binds_nothing_is_doubted_and_one_that_may_bind_is_not() -> None:
    most = max(costs["latency_s"] for _, costs in running())
    (told,) = idle_limits(SPACE, COMPILED, [Limit("latency_s", 200.0), Limit("area_mm2", 1e-9)])
    assert told.startswith("latency_s <= 200 s cannot bind: the largest of ")
    assert told.endswith("s; is the unit right?")
    assert idle_limits(SPACE, COMPILED, [Limit("latency_s", 50 * most)]) == ()
    (told,) = idle_limits(SPACE, COMPILED, [Limit("throughput_items_per_s", 1e-6, least=True)])
    assert "cannot bind: the smallest of" in told
    assert idle_limits(SPACE, COMPILED, []) == ()
