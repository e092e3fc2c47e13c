"""Morphisms: a larger network computes the same function, in every space, or is refused in one line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.network.morphism.moves import Morph, deeper, larger_kernel, wider, with_skip
from hwmodels.errors import SpecError
from hwmodels.workload import ops
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Concat, Conv2d, Norm, Pool2d, Rearrange
from hwmodels.workload.ops.row import channels_of
from tests.codesign.network.morphism.trained_like import SPACES, apart, arrays, network_of, trained_like, with_state

MOVES = ("wider", "deeper", "with_skip", "larger_kernel")


def moved(move: str, workload: Workload, state: object, place: float, rng: np.random.Generator) -> Morph:
    """A move at a layer drawn among those of its kind."""
    nodes = list(workload)
    if move == "larger_kernel":
        nodes = [node for node in nodes if isinstance(node.operator, Conv2d)]
    node = nodes[int(place * len(nodes))]
    if move == "wider":
        more = int(rng.integers(1, 5)) * 4
        return wider(workload, state, node.name, channels_of(node.shape) + more, rng=rng, noise=float(rng.random()))
    if move == "deeper":
        return deeper(workload, state, node.name, rng=rng, kernel=int(rng.choice([1, 3, 5])))
    if move == "with_skip":
        images = [other.name for other in nodes if len(other.shape) == 4]
        source, layer = np.sort(rng.choice(len(images), 2, replace=False))
        return with_skip(workload, state, images[source], images[layer], rng=rng, kernel=int(rng.choice([1, 3])))
    return larger_kernel(workload, state, node.name, node.operator.kernel[0] + 2 * int(rng.integers(1, 3)), rng=rng)


@pytest.mark.parametrize("space", SPACES)
@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    moves=st.lists(st.tuples(st.sampled_from(MOVES), st.floats(0, 1, exclude_max=True)), min_size=1, max_size=3),
)
def test_outputs_stay_over_any_chain_of_moves(space: str, seed: int, moves: list[tuple[str, float]]) -> None:
    rng = np.random.default_rng(seed)
    workload = network_of(space, rng)
    network = trained_like(workload, rng)
    morph = Morph(workload, arrays(network))
    for move, place in moves:
        try:
            morph = moved(move, *morph, place, rng)
        except SpecError:
            continue
    assert (morph.workload.parameters > workload.parameters) == (morph.workload is not workload)
    assert apart(network, with_state(*morph)) < 1e-9


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("move", MOVES)
def test_outputs_stay_in_single_precision(space: str, move: str) -> None:
    rng, worst, done = np.random.default_rng(5), 0.0, 0
    for _ in range(3):
        workload = network_of(space, rng)
        network = trained_like(workload, rng, torch.float32)
        try:
            morph = moved(move, workload, arrays(network), float(rng.random()), rng)
        except SpecError:
            continue
        done += 1
        worst = max(worst, apart(network, with_state(*morph, torch.float32)))
    assert done
    assert worst < 1e-6


def convolutions(workload: Workload) -> list[str]:
    return [node.name for node in workload if isinstance(node.operator, Conv2d)]


@pytest.mark.parametrize("space", ["chain", "branches", "joined", "mobile"])
def test_every_convolution_can_grow(space: str) -> None:
    """By its own number of channels, and to any kernel: nothing of these spaces is refused."""
    rng = np.random.default_rng(2)
    workload = network_of(space, rng)
    network = trained_like(workload, rng)
    for layer in convolutions(workload)[::3]:
        double = 2 * channels_of(workload[layer].shape)
        for morph in (
            wider(workload, arrays(network), layer, double, rng=rng),
            larger_kernel(workload, arrays(network), layer, workload[layer].operator.kernel[0] + 2, rng=rng),  # type: ignore[attr-defined]
            deeper(workload, arrays(network), layer, rng=rng),
        ):
            assert apart(network, with_state(*morph)) < 1e-9


def small(build: Callable[[Builder], str]) -> Workload:
    net = Builder("small", (1, 2, 6, 6))
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), build(net))), 3))


def test_what_meets_in_a_sum_grows_together() -> None:
    def build(net: Builder) -> str:
        x = net.conv_norm_act(net.input, 4, 3)
        return net.residual(x, net.conv_norm_act(x, 4, 3, groups=4))

    workload, rng = small(build), np.random.default_rng(0)
    grown = wider(workload, arrays(trained_like(workload, rng)), "conv2d2", 7, rng=rng).workload
    assert [grown[name].shape[1] for name in ("conv2d1", "conv2d2", "elementwise1")] == [7, 7, 7]
    assert grown["conv2d2"].operator.groups == 7  # type: ignore[attr-defined]
    assert grown["linear1"].operator == workload["linear1"].operator


def test_a_concatenation_alone_is_refused_and_not_left_as_it_is() -> None:
    net = Builder("joined", (1, 1, 8, 8))
    left, right = (net.add(Conv2d.square(3, 1), net.input) for _ in range(2))
    pooled = net.add(Pool2d("max", 2), net.add(Concat(), left, right))
    joined = net.finish(net.linear(net.flatten(pooled), 4))
    rng = np.random.default_rng(0)
    for layer in ("concat1", "pool2d1"):
        with pytest.raises(SpecError, match="bring together"):
            wider(joined, arrays(trained_like(joined, rng)), layer, 8, rng=rng)
    assert wider(joined, arrays(trained_like(joined, rng)), "conv2d1", 5, rng=rng).workload["concat1"].shape[1] == 8


def test_what_a_concatenation_is_summed_with_grows_with_it() -> None:
    """As NAS-Bench-101's projection beside its joined vertices, whichever of them comes first."""

    def build(net: Builder) -> str:
        projected = net.conv_norm_act(net.input, 5, 1)
        parts = [net.conv_norm_act(net.input, width, 3) for width in (2, 3)]
        return net.residual(projected, net.add(Concat(axis=1), *parts))

    workload, rng = small(build), np.random.default_rng(0)
    network = trained_like(workload, rng)
    morph = wider(workload, arrays(network), "conv2d2", 4, rng=rng)
    assert morph.workload["conv2d1"].shape[1] == 7
    assert apart(network, with_state(*morph)) < 1e-9


@pytest.mark.parametrize("groups", [2, 4])
def test_grouped_convolutions_and_shuffles_grow_within_their_groups(groups: int) -> None:
    def build(net: Builder) -> str:
        x = net.conv_norm_act(net.input, 8, 1)
        x = net.conv_norm_act(x, 8, 3, groups=groups)
        x = net.add(Rearrange("channel shuffle", net.shape(x)), x)
        return net.conv_norm_act(net.conv_norm_act(x, 8, 3, groups=8), 8, 1, groups=groups)

    workload, rng = small(build), np.random.default_rng(0)
    network = trained_like(workload, rng)
    for layer in ("conv2d1", "conv2d2", "conv2d3", "conv2d4"):
        morph = wider(workload, arrays(network), layer, 16, rng=rng, noise=0.5)
        assert apart(network, with_state(*morph)) < 1e-9


def test_flattened_channels_are_read_pixel_by_pixel() -> None:
    net = Builder("flat", (1, 1, 6, 6))
    workload = net.finish(net.linear(net.linear(net.flatten(net.conv_norm_act(net.input, 3, 3)), 8), 3))
    rng = np.random.default_rng(0)
    network = trained_like(workload, rng)
    for layer, size in (("conv2d1", 5), ("linear1", 11)):
        morph = wider(workload, arrays(network), layer, size, rng=rng)
        assert apart(network, with_state(*morph)) < 1e-9


def test_copies_of_a_channel_share_its_weights_and_noise_parts_them() -> None:
    """Net2WiderNet's example: a channel that stands there twice is read at half its weight."""
    net = Builder("two", (1, 3))
    workload = net.finish(net.linear(net.add(Activation("relu"), net.linear(net.input, 1)), 2))
    state, rng = arrays(trained_like(workload, np.random.default_rng(3))), np.random.default_rng(0)
    even = wider(workload, state, "linear1", 2, rng=rng).state
    np.testing.assert_array_equal(even["layers.1.weight"], np.repeat(state["layers.1.weight"], 2, axis=0))
    np.testing.assert_allclose(even["layers.3.weight"], np.repeat(state["layers.3.weight"], 2, axis=1) / 2)
    apart_by = wider(workload, state, "linear1", 2, rng=rng, noise=0.5).state["layers.3.weight"]
    np.testing.assert_allclose(apart_by.sum(axis=1, keepdims=True), state["layers.3.weight"])
    assert np.abs(apart_by[:, 0] - apart_by[:, 1]).min() > 0


def test_a_new_batch_norm_undoes_itself_in_training_too() -> None:
    """With the statistics of what it reads, on the images that they were measured on."""
    workload, rng = small(lambda net: net.conv_norm_act(net.input, 4, 3)), np.random.default_rng(0)
    network = trained_like(workload, rng)
    images = torch.randn((16, 2, 6, 6), dtype=torch.float64)
    with torch.no_grad():
        values = network.run([images])["activation1"]
    mean, variance = values.mean(dim=(0, 2, 3)).numpy(), values.var(dim=(0, 2, 3), unbiased=False).numpy()
    told = {"activation1": (mean, variance)}
    morph = deeper(workload, arrays(network), "activation1", rng=rng, statistics=told)
    grown = with_state(*morph)
    assert apart(network, grown) < 1e-9
    layer = grown.operation("activation1_deeper2")
    layer.train()  # type: ignore[attr-defined]
    with torch.no_grad():
        again = grown.run([images])
    torch.testing.assert_close(again["activation1_deeper2"], again["activation1"])


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (lambda w, s, r: wider(w, s, "conv2d9", 9, rng=r), "did you mean conv2d2?"),
        (lambda w, s, r: wider(w, s, "conv2d1", 4, rng=r), "more than its 4"),
        (lambda w, s, r: wider(w, s, "linear1", 9, rng=r), "an output of the network"),
        (lambda w, s, r: wider(w, s, "input", 9, rng=r), "an input or an output"),
        (lambda w, s, r: wider(w, s, "norm2", 9, rng=r), "norm2"),
        (lambda w, s, r: larger_kernel(w, s, "conv2d1", 4, rng=r), "even number"),
        (lambda w, s, r: larger_kernel(w, s, "norm1", 5, rng=r), "a convolution"),
        (lambda w, s, r: deeper(w, s, "activation1", rng=r), "silu, which is not idempotent"),
        (lambda w, s, r: deeper(w, s, "norm1", rng=r, kernel=4), "odd"),
        (lambda w, s, r: with_skip(w, s, "norm2", "norm1", rng=r), "before it"),
        (lambda w, s, r: with_skip(w, s, "norm1", "linear1", rng=r), "images"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(move: Callable[..., Morph], words: str) -> None:
    def build(net: Builder) -> str:
        x = net.conv_norm_act(net.input, 4, 3, activation="silu")
        return net.add(Norm("group"), net.add(Conv2d.square(4, 1), x))

    workload, rng = small(build), np.random.default_rng(0)
    state = arrays(trained_like(workload, rng))
    before = {name: value.copy() for name, value in state.items()}
    with pytest.raises(SpecError) as refused:
        move(workload, state, rng)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert all(np.array_equal(state[name], value) for name, value in before.items())


def test_the_layer_before_a_smooth_activation_can_be_doubled() -> None:
    workload = small(lambda net: net.conv_norm_act(net.input, 4, 3, activation="silu"))
    rng = np.random.default_rng(0)
    network = trained_like(workload, rng)
    morph = deeper(workload, arrays(network), "norm1", rng=rng)
    assert sum(isinstance(node.operator, ops.Conv2d) for node in morph.workload) == 2
    assert apart(network, with_state(*morph)) < 1e-9
