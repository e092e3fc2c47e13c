"""What every space has: genes with named choices, and points as integer vectors.

A genotype is a row of indices into the choices of each gene; a batch of them is (P, G) int64. The operators here are
vectorised over the batch; a space adds what its points mean, which of them are valid and which are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hwmodels.errors import SpecError
from hwmodels.kernel_cache import cached_njit

__all__ = ["Gene", "Genotypes", "Space"]

Genotypes = npt.NDArray[np.int64]


class Gene(NamedTuple):
    """One decision: its name and what can be chosen."""

    name: str
    choices: tuple[Any, ...]


class Space:
    """Integer points over `genes`.

    >>> space = Space([Gene("kernel", (3, 5)), Gene("width", (8, 16, 32))])
    >>> space.size
    6
    >>> space.decode(space.encode({"kernel": 5, "width": 8}))
    {'kernel': 5, 'width': 8}
    """

    def __init__(self, genes: Sequence[Gene]) -> None:
        for gene in genes:
            if not gene.choices:
                raise SpecError(f"gene {gene.name}", "an empty list", "at least one choice")
        self.genes = tuple(genes)
        self.cardinalities = np.array([len(gene.choices) for gene in genes], dtype=np.int64)

    @property
    def n_genes(self) -> int:
        return len(self.genes)

    @property
    def size(self) -> int:
        """Number of points, valid or not."""
        return prod(int(count) for count in self.cardinalities)

    @property
    def choice_stages(self) -> npt.NDArray[np.int64]:
        """Stage at which each choice opens, gene after gene, (sum of cardinalities,).

        Here all are open from stage 1 on; a space that is searched in stages overrides it.
        """
        return np.ones(int(self.cardinalities.sum()), np.int64)

    def enumerate(self) -> Genotypes:
        """Every point, valid or not, the last gene varying fastest, (size, G)."""
        points = np.array(list(np.ndindex(*self.cardinalities.tolist())), dtype=np.int64)
        return points.reshape(self.size, self.n_genes)

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """Which points mean something, (P,)."""
        inside: npt.NDArray[np.bool_] = _inside(genotypes, self.cardinalities)
        return inside

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """One representative of all points that mean the same, (P, G)."""
        return genotypes

    def sample(self, n: int, rng: np.random.Generator) -> Genotypes:
        """`n` valid points, uniform over the valid ones, (n, G).

        Raises
        ------
        SpecError : a space in which hardly any point is valid.
        """
        found = np.empty((0, self.n_genes), np.int64)
        for _ in range(100):
            drawn = rng.integers(0, self.cardinalities, size=(max(n, 16), self.n_genes))
            found = np.concatenate([found, drawn[self.valid(drawn)]])
            if len(found) >= n:
                return found[:n]
        raise SpecError("space", f"{len(found)} valid points in {100 * max(n, 16)} draws", "searchable")

    def mutate(self, genotypes: Genotypes, rng: np.random.Generator, *, rate: float | None = None) -> Genotypes:
        """Change each gene with probability `rate` (default 1/G) and at least one; a mutant is valid.

        The new value differs from the old one where a gene has another. Invalid mutants keep their parent.
        """
        n, width = genotypes.shape
        free = self.cardinalities > 1
        if not free.any():
            return genotypes.copy()
        drawn = rng.random((n, width))
        forced = rng.choice(np.flatnonzero(free), size=n)
        shift = rng.integers(1, np.maximum(self.cardinalities, 2), size=(n, width))
        least = rate if rate is not None else 1 / width
        mutants: Genotypes = _mutated(genotypes, drawn, least, forced, shift, self.cardinalities)
        return np.where(self.valid(mutants)[:, None], mutants, genotypes)

    def crossover(self, left: Genotypes, right: Genotypes, rng: np.random.Generator) -> Genotypes:
        """Uniform crossover, gene by gene, (P, G); an invalid child becomes its left parent."""
        children = np.where(rng.random(left.shape) < 0.5, left, right)
        return np.where(self.valid(children)[:, None], children, left)

    def neighbours(self, genotype: Genotypes) -> Genotypes:
        """All valid points that differ in exactly one gene, (K, G)."""
        moved = []
        for i, count in enumerate(self.cardinalities):
            others = np.setdiff1d(np.arange(count), [genotype[i]])
            block = np.repeat(genotype[None, :], len(others), axis=0)
            block[:, i] = others
            moved.append(block)
        stacked = np.concatenate(moved)
        return stacked[self.valid(stacked)]

    def encode(self, point: Mapping[str, Any]) -> npt.NDArray[np.int64]:
        """A point by name as a genotype (G,).

        Raises
        ------
        SpecError : an unknown gene or a value that is not among its choices.
        """
        names = [gene.name for gene in self.genes]
        for name in point:
            if name not in names:
                raise SpecError.unknown("gene", str(name), names)
        for gene in self.genes:
            if gene.name not in point:
                raise SpecError("point", f"without {gene.name}", "a value for every gene")
            if point[gene.name] not in gene.choices:
                raise SpecError(gene.name, point[gene.name], f"one of {', '.join(map(str, gene.choices))}")
        return np.array([gene.choices.index(point[gene.name]) for gene in self.genes], dtype=np.int64)

    def decode(self, genotype: npt.NDArray[np.integer]) -> dict[str, Any]:
        """A genotype as a point by name."""
        return {gene.name: gene.choices[int(i)] for gene, i in zip(self.genes, genotype, strict=True)}

    def column(self, genotypes: Genotypes, name: str) -> npt.NDArray[Any]:
        """Values of one gene over a batch, (P,)."""
        index = next(i for i, gene in enumerate(self.genes) if gene.name == name)
        return np.asarray(self.genes[index].choices)[genotypes[:, index]]


@cached_njit()
def _inside(genotypes: Genotypes, cardinalities: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which rows have every gene among its choices, (P,)."""
    inside = np.ones(len(genotypes), np.bool_)
    for i in range(len(genotypes)):
        for g in range(cardinalities.size):
            inside[i] &= 0 <= genotypes[i, g] < cardinalities[g]
    return inside


@cached_njit()
def _mutated(
    genotypes: Genotypes,
    drawn: npt.NDArray[np.float64],
    rate: float,
    forced: npt.NDArray[np.int64],
    shift: npt.NDArray[np.int64],
    cardinalities: npt.NDArray[np.int64],
) -> Genotypes:
    """Genes moved by `shift` (P, G) where `drawn` (P, G) is below the rate, the `forced` one (P,) where none is."""
    mutants = genotypes.copy()
    for i in range(len(genotypes)):
        hit = False
        for g in range(cardinalities.size):
            if drawn[i, g] < rate and cardinalities[g] > 1:
                mutants[i, g] = (genotypes[i, g] + shift[i, g]) % cardinalities[g]
                hit = True
        if not hit:
            g = forced[i]
            mutants[i, g] = (genotypes[i, g] + shift[i, g]) % cardinalities[g]
    return mutants
