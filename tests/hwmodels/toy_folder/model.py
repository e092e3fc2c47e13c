"""The toy pipeline as two families, each with an assumption of its own."""

from __future__ import annotations

from dataclasses import replace

from hwmodels.families.base import Assumption
from tests.hwmodels.toy_families import PIPELINE

__all__ = ["MODEL", "STREAMING"]

MODEL = replace(
    PIPELINE, name="toy_folder", assumptions=(Assumption("engines", "equal", "-", "both run at the same rate"),)
)
STREAMING = replace(
    PIPELINE,
    name="toy_folder_streaming",
    meaning="two engines in a row, layer by layer",
    assumptions=(Assumption("queue", "endless", "-", "no engine ever waits for room"),),
)
