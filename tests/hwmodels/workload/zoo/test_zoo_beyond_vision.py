"""Speech, super-resolution, medical images, molecules and microcontrollers: counts from the papers, by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hwmodels.workload.ops import Kind
from hwmodels.workload.zoo import network

# (name, parameters, MACs or None, where the figure is printed)
PUBLISHED = (
    ("FSRCNN(56,12,4) x3", 12_464, None, "Dong'16: 12,464 weights"),
    ("U-Net 64..1024 (1 in, 2 out)", 31_031_685, None, "totals of the padded variant"),
    ("fc_autoencoder", None, 264_192, "MLPerf Tiny 1.0"),
    ("resnet8", None, 12_501_632, "MLPerf Tiny 1.0"),
)
# Totals that count four numbers a batch-norm channel [MLPerf Tiny 1.0 model summaries], and those channels.
WITH_STATISTICS = (
    ("MLPerf-Tiny ResNet-8", 78_666, 16 + 2 * 16 + 2 * 32 + 2 * 64),
    ("MLPerf-Tiny FC-AE", 269_992, 8 * 128 + 8),
    ("MLPerf-Tiny DS-CNN", 24_908, 9 * 64),
)


@pytest.mark.parametrize(("name", "parameters", "macs", "source"), PUBLISHED)
def test_published_counts(name: str, parameters: int | None, macs: int | None, source: str) -> None:
    workload = network(name)
    assert parameters in (None, workload.parameters), source
    assert macs in (None, workload.macs), source


@pytest.mark.parametrize(("name", "total", "channels"), WITH_STATISTICS)
def test_totals_that_count_running_statistics(name: str, total: int, channels: int) -> None:
    assert network(name).parameters + 2 * channels == total


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_super_resolution_by_hand(scale: int) -> None:
    """FSRCNN: 25 d + 2 d s + 9 m s^2 + 81 d weights; ESPCN: 25 64 + 9 64 32 + 9 32 r^2, and its biases."""
    d, s, m = 56, 12, 4
    assert network(f"fsrcnn_x{scale}").parameters == 25 * d + 2 * d * s + 9 * m * s**2 + 81 * d
    espcn = network(f"espcn_x{scale}")
    assert espcn.parameters == 25 * 64 + 9 * 64 * 32 + 9 * 32 * scale**2 + 64 + 32 + scale**2
    for name in ("fsrcnn", "espcn"):
        workload = network(f"{name}_x{scale}")
        assert workload[workload.outputs[0]].shape == (1, 1, 180 * scale, 320 * scale)


def test_the_papers_unet_crops_to_388_pixels() -> None:
    """30.5 M of double convolutions and up-convolutions, and a last layer of 64 x 2 + 2."""
    workload = network("unet")
    assert workload[workload.outputs[0]].shape == (1, 2, 388, 388)
    widths = (1, 64, 128, 256, 512, 1024)
    down = sum(9 * a * b + b + 9 * b * b + b for a, b in pairwise(widths))
    up = sum(4 * 2 * b * b + b + 9 * 2 * b * b + b + 9 * b * b + b for b in widths[1:-1])
    assert workload.parameters == down + up + 64 * 2 + 2


def test_recurrent_layers_by_hand() -> None:
    h = x = 650
    assert network("LSTM layer formula").parameters == 4 * (h * (x + h) + 2 * h)
    assert network("GRU layer formula").parameters == 3 * (h * (x + h) + 2 * h)
    assert network("gru_layer", input_shape=(10, 32)).parameters == 3 * (h * (32 + h) + 2 * h)


def test_deep_speech_2_by_hand() -> None:
    """Two convolutions, five layers of two directions of GRUs, a norm behind each, 29 characters."""
    convolutions = 32 * 41 * 11 + 32 * 32 * 21 * 11 + 2 * 2 * 32
    inputs = (32 * 41, 800, 800, 800, 800)  # 161 bands become 81 and 41
    layers = sum(2 * 3 * (800 * (x + 800) + 2 * 800) for x in inputs)
    assert network("DeepSpeech2 (5xGRU-800... )").parameters == convolutions + layers + 5 * 2 * 800 + 801 * 29


def test_fingerprints_by_hand() -> None:
    sizes = (2048, 4000, 2000, 1000, 1000, 1)
    weights = sum(a * b for a, b in pairwise(sizes))
    assert network("fingerprint_mlp").macs == weights
    assert network("fingerprint_mlp").parameters == weights + sum(sizes[1:])


def test_ds_cnn_by_hand() -> None:
    """125 positions: one 10x4 convolution, four pairs of depthwise 3x3 and 64 x 64, 12 words."""
    assert network("ds_cnn").macs == 125 * (64 * 40 + 4 * (64 * 9 + 64 * 64)) + 64 * 12


def test_a_detector_counts_its_shared_heads_once() -> None:
    """RetinaNet: 34,014,999 published without the backbone's frozen norms; a driving image is half a photo's work."""
    workload = network("retinanet_resnet50_fpn")
    backbone_norms = sum(row.parameters for _, row in workload.rows() if row.kind == Kind.NORM)
    assert workload.parameters - backbone_norms == 34_014_999
    assert round(workload.macs / 1e9, 2) == 151.54
    ratio = network("retinanet_resnet50_fpn_driving").macs / workload.macs
    assert ratio == pytest.approx(384 * 1280 / 800**2, rel=0.01)


def test_visual_wake_words() -> None:
    """221,794 are printed with a bias and two statistics for each of 2,736 normalised channels; 7.49 M MACs."""
    workload = network("mlperf_tiny_vww")
    assert workload.parameters + 3 * 2736 == 221_794
    assert workload.macs == 7_489_664
