"""What every estimator must do: equal answers to equal requests, whoever answers, in any order, in another process.

An estimator of another package is held against it by three lines::

    class TestMine(EstimatorSuite):
        def estimator(self):
            return Mine()

Its networks are small chains; override `requests` for an estimator that answers for others, as a table does.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence

import numpy as np
import pytest

from codesign.estimate.base import Estimate, Estimator, Request
from codesign.space.chain import ChainSpace
from hwmodels.numerics import Numerics

__all__ = ["EstimatorSuite", "chain_requests"]


def chain_requests() -> list[Request]:
    """Two networks for images of 1 x 8 x 8 and ten classes, each at two widths and two fidelities."""
    space = ChainSpace(stages=1, kernel=(3,), width=(4, 8), depth=(1,), stride=(2,), bits=(8,), input_shape=(1, 8, 8))
    return [
        Request(tuple(genotype.tolist()), space.workload(genotype), Numerics(bits, bits), fidelity, 3)
        for genotype in space.enumerate()
        for bits in (4, 8)
        for fidelity in (1 / 2, 1.0)
    ]


class EstimatorSuite:
    """Subclass it and say how an estimator is made; pytest finds the tests."""

    def estimator(self) -> Estimator:
        """A fresh estimator; equal ones at every call."""
        raise NotImplementedError

    def requests(self) -> Sequence[Request]:
        """At least two requests that the estimator answers, of which no two are equal."""
        return chain_requests()

    @pytest.fixture
    def answers(self) -> dict[int, Estimate]:
        return dict(self.estimator().estimate(self.requests()))

    def test_every_request_has_one_answer(self, answers: dict[int, Estimate]) -> None:
        requests = self.requests()
        told = [position for position, _ in self.estimator().estimate(requests)]
        assert sorted(told) == list(range(len(requests)))
        assert sorted(answers) == sorted(told)
        assert list(self.estimator().estimate([])) == []

    def test_an_estimate_is_an_error_its_spread_and_metrics(self, answers: dict[int, Estimate]) -> None:
        declared = self.estimator().metrics
        assert set(declared.values()) <= {"less", "more", "neither"}
        for position, estimate in answers.items():
            assert math.isfinite(estimate.error)
            assert estimate.spread >= 0
            assert set(estimate.metrics) == set(declared)
            assert all(isinstance(value, float) for value in estimate.metrics.values())
            assert estimate.fidelity == self.requests()[position].fidelity

    def test_equal_requests_have_equal_answers_in_any_order(self, answers: dict[int, Estimate]) -> None:
        requests = self.requests()
        order = np.random.default_rng(0).permutation(len(requests)).tolist()
        shuffled = dict(self.estimator().estimate([requests[i] for i in order]))
        assert all(shuffled[place] == answers[i] for place, i in enumerate(order))
        alone = [estimate for _, estimate in self.estimator().estimate(requests[:1])]
        assert alone == [answers[0]]

    def test_equal_keys_are_equal_estimates(self, answers: dict[int, Estimate]) -> None:
        keys = [self.estimator().key(request) for request in self.requests()]
        assert all(isinstance(key, str) for key in keys)
        assert keys == [self.estimator().key(request) for request in self.requests()]
        for i, key in enumerate(keys):
            for j in range(i):
                assert key != keys[j] or answers[i] == answers[j]

    def test_it_travels_to_another_process(self, answers: dict[int, Estimate]) -> None:
        there: Estimator = pickle.loads(pickle.dumps(self.estimator()))
        assert dict(there.estimate(self.requests())) == answers
