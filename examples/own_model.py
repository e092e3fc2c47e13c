"""A network of one's own for `codesign estimate --torch examples/own_model.py:model --device systolic_edge`.

Any function without arguments will do that returns a torch module and example inputs; weights are never read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["model"]


class Block(nn.Module):
    """A depthwise convolution and two pointwise ones around a GELU, with a residual sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.widen = nn.Conv2d(channels, 4 * channels, 1)
        self.narrow = nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(nn.functional.gelu(self.widen(self.norm(self.mix(x)))))


def model() -> tuple[nn.Module, Tensor]:
    """Four blocks on patches of 4 x 4 pixels, and one image of 128 x 128."""
    body = [Block(96) for _ in range(4)]
    net = nn.Sequential(nn.Conv2d(3, 96, 4, stride=4), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10))
    return net, torch.zeros(1, 3, 128, 128)
