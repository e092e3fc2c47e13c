"""One table in four formats, chosen by the ending."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from codesign.report.table_file import TABLE_ENDINGS, write_table
from hwmodels.errors import SpecError

COLUMNS = {
    "network": ["a,b", "c"],
    "tiles": [4, 8],
    "latency_s": [1.23456789e-6, float("nan")],
    "infeasible": ["", "too large"],
}


def test_csv_and_parquet_hold_every_digit(tmp_path: Path) -> None:
    for ending in (".csv", ".parquet"):
        write_table(tmp_path / f"t{ending}", COLUMNS)
    with (tmp_path / "t.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows[0] == {"network": "a,b", "tiles": "4", "latency_s": "1.23456789e-06", "infeasible": ""}
    assert rows[1]["latency_s"] == ""
    table = pq.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["latency_s"][0] == COLUMNS["latency_s"][0]
    assert table["tiles"] == [4, 8]


def test_markdown_and_latex_are_for_readers(tmp_path: Path) -> None:
    for ending in (".md", ".tex"):
        write_table(tmp_path / f"t{ending}", COLUMNS, caption="Two.")
    assert "| latency (µs) |" in (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "\\begin{tabular}" in (tmp_path / "t.tex").read_text(encoding="utf-8")


def test_knobs_of_several_types_fit_into_parquet(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", {"knob": [1, "auto", None], "n": [1, 2, 3]})
    assert pq.read_table(tmp_path / "t.parquet").to_pydict() == {"knob": ["1", "auto", None], "n": [1, 2, 3]}


def test_another_ending_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"\.csv, \.md, \.parquet, \.tex"):
        write_table(tmp_path / "t.xlsx", COLUMNS)
    assert TABLE_ENDINGS == (".csv", ".md", ".parquet", ".tex")
    assert list(tmp_path.iterdir()) == []
