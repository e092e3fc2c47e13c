"""Networks of many branches: one directed acyclic graph of layers with skip connections, from the stem to the output.

Each stage has places for layers. A place has an operator, or none, and an edge from any place before it; where it has
no edge it reads the place before. A place without an operator passes on what it reads: taking a layer out joins what
it has read to what reads it, and putting one in splits an edge. What comes from an earlier stage is pooled and passes a
1x1 convolution, once for each stage that reads it. Layers that nothing reads feed the output; tensors meet in a sum
[Xie et al., ICCV 2019], or in a concatenation and a 1x1 convolution [Zoph and Le, ICLR 2017].

Genotypes of isomorphic graphs are one network: the canonical one has its layers at the first places of their stages, in
the order of `codesign.space.wiring`. Mutation is one move in that graph: a layer more or less, another operator, an
edge more or less. Neighbours differ in one gene, among them those with a layer more or less.

Not modelled: learned weights of the terms of a sum, filters of unequal height and width, zero padding where sizes
differ, devices to which branches are placed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.wiring import Wiring, inserted, loose_ends, met, ordered, removed, rewired
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Pool2d, Precision
from hwmodels.workload.zoo.mobilenet import classify

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["OPERATORS", "PLUGIN", "BranchesSettings", "BranchesSpace"]

OPERATORS = ("conv1", "conv3", "conv5", "conv7", "sep3", "sep5", "max3", "avg3")
"""Convolutions, depthwise separable convolutions and poolings by kernel, all of stride 1."""

_NONE = "none"

Point = npt.NDArray[np.integer]


class BranchesSpace(ArchitectureSpace):
    """Graphs of layers.

    Parameters
    ----------
    channels : of the layers of each stage, each stage at half the height and width of the one before. places : layers
        of a stage at most. least : layers of a network at least. operators : what a place chooses from.
    join : how tensors meet.

    Raises
    ------
    SpecError : an unknown operator, or more layers at least than there are places.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (16, 32),
        places: int = 4,
        least: int = 1,
        operators: Sequence[str] = ("conv3", "sep3", "sep5", "max3"),
        join: Literal["add", "concat"] = "add",
        input_shape: tuple[int, int, int] = (3, 32, 32),
        classes: int = 10,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        for operator in operators:
            if operator not in OPERATORS:
                raise SpecError.unknown("operators", operator, OPERATORS)
        if len(set(operators)) < len(operators):
            raise SpecError("operators", list(operators), "a list without repeats")
        if least > len(channels) * places:
            raise SpecError("least", least, f"at most {len(channels) * places}, the places of all stages")
        self.channels, self.places, self.least, self.join = tuple(channels), places, least, join
        self.operators, self.classes = tuple(operators), classes
        count = len(self.channels) * places
        self._edges = [(i, j) for j in range(1, count + 1) for i in range(j)]
        genes = [Gene(f"op{place}", (_NONE, *self.operators)) for place in range(1, count + 1)]
        genes += [Gene(f"{i}>{j}", (0, 1)) for i, j in self._edges]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        names = ("channels", "places", "least", "join", "classes")
        return {**super()._identity(), **{name: getattr(self, name) for name in names}}

    # Genotypes and graphs.

    @property
    def _count(self) -> int:
        """Places of all stages."""
        return len(self.channels) * self.places

    def wiring_of(self, genotype: Point) -> Wiring:
        """The graph of a point, places without a layer dissolved."""
        edges: dict[int, list[int]] = {}
        for (i, j), there in zip(self._edges, genotype[self._count :].tolist(), strict=True):
            if there:
                edges.setdefault(j, []).append(i)
        passed = [frozenset({0})]  # the layers that each place stands for
        operators, stages, sources = [], [], []
        for place in range(1, self._count + 1):
            read = frozenset().union(*(passed[i] for i in edges.get(place, [place - 1])))
            chosen = int(genotype[place - 1])
            if chosen:
                operators.append(chosen - 1)
                stages.append((place - 1) // self.places)
                sources.append(read)
                read = frozenset({len(operators)})
            passed.append(read)
        return Wiring(tuple(operators), tuple(stages), tuple(sources))

    def point_of(self, wiring: Wiring) -> npt.NDArray[np.int64]:
        """The canonical genotype of a graph.

        Raises
        ------
        SpecError : a stage of more layers than it has places.
        """
        wiring = ordered(wiring)
        place_of, used = [0], [0] * len(self.channels)
        for stage in wiring.stages:
            place_of.append(stage * self.places + used[stage] + 1)
            used[stage] += 1
        if max(used) > self.places:
            raise SpecError("layers of a stage", max(used), f"at most {self.places}, its places")
        layer_at, column = (
            {place: i for i, place in enumerate(place_of) if i},
            {e: i for i, e in enumerate(self._edges)},
        )
        point, passed = np.zeros(self.n_genes, np.int64), frozenset({0})
        for place in range(1, self._count + 1):
            layer = layer_at.get(place)
            if layer is None:
                continue
            point[place - 1] = wiring.operators[layer - 1] + 1
            if wiring.sources[layer - 1] != passed:  # else it reads the place before
                for source in wiring.sources[layer - 1]:
                    point[self._count + column[place_of[source], place]] = 1
            passed = frozenset({layer})
        return point

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range and of as many layers as asked."""
        enough: npt.NDArray[np.bool_] = (genotypes[:, : self._count] > 0).sum(axis=1) >= self.least
        return super().valid(genotypes) & enough

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points = [self.point_of(self.wiring_of(genotype)) for genotype in genotypes]
        return np.array(points, np.int64).reshape(genotypes.shape)

    # Moves.

    def mutate(self, genotypes: Genotypes, rng: np.random.Generator, *, rate: float | None = None) -> Genotypes:
        """One move in each graph, as a canonical point; gene by gene where a rate is given."""
        if rate is not None:
            return super().mutate(genotypes, rng, rate=rate)
        moved = [self.point_of(self._moved(self.wiring_of(genotype), rng)) for genotype in genotypes]
        return np.array(moved, np.int64).reshape(genotypes.shape)

    def _moved(self, wiring: Wiring, rng: np.random.Generator) -> Wiring:
        """The first of the moves in random order that this graph allows."""
        moves = (self._add, self._remove, self._change, self._rewire)
        for i in rng.permutation(len(moves)):
            found = moves[i](wiring, rng)
            if found is not None:
                return found
        return wiring

    def _add(self, wiring: Wiring, rng: np.random.Generator) -> Wiring | None:
        """A layer more: on an edge, or as a branch behind any layer."""
        room = [stage for stage in range(len(self.channels)) if wiring.stages.count(stage) < self.places]
        if not room:
            return None
        stage, operator = int(rng.choice(room)), int(rng.integers(len(self.operators)))
        stages = (0, *wiring.stages)
        places = [(source, None) for source, own in enumerate(stages) if own <= stage]
        edges = [(source, reader) for reader, given in enumerate(wiring.sources, start=1) for source in sorted(given)]
        places += [edge for edge in edges if stages[edge[0]] <= stage <= stages[edge[1]]]  # type: ignore[misc]
        source, reader = places[rng.integers(len(places))]
        return inserted(wiring, operator, stage, source=source, reader=reader)

    def _remove(self, wiring: Wiring, rng: np.random.Generator) -> Wiring | None:
        layers = len(wiring.operators)
        return None if layers <= max(self.least, 1) else removed(wiring, int(rng.integers(1, layers + 1)))

    def _change(self, wiring: Wiring, rng: np.random.Generator) -> Wiring | None:
        layers, choices = len(wiring.operators), len(self.operators)
        if not layers or choices == 1:
            return None
        node, shift = int(rng.integers(layers)), int(rng.integers(1, choices))
        changed = list(wiring.operators)
        changed[node] = (changed[node] + shift) % choices
        return wiring._replace(operators=tuple(changed))

    def _rewire(self, wiring: Wiring, rng: np.random.Generator) -> Wiring | None:
        if not wiring.operators:
            return None
        node = int(rng.integers(1, len(wiring.operators) + 1))
        return rewired(wiring, node, int(rng.integers(node)))

    # One network.

    def describe(self, genotype: Point) -> str:
        """The layers with what they read, a bar between stages, as 1:conv3<0 2:sep3<0,1 | 3:max3<2."""
        wiring = ordered(self.wiring_of(genotype))
        words: list[list[str]] = [[] for _ in self.channels]
        for node, (operator, stage, given) in enumerate(zip(*wiring, strict=True), start=1):
            words[stage].append(f"{node}:{self.operators[operator]}<{','.join(map(str, sorted(given)))}")
        return " | ".join(" ".join(stage) or "-" for stage in words)

    def workload(self, genotype: Point) -> Workload:
        wiring, net = ordered(self.wiring_of(genotype)), self.builder("branches-" + "".join(map(str, genotype)))
        made, stages = [net.conv_norm_act(net.input, self.channels[0], 3)], (0, *wiring.stages)
        fitted: dict[tuple[int, int], str] = {}

        def at(source: int, stage: int) -> str:
            """What a layer makes, at the size of a stage."""
            if stages[source] == stage:
                return made[source]
            if (source, stage) not in fitted:
                fitted[source, stage] = _fitted(net, made[source], stage - stages[source], self.channels[stage])
            return fitted[source, stage]

        for operator, stage, given in zip(*wiring, strict=True):
            x = met(net, [at(source, stage) for source in sorted(given)], self.join)
            if net.shape(x)[1] != self.channels[stage]:
                x = net.conv_norm_act(x, self.channels[stage], 1)
            made.append(_OPERATORS[self.operators[operator]](net, x))
        last = len(self.channels) - 1
        x = met(net, [at(source, last) for source in loose_ends(wiring)], self.join)
        return net.finish(classify(net, x, self.classes))


def _fitted(net: Builder, x: str, halvings: int, channels: int) -> str:
    """Mean pooling, the last window as it is, and a 1x1 convolution to the channels of a later stage."""
    pooled = net.add(Pool2d("avg", 2**halvings, ceil_mode=True), x)
    return net.conv_norm_act(pooled, channels, 1, activation=None)


def _convolution(kernel: int) -> Callable[[Builder, str], str]:
    return lambda net, x: net.conv_norm_act(x, net.shape(x)[1], kernel)


def _separable(kernel: int) -> Callable[[Builder, str], str]:
    def write(net: Builder, x: str) -> str:
        channels = net.shape(x)[1]
        return net.conv_norm_act(net.conv_norm_act(x, channels, kernel, groups=channels), channels, 1)

    return write


def _pooling(mode: Literal["max", "avg"]) -> Callable[[Builder, str], str]:
    return lambda net, x: net.add(Pool2d(mode, 3, 1, 1), x)


_OPERATORS: dict[str, Callable[[Builder, str], str]] = {
    **{f"conv{kernel}": _convolution(kernel) for kernel in (1, 3, 5, 7)},
    **{f"sep{kernel}": _separable(kernel) for kernel in (3, 5)},
    "max3": _pooling("max"),
    "avg3": _pooling("avg"),
}


class BranchesSettings(Settings):
    """Graphs of layers with branches and skip connections."""

    channels: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=1, max_length=8)] = Field(
        [16, 32], description="channels of each stage, each at half the height and width"
    )
    places: int = Field(4, ge=1, le=16, description="layers of a stage at most")
    least: int = Field(1, ge=0, le=128, description="layers of a network at least")
    operators: list[str] = Field(
        ["conv3", "sep3", "sep5", "max3"], min_length=1, max_length=8, description="that a layer chooses from"
    )
    join: Literal["add", "concat"] = Field("add", description="how tensors meet: a sum, or joined and a 1x1 conv")


def _make(settings: BranchesSettings, data: Dataset) -> BranchesSpace:
    return BranchesSpace(**settings.model_dump(), input_shape=data.shape, classes=data.classes)


PLUGIN = Plugin(BranchesSettings, _make, "networks of many branches: a graph of layers with skips, added and removed")
