"""Compound scaling: one network widened, deepened and shown larger images, together or apart.

EfficientNet [Tan and Le, ICML 2019] scales B0 by width, depth and resolution; its rule 1.1^phi, 1.2^phi, 1.15^phi
is the decision `phi` where `rule` is compound, and three decisions where it is free. The base may be B0, its Lite
variant, or EfficientNetV2-S [Tan and Le, ICML 2021]. Resolution is reached by a bilinear resampling of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision, Upsample
from hwmodels.workload.zoo.efficientnet import Base, Scale, compound_scale, scaled_network

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "ScaledSettings", "ScaledSpace"]


class ScaledSpace(ArchitectureSpace):
    """A base network at several scales.

    Parameters
    ----------
    base : `b0`, `lite0` or `v2_s`. phi : choices of the compound coefficient; with it the three others are empty.
    width, depth : choices of the factors on channels and repeats. resolution : choices in pixels; none keeps the
        images.
    """

    def __init__(
        self,
        base: Base = "b0",
        *,
        phi: Sequence[float] = (),
        width: Sequence[float] = (1.0,),
        depth: Sequence[float] = (1.0,),
        resolution: Sequence[int] = (),
        input_shape: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        if phi and (tuple(width) != (1.0,) or tuple(depth) != (1.0,) or resolution):
            raise SpecError("phi", list(phi), "given without width, depth and resolution, which follow from it")
        self.base, self.classes, self._phi = base, classes, tuple(phi)
        free = [Gene("width", tuple(width)), Gene("depth", tuple(depth)),
                Gene("resolution", tuple(resolution or (input_shape[1],)))]  # fmt: skip
        genes = [Gene("phi", tuple(phi))] if phi else free
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "base": self.base, "classes": self.classes}

    def scale(self, genotype: npt.NDArray[np.integer]) -> Scale:
        """Width, depth and resolution; a coefficient scales the side of the images by 1.15^phi."""
        values = [gene.choices[int(i)] for gene, i in zip(self.genes, genotype, strict=True)]
        if self._phi:
            rule = compound_scale(values[0])
            return rule._replace(resolution=ceil(self.inputs[0][1] * rule.resolution / 224))
        return Scale(*values)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        scale = self.scale(genotype)
        return f"{self.base} width {scale.width:.3g} depth {scale.depth:.3g} at {scale.resolution}"

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        scale, net = self.scale(genotype), self.builder(f"{self.base}-" + "".join(map(str, genotype)))
        x = net.input
        if scale.resolution != self.inputs[0][1]:
            x = net.add(Upsample(mode="bilinear", size=(scale.resolution, scale.resolution)), x)
        return net.finish(scaled_network(net, x, self.base, width=scale.width, depth=scale.depth, classes=self.classes))


_Factors = Annotated[list[Annotated[float, Field(gt=0, le=16)]], Field(min_length=1, max_length=64)]


class ScaledSettings(Settings):
    """EfficientNet and its scales."""

    base: Base = Field("b0", description="the network that is scaled")
    phi: list[Annotated[float, Field(ge=-10, le=10)]] = Field(
        default_factory=list, max_length=64, description="choices of the compound coefficient, in place of the others"
    )
    width: _Factors = Field([1.0], description="choices of the factor on channels")
    depth: _Factors = Field([1.0], description="choices of the factor on repeats")
    resolution: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default_factory=list, max_length=64, description="choices of the side in pixels; that of the images"
    )


def _make(settings: ScaledSettings, data: Dataset) -> ScaledSpace:
    rest = settings.model_dump(exclude={"base"})
    return ScaledSpace(settings.base, **rest, input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(
    ScaledSettings, _make, "compound scaling of EfficientNet: width, depth and resolution, or one coefficient"
)
