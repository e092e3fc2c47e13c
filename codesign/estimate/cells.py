"""What programming, faults and time do to the conductance of a cell.

Conductances are in cell levels: a cell of b bits holds 0 .. L with L = 2^b - 1, and its on state is L.

    off state     g = (1 - r) level + r L                        r = off / on conductance
    proportional  g (1 + s N)                                    N standard normal, drawn once a programming
    lognormal     g exp(s N - s^2 / 2)                           mean kept: exp(s N) alone has exp(s^2 / 2)
    independent   g + s L N
    pcm           g + s L (0.26348 + 1.9650 x - 1.1731 x^2) / 25 N,   x = g / L, in uS of 25 uS   [NANDAKUMAR]
    drift         g (t / t0)^-nu,   nu normal over cells; on phase-change memory
                  mean clip(-0.0155 ln x + 0.0244, 0.049, 0.1), deviation clip(-0.0125 ln x - 0.0059, 0.008, 0.045)
                  [JOSHI]
    stuck         r L or L, whatever was written and however long ago

[NANDAKUMAR] Nandakumar et al., ICECS 2019. [JOSHI] Joshi et al., Nature Communications 11, 2020; both with the
constants of the open toolkit that its authors keep [Rasch et al., AICAS 2021]. Faults are laid over the sliced cells:
a stuck cell of the highest slice is worth 2^(bits - cell bits) of the lowest.

Not modelled: correlation between neighbouring cells, retention towards a state, random telegraph noise, cells that
are verified and written again.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hwmodels.numerics import DRIFT_START_S, VARIATIONS, Numerics

__all__ = ["conductances", "drift_factors", "programmed", "with_stuck"]

_PCM_NOISE_US = (0.26348, 1.9650, -1.1731)  # [NANDAKUMAR] programming noise over x, in uS
_PCM_ON_US = 25.0  # [NANDAKUMAR] largest conductance
_NU_MEAN = (-0.0155, 0.0244, 0.049, 0.1)  # [JOSHI] slope over ln x, intercept, least, largest
_NU_DEVIATION = (-0.0125, -0.0059, 0.008, 0.045)  # [JOSHI] the deviation, in the same order
_LEAST_STATE = 1e-6  # of x where its logarithm is taken; the clips hold from x = 0.0077 down


def conductances(levels: Tensor, numerics: Numerics) -> Tensor:
    """Target conductances of integer levels, any shape, in levels; the levels themselves where a cell turns off."""
    if not numerics.off_conductance:
        return levels
    return levels * (1 - numerics.off_conductance) + numerics.off_conductance * _on(numerics)


def programmed(target: Tensor, numerics: Numerics, generator: torch.Generator) -> Tensor:
    """Conductances after one programming, never negative."""
    sigma = numerics.conductance_sigma
    if not sigma:
        return target
    noise, kind = torch.randn(target.shape, generator=generator), VARIATIONS[numerics.variation]
    if kind == "proportional":
        return noise.mul_(sigma).add_(1).mul_(target).clamp_(min=0)
    if kind == "lognormal":
        return noise.mul_(sigma).sub_(sigma**2 / 2).exp_().mul_(target)
    deviation = torch.full_like(target, sigma * _on(numerics))
    if kind == "pcm":
        x = target / _on(numerics)
        constant, linear, square = _PCM_NOISE_US
        deviation *= (constant + linear * x + square * x * x) / _PCM_ON_US
    return noise.mul_(deviation).add_(target).clamp_(min=0)


def drift_factors(conductance: Tensor, numerics: Numerics, generator: torch.Generator) -> Tensor | float:
    """What is left of each conductance after `drift_s`, as a factor; 1 where nothing drifts."""
    if numerics.drift_s <= DRIFT_START_S:
        return 1.0
    mean: Tensor | float = numerics.drift_nu
    deviation: Tensor | float = numerics.drift_nu_sigma
    if numerics.drift_of_state:
        logarithm = (conductance / _on(numerics)).clamp(min=_LEAST_STATE).log_()
        mean, deviation = (
            (slope * logarithm + intercept).clamp_(least, largest)
            for slope, intercept, least, largest in (_NU_MEAN, _NU_DEVIATION)
        )
    exponent = (torch.randn(conductance.shape, generator=generator) * deviation + mean).clamp_(min=0)
    return exponent.mul_(-math.log(numerics.drift_s / DRIFT_START_S)).exp_()


def with_stuck(conductance: Tensor, numerics: Numerics, chance: Tensor) -> Tensor:
    """Cells stuck where `chance`, uniform in [0, 1), is below the shares of both faults."""
    off, on = numerics.stuck_off, numerics.stuck_on
    stuck = torch.where(chance < off, numerics.off_conductance * _on(numerics), conductance)
    return torch.where((chance >= off) & (chance < off + on), _on(numerics), stuck).to(conductance.dtype)


def _on(numerics: Numerics) -> float:
    """Conductance of the on state, in levels."""
    return float(2**numerics.cell_bits - 1)
