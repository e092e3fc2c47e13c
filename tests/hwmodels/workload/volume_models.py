"""Video networks as torchvision writes them: r3d_18 [Tran et al., CVPR 2018] and s3d [Xie et al., ECCV 2018]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Triple = tuple[int, int, int]


def convolved(inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, batch norm, ReLU."""
    padding = tuple(extent // 2 for extent in kernel)
    convolution = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(outputs), nn.ReLU())


class VideoBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        steps = (stride, stride, stride)
        self.first = convolved(inputs, outputs, (3, 3, 3), steps)
        self.second = nn.Sequential(nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm3d(outputs))
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, steps, bias=False), nn.BatchNorm3d(outputs))
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.second(self.first(x)) + self.shortcut(x))


def r3d_18() -> nn.Module:
    """33,371,472 parameters, 40.697 G MACs on (3, 16, 112, 112)."""
    widths = (64, 128, 256, 512)
    layers: list[nn.Module] = [convolved(3, 64, (3, 7, 7), (1, 2, 2))]
    inputs = 64
    for stage, width in enumerate(widths):
        layers += [VideoBlock(inputs, width, 1 + (stage > 0)), VideoBlock(width, width, 1)]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(512, 400))


def separable(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """A window in space, then one in time."""
    return nn.Sequential(
        convolved(inputs, outputs, (1, kernel, kernel), (1, stride, stride)),
        convolved(outputs, outputs, (kernel, 1, 1), (stride, 1, 1)),
    )


class VideoInception(nn.Module):
    def __init__(self, inputs: int, one: int, mid: int, wide: int, low: int, narrow: int, pooled: int) -> None:
        super().__init__()
        unit = (1, 1, 1)
        self.branches = nn.ModuleList(
            [
                convolved(inputs, one, unit),
                nn.Sequential(convolved(inputs, mid, unit), separable(mid, wide, 3, 1)),
                nn.Sequential(convolved(inputs, low, unit), separable(low, narrow, 3, 1)),
                nn.Sequential(nn.MaxPool3d(3, 1, 1), convolved(inputs, pooled, unit)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class S3D(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            separable(3, 64, 7, 2), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            convolved(64, 64, (1, 1, 1)), separable(64, 192, 3, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            VideoInception(192, 64, 96, 128, 16, 32, 32), VideoInception(256, 128, 128, 192, 32, 96, 64),
            nn.MaxPool3d(3, 2, 1),
            VideoInception(480, 192, 96, 208, 16, 48, 64), VideoInception(512, 160, 112, 224, 24, 64, 64),
            VideoInception(512, 128, 128, 256, 24, 64, 64), VideoInception(512, 112, 144, 288, 32, 64, 64),
            VideoInception(528, 256, 160, 320, 32, 128, 128), nn.MaxPool3d(2, 2),
            VideoInception(832, 256, 160, 320, 32, 128, 128), VideoInception(832, 384, 192, 384, 48, 128, 128),
        )  # fmt: skip
        self.pool, self.classes = nn.AvgPool3d((2, 7, 7), 1), nn.Conv3d(1024, 400, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.pool(self.features(x))).mean((2, 3, 4))
