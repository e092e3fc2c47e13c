"""Numbers that are not finite: a training that diverged, or an arithmetic that its activations overflow.

A network that has them tells classes by chance. So an accuracy that rests on them is one over the number of classes:
the search goes on, and is told that the network is as bad as any.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Diverged", "require_finite", "share_right"]


class Diverged(ArithmeticError):
    """Weights or calibration values are not finite, so that nothing can be computed with them."""


def require_finite(values: Iterable[Tensor]) -> None:
    """Refuse tensors of real numbers that hold an infinity or what is no number.

    Raises
    ------
    Diverged : one does.
    """
    if not all(bool(torch.isfinite(value).all()) for value in values if value.is_floating_point()):
        raise Diverged


def share_right(scores: Tensor, labels: npt.NDArray[np.int64]) -> float:
    """Share of images told right by the largest of their scores (B, K); one whose scores are not finite is a guess.

    >>> share_right(torch.tensor([[0.1, 0.9], [float("nan"), 0.2]]), np.array([1, 0]))
    0.75
    """
    right = (scores.argmax(dim=1).numpy() == labels).astype(np.float64)
    return float(np.where(torch.isfinite(scores).all(dim=1).numpy(), right, 1.0 / scores.shape[1]).mean())
