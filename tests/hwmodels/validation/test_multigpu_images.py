"""Data-parallel training of ResNet-50 held to five points."""

from __future__ import annotations

import pytest

from hwmodels.validate import open_tables
from hwmodels.validation.multigpu.images import image_scores


@pytest.mark.parametrize("group", ["ResNet-50, TF32 and FP32", "ResNet-50, P100"])
def test_what_eight_gpus_lose(group: str) -> None:
    tables = open_tables()
    if tables.path("gpu/nvidia_dle_performance.jsonl") is None:
        pytest.skip("CODESIGN_REFERENCE is not set")
    found = [one.value for one in image_scores(tables) if one.group == group]
    assert len(found) == 1
    assert found[0] <= 5.0
