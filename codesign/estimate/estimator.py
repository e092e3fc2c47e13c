"""The estimator that trains: one float training a network, evaluated under any number of hardware numerics."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from codesign.data import Dataset
from codesign.estimate.base import Estimate, Request, Weights
from codesign.estimate.crossbar_network import (
    approximate_products,
    inputs_of,
    program_network,
    read_products,
    reading_errors,
)
from codesign.estimate.divergence import Diverged, require_finite
from codesign.estimate.ensemble import Outputs
from codesign.estimate.quantise import FLOAT_BITS, effective_bits, effective_formats, is_float32, quantise
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import State, deterministic, pack, restore, train, training_key, unpack
from codesign.network.module import Network
from codesign.space.recipe_choices import RecipeGenes
from codesign.task import Better, on_test
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics
from hwmodels.workload.graph import Workload

__all__ = ["TrainingEstimator"]

_BATCH = 512  # images evaluated at once

Predict = Callable[[Tensor], Tensor]


class _Scored(NamedTuple):
    """Metrics of one draw on validation and test, and whether some of it is a guess."""

    validation: dict[str, float]
    test: dict[str, float]
    diverged: bool


class TrainingEstimator:
    """Train once a (structure, recipe, fidelity, seed), then evaluate under the numerics asked for.

    Parameters
    ----------
    dataset : trains on `train`, estimates on `validation`, reports `test`.
    recipe : how networks are trained.
    weights : where trainings are kept; shared between estimators and processes as the store allows.
    draws : programmings of a varying crossbar at fidelity 1; fewer at lower fidelity, in proportion.
    calibration : training images, the first ones of the split, that set quantiser and ADC ranges.
    reading : how a crossbar is read: "exact" simulates every slice, "statistical" draws the error of the ADCs from
        its moments (`codesign.estimate.shortcut`), for levels that look at many designs.
    genes : what the last decisions of a request's genotype change in the recipe; nothing by default.

    Notes
    -----
    Fidelity scales epochs and draws. What is random about draw d in the i-th matrix comes from a generator seeded
    with (seed, i, d). The error is that of the mean over draws of the task's first metric.
    """

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        weights: Weights,
        *,
        draws: int = 10,
        calibration: int = 128,
        reading: Literal["exact", "statistical"] = "exact",
        genes: RecipeGenes | None = None,
    ) -> None:
        for name, value in (("draws", draws), ("calibration", calibration)):
            if value < 1:
                raise SpecError(f"estimator: {name}", value, ">= 1")
        self.dataset, self.recipe, self.weights, self.draws = dataset, recipe, weights, draws
        self.calibration, self.reading, self.genes = calibration, reading, genes
        self._calibration = torch.from_numpy(dataset.train.images[:calibration])

    @property
    def metrics(self) -> Mapping[str, Better]:
        """Those of the task on the validation split, and the first of them on the test split."""
        first = next(iter(self.dataset.task.metrics))
        return {**self.dataset.task.metrics, on_test(first): "neither"}

    def training_key(self, request: Request) -> str:
        """Content key of the training that serves a request."""
        return training_key(request.workload, self.dataset, self._recipe(request), request.fidelity, request.seed)

    def _recipe(self, request: Request) -> Recipe:
        """How the network of a request is trained."""
        return self.recipe if self.genes is None else self.genes.applied(self.recipe, request.genotype)

    def key(self, request: Request) -> str:
        """Content key of an estimate: the training's, bits and formats of every layer, the rest of the numerics."""
        _, workload, numerics, fidelity, *_ = request
        bits = [effective_bits(node, numerics) for node in workload]
        formats = [effective_formats(node, numerics) for node in workload]
        stated = [
            [given.name for given in pair] if any(given.is_float and not is_float32(given) for given in pair) else 0
            for pair in formats
        ]
        draws = self._draws(numerics, fidelity)
        reading = [getattr(numerics, name) for name in Numerics._fields[2:] if not name.endswith("exponent_bits")]
        content = [self.training_key(request), bits, reading, draws, self.calibration, self.reading]
        if any(stated):  # integers and float32 have the keys that they had before there were other formats
            content.append(stated)
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """Estimates in the order asked; equal requests get equal ones, whatever the store holds."""
        for position, request in enumerate(requests):
            yield position, self._estimate(request)

    def __call__(self, workload: Workload, numerics: Numerics, fidelity: float = 1.0, seed: int = 0) -> Estimate:
        """The estimate of one network at hand, at a fidelity in (0, 1]."""
        return self._estimate(Request((), workload, numerics, fidelity, seed))

    def outputs(self, request: Request) -> Outputs:
        """Scores of a trained network on validation and test under the numerics of a request, draw by draw.

        Raises
        ------
        SpecError : the store does not hold its weights. Diverged : there is no such network, its weights are none.
        """
        payload = self.weights.get(self.training_key(request))
        if payload is None:
            raise SpecError(f"{request.workload.name}: weights", "nothing", "in the store")
        validation, test = self.dataset.validation, self.dataset.test
        images = torch.from_numpy(np.concatenate([validation.images, test.images]))
        with deterministic(), torch.no_grad():
            network = restore(request.workload, unpack(payload))
            require_finite(network.state_dict().values())
            draws = self._draws(request.numerics, request.fidelity)
            predictors = self._predictors(network, request.numerics, draws, request.seed)
            scores = [torch.cat([predict(batch) for batch in torch.split(images, _BATCH)]) for predict in predictors]
        told = np.stack([one.numpy() for one in scores]).astype(np.float64)
        return Outputs(told[:, : len(validation.labels)], told[:, len(validation.labels) :])

    def _estimate(self, request: Request) -> Estimate:
        start = time.perf_counter()
        _, workload, numerics, fidelity, seed, *_ = request
        key = self.training_key(request)
        payload = self.weights.get(key)
        trained = payload is None
        if payload is None:
            payload = pack(self._train(request))
            self.weights.put(key, payload, time.perf_counter() - start)
        with deterministic(), torch.no_grad():
            network = restore(workload, unpack(payload))
            scored = self._scores(network, numerics, self._draws(numerics, fidelity), seed)
        task, (first, *_) = self.dataset.task, self.dataset.task.metrics
        metrics = {name: float(np.mean([draw.validation[name] for draw in scored])) for name in task.metrics}
        metrics[on_test(first)] = float(np.mean([draw.test[first] for draw in scored]))
        draws = tuple(draw.validation[first] for draw in scored)
        return Estimate(
            1.0 - task.goodness(metrics[first]),
            float(np.std([task.goodness(value) for value in draws], ddof=1)) if len(draws) > 1 else 0.0,
            metrics,
            fidelity,
            key,
            draws,
            trained=trained,
            seconds=time.perf_counter() - start,
            diverged=any(draw.diverged for draw in scored),
            images=len(self.dataset.validation.labels),
        )

    def _train(self, request: Request) -> State:
        """The weights of the training that serves a request."""
        return train(request.workload, self.dataset, self._recipe(request), request.seed, fidelity=request.fidelity)

    def _scores(self, network: Network, numerics: Numerics, draws: int, seed: int) -> list[_Scored]:
        """Each draw's metrics; those of a guess where weights or ranges are not finite."""
        try:
            require_finite(network.state_dict().values())
            predictors = self._predictors(network, numerics, draws, seed)
        except Diverged:
            return [self._score(self._nothing)] * draws
        return [self._score(predict) for predict in predictors]

    def _draws(self, numerics: Numerics, fidelity: float) -> int:
        return max(1, ceil(self.draws * fidelity)) if numerics.is_random else 1

    def _predictors(self, network: Network, numerics: Numerics, draws: int, seed: int) -> list[Predict]:
        """The network under the numerics, once a draw."""
        formats = [given for node in network.nodes for given in effective_formats(node, numerics)]
        if all(is_float32(given) for given in formats):
            if numerics.is_crossbar:
                raise SpecError(
                    f"{network.workload.name}: bits", FLOAT_BITS, "below 32: a crossbar multiplies integers"
                )
            return [network]
        quantised = quantise(network, numerics, self._calibration)
        if not numerics.is_crossbar:
            return [quantised]
        inputs = inputs_of(quantised, self._calibration)
        arrays = program_network(quantised, numerics, inputs)
        if self.reading == "exact":
            return [partial(quantised, products=read_products(arrays, seed, draw)) for draw in range(draws)]
        errors = reading_errors(arrays, inputs)
        return [partial(quantised, products=approximate_products(arrays, errors, seed, draw)) for draw in range(draws)]

    def _nothing(self, items: Tensor) -> Tensor:
        """Answers of a network that has none."""
        return torch.full((len(items), *self.dataset.output_shape), float("nan"))

    def _score(self, predict: Predict) -> _Scored:
        """Metrics on validation and on test, whose items are evaluated one behind the other."""
        task, validation, test = self.dataset.task, self.dataset.validation, self.dataset.test
        items = torch.from_numpy(np.concatenate([validation.images, test.images]))
        targets = np.concatenate([validation.labels, test.labels])
        sums, finite = [np.zeros(()), np.zeros(())], True
        for start in range(0, len(items), _BATCH):
            outputs = predict(items[start : start + _BATCH]).numpy()
            finite = finite and bool(np.isfinite(outputs).all())
            edge = min(max(len(validation.labels) - start, 0), len(outputs))
            for part, (low, high) in enumerate(((0, edge), (edge, len(outputs)))):
                if low < high:
                    told = task.tally(outputs[low:high], targets[start + low : start + high])
                    sums[part] = sums[part] + told
        return _Scored(task.values(sums[0]), task.values(sums[1]), diverged=not finite)
