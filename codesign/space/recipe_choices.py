"""How a network is trained as decisions of the search, over any space: a learning rate, epochs, an augmentation.

A choice takes the place of the recipe's value in the training of that network; costs do not know of it. So a network
under two recipes is two points of the space and two trainings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.estimate.recipe import Augmentation, NoiseRecipe, Recipe
from codesign.registry import Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.wrapped import WrappedSpace, carried, repeated
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

__all__ = ["RecipeChoices", "RecipeChoicesSpace", "RecipeGenes"]


class RecipeChoices(Settings):
    """Values of a recipe that a search decides; what is not given stays as the recipe says."""

    learning_rate: list[Annotated[float, Field(gt=0, le=1e30)]] | None = Field(
        None, min_length=1, max_length=64, description="peak, after warm-up"
    )
    epochs: list[Annotated[int, Field(ge=1, le=100_000)]] | None = Field(
        None, min_length=1, max_length=64, description="passes over the training split"
    )
    batch_size: list[Annotated[int, Field(ge=2, le=1_000_000)]] | None = Field(
        None, min_length=1, max_length=64, description="items a step"
    )
    weight_decay: list[Annotated[float, Field(ge=0, le=1e6)]] | None = Field(
        None, min_length=1, max_length=64, description="on weights of two or more axes"
    )
    label_smoothing: list[Annotated[float, Field(ge=0, lt=1)]] | None = Field(
        None, min_length=1, max_length=64, description="share of a label that goes to all classes"
    )
    weight_sigma: list[Annotated[float, Field(ge=0, le=1)]] | None = Field(
        None, min_length=1, max_length=64, description="noise of the weights while training; 0 trains plainly"
    )
    augmentation: list[Augmentation] | None = Field(
        None, min_length=1, max_length=16, description="what becomes of training images"
    )

    def choices(self) -> dict[str, Sequence[Any]]:
        """Those that are given.

        Raises
        ------
        SpecError : none, or a value twice.
        """
        given: dict[str, Sequence[Any]] = self.model_dump(exclude_none=True)
        if not given:
            raise SpecError("recipe_choices", "nothing", f"choices of {', '.join(type(self).model_fields)}")
        for name, values in given.items():
            if len(set(values)) < len(values):
                raise SpecError(f"recipe_choices.{name}", values, "a list without repeats")
        return given


class RecipeGenes:
    """What the last decisions of a genotype say of a recipe."""

    def __init__(self, genes: Sequence[Gene]) -> None:
        self.genes = tuple(genes)

    def values(self, genotype: Sequence[int]) -> Mapping[str, Any]:
        """Fields of `codesign.estimate.recipe.Recipe`.

        >>> RecipeGenes([Gene("epochs", (4, 8)), Gene("learning_rate", (0.01,))]).values((2, 1, 0))
        {'epochs': 8, 'learning_rate': 0.01}
        """
        positions = genotype[len(genotype) - len(self.genes) :]
        return {gene.name: gene.choices[int(i)] for gene, i in zip(self.genes, positions, strict=True)}

    def applied(self, recipe: Recipe, genotype: Sequence[int]) -> Recipe:
        """A recipe with the choices of a genotype; noise joins what the recipe says of it, and none leaves it out."""
        values = dict(self.values(genotype))
        if "weight_sigma" in values:
            sigma = values.pop("weight_sigma")
            noisy = (recipe.noise or NoiseRecipe()).model_copy(update={"weight_sigma": sigma})
            values["noise"] = noisy if sigma else None
        return recipe.model_copy(update=values)


class RecipeChoicesSpace(WrappedSpace):
    """The networks of another space, each with choices of how it is trained.

    Parameters
    ----------
    inner : the space of the networks. choices : values by field of the recipe.

    Raises
    ------
    SpecError : a decision of the space that has the name of one of these.
    """

    def __init__(self, inner: ArchitectureSpace, choices: Mapping[str, Sequence[Any]]) -> None:
        taken = {gene.name for gene in inner.genes} & set(choices)
        if taken:
            raise SpecError("recipe_choices", min(taken), "a name that no decision of the space has")
        genes = [Gene(name, tuple(values)) for name, values in choices.items()]
        self.recipe = RecipeGenes(genes)
        super().__init__(inner, genes)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.recipe.values(genotype.tolist()).items())
        return f"{self.inner.describe(genotype[: self.inner.n_genes])}, {told}"

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        return self.inner.workload(genotype[: self.inner.n_genes])

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        table, network = self.inner.lower(self.networks(genotypes), semantics)
        names = tuple(map(str, range(len(genotypes))))
        return LayerTable(table.layers, repeated(table, network)[1], names, carried(table, network))
