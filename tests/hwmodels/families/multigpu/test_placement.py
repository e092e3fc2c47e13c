"""Placement against every schedule there is, against a solver of integer programs, and against bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from hwmodels.families.multigpu.kernel_placement import MOST_EXACT, place_one

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Graph:
    """Layers in topological order: their times, and of each the (producer, seconds on a link); -1 is the joint."""

    time: tuple[float, ...]
    reads: tuple[tuple[tuple[int, float], ...], ...]

    def place(self, devices: int, **more: int) -> tuple[float, bool, I64, F64]:
        flat = [edge for edges in self.reads for edge in edges]
        at = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(edges) for edges in self.reads])])
        return place_one(
            np.array(self.time), np.array([u for u, _ in flat], np.int64), np.array([s for _, s in flat], np.float64),
            at.astype(np.int64), devices, **more,
        )  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn, most: int) -> Graph:
    n = draw(st.integers(1, most))
    seconds = st.one_of(st.just(0.0), st.floats(0.125, 4.0, width=16))
    sent = draw(st.lists(seconds, min_size=n + 1, max_size=n + 1))
    reads = []
    for v in range(n):
        producers = draw(st.sets(st.integers(-1, v - 1), max_size=3)) if v else draw(st.sets(st.just(-1), max_size=1))
        reads.append(tuple((u, sent[u]) for u in sorted(producers)))
    return Graph(tuple(draw(st.lists(seconds, min_size=n, max_size=n))), tuple(reads))


def random_graph(n: int, density: float, ratio: float, seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    sent = rng.random(n + 1) * ratio
    reads = []
    for v in range(n):
        producers = [u for u in range(v) if rng.random() < density] or ([-1] if rng.random() < 0.7 else [])
        reads.append(tuple((u, float(sent[u])) for u in producers))
    return Graph(tuple(rng.random(n).tolist()), tuple(reads))


def least(graph: Graph, devices: int) -> float:
    """Every layer that is ready next, on every device: slow and plain."""
    best = [float("inf")]

    def go(end: dict[int, float], home: dict[int, int], free: tuple[float, ...]) -> None:
        if len(end) == len(graph.time):
            best[0] = min(best[0], max(end.values()))
            return
        for v, reads in enumerate(graph.reads):
            if v in end or any(u >= 0 and u not in end for u, _ in reads):
                continue
            for d in range(devices):
                here = [end.get(u, 0.0) + (s if home.get(u, 0) != d else 0.0) for u, s in reads]
                done = max([free[d], *here]) + graph.time[v]
                go({**end, v: done}, {**home, v: d}, tuple(done if i == d else f for i, f in enumerate(free)))

    go({}, {}, (0.0,) * devices)
    return best[0]


def check(graph: Graph, makespan: float, device: I64, start: F64) -> None:
    """A schedule that can run: tensors arrive before they are read, a device runs one layer at a time."""
    end = start + np.array(graph.time)
    for v, reads in enumerate(graph.reads):
        for u, seconds in reads:
            home, ends = (0, 0.0) if u < 0 else (device[u], end[u])
            assert start[v] >= ends + (seconds if home != device[v] else 0.0) - 1e-9
    for d in np.unique(device):
        mine = np.flatnonzero(device == d)
        order = mine[np.lexsort((end[mine], start[mine]))]
        assert (start[order][1:] >= end[order][:-1] - 1e-9).all()
    assert makespan == pytest.approx(end.max(), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(graphs(5), st.integers(1, 3))
def test_a_small_graph_is_placed_as_well_as_by_all_schedules(graph: Graph, devices: int) -> None:
    makespan, proven, device, start = graph.place(devices)
    check(graph, makespan, device, start)
    assert proven
    assert makespan == pytest.approx(least(graph, devices), abs=1e-9)


def by_integer_program(graph: Graph, devices: int) -> float:
    """The least makespan by HiGHS: x[v, d] says where, y[u, v] whether u runs before v on a shared device."""
    n = len(graph.time)
    horizon = sum(graph.time) + sum(s for reads in graph.reads for _, s in reads)
    pairs = [(u, v) for u in range(n) for v in range(u + 1, n)]
    edges = [(u, v, s) for v, reads in enumerate(graph.reads) for u, s in reads]
    size = 1 + n + n * devices + len(pairs) + len(edges)  # makespan, starts, places, orders, whether an edge crosses
    x = lambda v, d: 1 + n + v * devices + d  # noqa: E731
    order = {pair: 1 + n + n * devices + i for i, pair in enumerate(pairs)}
    crosses = [1 + n + n * devices + len(pairs) + i for i in range(len(edges))]
    lines, low = [], []

    def at_least(bound: float, **terms: float) -> None:
        line = np.zeros(size)
        for place, factor in terms.items():
            line[int(place[1:])] += factor
        lines.append(line)
        low.append(bound)

    def name(place: int) -> str:
        return f"_{place}"

    for v in range(n):
        at_least(graph.time[v], **{name(0): 1.0, name(1 + v): -1.0})
        at_least(1.0, **{name(x(v, d)): 1.0 for d in range(devices)})
        at_least(-1.0, **{name(x(v, d)): -1.0 for d in range(devices)})
    for i, (u, v, seconds) in enumerate(edges):
        for d in range(devices):
            home = {name(x(u, d)): -1.0} if u >= 0 else {}
            at_least(
                -float(u < 0 and d == 0), **{name(crosses[i]): 1.0, name(x(v, d)): -1.0, **dict.fromkeys(home, 1.0)}
            )
        before = {name(1 + u): -1.0} if u >= 0 else {}
        at_least(graph.time[u] if u >= 0 else 0.0, **{name(1 + v): 1.0, **before, name(crosses[i]): -seconds})
    for u, v in pairs:
        for d in range(devices):
            both = {name(x(u, d)): -horizon, name(x(v, d)): -horizon}
            at_least(
                graph.time[u] - 3 * horizon,
                **{name(1 + v): 1.0, name(1 + u): -1.0, name(order[u, v]): -horizon, **both},
            )
            at_least(
                graph.time[v] - 2 * horizon, **{name(1 + u): 1.0, name(1 + v): -1.0, name(order[u, v]): horizon, **both}
            )
    cost = np.zeros(size)
    cost[0] = 1.0
    whole = np.ones(size)
    whole[: 1 + n] = 0
    upper = np.where(whole > 0, 1.0, horizon)
    found = milp(cost, integrality=whole, bounds=Bounds(0.0, upper), constraints=LinearConstraint(np.array(lines), low))
    return float(found.fun)


@pytest.mark.parametrize("seed", range(6))
def test_ten_layers_are_placed_as_well_as_by_an_integer_program(seed: int) -> None:
    graph = random_graph(10, (0.15, 0.3, 0.5)[seed % 3], (0.2, 1.0)[seed % 2], seed)
    makespan, proven, device, start = graph.place(2)
    check(graph, makespan, device, start)
    assert proven
    assert makespan == pytest.approx(by_integer_program(graph, 2), abs=1e-5)


@pytest.mark.parametrize("devices", [2, 3, 4, 8])
@pytest.mark.parametrize("density", [0.0, 0.1, 0.3])
def test_every_graph_of_ten_layers_is_proven(density: float, devices: int) -> None:
    for seed in range(10):
        assert random_graph(10, density, (0.0, 0.1, 1.0, 3.0)[seed % 4], seed).place(devices)[1]


@settings(max_examples=30, deadline=None)
@given(graphs(8), st.integers(2, 3))
def test_what_is_found_without_proof_is_no_better_than_what_is_proven(graph: Graph, devices: int) -> None:
    makespan, proven, device, start = graph.place(devices, exact_up_to=0)
    check(graph, makespan, device, start)
    best = graph.place(devices)[0]
    assert makespan >= best - 1e-9
    assert not proven or makespan == pytest.approx(best, abs=1e-9)
    assert makespan <= sum(graph.time) + 1e-9


@settings(max_examples=30, deadline=None)
@given(graphs(7))
def test_another_device_is_never_slower_and_one_takes_the_sum(graph: Graph) -> None:
    one, two, three = (graph.place(devices)[0] for devices in (1, 2, 3))
    assert one == pytest.approx(sum(graph.time))
    assert three <= two * (1 + 1e-12) <= one * (1 + 1e-11)


def test_a_large_graph_is_placed_by_moves() -> None:
    """Forty chains of equal layers on two devices: half of the work each, nothing sent but at the end."""
    reads: list[tuple[tuple[int, float], ...]] = []
    for chain in range(40):
        reads += [((-1, 0.01),) if i == 0 else ((4 * chain + i - 1, 0.5),) for i in range(4)]
    graph = Graph((1.0,) * 160, tuple(reads))
    makespan, _, device, start = graph.place(2)
    check(graph, makespan, device, start)
    assert len(graph.time) > MOST_EXACT
    assert 80.0 <= makespan <= 81.0


def test_what_splitting_saves_must_exceed_what_it_sends() -> None:
    """Two branches of 10 µs; the tensor enters takes 4 µs to the other device, then 11 µs; the end follows it."""
    for seconds, expected in ((4.0, 14.0), (11.0, 20.0)):
        graph = Graph((10.0, 10.0, 0.0), (((-1, seconds),), ((-1, seconds),), ((0, seconds), (1, seconds))))
        assert graph.place(2)[0] == expected
