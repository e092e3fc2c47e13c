"""Devices and knobs: everything has a source, what is assumed has a range, what is wrong is told in one line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hwmodels.catalog import device, device_names, load_device
from hwmodels.errors import SpecError
from hwmodels.families.base import families, family

every_family = pytest.mark.parametrize("name", families())


@pytest.mark.parametrize("name", device_names())
def test_every_device_loads_and_says_where_its_numbers_are_from(name: str) -> None:
    found = device(name)
    assert found.name == name
    assert found.summary
    assert "\n" not in found.summary
    assert found.model is family(found.model.name)
    assert set(found.sources) == set(found.verified) <= set(found.model.spec.knobs())
    assert all(source.strip() for source in found.sources.values())
    assert np.isfinite(found.spec.numerics()).all()


@every_family
def test_every_knob_has_a_meaning_a_source_and_its_default_within_bounds(name: str) -> None:
    for knob in family(name).spec.knobs().values():
        assert knob.meaning, knob.name
        assert knob.source.strip(), knob.name
        if not knob.choices:
            assert knob.low <= knob.default <= knob.high, knob.name
        else:
            assert knob.default in knob.choices, knob.name


@every_family
def test_what_is_assumed_has_a_plausible_range_around_it(name: str) -> None:
    for knob in family(name).spec.knobs().values():
        if knob.source.startswith("ASSUMED"):
            assert knob.plausible is not None, knob.name
            low, high = knob.plausible
            assert low <= knob.default <= high, knob.name
            assert low < high, knob.name
            assert knob.low <= low, knob.name
            assert high <= knob.high, knob.name


@every_family
def test_a_revised_spec_has_the_new_values_and_is_checked(name: str) -> None:
    spec = family(name).spec()
    knob = next(k for k in type(spec).knobs().values() if not k.choices and isinstance(k.default, int))
    assert spec.revised({}, where="x") is spec
    assert spec.revised({knob.name: str(knob.default)}, where="x") == spec
    with pytest.raises(SpecError, match="did you mean"):
        spec.revised({knob.name + "s": 1}, where="x")
    with pytest.raises(SpecError, match="is not <="):
        spec.revised({knob.name: 2**62}, where="x")


def refusal(tmp_path: Path, text: str) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        load_device(path)
    assert "\n" not in str(caught.value)
    assert "bad.yaml" in str(caught.value)
    return str(caught.value)


GOOD = "family: spatial\nsummary: x\nknobs:\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + '  array_row: {value: 8, source: "x"}', ("array_row", "did you mean array_rows")),
        (GOOD + "  array_rows: {value: 8}", ("array_rows", "a mapping with value and source")),
        (GOOD + "  array_rows: 8", ("array_rows", "8", "a mapping with value and source")),
        (GOOD + '  array_rows: {value: eight, source: "x"}', ("array_rows", "eight", "a number")),
        (GOOD + '  array_rows: {value: 8.5, source: "x"}', ("array_rows", "8.5", "a whole number")),
        (GOOD + '  clock_hz: {value: fast, source: "x"}', ("clock_hz", "fast", "a number in Hz, kHz, MHz, GHz")),
        (GOOD + '  clock_hz: {value: -3, source: "x"}', ("clock_hz", "-3 is not > 0")),
        (GOOD + '  dataflow: {value: wss, source: "x"}', ("dataflow", "wss", "'ws'")),
        (GOOD + '  array_rows: {value: 8, source: "x", verifed: true}', ("verifed", "did you mean verified")),
        ("family: spatal\n", ("family", "spatal", "did you mean spatial")),
        ("family: [spatial]\n", ("family", "['spatial'] is not one of")),
        ("famly: spatial\n", ("famly", "did you mean family")),
        ("summary: nothing else\n", ("family", "None is not one of")),
        ("- 1\n", ("a mapping with name, family, summary and knobs",)),
        ("family: [unclosed\n", ("valid YAML",)),
        ("", ("a mapping with",)),
    ],
)
def test_bad_device_files_are_one_line(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    told = refusal(tmp_path, text)
    assert all(word in told for word in words), told


@pytest.mark.parametrize("knobs", ["[1]", "none", "7"])
def test_knobs_that_are_no_mapping_are_one_line(tmp_path: Path, knobs: str) -> None:
    refusal(tmp_path, f"family: spatial\nknobs: {knobs}\n")


def test_a_knob_without_the_text_of_its_source_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path, GOOD + '  array_rows: {value: 8, source: ""}')


def test_a_missing_file_and_an_unknown_device(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.yaml: the file is missing"):
        device(str(tmp_path / "gone.yaml"))
    with pytest.raises(SpecError, match="did you mean isaac"):
        device("isaak")
    with pytest.raises(SpecError, match="did you mean spatial"):
        family("spacial")


def test_a_device_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + '  array_rows: {value: 8, source: "a choice"}\n', encoding="utf-8")
    found = device(str(path))
    assert (found.name, found.spec.array_rows, found.verified) == ("mine", 8, {"array_rows": False})  # type: ignore[attr-defined]


KNOB = "name: b\nfamily: cpu\nsummary: x\nknobs:\n  clock_hz: {{value: {}, source: me}}\n"


@pytest.mark.parametrize(("written", "clock_hz"), [("2.4 GHz", 2.4e9), ("2400 MHz", 2.4e9), ("4e9", 4e9), (10**9, 1e9)])
def test_knobs_of_a_device_file_may_have_units(tmp_path: Path, written: object, clock_hz: float) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(KNOB.format(written) + "  l2_bytes: {value: 256 KiB, source: me}\n")
    spec = load_device(path).spec
    assert (spec.clock_hz, spec.l2_bytes) == (clock_hz, 262144)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (".inf", "inf is not a finite number"),
        (".nan", "nan is not a finite number"),
        ("1e30", "is not <= 1e+13 Hz"),
        ("5e-324", "5e-324 is not >= 1000 Hz"),
        ("yes", "True is not a number in Hz"),
        ("2.4", "2.4 is not >= 1000 Hz (did you mean 2.4 GHz?)"),
        ("-3", "-3 is not > 0 Hz"),
        ("2 ms", "2 ms is not a number in Hz"),
        ("2,4e9", "decimals follow a point"),
    ],
)
def test_absurd_knobs_are_refused(tmp_path: Path, written: str, words: str) -> None:
    told = refusal(tmp_path, KNOB.format(written))
    assert "clock_hz" in told
    assert words in told


def test_every_real_knob_of_every_family_is_bounded_and_refuses_truth() -> None:
    for name in families():
        spec = family(name).spec
        for knob in spec.knobs().values():
            assert np.isfinite([knob.low, knob.high]).all(), (name, knob.name)
            if knob.choices or isinstance(knob.default, bool):
                continue
            for absurd in (True, float("inf"), float("nan"), "quick"):
                with pytest.raises(SpecError, match=re.escape(knob.name.rpartition(".")[2])):
                    spec.parse({knob.name: absurd}, where="x")


def test_a_unit_mistaken_is_doubted_and_no_device_that_ships_is() -> None:
    doubted = {name for name in device_names() if device(name).spec.implausible()}
    assert doubted == {"colonnade_jssc_2021"}  # static RAM, which the ranges of the family's resistive cells leave out
    cpu = family("cpu").spec
    (clock,) = cpu.parse({"clock_hz": 2.4e5}, where="x").implausible()
    assert clock == "clock_hz = 240000 Hz lies far from 1e+06 to 2e+10 Hz: is the unit right?"
    (assumed,) = cpu.parse({"dispatch_s": 2.0}, where="x").implausible()
    assert assumed.startswith("dispatch_s = 2 s lies far from 1e-07 to 0.0001 s")
