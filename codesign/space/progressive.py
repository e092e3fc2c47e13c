"""A space that grows in three stages: basic operations, then depthwise and dilated ones, then attention.

Networks are chains: groups of blocks of one width, with a 3x3 convolution of stride 2 between them. Stage 1 offers
convolutions, poolings and the identity; stage 2 also depthwise separable and dilated convolutions; stage 3 also
squeeze-and-excitation [Hu et al., CVPR 2018], CBAM [Woo et al., ECCV 2018] and ECA [Wang et al., CVPR 2020]. In each, a
block that convolves may do so in two groups with a channel shuffle behind [Zhang et al., CVPR 2018].

A point of one stage is the same network in a later one (`ProgressiveSpace.embedded`), so that a search may go on in the
wider space with what it has found; `choice_stages` says what a strategy such as `hybrid` opens when. Two genotypes are
one network where they differ in where a group leaves blocks out, or in the shuffle of a block that does not convolve:
the canonical one leaves blocks out last, and shuffles nothing there. Not modelled: residual connections around blocks;
a schedule, which is the strategy's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from math import log2
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.fragments import Fragment, FragmentChain
from codesign.space.mobile import SHUFFLE
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Conv2d,
    Elementwise,
    Norm,
    Pool2d,
    Precision,
    Rearrange,
    Reduce,
    Reshape,
)
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable
from hwmodels.workload.zoo.mobilenet import classify

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "STAGES", "ProgressiveSettings", "ProgressiveSpace", "cbam", "eca"]

STAGES = (("conv3", "conv1", "max3", "avg3", "skip"), ("dw3", "dw5", "dil3"), ("se", "cbam", "eca"))
"""The operations that each stage adds; kernels of 1, 3 and 5."""

_CONVOLVING = frozenset({"conv3", "conv1", "dw3", "dw5", "dil3"})


class ProgressiveSpace(ArchitectureSpace):
    """Chains of blocks with the operations of the first stages.

    Parameters
    ----------
    stage : how many of `STAGES` are open. channels : of each group, even. blocks : of a group. reduction : channels
        over hidden channels in squeeze-and-excitation and CBAM.

    Raises
    ------
    SpecError : a stage that there is not, or an odd number of channels.
    """

    def __init__(
        self,
        stage: int = 3,
        *,
        channels: Sequence[int] = (16, 32),
        blocks: int = 4,
        reduction: int = 4,
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        if not 1 <= stage <= len(STAGES):
            raise SpecError("stage", stage, f"1 to {len(STAGES)}")
        if odd := [count for count in channels if count % 2]:
            raise SpecError("channels", odd[0], "even: a channel shuffle has two groups")
        self.stage, self.channels, self.blocks, self.reduction = stage, tuple(channels), blocks, reduction
        self.classes = classes
        self.operations = tuple(operation for added in STAGES[:stage] for operation in added)
        self._fragments: dict[Hashable, Fragment] = {}
        genes = [
            gene
            for group in range(len(self.channels))
            for block in range(blocks)
            for gene in (Gene(f"op{group}.{block}", self.operations), Gene(f"shuffle{group}.{block}", (False, True)))
        ]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        names = ("channels", "blocks", "reduction", "classes")
        return {**super()._identity(), **{name: getattr(self, name) for name in names}}

    # Stages.

    @property
    def choice_stages(self) -> npt.NDArray[np.int64]:
        """Stage at which each choice opens; the shuffle is open from stage 1 on, (sum of cardinalities,)."""
        opened = [stage for stage, added in enumerate(STAGES[: self.stage], start=1) for _ in added]
        return np.array([*opened, 1, 1] * (self.n_genes // 2), np.int64)

    def at_stage(self, stage: int) -> ProgressiveSpace:
        """The same chains with the operations of another stage."""
        channels, height, width = self.inputs[0]
        return ProgressiveSpace(
            stage, channels=self.channels, blocks=self.blocks, reduction=self.reduction,
            input_shape=(channels, height, width), classes=self.classes, batch=self.batch, precision=self.precision,
        )  # fmt: skip

    def embedded(self, genotypes: Genotypes, into: ProgressiveSpace) -> Genotypes:
        """The same networks as points of a later stage of this space, (P, G).

        Raises
        ------
        SpecError : an earlier stage, or a space that differs in more than its stage.
        """
        if into.stage < self.stage or into._identity() != self._identity():
            raise SpecError("into", f"a space of stage {into.stage}", f"this one at stage {self.stage} or a later one")
        place = np.array([into.operations.index(operation) for operation in self.operations])
        points = genotypes.copy()
        points[:, ::2] = place[points[:, ::2]]
        return points

    # Which points are the same.

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        pairs = genotypes.reshape(len(genotypes), len(self.channels), self.blocks, 2).copy()
        convolves = np.array([operation in _CONVOLVING for operation in self.operations])
        pairs[..., 1] *= convolves[pairs[..., 0]]
        left_out = pairs[..., 0] == self.operations.index("skip")
        order = np.argsort(left_out, axis=-1, kind="stable")
        return np.take_along_axis(pairs, order[..., None], axis=-2).reshape(genotypes.shape)

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """The operations, an s behind those with a shuffle, a bar between groups, as conv3s se dw5 | eca."""
        point = self.canonical(np.asarray(genotype, np.int64)[None]).reshape(len(self.channels), self.blocks, 2)
        groups = []
        for group in point.tolist():
            words = [self.operations[operation] + "s" * shuffled for operation, shuffled in group]
            groups.append(" ".join(word for word in words if word != "skip") or "-")
        return " | ".join(groups)

    # One network as a graph, many as a table.

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        net = self.builder("progressive-" + "".join(map(str, genotype)))
        x, values = net.input, iter(np.asarray(genotype).tolist())
        for group in range(len(self.channels)):
            x = self._enter(group, net, x)
            for _ in range(self.blocks):
                x = self._block(net, x, next(values), next(values))
        return net.finish(classify(net, x, self.classes))

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        chain = FragmentChain(
            len(genotypes), self.batched_inputs[0], precision=self.precision, semantics=semantics, known=self._fragments
        )
        columns = iter(genotypes.T)
        for group in range(len(self.channels)):
            chain.append(("enter", group), partial(self._enter, group))
            for _ in range(self.blocks):
                chain.append("block", self._block, next(columns), next(columns))
        chain.append("tail", partial(classify, classes=self.classes), last=True)
        return chain.finish()

    def _enter(self, group: int, net: Builder, x: str) -> str:
        """The stem, or half the height and width."""
        return net.conv_norm_act(x, self.channels[group], 3, stride=1 if group == 0 else 2)

    def _block(self, net: Builder, x: str, operation: int, shuffled: int) -> str:
        return _OPERATIONS[self.operations[operation]](net, x, 2 if shuffled else 1, self.reduction)


def cbam(net: Builder, x: str, hidden: int) -> str:
    """Channel attention from mean and maximum through one perceptron, then attention over places through a 7x7 conv.

    The two pooled vectors stand one above the other, so that 1x1 convolutions serve both with the same weights.
    """
    channels = net.shape(x)[1]
    pooled = net.add(Concat(axis=2), net.add(Pool2d("avg"), x), net.add(Pool2d("max"), x))
    y = net.add(Activation("relu"), net.add(Conv2d.square(hidden, 1, bias=True), pooled))
    y = net.add(Reduce((2,), keep_axes=True, mode="sum"), net.add(Conv2d.square(channels, 1, bias=True), y))
    x = net.add(Elementwise("mul"), x, net.add(Activation("sigmoid"), y))
    pooled = net.add(Concat(axis=1), *(net.add(Reduce((1,), keep_axes=True, mode=mode), x) for mode in _POOLED))
    y = net.add(Norm("batch"), net.add(Conv2d.square(1, 7), pooled))
    return net.add(Elementwise("mul"), x, net.add(Activation("sigmoid"), y))


_POOLED: tuple[Literal["max", "mean"], ...] = ("max", "mean")


def eca(net: Builder, x: str) -> str:
    """Channel attention through one convolution along the channels, its kernel by their number.

    The kernel is the odd one of (log2(C) + 1) / 2, rounded down, and the next number [Wang et al. 2020, equation 12].
    """
    batch, channels, _, _ = net.shape(x)
    near = int((log2(channels) + 1) / 2)
    kernel = near if near % 2 else near + 1
    along = net.add(Reshape((batch, 1, channels, 1)), net.add(Pool2d("avg"), x))
    along = net.add(Conv2d(1, (kernel, 1), padding=(kernel // 2, 0), bias=False), along)
    gate = net.add(Reshape((batch, channels, 1, 1)), net.add(Activation("sigmoid"), along))
    return net.add(Elementwise("mul"), x, gate)


_Writer = Callable[[Builder, str, int, int], str]
"""(builder, what enters, groups of its convolutions, reduction) -> what leaves."""


def _convolution(kernel: int, *, dilation: int = 1, depthwise: bool = False) -> _Writer:
    def write(net: Builder, x: str, groups: int, reduction: int) -> str:
        channels = net.shape(x)[1]
        if depthwise:
            x = net.conv_norm_act(x, channels, kernel, groups=channels)
        size = 1 if depthwise else kernel
        x = net.add(Conv2d.square(channels, size, dilation=dilation, groups=groups), x)
        x = net.add(Activation("relu"), net.add(Norm("batch"), x))
        return net.add(Rearrange(SHUFFLE, net.shape(x)), x) if groups > 1 else x

    return write


def _pooling(mode: Literal["max", "avg"]) -> _Writer:
    return lambda net, x, groups, reduction: net.add(Pool2d(mode, 3, 1, 1), x)


def _hidden(net: Builder, x: str, reduction: int) -> int:
    return max(net.shape(x)[1] // reduction, 1)


_OPERATIONS: dict[str, _Writer] = {
    "conv3": _convolution(3),
    "conv1": _convolution(1),
    "max3": _pooling("max"),
    "avg3": _pooling("avg"),
    "skip": lambda net, x, groups, reduction: x,
    "dw3": _convolution(3, depthwise=True),
    "dw5": _convolution(5, depthwise=True),
    "dil3": _convolution(3, dilation=2),
    "se": lambda net, x, groups, reduction: net.squeeze_excite(x, _hidden(net, x, reduction)),
    "cbam": lambda net, x, groups, reduction: cbam(net, x, _hidden(net, x, reduction)),
    "eca": lambda net, x, groups, reduction: eca(net, x),
}


class ProgressiveSettings(Settings):
    """Chains whose operations are opened in three stages."""

    stage: int = Field(
        3,
        ge=1,
        le=3,
        description="1: convolutions and poolings; 2: also depthwise and dilated; 3: also SE, CBAM and ECA",
    )
    channels: Annotated[list[Annotated[int, Field(ge=2, le=65_536)]], Field(min_length=1, max_length=8)] = Field(
        [16, 32], description="channels of each group of blocks, even; each at half the height and width"
    )
    blocks: int = Field(4, ge=1, le=64, description="blocks of a group")
    reduction: int = Field(4, ge=1, le=256, description="channels over hidden channels in SE and CBAM")


def _make(settings: ProgressiveSettings, data: Dataset) -> ProgressiveSpace:
    rest = settings.model_dump(exclude={"stage"})
    return ProgressiveSpace(settings.stage, **rest, input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(ProgressiveSettings, _make, "a space in three stages: basic, depthwise and dilated, attention")
