"""Calibration: what was hidden in measurements is found, priors hold, the error is that of networks not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwmodels.calibrate import calibrate, error_on, nearest_device, write_device
from hwmodels.catalog import Device, device, load_device
from hwmodels.coverage import coverage_of, read_coverage
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.base import family
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.families.spec import Spec
from hwmodels.fit import fit_knobs, slower, time_powers
from hwmodels.measurements import Measurement, workload_of

CPU = family("cpu")
START = Device("board", "a board", CPU, CpuSpec(), {"threads": "given"}, {"threads": True})
NETWORKS = ("resnet18", "mobilenet_v2", "squeezenet1_0", "mnasnet1_0", "vgg11", "efficientnet_b0", "shufflenet_v2_x1_0",
            "alexnet", "densenet121", "mobilenet_v3_large")  # fmt: skip


def measured(truth: Spec, networks: tuple[str, ...] = NETWORKS, noise: float = 0.0, energy: bool = False):
    """What `truth` takes, with a relative error."""
    rng, rows = np.random.default_rng(1), []
    for name in networks:
        row = Measurement(name, name, threads=1, runtime="compiled")
        report = evaluate(workload_of(row), CPU, truth.model_copy(update={"threads": 1}))
        factor = float(np.exp(rng.normal(0, noise)))
        joules = report.total("energy_j") * factor if energy else float("nan")
        rows.append(replace(row, seconds=report.total("latency_s") * factor, energy_j=joules))
    return rows


def test_a_fit_finds_what_ten_measurements_hide() -> None:
    truth = CpuSpec(gemm_efficiency=0.45, depthwise_efficiency=0.12, dispatch_s=20e-6, core_dram_bytes_per_s=4e9)
    found = calibrate(START, measured(truth))
    assert found.error.mape < 5 < 40 < found.error.before_mape
    assert found.error.spearman > 0.99
    assert (found.error.rows, found.error.protocol) == (10, "over 10 networks")
    assert found.spec.model_dump()["gemm_efficiency"] == pytest.approx(0.45, rel=0.02)
    # Depthwise layers also wait for memory: the knob moves to its truth, and part of it is told by others.
    assert 0.12 < found.spec.model_dump()["depthwise_efficiency"] < 0.24
    np.testing.assert_allclose(found.predicted, [row.seconds for row in measured(truth)], rtol=0.06)


def test_energies_are_fitted_beside_latencies() -> None:
    truth = CpuSpec(idle_w=4.0, core_w=0.1)
    found = calibrate(START, measured(truth, energy=True))
    watts = found.spec.model_dump()
    assert watts["idle_w"] + watts["core_w"] == pytest.approx(4.1, rel=0.1)
    assert "idle_w" in found.knobs
    assert "idle_w" not in calibrate(START, measured(truth)).knobs


def test_a_knob_that_nothing_shows_stays() -> None:
    rows = measured(CpuSpec(gemm_efficiency=0.3), ("vgg11", "resnet18"))
    found = calibrate(START, rows)
    assert "barrier_s" not in found.knobs  # one thread
    assert "flash_bytes_per_s" not in found.knobs
    named = calibrate(START, rows, knobs=["flash_bytes_per_s", "gemm_efficiency"])
    start, fitted = named.knobs["flash_bytes_per_s"]
    assert fitted == pytest.approx(start, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 20.0))
def test_nothing_leaves_its_plausible_range_but_by_the_factor(factor: float) -> None:
    rows = [replace(row, seconds=row.seconds * factor) for row in measured(CpuSpec(), ("resnet18", "mobilenet_v2"))]
    found = calibrate(START, rows)
    powers = time_powers(START.spec)
    for name, (start, fitted) in found.knobs.items():
        low, high = CpuSpec.knobs()[name].plausible or (start, start)
        alone = fitted / found.factor ** powers.get(name, 0.0)
        assert min(low, start) * (1 - 1e-9) <= alone <= max(high, start) * (1 + 1e-9), name


def test_an_unknown_number_of_threads_is_a_factor() -> None:
    """Four threads that no row states: knobs within their ranges do not reach it, one factor does."""
    truth = CpuSpec(clock_hz=7.2e9, all_core_clock_hz=7.2e9, dram_bytes_per_s=51e9, core_dram_bytes_per_s=24e9)
    start = replace(START, spec=CpuSpec(gemm_efficiency=0.9, vector_efficiency=0.9, pool_efficiency=0.9))
    found = calibrate(start, measured(truth, NETWORKS[:8]))
    apart, _ = error_on(found, measured(truth, NETWORKS[8:]))
    assert found.factor < 0.6
    assert not found.scaled  # knobs move beside the factor
    assert apart.mape < 8


@pytest.mark.parametrize("name", ["rpi4", "rpi5", "i9_10940x", "systolic_edge", "rram_edge", "isaac"])
def test_a_slower_device_takes_exactly_that_much_longer(name: str) -> None:
    chosen = device(name)
    work = workload_of(Measurement("x", "mobilenet_v2", precision="int8", runtime="compiled"))
    times = [
        evaluate(work, chosen.model, slower(chosen.spec, factor)).totals["latency_s"] for factor in (1.0, 2.5, 0.4)
    ]
    assert np.divide(times, times[0]) == pytest.approx([1.0, 2.5, 0.4], rel=1e-9)


def test_a_fit_that_is_worse_than_one_constant_is_that_constant() -> None:
    """Times that are six times the board's, whatever runs: no knob says that, and one number does."""
    rows = [replace(row, seconds=6 * row.seconds) for row in measured(CpuSpec())]
    found = calibrate(START, rows, knobs=["barrier_s"])  # one thread: a knob that moves nothing
    assert found.factor == pytest.approx(6.0, rel=1e-3)
    assert found.error.mape < 1 < 80 < found.error.before_mape
    assert {baseline.name for baseline in found.error.baselines} == {"one constant", "MACs times a constant"}


def test_no_calibration_is_worse_than_one_constant() -> None:
    for start in ("epyc_zen3_2vcpu", "rpi4", "galaxy_s8"):
        found = calibrate(device(start), measured(CpuSpec(gemm_efficiency=0.5, dispatch_s=1e-5), noise=0.1))
        constant = next(item for item in found.error.baselines if item.name == "one constant")
        assert found.error.mape <= constant.mape + 0.5


def test_what_cannot_be_such_a_machine_is_refused_with_the_likely_reason() -> None:
    rows = measured(CpuSpec(), NETWORKS[:3])
    for factor, words in ((1e3, "milliseconds"), (1e6, "microseconds"), (1 / 50, "another kind of machine")):
        with pytest.raises(SpecError, match=words):
            calibrate(START, [replace(row, seconds=row.seconds * factor) for row in rows])
    with pytest.raises(SpecError, match="tpu_v1, which computes fp32 as int8"):
        calibrate(device("tpu_v1"), rows)


def test_the_nearest_device_is_the_one_that_was_measured() -> None:
    truth = device("rpi4")
    rows = measured(slower(truth.spec, 1.3))  # another clock
    candidates = [device(name) for name in ("rpi3", "rpi4", "galaxy_s8", "epyc_7543", "tpu_v1", "stm32h743")]
    assert nearest_device(candidates, rows) is candidates[1]
    with pytest.raises(SpecError, match="times of a machine like one of tpu_v1"):
        nearest_device([device("tpu_v1")], rows)


def test_the_error_is_that_of_networks_which_the_fit_has_not_seen() -> None:
    """A network that is measured twice too slow cannot explain itself, however many of its rows are there."""
    rows = measured(CpuSpec(), NETWORKS[:4])
    wrong = [replace(rows[0], seconds=2 * rows[0].seconds, name=f"again {i}") for i in range(6)]
    found = calibrate(START, [*wrong, *rows[1:]])
    assert found.error.rows == 9
    assert found.error.median > 40
    assert np.abs(found.predicted[0] / wrong[0].seconds - 1) < 0.3  # the last fit has seen it


def test_layers_alone_say_so() -> None:
    texts = (
        "conv 64x56x56 out=64 kernel=3",
        "conv 32x28x28 out=64 kernel=1",
        "linear 512 out=1000",
        "pool 8x8x8 mode=avg",
    )
    found = calibrate(START, measured(CpuSpec(gemm_efficiency=0.4), texts))
    assert found.error.protocol == "over layers; the error on networks is not known"
    assert found.fitted_on == "4 measurements: 4 of layers, the others of 0 networks"


def test_errors_on_measurements_apart() -> None:
    truth = CpuSpec(gemm_efficiency=0.45)
    found = calibrate(START, measured(truth, NETWORKS[:6]))
    error, predicted = error_on(found, measured(truth, NETWORKS[6:]))
    assert error.rows == predicted.size == 4
    assert error.mape < error.before_mape
    assert error.protocol == "on 4 networks apart"


def test_what_was_not_measured_is_told() -> None:
    coverage = coverage_of(measured(CpuSpec(), ("resnet18",)))
    seen = workload_of(Measurement("x", "resnet18", runtime="compiled"))
    assert coverage.outside(seen, conditions={"threads": 1, "precision": "fp32"}) == []
    assert coverage.outside(seen, conditions={"threads": 8}) == ["threads 8 was not measured, 1 was"]
    told = coverage.outside(workload_of(Measurement("x", "mobilenet_v2", runtime="compiled")))
    assert "no depthwise 3x3 was measured" in told
    larger = coverage.outside(workload_of(Measurement("x", "resnet18@3x1024x1024", runtime="compiled")))
    assert any(line.startswith("conv 3x3: ") for line in larger)


def test_a_device_is_written_and_read_with_what_it_rests_on(tmp_path: Path) -> None:
    found = calibrate(START, measured(CpuSpec(gemm_efficiency=0.45), NETWORKS[:3]))
    path = tmp_path / "mine.yaml"
    write_device(found, path, source="rows.csv")
    read = load_device(path)
    assert read.spec == found.spec
    assert (
        read.sources["gemm_efficiency"]
        == "calibrated on 3 measurements: 0 of layers, the others of 3 networks; rows.csv"
    )
    assert read.sources["threads"] == "given"
    assert "over 3 networks" in read.summary
    assert read_coverage(path) == found.coverage
    assert read_coverage(tmp_path / "other.yaml") is None


def test_it_serves_any_family() -> None:
    """A systolic array's real knobs with a plausible range are fitted by the same code."""
    spatial = family("spatial")
    start = Device("array", "", spatial, spatial.spec.model_validate({"sram_bytes_per_cycle": 30.0}), {}, {})
    truth = spatial.spec.model_validate({"sram_bytes_per_cycle": 20.0})
    row = Measurement("resnet18", "resnet18", precision="int8")
    rows = [replace(row, seconds=evaluate(workload_of(row), spatial, truth).total("latency_s"))]
    found = calibrate(start, rows, knobs=["sram_bytes_per_cycle"])
    assert found.spec.model_dump()["sram_bytes_per_cycle"] == pytest.approx(20.0, rel=0.005)


def test_bad_requests_are_told() -> None:
    with pytest.raises(SpecError, match="at least one row"):
        calibrate(START, [])
    rows = measured(CpuSpec(), ("resnet18",))
    with pytest.raises(SpecError, match="did you mean gemm_efficiency"):
        calibrate(START, rows, knobs=["gemm_efficency"])
    with pytest.raises(SpecError, match="knob to fit"):
        calibrate(START, rows, knobs=["big_cores"])


def test_a_fit_without_knobs_is_the_start() -> None:
    start = CpuSpec()
    found = fit_knobs(lambda spec, columns: np.zeros((1, 1)), start, (), measured=np.zeros(1), sigma=np.ones(1))
    assert (found.spec is start, found.factor) == (True, 1.0)


def test_measurements_outweigh_the_prior_as_they_grow() -> None:
    """One knob, log-linear: the fit lies between the prior's centre and the measurement, nearer with more rows."""
    start = CpuSpec()
    wanted = np.log(2 * start.idle_w)

    def fitted(rows: int) -> float:
        found = fit_knobs(
            lambda spec, columns: np.repeat(np.log(columns["idle_w"])[:, None], rows, axis=1), start, ["idle_w"],
            measured=np.full(rows, wanted), sigma=np.full(rows, 3.0),
        )  # fmt: skip
        return float(np.log(found.spec.idle_w / start.idle_w))

    one, many = fitted(1), fitted(100)
    assert 0 < one < many < np.log(2)
    # A quadratic of weight 1/9 against one of weight 1/width^2, where the error is small beside sigma.
    low, high = np.log(CpuSpec.knobs()["idle_w"].plausible or (1.0, 1.0))
    width = (high - low) / 4
    assert one == pytest.approx(np.log(2) * (1 / 9) / (1 / 9 + 1 / width**2), rel=0.05)
