"""Encoder-decoders: the conformance suite, the Transformer and the Evolved Transformer exactly, twins in torch."""

from __future__ import annotations

import re
from math import sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from codesign.data import load
from codesign.network import to_module
from codesign.registry import SPACES
from codesign.space.evolved import EvolvedSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.graph import Input

WORDS = ("skip", "conv1", "conv3", "sep3", "dw3", "dil3", "glu", "self4", "cross4")
SMALL = {
    "blocks": (3, 4), "cells": (1, 2), "layers": WORDS, "width": (0.5, 1.0, 2.0), "source_tokens": 5,
    "target_tokens": 7, "vocabulary": 11,
}  # fmt: skip


class TestWords(SpaceSuite):
    points = 8

    def make(self) -> EvolvedSpace:
        return EvolvedSpace(features=(8, 16), **SMALL)


class TestTied(SpaceSuite):
    points = 3

    def make(self) -> EvolvedSpace:
        return EvolvedSpace(features=(8,), tied=True, attention_bias=True, **SMALL)


class TestVectors(SpaceSuite):
    points = 3

    def make(self) -> EvolvedSpace:
        return EvolvedSpace(features=(8,), **{**SMALL, "vocabulary": 0})


def point_of(space: EvolvedSpace, encoder: str, decoder: str, cells: tuple[int, int]) -> np.ndarray:
    """Cells as `describe` writes them."""
    chosen: dict[str, object] = {gene.name: gene.choices[0] for gene in space.genes}
    for side, text, count in zip(("encoder", "decoder"), (encoder, decoder), cells, strict=True):
        chosen[f"{side}_cells"] = count
        for block, words in enumerate(text.split("; ")):
            left, sign, right = re.fullmatch(r"(.+?)(?: ([+*,]) (.+))?", words).groups()  # type: ignore[union-attr]
            chosen[f"{side}{block}.combiner"] = {"+": "add", "*": "mul", ",": "concat", None: "add"}[sign]
            chosen[f"{side}{block}.right.layer"] = "none"
            for branch, told in (("left", left), ("right", right)):
                if told:
                    source, norm, layer, width, activation = re.fullmatch(  # type: ignore[union-attr]
                        r"(\d+)( norm)? (skip|glu|[a-z]+\d+)(?:x([\d.]+))?(?: (\w+))?", told
                    ).groups()
                    values = (int(source), bool(norm), layer, float(width or 1), activation or "none")
                    for part, value in zip(("from", "norm", "layer", "width", "activation"), values, strict=True):
                        chosen[f"{side}{block}.{branch}.{part}"] = value
    return space.encode(chosen)


FEED_FORWARD = "{0} norm conv1x4 relu; {1} conv1 + {0} skip"
TRANSFORMER = (
    "0 norm self8 + 0 skip; " + FEED_FORWARD.format(1, 2),
    "0 norm self8 + 0 skip; 1 norm cross8 + 1 skip; " + FEED_FORWARD.format(2, 3),
)
# [So et al. 2019, figure 3; tensorflow/tensor2tensor, models/evolved_transformer.py]
EVOLVED = (
    "0 norm glu + 0 skip; 1 norm conv1x4 relu + 1 norm conv3x0.5 relu; 2 norm sep9x0.5 + 1 skip; "
    "3 norm self8 + 3 skip; " + FEED_FORWARD.format(4, 5),
    "0 norm self16 + 0 norm cross8; 1 skip + 0 skip; 2 norm sep11x2 relu + 2 norm sep7x0.5; 3 norm sep7 + 2 skip; "
    "4 norm self8 + 4 skip; 5 norm cross8 + 5 skip; 6 norm conv1x4 swish; 7 norm conv1 + 6 skip",
)


def transformer_space(**more: object) -> EvolvedSpace:
    return EvolvedSpace(blocks=(3, 4), attention_bias=True, **more)


quiet = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")


@quiet
def test_the_plain_transformer_has_the_parameters_of_torch() -> None:
    space = transformer_space(vocabulary=0)
    point = point_of(space, *TRANSFORMER, (6, 6))
    with torch.device("meta"):
        twin = nn.Transformer(512, 8, 6, 6, 2048)
    count = sum(parameter.numel() for parameter in twin.parameters())
    assert space.workload(point).parameters == count == 44_140_544


def test_a_table_of_words_is_stored_once_where_it_is_tied() -> None:
    """With the 37,000 words of the base model 63.1 million; [Vaswani et al. 2017, table 3] says 65 million, which no
    count of these layers gives."""
    counts = []
    for tied in (True, False):
        space = transformer_space(vocabulary=37_000, tied=tied)
        counts.append(space.workload(point_of(space, *TRANSFORMER, (6, 6))).parameters)
    assert counts == [44_140_544 + tables * 37_000 * 512 for tables in (1, 3)]


def norm(features: int) -> int:
    return 2 * features


def dense(entering: int, leaving: int) -> int:
    return entering * leaving + leaving


def separable(entering: int, leaving: int, kernel: int) -> int:
    return kernel * entering + dense(entering, leaving)


@pytest.mark.parametrize(("d", "cells"), [(512, (3, 4)), (64, (1, 2))])
def test_the_evolved_transformer_has_the_parameters_of_its_layers(d: int, cells: tuple[int, int]) -> None:
    """Layer by layer as the released model; where two branches share a normalisation there, each has its own here: one
    of an encoder cell, two of a decoder cell."""
    space = EvolvedSpace(features=(d,), vocabulary=0)
    attention = 4 * d * d
    encoder = (
        norm(d) + 2 * dense(d, d)
        + norm(d) + dense(d, 4 * d) + 3 * d * d // 2 + d // 2 + norm(4 * d) + separable(4 * d, d // 2, 9)
        + norm(d) + attention
        + norm(d) + dense(d, 4 * d) + dense(4 * d, d)
    )  # fmt: skip
    decoder = (
        norm(d) + 2 * attention
        + norm(d) + separable(d, 2 * d, 11) + separable(d, d // 2, 7) + norm(2 * d) + separable(2 * d, d, 7)
        + 2 * (norm(d) + attention)
        + norm(d) + dense(d, 4 * d) + norm(4 * d) + dense(4 * d, d)
    )  # fmt: skip
    released = cells[0] * encoder + cells[1] * decoder + 2 * norm(d)
    point = point_of(space, *EVOLVED, cells)
    assert space.workload(point).parameters == released + (cells[0] + 2 * cells[1]) * norm(d)


def test_its_base_model_is_as_much_larger_than_the_transformer_as_published() -> None:
    """61.1 and 64.1 million parameters with the same table of words [So et al. 2019, table 2, as recalled]."""
    evolved = EvolvedSpace(vocabulary=0)
    plain = EvolvedSpace(blocks=(3, 4), vocabulary=0)
    more = (
        evolved.workload(point_of(evolved, *EVOLVED, (3, 4))).parameters
        - plain.workload(point_of(plain, *TRANSFORMER, (6, 6))).parameters
    )
    assert abs(more - 3.0e6) <= 0.1e6


@quiet
def test_the_plain_transformer_gives_the_vectors_of_torch() -> None:
    torch.manual_seed(0)
    d, heads = 16, 8
    twin = nn.Transformer(d, heads, 2, 2, 4 * d, dropout=0.0, norm_first=True, batch_first=True).eval()
    for parameter in twin.parameters():
        nn.init.normal_(parameter, std=0.3)
    space = transformer_space(features=(d,), vocabulary=0, layers=("skip", "conv1", "self8", "cross8"))
    made = to_module(space.workload(point_of(space, *TRANSFORMER, (2, 2)))).eval()

    def attention(layer: nn.MultiheadAttention) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Projections in order; the scale of the scores goes into the queries."""
        scale = torch.tensor([1 / sqrt(d // heads), 1.0, 1.0])
        weights = (part * s for part, s in zip(layer.in_proj_weight.chunk(3), scale, strict=True))
        biases = (part * s for part, s in zip(layer.in_proj_bias.chunk(3), scale, strict=True))
        return [*zip(weights, biases, strict=True), (layer.out_proj.weight, layer.out_proj.bias)]

    def plain(layer: nn.Module) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(layer.weight, layer.bias)]

    given: list[tuple[torch.Tensor, torch.Tensor]] = []
    for layer in twin.encoder.layers:
        given += plain(layer.norm1) + attention(layer.self_attn)
        given += plain(layer.norm2) + plain(layer.linear1) + plain(layer.linear2)
    given += plain(twin.encoder.norm)
    for layer in twin.decoder.layers:
        given += plain(layer.norm1) + attention(layer.self_attn) + plain(layer.norm2) + attention(layer.multihead_attn)
        given += plain(layer.norm3) + plain(layer.linear1) + plain(layer.linear2)
    given += plain(twin.decoder.norm)
    with torch.no_grad():
        for own, (weight, bias) in zip(made.layers.values(), given, strict=True):
            own.weight.copy_(weight)
            own.bias.copy_(bias)
    source, target = torch.randn(3, 32, d), torch.randn(3, 32, d)
    assert torch.allclose(made(source, target), twin(source, target), atol=1e-4)


def test_modules_count_and_shape_what_workloads_do() -> None:
    space = EvolvedSpace(features=(8, 16), **SMALL)
    for point in space.sample(12, np.random.default_rng(5)):
        workload = space.workload(point)
        made = to_module(workload).eval()
        assert sum(parameter.numel() for parameter in made.parameters()) == workload.parameters
        words = [torch.zeros(shape, dtype=torch.long) for shape in workload.input_shapes]
        values = made.run(words)
        assert all(tuple(values[n.name].shape) == n.shape for n in workload if not isinstance(n.operator, Input))


@pytest.mark.parametrize("word", ["conv1", "conv3", "sep5", "dw3", "dil3", "glu"])
def test_layers_give_what_convolutions_of_sequences_do(word: str) -> None:
    space = EvolvedSpace(
        blocks=(1, 1), cells=(1,), features=(6,), layers=("skip", word), width=(1.0,), vocabulary=0, source_tokens=9,
    )  # fmt: skip
    made = to_module(space.workload(point_of(space, f"0 {word} relu", "0 skip", (1, 1)))).eval()
    torch.manual_seed(0)
    x = torch.randn(2, 9, 6)
    relu = [name for name in made.position if name.startswith("activation")][-1]
    found = made.run([x, torch.zeros(2, 32, 6)])[relu]
    kind, size = re.fullmatch(r"([a-z]+)(\d*)", word).groups()  # type: ignore[union-attr]
    layers = [layer for layer in made.layers.values() if not isinstance(layer, nn.LayerNorm)]

    def along(layer: nn.Module, dilation: int = 1) -> torch.Tensor:
        weight = layer.weight[..., 0]
        groups, padding = 6 // weight.shape[1], dilation * (int(size) // 2)
        return F.conv1d(x.mT, weight, layer.bias, 1, padding, dilation, groups).mT

    expected = {
        "conv": lambda: layers[0](x) if size == "1" else along(layers[0]),
        "sep": lambda: layers[1](along(layers[0])),
        "dw": lambda: along(layers[0]),
        "dil": lambda: along(layers[0], 2),
        "glu": lambda: layers[1](x) * torch.sigmoid(layers[0](x)),
    }[kind]()
    assert torch.allclose(found, expected.relu(), atol=1e-6)


@pytest.mark.parametrize(("combiner", "expected"), [("+", [5.0, 7.0, 3.0, 4.0]), ("*", [4.0, 10.0, 3.0, 4.0])])
def test_a_narrower_term_meets_the_first_features(combiner: str, expected: list[float]) -> None:
    """As zeros beside a summand and ones beside a factor: (1, 2, 3, 4) and (4, 5)."""
    space = EvolvedSpace(blocks=(1, 1), cells=(1,), features=(4,), layers=("skip", "conv1"), vocabulary=0)
    text = f"0 skip {combiner} 0 conv1x0.5"
    made = to_module(space.workload(point_of(space, text, "0 skip", (1, 1)))).eval()
    linear = next(layer for layer in made.layers.values() if isinstance(layer, nn.Linear))
    nn.init.zeros_(linear.weight)
    with torch.no_grad():
        linear.bias.copy_(torch.tensor([4.0, 5.0]))
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 32, 4)
    values = made.run([x, x])
    (met,) = [name for name in values if name.startswith("concat")]
    assert torch.equal(values[met][0, 0], torch.tensor(expected))


def test_what_a_layer_does_not_read_and_the_order_of_terms_change_nothing() -> None:
    space = EvolvedSpace(features=(8,), **SMALL)
    decoder = "0 skip; 1 skip; 2 skip; 3 skip"
    for left, right, same in (
        ("0 skip + 0 norm conv3 relu", "0 norm conv3 relu + 0 skip", True),
        ("0 skip * 0 glux2", "0 glux2 * 0 skip", True),
        ("0 skip , 0 glux2", "0 glux2 , 0 skip", False),
        ("0 skipx2 + 0 dw3x0.5", "0 skip + 0 dw3", True),
        ("0 conv3 + 0 glu", "0 conv3x2 + 0 glu", False),
    ):
        points = np.stack([point_of(space, f"{text}; 0 skip; 0 skip", decoder, (1, 1)) for text in (left, right)])
        assert np.array_equal(*space.canonical(points)) == same
    lone = point_of(space, "0 norm conv3 relu; 1 skip; 0 skip", decoder, (1, 1))
    other = lone.copy()
    names = [gene.name for gene in space.genes]
    other[names.index("encoder0.right.norm")] = 1
    other[names.index("encoder0.combiner")] = 2
    assert np.array_equal(*space.canonical(np.stack([lone, other])))
    cell = "0 skip; 0 norm conv3 relu; 2 skip"
    assert space.describe(lone) == f"8: 1x({cell}) -> 1x({decoder})"


def renumbered(space: EvolvedSpace, point: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same cells with their blocks in another order, branches of sums and products at times the other way."""
    chosen = space.decode(point)
    result = dict(chosen)
    for side, count in zip(("encoder", "decoder"), space.blocks, strict=True):
        reads = [{chosen[f"{side}{b}.{branch}.from"] for branch in ("left", "right")} for b in range(count)]
        number, order = {0: 0}, []
        while len(order) < count:
            free = [b for b in range(count) if b not in order and reads[b] <= number.keys()]
            order.append(free[rng.integers(len(free))])
            number[order[-1] + 1] = len(order)
        for new, old in enumerate(order):
            dead = chosen[f"{side}{old}.right.layer"] == "none"
            flip = not dead and chosen[f"{side}{old}.combiner"] != "concat" and rng.random() < 0.5
            result[f"{side}{new}.combiner"] = chosen[f"{side}{old}.combiner"]
            for branch, other in (("left", "right"), ("right", "left")):
                for part in ("from", "norm", "layer", "width", "activation"):
                    value = chosen[f"{side}{old}.{other if flip else branch}.{part}"]
                    result[f"{side}{new}.{branch}.{part}"] = number[value] if part == "from" else value
    return space.encode(result)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), words=st.sampled_from([("skip",), ("skip", "glu"), WORDS]))
def test_renumbered_blocks_are_the_same_network(seed: int, words: tuple[str, ...]) -> None:
    """Few words give many cells with symmetries, which have more than one numbering of the same genes."""
    few = {"width": (1.0,), "activation": ("none",)} if len(words) < 3 else {}
    space = EvolvedSpace(features=(8,), **{**SMALL, "blocks": (4, 5), "layers": words, **few})
    rng = np.random.default_rng(seed)
    points = space.sample(2, rng)
    others = np.stack([renumbered(space, point, rng) for point in points])
    canonical = space.canonical(points)
    assert np.array_equal(space.canonical(others), canonical)
    assert np.array_equal(space.canonical(canonical), canonical)
    for point, other in zip(points, canonical, strict=True):
        one, two = space.workload(point), space.workload(other)
        assert sorted(row for _, row in one.rows()) == sorted(row for _, row in two.rows())


def test_canonical_points_tell_cells_apart() -> None:
    """All encoder cells of two blocks of skips and gates, sums and concatenations: as many as by hand-made text."""
    space = EvolvedSpace(
        blocks=(2, 1), cells=(1,), features=(8,), layers=("skip", "glu"), width=(1.0,), activation=("none",),
        combiner=("add", "concat"), vocabulary=5,
    )  # fmt: skip
    encoder = [i for i, gene in enumerate(space.genes) if gene.name.startswith("encoder0") or "encoder1" in gene.name]
    sizes = space.cardinalities[encoder]
    points = np.zeros((int(np.prod(sizes)), space.n_genes), np.int64)
    points[:, encoder] = np.array(list(np.ndindex(*sizes.tolist())))

    def text(point: np.ndarray) -> str:
        chosen = space.decode(point)
        states, read = ["x"], set()
        for block in range(2):
            terms = []
            for branch in ("left", "right"):
                own = {part: chosen[f"encoder{block}.{branch}.{part}"] for part in ("from", "norm", "layer")}
                if own["layer"] != "none":
                    terms.append(f"{own['layer']}{own['norm']}({states[own['from']]})")
                    read.add(own["from"])
            combiner = chosen[f"encoder{block}.combiner"] if len(terms) == 2 else ""
            states.append(f"{combiner}[{', '.join(sorted(terms) if combiner == 'add' else terms)}]")
        # The first block is one tensor whoever reads it: it has no copy in the text of the second.
        return " & ".join(sorted(state for i, state in enumerate(states) if i and i not in read))

    canonical = [tuple(point) for point in space.canonical(points)]
    texts = [text(point) for point in points]
    assert len(set(zip(canonical, texts, strict=True))) == len(set(canonical)) == len(set(texts))


def test_the_size_is_the_product_of_all_decisions() -> None:
    space = EvolvedSpace(features=(8,), **SMALL)
    branch = {"encoder": (2 * 3 * 4 * 8, 2 * 3 * 4 * 9), "decoder": (2 * 3 * 4 * 9, 2 * 3 * 4 * 10)}
    expected = 2 * 2
    for side, blocks in (("encoder", 3), ("decoder", 4)):
        for block in range(blocks):
            left, right = branch[side]
            expected *= (block + 1) ** 2 * left * right * 3
    assert space.size == expected


def test_settings_reach_the_space_and_mistakes_are_one_line() -> None:
    section = {"space": "evolved", "encoder_blocks": 2, "decoder_blocks": 3, "features": [32], "vocabulary": 20}
    space = SPACES.parse(section, "run").make(load("digits"))
    workload = space.workload(space.sample(1, np.random.default_rng(0))[0])
    assert workload.input_shapes == ((1, 32), (1, 32))
    assert workload[workload.outputs[0]].shape == (1, 32, 20)
    for mistaken, told in (
        ({"layers": ("conv4",)}, "layers: conv4"),
        ({"layers": ("self5", "skip")}, "layers: self5"),
        ({"layers": ("attend8",)}, "layers: attend8"),
        ({"features": (9,)}, "width: 0.5"),
        ({"features": (64, 128), "vocabulary": 0}, "vocabulary: 0"),
        ({"activation": ("reluu",)}, "relu"),
        ({"combiner": ("sum",)}, "combiner"),
        ({"layers": ("cross8",)}, "nothing to cross"),
        ({"layers": ("glu", "glu")}, "without repeats"),
    ):
        with pytest.raises(SpecError, match=told):
            EvolvedSpace(**mistaken)
