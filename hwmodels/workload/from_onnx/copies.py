"""Stored tensors that are one tensor written twice, as exporters do where a weight is computed from itself.

Two tensors are copies where type, shape and data are the same, or where both are the same part of an external file.
Data of one repeated value (zeros of fresh biases) say nothing. Nothing is compared until two tensors of one shape
stand behind one weight.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

from hwmodels.workload.from_onnx.model import Model

if TYPE_CHECKING:
    from onnx import TensorProto

__all__ = ["Copies"]

_Key = tuple[object, ...]


class Copies:
    """The stored tensors of a file by what they hold."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def among(self, names: Iterable[str]) -> set[str]:
        """Those of some stored tensors that repeat an earlier one of them."""
        by_shape: dict[tuple[int, ...], list[str]] = {}
        for name in names:
            shape = self._model.stored[name].shape
            if name in self._tensors:
                by_shape.setdefault(shape, []).append(name)
        found: set[str] = set()
        for alike in by_shape.values():
            seen: set[_Key] = set()
            for name in alike if len(alike) > 1 else ():
                key = _content(self._tensors[name])
                if key is not None and key in seen:
                    found.add(name)
                elif key is not None:
                    seen.add(key)
        return found

    @cached_property
    def _tensors(self) -> dict[str, TensorProto]:
        graph = self._model.proto.graph
        constants = {
            node.output[0]: attribute.t
            for node in graph.node
            if node.op_type == "Constant" and node.output
            for attribute in node.attribute
            if attribute.name == "value"
        }
        return {**constants, **{tensor.name: tensor for tensor in graph.initializer}}


def _content(tensor: TensorProto) -> _Key | None:
    """What two copies share; None where the data say nothing."""
    if tensor.data_location == tensor.EXTERNAL:
        place = {entry.key: entry.value for entry in tensor.external_data}
        where = place.get("location"), place.get("offset"), place.get("length")
        return (tensor.data_type, *where) if all(where) else None
    if tensor.HasField("raw_data"):
        data = tensor.raw_data
        elements = max(prod(tensor.dims), 1)
        return None if data == data[: len(data) // elements] * elements else (tensor.data_type, data)
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    values = tuple(value for field in fields for value in field)
    return None if len(set(values)) < 2 else (tensor.data_type, values)
