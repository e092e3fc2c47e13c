"""Spaces whose networks may share weights: what a one-shot search asks of them beside their networks.

Two layers of two networks are one where their places are equal. What they share is the part that both have: the first
outputs and inputs, and the middle of a kernel [Cai et al., "Once-for-All", ICLR 2020, section 3.3].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

__all__ = ["SharesLayers", "Shrinks"]


@runtime_checkable
class SharesLayers(Protocol):
    """A space that says which layers of its networks are one."""

    def places(self, genotype: npt.NDArray[np.integer]) -> Mapping[str, str]:
        """The place of every operator of `workload(genotype)`, by the operator's name."""
        ...


@runtime_checkable
class Shrinks(SharesLayers, Protocol):
    """A space with a largest network, towards which training may begin."""

    def phases(self) -> Sequence[Sequence[tuple[int, ...]]]:
        """For each phase and each gene the positions of the choices that are open; in the last one all of them.

        What is open stays open. The first phase trains the largest network, which then teaches the others.
        """
        ...
