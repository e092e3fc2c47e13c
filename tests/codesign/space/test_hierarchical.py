"""Hierarchical cells: the conformance suite, sizes, canonical points, a twin in torch, moves on all levels."""

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
from codesign.space.hierarchical import HierarchicalSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError


class TestPublished(SpaceSuite):
    points = 4

    def make(self) -> HierarchicalSpace:
        return HierarchicalSpace(channels=2, input_shape=(3, 8, 8), classes=3)


class TestThreeLevels(SpaceSuite):
    points = 6

    def make(self) -> HierarchicalSpace:
        return HierarchicalSpace(
            nodes=(3, 3, 4), motifs=(3, 2), join="add", channels=4, stages=2, input_shape=(1, 9, 6)
        )


class TestFlat(SpaceSuite):
    points = 4

    def make(self) -> HierarchicalSpace:
        return HierarchicalSpace(nodes=(11,), motifs=(), join="add", channels=4, stages=1, input_shape=(1, 8, 8))


def test_sizes_follow_from_the_published_settings() -> None:
    """Six operations or none on the 6 edges of each of 6 motifs, six motifs or none on the 10 edges of the cell; the
    flat representation of 11 nodes has "a comparable number of edges" [Liu et al. 2018, section 4.1]."""
    assert HierarchicalSpace().size == 7**36 * 7**10
    assert HierarchicalSpace(nodes=(11,), motifs=()).size == 7**55


# m2.0: 1x1 convolution, then depthwise; m2.1: separable beside pooling; in the cell m2.0 on two edges.
PAIR = [
    [{(0, 1): 1, (1, 2): 2}, {(0, 1): 4, (0, 2): 3, (1, 2): 6}],
    [{(0, 1): 1, (0, 2): 1, (1, 2): 2}],
]


def pair_space() -> HierarchicalSpace:
    return HierarchicalSpace(nodes=(3, 3), motifs=(2,), channels=4, stages=2, input_shape=(3, 8, 8), classes=5)


def norm(channels: int) -> int:
    return 2 * channels


def test_parameters_by_hand() -> None:
    space = pair_space()
    point = space.point_of(PAIR)
    assert space.valid(point[None]).all()
    assert space.describe(point) == (
        "m2.0 0>1:conv1 1>2:dw3 | m2.1 0>1:max3 0>2:sep3 1>2:skip | cell 0>1:m2.0 0>2:m2.0 1>2:m2.1"
    )

    def cell(c: int) -> int:
        """Behind `c` channels, of which it makes 2 c."""
        first = c * c + norm(c) + 9 * c + norm(c) + c * c + norm(c)
        second = 9 * c + norm(c) + c * c + norm(c) + 2 * c * c + norm(c)
        return 2 * first + second

    reduction = 9 * 8 + norm(8) + 8 * 8 + norm(8)
    assert space.workload(point).parameters == 27 * 4 + norm(4) + cell(4) + reduction + cell(8) + 16 * 5 + 5


class _Cell(nn.Module):
    """The cell of PAIR by hand."""

    def __init__(self, c: int) -> None:
        super().__init__()

        def motif() -> nn.Sequential:
            return nn.Sequential(conv(c, c, 1), conv(c, c, 3, groups=c), conv(c, c, 1))

        self.inner, self.outer = motif(), motif()
        self.separable = nn.Sequential(conv(c, c, 3, groups=c), conv(c, c, 1))
        self.joint = conv(2 * c, c, 1)

    def parts(self) -> list[nn.Sequential]:
        return [*self.inner, *self.outer, *self.separable, self.joint]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        pooled = torch.nn.functional.max_pool2d(y, 3, 1, 1)
        return torch.cat([self.outer(x), self.joint(torch.cat([self.separable(y), pooled], 1))], 1)


def conv(entering: int, leaving: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(entering, leaving, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(leaving), nn.ReLU())


def test_the_twin_in_torch_gives_the_same_scores() -> None:
    space = pair_space()
    network = to_module(space.workload(space.point_of(PAIR))).eval()
    stem, reduction, head = conv(3, 4, 3), [conv(8, 8, 3, 2, 8), conv(8, 8, 1)], nn.Linear(16, 5)
    cells = [_Cell(4), _Cell(8)]
    parts = [stem, *cells[0].parts(), *reduction, *cells[1].parts()]
    own = [layer for part in parts for layer in part if not isinstance(layer, nn.ReLU)] + [head]
    layers = [layer for layer in network.layers.values() if not isinstance(layer, nn.MaxPool2d | nn.AvgPool2d)]
    for twin, made in zip(own, layers, strict=True):
        twin.load_state_dict(made.state_dict())
        twin.eval()
    torch.manual_seed(0)
    images = torch.randn(3, 3, 8, 8)
    x = cells[1](nn.Sequential(*reduction)(cells[0](stem(images))))
    assert torch.allclose(network(images), head(x.mean((2, 3))), atol=1e-6)


class _Classes:
    """Isomorphism classes of motifs, level by level, by networkx."""

    def __init__(self) -> None:
        self._known: list[list[nx.DiGraph]] = []

    def of(self, space: HierarchicalSpace, point: np.ndarray) -> int:
        """The class of the cell, -1 without a path."""
        below = list(range(len(space.operations)))
        for level, motifs in enumerate(space._written(point)):
            if level == len(self._known):
                self._known.append([])
            below = [self._class(level, motif, below, space.nodes[level]) for motif in motifs]
        return below[0]

    def _class(self, level: int, motif: dict, below: list[int], nodes: int) -> int:
        graph = nx.DiGraph()
        graph.add_nodes_from((node, {"end": node if node in (0, nodes - 1) else -1}) for node in (0, nodes - 1))
        graph.add_edges_from(
            (i, j, {"on": below[there - 1]}) for (i, j), there in motif.items() if below[there - 1] >= 0
        )
        kept = (nx.descendants(graph, 0) | {0}) & (nx.ancestors(graph, nodes - 1) | {nodes - 1})
        graph = nx.DiGraph(graph.subgraph(kept))
        if not graph.edges:
            return -1
        for i, other in enumerate(self._known[level]):
            if nx.is_isomorphic(
                graph,
                other,
                node_match=lambda a, b: a.get("end", -1) == b.get("end", -1),
                edge_match=lambda a, b: a == b,
            ):
                return i
        self._known[level].append(graph)
        return len(self._known[level]) - 1


@pytest.mark.parametrize(
    ("nodes", "motifs", "operations", "points"),
    [((4, 3), (1,), ("conv1",), None), ((3, 4), (2,), ("conv1",), 1500), ((4, 4), (2,), ("conv1", "skip"), 400)],
)
def test_canonical_points_are_classes_of_nested_isomorphism(nodes, motifs, operations, points) -> None:
    space = HierarchicalSpace(nodes=nodes, motifs=motifs, operations=operations, channels=2, stages=1)
    drawn = np.random.default_rng(0).integers(0, space.cardinalities, size=(points or 1, space.n_genes))
    drawn = drawn if points else space.enumerate()
    classes = _Classes()
    found = np.array([classes.of(space, point) for point in drawn])
    assert np.array_equal(space.valid(drawn), found >= 0)
    canonical = [tuple(point) for point in space.canonical(drawn[found >= 0])]
    pairs = set(zip(canonical, found[found >= 0].tolist(), strict=True))
    assert len(pairs) == len(set(canonical)) == len(set(found[found >= 0].tolist()))


def test_unused_equal_and_empty_motifs_change_nothing() -> None:
    space = HierarchicalSpace(nodes=(3, 3), motifs=(3,), channels=2, stages=1)
    first = space.point_of([[{(0, 2): 1}, {}, {(0, 1): 3}], [{(0, 2): 1}]])
    same = space.point_of([[{(0, 1): 1}, {(0, 2): 1}, {(0, 2): 1}], [{(0, 2): 3}]])
    assert np.array_equal(*space.canonical(np.stack([first, same])))
    assert space.describe(first) == space.describe(same) == "m2.0 0>2:conv1 | cell 0>2:m2.0"
    cut = space.point_of([[{(0, 2): 1}, {(0, 1): 1}], [{(0, 2): 2}]])  # by a motif without a path
    assert not space.valid(cut[None]).any()
    assert space.describe(cut) == "no path"
    with pytest.raises(SpecError, match="no path"):
        space.workload(cut)


def test_mutation_draws_the_level_first() -> None:
    """The cell has 10 of 46 edges and half of the mutants: 2,000 draws, standard deviation 0.011."""
    space, rng = HierarchicalSpace(channels=2, stages=1), np.random.default_rng(0)
    parents = space.sample(2000, rng)
    changed = space.mutate(parents, rng) != parents
    assert (changed.sum(axis=1) <= 1).all()
    assert changed.any(axis=1).mean() > 0.98  # an invalid mutant keeps its parent
    assert 0.45 < changed[:, 36:].sum() / changed.sum() < 0.55


@pytest.mark.parametrize("join", ["add", "concat"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (2, 5, 1), (1, 1, 1)])
def test_images_of_any_shape(shape: tuple[int, int, int], join: str) -> None:
    space = HierarchicalSpace(nodes=(3, 4), motifs=(3,), join=join, channels=4, cells=2, input_shape=shape)
    for point in space.sample(3, np.random.default_rng(3)):
        workload = space.workload(point)
        network = to_module(workload).eval()
        assert sum(parameter.numel() for parameter in network.parameters()) == workload.parameters
        values = network.run([torch.zeros(workload.input_shapes[0])])
        assert all(tuple(values[node.name].shape) == node.shape for node in workload)


def test_settings_reach_the_space_and_mistakes_are_one_line() -> None:
    digits = load("digits")
    space = SPACES.parse({"space": "hierarchical", "nodes": [3, 3], "motifs": [2]}, "run").make(digits)
    for point in space.sample(3, np.random.default_rng(0)):
        check_fit(space.workload(point), digits)
    with pytest.raises(SpecError, match="conv1"):
        HierarchicalSpace(operations=("conv11",))
    with pytest.raises(SpecError, match="without repeats"):
        HierarchicalSpace(operations=("max3", "max3"))
    with pytest.raises(SpecError, match="motifs"):
        HierarchicalSpace(nodes=(4, 4, 5), motifs=(6,))
    with pytest.raises(SpecError, match="motifs of a level: 3"):
        HierarchicalSpace(motifs=(2,)).point_of([[{(0, 3): k} for k in (1, 2, 3)], [{}]])
