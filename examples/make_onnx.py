"""Writes `small_cnn.onnx`, the network of `small_cnn.csv` as an ONNX file: `python examples/make_onnx.py FILE.onnx`.

Three convolutions on a 28 x 28 image, a mean over the map and ten classes; the weights are drawn, costs do not read
them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["network", "write"]


def network() -> onnx.ModelProto:
    """The graph with a free batch axis."""
    rng = np.random.default_rng(0)
    nodes, weights, source = [], [], "image"
    # Output channels, input channels, stride.
    for i, (out, channels, stride) in enumerate([(8, 1, 1), (16, 8, 2), (32, 16, 2)]):
        kernel = rng.normal(0, (9 * channels) ** -0.5, (out, channels, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"conv{i}.weight"))
        steps = {"kernel_shape": [3, 3], "strides": [stride, stride], "pads": [1, 1, 1, 1]}
        nodes.append(helper.make_node("Conv", [source, f"conv{i}.weight"], [f"conv{i}"], name=f"conv{i}", **steps))
        source = f"relu{i}"
        nodes.append(helper.make_node("Relu", [f"conv{i}"], [source], name=source))
    dense = rng.normal(0, 32**-0.5, (10, 32)).astype(np.float32)
    weights += [
        numpy_helper.from_array(dense, "dense.weight"),
        numpy_helper.from_array(np.zeros(10, np.float32), "bias"),
    ]
    nodes += [
        helper.make_node("GlobalAveragePool", [source], ["mean"], name="mean"),
        helper.make_node("Flatten", ["mean"], ["flat"], name="flatten"),
        helper.make_node("Gemm", ["flat", "dense.weight", "bias"], ["classes"], name="dense", transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 28, 28])
    classes = helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, "small_cnn", [image], [classes], weights)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="codesign"
    )
    onnx.checker.check_model(model)
    return model


def write(path: Path) -> None:
    """Serialised without timestamps: the same bytes every time."""
    path.write_bytes(network().SerializeToString(deterministic=True))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
