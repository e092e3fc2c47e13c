"""MBConv chains: the conformance suite on three skeletons, published networks exactly, words and refusals."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from codesign.registry import SPACES
from codesign.space.mobile import MobileSpace
from codesign.space.skeleton import SKELETONS, Block, Stage, block_of
from codesign.testing.space import SpaceSuite
from hwmodels.errors import SpecError
from hwmodels.workload.ops import Precision
from hwmodels.workload.rewrite import Semantics
from hwmodels.workload.zoo import network
from hwmodels.workload.zoo.ofa import ENTRIES as OFA


class Small:
    """Of the shape of data."""

    shape, classes = (3, 32, 32), 10


def small(**settings: object) -> MobileSpace:
    return SPACES.parse({"space": "mobile", **settings}, "run").make(Small)


class TestSmall(SpaceSuite):
    def make(self) -> MobileSpace:
        return small(width=[0.5, 1.0, 1.5], resolution=[24, 32])


class TestFbnet(SpaceSuite):
    points = 4

    def make(self) -> MobileSpace:
        return MobileSpace(SKELETONS["fbnet"], input_shape=(3, 64, 64), classes=10)


class TestMnasnet(SpaceSuite):
    points = 4

    def make(self) -> MobileSpace:
        return MobileSpace(SKELETONS["mnasnet"], input_shape=(3, 64, 64), classes=10)


class TestOnceForAll(SpaceSuite):
    points = 4

    def make(self) -> MobileSpace:
        return MobileSpace(SKELETONS["ofa"], input_shape=(3, 64, 64), width=[1.0, 1.2], resolution=[48, 64], classes=10)


def point_of(space: MobileSpace, stages: list[list[str]], **whole: object) -> np.ndarray:
    """The genotype of these words, stage by stage."""
    chosen = {gene.name: gene.choices[0] for gene in space.genes} | whole
    for i, (stage, used) in enumerate(zip(space.skeleton.stages, stages, strict=True)):
        if stage.least < stage.slots:
            chosen[f"depth{i}"] = len(used)
        if stage.shared:
            chosen[f"block{i}"] = used[0]
        else:
            chosen |= {f"block{i}.{slot}": word for slot, word in enumerate(used)}
    return space.encode(chosen)


def compact(text: str, *, gated: set[int] = frozenset()) -> list[list[str]]:
    """Two digits a block, kernel and expansion, as the zoo writes them."""
    return [
        [f"k{word[j]}e{word[j + 1]}{'se' if i in gated else ''}" for j in range(0, len(word), 2)]
        for i, word in enumerate(text.split())
    ]


_FBNET = {
    "fbnet_b": "31 36 51 31 31 56 53 36 56 56 56 - 53 56 31 51 53 56 51 56 56 36",
    "fbnet_c": "31 36 - 31 31 56 53 56 36 56 53 56 56 56 56 56 53 56 56 56 56 36",
}


def _fbnet(text: str) -> list[list[str]]:
    codes = iter("skip" if code == "-" else f"k{code[0]}e{code[1]}{'g2' if code[2:] else ''}" for code in text.split())
    return [[next(codes) for _ in range(stage.slots)] for stage in SKELETONS["fbnet"].stages]


_V2 = [["k3e6"] * repeats for repeats in (2, 3, 4, 3, 3, 1)]
_V3_LARGE = [
    ["k3e1"], ["k3e4", "k3e3"], ["k5e3se"] * 3, ["k3e6", "k3e2.5", "k3e2.3", "k3e2.3"], ["k3e6se"] * 2, ["k5e6se"] * 3,
]  # fmt: skip
_V3_SMALL = [
    ["k3e1se"], ["k3e4.5", "k3e3.6667"], ["k5e4se", "k5e6se", "k5e6se"], ["k5e3se"] * 2, ["k5e6se"] * 3,
]  # fmt: skip
_B1 = [["k3e3"] * 3, ["k5e3"] * 3, ["k5e6"] * 3, ["k3e6"] * 2, ["k5e6"] * 4, ["k3e6"]]
_A1 = [["k3e6"] * 2, ["k5e3se"] * 3, ["k3e6"] * 4, ["k3e6se"] * 2, ["k5e6se"] * 3, ["k3e6"]]
PUBLISHED = [
    ("proxyless_mobile", "proxyless", compact("5333 73335353 76535353 56535353 76767373 76"), {}),
    *((name, "fbnet", _fbnet(text), {}) for name, text in _FBNET.items()),
    ("mobilenet_v2", "mobilenet_v2", _V2, {}),
    ("mobilenet_v3_large", "mobilenet_v3_large", _V3_LARGE, {}),
    ("mobilenet_v3_small", "mobilenet_v3_small", _V3_SMALL, {}),
    (
        "mnasnet1_0",
        "mnasnet",
        _B1,
        dict(zip([f"channels{i}" for i in range(6)], (24, 40, 80, 96, 192, 320), strict=True)),
    ),
    (
        "mnasnet_a1",
        "mnasnet",
        _A1,
        dict(zip([f"channels{i}" for i in range(6)], (24, 40, 80, 112, 160, 320), strict=True)),
    ),
]


@pytest.mark.parametrize(("name", "skeleton", "stages", "whole"), PUBLISHED, ids=[line[0] for line in PUBLISHED])
def test_published_networks_are_points_of_their_spaces(name, skeleton, stages, whole) -> None:
    published = network(name)
    classes = published[published.outputs[0]].shape[1]
    space = MobileSpace(SKELETONS[skeleton], classes=classes)
    if name.startswith("proxyless"):  # the published stages hold fewer blocks than the searched ones had slots
        stages = [
            [*words, *["skip"] * (s.slots - len(words))] for words, s in zip(stages, space.skeleton.stages, strict=True)
        ]
    point = point_of(space, stages, **whole)
    assert space.valid(point[None]).all()
    found = space.workload(point)
    assert (found.parameters, found.macs) == (published.parameters, published.macs)
    assert sorted(row for _, row in found.rows()) == sorted(row for _, row in published.rows())


@pytest.mark.parametrize("entry", [entry for entry in OFA if "gpu" not in entry.name and "cpu" not in entry.name],
                         ids=lambda entry: entry.name)  # fmt: skip
def test_published_subnets_of_once_for_all_are_points_of_the_space(entry) -> None:
    stages, width = entry.write.keywords["stages"], entry.write.keywords["width"]
    space = MobileSpace(SKELETONS["ofa" if width == 1 else "ofa_12"], input_shape=entry.input_shape)
    gated = {1, 3, 4}
    words = [
        [f"k{block.kernel}e{block.expansion}{'se' if i in gated else ''}" for block in stage]
        for i, stage in enumerate(stages)
    ]
    found, published = space.workload(point_of(space, words)), network(entry.name)
    assert (found.parameters, found.macs) == (published.parameters, published.macs)


def test_sizes_are_those_of_the_publications() -> None:
    ofa = MobileSpace(SKELETONS["ofa"])
    networks = prod(sum(len(stage.blocks) ** depth for depth in (2, 3, 4)) for stage in ofa.skeleton.stages)
    assert networks == 7371**5  # 2e19 [Cai et al. 2020]
    fbnet = MobileSpace(SKELETONS["fbnet"])
    assert fbnet.size == 9**22  # 1e21 [Wu et al. 2018]


def test_slots_that_are_not_used_and_places_of_skips_change_nothing() -> None:
    space = MobileSpace(SKELETONS["ofa"], input_shape=(3, 32, 32), classes=10)
    one, other = (point_of(space, [["k3e3" + s] * 2 for s in ("", "se", "", "se", "se")]) for _ in range(2))
    other[space.genes.index(next(gene for gene in space.genes if gene.name == "block0.3"))] = 5
    assert not np.array_equal(one, other)
    assert np.array_equal(*space.canonical(np.stack([one, other])))
    chain = small()
    first, second = (
        point_of(chain, [["k3e2", "k3e2"], words, ["k3e2", "k3e2"]])
        for words in (["k3e4", "skip", "k5e2"], ["k3e4", "k5e2", "skip"])
    )
    assert np.array_equal(*chain.canonical(np.stack([first, second])))
    fused = Semantics(True, True)
    tables = [chain.lower(point[None], fused).table for point in (first, second)]
    assert np.array_equal(tables[0].layers.macs, tables[1].layers.macs)


def test_the_block_that_changes_the_shape_is_not_left_out() -> None:
    chain = small()
    words = [["k3e2", "k3e2"], ["skip", "k3e2", "k3e2"], ["k3e2", "k3e2"]]
    assert not chain.valid(point_of(chain, words)[None]).any()
    fbnet = MobileSpace(SKELETONS["fbnet"])  # its first stage keeps the shape
    point = point_of(fbnet, _fbnet(_FBNET["fbnet_c"]))
    point[0] = fbnet.genes[0].choices.index("skip")
    assert fbnet.valid(point[None]).all()


def test_stages_of_ones_own() -> None:
    stages = [
        {"channels": [16, 24], "stride": 2, "slots": 3, "least": 1, "blocks": ["k3e2", "k5e2se"], "activation": "silu"},
        {"channels": 32, "stride": 2, "blocks": ["k3e1g2"]},
    ]
    space = small(stages=stages)
    assert space.size == 2 * 3 * 2**3
    point = point_of(space, [["k5e2se", "k3e2"], ["k3e1g2"]], channels0=24)
    assert space.describe(point) == "24:k5e2se k3e2 | k3e1g2"
    assert space.workload(point).macs > 0


def test_words_are_read_or_refused() -> None:
    assert block_of("k5e2.5g2se") == Block(5, 2.5, 2, True)
    assert block_of("skip") is None
    for word in ("k4e3", "k3", "e3k3", "k3e0", "k3e65", "k33e2", "k3e3x", ""):
        with pytest.raises(SpecError, match="odd kernel"):
            block_of(word)
    for stage in (Stage((8,), 1, 1, 1, ("skip",)), Stage((8,), 1, 2, 3, ("k3e1",)), Stage((8,), 1, 2, 0, ("k3e1",))):
        with pytest.raises(SpecError, match="stage 0"):
            MobileSpace(SKELETONS["small"].__class__((stage,), 8, "here"))
    with pytest.raises(SpecError, match="multiplier"):
        MobileSpace(SKELETONS["small"], width=[0.0])


def test_bits_that_nothing_states_are_the_precision_of_the_space() -> None:
    space = MobileSpace(SKELETONS["small"], input_shape=(1, 28, 28), classes=10, precision=Precision(4, 4))
    rows = space.lower(space.sample(3, np.random.default_rng(0)), Semantics(True, True)).table.layers
    assert set(rows.weight_bits.tolist()) == {4}
