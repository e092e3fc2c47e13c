"""Scores of the CPU family: one place where predictions, measurements and the simplest alternative become a `Score`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.catalog import device, device_names
from hwmodels.families.cpu.runtimes import CPU_RUNTIMES, with_runtime
from hwmodels.families.cpu.spec import CpuSpec
from hwmodels.validate import MetricName, Score, score
from hwmodels.validation.few_shot import Draws
from hwmodels.workload.rewrite import DeadBranches

__all__ = ["Machine", "Table", "few_shot_scores", "frozen_scores", "machine"]

F64 = npt.NDArray[np.float64]


class Machine(NamedTuple):
    """A catalogue device under a runtime."""

    spec: CpuSpec
    runtime: str

    @property
    def semantics(self) -> str:
        return CPU_RUNTIMES[self.runtime].semantics

    @property
    def dead_branches(self) -> DeadBranches:
        return CPU_RUNTIMES[self.runtime].dead_branches

    @property
    def fitted_on(self) -> str:
        return f"{self.runtime} runtime: {CPU_RUNTIMES[self.runtime].fitted_on}"


class Table(NamedTuple):
    """What all scores of a file share."""

    set: str
    rows_in_file: int
    skipped: Mapping[str, int]


def machine(name: str, runtime: str) -> Machine | None:
    """The device of the catalogue, or None where there is none of that name in this family."""
    if name not in device_names():
        return None
    found = device(name).spec
    return Machine(with_runtime(found, runtime), runtime) if isinstance(found, CpuSpec) else None


def frozen_scores(
    table: Table, group: str, predicted: F64, measured: F64, *, macs: F64, fitted_on: str,
    metrics: tuple[MetricName, ...] = ("spearman", "median_error"), protocol: str = "frozen",
) -> list[Score]:  # fmt: skip
    """Scores without any fit to the rows; the alternative is MACs, at the rate that suits the rows best."""
    rate = np.exp(np.median(np.log(measured / np.maximum(macs, 1.0))))
    return [
        Score(
            family="cpu", set=table.set, group=group, protocol=protocol, rows=measured.size,
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
                family="cpu",
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
