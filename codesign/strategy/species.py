"""Species of genomes: who belongs together, how many children each has, and who no longer has any.

[Stanley and Miikkulainen, Evolutionary Computation 10(2), 2002, section 3.3]. A genome joins the first species whose
representative, a random member of the generation before, is nearer than the threshold; else it founds one. Fitness is
shared: each member's is divided by the size of its species, and a species has children in proportion to the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.strategy.innovation import Genome

__all__ = ["Species", "assigned", "quotas", "shared"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Species:
    """A representative, the objectives of the best member that there was, and generations since it was found."""

    representative: Genome
    best: F64
    stagnant: int = 0


def assigned(
    genomes: Sequence[Genome], species: Sequence[Genome], apart: Callable[[Genome, Genome], float], threshold: float
) -> tuple[I64, list[Genome]]:
    """Which species each genome belongs to, (P,), and all representatives: those given, then founders."""
    known, found = list(species), np.empty(len(genomes), np.int64)
    for i, genome in enumerate(genomes):
        near = (place for place, other in enumerate(known) if apart(genome, other) < threshold)
        found[i] = next(near, len(known))
        if found[i] == len(known):
            known.append(genome)
    return found, known


def shared(fitness: F64, of_species: I64, count: int) -> F64:
    """Sum of the shared fitness of each of `count` species, (S,): the mean fitness of its members.

    >>> shared(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]), 2).tolist()
    [2.0, 5.0]
    """
    sizes = np.bincount(of_species, minlength=count)
    sums: F64 = np.bincount(of_species, fitness, minlength=count) / np.maximum(sizes, 1)
    return sums


def quotas(shares: F64, total: int) -> I64:
    """Whole children in proportion to shares (S,), `total` in all, by largest remainders; alike where all are 0.

    >>> quotas(np.array([2.0, 5.0, 0.0]), 10).tolist()
    [3, 7, 0]
    """
    shares = shares if shares.sum() > 0 else np.ones_like(shares)
    exact = shares / shares.sum() * total
    whole: I64 = np.floor(exact).astype(np.int64)
    left = np.argsort(whole - exact, kind="stable")[: total - int(whole.sum())]
    whole[left] += 1
    return whole
