"""What several GPUs are held against; each score says what its constants were fitted on.

Collectives inside and between nodes (`collectives`); training of transformers in shares and stages (`training`) and
under FSDP (`fsdp`); serving of language models (`serving`); image networks, data-parallel (`images`).
"""

from __future__ import annotations

from hwmodels.validate import ReferenceTables, Score
from hwmodels.validation.multigpu.collectives import collective_scores
from hwmodels.validation.multigpu.fsdp import fsdp_scores
from hwmodels.validation.multigpu.images import image_scores
from hwmodels.validation.multigpu.serving import serving_scores
from hwmodels.validation.multigpu.training import training_scores

__all__ = ["validate"]


def validate(tables: ReferenceTables) -> list[Score]:
    """Scores of several GPUs; none where no reference file is present."""
    return [
        *collective_scores(tables), *training_scores(tables), *fsdp_scores(tables), *serving_scores(tables),
        *image_scores(tables),
    ]  # fmt: skip
