"""MobileNetV4, wide ResNets, ResNeXt-29, SRCNN and EDSR: parameters exact, MACs to printed digits, some by hand."""

from __future__ import annotations

import pytest

from hwmodels.workload.ops import Kind, MatMul
from hwmodels.workload.zoo import entry, network

# (name, parameters, input, GMACs that timm prints with two operations a normalised element)
MOBILENETS = (
    ("mobilenetv4_conv_small", 3_774_024, 224, 0.19),
    ("mobilenetv4_conv_medium", 9_715_512, 256, 1.10),
    ("mobilenetv4_conv_large", 32_590_864, 384, 6.43),
    ("mobilenetv4_hybrid_medium", 11_074_648, 256, 1.29),
    ("mobilenetv4_hybrid_large", 37_764_624, 384, 7.77),
    ("mobilenetv4_conv_small_035", 1_905_384, 224, 0.05),
    ("mobilenetv4_conv_small_050", 2_238_952, 224, 0.07),
)  # [timm 1.0: parameters of each model; results/benchmark-infer-*.csv]


@pytest.mark.parametrize(("name", "parameters", "size", "gmacs"), MOBILENETS)
def test_mobilenet_v4(name: str, parameters: int, size: int, gmacs: float) -> None:
    workload = network(name)
    assert entry(name).input_shape == (3, size, size)
    assert workload.parameters == parameters
    norms = sum(row.vector_ops for _, row in workload.rows() if row.kind == Kind.NORM)
    assert round((workload.macs + norms) / 1e9, 2) == gmacs


def test_mobilenet_v4_at_other_inputs() -> None:
    """The same rows of timm's tables at 224 x 224, and at 448 x 448 for the hybrids."""
    for name, size, gmacs in (
        ("mobilenetv4_conv_medium", 224, 0.84),
        ("mobilenetv4_conv_large", 448, 8.75),
        ("mobilenetv4_hybrid_medium", 448, 4.20),
        ("mobilenetv4_hybrid_large", 448, 10.74),
    ):
        workload = network(name, input_shape=(3, size, size))
        norms = sum(row.vector_ops for _, row in workload.rows() if row.kind == Kind.NORM)
        assert round((workload.macs + norms) / 1e9, 2) == gmacs


def test_queries_of_all_heads_share_their_key() -> None:
    """Four heads of 16 x 16 queries against 8 x 8 keys of width 64."""
    workload = network("mobilenet_v4_hybrid_medium")
    first = next(node for node in workload if isinstance(node.operator, MatMul))
    assert [workload[source].shape for source in first.inputs] == [(1, 4 * 256, 64), (1, 64, 64)]


# (name, parameters, millions that the paper prints)
RESIDUALS = (
    ("WRN-28-10", 36_479_194, 36.5),
    ("WRN-16-8", 10_961_370, 11.0),
    ("WRN-22-8", 17_158_106, 17.2),
    ("WRN-40-2", 2_243_546, 2.2),
    ("WRN-40-4", 8_949_210, 8.9),
    ("ResNeXt-29 8x64d", 34_426_698, 34.4),
    ("ResNeXt-29 16x64d", 68_155_210, 68.1),
)  # [Zagoruyko and Komodakis 2016, table 4; Xie et al. 2017, table 7]


@pytest.mark.parametrize(("name", "parameters", "millions"), RESIDUALS)
def test_residual_networks_for_cifar(name: str, parameters: int, millions: float) -> None:
    workload = network(name)
    assert workload.parameters == parameters
    assert abs(parameters / 1e6 - millions) < 0.06  # 68.155 is printed as 68.1
    assert workload[workload.outputs[0]].shape == (1, 10)


def test_wide_resnet_by_hand() -> None:
    """Weights of 3x3 and 1x1, times the positions of their group: 5.24 G MACs of WRN-28-10."""
    first = 27 * 16 * 1024
    groups = 0
    for channels, width, pixels in ((16, 160, 1024), (160, 320, 256), (320, 640, 64)):
        groups += pixels * (9 * channels * width + channels * width + 7 * 9 * width * width)
    assert network("wrn_28_10").macs == first + groups + 640 * 10


def test_srcnn_by_hand() -> None:
    """81 64 + 64 32 + 25 32 weights for every pixel of the enlarged image."""
    for name, weights in (("srcnn", 8_032), ("SRCNN-Ex", 57_184)):  # [Dong et al. 2016, table 1]
        workload = network(name)
        assert (workload.parameters, workload.macs) == (weights, weights * 540 * 960)


# (name, parameters) [Lim et al. 2017, tables 1 and 4: 1.5 M at x4, 43 M at x4; the authors' code]
EDSR = (
    ("edsr_baseline_x2", 1_369_859),
    ("edsr_baseline_x3", 1_554_499),
    ("edsr_baseline_x4", 1_517_571),
    ("edsr_x2", 40_729_603),
    ("edsr_x3", 43_680_003),
    ("edsr_x4", 43_089_923),
)


@pytest.mark.parametrize(("name", "parameters"), EDSR)
def test_edsr(name: str, parameters: int) -> None:
    workload = network(name)
    assert workload.parameters == parameters
    scale = int(name[-1])
    _, height, width = entry(name).input_shape
    assert workload[workload.outputs[0]].shape == (1, 3, scale * height, scale * width)


def test_edsr_makes_a_large_image() -> None:
    """316.3 G multiply-accumulates for 1280 x 720 [Ahn et al., ECCV 2018, table 1]."""
    assert round(network("EDSR-baseline x2").macs / 1e9, 1) == 316.2  # 316.249; the paper has 316.3


# (name, parameters, what Keras counts: running statistics too and no scale where there is none, G operations)
OVERLAY = (
    ("resnet_v2_50", 25_568_360, 25_613_800, 13.1),  # Keras ResNet50V2
    ("resnet_v2_101", 44_577_896, 44_675_560, 26.78),
    ("resnet_v2_152", 60_236_904, 60_380_648, 40.47),
    ("resnet_v1_50", 25_557_032, 0, 6.97),  # the same layers as torchvision's, strides elsewhere
    ("resnet_v1_101", 44_549_160, 0, 14.4),
    ("resnet_v1_152", 60_192_808, 0, 21.83),
    ("resnet50_first", 25_557_032, 0, 7.7),
    ("inception_v2", 11_188_312, 0, 3.88),
    ("bn_inception", 11_194_984, 0, 4.0),
    ("inception_resnet_v2", 55_843_464, 0, 26.35),  # timm
    ("yolov3", 61_949_149, 62_001_757, 65.9),  # darknet through Keras
    ("yolov3_voc", 61_626_049, 0, 65.63),
    ("ssd_mobilenet_v1", 6_819_839, 0, 2.47),
)  # [operations: Vitis AI model zoo 1.3]


@pytest.mark.parametrize(("name", "parameters", "summary", "giga_operations"), OVERLAY)
def test_networks_of_overlays(name: str, parameters: int, summary: int, giga_operations: float) -> None:
    workload = network(name)
    assert workload.parameters == parameters
    norms = sum(row.out_channels for _, row in workload.rows() if row.kind == Kind.NORM)
    assert summary in (0, parameters + 2 * norms)
    assert 2e-9 * workload.macs == pytest.approx(giga_operations, rel=0.011)


def test_inception_resnet_as_keras_counts_it() -> None:
    """55,873,736: three numbers a channel of a norm without scale."""
    workload = network("inception_resnet_v2")
    norms = sum(row.out_channels for _, row in workload.rows() if row.kind == Kind.NORM)
    assert workload.parameters + norms == 55_873_736


@pytest.mark.parametrize(
    ("size", "parameters", "gmacs"), [("s", 5_438_392, 1.81), ("m", 6_899_496, 3.04), ("l", 10_589_712, 8.0)]
)
def test_efficientnets_for_edge_tpus(size: str, parameters: int, gmacs: float) -> None:
    """[timm: parameters of efficientnet_es, _em and _el; results/benchmark-infer-*.csv]"""
    workload = network(f"efficientnet_edgetpu_{size}")
    assert workload.parameters == parameters
    norms = sum(row.vector_ops for _, row in workload.rows() if row.kind == Kind.NORM)
    assert round((workload.macs + norms) / 1e9, 2) == gmacs
