"""Zero-cost scores as an estimator: a network is judged untrained, by one batch of images.

The scores stand in `codesign.estimate.scores`, with their equations and papers. The error that a search minimises falls
strictly with the score; the metric is the score itself, under its own name. A score that is not finite is none: the
estimate counts as diverged and has the largest error.

Weights are those that a training with the default recipe would start from, so equal networks have equal scores
whatever they are called. Images are drawn from the training split by the seed.

Not modelled: the hardware's arithmetic. A network has one score on every design, whatever the bits or the crossbar.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from pydantic import Field

from codesign.estimate.base import Effort, Estimate, Request
from codesign.estimate.recipe import Recipe
from codesign.registry import Plugin, Settings
from codesign.strategy.base import Problem
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.rewrite import prune_dead_branches

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "ScoreName", "ZeroCost", "ZeroCostSettings", "error_of"]

ScoreName = Literal["fisher", "grad_norm", "grasp", "jacov", "macs", "naswot", "parameters", "snip", "synflow", "zen"]
_LEAST = 1e-30  # ASSUMED, plausible 1e-40 to 1e-15: below it scores are no longer told apart by their ratio
_SPAN = float(np.logaddexp(0.0, math.log(sys.float_info.max) - math.log(_LEAST)))
_CHECKED = 64  # networks of a space that are looked at before a run: all of a small one, else one of it


def error_of(score: float) -> float:
    """An error in [0, 1] that falls strictly with a score, over all magnitudes that a float64 has.

    error = 1/2 - sign(s) ln(1 + |s| / 1e-30) / (2 ln(1 + largest / 1e-30))

    Scores that differ by 1e-12 of their size have different errors. 1 for what is no finite number.

    >>> error_of(0.0), error_of(2.0) < error_of(1.0) < 0.5 < error_of(-1.0), error_of(float("nan"))
    (0.5, True, 1.0)
    """
    if not math.isfinite(score):
        return 1.0
    if score == 0.0:
        return 0.5
    magnitude = float(np.logaddexp(0.0, math.log(abs(score)) - math.log(_LEAST)))
    return 0.5 - math.copysign(magnitude, score) / (2.0 * _SPAN)


class ZeroCost:
    """A `codesign.estimate.base.Estimator` that scores networks untrained; numerics and fidelity change nothing.

    Parameters
    ----------
    dataset : its training split gives images and labels. score : one of `codesign.estimate.scores.SCORES`.
    images : how many are looked at, at least 2 for the statistics of a batch norm.

    Raises
    ------
    SpecError : an unknown score, too few images, or data whose task is no classification.
    """

    effort: Effort = "evaluation"

    def __init__(self, dataset: Dataset, score: ScoreName, *, images: int = 64) -> None:
        if score not in get_args(ScoreName):
            raise SpecError.unknown("estimator.score", score, get_args(ScoreName))
        if not 2 <= images <= len(dataset.train.labels):
            raise SpecError("estimator.images", images, f"in [2, {len(dataset.train.labels)}], the training images")
        if dataset.task.name != "classification":
            raise SpecError("estimator: zero_cost", f"a task of {dataset.task.name}", "classification")
        self.dataset, self.score, self.images = dataset, score, images

    @property
    def metrics(self) -> Mapping[str, Literal["less", "more", "neither"]]:
        return {self.score: "more"}

    def key(self, request: Request) -> str:
        """Content key: network, data, score, number of images, seed; the fidelity, which the estimate repeats."""
        content = [self._weights_key(request.workload, request.seed), self.score, self.images, request.fidelity]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """Scores in the order asked; a network that is asked about under several numerics is scored once."""
        known: dict[str, Estimate] = {}
        for position, request in enumerate(requests):
            key = self.key(request)
            if key not in known:
                known[key] = self._estimate(request, key)
            yield position, known[key]

    def _estimate(self, request: Request, key: str) -> Estimate:
        start = time.perf_counter()
        value = self.value(request.workload, request.seed)
        finite = math.isfinite(value)
        told = value if finite else -math.inf
        return Estimate(
            error_of(value),
            0.0,
            {self.score: told},
            request.fidelity,
            key,
            draws=(told,),
            seconds=time.perf_counter() - start,
            diverged=not finite,
        )

    def value(self, workload: Workload, seed: int = 0) -> float:
        """The score of one network; not finite where it has none.

        Raises
        ------
        SpecError : a network that does not take the images, or has nothing that the score is about.
        """
        import torch

        from codesign.estimate.scores import SCORES
        from codesign.estimate.train import check_fit, deterministic
        from codesign.network.module import to_module

        check_fit(workload, self.dataset)
        train = self.dataset.train
        chosen = np.random.default_rng(seed).permutation(len(train.labels))[: self.images]
        images, labels = (torch.from_numpy(array[chosen]) for array in train)
        with deterministic():
            torch.manual_seed(int(self._weights_key(workload, seed)[:15], 16))
            return SCORES[self.score](to_module(workload).train(), images, labels)

    def _weights_key(self, workload: Workload, seed: int) -> str:
        """Content key of the training with the default recipe that would start from the scored weights."""
        from codesign.estimate.train import training_key

        return training_key(workload, self.dataset, Recipe(), 1.0, seed)


class ZeroCostSettings(Settings):
    """Networks are scored untrained, the same under every arithmetic."""

    score: ScoreName = Field("synflow", description="what ranks the networks")
    images: int = Field(64, ge=2, le=65_536, description="training images that are looked at")


def _make(settings: ZeroCostSettings, problem: Problem) -> ZeroCost:
    """The estimator of a run, once its networks take the images and have what the score is about.

    Raises
    ------
    SpecError : they do not, or there are fewer images.
    """
    if problem.data is None:
        raise SpecError("estimator", "zero_cost", "there for a search without images")
    estimator = ZeroCost(problem.data, settings.score, images=settings.images)
    space = problem.joint.architecture
    points = space.enumerate() if space.size <= _CHECKED else space.sample(1, np.random.default_rng(0))
    for genotype in points:
        _check(estimator, prune_dead_branches(space.workload(genotype)))
    return estimator


def _check(estimator: ZeroCost, workload: Workload) -> None:
    from codesign.estimate.scores import require_rectifier
    from codesign.estimate.train import check_fit
    from codesign.network.module import to_module

    check_fit(workload, estimator.dataset)
    if estimator.score == "naswot":
        require_rectifier(to_module(workload))


PLUGIN = Plugin(ZeroCostSettings, _make, "scores networks untrained, by one batch of images, whatever the arithmetic")
