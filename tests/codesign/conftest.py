"""What the tests of this package share: the command line called in this process, and new run stores."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.store import RunStore


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command line: (exit code, standard output, standard error)."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["codesign", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def new_store(tmp_path: Path):
    """Makes run stores in folders of their own."""

    def make(name: str) -> RunStore:
        return RunStore.create(tmp_path / name, {"seed": 3})

    return make
