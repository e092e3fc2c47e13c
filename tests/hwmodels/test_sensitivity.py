"""What assumptions decide: spans against estimates one by one, orders that turn, fronts that change."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hwmodels.catalog import device
from hwmodels.errors import SpecError
from hwmodels.evaluate import evaluate
from hwmodels.sensitivity import Ends, Sensitivity, assumed_knobs, sensitivity
from hwmodels.workload.zoo import network

METRICS = ("energy_j", "latency_s")


@pytest.mark.parametrize("name", ["rpi5", "rram_edge", "systolic_edge"])
def test_both_ends_are_estimates_of_their_own(name: str) -> None:
    chosen = device(name)
    networks = [network("lenet5"), network("resnet8")]
    knobs = assumed_knobs(chosen.spec, chosen.sources)
    found = sensitivity(networks, chosen.model, [chosen.spec] * 2, metrics=METRICS, knobs=knobs)
    assert len(knobs) > 3
    for k, ends in enumerate(knobs[:6]):
        for e, end in enumerate((ends.low, ends.high)):
            spec = chosen.spec.changed({ends.name: end})
            expected = [[evaluate(w, chosen.model, spec).totals[m] for m in METRICS] for w in networks]
            np.testing.assert_array_equal(found.moved[k, e], expected)
    spans = found.spans()
    ratios = found.moved / found.base
    np.testing.assert_array_equal(spans[..., 0], np.fmin(ratios.min(axis=(1, 2)), 1))
    np.testing.assert_array_equal(spans[..., 1], np.fmax(ratios.max(axis=(1, 2)), 1))


def test_only_numbers_without_a_source_are_moved_and_never_away_from_their_value() -> None:
    chosen = device("rpi5")
    names = {ends.name for ends in assumed_knobs(chosen.spec, chosen.sources)}
    assert {"core_w", "gemm_efficiency", "barrier_s"} <= names  # said so in the file, fitted, a default
    assert not names & {"clock_hz", "threads", "dram_bytes_per_s"}
    for ends in assumed_knobs(chosen.spec, chosen.sources):
        assert ends.low <= ends.value <= ends.high
        assert type(ends.low) is type(ends.high) is type(ends.value)


@pytest.mark.parametrize("name", ["rram_edge", "isaac", "isaac_8bit"])
def test_no_number_without_a_source_decides_the_energy_of_a_crossbar(name: str) -> None:
    chosen = device(name)
    knobs = assumed_knobs(chosen.spec, chosen.sources)
    assert {"leakage_scale", "idle_leakage_share"} <= {ends.name for ends in knobs}
    networks = [network("lenet5"), network("resnet18"), network("cifar_resnet20")]
    found = sensitivity(networks, chosen.model, [chosen.spec] * 3, metrics=("energy_j",), knobs=knobs)
    spans = found.spans()[:, 0]
    assert np.nanmin(spans) >= 0.5
    assert np.nanmax(spans) <= 2.0
    # Power at hand is another matter: what a chip draws between inferences is static alone.
    k = [ends.name for ends in knobs].index("leakage_scale")
    assert spans[k, 1] > 1.0


def test_no_number_without_a_source_decides_the_energy_of_the_quickstarts_designs() -> None:
    """Corners of the knobs that the quickstart searches."""
    chosen = device("rram_edge")
    corners = product((32, 256), (32, 256), (1, 2), (4, 8), (1, 4), (8, 32), (1, 16), (1, 8))
    names = ("array_rows", "array_cols", "dac_bits", "adc_bits", "cell_bits", "columns_per_adc", "duplication", "tiles")
    specs = [chosen.spec.changed(dict(zip(names, corner, strict=True))) for corner in corners]
    small = network("resnet8")
    knobs = assumed_knobs(chosen.spec, chosen.sources)
    found = sensitivity([small] * len(specs), chosen.model, specs, metrics=("energy_j",), knobs=knobs)
    spans = found.spans()[:, 0]
    assert np.isfinite(found.base).sum() > len(specs) / 4
    assert np.nanmin(spans) >= 0.5
    assert np.nanmax(spans) <= 2.0


def test_a_share_of_peak_power_would_decide_it() -> None:
    """What every peak power leaks alike, idle or not, is ten times what the rest takes."""
    chosen = device("rram_edge")
    specs = [
        chosen.spec.changed({"static_power": "fraction", "idle_leakage_share": 1.0, "leakage_fraction": share})
        for share in (0.002, 0.2)
    ]
    low, high = (evaluate(network("lenet5"), chosen.model, spec).totals["energy_j"] for spec in specs)
    assert high > 20 * low


def _made(base, moved, more=(False, False)) -> Sensitivity:
    knobs = tuple(Ends(f"k{i}", 1.0, 0.5, 2.0, "") for i in range(len(moved)))
    return Sensitivity(knobs, METRICS, np.array(base, float), np.array(moved, float), np.array(more))


def test_orders_that_turn_and_fronts_that_change() -> None:
    base = [[1.0, 4.0], [2.0, 2.0], [3.0, 3.0]]  # the third is dominated by the second
    still = [base, base]
    turned = [base, [[2.5, 4.0], [2.0, 2.0], [3.0, 1.0]]]  # the first loses to the second, the third joins
    found = _made(base, [still, turned])
    assert found.turned().tolist() == [[0, 0], [1, 1]]
    assert found.front_changes().tolist() == [0, 2]
    assert found.order() == [1, 0]


def test_more_of_a_metric_may_be_better() -> None:
    base = [[1.0, 4.0], [2.0, 5.0]]
    assert _made(base, [[base, [[1.0, 4.0], [2.0, 3.0]]]], more=(False, True)).front_changes().tolist() == [1]


def test_what_does_not_run_at_an_end_counts_as_off_the_front_and_gives_no_span() -> None:
    base = [[1.0, 1.0]]
    found = _made(base, [[base, [[np.nan, np.nan]]]])
    assert found.front_changes().tolist() == [1]
    assert found.spans().tolist() == [[[1.0, 1.0], [1.0, 1.0]]]


def test_pairs_that_tie_or_do_not_run_turn_no_order() -> None:
    base = [[1.0, 1.0], [2.0, 1.0]]
    tied = [[2.0, 1.0], [2.0, 2.0]]
    gone = [[np.nan, np.nan], [2.0, 1.0]]
    assert _made(base, [[tied, gone]]).turned().tolist() == [[0, 0]]


def test_nothing_assumed_is_refused() -> None:
    chosen = device("rpi5")
    with pytest.raises(SpecError, match="at least one knob without a source"):
        sensitivity([network("lenet5")], chosen.model, [chosen.spec], metrics=METRICS, knobs=[])
