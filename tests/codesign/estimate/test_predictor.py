"""Predictors: features by hand, models that recover an error, the contract of estimators, runs, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import PowerTransformer

from codesign.app.config import parse_config
from codesign.app.run import begin, reopen
from codesign.estimate.base import Estimate, Estimator, Request
from codesign.estimate.network_features import Columns, features_of
from codesign.estimate.predictor import Drawn, Measured, Predictor
from codesign.estimate.regressors import REGRESSORS, Predicted, RegressorName, fit
from codesign.estimate.table import digits_cells
from codesign.report.summary import summarise
from codesign.space.chain import ChainSpace
from codesign.testing.estimator import EstimatorSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Conv2d, Pool2d, Precision
from tests.codesign.toys import FormulaEstimator

NAMES = get_args(RegressorName)


def chains(count: int, numerics: Numerics = FLOAT) -> tuple[Request, ...]:
    space = ChainSpace(stages=2, width=(4, 8, 16), bits=(8,), input_shape=(1, 8, 8))
    points = np.unique(space.sample(4 * count, np.random.default_rng(0)), axis=0)
    points = points[np.random.default_rng(1).permutation(len(points))[:count]]
    return tuple(Request(tuple(g.tolist()), space.workload(g), numerics, 1.0, 0) for g in points)


ALL = chains(40)


class _Parameters(FormulaEstimator):
    """The error is a law of the number of parameters."""

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            assert (request.numerics, request.fidelity) == (FLOAT, 1.0)
            error = _law(request)
            yield position, Estimate(error, 0.0, {"accuracy": 1.0 - error}, 1.0, self.key(request))


def _law(request: Request) -> float:
    """Of parameters, and of something that no shape tells."""
    return 0.05 + 0.4 * abs(np.sin(7 * request.workload.parameters + sum(request.genotype)))


class _Suite(EstimatorSuite):
    model: RegressorName = "gaussian_process"

    def estimator(self) -> Estimator:
        return Predictor(self.model, Drawn(FormulaEstimator(), ALL[:12]))

    def requests(self) -> Sequence[Request]:
        asked = [*ALL[10:16], *(one._replace(numerics=Numerics(4, 4)) for one in ALL[10:12])]
        return [*asked, ALL[14]._replace(fidelity=0.5)]


class TestGaussianProcess(_Suite):
    pass


class TestForest(_Suite):
    model = "forest"


class TestBoosting(_Suite):
    model = "boosting"


class TestMlp(_Suite):
    model = "mlp"


class TestBeside(_Suite):
    def estimator(self) -> Estimator:
        return Predictor("gaussian_process", Drawn(FormulaEstimator(), ALL[:12]), beside=_Parameters())


class TestMeasured(_Suite):
    def estimator(self) -> Estimator:
        return Predictor("gaussian_process", Measured(ALL[:12], np.linspace(0.1, 0.4, 12), {"loss": "less"}))


def branched(*, skip: bool = True) -> Workload:
    net = Builder("branched", (1, 1, 4, 4))
    x = net.add(Conv2d.square(2, 3), net.input)
    y = net.add(Conv2d.square(2, 1), net.add(Conv2d.square(2, 3), x))
    y = net.residual(x, y) if skip else y
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), y)), 3))


def test_sizes_of_a_network_by_hand() -> None:
    sizes = features_of(Request((), branched(), Numerics(4, 16), 1.0, 0))["sizes"]
    macs = 16 * (1 * 9 * 2 + 2 * 9 * 2 + 2 * 2) + 2 * 3
    assert sizes["macs"] == pytest.approx(np.log1p(macs))
    assert (sizes["longest"], sizes["shortest"]) == (4.0, 2.0)
    assert sizes["weight_bits"] == 4.0
    assert sizes["activation_bits"] == Precision().activation_bits
    straight = features_of(Request((), branched(skip=False), FLOAT, 1.0, 0))["sizes"]
    assert straight["shortest"] == straight["longest"] == 4.0


def test_operators_are_counted_and_surroundings_tell_wirings_apart() -> None:
    one, other = (features_of(Request((), branched(skip=skip), FLOAT, 1.0, 0)) for skip in (True, False))
    assert one["operators"]["Conv2d (3, 3)"] == pytest.approx(np.log1p(2))
    assert one["operators"]["Conv2d (1, 1)"] == pytest.approx(np.log1p(1))
    assert "Conv2d (1, 1)(Conv2d (3, 3))" in one["surroundings"]
    assert set(one["surroundings"]) != set(other["surroundings"])


def test_paths_are_those_that_a_walk_finds() -> None:
    for request in (*chains(5), *(Request((), branched(skip=skip), FLOAT, 1.0, 0) for skip in (True, False))):
        found = features_of(request)["paths"]
        walked = np.array(_walks(request.workload, request.workload.outputs[0]), float)
        assert found["paths"] == pytest.approx(np.log(len(walked)), abs=1e-12)
        assert [found["weighted"], found["poolings"]] == pytest.approx(walked.mean(axis=0))
        assert [found["weighted varies"], found["poolings vary"]] == pytest.approx(walked.std(axis=0), abs=1e-6)
        assert found["together"] == pytest.approx(np.cov(walked.T, bias=True)[0, 1] if len(walked) > 1 else 0, abs=1e-9)


def _walks(workload: Workload, name: str) -> list[tuple[int, int]]:
    """(layers with weights, poolings) of every path to a node, one by one."""
    node = workload[name]
    own = int(any(node.name == other.name and row.macs for other, row in workload.rows()))
    pooled = int(isinstance(node.operator, Pool2d))
    before = [walk for source in node.inputs for walk in _walks(workload, source)] or [(0, 0)]
    return [(own + layers, pooled + poolings) for layers, poolings in before]


def test_what_stands_beside_tells_what_no_shape_does() -> None:
    """An error that jumps from network to network is known where another estimator says it, and nowhere else."""
    errors = np.array([_law(request) for request in ALL])
    measured = Measured(ALL[:25], errors[:25], {"accuracy": "more"})
    misses = []
    for beside in (None, _Parameters()):
        predictor = Predictor("gaussian_process", measured, beside=beside)
        found = [estimate.error for _, estimate in predictor.estimate(ALL[25:])]
        misses.append(float(np.abs(np.array(found) - errors[25:]).mean()))
    assert misses[1] < 0.5 * misses[0]
    keys = {Predictor("forest", measured, beside=beside).key(ALL[30]) for beside in (None, _Parameters())}
    assert len(keys) == 2


def test_columns_are_standardised_and_blocks_weigh_the_same() -> None:
    described = [features_of(request) for request in ALL]
    columns = Columns.of(described)
    values = columns.matrix(described)
    assert np.allclose(values.mean(axis=0), 0)
    blocks = np.array([block for block, _ in columns.names])
    for block in np.unique(blocks):
        assert (values[:, blocks == block] ** 2).sum(axis=1).mean() == pytest.approx(1.0)
    assert "numerics" not in blocks  # they are the same throughout
    strange = features_of(Request((7, 7), branched(), FLOAT, 1.0, 0))
    assert np.isfinite(columns.matrix([strange])).all()  # names that no fitted network has are left out


@pytest.mark.parametrize("name", NAMES)
def test_a_model_recovers_a_smooth_error_and_knows_less_far_away(name: RegressorName) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(120, 2))
    errors = 0.3 + 0.1 * x[:, 0] - 0.05 * x[:, 1] + rng.normal(0, 0.005, 120)
    model = fit(name, x[:80], errors[:80], seed=0)
    found = model(x[80:])
    assert np.corrcoef(found.error, errors[80:])[0, 1] > 0.9
    assert (found.deviation >= 0).all()
    within = np.abs(found.error - errors[80:]) <= 3 * found.deviation + 1e-12
    assert within.mean() > 0.7
    if name == "gaussian_process":
        far, near = model(np.array([[6.0, 6.0], [0.0, 0.0]])).deviation
        assert far > 3 * near


@pytest.mark.parametrize("name", NAMES)
def test_equal_fits_predict_equal_bits_and_another_seed_others(name: RegressorName) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    errors = np.abs(x).sum(axis=1) / 10
    first, again, other = (fit(name, x, errors, seed=seed)(x + 0.1) for seed in (1, 1, 2))
    assert np.array_equal(first.error, again.error)
    assert np.array_equal(first.deviation, again.deviation)
    assert name == "gaussian_process" or not np.array_equal(first.error, other.error)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e3]), st.booleans())
def test_predictions_are_finite_whatever_was_fitted(name: RegressorName, seed: int, scale: float, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    x, errors = rng.normal(size=(10, 2)), scale * rng.standard_cauchy(10)
    errors = np.round(errors / scale) * scale if ties else errors
    found = fit(name, x, errors, seed=0)(10 * rng.normal(size=(4, 2)))
    assert np.isfinite(found.error).all()
    assert np.isfinite(found.deviation).all()
    assert (found.deviation >= 0).all()


def test_predictions_come_back_through_the_transform_with_half_the_way_between_both_sides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a model that says where it stands in transformed errors, by the transform itself."""
    errors = np.random.default_rng(0).gamma(2.0, 0.1, size=30)
    mean, deviation = np.array([-0.3, 0.2]), np.array([0.1, 0.4])
    monkeypatch.setitem(REGRESSORS, "forest", lambda x, y, seed: lambda asked: Predicted(mean, deviation))  # type: ignore[arg-type]
    found = fit("forest", np.arange(30.0)[:, None], errors, seed=0)(np.zeros((2, 1)))
    power = PowerTransformer().fit(errors[:, None])
    low, middle, high = (
        power.inverse_transform(at[:, None])[:, 0] for at in (mean - deviation, mean, mean + deviation)
    )
    assert found.error == pytest.approx(middle)
    assert found.deviation == pytest.approx((high - low) / 2)


def test_equal_errors_predict_themselves() -> None:
    found = fit("gaussian_process", np.arange(10.0)[:, None], np.full(10, 0.25), seed=0)(np.array([[3.5]]))
    assert found.error.tolist() == [0.25]


def test_the_shipped_table_is_ranked_far_above_its_baselines() -> None:
    """50 trainings of one seed, 200 other networks; MACs rank them at 0.1."""
    table = digits_cells()
    rows = np.random.default_rng(1).permutation(len(table.cells))[:250]
    requests = []
    for cell in table.cells[rows].tolist():
        genotype = table.space.genotype_of(cell)
        requests.append(Request(tuple(genotype.tolist()), table.space.workload(genotype), FLOAT, 1.0, 0))
    errors = 1 - table.accuracy(FLOAT)[rows]
    predictor = Predictor("gaussian_process", Measured(tuple(requests[:50]), errors[:50], table.metrics))
    found = np.array([estimate.error for _, estimate in predictor.estimate(requests[50:])])
    ranks = [np.argsort(np.argsort(values)) for values in (found, errors[50:])]
    assert np.corrcoef(*ranks)[0, 1] > 0.5  # 0.75 +- 0.03 over seeds


def test_a_measured_request_is_answered_by_its_measurement() -> None:
    predictor = Predictor("forest", Measured(ALL[:12], np.linspace(0.1, 0.4, 12), {"accuracy": "more"}))
    found = dict(predictor.estimate([ALL[3], ALL[20]]))
    assert found[0].error == np.linspace(0.1, 0.4, 12)[3]
    assert found[0].metrics == {"predicted_accuracy": 1 - found[0].error, "predicted_deviation": 0.0, "measured": 1.0}
    assert found[1].metrics["measured"] == 0.0
    assert found[1].spread == found[1].metrics["predicted_deviation"] > 0


def test_the_content_of_the_trainings_is_in_the_key() -> None:
    errors = np.linspace(0.1, 0.4, 12)
    same, other = errors.copy(), errors.copy()
    other[5] += 1e-9
    keys = [Predictor("mlp", Measured(ALL[:12], one, {})).key(ALL[20]) for one in (errors, same, other)]
    assert keys[0] == keys[1] != keys[2]
    drawn = [Predictor("mlp", Drawn(FormulaEstimator(), ALL[:n])).key(ALL[20]) for n in (11, 12)]
    assert drawn[0] != drawn[1]


def test_kept_errors_are_not_measured_again() -> None:
    inner = FormulaEstimator()
    predictor = Predictor("gaussian_process", Drawn(inner, ALL[:12]))
    first = dict(predictor.estimate(ALL[20:23]))
    made = predictor.weights.take()
    assert made is not None
    assert inner.calls == 12
    other = Predictor("gaussian_process", Drawn(inner, ALL[:12]))
    other.weights.bring(made.key, made.payload)
    assert dict(other.estimate(ALL[20:23])) == first
    assert inner.calls == 12


# In a run.

RUN = """
seed: 1
generations: 2
data: {name: noisy-digits}
architecture: {space: chain, stages: 1, kernel: [1, 3], width: [2, 3, 4, 6], depth: [1, 2], stride: [2], bits: [8]}
hardware: {device: rram_edge, knobs: {tiles: [1, 2]}}
objectives: [energy_j]
strategy: random
estimator: {name: predictor, first: 8, inner: {name: zero_cost, score: synflow, images: 16}}
executor: {name: serial}
fast: {pairs: 40}
"""
TRAINED = {"name": "training", "draws": 1, "recipe": {"epochs": 1, "batch_size": 64}}


def test_a_run_is_judged_by_predictions_and_another_one_is_fitted_to_it(tmp_path: Path, run) -> None:
    content = yaml.safe_load(RUN)
    content["estimator"]["inner"] = TRAINED
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))
    code, out, err = run("search", tmp_path / "run.yaml", "-o", tmp_path / "run", "--json")
    assert code == 0, err
    found = summarise(tmp_path / "run")
    assert found.judged_by == "predicted_accuracy"
    assert found.ledger.trained == json.loads(out)["trained"] == 8
    assert {pair.objectives["measured"] for pair in found.evaluated} == {0.0, 1.0}
    content["estimator"] = {**TRAINED}
    content["slow"] = {"trainings": 6, "classes": 1}
    (tmp_path / "trained.yaml").write_text(yaml.safe_dump(content))
    code, _, err = run("search", tmp_path / "trained.yaml", "-o", tmp_path / "trained", "--json")
    assert code == 0, err
    content["estimator"] = {"name": "predictor", "fitted_on": str(tmp_path / "trained")}
    again = begin(parse_config(content), tmp_path / "again")
    again.go()
    fitted = summarise(tmp_path / "again")
    errors = {
        (pair.architecture, pair.hardware["tiles"]): pair.objectives["accuracy"]
        for pair in summarise(tmp_path / "trained").evaluated
    }
    known = [pair for pair in fitted.evaluated if pair.objectives["measured"]]
    assert known
    for pair in known:
        place = (pair.architecture, pair.hardware["tiles"])
        assert place not in errors or errors[place] == pytest.approx(pair.objectives["predicted_accuracy"], abs=1e-12)
    assert fitted.ledger.trained == 0


def test_a_resumed_run_goes_on_with_the_same_predictions(tmp_path: Path) -> None:
    config = parse_config(yaml.safe_load(RUN))
    begin(config, tmp_path / "whole").go()
    stopped = begin(config, tmp_path / "stopped")

    class Stop(Exception):
        pass

    def stop(event) -> None:
        if event.generation == 1:
            raise Stop

    with pytest.raises(Stop):
        stopped.go(stop)
    stopped.store.close()
    reopen(tmp_path / "stopped").go()
    whole, resumed = (summarise(tmp_path / name) for name in ("whole", "stopped"))
    assert whole.evaluated == resumed.evaluated
    assert whole.ledger.trained == resumed.ledger.trained == 0  # a score is no training


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"model": "gausian_process"}, "gaussian_process"),
        ({"first": 3}, "estimator.first: 3 is not >= 8"),
        ({"first": 5000}, "estimator.first"),
        ({"inner": "predictor"}, "an estimator that measures"),
        ({"inner": {"name": "trainin"}}, "training"),
        ({"inner": {"name": "training", "drws": 1}}, "draws"),
        ({"fitted_on": "nowhere"}, "manifest.json"),
        ({"beside": "training"}, "without a training"),
        ({"beside": "tabel"}, "did you mean table"),
    ],
)
def test_what_cannot_predict_is_refused_before_the_run(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    content = yaml.safe_load(RUN)
    content["estimator"] |= changed
    with pytest.raises(SpecError, match=told) as caught:
        begin(parse_config(content), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_over_other_networks_is_refused(tmp_path: Path) -> None:
    begin(parse_config(yaml.safe_load(RUN)), tmp_path / "run").store.close()
    content = yaml.safe_load(RUN)
    content["estimator"] = {"name": "predictor", "fitted_on": str(tmp_path / "run")}
    content["architecture"]["width"] = [2, 4]
    with pytest.raises(SpecError, match="other networks"):
        begin(parse_config(content), tmp_path / "other")


def test_a_run_of_short_trainings_alone_is_refused(tmp_path: Path) -> None:
    """Its pairs have the full fidelity of the run, which is half a training."""
    content = yaml.safe_load(RUN) | {"estimator": TRAINED, "generations": 1}
    content["slow"] = {"trainings": 8, "classes": 1, "fidelity": 0.5}
    begin(parse_config(content), tmp_path / "run").go()
    content["estimator"] = {"name": "predictor", "fitted_on": str(tmp_path / "run")}
    with pytest.raises(SpecError, match="nothing is judged at full fidelity"):
        begin(parse_config(content), tmp_path / "other")


def test_registered_models_are_those_of_the_settings() -> None:
    assert set(REGRESSORS) == set(NAMES)
