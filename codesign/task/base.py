"""What a task is: answers of a shape, sums over a split that metrics are made of, and a goodness in [0, 1].

A search minimises error = 1 - goodness, whatever the task, so that 0 is perfect and 1 no better than nothing. The
first metric of a task is the one that its goodness follows; a split is judged by it, and its value on the test split
is reported beside it and never chosen by.

An answer that holds a number that is not finite counts as a constant guess of the task: a training that diverged, or an
arithmetic that overflows, is as bad as a guess and no worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from hwmodels.units import split_unit

__all__ = ["F32", "F64", "Better", "Task", "finite_items", "on_test"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Better = Literal["less", "more", "neither"]


class Task(Protocol):
    """A frozen record: equal tasks judge equally.

    metrics : by name, with the values that are better; the first one is what `goodness` follows.
    """

    @property
    def name(self) -> str: ...

    @property
    def metrics(self) -> Mapping[str, Better]: ...

    def output_shape(self, target: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the answer to one item whose target has this shape, both without the batch."""
        ...

    def tally(self, outputs: F32, targets: npt.NDArray[Any]) -> F64:
        """Sums over a batch of answers (B, ...) and targets (B, ...); those of several batches add up."""
        ...

    def values(self, sums: F64) -> dict[str, float]:
        """The metrics of a split by its sums."""
        ...

    def goodness(self, value: float) -> float:
        """A value of the first metric in [0, 1]: never less where the value is better."""
        ...


def finite_items(outputs: F32) -> npt.NDArray[np.bool_]:
    """Which items of a batch (B, ...) have finite answers only, (B,)."""
    return np.asarray(np.isfinite(outputs.reshape(len(outputs), -1)).all(axis=1))


def on_test(metric: str) -> str:
    """What a metric is called on the test split; its unit stays last.

    >>> on_test("accuracy"), on_test("psnr_db")
    ('accuracy_test', 'psnr_test_db')
    """
    quantity, _ = split_unit(metric)
    return f"{quantity}_test{metric.removeprefix(quantity)}"
