"""Noise-aware training: products as a noisy crossbar reads them, with gradients that pass straight through.

In every convolution and linear layer of a training step

    w' = w + sigma max_k |w_kn| N          drawn anew for every batch; one draw a step serves all its images
    p_t = sum_{k in rows of read t} x_k w'_k
    y = sum_t step round(clamp(p_t / step, -Q, Q)),     Q = 2^(b-1) - 1

The rounding has the gradient of the identity, so that the step learns where to clip:
dy/dstep = round(p / step) - p / step inside of the range and +-Q outside [Esser et al., ICLR'20 (LSQ)], scaled by
1 / sqrt(Q elements) as there. A step starts where its range holds three deviations of the first batch's sums. Noise
relative to the largest weight of an output is what offset cells of relative variation make of small weights
[Joshi et al., Nature Communications 11, 2020, training with noise].

What is learned are weights that stand the noise; steps are left behind, and ranges are calibrated at evaluation as
for any network. Layers keep their float input. Not modelled in training: slices of inputs and weights, recurrent
layers and attention products, which train as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codesign.estimate.recipe import NoiseRecipe
from codesign.network.module import Network, Operation
from hwmodels.workload import ops

__all__ = ["ReadingStep", "noisy_operations", "noisy_weights"]

_DEVIATIONS = (
    3.0  # ASSUMED, 2 to 4: where a range starts before it is learned; a Gaussian at 5 bits clips best near 2.9
)


class ReadingStep(nn.Module):
    """A uniform converter of `bits`, signed and symmetric, whose step is learned; it starts from the first batch."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.largest = max(1, 2 ** (bits - 1) - 1)
        self.logarithm = nn.Parameter(torch.tensor(float("nan")))

    def forward(self, sums: Tensor) -> Tensor:
        if bool(self.logarithm.isnan()):
            first = _DEVIATIONS * sums.detach().std().clamp(min=1e-12) / self.largest
            self.logarithm.data.copy_(first.log())
        step = self.logarithm.exp()
        slow = (self.largest * sums.numel()) ** -0.5
        step = step * slow + (step * (1 - slow)).detach()
        ratio = (sums / step).clamp(-self.largest, self.largest)
        read: Tensor = (ratio + (ratio.round() - ratio).detach()) * step
        return read


def noisy_weights(weight: Tensor, sigma: float) -> Tensor:
    """(N, ...) weights plus noise of `sigma` times the largest magnitude of each output."""
    if not sigma:
        return weight
    peak = weight.detach().flatten(1).abs().amax(dim=1).reshape(-1, *[1] * (weight.dim() - 1))
    return weight + sigma * peak * torch.randn_like(weight)


def noisy_operations(network: Network, noise: NoiseRecipe) -> tuple[Mapping[str, Operation], nn.ModuleList]:
    """Operations that stand in for those of convolutions and linear layers, and the steps that they learn."""
    steps, operations = nn.ModuleList(), {}
    for node in network.nodes:
        if not isinstance(node.operator, (ops.Conv2d, ops.Linear)):
            continue
        step = None if noise.adc_bits is None else ReadingStep(noise.adc_bits)
        if step is not None:
            steps.append(step)
        layer = network.operation(node.name)
        if isinstance(node.operator, ops.Conv2d):
            operations[node.name] = partial(_convolution, layer, node.operator, noise, step)
        else:
            operations[node.name] = partial(_linear, layer, noise, step)
    return operations, steps


def _linear(layer: Any, noise: NoiseRecipe, step: ReadingStep | None, x: Tensor) -> Tensor:
    weight = noisy_weights(layer.weight, noise.weight_sigma)
    if step is None:
        return F.linear(x, weight, layer.bias)
    reads = zip(torch.split(x, noise.active_rows, -1), torch.split(weight, noise.active_rows, 1), strict=True)
    total = torch.stack([step(F.linear(part, cells)) for part, cells in reads]).sum(0)
    return total if layer.bias is None else total + layer.bias


def _convolution(layer: Any, operator: ops.Conv2d, noise: NoiseRecipe, step: ReadingStep | None, x: Tensor) -> Tensor:
    """Rows are split by channels: as many whole ones as fit one read, at least one."""
    weight = noisy_weights(layer.weight, noise.weight_sigma)
    convolve = partial(
        F.conv2d, stride=operator.stride, padding=operator.padding, dilation=operator.dilation, groups=operator.groups
    )
    if step is None:
        plain: Tensor = convolve(x, weight, layer.bias)
        return plain
    window = operator.kernel[0] * operator.kernel[1]
    channels = max(1, noise.active_rows // window)
    if operator.groups > 1 or channels >= weight.shape[1]:
        total: Tensor = step(convolve(x, weight))
    else:
        reads = zip(torch.split(x, channels, 1), torch.split(weight, channels, 1), strict=True)
        total = torch.stack([step(convolve(part, cells)) for part, cells in reads]).sum(0)
    return total if layer.bias is None else total + layer.bias[:, None, None]
