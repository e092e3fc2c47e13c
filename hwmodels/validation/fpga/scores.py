"""Scores of the FPGA families: what all scores of one file share, and one line for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.validate import MetricName, Score, score

__all__ = ["Source"]


class Source(NamedTuple):
    """What all scores of a published file share."""

    family: str
    set: str
    rows_in_file: int
    fitted_on: str
    skipped: Mapping[str, int] = {}

    def score(
        self, group: str, metric: MetricName, own: npt.ArrayLike, published: npt.ArrayLike, *, protocol: str = "frozen",
        baselines: Mapping[str, npt.ArrayLike] | None = None, tolerance: float = 0.0,
    ) -> Score:  # fmt: skip
        """One metric of equally long columns; `baselines` are predictions of the simplest alternatives."""
        rows = int(np.size(published))
        return Score(
            family=self.family, set=self.set, group=group, protocol=protocol, rows=rows, rows_in_file=self.rows_in_file,
            metric=metric, value=score(metric, own, published, relative_tolerance=tolerance), skipped=self.skipped,
            fitted_on=self.fitted_on,
            baseline={
                name: score(metric, other, published, relative_tolerance=tolerance)
                for name, other in (baselines or {}).items()
            } or None,
        )  # fmt: skip
