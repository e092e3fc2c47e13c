"""Spaces whose networks may share weights: what a one-shot search asks of them beside their networks.

Two layers of two networks are one where their places are equal. What they share is the part that both have: the first
outputs and inputs, and the middle of a kernel [Cai et al., "Once-for-All", ICLR 2020, section 3.3].
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from codesign.space.architecture import ArchitectureSpace
from hwmodels.workload.graph import Builder, Workload

__all__ = ["Mixes", "Mixture", "PlacedSpace", "SharesLayers", "Shrinks", "Term"]


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


class Term(NamedTuple):
    """One operand of a sum in a mixture: what there is if gene `gene` makes its `choice`."""

    gene: int
    choice: int


class Mixture(NamedTuple):
    """All networks of a space at once: a network whose sums have an operand for each choice of the genes into them.

    sums : name of each such node -> its operands, in the order of its inputs. edges : nodes that add up the edges into
    a node of the cell, where these are sums of their own -> the gene of each operand.
    """

    workload: Workload
    sums: Mapping[str, tuple[Term, ...]]
    edges: Mapping[str, tuple[int, ...]]


@runtime_checkable
class Mixes(SharesLayers, Protocol):
    """A space whose genes choose between operations, so that a mixture of all of them is a network, too."""

    def mixture(self, *, partial: int = 1) -> Mixture:
        """All choices at once; with `partial` K the operations work on the first of every K channels alone.

        The other channels pass an edge as they are [Xu et al., "PC-DARTS", ICLR 2020]; a share of a channel is one.
        """
        ...


class PlacedSpace(ArchitectureSpace):
    """A space that writes its networks within places: both the network and the places are of one writing."""

    @abstractmethod
    def written(self, genotype: npt.NDArray[np.integer]) -> tuple[Builder, str]:
        """The network as it stands in a builder, and the name of its output."""

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        net, output = self.written(genotype)
        return net.finish(output)

    def places(self, genotype: npt.NDArray[np.integer]) -> Mapping[str, str]:
        return self.written(genotype)[0].places
