"""What a served inference costs, against its parts; the analogue benchmark against brute force on a toy table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.benchmark.compare import Effort, one_level, two_level
from codesign.benchmark.definition import benchmark
from codesign.benchmark.deployment import SERVED, Deployment
from codesign.benchmark.score import COMPILED, Fronts
from codesign.estimate.analog_cells import PUBLISHED_TIMES_S, published_numerics
from codesign.estimate.table import AccuracyTable
from codesign.pareto import non_dominated
from codesign.space.cell import CellSpace
from codesign.space.trained_cells import NOISE_AWARE, PLAIN, TRAINING_MACS, TrainedCells
from hwmodels.evaluate import evaluate_pairs
from hwmodels.families.spec import numerics_of

DEFINITION = benchmark("pairs-201-analog", "crossbar")


def toy_table() -> AccuracyTable:
    """400 small cells, noise-aware ones better and worse by chance, worse as time goes."""
    cells = CellSpace(channels=8, cells=1, stages=2, input_shape=(1, 8, 8))
    space = TrainedCells(cells, epochs={PLAIN: 20, NOISE_AWARE: 60}, images=600, known=cells.representatives[::5][:400])
    rng = np.random.default_rng(3)
    start = rng.uniform(0.3, 0.7, 800) + 0.1 * (np.arange(800) % 2)
    shares = (start[:, None] * np.array([1.0, 0.97, 0.9]))[:, None, None, :]
    return AccuracyTable(
        "toy", space, space.representatives, (1.0,), tuple(published_numerics(t) for t in PUBLISHED_TIMES_S), shares,
        shares, np.full(shares.shape[:3], np.nan), np.zeros(800, np.int64),
        read=("variation", "drift_s", "drift_of_state", "drift_compensated"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def fronts() -> Fronts:
    knobs = {**DEFINITION.knobs, "array_rows": [64], "array_cols": [64, 256], "columns_per_adc": [8], "dac_bits": [1]}
    knobs |= {"duplication": [1, 16], "imas_per_tile": [4], "tiles": [6, 24], "arrays_per_ima": [4]}
    # A product in training as dear as a small series of small networks makes it.
    small = replace(DEFINITION, knobs=knobs, deployment=DEFINITION.deployment._replace(chips=0.02))
    return Fronts(small, toy_table())


def costs_of(fronts: Fronts, points: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    networks, designs = fronts.space.split(points)
    lowered, place = fronts.space.architecture.lower(networks, COMPILED)
    costs = evaluate_pairs(
        fronts.space.hardware.model, lowered, fronts.space.hardware.table(designs), network=place,
        config=np.arange(len(points)),
    )  # fmt: skip
    return np.stack([np.broadcast_to(costs.columns[name], len(points)) for name in names], axis=1), costs.infeasible


def test_a_served_inference_is_its_parts(fronts: Fronts) -> None:
    """Inference, idling, refresh and training, each from its own column."""
    points = fronts.space.sample(200, np.random.default_rng(0))
    names = (SERVED, "energy_j", "latency_s", "idle_power_w", "cells", TRAINING_MACS)
    values, infeasible = costs_of(fronts, points, names)
    served, energy_j, latency_s, idle_w, cells, training = values[infeasible == 0].T
    period_s = fronts.space.column(points, "drift_s")[infeasible == 0]
    deployment = fronts.definition.deployment
    rate, inferences = deployment.rate_hz, deployment.rate_hz * deployment.life_s * deployment.chips
    refresh_j = cells * 200e-12 / period_s / rate
    training_j = training * deployment.training_j_per_mac / inferences
    idling_j = idle_w * (1 / rate - latency_s)
    assert np.allclose(served, energy_j + idling_j + refresh_j + training_j, rtol=1e-12)
    for part in (refresh_j, training_j):
        assert (part / served).max() > 0.02  # each is felt somewhere


def test_the_front_is_that_of_brute_force_and_both_choices_are_on_it(fronts: Fronts) -> None:
    table, space = fronts.table, fronts.space
    networks = np.stack([table.space.genotype_of(int(cell)) for cell in table.cells])
    designs = space.hardware.enumerate()
    points = np.hstack([np.repeat(networks, len(designs), axis=0), np.tile(designs, (len(networks), 1))])
    values, infeasible = costs_of(fronts, points, fronts.definition.objectives)
    errors = np.stack([1 - table.accuracy(numerics_of(row)) for row in space.hardware.numerics(designs)])
    joined = np.column_stack([errors.T.reshape(-1), values])[infeasible == 0]
    expected = joined[non_dominated(joined)]
    found = fronts.true.points
    assert 0 < len(joined) < len(points)
    assert found.shape == expected.shape
    assert np.allclose(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)], rtol=1e-12)
    chosen = fronts.true.genotypes
    assert len(np.unique(chosen[:, 6])) == 2
    assert len(np.unique(chosen[:, 7])) == 3


def test_a_design_that_differs_in_what_is_not_published_has_the_accuracy_of_its_time(fronts: Fronts) -> None:
    table, space = fronts.table, fronts.space
    genotype = table.space.genotype_of(int(table.cells[11]))
    for design in space.hardware.sample(20, np.random.default_rng(1)):
        numerics = numerics_of(space.hardware.numerics(design[None])[0])
        time = PUBLISHED_TIMES_S.index(space.hardware.decode(design)["drift_s"])
        assert table.lookup(genotype, numerics).accuracy == table.validation[11, 0, 0, time]


def test_searches_with_and_without_fast_approach_the_front(fronts: Fronts) -> None:
    with_fast = two_level(fronts, "nsga2", 0, Effort(generations=4, pairs=2_000, trainings=6))
    without = one_level(fronts, "nsga2", 0, trainings=60)
    assert with_fast.recall.met > 0
    assert with_fast.recall.lost == 0
    assert 0.3 < with_fast.quality[-1] <= 1
    assert 0 < without.quality[-1] < 1


def test_training_is_shared_by_all_inferences() -> None:
    one = Deployment(rate_hz=2.0, life_s=10.0, chips=5.0, training_j_per_mac=1e-12)
    assert one.inferences == 100.0
