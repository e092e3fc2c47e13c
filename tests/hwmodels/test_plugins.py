"""Entry points: those of `importlib.metadata`, and those of a package that came after the first look."""

from __future__ import annotations

from importlib import invalidate_caches
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from hwmodels.plugins import installed

GROUP = "hwmodels.families"


def _install(folder: Path, name: str) -> None:
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = json:dumps\n")
    invalidate_caches()


def test_all_groups_are_those_of_the_library() -> None:
    for group in ("console_scripts", "pytest11", "no such group"):
        assert set(installed(group)) == set(entry_points(group=group))


def test_a_package_that_comes_or_goes_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {point.name for point in installed(GROUP)}
    folder = tmp_path / "site"
    _install(folder, "first")
    monkeypatch.syspath_prepend(folder)
    assert {point.name for point in installed(GROUP)} == before | {"first"}
    _install(folder, "second")
    assert {point.name for point in installed(GROUP)} == before | {"first", "second"}
    monkeypatch.undo()
    assert {point.name for point in installed(GROUP)} == before
