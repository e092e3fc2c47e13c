"""The workload's scores: exact on what the zoo has, silent where the table is absent, unmoved by odd rows."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from hwmodels.units import GB
from hwmodels.validate import ReferenceTables
from hwmodels.validate import validate as validate_all
from hwmodels.workload.validation import _half_unit, validate

TORCHVISION = "params exact; macs to 3 digits of G (torchvision _ops, multiply-accumulates)"
HEADER = ("name", "group", "input", "params", "macs", "top1", "source", "exactness", "note")
GOOD = [
    ("ResNet50", "25557032", "4089000000", TORCHVISION),
    ("MobileNet_V2", "3504872", "301000000", "params exact; macs to 3 digits"),
    ("BERT-large-uncased", "335141888", "", "exact"),
]
ODD = [
    ("Unheard of", "1", "1", "exact"),
    ("", "", "", ""),
    ("ResNet18", "about 12 M", "nan", "exact"),
    ("VGG16", "138000000", "15500000000", "rounded as published"),
]


def folder(tmp_path: Path, rows: list[tuple[str, str, str, str]]) -> ReferenceTables:
    (tmp_path / "nas").mkdir()
    with (tmp_path / "nas/networks.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(HEADER)
        writer.writerows((name, "", "", params, macs, "", "", exactness, "") for name, params, macs, exactness in rows)
    return ReferenceTables(tmp_path)


def test_good_rows_are_met_and_odd_rows_are_skipped_by_reason(tmp_path: Path) -> None:
    parameters, macs = validate(folder(tmp_path, [*GOOD, *ODD]))
    assert (parameters.family, parameters.set, parameters.group, parameters.protocol) == (
        "workload",
        "networks",
        "parameters",
        "frozen",
    )
    assert (parameters.metric, parameters.value, parameters.rows, parameters.rows_in_file) == (
        "exact_fraction",
        1,
        3,
        7,
    )
    assert parameters.skipped == {"not in the zoo": 2, "no parameters": 1, "rounding not stated": 1}
    assert (macs.group, macs.value, macs.rows) == ("macs", 1, 2)
    assert macs.skipped == {"not in the zoo": 2, "no macs": 2, "rounding not stated": 1}
    for found in (parameters, macs):
        assert found.rows + sum(found.skipped.values()) == found.rows_in_file


@pytest.mark.parametrize(
    ("params", "macs", "shares"),
    [("25557033", "4089000000", [0.0, 1.0]), ("25557032", "4090000000", [1.0, 0.0])],
)
def test_one_digit_off_is_off(tmp_path: Path, params: str, macs: str, shares: list[float]) -> None:
    tables = folder(tmp_path, [("ResNet50", params, macs, TORCHVISION)])
    assert [found.value for found in validate(tables)] == shares


def test_half_units() -> None:
    assert _half_unit(301_000_000, "params exact; macs to 3 digits", "macs") == 0.0005 * GB
    assert _half_unit(244_526_360, "5 digits", "macs") == 5000
    assert _half_unit(320_427_584, "exact (conv+fc MACs, BN affine counted)", "macs") == 0
    assert _half_unit(569_000_000, "rounded as published", "macs") is None


def test_an_absent_table_gives_no_scores(tmp_path: Path) -> None:
    assert validate(ReferenceTables(tmp_path)) == []
    assert validate(ReferenceTables(None)) == []


def test_a_table_without_our_columns_gives_no_scores(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas/networks.csv").write_text("title,size\nResNet50,3\n", encoding="utf-8")
    assert validate(ReferenceTables(tmp_path)) == []


def test_the_registry_finds_the_workload(tmp_path: Path) -> None:
    folder(tmp_path, GOOD)
    assert [found.value for found in validate_all(["workload"], reference=tmp_path)] == [1.0, 1.0]


def test_the_published_table() -> None:
    reference = os.environ.get("CODESIGN_REFERENCE")
    if not reference or not (Path(reference) / "nas/networks.csv").is_file():
        pytest.skip("CODESIGN_REFERENCE is not set or has no nas/networks.csv")
    scores = validate(ReferenceTables(Path(reference)))
    assert [found.group for found in scores] == ["parameters", "macs"]
    assert all(found.value == 1.0 for found in scores)
