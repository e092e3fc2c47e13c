"""Volumes in ONNX files, and the operators that resample, order and look up: rows and counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from hwmodels.errors import SpecError
from hwmodels.workload.ops import (
    Conv3d,
    ConvTranspose3d,
    Norm,
    Pool2d,
    Pool3d,
    Rearrange,
    Resample,
    Sort,
    Upsample,
)
from tests.hwmodels.workload.onnx_writer import Writer
from tests.hwmodels.workload.onnx_writer import read_known as read


def test_a_convolution_of_a_volume(tmp_path: Path) -> None:
    """512 x 512 x 27 weights at 2 x 4 x 4 places."""
    w = Writer()
    y = w.add("Conv", "x", w.weight(512, 512, 3, 3, 3), made="y", pads=[1] * 6)
    found = read(w, tmp_path, {"x": (1, 512, 2, 4, 4)}, y)
    (row,) = (row for _, row in found.rows())
    assert (found.parameters, row.weight_elements, found.macs) == (7_077_888, 7_077_888, 32 * 7_077_888)
    assert found["n_y"].operator == Conv3d(512, (3, 3, 3), padding=(1, 1, 1), bias=False)


def test_strides_groups_dilations_and_uneven_padding_of_a_volume(tmp_path: Path) -> None:
    w = Writer()
    y = w.add(
        "Conv", "x", w.weight(8, 2, 1, 3, 2), w.weight(8), made="y", strides=[1, 2, 1], dilations=[1, 1, 2], group=2,
        pads=[0, 1, 0, 0, 1, 1],
    )  # fmt: skip
    found = read(w, tmp_path, {"x": (2, 4, 3, 9, 6)}, y)
    assert [type(node.operator) for node, _ in found.rows()] == [Rearrange, Conv3d]
    assert found[found.outputs[0]].shape == (2, 8, 3, 5, 5)
    assert (found.macs, found.parameters) == (2 * 75 * 8 * 2 * 6, 8 * 2 * 6 + 8)


def test_a_volume_that_grows(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("ConvTranspose", "x", w.weight(4, 3, 2, 2, 2), made="y", strides=[2, 2, 2], output_padding=[1, 0, 0])
    found = read(w, tmp_path, {"x": (1, 4, 2, 3, 5)}, y)
    assert found[found.outputs[0]].shape == (1, 3, 5, 6, 10)
    assert found.macs == 30 * 4 * 24
    assert any(isinstance(node.operator, ConvTranspose3d) for node in found)


def test_pools_of_volumes_and_dilated_ones(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("MaxPool", "x", kernel_shape=[1, 3, 3], strides=[1, 2, 2], pads=[0, 1, 1, 0, 1, 1])
    x = w.add("BatchNormalization", x, *(w.weight(4) for _ in range(4)))
    found = read(w, tmp_path, {"x": (1, 4, 6, 8, 8)}, w.add("GlobalAveragePool", x, made="y"))
    assert [node.operator for node, _ in found.rows()] == [
        Pool3d("max", (1, 3, 3), (1, 2, 2), (0, 1, 1)),
        Norm("batch"),
        Pool3d("avg"),
    ]
    assert found[found.outputs[0]].shape == (1, 4, 1, 1, 1)
    w = Writer()
    y = w.add("MaxPool", "x", made="y", kernel_shape=[3, 3], dilations=[2, 2])
    found = read(w, tmp_path, {"x": (1, 4, 9, 9)}, y)
    assert found["n_y"].operator == Pool2d("max", (3, 3), (1, 1), (0, 0), dilation=(2, 2))
    assert found[found.outputs[0]].shape == (1, 4, 5, 5)


@pytest.mark.parametrize(
    ("mode", "shape", "operator"),
    [
        ("linear", (1, 2, 3, 4, 5), Resample("linear", (1, 2, 6, 8, 10), 8)),
        ("nearest", (1, 2, 3, 4, 5), Resample("nearest", (1, 2, 6, 8, 10), 1)),
        ("cubic", (1, 2, 4, 5), Resample("cubic", (1, 2, 8, 10), 16)),
        ("linear", (1, 2, 4, 5), Upsample(mode="bilinear", size=(8, 10))),
    ],
)
def test_resampling(mode: str, shape: tuple[int, ...], operator: object, tmp_path: Path) -> None:
    w = Writer()
    scales = w.value([1.0, 1.0, *(2.0 for _ in shape[2:])], "float32")
    found = read(w, tmp_path, {"x": shape}, w.add("Resize", "x", "", scales, made="y", mode=mode))
    assert [node.operator for node, _ in found.rows()] == [operator]


def test_looking_up_ordering_and_spreading(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("GridSample", "x", "grid", mode="linear")
    w.add("TopK", x, w.value([3]), made="top", outputs=2, axis=-1)
    found = read(w, tmp_path, {"x": (1, 2, 8, 8), "grid": (1, 4, 5, 2)}, "top")
    assert [node.operator for node, _ in found.rows()] == [
        Resample("grid_sample", (1, 2, 4, 5), 4),
        Sort(5, (1, 2, 4, 3)),
    ]
    w = Writer()
    y = w.add("OneHot", "x", w.value(7), w.value([0.0, 1.0], "float32"), made="y")
    found = read(w, tmp_path, {"x": (2, 3)}, y, x=TensorProto.INT64)
    assert [node.operator for node, _ in found.rows()] == [Rearrange("one_hot", (2, 3, 7))]


def test_a_kernel_that_is_larger_than_its_volume(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("Conv", "x", w.weight(4, 3, 9, 1, 1), made="y")
    with pytest.raises(SpecError, match=r"kernel \(9, 1, 1\) is larger than the padded input"):
        read(w, tmp_path, {"x": (1, 3, 4, 4, 4)}, y)


def test_a_video_network_in_a_file_counts_as_from_torch(tmp_path: Path) -> None:
    """Stem and a block of a 3-D ResNet, by the shapes of its rows: the same as of the torch module."""
    torch = pytest.importorskip("torch")
    from hwmodels.workload.from_torch import from_torch

    module = torch.nn.Sequential(
        torch.nn.Conv3d(3, 8, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False),
        torch.nn.BatchNorm3d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool3d((1, 2, 2)),
        torch.nn.Conv3d(8, 16, 3, padding=1),
    ).eval()
    traced = from_torch(module, (torch.zeros(1, 3, 4, 16, 16),))
    w = Writer()
    x = w.add("Conv", "x", w.weight(8, 3, 3, 7, 7), strides=[1, 2, 2], pads=[1, 3, 3, 1, 3, 3])
    x = w.add("BatchNormalization", x, *(w.weight(8) for _ in range(4)))
    x = w.add("MaxPool", w.add("Relu", x), kernel_shape=[1, 2, 2], strides=[1, 2, 2])
    y = w.add("Conv", x, w.weight(16, 8, 3, 3, 3), w.weight(16), made="y", pads=[1] * 6)
    found = read(w, tmp_path, {"x": (1, 3, 4, 16, 16)}, y)
    assert [row for _, row in found.rows()] == [row for _, row in traced.rows()]
    assert found.macs == 4 * 64 * 8 * 3 * 147 + 4 * 16 * 16 * 8 * 27
    assert np.isclose(found.parameters, 8 * 3 * 147 + 16 + 16 * 8 * 27 + 16)
