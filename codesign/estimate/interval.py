"""How sure an accuracy is that was counted on so many images: the Wilson score interval of a share.

[Wilson, J. Am. Stat. Assoc. 22 (1927)]; unlike p +- z sqrt(p (1 - p) / n) it stays within [0, 1] and has a width where
all images or none are told right. Images count as drawn independently. Not modelled: the variation over trainings.
"""

from __future__ import annotations

from math import isfinite, nan, sqrt

__all__ = ["CONFIDENCE", "wilson"]

CONFIDENCE = 0.95
_Z = 1.959963984540054  # (1 + CONFIDENCE) / 2 quantile of the normal distribution


def wilson(share: float, images: int) -> tuple[float, float]:
    """The 95 % interval of a share told right of `images`; NaN where their number is not known.

        (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    The lower end is computed as p^2 / (p + z^2 / 2n + z sqrt(...)), its equal without a difference of near numbers.

    >>> [round(end, 4) for end in wilson(0.9, 100)]
    [0.8256, 0.9448]
    """
    if images <= 0 or not isfinite(share):
        return nan, nan
    square = _Z * _Z / images
    middle = share + square / 2
    half = sqrt(square * share * (1 - share) + square * square / 4)
    return share * share / (middle + half), min((middle + half) / (1 + square), 1.0)
