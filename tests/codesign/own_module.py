"""A small torch module with trained weights for the digits, as a user would hand it in: tests name its functions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from codesign.data import load


class SmallNet(nn.Module):
    """Two convolutions and a linear layer; the first normalisation has statistics of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 64, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(images).mean((2, 3)))
        return scores


class Regrouped(SmallNet):
    """A group norm of two groups, which a workload does not say: its twin has as many as go."""

    def __init__(self) -> None:
        super().__init__()
        self.body[1] = nn.GroupNorm(2, 8)


class Functional(SmallNet):
    """A layer that is no module: its weights have a name, and no submodule."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10, 64))

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.linear(self.body(images).mean((2, 3)), self.weight)


def trained() -> tuple[nn.Module, Tensor]:
    """Random features under a linear layer by ridge regression: far from chance, and left in training mode."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net, data = SmallNet(), load("digits")
        images, labels = (torch.from_numpy(array) for array in data.train)
        for _ in range(60):  # statistics of the normalisation, at momentum 0.1
            net.body(images[:256])
        features = net.eval().body(images).mean((2, 3))
        wanted = nn.functional.one_hot(labels, 10).float() - 0.1
        design = torch.cat([features, torch.ones(len(labels), 1)], 1)
        penalty = 0.003 * len(labels) * torch.eye(design.shape[1])
        solved = torch.linalg.solve(design.T @ design + penalty, design.T @ wanted)
        net.head.weight.copy_(solved[:-1].T)
        net.head.bias.copy_(solved[-1])
    return net.train(), torch.zeros(1, 1, 8, 8)


def regrouped() -> tuple[nn.Module, Tensor]:
    return Regrouped(), torch.zeros(1, 1, 8, 8)


def functional() -> tuple[nn.Module, Tensor]:
    return Functional(), torch.zeros(1, 1, 8, 8)
