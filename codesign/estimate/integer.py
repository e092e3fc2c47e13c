"""Exact integer products: quantisers, integer matrices, convolutions as matrices.

    x ~ s_x (q - z),   w ~ s_w u      =>      x w ~ s_x s_w (q u - z sum_k u)

q is an unsigned integer of `bits` bits, z its zero point (0 where the tensor is non-negative), u a signed integer
with one scale an output channel. The zero-point correction z sum_k u is kept apart from the product q u, since that
product is what a crossbar computes: its inputs are unsigned. [Jacob et al., CVPR'18, eq. 7]

Products run in float32 while every partial sum stays below 2^24 and in float64 below 2^53: both are exact there, in
any order of summation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hwmodels.workload import ops

__all__ = [
    "IntegerLayer",
    "IntegerMatrix",
    "Product",
    "Quantiser",
    "activation_quantiser",
    "exact_dtype",
    "exact_product",
    "quantise_weights",
    "sampled",
    "unfold",
]

Product = Callable[[Tensor], Tensor]
"""(G, M, K) unsigned integers to (G, M, N) float64: the rows times a matrix, exactly or as hardware does it."""

# Fractions of the largest magnitude that are tried as clipping range; the one of least squared error is taken.
_CLIPS = torch.linspace(1.0, 0.2, 17, dtype=torch.float64)
_SAMPLE = 1 << 14  # values looked at when a clip is chosen; too few to judge the rare tail that 9 bits resolve


def exact_dtype(largest: int) -> torch.dtype:
    """The narrowest float type in which integers up to `largest` in magnitude add up exactly.

    >>> exact_dtype(2**24 - 1), exact_dtype(2**24)
    (torch.float32, torch.float64)
    """
    return torch.float32 if largest < 1 << 24 else torch.float64


def sampled(population: int, size: int) -> Tensor:
    """Sorted indices of a fixed random sample of at most `size`.

    Evenly spaced indices would meet the same columns of every image where the spacing divides its width.
    """
    if population <= size:
        return torch.arange(population)
    return torch.randperm(population, generator=torch.Generator().manual_seed(0))[:size].sort().values


@dataclass(frozen=True)
class Quantiser:
    """x ~ scale (q - zero) with q in [0, 2^bits - 1]."""

    scale: float
    zero: int
    bits: int

    def integers(self, x: Tensor) -> Tensor:
        """Nearest codes, clamped; uint8 up to 8 bits, int32 above."""
        codes = torch.round(x * (1 / self.scale)).add_(self.zero).clamp_(0, 2**self.bits - 1)
        return codes.to(torch.uint8 if self.bits <= 8 else torch.int32)

    def reals(self, codes: Tensor) -> Tensor:
        """What the codes stand for, float32."""
        return (codes.double() - self.zero).mul_(self.scale).float()


def activation_quantiser(values: Tensor, bits: int) -> Quantiser:
    """Range of one tensor from calibration values: the clip of least squared error, above 8 bits the full range.

    Unsigned (zero point 0) where no value is negative, affine otherwise; zero is always a code.
    """
    flat = values.flatten().double()
    sample = flat[sampled(flat.numel(), _SAMPLE)]
    low, high = min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)
    if high == low:
        return Quantiser(1.0, 0, bits)
    levels = 2**bits - 1
    best, least = Quantiser(1.0, 0, bits), float("inf")
    for clip in _CLIPS.tolist() if bits <= 8 else [1.0]:
        scale = (high - low) * clip / levels
        zero = round(-low * clip / scale)
        codes = torch.round(sample / scale).add_(zero).clamp_(0, levels)
        error = float(((codes - zero) * scale - sample).square().mean())
        if error < least:
            best, least = Quantiser(scale, zero, bits), error
    return best


def quantise_weights(weights: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Symmetric integers and scale of each output channel, by the clip of least squared error.

    Parameters
    ----------
    weights : (N, ...) float.
    bits : at least 2; codes are within +-(2^(bits-1) - 1).

    Returns
    -------
    codes : (N, ...) float64 holding integers.
    scale : (N,) float64, positive.
    """
    rows = weights.double().flatten(1)
    largest = 2 ** (bits - 1) - 1
    peak = rows.abs().amax(dim=1)
    peak = torch.where(peak > 0, peak, torch.ones_like(peak))
    scale, least = peak / largest, torch.full_like(peak, float("inf"))
    for clip in _CLIPS.tolist():
        trial = peak * clip / largest
        codes = torch.round(rows / trial[:, None]).clamp_(-largest, largest)
        error = (codes * trial[:, None] - rows).square().sum(dim=1)
        scale = torch.where(error < least, trial, scale)
        least = torch.minimum(error, least)
    codes = torch.round(rows / scale[:, None]).clamp_(-largest, largest)
    return codes.reshape(weights.shape), scale


@dataclass(frozen=True)
class IntegerMatrix:
    """The stationary operand of a product: signed integers (G, K, N) with the bits of both operands."""

    name: str
    values: Tensor
    weight_bits: int
    input_bits: int

    @property
    def rows(self) -> int:
        """Reduction length K."""
        return self.values.shape[1]


def exact_product(matrix: IntegerMatrix) -> Product:
    """The product itself, exact: the reference of every hardware."""
    largest = matrix.rows * (2**matrix.input_bits - 1) * 2 ** (matrix.weight_bits - 1)
    dtype = exact_dtype(largest)
    values = matrix.values.to(dtype)

    def product(codes: Tensor) -> Tensor:
        return torch.matmul(codes.to(dtype), values).double()

    return product


@dataclass(frozen=True)
class IntegerLayer:
    """One quantised affine map: integers in, real numbers out.

    scale : (G, 1, N) float64, s_x s_w of each output channel.
    bias : (G, 1, N) float64, added in the digital domain.
    """

    matrix: IntegerMatrix
    quantiser: Quantiser
    scale: Tensor
    bias: Tensor

    def apply(self, codes: Tensor, product: Product) -> Tensor:
        """(G, M, K) codes to (G, M, N) float32 by way of `product`."""
        correction = self.quantiser.zero * self.matrix.values.sum(dim=1, keepdim=True)
        return ((product(codes) - correction) * self.scale + self.bias).float()


def unfold(codes: Tensor, operator: ops.Conv2d, zero: int) -> tuple[Tensor, tuple[int, int]]:
    """Windows of a convolution as rows; padding is the code of zero.

    Parameters
    ----------
    codes : (B, C, H, W) integers.

    Returns
    -------
    rows : (G, B OH OW, K), K ordered kernel row, kernel column, channel.
    size : OH, OW.
    """
    (pad_h, pad_w), groups = operator.padding, operator.groups
    x = F.pad(codes, (pad_w, pad_w, pad_h, pad_h), value=zero).permute(0, 2, 3, 1).contiguous()
    batch, height, width, channels = x.shape
    extents = [d * (k - 1) + 1 for d, k in zip(operator.dilation, operator.kernel, strict=True)]
    out_h = (height - extents[0]) // operator.stride[0] + 1
    out_w = (width - extents[1]) // operator.stride[1] + 1
    step_b, step_h, step_w, _ = x.stride()
    windows = x.as_strided(
        (groups, batch, out_h, out_w, *operator.kernel, channels // groups),
        (
            channels // groups,
            step_b,
            step_h * operator.stride[0],
            step_w * operator.stride[1],
            step_h * operator.dilation[0],
            step_w * operator.dilation[1],
            1,
        ),
    )
    return windows.reshape(groups, batch * out_h * out_w, -1), (out_h, out_w)
