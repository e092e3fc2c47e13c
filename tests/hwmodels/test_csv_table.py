"""CSV tables as people bring them: read, or refused in one line that names file, line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from hwmodels.array_file import read_arrays
from hwmodels.csv_table import read_csv
from hwmodels.errors import SpecError
from hwmodels.measurements import read_measurements
from hwmodels.validate import validate

ROWS = [("a", 0.5), ("b c", 1500.0)]
AS_WRITTEN = {
    "plain": b"name,value\na,0.5\nb c,1500\n",
    "mark": b"\xef\xbb\xbfname,value\na,0.5\nb c,1500\n",
    "spaces": b" name , value\na , 0.5\nb c ,1500 \n",
    "semicolons": b"name;value\na;0,5\nb c;1,5e3\n",
    "tabs": b"name\tvalue\na\t0.5\nb c\t1500\n",
    "quotes": b'"name","value"\n"a","0.5"\n"b c", "1500"\n',
    "windows": b"name,value\r\na,0.5\r\n\r\nb c,1500\r\n",
    "trailing": b"name,value,\na,0.5,\nb c,1500,\n",
    "unicode": "name\tvalue\na\t0.5\nb c\t1500\n".encode("utf-16"),
    "no end": b"name,value\na,0.5\nb c,1500",
    "index": b",name,value\n0,a,0.5\n1,b c,1500\n",
}


@pytest.mark.parametrize("content", AS_WRITTEN.values(), ids=AS_WRITTEN)
@pytest.mark.parametrize("packed", [False, True])
def test_a_table_is_read_however_it_was_written(tmp_path: Path, content: bytes, packed: bool) -> None:
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    assert [(row["name"], row.number("value")) for row in read_csv(path)] == ROWS


def values_of(path: Path) -> list[float]:
    return [row.number("value") for row in read_csv(path)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"name,value\na,0.5\nb\n", r"line 3: 1 cells is not 2 cells"),
        (b"name,value\na,0.5,7\n", r"line 2: 3 cells is not 2 cells"),
        (b"name,name\na,b\n", r"header: 'name' is not a name that one column has"),
        (b"name,value\na,\xff\n", r"line 2: byte 0xff is not UTF-8"),
        (b'name,value\n"a,0.5\n', r"line \d"),
        (b"name,value\na,zero\n", r"line 2: value: zero is not a number"),
        (b"name,value\na,\n", r"line 2: value: an empty cell is not a number"),
        (b"name,amount\na,1\n", r"column value is missing"),
        (b"name,value\na,0,5\n", r"line 2: 3 cells"),
        (b"\x00\x01\x02\n1\n", "column value is missing"),
    ],
)
def test_a_malformed_table_names_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=words) as caught:
        values_of(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.csv", "folder", "damaged.csv.gz"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "damaged.csv.gz").write_bytes(gzip.compress(b"name\n" * 99)[:20])
    with pytest.raises(SpecError, match=name):
        read_csv(tmp_path / name)


def test_whole_numbers_are_whole(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n\n3\n3.0\n3.5\n")
    rows = read_csv(tmp_path / "t.csv").rows
    assert (rows[0].whole("n"), rows[1].whole("n")) == (3, 3)
    with pytest.raises(SpecError, match=r"line 4: n: 3\.5 is not a whole number"):
        rows[2].whole("n")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfname, network ,seconds\nx, resnet18, 0.01\n",
        b"name;network;seconds\nx;resnet18;0,01\n",
        b"name\tnetwork\tseconds\nx\tresnet18\t0.01\n",
    ],
)
def test_measurements_are_read_from_any_spreadsheet(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    (row,) = read_measurements(tmp_path / "m.csv")
    assert (row.network, row.seconds) == ("resnet18", 0.01)


@pytest.mark.parametrize("row", ["x,resnet18,inf,1", "x,resnet18,1,1e30", "x,resnet18,nan,1", "x,resnet18,1,1.5"])
def test_absurd_measurements_are_refused(tmp_path: Path, row: str) -> None:
    (tmp_path / "m.csv").write_text(f"name,network,seconds,batch\n{row}\n")
    with pytest.raises(SpecError, match=r"m\.csv:2: "):
        read_measurements(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("arch;tiles\nx\n", "networks.csv: line 2"),
        ("", "networks.csv: empty"),
    ],
)
def test_a_malformed_reference_table_is_one_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "networks.csv").write_text(content)
    with pytest.raises(SpecError, match=words) as caught:
        validate(["workload"], reference=tmp_path)
    assert "networks.csv" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x93NUMPY\x01\x00v\x00{'descr'", b"text"])
def test_a_damaged_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(SpecError, match=r"a\.npz"):
        read_arrays(tmp_path / "a.npz")


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", accuracy=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SpecError, match="npz file of numbers"):
        read_arrays(tmp_path / "a.npz")
