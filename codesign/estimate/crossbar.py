"""Functional simulation of a bit-sliced analog crossbar: what its reads do to the numbers of one matrix product.

An input code is applied `dac_bits` at a time, a weight is spread over cells of `cell_bits`, `active_rows` rows add
up on a column, an ADC reads the column, and the readings are shifted and added:

    y = sum_i sum_s 2^(i dac_bits + s cell_bits) sum_t step round(clamp(X_it G_ts / step))

[Shafiee et al., ISCA'16 (ISAAC); Peng et al., IEDM'19 (NeuroSim)]. All slices of a layer are one batched GEMM. A
matrix of more rows than an array starts anew with each array, as the mapping of the cost model does.

Signs. Offset encoding stores w + 2^(bits-1) and subtracts 2^(bits-1) times a unit column, whose cells hold 1.
Differential encoding stores the positive and the negative magnitudes on two columns and subtracts the readings.

ADC. Codes 0 .. 2^b - 1, rounded to nearest, clamped. The range starts at zero. Full scale ends at the largest sum
that `active_rows` cells can make; `codesign.estimate.ranges` fits it to data. The unit column has a range of its own
(a programmable reference is ASSUMED). A step is never below one level, so an ADC with enough bits reads exact
integers. `adc_noise_lsb` adds a normal deviate before rounding.

Cells. Off state, programming variation, drift and faults: `codesign.estimate.cells`. An off state that conducts adds
a known multiple of the sum of inputs to every column: the unit column, or the second column, takes it away again.
Wires: `codesign.estimate.wires`. Read noise: each cell's current times 1 + N(0, read_sigma) at every read, drawn as
one normal deviate a column sum of the same variance, sigma^2 sum x^2 G^2, which is the same distribution.

Not modelled: ADC nonlinearity beyond noise, cells or selectors that are not ohmic, DAC errors, temperature, and what
the files above leave out. Products of two activations and everything that is not a product are digital.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from codesign.estimate.cells import conductances, drift_factors, programmed, with_stuck
from codesign.estimate.integer import IntegerMatrix, Product, exact_dtype
from codesign.estimate.wires import wired
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics

__all__ = [
    "Crossbar",
    "column_sums",
    "converted",
    "driven",
    "is_lossless",
    "largest_sum",
    "output_factors",
    "program",
    "read_variance",
    "realised",
    "shift_and_add",
    "sliced_product",
    "through_wires",
]

_BLOCK = 1 << 18  # column sums held at once: 1 MB of float32, about one core's second-level cache


@dataclass(frozen=True)
class Crossbar:
    """One integer matrix as it stands in the array, and how it is read.

    cells : (G, K, S N + 1) float, offset: columns slice-major, the unit column last;
        (G, K, 2 S N) differential: positive slices, then negative ones. Conductances in levels.
    slices : S.
    step : ADC step of the weight columns, in cell levels times input levels; at least 1.
    unit_step : ADC step of the unit column; 0 where the digital side adds up the inputs instead.
    bottom : where the range of the weight columns starts; below zero for inputs of both signs.
    gain : (reads of the rows, G) what readings are multiplied by against drift, or None.
    """

    matrix: IntegerMatrix
    numerics: Numerics
    cells: Tensor
    slices: int
    step: float = 1.0
    unit_step: float = 1.0
    bottom: float = 0.0
    gain: Tensor | None = None

    @property
    def input_slices(self) -> int:
        return -(-self.matrix.input_bits // self.numerics.dac_bits)

    @property
    def outputs(self) -> int:
        """Outputs a group, N."""
        return self.matrix.values.shape[2]

    @property
    def weight_columns(self) -> int:
        """Columns a group without the unit column."""
        return self.slices * self.outputs * (2 if self.numerics.differential else 1)

    @property
    def rows_a_read(self) -> list[int]:
        """Rows of each read: `active_rows` and what is left, array by array."""
        active, rows = self.numerics.active_rows, self.matrix.rows
        an_array = self.numerics.array_rows or rows
        return [
            min(active, end - start)
            for first in range(0, rows, an_array)
            for end in [min(first + an_array, rows)]
            for start in range(first, end, active)
        ]


def program(matrix: IntegerMatrix, numerics: Numerics) -> Crossbar:
    """Slice a matrix into cells and set full-scale ADC ranges.

    Raises
    ------
    SpecError : numerics that are not a crossbar's, or operands that are too wide to be sliced.
    """
    if min(numerics.cell_bits, numerics.dac_bits, numerics.active_rows, numerics.adc_bits) < 1:
        raise SpecError("numerics", tuple(numerics), "a crossbar: cell, DAC, ADC bits and rows of at least 1")
    groups, rows, _ = matrix.values.shape
    signed, bits = matrix.values.to(torch.int64), matrix.weight_bits
    if numerics.differential:
        planes, digits = [signed.clamp(min=0), (-signed).clamp(min=0)], bits - 1
    else:
        planes, digits = [signed + 2 ** (bits - 1)], bits
    slices = -(-digits // numerics.cell_bits)
    places = torch.arange(slices).mul(numerics.cell_bits)[:, None]
    mask = 2**numerics.cell_bits - 1
    columns = [(plane[:, :, None] >> places & mask).flatten(2) for plane in planes]
    if not numerics.differential:
        columns.append(torch.ones(groups, rows, 1, dtype=torch.int64))
    full_scale = numerics.active_rows * (2**numerics.dac_bits - 1)
    levels = torch.cat(columns, dim=2).to(exact_dtype(full_scale * mask))
    steps = (_step(full_scale * mask, numerics.adc_bits), _step(full_scale, numerics.adc_bits))
    return Crossbar(matrix, numerics, conductances(levels, numerics), slices, *steps)


def _step(largest: float, adc_bits: int) -> float:
    return max(1.0, float(largest / (2**adc_bits - 1)))


def is_lossless(crossbar: Crossbar) -> bool:
    """Whether every reading is exact, so that the product is the plain integer one."""
    if not crossbar.numerics.is_ideal or max(crossbar.step, crossbar.unit_step) > 1:
        return False
    return bool(largest_sum(crossbar) <= 2**crossbar.numerics.adc_bits - 1)


def largest_sum(crossbar: Crossbar) -> float:
    """The largest column sum that the stored cells can make."""
    largest = max(float(part.sum(dim=1).max()) for part in torch.split(crossbar.cells, crossbar.rows_a_read, 1))
    return largest * float(2**crossbar.numerics.dac_bits - 1)


def realised(crossbar: Crossbar, generator: torch.Generator) -> Crossbar:
    """The array as one programming, its faults, time and its wires leave it; ranges stay."""
    numerics, target = crossbar.numerics, crossbar.cells
    written = programmed(target, numerics, generator)
    now = written * drift_factors(written, numerics, generator)
    if numerics.stuck_off + numerics.stuck_on > 0:
        chance = torch.rand(target.shape, generator=generator)
        written, now = (with_stuck(cells, numerics, chance) for cells in (written, now))
    if crossbar.unit_step == 0 and not numerics.differential:
        now = torch.cat([now[..., :-1], target[..., -1:]], dim=2)
    gain = _lost(crossbar, written, now) if numerics.drift_compensated else None
    return through_wires(replace(crossbar, cells=now, gain=gain))


def through_wires(crossbar: Crossbar) -> Crossbar:
    """The array with the conductances that remain through its wires."""
    if not crossbar.numerics.wire_resistance:
        return crossbar
    columns = crossbar.weight_columns // crossbar.outputs
    rows = crossbar.rows_a_read
    seen = wired(crossbar.cells, crossbar.numerics, columns=columns, outputs=crossbar.outputs, rows_a_read=rows)
    return replace(crossbar, cells=seen)


def _lost(crossbar: Crossbar, written: Tensor, now: Tensor) -> Tensor:
    """By how much a reference read of all cells of an array has fallen, for each read of rows, (reads, G)."""
    an_array = crossbar.numerics.array_rows or crossbar.numerics.active_rows
    arrays = (torch.split(cells, an_array, 1) for cells in (written, now))
    gains = [before.sum(dim=(1, 2)) / after.sum(dim=(1, 2)) for before, after in zip(*arrays, strict=True)]
    starts = torch.tensor([0, *crossbar.rows_a_read[:-1]]).cumsum(0)
    return torch.stack([gains[int(start) // an_array] for start in starts])


def sliced_product(crossbar: Crossbar, generator: torch.Generator | None = None) -> Product:
    """The product as the crossbar reads it, also where the ADC loses nothing.

    generator : of what is drawn anew at every read; without it there is no such noise.
    """
    numerics, reads = crossbar.numerics, len(crossbar.rows_a_read)
    # The sum over tiles and input slices stays exact: largest reading, times tiles, times the place values.
    dtype = exact_dtype(reads * (2**numerics.adc_bits - 1) * 2 ** (crossbar.input_slices * numerics.dac_bits))

    def product(codes: Tensor) -> Tensor:
        groups, count, _ = codes.shape
        result = torch.empty(groups, count, crossbar.outputs, dtype=torch.float64)
        block = max(1, _BLOCK // (groups * crossbar.input_slices * crossbar.cells.shape[2]))
        for start in range(0, count, block):
            rows = codes[:, start : start + block]
            readings = torch.zeros(groups, rows.shape[1], crossbar.cells.shape[2], dtype=dtype)
            for index, sums in enumerate(column_sums(crossbar, rows, generator)):
                read = converted(crossbar, sums, generator)
                if crossbar.gain is not None:
                    read.mul_(crossbar.gain[index, :, None, None, None])
                _shift_and_add_inputs(numerics, read, readings)
            result[:, start : start + block] = shift_and_add(crossbar, readings.double())
        return result

    return product


def column_sums(crossbar: Crossbar, codes: Tensor, generator: torch.Generator | None = None) -> Iterator[Tensor]:
    """(G, M, K) codes to the sums (G, S_a, M, columns) of one read of rows after the other.

    All slices of inputs and weights are one GEMM; read noise is a second one, of the squares.
    """
    shape, sigma = (codes.shape[0], crossbar.input_slices, codes.shape[1], -1), crossbar.numerics.read_sigma
    for inputs, cells in driven(crossbar, codes):
        sums = torch.bmm(inputs, cells)
        if generator is not None and sigma > 0:
            deviation = read_variance(inputs, cells).sqrt_().mul_(sigma)
            sums += deviation.mul_(torch.randn(sums.shape, generator=generator))
        yield sums.reshape(shape)


def read_variance(inputs: Tensor, cells: Tensor) -> Tensor:
    """Variance of a read of driven rows for a read noise of 1: sum of x^2 G^2."""
    return torch.bmm(inputs.square(), cells.square())


def driven(crossbar: Crossbar, codes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (G, S_a M, rows) of one read of rows after the other, and the cells (G, rows, columns) they drive."""
    numerics, slices = crossbar.numerics, crossbar.input_slices
    groups, count, _ = codes.shape
    reads = (torch.split(operand, crossbar.rows_a_read, axis) for operand, axis in ((codes, 2), (crossbar.cells, 1)))
    for part, cells in zip(*reads, strict=True):
        digits = part[:, None]
        if slices > 1:
            places = torch.arange(0, slices * numerics.dac_bits, numerics.dac_bits, dtype=codes.dtype)
            digits = (digits >> places[:, None, None]) & (2**numerics.dac_bits - 1)
        yield digits.reshape(groups, slices * count, -1).to(cells.dtype), cells


def converted(crossbar: Crossbar, sums: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Column sums to readings in steps, in place."""
    numerics, top = crossbar.numerics, 2**crossbar.numerics.adc_bits - 1
    if crossbar.step == crossbar.unit_step or numerics.differential:
        sums.mul_(1 / crossbar.step)
    else:
        sums[..., :-1].mul_(1 / crossbar.step)
        sums[..., -1].mul_(1 / (crossbar.unit_step or 1.0))
    if generator is not None and numerics.adc_noise_lsb > 0:
        sums += torch.randn(sums.shape, generator=generator).mul_(numerics.adc_noise_lsb)
    weights = sums if numerics.differential or crossbar.unit_step else sums[..., :-1]
    if crossbar.bottom:
        start = crossbar.bottom / crossbar.step
        weights.sub_(start).round_().clamp_(0, top).add_(start)
    else:
        weights.round_().clamp_(0, top)
    return sums


def _shift_and_add_inputs(numerics: Numerics, readings: Tensor, total: Tensor) -> None:
    """Add the readings (G, S_a, M, columns) of one tile by place value to `total` (G, M, columns)."""
    for index in range(readings.shape[1]):
        total.add_(readings[:, index], alpha=2 ** (index * numerics.dac_bits))


def shift_and_add(crossbar: Crossbar, readings: Tensor) -> Tensor:
    """Summed readings in steps (G, M, columns) to products (G, M, N), both float64."""
    groups, count, _ = readings.shape
    of_weights, of_unit = output_factors(crossbar)
    shape = (groups, count, len(of_weights), crossbar.outputs)
    value: Tensor = torch.einsum("gmcn,c->gmn", readings[..., : crossbar.weight_columns].reshape(shape), of_weights)
    return value if crossbar.numerics.differential else value.add_(readings[..., -1:], alpha=of_unit)


def output_factors(crossbar: Crossbar) -> tuple[Tensor, float]:
    """What one step of each column of a weight, (columns a weight,), and of the unit column is worth in the product.

    With r the off conductance and L the on state, a column of levels reads (1 - r) S + r L X and the unit column
    ((1 - r) + r L) X, X the sum of inputs; S follows from both.
    """
    numerics, off = crossbar.numerics, crossbar.numerics.off_conductance
    places = 2.0 ** (numerics.cell_bits * torch.arange(crossbar.slices, dtype=torch.float64))
    of_weights = places * (crossbar.step / (1 - off))
    if numerics.differential:
        return torch.cat([of_weights, -of_weights]), 0.0
    leak = off * (2**numerics.cell_bits - 1)
    offset = 2 ** (crossbar.matrix.weight_bits - 1) + leak * float(places.sum()) / (1 - off)
    return of_weights, -offset * (crossbar.unit_step or 1.0) / (1 - off + leak)
