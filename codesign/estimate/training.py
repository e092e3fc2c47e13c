"""The estimator that trains, as a section of a run file; torch is loaded when it is made, after a run chose where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from codesign.estimate.base import CarriedWeights
from codesign.estimate.recipe import Recipe
from codesign.registry import Plugin, Settings
from codesign.space.fixed import FixedSpace
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.estimate.estimator import TrainingEstimator
    from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "TrainingSettings"]


class TrainingSettings(Settings):
    """Each network is trained, then evaluated under the numerics of the hardware."""

    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")
    recipe: Recipe = Field(Recipe(), description="how a network is trained")


def _make(settings: TrainingSettings, problem: Problem) -> TrainingEstimator:
    from codesign.estimate.estimator import TrainingEstimator

    if problem.data is None:
        raise SpecError("estimator", "training", "there for a search without images")
    _check_given(problem)
    return TrainingEstimator(problem.data, settings.recipe, CarriedWeights(), draws=settings.draws)


def _check_given(problem: Problem) -> None:
    """Given networks take the images of the run as they are; searched ones are made for them.

    Raises
    ------
    SpecError : one that does not, before anything is written.
    """
    from codesign.estimate.train import check_fit

    space = problem.joint.architecture
    if isinstance(space, FixedSpace) and problem.data is not None:
        for genotype in space.enumerate():
            try:
                check_fit(space.workload(genotype), problem.data)
            except SpecError as error:
                hint = "`codesign enumerate` finds the front of costs without training"
                raise SpecError(error.where, error.got, error.expected, hint) from None


PLUGIN = Plugin(TrainingSettings, _make, "trains each network once and evaluates it under each hardware's numerics")
