"""The estimator that trains, as a section of a run file; torch is loaded when it is made, after a run chose where.

What a fidelity below 1 scales stands in `codesign.estimate.fidelity`, early stopping in `codesign.estimate.stopping`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from codesign.estimate.base import CarriedWeights
from codesign.estimate.recipe import Axis, Recipe
from codesign.registry import Plugin, Settings
from codesign.space.recipe_choices import RecipeChoicesSpace, RecipeGenes
from codesign.task import Classification
from hwmodels.errors import SpecError
from hwmodels.workload.rewrite import prune_dead_branches

if TYPE_CHECKING:
    from codesign.data import Dataset
    from codesign.estimate.estimator import TrainingEstimator
    from codesign.estimate.fidelity import ScaledFidelity
    from codesign.estimate.stopping import EarlyStopping
    from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "TrainingSettings", "check_networks"]


class TrainingSettings(Settings):
    """Each network is trained, then evaluated under the numerics of the hardware."""

    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")
    recipe: Recipe = Field(Recipe(), description="how a network is trained")
    fidelity: list[Axis] = Field(["epochs"], min_length=1, description="what a fidelity below 1 scales, each in part")


def _make(settings: TrainingSettings, problem: Problem) -> TrainingEstimator | ScaledFidelity | EarlyStopping:
    from codesign.estimate.estimator import TrainingEstimator
    from codesign.estimate.fidelity import ScaledFidelity
    from codesign.estimate.stopping import EarlyStopping

    if problem.data is None:
        raise SpecError("estimator", "training", "there for a search without images")
    space = problem.joint.architecture
    genes = space.recipe if isinstance(space, RecipeChoicesSpace) else None
    _check_recipe(settings, problem.data, genes)
    trained: TrainingEstimator | ScaledFidelity = TrainingEstimator(
        problem.data, settings.recipe, CarriedWeights(), draws=settings.draws, genes=genes
    )
    epochs_at = settings.recipe.epochs_at
    if settings.fidelity != ["epochs"]:
        trained = ScaledFidelity(
            problem.data, settings.recipe, CarriedWeights(), axes=settings.fidelity, draws=settings.draws
        )
        epochs_at = trained.epochs_at
    check_networks(problem, trained)
    return trained if settings.recipe.stopping is None else EarlyStopping(trained, epochs_at)


def _check_recipe(settings: TrainingSettings, data: Dataset, genes: RecipeGenes | None) -> None:
    """Whether the recipe, and what a search may make of it, is for this data.

    Raises
    ------
    SpecError : it is not.
    """
    is_classification = isinstance(data.task, Classification)
    if settings.recipe.stopping is not None and not is_classification:
        raise SpecError("estimator.recipe.stopping", data.name, "a classification: it knows no other curves")
    chosen = {gene.name: gene.choices for gene in genes.genes} if genes is not None else {}
    augmentations = {settings.recipe.augmentation, *chosen.get("augmentation", ())}
    if augmentations != {"none"} and not (is_classification and len(data.input_shape) == 3):
        where = "recipe_choices" if "augmentation" in chosen else "estimator.recipe"
        raise SpecError(f"{where}.augmentation", data.name, "images of a class: no other labels stay what they are")
    if chosen and (settings.recipe.stopping is not None or settings.fidelity != ["epochs"]):
        raise SpecError("recipe_choices", "with stopping or other axes of fidelity", "with neither")


_CHECKED = 64
"""Networks of a space that are looked at before anything is written: all of a small one, else one of it."""


def check_networks(problem: Problem, trained: TrainingEstimator | ScaledFidelity | None = None) -> None:
    """Networks that do not take the images of the run are refused before it begins, not at their training.

    Raises
    ------
    SpecError : one that does not, or that its fidelity cannot reduce.
    """
    from codesign.estimate.fidelity import ScaledFidelity
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
        if isinstance(trained, ScaledFidelity):
            trained.check(prune_dead_branches(space.workload(genotype)))


PLUGIN = Plugin(TrainingSettings, _make, "trains each network once and evaluates it under each hardware's numerics")
