"""Compiled kernels where nothing can be written, and where what was written is damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hwmodels

PROGRAM = """
import numpy as np
from codesign.pareto import non_dominated
print(non_dominated(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0]])).tolist())
"""
ANSWER = "[True, True, False]\n"


def call(package: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False, cwd=package,
        env={**kept, "PYTHONPATH": str(package), **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of both packages in which no cache can be made: files stand where its folders would."""
    root = Path(hwmodels.__file__).parents[1]
    copy = tmp_path_factory.mktemp("installed")
    for name in ("hwmodels", "codesign"):
        shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for folder in (copy / name, *(path for path in (copy / name).rglob("*") if path.is_dir())):
            (folder / "__pycache__").touch()
    return copy


def test_without_a_home_kernels_are_kept_in_the_temporary_folder(package: Path, tmp_path: Path) -> None:
    done = call(package, HOME="/dev/null", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWER, "")
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    assert list(folder.rglob("*.nbc"))


def test_a_folder_that_others_may_write_is_not_trusted(package: Path, tmp_path: Path) -> None:
    foreign = tmp_path / f"codesign-kernels-{os.getuid()}"
    foreign.mkdir()
    foreign.chmod(0o777)
    assert call(package, HOME="/dev/null", TMPDIR=str(tmp_path)).stdout == ANSWER
    assert list(foreign.iterdir()) == []


@pytest.mark.parametrize("ending", [".nbc", ".nbi"])
@pytest.mark.parametrize("damage", ["cut", "zeros", "empty"])
def test_a_damaged_cache_is_rebuilt_with_one_line(tmp_path: Path, ending: str, damage: str) -> None:
    root = Path(hwmodels.__file__).parents[1]
    assert call(root, NUMBA_CACHE_DIR=str(tmp_path)).stdout == ANSWER
    for path in tmp_path.rglob(f"*{ending}"):
        content = path.read_bytes()
        middle = len(content) // 2
        changed = {"cut": content[:middle], "zeros": content[:middle] + bytes(len(content) - middle), "empty": b""}
        path.write_bytes(changed[damage])
    again = call(root, NUMBA_CACHE_DIR=str(tmp_path))
    assert (again.returncode, again.stdout) == (0, ANSWER)
    assert again.stderr.count("\n") == 1
    assert "is damaged and is rebuilt" in again.stderr
    healed = call(root, NUMBA_CACHE_DIR=str(tmp_path))
    assert (healed.stdout, healed.stderr) == (ANSWER, "")
