"""Evolution with gradient refinement over a space that opens in stages: three parts, each to be switched by setting.

Evolution: tournaments by violation, rank and crowding as NSGA-II has them, crossover, mutation; of all that were
evaluated the best `elites` stay, and beside them the youngest. A child that was evaluated already is mutated again. The
first `initial` pairs are random; while all that is known breaks a limit, children are bred towards the least violation.

Refinement (`refined`): a share of each batch comes from gradients: a smooth model of the error and the expected costs
are climbed over probabilities of choices, from the best points known, and rounded (`codesign.strategy.refinement`).
With several objectives every climb has weights of its own, drawn for it. It needs no data and no weights of a network.

Progressive (`progressive`): the search begins with the choices of the space's first stage and opens the next one after
`stage_estimates` estimates (`Space.choice_stages`). Off: everything is open at once.

Multi-objective (`multi_objective`): the run's costs rank beside the error; off, the error alone does. Hardware-aware
is a search whose objectives are costs of a device, as latency_s, and not macs and parameters.

The parts, in this order, are those told of EfficientNAS, whose published figures contradict each other: none is used.
`benchmarks/results/hybrid.md` holds an ablation of our own: on published cells refined children are new on the front
more often than mutants, and what gains is the model: as many mutants of the same points, ranked by it, do as well as
those that climbs meet. On chains, four seeds of 48 trainings, stages gain volume and no accuracy that can be told. Not
modelled: fine-tuning of weights, limits in the climbs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.pareto import non_dominated
from codesign.registry import Plugin, Settings
from codesign.space.base import Genotypes, Space
from codesign.space.opened import OpenedSpace
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.expected_cost import ObjectiveCosts, objective_costs
from codesign.strategy.model_based import one_hot, without_skew
from codesign.strategy.nsga2 import NSGA2
from codesign.strategy.refinement import Worth, climbed, scale_of
from codesign.strategy.relaxed import Choices, Covariance, expected_error, most_likely
from codesign.strategy.scalarise import kept_limits
from hwmodels.errors import SpecError

__all__ = ["PLUGIN", "Hybrid", "HybridSettings"]

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_CLIMBS = 32  # a batch, at most
_REFIT = 1.2  # a covariance is chosen anew when so many times the estimates are known
_AGAIN = 4  # mutations of a child that was evaluated already


class _Known(NamedTuple):
    """Evaluated pairs within the limits: genotypes (P, G) and objectives (P, 1 + K)."""

    genotypes: Genotypes
    objectives: F64


# `refined` and the random beginning: chosen on the shipped table of digits with costs of a Raspberry Pi 4, 20 seeds, 30
# to 200 networks; elites (0 to 1), tournament (2 to 5), crossover (.3 to .9) and immigrants (0 to .2) are ASSUMED.
class HybridSettings(Settings):
    """Evolution, gradient refinement and stages."""

    population: int = Field(50, ge=2, le=100_000, description="evaluated pairs that are kept: elites and the youngest")
    elites: float = Field(0.5, ge=0, le=1, description="share of the population that stays however old: the best")
    tournament: int = Field(3, ge=1, le=100_000, description="size of a tournament")
    crossover: float = Field(0.5, ge=0, le=1, description="share of children with two parents")
    immigrants: float = Field(0.1, ge=0, le=1, description="share of each batch drawn from the whole space")
    refined: float = Field(0.5, ge=0, le=1, description="share of each batch from gradients, of at most 32 climbs")
    initial: int = Field(20, ge=4, le=100_000, description="evaluated pairs before the first child, drawn at random")
    most: int = Field(300, ge=10, le=2000, description="evaluated pairs that the model is fitted to")
    progressive: bool = Field(False, description="begin with the first stage of the space and open the others in turn")
    stage_estimates: int = Field(50, ge=1, le=1_000_000, description="estimates after which the next stage opens")
    multi_objective: bool = Field(True, description="rank by the error and all costs; false: by the error alone")


class Hybrid(NSGA2):
    """Evolution whose batches are mutants, refined points and random ones.

    Raises
    ------
    SpecError : progressive on a space without stages; refinement with costs where hardly any pair runs.
    """

    def __init__(self, problem: Problem, settings: HybridSettings) -> None:
        super().__init__(
            problem.space, population=settings.population, crossover=settings.crossover, immigrants=settings.immigrants
        )
        self.settings, self.stages = settings, int(problem.space.choice_stages.max(initial=1))
        if settings.progressive and self.stages == 1:
            raise SpecError("strategy.progressive", "true", "for a space that opens everything at once")
        self._choices = Choices(problem.space.cardinalities)
        self._cut = getattr(problem.joint, "architecture", problem.space).n_genes
        self._costs_of = problem.costs if problem.space is problem.joint else None
        counted = len(problem.objectives) if settings.multi_objective else 0
        nothing = ObjectiveCosts(np.empty((len(self._choices.gene), 0)), np.empty(0))
        self._costs = objective_costs(problem) if settings.refined and counted else nothing
        self._known = _Known(np.empty((0, problem.space.n_genes), np.int64), np.empty((0, 1 + counted)))
        self._told = self._chosen_at = 0
        self._covariance = Covariance(1.4, np.inf, 0.1)
        self._views: dict[int, Space] = {self.stages: problem.space}

    @property
    def stage(self) -> int:
        """The stage whose choices are open."""
        if not self.settings.progressive:
            return self.stages
        return min(self.stages, 1 + self._told // self.settings.stage_estimates)

    @property
    def _open(self) -> Space:
        stage = self.stage
        if stage not in self._views:
            self._views[stage] = OpenedSpace(self.space, stage)
        return self._views[stage]

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        opened = self._open
        filling = self._told < self.settings.initial and not self._violation.any()
        if n == 0 or filling or not len(self._genotypes):
            return Proposal.full(opened.sample(n, rng))
        n_fresh = _part(self.immigrants, n, rng)
        refined, starts = self._refined(min(_part(self.settings.refined, n, rng), n - n_fresh, _CLIMBS), rng)
        children, parents = self._bred(n - n_fresh - len(refined), refined, rng)
        fresh = opened.sample(n_fresh, rng)
        return Proposal(
            np.concatenate([refined, children, fresh]), np.ones(n),
            np.concatenate([starts, parents, np.full_like(fresh, -1)]),
        )  # fmt: skip

    # Evolution.

    def _bred(self, count: int, refined: Genotypes, rng: np.random.Generator) -> tuple[Genotypes, Genotypes]:
        """New children (count, G) and the nearer parent of each."""
        opened = self._open
        left, right = (self._genotypes[self._tournaments(count, rng)] for _ in range(2))
        if count == 0:
            return left, left
        children = np.where((rng.random(count) < self.crossover)[:, None], opened.crossover(left, right, rng), left)
        children = self._inside(opened.mutate(children, rng), rng)
        for _ in range(_AGAIN):
            again = np.flatnonzero(~self._new(children, refined))
            if not again.size:
                break
            children[again] = self._inside(opened.mutate(children[again], rng), rng)
        return children, self._nearer(children, left, right)

    def _inside(self, children: Genotypes, rng: np.random.Generator) -> Genotypes:
        """Children, random ones in place of those that the open space does not have."""
        opened = self._open
        outside = np.flatnonzero(~opened.valid(children))
        children = children.copy()
        children[outside] = opened.sample(len(outside), rng)
        return children

    def _new(self, points: Genotypes, beside: Genotypes) -> Mask:
        """Which points (P, G) are no network that was evaluated, is `beside` them, or stands before them, (P,)."""
        known = np.concatenate([self._known.genotypes, self._genotypes, beside])
        everything = self.space.canonical(np.concatenate([known, points]))
        _, first = np.unique(everything, axis=0, return_index=True)
        new = np.zeros(len(everything), np.bool_)
        new[first] = True
        return new[len(known) :]

    def _tournaments(self, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Winners of `n` tournaments: least violation, then rank, then widest crowding distance."""
        best_first = np.lexsort((-self._crowding, self._rank, self._violation))
        place = np.empty(len(best_first), np.int64)
        place[best_first] = np.arange(len(best_first))
        entrants = rng.integers(len(place), size=(n, self.settings.tournament))
        winners: npt.NDArray[np.int64] = entrants[np.arange(n), place[entrants].argmin(axis=1)]
        return winners

    def _staying(self, objectives: F64, violation: F64) -> npt.NDArray[np.int64]:
        """Who stays, the oldest first: the best, and the youngest of the others."""
        count = len(objectives)
        if count <= self.population:
            return np.arange(count)
        n_elites = round(self.settings.elites * self.population)
        elites = self._best(objectives, violation, n_elites) if n_elites else np.empty(0, np.int64)
        others = np.setdiff1d(np.arange(count), elites)
        return np.sort(np.concatenate([elites, others[len(others) - (self.population - len(elites)) :]]))

    def _compared(self, objectives: F64) -> F64:
        return objectives if self.settings.multi_objective else objectives[:, :1]

    # Refinement.

    def _refined(self, count: int, rng: np.random.Generator) -> tuple[Genotypes, Genotypes]:
        """New points from gradients, at most (count, G), and where each climb began."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        genotypes = self._known.genotypes
        within = np.flatnonzero(self._open.valid(genotypes))
        if count == 0 or self._told < self.settings.initial or not within.size:
            return genotypes[:0], genotypes[:0]
        with threadpool_limits(1):  # equal bits on any number of cores
            return self._climbs(count, within, rng)

    def _climbs(
        self, count: int, within: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Genotypes, Genotypes]:
        """As `_refined`, from some of the known points at `within`."""
        genotypes, objectives = self._known
        transform = without_skew(objectives[:, 0])
        seen = np.column_stack([transform(objectives[:, 0]), objectives[:, 1:]])
        worth = self._worth(seen)
        weights = rng.dirichlet(np.ones(seen.shape[1]), size=count)
        entrants = rng.choice(within, size=(count, max(len(within) // 4, 1)))
        values = worth.of(seen[entrants].reshape(-1, seen.shape[1]), np.repeat(weights, entrants.shape[1], axis=0))
        starts = genotypes[entrants[np.arange(count), values.reshape(entrants.shape).argmin(axis=1)]]
        return self._chosen(self._met(starts, weights, worth, rng), starts, weights, worth)

    def _met(self, starts: Genotypes, weights: F64, worth: Worth, rng: np.random.Generator) -> Genotypes:
        """Points that are looked at from each start (M, G), (T, M, G): what its climb rounds to."""
        opened = getattr(self._open, "is_open", np.ones(len(self._choices.gene), np.bool_))
        return climbed(worth, self._choices, self.space.canonical(starts), weights, opened, rng)

    def _worth(self, seen: F64) -> Worth:
        """The model of what is known, its covariance chosen anew as the estimates grow by a fifth."""
        points = self.space.canonical(self._known.genotypes)
        if self._told >= _REFIT * self._chosen_at:
            self._covariance = most_likely(points, seen[:, 0], cut=self._cut)
            self._chosen_at = self._told
        error = expected_error(self._choices, points, seen[:, 0], self._covariance, cut=self._cut)
        return Worth(error, self._costs, scale_of(seen))

    def _chosen(self, met: Genotypes, starts: Genotypes, weights: F64, worth: Worth) -> tuple[Genotypes, Genotypes]:
        """Of all new points met, (T, M, G), the best that is left by the weights of each climb, and where it began."""
        tries, count, _ = met.shape
        points, climb = met.reshape(tries * count, -1), np.tile(np.arange(count), tries)
        kept = np.flatnonzero(self._open.valid(points))
        kept = kept[self._new(points[kept], points[:0])]
        points, climb = points[kept], climb[kept]
        shares = one_hot(self.space.canonical(points), self.space.cardinalities)
        costs = worth.expected_costs(shares)
        if self._costs_of is not None and costs.shape[1]:
            costs = self._costs_of(points)
        objectives = np.column_stack([worth.error(shares)[0], costs])
        left: Mask = np.isfinite(worth.scale.scaled(objectives).sum(axis=1))
        best: list[int] = []
        for own in weights[: int(left.sum())]:
            values = worth.of(objectives[left], np.repeat(own[None], int(left.sum()), axis=0))
            best.append(int(np.flatnonzero(left)[values.argmin()]))
            left[best[-1]] = False
        return points[best], starts[climb[best]]

    def tell(self, proposal: Proposal, results: Results) -> None:
        super().tell(proposal, results)
        told = kept_limits(results) & (results.fidelity == 1.0)
        genotypes = np.concatenate([self._known.genotypes, proposal.genotypes[told]])
        objectives = np.concatenate([self._known.objectives, self._compared(results.objectives()[told])])
        self._told += int(told.sum())
        if len(genotypes) > self.settings.most:
            behind = ~non_dominated(objectives)
            kept = np.sort(np.lexsort((-np.arange(len(behind)), behind))[: self.settings.most])
            genotypes, objectives = genotypes[kept], objectives[kept]
        self._known = _Known(genotypes, objectives)

    def state(self) -> State:
        return {
            **super().state(),
            "known_genotypes": self._known.genotypes,
            "known_objectives": self._known.objectives,
            "told": self._told,
            "chosen_at": self._chosen_at,
            "covariance": np.array(self._covariance),
        }

    def restore(self, state: State) -> None:
        super().restore(state)
        self._known = _Known(state["known_genotypes"], state["known_objectives"])
        self._told, self._chosen_at = int(state["told"]), int(state["chosen_at"])
        self._covariance = Covariance(*state["covariance"].tolist())


def _part(share: float, n: int, rng: np.random.Generator) -> int:
    """A share of `n` as a whole number, rounded by chance so that small batches have theirs."""
    return min(int(share * n + rng.random()), n)


def _make(settings: HybridSettings, problem: Problem) -> Hybrid:
    return Hybrid(problem, settings)


PLUGIN = Plugin(HybridSettings, _make, "evolution with gradient refinement, over a space that opens in stages")
