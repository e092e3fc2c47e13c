"""The estimator of a search by costs alone: no network is trained or judged, and every pair has the error 0.

All pairs are then one accuracy class: a pair is dropped where another one costs no more in any objective.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from codesign.estimate.base import Effort, Estimate, Request
from codesign.registry import Plugin, Settings
from codesign.strategy.base import Problem

__all__ = ["PLUGIN", "CostOnly", "CostOnlySettings"]


class CostOnly:
    """A `codesign.estimate.base.Estimator` that judges nothing."""

    metrics: Mapping[str, Literal["less", "more", "neither"]] = {}
    effort: Effort = "nothing"

    def key(self, request: Request) -> str:
        return f"none/{request.fidelity}"

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        for position, request in enumerate(requests):
            yield position, Estimate(0.0, 0.0, {}, request.fidelity, self.key(request))


class CostOnlySettings(Settings):
    """Nothing to set."""


def _make(settings: CostOnlySettings, problem: Problem) -> CostOnly:
    return CostOnly()


PLUGIN = Plugin(CostOnlySettings, _make, "nothing is trained or judged: the front is one of costs alone")
