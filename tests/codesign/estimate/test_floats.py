"""Simulated floats against torch's own casts, bit for bit, and against a list of all their numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from codesign.estimate.floats import activation_scale, largest_finite, round_to_format, rounded, rounded_weights
from hwmodels.workload.formats import FLOATS


def samples() -> Tensor:
    """Numbers of every exponent, the specials, all bfloat16 numbers and what lies half-way between two of them."""
    generator = torch.Generator().manual_seed(0)
    exponents = torch.randint(-150, 128, (200_000,), generator=generator)
    drawn = torch.ldexp(torch.rand(200_000, generator=generator) * 2 - 1, exponents)
    patterns = torch.arange(-(2**15), 2**15, dtype=torch.int32) << 16
    grid = torch.cat([patterns, patterns + 0x8000, patterns + 0x7FFF]).view(torch.float32)
    half = torch.arange(0, 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
    between = (half[:-1] + half[1:]) / 2
    special = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 448.0, 464.0, 65504.0, 65519.0, 65520.0, 61440.0])
    return torch.cat([drawn, grid, half, between, -between, special])


def assert_same_bits(found: Tensor, expected: Tensor) -> None:
    is_nan = expected.isnan()
    assert torch.equal(found.isnan(), is_nan)
    assert torch.equal(found[~is_nan].view(torch.int32), expected[~is_nan].view(torch.int32))


@pytest.mark.parametrize(
    ("dtype", "exponent_bits", "mantissa_bits"),
    [(torch.float16, 5, 10), (torch.bfloat16, 8, 7), (torch.float8_e5m2, 5, 2)],
)
def test_rounding_is_the_cast_of_torch(dtype: torch.dtype, exponent_bits: int, mantissa_bits: int) -> None:
    values = samples()
    assert_same_bits(round_to_format(values, exponent_bits, mantissa_bits), values.to(dtype).float())
    assert largest_finite(exponent_bits, mantissa_bits) == torch.finfo(dtype).max


def test_e4m3_is_the_cast_of_torch_and_saturates_beyond() -> None:
    values = samples()
    values = values[~values.isnan()]
    inside = values.abs() <= 448
    found = round_to_format(values, 4, 3)
    assert_same_bits(found[inside], values[inside].to(torch.float8_e4m3fn).float())
    assert torch.equal(found[~inside], torch.copysign(torch.tensor(448.0), values[~inside]))
    assert largest_finite(4, 3) == torch.finfo(torch.float8_e4m3fn).max
    assert round_to_format(torch.tensor([math.nan]), 4, 3).isnan().all()


def test_fp4_takes_the_nearest_of_its_numbers_and_the_even_one_of_two() -> None:
    numbers = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]  # even codes are those at even positions
    for value in torch.linspace(0, 9, 721).tolist():
        distances = [abs(value - number) for number in numbers]
        nearest = [i for i, distance in enumerate(distances) if distance == min(distances)]
        expected = numbers[min(nearest, key=lambda i: i % 2)]
        assert round_to_format(torch.tensor([value, -value]), 2, 1).tolist() == [expected, -expected]


def test_tf32_keeps_the_range_and_ten_bits() -> None:
    values = torch.tensor([1 + 2.0**-10, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 3e38, 1e-40])
    found = round_to_format(values, 8, 10)
    assert found[:3].tolist() == [1 + 2.0**-10, 1.0, 1 + 2.0**-9]
    assert torch.allclose(found[3:], values[3:], rtol=2.0**-11, atol=2.0**-137)


def test_wide_floats_are_left_alone() -> None:
    values = samples()[:100]
    for name in ("fp32", "fp64"):
        assert rounded(values, FLOATS[name]) is values


@pytest.mark.parametrize("name", ["fp4", "fp8", "fp8_e5m2"])
def test_narrow_tensors_are_scaled_into_range(name: str) -> None:
    """Whatever the unit of a tensor: its largest number stays, channel by channel, and none overflows."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(6, 5, 3, 3, generator=generator) * torch.tensor([1e-6, 1.0, 1e6, 3.0, 0.1, 1e-3]).reshape(
        6, 1, 1, 1
    )
    found = rounded_weights(weights, FLOATS[name])
    assert torch.allclose(found.flatten(1).abs().amax(1), weights.flatten(1).abs().amax(1), rtol=1e-6)
    error = (found - weights).flatten(1).abs().amax(1) / weights.flatten(1).abs().amax(1)
    assert float(error.max()) <= 2.0 ** -(FLOATS[name].mantissa_bits + 1)
    scale = activation_scale(weights, FLOATS[name])
    assert float(weights.abs().max()) / scale == pytest.approx(
        largest_finite(FLOATS[name].exponent_bits, FLOATS[name].mantissa_bits), rel=1e-6
    )
    assert rounded_weights(torch.zeros(2, 3), FLOATS[name]).eq(0).all()


def test_formats_of_sixteen_bits_are_not_scaled() -> None:
    values = torch.tensor([[1e-9, 70000.0]])
    assert activation_scale(values, FLOATS["fp16"]) == 1.0
    assert rounded_weights(values, FLOATS["fp16"]).tolist() == [[0.0, math.inf]]
