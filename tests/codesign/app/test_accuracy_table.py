"""Accuracies that a user brings: every way to name a network, several rows a network, one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.app.accuracy_table import read_accuracies, read_accuracy_table
from codesign.space.cell import CellSpace
from hwmodels.errors import SpecError

SPACE = CellSpace(channels=4, cells=1, stages=1, operations=("none", "nor_conv_3x3"))
POINTS = SPACE.enumerate()
VALUES = np.random.default_rng(0).random(len(POINTS)).round(4)
KNOWN = dict(enumerate(VALUES.tolist()))


def names(key: str) -> list[str]:
    if key == "index":
        return [str(i) for i in range(len(POINTS))]
    if key == "genotype":
        return ["-".join(map(str, point)) for point in POINTS]
    return [SPACE.describe(point) for point in POINTS]


def written(path: Path, key: str, *, delimiter: str = ",", mark: str = "", space: str = "") -> Path:
    lines = [f"{key}{delimiter}{space}accuracy"]
    lines += [f"{name}{delimiter}{space}{value}" for name, value in zip(names(key), VALUES, strict=True)]
    path.write_text(mark + "\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("key", ["index", "genotype", "network", "architecture", "arch"])
@pytest.mark.parametrize(
    "options", [{}, {"mark": "\ufeff"}, {"delimiter": ";"}, {"delimiter": "\t"}, {"space": " "}], ids=str
)
def test_networks_are_found_however_they_are_named(tmp_path: Path, key: str, options: dict) -> None:
    assert read_accuracies(written(tmp_path / "acc.csv", key, **options), SPACE) == KNOWN


@pytest.mark.parametrize("genotype", ["0-0-0-0-0-1", "0 0 0 0 0 1", "(0, 0, 0, 0, 0, 1)", "[0,0,0,0,0,1]"])
def test_a_genotype_is_its_numbers(tmp_path: Path, genotype: str) -> None:
    (tmp_path / "acc.csv").write_text(f'genotype,accuracy\n"{genotype}",0.5\n')
    assert read_accuracies(tmp_path / "acc.csv", SPACE) == {1: 0.5}


def test_several_rows_of_a_network_are_its_mean_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "acc.csv").write_text("index,accuracy\n0,0.1\n3,0.5108\n3,0.9999\n")
    found = read_accuracy_table(tmp_path / "acc.csv", SPACE)
    assert found.by_index == {0: 0.1, 3: pytest.approx((0.5108 + 0.9999) / 2)}
    (note,) = found.notes
    assert "acc.csv: 1 of 2 networks have several rows" in note
    assert "0-0-0-0-1-1 has 2 (0.5108, 0.9999)" in note


def test_an_archive_may_hold_several_seeds(tmp_path: Path) -> None:
    np.savez(tmp_path / "acc.npz", accuracy=np.array([0.2, 0.4, 0.9]), index=np.array([5, 5, 6]))
    found = read_accuracy_table(tmp_path / "acc.npz", SPACE)
    assert found.by_index == {5: pytest.approx(0.3), 6: 0.9}
    assert len(found.notes) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("arch\nx\n", "columns: 'arch' is not accuracy and one of index"),
        ("acc,genotype\n0.5,0-0-0-0-0-0\n", "columns: 'acc', 'genotype'"),
        ("genotype,accuracy\n", "no row"),
        ("genotype,accuracy\n0-0-0,0.5\n", "line 2: genotype: 0-0-0 is not 6 choices"),
        ("genotype,accuracy\n0-0-0-0-0-2,0.5\n", "line 2: genotype: 0-0-0-0-0-2 is not 6 choices"),
        ("genotype,accuracy\n|none~0|,0.5\n", r"line 2: genotype: \|none~0\| is not one of"),
        ("index,accuracy\n64,0.5\n", r"line 2: index: 64 is not in \[0, 63\]"),
        ("index,accuracy\n-1,0.5\n", r"line 2: index: -1 is not in \[0, 63\]"),
        ("index,accuracy\n1,0.5\n2,60.71\n", r"line 3: accuracy: 60.71 is not in \[0, 1\] \(divide"),
        ("index,accuracy\n1,nan\n", "line 2: accuracy: nan"),
        ("index,accuracy\n1,high\n", "line 2: accuracy: high is not a number"),
        ("index,accuracy\n1.5,0.5\n", "line 2: index: 1.5 is not a whole number"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "acc.csv").write_text(content)
    with pytest.raises(SpecError, match=words) as caught:
        read_accuracies(tmp_path / "acc.csv", SPACE)
    assert "acc.csv" in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"acc": [0.5]}, "array accuracy is missing"),
        ({"accuracy": [0.5]}, "the whole space"),
        ({"accuracy": [[0.5]], "index": [0]}, "one number a network"),
        ({"accuracy": [0.5], "index": [0, 1]}, "one value for each of 2"),
        ({"accuracy": [0.5], "index": ["a"]}, "index"),
        ({"accuracy": ["a"], "index": [0]}, "accuracy"),
        ({"accuracy": [0.5], "index": [0.5]}, "0.5 is not a whole number"),
        ({"accuracy": [0.5], "index": [64]}, "64 is not in"),
    ],
)
def test_archives_are_checked_alike(tmp_path: Path, arrays: dict, words: str) -> None:
    np.savez(tmp_path / "acc.npz", **{name: np.array(values) for name, values in arrays.items()})
    with pytest.raises(SpecError, match=words):
        read_accuracies(tmp_path / "acc.npz", SPACE)
