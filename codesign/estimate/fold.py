"""Batch normalisation folded into the product before it, as inference hardware runs it.

    w' = w g / sqrt(v + eps),   b' = (b - m) g / sqrt(v + eps) + h      with mean m, variance v, gain g, shift h

[Jacob et al., CVPR'18, section 3.2]. A norm that does not directly and solely follow a convolution or a linear layer
stays, and is a float scale and shift at inference.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from codesign.network.module import Network
from hwmodels.workload import ops

__all__ = ["fold_norms"]


def fold_norms(network: Network) -> Network:
    """A copy of `network` in evaluation mode, foldable batch norms merged into their products."""
    folded = deepcopy(network).eval().requires_grad_(False)
    for norm_name, product_name in _foldable(network):
        norm_key, product_key = (str(folded.position[name]) for name in (norm_name, product_name))
        norm = folded.layers[norm_key]
        inner = norm if isinstance(norm, nn.modules.batchnorm._BatchNorm) else norm.norm
        folded.layers[product_key] = _scaled(folded.layers[product_key], *_gain_and_shift(inner))
        folded.layers[norm_key] = nn.Identity()
    return folded


def _foldable(network: Network) -> list[tuple[str, str]]:
    """(norm, product) pairs of names."""
    workload = network.workload
    pairs = []
    for node in network.nodes:
        if not (isinstance(node.operator, ops.Norm) and node.operator.mode == "batch"):
            continue
        source = workload[node.inputs[0]]
        channels_agree = isinstance(source.operator, ops.Conv2d) or (
            isinstance(source.operator, ops.Linear) and len(source.shape) < 4
        )
        is_private = workload.graph.out_degree(source.name) == 1 and source.name not in workload.outputs
        if channels_agree and is_private:
            pairs.append((node.name, source.name))
    return pairs


def _gain_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    """Batch norm at inference as y = gain x + shift, in float64."""
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    gain: Tensor = torch.rsqrt(variance + norm.eps)
    if not norm.affine:
        return gain, -mean * gain
    gain = gain * norm.weight.double()
    return gain, norm.bias.double() - mean * gain


def _scaled(layer: Any, gain: Tensor, shift: Tensor) -> nn.Module:
    """A copy of a convolution or linear layer with its output scaled and shifted."""
    scaled: nn.Conv2d | nn.Linear = deepcopy(layer)
    columns = gain.reshape(-1, *[1] * (layer.weight.dim() - 1))
    scaled.weight = nn.Parameter((layer.weight.double() * columns).float(), requires_grad=False)
    bias = shift if layer.bias is None else shift + layer.bias.double() * gain
    scaled.bias = nn.Parameter(bias.float(), requires_grad=False)
    return scaled
