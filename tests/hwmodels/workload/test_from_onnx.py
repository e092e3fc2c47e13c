"""ONNX files: one network through torch, ONNX and the zoo is one LayerTable; versions, patterns, quantisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper

from codesign.network import to_module
from hwmodels.errors import SpecError
from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.formats import format_of
from hwmodels.workload.from_onnx import from_onnx
from hwmodels.workload.from_torch import from_torch
from hwmodels.workload.graph import Builder, Workload
from hwmodels.workload.ops import (
    Activation,
    Concat,
    Constant,
    Conv2d,
    ConvTranspose2d,
    Elementwise,
    Embedding,
    Kind,
    Linear,
    Norm,
    PixelShuffle,
    Pool2d,
    Precision,
    Rearrange,
    Recurrent,
    Row,
    Upsample,
)
from hwmodels.workload.precision import with_precision
from hwmodels.workload.table import layer_table
from hwmodels.workload.zoo import network
from tests.hwmodels.workload import onnx_writer as writing
from tests.hwmodels.workload import test_random_graphs as random_graphs
from tests.hwmodels.workload.onnx_writer import NEW, OLD, Writer

FLOAT = Precision(32, 32)


def rows(workload: Workload) -> list[Row]:
    return [row for _, row in workload.rows()]


def through_onnx(workload: Workload, folder: Path, *, opset: int = NEW) -> Workload:
    path = folder / "network.onnx"
    path.write_bytes(writing.to_onnx(workload, opset=opset).SerializeToString())
    return from_onnx(path, name=workload.name)


def same_table(a: Workload, b: Workload) -> None:
    """Equal rows in equal order, with equal edges."""
    assert rows(a) == rows(b)
    together = layer_table([a, b])
    assert together.rows_of(0).tolist() == together.rows_of(1).tolist()
    assert together.edges(0).tolist() == together.edges(1).tolist()


def read(writer: Any, folder: Path, shape: tuple[Any, ...], output: str, **arguments: Any) -> Workload:
    """The file of one input `x`."""
    return from_onnx(writer.save(folder / "small.onnx", {"x": shape}, [output]), **arguments)


def row_of(workload: Workload, kind: Kind) -> Row:
    (found,) = (row for row in rows(workload) if row.kind == kind)
    return found


NETWORKS = (
    "resnet18", "mobilenet_v2", "mobilenet_v3_small", "vgg16", "vit_b_16", "bert_base", "densenet121",
    "efficientnet_b0",
)  # fmt: skip


@pytest.mark.parametrize("opset", [OLD, 13, NEW])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_of_a_published_network_is_that_network(name: str, opset: int, tmp_path: Path) -> None:
    if opset == 13 and name not in ("mobilenet_v3_small", "vgg16"):
        pytest.skip("the versions between differ in convolutional networks only")
    known = network(name, batch=2)
    found = through_onnx(known, tmp_path, opset=opset)
    same_table(found, known)
    assert (found.macs, found.parameters, found.name) == (known.macs, known.parameters, name)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "vgg16", "vit_b_16"])
def test_torch_onnx_and_the_zoo_agree(name: str, tmp_path: Path) -> None:
    known = network(name)
    with torch.device("meta"):
        traced = from_torch(to_module(known), torch.zeros(known.input_shapes[0]), name=name)
    same_table(through_onnx(known, tmp_path), traced)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random_graphs.graphs(zeros=False))
def test_a_random_graph_comes_back(tmp_path: Path, workload: Workload) -> None:
    same_table(through_onnx(workload, tmp_path), with_precision(workload, Precision()))


def all_kinds() -> Workload:
    """The operators that the published networks above do not have."""
    net = Builder("kinds", (2, 8, 12, 12))
    x = net.add(ConvTranspose2d(12, (3, 3), (2, 2), (1, 1), (1, 1)), net.input)
    for mode in ("instance", "group"):
        x = net.add(Norm(mode), x)
    for function in ("silu", "mish", "prelu", "elu", "leaky_relu", "neg", "sigmoid", "hardsigmoid", "gelu"):
        x = net.add(Activation(function), x)
    x = net.add(PixelShuffle(2), net.add(Upsample(mode="bilinear"), x))
    x = net.add(Conv2d(6, (3, 5), (2, 1), (1, 2), (1, 1), 3), x)
    x = net.add(Pool2d("avg", 3, 2, 1, ceil_mode=True), x)
    for function in ("sub", "mul", "div", "max", "min"):
        x = net.add(Elementwise(function), x, net.constant((6, 1, 1)))
    x = net.add(Elementwise("add"), x, x, x)
    return net.finish(net.add(Elementwise("mul"), x), x)


def test_other_operators_come_back_as_well(tmp_path: Path) -> None:
    for opset in (OLD, NEW):
        found, known = through_onnx(all_kinds(), tmp_path, opset=opset), all_kinds()
        assert rows(found) == rows(known)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_recurrent_layer_is_one_row(cell: str, tmp_path: Path) -> None:
    net = Builder("recurrent", (2, 9, 20))
    x = net.add(Recurrent(cell, 32), net.input)
    known = net.finish(net.linear(net.add(Recurrent(cell, 16, bias=False), x), 5))
    same_table(through_onnx(known, tmp_path), known)


def test_two_directions_are_two_rows_and_a_join(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("LSTM", "x", w.weight(2, 64, 20), w.weight(2, 64, 16), w.weight(2, 128), outputs=3,
              direction="bidirectional", hidden_size=16)  # fmt: skip
    path = w.save(tmp_path / "two.onnx", {"x": (9, "batch", 20)}, [y, f"{y}.1"])
    found = from_onnx(path, input_shapes={"x": (9, 3, 20)})
    assert [found[output].shape for output in found.outputs] == [(9, 2, 3, 16), (2, 3, 16)]
    assert [row.kind for row in rows(found)] == [Kind.RECURRENT, Kind.RECURRENT, Kind.COPY]
    assert rows(found)[0].sequential_steps == 9
    assert rows(found)[0].batch == 3
    assert found.parameters == 2 * (64 * 20 + 64 * 16 + 128)


def test_a_product_and_its_bias_are_one_layer(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("Add", w.add("MatMul", "x", w.weight(8, 16)), w.weight(16), made="y")
    found = read(w, tmp_path, ("batch", 5, 8), x, batch=3)
    assert [node.operator for node in found][1:] == [Linear(16)]
    assert found.batch == 3


def test_products_of_weights_in_any_place(tmp_path: Path) -> None:
    """x W, W x, W transposed before, a tied W: what is stored is the layer's weight, once."""
    w = Writer()
    matrix = w.weight(8, 8)
    a = w.add("MatMul", "x", w.add("Transpose", matrix, perm=[1, 0]))
    b = w.add("MatMul", w.weight(4, 6), a)
    found = read(w, tmp_path, (2, 6, 8), w.add("MatMul", b, w.add("Cast", matrix, to=1), made="y"))
    assert [row.kind for row in rows(found)] == [Kind.LINEAR] * 3
    assert found.parameters == 64 + 24
    assert found.macs == 2 * 6 * 64 + 2 * 8 * 24 + 2 * 4 * 64


@pytest.mark.parametrize("opset", [9, 13])
def test_shapes_computed_in_the_file_cost_nothing(opset: int, tmp_path: Path) -> None:
    w = Writer(opset)
    shape = w.add("Shape", "x")
    parts = [w.add("Gather", shape, w.value(index), axis=0) for index in range(3)]
    lifted = [
        w.add("Unsqueeze", part, axes=[0]) if opset < 13 else w.add("Unsqueeze", part, w.value([0])) for part in parts
    ]
    joined = w.add("Mul", lifted[1], lifted[2])
    target = w.add("Concat", lifted[0], w.add("Cast", w.add("Div", joined, w.value([2])), to=7), w.value([-1]), axis=0)
    half = w.add("Reshape", "x", target)
    wide = w.add("Expand", half, w.add("Concat", w.value([3]), w.add("Shape", half), axis=0))
    found = read(w, tmp_path, (2, 4, 6), w.add("Relu", wide, made="y"))
    assert [node.shape for node in found][1:] == [(2, 12, 2), (3, 2, 12, 2), (3, 2, 12, 2)]
    assert [row.kind for row in rows(found)] == [Kind.ACTIVATION]


def test_padding_computed_from_the_size(tmp_path: Path) -> None:
    """Bounds, casts, steps backwards and a turn: what an exporter writes for padding to a multiple."""
    w = Writer(14)
    height = w.add("Cast", w.add("Gather", w.add("Shape", "x"), w.value(2)), to=1)
    missing = w.add("Sub", w.add("Mul", w.add("Ceil", w.add("Div", height, w.number(4))), w.number(4)), height)
    missing = w.add("Cast", w.add("Clip", missing, w.number(0), ""), to=7)
    both = w.add("Concat", w.value([0]), w.add("Unsqueeze", missing, w.value([0])), w.value([0, 0]), axis=0)
    pairs = w.add("Reshape", w.add("Concat", both, w.add("ConstantOfShape", w.value([4])), axis=0), w.value([-1, 2]))
    pairs = w.add("Slice", pairs, w.value([-1]), w.value([-(2**63) + 1]), w.value([0]), w.value([-1]))
    pads = w.add("Cast", w.add("Reshape", w.add("Transpose", pairs, perm=[1, 0]), w.value([-1])), to=7)
    found = read(w, tmp_path, (1, 3, 10, 8), w.add("Pad", "x", pads, made="y"))
    assert [node.shape for node in found] == [(1, 3, 10, 8), (1, 3, 10, 10)]


def test_attributes_that_became_operands(tmp_path: Path) -> None:
    """Slice, Squeeze, Unsqueeze, Split, Pad, Clip, Dropout and Upsample before and after."""
    found = []
    for opset in (9, 18):
        w, is_old = Writer(opset), opset == 9
        x = w.add("Slice", "x", starts=[1], ends=[9], axes=[2]) if is_old else w.add(
            "Slice", "x", w.value([1]), w.value([9]), w.value([2]))  # fmt: skip
        x = w.add("Dropout", x, ratio=0.5) if is_old else w.add("Dropout", x, w.number(0.5))
        x = w.add("Unsqueeze", x, axes=[1]) if is_old else w.add("Unsqueeze", x, w.value([1]))
        x = w.add("Squeeze", x, axes=[1]) if is_old else w.add("Squeeze", x, w.value([1]))
        x = w.add("Split", x, outputs=2, axis=1, split=[2, 2]) if is_old else w.add(
            "Split", x, w.value([2, 2]), outputs=2, axis=1)  # fmt: skip
        x = w.add("Concat", f"{x}.1", x, axis=1)
        pads = [0, 0, 1, 1, 0, 0, 2, 2]
        x = w.add("Pad", x, pads=pads) if is_old else w.add("Pad", x, w.value(pads))
        x = w.add("Clip", x, min=0.0, max=6.0) if is_old else w.add("Clip", x, w.number(0), w.number(6))
        scales = w.value([1, 1, 2, 2], "float32")
        x = w.add("Upsample", x, scales) if is_old else w.add("Resize", x, "", scales)
        x = w.add("Softmax", x, made="y", axis=3)
        found.append(read(w, tmp_path, (1, 4, 12, 8), x))
    assert rows(found[0]) == rows(found[1])
    kinds = [type(node.operator) for node in found[0] if not node.operator.is_view]
    assert kinds[:4] == [Concat, Rearrange, Activation, Upsample]
    assert found[0][found[0].outputs[0]].shape == (1, 4, 22, 22)


def test_windows_padded_on_one_side_copy_the_rest(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("Conv", "x", w.weight(8, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER")
    x = w.add("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1])
    found = read(
        w, tmp_path, (1, 3, 10, 10), w.add("Conv", x, w.weight(8, 1, 3, 3), made="y", group=8, auto_pad="SAME_LOWER")
    )
    padded = [node.shape for node in found if isinstance(node.operator, Rearrange)]
    assert padded == [(1, 3, 11, 11), (1, 8, 6, 6)]
    assert [node.shape for node in found][-1] == (1, 8, 5, 5)
    assert found.macs == 25 * 8 * 27 + 25 * 8 * 9


def test_sequences_are_images_of_height_one(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("Conv", "x", w.weight(16, 4, 5), w.weight(16), pads=[2, 2])
    x = w.add("GlobalAveragePool", w.add("AveragePool", x, kernel_shape=[2], strides=[2]))
    found = read(w, tmp_path, (2, 4, 20), w.add("ConvTranspose", x, w.weight(16, 3, 4), made="y", strides=[4]))
    assert row_of(found, Kind.CONV).macs == 2 * 20 * 16 * 20
    assert found[found.outputs[0]].shape == (2, 3, 4)


def test_a_padded_average_is_one_pool(tmp_path: Path) -> None:
    """What an exporter writes for pooling that counts its padding."""
    w = Writer()
    padded = w.add("Pad", "x", w.value([0, 0, 1, 1, 0, 0, 1, 1]))
    found = read(w, tmp_path, (1, 3, 8, 8), w.add("AveragePool", padded, made="y", kernel_shape=[3, 3], strides=[1, 1]))
    assert [node.operator for node in found][1:] == [Pool2d("avg", (3, 3), (1, 1), (1, 1))]


@pytest.mark.parametrize("order", ["half first", "half last", "half of the sum"])
def test_gelu_in_any_order(order: str, tmp_path: Path) -> None:
    w = Writer()
    total = w.add("Add", w.number(1.0), w.add("Erf", w.add("Mul", "x", w.number(0.70710678))))
    if order == "half first":
        w.add("Mul", w.add("Mul", w.number(0.5), "x"), total, made="y")
    elif order == "half last":
        w.add("Mul", w.add("Mul", total, "x"), w.number(0.5), made="y")
    else:
        w.add("Mul", "x", w.add("Mul", total, w.number(0.5)), made="y")
    assert [node.operator for node in read(w, tmp_path, (1, 4), "y")][1:] == [Activation("gelu")]


def test_a_pattern_whose_inside_is_read_elsewhere_stays(tmp_path: Path) -> None:
    w = Writer()
    gate = w.add("Sigmoid", "x")
    found = read(w, tmp_path, (1, 4), w.add("Add", w.add("Mul", "x", gate), gate, made="y"))
    assert [row.kind for row in rows(found)] == [Kind.ACTIVATION, Kind.ELEMENTWISE, Kind.ELEMENTWISE]


def test_a_norm_whose_deviation_is_read_elsewhere_stays(tmp_path: Path) -> None:
    for is_read in (False, True):
        w = Writer(OLD)
        deviation = w.add("Sub", "x", w.add("ReduceMean", "x", axes=[-1]))
        square = w.add("ReduceMean", w.add("Mul", deviation, deviation), axes=[-1])
        y = w.add("Div", deviation, w.add("Sqrt", w.add("Add", square, w.number(1e-5))))
        found = read(w, tmp_path, (1, 3, 4), w.add("Add", y, deviation if is_read else y, made="y"))
        assert any(row.kind == Kind.NORM for row in rows(found)) != is_read


def test_softmax_over_what_is_flattened_in_old_files(tmp_path: Path) -> None:
    widths = []
    for opset in (OLD, 13):
        w = Writer(opset)
        found = row_of(read(w, tmp_path, (2, 3, 4), w.add("Softmax", "x", made="y", axis=1)), Kind.SOFTMAX)
        widths.append(found.in_channels)
    assert widths == [12, 4]


def test_repeated_keys_are_read_once(tmp_path: Path) -> None:
    """Keys of two heads for four: repeated, merged with the batch, turned and parted again, as exporters do."""
    w = Writer()
    keys = w.add("Reshape", "x", w.value([3, 2, 1, 5, 8]))
    keys = w.add("Reshape", w.add("Expand", keys, w.value([3, 2, 2, 5, 8])), w.value([3, 4, 5, 8]))
    turned = w.add("Transpose", w.add("Reshape", keys, w.value([-1, 5, 8])), perm=[0, 2, 1])
    turned = w.add("Reshape", turned, w.value([3, 4, 8, 5]))
    queries = w.add("Concat", "x", "x", axis=1)
    found = row_of(read(w, tmp_path, (3, 2, 5, 8), w.add("MatMul", queries, turned, made="y")), Kind.MATMUL)
    assert (found.groups, found.m, found.weight_elements) == (6, 10, 3 * 2 * 5 * 8)


def test_tanh_gelu_and_quick_gelu(tmp_path: Path) -> None:
    w = Writer()
    cube = w.add("Mul", w.add("Pow", "x", w.number(3.0)), w.number(0.044715))
    inner = w.add("Mul", w.add("Add", "x", cube), w.number(0.7978845))
    total = w.add("Add", w.add("Tanh", inner), w.number(1.0))
    y = w.add("Mul", w.add("Mul", "x", w.number(0.5)), total)
    found = read(w, tmp_path, (1, 4), w.add("QuickGelu", y, made="y", domain="com.microsoft"))
    assert [node.operator for node in found][1:] == [Activation("gelu"), Activation("silu")]


def test_attention_scaled_on_both_sides_has_no_row_for_it(tmp_path: Path) -> None:
    """As decomposed fused attention is; a scale of the scores is what a network writes itself."""
    found = []
    for is_fused in (True, False):
        w = Writer()
        turned = w.add("Transpose", "x", perm=[0, 1, 3, 2])
        query = w.add("Mul", "x", w.number(0.5)) if is_fused else "x"
        key = w.add("Mul", turned, w.value([0.5], "float32")) if is_fused else turned
        scores = w.add("MatMul", query, key)
        scores = scores if is_fused else w.add("Div", scores, w.number(4.0))
        scores = w.add("Add", scores, w.weight(1, 1, 5, 5))
        weights = w.add("Softmax", scores, axis=-1)
        if is_fused:
            weights = w.add("Where", w.add("IsNaN", weights), w.number(0.0), weights)
        found.append(read(w, tmp_path, (1, 2, 5, 16), w.add("MatMul", weights, "x", made="y")))
    kinds = [[row.kind for row in rows(workload)] for workload in found]
    assert kinds[0] == [Kind.MATMUL, Kind.ELEMENTWISE, Kind.SOFTMAX, Kind.MATMUL]
    assert kinds[1] == [Kind.MATMUL, Kind.ELEMENTWISE, Kind.ELEMENTWISE, Kind.SOFTMAX, Kind.MATMUL]
    assert [workload.parameters for workload in found] == [0, 0]  # a mask that all heads share is not learned


@pytest.mark.parametrize("kind", ["Attention", "GroupQueryAttention", "MultiHeadAttention"])
def test_attention_as_one_operator(kind: str, tmp_path: Path) -> None:
    """Four heads over five tokens, two heads of keys where heads may share them."""
    w = Writer(24 if kind == "Attention" else NEW)
    shared = 4 if kind == "MultiHeadAttention" else 2
    parts = [w.add("MatMul", "x", w.weight(32, 8 * heads)) for heads in (4, shared, shared)]
    if kind == "Attention":
        y = w.add(kind, *parts, made="y", q_num_heads=4, kv_num_heads=2)
    else:
        heads = {"num_heads": 4, "kv_num_heads": 2} if kind == "GroupQueryAttention" else {"num_heads": 4}
        y = w.add(kind, *parts, made="y", domain="com.microsoft", **heads)
    found = read(w, tmp_path, (3, 5, 32), y)
    assert found[found.outputs[0]].shape == (3, 5, 32)
    products = [row for row in rows(found) if row.kind == Kind.MATMUL]
    assert [row.groups for row in products] == [3 * shared] * 2
    assert sum(row.macs for row in products) == 2 * 3 * 4 * 5 * 5 * 8


def test_einsum_is_its_product(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("Einsum", "x", "x", equation="bid,bjd->bij")
    found = read(w, tmp_path, (2, 5, 8), w.add("Einsum", y, w.weight(5, 7), made="y", equation="bij,jk->bik"))
    assert [row.kind for row in rows(found)] == [Kind.MATMUL, Kind.LINEAR]
    assert found.macs == 2 * 5 * 5 * 8 + 2 * 5 * 5 * 7


def test_tables_and_indices(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("Gather", w.weight(100, 8), "x")
    x = w.add("Add", x, w.add("Gather", w.weight(50, 8), w.value([[0, 1, 2]])))
    path = w.save(
        tmp_path / "a.onnx", {"x": (2, 3)}, [w.add("Gather", x, w.value(2), made="y", axis=1)], x=TensorProto.INT64
    )
    found = from_onnx(path)
    assert [node.operator for node in found if not node.operator.is_view][:2] == [Embedding(100, 8), Embedding(50, 8)]
    assert found.parameters == 1200
    assert found[found.outputs[0]].shape == (2, 8)


def test_statistics_scalars_and_unread_tensors_are_no_parameters(tmp_path: Path) -> None:
    w = Writer()
    w.weight(1000)
    x = w.add("BatchNormalization", "x", *(w.weight(4) for _ in range(4)))
    x = w.add("Mul", w.add("Add", x, w.weight(1, 4, 1, 1)), w.number(3.0))
    constant = helper.make_tensor("held", TensorProto.FLOAT, (4, 1, 1), [0.0] * 4)
    found = read(w, tmp_path, (1, 4, 6, 6), w.add("Sub", x, w.add("Constant", value=constant), made="y"))
    assert found.parameters == 8 + 4
    assert [type(node.operator) for node in found if not node.operator.is_view] == [
        Norm, Constant, Elementwise, Elementwise, Elementwise
    ]  # fmt: skip


def quantised(writer: Any, source: str, kind: int = TensorProto.INT8, *, made: str = "") -> str:
    """QuantizeLinear and DequantizeLinear around a tensor."""
    point = writer.weight(kind=kind)
    narrow = writer.add("QuantizeLinear", source, writer.number(0.1), point)
    return str(writer.add("DequantizeLinear", narrow, writer.number(0.1), point, made=made))


def test_a_quantised_file_has_the_bits_of_its_types(tmp_path: Path) -> None:
    """A convolution of 4-bit weights between 16-bit activations, its activation, and a float layer behind them."""
    w = Writer(21)
    kernel = w.add("DequantizeLinear", w.weight(8, 3, 3, 3, kind=TensorProto.INT4), w.weight(8), axis=0)
    bias = w.add("DequantizeLinear", w.weight(8, kind=TensorProto.INT32), w.weight(8), axis=0)
    x = w.add("Conv", quantised(w, "x", TensorProto.UINT16), kernel, bias)
    x = w.add("Flatten", quantised(w, w.add("Relu", x), TensorProto.UINT16))
    found = read(w, tmp_path, (1, 3, 8, 8), w.add("Sigmoid", w.add("Sigmoid", x), made="y"), precision=FLOAT)
    bits = [(row.kind, row.weight_bits, row.activation_bits) for row in rows(found)]
    assert bits == [(Kind.CONV, 4, 16), (Kind.ACTIVATION, 16, 16), (Kind.ACTIVATION, 16, 16), (Kind.ACTIVATION, 32, 32)]
    assert found.parameters == 8 * 27 + 8


def test_integer_operators_are_their_float_twins(tmp_path: Path) -> None:
    w = Writer()
    byte, signed, scale = TensorProto.UINT8, TensorProto.INT8, w.number(0.1)
    zero = w.weight(kind=byte)
    x = w.add("QuantizeLinear", "x", scale, zero)
    kernel, bias = w.weight(8, 3, 3, 3, kind=signed), w.weight(8, kind=TensorProto.INT32)
    x = w.add("QLinearConv", x, scale, zero, kernel, scale, w.weight(kind=signed), scale, zero, bias, pads=[1] * 4)
    x = w.add("QLinearAdd", x, scale, zero, x, scale, zero, scale, zero, domain="com.microsoft")
    x = w.add("Reshape", w.add("MaxPool", x, kernel_shape=[8, 8]), w.value([1, 8]))
    matrix = w.weight(8, 5, kind=signed)
    x = w.add("QLinearMatMul", x, scale, zero, matrix, scale, w.weight(kind=signed), scale, zero)
    found = read(w, tmp_path, (1, 3, 8, 8), w.add("DequantizeLinear", x, scale, zero, made="y"), precision=FLOAT)
    assert [row.kind for row in rows(found)] == [Kind.CONV, Kind.ELEMENTWISE, Kind.POOL, Kind.LINEAR]
    assert {(row.weight_bits, row.activation_bits) for row in rows(found)} == {(8, 8)}
    assert found.parameters == 8 * 27 + 8 + 40


def test_dynamic_quantisation_leaves_the_layers(tmp_path: Path) -> None:
    """An integer product, its cast, its scales and its bias are one linear layer."""
    w = Writer()
    q = w.add("DynamicQuantizeLinear", "x", outputs=3)
    product = w.add(
        "MatMulInteger", q, w.weight(16, 8, kind=TensorProto.INT8), f"{q}.2", w.weight(kind=TensorProto.INT8)
    )
    scales = w.add("Mul", f"{q}.1", w.weight(8))
    y = w.add("Mul", w.add("Cast", product, to=1), scales)
    found = read(w, tmp_path, (2, 4, 16), w.add("Relu", w.add("Add", y, w.weight(8)), made="y"), precision=FLOAT)
    bits = [(row.kind, row.weight_bits, row.activation_bits) for row in rows(found)]
    assert bits == [(Kind.LINEAR, 8, 8), (Kind.ACTIVATION, 32, 32)]
    assert found.parameters == 16 * 8 + 8


def test_weights_in_blocks_of_four_bits(tmp_path: Path) -> None:
    w = Writer()
    packed, scales = w.weight(24, 1, 16, kind=TensorProto.UINT8), w.weight(24)
    y = w.add("MatMulNBits", "x", packed, scales, made="y", domain="com.microsoft", N=24, K=32, bits=4, block_size=32)
    found = row_of(read(w, tmp_path, (1, 6, 32), y), Kind.LINEAR)
    assert (found.parameters, found.weight_bits, found.macs) == (24 * 32, 4, 6 * 24 * 32)


def formats_of(workload: Workload) -> list[tuple[str, str]]:
    return [
        (format_of(row.weight_bits, row.weight_format).name, format_of(row.activation_bits, row.activation_format).name)
        for row in rows(workload)
    ]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(TensorProto.FLOAT16, "fp16"), (TensorProto.BFLOAT16, "bf16"), (TensorProto.FLOAT, "fp32")],
)
def test_a_file_in_half_precision_computes_in_it(tmp_path: Path, kind: int, name: str) -> None:
    """Most of its stored floats decide: a few in float32 are what converters leave."""
    w = Writer()
    y = w.add("MatMul", w.add("MatMul", "x", w.weight(16, 8, kind=kind)), w.weight(8, 4))
    found = read(w, tmp_path, (2, 16), w.add("Relu", y, made="y"), precision=FLOAT)
    assert formats_of(found) == [(name, name)] * 3


def test_blocks_of_four_bits_in_a_half_precision_file_are_weights_alone(tmp_path: Path) -> None:
    w = Writer()
    packed, scales = w.weight(24, 1, 16, kind=TensorProto.UINT8), w.weight(24, kind=TensorProto.FLOAT16)
    y = w.add("MatMulNBits", "x", packed, scales, made="y", domain="com.microsoft", N=24, K=32, bits=4, block_size=32)
    assert formats_of(read(w, tmp_path, (1, 6, 32), y, precision=FLOAT)) == [("int4", "fp16")]


def test_a_file_quantised_to_16_bits_has_integers(tmp_path: Path) -> None:
    w = Writer()
    zero = w.value(0, "uint16")
    x = w.add("DequantizeLinear", w.add("QuantizeLinear", "x", w.number(0.1), zero), w.number(0.1), zero)
    weight = w.weight(16, 8, kind=TensorProto.INT16)
    weights = w.add("DequantizeLinear", weight, w.number(0.1), w.weight(kind=TensorProto.INT16))
    product = w.add("MatMul", x, weights)
    y = w.add("DequantizeLinear", w.add("QuantizeLinear", product, w.number(0.1), zero), w.number(0.1), zero, made="y")
    assert formats_of(read(w, tmp_path, (2, 16), y, precision=FLOAT)) == [("int16", "int16")]


def test_unknown_operators_move_their_data(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("LRN", "x", size=5)
    found = read(w, tmp_path, (1, 4, 6, 6), w.add("Relu", x, made="y"))
    assert [(unknown.operator, unknown.count) for unknown in unknown_operators(found)] == [("LRN", 1)]


def test_functions_of_the_file_are_written_out(tmp_path: Path) -> None:
    w = Writer()
    body = [helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["c"])]
    function = helper.make_function("own", "Twice", ["a"], ["c"], body, [helper.make_opsetid("", NEW)])
    w.add("Twice", w.add("Twice", "x", domain="own"), made="y", domain="own")
    model = w.model({"x": (1, 4)}, ["y"])
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    (tmp_path / "f.onnx").write_bytes(model.SerializeToString())
    assert [node.operator for node in from_onnx(tmp_path / "f.onnx")][1:] == [Activation("relu"), Activation("neg")] * 2


def test_the_symbol_of_the_batch_and_other_symbols(tmp_path: Path) -> None:
    w = Writer()
    w.add("Add", "a", "b", made="y")
    path = w.save(tmp_path / "s.onnx", {"a": ("N", "T", 4), "b": (None, "T", 4)}, ["y"])
    found = from_onnx(path, batch=3, input_shapes={"a": (3, 7, 4)})
    assert found.input_shapes == ((3, 7, 4), (3, 7, 4))
    assert found.name == "s"
    with pytest.raises(SpecError, match=r"input a: dimension 1 \(T\) of \(N, T, 4\) is not a number"):
        from_onnx(path)
    for wrong in ({"a": (3, 7)}, {"a": (3, 7, 5)}, {"a": (3, -7, 4)}, {"c": (1,)}):
        with pytest.raises(SpecError, match="input_shapes"):
            from_onnx(path, input_shapes=wrong)
    with pytest.raises(SpecError, match="batch: 0"):
        from_onnx(path, batch=0)


def test_a_fixed_batch_stays(tmp_path: Path) -> None:
    w = Writer()
    with pytest.raises(SpecError, match="batch: 8 is not 2, the batch that is fixed for its input x"):
        read(w, tmp_path, (2, 4), w.add("Relu", "x", made="y"), batch=8)
