"""What every space of networks must do: points that mean networks, and a batch of them lowered as one by one.

A space of another package is held against it by three lines::

    class TestMine(SpaceSuite):
        def make(self):
            return MySpace()
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Genotypes
from hwmodels.workload.rewrite import Semantics, rewrite
from hwmodels.workload.table import LayerTable, layer_table

__all__ = ["SpaceSuite"]

_SEMANTICS = [Semantics(drop, fuse) for drop in (False, True) for fuse in (False, True)]


class SpaceSuite:
    """The contract of `codesign.space.architecture.ArchitectureSpace`, as pytest runs it.

    points : how many random points each test takes.
    """

    points = 12

    def make(self) -> ArchitectureSpace:
        """The space; made anew for every test."""
        raise NotImplementedError

    @pytest.fixture
    def space(self) -> ArchitectureSpace:
        return self.make()

    def _sampled(self, space: ArchitectureSpace) -> Genotypes:
        return space.sample(self.points, np.random.default_rng(7))

    def test_samples_are_valid_and_follow_from_the_generator(self, space: ArchitectureSpace) -> None:
        drawn, again = (space.sample(self.points, np.random.default_rng(1)) for _ in range(2))
        assert drawn.shape == (self.points, space.n_genes)
        assert drawn.dtype == np.int64
        assert space.valid(drawn).all()
        assert np.array_equal(drawn, again)

    def test_points_outside_are_invalid(self, space: ArchitectureSpace) -> None:
        outside = np.stack([space.cardinalities, np.full(space.n_genes, -1)])
        assert not space.valid(outside).any()

    def test_a_point_by_name_is_the_point(self, space: ArchitectureSpace) -> None:
        for genotype in self._sampled(space):
            assert np.array_equal(space.encode(space.decode(genotype)), genotype)

    def test_a_canonical_point_is_a_valid_representative(self, space: ArchitectureSpace) -> None:
        canonical = space.canonical(self._sampled(space))
        assert space.valid(canonical).all()
        assert np.array_equal(space.canonical(canonical), canonical)

    def test_moves_stay_inside(self, space: ArchitectureSpace) -> None:
        rng, points = np.random.default_rng(3), self._sampled(space)
        mutants = space.mutate(points, rng)
        assert space.valid(mutants).all()
        assert space.valid(space.crossover(points, points[::-1], rng)).all()
        if space.size > 2:
            assert (mutants != points).any()
        neighbours = space.neighbours(points[0])
        assert space.valid(neighbours).all()
        assert ((neighbours != points[0]).sum(axis=1) == 1).all()

    def test_a_point_is_a_network_over_the_inputs(self, space: ArchitectureSpace) -> None:
        for genotype in self._sampled(space):
            workload = space.workload(genotype)
            assert workload.input_shapes == space.batched_inputs
            assert workload.outputs
            assert space.describe(genotype)

    def test_a_batch_scales_the_work_and_keeps_the_parameters(self, space: ArchitectureSpace) -> None:
        genotype, larger = self._sampled(space)[0], space.at_batch(3 * space.batch)
        one, three = space.workload(genotype), larger.workload(genotype)
        assert (three.macs, three.parameters) == (3 * one.macs, one.parameters)

    def test_the_same_settings_have_the_same_fingerprint(self, space: ArchitectureSpace) -> None:
        assert space.fingerprint == self.make().fingerprint

    @pytest.mark.parametrize("semantics", _SEMANTICS, ids=str)
    def test_a_batch_is_lowered_as_its_graphs(self, space: ArchitectureSpace, semantics: Semantics) -> None:
        """Rows in order, edges, flags, bits and formats, whoever else is in the batch."""
        points = self._sampled(space)
        table, network = space.lower(np.concatenate([points, points[:2]]), semantics)
        assert table.n_networks == len(np.unique(points, axis=0))
        alone = layer_table([rewrite(space.workload(genotype), semantics) for genotype in points])
        for i, at in enumerate(network[: len(points)].tolist()):
            assert _rows(table, at) == _rows(alone, i)
            assert np.array_equal(table.edges(at), alone.edges(i))

    @pytest.mark.parametrize("semantics", _SEMANTICS[-1:], ids=str)
    def test_equal_canonical_points_cost_the_same(self, space: ArchitectureSpace, semantics: Semantics) -> None:
        """Where dead branches are dropped, a point runs as its representative does."""
        points = self._sampled(space)
        written, canonical = (_totals(*space.lower(which, semantics)) for which in (points, space.canonical(points)))
        assert np.array_equal(written, canonical)


def _rows(table: LayerTable, network: int) -> list[tuple[int, ...]]:
    return [tuple(table.layers.row(int(row))) for row in table.rows_of(network)]


def _totals(table: LayerTable, network: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([table.totals(column)[network] for column in ("macs", "parameters", "vector_ops")])
