"""Published accuracies of NAS-Bench-201 cells on phase-change memory, by way of training and time since programming.

The authors trained each cell for 200 epochs, read it on their simulated memory, and trained it on for 200 epochs with
that noise [AnalogNAS-Bench, arXiv:2506.18495, training script]; both were read 60 s, one hour and one day after
programming, with global drift compensation, the mean of 25 draws. So `noise_aware` is 400 epochs against 200.

A column is chosen by the time since programming alone: one device is published, and a design that reads otherwise (rows
of an array, bits of a DAC) has its accuracy. Cells that are one network have the mean of those that were measured; a
network of which none was measured is no point of the space.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from codesign.estimate.published_cells import read_published_cells
from codesign.estimate.table import AccuracyTable
from codesign.space.trained_cells import NOISE_AWARE, PLAIN, TrainedCells
from hwmodels.numerics import VARIATIONS, Numerics

__all__ = ["PUBLISHED_TIMES_S", "published_numerics", "read_analog_cells"]

F64 = npt.NDArray[np.float64]

PUBLISHED_TIMES_S = (60.0, 3600.0, 86400.0)
_COLUMNS = {PLAIN: "baseline_drift", NOISE_AWARE: "analog_drift"}
_EPOCHS = {PLAIN: 200, NOISE_AWARE: 400}  # [AnalogNAS-Bench] 200, and as many again with noise
_IMAGES = 50_000  # of CIFAR-10's training split
_READ = ("variation", "drift_s", "drift_of_state", "drift_compensated")
"""What of a chip's arithmetic the published device has in common with it."""


def published_numerics(drift_s: float) -> Numerics:
    """Phase-change memory as published, that long after programming: 8 bits, a pair of cells a weight."""
    return Numerics(
        8, 8, cell_bits=7, dac_bits=8, active_rows=512, adc_bits=8, adc_calibrated=1, differential=1,
        conductance_sigma=1.0, variation=VARIATIONS.index("pcm"), drift_s=drift_s, drift_of_state=1,
        drift_compensated=1,
    )  # fmt: skip


def read_analog_cells(folder: Path | None) -> AccuracyTable:
    """The table of the published accuracies, from the reference folder; the variable CODESIGN_REFERENCE by default.

    Raises
    ------
    SpecError : a file or a column that is missing.
    """
    names = {way: [f"{stem}_{time:.0f}" for time in PUBLISHED_TIMES_S] for way, stem in _COLUMNS.items()}
    read = [[read_published_cells(folder, "nasbench201-analog", name) for name in found] for found in names.values()]
    scores: F64 = np.array([[column.scores for column in columns] for columns in read])  # (ways, times, cells)
    cells = read[0][0].space
    known = cells.representatives[np.isfinite(scores[:, :, cells.representatives]).all(axis=(0, 1))]
    space = TrainedCells(cells, epochs=_EPOCHS, images=_IMAGES, known=known)
    shares = scores[:, :, known].transpose(2, 0, 1).reshape(-1, 1, 1, len(PUBLISHED_TIMES_S))
    return AccuracyTable(
        "nasbench201-analog",
        space,
        space.representatives,
        (1.0,),
        tuple(published_numerics(time) for time in PUBLISHED_TIMES_S),
        shares,
        shares,
        np.full(shares.shape[:3], np.nan),
        np.zeros(len(shares), np.int64),
        images=10_000,  # of the test split, which is what is published
        read=_READ,
    )
