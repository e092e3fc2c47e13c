"""Published accuracies of built-in networks as their error: which network on which hardware, before any training.

The metric is ``published_top1``, the share that the network's publication reports for float weights on its own data. It
knows nothing of the hardware's arithmetic: a network has one value on every design. Figures of others, and shown as
such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from codesign.estimate.base import Effort, Estimate, Request
from codesign.registry import Plugin, Settings
from codesign.space.fixed import FixedSpace
from codesign.strategy.base import Problem
from hwmodels.errors import SpecError
from hwmodels.workload.zoo import published_accuracy

__all__ = ["METRIC", "PLUGIN", "PublishedAccuracy", "PublishedSettings"]

METRIC = "published_top1"


class PublishedAccuracy:
    """A `codesign.estimate.base.Estimator` that looks accuracies up.

    Parameters
    ----------
    top1 : genotype -> published share, in the architecture space of the run.
    """

    metrics: Mapping[str, Literal["less", "more", "neither"]] = {METRIC: "more"}
    effort: Effort = "nothing"

    def __init__(self, top1: Mapping[tuple[int, ...], float]) -> None:
        self._top1 = dict(top1)

    def key(self, request: Request) -> str:
        return f"published/{request.genotype}/{request.fidelity}"

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            top1 = self._top1[request.genotype]
            yield position, Estimate(1.0 - top1, 0.0, {METRIC: top1}, request.fidelity, self.key(request))


class PublishedSettings(Settings):
    """Nothing to set: the data are those of the publications, the same for all networks."""


def _make(settings: PublishedSettings, problem: Problem) -> PublishedAccuracy:
    """The accuracies of the run's networks.

    Raises
    ------
    SpecError : networks of one's own, one without a published accuracy, or accuracies on different data.
    """
    space = problem.joint.architecture
    if not isinstance(space, FixedSpace) or any(source.network is None for source in space.sources.values()):
        raise SpecError("estimator", "published", "for built-in networks: architecture: {space: fixed, network: [...]}")
    top1: dict[tuple[int, ...], float] = {}
    data: dict[str, str] = {}
    for genotype in space.enumerate():
        name = space.describe(genotype)
        found = published_accuracy(name)
        if found is None:
            raise SpecError("estimator: published", name, "a network with a published accuracy: `codesign networks`")
        top1[tuple(genotype.tolist())] = found.top1_percent / 100.0
        data.setdefault(found.dataset, name)
    if len(data) > 1:
        told = ", ".join(f"{name} on {data_set}" for data_set, name in data.items())
        raise SpecError("estimator: published", told, "accuracies on one data set: others do not compare")
    return PublishedAccuracy(top1)


PLUGIN = Plugin(PublishedSettings, _make, "published top-1 of built-in networks, whatever the hardware's arithmetic")
