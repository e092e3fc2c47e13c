"""Transformers: the conformance suite of each kind, published models exactly, and what does not fit refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.data import load
from codesign.estimate.base import MemoryWeights
from codesign.estimate.estimator import TrainingEstimator
from codesign.estimate.recipe import Recipe
from codesign.registry import SPACES
from codesign.space.transformer import Choices, TransformerSpace
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.numerics import FLOAT
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import Semantics, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network

SMALL = Choices(features=(24, 48), depth=(1, 3), heads=(2, 4), ratio=(1.5, 4.0), patch=(4, 8))


class TestVision(SpaceSuite):
    def make(self) -> TransformerSpace:
        return TransformerSpace("vision", SMALL, input_shape=(3, 16, 16), class_token=True)


class TestBert(SpaceSuite):
    def make(self) -> TransformerSpace:
        return TransformerSpace("bert", SMALL, tokens=12, vocabulary=50)


class TestGpt(SpaceSuite):
    def make(self) -> TransformerSpace:
        return TransformerSpace("gpt", replace(SMALL, shared=True), tokens=4, past=9, vocabulary=50)


class TestLlama(SpaceSuite):
    def make(self) -> TransformerSpace:
        return TransformerSpace("llama", replace(SMALL, kv_heads=(0, 2), heads=(2, 4, 6)), tokens=5, vocabulary=50)


class TestExperts(SpaceSuite):
    def make(self) -> TransformerSpace:
        mixed = replace(SMALL, experts=(0, 2, 4))
        return TransformerSpace("decoder", mixed, input_shape=(8,), tokens=8, vocabulary=50)


class TestSharedExperts(SpaceSuite):
    def make(self) -> TransformerSpace:
        return TransformerSpace("llama", replace(SMALL, shared=True, experts=(4, 8), chosen=1), tokens=8, vocabulary=50)


def one(features: int, depth: int, heads: int, ratio: float, **more: object) -> Choices:
    return Choices((features,), (depth,), (heads,), (ratio,), shared=True, **more)


LLAMA = {"vocabulary": 32000, "tokens": 2048}
PUBLISHED = [
    ("gpt2", "gpt", one(768, 12, 12, 4.0), {"vocabulary": 50257, "tokens": 1024}),
    ("gpt2_xl_decode", "gpt", one(1600, 48, 25, 4.0), {"vocabulary": 50257, "tokens": 1, "past": 1023}),
    ("llama_2_7b", "llama", one(4096, 32, 32, 11008 / 4096), LLAMA),
    ("llama_3_8b", "llama", one(4096, 32, 32, 3.5, kv_heads=(8,)), {**LLAMA, "vocabulary": 128256}),
    ("llama_2_70b_decode", "llama", one(8192, 80, 64, 3.5, kv_heads=(8,)), {**LLAMA, "tokens": 1, "past": 2048}),
    ("mixtral_8x7b", "llama", one(4096, 32, 32, 3.5, kv_heads=(8,), experts=(8,)), LLAMA),
    ("deit_tiny_patch16_224", "vision", one(192, 12, 3, 4.0, patch=(16,)), {"class_token": True}),
    ("vit_b_16", "vision", one(768, 12, 12, 4.0, patch=(16,)), {"class_token": True}),
]


@pytest.mark.parametrize(("name", "kind", "choices", "settings"), PUBLISHED, ids=[line[0] for line in PUBLISHED])
def test_published_models_are_points_of_their_spaces(name, kind, choices, settings) -> None:
    space = TransformerSpace(kind, choices, input_shape=(3, 224, 224), classes=1000, **settings)
    found, published = space.workload(np.zeros(space.n_genes, np.int64)), network(name)
    assert (found.parameters, found.macs) == (published.parameters, published.macs)


def test_bert_is_the_published_encoder_and_a_classifier() -> None:
    space = TransformerSpace("bert", one(768, 12, 12, 4.0), vocabulary=30522, positions=512, classes=3)
    found, published = space.workload(np.zeros(space.n_genes, np.int64)), network("bert_base")
    assert found.parameters == published.parameters + 3 * 769
    assert found.macs == published.macs + 3 * 768


def test_attention_in_one_kernel_is_lowered_by_fragments_too() -> None:
    space = TransformerSpace("gpt", SMALL, tokens=6, vocabulary=50)
    points, fused = space.sample(4, np.random.default_rng(2)), Semantics(True, True, fuse_attention=True)
    table = space.lower_distinct(points, fused)
    for i, point in enumerate(points):
        alone = layer_table([rewrite(space.workload(point), fused)])
        assert [table.layers.row(int(r)) for r in table.rows_of(i)] == [
            alone.layers.row(int(r)) for r in alone.rows_of(0)
        ]
        assert np.array_equal(table.edges(i), alone.edges(0))


def test_heads_divide_the_features_and_groups_the_heads() -> None:
    space = TransformerSpace("llama", Choices((24,), (1,), (2, 4, 6, 5), (1.0,), kv_heads=(0, 4)), tokens=3)
    fits = {
        (space.decode(point)["heads0"], space.decode(point)["kv_heads"]): bool(space.valid(point[None])[0])
        for point in space.enumerate()
    }
    assert fits == {(2, 0): True, (4, 0): True, (6, 0): True, (5, 0): False, (2, 4): False, (4, 4): True, (6, 4): False,
                    (5, 4): False}  # fmt: skip


def test_layers_behind_the_depth_are_no_part_of_the_network() -> None:
    space = TransformerSpace("gpt", SMALL, tokens=3)
    point = space.encode({gene.name: gene.choices[0] for gene in space.genes})
    other = point.copy()
    other[-1] = 1
    assert np.array_equal(*space.canonical(np.stack([point, other])))
    assert space.describe(point) == "1x24 2h36"


def test_experts_stand_in_the_description_and_none_leave_a_space_as_it_was() -> None:
    plain, mixed = (TransformerSpace("gpt", replace(SMALL, experts=experts), tokens=3) for experts in ((0,), (0, 2)))
    assert mixed.describe(mixed.encode({gene.name: gene.choices[-1] for gene in mixed.genes})) == (
        "3x48 4h192e2 4h192e2 4h192e2"
    )
    assert plain.fingerprint == TransformerSpace("gpt", SMALL, tokens=3).fingerprint != mixed.fingerprint


@pytest.mark.parametrize(
    ("kind", "choices", "settings", "told"),
    [
        ("vision", Choices(patch=(5,)), {}, "patch: 5 is not a divisor"),
        ("bert", SMALL, {"past": 3}, "past: 3"),
        ("gpt", SMALL, {"tokens": 20, "positions": 8}, "tokens: 20"),
        ("gpt", replace(SMALL, experts=(0, 4, 2), chosen=3), {}, "chosen: 3 is not <= 2"),
        ("gpt", Choices(features=(7,), heads=(2,)), {}, "searchable"),
    ],
)
def test_what_does_not_fit_is_one_line(kind, choices, settings, told) -> None:
    with pytest.raises(SpecError, match=told):
        TransformerSpace(kind, choices, **settings)


@pytest.mark.parametrize("mixed", [{}, {"experts": [4]}], ids=["dense", "experts"])
def test_a_vision_transformer_learns_the_digits(mixed) -> None:
    digits = load("digits")
    settings = {"space": "transformer", "features": [32], "depth": [2], "heads": [2], "ratio": [2.0], "patch": [2]}
    settings |= mixed
    space = SPACES.parse(settings, "run").make(digits)
    space.precision = Precision(32, 32)
    workload = space.workload(np.zeros(space.n_genes, np.int64))
    found = TrainingEstimator(digits, Recipe(epochs=6), MemoryWeights(), draws=1)(workload, FLOAT)
    assert found.accuracy > 0.6
