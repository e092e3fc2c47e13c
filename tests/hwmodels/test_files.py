"""Files that are written whole or not at all, and places that are checked before the work."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hwmodels.errors import SpecError
from hwmodels.files import (
    check_new_file,
    check_new_folder,
    is_partial,
    make_folder,
    strict_json,
    write_bytes,
    write_text,
    write_whole,
)


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "µ\n")
    assert (tmp_path / "a.txt").read_bytes() == "µ\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("x")])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.csv"
    write_text(path, "old")

    def fail(part: Path) -> None:
        assert part.suffix == ".csv"
        assert is_partial(part)
        part.write_text("half")
        raise error

    with pytest.raises(SpecError if isinstance(error, OSError) else type(error), match=r"No space|x|^$"):
        write_whole(path, fail)
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_bytes(tmp_path / "whole", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file/a.csv", "existing folder"),
        ("missing/a.csv", "existing folder"),
        ("folder", "it is a folder"),
        ("file", "--force writes over it"),
        ("a.txt", "ends in .csv"),
        ("a" * 300 + ".csv", "too long"),
    ],
)
def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    endings = (".csv",) if "." in name else ()
    with pytest.raises(SpecError, match=words):
        check_new_file(tmp_path / name, endings=endings)
    assert (tmp_path / "file").read_bytes() == b""


def test_force_allows_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    check_new_file(tmp_path / "a.csv", force=True, endings=(".csv",))
    with pytest.raises(SpecError, match="it is a folder"):
        check_new_file(tmp_path, force=True)


def test_a_folder_below_a_file_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("f", "f/run", "f/run/deep", "dangling/run"):
        with pytest.raises(SpecError, match="is a file"):
            check_new_folder(tmp_path / name)
        with pytest.raises(SpecError, match="can be made"):
            make_folder(tmp_path / name)
    check_new_folder(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()


def test_a_read_only_parent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for check in (check_new_folder, check_new_file):
        with pytest.raises(SpecError, match=f"{tmp_path} is read-only"):
            check(tmp_path / "run")


def test_numbers_that_are_none_are_null() -> None:
    value = {"a": [float("nan"), float("inf"), 1.5, True], "b": {"c": (None, Path("x"))}}
    assert json.loads(strict_json(value)) == {"a": [None, None, 1.5, True], "b": {"c": [None, "x"]}}
