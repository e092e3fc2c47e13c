"""Weights of a child: its parent's function where it says so, and what can be carried over elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.network.module import to_module
from codesign.network.morphism.align import paired
from codesign.network.morphism.follow import Followed, follow
from codesign.network.morphism.ranges import value_ranges
from codesign.network.morphism.weights import fitted, grouped, shared
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Concat, Conv2d, Pool2d
from hwmodels.workload.rewrite import prune_dead_branches
from tests.codesign.network.morphism.trained_like import SPACES, apart, arrays, trained_like, with_state


def carried(
    parent: Workload, child: Workload, rng: np.random.Generator, *, noise: float = 0.5
) -> tuple[Followed, float]:
    """The child's weights, and how far its outputs are from the parent's."""
    network, fresh = trained_like(parent, rng), arrays(trained_like(child, rng))
    found = follow(parent, arrays(network), child, fresh, paired(parent, child), rng=rng, noise=noise)
    return found, apart(network, with_state(child, found.state))


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), generations=st.integers(1, 2))
def test_what_is_said_to_be_equal_is_equal(space: str, seed: int, generations: int) -> None:
    """Whatever mutation makes of a network: weights of the child's shapes, and no false word about its function."""
    rng = np.random.default_rng(seed)
    genotype = SPACES[space].sample(1, rng)
    mutant = genotype
    for _ in range(generations):
        mutant = SPACES[space].mutate(mutant, rng)
    parent, child = (prune_dead_branches(SPACES[space].workload(point[0])) for point in (genotype, mutant))
    found, difference = carried(parent, child, rng)
    wanted = {name: tuple(tensor.shape) for name, tensor in to_module(child).state_dict().items()}
    assert {name: value.shape for name, value in found.state.items()} == wanted
    assert all(np.isfinite(value).all() for value in found.state.values())
    if not found.parts:
        assert difference < 1e-9


def chain(*, kernel: int = 3, width: int = 4, depth: int = 1, stride: int = 1, activation: str = "relu") -> Workload:
    net = Builder("chain", (1, 1, 8, 8))
    x = net.conv_norm_act(net.input, width, kernel, activation=activation)  # type: ignore[arg-type]
    for layer in range(depth):
        step = stride if layer == 0 else 1
        x = net.conv_norm_act(x, width, kernel, stride=step, activation=activation)  # type: ignore[arg-type]
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


@pytest.mark.parametrize(
    "child",
    [chain(), chain(kernel=5), chain(width=6), chain(width=8), chain(depth=2), chain(depth=4, width=9, kernel=7)],
)
def test_a_larger_chain_is_a_morphism(child: Workload) -> None:
    found, difference = carried(chain(), child, np.random.default_rng(0))
    assert found.parts == ""
    assert difference < 1e-9


@pytest.mark.parametrize(
    ("child", "where"),
    [
        (chain(kernel=1), "conv2d1"),
        (chain(width=3), "conv2d2"),
        (chain(depth=0), "linear1"),
        (chain(stride=2), "conv2d2"),
        (chain(activation="silu"), "activation1"),
    ],
)
def test_another_chain_parts_at_its_first_other_layer(child: Workload, where: str) -> None:
    parent = chain(depth=2) if where == "linear1" else chain()
    found, difference = carried(parent, child, np.random.default_rng(0))
    assert found.parts
    if where != "linear1":
        assert found.parts.startswith(where)
    assert difference > 1e-6


def test_a_smaller_layer_keeps_the_first_channels_and_the_middle_of_its_kernel() -> None:
    parent, child, rng = chain(kernel=5), chain(kernel=3, width=3), np.random.default_rng(0)
    state = arrays(trained_like(parent, rng))
    found = follow(parent, state, child, arrays(trained_like(child, rng)), paired(parent, child), rng=rng).state
    assert np.array_equal(found["layers.1.weight"], state["layers.1.weight"][:3, :, 1:4, 1:4])
    assert np.array_equal(found["layers.4.weight"], state["layers.4.weight"][:3, :3, 1:4, 1:4])
    assert np.array_equal(found["layers.5.running_var"], state["layers.5.running_var"][:3])
    assert np.array_equal(found["layers.9.weight"], state["layers.9.weight"][:, :3])


def test_what_a_training_keeps_beside_its_weights_is_not_carried_over() -> None:
    state, rng = arrays(trained_like(chain(), np.random.default_rng(0))), np.random.default_rng(0)
    fresh, pairs = arrays(trained_like(chain(width=6), rng)), paired(chain(), chain(width=6))
    found = follow(chain(), {**state, "curve": np.ones(3)}, chain(width=6), fresh, pairs, rng=rng)
    assert found.parts == ""
    assert set(found.state) == set(fresh)


def branched(*, skip: bool = False, join: bool = False) -> Workload:
    net = Builder("branched", (1, 1, 8, 8))
    x = net.conv_norm_act(net.input, 4, 3)
    y = net.conv_norm_act(x, 4, 3)
    if skip:
        y = net.residual(y, net.conv_norm_act(x, 4, 1, activation=None))
    if join:
        y = net.add(Concat(axis=1), y, net.conv_norm_act(x, 2, 3))
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), y)), 10))


@pytest.mark.parametrize("kind", ["skip", "join"])
def test_a_new_branch_starts_at_zero(kind: str) -> None:
    found, difference = carried(branched(), branched(**{kind: True}), np.random.default_rng(1))
    assert (found.parts, difference < 1e-9) == ("", True)


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_what_is_new_may_come_first(first: bool, separable: bool) -> None:
    """A decoder that reads a skip beside what it has read: the parent's layer says which of the two is not new."""

    def network(*, skip: bool) -> Workload:
        net = Builder("decoder", (1, 1, 8, 8))
        x = net.conv_norm_act(net.input, 4, 3)
        y = net.conv_norm_act(x, 4, 3)
        if skip:
            y = net.add(Concat(axis=1), *((x, y) if first else (y, x)))
        if separable:
            y = net.conv_norm_act(y, net.shape(y)[1], 3, groups=net.shape(y)[1])
        y = net.conv_norm_act(y, 6, 3)
        return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), y)), 10))

    found, difference = carried(network(skip=False), network(skip=True), np.random.default_rng(0))
    assert (found.parts, difference < 1e-9) == ("", True)


def test_an_identity_beside_a_layer_changes_the_function() -> None:
    def network(*, residual: bool) -> Workload:
        net = Builder("residual", (1, 1, 8, 8))
        x = net.conv_norm_act(net.input, 4, 3)
        y = net.conv_norm_act(x, 4, 3)
        return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), net.residual(x, y) if residual else y)), 10))

    found, difference = carried(network(residual=False), network(residual=True), np.random.default_rng(0))
    assert "cannot start at zero" in found.parts
    assert difference > 1e-6


def test_layers_are_paired_across_other_numbers() -> None:
    """A layer more in the first of two stages renames all behind it."""

    def stages(first: int) -> Workload:
        net = Builder("stages", (1, 1, 8, 8))
        x = net.input
        for width, depth, stride in ((4, first, 1), (6, 2, 2)):
            for layer in range(depth):
                x = net.conv_norm_act(x, width, 3, stride=stride if layer == 0 else 1)
        return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))

    pairs = paired(stages(1), stages(2))
    assert [pairs.get(f"conv2d{i}") for i in (1, 2, 3, 4)] == ["conv2d1", None, "conv2d2", "conv2d3"]
    assert [pairs.get(f"norm{i}") for i in (1, 2, 3, 4)] == ["norm1", None, "norm2", "norm3"]
    assert paired(stages(2), stages(1)) == {own: was for was, own in pairs.items()}


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_shared_weights_against_a_plain_twin(data: st.DataObject) -> None:
    """y = w x for every x, with copies at both ends: summed by hand over what stands for a channel."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    groups, rows, columns = (data.draw(st.integers(1, 3)) for _ in range(3))
    noise = data.draw(st.sampled_from([0.0, 0.5, 0.9]))
    weights = rng.normal(size=(groups * rows, columns, 1, 1))

    def index(size: int) -> np.ndarray:
        blocks = [np.concatenate([np.arange(size), rng.integers(size, size=2)]) + g * size for g in range(groups)]
        return np.concatenate(blocks)

    leaving, entering = index(rows), index(columns)
    taken, whole = grouped(weights, leaving, entering, groups, rng, noise)
    assert whole
    x = rng.normal(size=groups * columns)
    reads, makes = columns + 2, rows + 2
    for place, row in enumerate(leaving):
        group = place // makes
        got = sum(taken[place, i, 0, 0] * x[entering[group * reads + i]] for i in range(reads))
        want = sum(weights[row, i, 0, 0] * x[group * columns + i] for i in range(columns))
        assert got == pytest.approx(want, rel=1e-9, abs=1e-9)


def test_a_channel_that_is_not_read_is_told() -> None:
    weights, rng = np.ones((2, 3)), np.random.default_rng(0)
    taken, whole = shared(weights, np.arange(2), np.array([0, 2, -1]), rng, 0.0)
    assert (taken.tolist(), whole) == ([[1, 1, 0], [1, 1, 0]], False)


@pytest.mark.parametrize(("leaving", "entering"), [([0, 3, 2, 3], [0, 1]), ([0, 1, 2, 3], [1, 0])])
def test_channels_that_leave_their_group_are_told(leaving: list[int], entering: list[int]) -> None:
    """Two groups of one input and two outputs each."""
    weights, rng = np.arange(1.0, 5.0).reshape(4, 1), np.random.default_rng(0)
    assert grouped(weights, np.arange(4), np.arange(2), 2, rng, 0.0)[1]
    assert not grouped(weights, np.array(leaving), np.array(entering), 2, rng, 0.0)[1]


def test_a_sum_of_tensors_with_other_copies_is_not_equal() -> None:
    """Two concatenations that grow in other places: their sum adds channels that do not belong together."""

    def network(first: int, second: int, third: int, fourth: int) -> Workload:
        net = Builder("sums", (1, 1, 8, 8))
        parts = [net.conv_norm_act(net.input, width, 3) for width in (first, second, third, fourth)]
        x = net.residual(net.add(Concat(axis=1), *parts[:2]), net.add(Concat(axis=1), *parts[2:]))
        return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))

    found, difference = carried(network(2, 3, 3, 2), network(2, 4, 4, 2), np.random.default_rng(0))
    assert found.parts.startswith("elementwise1")
    assert difference > 1e-6


@pytest.mark.parametrize(("size", "kept"), [(5, [0, 1, 2, 3, 0]), (1, [2]), (2, [1, 2])])
def test_kernels_grow_and_shrink_about_their_middle(size: int, kept: list[int]) -> None:
    assert fitted(np.array([1, 2, 3]).reshape(1, 1, 1, 3), (1, size)).reshape(-1).tolist() == kept


def test_value_ranges_hold_what_a_network_computes() -> None:
    net = Builder("ranges", (4, 1, 8, 8))
    x = net.add(Activation("relu6"), net.add(Conv2d.square(4, 3), net.input))
    y = net.add(Activation("hardtanh"), x)
    z = net.residual(net.add(Pool2d("avg", 3, 1, 1), x), y)
    workload = net.finish(net.linear(net.flatten(net.add(Activation("relu"), z)), 2))
    ranges = value_ranges(workload)
    assert (ranges[x], ranges[y], ranges[z]) == ((0, 6), (-1, 1), (-1, 7))
