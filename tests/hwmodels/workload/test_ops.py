"""Operators against torch and against hand computation: shapes, parameters, MACs, the GEMM view."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hwmodels.errors import SpecError
from hwmodels.workload import ops
from hwmodels.workload.graph import Builder
from hwmodels.workload.ops import Kind, Operator, Row, Shape

quick = settings(max_examples=60, deadline=None)
small = st.integers(1, 5)


def row_of(operator: Operator, *shapes: Shape) -> Row:
    row = operator.row(shapes, operator.infer(*shapes))
    assert row.macs == row.groups * row.m * row.n * row.k * row.sequential_steps
    return row


def torch_macs(call: nn.Module, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        call(*inputs)
    assert counter.get_total_flops() % 2 == 0
    return counter.get_total_flops() // 2


def numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[ops.Conv2d, Shape]:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups = draw(st.integers(1, 4))
    operator = ops.Conv2d(
        groups * draw(small), pair(1, 4), pair(1, 3), pair(0, 3), pair(1, 3), groups, draw(st.booleans())
    )
    return operator, (draw(st.integers(1, 3)), groups * draw(small), *pair(1, 14))


def torch_conv(operator: ops.Conv2d, channels: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels,
        operator.out_channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.dilation,
        operator.groups,
        operator.bias,
    )


@quick
@given(convolutions())
def test_convolution_is_torchs(case: tuple[ops.Conv2d, Shape]) -> None:
    operator, shape = case
    twin, image = torch_conv(operator, shape[1]), torch.zeros(shape)
    try:
        expected = tuple(twin(image).shape)
    except RuntimeError:
        with pytest.raises(ValueError, match="larger than the padded input"):
            operator.infer(shape)
        return
    row = row_of(operator, shape)
    assert operator.infer(shape) == expected
    assert row.macs == torch_macs(twin, image)
    assert row.parameters == numel(twin)
    assert row.weight_elements == twin.weight.numel()
    assert (row.input_elements, row.output_elements) == (prod(shape), prod(expected))
    assert (row.m, row.n, row.k) == (
        expected[0] * expected[2] * expected[3],
        operator.out_channels // operator.groups,
        shape[1] // operator.groups * prod(operator.kernel),
    )
    assert (row.in_h, row.in_w, row.out_h, row.out_w) == (*shape[2:], *expected[2:])
    assert (row.kernel_h, row.stride_w, row.pad_h, row.dilation_w) == (
        operator.kernel[0],
        operator.stride[1],
        operator.padding[0],
        operator.dilation[1],
    )


def test_convolution_by_hand() -> None:
    """The stem of ResNet: 7x7, stride 2, 3 to 64 channels, 224 to 112 pixels."""
    row = row_of(ops.Conv2d.square(64, 7, stride=2), (1, 3, 224, 224))
    assert (row.out_h, row.m, row.n, row.k) == (112, 112 * 112, 64, 147)
    assert row.macs == 118_013_952
    assert row.parameters == row.weight_elements == 9408


@pytest.mark.parametrize(("groups", "channels", "out_channels"), [(2, 3, 4), (2, 4, 3)])
def test_groups_must_divide_the_channels(groups: int, channels: int, out_channels: int) -> None:
    with pytest.raises(ValueError, match="2 groups do not divide"):
        ops.Conv2d.square(out_channels, 3, groups=groups).infer((1, channels, 8, 8))


@given(kernel=st.sampled_from([1, 3, 5, 7]), dilation=st.integers(1, 3), size=st.integers(1, 20))
def test_odd_square_kernels_keep_the_size(kernel: int, dilation: int, size: int) -> None:
    operator = ops.Conv2d.square(4, kernel, dilation=dilation)
    assert operator.infer((1, 4, size, size)) == (1, 4, size, size)


@st.composite
def pools(draw: st.DrawFn) -> tuple[ops.Pool2d, Shape]:
    kernel = draw(st.integers(1, 5))
    operator = ops.Pool2d(
        draw(st.sampled_from(["max", "avg"])),
        kernel,
        draw(st.one_of(st.none(), st.integers(1, 4))),
        draw(st.integers(0, kernel // 2)),
        draw(st.booleans()),
    )
    return operator, (draw(small), draw(small), draw(st.integers(1, 17)), draw(st.integers(1, 17)))


@settings(max_examples=300, deadline=None)
@given(pools())
def test_pooling_is_torchs(case: tuple[ops.Pool2d, Shape]) -> None:
    operator, shape = case
    call = F.max_pool2d if operator.mode == "max" else F.avg_pool2d
    try:
        expected = call(
            torch.zeros(shape), operator.kernel, operator.stride, operator.padding, ceil_mode=operator.ceil_mode
        )
    except RuntimeError:
        with pytest.raises(ValueError, match="larger than the padded input"):
            operator.infer(shape)
        return
    assert operator.infer(shape) == tuple(expected.shape)
    row = row_of(operator, shape)
    assert row.kind == Kind.POOL
    assert (row.macs, row.parameters) == (0, 0)
    assert row.vector_ops == expected.numel() * operator.kernel**2


def test_global_pooling_reads_everything_once() -> None:
    row = row_of(ops.Pool2d("avg"), (2, 8, 7, 5))
    assert (row.out_h, row.out_w, row.output_elements) == (1, 1, 16)
    assert row.vector_ops == row.input_elements == 2 * 8 * 35


@quick
@given(leading=st.lists(small, min_size=1, max_size=3), inputs=small, outputs=small, bias=st.booleans())
def test_linear_is_torchs(leading: list[int], inputs: int, outputs: int, bias: bool) -> None:
    operator, twin, shape = ops.Linear(outputs, bias), nn.Linear(inputs, outputs, bias), (*leading, inputs)
    row = row_of(operator, shape)
    assert operator.infer(shape) == tuple(twin(torch.zeros(shape)).shape)
    assert row.macs == torch_macs(twin, torch.zeros(shape))
    assert row.parameters == numel(twin)
    assert (row.input_elements, row.output_elements) == (prod(shape), prod(leading) * outputs)


@quick
@given(leading=st.lists(small, min_size=1, max_size=2), m=small, k=small, n=small, wrong=st.integers(0, 1))
def test_matrix_product_is_torchs(leading: list[int], m: int, k: int, n: int, wrong: int) -> None:
    left, right = (*leading, m, k), (*leading, k + wrong, n)
    if wrong:
        with pytest.raises(ValueError, match="do not fit"):
            ops.MatMul().infer(left, right)
        return
    row = row_of(ops.MatMul(), left, right)
    assert ops.MatMul().infer(left, right) == tuple(torch.matmul(torch.zeros(left), torch.zeros(right)).shape)
    with FlopCounterMode(display=False) as counter:
        torch.matmul(torch.zeros(left), torch.zeros(right))
    assert row.macs == counter.get_total_flops() // 2
    assert (row.dynamic_operand, row.parameters, row.weight_elements) == (1, 0, prod(right))


@quick
@given(cell=st.sampled_from(["lstm", "gru"]), batch=small, time=small, features=small, hidden=small)
def test_recurrent_is_torchs(cell: str, batch: int, time: int, features: int, hidden: int) -> None:
    """MACs against one torch cell a step: the fused torch layer is opaque to the counter."""
    operator = ops.Recurrent(cell, hidden)  # type: ignore[arg-type]
    layer, step = (nn.LSTM, nn.LSTMCell) if cell == "lstm" else (nn.GRU, nn.GRUCell)
    shape = (batch, time, features)
    row = row_of(operator, shape)
    twin = layer(features, hidden, batch_first=True)
    assert operator.infer(shape) == tuple(twin(torch.zeros(shape))[0].shape)
    gates = 4 if cell == "lstm" else 3
    assert row.parameters == numel(twin) == gates * (hidden * (features + hidden) + 2 * hidden)
    assert row.macs == time * torch_macs(step(features, hidden), torch.zeros(batch, features))
    assert row.sequential_steps == time


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize(("batch", "tokens", "features"), [(1, 5, 8), (3, 7, 16)])
def test_attention_is_torchs(heads: int, batch: int, tokens: int, features: int) -> None:
    twin = nn.MultiheadAttention(features, heads, batch_first=True).train()
    net = Builder("attention", (batch, tokens, features))
    workload = net.finish(net.attention(net.input, heads))
    x = torch.zeros(batch, tokens, features)
    with FlopCounterMode(display=False) as counter:
        twin(x, x, x)
    assert workload.parameters == numel(twin)
    assert workload.macs == counter.get_total_flops() // 2
    assert workload.macs == 4 * batch * tokens * features**2 + 2 * batch * tokens**2 * features
    assert workload[workload.outputs[0]].shape == (batch, tokens, features)


def test_attention_heads_divide_the_features() -> None:
    net = Builder("attention", (1, 4, 6))
    with pytest.raises(SpecError, match="4 is not a divisor of 6"):
        net.attention(net.input, 4)


@given(entries=small, features=small, batch=small, tokens=small)
def test_embedding_is_torchs(entries: int, features: int, batch: int, tokens: int) -> None:
    operator, twin = ops.Embedding(entries, features), nn.Embedding(entries, features)
    assert operator.infer((batch, tokens)) == tuple(twin(torch.zeros(batch, tokens, dtype=torch.int64)).shape)
    row = row_of(operator, (batch, tokens))
    assert (row.parameters, row.macs) == (numel(twin), 0)
    assert row.input_elements == row.output_elements == batch * tokens * features  # the rows read, not the table


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("mode", "shape", "twin"),
    [
        ("batch", (2, 6, 4, 4), lambda affine: nn.BatchNorm2d(6, affine=affine)),
        ("layer", (2, 5, 6), lambda affine: nn.LayerNorm(6, elementwise_affine=affine)),
        ("group", (2, 6, 4, 4), lambda affine: nn.GroupNorm(3, 6, affine=affine)),
        ("instance", (2, 6, 4, 4), lambda affine: nn.InstanceNorm2d(6, affine=affine)),
    ],
)
def test_normalisation_has_an_affine_pair(mode: str, shape: Shape, twin: object, affine: bool) -> None:
    row = row_of(ops.Norm(mode, affine), shape)  # type: ignore[arg-type]
    assert row.parameters == numel(twin(affine)) == (12 if affine else 0)  # type: ignore[operator]
    assert row.vector_ops == prod(shape) * (2 if mode == "batch" else 5)
    assert row.macs == 0


@given(channels=small, squeeze=small, batch=small, size=small)
def test_squeeze_excite_is_its_parts(channels: int, squeeze: int, batch: int, size: int) -> None:
    net = Builder("se", (batch, channels, size, size))
    workload = net.finish(net.squeeze_excite(net.input, squeeze))
    assert workload.parameters == 2 * channels * squeeze + squeeze + channels
    assert workload.macs == batch * 2 * channels * squeeze  # at one pixel
    assert workload[workload.outputs[0]].shape == (batch, channels, size, size)


@given(batch=small, channels=small, height=small, width=small, factor=st.integers(1, 3))
def test_resampling_shapes_are_torchs(batch: int, channels: int, height: int, width: int, factor: int) -> None:
    image = torch.zeros(batch, channels * factor**2, height, width)
    shape = tuple(image.shape)
    assert ops.PixelShuffle(factor).infer(shape) == tuple(F.pixel_shuffle(image, factor).shape)
    for mode in ("nearest", "bilinear"):
        enlarged = F.interpolate(image, scale_factor=factor, mode=mode)
        assert ops.Upsample(factor, mode).infer(shape) == tuple(enlarged.shape)  # type: ignore[arg-type]
    assert row_of(ops.PixelShuffle(factor), shape).vector_ops == 0
    assert row_of(ops.Upsample(factor, "bilinear"), shape).vector_ops == 7 * prod(shape) * factor**2


def test_pixel_shuffle_needs_the_square_of_its_factor() -> None:
    with pytest.raises(ValueError, match="6 channels are not a multiple of 4"):
        ops.PixelShuffle(2).infer((1, 6, 2, 2))


@quick
@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple), min_size=1, max_size=3))
def test_elementwise_broadcasts_as_torch_does(shapes: list[Shape]) -> None:
    operator = ops.Elementwise("add")
    try:
        expected = tuple(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        with pytest.raises(ValueError, match="do not broadcast"):
            operator.infer(*shapes)
        return
    assert operator.infer(*shapes) == expected
    row = row_of(operator, *shapes)
    assert row.vector_ops == prod(expected) * max(len(shapes) - 1, 1)
    assert row.input_elements == sum(prod(shape) for shape in shapes)


@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple),
    extents=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    data=st.data(),
)
def test_views_and_copies_have_torchs_shapes(shape: Shape, extents: list[int], data: st.DataObject) -> None:
    axis, x = data.draw(st.integers(0, len(shape) - 1)), torch.zeros(shape)
    parts = [(*shape[:axis], extent, *shape[axis + 1 :]) for extent in extents]
    joined = torch.cat([torch.zeros(part) for part in parts], dim=axis)
    assert ops.Concat(axis).infer(*parts) == tuple(joined.shape)
    assert row_of(ops.Concat(axis), *parts).input_elements == joined.numel()
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    assert ops.Permute(axes).infer(shape) == tuple(x.permute(axes).shape)
    assert ops.Select(axis).infer(shape) == tuple(x.select(axis, 0).shape)
    start = data.draw(st.integers(0, shape[axis] - 1))
    length = data.draw(st.integers(1, shape[axis] - start))
    assert ops.Split(axis, start, length).infer(shape) == tuple(x.narrow(axis, start, length).shape)
    assert ops.Reshape((prod(shape),)).infer(shape) == (prod(shape),)


@pytest.mark.parametrize(
    ("operator", "shapes"),
    [
        (ops.Split(1, 2, 3), [(1, 4)]),
        (ops.Reshape((2, 3)), [(1, 4)]),
        (ops.Permute((0, 0)), [(1, 4)]),
        (ops.Concat(1), [(3, 4), (2, 4)]),
        (ops.Concat(1), [(1, 4), (1, 4, 1)]),
        (ops.Conv2d(4), [(1, 4)]),
        (ops.Recurrent("gru", 4), [(1, 4)]),
        (ops.Pool2d("max", 9), [(1, 1, 4, 4)]),
    ],
)
def test_misfits_are_value_errors(operator: Operator, shapes: list[Shape]) -> None:
    with pytest.raises(ValueError, match=r"."):
        operator.infer(*shapes)


def test_activations_and_softmax_count_their_elementary_operations() -> None:
    assert row_of(ops.Softmax(), (2, 3, 4)).vector_ops == 5 * 24
    cost = [row_of(ops.Activation(name), (1, 8)).vector_ops for name in ("relu", "relu6", "hardswish", "silu", "gelu")]
    assert all(cheap < dear for cheap, dear in pairwise(cost))
    assert cost[0] == 8


def test_constants_store_but_move_nothing() -> None:
    row = row_of(ops.Constant((1, 5, 8)))
    assert (row.parameters, row.input_elements, row.output_elements, row.macs) == (40, 0, 0, 0)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ops.ConvTranspose2d, Shape]:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    groups, stride = draw(st.integers(1, 3)), pair(1, 3)
    extra = (draw(st.integers(0, stride[0] - 1)), draw(st.integers(0, stride[1] - 1)))
    operator = ops.ConvTranspose2d(
        groups * draw(small), pair(1, 4), stride, pair(0, 1), extra, pair(1, 2), groups, draw(st.booleans())
    )
    return operator, (draw(st.integers(1, 3)), groups * draw(small), *pair(2, 7))


@quick
@given(case=transposed())
def test_transposed_convolution_is_torchs(case: tuple[ops.ConvTranspose2d, Shape]) -> None:
    operator, shape = case
    expected = operator.infer(shape)
    assume(min(expected) > 0)
    twin = nn.ConvTranspose2d(
        shape[1],
        operator.out_channels,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.output_padding,
        operator.groups,
        operator.bias,
        operator.dilation,
    )
    image = torch.zeros(shape)
    row = row_of(operator, shape)
    assert tuple(twin(image).shape) == expected
    assert row.parameters == numel(twin)
    assert row.macs == torch_macs(twin, image)
    assert row.output_elements == prod(expected)


@quick
@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), keep=st.booleans(), data=st.data())
def test_reductions_have_torchs_shapes(shape: list[int], keep: bool, data: st.DataObject) -> None:
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), min_size=1, max_size=rank, unique_by=lambda a: a % rank))
    operator = ops.Reduce(tuple(axes), keep)
    assert operator.infer(tuple(shape)) == tuple(torch.zeros(shape).mean(axes, keepdim=keep).shape)
    assert row_of(operator, tuple(shape)).vector_ops == prod(shape)


@quick
@given(kernel=st.tuples(small, small), stride=st.tuples(small, small), size=st.tuples(small, small), ceil=st.booleans())
def test_pooling_with_pairs_is_torchs(
    kernel: tuple[int, int], stride: tuple[int, int], size: tuple[int, int], ceil: bool
) -> None:
    assume(kernel[0] <= size[0] and kernel[1] <= size[1])
    shape = (2, 3, *size)
    operator = ops.Pool2d("max", kernel, stride, ceil_mode=ceil)
    assert operator.infer(shape) == tuple(F.max_pool2d(torch.zeros(shape), kernel, stride, ceil_mode=ceil).shape)
    row = row_of(operator, shape)
    assert (row.kernel_h, row.kernel_w, row.stride_h, row.stride_w) == (*kernel, *stride)


@pytest.mark.parametrize(
    ("operator", "twin"),
    [
        (ops.Norm("rms"), nn.RMSNorm(6)),
        (ops.Norm("layer", bias=False), nn.LayerNorm(6, bias=False)),
        (ops.Norm("layer", features=30), nn.LayerNorm((5, 6))),
        (ops.Activation("prelu"), nn.PReLU(6)),
        (ops.Recurrent("rnn", 7), nn.RNN(6, 7)),
        (ops.Recurrent("gru", 7, bias=False), nn.GRU(6, 7, bias=False)),
        (ops.Shared(ops.Linear(9), 9), None),
    ],
)
def test_learned_tensors_beside_the_weights(operator: Operator, twin: nn.Module | None) -> None:
    parameters = row_of(operator, (2, 5, 6)).parameters
    assert parameters == (9 if twin is None else numel(twin))  # tied weights are counted where they are stored


def test_attention_in_one_kernel_has_the_macs_of_both_products() -> None:
    row = row_of(ops.Attention(2), (2, 3, 5, 4), (2, 3, 4, 7), (2, 3, 7, 6))
    assert row.macs == 2 * 3 * (5 * 4 * 7 + 5 * 7 * 6)
    assert row.weight_elements == 2 * 3 * 7 * (4 + 6)
    assert row.input_elements == 2 * 3 * 5 * 4
    assert row.output_elements == 2 * 3 * 5 * 6
    assert row.vector_ops == 2 * 3 * 5 * 7 * (5 + 2)
    assert row.dynamic_operand == 1


def test_a_cache_moves_the_new_tokens_and_holds_all() -> None:
    operator = ops.Cache(past=9)
    assert operator.infer((2, 3, 1, 4)) == (2, 3, 10, 4)
    row = row_of(operator, (2, 3, 1, 4))
    assert row.input_elements == row.output_elements == 2 * 3 * 4
    assert (row.batch, row.out_channels, row.out_h) == (2, 12, 10)


def test_a_rearrangement_reads_no_more_than_it_needs() -> None:
    """A gather of 4 from 100 reads 4; a pad of 100 to 144 reads 100."""
    assert row_of(ops.Rearrange("gather", (4,)), (100,)).input_elements == 4
    row = row_of(ops.Rearrange("pad", (1, 1, 12, 12)), (1, 1, 10, 10))
    assert (row.input_elements, row.output_elements) == (100, 144)


def test_elementwise_rows_do_not_depend_on_the_order_of_their_operands() -> None:
    """A gate of one number a channel before or after the image that it scales."""
    image, gate = (2, 8, 5, 5), (2, 8, 1, 1)
    assert row_of(ops.Elementwise("mul"), image, gate) == row_of(ops.Elementwise("mul"), gate, image)


def test_an_unknown_operator_is_data_movement() -> None:
    row = row_of(ops.Unknown("fft", (3, 4), parameters=5), (3, 2), (3, 6))
    assert (row.kind, row.macs, row.vector_ops, row.parameters) == (Kind.UNKNOWN, 0, 0, 5)
    assert (row.input_elements, row.output_elements) == (24, 12)


@pytest.mark.parametrize("axis", [-1, -2, 0, 1])
def test_axes_may_count_from_the_end(axis: int) -> None:
    shape = (4, 6)
    x = torch.zeros(shape)
    assert ops.Split(axis, 1, 2).infer(shape) == tuple(x.narrow(axis, 1, 2).shape)
    assert ops.Select(axis, 1).infer(shape) == tuple(x.select(axis, 1).shape)
    assert ops.Concat(axis).infer(shape, shape) == tuple(torch.cat([x, x], axis).shape)


def test_upsampling_to_a_size() -> None:
    assert ops.Upsample(size=(5, 7)).infer((1, 2, 3, 3)) == (1, 2, 5, 7)
