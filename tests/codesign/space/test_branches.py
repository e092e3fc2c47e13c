"""Networks of many branches: the conformance suite, a twin in torch, parameters by hand, moves, images of any shape."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn

from codesign.data import load
from codesign.estimate.train import check_fit
from codesign.network import to_module
from codesign.registry import SPACES
from codesign.space.branches import OPERATORS, BranchesSpace
from codesign.space.wiring import Wiring
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from tests.codesign.space.test_wiring import graph_of


class TestSums(SpaceSuite):
    def make(self) -> BranchesSpace:
        return BranchesSpace(channels=(4, 6), places=3, input_shape=(3, 9, 7), classes=3)


class TestConcatenations(SpaceSuite):
    points = 6

    def make(self) -> BranchesSpace:
        return BranchesSpace(channels=(4, 6, 8), places=2, operators=OPERATORS, join="concat", input_shape=(1, 8, 8))


def wiring(*layers: tuple[int, int, set[int]]) -> Wiring:
    return Wiring(*(tuple(column) for column in zip(*((op, at, frozenset(of)) for op, at, of in layers), strict=True)))


# 1:conv3<0 2:sep3<0 | 3:conv3<1,2 4:conv3<0,3, of which 4 is loose
FORK = wiring((0, 0, {0}), (1, 0, {0}), (0, 1, {1, 2}), (0, 1, {0, 3}))
SMALL = {"channels": (4, 6), "operators": ("conv3", "sep3"), "input_shape": (3, 8, 8), "classes": 5}


def norm(channels: int) -> int:
    return 2 * channels


def test_parameters_of_a_fork_by_hand() -> None:
    space = BranchesSpace(**SMALL)
    point = space.point_of(FORK)
    assert space.valid(point[None]).all()
    stem, first = 27 * 4 + norm(4), 9 * 4 * 4 + norm(4)
    separable = 9 * 4 + norm(4) + 4 * 4 + norm(4)
    fitted = 3 * (4 * 6 + norm(6))  # the stem and both layers of the first stage enter the second, each once
    second, head = 2 * (9 * 6 * 6 + norm(6)), 6 * 5 + 5
    assert space.workload(point).parameters == stem + first + separable + fitted + second + head


def test_layers_of_a_stage_that_read_one_before_it_share_its_projection() -> None:
    space = BranchesSpace(**SMALL)
    twins = wiring((0, 0, {0}), (0, 1, {1}), (0, 1, {1}))
    stem, first = 27 * 4 + norm(4), 9 * 4 * 4 + norm(4)
    fitted, second = 4 * 6 + norm(6), 2 * (9 * 6 * 6 + norm(6))
    assert space.workload(space.point_of(twins)).parameters == stem + first + fitted + second + 6 * 5 + 5


def test_a_concatenation_passes_a_convolution_and_the_output_does_not() -> None:
    space = BranchesSpace(**{**SMALL, "channels": (4,)}, join="concat")
    loose = wiring((0, 0, {0}), (0, 0, {0, 1}), (0, 0, {0}))  # 2 and 3 feed the output
    stem, layer, joint = 27 * 4 + norm(4), 9 * 4 * 4 + norm(4), 8 * 4 + norm(4)
    assert space.workload(space.point_of(loose)).parameters == stem + 3 * layer + joint + 8 * 5 + 5


class _Fork(nn.Module):
    """FORK by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.left = self.conv(3, 4, 3), self.conv(4, 4, 3)
        self.depthwise, self.pointwise = self.conv(4, 4, 3, groups=4), self.conv(4, 4, 1)
        self.from_left, self.from_right, self.from_stem = (self.conv(4, 6, 1) for _ in range(3))
        self.third, self.fourth, self.head = self.conv(6, 6, 3), self.conv(6, 6, 3), nn.Linear(6, 5)

    @staticmethod
    def conv(entering: int, leaving: int, kernel: int, groups: int = 1) -> nn.Sequential:
        conv = nn.Conv2d(entering, leaving, kernel, padding=kernel // 2, groups=groups, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(leaving))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def halved(y: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.avg_pool2d(y, 2, ceil_mode=True)

        stem = self.stem(x).relu()
        left, right = self.left(stem).relu(), self.pointwise(self.depthwise(stem).relu()).relu()
        third = self.third(self.from_left(halved(left)) + self.from_right(halved(right))).relu()
        fourth = self.fourth(self.from_stem(halved(stem)) + third).relu()
        return self.head(fourth.mean((2, 3)))


def test_the_twin_in_torch_gives_the_same_scores() -> None:
    space, twin = BranchesSpace(**SMALL), _Fork().eval()
    torch.manual_seed(0)
    network = to_module(space.workload(space.point_of(FORK))).eval()
    # The canonical order has the separable layer first: the twin's parts in that order.
    assert space.describe(space.point_of(FORK)) == "1:conv3<0 2:sep3<0 | 3:conv3<1,2 4:conv3<0,3"
    parts = [
        twin.stem, twin.left, twin.depthwise, twin.pointwise, twin.from_left, twin.from_right, twin.third,
        twin.from_stem, twin.fourth,
    ]  # fmt: skip
    layers = [layer for layer in network.layers.values() if not isinstance(layer, nn.AvgPool2d | nn.MaxPool2d)]
    for own, made in zip([*(one for part in parts for one in part), twin.head], layers, strict=True):
        own.load_state_dict(made.state_dict())
    images = torch.randn(3, 3, 8, 8)
    assert torch.allclose(network(images), twin(images), atol=1e-6)


def test_canonical_points_are_isomorphism_classes() -> None:
    """Every point of two stages of two places with one operator: 2^4 x 2^10."""
    space = BranchesSpace(channels=(2, 2), places=2, least=0, operators=("conv3",))
    assert space.size == 2**14
    wirings = {space.wiring_of(point) for point in space.enumerate()}
    canonical = {tuple(space.point_of(one)) for one in wirings}
    kept: list[nx.DiGraph] = []
    for one in wirings:
        graph = graph_of(one)
        if not any(nx.is_isomorphic(graph, other, node_match=lambda a, b: a == b) for other in kept):
            kept.append(graph)
    assert len(canonical) == len(kept)


def test_a_place_without_a_layer_passes_on_what_it_reads() -> None:
    space = BranchesSpace(channels=(4,), places=3, operators=("conv3",))
    base = dict.fromkeys((gene.name for gene in space.genes), 0)
    chain = space.encode({**base, "op1": "conv3", "op2": "none", "op3": "conv3"})
    assert space.describe(chain) == "1:conv3<0 2:conv3<1"
    both = space.encode({**base, "op1": "conv3", "op2": "none", "op3": "conv3", "0>2": 1, "1>2": 1})
    assert space.describe(both) == "1:conv3<0 2:conv3<0,1"
    other = space.encode({**base, "op1": "conv3", "op2": "none", "op3": "conv3", "0>2": 1, "1>2": 1, "0>3": 1})
    assert space.describe(other) == "1:conv3<0 2:conv3<0"


def layers(space: BranchesSpace, points: np.ndarray) -> np.ndarray:
    return np.array([len(space.wiring_of(point).operators) for point in points])


def test_mutants_have_a_layer_more_or_less_another_operator_or_edge() -> None:
    space = BranchesSpace(places=3)
    rng = np.random.default_rng(0)
    parents = space.canonical(space.sample(300, rng))
    mutants = space.mutate(parents, rng)
    assert space.valid(mutants).all()
    assert np.array_equal(space.canonical(mutants), mutants)
    more = layers(space, mutants) - layers(space, parents)
    assert set(more.tolist()) == {-1, 0, 1}
    assert (mutants != parents).any(axis=1).mean() > 0.9  # a move may meet an isomorphic graph
    bare = np.zeros((1, space.n_genes), np.int64)
    assert BranchesSpace(places=3, least=0).mutate(bare, rng).any()


def test_no_mutant_has_fewer_layers_than_asked() -> None:
    space, rng = BranchesSpace(places=2, least=3), np.random.default_rng(1)
    points = space.sample(100, rng)
    for _ in range(5):
        points = space.mutate(points, rng)
    assert (layers(space, points) >= 3).all()


def test_neighbours_add_and_remove_layers() -> None:
    space = BranchesSpace(places=3)
    point = space.canonical(space.sample(1, np.random.default_rng(2)))[0]
    own = layers(space, point[None])[0]
    assert 0 < own < 6
    assert {own - 1, own, own + 1} == set(layers(space, space.neighbours(point)).tolist())


@pytest.mark.parametrize("join", ["add", "concat"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 5, 1), (1, 1, 1)])
def test_images_of_any_shape(shape: tuple[int, int, int], join: str) -> None:
    space = BranchesSpace(channels=(4, 6, 8), places=2, join=join, input_shape=shape, operators=OPERATORS)
    for point in space.sample(4, np.random.default_rng(3)):
        workload = space.workload(point)
        network = to_module(workload).eval()
        assert sum(parameter.numel() for parameter in network.parameters()) == workload.parameters
        values = network.run([torch.zeros(workload.input_shapes[0])])
        assert all(tuple(values[node.name].shape) == node.shape for node in workload)


def test_settings_reach_the_space_and_mistakes_are_one_line() -> None:
    digits = load("digits")
    space = SPACES.parse({"space": "branches", "channels": [4, 8], "places": 2, "join": "concat"}, "run").make(digits)
    for point in space.sample(3, np.random.default_rng(0)):
        check_fit(space.workload(point), digits)
    with pytest.raises(SpecError, match="conv3"):
        BranchesSpace(operators=("conv33",))
    with pytest.raises(SpecError, match="without repeats"):
        BranchesSpace(operators=("max3", "max3"))
    with pytest.raises(SpecError, match="least: 9"):
        BranchesSpace(channels=(4, 4), places=4, least=9)
    with pytest.raises(SpecError, match="layers of a stage: 3"):
        BranchesSpace(places=2).point_of(wiring((0, 0, {0}), (0, 0, {1}), (0, 0, {2})))
