"""Segmentation: a class for every pixel.

Metrics: the mean over classes of intersection over union (mIoU, [Everingham et al., "The Pascal Visual Object Classes
Challenge", IJCV 2015]), summed over all pixels of a split, and the share of pixels told right. A class that neither
the targets nor the answers have does not count. goodness = mIoU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.task.base import F32, F64, Better, finite_items

__all__ = ["Segmentation"]


@dataclass(frozen=True)
class Segmentation:
    """Images of pixels of one class each; targets are (B, H, W) class numbers, answers (B, classes, H, W) scores.

    frequent : the class that most pixels of the training split have: the constant guess.
    """

    classes: int
    frequent: int
    name: ClassVar[str] = "segmentation"

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {"miou": "more", "pixel_accuracy": "more"}

    def output_shape(self, target: tuple[int, ...]) -> tuple[int, ...]:
        return (self.classes, *target)

    def tally(self, outputs: F32, targets: npt.NDArray[Any]) -> F64:
        """Pixels by (target, answer), (classes^2,)."""
        told = finite_items(outputs)[:, None, None]
        answers = np.where(told, outputs.argmax(axis=1), self.frequent)
        pairs = targets.astype(np.int64) * self.classes + answers
        return np.bincount(pairs.ravel(), minlength=self.classes**2).astype(np.float64)

    def values(self, sums: F64) -> dict[str, float]:
        """IoU of a class = pixels that are and are told it / pixels that are or are told it.

        >>> Segmentation(2, 0).values(np.array([6.0, 2.0, 0.0, 2.0]))
        {'miou': 0.625, 'pixel_accuracy': 0.8}
        """
        pixels = sums.reshape(self.classes, self.classes)
        both = np.diag(pixels)
        either = pixels.sum(axis=0) + pixels.sum(axis=1) - both
        there = either > 0
        return {"miou": float((both[there] / either[there]).mean()), "pixel_accuracy": float(both.sum() / sums.sum())}

    def goodness(self, value: float) -> float:
        return value
