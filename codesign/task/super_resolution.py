"""Super-resolution: a larger image of what a small one shows.

Metric: the peak signal-to-noise ratio over all pixels of a split, 20 log10(peak / root mean square error) in dB, of
answers cut to the range of the pixels, as they are shown. error = root mean square error / peak = 10^(-PSNR / 20):
strictly falling, 1 at 0 dB, which no answer inside the range falls below.

Pixels are in [0, 1]; targets and answers are standardised by mean and deviation of the training targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.task.base import F32, F64, Better, finite_items

__all__ = ["SuperResolution"]

_LEAST = 1e-12  # squared error of pixels in [0, 1] that float32 rounds to: 120 dB stand for equality


@dataclass(frozen=True)
class SuperResolution:
    """Images `factor` times as high and wide as what is read; targets and answers are (B, C, H, W).

    mean, deviation : of the training targets' pixels in [0, 1]. A constant guess is their mean, a standardised 0.
    """

    factor: int
    mean: float
    deviation: float
    name: ClassVar[str] = "super-resolution"

    @property
    def metrics(self) -> Mapping[str, Better]:
        return {"psnr_db": "more"}

    def output_shape(self, target: tuple[int, ...]) -> tuple[int, ...]:
        return target

    def tally(self, outputs: F32, targets: npt.NDArray[Any]) -> F64:
        """(pixels, sum of squared errors)."""
        told = finite_items(outputs)[:, None, None, None]
        answers, exact = (self._pixels(array) for array in (np.where(told, outputs, np.float32(0)), targets))
        return np.array([exact.size, np.square(answers - exact).sum()])

    def _pixels(self, standardised: npt.NDArray[Any]) -> F64:
        """As they are shown, in [0, 1]."""
        pixels: F64 = np.clip(standardised.astype(np.float64) * self.deviation + self.mean, 0.0, 1.0)
        return pixels

    def values(self, sums: F64) -> dict[str, float]:
        """The metrics by name.

        >>> SuperResolution(2, 0.5, 0.2).values(np.array([100.0, 0.01]))
        {'psnr_db': 40.0}
        """
        return {"psnr_db": -10.0 * log10(max(float(sums[1] / sums[0]), _LEAST))}

    def goodness(self, value: float) -> float:
        return 1.0 - float(10.0 ** (-value / 20.0))
