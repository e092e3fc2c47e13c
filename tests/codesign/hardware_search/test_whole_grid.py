"""Every design for every proposed network: nothing of a cost front is lost, and every pair is accounted for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.hardware_search import whole_grid
from codesign.hardware_search.stage import ListedPairs
from codesign.hardware_search.whole_grid import FrontHardware
from codesign.pareto import non_dominated, row_fronts
from codesign.space.joint import JointSpace
from codesign.strategy.base import Proposal
from codesign.strategy.nsga2 import NSGA2
from codesign.two_level.fast import FastLevel
from codesign.two_level.loop import run_search
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.workload.rewrite import COMPILED
from tests.codesign.toys import toy_search, toy_space
from tests.hwmodels.toy_families import PLACEMENT

OBJECTIVES = ("energy_j", "latency_s", "area_mm2")


def expanded(space: JointSpace, limits: dict[str, float], n: int, seed: int) -> ListedPairs:
    """The fronts of some random networks."""
    stage, rng = FrontHardware(space, COMPILED, objectives=OBJECTIVES, constraints=limits), np.random.default_rng(seed)
    return stage.expand(space.architecture.sample(stage.networks(n), rng), rng)


def brute_force(space: JointSpace, network: np.ndarray, limits: dict[str, float]) -> tuple[set, bool]:
    """The designs of a network that no other of its accuracy class beats, one by one, and whether any is allowed."""
    designs = space.hardware.enumerate()
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
    points = np.column_stack([costs.columns[name] for name in OBJECTIVES])
    numerics = space.hardware.numerics(designs)
    front = set()
    for i in np.flatnonzero(allowed):
        alike = allowed & (numerics == numerics[i]).all(axis=1)
        beaten = (points[alike] <= points[i]).all(axis=1) & (points[alike] < points[i]).any(axis=1)
        if not beaten.any():
            front.add(tuple(designs[i].tolist()))
    return front, bool(allowed.any())


@pytest.mark.parametrize("limits", [{}, {"latency_s": 6e-5, "area_mm2": 0.4}, {"energy_j": 1e-12}])
@pytest.mark.parametrize("values", [1 << 25, 1])
def test_the_listed_pairs_are_the_cost_fronts_of_their_networks(limits, values, monkeypatch):
    monkeypatch.setattr(whole_grid, "_COST_VALUES", values)  # 1: a network at a time
    monkeypatch.setattr(whole_grid, "_BLOCK_PAIRS", 100)
    space = toy_space()
    n_designs = space.hardware.size
    proposal = expanded(space, limits, 12 * n_designs, 1)
    networks, designs = space.split(proposal.genotypes)
    for network in np.unique(networks, axis=0):
        mine = [tuple(row) for row in designs[(networks == network).all(axis=1)].tolist()]
        front, possible = brute_force(space, network, limits)
        assert len(set(mine)) == len(mine)
        assert (set(mine) == front) if possible else (len(mine) == 1)
    assert len(proposal.genotypes) + sum(proposal.dropped.values()) == 12 * n_designs


def test_reasons_are_those_of_the_fast_level():
    """Every network on every design through FAST gives the counts that the grid search gives unseen."""
    space, limits = toy_space(), {"latency_s": 6e-5}
    search = toy_search(constraints=limits)
    proposal = expanded(space, limits, 6 * space.hardware.size, 4)
    networks = np.unique(space.split(proposal.genotypes)[0], axis=0)
    designs = space.hardware.enumerate()
    pairs = space.join(np.repeat(networks, len(designs), axis=0), np.tile(designs, (len(networks), 1)))
    verdicts = search.fast.evaluate(Proposal.full(pairs), search.archive.known(), np.random.default_rng(0))
    assert proposal.dropped.get("duplicate", 0) == (6 - len(networks)) * len(designs)
    counted = search.fast.reasons.counts(verdicts.reason)
    # FAST knows of some over a limit before it costs them, whether their weights fit or not.
    unable = [name for name in counted if name.startswith(("infeasible", "constraint", "bound"))]
    misfits = [name for name in proposal.dropped if name.startswith(("infeasible", "constraint"))]
    hopeless = len(networks) - len(np.unique(verdicts.architecture_id[verdicts.survivors]))
    assert hopeless > 0
    assert sum(counted[name] for name in unable) == sum(proposal.dropped[name] for name in misfits) + hopeless
    dominated = "dominated in its accuracy class"
    assert counted[dominated] == proposal.dropped[dominated]
    assert len(verdicts.survivors) == len(proposal.genotypes) - hopeless


def test_the_loop_accounts_for_every_pair_and_keeps_whole_fronts(new_store):
    search = toy_search(strategy="random", pairs=8 * toy_space().hardware.size)
    fast = FastLevel(search.space, COMPILED, objectives=search.fast.objectives, constraints={}, hardware="front")
    strategy = NSGA2(fast.proposal_space, population=16)
    outcome = run_search(replace(search, fast=fast, strategy=strategy), new_store("front"))
    ledger = outcome.ledger
    assert ledger.considered == 4 * 8 * search.space.hardware.size
    assert ledger.considered == sum(ledger.pruned.values()) + ledger.evaluated + ledger.deferred
    # Of every network and numerics on the front, every design that is on the front of all its designs is there.
    front = outcome.archive.front()
    assert len(front) > 3
    for architecture, numerics, _ in {outcome.archive.class_of(member) for member in front}:
        best, _ = brute_force(search.space, np.array(architecture), {})
        mine = {
            member.genotype[search.space.architecture.n_genes :]
            for member in outcome.archive.members
            if outcome.archive.class_of(member)[:2] == (architecture, numerics)
        }
        designs = np.array(sorted(best))
        same = (search.space.hardware.numerics(designs) == np.array(numerics)).all(axis=1)
        assert {tuple(row) for row in designs[same].tolist()} <= mine


def test_families_that_do_not_add_up_are_refused():
    space = toy_space()
    space.hardware.model = PLACEMENT
    with pytest.raises(SpecError, match="front"):
        expanded(space, {}, 1, 0)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 3).flatmap(
        lambda o: st.lists(st.tuples(st.lists(st.integers(0, 3), min_size=o, max_size=o), st.booleans(),
                                     st.integers(0, 2)), min_size=1, max_size=12)
    )
)  # fmt: skip
def test_row_fronts_are_the_fronts_of_each_row_and_label(points):
    points = sorted(points, key=lambda point: point[2])
    values = np.array([value for value, _, _ in points], np.float64)
    allowed = np.array([ok for _, ok, _ in points])
    labels = np.array([label for _, _, label in points], np.int64)
    found = row_fronts(np.ascontiguousarray(values.T)[:, None], allowed[None], labels)[0]
    expected = np.zeros(len(points), np.bool_)
    expected[allowed] = non_dominated(values[allowed], labels[allowed])
    assert found.tolist() == expected.tolist()
