"""Noise-aware training: its gradients, its noise, and the accuracy that it recovers on digits."""

import math

import numpy as np
import pytest
import torch

from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.noise import ReadingStep, noisy_operations, noisy_weights
from codesign.estimate.recipe import NoiseRecipe, Recipe
from codesign.estimate.train import pack, train, training_key
from codesign.network.module import to_module
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision


def network(*, groups: int = 1) -> Workload:
    net = Builder("noisy", (1, 1, 8, 8), precision=Precision(8, 8, 32))
    x = net.conv_norm_act(net.input, 8, 3)
    x = net.conv_norm_act(x, 16, 3, stride=2, groups=groups)
    x = net.conv_norm_act(x, 32, 3, stride=2)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


def test_a_read_rounds_and_clips_and_lets_gradients_through() -> None:
    """LSQ's gradients by hand, for a step of 0.5 and 3 bits: codes -3 .. 3."""
    step = ReadingStep(3)
    step.logarithm.data.fill_(math.log(0.5))
    sums = torch.tensor([0.6, -0.9, 5.0, -5.0], requires_grad=True)
    read = step(sums)
    torch.testing.assert_close(read.detach(), torch.tensor([0.5, -1.0, 1.5, -1.5]))
    torch.autograd.backward(read, torch.tensor([1.0, 2.0, 3.0, 5.0]))
    assert sums.grad is not None
    assert step.logarithm.grad is not None
    torch.testing.assert_close(sums.grad, torch.tensor([1.0, 2.0, 0.0, 0.0]))
    # round(r) - r inside, +-Q outside; times the step for its logarithm, and 1 / sqrt(Q elements).
    by_step = 1.0 * (1 - 1.2) + 2.0 * (-2 + 1.8) + 3.0 * 3 - 5.0 * 3
    assert float(step.logarithm.grad) == pytest.approx(by_step * 0.5 / math.sqrt(3 * 4), rel=1e-5)


def test_a_step_starts_where_three_deviations_fit() -> None:
    step = ReadingStep(5)
    sums = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * 7
    step(sums)
    assert float(step.logarithm.detach().exp()) == pytest.approx(3 * float(sums.std()) / 15, rel=1e-5)


def test_noise_is_relative_to_the_largest_weight_of_each_output() -> None:
    torch.manual_seed(0)
    weight = torch.tensor([[4.0, 0.0], [0.0, -0.5]]).repeat(1, 20_000)
    deviation = (noisy_weights(weight, 0.1) - weight).std(dim=1)
    np.testing.assert_allclose(deviation, [0.4, 0.05], rtol=0.02)
    assert noisy_weights(weight, 0.0) is weight


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("active_rows", [16, 40, 1024])
def test_without_noise_and_with_fine_steps_products_are_the_float_ones(groups: int, active_rows: int) -> None:
    torch.manual_seed(1)
    module = to_module(network(groups=groups)).eval()
    noise = NoiseRecipe(weight_sigma=0.0, adc_bits=14, active_rows=active_rows)
    operations, steps = noisy_operations(module, noise)
    images = torch.randn(4, 1, 8, 8)
    output = module.workload.outputs[0]
    expected = module(images)
    for _ in range(2):
        read = module.run([images], replace=operations, keep=(output,))[output]
    assert len(steps) == 4
    # Ranges start at three deviations, so that a few sums are clipped.
    assert float((read - expected).square().mean() / expected.square().mean()) < 0.01
    for step in steps:
        step.logarithm.data.add_(2.0)
    read = module.run([images], replace=operations, keep=(output,))[output]
    torch.testing.assert_close(read, expected, rtol=0, atol=0.02 * float(expected.detach().abs().max()))


def test_weights_are_drawn_anew_for_every_batch() -> None:
    module = to_module(network()).eval()
    operations, steps = noisy_operations(module, NoiseRecipe(weight_sigma=0.1))
    assert len(steps) == 0
    images, output = torch.randn(2, 1, 8, 8), module.workload.outputs[0]
    first, second = (module.run([images], replace=operations, keep=(output,))[output] for _ in range(2))
    assert not torch.equal(first, second)


def test_a_recipe_without_noise_keeps_its_key() -> None:
    """The key of the shipped recipes, from before noise was known: stored trainings stay valid."""
    dataset = load("digits")
    plain, noisy = Recipe(epochs=3), Recipe(epochs=3, noise=NoiseRecipe(weight_sigma=0.1))
    keys = [training_key(network(), dataset, recipe, 1.0, 0) for recipe in (plain, noisy)]
    assert keys[0] != keys[1]
    others = [NoiseRecipe(weight_sigma=0.2), NoiseRecipe(weight_sigma=0.1, adc_bits=4)]
    assert len({*keys, *(training_key(network(), dataset, Recipe(epochs=3, noise=n), 1.0, 0) for n in others)}) == 4
    from codesign.estimate import train as training

    settings = {"epochs": 3, "batch_size": 32, "optimiser": "adamw", "learning_rate": 1e-2, "momentum": 0.9,
                "weight_decay": 1e-2, "label_smoothing": 0.05, "warmup": 0.1}  # fmt: skip
    content = [training.structure(network()), dataset.fingerprint, settings, 3, 0]
    import hashlib
    import json

    assert keys[0] == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_noisy_training_repeats_to_the_bit() -> None:
    recipe = Recipe(epochs=1, noise=NoiseRecipe(weight_sigma=0.1, adc_bits=5, active_rows=64))
    first, again = (pack(train(network(), load("digits"), recipe, 0)) for _ in range(2))
    assert first == again
    assert first != pack(train(network(), load("digits"), Recipe(epochs=1), 0))


def test_noise_aware_training_recovers_accuracy() -> None:
    """Offset cells that vary by 20 %, 5-bit ADCs: .18 better with a deviation of .04 over seeds and processors."""
    offset = Numerics(
        8, 8, cell_bits=2, dac_bits=1, active_rows=64, adc_bits=5, adc_calibrated=1, conductance_sigma=0.2
    )
    found = []
    for noise in (None, NoiseRecipe(weight_sigma=0.1, adc_bits=5, active_rows=64)):
        estimator = TrainingEstimator(load("digits"), Recipe(epochs=10, noise=noise), MemoryWeights())
        found.append([estimator(network(), offset, 1.0, seed).accuracy for seed in range(2)])
        assert estimator(network(), Numerics(8, 8)).accuracy > 0.95
    plain, aware = (np.array(accuracies) for accuracies in found)
    assert (aware - plain > 0.05).all(), (plain, aware)
