"""U-Nets: a class for every pixel, from an encoder that halves images and a decoder that joins them again.

The shape is that of U-Net [Ronneberger et al., MICCAI 2015] with padded convolutions, so that as many pixels leave as
enter: `depth` times a level of convolutions and a 2x2 max pooling, channels twice as many a level, a bottom, and
as many levels of upsampling, a skip from the encoder, and convolutions; a 1x1 convolution scores the classes.
Decisions: depth, width of the first level, convolutions a level, their operator and kernel, how the skip joins
(concatenation as in the paper, a sum as in LinkNet [Chaurasia and Culurciello, 2017], or none), and how images grow
(transposed 2x2 convolution as in the paper, or resampling before a convolution of the level's kernel).

Not modelled: convolutions without padding, attention at the skips, several outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Concat, Conv2d, ConvTranspose2d, Norm, Pool2d, Precision, Upsample

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "UNetSettings", "UNetSpace"]

Operator = Literal["conv", "separable"]
Skip = Literal["concat", "add", "none"]
Growth = Literal["transposed", "nearest", "bilinear"]


class UNetSpace(ArchitectureSpace):
    """U-Nets over images (channels, height, width) whose sides `depth` halvings leave whole.

    Parameters
    ----------
    depth, width, convs, operator, kernel, skip, upsampling : choices of the whole network. norm : batch norm behind
        each convolution, which then has no bias, or a bias alone as in the paper.

    Raises
    ------
    SpecError : an even kernel, or images that no depth halves.
    """

    def __init__(
        self,
        *,
        depth: Sequence[int] = (2, 3),
        width: Sequence[int] = (8, 16, 24),
        convs: Sequence[int] = (1, 2),
        operator: Sequence[Operator] = ("conv", "separable"),
        kernel: Sequence[int] = (3, 5),
        skip: Sequence[Skip] = ("concat", "add", "none"),
        upsampling: Sequence[Growth] = ("transposed", "nearest", "bilinear"),
        norm: bool = True,
        input_shape: tuple[int, int, int] = (1, 32, 32),
        classes: int = 2,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        if even := [size for size in kernel if size % 2 == 0]:
            raise SpecError("kernel", even[0], "odd")
        sides = input_shape[1:]
        self._fits = np.array([all(side % 2**levels == 0 for side in sides) for levels in depth])
        if not self._fits.any():
            words = " x ".join(map(str, sides))
            raise SpecError("depth", list(depth), f"halvings that leave the sides of {words} pixels whole")
        self.classes, self.norm = classes, norm
        choices = {
            "depth": depth, "width": width, "convs": convs, "operator": operator, "kernel": kernel, "skip": skip,
            "upsampling": upsampling,
        }  # fmt: skip
        genes = [Gene(name, tuple(values)) for name, values in choices.items()]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "classes": self.classes, "norm": self.norm}

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range, with a depth that the images allow."""
        inside = super().valid(genotypes)
        fits: npt.NDArray[np.bool_] = self._fits[np.where(inside, genotypes[:, 0], 0)]
        return inside & fits

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """As unet 3x16 2x conv3 concat transposed: depth x width, convolutions a level, skip, upsampling."""
        point = self.decode(genotype)
        convs = f"{point['convs']}x {point['operator']}{point['kernel']}"
        return f"unet {point['depth']}x{point['width']} {convs} {point['skip']} {point['upsampling']}"

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        point, net = self.decode(genotype), self.builder("unet-" + "".join(map(str, genotype)))
        widths = [point["width"] * 2**level for level in range(point["depth"] + 1)]

        def level(x: str, channels: int) -> str:
            for _ in range(point["convs"]):
                x = self._conv(net, x, channels, point["kernel"], operator=point["operator"])
            return x

        x, skips = net.input, []
        for channels in widths[:-1]:
            skips.append(level(x, channels))
            x = net.add(Pool2d("max", 2), skips[-1])
        x = level(x, widths[-1])
        for channels, skip in zip(widths[-2::-1], skips[::-1], strict=True):
            x = self._grown(net, x, channels, point["kernel"], point["upsampling"])
            if point["skip"] != "none":
                x = net.add(Concat(), skip, x) if point["skip"] == "concat" else net.residual(skip, x)
            x = level(x, channels)
        return net.finish(net.add(Conv2d(self.classes), x))

    def _conv(self, net: Builder, x: str, channels: int, kernel: int, *, operator: Operator = "conv") -> str:
        """A convolution, or a depthwise and a 1x1 one, each with what follows it."""
        if operator == "separable":
            entering = net.shape(x)[1]
            x = self._followed(net, net.add(self._square(entering, kernel, groups=entering), x))
            kernel = 1
        return self._followed(net, net.add(self._square(channels, kernel), x))

    def _square(self, channels: int, kernel: int, *, groups: int = 1) -> Conv2d:
        return Conv2d.square(channels, kernel, groups=groups, bias=not self.norm)

    def _followed(self, net: Builder, x: str) -> str:
        return net.add(Activation("relu"), net.add(Norm("batch"), x) if self.norm else x)

    def _grown(self, net: Builder, x: str, channels: int, kernel: int, way: Growth) -> str:
        """Twice as high and wide."""
        if way == "transposed":
            return net.add(ConvTranspose2d(channels), x)
        return self._conv(net, net.add(Upsample(2, way), x), channels, kernel)


class UNetSettings(Settings):
    """U-Nets for segmentation."""

    depth: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=1, max_length=8)] = Field(
        [2, 3], description="choices: how often images are halved"
    )
    width: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=64)] = Field(
        [8, 16, 24], description="choices of the first level's channels"
    )
    convs: Annotated[list[Annotated[int, Field(ge=1, le=8)]], Field(min_length=1, max_length=8)] = Field(
        [1, 2], description="choices of the convolutions a level"
    )
    operator: list[Operator] = Field(["conv", "separable"], min_length=1, description="choices of the convolution")
    kernel: Annotated[list[Annotated[int, Field(ge=1, le=31)]], Field(min_length=1, max_length=16)] = Field(
        [3, 5], description="choices of its kernel, odd"
    )
    skip: list[Skip] = Field(["concat", "add", "none"], min_length=1, description="choices of how the encoder joins")
    upsampling: list[Growth] = Field(
        ["transposed", "nearest", "bilinear"], min_length=1, description="choices of how images grow"
    )
    norm: bool = Field(True, description="batch norm behind convolutions, or a bias alone")


def _make(settings: UNetSettings, data: Dataset) -> UNetSpace:
    return UNetSpace(**settings.model_dump(), input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(UNetSettings, _make, "U-Nets for segmentation: depth, width, convolutions, skips and upsampling")
