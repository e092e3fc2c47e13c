"""Float formats narrower than float32, simulated: rounding to a mantissa within a range of exponents.

With e exponent bits, m mantissa bits and bias 2^(e-1) - 1, a number x is rounded, ties to even, to a multiple of

    step(x) = 2^(max(floor(log2 |x|), 1 - bias) - m)

so that subnormal numbers are kept. Formats with at least 5 exponent bits overflow to infinity, as IEEE 754 has it;
those with fewer spend no exponent on infinities and saturate at their largest number: 448 in e4m3, whose last code
is a NaN, and 6 in e2m1. [OCP 8-bit Floating Point Specification, 2023; OCP Microscaling Formats v1.0]

Formats of at most 8 bits have too small a range for tensors as they are: a tensor is scaled so that its largest
magnitude is the format's, weights by output channel, activations by a range seen on training data.
[Micikevicius et al., FP8 formats for deep learning, arXiv:2209.05433]

Not modelled: sums rounded to a narrow format, flushing of subnormal numbers, stochastic rounding, block scales.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hwmodels.workload.formats import Format

__all__ = ["activation_scale", "largest_finite", "round_to_format", "rounded", "rounded_weights"]

_SCALED_BITS = 8  # formats up to this width are scaled
_NO_INFINITY_BELOW = 5  # exponent bits


def largest_finite(exponent_bits: int, mantissa_bits: int) -> float:
    """The largest number of a format.

    >>> [largest_finite(*widths) for widths in ((2, 1), (4, 3), (5, 2), (5, 10))]
    [6.0, 448.0, 57344.0, 65504.0]
    """
    bias = 2 ** (exponent_bits - 1) - 1
    if exponent_bits >= _NO_INFINITY_BELOW:
        return float(2.0**bias * (2 - 2.0**-mantissa_bits))
    last_is_nan = exponent_bits + mantissa_bits == 7
    return float(2.0 ** (bias + 1) * (2 - 2.0 ** -(mantissa_bits - last_is_nan)))


def round_to_format(tensor: Tensor, exponent_bits: int, mantissa_bits: int) -> Tensor:
    """The nearest numbers of a float format, ties to even, as float32.

    tensor : any shape, floating point. exponent_bits : 2 to 8. mantissa_bits : 1 to 23.

    >>> round_to_format(torch.tensor([0.3, 70000.0, 3e-8]), 5, 10).tolist()
    [0.300048828125, inf, 5.960464477539063e-08]
    """
    values = tensor.double()
    _, exponent = torch.frexp(values)  # |x| = f 2^exponent with 0.5 <= f < 1
    least = 2 - 2 ** (exponent_bits - 1)
    step = torch.ldexp(torch.ones_like(values), (exponent - 1).clamp(min=least) - mantissa_bits)
    found = torch.where(values.isfinite(), torch.round(values / step) * step, values)
    largest = largest_finite(exponent_bits, mantissa_bits)
    if exponent_bits < _NO_INFINITY_BELOW:
        return found.clamp(-largest, largest).float()
    return torch.where(found.abs() > largest, torch.copysign(torch.full_like(found, torch.inf), found), found).float()


def rounded(tensor: Tensor, given: Format, scale: Tensor | float = 1.0) -> Tensor:
    """`tensor` in the numbers of a format times a scale; float32 and wider leave it."""
    if given.mantissa_bits >= 23:
        return tensor
    return round_to_format(tensor / scale, given.exponent_bits, given.mantissa_bits) * scale


def activation_scale(values: Tensor, given: Format) -> float:
    """The scale that brings calibration values into the range of a format of at most 8 bits; 1 for wider ones."""
    peak = float(values.abs().max()) if values.numel() else 0.0
    if given.bits > _SCALED_BITS or peak == 0.0:
        return 1.0
    return peak / largest_finite(given.exponent_bits, given.mantissa_bits)


def rounded_weights(weights: Tensor, given: Format) -> Tensor:
    """Weights (N, ...) in a format, those of at most 8 bits with a scale an output channel."""
    if given.bits > _SCALED_BITS:
        return rounded(weights, given)
    peak = weights.flatten(1).abs().amax(dim=1)
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    scale = peak / largest_finite(given.exponent_bits, given.mantissa_bits)
    return rounded(weights, given, scale.reshape(-1, *[1] * (weights.dim() - 1)))
