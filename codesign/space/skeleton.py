"""Skeletons of MBConv chains: what a search leaves fixed, and the published spaces as data.

A skeleton is a stem, stages of block slots with the words that a slot chooses from, and a tail. A word is kernel and
expansion, then `g2` for two groups and `se` for squeeze-and-excitation: ``k5e6``, ``k3e1g2``, ``k3e2.5se``; ``skip``
leaves the block out.

Published spaces: ProxylessNAS [Cai et al., ICLR 2019], FBNet [Wu et al., CVPR 2019, table 1], MnasNet [Tan et al.,
CVPR 2019], MobileNetV3 [Howard et al., ICCV 2019, tables 1 and 2], Once-for-All [Cai et al., ICLR 2020].
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from hwmodels.errors import SpecError
from hwmodels.workload.ops import ActivationName

__all__ = ["SKELETONS", "SKIP", "Block", "Skeleton", "Stage", "block_of", "words"]

SKIP = "skip"
_WORD = re.compile(r"k(\d+)e(\d+(?:\.\d+)?)(g2)?(se)?")


class Block(NamedTuple):
    """One word: the depthwise kernel, hidden over entering channels, groups of the 1x1 convolutions, the gate."""

    kernel: int
    expansion: float
    groups: int
    squeeze: bool


def block_of(word: str, *, where: str = "blocks") -> Block | None:
    """A word as a block; None for `SKIP`.

    Raises
    ------
    SpecError : a word that is none.

    >>> block_of("k5e3se")
    Block(kernel=5, expansion=3.0, groups=1, squeeze=True)
    """
    if word == SKIP:
        return None
    found = _WORD.fullmatch(word)
    if found is None or int(found[1]) % 2 == 0 or not 0 < float(found[2]) <= 64 or int(found[1]) > 31:
        raise SpecError(where, word, "skip, or a word as k3e6, k5e3se, k3e1g2: odd kernel to 31, expansion to 64")
    return Block(int(found[1]), float(found[2]), 2 if found[3] else 1, bool(found[4]))


def words(kernels: tuple[int, ...], expansions: tuple[float, ...], *suffixes: str) -> tuple[str, ...]:
    """All combinations as words.

    >>> words((3, 5), (3, 6), "", "se")[:3]
    ('k3e3', 'k3e3se', 'k3e6')
    """
    return tuple(f"k{k}e{e:g}{s}" for k in kernels for e in expansions for s in (suffixes or ("",)))


@dataclass(frozen=True)
class Stage:
    """Block slots of one width.

    channels : choices of the width; several are a decision. stride : of the first block. slots : blocks at most.
    least : blocks at least; the number between is a decision. blocks : words of a slot.
    shared : one word for all slots of the stage (factorised hierarchical space), else one each.
    """

    channels: tuple[int, ...]
    stride: int
    slots: int
    least: int
    blocks: tuple[str, ...]
    activation: ActivationName = "relu"
    shared: bool = False


@dataclass(frozen=True)
class Skeleton:
    """A chain of stages between a stem and a tail.

    stem, stem_stride, stem_activation : the first convolution, 3x3. first : channels of the depthwise separable block
    behind it, 0 for none; first_skip : whether it has an identity. features : of the last 1x1 convolution, 0 for none.
    tail : behind the pooling a classifier (plain), a 1x1 convolution before it (conv) or a linear layer (linear), of
    `tail_features`. gate : squeeze-and-excitation to a quarter of the hidden (hidden, hard sigmoid) or of the entering
    channels (entering, sigmoid). always_expand : a 1x1 convolution comes first at expansion one, too.
    features_shrink : the last 1x1 convolution scales below width one, too. width : the multiplier of all channels.
    """

    stages: tuple[Stage, ...]
    stem: int
    source: str
    stem_stride: int = 2
    stem_activation: ActivationName = "relu"
    first: int = 0
    first_activation: ActivationName = "relu"
    first_skip: bool = False
    features: int = 0
    features_activation: ActivationName = "relu"
    tail: Literal["plain", "conv", "linear"] = "plain"
    tail_features: int = 0
    gate: Literal["hidden", "entering"] = "hidden"
    always_expand: bool = False
    features_shrink: bool = True
    width: float = 1.0


def _stages(
    lines: tuple[tuple[int, int, int, int], ...], blocks: tuple[str, ...], activation: ActivationName
) -> tuple[Stage, ...]:
    """Stages of (channels, stride, slots, least) with the same words."""
    return tuple(Stage((c,), stride, slots, least, blocks, activation) for c, stride, slots, least in lines)


_PROXYLESS_WORDS = (*words((3, 5, 7), (3, 6)), SKIP)
_FBNET_WORDS = ("k3e1", "k3e1g2", "k3e3", "k3e6", "k5e1", "k5e1g2", "k5e3", "k5e6", SKIP)
_OFA_WORDS = words((3, 5, 7), (3, 4, 6))
_MNASNET_WORDS = words((3, 5), (3, 6), "", "se")


def _ofa_v3() -> Skeleton:
    lines: tuple[tuple[int, int, bool, ActivationName], ...] = (
        (24, 2, False, "relu"), (40, 2, True, "relu"), (80, 2, False, "hardswish"), (112, 1, True, "hardswish"),
        (160, 2, True, "hardswish"),
    )  # fmt: skip
    stages = tuple(
        Stage((channels,), stride, 4, 2, tuple(f"{word}se" if squeeze else word for word in _OFA_WORDS), activation)
        for channels, stride, squeeze, activation in lines
    )
    return Skeleton(
        stages, 16, "Cai et al. 2020; once-for-all's OFAMobileNetV3", stem_activation="hardswish", first=16,
        first_skip=True, features=960, features_activation="hardswish", tail="conv", tail_features=1280,
    )  # fmt: skip


def _mobilenet_v3(*, large: bool) -> Skeleton:
    """Each block of the published network is one of the words of its slot."""
    expansions = (2.3, 2.5, 3, 4, 6) if large else (3, 11 / 3, 4, 4.5, 6)
    choices = tuple(f"k{k}e{e:.5g}{s}" for k in (3, 5) for e in expansions for s in ("", "se"))
    unwidened = tuple(f"k{k}e1{s}" for k in (3, 5) for s in ("", "se"))
    lines: tuple[tuple[int, int, int, ActivationName], ...]
    if large:
        lines = ((24, 2, 2, "relu"), (40, 2, 3, "relu"), (80, 2, 4, "hardswish"), (112, 1, 2, "hardswish"),
                 (160, 2, 3, "hardswish"))  # fmt: skip
        first = Stage((16,), 1, 1, 1, unwidened, "relu")
    else:
        lines = ((24, 2, 2, "relu"), (40, 2, 3, "hardswish"), (48, 1, 2, "hardswish"), (96, 2, 3, "hardswish"))
        first = Stage((16,), 2, 1, 1, unwidened, "relu")
    stages = (first, *(Stage((c,), stride, slots, 1, choices, act) for c, stride, slots, act in lines))
    return Skeleton(
        stages, 16, "Howard et al. 2019, tables 1 and 2", stem_activation="hardswish",
        features=960 if large else 576, features_activation="hardswish", tail="linear",
        tail_features=1280 if large else 1024,
    )  # fmt: skip


_SMALL_WORDS = (*words((3, 5), (2, 4)), "k3e2se", SKIP)

SKELETONS: dict[str, Skeleton] = {
    "small": Skeleton(
        _stages(((16, 1, 2, 2), (24, 2, 3, 3), (32, 2, 2, 2)), _SMALL_WORDS, "relu6"), 12,
        "ours: for images of 8 to 32 pixels", stem_stride=1, stem_activation="relu6", features=64,
        features_activation="relu6",
    ),
    "proxyless": Skeleton(
        _stages(((32, 2, 4, 4), (40, 2, 4, 4), (80, 2, 4, 4), (96, 1, 4, 4), (192, 2, 4, 4), (320, 1, 1, 1)),
                _PROXYLESS_WORDS, "relu6"),
        32, "Cai et al. 2018; mit-han-lab/proxylessnas configurations", stem_activation="relu6", first=16,
        first_activation="relu6", features=1280, features_activation="relu6",
    ),
    "fbnet": Skeleton(
        _stages(((16, 1, 1, 1), (24, 2, 4, 4), (32, 2, 4, 4), (64, 2, 4, 4), (112, 1, 4, 4), (184, 2, 4, 4),
                 (352, 1, 1, 1)), _FBNET_WORDS, "relu"),
        16, "Wu et al. 2018, table 1", features=1984, always_expand=True,
    ),
    "mnasnet": Skeleton(
        tuple(
            Stage(channels, stride, 4, 1, _MNASNET_WORDS, "relu", shared=True)
            for channels, stride in (
                ((16, 24, 32), 2), ((24, 32, 40), 2), ((48, 64, 80), 2), ((72, 96, 112, 120), 1),
                ((120, 160, 192, 200), 2), ((240, 320, 400), 1),
            )
        ),
        32, "Tan et al. 2018: layers of a block alike, filters of MobileNetV2 times 0.75, 1, 1.25", first=16,
        features=1280, gate="entering",
    ),
    "mobilenet_v2": Skeleton(
        _stages(((24, 2, 4, 1), (32, 2, 4, 1), (64, 2, 4, 1), (96, 1, 4, 1), (160, 2, 4, 1), (320, 1, 2, 1)),
                words((3, 5, 7), (3, 4, 6)), "relu6"),
        32, "Sandler et al. 2018, table 2, with the choices of later searches", stem_activation="relu6", first=16,
        first_activation="relu6", features=1280, features_activation="relu6", features_shrink=False,
    ),
    "mobilenet_v3_large": _mobilenet_v3(large=True),
    "mobilenet_v3_small": _mobilenet_v3(large=False),
    "ofa": _ofa_v3(),
    "ofa_12": replace(_ofa_v3(), width=1.2),
}  # fmt: skip
"""Spaces by name; `small` is ours."""
