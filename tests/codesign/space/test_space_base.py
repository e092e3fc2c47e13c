"""What holds in every space: encode and decode, sampling, mutation, crossover, neighbours, enumeration."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.space.architecture import find_rows, unique_rows
from codesign.space.base import Gene, Genotypes, Space
from codesign.space.cell import CellSpace
from codesign.space.chain import ChainSpace
from codesign.space.hardware import HardwareSpace
from codesign.space.joint import JointSpace
from hwmodels.catalog import device
from hwmodels.errors import SpecError

EDGE = device("systolic_edge")
CELL, CHAIN = CellSpace(), ChainSpace()
HARDWARE = HardwareSpace(EDGE.model, EDGE.spec, {"array_rows": [8, 16, 32], "clock_hz": [1e8, 5e8], "max_bits": [8]})


class Ascending(Space):
    """Only ascending points are valid: an awkward quarter of the cube."""

    def valid(self, genotypes: Genotypes) -> np.ndarray:
        return super().valid(genotypes) & np.all(np.diff(genotypes, axis=1) > 0, axis=1)


SPACES = {
    "plain": Space([Gene("a", (1, 2, 3)), Gene("b", ("x",)), Gene("c", (True, False))]),
    "ascending": Ascending([Gene(name, tuple(range(6))) for name in "abc"]),
    "cell": CELL,
    "chain": CHAIN,
    "hardware": HARDWARE,
    "joint": JointSpace(CELL, HARDWARE),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=25, deadline=None)


@every_space
@quick
@given(seed=seeds, n=st.integers(0, 40))
def test_samples_are_valid_and_decode_to_themselves(space: Space, seed: int, n: int) -> None:
    points = space.sample(n, np.random.default_rng(seed))
    assert points.shape == (n, space.n_genes)
    assert points.dtype == np.int64
    assert space.valid(points).all()
    for point in points[:5]:
        assert np.array_equal(space.encode(space.decode(point)), point)
    assert np.array_equal(points, space.sample(n, np.random.default_rng(seed)))


@every_space
@quick
@given(seed=seeds, rate=st.one_of(st.none(), st.floats(0, 1)))
def test_mutants_are_valid_and_differ(space: Space, seed: int, rate: float | None) -> None:
    rng = np.random.default_rng(seed)
    parents = space.sample(20, rng)
    before = parents.copy()
    mutants = space.mutate(parents, rng, rate=rate)
    assert np.array_equal(parents, before)
    assert space.valid(mutants).all()
    changed = (mutants != parents).sum(axis=1)
    # An invalid mutant keeps its parent; where all points are valid at least one gene changes.
    if type(space) is Space:
        assert (changed >= 1).all()
        assert (mutants[:, space.cardinalities == 1] == parents[:, space.cardinalities == 1]).all()


def test_a_mutation_rate_of_zero_changes_exactly_one_gene_and_one_changes_all() -> None:
    parents = CHAIN.sample(500, np.random.default_rng(0))
    one = CHAIN.mutate(parents, np.random.default_rng(1), rate=0.0)
    assert ((one != parents).sum(axis=1) == 1).all()
    everything = CHAIN.mutate(parents, np.random.default_rng(1), rate=1.0)
    assert (everything != parents).all()


def test_mutants_reach_every_other_value_alike() -> None:
    """Chi square over the four other values of a gene; 3 degrees of freedom, 0.1 % point 16.3."""
    space = Space([Gene("a", tuple(range(5)))])
    mutants = space.mutate(np.full((8000, 1), 2), np.random.default_rng(0))
    counts = np.bincount(mutants[:, 0], minlength=5)
    assert counts[2] == 0
    assert (((counts[[0, 1, 3, 4]] - 2000) ** 2) / 2000).sum() < 16.3


def test_the_default_rate_changes_a_gene_or_so() -> None:
    parents = CHAIN.sample(4000, np.random.default_rng(0))
    changed = (CHAIN.mutate(parents, np.random.default_rng(1)) != parents).sum(axis=1)
    g = CHAIN.n_genes
    # G independent draws at 1/G, and one forced where none hits: mean 1 + (1 - 1/G)^G.
    assert changed.mean() == pytest.approx(1 + (1 - 1 / g) ** g, abs=0.05)


@every_space
@quick
@given(seed=seeds)
def test_children_take_every_gene_from_a_parent(space: Space, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = space.sample(20, rng), space.sample(20, rng)
    children = space.crossover(left, right, rng)
    assert space.valid(children).all()
    assert ((children == left) | (children == right)).all()


@every_space
@quick
@given(seed=seeds)
def test_neighbours_are_all_valid_points_at_distance_one(space: Space, seed: int) -> None:
    point = space.sample(1, np.random.default_rng(seed))[0]
    found = space.neighbours(point)
    assert ((found != point).sum(axis=1) == 1).all()
    assert space.valid(found).all()
    assert len(np.unique(found, axis=0)) == len(found)
    others = [
        np.where(np.arange(space.n_genes) == i, value, point)
        for i, count in enumerate(space.cardinalities)
        for value in range(count)
        if value != point[i]
    ]
    assert len(found) == int(space.valid(np.array(others)).sum())


@pytest.mark.parametrize("name", ["plain", "ascending", "cell", "hardware"])
def test_enumeration_covers_the_space_once(name: str) -> None:
    space = SPACES[name]
    points = space.enumerate()
    assert len(points) == space.size == prod(space.cardinalities.tolist())
    assert len(np.unique(points, axis=0)) == space.size
    assert (points[0] == 0).all()
    assert np.array_equal(points[-1], space.cardinalities - 1)
    assert np.array_equal(points, points[np.lexsort(points.T[::-1])])


def test_sampling_is_uniform_over_the_valid_points() -> None:
    """20 ascending points of 216; chi square with 19 degrees of freedom, 0.1 % point 43.8."""
    space = SPACES["ascending"]
    points = space.sample(4000, np.random.default_rng(3))
    _, counts = np.unique(points, axis=0, return_counts=True)
    assert len(counts) == 20
    assert ((counts - 200) ** 2 / 200).sum() < 43.8


def test_a_space_without_valid_points_says_so() -> None:
    space = Ascending([Gene(name, (0, 1)) for name in "abc"])
    with pytest.raises(SpecError, match="is not searchable") as caught:
        space.sample(3, np.random.default_rng(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"ab": 1}, "gene: ab is not one of a, b, c"),
        ({"a": 1, "b": "x"}, "a value for every gene"),
        ({"a": 9, "b": "x", "c": True}, "a: 9 is not one of 1, 2, 3"),
    ],
)
def test_bad_points_are_one_line(point: dict[str, object], words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        SPACES["plain"].encode(point)
    assert "\n" not in str(caught.value)


def test_a_gene_without_choices_is_refused() -> None:
    with pytest.raises(SpecError, match="gene a: an empty list is not at least one choice"):
        Space([Gene("a", ())])


def test_columns_are_values() -> None:
    points = CHAIN.sample(6, np.random.default_rng(0))
    assert CHAIN.column(points, "width1").tolist() == [CHAIN.decode(point)["width1"] for point in points]


def test_joint_points_split_and_join() -> None:
    joint = SPACES["joint"]
    assert isinstance(joint, JointSpace)
    points = joint.sample(50, np.random.default_rng(0))
    network, hardware = joint.split(points)
    assert network.shape[1] == CELL.n_genes
    assert np.array_equal(joint.join(network, hardware), points)
    assert joint.size == CELL.size * HARDWARE.size
    assert np.array_equal(joint.canonical(points), joint.join(CELL.canonical(network), hardware))


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 7), min_size=1, max_size=40),
    seed=seeds,
    n=st.integers(1, 60),
)
def test_unique_rows_are_numpys(counts: list[int], seed: int, n: int) -> None:
    """Also where the mixed-radix code of a row needs more than one word."""
    rng, cardinalities = np.random.default_rng(seed), np.array(counts)
    rows = rng.integers(0, cardinalities, (n, len(counts)))
    rows = rows[rng.integers(0, n, 2 * n)]
    distinct, index = unique_rows(rows, cardinalities)
    expected, inverse = np.unique(rows, axis=0, return_inverse=True)
    assert np.array_equal(distinct, expected)
    assert np.array_equal(index, inverse.reshape(-1))
    needles = np.concatenate([rows[:5], rng.integers(0, cardinalities, (5, len(counts)))])
    position = find_rows(needles, distinct, cardinalities)
    for needle, at in zip(needles, position, strict=True):
        matches = np.flatnonzero((distinct == needle).all(axis=1))
        assert at == (matches[0] if len(matches) else -1)


def test_fingerprints_tell_spaces_apart() -> None:
    spaces = [CellSpace(), CellSpace(channels=8), CellSpace(cells=1), CellSpace(classes=100), ChainSpace(),
              ChainSpace(stages=2), ChainSpace(kernel=(1, 3)), ChainSpace(input_shape=(1, 8, 8))]  # fmt: skip
    prints = [space.fingerprint for space in spaces]
    assert len(set(prints)) == len(prints)
    assert CellSpace().fingerprint == prints[0]
