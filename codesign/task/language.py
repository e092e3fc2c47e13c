"""Language: at every token of a text, a score for each token that may come next.

Metrics: perplexity, the exponential of the mean cross-entropy, and the same in bits a token. goodness = 1 - mean
cross-entropy / that of a uniform guess, and 0 for what is worse than one: a perplexity of 1 is perfect, one of the
size of the vocabulary is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.task.base import F32, F64, Better

__all__ = ["Language"]


@dataclass(frozen=True)
class Language:
    """Texts of a vocabulary; targets are (B, T) tokens, each the one that follows what is read up to there."""

    vocabulary: int
    name: ClassVar[str] = "language"

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {"perplexity": "less", "bits_per_token": "less"}

    def output_shape(self, target: tuple[int, ...]) -> tuple[int, ...]:
        return (*target, self.vocabulary)

    def tally(self, outputs: F32, targets: npt.NDArray[Any]) -> F64:
        """(tokens, sum of cross-entropies in nats); scores that are not finite are a uniform guess."""
        scores = outputs.reshape(-1, self.vocabulary)
        scores = np.where(np.isfinite(scores).all(axis=1, keepdims=True), scores, np.float32(0)).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        told = np.take_along_axis(scores, targets.reshape(-1, 1), axis=1)[:, 0]
        return np.array([len(told), (np.log(np.exp(scores).sum(axis=1)) - told).sum()])

    def values(self, sums: F64) -> dict[str, float]:
        """The metrics by name.

        >>> Language(256).values(np.array([2.0, 2 * log(256)]))["bits_per_token"]
        8.0
        """
        nats = float(sums[1] / sums[0])
        return {"perplexity": float(np.exp(min(nats, _MOST_NATS))), "bits_per_token": nats / log(2)}

    def goodness(self, value: float) -> float:
        return 1.0 - min(log(max(value, 1.0)) / log(self.vocabulary), 1.0)


_MOST_NATS = log(1e300)  # its exponential is still a number
