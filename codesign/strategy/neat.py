"""NEAT: networks that grow from minimal ones, with markings that align them and species that protect what is new.

[Stanley and Miikkulainen, Evolutionary Computation 10(2), 2002]. Topologies and weights of `space: neurons` evolve
together. Rates are those of section 4.1 where it gives them; what it does not give says so at its setting. Fitness is
(1 - error)^2, which for XOR is the published (4 - sum of errors)^2 up to a constant. With costs as objectives a
Chebyshev scalarisation over the members takes the place of the error, with weights drawn for each generation, so that
different generations pull towards different parts of the front; `fitness: error` leaves costs to the archive. Genes of
the hardware cross and mutate beside the network.

A generation is over when as many children are told as it has; those without an estimate or over a limit are dead. Where
few are estimated, champions and the youngest of the members before stay.

Otherwise than published: champions go on without another evaluation; adding a neuron, a connection and changing weights
are drawn one by one; of parents equally fit the one of fewer genes counts as the fitter; a species that holds the best
member is never stagnant.

Not modelled: recurrent connections, adaptive thresholds, crossover that averages, mutations that take genes away.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.neurons import NeuronSpace
from codesign.space.synapses import Synapses
from codesign.strategy.base import Problem, Proposal, Results, State
from codesign.strategy.innovation import (
    Genome,
    History,
    connected,
    crossed,
    distance,
    marked,
    packed,
    split,
    unpacked,
)
from codesign.strategy.scalarise import chebyshev, kept_limits, unit_scaled
from codesign.strategy.species import Species, assigned, quotas, shared
from hwmodels.errors import SpecError

__all__ = ["NEAT", "PLUGIN", "NEATSettings"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_REPLACED = 0.1  # of mutated weights are new, the others are perturbed [section 4.1]
_STARTING = 1.0  # weights of minimal networks lie within this (ASSUMED)
_KEPT_ALONE = 2  # species that go on where the whole population stagnates [section 4.1]
_WITH_CHAMPION = 5  # members above which a species keeps its champion [section 4.1]


class NEATSettings(Settings):
    """NeuroEvolution of Augmenting Topologies."""

    population: int = Field(150, ge=2, le=100_000, description="networks of a generation")
    fitness: Literal["all", "error"] = Field("all", description="what it follows: all objectives, or the error alone")
    start: Literal["all", "one"] = Field("all", description="inputs that reach each output at first: all, or one")
    excess: float = Field(1.0, ge=0, le=1e3, description="c1, of excess genes in the distance")
    disjoint: float = Field(1.0, ge=0, le=1e3, description="c2, of disjoint genes")
    weight_difference: float = Field(0.4, ge=0, le=1e3, description="c3, of the weights of matching genes")
    threshold: float = Field(3.0, ge=0, le=1e6, description="distance from which on networks are two species")
    stagnation: int = Field(15, ge=1, le=1_000_000, description="generations without progress that end a species")
    standstill: int = Field(20, ge=1, le=1_000_000, description="of the whole, which leave the two best species")
    survival: float = Field(0.2, gt=0, le=1, description="best of a species that have children (as in the program)")
    clones: float = Field(0.25, ge=0, le=1, description="children of one parent, by mutation alone")
    interspecies: float = Field(0.001, ge=0, le=1, description="crossovers with a parent of another species")
    weights: float = Field(0.8, ge=0, le=1, description="children whose weights mutate")
    perturbation: float = Field(2.5, gt=0, le=1e6, description="largest change of a weight (as in the program)")
    add_neuron: float = Field(0.03, ge=0, le=1, description="children with a neuron more")
    add_connection: float = Field(0.05, ge=0, le=1, description="children with a connection more")


class NEAT:
    """Members with their species, children of this generation that are told, and what was asked last.

    Raises
    ------
    SpecError : networks of another space, or too few slots for a minimal network.
    """

    def __init__(self, problem: Problem, settings: NEATSettings) -> None:
        networks = getattr(problem.joint, "architecture", None)
        if not isinstance(networks, NeuronSpace):
            raise SpecError("strategy", "neat", "for networks of neurons: architecture: {space: neurons}")
        layout = networks.layout
        least = layout.outputs * ((layout.inputs if settings.start == "all" else 1) + 1)
        if networks.slots < least:
            hint = "" if settings.start == "one" else "or strategy: {start: one}"
            raise SpecError("architecture.connections", networks.slots, f"at least {least}, those at the start", hint)
        self.space, self.networks, self.settings = problem.space, networks, settings
        self._history = History(layout, networks.places)
        self._members: list[Genome] = []
        self._objectives: F64 = np.empty((0, 0))
        self._of_species, self._fitness = np.empty(0, np.int64), np.empty(0)
        self._species: list[Species] = []
        self._waiting: list[Genome] = []
        self._told: F64 = np.empty((0, 0))
        self._asked: list[Genome] = []
        self._plan = np.empty(0, np.int64)  # the species of each child of this generation
        self._count = np.zeros(4, np.int64)  # children asked, told; generations without progress; champions
        self._bounds: F64 = np.empty((0, 0))  # least and largest of each objective so far, (2, O)

    # What the loop asks.

    def ask(self, n: int, rng: np.random.Generator) -> Proposal:
        due = len(self._plan) if len(self._members) else self.settings.population
        if len(self._waiting) and self._count[1] >= due:
            self._turn(rng)
        self._asked = [self._child(rng) for _ in range(n)] if self._members else [self._first(rng) for _ in range(n)]
        points = [self._point(genome) for genome in self._asked]
        return Proposal.full(np.array(points, np.int64).reshape(n, self.space.n_genes))

    def tell(self, proposal: Proposal, results: Results) -> None:
        own = {self._point(genome).tobytes(): genome for genome in self._asked}
        told = kept_limits(results)
        objectives = results.objectives()[told][:, : None if self.settings.fitness == "all" else 1]
        for point in proposal.genotypes[told]:
            self._waiting.append(own.get(point.tobytes()) or self._foreign(point))
        if len(objectives):
            self._told = np.concatenate([self._told.reshape(-1, objectives.shape[1]), objectives])
        self._count[1] += len(proposal.genotypes)
        self._asked = []

    def _point(self, genome: Genome) -> I64:
        return np.concatenate([self.networks.point_of(genome.synapses), genome.hardware])

    def _foreign(self, point: I64) -> Genome:
        """A point of another's proposal, with the markings of its places."""
        cut = self.networks.n_genes
        return marked(self.networks.synapses_of(point[:cut]), point[cut:], self._history)

    # Children.

    def _first(self, rng: np.random.Generator) -> Genome:
        """A minimal network: inputs and the bias to each output, random weights."""
        layout, rows = self.networks.layout, []
        for target in range(layout.first_output, layout.first_hidden):
            inputs = range(layout.inputs) if self.settings.start == "all" else [int(rng.integers(layout.inputs))]
            rows += [(source, target, self._drawn(_STARTING, rng), True) for source in (*inputs, layout.bias)]
        searched = self.space.n_genes > self.networks.n_genes
        drawn = self.space.sample(1, rng)[0, self.networks.n_genes :] if searched else np.empty(0, np.int64)
        return marked(Synapses.of(rows), drawn, self._history)

    def _drawn(self, reach: float, rng: np.random.Generator) -> int:
        return int(self.networks.level_of(np.asarray(rng.uniform(-reach, reach))))

    def _child(self, rng: np.random.Generator) -> Genome:
        """The next child of the plan, which begins anew where more are asked."""
        species = int(self._plan[self._count[0] % len(self._plan)])
        self._count[0] += 1
        first = self._parent(species, rng)
        child = self._members[first]
        if rng.random() >= self.settings.clones:
            elsewhere = rng.random() < self.settings.interspecies
            second = self._parent(int(rng.choice(self._of_species)) if elsewhere else species, rng)
            better, worse = sorted((first, second), key=self._rank)
            child = crossed(self._members[better], self._members[worse], rng)
        return self._mutated(child, rng)

    def _rank(self, member: int) -> tuple[float, int]:
        """Fitter first; among equals the one of fewer genes."""
        return -float(self._fitness[member]), len(self._members[member].innovations)

    def _parent(self, species: int, rng: np.random.Generator) -> int:
        """One of the best of a species."""
        members = sorted(np.flatnonzero(self._of_species == species).tolist(), key=self._rank)
        return members[rng.integers(int(np.ceil(self.settings.survival * len(members))))]

    def _mutated(self, genome: Genome, rng: np.random.Generator) -> Genome:
        settings, layout, networks = self.settings, self.networks.layout, self.networks
        chances = rng.random(3)
        room = networks.slots - len(genome.innovations)
        if chances[0] < settings.add_neuron and room > 1 and len(genome.synapses.hidden(layout)) < networks.places:
            genome, room = split(genome, networks.unit, layout, self._history, rng), room - 2
        if chances[1] < settings.add_connection and room > 0:
            genome = connected(genome, self._drawn(settings.perturbation, rng), layout, self._history, rng)
        if chances[2] < settings.weights:
            genome = self._reweighted(genome, rng)
        return genome._replace(hardware=self._rebuilt(genome, rng))

    def _reweighted(self, genome: Genome, rng: np.random.Generator) -> Genome:
        """Each weight perturbed, or now and then a new one."""
        weights, count = self.networks.weights[genome.synapses.levels], len(genome.innovations)
        drawn = rng.uniform(-self.settings.perturbation, self.settings.perturbation, count)
        changed = np.where(rng.random(count) < _REPLACED, drawn, weights + drawn)
        return genome._replace(synapses=genome.synapses._replace(levels=self.networks.level_of(changed)))

    def _rebuilt(self, genome: Genome, rng: np.random.Generator) -> I64:
        """Genes of the hardware, one of them changed on average; as they were where that is not valid."""
        counts = self.space.cardinalities[self.networks.n_genes :]
        hit = rng.random(len(counts)) < 1 / max(len(counts), 1)
        changed = np.where(hit, rng.integers(0, counts), genome.hardware)
        if not hit.any():
            return genome.hardware
        there = self._point(genome._replace(hardware=changed))
        return changed if self.space.valid(there[None])[0] else genome.hardware

    # Generations.

    def _turn(self, rng: np.random.Generator) -> None:
        """The told become members and species, which plan the next generation."""
        settings = self.settings
        members, champions = [*self._members, *self._waiting], int(self._count[3])
        objectives = np.concatenate([self._objectives.reshape(-1, self._told.shape[1]), self._told])
        young = np.setdiff1d(np.arange(len(members)), len(self._members) - 1 - np.arange(champions))
        kept = np.concatenate([np.arange(len(self._members) - champions, len(self._members)),
                               young[max(len(young) + champions - settings.population, 0) :]])  # fmt: skip
        members, objectives = [members[i] for i in kept.tolist()], objectives[kept]
        seen = np.concatenate([self._bounds.reshape(-1, objectives.shape[1]), objectives])
        self._bounds = np.stack([seen.min(axis=0), seen.max(axis=0)])
        self._members, self._objectives = members, objectives
        self._waiting, self._told = [], objectives[:0]
        self._fitness = self._fitnesses(rng)
        self._speciate(rng)
        self._plan_children(rng)
        self._history.turn()
        self._count[:2] = 0

    def _fitnesses(self, rng: np.random.Generator) -> F64:
        """(1 - error)^2, or of a scalarisation of all objectives with weights drawn for this generation."""
        weights = rng.dirichlet(np.ones(self._objectives.shape[1]))
        if len(weights) == 1:
            merit = np.clip(self._objectives[:, 0], 0.0, 1.0)
        else:
            merit = chebyshev(unit_scaled(self._objectives), weights / weights.max())
        fitness: F64 = (1.0 - merit) ** 2
        return fitness

    def _speciate(self, rng: np.random.Generator) -> None:
        """Who belongs together now; representatives are random members of the generation before."""
        settings = self.settings
        coefficients = (settings.excess, settings.disjoint, settings.weight_difference)
        found, known = assigned(
            self._members,
            [one.representative for one in self._species],
            lambda left, right: distance(left, right, self.networks.weights, coefficients),
            settings.threshold,
        )
        species: list[Species] = []
        for place in range(len(known)):
            own = np.flatnonzero(found == place)
            if not len(own):
                continue
            best = self._objectives[own[self._merits(self._objectives[own]).argmin()]]
            before = self._species[place] if place < len(self._species) else None
            better = before is None or self._merits(best[None])[0] < self._merits(before.best[None])[0]
            stagnant = 0 if before is None or better else before.stagnant + 1
            representative = self._members[int(rng.choice(own))]
            species.append(Species(representative, best if before is None or better else before.best, stagnant))
            found[own] = len(species) - 1
        leader = min(self._merits(np.array([one.best for one in species])))
        record = min(self._merits(np.array([one.best for one in self._species]))) if self._species else np.inf
        self._count[2] = 0 if leader < record else self._count[2] + 1
        self._species, self._of_species = species, found

    def _merits(self, objectives: F64) -> F64:
        """All objectives as one by equal weights, scaled to what was ever told: what progress is measured by."""
        if objectives.shape[1] == 1:
            return objectives[:, 0]
        low, high = self._bounds
        return chebyshev((objectives - low) / np.where(high > low, high - low, 1.0), np.ones(len(low)))

    def _plan_children(self, rng: np.random.Generator) -> None:
        """How many children each species has; champions of those that have any are the youngest members."""
        settings, count = self.settings, len(self._species)
        shares = shared(self._fitness, self._of_species, count)
        best = int(self._merits(np.array([one.best for one in self._species])).argmin())
        stagnant = np.array([one.stagnant >= settings.stagnation for one in self._species])
        stagnant[best] = False
        if self._count[2] > settings.standstill:
            tops = [self._fitness[self._of_species == place].max() for place in range(count)]
            stagnant[np.argsort(tops, kind="stable")[:-_KEPT_ALONE]] = True
            self._count[2] = 0
        shares[stagnant] = 0.0
        given = quotas(shares, settings.population)
        sizes = np.bincount(self._of_species, minlength=count)
        champions = [
            min(np.flatnonzero(self._of_species == place).tolist(), key=self._rank)
            for place in range(count)
            if sizes[place] > _WITH_CHAMPION and given[place] > 1
        ]
        for member in champions:
            given[self._of_species[member]] -= 1
        self._count[3] = len(champions)
        order = np.array([*(m for m in range(len(self._members)) if m not in champions), *champions], np.int64)
        self._members = [self._members[i] for i in order.tolist()]
        self._objectives, self._fitness = self._objectives[order], self._fitness[order]
        self._of_species = self._of_species[order]
        self._plan = rng.permutation(np.repeat(np.arange(count), given))

    # State.

    def state(self) -> State:
        kept: dict[str, Any] = {
            "objectives": self._objectives, "fitness": self._fitness, "of_species": self._of_species,
            "told": self._told, "plan": self._plan, "count": self._count.copy(), "bounds": self._bounds,
            "best": np.array([one.best for one in self._species]),
            "stagnant": np.array([one.stagnant for one in self._species], np.int64),
            **self._history.state(),
        }  # fmt: skip
        for name, genomes in self._groups().items():
            kept |= {f"{name}_{key}": array for key, array in packed(genomes).items()}
        return kept

    def _groups(self) -> dict[str, list[Genome]]:
        return {
            "members": self._members, "waiting": self._waiting, "asked": self._asked,
            "representatives": [one.representative for one in self._species],
        }  # fmt: skip

    def restore(self, state: State) -> None:
        self._objectives, self._fitness, self._of_species = state["objectives"], state["fitness"], state["of_species"]
        self._told, self._plan, self._bounds = state["told"], state["plan"], state["bounds"]
        self._count = np.array(state["count"])
        self._history.restore(dict(state))
        self._members, self._waiting, self._asked, known = (
            unpacked({key: state[f"{name}_{key}"] for key in ("genes", "lengths", "hardware")})
            for name in self._groups()
        )
        rest = zip(known, state["best"], state["stagnant"].tolist(), strict=True)
        self._species = [Species(genome, best, stagnant) for genome, best, stagnant in rest]


def _make(settings: NEATSettings, problem: Problem) -> NEAT:
    return NEAT(problem, settings)


PLUGIN = Plugin(NEATSettings, _make, "NEAT: networks of neurons that grow from minimal ones, in species")
