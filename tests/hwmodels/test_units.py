"""Units: factors, the unit in a name, three significant digits with an SI prefix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwmodels import units
from hwmodels.errors import SpecError, nearest
from hwmodels.units import PREFIX_SCALES, format_quantity, parse_quantity, split_unit, unit_scales


def test_decimal_and_binary_factors() -> None:
    assert (units.KB, units.MB, units.GB, units.TB) == (1e3, 1e6, 1e9, 1e12)
    assert (units.KIB, units.MIB, units.GIB) == (2**10, 2**20, 2**30)
    assert pytest.approx(1000) == units.PJ / units.FJ


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0, "s", "0 s"),
        (1.0, "s", "1 s"),
        (999.4, "s", "999 s"),
        (999.6, "s", "1 ks"),
        (1.5e-13, "J", "150 fJ"),
        (2.5e-16, "J", "2.5e-16 J"),
        (123456.0, "mm²", "123000 mm²"),
        (8.0, "bit", "8 bit"),
        (3.4e13, "B/s", "34 TB/s"),
        (-0.002, "s", "-2 ms"),
        (25_557_032, "", "25.6 M"),
        (float("nan"), "s", "-"),
        (5e15, "", "5e+15"),
    ],
)
def test_formatting(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


@given(st.floats(1e-15, 1e15, exclude_max=True))
def test_a_printed_quantity_is_within_half_a_unit_of_its_third_digit(value: float) -> None:
    number, _, rest = format_quantity(value, "s").partition(" ")
    assert float(number) * PREFIX_SCALES[rest.removesuffix("s")] == pytest.approx(value, rel=0.0051)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("latency_s", ("latency", "s")),
        ("dram_bytes_per_s", ("dram", "B/s")),
        ("peak_macs_per_s", ("peak", "MAC/s")),
        ("weight_bytes", ("weight", "B")),
        ("area_mm2", ("area", "mm²")),
        ("peak_power_w", ("peak_power", "W")),
        ("macs", ("macs", "")),
        ("_s", ("_s", "")),
    ],
)
def test_names_end_in_their_unit(name: str, split: tuple[str, str]) -> None:
    assert split_unit(name) == split


def test_errors_are_one_line_with_the_nearest_match() -> None:
    error = SpecError("a.yaml: key", "two\nlines  and " + "x" * 200, "short", "a hint")
    assert "\n" not in str(error)
    assert len(str(error)) < 170
    assert str(error).startswith("a.yaml: key: two lines and")
    assert str(error).endswith("is not short (a hint)")
    assert isinstance(error, ValueError)
    unknown = SpecError.unknown("key", "latncy", ["latency", "energy"])
    assert str(unknown) == "key: latncy is not one of energy, latency (did you mean latency?)"
    assert str(SpecError.unknown("key", "zzz", [f"name{i:02}" for i in range(20)])).endswith("name11, ...")
    assert nearest("zzz", ["latency"]) is None
    assert nearest("LATENCY_S", ["latency_s"]) == "latency_s"


@pytest.mark.parametrize(
    ("given", "unit", "number"),
    [
        ("2.4 GHz", "Hz", 2.4e9),
        ("2400MHz", "Hz", 2.4e9),
        ("5 KiB", "B", 5120),
        ("5 kB", "B", 5000),
        ("1.5 GiB/s", "B/s", 1.5 * 2**30),
        ("2 TiB", "B", 2**41),
        ("34 GB / s", "B/s", 34e9),
        ("500 us", "s", 5e-4),
        ("500 μs", "s", 5e-4),
        ("282 um2", "mm²", 282e-6),
        ("0.3 um2/bit", "mm²/bit", 3e-7),
        ("0.28 µm", "nm", 280),
        ("80 %", "", 0.8),
        ("5 M", "", 5e6),
        ("4e9", "Hz", 4e9),
        (3, "B", 3),
    ],
)
def test_quantities_are_read_in_the_unit_of_their_knob(given, unit: str, number: float) -> None:
    assert parse_quantity(given, unit, where="a.yaml: key") == number


@pytest.mark.parametrize(
    ("given", "unit", "words"),
    [
        (True, "Hz", "True is not a number in Hz, kHz, MHz, GHz"),
        ("inf", "Hz", "inf is not a finite number"),
        (float("nan"), "", "nan is not a finite number"),
        (10**400, "B", "is not a finite number"),
        ("5 mB", "B", "5 mB is not a number in B, kB, MB, GB, KiB, MiB, GiB"),
        ("1 ms", "", "1 ms is not a number"),
        ("2 s", "Hz", "2 s is not a number in Hz"),
        ("2,4 GHz", "Hz", "2,4 GHz is not a number in Hz"),
        ("1..2", "mm²", "1..2 is not a number in mm², cm², µm²"),
        ([1], "W/mm²", "[1] is not a number in W/mm², mW/mm², µW/mm²"),
        (None, "nm", "None is not a number in nm, µm"),
    ],
)
def test_what_is_no_quantity_is_refused_with_the_units_that_are_taken(given, unit: str, words: str) -> None:
    with pytest.raises(SpecError, match="key") as caught:
        parse_quantity(given, unit, where="a.yaml: key")
    assert words in str(caught.value)


@given(st.sampled_from(("s", "J", "B", "B/s", "Hz", "J/B", "mm²/bit", "")), st.floats(1e-3, 1e3))
def test_every_taken_unit_scales_the_number(unit: str, number: float) -> None:
    for symbol, scale in unit_scales(unit).items():
        assert parse_quantity(f"{number!r} {symbol}", unit, where="x") == pytest.approx(number * scale, rel=1e-15)
