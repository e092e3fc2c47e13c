"""What a trained chip costs where it serves: energy of one inference with everything that keeps it able to answer.

    served_j = average_power_w / rate_hz + training_macs j_MAC / (chips rate_hz life_s)

The average power at a rate is that of `hwmodels.rate`: inferences, what is drawn between them, and cells that are
written again when their time is over. The second term is one training's energy over all inferences of all chips that
carry its weights. So a network that is trained for longer, or a chip that is refreshed more often, has to be worth it.

Not modelled: searching the recipe, making the chip, an inference that waits while cells are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.trained_cells import TRAINING_MACS
from hwmodels.families.base import CostModel, Metric, PairRule
from hwmodels.families.spec import Column
from hwmodels.rate import at_rate

__all__ = ["SERVED", "Deployment"]

F64 = npt.NDArray[np.float64]

SERVED = "served_j"


class Deployment(NamedTuple):
    """Where chips serve. rate_hz : inferences a second of a chip. life_s : for how long. chips : with one training's
    weights. training_j_per_mac : energy of a MAC in training, with all that stands around it."""

    rate_hz: float
    life_s: float
    chips: float
    training_j_per_mac: float

    @property
    def inferences(self) -> float:
        """That one training serves."""
        return self.rate_hz * self.life_s * self.chips

    def of(self, model: CostModel) -> CostModel:
        """A family with `served_j`, for networks that say what their training takes."""
        a_mac_j, rate_hz = self.training_j_per_mac / self.inferences, self.rate_hz

        def served(metrics: Mapping[str, F64], knobs: Mapping[str, Column]) -> F64:
            total: F64 = metrics["average_power_w"] / rate_hz + metrics[TRAINING_MACS] * a_mac_j
            return total

        rated = at_rate(model, rate_hz, where="deployment.rate_hz")
        return replace(
            rated,
            metrics=(
                *rated.metrics,
                Metric(TRAINING_MACS, "network", "MACs of its training"),
                Metric(SERVED, "rule", "energy an inference, with idling, refresh and its share of the training"),
            ),
            derived={**rated.derived, SERVED: PairRule(frozenset({"average_power_w", TRAINING_MACS}), served)},
        )
