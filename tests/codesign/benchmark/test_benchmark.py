"""The pairs benchmarks: fronts equal brute force, scores mean what they say, every search approaches the front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.benchmark.compare import Effort, Trace, in_turn, one_level, two_level
from codesign.benchmark.definition import BENCHMARKS, benchmark
from codesign.benchmark.score import COMPILED, Fronts, TrueFront
from codesign.estimate.table import digits_cells
from codesign.pareto import non_dominated
from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.spec import numerics_of
from hwmodels.numerics import FLOAT

COMPARED = ("evolution", "nsga2", "random")
"""Strategies that the ways to search are tried with; tests/codesign/strategy runs every registered one."""


@pytest.fixture(scope="module")
def fronts() -> Fronts:
    """pairs-digits on 24 crossbar designs: small enough for brute force."""
    knobs = {"array_rows": [64, 256], "array_cols": [32, 128], "adc_bits": [5, 7, 10], "tiles": [1, 8]}
    small = replace(benchmark("pairs-digits", "crossbar"), knobs=knobs, constraints={"latency_s": 200e-6})
    return Fronts(small, digits_cells())


def brute_force(fronts: Fronts) -> np.ndarray:
    """The points of the front, every pair evaluated."""
    space, table, definition = fronts.space, fronts.table, fronts.definition
    networks = np.stack([table.space.genotype_of(int(cell)) for cell in table.cells])
    designs = space.hardware.enumerate()
    lowered, place = space.architecture.lower(networks, COMPILED)
    network, config = np.divmod(np.arange(len(networks) * len(designs)), len(designs))
    costs = evaluate_pairs(
        space.hardware.model, lowered, space.hardware.table(designs), network=place[network], config=config
    )
    errors = np.stack([1 - table.accuracy(numerics_of(row)) for row in space.hardware.numerics(designs)])
    allowed = costs.infeasible == 0
    for name, limit in definition.constraints.items():
        allowed &= costs.columns[name] <= limit
    points = np.column_stack([errors[config, network], *(costs.columns[name] for name in definition.objectives)])
    assert 0 < allowed.sum() < len(allowed)  # the limits decide something
    points = points[allowed]
    return points[non_dominated(points)]


def test_the_true_front_is_that_of_brute_force(fronts: Fronts) -> None:
    expected, found = brute_force(fronts), fronts.true.points
    assert found.shape == expected.shape
    assert np.allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], rtol=1e-12)
    assert fronts.true.pairs == 1010 * 24


def test_cpus_are_searched_as_devices_and_networks_first_start_on_the_named_one() -> None:
    definition = benchmark("pairs-digits", "cpu")
    space, alone = definition.space(digits_cells()), definition.software_space(digits_cells())
    assert space.hardware.genes[0].choices == definition.device
    start = device("rpi5").spec.model_copy(update={"threads": 1})
    assert alone.hardware.base == start
    assert numerics_of(space.hardware.numerics(space.hardware.sample(1, np.random.default_rng(0)))[0]) == FLOAT


@pytest.mark.parametrize("family", ["multigpu", "gpu_branches"])
def test_the_front_of_pairs_that_are_no_sums_is_that_of_all_of_them(family: str) -> None:
    definition, table = benchmark("pairs-digits", family), digits_cells()
    found = Fronts(definition, table)
    space = found.space
    cells = space.architecture.canonical(space.architecture.sample(6, np.random.default_rng(3)))
    front = found.of({tuple(cell) for cell in cells.tolist()})
    assert space.architecture.batch == definition.batch
    designs = np.array(list(space.hardware.enumerate()))
    cells = np.unique(cells, axis=0)
    lowered, network = space.architecture.lower(cells, COMPILED)
    n, c = (axis.reshape(-1) for axis in np.meshgrid(network, np.arange(len(designs)), indexing="ij"))
    costs = evaluate_pairs(space.hardware.model, lowered, space.hardware.table(designs), network=n, config=c)
    error = 1.0 - table.accuracy(FLOAT)[table.rows(cells)]
    points = np.column_stack([np.repeat(error, len(designs)), *(costs.columns[name] for name in definition.objectives)])
    runs = costs.infeasible == 0
    expected = points[runs][non_dominated(points[runs])]
    assert 0 < runs.sum() <= runs.size
    assert np.allclose(np.unique(front.points, axis=0), np.unique(expected, axis=0), rtol=1e-12)


def test_definitions_are_large_enough_and_joint_networks_run_somewhere() -> None:
    for definition in BENCHMARKS:
        # Pairs that are no sums over layers are costed one by one: hundreds of designs, not thousands.
        layerwise = definition.family not in ("multigpu", "gpu_branches")
        assert definition.designs >= (8640 if layerwise else 96)
        assert set(definition.starting) - {"device"} <= set(definition.knobs)
        if not definition.published:
            table = definition.table()
            assert definition.space(table).hardware.size == definition.designs
            alone = definition.software_space(table)
            assert alone.hardware.size == 1
            assert alone.architecture.precision == definition.precision
            space = definition.space(table)
            networks, designs = space.split(space.sample(200, np.random.default_rng(0)))
            lowered, place = space.architecture.lower(networks, COMPILED)
            costs = evaluate_pairs(
                space.hardware.model, lowered, space.hardware.table(designs), network=place, config=np.arange(200)
            )
            runs = costs.infeasible == 0
            for name, limit in definition.constraints.items():
                runs = runs & (costs.columns[name] <= limit)
            assert runs.any()
    with pytest.raises(SpecError, match="benchmark"):
        benchmark("pairs-digit", "crossbar")
    with pytest.raises(SpecError, match="npz"):
        benchmark("pairs-201", "spatial").table()


def test_quality_is_the_share_of_hypervolume_in_logarithms() -> None:
    # Costs span a decade, errors 0.1 to 0.3: (0, 1) and (1, 0) scaled. Corner 1.1: 1.1 x 0.1 twice less the overlap.
    front = TrueFront(np.array([[0, 0], [1, 1]]), np.array([[0.1, 10.0], [0.3, 1.0]]), 4)
    assert front.quality(front.points) == pytest.approx(1.0)
    whole = 2 * 1.1 * 0.1 - 0.1**2
    assert front.quality(front.points[:1]) == pytest.approx(1.1 * 0.1 / whole)
    middle = np.array([[0.2, 10**0.5]])
    assert front.quality(middle) == pytest.approx(0.6**2 / whole)
    assert front.quality(front.points[:0]) == 0.0
    assert front.regret(front.points[1:]) == pytest.approx(0.2)
    assert front.regret(front.points[:0]) == 1.0
    assert front.holds(np.array([[1, 1], [0, 1]])).tolist() == [True, False]


def test_a_trace_tells_when_it_arrived() -> None:
    trace = Trace((4, 8, 12), (0.1, 0.96, 0.94), (0.95, 0.96, 0.97), (0.0, 0.0, 0.0))
    assert (trace.reaches(0.95), trace.reaches(0.95, inner=True), trace.reaches(0.99)) == (8, 4, None)


@pytest.mark.parametrize("strategy", COMPARED)
def test_two_levels_approach_the_front_and_lose_none_of_it(fronts: Fronts, strategy: str) -> None:
    effort = Effort(generations=4, pairs=2_000, trainings=6)
    trace = two_level(fronts, strategy, 0, effort)
    again = two_level(fronts, strategy, 0, effort)
    assert trace.quality == again.quality
    assert list(trace.trainings) == sorted(trace.trainings)
    assert trace.trainings[-1] <= 4 * 6
    assert list(trace.quality) == sorted(trace.quality)
    assert all(share <= inner + 1e-9 for share, inner in zip(trace.quality, trace.inner, strict=True))
    assert 0.3 < trace.quality[-1] <= 1.0
    assert trace.recall.met > 0
    assert trace.recall.lost == 0


@pytest.mark.parametrize("strategy", COMPARED)
def test_with_the_whole_grid_a_trained_network_has_its_best_designs_at_once(fronts: Fronts, strategy: str) -> None:
    trace = two_level(fronts, strategy, 0, Effort(generations=4, pairs=1, trainings=6), whole_grid=True)
    assert trace.ledger is not None
    # Ten networks a training, every design of each: all told, nothing of the front lost.
    assert trace.ledger.considered == 4 * 60 * fronts.space.hardware.size
    assert trace.recall.met > 0
    assert trace.recall.lost == 0
    assert trace.quality[0] > 0
    # What exact search finds for the networks trained is there already, but for numerics not measured yet.
    assert all(share <= inner + 1e-9 for share, inner in zip(trace.quality, trace.inner, strict=True))
    assert trace.quality[-1] > 0.9 * trace.inner[-1]


def test_all_networks_on_all_designs_are_the_whole_front(fronts: Fronts) -> None:
    everything = [tuple(fronts.table.space.genotype_of(int(cell)).tolist()) for cell in fronts.table.cells]
    assert fronts.true.quality(fronts.of(everything).points) == pytest.approx(1.0)
    some = fronts.of(everything[500:550])
    assert 0 < fronts.true.quality(some.points) < 1
    assert set(map(tuple, some.genotypes[:, :6].tolist())) <= set(everything[500:550])
    numerics = fronts.space.hardware.numerics(some.genotypes[:, 6:])
    for genotype, row, point in zip(some.genotypes, numerics, some.points, strict=True):
        assert point[0] == pytest.approx(1 - fronts.table.lookup(genotype[:6], numerics_of(row)).accuracy)


@pytest.mark.parametrize("strategy", COMPARED)
def test_one_level_trains_what_it_proposes(fronts: Fronts, strategy: str) -> None:
    trace = one_level(fronts, strategy, 0, trainings=300)
    assert trace.trainings[0] <= 4
    assert 300 <= trace.trainings[-1] < 304
    assert list(trace.quality) == sorted(trace.quality)
    assert 0 < trace.quality[-1] < 1
    assert list(trace.regret) == sorted(trace.regret, reverse=True)


@pytest.mark.parametrize("kind", ["phased", "separate"])
def test_networks_first_then_hardware(fronts: Fronts, kind: str) -> None:
    trace = in_turn(fronts, kind, "nsga2", 0, Effort(generations=3, pairs=300, trainings=6))
    assert trace.trainings[-1] <= 18
    # One design of all: what its networks reach on it is never more than on every design.
    assert 0 <= trace.starting <= trace.quality[-1] <= 1
    assert trace.quality[-1] > 0
