"""Bits as decisions, over any space: the layers with stored weights fall into groups in order, each with its own bits.

Layer i of n such layers is in group floor(i G / n), so that any number of layers is spread over G decisions; with as
many groups as layers each layer has its own. A layer that the network as executed does not have is in no group. All
other operators keep the bits of the space.

One float training serves all bits of a network: its key holds none (`codesign.estimate.train`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.wrapped import WrappedSpace, carried, repeated
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import Semantics, prune_dead_branches
from hwmodels.workload.table import Layers, LayerTable

__all__ = ["MixedBits", "MixedBitsSpace"]

I64 = npt.NDArray[np.int64]


class MixedBits(Settings):
    """Bits that a search decides, group by group."""

    choices: list[int] = Field(min_length=2, max_length=32, description="of weights and activations")
    groups: int = Field(4, ge=1, le=1_000, description="groups of consecutive layers with weights")


class MixedBitsSpace(WrappedSpace):
    """The networks of another space with bits by group.

    Parameters
    ----------
    inner : the space of the networks. choices : bits of weights and activations. groups : decisions.

    Raises
    ------
    SpecError : bits outside 1 to 32, or a choice twice.
    """

    def __init__(self, inner: ArchitectureSpace, *, choices: Sequence[int], groups: int) -> None:
        for bits in choices:
            if not 1 <= bits <= 32:
                raise SpecError("mixed_bits.choices", bits, "1 to 32")
        if len(set(choices)) < len(choices):
            raise SpecError("mixed_bits.choices", list(choices), "a list without repeats")
        self.choices, self.groups = tuple(choices), groups
        super().__init__(inner, [Gene(f"mixed_bits{group}", tuple(choices)) for group in range(groups)])

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        bits = " ".join(str(self.choices[int(i)]) for i in genotype[self.inner.n_genes :])
        return f"{self.inner.describe(genotype[: self.inner.n_genes])} at {bits} bits"

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        written = self.inner.workload(genotype[: self.inner.n_genes])
        executed = prune_dead_branches(written).rows()
        names = [node.name for node, row in executed if row.macs and not row.dynamic_operand]
        bits = [self.choices[int(i)] for i in genotype[self.inner.n_genes :]]
        chosen = {name: bits[i * self.groups // len(names)] for i, name in enumerate(names)}
        nodes = (
            replace(node, precision=_with_bits(node.precision, chosen[node.name])) if node.name in chosen else node
            for node in written
        )
        return Workload("mixed-" + "".join(map(str, genotype)), tuple(nodes), written.outputs)

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        """Rows of the inner space with other bits; graph by graph where dead branches run, which have no group."""
        if not semantics.drop_dead_branches:
            return super().lower_distinct(genotypes, semantics)
        table, network = self.inner.lower(self.networks(genotypes), semantics)
        rows, networks = repeated(table, network)
        places = _groups_of(table.layers, rows, np.diff(networks.sequence_start), self.groups)
        owner = np.repeat(np.arange(len(genotypes)), np.diff(networks.sequence_start))
        chosen = np.where(places >= 0, 1 + genotypes[owner, self.inner.n_genes + np.maximum(places, 0)], 0)
        code, index = np.unique(rows * (len(self.choices) + 1) + chosen, return_inverse=True)
        row, choice = np.divmod(code, len(self.choices) + 1)
        bits = np.array([0, *self.choices], np.int64)[choice]
        layers = Layers(*(column[row] for column in table.layers))
        layers = layers._replace(
            weight_bits=np.where(choice > 0, bits, layers.weight_bits),
            activation_bits=np.where(choice > 0, bits, layers.activation_bits),
            weight_format=np.where(choice > 0, 0, layers.weight_format),
            activation_format=np.where(choice > 0, 0, layers.activation_format),
        )
        names = tuple(map(str, range(len(genotypes))))
        sequence = index.reshape(-1).astype(np.int64)
        return LayerTable(layers, networks._replace(sequence=sequence), names, carried(table, network))


def _with_bits(precision: Precision, bits: int) -> Precision:
    return precision._replace(weight_bits=bits, activation_bits=bits, weight_format=0, activation_format=0)


def _groups_of(layers: Layers, rows: I64, sizes: I64, groups: int) -> I64:
    """Group of each layer of networks of `sizes` layers, one after the other; -1 for what has no stored weights."""
    counts = ((layers.macs > 0) & (layers.dynamic_operand == 0))[rows]
    before = np.cumsum(counts) - counts
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    running = np.concatenate([before, [counts.sum()]])
    first, whole = np.repeat(running[starts[:-1]], sizes), np.repeat(np.diff(running[starts]), sizes)
    place = (before - first) * groups // np.maximum(whole, 1)
    return np.where(counts, place, -1)
