"""Accuracy against energy from one command: a picture, a table, and both say what the library says."""

from __future__ import annotations

import csv
import json

import pytest

SMALL = ("--array-rows", "32,128", "--adc-bits", "3,7", "--draws", "2", "--statistical")


def test_a_picture_and_a_table(run, tmp_path):
    path = tmp_path / "trade.png"
    code, out, err = run("tradeoff", "-o", path, *SMALL, "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [(row["array_rows"], row["adc_bits"]) for row in rows] == [(32, 3), (32, 7), (128, 3), (128, 7)]
    by = {(row["array_rows"], row["adc_bits"]): row for row in rows}
    for size in (32, 128):
        assert by[size, 3]["energy_j"] < by[size, 7]["energy_j"]
        assert by[size, 3]["accuracy"] < by[size, 7]["accuracy"]
    assert by[128, 3]["accuracy"] < by[32, 3]["accuracy"]  # more rows a read need more bits
    assert path.read_bytes().startswith(b"\x89PNG")
    with path.with_suffix(".csv").open(newline="") as handle:
        written = list(csv.DictReader(handle))
    assert [float(row["accuracy"]) for row in written] == [row["accuracy"] for row in rows]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "a.txt"), ".png"),
        (("-o", "a.png", "--device", "tpu_v1"), "crossbar"),
        (("-o", "a.png", "--data", "digit"), "digits"),
        (("-o", "a.png", "--adc-bits", "4;5"), "--adc-bits"),
        (("-o", "a.png", "--adc-bits", "40"), "adc_bits"),
        (("-o", "a.png", "--array-rows", "7"), "array_rows"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(run, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("tradeoff", *arguments)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []
