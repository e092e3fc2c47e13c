"""MBConv chains: the macro space of mobile networks, published skeletons or one's own.

Each stage has slots of inverted residuals, and each slot, or the stage as a whole, a word for its block
(`codesign.space.skeleton`). Where a stage has fewer blocks than slots, its first slots are used. Width and resolution
may be decisions of the whole network: the width scales all channels to multiples of 8, another resolution than that of
the images is reached by a bilinear resampling before the stem, which is trained and costed with the rest.

Two genotypes are one network where they differ in slots that are not used, or in where a stage leaves blocks out: the
canonical one has those slots at their first word, and left out blocks last.

Not modelled: dropout, stochastic depth, padding "same" of other frameworks.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Gene, Genotypes
from codesign.space.fragments import Fragment, FragmentChain
from codesign.space.sharing import PlacedSpace
from codesign.space.skeleton import SKELETONS, SKIP, Block, Skeleton, Stage, block_of
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import (
    Activation,
    ActivationName,
    Conv2d,
    Pool2d,
    Precision,
    Rearrange,
    Upsample,
)
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable
from hwmodels.workload.zoo.mobilenet import divisible

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "SHUFFLE", "MobileSettings", "MobileSpace", "StageSettings"]

SHUFFLE = "channel shuffle"

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class MobileSpace(PlacedSpace):
    """Chains of MBConv blocks on a skeleton.

    Parameters
    ----------
    skeleton : what is fixed. width : choices of the width multiplier. resolution : choices of height and width in
        pixels; none keeps the images. input_shape : (channels, height, width) of one image.

    Raises
    ------
    SpecError : a word that is none, a stage without a block that changes the shape, or an image too small to halve so
        often.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        *,
        width: Sequence[float] | None = None,
        resolution: Sequence[int] = (),
        input_shape: tuple[int, int, int] = (3, 224, 224),
        classes: int = 1000,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        self.skeleton, self.classes = skeleton, classes
        self._fragments: dict[Hashable, Fragment] = {}
        self._blocks = [[block_of(word) for word in stage.blocks] for stage in skeleton.stages]
        whole = [
            Gene("width", tuple(width or (skeleton.width,))),
            Gene("resolution", tuple(resolution or (input_shape[1],))),
        ]
        self._whole = [gene for gene in whole if len(gene.choices) > 1]
        self._fixed = {gene.name: gene.choices[0] for gene in whole}
        genes = [*self._whole, *(gene for i, stage in enumerate(skeleton.stages) for gene in _genes_of(i, stage))]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)
        self._place = {gene.name: i for i, gene in enumerate(self.genes)}
        self._check(whole[0].choices)

    def _check(self, widths: Sequence[float]) -> None:
        for i, stage in enumerate(self.skeleton.stages):
            if all(block is None for block in self._blocks[i]):
                raise SpecError(f"stage {i}: blocks", list(stage.blocks), "a word beside skip")
            if not 1 <= stage.least <= stage.slots:
                raise SpecError(f"stage {i}: least", stage.least, f"1 to {stage.slots}, its slots")
        if any(not 0 < width <= 16 for width in widths):
            raise SpecError("width", min(widths), "a multiplier above 0, at most 16")

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "classes": self.classes, "skeleton": repr(self.skeleton), **self._fixed}

    # Which points there are.

    def valid(self, genotypes: Genotypes) -> Mask:
        """In range, and no stage leaves out the block that changes the shape."""
        inside = super().valid(genotypes)
        safe = np.where(inside[:, None], genotypes, 0)
        for i in range(len(self.skeleton.stages)):
            skips = self._skips(safe, i)[:, 0]
            inside &= ~(skips & self._changes_shape(safe, i))
        return inside

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points = genotypes.copy()
        for i, stage in enumerate(self.skeleton.stages):
            if stage.shared:
                continue
            columns = [self._place[f"block{i}.{slot}"] for slot in range(stage.slots)]
            words = points[:, columns]
            words[np.arange(stage.slots) >= self._depth(points, i)[:, None]] = 0
            used = np.arange(stage.slots) < self._depth(points, i)[:, None]
            left_out = np.array([block is None for block in self._blocks[i]])[words] & used
            order = np.argsort(left_out + 2 * ~used, axis=1, kind="stable")
            points[:, columns] = np.take_along_axis(words, order, axis=1)
        return points

    def _skips(self, genotypes: Genotypes, i: int) -> Mask:
        """Slots of a stage whose word leaves the block out, (P, slots)."""
        is_skip = np.array([block is None for block in self._blocks[i]])
        return np.stack([is_skip[self._word(genotypes, i, slot)] for slot in range(self.skeleton.stages[i].slots)], 1)

    def _changes_shape(self, genotypes: Genotypes, i: int) -> Mask:
        """Whether the first block of a stage has a stride or another width than what enters it, (P,)."""
        widens: Mask = self._channels(genotypes, i - 1) != self._channels(genotypes, i)
        return widens | (self.skeleton.stages[i].stride > 1)

    # Columns of a batch.

    def _value(self, genotypes: Genotypes, name: str) -> F64:
        """Width or resolution of each point, (P,)."""
        if name not in self._place:
            return np.full(len(genotypes), self._fixed[name], np.float64)
        return np.array(self.genes[self._place[name]].choices, np.float64)[genotypes[:, self._place[name]]]

    def _word(self, genotypes: Genotypes, i: int, slot: int) -> I64:
        """Which word each point has in a slot, (P,)."""
        stage = self.skeleton.stages[i]
        name = f"block{i}" if stage.shared else f"block{i}.{slot}"
        return genotypes[:, self._place[name]]

    def _depth(self, genotypes: Genotypes, i: int) -> I64:
        stage = self.skeleton.stages[i]
        if stage.least == stage.slots:
            return np.full(len(genotypes), stage.slots, np.int64)
        return stage.least + genotypes[:, self._place[f"depth{i}"]]

    def _channels(self, genotypes: Genotypes, i: int) -> I64:
        """Channels behind a stage, -1 for what enters the first one, (P,)."""
        skeleton = self.skeleton
        if i < 0:
            plain = np.full(len(genotypes), skeleton.first or skeleton.stem, np.int64)
        else:
            choices = np.array(skeleton.stages[i].channels, np.int64)
            plain = choices[genotypes[:, self._place[f"channels{i}"]] if choices.size > 1 else 0]
            plain = np.broadcast_to(plain, (len(genotypes),))
        pairs, index = np.unique(np.stack([plain, self._value(genotypes, "width")], 1), axis=0, return_inverse=True)
        return np.array([_scaled(int(c), w) for c, w in pairs.tolist()], np.int64)[index.reshape(-1)]

    # One network as a graph.

    def phases(self) -> Sequence[Sequence[tuple[int, ...]]]:
        """The largest network, then smaller kernels, fewer blocks, fewer channels [Cai et al., ICLR 2020, figure 3].

        Resolutions are free from the start. Words without a block count as fewer blocks.
        """
        return [[self._open(gene, phase) for gene in self.genes] for phase in range(4)]

    def _open(self, gene: Gene, phase: int) -> tuple[int, ...]:
        """Choices of a gene that are open in a phase: 1 kernels, 2 numbers of blocks, 3 all."""
        every = range(len(gene.choices))
        if phase == 3 or gene.name == "resolution" or (gene.name.startswith("depth") and phase == 2):
            return tuple(every)
        if not gene.name.startswith("block"):
            return tuple(i for i in every if gene.choices[i] == max(gene.choices))
        blocks = {i: block for i in every if (block := block_of(gene.choices[i])) is not None}
        widest = max(block.expansion for block in blocks.values())
        largest = max(block.kernel for block in blocks.values() if block.expansion == widest)
        kept = [i for i, b in blocks.items() if b.expansion == widest and (phase > 0 or b.kernel == largest)]
        return tuple(sorted(kept + ([i for i in every if i not in blocks] if phase == 2 else [])))

    def written(self, genotype: npt.NDArray[np.integer]) -> tuple[Builder, str]:
        """A slot is one block, whatever its kernel and expansion, as in Once-for-All; groups have weights apart."""
        point = np.asarray(genotype, np.int64)[None]
        net, width = self.builder("mobile-" + "".join(map(str, genotype))), float(self._value(point, "width")[0])
        x = self._stem(net, net.input, width, int(self._value(point, "resolution")[0]))
        for i in range(len(self.skeleton.stages)):
            channels = int(self._channels(point, i)[0])
            for slot in range(int(self._depth(point, i)[0])):
                x = self._slot(i, slot, net, x, int(self._word(point, i, slot)[0]), channels)
        return net, self._tail(net, x, width)

    def _stem(self, net: Builder, x: str, width: float, resolution: int) -> str:
        skeleton = self.skeleton
        if resolution != self.inputs[0][1]:
            x = net.add(Upsample(mode="bilinear", size=(resolution, resolution)), x)
        x = net.conv_norm_act(
            x, _scaled(skeleton.stem, width), 3, stride=skeleton.stem_stride, activation=skeleton.stem_activation
        )
        if skeleton.first:
            channels = _scaled(skeleton.first, width)
            x = _block(net, x, _FIRST, channels, skeleton.first_activation, skeleton, skip=skeleton.first_skip)
        return x

    def _slot(self, i: int, slot: int, net: Builder, x: str, word: int, channels: int) -> str:
        """A block, or what enters where the slot is not used or its word leaves the block out."""
        stage, block = self.skeleton.stages[i], None if word == _UNUSED else self._blocks[i][word]
        if block is None:
            return x
        stride = stage.stride if slot == 0 else 1
        with net.within(f"stage {i}", f"slot {slot}", *([f"{block.groups} groups"] if block.groups > 1 else [])):
            return _block(net, x, block, channels, stage.activation, self.skeleton, stride=stride)

    def _tail(self, net: Builder, x: str, width: float) -> str:
        skeleton = self.skeleton
        if skeleton.features:
            grown = width if skeleton.features_shrink else max(width, 1.0)
            x = net.conv_norm_act(x, _scaled(skeleton.features, grown), 1, activation=skeleton.features_activation)
        x = net.add(Pool2d("avg"), x)
        if skeleton.tail == "conv":
            x = net.add(Conv2d.square(_scaled(skeleton.tail_features, width), 1), x)
            x = net.add(Activation("hardswish"), x)
        x = net.flatten(x)
        if skeleton.tail == "linear":
            x = net.add(Activation("hardswish"), net.linear(x, skeleton.tail_features))
        return net.linear(x, self.classes)

    # Many networks as a table.

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        chain = FragmentChain(
            len(genotypes), self.batched_inputs[0], precision=self.precision, semantics=semantics, known=self._fragments
        )
        width, resolution = self._value(genotypes, "width"), self._value(genotypes, "resolution").astype(np.int64)
        chain.append("stem", self._stem, width, resolution)
        for i, stage in enumerate(self.skeleton.stages):
            channels, depth = self._channels(genotypes, i), self._depth(genotypes, i)
            for slot in range(stage.slots):
                word = np.where(depth > slot, self._word(genotypes, i, slot), _UNUSED)
                chain.append((i, slot == 0), partial(self._slot, i, slot), word, channels)
        chain.append("tail", self._tail, width, last=True)
        return chain.finish()

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """Width and resolution where they are decisions, then the blocks in use, a word each and a bar a stage."""
        point = np.asarray(genotype, np.int64)[None]
        whole = [f"{gene.name}={gene.choices[int(genotype[self._place[gene.name]])]}" for gene in self._whole]
        stages = []
        for i, stage in enumerate(self.skeleton.stages):
            used = [stage.blocks[int(self._word(point, i, slot)[0])] for slot in range(int(self._depth(point, i)[0]))]
            shown = [word for word in used if word != SKIP]
            if stage.shared:
                shown = [f"{len(used)}x{used[0]}"]
            channels = f"{int(self._channels(point, i)[0])}:" if len(stage.channels) > 1 else ""
            stages.append(channels + (" ".join(shown) or "-"))
        return " ".join([*whole, " | ".join(stages)])


def _genes_of(i: int, stage: Stage) -> list[Gene]:
    """The decisions of a stage: width, number of blocks, and the words of its slots."""
    genes = [Gene(f"channels{i}", stage.channels)] if len(stage.channels) > 1 else []
    if stage.least < stage.slots:
        genes.append(Gene(f"depth{i}", tuple(range(stage.least, stage.slots + 1))))
    names = [f"block{i}"] if stage.shared else [f"block{i}.{slot}" for slot in range(stage.slots)]
    return [*genes, *(Gene(name, stage.blocks) for name in names)]


_FIRST = Block(3, 1, 1, False)
_UNUSED = -1
"""The word of a slot behind the last block of its stage."""


def _scaled(channels: int, width: float) -> int:
    """Channels times the width, to a multiple of 8; as they stand at width one."""
    return channels if width == 1 else divisible(channels * width)


def _hidden(channels: int, block: Block) -> int:
    """Channels of the depthwise convolution: a whole multiple, or the nearest multiple of 8."""
    return int(channels * block.expansion) if block.expansion % 1 == 0 else divisible(channels * block.expansion)


def _squeezed(channels: int, hidden: int, skeleton: Skeleton) -> int:
    return divisible(hidden / 4) if skeleton.gate == "hidden" else max(channels // 4, 1)


def _gate(skeleton: Skeleton) -> ActivationName:
    return "hardsigmoid" if skeleton.gate == "hidden" else "sigmoid"


def _block(
    net: Builder, x: str, block: Block, out: int, activation: ActivationName, skeleton: Skeleton, *, stride: int = 1,
    skip: bool = True,
) -> str:  # fmt: skip
    """One inverted residual; the identity is added where the shape stays."""
    channels = net.shape(x)[1]
    hidden, y = _hidden(channels, block), x
    if hidden != channels or skeleton.always_expand:
        with net.within("expand"):
            y = net.conv_norm_act(y, hidden, 1, groups=block.groups, activation=activation)
    if block.groups > 1:
        y = net.add(Rearrange(SHUFFLE, net.shape(y)), y)
    with net.within("depthwise"):
        y = net.conv_norm_act(y, hidden, block.kernel, stride=stride, groups=hidden, activation=activation)
    if block.squeeze:
        with net.within("gate"):
            y = net.squeeze_excite(y, _squeezed(channels, hidden, skeleton), gate=_gate(skeleton))
    with net.within("project"):
        y = net.conv_norm_act(y, out, 1, groups=block.groups, activation=None)
    return net.residual(x, y) if skip and stride == 1 and channels == out else y


class StageSettings(Settings):
    """A stage of one's own."""

    channels: Annotated[int, Field(ge=1, le=65_536)] | Annotated[list[int], Field(min_length=1, max_length=64)] = Field(
        description="width, or choices of it"
    )
    stride: int = Field(1, ge=1, le=8, description="of the first block")
    slots: int = Field(1, ge=1, le=64, description="blocks at most")
    least: int | None = Field(None, ge=1, le=64, description="blocks at least; the slots where nothing is said")
    blocks: list[str] = Field(min_length=1, max_length=256, description="words as k3e6, k5e3se, k3e1g2, skip")
    activation: Literal["relu", "relu6", "hardswish", "silu"] = Field("relu", description="behind its convolutions")
    shared: bool = Field(False, description="one word for the whole stage")


class MobileSettings(Settings):
    """MBConv chains on a published skeleton, or stages of one's own between its stem and tail."""

    skeleton: Literal[
        "small", "proxyless", "fbnet", "mnasnet", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "ofa",
        "ofa_12",
    ] = Field("small", description="published space, or ours for small images")  # fmt: skip
    stages: list[StageSettings] = Field(
        default_factory=list, max_length=32, description="in place of those of the skeleton"
    )
    stem_stride: int | None = Field(None, ge=1, le=8, description="in place of that of the skeleton")
    width: list[Annotated[float, Field(gt=0, le=16)]] = Field(
        default_factory=list, max_length=64, description="choices of the width multiplier; that of the skeleton"
    )
    resolution: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        default_factory=list, max_length=64, description="choices of height and width in pixels; those of the images"
    )


def _make(settings: MobileSettings, data: Dataset) -> MobileSpace:
    skeleton = SKELETONS[settings.skeleton]
    if settings.stages:
        skeleton = replace(skeleton, stages=tuple(map(_stage, settings.stages)), source="its run file")
    if settings.stem_stride is not None:
        skeleton = replace(skeleton, stem_stride=settings.stem_stride)
    return MobileSpace(
        skeleton, width=settings.width, resolution=settings.resolution, input_shape=data.shape, classes=data.classes
    )


def _stage(given: StageSettings) -> Stage:
    channels = (given.channels,) if isinstance(given.channels, int) else tuple(given.channels)
    least = given.slots if given.least is None else given.least
    return Stage(channels, given.stride, given.slots, least, tuple(given.blocks), given.activation, given.shared)


PLUGIN = Plugin(MobileSettings, _make, "MBConv chains: ProxylessNAS, FBNet, MnasNet, MobileNetV2 and V3, Once-for-All")
