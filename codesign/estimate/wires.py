"""Voltage lost along the wires of an array (IR drop), in closed form.

A row is driven at its first column, a column is sensed at its first row, and a wire between two neighbouring cells
has the resistance r of the on state of a cell. To first order in r a cell loses what the currents of its row and of
its column drop before it:

    G_ij  ->  G_ij / (1 + r (a_ij + b_ij)),    a_ij = sum_j' min(j, j') G_ij',    b_ij = sum_i' min(i, i') G_i'j

with G relative to the on state and i, j counted from 1. The array is a linear network, so that its currents are
effective conductances times inputs, whatever the inputs: the loss is computed once a programming and costs nothing a
read. Keeping the loss in the denominator takes in part what the currents themselves lose.

Against a nodal solve (sparse LU) of 32, 64 and 128 rows and columns, root mean square over outputs relative to the
mean output: at most 0.3 % where the wires take up to 15 % of it, 1.5 % up to 36 %, 5 % up to 62 %; the form by the
mean conductance, without positions, errs by more than ten times as much (tests/codesign/estimate/test_wires.py).

Assumptions: a weight's columns stand side by side, the unit column last in each array; rows that are not read are cut
off by their access devices; drivers and sense amplifiers have no resistance of their own.

Not modelled: currents that depend on voltage, wire capacitance, two-sided drive.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hwmodels.numerics import Numerics

__all__ = ["attenuated", "wired"]


def attenuated(conductance: Tensor, resistance: float, *, first: int = 0) -> Tensor:
    """Effective conductances (..., R, C) of an array, both relative to the on state.

    first : rows between the sense amplifiers and the first row of `conductance`.

    >>> attenuated(torch.ones(1, 1), 0.5)  # one cell behind two wires of half its resistance
    tensor([[0.5000]])
    """
    along_row = _suffix_sums(conductance, -1).cumsum(-1)
    from_row = _suffix_sums(conductance, -2)
    along_column = from_row.cumsum(-2) + first * from_row[..., :1, :]
    return conductance / (1 + resistance * (along_row + along_column))


def _suffix_sums(values: Tensor, axis: int) -> Tensor:
    return values.flip(axis).cumsum(axis).flip(axis)


def wired(cells: Tensor, numerics: Numerics, *, columns: int, outputs: int, rows_a_read: Sequence[int]) -> Tensor:
    """Conductances as the periphery sees them through the wires of their arrays.

    cells : (G, K, columns x outputs), column-major by place, and the unit column last where there is one; in levels.
    columns : that one weight takes. rows_a_read : rows of each read, in order; they start anew with each array.
    """
    groups, rows, _ = cells.shape
    weights, unit = cells[..., : columns * outputs], cells[..., columns * outputs :]
    an_array = max(1, numerics.array_cols // columns) if numerics.array_cols else outputs
    arrays = -(-outputs // an_array)
    beside = weights.reshape(groups, rows, columns, outputs).transpose(2, 3)
    beside = F.pad(beside, (0, 0, 0, arrays * an_array - outputs)).reshape(groups, rows, arrays, an_array * columns)
    laid = torch.cat([beside, unit[:, :, None].expand(-1, -1, arrays, -1)], dim=3).transpose(1, 2)
    on, parts, start = 2**numerics.cell_bits - 1, [], 0
    for count in rows_a_read:
        first = start % numerics.array_rows if numerics.array_rows else 0
        part = laid[:, :, start : start + count] / on
        parts.append(attenuated(part, numerics.wire_resistance, first=first) * on)
        start += count
    seen = torch.cat(parts, dim=2).transpose(1, 2)
    body = seen[..., : an_array * columns].reshape(groups, rows, arrays * an_array, columns)[:, :, :outputs]
    return torch.cat([body.transpose(2, 3).flatten(2), seen[:, :, 0, an_array * columns :]], dim=2)
