"""The statistical shortcut: its matrix is exact, its moments are those of reads, its ranks those of the simulation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from codesign.data import load
from codesign.estimate.base import MemoryWeights, Request
from codesign.estimate.crossbar import Crossbar, program, realised, sliced_product
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.integer import IntegerMatrix, exact_product
from codesign.estimate.ranges import calibrated
from codesign.estimate.recipe import Recipe
from codesign.estimate.shortcut import approximate_product, effective_weights, reading_error
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision


def operands(seed: int, rows: int = 90, count: int = 400) -> tuple[IntegerMatrix, torch.Tensor]:
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(np.clip(np.round(rng.normal(0, 30, (1, rows, 6))), -127, 127).astype(np.int64))
    codes = np.clip(np.round(rng.normal(0, 60, (1, count, rows))), 0, 255).astype(np.uint8)
    return IntegerMatrix("m", values, 8, 8), torch.from_numpy(codes)


def base(differential: int = 0, **changes: float) -> Numerics:
    return Numerics(8, 8, cell_bits=2, dac_bits=2, active_rows=32, adc_bits=6, differential=differential)._replace(
        **changes  # type: ignore[arg-type]
    )


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(cell_bits=st.integers(1, 5), differential=st.integers(0, 1), seed=st.integers(0, 2**31))
def test_ideal_cells_stand_for_the_matrix_itself(cell_bits: int, differential: int, seed: int) -> None:
    matrix, _ = operands(seed, count=1)
    array = program(matrix, base(differential, cell_bits=cell_bits))
    assert torch.equal(effective_weights(array), matrix.values.double())


@pytest.mark.parametrize("differential", [0, 1])
def test_the_effective_matrix_is_what_fine_reads_multiply_by(differential: int) -> None:
    """Everything linear at once: variation, faults, drift with its compensation, wires, off states."""
    matrix, codes = operands(1, count=40)
    numerics = base(
        differential, dac_bits=8, conductance_sigma=0.1, stuck_on=0.02, drift_s=1e4, drift_nu=0.05, drift_nu_sigma=0.01,
        drift_compensated=1, array_rows=64, array_cols=8, wire_resistance=1e-3, off_conductance=0.05, adc_bits=24,
    )  # fmt: skip
    array = realised(program(matrix, numerics), generator())
    weights = effective_weights(array)
    assert float((weights - matrix.values).abs().max()) > 1
    fine = Crossbar(**{**vars(array), "step": 2.0**-10, "unit_step": 2.0**-10})
    read = sliced_product(fine)(codes)
    torch.testing.assert_close(torch.matmul(codes.double(), weights), read, rtol=1e-4, atol=1.0)


@pytest.mark.parametrize("differential", [0, 1])
@pytest.mark.parametrize(
    "changes", [{"adc_bits": 7}, {"adc_bits": 6}, {"read_sigma": 0.1}, {"adc_noise_lsb": 1.0}, {"dac_bits": 1}]
)
def test_moments_are_those_of_the_reads_themselves(differential: int, changes: dict[str, float]) -> None:
    """Mean and deviation of each output's error over the vectors that they were taken from."""
    matrix, codes = operands(2, count=1000)
    array = calibrated(program(matrix, base(differential, **changes)), codes)
    error = reading_error(array, codes)
    found = sliced_product(array, generator())(codes) - exact_product(matrix)(codes)
    deviation = (error.deviation.square() + error.shared.square()).sqrt()[0, 0]
    scale = float(deviation.mean())
    np.testing.assert_allclose(found[0].mean(dim=0), error.mean[0, 0], atol=0.15 * scale)
    # Errors of different reads are taken as independent, which they nearly are.
    np.testing.assert_allclose(found[0].std(dim=0), deviation, rtol=0.2)
    if float(error.shared) > 0:
        common = np.cov(found[0].numpy().T)
        off_diagonal = common[~np.eye(6, dtype=bool)].mean() ** 0.5
        assert off_diagonal == pytest.approx(float(error.shared), rel=0.2)


def test_the_approximate_product_has_the_moments_it_was_given() -> None:
    matrix, codes = operands(3, count=1)
    array = calibrated(program(matrix, base(adc_bits=5)), operands(3)[1])
    error = reading_error(array, operands(3)[1])
    draws = approximate_product(array, error, generator())(codes.expand(1, 40_000, -1))
    found = draws[0] - exact_product(matrix)(codes)[0]
    deviation = (error.deviation.square() + error.shared.square()).sqrt()[0, 0]
    np.testing.assert_allclose(found.std(dim=0), deviation, rtol=0.03)
    assert bool(((found.mean(dim=0) - error.mean[0, 0]).abs() < 0.03 * deviation).all())
    covariance = np.cov(found.numpy().T)[0, 1]
    assert covariance == pytest.approx(float(error.shared.square()), rel=0.1)


def small_network() -> Workload:
    net = Builder("small", (1, 1, 8, 8), precision=Precision(8, 8, 32))
    x = net.conv_norm_act(net.conv_norm_act(net.input, 8, 3, stride=2), 16, 3, stride=2)
    return net.finish(net.linear(net.flatten(net.add(Pool2d("avg"), x)), 10))


def test_the_shortcut_ranks_designs_as_the_exact_simulation_does() -> None:
    """24 designs of one trained network; benchmarks/tables/shortcut.py has more of both."""
    rng = np.random.default_rng(0)
    designs = [
        base(
            int(rng.integers(2)),
            dac_bits=4,
            adc_bits=int(rng.integers(3, 8)),
            active_rows=int(rng.choice([32, 64, 128])),
            adc_calibrated=int(rng.integers(2)),
            conductance_sigma=float(rng.choice([0.0, 0.05, 0.2])),
            stuck_off=float(rng.choice([0.0, 0.02])),
            adc_noise_lsb=float(rng.choice([0.0, 0.5])),
        )
        for _ in range(24)
    ]
    dataset, recipe, weights = load("noisy-digits"), Recipe(epochs=10), MemoryWeights()
    exact, fast = (
        TrainingEstimator(dataset, recipe, weights, draws=3, reading=reading) for reading in ("exact", "statistical")
    )
    pairs = np.array([(exact(small_network(), n).accuracy, fast(small_network(), n).accuracy) for n in designs])
    assert len(weights) == 1, "one training serves both"
    assert np.ptp(pairs[:, 0]) > 0.3, "designs differ"
    assert spearmanr(pairs[:, 0], pairs[:, 1]).statistic >= 0.9


def test_the_two_readings_have_keys_of_their_own_and_repeat() -> None:
    dataset, recipe, weights = load("noisy-digits"), Recipe(epochs=1), MemoryWeights()
    exact, fast = (
        TrainingEstimator(dataset, recipe, weights, draws=3, reading=reading) for reading in ("exact", "statistical")
    )
    numerics = base(conductance_sigma=0.1, adc_bits=4)
    assert exact.key(Request((), small_network(), numerics, 1.0, 0)) != fast.key(
        Request((), small_network(), numerics, 1.0, 0)
    )
    first = fast(small_network(), numerics)
    assert first == fast(small_network(), numerics)
    assert len(first.draws) == 3
    lossless = base(adc_bits=9)
    assert fast(small_network(), lossless) == exact(small_network(), Numerics(8, 8))


def test_every_field_of_the_numerics_is_in_the_key() -> None:
    estimator = TrainingEstimator(load("noisy-digits"), Recipe(epochs=1), MemoryWeights())
    plain = base()
    # One bit of an exponent leaves room for every 8-bit integer, so that nothing changes; four do not.
    steps = {name: 4 if name.endswith("exponent_bits") else 1 for name in Numerics._fields[2:]}
    changed = [plain._replace(**{name: getattr(plain, name) + step}) for name, step in steps.items()]
    keys = {estimator.key(Request((), small_network(), numerics, 1.0, 0)) for numerics in (plain, *changed)}
    assert len(keys) == 1 + len(changed)
