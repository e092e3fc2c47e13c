"""Children whose genes lie near those of their parents: for decisions that are sizes, and not kinds.

Simulated binary crossover and polynomial mutation [Deb and Agrawal, Complex Systems 9 (1995); Deb et al., 2002] on the
positions of the choices, rounded: pymoo's operators with its distribution indices, 15 and 20. A child that is no point
of the space is its parent, mutated as the space does it.
"""

from __future__ import annotations

import numpy as np

from codesign.space.base import Genotypes, Space

__all__ = ["ordered_children"]

_CROSSED, _MUTATED = 15.0, 20.0
"""Distribution indices of crossover and mutation [pymoo's NSGA2]."""


def ordered_children(
    space: Space, left: Genotypes, right: Genotypes, rng: np.random.Generator, *, crossover: float
) -> Genotypes:
    """Children of parents (P, G) that stand twice each, one after the other: both children of a pair, in its two rows.

    crossover : share of pairs whose children have two parents.
    """
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair

    count = len(left)
    if not count:
        return left.copy()
    problem = Problem(n_var=space.n_genes, xl=0.0, xu=(space.cardinalities - 1).astype(np.float64), vtype=float)
    # Of two parents pymoo makes two children.
    pairs = -(-count // 2)
    parents = Population.new(X=np.concatenate([left[::2], right[::2]]).astype(np.float64))
    mated = np.stack([np.arange(pairs), np.arange(pairs) + pairs], axis=1)
    crossing = SBX(prob=crossover, eta=_CROSSED, vtype=float, repair=RoundingRepair())
    crossed = crossing.do(problem, parents, mated, random_state=rng)
    mutated = PM(eta=_MUTATED, vtype=float, repair=RoundingRepair()).do(problem, crossed, random_state=rng)
    # The first children stand before the second ones: taken by turns, each pair has both before the next has any.
    order = np.arange(2 * pairs).reshape(2, pairs).T.reshape(-1)[:count]
    children: Genotypes = np.rint(mutated.get("X")).astype(np.int64)[order]
    outside = ~space.valid(children)
    children[outside] = space.mutate(left[outside], rng)
    return children
