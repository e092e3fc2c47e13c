"""The way to the reference tables, which may not ship."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def reference() -> Callable[[str], Path]:
    """A reference file by its path, or a skip with its reason."""

    def find(relative: str) -> Path:
        folder = os.environ.get("CODESIGN_REFERENCE")
        if not folder:
            pytest.skip("CODESIGN_REFERENCE is not set: the reference tables are not here")
        path = Path(folder) / relative
        if not path.is_file():
            pytest.skip(f"{relative} is not in CODESIGN_REFERENCE")
        return path

    return find
