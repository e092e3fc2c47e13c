"""Less common operators through torch: their products to the digit, neighbours of known ones as rows of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import flex_attention

from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.from_torch import from_torch
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import (
    Complex,
    Conv2d,
    EmbeddingBag,
    Kind,
    Linear,
    MatMul,
    Operator,
    Recurrent,
    Resample,
    Scatter,
    Shape,
    Sort,
)


class Calls(nn.Module):
    """A function of what it is given, with the modules or parameters that it uses."""

    def __init__(self, function: Callable[..., Any], *parts: Any) -> None:
        super().__init__()
        self.function = function
        stored = all(isinstance(part, nn.Parameter) for part in parts)
        self.parts = nn.ParameterList(parts) if stored else nn.ModuleList(parts)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(self.parts, *inputs)


def stored(*shape: int, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape, dtype=dtype), requires_grad=False)


def zeros(*shapes: Shape, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    return tuple(torch.zeros(shape, dtype=dtype) for shape in shapes)


def traced(module: nn.Module, inputs: Any) -> Workload:
    workload = from_torch(module, inputs)
    assert unknown_operators(workload) == []
    return workload


BF16 = torch.bfloat16


@pytest.mark.parametrize(
    ("function", "parts", "inputs", "macs", "parameters"),
    [
        # One matrix for all items, and one for each.
        (lambda p, x: torch.vmap(p[0])(x), [nn.Linear(64, 64)], zeros((32, 10, 64)), 1_310_720, 4160),
        (lambda p, x: torch.vmap(p[0], in_dims=1)(x), [nn.Linear(64, 64)], zeros((10, 32, 64)), 1_310_720, 4160),
        (lambda p, x, y: torch.vmap(torch.matmul)(x, y), [], zeros((32, 10, 64), (32, 64, 5)), 102_400, 0),
        (lambda p, x: torch.vmap(p[0])(x), [nn.Conv2d(3, 8, 3)], zeros((4, 2, 3, 8, 8)), 4 * 2 * 36 * 8 * 27, 224),
        (lambda p, x: torch.vmap(lambda w: x @ w)(p[0]), [stored(4, 64, 16)], zeros((10, 64)), 40_960, 4096),
        (lambda p, x: torch.vmap(torch.vmap(p[0]))(x), [nn.Linear(8, 4)], zeros((2, 3, 5, 8)), 960, 36),
        (lambda p, x: torch._higher_order_ops.map(lambda y: p[0](y), x), [nn.Linear(3, 3)], zeros((4, 3)), 36, 12),
        # Contractions.
        (lambda p, x, y: torch.tensordot(x, y, 2), [], zeros((2, 3, 4), (3, 4, 5)), 120, 0),
        (lambda p, x: torch.tensordot(x, p[0], ([1], [0])), [stored(3, 6)], zeros((2, 3, 4)), 2 * 4 * 3 * 6, 18),
        (lambda p, x, y: torch.inner(x, y), [], zeros((4, 8), (3, 8)), 96, 0),
        (lambda p, x, y, z: torch.addbmm(x, y, z), [], zeros((4, 5), (3, 4, 8), (3, 8, 5)), 480, 0),
        (lambda p, x, y: p[0](x, y), [nn.Bilinear(8, 6, 4)], zeros((2, 8), (2, 6)), 2 * 8 * 24 + 2 * 24, 196),
        # (4 x 100)(100 x 2)(2 x 50): 800 + 400 from the left, 10,000 + 20,000 from the right.
        (lambda p, x, y, z: torch.linalg.multi_dot([x, y, z]), [], zeros((4, 100), (100, 2), (2, 50)), 1200, 0),
        (lambda p, x, y, z: torch.linalg.multi_dot([x, y, z]), [], zeros((50, 2), (2, 100), (100, 4)), 1200, 0),
        (lambda p, x: torch.matrix_power(x, 13), [], zeros((4, 4)), 5 * 64, 0),
        (lambda p, x, y: torch.kron(x, y), [], zeros((4, 8), (8, 3)), 0, 0),
        (lambda p, x: torch.conv_tbc(x, p[0], p[1]), [stored(3, 4, 6), stored(6)], zeros((10, 2, 4)), 2 * 8 * 72, 78),
        (lambda p, x, y: F.cosine_similarity(x, y), [], zeros((4, 8), (4, 8)), 0, 0),
        # Narrow products.
        (lambda p, x, y: torch._int_mm(x, y), [], zeros((32, 64), (64, 32), dtype=torch.int8), 65_536, 0),
        # Experts: S k n whatever the routing.
        (lambda p, x, w, o: torch._grouped_mm(x, w, o), [],
         (*zeros((32, 64), (8, 64, 256), dtype=BF16), torch.zeros(8, dtype=torch.int32)), 524_288, 0),
        (lambda p, x, o: torch._grouped_mm(x, p[0], o), [stored(8, 64, 256, dtype=BF16)],
         (*zeros((30, 64), dtype=BF16), torch.zeros(8, dtype=torch.int32)), 30 * 64 * 256, 131_072),
        (lambda p, x: torch._grouped_mm(x, p[0]), [stored(8, 64, 256, dtype=BF16)],
         zeros((8, 4, 64), dtype=BF16), 524_288, 131_072),
        # Attention whose scores a function changes, dense.
        (lambda p, q: flex_attention(q, q, q), [], zeros((1, 2, 128, 16)), 1_048_576, 0),
        (lambda p, q, k: flex_attention(q, k, k, enable_gqa=True), [], zeros((1, 4, 128, 16), (1, 2, 128, 16)),
         2_097_152, 0),
        # Recurrence with a projection: 5 steps of 4 x 16 x (8 + 4) and 16 x 4.
        (lambda p, x: p[0](x)[0], [nn.LSTM(8, 16, proj_size=4)], zeros((5, 1, 8)), 4160, 960),
        (lambda p, x: p[0](x), [nn.LSTM(8, 16, proj_size=4, bias=False)], zeros((5, 1, 8)), 4160, 832),
    ],
)  # fmt: skip
def test_products(
    function: Callable[..., Any], parts: list[Any], inputs: tuple[Tensor, ...], macs: int, parameters: int
) -> None:
    workload = traced(Calls(function, *parts), inputs)
    assert (workload.macs, workload.parameters) == (macs, parameters)
    for _, row in workload.rows():
        assert row.macs == row.groups * row.m * row.n * row.k * row.sequential_steps


def test_a_recurrence_with_projections_in_both_directions_and_two_layers() -> None:
    """Layer one: 4 x 20 x (10 + 7) + 20 x 7 a step and direction; layer two reads 14 features; 3 x 5 steps."""
    module = nn.LSTM(10, 20, 2, bidirectional=True, batch_first=True, proj_size=7)
    workload = traced(module, torch.zeros(3, 5, 10))
    assert workload.macs == 15 * 2 * (80 * 17 + 140 + 80 * 21 + 140)
    assert workload.parameters == sum(p.numel() for p in module.parameters())
    assert [node.shape for node in workload if isinstance(node.operator, Linear)] == [(3, 5, 7)] * 4
    assert {node.operator.fed_back for node in workload if isinstance(node.operator, Recurrent)} == {7}


@pytest.mark.parametrize(("rows", "used"), [(32, 8), (30, 8), (5, 5), (1, 1)])
def test_as_many_experts_move_as_there_are_rows_for(rows: int, used: int) -> None:
    offsets = torch.zeros(8, dtype=torch.int32)
    module = Calls(lambda p, x, o: torch._grouped_mm(x, p[0], o), stored(8, 64, 256, dtype=BF16))
    workload = traced(module, (torch.zeros(rows, 64, dtype=BF16), offsets))
    assert workload.parameters == 8 * 64 * 256
    assert workload.macs == rows * 64 * 256
    grouped = [row for _, row in workload.rows() if row.macs]
    assert sum(row.weight_elements for row in grouped) == used * 64 * 256
    assert sum(row.groups for row in grouped) == used
    assert max(row.m for row in grouped) - min(row.m for row in grouped) <= 1


# Branches and loops.


def branching(dear: nn.Module, cheap: nn.Module, *, dear_first: bool) -> nn.Module:
    first, second = (dear, cheap) if dear_first else (cheap, dear)
    return Calls(lambda p, x: torch.cond(x.sum() > 0, p[0], p[1], (x,)), first, second)


@pytest.mark.parametrize("dear_first", [True, False])
def test_the_dearer_branch_runs_and_both_are_stored(dear_first: bool) -> None:
    module = branching(nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 64)), nn.Linear(64, 64), dear_first=dear_first)
    workload = traced(module, torch.zeros(4, 64))
    assert workload.macs == 2 * 4 * 64 * 64
    assert workload.parameters == 3 * (64 * 64 + 64)


def test_equal_branches_are_one() -> None:
    workload = traced(branching(nn.Linear(64, 64), nn.Linear(64, 64), dear_first=True), torch.zeros(4, 64))
    assert (workload.macs, workload.parameters) == (16_384, 2 * 4160)


def test_a_loop_is_named_and_its_weights_move() -> None:
    def run(parts: nn.ModuleList, x: Tensor) -> Any:
        start = torch.tensor(0)
        return torch._higher_order_ops.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, parts[0](y)), (start, x))

    workload = from_torch(Calls(run, nn.Linear(64, 64)), torch.zeros(4, 64))
    assert [item.operator for item in unknown_operators(workload)] == ["while_loop"]
    assert sum(row.weight_elements for _, row in workload.rows()) == 64 * 64 + 64


# Complex numbers.


def test_a_complex_product_is_four_real_ones() -> None:
    """36 positions x 27 x 8 complex products; 224 complex parameters are 448 numbers."""
    workload = traced(nn.Conv2d(3, 8, 3, dtype=torch.complex64), torch.zeros(1, 3, 8, 8, dtype=torch.complex64))
    ((node, row),) = workload.rows()
    assert isinstance(node.operator, Complex)
    assert (row.macs, row.parameters) == (31_104, 448)
    assert row.macs == row.groups * row.m * row.n * row.k
    assert (row.weight_elements, row.input_elements, row.output_elements) == (2 * 216, 2 * 192, 2 * 288)
    assert row.weight_bits == 8


def test_a_complex_contraction() -> None:
    """16 x 9 x 3 x 4 complex products of 12 complex weights: a Fourier layer of case 29."""
    weights = stored(3, 4, dtype=torch.cfloat)
    module = Calls(lambda p, x: torch.einsum("bixy,io->boxy", x, p[0]), weights)
    workload = traced(module, torch.zeros(1, 3, 16, 9, dtype=torch.cfloat))
    assert (workload.macs, workload.parameters) == (6912, 24)
    assert sum(row.weight_elements for _, row in workload.rows()) == 24


def test_a_complex_parameter_that_is_added_is_two_numbers_each() -> None:
    workload = traced(
        Calls(lambda p, x: x * p[0], stored(5, dtype=torch.cfloat)), torch.zeros(2, 5, dtype=torch.cfloat)
    )
    assert workload.parameters == 10
    (row,) = [row for _, row in workload.rows() if row.kind == Kind.ELEMENTWISE]
    assert row.vector_ops == 6 * 10


# Neighbours of known operators.


@pytest.mark.parametrize(
    ("module", "inputs", "operator", "vector_ops"),
    [
        (nn.EmbeddingBag(100, 8), torch.zeros(4, 5, dtype=torch.long), EmbeddingBag(100, 8, 4), 4 * 5 * 8),
        (nn.Upsample(scale_factor=2, mode="bicubic"), torch.zeros(1, 3, 4, 5),
         Resample("bicubic", (1, 3, 8, 10), 16), 240 * 31),
        (nn.Upsample(scale_factor=2, mode="trilinear"), torch.zeros(1, 3, 4, 5, 6),
         Resample("trilinear", (1, 3, 8, 10, 12), 8), 2880 * 15),
        (nn.Upsample(scale_factor=2), torch.zeros(1, 3, 4, 5, 6), Resample("nearest", (1, 3, 8, 10, 12), 1), 0),
        (Calls(lambda p, x: F.interpolate(x, (6, 9), mode="bilinear", antialias=True)), torch.zeros(1, 3, 18, 9),
         Resample("bilinear", (1, 3, 6, 9), 6 * 2), 162 * 23),
        (Calls(lambda p, x, g: F.grid_sample(x, g)), zeros((1, 3, 4, 5), (1, 6, 7, 2)),
         Resample("grid_sample", (1, 3, 6, 7), 4), 126 * 7),
        (Calls(lambda p, x, g: F.grid_sample(x, g, mode="nearest")), zeros((1, 3, 4, 5, 6), (1, 2, 6, 7, 3)),
         Resample("grid_sample", (1, 3, 2, 6, 7), 1), 0),
        (Calls(lambda p, x: torch.topk(x, 3)), torch.zeros(2, 10), Sort(10, (2, 3)), 20 * 4),
        (Calls(lambda p, x: torch.sort(x, dim=0)), torch.zeros(8, 10), Sort(8, (8, 10)), 80 * 3),
        (Calls(lambda p, x: torch.argsort(x)), torch.zeros(2, 10), Sort(10, (2, 10)), 20 * 4),
        (Calls(lambda p, x: x.median()), torch.zeros(2, 8), Sort(16, ()), 16 * 4),
        (nn.Fold((4, 5), (2, 2)), torch.zeros(1, 12, 12), Scatter("fold", (1, 3, 4, 5)), 144),
        (Calls(lambda p, x, i, y: x.scatter_reduce(0, i, y, reduce="sum")),
         (torch.zeros(5), torch.zeros(10, dtype=torch.long), torch.zeros(10)), Scatter("scatter_reduce", (5,)), 10),
    ],
)  # fmt: skip
def test_neighbours_have_rows_of_their_own(module: nn.Module, inputs: Any, operator: Operator, vector_ops: int) -> None:
    workload = traced(module, inputs)
    (row,) = [row for node, row in workload.rows() if node.operator == operator]
    assert row.vector_ops == vector_ops
    assert row.macs == 0


def test_a_bag_reads_the_rows_that_it_looks_up() -> None:
    workload = traced(nn.EmbeddingBag(100, 8), torch.zeros(4, 5, dtype=torch.long))
    (row,) = [row for _, row in workload.rows() if row.kind == Kind.EMBEDDING]
    assert (row.parameters, row.input_elements, row.output_elements) == (800, 4 * 5 * 8, 4 * 8)


@pytest.mark.parametrize(
    ("module", "inputs", "shape"),
    [
        (Calls(lambda p, x: F.one_hot(x, 10)), torch.zeros(2, 3, dtype=torch.long), (2, 3, 10)),
        (Calls(lambda p, x, y: torch.meshgrid(x, y, indexing="ij")), zeros((3,), (4,)), (3, 4)),
        (Calls(lambda p, x, y: torch.meshgrid(x, y, indexing="xy")), zeros((3,), (4,)), (4, 3)),
        (nn.MaxPool2d(3, 1, dilation=2), torch.zeros(1, 2, 9, 9), (1, 2, 5, 5)),
        (nn.AdaptiveAvgPool2d(7), torch.zeros(1, 3, 4, 5), (1, 3, 7, 7)),
        (nn.AdaptiveMaxPool1d(7), torch.zeros(1, 3, 4), (1, 3, 7)),
        (nn.EmbeddingBag(100, 8, mode="sum"), tuple(torch.zeros(n, dtype=torch.long) for n in (20, 4)), (4, 8)),
        (Calls(lambda p, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)), torch.zeros(1, 3, 4, 4),
         (1, 3, 4, 4)),
        (Calls(lambda p, x: torch.bucketize(x, torch.arange(5.0))), torch.zeros(2, 16), (2, 16)),
        (Calls(lambda p, x, y, z: torch.addr(x, y, z)), zeros((4, 8), (4,), (8,)), (4, 8)),
    ],
)  # fmt: skip
def test_shapes_of_neighbours(module: nn.Module, inputs: Any, shape: Shape) -> None:
    workload = traced(module, inputs)
    assert workload[workload.outputs[0]].shape == shape


def test_pooling_to_a_larger_map_counts_the_windows_that_overlap() -> None:
    """7 windows over 4 lines read 10 of them, over 5 columns 11: floor and ceil of i e / o."""
    workload = traced(nn.AdaptiveAvgPool2d(7), torch.zeros(1, 3, 4, 5))
    (row,) = [row for _, row in workload.rows()]
    assert row.vector_ops == 3 * 10 * 11


def test_an_affine_grid_is_a_product() -> None:
    """42 points of 3 coordinates by a 3 x 2 matrix."""
    module = Calls(lambda p, x, t: F.grid_sample(x, F.affine_grid(t, (1, 3, 6, 7))))
    workload = traced(module, zeros((1, 3, 4, 5), (1, 2, 3)))
    assert workload.macs == 42 * 3 * 2
    assert sum(isinstance(node.operator, MatMul) for node in workload) == 1


def test_a_convolution_under_vmap_keeps_its_windows() -> None:
    workload = traced(Calls(lambda p, x: torch.vmap(p[0])(x), nn.Conv2d(3, 8, 3)), torch.zeros(4, 2, 3, 8, 8))
    assert [node.shape for node in workload if isinstance(node.operator, Conv2d)] == [(8, 8, 6, 6)]
