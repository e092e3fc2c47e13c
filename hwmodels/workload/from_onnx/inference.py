"""Shapes of the operators that the vocabulary does not know: those that the package `onnx` infers.

It sees the file without its weights, at the extents that the inputs have here. Nothing is inferred before it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from hwmodels.workload.from_onnx.model import SMALL, Model
from hwmodels.workload.from_onnx.reading import import_onnx
from hwmodels.workload.ops import Shape

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["Inference", "inferred_shapes"]


class Inference:
    """Inferred shapes by name of the tensor."""

    def __init__(self, model: Model, shapes: Mapping[str, Shape]) -> None:
        self._model, self._input_shapes = model, shapes

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor, None where it is not known or not decided by shapes alone."""
        return self._shapes.get(name)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        return inferred_shapes(self._model.proto, self._model.proto.graph.node, self._input_shapes)


def inferred_shapes(proto: ModelProto, nodes: Iterable[NodeProto], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """What the package `onnx` infers for these steps of a file; nothing where it refuses them.

    shapes : of the inputs, under their names.
    """
    onnx = import_onnx()
    light = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import)
    light.graph.name = proto.graph.name or "graph"
    light.graph.node.extend(nodes)
    light.graph.output.extend(proto.graph.output)
    light.graph.value_info.extend(proto.graph.value_info)
    stored = {tensor.name for tensor in proto.graph.initializer}
    types = {value.name: value.type.tensor_type.elem_type for value in proto.graph.input}
    for name, element_type in types.items():
        if name in shapes and name not in stored:
            light.graph.input.append(onnx.helper.make_tensor_value_info(name, element_type or 1, shapes[name]))
    for tensor in proto.graph.initializer:
        is_here = tensor.data_location != tensor.EXTERNAL and len(tensor.raw_data) <= 16 * SMALL
        if is_here and prod(tensor.dims) <= SMALL:
            light.graph.initializer.append(tensor)
        value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tuple(tensor.dims))
        light.graph.input.append(value)
    try:
        inferred = onnx.shape_inference.infer_shapes(light, data_prop=True).graph
    except Exception:  # of the parser or of an operator's own inference: nothing is known then
        return {}
    found: dict[str, Shape] = {}
    for value in (*inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.dim_value > 0 for dim in dims):
            found[value.name] = tuple(dim.dim_value for dim in dims)
    return found
