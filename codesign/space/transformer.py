"""Transformers: encoders over image patches, sequences or words, and decoders of the kinds of GPT and Llama.

Features and depth are decisions of the whole network, heads and the width of the feed-forward network those of each
layer, or of all layers at once, and so is how many experts a layer has, where some are offered; of a Llama also how
many heads share keys and values. A token goes through `chosen` experts. A decoder reads `tokens` over a
cache of `past` ones. Layers behind the depth are not used: the canonical genotype has them at their first choice.

The kind `decoder` can be trained on a text: learned vectors of tokens and places, blocks that normalise first, and a
causal softmax. Those of GPT and Llama, whose places are a second input or constants, are costed alone.

The scale of the scores has no layer in a cost model, and none in what is trained here. Not modelled: dropout,
stochastic depth, relative positions, a loss that balances experts.

Sources: ViT [Dosovitskiy et al., ICLR 2021], BERT [Devlin et al., NAACL 2019], GPT-2 [Radford et al., 2019], Llama
[Touvron et al., 2023], grouped queries [Ainslie et al., EMNLP 2023], experts [Fedus et al., JMLR 2022; Jiang et al.,
arXiv:2401.04088]; searches over the same decisions: AutoFormer [Chen
et al., ICCV 2021], HAT [Wang et al., ACL 2020].
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from codesign.registry import Plugin, Settings
from codesign.space.architecture import ArchitectureSpace
from codesign.space.base import Gene, Genotypes
from codesign.space.fragments import Fragment, FragmentChain
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Conv2d,
    Embedding,
    Norm,
    Permute,
    Precision,
    Reduce,
    Reshape,
    Select,
)
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.table import LayerTable
from hwmodels.workload.zoo.transformer import Transformer, block, embed, head

if TYPE_CHECKING:
    from codesign.data import Dataset

__all__ = ["PLUGIN", "Choices", "TransformerSettings", "TransformerSpace"]

I64 = npt.NDArray[np.int64]
Kind = Literal["vision", "decoder", "bert", "gpt", "llama"]
_OURS = ("vision", "decoder")
"""Kinds that are written here; the others are the zoo's."""

_LANGUAGE = {
    "bert": Transformer(
        vocabulary=1, features=1, depth=1, heads=1, hidden=1, token_types=2, pre_norm=False, embedding_norm=True,
        causal=False,
    ),
    "gpt": Transformer(vocabulary=1, features=1, depth=1, heads=1, hidden=1, fused_qkv=True),
    "llama": Transformer(
        vocabulary=1, features=1, depth=1, heads=1, hidden=1, norm="rms", activation="silu", gated=True,
        qkv_bias=False, attention_bias=False, mlp_bias=False, tied_head=False,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Choices:
    """What a decision chooses from.

    ratio : hidden over entering features of the feed-forward network. kv_heads : heads that have keys and values of
    their own, 0 for all of them. shared : heads, ratio and experts are one decision for all layers. experts :
    feed-forward networks of a layer, 0 for a single one without a router; chosen : through how many a token goes.
    """

    features: tuple[int, ...] = (64, 96, 128)
    depth: tuple[int, ...] = (2, 3, 4)
    heads: tuple[int, ...] = (2, 4)
    ratio: tuple[float, ...] = (2.0, 3.0, 4.0)
    kv_heads: tuple[int, ...] = (0,)
    patch: tuple[int, ...] = (4,)
    shared: bool = False
    experts: tuple[int, ...] = field(default=(0,), repr=False)
    chosen: int = field(default=2, repr=False)


class TransformerSpace(ArchitectureSpace):
    """Transformers of one kind.

    Parameters
    ----------
    kind : `vision` reads images of `input_shape`, or a sequence (steps, features), each step as a patch; the others
        read `tokens` words of a `vocabulary`.
    positions : learned position vectors of words; 0 for rotary ones, and as many as there are tokens where None.
    class_token : a vision encoder answers from a token of its own, and not from the mean over all of them.

    Raises
    ------
    SpecError : no point in which the heads divide the features, or a patch that does not divide the image.
    """

    def __init__(
        self,
        kind: Kind,
        choices: Choices,
        *,
        input_shape: tuple[int, ...] = (3, 32, 32),
        classes: int = 10,
        tokens: int = 128,
        past: int = 0,
        vocabulary: int = 256,
        positions: int | None = None,
        class_token: bool = False,
        batch: int = 1,
        precision: Precision | None = None,
    ) -> None:
        # What a kind does not have is no decision of it.
        has_patches = kind == "vision" and len(input_shape) == 3
        choices = replace(choices, patch=choices.patch if has_patches else choices.patch[:1])
        choices = replace(choices, kv_heads=(0,) if kind in (*_OURS, "bert") else choices.kv_heads)
        self.kind, self.choices, self.classes, self.class_token = kind, choices, classes, class_token
        self.tokens, self.past, self.vocabulary = tokens, past, vocabulary
        learned = 0 if kind == "llama" else past + tokens if positions is None else positions
        self.positions, self._image = learned, input_shape
        self._fragments: dict[Hashable, Fragment] = {}
        names = ("features", "depth", "kv_heads", "patch")
        self._whole = {name: getattr(choices, name) for name in names}
        layers = [""] if choices.shared else [str(i) for i in range(max(choices.depth))]
        genes = [Gene(name, values) for name, values in self._whole.items() if len(values) > 1]
        self._of_layer = ("heads", "ratio", *["experts"] * (len(choices.experts) > 1))
        genes += [Gene(f"{name}{layer}", getattr(choices, name)) for layer in layers for name in self._of_layer]
        super().__init__(genes, inputs=[], batch=batch, precision=precision)
        self._place = {gene.name: i for i, gene in enumerate(self.genes)}
        self._check()
        some = self.sample(1, np.random.default_rng(0))[0]
        self.inputs = tuple(shape[1:] for shape in self.workload(some).input_shapes)

    def _check(self) -> None:
        if self.kind == "vision" and len(self._image) not in (2, 3):
            shown = "x".join(map(str, self._image))
            raise SpecError("kind", self.kind, f"one that reads {shown}: gpt, llama and bert read words")
        for patch in self.choices.patch if self.kind == "vision" and len(self._image) == 3 else ():
            if self._image[1] % patch or self._image[2] % patch:
                raise SpecError("patch", patch, f"a divisor of the image, {self._image[1]} x {self._image[2]}")
        fewest = min((experts for experts in self.choices.experts if experts), default=self.choices.chosen)
        if self.choices.chosen > fewest:
            raise SpecError("chosen", self.choices.chosen, f"<= {fewest}, the fewest experts")
        if self.past and self.kind in (*_OURS, "bert"):
            raise SpecError("past", self.past, f"0 for {self.kind}, which keeps nothing")
        if self.positions and self.past + self.tokens > self.positions:
            raise SpecError("tokens", self.past + self.tokens, f"<= {self.positions}, the learned positions")

    def _identity(self) -> dict[str, object]:
        fixed = (self.kind, self.choices, self.classes, self.class_token, self.tokens, self.past, self.vocabulary)
        mixed = {"experts": repr((self.choices.experts, self.choices.chosen))} if any(self.choices.experts) else {}
        return {**super()._identity(), "transformer": repr((*fixed, self.positions, self._image)), **mixed}

    # Which points there are.

    def valid(self, genotypes: Genotypes) -> npt.NDArray[np.bool_]:
        """In range, heads that divide the features in halves of a whole width, and groups that divide the heads."""
        inside = super().valid(genotypes)
        safe = np.where(inside[:, None], genotypes, 0)
        features, depth, groups = (self._column(safe, name) for name in ("features", "depth", "kv_heads"))
        even = 2 if self.kind == "llama" else 1  # rotary positions turn pairs of features
        for layer in range(max(self.choices.depth)):
            heads = self._column(safe, "heads", layer)
            fits = (features % (even * heads) == 0) & (heads % np.where(groups > 0, groups, 1) == 0)
            inside &= fits | (layer >= depth)
        return inside

    def canonical(self, genotypes: Genotypes) -> Genotypes:
        points = genotypes.copy()
        if not self.choices.shared:
            depth = self._column(points, "depth")
            for layer in range(max(self.choices.depth)):
                for name in self._of_layer:
                    points[layer >= depth, self._place[f"{name}{layer}"]] = 0
        return points

    def _column(self, genotypes: Genotypes, name: str, layer: int | None = None) -> I64:
        """The chosen values of a decision, (P,); one of a single choice has no gene."""
        key = name if layer is None or self.choices.shared else f"{name}{layer}"
        if key not in self._place:
            return np.full(len(genotypes), getattr(self.choices, name)[0])
        gene = self._place[key]
        found: I64 = np.array(self.genes[gene].choices)[genotypes[:, gene]]
        return found

    def _hidden(self, genotypes: Genotypes, layer: int) -> I64:
        """Width of the feed-forward network, (P,)."""
        exact = self._column(genotypes, "features") * self._column(genotypes, "ratio", layer)
        hidden: I64 = np.rint(exact).astype(np.int64)
        return hidden

    # One network as a graph.

    def workload(self, genotype: npt.NDArray[np.integer]) -> Workload:
        point = np.asarray(genotype, np.int64)[None]
        features, depth, groups, patch = (int(self._column(point, name)[0]) for name in self._whole)
        entering = (self.batch, *self._image) if self.kind == "vision" else (self.batch, self.tokens)
        net = Builder(f"{self.kind}-" + "".join(map(str, genotype)), entering, precision=self.precision)
        x = self._first(net, net.input, features, patch)
        for layer in range(depth):
            heads, experts = (int(self._column(point, name, layer)[0]) for name in ("heads", "experts"))
            x = self._layer(net, x, heads, int(self._hidden(point, layer)[0]), groups, experts)
        return net.finish(self._last(net, x))

    def _shape(self, features: int, heads: int = 1, hidden: int = 1, groups: int = 0, experts: int = 0) -> Transformer:
        rotary = features // heads if self.kind == "llama" else 0
        return replace(
            _LANGUAGE[self.kind], vocabulary=self.vocabulary, features=features, heads=heads, hidden=hidden,
            kv_heads=groups or None, positions=self.positions, rotary_features=rotary,
            experts=experts, chosen=self.choices.chosen,
        )  # fmt: skip

    def _first(self, net: Builder, x: str, features: int, patch: int) -> str:
        """Words or patches as vectors, with their positions."""
        if self.kind not in _OURS:
            return embed(net, self._shape(features))
        if self.kind == "decoder":
            words = net.add(Embedding(self.vocabulary, features), x)
            return net.residual(words, net.constant((1, self.tokens, features)))
        if len(self._image) == 2:
            x, places = net.linear(x, features), self._image[0]
            return self._placed(net, x, places, features)
        x = net.add(Conv2d.square(features, patch, stride=patch, padding=0, bias=True), x)
        batch, _, height, width = net.shape(x)
        x = net.add(Permute((0, 2, 1)), net.add(Reshape((batch, features, height * width)), x))
        return self._placed(net, x, height * width, features)

    def _placed(self, net: Builder, x: str, places: int, features: int) -> str:
        """Patches behind the class token, where there is one, with the vectors of their places."""
        if self.class_token:
            x = net.add(Concat(axis=1), net.constant((1, 1, features)), x)
        return net.residual(x, net.constant((1, places + self.class_token, features)))

    def _layer(self, net: Builder, x: str, heads: int, hidden: int, groups: int, experts: int) -> str:
        """A block, or what enters where it is not used."""
        if heads == _UNUSED:
            return x
        features = net.shape(x)[2]
        if self.kind not in _OURS:
            return block(net, self._shape(features, heads, hidden, groups, experts), x, self.past, 0)
        x = net.residual(x, net.attention(net.add(Norm("layer"), x), heads, causal=self.kind == "decoder"))
        y = net.add(Norm("layer"), x)
        if experts:
            mixed = net.experts(y, experts, hidden, chosen=self.choices.chosen, function="gelu")
            return net.residual(x, mixed)
        y = net.add(Activation("gelu"), net.linear(y, hidden))
        return net.residual(x, net.linear(y, features))

    def _last(self, net: Builder, x: str) -> str:
        """Scores of the classes, or of the words."""
        features = net.shape(x)[2]
        if self.kind == "decoder":
            return net.linear(net.add(Norm("layer"), x), self.vocabulary)
        if self.kind == "vision":
            x = net.add(Norm("layer"), x)
            pooled = net.add(Select(axis=1), x) if self.class_token else net.add(Reduce((1,)), x)
            return net.linear(pooled, self.classes)
        if self.kind == "bert":
            pooled = net.add(Activation("tanh"), net.linear(net.add(Select(axis=1), x), features))
            return net.linear(pooled, self.classes)
        shape = self._shape(features)
        return head(net, shape, net.add(Norm(shape.norm), x))

    # Many networks as a table.

    def lower_distinct(self, genotypes: Genotypes, semantics: Semantics) -> LayerTable:
        entering = (self.batch, *self._image) if self.kind == "vision" else (self.batch, self.tokens)
        chain = FragmentChain(
            len(genotypes), entering, precision=self.precision, semantics=semantics, known=self._fragments
        )
        features, depth, groups, patch = (self._column(genotypes, name) for name in self._whole)
        chain.append("first", self._first, features, patch)
        for layer in range(max(self.choices.depth)):
            heads = np.where(layer < depth, self._column(genotypes, "heads", layer), _UNUSED)
            experts = self._column(genotypes, "experts", layer)
            chain.append("layer", self._layer, heads, self._hidden(genotypes, layer), groups, experts)
        chain.append("last", self._last, last=True)
        return chain.finish()

    def describe(self, genotype: npt.NDArray[np.integer]) -> str:
        """Depth x features, then heads, hidden width and experts of each layer in use."""
        point = np.asarray(genotype, np.int64)[None]
        features, depth, groups, patch = (int(self._column(point, name)[0]) for name in self._whole)
        layers = []
        for layer in range(1 if self.choices.shared else depth):
            heads, experts = (int(self._column(point, name, layer)[0]) for name in ("heads", "experts"))
            layers.append(f"{heads}h{int(self._hidden(point, layer)[0])}" + f"e{experts}" * (experts > 0))
        extra = [f"kv{groups}"] * (groups > 0) + [f"p{patch}"] * (len(self.choices.patch) > 1)
        return " ".join([f"{depth}x{features}", *extra, *layers])


_UNUSED = -1
"""Heads of a layer behind the depth."""

_Sizes = Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=1, max_length=64)]


class TransformerSettings(Settings):
    """Transformers of one kind, layer by layer."""

    kind: Kind = Field("vision", description="encoder over patches, steps or words, or a decoder")
    features: _Sizes = Field([64, 96, 128], description="choices of the model's width")
    depth: Annotated[list[Annotated[int, Field(ge=1, le=256)]], Field(min_length=1, max_length=64)] = Field(
        [2, 3, 4], description="choices of the number of layers"
    )
    heads: _Sizes = Field([2, 4], description="choices of a layer's heads")
    ratio: Annotated[list[Annotated[float, Field(gt=0, le=64)]], Field(min_length=1, max_length=64)] = Field(
        [2.0, 3.0, 4.0], description="choices of a layer's hidden features over the model's"
    )
    kv_heads: Annotated[list[Annotated[int, Field(ge=0, le=4096)]], Field(min_length=1, max_length=16)] = Field(
        [0], description="choices of heads with keys and values of their own; 0 for all heads"
    )
    patch: _Sizes = Field([4], description="choices of the patch's side in pixels, for vision")
    shared: bool = Field(False, description="heads, ratio and experts are one decision for all layers")
    experts: Annotated[list[Annotated[int, Field(ge=0, le=4096)]], Field(min_length=1, max_length=16)] = Field(
        [0], description="choices of a layer's experts; 0 for a single feed-forward network"
    )
    chosen: int = Field(2, ge=1, le=4096, description="experts that a token goes through")
    tokens: int = Field(128, ge=1, le=10**7, description="words that are read, for the kinds of words")
    past: int = Field(0, ge=0, le=10**7, description="words in the cache of a decoder")
    vocabulary: int = Field(256, ge=1, le=10**8, description="words that there are")
    class_token: bool = Field(False, description="vision answers from a token of its own")


_READ_BY: dict[str, tuple[Kind, ...]] = {
    "kv_heads": ("gpt", "llama"),
    "patch": ("vision",),
    "class_token": ("vision",),
    "past": ("gpt", "llama"),
    "tokens": ("bert", "gpt", "llama"),
    "vocabulary": ("bert", "gpt", "llama"),
}
"""Settings that some kinds alone read; a decoder's words are those of its data."""


def _make(settings: TransformerSettings, data: Dataset) -> TransformerSpace:
    for name, kinds in _READ_BY.items():
        given = getattr(settings, name)
        if settings.kind not in kinds and given != TransformerSettings.model_fields[name].default:
            raise SpecError(
                f"architecture.{name}", given, f"left out for {settings.kind}", f"{', '.join(kinds)} read it"
            )
    names = ("features", "depth", "heads", "ratio", "kv_heads", "patch", "experts")
    chosen = {name: tuple(getattr(settings, name)) for name in names}
    choices = Choices(**chosen, shared=settings.shared, chosen=settings.chosen)
    rest = settings.model_dump(include={"tokens", "past", "vocabulary", "class_token"})
    if settings.kind == "decoder":  # it reads the text of the run
        rest |= {"tokens": data.input_shape[0], "vocabulary": data.classes}
    return TransformerSpace(settings.kind, choices, input_shape=data.input_shape, classes=data.classes, **rest)


PLUGIN = Plugin(
    TransformerSettings, _make, "transformers: ViT, decoders, BERT, GPT and Llama, with heads and widths a layer"
)
