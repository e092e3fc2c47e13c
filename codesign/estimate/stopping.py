"""Trainings that end once they will hardly reach a stated error, with what was predicted in the metrics.

After each tenth of its epochs a training is asked how good it will be: the posterior of `codesign.estimate.
learning_curve` for the validation error of the float network after the last epoch. Where the chance to fall below
`error` is less than `chance`, it ends::

    estimator: {name: training, recipe: {epochs: 40, stopping: {error: 0.25, chance: 0.05}}}

The network that is left has been trained for fewer epochs, and its estimate is what it is worth as it stands. Metrics
say after how many epochs it ended and which error was predicted for the last one, with the ends of its 90 % interval;
a training that ran to the end has its own last error there. Nothing depends on a clock or on other trainings.

Not modelled: tasks that are no classification, whose errors the posterior has never seen (refused); curves unlike those
that taught it, as under another schedule or on much easier data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import torch

from codesign.estimate.base import Estimate, Estimator, Request, Weights
from codesign.estimate.ensemble import Outputs, accuracy_of
from codesign.estimate.learning_curve import TENTHS, shipped_prior
from codesign.estimate.recipe import Stopping
from codesign.task import Better

if TYPE_CHECKING:
    from codesign.data import Dataset
    from codesign.network.module import Network

__all__ = ["CURVE", "EarlyStopping", "Followed", "hopeless", "told_by"]

F64 = npt.NDArray[np.float64]

CURVE = "learning_curve"
"""Where the weights of a training that was followed hold its errors."""

_BATCH = 512  # images evaluated at once
_INTERVAL = (0.05, 0.95)


class Followed:
    """A training that is watched; `errors` are those after each epoch so far.

    Parameters
    ----------
    epochs : of the whole training.
    """

    def __init__(self, stopping: Stopping, dataset: Dataset, epochs: int) -> None:
        self.stopping, self.epochs, self.errors = stopping, epochs, list[float]()
        self._images, self._labels = torch.from_numpy(dataset.validation.images), dataset.validation.labels

    def __call__(self, epochs: int, network: Network) -> bool:
        """Whether the training ends here."""
        scores = torch.cat([network(batch) for batch in torch.split(self._images, _BATCH)])
        self.errors.append(1.0 - accuracy_of(scores.numpy()[None], self._labels))
        return hopeless(self.errors, self.epochs, self.stopping)


def hopeless(errors: Sequence[float], epochs: int, stopping: Stopping) -> bool:
    """Whether a training of `epochs` ends after these errors: a tenth is just over, and the chance to reach is small.

    It never ends before the first tenth is over; after the last epoch it has ended already.
    """
    done = len(errors)
    if done >= epochs or done * TENTHS // epochs == (done - 1) * TENTHS // epochs:
        return False
    return shipped_prior().posterior(errors, epochs).chance_below(stopping.error) < stopping.chance


def told_by(errors: F64, epochs: int) -> dict[str, float]:
    """The metrics of a curve: epochs, the error that was predicted for the last one and its 90 % interval."""
    if len(errors) >= epochs:
        low = middle = high = float(errors[-1])
    else:
        posterior = shipped_prior().posterior(errors, epochs)
        low, middle, high = (posterior.quantile(share) for share in (_INTERVAL[0], 0.5, _INTERVAL[1]))
    named = {"predicted_error": middle, "predicted_error_low": low, "predicted_error_high": high}
    return {"epochs": float(len(errors)), **named}


class _Trains(Estimator, Protocol):
    """An estimator that trains."""

    @property
    def weights(self) -> Weights: ...

    def training_key(self, request: Request) -> str: ...

    def outputs(self, request: Request) -> Outputs: ...


class EarlyStopping:
    """A trainer whose estimates say what was predicted when their training ended.

    Parameters
    ----------
    inner : trains by a recipe with `stopping`, and keeps the curves with the weights.
    epochs_at : fidelity -> epochs of a training that runs to its end.
    """

    def __init__(self, inner: _Trains, epochs_at: Callable[[float], int]) -> None:
        self.inner, self.epochs_at, self.weights = inner, epochs_at, inner.weights

    @property
    def metrics(self) -> Mapping[str, Better]:
        told: dict[str, Better] = dict.fromkeys(told_by(np.ones(1), 1), "neither")
        return {**self.inner.metrics, **told}

    def training_key(self, request: Request) -> str:
        return self.inner.training_key(request)

    def key(self, request: Request) -> str:
        content = ["early stopping", self.inner.key(request), self.epochs_at(request.fidelity)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def outputs(self, request: Request) -> Outputs:
        """Of the network as it stood when its training ended."""
        return self.inner.outputs(request)

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        from codesign.estimate.train import unpack

        for position, estimate in self.inner.estimate(requests):
            request = requests[position]
            payload = self.weights.get(self.training_key(request))
            assert payload is not None  # it was just used
            told = told_by(unpack(payload)[CURVE], self.epochs_at(request.fidelity))
            yield position, replace(estimate, metrics={**estimate.metrics, **told})
