"""Own weights under the hardware's arithmetic: the contract of estimators, the module's own accuracy, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from codesign.data import load
from codesign.estimate.base import Request
from codesign.estimate.own_weights import OwnWeights, own_state
from codesign.estimate.train import restore
from codesign.testing.estimator import EstimatorSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.from_torch import from_torch, load_torch
from hwmodels.workload.ops import Precision
from tests.codesign import own_module

FILE = Path(own_module.__file__)


def target(name: str) -> str:
    return f"{FILE}:{name}"


def requests() -> list[Request]:
    workload = load_torch(target("trained"), precision=Precision(32, 32))
    return [Request((0,), workload, numerics, 1.0, 3) for numerics in (FLOAT, Numerics(8, 8), Numerics(2, 2))]


class TestConformance(EstimatorSuite):
    def estimator(self) -> OwnWeights:
        return OwnWeights(load("digits"), target("trained"), draws=2)

    def requests(self) -> Sequence[Request]:
        return requests()


def test_float_accuracy_is_the_modules_own_and_bits_cost_accuracy() -> None:
    data = load("digits")
    asked = requests()
    estimator = OwnWeights(data, target("trained"), draws=1)
    found = [estimate for _, estimate in estimator.estimate(asked)]
    module = own_module.trained()[0].eval()
    with torch.no_grad():
        scores = module(torch.from_numpy(data.validation.images))
    own = float((scores.argmax(1).numpy() == data.validation.labels).mean())
    assert own > 0.5
    assert found[0].accuracy == pytest.approx(own, abs=1.5 / len(data.validation.labels))
    assert abs(found[1].accuracy - own) < 0.05 < own - found[2].accuracy
    assert not any(estimate.trained for estimate in found)


def test_the_twin_computes_what_the_module_computes() -> None:
    module, example = own_module.trained()
    workload = from_torch(module.eval(), example)
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 1, 8, 8)).astype(np.float32))
    with torch.no_grad():
        assert torch.allclose(restore(workload, own_state(workload, module))(images), module(images), atol=1e-5)


def test_other_weights_have_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    request = requests()[1]
    first = OwnWeights(load("digits"), target("trained"), draws=1).key(request)
    module = own_module.trained()[0].eval()
    with torch.no_grad():
        module.head.bias[0] += 1.0
    monkeypatch.setattr("codesign.estimate.own_weights._module", lambda name: module)
    assert OwnWeights(load("digits"), target("trained"), draws=1).key(request) != first


@pytest.mark.parametrize(
    ("name", "told"),
    [("regrouped", "outputs that differ by"), ("functional", r"no submodule of that path|nothing")],
)
def test_a_module_whose_layers_do_not_say_it_all_is_refused(name: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        OwnWeights(load("digits"), target(name), draws=1).check(load_torch(target(name)))
