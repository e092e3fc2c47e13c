"""Encoder-decoders whose cells are found by search: the space of the Evolved Transformer [So et al., ICML 2019].

An encoder cell and a decoder cell of a few blocks each are repeated. A block has two branches: each reads an earlier
block or what enters the cell, and applies a normalisation, a layer of a width relative to the model's, and an
activation; the branches meet in a sum, a product or a concatenation. Blocks that no other reads are summed and leave
the cell. Where a sum or product has terms of unequal width, the narrower one meets the first features of the wider.
Counts of layers follow the released search space (tensorflow/tensor2tensor, nas_layers.py): attention has as many
features as enter it and projections without bias, a separable convolution has one bias, a depthwise or dilated one
none.

Source and target are two inputs, words or vectors. The canonical genotype has decisions that its layers do not read at
their first choice, the branches of a sum or product in order, and of all numberings of its blocks the one that
`codesign.space.wiring` chooses. Not modelled: lightweight convolutions, masks of padding and of later words (what is
built for torch sees the whole target; its costs are those of the masked network), sinusoidal positions, dropout.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.sequence_layers import along, attention, met
from codesign.space.wiring import Wiring, numbering
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Activation, ActivationName, Elementwise, Embedding, Linear, Norm, Precision, Shared

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "EvolvedSettings", "EvolvedSpace"]

_ACTIVATIONS: dict[str, ActivationName | None] = {
    "none": None, "relu": "relu", "swish": "silu", "leaky_relu": "leaky_relu", "gelu": "gelu",
}  # fmt: skip
_COMBINERS = ("add", "mul", "concat")
_PARTS = ("from", "norm", "layer", "width", "activation")
_DEAD = "none"
_KEEP_WIDTH = ("skip", "dw")
_DEFAULT_LAYERS = (
    "skip", "conv1", "conv3", "sep3", "sep5", "sep7", "sep9", "sep11", "dw3", "dil3", "glu", "self4", "self8", "self16",
    "cross8",
)  # fmt: skip

_Side = Literal["encoder", "decoder"]
_SIDES: tuple[_Side, ...] = ("encoder", "decoder")


class _Branch(NamedTuple):
    """One branch of a block, its values by name."""

    source: int
    norm: bool
    layer: str
    width: float
    activation: str


class EvolvedSpace(ArchitectureSpace):
    """Pairs of cells, an encoder's and a decoder's.

    Parameters
    ----------
    blocks : of the encoder cell and of the decoder cell. cells : choices of how often either is repeated. features :
        choices of the model's width. layers : words as conv3, sep7, dw3, dil3 (kernels), self8, cross8 (heads; cross
        reads the encoder, in the decoder alone), glu, skip. width : choices of a layer's features over the model's.
    vocabulary : words that both inputs are made of, with a table for either and a classifier; 0 for vectors of the
        model's width, which then is no decision, and no tables. tied : the three tables are one (without torch).
    attention_bias : of the projections of attention.

    Raises
    ------
    SpecError : a word that is none, or heads that do not divide every width.
    """

    def __init__(
        self,
        *,
        blocks: tuple[int, int] = (6, 8),
        cells: Sequence[int] = (1, 2, 3, 4, 5, 6),
        features: Sequence[int] = (512,),
        layers: Sequence[str] = _DEFAULT_LAYERS,
        width: Sequence[float] = (0.5, 1.0, 2.0, 4.0),
        activation: Sequence[str] = ("none", "relu", "swish", "leaky_relu"),
        combiner: Sequence[str] = _COMBINERS,
        source_tokens: int = 32,
        target_tokens: int = 32,
        vocabulary: int = 256,
        tied: bool = False,
        attention_bias: bool = False,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        _check("activation", activation, tuple(_ACTIVATIONS))
        _check("combiner", combiner, _COMBINERS)
        for name, given in (("layers", layers), ("width", width), ("cells", cells), ("features", features)):
            if len(set(given)) < len(given):
                raise SpecError(name, list(given), "a list without repeats")
        self._kinds = {word: _word(word) for word in layers}
        self.blocks, self.vocabulary, self.tied, self.attention_bias = tuple(blocks), vocabulary, tied, attention_bias
        if not vocabulary and len(features) > 1:
            raise SpecError("vocabulary", vocabulary, ">= 1 where the width of the model is a decision")
        self._check_heads(features, width)
        whole = [Gene("features", tuple(features)), *(Gene(f"{side}_cells", tuple(cells)) for side in _SIDES)]
        choices = {"norm": (False, True), "width": tuple(width), "activation": tuple(activation)}
        genes = list(whole)
        for side, count in zip(_SIDES, blocks, strict=True):
            words = tuple(word for word in layers if side == "decoder" or self._kinds[word][0] != "cross")
            if not words:
                raise SpecError(
                    "layers", list(layers), "words of which one is no cross: an encoder has nothing to cross"
                )
            for block in range(count):
                for branch in ("left", "right"):
                    own = {**choices, "from": tuple(range(block + 1))}
                    own["layer"] = words if branch == "left" else (*words, _DEAD)
                    genes += [Gene(f"{side}{block}.{branch}.{part}", own[part]) for part in _PARTS]
                genes.append(Gene(f"{side}{block}.combiner", tuple(combiner)))
        tokens = (source_tokens, target_tokens)
        inputs = [(count,) if vocabulary else (count, features[0]) for count in tokens]
        super().__init__(genes, inputs=inputs, batch=batch, precision=precision)
        self._first = {side: len(whole) + i * blocks[0] * _GENES for i, side in enumerate(_SIDES)}

    def _check_heads(self, features: Sequence[int], width: Sequence[float]) -> None:
        for model in features:
            for factor in width:
                made = factor * model
                if made % 1 or made < 1:
                    raise SpecError("width", factor, f"a factor that gives whole features of {model}")
                for word, (kind, heads) in self._kinds.items():
                    if kind in ("self", "cross") and (made % heads or model % heads):
                        raise SpecError("layers", word, f"heads that divide {model} and {int(made)} features")

    def _identity(self) -> dict[str, object]:
        names = ("blocks", "vocabulary", "tied", "attention_bias")
        return {**super()._identity(), **{name: getattr(self, name) for name in names}}

    # Which points are the same.

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points = genotypes.copy()
        for side, count in zip(_SIDES, self.blocks, strict=True):
            first = self._first[side]
            cells = points[:, first : first + count * _GENES].reshape(len(points), count, _GENES)
            for block in range(count):
                self._clear(cells[:, block], first + block * _GENES)
            for i, cell in enumerate(cells):
                cells[i] = self._renumbered(cell, first)
            for block in range(count):
                self._sort(cells[:, block], first + block * _GENES)
            points[:, first : first + count * _GENES] = cells.reshape(len(points), -1)
        return points

    def _clear(self, block: Genotypes, first: int) -> None:
        """Put what a block does not read at its first choice, in place."""
        left, right, combiner = block[:, :_BRANCH], block[:, _BRANCH:-1], block[:, -1]
        words = self.genes[first + _BRANCH + _LAYER].choices
        kept = np.array([word == _DEAD or self._kinds[word][0] in _KEEP_WIDTH for word in words])
        for branch in (left, right):
            branch[:, _WIDTH][kept[branch[:, _LAYER]]] = 0
        dead = right[:, _LAYER] == len(words) - 1
        right[dead] = np.where(np.arange(_BRANCH) == _LAYER, len(words) - 1, 0)
        combiner[dead] = 0

    def _renumbered(self, cell: Genotypes, first: int) -> Genotypes:
        """The blocks of one cell (B, genes) in the order that all equal cells share.

        In that graph each branch is a node of its own between the block that it reads and its block.
        """
        dead = len(self.genes[first + _BRANCH + _LAYER].choices) - 1
        operators, sources, owner = [], [], []
        made = [0]  # the node of each state
        for place, block in enumerate(cell.tolist()):
            ordered_terms = self.genes[first + _GENES - 1].choices[block[-1]] == "concat"
            ends = []
            for side, branch in enumerate((block[:_BRANCH], block[_BRANCH:-1])):
                if branch[_LAYER] != dead or side == 0:
                    code = 1 + 2 * int(np.dot(branch[1:], _RADIX[1:])) + (side if ordered_terms else 0)
                    operators.append(code)
                    sources.append(frozenset({made[branch[0]]}))
                    owner.append(-1)
                    ends.append(len(operators))
            operators.append(-1 - block[-1])
            sources.append(frozenset(ends))
            owner.append(place)
            made.append(len(operators))
        order = numbering(Wiring(tuple(operators), (0,) * len(operators), tuple(sources)))
        places = [owner[node - 1] for node in order if owner[node - 1] >= 0]
        number = {0: 0} | {place + 1: i for i, place in enumerate(places, start=1)}
        renumbered = cell[places]
        for branch in (0, _BRANCH):
            renumbered[:, branch] = [number[state] for state in renumbered[:, branch].tolist()]
        return renumbered

    def _sort(self, block: Genotypes, first: int) -> None:
        """The branches of a sum or product in order, in place."""
        left, right = block[:, :_BRANCH], block[:, _BRANCH:-1]
        chosen = np.array(self.genes[first + _GENES - 1].choices)[block[:, -1]]
        dead = right[:, _LAYER] == len(self.genes[first + _BRANCH + _LAYER].choices) - 1
        swap = (left @ _RADIX > right @ _RADIX) & ~dead & (chosen != "concat")
        left[swap], right[swap] = right[swap], left[swap]

    def _branches(self, point: dict[str, object], side: _Side, block: int) -> tuple[_Branch, _Branch | None, str]:
        """Both branches of a block, None for one that is not there, and how they meet."""
        left, right = (
            _Branch(*(point[f"{side}{block}.{branch}.{part}"] for part in _PARTS))  # type: ignore[arg-type]
            for branch in ("left", "right")
        )
        return left, None if right.layer == _DEAD else right, str(point[f"{side}{block}.combiner"])

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """Width and cells, then the blocks of both, as 512: 6x(0 norm self8 + 0 skip; ...) -> 6x(...)."""
        point = self.decode(self.canonical(np.asarray(genotype, np.int64)[None])[0])
        cells = []
        for side, count in zip(_SIDES, self.blocks, strict=True):
            words = []
            for block in range(count):
                left, right, combiner = self._branches(point, side, block)
                sign = {"add": " + ", "mul": " * ", "concat": " , "}[combiner]
                words.append(sign.join(self._told(branch) for branch in (left, right) if branch))
            cells.append(f"{point[f'{side}_cells']}x({'; '.join(words)})")
        return f"{point['features']}: {' -> '.join(cells)}"

    def _told(self, branch: _Branch) -> str:
        keeps = self._kinds[branch.layer][0] in _KEEP_WIDTH
        width = "" if keeps or branch.width == 1 else f"x{branch.width:g}"
        words = (str(branch.source), "norm" * branch.norm, branch.layer + width, branch.activation)
        return " ".join(word for word in words if word not in ("", "none"))

    # One network.

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        point, net = self.decode(genotype), self.builder("evolved-" + "".join(map(str, genotype)))
        features, target = int(point["features"]), net.source(self.batched_inputs[1], name="target")
        x, y = net.input, target
        if self.vocabulary:
            table = Embedding(self.vocabulary, features)
            x, y = net.add(table, x), net.add(Shared(table, 0) if self.tied else table, y)
        memory = net.add(Norm("layer"), self._stack(net, x, point, "encoder", None))
        y = net.add(Norm("layer"), self._stack(net, y, point, "decoder", memory))
        if not self.vocabulary:
            return net.finish(y)
        scores = Linear(self.vocabulary, bias=False)
        return net.finish(net.add(Shared(scores, 0) if self.tied else scores, y))

    def _stack(self, net: Builder, x: str, point: dict[str, object], side: _Side, memory: str | None) -> str:
        """The cells of one side; each leaves as many features as entered it."""
        features, count = net.shape(x)[2], self.blocks[_SIDES.index(side)]
        blocks = [self._branches(point, side, block) for block in range(count)]
        for _ in range(int(point[f"{side}_cells"])):  # type: ignore[call-overload]
            states = [x]
            for left, right, combiner in blocks:
                y = self._branch(net, states[left.source], left, features, memory)
                if right is not None:
                    y = met(net, y, self._branch(net, states[right.source], right, features, memory), combiner)
                states.append(y)
            read = {branch.source for left, right, _ in blocks for branch in (left, right) if branch}
            # From narrow to wide, so that the sum is the same in every order of the blocks.
            loose = sorted((i for i in range(1, count + 1) if i not in read), key=lambda i: net.shape(states[i])[2])
            x = states[loose[0]]
            for i in loose[1:]:
                x = met(net, x, states[i], "add")
            if net.shape(x)[2] != features:
                x = net.linear(x, features)
        return x

    def _branch(self, net: Builder, x: str, branch: _Branch, features: int, memory: str | None) -> str:
        if branch.norm:
            x = net.add(Norm("layer"), x)
        (kind, size), width = self._kinds[branch.layer], round(branch.width * features)
        if kind in ("self", "cross"):
            keys = x if kind == "self" or memory is None else memory
            x = attention(net, x, keys, heads=size, width=width, bias=self.attention_bias)
        elif kind == "glu":
            gate = net.add(Activation("sigmoid"), net.linear(x, width))
            x = net.add(Elementwise("mul"), net.linear(x, width), gate)
        elif kind == "sep":
            x = net.linear(along(net, x, net.shape(x)[2], size, depthwise=True), width)
        elif kind == "dw":
            x = along(net, x, net.shape(x)[2], size, depthwise=True)
        elif kind == "dil":
            x = along(net, x, width, size, dilation=2)
        elif kind == "conv":
            x = net.linear(x, width) if size == 1 else along(net, x, width, size, bias=True)
        function = _ACTIVATIONS[branch.activation]
        return x if function is None else net.add(Activation(function), x)


_BRANCH, _GENES = len(_PARTS), 2 * len(_PARTS) + 1
_LAYER, _WIDTH = _PARTS.index("layer"), _PARTS.index("width")
_RADIX = 1000 ** np.arange(len(_PARTS))
"""Weights that give different branches different codes."""


def _check(where: str, given: Sequence[str], allowed: tuple[str, ...]) -> None:
    for value in given:
        if value not in allowed:
            raise SpecError.unknown(where, value, allowed)
    if len(set(given)) < len(given):
        raise SpecError(where, list(given), "a list without repeats")


def _word(word: str) -> tuple[str, int]:
    """What a word means: a kind, and its kernel or heads.

    Raises
    ------
    SpecError : no such word, or an even kernel.
    """
    if word in ("skip", "glu"):
        return word, 0
    found = re.fullmatch(r"(conv|sep|dw|dil|self|cross)([1-9]\d{0,2})", word)
    if found is None or (found[1] not in ("self", "cross") and int(found[2]) % 2 == 0):
        raise SpecError("layers", word, "a word as conv3, sep7, dw3, dil3 (odd kernels), self8, cross8, glu, skip")
    return found[1], int(found[2])


_Count = Annotated[int, Field(ge=1, le=64)]


class EvolvedSettings(Settings):
    """An encoder cell and a decoder cell of blocks with two branches each."""

    encoder_blocks: int = Field(4, ge=1, le=32, description="blocks of the encoder cell; 6 as published")
    decoder_blocks: int = Field(5, ge=1, le=32, description="blocks of the decoder cell; 8 as published")
    cells: Annotated[list[_Count], Field(min_length=1, max_length=64)] = Field(
        [1, 2], description="choices of how often the cell of either side is repeated"
    )
    features: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=1, max_length=64)] = Field(
        [64], description="choices of the model's width"
    )
    layers: list[str] = Field(
        list(_DEFAULT_LAYERS), min_length=1, max_length=64,
        description="of a branch: conv3, sep7, dw3, dil3 (kernels), self8, cross8 (heads), glu, skip",
    )  # fmt: skip
    width: Annotated[list[Annotated[float, Field(gt=0, le=64)]], Field(min_length=1, max_length=16)] = Field(
        [0.5, 1.0, 2.0, 4.0], description="choices of a layer's features over the model's"
    )
    activation: list[str] = Field(
        ["none", "relu", "swish", "leaky_relu"], min_length=1, max_length=5, description="choices behind a layer"
    )
    combiner: list[str] = Field(
        list(_COMBINERS), min_length=1, max_length=3, description="choices of how the branches of a block meet"
    )
    source_tokens: int = Field(32, ge=1, le=10**6, description="words that the encoder reads")
    target_tokens: int = Field(32, ge=1, le=10**6, description="words that the decoder reads")
    vocabulary: int = Field(256, ge=1, le=10**8, description="words that there are")
    tied: bool = Field(False, description="both embeddings and the classifier are one table; it has no torch module")


def _make(settings: EvolvedSettings, data: Dataset) -> EvolvedSpace:
    rest = settings.model_dump(exclude={"encoder_blocks", "decoder_blocks"})
    return EvolvedSpace(blocks=(settings.encoder_blocks, settings.decoder_blocks), **rest)


PLUGIN = Plugin(
    EvolvedSettings, _make, "encoder-decoders of searched cells, as the Evolved Transformer", estimator="none"
)
