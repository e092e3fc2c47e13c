"""Writes ONNX files for the tests: any workload of the common operators, in a new operator set or in an old one.

Weights are external data that are not there, as a file without its weights has them. The old style writes GELU, layer
normalisation, hard swish, SiLU and Mish out in parts, as exporters did before the operators existed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from hwmodels.workload import ops
from hwmodels.workload.coverage import unknown_operators
from hwmodels.workload.from_onnx import from_onnx
from hwmodels.workload.graph import Input, Node, Workload

NEW, OLD = 20, 11


class Writer:
    """A graph in the making; names of tensors are those of the workload's nodes."""

    def __init__(self, opset: int = NEW) -> None:
        self.opset = opset
        self.nodes: list[NodeProto] = []
        self.stored: list[TensorProto] = []

    def add(
        self, kind: str, *inputs: str, made: str = "", outputs: int = 1, domain: str = "", **attributes: Any
    ) -> str:
        first = made or f"t{len(self.nodes)}"
        results = [first, *(f"{first}.{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, inputs, results, name=f"n_{first}", domain=domain, **attributes))
        return first

    def weight(self, *shape: int, name: str = "", kind: int = TensorProto.FLOAT) -> str:
        """A tensor whose data are in another file, which does not exist."""
        tensor = TensorProto(name=name or f"w{len(self.stored)}", dims=shape, data_type=kind)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="nowhere.bin")
        self.stored.append(tensor)
        return tensor.name

    def value(self, value: Any, kind: str = "int64") -> str:
        """A small tensor with its data."""
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype=kind), f"c{len(self.stored)}"))
        return self.stored[-1].name

    def number(self, value: float) -> str:
        return self.value(value, "float32")

    def model(self, inputs: dict[str, tuple[Any, ...]], outputs: list[str], **types: int) -> ModelProto:
        """The file; an input is of floats unless its type is given."""
        declared = [
            helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), shape)
            for name, shape in inputs.items()
        ]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "graph", declared, results, self.stored)
        imports = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)

    def save(self, path: Path, inputs: dict[str, tuple[Any, ...]], outputs: list[str], **types: int) -> Path:
        path.write_bytes(self.model(inputs, outputs, **types).SerializeToString())
        return path


def read(writer: Writer, folder: Path, inputs: dict[str, Any], *outputs: str, **types: int) -> Workload:
    """The graph as a file in `folder`, read back."""
    return from_onnx(writer.save(folder / "net.onnx", inputs, list(outputs), **types))


def read_known(writer: Writer, folder: Path, inputs: dict[str, Any], output: str, **types: int) -> Workload:
    """The same, of operators that are all known."""
    found = read(writer, folder, inputs, output, **types)
    assert not unknown_operators(found)
    return found


def to_onnx(workload: Workload, *, opset: int = NEW) -> ModelProto:
    """The same network as a file; bits are not written."""
    writer = Writer(opset)
    inputs: dict[str, tuple[int, ...]] = {}
    types: dict[str, int] = {}
    for node in workload:
        if isinstance(node.operator, Input):
            inputs[node.name] = node.shape
        else:
            shapes = [workload[source].shape for source in node.inputs]
            if isinstance(node.operator, ops.Embedding):
                types[node.inputs[0]] = TensorProto.INT64
            _WRITERS[type(node.operator)](writer, node, node.operator, shapes)
    return writer.model(inputs, list(workload.outputs), **types)


def _conv(w: Writer, node: Node, op: ops.Conv2d, shapes: list[ops.Shape]) -> None:
    kernel = w.weight(op.out_channels, shapes[0][1] // op.groups, *op.kernel)
    bias = (w.weight(op.out_channels),) if op.bias else ()
    w.add(
        "Conv", *node.inputs, kernel, *bias, made=node.name, strides=op.stride, pads=(*op.padding, *op.padding),
        dilations=op.dilation, group=op.groups,
    )  # fmt: skip


def _conv_transpose(w: Writer, node: Node, op: ops.ConvTranspose2d, shapes: list[ops.Shape]) -> None:
    kernel = w.weight(shapes[0][1], op.out_channels // op.groups, *op.kernel)
    bias = (w.weight(op.out_channels),) if op.bias else ()
    w.add(
        "ConvTranspose", *node.inputs, kernel, *bias, made=node.name, strides=op.stride, group=op.groups,
        pads=(*op.padding, *op.padding), dilations=op.dilation, output_padding=op.output_padding,
    )  # fmt: skip


def _linear(w: Writer, node: Node, op: ops.Linear, shapes: list[ops.Shape]) -> None:
    """Gemm for a matrix, MatMul and Add for a sequence, as exporters do."""
    features = shapes[0][-1]
    if len(shapes[0]) == 2:
        bias = (w.weight(op.out_features),) if op.bias else ()
        w.add("Gemm", *node.inputs, w.weight(op.out_features, features), *bias, made=node.name, transB=1)
        return
    product = w.add("MatMul", *node.inputs, w.weight(features, op.out_features), made="" if op.bias else node.name)
    if op.bias:
        w.add("Add", w.weight(op.out_features), product, made=node.name)


def _pool(w: Writer, node: Node, op: ops.Pool2d, shapes: list[ops.Shape]) -> None:
    if op.kernel is None and op.mode == "max":
        w.add("GlobalMaxPool", *node.inputs, made=node.name)
    elif op.kernel is None and w.opset > OLD:
        w.add("ReduceMean", *node.inputs, w.value([2, 3]), made=node.name)
    elif op.kernel is None:
        w.add("GlobalAveragePool", *node.inputs, made=node.name)
    else:
        kernel, stride, padding = op.geometry(shapes[0])
        kind = "MaxPool" if op.mode == "max" else "AveragePool"
        w.add(
            kind, *node.inputs, made=node.name, kernel_shape=kernel, strides=stride, pads=(*padding, *padding),
            ceil_mode=int(op.ceil_mode),
        )  # fmt: skip


def _norm(w: Writer, node: Node, op: ops.Norm, shapes: list[ops.Shape]) -> None:
    channels = op.features or ops.row.channels_of(node.shape)
    affine = [w.weight(channels), w.weight(channels)]
    x = node.inputs[0]
    if op.mode == "batch":
        w.add("BatchNormalization", x, *affine, w.weight(channels), w.weight(channels), made=node.name)
    elif op.mode == "instance":
        w.add("InstanceNormalization", x, *affine, made=node.name)
    elif w.opset > OLD and op.mode == "layer":
        w.add("LayerNormalization", x, *affine, made=node.name, axis=-1)
    elif op.mode == "layer":
        deviation = w.add("Sub", x, w.add("ReduceMean", x, axes=[-1]))
        scale = _root_mean_square(w, deviation)
        normed = w.add("Mul", w.add("Div", deviation, scale), affine[0])
        w.add("Add", normed, affine[1], made=node.name)
    elif op.mode == "rms":
        normed = w.add("Mul", x, w.add("Reciprocal", _root_mean_square(w, x)))
        w.add("Mul", affine[0], normed, made=node.name)
    else:  # group norm as instance norm of groups, scale and shift for every channel
        groups = w.add("Reshape", x, w.value([0, 2, -1]))
        normed = w.add("InstanceNormalization", groups, w.weight(2), w.weight(2))
        back = w.add("Reshape", normed, w.add("Shape", x))
        affine = [w.weight(channels, 1, 1), w.weight(channels, 1, 1)]
        w.add("Add", w.add("Mul", back, affine[0]), affine[1], made=node.name)


def _root_mean_square(w: Writer, x: str) -> str:
    square = w.add("Pow", x, w.number(2.0))
    axes: dict[str, Any] = {"axes": [-1]} if w.opset < 18 else {}
    mean = w.add("ReduceMean", square, *(() if axes else (w.value([-1]),)), **axes)
    return w.add("Sqrt", w.add("Add", mean, w.number(1e-5)))


def _activation(w: Writer, node: Node, op: ops.Activation, shapes: list[ops.Shape]) -> None:
    x, name = node.inputs[0], node.name
    if w.opset <= OLD and op.function in _IN_PARTS:
        _IN_PARTS[op.function](w, x, name)
    elif op.function == "relu6":
        w.add("Clip", x, w.number(0.0), w.number(6.0), made=name)
    elif op.function == "silu":
        w.add("Mul", x, w.add("Sigmoid", x), made=name)
    elif op.function == "prelu":
        w.add("PRelu", x, w.weight(node.shape[1], 1, 1), made=name)
    else:
        w.add(_NAMES[op.function], x, made=name)


_NAMES = {
    "relu": "Relu", "gelu": "Gelu", "hardswish": "HardSwish", "hardsigmoid": "HardSigmoid", "mish": "Mish",
    "tanh": "Tanh", "sigmoid": "Sigmoid", "neg": "Neg", "leaky_relu": "LeakyRelu", "elu": "Elu",
}  # fmt: skip


def _gelu_in_parts(w: Writer, x: str, name: str) -> None:
    total = w.add("Add", w.add("Erf", w.add("Div", x, w.number(2**0.5))), w.number(1.0))
    w.add("Mul", w.add("Mul", x, total), w.number(0.5), made=name)


def _hardswish_in_parts(w: Writer, x: str, name: str) -> None:
    clipped = w.add("Clip", w.add("Add", x, w.number(3.0)), w.number(0.0), w.number(6.0))
    w.add("Mul", x, w.add("Div", clipped, w.number(6.0)), made=name)


def _hardsigmoid_in_parts(w: Writer, x: str, name: str) -> None:
    clipped = w.add("Clip", w.add("Add", x, w.number(3.0)), w.number(0.0), w.number(6.0))
    w.add("Div", clipped, w.number(6.0), made=name)


def _mish_in_parts(w: Writer, x: str, name: str) -> None:
    w.add("Mul", x, w.add("Tanh", w.add("Softplus", x)), made=name)


_IN_PARTS: dict[str, Callable[[Writer, str, str], None]] = {
    "gelu": _gelu_in_parts,
    "hardswish": _hardswish_in_parts,
    "hardsigmoid": _hardsigmoid_in_parts,
    "mish": _mish_in_parts,
}


def _elementwise(w: Writer, node: Node, op: ops.Elementwise, shapes: list[ops.Shape]) -> None:
    kind = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min"}[op.function]
    if len(node.inputs) > 2:
        kind = {"Add": "Sum"}.get(kind, kind)
    operands = node.inputs if len(node.inputs) > 1 else (*node.inputs, w.number(0.5))
    w.add(kind, *operands, made=node.name)


def _recurrent(w: Writer, node: Node, op: ops.Recurrent, shapes: list[ops.Shape]) -> None:
    """Time first, as exporters write it, with the axis of directions taken away again."""
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[op.cell] * op.hidden
    weights = (w.weight(1, gates, shapes[0][2]), w.weight(1, gates, op.hidden))
    bias = (w.weight(1, 2 * gates),) if op.bias else ()
    turned = w.add("Transpose", *node.inputs, perm=[1, 0, 2])
    states = w.add(op.cell.upper(), turned, *weights, *bias, outputs=2, hidden_size=op.hidden)
    axes: dict[str, Any] = {"axes": [1]} if w.opset <= OLD else {}
    states = w.add("Squeeze", states, *(() if axes else (w.value([1]),)), **axes)
    w.add("Transpose", states, made=node.name, perm=[1, 0, 2])


def _reshape(w: Writer, node: Node, op: ops.Reshape, shapes: list[ops.Shape]) -> None:
    """By the shape of its input where the batch stays, as exporters of dynamic batches do."""
    if shapes[0][0] != op.shape[0]:
        w.add("Reshape", *node.inputs, w.value(op.shape), made=node.name)
        return
    batch = w.add("Gather", w.add("Shape", *node.inputs), w.value([0]), axis=0)
    w.add("Reshape", *node.inputs, w.add("Concat", batch, w.value(op.shape[1:]), axis=0), made=node.name)


def _split(w: Writer, node: Node, op: ops.Split, shapes: list[ops.Shape]) -> None:
    limits = (w.value([value]) for value in (op.start, op.start + op.length, op.axis))
    w.add("Slice", *node.inputs, *limits, made=node.name)


def _reduce(w: Writer, node: Node, op: ops.Reduce, shapes: list[ops.Shape]) -> None:
    keep = int(op.keep_axes)
    if w.opset < 18:
        w.add("ReduceMean", *node.inputs, made=node.name, keepdims=keep, axes=op.axes)
    else:
        w.add("ReduceMean", *node.inputs, w.value(op.axes), made=node.name, keepdims=keep)


def _upsample(w: Writer, node: Node, op: ops.Upsample, shapes: list[ops.Shape]) -> None:
    mode = "linear" if op.mode == "bilinear" else op.mode
    scales = w.value([1, 1, *(new / old for new, old in zip(node.shape[2:], shapes[0][2:], strict=True))], "float32")
    w.add("Resize", *node.inputs, "", scales, made=node.name, mode=mode)


def _zeros(w: Writer, node: Node, op: ops.Zeros, shapes: list[ops.Shape]) -> None:
    w.add("ConstantOfShape", w.value(op.shape), made=node.name)


def _embedding(w: Writer, node: Node, op: ops.Embedding, shapes: list[ops.Shape]) -> None:
    w.add("Gather", w.weight(op.entries, op.features), *node.inputs, made=node.name)


def _plain(kind: str, **attributes: str) -> Callable[[Writer, Node, Any, list[ops.Shape]], None]:
    """An operator whose attributes are fields of its twin."""

    def write(w: Writer, node: Node, op: Any, shapes: list[ops.Shape]) -> None:
        w.add(kind, *node.inputs, made=node.name, **{key: getattr(op, field) for key, field in attributes.items()})

    return write


_WRITERS: dict[type, Callable[[Writer, Node, Any, list[ops.Shape]], None]] = {
    ops.Conv2d: _conv,
    ops.ConvTranspose2d: _conv_transpose,
    ops.Linear: _linear,
    ops.MatMul: _plain("MatMul"),
    ops.Recurrent: _recurrent,
    ops.Pool2d: _pool,
    ops.Norm: _norm,
    ops.Activation: _activation,
    ops.Elementwise: _elementwise,
    ops.Reduce: _reduce,
    ops.Softmax: _plain("Softmax", axis="axis"),
    ops.Embedding: _embedding,
    ops.Zeros: _zeros,
    ops.Constant: lambda w, node, op, shapes: w.weight(*op.shape, name=node.name),
    ops.Upsample: _upsample,
    ops.PixelShuffle: _plain("DepthToSpace", blocksize="factor"),
    ops.Concat: _plain("Concat", axis="axis"),
    ops.Split: _split,
    ops.Permute: _plain("Transpose", perm="axes"),
    ops.Reshape: _reshape,
    ops.Select: lambda w, node, op, shapes: w.add(
        "Gather", *node.inputs, w.value(op.index), made=node.name, axis=op.axis
    ),
}  # fmt: skip
