"""A space at one of its stages: the same points, of which those with a closed choice are not valid.

`Space.choice_stages` says at which stage each choice opens. Points keep their coordinates, so that what is found at one
stage is a point of every later one. From simple networks to complex ones goes also progressive search [Liu et al., ECCV
2018], whose cells grow; here it is the choices that do. Not modelled: moves of a space's own; here they are those of
any space.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from codesign.space.base import Gene, Genotypes, Space

__all__ = ["OpenedSpace"]


class OpenedSpace(Space):
    """Points of `space` whose choices are open at `stage`.

    Raises
    ------
    SpecError : a gene has no choice at this stage.

    >>> class Widening(Space):
    ...     @property
    ...     def choice_stages(self):
    ...         return np.array([1, 2, 1])
    >>> opened = OpenedSpace(Widening([Gene("operation", ("conv", "attention", "pool"))]), stage=1)
    >>> sorted(set(opened.sample(20, np.random.default_rng(0))[:, 0].tolist()))
    [0, 2]
    """

    def __init__(self, space: Space, stage: int) -> None:
        super().__init__(space.genes)
        self.space, self.stage = space, stage
        self.is_open = space.choice_stages <= stage
        self._starts = np.concatenate([[0], np.cumsum(self.cardinalities)[:-1]])
        self._places = _Places(self)

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        inside = super().valid(genotypes)
        safe = np.where(inside[:, None], genotypes, 0)
        opened: npt.NDArray[np.bool_] = self.is_open[self._starts + safe].all(axis=1)
        return inside & opened & self.space.valid(safe)

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        return self.space.canonical(genotypes)

    def sample(self, n: int, rng: np.random.Generator) -> Genotypes:
        return self._places.points(self._places.sample(n, rng))

    def mutate(self, genotypes: Genotypes, rng: np.random.Generator, *, rate: float | None = None) -> Genotypes:
        """As of any space, among the open choices; a closed choice becomes the first that is open."""
        return self._places.points(self._places.mutate(self._places.of(genotypes), rng, rate=rate))


class _Places(Space):
    """The same points as positions among the open choices of each gene."""

    def __init__(self, opened: OpenedSpace) -> None:
        ends = opened._starts + opened.cardinalities
        spans = zip(opened._starts.tolist(), ends.tolist(), strict=True)
        self._open = [np.flatnonzero(opened.is_open[first:last]) for first, last in spans]
        super().__init__(
            [
                Gene(gene.name, tuple(gene.choices[place] for place in places))
                for gene, places in zip(opened.genes, self._open, strict=True)
            ]
        )
        self._outer = opened.space

    def points(self, places: Genotypes) -> Genotypes:
        """Points of the outer space, (P, G)."""
        columns = [choices[column] for choices, column in zip(self._open, places.T, strict=True)]
        return np.stack(columns, axis=1).astype(np.int64) if columns else places

    def of(self, points: Genotypes) -> Genotypes:
        """Places of points; 0 for a closed choice."""
        places = np.zeros_like(points)
        for gene, choices in enumerate(self._open):
            at = np.minimum(np.searchsorted(choices, points[:, gene]), len(choices) - 1)
            places[:, gene] = np.where(choices[at] == points[:, gene], at, 0)
        return places

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        inside = super().valid(genotypes)
        safe = np.where(inside[:, None], genotypes, 0)
        return inside & self._outer.valid(self.points(safe))
