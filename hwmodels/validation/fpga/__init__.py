"""What the FPGA families are held against; each score says what its numbers were fitted on.

Tiled engines (`tiled`): the published cycles, time, power and resources of Zhang et al. 2015, and 9,508 designs of
HotNAS's published search.
"""

from __future__ import annotations

from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.fpga.overlay import overlay_scores
from hwmodels.validation.fpga.streaming import streaming_scores
from hwmodels.validation.fpga.tiled import tiled_scores

__all__ = ["validate"]


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of all FPGA families; empty where no reference file is present."""
    return [*tiled_scores(tables), *overlay_scores(tables), *streaming_scores(tables)]
