"""The shipped suite of estimators, on ours and on ones that must fail it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from codesign.data import load
from codesign.estimate.base import CarriedWeights, Estimate, Estimator, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.estimate.table import DIGITS_CELLS, digits_cells
from codesign.testing.estimator import EstimatorSuite, chain_requests
from tests.codesign.toys import FormulaEstimator


class TestTraining(EstimatorSuite):
    def estimator(self) -> Estimator:
        return TrainingEstimator(load("digits"), Recipe(epochs=2, batch_size=128), CarriedWeights(), draws=1)

    def requests(self) -> Sequence[Request]:
        return chain_requests()[:3]


class TestTable(EstimatorSuite):
    def estimator(self) -> Estimator:
        return digits_cells()

    def requests(self) -> Sequence[Request]:
        table = digits_cells()
        found = []
        for cell in table.cells[[3, 500]]:
            genotype = table.space.genotype_of(int(cell))
            workload = table.space.workload(genotype)
            readings = [(numerics, 1.0) for numerics in DIGITS_CELLS.numerics] + [(DIGITS_CELLS.numerics[0], 1 / 3)]
            found += [Request(tuple(genotype.tolist()), workload, numerics, f, 0) for numerics, f in readings]
        return found


class TestFormula(EstimatorSuite):
    def estimator(self) -> Estimator:
        return FormulaEstimator()


class OneKeyForAll(FormulaEstimator):
    def key(self, request: Request) -> str:
        return "00000000"


class ByTurn(FormulaEstimator):
    """Depends on what was asked before."""

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, _ in enumerate(requests):
            yield position, Estimate(1 / (position + 1), 0.0, dict.fromkeys(self.metrics, 0.5), 1.0, "k")


class Undeclared(FormulaEstimator):
    metrics = {"perplexity": "less"}  # noqa: RUF012


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (OneKeyForAll, "equal_keys_are_equal_estimates"),
        (ByTurn, "equal_requests_have_equal_answers_in_any_order"),
        (Undeclared, "an_estimate_is_an_error_its_spread_and_metrics"),
    ],
)
def test_the_suite_sees_what_is_wrong(kind: type[FormulaEstimator], test: str) -> None:
    suite = type("Suite", (EstimatorSuite,), {"estimator": lambda self: kind()})()
    answers = dict(kind().estimate(suite.requests()))
    with pytest.raises(AssertionError):
        getattr(suite, f"test_{test}")(answers)


def test_the_requests_of_the_suite_differ() -> None:
    requests = chain_requests()
    assert len({(r.genotype, tuple(r.numerics), r.fidelity) for r in requests}) == len(requests) == 8
    assert all(np.isfinite(r.workload.macs) for r in requests)
