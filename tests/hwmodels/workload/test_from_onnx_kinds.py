"""Kinds of files that were once read wrongly or refused, each by its smallest example and the right value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwmodels.errors import SpecError
from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.from_onnx import from_onnx
from hwmodels.workload.graph import Workload
from hwmodels.workload.ops import Activation, Conv2d, Elementwise, Embedding, Pool2d, Recurrent
from tests.hwmodels.workload.onnx_writer import Writer, read

MICROSOFT = {"domain": "com.microsoft"}


def shape_of_output(found: Workload) -> tuple[int, ...]:
    return found[found.outputs[0]].shape


# Operators of ONNX Runtime


def test_a_fused_product_turns_its_batch(tmp_path: Path) -> None:
    """Queries and keys (tokens, 1, heads, width) become (1, heads, tokens, width): 4 x 10 x 10 x 16 MACs."""
    w = Writer()
    y = w.add("FusedMatMul", "q", "k", made="y", transBatchA=1, transBatchB=1, transB=1, **MICROSOFT)
    found = read(w, tmp_path, {"q": (10, 1, 4, 16), "k": (10, 1, 4, 16)}, y)
    assert (found.macs, shape_of_output(found)) == (6_400, (1, 4, 10, 10))
    assert not unknown_operators(found)


@pytest.mark.parametrize(
    ("turn", "left", "right", "shape"),
    [
        ({}, (2, 3, 5, 7), (2, 3, 7, 11), (2, 3, 5, 11)),
        ({"transA": 1}, (2, 3, 7, 5), (2, 3, 7, 11), (2, 3, 5, 11)),
        ({"transB": 1}, (2, 3, 5, 7), (2, 3, 11, 7), (2, 3, 5, 11)),
        ({"transBatchA": 1}, (5, 2, 3, 7), (2, 3, 7, 11), (2, 3, 5, 11)),
        ({"transBatchB": 1, "transB": 1}, (2, 3, 5, 7), (11, 2, 3, 7), (2, 3, 5, 11)),
        ({"transBatchA": 1, "transA": 1}, (7, 2, 3, 5), (2, 3, 7, 11), (2, 3, 5, 11)),
        ({"transBatchA": 1, "transBatchB": 1}, (5, 6, 7), (7, 6, 11), (6, 5, 11)),
        ({"transBatchA": 1, "transA": 1}, (7, 5), (7, 11), (5, 11)),
    ],
)
def test_fused_products_as_numpy_has_them(
    turn: dict[str, int], left: tuple[int, ...], right: tuple[int, ...], shape: tuple[int, ...], tmp_path: Path
) -> None:
    w = Writer()
    y = w.add("FusedMatMul", "a", "b", made="y", alpha=0.5, **turn, **MICROSOFT)
    found = read(w, tmp_path, {"a": left, "b": right}, y)
    a, b = (_turned(np.zeros(s), turn, which) for s, which in ((left, "A"), (right, "B")))
    assert shape_of_output(found) == (a @ b).shape == shape
    assert found.macs == np.prod(shape) * 7 if len(shape) != 3 else found.macs == (a @ b).size * a.shape[-1]


def _turned(x: Any, turn: dict[str, int], which: str) -> Any:
    if turn.get(f"transBatch{which}") and x.ndim > 2:
        x = np.moveaxis(x, 0, -2)
    return np.swapaxes(x, -1, -2) if turn.get(f"trans{which}") else x


def test_fused_convolutions_are_their_parts(tmp_path: Path) -> None:
    """Convolution, sum and activation in one operator: the rows of the three."""
    w = Writer()
    x = w.add("FusedConv", "x", w.weight(8, 3, 3, 3), w.weight(8), activation="Relu", pads=[1] * 4, **MICROSOFT)
    y = w.add(
        "FusedConv", x, w.weight(8, 8, 3, 3), w.weight(8), x, made="y", activation="Clip",
        activation_params=[0.0, 6.0], pads=[1] * 4, **MICROSOFT,
    )  # fmt: skip
    found = read(w, tmp_path, {"x": (1, 3, 8, 8)}, y)
    assert [type(node.operator) for node, _ in found.rows()] == [
        Conv2d, Activation, Conv2d, Elementwise, Activation
    ]  # fmt: skip
    assert found[found.outputs[0]].operator == Activation("relu6")
    assert (found.macs, found.parameters) == (64 * 9 * (24 + 64), 9 * (24 + 64) + 16)


def test_an_unknown_activation_of_a_fused_operator_is_named(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("FusedConv", "x", w.weight(8, 3, 1, 1), made="y", activation="Rellu", **MICROSOFT)
    with pytest.raises(SpecError, match=r"activation: Rellu is not one of .*did you mean Relu"):
        read(w, tmp_path, {"x": (1, 3, 4, 4)}, y)


def test_fused_products_with_an_activation(tmp_path: Path) -> None:
    w = Writer()
    x = w.add("FusedGemm", "x", w.weight(8, 16), w.weight(8), transB=1, activation="LeakyRelu", **MICROSOFT)
    x = w.add("GemmFastGelu", x, w.weight(8, 4), w.weight(4), **MICROSOFT)
    y = w.add("FusedMatMulActivation", x, w.weight(6, 4), made="y", transB=1, activation="Tanh", **MICROSOFT)
    found = read(w, tmp_path, {"x": (5, 16)}, y)
    activations = [node.operator for node in found if isinstance(node.operator, Activation)]
    assert activations == [Activation("leaky_relu"), Activation("gelu"), Activation("tanh")]
    assert (found.macs, found.parameters) == (5 * (128 + 32 + 24), 128 + 8 + 32 + 4 + 24)


@pytest.mark.parametrize("kernel", [(8, 3, 3, 4), (8, 4, 3, 3)])
def test_channels_last(kernel: tuple[int, ...], tmp_path: Path) -> None:
    """Kernels stand as (out, height, width, in), or as (out, in, height, width) where that fits."""
    w = Writer()
    x = w.add("NhwcConv", "x", w.weight(*kernel), w.weight(8), pads=[1] * 4, **MICROSOFT)
    y = w.add("NhwcMaxPool", x, made="y", kernel_shape=[2, 2], strides=[2, 2], **MICROSOFT)
    found = read(w, tmp_path, {"x": (1, 6, 10, 4)}, y)
    assert shape_of_output(found) == (1, 3, 5, 8)
    assert (found.macs, found.parameters) == (60 * 8 * 36, 8 * 36 + 8)
    assert [type(node.operator) for node, _ in found.rows()] == [Conv2d, Pool2d]


# Stored tensors


def test_a_table_of_bytes_keeps_its_parameters(tmp_path: Path) -> None:
    """Rows of bytes go into an integer product at once: 1000 x 64 + 64 x 32 parameters."""
    w = Writer()
    table, zero = w.weight(1000, 64, kind=TensorProto.UINT8), w.value(3, "uint8")
    rows = w.add("Gather", table, "x")
    product = w.add("MatMulInteger", rows, w.weight(64, 32, kind=TensorProto.INT8), zero)
    y = w.add("Mul", w.add("Cast", product, to=TensorProto.FLOAT), w.number(0.1), made="y")
    found = read(w, tmp_path, {"x": (1, 7)}, y, x=TensorProto.INT64)
    assert found.parameters == 66_048
    assert {node.precision[:2] for node, _ in found.rows()} == {(8, 8)}


def test_a_table_of_bytes_in_a_file_that_scales_by_hand(tmp_path: Path) -> None:
    """Rows are cast and scaled by operators that are no DequantizeLinear; a weight of bytes is, too."""
    w = Writer()
    rows = w.add("Gather", w.weight(1000, 64, kind=TensorProto.INT8), "x")
    x = w.add("Mul", w.add("Cast", rows, to=TensorProto.FLOAT), w.number(0.1))
    weight = w.add("Cast", w.weight(64, 32, kind=TensorProto.INT8), to=TensorProto.FLOAT)
    y = w.add("MatMul", x, w.add("Mul", weight, w.number(0.1)), made="y")
    found = read(w, tmp_path, {"x": (1, 7)}, y, x=TensorProto.INT64)
    assert found.parameters == 66_048
    assert next(node for node in found if isinstance(node.operator, Embedding)).precision.weight_bits == 8


def test_zero_points_and_indices_are_no_parameters(tmp_path: Path) -> None:
    w = Writer()
    zeros = w.value(np.zeros(32), "int8")
    weight = w.add("DequantizeLinear", w.weight(64, 32, kind=TensorProto.INT8), w.value([0.1] * 32, "float32"), zeros)
    x = w.add("Gather", "x", w.value([0, 2]), axis=1)
    found = read(w, tmp_path, {"x": (1, 3, 64)}, w.add("MatMul", x, weight, made="y"))
    assert found.parameters == 64 * 32


def stored(w: Any, name: str, values: Any) -> str:
    w.stored.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
    return name


@pytest.mark.parametrize("is_copy", [True, False])
def test_a_weight_computed_from_two_copies_counts_once(is_copy: bool, tmp_path: Path) -> None:
    """W - mean(W), with W stored twice: 8 x 27 parameters, not twice as many."""
    values = np.random.default_rng(0).normal(size=(8, 3, 3, 3))
    w = Writer(17)
    first, second = stored(w, "w", values), stored(w, "copy", values if is_copy else values + 1)
    mean = w.add("ReduceMean", second, axes=[1, 2, 3])
    found = read(w, tmp_path, {"x": (1, 3, 4, 4)}, w.add("Conv", "x", w.add("Sub", first, mean), made="y"))
    assert found.parameters == (216 if is_copy else 432)


def test_copies_in_external_data_and_tensors_of_one_value(tmp_path: Path) -> None:
    """The same place of another file is one tensor; two tensors of zeros are two."""
    w = Writer(17)
    kernels = [w.weight(8, 3, 3, 3), w.weight(8, 3, 3, 3)]
    for tensor in w.stored:
        tensor.external_data.add(key="offset", value="64")
        tensor.external_data.add(key="length", value="864")
    zeros = [stored(w, "a", np.zeros((4, 8, 1, 1))), stored(w, "b", np.zeros((4, 8, 1, 1)))]
    x = w.add("Conv", "x", w.add("Sub", kernels[0], w.add("ReduceMean", kernels[1], axes=[1, 2, 3])))
    y = w.add("Conv", x, w.add("Sub", zeros[0], w.add("ReduceMean", zeros[1], axes=[1, 2, 3])), made="y")
    assert read(w, tmp_path, {"x": (1, 3, 4, 4)}, y).parameters == 216 + 64


# Recurrent layers


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("results", [["y"], ["y", "h"], ["", "h"], ["y", ""]])
def test_every_result_of_a_recurrent_layer_is_optional(
    kind: str, gates: int, results: list[str], tmp_path: Path
) -> None:
    """LSTM of x (5, 1, 8) with 16 hidden units: 5 x 4 x 16 x 24 MACs."""
    w = Writer()
    operands = ["x", w.weight(1, gates * 16, 8), w.weight(1, gates * 16, 16)]
    w.nodes.append(helper.make_node(kind, operands, results, hidden_size=16))
    last = next(name for name in reversed(results) if name)
    found = read(w, tmp_path, {"x": (5, 1, 8)}, last)
    assert found.macs == 5 * gates * 16 * 24
    assert shape_of_output(found) == ((5, 1, 1, 16) if last == "y" else (1, 1, 16))
    assert sum(isinstance(node.operator, Recurrent) for node in found) == 1


def test_the_last_cell_state_alone(tmp_path: Path) -> None:
    w = Writer()
    w.nodes.append(helper.make_node("LSTM", ["x", w.weight(1, 64, 8), w.weight(1, 64, 16)], ["", "", "c"]))
    found = read(w, tmp_path, {"x": (5, 1, 8)}, "c")
    assert (found.macs, shape_of_output(found)) == (7_680, (1, 1, 16))


def test_no_result_at_all(tmp_path: Path) -> None:
    w = Writer()
    w.nodes.append(helper.make_node("LSTM", ["x", w.weight(1, 64, 8), w.weight(1, 64, 16)], ["", ""]))
    w.add("Relu", "x", made="y")
    with pytest.raises(SpecError, match="LSTM of 3 operands and 0 results is not one of at least 3 and 1"):
        read(w, tmp_path, {"x": (5, 1, 8)}, "y")


# Shapes of inputs, and declared shapes


def test_symbols_beside_the_batch(tmp_path: Path) -> None:
    """(N, 3, H, W) at 32 x 32: 32 x 32 x 8 x 27 MACs, whichever way the size is given."""
    w = Writer()
    y = w.add("Conv", "x", w.weight(8, 3, 3, 3), made="y", pads=[1] * 4)
    path = w.save(tmp_path / "net.onnx", {"x": ("N", 3, "H", "W")}, [y])
    for given in ({"x": (1, 3, 32, 32)}, {"": (1, 3, 32, 32)}, {"": (3, 32, 32)}, {"x": (3, 32, 32)}):
        assert from_onnx(path, input_shapes=given).macs == 221_184
    assert from_onnx(path, input_shapes={"": (3, 32, 32)}, batch=5).macs == 5 * 221_184
    with pytest.raises(SpecError, match=r"dimension 2 \(H\).*say --input x=1x3x224x224, or input_shapes=\{'x': \("):
        from_onnx(path)
    with pytest.raises(SpecError, match=r"input_shapes of x: \(32, 32\) is not of the declared shape \(N, 3, H, W\)"):
        from_onnx(path, input_shapes={"": (32, 32)})


def test_a_shape_without_a_name_for_two_inputs(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("Add", "a", "b", made="y")
    path = w.save(tmp_path / "net.onnx", {"a": ("N", "T"), "b": ("N", "T")}, [y])
    with pytest.raises(SpecError, match="a shape without a name is not for one of a, b"):
        from_onnx(path, input_shapes={"": (1, 4)})
    assert from_onnx(path, input_shapes={"a": (1, 4)}).input_shapes == ((1, 4), (1, 4))


def test_an_input_of_unknown_rank_can_be_given(tmp_path: Path) -> None:
    w = Writer()
    path = w.save(tmp_path / "net.onnx", {"x": None}, [w.add("Relu", "x", made="y")])
    with pytest.raises(SpecError, match=r"of unknown rank is not of a known shape .say --input x="):
        from_onnx(path)
    assert shape_of_output(from_onnx(path, input_shapes={"": (2, 5)})) == (2, 5)


def declared(w: Any, folder: Path, inputs: dict[str, Any], output: str, shape: Any) -> Path:
    """A file that declares the shape of its output."""
    content = w.model(inputs, [output])
    content.graph.output[0].CopyFrom(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    (folder / "net.onnx").write_bytes(content.SerializeToString())
    return folder / "net.onnx"


@pytest.mark.parametrize(
    ("inputs", "shape", "is_right"),
    [
        ((2, 3, 8, 8), (2, 4, 6, 6), True),
        ((2, 3, 8, 8), (2, 4, 8, 8), False),
        ((2, 3, 8, 8), (2, 4, "H", 6), True),
        ((2, 3, 8, 8), (2, 4, "H", 7), False),
        ((2, 3, 8, 8), (1, 4, 6, 6), False),
        ((2, 3, 8, 8), (2, 4, 36), False),
        ((2, 3, 8, 8), (2, 4, 6), False),
        ((2, 3, 8, 8), None, True),
        (("N", 3, 8, 8), (1, 4, 6, 6), True),
        (("N", 3, 8, 8), (1, 4, 6, 7), False),
    ],
)
def test_declared_shapes_hold(inputs: Any, shape: Any, is_right: bool, tmp_path: Path) -> None:
    w = Writer()
    path = declared(w, tmp_path, {"x": inputs}, w.add("Conv", "x", w.weight(4, 3, 3, 3), made="y"), shape)
    if is_right:
        assert shape_of_output(from_onnx(path, batch=2))[1:] == (4, 6, 6)
    else:
        with pytest.raises(SpecError, match=r"net.onnx: y: the declared shape .* is not the \(2, 4, 6, 6\) that its"):
            from_onnx(path, batch=2)


def test_a_declared_shape_inside_the_file(tmp_path: Path) -> None:
    w = Writer()
    inner = w.add("FusedMatMul", "q", "k", made="scores", transB=1, **MICROSOFT)
    content = w.model({"q": (1, 4, 10, 16), "k": (1, 4, 12, 16)}, [w.add("Relu", inner, made="y")])
    content.graph.value_info.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 4, 10, 10)))
    (tmp_path / "net.onnx").write_bytes(content.SerializeToString())
    with pytest.raises(SpecError, match=r"net.onnx: scores: the declared shape \(1, 4, 10, 10\) is not the"):
        from_onnx(tmp_path / "net.onnx")


def test_an_empty_cache(tmp_path: Path) -> None:
    """Keys of the first token behind a cache of length 0: the product with one key, no row for the cache."""
    w = Writer()
    keys = w.add("Concat", "past", "k", axis=2)
    w.add("MatMul", "q", w.add("Transpose", keys, perm=[0, 1, 3, 2]), made="y")
    inputs = {"past": (1, 4, "P", 16), "k": (1, 4, 1, 16), "q": (1, 4, 1, 16)}
    path = w.save(tmp_path / "net.onnx", inputs, ["y"])
    for past, keys_read in ((0, 1), (7, 8)):
        found = from_onnx(path, input_shapes={"past": (1, 4, past, 16)})
        assert (found.macs, shape_of_output(found)) == (4 * keys_read * 16, (1, 4, 1, keys_read))


def test_an_empty_part_of_the_data(tmp_path: Path) -> None:
    w = Writer()
    none = w.add("Slice", "x", w.value([0]), w.value([0]), w.value([1]))
    w.add("Concat", none, "x", made="joined", axis=1)
    w.nodes.append(helper.make_node("Split", ["joined", w.value([0, 6])], ["a", "b"], axis=1))
    found = read(w, tmp_path, {"x": (2, 6, 4)}, w.add("Relu", w.add("Concat", "b", "a", axis=1), made="y"))
    assert shape_of_output(found) == (2, 6, 4)
    assert [type(node.operator) for node, _ in found.rows()] == [Activation]


def test_old_operator_sets_say_how_to_convert(tmp_path: Path) -> None:
    w = Writer(6)
    with pytest.raises(SpecError, match=r"operator set: 6 is not one of 7 to .*version_converter.convert_version"):
        read(w, tmp_path, {"x": (1, 4)}, w.add("Relu", "x", made="y"))


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    w = Writer()
    y = w.add("MatMul", "x", w.weight(4, 4, name="k", kind=TensorProto.COMPLEX64), made="y")
    with pytest.raises(SpecError, match=r"net.onnx: k: COMPLEX64 is not a type of real numbers"):
        read(w, tmp_path, {"x": (1, 4)}, y)
    w = Writer()
    with pytest.raises(SpecError, match=r"net.onnx: input x: COMPLEX64 is not a type of real numbers"):
        read(w, tmp_path, {"x": (1, 4)}, w.add("Relu", "x", made="y"), x=TensorProto.COMPLEX64)
