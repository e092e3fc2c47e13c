"""The classic vision networks: parameters exact, MACs to the last published digit, and a few derived by hand."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import prod
from pathlib import Path
from types import ModuleType

import pytest

from hwmodels.errors import SpecError
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import Attention, Concat, Constant, Conv2d, MatMul, Norm, Rearrange
from hwmodels.workload.rewrite import COMPILED, rewrite
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import (
    alexnet,
    convmixer,
    convnext,
    densenet,
    entry,
    inception,
    maxvit,
    mlp_mixer,
    network,
    poolformer,
    regnet,
    resnet,
    shufflenet,
    squeezenet,
    swin,
    vgg,
    vit,
)
from hwmodels.workload.zoo.efficientnet import efficientnet

FAMILIES = (
    alexnet, convmixer, convnext, densenet, inception, maxvit, mlp_mixer, poolformer, regnet, resnet, shufflenet,
    squeezenet, swin, vgg, vit,
)  # fmt: skip
KNOWN = {name: known for family in FAMILIES for known in family.ENTRIES for name in (known.name, *known.aliases)}

# (name, parameters, GMACs to three decimals) [torchvision 0.28 weights metadata: num_params, _ops]
TORCHVISION = (
    ("alexnet", 61_100_840, 0.714),
    ("convnext_base", 88_591_464, 15.355),
    ("convnext_large", 197_767_336, 34.361),
    ("convnext_small", 50_223_688, 8.684),
    ("convnext_tiny", 28_589_128, 4.456),
    ("densenet121", 7_978_856, 2.834),
    ("densenet161", 28_681_000, 7.728),
    ("densenet169", 14_149_480, 3.360),
    ("densenet201", 20_013_928, 4.291),
    ("googlenet", 6_624_904, 1.498),
    ("inception_v3", 27_161_264, 5.713),
    ("maxvit_t", 30_919_624, 5.558),
    ("regnet_x_16gf", 54_278_536, 15.941),
    ("regnet_x_1_6gf", 9_190_136, 1.603),
    ("regnet_x_32gf", 107_811_560, 31.736),
    ("regnet_x_3_2gf", 15_296_552, 3.177),
    ("regnet_x_400mf", 5_495_976, 0.414),
    ("regnet_x_800mf", 7_259_656, 0.800),
    ("regnet_x_8gf", 39_572_648, 7.995),
    ("regnet_y_128gf", 644_812_894, 127.518),
    ("regnet_y_16gf", 83_590_140, 15.912),
    ("regnet_y_1_6gf", 11_202_430, 1.612),
    ("regnet_y_32gf", 145_046_770, 32.280),
    ("regnet_y_3_2gf", 19_436_338, 3.176),
    ("regnet_y_400mf", 4_344_144, 0.402),
    ("regnet_y_800mf", 6_432_512, 0.834),
    ("regnet_y_8gf", 39_381_472, 8.473),
    ("resnet101", 44_549_160, 7.801),
    ("resnet152", 60_192_808, 11.514),
    ("resnet18", 11_689_512, 1.814),
    ("resnet34", 21_797_672, 3.664),
    ("resnet50", 25_557_032, 4.089),
    ("resnext101_32x8d", 88_791_336, 16.414),
    ("resnext101_64x4d", 83_455_272, 15.460),
    ("resnext50_32x4d", 25_028_904, 4.230),
    ("shufflenet_v2_x0_5", 1_366_792, 0.040),
    ("shufflenet_v2_x1_0", 2_278_604, 0.145),
    ("shufflenet_v2_x1_5", 3_503_624, 0.296),
    ("shufflenet_v2_x2_0", 7_393_996, 0.583),
    ("squeezenet1_0", 1_248_424, 0.819),
    ("squeezenet1_1", 1_235_496, 0.349),
    ("swin_b", 87_768_224, 15.431),
    ("swin_s", 49_606_258, 8.741),
    ("swin_t", 28_288_354, 4.491),
    ("swin_v2_b", 87_930_848, 20.325),
    ("swin_v2_s", 49_737_442, 11.546),
    ("swin_v2_t", 28_351_570, 5.940),
    ("vgg11", 132_863_336, 7.609),
    ("vgg11_bn", 132_868_840, 7.609),
    ("vgg13", 133_047_848, 11.308),
    ("vgg13_bn", 133_053_736, 11.308),
    ("vgg16", 138_357_544, 15.470),
    ("vgg16_bn", 138_365_992, 15.470),
    ("vgg19", 143_667_240, 19.632),
    ("vgg19_bn", 143_678_248, 19.632),
    ("vit_b_16", 86_567_656, 17.564),
    ("vit_b_32", 88_224_232, 4.409),
    ("vit_h_14", 632_045_800, 167.295),
    ("vit_l_16", 304_326_632, 61.555),
    ("vit_l_32", 306_535_400, 15.378),
    ("wide_resnet101_2", 126_886_696, 22.753),
    ("wide_resnet50_2", 68_883_240, 11.398),
)

# The same weights at another input: (name, pixels, parameters, GMACs) [the same metadata]
TORCHVISION_LARGER = (
    ("regnet_y_16gf", 384, 83_590_140, 46.735),
    ("regnet_y_32gf", 384, 145_046_770, 94.826),
    ("regnet_y_128gf", 384, 644_812_894, 374.570),
    ("vit_b_16", 384, 86_859_496, 55.484),
    ("vit_l_16", 512, 305_174_504, 361.986),
    ("vit_h_14", 518, 633_470_440, 1016.717),
)

# (name, parameters, MACs), exact. LeNet-5 and ResNet-110: published model cards; the other CIFAR networks have
# 0.27 M, 0.46 M, 0.66 M and 0.85 M parameters in table 6 of He et al. 2015.
EXACT = (
    ("LeNet-5 (28x28 padded to 32)", 61_706, 416_520),
    ("ResNet-20 CIFAR (option A)", 269_722, 40_551_040),
    ("ResNet-32 CIFAR (option A)", 464_154, 68_862_592),
    ("ResNet-44 CIFAR (option A)", 658_586, 97_174_144),
    ("ResNet-56 CIFAR (option A)", 853_018, 125_485_696),
    ("ResNet-110 CIFAR (option A)", 1_727_962, 252_887_680),
)

# name, pixels, millions of parameters, GMACs; [timm results tables (Apache-2.0), benchmark-infer]
TIMM = """
    convnext_atto 224 3.7 0.55; convnext_atto_ols 224 3.7 0.58; convnext_base 224 88.59 15.38;
    convnext_femto 224 5.22 0.79; convnext_femto_ols 224 5.23 0.82; convnext_large 224 197.77 34.4;
    convnext_large_mlp 256 200.13 44.94; convnext_nano 224 15.59 2.46; convnext_nano_ols 224 15.65 2.65;
    convnext_pico 224 9.05 1.37; convnext_pico_ols 224 9.06 1.43; convnext_small 224 50.22 8.71;
    convnext_tiny 224 28.59 4.47; convnext_tiny_hnf 224 28.59 4.47; convnext_xlarge 224 350.2 60.98;
    convnext_xxlarge 256 846.47 198.09; densenet121 224 7.98 2.87; densenet161 224 28.68 7.79;
    densenet169 224 14.15 3.4; densenet201 224 20.01 4.34; mixer_b16_224 224 59.88 12.62;
    mixer_b32_224 224 60.29 3.24; mixer_l16_224 224 208.2 44.6; mixer_l32_224 224 206.94 11.27;
    mixer_s16_224 224 18.53 3.79; mixer_s32_224 224 19.1 1.0; poolformer_m36 224 56.17 8.8;
    poolformer_m48 224 73.47 11.59; poolformer_s12 224 11.92 1.82; poolformer_s24 224 21.39 3.41;
    poolformer_s36 224 30.86 5.0; regnetx_002 224 2.68 0.2; regnetx_004 224 5.16 0.4; regnetx_004_tv 224 5.5 0.42;
    regnetx_006 224 6.2 0.61; regnetx_008 224 7.26 0.81; regnetx_016 224 9.19 1.62; regnetx_032 224 15.3 3.2;
    regnetx_040 224 22.12 3.99; regnetx_064 224 26.21 6.49; regnetx_080 224 39.57 8.02; regnetx_120 224 46.11 12.13;
    regnetx_160 224 54.28 15.99; regnetx_320 224 107.81 31.81; resnet101 160 44.55 4.0; resnet101c 224 44.57 8.08;
    resnet101d 224 44.57 8.08; resnet101s 224 44.67 9.19; resnet10t 176 5.44 0.7; resnet14t 176 10.08 1.07;
    resnet152 160 60.19 5.9; resnet152c 224 60.21 11.8; resnet152d 224 60.21 11.8; resnet152s 224 60.32 12.92;
    resnet18 160 11.69 0.93; resnet18d 224 11.71 2.06; resnet200 224 64.67 15.07; resnet200d 256 64.69 20.0;
    resnet26 224 16.0 2.36; resnet26d 224 16.01 2.6; resnet26t 256 16.01 3.35; resnet34 160 21.8 1.87;
    resnet34d 224 21.82 3.91; resnet50 160 25.56 2.1; resnet50c 224 25.58 4.35; resnet50d 160 25.58 2.22;
    resnet50s 224 25.68 5.47; resnet50t 224 25.57 4.32; resnext101_32x16d 224 194.03 36.27;
    resnext101_32x32d 224 468.53 87.29; resnext101_32x4d 224 44.18 8.01; resnext101_32x8d 176 88.79 10.33;
    resnext101_64x4d 224 83.46 15.52; resnext50_32x4d 160 25.03 2.17; resnext50d_32x4d 224 25.05 4.5;
    seresnet101 224 49.33 7.84; seresnet152 224 66.82 11.57; seresnet152d 256 66.84 15.42; seresnet18 224 11.78 1.82;
    seresnet200d 256 71.86 20.01; seresnet269d 256 113.67 26.59; seresnet34 224 21.96 3.67; seresnet50 160 28.09 2.1;
    seresnet50t 224 28.1 4.32; swin_base_patch4_window12_384 384 87.9 47.19;
    swin_base_patch4_window7_224 224 87.77 15.47; swin_large_patch4_window12_384 384 196.74 104.08;
    swin_large_patch4_window7_224 224 196.53 34.53; swin_small_patch4_window7_224 224 49.61 8.77;
    swin_tiny_patch4_window7_224 224 28.29 4.51; vgg11 224 132.86 7.61; vgg11_bn 224 132.87 7.62;
    vgg13 224 133.05 11.31; vgg13_bn 224 133.05 11.33; vgg16 224 138.36 15.47; vgg16_bn 224 138.37 15.5;
    vgg19 224 143.67 19.63; vgg19_bn 224 143.68 19.66; vit_base_patch16_224 224 86.57 17.58;
    vit_base_patch16_384 384 86.86 55.54; vit_base_patch16_clip_224 224 86.57 17.58;
    vit_base_patch16_clip_384 384 86.86 55.54; vit_base_patch16_gap_224 224 86.57 17.49;
    vit_base_patch32_224 224 88.22 4.41; vit_base_patch32_384 384 88.3 13.06;
    vit_base_patch32_clip_224 224 88.22 4.41; vit_base_patch32_clip_384 384 88.3 13.06;
    vit_base_patch32_clip_448 448 88.34 17.93; vit_base_patch8_224 224 86.58 78.22;
    vit_giant_patch14_224 224 1012.61 267.18; vit_gigantic_patch14_224 224 1844.44 483.95;
    vit_huge_patch14_clip_224 224 632.05 167.4; vit_huge_patch14_clip_336 336 632.46 390.97;
    vit_large_patch14_224 224 304.2 81.08; vit_large_patch14_clip_224 224 304.2 81.08;
    vit_large_patch14_clip_336 336 304.53 191.11; vit_large_patch16_224 224 304.33 61.6;
    vit_large_patch16_384 384 304.72 191.21; vit_large_patch32_384 384 306.63 45.31;
    vit_small_patch16_224 224 22.05 4.61; vit_small_patch16_384 384 22.2 15.52; vit_small_patch32_224 224 22.88 1.15;
    vit_small_patch32_384 384 22.92 3.45; vit_tiny_patch16_224 224 5.72 1.26; vit_tiny_patch16_384 384 5.79 4.7
"""


def timm_rows() -> Iterator[tuple[str, int, str, str]]:
    for row in TIMM.replace("\n", " ").split(";"):
        name, pixels, parameters, gmacs = row.split()
        yield name, int(pixels), parameters, gmacs


def timm_gmacs(workload: Workload) -> float:
    """timm's counter adds the elementary operations of normalisations to the products: 2 an element of a batch norm,
    5 of a layer or group norm, just what our rows say."""
    norms = (row.vector_ops for node, row in workload.rows() if isinstance(node.operator, Norm))
    return (workload.macs + sum(norms)) / 1e9


def agrees(value: float, printed: str) -> bool:
    """Whether `printed` is the value rounded to as many digits; a half may go either way."""
    decimals = len(printed.partition(".")[2])
    return abs(value - float(printed)) <= 0.5001 * 10**-decimals


@pytest.mark.parametrize(("name", "parameters", "gmacs"), TORCHVISION)
def test_torchvision_figures(name: str, parameters: int, gmacs: float) -> None:
    workload = network(name)
    assert workload.name == name
    assert workload.parameters == parameters
    assert round(workload.macs / 1e9, 3) == gmacs


@pytest.mark.parametrize(("name", "pixels", "parameters", "gmacs"), TORCHVISION_LARGER)
def test_torchvision_figures_at_larger_inputs(name: str, pixels: int, parameters: int, gmacs: float) -> None:
    workload = network(name, input_shape=(3, pixels, pixels))
    assert workload.parameters == parameters
    assert round(workload.macs / 1e9, 3) == gmacs


@pytest.mark.parametrize(("name", "parameters", "macs"), EXACT)
def test_exact_figures(name: str, parameters: int, macs: int) -> None:
    assert (network(name).parameters, network(name).macs) == (parameters, macs)


def test_timm_figures() -> None:
    """Every name of the table resolves, with timm's parameters and, by timm's counting, its GMACs."""
    names = set()
    for name, pixels, parameters, gmacs in timm_rows():
        workload = network(name, input_shape=(3, pixels, pixels))
        assert agrees(workload.parameters / 1e6, parameters), name
        assert agrees(timm_gmacs(workload), gmacs), name
        names.add(name)
    assert len(names) >= 90


# timm's counter passes over convolutions with padding "same", which are the depthwise ones here
@pytest.mark.parametrize(
    ("name", "parameters", "gmacs"),
    [("convmixer_1536_20", "51.63", "48.68"), ("convmixer_768_32", "21.11", "19.55"),
     ("convmixer_1024_20_ks9_p14", "24.38", "5.55")],
)  # fmt: skip
def test_convmixer_has_depthwise_products_that_timm_does_not_count(name: str, parameters: str, gmacs: str) -> None:
    workload = network(name)
    depthwise = sum(row.macs for _, row in workload.rows() if row.groups > 1)
    assert agrees(workload.parameters / 1e6, parameters)
    assert agrees(timm_gmacs(workload) - depthwise / 1e9, gmacs)


def test_every_row_of_the_published_table(reference: Callable[[str], Path]) -> None:
    with reference("nas/networks.csv").open(newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["name"].lower() in KNOWN or row["name"] in KNOWN]
    assert len(rows) >= 44
    for row in rows:
        workload = network(row["name"])
        assert workload.parameters == int(row["params"]), row["name"]
        digits = 3 if "3 digits" in row["exactness"] else 9
        assert round(workload.macs / 1e9, digits) == int(row["macs"]) / 1e9, row["name"]


def test_every_row_of_the_timm_results_of_a_known_name(reference: Callable[[str], Path]) -> None:
    with gzip.open(reference("nas/timm_infer.csv.gz"), "rt", newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["model"] in KNOWN and row["gmacs"]]
    assert len({row["model"] for row in rows}) >= 120
    for row in rows:
        pixels = int(row["img"])
        workload = KNOWN[row["model"]].build(input_shape=(3, pixels, pixels))
        assert agrees(workload.parameters / 1e6, row["params_m"]), row
        if not row["model"].startswith("convmixer"):
            assert agrees(timm_gmacs(workload), row["gmacs"]), row


def test_names_are_unique_and_own_their_source() -> None:
    entries = [known for family in FAMILIES for known in family.ENTRIES]
    assert len(KNOWN) == sum(1 + len(known.aliases) for known in entries)
    for name, known in KNOWN.items():
        assert entry(name) is known
        assert known.source


def test_vit_macs_by_hand() -> None:
    """Patches n p² 3 d; a layer: 4 projections and 8 of the MLP, 12 t d², attention 2 t² d; classifier 1000 d."""
    patches, depth, d = (224 // 14) ** 2, 32, 1280
    t = patches + 1
    by_hand = patches * 14**2 * 3 * d + depth * (12 * t * d**2 + 2 * t**2 * d) + 1000 * d
    assert network("vit_h_14").macs == by_hand


def test_a_distilled_deit_by_hand() -> None:
    """One more token and its position, one more classifier."""
    d = 384
    assert network("deit_small_distilled_patch16_224").parameters == network("deit_small_patch16_224").parameters + (
        2 * d + 1000 * d + 1000
    )


def test_vgg_parameters_by_hand() -> None:
    """3x3 convolutions with bias, then 7 x 7 x 512 -> 4096 -> 4096 -> 1000."""
    widths = (3, 64, 128, 256, 256, 512, 512, 512, 512)
    convolutions = sum(9 * a * b + b for a, b in pairwise(widths))
    dense = (7 * 7 * 512 + 1) * 4096 + 4097 * 4096 + 4097 * 1000
    assert network("vgg11").parameters == convolutions + dense
    assert network("vgg11_bn").parameters == convolutions + dense + 2 * sum(widths[1:])


def test_a_shortcut_of_option_a_has_no_weights() -> None:
    workload = network("cifar_resnet20")
    convolutions = [node for node in workload if isinstance(node.operator, Conv2d)]
    assert len(convolutions) == 19
    assert sum(isinstance(node.operator, Rearrange) for node in workload) == 2


# blocks, widths, group width of the stages [Radosavovic et al. 2020, figs. 15 and 16]
@pytest.mark.parametrize(
    ("name", "blocks", "widths", "group"),
    [
        ("regnet_x_3_2gf", (2, 6, 15, 2), (96, 192, 432, 1008), 48),
        ("regnet_x_4gf", (2, 5, 14, 2), (80, 240, 560, 1360), 40),
        ("regnetx_004", (1, 2, 7, 12), (32, 64, 160, 384), 16),
        ("regnet_y_1_6gf", (2, 6, 17, 2), (48, 120, 336, 888), 24),
        ("regnet_y_12gf", (2, 5, 11, 1), (224, 448, 896, 2240), 112),
    ],
)
def test_regnet_stages_of_the_paper(name: str, blocks: tuple[int, ...], widths: tuple[int, ...], group: int) -> None:
    grouped = [
        node.operator for node in network(name) if isinstance(node.operator, Conv2d) and node.operator.groups > 1
    ]
    assert [operator.out_channels for operator in grouped] == [
        width for width, count in zip(widths, blocks, strict=True) for _ in range(count)
    ]
    assert {operator.out_channels // operator.groups for operator in grouped} == {group}


@pytest.mark.parametrize(("depth", "channels"), [(121, 1024), (161, 2208), (169, 1664), (201, 1920)])
def test_densenet_ends_in_its_published_channels(depth: int, channels: int) -> None:
    workload = network(f"densenet{depth}")
    assert [node for node in workload if isinstance(node.operator, Norm)][-1].shape == (1, channels, 7, 7)
    assert sum(isinstance(node.operator, Concat) for node in workload) == (depth - 5) // 2


def test_swin_attention_by_hand() -> None:
    """Omega = 4 h w C² + 2 M² h w C a block [Liu et al. 2021, eq. 2]; the products of scores and values alone here."""
    products = sum(row.macs for node, row in network("swin_t").rows() if isinstance(node.operator, MatMul | Attention))
    stages = ((56, 96, 2), (28, 192, 2), (14, 384, 6), (7, 768, 2))
    assert products == sum(depth * 2 * 7**2 * side**2 * features for side, features, depth in stages)


def test_swin_v2_computes_its_position_bias_once_a_pass() -> None:
    """Two layers over 15² offsets, 2 -> 512 -> heads, in each of 12 blocks; the rest is of every item."""
    heads = (3,) * 2 + (6,) * 2 + (12,) * 6 + (24,) * 2
    once = sum(15**2 * (2 * 512 + 512 * number) for number in heads)
    one, three = network("swin_v2_t").macs, network("swin_v2_t", batch=3).macs
    assert three == 3 * one - 2 * once


def test_inception_v3_stores_an_auxiliary_head_that_inference_drops() -> None:
    stored, lean = network("inception_v3"), network("tf_inception_v3")
    heads = [node for node in stored if isinstance(node.operator, Constant)]
    assert [prod(node.shape) for node in heads] == [27_161_264 - 23_834_568]
    assert stored.macs == lean.macs
    assert lean.parameters == 23_834_568
    assert rewrite(stored, COMPILED).parameters == rewrite(lean, COMPILED).parameters


def test_networks_take_other_inputs_or_say_why_not() -> None:
    assert network("convnext_tiny", input_shape=(3, 288, 288)).macs > network("convnext_tiny").macs
    assert network("maxvit_t", input_shape=(3, 256, 256)).parameters > network("maxvit_t").parameters
    with pytest.raises(SpecError, match="swin_t"):
        network("swin_t", input_shape=(3, 200, 200))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.rpartition(".")[2])
def test_rows_of_a_family_lower_in_both_semantics(family: ModuleType) -> None:
    """Eager and compiled graphs of the family's first network become tables with the same MACs."""
    workload = family.ENTRIES[0].build()
    compiled = rewrite(workload, COMPILED)
    tables = layer_table([workload, compiled])
    assert tables.totals("macs").tolist() == [workload.macs] * 2
    assert workload.macs == sum(row.macs for _, row in compiled.rows())


@pytest.mark.parametrize(("fused", "parameters"), [(0, 19.3e6), (5, 43.4e6), (7, 132.0e6)])
def test_fused_stages_of_efficientnet_b4_have_the_published_parameters(fused: int, parameters: float) -> None:
    """Source: EfficientNetV2 [Tan & Le, 2021], table 3, from memory; stages 1-3 are said to have 20.0, here 20.8."""
    net = Builder("b4", (1, 3, 380, 380))
    built = net.finish(efficientnet(net, width=1.4, depth=1.8, fused=fused))
    assert sum(row.weight_elements for _, row in built.rows()) == pytest.approx(parameters, rel=0.01)
