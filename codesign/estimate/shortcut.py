"""A statistical shortcut to the bit-sliced simulation: its mean and variance in one product, for the FAST level.

The analogue side is linear: cells, faults, drift and wires make one effective matrix, whatever the slicing, so that
one product of whole inputs replaces S_a S_w of slices. What the ADCs add is drawn from a normal distribution whose
moments come from calibration inputs once a layer and design. With e(c) = read(c) - c the error of a column sum c,
over input slices i, weight slices s and reads t of rows,

    mean_n     = sum_{i,s,t} 2^(i bd + s bc) E[e_itsn]
    variance_n = sum_{i,s,t} 4^(i bd + s bc) Var[e_itsn]

which is step^2 / 12 inside the range and the clipping error outside of it, without assuming either; noise of reads
and ADCs is drawn into the sample, since a range cuts part of it off. Errors of different reads count as independent:
at coarse steps they are not, and the deviation comes out up to a quarter too small. The unit column has the same
terms, 2^(bits-1) times as large and common to all outputs of a vector; they are drawn once a vector.

Not modelled: errors that depend on the input beyond their variance (a coarse ADC errs alike for alike images), and
the change of ADC errors with one programming's cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from codesign.estimate.crossbar import (
    Crossbar,
    converted,
    driven,
    output_factors,
    read_variance,
    shift_and_add,
    through_wires,
)
from codesign.estimate.integer import Product, sampled

__all__ = ["ReadingError", "approximate_product", "effective_weights", "reading_error"]

_VECTORS = 1024  # input vectors of a layer that the moments are taken over, as many as set its range


@dataclass(frozen=True)
class ReadingError:
    """Moments of what the reads of one array add to its product, float64.

    mean, deviation : (G, 1, N), of each output. shared : (G, 1, 1), deviation of what all outputs of a vector share.
    """

    mean: Tensor
    deviation: Tensor
    shared: Tensor


def effective_weights(crossbar: Crossbar) -> Tensor:
    """The matrix (G, K, N) float64 that the cells stand for, as read without an ADC."""
    cells = crossbar.cells.double()
    if crossbar.gain is not None:
        rows = torch.tensor(crossbar.rows_a_read)
        cells = cells * crossbar.gain.double().repeat_interleave(rows, 0).T[:, :, None]
    return shift_and_add(replace(crossbar, step=1.0, unit_step=1.0), cells)


def reading_error(crossbar: Crossbar, codes: Tensor) -> ReadingError:
    """Moments of the reading error over calibration inputs (G, M, K), for an array before it is realised."""
    seen, numerics = through_wires(crossbar), crossbar.numerics
    chosen = codes[:, sampled(codes.shape[1], _VECTORS)]
    by_input = 2.0 ** (numerics.dac_bits * torch.arange(crossbar.input_slices, dtype=torch.float64))
    steps = torch.full((seen.cells.shape[2],), crossbar.step)
    if not numerics.differential:
        steps[-1] = crossbar.unit_step or 1.0
    mean = torch.zeros(seen.cells.shape[0], seen.cells.shape[2], dtype=torch.float64)
    variance = torch.zeros_like(mean)
    shape = (seen.cells.shape[0], seen.input_slices, chosen.shape[1], -1)
    generator = torch.Generator().manual_seed(0)
    for inputs, cells in driven(seen, chosen):
        sums = torch.bmm(inputs, cells)
        noisy = sums.clone()
        if numerics.read_sigma:
            deviation = read_variance(inputs, cells).sqrt_().mul_(numerics.read_sigma)
            noisy += deviation.mul_(torch.randn(sums.shape, generator=generator))
        error = converted(seen, noisy.reshape(shape), generator).sub_(sums.reshape(shape) / steps)
        mean += torch.einsum("gic,i->gc", error.mean(dim=2).double(), by_input)
        spread = error.var(dim=2, correction=0).double()
        variance += torch.einsum("gic,i->gc", spread, by_input.square())
    return _of_outputs(crossbar, mean, variance)


def _of_outputs(crossbar: Crossbar, mean: Tensor, variance: Tensor) -> ReadingError:
    """Moments of columns in steps, (G, columns), to moments of outputs."""
    of_weights, of_unit = output_factors(crossbar)
    groups = mean.shape[0]
    columns = variance[:, : crossbar.weight_columns].reshape(groups, len(of_weights), crossbar.outputs)
    own = torch.einsum("gcn,c->gn", columns, of_weights.square())
    common = torch.zeros(groups, dtype=torch.float64)
    if not crossbar.numerics.differential:
        common = variance[:, -1] * of_unit**2
    return ReadingError(shift_and_add(crossbar, mean[:, None]), own.sqrt()[:, None], common.sqrt()[:, None, None])


def approximate_product(crossbar: Crossbar, error: ReadingError, generator: torch.Generator) -> Product:
    """The product of a realised array with its reading error drawn anew for every output."""
    weights = effective_weights(crossbar).float()
    mean, deviation, shared = error.mean.float(), error.deviation.float(), error.shared.float()

    def product(codes: Tensor) -> Tensor:
        result = torch.matmul(codes.float(), weights).add_(mean)
        noise = torch.randn(result.shape, generator=generator).mul_(deviation)
        common = torch.randn((*result.shape[:2], 1), generator=generator).mul_(shared)
        return result.add_(noise).add_(common).double()

    return product
