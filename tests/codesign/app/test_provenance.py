"""What a run began with against what is there now, in one line that names the place."""

from __future__ import annotations

from codesign.app.provenance import changed_host, changed_keys, first_difference


def test_the_first_place_that_differs_is_named() -> None:
    began = {"clock_hz": 1.0, "part": {"tiles": 4, "rows": 8}}
    assert first_difference("device", began, began) is None
    assert first_difference("device", began, {**began, "part": {"tiles": 4, "rows": 9}}) == ("device.part.rows", 8, 9)
    assert first_difference("device", began, {**began, "new": 1}) == ("device.new", None, 1)
    assert first_difference("device", began, {"part": began["part"]}) == ("device.clock_hz", 1.0, None)
    assert first_difference("device", "text", began) == ("device", "text", began)
    assert first_difference("model_version", 1, 2) == ("model_version", 1, 2)


def test_another_processor_is_one_line_that_says_what_it_means() -> None:
    here = {"processor": "A", "instruction_set": "avx2"}
    assert changed_host({"host": here}, {"host": here}) == ()
    assert changed_host({}, {"host": here}) == ()
    (line,) = changed_host({"host": {**here, "processor": "B"}}, {"host": here})
    assert "processor B (here A)" in line
    assert "end alike" in line
    (line,) = changed_host({"host": {**here, "instruction_set": "avx512"}}, {"host": here})
    assert "other weights" in line


def test_changed_versions_and_models_are_listed_for_a_report() -> None:
    began = {"family": "cpu", "model_version": 1, "device": {}, "data": "x", "versions": {"numpy": "1"}}
    assert changed_keys(began, began) == ()
    (line,) = changed_keys(began, {**began, "model_version": 2, "device": {"a": 1}, "versions": {"numpy": "2"}})
    for word in ("model_version 1 (here 2)", "another device", "numpy 1 (here 2)"):
        assert word in line
    (line,) = changed_keys({**began, "versions": "damaged"}, began)
    assert "numpy None (here 1)" in line
