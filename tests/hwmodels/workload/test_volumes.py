"""Operators on volumes against torch, in the rows that cost models see, and through the importers."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.from_torch import from_torch
from hwmodels.workload.ops import Conv2d, Conv3d, ConvTranspose3d, Kind, Pool3d, Row, Shape
from hwmodels.workload.rewrite import COMPILED, rewrite
from tests.hwmodels.workload import volume_models

quick = settings(max_examples=60, deadline=None)
small = st.integers(1, 3)


def triples(low: int, high: int) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(*(st.integers(low, high) for _ in range(3)))


def row_of(operator: Conv3d | ConvTranspose3d | Pool3d, shape: Shape) -> Row:
    row = operator.row((shape,), operator.infer(shape))
    assert row.macs == row.groups * row.m * row.n * row.k
    return row


def torch_macs(call: nn.Module, volume: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        call(volume)
    return counter.get_total_flops() // 2


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv3d, Shape]:
    groups = draw(small)
    operator = Conv3d(
        groups * draw(small), draw(triples(1, 3)), draw(triples(1, 3)), draw(triples(0, 2)), draw(triples(1, 2)),
        groups, draw(st.booleans()),
    )  # fmt: skip
    return operator, (draw(small), groups * draw(small), *draw(triples(1, 8)))


@quick
@given(convolutions())
def test_convolution_is_torchs(case: tuple[Conv3d, Shape]) -> None:
    operator, shape = case
    twin = nn.Conv3d(
        shape[1], operator.out_channels, operator.kernel, operator.stride, operator.padding, operator.dilation,
        operator.groups, operator.bias,
    )  # fmt: skip
    volume = torch.zeros(shape)
    try:
        expected = tuple(twin(volume).shape)
    except RuntimeError:
        with pytest.raises(ValueError, match="larger than the padded input"):
            operator.infer(shape)
        return
    row = row_of(operator, shape)
    assert operator.infer(shape) == expected
    assert row.macs == torch_macs(twin, volume)
    assert row.parameters == sum(p.numel() for p in twin.parameters())
    assert row.weight_elements == twin.weight.numel()
    assert (row.input_elements, row.output_elements) == (prod(shape), prod(expected))
    assert row.input_elements == row.batch * row.in_channels * row.in_h * row.in_w
    assert row.output_elements == row.batch * row.out_channels * row.out_h * row.out_w
    assert row.k == row.in_channels // row.groups * row.kernel_h * row.kernel_w
    assert row.m == row.batch * row.out_h * row.out_w


@quick
@given(convolutions(), triples(0, 0) | triples(0, 1))
def test_transposed_convolution_is_torchs(case: tuple[Conv3d, Shape], extra: tuple[int, int, int]) -> None:
    direct, shape = case
    extra = tuple(min(e, s - 1) for e, s in zip(extra, direct.stride, strict=True))  # type: ignore[assignment]
    operator = ConvTranspose3d(
        direct.out_channels, direct.kernel, direct.stride, direct.padding, extra, direct.dilation, direct.groups,
        direct.bias,
    )  # fmt: skip
    twin = nn.ConvTranspose3d(
        shape[1], operator.out_channels, operator.kernel, operator.stride, operator.padding, extra, operator.groups,
        operator.bias, operator.dilation,
    )  # fmt: skip
    try:
        expected = tuple(twin(torch.zeros(shape)).shape)
    except RuntimeError:
        assert min(operator.infer(shape)[2:]) < 1
        return
    row = row_of(operator, shape)
    assert operator.infer(shape) == expected
    assert row.macs == torch_macs(twin, torch.zeros(shape))
    assert row.parameters == sum(p.numel() for p in twin.parameters())
    assert row.kind == Kind.CONV_TRANSPOSE
    assert row.weight_elements == row.in_channels * row.out_channels // row.groups * row.kernel_h * row.kernel_w


@quick
@given(
    triples(1, 3), triples(1, 3), triples(1, 2), triples(1, 9), st.booleans(), st.sampled_from(["max", "avg"])
)  # fmt: skip
def test_pooling_is_torchs(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], dilation: tuple[int, int, int],
    extents: tuple[int, int, int], ceil_mode: bool, mode: str,
) -> None:  # fmt: skip
    padding = tuple(extent // 2 for extent in kernel)
    volume = torch.zeros(2, 3, *extents)
    if mode == "avg":
        dilation = (1, 1, 1)
        assume(all(extent >= size for extent, size in zip(extents, kernel, strict=True)))  # torch asks for it unpadded
    operator = Pool3d(mode, kernel, stride, padding, dilation, ceil_mode)  # type: ignore[arg-type]
    try:
        if mode == "max":
            expected = F.max_pool3d(volume, kernel, stride, padding, dilation, ceil_mode)
        else:
            expected = F.avg_pool3d(volume, kernel, stride, padding, ceil_mode)
    except RuntimeError:
        with pytest.raises(ValueError, match="larger than the padded input"):
            operator.infer(tuple(volume.shape))
        return
    assert operator.infer(tuple(volume.shape)) == tuple(expected.shape)
    row = row_of(operator, tuple(volume.shape))
    assert row.vector_ops == expected.numel() * prod(kernel)
    assert (row.kernel_h, row.stride_h) == (kernel[0] * kernel[1], stride[0] * stride[1])


def test_a_convolution_by_hand() -> None:
    """8 x 32 x 64 x 64 x 27 products of 216 weights; the depth of 32 stands in 2048 lines, padded to 34 x 66."""
    row = row_of(Conv3d(8, (3, 3, 3), padding=(1, 1, 1), bias=False), (1, 1, 32, 64, 64))
    assert (row.macs, row.parameters) == (28_311_552, 216)
    assert (row.in_h, row.in_w, row.kernel_h, row.kernel_w, row.pad_w) == (32 * 64, 64, 9, 3, 1)
    assert row.in_h + 2 * row.pad_h == 34 * 66


def test_one_image_deep_is_an_image() -> None:
    """A kernel of depth 1 over a volume of depth 1 is the convolution of two axes, field by field."""
    flat = Conv2d(6, (3, 2), (2, 1), (1, 0), (1, 2), 2)
    deep = Conv3d(6, (1, 3, 2), (1, 2, 1), (0, 1, 0), (1, 1, 2), 2)
    shape = (2, 4, 9, 9)
    assert deep.row(((2, 4, 1, 9, 9),), deep.infer((2, 4, 1, 9, 9))) == flat.row((shape,), flat.infer(shape))


@pytest.mark.parametrize("operator", [Conv3d(4, groups=2), ConvTranspose3d(4, groups=2)])
def test_groups_must_divide_the_channels(operator: Conv3d | ConvTranspose3d) -> None:
    with pytest.raises(ValueError, match="3d: 2 groups do not divide 3 inputs and 4 outputs"):
        operator.infer((1, 3, 2, 2, 2))


# Through torch.


@pytest.mark.parametrize(
    ("module", "shape", "macs", "parameters"),
    [
        (nn.Conv3d(512, 512, 3, padding=1, bias=False), (1, 512, 2, 4, 4), 226_492_416, 7_077_888),
        (nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 4, 5), 60 * 2 * 3 * 8, 51),
        (nn.Conv3d(2, 4, (2, 3, 3), padding="same"), (1, 2, 4, 5, 6), 2 * 4 * 18 * 120, 148),
        (nn.Conv3d(2, 4, 1, bias=False), (2, 4, 5, 6), 2 * 4 * 120, 8),  # without a batch
        (nn.MaxPool3d(2), (1, 2, 4, 4, 4), 0, 0),
        (nn.AvgPool3d((1, 2, 2)), (1, 2, 4, 4, 4), 0, 0),
        (nn.AdaptiveAvgPool3d((1, 2, 2)), (1, 2, 4, 5, 4), 0, 0),
        (nn.AdaptiveMaxPool3d((8, 1, 5)), (1, 2, 4, 5, 4), 0, 0),
        (nn.InstanceNorm3d(2, affine=True), (1, 2, 4, 4, 4), 0, 4),
        (nn.GroupNorm(1, 2), (1, 2, 4, 4, 4), 0, 4),
        (nn.PReLU(2), (1, 2, 4, 4, 4), 0, 2),
    ],
)
def test_modules_of_volumes(module: nn.Module, shape: Shape, macs: int, parameters: int) -> None:
    workload = from_torch(module, torch.zeros(shape))
    assert unknown_operators(workload) == []
    assert (workload.macs, workload.parameters) == (macs, parameters)


def test_a_compiled_network_of_volumes_is_its_convolutions() -> None:
    layers = nn.Sequential(nn.Conv3d(1, 4, 3, bias=False), nn.BatchNorm3d(4), nn.ReLU(), nn.ConvTranspose3d(4, 1, 2))
    compiled = rewrite(from_torch(layers, torch.zeros(1, 1, 5, 5, 5)), COMPILED)
    assert [Kind(row.kind) for _, row in compiled.rows()] == [Kind.CONV, Kind.CONV_TRANSPOSE]
    assert compiled.parameters == 4 * 27 + 4 + 4 * 8 + 1


@pytest.mark.parametrize(
    ("made", "size", "macs", "parameters"),
    [
        (volume_models.r3d_18, 112, 40_696_553_472, 33_371_472),
        (volume_models.S3D, 224, 17_978_771_456, 8_320_048),
    ],
)
def test_published_video_networks(made: type[nn.Module], size: int, macs: int, parameters: int) -> None:
    """Parameters and MACs of torchvision's weights pages, 16 images each."""
    with torch.device("meta"):
        workload = from_torch(made(), torch.zeros(1, 3, 16, size, size))
    assert unknown_operators(workload) == []
    assert (workload.macs, workload.parameters) == (macs, parameters)
