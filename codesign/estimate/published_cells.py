"""Published scores of NAS-Bench-201 cells that are one number a network, whatever the hardware's arithmetic.

    analog   CIFAR-10 accuracy on simulated phase-change memory [analog-nasbench]: `baseline` (float), `ptq` and `qat`
             (8 bits after and while training), `noisy` and `analog` (the memory's noise, without and with training for
             it), and both after 60, 3600 and 86400 s of drift, `baseline_drift_60` and so on
    darcy    the solution of Darcy's flow through a porous medium, a score of 1 for an exact one, after 200 epochs
             [NAS-Bench-360, of the HW-NAS-Bench-360 data with latencies and energies on a Raspberry Pi 5]

Both are read from files in the order of NAS-Bench-201, which `nb201_arch.npz` says. Cells that are one network have
the mean of those that were measured; a network without a value counts as diverged, with an error of 1.

Not modelled: what an arithmetic does to a score. `analog` stands for the authors' device, not for the run's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.estimate.base import Estimate, Request
from codesign.space.cell import CellSpace
from hwmodels.array_file import read_arrays
from hwmodels.errors import SpecError
from hwmodels.validate import REFERENCE_VARIABLE

__all__ = ["CELLS_FILE", "SOURCES", "PublishedCells", "SourceName", "read_published_cells", "reference_file"]

F64 = npt.NDArray[np.float64]

CELLS_FILE = "nas/nb201_arch.npz"
SourceName = Literal["nasbench201-analog", "nasbench201-darcy"]


_CELLS = CellSpace()
"""The published cells; which of them are one network is found out once."""
_NAMED = f"--reference FOLDER, ${REFERENCE_VARIABLE} or estimator.path"


class _Source(NamedTuple):
    """Where a column is found: the file, its usual column, and what 1 of a score is in its unit."""

    file: str
    column: str
    unit: float
    metric: str


SOURCES: Mapping[SourceName, _Source] = {
    "nasbench201-analog": _Source("nas/nb201_analog.npz", "analog", 100.0, "accuracy"),
    "nasbench201-darcy": _Source("nas/nb201_edge360.npz", "score_darcy", 1.0, "score"),
}


class PublishedCells:
    """A `codesign.estimate.base.Estimator` of one score a network, whatever the numerics.

    Parameters
    ----------
    space : of the cells. scores : (space.size,) by number of the canonical cell, NaN where there is none.
    metric : the score's name; the error is one less it.
    """

    def __init__(self, name: str, space: CellSpace, scores: F64, metric: str) -> None:
        self.name, self.space, self.scores, self.metric = name, space, scores, metric

    @property
    def metrics(self) -> Mapping[str, Literal["less", "more", "neither"]]:
        return {self.metric: "more"}

    def key(self, request: Request) -> str:
        return f"{self.name}/{self._number(request)}/{request.fidelity}"

    def estimate(self, requests: Sequence[Request]) -> Iterator[tuple[int, Estimate]]:
        """Looked up by genotype, in the order asked; only full fidelity was published."""
        for position, request in enumerate(requests):
            if request.fidelity != 1:
                raise SpecError(f"{self.name}: fidelity", request.fidelity, "1, all that was published")
            score = float(self.scores[self._number(request)])
            known = bool(np.isfinite(score))
            told = score if known else 0.0
            metrics = {self.metric: told}
            yield (
                position,
                Estimate(1.0 - told, 0.0, metrics, 1.0, self.key(request), draws=(told,), diverged=not known),
            )

    def _number(self, request: Request) -> int:
        return int(self.space.number_of(self.space.canonical(np.array([request.genotype], np.int64)))[0])


def reference_file(path: Path | None, relative: str) -> Path:
    """A file of the reference folder: at `path` itself, below it where it is a folder, or where the variable says.

    Raises
    ------
    SpecError : neither is given.
    """
    if path is None and not os.environ.get(REFERENCE_VARIABLE):
        raise SpecError(f"estimator.path: {relative}", "nothing", f"the reference folder: {_NAMED}")
    found = Path(os.environ[REFERENCE_VARIABLE]) if path is None else path
    if path is not None and not found.is_dir():
        return found
    if not (found / relative).is_file():
        raise SpecError(str(found / relative), "no file", f"there: {_NAMED} names the reference folder")
    return found / relative


def read_published_cells(path: Path | None, source: SourceName, column: str | None = None) -> PublishedCells:
    """Published scores by cell.

    Parameters
    ----------
    path : the reference folder; the variable CODESIGN_REFERENCE by default. column : another one of the file.

    Raises
    ------
    SpecError : a file or a column that is missing, or columns that do not fit each other.
    """
    file, usual, unit, metric = SOURCES[source]
    if path is not None and not path.is_dir():
        raise SpecError("estimator.path", path, f"the reference folder, of which {source} needs two files")
    cells, columns = (read_arrays(reference_file(path, relative)) for relative in (CELLS_FILE, file))
    name, space = column or usual, _CELLS
    if name not in columns:
        raise SpecError.unknown(f"{file}: column", name, list(columns))
    if "ops" not in cells or cells["ops"].shape != (space.size, 6) or columns[name].shape != (space.size,):
        raise SpecError(f"{file}: {name}", columns[name].shape, f"a value for each of the {space.size} cells")
    values, ops = columns[name].astype(np.float64) / unit, cells["ops"].astype(np.int64)
    numbers = space.number_of(space.canonical(ops))
    known = np.isfinite(values) & space.valid(ops)
    count = np.bincount(numbers[known], minlength=space.size)
    sums = np.bincount(numbers[known], values[known], minlength=space.size)
    scores = np.where(count > 0, sums / np.maximum(count, 1), np.nan)
    return PublishedCells(f"{source}/{name}", space, scores, metric)
