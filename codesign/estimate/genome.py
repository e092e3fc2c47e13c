"""Networks that bring their weights in the genotype: evaluated on the data, never trained.

The weights of the space `neurons` are taken as they are. Where nothing is narrower than float32 a network is computed
neuron by neuron in float64; else the weights become those of the workload's torch twin, which is quantised as a trained
network is (`codesign.estimate.quantise`), after a calibration on training items.

The error is the task's, or the mean distance between answers and targets, relative to the range of the targets (of
classes: between scores and ones at the class), 1 at most. The distance tells networks apart that are equally right, as
the fitness of Stanley and Miikkulainen [Evolutionary Computation 10(2), 2002] does. Either is that of the validation
split; since weights are found on it, the test split alone tells how they do on items that the search has not seen.

Not modelled: learning within a lifetime, errors on the training split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.estimate.base import CarriedWeights, Effort, Estimate, Request
from codesign.estimate.recipe import Recipe
from codesign.registry import Plugin, Settings
from codesign.space.neurons import NeuronSpace
from codesign.strategy.base import Problem
from codesign.task import Better, Classification, Regression, on_test
from hwmodels.errors import SpecError
from hwmodels.workload.ops import Linear

if TYPE_CHECKING:
    from codesign.data import Dataset
    from codesign.data.base import Part

__all__ = ["PLUGIN", "ErrorKind", "GenomeEstimator", "GenomeSettings"]

F64 = npt.NDArray[np.float64]
ErrorKind = Literal["task", "distance"]


class GenomeEstimator:
    """A `codesign.estimate.base.Estimator` of networks of neurons.

    Parameters
    ----------
    space : whose genotypes hold the weights. error : the task's, or the distance of answers from targets.
    draws, calibration : as of the estimator that trains.

    Raises
    ------
    SpecError : distances of a task other than classification and regression.
    """

    effort: Effort = "evaluation"

    def __init__(
        self, dataset: Dataset, space: NeuronSpace, *, error: ErrorKind = "task", draws: int = 3, calibration: int = 128
    ) -> None:
        from codesign.estimate.estimator import TrainingEstimator

        if error == "distance" and not isinstance(dataset.task, Classification | Regression):
            raise SpecError("estimator.error", error, "task: distances are those of classes and of numbers")
        self.dataset, self.space, self.error = dataset, space, error
        self._carried = CarriedWeights()
        self._evaluation = TrainingEstimator(dataset, Recipe(), self._carried, draws=draws, calibration=calibration)

    @property
    def metrics(self) -> Mapping[str, Better]:
        return self._evaluation.metrics

    def key(self, request: Request) -> str:
        """Content key: the weights, the kind of error, and what `TrainingEstimator` says of the rest."""
        digest = hashlib.sha256(f"{self.error} {self._evaluation.key(request)}".encode())
        for weight, bias in self.space.matrices(np.array(request.genotype, np.int64)):
            digest.update(weight.tobytes() + bias.tobytes())
        return digest.hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            yield position, self._estimate(request)

    def _estimate(self, request: Request) -> Estimate:
        task, validation, test = self.dataset.task, self.dataset.validation, self.dataset.test
        first = next(iter(task.metrics))
        told, held_out = self._answers(request)
        values = [task.values(task.tally(answers.astype(np.float32), validation.labels)) for answers in told]
        tested = [task.values(task.tally(answers.astype(np.float32), test.labels))[first] for answers in held_out]
        metrics = {name: float(np.mean([one[name] for one in values])) for name in task.metrics}
        metrics[on_test(first)] = float(np.mean(tested))
        if self.error == "distance":
            errors = [self._distance(answers, validation) for answers in told]
            error = float(np.mean(errors))
        else:
            errors = [1.0 - task.goodness(one[first]) for one in values]
            error = 1.0 - task.goodness(metrics[first])
        spread = float(np.std(errors, ddof=1)) if len(errors) > 1 else 0.0
        draws = tuple(one[first] for one in values)
        items = len(validation.labels)
        return Estimate(error, spread, metrics, request.fidelity, self.key(request), draws, images=items)

    def _answers(self, request: Request) -> tuple[F64, F64]:
        """Answers to validation and test, draw by draw, (D, B, outputs) each."""
        from codesign.estimate.quantise import effective_formats, is_float32
        from codesign.estimate.train import pack

        formats = [given for node in request.workload for given in effective_formats(node, request.numerics)]
        if all(is_float32(given) for given in formats) and not request.numerics.is_crossbar:
            point = np.array(request.genotype, np.int64)
            parts = (self.dataset.validation.images, self.dataset.test.images)
            validation, test = (
                self.space.answers(point, items.reshape(len(items), -1).astype(np.float64))[None] for items in parts
            )
            return validation, test
        self._carried.bring(self._evaluation.training_key(request), pack(self.state_of(request)))
        return self._evaluation.outputs(request)

    def _distance(self, answers: F64, part: Part) -> float:
        """Mean distance between answers (B, outputs) and targets, relative to the range of the targets."""
        if isinstance(self.dataset.task, Classification):
            targets, span = np.eye(self.dataset.classes)[part.labels], 1.0
        else:
            targets, span = part.labels[:, None].astype(np.float64), float(np.ptp(self.dataset.train.labels))
        return min(float(np.abs(answers - targets).mean()) / span, 1.0)

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
            "dataset": self.dataset, "space": self.space, "error": self.error, "draws": evaluation.draws,
            "calibration": evaluation.calibration,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


class GenomeSettings(Settings):
    """Weights from the genotype, evaluated under each hardware's numerics."""

    error: ErrorKind = Field("task", description="the task's, or the mean distance of answers from targets")
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
    return GenomeEstimator(problem.data, space, **settings.model_dump())


PLUGIN = Plugin(GenomeSettings, _make, "weights from the genotype, evaluated under each hardware's numerics")
