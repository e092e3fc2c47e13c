"""What a fidelity below 1 scales: epochs, data, resolution or width, each an axis, alone or together.

Fidelity is the share of a full training's cost. With n axes each takes its n-th root, s = f^(1/n), and scales what
costs in proportion to it:

    epochs      s of the epochs
    data        s of the training images, the same ones for every network
    resolution  height and width by sqrt(s), images averaged over the area of a pixel
    width       channels of convolutions and features of linear layers by sqrt(s), at least one, those of the output
                excepted: the cost of a layer grows with the product of its inputs and outputs

A network of lower resolution or width is trained and evaluated as such, on validation images of its resolution, under
the same arithmetic. Rank correlations of each axis at equal cost stand in `benchmarks/results/fidelity.md`::

    estimator: {name: training, fidelity: [epochs, data]}
    slow: {fidelity: 0.25}

The draws of the hardware's variation follow the epochs. At fidelity 1 nothing changes, keys included.

Not modelled: what of a network's cost does not grow with these, as its overheads; augmentation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod, sqrt
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from codesign.data.base import Dataset, Part
from codesign.estimate.base import CarriedWeights, Estimate, Request
from codesign.estimate.ensemble import Outputs
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Axis, Recipe
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Conv2d, Linear, Operator, Reshape, Shape

__all__ = ["ScaledFidelity", "narrowed", "reduced_data"]

_TRIED = 0.25
_SUBSET_SEED = 20261130  # of the images that stay; frozen: changing it changes every such accuracy


class ScaledFidelity:
    """A trainer whose fidelity scales other axes than the epochs alone.

    Parameters
    ----------
    axes : what it scales, each once. draws : of the hardware's variation at fidelity 1.
    """

    def __init__(
        self, dataset: Dataset, recipe: Recipe, weights: CarriedWeights, *, axes: Sequence[Axis], draws: int = 3
    ) -> None:
        if not axes or len(set(axes)) < len(axes):
            raise SpecError("estimator.fidelity", list(axes), "a list of axes, each once")
        if "resolution" in axes and (dataset.train.images.ndim, dataset.train.labels.ndim) != (4, 1):
            raise SpecError("estimator.fidelity", "resolution", f"an axis of {dataset.name}: it scales labelled images")
        self.dataset, self.recipe, self.weights = dataset, recipe, weights
        self.axes, self.draws = tuple(axes), draws
        self._levels: dict[float, TrainingEstimator] = {}

    @property
    def metrics(self) -> Mapping[str, Literal["less", "more", "neither"]]:
        return self._level(1.0).metrics

    def epochs_at(self, fidelity: float) -> int:
        """Epochs that a fidelity buys."""
        return self.recipe.epochs_at(self._share(fidelity) if "epochs" in self.axes else 1.0)

    def training_key(self, request: Request) -> str:
        return self._level(request.fidelity).training_key(self._scaled(request))

    def key(self, request: Request) -> str:
        """The key of the reduced training's estimate, with the fidelity that it is told under."""
        inner = self._level(request.fidelity).key(self._scaled(request))
        if request.fidelity == 1:
            return inner
        return hashlib.sha256(json.dumps([inner, self.axes, request.fidelity]).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            ((_, estimate),) = self._level(request.fidelity).estimate([self._scaled(request)])
            yield position, replace(estimate, fidelity=request.fidelity)

    def outputs(self, request: Request) -> Outputs:
        """As of the estimator of the level, on the images of its resolution."""
        return self._level(request.fidelity).outputs(self._scaled(request))

    def check(self, workload: Workload) -> None:
        """Whether a network can be reduced, tried at a quarter of the cost.

        Raises
        ------
        SpecError : it cannot.
        """
        from codesign.estimate.train import check_fit

        request = Request((), workload, FLOAT, _TRIED, 0)
        check_fit(self._scaled(request).workload, self._level(_TRIED).dataset)

    def _share(self, fidelity: float) -> float:
        """What each axis is scaled by."""
        if not 0 < fidelity <= 1:
            raise SpecError("fidelity", fidelity, "in (0, 1]")
        return float(fidelity ** (1 / len(self.axes)))

    def _level(self, fidelity: float) -> TrainingEstimator:
        """The estimator of a fidelity, with its data; epochs are those of the recipe, already scaled."""
        if fidelity not in self._levels:
            share = self._share(fidelity)
            data = reduced_data(self.dataset, share, self.axes) if fidelity < 1 else self.dataset
            self._levels[fidelity] = TrainingEstimator(data, self.recipe, self.weights, draws=self.draws)
        return self._levels[fidelity]

    def _scaled(self, request: Request) -> Request:
        """The request as the estimator of its level is asked: its network, and what its epochs and draws are."""
        if request.fidelity == 1:
            return request
        share, workload = self._share(request.fidelity), request.workload
        channels = sqrt(share) if "width" in self.axes else 1.0
        workload = narrowed(workload, self._level(request.fidelity).dataset.train.images.shape[1:], channels)
        return request._replace(workload=workload, fidelity=share if "epochs" in self.axes else 1.0)

    def __getstate__(self) -> dict[str, Any]:
        """Settings and data alone."""
        return {name: getattr(self, name) for name in ("dataset", "recipe", "weights", "axes", "draws")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def reduced_data(dataset: Dataset, share: float, axes: Sequence[Axis]) -> Dataset:
    """A data set at a share of the cost of its images: fewer to train on, or all of them of fewer pixels.

    Splits stay what they are, and the images that stay are the same for every network.
    """
    train, validation, test = dataset.train, dataset.validation, dataset.test
    if "data" in axes:
        count = max(1, round(share * len(train.labels)))
        stay = np.sort(np.random.default_rng(_SUBSET_SEED).permutation(len(train.labels))[:count])
        train = Part(train.images[stay], train.labels[stay])
    if "resolution" in axes:
        height, width = train.images.shape[2:]
        size = (max(1, round(height * sqrt(share))), max(1, round(width * sqrt(share))))
        train, validation, test = (_of_size(part, size) for part in (train, validation, test))
    return replace(dataset, train=train, validation=validation, test=test)


def _of_size(part: Part, size: tuple[int, int]) -> Part:
    images = F.adaptive_avg_pool2d(torch.from_numpy(part.images), size)
    return Part(images.numpy(), part.labels)


@lru_cache(maxsize=256)
def narrowed(workload: Workload, image: Shape, scale: float) -> Workload:
    """A network for images of another size, its channels times `scale`; only its output keeps its width.

    Equal numbers of channels stay equal, and a depthwise convolution stays one.

    Raises
    ------
    SpecError : a network that says its sizes itself, as one that reshapes an image.
    """
    kept, made = _last_layers(workload), dict[str, Node]()
    for node in workload:
        sources = tuple(made[name].shape for name in node.inputs)
        old = tuple(workload[name].shape for name in node.inputs)
        operator = node.operator
        if isinstance(operator, Input):
            operator = Input((node.shape[0], *image))
        elif isinstance(operator, Reshape) and operator.shape == (old[0][0], prod(old[0][1:])):
            operator = Reshape((sources[0][0], prod(sources[0][1:])))
        elif node.name not in kept:
            operator = _narrow(operator, old, sources, scale)
        try:
            shape = operator.infer(*sources)
        except (ValueError, IndexError, ArithmeticError) as error:
            where = f"{workload.name}: {node.name}"
            raise SpecError(where, str(error), "a layer that a fidelity of resolution or width can reduce") from None
        if node.name in workload.outputs and shape != node.shape:
            raise SpecError(f"{workload.name}: {node.name}", shape, f"as without reduction, {node.shape}")
        made[node.name] = replace(node, operator=operator, shape=shape)
    return Workload.of(workload.name, made.values(), workload.outputs)


def _narrow(operator: Operator, old: Sequence[Shape], new: Sequence[Shape], scale: float) -> Operator:
    if isinstance(operator, Linear):
        return replace(operator, out_features=_times(operator.out_features, scale))
    if not isinstance(operator, Conv2d):
        return operator
    if operator.groups == old[0][1] > 1:  # depthwise: as many filters a channel as before
        return replace(operator, groups=new[0][1], out_channels=operator.out_channels // operator.groups * new[0][1])
    return replace(operator, out_channels=_times(operator.out_channels // operator.groups, scale) * operator.groups)


def _times(count: int, scale: float) -> int:
    return max(1, round(count * scale))


def _last_layers(workload: Workload) -> set[str]:
    """The convolutions and linear layers whose width is that of the output."""
    found: set[str] = set()
    open_names, seen = list(workload.outputs), set[str]()
    while open_names:
        name = open_names.pop()
        if name in seen:
            continue
        seen.add(name)
        if isinstance(workload[name].operator, Linear | Conv2d):
            found.add(name)
        else:
            open_names += workload[name].inputs
    return found
