"""Numbers that are not finite: a training that diverged, or an arithmetic that its activations overflow.

A network that has them knows nothing. So what rests on them counts as a constant guess of the task (`codesign.task`),
an accuracy as one over the number of classes: the search goes on, and is told that the network is as bad as any.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["Diverged", "require_finite"]


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
