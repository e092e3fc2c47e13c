"""Shapes of the operators that the vocabulary does not know: those that the package `onnx` infers.

It sees the file without its weights, at the extents that the inputs have here. Nothing is inferred before it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from hwmodels.workload.from_onnx.model import SMALL, Model
from hwmodels.workload.from_onnx.reading import import_onnx
from hwmodels.workload.ops import Shape

__all__ = ["Inference"]


class Inference:
    """Inferred shapes by name of the tensor."""

    def __init__(self, model: Model, shapes: Mapping[str, Shape]) -> None:
        self._model, self._input_shapes = model, shapes

    def shape(self, name: str) -> Shape | None:
        """The shape of a tensor, None where it is not known or not decided by shapes alone."""
        return self._shapes.get(name)

    @cached_property
    def _shapes(self) -> dict[str, Shape]:
        onnx = import_onnx()
        light = onnx.ModelProto(ir_version=self._model.proto.ir_version, opset_import=self._model.proto.opset_import)
        graph = self._model.proto.graph
        light.graph.name = graph.name or "graph"
        light.graph.node.extend(graph.node)
        light.graph.output.extend(graph.output)
        light.graph.value_info.extend(graph.value_info)
        for name, shape in self._input_shapes.items():
            light.graph.input.append(onnx.helper.make_tensor_value_info(name, self._model.types[name] or 1, shape))
        for tensor in graph.initializer:
            if self._model.stored[tensor.name].value is not None and len(tensor.raw_data) <= 16 * SMALL:
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
