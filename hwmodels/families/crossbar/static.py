"""Static power of a chip from its parts: transistors leak by area, node and roadmap; cells by their kind.

Densities are those of NeuroSim V1.3's runs at 22 nm, low standby power, 300 K: its printed leakage as a sum over the
printed areas of its parts, non-negative least squares of relative errors over the nine runs of network S1; SRAM cells
and nodes follow from the runs of S1 that change them. `hwmodels.validation.crossbar` scores the other networks' runs.
NOT modelled: temperature and process but for one factor (`leakage_scale`), body bias, refresh, what off-chip links draw
when idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hwmodels.families.crossbar.devices import CELL_DEVICES
from hwmodels.families.crossbar.spec import CrossbarTable
from hwmodels.units import UW

if TYPE_CHECKING:
    from hwmodels.families.crossbar.chip import Parts

__all__ = ["DENSITIES_W_PER_MM2", "SRAM_CELL_W", "leaking_share", "node_factor", "static_power_parts"]

F64 = npt.NDArray[np.float64]

DENSITIES_W_PER_MM2 = {
    # [NEUROSIM] runs of S1 at 22 nm, nominal supply.
    "sums": 94.5 * UW,  # adders, running sums, vector lanes
    "wires": 0.03 * UW,  # buses and routers
    "converters": 2.8 * UW,
    "other": 10.0 * UW,  # drivers, registers, buffers
}
"""Static power of an area at 22 nm by what stands on it."""

SRAM_CELL_W = 6.8e-12
"""[NEUROSIM] an SRAM cell at 22 nm, from its run of S1 with SRAM arrays."""

_SUMS, _WIRES, _CONVERTERS, _OTHER = DENSITIES_W_PER_MM2.values()
_NODES_NM = np.array([14.0, 22.0, 32.0])
_BY_NODE = np.array([2.07, 1.0, 0.751])  # [NEUROSIM] runs of S1 at 14 and 32 nm: power of like areas
_HIGH_PERFORMANCE = 1000.0  # ASSUMED (100 to 10,000): off currents of 100 nA/µm against 0.01 to 1


def static_power_parts(table: CrossbarTable, area: Parts) -> Parts:
    """Static power of each component, W, from its area; per IMA, per tile and per chip as the areas are."""
    density = node_factor(table.node_nm) * np.where(table.roadmap == 0, _HIGH_PERFORMANCE, 1.0) * table.leakage_scale
    density = density * table.supply_v / table.component_supply_v
    cells = table.arrays_per_ima * table.array_rows * table.array_cols
    adds = table.compute != 0
    return area._replace(
        adc=area.adc * density * np.where(adds, _SUMS, _CONVERTERS),
        dac=area.dac * density * _OTHER,
        sample_hold=area.sample_hold * density * _OTHER,
        array=np.where(_volatile(table), cells * density * SRAM_CELL_W, 0.0),
        shift_add=area.shift_add * density * _SUMS,
        input_register=area.input_register * density * _OTHER,
        output_register=area.output_register * density * _OTHER,
        buffer=area.buffer * density * _OTHER,
        bus=area.bus * density * _WIRES,
        router=area.router * density * _WIRES,
        digital=area.digital * density * _SUMS,
        tile_register=area.tile_register * density * _OTHER,
        io=np.zeros(density.shape),
    )


def leaking_share(table: CrossbarTable) -> F64:
    """Share of published powers that is static, (C,): `leakage_fraction`, or none where static power comes on top."""
    share: F64 = np.where(table.static_power == 0, table.leakage_fraction, 0.0)
    return share


def node_factor(node_nm: npt.ArrayLike) -> F64:
    """Static power of an area over that at 22 nm; beyond 14 and 32 nm by the slope between the last two nodes.

    >>> [round(float(node_factor(node)), 2) for node in (7, 14, 22, 65)]
    [6.32, 2.07, 1.0, 0.44]
    """
    log_node, known, values = np.log(np.asarray(node_nm, np.float64)), np.log(_NODES_NM), np.log(_BY_NODE)
    first, last = np.diff(values) / np.diff(known)
    low = values[0] + first * (log_node - known[0])
    high = values[-1] + last * (log_node - known[-1])
    within = np.interp(log_node, known, values)
    factor: F64 = np.exp(np.where(log_node < known[0], low, np.where(log_node > known[-1], high, within)))
    return factor


def _volatile(table: CrossbarTable) -> npt.NDArray[np.bool_]:
    """Cells that leak while they hold: SRAM by name; of a custom cell, one that endures more than any resistive one."""
    kinds = np.array([False, *(name.startswith("sram") for name in CELL_DEVICES)])
    most = max(cell.endurance_writes for name, cell in CELL_DEVICES.items() if not name.startswith("sram"))
    volatile: npt.NDArray[np.bool_] = np.where(
        table.cell_device == 0, table.endurance_writes > most * 10, kinds[table.cell_device]
    )
    return volatile
