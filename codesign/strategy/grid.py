"""Grid search: every valid point of the space once, then from the beginning.

The order is a walk of one fixed stride round the numbered points, a stride without a divisor in common with their
number that is as near as can be to the golden section of it [Weyl's equidistribution, as in Knuth, The Art of Computer
Programming 3, 6.4]: a search that ends early has seen a grid that is coarse and even in the first gene, not one corner.
"""

from __future__ import annotations

from math import gcd

import numpy as np

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from hwmodels.errors import SpecError

__all__ = ["PLUGIN", "GridSearch", "GridSettings"]

_TRIES, _LAP = 100, 1 << 20
"""Points looked at for each one asked, and a lap or so many in all, from which a space has hardly any valid point."""


class GridSearch:
    """Walks the whole space and learns nothing."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self._stride = _stride(space.size)
        self._place = 0

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        found = [np.empty((0, self.space.n_genes), np.int64)]
        count, looked = 0, 0
        limit = max(_TRIES * max(n, 16), min(self.space.size, _LAP))
        while count < n:
            block = n - count
            points = self._points(block)
            valid = np.flatnonzero(self.space.valid(points))
            found.append(points[valid])
            count, looked = count + len(valid), looked + block
            if looked > limit:
                raise SpecError("space", f"{count} valid points in {looked}", "searchable")
        return Proposal.full(np.concatenate(found))

    def _points(self, count: int) -> Genotypes:
        """The next `count` points of the walk, valid or not, (count, G)."""
        size = self.space.size
        numbers = [(self._place + i) * self._stride % size for i in range(count)]
        self._place = (self._place + count) % size
        rest = np.array(numbers, np.int64 if size < 2**62 else object)
        points = np.empty((count, self.space.n_genes), np.int64)
        for gene in range(self.space.n_genes - 1, -1, -1):
            points[:, gene] = rest % int(self.space.cardinalities[gene])
            rest = rest // int(self.space.cardinalities[gene])
        return points

    def tell(self, proposal: Proposal, results: Results) -> None:
        return None

    def state(self) -> State:
        return {"place": self._place}

    def restore(self, state: State) -> None:
        self._place = int(state["place"])


def _stride(size: int) -> int:
    """The number next to the golden section of `size` without a divisor in common with it.

    >>> _stride(100), _stride(1)
    (61, 1)
    """
    golden = size * 618_033_988_749_894_848 // 10**18
    return next(step for step in range(max(golden, 1), size + 2) if gcd(step, size) == 1)


class GridSettings(Settings):
    """Every point of the space once."""


def _make(settings: GridSettings, problem: Problem) -> GridSearch:
    return GridSearch(problem.space)


PLUGIN = Plugin(GridSettings, _make, "every valid point of the space once, in an order that is spread from the start")
