"""The estimator whose children inherit weights, as a section of a run file; torch is loaded when it is made.

strategy: {name: evolution}
estimator: {name: inheriting, epochs_inherited: 0.5}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from codesign.estimate.recipe import Recipe
from codesign.estimate.training import PLUGIN as TRAINING
from codesign.estimate.training import TrainingSettings
from codesign.registry import Plugin, Settings
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.estimate.inheritance import InheritingEstimator
    from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "InheritingSettings"]


class InheritingSettings(Settings):
    """Networks without a trained parent are trained from new weights, their children from theirs for fewer epochs."""

    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")
    recipe: Recipe = Field(Recipe(), description="how a network is trained")
    epochs_inherited: float = Field(
        0.5, gt=0, le=1, description="share of the epochs that a training from a parent's weights takes"
    )


def _make(settings: InheritingSettings, problem: Problem) -> InheritingEstimator:
    from codesign.estimate.inheritance import InheritingEstimator

    if settings.recipe.stopping is not None:
        raise SpecError("estimator.recipe.stopping", "given", "left out: an inherited training has another curve")
    trainer = TRAINING.make(TrainingSettings(draws=settings.draws, recipe=settings.recipe), problem)
    return InheritingEstimator(
        trainer.dataset,
        trainer.recipe,
        trainer.weights,
        epochs_inherited=settings.epochs_inherited,
        draws=trainer.draws,
    )


PLUGIN = Plugin(
    InheritingSettings, _make, "trains children of evolution from their parents' weights, for a share of the epochs"
)
