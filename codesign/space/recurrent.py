"""Recurrent networks: layers of one cell, each of its own width, in one direction or both.

A sequence is what the data are, or the rows of an image from top to bottom. A layer of both directions has half of its
width for each; what classifies is the state behind the last step that each direction read. A text is read forwards,
each token as a learned vector, and the state behind each token scores the one that comes next.

Sources: LSTM [Hochreiter and Schmidhuber, 1997], GRU [Cho et al., EMNLP 2014], both directions [Schuster and Paliwal,
1997]. Not modelled: projections, dropout, attention over the states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Concat, Embedding, Permute, Precision, Recurrent, Reshape, Select

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "RecurrentSettings", "RecurrentSpace"]

_CELLS = ("lstm", "gru", "rnn")


class RecurrentSpace(ArchitectureSpace):
    """Stacks of recurrent layers and a linear classifier.

    Parameters
    ----------
    cell : choices of the cell, one for all layers. depth : choices of the number of layers. width : choices of a
        layer's hidden features, all of its directions together. directions : choices, 1 or 2, one for all layers.
    input_shape : (steps, features) of a sequence, (channels, height, width) of an image, or (tokens,) of a text, whose
        vocabulary is `classes`. embedding : features of the vector of a token, of a text.

    Raises
    ------
    SpecError : an unknown cell, a width that two directions do not share, or a text that is not read forwards.
    """

    def __init__(
        self,
        *,
        cell: Sequence[str] = ("lstm", "gru"),
        depth: Sequence[int] = (1, 2),
        width: Sequence[int] = (16, 32, 64),
        directions: Sequence[int] = (1, 2),
        input_shape: tuple[int, ...] = (8, 8),
        classes: int = 10,
        embedding: int = 32,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        self.embedding = embedding if len(input_shape) == 1 else 0
        if self.embedding:
            if 1 not in directions:
                raise SpecError("directions", list(directions), "1 among them: a text is read forwards")
            directions = (1,)
        for name in cell:
            if name not in _CELLS:
                raise SpecError.unknown("cell", name, _CELLS)
        if 2 in directions and (odd := [size for size in width if size % 2]):
            raise SpecError("width", odd[0], "even: two directions share it")
        self.classes, self.depth = classes, tuple(depth)
        genes = [Gene("cell", tuple(cell)), Gene("directions", tuple(directions)), Gene("depth", tuple(depth))]
        genes += [Gene(f"width{layer}", tuple(width)) for layer in range(max(depth))]
        super().__init__(genes, inputs=[input_shape], batch=batch, precision=precision)

    def _identity(self) -> dict[str, object]:
        read = {"embedding": self.embedding} if self.embedding else {}
        return {**super()._identity(), "classes": self.classes, **read}

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        """Layers behind the depth have their first width."""
        points = genotypes.copy()
        used = np.array(self.depth)[points[:, 2]]
        for layer in range(max(self.depth)):
            points[layer >= used, 3 + layer] = 0
        return points

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """As bi-lstm 32 16."""
        point = self.decode(genotype)
        widths = [str(point[f"width{layer}"]) for layer in range(point["depth"])]
        return " ".join([f"{'bi-' if point['directions'] == 2 else ''}{point['cell']}", *widths])

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        point, net = self.decode(genotype), self.builder("recurrent-" + "".join(map(str, genotype)))
        x, last = self._sequence(net), []
        for layer in range(point["depth"]):
            size = point[f"width{layer}"] // point["directions"]
            ways = [
                net.add(Recurrent(point["cell"], size, backwards=back), x)
                for back in (False, True)[: point["directions"]]
            ]
            steps = net.shape(x)[1]
            last = [net.add(Select(1, steps - 1 if way == 0 else 0), state) for way, state in enumerate(ways)]
            x = ways[0] if len(ways) == 1 else net.add(Concat(axis=2), *ways)
        state = last[0] if len(last) == 1 else net.add(Concat(axis=1), *last)
        return net.finish(net.linear(x if self.embedding else state, self.classes))

    def _sequence(self, net: Builder) -> str:
        """The input, its tokens as vectors, or the rows of an image as steps."""
        shape = net.shape(net.input)
        if self.embedding:
            return net.add(Embedding(self.classes, self.embedding), net.input)
        if len(shape) == 3:
            return net.input
        batch, channels, height, width = shape
        rows = net.add(Permute((0, 2, 1, 3)), net.input)
        return net.add(Reshape((batch, height, channels * width)), rows)


_Sizes = Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=1, max_length=64)]


class RecurrentSettings(Settings):
    """Recurrent layers over sequences, or over the rows of images."""

    cell: list[Literal["lstm", "gru", "rnn"]] = Field(["lstm", "gru"], min_length=1, description="choices of the cell")
    depth: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=64)] = Field(
        [1, 2], description="choices of the number of layers"
    )
    width: _Sizes = Field([16, 32, 64], description="choices of a layer's hidden features")
    directions: list[Literal[1, 2]] = Field(
        [1, 2], min_length=1, description="choices: forwards, or both ways; a text is read forwards"
    )
    embedding: int = Field(32, ge=1, le=65_536, description="of a text: features of the vector of a token")


def _make(settings: RecurrentSettings, data: Dataset) -> RecurrentSpace:
    return RecurrentSpace(**settings.model_dump(), input_shape=data.input_shape, classes=data.classes)


PLUGIN = Plugin(RecurrentSettings, _make, "recurrent layers: LSTM, GRU and Elman cells, in one direction or both")
