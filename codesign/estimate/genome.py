"""Networks that bring their weights in the genotype: evaluated on the data, never trained.

The weights of the space `neurons` become those of the workload's torch twin, whose error is measured as that of a
trained network (`codesign.estimate.estimator`): in float, or under the bits, formats and crossbars of each design after
a calibration on training items. What guides the search is the error on the validation split; where weights are found
on it, the test split alone tells how they do on items that the search has not seen.

Not modelled: learning within a lifetime, errors on the training split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from codesign.estimate.base import CarriedWeights, Effort, Estimate, Request
from codesign.estimate.recipe import Recipe
from codesign.registry import Plugin, Settings
from codesign.space.neurons import NeuronSpace
from codesign.strategy.base import Problem
from codesign.task import Better
from hwmodels.errors import SpecError
from hwmodels.workload.ops import Linear

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "GenomeEstimator", "GenomeSettings"]


class GenomeEstimator:
    """A `codesign.estimate.base.Estimator` of networks of neurons.

    Parameters
    ----------
    space : whose genotypes hold the weights. draws, calibration : as of the estimator that trains.
    """

    effort: Effort = "evaluation"

    def __init__(self, dataset: Dataset, space: NeuronSpace, *, draws: int = 3, calibration: int = 128) -> None:
        from codesign.estimate.estimator import TrainingEstimator

        self.dataset, self.space = dataset, space
        self._carried = CarriedWeights()
        self._evaluation = TrainingEstimator(dataset, Recipe(), self._carried, draws=draws, calibration=calibration)

    @property
    def metrics(self) -> Mapping[str, Better]:
        return self._evaluation.metrics

    def key(self, request: Request) -> str:
        """Content key: the weights and what `TrainingEstimator` says of the rest."""
        digest = hashlib.sha256(self._evaluation.key(request).encode())
        for weight, bias in self.space.matrices(np.array(request.genotype, np.int64)):
            digest.update(weight.tobytes() + bias.tobytes())
        return digest.hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        from codesign.estimate.train import pack

        for position, request in enumerate(requests):
            self._carried.bring(self._evaluation.training_key(request), pack(self.state_of(request)))
            ((_, found),) = self._evaluation.estimate([request])
            yield position, replace(found, key=self.key(request), trained=False)

    def state_of(self, request: Request) -> dict[str, Any]:
        """The state of the workload's torch twin: the matrices of the genotype, layer by layer."""
        matrices = iter(self.space.matrices(np.array(request.genotype, np.int64)))
        state: dict[str, Any] = {}
        for position, node in enumerate(request.workload):
            if isinstance(node.operator, Linear):
                weight, bias = next(matrices)
                state[f"layers.{position}.weight"] = weight.astype(np.float32)
                state[f"layers.{position}.bias"] = bias.astype(np.float32)
        return state

    def __getstate__(self) -> dict[str, Any]:
        """Settings and data alone."""
        evaluation = self._evaluation
        return {
            "dataset": self.dataset, "space": self.space, "draws": evaluation.draws,
            "calibration": evaluation.calibration,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class GenomeSettings(Settings):
    """Weights from the genotype, evaluated under each hardware's numerics."""

    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")


def _make(settings: GenomeSettings, problem: Problem) -> GenomeEstimator:
    """The estimator of networks of neurons.

    Raises
    ------
    SpecError : another space, or a search without data.
    """
    space = problem.joint.architecture
    if not isinstance(space, NeuronSpace):
        raise SpecError("estimator", "genome", "for networks with weights of their own: architecture: {space: neurons}")
    if problem.data is None:
        raise SpecError("estimator", "genome", "there for a search without data")
    return GenomeEstimator(problem.data, space, draws=settings.draws)


PLUGIN = Plugin(GenomeSettings, _make, "weights from the genotype, evaluated under each hardware's numerics")
