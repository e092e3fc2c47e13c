"""Integer products equal an int64 reference bit for bit; quantisers cover their range."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.estimate.integer import (
    IntegerMatrix,
    activation_quantiser,
    exact_product,
    quantise_weights,
    sampled,
    unfold,
)
from hwmodels.workload.ops import Conv2d


@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 3),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 700), st.integers(1, 5)),
    weight_bits=st.integers(2, 16),
    input_bits=st.integers(1, 16),
    seed=st.integers(0, 2**31),
)
def test_product_equals_int64(
    groups: int, sizes: tuple[int, int, int], weight_bits: int, input_bits: int, seed: int
) -> None:
    count, rows, outputs = sizes
    generator = np.random.default_rng(seed)
    largest = 2 ** (weight_bits - 1) - 1
    # The extremes on purpose: sums as large as the widths allow.
    values = generator.choice([-largest, largest, 1], (groups, rows, outputs), p=[0.1, 0.8, 0.1])
    codes = generator.choice([2**input_bits - 1, 0, 1], (groups, count, rows), p=[0.8, 0.1, 0.1])
    matrix = IntegerMatrix("m", torch.from_numpy(values), weight_bits, input_bits)
    product = exact_product(matrix)(torch.from_numpy(codes.astype(np.int32)))
    np.testing.assert_array_equal(product.numpy().astype(np.int64), codes.astype(np.int64) @ values)


@pytest.mark.parametrize("bits", [2, 4, 8, 12])
@pytest.mark.parametrize("offset", [0.0, -1.0])
def test_quantiser_error_is_at_most_that_of_the_full_range(bits: int, offset: float) -> None:
    values = torch.rand(5000, generator=torch.Generator().manual_seed(0)) * 2 + offset
    quantiser = activation_quantiser(values, bits)
    assert (quantiser.zero == 0) == (offset == 0)
    assert float(quantiser.reals(quantiser.integers(torch.zeros(1)))) == 0
    step = (float(values.max()) - min(offset, 0)) / (2**bits - 1)
    error = (quantiser.reals(quantiser.integers(values)) - values).square().mean()
    assert float(error) <= 1.3 * step**2 / 12


def test_a_sample_meets_every_column_of_an_image() -> None:
    chosen = sampled(128 * 64, 512)
    assert len(chosen.unique()) == 512
    assert len((chosen % 8).unique()) == 8
    assert torch.equal(sampled(5, 512), torch.arange(5))


def test_one_outlier_does_not_set_the_range() -> None:
    values = torch.cat([torch.rand(5000, generator=torch.Generator().manual_seed(0)), torch.tensor([3.0])])
    assert activation_quantiser(values, 3).scale < 3 / 7


def test_a_silent_tensor_quantises_to_zero() -> None:
    quantiser = activation_quantiser(torch.zeros(3), 8)
    assert torch.equal(quantiser.reals(quantiser.integers(torch.zeros(3))), torch.zeros(3))


def test_weights_are_symmetric_and_scaled_by_channel() -> None:
    weights = torch.tensor([[1.0, -0.61, 0.27], [100.0, -61.0, 27.0], [0.0, 0.0, 0.0]])
    codes, scale = quantise_weights(weights, 8)
    assert codes.abs().max() <= 127
    torch.testing.assert_close(codes[0], codes[1])
    torch.testing.assert_close(codes * scale[:, None], weights.double(), rtol=0.02, atol=0.0)


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
    zero=st.integers(0, 255),
)
def test_unfolded_rows_times_weights_are_the_convolution(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    zero: int,
) -> None:
    generator = torch.Generator().manual_seed(zero)
    codes = torch.randint(0, 256, (2, 4, 7, 9), generator=generator, dtype=torch.uint8)
    weight = torch.randint(-9, 9, (8, 4 // groups, *kernel), generator=generator).double()
    operator = Conv2d(8, kernel, stride, padding, dilation, groups, False)
    rows, size = unfold(codes, operator, zero)
    columns = weight.permute(0, 2, 3, 1).reshape(groups, 8 // groups, -1).transpose(1, 2)
    outputs = (rows.double() @ columns).reshape(groups, 2, *size, -1).permute(1, 0, 4, 2, 3).reshape(2, 8, *size)
    padded = torch.nn.functional.pad(
        codes.double(), (padding[1], padding[1], padding[0], padding[0]), value=float(zero)
    )
    expected = torch.nn.functional.conv2d(padded, weight, stride=stride, dilation=dilation, groups=groups)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
