"""Classification: one score a class, and the largest of them names the class.

Metrics: accuracy, the share told right; with more than five classes also the share whose class is among the five
largest scores (top-5, [Krizhevsky et al., NeurIPS 2012]). goodness = accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.task.base import F32, F64, Better, finite_items

__all__ = ["Classification"]

_TOP = 5


@dataclass(frozen=True)
class Classification:
    """Items of one class each; targets are (B,) class numbers."""

    classes: int
    name: ClassVar[str] = "classification"

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {"accuracy": "more", "accuracy_top5": "more"} if self.classes > _TOP else {"accuracy": "more"}

    def output_shape(self, target: tuple[int, ...]) -> tuple[int, ...]:
        return (self.classes,)

    def tally(self, outputs: F32, targets: npt.NDArray[Any]) -> F64:
        """(items, guesses, right, right among five); a guess is right once in as many tries as there are classes."""
        told = finite_items(outputs)
        scores, labels = outputs[told], targets[told]
        right = int((scores.argmax(axis=1) == labels).sum())
        own = np.take_along_axis(scores, labels[:, None], axis=1)
        # Of equal scores the earlier class comes first, as it does for the largest.
        earlier = np.arange(scores.shape[1]) < labels[:, None]
        ahead = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
        return np.array([len(outputs), len(outputs) - len(labels), right, int((ahead < _TOP).sum())], np.float64)

    def values(self, sums: F64) -> dict[str, float]:
        """The metrics by name.

        >>> Classification(10).values(np.array([4.0, 2.0, 1.0, 2.0]))
        {'accuracy': 0.3, 'accuracy_top5': 0.75}
        """
        items, guesses, right, among = sums.tolist()
        guessed = guesses / items
        found = {"accuracy": right / items + guessed * (1.0 / self.classes)}
        if self.classes > _TOP:
            found["accuracy_top5"] = among / items + guessed * (_TOP / self.classes)
        return found

    def goodness(self, value: float) -> float:
        return value
