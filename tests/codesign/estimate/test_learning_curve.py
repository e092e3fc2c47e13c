"""Posteriors of learning curves: a plain twin of the equations, laws, held-out coverage, early stopping in a run."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from codesign.app.config import parse_config
from codesign.app.run import begin
from codesign.data import load
from codesign.estimate.base import CarriedWeights, Estimator, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.learning_curve import TENTHS, learned, recorded_curves, shipped_prior
from codesign.estimate.recipe import NoiseRecipe, Recipe, Stopping
from codesign.estimate.stopping import CURVE, EarlyStopping, hopeless, told_by
from codesign.estimate.train import restore, train, training_key, unpack
from codesign.report.summary import summarise
from codesign.testing.estimator import EstimatorSuite, chain_requests
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT

F64 = npt.NDArray[np.float64]

HELD_OUT = [curve for curve in recorded_curves() if curve.held_out]
NOISY = np.stack([curve.errors for curve in HELD_OUT if curve.data == "noisy-digits"])
EPOCHS = NOISY.shape[1]


def gaussian_curves(count: int, seed: int, epochs: int = 20) -> F64:
    """Curves whose arcsin(sqrt(error)) is normal: a level, a slope and noise."""
    rng = np.random.default_rng(seed)
    level, slope = rng.normal(0.5, 0.06, (count, 1)), rng.normal(0.3, 0.05, (count, 1))
    left = 1 - np.arange(1, epochs + 1) / epochs
    return np.sin(level + slope * left + rng.normal(0, 0.01, (count, epochs))) ** 2


def twin(curves: F64, seen: F64) -> tuple[float, float, float]:
    """Location, scale and freedom of the last tenth, from the joint precision of Student's distribution."""
    epochs = curves.shape[1]
    size, tenths = epochs // TENTHS, len(seen) * TENTHS // epochs

    def bins(curve: F64) -> list[float]:
        angles = np.arcsin(np.sqrt(curve))
        return [float(np.mean(angles[k * size : (k + 1) * size])) for k in range(len(angles) // size)]

    rows = np.array([[*bins(curve)[:-1], np.arcsin(np.sqrt(curve[-1]))] for curve in curves])
    count, mean = len(rows), rows.mean(axis=0)
    freedom = TENTHS + 2 + count - TENTHS + 1
    scatter = np.cov(rows.T, bias=True) * count + (TENTHS + 2) * 1e-4 * np.eye(TENTHS)
    scale = scatter * (count + 1) / (count * freedom)
    among = np.linalg.inv(scale[np.ix_([*range(tenths), TENTHS - 1], [*range(tenths), TENTHS - 1])])
    away = np.array(bins(seen)[:tenths]) - mean[:tenths]
    location = mean[-1] - among[-1, :-1] @ away / among[-1, -1]
    distance = away @ np.linalg.solve(scale[:tenths, :tenths], away)
    return location, np.sqrt((freedom + distance) / (freedom + tenths) / among[-1, -1]), freedom + tenths


@pytest.mark.parametrize("seen", [2, 3, 6, 11, 18])
def test_the_posterior_of_one_group_is_that_of_its_equations(seen: int) -> None:
    curves = gaussian_curves(30, 0)
    prior, curve = learned([curves]), gaussian_curves(1, 1)[0]
    found = prior.posterior(curve[:seen], 20)
    location, scale, freedom = twin(curves, curve[:seen])
    stretched = scale * prior.groups[0].stretch[seen * TENTHS // 20]
    assert found.location == pytest.approx([location])
    assert found.scale == pytest.approx([stretched])
    assert found.freedom.tolist() == [freedom]
    assert found.weight.tolist() == [1.0]
    assert found.quantile(0.9) == pytest.approx(np.sin(location + stretched * student.ppf(0.9, freedom)) ** 2)
    assert found.chance_below(found.quantile(0.3)) == pytest.approx(0.3)


def test_groups_weigh_by_the_density_of_what_was_seen() -> None:
    """By hand where one tenth was seen: Student's density of it in each group."""
    groups = [gaussian_curves(30, 0), gaussian_curves(20, 2) ** 1.5]
    prior, curve = learned(groups), gaussian_curves(1, 1)[0]
    assert prior.posterior([], 20).weight.tolist() == [0.5, 0.5]
    found, angle = prior.posterior(curve[:2], 20), np.arcsin(np.sqrt(curve[:2])).mean()
    densities = [
        student.pdf((angle - group.mean[0]) / np.sqrt(group.scale[0, 0]), group.freedom) / np.sqrt(group.scale[0, 0])
        for group in prior.groups
    ]
    assert found.weight == pytest.approx(np.array(densities) / sum(densities))
    parts = [one.posterior(curve[:2], 20) for one in map(learned, ([groups[0]], [groups[1]]))]
    for error in (0.1, 0.2, 0.3):
        apart = [part.chance_below(error) for part in parts]
        assert found.chance_below(error) == pytest.approx(found.weight @ apart)
    for share in (0.05, 0.5, 0.95):
        assert found.chance_below(found.quantile(share)) == pytest.approx(share)
    of_second = prior.posterior((gaussian_curves(1, 9) ** 1.5)[0][:14], 20)
    assert of_second.weight[1] > 0.9


def test_stretch_leaves_each_curve_out() -> None:
    """With nothing seen, the twin of one factor: each last error against the other curves."""
    curves = gaussian_curves(25, 3)
    misses = []
    for i in range(len(curves)):
        location, scale, freedom = twin(np.delete(curves, i, axis=0), curves[i][:0])
        misses.append(abs(np.arcsin(np.sqrt(curves[i, -1])) - location) / scale)
    (group,) = learned([curves]).groups
    assert group.stretch[0] == pytest.approx(np.quantile(misses, 0.9) / student.ppf(0.95, freedom))


def test_intervals_of_normal_curves_hold_as_often_as_they_say() -> None:
    prior, others = learned([gaussian_curves(150, 4)]), gaussian_curves(1000, 5)
    found = [prior.posterior(curve[:8], 20) for curve in others]
    inside = [one.quantile(0.05) <= curve[-1] <= one.quantile(0.95) for one, curve in zip(found, others, strict=True)]
    assert 0.8 < np.mean(inside) < 0.98  # 0.9 +- 0.03 over what taught it


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.integers(1, 60))
def test_a_posterior_is_a_distribution_of_errors(seed: int, seen: int, epochs: int) -> None:
    errors = np.random.default_rng(seed).uniform(0, 1, size=min(seen, epochs))
    found = shipped_prior().posterior(errors, epochs)
    quantiles = [found.quantile(share) for share in (0.05, 0.5, 0.95)]
    assert 0 <= quantiles[0] <= quantiles[1] <= quantiles[2] <= 1
    assert 0 <= found.chance_below(0.0) <= found.chance_below(0.2) <= found.chance_below(0.3) <= 1


def test_a_curve_unlike_those_before_widens_its_posterior() -> None:
    curves = gaussian_curves(60, 6)
    usual, strange = curves[0][:10], curves[0][:10] * np.linspace(1, 8, 10)
    prior = learned([curves])
    assert prior.posterior(strange, 20).scale[0] > 2 * prior.posterior(usual, 20).scale[0]


def test_the_shipped_prior_holds_for_held_out_curves() -> None:
    """The bar: 90 % intervals cover 84 to 96 % of at least 60 curves, and are less than half as wide as the prior's."""
    assert len(HELD_OUT) >= 60
    for share in (0.3, 0.4, 0.5):
        covered, width, prior_width = [], [], []
        for curve in HELD_OUT:
            epochs = len(curve.errors)
            prior, found = (
                shipped_prior().posterior(curve.errors[:n], epochs) for n in (0, ceil(round(share * epochs, 9)))
            )
            covered.append(found.quantile(0.05) <= curve.errors[-1] <= found.quantile(0.95))
            width.append(found.quantile(0.95) - found.quantile(0.05))
            prior_width.append(prior.quantile(0.95) - prior.quantile(0.05))
        assert 0.84 <= np.mean(covered) <= 0.96
        assert np.mean(width) < np.mean(prior_width) / 2


# Early stopping.

STOPPING = Stopping(error=0.03, chance=0.1)
RECIPE = Recipe(epochs=10, batch_size=128, stopping=STOPPING)


class TestEarlyStopping(EstimatorSuite):
    def estimator(self) -> Estimator:
        trained = TrainingEstimator(load("digits"), RECIPE, CarriedWeights(), draws=1)
        return EarlyStopping(trained, RECIPE.epochs_at)

    def requests(self) -> Sequence[Request]:
        return chain_requests()[:4]


def test_a_training_ends_where_the_chance_is_small_and_not_before_a_tenth() -> None:
    for curve in NOISY[:20]:
        seen = list(curve)
        for n in range(1, EPOCHS + 1):
            chance = shipped_prior().posterior(seen[:n], EPOCHS).chance_below(0.2)
            at_tenth = n % (EPOCHS // TENTHS) == 0 and n < EPOCHS
            assert hopeless(seen[:n], EPOCHS, Stopping(error=0.2, chance=0.1)) == (at_tenth and chance < 0.1)


def test_a_training_ends_by_its_own_curve() -> None:
    data, network = load("digits"), chain_requests()[0].workload
    whole = train(network, data, RECIPE.model_copy(update={"stopping": Stopping(error=0.999, chance=1e-12)}), 0)
    assert len(whole[CURVE]) == 10  # everything is better
    images, labels = data.validation
    with torch.no_grad():
        told = restore(network, whole)(torch.from_numpy(images)).argmax(dim=1).numpy()
    assert whole[CURVE][-1] == pytest.approx((told != labels).mean(), abs=1.5 / len(labels))  # batches may round apart
    assert whole[CURVE][-1] < whole[CURVE][0]
    short = train(network, data, RECIPE.model_copy(update={"stopping": Stopping(error=1e-9, chance=0.5)}), 0)
    ended = len(short[CURVE])
    assert ended < 10
    assert hopeless(short[CURVE].tolist(), 10, Stopping(error=1e-9, chance=0.5))
    restore(network, short)


def test_metrics_say_what_was_predicted() -> None:
    told = told_by(NOISY[0][:16], EPOCHS)
    posterior = shipped_prior().posterior(NOISY[0][:16], EPOCHS)
    assert told["epochs"] == 16
    assert told["predicted_error"] == posterior.quantile(0.5)
    assert told["predicted_error_low"] < told["predicted_error"] < told["predicted_error_high"]
    ran = told_by(NOISY[0], EPOCHS)
    assert ran["predicted_error_low"] == ran["predicted_error"] == ran["predicted_error_high"] == NOISY[0][-1]


def test_stopping_is_in_the_key_and_its_absence_is_not() -> None:
    """Weights that were trained before there was early stopping keep their keys."""
    data, network = load("digits"), chain_requests()[0].workload

    def key(recipe: Recipe) -> str:
        return training_key(network, data, recipe, 1.0, 0)

    plain = Recipe(epochs=10, batch_size=128)
    assert "stopping" not in plain.content()
    noisy = Recipe(noise=NoiseRecipe())
    assert noisy.content() == {
        key: value for key, value in noisy.model_dump().items() if key not in ("stopping", "augmentation")
    }
    keys = {key(plain), key(RECIPE), key(RECIPE.model_copy(update={"stopping": Stopping(error=0.04)}))}
    assert len(keys) == 3


def test_it_travels_with_its_settings() -> None:
    estimator = TestEarlyStopping().estimator()
    copy: EarlyStopping = pickle.loads(pickle.dumps(estimator))
    request = Request((), chain_requests()[0].workload, FLOAT, 1.0, 0)
    assert copy.key(request) == estimator.key(request)
    assert copy.weights is copy.inner.weights


RUN = """
seed: 1
generations: 1
data: {name: noisy-digits}
architecture: {space: chain, stages: 2, kernel: [1, 3], width: [2, 8], depth: [1], stride: [2], bits: [8]}
hardware: {device: rram_edge, knobs: {tiles: [1, 2]}}
objectives: [energy_j]
strategy: random
estimator: {name: training, draws: 1, recipe: {epochs: 10, batch_size: 64, stopping: {error: 0.05}}}
executor: {name: serial}
fast: {pairs: 20}
slow: {trainings: 3, classes: 1}
"""


def test_a_run_ends_trainings_early_and_says_so(tmp_path: Path) -> None:
    run = begin(parse_config(yaml.safe_load(RUN)), tmp_path / "run")
    run.go()
    members = run.parts.archive.members
    assert members
    for member in members:
        metrics = member.estimate.metrics
        assert 1 <= metrics["epochs"] < 10  # nobody tells these digits apart at 95 %
        assert metrics["predicted_error_low"] < metrics["predicted_error"] < metrics["predicted_error_high"]
        payload = run.store.get(member.estimate.key)
        assert payload is not None
        assert len(unpack(payload)[CURVE]) == metrics["epochs"]
    assert summarise(tmp_path / "run").judged_by == "accuracy"


@pytest.mark.parametrize(
    ("stopping", "told"),
    [
        ({"error": 0.1, "chnce": 0.1}, "chance"),
        ({"chance": 0.1}, "error"),
        ({"error": 0.0}, "> 0"),
        ({"error": 0.1, "chance": 1.0}, "< 1"),
    ],
)
def test_wrong_settings_are_one_line(stopping: dict[str, float], told: str) -> None:
    content = yaml.safe_load(RUN)
    content["estimator"]["recipe"]["stopping"] = stopping
    with pytest.raises(SpecError, match=told) as caught:
        parse_config(content)
    assert "\n" not in str(caught.value)
