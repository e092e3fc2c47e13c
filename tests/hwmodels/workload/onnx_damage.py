"""A seeded generator of ONNX files that are damaged in the ways that files are: each case is a number.

A base file is taken (a small network, a quantised one, one with a loop, one that calls functions of ONNX Runtime) and
damaged once to three times: bytes cut or flipped, tensors of another type, shape or size, operands that are missing,
swapped or their own result, extents below zero and beyond all bounds, texts and floats as attributes, subgraphs inside
subgraphs, axes out of range.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = ["BASES", "damaged"]

Rng = np.random.Generator
_EXTENTS = (-1, 0, 1, 2, 7, 2**31 - 1, 2**31, 2**40, 2**62, -(2**40))
_KINDS = (
    "Conv", "ConvTranspose", "MatMul", "Gemm", "Reshape", "Concat", "Split", "Slice", "Gather", "LSTM", "GRU", "If",
    "Loop",
    "Resize", "Pad", "Softmax", "Einsum", "MaxPool", "Transpose", "DequantizeLinear", "QLinearConv", "Expand", "Tile",
    "Attention", "LayerNormalization", "Unsqueeze", "Squeeze", "ReduceMean", "TopK", "Constant", "Shape", "Where",
    "Scan",
    "DepthToSpace", "Range", "ConstantOfShape", "DynamicQuantizeLinear", "FusedConv", "FusedMatMul", "NhwcConv",
    "Nothing",
)  # fmt: skip
_ATTRIBUTES = (
    "axis", "axes", "perm", "pads", "strides", "dilations", "group", "kernel_shape", "auto_pad", "to", "equation",
    "value",
    "hidden_size", "direction", "mode", "blocksize", "num_heads", "transA", "transB", "activation", "keepdims", "body",
)  # fmt: skip


def damaged(seed: int) -> bytes:
    """The file of a seed."""
    rng = np.random.default_rng(seed)
    base = BASES[rng.integers(len(BASES))]()
    for _ in range(rng.integers(1, 4)):
        _DAMAGES[rng.integers(len(_DAMAGES))](base, rng)
    content = base.SerializeToString()
    if rng.random() < 0.08:
        return content[: rng.integers(len(content) + 1)]
    if rng.random() < 0.15:
        flipped = bytearray(content)
        for _ in range(rng.integers(1, 8)):
            flipped[rng.integers(len(flipped))] = rng.integers(256)
        return bytes(flipped)
    return content


# Base files


def _node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    domain = "com.microsoft" if kind.startswith(("Fused", "Nhwc")) else ""
    return helper.make_node(
        kind, inputs.split(), outputs.split(), name=f"{kind}_{outputs[:1]}", domain=domain, **attributes
    )


def _stored(name: str, *shape: int, kind: str = "float32") -> TensorProto:
    return numpy_helper.from_array(np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape).astype(kind), name)


def _model(nodes: list[NodeProto], stored: list[TensorProto], shape: tuple[Any, ...]) -> ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in (("x", shape), ("y", None))]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:], stored), opset_imports=imports, ir_version=8
    )


def _image() -> ModelProto:
    nodes = [
        _node("Conv", "x k b", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        _node("BatchNormalization", "c b b b b", "n"),
        _node("Sigmoid", "n", "s"),
        _node("Mul", "n s", "m"),
        _node("MaxPool", "m", "p", kernel_shape=[2, 2], strides=[2, 2]),
        _node("Shape", "p", "shape"),
        _node("Gather", "shape zero", "batch", axis=0),
        _node("Concat", "batch minus", "target", axis=0),
        _node("Reshape", "p target", "r"),
        _node("Gemm", "r w v", "g", transB=1),
        _node("Softmax", "g", "y", axis=-1),
    ]
    numbers = [numpy_helper.from_array(np.asarray([v]), n) for n, v in (("zero", 0), ("minus", -1))]
    stored = [_stored("k", 4, 3, 3, 3), _stored("b", 4), _stored("w", 5, 16), _stored("v", 5)]
    return _model(nodes, [*stored, *numbers], ("N", 3, 8, 8))


def _quantised() -> ModelProto:
    nodes = [
        _node("QuantizeLinear", "x s z", "q"),
        _node("DequantizeLinear", "q s z", "d"),
        _node("DequantizeLinear", "k s zk", "dk"),
        _node("Conv", "d dk", "c"),
        _node("DynamicQuantizeLinear", "c", "i si zi"),
        _node("ConvInteger", "i k2 zi", "j"),
        _node("Cast", "j", "f", to=1),
        _node("Mul", "f si", "y"),
    ]
    scales = [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.uint8(3), "z")]
    zeros = [numpy_helper.from_array(np.int8(0), "zk")]
    kernels = [_stored("k", 4, 3, 1, 1, kind="int8"), _stored("k2", 2, 4, 1, 1, kind="int8")]
    return _model(nodes, [*kernels, *scales, *zeros], (1, 3, 4, 4))


def _looping() -> ModelProto:
    infos = [helper.make_tensor_value_info(n, t, None) for n, t in (("i", 7), ("c", 9), ("h", 1), ("go", 9), ("r", 1))]
    body = helper.make_graph(
        [_node("MatMul", "h w", "p"), _node("Relu", "p", "r"), _node("Identity", "c", "go")], "body", infos[:3],
        [infos[3], infos[4], infos[4]], [_stored("w", 4, 4)],
    )  # fmt: skip
    then = helper.make_graph([_node("Neg", "l", "t")], "then", [], [helper.make_tensor_value_info("t", 1, None)])
    other = helper.make_graph([_node("Abs", "l", "t")], "else", [], [helper.make_tensor_value_info("t", 1, None)])
    nodes = [
        _node("Loop", "three yes x", "l a", body=body),
        _node("If", "yes", "u", then_branch=then, else_branch=other),
        _node("Add", "u a", "y"),
    ]
    return _model(nodes, [numpy_helper.from_array(np.asarray(v), n) for n, v in (("three", 3), ("yes", True))], (2, 4))


def _tokens() -> ModelProto:
    nodes = [
        _node("FusedMatMul", "x k", "q", transA=1, transBatchA=1),
        _node("LayerNormalization", "q b b", "n", axis=-1),
        _node("Split", "n", "l r", axis=-1),
        _node("Transpose", "r", "t", perm=[0, 2, 1]),
        _node("MatMul", "l t", "s"),
        _node("LSTM", "s w u", "o h", hidden_size=3),
        _node("FusedConv", "o k2", "f", activation="Relu"),
        _node("Slice", "f one two", "y"),
    ]
    numbers = [numpy_helper.from_array(np.asarray([v]), n) for n, v in (("one", 0), ("two", 1))]
    stored = [
        _stored("k", 4, 8),
        _stored("b", 8),
        _stored("w", 1, 12, 6),
        _stored("u", 1, 12, 3),
        _stored("k2", 2, 1, 1, 1),
    ]
    return _model(nodes, [*stored, *numbers], (4, 2, 6))


BASES: tuple[Callable[[], ModelProto], ...] = (_image, _quantised, _looping, _tokens)

# Damages


def _any_node(model: ModelProto, rng: Rng) -> NodeProto:
    return model.graph.node[rng.integers(len(model.graph.node))] if model.graph.node else model.graph.node.add()


def _any_stored(model: ModelProto, rng: Rng) -> TensorProto:
    stored = model.graph.initializer
    return stored[rng.integers(len(stored))] if stored else stored.add()


def _names(model: ModelProto) -> list[str]:
    made = [name for node in model.graph.node for name in node.output]
    return [*made, *(tensor.name for tensor in model.graph.initializer), "x", "", "missing"]


def _name(model: ModelProto, rng: Rng) -> str:
    names = _names(model)
    return names[rng.integers(len(names))]


def _type_of_a_tensor(model: ModelProto, rng: Rng) -> None:
    _any_stored(model, rng).data_type = int(rng.integers(-1, 27))


def _shape_of_a_tensor(model: ModelProto, rng: Rng) -> None:
    tensor = _any_stored(model, rng)
    shape = [int(_EXTENTS[rng.integers(len(_EXTENTS))]) for _ in range(rng.integers(0, 6))]
    del tensor.dims[:]
    tensor.dims.extend(shape)
    if rng.random() < 0.5:  # data that are somewhere else fit every shape
        tensor.data_location = TensorProto.EXTERNAL


def _data_of_a_tensor(model: ModelProto, rng: Rng) -> None:
    tensor = _any_stored(model, rng)
    if rng.random() < 0.5:
        tensor.raw_data = rng.bytes(int(rng.integers(0, 64)))
    else:
        tensor.ClearField("raw_data")
        tensor.int32_data.extend(int(v) for v in rng.integers(-(2**31), 2**31, size=3))


def _operand(model: ModelProto, rng: Rng) -> None:
    node = _any_node(model, rng)
    if node.input and rng.random() < 0.6:
        node.input[rng.integers(len(node.input))] = _name(model, rng)
    elif rng.random() < 0.5:
        node.input.append(_name(model, rng))
    else:
        del node.input[:]


def _result(model: ModelProto, rng: Rng) -> None:
    node = _any_node(model, rng)
    if node.output and rng.random() < 0.6:
        node.output[rng.integers(len(node.output))] = _name(model, rng)
    elif rng.random() < 0.5:
        node.output.append(f"more{rng.integers(3)}")
    else:
        del node.output[:]


def _kind(model: ModelProto, rng: Rng) -> None:
    node = _any_node(model, rng)
    node.op_type = _KINDS[rng.integers(len(_KINDS))]
    node.domain = "com.microsoft" if node.op_type.startswith(("Fused", "Nhwc")) else ""


def _attribute(model: ModelProto, rng: Rng) -> None:
    node = _any_node(model, rng)
    numbers = [int(_EXTENTS[rng.integers(len(_EXTENTS))]) for _ in range(rng.integers(0, 6))]
    values: tuple[Any, ...] = (
        numbers or [1], int(_EXTENTS[rng.integers(len(_EXTENTS))]), "text", [0.5, float("nan")], float("inf"),
        ["a", "b"], _stored("t", 2), "SAME_UPPER",
    )  # fmt: skip
    name = _ATTRIBUTES[rng.integers(len(_ATTRIBUTES))]
    old = [attribute for attribute in node.attribute if attribute.name != name]
    made = helper.make_attribute(name, values[rng.integers(len(values))])
    kept = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in old]
    del node.attribute[:]
    node.attribute.extend([*kept, made])


def _subgraph(model: ModelProto, rng: Rng) -> None:
    """A whole file as the body of one of its operators."""
    node = _any_node(model, rng)
    node.op_type, node.domain = ("If", "Loop", "Scan")[rng.integers(3)], ""
    for name in ("then_branch", "else_branch", "body")[rng.integers(3) :]:
        node.attribute.add(name=name, type=AttributeProto.GRAPH).g.CopyFrom(_looping().graph)


def _input(model: ModelProto, rng: Rng) -> None:
    value = (*model.graph.input, *model.graph.output)[rng.integers(2)]
    dims = [_EXTENTS[rng.integers(len(_EXTENTS))] for _ in range(rng.integers(0, 6))]
    value.type.tensor_type.elem_type = int(rng.integers(0, 25))
    value.type.tensor_type.ClearField("shape")
    for extent in dims:
        dim = value.type.tensor_type.shape.dim.add()
        if rng.random() < 0.2:
            dim.dim_param = "N"
        else:
            dim.dim_value = int(extent)


def _order(model: ModelProto, rng: Rng) -> None:
    """Steps in another order, or one step twice."""
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    order = list(rng.permutation(len(nodes))) + [0] * int(rng.random() < 0.3 and bool(nodes))
    del model.graph.node[:]
    model.graph.node.extend(nodes[index] for index in order)


def _operator_set(model: ModelProto, rng: Rng) -> None:
    model.opset_import[0].version = int((7, 9, 11, 13, 18, 21, 6, 0, -1, 2**40)[rng.integers(10)])


def _name_of_a_tensor(model: ModelProto, rng: Rng) -> None:
    _any_stored(model, rng).name = _name(model, rng) or "two\nlines"


_DAMAGES: tuple[Callable[[ModelProto, Rng], None], ...] = (
    _type_of_a_tensor, _shape_of_a_tensor, _data_of_a_tensor, _operand, _operand, _result, _kind, _kind, _attribute,
    _attribute, _subgraph, _input, _order, _operator_set, _name_of_a_tensor,
)  # fmt: skip
