"""Memory cells by name: what a `cell_device` sets in place of the `custom` knobs.

A cell is its area in squared feature sizes, the energy of writing one, the time of writing a row, and how many writes
it survives. Orders of magnitude of published arrays; the plausible range stands beside each number. NOT modelled:
write-verify loops (multiply energy and time by their number), retention, half-select disturb.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["CELL_DEVICES", "CellColumns", "CellDevice", "cell_columns"]

F64 = npt.NDArray[np.float64]


class CellDevice(NamedTuple):
    """One kind of cell: area in F², energy of one write in J, time of one row's write in s, writes it survives."""

    area_f2: float
    write_j: float
    row_write_s: float
    endurance_writes: float


class CellColumns(NamedTuple):
    """Constants of the cell of every configuration, (C,) each."""

    area_f2: F64
    write_j: F64
    row_write_s: F64
    endurance_writes: F64


CELL_DEVICES = {
    # [NEUROSIM] 10 F x 28 F by default. Write: ASSUMED 1 fJ (0.5 to 5) of bitline swing, 1 ns (0.3 to 3).
    "sram_6t": CellDevice(280.0, 1e-15, 1e-9, 1e16),
    # ASSUMED 1.35 times a 6T cell (1.3 to 1.5): two more transistors for a read port; writes as 6T.
    "sram_8t": CellDevice(378.0, 1e-15, 1e-9, 1e16),
    # [NEUROSIM] 1T1R of 4 F x 12 F. ASSUMED 10 pJ (1 to 100): 2 V, 100 µA, 50 ns; endurance 1e8 (1e6 to 1e9).
    "rram": CellDevice(48.0, 10e-12, 50e-9, 1e8),
    # ASSUMED 1T1R as RRAM; melting takes 20 pJ (5 to 100) in 100 ns (50 to 500); endurance 1e8 (1e6 to 1e9).
    "pcm": CellDevice(48.0, 20e-12, 100e-9, 1e8),
    # ASSUMED one transistor and its select of 4 F x 6 F (8 to 48 F²); field-driven 10 fJ (1 to 100), 100 ns (10 to
    # 1000); endurance 1e7 (1e4 to 1e10).
    "fefet": CellDevice(24.0, 10e-15, 100e-9, 1e7),
}


def cell_columns(device: npt.NDArray[np.int64], custom: CellColumns) -> CellColumns:
    """`device` (C,): 0 takes `custom`, i the i-th of `CELL_DEVICES`."""
    out = []
    for position, own in enumerate(custom):
        known = np.array([cell[position] for cell in CELL_DEVICES.values()])
        out.append(np.where(device == 0, own, known[np.maximum(device - 1, 0)]))
    return CellColumns(*out)
