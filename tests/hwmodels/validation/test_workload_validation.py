"""The workload's scores: exact on what the zoo has, silent where the table is absent, unmoved by odd rows."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from hwmodels.units import GB
from hwmodels.validate import ReferenceTables
from hwmodels.validate import validate as validate_all
from hwmodels.validation.workload import _half_unit, _rounding, validate

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
    parameters, macs, rounded_parameters, rounded_macs = validate(folder(tmp_path, [*GOOD, *ODD]))
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
        6,  # a line without a value is none
    )
    assert parameters.skipped == {"not in the zoo": 1, "no parameters": 1, "not exact": 1}
    assert (macs.group, macs.value, macs.rows) == ("macs", 1, 2)
    assert macs.skipped == {"not in the zoo": 1, "no macs": 2, "not exact": 1}
    # VGG-16 has 138.4 M parameters and 15.47 G MACs: no 138.0 M, but 15.5 G to its rounding.
    assert (rounded_parameters.group, rounded_parameters.value) == ("parameters, rounded", 0)
    assert (rounded_macs.group, rounded_macs.value) == ("macs, rounded", 1)
    assert rounded_parameters.skipped == {"not in the zoo": 1, "no parameters": 1, "exact": 3}
    for found in (parameters, macs, rounded_parameters, rounded_macs):
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


@pytest.mark.parametrize(
    ("published", "said", "group", "allowed"),
    [
        (4_200_000, "rounded as published", "parameters", 50_000),
        (4_000_000, "rounded as published", "parameters", 50_000),
        (4_470_000, "rounded as published", "parameters", 5_000),
        (569_000_000, "rounded as published", "macs", 500_000),
        (560_000_000, "rounded as published", "macs", 500_000),
        (23_800_000_000, "rounded as published", "macs", 50_000_000),
        (175_000_000_000, "rounded", "parameters", 500_000_000),
        (78_666, "verify against own counter (+-1%)", "parameters", 786.66),
        (78_666, "said nothing", "parameters", None),
        (None, "rounded", "parameters", None),
    ],
)
def test_what_a_rounded_row_allows(published: int | None, said: str, group: str, allowed: float | None) -> None:
    assert _rounding(published, said, group) == (allowed if allowed is None else pytest.approx(allowed))


@pytest.mark.parametrize(("macs", "share"), [("220119690", 1.0), ("220119680", 0.0)])
def test_nas_bench_201_counts_the_biases_of_its_classes(tmp_path: Path, macs: str, share: float) -> None:
    tables = folder(tmp_path, [("NB201 all-conv3x3 cell", "1531546", macs, "exact")])
    assert [found.value for found in validate(tables)] == [1.0, share]


def test_pc_darts_counts_norms_and_activations(tmp_path: Path) -> None:
    tables = folder(tmp_path, [("PC-DARTS (ImageNet)", "5300000", "597000000", "rounded as published")])
    assert [found.value for found in validate(tables)] == [1.0, 1.0]


def test_timm_counts_the_operations_of_norms(tmp_path: Path) -> None:
    """ResNet-50: 4.089 GMACs and two operations for each of 11.1 M normalised elements; another size is left out."""
    (tmp_path / "nas").mkdir()
    with gzip.open(tmp_path / "nas/timm_infer.csv.gz", "wt", encoding="utf-8") as handle:
        handle.write(
            "model,img,params_m,gmacs\nresnet50,224,25.56,4.11\nresnet50,256,25.56,5.4\nvgg11,224,132.86,7.61\n"
        )
    parameters, macs = validate(ReferenceTables(tmp_path))
    assert (parameters.rows, parameters.value) == (2, 1.0)
    assert (macs.rows, macs.value) == (2, 1.0)


def test_every_cell_of_a_table_is_counted(tmp_path: Path) -> None:
    """An all-zero cell keeps stem, reductions and classifier; a wrong row lowers the share."""
    (tmp_path / "nas").mkdir()
    operations = np.array([[3] * 6, [3] * 6, [0] * 6], np.int8)
    params = np.array([1_531_546, 1, 73_306])
    macs = np.array([220_119_690, 220_119_690, 7_783_050])
    np.savez(tmp_path / "nas/nb201_arch.npz", ops=operations, params=params, macs=macs)
    assert [found.value for found in validate(ReferenceTables(tmp_path))] == pytest.approx([2 / 3, 1.0])


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
    by_group = {(found.set, found.group): found for found in scores}
    exact = [found for (_, group), found in by_group.items() if not group.endswith("rounded")]
    assert len(exact) == 8
    for found in exact:
        # timm's counter leaves out the depthwise convolutions of three ConvMixers.
        assert round((1 - found.value) * found.rows) == (3 if (found.set, found.group) == ("timm_infer", "macs") else 0)
    assert by_group["networks", "parameters"].rows + by_group["networks", "parameters, rounded"].rows >= 100
