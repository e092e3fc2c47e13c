"""Hardware searched for each network: the pairs are the best of their network, and the loop runs on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.hardware_search.inner import InnerHardware
from codesign.pareto import non_dominated
from codesign.space.joint import JointSpace
from codesign.strategy.nsga2 import NSGA2
from codesign.two_level.fast import FastLevel
from codesign.two_level.loop import run_search
from hwmodels.evaluate import evaluate_pairs
from hwmodels.workload.rewrite import COMPILED
from tests.codesign.toys import toy_search, toy_space

OBJECTIVES = ("latency_s", "area_mm2")


def costed(space: JointSpace, network: np.ndarray, designs: np.ndarray, limits: dict[str, float]):
    """Cost objectives (H, 2) of one network on designs, and which of these are allowed."""
    table, place = space.architecture.lower(network[None], COMPILED)
    costs = evaluate_pairs(
        space.hardware.model,
        table,
        space.hardware.table(designs),
        network=np.full(len(designs), place[0]),
        config=np.arange(len(designs)),
    )
    allowed = costs.infeasible == 0
    for name, limit in limits.items():
        allowed &= costs.columns[name] <= limit
    return np.column_stack([costs.columns[name] for name in OBJECTIVES]), allowed


def test_no_design_beats_a_pair_in_every_cost():
    space, limits = toy_space(), {"latency_s": 1e-3}
    stage, rng = InnerHardware(space, COMPILED, objectives=OBJECTIVES, constraints=limits), np.random.default_rng(0)
    listed = stage.expand(space.architecture.sample(stage.networks(12), rng), rng)
    assert len(listed.genotypes) == 12
    networks, devices = space.split(listed.genotypes)
    designs = space.hardware.enumerate()
    for network, device in zip(networks, devices, strict=True):
        points, allowed = costed(space, network, designs, limits)
        mine = int(np.flatnonzero((designs == device).all(axis=1))[0])
        assert allowed[mine] or not allowed.any()
        assert not (points[allowed] < points[mine]).all(axis=1).any()
    assert len(np.unique(devices, axis=0)) > 1


def test_repeated_draws_find_the_whole_cost_front_of_a_network():
    space = toy_space()
    stage, rng = (
        InnerHardware(space, COMPILED, objectives=OBJECTIVES, constraints={}, designs=60),
        np.random.default_rng(2),
    )
    networks, devices = space.split(stage.expand(space.architecture.sample(stage.networks(60), rng), rng).genotypes)
    assert len(np.unique(networks, axis=0)) == 1
    points, allowed = costed(space, networks[0], space.hardware.enumerate(), {})
    front = points[allowed][non_dominated(points[allowed])]
    assert len(np.unique(front, axis=0)) >= 3  # more than its two ends
    found, _ = costed(space, networks[0], devices, {})
    assert set(map(tuple, found.tolist())) >= set(map(tuple, front.tolist()))


def test_the_loop_runs_on_it_and_prunes_less_than_of_random_pairs(new_store):
    survived = {}
    for name in ("inner", "joint"):
        store = new_store(name)
        search = toy_search(strategy="random", pairs=40)
        if name == "inner":
            fast = FastLevel(
                search.space, COMPILED, objectives=search.fast.objectives, constraints={}, hardware="inner"
            )
            search = replace(search, fast=fast, strategy=NSGA2(fast.proposal_space, population=16))
        ledger = run_search(search, store).ledger
        unique = ledger.considered - ledger.pruned.get("duplicate", 0)
        survived[name] = (ledger.evaluated + ledger.deferred) / unique
    assert survived["inner"] > survived["joint"]
