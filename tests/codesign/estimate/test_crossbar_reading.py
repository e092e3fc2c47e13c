"""The laws of a bit-sliced read: lossless equals integers, lossy equals its equation, more bits no more error."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.estimate.crossbar import Crossbar, is_lossless, program, realised, sliced_product
from codesign.estimate.integer import IntegerMatrix, exact_product
from codesign.estimate.ranges import calibrated
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT, Numerics, lossless_adc_bits

I64 = npt.NDArray[np.int64]


def operands(
    generator: np.random.Generator, groups: int, sizes: tuple[int, int, int], bits: tuple[int, int]
) -> tuple[IntegerMatrix, torch.Tensor]:
    count, rows, outputs = sizes
    largest = 2 ** (bits[0] - 1) - 1
    values = torch.from_numpy(generator.integers(-largest, largest, (groups, rows, outputs), endpoint=True))
    codes = torch.from_numpy(generator.integers(0, 2 ** bits[1], (groups, count, rows)))
    return IntegerMatrix("m", values, *bits), codes.to(torch.uint8 if bits[1] <= 8 else torch.int32)


def plain_read(crossbar: Crossbar, codes: torch.Tensor) -> npt.NDArray[np.float64]:
    """The equation of the module's docstring, one scalar column sum at a time."""
    matrix, n = crossbar.matrix, crossbar.numerics
    values, inputs = matrix.values.numpy().astype(np.int64), codes.numpy().astype(np.int64)
    top, base = 2**n.adc_bits - 1, 2**n.cell_bits

    def column(cells: I64, x: I64, step: float) -> float:
        total = 0.0
        for i in range(-(-matrix.input_bits // n.dac_bits)):
            digits = x >> i * n.dac_bits & 2**n.dac_bits - 1
            array = n.array_rows or len(x)
            for row in range(len(x)):
                if row % array % n.active_rows:
                    continue
                end = min(row + n.active_rows, row - row % array + array, len(x))
                part = int(digits[row:end] @ cells[row:end])
                reading = np.round(np.float32(part) * np.float32(1 / step))
                total += 2 ** (i * n.dac_bits) * step * min(max(float(reading), 0.0), top)
        return total

    def spread_columns(weights: I64, x: I64) -> float:
        places = range(-(-matrix.weight_bits // n.cell_bits))
        return sum(base**s * column(weights // base**s % base, x, crossbar.step) for s in places)

    out = np.zeros((inputs.shape[0], inputs.shape[1], values.shape[2]))
    offset = 2 ** (matrix.weight_bits - 1)
    for g, m, k in np.ndindex(out.shape):
        w, x = values[g, :, k], inputs[g, m]
        if n.differential:
            out[g, m, k] = spread_columns(np.maximum(w, 0), x) - spread_columns(np.maximum(-w, 0), x)
        else:
            unit = column(np.ones_like(w), x, crossbar.unit_step)
            out[g, m, k] = spread_columns(w + offset, x) - offset * unit
    return out


def ideal(**fields: int) -> Numerics:
    return Numerics(**fields)


SLICINGS = st.builds(
    ideal,
    weight_bits=st.integers(2, 9),
    activation_bits=st.integers(1, 9),
    cell_bits=st.integers(1, 5),
    dac_bits=st.integers(1, 5),
    active_rows=st.integers(1, 40),
    adc_bits=st.integers(1, 12),
    adc_calibrated=st.integers(0, 1),
    differential=st.integers(0, 1),
    array_rows=st.sampled_from([0, 7, 16, 41]),
)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 60), st.integers(1, 4))
SEEDS = st.integers(0, 2**31)


@settings(max_examples=150, deadline=None)
@given(numerics=SLICINGS, sizes=SIZES, groups=st.integers(1, 3), seed=SEEDS)
def test_lossless_read_equals_the_integer_product(
    numerics: Numerics, sizes: tuple[int, int, int], groups: int, seed: int
) -> None:
    numerics = numerics._replace(
        adc_bits=lossless_adc_bits(numerics.active_rows, numerics.dac_bits, numerics.cell_bits)
    )
    matrix, codes = operands(np.random.default_rng(seed), groups, sizes, numerics[:2])
    crossbar = program(matrix, numerics)
    assert is_lossless(crossbar)
    reference = codes.numpy().astype(np.int64) @ matrix.values.numpy()
    np.testing.assert_array_equal(sliced_product(crossbar)(codes).numpy(), reference)
    np.testing.assert_array_equal(exact_product(matrix)(codes).numpy(), reference)


@settings(max_examples=80, deadline=None)
@given(numerics=SLICINGS, sizes=SIZES, groups=st.integers(1, 2), seed=SEEDS)
def test_any_read_equals_its_equation(numerics: Numerics, sizes: tuple[int, int, int], groups: int, seed: int) -> None:
    matrix, codes = operands(np.random.default_rng(seed), groups, sizes, numerics[:2])
    crossbar = program(matrix, numerics)
    if numerics.adc_calibrated:
        crossbar = calibrated(crossbar, codes)
    read = sliced_product(crossbar)(codes).numpy()
    np.testing.assert_allclose(read, plain_read(crossbar, codes), rtol=1e-11, atol=1e-9)
    if is_lossless(crossbar):  # the early exit is taken only where it changes nothing
        np.testing.assert_array_equal(read, exact_product(matrix)(codes).numpy())


@pytest.mark.parametrize(("rows", "dac", "cell"), [(128, 1, 2), (1, 1, 1), (127, 1, 1), (85, 1, 2), (86, 2, 2)])
def test_lossless_bits_are_the_fewest(rows: int, dac: int, cell: int) -> None:
    bits, largest = lossless_adc_bits(rows, dac, cell), rows * (2**dac - 1) * (2**cell - 1)
    assert 2**bits - 1 >= largest > 2 ** (bits - 1) - 1


def test_one_bit_less_than_lossless_is_lossy_at_the_extreme() -> None:
    numerics = Numerics(8, 8, 2, 1, 128, lossless_adc_bits(128, 1, 2) - 1)
    matrix = IntegerMatrix("m", torch.full((1, 128, 1), 127), 8, 8)
    crossbar = program(matrix, numerics)
    assert not is_lossless(crossbar)
    codes = torch.arange(128, dtype=torch.uint8).reshape(1, 1, 128)
    assert not torch.equal(sliced_product(crossbar)(codes), exact_product(matrix)(codes))


def squared_errors(matrix: IntegerMatrix, codes: torch.Tensor, numerics: Numerics, adc_bits: range) -> list[float]:
    exact, errors = exact_product(matrix)(codes), []
    for bits in adc_bits:
        crossbar = program(matrix, numerics._replace(adc_bits=bits))
        crossbar = calibrated(crossbar, codes) if numerics.adc_calibrated else crossbar
        errors.append(float((sliced_product(crossbar)(codes) - exact).square().mean()))
    return errors


@pytest.mark.parametrize("is_calibrated", [0, 1])
@pytest.mark.parametrize(("dac_bits", "cell_bits"), [(1, 1), (1, 2), (2, 4), (4, 4)])
def test_more_adc_bits_give_no_more_error_in_a_reading(dac_bits: int, cell_bits: int, is_calibrated: int) -> None:
    """One slice of non-negative weights and inputs: each output is one reading; from a single bit to lossless."""
    generator = np.random.default_rng(7)
    weights = generator.integers(0, 2**cell_bits, (1, 64, 50)) * (generator.random((1, 64, 50)) < 0.5)
    inputs = generator.integers(0, 2**dac_bits, (1, 100, 64)) * (generator.random((1, 100, 64)) < 0.5)
    matrix = IntegerMatrix("m", torch.from_numpy(weights), cell_bits + 1, dac_bits)
    numerics = Numerics(8, 8, cell_bits, dac_bits, 64, 0, is_calibrated, 1)
    bits = range(1, lossless_adc_bits(64, dac_bits, cell_bits) + 1)
    errors = squared_errors(matrix, torch.from_numpy(inputs.astype(np.uint8)), numerics, bits)
    assert errors[-1] == 0
    assert all(more <= fewer for fewer, more in pairwise(errors)), errors


@pytest.mark.parametrize("differential", [0, 1])
@pytest.mark.parametrize("is_calibrated", [0, 1])
@pytest.mark.parametrize(("dac_bits", "cell_bits"), [(1, 1), (1, 2), (2, 4)])
def test_more_adc_bits_give_no_more_error(dac_bits: int, cell_bits: int, is_calibrated: int, differential: int) -> None:
    """The whole sliced product over a fixed ensemble of sparse, bell-shaped operands.

    From five bits below lossless: with fewer, full scale rounds most sums to zero, and whether the errors of weight
    and unit columns cancel is chance.
    """
    generator = np.random.default_rng(7)
    weights = np.clip(np.round(generator.normal(0, 30, (1, 100, 24))), -127, 127).astype(np.int64)
    inputs = np.clip(np.round(generator.normal(0, 60, (1, 64, 100))), 0, 255).astype(np.uint8)
    matrix = IntegerMatrix("m", torch.from_numpy(weights), 8, 8)
    numerics = Numerics(8, 8, cell_bits, dac_bits, 64, 0, is_calibrated, differential)
    enough = lossless_adc_bits(64, dac_bits, cell_bits)
    errors = squared_errors(matrix, torch.from_numpy(inputs), numerics, range(enough - 5, enough + 1))
    assert errors[-1] == 0
    assert all(more <= fewer for fewer, more in pairwise(errors)), errors


def test_calibration_beats_full_scale_where_sums_are_small() -> None:
    generator = np.random.default_rng(1)
    values = torch.from_numpy(generator.integers(-20, 20, (1, 128, 16)))
    codes = torch.from_numpy(generator.integers(0, 20, (1, 200, 128))).to(torch.uint8)
    matrix, numerics = IntegerMatrix("m", values, 8, 8), Numerics(8, 8, 2, 1, 128, 5, 0, 1)
    full, exact = program(matrix, numerics), exact_product(matrix)(codes)
    fitted = calibrated(full, codes[:, :100])
    errors = [float((sliced_product(x)(codes) - exact).square().mean()) for x in (fitted, full)]
    assert errors[0] < errors[1] / 4


@pytest.mark.parametrize("differential", [0, 1])
def test_a_range_has_the_least_error_weighted_by_place(differential: int) -> None:
    """Against all candidate steps on the sums themselves, each sum counting by the square of its place value."""
    generator = np.random.default_rng(6)
    weights = np.clip(np.round(generator.normal(0, 12, (1, 64, 8))), -127, 127).astype(np.int64)
    inputs = np.clip(np.round(generator.normal(0, 40, (1, 100, 64))), 0, 255).astype(np.uint8)
    matrix, numerics = IntegerMatrix("m", torch.from_numpy(weights), 8, 8), Numerics(8, 8, 2, 1, 64, 3, 1, differential)
    array, top = calibrated(program(matrix, numerics), torch.from_numpy(inputs)), 2**3 - 1
    cells = array.cells[0, :, : array.weight_columns].numpy()
    sums, places = [], []
    for i in range(8):
        for column in range(array.weight_columns):
            sums.append((inputs[0] >> i & 1) @ cells[:, column])
            places.append(4.0**i * 16.0 ** (column // 8 % array.slices))

    def error(step: float) -> float:
        read = np.clip(np.round(np.array(sums) / step), 0, top) * step
        return float((np.array(places)[:, None] * (read - np.array(sums)) ** 2).sum())

    candidates = np.geomspace(1.0, np.max(sums), 64)
    assert error(array.step) == pytest.approx(min(error(step) for step in candidates), rel=1e-5)
    assert array.step > 1


def test_variation_is_unbiased_and_grows_with_sigma() -> None:
    generator = np.random.default_rng(3)
    matrix, codes = operands(generator, 1, (50, 64, 16), (8, 8))
    exact, rms = exact_product(matrix)(codes), []
    for sigma in (0.1, 0.2, 0.4):
        crossbar = program(matrix, Numerics(8, 8, 2, 1, 64, 12, 0, 1, sigma))
        assert not is_lossless(crossbar)
        draws = [sliced_product(realised(crossbar, torch.Generator().manual_seed(d)))(codes) for d in range(30)]
        errors = torch.stack(draws) - exact
        assert float(errors.mean().abs()) < 0.2 * float(errors.std())
        rms.append(float(errors.square().mean().sqrt()))
    assert rms[0] < rms[1] < rms[2]


def test_variation_repeats_with_its_generator() -> None:
    matrix, codes = operands(np.random.default_rng(0), 2, (5, 9, 3), (8, 8))
    crossbar = program(matrix, Numerics(8, 8, 2, 1, 4, 9, conductance_sigma=0.1))
    first, again, other = (
        sliced_product(realised(crossbar, torch.Generator().manual_seed(seed)))(codes) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_digital_device_is_no_crossbar() -> None:
    matrix = IntegerMatrix("m", torch.ones(1, 2, 2), 8, 8)
    with pytest.raises(SpecError, match="not a crossbar"):
        program(matrix, FLOAT)
