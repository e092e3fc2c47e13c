"""A convolutional chain: stages of plain convolutions, each with its kernel, width, depth, stride and bits.

Every layer is convolution, batch norm, ReLU; the first layer of a stage carries the stride; global pooling and a
linear classifier close the chain. Bits hold for the weights and activations of a stage's layers; stem-less, so the
first stage reads the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Gene, Genotypes
from codesign.space.sharing import PlacedSpace
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Pool2d, Precision
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "ChainSettings", "ChainSpace"]

_DECISIONS = ("kernel", "width", "depth", "stride", "bits")


class ChainSpace(PlacedSpace):
    """Chains of `stages` stages; every stage draws from the same choices.

    Parameters
    ----------
    kernel, width, depth, stride, bits : choices of a stage. input_shape : (channels, height, width) of one image.
    """

    def __init__(
        self,
        *,
        stages: int = 3,
        kernel: Sequence[int] = (1, 3, 5),
        width: Sequence[int] = (8, 16, 24, 32),
        depth: Sequence[int] = (1, 2),
        stride: Sequence[int] = (1, 2),
        bits: Sequence[int] = (4, 6, 8),
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        choices = dict(zip(_DECISIONS, (kernel, width, depth, stride, bits), strict=True))
        for name, values in choices.items():
            if any(value < 1 for value in values):
                raise SpecError(name, min(values), ">= 1")
        if any(size % 2 == 0 for size in kernel):
            raise SpecError("kernel", next(size for size in kernel if size % 2 == 0), "odd")
        genes = [Gene(f"{name}{stage}", tuple(choices[name])) for stage in range(stages) for name in _DECISIONS]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)
        self.classes = classes
        self.stages, self.max_depth = stages, max(depth)

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "classes": self.classes}

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """One word a stage, as 2x3x3-16/2@8b: depth x kernel - width / stride @ bits."""
        point = self.decode(genotype)
        words = []
        for stage in range(self.stages):
            kernel, width, depth, stride, bits = (point[f"{name}{stage}"] for name in _DECISIONS)
            words.append(f"{depth}x{kernel}x{kernel}-{width}/{stride}@{bits}b")
        return " ".join(words)

    def phases(self) -> Sequence[Sequence[tuple[int, ...]]]:
        """The largest network, then smaller kernels, fewer layers, and fewer channels; strides and bits are free."""
        opened = {"kernel": 1, "depth": 2, "width": 3}
        return [
            [
                tuple(
                    i
                    for i, choice in enumerate(gene.choices)
                    if opened.get(gene.name.rstrip("0123456789"), 0) <= phase or choice == max(gene.choices)
                )
                for gene in self.genes
            ]
            for phase in range(len(opened) + 1)
        ]

    def written(self, genotype: npt.NDArray[np.integer]) -> tuple[Builder, str]:
        """A layer of a stage is one layer, whatever its width and kernel."""
        point = self.decode(genotype)
        net = self.builder("chain-" + "".join(map(str, genotype)))
        x = net.input
        for stage in range(self.stages):
            kernel, width, depth, stride, bits = (point[f"{name}{stage}"] for name in _DECISIONS)
            net.precision = Precision(bits, bits, self.precision.accumulator_bits)
            for layer in range(depth):
                with net.within(f"stage {stage}", f"layer {layer}"):
                    x = net.conv_norm_act(x, width, kernel, stride=stride if layer == 0 else 1)
        net.precision = self.precision
        return net, net.linear(net.flatten(net.add(Pool2d("avg"), x)), self.classes)

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        net = self.batch_graph(len(genotypes), semantics)
        x = net.input
        for stage in range(self.stages):
            kernel, width, depth, stride, bits = (self.column(genotypes, f"{name}{stage}") for name in _DECISIONS)
            for layer in range(self.max_depth):
                there = depth > layer
                x = net.conv(x, width, kernel, stride=stride if layer == 0 else 1, bits=bits, present=there)
                x = net.norm(x, bits=bits, present=there)
                x = net.activation(x, bits=bits, present=there)
        return net.finish(net.linear(net.flatten(net.pool(x, Pool2d("avg"))), self.classes))


class ChainSettings(Settings):
    """A chain of convolution stages."""

    stages: int = Field(3, ge=1, le=8, description="stages of the chain")
    kernel: list[Annotated[int, Field(ge=1, le=127)]] = Field(
        [1, 3, 5], min_length=1, description="choices of a stage's kernel size, odd"
    )
    width: list[Annotated[int, Field(ge=1, le=65_536)]] = Field(
        [8, 16, 24, 32], min_length=1, description="choices of a stage's channels"
    )
    depth: list[Annotated[int, Field(ge=1, le=64)]] = Field(
        [1, 2], min_length=1, description="choices of a stage's layers"
    )
    stride: list[Annotated[int, Field(ge=1, le=16)]] = Field(
        [1, 2], min_length=1, description="choices of the stride of a stage's first layer"
    )
    bits: list[Annotated[int, Field(ge=2, le=16)]] = Field(
        [4, 6, 8], min_length=1, description="choices of the bits of a stage's weights and activations"
    )


def _make(settings: ChainSettings, data: Dataset) -> ChainSpace:
    return ChainSpace(
        stages=settings.stages,
        kernel=settings.kernel,
        width=settings.width,
        depth=settings.depth,
        stride=settings.stride,
        bits=settings.bits,
        input_shape=data.shape,
        classes=data.classes,
    )


PLUGIN = Plugin(ChainSettings, _make, "chains of convolution stages with kernel, width, depth, stride and bits each")
