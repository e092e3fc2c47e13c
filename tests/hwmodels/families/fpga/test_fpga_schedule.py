"""The schedule of tiles against the simulation of every task: chains, graphs with a fork, up to 1e5 tiles."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.families.fpga.kernel_schedule import TiledLayers, schedule


def network(layers: list[dict[str, float]], sources: list[list[int]]) -> tuple[TiledLayers, np.ndarray, np.ndarray]:
    columns = [np.array([layer[name] for layer in layers]) for name in TiledLayers._fields]
    floats = ("task", "transfer")
    typed = [
        column.astype(np.float64 if name in floats else np.int64)
        for name, column in zip(TiledLayers._fields, columns, strict=True)
    ]
    start = np.concatenate([[0], np.cumsum([len(one) for one in sources])])
    return TiledLayers(*typed), np.array([s for one in sources for s in one], np.int64), start


def simulate(layers: list[dict[str, float]], sources: list[list[int]]) -> tuple[list[float], int]:
    """Every task of every layer in its order: it starts when the one before is done and its input tile is here."""
    done: list[dict[tuple[int, int, int], float]] = []
    ends, tasks = [], 0
    for at, layer in enumerate(layers):
        one = {name: int(value) if name not in ("task", "transfer") else value for name, value in layer.items()}
        down, across = ceil(one["rows"] / one["tr"]), ceil(one["cols"] / one["tc"])
        outputs = ceil(one["outputs"] / one["tm"])
        inputs = 1 if one["channelwise"] else ceil(one["inputs"] / one["tn"])
        mine: dict[tuple[int, int, int], float] = {}
        clock = 0.0
        concatenated = (
            not one["channelwise"]
            and len(sources[at]) > 1
            and sum(layers[s]["outputs"] for s in sources[at]) == one["inputs"]
        )

        def arrived(y: int, x: int, channel: int, at: int = at, one: dict = one, joined: bool = concatenated) -> float:
            """When all producers' tiles that lie under the window, up to the channel, are here."""
            latest, before = 0.0, 0
            bottom = (min((y + 1) * one["tr"], one["rows"]) - 1) * one["stride_h"] + one["reach_h"] - 1
            right = (min((x + 1) * one["tc"], one["cols"]) - 1) * one["stride_w"] + one["reach_w"] - 1
            for s in sources[at]:
                producer = layers[s]
                wanted = channel - before if joined else channel
                before += int(producer["outputs"])
                for (py, px, k), time in done[s].items():
                    within = py * producer["tr"] <= max(bottom, 0) and px * producer["tc"] <= max(right, 0)
                    if within and k * producer["tm"] < wanted:
                        latest = max(latest, time + producer["transfer"])
            return latest

        for y in range(down):
            for x in range(across):
                ready = {
                    j: arrived(y, x, min((j + 1) * one["tn"], one["inputs"])) for j in range(inputs)
                } if not one["channelwise"] else {}  # fmt: skip
                order = (
                    [(k, j) for j in range(inputs) for k in range(outputs)]
                    if one["keeps_inputs"]
                    else [(k, j) for k in range(outputs) for j in range(inputs)]
                )
                met: dict[int, int] = {}
                for k, j in order:
                    own = min((k + 1) * one["tm"], one["outputs"])
                    wait = arrived(y, x, own) if one["channelwise"] else ready[j]
                    clock = max(clock, wait) + one["task"]
                    tasks += 1
                    met[k] = met.get(k, 0) + 1
                    if met[k] == inputs:
                        mine[y, x, k] = clock
        done.append(mine)
        ends.append(clock)
    return ends, tasks


def layer(
    inputs: int, outputs: int, rows: int, cols: int, tm: int, tn: int, tr: int, tc: int, *, kernel: int = 3,
    stride: int = 1, channelwise: int = 0, keeps: int = 0, transfer: float = 0.0, task: float | None = None,
) -> dict[str, float]:  # fmt: skip
    pad = kernel // 2
    return {
        "outputs": outputs, "inputs": inputs, "rows": rows, "cols": cols, "tm": tm, "tn": tn, "tr": tr, "tc": tc,
        "stride_h": stride, "stride_w": stride, "reach_h": kernel - pad, "reach_w": kernel - pad,
        "task": float(kernel * kernel * tr * tc) if task is None else task, "channelwise": channelwise,
        "keeps_inputs": keeps, "transfer": transfer,
    }  # fmt: skip


TILES = st.integers(1, 5)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[dict[str, float]], list[list[int]]]:
    """A chain, or one with a fork whose branches meet in a sum or side by side; alternating or equal reuse."""
    size = draw(st.integers(2, 9))
    channels = draw(st.integers(1, 9))
    layers, sources = [], []

    def one(inputs: int, outputs: int, *, channelwise: int = 0) -> dict[str, float]:
        return layer(
            inputs, outputs, size, size, draw(TILES), draw(TILES), draw(TILES), draw(TILES),
            kernel=1 if channelwise else draw(st.sampled_from([1, 3])), channelwise=channelwise,
            keeps=draw(st.integers(0, 1)), transfer=draw(st.sampled_from([0.0, 7.0])),
        )  # fmt: skip

    for index in range(draw(st.integers(1, 3))):
        width = draw(st.integers(1, 9))
        layers.append(one(channels, width))
        sources.append([index - 1] if index else [])
        channels = width
    if draw(st.booleans()):
        fork, branches = len(layers) - 1, []
        meet = draw(st.sampled_from(["sum", "concatenation"]))
        for _ in range(2):
            layers.append(one(channels, channels))
            sources.append([fork])
            branches.append(len(layers) - 1)
        layers.append(one(channels, channels, channelwise=1) if meet == "sum" else one(2 * channels, 4))
        sources.append(branches)
    return layers, sources


@settings(deadline=None, max_examples=150)
@given(graphs())
def test_the_schedule_equals_the_simulation_of_every_task(
    graph: tuple[list[dict[str, float]], list[list[int]]],
) -> None:
    found = schedule(*network(*graph))
    expected, _ = simulate(*graph)
    assert found.end == pytest.approx(expected, rel=1e-12)
    assert (found.bound <= found.end * (1 + 1e-12)).all()
    assert (found.start <= found.end).all()


def chain(depth: int, *, alternate: bool) -> tuple[list[dict[str, float]], list[list[int]]]:
    layers = [layer(64, 64, 28, 28, 8, 8, 4, 4, keeps=(index % 2 if alternate else 0)) for index in range(depth)]
    return layers, [[index - 1] if index else [] for index in range(depth)]


def test_long_chains_of_many_tiles_agree_and_alternating_reuse_is_no_slower() -> None:
    """About 1e5 tasks: the schedule within 2 % of the simulation (it is exact), the FNAS bound below it."""
    ends = {}
    for alternate in (True, False):
        graph = chain(32, alternate=alternate)
        found = schedule(*network(*graph))
        expected, tasks = simulate(*graph)
        assert tasks == 32 * 49 * 64 >= 1e5
        assert found.end[-1] == pytest.approx(expected[-1], rel=0.02)
        assert found.bound[-1] <= found.end[-1] <= 1.02 * found.bound[-1]
        ends[alternate] = found.end[-1]
    assert ends[True] <= ends[False]


def test_a_layer_waits_for_the_tiles_of_its_window() -> None:
    """By hand: one channel tile, three rows of tiles; the second layer's row waits for the one below it, too."""
    first = layer(4, 4, 6, 6, 4, 4, 2, 6, task=10.0)
    second = layer(4, 4, 6, 6, 4, 4, 2, 6, task=1.0)
    found = schedule(*network([first, second], [[], [0]]))
    assert found.end.tolist() == [30.0, 32.0]
    assert found.start.tolist() == [0.0, 20.0]
    delayed = schedule(*network([first | {"transfer": 5.0}, second], [[], [0]]))
    assert delayed.end.tolist() == [30.0, 37.0]
