"""Scores of any family: one place where predictions, measurements and the simplest alternative become a `Score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.validate import MetricName, Score, score
from hwmodels.validation.few_shot import Draws

__all__ = ["Table", "few_shot_scores", "frozen_scores"]

F64 = npt.NDArray[np.float64]


class Table(NamedTuple):
    """What all scores of a file share; `family` is the one that is scored."""

    family: str
    set: str
    rows_in_file: int
    skipped: Mapping[str, int]


def frozen_scores(
    table: Table, group: str, predicted: F64, measured: F64, *, macs: F64, fitted_on: str,
    metrics: tuple[MetricName, ...] = ("spearman", "median_error"), protocol: str = "frozen",
) -> list[Score]:  # fmt: skip
    """Scores without any fit to the rows; the alternative is MACs, at the rate that suits the rows best."""
    rate = np.exp(np.median(np.log(measured / np.maximum(macs, 1.0))))
    return [
        Score(
            family=table.family, set=table.set, group=group, protocol=protocol, rows=measured.size,
            rows_in_file=table.rows_in_file, metric=metric, value=score(metric, predicted, measured),
            skipped=table.skipped, fitted_on=fitted_on,
            baseline={"MACs at the best rate": score(metric, macs * rate, measured)},
        )
        for metric in metrics
    ]  # fmt: skip


def few_shot_scores(
    table: Table, group: str, drawn: Draws, *, shots: int, macs: float | None, fitted_on: str,
    metrics: tuple[MetricName, ...] = ("spearman", "median_error"),
) -> list[Score]:  # fmt: skip
    """Means over draws; `macs` is the Spearman correlation of MACs with the measurements."""
    draws = np.unique(drawn.draw)
    found = []
    for metric in metrics:
        by_draw = [score(metric, *(column[drawn.draw == draw] for column in drawn[:2])) for draw in draws]
        baseline = {"MACs": macs} if metric == "spearman" and macs is not None else None
        found.append(
            Score(
                family=table.family,
                set=table.set,
                group=group,
                protocol=f"few-shot-{shots}",
                rows=drawn.draw.size // draws.size,
                rows_in_file=table.rows_in_file,
                metric=metric,
                value=float(np.mean(by_draw)),
                skipped=table.skipped,
                fitted_on=f"{shots} rows of the group, mean of {draws.size} draws; {fitted_on}",
                baseline=baseline,
            )
        )
    return found
