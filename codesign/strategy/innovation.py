"""Genomes with historical markings: aligned crossover, compatibility distance and structural mutations of NEAT.

[Stanley and Miikkulainen, Evolutionary Computation 10(2), 2002, section 3]. Each connection has an innovation number;
the same structural mutation in one generation has the same number. Genes of two genomes with the same number match,
whatever their topologies. What one has and the other does not is disjoint within the range of the other's numbers and
excess beyond it:

    distance = c1 E / N + c2 D / N + c3 mean |weight difference of matching genes|

with N the genes of the larger genome, 1 where both have fewer than 20.

Neurons have historical numbers, too. Those of inputs, bias, outputs and of the places of the space, and connections
between them, have numbers that follow from where they are: so genomes of points that somebody else proposed have
markings, and so has what every minimal network has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.space.synapses import Layout, Synapses, open_pairs, split_at

__all__ = [
    "Genome",
    "History",
    "aligned",
    "connected",
    "crossed",
    "distance",
    "marked",
    "packed",
    "split",
    "unpacked",
]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

_SMALL = 20  # genes below which N is 1 [section 4.1]
_STAYS_DISABLED = 0.75  # a gene that is disabled in either parent [section 4.1]


class Genome(NamedTuple):
    """C genes by ascending innovation number: the numbers (C,), the connections, and the genes of the hardware."""

    innovations: I64
    synapses: Synapses
    hardware: I64


class History:
    """The numbers of innovations.

    Parameters
    ----------
    layout : of the space. places : of hidden neurons; with inputs, bias and outputs they have the first numbers.
    """

    def __init__(self, layout: Layout, places: int) -> None:
        self.reserved = layout.first_hidden + places
        self._next_neuron, self._next_innovation = self.reserved, self.reserved**2
        self._connections: dict[tuple[int, int], int] = {}
        self._neurons: dict[int, int] = {}

    def connection(self, source: int, target: int) -> int:
        """The number of a connection, that of the same one of this generation if there was one."""
        if max(source, target) < self.reserved:
            return source * self.reserved + target
        if (source, target) not in self._connections:
            self._connections[source, target] = self._next_innovation
            self._next_innovation += 1
        return self._connections[source, target]

    def neuron(self, innovation: int, there: Sequence[int]) -> int:
        """The neuron that splits a connection; a new one where the genome has that one already."""
        if self._neurons.get(innovation, -1) in (-1, *there):
            self._neurons[innovation] = self._next_neuron
            self._next_neuron += 1
        return self._neurons[innovation]

    def turn(self) -> None:
        """A new generation: later mutations are new, wherever they are."""
        self._connections, self._neurons = {}, {}

    def state(self) -> dict[str, I64]:
        connections = [[*pair, number] for pair, number in self._connections.items()]
        return {
            "numbers": np.array([self._next_neuron, self._next_innovation]),
            "new_connections": np.array(connections, np.int64).reshape(-1, 3),
            "new_neurons": np.array(list(self._neurons.items()), np.int64).reshape(-1, 2),
        }

    def restore(self, state: dict[str, I64]) -> None:
        self._next_neuron, self._next_innovation = (int(number) for number in state["numbers"])
        self._connections = {(int(s), int(t)): int(number) for s, t, number in state["new_connections"]}
        self._neurons = {int(key): int(number) for key, number in state["new_neurons"]}


def marked(synapses: Synapses, hardware: I64, history: History) -> Genome:
    """A genome of connections between neurons with reserved numbers."""
    innovations = np.array([history.connection(*pair) for pair in synapses.pairs()], np.int64)
    order = np.argsort(innovations)
    return Genome(innovations[order], synapses.taken(order), hardware)


def aligned(left: Genome, right: Genome) -> tuple[I64, I64]:
    """Positions of matching genes in each genome, (M,) each."""
    if not len(left.innovations) or not len(right.innovations):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    places = np.minimum(np.searchsorted(right.innovations, left.innovations), len(right.innovations) - 1)
    mine = np.flatnonzero(right.innovations[places] == left.innovations)
    return mine, places[mine]


def distance(left: Genome, right: Genome, weights: F64, coefficients: tuple[float, float, float]) -> float:
    """Compatibility distance; `weights` (L,) by level, `coefficients` of excess, disjoint and weights."""
    mine, theirs = aligned(left, right)
    sizes = len(left.innovations), len(right.innovations)
    excess = _beyond(left, right) + _beyond(right, left)
    disjoint = sum(sizes) - 2 * len(mine) - excess
    apart = weights[left.synapses.levels[mine]] - weights[right.synapses.levels[theirs]]
    mean = float(np.abs(apart).mean()) if len(mine) else 0.0
    larger = max(sizes)
    genes = 1 if larger < _SMALL else larger
    return coefficients[0] * excess / genes + coefficients[1] * disjoint / genes + coefficients[2] * mean


def _beyond(genome: Genome, other: Genome) -> int:
    """Genes with larger numbers than the other genome has."""
    reach = other.innovations[-1] if len(other.innovations) else -1
    return len(genome.innovations) - int(np.searchsorted(genome.innovations, reach, side="right"))


def crossed(fitter: Genome, other: Genome, rng: np.random.Generator) -> Genome:
    """A child with the structure of the fitter parent; of matching genes either parent's, at random."""
    mine, theirs = aligned(fitter, other)
    from_other = rng.random(len(mine)) < 0.5
    levels, enabled = fitter.synapses.levels.copy(), fitter.synapses.enabled.copy()
    levels[mine[from_other]] = other.synapses.levels[theirs[from_other]]
    both = fitter.synapses.enabled[mine] & other.synapses.enabled[theirs]
    enabled[mine] = both | (rng.random(len(mine)) >= _STAYS_DISABLED)
    hardware = np.where(rng.random(len(fitter.hardware)) < 0.5, fitter.hardware, other.hardware)
    return Genome(fitter.innovations, fitter.synapses._replace(levels=levels, enabled=enabled), hardware)


def connected(genome: Genome, level: int, layout: Layout, history: History, rng: np.random.Generator) -> Genome:
    """With a connection more between neurons that have none; as it was where there is no such pair."""
    pairs = open_pairs(genome.synapses, layout)
    if not pairs:
        return genome
    source, target = pairs[rng.integers(len(pairs))]
    new = Synapses.of([(source, target, level, True)])
    joined = Synapses(*(np.concatenate(columns) for columns in zip(genome.synapses, new, strict=True)))
    return _with(genome, joined, [history.connection(source, target)])


def split(genome: Genome, unit: int, layout: Layout, history: History, rng: np.random.Generator) -> Genome:
    """With a neuron in the stead of an enabled connection; as it was where none is enabled."""
    on = np.flatnonzero(genome.synapses.enabled)
    if not len(on):
        return genome
    place = int(rng.choice(on))
    source, target = int(genome.synapses.sources[place]), int(genome.synapses.targets[place])
    neuron = history.neuron(int(genome.innovations[place]), genome.synapses.hidden(layout))
    joined = split_at(genome.synapses, place, neuron, unit)
    return _with(genome, joined, [history.connection(source, neuron), history.connection(neuron, target)])


def _with(genome: Genome, synapses: Synapses, new: list[int]) -> Genome:
    """More genes, in the order of their numbers."""
    innovations = np.concatenate([genome.innovations, np.array(new, np.int64)])
    order = np.argsort(innovations)
    return Genome(innovations[order], synapses.taken(order), genome.hardware)


def packed(genomes: Sequence[Genome]) -> dict[str, I64]:
    """Genomes as arrays: `genes` (all, 5), how many each has, (P,), and `hardware` (P, Gh)."""
    rows = [
        np.column_stack([g.innovations, *g.synapses[:3], g.synapses.enabled.astype(np.int64)]).astype(np.int64)
        for g in genomes
    ]
    return {
        "genes": np.concatenate([np.empty((0, 5), np.int64), *rows]),
        "lengths": np.array([len(g.innovations) for g in genomes], np.int64),
        "hardware": np.array([g.hardware for g in genomes], np.int64).reshape(len(genomes), -1) if genomes
        else np.empty((0, 0), np.int64),
    }  # fmt: skip


def unpacked(arrays: dict[str, I64]) -> list[Genome]:
    """The inverse of `packed`."""
    parts = np.split(arrays["genes"], np.cumsum(arrays["lengths"])[:-1]) if len(arrays["lengths"]) else []
    return [
        Genome(rows[:, 0], Synapses(rows[:, 1], rows[:, 2], rows[:, 3], rows[:, 4] == 1), hardware)
        for rows, hardware in zip(parts, arrays["hardware"], strict=True)
    ]
