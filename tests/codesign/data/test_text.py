"""Text by the byte: windows that do not overlap, what follows them, parts in order, and files that are none."""

from pathlib import Path

import numpy as np
import pytest

from codesign.data import load
from codesign.task import Language
from hwmodels.errors import SpecError
from tests.codesign.data.damage import damaged, refusal


def test_windows_and_what_follows_put_the_text_together(tmp_path: Path) -> None:
    text = bytes(range(256)) * 3
    (tmp_path / "a.txt").write_bytes(text)
    data = load("text", tmp_path / "a.txt", length=8)
    parts = (data.train, data.validation, data.test)
    windows = (len(text) - 1) // 8
    assert [len(part.images) for part in parts] == [57, 19, 19]
    assert sum(len(part.images) for part in parts) == windows
    read, follows = (np.concatenate([part[i] for part in parts]).ravel() for i in (0, 1))
    assert bytes(read.astype(np.uint8)) == text[: windows * 8]
    assert bytes(follows.astype(np.uint8)) == text[1 : windows * 8 + 1]
    assert (data.input_shape, data.output_shape, data.task) == ((8,), (8, 256), Language(256))


def test_files_of_a_folder_are_one_text_by_path(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.txt").write_bytes(b"later" * 20)
    (tmp_path / "a.txt").write_bytes(b"first" * 20)
    (tmp_path / ".hidden").write_bytes(b"never")
    (tmp_path / "whole.txt").write_bytes(b"first" * 20 + b"\n" + b"later" * 20)
    whole = load("text", tmp_path / "whole.txt", length=4).fingerprint
    (tmp_path / "whole.txt").unlink()
    assert load("text", tmp_path, length=4).fingerprint == whole


def test_without_a_root_it_is_the_manual_of_python() -> None:
    data = load("text")
    assert data.input_shape == (64,)
    assert data.train.images.size > 200_000
    text = bytes(data.train.images.ravel().astype(np.uint8)).decode(errors="replace")
    assert "assert" in text
    assert "statement" in text
    assert load("text").fingerprint == data.fingerprint
    assert load("text", length=32).fingerprint != data.fingerprint


def test_what_is_no_text_is_one_line(tmp_path: Path) -> None:
    assert "a file of text, or a folder with" in refusal("text", tmp_path)
    assert "there" in refusal("text", tmp_path / "none") or "a file of text" in refusal("text", tmp_path / "none")
    (tmp_path / "short").write_bytes(b"x" * 20)
    told = refusal("text", tmp_path / "short", length=4)
    assert told == f"{tmp_path / 'short'}: 20 bytes is not at least 21: 5 windows of 4"
    (tmp_path / "short").write_bytes(b"x" * 21)
    assert refusal("text", tmp_path / "short", length=4) == ""
    with pytest.raises(SpecError, match="data: size: 8 is not a key of text, which takes name, root, length"):
        load("text", size=8)


def test_any_bytes_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "some.gz"
    for content in damaged(gzip.compress(b"some text " * 50), 60):
        path.write_bytes(content)
        told = refusal("text", path, length=8)
        assert "\n" not in told
        assert not told or str(path) in told


def test_digits_line_by_line_are_the_digits() -> None:
    lines, digits = load("digit-sequences"), load("digits")
    assert (lines.input_shape, lines.output_shape) == ((8, 8), (10,))
    for part, whole in zip((lines.train, lines.test), (digits.train, digits.test), strict=True):
        np.testing.assert_array_equal(part.images, whole.images[:, 0])
        np.testing.assert_array_equal(part.labels, whole.labels)
    with pytest.raises(SpecError, match="digit-sequences: items of shape 8x8 is not images"):
        _ = lines.shape
