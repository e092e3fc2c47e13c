"""Numerics as a batch and as a record: what a design leaves out is ideal, what changes no reading is not told apart."""

import numpy as np
import pytest

from hwmodels.families.crossbar.spec import CrossbarSpec
from hwmodels.families.spec import numerics_of
from hwmodels.numerics import FLOAT, Numerics


def test_a_row_is_its_record() -> None:
    spec = CrossbarSpec(
        array_rows=100, active_rows=64, conductance_sigma=0.1, variation="pcm", stuck_off=0.01, read_sigma=0.02,
        wire_resistance=1e-4, drift_s=1e4, drift_nu=0.06, off_conductance=0.01, adc_noise_lsb=0.5,
    )  # fmt: skip
    found = spec.numerics()
    assert found == Numerics(
        16, 16, 2, 1, 64, 8, adc_calibrated=1, conductance_sigma=0.1, array_rows=100, array_cols=128, variation=3,
        stuck_off=0.01, drift_s=1e4, drift_nu=0.06, drift_nu_sigma=0.008, drift_compensated=1, read_sigma=0.02,
        wire_resistance=1e-4, off_conductance=0.01, adc_noise_lsb=0.5,
    )  # fmt: skip
    assert [type(value) for value in found] == [type(value) for value in FLOAT]
    assert numerics_of(np.array(found, np.float64)) == found


def test_a_row_that_ends_early_is_ideal_in_the_rest() -> None:
    assert numerics_of(np.array([8, 8, 2, 1, 128, 8, 1, 0, 0.05])) == Numerics(8, 8, 2, 1, 128, 8, 1, 0, 0.05)


@pytest.mark.parametrize(
    ("changes", "is_same"),
    [
        ({"array_rows": 256, "active_rows": 128}, True),
        ({"array_rows": 192, "active_rows": 128}, False),
        ({"array_cols": 256}, True),
        ({"variation": "lognormal"}, True),
        ({"drift_nu": 0.1, "drift_compensated": False}, True),
        ({"drift_s": 20.0}, True),
        ({"drift_s": 100.0}, False),
        ({"drift_s": 100.0, "drift_nu": 0.0, "drift_nu_sigma": 0.0}, True),
        ({"wire_resistance": 1e-5}, False),
        ({"adc_calibrated": False}, False),
    ],
)
def test_designs_that_read_alike_are_one_accuracy_class(changes: dict[str, object], is_same: bool) -> None:
    base = CrossbarSpec(active_rows=128)
    changed = base.model_copy(update=changes)
    assert (changed.numerics() == base.numerics()) == is_same


def test_the_law_of_phase_change_memory_has_no_exponent_of_its_own() -> None:
    first, second = (CrossbarSpec(drift_s=1e3, drift_law="pcm", drift_nu=nu).numerics() for nu in (0.05, 0.1))
    assert first == second
    assert first.drift_of_state == 1


def test_wires_tell_array_sizes_apart() -> None:
    sizes = {CrossbarSpec(array_cols=cols, wire_resistance=1e-4).numerics() for cols in (64, 128)}
    assert len(sizes) == 2
