"""Super-resolution networks: features at low resolution, and a tail that makes the larger image.

A first convolution, one to `shrunk` channels where there is any, `depth` blocks, a 1x1 convolution that expands again
where asked for, and a tail. With these decisions the space holds

- ESPCN [Shi et al., CVPR 2016]: features 64, shrunk by 3x3 to 32, no block, tail `shuffle`;
- FSRCNN(56, 12, 4) [Dong et al., ECCV 2016]: shrunk by 1x1 to 12, four plain blocks, expanded, tail `transposed`;
- EDSR's baseline [Lim et al., CVPR workshops 2017]: first kernel 3, 16 residual blocks of 64, tail `late`.

`shuffle` makes factor^2 images that a pixel shuffle joins, `late` shuffles the features and then convolves, and
`transposed` is a 9x9 transposed convolution. Residual blocks end with a convolution and a sum over all of them. With
`base` bilinear the network adds to the enlarged input what it lacks, as in VDSR [Kim et al., CVPR 2016], there by
bicubic resampling.

Not modelled: factors that no single step reaches, batch norm, losses of perception.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.task import SuperResolution
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, Conv2d, ConvTranspose2d, PixelShuffle, Precision, Upsample

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "SuperResolutionSettings", "SuperResolutionSpace"]

Block = Literal["plain", "residual"]
Tail = Literal["shuffle", "transposed", "late"]
Base = Literal["none", "bilinear"]
Slope = Literal["relu", "leaky_relu", "prelu", "tanh"]

_TAIL_KERNEL = 9  # of a transposed convolution [Dong'16, section 3.3]; the others have 3 [Shi'16, Lim'17]


class SuperResolutionSpace(ArchitectureSpace):
    """Networks that make images `factor` times as high and wide, of the channels that enter.

    Parameters
    ----------
    features, first, shrunk, shrink, block, depth, expand, tail, base : choices of the whole network. shrunk : channels
        of the blocks, 0 for all features. shrink : kernel of the convolution to them. bias : of all convolutions.

    Raises
    ------
    SpecError : an even kernel.
    """

    def __init__(
        self,
        *,
        features: Sequence[int] = (16, 24, 32),
        first: Sequence[int] = (3, 5),
        shrunk: Sequence[int] = (0, 8, 12),
        shrink: Sequence[int] = (1, 3),
        block: Sequence[Block] = ("plain", "residual"),
        depth: Sequence[int] = (0, 1, 2, 4),
        expand: Sequence[bool] = (False, True),
        tail: Sequence[Tail] = ("shuffle", "transposed", "late"),
        base: Sequence[Base] = ("none", "bilinear"),
        activation: Slope = "relu",
        bias: bool = True,
        factor: int = 2,
        input_shape: tuple[int, int, int] = (1, 24, 24),
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        if even := [size for size in (*first, *shrink) if size % 2 == 0]:
            raise SpecError("kernel", even[0], "odd")
        self.activation, self.bias, self.factor = activation, bias, factor
        choices = {
            "features": features, "first": first, "shrunk": shrunk, "shrink": shrink, "block": block, "depth": depth,
            "expand": expand, "tail": tail, "base": base,
        }  # fmt: skip
        genes = [Gene(name, tuple(values)) for name, values in choices.items()]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        fixed = {"activation": self.activation, "bias": self.bias, "factor": self.factor}
        return {**super()._identity(), **fixed}

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """What nothing reads is at its first choice: how to shrink where nothing shrinks, the kind of no block."""
        points, place = genotypes.copy(), {gene.name: i for i, gene in enumerate(self.genes)}
        points[self.column(points, "shrunk") == 0, place["shrink"]] = 0
        points[self.column(points, "shrunk") == 0, place["expand"]] = 0
        points[self.column(points, "depth") == 0, place["block"]] = 0
        return points

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """As 5x5-56 1x1-12 4x plain 1x1-56 transposed, and + bilinear where that is the base."""
        point = self.decode(genotype)
        words = [f"{point['first']}x{point['first']}-{point['features']}"]
        if point["shrunk"]:
            words.append(f"{point['shrink']}x{point['shrink']}-{point['shrunk']}")
        if point["depth"]:
            words.append(f"{point['depth']}x {point['block']}")
        if point["shrunk"] and point["expand"]:
            words.append(f"1x1-{point['features']}")
        return " ".join([*words, point["tail"], *(["+ bilinear"] if point["base"] == "bilinear" else [])])

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        point, net = self.decode(genotype), self.builder("super-resolution-" + "".join(map(str, genotype)))
        x = self._conv(net, net.input, point["features"], point["first"], self._slope(point))
        if point["shrunk"]:
            x = self._conv(net, x, point["shrunk"], point["shrink"], self.activation)
        x = self._blocks(net, x, point)
        if point["shrunk"] and point["expand"]:
            x = self._conv(net, x, point["features"], 1, self.activation)
        x = self._tail(net, x, point["tail"])
        if point["base"] == "bilinear":
            x = net.residual(net.add(Upsample(self.factor, "bilinear"), net.input), x)
        return net.finish(x)

    def _slope(self, point: dict[str, Any]) -> Slope | None:
        """Behind the first convolution: none where residual blocks start from it [Lim'17, figure 3]."""
        starts = point["block"] == "residual" and point["depth"] and not point["shrunk"]
        return None if starts else self.activation

    def _conv(self, net: Builder, x: str, channels: int, kernel: int, activation: Slope | None) -> str:
        x = net.add(Conv2d.square(channels, kernel, bias=self.bias), x)
        return x if activation is None else net.add(Activation(activation), x)

    def _blocks(self, net: Builder, x: str, point: dict[str, Any]) -> str:
        channels, head = net.shape(x)[1], x
        for _ in range(point["depth"]):
            y = self._conv(net, x, channels, 3, self.activation)
            x = y if point["block"] == "plain" else net.residual(x, self._conv(net, y, channels, 3, None))
        if point["block"] == "plain" or not point["depth"]:
            return x
        return net.residual(head, self._conv(net, x, channels, 3, None))

    def _tail(self, net: Builder, x: str, tail: Tail) -> str:
        channels, factor = self.inputs[0][0], self.factor
        if tail == "transposed":
            pad, rest = (_TAIL_KERNEL - 1) // 2, factor - 1
            up = ConvTranspose2d(
                channels, (_TAIL_KERNEL, _TAIL_KERNEL), (factor, factor), (pad, pad), (rest, rest), bias=self.bias
            )
            return net.add(up, x)
        images = channels if tail == "shuffle" else net.shape(x)[1]
        x = net.add(PixelShuffle(factor), self._conv(net, x, images * factor**2, 3, None))
        return x if tail == "shuffle" else self._conv(net, x, channels, 3, None)


_Kernels = Annotated[list[Annotated[int, Field(ge=1, le=31)]], Field(min_length=1, max_length=16)]


class SuperResolutionSettings(Settings):
    """Networks that make larger images."""

    features: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=64)] = Field(
        [16, 24, 32], description="choices of the first convolution's channels"
    )
    first: _Kernels = Field([3, 5], description="choices of its kernel, odd")
    shrunk: Annotated[list[Annotated[int, Field(ge=0, le=4096)]], Field(min_length=1, max_length=64)] = Field(
        [0, 8, 12], description="choices of the blocks' channels; 0 for all features"
    )
    shrink: _Kernels = Field([1, 3], description="choices of the kernel of the convolution to them, odd")
    block: list[Block] = Field(["plain", "residual"], min_length=1, description="choices of what a block is")
    depth: Annotated[list[Annotated[int, Field(ge=0, le=64)]], Field(min_length=1, max_length=64)] = Field(
        [0, 1, 2, 4], description="choices of the number of blocks"
    )
    expand: Annotated[list[bool], Field(min_length=1, max_length=2)] = Field(
        [False, True], description="choices: whether a 1x1 convolution brings the features back"
    )
    tail: list[Tail] = Field(["shuffle", "transposed", "late"], min_length=1, description="choices of what enlarges")
    base: list[Base] = Field(["none", "bilinear"], min_length=1, description="choices of what the network adds to")
    activation: Slope = Field("relu", description="behind its convolutions")
    bias: bool = Field(True, description="of its convolutions")


def _make(settings: SuperResolutionSettings, data: Dataset) -> SuperResolutionSpace:
    factor = data.task.factor if isinstance(data.task, SuperResolution) else 2
    return SuperResolutionSpace(**settings.model_dump(), factor=factor, input_shape=data.shape)


PLUGIN = Plugin(
    SuperResolutionSettings, _make, "super-resolution: ESPCN, FSRCNN and EDSR, with widths, blocks, kernels and tails"
)
