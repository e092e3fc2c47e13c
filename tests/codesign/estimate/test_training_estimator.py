"""A small trained network on digits under every kind of numerics."""

import hashlib
import json
from itertools import pairwise

import numpy as np
import pytest

from codesign.data import load
from codesign.estimate import estimator as estimator_module
from codesign.estimate.base import MemoryWeights, Request
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import training_key
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics
from hwmodels.workload.formats import precision_named
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision
from hwmodels.workload.precision import with_precision

ISAAC = Numerics(8, 8, cell_bits=2, dac_bits=1, active_rows=128, adc_bits=9)
DRAWS = 4


def digit_network(*, bits: int = 32) -> Workload:
    net = Builder("digit-network", (1, 1, 8, 8), precision=Precision(bits, bits, 32))
    x = net.conv_norm_act(net.input, 8, 3)
    x = net.conv_norm_act(x, 16, 3, stride=2)
    x = net.residual(x, net.conv_norm_act(x, 16, 3, groups=16))
    x = net.conv_norm_act(x, 32, 3, stride=2)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


@pytest.fixture(scope="module")
def weights() -> MemoryWeights:
    return MemoryWeights()


@pytest.fixture(scope="module")
def estimate(weights: MemoryWeights) -> TrainingEstimator:
    return TrainingEstimator(load("digits"), Recipe(epochs=6), weights, draws=DRAWS)


def test_float_accuracy_is_that_of_a_trained_network(estimate: TrainingEstimator) -> None:
    result = estimate(digit_network(), FLOAT)
    assert result.accuracy > 0.95
    assert result.accuracy_test > 0.95
    assert (result.spread, len(result.draws)) == (0, 1)


def test_eight_bits_are_within_a_point_of_float(estimate: TrainingEstimator) -> None:
    exact, rounded = (estimate(digit_network(), numerics) for numerics in (FLOAT, Numerics(8, 8)))
    assert abs(exact.accuracy - rounded.accuracy) <= 0.01
    assert abs(exact.accuracy_test - rounded.accuracy_test) <= 0.01


@pytest.mark.parametrize("differential", [0, 1])
def test_a_lossless_crossbar_is_the_integer_network(estimate: TrainingEstimator, differential: int) -> None:
    lossless = estimate(digit_network(), ISAAC._replace(differential=differential))
    assert lossless == estimate(digit_network(), Numerics(8, 8))


@pytest.mark.parametrize("is_calibrated", [0, 1])
def test_fewer_adc_bits_lose_accuracy(estimate: TrainingEstimator, is_calibrated: int) -> None:
    accuracy = [
        estimate(digit_network(), ISAAC._replace(adc_bits=bits, adc_calibrated=is_calibrated)).accuracy
        for bits in (9, 7, 6, 5, 4, 3)
    ]
    # Two adjacent settings may swap by the few images that one accuracy point of a small split is.
    assert all(fewer <= more + 0.02 for more, fewer in pairwise(accuracy)), accuracy
    assert accuracy[-1] < accuracy[0] - 0.3


def test_variation_costs_accuracy_and_spreads_it(estimate: TrainingEstimator) -> None:
    quiet, noisy = (estimate(digit_network(), ISAAC._replace(conductance_sigma=sigma)) for sigma in (0.02, 0.3))
    assert noisy.accuracy < quiet.accuracy
    assert noisy.spread > 0
    assert len(noisy.draws) == DRAWS
    assert noisy.accuracy == pytest.approx(np.mean(noisy.draws))
    assert noisy == estimate(digit_network(), ISAAC._replace(conductance_sigma=0.3)), "same seed, same draws"


def test_one_training_serves_every_numerics(
    estimate: TrainingEstimator, weights: MemoryWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate(digit_network(), FLOAT)
    before = len(weights)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(estimator_module, "train", refuse)
    results = [
        estimate(digit_network(bits=bits), numerics)
        for bits in (4, 8)
        for numerics in (FLOAT, Numerics(8, 8), ISAAC, ISAAC._replace(adc_bits=6))
    ]
    assert len(weights) == before
    assert len({result.key for result in results}) == 1
    assert not any(result.trained for result in results)


def test_store_and_fresh_training_agree(estimate: TrainingEstimator) -> None:
    recipe = Recipe(epochs=1)
    fresh = [TrainingEstimator(estimate.dataset, recipe, MemoryWeights()) for _ in range(2)]
    results = [each(digit_network(), Numerics(8, 8), 1.0, 3) for each in (*fresh, fresh[0])]
    assert [result.trained for result in results] == [True, True, False]
    assert results[0] == results[1] == results[2]


def test_estimate_key_follows_bits_and_hardware(estimate: TrainingEstimator) -> None:
    network = digit_network(bits=8)
    keys = {
        estimate.key(Request((), network, numerics, 1.0, seed))
        for numerics, seed in ((FLOAT, 0), (FLOAT, 1), (ISAAC, 0), (ISAAC._replace(adc_bits=8), 0), (Numerics(4, 8), 0))
    }
    assert len(keys) == 5
    assert estimate.key(Request((), network, FLOAT, 1.0, 0)) == estimate.key(
        Request((), network, Numerics(8, 8), 1.0, 0)
    ), "8 bits either way"


def test_integers_and_float32_keep_the_keys_that_they_had_before_other_formats(estimate: TrainingEstimator) -> None:
    """Estimates stored by earlier versions are found: the content of the key, written out as it was then."""
    for bits, numerics in ((8, FLOAT), (32, FLOAT), (16, FLOAT), (4, Numerics(8, 8)), (8, ISAAC)):
        network = digit_network(bits=bits)
        training = training_key(network, estimate.dataset, estimate.recipe, 1.0, 0)
        widths = [(min(bits, numerics.weight_bits), min(bits, numerics.activation_bits)) for _ in network]
        known_then = list(numerics[2 : Numerics._fields.index("adc_noise_lsb") + 1])
        content = [training, widths, known_then, 1, estimate.calibration, "exact"]
        expected = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        assert estimate.key(Request((), network, numerics, 1.0, 0)) == expected


def test_other_formats_have_keys_of_their_own(estimate: TrainingEstimator) -> None:
    network = digit_network(bits=32)
    half = FLOAT._replace(weight_bits=16, activation_bits=16, weight_exponent_bits=5, activation_exponent_bits=5)
    brain = half._replace(weight_exponent_bits=8, activation_exponent_bits=8)
    keys = [estimate.key(Request((), network, numerics, 1.0, 0)) for numerics in (FLOAT, half, brain, Numerics(16, 16))]
    asked = [with_precision(network, precision_named(name, where="test")) for name in ("fp16", "bf16", "fp8", "w4a16")]
    keys += [estimate.key(Request((), workload, FLOAT, 1.0, 0)) for workload in asked]
    assert keys[1] == keys[4], "the network's format or the hardware's"
    assert keys[2] == keys[5]
    assert len(set(keys)) == 6
    rounded, exact = estimate(network, brain), estimate(network, FLOAT)
    assert rounded.accuracy == pytest.approx(exact.accuracy, abs=0.02)
    assert estimate(asked[1], FLOAT).accuracy == rounded.accuracy


def test_a_crossbar_refuses_a_float_network(estimate: TrainingEstimator) -> None:
    with pytest.raises(SpecError, match="a crossbar multiplies integers"):
        estimate(digit_network(), ISAAC._replace(weight_bits=32, activation_bits=32))


def test_importing_the_packages_stays_light() -> None:
    import subprocess
    import sys

    code = "import sys, codesign; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
