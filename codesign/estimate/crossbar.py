"""Functional simulation of a bit-sliced analog crossbar: what its reads do to a network's numbers.

An input code is applied `dac_bits` at a time, a weight is spread over cells of `cell_bits`, `active_rows` rows add
up on a column, an ADC reads the column, and the readings are shifted and added:

    y = sum_i sum_s 2^(i dac_bits + s cell_bits) sum_t step round(clamp(X_it G_ts / step))

[Shafiee et al., ISCA'16 (ISAAC); Peng et al., IEDM'19 (NeuroSim)]. All slices of a layer are one batched GEMM.

Signs. Offset encoding stores w + 2^(bits-1) and subtracts 2^(bits-1) times a unit column, whose cells hold 1.
Differential encoding stores the positive and the negative magnitudes on two columns and subtracts the readings.

ADC. Codes 0 .. 2^b - 1, rounded to nearest, clamped. The range starts at zero. Full scale ends at the largest sum
that `active_rows` cells can make; a calibrated range ends where the squared error over the column sums of a part of
the training split is least, each sum weighted by its place value. The unit column has a range of its own (a
programmable reference is ASSUMED). A step is never below one level, so an ADC with enough bits reads exact integers.

Variation. Each cell's conductance is multiplied by 1 + N(0, sigma), drawn once a programming; ranges stay.

Not modelled: on/off ratio, wire resistance, drift, stuck cells, read noise, ADC nonlinearity. Products of two
activations and everything that is not a product are digital.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codesign.estimate.integer import IntegerMatrix, Product, exact_dtype, exact_product, sampled
from codesign.estimate.quantise import QuantisedNetwork
from hwmodels.errors import SpecError
from hwmodels.numerics import Numerics

__all__ = [
    "Crossbar",
    "calibrated",
    "is_lossless",
    "program",
    "program_network",
    "read_products",
    "sliced_product",
    "with_variation",
]

_BLOCK = 1 << 18  # column sums held at once: 1 MB of float32, about one core's second-level cache
_BINS = 1 << 12  # column sums are binned to at most so many values when a range is calibrated
_VECTORS = 1024  # input vectors of a layer that its ADC range is calibrated on
_STEPS = 64  # candidate steps, geometric from one level to the largest sum; the same for every number of ADC bits


@dataclass(frozen=True)
class Crossbar:
    """One integer matrix as it stands in the array, and how it is read.

    cells : (G, K, S N + 1) float, offset: columns slice-major, the unit column last;
        (G, K, 2 S N) differential: positive slices, then negative ones. Every `active_rows` rows are read at once.
    slices : S.
    step : ADC step of the weight columns, in cell levels times input levels; at least 1.
    unit_step : the same of the unit column.
    """

    matrix: IntegerMatrix
    numerics: Numerics
    cells: Tensor
    slices: int
    step: float = 1.0
    unit_step: float = 1.0

    @property
    def input_slices(self) -> int:
        return -(-self.matrix.input_bits // self.numerics.dac_bits)

    @property
    def outputs(self) -> int:
        """Outputs a group, N."""
        return self.matrix.values.shape[2]


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
    return Crossbar(
        matrix,
        numerics,
        torch.cat(columns, dim=2).to(exact_dtype(full_scale * mask)),
        slices,
        _step(full_scale * mask, numerics.adc_bits),
        _step(full_scale, numerics.adc_bits),
    )


def _step(largest: float, adc_bits: int) -> float:
    return max(1.0, float(largest / (2**adc_bits - 1)))


def is_lossless(crossbar: Crossbar) -> bool:
    """Whether every reading is exact, so that the product is the plain integer one."""
    if crossbar.numerics.conductance_sigma > 0 or max(crossbar.step, crossbar.unit_step) > 1:
        return False
    return _largest_sum(crossbar) <= int(2**crossbar.numerics.adc_bits - 1)


def _largest_sum(crossbar: Crossbar) -> int:
    """The largest column sum that the stored cells can make."""
    largest = max(int(tile.sum(dim=1).max()) for tile in torch.split(crossbar.cells, crossbar.numerics.active_rows, 1))
    return largest * int(2**crossbar.numerics.dac_bits - 1)


def with_variation(crossbar: Crossbar, generator: torch.Generator) -> Crossbar:
    """One programming: every cell times 1 + N(0, conductance_sigma)."""
    factors = torch.randn(crossbar.cells.shape, generator=generator).mul_(crossbar.numerics.conductance_sigma).add_(1)
    return Crossbar(
        crossbar.matrix,
        crossbar.numerics,
        crossbar.cells * factors,
        crossbar.slices,
        crossbar.step,
        crossbar.unit_step,
    )


def sliced_product(crossbar: Crossbar) -> Product:
    """The product as the crossbar reads it, also where the ADC loses nothing."""
    numerics = crossbar.numerics
    tiles = -(-crossbar.matrix.rows // numerics.active_rows)
    # The sum over tiles and input slices stays exact: largest reading, times tiles, times the place values.
    dtype = exact_dtype(tiles * (2**numerics.adc_bits - 1) * 2 ** (crossbar.input_slices * numerics.dac_bits))

    def product(codes: Tensor) -> Tensor:
        groups, count, _ = codes.shape
        result = torch.empty(groups, count, crossbar.outputs, dtype=torch.float64)
        block = max(1, _BLOCK // (groups * crossbar.input_slices * crossbar.cells.shape[2]))
        for start in range(0, count, block):
            rows = codes[:, start : start + block]
            readings = torch.zeros(groups, rows.shape[1], crossbar.cells.shape[2], dtype=dtype)
            for sums in _column_sums(crossbar, rows):
                _shift_and_add_inputs(numerics, _read(crossbar, sums), readings)
            result[:, start : start + block] = _shift_and_add_weights(crossbar, readings.double())
        return result

    return product


def _column_sums(crossbar: Crossbar, codes: Tensor) -> Iterator[Tensor]:
    """(G, M, K) codes to the sums (G, S_a, M, columns) of one tile of active rows after the other.

    All slices of inputs and weights are one GEMM.
    """
    numerics, slices = crossbar.numerics, crossbar.input_slices
    groups, count, _ = codes.shape
    tiles = (torch.split(operand, numerics.active_rows, axis) for operand, axis in ((codes, 2), (crossbar.cells, 1)))
    for part, cells in zip(*tiles, strict=True):
        digits = part[:, None]
        if slices > 1:
            places = torch.arange(0, slices * numerics.dac_bits, numerics.dac_bits, dtype=codes.dtype)
            digits = (digits >> places[:, None, None]) & (2**numerics.dac_bits - 1)
        inputs = digits.reshape(groups, slices * count, -1).to(cells.dtype)
        yield torch.bmm(inputs, cells).reshape(groups, slices, count, -1)


def _read(crossbar: Crossbar, sums: Tensor) -> Tensor:
    """Column sums to ADC codes, in place."""
    if crossbar.step == crossbar.unit_step or crossbar.numerics.differential:
        sums.mul_(1 / crossbar.step)
    else:
        sums[..., :-1].mul_(1 / crossbar.step)
        sums[..., -1].mul_(1 / crossbar.unit_step)
    return sums.round_().clamp_(0, 2**crossbar.numerics.adc_bits - 1)


def _shift_and_add_inputs(numerics: Numerics, readings: Tensor, total: Tensor) -> None:
    """Add the readings (G, S_a, M, columns) of one tile by place value to `total` (G, M, columns)."""
    for index in range(readings.shape[1]):
        total.add_(readings[:, index], alpha=2 ** (index * numerics.dac_bits))


def _shift_and_add_weights(crossbar: Crossbar, readings: Tensor) -> Tensor:
    """Summed readings (G, M, columns) to products (G, M, N), both float64."""
    groups, count, _ = readings.shape
    slices, outputs = crossbar.slices, crossbar.outputs
    width = slices * outputs
    places = 2.0 ** (crossbar.numerics.cell_bits * torch.arange(slices, dtype=torch.float64))
    shape = (groups, count, slices, outputs)
    value: Tensor = torch.einsum("gmsn,s->gmn", readings[..., :width].reshape(shape), places)
    if crossbar.numerics.differential:
        value -= torch.einsum("gmsn,s->gmn", readings[..., width:].reshape(shape), places)
        return value.mul_(crossbar.step)
    offset = 2 ** (crossbar.matrix.weight_bits - 1) * crossbar.unit_step
    return value.mul_(crossbar.step).sub_(readings[..., width:] * offset)


def calibrated(crossbar: Crossbar, codes: Tensor) -> Crossbar:
    """The same array with the ADC ranges of least squared error over `codes`, (G, M, K) training inputs.

    A column sum of input slice i and weight slice s counts with weight 4^(i dac_bits + s cell_bits).
    """
    numerics, outputs = crossbar.numerics, crossbar.outputs
    if 2**numerics.adc_bits - 1 >= _largest_sum(crossbar):
        steps = (1.0, 1.0)
    else:
        sums = torch.stack(list(_column_sums(crossbar, codes[:, sampled(codes.shape[1], _VECTORS)])))
        width = crossbar.slices * outputs * (2 if numerics.differential else 1)
        by_input = 4.0 ** (numerics.dac_bits * torch.arange(crossbar.input_slices))
        by_weight = 4.0 ** (numerics.cell_bits * (torch.arange(width) // outputs % crossbar.slices))
        step = _fitted_step(sums[..., :width], by_input[:, None, None] * by_weight, numerics.adc_bits)
        unit = sums[..., width:]
        steps = (step, _fitted_step(unit, by_input[:, None, None], numerics.adc_bits) if unit.numel() else 1.0)
    return Crossbar(crossbar.matrix, numerics, crossbar.cells, crossbar.slices, steps[0], steps[1])


def _fitted_step(sums: Tensor, weights: Tensor, adc_bits: int) -> float:
    """The step whose range [0, (2^b - 1) step] minimises the weighted squared error of `sums`."""
    largest = float(sums.max())
    if largest <= 2**adc_bits - 1:
        return 1.0
    width = max(1.0, largest / (_BINS - 1))
    bins = torch.round(sums / width).long().flatten()
    mass = torch.bincount(bins, weights=weights.expand(sums.shape).flatten().double())
    centres = torch.arange(len(mass), dtype=torch.float64) * width
    best, least = 1.0, float("inf")
    for step in np.geomspace(1.0, largest, _STEPS).tolist():
        read = torch.round(centres / step).clamp_(max=2**adc_bits - 1) * step
        error = float((mass * (read - centres).square()).sum())
        if error < least:
            best, least = step, error
    return best


def program_network(network: QuantisedNetwork, numerics: Numerics, calibration: Tensor) -> dict[str, Crossbar]:
    """Program every stationary matrix of a network, by name; ranges calibrated where the numerics ask for it.

    calibration : (B, ...) training inputs; they run through the exact integer network.
    """
    arrays = {matrix.name: program(matrix, numerics) for matrix in network.matrices}
    if not numerics.adc_calibrated:
        return arrays
    seen: dict[str, list[Tensor]] = {name: [] for name in arrays}

    def watched(matrix: IntegerMatrix) -> Product:
        exact = exact_product(matrix)

        def product(codes: Tensor) -> Tensor:
            seen[matrix.name].append(codes)
            return exact(codes)

        return product

    network(calibration, products={matrix.name: watched(matrix) for matrix in network.matrices})
    return {name: calibrated(array, torch.cat(seen[name], dim=1)) for name, array in arrays.items()}


def read_products(arrays: Mapping[str, Crossbar], seed: int, draw: int) -> dict[str, Product]:
    """The product of each array in one programming; the plain integer one where the reading loses nothing.

    The variation of the i-th array comes from a generator of its own, seeded with (seed, i, draw).
    """
    products: dict[str, Product] = {}
    for index, (name, array) in enumerate(arrays.items()):
        if is_lossless(array):
            products[name] = exact_product(array.matrix)
            continue
        if array.numerics.conductance_sigma > 0:
            state = np.random.SeedSequence((seed, index, draw)).generate_state(1, np.uint64)
            array = with_variation(array, torch.Generator().manual_seed(int(state[0] >> np.uint64(1))))
        products[name] = sliced_product(array)
    return products
