"""NSGA-II [Deb et al., 2002] over joint genotypes: pymoo's non-dominated ranking and crowding, integer operators ours.

Only pairs with an accuracy enter the population. While there are none, the least violating pairs are the parents, so
that FAST alone already steers the sampler towards feasible hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.ordered import ordered_children

__all__ = ["NSGA2", "OPERATORS", "PLUGIN", "NSGA2Settings", "Operators"]

F64 = npt.NDArray[np.float64]
Operators = Literal["space", "ordered"]

_MATINGS = 100  # rounds of children that are made anew where they are known [pymoo: InfillCriterion]
_LARGEST = 1_000  # children of a batch that are looked through for known ones; FAST drops those of a larger one


class NSGA2:
    """Population of `population` pairs; binary tournaments on (violation, rank, crowding), crossover, mutation.

    crossover : probability that a child has two parents. immigrants : share of each proposal drawn from the space.
    operators : those of the space, or `ordered` ones (`codesign.strategy.ordered`).
    """

    def __init__(
        self, space: Space, *, population: int = 64, crossover: float = 0.9, immigrants: float = 0.2,
        operators: Operators = "space",
    ) -> None:  # fmt: skip
        self.space, self.population = space, population
        self.crossover, self.immigrants, self.operators = crossover, immigrants, operators
        self._genotypes: Genotypes = np.empty((0, space.n_genes), np.int64)
        self._objectives: F64 = np.empty((0, 0))
        self._violation: F64 = np.empty(0)
        self._rank: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._crowding: F64 = np.empty(0)

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        n_random = n if len(self._genotypes) == 0 else round(self.immigrants * n)
        fresh = self.space.sample(n_random, rng)
        if n_random == n:
            return Proposal.full(fresh)
        children = n - n_random
        anew = self.operators == "ordered" and children <= _LARGEST
        mutants, parents = (self._unknown if anew else self._mated)(children, rng)
        return Proposal(
            np.concatenate([mutants, fresh]), np.ones(n), np.concatenate([parents, np.full_like(fresh, -1)])
        )

    def _mated(self, count: int, rng: np.random.Generator) -> tuple[Genotypes, Genotypes]:
        """Children of tournament winners, and of the two parents of each the nearer one, (P, G) both."""
        left, right = (self._genotypes[self._tournaments(count, rng)] for _ in range(2))
        if self.operators == "ordered":  # whose crossover makes two children of the same parents
            left, right = (np.repeat(one[: -(-count // 2)], 2, axis=0)[:count] for one in (left, right))
        children = self._children(left, right, rng)
        return children, self._nearer(children, left, right)

    def _unknown(self, count: int, rng: np.random.Generator) -> tuple[Genotypes, Genotypes]:
        """As `_mated`, but children near their parents are often known ones: those are made anew, as pymoo does it."""
        children, parents = (np.empty((0, self.space.n_genes), np.int64) for _ in range(2))
        for _ in range(_MATINGS):
            made, of = self._mated(count - len(children), rng)
            known = np.concatenate([self._genotypes, children])
            _, first = np.unique(np.concatenate([known, made]), axis=0, return_index=True)
            new = np.sort(first[first >= len(known)]) - len(known)
            children, parents = np.concatenate([children, made[new]]), np.concatenate([parents, of[new]])
            if len(children) == count:
                break
        made, of = self._mated(count - len(children), rng)  # a space in which hardly anything is new
        return np.concatenate([children, made]), np.concatenate([parents, of])

    def _children(self, left: Genotypes, right: Genotypes, rng: np.random.Generator) -> Genotypes:
        """A child of each pair of parents, (P, G)."""
        if self.operators == "ordered":
            return ordered_children(self.space, left, right, rng, crossover=self.crossover)
        crossed = self.space.crossover(left, right, rng)
        two_parents = rng.random(len(left)) < self.crossover
        return self.space.mutate(np.where(two_parents[:, None], crossed, left), rng)

    @staticmethod
    def _nearer(children: Genotypes, left: Genotypes, right: Genotypes) -> Genotypes:
        """Of two parents the one with more genes of the child, the left one of equals, (P, G)."""
        alike = [(children == one).sum(axis=1) for one in (left, right)]
        return np.where((alike[0] >= alike[1])[:, None], left, right)

    def _tournaments(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Winners of `n` binary tournaments: least violation, then rank, then widest crowding distance."""
        best_first = np.lexsort((-self._crowding, self._rank, self._violation))
        place = np.empty(len(best_first), np.int64)
        place[best_first] = np.arange(len(best_first))
        pairs = rng.integers(len(place), size=(n, 2))
        winners: npt.NDArray[np.int64] = pairs[np.arange(n), place[pairs].argmin(axis=1)]
        return winners

    def tell(self, proposal: Proposal, results: Results) -> None:
        objectives = results.objectives()
        told = np.flatnonzero(~np.isnan(objectives).any(axis=1))
        total = results.violation.sum(axis=1)
        evaluated = self._objectives.size > 0 and not np.isnan(self._objectives).any()
        if not len(told) and not evaluated:
            self._keep_least_violating(proposal.genotypes, objectives, total)
            return
        genotypes = proposal.genotypes[told]
        new_objectives, new_violation = objectives[told], total[told]
        if evaluated:
            genotypes = np.concatenate([self._genotypes, genotypes])
            new_objectives = np.concatenate([self._objectives, new_objectives])
            new_violation = np.concatenate([self._violation, new_violation])
        self._survive(genotypes, new_objectives, new_violation)

    def _survive(self, genotypes: Genotypes, objectives: F64, violation: F64) -> None:
        """Keep the best `population`; equal genotypes once."""
        _, first = np.unique(genotypes, axis=0, return_index=True)
        keep = np.sort(first)
        keep = keep[self._staying(objectives[keep], violation[keep])]
        self._genotypes, self._objectives, self._violation = genotypes[keep], objectives[keep], violation[keep]
        compared = self._compared(self._objectives)
        self._rank = _ranks(compared)
        self._crowding = _crowding(compared, self._rank, self._distances)

    def _best(self, objectives: F64, violation: F64, count: int) -> npt.NDArray[np.int64]:
        """Positions of at most `count` survivors, the best first, by pymoo's survival."""
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem

        positions = np.arange(len(objectives))
        problem = Problem(n_var=1, n_obj=objectives.shape[1], n_ieq_constr=1)
        population = Population.new(X=positions[:, None], F=self._compared(objectives), G=violation[:, None])
        survivors = self._survival(problem, population, min(count, len(positions)))
        chosen: npt.NDArray[np.int64] = survivors.get("X")[:, 0].astype(np.int64)
        return chosen

    # What kinds of NSGA differ in.

    def _staying(self, objectives: F64, violation: F64) -> npt.NDArray[np.int64]:
        """Positions of those who stay, among older and then younger pairs."""
        return self._best(objectives, violation, self.population)

    def _survival(self, problem: Any, population: Any, count: int) -> Any:
        """The `count` of a pymoo population that survive."""
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding
        from pymoo.operators.survival.rank_and_crowding.metrics import FunctionalDiversity

        survival = RankAndCrowding(crowding_func=FunctionalDiversity(self._distances, filter_out_duplicates=False))
        # The generator only breaks ties in pymoo's sort; a fixed one keeps survival a function of its arguments.
        return survival.do(problem, population, n_survive=count, random_state=np.random.default_rng(0))

    def _compared(self, objectives: F64) -> F64:
        """Objectives as they are compared, minimised, (P, O)."""
        return objectives

    def _distances(self, front: F64, **_: Any) -> F64:
        """Crowding distance of each point of a front (P, O)."""
        from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance

        distances: F64 = calc_crowding_distance(front)
        return distances

    def _keep_least_violating(self, genotypes: Genotypes, objectives: F64, violation: F64) -> None:
        best = np.argsort(violation, kind="stable")[: self.population]
        self._genotypes, self._violation = genotypes[best], violation[best]
        self._objectives = np.full((len(best), objectives.shape[1]), np.nan)
        self._rank, self._crowding = np.zeros(len(best), np.int64), np.zeros(len(best))

    def state(self) -> State:
        return {
            "genotypes": self._genotypes,
            "objectives": self._objectives,
            "violation": self._violation,
            "rank": self._rank,
            "crowding": self._crowding,
        }

    def restore(self, state: State) -> None:
        self._genotypes, self._objectives = state["genotypes"], state["objectives"]
        self._violation, self._rank, self._crowding = state["violation"], state["rank"], state["crowding"]


def _ranks(objectives: F64) -> npt.NDArray[np.int64]:
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    ranks = np.empty(len(objectives), np.int64)
    for rank, front in enumerate(NonDominatedSorting().do(objectives)):
        ranks[front] = rank
    return ranks


def _crowding(objectives: F64, ranks: npt.NDArray[np.int64], distances: Callable[[F64], F64]) -> F64:
    crowding = np.empty(len(objectives))
    for rank in np.unique(ranks):
        front = ranks == rank
        crowding[front] = distances(objectives[front])
    return crowding


OPERATORS = "space: crossover by gene and new choices; ordered: children near their parents, for decisions of sizes"


class NSGA2Settings(Settings):
    """NSGA-II."""

    population: int = Field(64, ge=2, le=100_000, description="evaluated pairs that are kept, by rank and crowding")
    crossover: float = Field(0.9, ge=0, le=1, description="share of children with two parents")
    immigrants: float = Field(0.2, ge=0, le=1, description="share of each batch drawn from the whole space")
    operators: Operators = Field("space", description=OPERATORS)


def _make(settings: NSGA2Settings, problem: Problem) -> NSGA2:
    return NSGA2(problem.space, **settings.model_dump())


PLUGIN = Plugin(NSGA2Settings, _make, "NSGA-II: non-dominated ranking and crowding, integer operators")
