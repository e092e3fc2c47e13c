"""Which survivors are trained: spread over the cost axis, the most capable of each stratum."""

from __future__ import annotations

import numpy as np

from codesign.two_level.error_model import features
from codesign.two_level.select import Evidence, promising, spread, stratified


def test_one_candidate_a_stratum_and_in_it_the_most_capable():
    candidate = np.arange(8)
    cost = np.array([1.0, 2, 3, 4, 5, 6, 7, 8])
    capacity = np.array([5.0, 1, 1, 9, 2, 7, 3, 3.5])
    chosen = stratified(cost, capacity, candidate, 4, np.random.default_rng(0))
    assert chosen.tolist() == [0, 3, 5, 7]


def test_a_candidate_counts_with_its_cheapest_pair():
    candidate = np.array([10, 10, 20, 30, 30])
    cost = np.array([9.0, 1.0, 2.0, 3.0, 100.0])
    capacity = np.array([1.0, 1.0, 2.0, 3.0, 3.0])
    # Strata by least cost: {10, 20} and {30}; by greatest cost 10 and 30 would trade places.
    assert stratified(cost, capacity, candidate, 2, np.random.default_rng(0)).tolist() == [20, 30]


def test_equals_are_drawn_by_the_generator_and_few_candidates_are_all_taken():
    candidate, ones = np.arange(40), np.ones(40)
    draws = {tuple(stratified(ones, ones, candidate, 3, np.random.default_rng(seed)).tolist()) for seed in range(5)}
    assert len(draws) > 1
    assert stratified(ones[:3], ones[:3], candidate[:3], 5, np.random.default_rng(0)).tolist() == [0, 1, 2]
    assert stratified(ones[:0], ones[:0], candidate[:0], 5, np.random.default_rng(0)).size == 0


def test_spread_takes_the_ends_and_even_steps_between():
    label = np.array([3, 1, 4, 1, 5, 9, 2])
    cost = np.array([3.0, 10.0, 4.0, 1.0, 5.0, 9.0, 2.0])  # least costs: 1:1, 2:2, 3:3, 4:4, 5:5, 9:9
    assert spread(cost, label, 3).tolist() == [1, 3, 9]
    assert spread(cost, label, 2).tolist() == [1, 9]
    assert spread(cost, label, 10).tolist() == [1, 2, 3, 4, 5, 9]
    assert spread(cost[:0], label[:0], 3).size == 0


def test_promising_prefers_what_the_evidence_says_is_accurate():
    # One gene of four choices; the error falls with the choice, and all cost the same.
    cardinalities = np.array([4, 2])
    seen = np.array([[g, h] for g in (0, 1, 2, 3) for h in (0, 1)] * 4)
    error = 0.4 - 0.1 * seen[:, 0]
    none = np.zeros(len(seen), np.int64)
    evidence = Evidence(features(seen, cardinalities, np.ones((len(seen), 1)), none, 1), error, np.array([[0.4, 2.0]]))
    asked = np.array([[0, 0], [1, 0], [2, 0], [3, 0]])
    rows = features(asked, cardinalities, np.ones((4, 1)), np.zeros(4, np.int64), 1)
    costs = np.array([[1.0], [1.0], [1.0], [1.0], [3.0]])
    which = np.array([0, 1, 2, 3, 3])
    for seed in range(5):
        chosen = promising(evidence, rows, which, costs, 10 + which, 1, np.random.default_rng(seed))
        assert chosen.tolist() == [13]


def test_promising_spreads_over_costs_and_takes_all_of_few():
    # Twins of low error at a cost of 2, and a cheaper network of higher error: the second twin would add nothing.
    cardinalities = np.array([3, 2])
    seen = np.array([[g, h] for g in (0, 1, 2) for h in (0, 1)] * 4)
    error = 0.3 - 0.1 * seen[:, 0]
    evidence = Evidence(
        features(seen, cardinalities, np.ones((len(seen), 1)), np.zeros(len(seen), np.int64), 1),
        error,
        np.array([[0.35, 30.0]]),
    )
    asked = np.array([[2, 0], [2, 1], [1, 0]])
    rows = features(asked, cardinalities, np.ones((3, 1)), np.zeros(3, np.int64), 1)
    which, costs = np.array([0, 1, 2, 0]), np.array([[2.0], [2.0], [1.0], [20.0]])
    draws = [promising(evidence, rows, which, costs, which, 2, np.random.default_rng(s)).tolist() for s in range(20)]
    assert all(2 in chosen for chosen in draws)
    everything = promising(evidence, rows, which, costs, which, 3, np.random.default_rng(0))
    assert everything.tolist() == [0, 1, 2]


def _one_gene(n: int) -> np.ndarray:
    return features(np.arange(n)[:, None], np.array([n]), np.ones((n, 1)), np.zeros(n, np.int64), 1)


def test_what_is_unknown_is_worth_a_training_where_all_that_is_known_is_bad():
    # Networks 0 to 3 are known and poor; 4 and 5 are unlike all of them, 5 costs more than the front's pair.
    rows = _one_gene(6)
    evidence = Evidence(rows[:4], np.array([0.3, 0.31, 0.32, 0.33]), np.array([[0.3, 2.0]]))
    costs, which = np.array([[1.0], [8.0], [9.0]]), np.array([4, 5, 5])
    chosen = [promising(evidence, rows, which, costs, which, 1, np.random.default_rng(s)).tolist() for s in range(5)]
    assert chosen == [[4]] * 5


def test_a_network_counts_with_its_best_class():
    # Two classes of network 1 differ in arithmetic: the second one is cheap, the first one reaches nothing.
    rows = features(np.array([[0], [1], [1], [0]]), np.array([2]), np.ones((4, 1)), np.array([0, 0, 1, 1]), 2)
    evidence = Evidence(
        rows[[0, 3]].repeat(3, axis=0), np.array([0.3, 0.3, 0.3, 0.2, 0.2, 0.2]), np.array([[0.2, 4.0]])
    )
    costs = np.array([[5.0], [5.0], [1.0], [3.9]])
    which, network = np.array([0, 1, 2, 3]), np.array([0, 1, 1, 0])
    for seed in range(5):
        assert promising(evidence, rows, which, costs, network, 1, np.random.default_rng(seed)).tolist() == [1]


def test_pairs_are_held_against_points_block_by_block(monkeypatch):
    rng = np.random.default_rng(3)
    rows, which = _one_gene(30), np.repeat(np.arange(30), 7)
    evidence = Evidence(rows[:8], rng.uniform(0.1, 0.4, 8), np.array([[0.2, 1.0, 1.0]]))
    costs = rng.uniform(0.1, 3.0, size=(210, 2))
    whole = promising(evidence, rows, which, costs, which, 6, np.random.default_rng(0))
    monkeypatch.setattr("codesign.two_level.select._BLOCK", 5)  # fewer than a class has
    assert whole.tolist() == promising(evidence, rows, which, costs, which, 6, np.random.default_rng(0)).tolist()
