"""Networks of neurons: the conformance suite, answers by hand, one name for equal networks, and moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.registry import SPACES
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from codesign.space.neurons import NeuronSpace
from codesign.space.synapses import Layout, Synapses, canonical_order, depths, expressed, open_pairs, topological
from codesign.testing.space import SpaceSuite
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.workload.ops import Linear

LAYOUT = Layout(2, 1)  # inputs 0 and 1, bias 2, output 3, hidden neurons from 4


class TestNumbers(SpaceSuite):
    def make(self) -> NeuronSpace:
        return NeuronSpace(connections=9, hidden=4, output="tanh", input_shape=(3, 1, 1), outputs=2)


class TestImages(SpaceSuite):
    def make(self) -> NeuronSpace:
        return NeuronSpace(connections=20, hidden=3, levels=33, input_shape=(1, 4, 4), outputs=3)


def exclusive_or(space: NeuronSpace) -> np.ndarray:
    """Or, and, and their difference; one connection disabled and one to a neuron that nothing reads."""
    level = {weight: int(np.abs(space.weights - weight).argmin()) for weight in (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)}
    rows = [
        (0, 4, level[2.0], True), (1, 4, level[2.0], True), (2, 4, level[-1.0], True),  # or
        (0, 5, level[1.0], True), (1, 5, level[1.0], True), (2, 5, level[-2.0], True), (4, 5, level[1.0], False),
        (4, 3, level[4.0], True), (5, 3, level[-4.0], True), (2, 3, level[-2.0], True), (0, 6, level[1.0], True),
    ]  # fmt: skip
    return space.point_of(Synapses.of(rows))


@pytest.mark.parametrize("output", ["linear", "sigmoid", "tanh"])
def test_answers_are_those_of_the_equations(output: str) -> None:
    space = NeuronSpace(connections=12, hidden=4, output=output)  # type: ignore[arg-type]
    items = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)
    told = space.answers(exclusive_or(space), items)[:, 0]

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-4.9 * x))

    total = items.sum(axis=1)
    x = 4 * sigmoid(2 * total - 1) - 4 * sigmoid(total - 2) - 2
    expected = {"linear": x, "sigmoid": sigmoid(x), "tanh": 2 * sigmoid(x) - 1}[output]
    assert told == pytest.approx(expected)
    assert ((expected > (0.5 if output == "sigmoid" else 0)) == [False, True, True, False]).all()


def test_a_level_is_a_matrix_over_the_tensors_that_it_reads() -> None:
    space = NeuronSpace(connections=12, hidden=4, batch=5)
    workload = space.workload(exclusive_or(space))
    # Two neurons over two inputs, then the output over both of them: biases are parameters, the silent rest is gone.
    assert workload.macs == 5 * (2 * 2 + 2 * 1)
    assert workload.parameters == (2 * 2 + 2) + (2 + 1)
    matrices = space.matrices(exclusive_or(space))
    assert [weight.shape for weight, _ in matrices] == [(2, 2), (1, 2)]
    assert sorted(matrices[0][1].tolist()) == pytest.approx([-2 * 4.9, -1 * 4.9])
    skipped = Synapses.of([(0, 4, 0, True), (4, 5, 0, True), (5, 3, 0, True), (1, 3, 0, True)])
    shapes = [weight.shape for weight, _ in space.matrices(space.point_of(skipped))]
    assert shapes == [(1, 2), (1, 1), (1, 3)]  # the output reads an input, too: both inputs are its tensor


def test_what_nothing_reaches_is_silent_and_an_output_of_nothing_is_a_row_of_zeros() -> None:
    space = NeuronSpace(connections=4, hidden=2)
    silent = space.point_of(Synapses.of([(4, 3, space.unit, True)]))
    assert space.answers(silent, np.ones((3, 2))).tolist() == [[0.0]] * 3
    assert space.describe(silent) == "nothing connected"
    assert sum(isinstance(node.operator, Linear) for node in space.workload(silent)) == 1
    assert not space.canonical(silent[None]).any()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_networks_equal_after_a_renumbering_are_one(seed: int) -> None:
    space, rng = NeuronSpace(connections=14, hidden=5, levels=3), np.random.default_rng(seed)
    point = space.sample(1, rng)[0]
    synapses = space.synapses_of(point)
    names = {neuron: 4 + int(i) for neuron, i in zip(synapses.hidden(LAYOUT), rng.permutation(5), strict=False)}
    order = rng.permutation(len(synapses.levels))
    renamed = Synapses.of(
        (names.get(source, source), names.get(target, target), level, on)
        for source, target, level, on in zip(*(column.tolist() for column in synapses.taken(order)), strict=True)
    )
    other = space.point_of(renamed)
    assert space.valid(other[None]).all()
    first, second = (space.canonical(one[None])[0] for one in (point, other))
    assert np.array_equal(first, second)
    items = rng.standard_normal((4, 2))
    assert space.answers(first, items) == pytest.approx(space.answers(point, items), abs=1e-12)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_open_pairs_are_those_that_close_no_cycle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = NeuronSpace(connections=7, hidden=4)
    synapses = space.synapses_of(space.sample(1, rng)[0])
    hidden, there = synapses.hidden(LAYOUT), set(synapses.pairs())
    found = []
    for source in (0, 1, 2, *hidden):
        for target in (3, *hidden):
            rows = [(*pair, 0, True) for pair in (*synapses.pairs(), (source, target))]
            try:
                topological(Synapses.of(rows), LAYOUT)
            except ValueError:
                continue
            if (source, target) not in there and source != target:
                found.append((source, target))
    assert open_pairs(synapses, LAYOUT) == found


def test_a_cycle_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        topological(Synapses.of([(4, 5, 0, True), (5, 4, 0, False)]), LAYOUT)


def test_depth_is_the_longest_way_and_the_order_follows_it() -> None:
    synapses = Synapses.of([(0, 6, 0, True), (6, 4, 0, True), (0, 4, 0, True), (4, 3, 0, True), (1, 5, 1, False)])
    assert depths(synapses, LAYOUT) == {5: 1, 6: 1, 4: 2}
    assert expressed(synapses, LAYOUT).tolist() == [True, True, True, True, False]
    assert canonical_order(synapses.taken(expressed(synapses, LAYOUT)), LAYOUT) == [6, 4]


def test_a_move_changes_one_thing_and_reaches_all_kinds() -> None:
    space, rng = NeuronSpace(connections=12, hidden=4), np.random.default_rng(0)
    start = exclusive_or(space)
    before = space.synapses_of(start)
    kinds = set()
    for mutant in space.mutate(np.repeat(start[None], 60, axis=0), rng):
        after = space.synapses_of(mutant)
        grown = len(after.levels) - len(before.levels), len(after.hidden(LAYOUT)) - len(before.hidden(LAYOUT))
        kinds.add(grown[0])
        assert grown[0] in (-1, 0, 1)  # no room for the two connections of a neuron more
    assert kinds == {-1, 0, 1}
    wide = NeuronSpace(connections=20, hidden=4)
    mutants = wide.mutate(np.repeat(exclusive_or(wide)[None], 60, axis=0), rng)
    assert {len(wide.synapses_of(one).levels) for one in mutants} == {10, 11, 12, 13}


def test_a_joint_space_draws_networks_as_they_draw_themselves() -> None:
    chip = device("systolic_edge")
    space = NeuronSpace(connections=32, hidden=8, input_shape=(1, 8, 8), outputs=10)
    joint = JointSpace(space, HardwareSpace(chip.model, chip.spec, {"array_rows": [16, 32]}))
    assert joint.valid(joint.sample(50, np.random.default_rng(0))).all()


@pytest.mark.parametrize(
    ("section", "words"),
    [({"levels": 4}, "levels: 4 is not odd"), ({"limit": 0}, "limit"), ({"output": "tan"}, "did you mean tanh?")],
)
def test_bad_settings_are_one_line(section: dict[str, object], words: str) -> None:
    from codesign.data import load

    with pytest.raises(SpecError) as caught:
        SPACES.parse({"space": "neurons", **section}, "architecture").make(load("digits"))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
