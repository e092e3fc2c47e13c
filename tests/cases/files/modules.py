"""Modules as people bring them: three dimensions, complex weights, quantised layers."""

import torch
from torch import nn


def conv3d():
    return nn.Sequential(nn.Conv3d(1, 8, 3, padding=1, bias=False)), torch.zeros(1, 1, 32, 64, 64)


def transposed():
    return nn.ConvTranspose3d(2, 3, 2, stride=2), torch.zeros(1, 2, 3, 4, 5)


class Projection(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 4, dtype=torch.cfloat))

    def forward(self, x):
        return torch.einsum("bixy,io->boxy", x, self.weight)


def complex_weights():
    return Projection(), torch.zeros(1, 3, 16, 9, dtype=torch.cfloat)


def quantised():
    net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8), torch.zeros(4, 64)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, proj_size=4)

    def forward(self, x):
        return self.lstm(x)[0]


def projected_lstm():
    return Recurrent(), torch.zeros(5, 1, 8)
