"""Energy at a rate: the identity of busy and idle time, per family, and what is too slow."""

from __future__ import annotations

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.families.none import NO_HARDWARE
from hwmodels.rate import NOT_REACHED, at_rate
from hwmodels.workload.zoo import network

DEVICES = ("rpi5", "rram_edge", "isaac", "systolic_edge")


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("share", [1e-3, 0.5, 1.0])
def test_power_is_work_and_idle_time(name: str, batch: int, share: float) -> None:
    """One batch after the other: r E + idle (1 - r L), from the totals of an estimate without a rate."""
    chosen = device(name)
    plain = evaluate(network("lenet5", batch=batch), chosen.model, chosen.spec).totals
    batches_per_s = share / plain["latency_s"]
    told = evaluate(network("lenet5", batch=batch), at_rate(chosen.model, batch * batches_per_s), chosen.spec)
    expected = batches_per_s * plain["energy_j"] + told.totals["idle_power_w"] * (1 - share)
    assert told.totals["average_power_w"] == pytest.approx(expected, rel=1e-12)
    assert {name: told.totals[name] for name in plain} == plain


def test_idle_power_is_what_each_family_says() -> None:
    totals = {name: evaluate(network("lenet5"), device(name).model, device(name).spec).totals for name in DEVICES}
    assert totals["rpi5"]["idle_power_w"] == device("rpi5").spec.idle_w
    spatial = device("systolic_edge").spec
    assert totals["systolic_edge"]["idle_power_w"] == spatial.leakage_w_per_mm2 * totals["systolic_edge"]["area_mm2"]
    share = device("rram_edge").spec.idle_leakage_share
    assert totals["rram_edge"]["idle_power_w"] == share * totals["rram_edge"]["leakage_w"]
    gated = device("rram_edge").spec.changed({"idle_leakage_share": 0.25})
    quiet = evaluate(network("lenet5"), device("rram_edge").model, gated).totals
    assert quiet["idle_power_w"] == 0.25 * totals["rram_edge"]["leakage_w"]


def test_a_chip_that_leaks_draws_far_more_than_its_energy_column_says() -> None:
    chosen = device("rram_edge")
    leaky = chosen.spec.changed({"static_power": "fraction", "idle_leakage_share": 1.0})
    told = evaluate(network("lenet5"), at_rate(chosen.model, 10.0), leaky).totals
    assert told["average_power_w"] > 50 * 10 * told["energy_j"]


def test_a_pipeline_that_is_always_busy_leaks_once() -> None:
    """Beyond 1 / latency a pipeline holds several batches: what leaks does so for all of them together, never idle."""
    chosen = device("isaac")
    spec = chosen.spec.changed({"idle_leakage_share": 0.0})
    plain = evaluate(network("resnet18"), chosen.model, spec).totals
    rate = plain["throughput_items_per_s"]
    assert rate * plain["latency_s"] > 1.5
    told = evaluate(network("resnet18"), at_rate(chosen.model, rate), spec).totals
    leaking = plain["leakage_j"] / plain["latency_s"]
    assert leaking > plain["idle_power_w"] == 0
    assert told["average_power_w"] == pytest.approx(rate * (plain["energy_j"] - plain["leakage_j"]) + leaking)


@pytest.mark.parametrize("name", DEVICES)
def test_what_is_slower_than_the_rate_is_infeasible_and_keeps_its_first_reason(name: str) -> None:
    chosen = device(name)
    rate = evaluate(network("lenet5"), chosen.model, chosen.spec).totals["throughput_items_per_s"]
    reasons = [
        evaluate(network("lenet5"), at_rate(chosen.model, factor * rate), chosen.spec).infeasible
        for factor in (0.999, 1.001)
    ]
    assert reasons == [None, NOT_REACHED]
    small = device("stm32f412")
    assert evaluate(network("vgg16"), at_rate(small.model, 1e6), small.spec).infeasible != NOT_REACHED


@pytest.mark.parametrize("rate", [0.0, -1.0, np.inf, np.nan])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(SpecError, match="rate_hz"):
        at_rate(device("rpi5").model, rate)


def test_a_family_that_does_not_say_what_it_draws_when_idle_is_refused() -> None:
    assert at_rate(NO_HARDWARE, None) is NO_HARDWARE
    with pytest.raises(SpecError, match="draws when idle"):
        at_rate(NO_HARDWARE, 10.0)


def test_cells_that_are_written_again_draw_their_energy_over_their_period() -> None:
    chosen = device("rram_edge")
    model = at_rate(chosen.model, 1.0)
    totals = {
        time_s: evaluate(network("lenet5"), model, chosen.spec.changed({"drift_s": time_s})).totals
        for time_s in (0.0, 60.0, 600.0)
    }
    assert totals[0.0]["refresh_w"] == 0
    expected = totals[60.0]["cells"] * chosen.spec.cell_write_j / 60
    assert totals[60.0]["refresh_w"] == pytest.approx(expected, rel=1e-12)
    assert totals[600.0]["refresh_w"] == pytest.approx(expected / 10, rel=1e-12)
    drawn = totals[60.0]["average_power_w"] - totals[0.0]["average_power_w"]
    assert drawn == pytest.approx(expected, rel=1e-6)
    pcm = chosen.spec.changed({"drift_s": 60.0, "cell_device": "pcm"})
    assert evaluate(network("lenet5"), model, pcm).totals["refresh_w"] == pytest.approx(2 * expected, rel=1e-12)
    reloaded = chosen.spec.changed({"drift_s": 60.0, "weights": "reloaded"})
    assert evaluate(network("lenet5"), model, reloaded).totals["refresh_w"] == 0
