"""The estimator that trains children from their parents' weights: Lamarckian evolution.

A request names the ancestors of its network. Its training starts from what the parent has learnt
(`codesign.network.morphism`): exactly the parent's function where the child is a morphism of it, else what can be
carried over [Real et al., ICML 2017; Elsken et al., ICLR 2019], and takes a share of the epochs of a full training,
with warm-up and decay of its own. A network without ancestors is trained as `TrainingEstimator` does, under the same
key.

The key of an inheriting training holds the key of its parent's, and with it all trainings before: equal requests have
equal answers whoever answers. Who lacks the parent's weights trains the ancestors again. A child that differs from its
parent in nothing that a training depends on, as in bits, has the parent's training.

Not modelled: the state of the parent's optimiser; weights of two parents.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from codesign.data import Dataset
from codesign.estimate.base import Ancestor, Request, Weights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.estimate.train import Start, State, deterministic, restore, train, training_key, unpack
from codesign.network.morphism.align import paired
from codesign.network.morphism.follow import Followed, Statistics, follow
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload

__all__ = ["InheritingEstimator", "carried_over", "statistics_of"]

_NOISE = 0.5
"""ASSUMED, plausible 0.01 to 0.9: how far the shares of a repeated channel are apart, so that copies learn apart."""

_MEASURED = 128
"""ASSUMED, plausible 32 to 1024: training images, the first ones, that statistics of new batch norms are measured on;
as many as calibrate quantisers."""

_RULES = 1
"""Raised where the same parent would hand on other weights: it is part of the key."""


class _Step(NamedTuple):
    """One training of a lineage: its network, its key, and the key that it would have from new weights."""

    network: Ancestor
    key: str
    key_anew: str


class InheritingEstimator(TrainingEstimator):
    """A `TrainingEstimator` whose trainings start from the weights of the parent, where a request has ancestors.

    Parameters
    ----------
    epochs_inherited : share of the recipe's epochs that an inheriting training takes, in (0, 1].
    """

    def __init__(
        self, dataset: Dataset, recipe: Recipe, weights: Weights, *, epochs_inherited: float, draws: int = 10
    ) -> None:
        super().__init__(dataset, recipe, weights, draws=draws)
        if not 0 < epochs_inherited <= 1:
            raise SpecError("estimator: epochs_inherited", epochs_inherited, "in (0, 1]")
        self.epochs_inherited = epochs_inherited
        self._shorter = recipe.model_copy(update={"epochs": max(1, round(epochs_inherited * recipe.epochs))})

    def training_key(self, request: Request) -> str:
        """Content key of the training that serves a request; that of its parent is part of it."""
        return self._steps(request)[-1].key

    def parent_key(self, request: Request) -> str | None:
        """Content key of the training that a request's starts from; None where it starts from new weights."""
        steps = self._steps(request)
        return steps[-2].key if len(steps) > 1 else None

    def _steps(self, request: Request) -> list[_Step]:
        """The trainings that lead to a request, the first one from new weights; each network once that they are of."""
        steps: list[_Step] = []
        for network in (*reversed(request.ancestors), Ancestor(request.workload, request.fidelity)):
            anew = self._key(network, self.recipe, request.seed)
            if not steps:
                steps.append(_Step(network, anew, anew))
            elif steps[-1].key_anew != anew:
                own = self._key(network, self._shorter, request.seed)
                content = {"parent": steps[-1].key, "rules": _RULES, "training": own}
                steps.append(_Step(network, hashlib.sha256(json.dumps(content).encode()).hexdigest(), anew))
        return steps

    def _key(self, network: Ancestor, recipe: Recipe, seed: int) -> str:
        return training_key(network.workload, self.dataset, recipe, network.fidelity, seed)

    def _train(self, request: Request) -> State:
        """The weights of a request's training; of its ancestors' those are made again that are not kept."""
        steps = self._steps(request)
        state, at = None, len(steps) - 1
        while at > 0 and state is None:
            at -= 1
            payload = self.weights.get(steps[at].key)
            state = None if payload is None else unpack(payload)
        if state is None:
            state = self._trained(steps[0], None, None, request.seed)
            at = 0
        for i in range(at + 1, len(steps)):
            state = self._trained(steps[i], steps[i - 1].network.workload, state, request.seed)
        return state

    def _trained(self, step: _Step, parent: Workload | None, state: State | None, seed: int) -> State:
        """One training, from new weights or from a parent's."""
        workload, fidelity = step.network
        if parent is None or state is None:
            return train(workload, self.dataset, self.recipe, seed, fidelity=fidelity)
        images, generator = self.dataset.train.images[:_MEASURED], np.random.default_rng(int(step.key[:15], 16))

        def weights(fresh: State) -> State:
            return carried_over(parent, state, workload, fresh, images=images, rng=generator).state

        start = Start(step.key, weights)
        return train(workload, self.dataset, self._shorter, seed, fidelity=fidelity, start=start)


def carried_over(
    parent: Workload,
    state: State,
    child: Workload,
    fresh: State,
    *,
    images: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> Followed:
    """What a child takes over of its parent's weights, as a training of it starts; exact where it is a morphism.

    Parameters
    ----------
    state : weights of the parent. fresh : new weights of the child. images : on which statistics are measured.
    """
    statistics = statistics_of(parent, state, images)
    pairs = paired(parent, child)
    return follow(parent, state, child, fresh, pairs, rng=rng, noise=_NOISE, statistics=statistics)


def statistics_of(workload: Workload, state: State, images: npt.NDArray[np.float32]) -> Statistics:
    """Mean and variance of the channels of all tensors of a trained network, over images."""
    with deterministic(), torch.no_grad():
        values = restore(workload, state).run([torch.from_numpy(images)])
        found = {}
        for name, value in values.items():
            axes = [0, 2, 3] if value.dim() == 4 else list(range(value.dim() - 1))
            if value.is_floating_point() and axes:
                mean, variance = value.mean(dim=axes), value.var(dim=axes, unbiased=False)
                found[name] = (mean.numpy(), variance.numpy())
    return found
