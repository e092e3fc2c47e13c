"""What a fidelity below 1 scales: epochs, data, resolution or width, each an axis, alone or together.

Fidelity is the share of a full training's cost. With n axes each takes its n-th root, s = f^(1/n), and scales what
costs in proportion to it:

    epochs      s of the epochs
    data        s of the training images, the same ones for every network
    resolution  height and width by sqrt(s), images averaged over the area of a pixel
    width       channels of convolutions and features of linear layers by sqrt(s), at least one, those of the output
                excepted: the cost of a layer grows with the product of its inputs and outputs

A network of lower resolution or width is trained and evaluated as such, on validation images of its resolution, under
the same arithmetic. Branches that halve an image in two ways may not meet again at every size: the resolution is the
nearest one that a network can take, of two equally near the lower one. Rank correlations of each axis stand in
`benchmarks/results/fidelity.md`::

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
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from codesign.data.base import Dataset, Part
from codesign.estimate.base import CarriedWeights, Estimate, Request
from codesign.estimate.ensemble import Outputs
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Axis, Recipe
from codesign.task import Better
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.graph import Input, Node, Workload
from hwmodels.workload.ops import Conv2d, Elementwise, Linear, Operator, Reshape, Shape

__all__ = ["ScaledFidelity", "fitting", "narrowed", "reduced_data"]

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
        self._levels: dict[tuple[float, Shape], TrainingEstimator] = {}

    @property
    def metrics(self) -> Mapping[str, Better]:
        return self._level(1.0, self._image).metrics

    def epochs_at(self, fidelity: float) -> int:
        """Epochs that a fidelity buys."""
        return self.recipe.epochs_at(self._share(fidelity) if "epochs" in self.axes else 1.0)

    def training_key(self, request: Request) -> str:
        level, scaled = self.scaled(request)
        return level.training_key(scaled)

    def key(self, request: Request) -> str:
        """The key of the reduced training's estimate, with the fidelity that it is told under."""
        level, scaled = self.scaled(request)
        if request.fidelity == 1:
            return level.key(scaled)
        return hashlib.sha256(json.dumps([level.key(scaled), self.axes, request.fidelity]).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            level, scaled = self.scaled(request)
            ((_, estimate),) = level.estimate([scaled])
            yield position, replace(estimate, fidelity=request.fidelity)

    def outputs(self, request: Request) -> Outputs:
        """As of the estimator of the level, on the images of its resolution."""
        level, scaled = self.scaled(request)
        return level.outputs(scaled)

    def check(self, workload: Workload) -> None:
        """Whether a network can be reduced, tried at a quarter of the cost.

        Raises
        ------
        SpecError : it cannot.
        """
        from codesign.estimate.train import check_fit

        level, scaled = self.scaled(Request((), workload, FLOAT, _TRIED, 0))
        check_fit(scaled.workload, level.dataset)

    def scaled(self, request: Request) -> tuple[TrainingEstimator, Request]:
        """The estimator with the data of a request, and what it is asked: the network, and its epochs and draws.

        Raises
        ------
        SpecError : a network that cannot be reduced.
        """
        share, workload = self._share(request.fidelity), request.workload
        image = self._image
        if request.fidelity == 1:
            return self._level(1.0, image), request
        if "resolution" in self.axes:
            image = fitting(workload, image, sqrt(share))
        channels = sqrt(share) if "width" in self.axes else 1.0
        fidelity = share if "epochs" in self.axes else 1.0
        return self._level(request.fidelity, image), request._replace(
            workload=narrowed(workload, image, channels), fidelity=fidelity
        )

    def _share(self, fidelity: float) -> float:
        """What each axis is scaled by."""
        if not 0 < fidelity <= 1:
            raise SpecError("fidelity", fidelity, "in (0, 1]")
        return float(fidelity ** (1 / len(self.axes)))

    @property
    def _image(self) -> Shape:
        """The shape of one item."""
        shape: Shape = self.dataset.train.images.shape[1:]
        return shape

    def _level(self, fidelity: float, image: Shape) -> TrainingEstimator:
        """The estimator of a fidelity on images of a shape; epochs are those of the recipe, already scaled."""
        if (fidelity, image) not in self._levels:
            share = self._share(fidelity) if "data" in self.axes else 1.0
            data = reduced_data(self.dataset, share, image[1:])
            self._levels[fidelity, image] = TrainingEstimator(data, self.recipe, self.weights, draws=self.draws)
        return self._levels[fidelity, image]

    def __getstate__(self) -> dict[str, Any]:
        """Settings and data alone."""
        return {name: getattr(self, name) for name in ("dataset", "recipe", "weights", "axes", "draws")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def reduced_data(dataset: Dataset, share: float, size: tuple[int, ...]) -> Dataset:
    """A data set with a share of its training images, and all images of a height and width.

    Splits stay what they are, and the images that stay are the same for every network. Nothing to reduce is no change.
    """
    train, validation, test = dataset.train, dataset.validation, dataset.test
    if share < 1:
        count = max(1, round(share * len(train.labels)))
        stay = np.sort(np.random.default_rng(_SUBSET_SEED).permutation(len(train.labels))[:count])
        train = Part(train.images[stay], train.labels[stay])
    if size != train.images.shape[2:]:
        train, validation, test = (_of_size(part, size) for part in (train, validation, test))
    return dataset if train is dataset.train else replace(dataset, train=train, validation=validation, test=test)


def _of_size(part: Part, size: tuple[int, ...]) -> Part:
    images = F.adaptive_avg_pool2d(torch.from_numpy(part.images), list(size))  # type: ignore[arg-type]
    return Part(images.numpy(), part.labels)


@lru_cache(maxsize=1024)
def fitting(workload: Workload, image: Shape, scale: float) -> Shape:
    """The shape of images that a network takes whose height and width are nearest to `scale` times those of its own.

    Raises
    ------
    SpecError : a network that takes no smaller images.
    """
    channels, height, width = image
    wanted = max(1, round(height * scale))
    shapes = [(channels, rows, max(1, round(width * rows / height))) for rows in range(1, height)]
    refused: SpecError | None = None
    for shape in sorted(shapes, key=lambda one: (abs(one[1] - wanted), one[1])):
        try:
            narrowed(workload, shape, 1.0)
        except SpecError as error:
            refused = refused or error
            continue
        return image if height - wanted < abs(shape[1] - wanted) else shape
    raise refused or SpecError(workload.name, f"images of {height} rows", "ones that a fidelity of resolution reduces")


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
            if isinstance(operator, Elementwise) and len(set(sources)) > len(set(old)):
                raise ValueError(f"shapes {sources} were one")  # they may broadcast, which is another network
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
