"""What programming, faults, drift and reads do to cells, and that their statistics are the published ones."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.estimate.cells import conductances, drift_factors, programmed, with_stuck
from codesign.estimate.crossbar import is_lossless, program, realised, sliced_product
from codesign.estimate.crossbar_network import read_products
from codesign.estimate.integer import IntegerMatrix, exact_product
from hwmodels.numerics import VARIATIONS, Numerics

BASE = Numerics(8, 8, cell_bits=2, dac_bits=1, active_rows=64, adc_bits=9)
COUNT = 200_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", VARIATIONS)
@pytest.mark.parametrize("level", [1.0, 3.0])
def test_variation_has_the_mean_and_deviation_of_its_kind(kind: str, level: float) -> None:
    sigma = 1.0 if kind == "pcm" else 0.1
    numerics = BASE._replace(conductance_sigma=sigma, variation=VARIATIONS.index(kind))
    drawn = programmed(torch.full((COUNT,), level), numerics, generator())
    x = level / 3
    expected = {
        "proportional": 0.1 * level,
        "lognormal": level * math.sqrt(math.exp(0.1**2) - 1),
        "independent": 0.1 * 3,
        "pcm": 3 * (0.26348 + 1.9650 * x - 1.1731 * x * x) / 25,
    }[kind]
    assert float(drawn.mean()) == pytest.approx(level, abs=5 * expected / math.sqrt(COUNT))
    assert float(drawn.std()) == pytest.approx(expected, rel=0.01)
    assert float(drawn.min()) >= 0


def test_a_wide_lognormal_keeps_its_mean() -> None:
    """Without the correction the mean would be exp(0.125) = 1.13 times as large."""
    numerics = BASE._replace(conductance_sigma=0.5, variation=1)
    drawn = programmed(torch.full((COUNT,), 2.0), numerics, generator())
    assert float(drawn.mean()) == pytest.approx(2.0, rel=0.01)


def test_constant_drift_is_its_power_law() -> None:
    numerics = BASE._replace(drift_s=2000.0, drift_nu=0.05)
    factors = drift_factors(torch.ones(10), numerics, generator())
    np.testing.assert_allclose(factors, 100.0**-0.05, rtol=1e-6)
    assert drift_factors(torch.ones(1), numerics._replace(drift_s=20.0), generator()) == 1.0


@pytest.mark.parametrize(
    ("state", "mean", "deviation"),
    [(0.02, 0.0850, 0.0430), (0.1, 0.0601, 0.0229), (0.3, 0.049, 0.0092), (1.0, 0.049, 0.008), (0.0, 0.1, 0.045)],
)
def test_drift_of_phase_change_memory_depends_on_its_state(state: float, mean: float, deviation: float) -> None:
    """Means and deviations by hand: -0.0155 ln 0.1 + 0.0244 = 0.0601, -0.0125 ln 0.1 - 0.0059 = 0.0229."""
    numerics = BASE._replace(drift_s=20 * math.e, drift_of_state=1)
    factors = drift_factors(torch.full((COUNT,), 3 * state), numerics, generator())
    assert isinstance(factors, torch.Tensor)
    exponents = -factors.double().log()
    # Exponents are cut off at zero, which moves both by the tail below it.
    tail = np.maximum(np.random.default_rng(1).normal(mean, deviation, COUNT), 0)
    assert float(exponents.mean()) == pytest.approx(tail.mean(), abs=6e-4)
    assert float(exponents.std()) == pytest.approx(tail.std(), abs=6e-4)


def test_stuck_cells_are_as_many_as_asked_and_at_the_ends() -> None:
    numerics = BASE._replace(stuck_off=0.1, stuck_on=0.03, off_conductance=0.1)
    stuck = with_stuck(torch.full((COUNT,), 1.5), numerics, torch.rand(COUNT, generator=generator()))
    values, counts = np.unique(stuck.numpy(), return_counts=True)
    np.testing.assert_allclose(values, [0.3, 1.5, 3.0], rtol=1e-6)
    np.testing.assert_allclose(counts / COUNT, [0.1, 0.87, 0.03], atol=0.003)


def test_a_stuck_cell_is_worth_its_place() -> None:
    """All cells stuck on: every offset weight is 255, less 128 a unit cell stuck at 3, whatever was written."""
    matrix = IntegerMatrix("m", torch.full((1, 4, 1), -100), 8, 8)
    codes = torch.tensor([[[1, 2, 3, 4]]], dtype=torch.uint8)
    array = realised(program(matrix, BASE._replace(stuck_on=1.0)), generator())
    assert float(sliced_product(array)(codes)) == 10 * (255 - 128 * 3)


@settings(max_examples=60, deadline=None)
@given(
    off=st.floats(0.001, 0.4),
    differential=st.integers(0, 1),
    cell_bits=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_an_off_state_that_conducts_is_taken_away_again(
    off: float, differential: int, cell_bits: int, seed: int
) -> None:
    """With a fine ADC the product is that of ideal cells up to the rounding of readings."""
    rng = np.random.default_rng(seed)
    matrix = IntegerMatrix("m", torch.from_numpy(rng.integers(-127, 128, (1, 30, 3))), 8, 8)
    codes = torch.from_numpy(rng.integers(0, 256, (1, 5, 30)).astype(np.uint8))
    numerics = BASE._replace(cell_bits=cell_bits, differential=differential, off_conductance=off, adc_bits=14)
    array = program(matrix, numerics)
    assert not is_lossless(array)
    levels = program(matrix, numerics._replace(off_conductance=0.0)).cells
    on = 2**cell_bits - 1
    np.testing.assert_allclose(array.cells, off * on + (1 - off) * levels, rtol=1e-6)
    np.testing.assert_allclose(conductances(levels, numerics), array.cells)
    read, exact = sliced_product(array)(codes), exact_product(matrix)(codes)
    places = sum(2.0 ** (s * cell_bits) for s in range(array.slices)) * 255
    reading = 0.5 * places / (1 - off)
    unit = 0 if differential else 0.5 * 255 * (128 + off * on * places / 255 / (1 - off)) / (1 - off + off * on)
    assert float((read - exact).abs().max()) <= reading * (1 + differential) + unit


@pytest.mark.parametrize("differential", [0, 1])
def test_read_noise_has_the_variance_of_its_cells(differential: int) -> None:
    """Two equal reads differ; their variance is sigma^2 sum of place^2 x^2 g^2 and half a step of rounding."""
    rng = np.random.default_rng(2)
    matrix = IntegerMatrix("m", torch.from_numpy(rng.integers(-127, 128, (1, 40, 2))), 8, 4)
    numerics = BASE._replace(dac_bits=4, adc_bits=14, differential=differential, read_sigma=0.3, adc_calibrated=0)
    array, codes = program(matrix, numerics), torch.from_numpy(rng.integers(0, 16, (1, 1, 40)).astype(np.uint8))
    reads = sliced_product(array, generator())(codes.expand(1, 20_000, 40))
    squares = codes[0, 0].double().square()
    columns = (squares[:, None] * array.cells[0].double().square()).sum(dim=0) * 0.3**2 + 1 / 12
    places = (4.0 ** torch.arange(array.slices)).square().repeat_interleave(2)
    places = places.repeat(2) if differential else torch.cat([places, torch.tensor([128.0**2])])
    weighted = columns * places
    shared = weighted[-1] if not differential else 0
    expected = weighted[: array.weight_columns].reshape(-1, 2).sum(dim=0) + shared
    # Rounding errs by less than half a step and clipping at zero is far away.
    np.testing.assert_allclose(reads[0].var(dim=0), expected, rtol=0.05)
    away = (reads[0].mean(dim=0) - exact_product(matrix)(codes)[0, 0]).abs()
    assert bool((away < 0.05 * expected.sqrt()).all())


def test_adc_noise_is_in_steps() -> None:
    """One cell column of one row: the reading's deviation is that of the noise and of rounding, times the step."""
    matrix = IntegerMatrix("m", torch.full((1, 64, 1), 3), 3, 8)
    numerics = Numerics(3, 8, 2, 8, 64, 8, differential=1, adc_noise_lsb=2.0)
    array = program(matrix, numerics)
    codes = torch.full((1, 50_000, 64), 128, dtype=torch.uint8)
    reads = sliced_product(array, generator())(codes)
    # The positive column reads mid-scale; the negative one reads zero, where half of the noise is cut off.
    zero = np.maximum(np.round(np.random.default_rng(0).normal(0, 2, COUNT)), 0)
    expected = array.step * math.sqrt(2.0**2 + 1 / 12 + zero.var())
    assert float(reads.std()) == pytest.approx(expected, rel=0.02)


def test_compensation_gives_back_what_uniform_drift_takes() -> None:
    rng = np.random.default_rng(4)
    matrix = IntegerMatrix("m", torch.from_numpy(rng.integers(-127, 128, (2, 100, 3))), 8, 8)
    codes = torch.from_numpy(rng.integers(0, 256, (2, 8, 100)).astype(np.uint8))
    drifted = BASE._replace(dac_bits=8, differential=1, adc_bits=14, array_rows=64, drift_s=1e5, drift_nu=0.05)
    exact = exact_product(matrix)(codes)
    errors = []
    for compensated in (0, 1):
        array = realised(program(matrix, drifted._replace(drift_compensated=compensated)), generator())
        errors.append(float((sliced_product(array)(codes) - exact).square().mean().sqrt()))
    left = (1e5 / 20) ** -0.05
    assert errors[0] == pytest.approx((1 - left) * float(exact.square().mean().sqrt()), rel=0.05)
    assert errors[1] < 0.05 * errors[0]


def test_each_array_is_compensated_by_its_own_reads() -> None:
    """Groups and arrays lose different shares; one scalar for all of them would leave half of it."""
    matrix = IntegerMatrix("m", torch.ones(2, 100, 3, dtype=torch.int64), 8, 8)
    numerics = BASE._replace(array_rows=40, active_rows=16, drift_s=1e5, drift_nu=0.05, drift_nu_sigma=0.02,
                             drift_compensated=1)  # fmt: skip
    array = realised(program(matrix, numerics), generator())
    assert array.gain is not None
    written, row, index = program(matrix, numerics).cells, 0, 0
    for first in range(0, 100, 40):
        end = min(first + 40, 100)
        expected = written[:, first:end].sum(dim=(1, 2)) / array.cells[:, first:end].sum(dim=(1, 2))
        while row < end:
            np.testing.assert_allclose(array.gain[index], expected, rtol=1e-5)
            row, index = min(row + 16, end), index + 1
    assert index == len(array.gain) == len(array.rows_a_read)


def test_wires_take_from_the_product_of_a_realised_array() -> None:
    """A single cell in differential columns of one slice: current through two wires."""
    matrix = IntegerMatrix("m", torch.full((1, 1, 1), 3), 3, 8)
    numerics = Numerics(3, 8, 2, 8, 1, 14, differential=1, wire_resistance=0.05)
    array = realised(program(matrix, numerics), generator())
    read = sliced_product(array)(torch.full((1, 1, 1), 200, dtype=torch.uint8))
    # 200 x 3 levels over 1 + 2 x 0.05: the second column holds nothing and takes no current.
    assert float(read) == pytest.approx(200 * 3 / 1.1, abs=0.5 * array.step)


@pytest.mark.parametrize(
    "field",
    ["conductance_sigma", "stuck_off", "stuck_on", "read_sigma", "adc_noise_lsb", "wire_resistance", "off_conductance"],
)
def test_every_imperfection_shows_and_draws_repeat(field: str) -> None:
    rng = np.random.default_rng(5)
    matrix = IntegerMatrix("m", torch.from_numpy(rng.integers(-127, 128, (1, 64, 8))), 8, 8)
    codes = torch.from_numpy(rng.integers(0, 256, (1, 20, 64)).astype(np.uint8))
    numerics = BASE._replace(**{field: 0.2})
    assert not numerics.is_ideal
    exact = exact_product(matrix)(codes)
    arrays = {"first": program(matrix, numerics)}
    first, again, other = (read_products(arrays, 0, draw)["first"](codes) for draw in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, exact)
    assert torch.equal(first, other) != numerics.is_random


def test_an_ideal_crossbar_is_ideal() -> None:
    assert BASE.is_ideal
    assert not BASE.is_random
    assert BASE._replace(drift_s=10.0, drift_nu=0.1, drift_nu_sigma=0.1).is_ideal, "not yet drifting"
    assert not BASE._replace(drift_s=100.0, drift_nu=0.1).is_ideal
    assert not BASE._replace(drift_s=100.0, drift_nu=0.1).is_random
    assert BASE._replace(drift_s=100.0, drift_of_state=1).is_random
