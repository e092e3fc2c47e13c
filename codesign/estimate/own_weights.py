"""Accuracy of the user's own trained torch module under the arithmetic of the hardware: its weights, our evaluation.

The module is read as a workload once (`hwmodels.from_torch`); each layer of the workload's torch twin takes the
parameters and running statistics of the submodule of the same path. Before the run begins the twin must give the
module's own outputs on images of the data set, else it is refused: an accuracy of other arithmetic than the user's
would mislead. What a design's numerics do to the network is measured as for trained networks
(`codesign.estimate.estimator`), after a calibration on training images.

Not modelled: weights inside ONNX files; layers that one module runs several times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from codesign.estimate.base import Effort, Estimate, MemoryWeights, Request
from codesign.estimate.recipe import Recipe
from codesign.registry import Plugin, Settings
from codesign.space.fixed import FixedSpace
from codesign.strategy.base import Problem
from codesign.task import Better
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

if TYPE_CHECKING:
    from torch import nn

    from codesign.data import Dataset

__all__ = ["PLUGIN", "OwnWeights", "OwnWeightsSettings", "own_state"]

_COMPARED = 64  # images on which the twin is held against the module
_SEARCH_BY_COST = "`estimator: none` searches by costs alone"
_TOLERANCE = 1e-3  # of the largest output; float32 sums in another order differ by some 1e-6 of it a layer


class OwnWeights:
    """A `codesign.estimate.base.Estimator` of one torch module, named so that a worker loads it by itself.

    Parameters
    ----------
    target : ``file.py:object`` or ``package.module:object``. draws, calibration : as of the estimator that trains.
    """

    effort: Effort = "evaluation"

    def __init__(self, dataset: Dataset, target: str, *, draws: int, calibration: int = 128) -> None:
        from codesign.estimate.estimator import TrainingEstimator

        self.target, self.dataset = target, dataset
        self._weights = MemoryWeights()
        self._evaluation = TrainingEstimator(dataset, Recipe(), self._weights, draws=draws, calibration=calibration)
        self._digest: dict[str, str] = {}

    @property
    def metrics(self) -> Mapping[str, Better]:
        return self._evaluation.metrics

    def key(self, request: Request) -> str:
        """Content key: the weights and what `TrainingEstimator` says of the rest."""
        content = [self._digest[self._loaded(request)], self._evaluation.key(request)]
        return hashlib.sha256("".join(content).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            self._loaded(request)
            (_, found), *_ = self._evaluation.estimate([request])
            yield position, replace(found, key=self.key(request), trained=False)

    def check(self, workload: Workload) -> None:
        """Whether the module runs on the images, its weights fit the workload, and both compute the same.

        Raises
        ------
        SpecError : they do not; one line.
        """
        import torch

        from codesign.estimate.train import check_fit, deterministic, restore, unpack

        check_fit(workload, self.dataset)
        request = Request((), workload, FLOAT, 1.0, 0)
        state = self._weights.get(self._loaded(request))
        assert state is not None
        images = torch.from_numpy(self.dataset.train.images[:_COMPARED])
        module = _module(self.target)
        with deterministic(), torch.no_grad():
            own = module(images)
            twin = restore(workload, unpack(state))(images)
        largest = float(own.abs().max())
        apart = float((own - twin).abs().max()) / max(largest, 1e-12)
        if not apart <= _TOLERANCE:
            raise SpecError(
                f"torch: {self.target}", f"outputs that differ by {apart:.2g} of the largest from those of its layers",
                f"within {_TOLERANCE:g}", _SEARCH_BY_COST,
            )  # fmt: skip

    def _loaded(self, request: Request) -> str:
        """The key under which the evaluation finds the weights of a request."""
        from codesign.estimate.train import pack

        key = self._evaluation.training_key(request)
        if key not in self._digest:
            payload = pack(own_state(request.workload, _module(self.target)))
            self._digest[key] = hashlib.sha256(payload).hexdigest()
            self._weights.put(key, payload, 0.0)
        return key

    def __getstate__(self) -> dict[str, Any]:
        """Settings and data alone: a worker reads the weights anew."""
        evaluation = self._evaluation
        return {
            "dataset": self.dataset, "target": self.target, "draws": evaluation.draws,
            "calibration": evaluation.calibration,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def own_state(workload: Workload, module: nn.Module) -> Mapping[str, Any]:
    """The state of the workload's torch twin with the weights of `module`, from which the workload was read.

    Raises
    ------
    SpecError : a layer without a submodule of its path, or with parameters of other names or shapes.
    """
    import torch

    from codesign.network.module import to_module

    with torch.random.fork_rng(devices=[]):
        twin = to_module(workload)
    found: dict[str, Any] = {}
    for position, layer in twin.layers.items():
        name = twin.nodes[int(position)].name
        if not layer.state_dict():
            continue
        prefix, wanted = _bare(layer)
        given = dict(_submodule(workload.name, module, name).state_dict())
        if prefix == "value":
            raise SpecError(f"{workload.name}: {name}", "a learned tensor", "a layer with weights of its own")
        for key, value in wanted.items():
            own = given.get(key)
            if own is None or tuple(own.shape) != tuple(value.shape):
                got = "nothing" if own is None else f"shape {tuple(own.shape)}"
                raise SpecError(f"{workload.name}: {name}.{key}", got, f"weights of shape {tuple(value.shape)}")
            full = ".".join(part for part in ("layers", position, prefix, key) if part)
            found[full] = own.detach().cpu().to(value.dtype).numpy()
    return found


def _bare(layer: nn.Module) -> tuple[str, Mapping[str, Any]]:
    """Where the torch layer inside one of the twin's lies, and its state."""
    for prefix in ("cell", "norm"):
        if hasattr(layer, prefix):
            return prefix, getattr(layer, prefix).state_dict()
    return ("value", {}) if hasattr(layer, "value") else ("", layer.state_dict())


def _submodule(network: str, module: nn.Module, path: str) -> nn.Module:
    try:
        return module.get_submodule(path)
    except AttributeError:
        raise SpecError(
            f"{network}: {path}", "no submodule of that path", "a layer that is a module, run once", _SEARCH_BY_COST
        ) from None


@lru_cache(maxsize=4)
def _module(target: str) -> nn.Module:
    """The module in evaluation mode, loaded once a process: it may be trained where it is loaded."""
    from hwmodels.workload.from_torch.loading import module_named

    module: nn.Module = module_named(target)[0]
    return module.eval()


class OwnWeightsSettings(Settings):
    """Own trained weights, evaluated under each hardware's numerics."""

    draws: int = Field(3, ge=1, le=1000, description="draws of the hardware's variation")


def _make(settings: OwnWeightsSettings, problem: Problem) -> OwnWeights:
    """The estimator of the run's torch module.

    Raises
    ------
    SpecError : another source of networks, or a module that `OwnWeights.check` refuses.
    """
    space = problem.joint.architecture
    source = next(iter(space.sources.values())) if isinstance(space, FixedSpace) else None
    if source is None or source.torch is None or not isinstance(space, FixedSpace):
        raise SpecError(
            "estimator", "own_weights", "for a module of one's own: architecture: {space: fixed, torch: ...}"
        )
    if problem.data is None:
        raise SpecError("estimator", "own_weights", "there for a search without images")
    estimator = OwnWeights(problem.data, source.torch, draws=settings.draws)
    estimator.check(prune_dead_branches(space.workload(np.zeros(1, np.int64))))
    return estimator


PLUGIN = Plugin(OwnWeightsSettings, _make, "own trained torch weights, evaluated under each hardware's numerics")
