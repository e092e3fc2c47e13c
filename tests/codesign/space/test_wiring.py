"""Wirings: an order that isomorphic graphs share and no others, and moves that undo each other."""

from __future__ import annotations

from itertools import product

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.space.wiring import Wiring, inserted, loose_ends, ordered, removed, rewired


def graph_of(wiring: Wiring) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_node(0, kind=(-1, -1))
    for node, (operator, stage, sources) in enumerate(zip(*wiring, strict=True), start=1):
        graph.add_node(node, kind=(operator, stage))
        graph.add_edges_from((source, node) for source in sources)
    return graph


def classes_by_networkx(wirings: set[Wiring]) -> int:
    """Isomorphism classes, one comparison at a time."""
    kept: dict[object, list[nx.DiGraph]] = {}
    for wiring in wirings:
        graph = graph_of(wiring)
        degrees = sorted((graph.nodes[n]["kind"], graph.in_degree(n), graph.out_degree(n)) for n in graph)
        bucket = kept.setdefault(tuple(degrees), [])
        if not any(nx.is_isomorphic(graph, other, node_match=lambda a, b: a == b) for other in bucket):
            bucket.append(graph)
    return sum(map(len, kept.values()))


def subsets(n: int) -> list[frozenset[int]]:
    return [frozenset(i for i in range(n) if bits >> i & 1) for bits in range(1, 2**n)]


def test_orders_tell_apart_what_isomorphism_tells_apart() -> None:
    """All graphs of three nodes with two operators, of four and of five with one, in one stage."""
    for nodes, operators in ((3, 2), (4, 1), (5, 1)):
        sources = list(product(*(subsets(node) for node in range(1, nodes + 1))))
        step = 1 if nodes < 5 else 11  # of 9,765 graphs of five nodes
        wirings = {
            Wiring(chosen, (0,) * nodes, given)
            for given in sources[::step]
            for chosen in product(range(operators), repeat=nodes)
        }
        assert len({ordered(wiring) for wiring in wirings}) == classes_by_networkx(wirings)


@st.composite
def wirings(draw: st.DrawFn, most: int = 9) -> Wiring:
    nodes = draw(st.integers(1, most))
    stages = sorted(draw(st.lists(st.integers(0, 1), min_size=nodes, max_size=nodes)))
    operators = draw(st.lists(st.integers(0, 1), min_size=nodes, max_size=nodes))
    sources = [
        frozenset(draw(st.sets(st.integers(0, node - 1), min_size=1, max_size=3))) for node in range(1, nodes + 1)
    ]
    return Wiring(tuple(operators), tuple(stages), tuple(sources))


def shuffled(wiring: Wiring, rng: np.random.Generator) -> Wiring:
    """The same graph under other numbers that edges and stages follow."""
    n, number, order = len(wiring.operators), {0: 0}, []
    while len(order) < n:
        stage = min(wiring.stages[i] for i in range(n) if i + 1 not in number)
        free = [
            i + 1
            for i in range(n)
            if i + 1 not in number and wiring.stages[i] == stage and all(s in number for s in wiring.sources[i])
        ]
        chosen = free[rng.integers(len(free))]
        order.append(chosen)
        number[chosen] = len(order)
    return Wiring(
        tuple(wiring.operators[i - 1] for i in order),
        tuple(wiring.stages[i - 1] for i in order),
        tuple(frozenset(number[s] for s in wiring.sources[i - 1]) for i in order),
    )


@settings(max_examples=200, deadline=None)
@given(wiring=wirings(), seed=st.integers(0, 2**32 - 1))
def test_renumbered_wirings_have_one_order(wiring: Wiring, seed: int) -> None:
    found = ordered(wiring)
    assert ordered(found) == found
    assert ordered(shuffled(wiring, np.random.default_rng(seed))) == found
    assert nx.is_isomorphic(graph_of(found), graph_of(wiring), node_match=lambda a, b: a == b)
    assert all(max(sources) < node for node, sources in enumerate(found.sources, start=1))
    assert list(found.stages) == sorted(found.stages)


def test_many_symmetries_take_no_time() -> None:
    """Twelve twins with a reader each have 12! orders: those that an automorphism maps to one that was tried are left
    out."""
    twins = Wiring((0,) * 24, (0,) * 24, (*[frozenset({0})] * 12, *(frozenset({i + 1}) for i in range(12))))
    found = ordered(twins)
    assert ordered(shuffled(twins, np.random.default_rng(0))) == found


def rings(*lengths: int) -> Wiring:
    """Nodes that read what enters, and of each ring as many that read two neighbours each."""
    outer, first = [], 1
    for length in lengths:
        outer += [frozenset({first + i, first + (i + 1) % length}) for i in range(length)]
        first += length
    nodes = sum(lengths)
    return Wiring((0,) * (2 * nodes), (0,) * (2 * nodes), (*[frozenset({0})] * nodes, *outer))


def test_rings_that_no_colour_tells_apart_are_told_apart() -> None:
    """Every node of a ring has the same colour, whatever the length: only the search sees which ring it is in."""
    found = {
        lengths: ordered(rings(*lengths)) for lengths in ((6,), (3, 3), (12,), (6, 6), (6, 3, 3), (3, 6, 3), (8, 4))
    }
    assert found[6, 3, 3] == found[3, 6, 3]
    assert len(set(found.values())) == len(found) - 1
    rng = np.random.default_rng(0)
    for lengths, one in found.items():
        for _ in range(10):
            assert ordered(shuffled(rings(*lengths), rng)) == one


@settings(max_examples=200, deadline=None)
@given(wiring=wirings(), data=st.data())
def test_taking_out_what_was_put_on_an_edge_changes_nothing(wiring: Wiring, data: st.DataObject) -> None:
    reader = data.draw(st.integers(1, len(wiring.operators)))
    source = data.draw(st.sampled_from(sorted(wiring.sources[reader - 1])))
    stage = data.draw(st.integers((0, *wiring.stages)[source], wiring.stages[reader - 1]))
    larger = inserted(wiring, 7, stage, source=source, reader=reader)
    new = larger.operators.index(7) + 1
    assert larger.sources[new - 1] == {source}
    assert list(larger.stages) == sorted(larger.stages)
    assert removed(larger, new) == wiring
    assert len(loose_ends(larger)) == len(loose_ends(wiring))


@settings(max_examples=100, deadline=None)
@given(wiring=wirings(), data=st.data())
def test_an_edge_that_is_flipped_twice_is_as_before(wiring: Wiring, data: st.DataObject) -> None:
    node = data.draw(st.integers(1, len(wiring.operators)))
    source = data.draw(st.integers(0, node - 1))
    once = rewired(wiring, node, source)
    if once is None:
        assert wiring.sources[node - 1] == {source}
    else:
        assert rewired(once, node, source) == wiring


def test_a_layer_that_is_taken_out_hands_its_sources_on() -> None:
    wiring = Wiring((0, 1, 2), (0, 0, 0), (frozenset({0}), frozenset({0, 1}), frozenset({2})))
    assert removed(wiring, 2) == Wiring((0, 2), (0, 0), (frozenset({0}), frozenset({0, 1})))
    assert inserted(wiring, 3, 0, source=1) == Wiring(
        (0, 3, 1, 2), (0, 0, 0, 0), (frozenset({0}), frozenset({1}), frozenset({0, 1}), frozenset({3}))
    )
