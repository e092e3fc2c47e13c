"""Accuracy on phase-change memory: the published table by way and time, the predictor, what is refused, choices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.estimate.analog import AnalogPredictor, AnalogTable, analog_table
from codesign.estimate.analog_cells import PUBLISHED_TIMES_S, published_numerics, read_analog_cells
from codesign.estimate.base import Estimator, Request
from codesign.estimate.recipe import NoiseRecipe, Recipe
from codesign.estimate.table import AccuracyTable
from codesign.space.base import Gene
from codesign.space.cell import CellSpace
from codesign.space.recipe_choices import RecipeChoices, RecipeGenes
from codesign.space.trained_cells import NOISE_AWARE, PLAIN, TrainedCells
from codesign.testing.estimator import EstimatorSuite
from hwmodels.errors import SpecError
from tests.codesign.estimate.test_published_cells import write_reference

REFERENCE = os.environ.get("CODESIGN_REFERENCE")
needs_reference = pytest.mark.skipif(not REFERENCE, reason="CODESIGN_REFERENCE names no reference files")

CELLS = CellSpace(channels=4, cells=1, stages=2, input_shape=(1, 8, 8), classes=3)
KNOWN = CELLS.representatives[::60]


def toy() -> AnalogTable:
    """Errors that rise with the convolutions of a cell, with time, and less where training was noise-aware."""
    space = TrainedCells(CELLS, epochs={PLAIN: 2, NOISE_AWARE: 4}, images=10, known=KNOWN)
    convolutions = np.array([(CELLS.genotype_of(int(cell)) >= 2).sum() for cell in KNOWN])
    steps = np.array([1.0, 1.5, 2.5])
    errors = 0.05 + 0.02 * convolutions[:, None, None] * np.array([1.0, 0.4])[None, :, None] * steps
    shares = 1.0 - errors.reshape(-1, 1, 1, 3)
    table = AccuracyTable(
        "toy", space, space.representatives, (1.0,), tuple(published_numerics(t) for t in PUBLISHED_TIMES_S), shares,
        shares, np.full(shares.shape[:3], np.nan), np.zeros(len(shares), np.int64),
        read=("adc_bits", "drift_s"),
    )  # fmt: skip
    known = np.full(CELLS.size, np.nan)
    known[KNOWN] = 0.05 + 0.01 * convolutions
    return AnalogTable(table, space, known)


def predictor(first: int = 40) -> AnalogPredictor:
    return AnalogPredictor(toy(), first, "gaussian_process", seed=0)


def request_of(space: TrainedCells, number: int, drift_s: float = 60.0) -> Request:
    point = space.genotype_of(number)
    return Request(tuple(point.tolist()), space.workload(point), published_numerics(drift_s), 1.0, 0)


def asked(estimator: Estimator, *requests: Request):
    return [estimate for _, estimate in estimator.estimate(requests)]


class TestAnalogPredictor(EstimatorSuite):
    def estimator(self) -> Estimator:
        return predictor()

    def requests(self) -> Sequence[Request]:
        space = toy().space
        return [request_of(space, int(space.representatives[i]), t) for i in (0, 21, 90) for t in (60.0, 700.0)]


def test_fitted_cells_have_their_own_value_and_others_are_ordered_as_the_table() -> None:
    found, source = predictor(), toy()
    for way in (0, 1):
        seen = request_of(source.space, int(found.fitted_on[3]) * 2 + way, 3600.0)
        (estimate,) = asked(found, seen)
        row = int(np.searchsorted(source.table.cells, int(found.fitted_on[3]) * 2 + way))
        assert estimate.accuracy == pytest.approx(source.table.validation[row, 0, 0, 1])
        assert (estimate.spread, estimate.metrics["measured"]) == (0.0, 1.0)
    left = np.setdiff1d(KNOWN, found.fitted_on)
    predicted = asked(found, *(request_of(source.space, int(cell) * 2, 86400.0) for cell in left))
    rows = np.searchsorted(source.table.cells, left * 2)
    true = 1.0 - source.table.validation[rows, 0, 0, 2]
    errors = np.array([one.error for one in predicted])
    assert np.abs(errors - true).mean() < 0.3 * np.abs(true - true.mean()).mean()
    assert all(one.spread > 0 and one.metrics["measured"] == 0 for one in predicted)


@settings(max_examples=20, deadline=None)
@given(st.floats(61.0, 86399.0), st.integers(0, len(KNOWN) * 2 - 1))
def test_between_two_times_errors_lie_on_the_line_over_the_logarithm(drift_s: float, at: int) -> None:
    found, number = _shared(), int(toy().space.representatives[at])
    low, high = (60.0, 3600.0) if drift_s < 3600 else (3600.0, 86400.0)
    early, late, between = asked(
        found, *(request_of(found.source.space, number, time) for time in (low, high, drift_s))
    )
    if early.metrics["measured"]:  # a cell that was fitted is predicted between times, not looked up
        return
    share = log(drift_s / low) / log(high / low)
    assert between.error == pytest.approx((1 - share) * early.error + share * late.error, rel=1e-9)


_SHARED: list[AnalogPredictor] = []


def _shared() -> AnalogPredictor:
    if not _SHARED:
        _SHARED.append(predictor())
    return _SHARED[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"drift_s": 30.0}, "drift_s"), ({"drift_s": 1e6}, "86400"), ({"adc_bits": 5}, "adc_bits 8")],
)
def test_what_the_table_does_not_span_is_refused(changed: dict[str, float], said: str) -> None:
    request = request_of(toy().space, int(toy().space.representatives[4]))
    with pytest.raises(SpecError, match=said):
        asked(_shared(), request._replace(numerics=request.numerics._replace(**changed)))


def test_networks_and_fidelities_that_were_not_measured_are_refused() -> None:
    space = toy().space
    request = request_of(space, int(space.representatives[4]))
    unknown = np.setdiff1d(CELLS.representatives, KNOWN)[0]
    for wrong in (request._replace(genotype=request.genotype[:-1]), request_of(space, int(unknown) * 2)):
        with pytest.raises(SpecError, match="network"):
            asked(_shared(), wrong)
    with pytest.raises(SpecError, match="fidelity"):
        asked(_shared(), request._replace(fidelity=0.5))
    with pytest.raises(SpecError, match="first"):
        predictor(len(KNOWN) + 1)


def test_a_gene_of_noise_is_a_recipe_with_noise() -> None:
    genes = RecipeGenes([Gene("weight_sigma", (0.0, 0.06))])
    assert genes.applied(Recipe(), (3, 1)).noise == NoiseRecipe(weight_sigma=0.06)
    kept = genes.applied(Recipe(noise=NoiseRecipe(adc_bits=5)), (3, 1)).noise
    assert kept == NoiseRecipe(weight_sigma=0.06, adc_bits=5)
    assert genes.applied(Recipe(noise=NoiseRecipe()), (3, 0)).noise is None
    assert RecipeChoices(weight_sigma=[0, 0.1]).choices() == {"weight_sigma": [0, 0.1]}


def test_the_published_table_is_read_by_way_and_time(tmp_path: Path) -> None:
    folder = write_reference(tmp_path / "r")
    numbers = np.load(folder / "nas/nb201_analog.npz")["analog"] / 100
    columns = {
        f"{stem}_{time:.0f}": 100 * numbers * level / (1 + i)
        for stem, level in (("baseline_drift", 0.5), ("analog_drift", 1.0))
        for i, time in enumerate(PUBLISHED_TIMES_S)
    }
    for column in columns.values():
        column[:5000] = np.nan
    np.savez(folder / "nas/nb201_analog.npz", baseline=100 * numbers, **columns)
    table = read_analog_cells(folder)
    assert isinstance(table.space, TrainedCells)
    assert 0 < len(table.space.known) < len(table.space.cells.representatives)
    assert len(table.cells) == 2 * len(table.space.known)
    shares = table.validation[:, 0, 0]
    assert np.allclose(shares[1::2], 2 * shares[::2])
    assert np.allclose(shares[:, :1], shares * np.array([1, 2, 3]))
    numerics = published_numerics(3600.0)._replace(dac_bits=1, array_rows=128)
    assert table.column(numerics) == 1
    with pytest.raises(SpecError, match="drift_s"):
        table.column(numerics._replace(drift_s=10.0))
    with pytest.raises(SpecError, match="ships"):
        analog_table("digits-analog", folder)


@needs_reference
def test_fifty_published_cells_order_the_rest_better_than_their_float_accuracy_does() -> None:
    from scipy.stats import spearmanr

    source = analog_table("nasbench201-analog")
    assert (len(source.space.known), len(source.table.cells)) == (3945, 7890)
    found = AnalogPredictor(source, 50, "gaussian_process", seed=0)
    left = np.setdiff1d(source.space.known, found.fitted_on)
    some = np.sort(np.random.default_rng(1).permutation(left)[:300])
    rows = np.searchsorted(source.table.cells, some * 2 + 1)
    true = source.table.validation[rows, 0, 0, 0]
    some, true = some[true > 0.2], true[true > 0.2]
    predicted = np.array([one.error for one in asked(found, *(request_of(source.space, int(c) * 2 + 1) for c in some))])
    alone = spearmanr(source.known[some], -true).statistic
    assert spearmanr(predicted, -true).statistic > max(alone, 0.8)
