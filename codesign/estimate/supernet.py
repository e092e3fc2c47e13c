"""One-shot estimates: all networks of a space share weights that are trained together once, and each is evaluated so.

An estimate then costs an evaluation. It ranks networks and says little of the accuracy that each reaches by itself:
the found ones are to be trained alone. How well it ranks: ``benchmarks/results/supernet.md``.

The shared weights are one training of the run, kept in its store, whichever network is asked for first
(`codesign.estimate.shared_weights`). Torch is loaded when the estimator is made, after a run chose where.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from codesign.estimate.base import CarriedWeights, Effort, Estimate, Request
from codesign.estimate.recipe import Recipe
from codesign.estimate.training import check_networks
from codesign.registry import Plugin, Settings
from codesign.space.sharing import SharesLayers, Shrinks
from codesign.strategy.base import Problem
from codesign.task import Better
from hwmodels.errors import SpecError

if TYPE_CHECKING:
    from codesign.data import Dataset
    from codesign.space.architecture import ArchitectureSpace

__all__ = ["PLUGIN", "SupernetEstimator", "SupernetSettings"]

_VERSION = 1
_SHRINKING = 2  # of shared weights with matrices between kernels
_RECIPE = Recipe(epochs=100, learning_rate=2e-3)
"""Chosen on 200 cells of `digits-cells` that the table in `benchmarks/results` does not report."""
_CALIBRATION = 512  # training images on which a network measures the statistics of its normalisations


class SupernetSettings(Settings):
    """All networks share weights that are trained once."""

    sampling: Literal["uniform", "fair", "shrinking"] = Field(
        "uniform", description="networks of a step: one; one for each choice; from the largest to all"
    )
    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")
    recipe: Recipe = Field(_RECIPE, description="how the shared weights are trained")


class SupernetEstimator:
    """A `codesign.estimate.base.Trainer` whose one training, for each fidelity and seed, serves every network.

    Parameters
    ----------
    space : whose networks share layers (`codesign.space.sharing`). draws : of the hardware's variation.
    """

    effort: Effort = "evaluation"
    trained_first = 1

    def __init__(
        self, space: ArchitectureSpace, dataset: Dataset, settings: SupernetSettings, weights: CarriedWeights
    ) -> None:
        from codesign.estimate.estimator import TrainingEstimator

        self.space, self.dataset, self.settings, self.weights = space, dataset, settings, weights
        self._own = CarriedWeights()
        self._evaluation = TrainingEstimator(dataset, settings.recipe, self._own, draws=settings.draws)
        self._shared: tuple[str, Mapping[str, Any]] = ("", {})

    @property
    def metrics(self) -> Mapping[str, Better]:
        return self._evaluation.metrics

    def training_key(self, request: Request) -> str:
        """Content key of the shared weights: of the space, its data and the settings, and not of a network."""
        recipe = self.settings.recipe
        version = _SHRINKING if self.settings.sampling == "shrinking" else _VERSION
        content = [
            "supernet", version, self.space.fingerprint, self.dataset.fingerprint, self.settings.sampling,
            recipe.content(), recipe.epochs_at(request.fidelity), request.seed,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def key(self, request: Request) -> str:
        content = [self.training_key(request), self._evaluation.key(request)]
        return hashlib.sha256("".join(content).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            trained = self._bring(request)
            self._own.bring(self._evaluation.training_key(request), self._own_state(request))
            (_, found), *_ = self._evaluation.estimate([request])
            yield position, replace(found, key=self.key(request), trained=trained)

    def _own_state(self, request: Request) -> bytes:
        """The packed weights of one network, as it is evaluated; the shared ones are at hand."""
        import torch

        from codesign.estimate.shared_weights import state_of
        from codesign.estimate.train import pack

        places = self.space.places(np.array(request.genotype, np.int64))  # type: ignore[attr-defined]
        images = torch.from_numpy(self.dataset.train.images[:_CALIBRATION])
        batch = min(self.settings.recipe.batch_size, len(images))
        return pack(state_of(request.workload, places, self._shared[1], images, batch))

    def _bring(self, request: Request) -> bool:
        """Have the shared weights of a request at hand; whether they were trained for it."""
        from codesign.estimate.shared_weights import train_shared
        from codesign.estimate.train import pack, unpack

        key = self.training_key(request)
        if self._shared[0] == key:
            return False
        payload, start = self.weights.get(key), time.perf_counter()
        is_new = payload is None
        if payload is None:
            state = train_shared(
                self.space, self.dataset, self.settings.recipe, sampling=self.settings.sampling, seed=request.seed,
                fidelity=request.fidelity,
            )  # fmt: skip
            payload = pack(state)
            self.weights.put(key, payload, time.perf_counter() - start)
        self._shared = key, unpack(payload)
        return is_new

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of: a worker is brought the weights."""
        return {"space": self.space, "dataset": self.dataset, "settings": self.settings, "weights": self.weights}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _make(settings: SupernetSettings, problem: Problem) -> SupernetEstimator:
    """The estimator of a run.

    Raises
    ------
    SpecError : a space whose networks share no layers, or none that shrinks where that is asked for.
    """
    space = problem.joint.architecture
    if problem.data is None:
        raise SpecError("estimator", "supernet", "there for a search without images")
    if not isinstance(space, SharesLayers):
        raise SpecError(
            "estimator: supernet", type(space).__name__, "for networks that share layers: cell, chain, mobile"
        )
    if settings.sampling == "shrinking":
        if not isinstance(space, Shrinks):
            raise SpecError("estimator: sampling", "shrinking", "for a space with a largest network: chain, mobile")
        if settings.recipe.epochs < (least := len(space.phases())):
            raise SpecError("estimator: recipe.epochs", settings.recipe.epochs, f">= {least}, the phases of shrinking")
    if settings.recipe.noise is not None or settings.recipe.stopping is not None:
        raise SpecError(
            "estimator: recipe", "noise or stopping", "without: shared weights are trained to the end, in float"
        )
    check_networks(problem)
    return SupernetEstimator(space, problem.data, settings, CarriedWeights())


PLUGIN = Plugin(SupernetSettings, _make, "one training for all networks, which share weights: uniform, fair, shrinking")
