"""The estimator that trains, as a section of a run file; torch is loaded when it is made, after a run chose where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from codesign.estimate.base import CarriedWeights
from codesign.estimate.recipe import Recipe
from codesign.registry import Plugin, Settings
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.estimate.estimator import TrainingEstimator
    from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "TrainingSettings", "check_networks"]


class TrainingSettings(Settings):
    """Each network is trained, then evaluated under the numerics of the hardware."""

    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")
    recipe: Recipe = Field(Recipe(), description="how a network is trained")


def _make(settings: TrainingSettings, problem: Problem) -> TrainingEstimator:
    from codesign.estimate.estimator import TrainingEstimator

    if problem.data is None:
        raise SpecError("estimator", "training", "there for a search without images")
    check_networks(problem)
    return TrainingEstimator(problem.data, settings.recipe, CarriedWeights(), draws=settings.draws)


_CHECKED = 64
"""Networks of a space that are looked at before anything is written: all of a small one, else one of it."""


def check_networks(problem: Problem) -> None:
    """Networks that do not take the images of the run are refused before it begins, not at their training.

    Raises
    ------
    SpecError : one that does not.
    """
    from codesign.estimate.train import check_fit

    space = problem.joint.architecture
    if problem.data is None:
        return
    points = space.enumerate() if space.size <= _CHECKED else space.sample(1, np.random.default_rng(0))
    for genotype in points:
        try:
            check_fit(space.workload(genotype), problem.data)
        except SpecError as error:
            hint = "`codesign enumerate` finds the front of costs without training"
            raise SpecError(error.where, error.got, error.expected, hint) from None


PLUGIN = Plugin(TrainingSettings, _make, "trains each network once and evaluates it under each hardware's numerics")
