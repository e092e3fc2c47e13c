"""Small networks of neurons whose genotype holds the weights, too: topology and weights found by the search itself.

[Stanley and Miikkulainen, Evolutionary Computation 10(2), 2002]. A genotype has a fixed number of slots. A slot is
empty or holds one connection, enabled or disabled: its source, its target and its weight, one of a grid of levels. So
networks of any size up to the slots have genotypes of one length. Hidden neurons have places; a connection between
hidden neurons leads to a later place, so that every point is feed-forward. Hidden neurons are sigmoids of slope 4.9, as
published; outputs are linear, sigmoids of that slope, or the same curve between -1 and 1. A neuron that neither an
input nor the bias reaches is silent and gives 0.

As a network of layers, all neurons of one depth are one matrix over the tensors that they read, zeros where nothing is
connected: what hardware without sparsity computes. The outputs are the last level; biases are the matrix's.

Not modelled: sparse products, recurrent connections, other activations, aggregations other than sums.
"""

from __future__ import annotations

import hashlib
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.synapses import (
    Layout,
    Synapses,
    canonical_order,
    depths,
    expressed,
    open_pairs,
    split_at,
    topological,
)
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Activation, Concat, Precision, Shape

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "SLOPE", "NeuronSpace", "NeuronsSettings", "Output"]

F64 = npt.NDArray[np.float64]
Output = Literal["linear", "sigmoid", "tanh"]

SLOPE = 4.9
"""Of a sigmoid, 1 / (1 + exp(-4.9 x)) [Stanley and Miikkulainen, 2002, section 4.1]."""

_OUTPUT_SLOPES = {"linear": 1.0, "sigmoid": SLOPE, "tanh": SLOPE / 2}  # tanh(x / 2) = 2 sigmoid(x) - 1
_EMPTY, _DISABLED, _ENABLED = range(3)
_COLUMNS = 4  # genes of a slot: state, source, target, weight
_NUDGE = 0.25  # largest change of a weight by `mutate`, in the limit (ASSUMED)


class _Level(NamedTuple):
    """One matrix: the tensors that it reads, 0 the input, the neurons that it makes, (n, k) weights and (n,) biases."""

    read: list[int]
    neurons: list[int]
    weight: F64
    bias: F64


class NeuronSpace(ArchitectureSpace):
    """Feed-forward graphs of neurons with their weights.

    Parameters
    ----------
    connections : slots. hidden : places of hidden neurons. limit : largest weight. levels : of the grid from minus the
        limit to it, an odd number. output : activation of the outputs.
    input_shape : of an item, read as features in a row. outputs : neurons that answer.

    Raises
    ------
    SpecError : an even number of levels, or items that are tokens.
    """

    draws_itself = True

    def __init__(
        self,
        *,
        connections: int = 32,
        hidden: int = 8,
        limit: float = 8.0,
        levels: int = 257,
        output: Output = "linear",
        input_shape: Shape = (2, 1, 1),
        outputs: int = 1,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        if levels % 2 == 0:
            raise SpecError("levels", levels, "odd: the weight 0 is one of them")
        if len(input_shape) == 1:
            raise SpecError("space neurons: items", input_shape, "numbers: tokens need vectors")
        self.layout, self.slots, self.places = Layout(prod(input_shape), outputs), connections, hidden
        self.output: Output = output
        self.weights = np.linspace(-limit, limit, levels)
        inputs = [f"x{i}" for i in range(self.layout.inputs)]
        places, answers = [f"h{i}" for i in range(hidden)], [f"y{i}" for i in range(outputs)]
        sources, targets = (*inputs, "bias", *places), (*places, *answers)
        genes = [
            Gene(f"{name}{slot}", choices)
            for slot in range(connections)
            for name, choices in (
                ("state", ("empty", "disabled", "enabled")), ("source", sources), ("target", targets),
                ("weight", tuple(self.weights.tolist())),
            )
        ]  # fmt: skip
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        return {**super()._identity(), "output": self.output}

    @property
    def unit(self) -> int:
        """The level of the weight nearest to one."""
        return int(np.abs(self.weights - 1.0).argmin())

    def level_of(self, weights: F64) -> npt.NDArray[np.int64]:
        """The nearest levels, weights beyond the limit at it."""
        step = self.weights[1] - self.weights[0] if len(self.weights) > 1 else 1.0
        found: npt.NDArray[np.int64] = np.rint((weights - self.weights[0]) / step).astype(np.int64)
        return np.clip(found, 0, len(self.weights) - 1)

    # Genotypes and connections.

    def synapses_of(self, genotype: npt.NDArray[np.integer]) -> Synapses:
        """The connections of a point; the hidden neuron at place h has the number of the first hidden one + h."""
        state, source, target, level = np.asarray(genotype, np.int64).reshape(self.slots, _COLUMNS).T
        layout, full = self.layout, state != _EMPTY
        sources = np.where(source > layout.bias, source + layout.outputs, source)
        targets = np.where(
            target < self.places, target + layout.first_hidden, target - self.places + layout.first_output
        )
        return Synapses(sources, targets, level, state == _ENABLED).taken(full)

    def point_of(self, synapses: Synapses, order: list[int] | None = None) -> npt.NDArray[np.int64]:
        """The genotype of connections in the order given, hidden neurons at places by `order`, a topological one.

        Raises
        ------
        SpecError : more connections than slots, or more hidden neurons than places.
        """
        layout, order = self.layout, topological(synapses, self.layout) if order is None else order
        for name, count, most in (
            ("connections", len(synapses.levels), self.slots),
            ("hidden", len(order), self.places),
        ):
            if count > most:
                raise SpecError(name, count, f"at most {most}")
        place = {neuron: i for i, neuron in enumerate(order)}
        rows = np.zeros((self.slots, _COLUMNS), np.int64)
        for slot, (source, target) in enumerate(synapses.pairs()):
            rows[slot, 1] = layout.bias + 1 + place[source] if source in place else source
            rows[slot, 2] = place[target] if target in place else self.places + target - layout.first_output
        used = len(synapses.levels)
        rows[:used, 0] = np.where(synapses.enabled, _ENABLED, _DISABLED)
        rows[:used, 3] = synapses.levels
        return rows.reshape(-1)

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range, hidden neurons read earlier places, and no connection twice."""
        slots = genotypes.reshape(len(genotypes), self.slots, _COLUMNS)
        full, source, target = slots[..., 0] != _EMPTY, slots[..., 1], slots[..., 2]
        place = source - self.layout.bias - 1
        ahead = (place < 0) | (target >= self.places) | (place < target)
        code = np.where(full, source * int(self.cardinalities[2]) + target, -1 - np.arange(self.slots))
        distinct = (np.diff(np.sort(code, axis=1), axis=1) != 0).all(axis=1)
        found: npt.NDArray[np.bool_] = super().valid(genotypes) & (ahead | ~full).all(axis=1) & distinct
        return found

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """Connections that compute, by target and source in the first slots, hidden neurons in a canonical order."""
        points = [self._canonical(genotype) for genotype in genotypes]
        return np.array(points, np.int64).reshape(genotypes.shape)

    def _canonical(self, genotype: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        synapses = self.synapses_of(genotype)
        live = synapses.taken(expressed(synapses, self.layout))
        order = canonical_order(live, self.layout)
        place = {neuron: i for i, neuron in enumerate(order, start=self.layout.first_hidden)}
        keys = [(place.get(target, target), place.get(source, source)) for source, target in live.pairs()]
        by_target = np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)
        return self.point_of(live.taken(by_target), order)

    def sample(self, n: int, rng: np.random.Generator) -> Genotypes:
        """Slots drawn at random: a third empty, a third disabled; one that repeats a connection is emptied."""
        source, target = np.indices((int(self.cardinalities[1]), int(self.cardinalities[2])))
        place = source - self.layout.bias - 1
        pairs = np.argwhere((place < 0) | (target >= self.places) | (place < target))
        count = (n, self.slots)
        drawn = rng.integers(len(pairs), size=count)
        states, levels = rng.integers(3, size=count), rng.integers(len(self.weights), size=count)
        for slot in range(1, self.slots):
            before = (drawn[:, :slot] == drawn[:, slot, None]) & (states[:, :slot] != _EMPTY)
            states[before.any(axis=1), slot] = _EMPTY
        points = np.concatenate([states[..., None], pairs[drawn], levels[..., None]], axis=2)
        return np.where(states[..., None] != _EMPTY, points, 0).reshape(n, self.n_genes)

    # Moves.

    def mutate(self, genotypes: Genotypes, rng: np.random.Generator, *, rate: float | None = None) -> Genotypes:
        """One move in each network: a weight, a connection more or less, or a neuron more; by genes where a rate is."""
        if rate is not None:
            return super().mutate(genotypes, rng, rate=rate)
        moved = [self.point_of(self._moved(self.synapses_of(genotype), rng)) for genotype in genotypes]
        return np.array(moved, np.int64).reshape(genotypes.shape)

    def _moved(self, synapses: Synapses, rng: np.random.Generator) -> Synapses:
        """The first of the moves in random order that these connections allow."""
        count, room = len(synapses.levels), self.slots - len(synapses.levels)
        for move in rng.permutation(4).tolist():
            if move == 0 and count:
                place = int(rng.integers(count))
                levels, reach = synapses.levels.copy(), max(int(_NUDGE * len(self.weights) / 2), 1)
                levels[place] = np.clip(levels[place] + rng.integers(-reach, reach + 1), 0, len(self.weights) - 1)
                return synapses._replace(levels=levels)
            if move == 1 and count > 1:
                return synapses.taken(np.delete(np.arange(count), rng.integers(count)))
            if move == 2 and room and (pairs := open_pairs(synapses, self.layout)):
                source, target = pairs[rng.integers(len(pairs))]
                new = Synapses.of([(source, target, int(rng.integers(len(self.weights))), True)])
                return Synapses(*(np.concatenate(columns) for columns in zip(synapses, new, strict=True)))
            hidden = synapses.hidden(self.layout)
            if move == 3 and room > 1 and len(hidden) < self.places and synapses.enabled.any():
                place = int(rng.choice(np.flatnonzero(synapses.enabled)))
                return split_at(synapses, place, max([*hidden, self.layout.first_hidden - 1]) + 1, self.unit)
        return synapses

    # One network.

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """What each neuron reads with its weight, as h0<x0:1.5,bias:-2 y0<h0:3."""
        words: dict[str, list[str]] = {}
        point = self.canonical(np.asarray(genotype, np.int64)[None])[0]
        for state, source, target, level in point.reshape(self.slots, _COLUMNS).tolist():
            if state != _EMPTY:
                read = f"{self.genes[1].choices[source]}:{self.weights[level]:g}"
                words.setdefault(self.genes[2].choices[target], []).append(read)
        return " ".join(f"{target}<{','.join(read)}" for target, read in words.items()) or "nothing connected"

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        digest = hashlib.sha256(np.asarray(genotype, np.int64).tobytes()).hexdigest()[:16]
        net = self.builder(f"neurons-{digest}")
        made = [net.flatten(net.input) if len(self.inputs[0]) > 1 else net.input]
        levels = self._levels(genotype)
        for i, level in enumerate(levels):
            read = [made[tensor] for tensor in level.read]
            x = net.linear(read[0] if len(read) == 1 else net.add(Concat(axis=1), *read), len(level.neurons))
            if i < len(levels) - 1:
                x = net.add(Activation("sigmoid"), x)
            elif self.output != "linear":
                x = net.add(Activation(self.output), x)
            made.append(x)
        return net.finish(made[-1])

    def matrices(self, genotype: npt.NDArray[np.integer]) -> list[tuple[F64, F64]]:
        """Weights (n, k) and biases (n,) of each linear layer of `workload`, in its order; slopes are in them."""
        return [(level.weight, level.bias) for level in self._levels(genotype)]

    def _levels(self, genotype: npt.NDArray[np.integer]) -> list[_Level]:
        """The network by depth; the last level holds the outputs."""
        layout, synapses = self.layout, self.synapses_of(self.canonical(np.asarray(genotype, np.int64)[None])[0])
        depth = depths(synapses, layout)
        last = 1 + max(depth.values(), default=0)
        of_level: list[list[int]] = [list(range(layout.inputs)), *([] for _ in range(1, last))]
        for neuron, level in depth.items():
            of_level[level].append(neuron)
        of_level.append(list(range(layout.first_output, layout.first_hidden)))
        level_of = {neuron: level for level, neurons in enumerate(of_level) for neuron in neurons}
        edges = list(zip(synapses.pairs(), self.weights[synapses.levels].tolist(), strict=True))
        found = []
        for level, neurons in enumerate(of_level[1:], start=1):
            mine = [((source, target), weight) for (source, target), weight in edges if level_of[target] == level]
            read = sorted({level_of[source] for (source, _), _ in mine if source != layout.bias}) or [0]
            column = {neuron: i for i, neuron in enumerate(n for tensor in read for n in of_level[tensor])}
            row = {neuron: i for i, neuron in enumerate(neurons)}
            weight, bias = np.zeros((len(neurons), len(column))), np.zeros(len(neurons))
            slope = _OUTPUT_SLOPES[self.output] if level == last else SLOPE
            for (source, target), value in mine:
                if source == layout.bias:
                    bias[row[target]] = slope * value
                else:
                    weight[row[target], column[source]] = slope * value
            found.append(_Level(read, neurons, weight, bias))
        return found

    def answers(self, genotype: npt.NDArray[np.integer], items: F64) -> F64:
        """What the network makes of items (B, features), neuron by neuron in float64, (B, outputs)."""
        layout, synapses = self.layout, self.synapses_of(genotype)
        live = synapses.taken(expressed(synapses, layout))
        values: dict[int, F64] = {i: items[:, i] for i in range(layout.inputs)} | {layout.bias: np.ones(len(items))}
        edges = list(zip(live.pairs(), self.weights[live.levels].tolist(), strict=True))
        outputs = range(layout.first_output, layout.first_hidden)
        for neuron in (*topological(live, layout), *outputs):
            told = np.zeros(len(items))
            for (source, target), weight in edges:
                if target == neuron:
                    told = told + weight * values[source]
            kind = "sigmoid" if neuron not in outputs else self.output
            values[neuron] = _activated(kind, told)
        return np.stack([values[neuron] for neuron in outputs], axis=1)


def _activated(kind: str, x: F64) -> F64:
    if kind == "linear":
        return x
    curve: F64 = np.tanh(SLOPE / 2 * x)
    return curve if kind == "tanh" else (curve + 1) / 2


class NeuronsSettings(Settings):
    """Small networks of neurons, their weights in the genotype."""

    connections: int = Field(32, ge=1, le=4_096, description="of a network at most, disabled ones included")
    hidden: int = Field(8, ge=0, le=1_024, description="hidden neurons at most")
    limit: float = Field(8.0, gt=0, le=1e6, description="largest weight")
    levels: int = Field(257, ge=3, le=65_537, description="of a weight, from minus the limit to it, an odd number")
    output: Output = Field("linear", description="activation of the outputs; tanh where answers lie in -1 to 1")
    bits: int = Field(32, ge=2, le=32, description="of weights and activations, as far as hardware has them; 32 float")


def _make(settings: NeuronsSettings, data: Dataset) -> NeuronSpace:
    if len(data.output_shape) != 1:
        words = "x".join(map(str, data.output_shape))
        raise SpecError(f"data: {data.name}", f"answers of shape {words}", "a row of numbers: neurons make no others")
    rest = settings.model_dump(exclude={"bits"})
    precision = Precision(settings.bits, settings.bits)
    return NeuronSpace(**rest, input_shape=data.input_shape, outputs=data.output_shape[0], precision=precision)


PLUGIN = Plugin(
    NeuronsSettings, _make, "small networks of neurons, topology and weights in the genotype", estimator="genome"
)
