"""A CSV table: features standardised each by itself, classes by name, mistakes by column and row."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from codesign.data import load
from codesign.registry import SPACES
from codesign.task import Regression
from hwmodels.errors import SpecError
from tests.codesign.data.damage import damaged, refusal


def rows(count: int = 30) -> list[str]:
    """Two classes told apart by the sign of one feature, beside a feature that is a thousand times larger."""
    generator = np.random.default_rng(0)
    lines = ["weight, yield_g,kind"]
    for i in range(count):
        kind = ("no", "yes")[i % 2]
        lines.append(f"{(i % 2 - 0.5) + generator.normal() / 10:.6f},{1000 * generator.normal():.6f},{kind}")
    return lines


def written(folder: Path, lines: list[str]) -> Path:
    path = folder / "own.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_features_are_channels_standardised_each_by_itself(tmp_path: Path) -> None:
    dataset = load("table", written(tmp_path, rows()), label="kind")
    assert (dataset.shape, dataset.classes) == ((2, 1, 1), 2)
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [18, 6, 6]
    np.testing.assert_allclose(dataset.train.images.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(dataset.train.images.std((0, 2, 3)), 1, atol=1e-6)
    for part in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(part.images[:, 0, 0, 0] > 0, part.labels == 1)  # "no" before "yes"


def test_a_packed_table_is_the_same(tmp_path: Path) -> None:
    plain = written(tmp_path, rows())
    packed = tmp_path / "own.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    read = [load("table", path, label="kind") for path in (plain, packed)]
    assert read[0].fingerprint == read[1].fingerprint


def test_a_space_makes_networks_of_it(tmp_path: Path) -> None:
    dataset = load("table", written(tmp_path, rows()), label="kind")
    section = {"space": "chain", "stages": 2, "kernel": [1], "width": [4, 8], "stride": [1]}
    space = SPACES.parse(section, "space").make(dataset)
    for point in space.sample(4, np.random.default_rng(0)):
        workload = space.workload(point)
        assert workload.input_shapes[0][1:] == (2, 1, 1)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,b", *["1,2"] * 9], "label: label is not one of a, b"),
        ([], "is not a CSV table with a header"),
        (["a,label"], "0 classes"),
        (["a,label", *["1,x", "2,y"] * 3], "3 images of a class"),
        (["label", *["x", "y"] * 5], "without empty axes"),
        (["a,label", *["1,x", "2,y"] * 5, "?,x"], r"own.csv: a, row 11: \? is not a finite number"),
        (["a,label", *["1,x", "2,y"] * 5, ",x"], "a, row 11: nan is not a finite number"),
        (["a,label", *["1,x", "2,y"] * 5, "inf,x"], "a, row 11: inf is not"),
        (["a,label", *["1,x", "2,y"] * 5, "1e300,x"], r"row 11: 1e\+300 is not"),
        (["a,label", *["True,x", "False,y"] * 5], "True is not a finite number"),
        (["a,label", *["1,x", "2,y"] * 5, "1,"], "label: row 11 is not with a class"),
        (["a,label", *["1,x", "2,y"] * 5, "1,x,3,4"], "is not a CSV table"),
        (["a,label", *["1,2,x", "2,2,y"] * 5], "a row is not as long as the header"),
        (["a,label", *["1,2", "1,3", '"x'] * 5], "CSV table|label|finite"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        load("table", written(tmp_path, lines))
    assert "\n" not in str(caught.value)
    assert "own.csv" in str(caught.value)


def test_what_is_no_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="root=None is not a CSV file"):
        load("table")
    with pytest.raises(SpecError, match="No such file"):
        load("table", tmp_path / "none.csv")
    with pytest.raises(SpecError, match="is not a readable file"):
        load("table", tmp_path)


def test_damaged_tables_are_one_line_or_read(tmp_path: Path) -> None:
    path = written(tmp_path, rows())
    for content in (np.random.default_rng(0).bytes(4000), *damaged(path.read_bytes(), 100)):
        path.write_bytes(content)
        told = refusal("table", path, label="kind")
        assert "\n" not in told
        assert not told or "own.csv" in told


def numbers(count: int = 30) -> list[str]:
    """A number that follows from a feature, in a unit of its own."""
    generator = np.random.default_rng(1)
    values = generator.normal(size=(count, 2))
    return ["a,b,mass_g", *(f"{a:.6f},{b:.6f},{5000 + 300 * a:.6f}" for a, b in values)]


def test_numbers_are_asked_for_in_standard_units(tmp_path: Path) -> None:
    dataset = load("table", written(tmp_path, numbers()), label="mass_g", task="regression")
    assert (dataset.shape, dataset.output_shape) == ((2, 1, 1), (1,))
    assert [len(part.labels) for part in (dataset.train, dataset.validation, dataset.test)] == [18, 6, 6]
    assert isinstance(dataset.task, Regression)
    np.testing.assert_allclose([dataset.train.labels.mean(), dataset.train.labels.std()], [0, 1], atol=1e-6)
    for part in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_allclose(part.images[:, 0, 0, 0], part.labels, atol=1e-5)
    exact = dataset.task.values(dataset.task.tally(dataset.test.labels[:, None] + np.float32(1), dataset.test.labels))
    assert exact["rmse"] == pytest.approx(dataset.task.deviation)
    assert 150 < dataset.task.deviation < 600
    assert load("table", written(tmp_path, numbers()), label="mass_g", task="regression").fingerprint == (
        dataset.fingerprint
    )


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (rows(), r"kind, row 1: no is not a finite number"),
        (["a,y", "1,2", "2,3", "3,4"], "3 rows is not at least 4"),
        (["a,y", *["1,2"] * 8], "one and the same number to train on is not numbers that differ"),
        (["a,y", "1,2", "2,", "3,4", "4,5"], "y, row 2: nan is not a finite number"),
    ],
)
def test_what_is_no_number_to_be_asked_for_is_one_line(tmp_path: Path, lines: list[str], words: str) -> None:
    label = lines[0].rpartition(",")[2]
    with pytest.raises(SpecError, match=words):
        load("table", written(tmp_path, lines), label=label, task="regression")


def test_the_whole_table_as_each_part(tmp_path: Path) -> None:
    """Exclusive or has four rows: all of them are in every part, standardised by all."""
    path = tmp_path / "xor.csv"
    path.write_text("a,b,xor\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n")
    numbers = load("table", path, label="xor", task="regression", split="whole")
    classes = load("table", path, label="xor", split="whole")
    for data in (numbers, classes):
        for part in (data.train, data.validation, data.test):
            assert part.images[:, :, 0, 0].tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert numbers.test.labels.tolist() == [-1, 1, 1, -1]
    assert classes.test.labels.tolist() == [0, 1, 1, 0]
    with pytest.raises(SpecError, match="at least 4"):
        load("table", path, label="xor")
